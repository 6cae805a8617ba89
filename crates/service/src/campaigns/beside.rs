//! What lies beside records, in parts that the ledger takes.

use safeconduct_model::{Digest, Value};
use sha2::{Digest as _, Sha256};

use super::fold::Placed;
use crate::{ATTACHED_BYTES_MAX, AppendError, Ledger};

/// How many parts are recorded together: fewer bytes than the ledger's queue takes.
pub(super) const PARTS_AT_ONCE: usize = 4;

/// Bytes in parts: the last goes beside the record that they belong to, the others beside records
/// of their own before it.
pub(super) struct Beside {
    pub(super) digest: Digest,
    pub(super) bytes: usize,
    pub(super) before: Vec<Vec<u8>>,
    pub(super) last: Vec<u8>,
}

impl Beside {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut parts: Vec<Vec<u8>> =
            bytes.chunks(ATTACHED_BYTES_MAX).map(<[u8]>::to_vec).collect();
        let last = parts.pop().unwrap_or_default();
        Self { digest: sha256(bytes), bytes: bytes.len(), before: parts, last }
    }

    /// What the record says of it.
    pub(super) fn said(&self) -> Value {
        Value::object([
            ("bytes", Value::Integer(i64::try_from(self.bytes).unwrap_or(i64::MAX))),
            ("digest", self.digest.to_string().as_str().into()),
            ("parts", Value::Integer(i64::try_from(self.before.len() + 1).unwrap_or(i64::MAX))),
        ])
    }

    /// What the record of a part before it says.
    pub(super) fn part(&self) -> Value {
        Value::object([("of", Value::from(self.digest.to_string().as_str()))])
    }
}

/// Why bytes beside a record cannot be had.
pub(super) enum NotThere {
    /// Not now.
    Later(AppendError),
    /// Not ever.
    Never(String),
}

/// The bytes that belong to a record, put together and held against their digest.
pub(super) fn assemble(
    ledger: &dyn Ledger,
    said: &Value,
    record: &Placed,
    parts: &[(Digest, u64)],
) -> Result<Vec<u8>, NotThere> {
    let never = |why: &str| NotThere::Never(why.to_owned());
    let digest = said.member("digest").and_then(Value::as_str).and_then(Digest::parse);
    let digest = digest.ok_or_else(|| never("a record does not say what lies beside it"))?;
    let mine = parts.iter().filter(|(of, _)| *of == digest).map(|(_, sequence)| *sequence);
    let mut bytes = Vec::new();
    let wanted = said.member("parts").and_then(Value::as_integer).unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(1);
    // A part that was recorded again after others came in between stands there twice.
    let mut before: Vec<u64> = mine.collect();
    if before.len() + 1 < wanted {
        return Err(never("a part of what lay beside a record is missing"));
    }
    before.drain(..before.len() + 1 - wanted);
    for sequence in before.into_iter().chain([record.sequence]) {
        let part = ledger.attachment(sequence).map_err(NotThere::Later)?;
        bytes.extend(part.ok_or_else(|| never("what lay beside a record is gone"))?);
    }
    match sha256(&bytes) == digest {
        true => Ok(bytes),
        false => Err(never("what lies beside a record is not what was recorded")),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}
