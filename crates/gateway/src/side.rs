//! A client's requests: what the table says happens to each, up to the reply.

use std::future::Future;
use std::sync::Arc;

use http::HeaderMap;
use safeconduct_model::{Mode, RecordId, SessionName, TraceId, Value};
use safeconduct_pep::{OnDenial, Ways};

use crate::action;
use crate::authority::Authority;
use crate::backend::{Backend, Ready};
use crate::gateway::Inner;
use crate::message::{
    Answer, Fault, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Request,
};
use crate::methods::{Direction, Form, List, Rule, Why, classify};
use crate::passage::{Gated, Passage};
use crate::related::Related;
use crate::reply::Reply;
use crate::revision::Era;
use crate::session::{Caller, ClientSession};
use crate::upstream::{Answered, LinkError, Listing, OpenError, Patience};
use crate::{Revision, denial, edit, headers, hearing, listing, task_tools, translate};

mod approval;
mod asked;
mod listen;
mod perform;
mod task;

/// Whoever asks: the client's side of a request.
pub(crate) struct Side<A: Authority> {
    pub(crate) inner: Arc<Inner<A>>,
    pub(crate) backend: Arc<Backend>,
    /// Who asks. Lists go by what they have named, so that a task that is merely attached to a
    /// session does not make them vary.
    pub(crate) caller: Caller,
    /// What the client speaks.
    pub(crate) revision: Revision,
    /// Its session, in revisions that have them.
    pub(crate) session: Option<Arc<ClientSession<A>>>,
    pub(crate) session_name: Option<SessionName>,
    pub(crate) trace: Option<TraceId>,
}

impl<A: Authority> Side<A> {
    /// Answers a request. `mirrored` are the headers that came with it, where they count.
    pub(crate) async fn answer(
        &self,
        request: Request,
        mirrored: Option<&HeaderMap>,
        related: &Arc<Related>,
    ) -> Reply {
        let rule = classify(Direction::ToServer, Form::Request, self.revision, &request.method);
        if let Rule::Refused(why) = rule {
            tracing::info!(server = %self.backend.config.name, method = &*request.method, ?why, "refused");
            return refused(&request.method, why).into();
        }
        if let Some(probing) = &related.probing {
            return self.probed(rule, request, probing);
        }
        if &*request.method == "tools/call"
            && let Some(reply) = self.own_tool(&request).await
        {
            return reply;
        }
        if !self.inner.authority.stands(&self.caller.authentication) {
            return self.over(rule, request).await;
        }
        let ready = match self.ready().await {
            Ok(ready) => ready,
            Err(error) => {
                let by = &self.caller.authentication;
                return self.inner.open_fault(by, &self.backend, &error).into();
            }
        };
        if let Some(fault) = self.not_given(rule, &request) {
            return fault.into();
        }
        if rule != Rule::Handled
            && let Some(reply) = self.across(&request, &ready)
        {
            return reply;
        }
        match rule {
            Rule::Gated => self.gated(request, mirrored, &ready, related).await,
            Rule::Listed(list) => self.listed(list, request, &ready, related).await,
            Rule::Passed => self.passed(request, &ready, related).await,
            Rule::Handled => match &*request.method {
                "server/discover" => self.discover(request, &ready, related).await,
                "subscriptions/listen" => self.listen(request, &ready, related).await,
                _ => Fault::new(INVALID_REQUEST, "the session is initialized already").into(),
            },
            Rule::Refused(why) => refused(&request.method, why).into(),
        }
    }

    /// Answers one whose authority has ended: what it tries is decided on and recorded, and
    /// nothing of it reaches the upstream.
    async fn over(&self, rule: Rule, request: Request) -> Reply {
        if rule != Rule::Gated {
            return OpenError::Closed.fault().into();
        }
        let Request { method, params, .. } = request;
        let question = match action::question(&self.backend.config.name, &method, params.as_ref()) {
            Ok(question) => question,
            Err(fault) => return fault.into(),
        };
        match self.inner.decide(self.ask(question, method, params, None)).await {
            Err((refusal, gated)) => {
                let (ways, what) = (Ways::default(), &gated.question.what);
                denial::denied(self.revision, &gated.method, what, &refusal, &ways).into()
            }
            Ok(permit) => {
                let decision = match self.inner.authority.redeem(permit) {
                    Ok(redeemed) => redeemed.decision().clone(),
                    Err((_, decision)) => decision,
                };
                self.not_executed(decision, "lapsed").await;
                OpenError::Closed.fault().into()
            }
        }
    }

    async fn ready(&self) -> Result<Ready, OpenError> {
        match &self.session {
            Some(session) => session.ready(&self.caller).await,
            None => self.backend.for_modern(&self.caller.authentication).await,
        }
    }

    /// Waits for a call for as long as the authority for it stands; then it is cut at once.
    pub(super) async fn while_standing(
        &self,
        related: &Related,
        call: impl Future<Output = Result<Answered, LinkError>>,
    ) -> Result<Answered, LinkError> {
        let mut call = std::pin::pin!(call);
        let answered = tokio::select! {
            biased;
            () = self.inner.ended(&self.caller.authentication) => {
                related.ended.cancel();
                call.await
            }
            answered = &mut call => answered,
        };
        match answered {
            // The conversation was closed first, or the server answers that it was told to stop, for
            // the same reason.
            Err(LinkError::Gone | LinkError::SessionLost | LinkError::Cancelled)
            | Ok(Answered { answer: Answer::Fault(_), .. })
                if !self.inner.authority.stands(&self.caller.authentication) =>
            {
                Err(LinkError::Ended { sent: true })
            }
            answered => answered,
        }
    }

    /// What cannot cross to the upstream's revision.
    fn across(&self, request: &Request, ready: &Ready) -> Option<Reply> {
        let theirs = ready.live.revision;
        match classify(Direction::ToServer, Form::Request, theirs, &request.method) {
            Rule::Refused(_) if &*request.method == "ping" => {
                Some(Answer::Result(edit::empty()).into())
            }
            Rule::Refused(_) => Some(cannot_cross(&request.method, theirs).into()),
            _ => None,
        }
    }

    /// The parameters as the upstream's revision has them.
    fn fit_params(&self, params: &mut Option<Value>, ready: &Ready) {
        match (self.revision.era(), ready.live.revision.era()) {
            (Era::Legacy, Era::Modern) => translate::to_modern_params(params, edit::empty()),
            (Era::Modern, Era::Legacy) => translate::to_legacy_params(params),
            _ => {}
        }
    }

    /// The answer as the client's revision has it.
    fn fit_answer(&self, method: &str, answer: Answer, ready: &Ready) -> Answer {
        let mut answer = match (self.revision.era(), ready.live.revision.era()) {
            (Era::Legacy, Era::Modern) => translate::to_legacy_answer(answer),
            (Era::Modern, Era::Legacy) => translate::to_modern_answer(method, answer),
            _ => answer,
        };
        // A server must not pass for the decision point.
        if let Answer::Result(result) = &mut answer {
            edit::take_meta(result, denial::META_DECISION);
        }
        // What was permitted or shown to one credential is not for another's cache.
        if let Answer::Result(result) = &mut answer
            && self.revision.era() == Era::Modern
            && method != "server/discover"
            && translate::cacheable(method)
            && result.member("cacheScope").is_some()
        {
            edit::set(result, "cacheScope", "private");
        }
        answer
    }

    /// Whether a request that nobody decides on gives back what was never given.
    fn not_given(&self, rule: Rule, request: &Request) -> Option<Fault> {
        let member = |name: &str| request.params.as_ref().and_then(|params| params.member(name));
        let (by, method) = (&self.caller.authentication, &*request.method);
        let (kind, value, text) = match (rule, method) {
            (Rule::Listed(_), _) => {
                (method, member("cursor")?, "the cursor is none that this server gave here")
            }
            (Rule::Passed, "resources/unsubscribe") => {
                const TEXT: &str = "nothing of that `uri` is subscribed to";
                ("resources/subscribe", member("uri").unwrap_or(&Value::Null), TEXT)
            }
            _ => return None,
        };
        let given = self.backend.given.holds(by, kind, value);
        (!given).then(|| Fault::new(INVALID_PARAMS, text))
    }

    /// Takes in what the server says by itself in an answer that no call asked for.
    fn hear(&self, method: &str, asked: Option<&Value>, answer: &Answer) -> Result<(), Fault> {
        let by = &self.caller.authentication;
        self.inner.hear_answer(by, &self.backend, method, asked, answer)
    }

    pub(super) async fn forward(
        &self,
        request: Request,
        ready: &Ready,
        related: &Arc<Related>,
        patience: Patience,
    ) -> Result<Answered, LinkError> {
        let Request { method, mut params, .. } = request;
        self.fit_params(&mut params, ready);
        let passage = Passage::ungated(ready.live.revision, method, params)
            .ok_or_else(|| LinkError::NotSent("the method needs a decision".into()))?;
        let (inner, backend) = (Arc::downgrade(&self.inner), Arc::downgrade(&self.backend));
        let by = self.caller.authentication.clone();
        related.tell_each(move |method, read| {
            let there = inner.upgrade().zip(backend.upgrade());
            there.is_some_and(|(inner, backend)| {
                inner.hear(&by, &backend, method, None, hearing::pieces(read)).is_ok()
            })
        });
        let call = ready.connection.call(&ready.live, passage, related, patience);
        let answered = self.while_standing(related, call).await?;
        // Whatever a server asks of the client is decided on, and here nothing was.
        Ok(Answered { answer: translate::finished(answered.answer), ..answered })
    }

    async fn passed(&self, request: Request, ready: &Ready, related: &Arc<Related>) -> Reply {
        let (method, params) = (Arc::clone(&request.method), request.params.clone());
        match self.forward(request, ready, related, Patience::Bounded).await {
            Ok(Answered { answer, status, form }) => {
                if let Err(fault) = self.hear(&method, params.as_ref(), &answer) {
                    return fault.into();
                }
                Reply::from(self.fit_answer(&method, answer, ready)).delivered(status, form)
            }
            Err(error) => error.fault().into(),
        }
    }

    async fn listed(
        &self,
        list: List,
        request: Request,
        ready: &Ready,
        related: &Arc<Related>,
    ) -> Reply {
        let (method, params) = (Arc::clone(&request.method), request.params.clone());
        let answered = match self.forward(request, ready, related, Patience::Bounded).await {
            Ok(answered) => answered,
            Err(error) => return error.fault().into(),
        };
        let Answered { mut answer, status, form } = answered;
        if list == List::Tools {
            let era = ready.live.revision.era();
            task_tools::stand_in(&*self.inner.authority, era, &mut answer);
        }
        if let Answer::Result(result) = &mut answer {
            let server = &self.backend.config.name;
            if list == List::Tools {
                let authority = &*self.inner.authority;
                let (connection, live) = (&ready.connection, &ready.live);
                let seen = connection.page_seen(live, authority, params.as_ref(), result).await;
                if let Err(error) = seen {
                    return Fault::new(INTERNAL_ERROR, error.to_string()).into();
                }
                if live.revision.era() == Era::Modern {
                    listing::drop_badly_annotated(server, result);
                }
            }
            if self.backend.config.mode == Mode::Enforce {
                let may_see =
                    |action: &_| self.inner.authority.may_see(&self.caller.credential, action);
                listing::filter(server, list, result, may_see);
            }
            let by = &self.caller.authentication;
            let news = self.inner.news(&self.backend, list, result);
            if let Err(fault) = self.inner.hear(by, &self.backend, &method, params.as_ref(), news) {
                return fault.into();
            }
            if let Some(cursor) = listing::next_cursor(result) {
                self.backend.given.remember(by, &method, &cursor);
            }
            if list == List::Tools {
                let authority = &*self.inner.authority;
                task_tools::list(
                    authority,
                    &self.caller.credential,
                    server,
                    params.as_ref(),
                    result,
                );
            }
        }
        if let Answer::Fault(_) = &answer
            && let Err(fault) = self.hear(&method, params.as_ref(), &answer)
        {
            return fault.into();
        }
        Reply::from(self.fit_answer(&method, answer, ready)).delivered(status, form)
    }

    async fn hear_greeting(
        &self,
        method: &str,
        ready: &Ready,
        greeted: &Value,
    ) -> Result<(), Fault> {
        let by = &self.caller.authentication;
        self.inner.hear_greeting(by, &self.backend, ready, method, greeted).await
    }

    async fn discover(&self, request: Request, ready: &Ready, related: &Arc<Related>) -> Reply {
        let method = Arc::clone(&request.method);
        if ready.live.revision.era() == Era::Legacy {
            let mut result = translate::discover_result(&ready.live.greeted);
            if let Err(fault) = self.hear_greeting(&method, ready, &ready.live.greeted).await {
                return fault.into();
            }
            task_tools::offer(&*self.inner.authority, &mut result);
            return Answer::Result(result).into();
        }
        match self.forward(request, ready, related, Patience::Bounded).await {
            Err(error) => error.fault().into(),
            Ok(Answered { mut answer, status, form }) => {
                let heard = match &answer {
                    Answer::Result(result) => self.hear_greeting(&method, ready, result).await,
                    Answer::Fault(_) => self.hear(&method, None, &answer),
                };
                if let Err(fault) = heard {
                    return fault.into();
                }
                if let Answer::Result(result) = &mut answer {
                    edit::set(result, "supportedVersions", headers::supported());
                    if let Some(capabilities) = edit::member_mut(result, "capabilities") {
                        translate::scrub_capabilities(capabilities);
                    }
                    task_tools::offer(&*self.inner.authority, result);
                }
                Reply::from(answer).delivered(status, form)
            }
        }
    }

    async fn gated(
        &self,
        request: Request,
        mirrored: Option<&HeaderMap>,
        ready: &Ready,
        related: &Arc<Related>,
    ) -> Reply {
        let Request { method, mut params, .. } = request;
        let resumed = self.resumed(&mut params, related).await;
        let question = match action::question(&self.backend.config.name, &method, params.as_ref()) {
            Ok(question) => question,
            Err(fault) => return fault.into(),
        };
        let mut offered = true;
        let mut ready = ready.clone();
        if &*method == "tools/call" {
            let listing = match self.described(&mut ready).await {
                Ok(listing) => listing,
                Err(fault) => return fault.into(),
            };
            let tool = params.as_ref().and_then(|p| p.member("name")).and_then(Value::as_str);
            let schema = tool.and_then(|tool| listing.schemas.get(tool));
            offered = schema.is_some();
            if let (Some(schema), Some(mirrored)) = (schema, mirrored) {
                let checked = headers::check_params(mirrored, schema, &question.input);
                if let Err(fault) = checked {
                    return fault.into();
                }
            }
        }
        let told = (Arc::clone(&method), question.what.clone());
        let on_denial = self.on_denial();
        let gated = Gated { on_denial, ..self.ask(question, method, params, None) };
        match self.inner.decide(gated).await {
            Err((refusal, gated)) => self.denied(&refusal, &gated, resumed.as_ref()).into(),
            Ok(permit) => match self.inner.authority.redeem(permit) {
                Ok(redeemed) => self.perform(redeemed, &ready, related, offered).await,
                Err((lapsed, decision)) => {
                    self.not_executed(decision.clone(), "lapsed").await;
                    let (method, what) = told;
                    let id = decision.as_str();
                    denial::lapsed(self.revision, &method, &what, lapsed, id).into()
                }
            },
        }
    }

    /// The tools of a conversation: the definition that is live now must be known before anything
    /// rests on it. Where the server forgot the session meanwhile, the new one is asked.
    async fn described(&self, ready: &mut Ready) -> Result<Arc<Listing>, Fault> {
        let mut again = true;
        loop {
            let listing = ready.connection.listing(&ready.live, &*self.inner.authority).await;
            let by = &self.caller.authentication;
            let listing =
                listing.map_err(|error| self.inner.list_fault(by, &self.backend, &error))?;
            if !std::mem::take(&mut again) || !ready.live.link.is_closed() {
                return Ok(listing);
            }
            let opened = self.ready().await;
            *ready = opened.map_err(|error| self.inner.open_fault(by, &self.backend, &error))?;
        }
    }

    pub(crate) fn ask(
        &self,
        question: action::Question,
        method: Arc<str>,
        params: Option<Value>,
        parent: Option<RecordId>,
    ) -> Gated {
        let of = &self.caller.authentication;
        let asked = self.backend.inputs.asked(of, &question.action, params.as_ref());
        Gated {
            question,
            asked,
            method,
            params,
            authentication: self.caller.authentication.clone(),
            pep: self.backend.pep.clone(),
            mode: self.backend.config.mode,
            session_name: self.session_name.clone(),
            trace: self.trace.clone(),
            parent,
            on_denial: OnDenial::Tell,
            network: self.caller.network,
        }
    }
}

fn refused(method: &str, why: Why) -> Fault {
    let text = match why {
        Why::Unknown => format!("method `{method}` is not known, so it is denied"),
        Why::OtherRevision => format!("method `{method}` is not part of this revision"),
        Why::Tasks => format!("method `{method}` belongs to tasks, which are not supported"),
    };
    Fault::new(METHOD_NOT_FOUND, text)
}

pub(super) fn cannot_cross(method: &str, theirs: Revision) -> Fault {
    let text = format!("the server speaks {theirs}, in which `{method}` has no counterpart");
    Fault::new(METHOD_NOT_FOUND, text)
}
