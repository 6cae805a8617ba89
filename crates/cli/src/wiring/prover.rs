//! Whose word counts for who somebody is: the directory, as the decision point asks it.

use std::path::Path;
use std::sync::Arc;

use safeconduct_credential::jose::Thumbprint;
use safeconduct_directory::{
    Directory, Held, NoApiKeys, Presented, Proof, ProofMethod, TrustRecord,
};
use safeconduct_model::{Method, Timestamp, TokenId};
use safeconduct_service::{Awaited, Prover, Unproved, Vouch, Vouched};
use safeconduct_wire::config::Config;
use tokio_util::sync::CancellationToken;

use crate::exit::CommandError;

/// What stands before a trust record's name in the id of what it vouches for.
const TRUST: &str = "trust:";

/// The directory of a configuration.
pub(crate) struct Trusted(Directory);

impl Trusted {
    /// Of every trust record; `None` where there is none. `folder` is where paths start.
    ///
    /// # Errors
    /// A record does not fit.
    pub(crate) fn of(config: &Config, folder: &Path) -> Result<Option<Arc<Self>>, CommandError> {
        if config.trust.is_empty() {
            return Ok(None);
        }
        let invalid = |error: safeconduct_directory::TrustError| {
            CommandError::Invalid(vec![error.to_string()])
        };
        let records = config.trust.iter();
        let records: Vec<_> = records
            .map(|(name, form)| TrustRecord::new(name, form, folder))
            .collect::<Result<_, _>>()
            .map_err(invalid)?;
        // Registered tokens are the decision point's own to look up.
        let directory = Directory::new(records, Arc::new(NoApiKeys)).map_err(invalid)?;
        Ok(Some(Arc::new(Self(directory))))
    }

    /// Keeps the keys fresh until told to stop.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.0.watch() => {}
        }
    }
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
                    self.0.prove(Presented::Jwt { token, held }, now).await
                }
                Vouched::Certificates(shown) => {
                    let chain: Vec<_> =
                        shown.chain().iter().map(|one| one.as_slice().into()).collect();
                    self.0.prove(Presented::ClientCertificate { chain: &chain }, now).await
                }
            };
            let proof = proof.map_err(|refused| Unproved(refused.to_string()))?;
            vouch(proof)
        })
    }

    fn vouching(&self, token: &TokenId) -> Option<u64> {
        self.0.vouching(token.as_str().strip_prefix(TRUST)?)
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
