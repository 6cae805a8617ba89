//! How a client that has no token finds out where to get one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use safeconduct_gateway::{Gateway, Limits, ProtectedResource};
use safeconduct_model::ServerName;
use safeconduct_pep::InProcess;
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

const BASE: &str = "https://gateway.example";

async fn gateway() -> Gateway<InProcess> {
    let point = support::point(&ServerName::new("s").unwrap(), &[], support::PERMIT_ALL).await;
    // It is never started: nothing here gets so far.
    point.gateway(support::stdio("s", "false", &[]), Limits::default())
}

async fn ask(gateway: &Gateway<InProcess>, path: &str, host: &str) -> (StatusCode, String, Json) {
    let request = Request::get(path)
        .header("host", host)
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example")
        .body(Body::empty())
        .unwrap();
    let response = gateway.router().oneshot(request).await.unwrap();
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, challenge, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn a_client_without_a_token_is_led_to_whoever_issues_one() {
    let gateway = gateway().await;
    let well_known = "/.well-known/oauth-protected-resource";
    let (status, challenge, _) = ask(&gateway, "/mcp/s", "localhost").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(challenge, "Bearer realm=\"safeconduct\"");
    assert_eq!(ask(&gateway, well_known, "localhost").await.0, StatusCode::NOT_FOUND);

    let resource = ProtectedResource::new(
        BASE,
        vec!["https://issuer.example".into()],
        vec!["mcp".into(), "mcp:tools".into()],
        vec!["ES256".into(), "EdDSA".into()],
    );
    let resource = resource.unwrap();
    assert_eq!(resource.identifier(&ServerName::new("s").unwrap()), format!("{BASE}/mcp/s"));
    gateway.describe(resource);
    let (_, challenge, _) = ask(&gateway, "/mcp/s", "127.0.0.1:8080").await;
    let expected = format!(
        "Bearer realm=\"safeconduct\", resource_metadata=\"{BASE}{well_known}/mcp/s\", \
         scope=\"mcp mcp:tools\""
    );
    assert_eq!(challenge, expected);
    let (status, _, metadata) = ask(&gateway, &format!("{well_known}/mcp/s"), "localhost").await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "resource": format!("{BASE}/mcp/s"),
        "authorization_servers": ["https://issuer.example"],
        "scopes_supported": ["mcp", "mcp:tools"],
        "bearer_methods_supported": ["header"],
        "resource_name": "s, guarded by Safeconduct",
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
    });
    assert_eq!(metadata, expected);
    let (status, _, metadata) = ask(&gateway, well_known, "localhost").await;
    assert_eq!((status, &metadata["resource"]), (StatusCode::OK, &json!(BASE)));
    // Whether there is such an upstream is nobody's business who brings no token.
    assert_eq!(
        ask(&gateway, &format!("{well_known}/mcp/none"), "localhost").await.0,
        StatusCode::OK
    );
    assert_eq!(
        ask(&gateway, &format!("{well_known}/mcp/A%22b"), "localhost").await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(ask(&gateway, well_known, "evil.example").await.0, StatusCode::FORBIDDEN);
    let (_, challenge, _) = ask(&gateway, "/mcp/A%22,x=%22b", "localhost").await;
    assert!(challenge.contains(&format!("\"{BASE}{well_known}\"")), "{challenge}");
    gateway.shutdown().await;
}
