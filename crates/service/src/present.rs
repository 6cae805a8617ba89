//! Use-case: who presents this credential with a request to one of our own edges.

use std::sync::Arc;

use safeconduct_credential::jose::{self, JoseError};
use safeconduct_credential::token::{AccessToken, ClaimsError, Fault, FaultCode};
use safeconduct_model::{
    Assurance, Authentication, Body, IdentityId, IdentityStatus, Method, Record, SessionKey,
    TaskId, TaskRef, Timestamp,
};
use thiserror::Error;

use crate::access_tokens::Desk;
use crate::line::Line;
use crate::{AuthenticateError, ClientRequest, Entry, Proposal, Service, token_digest};

/// Why a request's credential proves nothing. The holder learns no more than [`NotAuthenticated::error`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAuthenticated {
    /// There is none, or more than one.
    #[error("exactly one credential of a known scheme is needed")]
    Nothing,
    /// It is no registered token that holds.
    #[error(transparent)]
    Registered(#[from] AuthenticateError),
    /// It is no access token that holds.
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// The proof of possession does not hold.
    #[error(transparent)]
    Proof(#[from] Fault),
}

/// Why an access token is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenRefused {
    /// It was not signed by us, or not as it must be.
    #[error(transparent)]
    Jose(#[from] JoseError),
    /// It does not say what ours say.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// It is for another resource.
    #[error("the access token is for another resource")]
    OtherResource,
    /// It was taken back, or no record says that it was issued.
    #[error("the access token is not alive")]
    NotAlive,
    /// It is bound to what the presenter did not prove to hold, or was presented as another kind.
    #[error("the access token is bound to what was not proved")]
    NotHeld,
    /// Its task has ended.
    #[error("the access token's task has ended")]
    TaskEnded,
    /// Its agent or its user may not act.
    #[error("the access token's agent or user was stopped")]
    Stopped,
}

impl NotAuthenticated {
    /// The scheme of the challenge.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Proof(_) => "DPoP",
            Self::Nothing | Self::Registered(_) | Self::Token(_) => "Bearer",
        }
    }

    /// The `error` of the challenge (RFC 6750 section 3.1, RFC 9449 section 7.1); none where
    /// nothing was presented.
    pub const fn error(&self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Proof(fault) => Some(fault.code.as_str()),
            Self::Registered(_) | Self::Token(_) => Some("invalid_token"),
        }
    }

    /// The whole challenge, for `WWW-Authenticate`.
    pub fn challenge(&self) -> String {
        let mut challenge = format!("{} realm=\"safeconduct\"", self.scheme());
        if let Some(error) = self.error() {
            challenge.push_str(&format!(", error=\"{error}\""));
        }
        if matches!(self, Self::Proof(_)) {
            let names: Vec<_> = crate::CLIENT_ALGORITHMS.iter().map(|a| a.as_str()).collect();
            challenge.push_str(&format!(", algs=\"{}\"", names.join(" ")));
        }
        challenge
    }
}

impl Service {
    /// Who presents the credential of a request to this server: a registered token, one of a
    /// trusted issuer, or an access token of ours for the resource that was asked, with its proof
    /// of possession.
    ///
    /// # Errors
    /// [`NotAuthenticated`].
    pub async fn authenticate_request(
        &self,
        request: &ClientRequest<'_>,
    ) -> Result<Authentication, NotAuthenticated> {
        let [header] = request.authorization else { return Err(NotAuthenticated::Nothing) };
        let (scheme, token) = header.split_once(' ').ok_or(NotAuthenticated::Nothing)?;
        let token = token.trim_matches(' ');
        if let Some(own) = self.authenticate_own_token(request) {
            return own;
        }
        if token.is_empty() || !scheme.eq_ignore_ascii_case("bearer") {
            return Err(NotAuthenticated::Nothing);
        }
        Ok(self.authenticate_bearer(token, request.holds(None)).await?)
    }

    /// Who presents an access token of ours; `None` where the request's one credential is
    /// something else, or it has not exactly one. It never waits.
    pub fn authenticate_own_token(
        &self,
        request: &ClientRequest<'_>,
    ) -> Option<Result<Authentication, NotAuthenticated>> {
        let [header] = request.authorization else { return None };
        let (scheme, token) = header.split_once(' ')?;
        let token = token.trim_matches(' ');
        let presented = match scheme {
            scheme if scheme.eq_ignore_ascii_case("bearer") => Presented::AsBearer,
            scheme if scheme.eq_ignore_ascii_case("dpop") => Presented::WithProof,
            _ => return None,
        };
        let desk = self.desk().filter(|desk| desk.knows(token))?;
        Some(self.authenticate_access_token(&desk, token, presented, request))
    }

    /// Whether a proof is by an access token for less than its task may do. Such a one gets no
    /// leases: they are of the task, and would be a way around the token.
    pub fn is_narrowed(&self, proof: &Authentication) -> bool {
        let Some(task) = proof.task.as_ref().filter(|_| proof.method == Method::AccessToken) else {
            return false;
        };
        let Some(whole) = self.mandate(&task.id) else { return true };
        let narrowed = self.access.narrowed(&proof.token, &task.id, &whole, self.clock.now());
        narrowed.is_none_or(|narrowed| narrowed != whole)
    }

    fn authenticate_access_token(
        &self,
        desk: &Desk,
        text: &str,
        presented: Presented,
        request: &ClientRequest<'_>,
    ) -> Result<Authentication, NotAuthenticated> {
        let now = self.clock.now();
        let token = self.own_token(desk, text, now)?;
        if !covers(&token.audience, &desk.settings.issuer, request.path) {
            return Err(TokenRefused::OtherResource.into());
        }
        let bound = token.confirmation.jkt.is_some();
        let proof = match (presented, bound) {
            (Presented::AsBearer, false) => None,
            (Presented::WithProof, true) => {
                let proof = desk.dpop(request, Some(text), now)?;
                let missing = || {
                    let says = "exactly one `DPoP` header is needed";
                    Fault::new(FaultCode::InvalidDpopProof, says)
                };
                Some(proof.ok_or_else(missing)?)
            }
            // A bound token is no bearer token, and a bearer token proves nothing by a proof.
            _ => return Err(TokenRefused::NotHeld.into()),
        };
        if !token.confirmation.is_met_by(proof.as_ref().map(|proof| proof.jkt), request.x5t()) {
            return Err(TokenRefused::NotHeld.into());
        }
        if let Some(proof) = &proof {
            desk.use_dpop(proof, &token.client, now)?;
        }
        if let Err(refused) = self.still_stands(&token, now) {
            if refused == TokenRefused::TaskEnded {
                self.record_late_use(&token, now);
            }
            return Err(refused.into());
        }
        self.access.presented(&token);
        Ok(Authentication {
            identity: token.client.clone(),
            token: token.id.clone(),
            method: Method::AccessToken,
            assurance: match token.confirmation.is_bearer() {
                true => Assurance::Low,
                false => Assurance::Substantial,
            },
            at: token.issued_at,
            expires_at: Some(token.expires_at),
            task: Some(TaskRef { id: token.task.clone(), agent: token.client.clone() }),
        })
    }

    /// A token that we signed and whose time is not over, whatever it is for. Its signature is
    /// checked once.
    pub(crate) fn own_token(
        &self,
        desk: &Desk,
        text: &str,
        now: Timestamp,
    ) -> Result<Arc<AccessToken>, TokenRefused> {
        if text.len() > jose::TOKEN_BYTES_MAX {
            return Err(JoseError::TooLong { limit: jose::TOKEN_BYTES_MAX }.into());
        }
        let digest = token_digest(text);
        let token = match desk.recall(&digest) {
            Some(token) => token,
            None => {
                let keys = desk.signing();
                let verified = jose::verify(text, &desk.expect, &keys.published, now)?;
                let token = Arc::new(AccessToken::read(&verified)?);
                desk.remember(digest, &token, now);
                token
            }
        };
        if now >= token.expires_at {
            return Err(TokenRefused::Expired);
        }
        Ok(token)
    }

    /// Whether a token is alive now, with everything that it rests on.
    pub(crate) fn still_stands(
        &self,
        token: &AccessToken,
        now: Timestamp,
    ) -> Result<(), TokenRefused> {
        if !self.access.is_alive(&token.id, now) {
            return Err(TokenRefused::NotAlive);
        }
        self.end_if_overdue(&token.task);
        let line = self.line(&token.task).ok_or(TokenRefused::TaskEnded)?;
        if line.ended.is_some() {
            return Err(TokenRefused::TaskEnded);
        }
        let world = self.world();
        let active = |id: &IdentityId| {
            world.identity(id).is_some_and(|known| known.status == IdentityStatus::Active)
        };
        let task = &line.task;
        let key = SessionKey::task(task.agent.clone(), task.id.clone());
        let stands = task.agent == token.client
            && active(&task.agent)
            && task.on_behalf_of.as_ref().is_none_or(active)
            && world.killed(&key).is_none();
        if stands { Ok(()) } else { Err(TokenRefused::Stopped) }
    }

    /// A line as a proof sees it: one by an access token goes no further than the token.
    pub(crate) fn as_presented(&self, proof: &Authentication, line: Line) -> Line {
        if proof.method != Method::AccessToken {
            return line;
        }
        let now = self.clock.now();
        let whole = line.mandate.as_ref();
        let narrowed =
            whole.and_then(|whole| self.access.narrowed(&proof.token, &line.task.id, whole, now));
        Line { mandate: narrowed, ..line }
    }

    /// Whether a proof by an access token stands still; of others nothing is said here.
    pub(crate) fn access_token_stands(&self, proof: &Authentication, at: Timestamp) -> bool {
        proof.method != Method::AccessToken || self.access.is_alive(&proof.token, at)
    }

    /// Records that a token was used after the end of its task. Nobody waits for it.
    fn record_late_use(&self, token: &AccessToken, now: Timestamp) {
        let record = Record {
            id: self.ids.record("rec"),
            at: now,
            trace: None,
            parent: None,
            body: Body::UsedAfterEnd {
                task: self.ended_of(&token.task),
                identity: token.client.clone(),
                token: token.id.clone(),
                action: None,
            },
        };
        let queued = safeconduct_ledger::encode(&record).map(|leaf| {
            let entries = vec![Entry { leaf, attachment: None }];
            self.ledger.submit(Proposal { entries, reads: Vec::new(), writes: Vec::new() })
        });
        match queued {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "a late use could not be recorded"),
            Err(error) => tracing::error!(%error, "a late use could not be recorded"),
        }
    }

    /// The task itself, or the nearest one above it, that has ended.
    fn ended_of(&self, task: &TaskId) -> TaskId {
        let line = self.line(task);
        line.and_then(|line| line.ended).map_or_else(|| task.clone(), |(ended, _)| ended)
    }
}

/// How a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presented {
    AsBearer,
    WithProof,
}

/// Whether a resource is, or holds, what lies at that path of this server. The address is the
/// configured one, never what a request says that it was sent to.
fn covers(resource: &str, base: &str, path: &str) -> bool {
    let Some(within) = resource.strip_suffix('/').unwrap_or(resource).strip_prefix(base) else {
        return false;
    };
    path.strip_prefix(within).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_resource_holds_its_own_paths_only() {
        let base = "https://sc.example";
        for (resource, path) in [
            ("https://sc.example", "/v1/tasks"),
            ("https://sc.example/", "/mcp/crm"),
            ("https://sc.example/mcp/crm", "/mcp/crm"),
            ("https://sc.example/mcp", "/mcp/crm"),
            ("https://sc.example/mcp/", "/mcp/crm"),
        ] {
            assert!(covers(resource, base, path), "{resource} {path}");
        }
        for (resource, path) in [
            ("https://sc.example/mcp/crm", "/mcp/crm2"),
            ("https://sc.example/mcp/crm", "/mcp"),
            ("https://sc.example/mcp/crm", "/mcp/%63rm"),
            ("https://sc.example.evil", "/v1"),
            ("https://crm.example", "/v1"),
            ("https://sc.example:443", "/v1"),
            ("http://sc.example", "/v1"),
        ] {
            assert!(!covers(resource, base, path), "{resource} {path}");
        }
    }
}
