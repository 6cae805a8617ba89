//! Credentials: tokens, leases, and what was used too late.

use safeconduct_model::*;
use safeconduct_review::finding::FindingKind;

use crate::bench::*;

pub(crate) fn token(name: &str, whose: &str, bench: &Bench, days: i64) -> Token {
    Token {
        id: TokenId::new(name).unwrap(),
        identity: id(whose),
        digest: Digest::from_bytes([name.len() as u8; 32]),
        issued_at: bench.service.now(),
        expires_at: bench.service.now().plus_ms(days * DAY),
        revoked: false,
    }
}

#[tokio::test]
async fn a_token_lives_too_long_until_it_is_revoked() {
    let bench = Bench::new().await;
    let by = id("test");
    bench.service.register_token(token("t1", "worker", &bench, 90), &by).await.unwrap();
    bench.service.register_token(token("t22", "worker", &bench, 91), &by).await.unwrap();
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::LongLivedCredential), ["token t22 of worker"]);
    assert_eq!(bench.only(FindingKind::LongLivedCredential).evidence.len(), 1);
    bench.service.revoke_token(&TokenId::new("t22").unwrap(), &by).await.unwrap();
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::LongLivedCredential), [""; 0]);
}

#[tokio::test]
async fn a_token_is_orphaned_when_its_identity_is_gone() {
    let bench = Bench::new().await;
    let by = id("test");
    bench.service.register_token(token("t1", "worker", &bench, 30), &by).await.unwrap();
    let worker = identity("worker", IdentityKind::Agent);
    let status = |status| Identity { status, ..worker.clone() };
    bench.register(status(IdentityStatus::Suspended)).await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanedToken), [""; 0], "it may come back");
    bench.register(status(IdentityStatus::Retired)).await;
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanedToken), ["token t1 of worker"]);
    bench.pass(31 * DAY);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanedToken), [""; 0], "it has ended");
}

pub(crate) fn lease(bench: &Bench, name: &str) -> Lease {
    Lease {
        id: LeaseId::new(name).unwrap(),
        task: task("task_1"),
        target: TargetName::new("db").unwrap(),
        kind: LeaseKind::PostgresRole,
        name: format!("role_{name}").into(),
        planned_at: bench.service.now(),
        expires_at: bench.service.now().plus_ms(60_000),
        last_at: bench.service.now().plus_ms(60_000),
    }
}

#[tokio::test]
async fn a_lease_that_cannot_be_taken_back_and_one_that_outlives_its_task_are_found() {
    let bench = Bench::new().await;
    let changed = |lease: &Lease, state, detail: Option<&str>| Body::LeaseChanged {
        lease: Box::new(lease.clone()),
        state,
        detail: detail.map(Into::into),
    };
    let (one, two) = (lease(&bench, "one"), lease(&bench, "two"));
    bench.told("rec_a", changed(&one, LeaseState::Issued, None));
    bench.told("rec_b", changed(&one, LeaseState::Irrevocable, Some("no such database")));
    bench.told("rec_c", changed(&two, LeaseState::Issued, None));
    let bench = bench.restarted();
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::IrrevocableLease), ["lease one"]);
    assert_eq!(bench.only(FindingKind::IrrevocableLease).evidence.len(), 2);
    assert_eq!(bench.open(FindingKind::OrphanedLease), [""; 0], "it is being taken back");
    bench.pass(11 * 60_000 + 1);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanedLease), ["lease two"]);
    bench.told("rec_d", changed(&two, LeaseState::Revoked, None));
    let bench = bench.restarted();
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::OrphanedLease), [""; 0]);
    assert_eq!(bench.open(FindingKind::IrrevocableLease), ["lease one"]);
}

#[tokio::test]
async fn what_is_used_after_its_task_is_found_for_a_while() {
    let bench = Bench::new().await;
    let late = |action| Body::UsedAfterEnd {
        task: task("task_1"),
        identity: id("worker"),
        token: TokenId::new("jti-1").unwrap(),
        action,
    };
    bench.told("rec_a", late(None));
    bench.told("rec_b", late(Some(action("read"))));
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::UsedAfterTask), ["task task_1 of worker"]);
    assert_eq!(bench.only(FindingKind::UsedAfterTask).evidence.len(), 2);
    bench.pass(31 * DAY);
    bench.scan().await;
    assert_eq!(bench.open(FindingKind::UsedAfterTask), [""; 0]);
}
