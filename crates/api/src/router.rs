//! The routes, and what their handlers share.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use safeconduct_service::{Administration, ReadModel, Service, Watch};
use safeconduct_wire::authzen::Metadata;
use tokio::sync::{Semaphore, watch};

use crate::config::Doors;
use crate::problem::Problem;
use crate::tail::TAILS_MAX;
use crate::{
    ApiConfig, ApiError, Controls, Metrics, SignalEdges, access_requests, authzen,
    authzen_requests, break_glass, campaigns, catalogue, delegations, estate, findings, health,
    identities, imports, intents, inventory, keys, kill, leases, oauth, outcome, passkeys,
    policies, proposals, records, refused, remediations, scim, search, sessions, signals, ssf,
    streams, tail, tasks, tokens,
};

/// The HTTP side of one server process.
#[derive(Clone)]
pub struct Api(Shared);

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Inner>);

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

pub(crate) struct Inner {
    pub(crate) service: Arc<Service>,
    pub(crate) read: Arc<dyn ReadModel>,
    pub(crate) controls: Arc<dyn Controls>,
    pub(crate) administration: Administration,
    pub(crate) doors: Doors,
    /// Where access is requested that was denied.
    pub(crate) request_endpoint: String,
    /// The AuthZEN metadata document's bytes.
    pub(crate) metadata: Vec<u8>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tails: Arc<Semaphore>,
    pub(crate) edges: OnceLock<SignalEdges>,
    /// Where browsers reach the pages, without a `/` at its end; none where there are none.
    pub(crate) pages: OnceLock<String>,
    /// The URL by which others reach this server, without a `/` at its end.
    pub(crate) base_url: String,
    /// Held while a directory changes people and groups: its requests come side by side, and each
    /// changes what it has looked at.
    pub(crate) provisioning: tokio::sync::Mutex<()>,
    /// True once the server stops: streams end.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Api {
    /// The HTTP side of that decision point.
    ///
    /// # Errors
    /// [`ApiError`] where the configuration does not fit.
    pub fn new(
        service: Arc<Service>,
        read: Arc<dyn ReadModel>,
        controls: Arc<dyn Controls>,
        config: &ApiConfig,
    ) -> Result<Self, ApiError> {
        let metadata = Metadata::at(&config.base_url);
        let base_url = metadata.policy_decision_point.clone();
        let metrics = Arc::new(Metrics::default());
        if let Some(at) = controls.policies().loaded_at {
            metrics.policies_loaded(at);
        }
        service.watch(&(Arc::clone(&metrics) as Arc<dyn Watch>));
        Ok(Self(Shared(Arc::new(Inner {
            service,
            read,
            controls,
            administration: Administration::load()?,
            doors: Doors::new(config)?,
            request_endpoint: metadata.access_request_endpoint.clone(),
            metadata: serde_json::to_vec(&metadata).unwrap_or_default(),
            metrics,
            tails: Arc::new(Semaphore::new(TAILS_MAX)),
            edges: OnceLock::new(),
            pages: OnceLock::new(),
            base_url,
            provisioning: tokio::sync::Mutex::new(()),
            stopping: watch::Sender::new(false),
        }))))
    }

    /// The metrics, for the other edges to count in.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Says where browsers reach the pages on which people answer, without a `/` at its end. The
    /// first word holds; without one there are no pages, and nobody is led to any.
    pub fn lead_to_pages(&self, base_url: String) {
        let _ = self.0.pages.set(base_url);
    }

    /// Lets others tell us of risk, and be told. The first word holds; without one, nobody is
    /// heard.
    pub fn open_signals(&self, edges: SignalEdges) {
        // A second word would leave those who follow the first one alone.
        let _ = self.0.edges.set(edges);
    }

    /// Ends the streams that would otherwise stay open: call it when the server stops.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    /// The routes. Merge those of other edges before serving them; the fallback of unknown paths
    /// comes with these.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/access/v1/evaluation", post(authzen::evaluation))
            .route("/access/v1/evaluations", post(authzen::evaluations))
            .route("/access/v1/search/subject", post(search::subjects))
            .route("/access/v1/search/resource", post(search::resources))
            .route("/access/v1/search/action", post(search::actions))
            .route("/.well-known/authzen-configuration", get(authzen::configuration))
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics))
            .route("/v1/signals/streams/{name}", post(streams::push))
            .route("/v1/signals/webhooks/{name}", post(streams::webhook))
            .merge(oauth::routes())
            .merge(ssf::routes(self.0.clone()))
            .merge(self.administration())
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .with_state(self.0.clone())
    }
}

impl Inner {
    /// What tells us of risk, and what we tell others: nothing, until it is opened.
    pub(crate) fn signals(&self) -> &SignalEdges {
        self.edges.get().unwrap_or(&NOTHING)
    }
}

static NOTHING: SignalEdges =
    SignalEdges { streams: None, control: None, transmitter: None, deliveries: None };

impl Api {
    /// What our own policies authorize, and whose refusals are recorded. The path of a decision
    /// is not among it, so that no decision pays for this.
    fn administration(&self) -> Router<Shared> {
        Router::new()
            .route("/v1/decisions/{id}/outcome", post(outcome::report))
            .route("/access/v1/request", post(authzen_requests::request))
            .route("/access/v1/request/{id}", get(authzen_requests::status))
            .route("/access/v1/request/{id}/cancel", post(authzen_requests::cancel))
            .route("/v1/access-requests", get(access_requests::list).post(access_requests::ask))
            .route("/v1/access-requests/answers", post(access_requests::answer_all))
            .route("/v1/access-requests/{id}", get(access_requests::show))
            .route("/v1/access-requests/{id}/wait", get(access_requests::wait))
            .route("/v1/access-requests/{id}/answer", post(access_requests::answer))
            .route("/v1/access-requests/{id}/revoke", post(access_requests::revoke))
            .route("/v1/break-glass", get(break_glass::list).post(break_glass::break_glass))
            .route("/v1/break-glass/reviews", get(break_glass::reviews))
            .route("/v1/break-glass/{id}/mend", post(break_glass::mend))
            .route("/v1/break-glass/{id}/review", post(break_glass::review))
            .route("/v1/campaigns", get(campaigns::list).post(campaigns::start))
            .route("/v1/campaigns/standing/{name}", delete(campaigns::withdraw))
            .route("/v1/campaigns/{id}", get(campaigns::show))
            .route("/v1/campaigns/{id}/items", get(campaigns::items))
            .route("/v1/campaigns/{id}/items/{case}", get(campaigns::item))
            .route("/v1/campaigns/{id}/decisions", post(campaigns::decide))
            .route("/v1/campaigns/{id}/reassign", post(campaigns::reassign))
            .route("/v1/campaigns/{id}/close-stage", post(campaigns::close_stage))
            .route("/v1/campaigns/{id}/reiterate", post(campaigns::reiterate))
            .route("/v1/campaigns/{id}/sign-off", post(campaigns::sign_off))
            .route("/v1/campaigns/{id}/cancel", post(campaigns::cancel))
            .route("/v1/estate/who", get(estate::who))
            .route("/v1/estate/who/{id}", get(inventory::show))
            .route("/v1/estate/owns", get(estate::owns))
            .route("/v1/estate/can/{id}", get(estate::can))
            .route("/v1/estate/why/{id}", get(estate::why))
            .route("/v1/estate/did/{id}", get(estate::did))
            .route("/v1/estate/stop/{id}", get(estate::stop))
            .route("/v1/findings", get(findings::list))
            .route("/v1/findings/scan", post(findings::scan))
            .route("/v1/findings/{id}", get(findings::show))
            .route("/v1/findings/{id}/exemption", post(findings::exempt).delete(findings::unexempt))
            .route("/v1/whoami", get(identities::whoami))
            .route("/v1/identities", get(identities::list))
            .route("/v1/imports", get(imports::list).post(imports::run))
            .route("/v1/identities/{id}", get(identities::show).put(identities::change))
            .route("/v1/tokens", get(tokens::list).post(tokens::issue))
            .route("/v1/tokens/{id}/revoke", post(tokens::revoke))
            .route("/v1/records", get(records::query))
            .route("/v1/records/{id}", get(records::show))
            .route("/v1/policy-proposals", get(proposals::list).post(proposals::make))
            .route("/v1/policy-proposals/{id}", get(proposals::show))
            .route("/v1/policy-folder", get(proposals::folder))
            .route("/v1/policy-proposals/{id}/answer", post(proposals::answer))
            .route("/v1/remediations", get(remediations::list).post(remediations::schedule))
            .route("/v1/remediations/{id}", get(remediations::show))
            .route("/v1/remediations/{id}/step", post(remediations::step))
            .route("/v1/log/tail", get(tail::tail))
            .route("/v1/log/checkpoint", get(records::checkpoint))
            .route("/v1/policies", get(policies::show))
            .route("/v1/policies/reload", post(policies::reload))
            .route("/v1/catalogue", get(catalogue::list))
            .route("/v1/upstreams", get(catalogue::upstreams))
            .route("/v1/intents", get(intents::list))
            .route("/v1/intents/{name}", get(intents::show))
            .route("/v1/tasks", get(tasks::list).post(tasks::begin))
            .route("/v1/tasks/{id}", get(tasks::show))
            .route("/v1/tasks/{id}/end", post(tasks::end))
            .route("/v1/delegations", get(delegations::list).post(delegations::make))
            .route("/v1/delegations/{id}", delete(delegations::end))
            .route("/v1/passkeys", get(passkeys::list))
            .route("/v1/passkeys/{id}", delete(passkeys::remove))
            .route("/v1/leases", get(leases::list).post(leases::issue))
            .route("/v1/leases/{id}/renew", post(leases::renew))
            .route("/v1/keys", get(keys::list))
            .route("/v1/keys/drop", post(keys::drop_key))
            .route("/v1/keys/rotate", post(keys::rotate))
            .route("/v1/kill", post(kill::kill))
            .route("/v1/kill/lift", post(kill::lift))
            .route("/v1/risk", get(signals::risk))
            .route("/v1/signals", get(signals::list).post(signals::put))
            .route("/v1/signals/streams", get(streams::list))
            .route("/v1/signals/streams/{name}/status", get(streams::status))
            .route("/v1/signals/streams/{name}/verify", post(streams::verify))
            .route("/v1/sessions/{identity}/{token}", get(sessions::show))
            .route("/v1/sessions/{identity}/{token}/erase", post(sessions::erase))
            .merge(scim::routes())
            .route_layer(from_fn_with_state(self.0.clone(), refused::recorded))
    }
}

async fn unknown() -> impl IntoResponse {
    Problem::new(http::StatusCode::NOT_FOUND, "unknown_path", "there is nothing at this path")
}

async fn wrong_method() -> impl IntoResponse {
    let status = http::StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(status, "wrong_method", "this path does not take this method")
}
