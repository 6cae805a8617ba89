//! Looks at the estate of a running server: when it starts, and again and again.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_service::{LookError, LookReport, ReadModel, Service};
use tokio_util::sync::CancellationToken;

/// How long after the start the first look waits, so that the read model has caught up and
/// nothing else is kept waiting.
const FIRST_AFTER: Duration = Duration::from_secs(30);

/// Looks until told to stop; `every` is how long after the end of one look the next one begins.
pub(super) async fn tend(
    service: Arc<Service>,
    read: Arc<dyn ReadModel>,
    every: Duration,
    stop: CancellationToken,
) {
    let mut wait = FIRST_AFTER;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = every;
        match look(&service, &read).await {
            Ok(report) => tracing::info!(
                opened = report.opened,
                reopened = report.reopened,
                closed = report.closed,
                not_judged = report.not_judged_count,
                "looked at the estate"
            ),
            // Whoever else looks sees the same.
            Err(Unseen::Look(LookError::UnderWay)) => {}
            Err(Unseen::Look(error)) => tracing::error!(%error, "the estate cannot be looked at"),
            Err(Unseen::Thread(error)) => {
                tracing::error!(%error, "the look at the estate broke off");
            }
        }
    }
}

enum Unseen {
    Look(LookError),
    Thread(tokio::task::JoinError),
}

async fn look(service: &Arc<Service>, read: &Arc<dyn ReadModel>) -> Result<LookReport, Unseen> {
    let (at_work, reading) = (Arc::clone(service), Arc::clone(read));
    let look = tokio::task::spawn_blocking(move || at_work.look(&*reading));
    let look = look.await.map_err(Unseen::Thread)?.map_err(Unseen::Look)?;
    service.take_look(look).await.map_err(Unseen::Look)
}
