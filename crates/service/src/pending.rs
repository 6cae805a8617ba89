//! Permits whose outcome has not come yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_model::{ActionName, IdentityId, Label, RecordId, SessionKey, Timestamp, Value};

use crate::SessionKeys;
use crate::answered::Begun;
use crate::echoed::{Kept, Spoken};
use crate::refold::Call;
use crate::saying::Word;

/// Most permits that wait for their outcome. At the limit the oldest is recorded as `unknown`.
pub const PENDING_MAX: usize = 1_000_000;

/// Most bytes of the calls of those permits that are held in memory, as they are estimated. Beyond
/// it, of a further call no more is held than whose it is: what comes of it vouches for nothing,
/// what it said on its session's own account was perhaps anything, and rules of order and count
/// take it from the ledger.
pub const PENDING_CALLS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of the fingerprints of what a call said, of whatever length: no more than it said itself.
const ECHO_BYTES_MAX: usize = 256 * 1024;

/// A permit that waits for its outcome. A clone shares what is large.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) session: SessionKey,
    pub(crate) action: ActionName,
    /// The enforcement point that asked, and alone may say what happened.
    pub(crate) asked_by: IdentityId,
    pub(crate) keys: Option<Arc<dyn SessionKeys>>,
    /// What may lower the label of its result, where the permit says so.
    pub(crate) declassifiers: Vec<Arc<str>>,
    /// The call.
    pub(crate) call: Option<Arc<Call>>,
    /// Whether its arguments are held too.
    pub(crate) held: Held,
    /// What goes to the server beside the arguments, where they are held.
    pub(crate) beside: Arc<[Value]>,
    /// The fingerprints of all that, once they were needed.
    pub(crate) echoed: Kept,
    /// What the call says on its session's own account.
    pub(crate) word: Word,
    /// What may have been handed on of its result already.
    pub(crate) hands_on: Option<Label>,
    /// When the call began that it goes on with.
    pub(crate) begun: Begun,
    pub(crate) since: Timestamp,
    pub(crate) deadline: Timestamp,
}

/// How much of a call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// All of it.
    Whole,
    /// Whose it is, of what: its arguments found no room.
    Bare,
}

impl Pending {
    /// What the call itself said, with what was answered while it waited, where all of that is
    /// remembered.
    pub(crate) fn said<'a>(&'a self, answered: Option<&'a [Value]>) -> Option<Spoken<'a>> {
        let call = self.input().into_iter().chain(&*self.beside).collect();
        Some(Spoken::since(call, &self.echoed, answered?)).filter(|_| self.is_whole())
    }

    /// Whether all that the call said is remembered.
    pub(crate) fn is_whole(&self) -> bool {
        self.held == Held::Whole && self.input().is_some()
    }

    fn input(&self) -> Option<&Value> {
        self.call.as_deref().and_then(|call| call.input.as_ref())
    }

    /// Bytes of what the call said, of its fingerprints and of its word in memory, as they are
    /// estimated.
    fn bytes(&self) -> usize {
        let said: usize = self.input().into_iter().chain(&*self.beside).map(weight).sum();
        said + said.min(ECHO_BYTES_MAX) + self.word.bytes()
    }

    /// Lets go of the arguments of its call, and of its word.
    fn strip(&mut self) {
        if matches!(self.word, Word::Said(_)) {
            self.word = Word::Lost;
        }
        self.beside = Arc::default();
        if let Some(call) = &mut self.call {
            let Call { principal, resources, action, .. } = &**call;
            let (principal, action) = (principal.clone(), action.clone());
            *call = Arc::new(Call { principal, resources: resources.clone(), action, input: None });
            self.held = Held::Bare;
        }
    }
}

/// Bytes that a value takes, as they are estimated.
pub(crate) fn weight(value: &Value) -> usize {
    const NODE: usize = 48;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| NODE + name.len() + weight(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Number(_) => 0,
    }
}

/// All of them, in the order in which they were made: new ones are written one behind the other,
/// and the map holds nothing but where they stand.
#[derive(Default)]
pub(crate) struct PendingPermits {
    places: HashMap<RecordId, u64, RandomState>,
    /// What stood here first is at the place `gone`; `None` is one that was answered.
    order: VecDeque<Option<(RecordId, Pending)>>,
    gone: u64,
    /// Bytes of calls that are held.
    bytes: usize,
}

impl PendingPermits {
    /// Takes one in; gives back the oldest where there would be too many.
    pub(crate) fn insert(&mut self, id: RecordId, pending: Pending) -> Option<(RecordId, Pending)> {
        self.insert_within(id, pending, PENDING_CALLS_BYTES_MAX)
    }

    fn insert_within(
        &mut self,
        id: RecordId,
        mut pending: Pending,
        bytes_max: usize,
    ) -> Option<(RecordId, Pending)> {
        if self.bytes.saturating_add(pending.bytes()) > bytes_max {
            pending.strip();
        }
        self.bytes = self.bytes.saturating_add(pending.bytes());
        let place = self.gone + self.order.len() as u64;
        let before = self.places.insert(id.clone(), place).and_then(|place| self.at(place));
        // No id comes twice; were one to, the later one is what counts.
        if let Some(before) = before.and_then(|at| self.order.get_mut(at)) {
            let bytes = before.take().map_or(0, |(_, before)| before.bytes());
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        self.order.push_back(Some((id, pending)));
        if self.places.len() <= PENDING_MAX { None } else { self.take_oldest() }
    }

    pub(crate) fn get(&self, id: &RecordId) -> Option<&Pending> {
        let at = self.at(*self.places.get(id)?)?;
        self.order.get(at)?.as_ref().map(|(_, pending)| pending)
    }

    pub(crate) fn remove(&mut self, id: &RecordId) -> Option<Pending> {
        let at = self.places.remove(id).and_then(|place| self.at(place))?;
        let removed = self.order.get_mut(at)?.take();
        // Answered permits leave their place behind; drop them once they are many.
        if self.order.len() > 1024 && self.order.len() > 2 * self.places.len() {
            self.close_ranks();
        }
        let pending = removed.map(|(_, pending)| pending)?;
        self.bytes = self.bytes.saturating_sub(pending.bytes());
        Some(pending)
    }

    /// Takes out those whose deadline has passed, at most `limit` of them.
    pub(crate) fn overdue(&mut self, now: Timestamp, limit: usize) -> Vec<(RecordId, Pending)> {
        let mut overdue = Vec::new();
        while overdue.len() < limit && self.oldest().is_some_and(|oldest| oldest.deadline <= now) {
            overdue.extend(self.take_oldest());
        }
        overdue
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    fn at(&self, place: u64) -> Option<usize> {
        usize::try_from(place.checked_sub(self.gone)?).ok()
    }

    /// The oldest one that waits; what was answered before it is forgotten.
    fn oldest(&mut self) -> Option<&Pending> {
        while let Some(None) = self.order.front() {
            self.order.pop_front();
            self.gone += 1;
        }
        self.order.front()?.as_ref().map(|(_, pending)| pending)
    }

    fn take_oldest(&mut self) -> Option<(RecordId, Pending)> {
        self.oldest()?;
        self.gone += 1;
        let (id, pending) = self.order.pop_front()??;
        self.places.remove(&id);
        self.bytes = self.bytes.saturating_sub(pending.bytes());
        Some((id, pending))
    }

    fn close_ranks(&mut self) {
        self.order.retain(Option::is_some);
        for (place, waiting) in (self.gone..).zip(self.order.iter().flatten()) {
            if let Some(known) = self.places.get_mut(&waiting.0) {
                *known = place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saying::{Said, own_word};

    fn id(n: i64) -> RecordId {
        RecordId::new(format!("dec_{n}")).unwrap()
    }

    fn pending(n: i64) -> Pending {
        let identity = IdentityId::new("agent").unwrap();
        let token = safeconduct_model::TokenId::new("tok").unwrap();
        Pending {
            session: SessionKey::credential(identity.clone(), token),
            action: ActionName::new("read").unwrap(),
            asked_by: identity,
            keys: None,
            declassifiers: Vec::new(),
            call: None,
            held: Held::Whole,
            beside: Arc::default(),
            echoed: Kept::default(),
            word: Word::Nothing,
            hands_on: None,
            begun: Begun::WithPermit,
            since: Timestamp::from_millis(n),
            deadline: Timestamp::from_millis(n + 1000),
        }
    }

    #[test]
    fn of_calls_that_find_no_room_only_whose_they_are_is_held() {
        let call = |n: usize| {
            Arc::new(Call {
                principal: safeconduct_model::EntityRef::new("Agent", "agent").unwrap(),
                resources: Vec::new(),
                action: ActionName::new("read").unwrap(),
                input: Some(Value::from("x".repeat(n))),
            })
        };
        let mut permits = PendingPermits::default();
        for (n, bytes, whole) in [(1, 900, true), (2, 100, false), (3, 10, true)] {
            let pending = Pending { call: Some(call(bytes)), ..pending(n) };
            permits.insert_within(id(n), pending, 2020);
            let held = permits.get(&id(n)).unwrap();
            assert_eq!(held.said(Some(&[])).is_some(), whole, "{n}");
            assert!(held.call.is_some());
        }
        assert!(permits.remove(&id(1)).is_some());
        permits.insert_within(id(4), Pending { call: Some(call(900)), ..pending(4) }, 2020);
        assert!(permits.get(&id(4)).unwrap().said(Some(&[])).is_some());
        // Nobody knows what was answered meanwhile.
        assert!(permits.get(&id(4)).unwrap().said(None).is_none());
        permits.overdue(Timestamp::from_millis(9000), 10);
        assert_eq!(permits.bytes, 0);
    }

    /// What a call said finds no room either: from then on it may have been anything.
    #[test]
    fn a_word_that_finds_no_room_is_lost_and_not_nothing() {
        let key = safeconduct_session::flow::FlowKey::from_bytes([1; 16]);
        let source = safeconduct_session::flow::Source { sequence: 1, record: id(1) };
        let gleaned = safeconduct_session::flow::Gleaned::anything(own_word(), source);
        let word = Word::Said(Arc::new(Said { gleaned, key }));
        let mut permits = PendingPermits::default();
        for (n, bytes_max, said) in [(1, word.bytes(), true), (2, word.bytes(), false)] {
            let pending = Pending { word: word.clone(), ..pending(n) };
            permits.insert_within(id(n), pending, bytes_max);
            let held = &permits.get(&id(n)).unwrap().word;
            assert_eq!(matches!(held, Word::Said(_)), said);
            assert_eq!(matches!(held, Word::Lost), !said);
        }
    }

    #[test]
    fn each_is_found_until_it_is_answered_or_overdue() {
        let mut permits = PendingPermits::default();
        for n in 0..5000 {
            assert!(permits.insert(id(n), pending(n)).is_none());
        }
        // Most are answered, so that ranks are closed on the way.
        for n in (0..5000).filter(|n| n % 5 != 0) {
            assert_eq!(permits.remove(&id(n)).unwrap().since.as_millis(), n);
            assert!(permits.remove(&id(n)).is_none());
        }
        assert_eq!(permits.len(), 1000);
        assert!(permits.order.len() <= 2001);
        for n in (0..5000).step_by(5) {
            assert_eq!(permits.get(&id(n)).unwrap().since.as_millis(), n);
        }
        let overdue = permits.overdue(Timestamp::from_millis(2000), 10_000);
        let found: Vec<i64> = overdue.iter().map(|(_, p)| p.since.as_millis()).collect();
        assert_eq!(found, (0..=1000).step_by(5).collect::<Vec<_>>());
        assert!(permits.get(&id(1000)).is_none());
        assert_eq!(permits.get(&id(1005)).unwrap().since.as_millis(), 1005);
        assert_eq!(permits.overdue(Timestamp::from_millis(9000), 3).len(), 3);
    }
}
