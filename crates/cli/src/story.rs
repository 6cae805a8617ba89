//! Records as people read them: one line each, and the tree of what led to what.

mod tree;

use serde_json::Value;

pub(crate) use tree::{Branch, Head, Tree};

/// A record with its place in the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Its place.
    pub(crate) sequence: u64,
    /// The record.
    pub(crate) record: Value,
}

impl Placed {
    /// From the form of the API: `{sequence, record}`.
    pub(crate) fn of(view: &Value) -> Option<Self> {
        Some(Self {
            sequence: view.get("sequence")?.as_u64()?,
            record: view.get("record")?.clone(),
        })
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        text(&self.record, "/id")
    }

    /// The record that caused it.
    pub(crate) fn parent(&self) -> Option<&str> {
        self.record.get("parent").and_then(Value::as_str)
    }

    /// The task that it happened in, or nothing.
    pub(crate) fn task(&self) -> &str {
        let pointer = match self.kind() {
            "task_began" => "/body/id",
            "lease_changed" => "/body/lease/task",
            "token_minted" | "used_after_end" | "task_ended" | "glass_broken" => "/body/task",
            "access_request" => "/body/requested/task",
            "signal" => "/body/about/task",
            "killed" | "kill_lifted" => "/body/scope/task",
            _ => "/body/task/id",
        };
        text(&self.record, pointer)
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> &str {
        text(&self.record, "/kind")
    }

    /// What happened, in one line without time and place.
    pub(crate) fn what(&self) -> String {
        let body = |pointer: &str| text(&self.record, &format!("/body{pointer}")).to_owned();
        match self.kind() {
            "decision" => decision(&self.record),
            "outcome" => {
                let detail = body("/detail");
                let detail = if detail.is_empty() { detail } else { format!(" ({detail})") };
                let ms = self.record.pointer("/body/duration_ms").and_then(Value::as_u64);
                format!("{}{detail} after {} ms", body("/execution"), ms.unwrap_or_default())
            }
            "session_read" => format!(
                "{} read {} of {}",
                body("/session/identity"),
                body("/source"),
                body("/server")
            ),
            "identity_changed" => {
                format!("identity {} {}", body("/identity/id"), body("/identity/status"))
            }
            "token_issued" => format!("token {} of {}", body("/token/id"), body("/token/identity")),
            "token_revoked" => format!("token {} revoked", body("/token")),
            "policies_loaded" => format!("policies {}", short(&body("/digest"))),
            "policies_refused" => format!("policies refused: {}", body("/problem")),
            "catalogue_loaded" => format!("catalogue {}", short(&body("/digest"))),
            "session_began" => format!("session of {}", session(&self.record)),
            "intents_loaded" => format!("intents {}", short(&body("/digest"))),
            "task_began" => task(&self.record),
            "task_ended" => {
                let by = body("/by");
                let by = if by.is_empty() { by } else { format!(" by {by}") };
                format!("task {} {}{by}: {}", body("/task"), body("/state"), body("/reason"))
            }
            "delegation_made" => format!(
                "{} lets {} undertake {} until {}",
                body("/user"),
                body("/agent"),
                body("/intent"),
                body("/expires_at")
            ),
            "delegation_ended" => format!("delegation {} ended", body("/delegation")),
            "killed" => {
                format!("{} stopped {}: {}", body("/by"), scope(&self.record), body("/reason"))
            }
            "kill_lifted" => {
                format!("{} let {} go on: {}", body("/by"), scope(&self.record), body("/reason"))
            }
            "signal" => {
                let about = &self.record.pointer("/body/about").cloned().unwrap_or_default();
                let whom = ["identity", "user", "task", "issuer"]
                    .into_iter()
                    .map(|name| text(about, &format!("/{name}")))
                    .find(|name| !name.is_empty());
                let whom = whom.map_or_else(
                    || session(&serde_json::json!({ "body": about })),
                    |name| format!("{} {name}", text(about, "/kind")),
                );
                let source = [body("/source/kind"), body("/source/name")];
                let (kind, severity) = (body("/kind"), body("/severity"));
                format!("{whom}: {kind} ({severity}), says {}", source.join(" ").trim_end())
            }
            "used_after_end" => {
                let what = body("/action");
                let what = if what.is_empty() { "a credential".to_owned() } else { what };
                format!("{} used {what} after the end of {}", body("/identity"), body("/task"))
            }
            "token_minted" => format!("token {} of task {}", body("/id"), body("/task")),
            "token_withdrawn" => format!("token {} withdrawn", body("/token")),
            "token_keys_rotated" => format!("{} made new keys for tokens", body("/by")),
            "token_key_dropped" => {
                format!("{} dropped key {}: {}", body("/by"), body("/key"), body("/reason"))
            }
            "trust_loaded" => format!("trust {}", short(&body("/digest"))),
            "lease_changed" => {
                let name = body("/lease/name");
                format!("lease {name} at {} {}", body("/lease/target"), body("/state"))
            }
            "server_started" => format!("server {} started", body("/version")),
            "access_request" => access(&self.record),
            "glass_broken" => {
                let within = body("/task");
                let within = if within.is_empty() { within } else { format!(" in {within}") };
                format!(
                    "{} set rules aside for {}{within} until {}: {}",
                    body("/by"),
                    body("/agent"),
                    body("/until"),
                    body("/reason")
                )
            }
            "glass_mended" => format!("rules hold again that {} set aside", body("/glass")),
            "review_due" => {
                format!("a review is due of {}, about {}", body("/of"), body("/about"))
            }
            "review_done" => {
                format!("{} has reviewed {}: {}", body("/by"), body("/of"), body("/verdict"))
            }
            what @ ("finding" | "exemption" | "campaign" | "remediation" | "policy_proposal"
            | "import") => {
                let named = |pointer: &str, word: &str| match body(pointer) {
                    name if name.is_empty() => name,
                    name => format!(" {word} {name}"),
                };
                let (event, id) = (body("/event").replace('_', " "), body("/id"));
                let what = what.replace('_', " ");
                let (about, by) = (named("/about", "about"), named("/by", "by"));
                format!("{what} {event}{about}{by}  {id}")
            }
            "values_erased" => format!("values of {} erased", body("/session/identity")),
            "definition_seen" => format!("{} changed its definition", body("/action")),
            other => other.to_owned(),
        }
    }

    /// One line with place, time and kind.
    pub(crate) fn line(&self) -> String {
        let at = text(&self.record, "/at");
        format!("{:>6}  {at}  {:16}  {}", self.sequence, self.kind(), self.what())
    }
}

/// Whose session, and under which token or in which task.
fn session(record: &Value) -> String {
    let part = |name: &str| text(record, &format!("/body/session/{name}"));
    match part("task") {
        "" => format!("{} under {}", part("identity"), part("token")),
        task => format!("{} in {task}", part("identity")),
    }
}

fn task(record: &Value) -> String {
    let part = |name: &str| text(record, &format!("/body/{name}"));
    let user = match part("on_behalf_of") {
        "" => String::new(),
        user => format!(" for {user}"),
    };
    let by = match part("begun_by") {
        by if by == part("agent") => String::new(),
        by => format!(", begun by {by}"),
    };
    let (id, intent, agent) = (part("id"), part("intent"), part("agent"));
    format!("TASK  {intent}  {agent}{user}{by}, until {}  {id}", part("deadline"))
}

/// What the kill switch is about.
fn scope(record: &Value) -> String {
    let part = |name: &str| text(record, &format!("/body/scope/{name}"));
    match part("kind") {
        "identity" => format!("identity {}", part("identity")),
        "task" => format!("task {}", part("task")),
        "session" => {
            let session = record.pointer("/body/scope").cloned().unwrap_or_default();
            format!("the session of {}", self::session(&serde_json::json!({ "body": session })))
        }
        _ => "everything".to_owned(),
    }
}

fn decision(record: &Value) -> String {
    let word = text(record, "/body/decision").to_uppercase();
    let observed = if text(record, "/body/mode") == "observe" { " (observed)" } else { "" };
    let resources = record.pointer("/body/resources").and_then(Value::as_array);
    let on: Vec<&str> =
        resources.into_iter().flatten().map(|resource| text(resource, "/id")).collect();
    format!(
        "{word}{observed}  {} {} {}  [{}]  {}",
        text(record, "/body/principal/id"),
        text(record, "/body/action"),
        on.join(", "),
        rules(record).join(", "),
        text(record, "/id"),
    )
}

/// What determined a decision: the ids of its rules, or the codes of other reasons.
pub(crate) fn rules(record: &Value) -> Vec<String> {
    let reasons = record.pointer("/body/reasons").and_then(Value::as_array);
    let name = |reason: &Value| {
        let id = text(reason, "/policy/id");
        if id.is_empty() { text(reason, "/code").to_owned() } else { id.to_owned() }
    };
    reasons.into_iter().flatten().map(name).collect()
}

/// Where an argument of a decision came from, in one line.
fn flow(flow: &Value) -> String {
    let list = |name: &str| {
        let all = flow.get(name).and_then(Value::as_array);
        let all = all.into_iter().flatten().filter_map(Value::as_str);
        all.collect::<Vec<_>>().join(", ")
    };
    // The agent chose the names in the pointer.
    let pointer: String = text(flow, "/pointer").chars().flat_map(char::escape_debug).collect();
    let sources = list("sources");
    format!(
        "flow    {pointer} ({}) <- {}{}  ({} {})",
        text(flow, "/role"),
        list("origins"),
        if sources.is_empty() { sources } else { format!(": {sources}") },
        text(flow, "/label/integrity"),
        text(flow, "/label/confidentiality"),
    )
}

/// What an agent was told: the messages of a decision's reasons.
pub(crate) fn messages(record: &Value) -> Vec<String> {
    let reasons = record.pointer("/body/reasons").and_then(Value::as_array);
    reasons.into_iter().flatten().map(|reason| text(reason, "/message").to_owned()).collect()
}

/// The text at a pointer, or nothing.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

/// What happened to an access request.
fn access(record: &Value) -> String {
    let body = |pointer: &str| text(record, &format!("/body{pointer}"));
    let request = body("/request");
    match body("/event") {
        "requested" => {
            let (by, approvers) = (body("/requested/asked_by"), body("/requested/approvers"));
            format!("ASKED  {by} for {} of {approvers}  {request}", body("/requested/action"))
        }
        "answered" => {
            let (by, method) = (body("/answered/by"), body("/answered/method"));
            let word = match body("/answered/answer") {
                "approve" => format!("approved, {}", body("/answered/scope")),
                _ => format!("refused: {}", body("/answered/reason")),
            };
            format!("{by} ({method}) {word}  {request}")
        }
        "asked" => {
            let people = record.pointer("/body/asked").and_then(Value::as_array);
            let people = people.into_iter().flatten().filter_map(Value::as_str);
            format!("{} are asked too  {request}", people.collect::<Vec<_>>().join(", "))
        }
        "spent" => format!("the approval was used by {}  {request}", body("/decision")),
        "revoked" => match body("/by") {
            "" => format!("{request} revoked: {}", body("/reason")),
            by => format!("{by} revoked {request}: {}", body("/reason")),
        },
        other => format!("{request} {other}"),
    }
}

/// Why a decision was as it was, a line for each reason; what only operators are told, below it.
pub(crate) fn reasons(record: &Value) -> Vec<String> {
    let reasons = record.pointer("/body/reasons").and_then(Value::as_array);
    let mut lines = Vec::new();
    for reason in reasons.into_iter().flatten() {
        let rule = text(reason, "/policy/id");
        let file = text(reason, "/policy/span/file");
        let line = reason.pointer("/policy/span/line").and_then(Value::as_u64);
        let at = line.map(|line| format!(" ({file}:{line})")).unwrap_or_default();
        let (code, message) = (text(reason, "/code"), text(reason, "/message"));
        lines.push(format!("reason  {code} {rule}{at}: {message}"));
        let detail = text(reason, "/detail");
        if !detail.is_empty() {
            lines.push(format!("        {detail}"));
        }
    }
    lines
}

/// Where the arguments of a decision came from, a line for each.
pub(crate) fn flows(record: &Value) -> Vec<String> {
    let flows = record.pointer("/body/flow").and_then(Value::as_array);
    flows.into_iter().flatten().map(flow).collect()
}

/// A text that others chose, without anything that a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let (plain, escape) = match escaped {
                true => (None, Some(c.escape_unicode())),
                false => (Some(c), None),
            };
            plain.into_iter().chain(escape.into_iter().flatten())
        })
        .collect()
}

/// The tree of what led to what, a line for each record.
pub(crate) fn tree(records: &[Placed]) -> String {
    Tree::of(records).text(|placed| vec![placed.what()])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happened_in_a_task_hangs_below_its_beginning() {
        let record = |sequence, kind: &str, parent: Option<&str>, body: Value| {
            let id = format!("r{sequence}");
            let record = json!({"id": id, "kind": kind, "parent": parent, "body": body});
            Placed { sequence, record }
        };
        let decision = |session: Value, task: Value, action: &str| {
            json!({"decision": "permit", "action": action, "principal": {"id": "a"},
                "resources": [], "session": session, "task": task, "reasons": []})
        };
        let session = json!({"identity": "a", "task": "task_1"});
        let records = [
            record(
                4,
                "task_ended",
                Some("r2"),
                json!({"task": "task_1", "state": "completed",
                "by": "a", "reason": "done"}),
            ),
            record(
                0,
                "decision",
                None,
                decision(json!({"identity": "u", "token": "t"}), Value::Null, "undertake"),
            ),
            record(1, "session_began", Some("r0"), json!({"session": session})),
            record(
                2,
                "task_began",
                Some("r0"),
                json!({"id": "task_1", "intent": "read",
                "agent": "a", "begun_by": "u", "on_behalf_of": "u", "deadline": "d"}),
            ),
            record(3, "decision", None, decision(session.clone(), json!({"id": "task_1"}), "x")),
            record(
                5,
                "lease_changed",
                None,
                json!({"lease": {"task": "task_1", "name": "key",
                "target": "t"}, "state": "revoked"}),
            ),
        ];
        assert_eq!(
            tree(&records),
            "session of u under t\n\
             └─ PERMIT  a undertake   []  r0\n   \
             └─ TASK  read  a for u, begun by u, until d  task_1\n      \
             ├─ PERMIT  a x   []  r3\n      \
             ├─ task task_1 completed by a: done\n      \
             └─ lease key at t revoked\n"
        );
    }

    #[test]
    fn outcomes_hang_below_their_decisions() {
        let records = [
            Placed {
                sequence: 0,
                record: json!({"id": "dec_1", "kind": "decision", "at": "t", "body": {
                    "decision": "permit", "action": "files.read", "principal": {"id": "a"},
                    "resources": [{"id": "/x"}], "session": {"identity": "a", "token": "t"},
                    "reasons": [{"code": "policy", "policy": {"id": "reads"}}]}}),
            },
            Placed {
                sequence: 1,
                record: json!({"id": "out_1", "kind": "outcome", "parent": "dec_1",
                    "body": {"execution": "succeeded", "duration_ms": 4}}),
            },
        ];
        assert_eq!(
            tree(&records),
            "session of a under t\n\
             └─ PERMIT  a files.read /x  [reads]  dec_1\n   \
             └─ succeeded after 4 ms\n"
        );
    }
}
