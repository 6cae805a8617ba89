//! Permits whose outcome has not come yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_model::{ActionName, IdentityId, RecordId, SessionKey, Timestamp, Value};

use crate::SessionKeys;
use crate::refold::Call;

/// Most permits that wait for their outcome. At the limit the oldest is recorded as `unknown`.
pub const PENDING_MAX: usize = 1_000_000;

/// A permit that waits for its outcome.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) session: SessionKey,
    pub(crate) action: ActionName,
    /// The enforcement point that asked, and alone may say what happened.
    pub(crate) asked_by: IdentityId,
    pub(crate) keys: Option<Arc<dyn SessionKeys>>,
    /// What may lower the label of its result, where the permit says so.
    pub(crate) declassifiers: Vec<Arc<str>>,
    /// The call, where rules of order and count may look at what comes of it.
    pub(crate) call: Option<Box<Call>>,
    pub(crate) since: Timestamp,
    pub(crate) deadline: Timestamp,
}

impl Pending {
    /// What the call itself said, where that is remembered.
    pub(crate) fn said(&self) -> Option<&Value> {
        self.call.as_deref().map(|call| &call.input)
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
}

impl PendingPermits {
    /// Takes one in; gives back the oldest where there would be too many.
    pub(crate) fn insert(&mut self, id: RecordId, pending: Pending) -> Option<(RecordId, Pending)> {
        let place = self.gone + self.order.len() as u64;
        let before = self.places.insert(id.clone(), place).and_then(|place| self.at(place));
        // No id comes twice; were one to, the later one is what counts.
        if let Some(before) = before.and_then(|at| self.order.get_mut(at)) {
            *before = None;
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
        removed.map(|(_, pending)| pending)
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
            since: Timestamp::from_millis(n),
            deadline: Timestamp::from_millis(n + 1000),
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
