//! Nothing is answered before its record is durable, whatever the disk does; and the decisions of
//! a session are one sequence without gaps.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

/// How far the disk is, and whether it takes anything.
#[derive(Debug, Clone, Copy)]
struct Disk {
    /// Records below that place are durable.
    written: u64,
    broken: bool,
}

/// A ledger whose records become durable when they are told to.
struct Slow {
    records: Arc<MemoryLedger>,
    disk: Mutex<Disk>,
}

impl Slow {
    fn disk(&self) -> Disk {
        *self.disk.lock().unwrap()
    }
}

impl Ledger for Slow {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        match self.disk().broken {
            true => Err(SubmitError::Failed("the disk is broken".into())),
            false => self.records.submit(proposal),
        }
    }

    fn durable(&self, ticket: Ticket) -> Durable<'_> {
        Durable(Box::pin(poll_fn(move |_| {
            let Disk { written, broken } = self.disk();
            match (ticket.last < written, broken) {
                (true, _) => Poll::Ready(Ok(())),
                (false, true) => Poll::Ready(Err(AppendError("the disk is broken".into()))),
                (false, false) => Poll::Pending,
            }
        })))
    }

    fn health(&self) -> LedgerHealth {
        self.records.health()
    }

    fn attachment(&self, sequence: u64) -> Result<Option<Vec<u8>>, AppendError> {
        self.records.attachment(sequence)
    }

    fn leaf(&self, sequence: u64) -> Result<Vec<u8>, AppendError> {
        self.records.leaf(sequence)
    }

    fn erase(&self, sequences: &[u64]) -> Result<u64, AppendError> {
        self.records.erase(sequences)
    }
}

#[derive(Debug, Clone)]
enum Happens {
    /// Somebody asks, by that credential.
    Asks(&'static str, &'static str, u8),
    /// So many more records become durable.
    Syncs(u8),
    /// Somebody does not wait any longer.
    GoesAway(u8),
    /// The disk takes nothing any more.
    Breaks,
}

fn happens() -> impl proptest::strategy::Strategy<Value = Happens> {
    let who = prop::sample::select(vec!["agent", "other", "stranger"]);
    let tool = prop::sample::select(vec!["read", "show", "move", "none"]);
    prop_oneof![
        8 => (who, tool, 0..3_u8).prop_map(|(who, tool, token)| Happens::Asks(who, tool, token)),
        5 => (1..4_u8).prop_map(Happens::Syncs),
        1 => any::<u8>().prop_map(Happens::GoesAway),
        1 => Just(Happens::Breaks),
    ]
}

type Asked = Pin<Box<dyn Future<Output = Result<Recorded<Ruling>, Unrecorded>>>>;

fn course(script: Vec<Happens>) -> Result<(), TestCaseError> {
    let (ports, _, clock) = ports();
    clock.set(Timestamp::from_millis(1_790_000_000_000));
    let records_of = Arc::new(MemoryLedger::default());
    let disk = Mutex::new(Disk { written: u64::MAX, broken: false });
    let slow = Arc::new(Slow { records: Arc::clone(&records_of), disk });
    let ports = Ports { ledger: Arc::clone(&slow) as Arc<dyn Ledger>, ..ports };
    let service = Arc::new(Service::new(ports, Settings::default(), world(POLICIES)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for who in ["agent", "other"] {
        runtime.block_on(service.change_identity(agent(who), &me())).unwrap();
    }
    slow.disk.lock().unwrap().written = records_of.entries().len() as u64;

    let mut asked: Vec<Asked> = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    for one in script {
        match one {
            Happens::Asks(who, tool, token) => {
                let subject = Subject::Caller(proof(who, &format!("t{token}")));
                let (check, service) = (Check { subject, ..check(tool) }, Arc::clone(&service));
                asked.push(Box::pin(async move { service.check(check).await }));
            }
            Happens::Syncs(more) => {
                let all = records_of.entries().len() as u64;
                let mut disk = slow.disk.lock().unwrap();
                if !disk.broken {
                    disk.written = (disk.written + u64::from(more)).min(all);
                }
            }
            Happens::GoesAway(which) if !asked.is_empty() => {
                drop(asked.remove(usize::from(which) % asked.len()));
            }
            Happens::GoesAway(_) => {}
            Happens::Breaks => slow.disk.lock().unwrap().broken = true,
        }
        let (entries, written) = (records(&records_of), slow.disk().written);
        let mut waiting = Vec::new();
        for mut one in asked {
            match one.as_mut().poll(&mut context) {
                Poll::Pending => waiting.push(one),
                Poll::Ready(Ok(recorded)) => {
                    let place = recorded.sequence();
                    prop_assert!(place < written, "answered before it was durable");
                    let record = &entries[usize::try_from(place).unwrap()];
                    prop_assert_eq!(&record.id, recorded.value().decision());
                    let Body::Decided(decided) = &record.body else { panic!("{record:?}") };
                    prop_assert_eq!(decided.decision, recorded.value().outcome.decision);
                }
                Poll::Ready(Err(_)) => prop_assert!(slow.disk().broken, "denied without need"),
            }
        }
        asked = waiting;
    }

    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for decided in decided(&records_of) {
        let last = last.entry(decided.session.to_string()).or_default();
        *last += 1;
        prop_assert_eq!(decided.sequence, *last, "{}", decided.session);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_answer_comes_before_its_record_is_durable(
        script in prop::collection::vec(happens(), 1..40),
    ) {
        course(script)?;
    }
}
