//! What the OAuth endpoints take and answer, for the description alone: the forms are read by crate
//! `credential`, and what is not said here is said by the RFCs.
#![expect(dead_code, reason = "nobody makes these: they only describe")]

use std::collections::BTreeMap;

use serde_json::Value as Json;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// A request for an access token. Which parameters it needs depends on `grant_type`; what is not
/// known is ignored.
#[derive(ToSchema)]
pub(crate) struct TokenForm {
    /// `urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693),
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523), or `client_credentials` (RFC 6749).
    grant_type: String,
    /// The resource that the token is for (RFC 8707); `audience` means the same.
    resource: String,
    /// Names of actions, or `task` for all that the task may do there.
    scope: Option<String>,
    /// JSON (RFC 9396): `safeconduct_task` names the intent of a task to be begun,
    /// `safeconduct_action` what of its authority is wanted.
    authorization_details: Option<String>,
    /// For token exchange: the handle of a task, an access token, or the token of a user.
    subject_token: Option<String>,
    /// What the subject token is; `urn:safeconduct:token-type:task-handle` for a handle.
    subject_token_type: Option<String>,
    /// A token of the client's own.
    actor_token: Option<String>,
    /// What the actor token is.
    actor_token_type: Option<String>,
    /// For JWT bearer: the assertion of a trusted issuer.
    assertion: Option<String>,
    /// The client: needed where it proves itself by a certificate.
    client_id: Option<String>,
    /// The client's proof, where it is a signed token.
    client_assertion: Option<String>,
    /// What it is: `urn:ietf:params:oauth:client-assertion-type:jwt-bearer` or `…:jwt-spiffe`.
    client_assertion_type: Option<String>,
}

/// Which token. How the client proves itself is as at the token endpoint.
#[derive(ToSchema)]
pub(crate) struct OneToken {
    /// Its text.
    token: String,
    /// A hint, which is not needed.
    token_type_hint: Option<String>,
}

/// An access token (RFC 6749 section 5.1, RFC 8693 section 2.2.1).
#[derive(ToSchema)]
pub(crate) struct TokenAnswer {
    /// Its text: a JWT (RFC 9068).
    access_token: String,
    /// `urn:ietf:params:oauth:token-type:access_token`.
    issued_token_type: String,
    /// How it is presented: `Bearer` or `DPoP`.
    token_type: String,
    /// For how many seconds it holds: 300 at most, and never past its task.
    expires_in: i64,
    /// What may be done with it (RFC 9396).
    authorization_details: Vec<BTreeMap<String, Json>>,
    /// The scope, where one was asked.
    scope: Option<String>,
    /// Its task.
    task: String,
    /// The handle of that task, where this request began it; shown in this answer and never again.
    task_handle: Option<String>,
}

/// What is to be known of a token (RFC 7662 section 2.2). Of one that is not alive, or not for the
/// caller to know of, `active` alone.
#[derive(ToSchema)]
pub(crate) struct Introspected {
    /// Whether it, its task and everybody in it are alive.
    active: bool,
    /// Its claims.
    #[schema(additional_properties)]
    claims: BTreeMap<String, Json>,
}

/// Metadata of the authorization server (RFC 8414 section 2).
#[derive(ToSchema)]
pub(crate) struct ServerMetadata {
    /// Its identifier.
    issuer: String,
    /// Where tokens are issued.
    token_endpoint: String,
    /// Where the keys are.
    jwks_uri: String,
}

/// A JWK Set (RFC 7517).
#[derive(ToSchema)]
pub(crate) struct PublishedKeys {
    /// The public keys.
    keys: Vec<BTreeMap<String, Json>>,
}

/// An error (RFC 6749 section 5.2).
#[derive(ToSchema)]
#[schema(as = OauthError)]
pub(crate) struct OauthError {
    /// A registered word.
    error: String,
    /// What is wrong.
    error_description: String,
}

/// What every endpoint that reads a form answers to one that it cannot use.
pub(crate) struct RefusedForm;

impl IntoResponses for RefusedForm {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let answers = [
            (
                "400",
                "The request is refused in a registered word, such as `invalid_target`, `invalid_scope`, `invalid_grant`, `invalid_dpop_proof`, `use_dpop_nonce`",
            ),
            ("401", "The client did not prove who it is: `invalid_client`"),
            ("503", "It could not be recorded, so it was not done: `temporarily_unavailable`"),
        ];
        let described = |(status, description): (&str, &str)| {
            let schema = Ref::from_schema_name(OauthError::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response = ResponseBuilder::new().description(description);
            let response = response.content("application/json", content).build();
            (status.to_owned(), RefOr::T(response))
        };
        answers.into_iter().map(described).collect()
    }
}
