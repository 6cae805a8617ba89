//! Waiting for an answer. Nothing durable is held: whoever waited may come back hours later, in
//! another process, and ask where the request stands.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use safeconduct_approval::AccessRequest;
use safeconduct_model::RecordId;

use super::{AccessState, Ledgered};
use crate::Service;

/// Most waits at one time. One more ends at once, with the state as it is: ask again later.
pub const WAITS_MAX: usize = 100_000;

impl Ledgered {
    /// Wakes `waker` with the next change of a request; `false` where too many wait.
    fn wake(&mut self, id: &RecordId, waker: &Waker) -> bool {
        let waiting = self.waiting.entry(id.clone()).or_default();
        if waiting.iter().any(|known| known.will_wake(waker)) {
            return true;
        }
        if self.waiters >= WAITS_MAX {
            return false;
        }
        waiting.push(waker.clone());
        self.waiters += 1;
        true
    }

    /// Forgets a waker: whoever gave up waiting takes nobody's place.
    fn forget(&mut self, id: &RecordId, waker: &Waker) {
        let Some(waiting) = self.waiting.get_mut(id) else { return };
        let before = waiting.len();
        waiting.retain(|known| !known.will_wake(waker));
        self.waiters = self.waiters.saturating_sub(before - waiting.len());
        if waiting.is_empty() {
            self.waiting.remove(id);
        }
    }
}

/// A wait for a request. Dropped, it takes no place any more.
struct Wait<'s> {
    service: &'s Service,
    id: &'s RecordId,
    seen: AccessState,
    waker: Option<Waker>,
}

impl Future for Wait<'_> {
    type Output = Option<AccessState>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let wait = &mut *self;
        let now = wait.service.now();
        let mut state = wait.service.requests.lock();
        let known = state.docket.request(wait.id);
        let standing = known.map(|request: &AccessRequest| request.standing(now));
        if standing != Some(wait.seen) {
            return Poll::Ready(standing);
        }
        if let Some(before) = wait.waker.take_if(|before| !before.will_wake(context.waker())) {
            state.forget(wait.id, &before);
        }
        match state.wake(wait.id, context.waker()) {
            true => {
                wait.waker = Some(context.waker().clone());
                Poll::Pending
            }
            false => Poll::Ready(standing),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(waker) = self.waker.take() {
            self.service.requests.lock().forget(self.id, &waker);
        }
    }
}

impl Service {
    /// Where a request stands; `None` where it is not known, or no longer.
    pub fn access_state(&self, id: &RecordId) -> Option<AccessState> {
        let now = self.now();
        self.requests.lock().docket.request(id).map(|request| request.standing(now))
    }

    /// Waits until a request no longer stands as it did when the caller saw it, and says how it
    /// does then: at once where that is so already. A time that is over counts once it is
    /// recorded, which [`Service::sweep_access`] does. `None` where it is not known.
    pub async fn wait_for_access(&self, id: &RecordId, seen: AccessState) -> Option<AccessState> {
        Wait { service: self, id, seen, waker: None }.await
    }

    /// How many wait for some request now.
    pub fn access_waits(&self) -> usize {
        self.requests.lock().waiters
    }
}
