//! The question: may this happen now?

use crate::{
    ActionName, Authentication, Entity, IdentityId, KeyedDigest, RecordId, SessionRef, Timestamp,
    TraceId, Value,
};

/// Most resources that one request may touch. More is a Deny.
pub const RESOURCES_MAX: usize = 64;

/// Deepest arguments, counted by [`Value::depth`]. Deeper is a Deny.
pub const INPUT_DEPTH_MAX: usize = 32;

/// The decision's own point in time and id: the two things that the core cannot make itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    /// When.
    pub at: Timestamp,
    /// The id of the decision, and of its record.
    pub decision: RecordId,
}

/// Who wants to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The caller itself, proved.
    Caller(Authentication),
    /// Someone of whom a registered enforcement point speaks.
    Asserted {
        /// The enforcement point, proved.
        by: Authentication,
        /// Whom it speaks of, and what it says of them.
        entity: Entity,
    },
    /// The agent of a task that is about to begin, whoever begins it.
    Undertaker {
        /// Who begins it.
        by: Authentication,
        /// Who will act.
        agent: IdentityId,
    },
    /// The agent of a task, for which a credential at a target is about to be leased.
    Lessee(Authentication),
}

impl Subject {
    /// The proof that came with the request: the caller's own, or its enforcement point's.
    pub const fn authentication(&self) -> &Authentication {
        match self {
            Self::Caller(authentication)
            | Self::Lessee(authentication)
            | Self::Asserted { by: authentication, .. }
            | Self::Undertaker { by: authentication, .. } => authentication,
        }
    }
}

/// Whether a Deny is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is.
    Enforce,
    /// It is recorded, and the call goes ahead: for learning a first policy.
    Observe,
}

impl Mode {
    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// One question to the decision point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who wants to act.
    pub subject: Subject,
    /// What they want to do.
    pub action: ActionName,
    /// What they want to do it to, where the enforcement point names it. `None` leaves it to the
    /// catalogue's mapping of the arguments.
    pub resource: Option<Entity>,
    /// The arguments.
    pub input: Value,
    /// Keyed digest of the canonical bytes of the arguments, or, where the enforcement point says
    /// more, of the list of the arguments and [`Request::asserted`].
    pub input_digest: KeyedDigest,
    /// What else the enforcement point says; policies see it as `context.request`.
    pub asserted: Option<Value>,
    /// The session.
    pub session: SessionRef,
    /// The enforcement point: `gateway:files`, `authzen:NAME`.
    pub pep: IdentityId,
    /// Whether a Deny is carried out.
    pub mode: Mode,
    /// What the caller correlates by.
    pub trace: Option<TraceId>,
    /// The record that caused this request.
    pub parent: Option<RecordId>,
}
