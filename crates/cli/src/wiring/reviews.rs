//! What time brings to access reviews.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_service::{ReadModel, Service};
use tokio_util::sync::CancellationToken;

/// How often campaigns are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Opens and closes stages, replaces reviewers who are gone, escalates, reminds and begins what is
/// due, until told to stop. A large estate takes its time: it has a thread of its own meanwhile.
pub(super) async fn tend(service: Arc<Service>, read: Arc<dyn ReadModel>, stop: CancellationToken) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let (service, read) = (Arc::clone(&service), Arc::clone(&read));
        let runtime = tokio::runtime::Handle::current();
        let looked = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                service.tend_campaigns(&*read).await;
                service.schedule_signed_off().await;
            });
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "campaigns could not be looked at");
        }
    }
}
