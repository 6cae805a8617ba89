//! Rules of order and count: what a session and an identity remember, also after a crash.

use super::*;

const RULES: &str = r#"
@id("all") permit (principal, action, resource);
@id("after-read")
forbid (principal, action == Safeconduct::Action::"files.move", resource)
when temporal {
    formerly within 1h Safeconduct::Action::"files.read"::response{}
};
@id("often") @history("identity")
forbid (principal, action == Safeconduct::Action::"files.show", resource)
when temporal {
    exists (n: Long). (
        count_within(1h, Safeconduct::Action::"files.show"::request{}) == n && n > 3
    )
};
"#;

struct Told {
    bench: Bench,
}

impl Told {
    async fn new() -> Self {
        let (ports, ledger, clock) = ports();
        clock.set(Timestamp::from_millis(1_790_000_000_000));
        let service = Arc::new(Service::new(ports, Settings::default(), world(RULES)));
        service.change_identity(agent("agent"), &me()).await.unwrap();
        Self { bench: Bench { service, ledger, clock } }
    }

    /// A new process over the same records.
    fn again(&self) -> Self {
        self.again_over(|ports| ports)
    }

    fn again_over(&self, over: impl FnOnce(Ports) -> Ports) -> Self {
        let (ports, ledger, clock) = ports();
        let ports = over(ports);
        clock.set(self.bench.service.now());
        let entries = self.bench.ledger.entries();
        let (reads, writes) = (Vec::new(), Vec::new());
        ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
        let service = Arc::new(Service::new(ports, Settings::default(), world(RULES)));
        let mut restore = service.restore();
        for (sequence, entry) in entries.iter().enumerate() {
            let sealed = match entry.attachment {
                Some(_) => Attachment::Present,
                None => Attachment::Absent,
            };
            restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
        }
        restore.finish();
        Self { bench: Bench { service, ledger, clock } }
    }

    /// The rules that deny a call of that token; none where it is permitted.
    async fn call(&self, tool: &str, token: &str) -> Vec<String> {
        let check = Check { subject: Subject::Caller(proof("agent", token)), ..check(tool) };
        let ruling = self.bench.service.check(check).await.unwrap();
        let outcome = &ruling.value().outcome;
        if outcome.decision == Decision::Permit {
            let report = report(ruling.value().decision(), "gateway:files");
            self.bench.service.observe(report).await.unwrap();
            return Vec::new();
        }
        outcome.reasons.iter().filter_map(Reason::policy).map(|p| p.id.to_string()).collect()
    }
}

#[tokio::test]
async fn what_happened_before_counts_in_its_session_and_as_long_as_its_window() {
    let told = Told::new().await;
    assert_eq!(told.call("move", "t1").await, [""; 0]);
    assert_eq!(told.call("read", "t1").await, [""; 0]);
    for told in [&told, &told.again()] {
        assert_eq!(told.call("move", "t1").await, ["after-read"]);
        assert_eq!(told.call("move", "t2").await, [""; 0]);
    }
    let later = told.bench.service.now().plus_ms(3_600_001);
    told.bench.clock.set(later);
    for told in [&told, &told.again()] {
        assert_eq!(told.call("move", "t1").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_rule_about_an_identity_counts_over_all_of_its_sessions() {
    let told = Told::new().await;
    for token in ["t1", "t2", "t3"] {
        assert_eq!(told.call("show", token).await, [""; 0]);
    }
    let again = told.again();
    for told in [&told, &again] {
        assert_eq!(told.call("show", "t4").await, ["often"]);
    }
    let later = told.bench.service.now().plus_ms(7_200_000);
    told.bench.clock.set(later);
    assert_eq!(told.call("show", "t5").await, [""; 0]);
}

/// A rule that comes in force while sessions live begins with what happens from then on.
#[tokio::test]
async fn a_new_rule_begins_with_what_happens_from_then_on() {
    let bench = bench(Settings::default()).await;
    let told = Told { bench };
    assert_eq!(told.call("read", "t1").await, [""; 0]);
    let world = told.bench.service.world();
    let (catalogue, digest) = (Arc::new(catalogue()), Digest::from_bytes([3; 32]));
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    drop(world);
    let service = &told.bench.service;
    service.change_policies(policies(RULES), catalogue, digest, vocabulary, "test").await.unwrap();
    assert_eq!(told.call("move", "t1").await, [""; 0]);
    assert_eq!(told.call("read", "t1").await, [""; 0]);
    assert_eq!(told.call("move", "t1").await, ["after-read"]);
}

/// A ledger whose records cannot be read any more.
struct Unreadable(Arc<dyn Ledger>);

impl Ledger for Unreadable {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        self.0.submit(proposal)
    }

    fn durable(&self, ticket: Ticket) -> Durable<'_> {
        self.0.durable(ticket)
    }

    fn health(&self) -> LedgerHealth {
        self.0.health()
    }

    fn attachment(&self, sequence: u64) -> Result<Option<Vec<u8>>, AppendError> {
        self.0.attachment(sequence)
    }

    fn leaf(&self, _: u64) -> Result<Vec<u8>, AppendError> {
        Err(AppendError("the disk is gone".into()))
    }

    fn erase(&self, sequences: &[u64]) -> Result<u64, AppendError> {
        self.0.erase(sequences)
    }
}

/// What cannot be read back has perhaps happened: a rule that asks for it fails until that could
/// not matter any more.
#[tokio::test]
async fn what_cannot_be_read_back_denies_as_long_as_it_could_matter() {
    let told = Told::new().await;
    assert_eq!(told.call("read", "t1").await, [""; 0]);
    let again =
        told.again_over(|ports| Ports { ledger: Arc::new(Unreadable(ports.ledger)), ..ports });
    let check = Check { subject: Subject::Caller(proof("agent", "t1")), ..check("move") };
    let ruling = again.bench.service.check(check).await.unwrap();
    let outcome = &ruling.value().outcome;
    assert_eq!(outcome.decision, Decision::Deny);
    let failed = |reason: &Reason| matches!(reason, Reason::PolicyError { .. });
    assert!(outcome.reasons.iter().any(failed), "{:?}", outcome.reasons);
    again.bench.clock.set(again.bench.service.now().plus_ms(3_600_001));
    assert_eq!(again.call("move", "t1").await, [""; 0]);
}

/// A permit whose outcome nobody could tell after a crash is one event, as its records have it.
#[tokio::test]
async fn what_nobody_could_tell_is_one_event_over_any_number_of_crashes() {
    let told = Told::new().await;
    for _ in 0..3 {
        let check = Check { subject: Subject::Caller(proof("agent", "t1")), ..check("show") };
        let ruling = told.bench.service.check(check).await.unwrap();
        assert_eq!(ruling.value().outcome.decision, Decision::Permit);
    }
    let once = told.again();
    let twice = once.again();
    for told in [&once, &twice] {
        assert_eq!(told.call("show", "t2").await, ["often"]);
        assert_eq!(told.call("move", "t1").await, [""; 0]);
    }
}
