//! AuthZEN searches: who, what, and which action. Each candidate that is known is asked about with
//! nothing decided and nothing recorded, so what comes of it is advice; a page asks about a bounded
//! number of candidates, and may therefore be shorter than it could be and still have a next one.

use std::collections::BTreeSet;

use axum::extract::{Request, State};
use axum::response::Response;
use safeconduct_model::{ActionName, EntityId, EntityType, Value};
use safeconduct_service::{Operation, ReadError, SEARCH_CANDIDATES_MAX, SeenAs, Weighing, World};
use safeconduct_wire::authzen::{Found, FoundOne, Search, SearchFor, page_after, page_token};

use crate::authzen::{AccessError, Asker, asker, resolved, respond, subject_of};
use crate::body::json_bytes;
use crate::problem::Problem;
use crate::router::{Inner, Shared};

/// Searches for those who may do something to something.
#[utoipa::path(
    post,
    path = "/access/v1/search/subject",
    tag = "AuthZEN",
    operation_id = "access.search_subject",
    request_body(content = Object, description = "`subject` with a type, `action`, `resource`, `context?`, `page?`: AuthZEN 1.0 section 8.4", content_type = "application/json"),
    params(("X-Request-ID" = Option<String>, Header, description = "Comes back")),
    responses(
        (status = 200, description = "`results`: subjects, and `page.next_token`, empty at the end. Advice: a permit takes a decision", body = Object),
        (status = 400, description = "A required field is missing or ill-typed, or the page is of another search", body = String),
        (status = 401, description = "The enforcement point has not proved who it is", body = String),
        (status = 403, description = "The caller is no registered enforcement point", body = String),
        (status = 503, description = "The read model cannot be read", body = String),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn subjects(State(api): State<Shared>, request: Request) -> Response {
    run(&api, request, SearchFor::Subjects, Operation::AccessSearchSubject).await
}

/// Searches for what somebody may do something to.
#[utoipa::path(
    post,
    path = "/access/v1/search/resource",
    tag = "AuthZEN",
    operation_id = "access.search_resource",
    request_body(content = Object, description = "`subject`, `action`, `resource` with a type, `context?`, `page?`: AuthZEN 1.0 section 8.5", content_type = "application/json"),
    params(("X-Request-ID" = Option<String>, Header, description = "Comes back")),
    responses(
        (status = 200, description = "`results`: resources, and `page.next_token`, empty at the end. Advice: a permit takes a decision", body = Object),
        (status = 400, description = "A required field is missing or ill-typed, or the page is of another search", body = String),
        (status = 401, description = "The enforcement point has not proved who it is", body = String),
        (status = 403, description = "The caller is no registered enforcement point", body = String),
        (status = 503, description = "The read model cannot be read", body = String),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn resources(State(api): State<Shared>, request: Request) -> Response {
    run(&api, request, SearchFor::Resources, Operation::AccessSearchResource).await
}

/// Searches for what somebody may do to something.
#[utoipa::path(
    post,
    path = "/access/v1/search/action",
    tag = "AuthZEN",
    operation_id = "access.search_action",
    request_body(content = Object, description = "`subject`, `resource`, `context?`, `page?`: AuthZEN 1.0 section 8.6", content_type = "application/json"),
    params(("X-Request-ID" = Option<String>, Header, description = "Comes back")),
    responses(
        (status = 200, description = "`results`: actions, and `page.next_token`, empty at the end. Advice: a permit takes a decision", body = Object),
        (status = 400, description = "A required field is missing or ill-typed, or the page is of another search", body = String),
        (status = 401, description = "The enforcement point has not proved who it is", body = String),
        (status = 403, description = "The caller is no registered enforcement point", body = String),
        (status = 503, description = "The read model cannot be read", body = String),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn actions(State(api): State<Shared>, request: Request) -> Response {
    run(&api, request, SearchFor::Actions, Operation::AccessSearchAction).await
}

async fn run(api: &Shared, request: Request, wanted: SearchFor, operation: Operation) -> Response {
    let (parts, body) = request.into_parts();
    let answer = async {
        let asker = asker(api, &parts, operation).await?;
        let body = json_bytes(&parts.headers, body).await?;
        let search = Search::parse(wanted, &body)?;
        let api = api.clone();
        // On a thread that may read a disk and take its time.
        let found = tokio::task::spawn_blocking(move || found(&api, &asker, &search)).await;
        let found = found.map_err(|error| Problem::unavailable(error.to_string()))??;
        Ok(found.write())
    };
    let answer: Result<Vec<u8>, AccessError> = answer.await;
    respond(&parts, answer)
}

fn found(api: &Inner, asker: &Asker, search: &Search) -> Result<Found, Problem> {
    // Nothing that the policies say may change between the pages of one search.
    let digest = digest(search, &asker.world);
    let after = match &search.page.token {
        None => None,
        Some(token) => Some(page_after(token, &digest).ok_or_else(|| {
            let problem = "`/page/token` is of another search, or policies have changed since";
            Problem::invalid(problem)
        })?),
    };
    let candidates = candidates(api, asker, search, after.as_deref())?;
    let mut found = Found::default();
    let mut last = None;
    let more = candidates.len() > SEARCH_CANDIDATES_MAX;
    let mut candidates = candidates.into_iter().take(SEARCH_CANDIDATES_MAX);
    for candidate in candidates.by_ref() {
        if found.results.len() == search.page.limit {
            found.next = last.map(|last: String| page_token(&digest, &last)).unwrap_or_default();
            return Ok(found);
        }
        found.results.extend(permitted(api, asker, search, &candidate));
        last = Some(candidate);
    }
    if let (true, Some(last)) = (more, last) {
        found.next = page_token(&digest, &last);
    }
    Ok(found)
}

/// What of a search there is to ask about, in order: one more than are asked about says that there
/// are more.
fn candidates(
    api: &Inner,
    asker: &Asker,
    search: &Search,
    after: Option<&str>,
) -> Result<BTreeSet<String>, Problem> {
    let (world, most) = (&asker.world, SEARCH_CANDIDATES_MAX + 1);
    let (seen, ty, known) = match search.wanted {
        SearchFor::Actions => {
            let names = world.known_actions().into_iter().map(|name| name.to_string());
            let later = names.filter(|name| after.is_none_or(|after| name.as_str() > after));
            return Ok(later.take(most).collect());
        }
        SearchFor::Subjects => {
            let ty = full_name(world, &search.subject.ty);
            let known = world.known_principals(&ty);
            (SeenAs::Principal, ty, known)
        }
        SearchFor::Resources => {
            let ty = full_name(world, &search.resource.ty);
            let known = world.known_resources(&ty);
            (SeenAs::Resource, ty, known)
        }
    };
    let of_ledger = api.read.entities(seen, &ty, after, most);
    let of_ledger = of_ledger.map_err(|ReadError(why)| {
        tracing::error!(problem = &*why, "the read model cannot be read");
        Problem::unavailable("the read model cannot be read")
    })?;
    let later = |id: &EntityId| after.is_none_or(|after| id.as_str() > after);
    let all = known.into_iter().filter(later).chain(of_ledger).map(|id| id.to_string());
    let mut all: BTreeSet<String> = all.collect();
    while all.len() > most {
        all.pop_last();
    }
    Ok(all)
}

/// The candidate as a result, where it would be permitted.
fn permitted(api: &Inner, asker: &Asker, search: &Search, candidate: &str) -> Option<FoundOne> {
    let id = || EntityId::new(candidate).ok();
    let (subject_id, resource_id) = match search.wanted {
        SearchFor::Subjects => (id()?, search.resource.id.clone()?),
        SearchFor::Resources => (search.subject.id.clone()?, id()?),
        SearchFor::Actions => (search.subject.id.clone()?, search.resource.id.clone()?),
    };
    let (action, input) = match &search.action {
        Some((action, input)) => (action.clone(), input.clone()),
        None => (ActionName::new(candidate).ok()?, Value::object::<&str>([])),
    };
    let (subject, resource) = (search.subject.of(subject_id), search.resource.of(resource_id));
    let result = match search.wanted {
        SearchFor::Subjects => FoundOne::Entity(subject.uid.clone()),
        SearchFor::Resources => FoundOne::Entity(resource.uid.clone()),
        SearchFor::Actions => FoundOne::Action(action.clone()),
    };
    let weighing = Weighing {
        subject: subject_of(asker, subject),
        action,
        resource: resolved(&asker.world, resource),
        input,
        asserted: search.context.clone(),
    };
    api.service.would_permit(weighing).then_some(result)
}

/// The type as the schema names it, where it does.
fn full_name(world: &World, ty: &EntityType) -> EntityType {
    world.policies().resolve_type(ty.as_str()).unwrap_or_else(|| ty.clone())
}

/// Of the search, and of the policies that it is put to.
fn digest(search: &Search, world: &World) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    hash.update(world.policies().digest().as_bytes());
    hash.update(search.key());
    hash.finalize().into()
}
