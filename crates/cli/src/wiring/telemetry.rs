//! Logs to standard error; traces by OTLP where the configuration names an endpoint.

use std::io::IsTerminal as _;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Instrument as _;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::exit::{CommandError, failed};

/// Sends what is left when it is dropped.
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::debug!(%error, "the last traces were not sent");
        }
    }
}

/// Starts logging, and tracing where there is an endpoint. `SAFECONDUCT_LOG` filters the log as
/// `RUST_LOG` does elsewhere.
///
/// # Errors
/// The endpoint cannot be used.
pub(crate) fn start(endpoint: Option<&str>, quiet: bool) -> Result<Telemetry, CommandError> {
    let default = if quiet { "error" } else { "warn,safeconduct=info" };
    let filter = EnvFilter::try_from_env("SAFECONDUCT_LOG").unwrap_or_else(|_| default.into());
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(filter);
    let provider = endpoint.map(provider).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        // Spans have a target of their own, so that they cost nothing where nobody wants them.
        let spans = Targets::new().with_target("safeconduct::span", LevelFilter::TRACE);
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("safeconduct"))
            .with_filter(spans)
    });
    // A second server in one process, as tests have, keeps the first one's log.
    let _ = tracing_subscriber::registry().with(log).with(traces).try_init();
    Ok(Telemetry(provider))
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, CommandError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(traces_at(endpoint))
        .build()
        .map_err(|error| failed("telemetry.otlp_endpoint", error))?;
    let resource = opentelemetry_sdk::Resource::builder().with_service_name("safeconduct").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Where traces go at an endpoint: one without a path is a collector, whose path the OTLP
/// specification sets.
fn traces_at(endpoint: &str) -> String {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    match rest.split_once('/') {
        None => format!("{endpoint}/v1/traces"),
        Some((_, "")) => format!("{endpoint}v1/traces"),
        Some(_) => endpoint.to_owned(),
    }
}

/// Gives every request a span whose parent is the caller's, where the caller names one
/// (W3C Trace Context); the spans of its decisions are the children of it. Only for a server that
/// has an endpoint: without one, no request pays for this.
pub(crate) fn traced(router: Router) -> Router {
    router.layer(from_fn(within_span))
}

async fn within_span(request: Request, next: Next) -> Response {
    // The route and not the path: a path names identities.
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let span = tracing::trace_span!(
        target: "safeconduct::span",
        "request",
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = route,
        http.response.status_code = Empty,
    );
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // It cannot have begun yet, and a layer that is not there has nothing to tell.
    let _ = span.set_parent(parent);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    response
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_without_a_path_is_a_collector() {
        for (endpoint, traces) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://a.example/otlp/v1/traces", "https://a.example/otlp/v1/traces"),
        ] {
            assert_eq!(traces_at(endpoint), traces);
        }
    }
}
