use std::collections::BTreeMap;
use std::path::Path;

use safeconduct_model::Value;
use safeconduct_wire::json;

use super::*;
use crate::{HalfLives, Level, Signals};

fn set(subject: &str, uri: &str, payload: &str) -> SecurityEvent {
    let claims = format!(
        r#"{{"iss":"https://idp","jti":"j1","iat":1000,"aud":"us","sub_id":{subject},
            "events":{{"https://schemas.openid.net/secevent/{uri}":{payload}}}}}"#
    );
    SecurityEvent::parse(claims.as_bytes()).unwrap()
}

const ADA: &str = r#"{"format":"iss_sub","iss":"https://idp","sub":"ada"}"#;

fn ada() -> IdentityId {
    IdentityId::new("https://idp|ada").unwrap()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn taken(set: &SecurityEvent) -> Intake {
    signals(set, at(1_000_000), &StreamTerms::default(), by_name).unwrap()
}

#[test]
fn a_revoked_session_is_critical_and_stops_its_user() {
    let complex = format!(r#"{{"format":"complex","user":{ADA},"device":{ADA}}}"#);
    let intake = taken(&set(&complex, "caep/event-type/session-revoked", "{}"));
    let [signal] = intake.signals.as_slice() else { panic!("{intake:?}") };
    assert_eq!(signal.about, About::User(ada()));
    assert_eq!(signal.stops(), Some(safeconduct_model::KillScope::Identity(ada())));
    let mut store = Signals::default();
    store.put(signal.clone(), at(1_000_000)).unwrap();
    let risk = store.assess([&signal.about], at(1_000_000), &HalfLives::default());
    assert_eq!((risk.score, risk.level), (90, Level::Critical));
}

#[test]
fn an_old_word_still_stops() {
    let mut old = set(ADA, "risc/event-type/account-disabled", r#"{"event_timestamp":1}"#);
    old.issued_at = at(1_000);
    let now = at(400 * 86_400_000);
    let intake = signals(&old, now, &StreamTerms::default(), by_name).unwrap();
    assert!(intake.signals.iter().all(|signal| signal.stops().is_some()));
    let mut store = Signals::default();
    assert_eq!(store.put(intake.signals[0].clone(), now), Ok(crate::Put::Kept));
}

#[test]
fn the_future_is_refused_or_now() {
    let set = set(ADA, "caep/event-type/session-revoked", r#"{"event_timestamp":9000000}"#);
    let early = at(1_000_000 - SKEW_MS_MAX);
    let intake = signals(&set, early, &StreamTerms::default(), by_name).unwrap();
    assert!(intake.signals.iter().all(|signal| signal.observed_at == early));
    let error = signals(&set, early.plus_ms(-1), &StreamTerms::default(), by_name).unwrap_err();
    assert_eq!(error, IntakeError::Future { ahead_ms: SKEW_MS_MAX + 1 });
}

#[test]
fn the_narrowest_member_counts() {
    let known = |member: &str, subject: &SubjectId| match (member, subject) {
        ("session", SubjectId::Opaque(id)) if &**id == "task_1" => {
            vec![About::Task(safeconduct_model::TaskId::new("task_1").unwrap())]
        }
        _ => by_name(member, subject),
    };
    let about = |session: &str| {
        let complex = format!(
            r#"{{"format":"complex","user":{ADA},"session":{{"format":"opaque","id":"{session}"}}}}"#
        );
        let set = set(&complex, "caep/event-type/session-revoked", "{}");
        let intake = signals(&set, at(1_000_000), &StreamTerms::default(), known).unwrap();
        intake.signals.iter().map(|signal| signal.about.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(about("task_1"), ["task task_1"]);
    assert_eq!(about("elsewhere"), ["user https://idp|ada"]);
}

#[test]
fn a_critical_member_must_mean_something() {
    let terms =
        StreamTerms { critical: BTreeSet::from(["tenant".into()]), ..StreamTerms::default() };
    let tenant = r#"{"format":"opaque","id":"7"}"#;
    let complex = format!(r#"{{"format":"complex","user":{ADA},"tenant":{tenant}}}"#);
    let set = set(&complex, "caep/event-type/session-revoked", "{}");
    let error = signals(&set, at(1_000_000), &terms, by_name).unwrap_err();
    assert_eq!(error.to_string(), "the critical member `tenant` of its subject means nothing here");
}

#[test]
fn who_is_unknown_is_said() {
    let mail = r#"{"format":"email","email":"ada@example.com"}"#;
    let intake = taken(&set(mail, "risc/event-type/account-purged", "{}"));
    assert_eq!(intake.passed_over[0].why, Why::UnknownSubject);
    assert!(intake.signals.is_empty());
    let alone = format!(r#"{{"format":"complex","device":{ADA}}}"#);
    assert!(taken(&set(&alone, "caep/event-type/session-revoked", "{}")).signals.is_empty());
    let known = taken(&set(
        &format!(r#"{{"format":"aliases","identifiers":[{mail},{ADA}]}}"#),
        "risc/event-type/account-purged",
        "{}",
    ));
    assert_eq!(known.signals.len(), 2);
}

#[test]
fn silence_is_a_signal_until_something_is_heard() {
    let issuer: Arc<str> = "https://idp".into();
    assert_eq!(silence(&issuer, at(0), at(1000), 1000), None);
    let silent = silence(&issuer, at(0), at(1001), 1000).unwrap();
    let longer = silence(&issuer, at(0), at(4001), 1000).unwrap();
    assert_eq!((silent.severity, longer.severity), (Severity::Moderate, Severity::High));
    let mut store = Signals::default();
    store.put(silent, at(4001)).unwrap();
    store.put(longer, at(4001)).unwrap();
    let everyone = About::Issuer(issuer);
    let score =
        |store: &Signals| store.assess([&everyone], at(1_000_000), &HalfLives::default()).score;
    assert!(score(&store) > 50);
    let stream = r#"{"format":"opaque","id":"stream"}"#;
    let alive = taken(&set(stream, "ssf/event-type/verification", r#"{"state":"s"}"#));
    assert_eq!(alive.verification.as_deref(), Some("s"));
    store.put(alive.signals[0].clone(), at(1_000_000)).unwrap();
    assert_eq!(score(&store), 0);
}

/// Every event in the texts of the Shared Signals Framework and of CAEP comes to something.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its examples")]
fn the_examples_of_the_profiles_come_to_signals() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/evals/ssf");
    let Ok(lines) = std::fs::read_to_string(path.join("examples.jsonl")) else {
        println!("skipped: no ../shared/evals/ssf beside the work tree");
        return;
    };
    let everyone = |_: &str, subject: &SubjectId| {
        vec![About::User(IdentityId::new(subject.format().to_owned()).unwrap())]
    };
    let mut counted: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines.lines() {
        let line = json::parse(line.as_bytes()).unwrap();
        let Some(claims) = line.member("json").filter(|json| json.member("events").is_some())
        else {
            continue;
        };
        let set = SecurityEvent::from_value(Value::clone(claims)).unwrap();
        let now = at(1_700_000_000_000);
        let said = match signals(&set, now, &StreamTerms::default(), everyone) {
            Err(error) => format!("refused: {}", error.to_string().replace(char::is_numeric, "")),
            Ok(intake) => match (intake.signals.as_slice(), intake.passed_over.as_slice()) {
                ([signal], []) => {
                    signal.check().unwrap();
                    let stops = if signal.stops().is_some() { ", stops" } else { "" };
                    format!("{} {}{stops}", signal.kind.as_str(), signal.severity.as_str())
                }
                ([], [nothing]) => format!("{:?}", nothing.why),
                other => panic!("{other:?}"),
            },
        };
        *counted.entry(said).or_default() += 1;
    }
    let counted: Vec<_> = counted.iter().map(|(said, n)| format!("{n} {said}")).collect();
    assert_eq!(
        counted,
        [
            "2 Harmless",
            "1 account_disabled critical, stops",
            "1 account_enabled info",
            "1 assurance_level info",
            "1 assurance_level low",
            "5 claims_changed low",
            "1 credential_changed low",
            "1 device_compliance high",
            "1 refused: it was issued  ms in the future",
            "1 risk_level info",
            "4 session_revoked critical, stops",
            "2 stream_silent info",
            "1 stream_silent moderate",
        ]
    );
}
