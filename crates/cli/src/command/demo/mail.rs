//! The third story: a mail that leaves the house needs its owner's yes. The agent is denied and
//! comes back later, in another process; then its session is revoked in the middle of its work.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use safeconduct_credential::jose::{Algorithm, KeySet, SigningKey};
use safeconduct_model::IdentityId;
use safeconduct_service::{
    AccessQuery, AccessState, AccessSummary, Clock as _, ReadModel as _, RecordQuery,
};
use safeconduct_wire::json as exact;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::command::demo::play::{Play, Told};
use crate::command::demo::{MARGIN_MS, account, read, run_by};
use crate::exit::{CommandError, failed};
use crate::output::print_line;
use crate::sample::{self, Sample};
use crate::story;
use crate::system::SystemClock;
use crate::wiring::project::Project;
use crate::wiring::server::Running;
use crate::wiring::{bootstrap, server};

/// How many steps the story has: fewer would mean that it was cut off.
const STEPS: usize = 7;

/// Who acts, and whose agent it is.
const AGENT: &str = "support-agent";
const OWNER: &str = "alice";

/// To whom the mail goes that leaves the house.
const OUTSIDE: &str = "mara.lindqvist@mail.example";

/// The identity provider that tells of revoked sessions, and our name there.
const PROVIDER: &str = "https://idp.example";
const US: &str = "https://safeconduct.example";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// The stream of its events, as it stands in a configuration.
const STREAM: &str = r#"
signals:
  streams:
    idp:
      issuer: https://idp.example
      audience: https://safeconduct.example
      algorithms: [ES256]
      keys: { file: ./idp.keys.json }
      bearer_file: ./idp.token
      subjects: { opaque: "{}" }
"#;

/// Tells it. Returns whether every step went as expected.
pub(super) async fn tell(python: &Path, folder: &Path) -> Result<bool, CommandError> {
    let world = folder.join("world");
    let file = sample::write(Sample::Mail, &world)?;
    let provider = Provider::beside(&file)?;
    let mut project = Project::load(&file)?;
    project.config.data = folder.join("data");
    project.config.keys = folder.join("keys");
    let (data, keys) = (project.config.data.clone(), project.config.keys.clone());
    for upstream in project.config.upstreams.values_mut() {
        run_by(python, upstream);
    }
    let running = server::start(project, ([127, 0, 0, 1], 0).into()).await?;
    print_line(
        "A support agent writes mail. What leaves the house needs a yes of its owner, alice, for\n\
         that very mail. The agent waits for nobody: it goes away, and comes back.\n",
    )?;
    let agent = mint(&running, AGENT).await?;
    let owner = Owner::at(&running, mint(&running, OWNER).await?, folder)?;
    let script = world.join(sample::AGENT);
    let parts = Parts { running: &running, python, script: &script, token: &agent };
    let mut told = Told::from(running.store.records());
    let mut went_well = parts.play("ask", &mut told, None).await?;
    went_well &= match pending(&running) {
        Some(request) => owner.approve(&request).await?,
        None => false,
    };
    went_well &= parts.play("again", &mut told, None).await?;
    went_well &= parts.play("work", &mut told, Some(&provider)).await?;
    went_well &= told.all_well && told.steps == STEPS;
    let verified = account(&running, &data, &keys).await?;
    running.stop().await;
    Ok(went_well && verified)
}

async fn mint(running: &Running, identity: &str) -> Result<String, CommandError> {
    let id = IdentityId::new(identity).map_err(|error| failed("identity", error))?;
    bootstrap::mint(&running.service, &id, MARGIN_MS).await
}

/// The request that waits for an answer.
fn pending(running: &Running) -> Option<AccessSummary> {
    let query =
        AccessQuery { state: Some(AccessState::Pending), limit: 1, ..AccessQuery::default() };
    running.service.access_requests(&query).requests.into_iter().next()
}

/// The agent, each part of it another process.
struct Parts<'a> {
    running: &'a Running,
    python: &'a Path,
    script: &'a Path,
    token: &'a str,
}

impl Parts<'_> {
    /// Plays a part. While something takes long in it, the provider revokes the agent's session.
    async fn play(
        &self,
        part: &str,
        told: &mut Told,
        provider: Option<&Provider>,
    ) -> Result<bool, CommandError> {
        let url = self.running.url();
        let variables =
            [("SAFECONDUCT_URL", &*url), ("SAFECONDUCT_TOKEN", self.token), ("MAIL_PART", part)];
        let mut play = Play::start(self.python, self.script, &variables)?;
        let (mut revoked, mut once) = (true, true);
        while let Some(step) = play.step().await? {
            match (step.get("begins"), provider) {
                (Some(_), Some(provider)) => {
                    let action = format!("mail.{}", story::text(&step, "/tool"));
                    self.decided(&action).await?;
                    revoked &= provider.revoke(&url).await?;
                }
                _ => told.tell(self.running, &step).await?,
            }
            if story::text(&step, "/tool") == "outbox" && provider.is_none() {
                once &= story::text(&step, "/text").matches(OUTSIDE).count() == 1;
            }
        }
        Ok(play.ended_well().await? && revoked && once)
    }

    /// Waits until there is a decision on an action: then it is under way.
    async fn decided(&self, action: &str) -> Result<(), CommandError> {
        let model = self.running.store.read_model();
        loop {
            let read_up_to = model.read_up_to();
            let query =
                RecordQuery { kind: Some("decision".into()), limit: 100, ..RecordQuery::default() };
            let decisions = read(self.running, &query).await?;
            let is = |record: &Value| story::text(record, "/body/action") == action;
            if decisions.iter().any(|placed| is(&placed.record)) {
                return Ok(());
            }
            model.grown_beyond(read_up_to).await;
        }
    }
}

/// The owner of the agent, at the command line.
struct Owner {
    url: String,
    token_file: PathBuf,
}

impl Owner {
    fn at(running: &Running, token: String, folder: &Path) -> Result<Self, CommandError> {
        let token_file = folder.join("alice.token");
        secret(&token_file, &token)?;
        Ok(Self { url: running.url(), token_file })
    }

    /// Looks at a request and approves what was seen. Returns whether that went well.
    async fn approve(&self, request: &AccessSummary) -> Result<bool, CommandError> {
        let id = request.id.as_str();
        let seen = self.command(&["show", id]).await?;
        let digest = request.digest.to_string();
        let approve = ["approve", id, "--yes", "--digest", &digest];
        Ok(seen && self.command(&approve).await?)
    }

    /// Runs `safeconduct approval …`, and tells what it says.
    async fn command(&self, arguments: &[&str]) -> Result<bool, CommandError> {
        let typed: Vec<&str> = arguments.iter().take(2).copied().collect();
        print_line(&format!("OWNER   safeconduct approval {}", typed.join(" ")))?;
        let program = std::env::current_exe().map_err(|error| failed("this program", error))?;
        let output = tokio::process::Command::new(program)
            .arg("approval")
            .args(arguments)
            .args(["--url", &self.url, "--token-file"])
            .arg(&self.token_file)
            .output()
            .await
            .map_err(|error| failed("`safeconduct approval`", error))?;
        for said in [&output.stdout, &output.stderr] {
            for line in String::from_utf8_lossy(said).lines() {
                print_line(format!("        {line}").trim_end())?;
            }
        }
        print_line("")?;
        Ok(output.status.success())
    }
}

/// An identity provider that signs security events with a key of its own.
struct Provider {
    key: SigningKey,
    bearer: String,
}

impl Provider {
    /// One whose stream is in that configuration; its keys and its token are beside it.
    fn beside(file: &Path) -> Result<Self, CommandError> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|error| failed("randomness", error))?;
        let key = SigningKey::from_secret(Algorithm::Es256, &random);
        let key = key.map_err(|error| failed("a key", error))?;
        let set = KeySet::of([key.public().clone()]).map_err(|error| failed("a key", error))?;
        let bearer = uuid::Uuid::new_v4().simple().to_string();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(file.with_file_name(name), bytes).map_err(|error| failed(name, error))
        };
        write("idp.keys.json", &exact::to_bytes(&set.jwks()))?;
        secret(&file.with_file_name("idp.token"), &bearer)?;
        let mut config = std::fs::read(file).map_err(|error| failed("configuration", error))?;
        config.extend_from_slice(STREAM.as_bytes());
        std::fs::write(file, config).map_err(|error| failed("configuration", error))?;
        Ok(Self { key, bearer })
    }

    /// Tells the server that the agent's session is revoked. Returns whether it took that.
    async fn revoke(&self, url: &str) -> Result<bool, CommandError> {
        print_line(&format!(
            "SIGNAL  {PROVIDER} pushes `session-revoked` of {AGENT}, in the middle of its work\n"
        ))?;
        let claims = json!({
            "iss": PROVIDER,
            "aud": US,
            "iat": SystemClock.now().as_millis() / 1000,
            "jti": uuid::Uuid::new_v4().to_string(),
            "sub_id": { "format": "opaque", "id": AGENT },
            "events": { REVOKED: {} },
        });
        let event = self.key.sign("secevent+jwt", &exact::from_serde(&claims));
        let event = event.map_err(|error| failed("a security event", error))?;
        let answer = reqwest::Client::new()
            .post(format!("{url}/v1/signals/streams/idp"))
            .bearer_auth(&self.bearer)
            .header(reqwest::header::CONTENT_TYPE, "application/secevent+jwt")
            .body(event)
            .send()
            .await
            .map_err(|error| failed("the stream of security events", error))?;
        Ok(answer.status() == reqwest::StatusCode::ACCEPTED)
    }
}

/// Writes a file that only its owner may read.
fn secret(file: &Path, text: &str) -> Result<(), CommandError> {
    use std::io::Write as _;
    let name = file.display().to_string();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    let mut opened = opened.map_err(|error| failed(&name, error))?;
    opened.write_all(text.as_bytes()).map_err(|error| failed(&name, error))
}
