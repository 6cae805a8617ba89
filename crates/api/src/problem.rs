//! Errors of the administration API: problem documents (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use safeconduct_model::{Reason, RecordId};
use safeconduct_service::{
    ChangeError, EndError, EraseError, NotAuthenticated, ObserveError, ReadError,
};
use safeconduct_wire::authzen::REASONS_SHOWN_MAX;
use safeconduct_wire::document::FormError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::body::BodyError;
use crate::oauth::DPOP_NONCE;
use crate::refused::Denied;

/// What the types of our own problems begin with.
const OURS: &str = "urn:safeconduct:problem:";

/// What those of the Access Request and Approval Profile begin with.
const ACCESS_REQUEST: &str = "urn:openid:authzen:access-request:error:";

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    /// What its type begins with.
    family: &'static str,
    detail: String,
    /// Whom our own policies did not permit what, where that is the problem.
    denied: Option<Box<Denied>>,
    /// What the policies in force said, where that is the problem.
    decision: Option<Box<Decided>>,
    /// What a caller without a good credential is asked for, where it is not just that.
    challenge: Option<Box<str>>,
    /// The nonce that the next proof of possession needs, where that is the problem.
    nonce: Option<Box<str>>,
}

/// A decision that is the problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    id: String,
    reasons: Vec<ProblemReason>,
}

/// A reason of a decision, as an agent may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProblemReason {
    /// A stable word for the kind of reason.
    code: &'static str,
    /// What it is, in a sentence.
    message: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemForm {
    /// `urn:safeconduct:problem:` and the code; under `/access/v1/request`
    /// `urn:openid:authzen:access-request:error:` where the profile names it.
    #[serde(rename = "type")]
    pub(crate) ty: String,
    /// The status in words.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// A stable word for the kind of problem.
    pub(crate) code: &'static str,
    /// What is wrong, and with what.
    pub(crate) detail: String,
    /// The decision that is the problem, where policies made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision_id: Option<String>,
    /// Its reasons, at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<ProblemReason>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (denied, decision, challenge, nonce) = (None, None, None, None);
        let (family, detail) = (OURS, detail.into());
        Self { status, code, family, detail, denied, decision, challenge, nonce }
    }

    /// A problem that the Access Request and Approval Profile of AuthZEN names.
    pub(crate) fn of_access_request(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { family: ACCESS_REQUEST, ..Self::new(status, code, detail) }
    }

    /// Nobody has proved who they are. Never says whether a token was once good.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "a bearer token of an active identity is needed",
        )
    }

    /// An access token, or the proof that came with it, does not hold.
    pub(crate) fn challenged(refused: &NotAuthenticated, nonce: Option<String>) -> Self {
        let (challenge, nonce) = (Some(refused.challenge().into()), nonce.map(Into::into));
        Self { challenge, nonce, ..Self::unauthenticated() }
    }

    /// Our own policies do not permit it.
    pub(crate) fn denied(denied: Denied) -> Self {
        let detail = format!(
            "identity `{}` may not do `{}`",
            denied.proof.identity,
            denied.operation.as_str()
        );
        let denied = Some(Box::new(denied));
        Self { denied, ..Self::new(StatusCode::FORBIDDEN, "forbidden", detail) }
    }

    /// The caller may do this, yet not so; what they tried is recorded as a refusal.
    pub(crate) fn refused(denied: Denied, code: &'static str, detail: String) -> Self {
        let denied = Some(Box::new(denied));
        Self { denied, ..Self::new(StatusCode::FORBIDDEN, code, detail) }
    }

    /// The policies in force say no.
    pub(crate) fn decided(id: &RecordId, reasons: &[Reason], detail: String) -> Self {
        let reasons = reasons.iter().take(REASONS_SHOWN_MAX);
        let reasons =
            reasons.map(|reason| ProblemReason { code: reason.code(), message: reason.message() });
        let decided = Decided { id: id.to_string(), reasons: reasons.collect() };
        let decision = Some(Box::new(decided));
        Self { decision, ..Self::new(StatusCode::FORBIDDEN, "denied", detail) }
    }

    /// Never says whether there once was a task of that handle, or whose it is.
    pub(crate) fn unknown_task() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unknown_task", "no task of that handle is known")
    }

    pub(crate) fn not_found(what: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("no {what} `{name}` is known"))
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let form = ProblemForm {
            ty: format!("{}{}", self.family, self.code),
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            decision_id: self.decision.as_ref().map(|decided| decided.id.clone()),
            reasons: self.decision.map(|decided| decided.reasons).unwrap_or_default(),
        };
        let mut response = (self.status, axum::Json(form)).into_response();
        if let Some(denied) = self.denied {
            response.extensions_mut().insert(*denied);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = self.challenge.and_then(|text| HeaderValue::from_str(&text).ok());
            headers.insert(WWW_AUTHENTICATE, challenge.unwrap_or(CHALLENGE));
            let nonce = self.nonce.and_then(|text| HeaderValue::from_str(&text).ok());
            headers.extend(nonce.map(|nonce| (DPOP_NONCE, nonce)));
        }
        response
    }
}

/// What a caller without a good token is asked for (RFC 6750).
pub(crate) const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"safeconduct\"");

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let (status, code) = match error {
            BodyError::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
            BodyError::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "too_long"),
            BodyError::Broken => (StatusCode::BAD_REQUEST, "broken_body"),
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let detail = error.to_string();
        match error {
            ChangeError::UnknownIdentity(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_identity", detail)
            }
            ChangeError::UnknownToken(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_token", detail)
            }
            ChangeError::UnknownIntent(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_intent", detail)
            }
            ChangeError::UnknownDelegation(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_delegation", detail)
            }
            ChangeError::NotKilled => Self::new(StatusCode::CONFLICT, "not_killed", detail),
            ChangeError::NoOwner(_) => Self::new(StatusCode::BAD_REQUEST, "no_owner", detail),
            ChangeError::Name(_) => Self::invalid(detail),
            ChangeError::OverLimit { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "over_limit", detail)
            }
            ChangeError::Submit(_) | ChangeError::Append(_) | ChangeError::Record(_) => {
                Self::not_recorded(&detail)
            }
        }
    }
}

impl From<ObserveError> for Problem {
    fn from(error: ObserveError) -> Self {
        let detail = error.to_string();
        match error {
            // Never says whether another enforcement point's permit of that id exists.
            ObserveError::NotPending(_) => Self::new(StatusCode::NOT_FOUND, "not_pending", detail),
            ObserveError::Submit(_) | ObserveError::Append(_) | ObserveError::Record(_) => {
                Self::not_recorded(&detail)
            }
        }
    }
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        let detail = error.to_string();
        match error {
            EraseError::TaskLives(_) => Self::new(StatusCode::CONFLICT, "task_lives", detail),
            EraseError::UnknownSession(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_session", detail)
            }
            EraseError::Submit(_) | EraseError::Append(_) | EraseError::Record(_) => {
                Self::not_recorded(&detail)
            }
        }
    }
}

impl From<EndError> for Problem {
    fn from(error: EndError) -> Self {
        let detail = error.to_string();
        match error {
            EndError::UnknownTask(_) => Self::new(StatusCode::NOT_FOUND, "unknown_task", detail),
            EndError::Submit(_) | EndError::Append(_) | EndError::Record(_) => {
                Self::not_recorded(&detail)
            }
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "the read model failed");
        Self::unavailable("the read model cannot be read; the ledger is not touched by it")
    }
}

impl Problem {
    /// Our fault: what the disk says is for the operators' log.
    pub(crate) fn not_recorded(detail: &str) -> Self {
        tracing::error!(problem = detail, "a change could not be recorded");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_recorded",
            "the change could not be recorded, so it was not made",
        )
    }
}
