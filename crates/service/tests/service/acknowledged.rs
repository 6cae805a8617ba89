//! No signal is acknowledged before it is durable, however often it is sent and whatever becomes
//! of the copy that was there first.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use safeconduct_credential::webhook::WebhookKey;
use safeconduct_risk::{About, Kind, SIGNALS_PER_SUBJECT_MAX, Severity, Signal, Source};
use safeconduct_service::{Heard, KeySet, Received, StreamKeys, StreamSecrets, Streams};
use safeconduct_wire::config::parse;

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

/// Most signals that a decision waits behind.
const PORTION: usize = 16;

fn message(count: usize) -> Vec<Signal> {
    let about = |n| About::Identity(name(IdentityId::new(format!("somebody-{n}"))));
    let id = |n| if n == 0 { "msg".to_owned() } else { format!("msg.{n}") };
    (0..count).map(|n| Signal { about: about(n), ..signal(&id(n), Severity::Low) }).collect()
}

impl Stage {
    /// The ids of the signals that were queued.
    fn queued(&self) -> Vec<(RecordId, String)> {
        let entries = self.slow.records.entries();
        let records = entries.iter().map(|entry| decode(&entry.leaf).unwrap());
        let signals = records.filter_map(|record| match record.body {
            Body::SignalSeen(signal) => Some((record.id, signal.id.to_string())),
            _ => None,
        });
        signals.collect()
    }
}

#[tokio::test]
async fn a_decision_waits_behind_a_portion_of_a_long_message_alone() {
    let stage = stage().await;
    let all = message(60);
    let mut taking = pin!(stage.service.take_signals(all.clone(), None));
    let (mut before, mut looks) = (0, 0);
    let taken = loop {
        if let Poll::Ready(taken) = looked_at!(taking) {
            break taken.unwrap();
        }
        let queued = stage.queued().len();
        assert!(queued - before <= PORTION, "{before} and then {queued}");
        // What was queued is on the disk before more is.
        assert!(looked_at!(taking).is_pending());
        assert_eq!(stage.queued().len(), queued);
        before = queued;
        looks += 1;
        stage.caught_up();
        if queued == 60 {
            continue;
        }
        // Others come in between.
        assert!(looked_at!(taking).is_pending());
        assert_eq!(stage.queued().len(), queued);
    };
    assert_eq!(looks, 4);
    // They are told in the order in which they came.
    let queued: BTreeMap<RecordId, String> = stage.queued().into_iter().collect();
    let told: Vec<&String> = taken.recorded.iter().map(|id| &queued[id]).collect();
    assert_eq!(
        told,
        all.iter().map(|one| one.id.to_string()).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_stops_somebody_waits_for_nothing_else_of_its_message() {
    let stage = stage().await;
    let mut all = message(60);
    let about = About::Identity(name(IdentityId::new("agent")));
    all.push(Signal { about, kind: Kind::AccountDisabled, ..signal("msg.60", Severity::High) });
    let mut taking = pin!(stage.service.take_signals(all, None));
    assert!(looked_at!(taking).is_pending());
    let agent = IdentityId::new("agent").unwrap();
    assert_eq!(stage.service.world().identity(&agent).unwrap().status, IdentityStatus::Suspended);
}

struct NoKeys;

impl StreamKeys for NoKeys {
    fn keys<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> Awaited<'a, Option<Arc<KeySet>>> {
        Awaited::of(async { None })
    }
}

/// Sends a message of 60 signals to a process that knows what the records say.
async fn sent(service: &Arc<Service>, records: &[Record]) -> Received {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let text = "version: 1\nsignals: { webhooks: { edr: { secret_file: x } } }";
    let config = parse("safeconduct.yaml", text, std::path::Path::new("/")).unwrap();
    let key = || WebhookKey::parse(SECRET).unwrap();
    let webhooks = [("edr".to_owned(), key())].into();
    let secrets = StreamSecrets { webhooks, ..StreamSecrets::default() };
    let mut heard = Heard::default();
    records.iter().for_each(|record| heard.apply(record));
    let (service, keys) = (Arc::clone(service), Arc::new(NoKeys));
    let streams = Streams::new(service, keys, &config.signals, secrets, heard).unwrap();
    let one = |n| format!(r#"{{"about":{{"identity":"somebody-{n}"}},"severity":"low"}}"#);
    let signals = (0..60).map(one).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"signals":[{signals}]}}"#);
    let headers = key().sign("msg", NOW, body.as_bytes());
    streams.webhook("edr", &headers, body.as_bytes()).await.unwrap()
}

#[tokio::test]
async fn a_message_that_a_crash_cut_comes_again_whole() {
    let whole = {
        let bench = bench(Settings::default()).await;
        bench.clock.set(NOW);
        assert_eq!(sent(&bench.service, &[]).await, Received::Taken { signals: 60 });
        records(&bench.ledger)
    };
    let first = whole.iter().position(|record| record.body.kind() == "signal").unwrap();
    // So many of its records came to the disk.
    for (kept, comes) in [(12, 60), (44, 60), (60, 0)] {
        let kept = &whole[..first + kept];
        let (ports, ledger, clock) = ports();
        clock.set(NOW);
        let service = Arc::new(Service::new(ports, Settings::default(), world(POLICIES)));
        let mut restore = service.restore();
        for (sequence, record) in kept.iter().enumerate() {
            restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
        }
        restore.finish();
        let received = match comes {
            0 => Received::Before,
            signals => Received::Taken { signals },
        };
        assert_eq!(sent(&service, kept).await, received);
        // What is there already is not recorded again.
        let again = records(&ledger).iter().filter(|one| one.body.kind() == "signal").count();
        assert_eq!(again + kept.len() - first, 60);
    }
}
