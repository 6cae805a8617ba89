//! What a decision rests on, beside the request: gathered by the service, borrowed here.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{
    ActionEntry, Digest, Entity, EntityId, EntityRef, EntityType, Identity, IdentityId, NameError,
    Obligation, RecordId, ServerName, Tiers, Timestamp,
};
use safeconduct_risk::RiskScore;
use safeconduct_session::monitor::Monitors;
use safeconduct_session::{Session, Used};

use crate::{SetAside, TaskFacts};

/// A registered identity, with the entity that policies see of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The identity.
    pub identity: Identity,
    /// What policies see.
    pub entity: Entity,
}

/// The names of the shipped entity types in the namespace of the policy set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    namespace: Arc<str>,
    server: EntityType,
    host: EntityType,
    group: EntityType,
    task_parameters: EntityType,
    unidentified: EntityType,
    unnamed: EntityId,
}

impl Vocabulary {
    /// The names in that namespace.
    ///
    /// # Errors
    /// [`NameError`] where the namespace is no name.
    pub fn new(namespace: &str) -> Result<Self, NameError> {
        let name = |ty: &str| EntityType::new(format!("{namespace}::{ty}"));
        Ok(Self {
            namespace: namespace.into(),
            server: name("Server")?,
            host: name("Host")?,
            group: name("Group")?,
            task_parameters: name("TaskParameters")?,
            unidentified: name("Unidentified")?,
            unnamed: EntityId::new("unnamed")?,
        })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name under which a caller is recorded that nobody has registered.
    pub(crate) fn unidentified(&self, identity: &IdentityId) -> EntityRef {
        // INVARIANT: an identity id is shorter than the limit of an entity id and as printable.
        let id = EntityId::new(identity.shared()).unwrap_or_else(|_| self.unnamed.clone());
        EntityRef { ty: self.unidentified.clone(), id }
    }

    /// The type of upstream servers.
    pub const fn server(&self) -> &EntityType {
        &self.server
    }

    /// The type of host names.
    pub const fn host(&self) -> &EntityType {
        &self.host
    }

    /// The type that holds the parameters of tasks.
    pub const fn task_parameters(&self) -> &EntityType {
        &self.task_parameters
    }

    /// The type of groups of identities.
    pub const fn group(&self) -> &EntityType {
        &self.group
    }
}

/// Which obligations the enforcement point can carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Understood {
    /// It says so itself for each answer: an AuthZEN caller, which must refuse what it does not
    /// know.
    LeftToCaller,
    /// Only these kinds; a permit with another one is a Deny.
    Only(BTreeSet<Arc<str>>),
}

impl Understood {
    /// Whether it can carry this one out.
    pub fn covers(&self, obligation: &Obligation) -> bool {
        match self {
            Self::LeftToCaller => true,
            Self::Only(kinds) => kinds.contains(&obligation.kind),
        }
    }
}

/// Everything that a decision reads beside the request and the policies.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The caller, as it is registered.
    pub caller: Option<&'a Known>,
    /// The asserted subject, where someone of that name is registered.
    pub subject: Option<&'a Known>,
    /// What the catalogue knows of the action.
    pub entry: Option<&'a ActionEntry>,
    /// The live definition of the action, where it is not the approved one.
    pub quarantined: Option<Digest>,
    /// The session as it stands; for a task that its agent began, the one that it came from,
    /// in which what its tasks do counts too.
    pub session: &'a Session,
    /// How many decisions the session of this one has had.
    pub sequence: u64,
    /// What the task has used, where it is one's.
    pub used: Option<&'a Used>,
    /// The task that the request belongs to, where it names one that is known.
    pub task: Option<TaskFacts<'a>>,
    /// What the kill switch has stopped of all this, in words.
    pub killed: Option<&'static str>,
    /// Size of the arguments in canonical form, in bytes.
    pub input_bytes: u64,
    /// How many permitted calls a session may have.
    pub calls_max: u64,
    /// What the enforcement point can carry out.
    pub understood: &'a Understood,
    /// The names of the shipped types.
    pub vocabulary: &'a Vocabulary,
    /// The catalogue that `entry` comes from.
    pub catalogue: Digest,
    /// What session and identity remember for temporal clauses, the request itself not yet taken
    /// in. Where it is `None`, a policy that has such a clause and is in scope fails.
    pub monitors: Option<MonitorFacts<'a>>,
    /// What actions need by their tiers.
    pub tiers: &'a Tiers,
    /// How risky it is, where that was asked and there is anything that speaks of it.
    pub risk: Option<RiskScore>,
    /// When those who vouch for everyone concerned spoke last, the oldest word of all; `None` where
    /// nobody but ourselves vouches for them, or the action's tier does not ask.
    pub last_word: Option<LastWord>,
    /// What people approved of this, where they did: evidence for policies, and no more.
    pub approval: Option<&'a ApprovalFacts>,
    /// What reviews have set aside; `None` where that is nothing.
    pub set_aside: Option<&'a SetAside>,
}

/// When somebody who vouches for others spoke last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LastWord {
    /// Never, or nobody listens to them.
    Never,
    /// Then.
    At(Timestamp),
}

/// What people approved, and who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalFacts {
    /// The access request, or the record by which rules were set aside.
    pub id: RecordId,
    /// Who approved it.
    pub approvers: BTreeSet<IdentityId>,
    /// When the last of them did.
    pub at: Timestamp,
    /// How far it reaches: `once`, `edited`, `task`, `until`, `break_glass`.
    pub scope: &'static str,
}

/// What is remembered for the temporal clauses of policies.
#[derive(Debug, Clone, Copy)]
pub struct MonitorFacts<'a> {
    /// What the session remembers.
    pub session: &'a Monitors,
    /// What the identity remembers, over all its sessions.
    pub identity: &'a Monitors,
}

impl Facts<'_> {
    /// The entity of an upstream server; `None` where its name does not fit, which a checked
    /// [`ServerName`] always does.
    pub(crate) fn server_entity(&self, server: &ServerName) -> Option<Entity> {
        let id = EntityId::new(server.as_str()).ok()?;
        let uid = EntityRef { ty: self.vocabulary.server.clone(), id };
        Some(Entity::bare(uid))
    }
}
