//! Signals that people report, and the risk that is made of all of them.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::signal::{About, Confidence, Source};
use safeconduct_model::{IdentityId, KillScope, SessionKey, SessionScope, TaskId};
use safeconduct_service::{Operation, Risk, TakeSignalError, Taken};
use safeconduct_wire::admin::{
    AboutView, RiskPartView, RiskView, SignalList, SignalView, TakenView,
};
use safeconduct_wire::document::{FormError, Word, Written};
use safeconduct_wire::signals::SignalReport;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::body::json_bytes;
use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::router::Shared;

/// Takes signals that the caller reports. They are durable when this answers, and what revoking
/// ones among them stop (`session_revoked`, `account_disabled`, `account_purged`) has stopped; to
/// report those takes the right to `kill.use`.
#[utoipa::path(
    post,
    path = "/v1/signals",
    tag = "Signals",
    operation_id = "signals.put",
    request_body = SignalReport,
    responses(
        (status = 201, description = "They are recorded, and decisions see them", body = TakenView),
        Refused,
        Unreadable,
        (status = 429, description = "Too many wait already; try again", body = ProblemForm),
        (status = 503, description = "They could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn put(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::SignalsPut).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let source = Source::Person(caller.proof.identity.clone());
    let (id, now) = (api.service.new_report(), api.service.now());
    let signals = SignalReport::parse(&body)?
        .into_signals(&source, id.as_str(), Confidence::CERTAIN, now)
        .map_err(FormError::from)?;
    for scope in signals.iter().filter_map(safeconduct_model::Signal::stops) {
        api.authorize(&caller, Operation::KillUse)?;
        // INVARIANT: whoever cannot give a role cannot stop those who hold one either.
        if let KillScope::Identity(id) = &scope
            && caller.world.identity(id).is_some_and(|known| !known.roles.is_empty())
        {
            api.authorize(&caller, Operation::IdentitiesChangePrivileged)?;
        }
    }
    // Apart, so that a client that leaves cannot leave half of it undone.
    let service = Arc::clone(&api.service);
    let taking = tokio::spawn(async move { service.take_signals(signals, None).await });
    let taken = taking.await.map_err(|error| Problem::not_recorded(&error.to_string()))??;
    Ok((StatusCode::CREATED, Json(shown(taken))).into_response())
}

fn shown(taken: Taken) -> TakenView {
    let Taken { recorded, known, expired, dropped, stopped, ended } = taken;
    let words = |scope: KillScope| match scope {
        KillScope::Identity(id) => format!("identity {id}"),
        KillScope::Task(id) => format!("task {id}"),
        KillScope::Session(key) => format!("session {key}"),
        KillScope::All => "everything".into(),
    };
    TakenView {
        recorded: recorded.into_iter().map(Written).collect(),
        known,
        expired,
        dropped,
        stopped: stopped.into_iter().map(words).collect(),
        tasks: ended.len() as u64,
    }
}

/// About whom. At most one of them is named.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// An identity, be it as one who acts or as one for whom others act.
    identity: Option<String>,
    /// A task.
    task: Option<String>,
    /// A session: `IDENTITY/SCOPE`, its token's id or its task's.
    session: Option<String>,
    /// At most so many signals: 1 to 1000; left out, 100. For the list alone.
    limit: Option<usize>,
}

impl Asked {
    fn about(&self) -> Result<Option<About>, Problem> {
        let unfit = |error: safeconduct_model::NameError| Problem::invalid(error.to_string());
        Ok(match (&self.identity, &self.task, &self.session) {
            (None, None, None) => None,
            (Some(id), None, None) => {
                Some(About::Identity(IdentityId::new(id.as_str()).map_err(unfit)?))
            }
            (None, Some(id), None) => Some(About::Task(TaskId::new(id.as_str()).map_err(unfit)?)),
            (None, None, Some(session)) => {
                // An identity may hold slashes, a token's or task's id never does.
                let Some((identity, scope)) = session.rsplit_once('/') else {
                    return Err(Problem::invalid("a session is `IDENTITY/SCOPE`".to_owned()));
                };
                let identity = IdentityId::new(identity).map_err(unfit)?;
                let scope = SessionScope::parse(scope).map_err(unfit)?;
                Some(About::Session(SessionKey { identity, scope }))
            }
            _ => {
                let detail = "at most one of `identity`, `task` and `session` is asked about";
                return Err(Problem::invalid(detail.to_owned()));
            }
        })
    }
}

/// Lists the signals that count now, the newest first.
#[utoipa::path(
    get,
    path = "/v1/signals",
    tag = "Signals",
    operation_id = "signals.list",
    params(Asked),
    responses(
        (status = 200, description = "The signals", body = SignalList),
        Misasked,
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<SignalList>, Problem> {
    api.admit(&parts, Operation::SignalsList).await?;
    let asked: Asked = page::query(&parts.uri)?;
    let limit = page::limit(asked.limit)?;
    let signals = match asked.about()? {
        None => api.service.signals(limit),
        Some(about) => {
            let concerned = api.service.concerned_by(&about);
            let now = api.service.now();
            let all = concerned.iter().flat_map(|about| api.service.signals_about(about));
            let mut all: Vec<_> = all.filter(|signal| now < signal.expires_at).collect();
            all.sort_by_key(|signal| std::cmp::Reverse(signal.observed_at));
            all.truncate(limit);
            all
        }
    };
    let counts = api.service.signal_counts();
    Ok(Json(SignalList {
        signals: signals.iter().map(SignalView::from).collect(),
        subjects: counts.subjects,
        dropped: counts.dropped,
    }))
}

/// Says how risky an identity, a task or a session is now, and why.
#[utoipa::path(
    get,
    path = "/v1/risk",
    tag = "Signals",
    operation_id = "risk.show",
    params(Asked),
    responses(
        (status = 200, description = "The score, and what made it", body = RiskView),
        Misasked,
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn risk(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<RiskView>, Problem> {
    api.admit(&parts, Operation::RiskShow).await?;
    let asked: Asked = page::query(&parts.uri)?;
    let about = asked.about()?.ok_or_else(|| {
        Problem::invalid("one of `identity`, `task` and `session` is asked about".to_owned())
    })?;
    let concerned = api.service.concerned_by(&about);
    let risk = api.service.risk_of(&concerned);
    Ok(Json(shown_risk(&risk, &concerned)))
}

/// A score with what made it.
pub(crate) fn shown_risk(risk: &Risk, concerned: &[About]) -> RiskView {
    RiskView {
        score: risk.score,
        level: risk.level.as_str().to_owned(),
        parts: risk
            .parts
            .iter()
            .map(|part| RiskPartView {
                points: part.points,
                about: AboutView::from(&part.about),
                kind: Word(part.kind),
                severity: Word(part.severity),
                source: part.source.to_string(),
                observed_at: Written(part.observed_at),
                detail: part.detail.to_string(),
            })
            .collect(),
        others: risk.others,
        others_points: risk.others_points,
        concerned: concerned.iter().map(AboutView::from).collect(),
    }
}

impl From<TakeSignalError> for Problem {
    fn from(error: TakeSignalError) -> Self {
        let detail = error.to_string();
        match error {
            TakeSignalError::Signal(_)
            | TakeSignalError::Future { .. }
            | TakeSignalError::TooMany { .. } => Self::invalid(detail),
            TakeSignalError::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail),
            TakeSignalError::Stop(error) => error.into(),
            TakeSignalError::Submit(_)
            | TakeSignalError::Append(_)
            | TakeSignalError::Record(_) => Self::not_recorded(&detail),
        }
    }
}
