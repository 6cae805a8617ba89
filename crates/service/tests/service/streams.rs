//! Streams of security events: what is taken, what is refused, and what silence comes to.

use std::path::Path;

use safeconduct_credential::jose::SigningKey;
use safeconduct_risk::{About, Kind, Level, Severity, Signal, Source};
use safeconduct_service::{
    Algorithm, Heard, KeySet, Received, SETS_PER_MINUTE_MAX, SetError, StreamKeys, StreamSecrets,
    StreamStanding, Streams,
};
use safeconduct_wire::config::parse;
use safeconduct_wire::json;
use safeconduct_wire::signals::DeliveryFault;

use super::*;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(super) const ISSUER: &str = "https://idp.example.com/123456789/";
pub(super) const REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

struct Keys(Arc<KeySet>);

impl StreamKeys for Keys {
    fn keys<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> Awaited<'a, Option<Arc<KeySet>>> {
        Awaited::of(async { Some(Arc::clone(&self.0)) })
    }
}

fn key() -> SigningKey {
    SigningKey::from_secret(Algorithm::Es256, &[7; 32]).unwrap()
}

fn set_of(claims: &Value) -> String {
    key().sign("secevent+jwt", claims).unwrap()
}

/// The claims of an event about someone, issued so many milliseconds from now.
pub(super) fn claims(id: &str, subject: &str, event: &str, ms: i64) -> Value {
    let at = NOW.plus_ms(ms).as_millis() / 1000;
    let text = format!(
        r#"{{"iss":"{ISSUER}","aud":"us","iat":{at},"jti":"{id}","sub_id":{subject},
        "events":{{"{event}":{{}}}}}}"#
    );
    json::parse(text.as_bytes()).unwrap()
}

const AGENT: &str = r#"{"format":"opaque","id":"agent"}"#;

pub(super) struct Stage {
    pub(super) bench: Bench,
    pub(super) streams: Streams,
}

pub(super) async fn stage(more: &str) -> Stage {
    let (ports, ledger, clock) = ports();
    clock.set(NOW);
    let policies = r#"@id("all") permit (principal, action, resource);"#;
    let service = Arc::new(Service::new(ports, Settings::default(), world(policies)));
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let bench = Bench { service, ledger, clock };
    let streams = streams(&bench, more, Heard::default());
    Stage { bench, streams }
}

pub(super) fn streams(bench: &Bench, more: &str, heard: Heard) -> Streams {
    let text = format!(
        "version: 1\nsignals: {{ streams: {{ idp: {{ issuer: '{ISSUER}', audience: us, \
         algorithms: [ES256], bearer_file: x, subjects: {{ opaque: '{{}}', \
         email: 'mail|{{}}', issuers: ['https://idp.example.com/3456789/', \
         'spiffe://prod.example.org'] }}{more} }} }} }}"
    );
    let config = parse("safeconduct.yaml", &text, Path::new("/")).unwrap();
    let keys = Keys(Arc::new(KeySet::of([key().public().clone()]).unwrap()));
    let bearers = [("idp".to_owned(), "secret".to_owned().into())].into();
    let secrets = StreamSecrets { bearers, ..StreamSecrets::default() };
    let service = Arc::clone(&bench.service);
    Streams::new(service, Arc::new(keys), &config.signals, secrets, heard).unwrap()
}

impl Stage {
    pub(super) async fn push(&self, claims: &Value) -> Result<Received, SetError> {
        self.streams.pushed("idp", Some("secret"), &set_of(claims)).await
    }

    pub(super) fn status(&self) -> IdentityStatus {
        let id = IdentityId::new("agent").unwrap();
        self.bench.service.world().identity(&id).unwrap().status
    }

    pub(super) fn signals(&self) -> Vec<(Kind, Severity)> {
        let records = records(&self.bench.ledger);
        let signals = records.iter().filter_map(|record| match &record.body {
            Body::SignalSeen(signal) => Some((signal.kind, signal.severity)),
            _ => None,
        });
        signals.collect()
    }
}

#[expect(clippy::panic, reason = "a test that cannot go on fails")]
fn refused(received: Result<Received, SetError>) -> DeliveryFault {
    match received {
        Err(SetError::Refused { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_event_acts_before_it_is_acknowledged_and_once() {
    let stage = stage("").await;
    let event = claims("1", AGENT, REVOKED, 0);
    assert_eq!(stage.push(&event).await, Ok(Received::Taken { signals: 2 }));
    assert_eq!(stage.status(), IdentityStatus::Suspended);
    assert_eq!(stage.push(&event).await, Ok(Received::Before));
    // What the ledger knows is known to the process after this one.
    let mut heard = Heard::default();
    records(&stage.bench.ledger).iter().for_each(|record| heard.apply(record));
    let again = Stage { streams: streams(&stage.bench, "", heard), ..stage };
    assert_eq!(again.push(&event).await, Ok(Received::Before));
    assert_eq!(again.streams.view("idp").unwrap().standing, StreamStanding::Speaking);
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_acknowledged() {
    let stage = stage("").await;
    stage.bench.ledger.fail("no space left");
    let event = claims("1", AGENT, REVOKED, 0);
    assert!(matches!(stage.push(&event).await, Err(SetError::NotKept(_))));
    // It is not taken for one that was taken.
    assert!(matches!(stage.push(&event).await, Err(SetError::NotKept(_))));
}

#[tokio::test]
async fn late_and_future_events_are_refused() {
    let stage = stage(", age_max_s: 60, clock_skew_s: 5").await;
    const CHANGED: &str = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
    for (ms, id, event) in [(-61_000, "1", CHANGED), (6_000, "2", REVOKED)] {
        let late = stage.push(&claims(id, AGENT, event, ms)).await;
        assert_eq!(refused(late), DeliveryFault::InvalidRequest);
    }
    assert_eq!(stage.status(), IdentityStatus::Active);
    assert!(stage.push(&claims("3", AGENT, REVOKED, 4_000)).await.is_ok());
    assert_eq!(stage.streams.view("idp").unwrap().refused["invalid_request"], 2);
}

#[tokio::test]
async fn what_stops_someone_is_taken_after_an_outage() {
    let stage = stage(", age_max_s: 60").await;
    let lifetime_ms = Kind::SessionRevoked.lifetime_ms();
    let too_late = stage.push(&claims("1", AGENT, REVOKED, -lifetime_ms - 1000)).await;
    assert_eq!(refused(too_late), DeliveryFault::InvalidRequest);
    assert_eq!(stage.status(), IdentityStatus::Active);
    let late = claims("2", AGENT, REVOKED, 1000 - lifetime_ms);
    assert!(matches!(stage.push(&late).await, Ok(Received::Taken { .. })));
    assert_eq!(stage.status(), IdentityStatus::Suspended);
    // Once, for as long as it could come again.
    stage.bench.service.change_identity(agent("agent"), &me()).await.unwrap();
    stage.bench.clock.set(NOW.plus_ms(900));
    assert_eq!(stage.push(&late).await, Ok(Received::Before));
    assert_eq!(stage.status(), IdentityStatus::Active);
}

#[tokio::test]
async fn a_transmitter_speaks_of_its_own_alone() {
    let stage = stage("").await;
    let others = r#"{"format":"iss_sub","iss":"https://other.example","sub":"ada"}"#;
    let own = format!(r#"{{"format":"iss_sub","iss":"{ISSUER}","sub":"ada"}}"#);
    let stranger = stage.push(&claims("1", others, REVOKED, 0)).await;
    assert_eq!(stranger, Ok(Received::PassedOver));
    for (n, format) in ["uri", "did", "account"].into_iter().enumerate() {
        let member = if format == "did" { "url" } else { "uri" };
        let same = format!(r#"{{"format":"{format}","{member}":"https://other.example|ada"}}"#);
        let named = stage.push(&claims(&format!("0{n}"), &same, REVOKED, 0)).await;
        assert_eq!(named, Ok(Received::PassedOver), "{format}");
    }
    assert!(matches!(stage.push(&claims("2", &own, REVOKED, 0)).await, Ok(Received::Taken { .. })));
}

#[tokio::test]
async fn of_those_who_have_no_issuer_in_their_name_it_may_speak_of_its_own_too() {
    let stage = stage("").await;
    let service = &stage.bench.service;
    let ids = ["did:example:bot", "spiffe://prod.example.org/a", "spiffe://other.example/a"];
    for id in ids {
        service.change_identity(agent(id), &me()).await.unwrap();
    }
    let active = |id: &str| {
        let id = IdentityId::new(id).unwrap();
        service.world().identity(&id).unwrap().status == IdentityStatus::Active
    };
    let revoke = async |n: &str, id: &str| {
        let (format, member) = if id.starts_with("did:") { ("did", "url") } else { ("uri", "uri") };
        let subject = format!(r#"{{"format":"{format}","{member}":"{id}"}}"#);
        stage.push(&claims(n, &subject, REVOKED, 0)).await
    };
    for (n, id) in ["did:example:bot", "spiffe://other.example/a"].into_iter().enumerate() {
        assert_eq!(revoke(&format!("0{n}"), id).await, Ok(Received::PassedOver), "{id}");
        assert!(active(id));
    }
    // It is agreed that it speaks for that trust domain.
    let spiffe = revoke("1", "spiffe://prod.example.org/a").await;
    assert!(matches!(spiffe, Ok(Received::Taken { .. })), "{spiffe:?}");
    assert!(!active("spiffe://prod.example.org/a"));
    // A trust record says that its claims make that one.
    service.set_prover(Some(Arc::new(super::vouched::Makes("did:example:bot"))));
    assert!(matches!(revoke("2", "did:example:bot").await, Ok(Received::Taken { .. })));
    assert!(!active("did:example:bot"));
}

#[tokio::test]
async fn one_that_may_stop_nobody_tells_of_risk_alone() {
    const CHANGED: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
    let stage = stage(", may_revoke: false").await;
    let revoked = stage.push(&claims("1", AGENT, REVOKED, 0)).await;
    assert_eq!(refused(revoked), DeliveryFault::AccessDenied);
    assert_eq!((stage.status(), stage.signals()), (IdentityStatus::Active, Vec::new()));
    let changed = claims("2", AGENT, CHANGED, 0);
    let mut members = changed.as_object().unwrap().clone();
    let event = json::parse(
        format!(r#"{{"{CHANGED}":{{"credential_type":"password","change_type":"update"}}}}"#)
            .as_bytes(),
    );
    members.insert("events".into(), event.unwrap());
    let told = stage.push(&Value::Object(members)).await;
    assert!(matches!(told, Ok(Received::Taken { .. })), "{told:?}");
}

#[tokio::test]
async fn silence_is_a_signal_until_the_stream_speaks_again() {
    let stage = stage(", silent_after_s: 60").await;
    let issuer = || stage.bench.service.risk_of(&[About::Issuer(ISSUER.into())]).level;
    let look = async |ms: i64| {
        stage.bench.clock.set(NOW.plus_ms(ms));
        stage.streams.look_for_silence().await;
        stage.signals().len()
    };
    assert_eq!(look(60_000).await, 0);
    assert_eq!(look(60_001).await, 1);
    assert_eq!(look(61_000).await, 1, "it is said once");
    assert!(issuer() >= Level::Moderate);
    assert_eq!(look(240_001).await, 2);
    assert_eq!(stage.signals()[1], (Kind::StreamSilent, Severity::High));
    assert_eq!(stage.streams.view("idp").unwrap().standing, StreamStanding::Silent);
    stage.bench.clock.set(NOW.plus_ms(241_000));
    let stranger = r#"{"format":"opaque","id":"stranger"}"#;
    let spoken = "https://schemas.openid.net/secevent/caep/event-type/session-presented";
    stage.push(&claims("1", stranger, spoken, 240_000)).await.unwrap();
    assert_eq!(stage.signals()[2], (Kind::StreamSilent, Severity::Info));
    assert_eq!(issuer(), Level::Low);
    assert_eq!(stage.streams.view("idp").unwrap().standing, StreamStanding::Speaking);
}

#[tokio::test]
async fn a_verification_carries_the_state_that_was_asked_for() {
    const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    let stage = stage("").await;
    let subject = r#"{"format":"opaque","id":"stream-1"}"#;
    let with = |id: &str, state: &str| {
        let text = format!(
            r#"{{"iss":"{ISSUER}","aud":"us","iat":{},"jti":"{id}","sub_id":{subject},
            "events":{{"{VERIFICATION}":{{"state":"{state}"}}}}}}"#,
            NOW.as_millis() / 1000
        );
        json::parse(text.as_bytes()).unwrap()
    };
    assert_eq!(refused(stage.push(&with("1", "x")).await), DeliveryFault::InvalidState);
    assert!(stage.streams.expect_verification("idp", "x"));
    assert_eq!(refused(stage.push(&with("2", "y")).await), DeliveryFault::InvalidState);
    assert_eq!(stage.push(&with("3", "x")).await, Ok(Received::PassedOver));
    let view = stage.streams.view("idp").unwrap();
    assert_eq!((view.verified_at, view.verifying), (Some(NOW), false));
    // Each is good once.
    assert_eq!(refused(stage.push(&with("4", "x")).await), DeliveryFault::InvalidState);
}

#[tokio::test]
async fn a_stream_that_floods_is_held() {
    let stage = stage("").await;
    for _ in 0..SETS_PER_MINUTE_MAX {
        let _ = stage.streams.pushed("idp", Some("secret"), "x").await;
    }
    let event = claims("1", AGENT, REVOKED, 0);
    assert_eq!(stage.push(&event).await, Err(SetError::Busy));
    assert_eq!(stage.signals(), []);
    stage.bench.clock.set(NOW.plus_ms(60_000));
    assert!(stage.push(&event).await.is_ok());
}

#[tokio::test]
async fn behind_a_flood_what_stops_someone_is_taken_and_nothing_else() {
    let stage = stage("").await;
    let mut heard = Heard::default();
    for n in 0..=safeconduct_service::IDS_REMEMBERED_MAX {
        let (about, source) = (About::Issuer(ISSUER.into()), Source::Stream(ISSUER.into()));
        let id = format!("n{n}");
        let signal = Signal::new(about, Kind::Recovery, Severity::Low, source, &*id, NOW);
        heard.apply(&Record {
            id: RecordId::new(format!("sig_{n}")).unwrap(),
            at: NOW,
            trace: None,
            parent: None,
            body: Body::SignalSeen(Box::new(signal)),
        });
    }
    let stage = Stage { streams: streams(&stage.bench, "", heard), ..stage };
    // Nobody knows any more whether these came before, and a restart knows that.
    let changed = "https://schemas.openid.net/secevent/risc/event-type/identifier-changed";
    let other = stage.push(&claims("n0", AGENT, changed, -10_000)).await;
    assert_eq!(refused(other), DeliveryFault::InvalidRequest);
    assert_eq!(stage.status(), IdentityStatus::Active);
    let revoked = stage.push(&claims("late", AGENT, REVOKED, -10_000)).await;
    assert_eq!(revoked, Ok(Received::Taken { signals: 2 }));
    assert_eq!(stage.status(), IdentityStatus::Suspended);
}

#[tokio::test]
async fn the_examples_of_the_profiles_act() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/evals/ssf/examples.jsonl");
    let Ok(lines) = std::fs::read_to_string(path) else {
        println!("skipped: no ../shared/evals/ssf beside the work tree");
        return;
    };
    let stage = stage("").await;
    let (mut taken, mut passed) = (0, 0);
    for (n, line) in lines.lines().enumerate() {
        let line = json::parse(line.as_bytes()).unwrap();
        let Some(example) = line.member("json").filter(|json| json.member("events").is_some())
        else {
            continue;
        };
        let mut members = example.as_object().unwrap().clone();
        let seconds = NOW.as_millis() / 1000;
        members.insert("iss".into(), Value::from(ISSUER));
        members.insert("aud".into(), Value::from("us"));
        members.insert("iat".into(), Value::Integer(seconds));
        members.insert("jti".into(), Value::from(format!("example-{n}").as_str()));
        match stage.push(&Value::Object(members)).await {
            Ok(Received::Taken { signals }) => taken += signals,
            // Of harmless ones, and of devices and groups, nothing comes.
            Ok(_) => passed += 1,
            // Its state is that of the example.
            Err(SetError::Refused { fault: DeliveryFault::InvalidState, .. }) => {}
            Err(error) => panic!("{n}: {error}"),
        }
    }
    assert!(taken >= 10, "{taken} signals; {passed} tokens came to nothing");
    let kinds: BTreeSet<Kind> = stage.signals().into_iter().map(|(kind, _)| kind).collect();
    for kind in
        [Kind::SessionRevoked, Kind::CredentialChanged, Kind::AssuranceLevel, Kind::RiskLevel]
    {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_stream_that_stays_silent_never_comes_to_look_as_if_it_spoke() {
    const HOUR: i64 = 3_600_000;
    let stage = stage(", silent_after_s: 60").await;
    let level = || stage.bench.service.risk_of(&[About::Issuer(ISSUER.into())]).level;
    let listen = async |streams: &Streams, hours: std::ops::Range<i64>| {
        for half in hours.start * 2..hours.end * 2 {
            stage.bench.clock.set(NOW.plus_ms(241_000 + half * HOUR / 2));
            streams.look_for_silence().await;
            assert!(level() >= Level::Moderate, "{half} half hours");
        }
    };
    listen(&stage.streams, 0..48).await;
    // Nor does a restart make it speak, nor make less of it.
    let mut heard = Heard::default();
    records(&stage.bench.ledger).iter().for_each(|record| heard.apply(record));
    let again = streams(&stage.bench, ", silent_after_s: 60", heard);
    listen(&again, 48..96).await;
    let said = stage.signals();
    assert_eq!(said.last(), Some(&(Kind::StreamSilent, Severity::High)));
    assert!(said.len() < 110, "{}", said.len());
}
