//! Half-lives and detectors of a running server.

use std::sync::Arc;
use std::thread::JoinHandle;

use safeconduct_risk::HalfLives;
use safeconduct_risk::detect::Tuning;
use safeconduct_service::Service;
use safeconduct_wire::config::Config;

use crate::exit::{CommandError, failed, not_valid};

/// Sets what the configuration says of risk. Comes before the ledger is read.
///
/// # Errors
/// A half-life does not fit.
pub(super) fn prepare(service: &Service, config: &Config) -> Result<(), CommandError> {
    let lives = config
        .risk
        .half_lives
        .iter()
        .try_fold(HalfLives::default(), |lives, (kind, life)| lives.with(kind.0, life.0));
    service.set_half_lives(lives.map_err(|error| not_valid(error.to_string()))?);
    let detectors = &config.risk.detectors;
    if detectors.enabled {
        let kinds = detectors.only.iter().map(|kind| kind.0).collect();
        service.prepare_detectors(Tuning::default().with(&detectors.tuning), kinds);
    }
    Ok(())
}

/// Puts the detectors to work, on a thread of their own, until [`Service::stop_detectors`].
///
/// # Errors
/// There is no thread for them.
pub(super) fn detect(service: &Arc<Service>) -> Result<Option<JoinHandle<()>>, CommandError> {
    let Some(detecting) = service.start_detectors() else {
        return Ok(None);
    };
    let of_thread = Arc::clone(service);
    std::thread::Builder::new()
        .name("detectors".into())
        .spawn(move || detecting.run(&of_thread))
        .map(Some)
        .map_err(|error| failed("the detectors", error))
}
