//! What waits for an answer, as the pages need it.

use std::sync::Arc;

use safeconduct_approval::ShownValue;
use safeconduct_model::{
    ArgumentRole, Assurance, Authentication, Digest, EntityRef, IdentityId, IntentName, RecordId,
    TaskId, Tier, Timestamp, Value,
};
use safeconduct_service::Awaited;
use thiserror::Error;

/// Most requests that a list shows.
pub const LISTED_MAX: usize = 100;

/// A request in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Which one.
    pub id: RecordId,
    /// Who asks.
    pub agent: IdentityId,
    /// For whom.
    pub on_behalf_of: Option<IdentityId>,
    /// For what.
    pub action: Arc<str>,
    /// What it would touch.
    pub resources: Vec<EntityRef>,
    /// How well an approver must prove who they are.
    pub assurance: Assurance,
    /// Until when it waits.
    pub answer_by: Timestamp,
}

/// A request in full: what an approver sees, and all of what they see.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What stands in the list.
    pub listed: Listed,
    /// Digest of all that the request is bound to. An answer says to which one it was given.
    pub binding: Digest,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// How it stands, where it takes no answer of theirs.
    pub ended: Option<Arc<str>>,
    /// Who acts and who delegated to them, outwards.
    pub actors: Vec<IdentityId>,
    /// Who is accountable for the agent.
    pub owner: Option<IdentityId>,
    /// Under which intent, with its words.
    pub intent: Option<(IntentName, Arc<str>)>,
    /// In which task.
    pub task: Option<TaskId>,
    /// Why it was denied, in the words of the policy's author.
    pub why: Vec<Arc<str>>,
    /// What who asks says to it, which nobody has checked.
    pub justification: Option<ShownValue>,
    /// What exactly; `None` where it was erased: then it can only be refused.
    pub exactly: Option<Exactly>,
    /// Where arguments came from, by JSON Pointer.
    pub origins: Vec<Origin>,
    /// How risky it is now.
    pub risk: Risk,
    /// How risky it was when it was denied, 0 to 100.
    pub risk_then: u32,
    /// What became of earlier requests like it.
    pub earlier: Earlier,
    /// How many must approve in each stage.
    pub quorum: u32,
    /// Who may answer now, in the policy's words.
    pub open_to: Vec<Arc<str>>,
    /// Who has answered already, and what.
    pub answers: Vec<(IdentityId, Arc<str>)>,
    /// How far what they approved reaches, bound by bound: others must say the same.
    pub reaches: Vec<Arc<str>>,
    /// How often they approved.
    pub agreed_uses: Option<u32>,
    /// For whom whoever looks at it stands in, where they may not answer in person.
    pub instead_of: Option<IdentityId>,
    /// Whether more than one use in its task may be approved.
    pub may_be_for_task: bool,
    /// For how many minutes, at most, the same may be approved in whatever task.
    pub may_be_until_m: Option<u32>,
    /// Others that are like it, which one answer can settle together with it.
    pub like_it: Vec<RecordId>,
}

/// What exactly is asked for.
#[derive(Debug, Clone)]
pub struct Exactly {
    /// How much is at stake.
    pub tier: Tier,
    /// The arguments.
    pub arguments: Value,
    /// What is said beside them.
    pub beside: Option<Value>,
    /// Numbers that an approver may lower, by JSON Pointer.
    pub lowerable: Vec<Arc<str>>,
}

impl Shown {
    /// Whether there is something to approve, and the page shows every value of it.
    pub fn is_all_shown(&self) -> bool {
        self.exactly.as_ref().is_some_and(Exactly::is_all_shown)
    }
}

impl Exactly {
    /// Whether the page shows every value from beginning to end. What nobody sees is not approved
    /// here.
    pub fn is_all_shown(&self) -> bool {
        let whole = |value: &Value| {
            let shown = safeconduct_approval::shown(value);
            shown.more == 0 && shown.values.iter().all(|one| one.left_out == 0)
        };
        whole(&self.arguments) && self.beside.as_ref().is_none_or(whole)
    }
}

/// Where the value of an argument came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Which argument.
    pub pointer: Arc<str>,
    /// What it decides.
    pub role: ArgumentRole,
    /// Where it was seen, in words.
    pub words: Arc<str>,
    /// How far that is to be trusted.
    pub trust: Trust,
}

/// How far the origin of a value is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A person or an orchestrator gave it, or a source that may steer.
    Trusted,
    /// Anyone could have written it.
    Untrusted,
    /// It was seen nowhere.
    Unseen,
}

/// A risk, and what made it.
#[derive(Debug, Clone)]
pub struct Risk {
    /// 0 to 100.
    pub score: u32,
    /// The word for it.
    pub level: Arc<str>,
    /// What made it: points, and what was seen.
    pub parts: Vec<(u32, Arc<str>)>,
}

/// What became of earlier requests, of the newest that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earlier {
    /// Approved.
    pub approved: u32,
    /// Refused.
    pub refused: u32,
    /// Not answered in time.
    pub unanswered: u32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Yes, exactly this, once.
    Once,
    /// Yes, but at most this much: by JSON Pointer, numbers not above those that were asked.
    Edited(Vec<(Arc<str>, Value)>),
    /// Yes, so often in the same task, with the same arguments.
    ForTask {
        /// How often.
        uses: u32,
    },
    /// Yes, so often until that time, with the same arguments, in whatever task of that intent.
    Until {
        /// How often.
        uses: u32,
        /// Until when.
        until: Timestamp,
    },
    /// No.
    Refuse {
        /// Why.
        reason: Arc<str>,
    },
}

/// What came of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The request is answered.
    Done,
    /// Others must approve it too.
    Waiting,
}

/// Why a request is not shown, or an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// There is none, or it is not theirs to see: one answer for both.
    #[error("there is no such request that waits for you")]
    Unknown,
    /// It is over, or what they saw is not what it is about, or they may not answer; in words for
    /// the one who answered.
    #[error("{0}")]
    Refused(String),
    /// It could not be recorded: nothing has happened.
    #[error("this cannot be recorded now; nothing has happened, try again later")]
    Unavailable,
}

/// What shows access requests to people and takes their answers. It checks for each whether they
/// may.
pub trait Requests: Send + Sync + 'static {
    /// What waits for an answer of theirs, the most urgent first; at most [`LISTED_MAX`].
    fn waiting<'a>(
        &'a self,
        by: &'a Authentication,
    ) -> Awaited<'a, Result<Vec<Listed>, RequestError>>;

    /// One of them in full.
    fn show<'a>(
        &'a self,
        id: &'a RecordId,
        by: &'a Authentication,
    ) -> Awaited<'a, Result<Shown, RequestError>>;

    /// Answers one. `binding` is the [`Shown::binding`] of what they were shown.
    fn answer<'a>(
        &'a self,
        id: &'a RecordId,
        by: &'a Authentication,
        binding: Digest,
        answer: &'a Answer,
    ) -> Awaited<'a, Result<Settled, RequestError>>;

    /// Answers several that are like the first, each once and exactly as it was shown, or refuses
    /// them. What came of each, in their order.
    fn answer_all<'a>(
        &'a self,
        requests: &'a [(RecordId, Digest)],
        by: &'a Authentication,
        answer: &'a Answer,
    ) -> Awaited<'a, Result<Vec<Result<Settled, RequestError>>, RequestError>>;
}

#[cfg(test)]
mod tests {
    use safeconduct_approval::{SHOWN_CHARS_MAX, SHOWN_VALUES_MAX};

    use super::*;

    #[test]
    fn what_does_not_fit_on_a_page_is_not_all_shown() {
        let many = |values: usize| Value::Array(vec![Value::from("x"); values]);
        let exactly = |arguments: Value, beside: Option<Value>| Exactly {
            tier: Tier::Low,
            arguments,
            beside,
            lowerable: Vec::new(),
        };
        assert!(exactly(many(SHOWN_VALUES_MAX), None).is_all_shown());
        assert!(!exactly(many(SHOWN_VALUES_MAX + 1), None).is_all_shown());
        assert!(!exactly(many(1), Some(many(SHOWN_VALUES_MAX + 1))).is_all_shown());
        let text = |chars: usize| Value::from("é".repeat(chars).as_str());
        assert!(exactly(text(SHOWN_CHARS_MAX), Some(text(SHOWN_CHARS_MAX))).is_all_shown());
        assert!(!exactly(text(SHOWN_CHARS_MAX + 1), None).is_all_shown());
        assert!(!exactly(text(1), Some(text(SHOWN_CHARS_MAX + 1))).is_all_shown());
    }
}
