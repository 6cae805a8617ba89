//! What this decision point offers: `GET /.well-known/authzen-configuration` (section 9).

use schemars::JsonSchema;
use serde::Serialize;

/// The capability of taking requests for what was denied.
pub const ACCESS_REQUEST_CAPABILITY: &str = "urn:openid:authzen:capability:access-request";

/// The metadata document. An endpoint that is absent is not supported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Metadata {
    /// The decision point's identifier: the URL by which it was asked.
    pub policy_decision_point: String,
    /// Where one question is asked.
    pub access_evaluation_endpoint: String,
    /// Where many are.
    pub access_evaluations_endpoint: String,
    /// Where it is searched for those who may do something.
    pub search_subject_endpoint: String,
    /// Where it is searched for what something may be done to.
    pub search_resource_endpoint: String,
    /// Where it is searched for what may be done.
    pub search_action_endpoint: String,
    /// Where access is requested that was denied (Access Request and Approval Profile).
    pub access_request_endpoint: String,
    /// What else it can do, as URNs.
    pub capabilities: Vec<String>,
}

impl Metadata {
    /// The document of the decision point at that base URL; a `/` at its end is dropped.
    pub fn at(base: &str) -> Self {
        let base = base.trim_end_matches('/');
        Self {
            policy_decision_point: base.to_owned(),
            access_evaluation_endpoint: format!("{base}/access/v1/evaluation"),
            access_evaluations_endpoint: format!("{base}/access/v1/evaluations"),
            search_subject_endpoint: format!("{base}/access/v1/search/subject"),
            search_resource_endpoint: format!("{base}/access/v1/search/resource"),
            search_action_endpoint: format!("{base}/access/v1/search/action"),
            access_request_endpoint: format!("{base}/access/v1/request"),
            capabilities: vec![ACCESS_REQUEST_CAPABILITY.to_owned()],
        }
    }
}
