//! Which records tell of a campaign: its own, those of the remediations and proposals that came of
//! it, and the records that any of these name.

use std::collections::BTreeSet;

use safeconduct_model::{Body, Record, ReviewChange, ReviewedThing, Value};
use safeconduct_wire::json;

/// Most names that are followed.
const NAMES_MAX: usize = 1_000_000;

/// A selection that grows with every reading of the log, until one finds nothing new: what names a
/// campaign may be told before and behind what it names.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Reviewed things all of whose records belong to it.
    things: BTreeSet<String>,
    /// Single records.
    records: BTreeSet<String>,
}

impl Selection {
    /// Of that campaign.
    pub fn of(campaign: &str) -> Self {
        Self { things: BTreeSet::from([campaign.to_owned()]), records: BTreeSet::new() }
    }

    /// How much is known: as long as it grows, the log has to be read again.
    pub fn extent(&self) -> usize {
        self.things.len() + self.records.len()
    }

    /// Whether a record of that kind and id could belong to it, or say what does.
    pub fn looks_at(&self, kind: &str, id: &str) -> bool {
        let steps = || ReviewedThing::ALL.iter().any(|what| what.as_str() == kind);
        kind == "policies_loaded" || steps() || self.records.contains(id)
    }

    /// Whether a record belongs to it.
    pub fn holds(&self, record: &Record) -> bool {
        if self.records.contains(record.id.as_str()) {
            return true;
        }
        matches!(&record.body, Body::ReviewChanged(change) if self.things.contains(&*change.id))
    }

    /// Takes in what a record says of it.
    pub fn learn(&mut self, record: &Record) {
        if self.extent() > NAMES_MAX {
            return;
        }
        let change = match &record.body {
            Body::ReviewChanged(change) => change,
            // A proposal came into force.
            Body::PoliciesLoaded { cause, .. } => {
                let by = cause.strip_prefix("proposal ");
                if by.is_some_and(|proposal| self.things.contains(proposal)) {
                    self.records.insert(record.id.to_string());
                }
                return;
            }
            _ => return,
        };
        if self.things.contains(&*change.id) {
            self.follow(change);
        } else if follows(change.what) && self.is_named_by(change) {
            self.things.insert(change.id.to_string());
            self.follow(change);
        }
    }

    /// The records and the proposals that a step of what belongs to it names.
    fn follow(&mut self, change: &ReviewChange) {
        each_text(&detail(change), &mut |name, text| match name {
            "proposal" => drop(self.things.insert(text.to_owned())),
            _ if is_record(text) => drop(self.records.insert(text.to_owned())),
            _ => {}
        });
    }

    fn is_named_by(&self, change: &ReviewChange) -> bool {
        let mut named = false;
        each_text(&detail(change), &mut |name, text| {
            let of = matches!(name, "cause" | "campaign" | "remediations" | "remediation");
            let thing = text.split_once('/').map_or(text, |(thing, _)| thing);
            named |= of && self.things.contains(thing);
        });
        named
    }
}

/// Whether what names a campaign as its cause belongs to it.
const fn follows(what: ReviewedThing) -> bool {
    matches!(what, ReviewedThing::Remediation | ReviewedThing::PolicyProposal)
}

/// Whether a text can be the id of a record.
fn is_record(text: &str) -> bool {
    let prefixed = text.split_once('_').is_some_and(|(prefix, rest)| {
        (2..=8).contains(&prefix.len())
            && rest.len() >= 16
            && rest.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    prefixed && text.len() <= 64
}

fn detail(change: &ReviewChange) -> Value {
    json::parse(change.detail.as_str().as_bytes()).unwrap_or_default()
}

/// Each text of a value, with the name of the member that it is in.
fn each_text(value: &Value, each: &mut dyn FnMut(&str, &str)) {
    fn below(name: &str, value: &Value, each: &mut dyn FnMut(&str, &str)) {
        match value {
            Value::String(text) => each(name, text),
            Value::Array(items) => items.iter().for_each(|item| below(name, item, each)),
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| below(name, value, each));
            }
            _ => {}
        }
    }
    below("", value, each);
}
