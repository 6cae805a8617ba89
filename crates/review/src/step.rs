//! Steps of campaigns as they are recorded: a word, a detail, and what lies beside.

use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, Timestamp, Value};
use thiserror::Error;

use crate::{
    Assigned, BesideError, Escalate, Response, ReviewDecision, Step, assigned_of_bytes,
    assigned_to_bytes,
};

/// Why a record is no step: whoever wrote it is at fault, or a version after this one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StepError {
    /// No step has that word.
    #[error("no step of a campaign is called `{0}`")]
    Unknown(Arc<str>),
    /// A member is missing, or not what it must be.
    #[error("`{0}` of a step of a campaign is missing or does not fit")]
    Member(&'static str),
    /// What lies beside it.
    #[error(transparent)]
    Beside(#[from] BesideError),
}

impl Step {
    /// The word for it in its record.
    pub const fn event(&self) -> &'static str {
        match self {
            Self::StageOpened { .. } => "stage_opened",
            Self::Escalated { .. } => "escalated",
            Self::Reassigned { .. } => "reassigned",
            Self::Replaced { .. } => "replaced",
            Self::Reminded { .. } => "reminded",
            Self::Decided { .. } => "decided",
            Self::StageClosed => "stage_closed",
            Self::Reiterated => "reiterated",
            Self::SignedOff { .. } => "signed_off",
            Self::Cancelled => "cancelled",
        }
    }

    /// What its record says beside that. Who did it and when is said elsewhere, save where it
    /// is part of the step.
    pub fn detail(&self) -> Value {
        let number = |number: u32| Value::Integer(number.into());
        let who = |id: &IdentityId| Value::String(id.shared());
        let time = |at: Timestamp| Value::Integer(at.as_millis());
        Value::object(match self {
            Self::StageOpened { at, assigned } => {
                vec![("at", time(*at)), ("cases", number(count(assigned)))]
            }
            Self::Escalated { assigned, how } => {
                vec![("cases", number(count(assigned))), ("how", how.as_str().into())]
            }
            Self::Reassigned { case, from, to } => {
                vec![("case", number(*case)), ("from", who(from)), ("to", who(to))]
            }
            Self::Replaced { gone, assigned } => {
                vec![("cases", number(count(assigned))), ("gone", who(gone))]
            }
            Self::Reminded { people } => vec![("people", number(*people))],
            Self::Decided { case, decided } => {
                let mut members = vec![
                    ("at", time(decided.at)),
                    ("batch", number(decided.batch)),
                    ("by", who(&decided.by)),
                    ("case", number(*case)),
                    ("evidence", decided.evidence.to_string().as_str().into()),
                    ("opened_at", time(decided.opened_at)),
                    ("reason", Value::String(Arc::clone(&decided.reason))),
                    ("response", decided.response.as_str().into()),
                ];
                members.extend(decided.acting_for.as_ref().map(|of| ("acting_for", who(of))));
                members
            }
            Self::SignedOff { over } => vec![("over", over.to_string().as_str().into())],
            Self::StageClosed | Self::Reiterated | Self::Cancelled => Vec::new(),
        })
    }

    /// What lies beside its record, where anything does.
    pub fn beside(&self) -> Option<Vec<u8>> {
        match self {
            Self::StageOpened { assigned, .. }
            | Self::Escalated { assigned, .. }
            | Self::Replaced { assigned, .. } => Some(assigned_to_bytes(assigned)),
            _ => None,
        }
    }

    /// The step of a record, in a campaign of so many cases.
    ///
    /// # Errors
    /// [`StepError`] says what does not fit.
    pub fn read(
        event: &str,
        detail: &Value,
        beside: Option<&[u8]>,
        cases: usize,
    ) -> Result<Self, StepError> {
        let assigned = || -> Result<Arc<Assigned>, StepError> {
            let bytes = beside.ok_or(StepError::Member("beside"))?;
            Ok(Arc::new(assigned_of_bytes(bytes, cases)?))
        };
        let d = Detail(detail);
        Ok(match event {
            "stage_opened" => Self::StageOpened { at: d.time("at")?, assigned: assigned()? },
            "escalated" => {
                let how = d.text("how").and_then(|word| Escalate::parse(&word));
                Self::Escalated { assigned: assigned()?, how: how.ok_or(StepError::Member("how"))? }
            }
            "reassigned" => {
                Self::Reassigned { case: d.number("case")?, from: d.who("from")?, to: d.who("to")? }
            }
            "replaced" => Self::Replaced { gone: d.who("gone")?, assigned: assigned()? },
            "reminded" => Self::Reminded { people: d.number("people")? },
            "decided" => Self::Decided { case: d.number("case")?, decided: Box::new(d.decided()?) },
            "stage_closed" => Self::StageClosed,
            "reiterated" => Self::Reiterated,
            "signed_off" => Self::SignedOff { over: d.digest("over")? },
            "cancelled" => Self::Cancelled,
            other => return Err(StepError::Unknown(other.into())),
        })
    }
}

fn count(assigned: &Assigned) -> u32 {
    u32::try_from(assigned.len()).unwrap_or(u32::MAX)
}

struct Detail<'a>(&'a Value);

impl Detail<'_> {
    fn text(&self, name: &str) -> Option<Arc<str>> {
        match self.0.member(name) {
            Some(Value::String(text)) => Some(Arc::clone(text)),
            _ => None,
        }
    }

    fn number(&self, name: &'static str) -> Result<u32, StepError> {
        let number = self.0.member(name).and_then(Value::as_integer);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or(StepError::Member(name))
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, StepError> {
        let millis = self.0.member(name).and_then(Value::as_integer);
        millis.map(Timestamp::from_millis).ok_or(StepError::Member(name))
    }

    fn who(&self, name: &'static str) -> Result<IdentityId, StepError> {
        let id = self.text(name).and_then(|text| IdentityId::new(text).ok());
        id.ok_or(StepError::Member(name))
    }

    fn digest(&self, name: &'static str) -> Result<Digest, StepError> {
        self.text(name).and_then(|text| Digest::parse(&text)).ok_or(StepError::Member(name))
    }

    fn decided(&self) -> Result<ReviewDecision, StepError> {
        let response = self.text("response").and_then(|word| Response::parse(&word));
        let acting_for = match self.0.member("acting_for") {
            None => None,
            Some(_) => Some(self.who("acting_for")?),
        };
        Ok(ReviewDecision {
            by: self.who("by")?,
            acting_for,
            response: response.ok_or(StepError::Member("response"))?,
            reason: self.text("reason").ok_or(StepError::Member("reason"))?,
            opened_at: self.time("opened_at")?,
            at: self.time("at")?,
            evidence: self.digest("evidence")?,
            batch: self.number("batch")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> IdentityId {
        IdentityId::new(text).unwrap()
    }

    #[test]
    fn every_step_is_read_back_from_its_record() {
        let at = Timestamp::from_millis(1_000_000);
        let assigned =
            Arc::new(Assigned::from([(0, vec![id("ada")].into()), (2, vec![id("b")].into())]));
        let decided = ReviewDecision {
            by: id("bob"),
            acting_for: Some(id("ada")),
            response: Response::Reduce,
            reason: "reads cases only".into(),
            opened_at: at,
            at: at.plus_ms(5),
            evidence: Digest::from_bytes([3; 32]),
            batch: 4,
        };
        let alone = ReviewDecision { acting_for: None, ..decided.clone() };
        let steps = [
            Step::StageOpened { at, assigned: Arc::clone(&assigned) },
            Step::Escalated { assigned: Arc::clone(&assigned), how: Escalate::Replace },
            Step::Reassigned { case: 1, from: id("ada"), to: id("bob") },
            Step::Replaced { gone: id("ada"), assigned },
            Step::Reminded { people: 3 },
            Step::Decided { case: 2, decided: Box::new(decided) },
            Step::Decided { case: 0, decided: Box::new(alone) },
            Step::StageClosed,
            Step::Reiterated,
            Step::SignedOff { over: Digest::from_bytes([9; 32]) },
            Step::Cancelled,
        ];
        for step in steps {
            let beside = step.beside();
            let read = Step::read(step.event(), &step.detail(), beside.as_deref(), 3).unwrap();
            assert_eq!(read, step);
        }
        let unknown = Step::read("dropped", &Value::Null, None, 1).unwrap_err();
        assert_eq!(unknown.to_string(), "no step of a campaign is called `dropped`");
        let missing = Step::read("reassigned", &Value::Null, None, 1);
        assert_eq!(missing, Err(StepError::Member("case")));
    }
}
