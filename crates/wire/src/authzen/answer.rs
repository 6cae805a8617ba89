//! Answers: `decision`, and in `context` why, what must be done, and whether it may be requested.
//!
//! Written straight into bytes: this is the end of the hot path.

use safeconduct_model::{Decision, Obligation, Reason, RecordId, Requestable, Timestamp};

use crate::field::FieldError;
use crate::json::{write_integer, write_string};

/// Most reasons that one answer shows; it says how many it leaves out. The record has them all.
pub const REASONS_SHOWN_MAX: usize = 64;

/// The answer to one question, borrowed from what was decided.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Permit or Deny.
    pub decision: Decision,
    /// The id of its record, by which the outcome is reported and the ledger asked. Absent only
    /// where nothing could be recorded.
    pub id: Option<&'a RecordId>,
    /// Why.
    pub reasons: &'a [Reason],
    /// What the enforcement point must do for a permit to hold.
    pub obligations: &'a [Obligation],
    /// Whether and how a Deny may be requested.
    pub requestable: Option<&'a Requestable>,
    /// Where and until when a Deny may be requested.
    pub offer: Option<Offer<'a>>,
    /// Why the approval does not help that the enforcement point named.
    pub unhelped: Option<Unhelped>,
}

/// The offer to request what was denied (Access Request and Approval Profile, draft).
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Where.
    pub endpoint: &'a str,
    /// When it was denied.
    pub at: Timestamp,
    /// Until when this Deny can be named.
    pub expires_at: Timestamp,
}

/// Why an approval that an enforcement point named does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unhelped {
    /// It waits for people.
    Pending,
    /// It is over: used up, refused, taken back, or too old.
    Over,
    /// It is for something else, or what else denies this is not for people to lift.
    OutOfScope,
    /// The caller has asked for nothing of that name.
    Unknown,
}

impl Unhelped {
    /// The draft's words: `next_action` and `reason`.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Pending => ("retry", "grant_pending"),
            Self::Over => ("request", "approval_expired"),
            Self::OutOfScope => ("request", "out_of_scope"),
            Self::Unknown => ("none", "approval_unverifiable"),
        }
    }
}

/// The answer to one question of a batch.
#[derive(Debug, Clone, Copy)]
pub enum ItemAnswer<'a> {
    /// It was decided.
    Decided(Answer<'a>),
    /// It was no question: a Deny that carries the error.
    Refused(&'a FieldError),
}

impl ItemAnswer<'_> {
    /// Permit or Deny; what was refused is denied.
    pub const fn decision(&self) -> Decision {
        match self {
            Self::Decided(answer) => answer.decision,
            Self::Refused(_) => Decision::Deny,
        }
    }
}

/// Appends the body of an evaluation response (section 6.2).
///
/// `context` has `decision_id`; `reasons`, each with its stable `code`, the `policy` and its
/// `effect` where there is one, and the `message` that an agent may see; `obligations`, each with
/// `id`, `type` and `properties` as in the obligations profile; `requestable`; and, where it may be
/// requested, what the Access Request and Approval Profile puts beside it.
pub fn write_evaluation(answer: &Answer<'_>, out: &mut Vec<u8>) {
    write_decision(answer.decision, out);
    out.extend_from_slice(b",\"context\":{\"reasons\":[");
    separated(answer.reasons.iter().take(REASONS_SHOWN_MAX), out, write_reason);
    out.push(b']');
    if let Some(left_out) = answer.reasons.len().checked_sub(REASONS_SHOWN_MAX + 1) {
        out.extend_from_slice(b",\"reasons_left_out\":");
        write_integer(i64::try_from(left_out + 1).unwrap_or(i64::MAX), out);
    }
    if let Some(id) = answer.id {
        out.extend_from_slice(b",\"decision_id\":");
        write_string(id.as_str(), out);
    }
    // The decision point sees to declassifiers itself.
    let mut asked = answer.obligations.iter().filter(|one| one.declassifier().is_none()).peekable();
    if asked.peek().is_some() {
        out.extend_from_slice(b",\"obligations\":[");
        separated(asked, out, write_obligation);
        out.push(b']');
    }
    if let Some(requestable) = answer.requestable {
        out.extend_from_slice(b",\"requestable\":{\"approvers\":");
        write_string(&requestable.approvers, out);
        out.extend_from_slice(b",\"quorum\":");
        write_integer(requestable.quorum.into(), out);
        out.extend_from_slice(b",\"ttl_s\":");
        write_integer(requestable.ttl_s.into(), out);
        out.push(b'}');
    }
    if let (Some(offer), Some(id)) = (&answer.offer, answer.id) {
        write_offer(offer, id, out);
    }
    if let Some(unhelped) = answer.unhelped {
        let (next, reason) = unhelped.words();
        out.extend_from_slice(b",\"next_action\":");
        write_string(next, out);
        out.extend_from_slice(b",\"reason\":");
        write_string(reason, out);
    }
    out.extend_from_slice(b"}}");
}

/// Appends the body of an evaluations response (section 7.2): as many answers as were reached.
pub fn write_evaluations<'a>(answers: impl IntoIterator<Item = ItemAnswer<'a>>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"evaluations\":[");
    separated(answers, out, |answer, out| match answer {
        ItemAnswer::Decided(answer) => write_evaluation(&answer, out),
        ItemAnswer::Refused(error) => {
            write_decision(Decision::Deny, out);
            out.extend_from_slice(b",\"context\":{\"error\":{\"status\":400,\"message\":");
            write_string(&error.to_string(), out);
            out.extend_from_slice(b"}}}");
        }
    });
    out.extend_from_slice(b"]}");
}

fn write_decision(decision: Decision, out: &mut Vec<u8>) {
    out.extend_from_slice(match decision {
        Decision::Permit => b"{\"decision\":true",
        Decision::Deny => b"{\"decision\":false",
    });
}

fn write_reason(reason: &Reason, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"code\":");
    write_string(reason.code(), out);
    if let Some(policy) = reason.policy() {
        out.extend_from_slice(b",\"policy\":");
        write_string(policy.id.as_str(), out);
        out.extend_from_slice(b",\"effect\":");
        write_string(policy.effect.as_str(), out);
    }
    out.extend_from_slice(b",\"message\":");
    write_string(&reason.message(), out);
    out.push(b'}');
}

fn write_offer(offer: &Offer<'_>, id: &RecordId, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"evaluation_id\":");
    write_string(id.as_str(), out);
    out.extend_from_slice(b",\"evaluated_at\":");
    write_string(&offer.at.to_string(), out);
    out.extend_from_slice(b",\"access_request\":{\"endpoint\":");
    write_string(offer.endpoint, out);
    out.extend_from_slice(b",\"expires_at\":");
    write_string(&offer.expires_at.to_string(), out);
    out.push(b'}');
}

fn write_obligation(obligation: &Obligation, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    write_string(&obligation.to_string(), out);
    out.extend_from_slice(b",\"type\":");
    write_string(&obligation.kind, out);
    if !obligation.parameter.is_empty() {
        out.extend_from_slice(b",\"properties\":{\"parameter\":");
        write_string(&obligation.parameter, out);
        out.push(b'}');
    }
    out.push(b'}');
}

/// Appends each item, with commas between.
fn separated<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}
