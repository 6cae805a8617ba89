//! Rights that reviews have set aside: they count for nothing until they are restored.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{
    EntityId, EntityRef, IdentityId, IntentName, PolicyId, Reason, RecordId, Request, ScheduleName,
    Subject, Value,
};
use safeconduct_policy::{Evaluation, Past, Policies, Question, QuestionError};

use crate::Facts;

/// One right that can be set aside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AsideRight {
    /// Everything: the identity may not act at all.
    Whole,
    /// What a statement of the policies permits.
    Statement(PolicyId),
    /// Undertaking an intent, and acting in a task of it; runs of a schedule are a right of
    /// their own.
    Intent(IntentName, Option<ScheduleName>),
}

/// What is set aside, of whom, and by which remediation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetAside {
    holders: BTreeMap<IdentityId, BTreeMap<AsideRight, RecordId>>,
}

impl SetAside {
    /// Sets a right aside. What was set aside before by another remediation stays that one's.
    pub fn insert(&mut self, holder: IdentityId, right: AsideRight, review: RecordId) {
        self.holders.entry(holder).or_default().entry(right).or_insert(review);
    }

    /// Whether nothing is set aside: then a decision need not look.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// By which remediation that right of that holder is set aside.
    pub fn by(&self, holder: &IdentityId, right: &AsideRight) -> Option<&RecordId> {
        self.holders.get(holder)?.get(right)
    }

    /// All that is set aside, by holder.
    pub fn iter(&self) -> impl Iterator<Item = (&IdentityId, &AsideRight, &RecordId)> {
        let all = self.holders.iter();
        all.flat_map(|(holder, rights)| rights.iter().map(move |(right, by)| (holder, right, by)))
    }

    /// What is set aside of one holder.
    pub(crate) fn of(&self, holder: &IdentityId) -> Option<&BTreeMap<AsideRight, RecordId>> {
        self.holders.get(holder)
    }

    /// What is set aside of an entity that stands for a registered identity: nobody else holds
    /// anything.
    pub(crate) fn of_entity(&self, id: &EntityId) -> Option<&BTreeMap<AsideRight, RecordId>> {
        self.holders.get(id.as_str())
    }
}

/// The reason beside that somebody may not act, where a review set all of them aside.
pub(crate) fn whole(facts: &Facts<'_>, who: &IdentityId) -> Option<Reason> {
    let review = facts.set_aside?.by(who, &AsideRight::Whole)?;
    Some(Reason::SetAside { review: review.clone() })
}

/// Whether the undertaking of an intent is set aside.
///
/// # Errors
/// It is, and by which remediation.
pub(crate) fn undertaking(request: &Request, facts: &Facts<'_>) -> Result<(), Vec<Reason>> {
    let (Some(aside), Subject::Undertaker { agent, .. }) = (facts.set_aside, &request.subject)
    else {
        return Ok(());
    };
    let Some(rights) = aside.of(agent) else { return Ok(()) };
    let named = request.resource.as_ref().and_then(|r| IntentName::new(r.uid.id.as_str()).ok());
    let Some(intent) = named else { return Ok(()) };
    let run_of = match request.asserted.as_ref().and_then(|asserted| asserted.member("run_of")) {
        Some(Value::String(name)) => ScheduleName::new(&**name).ok(),
        _ => None,
    };
    match rights.get(&AsideRight::Intent(intent, run_of)) {
        Some(review) => Err(vec![Reason::SetAside { review: review.clone() }]),
        None => Ok(()),
    }
}

/// What the policies say without the permits that are set aside for that principal, and the
/// remediations where nothing permits it any more.
///
/// INVARIANT: permits are only taken away, and what they ask for is not, so what was denied stays
/// denied and nothing goes out that a permit wanted redacted. A policy that failed stays an error,
/// set aside or not: otherwise setting it aside could let something through.
///
/// # Errors
/// As [`Policies::evaluate`].
pub(crate) fn answer(
    question: &Question<'_>,
    past: Option<&Past<'_>>,
    aside: Option<&BTreeMap<AsideRight, RecordId>>,
    policies: &Policies,
) -> Result<(Evaluation, BTreeSet<RecordId>), QuestionError> {
    let mut by = BTreeSet::new();
    let Some(aside) = aside else {
        return Ok((policies.evaluate_after(question, past)?, by));
    };
    let mut answer = policies.evaluate_without(question, past, |permit| {
        let review = aside.get(&AsideRight::Statement(permit.clone()));
        by.extend(review.cloned());
        review.is_some()
    })?;
    if by.is_empty() || !answer.enforced.permits.is_empty() {
        return Ok((answer, BTreeSet::new()));
    }
    // No approval brings it back: that is for whoever may restore it.
    answer.requestable = None;
    Ok((answer, by))
}

/// What is set aside of whom a question is asked about.
pub(crate) fn of_principal<'a>(
    facts: &Facts<'a>,
    principal: &EntityRef,
) -> Option<&'a BTreeMap<AsideRight, RecordId>> {
    facts.set_aside?.of_entity(&principal.id)
}
