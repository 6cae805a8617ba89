//! The policy folder as changes of it find it: read, checked as it would be in force, written file
//! by file, loaded by the way of every reload.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use safeconduct_api::ReloadError;
use safeconduct_model::Digest;
use safeconduct_policy::Policies;
use safeconduct_review::{ProposedTexts, folder_digest};
use safeconduct_service::{
    Checked, EnforcementPoints, GateError, Gated, PointProbe, PolicyGate, Probes, Service,
};
use safeconduct_wire::config::{Config, PolicyChanges};

use crate::command::policy;
use crate::exit::{CommandError, failed, not_valid};
use crate::wiring::journal::{self, Found};
use crate::wiring::project::{Project, Rules, policy_folder, read_config};
use crate::wiring::reload::Reloader;

/// Why a folder does not come in force that nobody has approved.
pub(super) const NOT_APPROVED: &str = "the policy folder is not what was approved, and policies \
    change by proposals here (`policies.changes`): propose it with `safeconduct policy propose`, \
    or put back what is in force";

/// Most problems of a change that are told.
const PROBLEMS_TOLD: usize = 20;

/// Reads a project for a server: a change of the policy folder that a process before left half made
/// is completed first.
///
/// # Errors
/// The folder cannot be written, or as [`Project::load`].
pub(crate) fn project(file: &Path) -> Result<Project, CommandError> {
    make_whole(&read_config(file)?)?;
    Project::load(file)
}

fn make_whole(config: &Config) -> Result<(), CommandError> {
    let folder = &config.policies.folder;
    match journal::complete(folder) {
        Ok(Found::None) => Ok(()),
        Ok(Found::Completed) => {
            tracing::warn!(folder = %folder.display(), "a change of the policies that was half written is whole now");
            Ok(())
        }
        Ok(Found::Edited(names)) => {
            tracing::error!(folder = %folder.display(), ?names, "a change of the policies was half written, and these files were edited since: nothing was overwritten");
            Ok(())
        }
        Err(error) => Err(failed("the policy folder", error)),
    }
}

/// Whether what lies in the folder may come in force.
pub(super) fn is_approved(service: &Service, config: &Config, rules: &Rules) -> bool {
    config.policies.changes == PolicyChanges::Files
        || service.is_approved_folder(folder_digest(&rules.policy_files(config)))
}

/// Looks at the folder before it comes in force with a new process: the digest that is to be
/// recorded where proposals begin to count now.
///
/// # Errors
/// The folder is not what was approved last. Without it the process has no policies that anybody
/// agreed to, and does not start.
pub(super) fn at_start(
    service: &Service,
    config: &Config,
    rules: &Rules,
) -> Result<Option<Digest>, CommandError> {
    if config.policies.changes == PolicyChanges::Files {
        return Ok(None);
    }
    if service.approved_folder().is_none() {
        return Ok(Some(folder_digest(&rules.policy_files(config))));
    }
    match is_approved(service, config, rules) {
        true => Ok(None),
        false => Err(not_valid(NOT_APPROVED.to_owned())),
    }
}

/// Records the folder that proposals begin with.
///
/// # Errors
/// It could not be recorded.
pub(super) async fn begun(service: &Service, first: Option<Digest>) -> Result<(), CommandError> {
    match first {
        None => Ok(()),
        Some(folder) => {
            let recorded = service.import_folder(folder).await;
            recorded.map_err(|error| failed("the policy folder", error))
        }
    }
}

impl PolicyGate for Reloader {
    fn read(&self) -> Gated<'_, BTreeMap<String, String>> {
        let config = Arc::clone(self.config());
        apart(move || policy_folder(&config).map_err(|error| told(&error)))
    }

    fn check(&self, files: BTreeMap<String, String>) -> Gated<'_, Checked> {
        let (config, file) = (Arc::clone(self.config()), self.file().clone());
        apart(move || {
            let rules =
                Rules::with_policies(&config, &files, None).map_err(|error| told(&error))?;
            let warnings = rules.warnings.iter().map(ToString::to_string).collect();
            let project = Project { file, config: Config::clone(&config), rules };
            let ran = policy::all_of(&project).map_err(|error| told(&error))?;
            match ran {
                Ok(tests) => Ok(Checked { warnings, tests }),
                Err(failures) => {
                    Err(GateError::Refused(failures.into_iter().take(PROBLEMS_TOLD).collect()))
                }
            }
        })
    }

    fn draft(
        &self,
        files: BTreeMap<String, String>,
        in_force: Arc<Policies>,
    ) -> Gated<'_, Arc<Policies>> {
        let config = Arc::clone(self.config());
        apart(move || {
            let rules = Rules::with_policies(&config, &files, Some(&in_force));
            Ok(rules.map_err(|error| told(&error))?.policies)
        })
    }

    fn write(&self, texts: ProposedTexts) -> Gated<'_, ()> {
        let config = Arc::clone(self.config());
        Gated(Box::pin(async move {
            // Nothing loads what is half written.
            let _alone = self.alone().await;
            apart(move || {
                let folder = &config.policies.folder;
                journal::change(folder, &texts).map_err(|error| {
                    GateError::Failed(format!("`{}` cannot be written: {error}", folder.display()))
                })
            })
            .await
        }))
    }

    fn load<'a>(&'a self, cause: &'a str) -> Gated<'a, ()> {
        Gated(Box::pin(async move {
            match self.reload(cause).await {
                Ok(_) => Ok(()),
                Err(ReloadError::Refused(problem)) => Err(GateError::Refused(vec![problem])),
                Err(ReloadError::Failed(problem)) => Err(GateError::Failed(problem)),
            }
        }))
    }
}

impl EnforcementPoints for Reloader {
    fn probe(&self, probe: PointProbe) -> Probes<'_> {
        Probes(Box::pin(self.gateway().probe(probe)))
    }
}

/// Never on the threads that decide.
fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GateError> + Send + 'static,
) -> Gated<'static, T> {
    Gated(Box::pin(async move {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| GateError::Failed(error.to_string()))?
    }))
}

fn told(error: &CommandError) -> GateError {
    match error {
        CommandError::Invalid(problems) => {
            let problems = problems.iter().take(PROBLEMS_TOLD).map(ToString::to_string);
            GateError::Refused(problems.collect())
        }
        other => GateError::Failed(other.to_string()),
    }
}
