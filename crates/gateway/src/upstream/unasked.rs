//! What a server asks where nobody is there to answer: refused, within a bound.

use std::sync::{Arc, Weak};

use tokio::sync::Semaphore;

use super::Connection;
use crate::message::{Answer, Request, response_bytes};

/// Most answers of one conversation that wait for the server to take them. More of what it asks
/// is dropped without an answer: a server that reads none would otherwise fill the memory.
pub(crate) const ANSWERS_MAX: usize = 64;

/// Answers a server by itself.
pub(crate) struct Unasked {
    connection: Weak<Connection>,
    answering: Arc<Semaphore>,
}

impl Unasked {
    pub(crate) fn new(connection: Weak<Connection>) -> Self {
        Self { connection, answering: Arc::new(Semaphore::new(ANSWERS_MAX)) }
    }

    /// Answers a request. Must not wait.
    pub(crate) fn answer(&self, request: Request, answer: Answer) {
        let Some(connection) = self.connection.upgrade() else {
            return;
        };
        let server = &connection.config.name;
        let Ok(slot) = Arc::clone(&self.answering).try_acquire_owned() else {
            tracing::warn!(%server, "a request of a server that reads no answers was dropped");
            return;
        };
        let tasks = connection.tasks().clone();
        tasks.spawn(async move {
            // A server that is gone needs no answer, and none is started again to be given one.
            if let Some(live) = connection.once_open().await {
                let _ = live.link.send(response_bytes(Some(&request.id), &answer)).await;
            }
            drop(slot);
        });
    }
}
