//! Stage 2: what the action is, what it touches, and where the session stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{
    ActionEntry, Assurance, Entity, EntityId, EntityRef, INPUT_DEPTH_MAX, Method, Now,
    RESOURCES_MAX, Reason, Request, Subject, TaskId, Value,
};
use safeconduct_policy::{
    ActionSituation, AdditionalArguments, ApprovalSituation, IdentitySituation, RiskSituation,
    SessionSituation, Situation, TaskSituation,
};

use safeconduct_risk::{Kind, RiskScore};
use safeconduct_session::Used;

use crate::{Facts, Vocabulary, resource};

/// What the policies are asked about.
pub(crate) struct Situated<'a> {
    /// What the catalogue knows of the action.
    pub(crate) entry: &'a ActionEntry,
    /// Everything that the action touches; at least one.
    pub(crate) resources: Vec<Entity>,
    /// The context.
    pub(crate) situation: Situation<'a>,
    /// What the context points to: [`beside`], where a policy looks at the task.
    pub(crate) beside: Vec<Entity>,
    /// Whether arguments that the definition does not name may pass unseen.
    pub(crate) additional: AdditionalArguments,
}

/// Finds the catalogue's entry, maps the arguments to resources and lays out the context.
///
/// # Errors
/// The action is unknown or quarantined, the input is too deep, the arguments do not name a
/// resource, or the session's budget is spent.
pub(crate) fn situate<'a>(
    request: &'a Request,
    facts: &Facts<'a>,
    now: &Now,
) -> Result<Situated<'a>, Vec<Reason>> {
    let unknown = || vec![Reason::UnknownAction(request.action.clone())];
    let entry = facts.entry.filter(|entry| entry.name == request.action).ok_or_else(unknown)?;
    let mut obstacles = Vec::new();
    if let Some(seen) = facts.quarantined {
        obstacles.push(Reason::Quarantined { action: request.action.clone(), seen });
    }
    if request.input.depth() > INPUT_DEPTH_MAX {
        obstacles.push(Reason::OverLimit {
            what: "the depth of the arguments",
            limit: INPUT_DEPTH_MAX as u64,
        });
    }
    // An enforcement point's credential speaks for many: its calls are nobody's budget.
    let own_call = matches!(request.subject, Subject::Caller(_));
    if own_call && facts.session.steps() >= facts.calls_max {
        obstacles.push(Reason::BudgetSpent { calls: facts.calls_max });
    }
    if !obstacles.is_empty() {
        return Err(obstacles);
    }
    Ok(Situated {
        entry,
        beside: Vec::new(),
        resources: resources(request, entry, facts)?,
        situation: situation(request, entry, facts, now),
        additional: if entry.additional_arguments {
            AdditionalArguments::LeftOut
        } else {
            AdditionalArguments::Refused
        },
    })
}

fn resources(
    request: &Request,
    entry: &ActionEntry,
    facts: &Facts<'_>,
) -> Result<Vec<Entity>, Vec<Reason>> {
    let mut resources = resource::mapped(entry, &request.input, facts.vocabulary)?;
    let server = entry.server.as_ref().and_then(|server| facts.server_entity(server));
    if let Some(named) = &request.resource {
        name(stated(named, request, facts), server.as_ref(), &mut resources);
    }
    if resources.is_empty() {
        resources.extend(server);
    }
    match resources.len() {
        0 => Err(vec![Reason::ResourceNotMapped {
            pointer: "".into(),
            problem: "the request names none and the catalogue maps none".into(),
        }]),
        1..=RESOURCES_MAX => Ok(resources),
        _ => Err(vec![Reason::OverLimit {
            what: "the number of resources",
            limit: RESOURCES_MAX as u64,
        }]),
    }
}

/// Takes in the resource that the enforcement point names, where it is another one than those
/// that the arguments name: what the catalogue knows of those is more. The server is what is
/// touched only where the arguments name nothing, whoever names it, so that a question about a
/// call gets the same answer over any edge.
fn name(named: Entity, server: Option<&Entity>, resources: &mut Vec<Entity>) {
    if let Some(mapped) = resources.iter_mut().find(|mapped| mapped.uid == named.uid) {
        for (name, value) in named.attributes {
            mapped.attributes.entry(name).or_insert(value);
        }
        return;
    }
    let only_the_server = server.is_some_and(|server| server.uid == named.uid);
    if resources.is_empty() || !only_the_server {
        resources.push(named);
    }
}

/// A resource that the enforcement point names, with the properties that it may state.
fn stated(named: &Entity, request: &Request, facts: &Facts<'_>) -> Entity {
    let may_state = match &request.subject {
        Subject::Caller(_) | Subject::Undertaker { .. } | Subject::Lessee(_) => false,
        Subject::Asserted { .. } => facts
            .caller
            .and_then(|known| known.identity.pep.as_ref())
            .is_some_and(|registration| registration.properties),
    };
    if may_state { named.clone() } else { Entity::bare(named.uid.clone()) }
}

/// Whether the request acts in the task that is known with it, rather than beginning another.
const fn acts_in_task(request: &Request) -> bool {
    !matches!(request.subject, Subject::Undertaker { .. })
}

/// What policies see of a task beside the context: its parameters, and the user for whom it acts.
pub(crate) fn beside(facts: &Facts<'_>, request: &Request) -> Vec<Entity> {
    let Some(known) = facts.task.as_ref().filter(|_| acts_in_task(request)) else {
        return Vec::new();
    };
    let parameters = task_parameters(&known.task.id, &known.mandate.parameters, facts.vocabulary);
    parameters.into_iter().chain(known.user.map(|user| user.entity.clone())).collect()
}

/// A task's parameters as policies see them; `None` where the task's id is no name of an entity.
pub fn task_parameters(
    task: &TaskId,
    parameters: &BTreeMap<Arc<str>, Value>,
    vocabulary: &Vocabulary,
) -> Option<Entity> {
    let id = EntityId::new(task.shared()).ok()?;
    let attributes = parameters.iter().filter_map(|(name, value)| {
        let text: Arc<str> = match value {
            Value::String(text) => Arc::clone(text),
            Value::Bool(truth) => truth.to_string().into(),
            Value::Integer(n) => n.to_string().into(),
            Value::Number(n) => n.as_str().into(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((Arc::clone(name), Value::String(text)))
    });
    Some(Entity {
        uid: EntityRef { ty: vocabulary.task_parameters().clone(), id },
        attributes: attributes.collect(),
        ancestors: Vec::new(),
    })
}

fn situation<'a>(
    request: &'a Request,
    entry: &'a ActionEntry,
    facts: &Facts<'a>,
    now: &Now,
) -> Situation<'a> {
    let proof = request.subject.authentication();
    let (method, assurance, known) = match &request.subject {
        Subject::Caller(_) | Subject::Lessee(_) => (proof.method, proof.assurance, facts.caller),
        Subject::Asserted { .. } | Subject::Undertaker { .. } => {
            (Method::PepAssertion, Assurance::Low, facts.subject)
        }
    };
    Situation {
        session: SessionSituation {
            steps: facts.session.steps(),
            denials: facts.session.denials(),
            distinct_resources: facts.session.distinct_resources(),
            calls_left: facts.calls_max.saturating_sub(facts.session.steps()),
            actions: facts.session.actions().map(|(action, _)| action).collect(),
            label: facts.session.label(),
        },
        identity: IdentitySituation {
            kind: known.map(|known| known.identity.kind),
            method,
            assurance,
            age_s: now.at.ms_since(proof.at) / 1000,
        },
        action: ActionSituation {
            tier: entry.tier_of(&request.input),
            effect: entry.effect,
            trust: entry.returns.default.integrity,
            guessed: entry.guessed,
            accepts: entry.accepts,
        },
        flow: safeconduct_policy::FlowSituation::default(),
        risk: facts.risk.map(risk).unwrap_or_default(),
        approval: facts.approval.map(|approval| ApprovalSituation {
            id: approval.id.as_str(),
            approvers: approval.approvers.iter().map(AsRef::as_ref).collect(),
            age_s: now.at.ms_since(approval.at) / 1000,
            scope: approval.scope,
        }),
        now: now.at,
        task: facts.task.as_ref().filter(|_| acts_in_task(request)).map(|known| TaskSituation {
            id: known.task.id.as_str(),
            intent: known.task.intent.as_str(),
            version: known.task.intent_version,
            on_behalf_of: known.user.map(|user| &user.entity.uid),
            depth: known.task.depth,
            budget_left: known.task.budget.calls.saturating_sub(facts.used.map_or(0, Used::calls)),
            age_s: now.at.ms_since(known.task.begun_at) / 1000,
        }),
        request: request.asserted.as_ref(),
    }
}

/// The score, and the kinds of all that is behind it.
fn risk(risk: RiskScore) -> RiskSituation {
    RiskSituation {
        score: risk.score,
        level: risk.level.as_str(),
        signals: risk.kinds.iter().map(Kind::as_str).collect(),
    }
}
