//! Grants: what somebody may do, each with what gives it, in words that can be shown, counted and
//! reviewed.

use std::sync::Arc;

use safeconduct_model::{
    ActionName, Digest, IdentityId, IntentName, LeaseId, LeaseKind, PolicyId, RecordId,
    ScheduleName, Span, TargetName, TaskId, Timestamp,
};
use sha2::{Digest as _, Sha256};

/// A right of one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id: equal as long as what gives it says the same, wherever it stands.
    pub id: Digest,
    /// Whose right it is.
    pub holder: IdentityId,
    /// What gives it.
    pub source: GrantSource,
    /// When it ends, where it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// What gives a right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantSource {
    /// A statement of the policies: standing.
    Statement(StatementGrant),
    /// An intent that the holder may undertake: standing, and worth what a task of it is.
    Intent {
        /// Which.
        intent: IntentName,
        /// Its version.
        version: u32,
        /// The schedule that gives it, where that does.
        schedule: Option<ScheduleName>,
    },
    /// A user's standing word.
    Delegation {
        /// Its record.
        id: RecordId,
        /// Whose word.
        user: IdentityId,
        /// For which intent.
        intent: IntentName,
    },
    /// A credential at a target, for one task.
    Lease {
        /// Which.
        lease: LeaseId,
        /// The task.
        task: TaskId,
        /// The target.
        target: TargetName,
        /// What it is there.
        kind: LeaseKind,
    },
}

/// What a statement of the policies gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementGrant {
    /// The policy.
    pub policy: PolicyId,
    /// Where it stands.
    pub span: Span,
    /// SHA-256 of what it says.
    pub says: Digest,
    /// The actions that it can be about for the holder and that nothing forbids outright.
    pub actions: Vec<ActionName>,
    /// How its scope names actions, as the policy writes it: `any` where it names none.
    pub over: Arc<str>,
    /// How its scope names principals.
    pub principals: Arc<str>,
    /// How its scope names resources.
    pub resources: Arc<str>,
    /// Whether it has a condition.
    pub conditional: bool,
    /// Whether that looks at what happened before.
    pub temporal: bool,
    /// Forbids that can narrow it.
    pub narrowed_by: Vec<PolicyId>,
}

impl StatementGrant {
    /// Whether it names no action, or no resource: whatever comes is in it.
    pub fn is_wildcard(&self) -> bool {
        &*self.over == ANY || &*self.resources == ANY
    }
}

/// How a scope is written that names nothing.
pub const ANY: &str = "any";

impl GrantSource {
    /// The word for its kind.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Statement(_) => "statement",
            Self::Intent { .. } => "intent",
            Self::Delegation { .. } => "delegation",
            Self::Lease { .. } => "lease",
        }
    }
}

impl Grant {
    /// The id of a right that a statement gives, which says that: without the rest of what is
    /// known of it.
    pub fn id_of_statement(holder: &IdentityId, policy: &PolicyId, says: &Digest) -> Digest {
        let mut hash = Sha256::new();
        for part in
            [b"statement", holder.as_str().as_bytes(), policy.as_str().as_bytes(), says.as_bytes()]
                as [&[u8]; 4]
        {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Digest::from_bytes(hash.finalize().into())
    }

    /// The right that something gives to somebody.
    pub fn new(holder: IdentityId, source: GrantSource, expires_at: Option<Timestamp>) -> Self {
        let mut hash = Sha256::new();
        let mut part = |text: &[u8]| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        part(source.as_str().as_bytes());
        part(holder.as_str().as_bytes());
        match &source {
            GrantSource::Statement(statement) => {
                part(statement.policy.as_str().as_bytes());
                part(statement.says.as_bytes());
            }
            GrantSource::Intent { intent, version, schedule } => {
                part(intent.as_str().as_bytes());
                part(&version.to_be_bytes());
                part(schedule.as_ref().map_or("", |name| name.as_str()).as_bytes());
            }
            GrantSource::Delegation { id, user, intent } => {
                part(id.as_str().as_bytes());
                part(user.as_str().as_bytes());
                part(intent.as_str().as_bytes());
            }
            GrantSource::Lease { lease, task, target, kind } => {
                part(lease.as_str().as_bytes());
                part(task.as_str().as_bytes());
                part(target.as_str().as_bytes());
                part(kind.as_str().as_bytes());
            }
        }
        let id = Digest::from_bytes(hash.finalize().into());
        Self { id, holder, source, expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(policy: &str, line: u32, says: u8) -> GrantSource {
        GrantSource::Statement(StatementGrant {
            policy: PolicyId::new(policy).unwrap(),
            span: Span { file: "a.cedar".into(), line, column: 1, end_line: line },
            says: Digest::from_bytes([says; 32]),
            actions: Vec::new(),
            over: ANY.into(),
            principals: ANY.into(),
            resources: "Safeconduct::Path".into(),
            conditional: false,
            temporal: false,
            narrowed_by: Vec::new(),
        })
    }

    #[test]
    fn a_grant_is_the_same_wherever_its_statement_stands() {
        let holder = |name: &str| IdentityId::new(name).unwrap();
        let id = |who: &str, source| Grant::new(holder(who), source, None).id;
        let one = id("a", statement("p", 1, 1));
        let policy = PolicyId::new("p").unwrap();
        let says = Digest::from_bytes([1; 32]);
        assert_eq!(Grant::id_of_statement(&holder("a"), &policy, &says), one);
        assert_eq!(id("a", statement("p", 9, 1)), one, "it moved");
        assert_ne!(id("a", statement("p", 1, 2)), one, "it says something else");
        assert_ne!(id("a", statement("q", 1, 1)), one, "another policy");
        assert_ne!(id("b", statement("p", 1, 1)), one, "of another");
        let intent = |version| GrantSource::Intent {
            intent: IntentName::new("tidy").unwrap(),
            version,
            schedule: None,
        };
        assert_ne!(id("a", intent(1)), id("a", intent(2)));
    }
}
