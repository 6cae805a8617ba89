//! What remediations have set aside, as decisions look it up.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_engine::{AsideRight, SetAside};
use safeconduct_model::{Digest, IdentityId, IntentName, PolicyId, RecordId, ScheduleName};
use safeconduct_policy::Policies;

use crate::World;

/// A right that a remediation has set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Whose right it is.
    pub holder: IdentityId,
    /// What gives it.
    pub right: AsideOf,
}

/// What gives a right that can be set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsideOf {
    /// Everything: the identity may not act at all.
    Whole,
    /// A statement of the policies.
    Statement {
        /// The policy.
        policy: PolicyId,
        /// SHA-256 of what it says: what says the same under another name, where none of this
        /// name does, is the same right.
        says: Digest,
    },
    /// An intent that they may undertake.
    Intent {
        /// Which.
        intent: IntentName,
        /// The schedule that gives it, where that does.
        schedule: Option<ScheduleName>,
    },
}

/// What is set aside under these policies.
///
/// It looks at every statement where one that is set aside does not say the same under its name:
/// that is paid when policies or remediations change, never by a decision.
fn looked_up(asides: &BTreeMap<RecordId, Aside>, policies: &Policies) -> SetAside {
    let mut set = SetAside::default();
    let said = OnceCell::new();
    for (review, Aside { holder, right }) in asides {
        let mut aside = |right| set.insert(holder.clone(), right, review.clone());
        match right {
            AsideOf::Whole => aside(AsideRight::Whole),
            AsideOf::Intent { intent, schedule } => {
                aside(AsideRight::Intent(intent.clone(), schedule.clone()));
            }
            AsideOf::Statement { policy, says } => {
                if policies.statement(policy).is_some_and(|one| one.digest() == *says) {
                    aside(AsideRight::Statement(policy.clone()));
                    continue;
                }
                let all = said.get_or_init(|| by_what_they_say(policies));
                let same = all.get(says).map(Vec::as_slice).unwrap_or_default();
                for id in same {
                    aside(AsideRight::Statement(id.clone()));
                }
                // A place in a file is another's by now; a name that its author gave stays the
                // right's, and so does whatever stands where the text is nowhere.
                if same.is_empty() || !is_place(policy) {
                    aside(AsideRight::Statement(policy.clone()));
                }
            }
        }
    }
    set
}

/// The statements by the digest of what they say.
fn by_what_they_say(policies: &Policies) -> HashMap<Digest, Vec<PolicyId>, RandomState> {
    let mut all: HashMap<_, Vec<_>, RandomState> = HashMap::default();
    for statement in policies.statements() {
        all.entry(statement.digest()).or_default().push(statement.info().reference.id.clone());
    }
    all
}

/// Whether an id is a place in a file (`cases.cedar#3`), which moves with what stands above it.
fn is_place(policy: &PolicyId) -> bool {
    let number = policy.as_str().rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

impl World {
    /// Sets a right aside, or brings it back.
    pub(crate) fn with_aside(&mut self, review: &RecordId, aside: Option<Aside>) {
        let asides = Arc::make_mut(&mut self.asides);
        match aside {
            Some(aside) => asides.insert(review.clone(), aside),
            None => asides.remove(review),
        };
        self.look_up_asides();
    }

    /// Finds what is set aside among the policies that are now in force.
    pub(crate) fn look_up_asides(&mut self) {
        if self.asides.is_empty() && self.set_aside.is_empty() {
            return;
        }
        self.set_aside = Arc::new(looked_up(&self.asides, &self.policies));
    }
}

impl World {
    /// Whether all of somebody is set aside.
    pub(crate) fn is_set_aside_whole(&self, holder: &IdentityId) -> bool {
        self.set_aside.by(holder, &AsideRight::Whole).is_some()
    }
}
