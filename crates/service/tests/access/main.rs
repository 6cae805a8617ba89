//! Access requests through the service: asked for, answered and used once, whatever happens in
//! between.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_ledger::decode;
use safeconduct_model::{Label, Returns, Subject, *};
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::memory::{MemoryClock, MemoryLedger, ports};
use safeconduct_service::*;

mod answers;
mod begins;
mod binding;
mod ends;
mod races;
mod rights;

const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("agents") permit (principal is Safeconduct::Agent, action, resource)
when { context.action.name like "crm.*" };
@id("ask") @requestable("approvers=group:leads; quorum=1; ttl=15m")
forbid (principal, action, resource)
when { context.action.name like "crm.*" && context.action.name != "crm.note" }
unless { context has approval };
"#;

/// One more rule that no approval lifts.
const STOP: &str = r#"
@id("stop") forbid (principal, action, resource) when { context.action.name == "crm.mail" };
"#;

const NOW: i64 = 1_790_000_000_000;
const MINUTE: i64 = 60_000;

fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.unwrap()
}

fn id(id: &str) -> IdentityId {
    name(IdentityId::new(id))
}

fn action(tool: &str) -> ActionName {
    name(ActionName::new(format!("crm.{tool}")))
}

fn catalogue() -> Catalogue {
    let entry = |(tool, tier)| ActionEntry {
        name: action(tool),
        server: Some(name(ServerName::new("crm"))),
        tier,
        raises: Vec::new(),
        effect: Effect::Write,
        guessed: false,
        returns: Returns::uniform(Label {
            integrity: Integrity::Untrusted,
            confidentiality: Confidentiality::Internal,
            ..Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: None,
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    };
    let tools = [
        ("note", Tier::Low),
        ("mail", Tier::Moderate),
        ("pay", Tier::High),
        ("wipe", Tier::Critical),
    ];
    let entries = tools.map(entry);
    Catalogue {
        actions: entries.into_iter().map(|e| (e.name.clone(), e)).collect(),
        ..Catalogue::default()
    }
}

fn identity(of: &str, kind: IdentityKind, groups: &[&str]) -> Identity {
    let person = kind == IdentityKind::User;
    Identity {
        id: id(of),
        kind,
        status: IdentityStatus::Active,
        owner: (!person).then(|| id("ada")),
        sponsor: None,
        imported: None,
        fallback_owner: match of {
            "lea" => Some(id("dora")),
            _ => (!person).then(|| id("bob")),
        },
        environment: None,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        pep: None,
        roles: match of {
            "orchestrator" => BTreeSet::from([Role::Orchestrator]),
            _ => BTreeSet::new(),
        },
    }
}

fn intent(of: &str) -> Intent {
    let any = |tool: &str| Allowance {
        action: action(tool),
        resources: Vec::new(),
        arguments: Vec::new(),
        others: OtherArguments::Allowed,
    };
    let at_most_500 = ArgumentRule {
        pointer: "/amount".into(),
        constraint: Constraint::AtMost(Term::Literal(Value::Integer(500))),
        absent: Absent::Refused,
    };
    Intent {
        name: name(IntentName::new(of)),
        version: 1,
        description: "A test's.".into(),
        parameters: BTreeMap::new(),
        envelope: vec![
            any("note"),
            any("mail"),
            Allowance { arguments: vec![at_most_500], ..any("pay") },
            any("wipe"),
        ],
        budget: Budget {
            calls: 100,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        },
        on_behalf_of: OnBehalfOf::Optional,
        longest_s: 6 * 3600,
        idle_s: 60,
        tier_max: Tier::Critical,
        delegation_depth: 3,
        credentials: BTreeMap::new(),
        schedules: BTreeMap::new(),
        undertakers: Undertakers {
            kinds: BTreeSet::from([IdentityKind::Agent]),
            ..Undertakers::default()
        },
    }
}

struct Bench {
    service: Arc<Service>,
    ledger: Arc<MemoryLedger>,
    clock: Arc<MemoryClock>,
}

struct Rules {
    policies: Arc<safeconduct_policy::Policies>,
    catalogue: Arc<Catalogue>,
    digest: Digest,
    vocabulary: Arc<Vocabulary>,
}

fn rules(policies: &str) -> Rules {
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", policies)],
        servers: vec![name(ServerName::new("crm"))],
        actions: catalogue().actions.into_values().map(|e| (e.name, e.server)).collect(),
        ..Sources::default()
    };
    Rules {
        policies: Arc::new(load(&sources).unwrap().policies),
        catalogue: Arc::new(catalogue()),
        digest: Digest::from_bytes([9; 32]),
        vocabulary: Arc::new(Vocabulary::new("Safeconduct").unwrap()),
    }
}

fn world(policies: &str) -> World {
    let Rules { policies, catalogue, digest, vocabulary } = rules(policies);
    World::new(policies, catalogue, digest, vocabulary)
}

async fn bench() -> Bench {
    bench_under(POLICIES).await
}

async fn bench_under(policies: &str) -> Bench {
    bench_with(policies, Settings::default()).await
}

async fn bench_with(policies: &str, settings: Settings) -> Bench {
    let (ports, ledger, clock) = ports();
    clock.set(Timestamp::from_millis(NOW));
    let service = Arc::new(Service::new(ports, settings, world(policies)));
    let people = [
        ("agent", IdentityKind::Agent, &[][..]),
        ("helper", IdentityKind::Agent, &[]),
        ("orchestrator", IdentityKind::Workload, &[]),
        ("ada", IdentityKind::User, &["leads"]),
        ("bob", IdentityKind::User, &[]),
        ("lea", IdentityKind::User, &["leads"]),
        ("lou", IdentityKind::User, &["leads"]),
        ("dora", IdentityKind::User, &[]),
    ];
    for (of, kind, groups) in people {
        service.change_identity(identity(of, kind, groups), &id("ada")).await.unwrap();
    }
    let all = ["work"].map(intent);
    let versions = all.into_iter().map(|i| (i.name.clone(), BTreeMap::from([(1, i)])));
    let intents = Intents { versions: versions.collect(), digest: Digest::from_bytes([5; 32]) };
    service.change_intents(Arc::new(intents)).await.unwrap();
    Bench { service, ledger, clock }
}

fn proof(of: &str) -> Authentication {
    Authentication {
        identity: id(of),
        token: name(TokenId::new(format!("tok_{of}"))),
        method: Method::ApiKey,
        assurance: Assurance::Low,
        at: Timestamp::from_millis(NOW),
        expires_at: None,
        task: None,
    }
}

/// Somebody who used their passkey just now.
fn passkey(of: &str, at: Timestamp) -> Authentication {
    Authentication { method: Method::Passkey, assurance: Assurance::High, at, ..proof(of) }
}

fn call(subject: &Authentication, tool: &str, input: Value) -> Check {
    Check {
        subject: Subject::Caller(subject.clone()),
        action: action(tool),
        resource: None,
        input,
        asserted: None,
        session_name: None,
        pep: id("gateway"),
        mode: Mode::Enforce,
        trace: None,
        parent: None,
        understood: Understood::Only(BTreeSet::new()),
        network: None,
    }
}

fn mail(body: &str) -> Value {
    Value::object([("to", Value::from("x@example.org")), ("body", Value::from(body))])
}

fn pay(amount: i64) -> Value {
    Value::object([("to", Value::from("acme")), ("amount", Value::Integer(amount))])
}

impl Bench {
    fn undertaking(&self, handle: u8) -> Undertaking {
        Undertaking {
            by: proof("orchestrator"),
            agent: id("agent"),
            intent: name(IntentName::new("work")),
            version: None,
            parameters: BTreeMap::new(),
            prompt: None,
            on_behalf_of: None,
            narrowed: Narrowed::default(),
            handle: Some(Digest::from_bytes([handle; 32])),
            conversation: None,
            run_of: None,
            pep: id("gateway"),
            trace: None,
        }
    }

    async fn begin(&self, handle: u8) -> Authentication {
        self.service.begin_task(self.undertaking(handle)).await.unwrap();
        self.service.enter_task(proof("agent"), &Digest::from_bytes([handle; 32])).unwrap()
    }

    /// The decision's reasons, where it is a Deny.
    async fn ask(&self, check: Check) -> Result<(), Vec<&'static str>> {
        let outcome = self.service.check(check).await.unwrap().into_value().outcome;
        match outcome.decision {
            Decision::Permit => Ok(()),
            Decision::Deny => Err(outcome.reasons.iter().map(Reason::code).collect()),
        }
    }

    async fn request(&self, check: Check) -> AccessAsked {
        self.try_request(check).await.unwrap()
    }

    async fn try_request(&self, check: Check) -> Result<AccessAsked, AskAccessError> {
        self.service.request_access(AskAccess { check, justification: None }).await
    }

    fn shown(&self, request: &RecordId) -> KeyedDigest {
        self.service.access_request(request).unwrap().summary.digest
    }

    fn answering(&self, request: &RecordId, by: Authentication, word: AccessWord) -> Answering {
        let shown = self.shown(request);
        Answering { request: request.clone(), by, standing_in_for: None, word, shown }
    }

    async fn answer(
        &self,
        request: &RecordId,
        by: Authentication,
        extent: AccessExtent,
    ) -> Result<AccessState, AnswerAccessError> {
        let answering = self.answering(request, by, AccessWord::Approve(extent));
        Ok(self.service.answer_access(answering).await?.state)
    }

    async fn approve(&self, request: &RecordId) {
        let at = self.service.now();
        let state = self.answer(request, passkey("lea", at), AccessExtent::Once).await.unwrap();
        assert_eq!(state, AccessState::Approved);
    }

    async fn refuse(&self, request: &RecordId) {
        let word = AccessWord::Refuse { reason: "not this".into() };
        let by = passkey("lea", self.service.now());
        let settled = self.service.answer_access(self.answering(request, by, word)).await.unwrap();
        assert_eq!(settled.state, AccessState::Refused);
    }

    fn state(&self, request: &RecordId) -> AccessState {
        self.service.access_state(request).unwrap()
    }

    fn at(&self, after_ms: i64) {
        self.clock.set(Timestamp::from_millis(NOW + after_ms));
    }

    async fn change_policies(&self, policies: &str) {
        let Rules { policies, catalogue, digest, vocabulary } = rules(policies);
        let change = self.service.change_policies(policies, catalogue, digest, vocabulary, "test");
        change.await.unwrap();
    }

    /// The same service after a crash: a new one over the same records.
    fn again(&self) -> Bench {
        self.again_after(self.ledger.entries().len())
    }

    /// The same after a crash that left so many records.
    fn again_after(&self, count: usize) -> Bench {
        let (ports, ledger, clock) = ports();
        clock.set(self.service.now());
        let (reads, writes) = (Vec::new(), Vec::new());
        let mut entries = self.ledger.entries();
        entries.truncate(count);
        ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
        let service = restored(ports, &entries);
        Bench { service, ledger, clock }
    }

    fn records(&self) -> Vec<Record> {
        self.ledger.entries().iter().map(|entry| decode(&entry.leaf).unwrap()).collect()
    }

    /// How often anything was used.
    fn spent(&self) -> usize {
        let spent = |record: &&Record| match &record.body {
            Body::AccessRequestChanged(change) => {
                matches!(change.event, AccessEvent::Spent { .. })
            }
            _ => false,
        };
        self.records().iter().filter(spent).count()
    }
}

fn restored(ports: Ports, entries: &[Entry]) -> Arc<Service> {
    let service = Arc::new(Service::new(ports, Settings::default(), world(POLICIES)));
    let mut restore = service.restore();
    for (sequence, entry) in entries.iter().enumerate() {
        let sealed = match entry.attachment {
            Some(_) => Attachment::Present,
            None => Attachment::Absent,
        };
        restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
    }
    restore.finish();
    service
}

#[tokio::test]
async fn what_is_denied_is_asked_for_approved_and_done_once() {
    let bench = bench().await;
    let agent = proof("agent");
    let send = || call(&agent, "mail", mail("the summary"));
    assert_eq!(bench.ask(send()).await, Err(vec!["policy"]));

    let asked = bench.request(send()).await;
    assert_eq!((asked.state, asked.made), (AccessState::Pending, AccessMade::Now));
    let again = bench.request(send()).await;
    assert_eq!((&again.request, again.made), (&asked.request, AccessMade::Before));
    assert_eq!(bench.ask(send()).await, Err(vec!["policy"]), "nobody has answered");

    bench.approve(&asked.request).await;
    assert_eq!(bench.request(send()).await.state, AccessState::Approved);
    assert_eq!(bench.ask(send()).await, Ok(()));
    assert_eq!(bench.state(&asked.request), AccessState::Spent);
    assert_eq!(bench.ask(send()).await, Err(vec!["policy"]), "it was used");
    assert_eq!(bench.spent(), 1);

    // The permit names the request, and its use stands right behind it.
    let records = bench.records();
    let permit = records.iter().position(|record| match &record.body {
        Body::Decided(decided) => decided.approval.as_ref() == Some(&asked.request),
        _ => false,
    });
    let permit = permit.unwrap();
    let Body::AccessRequestChanged(use_) = &records[permit + 1].body else { panic!("no use") };
    let decision = records[permit].id.clone();
    assert_eq!(use_.event, AccessEvent::Spent { decision });
}

#[tokio::test]
async fn who_answers_is_shown_everything() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let check = call(&task, "mail", mail("p\u{430}y \u{202e}now"));
    let ask = AskAccess { check, justification: Some("the customer waits".into()) };
    let asked = bench.service.request_access(ask).await.unwrap();
    let view = bench.service.access_request(&asked.request).unwrap();
    assert_eq!(view.summary.asked_by, id("agent"));
    assert_eq!(view.summary.task, task.task.map(|task| task.id));
    assert_eq!(view.summary.open_to, ["group:leads"]);
    assert_eq!(view.reasons[0].policy.as_ref().unwrap().id.as_str(), "ask");
    assert_eq!(view.denied_by.as_ref(), Some(asked.denial.value().decision()));
    let shown = view.asked.unwrap();
    assert_eq!(shown.arguments, mail("p\u{430}y \u{202e}now"));
    assert_eq!(shown.shown.values[0].lines, ["p\u{430}⟨U+0430⟩y ⟨U+202E⟩now"]);
    assert_eq!(shown.justification.unwrap().lines, ["the customer waits"]);
    // The agent's owner is a lead too, and has a part in it: others are asked.
    let of = |person: &str| bench.service.may_answer_access(&asked.request, &id(person)).unwrap();
    assert!(of("lea").is_ok() && of("lou").is_ok());
    assert!(matches!(of("ada"), Err(AnswerError::Interested(_))));
    assert!(of("bob").is_err() && of("agent").is_err());

    let query =
        |person| AccessQuery { answerable_by: Some(person), limit: 9, ..Default::default() };
    let (lea, bob) = (id("lea"), id("bob"));
    assert_eq!(bench.service.access_requests(&query(&lea)).requests.len(), 1);
    assert!(bench.service.access_requests(&query(&bob)).requests.is_empty());
    bench.refuse(&asked.request).await;
    assert!(bench.service.access_requests(&query(&lea)).requests.is_empty());
}

#[tokio::test]
async fn what_needs_no_request_and_what_can_have_none_says_so() {
    let bench = bench().await;
    let agent = proof("agent");
    let before = bench.ledger.entries().len();
    let noted = bench.try_request(call(&agent, "note", mail("x"))).await;
    assert!(matches!(noted, Err(AskAccessError::NotNeeded)));
    assert_eq!(bench.ledger.entries().len(), before, "nothing was used and nothing recorded");
    let unknown = bench.try_request(call(&agent, "nothing", mail("x"))).await;
    let Err(AskAccessError::NotRequestable { denial }) = unknown else { panic!("{unknown:?}") };
    assert_eq!(denial.value().outcome.reasons[0].code(), "unknown_action");
    let long = AskAccess {
        check: call(&agent, "mail", mail("x")),
        justification: Some("x".repeat(JUSTIFICATION_BYTES_MAX + 1).into()),
    };
    let long = bench.service.request_access(long).await;
    assert!(matches!(long, Err(AskAccessError::Justification { .. })));
}

#[tokio::test]
async fn a_refusal_answers_what_is_only_worded_otherwise() {
    let bench = bench().await;
    let agent = proof("agent");
    let asked = bench.request(call(&agent, "mail", mail("the summary"))).await;
    bench.refuse(&asked.request).await;
    for body in ["The  Summary", "the\u{200b} summary", "the summary"] {
        let again = bench.try_request(call(&agent, "mail", mail(body))).await;
        let refused = matches!(again, Err(AskAccessError::Refused(AskError::Repeat { .. })));
        assert!(refused, "{body:?} {again:?}");
    }
    assert!(bench.try_request(call(&agent, "mail", mail("another"))).await.is_ok());
}

#[tokio::test]
async fn whoever_waits_hears_of_the_answer() {
    let bench = Arc::new(bench().await);
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    let waiting = {
        let (bench, request) = (Arc::clone(&bench), asked.request.clone());
        tokio::spawn(
            async move { bench.service.wait_for_access(&request, AccessState::Pending).await },
        )
    };
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    bench.approve(&asked.request).await;
    assert_eq!(waiting.await.unwrap(), Some(AccessState::Approved));
    let at_once = bench.service.wait_for_access(&asked.request, AccessState::Pending).await;
    assert_eq!(at_once, Some(AccessState::Approved));
}

#[tokio::test]
async fn nobody_is_worn_down() {
    let pace = Pace { asked_per_hour: 2, ..Pace::default() };
    let bench = bench_with(POLICIES, Settings { pace, ..Settings::default() }).await;
    let task = bench.begin(1).await;
    // A group asks once.
    for body in ["1", "2", "3"] {
        bench.request(call(&task, "mail", mail(body))).await;
    }
    // One agent has half of what people are asked.
    let much = bench.try_request(call(&proof("agent"), "mail", mail("4"))).await;
    assert!(matches!(much, Err(AskAccessError::Refused(AskError::ApproversBusy { .. }))));
    bench.request(call(&proof("helper"), "mail", mail("4"))).await;
    let busy = bench.try_request(call(&proof("helper"), "mail", mail("5"))).await;
    let Err(AskAccessError::Refused(AskError::ApproversBusy { retry_at })) = busy else {
        panic!("{busy:?}")
    };
    assert_eq!(retry_at, bench.service.now().plus_ms(60 * MINUTE));
    bench.at(60 * MINUTE);
    bench.request(call(&proof("helper"), "mail", mail("5"))).await;
}
