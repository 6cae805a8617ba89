//! Probes: they go the way of a call, up to the decision, and nothing comes of them.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use safeconduct_gateway::{Gateway, Limits, list_tools};
use safeconduct_model::{
    ActionName, Assurance, Authentication, Decision, IdentityId, Method, Mode, ServerName,
    Timestamp, TokenId, Value,
};
use safeconduct_pep::InProcess;
use safeconduct_service::{PointProbe, Probed};
use support::Point;
use support::client::Client;

const POLICIES: &str = r#"
@id("echo") permit (principal, action == Safeconduct::Action::"s.echo", resource);"#;

fn probe(action: &str) -> PointProbe {
    PointProbe {
        server: ServerName::new("s").unwrap(),
        action: ActionName::new(action).unwrap(),
        input: Value::object([("text", Value::from("x"))]),
        proof: Authentication {
            identity: IdentityId::new("agent").unwrap(),
            token: TokenId::new("probe").unwrap(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: Timestamp::default(),
            expires_at: None,
            task: None,
        },
    }
}

async fn bench(mode: Mode) -> (Point, Gateway<InProcess>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripted_server.py");
    let mut upstream = support::stdio("s", "python3", &[path]);
    upstream.mode = mode;
    let tools = list_tools(&upstream, &Limits::default()).await.unwrap();
    let point = support::point(&upstream.name, &tools, POLICIES).await;
    let gateway = point.gateway(upstream, Limits::default());
    (point, gateway)
}

fn answer(found: &Probed) -> (Decision, Mode, String) {
    match found {
        Probed::Weighed { point, outcome } => (outcome.decision, outcome.mode, point.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_answered_as_the_call_would_be_and_leaves_no_trace() {
    let (point, gateway) = bench(Mode::Enforce).await;
    let before = point.bodies().len();
    let echo = gateway.probe(probe("s.echo")).await;
    let (decision, mode, at) = answer(&echo);
    assert_eq!((decision, mode, &*at), (Decision::Permit, Mode::Enforce, "gateway:s"));
    let other = gateway.probe(probe("s.patient")).await;
    assert_eq!(answer(&other).0, Decision::Deny);
    assert_eq!(point.bodies().len(), before, "nothing is recorded of it");
    let upstream = &gateway.upstreams()[0];
    assert_eq!(upstream.connections, 0, "no upstream was connected to");
    assert_eq!(gateway.sessions(), 0);
    // A call by the same identity is answered the same.
    let client = Client::begun(&gateway, support::TOKEN, "2026-07-28").await;
    assert!(client.call("echo", serde_json::json!({"text": "x"})).await.succeeded());
    assert!(!client.call("patient", serde_json::json!({})).await.succeeded());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_only_observes_says_so() {
    let (_point, gateway) = bench(Mode::Observe).await;
    let (decision, mode, _) = answer(&gateway.probe(probe("s.patient")).await);
    assert_eq!((decision, mode), (Decision::Deny, Mode::Observe));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_decided_on_here_is_not_answered() {
    let (point, gateway) = bench(Mode::Enforce).await;
    let elsewhere = PointProbe { server: ServerName::new("t").unwrap(), ..probe("t.echo") };
    assert!(matches!(gateway.probe(elsewhere).await, Probed::NotServed));
    for action in ["s.safeconduct_begin_task", "s/tools/list", "s/no/such", "t.echo"] {
        let found = gateway.probe(probe(action)).await;
        assert!(matches!(found, Probed::Silent(_)), "{action}: {found:?}");
    }
    let decided = point.decisions();
    assert!(decided.is_empty(), "{decided:?}");
}
