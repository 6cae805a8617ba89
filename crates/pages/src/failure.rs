//! What goes wrong, as a page says it.

use http::StatusCode;

use crate::requests::RequestError;
use crate::secret::NoRandomness;
use crate::webauthn::CeremonyError;

/// Why a page is not shown, or a form does nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody is signed in: they go there afterwards.
    SignIn {
        /// A path of ours.
        next: String,
    },
    /// They must sign in anew: only someone who is surely there may do this.
    Fresh {
        /// A path of ours.
        next: &'static str,
    },
    /// It says so, with that status.
    Says(StatusCode, String),
}

impl Failure {
    pub(crate) fn says(status: StatusCode, text: impl Into<String>) -> Self {
        Self::Says(status, text.into())
    }

    /// Too much of everything: nobody's fault who reads it.
    pub(crate) fn busy() -> Self {
        Self::says(StatusCode::SERVICE_UNAVAILABLE, "Too much is going on. Try again in a minute.")
    }

    /// A form that is not one of our pages', or too old.
    pub(crate) fn foreign() -> Self {
        let text = "This did not come from a page of ours that is open. Go back, load the page \
                    again, and try once more. Nothing has happened.";
        Self::says(StatusCode::FORBIDDEN, text)
    }
}

impl From<NoRandomness> for Failure {
    fn from(_: NoRandomness) -> Self {
        tracing::error!("the operating system gives no randomness");
        Self::busy()
    }
}

impl From<crate::form::NoForm> for Failure {
    fn from(_: crate::form::NoForm) -> Self {
        Self::says(StatusCode::BAD_REQUEST, "This form cannot be read. Nothing has happened.")
    }
}

impl From<CeremonyError> for Failure {
    fn from(error: CeremonyError) -> Self {
        let text = format!("{}. Nothing has happened.", sentence(&error.to_string()));
        Self::says(StatusCode::FORBIDDEN, text)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let status = match &error {
            RequestError::Unknown => StatusCode::NOT_FOUND,
            RequestError::Refused(_) => StatusCode::CONFLICT,
            RequestError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::says(status, format!("{}.", sentence(&error.to_string())))
    }
}

impl From<safeconduct_service::PasskeyError> for Failure {
    fn from(error: safeconduct_service::PasskeyError) -> Self {
        if let safeconduct_service::PasskeyError::Change(error) = &error {
            tracing::error!(%error, "a passkey could not be recorded");
            return RequestError::Unavailable.into();
        }
        Self::says(StatusCode::CONFLICT, format!("{}.", sentence(&error.to_string())))
    }
}

/// A message as a sentence begins.
pub(crate) fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
