//! What an upstream gave to be given back, so that what was never given can be told from it: the
//! cursors of its lists, and the resources that were subscribed to. Nobody decides on these, so
//! nothing else may go up in their place.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use safeconduct_model::{Authentication, SessionKey, Value};
use safeconduct_wire::json;

/// Most tasks, or credentials outside of tasks, of one upstream that something is remembered of;
/// the one that was given something longest ago is forgotten first.
const SESSIONS_MAX: usize = 4096;
/// Most that is remembered of one; the oldest is forgotten first.
const GIVEN_OF_ONE_MAX: usize = 1024;

/// What one upstream has given.
#[derive(Default)]
pub(crate) struct Given {
    all: Mutex<All>,
    /// Its keys are this process's own, so that nobody can aim for a collision.
    hashing: RandomState,
}

#[derive(Default)]
struct All {
    of: HashMap<SessionKey, OfOne>,
    clock: u64,
}

#[derive(Default)]
struct OfOne {
    used: u64,
    /// Fingerprints of what was given.
    given: VecDeque<u64>,
}

impl Given {
    /// Remembers that it was given to them, as a thing of that kind: the method that gives it back.
    pub(crate) fn remember(&self, to: &Authentication, kind: &str, value: &Value) {
        let given = self.fingerprint(kind, value);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = SessionKey::of(to);
        if all.of.len() >= SESSIONS_MAX && !all.of.contains_key(&key) {
            let oldest = all.of.iter().min_by_key(|(_, one)| one.used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| all.of.remove(&oldest));
        }
        all.clock += 1;
        let used = all.clock;
        let one = all.of.entry(key).or_default();
        one.used = used;
        if one.given.contains(&given) {
            return;
        }
        if one.given.len() >= GIVEN_OF_ONE_MAX {
            one.given.pop_front();
        }
        one.given.push_back(given);
    }

    /// Whether it was given to them.
    pub(crate) fn holds(&self, by: &Authentication, kind: &str, value: &Value) -> bool {
        let given = self.fingerprint(kind, value);
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.of.get(&SessionKey::of(by)).is_some_and(|one| one.given.contains(&given))
    }

    fn fingerprint(&self, kind: &str, value: &Value) -> u64 {
        self.hashing.hash_one((kind, json::to_bytes(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_model::{Assurance, IdentityId, Method, Timestamp, TokenId};

    fn authentication(token: &str) -> Authentication {
        Authentication {
            identity: IdentityId::new("agent").unwrap(),
            token: TokenId::new(token).unwrap(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: Timestamp::from_millis(0),
            expires_at: None,
            task: None,
        }
    }

    #[test]
    fn only_what_was_given_to_them_is_theirs_to_give_back() {
        let (given, one, two) = (Given::default(), authentication("one"), authentication("two"));
        let cursor = Value::from("c");
        given.remember(&one, "tools/list", &cursor);
        assert!(given.holds(&one, "tools/list", &cursor));
        assert!(!given.holds(&one, "tools/list", &Value::from("secret")));
        assert!(!given.holds(&one, "prompts/list", &cursor));
        assert!(!given.holds(&two, "tools/list", &cursor));
    }

    #[test]
    fn it_is_bounded() {
        let given = Given::default();
        let one = authentication("one");
        for n in 0..=GIVEN_OF_ONE_MAX {
            given.remember(&one, "tools/list", &Value::from(n as i64));
        }
        assert!(!given.holds(&one, "tools/list", &Value::from(0)));
        assert!(given.holds(&one, "tools/list", &Value::from(1)));
        for n in 0..SESSIONS_MAX {
            given.remember(&authentication(&format!("t{n}")), "tools/list", &Value::from(1));
        }
        assert!(!given.holds(&one, "tools/list", &Value::from(1)));
        assert_eq!(given.all.lock().unwrap().of.len(), SESSIONS_MAX);
    }
}
