//! Who put a statement in force: the authors and the approvers of the changes of the policies in
//! whose time it came, or came to say something else. A fold of the steps of proposals; no text is
//! read for it.
//!
//! Of what came by the folder itself nobody knows it. Intents come in force by their folder alone:
//! at a start, when their files change, on a signal, with a load that a proposal led to. Somebody is
//! known to have put them there where they asked for the load by name, and by that one came or
//! changed.

use std::collections::{BTreeSet, VecDeque};

use safeconduct_model::{Digest, IdentityId, IntentName, PolicyId, RecordId, Timestamp};
use safeconduct_policy::Age;
use safeconduct_review::{PolicyProposal, ProposalState};

use crate::Service;

/// Most changes of the policies of which it is remembered who made them: the newest.
const PUT_MAX: usize = 100_000;

/// A change: from its approval on until it was in force, or not. Only one at a time is on its way.
#[derive(Debug)]
struct Put {
    id: RecordId,
    from: Timestamp,
    until: Option<Timestamp>,
    by: BTreeSet<IdentityId>,
}

/// The changes, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct PutInForce(VecDeque<Put>);

impl PutInForce {
    /// Takes in how a proposal stands from then on.
    pub(crate) fn take_in(&mut self, one: &PolicyProposal, at: Timestamp) {
        let own = |put: &&mut Put| put.id == one.id;
        match one.state {
            ProposalState::Approved => {
                if self.0.len() >= PUT_MAX {
                    self.0.pop_front();
                }
                let by = one.answered_by.iter().chain([&one.author]).cloned().collect();
                self.0.push_back(Put { id: one.id.clone(), from: at, until: None, by });
            }
            ProposalState::Applied => {
                if let Some(put) = self.0.iter_mut().rev().find(own) {
                    put.until = Some(at);
                }
            }
            ProposalState::Conflict | ProposalState::Failed => {
                self.0.retain(|put| put.id != one.id);
            }
            ProposalState::Open | ProposalState::Rejected => {}
        }
    }

    /// Who changed the policies then: any of the changes between which it is not known by which.
    fn at(&self, age: Age) -> impl Iterator<Item = &IdentityId> {
        let begun = self.0.partition_point(|put| put.from <= age.since);
        let then = self.0.range(..begun).rev();
        let then = then.take_while(move |put| put.until.is_none_or(|until| age.perhaps <= until));
        then.flat_map(|put| &put.by)
    }
}

/// Most times of which it is remembered who put which intent in force: the newest.
const INTENTS_PUT_MAX: usize = 10_000;

/// Who put which intent in force by name, or any of them; nobody twice for the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct IntentsPut(VecDeque<(Option<IntentName>, IdentityId)>);

impl IntentsPut {
    /// Takes in that somebody put these in force; any, where none is named.
    pub(crate) fn take_in(&mut self, by: &IdentityId, named: &[IntentName]) {
        let any = named.is_empty().then_some(None);
        for intent in any.into_iter().chain(named.iter().cloned().map(Some)) {
            let put = (intent, by.clone());
            if self.0.contains(&put) {
                continue;
            }
            if self.0.len() >= INTENTS_PUT_MAX {
                self.0.pop_front();
            }
            self.0.push_back(put);
        }
    }

    /// Who put an intent in force, by name: any version of it, since they are one right after
    /// another.
    pub(crate) fn of(&self, intent: &IntentName) -> Vec<IdentityId> {
        let put = self.0.iter().filter(|(of, _)| of.as_ref().is_none_or(|of| of == intent));
        let all: BTreeSet<&IdentityId> = put.map(|(_, by)| by).collect();
        all.into_iter().cloned().collect()
    }
}

impl Service {
    /// Whether it can be told who put statements in force: nobody did by a proposal, or it has been
    /// gone over since when each is.
    pub(crate) fn knows_put_by(&self) -> bool {
        self.reviews.lock().proposals.put.0.is_empty() || self.ages_told()
    }

    /// Who put the statement of that id in force that says that, or one of that id that said
    /// something else before, by name; nobody where that did not come by a proposal, or is not
    /// known.
    pub(crate) fn put_by(&self, policy: &PolicyId, says: Digest) -> Vec<IdentityId> {
        let anew = self.said_anew(policy, says);
        let reviews = self.reviews.lock();
        let put = &reviews.proposals.put;
        let all: BTreeSet<&IdentityId> = anew.iter().flat_map(|at| put.at(*at)).collect();
        all.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_not_known_by_which_change_a_statement_came_it_may_be_any() {
        let (mut put, at) = (PutInForce::default(), Timestamp::from_millis);
        for (n, name) in ["ada", "bob", "eve"].into_iter().enumerate() {
            put.0.push_back(Put {
                id: RecordId::new(format!("pol_{n}")).unwrap(),
                from: at(10 * n as i64),
                until: Some(at(10 * n as i64 + 5)),
                by: [IdentityId::new(name).unwrap()].into(),
            });
        }
        let by = |since, perhaps| -> Vec<&str> {
            let age = Age { since: at(since), perhaps: at(perhaps) };
            put.at(age).map(|who| who.as_str()).collect()
        };
        assert_eq!(by(13, 13), ["bob"]);
        assert_eq!(by(18, 18), [""; 0], "by a hand in the folder");
        assert_eq!(by(18, 3), ["bob", "ada"], "what came in between is not known");
    }

    #[test]
    fn who_put_an_intent_in_force_is_remembered_of_that_one_and_bounded() {
        let who = |name: &str| IdentityId::new(name).unwrap();
        let intent = |name: &str| IntentName::new(name).unwrap();
        let mut put = IntentsPut::default();
        put.take_in(&who("ada"), &[intent("pay"), intent("read")]);
        put.take_in(&who("bob"), &[intent("pay")]);
        put.take_in(&who("bob"), &[intent("pay")]);
        assert_eq!(put.of(&intent("pay")), [who("ada"), who("bob")]);
        assert_eq!(put.of(&intent("read")), [who("ada")]);
        assert_eq!((put.of(&intent("other")).len(), put.0.len()), (0, 3));
        put.take_in(&who("max"), &[]);
        assert_eq!(put.of(&intent("other")), [who("max")], "more than are named is any");
        for n in 0..=INTENTS_PUT_MAX {
            put.take_in(&who("eve"), &[intent(&format!("i{n}"))]);
        }
        assert_eq!(put.0.len(), INTENTS_PUT_MAX);
        assert_eq!(put.of(&intent(&format!("i{INTENTS_PUT_MAX}"))), [who("eve")]);
    }
}
