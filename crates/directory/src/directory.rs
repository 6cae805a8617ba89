//! The way of a credential: which trust record, which keys, does it hold, whom does it make.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use rustls::pki_types::CertificateDer;
use safeconduct_credential::jose::{self, Confirmation, Thumbprint, Verified};
use safeconduct_model::{Assurance, IdentityId, Timestamp, TokenId, Value};

use crate::api_key::{self, ApiKeys};
use crate::proof::{Held, Presented, Proof, ProofMethod, Refused};
use crate::spiffe::{self, Peer, SpiffeId, TrustDomain};
use crate::trust::{Issuer, TrustError, TrustRecord};
use crate::vouching::Vouching;

/// Longest `jti` that becomes part of a token's id, in bytes; a longer one is digested.
const JTI_BYTES_MAX: usize = 256;
/// Claims that a proof tells of wherever they are, beside those that it rests on.
const ALWAYS_TOLD: [&str; 5] = ["iss", "sub", "acr", "amr", "auth_time"];
/// Longest text of a stranger that a refusal shows, in characters.
const SHOWN_CHARS: usize = 120;

/// The trust records with their keys. Shared; every method takes `&self`.
pub struct Directory {
    records: Vec<Arc<Vouching>>,
    by_issuer: HashMap<String, usize>,
    by_domain: BTreeMap<TrustDomain, usize>,
    /// Whose claims make an identity that is named otherwise.
    bound: BTreeMap<IdentityId, BTreeSet<Arc<str>>>,
    api_keys: Arc<dyn ApiKeys>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.records.iter().map(|one| one.record.name())).finish()
    }
}

impl Directory {
    /// A directory of these records. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`TrustError`] where two records are of one issuer or trust domain: it would be open whose
    /// rules count.
    pub fn new(
        records: impl IntoIterator<Item = TrustRecord>,
        api_keys: Arc<dyn ApiKeys>,
    ) -> Result<Self, TrustError> {
        Self::of(records.into_iter().map(|record| Arc::new(Vouching::new(record))), api_keys)
    }

    /// A directory of these records that follows `before`: of those that are `unchanged`, by name,
    /// the keys that were fetched are kept, so that nobody notices.
    ///
    /// # Errors
    /// As [`Directory::new`].
    pub fn following(
        before: &Self,
        records: impl IntoIterator<Item = TrustRecord>,
        unchanged: impl Fn(&str) -> bool,
    ) -> Result<Self, TrustError> {
        let kept = |record: TrustRecord| {
            let mut known = before.records.iter();
            let known = known.find(|one| one.record.name() == record.name());
            let known = known.filter(|_| unchanged(record.name())).cloned();
            known.unwrap_or_else(|| Arc::new(Vouching::new(record)))
        };
        Self::of(records.into_iter().map(kept), Arc::clone(&before.api_keys))
    }

    fn of(
        records: impl IntoIterator<Item = Arc<Vouching>>,
        api_keys: Arc<dyn ApiKeys>,
    ) -> Result<Self, TrustError> {
        let mut directory = Self {
            records: Vec::new(),
            by_issuer: HashMap::new(),
            by_domain: BTreeMap::new(),
            bound: BTreeMap::new(),
            api_keys,
        };
        for vouching in records {
            let record = &vouching.record;
            let at = directory.records.len();
            let (field, earlier) = match &record.issuer {
                Issuer::TrustDomain { trust_domain, .. } => {
                    ("trust_domain", directory.by_domain.insert(trust_domain.clone(), at))
                }
                Issuer::Url { issuer, .. } => {
                    ("issuer", directory.by_issuer.insert(issuer.clone(), at))
                }
            };
            if let Some(earlier) = earlier.and_then(|at| directory.records.get(at)) {
                let problem = format!("is that of record `{}` too", earlier.record.name());
                return Err(TrustError { record: record.name().to_owned(), field, problem });
            }
            let issuer: Arc<str> = record.issuer.name().into();
            for binding in &record.bindings {
                let issuers = directory.bound.entry(binding.identity.clone()).or_default();
                issuers.insert(Arc::clone(&issuer));
            }
            directory.records.push(vouching);
        }
        Ok(directory)
    }

    /// The trust record of that name.
    pub(crate) fn record(&self, trust: &str) -> Option<&TrustRecord> {
        let found = self.records.iter().find(|one| one.record.name() == trust)?;
        Some(&found.record)
    }

    /// Keeps keys fresh and listens to Workload APIs. It never returns: whoever has the runtime
    /// spawns it once. Without it, keys are fetched when a credential needs them, and bundles of
    /// a Workload API never arrive.
    pub async fn watch(&self) {
        join_all(self.records.iter().map(|one| one.watch())).await;
    }

    /// Counts the changes of the keys of that trust record; `None` where it has none that count:
    /// they are too old, were all taken back, or never came. Whoever remembers a proof holds
    /// [`Proof::generation`] against this before it is used again.
    pub fn vouching(&self, trust: &str) -> Option<u64> {
        let found = self.records.iter().find(|one| one.record.name() == trust)?;
        // Counted first: a change in between makes the count too low, which costs one more check.
        let generation = found.generation();
        found.vouches().then_some(generation)
    }

    /// The issuers of which a trust record says that their claims make that identity. Those whom
    /// its name tells are not among them, unless a record says so too.
    pub fn issuers_of(&self, identity: &IdentityId) -> Vec<Arc<str>> {
        self.bound.get(identity).into_iter().flatten().cloned().collect()
    }

    /// Proves who presents a credential. It may wait for keys to be fetched, at most some seconds,
    /// and only where none are there that could be used.
    ///
    /// # Errors
    /// [`Refused`] says why, and shows nothing of the credential.
    pub async fn prove(&self, presented: Presented<'_>, now: Timestamp) -> Result<Proof, Refused> {
        match presented {
            Presented::Jwt { token, held } => self.prove_jwt(token, held, now).await,
            Presented::ClientCertificate { chain } => self.prove_certificate(chain, now).await,
            Presented::ApiKey { key } => self.prove_api_key(key, now),
        }
    }

    async fn prove_jwt(
        &self,
        token: &str,
        held: Held<'_>,
        now: Timestamp,
    ) -> Result<Proof, Refused> {
        let unverified = jose::peek(token).map_err(Refused::Unreadable)?;
        // Only a trust domain speaks of SPIFFE IDs, and only its bundle says so: whatever `iss`
        // says, no other issuer's keys are asked.
        let subject = unverified.subject.as_deref().unwrap_or_default();
        let found = if subject.starts_with("spiffe://") {
            self.of_domain(&SpiffeId::parse_workload(subject)?)?
        } else {
            let issuer = unverified.issuer.as_deref().unwrap_or_default();
            let found = self.by_issuer.get(issuer).and_then(|at| self.records.get(*at));
            found
                .map(|found| &**found)
                .ok_or_else(|| Refused::UnknownIssuer { issuer: shown(issuer) })?
        };
        let generation = found.generation();
        let verified = found.verify(token, now).await?;
        let x5t_s256 = held.certificate.map(Thumbprint::of);
        if !verified.confirmation.is_met_by(held.jkt, x5t_s256) {
            return Err(Refused::NotHeld);
        }
        Ok(Proof { generation, ..token_proof(&found.record, verified, now)? })
    }

    fn of_domain(&self, id: &SpiffeId) -> Result<&Vouching, Refused> {
        let found = self.by_domain.get(id.trust_domain()).and_then(|at| self.records.get(*at));
        let trust_domain = || id.trust_domain().to_string();
        found
            .map(|found| &**found)
            .ok_or_else(|| Refused::UnknownTrustDomain { trust_domain: trust_domain() })
    }

    async fn prove_certificate(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Proof, Refused> {
        let leaf = chain.first().ok_or(spiffe::X509Error::Chain)?;
        let found = self.of_domain(&spiffe::claimed_id(leaf)?)?;
        let generation = found.generation();
        let bundle = found.bundle().await?;
        let svid = spiffe::verify(chain, &bundle, Peer::Client, now)?;
        let subject = svid.id.to_string();
        let claims = Value::object([("sub", Value::from(subject.as_str()))]);
        let (identity, told) = name(&found.record, &claims, &subject)?;
        let token = TokenId::new(format!("x509:{}", svid.thumbprint));
        Ok(Proof {
            trust: found.record.name.clone(),
            issuer: format!("spiffe://{}", svid.id.trust_domain()),
            subject,
            identity,
            method: ProofMethod::X509Svid,
            assurance: found.record.assurance,
            authenticated_at: svid.not_before,
            expires_at: svid.not_after,
            token: token.map_err(|error| unnamed(&found.record, error))?,
            confirmation: Confirmation { jkt: None, x5t_s256: Some(svid.thumbprint) },
            may_speak_for_users: found.record.may_speak_for_users,
            claims: told,
            generation,
        })
    }

    fn prove_api_key(&self, key: &str, now: Timestamp) -> Result<Proof, Refused> {
        let digest = api_key::recognise(key)?;
        let known = self.api_keys.find(&digest).ok_or(Refused::ApiKey)?;
        // The registry looks up by digest; compare once more, in constant time, what it found.
        let same = Thumbprint::from_bytes(*known.digest.as_bytes())
            == Thumbprint::from_bytes(*digest.as_bytes());
        if !same || known.revoked || known.expires_at <= now {
            return Err(Refused::ApiKey);
        }
        Ok(Proof {
            trust: "api_key".into(),
            issuer: "safeconduct".into(),
            subject: known.identity.to_string(),
            identity: known.identity,
            method: ProofMethod::ApiKey,
            assurance: Assurance::Low,
            authenticated_at: known.issued_at,
            expires_at: known.expires_at,
            token: known.id,
            confirmation: Confirmation::default(),
            may_speak_for_users: false,
            claims: Value::Object(BTreeMap::new()),
            generation: 0,
        })
    }
}

fn token_proof(record: &TrustRecord, verified: Verified, now: Timestamp) -> Result<Proof, Refused> {
    let missing = jose::JoseError::MissingClaim { name: "sub".into() };
    let refuse = || Refused::Token { trust: record.name.clone(), error: missing };
    let subject = verified.subject.as_deref().ok_or_else(refuse)?.to_owned();
    let (identity, claims) = name(record, &verified.claims, &subject)?;
    let issuer = record.issuer.name();
    let auth_time = verified.claims.member("auth_time").and_then(Value::as_integer);
    let auth_time = auth_time.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)));
    Ok(Proof {
        trust: record.name.clone(),
        issuer,
        subject,
        identity,
        method: record.kind.into(),
        assurance: record.assurance,
        authenticated_at: auth_time.or(verified.issued_at).unwrap_or(now).min(now),
        expires_at: verified.expires_at,
        token: token_id(&verified).map_err(|error| unnamed(record, error))?,
        confirmation: verified.confirmation,
        may_speak_for_users: record.may_speak_for_users,
        claims,
        generation: 0,
    })
}

/// The `jti` where it is fit to be shown, else the token's digest.
fn token_id(verified: &Verified) -> Result<TokenId, safeconduct_model::NameError> {
    let jti = verified.token_id.as_deref().filter(|jti| jti.len() <= JTI_BYTES_MAX);
    let named = jti.and_then(|jti| TokenId::new(format!("jwt:{jti}")).ok());
    named.map_or_else(|| TokenId::new(format!("jwt:{}", verified.digest)), Ok)
}

/// Whom the claims make, by the record, and the claims that say so.
fn name(
    record: &TrustRecord,
    claims: &Value,
    subject: &str,
) -> Result<(IdentityId, Value), Refused> {
    let trust = || record.name.clone();
    for (claim, wanted) in &record.required {
        if !wanted.fits(claims, claim) {
            return Err(Refused::Claim { trust: trust(), claim: claim.clone() });
        }
    }
    let mut told: Vec<&str> = ALWAYS_TOLD.to_vec();
    told.extend(record.required.iter().map(|(claim, _)| claim.as_str()));
    if let Issuer::TrustDomain { paths, .. } = &record.issuer {
        let id = SpiffeId::parse_workload(subject)?;
        if !paths.is_empty() && !paths.iter().any(|pattern| pattern.fits(&id)) {
            return Err(Refused::Unmapped { trust: trust() });
        }
    }
    let identity = if record.bindings.is_empty() {
        let name = match &record.issuer {
            Issuer::TrustDomain { .. } => subject.to_owned(),
            Issuer::Url { issuer, .. } => format!("{issuer}|{subject}"),
        };
        IdentityId::new(name).map_err(|error| unnamed(record, error))?
    } else {
        let fits = |(claim, wanted): &(String, crate::trust::Wanted)| wanted.fits(claims, claim);
        let mut fitting = record.bindings.iter().filter(|one| one.claims.iter().all(fits));
        let first = fitting.next().ok_or_else(|| Refused::Unmapped { trust: trust() })?;
        if fitting.any(|other| other.identity != first.identity) {
            return Err(Refused::Ambiguous { trust: trust() });
        }
        told.extend(first.claims.iter().map(|(claim, _)| claim.as_str()));
        first.identity.clone()
    };
    let told = told.into_iter().filter_map(|claim| {
        let value =
            if claim.starts_with('/') { claims.pointer(claim) } else { claims.member(claim) };
        Some((claim, value?.clone()))
    });
    Ok((identity, Value::object(told)))
}

fn unnamed(record: &TrustRecord, error: safeconduct_model::NameError) -> Refused {
    Refused::Name { trust: record.name.clone(), error }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
