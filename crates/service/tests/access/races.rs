//! Steps that race: only one of them happens.

use super::ends::{RIGHT, breaking};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_connections_use_an_approval_once() {
    for _ in 0..20 {
        let bench = Arc::new(bench().await);
        let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
        bench.approve(&asked.request).await;
        let tries = (0..8).map(|connection| {
            let bench = Arc::clone(&bench);
            let token = name(TokenId::new(format!("tok_{connection}")));
            let by = Authentication { token, ..proof("agent") };
            tokio::spawn(async move { bench.ask(call(&by, "mail", mail("x"))).await.is_ok() })
        });
        let mut done = 0;
        for one in tries.collect::<Vec<_>>() {
            done += usize::from(one.await.unwrap());
        }
        assert_eq!((done, bench.spent()), (1, 1));
    }
}

/// Two nodes over one ledger, each with what both have read of it.
fn two_nodes(bench: &Bench) -> [Bench; 2] {
    let entries = bench.ledger.entries();
    let (first, ledger, clock) = ports();
    clock.set(bench.service.now());
    let (reads, writes) = (Vec::new(), Vec::new());
    ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
    let Ports { vault, .. } = ports().0;
    let second = Ports {
        ledger: Arc::clone(&first.ledger),
        vault,
        clock: Arc::clone(&first.clock),
        ids: Arc::clone(&first.ids),
    };
    [first, second].map(|ports| Bench {
        service: restored(ports, &entries),
        ledger: Arc::clone(&ledger),
        clock: Arc::clone(&clock),
    })
}

/// A ledger where something happens right before a record is queued, once.
struct Before {
    ledger: Arc<MemoryLedger>,
    happens: std::sync::Mutex<Option<Happens>>,
}

struct Happens(Box<dyn FnOnce() + Send>);

impl Ledger for Before {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        let happens = self.happens.lock().unwrap().take();
        if let Some(Happens(happens)) = happens {
            happens();
        }
        self.ledger.submit(proposal)
    }

    fn durable(&self, ticket: Ticket) -> Durable<'_> {
        self.ledger.durable(ticket)
    }

    fn health(&self) -> LedgerHealth {
        self.ledger.health()
    }

    fn attachment(&self, sequence: u64) -> Result<Option<Vec<u8>>, AppendError> {
        self.ledger.attachment(sequence)
    }

    fn leaf(&self, sequence: u64) -> Result<Vec<u8>, AppendError> {
        self.ledger.leaf(sequence)
    }

    fn erase(&self, sequences: &[u64]) -> Result<u64, AppendError> {
        self.ledger.erase(sequences)
    }
}

/// Rules that hold again between a decision and its record are held against it.
#[tokio::test]
async fn a_permit_of_rules_set_aside_is_not_recorded_after_they_hold_again() {
    let bench = bench_under(&[POLICIES, RIGHT].concat()).await;
    let by = passkey("lou", bench.service.now());
    let broken = bench.service.break_glass(breaking(by, 600_000)).await.unwrap();
    let entries = bench.ledger.entries();
    let (memory, ledger, _) = ports();
    let (reads, writes) = (Vec::new(), Vec::new());
    ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
    let before = Arc::new(Before { ledger, happens: std::sync::Mutex::new(None) });
    let clock = Arc::clone(&bench.clock) as Arc<dyn Clock>;
    let service = restored(Ports { ledger: before.clone(), clock, ..memory }, &entries);
    let Rules { policies, catalogue, digest, vocabulary } = rules(&[POLICIES, RIGHT].concat());
    let change = service.change_policies(policies, catalogue, digest, vocabulary, "test");
    change.await.unwrap();
    let node = Bench { service, ledger: Arc::clone(&before.ledger), clock: bench.clock.clone() };
    let send = || call(&proof("agent"), "mail", mail("x"));
    assert_eq!(node.ask(send()).await, Ok(()));
    let (service, glass) = (Arc::clone(&node.service), broken.id);
    let mends = move || {
        let lou = id("lou");
        let mut mends = std::pin::pin!(service.mend_glass(&glass, &lou));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(mends.as_mut().poll(&mut context).is_ready());
    };
    *before.happens.lock().unwrap() = Some(Happens(Box::new(mends)));
    assert_eq!(node.ask(send()).await, Err(vec!["policy"]));
    assert!(before.happens.lock().unwrap().is_none() && node.service.glasses().is_empty());
}

#[tokio::test]
async fn two_nodes_use_an_approval_once() {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    bench.approve(&asked.request).await;
    let nodes = two_nodes(&bench);
    let mut done = 0;
    for (connection, node) in nodes.iter().enumerate() {
        let token = name(TokenId::new(format!("tok_{connection}")));
        let by = Authentication { token, ..proof("agent") };
        done += usize::from(node.ask(call(&by, "mail", mail("x"))).await.is_ok());
    }
    assert_eq!((done, nodes[0].spent()), (1, 1));
}

#[tokio::test]
async fn of_two_nodes_only_one_takes_an_answer_or_takes_it_back() {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    let [one, other] = two_nodes(&bench);
    one.service.revoke_access(&asked.request, &id("ada"), "no".into()).await.unwrap();
    let late = other.answer(&asked.request, proof("lea"), AccessExtent::Once).await;
    assert_eq!(late, Err(AnswerAccessError::Contended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_approvers_and_one_who_takes_it_back_at_once() {
    for round in 0..20 {
        let bench = Arc::new(bench().await);
        let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
        let answer = |who: &'static str| {
            let (bench, request) = (Arc::clone(&bench), asked.request.clone());
            tokio::spawn(
                async move { bench.answer(&request, proof(who), AccessExtent::Once).await },
            )
        };
        let (lea, lou) = (answer("lea"), answer("lou"));
        let revoked = bench.service.revoke_access(&asked.request, &id("ada"), "no".into()).await;
        let answers = [lea.await.unwrap(), lou.await.unwrap()];
        let counted = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(counted <= 1, "{round}: {answers:?}");
        assert!(revoked.is_ok());
        assert!(bench.ask(call(&proof("agent"), "mail", mail("x"))).await.is_err());
        assert_eq!((bench.spent(), bench.state(&asked.request)), (0, AccessState::Revoked));
        assert_eq!(bench.again().state(&asked.request), AccessState::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_policy_that_changes_meanwhile_is_never_passed_by() {
    for _ in 0..10 {
        let bench = Arc::new(bench().await);
        let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
        bench.approve(&asked.request).await;
        let changing = {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.change_policies(&[POLICIES, STOP].concat()).await })
        };
        let done = bench.ask(call(&proof("agent"), "mail", mail("x"))).await.is_ok();
        changing.await.unwrap();
        assert!(bench.ask(call(&proof("agent"), "mail", mail("x"))).await.is_err());
        // A permit was recorded before the rule that forbids it, or there is none.
        let records = bench.records();
        let permit = records.iter().position(|record| match &record.body {
            Body::Decided(decided) => {
                decided.approval.is_some() && decided.decision == Decision::Permit
            }
            _ => false,
        });
        let changed = records.iter().rposition(|r| matches!(r.body, Body::PoliciesLoaded { .. }));
        assert_eq!(permit.is_some(), done);
        assert!(permit.is_none_or(|permit| permit < changed.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn expiry_and_answer_at_once_leave_one_of_them() {
    for _ in 0..20 {
        let bench = Arc::new(bench().await);
        let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
        let answering = {
            let (bench, request) = (Arc::clone(&bench), asked.request.clone());
            tokio::spawn(
                async move { bench.answer(&request, proof("lea"), AccessExtent::Once).await },
            )
        };
        bench.at(ANSWER_WITHIN_MS);
        bench.service.sweep_access();
        let answered = answering.await.unwrap();
        // What was approved in time has its own time from then on, which is over by now or not.
        let state = bench.state(&asked.request);
        let fits = match answered {
            Ok(_) => matches!(state, AccessState::Approved | AccessState::Expired),
            Err(_) => state == AccessState::Expired,
        };
        assert!(fits, "{answered:?} {state:?}");
        assert_eq!(bench.again().state(&asked.request), state);
    }
}

/// Approving while the policies change: an answer by the old terms is recorded before the new ones
/// are in force, or not at all, and nothing of it is used under stricter ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_and_a_policy_that_changes_at_once() {
    let (mut before, mut after) = (0, 0);
    for round in 0..20 {
        let bench = Arc::new(bench().await);
        let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
        let stricter = POLICIES.replace("quorum=1", "quorum=2");
        let changing = {
            let (bench, stricter) = (Arc::clone(&bench), stricter.clone());
            tokio::spawn(async move { bench.change_policies(&stricter).await })
        };
        // In half of the rounds the change has a head start.
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let answered = bench.answer(&asked.request, proof("lea"), AccessExtent::Once).await;
        changing.await.unwrap();
        assert!(matches!(answered, Ok(AccessState::Approved)), "{answered:?}");
        let used = bench.ask(call(&proof("agent"), "mail", mail("x"))).await;
        assert_eq!(used, Err(vec!["policy"]), "one answer is not enough any more");
        let records = bench.records();
        let place = |of: &dyn Fn(&Body) -> bool| records.iter().rposition(|r| of(&r.body)).unwrap();
        let changed = place(&|body| matches!(body, Body::PoliciesLoaded { .. }));
        let answer = place(&|body| match body {
            Body::AccessRequestChanged(change) => {
                matches!(change.event, AccessEvent::Answered(_))
            }
            _ => false,
        });
        if answer < changed {
            before += 1
        } else {
            after += 1
        }
        assert_eq!(bench.spent(), 0);
        // Asking again is by the terms of now.
        let again = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
        assert_eq!((again.made, again.state), (AccessMade::Now, AccessState::Pending));
    }
    assert_eq!(before + after, 20);
}
