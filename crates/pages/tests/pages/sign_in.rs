//! Signing in and out.

use http::{Request, StatusCode};
use safeconduct_model::{IdentityStatus, Timestamp};

use crate::bench::{COOKIE, MINUTE, NOW, bench, id};

#[tokio::test]
async fn a_person_signs_in_and_out() {
    let bench = bench().await;
    let mut browser = bench.browser();
    let seen = browser.open("/approve").await;
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    assert!(seen.text.contains("/sign-in/start?next=%2Fapprove"), "{}", seen.text);
    let seen = browser.sign_in("/passkeys").await;
    assert_eq!((seen.status, seen.header("location")), (StatusCode::SEE_OTHER, "/passkeys"));
    let seen = browser.open("/passkeys").await;
    assert_eq!(seen.status, StatusCode::OK);
    let before = browser.cookies[COOKIE].clone();

    // Who signs in again gets another cookie, and the one before is nobody's.
    browser.sign_in("/approve").await;
    assert_ne!(browser.cookies[COOKIE], before);
    let mut old = bench.browser();
    old.cookies.insert(COOKIE.to_owned(), before);
    assert_eq!(old.open("/approve").await.status, StatusCode::UNAUTHORIZED);

    let seen = browser.open("/approve").await;
    let token = seen.field("action=\"/sign-out\"", "token");
    let kept = browser.cookies[COOKIE].clone();
    let seen = browser.post("/sign-out", &[("token", &token)]).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER);
    assert!(browser.cookies.is_empty());
    browser.cookies.insert(COOKIE.to_owned(), kept);
    assert_eq!(browser.open("/approve").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn only_the_answer_to_a_sign_in_of_this_browser_counts() {
    let bench = bench().await;
    let mut attacker = bench.browser();
    let asked = attacker.go_to_provider("/approve").await;
    // The attacker's answer in another's browser would sign the other in as the attacker.
    let mut other = bench.browser();
    let seen = other.come_back(&asked["state"], "the-code").await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    other.go_to_provider("/approve").await;
    let seen = other.come_back(&asked["state"], "the-code").await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "{}", seen.text);
    assert_eq!(*bench.provider.redeemed.lock().unwrap(), 0);

    // One answer for one sign-in.
    let mut browser = bench.browser();
    let asked = browser.go_to_provider("/approve").await;
    assert_eq!(browser.come_back(&asked["state"], "wrong").await.status, StatusCode::BAD_GATEWAY);
    let again = browser.come_back(&asked["state"], "the-code").await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
    // And not too late.
    let asked = browser.go_to_provider("/approve").await;
    bench.later(10 * MINUTE);
    assert_eq!(browser.come_back(&asked["state"], "the-code").await.status, StatusCode::FORBIDDEN);
    assert!(!browser.cookies.contains_key(COOKIE));
}

#[tokio::test]
async fn the_issuer_must_name_itself_where_it_says_it_does() {
    let bench = bench().await;
    let mut browser = bench.browser();
    let asked = browser.go_to_provider("/approve").await;
    let state = &asked["state"];
    for iss in ["", "&iss=https%3A%2F%2Fevil.example"] {
        let path = format!("/sign-in/callback?code=the-code&state={state}{iss}");
        assert_eq!(browser.open(&path).await.status, StatusCode::FORBIDDEN, "{iss}");
        browser.go_to_provider("/approve").await;
    }
    let twice = format!("/sign-in/callback?code=a&code=the-code&state={state}");
    assert_eq!(browser.open(&twice).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(*bench.provider.redeemed.lock().unwrap(), 0);
}

#[tokio::test]
async fn an_id_token_of_another_sign_in_or_kind_signs_nobody_in() {
    let bench = bench().await;
    let mut browser = bench.browser();
    bench.provider.says.lock().unwrap().nonce = Some("another".to_owned());
    assert_eq!(browser.sign_in("/approve").await.status, StatusCode::FORBIDDEN);
    bench.provider.says.lock().unwrap().nonce = None;
    // Not registered; no person; vouched for by another record than the one for sign-in.
    for subject in ["eve", "agent", "robot"] {
        bench.provider.says.lock().unwrap().subject = subject.to_owned();
        assert_eq!(browser.sign_in("/approve").await.status, StatusCode::FORBIDDEN, "{subject}");
    }
    assert!(!browser.cookies.contains_key(COOKIE));
}

#[tokio::test]
async fn whoever_may_not_act_any_more_is_signed_out() {
    let bench = bench().await;
    let mut browser = bench.signed_in("lea").await;
    assert_eq!(browser.open("/approve").await.status, StatusCode::OK);
    let mut lea = bench.service.world().identity(&id("lea")).unwrap().clone();
    lea.status = IdentityStatus::Suspended;
    bench.service.change_identity(lea.clone(), &id("ada")).await.unwrap();
    assert_eq!(browser.open("/approve").await.status, StatusCode::UNAUTHORIZED);
    // Also once they may again.
    lea.status = IdentityStatus::Active;
    bench.service.change_identity(lea, &id("ada")).await.unwrap();
    assert_eq!(browser.open("/approve").await.status, StatusCode::UNAUTHORIZED);
    // And whoever does nothing.
    let mut browser = bench.signed_in("ada").await;
    bench.clock.set(Timestamp::from_millis(NOW + 30 * MINUTE));
    assert_eq!(browser.open("/approve").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_pages_have_one_name_and_say_how_they_may_be_used() {
    let bench = bench().await;
    let mut browser = bench.signed_in("ada").await;
    for host in ["evil.example", "127.0.0.1", "us.example:443", "US.example.evil"] {
        let request = Request::get("/approve").header("host", host);
        let seen = browser.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(seen.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    for path in ["/approve", "/passkeys", "/sign-in", "/approve/none", "/pages/style.css"] {
        let seen = browser.open(path).await;
        let policy = seen.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{path}: {policy}");
        assert_eq!(seen.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(seen.header("referrer-policy"), "same-origin", "{path}");
        let kept = if path.contains("style") { "public, max-age=300" } else { "no-store" };
        assert_eq!(seen.header("cache-control"), kept, "{path}");
    }
}
