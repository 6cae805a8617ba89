//! The AuthZEN endpoints. `POST /access/v1/evaluation` is the hot path: the body is read once
//! and parsed once, the decision is made on the thread that read it, and the answer is written
//! straight into its bytes.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use safeconduct_model::{
    Authentication, Decision, Entity, IdentityId, Mode, Network, Reason, SessionName, Subject,
    TraceId,
};
use safeconduct_service::{
    AccessState, Check, Operation, Queued, Recorded, Ruling, Understood, Unrecorded, World,
};
use safeconduct_wire::FieldError;
use safeconduct_wire::authzen::{
    Answer, AuthzenError, Batch, Evaluation, Evaluations, ItemAnswer, Metadata, NamedApproval,
    Offer, Semantic, Unhelped, take_approval, write_evaluation, write_evaluations,
};

use crate::access_requests::recall;
use crate::body::{BodyError, json_bytes};
use crate::metrics::Asked;
use crate::problem::{CHALLENGE, Problem};
use crate::router::{Inner, Shared};
use crate::trace::{self, X_REQUEST_ID};

/// What an enforcement point calls its part of the session. It subdivides what is shown and
/// changes nothing of what is counted.
pub(crate) const SESSION: HeaderName = HeaderName::from_static("safeconduct-session");

/// For how long a Deny can be named by whoever asks people to set it aside, in milliseconds.
pub(crate) const DENIAL_NAMED_MS: i64 = 15 * 60_000;

/// How many questions of a batch are decided before other requests of this thread get their turn.
const BATCH_TURN: usize = 64;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers one question. A Deny is a 200.
#[utoipa::path(
    post,
    path = "/access/v1/evaluation",
    tag = "AuthZEN",
    operation_id = "access.evaluate",
    request_body(content = Object, description = "`subject`, `action`, `resource`, `context?`: AuthZEN 1.0 section 6.1. `action.properties` are the arguments.", content_type = "application/json"),
    params(
        ("X-Request-ID" = Option<String>, Header, description = "Comes back; correlates the record where there is no `traceparent`"),
        ("traceparent" = Option<String>, Header, description = "W3C Trace Context; its trace id correlates the record"),
        ("Safeconduct-Session" = Option<String>, Header, description = "Subdivides the session; changes nothing of what is counted"),
        ("Safeconduct-Task" = Option<String>, Header, description = "The handle of the task that the subject acts in"),
    ),
    responses(
        (status = 200, description = "`decision`, and in `context` `decision_id`, `reasons`, `obligations`, `requestable`; where it may be requested `evaluation_id`, `evaluated_at` and `access_request` too (Access Request and Approval Profile, draft). What was approved is named by the request in `context.approval`, which grants nothing by itself", body = Object),
        (status = 400, description = "A required field is missing or ill-typed, or the body is not JSON", body = String),
        (status = 401, description = "The enforcement point has not proved who it is, or no task of that handle is known", body = String),
        (status = 403, description = "The caller is no registered enforcement point", body = String),
        (status = 408, description = "The body did not come within 30 s", body = String),
        (status = 413, description = "The body has more than 1 MiB", body = String),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn evaluation(State(api): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = evaluate_one(&api, &parts, body).await;
    respond(&parts, answer)
}

/// Answers many questions. A Deny is a 200.
#[utoipa::path(
    post,
    path = "/access/v1/evaluations",
    tag = "AuthZEN",
    operation_id = "access.evaluate_batch",
    request_body(content = Object, description = "As one question, and `evaluations` and `options.evaluations_semantic`: AuthZEN 1.0 section 7.1. At most 1000.", content_type = "application/json"),
    params(
        ("X-Request-ID" = Option<String>, Header, description = "Comes back; correlates the records where there is no `traceparent`"),
        ("traceparent" = Option<String>, Header, description = "W3C Trace Context; its trace id correlates the records"),
        ("Safeconduct-Session" = Option<String>, Header, description = "Subdivides the session; changes nothing of what is counted"),
        ("Safeconduct-Task" = Option<String>, Header, description = "The handle of the task that the subject acts in"),
    ),
    responses(
        (status = 200, description = "`evaluations`: as many answers as were reached, in order. Without questions of its own: one answer", body = Object),
        (status = 400, description = "The whole is unusable", body = String),
        (status = 401, description = "The enforcement point has not proved who it is, or no task of that handle is known", body = String),
        (status = 403, description = "The caller is no registered enforcement point", body = String),
        (status = 408, description = "The body did not come within 30 s", body = String),
        (status = 413, description = "The body has more than 1 MiB", body = String),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn evaluations(State(api): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = evaluate_many(&api, &parts, body).await;
    respond(&parts, answer)
}

/// Says what this decision point offers.
#[utoipa::path(
    get,
    path = "/.well-known/authzen-configuration",
    tag = "AuthZEN",
    operation_id = "access.metadata",
    responses((status = 200, description = "The metadata document: AuthZEN 1.0 section 9", body = Metadata)),
    security(())
)]
pub(crate) async fn configuration(State(api): State<Shared>, parts: Parts) -> Response {
    if let Err(problem) = api.check_doors(&parts.headers, &parts.uri) {
        return respond(&parts, Err(problem.into()));
    }
    respond(&parts, Ok(api.metadata.clone()))
}

/// What is no answer: a status and a sentence (section 10).
pub(crate) struct AccessError {
    status: StatusCode,
    message: String,
}

impl From<Problem> for AccessError {
    fn from(problem: Problem) -> Self {
        Self { status: problem.status(), message: problem.detail().to_owned() }
    }
}

impl From<BodyError> for AccessError {
    fn from(error: BodyError) -> Self {
        let status = match error {
            // The specification's conformance tests want 400 here, where 415 would say more.
            BodyError::NotJson | BodyError::Broken => StatusCode::BAD_REQUEST,
            BodyError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        };
        Self { status, message: error.to_string() }
    }
}

impl From<AuthzenError> for AccessError {
    fn from(error: AuthzenError) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: error.to_string() }
    }
}

/// Who asks, with what all questions of one request have in common.
pub(crate) struct Asker {
    pub(crate) proof: Authentication,
    pub(crate) world: std::sync::Arc<World>,
    session_name: Option<SessionName>,
    trace: Option<TraceId>,
    network: Option<Network>,
}

async fn evaluate_one(api: &Inner, parts: &Parts, body: Body) -> Result<Vec<u8>, AccessError> {
    let asker = asker(api, parts, Operation::AccessEvaluate).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let question = Evaluation::parse(&body)?;
    drop(body);
    Ok(single(api, &asker, question).await)
}

async fn evaluate_many(api: &Inner, parts: &Parts, body: Body) -> Result<Vec<u8>, AccessError> {
    let asker = asker(api, parts, Operation::AccessEvaluateBatch).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let questions = Evaluations::parse(&body)?;
    drop(body);
    match questions {
        Evaluations::Single(question) => Ok(single(api, &asker, *question).await),
        Evaluations::Batch(questions) => Ok(batch(api, &asker, questions).await),
    }
}

pub(crate) async fn asker(
    api: &Inner,
    parts: &Parts,
    operation: Operation,
) -> Result<Asker, Problem> {
    let admitted = api.admit(parts, operation).await?;
    let session_name = match parts.headers.get(SESSION) {
        None => None,
        Some(name) => Some(
            name.to_str()
                .ok()
                .and_then(|name| SessionName::new(name).ok())
                .ok_or_else(|| Problem::invalid("the `Safeconduct-Session` is no session name"))?,
        ),
    };
    let trace = trace::of(&parts.headers);
    let proof = api.within_task(&parts.headers, admitted.proof)?;
    recall(api, &proof).await;
    let network = parts.extensions.get().copied();
    Ok(Asker { proof, world: admitted.world, session_name, trace, network })
}

async fn single(api: &Inner, asker: &Asker, question: Evaluation) -> Vec<u8> {
    let decided = decide(api, asker, question).await;
    let mut out = Vec::with_capacity(512);
    write_evaluation(&decided.answer(api), &mut out);
    out
}

/// Answers in order until the semantic says to stop: what comes after is not decided at all.
async fn batch(api: &Inner, asker: &Asker, batch: Batch) -> Vec<u8> {
    if batch.semantic == Semantic::ExecuteAll {
        return every(api, asker, batch).await;
    }
    let mut reached = Vec::with_capacity(batch.items.len());
    for (index, item) in batch.items.into_iter().enumerate() {
        if index % BATCH_TURN == BATCH_TURN - 1 {
            tokio::task::yield_now().await;
        }
        let item = match item {
            Ok(question) => Ok(decide(api, asker, question).await),
            Err(error) => Err(error),
        };
        let decision = item.as_ref().map_or(Decision::Deny, |decided| decided.answer(api).decision);
        reached.push(item);
        if batch.semantic.stops_after(decision) {
            break;
        }
    }
    answers(api, &reached)
}

/// Answers all of a batch in order: the records of one turn wait for the disk together.
async fn every(api: &Inner, asker: &Asker, batch: Batch) -> Vec<u8> {
    let mut reached = Vec::with_capacity(batch.items.len());
    let mut items = batch.items.into_iter();
    loop {
        let turn: Vec<_> = items
            .by_ref()
            .take(BATCH_TURN)
            .map(|item| item.map(|question| begin(api, asker, question)))
            .collect();
        if turn.is_empty() {
            return answers(api, &reached);
        }
        for item in turn {
            reached.push(match item {
                Ok(begun) => Ok(finish(api, begun).await),
                Err(error) => Err(error),
            });
        }
        tokio::task::yield_now().await;
    }
}

fn answers(api: &Inner, reached: &[Result<Decided, FieldError>]) -> Vec<u8> {
    let answers = reached.iter().map(|item| match item {
        Ok(decided) => ItemAnswer::Decided(decided.answer(api)),
        Err(error) => ItemAnswer::Refused(error),
    });
    let mut out = Vec::with_capacity(256 * reached.len());
    write_evaluations(answers, &mut out);
    out
}

/// What came of a question.
enum Decided {
    /// With what there is to say of an approval that it named.
    Recorded(Recorded<Ruling>, Option<Unhelped>),
    /// A Deny without a record.
    Unrecorded(Unrecorded),
}

impl Decided {
    fn answer<'a>(&'a self, api: &'a Inner) -> Answer<'a> {
        match self {
            Self::Recorded(recorded, unhelped) => {
                let outcome = &recorded.value().outcome;
                let (id, at) = (&outcome.record.id, outcome.record.at);
                Answer {
                    decision: outcome.decision,
                    id: Some(id),
                    reasons: &outcome.reasons,
                    obligations: &outcome.obligations,
                    requestable: outcome.requestable.as_ref(),
                    offer: outcome.requestable.as_ref().map(|_| Offer {
                        endpoint: &api.request_endpoint,
                        at,
                        expires_at: at.plus_ms(DENIAL_NAMED_MS),
                    }),
                    unhelped: *unhelped,
                }
            }
            Self::Unrecorded(unrecorded) => Answer {
                decision: Decision::Deny,
                id: None,
                reasons: std::slice::from_ref(&unrecorded.reason),
                obligations: &[],
                requestable: None,
                offer: None,
                unhelped: None,
            },
        }
    }
}

/// A question that is decided, and whose record may not be durable yet.
struct Begun {
    at: Instant,
    queued: Result<Queued, Unrecorded>,
    named: Option<NamedApproval>,
    by: IdentityId,
}

async fn decide(api: &Inner, asker: &Asker, question: Evaluation) -> Decided {
    finish(api, begin(api, asker, question)).await
}

fn begin(api: &Inner, asker: &Asker, mut question: Evaluation) -> Begun {
    let at = Instant::now();
    let named = take_approval(&mut question);
    let queued = api.service.begin_check(check(asker, question));
    Begun { at, queued, named, by: asker.proof.identity.clone() }
}

/// Why the approval does not help that a question named, which is denied. What others asked for
/// is nobody's to learn of.
fn unhelped(api: &Inner, by: &IdentityId, named: &NamedApproval) -> Unhelped {
    let known = named.0.as_ref().and_then(|id| api.service.access_summary(id));
    match known.filter(|known| known.asked_by == *by).map(|known| known.state) {
        None => Unhelped::Unknown,
        Some(AccessState::Pending) => Unhelped::Pending,
        Some(AccessState::Approved) => Unhelped::OutOfScope,
        Some(_) => Unhelped::Over,
    }
}

async fn finish(api: &Inner, begun: Begun) -> Decided {
    let recorded = match begun.queued {
        Ok(queued) => api.service.recorded(queued).await,
        Err(unrecorded) => Err(unrecorded),
    };
    let decided = match recorded {
        Ok(recorded) => {
            let denied = recorded.value().outcome.decision == Decision::Deny;
            let named = begun.named.filter(|_| denied);
            let unhelped = named.map(|named| unhelped(api, &begun.by, &named));
            Decided::Recorded(recorded, unhelped)
        }
        Err(unrecorded) => {
            if let Reason::NotRecorded(why) = &unrecorded.reason {
                tracing::error!(problem = &**why, "a decision could not be recorded");
            }
            Decided::Unrecorded(unrecorded)
        }
    };
    let answer = decided.answer(api);
    api.metrics.decided(Asked::Authzen, answer.decision, answer.reasons, begun.at.elapsed());
    decided
}

/// The question in the decision point's terms. Types of entities get the policies' namespace
/// where the schema has them there.
pub(crate) fn check(asker: &Asker, question: Evaluation) -> Check {
    let understood = match question.supported_obligations() {
        None => Understood::LeftToCaller,
        Some(kinds) => Understood::Only(kinds.into_iter().map(Into::into).collect()),
    };
    let Evaluation { subject, action, input, resource, context } = question;
    Check {
        subject: subject_of(asker, subject),
        action,
        resource: Some(resolved(&asker.world, resource)),
        input,
        asserted: context,
        session_name: asker.session_name.clone(),
        pep: asker.proof.identity.clone(),
        mode: Mode::Enforce,
        trace: asker.trace.clone(),
        parent: None,
        understood,
        network: asker.network,
    }
}

/// An enforcement point that asks about itself has proved who it is; of anyone else it speaks.
pub(crate) fn subject_of(asker: &Asker, subject: Entity) -> Subject {
    let by = asker.proof.clone();
    let own = |id: &IdentityId| id.as_str() == subject.uid.id.as_str();
    let kind = asker.world.identity(&by.identity).filter(|known| own(&known.id)).map(|k| k.kind);
    if kind.is_some_and(|kind| kind.as_str() == subject.uid.ty.as_str()) {
        return Subject::Caller(by);
    }
    let entity = resolved(&asker.world, subject);
    let named = |ty: &str| entity.uid.ty.as_str().rsplit("::").next() == Some(ty);
    if kind.is_some_and(|kind| named(kind.entity_type())) {
        return Subject::Caller(by);
    }
    Subject::Asserted { by, entity }
}

pub(crate) fn resolved(world: &World, entity: Entity) -> Entity {
    let mut entity = entity;
    if let Some(ty) = world.policies().resolve_type(entity.uid.ty.as_str()) {
        entity.uid.ty = ty;
    }
    entity
}

pub(crate) fn respond(parts: &Parts, answer: Result<Vec<u8>, AccessError>) -> Response {
    let mut response = match answer {
        Ok(body) => Body::from(body).into_response(),
        Err(error) => {
            let mut body = Vec::with_capacity(error.message.len() + 2);
            safeconduct_wire::json::write_string(&error.message, &mut body);
            let mut response = (error.status, body).into_response();
            if error.status == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if let Some(id) = parts.headers.get(X_REQUEST_ID) {
        headers.insert(X_REQUEST_ID, id.clone());
    }
    response
}
