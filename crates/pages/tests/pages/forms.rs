//! Forms count from our pages alone, and passkeys from those who have just shown who they are.

use http::StatusCode;
use safeconduct_model::{Body, Value};
use safeconduct_service::AccessState;

use crate::authenticator::Authenticator;
use crate::bench::{Browser, MINUTE, ORIGIN, Seen, bench, id};

fn mail() -> Value {
    Value::object([("to", Value::from("x@example.org")), ("amount", Value::Integer(250))])
}

async fn begin(browser: &mut Browser<'_>, name: &str) -> Seen {
    let page = browser.open("/passkeys").await;
    let token = page.field("action=\"/passkeys/new\"", "token");
    browser.post("/passkeys/new", &[("token", &token), ("name", name)]).await
}

/// Sends what a device says to the page that asks for it.
async fn confirm(browser: &mut Browser<'_>, page: &Seen, said: &[(&str, String)]) -> Seen {
    let token = page.field("action=\"/passkeys/confirm\"", "token");
    let mut fields = vec![("token", token.as_str())];
    fields.extend(said.iter().map(|(name, value)| (*name, value.as_str())));
    browser.post("/passkeys/confirm", &fields).await
}

/// Registers a passkey on a device; where its owner has one, it is on that device too.
pub(crate) async fn register(browser: &mut Browser<'_>, device: &mut Authenticator) -> Seen {
    let mut page = begin(browser, "My key").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    if page.attribute("data-passkey") == "get" {
        let signed = device.sign(&page.attribute("data-challenge"));
        page = confirm(browser, &page, &signed).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    }
    let token = page.field("action=\"/passkeys/confirm\"", "token");
    let made = device.make(&page.attribute("data-challenge"));
    let mut fields = vec![("token", token.as_str())];
    fields.extend(made.iter().map(|(name, value)| (*name, value.as_str())));
    browser.post("/passkeys/confirm", &fields).await
}

#[tokio::test]
async fn a_form_counts_only_from_a_page_of_ours_that_this_browser_was_shown() {
    let bench = bench().await;
    let request = bench.ask("mail", mail()).await;
    let mut browser = bench.signed_in("ada").await;
    let path = format!("/approve/{request}");
    let page = browser.open(&path).await;
    let form = |name: &str| page.field("value=\"once\"", name);
    let (token, binding) = (
        page.field(&format!("action=\"{path}\""), "token"),
        page.field(&format!("action=\"{path}\""), "binding"),
    );
    assert!(!form("answer").is_empty());
    let fields = [("token", token.as_str()), ("binding", &binding), ("answer", "once")];
    let same = ("sec-fetch-site", "same-origin");
    for headers in [
        &[][..],
        &[same],
        &[("origin", "null"), same],
        &[("origin", "https://evil.example"), same],
        &[("origin", "http://us.example"), same],
        &[("origin", "https://us.example:8443"), same],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
        &[("origin", ORIGIN), ("sec-fetch-site", "cross-site")],
        &[("origin", ORIGIN), ("origin", ORIGIN)],
    ] {
        let seen = browser.post_from(&path, &fields, headers).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    // Another browser of the same person, another page's token, none.
    let mut other = bench.signed_in("ada").await;
    assert_eq!(other.post(&path, &fields).await.status, StatusCode::FORBIDDEN);
    let sign_out = page.field("action=\"/sign-out\"", "token");
    for token in [sign_out.as_str(), "", "x"] {
        let fields = [("token", token), ("binding", &binding), ("answer", "once")];
        assert_eq!(browser.post(&path, &fields).await.status, StatusCode::FORBIDDEN, "{token}");
    }
    let twice = [fields[0], fields[1], fields[2], ("answer", "refuse")];
    assert_eq!(browser.post(&path, &twice).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(bench.state(&request), AccessState::Pending);
    // From a browser that does not say `Sec-Fetch-Site`.
    let seen = browser.post_from(&path, &fields, &[("origin", ORIGIN)]).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    assert_eq!(bench.state(&request), AccessState::Approved);
}

#[tokio::test]
async fn a_passkey_is_registered_by_who_has_just_signed_in_and_no_later() {
    let bench = bench().await;
    let mut device = Authenticator::new();
    let mut browser = bench.signed_in("ada").await;
    let page = begin(&mut browser, "My key").await;
    let policy = page.header("content-security-policy").to_owned();
    let nonce = page.attribute("nonce");
    assert!(policy.contains(&format!("script-src 'nonce-{nonce}'")), "{policy}");
    assert_eq!(register(&mut browser, &mut device).await.status, StatusCode::SEE_OTHER);
    let world = bench.service.world();
    let passkey = world.passkeys_of(&id("ada")).next().unwrap().clone();
    assert_eq!((&*passkey.name, &*passkey.rp), ("My key", "us.example"));
    assert!(matches!(bench.bodies().last(), Some(Body::PasskeyRegistered { .. })));
    // The same key again, for another person too.
    assert_eq!(register(&mut browser, &mut device).await.status, StatusCode::CONFLICT);
    let mut lea = bench.signed_in("lea").await;
    assert_eq!(register(&mut lea, &mut device).await.status, StatusCode::CONFLICT);
    // And another's cannot be removed.
    let page = lea.open("/passkeys").await;
    assert!(!page.text.contains(passkey.id.as_str()));
    let page = browser.open("/passkeys").await;
    let token = page.field("action=\"/passkeys/remove\"", "token");
    let fields = [("token", token.as_str()), ("id", passkey.id.as_str())];
    assert_eq!(lea.post("/passkeys/remove", &fields).await.status, StatusCode::FORBIDDEN);

    bench.later(5 * MINUTE + 1);
    let seen = browser.post("/passkeys/remove", &fields).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    assert!(seen.text.contains("/sign-in/start?next=%2Fpasskeys&amp;anew"), "{}", seen.text);
    assert_eq!(begin(&mut browser, "Another").await.status, StatusCode::FORBIDDEN);
    bench.later(0);
    // The last one is not for its owner to take away: room for another's would be made so.
    let last = browser.post("/passkeys/remove", &fields).await;
    assert_eq!(last.status, StatusCode::CONFLICT, "{}", last.text);
    assert!(last.text.contains("last passkey"), "{}", last.text);
    let mut other = Authenticator::new();
    let page = begin(&mut browser, "Another").await;
    let page = confirm(&mut browser, &page, &device.sign(&page.attribute("data-challenge"))).await;
    let made = other.make(&page.attribute("data-challenge"));
    assert_eq!(confirm(&mut browser, &page, &made).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.post("/passkeys/remove", &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bench.service.world().passkeys_of(&id("ada")).count(), 1);
}

/// A session that somebody else took, however fresh, is no way to a passkey of theirs.
#[tokio::test]
async fn a_second_passkey_takes_the_first_one() {
    let bench = bench().await;
    let mut device = Authenticator::new();
    let mut ada = bench.signed_in("ada").await;
    assert_eq!(register(&mut ada, &mut device).await.status, StatusCode::SEE_OTHER);
    let mut stolen = bench.signed_in("ada").await;
    let mut theirs = Authenticator::new();
    let page = begin(&mut stolen, "Mine").await;
    assert_eq!(page.attribute("data-passkey"), "get");
    let challenge = page.attribute("data-challenge");
    let made = confirm(&mut stolen, &page, &theirs.make(&challenge)).await;
    assert_eq!(made.status, StatusCode::FORBIDDEN);
    let page = begin(&mut stolen, "Mine").await;
    let signed = confirm(&mut stolen, &page, &theirs.sign(&page.attribute("data-challenge"))).await;
    assert_eq!(signed.status, StatusCode::FORBIDDEN, "a passkey that nobody knows");
    // What the first passkey has signed for something else does not vouch.
    let page = begin(&mut stolen, "Mine").await;
    let signed = confirm(&mut stolen, &page, &device.sign(&challenge)).await;
    assert_eq!(signed.status, StatusCode::FORBIDDEN);
    let world = bench.service.world();
    let mut forged = world.passkeys_of(&id("ada")).next().unwrap().clone();
    forged.id = safeconduct_model::PasskeyId::new("forged").unwrap();
    let by = safeconduct_model::Authentication {
        identity: id("ada"),
        token: safeconduct_model::TokenId::new("trust:staff").unwrap(),
        method: safeconduct_model::Method::Oidc,
        assurance: safeconduct_model::Assurance::High,
        at: bench.service.now(),
        expires_at: None,
        task: None,
    };
    let refused = bench.service.register_passkey(forged, &by).await;
    assert!(matches!(refused, Err(safeconduct_service::PasskeyError::NeedsPasskey(_))));
    assert_eq!(bench.service.world().passkeys_of(&id("ada")).count(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_say_when_makes_nobody_fresh() {
    let bench = bench().await;
    bench.provider.says.lock().unwrap().auth_time = None;
    let mut browser = bench.signed_in("ada").await;
    assert_eq!(begin(&mut browser, "My key").await.status, StatusCode::FORBIDDEN);
    let seen = browser.open("/sign-in/start?next=/passkeys&anew").await;
    assert!(seen.header("location").contains("prompt=login&max_age=300"));
}

#[tokio::test]
async fn a_ceremony_is_answered_once_in_time_and_for_what_it_is() {
    let bench = bench().await;
    let mut device = Authenticator::new();
    let mut browser = bench.signed_in("ada").await;
    let page = begin(&mut browser, "My key").await;
    let token = page.field("action=\"/passkeys/confirm\"", "token");
    let made = device.make(&page.attribute("data-challenge"));
    let mut fields = vec![("token", token.as_str())];
    fields.extend(made.iter().map(|(name, value)| (*name, value.as_str())));
    bench.later(2 * MINUTE);
    let late = browser.post("/passkeys/confirm", &fields).await;
    assert_eq!(late.status, StatusCode::FORBIDDEN);
    bench.later(0);
    let again = browser.post("/passkeys/confirm", &fields).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "it was over");
    // A wrong answer ends it as well.
    begin(&mut browser, "My key").await;
    let wrong = browser.post("/passkeys/confirm", &fields).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN, "another challenge");
    assert!(bench.service.world().passkeys_of(&id("ada")).next().is_none());
}
