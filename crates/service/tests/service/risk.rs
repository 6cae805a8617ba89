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

fn known(service: &Service, id: &str) -> Identity {
    service.world().identity(&name(IdentityId::new(id))).unwrap().clone()
}

/// Suspended because a directory says so.
fn suspended_there(id: &str) -> Identity {
    let there = Imported { suspended: true, ..Imported::of(ImportSource::Scim) };
    let status = IdentityStatus::Suspended;
    Identity { status, imported: Some(Box::new(there)), ..agent(id) }
}

#[tokio::test]
async fn a_revoking_signal_holds_whom_another_could_let_go_on() {
    for stopped in [
        suspended_there("agent"),
        Identity { status: IdentityStatus::Quarantined, ..agent("agent") },
    ] {
        let bench = risky().await;
        bench.service.change_identity(stopped, &me()).await.unwrap();
        let revoked = signal(Kind::AccountDisabled, Severity::Critical, "1");
        bench.service.take_signals(vec![revoked], None).await.unwrap();
        let held = known(&bench.service, "agent");
        assert_eq!(held.status, IdentityStatus::Suspended);
        // Neither the directory nor the review that stopped it lets that go on.
        assert!(held.imported.as_ref().is_none_or(|imported| !imported.suspended));
        let all = records(&bench.ledger);
        let seen = all.iter().find(|record| record.body.kind() == "signal").unwrap();
        let killed = all.iter().find(|record| record.body.kind() == "killed").unwrap();
        assert_eq!(killed.parent.as_ref(), Some(&seen.id));
    }
}

#[tokio::test]
async fn who_was_stopped_here_already_is_not_stopped_again() {
    for status in [IdentityStatus::Suspended, IdentityStatus::Retired] {
        let bench = risky().await;
        let stopped = Identity { status, ..agent("agent") };
        bench.service.change_identity(stopped, &me()).await.unwrap();
        let revoked = signal(Kind::AccountDisabled, Severity::Critical, "1");
        bench.service.take_signals(vec![revoked], None).await.unwrap();
        assert_eq!(known(&bench.service, "agent").status, status);
        assert!(!kinds(&bench.ledger).contains(&"killed"));
    }
}

#[tokio::test]
async fn who_was_stopped_before_they_were_registered_begins_suspended() {
    let bench = risky().await;
    let of = |id: &str| {
        let about = About::User(name(IdentityId::new(id)));
        Signal { about, ..signal(Kind::AccountDisabled, Severity::Critical, id) }
    };
    let strangers = ["registered", "imported", "pushed", "late"].map(of).to_vec();
    bench.service.take_signals(strangers, None).await.unwrap();
    assert!(!kinds(&bench.ledger).contains(&"killed"));
    bench.service.change_identity(agent("registered"), &me()).await.unwrap();
    let new = |is| Replacing { was: None, is };
    let both = vec![new(agent("imported")), new(suspended_there("pushed")), new(agent("other"))];
    bench.service.replace_identities(both, &me(), None).await.unwrap();
    for id in ["registered", "imported", "pushed"] {
        let begins = known(&bench.service, id);
        assert_eq!(begins.status, IdentityStatus::Suspended, "{id}");
        assert!(begins.imported.is_none_or(|imported| !imported.suspended), "{id}");
    }
    assert_eq!(known(&bench.service, "other").status, IdentityStatus::Active);
    let all = records(&bench.ledger);
    let reasons = all.iter().filter_map(|record| match &record.body {
        Body::Killed { reason, by, .. } => Some((by.to_string(), reason.to_string())),
        _ => None,
    });
    let word = |id: &str| {
        ("signals:webhook:edr".to_owned(), format!("signal account_disabled of webhook edr: {id}"))
    };
    assert_eq!(reasons.collect::<Vec<_>>(), ["registered", "imported", "pushed"].map(word));
    // A person lets them go on, and what is said no more holds nobody.
    bench.service.change_identity(agent("registered"), &me()).await.unwrap();
    assert_eq!(known(&bench.service, "registered").status, IdentityStatus::Active);
    let after = again(&bench).service;
    assert_eq!(known(&after, "registered").status, IdentityStatus::Active);
    assert_eq!(known(&after, "imported").status, IdentityStatus::Suspended);
    bench.clock.set(NOW.plus_ms(Kind::AccountDisabled.lifetime_ms()));
    bench.service.change_identity(agent("late"), &me()).await.unwrap();
    assert_eq!(known(&bench.service, "late").status, IdentityStatus::Active);
}

#[tokio::test]
async fn a_crash_lets_nobody_go_on_whom_a_signal_was_to_hold() {
    // What was recorded before the kill was: of somebody suspended elsewhere, and of a stranger.
    for stranger in [false, true] {
        let bench = risky().await;
        let revoked = signal(Kind::AccountDisabled, Severity::Critical, "1");
        let about = About::Identity(name(IdentityId::new("held")));
        let revoked = Signal { about, ..revoked };
        if !stranger {
            bench.service.change_identity(suspended_there("held"), &me()).await.unwrap();
        }
        bench.service.take_signals(vec![revoked], None).await.unwrap();
        if stranger {
            bench.service.change_identity(agent("held"), &me()).await.unwrap();
        }
        let all = records(&bench.ledger);
        let until = all.iter().position(|record| record.body.kind() == "killed").unwrap();
        let (ports, ledger, clock) = ports();
        clock.set(NOW);
        let service = Service::new(ports, Settings::default(), world(RISKY));
        let mut restore = service.restore();
        for (sequence, record) in all[..until].iter().enumerate() {
            restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
        }
        restore.finish();
        let held = known(&service, "held");
        assert_eq!(held.status, IdentityStatus::Suspended, "{stranger}");
        assert!(held.imported.is_none_or(|imported| !imported.suspended));
        assert!(kinds(&ledger).contains(&"killed"));
    }
}

#[tokio::test]
async fn whom_a_person_let_go_on_since_a_restart_does_not_stop() {
    // A ledger of before: the signal stands there, and nothing was stopped by it.
    let bench = risky().await;
    bench.service.change_identity(suspended_there("held"), &me()).await.unwrap();
    let user = Identity { kind: IdentityKind::User, ..agent("ada") };
    bench.service.change_identity(user, &me()).await.unwrap();
    let about = About::Identity(name(IdentityId::new("held")));
    let revoked = Signal { about, ..signal(Kind::AccountDisabled, Severity::Critical, "1") };
    bench.service.take_signals(vec![revoked], None).await.unwrap();
    let before: Vec<Record> = {
        let mut all = records(&bench.ledger);
        let until = all.iter().position(|record| record.body.kind() == "killed").unwrap();
        all.truncate(until);
        all
    };
    for (by, status) in [("ada", IdentityStatus::Active), ("scim", IdentityStatus::Suspended)] {
        let (ports, _, clock) = ports();
        clock.set(NOW);
        let service = Service::new(ports, Settings::default(), world(RISKY));
        let mut restore = service.restore();
        let by = name(IdentityId::new(by));
        let lifted = Body::IdentityChanged { identity: agent("held"), by };
        let id = name(RecordId::new("rec_lifted"));
        let lifted = Record { id, at: NOW, trace: None, parent: None, body: lifted };
        for (sequence, record) in before.iter().chain([&lifted]).enumerate() {
            restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
        }
        restore.finish();
        assert_eq!(known(&service, "held").status, status);
    }
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
