//! The estate in six plain questions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::request::Parts;
use safeconduct_model::{
    ActionName, EntityRef, Identity, IdentityId, IdentityStatus, Reason, RecordId, Timestamp,
};
use safeconduct_review::{Grant, GrantSource, Use, UseKey, day_of};
use safeconduct_service::{
    EstateError, Held, Operation, ReadError, ReadModel, RecordQuery, Unregistered, UseQuery, Why,
    WhyStatement, World,
};
use safeconduct_wire::admin::{
    EstateCan, EstateDid, EstateDidForm, EstateGrant, EstateIdentity, EstateLatest, EstateLease,
    EstateNow, EstateOwned, EstateOwnedOne, EstateReason, EstateStatement, EstateStop, EstateTask,
    EstateUnregistered, EstateUse, EstateWho, EstateWhy, EstateWhyForm,
};
use safeconduct_wire::document::Written;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::identities::seen;
use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused};
use crate::router::{Inner, Shared};

/// Most of those whom somebody answers for, and most uses, that are shown at once.
const SHOWN_MAX: usize = 1000;

/// Most actions of one grant that are shown.
const ACTIONS_SHOWN_MAX: usize = 1000;

/// Which identities to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Those after this id.
    after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    limit: Option<usize>,
}

/// Who there is: everyone registered, who answers for them, and when they were seen; and everyone
/// who appeared and is not registered.
#[utoipa::path(
    get,
    path = "/v1/estate/who",
    tag = "Estate",
    operation_id = "estate.who",
    params(Listed),
    responses((status = 200, description = "A page of identities", body = EstateWho), Misasked, Refused),
    security(("bearer" = []))
)]
pub(crate) async fn who(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<EstateWho>, Problem> {
    let caller = api.admit(&parts, Operation::EstateWho).await?;
    let Listed { after, limit } = page::query(&parts.uri)?;
    let limit = page::limit(limit)?;
    let (service, from) = (Arc::clone(&api.service), after.clone());
    let appeared = apart(move || service.unregistered(from.as_deref(), limit + 1)).await?;
    let mut found: Vec<Exists<'_>> = appeared.iter().map(Exists::Unregistered).collect();
    let known = caller.world.identities_after(after.as_deref(), limit + 1);
    found.extend(known.into_iter().map(Exists::Registered));
    found.sort_by(|a, b| a.id().cmp(b.id()));
    // Of two of one name none is left between pages.
    let last = found.get(limit - 1).map(|one| one.id().to_owned());
    let more = |last: &String| found.iter().any(|one| one.id() > last.as_str());
    let next = last.clone().filter(more);
    let mut who = EstateWho { identities: Vec::new(), unregistered: Vec::new(), next };
    let shown = found.iter().filter(|one| last.as_deref().is_none_or(|last| one.id() <= last));
    for exists in shown {
        match exists {
            Exists::Registered(identity) => {
                who.identities.push(one(&api, &caller.world, identity));
            }
            Exists::Unregistered(one) => who.unregistered.push(unregistered(one)),
        }
    }
    Ok(Json(who))
}

/// One of a page.
enum Exists<'a> {
    Registered(&'a Identity),
    Unregistered(&'a Unregistered),
}

impl Exists<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Registered(identity) => identity.id.as_str(),
            Self::Unregistered(one) => &one.id,
        }
    }
}

fn unregistered(one: &Unregistered) -> EstateUnregistered {
    EstateUnregistered {
        id: one.id.to_string(),
        types: one.types.iter().map(ToString::to_string).collect(),
        appeared: one.appeared.iter().map(|how| how.as_str()).collect(),
        first_seen: Written(one.seen.first),
        last_seen: Written(one.seen.last),
    }
}

/// Whose owner is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Owner {
    /// Who answers; left out, those for whom nobody does.
    owner: Option<String>,
}

/// For whom somebody answers, or for whom nobody does.
#[utoipa::path(
    get,
    path = "/v1/estate/owns",
    tag = "Estate",
    operation_id = "estate.owns",
    params(Owner),
    responses((status = 200, description = "Those who are answered for", body = EstateOwned), Misasked, Refused),
    security(("bearer" = []))
)]
pub(crate) async fn owns(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<EstateOwned>, Problem> {
    let caller = api.admit(&parts, Operation::EstateOwns).await?;
    let Owner { owner } = page::query(&parts.uri)?;
    let is = |id: &Option<IdentityId>| {
        id.as_ref().zip(owner.as_ref()).is_some_and(|(id, owner)| id.as_str() == owner)
    };
    let role = |identity: &Identity| match &owner {
        None => orphaned(&caller.world, identity).map(|_| "nobody"),
        Some(_) if is(&identity.owner) => Some("owner"),
        Some(_) if is(&identity.fallback_owner) => Some("fallback_owner"),
        Some(_) => None,
    };
    let found = caller.world.identities().filter_map(|identity| Some((role(identity)?, identity)));
    let mut found: Vec<_> = found.collect();
    found.sort_unstable_by(|(_, one), (_, other)| one.id.cmp(&other.id));
    let more = found.len() > SHOWN_MAX;
    let shown = found.into_iter().take(SHOWN_MAX);
    let owned = shown.map(|(role, identity)| EstateOwnedOne {
        role,
        identity: one(&api, &caller.world, identity),
    });
    let owned = owned.collect();
    Ok(Json(EstateOwned { owner, owned, more }))
}

pub(crate) fn one(api: &Inner, world: &World, identity: &Identity) -> EstateIdentity {
    EstateIdentity {
        identity: seen(api, identity),
        tasks: api.service.live_tasks_of(&identity.id) as u64,
        orphaned: orphaned(world, identity),
    }
}

/// Why nobody answers for an identity, where nobody does. People answer for themselves.
fn orphaned(world: &World, identity: &Identity) -> Option<&'static str> {
    if identity.kind == safeconduct_model::IdentityKind::User {
        return None;
    }
    let of = |id: &Option<IdentityId>| match id.as_ref() {
        None => Some("no_owner"),
        Some(id) => match world.identity(id).map(|owner| owner.status) {
            None => Some("owner_unknown"),
            Some(IdentityStatus::Active) => None,
            Some(_) => Some("owner_not_active"),
        },
    };
    let problem = of(&identity.owner)?;
    of(&identity.fallback_owner).map(|_| problem)
}

/// What somebody can do, and what gives it.
#[utoipa::path(
    get,
    path = "/v1/estate/can/{id}",
    tag = "Estate",
    operation_id = "estate.can",
    params(("id" = String, Path, description = "The identity's id, percent-encoded")),
    responses(
        (status = 200, description = "Their rights", body = EstateCan),
        Refused,
        (status = 404, description = "Nobody is registered under that id", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn can(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<EstateCan>, Problem> {
    let caller = api.admit(&parts, Operation::EstateCan).await?;
    let identity = registered(&caller.world, &id)?;
    let (service, id) = (Arc::clone(&api.service), identity.id.clone());
    let held = apart(move || service.can(&id)).await??;
    Ok(Json(shown_rights(identity, &held)))
}

/// What somebody can do, as it is answered.
pub fn shown_rights(identity: &Identity, held: &Held) -> EstateCan {
    EstateCan {
        identity: identity.id.to_string(),
        status: identity.status.as_str(),
        grants: held.grants.iter().map(grant).collect(),
        more: held.more as u64,
        shadow: held.shadow as u64,
        not_derivable: held.not_derivable.as_ref().map(ToString::to_string),
    }
}

fn grant(grant: &Grant) -> EstateGrant {
    let id = grant.id.to_string();
    let expires_at = grant.expires_at.map(Written);
    let plain = |given_by: String, words: String| EstateGrant {
        id: id.clone(),
        kind: grant.source.as_str(),
        words,
        given_by,
        at: None,
        actions: Vec::new(),
        resources: None,
        conditional: false,
        temporal: false,
        narrowed_by: Vec::new(),
        expires_at,
    };
    match &grant.source {
        GrantSource::Statement(statement) => {
            let conditions = match (statement.conditional, statement.temporal) {
                (_, true) => ", under conditions that look at what happened before",
                (true, false) => ", under conditions",
                (false, false) => "",
            };
            let words = format!(
                "{} on {}{conditions}",
                some(&statement.actions),
                match &*statement.resources {
                    "any" => "anything",
                    resources => resources,
                },
            );
            let actions = statement.actions.iter().take(ACTIONS_SHOWN_MAX);
            EstateGrant {
                at: Some(statement.span.to_string()),
                actions: actions.map(ToString::to_string).collect(),
                resources: Some(statement.resources.to_string()),
                conditional: statement.conditional,
                temporal: statement.temporal,
                narrowed_by: statement.narrowed_by.iter().map(ToString::to_string).collect(),
                ..plain(statement.policy.to_string(), words)
            }
        }
        GrantSource::Intent { intent, version, schedule: None } => {
            plain(format!("{intent} {version}"), format!("undertake `{intent}`"))
        }
        GrantSource::Intent { intent, version, schedule: Some(schedule) } => plain(
            format!("{intent} {version}"),
            format!("undertake `{intent}` by the schedule `{schedule}`"),
        ),
        GrantSource::Delegation { id, user, intent } => {
            plain(id.to_string(), format!("undertake `{intent}` for `{user}`"))
        }
        GrantSource::Lease { lease, task, target, kind } => {
            let kind = kind.as_str();
            plain(lease.to_string(), format!("act at `{target}` by a {kind} for task `{task}`"))
        }
    }
}

/// The first three actions, and how many more.
fn some(actions: &[ActionName]) -> String {
    let named: Vec<_> = actions.iter().take(3).map(ToString::to_string).collect();
    match actions.len().saturating_sub(3) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Why somebody can or cannot do something.
#[utoipa::path(
    get,
    path = "/v1/estate/why/{id}",
    tag = "Estate",
    operation_id = "estate.why",
    params(("id" = String, Path, description = "The identity's id, percent-encoded"), EstateWhyForm),
    responses(
        (status = 200, description = "The statements that speak of it", body = EstateWhy),
        Misasked,
        Refused,
        (status = 404, description = "Nobody is registered under that id", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn why(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<EstateWhy>, Problem> {
    let caller = api.admit(&parts, Operation::EstateWhy).await?;
    let identity = registered(&caller.world, &id)?;
    let form: EstateWhyForm = page::query(&parts.uri)?;
    let action = ActionName::new(form.action.as_str())
        .map_err(|error| Problem::invalid(format!("`action` is no name: {error}")))?;
    let resource = form.resource.as_deref().map(entity).transpose()?;
    let (service, who, wanted) = (Arc::clone(&api.service), identity.id.clone(), action.clone());
    let why = apart(move || service.why(&who, &wanted, resource)).await??;
    Ok(Json(shown_why(&identity.id, &action, &why)))
}

/// Why somebody can or cannot do something, as it is answered.
pub fn shown_why(identity: &IdentityId, action: &ActionName, why: &Why) -> EstateWhy {
    let statements = why.permits.iter().chain(&why.forbids).chain(&why.shadow).map(statement);
    EstateWhy {
        identity: identity.to_string(),
        action: action.to_string(),
        statements: statements.collect(),
        more: why.more as u64,
        intents: why.intents.iter().map(ToString::to_string).collect(),
        not_derivable: why.not_derivable.as_ref().map(ToString::to_string),
        now: why.now.as_ref().map(|outcome| EstateNow {
            decision: outcome.decision.as_str(),
            reasons: outcome.reasons.iter().take(SHOWN_MAX).map(reason).collect(),
        }),
    }
}

fn statement(why: &WhyStatement) -> EstateStatement {
    EstateStatement {
        effect: why.effect.as_str(),
        policy: why.policy.to_string(),
        at: why.span.to_string(),
        principals: why.principals.clone(),
        actions: why.over.clone(),
        resources: why.resources.clone(),
        conditional: why.conditional,
        temporal: why.temporal,
        requestable: why.requestable.is_some(),
        mode: why.mode.as_str(),
        since: why.age.map(|age| Written(age.since)),
        perhaps_since: why.age.filter(|age| age.perhaps < age.since).map(|a| Written(a.perhaps)),
    }
}

fn reason(reason: &Reason) -> EstateReason {
    let policy = match reason {
        Reason::Policy(policy) | Reason::PolicyError { policy, .. } => {
            Some(format!("{} at {}", policy.id, policy.span))
        }
        _ => None,
    };
    EstateReason { code: reason.code(), message: reason.message(), policy }
}

fn entity(text: &str) -> Result<EntityRef, Problem> {
    read_entity(text).ok_or_else(|| {
        let example = "write it as policies do: `Safeconduct::Path::\"/cases\"`";
        Problem::invalid(format!("`resource` is no entity; {example}"))
    })
}

/// An entity as policies write it: `Safeconduct::Path::"/cases"`, or `Path::/cases`.
pub fn read_entity(text: &str) -> Option<EntityRef> {
    let (ty, id) = match text.split_once("::\"") {
        Some((ty, id)) => (ty, id.strip_suffix('"')?),
        None => text.rsplit_once("::")?,
    };
    EntityRef::new(ty, id).ok()
}

/// What somebody has done: the use of each right, with the last three uses.
#[utoipa::path(
    get,
    path = "/v1/estate/did/{id}",
    tag = "Estate",
    operation_id = "estate.did",
    params(("id" = String, Path, description = "The identity's id, percent-encoded"), EstateDidForm),
    responses(
        (status = 200, description = "Use, by policy, action and intent", body = EstateDid),
        Misasked,
        Refused,
        (status = 404, description = "Nobody is registered under that id", body = ProblemForm),
        (status = 503, description = "The read model cannot be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn did(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<EstateDid>, Problem> {
    let caller = api.admit(&parts, Operation::EstateDid).await?;
    let identity = registered(&caller.world, &id)?;
    let form: EstateDidForm = page::query(&parts.uri)?;
    let entity = caller.world.principal_of(&identity.id);
    let since_day = form.since.map(|since| day_of(since.0));
    let query = UseQuery { principal: entity, since_day, ..UseQuery::default() };
    let read = Arc::clone(&api.read);
    let (uses, more, read_up_to) = apart(move || used(&*read, &query)).await?.map_err(unread)?;
    Ok(Json(EstateDid { identity: identity.id.to_string(), uses, more, read_up_to }))
}

/// Days added up, the latest use first.
fn used(read: &dyn ReadModel, query: &UseQuery) -> Result<(Vec<EstateUse>, bool, u64), ReadError> {
    let page = read.uses(query)?;
    let mut rows: BTreeMap<UseKey, Use> = BTreeMap::new();
    for (key, used) in page.uses {
        rows.entry(UseKey { day: 0, ..key }).or_default().add(&used);
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, used)| std::cmp::Reverse(used.last));
    let more = page.more || rows.len() > SHOWN_MAX;
    let shown = rows.into_iter().take(SHOWN_MAX).map(|(key, used)| {
        Ok(EstateUse {
            policy: key.policy.map(|policy| policy.to_string()),
            action: key.action.to_string(),
            intent: key.intent.map(|intent| intent.to_string()),
            task: key.task.as_str(),
            permitted: used.permitted,
            approved: used.approved,
            denied: used.denied,
            observed: used.observed,
            succeeded: used.succeeded,
            failed: used.failed,
            not_executed: used.not_executed,
            unknown: used.unknown,
            first: used.first.map(Written),
            last: used.last.map(Written),
            resources: used.resources.len() as u64,
            resources_more: used.touched_more(),
            largest_bytes_out: used.largest_bytes_out,
            latest: used
                .latest
                .iter()
                .rev()
                .map(|one| latest(read, one))
                .collect::<Result<_, _>>()?,
            latest_denied: used.latest_denied.iter().rev().map(|(_, id)| id.to_string()).collect(),
        })
    });
    Ok((shown.collect::<Result<_, ReadError>>()?, more, page.read_up_to))
}

/// One use, and what came of it.
fn latest(
    read: &dyn ReadModel,
    (at, decision): &(Timestamp, RecordId),
) -> Result<EstateLatest, ReadError> {
    let query = RecordQuery {
        kind: Some("outcome".into()),
        parent: Some(decision.clone()),
        limit: 1,
        ..RecordQuery::default()
    };
    let outcome = read.query(&query)?.records.into_iter().next();
    let outcome = outcome.and_then(|record| {
        let record: serde_json::Value = serde_json::from_str(&record.leaf).ok()?;
        Some(record.get("body")?.get("execution")?.as_str()?.to_owned())
    });
    Ok(EstateLatest { at: Written(*at), decision: decision.to_string(), outcome })
}

/// What the kill switch would stop of somebody. It stops nothing.
#[utoipa::path(
    get,
    path = "/v1/estate/stop/{id}",
    tag = "Estate",
    operation_id = "estate.stop",
    params(("id" = String, Path, description = "The identity's id, percent-encoded")),
    responses(
        (status = 200, description = "What would be stopped", body = EstateStop),
        Refused,
        (status = 404, description = "Nobody is registered under that id", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn stop(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<EstateStop>, Problem> {
    let caller = api.admit(&parts, Operation::EstateStop).await?;
    let identity = registered(&caller.world, &id)?;
    let (service, id) = (Arc::clone(&api.service), identity.id.clone());
    let stopping = apart(move || service.would_stop(&id)).await??;
    Ok(Json(EstateStop {
        identity: identity.id.to_string(),
        status: identity.status.as_str(),
        tasks: stopping.tasks.iter().map(task).collect(),
        more_tasks: stopping.more_tasks as u64,
        leases: stopping.leases.iter().map(lease).collect(),
        tokens: stopping.tokens.iter().map(ToString::to_string).collect(),
        access_tokens: stopping.access_tokens as u64,
        sessions: stopping.sessions.len() as u64,
    }))
}

pub(crate) fn task(task: &Arc<safeconduct_model::Task>) -> EstateTask {
    EstateTask {
        id: task.id.to_string(),
        intent: task.intent.to_string(),
        agent: task.agent.to_string(),
        on_behalf_of: task.on_behalf_of.as_ref().map(ToString::to_string),
    }
}

pub(crate) fn lease(view: &safeconduct_service::LeaseView) -> EstateLease {
    EstateLease {
        id: view.lease.id.to_string(),
        target: view.lease.target.to_string(),
        task: view.lease.task.to_string(),
    }
}

pub(crate) fn registered<'w>(world: &'w World, id: &str) -> Result<&'w Identity, Problem> {
    let found = IdentityId::new(id).ok().and_then(|id| world.identity(&id));
    found.ok_or_else(|| Problem::not_found("identity", id))
}

/// Runs what takes its time where nobody waits for the thread.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::unavailable(error.to_string()))
}

fn unread(ReadError(why): ReadError) -> Problem {
    tracing::error!(problem = &*why, "the read model cannot be read");
    Problem::unavailable("the read model cannot be read")
}

impl From<EstateError> for Problem {
    fn from(error: EstateError) -> Self {
        match error {
            EstateError::UnknownIdentity(id) => Self::not_found("identity", id.as_str()),
            EstateError::Question(error) => Self::invalid(error.to_string()),
        }
    }
}
