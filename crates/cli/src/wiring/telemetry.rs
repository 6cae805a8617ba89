//! Logs to standard error; traces by OTLP where the configuration names an endpoint.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
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
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| failed("telemetry.otlp_endpoint", error))?;
    let resource = opentelemetry_sdk::Resource::builder().with_service_name("safeconduct").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
