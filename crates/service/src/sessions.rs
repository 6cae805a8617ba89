//! The sessions in memory, each behind its own lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use foldhash::fast::RandomState;
use safeconduct_model::{IdentityId, Network, NetworkDigest, RecordId, SessionKey, SessionScope};
use safeconduct_session::Session;
use safeconduct_session::flow::Flow;

use crate::answered::Answered;
use crate::past::Remembered;
use crate::recall::{Places, Recall, Steps};
use crate::saying::Word;
use crate::tasks::{ENDED_TASKS_MAX, TASKS_MAX, TaskSlot};
use crate::warm::{Cooled, Mercy, Warm};
use crate::{Service, SessionKeys};

/// Most sessions of credentials in memory. A decision of one more session is a Deny. Sessions of
/// tasks take none of their places: there are at most as many as tasks are known.
pub const SESSIONS_MAX: usize = 1_000_000;

/// Most sessions whose keys are in memory. Of the others they are unwrapped again, from the ledger,
/// with the next decision.
pub const KEYS_HELD_MAX: usize = 65_536;

/// One session: its state, its version in the ledger, and its keys once they are needed.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) session: Session,
    /// Proposals that wrote this session since the process started.
    pub(crate) version: u64,
    pub(crate) keys: Option<Arc<dyn SessionKeys>>,
    /// Whether they were used since somebody last looked whether they were.
    keys_used: bool,
    /// Whether what it has read was looked at since somebody last looked whether it was.
    pub(crate) flow_used: bool,
    /// Bytes of it that are counted as held.
    flow_bytes: usize,
    /// The entry whose attachment holds the wrapped keys.
    pub(crate) keys_at: Option<u64>,
    /// The entries whose attachments hold sealed values.
    pub(crate) sealed_at: Steps,
    /// What it remembers for rules of order and count, of tasks that came from it too.
    pub(crate) order: Remembered,
    /// Whether what it has read is in memory.
    pub(crate) recall: Recall,
    /// How often that was read back: whoever adds to it sees by this whether it has been replaced
    /// since.
    pub(crate) recalls: u64,
    /// What servers have said by themselves that it has read.
    pub(crate) heard: Option<Box<crate::hear::Heard>>,
    /// The records by which it has read something; those of tasks that came from it included.
    pub(crate) told: Places,
    /// What was said in it, or in tasks that came from it, and is in no record yet, by the decisions
    /// that let it be said: ids ascend with time, so that it is taken in again in its order.
    pub(crate) saying: BTreeMap<RecordId, Word>,
    /// What its agent has answered to servers that asked.
    pub(crate) answered: Option<Box<Answered>>,
    /// Where its beginning is known from.
    pub(crate) origin: Origin,
    /// From where its last request came, with the digest that stands for it.
    came_from: Option<(Network, NetworkDigest)>,
}

/// Where the beginning of a session is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// From this process, which has seen all of it.
    #[default]
    Process,
    /// From the ledger.
    Ledger,
}

/// How many sessions of ended tasks are kept beyond that, without their state, so that their
/// values can still be erased. Beyond it the next one is not kept.
pub const ARCHIVED_SESSIONS_MAX: usize = 4_000_000;

/// All sessions, by key.
pub(crate) struct Sessions {
    maps: Mutex<Maps>,
    keys: Warm<Mutex<Slot>>,
    flows: Warm<Mutex<Slot>>,
}

#[derive(Default)]
struct Maps {
    live: HashMap<SessionKey, Arc<Mutex<Slot>>, RandomState>,
    /// How many of those are tasks'.
    of_tasks: usize,
    archived: HashMap<SessionKey, Arc<Mutex<Slot>>, RandomState>,
}

impl Maps {
    fn known(&self, key: &SessionKey) -> Option<Arc<Mutex<Slot>>> {
        self.live.get(key).or_else(|| self.archived.get(key)).cloned()
    }

    fn has_room(&self, of_task: bool) -> bool {
        match of_task {
            true => self.of_tasks < TASKS_MAX + ENDED_TASKS_MAX,
            false => self.live.len() - self.of_tasks < SESSIONS_MAX,
        }
    }
}

/// Whether the session follows a task.
const fn is_of_task(key: &SessionKey) -> bool {
    matches!(key.scope, SessionScope::Task(_))
}

impl Slot {
    /// The session of a task in which nothing has been decided yet.
    pub(crate) fn of_task(task: &TaskSlot) -> Self {
        Self {
            session: Session::of_task(),
            keys_at: task.sealed.keys_at,
            sealed_at: Steps::from_iter([task.sealed.mandate_at]),
            recall: Recall::Due,
            ..Self::default()
        }
    }

    /// How many bytes of what it has read, and of what it remembers for rules, are not counted as
    /// held yet.
    pub(crate) fn flow_grown(&mut self) -> usize {
        let answered = self.answered.as_ref().map_or(0, |answered| answered.bytes());
        let read = self.session.flow().map_or(0, Flow::bytes);
        let bytes = answered + read + self.order.bytes();
        let more = bytes.saturating_sub(self.flow_bytes);
        self.flow_bytes += more;
        more
    }

    /// What stands for a place from which the session is used: the network under its own key.
    pub(crate) fn place(&mut self, network: Network, keys: &dyn SessionKeys) -> NetworkDigest {
        if let Some((_, digest)) = self.came_from.filter(|(before, _)| *before == network) {
            return digest;
        }
        // No canonical value begins like this, so that no place looks like an argument.
        let digest = keys.digest(&[b"network:", network.as_bytes().as_slice()].concat());
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        let digest = NetworkDigest::new(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        self.came_from = Some((network, digest));
        digest
    }

    /// Its keys are new: what they make of a place is another digest.
    pub(crate) const fn forget_place(&mut self) {
        self.came_from = None;
    }

    /// Takes note of the keys under which something was just done. Says whether they were not
    /// held before.
    pub(crate) fn hold(&mut self, keys: &Arc<dyn SessionKeys>) -> bool {
        self.keys_used = true;
        self.keys.replace(Arc::clone(keys)).is_none()
    }
}

/// Lets go of a session's keys, unless they lie nowhere else.
fn cool_keys(slot: &Arc<Mutex<Slot>>, mercy: Mercy) -> Cooled {
    let Some(mut slot) = try_lock(slot) else {
        return Cooled::InUse;
    };
    let used = std::mem::take(&mut slot.keys_used) && mercy == Mercy::Once;
    if slot.keys.is_some() && (used || slot.keys_at.is_none()) {
        return Cooled::InUse;
    }
    slot.keys = None;
    Cooled::Gone
}

/// Lets go of what a session has read, but for its label, and of what it remembers for rules of
/// order and count; the rest lies in the ledger.
fn cool_flow(slot: &Arc<Mutex<Slot>>, mercy: Mercy) -> Cooled {
    let Some(mut slot) = try_lock(slot) else {
        return Cooled::InUse;
    };
    if std::mem::take(&mut slot.flow_used) && mercy == Mercy::Once {
        return Cooled::InUse;
    }
    slot.session.let_go();
    slot.forget_answers();
    slot.order.cool();
    slot.flow_bytes = 0;
    slot.recall = Recall::Due;
    Cooled::Gone
}

fn try_lock(slot: &Mutex<Slot>) -> Option<std::sync::MutexGuard<'_, Slot>> {
    match slot.try_lock() {
        Ok(slot) => Some(slot),
        Err(TryLockError::Poisoned(slot)) => Some(slot.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Sessions {
    /// None yet. So many bytes of what sessions have read and remember may be in memory.
    pub(crate) fn new(flow_bytes: usize) -> Self {
        Self {
            maps: Mutex::default(),
            keys: Warm::new(KEYS_HELD_MAX, cool_keys),
            flows: Warm::new(flow_bytes, cool_flow),
        }
    }

    fn maps(&self) -> std::sync::MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of that session, made where there is none; `None` at the limit.
    fn made(&self, key: &SessionKey, new: Slot) -> Option<Arc<Mutex<Slot>>> {
        let mut maps = self.maps();
        if let Some(slot) = maps.known(key) {
            return Some(slot);
        }
        let of_task = is_of_task(key);
        if !maps.has_room(of_task) {
            return None;
        }
        maps.of_tasks += usize::from(of_task);
        let slot = Arc::new(Mutex::new(new));
        maps.live.insert(key.clone(), Arc::clone(&slot));
        Some(slot)
    }

    /// The sessions of an identity that are in memory, in order. Looks at all that there are.
    pub(crate) fn of_identity(&self, identity: &IdentityId) -> Vec<SessionKey> {
        let maps = self.maps();
        let own = maps.live.keys().filter(|key| key.identity == *identity);
        let mut own: Vec<SessionKey> = own.cloned().collect();
        own.sort_unstable_by(|one, other| one.scope.as_str().cmp(other.scope.as_str()));
        own
    }

    /// The slot of that session, where there is one.
    pub(crate) fn known(&self, key: &SessionKey) -> Option<Arc<Mutex<Slot>>> {
        self.maps().known(key)
    }

    /// Takes note that a session holds its keys again; others let go of theirs where there are
    /// too many.
    pub(crate) fn holds_keys(&self, slot: &Arc<Mutex<Slot>>) {
        self.keys.took_up(slot, 1);
    }

    /// Takes note that what a session has read takes so many bytes more; others let go of theirs
    /// where it is too much.
    pub(crate) fn holds_flow(&self, slot: &Arc<Mutex<Slot>>, bytes: usize) {
        if bytes > 0 {
            self.flows.took_up(slot, bytes);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.maps().live.len()
    }

    /// Puts away the session of a task that has ended and is no longer remembered: what was done
    /// in it is in the ledger, and all that is kept is where its values lie. No session's lock may
    /// be held.
    pub(crate) fn archive(&self, task: &TaskSlot) {
        let key = task.session();
        let slot = {
            let mut maps = self.maps();
            let slot = match maps.live.remove(&key) {
                Some(slot) => {
                    maps.of_tasks = maps.of_tasks.saturating_sub(1);
                    slot
                }
                None => Arc::new(Mutex::new(Slot::of_task(task))),
            };
            if maps.archived.len() < ARCHIVED_SESSIONS_MAX {
                maps.archived.insert(key, Arc::clone(&slot));
            }
            slot
        };
        let mut slot = lock(&slot);
        slot.session = Session::default();
        slot.keys = None;
        slot.sealed_at.shrink_to_fit();
        slot.told.clear();
        slot.heard = None;
        slot.saying = BTreeMap::new();
        slot.forget_answers();
        slot.order = Remembered::default();
    }
}

impl Service {
    /// The slot of that session, made where there is none; `None` at the limit. The session of a
    /// task begins with what its task says of it.
    pub(crate) fn session_slot(&self, key: &SessionKey) -> Option<Arc<Mutex<Slot>>> {
        if let Some(slot) = self.sessions.known(key) {
            return Some(slot);
        }
        let task = self.tasks.of_session(key);
        self.sessions.made(key, task.map_or_else(Slot::default, |task| Slot::of_task(&task)))
    }
}

/// The state of a session, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Which session.
    pub key: SessionKey,
    /// Its state.
    pub session: Session,
}

/// Locks a slot. A panic elsewhere cannot have left it half changed: changes are single
/// assignments after the last fallible step.
pub(crate) fn lock(slot: &Mutex<Slot>) -> std::sync::MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
