//! The fourth story: a right that is far too broad, a quarter in which little of it is used, and
//! the review that makes it as small as its use; told by the commands that people type.

use std::path::{Path, PathBuf};

use safeconduct_model::IdentityId;
use serde_json::Value;
use tokio::process::Command;

use super::{MARGIN_MS, quarter};
use crate::command::demo::play::{Play, Told};
use crate::command::log;
use crate::exit::{CommandError, failed};
use crate::output::print_line;
use crate::sample::{self, Sample};
use crate::story::text;
use crate::wiring::project::Project;
use crate::wiring::server::Running;
use crate::wiring::{bootstrap, server};

/// How many calls the agent makes: fewer would mean that it was cut off.
const CALLS: usize = 3;

/// Who acts; who owns it and reviews its rights; who signs that off, and approves changes of the
/// policies.
const AGENT: &str = "file-clerk";
const REVIEWER: &str = "alice";
const OWNER: &str = "bob";

/// The policy file, and what somebody writes into it by hand at the end.
const POLICY: &str = "policies/clerks.cedar";

/// Tells it. Returns whether every step went as expected.
pub(super) async fn tell(python: &Path, folder: &Path) -> Result<bool, CommandError> {
    let world = folder.join("world");
    let file = sample::write(Sample::Reviews, &world)?;
    let project = Project::load(&file)?;
    let (data, keys) = (project.config.data.clone(), project.config.keys.clone());
    let agent = IdentityId::new(AGENT).map_err(|error| failed("identity", error))?;
    let calls = quarter::work(&project, &agent).await?;
    print_line(&format!(
        "A file clerk may do whatever the file server offers. For {} days it has looked around\n\
         and read, {calls} calls, and nothing else. Then somebody looks.\n",
        quarter::DAYS
    ))?;
    let running = server::start(project, ([127, 0, 0, 1], 0).into()).await?;
    let token = bootstrap::mint(&running.service, &agent, MARGIN_MS).await?;
    let desk = Desk {
        world,
        reviewer: Person::at(&running, REVIEWER, folder).await?,
        owner: Person::at(&running, OWNER, folder).await?,
        out: folder.to_owned(),
    };
    let mut well = desk.found().await?;
    let campaign = desk.campaign().await?;
    let change = desk.change(&campaign).await?;
    well &= work(&running, python, &desk.world, &token).await?;
    well &= desk.proved(&change).await?;
    well &= desk.evidence(&campaign, &keys).await?;
    well &= desk.comes_back(&running).await?;
    running.store.publish().await;
    let report = log::verified(&data, &keys)?;
    print_line(&format!("Ledger: {}\n", report.summary))?;
    running.stop().await;
    Ok(well && report.sound)
}

/// The agent works on: what it has always done goes on, and what it never did is denied.
async fn work(
    running: &Running,
    python: &Path,
    world: &Path,
    token: &str,
) -> Result<bool, CommandError> {
    let mut told = Told::from(running.store.records());
    let url = format!("{}/mcp/files", running.url());
    let variables =
        [("SAFECONDUCT_MCP_URL", &*url), ("SAFECONDUCT_TOKEN", token), ("CLERK_MAKES", "deny")];
    let mut play = Play::start(python, &world.join(sample::AGENT), &variables)?;
    while let Some(step) = play.step().await? {
        // The list of tools is asked of nobody.
        if step.get("tools").is_none() {
            told.tell(running, &step).await?;
        }
    }
    Ok(play.ended_well().await? && told.all_well && told.steps == CALLS)
}

/// Those who review, and where they work.
struct Desk {
    /// The project's folder.
    world: PathBuf,
    /// Where they put what they write.
    out: PathBuf,
    reviewer: Person,
    owner: Person,
}

impl Desk {
    /// Somebody looks, and finds that the right is too broad.
    async fn found(&self) -> Result<bool, CommandError> {
        self.reviewer.types(&["review", "findings", "scan"]).await?;
        self.reviewer.types(&["review", "findings", "ls", "--identity", AGENT]).await?;
        Ok(self.broad().await?.is_some_and(|finding| text(&finding, "/state") == "open"))
    }

    /// The finding about the right.
    async fn broad(&self) -> Result<Option<Value>, CommandError> {
        let list = ["review", "findings", "ls", "--kind", "over_broad_grant", "--identity", AGENT];
        let found = self.reviewer.asks(&list).await?;
        Ok(found.pointer("/findings/0").cloned())
    }

    /// A campaign about it: its reviewer looks at the right, and says that it should shrink; its
    /// owner signs that.
    async fn campaign(&self) -> Result<String, CommandError> {
        let file = self.world.join("reviews/clerks.yaml").display().to_string();
        let begun = self.reviewer.asks(&["review", "campaign", "start", &file]).await?;
        let id = text(&begun, "/id").to_owned();
        self.reviewer.types(&["review", "campaign", "items", &id]).await?;
        self.reviewer.types(&["review", "campaign", "item", &id, "0"]).await?;
        let reason = "it looks around and reads, and needs no more";
        let reduce = ["review", "campaign", "decide", &id, "0", "--response", "reduce"];
        self.reviewer.types(&[&reduce[..], &["--reason", reason]].concat()).await?;
        self.owner.types(&["review", "campaign", "close", &id]).await?;
        let shown = self.owner.asks(&["review", "campaign", "show", &id]).await?;
        let digest = text(&shown, "/digest").to_owned();
        self.owner.types(&["review", "campaign", "sign-off", &id, "--over", &digest]).await?;
        Ok(id)
    }

    /// The policy shrinks to what was used: one proposes it, another approves it.
    async fn change(&self, campaign: &str) -> Result<String, CommandError> {
        let draft = self.out.join("draft").display().to_string();
        let reduce = ["policy", "reduce", "--policy", "clerks-work-with-files", "--out", &draft];
        self.reviewer.types(&reduce).await?;
        let planned = self
            .reviewer
            .asks(&["review", "remediate", "schedule", "--campaign", campaign])
            .await?;
        let id = text(&planned, "/ids/0").to_owned();
        let file = format!("clerks.cedar={draft}/clerks.cedar");
        let apply = ["review", "remediate", "apply", &id, "--draft", &file];
        self.reviewer.types(&apply).await?;
        let proposals = self.owner.asks(&["policy", "proposals"]).await?;
        let proposal = text(&proposals, "/proposals/0/id").to_owned();
        self.owner.types(&["policy", "approve", &proposal]).await?;
        Ok(id)
    }

    /// What was taken away is asked for, and what is used.
    async fn proved(&self, change: &str) -> Result<bool, CommandError> {
        let on = |action: &str, path: &str| {
            format!("files.{action} on Path::\"{path}\" with {{\"path\": \"{path}\"}}")
        };
        let (gone, used) = (
            on("create_directory", "/cases/4711/archive"),
            on("read_text_file", "/cases/4711/notes.md"),
        );
        let verify =
            ["review", "remediate", "verify", change, "--denied", &gone, "--permitted", &used];
        let holds = self.reviewer.types(&verify).await? && self.replayed(change).await?;
        self.reviewer.types(&["review", "findings", "scan"]).await?;
        let closed = self.broad().await?.is_none();
        Ok(holds && closed)
    }

    /// What it did in that quarter was decided again: all of it is permitted by what is left.
    async fn replayed(&self, change: &str) -> Result<bool, CommandError> {
        let shown = self.reviewer.asks(&["review", "remediate", "show", change]).await?;
        let count = |name: &str| shown.pointer(&format!("/replay/{name}")).and_then(Value::as_u64);
        let all = count("decisions").unwrap_or_default();
        Ok(all > 0 && count("kept") == Some(all) && text(&shown, "/state") == "verified")
    }

    /// All of it in a folder that verifies with the ledger's public key alone.
    async fn evidence(&self, campaign: &str, keys: &Path) -> Result<bool, CommandError> {
        let out = self.out.join("evidence").display().to_string();
        let key = keys.join("ledger.pub").display().to_string();
        let exported = ["review", "export", campaign, "--out", &out, "--key", &key];
        Ok(self.owner.at_home(&exported).await?
            && self.owner.alone(&["review", "verify", &out, "--key", &key]).await?)
    }

    /// Somebody writes the old text back by hand: the finding is open again.
    async fn comes_back(&self, running: &Running) -> Result<bool, CommandError> {
        print_line("HAND    somebody writes the old policy back into the folder\n")?;
        let broad = sample::text_of(Sample::Reviews, POLICY);
        let file = self.world.join(POLICY);
        std::fs::write(&file, broad).map_err(|error| failed(POLICY, error))?;
        let reloaded = running.reloader.reload("demo").await;
        reloaded.map_err(|error| failed("the policies", error))?;
        self.reviewer.types(&["review", "findings", "scan"]).await?;
        self.reviewer.types(&["review", "findings", "ls", "--identity", AGENT]).await?;
        let again = self.broad().await?.unwrap_or_default();
        Ok(text(&again, "/state") == "open" && again.pointer("/reopened") == Some(&1.into()))
    }
}

/// Somebody at the command line.
struct Person {
    name: &'static str,
    url: String,
    token_file: PathBuf,
    config: PathBuf,
}

impl Person {
    async fn at(
        running: &Running,
        name: &'static str,
        folder: &Path,
    ) -> Result<Self, CommandError> {
        let id = IdentityId::new(name).map_err(|error| failed("identity", error))?;
        let token = bootstrap::mint(&running.service, &id, MARGIN_MS).await?;
        let token_file = folder.join(format!("{name}.token"));
        bootstrap::write_secret(&token_file, &token)?;
        let config = folder.join("world/safeconduct.yaml");
        Ok(Self { name, url: running.url(), token_file, config })
    }

    /// Types a command, and tells what it says. Returns whether it went well.
    async fn types(&self, arguments: &[&str]) -> Result<bool, CommandError> {
        self.told(arguments, self.at_server(arguments)?).await
    }

    /// The same for a command that reads the project's own folders.
    async fn at_home(&self, arguments: &[&str]) -> Result<bool, CommandError> {
        let mut command = Command::new(program()?);
        command.args(arguments).arg("--config").arg(&self.config);
        self.told(arguments, command).await
    }

    /// The same for a command that needs nothing of us.
    async fn alone(&self, arguments: &[&str]) -> Result<bool, CommandError> {
        let mut command = Command::new(program()?);
        command.args(arguments);
        self.told(arguments, command).await
    }

    /// What a command says, as JSON.
    async fn asks(&self, arguments: &[&str]) -> Result<Value, CommandError> {
        let mut command = self.at_server(arguments)?;
        let output = command.args(["--output", "json"]).output().await;
        let output = output.map_err(|error| failed("safeconduct", error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(failed(&arguments.join(" "), said));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| failed(&arguments.join(" "), error))
    }

    fn at_server(&self, arguments: &[&str]) -> Result<Command, CommandError> {
        let mut command = Command::new(program()?);
        command.args(arguments).args(["--url", &self.url, "--token-file"]).arg(&self.token_file);
        command.arg("--config").arg(&self.config);
        Ok(command)
    }

    async fn told(&self, arguments: &[&str], mut command: Command) -> Result<bool, CommandError> {
        let who = self.name.to_uppercase();
        print_line(&format!("{who:6}  safeconduct {}", arguments.join(" ")))?;
        let output = command.output().await.map_err(|error| failed("safeconduct", error))?;
        for said in [&output.stdout, &output.stderr] {
            for line in String::from_utf8_lossy(said).lines() {
                print_line(format!("        {line}").trim_end())?;
            }
        }
        print_line("")?;
        Ok(output.status.success())
    }
}

fn program() -> Result<PathBuf, CommandError> {
    std::env::current_exe().map_err(|error| failed("this program", error))
}
