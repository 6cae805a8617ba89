//! Changes as the ledger records them, there and back.

use std::sync::Arc;

use safeconduct_model::{
    Absent, AccessAnswer, AccessAnswered, AccessChange, AccessEvent, AccessRequested, Allowance,
    ArgumentRule, Constraint, Method, OtherArguments, Timestamp, Value,
};
use thiserror::Error;

use crate::{
    Answer, Answered, Approvers, ApproversError, Change, Event, Opened, Scope, Terms, TermsError,
};

/// Why a recorded change is none: another version of Safeconduct wrote it, or someone changed the
/// ledger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// The approvers or an approver cannot be read.
    #[error(transparent)]
    Approvers(#[from] ApproversError),
    /// The terms cannot be met.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// What was sealed is not what the record says of it.
    #[error("the sealed bounds of an approval are not those of its record")]
    Scope,
}

impl Change {
    /// As it is recorded; bounds aside, which hold values. `method` is how whoever answered
    /// proved who they are: of other changes it says nothing.
    pub fn recorded(&self, method: Method) -> AccessChange {
        let event = match &self.event {
            Event::Requested(opened) => AccessEvent::Requested(Box::new(requested(opened))),
            Event::Answered(answered) => {
                AccessEvent::Answered(Box::new(of_answer(answered, method)))
            }
            Event::Escalated => AccessEvent::Escalated,
            Event::Asked { people } => AccessEvent::Asked { people: people.clone() },
            Event::Expired => AccessEvent::Expired,
            Event::Spent { decision } => AccessEvent::Spent { decision: decision.clone() },
            Event::Revoked { by, reason } => {
                AccessEvent::Revoked { by: by.clone(), reason: Arc::clone(reason) }
            }
        };
        AccessChange { request: self.request.clone(), sequence: self.sequence, event }
    }

    /// The change of a record of that time. `scope` is what was sealed beside it, where it has
    /// bounds; where that is gone, what was approved can be used by nobody.
    ///
    /// # Errors
    /// [`RestoreError`] where the record or what was sealed is none of ours.
    pub fn restored(
        recorded: &AccessChange,
        at: Timestamp,
        scope: Option<Scope>,
    ) -> Result<Self, RestoreError> {
        let request = recorded.request.clone();
        let event = match &recorded.event {
            AccessEvent::Requested(requested) => {
                let AccessRequested { binding, asked_by, interested, likeness, .. } = &**requested;
                let terms = Terms {
                    approvers: Approvers::parse(&requested.approvers)?,
                    quorum: requested.quorum,
                    ttl_s: requested.ttl_s,
                    assurance: requested.assurance,
                    deputies: requested.deputies,
                    standing: requested.standing,
                };
                terms.check()?;
                Event::Requested(Box::new(Opened {
                    id: request.clone(),
                    at,
                    binding: binding.clone(),
                    asked_by: asked_by.clone(),
                    interested: interested.clone(),
                    terms,
                    likeness: *likeness,
                    answer_by: requested.answer_by,
                    ends_at: requested.ends_at,
                    asked: requested.asked.clone(),
                }))
            }
            AccessEvent::Answered(answered) => Event::Answered(Box::new(Answered {
                by: answered.by.clone(),
                standing_in_for: answered.standing_in_for.clone(),
                term: Approvers::parse_one(&answered.term)?,
                stage: answered.stage,
                answer: answer_of(&answered.answer, scope)?,
            })),
            AccessEvent::Escalated => Event::Escalated,
            AccessEvent::Asked { people } => Event::Asked { people: people.clone() },
            AccessEvent::Expired => Event::Expired,
            AccessEvent::Spent { decision } => Event::Spent { decision: decision.clone() },
            AccessEvent::Revoked { by, reason } => {
                Event::Revoked { by: by.clone(), reason: Arc::clone(reason) }
            }
        };
        Ok(Self { request, sequence: recorded.sequence, at, event })
    }
}

fn requested(opened: &Opened) -> AccessRequested {
    AccessRequested {
        binding: opened.binding.clone(),
        asked_by: opened.asked_by.clone(),
        interested: opened.interested.clone(),
        approvers: opened.terms.approvers.to_string().into(),
        quorum: opened.terms.quorum,
        ttl_s: opened.terms.ttl_s,
        assurance: opened.terms.assurance,
        deputies: opened.terms.deputies,
        standing: opened.terms.standing,
        likeness: opened.likeness,
        answer_by: opened.answer_by,
        ends_at: opened.ends_at,
        asked: opened.asked.clone(),
    }
}

fn of_answer(answered: &Answered, method: Method) -> AccessAnswered {
    AccessAnswered {
        by: answered.by.clone(),
        method,
        standing_in_for: answered.standing_in_for.clone(),
        term: answered.term.to_string().into(),
        stage: answered.stage,
        answer: match &answered.answer {
            Answer::Approve(scope) => AccessAnswer::Approve {
                scope: scope.as_str().into(),
                uses: scope.uses(),
                until: scope.until(),
            },
            Answer::Refuse { reason } => AccessAnswer::Refuse { reason: Arc::clone(reason) },
        },
    }
}

fn answer_of(recorded: &AccessAnswer, sealed: Option<Scope>) -> Result<Answer, RestoreError> {
    let (word, uses, until) = match recorded {
        AccessAnswer::Refuse { reason } => {
            return Ok(Answer::Refuse { reason: Arc::clone(reason) });
        }
        AccessAnswer::Approve { scope, uses, until } => (&**scope, *uses, *until),
    };
    let scope = match (word, sealed) {
        ("once", None) => Scope::Once,
        (_, Some(scope)) => scope,
        (_, None) => Scope::of_nothing(uses, until),
    };
    let of_nothing = Scope::of_nothing(uses, until);
    let fits = scope.as_str() == word || scope == of_nothing;
    if fits && scope.uses() == uses && scope.until() == until {
        Ok(Answer::Approve(scope))
    } else {
        Err(RestoreError::Scope)
    }
}

impl Scope {
    /// What is left of an approval whose bounds were erased: nothing can use it.
    fn of_nothing(uses: u32, until: Option<Timestamp>) -> Self {
        let never = ArgumentRule {
            pointer: "".into(),
            constraint: Constraint::<Value>::OneOf(Vec::new()),
            absent: Absent::Refused,
        };
        let bounds = Allowance {
            action: nothing(),
            resources: Vec::new(),
            arguments: vec![never],
            others: OtherArguments::Refused,
        };
        match until {
            Some(until) => Self::Until { bounds, uses, until },
            None => Self::Task { bounds, uses },
        }
    }
}

/// An action that is none.
#[expect(clippy::unwrap_used, reason = "a literal that is a name")]
fn nothing() -> safeconduct_model::ActionName {
    safeconduct_model::ActionName::new("erased").unwrap()
}

#[cfg(test)]
mod tests {
    use safeconduct_model::{IdentityId, RecordId};

    use super::*;
    use crate::Approver;

    fn answered(answer: Answer) -> Change {
        Change {
            request: RecordId::new("req_1").unwrap(),
            sequence: 1,
            at: Timestamp::from_millis(5),
            event: Event::Answered(Box::new(Answered {
                by: IdentityId::new("ada").unwrap(),
                standing_in_for: None,
                term: Approver::Group("leads".into()),
                stage: 0,
                answer,
            })),
        }
    }

    #[test]
    fn a_change_comes_back_as_it_was_with_what_was_sealed() {
        let Scope::Task { bounds, .. } = Scope::of_nothing(3, None) else { panic!("another") };
        for scope in [
            Scope::Once,
            Scope::Task { bounds: bounds.clone(), uses: 3 },
            Scope::Until { bounds, uses: 3, until: Timestamp::from_millis(9) },
            Scope::Edited {
                rules: Vec::new(),
                rest: safeconduct_model::KeyedDigest::from_bytes([7; 32]),
            },
        ] {
            let change = answered(Answer::Approve(scope.clone()));
            let sealed = Some(scope).filter(|scope| *scope != Scope::Once);
            let recorded = change.recorded(Method::Passkey);
            assert_eq!(Change::restored(&recorded, change.at, sealed), Ok(change));
        }
        let change = answered(Answer::Refuse { reason: "no".into() });
        let recorded = change.recorded(Method::Oidc);
        assert_eq!(Change::restored(&recorded, change.at, None), Ok(change));
    }

    #[test]
    fn what_was_erased_is_of_no_use_and_what_was_swapped_is_refused() {
        let Scope::Task { bounds, .. } = Scope::of_nothing(3, None) else { panic!("another") };
        let scope = Scope::Task { bounds: bounds.clone(), uses: 3 };
        let recorded = answered(Answer::Approve(scope)).recorded(Method::Oidc);
        let restored = Change::restored(&recorded, Timestamp::from_millis(5), None).unwrap();
        let Event::Answered(erased) = restored.event else { panic!("another") };
        assert_eq!(erased.answer, Answer::Approve(Scope::of_nothing(3, None)));
        let more = Scope::Task { bounds, uses: 4 };
        let restored = Change::restored(&recorded, Timestamp::from_millis(5), Some(more));
        assert_eq!(restored, Err(RestoreError::Scope));
    }
}
