//! No signal is acknowledged before it is durable, however often it is sent and whatever becomes
//! of the copy that was there first.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use safeconduct_risk::{About, Kind, SIGNALS_PER_SUBJECT_MAX, Severity, Signal, Source};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// How far the disk is, and whether it takes anything.
struct Disk {
    /// Records below that place are durable.
    written: u64,
    broken: bool,
}

/// A ledger whose records become durable when they are told to; what is queued may be lost.
struct Slow {
    records: Arc<MemoryLedger>,
    disk: Mutex<Disk>,
}

impl Ledger for Slow {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        self.records.submit(proposal)
    }

    fn durable(&self, ticket: Ticket) -> Durable<'_> {
        Durable(Box::pin(poll_fn(move |_| {
            let disk = self.disk.lock().unwrap();
            match (ticket.last < disk.written, disk.broken) {
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

struct Stage {
    service: Arc<Service>,
    slow: Arc<Slow>,
}

async fn stage() -> Stage {
    let (ports, _, clock) = ports();
    clock.set(NOW);
    let records = Arc::new(MemoryLedger::default());
    let disk = Mutex::new(Disk { written: u64::MAX, broken: false });
    let slow = Arc::new(Slow { records, disk });
    let ports = Ports { ledger: Arc::clone(&slow) as Arc<dyn Ledger>, ..ports };
    let service = Arc::new(Service::new(ports, Settings::default(), world(POLICIES)));
    service.change_identity(agent("agent"), &me()).await.unwrap();
    slow.disk.lock().unwrap().written = slow.records.entries().len() as u64;
    Stage { service, slow }
}

impl Stage {
    fn disk(&self, change: impl FnOnce(&mut Disk)) {
        change(&mut self.slow.disk.lock().unwrap());
    }

    fn caught_up(&self) {
        let all = self.slow.records.entries().len() as u64;
        self.disk(|disk| disk.written = all);
    }
}

/// One that revokes nothing: it counts from when it is queued.
fn signal(id: &str, severity: Severity) -> Signal {
    let about = About::Identity(name(IdentityId::new("agent")));
    let source = Source::Webhook("edr".into());
    Signal::new(about, Kind::RiskLevel, severity, source, id, NOW)
}

macro_rules! looked_at {
    ($future:expr) => {
        $future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
}

#[tokio::test]
async fn a_copy_waits_for_the_disk_as_the_first_does() {
    let stage = stage().await;
    let one = || stage.service.take_signals(vec![signal("1", Severity::High)], None);
    let (mut first, mut copy) = (pin!(one()), pin!(one()));
    assert!(looked_at!(first).is_pending());
    assert!(looked_at!(copy).is_pending(), "it is known, and not yet kept");
    stage.caught_up();
    assert_eq!(first.await.unwrap().recorded.len(), 1);
    assert_eq!(copy.await.unwrap().known, 1);
    // Once it is there, a copy waits for nothing.
    let mut late = pin!(one());
    assert!(looked_at!(late).is_ready());
}

#[tokio::test]
async fn what_did_not_come_to_the_disk_is_not_acknowledged_when_it_comes_again() {
    let stage = stage().await;
    let one = || stage.service.take_signals(vec![signal("1", Severity::High)], None);
    let mut first = pin!(one());
    assert!(looked_at!(first).is_pending());
    stage.disk(|disk| disk.broken = true);
    assert!(matches!(first.await, Err(TakeSignalError::Append(_))));
    // It counts meanwhile, so that nothing is let go that it would have stopped.
    let about = About::Identity(name(IdentityId::new("agent")));
    assert!(stage.service.risk_of(&[about]).score > 0);
    assert!(matches!(one().await, Err(TakeSignalError::Append(_))));
}

#[tokio::test]
async fn neither_is_one_that_was_crowded_out_before_it_was_kept() {
    let stage = stage().await;
    let weak = || {
        let weak = Signal { kind: Kind::Reported, ..signal("weak", Severity::Low) };
        stage.service.take_signals(vec![weak], None)
    };
    let mut first = pin!(weak());
    assert!(looked_at!(first).is_pending());
    let worse = (0..SIGNALS_PER_SUBJECT_MAX).map(|n| Signal {
        kind: Kind::Reported,
        ..signal(&format!("worse {n}"), Severity::Critical)
    });
    let mut others = pin!(stage.service.take_signals(worse.collect(), None));
    assert!(looked_at!(others).is_pending());
    let mut copy = pin!(weak());
    assert!(looked_at!(copy).is_pending());
    stage.caught_up();
    assert_eq!(copy.await.unwrap().dropped, 1);
}
