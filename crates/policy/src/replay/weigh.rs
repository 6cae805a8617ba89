//! What a draft would have said to one decision, as far as its record answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Decision, Obligation, PolicyEffect, PolicyId, PolicyRef};

use super::classes::RegoFiles;
use super::era::Era;
use super::recalled::{Lacking, Missing, Recalled};
use super::told::{Alone, Told, Truth};
use super::view::{LEASE, Near, View, near, views};
use super::{NotReplayable, RecordedDecision, Surroundings, Verdict, again};
use crate::annotations::PolicyMode;
use crate::policies::Policies;

/// A verdict, and whether it would be the same at any other time.
pub(super) struct Weighed {
    pub(super) verdict: Verdict,
    pub(super) timeless: bool,
}

/// Weighs one decision; `ours` where the set of that era made it.
pub(super) fn weigh(
    era: &Era<'_>,
    new: &Policies,
    ours: bool,
    recorded: &RecordedDecision<'_>,
    around: &dyn Surroundings,
) -> Weighed {
    let (old, classes) = (era.policies(), &era.classes);
    let timeless = |verdict| Weighed { verdict, timeless: true };
    let Some(told) = Told::of(recorded.decided) else { return timeless(Verdict::Same) };
    let Some(views) = views(recorded, around) else {
        return timeless(Verdict::Unknown(NotReplayable::UnknownUser));
    };
    let olds = near_then(era, ours, &views, recorded);
    if ours && let Some(policy) = misfit(&told, &olds) {
        return timeless(Verdict::Unknown(NotReplayable::DoesNotFit(policy)));
    }
    let news: Vec<_> =
        views.iter().map(|view| near(new, &classes.new, view, recorded.decided)).collect();
    // Beside statements of Cedar Rego only forbids; alone it permits.
    let part = old.has_cedar() == new.has_cedar();
    let rego_stays = classes.rego == RegoFiles::None || (classes.rego == RegoFiles::Same && part);
    if ours && rego_stays && says_the_same(&olds, &news) {
        return timeless(Verdict::Same);
    }
    let set_against = (era, new, ours);
    let mut scales = Scales::of(set_against, told, (&views, &olds), recorded, around);
    let verdict = scales.verdict(&news);
    // What was evaluated rests on what was recalled, which is not what it was.
    let verdict = match scales.incomplete.take() {
        Some(policy) => Verdict::Unknown(NotReplayable::ContextIncomplete(policy)),
        None => verdict,
    };
    Weighed { verdict, timeless: scales.timeless }
}

/// What was in the scope of each question then, where the set that decided is at hand.
pub(super) fn near_then<'p>(
    era: &'p Era<'_>,
    ours: bool,
    views: &[View<'_>],
    recorded: &RecordedDecision<'_>,
) -> Vec<Vec<Near<'p>>> {
    let (old, sorted) = (era.policies(), &era.classes.old);
    let olds: Option<Vec<_>> = ours
        .then(|| views.iter().map(|view| near(old, sorted, view, recorded.decided)).collect())
        .flatten();
    olds.unwrap_or_else(|| views.iter().map(|_| Vec::new()).collect())
}

/// A policy that decided, though by what is known it was in nobody's scope.
pub(super) fn misfit(told: &Told<'_>, olds: &[Vec<Near<'_>>]) -> Option<PolicyId> {
    let is_near = |id: &PolicyId| {
        let mut all = olds.iter().flatten();
        all.any(|near| near.entry.statement.info.reference.id == *id)
    };
    let mut named = told.named().filter_map(|reason| reason.policy.as_ref());
    let misfit =
        named.find(|policy| !policy.id.as_str().starts_with("rego:") && !is_near(&policy.id));
    misfit.map(|policy| policy.id.clone())
}

/// Whether what has effect is the same for every question.
fn says_the_same(olds: &[Vec<Near<'_>>], news: &[Option<Vec<Near<'_>>>]) -> bool {
    let sorted = |all: &[Near<'_>]| {
        let enforced = all.iter().filter(|near| is_enforced(near));
        let mut sorted: Vec<_> = enforced
            .map(|near| {
                let effect = near.entry.statement.info.reference.effect;
                let class = near.class;
                (class.whole, class.obligations, effect == PolicyEffect::Forbid)
            })
            .collect();
        sorted.sort_unstable();
        sorted
    };
    olds.iter().zip(news).all(|(old, new)| new.as_ref().is_some_and(|n| sorted(old) == sorted(n)))
}

pub(super) fn is_enforced(near: &Near<'_>) -> bool {
    near.entry.statement.info.mode == PolicyMode::Enforce
}

/// What a draft says to one question.
enum Say {
    Permit(Vec<PolicyId>),
    Deny(Vec<PolicyId>),
    Open(NotReplayable),
}

/// What a statement of the draft says, or why nobody knows.
pub(super) enum Said {
    Holds,
    Not,
    Failed,
    /// It may hold, and cannot fail.
    Either(NotReplayable),
    Open(NotReplayable),
}

/// What the permits of a draft oblige to, all questions of a decision together.
#[derive(Default)]
struct Obliged<'n> {
    /// What those oblige to that hold.
    surely: BTreeSet<&'n Obligation>,
    /// What those oblige to that may.
    maybe: BTreeSet<&'n Obligation>,
}

impl<'n> Obliged<'n> {
    fn take(&mut self, said: &Said, near: &Near<'n>) {
        let all = match said {
            Said::Holds => &mut self.surely,
            Said::Not | Said::Failed => return,
            Said::Either(_) | Said::Open(_) => &mut self.maybe,
        };
        all.extend(&near.entry.statement.info.obligations);
    }
}

pub(super) struct Scales<'a, 'p> {
    old: &'p Policies,
    pub(super) new: &'p Policies,
    told: Told<'a>,
    ours: bool,
    pub(super) views: &'a [View<'static>],
    olds: &'a [Vec<Near<'p>>],
    pub(super) rego: RegoFiles,
    recorded: &'a RecordedDecision<'a>,
    around: &'a dyn Surroundings,
    /// What is known by the record and the catalogue alone.
    plain: Recalled,
    /// What was recalled beside.
    recalled: Option<Recalled>,
    /// The statement of the set that decided which says something else of what was recalled than
    /// it said then.
    pub(super) incomplete: Option<PolicyId>,
    timeless: bool,
}

impl<'a, 'p> Scales<'a, 'p> {
    /// For one decision; of the sets, whether the first made it.
    pub(super) fn of(
        (era, new, ours): (&'p Era<'_>, &'p Policies, bool),
        told: Told<'a>,
        (views, olds): (&'a [View<'static>], &'a [Vec<Near<'p>>]),
        recorded: &'a RecordedDecision<'a>,
        around: &'a dyn Surroundings,
    ) -> Self {
        let plain = Recalled {
            action: around.action(&recorded.decided.action, recorded.decided.catalogue),
            ..Recalled::default()
        };
        Self {
            old: era.policies(),
            new,
            told,
            ours,
            views,
            olds,
            rego: era.classes.rego,
            recorded,
            around,
            plain,
            recalled: None,
            incomplete: None,
            timeless: true,
        }
    }
}

impl Scales<'_, '_> {
    fn verdict(&mut self, news: &[Option<Vec<Near<'_>>>]) -> Verdict {
        let (mut permitted, mut open) = (Vec::new(), None);
        let mut asked = Obliged::default();
        for (at, new) in news.iter().enumerate() {
            // What no schema declares is denied.
            let say = match new {
                Some(new) => self.say(at, new, &mut asked),
                None => Say::Deny(Vec::new()),
            };
            match say {
                Say::Deny(because) => return self.denied(because),
                Say::Permit(because) => permitted.extend(because),
                Say::Open(why) => open = open.or(Some(why)),
            }
        }
        let was = self.recorded.decided.decision;
        match open {
            Some(why) => Verdict::Unknown(why),
            None if was == Decision::Permit => match self.is_asked_as_it_was(&asked) {
                true => Verdict::Same,
                false => Verdict::Unknown(NotReplayable::OtherObligations),
            },
            None if self.told.other_stage => Verdict::Unknown(NotReplayable::OtherStage),
            None => Verdict::Permitted(unique(permitted)),
        }
    }

    fn denied(&self, because: Vec<PolicyId>) -> Verdict {
        if self.recorded.decided.decision == Decision::Deny {
            return Verdict::Same;
        }
        if !because.is_empty() {
            return Verdict::Denied(unique(because));
        }
        let then = self.told.named().filter_map(|reason| reason.policy.as_ref());
        Verdict::Denied(unique(then.map(|policy| policy.id.clone()).collect()))
    }

    /// Whether it surely obliges to what it obliged to then. Nothing obliges a lease: it rests on
    /// its task's mandate.
    fn is_asked_as_it_was(&self, now: &Obliged<'_>) -> bool {
        let then: BTreeSet<&Obligation> = self.recorded.decided.obligations.iter().collect();
        let is_lease = self.recorded.decided.action.as_str() == LEASE;
        is_lease || (now.surely == then && now.maybe.is_subset(&then))
    }

    fn say<'n>(&mut self, at: usize, new: &[Near<'n>], asked: &mut Obliged<'n>) -> Say {
        let (mut permits, mut against) = (Vec::new(), Vec::new());
        let (mut may_permit, mut may_deny) = (None, None);
        for near in new.iter().filter(|near| is_enforced(near)) {
            let PolicyRef { id, effect, .. } = &*near.entry.statement.info.reference;
            let (id, effect) = (id.clone(), *effect);
            let said = self.said(at, near);
            asked.take(&said, near);
            match (said, effect) {
                (Said::Holds, PolicyEffect::Permit) => permits.push(id),
                (Said::Holds, PolicyEffect::Forbid) | (Said::Failed, _) => against.push(id),
                (Said::Not, _) => {}
                (Said::Either(why), PolicyEffect::Permit) => may_permit = may_permit.or(Some(why)),
                (Said::Either(why) | Said::Open(why), _) => may_deny = may_deny.or(Some(why)),
            }
        }
        let is_lease = self.recorded.decided.action.as_str() == LEASE;
        match (may_deny, may_permit) {
            _ if !against.is_empty() => Say::Deny(against),
            _ if self.rego != RegoFiles::None => Say::Open(NotReplayable::Rego),
            (Some(why), _) => Say::Open(why),
            _ if is_lease || !permits.is_empty() => Say::Permit(permits),
            (None, Some(why)) => Say::Open(why),
            (None, None) => Say::Deny(Vec::new()),
        }
    }

    /// What a statement of the draft would have said to that question.
    pub(super) fn said(&mut self, at: usize, near: &Near<'_>) -> Said {
        let id = || near.entry.statement.info.reference.id.clone();
        let whole = self.truth_then(at, |class| class.whole == near.class.whole, false);
        match whole {
            Truth::Holds => return Said::Holds,
            Truth::Not => return Said::Not,
            Truth::Failed => return Said::Failed,
            Truth::Either | Truth::Unknown => {}
        }
        let condition = &near.entry.statement.condition;
        let then = self.truth_then(at, |c| c.condition == near.class.condition, true);
        // It is the same statement: it did not fail, wherever its scope ends.
        let then = match (then, whole) {
            (Truth::Unknown, Truth::Either) => Truth::Either,
            (then, _) => then,
        };
        let (condition, lacking) = match then {
            _ if condition.is_always() => (Truth::Holds, None),
            Truth::Either | Truth::Unknown => match self.evaluated(at, near) {
                Ok(known) => (known, None),
                Err(lacking) => (then, Some(lacking)),
            },
            known => (known, None),
        };
        let not_recorded = || NotReplayable::NotRecorded(id(), lacking.unwrap_or_else(unrecorded));
        match (condition, near.surely) {
            (Truth::Not, _) => Said::Not,
            (Truth::Holds, true) => Said::Holds,
            (Truth::Failed, true) => Said::Failed,
            (Truth::Holds, false) => Said::Either(NotReplayable::Membership(id())),
            (Truth::Failed, false) => Said::Open(NotReplayable::Membership(id())),
            (Truth::Either, _) => Said::Either(not_recorded()),
            (Truth::Unknown, _) if self.ours => Said::Open(not_recorded()),
            (Truth::Unknown, _) => Said::Open(NotReplayable::OtherSet(id())),
        }
    }

    /// What the record tells of the first statement of that class that it tells something of.
    fn truth_then(
        &self,
        at: usize,
        is: impl Fn(&super::classes::Class) -> bool,
        surely: bool,
    ) -> Truth {
        let (Some(olds), Some(view)) = (self.olds.get(at), self.views.get(at)) else {
            return Truth::Unknown;
        };
        let mut best = Truth::Unknown;
        for old in olds.iter().filter(|old| is(&old.class) && (old.surely || !surely)) {
            let alone = self.alone(old);
            match self.told.truth(old, (view.who, &view.resource.uid), alone) {
                Truth::Not => return Truth::Not,
                // What is named may have been in the scope of another question only.
                Truth::Holds if !old.surely && alone == Alone::No => best = Truth::Either,
                Truth::Failed if !old.surely && alone == Alone::No => {}
                Truth::Unknown => {}
                Truth::Either => best = Truth::Either,
                known => return known,
            }
        }
        best
    }

    fn alone(&self, old: &Near<'_>) -> Alone {
        let has = |near: &&Vec<Near<'_>>| near.iter().any(|n| std::ptr::eq(n.entry, old.entry));
        if self.olds.iter().filter(has).count() == 1 { Alone::Yes } else { Alone::No }
    }

    /// What a condition says again, by what is recorded or, where that is not enough, by what is
    /// recalled.
    fn evaluated(&mut self, at: usize, near: &Near<'_>) -> Result<Truth, Lacking> {
        let view = self.views.get(at).ok_or_else(unrecorded)?;
        let asked = again::Asked { recorded: self.recorded, view, recalled: &self.plain };
        let told = asked.of(self.new, near.entry);
        if let Ok(again::Said { truth, timeless }) = told {
            self.timeless &= timeless;
            return Ok(truth);
        }
        // Without the set that decided there is nothing that what is recalled is held against.
        if !self.ours || !self.around.recalls() {
            return told.map(|said| said.truth);
        }
        if self.recalled.is_none() {
            let recalled = self.around.recall(self.recorded, self.old);
            self.incomplete = self.contradicted(&recalled);
            self.recalled = Some(recalled);
        }
        self.timeless = false;
        let recalled = self.recalled.as_ref().unwrap_or(&self.plain);
        let asked = again::Asked { recorded: self.recorded, view, recalled };
        asked.of(self.new, near.entry).map(|said| said.truth)
    }

    /// A statement of the set that decided that says something else of what was recalled than it
    /// said then.
    fn contradicted(&self, recalled: &Recalled) -> Option<PolicyId> {
        for (view, olds) in self.views.iter().zip(self.olds) {
            let asked = again::Asked { recorded: self.recorded, view, recalled };
            for old in olds.iter().filter(|old| old.surely) {
                let Ok(said) = asked.of(self.old, old.entry) else { continue };
                let then = self.told.truth(old, (view.who, &view.resource.uid), self.alone(old));
                let agree = match then {
                    Truth::Unknown => true,
                    Truth::Either => said.truth != Truth::Failed,
                    then => then == said.truth,
                };
                if !agree {
                    return Some(old.entry.statement.info.reference.id.clone());
                }
            }
        }
        None
    }
}

fn unrecorded() -> Lacking {
    Lacking { fact: "context".into(), why: Missing::NotRecorded }
}

pub(super) fn unique(ids: Vec<PolicyId>) -> Arc<[PolicyId]> {
    let ids: BTreeSet<PolicyId> = ids.into_iter().collect();
    ids.into_iter().collect()
}
