//! The clock and the ids of a real process.

use std::time::{SystemTime, UNIX_EPOCH};

use safeconduct_model::{RecordId, Timestamp};
use safeconduct_service::{Clock, Ids};
use uuid::Uuid;

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// UUIDs of version 7: in order of time, and with 74 random bits nobody guesses one.
pub(crate) struct UuidIds;

impl Ids for UuidIds {
    #[expect(clippy::expect_used, reason = "a prefix and 32 hexadecimal digits are a name")]
    fn record(&self, prefix: &'static str) -> RecordId {
        let mut digits = Uuid::encode_buffer();
        let digits = Uuid::now_v7().simple().encode_lower(&mut digits);
        RecordId::new([prefix, "_", &*digits].concat())
            .expect("a prefix and 32 hexadecimal digits are a name")
    }
}
