use proptest::prelude::*;
use safeconduct_model::{Budget, IdentityId, IntentName, KeyedDigest, Origin, TaskId};

use super::*;

fn task(deadline: i64) -> Task {
    let who = IdentityId::new("case-agent").unwrap();
    Task {
        id: TaskId::new("tsk_1").unwrap(),
        intent: IntentName::new("summarise").unwrap(),
        intent_version: 1,
        agent: who.clone(),
        on_behalf_of: None,
        begun_by: who,
        origin: Origin::Trusted,
        parent: None,
        depth: 0,
        begun_at: Timestamp::from_millis(0),
        deadline: Timestamp::from_millis(deadline),
        idle_s: 60,
        budget: Budget {
            calls: 1,
            calls_of: [].into(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        }
        .into(),
        authority: KeyedDigest::from_bytes([0; 32]),
        handle: None,
        conversation: None,
        run_of: None,
    }
}

fn new() -> NewLease {
    NewLease {
        id: LeaseId::new("lea_1").unwrap(),
        target: TargetName::new("crm").unwrap(),
        kind: LeaseKind::PostgresRole,
        name: "sc_lea_1".into(),
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

const TERMS: LeaseTerms = LeaseTerms { ttl_ms: 1000, ttl_max_ms: 5000 };

#[test]
fn the_table_of_transitions() {
    use LeaseEvent as E;
    use LeaseState as S;
    for state in S::ALL {
        for event in E::ALL {
            let expected = match (state, event) {
                (S::Planned, E::Issued) => Some(S::Issued),
                (S::Planned | S::Issued, E::Revoke) => Some(S::Revoking),
                (S::Revoking, E::Proved) => Some(S::Revoked),
                (S::Revoking, E::GaveUp) => Some(S::Irrevocable),
                _ => None,
            };
            assert_eq!(advance(state, event).ok(), expected, "{state:?} {event:?}");
        }
    }
    assert_eq!(advance(S::Revoking, E::Issued), Err(TransitionError::Overtaken));
}

#[test]
fn nothing_is_planned_for_what_has_ended() {
    for state in [TaskState::Completed, TaskState::Expired, TaskState::Revoked] {
        assert_eq!(plan(new(), &task(9), state, TERMS, at(1)), Err(PlanError::TaskEnded(state)));
    }
    let late = plan(new(), &task(9), TaskState::Active, TERMS, at(9));
    assert_eq!(late, Err(PlanError::Late));
    for (ttl_ms, ttl_max_ms) in [(0, 10), (10, 9), (-1, 5), (TTL_MS_MAX + 1, i64::MAX)] {
        let terms = LeaseTerms { ttl_ms, ttl_max_ms };
        let refused = plan(new(), &task(90), TaskState::Active, terms, at(0));
        assert_eq!(refused, Err(PlanError::Terms));
    }
}

#[test]
fn a_start_takes_back_what_was_only_planned() {
    let lease = plan(new(), &task(9000), TaskState::Active, TERMS, at(0)).unwrap();
    let start = |state, task, now| duty_at_start(&lease, state, task, at(now));
    assert_eq!(start(LeaseState::Planned, TaskState::Active, 1), Duty::TakeBack);
    assert_eq!(start(LeaseState::Revoking, TaskState::Active, 1), Duty::TakeBack);
    assert_eq!(start(LeaseState::Issued, TaskState::Active, 1), Duty::Watch(at(1000)));
    assert_eq!(start(LeaseState::Issued, TaskState::Active, 1000), Duty::TakeBack);
    assert_eq!(start(LeaseState::Issued, TaskState::Revoked, 1), Duty::TakeBack);
    for state in [LeaseState::Revoked, LeaseState::Irrevocable] {
        assert_eq!(start(state, TaskState::Revoked, 9999), Duty::Nothing);
    }
    let live = duty(&lease, LeaseState::Planned, TaskState::Active, at(1));
    assert_eq!(live, Duty::Watch(at(1000)));
}

#[test]
fn waits_double_up_to_the_cap_and_end() {
    let backoff = Backoff { first_ms: 100, cap_ms: 1000, attempts: 7 };
    let longest: Vec<_> = (1..8).map(|failed| backoff.after(failed, at(0), u32::MAX)).collect();
    let expected = [100, 200, 400, 800, 1000, 1000].map(|ms| Retry::At(at(ms - 1)));
    assert_eq!(longest[..6], expected);
    assert_eq!(longest[6], Retry::GiveUp);
    assert_eq!(backoff.after(1, at(0), 0), Retry::At(at(50)));
}

fn states() -> impl Strategy<Value = LeaseState> {
    prop::sample::select(LeaseState::ALL.to_vec())
}

fn task_states() -> impl Strategy<Value = TaskState> {
    prop::sample::select(TaskState::ALL.to_vec())
}

proptest! {
    #[test]
    fn a_final_state_stays_and_none_is_reached_past_revoking(
        events in prop::collection::vec(prop::sample::select(LeaseEvent::ALL.to_vec()), 0..20),
    ) {
        let mut state = LeaseState::Planned;
        let mut revoking = false;
        for event in events {
            let Ok(next) = advance(state, event) else { continue };
            prop_assert!(!state.is_final());
            revoking |= next == LeaseState::Revoking;
            prop_assert!(!next.is_final() || revoking);
            // What is being taken back never comes to life again.
            prop_assert!(next != LeaseState::Issued || !revoking);
            state = next;
        }
    }

    #[test]
    fn a_lease_never_outlives_its_task_however_the_clock_steps(
        begun in -10_000_i64..10_000, deadline in -10_000_i64..100_000,
        ttl_ms in -5_i64..50_000, ttl_max_ms in -5_i64..200_000,
        clock in prop::collection::vec((-20_000_i64..120_000, task_states()), 0..30),
    ) {
        let terms = LeaseTerms { ttl_ms, ttl_max_ms };
        let Ok(mut lease) = plan(new(), &task(deadline), TaskState::Active, terms, at(begun)) else {
            return Ok(());
        };
        prop_assert!(lease.expires_at > lease.planned_at);
        for (now, state) in clock {
            prop_assert!(lease.expires_at <= lease.last_at && lease.last_at <= at(deadline));
            match renewal(&lease, LeaseState::Issued, state, terms, at(now)) {
                Ok(until) => {
                    prop_assert_eq!(state, TaskState::Active);
                    prop_assert!(until > lease.expires_at && at(now) < lease.expires_at);
                    prop_assert_eq!(
                        duty(&lease, LeaseState::Issued, state, at(now)),
                        Duty::Watch(lease.expires_at)
                    );
                    lease.expires_at = until;
                }
                Err(RenewalError::Expired) => prop_assert_eq!(
                    duty(&lease, LeaseState::Issued, state, at(now)), Duty::TakeBack
                ),
                Err(_) => {}
            }
        }
    }

    #[test]
    fn only_an_issued_lease_of_an_active_task_is_renewed(
        state in states(), task_state in task_states(), now in 0_i64..6000,
    ) {
        let lease = plan(new(), &task(9000), TaskState::Active, TERMS, at(0)).unwrap();
        if renewal(&lease, state, task_state, TERMS, at(now)).is_ok() {
            prop_assert_eq!((state, task_state), (LeaseState::Issued, TaskState::Active));
        }
    }

    #[test]
    fn a_retry_comes_later_within_the_cap_and_not_for_ever(
        first_ms in any::<u32>(), cap_ms in any::<u32>(), attempts in any::<u32>(),
        failed in any::<u32>(), random in any::<u32>(), now in any::<i64>(),
    ) {
        let backoff = Backoff { first_ms, cap_ms, attempts };
        match backoff.after(failed, at(now), random) {
            Retry::At(then) => {
                prop_assert!(failed < attempts && failed < ATTEMPTS_MAX);
                prop_assert!(then > at(now) || now == i64::MAX);
                prop_assert!(then.ms_since(at(now)) <= i64::from(cap_ms.max(1)));
            }
            Retry::GiveUp => prop_assert!(failed >= attempts.min(ATTEMPTS_MAX)),
        }
    }
}
