//! Use-case: who presents this credential with a request to one of our own edges.

use std::sync::Arc;

use safeconduct_credential::jose::{self, JoseError};
use safeconduct_credential::token::{
    AccessToken, ClaimsError, Fault, FaultCode, claims_to_be_checked,
};
use safeconduct_model::{
    Assurance, Authentication, IdentityId, IdentityStatus, Method, SessionKey, TaskRef, Timestamp,
};
use thiserror::Error;

use crate::access_tokens::Desk;
use crate::late::Late;
use crate::line::Line;
use crate::{AuthenticateError, ClientRequest, Service, token_digest};

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

    /// Whether the same request with a proof over the server's nonce may do.
    pub const fn wants_nonce(&self) -> bool {
        matches!(self, Self::Proof(Fault { code: FaultCode::UseDpopNonce, .. }))
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
        if token.is_empty() {
            return Err(NotAuthenticated::Nothing);
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(self.authenticate_bearer(token, request.holds(None)).await?);
        }
        if scheme.eq_ignore_ascii_case("dpop") {
            return self.authenticate_bound(token, request).await;
        }
        Err(NotAuthenticated::Nothing)
    }

    /// Who calls, by whatever they present: by the credential of the request, or, where it has
    /// none, by the client's certificates. A credential that does not hold is not made up for by
    /// a certificate that does.
    ///
    /// # Errors
    /// [`NotAuthenticated`].
    pub async fn authenticate_caller(
        &self,
        request: &ClientRequest<'_>,
    ) -> Result<Authentication, NotAuthenticated> {
        match request.peer {
            Some(peer) if request.authorization.is_empty() => {
                Ok(self.authenticate_certificates(peer).await?)
            }
            _ => self.authenticate_request(request).await,
        }
    }

    /// Who presents a trusted issuer's token that is bound to a key, with a proof of that key
    /// (RFC 9449 section 7.1). Without an address of our own in the configuration no proof can be
    /// for it.
    async fn authenticate_bound(
        &self,
        token: &str,
        request: &ClientRequest<'_>,
    ) -> Result<Authentication, NotAuthenticated> {
        let desk = self.desk().ok_or(NotAuthenticated::Nothing)?;
        let now = self.clock.now();
        // What is bound to nothing proves nothing by a proof. What it says is checked below.
        let said = claims_to_be_checked(token);
        let bound = said.as_ref().and_then(|said| said.member("cnf")?.member("jkt"));
        if bound.is_none() {
            return Err(TokenRefused::NotHeld.into());
        }
        let proof = desk.dpop(request, Some(token), now)?.ok_or_else(no_proof)?;
        let caller = self.authenticate_bearer(token, request.holds(Some(proof.jkt))).await?;
        desk.use_dpop(&proof, &caller.identity, now)?;
        Ok(caller)
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
                Some(desk.dpop(request, Some(text), now)?.ok_or_else(no_proof)?)
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
                self.record_late(&token.task, &token.client, &token.id, Late::Entry);
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
                desk.remember(digest, &token, &keys, now);
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
}

fn no_proof() -> Fault {
    Fault::new(FaultCode::InvalidDpopProof, "exactly one `DPoP` header is needed")
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
