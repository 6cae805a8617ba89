//! What differs between two sets that no proof covers: what annotations say, and Rego.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Beside;
use super::kinds::{says, with_effect};
use crate::policies::{Policies, PolicyInfo, Statement};
use crate::reduce::{For, lost_to};
use crate::rego;

pub(super) fn compare(old: &Policies, new: &Policies) -> Vec<Beside> {
    let mut found = annotations(old, new);
    found.extend(obligations(old, new));
    found.extend(rego(old, new));
    found
}

fn annotations(old: &Policies, new: &Policies) -> Vec<Beside> {
    let mut found = Vec::new();
    for before in infos(old) {
        let id = &before.reference.id;
        let after = new.by_id.get(id).and_then(|place| new.entry(*place));
        let Some(after) = after.map(|entry| &entry.statement.info) else { continue };
        let differs = [
            ("mode", before.mode != after.mode),
            ("obligations", before.obligations != after.obligations),
            ("requestable", before.requestable != after.requestable),
        ];
        let differs = differs.into_iter().filter(|(_, differs)| *differs);
        found.extend(differs.map(|(what, _)| Beside::Differs { policy: id.clone(), what }));
    }
    found
}

fn infos(policies: &Policies) -> impl Iterator<Item = &PolicyInfo> {
    policies.entries().map(|entry| &*entry.statement.info)
}

/// Permits of before that are gone or changed, and others that permit without what they ask for.
fn obligations(old: &Policies, new: &Policies) -> Vec<Beside> {
    let whole = |of: &Statement| format!("{} {:?}", says(of), of.info.obligations);
    let stays: BTreeSet<String> = with_effect(new).map(whole).collect();
    let obliging = with_effect(old).filter(|of| !of.info.obligations.is_empty());
    let gone = obliging.filter(|of| !stays.contains(&whole(of)));
    let lost = gone.filter_map(|going| {
        let to = lost_to(&old.schema, going, For::Everyone, with_effect(new))?;
        let id = |of: &Statement| of.info.reference.id.clone();
        Some(Beside::ObligationsMayBeLost { policy: id(going), to: id(to) })
    });
    lost.collect()
}

fn rego(old: &Policies, new: &Policies) -> Option<Beside> {
    let files = |policies: &Policies| -> BTreeMap<Arc<str>, Arc<str>> {
        let units = policies.units.iter().filter(|(name, _)| rego::is_rego(name));
        units.map(|(name, unit)| (Arc::clone(name), Arc::clone(&unit.text))).collect()
    };
    let (before, after) = (files(old), files(new));
    // Beside policies of Cedar they only forbid; alone they permit.
    let part = old.has_cedar() == new.has_cedar();
    match (before == after && part, before.is_empty() && after.is_empty()) {
        (_, true) => None,
        (true, false) => Some(Beside::SameRego),
        (false, false) => Some(Beside::OtherRego),
    }
}
