//! What an upstream sends to a session's client by itself: its requests, each decided on or
//! answered, and its notifications.

use std::sync::{Arc, Weak};
use std::time::Instant;

use safeconduct_model::{Execution, RecordId, SessionKey, Value};
use safeconduct_pep::{OnDenial, Ways};
use safeconduct_service::{Content, Read, Report};
use safeconduct_wire::json;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Asked, Caller, ClientSession, lock};
use crate::authority::Authority;
use crate::message::{
    Answer, Fault, INTERNAL_ERROR, Id, METHOD_NOT_FOUND, Message, Notification, Request,
    notification_bytes, request_bytes, response_bytes,
};
use crate::methods::{Direction, Form, Rule, classify};
use crate::obligation::Plan;
use crate::passage::Gated;
use crate::related::Related;
use crate::upstream::Inbound;
use crate::{action, denial, edit, meta, notify, reading};

/// Most requests of an upstream that are decided on or wait for one client's answer.
pub(super) const ASKED_MAX: usize = 64;
/// Most refusals that wait for the upstream to take them; more of what it asks is dropped.
pub(super) const REFUSALS_MAX: usize = 64;
/// Marks, inside, that a client gave no answer; never sent.
const NO_ANSWER: i64 = i64::MIN;

/// The name under which an answer stands in the question whether it may go out.
const ANSWER: &str = "answer";

/// A client's fault without its words, which nobody has decided on.
fn unsaid(fault: Fault) -> Fault {
    let code = if fault.code == NO_ANSWER { INTERNAL_ERROR } else { fault.code };
    Fault::new(code, "the client did not do what was asked")
}

/// Takes what the upstream of a session sends by itself.
pub(super) struct SessionInbound<A: Authority> {
    session: Weak<ClientSession<A>>,
    /// For whom the conversation was begun.
    by: Caller,
}

impl<A: Authority> SessionInbound<A> {
    pub(super) fn of(session: &Arc<ClientSession<A>>, by: &Caller) -> Self {
        Self { session: Arc::downgrade(session), by: by.clone() }
    }
}

impl<A: Authority> Inbound for SessionInbound<A> {
    fn receive(&self, message: Message, related: Option<&Arc<Related>>) {
        let Some(session) = self.session.upgrade() else {
            return;
        };
        match message {
            Message::Notification(notification) => {
                session.notified_by_server(notification, related, &self.by);
            }
            Message::Request(request) => {
                let related = related.cloned();
                if let Some(related) = &related {
                    related.touch();
                }
                session.take(request, related, self.by.clone());
            }
            Message::Response(..) => {}
        }
    }
}

impl<A: Authority> ClientSession<A> {
    /// Takes a request of the upstream, within the bound on those that are open. Must not wait.
    fn take(self: Arc<Self>, request: Request, related: Option<Arc<Related>>, by: Caller) {
        if let Ok(slot) = Arc::clone(&self.asking).try_acquire_owned() {
            tokio::spawn(async move { self.asked_by_server(request, related, by, slot).await });
        } else if let Ok(slot) = Arc::clone(&self.refusing).try_acquire_owned() {
            tokio::spawn(async move {
                let text = "too many requests to the client are open";
                let answer = Answer::Fault(Fault::new(INTERNAL_ERROR, text));
                self.answer_server(&request.id, &answer, &by).await;
                drop(slot);
            });
        } else {
            let server = &self.backend.config.name;
            tracing::warn!(%server, "a request of a server that reads no refusals was dropped");
        }
    }

    /// A request of the upstream, up to its answer.
    async fn asked_by_server(
        &self,
        request: Request,
        related: Option<Arc<Related>>,
        by: Caller,
        slot: OwnedSemaphorePermit,
    ) {
        let rule = classify(Direction::ToClient, Form::Request, self.revision(), &request.method);
        let answer = match rule {
            Rule::Passed => self.passed(request.clone(), related.as_ref(), &by).await,
            Rule::Gated => self.gated(&request, related.as_ref(), &by).await,
            _ => Answer::Fault(Fault::new(
                METHOD_NOT_FOUND,
                format!("method `{}` is not known, so it is denied", request.method),
            )),
        };
        self.answer_server(&request.id, &answer, &by).await;
        drop(slot);
    }

    /// Asks the client what nobody decides on: neither side says anything freely.
    async fn passed(
        &self,
        mut request: Request,
        related: Option<&Arc<Related>>,
        by: &Caller,
    ) -> Answer {
        meta::keep_members(&request.method, &mut request.params);
        match self.ask_client(&request, related, by).await {
            Answer::Result(mut result) => {
                meta::keep_answer(&request.method, &mut result);
                Answer::Result(result)
            }
            Answer::Fault(fault) => Answer::Fault(unsaid(fault)),
        }
    }

    async fn answer_server(&self, id: &Id, answer: &Answer, by: &Caller) {
        if !self.inner.authority.stands(&by.authentication) {
            return;
        }
        let Some(connection) = self.connection(&SessionKey::of(&by.authentication)) else {
            return;
        };
        let Ok(live) = connection.live_for(&by.authentication).await else {
            return;
        };
        if let Err(error) = live.link.send(response_bytes(Some(id), answer)).await {
            tracing::debug!(%error, "the upstream does not take an answer");
        }
    }

    async fn gated(
        &self,
        request: &Request,
        related: Option<&Arc<Related>>,
        by: &Caller,
    ) -> Answer {
        let server = &self.backend.config.name;
        let question = match action::question(server, &request.method, request.params.as_ref()) {
            Ok(question) => question,
            Err(fault) => return Answer::Fault(fault),
        };
        let gated = Gated {
            question,
            method: Arc::clone(&request.method),
            params: request.params.clone(),
            authentication: by.authentication.clone(),
            pep: self.backend.pep.clone(),
            mode: self.backend.config.mode,
            session_name: self.name.clone(),
            trace: None,
            parent: None,
            asked: Vec::new(),
            on_denial: OnDenial::Tell,
            // The server speaks first here: where the client was when this conversation began says
            // nothing of now.
            network: None,
        };
        let authority = &self.inner.authority;
        let permit = match self.inner.decide(gated).await {
            Ok(permit) => permit,
            Err((refusal, gated)) => {
                let what = &gated.question.what;
                return denial::denied(self.revision(), &gated.method, what, &refusal, &ways());
            }
        };
        let begun = Instant::now();
        let report = |decision, execution, detail: Option<&str>| Report {
            decision,
            reported_by: self.backend.pep.clone(),
            execution,
            duration_ms: Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
            result: None,
            detail: detail.map(Arc::from),
            edits: Vec::new(),
            read: Read::Nothing,
            beside: Read::Nothing,
        };
        let redeemed = match authority.redeem(permit) {
            Ok(redeemed) => redeemed,
            Err((lapsed, decision)) => {
                self.inner.observe(report(decision, Execution::NotExecuted, Some("lapsed"))).await;
                return Answer::Fault(Fault::new(INTERNAL_ERROR, lapsed.to_string()));
            }
        };
        let (gated, decision, obligations) = redeemed.into_parts();
        let Ok(plan) = Plan::of(&obligations) else {
            self.inner.observe(report(decision, Execution::NotExecuted, Some("obligation"))).await;
            return Answer::Fault(Fault::new(
                INTERNAL_ERROR,
                "an obligation cannot be carried out",
            ));
        };
        let mut params = gated.params;
        let edits = params.as_mut().map(|params| plan.edit_input(&gated.method, params));
        let mut edits = edits.unwrap_or_default();
        let asked = Request { id: request.id.clone(), method: gated.method, params };
        // What a server asks is read by the model that answers it, whatever comes of it.
        let read = asked
            .params
            .clone()
            .map_or(Read::Nothing, |params| Read::This(reading::of_result(params)));
        // Before the model can read it.
        authority.reads(&decision, &self.backend.pep, &read);
        let mut answer = self.ask_client(&asked, related, by).await;
        let mut outcome = match &mut answer {
            Answer::Result(result) => {
                edits.extend(plan.edit_result(result));
                let outcome = report(decision, Execution::Succeeded, None);
                Report { result: Some(json::to_bytes(result)), ..outcome }
            }
            Answer::Fault(fault) if fault.code == NO_ANSWER => {
                report(decision, Execution::Unknown, Some("client_gone"))
            }
            Answer::Fault(_) => report(decision, Execution::Failed, Some("client_error")),
        };
        outcome.edits = edits;
        // What was edited is the client's answer: nothing of what was asked is lowered by it.
        outcome.beside = read;
        let asked_by = outcome.decision.clone();
        self.inner.observe(outcome).await;
        match answer {
            Answer::Result(result) => {
                self.answer_permitted(&asked.method, result, asked_by, by).await
            }
            Answer::Fault(fault) => Answer::Fault(unsaid(fault)),
        }
    }

    /// What the client answers goes out to the server: it is decided on like a call that carries
    /// it, under the action of the request, as an answer beside empty arguments.
    async fn answer_permitted(
        &self,
        method: &Arc<str>,
        result: Value,
        asked_by: RecordId,
        by: &Caller,
    ) -> Answer {
        let mut question = match action::question(&self.backend.config.name, method, None) {
            Ok(question) => question,
            Err(fault) => return Answer::Fault(fault),
        };
        question.what = format!("the answer to `{method}`");
        let given = Value::object([(ANSWER, result)]);
        let gated = Gated {
            question,
            method: Arc::clone(method),
            params: Some(Value::object([("inputResponses", given)])),
            authentication: by.authentication.clone(),
            pep: self.backend.pep.clone(),
            mode: self.backend.config.mode,
            session_name: self.name.clone(),
            trace: None,
            parent: Some(asked_by),
            asked: vec![Value::from(format!("/inputResponses/{ANSWER}"))],
            on_denial: OnDenial::Tell,
            network: None,
        };
        let begun = Instant::now();
        let report = |decision, execution, detail: Option<&str>, edits| Report {
            decision,
            reported_by: self.backend.pep.clone(),
            execution,
            duration_ms: Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
            result: None,
            detail: detail.map(Arc::from),
            edits,
            read: Read::Nothing,
            beside: Read::Nothing,
        };
        let authority = &self.inner.authority;
        let permit = match self.inner.decide(gated).await {
            Ok(permit) => permit,
            Err((refusal, gated)) => {
                let what = &gated.question.what;
                return denial::denied(self.revision(), &gated.method, what, &refusal, &ways());
            }
        };
        let lapsed = |text: &str| Answer::Fault(Fault::new(INTERNAL_ERROR, text));
        let redeemed = match authority.redeem(permit) {
            Ok(redeemed) => redeemed,
            Err((error, decision)) => {
                let report = report(decision, Execution::NotExecuted, Some("lapsed"), Vec::new());
                self.inner.observe(report).await;
                return lapsed(&error.to_string());
            }
        };
        let (gated, decision, obligations) = redeemed.into_parts();
        let given = gated.params.and_then(|mut params| edit::take(&mut params, "inputResponses"));
        let result = given.and_then(|mut given| edit::take(&mut given, ANSWER));
        let (Ok(plan), Some(mut result)) = (Plan::of(&obligations), result) else {
            let report = report(decision, Execution::NotExecuted, Some("obligation"), Vec::new());
            self.inner.observe(report).await;
            return lapsed("an obligation cannot be carried out");
        };
        let edits = plan.edit_result(&mut result);
        self.inner.observe(report(decision, Execution::Succeeded, None, edits)).await;
        Answer::Result(result)
    }

    /// Asks the client and waits for its answer, within the limit. Ids are the upstream's own;
    /// where two conversations of one session use the same one at a time, the later is refused.
    async fn ask_client(
        &self,
        request: &Request,
        related: Option<&Arc<Related>>,
        by: &Caller,
    ) -> Answer {
        let no_answer = |text: &str| Answer::Fault(Fault::new(NO_ANSWER, text));
        let (sender, receiver) = oneshot::channel();
        {
            let mut asked = lock(&self.asked);
            if asked.contains_key(&request.id) {
                return no_answer("a request to the client with this id is open");
            }
            asked.insert(
                request.id.clone(),
                Asked {
                    by: SessionKey::of(&by.authentication),
                    progress: request
                        .params
                        .as_ref()
                        .and_then(|params| edit::meta(params, "progressToken").cloned()),
                    answer: sender,
                },
            );
        }
        let bytes = request_bytes(&request.id, &request.method, request.params.as_ref());
        let mut answer = no_answer("the client cannot be reached");
        if self.put(bytes, related, by).is_ok() {
            if let Some(related) = related {
                related.asking();
            }
            let waited = tokio::select! {
                biased;
                () = self.closed.cancelled() => None,
                () = self.inner.ended(&by.authentication) => None,
                answer = tokio::time::timeout(self.inner.limits.asked, receiver) => answer.ok(),
            };
            if let Some(related) = related {
                related.asked();
            }
            answer = match waited {
                Some(Ok(answer)) => answer,
                _ => no_answer("the client did not answer"),
            };
        }
        lock(&self.asked).remove(&request.id);
        answer
    }

    /// Takes in what the server says outside of any call; whether it may go on.
    fn hears(&self, by: &Caller, method: &str, said: Value) -> bool {
        let content = vec![Content::Value(said)];
        self.inner.hear(&by.authentication, &self.backend, method, None, content).is_ok()
    }

    fn notified_by_server(
        &self,
        notification: Notification,
        related: Option<&Arc<Related>>,
        by: &Caller,
    ) {
        let method = Arc::clone(&notification.method);
        let rule = classify(Direction::ToClient, Form::Notification, self.revision(), &method);
        if matches!(rule, Rule::Refused(_)) {
            tracing::debug!(method = &*method, "a notification of the server was dropped");
            return;
        }
        if let Some(related) = related {
            related.touch();
        }
        let bytes = match &*method {
            // It cancels what the server itself asked: those ids are its own.
            "notifications/cancelled" => {
                let id = notification.params.as_ref().and_then(|p| p.member("requestId"));
                if let Some(id) = id.and_then(Id::of) {
                    let mut asked = lock(&self.asked);
                    if asked
                        .get(&id)
                        .is_some_and(|asked| asked.by == SessionKey::of(&by.authentication))
                    {
                        asked.remove(&id);
                    }
                }
                let said = notify::said_in(&notification);
                let heard = said.is_none_or(|said| self.hears(by, &method, said));
                heard.then(|| notification_bytes(&method, notification.params.as_ref()))
            }
            _ => notify::for_client(notification, related.map(Arc::as_ref), |method, said| {
                self.hears(by, method, said)
            }),
        };
        // What changed for the whole session goes to the standing stream where there is one.
        let own =
            !method.ends_with("/list_changed") && &*method != "notifications/resources/updated";
        let related = related.filter(|_| own || !self.is_heard(by));
        if let Some(bytes) = bytes
            && self.put(bytes, related, by).is_err()
        {
            tracing::debug!(method = &*method, "a notification was dropped: nobody reads it");
        }
    }
}

/// Nobody is asked about what a server asks.
fn ways() -> Ways {
    Ways::default()
}
