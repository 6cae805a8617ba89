//! Records as a tree: sessions and tasks, their decisions in order, and what came of those.

use std::collections::BTreeMap;

use super::{Placed, plain, session, text};

/// Deepest branch. What would hang deeper stands at the root: records of others cannot make
/// reading them costly.
const DEPTH_MAX: usize = 64;

/// What led to what.
#[derive(Debug)]
pub(crate) struct Tree<'r> {
    /// What has no cause among the records: records first, then sessions by name.
    pub(crate) roots: Vec<Branch<'r>>,
}

/// A record with what it led to, in order.
#[derive(Debug)]
pub(crate) struct Branch<'r> {
    pub(crate) head: Head<'r>,
    pub(crate) below: Vec<Branch<'r>>,
}

/// What a branch is of.
#[derive(Debug)]
pub(crate) enum Head<'r> {
    /// A session, by name.
    Session(String),
    /// A record.
    Record(&'r Placed),
}

impl<'r> Tree<'r> {
    /// The tree of these records. A record hangs below what caused it, an access request's changes
    /// below the asking, and what was decided or leased in a task below its beginning: each where
    /// that is among the records, and came before. Beginnings of sessions are left out.
    pub(crate) fn of(records: &'r [Placed]) -> Self {
        let mut sorted: Vec<&Placed> = records.iter().collect();
        sorted.sort_by_key(|placed| placed.sequence);
        let mut planted = Planted::default();
        for (place, placed) in sorted.iter().enumerate() {
            planted.plant(place, placed);
        }
        let Planted { below, flat, sessions, .. } = planted;
        let grow = |place: &usize| grow(*place, &sorted, &below);
        let mut roots: Vec<Branch<'_>> = flat.iter().filter_map(grow).collect();
        roots.extend(sessions.into_iter().map(|(name, places)| Branch {
            head: Head::Session(name),
            below: places.iter().filter_map(grow).collect(),
        }));
        Self { roots }
    }

    /// The tree for people. `lines` says what stands for a record: its line, then others below.
    pub(crate) fn text(&self, lines: impl Fn(&Placed) -> Vec<String>) -> String {
        let mut out = String::new();
        for root in &self.roots {
            write(root, Joint::ROOT, "", &lines, &mut out);
        }
        out
    }
}

/// Where each record hangs, by its place in their order.
#[derive(Default)]
struct Planted<'r> {
    records: BTreeMap<&'r str, usize>,
    /// Where each task began.
    tasks: BTreeMap<&'r str, usize>,
    /// Where each access request was made.
    requests: BTreeMap<&'r str, usize>,
    depths: Vec<usize>,
    below: BTreeMap<usize, Vec<usize>>,
    flat: Vec<usize>,
    sessions: BTreeMap<String, Vec<usize>>,
}

impl<'r> Planted<'r> {
    fn plant(&mut self, place: usize, placed: &'r Placed) {
        let request = text(&placed.record, "/body/request");
        let above = self
            .requests
            .get(request)
            .or_else(|| placed.parent().and_then(|parent| self.records.get(parent)))
            .or_else(|| self.tasks.get(placed.task()))
            .copied();
        let depth = above.and_then(|above| self.depths.get(above)).map_or(0, |above| above + 1);
        self.depths.push(if depth > DEPTH_MAX { 0 } else { depth });
        match (above.filter(|_| depth <= DEPTH_MAX), placed.kind()) {
            (_, "session_began") => {}
            (Some(above), _) => self.below.entry(above).or_default().push(place),
            (None, "decision") => {
                self.sessions.entry(session(&placed.record)).or_default().push(place);
            }
            (None, _) => self.flat.push(place),
        }
        self.records.entry(placed.id()).or_insert(place);
        let first = match placed.kind() {
            "task_began" => self.tasks.entry(placed.task()),
            "access_request" => self.requests.entry(request),
            _ => return,
        };
        first.or_insert(place);
    }
}

fn grow<'r>(
    place: usize,
    records: &[&'r Placed],
    below: &BTreeMap<usize, Vec<usize>>,
) -> Option<Branch<'r>> {
    let under = below.get(&place).map(Vec::as_slice).unwrap_or_default();
    Some(Branch {
        head: Head::Record(records.get(place)?),
        below: under.iter().filter_map(|place| grow(*place, records, below)).collect(),
    })
}

/// How a branch hangs on the one above it.
#[derive(Clone, Copy)]
struct Joint {
    at: &'static str,
    below: &'static str,
}

impl Joint {
    const ROOT: Self = Self { at: "", below: "" };
    const LAST: Self = Self { at: "└─ ", below: "   " };
    const INNER: Self = Self { at: "├─ ", below: "│  " };
}

fn write(
    branch: &Branch<'_>,
    joint: Joint,
    indent: &str,
    lines: &impl Fn(&Placed) -> Vec<String>,
    out: &mut String,
) {
    let all = match &branch.head {
        Head::Session(name) => vec![format!("session of {name}")],
        Head::Record(placed) => lines(placed),
    };
    let under = format!("{indent}{}", joint.below);
    // Lines below the first stand beside the branches that hang below them.
    let beside = if branch.below.is_empty() { "   " } else { "│  " };
    for (line, number) in all.iter().zip(0..) {
        *out += &match number {
            0 => format!("{indent}{}{}\n", joint.at, plain(line)),
            _ => format!("{under}{beside}{}\n", plain(line)),
        };
    }
    for (child, index) in branch.below.iter().zip(1..) {
        let joint = if index == branch.below.len() { Joint::LAST } else { Joint::INNER };
        write(child, joint, &under, lines, out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(sequence: u64, kind: &str, parent: Option<&str>, body: serde_json::Value) -> Placed {
        let id = format!("r{sequence}");
        Placed { sequence, record: json!({"id": id, "kind": kind, "parent": parent, "body": body}) }
    }

    #[test]
    fn what_happens_to_a_request_hangs_below_the_asking() {
        let change = |event: &str| json!({"request": "q", "event": event});
        let records = [
            record(0, "server_started", None, json!({"version": "1"})),
            record(1, "access_request", Some("r0"), change("requested")),
            record(2, "access_request", None, change("expired")),
        ];
        assert_eq!(
            Tree::of(&records).text(|placed| vec![placed.id().into(), "more".into()]),
            "r0\n│  more\n└─ r1\n   │  more\n   └─ r2\n         more\n"
        );
    }

    #[test]
    fn records_of_others_make_no_deep_tree_and_no_circle() {
        let chain = (0..500_u64).map(|n| {
            let parent = n.checked_sub(1).map(|parent| format!("r{parent}"));
            record(n, "policies_loaded", parent.as_deref(), json!({}))
        });
        let records: Vec<Placed> = chain.collect();
        let text = Tree::of(&records).text(|placed| vec![placed.id().into()]);
        assert_eq!(text.lines().count(), 500);
        assert!(text.lines().all(|line| line.chars().count() < 4 * (DEPTH_MAX + 2)));
        let circle = [
            record(0, "killed", Some("r1"), json!({})),
            record(1, "killed", Some("r0"), json!({})),
        ];
        assert_eq!(Tree::of(&circle).roots.len(), 1);
    }

    #[test]
    fn a_line_obeys_nobody() {
        let records = [record(0, "x", None, json!({}))];
        let text = Tree::of(&records).text(|_| vec!["a\u{1b}[2Jb\nc\u{202e}".into()]);
        assert_eq!(text, "a\\u{1b}[2Jb\\u{a}c\\u{202e}\n");
    }
}
