//! Where arguments came from, as policies see it: `context.flow`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::Value as Cedar;
use safeconduct_model::{ArgumentRole, Confidentiality, Integrity};
use smol_str::SmolStr;

use super::{Carried, FlowSituation, KEYS, Members, TracedArgument, categories};
use crate::schema::{ContextField, ContextFields};

/// The record of it.
pub(super) fn record(
    flow: &FlowSituation,
    accepts: Confidentiality,
    needed: ContextFields,
) -> Cedar {
    let all = |which: fn(&TracedArgument) -> bool| pointers(flow.leaves.iter(), which);
    let of = |role| origins(flow, role);
    Members::of(needed)
        .with(ContextField::FlowFromTask, &KEYS.from_task, || all(|leaf| leaf.from_task))
        .with(ContextField::FlowFromTrusted, &KEYS.from_trusted, || all(|leaf| leaf.from_trusted))
        .with(ContextField::FlowFromUntrusted, &KEYS.from_untrusted, || {
            all(|leaf| leaf.from_untrusted)
        })
        .with(ContextField::FlowUnseen, &KEYS.unseen, || all(TracedArgument::is_unseen))
        .with(ContextField::FlowAddresses, &KEYS.addresses, || of(ArgumentRole::Address))
        .with(ContextField::FlowCommands, &KEYS.commands, || of(ArgumentRole::Command))
        .with(ContextField::FlowAmounts, &KEYS.amounts, || of(ArgumentRole::Amount))
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
