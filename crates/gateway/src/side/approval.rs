//! Denials that people may set aside: what a client is told, and the tools by which it asks and
//! looks where its request stands. Waiting holds nothing: who goes away asks again later.

use std::time::Duration;

use safeconduct_model::{RecordId, Value};
use safeconduct_pep::{Asks as _, OnDenial, Refusal, Ways, request_for_agent};
use safeconduct_service::{AccessState, AccessSummary, AskAccess, AskAccessError, AskedAtOnce};

use super::Side;
use crate::approval_tools::{self, Asked, Looked};
use crate::approvals::{self, Resumed};
use crate::authority::Authority;
use crate::config::Approvals;
use crate::headers::META_CAPABILITIES;
use crate::message::Answer;
use crate::passage::Gated;
use crate::related::Related;
use crate::{action, denial, edit};

/// How long a call waits for the answer on a page that its client has just opened.
const OPENED: Duration = Duration::from_secs(25);

impl<A: Authority> Side<A> {
    /// Takes out of a call what its client gives back that was asked to open a page. Where it did,
    /// the answer of whoever sees that page is waited for, for a while; the call is decided on
    /// after that, whatever came of it.
    pub(super) async fn resumed(
        &self,
        params: &mut Option<Value>,
        related: &Related,
    ) -> Option<Resumed> {
        let resumed = approvals::take_back(params)?;
        if resumed.opened && self.own(&resumed.request).is_some() {
            tokio::select! {
                biased;
                () = related.cancelled.cancelled() => {}
                () = self.settled(&resumed.request, OPENED) => {}
            }
        }
        Some(resumed)
    }

    /// What happens where a call of this client is denied for what people may set aside.
    pub(super) fn on_denial(&self) -> OnDenial {
        match self.backend.config.approvals {
            Approvals::OnDenial => OnDenial::Ask,
            Approvals::OnRequest => OnDenial::Tell,
        }
    }

    /// The answer to a call that was denied: a page to open, where there is one for what was asked
    /// and the client can; else what everybody is told. Who has been asked to open it already is
    /// not asked at once again.
    pub(super) fn denied(
        &self,
        refusal: &Refusal,
        gated: &Gated,
        resumed: Option<&Resumed>,
    ) -> Answer {
        let request = match &refusal.asked {
            Some(AskedAtOnce::Asked(request)) => Some(&**request),
            Some(AskedAtOnce::Not(_)) | None => None,
        };
        let page = request.and_then(|request| self.page(&request.id));
        let ways = Ways { ask: approval_tools::HOW_TO_ASK, page };
        let (method, what) = (&*gated.method, &*gated.question.what);
        if let (Some(request), Some(page), None) = (request, &ways.page, resumed)
            && self.opens_pages(gated)
        {
            let text = refusal.message_for_agent(what, &ways);
            let told = denial::machine_readable(refusal, &ways);
            let asked = approvals::page_first(self.revision, method, request, page, &text, told);
            if let Some(asked) = asked {
                if let Some(session) = &self.session {
                    session.tell_when_settled(&request.id, &self.caller);
                }
                return asked;
            }
        }
        denial::denied(self.revision, method, what, refusal, &ways)
    }

    fn opens_pages(&self, gated: &Gated) -> bool {
        let params = gated.params.as_ref();
        match &self.session {
            Some(session) => approvals::opens_pages(session.capabilities()),
            // The state that a server wants back would be lost for ours.
            None if action::answers(params, &[]).is_some() => false,
            None => approvals::opens_pages(params.and_then(|p| edit::meta(p, META_CAPABILITIES))),
        }
    }

    pub(super) fn page(&self, request: &RecordId) -> Option<String> {
        approvals::page(self.inner.pages.as_deref(), request)
    }

    /// A request that this caller made: of another's nothing is told, not even that there is one.
    fn own(&self, request: &RecordId) -> Option<AccessSummary> {
        let known = self.inner.authority.access(request);
        known.filter(|known| known.asked_by == self.caller.authentication.identity)
    }

    /// Waits until a request no longer waits for answers, for that long at most, and for no longer
    /// than the caller may act.
    async fn settled(&self, request: &RecordId, most: Duration) {
        tokio::select! {
            _ = self.inner.authority.access_changed(request, AccessState::Pending) => {}
            () = tokio::time::sleep(most) => {}
            () = self.inner.ended(&self.caller.authentication) => {}
            () = self.inner.closed.cancelled() => {}
        }
    }

    /// Asks people for a call of a tool, in the words of the agent.
    pub(super) async fn request_approval(&self, arguments: &Value) -> Answer {
        let Asked { call, justification } = match Asked::read(arguments) {
            Ok(asked) => asked,
            Err(problem) => return self.not_done("arguments", &problem),
        };
        let server = &self.backend.config.name;
        let question = match action::question(server, "tools/call", Some(&call)) {
            Ok(question) => question,
            Err(fault) => return Answer::Fault(fault),
        };
        let gated = self.ask(question, "tools/call".into(), Some(call), None);
        let ask = AskAccess { check: gated.check(), justification };
        let asked = match self.inner.authority.request_access(ask).await {
            Ok(asked) => asked.request,
            Err(AskAccessError::NotRequestable { denial }) => {
                let refusal = Refusal::of(denial.into_value());
                let (method, what) = (&*gated.method, &*gated.question.what);
                return denial::denied(self.revision, method, what, &refusal, &Ways::default());
            }
            Err(AskAccessError::Unrecorded(unrecorded)) => {
                let refusal = Refusal::unrecorded(unrecorded);
                let (method, what) = (&*gated.method, &*gated.question.what);
                return denial::denied(self.revision, method, what, &refusal, &Ways::default());
            }
            Err(error) => return self.not_done(code(&error), &error.to_string()),
        };
        match self.own(&asked) {
            Some(request) => self.told_of(&request),
            None => self.not_done("unknown_request", "the request has ended already"),
        }
    }

    /// Says where a request stands, after a while where the caller can wait.
    pub(super) async fn approval_status(&self, arguments: &Value) -> Answer {
        let Looked { request, patience } = match Looked::read(arguments) {
            Ok(looked) => looked,
            Err(problem) => return self.not_done("arguments", &problem),
        };
        let known = self.own(&request).filter(|_| {
            // Who may no longer act is told nothing any more.
            self.inner.authority.stands(&self.caller.authentication)
        });
        if known.is_some() && !patience.is_zero() {
            self.settled(&request, patience).await;
        }
        match known.and_then(|_| self.own(&request)) {
            Some(request) => self.told_of(&request),
            None => {
                let text = format!("you have made no access request `{request}` that is known");
                self.not_done("unknown_request", &text)
            }
        }
    }

    fn told_of(&self, request: &AccessSummary) -> Answer {
        let page = self.page(&request.id);
        let text = match request.state {
            AccessState::Approved => format!(
                "Request {} is approved: make the very same call now. It is decided once more, and \
                 what was approved is used up with it.",
                request.id
            ),
            _ => request_for_agent(request, page.as_deref()),
        };
        self.done(text.trim_end(), approvals::told(request, page.as_deref()))
    }
}

/// The word for why nobody is asked.
const fn code(error: &AskAccessError) -> &'static str {
    match error {
        AskAccessError::NotNeeded => "not_needed",
        AskAccessError::NotRequestable { .. } => "not_requestable",
        AskAccessError::Refused(_) => "not_asked",
        AskAccessError::Justification { .. } => "arguments",
        AskAccessError::Unrecorded(_) => "not_recorded",
    }
}
