//! The registered API keys, as the directory asks for them. What a key looks like is
//! [`safeconduct_credential::api_key`]'s to say.

use safeconduct_model::{Digest, Token};

pub use safeconduct_credential::api_key::{ApiKeyError, KEY_CHARS, PREFIX, mint, recognise};

/// The keys that are registered. The directory asks by digest and never hands on a key.
pub trait ApiKeys: Send + Sync {
    /// The key of that digest. A revoked or expired one may be found; it is refused then.
    fn find(&self, digest: &Digest) -> Option<Token>;
}

/// No key is registered.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoApiKeys;

impl ApiKeys for NoApiKeys {
    fn find(&self, _: &Digest) -> Option<Token> {
        None
    }
}
