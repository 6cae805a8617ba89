//! Who asks the token service: clients prove themselves by a registered token, a signed assertion,
//! or their certificate in TLS.

use std::sync::{MutexGuard, PoisonError};

use safeconduct_credential::jose::{
    self, Algorithm, AudienceRule, ClockSkew, DpopError, DpopExpect, DpopProof, Expect, Thumbprint,
    Typ,
};
use safeconduct_credential::token::{
    Fault, FaultCode, Form, Once, Single, Used, basic_credentials, claims_to_be_checked,
    is_for_alone,
};
use safeconduct_model::{
    Assurance, Authentication, Digest, IdentityId, IdentityStatus, Method, Timestamp, TokenId,
};

use crate::access_tokens::Desk;
use crate::{ClientCertificates, DpopNonce, Holds, Service};

/// The assertion type of RFC 7523.
pub const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The assertion type of SPIFFE client authentication.
pub const SVID_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// The algorithms that clients may sign assertions and proofs with.
pub const CLIENT_ALGORITHMS: [Algorithm; 7] = [
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
    Algorithm::Ps256,
    Algorithm::Rs256,
    Algorithm::Es512,
];

/// Longest life of a client's assertion, in seconds. It can be used once.
const ASSERTION_S_MAX: u32 = 3600;

/// How far clients' clocks may be from ours, in seconds.
const SKEW_S: u32 = 10;

/// The most that clocks of issuers may be from ours, in seconds.
pub(crate) const SKEW_S_MAX: u32 = 30;

const _: () = assert!(ClockSkew::seconds(SKEW_S_MAX + 1).is_none());

/// What a request proves beside its form.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// The values of all `Authorization` headers.
    pub authorization: &'a [&'a str],
    /// The values of all `DPoP` headers.
    pub dpop: &'a [&'a str],
    /// The method.
    pub method: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The certificate that the client uses in TLS.
    pub peer: Option<&'a ClientCertificates>,
}

impl<'a> ClientRequest<'a> {
    /// What the client proved to hold, with the key of a proof that was checked.
    pub(crate) fn holds(&self, jkt: Option<Thumbprint>) -> Holds<'a> {
        let jkt = jkt.map(|jkt| Digest::from_bytes(*jkt.as_bytes()));
        Holds { jkt, certificates: self.peer }
    }

    /// The thumbprint of the client's certificate, where it uses one.
    pub(crate) fn x5t(&self) -> Option<Thumbprint> {
        self.peer.map(thumbprint)
    }
}

fn thumbprint(certificates: &ClientCertificates) -> Thumbprint {
    Thumbprint::from_bytes(*certificates.thumbprint().as_bytes())
}

/// A client that has proved who it is.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) proof: Authentication,
    /// When what it proved itself by ends, where that bounds what rests on it.
    pub(crate) ends: Option<Timestamp>,
}

impl Desk {
    /// The proof of possession that came with a request; `None` where none came. Anyone can make
    /// one, with a key that they made for it: it is not remembered before it is known whose it is
    /// ([`Desk::use_dpop`]), and proves nothing until then.
    pub(crate) fn dpop(
        &self,
        request: &ClientRequest<'_>,
        access_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<DpopProof>, Fault> {
        if request.dpop.is_empty() {
            return Ok(None);
        }
        let nonces = match (self.settings.dpop_nonce, access_token) {
            (DpopNonce::Everywhere, _) | (DpopNonce::Needed, None) => self.nonce.taken(now),
            (DpopNonce::Needed, Some(_)) | (DpopNonce::NotNeeded, _) => Default::default(),
        };
        let expect = DpopExpect {
            algorithms: &CLIENT_ALGORITHMS,
            method: request.method,
            url: &format!("{}{}", self.settings.issuer, request.path),
            access_token,
            nonces: &nonces,
            skew: skew(),
        };
        jose::check_dpop(request.dpop, &expect, now).map(Some).map_err(|error| {
            let code = match error {
                DpopError::Nonce => FaultCode::UseDpopNonce,
                _ => FaultCode::InvalidDpopProof,
            };
            Fault::new(code, error.to_string())
        })
    }

    /// Lets a proof be used, this once, by a client that has proved who it is.
    pub(crate) fn use_dpop(
        &self,
        proof: &DpopProof,
        client: &IdentityId,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let until = proof.replay_until;
        let single = Single {
            whose: &proof.jkt.to_string(),
            id: &proof.jti,
            client: client.as_str(),
            issued_at: until.plus_ms(-i64::from(jose::PROOF_AGE_MAX_S) * 1000 - 1),
            until,
        };
        let mut ids = self.dpop_ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.take(&single, now).map_err(|used| {
            Fault::new(FaultCode::InvalidDpopProof, format!("of the DPoP proof's jti: {used}"))
        })
    }

    /// Lets an assertion be used, this once.
    pub(crate) fn use_assertion(&self, assertion: &Single<'_>, now: Timestamp) -> Result<(), Used> {
        // Whoever checked it may have let it live longer by as much.
        let until = assertion.until.plus_ms(i64::from(SKEW_S_MAX) * 1000);
        let mut ids: MutexGuard<'_, Once> =
            self.assertion_ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.take(&Single { until, ..*assertion }, now)
    }
}

pub(crate) fn skew() -> ClockSkew {
    ClockSkew::seconds(SKEW_S).unwrap_or_default()
}

impl Service {
    /// Who asks; `None` where the request says nothing of it.
    pub(crate) async fn client(
        &self,
        desk: &Desk,
        request: &ClientRequest<'_>,
        form: &Form,
        jkt: Option<Thumbprint>,
    ) -> Result<Option<Client>, Fault> {
        let now = self.clock.now();
        let named = form.one("client_id");
        if form.one("client_secret").is_some() {
            let says = "secrets are not taken in the form: use the `Authorization` header";
            return Err(Fault::new(FaultCode::InvalidRequest, says));
        }
        let assertion = (form.one("client_assertion"), form.one("client_assertion_type"));
        let client = match (request.authorization, assertion) {
            ([], (Some(assertion), Some(JWT_ASSERTION))) => signed(desk, assertion, now)?,
            ([], (Some(token), Some(SVID_ASSERTION))) => {
                if !claims_to_be_checked(token)
                    .is_some_and(|claims| is_for_alone(&claims, &desk.settings.issuer))
                {
                    return Err(refused("the SVID is not meant for this issuer alone"));
                }
                let proved = self.authenticate_bearer(token, request.holds(jkt)).await;
                let proof = proved.ok().filter(|proof| proof.method == Method::JwtSvid);
                let proof = proof.ok_or_else(|| refused("the SVID proves no client"))?;
                Client { ends: proof.expires_at, proof }
            }
            ([], (Some(_), Some(_))) => {
                return Err(refused("`client_assertion_type` is none that is taken here"));
            }
            ([header], (None, None)) => self.registered(header)?,
            ([], (None, None)) => match (request.peer, named) {
                (Some(peer), Some(named)) => self.certified(desk, peer, named, now).await?,
                _ => return Ok(None),
            },
            _ => {
                let says = "a client proves itself in one way, and whole";
                return Err(Fault::new(FaultCode::InvalidRequest, says));
            }
        };
        if named.is_some_and(|named| named != client.proof.identity.as_str()) {
            return Err(refused("`client_id` names another client"));
        }
        let world = self.world();
        let known = world.identity(&client.proof.identity);
        if known.is_none_or(|known| known.status != IdentityStatus::Active) {
            return Err(refused("the client is no active identity"));
        }
        Ok(Some(client))
    }

    /// By a token of ours: as it is, or as the secret of `Basic`.
    fn registered(&self, header: &str) -> Result<Client, Fault> {
        let unknown = || refused("the `Authorization` header proves no client");
        let (scheme, rest) = header.split_once(' ').ok_or_else(unknown)?;
        let rest = rest.trim_matches(' ');
        let proof = if scheme.eq_ignore_ascii_case("bearer") {
            self.authenticate(rest).map_err(|_| unknown())?
        } else if scheme.eq_ignore_ascii_case("basic") {
            let (name, secret) = basic_credentials(rest).ok_or_else(unknown)?;
            let proof = self.authenticate(&secret).map_err(|_| unknown())?;
            if proof.identity.as_str() != name {
                return Err(unknown());
            }
            proof
        } else {
            return Err(unknown());
        };
        let ends = self.world().token(&proof.token).map(|token| token.expires_at);
        Ok(Client { proof, ends })
    }

    /// By its certificate: one that is registered, or one that an authority vouches for.
    async fn certified(
        &self,
        desk: &Desk,
        peer: &ClientCertificates,
        named: &str,
        now: Timestamp,
    ) -> Result<Client, Fault> {
        let identity = IdentityId::new(named).map_err(|error| refused(error.to_string()))?;
        let registered = desk.settings.clients.get(&identity);
        if registered.is_some_and(|client| client.certificates.contains(&thumbprint(peer))) {
            return Ok(Client { proof: own_key(identity, now)?, ends: None });
        }
        let proof = self.authenticate_certificates(peer).await;
        let proof = proof.map_err(|_| refused("the certificate proves no client"))?;
        Ok(Client { ends: proof.expires_at, proof })
    }
}

/// By an assertion that it signed itself (RFC 7523 section 3).
fn signed(desk: &Desk, assertion: &str, now: Timestamp) -> Result<Client, Fault> {
    let wrong = |error: jose::JoseError| refused(format!("the client's assertion: {error}"));
    let said = jose::peek(assertion).map_err(wrong)?;
    let name = said.subject.ok_or_else(|| refused("the client's assertion names nobody"))?;
    let identity = IdentityId::new(name).map_err(|error| refused(error.to_string()))?;
    let registered = desk.settings.clients.get(&identity);
    // Whether there is such a client is not told.
    let keys = registered.map(|client| client.keys.clone()).unwrap_or_default();
    let types = Typ::one_of_or_absent(["jwt", "client-authentication+jwt"]);
    let mut expect = Expect::new(CLIENT_ALGORITHMS, types, [desk.settings.issuer.to_string()]);
    expect.issuer = Some(identity.to_string());
    expect.audience_rule = AudienceRule::Alone;
    expect.skew = skew();
    expect.lifetime_max_s = ASSERTION_S_MAX;
    expect.required.insert("jti".to_owned());
    let token = jose::verify(assertion, &expect, &keys, now).map_err(wrong)?;
    // What the strict start requires is there.
    let (Some(id), Some(issued_at)) = (token.token_id.as_deref(), token.issued_at) else {
        return Err(refused("the client's assertion lacks `jti` or `iat`"));
    };
    let (whose, until) = (identity.as_str(), token.expires_at);
    let single = Single { whose, id, client: whose, issued_at, until };
    desk.use_assertion(&single, now)
        .map_err(|used| refused(format!("of the assertion's jti: {used}")))?;
    Ok(Client { proof: own_key(identity, now)?, ends: None })
}

/// The proof of a client by a key of its own. One session follows all of them: a new assertion
/// sheds nothing.
fn own_key(identity: IdentityId, now: Timestamp) -> Result<Authentication, Fault> {
    let token = TokenId::new("client_key").map_err(|error| refused(error.to_string()))?;
    let (method, assurance) = (Method::ClientKey, Assurance::Substantial);
    let (expires_at, task) = (None, None);
    Ok(Authentication { identity, token, method, assurance, at: now, expires_at, task })
}

pub(crate) fn refused(says: impl AsRef<str>) -> Fault {
    Fault::new(FaultCode::InvalidClient, says)
}
