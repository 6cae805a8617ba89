//! Verdicts on decisions that are kept, since most decisions are like others.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::{Equivalent, HashMap};
use safeconduct_model::{
    ActionName, Decided, Decision, EntityRef, IdentityId, Obligation, RecordedReason,
};

use super::Verdict;
use super::view::manner;

/// Most verdicts that are kept; beyond, all are found again.
const KEPT_MAX: usize = 65_536;

/// Verdicts by everything of a decision's record that they depend on.
#[derive(Debug, Default)]
pub(super) struct Memo(HashMap<Key, Verdict, FixedState>);

#[derive(Debug)]
struct Key {
    ours: bool,
    decision: Decision,
    principal: EntityRef,
    manner: [bool; 4],
    user: Option<IdentityId>,
    action: ActionName,
    resources: Vec<EntityRef>,
    reasons: Vec<Listed>,
    shadow: Vec<Listed>,
    obligations: Vec<Obligation>,
    catalogue: safeconduct_model::Digest,
    method: safeconduct_model::Method,
}

#[derive(Debug)]
struct Listed {
    code: Arc<str>,
    policy: Option<Arc<str>>,
    message: Arc<str>,
}

struct Asked<'a>(&'a Decided, bool);

impl Memo {
    pub(super) fn find(&self, decided: &Decided, ours: bool) -> Option<Verdict> {
        self.0.get(&Asked(decided, ours)).cloned()
    }

    pub(super) fn keep(&mut self, decided: &Decided, ours: bool, verdict: Verdict) {
        if self.0.len() >= KEPT_MAX {
            self.0.clear();
        }
        let listed = |reasons: &[RecordedReason]| {
            let listed = reasons.iter().map(|reason| Listed {
                code: Arc::clone(&reason.code),
                policy: reason.policy.as_ref().map(|policy| policy.id.shared()),
                message: Arc::clone(&reason.message),
            });
            listed.collect()
        };
        let key = Key {
            ours,
            decision: decided.decision,
            principal: decided.principal.clone(),
            manner: manner(decided),
            user: user(decided).cloned(),
            action: decided.action.clone(),
            resources: decided.resources.clone(),
            reasons: listed(&decided.reasons),
            shadow: listed(&decided.shadow),
            obligations: decided.obligations.clone(),
            catalogue: decided.catalogue,
            method: decided.method,
        };
        self.0.insert(key, verdict);
    }
}

fn user(decided: &Decided) -> Option<&IdentityId> {
    decided.task.as_ref().and_then(|task| task.on_behalf_of.as_ref())
}

/// What equal keys have equal: enough to tell most others apart.
fn hash<H: Hasher>(
    state: &mut H,
    (ours, decision): (bool, Decision),
    (principal, action): (&EntityRef, &ActionName),
    resources: &[EntityRef],
    first: Option<&str>,
) {
    (ours, decision).hash(state);
    principal.id.as_str().hash(state);
    action.as_str().hash(state);
    for resource in resources {
        resource.id.as_str().hash(state);
    }
    first.hash(state);
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let first = self.reasons.first().and_then(|reason| reason.policy.as_deref());
        let (answer, who) = ((self.ours, self.decision), (&self.principal, &self.action));
        hash(state, answer, who, &self.resources, first);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self(decided, ours) = self;
        let first = decided.reasons.first().and_then(|reason| reason.policy.as_ref());
        let first = first.map(|policy| policy.id.as_str());
        let (answer, who) = ((*ours, decided.decision), (&decided.principal, &decided.action));
        hash(state, answer, who, &decided.resources, first);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let same = |one: &[Listed], other: &[Listed]| {
            let pairs = one.iter().zip(other);
            one.len() == other.len()
                && pairs.fold(true, |same, (a, b)| {
                    same && a.code == b.code && a.policy == b.policy && a.message == b.message
                })
        };
        self.ours == other.ours
            && self.decision == other.decision
            && self.principal == other.principal
            && self.manner == other.manner
            && self.user == other.user
            && self.action == other.action
            && self.resources == other.resources
            && self.catalogue == other.catalogue
            && self.method == other.method
            && self.obligations == other.obligations
            && same(&self.reasons, &other.reasons)
            && same(&self.shadow, &other.shadow)
    }
}

impl Eq for Key {}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        let Self(decided, ours) = self;
        let same = |kept: &[Listed], reasons: &[RecordedReason]| {
            let pairs = kept.iter().zip(reasons);
            kept.len() == reasons.len()
                && pairs.fold(true, |same, (kept, reason)| {
                    let policy = reason.policy.as_ref().map(|policy| policy.id.as_str());
                    same && kept.code == reason.code
                        && kept.policy.as_deref() == policy
                        && kept.message == reason.message
                })
        };
        key.ours == *ours
            && key.decision == decided.decision
            && key.principal == decided.principal
            && key.manner == manner(decided)
            && key.user.as_ref() == user(decided)
            && key.action == decided.action
            && key.resources == decided.resources
            && key.catalogue == decided.catalogue
            && key.method == decided.method
            && key.obligations == decided.obligations
            && same(&key.reasons, &decided.reasons)
            && same(&key.shadow, &decided.shadow)
    }
}
