//! What a task has used of its budget: kept beside the session's counters, because a task that
//! an agent begins itself counts in the session that it came from, and still has a budget of its own.

use std::collections::BTreeSet;

use safeconduct_model::{ActionName, Amount, Budget};

use crate::tally::{Distinct, Tally};
use crate::{ACTIONS_REMEMBERED_MAX, Charge, RESOURCES_COUNTED_MAX, Session, Step};

/// What was used of a budget, what its children were given included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Used {
    calls: u64,
    denials: u64,
    calls_of: Tally,
    spend: Amount,
    bytes_out: u64,
    resources: Distinct,
    given: Given,
}

/// What a task's children were given in all. It does not come back: a child's unused rest is
/// nobody's, so that no order of ends and beginnings can use it twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// How many children there were.
    pub children: u64,
    calls: u64,
    calls_of: Tally,
    spend: Amount,
    bytes_out: u64,
    resources: u64,
}

impl Used {
    /// Permitted calls.
    pub const fn calls(&self) -> u64 {
        self.calls.saturating_add(self.given.calls)
    }

    /// Permitted calls of one action.
    pub fn calls_of(&self, action: &ActionName) -> u64 {
        self.calls_of.of(action).saturating_add(self.given.calls_of.of(action))
    }

    /// What was spent.
    pub const fn spend(&self) -> Amount {
        Amount(self.spend.0.saturating_add(self.given.spend.0))
    }

    /// Bytes that went out.
    pub const fn bytes_out(&self) -> u64 {
        self.bytes_out.saturating_add(self.given.bytes_out)
    }

    /// Different resources.
    pub fn resources(&self) -> u64 {
        (self.resources.len() as u64).saturating_add(self.given.resources)
    }

    /// How many of these are not counted yet.
    pub fn new_resources(&self, fingerprints: &[u64]) -> u64 {
        let is_new = |resource: &&u64| !self.resources.contains(**resource);
        match fingerprints {
            [one] => u64::from(is_new(&one)),
            several => several.iter().filter(is_new).collect::<BTreeSet<_>>().len() as u64,
        }
    }

    /// What the children were given.
    pub const fn given(&self) -> &Given {
        &self.given
    }

    pub(crate) fn permit(&mut self, step: &Step, charge: Charge) {
        self.calls += 1;
        self.calls_of.add(&step.action, 1, ACTIONS_REMEMBERED_MAX);
        self.spend = Amount(self.spend.0.saturating_add(charge.spend.0));
        self.bytes_out = self.bytes_out.saturating_add(charge.bytes_out);
        for resource in &step.resources {
            self.resources.insert(*resource, RESOURCES_COUNTED_MAX);
        }
    }

    pub(crate) const fn deny(&mut self) {
        self.denials += 1;
    }
}

impl Session {
    /// The session of a task that begins with nothing behind it.
    pub fn of_task() -> Self {
        Self { used: Some(Box::default()), ..Self::default() }
    }

    /// What its task has used; `None` where it is no task's.
    pub fn used(&self) -> Option<&Used> {
        self.used.as_deref()
    }

    /// Gives a child its budget. Whether this one still holds it was decided before.
    pub fn give(&mut self, budget: &Budget) {
        let Some(Used { given, .. }) = self.used.as_deref_mut() else {
            return;
        };
        given.children += 1;
        given.calls = given.calls.saturating_add(budget.calls);
        for (action, calls) in &budget.calls_of {
            given.calls_of.add(action, *calls, usize::MAX);
        }
        let spend = budget.spend.as_ref().map_or(0, |spend| spend.limit.0);
        given.spend = Amount(given.spend.0.saturating_add(spend));
        given.bytes_out = given.bytes_out.saturating_add(budget.bytes_out.unwrap_or(0));
        given.resources = given.resources.saturating_add(budget.distinct_resources.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;
    use safeconduct_model::{Decision, Timestamp};

    fn step(permit: bool, action: u8, resource: u64) -> Step {
        Step {
            decision: if permit { Decision::Permit } else { Decision::Deny },
            action: ActionName::new(format!("a{action}")).unwrap(),
            resources: vec![resource],
            charge: Some(Charge { spend: Amount(10), bytes_out: 7 }),
            at: Timestamp::from_millis(1),
        }
    }

    #[test]
    fn what_children_are_given_is_used() {
        let action = ActionName::new("a1").unwrap();
        let mut session = Session::of_task();
        session.apply(&step(true, 1, 1));
        session.give(&Budget {
            calls: 5,
            calls_of: BTreeMap::from([(action.clone(), 2)]),
            spend: None,
            distinct_resources: Some(3),
            bytes_out: Some(100),
        });
        let used = session.used().unwrap();
        assert_eq!((used.calls(), used.calls_of(&action), used.resources()), (6, 3, 4));
        assert_eq!((used.bytes_out(), used.spend(), used.given().children), (107, Amount(10), 1));
    }

    proptest! {
        /// What a task does counts in the session that it came from as if there were no task, and
        /// takes no place there.
        #[test]
        fn a_task_sheds_no_counter(
            steps in prop::collection::vec((any::<bool>(), 0..5_u8, 0..9_u64, any::<bool>()), 0..40),
        ) {
            let mut plain = Session::default();
            let mut origin = Session::default();
            let mut places = 0;
            for (permit, action, resource, in_task) in &steps {
                let step = step(*permit, *action, *resource);
                plain.apply(&step);
                if *in_task { origin.witness(&step) } else { origin.apply(&step); places += 1 }
            }
            prop_assert_eq!((origin.steps(), origin.denials()), (plain.steps(), plain.denials()));
            prop_assert_eq!(origin.distinct_resources(), plain.distinct_resources());
            prop_assert_eq!(origin.actions().collect::<Vec<_>>(), plain.actions().collect::<Vec<_>>());
            prop_assert_eq!(origin.sequence(), places);
        }
    }
}
