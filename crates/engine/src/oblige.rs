//! Stage 4: what the enforcement point must do for the permit to hold.

use safeconduct_model::Reason;

use crate::Facts;
use crate::evaluate::Evaluated;

/// Checks that the enforcement point can carry out every obligation of a permit.
///
/// # Errors
/// Each obligation that it does not know.
pub(crate) fn oblige(evaluated: &Evaluated, facts: &Facts<'_>) -> Result<(), Vec<Reason>> {
    if !evaluated.permitted {
        return Ok(());
    }
    let unknown: Vec<_> = evaluated
        .obligations
        .iter()
        .filter(|obligation| obligation.declassifier().is_none())
        .filter(|obligation| !facts.understood.covers(obligation))
        .cloned()
        .map(Reason::UnknownObligation)
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(unknown) }
}
