//! An end that comes between any two steps of a mint.

use std::future::Future as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use safeconduct_model::*;
use safeconduct_service::memory::{MemoryIds, MemoryLedger};
use safeconduct_service::*;

use crate::bench::*;

/// Ports that do something else at the n-th call: every place at which another thread could come
/// between and be seen.
struct Intruded {
    ledger: Arc<MemoryLedger>,
    ids: MemoryIds,
    left: AtomicUsize,
    armed: AtomicBool,
    intrusion: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Intruded {
    fn step(&self) {
        if self.armed.load(Ordering::SeqCst) && self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.armed.store(false, Ordering::SeqCst);
            let intrusion = self.intrusion.lock().unwrap().take();
            if let Some(intrusion) = intrusion {
                intrusion();
            }
        }
    }
}

impl Ids for Intruded {
    fn record(&self, prefix: &'static str) -> RecordId {
        self.step();
        self.ids.record(prefix)
    }
}

impl Ledger for Intruded {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        self.step();
        let ticket = self.ledger.submit(proposal);
        self.step();
        ticket
    }

    fn durable(&self, ticket: Ticket) -> Durable<'_> {
        self.step();
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

/// Ends, kills and suspensions at every point of a mint: either there is no token, or its record
/// comes before the end and it is dead from then on.
#[tokio::test]
async fn pitfall_17_no_token_is_issued_past_an_end_wherever_the_end_comes_between() {
    for how in 0..4 {
        for step in 0.. {
            let (ports, ledger, clock) = memory::ports();
            let port = Arc::new(Intruded {
                ledger: Arc::clone(&ledger),
                ids: MemoryIds::default(),
                left: AtomicUsize::new(step),
                armed: AtomicBool::new(false),
                intrusion: Mutex::new(None),
            });
            let ports =
                Ports { ledger: Arc::clone(&port) as _, ids: Arc::clone(&port) as _, ..ports };
            let bench = bench_over(ports, ledger, clock).await;
            let task = bench.begin(1).await;
            let (service, id_of) = (Arc::clone(&bench.service), task.id.clone());
            let intrusion = move || {
                let ended = async {
                    match how {
                        0 => {
                            let state = TaskState::Completed;
                            let ending = Ending { state, by: None, reason: "done".into() };
                            service.end_task(&id_of, ending).await.map(drop).unwrap();
                        }
                        1 | 2 => {
                            let scope = match how {
                                1 => KillScope::All,
                                _ => KillScope::Identity(id("agent")),
                            };
                            service.kill(scope, &id("ada"), "test".into()).await.map(drop).unwrap();
                        }
                        _ => {
                            let mut stopped = identity("agent", IdentityKind::Agent);
                            stopped.status = IdentityStatus::Suspended;
                            service.change_identity(stopped, &id("ada")).await.unwrap();
                        }
                    }
                };
                // The ledger answers at once; what lets others go first is asked again.
                let mut ended = std::pin::pin!(ended);
                let mut context = Context::from_waker(Waker::noop());
                while ended.as_mut().poll(&mut context).is_pending() {}
            };
            *port.intrusion.lock().unwrap() = Some(Box::new(intrusion));
            port.armed.store(true, Ordering::SeqCst);
            let issued = bench.of_handle(1, GATEWAY).await;
            port.armed.store(false, Ordering::SeqCst);
            let bodies = bench.bodies();
            let minted = bodies.iter().position(|body| body.kind() == "token_minted");
            let over = bodies.iter().position(|body| match (how, body) {
                (0, Body::TaskEnded { .. }) | (1 | 2, Body::Killed { .. }) => true,
                (3, Body::IdentityChanged { identity, .. }) => {
                    identity.status == IdentityStatus::Suspended
                }
                _ => false,
            });
            let Some(over) = over else {
                // The mint was through before its n-th step came.
                assert!(issued.is_ok() && step >= 5, "{how}: only {step} steps");
                break;
            };
            assert!(minted.is_none_or(|minted| minted < over), "{how} {step}");
            assert_eq!(issued.is_ok(), minted.is_some(), "{how} {step}");
            if let Ok(token) = &issued {
                assert!(bench.bearer(token).await.is_err(), "{how} {step}: alive after the end");
                let said = bench.introspect(("crm-api", 9), &token.text).await;
                assert_eq!(said, inactive(), "{how} {step}");
            }
        }
    }
}

/// Many threads mint and use while one ends: from the moment that the end has returned, nothing
/// is alive and nothing is issued.
#[test]
fn pitfall_17_under_stress_no_token_is_alive_once_the_end_has_returned() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let bench = Arc::new(bench().await);
        for round in 0..20 {
            let task = bench.begin(100 + round).await;
            let ended = Arc::new(AtomicBool::new(false));
            let minters: Vec<_> = (0..4)
                .map(|_| {
                    let (bench, ended) = (Arc::clone(&bench), Arc::clone(&ended));
                    tokio::spawn(async move {
                        let mut tokens = Vec::new();
                        loop {
                            let late = ended.load(Ordering::SeqCst);
                            match bench.of_handle(100 + round, GATEWAY).await {
                                Ok(token) => {
                                    assert!(!late, "issued after the end had returned");
                                    let late = ended.load(Ordering::SeqCst);
                                    let used = bench.bearer(&token).await;
                                    assert!(!(late && used.is_ok()), "used after the end");
                                    tokens.push(token);
                                }
                                Err(code) => {
                                    assert_eq!(code, FaultCode::InvalidRequest);
                                    return tokens;
                                }
                            }
                        }
                    })
                })
                .collect();
            while bench.count("token_minted") < 8 * (round + 1) {
                tokio::task::yield_now().await;
            }
            bench.end(&task.id).await;
            ended.store(true, Ordering::SeqCst);
            for minter in minters {
                for token in minter.await.unwrap() {
                    assert!(bench.bearer(&token).await.is_err());
                }
            }
        }
    });
}
