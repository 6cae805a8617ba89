//! Stage 3: the policies in scope, over every resource that the action touches.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{
    AskedOf, Decision, Entity, EntityRef, Now, Obligation, PolicyId, Reason, RecordId, Request,
    Requestable,
};
use safeconduct_policy::{Applied, Evaluation, Past, Policies, Question, QuestionError};
use safeconduct_session::monitor::{Event, REQUEST};

use crate::situate::Situated;
use crate::{Facts, Known, MonitorFacts, aside};

/// What the policies say, taken over all resources.
#[derive(Debug, Default)]
pub(crate) struct Evaluated {
    /// Permit only where every resource is permitted.
    pub(crate) permitted: bool,
    /// The policies that permit, or all that stands in the way.
    pub(crate) reasons: Vec<Reason>,
    /// The same of shadow policies; without effect.
    pub(crate) shadow: Vec<Reason>,
    /// What the permits ask of the enforcement point.
    pub(crate) obligations: Vec<Obligation>,
    /// How it may be asked for, where only requestable forbids stand in the way.
    pub(crate) requestable: Option<Requestable>,
    /// Of whom each of the reasons is, where an agent acts for a user.
    pub(crate) sides: Option<Sides>,
}

/// The policies among the reasons, by whose question they answered.
#[derive(Debug)]
pub(crate) struct Sides {
    actor: Vec<PolicyId>,
    user: Vec<PolicyId>,
}

impl Sides {
    fn of(actor: &[Reason], user: &[Reason]) -> Self {
        let named = |reasons: &[Reason]| {
            let policies = reasons.iter().filter_map(Reason::policy);
            policies.map(|policy| policy.id.clone()).collect()
        };
        Self { actor: named(actor), user: named(user) }
    }

    /// Whose question that policy answered; nothing where it answered both.
    pub(crate) fn asked_of(&self, policy: &PolicyId) -> Option<AskedOf> {
        match (self.actor.contains(policy), self.user.contains(policy)) {
            (true, false) => Some(AskedOf::Actor),
            (false, true) => Some(AskedOf::User),
            _ => None,
        }
    }
}

/// Of whom policies are asked, and what is known beside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'q, 'p, 'f> {
    pub(crate) principal: &'q Entity,
    pub(crate) past: Option<&'q Past<'p>>,
    pub(crate) facts: &'q Facts<'f>,
}

/// Asks the policies about each resource.
///
/// # Errors
/// The arguments cannot be put to the policies as the definition says, or the action has no
/// declaration in the schema.
pub(crate) fn evaluate(
    request: &Request,
    policies: &Policies,
    situated: &Situated<'_>,
    asked: &Asked<'_, '_, '_>,
) -> Result<Evaluated, Vec<Reason>> {
    let Asked { principal, past, facts } = *asked;
    let set_aside = aside::of_principal(facts, &principal.uid);
    let mut answers = Vec::with_capacity(situated.resources.len());
    for resource in &situated.resources {
        let question = Question {
            principal,
            action: &request.action,
            resource,
            input: &request.input,
            additional: situated.additional,
            situation: &situated.situation,
            extra: &situated.beside,
        };
        let (answer, aside) = aside::answer(&question, past, set_aside, policies)
            .map_err(|error| vec![refused(request, error)])?;
        answers.push(Answer { resource, answer, aside });
    }
    Ok(combine(&answers))
}

/// A request as the newest event of its history.
pub(crate) const fn event<'a>(
    request: &'a Request,
    principal: &'a EntityRef,
    resources: &'a [&'a EntityRef],
    now: &Now,
) -> Event<'a> {
    Event {
        kind: REQUEST,
        action: &request.action,
        principal: Some(principal),
        resources,
        input: &request.input,
        output: None,
        beside: None,
        at: now.at,
        decision: None,
    }
}

/// What is remembered of the time before it.
pub(crate) fn past<'a>(facts: &Facts<'a>, event: &'a Event<'a>) -> Option<Past<'a>> {
    let MonitorFacts { session, identity } = facts.monitors?;
    Some(Past { session, identity, event })
}

/// What holds where an agent acts for a user: both must be permitted, each by their own right.
pub(crate) fn both(agent: Evaluated, user: Evaluated, who: &Known) -> Evaluated {
    // What is no reason of the answer is of nobody.
    let sides = match (agent.permitted, user.permitted) {
        (false, true) => Sides::of(&agent.reasons, &[]),
        (true, false) => Sides::of(&[], &user.reasons),
        _ => Sides::of(&agent.reasons, &user.reasons),
    };
    let theirs = user.reasons.into_iter().map(|reason| match reason {
        Reason::NoPermit { .. } => Reason::UserNotPermitted { user: who.identity.id.clone() },
        other => other,
    });
    let (mut reasons, requestable) = match (agent.permitted, user.permitted) {
        (true, true) => (agent.reasons, None),
        (true, false) => (Vec::new(), user.requestable),
        (false, true) => return Evaluated { sides: Some(sides), ..agent },
        // One request cannot be put to the approvers of two.
        (false, false) => (
            agent.reasons,
            agent.requestable.zip(user.requestable).and_then(|(a, b)| Requestable::strictest(a, b)),
        ),
    };
    for reason in theirs {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let mut obligations = agent.obligations;
    for obligation in user.obligations {
        if !obligations.contains(&obligation) {
            obligations.push(obligation);
        }
    }
    Evaluated {
        permitted: agent.permitted && user.permitted,
        reasons,
        shadow: agent.shadow,
        obligations,
        requestable,
        sides: Some(sides),
    }
}

/// What holds of a lease that the task's mandate names: policy has let the task begin with it, so
/// that nothing more needs to permit it, and whatever forbids it does. Obligations of permits that
/// it does not rest on are nobody's.
pub(crate) fn in_mandate(evaluated: Evaluated) -> Evaluated {
    let unsaid = |reason: &Reason| {
        matches!(reason, Reason::NoPermit { .. } | Reason::UserNotPermitted { .. })
    };
    let reasons = match evaluated.permitted {
        true => evaluated.reasons,
        false if evaluated.reasons.iter().all(unsaid) => vec![Reason::InMandate],
        false => return evaluated,
    };
    Evaluated {
        permitted: true,
        reasons,
        shadow: evaluated.shadow,
        obligations: Vec::new(),
        requestable: None,
        sides: evaluated.sides,
    }
}

pub(crate) fn refused(request: &Request, error: QuestionError) -> Reason {
    match error {
        QuestionError::UnknownAction => Reason::UnknownAction(request.action.clone()),
        QuestionError::UnknownType { ty } => {
            Reason::NotDeclared(format!("the entity type `{ty}`").into())
        }
        QuestionError::NotApplicable { role, ty } => {
            Reason::NotDeclared(format!("`{}` for a {role} of type `{ty}`", request.action).into())
        }
        QuestionError::PropertyNotRepresentable { of, pointer, problem } => {
            Reason::PropertyNotRepresentable { of, pointer, problem }
        }
        QuestionError::NotRepresentable { pointer, problem } => {
            Reason::InputNotRepresentable { pointer, problem }
        }
        QuestionError::UndeclaredArgument { pointer } => Reason::InputNotRepresentable {
            pointer,
            problem: "is not in the approved definition of the tool".into(),
        },
    }
}

/// What policies say of one resource.
struct Answer<'a> {
    resource: &'a Entity,
    answer: Evaluation,
    /// The remediations without which something would permit it.
    aside: BTreeSet<RecordId>,
}

fn combine(answers: &[Answer<'_>]) -> Evaluated {
    let decision = |answer: &Evaluation| answer.enforced.decision();
    let permitted = answers.iter().all(|one| decision(&one.answer) == Decision::Permit);
    let several = answers.len() > 1;
    let mut evaluated = Evaluated { permitted, ..Evaluated::default() };
    // One answer says nothing twice.
    let mut seen = several.then(BTreeSet::new);
    let mut seen_shadow = seen.clone();
    let fresh = |seen: &mut Option<BTreeSet<_>>, reason: &Reason| {
        seen.as_mut().is_none_or(|seen| seen.insert(key(reason)))
    };
    let mut requestable: Option<Option<Requestable>> = None;
    for Answer { resource, answer, aside } in answers {
        for reason in reasons(&answer.shadow) {
            if fresh(&mut seen_shadow, &reason) {
                evaluated.shadow.push(reason);
            }
        }
        if permitted {
            for obligation in &answer.obligations {
                if !evaluated.obligations.contains(obligation) {
                    evaluated.obligations.push(obligation.clone());
                }
            }
        } else if decision(answer) == Decision::Permit {
            continue;
        } else {
            requestable = Some(strictest(requestable, answer.requestable.clone()));
        }
        let mut found = reasons(&answer.enforced);
        if found.is_empty() && aside.is_empty() {
            let resource = several.then(|| resource.uid.clone());
            found.push(Reason::NoPermit { resource });
        }
        found.extend(aside.iter().map(|review| Reason::SetAside { review: review.clone() }));
        evaluated.reasons.extend(found.into_iter().filter(|reason| fresh(&mut seen, reason)));
    }
    evaluated.requestable = requestable.flatten();
    evaluated
}

/// Several resources can be asked for only where each of them can; the strictest terms hold.
fn strictest(
    so_far: Option<Option<Requestable>>,
    next: Option<Requestable>,
) -> Option<Requestable> {
    match so_far {
        None => next,
        Some(so_far) => Requestable::strictest(so_far?, next?),
    }
}

/// What determines an answer: errors before forbids before permits.
fn reasons(applied: &Applied) -> Vec<Reason> {
    let errors = applied.errors.iter().map(|(policy, error)| Reason::PolicyError {
        policy: Arc::clone(policy),
        error: Arc::clone(error),
    });
    let forbids = applied.forbids.iter().cloned().map(Reason::Policy);
    let mut reasons: Vec<_> = errors.chain(forbids).collect();
    if reasons.is_empty() {
        reasons.extend(applied.permits.iter().cloned().map(Reason::Policy));
    }
    reasons
}

fn key(reason: &Reason) -> (&'static str, String) {
    let of = match reason {
        Reason::Policy(policy) | Reason::PolicyError { policy, .. } => policy.id.to_string(),
        Reason::NoPermit { resource } => {
            resource.as_ref().map(ToString::to_string).unwrap_or_default()
        }
        other => other.message(),
    };
    (reason.code(), of)
}
