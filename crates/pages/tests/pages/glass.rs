//! Setting rules aside, and letting them hold again.

use http::StatusCode;
use safeconduct_model::{Body, Method};

use crate::authenticator::Authenticator;
use crate::bench::{Bench, Browser, MINUTE, Seen, bench, id};
use crate::forms::register;

const HERE: &str = "/break-glass";

const WANTED: [(&str, &str); 4] =
    [("agent", "agent"), ("task", ""), ("reason", "all is <b>on fire</b>"), ("minutes", "10")];

async fn begin(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> Seen {
    let page = browser.open(HERE).await;
    let token = page.field("action=\"/break-glass\"", "token");
    browser.post(HERE, &[&[("token", token.as_str())], fields].concat()).await
}

async fn confirm(browser: &mut Browser<'_>, page: &Seen, signed: &[(&str, String)]) -> Seen {
    let token = page.field("action=\"/break-glass/confirm\"", "token");
    let mut fields = vec![("token", token.as_str())];
    fields.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    browser.post("/break-glass/confirm", &fields).await
}

async fn ready<'a>(bench: &'a Bench, subject: &str, device: &mut Authenticator) -> Browser<'a> {
    let mut browser = bench.signed_in(subject).await;
    assert_eq!(register(&mut browser, device).await.status, StatusCode::SEE_OTHER);
    browser
}

#[tokio::test]
async fn who_has_the_right_sets_rules_aside_by_a_passkey_and_mends_them() {
    let bench = bench().await;
    let mut device = Authenticator::new();
    let mut ada = ready(&bench, "ada", &mut device).await;
    assert!(ada.open("/approve").await.text.contains("href=\"/break-glass\""));
    let page = begin(&mut ada, &WANTED).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("all is &lt;b&gt;on fire&lt;/b&gt;"), "{}", page.text);
    assert!(page.text.contains("10 minutes") && page.text.contains("in whatever it does"));
    assert!(bench.service.glasses().is_empty(), "nothing was signed yet");
    let signed = device.sign(&page.attribute("data-challenge"));
    let seen = confirm(&mut ada, &page, &signed).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.text);
    let glasses = bench.service.glasses();
    let [glass] = glasses.as_slice() else { panic!("{glasses:?}") };
    let broken = &glass.broken;
    assert_eq!(
        (&broken.agent, &broken.by, broken.method),
        (&id("agent"), &id("ada"), Method::Passkey)
    );
    assert_eq!(broken.until.ms_since(glass.at), 10 * MINUTE);
    let due = bench.bodies().into_iter().find_map(|body| match body {
        Body::ReviewDue { of, about, cause } => Some((of, about, cause.to_string())),
        _ => None,
    });
    assert_eq!(due, Some((glass.id.clone(), id("ada"), "break_glass".to_owned())));
    assert_eq!(confirm(&mut ada, &page, &signed).await.status, StatusCode::FORBIDDEN, "once");

    // Its owner sees it, others do not, and neither mends it.
    let list = ada.open(HERE).await;
    let token = list.field("action=\"/break-glass/mend\"", "token");
    let fields = [("token", token.as_str()), ("id", glass.id.as_str())];
    let mut bob = bench.signed_in("bob").await;
    let seen = bob.open(HERE).await.text;
    assert!(seen.contains("on fire") && !seen.contains("/break-glass/mend"), "{seen}");
    assert_eq!(bob.post("/break-glass/mend", &fields).await.status, StatusCode::FORBIDDEN);
    let mut lea = bench.signed_in("lea").await;
    assert!(!lea.open(HERE).await.text.contains("on fire"));
    assert_eq!(ada.post("/break-glass/mend", &fields).await.status, StatusCode::SEE_OTHER);
    assert!(bench.service.glasses().is_empty());
    assert!(matches!(bench.bodies().last(), Some(Body::GlassMended { .. })));
    assert_eq!(ada.post("/break-glass/mend", &fields).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_signed_is_for_exactly_that_and_nobody_without_the_right() {
    let bench = bench().await;
    let mut device = Authenticator::new();
    let mut ada = ready(&bench, "ada", &mut device).await;
    for (name, value) in [
        ("agent", ""),
        ("agent", "nobody"),
        ("task", &"x".repeat(1000)),
        ("reason", " "),
        ("reason", &"x".repeat(1025)),
        ("minutes", "0"),
        ("minutes", "61"),
        ("minutes", ""),
    ] {
        let wrong = WANTED.map(|(known, old)| (known, if known == name { value } else { old }));
        let seen = begin(&mut ada, &wrong).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "{name}={value}: {}", seen.text);
    }
    // What was signed for ten minutes is no proof for an hour.
    let short = begin(&mut ada, &WANTED).await;
    let signed = device.sign(&short.attribute("data-challenge"));
    let longer = WANTED.map(|(name, old)| (name, if name == "minutes" { "60" } else { old }));
    let long = begin(&mut ada, &longer).await;
    assert_eq!(confirm(&mut ada, &long, &signed).await.status, StatusCode::FORBIDDEN);
    // A task that is none is said before anything is set aside.
    let elsewhere =
        WANTED.map(|(name, old)| (name, if name == "task" { "task_none" } else { old }));
    let page = begin(&mut ada, &elsewhere).await;
    let signed = device.sign(&page.attribute("data-challenge"));
    assert_eq!(confirm(&mut ada, &page, &signed).await.status, StatusCode::BAD_REQUEST);

    let mut other = Authenticator::new();
    let mut lea = ready(&bench, "lea", &mut other).await;
    let page = begin(&mut lea, &WANTED).await;
    let signed = other.sign(&page.attribute("data-challenge"));
    let seen = confirm(&mut lea, &page, &signed).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "{}", seen.text);
    assert!(seen.text.contains("No policy lets"), "{}", seen.text);
    assert!(bench.service.glasses().is_empty());
}
