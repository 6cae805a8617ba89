//! The second story: a task, begun for a person, behind whose one tool "summarise this case" is
//! permitted and "export all records" is not.

use std::path::Path;

use crate::command::demo::play::{Play, Told};
use crate::command::demo::{MARGIN_MS, account};
use crate::exit::{CommandError, failed};
use crate::output::print_line;
use crate::sample::{self, Sample};
use crate::wiring::project::Project;
use crate::wiring::{bootstrap, server};

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
    let running = server::start(project, ([127, 0, 0, 1], 0).into()).await?;
    print_line(
        "A help desk begins a task for alice: `summarise_customer_case`, of case C-1042. The\n\
         agent works on it behind one tool of the CRM, `crm.records`.\n",
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
    let verified = account(&running, &data, &keys).await?;
    running.stop().await;
    Ok(went_well && verified)
}

/// The CRM is a Python program: the Python that has the MCP SDK runs it.
fn run_by(python: &Path, upstream: &mut safeconduct_wire::config::Upstream) {
    if let safeconduct_wire::config::Transport::Stdio { command, .. } = &mut upstream.transport {
        *command = python.display().to_string();
    }
}
