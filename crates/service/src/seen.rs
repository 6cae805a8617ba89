//! When identities and credentials were seen to act: from the decisions, so that a restart
//! forgets none of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use safeconduct_model::{
    EntityRef, EntityType, IdentityId, SessionKey, SessionScope, Timestamp, TokenId,
};

use crate::{IDENTITIES_MAX, Service, TOKENS_MAX};

/// Most of those who appeared and are not registered that are kept, of each sort. Beyond, who is
/// new is not listed: nothing else rests on it.
pub const APPEARED_MAX: usize = 100_000;

/// As what somebody appeared who is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AppearedAs {
    /// They asked for a decision.
    Caller,
    /// An enforcement point spoke of them.
    Subject,
    /// They proved who they are, and were turned away. Known since the process began: what is not
    /// let in leaves no record.
    TurnedAway,
}

impl AppearedAs {
    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Subject => "subject",
            Self::TurnedAway => "turned_away",
        }
    }
}

/// Somebody who appeared and is not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unregistered {
    /// Who.
    pub id: Arc<str>,
    /// Of what types enforcement points said that they are.
    pub types: BTreeSet<EntityType>,
    /// As what they appeared.
    pub appeared: BTreeSet<AppearedAs>,
    /// When.
    pub seen: SeenAt,
}

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
    /// Those of whom enforcement points spoke and who were not registered then.
    subjects: Book<EntityRef>,
    /// Those who proved who they are and were not registered then.
    turned_away: Book<IdentityId>,
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

    /// Somebody proved to be that identity, which nobody has registered.
    pub(crate) fn turned_away(&self, identity: &IdentityId, at: Timestamp) {
        self.turned_away.saw(identity, at, APPEARED_MAX);
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

    fn each(&self, mut look: impl FnMut(&K, SeenAt)) {
        let book = self.0.read().unwrap_or_else(PoisonError::into_inner);
        book.iter().for_each(|(who, times)| look(who, times.seen()));
    }

    fn of(&self, who: &K) -> Option<SeenAt> {
        let book = self.0.read().unwrap_or_else(PoisonError::into_inner);
        book.get(who).map(Times::seen)
    }
}

impl Times {
    fn seen(&self) -> SeenAt {
        let at = |time: &AtomicI64| Timestamp::from_millis(time.load(Ordering::Relaxed));
        SeenAt { first: at(&self.first), last: at(&self.last) }
    }
}

impl Service {
    /// A decision of that session about that principal.
    pub(crate) fn saw(&self, session: &SessionKey, principal: Option<&EntityRef>, at: Timestamp) {
        self.seen.saw(session, at);
        let Some(principal) = principal else { return };
        if principal.id.as_str() == session.identity.as_str() {
            return;
        }
        let id = IdentityId::new(principal.id.shared()).ok();
        let world = self.world.load();
        let known = id.and_then(|id| world.identities.get(&id).cloned());
        if known.is_none_or(|known| known.entity.uid != *principal) {
            self.seen.subjects.saw(principal, at, APPEARED_MAX);
        }
    }

    /// Those who appeared and are not registered: by id after that one, at most so many.
    pub fn unregistered(&self, after: Option<&str>, most: usize) -> Vec<Unregistered> {
        let world = self.world();
        let beyond = |id: &str| after.is_none_or(|after| id > after);
        let mut found: BTreeMap<Arc<str>, Unregistered> = BTreeMap::new();
        let mut appeared = |id: Arc<str>, ty: Option<EntityType>, how, seen: SeenAt| {
            let one = found.entry(Arc::clone(&id)).or_insert_with(|| Unregistered {
                id,
                types: BTreeSet::new(),
                appeared: BTreeSet::new(),
                seen,
            });
            one.types.extend(ty);
            one.appeared.insert(how);
            one.seen.first = one.seen.first.min(seen.first);
            one.seen.last = one.seen.last.max(seen.last);
            // Whoever has this many before them stays out.
            if found.len() > most {
                found.pop_last();
            }
        };
        let books = [
            (&self.seen.identities, AppearedAs::Caller),
            (&self.seen.turned_away, AppearedAs::TurnedAway),
        ];
        for (book, how) in books {
            book.each(|id, seen| {
                if beyond(id.as_str()) && world.identity(id).is_none() {
                    appeared(id.shared(), None, how, seen);
                }
            });
        }
        self.seen.subjects.each(|principal, seen| {
            let id = IdentityId::new(principal.id.shared()).ok();
            let registered = id.and_then(|id| world.principal_of(&id));
            if beyond(principal.id.as_str()) && registered.as_ref() != Some(principal) {
                let ty = Some(principal.ty.clone());
                appeared(principal.id.shared(), ty, AppearedAs::Subject, seen);
            }
        });
        found.into_values().collect()
    }

    /// When an identity acted, as far as there are decisions of it.
    pub fn identity_seen(&self, identity: &IdentityId) -> Option<SeenAt> {
        self.seen.identities.of(identity)
    }

    /// When a registered token was used outside of tasks.
    pub fn token_seen(&self, token: &TokenId) -> Option<SeenAt> {
        self.seen.tokens.of(token)
    }
}
