//! Who may answer: the terms of the policy, and what no term lifts.
//!
//! Nobody answers who acts, anywhere along the chain, or who made the request. Those with a part
//! in it (the user for whom it is done, the owners of those who act, who began the task) answer
//! only where the policy names that part: by `on_behalf_of` or `principal.owner`, and by no group
//! or name. A deputy answers where the person they stand in for might, and they themselves are
//! none of these people; the two count as one voice.

use std::collections::BTreeSet;

use safeconduct_model::{Assurance, IdentityId};

use crate::{AccessRequest, AnswerError, Answered, Approver, Deputies};

/// A person, with the groups that they are in when they answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub identity: IdentityId,
    /// The groups, by plain name.
    pub groups: BTreeSet<String>,
}

impl Person {
    /// A person in no group.
    pub const fn named(identity: IdentityId) -> Self {
        Self { identity, groups: BTreeSet::new() }
    }
}

/// Who answers. The caller has made sure that it is an active user, and that a deputy is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answerer {
    /// Who it is.
    pub person: Person,
    /// For whom they stand in.
    pub standing_in_for: Option<Person>,
    /// How well they proved it.
    pub assurance: Assurance,
}

impl Answerer {
    /// Somebody who answers for themselves.
    pub const fn in_person(person: Person, assurance: Assurance) -> Self {
        Self { person, standing_in_for: None, assurance }
    }
}

/// Who owns what, at the time of the answer: what was true when the request was made does not
/// count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holders {
    /// Who owns every resource that the action touches. Nobody, where they have no owner in
    /// common.
    pub resource_owners: BTreeSet<IdentityId>,
    /// Who owns the agent that acts.
    pub principal_owner: Option<IdentityId>,
    /// Who has a part in it by now, beside those that the request names.
    pub interested: BTreeSet<IdentityId>,
}

impl AccessRequest {
    /// The term by which they may answer. Whatever else is wrong with an answer comes after this.
    ///
    /// # Errors
    /// [`AnswerError`] says why they may not; [`AnswerError::Assurance`] to those alone whom a term
    /// names.
    pub fn eligible(
        &self,
        answerer: &Answerer,
        holders: &Holders,
    ) -> Result<Approver, AnswerError> {
        let terms = &self.opened().terms;
        let stands_in = answerer.standing_in_for.as_ref();
        if stands_in.is_some() && terms.deputies == Deputies::Refused {
            return Err(AnswerError::NoDeputies);
        }
        for person in [Some(&answerer.person), stands_in].into_iter().flatten() {
            if self.acts_or_asks(&person.identity) {
                return Err(AnswerError::OwnRequest(person.identity.clone()));
            }
            if self.has_answered(&person.identity) {
                return Err(AnswerError::Twice(person.identity.clone()));
            }
        }
        let term = self.named_by(answerer, holders, self.open_terms())?;
        // Whoever may not answer is not told how they would have to prove who they are.
        if answerer.assurance < terms.assurance {
            let (found, wanted) = (answerer.assurance, terms.assurance);
            return Err(AnswerError::Assurance { found, wanted });
        }
        Ok(term)
    }

    /// Whether somebody may be told what has become of it: they asked for it, act in it or have
    /// answered it, or a term of whatever stage, or of the escalation, names them. Nobody else
    /// learns that there is such a request.
    pub fn concerns(&self, answerer: &Answerer, holders: &Holders) -> bool {
        let (own, stands_in) = (&answerer.person.identity, answerer.standing_in_for.as_ref());
        if self.acts_or_asks(own) || self.has_answered(own) {
            return true;
        }
        let terms = &self.opened().terms;
        if stands_in.is_some_and(|of| {
            terms.deputies == Deputies::Refused || self.acts_or_asks(&of.identity)
        }) {
            return false;
        }
        let escalation = terms.approvers.escalation().into_iter().flat_map(|to| &to.to);
        let all = terms.approvers.stages().iter().flatten().chain(escalation);
        self.named_by(answerer, holders, all.collect()).is_ok()
    }

    /// Whether an answer would count today that was given then: by the same term, of the same
    /// person. Whoever has lost the right since has approved nothing. The caller makes sure that
    /// they still may act, and that a deputy still is one.
    pub fn still_counts(&self, answer: &Answered, answerer: &Answerer, holders: &Holders) -> bool {
        let stands_in = answerer.standing_in_for.as_ref();
        let same = answerer.person.identity == answer.by
            && stands_in.map(|of| &of.identity) == answer.standing_in_for.as_ref();
        let of = stands_in.unwrap_or(&answerer.person);
        let by_part = matches!(answer.term, Approver::OnBehalfOf | Approver::PrincipalOwner);
        let parted = stands_in.is_some() && self.has_part(&answerer.person.identity, holders)
            || !by_part && self.has_part(&of.identity, holders);
        same && !parted && self.is(of, &answer.term, holders)
    }

    /// Which of these terms names them, or whom they stand in for.
    fn named_by(
        &self,
        answerer: &Answerer,
        holders: &Holders,
        terms: BTreeSet<&Approver>,
    ) -> Result<Approver, AnswerError> {
        let stands_in = answerer.standing_in_for.as_ref();
        // A deputy with a part in it would bring in by the back what no term names.
        if stands_in.is_some() && self.has_part(&answerer.person.identity, holders) {
            return Err(AnswerError::Interested(answerer.person.identity.clone()));
        }
        let person = stands_in.unwrap_or(&answerer.person);
        let held: Vec<&Approver> =
            terms.into_iter().filter(|term| self.is(person, term, holders)).collect();
        let first = held.first().ok_or_else(|| AnswerError::NotNamed {
            person: person.identity.clone(),
            stage: self.stage(),
        })?;
        if !self.has_part(&person.identity, holders) {
            return Ok((*first).clone());
        }
        let by_part =
            |term: &&&Approver| matches!(term, Approver::OnBehalfOf | Approver::PrincipalOwner);
        let named = held.iter().find(by_part);
        named
            .map(|term| (*term).clone())
            .ok_or_else(|| AnswerError::Interested(person.identity.clone()))
    }

    fn is(&self, person: &Person, term: &Approver, holders: &Holders) -> bool {
        let id = &person.identity;
        match term {
            Approver::ResourceOwner => holders.resource_owners.contains(id),
            Approver::PrincipalOwner => holders.principal_owner.as_ref() == Some(id),
            Approver::OnBehalfOf => self.opened().binding.on_behalf_of.as_ref() == Some(id),
            Approver::Group(name) => person.groups.contains(&**name),
            Approver::Identity(named) => named == id,
        }
    }

    fn acts_or_asks(&self, person: &IdentityId) -> bool {
        let opened = self.opened();
        opened.asked_by == *person || opened.binding.actors.contains(person)
    }

    fn has_part(&self, person: &IdentityId, holders: &Holders) -> bool {
        let opened = self.opened();
        opened.binding.on_behalf_of.as_ref() == Some(person)
            || holders.principal_owner.as_ref() == Some(person)
            || holders.interested.contains(person)
            || opened.interested.contains(person)
    }
}
