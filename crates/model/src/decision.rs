//! The answer, and why.

use std::fmt;
use std::sync::Arc;

use crate::{
    ActionName, Digest, EntityRef, IdentityId, IdentityStatus, IntentName, PolicyId, RecordId,
    TaskId, TaskState, Tier,
};

/// Two values, and no third.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It may happen.
    Permit,
    /// It may not.
    Deny,
}

impl Decision {
    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a policy says where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyEffect {
    /// `permit`.
    Permit,
    /// `forbid`.
    Forbid,
}

impl PolicyEffect {
    /// The word for it in policies and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        }
    }
}

/// Where a policy stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file, relative to the policy folder.
    pub file: Arc<str>,
    /// Line of its first character, from 1.
    pub line: u32,
    /// Column of its first character, from 1, in characters.
    pub column: u32,
    /// Line of its last character.
    pub end_line: u32,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What may be asked for where only requestable forbids stand in the way:
/// `@requestable("approvers=resource.owner; quorum=1; ttl=15m")`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requestable {
    /// Who may approve, as the policy names them.
    pub approvers: Arc<str>,
    /// How many of them must.
    pub quorum: u32,
    /// How long an approval lasts, in seconds.
    pub ttl_s: u32,
}

impl Requestable {
    /// The terms that satisfy both: more approvals, the shorter life. `None` where different
    /// people would have to approve, since one request cannot name them both.
    pub fn strictest(self, other: Self) -> Option<Self> {
        (self.approvers == other.approvers).then(|| Self {
            approvers: self.approvers,
            quorum: self.quorum.max(other.quorum),
            ttl_s: self.ttl_s.min(other.ttl_s),
        })
    }
}

/// The kind of the obligation that lowers what a result carries: `declassify:NAME`.
pub const DECLASSIFY: &str = "declassify";

/// What an enforcement point must do for a permit to hold: `redact:$.ssn`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obligation {
    /// What to do.
    pub kind: Arc<str>,
    /// To what.
    pub parameter: Arc<str>,
}

impl Obligation {
    /// Reads `kind:parameter`; a text without a colon is a kind without parameter.
    pub fn parse(text: &str) -> Self {
        let (kind, parameter) = text.split_once(':').unwrap_or((text, ""));
        Self { kind: kind.trim().into(), parameter: parameter.trim().into() }
    }

    /// The name of the declassifier that it asks for, where it does: the decision point sees to
    /// that itself, and enforcement points are not told.
    pub fn declassifier(&self) -> Option<&Arc<str>> {
        (&*self.kind == DECLASSIFY).then_some(&self.parameter)
    }
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parameter.is_empty() {
            f.write_str(&self.kind)
        } else {
            write!(f, "{}:{}", self.kind, self.parameter)
        }
    }
}

/// A policy that took part in a decision, as shared text: cheap to hand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRef {
    /// Its stable name.
    pub id: PolicyId,
    /// What it says.
    pub effect: PolicyEffect,
    /// Where it stands.
    pub span: Span,
    /// Its `@message`: the only text of an author that an agent ever sees.
    pub message: Option<Arc<str>>,
}

/// One reason of a decision. A Permit has the policies that permit; a Deny has everything that
/// stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A policy applied.
    Policy(Arc<PolicyRef>),
    /// A policy in scope could not be evaluated: a Deny, whatever the others say.
    PolicyError {
        /// Which policy.
        policy: Arc<PolicyRef>,
        /// What went wrong, in the evaluator's words; for operators, never for agents.
        error: Arc<str>,
    },
    /// No policy permits it.
    NoPermit {
        /// The resource that nothing permits, where the request touches several.
        resource: Option<EntityRef>,
    },
    /// A permit: the task's mandate names it, and no policy forbids it.
    InMandate,
    /// Nobody is registered under that name.
    UnknownIdentity(IdentityId),
    /// The identity may not act at all.
    IdentityNotActive(IdentityId, IdentityStatus),
    /// The credential was revoked or has expired since it was presented.
    CredentialEnded,
    /// The enforcement point may not say this.
    AssertionNotAllowed(Arc<str>),
    /// The session belongs to another identity or credential.
    ForeignSession,
    /// The action is not in the catalogue, or no schema declares it.
    UnknownAction(ActionName),
    /// The action's live definition is not the one that was approved.
    Quarantined {
        /// Which action.
        action: ActionName,
        /// The definition that was seen.
        seen: Digest,
    },
    /// An argument cannot be what the definition says, or Cedar cannot hold it exactly.
    InputNotRepresentable {
        /// JSON Pointer to it.
        pointer: Arc<str>,
        /// What is wrong with it.
        problem: Arc<str>,
    },
    /// No schema declares the action for principals or resources of that type.
    NotDeclared(Arc<str>),
    /// What is said of an entity, or of the request, cannot be what the schema declares.
    PropertyNotRepresentable {
        /// Of what.
        of: Arc<str>,
        /// JSON Pointer to the property.
        pointer: Arc<str>,
        /// What is wrong with it.
        problem: Arc<str>,
    },
    /// The arguments do not name the resource as the catalogue says.
    ResourceNotMapped {
        /// JSON Pointer to the argument.
        pointer: Arc<str>,
        /// What is wrong with it.
        problem: Arc<str>,
    },
    /// The request is over a limit.
    OverLimit {
        /// Which limit.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The session has used up its calls.
    BudgetSpent {
        /// How many it had.
        calls: u64,
    },
    /// The enforcement point does not know an obligation of the permit.
    UnknownObligation(Obligation),
    /// The task that was named is not known.
    UnknownTask,
    /// The task belongs to another agent.
    ForeignTask,
    /// The task, or one above it, has ended.
    TaskEnded {
        /// Which one.
        task: TaskId,
        /// How.
        state: TaskState,
    },
    /// The call lies outside of what the task's intent allows.
    OutsideIntent {
        /// The intent.
        intent: IntentName,
        /// Where it leaves it; names places, never values.
        problem: Arc<str>,
    },
    /// The action's tier is above what the task's intent allows without an approval.
    AboveTier {
        /// The action's tier.
        tier: Tier,
        /// The highest that the intent allows.
        most: Tier,
    },
    /// An action of that tier needs a person's approval.
    NeedsPerson {
        /// The tier.
        tier: Tier,
    },
    /// An action of that tier needs fresh facts, or a person's approval.
    NeedsFreshFacts {
        /// The tier.
        tier: Tier,
        /// What is missing, in words.
        missing: &'static str,
    },
    /// A review has set the right aside that would permit it; one command brings it back.
    SetAside {
        /// The remediation that did.
        review: RecordId,
    },
    /// The task's budget does not hold this call.
    TaskBudgetSpent {
        /// Which part of it, and its limit.
        what: Arc<str>,
    },
    /// The user for whom the task acts may not do this themselves.
    UserNotPermitted {
        /// The user.
        user: IdentityId,
    },
    /// The kill switch stopped it.
    Killed {
        /// What was stopped, in words.
        scope: &'static str,
    },
    /// Others changed the same state three times while this was decided.
    Contended,
    /// The record could not be made durable.
    NotRecorded(Arc<str>),
}

impl Reason {
    /// The stable code of this kind of reason, in records, APIs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Policy(_) => "policy",
            Self::PolicyError { .. } => "policy_error",
            Self::NoPermit { .. } => "no_permit",
            Self::InMandate => "in_mandate",
            Self::UnknownIdentity(_) => "unknown_identity",
            Self::IdentityNotActive(..) => "identity_not_active",
            Self::CredentialEnded => "credential_ended",
            Self::AssertionNotAllowed(_) => "assertion_not_allowed",
            Self::ForeignSession => "foreign_session",
            Self::UnknownAction(_) => "unknown_action",
            Self::Quarantined { .. } => "quarantined",
            Self::InputNotRepresentable { .. } => "input_not_representable",
            Self::NotDeclared(_) => "not_declared",
            Self::PropertyNotRepresentable { .. } => "property_not_representable",
            Self::ResourceNotMapped { .. } => "resource_not_mapped",
            Self::OverLimit { .. } => "over_limit",
            Self::BudgetSpent { .. } => "budget_spent",
            Self::UnknownObligation(_) => "unknown_obligation",
            Self::UnknownTask => "unknown_task",
            Self::ForeignTask => "foreign_task",
            Self::TaskEnded { .. } => "task_ended",
            Self::OutsideIntent { .. } => "outside_intent",
            Self::AboveTier { .. } => "above_tier",
            Self::NeedsPerson { .. } => "needs_person",
            Self::NeedsFreshFacts { .. } => "needs_fresh_facts",
            Self::SetAside { .. } => "set_aside",
            Self::TaskBudgetSpent { .. } => "task_budget_spent",
            Self::UserNotPermitted { .. } => "user_not_permitted",
            Self::Killed { .. } => "killed",
            Self::Contended => "contended",
            Self::NotRecorded(_) => "not_recorded",
        }
    }

    /// The policy it speaks of.
    pub const fn policy(&self) -> Option<&Arc<PolicyRef>> {
        match self {
            Self::Policy(policy) | Self::PolicyError { policy, .. } => Some(policy),
            _ => None,
        }
    }

    /// One sentence that an agent may see: never policy text, never what other people's data is.
    pub fn message(&self) -> String {
        match self {
            Self::Policy(policy) => match &policy.message {
                Some(message) => message.to_string(),
                None => ["rule `", policy.id.as_str(), "` applies"].concat(),
            },
            Self::PolicyError { policy, .. } => {
                format!("rule `{}` could not be evaluated, so nothing is permitted", policy.id)
            }
            Self::NoPermit { resource: None } => "no rule permits this".into(),
            Self::NoPermit { resource: Some(resource) } => {
                format!("no rule permits this on {resource}")
            }
            Self::InMandate => "the task's mandate names it, and no rule forbids it".into(),
            Self::UnknownIdentity(id) => format!("nobody is registered as `{id}`"),
            Self::IdentityNotActive(id, status) => {
                format!("identity `{id}` is {}", status.as_str())
            }
            Self::CredentialEnded => "the credential was revoked or has expired".into(),
            Self::AssertionNotAllowed(what) => {
                format!("the enforcement point is not registered to say this: {what}")
            }
            Self::ForeignSession => "the session belongs to another identity".into(),
            Self::UnknownAction(action) => format!("action `{action}` is not in the catalogue"),
            Self::Quarantined { action, .. } => format!(
                "the definition of `{action}` has changed since it was approved; it is quarantined"
            ),
            Self::InputNotRepresentable { pointer, problem } => {
                format!("argument `{pointer}` {problem}")
            }
            Self::NotDeclared(what) => format!("no schema declares {what}"),
            Self::PropertyNotRepresentable { of, pointer, problem } => {
                format!("property `{pointer}` of {of} {problem}")
            }
            Self::ResourceNotMapped { pointer, problem } => {
                format!("argument `{pointer}` does not name a resource: {problem}")
            }
            Self::OverLimit { what, limit } => format!("{what} exceeds the limit of {limit}"),
            Self::BudgetSpent { calls } => {
                format!("the session's budget of {calls} calls is spent")
            }
            Self::UnknownObligation(obligation) => {
                format!("the enforcement point does not know the obligation `{}`", obligation.kind)
            }
            Self::UnknownTask => "no such task is known".into(),
            Self::ForeignTask => "the task is another agent's".into(),
            Self::TaskEnded { task, state } => {
                format!("task `{task}` has ended: it is {}", state.as_str())
            }
            Self::OutsideIntent { intent, problem } => {
                format!("the task's intent `{intent}` does not allow this: {problem}")
            }
            Self::AboveTier { tier, most } => format!(
                "this action is of tier `{}`, and the task's intent allows at most `{}`",
                tier.as_str(),
                most.as_str()
            ),
            Self::NeedsPerson { tier } => {
                format!("an action of tier `{}` needs the approval of a person", tier.as_str())
            }
            Self::NeedsFreshFacts { tier, missing } => format!(
                "an action of tier `{}` needs {missing}, or the approval of a person",
                tier.as_str()
            ),
            Self::SetAside { review } => format!(
                "the right was set aside by review `{review}`; \
                 restore it with `safeconduct review remediate restore {review}`"
            ),
            Self::TaskBudgetSpent { what } => format!("the task's budget is spent: {what}"),
            Self::UserNotPermitted { user } => {
                format!("no rule permits this to `{user}`, for whom the task acts")
            }
            Self::Killed { scope } => format!("{scope} was stopped by the kill switch"),
            Self::Contended => "too many changes at the same moment; try again".into(),
            Self::NotRecorded(_) => "the decision could not be recorded".into(),
        }
    }
}
