//! Where arguments came from, as policies see it: `context.flow`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cedar_policy_core::ast::Value as Cedar;
use safeconduct_model::{ArgumentRole, Confidentiality, Integrity};
use smol_str::SmolStr;

use super::{Carried, FlowSituation, KEYS, Members, TracedArgument, categories};
use crate::schema::{ContextField, ContextFields};

/// What was made of it for the policies about one resource: it is the same for the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Made([OnceLock<Cedar>; 7]);

impl Made {
    fn once(&self, at: usize, make: impl FnOnce() -> Cedar) -> Cedar {
        match self.0.get(at) {
            Some(made) => made.get_or_init(make).clone(),
            None => make(),
        }
    }
}

/// What was made follows from the rest.
impl PartialEq for Made {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Made {}

/// The record of it.
pub(super) fn record(
    flow: &FlowSituation,
    accepts: Confidentiality,
    needed: ContextFields,
) -> Cedar {
    let all = |at, which: fn(&TracedArgument) -> bool| {
        flow.made.once(at, || pointers(flow.leaves.iter(), which))
    };
    let of = |at, role| flow.made.once(at, || origins(flow, role));
    Members::of(needed)
        .with(ContextField::FlowFromTask, &KEYS.from_task, || all(0, |leaf| leaf.from_task))
        .with(ContextField::FlowFromTrusted, &KEYS.from_trusted, || {
            all(1, |leaf| leaf.from_trusted)
        })
        .with(ContextField::FlowFromUntrusted, &KEYS.from_untrusted, || {
            all(2, |leaf| leaf.from_untrusted)
        })
        .with(ContextField::FlowUnseen, &KEYS.unseen, || all(3, TracedArgument::is_unseen))
        .with(ContextField::FlowAddresses, &KEYS.addresses, || of(4, ArgumentRole::Address))
        .with(ContextField::FlowCommands, &KEYS.commands, || of(5, ArgumentRole::Command))
        .with(ContextField::FlowAmounts, &KEYS.amounts, || of(6, ArgumentRole::Amount))
        .with(ContextField::FlowCarries, &KEYS.carries, || carries(&flow.carries, accepts))
        .record()
}

fn pointers<'a>(
    leaves: impl Iterator<Item = &'a TracedArgument>,
    which: fn(&TracedArgument) -> bool,
) -> Cedar {
    let chosen = leaves.filter(|leaf| which(leaf));
    Cedar::set_of_lits(chosen.map(|leaf| SmolStr::from(&*leaf.pointer).into()), None)
}

fn origins(flow: &FlowSituation, role: ArgumentRole) -> Cedar {
    let of = |which: fn(&TracedArgument) -> bool| {
        pointers(flow.leaves.iter().filter(|leaf| leaf.role == role), which)
    };
    members([
        (&KEYS.from_task, of(|leaf| leaf.from_task)),
        (&KEYS.from_trusted, of(|leaf| leaf.from_trusted)),
        (&KEYS.from_untrusted, of(|leaf| leaf.from_untrusted)),
        (&KEYS.unseen, of(TracedArgument::is_unseen)),
        (&KEYS.bounded, of(|leaf| leaf.bounded)),
    ])
}

fn carries(carried: &Carried, accepts: Confidentiality) -> Cedar {
    let label = &carried.label;
    let at_least = |level| Cedar::from(label.confidentiality >= level);
    members([
        (&KEYS.untrusted, Cedar::from(label.integrity == Integrity::Untrusted)),
        (&KEYS.internal, at_least(Confidentiality::Internal)),
        (&KEYS.confidential, at_least(Confidentiality::Confidential)),
        (&KEYS.secret, at_least(Confidentiality::Secret)),
        (&KEYS.categories, categories(&label.categories)),
        (&KEYS.above_sink, Cedar::from(label.confidentiality > accepts)),
        (&KEYS.coverage, Cedar::from(i64::from(carried.coverage))),
    ])
}

fn members<const N: usize>(members: [(&SmolStr, Cedar); N]) -> Cedar {
    let members = members.into_iter().map(|(key, value)| (key.clone(), value));
    Cedar::record_arc(Arc::new(members.collect::<BTreeMap<_, _>>()), None)
}

impl TracedArgument {
    /// Whether its value was never seen: the model made it up, or changed it beyond recognition.
    pub const fn is_unseen(&self) -> bool {
        !self.from_task && !self.from_trusted && !self.from_untrusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy_core::ast::ValueKind;

    /// With 10,000 arguments and 64 resources it would be made of 640,000 otherwise.
    #[test]
    fn its_sets_are_made_once_for_all_resources() {
        let leaf = |n: usize| TracedArgument {
            pointer: format!("/{n}").into(),
            role: ArgumentRole::Content,
            from_task: n.is_multiple_of(2),
            from_trusted: false,
            from_untrusted: false,
            bounded: false,
        };
        let flow = FlowSituation::new((0..10).map(leaf).collect(), Carried::default());
        let from_task = || {
            let record = record(&flow, Confidentiality::Public, ContextFields::ALL);
            let ValueKind::Record(members) = record.value else { panic!("it is a record") };
            members.get(&KEYS.from_task).cloned().map(|set| set.value)
        };
        let (Some(ValueKind::Set(one)), Some(ValueKind::Set(other))) = (from_task(), from_task())
        else {
            panic!("they are sets")
        };
        assert_eq!(one.authoritative.len(), 5);
        assert!(Arc::ptr_eq(&one.authoritative, &other.authoritative));
    }
}
