//! Answering.

use http::StatusCode;
use safeconduct_model::{Body, Identity, Method, Value};
use safeconduct_service::AccessState;

use crate::authenticator::Authenticator;
use crate::bench::{Browser, Seen, bench, id};
use crate::forms::register;

fn input() -> Value {
    Value::object([
        ("to", Value::from("p\u{430}ypal@example.org")),
        ("amount", Value::Integer(250)),
        ("body", Value::from("<script>alert(1)</script>")),
    ])
}

async fn answer(browser: &mut Browser<'_>, path: &str, fields: &[(&str, &str)]) -> Seen {
    let page = browser.open(path).await;
    let form = format!("action=\"{path}\"");
    let (token, binding) = (page.field(&form, "token"), page.field(&form, "binding"));
    let mut all = vec![("token", token.as_str()), ("binding", binding.as_str())];
    all.extend(fields);
    browser.post(path, &all).await
}

#[tokio::test]
async fn what_is_shown_is_escaped_and_deceives_nobody() {
    let bench = bench().await;
    let request = bench.ask("mail", input()).await;
    let mut browser = bench.signed_in("ada").await;
    let seen = browser.open("/approve").await;
    assert!(seen.text.contains(&format!("/approve/{request}")), "{}", seen.text);
    let seen = browser.open(&format!("/approve/{request}")).await;
    for text in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "the customer asked &lt;b&gt;for it&lt;/b&gt;",
        "⟨U+0430⟩ypal",
        "mixes letters of scripts that look alike",
        "a person must look at this",
        "crm.mail",
        "250",
    ] {
        assert!(seen.text.contains(text), "{text}:\n{}", seen.text);
    }
    assert!(!seen.text.contains("<script"), "{}", seen.text);
}

#[tokio::test]
async fn looking_answers_nothing() {
    let bench = bench().await;
    let request = bench.ask("mail", input()).await;
    let mut browser = bench.signed_in("ada").await;
    let path = format!("/approve/{request}");
    let page = browser.open(&path).await;
    let token = page.field(&format!("action=\"{path}\""), "token");
    let binding = page.field(&format!("action=\"{path}\""), "binding");
    let before = bench.bodies().len();
    for path in [
        format!("{path}?answer=once&token={token}&binding={}", binding.replace(':', "%3A")),
        format!("{path}/confirm?token={token}"),
        "/passkeys/new?name=x".to_owned(),
        "/passkeys/remove?id=x".to_owned(),
        "/sign-out".to_owned(),
    ] {
        browser.open(&path).await;
    }
    assert_eq!(bench.state(&request), AccessState::Pending);
    assert_eq!(bench.bodies().len(), before);
    assert_eq!(browser.open("/approve").await.status, StatusCode::OK, "still signed in");
}

/// Scanners of mail, previews and browsers that load ahead open links: with HEAD, and saying so.
#[tokio::test]
async fn head_and_prefetch_answer_nothing() {
    let bench = bench().await;
    let request = bench.ask("mail", input()).await;
    let mut browser = bench.signed_in("ada").await;
    let path = format!("/approve/{request}");
    let page = browser.open(&path).await;
    let token = page.field(&format!("action=\"{path}\""), "token");
    let binding = page.field(&format!("action=\"{path}\""), "binding");
    let full = format!("{path}?answer=once&token={token}&binding={}", binding.replace(':', "%3A"));
    let before = bench.bodies().len();
    for of in [path.clone(), full, format!("{path}/confirm"), format!("{path}/all/confirm")] {
        for method in ["HEAD", "GET"] {
            for (name, value) in [
                ("sec-purpose", "prefetch"),
                ("sec-purpose", "prefetch;prerender"),
                ("purpose", "prefetch"),
                ("x-moz", "prefetch"),
            ] {
                let request = http::Request::builder().method(method).uri(&of);
                let request = request.header(name, value).body(axum::body::Body::empty()).unwrap();
                let seen = browser.send(request).await;
                assert!(method == "GET" || seen.text.is_empty(), "{of}");
                let page = of.split('?').next() == Some(path.as_str());
                let wanted = if page { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED };
                assert_eq!(seen.status, wanted, "{method} {of}");
            }
        }
    }
    assert_eq!(bench.state(&request), AccessState::Pending);
    assert_eq!(bench.bodies().len(), before);
}

/// Where the agent acts for itself, detectors speak of its session: the approver reads it.
#[tokio::test]
async fn the_risk_that_is_shown_is_the_one_that_decisions_see() {
    use safeconduct_model::signal::{About, Kind, Severity, Signal, Source};
    let bench = bench().await;
    let request = bench.ask("mail", input()).await;
    let mut browser = bench.signed_in("ada").await;
    let path = format!("/approve/{request}");
    let quiet = browser.open(&path).await;
    assert!(!quiet.text.contains("denial streak"), "{}", quiet.text);
    let token = safeconduct_model::TokenId::new("tok_agent").unwrap();
    let session = safeconduct_model::SessionKey::credential(id("agent"), token);
    let (about, at) = (About::Session(session), bench.service.now());
    let (kind, source) = (Kind::DenialStreak, Source::Detector);
    let signal = Signal::new(about, kind, Severity::High, source, "s1", at);
    bench.service.take_signals(vec![signal], None).await.unwrap();
    let seen = browser.open(&path).await;
    assert!(seen.text.contains("denial streak"), "{}", seen.text);
}

#[tokio::test]
async fn nobody_sees_or_answers_what_is_not_theirs() {
    let bench = bench().await;
    let request = bench.ask("mail", input()).await;
    let path = format!("/approve/{request}");
    let mut bob = bench.signed_in("bob").await;
    assert!(!bob.open("/approve").await.text.contains(request.as_str()));
    let theirs = bob.open(&path).await;
    let none = bob.open("/approve/req_none").await;
    assert_eq!((theirs.status, none.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(theirs.text.replace(request.as_str(), ""), none.text);
    let mut nobody = bench.browser();
    let seen = nobody.open(&path).await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    assert!(!seen.text.contains("crm.mail"));
}

#[tokio::test]
async fn the_answers_without_a_passkey() {
    let bench = bench().await;
    let mut browser = bench.signed_in("ada").await;
    let cases = [
        (&[("answer", "once")][..], AccessState::Approved, "exactly this, once"),
        (&[("answer", "edited"), ("most:/amount", " 100 ")], AccessState::Approved, "at most 100"),
        (
            &[("answer", "refuse"), ("reason", "no <i>way</i>")],
            AccessState::Refused,
            "no &lt;i&gt;",
        ),
        (
            &[("answer", "until"), ("uses", "2"), ("minutes", "15")],
            AccessState::Approved,
            "approved until 2026-09-21 14:28 UTC, 2 times at most",
        ),
    ];
    for (number, (fields, state, says)) in cases.into_iter().enumerate() {
        let text = format!(
            "case {number}: {}",
            ["apples", "a plumber's bill", "zebras", "quinces"][number]
        );
        let input =
            Value::object([("amount", Value::Integer(250)), ("body", text.as_str().into())]);
        let request = bench.ask("mail", input).await;
        let path = format!("/approve/{request}");
        for wrong in [
            &[("answer", "edited")][..],
            &[("answer", "edited"), ("most:/amount", "251")],
            &[("answer", "edited"), ("most:/amount", "-1")],
            &[("answer", "edited"), ("most:/body", "1")],
            &[("answer", "refuse"), ("reason", " ")],
            &[("answer", "task"), ("uses", "3")],
            &[("answer", "until"), ("uses", "0"), ("minutes", "15")],
            &[("answer", "until"), ("uses", "2"), ("minutes", "16")],
            &[("answer", "")],
        ] {
            let seen = answer(&mut browser, &path, wrong).await;
            assert!(seen.status.is_client_error(), "{wrong:?}: {}", seen.text);
        }
        assert_eq!(bench.state(&request), AccessState::Pending);
        let seen = answer(&mut browser, &path, fields).await;
        assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
        assert!(seen.text.contains(says), "{says}: {}", seen.text);
        assert_eq!(bench.state(&request), state);
        let seen = browser.open(&path).await;
        assert!(!seen.text.contains("Your answer"), "{}", seen.text);
    }
}

#[tokio::test]
async fn what_weighs_much_takes_a_passkey_that_signs_this_very_answer() {
    let bench = bench().await;
    let mut device = Authenticator::new();
    let mut browser = bench.signed_in("ada").await;
    let (first, other) = (bench.ask("pay", input()).await, bench.ask("mail", input()).await);
    let path = format!("/approve/{first}");
    let seen = answer(&mut browser, &path, &[("answer", "once")]).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert!(seen.text.contains("Register a passkey"), "{}", seen.text);
    assert_eq!(register(&mut browser, &mut device).await.status, StatusCode::SEE_OTHER);

    let page = answer(&mut browser, &path, &[("answer", "once")]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(bench.state(&first), AccessState::Pending, "nothing was signed yet");
    let confirm = format!("{path}/confirm");
    let token = page.field(&format!("action=\"{confirm}\""), "token");
    let challenge = page.attribute("data-challenge");
    let signed = device.sign(&challenge);
    let fields = |signed: &[(&'static str, String); 4]| {
        let signed = signed.iter().map(|(name, value)| (*name, value.clone()));
        [("token", token.clone())].into_iter().chain(signed).collect::<Vec<_>>()
    };
    let send = |fields: &[(&'static str, String)]| {
        fields.iter().map(|(name, value)| (*name, value.clone())).collect::<Vec<_>>()
    };
    // For another request, with the first one's signature.
    let elsewhere = format!("/approve/{other}/confirm");
    let sent = send(&fields(&signed));
    let sent: Vec<_> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(browser.post(&elsewhere, &sent).await.status, StatusCode::FORBIDDEN);
    // Another answer begins another ceremony: what was signed for the one is none for the other.
    answer(&mut browser, &path, &[("answer", "refuse"), ("reason", "no")]).await;
    assert_eq!(browser.post(&confirm, &sent).await.status, StatusCode::FORBIDDEN);
    assert_eq!(bench.state(&first), AccessState::Pending);

    let page = answer(&mut browser, &path, &[("answer", "once")]).await;
    let signed = device.sign(&page.attribute("data-challenge"));
    let sent = send(&fields(&signed));
    let sent: Vec<_> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let seen = browser.post(&confirm, &sent).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    assert_eq!(bench.state(&first), AccessState::Approved);
    let bodies = bench.bodies();
    let [.., Body::PasskeyUsed(used), Body::AccessRequestChanged(change)] = bodies.as_slice()
    else {
        panic!(
            "the proof comes before the answer: {:?}",
            bodies.iter().map(Body::kind).collect::<Vec<_>>()
        )
    };
    assert_eq!((&used.identity, used.counter), (&id("ada"), device.counter));
    match &change.event {
        safeconduct_model::AccessEvent::Answered(answered) => {
            assert_eq!((&answered.by, answered.method), (&id("ada"), Method::Passkey));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(browser.post(&confirm, &sent).await.status, StatusCode::FORBIDDEN, "once");
}

#[tokio::test]
async fn a_deputy_answers_for_somebody() {
    let bench = bench().await;
    let request = bench.ask("mail", input()).await;
    let path = format!("/approve/{request}");
    let mut dora = bench.signed_in("dora").await;
    assert!(dora.open("/approve").await.text.contains(request.as_str()));
    let seen = dora.open(&path).await;
    assert!(seen.text.contains("lea</span>, whose fallback owner you are"), "{}", seen.text);
    answer(&mut dora, &path, &[("answer", "once")]).await;
    assert_eq!(bench.state(&request), AccessState::Approved);
    let answers = bench.service.access_summary(&request).unwrap().answers;
    assert_eq!((&answers[0].by, &answers[0].standing_in_for), (&id("dora"), &Some(id("lea"))));
}

/// Between the page and the answer, whom the deputy stands in for becomes somebody else.
#[tokio::test]
async fn an_answer_is_in_the_place_of_whom_the_page_named() {
    let bench = bench().await;
    let request = bench.ask("mail", input()).await;
    let path = format!("/approve/{request}");
    let mut dora = bench.signed_in("dora").await;
    let page = dora.open(&path).await;
    let form = format!("action=\"{path}\"");
    let (token, binding) = (page.field(&form, "token"), page.field(&form, "binding"));
    for (of, deputy) in [("lea", None), ("ada", Some(id("dora")))] {
        let known = bench.service.world().identity(&id(of)).unwrap().clone();
        let known = Identity { fallback_owner: deputy, ..known };
        bench.service.change_identity(known, &id("ada")).await.unwrap();
    }
    let now = dora.open(&path).await;
    assert!(now.text.contains("ada</span>, whose fallback owner you are"), "{}", now.text);
    let fields = [("token", &*token), ("binding", &*binding), ("answer", "once")];
    let seen = dora.post(&path, &fields).await;
    assert!(!seen.status.is_success(), "{}", seen.text);
    assert_eq!(bench.state(&request), AccessState::Pending);
    answer(&mut dora, &path, &[("answer", "once")]).await;
    assert_eq!(bench.state(&request), AccessState::Approved);
}

#[tokio::test]
async fn what_is_alone_is_answered_with_no_other() {
    let bench = bench().await;
    let mut browser = bench.signed_in("ada").await;
    let (first, other) = (bench.ask("mail", input()).await, bench.ask("pay", input()).await);
    let path = format!("/approve/{first}/all");
    let page = browser.open(&path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let token = page.field(&format!("action=\"{path}\""), "token");
    let shown = page.field("Your answer to all", &format!("shown:{first}"));
    let single = browser.open(&format!("/approve/{other}")).await;
    let binding = single.field("Your answer", "binding");
    let (own, others) = (format!("shown:{first}"), format!("shown:{other}"));
    let (own, others) = (own.as_str(), others.as_str());
    let (token, shown, binding) = (token.as_str(), shown.as_str(), binding.as_str());
    for wrong in [
        &[][..],
        &[(others, binding)],
        &[(own, binding)],
        &[(own, shown), (others, shown)],
        &[(own, shown), ("shown:req_none", shown)],
        &[(own, "x")],
    ] {
        let fields = [&[("token", token), ("answer", "once")], wrong].concat();
        let seen = browser.post(&path, &fields).await;
        assert!(seen.status.is_client_error(), "{wrong:?}: {}", seen.text);
        let single = [("token", token), ("answer", "edited"), (own, shown), ("most:/amount", "1")];
        assert!(browser.post(&path, &single).await.status.is_client_error());
    }
    assert_eq!(bench.state(&first), AccessState::Pending);
    // With one that takes a passkey, all do.
    let both = [("token", token), ("answer", "once"), (own, shown), (others, binding)];
    let seen = browser.post(&path, &both).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "{}", seen.text);
    assert!(seen.text.contains("Register a passkey"), "{}", seen.text);
    let alone = [("token", token), ("answer", "once"), (own, shown)];
    let seen = browser.post(&path, &alone).await;
    assert!(seen.text.contains("Approved: 1 of 1"), "{}", seen.text);
    assert_eq!(bench.state(&first), AccessState::Approved);
    assert_eq!(bench.state(&other), AccessState::Pending);
}

#[tokio::test]
async fn a_copied_passkey_proves_nothing() {
    let bench = bench().await;
    let mut device = Authenticator::new();
    let mut browser = bench.signed_in("ada").await;
    register(&mut browser, &mut device).await;
    let request = bench.ask("pay", input()).await;
    let path = format!("/approve/{request}");
    let page = answer(&mut browser, &path, &[("answer", "once")]).await;
    // The other copy has counted less.
    device.counter = 0;
    let token = page.field(&format!("action=\"{path}/confirm\""), "token");
    let signed = device.sign(&page.attribute("data-challenge"));
    let mut fields = vec![("token", token.as_str())];
    fields.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    let seen = browser.post(&format!("{path}/confirm"), &fields).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    assert!(seen.text.contains("copy of it may be in use"), "{}", seen.text);
    assert_eq!(bench.state(&request), AccessState::Pending);
}
