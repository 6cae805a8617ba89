//! Loading policies, catalogue, intents and trust records again: on change, on SIGHUP, on request.
//! Whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::wiring::counted::Counted;
use notify::{RecursiveMode, Watcher as _};
use safeconduct_api::{
    Controls, Metrics, PolicyStatus, ReloadError, Reloading, TransportWord, UpstreamState,
    UpstreamView,
};
use safeconduct_gateway::Gateway;
use safeconduct_model::{Digest, IdentityId, ServerName};
use safeconduct_service::{LEFT_TO_REGO, RuleSet, Service};
use safeconduct_wire::config::{Config, Transport};
use safeconduct_wire::document::{Word, Written};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::exit::{CommandError, not_valid};
use crate::wiring::gate::{self, NOT_APPROVED};
use crate::wiring::project::{Rules, read_config};
use crate::wiring::prover::{Trust, Trusted};
use crate::wiring::server::folder_of;

/// Changes that come within this time of each other are one: editors write a file in several
/// steps.
const SETTLE: Duration = Duration::from_millis(100);

/// What stands towards the outside.
pub(crate) struct Outward {
    /// The gateway, whose upstreams are shown.
    pub(crate) gateway: Gateway<Counted>,
    /// The trust records in force.
    pub(crate) trust: Arc<Trust>,
}

/// Loads policies, catalogue, intents and trust records again.
pub(crate) struct Reloader {
    service: Arc<Service>,
    config: Arc<Config>,
    file: PathBuf,
    outward: Outward,
    status: Mutex<PolicyStatus>,
    metrics: OnceLock<Arc<Metrics>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

impl Reloader {
    pub(crate) fn new(
        service: Arc<Service>,
        config: Arc<Config>,
        file: PathBuf,
        outward: Outward,
    ) -> Self {
        let status = PolicyStatus { loaded_at: Some(service.now()), refused: None };
        let (status, reloading) = (Mutex::new(status), tokio::sync::Mutex::new(()));
        let metrics = OnceLock::new();
        Self { service, config, file, outward, status, metrics, reloading }
    }

    /// Says where reloads are counted. The first word holds.
    pub(crate) fn count_in(&self, metrics: &Arc<Metrics>) {
        self.metrics.get_or_init(|| Arc::clone(metrics));
    }

    /// The configuration that the server runs with; its trust records may have been replaced.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The gateway: what probes go through.
    pub(super) const fn gateway(&self) -> &Gateway<Counted> {
        &self.outward.gateway
    }

    /// Keeps reloads out while the folder is written.
    pub(super) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reloading.lock().await
    }

    /// The configuration's file.
    pub(crate) fn file(&self) -> &PathBuf {
        &self.file
    }

    fn transport(&self, name: &ServerName) -> TransportWord {
        match self.config.upstreams.get(name).map(|upstream| &upstream.transport) {
            Some(Transport::Http { .. }) => TransportWord::Http,
            // One that a wrapper brought along is a process too.
            Some(Transport::Stdio { .. }) | None => TransportWord::Stdio,
        }
    }

    /// Loads everything again. What is refused is recorded as such, and all that was before stays
    /// in force.
    ///
    /// # Errors
    /// [`ReloadError`] says whose fault it is.
    pub(crate) async fn reload(&self, cause: &str) -> Result<PolicyStatus, ReloadError> {
        self.reload_asked(cause, None).await
    }

    async fn reload_asked(
        &self,
        cause: &str,
        asked_by: Option<&IdentityId>,
    ) -> Result<PolicyStatus, ReloadError> {
        let _alone = self.reloading.lock().await;
        let (config, before) = (Arc::clone(&self.config), self.service.world());
        let (file, trust) = (self.file.clone(), self.outward.trust.current());
        // Validation takes up to a second for a large set: never on the threads that decide.
        let loaded = tokio::task::spawn_blocking(move || {
            let rules = Rules::load(&config, Some(before.policies()))?;
            Ok((rules, read_trust(&file, &trust)?))
        })
        .await
        .map_err(|error| ReloadError::Failed(error.to_string()))?;
        let in_force = self.service.world();
        match loaded {
            Ok((rules, _)) if in_force.policies().would_be_left_to_rego(&rules.policies) => {
                let digest = rules.policies.digest();
                Err(self.refuse(&not_valid(LEFT_TO_REGO.to_owned()), Some(digest)).await)
            }
            Ok((rules, _)) if !self.is_approved(&rules) => {
                let digest = rules.policies.digest();
                Err(self.refuse(&not_valid(NOT_APPROVED.to_owned()), Some(digest)).await)
            }
            Ok((rules, trusted)) => {
                let status = self.enter(rules, cause, asked_by).await?;
                if let Some(trusted) = trusted {
                    let entered = self.outward.trust.replace(&self.service, trusted, cause).await;
                    entered.map_err(|error| ReloadError::Failed(error.to_string()))?;
                }
                Ok(status)
            }
            Err(error) => Err(self.refuse(&error, None).await),
        }
    }

    async fn enter(
        &self,
        rules: Rules,
        cause: &str,
        asked_by: Option<&IdentityId>,
    ) -> Result<PolicyStatus, ReloadError> {
        for warning in &rules.warnings {
            tracing::warn!("{warning}");
        }
        let digest = rules.policies.digest();
        let in_force = RuleSet { asked_by: asked_by.cloned(), ..rules.in_force() };
        let entered = self.service.change_rules(in_force, cause).await;
        entered.map_err(|error| ReloadError::Failed(error.to_string()))?;
        tracing::info!(%digest, cause, "policies and catalogue are loaded");
        let now = self.service.now();
        if let Some(metrics) = self.metrics.get() {
            metrics.policies_loaded(now);
        }
        let status = PolicyStatus { loaded_at: Some(now), refused: None };
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status.clone();
        Ok(status)
    }

    /// Whether what lies in the folder may come in force.
    fn is_approved(&self, rules: &Rules) -> bool {
        gate::is_approved(&self.service, &self.config, rules)
    }

    async fn refuse(&self, error: &CommandError, digest: Option<Digest>) -> ReloadError {
        let problem = match error {
            CommandError::Invalid(problems) => {
                problems.first().map(ToString::to_string).unwrap_or_default()
            }
            other => other.to_string(),
        };
        if let Some(metrics) = self.metrics.get() {
            metrics.policies_refused();
        }
        tracing::error!("the new policies are refused, the ones before stay in force: {error}");
        let known = {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.refused.replace(problem.clone())
        };
        // The same problem again is no news.
        if known.as_ref() != Some(&problem)
            && let Err(error) =
                self.service.record_refused_policies(digest, shortened(&problem)).await
        {
            tracing::error!(%error, "the refusal could not be recorded");
        }
        ReloadError::Refused(problem)
    }

    /// Loads again on every change of the folders and on SIGHUP, until told to stop.
    pub(crate) async fn watch(&self, stop: CancellationToken) {
        let (told, mut changes) = mpsc::channel(1);
        let _watcher = self.watcher(told);
        let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
            .inspect_err(|error| tracing::error!(%error, "SIGHUP cannot be listened for"))
            .ok();
        let mut hung_up = async || match &mut hangup {
            Some(hangup) => hangup.recv().await.is_some(),
            None => std::future::pending().await,
        };
        loop {
            let cause = tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.recv() => match changed {
                    Some(()) => {
                        tokio::time::sleep(SETTLE).await;
                        while changes.try_recv().is_ok() {}
                        "change"
                    }
                    None => return stop.cancelled().await,
                },
                _ = hung_up() => "signal",
            };
            // Refusals are logged and recorded where they are found.
            let _ = self.reload(cause).await;
        }
    }

    fn watcher(&self, told: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
        let folders = [&self.config.policies.folder, &self.config.catalogue];
        let folders: Vec<PathBuf> =
            folders.into_iter().chain(&self.config.intents).cloned().collect();
        let (own, within) = (self.file.file_name().map(ToOwned::to_owned), folders.clone());
        // Beside the configuration lies much else.
        let matters = move |path: &PathBuf| {
            path.file_name() == own.as_deref() || within.iter().any(|one| path.starts_with(one))
        };
        let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| {
                !event.kind.is_access()
                    && (event.paths.is_empty() || event.paths.iter().any(&matters))
            }) {
                // A change that is not yet taken covers this one.
                let _ = told.try_send(());
            }
        });
        let mut watcher = made
            .inspect_err(|error| tracing::error!(%error, "folders cannot be watched; use SIGHUP"))
            .ok()?;
        let all = folders.into_iter().map(|folder| (folder, RecursiveMode::Recursive));
        let own = folder_of(&self.file).ok().map(|own| (own, RecursiveMode::NonRecursive));
        // The last word on a folder counts: one that holds everything is watched in whole.
        for (folder, mode) in own.into_iter().chain(all) {
            if let Err(error) = watcher.watch(&folder, mode) {
                tracing::error!(%error, "a folder cannot be watched; use SIGHUP");
            }
        }
        Some(watcher)
    }
}

/// The trust records as the file has them now; `None` where there is no file, as for a server that
/// was made without one.
fn read_trust(file: &Path, before: &Trusted) -> Result<Option<Trusted>, CommandError> {
    if !file.exists() {
        return Ok(None);
    }
    let config = read_config(file)?;
    Trusted::of(&config, &folder_of(file)?, Some(before)).map(Some)
}

/// A problem's first kilobyte: it has to fit a record.
fn shortened(problem: &str) -> String {
    problem.chars().take(1024).collect()
}

impl Controls for Reloader {
    fn policies(&self) -> PolicyStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reload<'a>(&'a self, by: &'a IdentityId) -> Reloading<'a> {
        Reloading(Box::pin(self.reload_asked(by.as_str(), Some(by))))
    }

    fn upstreams(&self) -> Vec<UpstreamView> {
        let statuses = self.outward.gateway.upstreams().into_iter();
        statuses
            .map(|status| UpstreamView {
                state: match (&status.problem, status.connections) {
                    (Some(_), _) => UpstreamState::Failed,
                    (None, 0) => UpstreamState::Starting,
                    (None, _) => UpstreamState::Ready,
                },
                transport: self.transport(&status.name),
                name: Written(status.name),
                mode: Word(status.mode),
                problem: status.problem,
            })
            .collect()
    }
}
