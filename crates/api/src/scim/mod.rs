//! SCIM 2.0 (RFC 7643, RFC 7644): a directory pushes people and groups. People are identities of
//! kind `user`; who is not `active` there is suspended here, and who is deleted there is retired.
//! Groups are our groups, by their `displayName`.
//!
//! A directory changes what came from it and never what was decided here: whom we suspended,
//! quarantined or retired it does not make active, and roles are not its to give. Whom it may
//! change who has a role is for `identities.change_privileged`.

mod answer;
mod discovery;
mod groups;
mod search;
mod users;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use safeconduct_model::{Identity, IdentityId, Value};
use safeconduct_service::{Operation, Reach, ReplaceError, Replacing};
use safeconduct_wire::json;
use safeconduct_wire::scim::{ScimError, member};
use serde::Deserialize;

use crate::admit::Admitted;
use crate::body::{BODY_BYTES_MAX, BodyError, read_within};
use crate::problem::Problem;
use crate::router::{Inner, Shared};

use answer::ScimProblem;

/// Where all of it is.
pub(crate) const ROOT: &str = "/scim/v2";

/// Most resources of one page.
const PAGE_MAX: usize = 200;

/// How often something is tried again because somebody else came in between.
const TRIES: usize = 4;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/scim/v2/ServiceProviderConfig", get(discovery::config))
        .route("/scim/v2/ResourceTypes", get(discovery::types))
        .route("/scim/v2/ResourceTypes/{name}", get(discovery::one_type))
        .route("/scim/v2/Schemas", get(discovery::schemas))
        .route("/scim/v2/Schemas/{name}", get(discovery::schema))
        .route("/scim/v2/Users", get(users::list).post(users::create))
        .route(
            "/scim/v2/Users/{id}",
            get(users::show).put(users::replace).patch(users::patch).delete(users::remove),
        )
        .route("/scim/v2/Groups", get(groups::list).post(groups::create))
        .route(
            "/scim/v2/Groups/{id}",
            get(groups::show).put(groups::replace).patch(groups::patch).delete(groups::remove),
        )
        .route("/scim/v2/.search", post(search::all))
        .route("/scim/v2/Users/.search", post(search::users))
        .route("/scim/v2/Groups/.search", post(search::groups))
        .route("/scim/v2/{*rest}", get(nothing).post(nothing).put(nothing).patch(nothing))
}

async fn nothing() -> ScimProblem {
    ScimProblem::NotFound
}

/// Which resources, and what of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wanted {
    filter: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
}

impl Wanted {
    /// How many to leave out, and how many to show.
    fn page(&self) -> (usize, usize) {
        let start = self.start_index.unwrap_or(1).max(1) - 1;
        let count = self.count.unwrap_or(100).max(0);
        let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        (size(start), size(count).min(PAGE_MAX))
    }
}

fn wanted(parts: &Parts) -> Result<Wanted, ScimProblem> {
    Ok(crate::page::query(&parts.uri)?)
}

impl Wanted {
    /// Of a request to search, which says the same in a body (RFC 7644, section 3.4.3).
    fn of_body(body: &Value) -> Result<Self, ScimError> {
        let number = |name: &str| match member(body, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(*number)),
            Some(_) => Err(ScimError::value(name, "is no number")),
        };
        let names = |name: &str| match member(body, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(names)) => {
                let names: Option<Vec<_>> = names.iter().map(Value::as_str).collect();
                let names = names.ok_or_else(|| ScimError::value(name, "is no list of texts"))?;
                Ok(Some(names.join(",")).filter(|names| !names.is_empty()))
            }
            Some(_) => Err(ScimError::value(name, "is no list of texts")),
        };
        Ok(Self {
            filter: member(body, "filter").and_then(Value::as_str).map(str::to_owned),
            start_index: number("startIndex")?,
            count: number("count")?,
            attributes: names("attributes")?,
            excluded_attributes: names("excludedAttributes")?,
        })
    }
}

/// Who may push, and whom they may change by it.
struct Pusher {
    who: Admitted,
    reach: Reach,
}

impl Pusher {
    fn id(&self) -> &IdentityId {
        &self.who.proof.identity
    }
}

async fn admitted(api: &Inner, parts: &Parts) -> Result<Pusher, ScimProblem> {
    let who = api.admit(parts, Operation::ScimProvision).await?;
    let reach = match api.may(&who, Operation::IdentitiesChangePrivileged)? {
        true => Reach::Privileged,
        false => Reach::Plain,
    };
    Ok(Pusher { who, reach })
}

/// A body in JSON.
async fn read(parts: &Parts, body: Body) -> Result<Value, ScimProblem> {
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    let json = ["application/scim+json", "application/json"];
    if !json.iter().any(|json| essence.eq_ignore_ascii_case(json)) {
        return Err(Problem::from(BodyError::NotJson).into());
    }
    let bytes = read_within(body, BODY_BYTES_MAX).await.map_err(Problem::from)?;
    let value = json::parse(&bytes).map_err(|error| ScimError::Syntax(error.to_string()))?;
    match value.as_object() {
        Some(_) => Ok(value),
        None => Err(ScimError::Syntax("it is no object".to_owned()).into()),
    }
}

/// Changes identities as they were looked at. `false` where one has changed meanwhile.
async fn replaced(
    api: &Inner,
    pusher: &Pusher,
    changes: Vec<Replacing>,
) -> Result<bool, ScimProblem> {
    allowed(api, pusher, &changes)?;
    match api.service.replace_identities(changes, pusher.id(), None).await {
        Ok(()) => Ok(true),
        Err(ReplaceError::Moved(_)) => Ok(false),
        Err(ReplaceError::Change(error)) => Err(Problem::from(error).into()),
    }
}

/// Whether whoever pushes may change all of those.
fn allowed(api: &Inner, pusher: &Pusher, changes: &[Replacing]) -> Result<(), ScimProblem> {
    for Replacing { was, is } in changes {
        let held = was.as_ref().is_some_and(|was| !was.roles.is_empty());
        let changed = was.as_ref() != Some(is);
        if changed && pusher.reach == Reach::Plain && (held || !is.roles.is_empty()) {
            api.authorize(&pusher.who, Operation::IdentitiesChangePrivileged)?;
        }
    }
    Ok(())
}

/// Too much came in between.
fn contended() -> ScimProblem {
    Problem::unavailable("others changed the same meanwhile: try again").into()
}

/// Whether a directory sees an identity.
fn is_user(identity: &Identity) -> bool {
    identity.kind == safeconduct_model::IdentityKind::User
        && identity.status != safeconduct_model::IdentityStatus::Retired
}
