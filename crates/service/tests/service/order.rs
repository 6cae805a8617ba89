//! Rules of order and count: what a session and an identity remember, also after a crash.

use super::*;

mod erased;
mod known;

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
        Self::of(world(RULES), Settings::default()).await
    }

    async fn of(world: World, settings: Settings) -> Self {
        let (ports, ledger, clock) = ports();
        clock.set(Timestamp::from_millis(1_790_000_000_000));
        let service = Arc::new(Service::new(ports, settings, world));
        service.change_identity(agent("agent"), &me()).await.unwrap();
        Self { bench: Bench { service, ledger, clock } }
    }

    /// A new process over the same records.
    fn again(&self) -> Self {
        self.again_under(world(RULES))
    }

    fn again_under(&self, world: World) -> Self {
        self.again_over(world, |ports| ports)
    }

    /// Puts the rules of that world in force.
    async fn rule(&self, world: World, catalogue: Catalogue) {
        let policies = Arc::clone(world.policies());
        let (catalogue, digest) = (Arc::new(catalogue), Digest::from_bytes([3; 32]));
        let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
        let service = &self.bench.service;
        service.change_policies(policies, catalogue, digest, vocabulary, "test").await.unwrap();
    }

    fn again_over(&self, world: World, over: impl FnOnce(Ports) -> Ports) -> Self {
        let (ports, ledger, clock) = ports();
        let ports = over(ports);
        clock.set(self.bench.service.now());
        let entries = self.bench.ledger.entries();
        let (reads, writes) = (Vec::new(), Vec::new());
        ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
        let service = Arc::new(Service::new(ports, Settings::default(), world));
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

    /// The rules that deny a call of that token, with a `?` before those that have no answer; none
    /// where it is permitted.
    async fn call(&self, tool: &str, token: &str) -> Vec<String> {
        self.call_reading(tool, token, Read::Nothing).await
    }

    /// The same, where a permitted call gives that.
    async fn call_reading(&self, tool: &str, token: &str, read: Read) -> Vec<String> {
        let check = Check { subject: Subject::Caller(proof("agent", token)), ..check(tool) };
        let ruling = self.bench.service.check(check).await.unwrap();
        let outcome = &ruling.value().outcome;
        if outcome.decision == Decision::Permit {
            let report = report(ruling.value().decision(), "gateway:files");
            let report = Report { read, ..report };
            self.bench.service.observe(report).await.unwrap();
            return Vec::new();
        }
        let told = |reason: &Reason| match reason {
            Reason::Policy(policy) => Some(policy.id.to_string()),
            Reason::PolicyError { policy, .. } => Some(format!("?{}", policy.id)),
            _ => None,
        };
        outcome.reasons.iter().filter_map(told).collect()
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

/// A rule that comes in force while sessions live is given what the ledger holds, as after a
/// restart.
#[tokio::test]
async fn a_new_rule_is_given_the_history_that_the_ledger_holds() {
    let bench = bench(Settings::default()).await;
    let told = Told { bench };
    for tool in ["read", "show", "show", "show"] {
        assert_eq!(told.call(tool, "t1").await, [""; 0]);
    }
    told.rule(world(RULES), catalogue()).await;
    let again = told.again();
    for told in [&told, &again] {
        assert_eq!(told.call("move", "t1").await, ["after-read"]);
        assert_eq!(told.call("move", "t2").await, [""; 0]);
        assert_eq!(told.call("show", "t2").await, ["often"]);
    }
    // What comes from then on is added to it, and lets go of nothing.
    assert_eq!(told.call("read", "t2").await, [""; 0]);
    assert_eq!(told.call("move", "t2").await, ["after-read"]);
    told.rule(world(POLICIES), catalogue()).await;
    told.rule(world(RULES), catalogue()).await;
    assert_eq!(told.call("move", "t2").await, ["after-read"]);
}

/// Rules that compare arguments and results.
const FIELDS: &str = r#"
@id("all") permit (principal, action, resource);
@id("same-file")
forbid (principal, action == Safeconduct::Action::"files.move", resource)
when temporal {
    formerly within 1h
        Safeconduct::Action::"files.read"::response{ input.path: context.input.path }
};
@id("after-secrets")
forbid (principal, action == Safeconduct::Action::"files.show", resource)
when temporal {
    formerly within 1h Safeconduct::Action::"files.read"::response{ output.class: "secret" }
};
"#;

/// The tools with their schemas, and nothing kept that no rule asks for.
fn world_of_fields(text: &str) -> World {
    let definition = |tool: &str| {
        let definition = format!(
            r#"{{"name":"{tool}","inputSchema":{{"type":"object","properties":
                {{"path":{{"type":"string"}}}}}},"outputSchema":{{"type":"object","properties":
                {{"class":{{"type":"string"}}}}}}}}"#
        );
        let definition = safeconduct_wire::json::parse(definition.as_bytes()).unwrap();
        let server = name(ServerName::new("files"));
        safeconduct_policy::ToolDefinition { server, tool: tool.into(), definition }
    };
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", text)],
        servers: vec![name(ServerName::new("files"))],
        definitions: ["read", "show", "move"].map(definition).into(),
        ..Sources::default()
    };
    let policies = Arc::new(load(&sources).unwrap().policies);
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    World::new(policies, Arc::new(forgetful()), Digest::from_bytes([9; 32]), vocabulary)
}

fn forgetful() -> Catalogue {
    let mut catalogue = catalogue();
    for entry in catalogue.actions.values_mut() {
        (entry.keep_arguments, entry.keep_result) = (false, false);
    }
    catalogue
}

fn class(class: &str, padding: usize) -> Read {
    let class = ("class", Value::from(class));
    let padding = ("padding", Value::from("x".repeat(padding)));
    Read::This(vec![Content::Value(Value::object([class, padding]))])
}

/// Where the arguments or results that a rule compares were never kept, it has no answer as long
/// as they could matter, before a restart as after.
#[tokio::test]
async fn a_new_rule_has_no_answer_where_what_it_compares_was_never_kept() {
    const BEFORE: &str = r#"@id("all") permit (principal, action, resource);"#;
    let told = Told::of(world_of_fields(BEFORE), Settings::default()).await;
    assert_eq!(told.call("read", "t1").await, [""; 0]);
    told.rule(world_of_fields(FIELDS), forgetful()).await;
    let again = told.again_under(world_of_fields(FIELDS));
    for told in [&told, &again] {
        assert_eq!(told.call("move", "t1").await, ["?same-file"]);
        assert_eq!(told.call("show", "t1").await, ["?after-secrets"]);
        assert_eq!(told.call("move", "t2").await, [""; 0]);
        told.bench.clock.set(told.bench.service.now().plus_ms(3_600_001));
        assert_eq!(told.call("move", "t1").await, [""; 0]);
        assert_eq!(told.call("show", "t1").await, [""; 0]);
    }
}

#[tokio::test]
async fn what_was_erased_has_perhaps_been_what_a_rule_asks_for() {
    let told = Told::of(world_of_fields(FIELDS), Settings::default()).await;
    assert_eq!(told.call_reading("read", "t1", class("public", 0)).await, [""; 0]);
    assert_eq!(told.call("move", "t1").await, ["same-file"]);
    assert_eq!(told.call("show", "t1").await, [""; 0]);
    let session = SessionKey::of(&proof("agent", "t1"));
    told.bench.service.erase(&session, &me()).await.unwrap();
    for told in [&told, &told.again_under(world_of_fields(FIELDS))] {
        assert_eq!(told.call("move", "t1").await, ["?same-file"]);
        assert_eq!(told.call("show", "t1").await, ["?after-secrets"]);
    }
}

/// A result in which a rule finds no structure, or too much of it, is not one without the field.
#[tokio::test]
async fn a_result_that_a_rule_cannot_look_into_leaves_it_without_an_answer() {
    let told = Told::of(world_of_fields(FIELDS), Settings::default()).await;
    let text = || Read::This(vec![Content::Text("class: secret, in words".into())]);
    let all = [
        ("t1", class("secret", 0), "after-secrets"),
        ("t2", class("public", 0), ""),
        ("t3", class("secret", 1024 * 1024), "?after-secrets"),
        ("t4", text(), "?after-secrets"),
        ("t5", Read::Unseen, "?after-secrets"),
        ("t6", Read::Nothing, ""),
    ];
    for (token, read, _) in &all {
        assert_eq!(told.call_reading("read", token, read.clone()).await, [""; 0]);
    }
    let again = told.again_under(world_of_fields(FIELDS));
    for told in [&told, &again] {
        for (token, _, denied) in &all {
            assert_eq!(told.call("show", token).await.concat(), *denied, "{token}");
        }
    }
}

/// Whoever never reports has perhaps succeeded.
#[tokio::test]
async fn an_outcome_that_nobody_knows_leaves_rules_about_success_without_an_answer() {
    let told = Told::new().await;
    let check = Check { subject: Subject::Caller(proof("agent", "t1")), ..check("read") };
    told.bench.service.check(check).await.unwrap();
    let crashed = told.again();
    let deadline = Settings::default().outcome_deadline_ms;
    told.bench.clock.set(told.bench.service.now().plus_ms(deadline));
    assert_eq!(told.bench.service.sweep(), 1);
    for told in [&told, &crashed, &told.again()] {
        assert_eq!(told.call("move", "t1").await, ["?after-read"]);
        assert_eq!(told.call("move", "t2").await, [""; 0]);
        told.bench.clock.set(told.bench.service.now().plus_ms(3_600_001));
        assert_eq!(told.call("move", "t1").await, [""; 0]);
    }
}

/// What sessions have read gives way in memory; what rules remember does not change by it.
#[tokio::test]
async fn what_gives_way_in_memory_changes_no_answer() {
    let settings = Settings { flow_bytes_held: 1, ..Settings::default() };
    let told = Told::of(world_of_fields(FIELDS), settings).await;
    for token in ["t1", "t2", "t1", "t2"] {
        assert_eq!(told.call_reading("read", token, class("secret", 9)).await, [""; 0]);
    }
    for _ in 0..2 {
        for token in ["t1", "t2"] {
            assert_eq!(told.call("show", token).await, ["after-secrets"]);
        }
        assert_eq!(told.call("show", "t3").await, [""; 0]);
    }
}

/// A ledger that tells which attachments were read.
struct Looked(Arc<dyn Ledger>, std::sync::Mutex<Vec<u64>>);

impl Ledger for Looked {
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
        self.1.lock().unwrap().push(sequence);
        self.0.attachment(sequence)
    }

    fn leaf(&self, sequence: u64) -> Result<Vec<u8>, AppendError> {
        self.0.leaf(sequence)
    }

    fn erase(&self, sequences: &[u64]) -> Result<u64, AppendError> {
        self.0.erase(sequences)
    }
}

/// Rules that compare the arguments of outcomes look at those of calls that had one, once the
/// outcome is folded: those of denied calls are neither read nor held.
#[tokio::test]
async fn arguments_of_denied_calls_are_not_read_again() {
    let told = Told::of(world_of_fields(FIELDS), Settings::default()).await;
    assert_eq!(told.call("read", "t1").await, [""; 0]);
    told.rule(world_of_fields(&FIELDS.replace("all\") permit", "all\") forbid")), forgetful())
        .await;
    for _ in 0..3 {
        assert_eq!(told.call("read", "t1").await, ["all"]);
    }
    let mut looked = None;
    let again = told.again_over(world_of_fields(FIELDS), |ports| {
        let ledger = Arc::new(Looked(ports.ledger, std::sync::Mutex::default()));
        looked = Some(Arc::clone(&ledger));
        Ports { ledger, ..ports }
    });
    assert_eq!(again.call("move", "t1").await, ["same-file"]);
    let looked = looked.unwrap().1.lock().unwrap().clone();
    let decided = |decision: Decision| {
        let all = records(&told.bench.ledger).into_iter().enumerate();
        let of = all.filter_map(move |(at, record)| match record.body {
            Body::Decided(decided) if decided.decision == decision => Some(at as u64),
            _ => None,
        });
        of.filter(|at| looked.contains(at)).count()
    };
    assert_eq!((decided(Decision::Permit), decided(Decision::Deny)), (1, 0));
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
    let again = told.again_over(world(RULES), |ports| Ports {
        ledger: Arc::new(Unreadable(ports.ledger)),
        ..ports
    });
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

/// A call was decided on, and so much happened in its session before its outcome that the decision
/// is not among what is folded again: what came of it may be what a rule asks for.
#[tokio::test]
async fn an_outcome_whose_call_is_not_recalled_leaves_rules_without_an_answer() {
    let told = Told::new().await;
    let check = Check { subject: Subject::Caller(proof("agent", "t1")), ..check("read") };
    let slow = told.bench.service.check(check).await.unwrap();
    assert_eq!(told.call("none", "t1").await, [""; 0]);
    let denied = told.bench.ledger.entries().pop().unwrap();
    let (reads, writes) = (Vec::new(), Vec::new());
    let entries = vec![denied; RECALLED_MAX];
    told.bench.ledger.submit(Proposal { entries, reads, writes }).unwrap();
    let began = told.bench.service.now();
    told.bench.clock.set(began.plus_ms(600_000));
    let report = report(slow.value().decision(), "gateway:files");
    told.bench.service.observe(report).await.unwrap();

    let again = told.again();
    // What is left of more begins with `began`: what came of the call is later.
    again.bench.clock.set(began.plus_ms(3_600_001));
    assert_eq!(again.call("move", "t1").await, ["?after-read"]);
    assert_eq!(again.call("move", "t2").await, [""; 0]);
    again.bench.clock.set(began.plus_ms(600_000 + 3_600_001));
    assert_eq!(again.call("move", "t1").await, [""; 0]);
}

/// A ledger that, when an outcome is queued, lets somebody else go first at once.
struct Raced {
    ledger: Arc<dyn Ledger>,
    first: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Ledger for Raced {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        let of = |entry: &Entry| decode(&entry.leaf).unwrap().body;
        let outcome = matches!(proposal.entries.first().map(of), Some(Body::Executed(_)));
        let ticket = self.ledger.submit(proposal)?;
        let first = self.first.lock().unwrap().take_if(|_| outcome);
        if let Some(first) = first {
            first();
        }
        Ok(ticket)
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

/// A decision comes between the record of an outcome and what its session remembers of it: the
/// session remembers them in the order of the records, as after a restart.
#[tokio::test]
async fn what_is_remembered_has_the_order_of_the_records() {
    const PREVIOUS: &str = r#"
@id("all") permit (principal, action, resource);
@id("right-after-read")
forbid (principal, action == Safeconduct::Action::"files.move", resource)
when temporal { previous within 1h Safeconduct::Action::"files.read"::response{} };
"#;
    let mut raced = None;
    let told = Told::new().await.again_over(world(PREVIOUS), |ports| {
        let first = std::sync::Mutex::new(None);
        let ledger = Arc::new(Raced { ledger: ports.ledger, first });
        raced = Some(Arc::clone(&ledger));
        Ports { ledger, ..ports }
    });
    assert_eq!(told.call("show", "t1").await, [""; 0]);
    let (service, (done, waits)) = (Arc::clone(&told.bench.service), std::sync::mpsc::channel());
    let (threads, started) = std::sync::mpsc::channel();
    let first = move || {
        let thread = std::thread::spawn(move || {
            let show = Check { subject: Subject::Caller(proof("agent", "t1")), ..check("show") };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(service.check(show)).unwrap();
            let _ = done.send(());
        });
        // Where it has to wait for the outcome, it comes later.
        let _ = waits.recv_timeout(std::time::Duration::from_millis(500));
        threads.send(thread).unwrap();
    };
    *raced.unwrap().first.lock().unwrap() = Some(Box::new(first));
    assert_eq!(told.call("read", "t1").await, [""; 0]);
    started.recv().unwrap().join().unwrap();

    let newest = records(&told.bench.ledger).pop().unwrap().body;
    assert!(matches!(newest, Body::Decided(decided) if decided.action.as_str() == "files.show"));
    let again = told.again_under(world(PREVIOUS));
    for told in [&told, &again] {
        assert_eq!(told.call("move", "t1").await, [""; 0]);
    }
}
