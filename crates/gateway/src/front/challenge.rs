//! What a caller is asked for who has not proved who they are (RFC 6750 section 3, RFC 9449
//! section 7.1, RFC 9728 section 5.1).

use axum::response::Response;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};
use safeconduct_service::{NotAuthenticated, TokenRefused};

use super::resource::ProtectedResource;
use super::response::refusal;
use crate::message::{Fault, INVALID_REQUEST};

/// The header of a nonce for the next proof (RFC 9449 section 8.1).
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Who asks for a credential.
pub(super) struct Asking<'a> {
    /// How the gateway describes itself, where it does.
    pub(super) resource: Option<&'a ProtectedResource>,
    /// The name of the upstream that was called, as the request has it.
    pub(super) server: &'a str,
}

impl Asking<'_> {
    /// Asks again for a credential; `nonce` is for the next proof, where one is needed.
    pub(super) fn anew(&self, refused: &NotAuthenticated, nonce: Option<String>) -> Response {
        let fault = Fault::new(INVALID_REQUEST, "a valid credential is needed");
        let mut response = refusal(StatusCode::UNAUTHORIZED, None, &fault);
        for challenge in self.challenges(refused) {
            if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                response.headers_mut().append(WWW_AUTHENTICATE, challenge);
            }
        }
        if refused.wants_nonce() {
            with_nonce(&mut response, nonce);
        }
        response
    }

    /// One for each scheme that may do. The first is for those who read one only.
    fn challenges(&self, refused: &NotAuthenticated) -> Vec<String> {
        let lead = self.resource.map(|resource| resource.challenge(self.server));
        let lead = lead.unwrap_or_default();
        let error = refused.error().map(|error| format!(", error=\"{error}\""));
        let error = error.unwrap_or_default();
        let algorithms = self.resource.and_then(ProtectedResource::dpop_algorithms);
        let with_proof = |error: &str| {
            let algorithms = algorithms.as_ref()?;
            Some(format!("DPoP realm=\"safeconduct\"{error}, algs=\"{algorithms}\"{lead}"))
        };
        let bearer = || format!("Bearer realm=\"safeconduct\"{error}{lead}");
        match refused {
            // It is the proof that is asked for, and nothing less will do.
            NotAuthenticated::Proof(_) => {
                let plain = || format!("{}{lead}", refused.challenge());
                vec![with_proof(&error).unwrap_or_else(plain)]
            }
            NotAuthenticated::Token(TokenRefused::NotHeld) => {
                [Some(bearer()), with_proof(&error)].into_iter().flatten().collect()
            }
            NotAuthenticated::Nothing
            | NotAuthenticated::Registered(_)
            | NotAuthenticated::Token(_) => {
                [Some(bearer()), with_proof("")].into_iter().flatten().collect()
            }
        }
    }
}

/// Hands out a nonce for the next proof.
pub(super) fn with_nonce(response: &mut Response, nonce: Option<String>) {
    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
}
