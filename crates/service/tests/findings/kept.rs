//! Exemptions, and that all of it is a fold of the ledger.

use std::sync::Arc;

use safeconduct_model::*;
use safeconduct_review::finding::{
    ExemptError, ExemptionKind, ExemptionWish, FindingKind, FindingState,
};
use safeconduct_service::{ExemptFindingError, LookError};

use crate::bench::*;

fn wish(by: &str, until: Option<Timestamp>) -> ExemptionWish {
    ExemptionWish {
        kind: ExemptionKind::BreakGlass,
        reason: "for emergencies".into(),
        by: id(by),
        until,
    }
}

async fn dormant() -> Bench {
    let bench = Bench::new().await;
    bench.scan().await;
    bench.pass(91 * DAY);
    bench.does("worker", "read").await;
    bench.scan().await;
    bench
}

#[tokio::test]
async fn a_finding_is_exempt_until_that_ends_and_never_without_an_end() {
    let bench = dormant().await;
    let finding = bench.only(FindingKind::DormantIdentity);
    let now = bench.service.now();
    let endless = bench.service.exempt_finding(&finding.id, wish("ada", None)).await;
    assert_eq!(endless, Err(ExemptFindingError::Exempt(ExemptError::NoEnd)));
    assert_eq!(bench.recorded("exemption"), 0);
    let own = bench.service.exempt_finding(&finding.id, wish("helper", Some(now.plus_ms(1)))).await;
    assert!(matches!(own, Err(ExemptFindingError::Exempt(ExemptError::OwnCase(_)))), "{own:?}");

    let until = Some(now.plus_ms(10 * DAY));
    bench.service.exempt_finding(&finding.id, wish("ada", until)).await.unwrap();
    let state = |bench: &Bench| bench.only(FindingKind::DormantIdentity).state(bench.service.now());
    assert_eq!(state(&bench), FindingState::Exempt);
    bench.scan().await;
    assert_eq!(state(&bench), FindingState::Exempt);
    bench.pass(10 * DAY);
    assert_eq!(state(&bench), FindingState::Open, "at once, whoever has looked");
    assert_eq!(bench.scan().await.expired, 1);
    assert_eq!(bench.recorded("exemption"), 2);

    let until = Some(bench.service.now().plus_ms(DAY));
    bench.service.exempt_finding(&finding.id, wish("ada", until)).await.unwrap();
    bench.service.unexempt_finding(&finding.id, &id("grace")).await.unwrap();
    assert_eq!(state(&bench), FindingState::Open);
    let again = bench.service.unexempt_finding(&finding.id, &id("grace")).await;
    assert_eq!(again, Err(ExemptFindingError::Exempt(ExemptError::NotExempt)));
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let bench = dormant().await;
    let finding = bench.only(FindingKind::DormantIdentity);
    let until = Some(bench.service.now().plus_ms(10 * DAY));
    bench.service.exempt_finding(&finding.id, wish("ada", until)).await.unwrap();
    let again = bench.restarted();
    let all = |bench: &Bench| bench.service.findings(|_| true);
    assert_eq!(all(&bench), all(&again));
    let recorded = again.recorded("finding");
    let report = again.scan().await;
    assert_eq!((report.opened, report.closed, report.changed, report.reopened), (0, 0, 0, 0));
    assert_eq!(again.recorded("finding"), recorded, "since when rights are held is not forgotten");
}

#[tokio::test]
async fn one_looks_at_a_time_and_a_look_that_cannot_read_changes_nothing() {
    let bench = dormant().await;
    let read = MemoryRead(Arc::clone(&bench.ledger));
    let look = bench.service.look(&read).unwrap();
    assert_eq!(bench.service.look(&read).unwrap_err(), LookError::UnderWay);
    drop(look);
    let look = bench.service.look(&read).unwrap();
    bench.service.take_look(look).await.unwrap();
    bench.does("helper", "read").await;
    let look = bench.service.look(&read).unwrap();
    let before = bench.service.findings(|_| true);
    bench.ledger.fail("no space left on device");
    let unrecorded = bench.service.take_look(look).await;
    assert!(matches!(unrecorded, Err(LookError::Record(_))), "{unrecorded:?}");
    assert_eq!(bench.service.findings(|_| true), before, "what is not recorded is not so");
}
