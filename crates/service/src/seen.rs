//! When identities and credentials were seen to act: from the decisions, so that a restart
//! forgets none of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};

use foldhash::fast::RandomState;
use safeconduct_model::{IdentityId, SessionKey, SessionScope, Timestamp, TokenId};

use crate::{IDENTITIES_MAX, Service, TOKENS_MAX};

/// When someone was seen to act, whatever was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenAt {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
}

/// Who was seen when.
#[derive(Default)]
pub(crate) struct Seen {
    identities: Book<IdentityId>,
    tokens: Book<TokenId>,
}

impl Seen {
    /// A decision of that session. What is beyond the limits of identities and tokens is not
    /// kept: nothing rests on it.
    pub(crate) fn saw(&self, session: &SessionKey, at: Timestamp) {
        self.identities.saw(&session.identity, at, IDENTITIES_MAX);
        if let SessionScope::Credential(token) = &session.scope {
            self.tokens.saw(token, at, TOKENS_MAX);
        }
    }
}

/// Times by name. Who is known already is noted without keeping anyone else waiting.
struct Book<K>(RwLock<HashMap<K, Times, RandomState>>);

struct Times {
    first: AtomicI64,
    last: AtomicI64,
}

impl<K> Default for Book<K> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash + Clone> Book<K> {
    fn saw(&self, who: &K, at: Timestamp, most: usize) {
        let at = at.as_millis();
        if let Some(times) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(who) {
            times.first.fetch_min(at, Ordering::Relaxed);
            times.last.fetch_max(at, Ordering::Relaxed);
            return;
        }
        let mut book = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if book.len() < most {
            let times = || Times { first: AtomicI64::new(at), last: AtomicI64::new(at) };
            let times = book.entry(who.clone()).or_insert_with(times);
            times.last.fetch_max(at, Ordering::Relaxed);
        }
    }

    fn of(&self, who: &K) -> Option<SeenAt> {
        let book = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = |time: &AtomicI64| Timestamp::from_millis(time.load(Ordering::Relaxed));
        book.get(who).map(|times| SeenAt { first: at(&times.first), last: at(&times.last) })
    }
}

impl Service {
    /// When an identity acted, as far as there are decisions of it.
    pub fn identity_seen(&self, identity: &IdentityId) -> Option<SeenAt> {
        self.seen.identities.of(identity)
    }

    /// When a registered token was used outside of tasks.
    pub fn token_seen(&self, token: &TokenId) -> Option<SeenAt> {
        self.seen.tokens.of(token)
    }
}
