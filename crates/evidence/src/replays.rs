//! What recorded decisions would have been under the changes of the policies that came of a
//! campaign. Whoever exports a folder computes it from the ledger: the records in the folder do not
//! vouch for it. What can be held against them is: which changes there were, and which sets they
//! put in force; and that the counts add up.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::view::Review;

/// The file that holds them.
pub(crate) const REPLAYS: &str = "replays.json";

/// The same as a table.
pub(crate) const TABLE: &str = "replays.csv";

/// Most decisions of one sort that one replay names; it counts all of them.
pub const REPLAY_NAMED_MAX: usize = 100;

/// The decisions of a window, replayed under one change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replayed {
    /// The proposal that was put in force.
    pub proposal: String,
    /// The policy set before it; nothing where it is not known.
    pub from: Option<String>,
    /// The policy set that it put in force.
    pub to: String,
    /// When the window begins, and the change that ends it; nothing where nothing was replayed.
    pub since: Option<String>,
    /// When the change came in force.
    pub until: Option<String>,
    /// How many decisions there were.
    pub decisions: u64,
    /// How many would have been the same.
    pub same: u64,
    /// How many permits it denies.
    pub newly_denied: u64,
    /// How many denials it permits.
    pub newly_permitted: u64,
    /// Of how many the record does not say enough.
    pub not_replayable: u64,
    /// The records of the first that it denies: at most [`REPLAY_NAMED_MAX`].
    pub denied: Vec<String>,
    /// The records of the first that it permits: at most [`REPLAY_NAMED_MAX`].
    pub permitted: Vec<String>,
    /// Why nothing was replayed, where nothing was.
    pub problem: Option<String>,
}

impl Replayed {
    /// What is wrong with it, beside those records.
    fn problem_of(&self, review: &Review) -> Option<&'static str> {
        let counts = [self.same, self.newly_denied, self.newly_permitted, self.not_replayable];
        let sum = counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
        let named =
            |all: &[String], count: u64| all.len() <= REPLAY_NAMED_MAX && all.len() as u64 <= count;
        match () {
            () if review.put.get(&self.proposal) != Some(&self.to) => {
                Some("no record says that it put that policy set in force")
            }
            () if sum != Some(self.decisions) => Some("its counts do not add up"),
            () if !named(&self.denied, self.newly_denied)
                || !named(&self.permitted, self.newly_permitted) =>
            {
                Some("it names more decisions than it counts, or too many")
            }
            () if self.problem.is_some() && self.decisions > 0 => {
                Some("it counts what it says was not replayed")
            }
            () => None,
        }
    }
}

/// The file of them.
pub(crate) fn written(replays: &[Replayed]) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(replays).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Reads that file, and holds it against the records: every change that was put in force has one
/// replay, and nothing else has.
pub(crate) fn read(bytes: &[u8], review: &Review) -> Result<Vec<Replayed>, String> {
    let read: Vec<Replayed> =
        serde_json::from_slice(bytes).map_err(|error| format!("`{REPLAYS}`: {error}"))?;
    if written(&read) != bytes {
        return Err(format!("`{REPLAYS}` is not in the form in which it is written"));
    }
    for one in &read {
        if let Some(problem) = one.problem_of(review) {
            return Err(format!("`{REPLAYS}`: `{}`: {problem}", one.proposal));
        }
    }
    let of: BTreeSet<&String> = read.iter().map(|one| &one.proposal).collect();
    if of.len() != read.len() || of.len() != review.put.len() {
        return Err(format!("`{REPLAYS}` has not one replay of each change that was put in force"));
    }
    Ok(read)
}
