//! Since when rights have been held: no record says that of a statement, so each look remembers
//! the rights that it saw for the first time, beside a record of its own.

use std::collections::BTreeMap;

use safeconduct_model::{Digest, ReviewChange, ReviewDetail, ReviewedThing, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The word for a record beside which such rights lie, and its name.
const GRANTS_SEEN: &str = "grants_seen";

/// How many bytes of a right's id are kept: rights that share them share their age.
const KEY_BYTES: usize = 16;

/// Most rights that lie beside one record: 8 MiB.
pub const GRANTS_SEEN_AT_ONCE_MAX: usize = 8 * 1024 * 1024 / KEY_BYTES;

/// Most rights of which it is remembered since when they are held. Beyond, a right is as young as
/// the look that sees it, and gives no finding.
pub const GRANTS_REMEMBERED_MAX: usize = 2_000_000;

/// Why what lies beside such a record is not what was put there: whoever changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the rights beside a record are not those that it speaks of")]
pub struct GrantsSeenError;

#[derive(Serialize, Deserialize)]
struct Form {
    grants: u64,
    sha256: String,
}

/// A record beside which rights lie that were seen for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantsSeen {
    grants: u64,
    sha256: String,
}

impl GrantsSeen {
    /// The record of that change, where it is one.
    pub fn of(change: &ReviewChange) -> Option<Self> {
        if change.what != ReviewedThing::Finding || &*change.event != GRANTS_SEEN {
            return None;
        }
        let Form { grants, sha256 } = serde_json::from_str(change.detail.as_str()).ok()?;
        Some(Self { grants, sha256 })
    }

    /// A record of those rights, the so-manieth one, and what lies beside it.
    ///
    /// # Errors
    /// [`GrantsSeenError`]: more than [`GRANTS_SEEN_AT_ONCE_MAX`] rights, our fault.
    pub fn change(
        grants: &[Digest],
        sequence: u64,
    ) -> Result<(ReviewChange, Vec<u8>), GrantsSeenError> {
        if grants.len() > GRANTS_SEEN_AT_ONCE_MAX {
            return Err(GrantsSeenError);
        }
        let keys = grants.iter().flat_map(|grant| grant.as_bytes().iter().copied().take(KEY_BYTES));
        let beside: Vec<u8> = keys.collect();
        let form = Form { grants: grants.len() as u64, sha256: hex(&beside) };
        let text = serde_json::to_string(&form).map_err(|_| GrantsSeenError)?;
        let detail = ReviewDetail::new(text).map_err(|_| GrantsSeenError)?;
        let change = ReviewChange {
            what: ReviewedThing::Finding,
            id: GRANTS_SEEN.into(),
            sequence,
            event: GRANTS_SEEN.into(),
            about: None,
            by: None,
            detail,
        };
        Ok((change, beside))
    }
}

/// Since when rights have been held, as far as any look saw them.
#[derive(Debug, Clone, Default)]
pub struct FirstSeen(BTreeMap<[u8; KEY_BYTES], Timestamp>);

impl FirstSeen {
    /// When a right was seen first.
    pub fn of(&self, grant: &Digest) -> Option<Timestamp> {
        self.0.get(grant.as_bytes().first_chunk()?).copied()
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.0.len() < GRANTS_REMEMBERED_MAX
    }

    /// Takes rights in that were seen then.
    ///
    /// # Errors
    /// [`GrantsSeenError`]: what lies beside the record is not what was put there.
    pub fn take(
        &mut self,
        record: &GrantsSeen,
        beside: &[u8],
        at: Timestamp,
    ) -> Result<(), GrantsSeenError> {
        let bytes = record.grants.checked_mul(KEY_BYTES as u64);
        if bytes != Some(beside.len() as u64) || hex(beside) != record.sha256 {
            return Err(GrantsSeenError);
        }
        for key in beside.as_chunks().0 {
            let first = self.0.entry(*key).or_insert(at);
            *first = at.min(*first);
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_first_is_read_back_and_no_less_or_more() {
        let grant = |n| Digest::from_bytes([n; 32]);
        let (change, beside) = GrantsSeen::change(&[grant(1), grant(2)], 0).unwrap();
        change.check().unwrap();
        let record = GrantsSeen::of(&change).unwrap();
        let mut seen = FirstSeen::default();
        let at = Timestamp::from_millis;
        seen.take(&record, &beside, at(5)).unwrap();
        assert_eq!((seen.of(&grant(1)), seen.of(&grant(3))), (Some(at(5)), None));
        let (later, again) = GrantsSeen::change(&[grant(2), grant(3)], 1).unwrap();
        seen.take(&GrantsSeen::of(&later).unwrap(), &again, at(9)).unwrap();
        assert_eq!((seen.of(&grant(2)), seen.of(&grant(3))), (Some(at(5)), Some(at(9))));
        assert_eq!(seen.take(&record, &again, at(9)), Err(GrantsSeenError));
        assert_eq!(seen.take(&record, &beside[1..], at(9)), Err(GrantsSeenError));
    }
}
