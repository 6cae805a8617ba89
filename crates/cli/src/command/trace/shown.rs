//! A trace for people, and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::permitted::Permitted;
use super::select::{Selected, Subject};
use super::{Proofs, Proved};
use crate::output::counted;
use crate::story::{self, Branch, Head, Placed, Tree};

/// What is told.
pub(super) struct Told<'a> {
    pub(super) subject: &'a Subject,
    pub(super) selected: &'a Selected,
    /// What was proved of each record, or why nothing could be.
    pub(super) proofs: &'a Result<Proofs, String>,
}

/// The trace as lines.
pub(super) fn text(told: &Told<'_>) -> String {
    let Told { subject, selected, proofs } = told;
    let records = &selected.records;
    let by_id = by_id(records, proofs.as_ref().ok());
    let mut text = format!("{}\n", story::plain(&headline(subject, records)));
    if selected.cut {
        text.push_str("(there are more records than are told)\n");
    }
    text += &Tree::of(records).text(|placed| lines(placed, by_id.get(placed.id()).copied()));
    match proofs {
        Ok(proofs) => {
            let proved = proofs.each.iter().filter(|one| matches!(one, Proved::Yes(_))).count();
            let unsigned = proofs.each.iter().filter(|one| matches!(one, Proved::Unsigned)).count();
            let failed = proofs.each.len() - proved - unsigned;
            let _ = writeln!(
                text,
                "proofs: {proved} hold against the checkpoint over {} records, root {}{}{}",
                proofs.size,
                proofs.root,
                if unsigned > 0 { format!("; {unsigned} not signed yet") } else { String::new() },
                if failed > 0 { format!("; {failed} DO NOT HOLD") } else { String::new() },
            );
        }
        Err(why) => {
            let _ = writeln!(text, "proofs: none, {why}");
        }
    }
    text
}

/// What it is about, and what was counted.
fn headline(subject: &Subject, records: &[Placed]) -> String {
    let name = match subject {
        Subject::Task(task) => format!("task {task}"),
        Subject::Session(identity, scope) => format!("session {identity}/{scope}"),
        Subject::Record(id) => format!("record {id}"),
    };
    let count = |kind: &str, one: &str, many: &str| {
        let found = records.iter().filter(|placed| placed.kind() == kind).count();
        (found > 0).then(|| counted(found, one, many))
    };
    let denied = records.iter().filter(|p| story::text(&p.record, "/body/decision") == "deny");
    let denied = denied.count();
    let counts = [
        count("decision", "decision", "decisions"),
        (denied > 0).then(|| format!("{denied} denied")),
        count("outcome", "outcome", "outcomes"),
        count("signal", "signal", "signals"),
        count("killed", "stop", "stops"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    format!("{name}, {}{counts}", counted(records.len(), "record", "records"))
}

fn by_id<'r>(records: &'r [Placed], proofs: Option<&'r Proofs>) -> BTreeMap<&'r str, &'r Proved> {
    let each = proofs.into_iter().flat_map(|proofs| &proofs.each);
    records.iter().map(Placed::id).zip(each).collect()
}

fn lines(placed: &Placed, proved: Option<&Proved>) -> Vec<String> {
    let mut first = placed.what();
    if !first.ends_with(placed.id()) {
        let _ = write!(first, "  {}", placed.id());
    }
    let _ = write!(first, "  {}", story::text(&placed.record, "/at"));
    match proved {
        None => {}
        Some(Proved::Yes(_)) => {
            let _ = write!(first, "  proved at {}", placed.sequence);
        }
        Some(Proved::Unsigned) => first.push_str("  not signed yet"),
        Some(Proved::No(why)) => {
            let _ = write!(first, "  NOT PROVED: {why}");
        }
    }
    let mut lines = vec![first];
    lines.extend(details(placed));
    lines
}

/// What else a record says that belongs to the story: never a value.
fn details(placed: &Placed) -> Vec<String> {
    let at = |pointer: &str| story::text(&placed.record, pointer);
    let mut lines = Vec::new();
    match placed.kind() {
        "decision" => {
            lines.push(by_whom(placed));
            lines.extend(story::reasons(&placed.record));
            lines.extend(story::flows(&placed.record));
            if let Some(risk) = placed.record.pointer("/body/risk").and_then(Value::as_u64) {
                lines.push(format!("risk    {risk}"));
            }
            let approval = at("/body/approval");
            if !approval.is_empty() {
                lines.push(format!("rests on {approval}"));
            }
        }
        "outcome" => {
            let label = placed.record.pointer("/body/label");
            if let Some(label) = label {
                let (integrity, level) =
                    (story::text(label, "/integrity"), story::text(label, "/confidentiality"));
                let by = at("/body/declassified");
                let by =
                    if by.is_empty() { String::new() } else { format!(", declassified by {by}") };
                lines.push(format!("read    what is {integrity} {level}{by}"));
            }
        }
        "lease_changed" => {
            let detail = at("/body/detail");
            if !detail.is_empty() {
                lines.push(format!("seen    {detail}"));
            }
        }
        "signal" => {
            let detail = at("/body/detail");
            if !detail.is_empty() {
                lines.push(detail.to_owned());
            }
        }
        _ => {}
    }
    lines
}

/// Who acted, for whom, through which enforcement point and by which proof.
fn by_whom(placed: &Placed) -> String {
    let at = |pointer: &str| story::text(&placed.record, pointer);
    let actors = placed.record.pointer("/body/task/actors").and_then(Value::as_array);
    let actors: Vec<&str> = actors.into_iter().flatten().filter_map(Value::as_str).collect();
    let chain = if actors.len() > 1 {
        format!(", delegated by {}", actors.get(1..).unwrap_or_default().join(" for "))
    } else {
        String::new()
    };
    let user = match at("/body/task/on_behalf_of") {
        "" => String::new(),
        user => format!(", for {user}"),
    };
    let (pep, method) = (at("/body/pep"), at("/body/method"));
    format!("asked   by {pep}, proved by {method}{chain}{user}")
}

/// The trace for programs.
pub(super) fn document(told: &Told<'_>, permitted: Option<&Permitted>) -> Value {
    let Told { subject, selected, proofs } = told;
    let by_id = by_id(&selected.records, proofs.as_ref().ok());
    let (kind, id) = match subject {
        Subject::Task(task) => ("task", task.clone()),
        Subject::Session(identity, scope) => ("session", format!("{identity}/{scope}")),
        Subject::Record(id) => ("record", id.clone()),
    };
    let tree = Tree::of(&selected.records);
    let mut document = Map::new();
    document.insert("of".into(), json!({ "kind": kind, "id": id }));
    document.insert("records".into(), json!(selected.records.len()));
    document.insert("more_left_out".into(), json!(selected.cut));
    match proofs {
        Ok(Proofs { size, root, note, .. }) => {
            let checkpoint = json!({ "size": size, "root": root, "note": note });
            document.insert("checkpoint".into(), checkpoint);
        }
        Err(why) => drop(document.insert("no_proofs".into(), json!(why))),
    }
    if let Ok(proofs) = proofs {
        document.insert("proofs_hold".into(), json!(proofs.hold()));
    }
    let grown = tree.roots.iter().map(|branch| grown(branch, &by_id));
    document.insert("tree".into(), grown.collect());
    if let Some(permitted) = permitted {
        document.insert("permitted_then".into(), permitted.document());
    }
    Value::Object(document)
}

fn grown(branch: &Branch<'_>, proofs: &BTreeMap<&str, &Proved>) -> Value {
    let below: Vec<Value> = branch.below.iter().map(|branch| grown(branch, proofs)).collect();
    let mut node = Map::new();
    match &branch.head {
        Head::Session(name) => {
            node.insert("session".into(), json!(name));
        }
        Head::Record(placed) => {
            node.insert("id".into(), json!(placed.id()));
            node.insert("sequence".into(), json!(placed.sequence));
            node.insert("kind".into(), json!(placed.kind()));
            node.insert("at".into(), json!(story::text(&placed.record, "/at")));
            node.insert("what".into(), json!(placed.what()));
            let body = placed.record.get("body").cloned().unwrap_or_default();
            node.insert("body".into(), body);
            let proof = proofs.get(placed.id()).map(|proved| match proved {
                Proved::Yes(hashes) => json!({ "holds": true, "hashes": hashes }),
                Proved::Unsigned => json!({ "holds": null, "why": "not signed yet" }),
                Proved::No(why) => json!({ "holds": false, "why": why }),
            });
            node.extend(proof.map(|proof| ("proof".to_owned(), proof)));
        }
    }
    if !below.is_empty() {
        node.insert("below".into(), Value::Array(below));
    }
    Value::Object(node)
}
