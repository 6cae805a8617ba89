//! Facts about rights: who holds what since when, and what was done with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Digest, Identity, IdentityKind, PolicyId, RecordId, Tier, Timestamp,
};
use safeconduct_review::finding::{
    ActionFacts, FindingKind, FirstSeen, GrantFacts, PolicyFacts, Told, UnexplainedFacts, UseFacts,
};
use safeconduct_review::{ANY, Grant, GrantSource, StatementGrant, TaskKind, Use, day_of};

use super::LookError;
use super::evidence::Evidence;
use crate::{
    BREAK_GLASS, EstateError, Held, LEASE, ReadModel, Service, UNDERTAKE, UseQuery, World,
};

/// What is done with rights that no tool does: there is no catalogue entry of it.
const OURS: [&str; 3] = [UNDERTAKE, LEASE, BREAK_GLASS];

/// How the rights of all identities are gone over.
pub(super) struct Rights<'a> {
    service: &'a Service,
    world: &'a World,
    read: &'a dyn ReadModel,
    evidence: &'a Evidence,
    first_seen: &'a FirstSeen,
    now: Timestamp,
    /// The first day of the window.
    since_day: i64,
    /// The actions that some intent's envelope holds.
    needed: BTreeSet<ActionName>,
    /// Policies by which agents have rights.
    policies: BTreeMap<PolicyId, PolicyFacts>,
    /// Rights that no look saw before.
    pub(super) fresh: Vec<Digest>,
    pub(super) grants: u64,
    pub(super) left_out: u64,
}

/// The use of one policy.
#[derive(Default)]
struct Used {
    within: Use,
    /// Permits of the window that the identity itself was given, and no agent for it.
    themselves: u64,
    actions: BTreeSet<ActionName>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// What one identity holds, and what it used.
#[derive(Default)]
pub(super) struct OfOne {
    /// When it last used any, or was denied, whoever asked for it.
    pub(super) last: Option<Timestamp>,
    pub(super) grants: Vec<GrantFacts>,
    pub(super) unexplained: Vec<UnexplainedFacts>,
    /// What could not be judged of all that it holds.
    pub(super) in_part: Vec<FindingKind>,
}

impl<'a> Rights<'a> {
    pub(super) fn new(
        service: &'a Service,
        world: &'a World,
        read: &'a dyn ReadModel,
        evidence: &'a Evidence,
        first_seen: &'a FirstSeen,
        now: Timestamp,
    ) -> Self {
        let envelopes = world.intents().iter().flat_map(|intent| &intent.envelope);
        Self {
            service,
            world,
            read,
            evidence,
            first_seen,
            now,
            since_day: day_of(now.plus_ms(-service.thresholds().unused_after_ms)),
            needed: envelopes.map(|allowance| allowance.action.clone()).collect(),
            policies: BTreeMap::new(),
            fresh: Vec::new(),
            grants: 0,
            left_out: 0,
        }
    }

    /// Whether an intent's envelope holds that action.
    pub(super) fn is_needed(&self, action: &ActionName) -> bool {
        self.needed.contains(action)
    }

    /// The policies by which agents have rights, with what no intent needs of them; none where
    /// there are no intents.
    pub(super) fn policies(self) -> (Vec<PolicyFacts>, Vec<Digest>) {
        let none = self.needed.is_empty();
        let facts = self.policies.into_values().filter(|_| !none);
        (facts.collect(), self.fresh)
    }

    /// What that identity holds and used.
    pub(super) fn of(&mut self, identity: &Identity) -> Result<OfOne, LookError> {
        let held = match self.service.can(&identity.id) {
            // No schema has their type: no statement can be about them.
            Err(EstateError::Question(_)) => Held::default(),
            held => held?,
        };
        self.left_out += held.more as u64;
        let used = self.used(identity, None)?;
        let mut grants = Vec::new();
        for grant in &held.grants {
            self.grants += 1;
            if matches!(grant.source, GrantSource::Lease { .. }) {
                // It ends with its task, and is judged as a lease.
                continue;
            }
            grants.push(self.grant(identity, grant, &used)?);
        }
        // Where it is not known in whole what it holds, what is not explained is not known either.
        let known = held.more == 0 && held.not_derivable.is_none();
        let unexplained = known.then(|| self.unexplained(identity, &held, &used));
        let (unexplained, in_part) = (unexplained.unwrap_or_default(), in_part(&held, &used));
        Ok(OfOne { last: used.last, grants, unexplained, in_part })
    }

    /// The use of each policy by that principal, or of that one.
    fn used(&self, identity: &Identity, policy: Option<PolicyId>) -> Result<Uses, LookError> {
        let principal = self.world.principal_of(&identity.id);
        let page = self.read.uses(&UseQuery { principal, policy, ..UseQuery::default() })?;
        let mut by_policy: BTreeMap<Arc<str>, Used> = BTreeMap::new();
        let last = page.uses.iter().filter_map(|(_, row)| row.last).max();
        for (key, row) in page.uses {
            let Some(policy) = key.policy.filter(|_| row.permitted > 0) else { continue };
            let used = by_policy.entry(policy).or_default();
            used.first = used.first.into_iter().chain(row.first).min();
            used.last = used.last.max(row.last);
            if key.day >= self.since_day {
                used.actions.insert(key.action);
                used.within.add(&row);
                if key.task != TaskKind::ThroughAgent {
                    used.themselves += row.permitted;
                }
            }
        }
        Ok(Uses { by_policy, last, more: page.more })
    }

    fn grant(
        &mut self,
        identity: &Identity,
        grant: &Grant,
        uses: &Uses,
    ) -> Result<GrantFacts, LookError> {
        let mut facts = GrantFacts {
            holder: identity.id.clone(),
            grant: grant.id,
            source: grant.source.as_str(),
            name: Arc::default(),
            place: None,
            since: self.since(&grant.id),
            actions: BTreeMap::new(),
            any_action: false,
            any_resource: false,
            used: UseFacts::default(),
            evidence: Vec::new(),
        };
        let registered = self.evidence.witness.identity(&identity.id);
        let registered = registered.and_then(|told| told.records.first());
        match &grant.source {
            GrantSource::Statement(statement) => {
                self.statement(&mut facts, identity, statement, uses)?;
                // Nobody holds it longer than it says what it says, nor than they are what they are.
                let age = self.service.age_of(&statement.policy, statement.says);
                let changed = self.evidence.witness.identity(&identity.id);
                if let (Some(age), Some(changed)) = (age, changed) {
                    facts.since = facts.since.min(age.since.max(changed.last));
                }
                facts.evidence.extend(self.evidence.policies.clone());
            }
            GrantSource::Intent { intent, schedule, .. } => {
                facts.name = match schedule {
                    Some(schedule) => format!("{intent} schedule {schedule}").into(),
                    None => intent.shared(),
                };
                let told = self.evidence.witness.undertaken(&identity.id, intent, None);
                undertaken(&mut facts, told);
                facts.evidence.extend(self.evidence.intents.clone());
            }
            GrantSource::Delegation { id, user, intent } => {
                facts.name = format!("{intent} for {user}").into();
                let made = self.evidence.witness.delegation(id);
                facts.since = made.map_or(facts.since, |made| facts.since.min(made.first));
                facts.evidence.extend(made.into_iter().flat_map(|made| made.records.clone()));
                let told = self.evidence.witness.undertaken(&identity.id, intent, Some(user));
                undertaken(&mut facts, told);
            }
            GrantSource::Lease { .. } => {}
        }
        facts.evidence.extend(registered.cloned());
        Ok(facts)
    }

    /// Since when a right is held, as far as looks have seen it.
    fn since(&mut self, grant: &Digest) -> Timestamp {
        self.first_seen.of(grant).unwrap_or_else(|| {
            self.fresh.push(*grant);
            self.now
        })
    }

    fn statement(
        &mut self,
        facts: &mut GrantFacts,
        identity: &Identity,
        statement: &StatementGrant,
        uses: &Uses,
    ) -> Result<(), LookError> {
        facts.name = statement.policy.shared();
        facts.place = Some(statement.span.to_string().into());
        facts.any_action = &*statement.over == ANY;
        facts.any_resource = &*statement.resources == ANY && !statement.conditional;
        let action = |name: &ActionName| (name.clone(), self.action(name));
        facts.actions = statement.actions.iter().map(action).collect();
        let name = statement.policy.as_str();
        let alone;
        let used = match uses.by_policy.get(name) {
            // There were more rows than one answer holds: this one may be among the rest.
            None if uses.more => {
                alone = self.used(identity, Some(statement.policy.clone()))?;
                alone.by_policy.get(name)
            }
            used => used,
        };
        if let Some(used) = used {
            facts.used = of_use(used);
            facts.since = used.first.map_or(facts.since, |first| facts.since.min(first));
        }
        if identity.kind == IdentityKind::Agent {
            self.of_agents(statement);
        }
        Ok(())
    }

    /// A policy by which an agent has a right.
    fn of_agents(&mut self, statement: &StatementGrant) {
        let beyond = statement
            .actions
            .iter()
            .filter(|action| !self.needed.contains(*action) && !OURS.contains(&action.as_str()));
        let beyond: Vec<_> = beyond.map(|action| (action.clone(), self.tier(action))).collect();
        let policy = statement.policy.clone();
        let evidence = self.evidence;
        let facts = self.policies.entry(policy.clone()).or_insert_with(|| PolicyFacts {
            policy,
            place: statement.span.to_string().into(),
            holders: 0,
            beyond: BTreeMap::new(),
            evidence: evidence.policies.iter().chain(&evidence.intents).cloned().collect(),
        });
        facts.holders += 1;
        facts.beyond.extend(beyond);
    }

    fn tier(&self, action: &ActionName) -> Tier {
        self.world.catalogue().entry(action).map_or(Tier::Low, |entry| entry.tier)
    }

    fn action(&self, name: &ActionName) -> ActionFacts {
        let Some(entry) = self.world.catalogue().entry(name) else {
            return ActionFacts { tier: Tier::Low, classes: BTreeSet::new() };
        };
        let mut classes: BTreeSet<Arc<str>> =
            entry.resources.iter().map(|mapping| mapping.ty.shared()).collect();
        if classes.is_empty() {
            classes.extend(entry.server.as_ref().map(|server| format!("server {server}").into()));
        }
        ActionFacts { tier: entry.tier, classes }
    }

    /// What was used by policies that give that identity nothing now. Of what an agent did for
    /// somebody only the agent's part counts: older records do not tell whose right it was.
    fn unexplained(&self, identity: &Identity, held: &Held, uses: &Uses) -> Vec<UnexplainedFacts> {
        let given: BTreeSet<&str> = held.grants.iter().filter_map(given_by).collect();
        let gone = uses
            .by_policy
            .iter()
            .filter(|(policy, used)| used.themselves > 0 && !given.contains(&***policy));
        gone.map(|(policy, used)| UnexplainedFacts {
            holder: identity.id.clone(),
            policy: Arc::clone(policy),
            in_force: PolicyId::new(Arc::clone(policy))
                .is_ok_and(|id| self.world.policies().policy(&id).is_some()),
            used: of_use(used),
        })
        .collect()
    }
}

/// The use of one identity's rights.
struct Uses {
    by_policy: BTreeMap<Arc<str>, Used>,
    last: Option<Timestamp>,
    more: bool,
}

/// What says nothing where it is not found: what it holds, or used, is not known in whole.
fn in_part(held: &Held, uses: &Uses) -> Vec<FindingKind> {
    let mut kinds = Vec::new();
    if held.more > 0 {
        kinds.extend([FindingKind::UnusedGrant, FindingKind::OverBroadGrant]);
    }
    if held.more > 0 || held.not_derivable.is_some() || uses.more {
        kinds.push(FindingKind::OrphanGrant);
    }
    kinds
}

fn given_by(grant: &Grant) -> Option<&str> {
    match &grant.source {
        GrantSource::Statement(statement) => Some(statement.policy.as_str()),
        _ => None,
    }
}

fn of_use(used: &Used) -> UseFacts {
    let latest = used.within.latest.iter().rev().map(|(_, record)| record.clone());
    UseFacts {
        permitted: used.within.permitted,
        last: used.last,
        actions: used.actions.clone(),
        resources: used.within.resources.len() as u64,
        resources_more: used.within.touched_more(),
        evidence: latest.collect::<Vec<RecordId>>(),
    }
}

fn undertaken(facts: &mut GrantFacts, told: Option<Told>) {
    let Some(told) = told else { return };
    facts.since = facts.since.min(told.first);
    facts.used.permitted = 1;
    facts.used.last = Some(told.last);
    facts.used.evidence = told.records;
}
