//! Tells a client that was asked to open the page of a request once that is answered
//! (`notifications/elicitation/complete`, 2025-11-25). It may then make its call again; what was
//! answered is not said.

use std::sync::Arc;

use safeconduct_model::{RecordId, Value};
use safeconduct_service::AccessState;

use super::{Caller, ClientSession, lock};
use crate::authority::Authority;
use crate::message::notification_bytes;

/// Most requests that one session is told of; of more it hears when it calls again.
const WATCHED_MAX: usize = 32;

impl<A: Authority> ClientSession<A> {
    /// What the client said that it can do.
    pub(crate) fn capabilities(&self) -> Option<&Value> {
        self.handshake.member("capabilities")
    }

    /// Tells the client once the request no longer waits for answers, where it still reads.
    pub(crate) fn tell_when_settled(self: &Arc<Self>, request: &RecordId, by: &Caller) {
        {
            let mut watched = lock(&self.watched);
            if watched.len() >= WATCHED_MAX || !watched.insert(request.clone()) {
                return;
            }
        }
        let (session, authority) = (Arc::downgrade(self), Arc::clone(&self.inner.authority));
        let (closed, request, by) = (self.closed.clone(), request.clone(), by.clone());
        self.inner.wiring.tasks.spawn(async move {
            let settled = tokio::select! {
                biased;
                () = closed.cancelled() => return,
                settled = authority.access_changed(&request, AccessState::Pending) => settled,
            };
            let Some(session) = session.upgrade() else { return };
            lock(&session.watched).remove(&request);
            // Where too many wait, nothing has changed yet.
            if settled == Some(AccessState::Pending) {
                return;
            }
            let params = Value::object([("elicitationId", Value::String(request.shared()))]);
            let told = notification_bytes("notifications/elicitation/complete", Some(&params));
            if session.put(told, None, &by).is_err() {
                tracing::debug!(%request, "nobody reads that a request was answered");
            }
        });
    }
}
