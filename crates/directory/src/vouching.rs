//! A trust record with the keys that vouch for it, kept fresh.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use safeconduct_credential::jose::{self, JoseError, KeySet, Verified};
use safeconduct_model::Timestamp;
use tokio::time::sleep;

use crate::cache::{Cache, Want};
use crate::proof::Refused;
use crate::source::{BundleSource, load_bundle, load_keys};
use crate::spiffe::{Bundle, Update, WorkloadApiError, listen};
use crate::trust::{Issuer, TrustRecord};

/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait before a Workload API is tried again.
const RECONNECT_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Vouching {
    pub(crate) record: TrustRecord,
    /// Of an issuer; empty for a trust domain.
    keys: Cache<KeySet>,
    /// Of a trust domain; empty for an issuer.
    bundle: Cache<Bundle>,
}

/// The keys for tokens, from wherever they are.
enum TokenKeys {
    Issuer(Arc<KeySet>),
    Domain(Arc<Bundle>),
}

impl TokenKeys {
    fn set(&self) -> &KeySet {
        match self {
            Self::Issuer(keys) => keys,
            Self::Domain(bundle) => &bundle.jwt_keys,
        }
    }
}

impl Vouching {
    pub(crate) fn new(record: TrustRecord) -> Self {
        let (keys, bundle) = (Cache::new(record.schedule), Cache::new(record.schedule));
        Self { record, keys, bundle }
    }

    /// Checks a token; where its key is not known, keys are fetched once more, if that is allowed
    /// now.
    pub(crate) async fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, Refused> {
        let check = |keys: &TokenKeys| jose::verify(token, &self.record.expect, keys.set(), now);
        let first = check(&self.token_keys(Want::Good).await?);
        let result = match first {
            Err(JoseError::UnknownKey { .. }) => check(&self.token_keys(Want::Newer).await?),
            other => other,
        };
        result.map_err(|error| Refused::Token { trust: self.record.name.clone(), error })
    }

    async fn token_keys(&self, want: Want) -> Result<TokenKeys, Refused> {
        match &self.record.issuer {
            Issuer::TrustDomain { .. } => self.bundle_for(want).await.map(TokenKeys::Domain),
            Issuer::Url { issuer, source } => {
                let load = async |_: Option<Arc<KeySet>>| {
                    load_keys(issuer, source, &self.record.rules).await.map(|keys| (keys, None))
                };
                let keys = self.keys.get(&self.record.name, want, load).await;
                keys.map(TokenKeys::Issuer).ok_or_else(|| self.no_keys())
            }
        }
    }

    /// Counts the changes of the keys.
    pub(crate) fn generation(&self) -> u64 {
        match &self.record.issuer {
            Issuer::TrustDomain { .. } => self.bundle.generation(),
            Issuer::Url { .. } => self.keys.generation(),
        }
    }

    /// Whether there are keys that count, and that were not all taken back.
    pub(crate) fn vouches(&self) -> bool {
        match &self.record.issuer {
            Issuer::TrustDomain { .. } => {
                self.bundle.peek().is_some_and(|bundle| !bundle.is_empty())
            }
            Issuer::Url { .. } => self.keys.peek().is_some_and(|keys| !keys.keys().is_empty()),
        }
    }

    /// The bundle of the trust domain, which vouches for something.
    pub(crate) async fn bundle(&self) -> Result<Arc<Bundle>, Refused> {
        self.bundle_for(Want::Good).await
    }

    async fn bundle_for(&self, want: Want) -> Result<Arc<Bundle>, Refused> {
        let Issuer::TrustDomain { trust_domain, source, .. } = &self.record.issuer else {
            return Err(self.no_keys());
        };
        let bundle = match source {
            BundleSource::WorkloadApi(_) => self.bundle.peek(),
            _ => {
                let load = async |known: Option<Arc<Bundle>>| {
                    load_bundle(trust_domain, source, &self.record.rules, known).await
                };
                self.bundle.get(&self.record.name, want, load).await
            }
        };
        let bundle = bundle.ok_or_else(|| self.no_keys())?;
        if bundle.is_empty() {
            return Err(Refused::Revoked { trust: self.record.name.clone() });
        }
        Ok(bundle)
    }

    fn no_keys(&self) -> Refused {
        Refused::NoKeys { trust: self.record.name.clone() }
    }

    /// Keeps the keys fresh, for ever.
    pub(crate) async fn watch(&self) {
        let Issuer::TrustDomain { source: BundleSource::WorkloadApi(address), .. } =
            &self.record.issuer
        else {
            loop {
                // What fails is logged where it fails.
                drop(self.token_keys(Want::Good).await);
                sleep(TICK).await;
            }
        };
        let mut wait = TICK;
        loop {
            let told = AtomicBool::new(false);
            let ended = tokio::select! {
                ended = self.listen(address, &told) => ended,
                never = self.keep_alive(&told) => match never {},
            };
            match ended {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(trust = %self.record.name, %error, "the Workload API is away");
                    if matches!(error, WorkloadApiError::Refused(_)) {
                        self.redact();
                    }
                }
            }
            wait = if told.load(Ordering::Relaxed) { TICK } else { (wait * 2).min(RECONNECT_MAX) };
            sleep(wait).await;
        }
    }

    async fn listen(&self, address: &str, told: &AtomicBool) -> Result<(), WorkloadApiError> {
        let Issuer::TrustDomain { trust_domain, .. } = &self.record.issuer else { return Ok(()) };
        let tell = |update| {
            told.store(true, Ordering::Relaxed);
            match update {
                Update::Bundle(bundle) => self.bundle.put(bundle),
                Update::Redacted => self.redact(),
            }
        };
        listen(address, trust_domain, tell).await
    }

    /// While a stream stands, what it said last is the state, however long ago it said so.
    async fn keep_alive(&self, told: &AtomicBool) -> Infallible {
        loop {
            sleep(TICK).await;
            if told.load(Ordering::Relaxed) {
                self.bundle.touch();
            }
        }
    }

    /// Nothing vouches for the domain any more; that is known, and not merely stale.
    fn redact(&self) {
        if let Issuer::TrustDomain { trust_domain, .. } = &self.record.issuer {
            self.bundle.put(Bundle::none(trust_domain.clone()));
        }
    }
}
