//! A gateway that permits everything, for conformance suites: it knows the upstream's tools as
//! they are at its start, and takes a request without a token for the agent's own.
//!
//! `permit_all LISTEN NAME URL` or `permit_all LISTEN NAME -- COMMAND ARGS…`

#![expect(clippy::unwrap_used, clippy::panic, reason = "whoever starts it reads what went wrong")]

#[path = "../tests/support/mod.rs"]
mod support;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::serve::ListenerExt as _;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use safeconduct_gateway::{Limits, list_tools};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells whoever started it where it listens")]
async fn main() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let all: Vec<&str> = args.iter().map(String::as_str).collect();
    let (listen, upstream) = match all.as_slice() {
        [listen, name, "--", command, rest @ ..] => (listen, support::stdio(name, command, rest)),
        [listen, name, url] => (listen, support::http(name, url)),
        _ => panic!("permit_all LISTEN NAME (URL | -- COMMAND ARGS…)"),
    };
    let limits = Limits::default();
    let tools = list_tools(&upstream, &limits).await.unwrap();
    let point = support::point(&upstream.name, &tools, support::PERMIT_ALL).await;
    let path = format!("/mcp/{}", upstream.name);
    let gateway = point.gateway(upstream, limits);
    let router = gateway.router().layer(from_fn(|mut request: Request, next: Next| async {
        let headers = request.headers_mut();
        if !headers.contains_key(AUTHORIZATION) {
            let bearer = HeaderValue::try_from(format!("Bearer {}", support::TOKEN)).unwrap();
            headers.insert(AUTHORIZATION, bearer);
        }
        next.run(request).await
    }));
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    println!("http://{}{path} with {} tools", listener.local_addr().unwrap(), tools.len());
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, router).with_graceful_shutdown(stop).await.unwrap();
    gateway.shutdown().await;
}
