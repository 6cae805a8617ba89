//! What a draft would have said to one decision, as far as its record answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{
    Assurance, Confidentiality, Decision, Effect, Integrity, Label, Obligation, PolicyEffect,
    PolicyId, PolicyRef, Tier, Value,
};

use super::classes::{Classes, RegoFiles};
use super::told::{Alone, Told, Truth};
use super::view::{LEASE, Near, View, near, views};
use super::{NotReplayable, RecordedDecision, Surroundings, Verdict};
use crate::annotations::PolicyMode;
use crate::evaluate::{EntityNeeds, Needs, Prepared, Question};
use crate::policies::Policies;
use crate::schema::{ContextField, ContextFields};
use crate::shape::AdditionalArguments;
use crate::situation::{
    ActionSituation, FlowSituation, IdentitySituation, RiskSituation, SessionSituation, Situation,
};
use crate::temporal::Answers;

/// A verdict, and whether it would be the same at any other time.
pub(super) struct Weighed {
    pub(super) verdict: Verdict,
    pub(super) timeless: bool,
}

pub(super) fn weigh(
    old: &Policies,
    new: &Policies,
    classes: &Classes,
    recorded: &RecordedDecision<'_>,
    around: &dyn Surroundings,
) -> Weighed {
    let timeless = |verdict| Weighed { verdict, timeless: true };
    let Some(told) = Told::of(recorded.decided) else { return timeless(Verdict::Same) };
    let Some(views) = views(recorded, around) else {
        return timeless(Verdict::Unknown(NotReplayable::UnknownUser));
    };
    let ours = recorded.decided.policies == old.digest();
    let olds: Option<Vec<_>> = ours
        .then(|| views.iter().map(|view| near(old, &classes.old, view, recorded.decided)).collect())
        .flatten();
    let olds: Vec<Vec<Near<'_>>> = match olds {
        Some(olds) => olds,
        None => views.iter().map(|_| Vec::new()).collect(),
    };
    if ours && let Some(policy) = misfit(&told, &olds) {
        return timeless(Verdict::Unknown(NotReplayable::DoesNotFit(policy)));
    }
    let news: Vec<_> =
        views.iter().map(|view| near(new, &classes.new, view, recorded.decided)).collect();
    let rego_stays = classes.rego != RegoFiles::Different;
    if ours && rego_stays && says_the_same(&olds, &news) {
        return timeless(Verdict::Same);
    }
    let mut scales = Scales {
        new,
        told,
        ours,
        views: &views,
        olds: &olds,
        rego: classes.rego,
        recorded,
        action: around.action(&recorded.decided.action, recorded.decided.catalogue),
        timeless: true,
    };
    let verdict = scales.verdict(&news);
    Weighed { verdict, timeless: scales.timeless }
}

/// A policy that decided, though by what is known it was in nobody's scope.
fn misfit(told: &Told<'_>, olds: &[Vec<Near<'_>>]) -> Option<PolicyId> {
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

fn is_enforced(near: &Near<'_>) -> bool {
    near.entry.statement.info.mode == PolicyMode::Enforce
}

/// What a draft says to one question.
enum Say {
    Permit(Vec<PolicyId>),
    Deny(Vec<PolicyId>),
    Open(NotReplayable),
}

/// What a statement of the draft says, or why nobody knows.
enum Said {
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

struct Scales<'a, 'p> {
    new: &'p Policies,
    told: Told<'a>,
    ours: bool,
    views: &'a [View<'static>],
    olds: &'a [Vec<Near<'p>>],
    rego: RegoFiles,
    recorded: &'a RecordedDecision<'a>,
    action: Option<ActionSituation>,
    timeless: bool,
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
    fn said(&mut self, at: usize, near: &Near<'_>) -> Said {
        let id = || near.entry.statement.info.reference.id.clone();
        let whole = self.truth_then(at, |class| class.whole == near.class.whole, false);
        match whole {
            Truth::Holds => return Said::Holds,
            Truth::Not => return Said::Not,
            Truth::Failed => return Said::Failed,
            Truth::Either | Truth::Unknown => {}
        }
        let condition = &near.entry.statement.condition;
        let condition = match self.truth_then(at, |c| c.condition == near.class.condition, true) {
            _ if condition.is_always() => Truth::Holds,
            Truth::Either => Truth::Either,
            Truth::Unknown => self.evaluated(at, near),
            known => known,
        };
        // It is the same statement: it did not fail, wherever its scope ends.
        let condition = match (condition, whole) {
            (Truth::Unknown, Truth::Either) => Truth::Either,
            (condition, _) => condition,
        };
        match (condition, near.surely) {
            (Truth::Not, _) => Said::Not,
            (Truth::Holds, true) => Said::Holds,
            (Truth::Failed, true) => Said::Failed,
            (Truth::Holds, false) => Said::Either(NotReplayable::Membership(id())),
            (Truth::Failed, false) => Said::Open(NotReplayable::Membership(id())),
            (Truth::Either, _) => Said::Either(NotReplayable::NotRecorded(id())),
            (Truth::Unknown, _) if self.ours => Said::Open(NotReplayable::NotRecorded(id())),
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
            match self.told.truth(old, (view.who, &view.resource.uid), self.alone(old)) {
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

    /// What a condition says that looks at nothing but what is recorded.
    fn evaluated(&mut self, at: usize, near: &Near<'_>) -> Truth {
        let needs = near.entry.statement.condition.needs();
        let Some(view) = self.views.get(at).filter(|view| self.is_recorded(needs, view)) else {
            return Truth::Unknown;
        };
        let situation = self.situation();
        let question = Question {
            principal: &view.principal,
            action: &self.recorded.decided.action,
            resource: &view.resource,
            input: &Value::Null,
            additional: AdditionalArguments::LeftOut,
            situation: &situation,
            extra: &[],
        };
        let Ok(prepared) = Prepared::without_arguments(self.new, &question) else {
            return Truth::Unknown;
        };
        let declared = prepared.action();
        let missing = [ContextField::Action, ContextField::Identity, ContextField::Time];
        let missing = missing.into_iter().any(|f| needs.context.has(f) && !declared.fields.has(f));
        if missing || (declared.holds_entities && !needs.context.is_empty()) {
            return Truth::Unknown;
        }
        let Ok(world) = prepared.world(&question, needs, &Answers::default()) else {
            return Truth::Unknown;
        };
        self.timeless &= !needs.context.has(ContextField::Time);
        match near.entry.statement.condition.satisfied(&world.evaluator()) {
            Ok(true) => Truth::Holds,
            Ok(false) => Truth::Not,
            Err(_) => Truth::Failed,
        }
    }

    fn is_recorded(&self, needs: Needs, view: &View<'_>) -> bool {
        use ContextField as F;
        let mut recorded =
            ContextFields::default().with(F::Time).with(F::Identity).with(F::IdentityMethod);
        if self.action.is_some() {
            recorded = recorded.with_whole(F::Action);
        }
        let known = |of: EntityNeeds, known: bool| {
            (known && view.known.attributes) || !needs.entities.has(of)
        };
        needs.context.is_within(recorded)
            && known(EntityNeeds::PRINCIPAL, view.known.principal)
            && known(EntityNeeds::RESOURCE, view.known.resource)
            && !needs.entities.has(EntityNeeds::OTHERS)
    }

    /// The moment, as far as it is recorded; nothing else of it is looked at.
    fn situation(&self) -> Situation<'static> {
        Situation {
            session: SessionSituation {
                steps: 0,
                denials: 0,
                distinct_resources: 0,
                calls_left: 0,
                actions: Vec::new(),
                label: Label::least(),
            },
            identity: IdentitySituation {
                kind: None,
                method: self.recorded.decided.method,
                assurance: Assurance::Low,
                age_s: 0,
            },
            action: self.action.unwrap_or(ActionSituation {
                tier: Tier::Critical,
                effect: Effect::Administer,
                trust: Integrity::Untrusted,
                guessed: true,
                accepts: Confidentiality::Public,
            }),
            now: self.recorded.at,
            task: None,
            flow: FlowSituation::default(),
            risk: RiskSituation::default(),
            approval: None,
            request: None,
        }
    }
}

fn unique(ids: Vec<PolicyId>) -> Arc<[PolicyId]> {
    let ids: BTreeSet<PolicyId> = ids.into_iter().collect();
    ids.into_iter().collect()
}
