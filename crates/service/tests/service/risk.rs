//! Signals, and what decisions see of them.

use std::time::Instant;

use safeconduct_risk::detect::Tuning;
use safeconduct_risk::{
    About, Kind, SIGNALS_PER_SUBJECT_MAX, Severity, Signal, SignalError, Source,
};

use super::*;

const RISKY: &str = r#"
@id("reads") permit (principal, action == Safeconduct::Action::"files.read", resource);
@id("too risky") forbid (principal, action, resource) when { context.risk.score >= 50 };
@id("bursts") @message("slow down") forbid (principal, action, resource)
when { context.risk.signals.contains("burst") && context.risk.level == "moderate" };
"#;

async fn risky() -> Bench {
    let (ports, ledger, clock) = ports();
    clock.set(NOW);
    let service = Arc::new(Service::new(ports, Settings::default(), world(RISKY)));
    service.change_identity(agent("agent"), &me()).await.unwrap();
    Bench { service, ledger, clock }
}

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn whom() -> About {
    About::Identity(name(IdentityId::new("agent")))
}

fn signal(kind: Kind, severity: Severity, id: &str) -> Signal {
    Signal::new(whom(), kind, severity, Source::Webhook("edr".into()), id, NOW)
}

fn kinds(ledger: &MemoryLedger) -> Vec<&'static str> {
    records(ledger).iter().map(|record| record.body.kind()).collect()
}

/// The same service again, from its records.
fn again(bench: &Bench) -> Bench {
    let (ports, ledger, clock) = ports();
    clock.set(bench.service.now());
    let service = Arc::new(Service::new(ports, Settings::default(), world(RISKY)));
    service.prepare_detectors(Tuning { denials: 2, ..Tuning::default() }, Vec::new());
    let mut restore = service.restore();
    for (sequence, record) in records(&bench.ledger).iter().enumerate() {
        restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
    }
    restore.finish();
    Bench { service, ledger, clock }
}

#[tokio::test]
async fn a_signal_is_durable_and_decisions_see_it() {
    let bench = risky().await;
    assert_eq!(bench.read().await, Ok(()));
    let signals = vec![signal(Kind::CredentialCompromised, Severity::High, "1")];
    let taken = bench.service.take_signals(signals.clone(), None).await.unwrap();
    assert_eq!(taken.recorded.len(), 1);
    assert_eq!(*kinds(&bench.ledger).last().unwrap(), "signal");
    assert_eq!(bench.read().await, Err(vec!["policy"]));
    assert_eq!(decided(&bench.ledger).iter().map(|d| d.risk).collect::<Vec<_>>(), [0, 65]);
    // The same again is known, and nothing is recorded of it.
    let again = bench.service.take_signals(signals, None).await.unwrap();
    assert_eq!((again.known, again.recorded.len()), (1, 0));
    // It fades.
    bench.clock.set(NOW.plus_ms(21 * 86_400_000));
    assert_eq!(bench.read().await, Ok(()));
    let risk = bench.service.risk_of(&[whom()]);
    assert!((1..20).contains(&risk.score), "{}", risk.score);
}

#[tokio::test]
async fn a_signal_about_somebody_else_changes_nothing() {
    let bench = risky().await;
    let other = About::Identity(name(IdentityId::new("other")));
    let signal = Signal { about: other, ..signal(Kind::Reported, Severity::Critical, "1") };
    bench.service.take_signals(vec![signal], None).await.unwrap();
    assert_eq!(bench.read().await, Ok(()));
    assert_eq!(decided(&bench.ledger)[0].risk, 0);
}

#[tokio::test]
async fn a_policy_sees_kinds_and_level() {
    let bench = risky().await;
    let burst = signal(Kind::Burst, Severity::Moderate, "1");
    bench.service.take_signals(vec![burst], None).await.unwrap();
    let outcome = bench.service.check(check("read")).await.unwrap().into_value().outcome;
    assert_eq!(outcome.reasons[0].message(), "slow down");
}

#[tokio::test]
async fn nothing_is_computed_where_no_policy_looks() {
    let bench = bench(Settings::default()).await;
    bench.clock.set(NOW);
    let signal = signal(Kind::Reported, Severity::Critical, "1");
    bench.service.take_signals(vec![signal], None).await.unwrap();
    assert_eq!(bench.read().await, Ok(()));
    assert_eq!(decided(&bench.ledger)[0].risk, 0);
}

#[tokio::test]
async fn a_revoking_signal_stops_at_once() {
    let bench = risky().await;
    let began = Instant::now();
    let revoked = signal(Kind::SessionRevoked, Severity::Critical, "jti-9");
    let taken = bench.service.take_signals(vec![revoked.clone()], None).await.unwrap();
    assert_eq!(bench.read().await, Err(vec!["identity_not_active"]));
    assert!(began.elapsed().as_millis() < 50, "{:?}", began.elapsed());
    assert_eq!(taken.stopped, [KillScope::Identity(name(IdentityId::new("agent")))]);
    let all = records(&bench.ledger);
    let seen = all.iter().find(|record| record.body.kind() == "signal").unwrap();
    let killed = all.iter().find(|record| record.body.kind() == "killed").unwrap();
    assert_eq!(killed.parent.as_ref(), Some(&seen.id));
    let Body::Killed { by, reason, .. } = &killed.body else { panic!() };
    assert_eq!(by.as_str(), "signals:webhook:edr");
    assert_eq!(&**reason, "signal session_revoked of webhook edr: jti-9");
    // What was lifted by a person is not stopped again by the same word.
    bench.service.change_identity(agent("agent"), &me()).await.unwrap();
    let taken = bench.service.take_signals(vec![revoked], None).await.unwrap();
    assert_eq!((taken.known, taken.stopped.len()), (1, 0));
}

#[tokio::test]
async fn a_revoked_session_is_stopped_and_the_identity_goes_on() {
    let bench = risky().await;
    let session = SessionKey::of(&proof("agent", "t1"));
    let about = About::Session(session);
    let revoked = Signal { about, ..signal(Kind::SessionRevoked, Severity::Critical, "1") };
    bench.service.take_signals(vec![revoked], None).await.unwrap();
    assert_eq!(bench.read().await, Err(vec!["killed"]));
    let mut other = check("read");
    other.subject = Subject::Caller(proof("agent", "t2"));
    let outcome = bench.service.check(other).await.unwrap().into_value().outcome;
    assert_eq!(outcome.decision, Decision::Permit);
}

#[tokio::test]
async fn what_a_crash_left_undone_is_stopped_when_the_ledger_is_read_again() {
    let bench = risky().await;
    let revoked = signal(Kind::AccountDisabled, Severity::Critical, "1");
    bench.service.take_signals(vec![revoked], None).await.unwrap();
    // The signal alone came to the disk.
    let (ports, ledger, clock) = ports();
    clock.set(NOW);
    let service = Arc::new(Service::new(ports, Settings::default(), world(RISKY)));
    let mut restore = service.restore();
    let all = records(&bench.ledger);
    let until = all.iter().position(|record| record.body.kind() == "signal").unwrap();
    for (sequence, record) in all[..=until].iter().enumerate() {
        restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
    }
    restore.finish();
    let after = Bench { service, ledger, clock };
    assert_eq!(after.read().await, Err(vec!["identity_not_active"]));
    assert!(kinds(&after.ledger).contains(&"killed"));
}

#[tokio::test]
async fn a_restart_knows_the_same() {
    let bench = risky().await;
    for n in 0..40 {
        let kind = Kind::ALL[n % Kind::ALL.len()];
        if kind.is_revoking() {
            continue;
        }
        let signal = signal(kind, Severity::ALL[n % 5], &n.to_string());
        bench.clock.set(NOW.plus_ms(n as i64 * 1000));
        bench.service.take_signals(vec![signal], None).await.unwrap();
    }
    let after = again(&bench);
    assert_eq!(after.service.signals_about(&whom()), bench.service.signals_about(&whom()));
    assert_eq!(after.service.risk_of(&[whom()]), bench.service.risk_of(&[whom()]));
}

#[tokio::test]
async fn a_flood_is_bounded_and_counted() {
    let bench = risky().await;
    let worse = signal(Kind::CredentialCompromised, Severity::High, "first");
    bench.service.take_signals(vec![worse.clone()], None).await.unwrap();
    let mut sent = 0;
    for batch in 0..20 {
        let low = |n| Signal {
            observed_at: NOW.plus_ms(-1 - i64::from(batch * 100 + n)),
            ..signal(Kind::Reported, Severity::Low, &format!("{batch}-{n}"))
        };
        let signals: Vec<_> = (0..100).map(low).collect();
        sent += signals.len() as u64;
        bench.service.take_signals(signals, None).await.unwrap();
    }
    let kept = bench.service.signals_about(&whom());
    assert_eq!(kept.len(), SIGNALS_PER_SUBJECT_MAX);
    assert!(kept.contains(&worse), "the worst one stays");
    let counts = bench.service.signal_counts();
    assert_eq!(counts.dropped, sent + 1 - SIGNALS_PER_SUBJECT_MAX as u64);
    // Of what finds no room nothing is written: a flood does not fill the disk.
    let recorded = kinds(&bench.ledger).iter().filter(|kind| **kind == "signal").count();
    assert!(recorded <= 100 + SIGNALS_PER_SUBJECT_MAX, "{recorded}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_whole() {
    let bench = risky().await;
    let nameless = signal(Kind::Reported, Severity::High, "");
    let fine = signal(Kind::Reported, Severity::High, "1");
    let refused = bench.service.take_signals(vec![fine.clone(), nameless], None).await;
    assert_eq!(refused.unwrap_err(), TakeSignalError::Signal(SignalError::Nameless));
    let future = Signal { observed_at: NOW.plus_ms(600_000), ..fine.clone() };
    let refused = bench.service.take_signals(vec![future], None).await;
    assert!(matches!(refused, Err(TakeSignalError::Future { ahead_ms: 600_000 })));
    let many = vec![fine.clone(); SIGNALS_AT_ONCE_MAX + 1];
    let refused = bench.service.take_signals(many, None).await;
    assert!(matches!(refused, Err(TakeSignalError::TooMany { .. })));
    bench.ledger.fail("the disk is full");
    assert!(bench.service.take_signals(vec![fine], None).await.is_err());
    assert!(bench.service.signals_about(&whom()).is_empty() || bench.read().await.is_err());
}

#[tokio::test]
async fn detectors_see_what_nobody_waits_for() {
    let bench = risky().await;
    bench.service.prepare_detectors(Tuning { denials: 2, ..Tuning::default() }, Vec::new());
    let detecting = bench.service.start_detectors().unwrap();
    let service = Arc::clone(&bench.service);
    let at_work = std::thread::spawn(move || detecting.run(&service));
    for _ in 0..2 {
        // Whoever asked is gone before the answer is there.
        drop(bench.service.begin_check(check("move")).unwrap());
    }
    bench.service.stop_detectors();
    at_work.join().unwrap();
    assert!(kinds(&bench.ledger).contains(&"signal"));
}

#[tokio::test]
async fn detectors_find_and_a_restart_does_not_find_it_twice() {
    let bench = risky().await;
    bench.service.prepare_detectors(Tuning { denials: 2, ..Tuning::default() }, Vec::new());
    let detecting = bench.service.start_detectors().unwrap();
    let service = Arc::clone(&bench.service);
    let at_work = std::thread::spawn(move || detecting.run(&service));
    for _ in 0..2 {
        bench.service.check(check("move")).await.unwrap();
    }
    bench.service.stop_detectors();
    at_work.join().unwrap();
    let all = records(&bench.ledger);
    let found: Vec<_> = all
        .iter()
        .filter_map(|record| match &record.body {
            Body::SignalSeen(signal) => Some((record, signal)),
            _ => None,
        })
        .collect();
    let [(record, signal)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(signal.kind, Kind::DenialStreak);
    let parent = record.parent.as_ref().unwrap();
    assert_eq!(parent.as_str(), &*signal.id);
    assert!(all.iter().any(|record| record.id == *parent && record.body.kind() == "decision"));
    // The records say it already.
    let after = again(&bench);
    drop(after.service.start_detectors());
    assert!(!kinds(&after.ledger).contains(&"signal"));
    // Where the finding was lost, it is found again.
    let lost = Bench { ledger: Arc::clone(&bench.ledger), ..again(&bench) };
    let (ports, ledger, clock) = ports();
    clock.set(lost.service.now());
    let service = Arc::new(Service::new(ports, Settings::default(), world(RISKY)));
    service.prepare_detectors(Tuning { denials: 2, ..Tuning::default() }, Vec::new());
    let mut restore = service.restore();
    let kept = all.iter().filter(|record| record.body.kind() != "signal");
    for (sequence, record) in kept.enumerate() {
        restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
    }
    restore.finish();
    drop(service.start_detectors());
    assert_eq!(kinds(&ledger), ["signal"]);
}
