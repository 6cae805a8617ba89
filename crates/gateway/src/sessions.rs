//! The client sessions of a gateway: how many there may be, whose they are, and which one gives
//! way to a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeconduct_model::IdentityId;

use crate::authority::Authority;
use crate::message::{Fault, INTERNAL_ERROR};
use crate::session::ClientSession;

/// Most client sessions. One more ends the one that was quiet for longest, or is refused.
pub const SESSIONS_MAX: usize = 4096;

/// A session that was quiet for so long gives way to another identity's new one where there is
/// no room.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(30);

/// All sessions.
pub(crate) struct Sessions<A: Authority> {
    table: Mutex<Table<A>>,
    per_identity: usize,
}

struct Table<A: Authority> {
    open: HashMap<String, Arc<ClientSession<A>>>,
    /// Handshakes that are under way, by identity.
    opening: HashMap<IdentityId, usize>,
}

/// Why there is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Identity { limit: usize },
    All,
}

impl Full {
    pub(crate) fn fault(self) -> Fault {
        let text = match self {
            Self::Identity { limit } => format!(
                "this identity has {limit} sessions that are in use, the most that it may have; \
                 end one first"
            ),
            Self::All => "too many sessions are open; try again later".to_owned(),
        };
        Fault::new(INTERNAL_ERROR, text)
    }
}

impl<A: Authority> Sessions<A> {
    /// None yet. `per_identity` is the most that one identity may have.
    pub(crate) fn new(per_identity: usize) -> Self {
        let table = Table { open: HashMap::new(), opening: HashMap::new() };
        Self { table: Mutex::new(table), per_identity }
    }

    fn table(&self) -> MutexGuard<'_, Table<A>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for one more session of that identity. Where it has too many, its own
    /// quietest one ends, however short it was quiet: nobody else's room is at stake.
    pub(crate) fn begin(self: &Arc<Self>, identity: &IdentityId) -> Result<Opening<A>, Full> {
        let mut table = self.table();
        let limit = self.per_identity;
        while table.of(identity) >= limit {
            if !table.end_quietest(Some(identity), Duration::ZERO) {
                return Err(Full::Identity { limit });
            }
        }
        let opening: usize = table.opening.values().sum();
        if table.open.len() + opening >= SESSIONS_MAX && !table.make_room(identity) {
            return Err(Full::All);
        }
        *table.opening.entry(identity.clone()).or_default() += 1;
        Ok(Opening { sessions: Arc::clone(self), identity: identity.clone() })
    }

    /// Ends a quiet session, so that one of that identity finds room. Returns whether one ended.
    pub(crate) fn make_room(&self, identity: &IdentityId) -> bool {
        self.table().make_room(identity)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<ClientSession<A>>> {
        self.table().open.get(id).map(Arc::clone)
    }

    pub(crate) fn end(&self, id: &str) {
        let ended = self.table().open.remove(id);
        if let Some(session) = ended {
            session.close();
        }
    }

    pub(crate) fn end_where(&self, ends: impl Fn(&ClientSession<A>) -> bool) {
        self.table().open.retain(|_, session| {
            let stays = !ends(session);
            if !stays {
                session.close();
            }
            stays
        });
    }

    /// Does that with each of them, without holding the others up.
    pub(crate) fn each(&self, act: impl Fn(&ClientSession<A>)) {
        let open: Vec<_> = self.table().open.values().map(Arc::clone).collect();
        open.iter().for_each(|session| act(session));
    }

    /// How many fit.
    pub(crate) fn count(&self, fits: impl Fn(&ClientSession<A>) -> bool) -> usize {
        self.table().open.values().filter(|session| fits(session)).count()
    }
}

impl<A: Authority> Table<A> {
    /// How many sessions an identity has, with those that are about to be.
    fn of(&self, identity: &IdentityId) -> usize {
        let open = self.open.values().filter(|s| s.authentication.identity == *identity).count();
        open + self.opening.get(identity).copied().unwrap_or(0)
    }

    /// An identity's own quiet session goes before anyone else's.
    fn make_room(&mut self, identity: &IdentityId) -> bool {
        self.end_quietest(Some(identity), GIVES_WAY_AFTER)
            || self.end_quietest(None, GIVES_WAY_AFTER)
    }

    /// Ends the session, of that identity or of anyone, that was quiet for longest, where one was
    /// quiet for so long.
    fn end_quietest(&mut self, of: Option<&IdentityId>, after: Duration) -> bool {
        let theirs = |session: &ClientSession<A>| {
            of.is_none_or(|identity| session.authentication.identity == *identity)
        };
        let quietest = self
            .open
            .iter()
            .filter(|(_, session)| theirs(session))
            .filter_map(|(id, session)| Some((session.quiet()?, id.clone())))
            .filter(|(quiet, _)| *quiet >= after)
            .max_by_key(|(quiet, _)| *quiet);
        let Some((_, id)) = quietest else {
            return false;
        };
        if let Some(session) = self.open.remove(&id) {
            let identity = &session.authentication.identity;
            tracing::info!(%identity, "a quiet session gave way to a new one");
            session.close();
        }
        true
    }
}

/// A place for a session whose handshake is under way; given back when it is dropped.
pub(crate) struct Opening<A: Authority> {
    sessions: Arc<Sessions<A>>,
    identity: IdentityId,
}

impl<A: Authority> Opening<A> {
    /// The handshake is through.
    pub(crate) fn opened(self, id: String, session: Arc<ClientSession<A>>) {
        self.sessions.table().open.insert(id, session);
    }
}

impl<A: Authority> Drop for Opening<A> {
    fn drop(&mut self) {
        let mut table = self.sessions.table();
        if let Some(count) = table.opening.get_mut(&self.identity) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.opening.remove(&self.identity);
            }
        }
    }
}
