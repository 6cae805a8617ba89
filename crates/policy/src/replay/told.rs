//! What a decision's record tells of the statements that were in scope then.

use safeconduct_model::{Decided, Decision, EntityRef, PolicyEffect, Reason, RecordedReason};

use super::view::{Near, Who};
use crate::annotations::PolicyMode;

/// What a statement said to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// It applied.
    Holds,
    /// It did not.
    Not,
    /// Its condition could not be evaluated.
    Failed,
    /// It did not fail; no more is known.
    Either,
    /// Nothing is known.
    Unknown,
}

/// A record, as far as policies decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'r> {
    decided: &'r Decided,
    /// Whether something beside the policies denied what they permitted.
    pub(super) other_stage: bool,
}

/// What follows from the answers of policies alone.
const BY_POLICIES: [&str; 5] =
    ["policy", "policy_error", "no_permit", "user_not_permitted", "in_mandate"];

/// What denies after policies have permitted, and may not under others.
const OTHER_STAGES: [&str; 2] = ["unknown_obligation", "set_aside"];

impl<'r> Told<'r> {
    /// `None` where what decided is no policy's: any other set would have met it too.
    pub(super) fn of(decided: &'r Decided) -> Option<Self> {
        let is = |codes: &[&str]| decided.reasons.iter().any(|one| codes.contains(&&*one.code));
        let other_stage = is(&OTHER_STAGES);
        let by_policies = decided.decision == Decision::Permit || is(&BY_POLICIES) || other_stage;
        by_policies.then_some(Self { decided, other_stage })
    }

    /// The policies that the record names.
    pub(super) fn named(&self) -> impl Iterator<Item = &'r RecordedReason> {
        self.decided.reasons.iter().filter(|reason| reason.policy.is_some())
    }

    /// What a statement said in whose scope a question is or may be, and no other question of the
    /// decision where it is `alone`.
    pub(super) fn truth(
        &self,
        near: &Near<'_>,
        (who, resource): (Who, &EntityRef),
        alone: Alone,
    ) -> Truth {
        let info = &near.entry.statement.info;
        let enforced = info.mode == PolicyMode::Enforce;
        let reasons = match enforced {
            true => &self.decided.reasons,
            // What shadow policies say of the user, nobody records.
            false if who == Who::User => return Truth::Unknown,
            false => &self.decided.shadow,
        };
        let id = &info.reference.id;
        let named = |reason: &&RecordedReason| {
            reason.policy.as_ref().is_some_and(|policy| policy.id == *id)
        };
        let telling = alone == Alone::Yes || !(near.class.of_principal || near.class.of_resource);
        match reasons.iter().find(named) {
            Some(reason) if telling && &*reason.code == "policy_error" => Truth::Failed,
            Some(_) if telling => Truth::Holds,
            Some(_) => Truth::Unknown,
            None if info.reference.effect == PolicyEffect::Forbid => Truth::Not,
            None if enforced && self.permits_are_known(who, resource) => Truth::Not,
            None if !enforced && self.nothing_in_the_way_in_shadow() => Truth::Not,
            // Whatever fails is recorded.
            None => Truth::Either,
        }
    }

    /// Whether a permit that is not named did not apply.
    fn permits_are_known(&self, who: Who, resource: &EntityRef) -> bool {
        let reasons = &self.decided.reasons;
        let has = |code: &str| reasons.iter().any(|reason| &*reason.code == code);
        if self.other_stage || has("in_mandate") {
            return false;
        }
        if self.decided.decision == Decision::Permit {
            return true;
        }
        let several = self.decided.resources.len() > 1;
        match who {
            Who::User => !several && has("user_not_permitted"),
            Who::Actor => {
                let of = several.then(|| resource.clone());
                let message = Reason::NoPermit { resource: of }.message();
                reasons
                    .iter()
                    .any(|reason| &*reason.code == "no_permit" && *reason.message == *message)
            }
        }
    }

    fn nothing_in_the_way_in_shadow(&self) -> bool {
        self.decided.shadow.iter().all(|reason| {
            let policy = reason.policy.as_ref();
            &*reason.code == "policy"
                && policy.is_some_and(|policy| policy.effect == PolicyEffect::Permit)
        })
    }
}

/// Whether a statement is in scope of one question of a decision only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    Yes,
    No,
}
