//! Which records tell of a task, a session or a decision. A selection reads all records in order,
//! again and again, until one reading finds nothing new: a cause comes before what names it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::exit::CommandError;
use crate::story::{self, Placed};

/// Most records of one trace.
pub(super) const RECORDS_MAX: usize = 20_000;

/// Most readings of the records. Chains of causes that are longer are cut, and that is said.
const READINGS_MAX: usize = 12;

/// What is traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A task, with the tasks below it.
    Task(String),
    /// A session: whose, and what it follows.
    Session(String, String),
    /// A record, with its causes and what it led to, and the task that it is in.
    Record(String),
}

impl Subject {
    /// What that name stands for.
    pub(super) fn parse(text: &str) -> Self {
        match text.rsplit_once(['/', '#']) {
            Some((_, task)) if task.starts_with("task_") => Self::Task(task.to_owned()),
            Some((identity, scope)) => Self::Session(identity.to_owned(), scope.to_owned()),
            None if text.starts_with("task_") => Self::Task(text.to_owned()),
            None => Self::Record(text.to_owned()),
        }
    }
}

/// The records of a trace, in their order.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) records: Vec<Placed>,
    /// Whether there are more that are left out.
    pub(super) cut: bool,
}

/// Reads records in their order, and gives each.
pub(super) trait Records {
    /// Reads them all.
    ///
    /// # Errors
    /// They cannot be read.
    fn each(&self, each: &mut dyn FnMut(&Placed)) -> Result<(), CommandError>;
}

impl Records for Vec<Placed> {
    fn each(&self, each: &mut dyn FnMut(&Placed)) -> Result<(), CommandError> {
        self.iter().for_each(each);
        Ok(())
    }
}

/// Selects the records that tell of it.
///
/// # Errors
/// The records cannot be read.
pub(super) fn select(all: &dyn Records, subject: &Subject) -> Result<Selected, CommandError> {
    let mut known = Known::default();
    match subject {
        Subject::Task(task) => known.tasks.insert(task.clone()),
        Subject::Session(identity, scope) => {
            known.sessions.insert((identity.clone(), scope.clone()))
        }
        Subject::Record(id) => known.down.insert(id.clone()),
    };
    let mut cut = true;
    for _ in 0..READINGS_MAX {
        let before = known.extent();
        all.each(&mut |placed| {
            if known.taken.len() <= RECORDS_MAX && known.concerns(placed) {
                known.learn(placed);
            }
        })?;
        if known.extent() == before {
            cut = false;
            break;
        }
    }
    let mut records = Vec::new();
    all.each(&mut |placed| {
        if known.taken.contains(placed.id()) {
            if records.len() < RECORDS_MAX {
                records.push(placed.clone());
            } else {
                cut = true;
            }
        }
    })?;
    Ok(Selected { records, cut })
}

/// What is known to belong to it.
#[derive(Default)]
struct Known {
    /// Tasks of which everything is told.
    tasks: BTreeSet<String>,
    /// Tasks of which beginning and end are told: those above.
    above: BTreeSet<String>,
    sessions: BTreeSet<(String, String)>,
    /// Records whose effects are told.
    down: BTreeSet<String>,
    /// Records that are told because something names them.
    up: BTreeSet<String>,
    requests: BTreeSet<String>,
    /// Who acts.
    agents: BTreeSet<String>,
    users: BTreeSet<String>,
    /// Who undertakes what for whom.
    undertaken: BTreeSet<(String, String, String)>,
    /// The first and the last of what was done itself, by place.
    span: Option<(u64, u64)>,
    taken: BTreeSet<String>,
    /// When the first of it was.
    since: Option<String>,
    delegations: BTreeSet<String>,
}

impl Known {
    /// Grows whenever something was learnt.
    fn extent(&self) -> (usize, Option<(u64, u64)>) {
        let sets = [&self.tasks, &self.above, &self.down, &self.up, &self.requests];
        let people = [&self.agents, &self.users, &self.taken];
        let sizes = sets.into_iter().chain(people).map(BTreeSet::len).sum::<usize>();
        (sizes + self.sessions.len() + self.undertaken.len() + self.delegations.len(), self.span)
    }

    fn concerns(&self, placed: &Placed) -> bool {
        let body = placed.record.get("body").unwrap_or(&Value::Null);
        let at = |pointer: &str| story::text(body, pointer);
        let id = placed.id();
        if self.down.contains(id) || self.up.contains(id) {
            return true;
        }
        let effect = placed.parent().is_some_and(|parent| self.down.contains(parent));
        if effect || self.tasks.contains(placed.task()) {
            return true;
        }
        match placed.kind() {
            "task_began" => self.tasks.contains(at("/parent")) || self.above.contains(at("/id")),
            "task_ended" => self.above.contains(at("/task")),
            "access_request" => self.requests.contains(at("/request")),
            "delegation_made" => self.undertaken.contains(&(
                at("/user").to_owned(),
                at("/agent").to_owned(),
                at("/intent").to_owned(),
            )),
            "delegation_ended" => self.delegations.contains(at("/delegation")),
            "identity_changed" => self.agents.contains(at("/identity/id")) && self.within(placed),
            "killed" | "kill_lifted" => match at("/scope/kind") {
                "all" => self.within(placed),
                "identity" => self.acts(at("/scope/identity")) && self.within(placed),
                "session" => key(body.get("scope")).is_some_and(|key| self.sessions.contains(&key)),
                _ => false,
            },
            "signal" => match at("/about/kind") {
                "identity" => self.acts(at("/about/identity")) && self.counted(placed, body),
                "user" => self.acts(at("/about/user")) && self.counted(placed, body),
                "session" => key(body.get("about")).is_some_and(|key| self.sessions.contains(&key)),
                _ => false,
            },
            "glass_broken" => {
                let agents = at("/task").is_empty() && self.agents.contains(at("/agent"));
                agents && self.within(placed)
            }
            "glass_mended" => self.down.contains(at("/glass")),
            "review_due" | "review_done" => self.down.contains(at("/of")),
            // A right was set aside, or given back, while they acted.
            "remediation" => self.acts(at("/about")) && self.within(placed),
            _ => key(Some(body)).is_some_and(|key| self.sessions.contains(&key)),
        }
    }

    /// Whether it was meanwhile.
    fn within(&self, placed: &Placed) -> bool {
        self.span.is_some_and(|(first, last)| (first..=last).contains(&placed.sequence))
    }

    /// Whether a signal counted meanwhile. RFC 3339 in UTC is in the order of time.
    fn counted(&self, placed: &Placed, body: &Value) -> bool {
        let before = self.span.is_some_and(|(_, last)| placed.sequence <= last);
        let until = story::text(body, "/expires_at");
        before && self.since.as_deref().is_some_and(|since| since < until)
    }

    fn acts(&self, identity: &str) -> bool {
        self.agents.contains(identity) || self.users.contains(identity)
    }

    fn learn(&mut self, placed: &Placed) {
        let body = placed.record.get("body").unwrap_or(&Value::Null);
        let at = |pointer: &str| story::text(body, pointer);
        let named = |pointer: &str| Some(at(pointer)).filter(|text| !text.is_empty());
        let id = placed.id();
        self.taken.insert(id.to_owned());
        self.up.extend(placed.parent().map(str::to_owned));
        let itself = self.tasks.contains(placed.task())
            || key(Some(body)).is_some_and(|key| self.sessions.contains(&key))
            || self.down.contains(id)
            || placed.parent().is_some_and(|parent| self.down.contains(parent));
        match placed.kind() {
            "task_began" => {
                let child = self.tasks.contains(at("/parent"));
                self.above.extend(named("/parent").filter(|_| !child).map(str::to_owned));
                if child || itself {
                    self.tasks.insert(at("/id").to_owned());
                    self.sessions.insert((at("/agent").to_owned(), at("/id").to_owned()));
                    self.undertaken.insert((
                        at("/on_behalf_of").to_owned(),
                        at("/agent").to_owned(),
                        at("/intent").to_owned(),
                    ));
                }
                self.agents.insert(at("/agent").to_owned());
                self.users.extend(named("/on_behalf_of").map(str::to_owned));
            }
            "decision" => {
                let approval = named("/approval").map(str::to_owned);
                self.up.extend(approval.clone());
                self.requests.extend(approval);
                if itself {
                    self.agents.extend(named("/session/identity").map(str::to_owned));
                }
                self.above.extend(named("/task/id").map(str::to_owned));
            }
            "access_request" => {
                self.requests.insert(at("/request").to_owned());
            }
            "delegation_made" => {
                self.delegations.insert(at("/id").to_owned());
            }
            _ => {}
        }
        if itself {
            self.down.insert(id.to_owned());
            let (first, last) = self.span.unwrap_or((placed.sequence, placed.sequence));
            self.span = Some((first.min(placed.sequence), last.max(placed.sequence)));
            let when = story::text(&placed.record, "/at");
            if self.since.as_deref().is_none_or(|since| when < since) {
                self.since = Some(when.to_owned());
            }
        }
    }
}

/// The session that a record or a part of it names.
fn key(body: Option<&Value>) -> Option<(String, String)> {
    let session = body?.get("session")?;
    let scope = session.get("task").or_else(|| session.get("token"))?.as_str()?;
    Some((session.get("identity")?.as_str()?.to_owned(), scope.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(sequence: u64, kind: &str, parent: Option<&str>, body: Value) -> Placed {
        let at = format!("2026-01-01T00:00:{sequence:02}.000Z");
        let id = format!("r{sequence}");
        Placed {
            sequence,
            record: json!({"id": id, "at": at, "kind": kind, "parent": parent, "body": body}),
        }
    }

    fn decision(sequence: u64, task: &str) -> Placed {
        let session = json!({"identity": "agent", "task": task});
        let body = json!({"session": session, "task": {"id": task}, "decision": "deny"});
        record(sequence, "decision", None, body)
    }

    fn began(sequence: u64, task: &str, parent: Option<&str>, above: Option<&str>) -> Placed {
        let body = json!({"id": task, "agent": "agent", "intent": "i", "on_behalf_of": "u",
            "parent": above});
        record(sequence, "task_began", parent, body)
    }

    /// Two tasks of one agent beside each other, a task below the first, and what was done to it.
    fn world() -> Vec<Placed> {
        let undertake = json!({"session": {"identity": "u", "token": "t"}});
        let ended = |task: &str| json!({"task": task, "state": "revoked"});
        let signal = |until: &str| {
            json!({"about": {"kind": "identity", "identity": "agent"},
            "expires_at": until})
        };
        vec![
            record(
                0,
                "delegation_made",
                None,
                json!({"id": "d", "user": "u", "agent": "agent", "intent": "i"}),
            ),
            record(1, "signal", None, signal("2026-01-01T00:00:02.000Z")),
            record(2, "signal", None, signal("2026-01-02T00:00:00.000Z")),
            record(3, "decision", None, undertake),
            began(4, "task_1", Some("r3"), None),
            began(5, "task_2", None, None),
            decision(6, "task_1"),
            decision(7, "task_2"),
            record(8, "access_request", Some("r6"), json!({"request": "q", "event": "requested"})),
            record(9, "access_request", None, json!({"request": "q", "event": "answered"})),
            began(10, "task_3", None, Some("task_1")),
            decision(11, "task_3"),
            record(12, "killed", None, json!({"scope": {"kind": "all"}})),
            record(13, "task_ended", Some("r4"), ended("task_1")),
            record(14, "killed", None, json!({"scope": {"kind": "all"}})),
            record(15, "delegation_ended", None, json!({"delegation": "d"})),
        ]
    }

    fn told(subject: &str) -> Vec<u64> {
        let selected = select(&world(), &Subject::parse(subject)).unwrap();
        assert!(!selected.cut);
        selected.records.iter().map(|placed| placed.sequence).collect()
    }

    #[test]
    fn a_task_is_told_with_its_causes_and_what_came_of_it_and_nothing_of_others() {
        let all = [0, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 15];
        assert_eq!(told("task_1"), all);
        assert_eq!(told("agent/task_1"), all);
    }

    #[test]
    fn a_decision_is_told_with_what_is_above_and_below_it() {
        let below = told("r6");
        assert!([3, 4, 6, 8, 9, 13].iter().all(|n| below.contains(n)), "{below:?}");
        assert!([5, 7, 10, 11].iter().all(|n| !below.contains(n)), "{below:?}");
    }

    #[test]
    fn what_nobody_knows_is_nothing() {
        assert!(told("task_9").is_empty() && told("r99").is_empty());
    }
}
