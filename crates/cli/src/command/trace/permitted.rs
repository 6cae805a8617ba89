//! What those whom a trace is about could do at some time, by replaying the records up to then.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use safeconduct_model::{TaskId, Timestamp};
use serde_json::{Value, json};

use crate::args::Shared;
use crate::command::then::Then;
use crate::exit::CommandError;
use crate::story::{self, Placed};

/// Most people and agents of whom it is told.
const PEOPLE_MAX: usize = 16;

/// Most tasks of which it is told how they stood.
const TASKS_MAX: usize = 64;

/// What was permitted at some time.
pub(super) struct Permitted {
    rests_on: String,
    as_of: Value,
    /// How each task stood.
    tasks: Vec<(String, String)>,
    /// What each of them could do, as the API says it.
    can: Vec<Value>,
    /// Of each decision that is told: why its question would have been answered in one way or
    /// another.
    more: usize,
}

impl Permitted {
    /// What those could do at that time whom those records name.
    ///
    /// # Errors
    /// That time cannot be replayed.
    pub(super) fn of(
        shared: &Shared,
        at: Timestamp,
        records: &[Placed],
    ) -> Result<Self, CommandError> {
        let then = Then::of(shared, at)?;
        let (people, tasks) = named(records);
        let more = people.len().saturating_sub(PEOPLE_MAX) + tasks.len().saturating_sub(TASKS_MAX);
        let stood = |task: &String| {
            let view = TaskId::new(task.as_str()).ok().and_then(|id| then.service.task(&id));
            let stood = view.map_or_else(
                || "not known".to_owned(),
                |view| {
                    let overdue = view.task.deadline <= at && view.state.as_str() == "active";
                    let state = if overdue { "expired" } else { view.state.as_str() };
                    format!("{state}, until {}", view.task.deadline)
                },
            );
            (task.clone(), stood)
        };
        let can = people.iter().take(PEOPLE_MAX).map(|who| match then.can(who) {
            Ok(can) => can,
            Err(why) => json!({ "identity": who, "unknown": why.to_string() }),
        });
        let can = can.collect();
        let tasks = tasks.iter().take(TASKS_MAX).map(stood).collect();
        Ok(Self { rests_on: then.rests_on(), as_of: then.document(), tasks, can, more })
    }

    /// As lines below the tree.
    pub(super) fn text(&self) -> String {
        let mut text = format!("\n{}\n", self.rests_on);
        for (task, stood) in &self.tasks {
            let _ = writeln!(text, "task {task} was {stood}");
        }
        for can in &self.can {
            let at = |name: &str| story::text(can, &format!("/{name}")).to_owned();
            if can.get("unknown").is_some() {
                let _ = writeln!(text, "{}: {}", at("identity"), at("unknown"));
                continue;
            }
            let _ = writeln!(text, "{} was {}, and could", at("identity"), at("status"));
            let grants = can.get("grants").and_then(Value::as_array);
            for grant in grants.into_iter().flatten() {
                let by = story::text(grant, "/given_by");
                let place = match story::text(grant, "/at") {
                    "" => String::new(),
                    place => format!(" at {place}"),
                };
                let (kind, words) = (story::text(grant, "/kind"), story::text(grant, "/words"));
                let _ = writeln!(text, "  {words}  ({kind} {by}{place})");
            }
            if grants.is_none_or(Vec::is_empty) {
                text.push_str("  do nothing\n");
            }
            if let Some(more) = can.get("more").and_then(Value::as_u64).filter(|more| *more > 0) {
                let _ = writeln!(text, "  and {more} more");
            }
            if can.get("not_derivable").is_some() {
                text.push_str(
                    "  and what Rego files permit, which cannot be told without asking\n",
                );
            }
        }
        if self.more > 0 {
            let _ = writeln!(text, "({} more people and tasks are not told)", self.more);
        }
        story_plain(&text)
    }

    /// For programs.
    pub(super) fn document(&self) -> Value {
        let tasks = self.tasks.iter().map(|(task, stood)| json!({ "task": task, "was": stood }));
        json!({
            "as_of": self.as_of,
            "tasks": tasks.collect::<Vec<_>>(),
            "can": self.can,
            "more_left_out": self.more > 0,
        })
    }
}

/// Line by line, without anything that a terminal would obey.
fn story_plain(text: &str) -> String {
    text.lines().map(|line| story::plain(line) + "\n").collect()
}

/// Who acts in those records and for whom, and the tasks that they are of.
fn named(records: &[Placed]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut people, mut tasks) = (BTreeSet::new(), BTreeSet::new());
    for placed in records {
        let body = placed.record.get("body").unwrap_or(&Value::Null);
        let pointers: &[&str] = match placed.kind() {
            "task_began" => &["/agent", "/on_behalf_of"],
            "decision" => &["/session/identity", "/task/on_behalf_of"],
            _ => &[],
        };
        let named = pointers.iter().map(|pointer| story::text(body, pointer));
        people.extend(named.filter(|name| !name.is_empty()).map(str::to_owned));
        tasks.extend(Some(placed.task().to_owned()).filter(|task| !task.is_empty()));
    }
    (people, tasks)
}
