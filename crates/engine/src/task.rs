//! The task that a request belongs to: that it is the caller's and goes on, that the call lies
//! within its envelope, and that its budget holds the call.

use std::sync::Arc;

use safeconduct_model::{
    ActionEntry, DecidedTask, Entity, Identity, IdentityId, Intent, Mandate, Reason, RecordId,
    Request, Subject, Task, TaskId, TaskState,
};

use safeconduct_session::Charge;

use crate::envelope::{self, Outside, Spent};
use crate::{Facts, Known};

/// Whether what is asked for is a lease, which is no call: the mandate names what may be leased,
/// and envelope and budget say nothing of it.
pub(crate) const fn is_lease(request: &Request) -> bool {
    matches!(request.subject, Subject::Lessee(_))
}

/// What is known of the task that a request belongs to.
#[derive(Debug, Clone)]
pub struct TaskFacts<'a> {
    /// The task.
    pub task: &'a Task,
    /// What it may do, and its parameters.
    pub mandate: &'a Mandate,
    /// The intent, in the version that it was begun with, where it is still at hand: what its
    /// author pins counts as named by the task.
    pub intent: Option<&'a Intent>,
    /// The task itself, or the nearest one above it, that has ended.
    pub ended: Option<(TaskId, TaskState)>,
    /// Who delegated to its agent, the nearest first.
    pub delegated_by: Vec<IdentityId>,
    /// The user for whom it acts, as they are registered.
    pub user: Option<&'a Known>,
    /// The remediation that set the right aside by which it, or a task above it, was begun.
    pub set_aside: Option<RecordId>,
}

/// What a request says of its task, checked against what is known.
///
/// # Errors
/// The task is unknown, another's, or over.
pub(crate) fn standing<'a, 'b>(
    request: &Request,
    identity: Option<&Identity>,
    facts: &'b Facts<'a>,
) -> Result<Option<&'b TaskFacts<'a>>, Vec<Reason>> {
    let Some(named) = &request.subject.authentication().task else {
        // Leases are given to tasks and to nobody else.
        return if is_lease(request) { Err(vec![Reason::UnknownTask]) } else { Ok(None) };
    };
    if matches!(request.subject, Subject::Undertaker { .. }) {
        // What is about to begin is not bound by the task that it is begun from; narrowing is
        // checked where a child is made.
        return Ok(None);
    }
    let known = facts.task.as_ref().filter(|known| known.task.id == named.id);
    let known = known.ok_or_else(|| vec![Reason::UnknownTask])?;
    if identity.is_none_or(|identity| identity.id != known.task.agent) {
        return Err(vec![Reason::ForeignTask]);
    }
    match &known.ended {
        Some((task, state)) => Err(vec![Reason::TaskEnded { task: task.clone(), state: *state }]),
        None => match &known.set_aside {
            Some(review) => Err(vec![Reason::SetAside { review: review.clone() }]),
            None => Ok(Some(known)),
        },
    }
}

/// What a call touches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Touched<'a> {
    pub(crate) resources: &'a [Entity],
    /// Their fingerprints, in their order.
    pub(crate) prints: &'a [u64],
}

/// Checks envelope, tier and budget.
///
/// # Errors
/// Everything that stands in the way.
pub(crate) fn bound(
    known: &TaskFacts<'_>,
    request: &Request,
    entry: &ActionEntry,
    touched: Touched<'_>,
    facts: &Facts<'_>,
) -> Result<Charge, Vec<Reason>> {
    let authority = &known.mandate.authority;
    let mut obstacles = Vec::new();
    let (action, asserted) = (&request.action, request.asserted.as_ref());
    let within = envelope::within(authority, action, touched.resources, &request.input, asserted);
    if let Err(outside) = within {
        obstacles.push(Reason::OutsideIntent {
            intent: known.task.intent.clone(),
            problem: problem(&outside, request),
        });
    }
    let bytes = facts.input_bytes;
    let cost = envelope::cost(authority, &request.action, entry.effect, &request.input, bytes);
    let afforded = cost.and_then(|cost| {
        // A session that keeps no count of its task can afford nothing.
        let used = facts.used.ok_or(Spent::Calls(0))?;
        envelope::afford(authority, used, &request.action, touched.prints, cost).map(|()| cost)
    });
    match afforded {
        Ok(cost) if obstacles.is_empty() => Ok(cost),
        Ok(_) => Err(obstacles),
        Err(spent) => {
            obstacles.push(Reason::TaskBudgetSpent { what: words(spent).into() });
            Err(obstacles)
        }
    }
}

fn problem(outside: &Outside, request: &Request) -> Arc<str> {
    match outside {
        Outside::Action => format!("`{}` is not part of it", request.action).into(),
        Outside::Resource(ty) => format!("this resource of type `{ty}` is not part of it").into(),
        Outside::Arguments(broken) => {
            let broken = broken
                .iter()
                .map(|(pointer, rule)| format!("argument `{pointer}` breaks its rule `{rule}`"));
            broken.collect::<Vec<_>>().join("; ").into()
        }
        Outside::OtherArgument(pointer) => format!("argument `{pointer}` is not part of it").into(),
        Outside::Unasked(pointer) => {
            format!("`{pointer}` answers what the server has not asked").into()
        }
    }
}

fn words(spent: Spent) -> String {
    match spent {
        Spent::Calls(most) => format!("at most {most} calls"),
        Spent::CallsOf(most) => format!("at most {most} calls of this action"),
        Spent::Amount(most) => format!("at most {most} may be spent"),
        Spent::NoAmount => "the amount of this call cannot be counted".into(),
        Spent::Resources(most) => format!("at most {most} different resources"),
        Spent::BytesOut(most) => format!("at most {most} bytes may go out"),
    }
}

/// What the record says of the task.
pub(crate) fn decided(known: &TaskFacts<'_>, cost: Charge) -> DecidedTask {
    let agent = std::iter::once(&known.task.agent);
    DecidedTask {
        id: known.task.id.clone(),
        intent: known.task.intent.clone(),
        on_behalf_of: known.task.on_behalf_of.clone(),
        actors: agent.chain(&known.delegated_by).cloned().collect(),
        spend: cost.spend,
        bytes_out: cost.bytes_out,
    }
}
