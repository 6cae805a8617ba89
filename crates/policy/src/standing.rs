//! What somebody may do by standing policy, before anything is asked: the statements that can
//! apply to them, over which actions and which resources.
//!
//! A right that is listed here may still never be permitted: its condition may be false. The
//! other way around nothing is left out: whatever a question can be permitted by is listed.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityUID, PrincipalOrResourceConstraint,
};
use safeconduct_model::{ActionName, Digest, Entity, EntityId, EntityType, PolicyEffect, PolicyId};
use sha2::{Digest as _, Sha256};

use crate::annotations::PolicyMode;
use crate::evaluate::{Actions, QuestionError, Side};
use crate::policies::{Entry, Policies, PolicyInfo, Statement};
use crate::schema::{Action, EntityKind, TypeId};

/// One statement of the set, with the scope that it is written for.
#[derive(Debug, Clone)]
pub struct ScopedStatement(Arc<Statement>);

/// What a scope asks of a principal or a resource; entities and types as Cedar writes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeSide {
    /// Nothing.
    Any,
    /// To be of that type.
    Is(Arc<str>),
    /// To be that entity.
    Eq(Arc<str>),
    /// To be that entity, or to belong to it.
    In(Arc<str>),
    /// To be of that type, and that entity or of it.
    IsIn(Arc<str>, Arc<str>),
}

/// What a scope asks of the action; actions as Cedar writes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeActions {
    /// Nothing.
    Any,
    /// To be that one.
    Eq(Arc<str>),
    /// To be one of these, or to belong to one.
    In(Vec<Arc<str>>),
}

impl ScopedStatement {
    pub(crate) fn of(statement: &Arc<Statement>) -> Self {
        Self(Arc::clone(statement))
    }

    pub(crate) fn statement(&self) -> &Statement {
        &self.0
    }

    /// Whether its scope names no resource.
    pub(crate) fn is_over_everything(&self) -> bool {
        matches!(self.0.resource, PrincipalOrResourceConstraint::Any)
    }

    /// What is known of the policy: id, effect, place, mode and what its annotations say.
    pub fn info(&self) -> &Arc<PolicyInfo> {
        &self.0.info
    }

    /// What its scope asks of the principal.
    pub fn principal(&self) -> ScopeSide {
        side(&self.0.principal)
    }

    /// What its scope asks of the action.
    pub fn actions(&self) -> ScopeActions {
        let text = |uid: &Arc<EntityUID>| Arc::from(uid.to_string());
        match &self.0.actions {
            ActionConstraint::Any => ScopeActions::Any,
            ActionConstraint::Eq(uid) => ScopeActions::Eq(text(uid)),
            ActionConstraint::In(list) => ScopeActions::In(list.iter().map(text).collect()),
        }
    }

    /// What its scope asks of the resource.
    pub fn resource(&self) -> ScopeSide {
        side(&self.0.resource)
    }

    /// Whether it applies only where a condition holds.
    pub fn is_conditional(&self) -> bool {
        !self.0.condition.is_always()
    }

    /// Whether its condition looks at what happened before.
    pub fn is_temporal(&self) -> bool {
        !self.0.leaves.is_empty()
    }

    /// Whether it stands in the way of everything that its principals and actions name, whatever
    /// is asked, and nobody can be asked to let it go.
    fn blocks(&self) -> bool {
        let everything = matches!(self.0.resource, PrincipalOrResourceConstraint::Any);
        let info = self.info();
        info.reference.effect == PolicyEffect::Forbid
            && info.mode == PolicyMode::Enforce
            && info.requestable.is_none()
            && everything
            && !self.is_conditional()
    }

    /// SHA-256 of what the statement says: equal where only its place, its spacing, its comments,
    /// its message or annotations of others differ. Temporal clauses count by name; equal names
    /// are equal conditions.
    pub fn digest(&self) -> Digest {
        let Statement { info, principal, actions, resource, condition, .. } = &*self.0;
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        part(info.reference.effect.as_str());
        part(info.mode.as_str());
        part(&side(principal).to_string());
        part(&actions.to_string());
        part(&side(resource).to_string());
        part(&condition.expression().map(ToString::to_string).unwrap_or_default());
        for obligation in &info.obligations {
            part("obligation");
            part(&obligation.to_string());
        }
        if let Some(terms) = &info.requestable {
            part("requestable");
            part(&format!("{}; {}; {}", terms.approvers, terms.quorum, terms.ttl_s));
        }
        Digest::from_bytes(hash.finalize().into())
    }
}

fn side(constraint: &PrincipalOrResourceConstraint) -> ScopeSide {
    let named = |reference: &EntityReference| match reference {
        EntityReference::EUID(uid) => Arc::from(uid.to_string()),
        // Loading refuses templates.
        EntityReference::Slot(_) => Arc::from("?"),
    };
    match constraint {
        PrincipalOrResourceConstraint::Any => ScopeSide::Any,
        PrincipalOrResourceConstraint::Is(ty) => ScopeSide::Is(ty.to_string().into()),
        PrincipalOrResourceConstraint::Eq(uid) => ScopeSide::Eq(named(uid)),
        PrincipalOrResourceConstraint::In(uid) => ScopeSide::In(named(uid)),
        PrincipalOrResourceConstraint::IsIn(ty, uid) => {
            ScopeSide::IsIn(ty.to_string().into(), named(uid))
        }
    }
}

/// `any`, `Safeconduct::Path`, `Safeconduct::Path::"/a"`, `in Safeconduct::Path::"/a"`,
/// `Safeconduct::Path in Safeconduct::Path::"/a"`.
impl fmt::Display for ScopeSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Is(text) | Self::Eq(text) => f.write_str(text),
            Self::In(entity) => write!(f, "in {entity}"),
            Self::IsIn(ty, entity) => write!(f, "{ty} in {entity}"),
        }
    }
}

/// One statement that can apply to somebody.
#[derive(Debug, Clone)]
pub struct StandingRight {
    /// The statement.
    pub statement: ScopedStatement,
    /// The actions that it can be about for them, in order: those of the schema that its scope
    /// names and that are declared for their type and for what its scope says of the resource.
    pub actions: Arc<[ActionName]>,
}

impl StandingRight {
    /// Whether it can be about that action.
    pub fn covers(&self, action: &ActionName) -> bool {
        self.actions.binary_search(action).is_ok()
    }

    /// Whether another statement can be about the same: an action of both, and a resource that
    /// neither scope excludes by itself.
    pub fn meets(&self, other: &Self) -> bool {
        use EntityReference::EUID;
        use PrincipalOrResourceConstraint::{Eq, Is, IsIn};
        let apart = match (&self.statement.0.resource, &other.statement.0.resource) {
            (Eq(EUID(one)), Eq(EUID(two))) => one != two,
            (Is(one) | IsIn(one, _), Is(two) | IsIn(two, _)) => one != two,
            _ => false,
        };
        let shares = || {
            Arc::ptr_eq(&self.actions, &other.actions)
                || self.actions.iter().any(|a| other.covers(a))
        };
        !apart && shares()
    }
}

/// Everything that can apply to somebody, each kind in the order of files.
#[derive(Debug, Clone, Default)]
pub struct StandingRights {
    /// What can permit them something.
    pub permits: Vec<StandingRight>,
    /// What can stand in the way.
    pub forbids: Vec<StandingRight>,
    /// What has no effect: `@mode("shadow")`.
    pub shadow: Vec<StandingRight>,
    /// Rego files that have effect: what they permit cannot be told without asking.
    pub not_derivable: Option<Arc<PolicyInfo>>,
    blocked: BTreeSet<ActionName>,
}

impl StandingRights {
    /// Whether that action could be permitted on some resource and in some situation. Where Rego
    /// files are all that there is, nobody knows: then it could.
    pub fn may(&self, action: &ActionName) -> bool {
        let by_rego = self.permits.is_empty() && self.not_derivable.is_some();
        by_rego
            || (!self.is_blocked(action) && self.permits.iter().any(|right| right.covers(action)))
    }

    /// Whether something forbids that action whatever is asked, and nobody can be asked for it.
    pub fn is_blocked(&self, action: &ActionName) -> bool {
        self.blocked.contains(action)
    }

    /// The actions of a right that nothing forbids outright.
    pub fn open<'a>(&'a self, right: &'a StandingRight) -> impl Iterator<Item = &'a ActionName> {
        right.actions.iter().filter(|action| !self.is_blocked(action))
    }

    /// What can narrow a right.
    pub fn narrowing<'a>(
        &'a self,
        right: &'a StandingRight,
    ) -> impl Iterator<Item = &'a StandingRight> {
        self.forbids.iter().filter(|forbid| forbid.meets(right))
    }
}

impl Policies {
    /// Every statement of Cedar with its scope, in the order of files. Rego has no statements.
    pub fn statements(&self) -> impl Iterator<Item = ScopedStatement> {
        self.entries().map(|entry| ScopedStatement(Arc::clone(&entry.statement)))
    }

    /// The statement of Cedar of that id.
    pub fn statement(&self, id: &PolicyId) -> Option<ScopedStatement> {
        let entry = self.entry(*self.by_id.get(id)?)?;
        Some(ScopedStatement(Arc::clone(&entry.statement)))
    }

    /// Every statement that can apply to somebody, who belongs to what is said of them. It costs
    /// what comes out, whatever else is in the set.
    ///
    /// # Errors
    /// [`QuestionError::UnknownType`] where no schema has their type or one that they belong to.
    pub fn standing_rights(&self, principal: &Entity) -> Result<StandingRights, QuestionError> {
        let (kind, asked) = self.principal_side(principal)?;
        let mut found = Vec::new();
        self.by_principal().all_for_principal(&asked, &mut found);
        let mut known = Known::of(self, kind);
        let rights = found.into_iter().filter_map(|at| self.entry(at)).filter_map(|entry| {
            let applies = entry.scope.principal.matches(&asked);
            applies.then(|| known.right(self, entry)).flatten()
        });
        Ok(self.sorted(rights))
    }

    /// The statements that can apply where somebody does that, to that resource or to any.
    ///
    /// # Errors
    /// As [`Policies::standing_rights`]; [`QuestionError::UnknownAction`].
    pub fn standing_over(
        &self,
        principal: &Entity,
        name: &ActionName,
        resource: Option<&Entity>,
    ) -> Result<StandingRights, QuestionError> {
        let (kind, asked) = self.principal_side(principal)?;
        let declared =
            self.schema.actions.get(name.as_str()).ok_or(QuestionError::UnknownAction)?;
        let action = self.action(name).ok_or(QuestionError::UnknownAction)?;
        let resource = resource.map(|resource| {
            let types = &self.schema.types;
            let ty = resource.uid.ty.as_str();
            let unknown = || QuestionError::UnknownType { ty: resource.uid.ty.shared() };
            let kind = types.resolve(ty).ok_or_else(unknown)?;
            Ok::<_, QuestionError>((kind.id, self.interner.asked(resource, kind, types)?))
        });
        let resource = resource.transpose()?;
        let declared_for = declared.principals.contains(&kind.id)
            && resource.as_ref().is_none_or(|(ty, _)| declared.resources.contains(ty));
        if !declared_for {
            return Ok(self.sorted(std::iter::empty()));
        }
        let mut found = Vec::new();
        self.by_principal().candidates_for_principal(&asked, action, &mut found);
        found.sort_unstable();
        found.dedup();
        let only: Arc<[ActionName]> = Arc::from([name.clone()]);
        let rights = found.into_iter().filter_map(|at| self.entry(at)).filter_map(|entry| {
            let applies = entry.scope.matches_for_some_resource(&asked, action)
                && match &resource {
                    Some((_, side)) => entry.scope.resource.matches(side),
                    None => Resources::of(self, &entry.statement).admits(declared),
                };
            let statement = ScopedStatement(Arc::clone(&entry.statement));
            applies.then(|| StandingRight { statement, actions: Arc::clone(&only) })
        });
        Ok(self.sorted(rights))
    }

    /// The names of all actions that can be asked about, in order.
    pub fn action_names(&self) -> Vec<ActionName> {
        let names = self.schema.actions.keys();
        let mut names: Vec<_> =
            names.filter_map(|name| ActionName::new(Arc::clone(name)).ok()).collect();
        names.sort_unstable();
        names
    }

    /// The principals of that type that scopes name. It looks at every statement.
    pub fn named_principals(&self, ty: &EntityType) -> BTreeSet<EntityId> {
        self.named(ty, |statement| &statement.principal)
    }

    /// The resources of that type that scopes name. It looks at every statement.
    pub fn named_resources(&self, ty: &EntityType) -> BTreeSet<EntityId> {
        self.named(ty, |statement| &statement.resource)
    }

    fn named(
        &self,
        ty: &EntityType,
        side: fn(&Statement) -> &PrincipalOrResourceConstraint,
    ) -> BTreeSet<EntityId> {
        use PrincipalOrResourceConstraint::{Eq, In, IsIn};
        let Some(kind) = self.schema.types.resolve(ty.as_str()) else { return BTreeSet::new() };
        let named = self.entries().filter_map(|entry| match side(&entry.statement) {
            Eq(EntityReference::EUID(uid))
            | In(EntityReference::EUID(uid))
            | IsIn(_, EntityReference::EUID(uid)) => Some(uid),
            _ => None,
        });
        let of_type = named.filter(|uid| *uid.entity_type() == kind.ty);
        of_type.filter_map(|uid| EntityId::new(AsRef::<str>::as_ref(uid.eid())).ok()).collect()
    }

    fn principal_side(&self, principal: &Entity) -> Result<(&EntityKind, Side), QuestionError> {
        let types = &self.schema.types;
        let unknown = || QuestionError::UnknownType { ty: principal.uid.ty.shared() };
        let kind = types.resolve(principal.uid.ty.as_str()).ok_or_else(unknown)?;
        let asked = self.interner.asked(principal, kind, types)?;
        Ok((kind, asked))
    }

    fn sorted(&self, rights: impl Iterator<Item = StandingRight>) -> StandingRights {
        let enforced = |rego: &&Arc<crate::rego::Rego>| rego.is_enforced();
        let rego = self.rego.as_ref().filter(enforced);
        let mut standing = StandingRights {
            not_derivable: rego.map(|rego| Arc::clone(rego.info())),
            ..StandingRights::default()
        };
        for right in rights {
            if right.statement.blocks() {
                standing.blocked.extend(right.actions.iter().cloned());
            }
            let info = right.statement.info();
            let kind = match (info.mode, info.reference.effect) {
                (PolicyMode::Shadow, _) => &mut standing.shadow,
                (PolicyMode::Enforce, PolicyEffect::Permit) => &mut standing.permits,
                (PolicyMode::Enforce, PolicyEffect::Forbid) => &mut standing.forbids,
            };
            kind.push(right);
        }
        standing
    }
}

/// What the scope of a statement leaves of the types of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Resources {
    All,
    Of(TypeId),
    /// Of a type that no question is of.
    None,
}

impl Resources {
    fn of(policies: &Policies, statement: &Statement) -> Self {
        let types = &policies.schema.types;
        let ty = match &statement.resource {
            // What belongs to an entity may be of another type.
            PrincipalOrResourceConstraint::Any | PrincipalOrResourceConstraint::In(_) => {
                return Self::All;
            }
            PrincipalOrResourceConstraint::Eq(EntityReference::EUID(uid)) => {
                types.id(uid.entity_type())
            }
            PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_)) => None,
            PrincipalOrResourceConstraint::Is(ty) | PrincipalOrResourceConstraint::IsIn(ty, _) => {
                types.id(ty)
            }
        };
        ty.map_or(Self::None, Self::Of)
    }

    fn admits(self, action: &Action) -> bool {
        match self {
            Self::All => true,
            Self::Of(ty) => action.resources.contains(&ty),
            Self::None => false,
        }
    }
}

/// An action that is declared for somebody's type.
struct KnownAction<'p> {
    name: ActionName,
    declared: &'p Action,
    side: &'p Side,
}

/// The actions that are declared for somebody's type, and what was worked out of them: many
/// statements name the same ones.
struct Known<'p> {
    actions: Vec<KnownAction<'p>>,
    worked_out: HashMap<(Actions, Resources), Arc<[ActionName]>>,
}

impl<'p> Known<'p> {
    fn of(policies: &'p Policies, kind: &EntityKind) -> Self {
        let known = policies.schema.actions.iter().filter_map(|(name, declared)| {
            let name = ActionName::new(Arc::clone(name)).ok()?;
            let side = policies.action(&name)?;
            let declared = &**declared;
            declared.principals.contains(&kind.id).then_some(KnownAction { name, declared, side })
        });
        let mut actions: Vec<_> = known.collect();
        actions.sort_by(|one, other| one.name.cmp(&other.name));
        Self { actions, worked_out: HashMap::new() }
    }

    /// The right that a statement gives; none where it can be about no action.
    fn right(&mut self, policies: &Policies, entry: &Entry) -> Option<StandingRight> {
        let resources = Resources::of(policies, &entry.statement);
        let named = &entry.scope.actions;
        let key = (named.clone(), resources);
        let actions = self.worked_out.entry(key).or_insert_with(|| {
            let fits = |known: &&KnownAction<'_>| {
                named.matches(known.side) && resources.admits(known.declared)
            };
            self.actions.iter().filter(fits).map(|known| known.name.clone()).collect()
        });
        let statement = ScopedStatement(Arc::clone(&entry.statement));
        (!actions.is_empty()).then(|| StandingRight { statement, actions: Arc::clone(actions) })
    }
}
