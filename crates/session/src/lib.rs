//! The run-time state of one session: what decisions look at, and how records change it.
//!
//! A session is a fold: [`Session::apply`] over its records in order gives the same state on
//! every machine and after every crash.
//!
//! What this crate deliberately does not do: it decides nothing, reads no clock, and keeps no
//! argument or result values, save short ones that a temporal rule compares ([`monitor`]).
//!
//! ```
//! use safeconduct_model::{ActionName, Decision, Timestamp};
//! use safeconduct_session::{Session, Step};
//!
//! let mut session = Session::default();
//! session.apply(&Step {
//!     decision: Decision::Permit,
//!     action: ActionName::new("files.read_text_file")?,
//!     resources: vec![7],
//!     charge: None,
//!     at: Timestamp::from_millis(0),
//! });
//! assert_eq!((session.sequence(), session.steps(), session.denials()), (1, 1, 0));
//! # Ok::<(), safeconduct_model::NameError>(())
//! ```

pub mod flow;
pub mod monitor;
mod tally;
mod used;

pub use used::{Given, Used};

use std::collections::BTreeMap;

use safeconduct_model::{
    ActionName, Amount, DISTINCT_RESOURCES_MAX, Decision, EntityRef, Label, Timestamp,
};
use sha2::{Digest, Sha256};
use tally::{Distinct, Tally};

/// Most different actions that a session remembers; later new ones are no longer listed.
pub const ACTIONS_REMEMBERED_MAX: usize = 1024;

/// Most different resources that a session counts; the count then stays there: "at least".
/// No budget allows more ([`DISTINCT_RESOURCES_MAX`]).
pub const RESOURCES_COUNTED_MAX: usize = DISTINCT_RESOURCES_MAX;

/// What one decision changes in its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was decided.
    pub decision: Decision,
    /// What was asked for.
    pub action: ActionName,
    /// Fingerprints ([`fingerprint`]) of the resources that it touches.
    pub resources: Vec<u64>,
    /// What it takes from its task's budget, where it is a call of a task. To begin a task in
    /// another is none.
    pub charge: Option<Charge>,
    /// When.
    pub at: Timestamp,
}

/// What a call takes from its task's budget, besides the call itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charge {
    /// What it spends.
    pub spend: Amount,
    /// Bytes that it sends out.
    pub bytes_out: u64,
}

/// The state of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    sequence: u64,
    steps: u64,
    denials: u64,
    /// Permitted actions and how often.
    actions: Tally,
    resources: Distinct,
    began_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
    /// What its task has used, where it is a task's.
    used: Option<Box<Used>>,
    /// What it has read; nothing yet where there is none.
    flow: Option<Box<flow::Flow>>,
    /// What results may carry that were perhaps handed on and that nobody has reported, and of how
    /// many calls each.
    handed: BTreeMap<Label, u64>,
}

impl Session {
    /// What it has read, and what its task names; `None` where that is nothing.
    pub fn flow(&self) -> Option<&flow::Flow> {
        self.flow.as_deref()
    }

    /// The worst of everything that it has read.
    pub fn label(&self) -> &Label {
        self.flow.as_ref().map_or_else(|| Label::least(), |flow| flow.label())
    }

    /// What it has read, to be added to. A session that has read nothing begins with `empty`.
    pub fn flow_mut(&mut self, empty: impl FnOnce() -> flow::Flow) -> &mut flow::Flow {
        self.flow.get_or_insert_with(|| Box::new(empty()))
    }

    /// Lets go of what it has read, but for its label, until it is recalled.
    pub fn let_go(&mut self) {
        if let Some(flow) = &mut self.flow {
            **flow = flow.label_alone();
        }
    }

    /// Takes what it has read from where that was kept. Its label does not fall.
    pub fn recall(&mut self, mut flow: flow::Flow) {
        flow.raise(self.label());
        self.flow = Some(Box::new(flow));
    }

    /// A result may be handed on before anybody reports it, and carries at most that.
    pub fn hand_on(&mut self, label: &Label) {
        *self.handed.entry(label.clone()).or_default() += 1;
    }

    /// One of those results was reported, or never will be, and has been taken in.
    pub fn reported(&mut self, label: &Label) {
        if let Some(count) = self.handed.get_mut(label) {
            *count = count.saturating_sub(1);
            self.handed.retain(|_, count| *count > 0);
        }
    }

    /// The worst of what was perhaps handed on and is not reported; `None` where nothing is.
    pub fn handed_on(&self) -> Option<Label> {
        let mut labels = self.handed.keys();
        let mut worst = labels.next()?.clone();
        labels.for_each(|label| {
            worst.raise(label);
        });
        Some(worst)
    }

    /// Decisions so far, and the version of this state.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Permitted decisions so far.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Denied decisions so far.
    pub const fn denials(&self) -> u64 {
        self.denials
    }

    /// Different actions that were permitted, at most [`ACTIONS_REMEMBERED_MAX`], by name.
    pub fn actions(&self) -> impl Iterator<Item = (&ActionName, u64)> {
        self.actions.iter()
    }

    /// How many different resources were touched, at most [`RESOURCES_COUNTED_MAX`].
    pub fn distinct_resources(&self) -> u64 {
        self.resources.len() as u64
    }

    /// When the first decision fell.
    pub const fn began_at(&self) -> Option<Timestamp> {
        self.began_at
    }

    /// When the last decision fell.
    pub const fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    /// Takes in a decision of a task that came from this session: what it has done counts here
    /// too, and it has its own place in its own session.
    pub fn witness(&mut self, step: &Step) {
        let sequence = self.sequence;
        self.apply(&Step { charge: None, ..step.clone() });
        self.sequence = sequence;
    }

    /// Takes one decision in.
    pub fn apply(&mut self, step: &Step) {
        self.sequence += 1;
        self.began_at.get_or_insert(step.at);
        self.last_at = Some(step.at);
        if step.decision == Decision::Deny {
            self.denials += 1;
            if let (Some(used), Some(_)) = (&mut self.used, step.charge) {
                used.deny();
            }
            return;
        }
        if let (Some(used), Some(charge)) = (&mut self.used, step.charge) {
            used.permit(step, charge);
        }
        self.steps += 1;
        self.actions.add(&step.action, 1, ACTIONS_REMEMBERED_MAX);
        for resource in &step.resources {
            self.resources.insert(*resource, RESOURCES_COUNTED_MAX);
        }
    }
}

/// A 64-bit fingerprint of a resource's name, for counting different ones: the first 8 bytes of
/// SHA-256 over type, NUL and id, so equal on every machine. Whoever chooses ids finds none that
/// pass for one resource: two that collide take 2^32 attempts, and save one count.
pub fn fingerprint(resource: &EntityRef) -> u64 {
    let name = Sha256::new()
        .chain_update(resource.ty.as_str())
        .chain_update([0])
        .chain_update(resource.id.as_str());
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(name.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(permit: bool, action: u8, resource: u64) -> Step {
        Step {
            decision: if permit { Decision::Permit } else { Decision::Deny },
            action: ActionName::new(format!("a{action}")).unwrap(),
            resources: vec![resource],
            charge: None,
            at: Timestamp::from_millis(1),
        }
    }

    #[test]
    fn a_denied_step_touches_nothing() {
        let mut session = Session::default();
        session.apply(&step(false, 1, 1));
        assert_eq!((session.sequence(), session.steps(), session.denials()), (1, 0, 1));
        assert_eq!(session.distinct_resources(), 0);
        assert_eq!(session.actions().count(), 0);
    }

    #[test]
    fn counters_stay_at_their_limits() {
        let mut session = Session::default();
        for n in 0..=RESOURCES_COUNTED_MAX as u64 {
            session.apply(&step(true, 0, n));
        }
        assert_eq!(session.distinct_resources(), RESOURCES_COUNTED_MAX as u64);
        assert_eq!(session.steps(), RESOURCES_COUNTED_MAX as u64 + 1);
    }

    #[test]
    fn type_and_id_do_not_run_into_each_other() {
        let a = EntityRef::new("ab", "c").unwrap();
        let b = EntityRef::new("a", "bc").unwrap();
        assert_ne!(fingerprint(&a), fingerprint(&b));
    }

    /// The ledger is folded with it again after years and on other machines.
    #[test]
    fn a_fingerprint_is_the_first_bytes_of_sha_256() {
        let resource = EntityRef::new("Path", "/a").unwrap();
        // printf 'Path\0/a' | sha256sum
        assert_eq!(fingerprint(&resource), 0x75d5_28b3_fb54_3a28);
    }

    proptest! {
        #[test]
        fn every_decision_counts_once(steps in prop::collection::vec((any::<bool>(), 0..5_u8, 0..9_u64), 0..60)) {
            let mut session = Session::default();
            for (permit, action, resource) in &steps {
                session.apply(&step(*permit, *action, *resource));
            }
            prop_assert_eq!(session.sequence(), steps.len() as u64);
            prop_assert_eq!(session.steps() + session.denials(), session.sequence());
            let permitted = steps.iter().filter(|(permit, ..)| *permit).count() as u64;
            prop_assert_eq!(session.actions().map(|(_, n)| n).sum::<u64>(), permitted);
        }
    }
}
