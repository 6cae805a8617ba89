//! `safeconduct evidence`: which records of a period are evidence toward which control of a
//! framework. Whether a control is met is never said: that is for an assessor.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use safeconduct_ledger::{canonical, decode};
use safeconduct_model::{Body, Record};
use safeconduct_review::controls::{self, Control, Framework, sorts_of};
use safeconduct_wire::json::from_serde;
use serde_json::{Value, json};

use super::records::{Period, each_page, scan};
use crate::args::{self, Shared};
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format, print, say};
use crate::story::Placed;
use crate::wiring::project::Project;
use crate::wiring::runtime;

/// What is said with every answer.
const WORD: &str = "evidence toward a control; whether it is met is for an assessor to say";

/// Runs the command.
pub(crate) fn run(shared: &Shared, args: args::Evidence) -> Result<Exit, CommandError> {
    let args::Evidence { framework, since, until, source } = args;
    let framework = controls::framework(&framework)
        .ok_or_else(|| CommandError::Failed(format!("no framework is known by `{framework}`")))?;
    let period = Period::of(since.as_deref(), until.as_deref())?;
    let mut counted = Counted::of(annotated(shared));
    if source.is_local() {
        scan(shared, &source, |placed| counted.take(&period, &placed))?;
    } else {
        runtime()?.block_on(async {
            let client = Client::new(shared, &source.remote)?;
            let asked = period.asked();
            each_page(&client, &asked, usize::MAX, |placed| counted.take(&period, &placed)).await
        })?;
    }
    if counted.unread > 0 {
        say(&format!("{} records are of another version and are not counted", counted.unread));
    }
    match shared.output {
        Format::Json | Format::Yaml => {
            let document = document(framework, &period, &counted);
            print(&output::document(shared.output, &document)?)?;
        }
        _ => print(&text(framework, &period, &counted))?,
    }
    Ok(Exit::Ok)
}

/// What the policies in the folder say that they are evidence for, by their ids. The record of a
/// decision names its policies, not their annotations.
fn annotated(shared: &Shared) -> BTreeMap<String, Vec<Arc<str>>> {
    match Project::load(&shared.config) {
        Ok(project) => {
            let policies = project.rules.policies.iter();
            let annotated = policies.filter(|info| !info.controls.is_empty());
            annotated
                .map(|info| (info.reference.id.as_str().to_owned(), info.controls.clone()))
                .collect()
        }
        Err(error) => {
            say(&format!("`@control` annotations are not counted: {error}"));
            BTreeMap::new()
        }
    }
}

/// How many records, and the first and the last of them by place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    records: u64,
    first: (u64, String),
    last: (u64, String),
}

impl Count {
    fn add(counts: &mut BTreeMap<String, Self>, name: &str, placed: &Placed) {
        let here = (placed.sequence, placed.id().to_owned());
        match counts.get_mut(name) {
            Some(count) => {
                count.records += 1;
                if here.0 < count.first.0 {
                    count.first = here;
                } else if here.0 > count.last.0 {
                    count.last = here;
                }
            }
            None => {
                let count = Self { records: 1, first: here.clone(), last: here };
                counts.insert(name.to_owned(), count);
            }
        }
    }
}

/// The records of the period, counted.
#[derive(Debug, Default)]
struct Counted {
    annotations: BTreeMap<String, Vec<Arc<str>>>,
    /// By sort.
    sorts: BTreeMap<String, Count>,
    /// Decisions by what their policies are annotated with.
    controls: BTreeMap<String, Count>,
    records: u64,
    unread: u64,
}

impl Counted {
    fn of(annotations: BTreeMap<String, Vec<Arc<str>>>) -> Self {
        Self { annotations, ..Self::default() }
    }

    fn take(&mut self, period: &Period, placed: &Placed) {
        let Ok(record) = decode(&canonical(&from_serde(&placed.record))) else {
            self.unread += 1;
            return;
        };
        if !period.holds(record.at) {
            return;
        }
        self.records += 1;
        for sort in sorts_of(&record) {
            Count::add(&mut self.sorts, sort, placed);
        }
        for control in self.named(&record) {
            Count::add(&mut self.controls, &control, placed);
        }
    }

    /// What the policies of a decision are annotated with, each once.
    fn named(&self, record: &Record) -> Vec<String> {
        let Body::Decided(decided) = &record.body else {
            return Vec::new();
        };
        let policies = decided.reasons.iter().filter_map(|reason| reason.policy.as_ref());
        let named = policies.filter_map(|policy| self.annotations.get(policy.id.as_str()));
        let mut named: Vec<String> = named.flatten().map(ToString::to_string).collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    /// What there is toward a control: the sort, or what the policies' annotations say, with the
    /// count, where there is any.
    fn toward<'c>(&'c self, control: &'c Control) -> Vec<(String, Option<&'c Count>)> {
        let sorts = control.sorts().into_iter();
        let sorts = sorts.map(|sort| (sort.to_owned(), self.sorts.get(sort)));
        let named = self.controls.iter().filter(|(name, _)| control.is_named(name));
        let named = named.map(|(name, count)| (format!("@control {name}"), Some(count)));
        sorts.chain(named).collect()
    }
}

fn text(framework: &Framework, period: &Period, counted: &Counted) -> String {
    let Framework { name, version, publisher, note, controls, .. } = framework;
    let mut text = format!("{name} ({publisher}, {version})\n{note}\n");
    let _ = writeln!(text, "{} records {}, {WORD}", counted.records, words(period));
    for control in *controls {
        let _ = writeln!(text, "\n{}  {}", control.id, control.label);
        let toward = counted.toward(control);
        if toward.is_empty() {
            text.push_str("  no kind of record is evidence toward it\n");
        }
        for (sort, count) in toward {
            let _ = match count {
                None => writeln!(text, "  {sort:24} {:>8}", 0),
                Some(Count { records, first, last }) if first == last => {
                    writeln!(text, "  {sort:24} {records:>8}  {}", first.1)
                }
                Some(Count { records, first, last }) => {
                    writeln!(text, "  {sort:24} {records:>8}  {} .. {}", first.1, last.1)
                }
            };
        }
    }
    text
}

fn words(period: &Period) -> String {
    match (period.since, period.until) {
        (None, None) => "in all".to_owned(),
        (Some(since), None) => format!("since {since}"),
        (None, Some(until)) => format!("before {until}"),
        (Some(since), Some(until)) => format!("from {since} to {until}"),
    }
}

fn document(framework: &Framework, period: &Period, counted: &Counted) -> Value {
    let controls = framework.controls.iter().map(|control| {
        let toward = counted.toward(control).into_iter().map(|(sort, count)| match count {
            None => json!({ "records": sort, "count": 0 }),
            Some(count) => json!({
                "records": sort,
                "count": count.records,
                "first": count.first.1,
                "last": count.last.1,
            }),
        });
        json!({
            "id": control.id,
            "label": control.label,
            "evidence_toward": toward.collect::<Vec<_>>(),
        })
    });
    json!({
        "framework": framework.word,
        "name": framework.name,
        "version": framework.version,
        "publisher": framework.publisher,
        "note": framework.note,
        "meaning": WORD,
        "since": period.since.map(|at| at.to_string()),
        "until": period.until.map(|at| at.to_string()),
        "records": counted.records,
        "controls": controls.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(sequence: u64) -> Placed {
        let record = json!({
            "v": 1, "kind": "server_started", "id": format!("rec_{sequence}"),
            "at": "2026-01-02T00:00:00.000Z", "body": { "version": "1" },
        });
        Placed { sequence, record }
    }

    #[test]
    fn what_comes_newest_first_is_counted_as_what_comes_in_order() {
        let count = |sequences: &[u64]| {
            let mut counted = Counted::default();
            sequences.iter().for_each(|n| counted.take(&Period::default(), &placed(*n)));
            counted.sorts.remove("server_started")
        };
        let expected = Count { records: 3, first: (1, "rec_1".into()), last: (9, "rec_9".into()) };
        assert_eq!(count(&[1, 5, 9]), Some(expected));
        assert_eq!(count(&[9, 5, 1]), count(&[1, 5, 9]));
    }

    #[test]
    fn what_is_of_another_time_or_version_is_not_counted() {
        let mut counted = Counted::default();
        let period = Period::of(Some("2026-01-03T00:00:00Z"), None).unwrap();
        counted.take(&period, &placed(1));
        assert_eq!((counted.records, counted.unread), (0, 0));
        counted.take(&period, &Placed { sequence: 2, record: json!({ "v": 9 }) });
        assert_eq!((counted.records, counted.unread), (0, 1));
    }

    #[test]
    fn nothing_is_said_to_be_met() {
        let counted = Counted::default();
        for framework in controls::FRAMEWORKS {
            let text = text(framework, &Period::default(), &counted).to_lowercase();
            assert!(text.contains("evidence toward") && !text.contains("complian"), "{text}");
        }
    }
}
