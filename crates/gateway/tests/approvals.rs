//! Denials that people may set aside, as a client of the gateway meets them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use http::Request;
use safeconduct_gateway::{Approvals, Gateway, GatewayConfig, Limits, UpstreamConfig, list_tools};
use safeconduct_model::*;
use safeconduct_pep::InProcess;
use safeconduct_service::{AccessExtent, AccessState, AccessWord, Answering, token_digest};
use serde_json::{Value as Json, json};
use support::client::{Client, REVISIONS, Reply};
use support::{OTHER_TOKEN, Point, TOKEN};
use tower::ServiceExt as _;

const POLICIES: &str = r#"
@id("all") permit (principal, action, resource);
@id("ask") @message("what leaves the house needs its owner's word")
@requestable("approvers=principal.owner; quorum=1; ttl=15m")
forbid (principal, action == Safeconduct::Action::"s.echo", resource)
unless { context has approval };
@id("never") forbid (principal, action == Safeconduct::Action::"s.die", resource);
"#;

/// An argument's value that nothing but the owner may see.
const SECRET: &str = "value-of-an-argument";
const PAGES: &str = "https://guard.example";

struct Bench {
    point: Point,
    gateway: Gateway<InProcess>,
}

async fn bench(arguments: &[&str], approvals: Approvals) -> Bench {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripted_server.py");
    let upstream = support::stdio("s", "python3", &[&[path], arguments].concat());
    let upstream = UpstreamConfig { approvals, ..upstream };
    let tools = list_tools(&upstream, &Limits::default()).await.unwrap();
    let point = support::point(&upstream.name, &tools, POLICIES).await;
    let me = IdentityId::new("admin").unwrap();
    let alice = Identity {
        id: IdentityId::new("alice").unwrap(),
        kind: IdentityKind::User,
        status: IdentityStatus::Active,
        owner: None,
        sponsor: None,
        imported: None,
        fallback_owner: None,
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::new(),
    };
    let token = Token {
        id: TokenId::new("tok_alice").unwrap(),
        identity: alice.id.clone(),
        digest: token_digest("token-of-alice"),
        issued_at: Timestamp::default(),
        expires_at: Timestamp::from_millis(4_102_444_800_000),
        revoked: false,
    };
    point.service.change_identity(alice, &me).await.unwrap();
    point.service.register_token(token, &me).await.unwrap();
    let config = GatewayConfig {
        upstreams: vec![upstream],
        pages: Some(PAGES.into()),
        ..Default::default()
    };
    let authority = Arc::new(InProcess::new(Arc::clone(&point.service)));
    let gateway = Gateway::new(config, authority).unwrap();
    Bench { point, gateway }
}

impl Bench {
    async fn client(&self, version: &'static str) -> Client {
        Client::begun(&self.gateway, TOKEN, version).await
    }

    /// A client that can open pages.
    async fn browsing(&self, version: &'static str) -> Client {
        let able = json!({"elicitation": {"url": {}}});
        Client::begun_able(&self.gateway, TOKEN, version, &[], able).await
    }

    async fn answer(&self, request: &str, word: AccessWord) -> AccessState {
        let request = RecordId::new(request).unwrap();
        let shown = self.point.service.access_summary(&request).unwrap().digest;
        let by = Authentication {
            identity: IdentityId::new("alice").unwrap(),
            token: TokenId::new("tok_alice").unwrap(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: self.point.service.now(),
            expires_at: None,
            task: None,
        };
        let answering = Answering { request, by, standing_in_for: None, word, shown };
        self.point.service.answer_access(answering).await.unwrap().state
    }

    async fn approve(&self, request: &str) {
        let state = self.answer(request, AccessWord::Approve(AccessExtent::Once)).await;
        assert_eq!(state, AccessState::Approved);
    }

    fn made(&self) -> usize {
        let bodies = self.point.bodies();
        bodies.iter().filter(|body| body.kind() == "access_request").count()
    }
}

/// What programs are told of a denial.
fn told(reply: &Reply) -> &Json {
    match reply.result()["_meta"]["safeconduct/decision"].is_object() {
        true => &reply.result()["_meta"]["safeconduct/decision"],
        false => &reply.last()["error"]["data"],
    }
}

fn request_of(reply: &Reply) -> String {
    told(reply)["request"]["id"].as_str().unwrap_or_else(|| no_request(reply)).to_owned()
}

#[expect(clippy::panic, reason = "a test that cannot go on fails")]
fn no_request(reply: &Reply) -> ! {
    panic!("no request in {:?}", reply.messages)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_names_its_request_and_the_same_call_goes_through_once() {
    for (arguments, version) in
        [(&[][..], REVISIONS[0]), (&[][..], REVISIONS[1]), (&["modern"][..], REVISIONS[2])]
    {
        let bench = bench(arguments, Approvals::OnDenial).await;
        let asks = json!({"to": SECRET});
        let (client, before) = (bench.client(version).await, bench.point.decisions().len());
        let denied = client.call("echo", asks.clone()).await;
        assert_eq!(denied.result()["isError"], true, "{:?}", denied.messages);
        let request = request_of(&denied);
        for part in
            ["rule `ask`", &request, "principal.owner", "make the very same call again", PAGES]
        {
            assert!(denied.text().contains(part), "no `{part}` in {}", denied.text());
        }
        assert!(!denied.text().contains("unchanged"), "{}", denied.text());
        let about = &told(&denied)["request"];
        assert_eq!(about["state"], "pending");
        assert_eq!(about["approvers"], json!(["principal.owner"]));
        assert_eq!(about["page"], format!("{PAGES}/approve/{request}"));
        assert_eq!(told(&denied)["retry"], "once_approved");
        assert!(!denied.last().to_string().contains(SECRET), "{:?}", denied.messages);
        // Of one call there is one decision, and whoever insists has one request.
        assert_eq!(bench.point.decisions().len(), before + 1);
        assert_eq!(request_of(&client.call("echo", asks.clone()).await), request);
        assert_eq!(bench.made(), 1);
        let other = client.call("echo", json!({"to": "somebody else"})).await;
        assert_ne!(request_of(&other), request);
        // What nobody may set aside is asked of nobody.
        let never = client.call("die", json!({})).await;
        assert_eq!(told(&never)["request"], Json::Null);
        assert!(never.text().contains("cannot be requested"), "{}", never.text());

        bench.approve(&request).await;
        // The same identity in another session of another connection.
        let later = bench.client(version).await;
        assert_eq!(request_of(&later.call("echo", json!({"to": "x"})).await).len(), request.len());
        let stranger = Client::begun(&bench.gateway, OTHER_TOKEN, version).await;
        assert!(!stranger.call("echo", asks.clone()).await.succeeded());
        let permitted = later.call("echo", asks.clone()).await;
        assert!(permitted.succeeded(), "{:?}", permitted.messages);
        let again = later.call("echo", asks.clone()).await;
        assert!(!again.succeeded());
        assert_ne!(request_of(&again), request);
        bench.gateway.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_a_browser_is_asked_to_open_the_page_and_told_when_it_is_answered() {
    let bench = bench(&[], Approvals::OnDenial).await;
    let client = bench.browsing(REVISIONS[1]).await;
    let denied = client.call("echo", json!({"to": SECRET})).await;
    let error = &denied.last()["error"];
    assert_eq!(error["code"], -32042, "{:?}", denied.messages);
    let request = request_of(&denied);
    let page = format!("{PAGES}/approve/{request}");
    let message = "`agent` asks for an approval of `s.echo`.";
    assert_eq!(
        error["data"]["elicitations"],
        json!([{"mode": "url", "elicitationId": request, "url": page, "message": message}])
    );
    assert!(!denied.last().to_string().contains(SECRET), "{:?}", denied.messages);
    bench.approve(&request).await;
    let listening = Request::get("/mcp/s")
        .header("host", "localhost")
        .header("accept", "text/event-stream")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("mcp-session-id", client.session.clone().unwrap())
        .header("mcp-protocol-version", REVISIONS[1]);
    let response = bench.gateway.router().oneshot(listening.body(Body::empty()).unwrap()).await;
    let mut frames = response.unwrap().into_body().into_data_stream();
    let heard = async {
        loop {
            let frame = frames.next().await.unwrap().unwrap();
            let text = String::from_utf8_lossy(&frame).into_owned();
            if text.contains("notifications/elicitation/complete") {
                return text;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), heard).await.unwrap();
    assert!(heard.contains(&request), "{heard}");
    assert!(client.call("echo", json!({"to": SECRET})).await.succeeded());
    // An older client, and one without a browser, read a denial.
    for client in [bench.browsing(REVISIONS[0]).await, bench.client(REVISIONS[1]).await] {
        let denied = client.call("echo", json!({"to": SECRET})).await;
        assert_eq!(denied.result()["isError"], true, "{:?}", denied.messages);
    }
    bench.gateway.shutdown().await;
}

fn echo(back: Json) -> Json {
    let mut params = json!({"name": "echo", "arguments": {"to": SECRET}});
    for (name, value) in back.as_object().unwrap() {
        params[name] = value.clone();
    }
    params
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_a_page_is_no_approval_and_the_retry_waits_for_one() {
    let bench = Arc::new(bench(&["modern"], Approvals::OnDenial).await);
    let client = bench.browsing(REVISIONS[2]).await;
    let asked = client.ask("tools/call", echo(json!({}))).await;
    assert_eq!(asked.result()["resultType"], "input_required", "{:?}", asked.messages);
    let question = &asked.result()["inputRequests"]["safeconduct_approval"];
    let request = request_of(&asked);
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["mode"], "url");
    assert_eq!(question["params"]["url"], format!("{PAGES}/approve/{request}"));
    assert_eq!(question["params"]["elicitationId"], Json::Null);
    assert!(!asked.last().to_string().contains(SECRET), "{:?}", asked.messages);
    let state = asked.result()["requestState"].clone();
    let back = |action: &str| {
        let answer = json!({"safeconduct_approval": {"action": action}});
        echo(json!({"requestState": state, "inputResponses": answer}))
    };
    // Whoever does not open it is told so, and nothing is waited for.
    for action in ["decline", "cancel", "made-up"] {
        let denied = client.ask("tools/call", back(action)).await;
        assert_eq!(denied.result()["isError"], true, "{:?}", denied.messages);
        assert_eq!(request_of(&denied), request);
    }
    // Who says that it was opened waits, and the answer alone counts.
    let (waits, params) = (client.clone(), back("accept"));
    let waiting = tokio::spawn(async move { waits.ask("tools/call", params).await });
    tokio::task::yield_now().await;
    bench.approve(&request).await;
    let permitted = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    assert!(permitted.succeeded(), "{:?}", permitted.messages);
    // What was given back to the gateway is no part of the call.
    assert!(!permitted.text().contains("inputResponses"), "{}", permitted.text());
    let again = client.ask("tools/call", back("accept")).await;
    assert_eq!(again.result()["isError"], true, "{:?}", again.messages);
    // A refusal is one, whatever the client says.
    let asked = client.call("echo", json!({"to": "nobody"})).await;
    let request = request_of(&asked);
    let refuse = AccessWord::Refuse { reason: "no".into() };
    assert_eq!(bench.answer(&request, refuse).await, AccessState::Refused);
    let mut params = json!({"name": "echo", "arguments": {"to": "nobody"}});
    params["requestState"] = json!(format!("safeconduct_approval:{request}"));
    params["inputResponses"] = json!({"safeconduct_approval": {"action": "accept"}});
    let refused = client.ask("tools/call", params).await;
    assert_eq!(refused.result()["isError"], true, "{:?}", refused.messages);
    assert!(refused.text().contains("was refused"), "{}", refused.text());
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_back_to_a_server_is_not_lost_for_a_page() {
    let bench = bench(&["modern"], Approvals::OnDenial).await;
    let client = bench.browsing(REVISIONS[2]).await;
    let theirs = echo(json!({"requestState": "theirs", "inputResponses": {"a": {}}}));
    let denied = client.ask("tools/call", theirs.clone()).await;
    assert_eq!(denied.result()["isError"], true, "{:?}", denied.messages);
    bench.approve(&request_of(&denied)).await;
    // What is given back is part of what was approved.
    for other in [echo(json!({})), echo(json!({"requestState": "other"}))] {
        let denied = client.ask("tools/call", other).await;
        assert!(denied.result()["resultType"] == "input_required" || !denied.succeeded());
    }
    assert!(client.ask("tools/call", theirs).await.succeeded());
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_approved_in_a_task_goes_through_in_that_task_alone() {
    for (arguments, version) in [(&[][..], REVISIONS[1]), (&["modern"][..], REVISIONS[2])] {
        let bench = bench(arguments, Approvals::OnDenial).await;
        bench.point.intents("s", &[("work", &["echo"])]).await;
        bench.point.begin("work", "one").await;
        bench.point.begin("work", "two").await;
        let asks = json!({"to": SECRET});
        let within = async |handle: &str| {
            let headers = [("safeconduct-task", handle)];
            let client = Client::begun_with(&bench.gateway, TOKEN, version, &headers).await;
            client.call("echo", asks.clone()).await
        };
        let denied = within("one").await;
        bench.approve(&request_of(&denied)).await;
        assert!(!within("two").await.succeeded());
        assert!(!bench.client(version).await.call("echo", asks.clone()).await.succeeded());
        assert!(within("one").await.succeeded());
        assert!(!within("one").await.succeeded());
        bench.gateway.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_asks_in_its_own_words_and_looks_where_its_request_stands() {
    let bench = Arc::new(bench(&[], Approvals::OnRequest).await);
    let client = bench.client(REVISIONS[1]).await;
    let tools = client.tools().await.to_string();
    for name in ["safeconduct_request_approval", "safeconduct_approval_status"] {
        assert!(tools.contains(name), "{tools}");
    }
    let denied = client.call("echo", json!({"to": SECRET})).await;
    assert_eq!(told(&denied)["request"], Json::Null);
    assert!(denied.text().contains("safeconduct_request_approval"), "{}", denied.text());
    assert_eq!(bench.made(), 0);

    let ask = json!({"tool": "echo", "arguments": {"to": SECRET}, "justification": "it is due"});
    let asked = client.call("safeconduct_request_approval", ask).await;
    assert!(asked.succeeded(), "{:?}", asked.messages);
    let told = &asked.result()["structuredContent"];
    assert_eq!(told["state"], "pending", "{:?}", asked.messages);
    assert!(!asked.last().to_string().contains(SECRET), "{:?}", asked.messages);
    let request = told["id"].as_str().unwrap().to_owned();
    let id = RecordId::new(&*request).unwrap();
    let seen = bench.point.service.access_request(&id).unwrap().asked.unwrap();
    assert!(format!("{:?}", seen.justification).contains("it is due"));
    // Nothing ran, and what is permitted or hopeless is asked of nobody.
    assert_eq!(bench.point.outcomes(), []);
    for (tool, code) in [("reveal", "not_needed"), ("die", "policy")] {
        let ask = json!({"tool": tool, "arguments": {}});
        let refused = client.call("safeconduct_request_approval", ask).await;
        assert_eq!(refused.result()["isError"], true, "{:?}", refused.messages);
        let text = refused.last().to_string();
        assert!(text.contains(code) || tool == "die", "{text}");
    }

    let look = |wait: i64| json!({"request": request, "wait_seconds": wait});
    let status = client.call("safeconduct_approval_status", look(0)).await;
    assert_eq!(status.result()["structuredContent"]["state"], "pending");
    // Nobody else learns that there is such a request.
    let stranger = Client::begun(&bench.gateway, OTHER_TOKEN, REVISIONS[1]).await;
    let unknown = stranger.call("safeconduct_approval_status", look(5)).await;
    assert!(unknown.text().contains("that is known"), "{:?}", unknown.messages);

    let (waits, params) = (client.clone(), look(50));
    let waiting =
        tokio::spawn(async move { waits.call("safeconduct_approval_status", params).await });
    tokio::task::yield_now().await;
    bench.approve(&request).await;
    let status = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    let told = &status.result()["structuredContent"];
    assert_eq!((told["state"].as_str(), told["uses_left"].as_i64()), (Some("approved"), Some(1)));
    assert!(client.call("echo", json!({"to": SECRET})).await.succeeded());
    let status = client.call("safeconduct_approval_status", look(0)).await;
    assert_eq!(status.result()["structuredContent"]["state"], "spent");
    bench.gateway.shutdown().await;
}
