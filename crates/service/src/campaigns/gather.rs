//! Every right in a scope, as it is now: the same rights that `can` shows of one identity, of all.
//!
//! A right of a hundred thousand holders is worked out in words once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_engine::Known;
use safeconduct_model::{
    ActionName, Catalogue, Delegation, Digest, Identity, IdentityId, IdentityKind, Intent,
    PolicyId, Tier,
};
use safeconduct_policy::{StandingRight, StandingRights};
use safeconduct_review::{Case, Grant, GrantKind, GrantSource, Right, Scope, WORDS_BYTES_MAX};

use super::expressions::{Condition, Unanswered};
use crate::{LeaseView, Service, World};

/// Most actions that the words for a right name.
const ACTIONS_NAMED: usize = 8;

/// The tier of what the catalogue does not know: nobody has said how much harm it does.
const UNKNOWN: Tier = Tier::High;

/// A right to undertake: name and version of the intent, and the schedule that gives it.
#[derive(PartialEq, Eq, Hash)]
struct OfIntent(Arc<str>, u32, Option<Arc<str>>);

/// Reads all rights of one state of the world.
pub(super) struct Gathering<'w> {
    service: &'w Service,
    world: &'w World,
    delegations: BTreeMap<&'w IdentityId, Vec<&'w Delegation>>,
    leases: BTreeMap<IdentityId, Vec<LeaseView>>,
    /// What each statement says, by its policy.
    says: HashMap<PolicyId, Digest, RandomState>,
    /// What each statement is for holders of a kind, where nothing is blocked of it.
    statements: HashMap<(PolicyId, IdentityKind), (Arc<Right>, Tier), RandomState>,
    intents: HashMap<OfIntent, (Arc<Right>, Tier), RandomState>,
    /// Which rights are in, beside what the scope says by itself.
    condition: Option<Condition>,
    /// What permits without saying to whom and what.
    pub(super) not_derivable: Option<PolicyId>,
    /// What the condition could not say.
    pub(super) unanswered: Option<Unanswered>,
}

impl<'w> Gathering<'w> {
    pub(super) fn of(service: &'w Service, world: &'w World) -> Self {
        let mut delegations: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for delegation in world.delegations() {
            delegations.entry(&delegation.agent).or_default().push(delegation);
        }
        let mut leases: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for view in service.leases(None) {
            if let Some(task) = service.task(&view.lease.task) {
                leases.entry(task.task.agent.clone()).or_default().push(view);
            }
        }
        Self {
            service,
            world,
            delegations,
            leases,
            says: HashMap::default(),
            statements: HashMap::default(),
            intents: HashMap::default(),
            condition: None,
            not_derivable: None,
            unanswered: None,
        }
    }

    /// The same, of the rights of which the scope's condition is true.
    pub(super) fn where_true(mut self, scope: &Scope) -> Self {
        self.condition = scope.condition.as_ref().map(Condition::of);
        self
    }

    /// The ids of the leases that were seen: a lease is no part of the world.
    pub(super) fn leases(&self) -> BTreeSet<&str> {
        let all = self.leases.values().flatten();
        all.map(|view| view.lease.id.as_str()).collect()
    }

    /// The rights of everyone in the scope.
    ///
    /// # Errors
    /// Whose rights cannot be worked out, and why.
    pub(super) fn all(&mut self, scope: &Scope, into: &mut Vec<Case>) -> Result<(), String> {
        let world = self.world;
        // Where holders are named, nobody else is looked at.
        if !scope.holders.is_empty() {
            for id in &scope.holders {
                if let Some(known) = world.identities.get(id) {
                    self.chosen(known, scope, into)?;
                }
            }
            return Ok(());
        }
        world.identities.values().try_for_each(|known| self.chosen(known, scope, into))
    }

    /// The rights of one of them of which the condition is true.
    fn chosen(&mut self, known: &Known, scope: &Scope, into: &mut Vec<Case>) -> Result<(), String> {
        let before = into.len();
        self.holder(known, scope, into)?;
        let Some(condition) = &mut self.condition else { return Ok(()) };
        // Nobody's rights are many: what is left out is never there at once with that of others.
        for case in into.split_off(before) {
            match condition.admits(&known.identity, &case) {
                Ok(true) => into.push(case),
                Ok(false) => {}
                Err(unanswered) => {
                    let said = unanswered.to_string();
                    self.unanswered = Some(unanswered);
                    return Err(said);
                }
            }
        }
        Ok(())
    }

    /// The rights of one of them.
    pub(super) fn holder(
        &mut self,
        known: &Known,
        scope: &Scope,
        into: &mut Vec<Case>,
    ) -> Result<(), String> {
        let holder = &known.identity;
        if !scope.admits_holder(holder) {
            return Ok(());
        }
        if scope.admits_source(GrantKind::Statement) {
            let standing = self.world.policies.standing_rights(&known.entity);
            let standing = standing
                .map_err(|error| format!("what `{}` can do is not known: {error}", holder.id))?;
            if let Some(rego) = &standing.not_derivable {
                self.not_derivable.get_or_insert_with(|| rego.reference.id.clone());
            }
            for right in &standing.permits {
                self.statement(holder, &standing, right, scope, into);
            }
        }
        if scope.admits_source(GrantKind::Intent) {
            self.of_intents(holder, scope, into);
        }
        if scope.admits_source(GrantKind::Delegation) {
            self.of_delegations(holder, scope, into);
        }
        if scope.admits_source(GrantKind::Lease) && scope.admits_tier(Tier::High) {
            self.of_leases(holder, into);
        }
        Ok(())
    }

    fn statement(
        &mut self,
        holder: &Identity,
        standing: &StandingRights,
        right: &StandingRight,
        scope: &Scope,
        into: &mut Vec<Case>,
    ) {
        let policy = &right.statement.info().reference.id;
        let open = standing.open(right).count();
        if open == 0 {
            return;
        }
        let catalogue = &self.world.catalogue;
        let says = match self.says.get(policy) {
            Some(says) => *says,
            None => {
                let says = right.statement.digest();
                self.says.insert(policy.clone(), says);
                says
            }
        };
        let service = self.service;
        let work_out = || {
            let tier = standing.open(right).map(|action| tier_of(catalogue, action)).max();
            let put_by = service.put_by(policy, says);
            (Arc::new(words_of(right, standing, put_by)), tier.unwrap_or(UNKNOWN))
        };
        // What is blocked differs from holder to holder; what is declared for a kind does not.
        let (what, tier) = if open == right.actions.len() {
            let key = (policy.clone(), holder.kind);
            self.statements.entry(key).or_insert_with(work_out).clone()
        } else {
            work_out()
        };
        if !scope.admits_tier(tier) {
            return;
        }
        let grant = Grant::id_of_statement(&holder.id, policy, &says);
        into.push(Case { grant, holder: holder.id.clone(), tier, given_by: None, what });
    }

    fn of_intents(&mut self, holder: &Identity, scope: &Scope, into: &mut Vec<Case>) {
        for versions in self.world.intents.versions.values() {
            let Some(intent) = versions.values().next_back() else { continue };
            let own = intent.schedules.iter().filter(|(_, one)| one.identity == holder.id);
            let schedules = own.map(|(name, _)| Some(name.clone()));
            let may = intent.undertakers.include(holder).then_some(None);
            for schedule in may.into_iter().chain(schedules) {
                let key = OfIntent(
                    intent.name.shared(),
                    intent.version,
                    schedule.as_ref().map(|name| name.shared()),
                );
                let catalogue = &self.world.catalogue;
                let by = schedule.as_ref().map(|name| format!(" by the schedule `{name}`"));
                let (what, tier) = self.intents.entry(key).or_insert_with(|| {
                    let words = format!("undertake `{}`{}", intent.name, by.unwrap_or_default());
                    let put_by = self.world.intents_put.of(&intent.name);
                    let what = Right {
                        kind: GrantKind::Intent,
                        name: format!("{} {}", intent.name, intent.version).into(),
                        at: None,
                        words: words.into(),
                        actions: small(intent.envelope.len()),
                        put_by,
                    };
                    (Arc::new(what), tier_of_intent(catalogue, intent))
                });
                if !scope.admits_tier(*tier) {
                    continue;
                }
                let (what, tier) = (Arc::clone(what), *tier);
                let (intent, version) = (intent.name.clone(), intent.version);
                let source = GrantSource::Intent { intent, version, schedule };
                into.push(case(holder, source, what, tier, None));
            }
        }
    }

    fn of_delegations(&self, holder: &Identity, scope: &Scope, into: &mut Vec<Case>) {
        for delegation in self.delegations.get(&holder.id).into_iter().flatten() {
            let intent = self.world.intents.version(&delegation.intent, None);
            let tier =
                intent.map_or(UNKNOWN, |intent| tier_of_intent(&self.world.catalogue, intent));
            if !scope.admits_tier(tier) {
                continue;
            }
            let words = format!("undertake `{}` for `{}`", delegation.intent, delegation.user);
            let what = Right {
                kind: GrantKind::Delegation,
                name: delegation.id.shared(),
                at: None,
                words: words.into(),
                actions: small(intent.map_or(1, |intent| intent.envelope.len())),
                put_by: Vec::new(),
            };
            let source = GrantSource::Delegation {
                id: delegation.id.clone(),
                user: delegation.user.clone(),
                intent: delegation.intent.clone(),
            };
            let giver = Some(delegation.user.clone());
            into.push(case(holder, source, Arc::new(what), tier, giver));
        }
    }

    fn of_leases(&self, holder: &Identity, into: &mut Vec<Case>) {
        for LeaseView { lease, .. } in self.leases.get(&holder.id).into_iter().flatten() {
            let (kind, target, task) = (lease.kind.as_str(), &lease.target, &lease.task);
            let what = Right {
                kind: GrantKind::Lease,
                name: lease.id.shared(),
                at: None,
                words: format!("act at `{target}` by a {kind} for task `{task}`").into(),
                actions: 1,
                put_by: Vec::new(),
            };
            let source = GrantSource::Lease {
                lease: lease.id.clone(),
                task: task.clone(),
                target: target.clone(),
                kind: lease.kind,
            };
            into.push(case(holder, source, Arc::new(what), Tier::High, None));
        }
    }
}

fn case(
    holder: &Identity,
    source: GrantSource,
    what: Arc<Right>,
    tier: Tier,
    given_by: Option<IdentityId>,
) -> Case {
    let grant = Grant::new(holder.id.clone(), source, None);
    Case { grant: grant.id, holder: grant.holder, tier, given_by, what }
}

fn words_of(right: &StandingRight, standing: &StandingRights, put_by: Vec<IdentityId>) -> Right {
    let statement = &right.statement;
    let open: Vec<&ActionName> = standing.open(right).collect();
    let named: Vec<&str> = open.iter().take(ACTIONS_NAMED).map(|action| action.as_str()).collect();
    let more = match open.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more actions"),
    };
    let over = match statement.resource().to_string() {
        any if any == safeconduct_review::ANY => "anything".to_owned(),
        some => some,
    };
    let conditions = match (statement.is_conditional(), statement.is_temporal()) {
        (_, true) => ", under conditions that look at what happened before",
        (true, false) => ", under conditions",
        (false, false) => "",
    };
    let words = format!("{}{more} on {over}{conditions}", named.join(", "));
    let info = statement.info();
    Right {
        kind: GrantKind::Statement,
        name: info.reference.id.shared(),
        at: Some(info.reference.span.to_string().into()),
        words: cut(&words).into(),
        actions: small(open.len()),
        put_by,
    }
}

/// The text, or as much of it as there is room for.
fn cut(words: &str) -> String {
    if words.len() <= WORDS_BYTES_MAX {
        return words.to_owned();
    }
    let room = WORDS_BYTES_MAX - '…'.len_utf8();
    let end = (0..=room).rev().find(|end| words.is_char_boundary(*end)).unwrap_or(0);
    words.get(..end).unwrap_or_default().to_owned() + "…"
}

fn tier_of(catalogue: &Catalogue, action: &ActionName) -> Tier {
    catalogue.entry(action).map_or(UNKNOWN, |entry| entry.tier)
}

fn tier_of_intent(catalogue: &Catalogue, intent: &Intent) -> Tier {
    let tiers = intent.envelope.iter().map(|allowance| tier_of(catalogue, &allowance.action));
    tiers.max().unwrap_or(UNKNOWN)
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
