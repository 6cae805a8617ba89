//! What permits were used for.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{
    ActionName, AskedOf, Decision, Entity, EntityRef, EntityType, PolicyEffect, PolicyId, Timestamp,
};

use crate::replay::{RecordedDecision, Surroundings};

/// Most different actions that are told of one statement; of one more, none is left out.
pub const USED_ACTIONS_MAX: usize = 10_000;

/// What statements were used for, over the decisions that were taken in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Used {
    statements: BTreeMap<PolicyId, StatementUse>,
}

/// What one statement was used for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatementUse {
    /// Who used it. Where a task was for a user, they too, or they alone where it answered of them
    /// alone: of an agent that acts for somebody, each needs their own right.
    pub principals: Touched,
    /// What was done with it; at most [`USED_ACTIONS_MAX`].
    pub actions: BTreeSet<ActionName>,
    /// What it was done to.
    pub resources: Touched,
    /// How often it was used.
    pub times: u64,
    /// When it was used last.
    pub last: Option<Timestamp>,
    pub(super) cut: bool,
}

/// Entities, as far as scopes can tell them apart: bounded, however many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touched {
    /// The first few of them: at most [`TOLD_MAX`].
    told: BTreeSet<EntityRef>,
    more: bool,
    /// Their types.
    pub types: BTreeSet<EntityType>,
    /// What all of them are or belong to; nothing where that is not known of one.
    common: Option<BTreeSet<EntityRef>>,
    /// Of some nothing but the name was known.
    unknown: bool,
}

/// Most entities that are told one by one.
const TOLD_MAX: usize = 1_000;

impl Touched {
    /// Takes one in; `known` where it is known what it belongs to.
    pub fn take(&mut self, uid: &EntityRef, known: Option<&Entity>) {
        let first = self.told.is_empty();
        if self.told.len() < TOLD_MAX || self.told.contains(uid) {
            self.told.insert(uid.clone());
        } else {
            self.more = true;
        }
        self.types.insert(uid.ty.clone());
        let Some(known) = known else {
            self.unknown = true;
            self.common = None;
            return;
        };
        let belongs = |to: &EntityRef| *to == known.uid || known.ancestors.contains(to);
        match &mut self.common {
            Some(common) => common.retain(belongs),
            None if first => {
                let all = known.ancestors.iter().cloned().chain([known.uid.clone()]);
                self.common = Some(all.collect());
            }
            None => {}
        }
    }

    /// The only one, where there is one.
    pub fn only(&self) -> Option<&EntityRef> {
        let mut told = self.told.iter();
        let first = told.next().filter(|_| !self.more);
        if told.next().is_some() { None } else { first }
    }

    /// What all of them are or belong to.
    pub fn common(&self) -> impl Iterator<Item = &EntityRef> {
        self.common.iter().flatten().filter(|_| !self.unknown)
    }

    /// Whether it surely was none of them.
    pub fn is_without(&self, uid: &EntityRef) -> bool {
        !self.more && !self.told.contains(uid)
    }

    /// Those that are told, in order.
    pub fn told(&self) -> impl Iterator<Item = &EntityRef> {
        self.told.iter()
    }
}

impl Used {
    /// Takes in what a decision rested on: of denials, nothing.
    pub fn take(&mut self, recorded: &RecordedDecision<'_>, around: &dyn Surroundings) {
        let decided = recorded.decided;
        if decided.decision != Decision::Permit {
            return;
        }
        let user = decided.task.as_ref().and_then(|task| task.on_behalf_of.as_ref());
        let mut permits: BTreeMap<&PolicyId, Option<AskedOf>> = BTreeMap::new();
        for reason in &decided.reasons {
            let permit = reason.policy.as_ref().filter(|of| of.effect == PolicyEffect::Permit);
            let Some(permit) = permit else { continue };
            let of = reason.of.filter(|_| user.is_some());
            let known = permits.entry(&permit.id).or_insert(of);
            // What is said of it twice, and differs, is said of both.
            *known = known.filter(|known| Some(*known) == of);
        }
        if permits.is_empty() {
            return;
        }
        let known_user = user.and_then(|user| around.user(user));
        let principal = around.principal(&decided.principal);
        let resources: Vec<_> = decided
            .resources
            .iter()
            .map(|uid| (uid, around.resource(&decided.action, uid)))
            .collect();
        for (id, of) in permits {
            if !self.statements.contains_key(id) {
                self.statements.insert(id.clone(), StatementUse::default());
            }
            let Some(used) = self.statements.get_mut(id) else { continue };
            if of != Some(AskedOf::User) {
                used.principals.take(&decided.principal, principal.as_ref());
            }
            match (&known_user, user) {
                _ if of == Some(AskedOf::Actor) => {}
                (Some(user), _) => used.principals.take(&user.uid, Some(user)),
                // Somebody used it of whom no more is known: it may be anybody.
                (None, Some(_)) => (used.cut, used.principals.more) = (true, true),
                (None, None) => {}
            }
            for (uid, known) in &resources {
                used.resources.take(uid, known.as_ref());
            }
            if used.actions.len() < USED_ACTIONS_MAX || used.actions.contains(&decided.action) {
                used.actions.insert(decided.action.clone());
            } else {
                used.cut = true;
            }
            used.times += 1;
            used.last = used.last.max(Some(recorded.at));
        }
    }

    /// What a statement was used for; `None` where it was not used.
    pub fn statement(&self, id: &PolicyId) -> Option<&StatementUse> {
        self.statements.get(id)
    }
}

impl StatementUse {
    /// Whether there is more of it than is told.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}
