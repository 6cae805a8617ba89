//! Digests of tools' definitions: what a pin is compared with.

use safeconduct_model::{Digest, Value};
use sha2::{Digest as _, Sha256};

/// SHA-256 over the canonical bytes of a definition. `wire` says which members of a tool belong
/// to its definition.
pub fn definition_digest(definition: &Value) -> Digest {
    Digest::from_bytes(Sha256::digest(safeconduct_ledger::canonical(definition)).into())
}
