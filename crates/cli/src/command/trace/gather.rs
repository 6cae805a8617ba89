//! Where the records of a trace are read: a server is asked for what may matter, files are read
//! through.

use std::collections::BTreeSet;

use reqwest::Method;
use safeconduct_model::Timestamp;
use serde_json::Value;

use super::select::{RECORDS_MAX, Records, Subject};
use crate::args::{Shared, Source};
use crate::client::Client;
use crate::command::identity::segment;
use crate::command::records::{self, pages};
use crate::exit::CommandError;
use crate::story::{self, Placed};

/// Kinds that the server's index has by kind and time only.
const BY_KIND: [&str; 16] = [
    "task_began",
    "task_ended",
    "lease_changed",
    "token_minted",
    "token_withdrawn",
    "used_after_end",
    "access_request",
    "signal",
    "killed",
    "kill_lifted",
    "identity_changed",
    "glass_broken",
    "glass_mended",
    "review_due",
    "review_done",
    "remediation",
];

/// Kinds of what may have been said long before, and holds until it is taken back.
const STANDING: [&str; 2] = ["delegation_made", "delegation_ended"];

/// Most causes of causes that are asked for one by one.
const CAUSES_MAX: usize = 256;

/// How much before the first and after the last of what is known records are looked for: in one
/// append, several records have times that differ a little.
const MARGIN_MS: i64 = 60_000;

/// The records of files, read anew each time.
pub(super) struct Files<'a> {
    pub(super) shared: &'a Shared,
    pub(super) source: &'a Source,
    /// Up to and with that time, where one is given.
    pub(super) until: Option<Timestamp>,
}

impl Records for Files<'_> {
    fn each(&self, each: &mut dyn FnMut(&Placed)) -> Result<(), CommandError> {
        records::scan(self.shared, self.source, |placed| {
            let at = || Timestamp::parse(story::text(&placed.record, "/at"));
            if self.until.is_none_or(|until| at().is_some_and(|at| at <= until)) {
                each(&placed);
            }
        })
    }
}

/// What a server knows that may matter, and whether it has more than was asked for.
///
/// # Errors
/// The server cannot be asked, or knows nothing of that name.
pub(super) async fn candidates(
    client: &Client,
    subject: &Subject,
) -> Result<(Vec<Placed>, bool), CommandError> {
    let mut found = Found::default();
    match subject {
        Subject::Task(task) => {
            let path = format!("/v1/tasks/{}", segment(task));
            let known = client.call(Method::GET, &path, &[], None).await?;
            found.session(client, story::text(&known, "/agent"), task).await?;
            found.span(story::text(&known, "/begun_at"));
        }
        Subject::Session(identity, scope) => found.session(client, identity, scope).await?,
        Subject::Record(id) => {
            found.record(client, id).await?;
            let asked = [("parent", id.clone())];
            found.asked(client, &asked).await?;
        }
    }
    let window = found.window();
    for kind in BY_KIND {
        let mut asked = vec![("kind", kind.to_owned())];
        asked.extend(window.clone());
        found.asked(client, &asked).await?;
    }
    for kind in STANDING {
        found.asked(client, &[("kind", kind.to_owned())]).await?;
    }
    if !matches!(subject, Subject::Record(_)) {
        found.tasks_below(client, subject).await?;
    }
    found.causes(client, subject).await?;
    let Found { mut records, more, .. } = found;
    records.sort_by_key(|placed| placed.sequence);
    Ok((records, more))
}

#[derive(Default)]
struct Found {
    records: Vec<Placed>,
    known: BTreeSet<String>,
    more: bool,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Found {
    fn add(&mut self, placed: Placed) {
        if self.known.insert(placed.id().to_owned()) {
            self.records.push(placed);
        }
    }

    fn span(&mut self, at: &str) {
        if let Some(at) = Timestamp::parse(at) {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = Some(self.last.map_or(at, |last| last.max(at)));
        }
    }

    /// When what matters was. A task may be ended, and leases be taken back, long after the last
    /// decision in it: there is no end to it.
    fn window(&self) -> Vec<(&'static str, String)> {
        let since = self.first.map(|first| ("since", first.plus_ms(-MARGIN_MS).to_string()));
        since.into_iter().collect()
    }

    async fn asked(
        &mut self,
        client: &Client,
        asked: &[(&str, String)],
    ) -> Result<(), CommandError> {
        let (records, more) = pages(client, asked, RECORDS_MAX).await?;
        self.more |= more;
        records.into_iter().for_each(|placed| self.add(placed));
        Ok(())
    }

    async fn session(
        &mut self,
        client: &Client,
        identity: &str,
        scope: &str,
    ) -> Result<(), CommandError> {
        let asked = [("identity", identity.to_owned()), ("token", scope.to_owned())];
        let (records, more) = pages(client, &asked, RECORDS_MAX).await?;
        self.more |= more;
        for placed in records {
            self.span(story::text(&placed.record, "/at"));
            self.add(placed);
        }
        Ok(())
    }

    async fn record(&mut self, client: &Client, id: &str) -> Result<(), CommandError> {
        let path = format!("/v1/records/{}", segment(id));
        let answer = client.call(Method::GET, &path, &[], None).await?;
        let placed = Placed::of(&answer).or_else(|| answer.get("record").and_then(Placed::of));
        if let Some(placed) = placed {
            self.span(story::text(&placed.record, "/at"));
            self.add(placed);
        }
        Ok(())
    }

    /// The sessions of the tasks that were begun in the task or session itself.
    async fn tasks_below(
        &mut self,
        client: &Client,
        subject: &Subject,
    ) -> Result<(), CommandError> {
        let mut told: BTreeSet<String> = BTreeSet::new();
        if let Subject::Task(task) = subject {
            told.insert(task.clone());
        }
        loop {
            let below: Vec<(String, String)> = self
                .records
                .iter()
                .filter(|placed| placed.kind() == "task_began" && !told.contains(placed.task()))
                .filter(|placed| {
                    let body = placed.record.get("body").unwrap_or(&Value::Null);
                    told.contains(story::text(body, "/parent"))
                        || matches!(subject, Subject::Session(identity, scope)
                            if story::text(body, "/session/identity") == identity
                                && story::text(body, "/session/token") == scope)
                })
                .map(|placed| {
                    let agent = story::text(&placed.record, "/body/agent");
                    (agent.to_owned(), placed.task().to_owned())
                })
                .collect();
            if below.is_empty() {
                return Ok(());
            }
            for (agent, task) in below {
                self.session(client, &agent, &task).await?;
                told.insert(task);
            }
        }
    }

    /// What caused what is known, as far back as it goes.
    async fn causes(&mut self, client: &Client, subject: &Subject) -> Result<(), CommandError> {
        // What others did meanwhile has causes too, which are not asked for.
        let selected = |records: &Vec<Placed>| super::select::select(records, subject);
        for _ in 0..CAUSES_MAX {
            self.records.sort_by_key(|placed| placed.sequence);
            let chosen = selected(&self.records)?;
            let mut wanted = chosen.records.iter().flat_map(|placed| {
                let approval = placed.record.pointer("/body/approval").and_then(Value::as_str);
                placed.parent().into_iter().chain(approval.filter(|id| id.starts_with("rec_")))
            });
            let Some(missing) = wanted.find(|id| !self.known.contains(*id)) else {
                return Ok(());
            };
            let missing = missing.to_owned();
            self.record(client, &missing).await?;
            self.known.insert(missing);
        }
        self.more = true;
        Ok(())
    }
}
