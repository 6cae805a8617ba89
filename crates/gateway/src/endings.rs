//! What stops when the authority that it rests on has ended: everybody is woken by one bell and
//! asks for themselves whether theirs still stands.

use safeconduct_model::Authentication;
use safeconduct_service::Watch;
use tokio::sync::watch;

use crate::authority::Authority;
use crate::gateway::Inner;

/// The bell that rings when tasks have ended or the kill switch was used.
pub(crate) struct Endings(watch::Sender<()>);

impl Endings {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    pub(crate) fn bell(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

impl Watch for Endings {
    fn ended(&self) {
        self.0.send_replace(());
    }
}

impl<A: Authority> Inner<A> {
    /// Resolves once that authority no longer stands. What ends by a clock alone (a token's
    /// expiry) is noticed where streams are checked from time to time, and at each decision.
    pub(crate) async fn ended(&self, authentication: &Authentication) {
        // Before the first look, so that no end falls between the two.
        let mut bell = self.endings.bell();
        while self.authority.stands(authentication) {
            if bell.changed().await.is_err() {
                // Nobody rings any more: the gateway itself is ending.
                return std::future::pending().await;
            }
        }
    }
}
