//! How a resource is answered, and what is wrong with a request.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use safeconduct_model::Value;
use safeconduct_service::RecordReviewsError;
use safeconduct_wire::json;
use safeconduct_wire::scim::{ERROR, LIST, ScimError, selected};
use sha2::{Digest as _, Sha256};

use super::{ROOT, Wanted};
use crate::problem::Problem;

const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");

/// Why a request of a directory was not done.
pub(super) enum ScimProblem {
    /// What it sent.
    Scim(ScimError),
    /// There is no such resource.
    NotFound,
    /// The resource is not as the directory thinks (`If-Match`).
    NotAsThought,
    /// Anything that can be wrong elsewhere too.
    Api(Box<Problem>),
}

impl From<ScimError> for ScimProblem {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl From<Problem> for ScimProblem {
    fn from(problem: Problem) -> Self {
        Self::Api(Box::new(problem))
    }
}

impl From<RecordReviewsError> for ScimProblem {
    fn from(error: RecordReviewsError) -> Self {
        match error {
            RecordReviewsError::TooMany => {
                let (status, detail) =
                    (StatusCode::INSUFFICIENT_STORAGE, "there are too many groups");
                Problem::new(status, "over_limit", detail).into()
            }
            error => Problem::not_recorded(&error.to_string()).into(),
        }
    }
}

impl IntoResponse for ScimProblem {
    fn into_response(self) -> Response {
        let (status, kind, detail, response) = match self {
            Self::Scim(error) => {
                let status = match error {
                    ScimError::Uniqueness(_) => StatusCode::CONFLICT,
                    _ => StatusCode::BAD_REQUEST,
                };
                (status, Some(error.kind()), error.to_string(), None)
            }
            Self::NotFound => {
                (StatusCode::NOT_FOUND, None, "there is no such resource".to_owned(), None)
            }
            Self::NotAsThought => {
                let detail = "the resource is not of that version".to_owned();
                (StatusCode::PRECONDITION_FAILED, None, detail, None)
            }
            Self::Api(problem) => {
                let (status, detail) = (problem.status(), problem.detail().to_owned());
                let kind = (status == StatusCode::BAD_REQUEST).then_some("invalidValue");
                (status, kind, detail, Some(problem.into_response()))
            }
        };
        let mut members = vec![
            ("schemas", Value::Array(vec![Value::from(ERROR)])),
            ("status", Value::from(status.as_str())),
            ("detail", Value::from(detail)),
        ];
        members.extend(kind.map(|kind| ("scimType", Value::from(kind))));
        let body = Body::from(json::to_bytes(&Value::object(members)));
        // Its headers and who was refused what stay with it.
        let mut response = response.unwrap_or_else(|| status.into_response());
        *response.body_mut() = body;
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().insert(CONTENT_TYPE, SCIM_JSON);
        response
    }
}

/// A resource: what it says, of which kind, and what it is called.
pub(super) struct Resource {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) members: Vec<(&'static str, Value)>,
}

impl Resource {
    /// What changes when anything of it does.
    pub(super) fn version(&self) -> String {
        let bytes = json::to_bytes(&self.value());
        let digest = Sha256::digest(&bytes);
        let digits: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("W/\"{digits}\"")
    }

    /// Without what is told of it.
    pub(super) fn value(&self) -> Value {
        let own = [("id", Value::from(self.id.as_str()))];
        Value::object(own.into_iter().chain(self.members.iter().cloned()))
    }

    fn location(&self, base_url: &str) -> String {
        format!("{base_url}{ROOT}/{}s/{}", self.kind, self.id)
    }

    fn shown(&self, base_url: &str, wanted: &Wanted) -> Value {
        let meta = Value::object([
            ("resourceType", Value::from(self.kind)),
            ("location", Value::from(self.location(base_url))),
            ("version", Value::from(self.version())),
        ]);
        let Value::Object(mut members) = self.value() else { return Value::Null };
        members.insert("meta".into(), meta);
        let (some, others) = (&wanted.attributes, &wanted.excluded_attributes);
        selected(Value::Object(members), some.as_deref(), others.as_deref())
    }

    /// The answer with it.
    pub(super) fn answer(&self, status: StatusCode, base_url: &str, wanted: &Wanted) -> Response {
        let mut response = scim(status, &self.shown(base_url, wanted));
        let headers = response.headers_mut();
        let text = |text: String| HeaderValue::from_str(&text).ok();
        headers.extend(text(self.version()).map(|version| (ETAG, version)));
        headers.extend(text(self.location(base_url)).map(|at| (LOCATION, at)));
        response
    }

    /// Whether the one who asks has it as it is (`If-None-Match`).
    pub(super) fn is_known(&self, parts: &Parts) -> bool {
        listed(&parts.headers, IF_NONE_MATCH).is_some_and(|list| self.is_among(&list))
    }

    /// Whether the one who changes it has seen it as it is, where they say so (`If-Match`).
    pub(super) fn is_as_thought(&self, parts: &Parts) -> Result<(), ScimProblem> {
        match listed(&parts.headers, IF_MATCH) {
            Some(list) if !self.is_among(&list) => Err(ScimProblem::NotAsThought),
            _ => Ok(()),
        }
    }

    fn is_among(&self, list: &str) -> bool {
        let version = self.version();
        let opaque = version.trim_start_matches("W/");
        let named = |tag: &str| tag == "*" || tag.trim_start_matches("W/") == opaque;
        list.split(',').map(str::trim).any(named)
    }
}

fn listed(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let all: Vec<_> = headers.get_all(name).iter().filter_map(|text| text.to_str().ok()).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// A page of resources. `total` counts all that fit.
pub(super) fn list(page: &[Resource], total: usize, base_url: &str, wanted: &Wanted) -> Response {
    let number = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let (skipped, _) = wanted.page();
    let resources = page.iter().map(|resource| resource.shown(base_url, wanted)).collect();
    scim(
        StatusCode::OK,
        &Value::object([
            ("schemas", Value::Array(vec![Value::from(LIST)])),
            ("totalResults", number(total)),
            ("itemsPerPage", number(page.len())),
            ("startIndex", number(skipped.saturating_add(1))),
            ("Resources", Value::Array(resources)),
        ]),
    )
}

/// An answer in JSON.
pub(super) fn scim(status: StatusCode, value: &Value) -> Response {
    (status, [(CONTENT_TYPE, SCIM_JSON)], json::to_bytes(value)).into_response()
}
