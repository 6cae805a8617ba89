//! Waiting for an answer. Nothing durable is held: whoever waited may come back hours later, in
//! another process, and ask where the request stands.

use std::task::{Poll, Waker};

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
        std::future::poll_fn(|context| {
            let now = self.now();
            let mut state = self.requests.lock();
            let known = state.docket.request(id);
            match known.map(|request: &AccessRequest| request.standing(now)) {
                Some(standing) if standing == seen && state.wake(id, context.waker()) => {
                    Poll::Pending
                }
                standing => Poll::Ready(standing),
            }
        })
        .await
    }
}
