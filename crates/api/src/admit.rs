//! Who asks, and whether they may: the first line of every handler.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use safeconduct_model::{Authentication, Identity};
use safeconduct_service::{Operation, World};

use crate::problem::Problem;
use crate::refused::Denied;
use crate::router::Inner;

/// Someone who may do what they ask for.
pub(crate) struct Admitted {
    pub(crate) proof: Authentication,
    /// The world that the caller was looked up in.
    pub(crate) world: Arc<World>,
}

impl Admitted {
    pub(crate) fn identity(&self) -> Result<&Identity, Problem> {
        self.world.identity(&self.proof.identity).ok_or_else(Problem::unauthenticated)
    }
}

impl Inner {
    /// Lets a caller in who has proved who they are and may do `operation`.
    pub(crate) fn admit(&self, parts: &Parts, operation: Operation) -> Result<Admitted, Problem> {
        self.check_doors(&parts.headers, &parts.uri)?;
        let proof = self.proof_of(parts)?;
        let admitted = Admitted { world: self.service.world(), proof };
        self.authorize(&admitted, operation)?;
        Ok(admitted)
    }

    /// Whether someone who has been let in may do this too.
    pub(crate) fn authorize(&self, who: &Admitted, operation: Operation) -> Result<(), Problem> {
        if self.administration.permits(who.identity()?, operation) {
            return Ok(());
        }
        Err(Problem::denied(Denied { proof: who.proof.clone(), operation }))
    }

    /// Turns away requests that a browser was tricked into sending.
    pub(crate) fn check_doors(&self, headers: &HeaderMap, uri: &http::Uri) -> Result<(), Problem> {
        let refused = |what: &str| {
            Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "foreign_host",
                format!("{what} is none of ours"),
            )
        };
        let host = match headers.get(HOST) {
            Some(host) => host.to_str().map_err(|_| refused("the `Host`"))?,
            // HTTP/2 has it in the target; a request without any comes from no browser.
            None => uri.authority().map_or("localhost", |authority| authority.as_str()),
        };
        if !self.doors.lets_host_in(host) {
            return Err(refused("the `Host`"));
        }
        match headers.get(ORIGIN) {
            None => Ok(()),
            Some(origin) if origin.to_str().is_ok_and(|o| self.doors.lets_origin_in(o)) => Ok(()),
            Some(_) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "the `Origin` is none of ours",
            )),
        }
    }

    /// What a request proves of its caller: by its bearer token, or, where it has none, by the
    /// socket that it came through.
    pub(crate) fn proof_of(&self, parts: &Parts) -> Result<Authentication, Problem> {
        let Some(header) = parts.headers.get(AUTHORIZATION) else {
            let peer = parts.extensions.get::<Authentication>();
            return peer.cloned().ok_or_else(Problem::unauthenticated);
        };
        let bearer = header.to_str().ok().and_then(bearer).ok_or_else(Problem::unauthenticated)?;
        self.service.authenticate(bearer).map_err(|_| Problem::unauthenticated())
    }
}

/// The token of `Bearer TOKEN` (RFC 6750 section 2.1; the scheme's case does not matter).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}
