//! Mint, use, take back and end under a model checker (`shuttle`), which runs one thread at a time
//! and chooses who goes on. It runs the real use-cases; it can come between wherever they ask one
//! of their ports, before and after. What happens under a lock of ours happens at once for everyone
//! else, and nobody is interrupted there: whoever ends something is not, within the ledger's own
//! step, because it holds the task's lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use safeconduct_model::*;
use safeconduct_service::memory::{MemoryIds, MemoryLedger};
use safeconduct_service::*;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread;

use crate::bench::*;

/// How many schedules are tried of each kind.
const SCHEDULES: usize = 400;

/// How often a schedule changes its mind at most (the depth of the bugs that are looked for).
const CHANGES: usize = 4;

/// The thread that ends tasks: it is not interrupted under a lock.
const ENDING: &str = "ending";

/// Whether proposals are held against the versions that they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// As they must be.
    ToVersions,
    /// Not at all: as if nobody had thought of it.
    ToNothing,
}

/// Ports at which another thread may come between.
struct Interrupted {
    ledger: Arc<MemoryLedger>,
    ids: MemoryIds,
    held: Held,
    /// Not while the world is being made.
    armed: AtomicBool,
}

impl Interrupted {
    fn interrupt(&self) {
        let ending = thread::current().name().is_some_and(|name| name == ENDING);
        if self.armed.load(Ordering::SeqCst) && !ending {
            thread::yield_now();
        }
    }
}

impl Ids for Interrupted {
    fn record(&self, prefix: &'static str) -> RecordId {
        self.interrupt();
        self.ids.record(prefix)
    }
}

impl Ledger for Interrupted {
    fn submit(&self, mut proposal: Proposal) -> Result<Ticket, SubmitError> {
        self.interrupt();
        if self.held == Held::ToNothing {
            proposal.reads.clear();
        }
        let ticket = self.ledger.submit(proposal);
        self.interrupt();
        ticket
    }

    fn durable(&self, ticket: Ticket) -> Durable<'_> {
        // Nobody waits for the disk under a lock.
        if self.armed.load(Ordering::SeqCst) {
            thread::yield_now();
        }
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

/// Everything here answers at once: threads wait for each other only where they are interrupted.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// Which task is ended.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Itself,
    Parent,
}

/// Two agents' threads mint for a task and use what they get, one takes tokens back, one ends the
/// task or its parent. Panics where a token is alive, or issued, after `end` has returned.
fn scenario(held: Held, ends: Ends) {
    let (ports, ledger, clock) = memory::ports();
    let armed = AtomicBool::new(false);
    let port = Interrupted { ledger: Arc::clone(&ledger), ids: MemoryIds::default(), held, armed };
    let port = Arc::new(port);
    let ports = Ports { ledger: Arc::clone(&port) as _, ids: Arc::clone(&port) as _, ..ports };
    let bench = Arc::new(now(bench_over(ports, ledger, clock)));
    let parent = now(bench.begin(1));
    let by = bench.service.enter_task(proof("agent"), &handle(1).1).unwrap();
    let task = now(bench.begin_by(by, "helper", 2));
    let ended = match ends {
        Ends::Itself => task.id.clone(),
        Ends::Parent => parent.id.clone(),
    };
    let over = Arc::new(AtomicBool::new(false));
    let tokens: Arc<Mutex<Vec<Arc<Issued>>>> = Arc::default();
    port.armed.store(true, Ordering::SeqCst);

    let mut threads = Vec::new();
    for _ in 0..2 {
        let (bench, over, tokens) = (Arc::clone(&bench), Arc::clone(&over), Arc::clone(&tokens));
        threads.push(thread::spawn(move || {
            for _ in 0..2 {
                let late = over.load(Ordering::SeqCst);
                let Ok(token) = mint(&bench) else { return };
                assert!(!late, "issued after the end had returned");
                let token = Arc::new(token);
                tokens.lock().unwrap().push(Arc::clone(&token));
                let late = over.load(Ordering::SeqCst);
                assert!(!(late && is_active(&bench, &token)), "active after the end had returned");
            }
        }));
    }
    let (bench_of, tokens_of) = (Arc::clone(&bench), Arc::clone(&tokens));
    threads.push(thread::spawn(move || {
        thread::yield_now();
        let first = tokens_of.lock().unwrap().first().cloned();
        if let Some(token) = first {
            now(bench_of.withdraw(("helper", 8), &token.text)).unwrap();
            assert!(!is_active(&bench_of, &token), "active after it was taken back");
        }
    }));
    let (bench_of, over_of) = (Arc::clone(&bench), Arc::clone(&over));
    let ending = thread::Builder::new().name(ENDING.to_owned()).spawn(move || {
        now(bench_of.end(&ended));
        over_of.store(true, Ordering::SeqCst);
    });
    threads.push(ending.unwrap());
    for thread in threads {
        thread.join().unwrap();
    }
    for token in tokens.lock().unwrap().iter() {
        assert!(!is_active(&bench, token), "active at the end");
    }
    let bodies = bench.bodies();
    let last = bodies.iter().rposition(|body| body.kind() == "token_minted");
    let first = bodies.iter().position(|body| body.kind() == "task_ended");
    assert!(last < first, "there is a record of a token after that of the end");
}

fn mint(bench: &Bench) -> Result<Issued, FaultCode> {
    let handle = handle(2).0;
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token", handle.as_str()),
        ("subject_token_type", HANDLE),
        ("resource", GATEWAY),
    ];
    now(bench.ask(Some(("helper", 8)), &Holding::default(), &pairs))
}

/// By either of those who ask: the gateway, and whoever serves the resource.
fn is_active(bench: &Bench, token: &Issued) -> bool {
    let used = now(bench.bearer(token)).is_ok();
    let said = now(bench.introspect(("crm-api", 9), &token.text)) != inactive();
    used || said
}

fn check(scheduler: impl Scheduler + 'static, held: Held, ends: Ends) {
    let mut config = shuttle::Config::new();
    config.stack_size = 4 << 20;
    shuttle::Runner::new(scheduler, config).run(move || scenario(held, ends));
}

#[test]
fn no_schedule_lets_a_token_be_active_after_the_end_has_returned() {
    for ends in [Ends::Itself, Ends::Parent] {
        check(RandomScheduler::new(SCHEDULES), Held::ToVersions, ends);
        check(PctScheduler::new(CHANGES, SCHEDULES), Held::ToVersions, ends);
    }
}

/// What the checker is worth: without the versions it finds the schedule in which the end comes
/// between what a mint reads and its record.
#[test]
fn a_ledger_that_holds_nothing_against_versions_is_found_out() {
    for ends in [Ends::Itself, Ends::Parent] {
        let broken = || check(RandomScheduler::new(SCHEDULES), Held::ToNothing, ends);
        let found = std::panic::catch_unwind(broken).unwrap_err();
        let said = found.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| found.downcast_ref::<&str>().copied()).unwrap_or_default();
        assert!(said.contains("after"), "{said}");
    }
}
