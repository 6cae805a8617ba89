//! Where the arguments of a recorded decision came from, as far as its record tells.

use std::sync::Arc;

use safeconduct_model::{
    ActionEntry, Decided, RECORDED_FLOWS_MAX, RECORDED_POINTER_BYTES_MAX, Value, ValueOrigin,
};
use safeconduct_policy::{Policies, TracedArgument};
use safeconduct_session::flow::{ARGUMENT_LEAVES_MAX, Flow};

/// Each argument with where it came from; `None` where the record does not tell it of all of them.
/// What is not in a whole list was never seen.
pub(super) fn traced(
    decided: &Decided,
    input: &Value,
    entry: &ActionEntry,
    then: &Policies,
) -> Option<Vec<TracedArgument>> {
    // Where no policy looks and nothing was found, nobody may have looked.
    let looked = then.looks_at_flow() || !decided.flow.is_empty();
    if !looked || decided.flow.len() >= RECORDED_FLOWS_MAX {
        return None;
    }
    let leaves = Flow::default().look_up(input, &entry.arguments).leaves;
    let too_long = |pointer: &str| pointer.len() > RECORDED_POINTER_BYTES_MAX;
    if leaves.len() >= ARGUMENT_LEAVES_MAX || leaves.iter().any(|leaf| too_long(&leaf.pointer)) {
        return None;
    }
    let mut traced = Vec::with_capacity(leaves.len());
    // A member's name and its value stand at one place, one after the other.
    for here in leaves.chunk_by(|a, b| a.pointer == b.pointer && a.role == b.role) {
        let Some(leaf) = here.first() else { continue };
        let told = decided.flow.iter();
        let told = told.filter(|flow| *flow.pointer == *leaf.pointer && flow.role == leaf.role);
        let told: Vec<_> = told.collect();
        let all = |origin| {
            told.len() >= here.len() && told.iter().all(|flow| flow.origins.contains(origin))
        };
        traced.push(TracedArgument {
            pointer: Arc::clone(&leaf.pointer),
            role: leaf.role,
            from_task: all(ValueOrigin::Task),
            from_trusted: all(ValueOrigin::Trusted),
            from_untrusted: told.iter().any(|flow| flow.origins.contains(ValueOrigin::Untrusted)),
            bounded: false,
        });
    }
    // What the record tells of other places than these arguments have is not of them.
    let known = |pointer: &str| traced.iter().any(|leaf| *leaf.pointer == *pointer);
    decided.flow.iter().all(|flow| known(&flow.pointer)).then_some(traced)
}
