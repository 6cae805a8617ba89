//! What both engines say together: each that has policies must permit, and whoever forbids or
//! fails decides.

use std::sync::Arc;

use safeconduct_model::Requestable;

use super::{Answer, Rego};
use crate::evaluate::Evaluation;

impl Rego {
    /// Adds what this engine says to what Cedar's policies said. Where there are policies of
    /// Cedar (`with_cedar`) and none of them permits, a permit from here changes nothing.
    pub(crate) fn join(&self, answer: Answer, with_cedar: Cedar, evaluation: &mut Evaluation) {
        evaluation.considered += 1;
        let enforced = self.is_enforced();
        let said = if enforced { &mut evaluation.enforced } else { &mut evaluation.shadow };
        match answer {
            Answer::Permit(obligations) => {
                if with_cedar == Cedar::Absent || !said.permits.is_empty() || !enforced {
                    said.permits.push(Arc::clone(&self.info().reference));
                }
                if enforced {
                    for obligation in obligations {
                        if !evaluation.obligations.contains(&obligation) {
                            evaluation.obligations.push(obligation);
                        }
                    }
                }
            }
            Answer::Forbid(reasons, requestable) => {
                let alone = said.forbids.is_empty();
                said.forbids.extend(reasons);
                if enforced {
                    let failed = !evaluation.enforced.errors.is_empty();
                    let so_far = evaluation.requestable.take();
                    evaluation.requestable = match (alone, so_far, requestable) {
                        _ if failed => None,
                        (true, _, terms) => terms,
                        (false, Some(a), Some(b)) => Requestable::strictest(a, b),
                        (false, ..) => None,
                    };
                }
            }
            Answer::Failed(error) => {
                said.errors.push((Arc::clone(&self.forbidding().reference), error));
                if enforced {
                    evaluation.requestable = None;
                }
            }
        }
    }
}

/// Whether a set has policies of Cedar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cedar {
    /// It has: one of them must permit.
    Present,
    /// It has none, and they have no say.
    Absent,
}
