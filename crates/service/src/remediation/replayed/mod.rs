//! The other proof: what was decided by a right is decided again, under the policies that are in
//! force. A record knows the task that its decision was made in, so this speaks of rights too that
//! count in tasks alone, of which a question without a task says nothing.

mod again;
mod ledger;

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_engine::AsideRight;
use safeconduct_model::{
    ActionName, Decided, Decision, EntityRef, IdentityStatus, PolicyEffect, PolicyId, Timestamp,
};
use safeconduct_policy::Policies;
use safeconduct_review::{CameTo, ProposedTexts, Remediation, RightReplay, RightTaken};

use super::RemediateError;
use crate::{LEASE, ReadModel, RecordQuery, Service, UNDERTAKE, World};
use again::Again;

/// How far before the end of a right its decisions are decided again, in milliseconds: 90 days.
pub const VERIFY_WINDOW_MS: i64 = 90 * 86_400_000;

/// Most permits of a right that are decided again: the newest. The record says where there were
/// more.
pub const VERIFY_DECISIONS_MAX: usize = 10_000;

/// Most records that are looked at to find them.
pub const VERIFY_LOOKED_AT_MAX: usize = 100_000;

/// Most records of a ledger that are gone over from the first to recall what a decision rested on
/// beside its own record. Of a longer one nothing is recalled, and what would need it is not
/// replayable.
pub const VERIFY_RECALLED_MAX: u64 = 1_000_000;

/// How long that takes at most, in milliseconds: what is left then is not replayable.
pub const VERIFY_MS_MAX: i64 = 30_000;

/// Why a permit is not replayable where the enforcement point only observes: whatever is decided
/// again, such a call goes ahead.
const OBSERVED: &str = "observed_only";

impl Service {
    /// What became of the decisions that came of a right, where policies or the identity's status
    /// decide about it; nothing of other rights. It reads the ledger, and takes its time.
    ///
    /// # Errors
    /// [`RemediateError::Read`].
    pub(super) fn replay_right(
        &self,
        one: &Remediation,
        before: Option<Arc<Policies>>,
        read: &dyn ReadModel,
    ) -> Result<Option<RightReplay>, RemediateError> {
        let (world, now) = (self.world(), self.now());
        let Some(query) = asked_for(one, &world) else { return Ok(None) };
        let taken_at = one.quarantined_at.or(one.applied_at).unwrap_or(now);
        let since = taken_at.plus_ms(-VERIFY_WINDOW_MS);
        let mut replay = RightReplay::new(world.policies.digest(), since, now);
        let found = ledger::permits(self, one, &query, (since, now), read)?;
        replay.more = found.more;
        match gone_as_a_whole(one, &world) {
            Some(came_to) => {
                for permit in &found.permits {
                    match permit.is_enforced() {
                        true => replay.take(permit.id(), came_to),
                        false => replay.take_unknown(permit.id(), OBSERVED),
                    }
                }
            }
            None => {
                let names = query.names.clone();
                let brought = Brought::by(self, one);
                let right = Right { one, names, brought, aside: aside_of(one, &world) };
                let mut again = Again::new(self, &world, &right, before.as_ref());
                again.decide(found.permits, read, now, &mut replay)?;
            }
        }
        Ok(Some(replay))
    }
}

/// Which decisions came of a right.
struct Wanted {
    queries: Vec<RecordQuery>,
    /// What its policy is called, and was.
    names: BTreeSet<PolicyId>,
}

fn asked_for(one: &Remediation, world: &World) -> Option<Wanted> {
    let permitted = RecordQuery {
        kind: Some("decision".into()),
        decision: Some(Decision::Permit),
        ..RecordQuery::default()
    };
    let mut names = BTreeSet::new();
    let queries = match &one.plan.right {
        RightTaken::Statement { policy, says, .. } => {
            names.insert(policy.clone());
            names.extend(world.policies.still_says(policy, *says));
            let of =
                |name: &PolicyId| RecordQuery { policy: Some(name.clone()), ..permitted.clone() };
            names.iter().map(of).collect()
        }
        RightTaken::Identity => {
            vec![RecordQuery { identity: Some(one.plan.holder.clone()), ..permitted }]
        }
        RightTaken::Intent { schedule: None, .. } => {
            let action = ActionName::new(UNDERTAKE).ok();
            vec![RecordQuery { action, ..permitted }]
        }
        // What a schedule begins does not say that it did, and no policy gives the others.
        RightTaken::Intent { schedule: Some(_), .. }
        | RightTaken::Delegation { .. }
        | RightTaken::Lease { .. } => return None,
    };
    Some(Wanted { queries, names })
}

/// Whether a decision is one that came of the right.
fn came_of_it(one: &Remediation, names: &BTreeSet<PolicyId>, decided: &Decided) -> bool {
    let theirs = decided.principal.id.as_str() == one.plan.holder.as_str();
    if decided.decision != Decision::Permit || !theirs || decided.action.as_str() == LEASE {
        return false;
    }
    match &one.plan.right {
        RightTaken::Statement { .. } => named(names, decided).is_some(),
        RightTaken::Intent { intent, .. } => {
            let is_it = |uid: &EntityRef| uid.id.as_str() == intent.as_str();
            decided.action.as_str() == UNDERTAKE && decided.resources.iter().any(is_it)
        }
        RightTaken::Identity => true,
        RightTaken::Delegation { .. } | RightTaken::Lease { .. } => false,
    }
}

/// The policy of those names that permitted it.
fn named<'d>(names: &BTreeSet<PolicyId>, decided: &'d Decided) -> Option<&'d PolicyId> {
    let mut reasons = decided.reasons.iter().filter_map(|reason| reason.policy.as_ref());
    let policy = reasons
        .find(|policy| policy.effect == PolicyEffect::Permit && names.contains(&policy.id))?;
    Some(&policy.id)
}

/// What all of it came to where no policy has to be asked.
fn gone_as_a_whole(one: &Remediation, world: &World) -> Option<CameTo> {
    let holder = &one.plan.holder;
    match &one.plan.right {
        RightTaken::Identity => {
            let known = world.identity(holder);
            let active = known.is_some_and(|known| known.status == IdentityStatus::Active);
            Some(if active { CameTo::Kept } else { CameTo::Denied })
        }
        RightTaken::Intent { intent, schedule } => {
            let right = AsideRight::Intent(intent.clone(), schedule.clone());
            world.set_aside.by(holder, &right).map(|_| CameTo::Denied)
        }
        _ => None,
    }
}

fn aside_of(one: &Remediation, world: &World) -> BTreeSet<PolicyId> {
    let own = world.set_aside.iter().filter(|(holder, ..)| **holder == one.plan.holder);
    let statement = |right: &AsideRight| match right {
        AsideRight::Statement(policy) => Some(policy.clone()),
        AsideRight::Whole | AsideRight::Intent(..) => None,
    };
    own.filter_map(|(_, right, _)| statement(right)).collect()
}

/// The right, as far as decisions are held against it.
struct Right<'a> {
    one: &'a Remediation,
    names: BTreeSet<PolicyId>,
    brought: Brought,
    /// What is set aside of its holder.
    aside: BTreeSet<PolicyId>,
}

/// The change by which the right was taken away.
pub(super) struct Brought(Option<ProposedTexts>);

impl Brought {
    pub(super) fn by(service: &Service, one: &Remediation) -> Self {
        let proposal = one.proposal.as_ref();
        Self(proposal.and_then(|id| service.proposed_texts(id).ok()))
    }

    /// Whether a policy of that id came with it.
    pub(super) fn has(&self, id: &PolicyId) -> bool {
        let named = format!("@id(\"{id}\")");
        let names = |text: &Option<String>| text.as_ref().is_some_and(|t| t.contains(&named));
        let mut files = self.0.iter().flat_map(|texts| texts.files.values());
        files.any(|file| names(&file.after) && !names(&file.before))
    }
}

fn is_late(service: &Service, begun: Timestamp) -> bool {
    service.now().ms_since(begun) > VERIFY_MS_MAX
}
