//! Whether the process lives, whether it can do its work, and its numbers.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use safeconduct_service::LedgerHealth;
use serde::Serialize;
use utoipa::ToSchema;

use crate::metrics::{SentOut, StreamTokens};
use crate::router::{Inner, Shared};

/// Says that the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "Health",
    operation_id = "healthz",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")),
    security(())
)]
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether requests can be decided.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadyForm {
    /// Whether all of it is well.
    ready: bool,
    ledger: CheckForm,
    policies: CheckForm,
    /// Whether everyone is told who is to be told. Decisions do not wait for it, so readiness does
    /// not either.
    deliveries: CheckForm,
    /// Whether what was done in emergencies has been looked at in time. Readiness does not wait for
    /// that either.
    reviews: CheckForm,
}

/// Whether one thing is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckForm {
    ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl CheckForm {
    const fn of(reason: Option<String>) -> Self {
        Self { ok: reason.is_none(), reason }
    }
}

/// Says whether requests can be decided: the ledger takes records, and policies were loaded.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Health",
    operation_id = "readyz",
    responses(
        (status = 200, description = "They can", body = ReadyForm),
        (status = 503, description = "They cannot, and why; every decision is a Deny", body = ReadyForm),
    ),
    security(())
)]
pub(crate) async fn ready(State(api): State<Shared>) -> Response {
    let ledger = match api.service.health() {
        LedgerHealth::Ready => None,
        LedgerHealth::Failed(_) => Some("the ledger takes no records; see the server's log".into()),
    };
    let stopping = *api.stopping.borrow();
    let policies = match api.controls.policies().loaded_at {
        Some(_) => None,
        None => Some("no policies have been loaded".to_owned()),
    };
    let trouble = api.signals().deliveries.as_ref().and_then(|out| out.trouble());
    // Which target it is, is for the operators' log.
    let deliveries = trouble.map(|_| "somebody is not told; see the server's log".to_owned());
    let (ledger, policies) = (CheckForm::of(ledger), CheckForm::of(policies));
    let deliveries = CheckForm::of(deliveries);
    let now = api.service.now();
    let late = api.service.due_reviews().iter().any(|due| due.is_late(now));
    let reviews = late.then(|| "a review of what was done in an emergency is late".to_owned());
    let reviews = CheckForm::of(reviews);
    let ready = ledger.ok && policies.ok && !stopping;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyForm { ready, ledger, policies, deliveries, reviews })).into_response()
}

/// Gives the process's numbers to Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Health",
    operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics 1.0", body = String, content_type = "application/openmetrics-text")),
    security(())
)]
pub(crate) async fn metrics(State(api): State<Shared>) -> Response {
    refresh(&api);
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, OPENMETRICS)], api.metrics.text()).into_response()
}

/// Reads what is only worth reading when somebody asks.
fn refresh(api: &Inner) {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (service, metrics) = (&api.service, &api.metrics);
    metrics.ledger_ready.set(i64::from(service.health() == LedgerHealth::Ready));
    metrics.policies.set(number(service.world().policies().len() as u64));
    metrics.sessions.set(number(service.sessions() as u64));
    metrics.outcomes_pending.set(number(service.pending_outcomes() as u64));
    metrics.records_read.set(number(api.read.read_up_to()));
    let edges = api.signals();
    for (what, counts) in edges.deliveries.iter().flat_map(|out| out.counts()) {
        for (state, count) in [
            ("delivered", counts.delivered),
            ("failed_tries", counts.failed_tries),
            ("given_up", counts.given_up),
            ("dropped", counts.dropped),
            ("waiting", counts.waiting),
        ] {
            metrics.sent_out.get_or_create(&SentOut { what, state }).set(number(count));
        }
    }
    for view in edges.streams.iter().flat_map(|streams| streams.views()) {
        let sorts =
            [("taken", view.taken), ("repeated", view.before), ("passed_over", view.passed_over)];
        for (state, count) in sorts.into_iter().chain(view.refused) {
            let tokens = StreamTokens { stream: view.name.to_string(), state };
            metrics.stream_tokens.get_or_create(&tokens).set(number(count));
        }
    }
    let counts = api.service.signal_counts();
    let counts = [counts.subjects, counts.taken, counts.dropped, counts.missed];
    for (gauge, count) in metrics.signals.iter().zip(counts) {
        gauge.set(number(count));
    }
}
