//! Records as people read them: one line each, and the tree of what led to what.

use std::collections::BTreeMap;

use serde_json::Value;

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

    fn parent(&self) -> Option<&str> {
        self.record.get("parent").and_then(Value::as_str)
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
            "identity_changed" => {
                format!("identity {} {}", body("/identity/id"), body("/identity/status"))
            }
            "token_issued" => format!("token {} of {}", body("/token/id"), body("/token/identity")),
            "token_revoked" => format!("token {} revoked", body("/token")),
            "policies_loaded" => format!("policies {}", short(&body("/digest"))),
            "policies_refused" => format!("policies refused: {}", body("/problem")),
            "catalogue_loaded" => format!("catalogue {}", short(&body("/digest"))),
            "session_began" => {
                format!("session of {} under {}", body("/session/identity"), body("/session/token"))
            }
            "server_started" => format!("server {} started", body("/version")),
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

/// The tree of what led to what: sessions, their decisions in order, and the outcomes of those.
pub(crate) fn tree(records: &[Placed]) -> String {
    let mut children: BTreeMap<&str, Vec<&Placed>> = BTreeMap::new();
    let mut sessions: BTreeMap<String, Vec<&Placed>> = BTreeMap::new();
    let mut out = String::new();
    for placed in records {
        match (placed.parent(), placed.kind()) {
            (Some(parent), _) => children.entry(parent).or_default().push(placed),
            (None, "decision") => {
                let session = placed.record.pointer("/body/session").cloned().unwrap_or_default();
                let key =
                    format!("{} under {}", text(&session, "/identity"), text(&session, "/token"));
                sessions.entry(key).or_default().push(placed);
            }
            (None, "session_began") => {}
            (None, _) => out += &format!("{}\n", placed.what()),
        }
    }
    for (session, decisions) in &sessions {
        out += &format!("session of {session}\n");
        for (index, decision) in decisions.iter().enumerate() {
            let last = index + 1 == decisions.len();
            branch(decision, "", last, &children, &mut out);
        }
    }
    out
}

fn branch(
    placed: &Placed,
    indent: &str,
    last: bool,
    children: &BTreeMap<&str, Vec<&Placed>>,
    out: &mut String,
) {
    let (joint, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    *out += &format!("{indent}{joint}{}\n", placed.what());
    let under = children.get(placed.id()).map(Vec::as_slice).unwrap_or_default();
    for (index, child) in under.iter().enumerate() {
        let last = index + 1 == under.len();
        branch(child, &format!("{indent}{below}"), last, children, out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
