//! The recorded forms of findings and exemptions: what stands in the detail of their steps.

use std::sync::Arc;

use safeconduct_model::signal::Severity;
use safeconduct_model::{
    IdentityId, RecordId, ReviewChange, ReviewDetail, ReviewedThing, Timestamp,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Age, Exemption, ExemptionKind, FactSheet, FindingBook, FindingId, FindingKind, FindingStep,
    Observed, Subject, Thing,
};

/// Why a recorded step is none: whoever wrote the leaf is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FindingStepError {
    /// The detail has another form.
    #[error("the detail of `{event}` does not fit: {problem}")]
    Detail {
        /// Of which event.
        event: Arc<str>,
        /// Why.
        problem: Arc<str>,
    },
    /// The word, the id or a name in the detail is none that is known.
    #[error("`{0}` is no {1}")]
    Word(Arc<str>, &'static str),
    /// Our fault: it is too long to be recorded.
    #[error("the step is too long to be recorded")]
    TooLong,
}

#[derive(Serialize, Deserialize)]
struct ObservedForm {
    evidence: Vec<String>,
    facts: FactSheet,
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    severity: String,
    thing: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whom: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ExemptionForm {
    finding: String,
    kind: ExemptionKind,
    reason: String,
    until: String,
}

#[derive(Serialize, Deserialize)]
struct OfFinding {
    finding: String,
}

#[derive(Serialize, Deserialize)]
struct Nothing {}

impl FindingStep {
    /// The step as it is recorded: of that finding, which the book knows or the step opens.
    ///
    /// # Errors
    /// [`FindingStepError::TooLong`]: our fault.
    pub fn change(
        &self,
        id: &FindingId,
        book: &FindingBook,
    ) -> Result<ReviewChange, FindingStepError> {
        let known = book.finding(id);
        let about = match (self, known) {
            (Self::Opened(observed), None) => observed.subject.whom.clone(),
            (_, Some(finding)) => finding.subject.whom.clone(),
            _ => None,
        };
        let own = |event: &'static str, detail| ReviewChange {
            what: ReviewedThing::Finding,
            id: id.shared(),
            sequence: known.map_or(0, |finding| finding.steps),
            event: event.into(),
            about: about.clone(),
            by: None,
            detail,
        };
        let exemption = |event: &'static str, exemption: Arc<str>, sequence, by, detail| {
            let (what, about) = (ReviewedThing::Exemption, about.clone());
            ReviewChange { what, id: exemption, sequence, event: event.into(), about, by, detail }
        };
        let of_finding = || detail(&OfFinding { finding: id.to_string() });
        let held = || {
            let held = known.and_then(|finding| finding.exemption.as_ref());
            held.map(|held| Arc::clone(&held.id)).unwrap_or_else(|| id.shared())
        };
        Ok(match self {
            Self::Opened(observed) => own("opened", of_observed(observed)?),
            Self::Changed(observed) => own("changed", of_observed(observed)?),
            Self::Reopened(observed) => own("reopened", of_observed(observed)?),
            Self::Closed => own("closed", detail(&Nothing {})?),
            Self::Exempted(granted) => {
                let form = ExemptionForm {
                    finding: id.to_string(),
                    kind: granted.kind,
                    reason: granted.reason.to_string(),
                    until: text(granted.until),
                };
                let (id, by) = (Arc::clone(&granted.id), Some(granted.by.clone()));
                exemption("granted", id, 0, by, detail(&form)?)
            }
            Self::Withdrawn { by } => {
                exemption("withdrawn", held(), 1, Some(by.clone()), of_finding()?)
            }
            Self::Expired => exemption("expired", held(), 1, None, of_finding()?),
        })
    }

    /// The step that was recorded at that time, and the finding that it is of; `None` where the
    /// record is about something else.
    ///
    /// # Errors
    /// [`FindingStepError`]: whoever wrote the leaf.
    pub fn of(
        change: &ReviewChange,
        at: Timestamp,
    ) -> Result<Option<(FindingId, Self)>, FindingStepError> {
        match change.what {
            ReviewedThing::Finding => of_finding(change).map(Some),
            ReviewedThing::Exemption => of_exemption(change, at).map(Some),
            _ => Ok(None),
        }
    }
}

fn of_finding(change: &ReviewChange) -> Result<(FindingId, FindingStep), FindingStepError> {
    let id = finding_id(&change.id)?;
    let step = match &*change.event {
        "opened" => FindingStep::Opened(observed(change)?),
        "changed" => FindingStep::Changed(observed(change)?),
        "reopened" => FindingStep::Reopened(observed(change)?),
        "closed" => FindingStep::Closed,
        _ => return Err(word(&change.event, "event of a finding")),
    };
    Ok((id, step))
}

fn of_exemption(
    change: &ReviewChange,
    at: Timestamp,
) -> Result<(FindingId, FindingStep), FindingStepError> {
    if &*change.event == "granted" {
        let form: ExemptionForm = read(change)?;
        let by = change.by.clone().ok_or_else(|| word(&change.id, "exemption of anybody"))?;
        let until = Timestamp::parse(&form.until).ok_or_else(|| word(&form.until, "time"))?;
        let (kind, reason) = (form.kind, form.reason.into());
        let exemption = Exemption { id: Arc::clone(&change.id), kind, reason, by, at, until };
        return Ok((finding_id(&form.finding)?, FindingStep::Exempted(exemption)));
    }
    let form: OfFinding = read(change)?;
    let step = match (&*change.event, &change.by) {
        ("withdrawn", Some(by)) => FindingStep::Withdrawn { by: by.clone() },
        ("expired", None) => FindingStep::Expired,
        _ => return Err(word(&change.event, "event of an exemption")),
    };
    Ok((finding_id(&form.finding)?, step))
}

fn observed(change: &ReviewChange) -> Result<Observed, FindingStepError> {
    let form: ObservedForm = read(change)?;
    let kind = FindingKind::parse(&form.kind).ok_or_else(|| word(&form.kind, "kind of finding"))?;
    let thing = Thing::parse(&form.thing).ok_or_else(|| word(&form.thing, "sort of thing"))?;
    let severity = Severity::parse(&form.severity);
    let severity = severity.ok_or_else(|| word(&form.severity, "severity"))?;
    let whom = form
        .whom
        .map(|whom| IdentityId::new(whom.as_str()).map_err(|_| word(&whom, "name of an identity")));
    let records = form.evidence.iter();
    let records = records.map(|id| RecordId::new(id.as_str()).map_err(|_| word(id, "record")));
    let subject = Subject { whom: whom.transpose()?, thing, name: form.name.into() };
    let evidence = records.collect::<Result<_, _>>()?;
    Ok(Observed { kind, subject, severity, facts: form.facts, evidence, age: Age::Ripe })
}

fn of_observed(observed: &Observed) -> Result<ReviewDetail, FindingStepError> {
    detail(&ObservedForm {
        evidence: observed.evidence.iter().map(ToString::to_string).collect(),
        facts: observed.facts.clone(),
        kind: observed.kind.as_str().to_owned(),
        name: observed.subject.name.to_string(),
        severity: observed.severity.as_str().to_owned(),
        thing: observed.subject.thing.as_str().to_owned(),
        whom: observed.subject.whom.as_ref().map(ToString::to_string),
    })
}

/// The canonical text of a form. All names in it are ASCII and all numbers are small, so that
/// sorting its members is all that RFC 8785 asks for beside what serde_json writes anyway.
fn detail<T: Serialize>(form: &T) -> Result<ReviewDetail, FindingStepError> {
    let too_long = |_| FindingStepError::TooLong;
    let mut value = serde_json::to_value(form).map_err(too_long)?;
    value.sort_all_objects();
    let text = serde_json::to_string(&value).map_err(too_long)?;
    ReviewDetail::new(text).map_err(|_| FindingStepError::TooLong)
}

fn read<T: for<'d> Deserialize<'d>>(change: &ReviewChange) -> Result<T, FindingStepError> {
    serde_json::from_str(change.detail.as_str()).map_err(|error| FindingStepError::Detail {
        event: Arc::clone(&change.event),
        problem: error.to_string().into(),
    })
}

fn finding_id(text: &str) -> Result<FindingId, FindingStepError> {
    FindingId::parse(text).ok_or_else(|| word(text, "id of a finding"))
}

fn word(text: &str, what: &'static str) -> FindingStepError {
    FindingStepError::Word(text.into(), what)
}

fn text(at: Timestamp) -> String {
    at.to_ascii().map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}
