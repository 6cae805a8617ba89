//! Who asks, and whether they may: the first line of every handler.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use safeconduct_credential::TaskHandle;
use safeconduct_model::{Authentication, Identity, Method, TaskId};
use safeconduct_service::{
    AuthenticateError, ClientCertificates, NotAuthenticated, Operation, World, token_digest,
};

use crate::oauth::Presented;
use crate::problem::Problem;
use crate::refused::Denied;
use crate::router::Inner;

/// The handle of the task that the caller, or the one for whom an enforcement point asks, acts in.
pub(crate) const TASK: HeaderName = HeaderName::from_static("safeconduct-task");

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

    /// Whether the credential is for that at all. An access token is for what is done within its
    /// task: the roles of whoever holds it are not in it.
    pub(crate) fn reaches(&self, operation: Operation) -> bool {
        self.proof.method != Method::AccessToken || is_within_a_task(operation)
    }

    /// Whether the credential is for that task. An access token is for its own alone.
    pub(crate) fn reaches_task(&self, task: &TaskId) -> bool {
        self.proof.method != Method::AccessToken
            || self.proof.task.as_ref().is_some_and(|own| own.id == *task)
    }
}

const fn is_within_a_task(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::AccessEvaluate
            | Operation::AccessEvaluateBatch
            | Operation::AccessRequest
            | Operation::AccessRequestCancel
            | Operation::AccessRequestStatus
            | Operation::AccessRequestsAsk
            | Operation::AccessRequestsList
            | Operation::IntentsList
            | Operation::LeasesIssue
            | Operation::LeasesList
            | Operation::LeasesRenew
            | Operation::OutcomesReport
            | Operation::TasksBegin
            | Operation::TasksList
            | Operation::Whoami
    )
}

impl Inner {
    /// Lets a caller in who has proved who they are and may do `operation`.
    pub(crate) async fn admit(
        &self,
        parts: &Parts,
        operation: Operation,
    ) -> Result<Admitted, Problem> {
        let admitted = self.authenticated(parts).await?;
        self.authorize(&admitted, operation)?;
        Ok(admitted)
    }

    /// Lets a caller in who has proved who they are: what they may do depends on what it is done
    /// to, and the handler sees to it.
    pub(crate) async fn authenticated(&self, parts: &Parts) -> Result<Admitted, Problem> {
        self.check_doors(&parts.headers, &parts.uri)?;
        let proof = self.proof_of(parts).await?;
        Ok(Admitted { world: self.service.world(), proof })
    }

    /// The same caller in the task that the request names by its handle, or else in the one that
    /// their session is attached to.
    pub(crate) fn within_task(
        &self,
        headers: &HeaderMap,
        proof: Authentication,
    ) -> Result<Authentication, Problem> {
        let mut named = headers.get_all(TASK).iter();
        let Some(handle) = named.next() else {
            return Ok(self.service.within_attached_task(proof, None));
        };
        // Which of several is meant is not for us to guess.
        let handle = handle.to_str().ok().filter(|_| named.next().is_none());
        let handle = handle.filter(|handle| TaskHandle::is_well_formed(handle));
        let digest = handle.map(token_digest).ok_or_else(Problem::unknown_task)?;
        let own = proof.task.clone().filter(|_| proof.method == Method::AccessToken);
        let entered = self.service.enter_task(proof, &digest);
        let entered = entered.map_err(|_| Problem::unknown_task())?;
        // An access token leads into no other task than its own.
        match own.is_none() || entered.task == own {
            true => Ok(entered),
            false => Err(Problem::unknown_task()),
        }
    }

    /// Whether someone who has been let in may do this too.
    pub(crate) fn authorize(&self, who: &Admitted, operation: Operation) -> Result<(), Problem> {
        match self.may(who, operation)? {
            true => Ok(()),
            false => Err(Problem::denied(Denied { proof: who.proof.clone(), operation })),
        }
    }

    /// Whether someone may do that, by our own policies and by what their credential is for.
    pub(crate) fn may(&self, who: &Admitted, operation: Operation) -> Result<bool, Problem> {
        Ok(who.reaches(operation) && self.administration.permits(who.identity()?, operation))
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
    /// client's certificates, or by the socket that it came through.
    pub(crate) async fn proof_of(&self, parts: &Parts) -> Result<Authentication, Problem> {
        let certificates = parts.extensions.get::<ClientCertificates>();
        if !parts.headers.contains_key(AUTHORIZATION) && certificates.is_none() {
            let peer = parts.extensions.get::<Authentication>();
            return peer.cloned().ok_or_else(Problem::unauthenticated);
        }
        let presented = Presented::of(parts);
        let proved = self.service.authenticate_caller(&presented.request()).await;
        proved.map_err(|refused| match refused {
            NotAuthenticated::Registered(error @ AuthenticateError::NotRegistered(_)) => {
                Problem::new(StatusCode::FORBIDDEN, "not_registered", error.to_string())
            }
            NotAuthenticated::Registered(_) => Problem::unauthenticated(),
            refused => {
                let nonce = refused.wants_nonce().then(|| self.service.resource_dpop_nonce());
                Problem::challenged(&refused, nonce.flatten())
            }
        })
    }
}
