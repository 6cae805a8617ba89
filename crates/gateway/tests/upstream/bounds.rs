//! What is bounded, configured and kept apart, and what servers may not get past.

use std::time::Duration;

use http::{Method, StatusCode};
use safeconduct_gateway::{Limits, list_tools};
use safeconduct_model::{Decision, Execution};
use serde_json::{Value as Json, json};

use crate::client::*;
use crate::support::{self, OTHER_TOKEN, PERMIT_ALL};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_asks_inside_a_result_never_skips_the_decision() {
    let policies = format!(
        "{PERMIT_ALL} forbid (principal, action == \
         Safeconduct::Action::\"s/sampling/createMessage\", resource);"
    );
    let bench = bench(&["modern"], &policies, Limits::default()).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    // Nothing of these was permitted, so there is nothing that input could be for.
    for method in ["resources/list", "server/discover"] {
        let body = modern(1, method, json!({})).to_string();
        let reply = client.raw(Method::POST, &[("mcp-method", method)], body).await;
        assert_eq!(reply.code(), -32603, "{method} {:?}", reply.messages);
        assert!(!reply.last().to_string().contains("sampling"), "{:?}", reply.messages);
    }
    assert_eq!(bench.point.decisions(), []);
    for tool in ["wants", "wants_badly", "wants_oddly"] {
        let headers = [("mcp-method", "tools/call"), ("mcp-name", tool)];
        let body = modern(2, "tools/call", json!({"name": tool, "arguments": {}})).to_string();
        let reply = client.raw(Method::POST, &headers, body).await;
        assert!(reply.last()["result"]["inputRequests"].is_null(), "{:?}", reply.messages);
        assert!(!reply.last().to_string().contains("maxTokens"), "{:?}", reply.messages);
    }
    let denied = bench.point.decisions().into_iter().filter(|(_, d)| *d == Decision::Deny);
    assert_eq!(denied.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_request_of_a_server_fails_no_call_that_has_its_id() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let reply = client.call("broken_request", json!({})).await;
    assert_eq!(reply.text(), "answered all the same", "{:?}", reply.messages);
    assert_eq!(bench.point.outcomes(), [(Execution::Succeeded, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_a_session_are_bounded_by_credential_and_end_with_the_gateway() {
    let limits = Limits { in_flight: 1, ..Limits::default() };
    let bench = bench(&["modern"], PERMIT_ALL, limits).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    let folder = tempfile::tempdir().unwrap();
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let params = json!({"name": "slow", "arguments": {"started": &started, "go": &go}});
    let headers = [("mcp-method", "tools/call"), ("mcp-name", "slow")];
    let slow = client.raw(Method::POST, &headers, modern(1, "tools/call", params).to_string());
    let list = modern(2, "tools/list", json!({})).to_string();
    let list = || client.raw(Method::POST, &[("mcp-method", "tools/list")], list.clone());
    let (slow, ()) = tokio::join!(slow, async {
        eventually(|| started.exists()).await;
        let reply = list().await;
        assert_eq!((reply.status.as_u16(), reply.code()), (429, -32603), "{:?}", reply.messages);
        // Another credential has a bound of its own: it is taken in, and refused elsewhere.
        let other =
            Client { version: Some("2026-07-28"), token: OTHER_TOKEN, ..Client::new(&bench) };
        let body = modern(3, "made/up", json!({})).to_string();
        let reply = other.raw(Method::POST, &[("mcp-method", "made/up")], body).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{:?}", reply.messages);
        std::fs::write(&go, "").unwrap();
    });
    assert_eq!(slow.text(), "done at last");
    assert_eq!(list().await.status, StatusCode::OK);
    bench.gateway.shutdown().await;
    assert_eq!(list().await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_asks_beyond_the_bound_is_refused_before_any_decision() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    // It waits for as many refusals as it asked too much, while the client answers nothing.
    let reply = client.call("flood", json!({"asks": 80, "refused": 16}));
    let reply = tokio::time::timeout(Duration::from_secs(20), reply).await.unwrap();
    assert_eq!(reply.text(), "enough", "{:?}", reply.messages);
    eventually(|| bench.point.decisions().len() == 65).await;
    bench.gateway.shutdown().await;
    assert_eq!(bench.point.decisions().len(), 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_upstream_are_its_own() {
    let tools = list_tools(&script(&[]), &Limits::default()).await.unwrap();
    for (tool, call, answer_bytes, part, execution, detail) in [
        ("silent", Some(300), None, "in time", Execution::Unknown, "timeout"),
        ("huge", None, Some(65_536), "limit of 65536 bytes", Execution::Failed, "too_large"),
    ] {
        let mut upstream = script(&[]);
        upstream.call = call.map(Duration::from_millis);
        upstream.answer_bytes = answer_bytes;
        let point = support::point(&upstream.name, &tools, PERMIT_ALL).await;
        let gateway = point.gateway(upstream, Limits::default());
        let bench = Bench { point, gateway };
        let client = Client::initialized(&bench).await;
        let reply = client.call(tool, json!({}));
        let reply = tokio::time::timeout(Duration::from_secs(30), reply).await.unwrap();
        assert!(reply.last().to_string().contains(part), "{tool}: {:?}", reply.messages);
        assert_eq!(bench.point.outcomes(), [(execution, Some(detail.to_owned()))], "{tool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_is_configured_is_the_one_that_is_spoken() {
    use safeconduct_gateway::Revision;
    for (argument, configured, spoken) in [
        ("", Revision::V2025_06_18, Some("2025-06-18")),
        ("", Revision::V2026_07_28, None),
        ("modern", Revision::V2026_07_28, Some("2025-11-25")),
        ("modern", Revision::V2025_11_25, None),
    ] {
        let mut upstream = script(&[argument]);
        upstream.revision = Some(configured);
        let listed = list_tools(&upstream, &Limits::default()).await;
        assert_eq!(listed.is_ok(), spoken.is_some(), "{argument} {configured}");
        let point = support::point(&upstream.name, &[], PERMIT_ALL).await;
        let gateway = point.gateway(upstream, Limits::default());
        let bench = Bench { point, gateway };
        let client = Client::new(&bench);
        let reply = client.post(&initialize("2025-11-25")).await;
        let greeted = reply.last()["result"]["protocolVersion"].as_str();
        assert_eq!(greeted, spoken, "{argument} {configured}: {:?}", reply.messages);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_crowds_out_nobody_but_itself() {
    let limits = Limits { sessions_per_identity: 2, ..Limits::default() };
    let bench = bench(&[], PERMIT_ALL, limits).await;
    let other = Client::initialized_as(&bench, OTHER_TOKEN).await;
    let (first, second) = (Client::initialized(&bench).await, Client::initialized(&bench).await);
    assert_eq!(first.call("echo", json!({})).await.status, StatusCode::OK);
    let third = Client::initialized(&bench).await;
    // The one that was quiet for longest among its own; the other identity's was so for longer.
    assert_eq!(second.call("echo", json!({})).await.status, StatusCode::NOT_FOUND);
    for client in [&first, &third, &other] {
        assert_eq!(client.call("echo", json!({})).await.status, StatusCode::OK);
    }
    assert_eq!(bench.gateway.sessions(), 3);

    // Sessions that are in use do not end, so there is no room.
    let folder = tempfile::tempdir().unwrap();
    let (one, two, go) =
        (folder.path().join("one"), folder.path().join("two"), folder.path().join("go"));
    let (a, b, ()) = tokio::join!(
        first.call("slow", json!({"started": &one, "go": &go})),
        third.call("slow", json!({"started": &two, "go": &go})),
        async {
            eventually(|| one.exists() && two.exists()).await;
            let refused = Client::new(&bench).post(&initialize("2025-11-25")).await;
            let text = refused.last()["error"]["message"].as_str().unwrap().to_owned();
            assert!(text.contains("the most that it may have"), "{text}");
            std::fs::write(&go, "").unwrap();
        }
    );
    assert_eq!((a.text(), b.text()), ("done at last", "done at last"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_shows_two_clients_two_things_cannot_free_itself() {
    let bench = legacy(PERMIT_ALL).await;
    // Each session has a process of its own; only one of them changes its tool.
    let (shown, clean) = (Client::initialized(&bench).await, Client::initialized(&bench).await);
    assert_eq!(shown.call("swap", json!({})).await.text(), "swapped");
    assert!(shown.call("echo", json!({})).await.text().contains("quarantined"));
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    for _ in 0..2 {
        assert_eq!(clean.post(&list).await.status, StatusCode::OK);
        assert!(clean.call("echo", json!({})).await.text().contains("quarantined"));
        assert!(shown.call("echo", json!({})).await.text().contains("quarantined"));
    }
    let ended = shown.raw(Method::DELETE, &[], String::new()).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    // Its end clears nothing by itself.
    assert!(clean.call("echo", json!({})).await.text().contains("quarantined"));
    assert_eq!(clean.post(&list).await.status, StatusCode::OK);
    assert!(clean.call("echo", json!({})).await.text().contains("echo"));
    let kinds = bench.point.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "definition_seen").count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_a_server_that_reads_none_are_bounded() {
    const ASKS: usize = 20_000;
    let bench = legacy(PERMIT_ALL).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let call = |id, tool: &'static str, arguments: Json| {
        let body = modern(id, "tools/call", json!({"name": tool, "arguments": arguments}));
        let client = &client;
        async move {
            let headers = [("mcp-method", "tools/call"), ("mcp-name", tool)];
            client.raw(Method::POST, &headers, body.to_string()).await
        }
    };
    let deaf = call(1, "deaf", json!({"asks": ASKS, "started": &started}));
    let (deaf, echo) = tokio::join!(deaf, async {
        eventually(|| started.exists()).await;
        call(2, "echo", json!({})).await
    });
    assert!(echo.text().contains("echo"), "{:?}", echo.messages);
    // Those that wait, and as many as a pipe holds; the others were dropped.
    let answered: usize = deaf.text().parse().unwrap();
    assert!((64..ASKS / 4).contains(&answered), "{answered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_asks_inside_a_result_ends_as_the_result_does() {
    let forbid = "forbid (principal, action == \
                  Safeconduct::Action::\"s/sampling/createMessage\", resource);";
    let denied = format!("{PERMIT_ALL} {forbid}");
    let not_offered = (Execution::NotExecuted, Some("not_offered".to_owned()));
    let failed = (Execution::Failed, Some("upstream_error".to_owned()));
    let done = (Execution::Succeeded, None);
    for (policies, modern_client, outcomes) in [
        // Both reach the client with the result.
        (PERMIT_ALL, true, vec![done.clone(), done.clone(), done]),
        // The second is denied, so the first goes nowhere.
        (&denied, true, vec![not_offered.clone(), failed.clone()]),
        // The client's revision has no way to give input.
        (PERMIT_ALL, false, vec![not_offered.clone(), not_offered, failed]),
    ] {
        let bench = bench(&["modern"], policies, Limits::default()).await;
        let params = json!({"name": "wants_both", "arguments": {}});
        if modern_client {
            let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
            let headers = [("mcp-method", "tools/call"), ("mcp-name", "wants_both")];
            let body = modern(2, "tools/call", params).to_string();
            client.raw(Method::POST, &headers, body).await;
        } else {
            let client = Client::initialized(&bench).await;
            client.call("wants_both", json!({})).await;
        }
        assert_eq!(bench.point.outcomes(), outcomes, "{policies}, modern: {modern_client}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_steps_back_changes_no_decision_and_no_order() {
    use safeconduct_ledger::decode;
    use safeconduct_model::{Body, IdentityId, SessionKey, Timestamp, TokenId};
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let hour = 3_600_000;
    for (n, at) in [hour, 2 * hour, 0, hour / 2, 3 * hour, 1].into_iter().enumerate() {
        bench.point.clock.set(Timestamp::from_millis(at));
        let reply = client.call("echo", json!({"n": n})).await;
        assert!(reply.text().contains("echo"), "{at}: {:?}", reply.messages);
    }
    let key = SessionKey::credential(
        IdentityId::new("agent").unwrap(),
        TokenId::new("tok_agent").unwrap(),
    );
    // Nothing that is counted goes back with it, and each call has its one outcome.
    let session = bench.point.service.session(&key).unwrap().session;
    assert_eq!((session.sequence(), session.denials()), (6, 0));
    assert_eq!(bench.point.outcomes(), vec![(Execution::Succeeded, None); 6]);
    let at = bench.point.ledger.entries().into_iter().map(|entry| decode(&entry.leaf).unwrap());
    let decided = at.filter(|record| matches!(record.body, Body::Decided(_)));
    let times: Vec<i64> = decided.map(|record| record.at.as_millis()).collect();
    assert_eq!(times, [hour, 2 * hour, 0, hour / 2, 3 * hour, 1], "in the order of the calls");
    // A call that the clock overtakes while it is under way ends as any other.
    let folder = tempfile::tempdir().unwrap();
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    bench.point.clock.set(Timestamp::from_millis(hour));
    let (slow, ()) =
        tokio::join!(client.call("slow", json!({"started": &started, "go": &go})), async {
            eventually(|| started.exists()).await;
            bench.point.clock.set(Timestamp::from_millis(-hour));
            std::fs::write(&go, "").unwrap();
        });
    assert_eq!(slow.text(), "done at last");
    assert_eq!(bench.point.outcomes().len(), 7);
}
