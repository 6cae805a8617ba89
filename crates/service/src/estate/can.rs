//! What somebody can do: every right that they have, with what gives it.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{Digest, IdentityId, PolicyId, TaskId};
use safeconduct_policy::{ScopeActions, StandingRight, StandingRights};
use safeconduct_review::{ANY, Grant, GrantSource, StatementGrant};

use super::EstateError;
use crate::{LeaseView, Service, TaskQuery, World};

/// Most grants of one identity that are shown.
pub const GRANTS_SHOWN_MAX: usize = 1000;

/// Most forbids that are looked at, and shown, for each grant.
pub const NARROWING_MAX: usize = 32;

/// Most tasks of one identity that are looked at for leases and for what would be stopped.
pub(super) const TASKS_MAX: usize = 1000;

/// What somebody can do.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Their grants: by statements in the order of files, then intents, delegations, leases.
    pub grants: Vec<Grant>,
    /// How many more there are.
    pub more: usize,
    /// How many statements without effect name them (`@mode("shadow")`).
    pub shadow: usize,
    /// What of the policies permits without saying to whom and what: the Rego files.
    pub not_derivable: Option<PolicyId>,
}

impl Service {
    /// What that identity can do, whatever its status.
    ///
    /// # Errors
    /// [`EstateError`].
    pub fn can(&self, id: &IdentityId) -> Result<Held, EstateError> {
        let world = self.world();
        let known = world.identities.get(id);
        let known = known.ok_or_else(|| EstateError::UnknownIdentity(id.clone()))?;
        let standing = world.policies.standing_rights(&known.entity)?;
        let mut held = Held {
            shadow: standing.shadow.len(),
            not_derivable: standing.not_derivable.as_ref().map(|info| info.reference.id.clone()),
            ..Held::default()
        };
        for right in &standing.permits {
            if standing.open(right).next().is_none() {
                continue;
            }
            match held.grants.len() < GRANTS_SHOWN_MAX {
                true => held.grants.push(of_statement(id, &standing, right)),
                false => held.more += 1,
            }
        }
        held.grants.extend(self.beside_statements(id, &world));
        Ok(held)
    }

    /// Those of these rights that the identity has, however many it has beside them.
    ///
    /// # Errors
    /// [`EstateError`]: what they can do is not known, which is not that they can do nothing.
    pub(crate) fn rights_among(
        &self,
        id: &IdentityId,
        wanted: &BTreeSet<Digest>,
    ) -> Result<BTreeMap<Digest, Grant>, EstateError> {
        let world = self.world();
        let known = world.identities.get(id);
        let known = known.ok_or_else(|| EstateError::UnknownIdentity(id.clone()))?;
        let standing = world.policies.standing_rights(&known.entity)?;
        let statements = standing.permits.iter().filter(|right| {
            let policy = &right.statement.info().reference.id;
            let grant = Grant::id_of_statement(id, policy, &right.statement.digest());
            wanted.contains(&grant) && standing.open(right).next().is_some()
        });
        let statements = statements.map(|right| of_statement(id, &standing, right));
        let others = self.beside_statements(id, &world);
        let all = statements.chain(others.filter(|grant| wanted.contains(&grant.id)));
        Ok(all.map(|grant| (grant.id, grant)).collect())
    }

    fn beside_statements(
        &self,
        id: &IdentityId,
        world: &World,
    ) -> impl Iterator<Item = Grant> + use<> {
        let others = of_intents(id, world).into_iter().chain(of_delegations(id, world));
        others.chain(self.of_leases(id))
    }

    fn of_leases(&self, id: &IdentityId) -> Vec<Grant> {
        let leases = self.live_leases_of(id).into_iter();
        let grant = |LeaseView { lease, .. }: LeaseView| {
            let source = GrantSource::Lease {
                lease: lease.id,
                task: lease.task,
                target: lease.target,
                kind: lease.kind,
            };
            Grant::new(id.clone(), source, Some(lease.expires_at))
        };
        leases.map(grant).collect()
    }

    /// The leases that are not over of the tasks that somebody acts in.
    pub(super) fn live_leases_of(&self, id: &IdentityId) -> Vec<LeaseView> {
        let all = self.leases(None);
        let mut acts: BTreeMap<TaskId, bool> = BTreeMap::new();
        let mut is_of = |task: &TaskId| {
            *acts
                .entry(task.clone())
                .or_insert_with(|| self.task(task).is_some_and(|view| view.task.agent == *id))
        };
        all.into_iter().filter(|view| is_of(&view.lease.task)).collect()
    }

    /// How many live tasks somebody acts in, up to a bound.
    pub fn live_tasks_of(&self, id: &IdentityId) -> usize {
        let query = TaskQuery {
            state: Some(safeconduct_model::TaskState::Active),
            agent: Some(id),
            intent: None,
            concerns: None,
            after: None,
        };
        self.tasks(&query, TASKS_MAX, |_| true).tasks.len()
    }
}

fn of_statement(id: &IdentityId, standing: &StandingRights, right: &StandingRight) -> Grant {
    let info = right.statement.info();
    let narrowed = standing.narrowing(right).take(NARROWING_MAX);
    let source = GrantSource::Statement(StatementGrant {
        policy: info.reference.id.clone(),
        span: info.reference.span.clone(),
        says: right.statement.digest(),
        actions: standing.open(right).cloned().collect(),
        over: over(&right.statement.actions()).into(),
        principals: right.statement.principal().to_string().into(),
        resources: right.statement.resource().to_string().into(),
        conditional: right.statement.is_conditional(),
        temporal: right.statement.is_temporal(),
        narrowed_by: narrowed.map(|by| by.statement.info().reference.id.clone()).collect(),
    });
    Grant::new(id.clone(), source, None)
}

/// How a scope names actions, in words.
pub(super) fn over(actions: &ScopeActions) -> String {
    match actions {
        ScopeActions::Any => ANY.to_owned(),
        ScopeActions::Eq(action) => action.to_string(),
        ScopeActions::In(list) => format!("in [{}]", list.join(", ")),
    }
}

/// The newest version of each intent that somebody may undertake, and the schedules that are
/// theirs.
fn of_intents(id: &IdentityId, world: &World) -> Vec<Grant> {
    let identity = world.identity(id);
    let mut grants = Vec::new();
    for versions in world.intents.versions.values() {
        let Some(intent) = versions.values().next_back() else { continue };
        let grant = |schedule| {
            let source = GrantSource::Intent {
                intent: intent.name.clone(),
                version: intent.version,
                schedule,
            };
            Grant::new(id.clone(), source, None)
        };
        if identity.is_some_and(|identity| intent.undertakers.include(identity)) {
            grants.push(grant(None));
        }
        let own = intent.schedules.iter().filter(|(_, schedule)| schedule.identity == *id);
        grants.extend(own.map(|(name, _)| grant(Some(name.clone()))));
    }
    grants
}

fn of_delegations(id: &IdentityId, world: &World) -> Vec<Grant> {
    let given = world.delegations().filter(|delegation| delegation.agent == *id);
    let grant = |delegation: &safeconduct_model::Delegation| {
        let source = GrantSource::Delegation {
            id: delegation.id.clone(),
            user: delegation.user.clone(),
            intent: delegation.intent.clone(),
        };
        Grant::new(id.clone(), source, Some(delegation.expires_at))
    };
    given.map(grant).collect()
}
