//! Where the arguments came from: what the session knows of each, in the words of policies and of
//! the record.

use std::collections::BTreeSet;

use safeconduct_model::{
    ActionEntry, ArgumentRole, Entity, Integrity, Label, RECORDED_FLOWS_MAX,
    RECORDED_POINTER_BYTES_MAX, RECORDED_SOURCES_MAX, RecordedFlow, Request, ValueOrigin,
};
use safeconduct_policy::{Carried, FlowSituation, Policies, TracedArgument};
use safeconduct_session::flow::{Flow, LeafOrigin, Origins, Provenance};

use crate::envelope::Bounds;
use crate::{Facts, TaskFacts};

/// What is known of the arguments.
#[derive(Debug, Default)]
pub(crate) struct Traced {
    /// As policies see it.
    pub(crate) situation: FlowSituation,
    /// As it is recorded.
    pub(crate) recorded: Vec<RecordedFlow>,
}

/// Looks every argument up in what the session has read. Where it has read nothing and no policy
/// looks, there is nothing to say.
pub(crate) fn trace(
    policies: &Policies,
    request: &Request,
    entry: &ActionEntry,
    resources: &[Entity],
    task: Option<&TaskFacts<'_>>,
    facts: &Facts<'_>,
) -> Traced {
    if facts.session.flow().is_none() && !policies.looks_at_flow() {
        return Traced::default();
    }
    let origins = origins(request, entry, facts);
    let bounds = task.map(|known| Bounds::of(&known.mandate.authority, request, entry, resources));
    let bounded = |leaf: &LeafOrigin| {
        bounds.as_ref().is_some_and(|bounds| bounds.hold(&leaf.pointer, leaf.role))
    };
    Traced { situation: situation(&origins, bounded), recorded: recorded(&origins) }
}

/// What the session knows of each argument.
pub(crate) fn origins(request: &Request, entry: &ActionEntry, facts: &Facts<'_>) -> Origins {
    let nothing = Flow::default();
    let flow = facts.session.flow().unwrap_or(&nothing);
    flow.look_up(&request.input, &entry.arguments)
}

fn situation(origins: &Origins, bounded: impl Fn(&LeafOrigin) -> bool) -> FlowSituation {
    let decides = |leaf: &LeafOrigin| leaf.role != ArgumentRole::Content;
    let leaves = origins.leaves.iter().map(|leaf| TracedArgument {
        pointer: leaf.pointer.as_str().into(),
        role: leaf.role,
        from_task: leaf.is(Provenance::FromTask),
        from_trusted: leaf.is(Provenance::FromTrusted),
        from_untrusted: leaf.is(Provenance::FromUntrusted),
        bounded: decides(leaf) && bounded(leaf),
    });
    let untrusted = origins.leaves.iter().any(|leaf| leaf.is(Provenance::FromUntrusted));
    FlowSituation {
        leaves: leaves.collect(),
        carries: Carried {
            label: Label {
                integrity: if untrusted { Integrity::Untrusted } else { Integrity::Trusted },
                confidentiality: origins.carries.confidentiality,
                categories: origins.carries.categories.clone(),
            },
            coverage: origins.carries.coverage,
        },
    }
}

/// Arguments of which something is known, those first that decide something.
fn recorded(origins: &Origins) -> Vec<RecordedFlow> {
    let known = origins.leaves.iter().filter(|leaf| {
        leaf.pointer.len() <= RECORDED_POINTER_BYTES_MAX && !leaf.is(Provenance::Unseen)
    });
    let mut known: Vec<_> = known.collect();
    known.sort_by_key(|leaf| leaf.role);
    known.truncate(RECORDED_FLOWS_MAX);
    known.into_iter().map(one).collect()
}

fn one(leaf: &LeafOrigin) -> RecordedFlow {
    let origins = leaf.seen.iter().filter_map(|provenance| match provenance {
        Provenance::FromTask => Some(ValueOrigin::Task),
        Provenance::FromTrusted => Some(ValueOrigin::Trusted),
        Provenance::FromUntrusted => Some(ValueOrigin::Untrusted),
        Provenance::Unseen => None,
    });
    RecordedFlow {
        pointer: leaf.pointer.as_str().into(),
        role: leaf.role,
        origins: origins.collect::<BTreeSet<_>>(),
        label: leaf.label.clone(),
        sources: leaf.evidence.iter().take(RECORDED_SOURCES_MAX).cloned().collect(),
    }
}
