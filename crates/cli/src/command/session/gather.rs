//! The records of a session: through the server, from the data folder, or from an export.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{Shared, Source};
use crate::client::Client;
use crate::command::identity::segment;
use crate::command::records::{pages, scan};
use crate::exit::CommandError;
use crate::story::{self, Placed};
use crate::wiring::runtime;

/// Most records of one session that are shown: the newest.
pub(super) const RECORDS_MAX: usize = 20_000;

/// Which session: whose, and what it follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) identity: String,
    pub(super) scope: String,
}

impl Key {
    /// Of the body of a record, or of what it says of a session.
    fn of(body: &Value) -> Option<Self> {
        let session = body.get("session").unwrap_or(body);
        let part = |name: &str| session.get(name).and_then(Value::as_str);
        let scope = part("task").or_else(|| part("token"))?;
        Some(Self { identity: part("identity")?.to_owned(), scope: scope.to_owned() })
    }

    /// Of `IDENTITY/SCOPE`. An identity may hold slashes, a token's or task's id never does.
    fn parse(text: &str) -> Option<Self> {
        let (identity, scope) = text.rsplit_once(['/', '#'])?;
        Some(Self { identity: identity.to_owned(), scope: scope.to_owned() })
    }
}

/// A session's records, in their order.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) key: Key,
    pub(super) records: Vec<Placed>,
    /// Whether there are older ones that are left out.
    pub(super) more: bool,
}

/// The session of that name: `IDENTITY/SCOPE`, a task, or the id of a record in it.
///
/// # Errors
/// The server or the folder cannot be read, or nothing of that name is there.
pub(super) fn session(
    shared: &Shared,
    source: &Source,
    id: &str,
) -> Result<Gathered, CommandError> {
    if source.is_local() {
        return from_files(shared, source, id);
    }
    runtime()?.block_on(async {
        let client = Client::new(shared, &source.remote)?;
        let key = named(&client, id).await?;
        let asked = [("identity", key.identity.clone()), ("token", key.scope.clone())];
        let (mut records, more) = pages(&client, &asked, RECORDS_MAX).await?;
        if records.is_empty() {
            return Err(nothing(id));
        }
        records.reverse();
        Ok(Gathered { key, records, more })
    })
}

/// The newest sessions, each with the place of its beginning.
///
/// # Errors
/// The server or the folder cannot be read.
pub(super) fn sessions(
    shared: &Shared,
    source: &Source,
    limit: u32,
) -> Result<Vec<(Key, Placed)>, CommandError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, RECORDS_MAX);
    let began = if source.is_local() {
        let mut began = Vec::new();
        scan(shared, source, |placed| {
            if placed.kind() == "session_began" {
                began.push(placed);
                if began.len() > 2 * limit {
                    began.drain(..limit);
                }
            }
        })?;
        began.reverse();
        began.truncate(limit);
        began
    } else {
        runtime()?.block_on(async {
            let client = Client::new(shared, &source.remote)?;
            let asked = [("kind", "session_began".to_owned())];
            Ok::<_, CommandError>(pages(&client, &asked, limit).await?.0)
        })?
    };
    let keyed = began.into_iter().filter_map(|placed| {
        let key = Key::of(placed.record.get("body")?)?;
        Some((key, placed))
    });
    Ok(keyed.collect())
}

/// The session that a name stands for.
async fn named(client: &Client, id: &str) -> Result<Key, CommandError> {
    if let Some(key) = Key::parse(id) {
        return Ok(key);
    }
    if id.starts_with("task_") {
        let known =
            client.call(Method::GET, &format!("/v1/tasks/{}", segment(id)), &[], None).await?;
        let agent = story::text(&known, "/agent").to_owned();
        return Ok(Key { identity: agent, scope: id.to_owned() });
    }
    let found =
        client.call(Method::GET, &format!("/v1/records/{}", segment(id)), &[], None).await?;
    let body = found.pointer("/record/record/body").or_else(|| found.pointer("/record/body"));
    body.and_then(Key::of).ok_or_else(|| nothing(id))
}

fn nothing(id: &str) -> CommandError {
    CommandError::Failed(format!(
        "no session is known by `{id}`: name it as IDENTITY/SCOPE, by its task, or by a decision \
         in it"
    ))
}

fn from_files(shared: &Shared, source: &Source, id: &str) -> Result<Gathered, CommandError> {
    let mut key = Key::parse(id);
    if key.is_none() {
        scan(shared, source, |placed| {
            let body = placed.record.get("body").unwrap_or(&Value::Null);
            let found = match placed.kind() {
                "task_began" if story::text(body, "/id") == id => Some(json!({
                    "identity": body.get("agent"), "task": id,
                })),
                _ if placed.id() == id => Some(body.clone()),
                _ => None,
            };
            key = found.as_ref().and_then(Key::of).or(key.take());
        })?;
    }
    let key = key.ok_or_else(|| nothing(id))?;
    let (mut records, mut more) = (Vec::new(), false);
    scan(shared, source, |placed| {
        if placed.record.get("body").and_then(Key::of).as_ref() == Some(&key) {
            records.push(placed);
            if records.len() > RECORDS_MAX {
                records.drain(..RECORDS_MAX / 2);
                more = true;
            }
        }
    })?;
    if records.is_empty() { Err(nothing(id)) } else { Ok(Gathered { key, records, more }) }
}

impl Source {
    /// Whether no server is asked.
    pub(crate) const fn is_local(&self) -> bool {
        self.offline || self.export.is_some()
    }
}
