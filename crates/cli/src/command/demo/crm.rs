//! The second story: a task, begun for a person, behind whose one tool "summarise this case" is
//! permitted and "export all records" is not.

use std::path::Path;
use std::time::Duration;

use safeconduct_broker::AgeFile;
use safeconduct_service::{ReadModel as _, RecordQuery};
use safeconduct_wire::config::{SecretStore, TargetKind};

use crate::command::demo::play::{Play, Told};
use crate::command::demo::{MARGIN_MS, account, read, run_by};
use crate::command::secret;
use crate::exit::{CommandError, failed};
use crate::output::print_line;
use crate::sample::{self, Sample};
use crate::story::{self, Placed};
use crate::wiring::project::Project;
use crate::wiring::server::Running;
use crate::wiring::{bootstrap, server};

/// How long a lease may take to be taken back before the story went wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many steps the story has: fewer would mean that it was cut off.
const STEPS: usize = 10;

/// The help desk, which begins tasks; the person for whom it does; the agent.
const WHO: [(&str, &str); 3] = [
    ("SAFECONDUCT_ORCHESTRATOR_TOKEN", "help-desk"),
    ("SAFECONDUCT_USER_TOKEN", "alice"),
    ("SAFECONDUCT_TOKEN", "case-agent"),
];

/// Tells it. Returns whether every step went as expected.
pub(super) async fn tell(python: &Path, folder: &Path) -> Result<bool, CommandError> {
    let file = sample::write(Sample::Crm, &folder.join("world"))?;
    let mut project = Project::load(&file)?;
    project.config.data = folder.join("data");
    project.config.keys = folder.join("keys");
    let (data, keys) = (project.config.data.clone(), project.config.keys.clone());
    for upstream in project.config.upstreams.values_mut() {
        run_by(python, upstream);
    }
    keep_key(&project)?;
    let running = server::start(project, ([127, 0, 0, 1], 0).into()).await?;
    print_line(
        "A help desk begins a task for alice: `summarise_customer_case`, of case C-1042. The\n\
         agent works on it behind one tool of the CRM, `crm.records`. The CRM wants an API key,\n\
         which the gateway leases for the task; the agent never sees it.\n",
    )?;
    let mut variables = vec![("SAFECONDUCT_URL".to_owned(), running.url())];
    for (variable, identity) in WHO {
        let id = safeconduct_model::IdentityId::new(identity)
            .map_err(|error| failed("identity", error))?;
        let token = bootstrap::mint(&running.service, &id, MARGIN_MS).await?;
        variables.push((variable.to_owned(), token));
    }
    let variables: Vec<_> = variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let script = file.with_file_name(sample::AGENT);
    let mut play = Play::start(python, &script, &variables)?;
    let mut told = Told::from(running.store.records());
    while let Some(step) = play.step().await? {
        told.tell(&running, &step).await?;
    }
    let went_well = play.ended_well().await? && told.all_well && told.steps == STEPS;
    let given_back = tokio::time::timeout(PATIENCE, leases_over(&running)).await;
    let went_well = went_well && given_back.unwrap_or(Ok(false))?;
    let verified = account(&running, &data, &keys).await?;
    running.stop().await;
    Ok(went_well && verified)
}

/// Waits until every lease is over. Returns whether there was one, and all were taken back.
async fn leases_over(running: &Running) -> Result<bool, CommandError> {
    let model = running.store.read_model();
    loop {
        let read_up_to = model.read_up_to();
        let query = RecordQuery {
            kind: Some("lease_changed".into()),
            limit: 1000,
            ..RecordQuery::default()
        };
        let changes = read(running, &query).await?;
        let count = |state| {
            let is = |placed: &&Placed| story::text(&placed.record, "/body/state") == state;
            changes.iter().filter(is).count()
        };
        if count("revoked") == count("planned") {
            return Ok(count("issued") > 0);
        }
        model.grown_beyond(read_up_to).await;
    }
}

/// Writes the API key of the CRM into the file of secrets, as `safeconduct secret set` does.
fn keep_key(project: &Project) -> Result<(), CommandError> {
    for target in project.config.targets.values() {
        let TargetKind::Secrets(secrets) = &target.kind else { continue };
        let SecretStore::Age { file, identity_file } = &secrets.store else { continue };
        let age = AgeFile::new(file.clone(), identity_file.clone());
        for name in secrets.uses.keys() {
            secret::set(&age, name, sample::CRM_KEY)?;
        }
    }
    Ok(())
}
