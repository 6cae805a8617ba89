//! Whose word counts for who somebody is: the directory, as the decision point asks it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use safeconduct_credential::jose::Thumbprint;
use safeconduct_directory::{
    Directory, Held, NoApiKeys, Presented, Proof, ProofMethod, TrustRecord,
};
use safeconduct_model::{Digest, IdentityId, Method, Timestamp, TokenId};
use safeconduct_service::{Awaited, Prover, Service, Unproved, Vouch, Vouched};
use safeconduct_wire::config::{Config, TrustForm};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::exit::{CommandError, failed, not_valid};

/// What stands before a trust record's name in the id of what it vouches for.
const TRUST: &str = "trust:";

/// The trust records of a configuration, and the directory that they make.
pub(crate) struct Trusted {
    directory: Directory,
    forms: BTreeMap<String, TrustForm>,
}

impl Trusted {
    /// Of every trust record. `folder` is where paths start. What `before` knows is kept of the
    /// records that are the same.
    ///
    /// # Errors
    /// A record does not fit.
    pub(crate) fn of(
        config: &Config,
        folder: &Path,
        before: Option<&Self>,
    ) -> Result<Self, CommandError> {
        let invalid = |error: safeconduct_directory::TrustError| not_valid(error.to_string());
        let records = config.trust.iter();
        let records: Vec<_> = records
            .map(|(name, form)| TrustRecord::new(name, form, folder))
            .collect::<Result<_, _>>()
            .map_err(invalid)?;
        let directory = match before {
            // Registered tokens are the decision point's own to look up.
            None => Directory::new(records, Arc::new(NoApiKeys)),
            Some(before) => Directory::following(&before.directory, records, |name| {
                before.forms.get(name) == config.trust.get(name)
            }),
        };
        Ok(Self { directory: directory.map_err(invalid)?, forms: config.trust.clone() })
    }

    /// The directory that they make.
    pub(crate) const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What names this set of records in the ledger.
    fn digest(&self) -> Result<Digest, CommandError> {
        let bytes = serde_json::to_vec(&self.forms).map_err(|error| failed("trust", error))?;
        Ok(Digest::from_bytes(Sha256::digest(bytes).into()))
    }
}

/// The trust records in force.
pub(crate) struct Trust(watch::Sender<Arc<Trusted>>);

impl Trust {
    /// Puts the first ones in force.
    ///
    /// # Errors
    /// They could not be recorded.
    pub(crate) async fn enter(service: &Service, first: Trusted) -> Result<Self, CommandError> {
        let first = Arc::new(first);
        if !first.forms.is_empty() {
            recorded(service, &first, "start").await?;
        }
        Ok(Self(watch::Sender::new(first)))
    }

    /// Those in force.
    pub(crate) fn current(&self) -> Arc<Trusted> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts others in force, where they are others: recorded first, then all at once.
    ///
    /// # Errors
    /// They could not be recorded; those before stay in force.
    pub(crate) async fn replace(
        &self,
        service: &Service,
        next: Trusted,
        cause: &str,
    ) -> Result<(), CommandError> {
        if next.forms == self.current().forms {
            return Ok(());
        }
        let next = Arc::new(next);
        recorded(service, &next, cause).await?;
        tracing::info!(records = next.forms.len(), cause, "trust records are loaded");
        self.0.send_replace(next);
        Ok(())
    }

    /// Keeps the keys of those in force fresh until told to stop.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut current = self.0.subscribe();
        loop {
            let trusted = Arc::clone(&current.borrow_and_update());
            let fresh = async {
                trusted.directory.watch().await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                changed = current.changed() => if changed.is_err() { return },
                () = fresh => {}
            }
        }
    }
}

async fn recorded(
    service: &Service,
    trusted: &Arc<Trusted>,
    cause: &str,
) -> Result<(), CommandError> {
    let records = trusted.forms.len() as u64;
    let prover = (records > 0).then(|| Arc::clone(trusted) as Arc<dyn Prover>);
    let entered = service.change_trust(prover, trusted.digest()?, records, cause).await;
    entered.map_err(|error| failed("the ledger", error))
}

impl Prover for Trusted {
    fn prove<'a>(
        &'a self,
        presented: Vouched<'a>,
        now: Timestamp,
    ) -> Awaited<'a, Result<Vouch, Unproved>> {
        Awaited::of(async move {
            let proof = match presented {
                Vouched::Jwt { token, holds } => {
                    let held = Held {
                        jkt: holds.jkt.map(|jkt| Thumbprint::from_bytes(*jkt.as_bytes())),
                        certificate: holds.certificates.map(|shown| shown.leaf()),
                    };
                    self.directory.prove(Presented::Jwt { token, held }, now).await
                }
                Vouched::Certificates(shown) => {
                    let chain: Vec<_> =
                        shown.chain().iter().map(|one| one.as_slice().into()).collect();
                    self.directory.prove(Presented::ClientCertificate { chain: &chain }, now).await
                }
            };
            let proof = proof.map_err(|refused| Unproved(refused.to_string()))?;
            vouch(proof)
        })
    }

    fn vouching(&self, token: &TokenId) -> Option<u64> {
        self.directory.vouching(token.as_str().strip_prefix(TRUST)?)
    }

    fn issuers_of(&self, identity: &IdentityId) -> Vec<Arc<str>> {
        self.directory.issuers_of(identity)
    }
}

fn vouch(proof: Proof) -> Result<Vouch, Unproved> {
    let token = TokenId::new(format!("{TRUST}{}", proof.trust));
    let token = token.map_err(|error| Unproved(format!("trust record: {error}")))?;
    Ok(Vouch {
        identity: proof.identity,
        token,
        method: match proof.method {
            ProofMethod::JwtSvid => Method::JwtSvid,
            ProofMethod::X509Svid => Method::X509Svid,
            ProofMethod::ApiKey => Method::ApiKey,
            ProofMethod::Oidc
            | ProofMethod::Kubernetes
            | ProofMethod::GithubActions
            | ProofMethod::Person => Method::Oidc,
        },
        assurance: proof.assurance,
        at: proof.authenticated_at,
        expires_at: proof.expires_at,
        may_speak_for_users: proof.may_speak_for_users,
        generation: proof.generation,
    })
}
