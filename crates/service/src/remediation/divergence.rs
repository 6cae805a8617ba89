//! Two changes of one folder: what became of the policies since somebody began to edit them, beside
//! what they want. Nothing is merged: people look at both.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{Digest, PolicyId};
use safeconduct_policy::Policies;
use safeconduct_review::{ProposalState, folder_digest};

use super::{PolicyGate, RemediateError};
use crate::Service;

/// Most statements of one side that are told; of the others only how many there are.
const TOLD_MAX: usize = 16;

/// Most changes that are undone to find how the folder was.
const BACK_MAX: usize = 64;

/// Two changes of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The digest of the folder that was edited.
    pub from: String,
    /// That of the folder as it is.
    pub now: String,
    /// That of the folder as it is wanted.
    pub to: String,
    /// What changed from the first to the second, by statement: `+ id`, `- id`, `~ id`. `None` where
    /// nobody knows how the first was.
    pub meanwhile: Option<Vec<String>>,
    /// What the wanted change does: to the first, or, where nobody knows that, to the second.
    pub wanted: Vec<String>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, now, to, meanwhile, wanted } = self;
        write!(f, "edited from {from}, the folder is {now}, and {to} is wanted; ")?;
        match meanwhile {
            Some(meanwhile) => write!(f, "meanwhile: {}; ", listed(meanwhile))?,
            None => f.write_str("what changed meanwhile is not known; ")?,
        }
        write!(f, "wanted: {}", listed(wanted))
    }
}

fn listed(changes: &[String]) -> String {
    if changes.is_empty() {
        return "no statement".to_owned();
    }
    let mut text = changes.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = changes.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

impl Service {
    /// What stands against what, where a change was made for another folder than there is.
    pub(super) async fn divergence(
        &self,
        gate: &dyn PolicyGate,
        from: &str,
        now: &BTreeMap<String, String>,
        wanted: &BTreeMap<String, String>,
    ) -> Divergence {
        let base = Digest::parse(from).and_then(|from| self.folder_of(from, now));
        let in_force = self.world().policies().clone();
        let meanwhile = match &base {
            None => None,
            Some(base) => Some(changes(gate, base, now, &in_force).await),
        };
        let wants = changes(gate, base.as_ref().unwrap_or(now), wanted, &in_force).await;
        Divergence {
            from: from.to_owned(),
            now: folder_digest(now).to_string(),
            to: folder_digest(wanted).to_string(),
            meanwhile,
            wanted: wants,
        }
    }

    /// The folder of that digest, where what came since were changes that were proposed.
    pub(super) fn folder_of(
        &self,
        digest: Digest,
        now: &BTreeMap<String, String>,
    ) -> Option<BTreeMap<String, String>> {
        let mut files = now.clone();
        for _ in 0..BACK_MAX {
            let is = folder_digest(&files);
            if is == digest {
                return Some(files);
            }
            let is = is.to_string();
            let applied = {
                let state = self.reviews.lock();
                let mut all = state
                    .proposals
                    .by_id
                    .values()
                    .filter(|one| one.state == ProposalState::Applied && one.change.to == is);
                all.next_back().map(|one| one.id.clone())
            };
            files = self.proposed_texts(&applied?).ok()?.reversed().on(&files).ok()?;
        }
        None
    }

    /// All files of the policy folder as they are, and their digest: what a change is edited from.
    ///
    /// # Errors
    /// [`RemediateError`] where the folder cannot be read.
    pub async fn policy_folder(
        &self,
    ) -> Result<(Digest, BTreeMap<String, String>), RemediateError> {
        let files = self.policy_gate()?.read().await?;
        Ok((folder_digest(&files), files))
    }
}

/// What changes from one folder to another, by statement; by file where one of them does not load.
async fn changes(
    gate: &dyn PolicyGate,
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
    in_force: &Arc<Policies>,
) -> Vec<String> {
    let old = gate.draft(from.clone(), Arc::clone(in_force)).await;
    let new = gate.draft(to.clone(), Arc::clone(in_force)).await;
    match (old, new) {
        (Ok(old), Ok(new)) => compared(&said(&old), &said(&new)),
        _ => compared(from, to).into_iter().map(|file| format!("{file} (file)")).collect(),
    }
}

fn said(policies: &Policies) -> BTreeMap<PolicyId, Digest> {
    let all = policies.statements();
    all.map(|one| (one.info().reference.id.clone(), one.digest())).collect()
}

fn compared<K: Ord + fmt::Display, V: PartialEq>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> Vec<String> {
    let gone = old.keys().filter(|id| !new.contains_key(*id)).map(|id| format!("- {id}"));
    let come = new.iter().filter_map(|(id, says)| match old.get(id) {
        None => Some(format!("+ {id}")),
        Some(before) => (before != says).then(|| format!("~ {id}")),
    });
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_told_within_bounds() {
        let set = |ids: &[(&'static str, u8)]| -> BTreeMap<&'static str, u8> {
            ids.iter().copied().collect()
        };
        let found = compared(&set(&[("a", 1), ("b", 1)]), &set(&[("b", 2), ("c", 1)]));
        assert_eq!(found, ["- a", "~ b", "+ c"]);
        let many: Vec<String> = (0..20).map(|n| format!("+ p{n}")).collect();
        assert!(listed(&many).ends_with("+ p15 and 4 more"));
        assert_eq!(listed(&[]), "no statement");
    }
}
