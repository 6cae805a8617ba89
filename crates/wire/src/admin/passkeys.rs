//! Passkeys: which a person has. None is registered here, which takes a browser.

use safeconduct_model::{IdentityId, Passkey, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::Written;

/// Passkeys, by id.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PasskeyList {
    /// The passkeys of this page.
    pub passkeys: Vec<PasskeyView>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A passkey, without the key that checks its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PasskeyView {
    /// Its id: the credential id in base64url without padding.
    pub id: String,
    /// Whose it is.
    pub identity: Written<IdentityId>,
    /// What its owner calls it.
    pub name: String,
    /// Where it can be used: a domain.
    pub rp: String,
    /// Which model of authenticator says it made it, unproved: a UUID, all zeros where none.
    pub aaguid: String,
    /// When it was registered.
    pub registered_at: Written<Timestamp>,
    /// How many signatures it had counted when it was last used; 0 where it does not count.
    pub counter: u32,
    /// Whether it may leave the device that made it, as synchronised ones do.
    pub synced: bool,
}

impl From<&Passkey> for PasskeyView {
    fn from(passkey: &Passkey) -> Self {
        Self {
            id: passkey.id.as_str().to_owned(),
            identity: Written(passkey.identity.clone()),
            name: passkey.name.to_string(),
            rp: passkey.rp.to_string(),
            aaguid: passkey.aaguid.to_string(),
            registered_at: Written(passkey.registered_at),
            counter: passkey.counter,
            synced: passkey.synced,
        }
    }
}
