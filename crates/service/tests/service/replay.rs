//! What is recalled of recorded decisions is what policies saw then, or said to be unknown.

use proptest::prelude::*;
use safeconduct_policy::{
    Ages, Policies, RecordedDecision, Replay, Replayer, ScopedStatement, Surroundings,
    ToolDefinition,
};
use safeconduct_service::memory::MemoryVault;

use super::*;

/// A set over tools whose arguments are declared.
fn typed(text: &str) -> Arc<Policies> {
    let schema = r#"{"name":"NAME","inputSchema":{"type":"object","properties":{
        "path":{"type":"string"},"to":{"type":"string"}}}}"#;
    let definitions = ["read", "show", "move"].map(|tool| ToolDefinition {
        server: name(ServerName::new("files")),
        tool: tool.to_owned(),
        definition: safeconduct_wire::json::parse(schema.replace("NAME", tool).as_bytes()).unwrap(),
    });
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", text)],
        definitions: definitions.into(),
        servers: vec![name(ServerName::new("files"))],
        ..Sources::default()
    };
    Arc::new(load(&sources).unwrap().policies)
}

fn known(tool: &str) -> ActionEntry {
    let low = ArgumentRule {
        pointer: "/path".into(),
        constraint: Constraint::Equals(Value::from("/a")),
        absent: Absent::Refused,
    };
    let raises = vec![Raise { to: Tier::Moderate, unless: vec![low] }];
    let keep = tool != "show";
    let argument = ArgumentUse { argument: "/to".into(), role: ArgumentRole::Address };
    let arguments = vec![argument];
    ActionEntry { raises, keep_arguments: keep, arguments, ..entry(tool) }
}

fn tools() -> Arc<Catalogue> {
    let entries = ["read", "show", "move"].map(known);
    let actions = entries.into_iter().map(|e| (e.name.clone(), e)).collect();
    Arc::new(Catalogue { actions, ..Catalogue::default() })
}

const CATALOGUE: Digest = Digest::from_bytes([9; 32]);

async fn course(set: &Arc<Policies>) -> Bench {
    let (ports, ledger, clock) = ports();
    clock.set(Timestamp::from_millis(1_790_000_000_000));
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let world = World::new(Arc::clone(set), tools(), CATALOGUE, vocabulary);
    let service = Arc::new(Service::new(ports, Settings::default(), world));
    service.change_identity(agent("agent"), &me()).await.unwrap();
    Bench { service, ledger, clock }
}

/// One call: which tool, of which token, with which path, and whether its result was read.
type Call = (&'static str, &'static str, &'static str, bool);

impl Bench {
    async fn called(&self, (tool, token, path, read): Call) -> Decision {
        let input = Value::object([("path", Value::from(path)), ("to", Value::from("x"))]);
        let subject = Subject::Caller(proof("agent", token));
        let check = Check { subject, input, ..check(tool) };
        let ruling = self.service.check(check).await.unwrap().into_value();
        let decision = ruling.outcome.decision;
        if decision == Decision::Permit {
            let read = if read { Read::Unseen } else { Read::Nothing };
            let report = Report { read, ..report(ruling.decision(), "gateway:files") };
            self.service.observe(report).await.unwrap();
        }
        decision
    }

    /// What a draft says to all of it, with what can be recalled.
    fn replayed(&self, old: &Policies, new: &Policies) -> Replay {
        let mut replayer = Replayer::new(old, new);
        self.through(|recorded, around| replayer.take(recorded, around));
        replayer.finish()
    }

    fn through(&self, mut each: impl FnMut(&RecordedDecision<'_>, &dyn Surroundings)) {
        let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
        let mut around = Surrounded::new(tools(), CATALOGUE, vocabulary);
        let mut recollection = Recollection::new(Some(Arc::new(MemoryVault)));
        for entry in self.ledger.entries() {
            let record = decode(&entry.leaf).unwrap();
            let attached = match entry.attachment {
                Some(bytes) => Attached::Here(Arc::new(Bytes(bytes))),
                None => Attached::Erased,
            };
            match &record.body {
                Body::IdentityChanged { identity, .. } => around.know(identity).unwrap(),
                Body::Decided(decided) => {
                    recollection.beside(attached.clone());
                    let recorded = RecordedDecision { id: &record.id, at: record.at, decided };
                    let around = Recalling { around: &around, recollection: &recollection };
                    each(&recorded, &around);
                }
                _ => {}
            }
            recollection.take(&record, attached);
        }
    }
}

struct Bytes(Vec<u8>);

impl LaidBeside for Bytes {
    fn read(&self) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }
}

fn counts(replay: &Replay) -> [u64; 4] {
    let changed = (replay.newly_denied.count, replay.newly_permitted.count);
    [replay.same, changed.0, changed.1, replay.not_replayable.count]
}

#[tokio::test]
async fn arguments_that_were_kept_are_opened_and_those_that_were_erased_are_not() {
    let old = typed("@id(\"all\") permit (principal, action, resource);");
    let new = typed(
        "@id(\"all\") permit (principal, action, resource); @id(\"f\") forbid (principal, action \
         == Safeconduct::Action::\"files.read\", resource) when { context has input && \
         context.input has path && context.input.path like \"/secret/*\" };",
    );
    let bench = course(&old).await;
    for call in [("read", "t1", "/a", false), ("read", "t1", "/secret/b", false)] {
        assert_eq!(bench.called(call).await, Decision::Permit);
    }
    bench.called(("show", "t2", "/secret/b", false)).await;
    bench.called(("read", "t2", "/secret/b", false)).await;
    assert_eq!(counts(&bench.replayed(&old, &new)), [2, 2, 0, 0]);
    // What arguments make of a tier is known with them.
    let by_tier = |action: &str| {
        typed(&format!(
            "@id(\"all\") permit (principal, action == Safeconduct::Action::\"files.{action}\", \
             resource) when {{ context.action.tier == \"low\" }};"
        ))
    };
    assert_eq!(counts(&bench.replayed(&old, &by_tier("read"))), [1, 3, 0, 0]);
    let replay = bench.replayed(&old, &by_tier("show"));
    assert_eq!(counts(&replay), [0, 3, 0, 1], "arguments of `show` are not kept");
    let erased = SessionKey::of(&proof("agent", "t1"));
    bench.service.erase(&erased, &me()).await.unwrap();
    let replay = bench.replayed(&old, &new);
    assert_eq!((counts(&replay), replay.total()), ([1, 1, 0, 2], 4));
    assert_eq!(replay.not_replayable.why["erased"], 2);
}

/// What sessions were, in words that no record answers, and what they mean.
const CONDITIONS: [&str; 8] = [
    "context.session.steps + 1 < 4",
    "context.session.denials * 2 > 1",
    "context.session.distinct_resources - 1 < 1",
    "context.session.actions.containsAny([\"files.move\"])",
    "context.session.untrusted == true",
    "[\"internal\"].contains(context.session.sensitivity)",
    "context.input has path && \"/a\" == context.input.path",
    "context.action.tier != \"low\"",
];

/// The same, as the set said it that decided.
const THEN: [&str; 8] = [
    "context.session.steps < 3",
    "context.session.denials >= 1",
    "context.session.distinct_resources < 2",
    "context.session.actions.contains(\"files.move\")",
    "context.session.untrusted",
    "context.session.sensitivity == \"internal\"",
    "context.input has path && context.input.path == \"/a\"",
    "context.action.tier == \"moderate\"",
];

fn rules(permit: usize, forbid: usize, words: &[&str; 8]) -> Arc<Policies> {
    let word = |at: usize| words.get(at).copied().unwrap_or("false");
    let (permit, forbid) = (word(permit), word(forbid));
    let all = ["read", "move"].map(|tool| {
        format!(
            "@id(\"{tool}\") permit (principal, action == Safeconduct::Action::\"files.{tool}\", \
             resource) when {{ context has input && ({permit} || !({permit})) }}; \
             @id(\"not-{tool}\") forbid (principal, action == \
             Safeconduct::Action::\"files.{tool}\", resource) when {{ context has input && \
             {forbid} }};"
        )
    });
    typed(&all.concat())
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let one = (
        prop::sample::select(vec!["read", "move"]),
        prop::sample::select(vec!["t1", "t2"]),
        prop::sample::select(vec!["/a", "/secret/b", "/c"]),
        any::<bool>(),
    );
    prop::collection::vec(one, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// A draft that says the same in other words says the same to everything: nothing of the
    /// moment is another than it was, and nothing is missing.
    #[test]
    fn moments_are_recalled_as_they_were(
        permit in 0..THEN.len(),
        forbid in 0..THEN.len(),
        calls in calls(),
    ) {
        let (old, new) = (rules(permit, forbid, &THEN), rules(permit, forbid, &CONDITIONS));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bench = runtime.block_on(async {
            let bench = course(&old).await;
            for call in &calls {
                bench.called(*call).await;
            }
            bench
        });
        let replay = bench.replayed(&old, &new);
        let why = replay.not_replayable.listed.iter().map(|(_, why)| why.to_string());
        let why: Vec<_> = why.collect();
        prop_assert_eq!(counts(&replay), [calls.len() as u64, 0, 0, 0], "{:?}", why);
        // And the other way around, what it forbade is permitted without that.
        let without = typed(
            "@id(\"read\") permit (principal, action, resource) when { context has input };",
        );
        let all = decided(&bench.ledger);
        let denied = all.iter().filter(|one| one.decision == Decision::Deny).count() as u64;
        let replay = bench.replayed(&old, &without);
        prop_assert_eq!(counts(&replay), [calls.len() as u64 - denied, 0, denied, 0]);
    }
}

/// Where the first records are missing, what follows from them is not guessed.
#[tokio::test]
async fn a_session_of_which_the_beginning_is_missing_is_not_guessed() {
    let old = typed("@id(\"all\") permit (principal, action, resource);");
    let new = typed(
        "@id(\"all\") permit (principal, action, resource) when { context.session.steps < 2 };",
    );
    let bench = course(&old).await;
    for _ in 0..4 {
        bench.called(("read", "t1", "/a", false)).await;
    }
    assert_eq!(counts(&bench.replayed(&old, &new)), [2, 2, 0, 0]);
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let mut around = Surrounded::new(tools(), CATALOGUE, vocabulary);
    around.know(&agent("agent")).unwrap();
    let mut recollection = Recollection::new(None);
    let mut replayer = Replayer::new(&old, &new);
    let all = records(&bench.ledger);
    for record in all.iter().filter(|r| matches!(r.body, Body::Decided(_))).skip(1) {
        let Body::Decided(decided) = &record.body else { continue };
        let recorded = RecordedDecision { id: &record.id, at: record.at, decided };
        replayer.take(&recorded, &Recalling { around: &around, recollection: &recollection });
        recollection.take(record, Attached::Nothing);
    }
    let replay = replayer.finish();
    assert_eq!(counts(&replay), [0, 0, 0, 3]);
    let lacking = replay.not_replayable.listed[0].1.lacking().unwrap();
    assert_eq!(&*lacking.fact, "context.session.steps");
}

/// Reads sets from their own texts.
struct Texts;

impl ReadSet for Texts {
    fn read(&self, _: Digest, texts: &[u8], _: &Policies) -> Option<Policies> {
        let text = std::str::from_utf8(texts).ok()?;
        Arc::into_inner(policies(text))
    }
}

#[tokio::test]
async fn a_statement_is_as_old_as_the_first_of_the_sets_that_held_it() {
    let (a, b) = (
        "@id(\"a\") permit (principal, action, resource);",
        "@id(\"b\") permit (principal, action, resource) when { context.session.steps < 5 };",
    );
    let both = format!("{a}{b}");
    let (ports, ledger, clock) = ports();
    let service = Arc::new(Service::new(ports, Settings::default(), world(a)));
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let at = |minute: i64| Timestamp::from_millis(1_790_000_000_000 + minute * 60_000);
    let enter = |service: Arc<Service>, text: String, minute| {
        clock.set(at(minute));
        async move {
            let rules = RuleSet {
                policies: policies(&text),
                catalogue: Arc::new(catalogue()),
                catalogue_digest: Digest::from_bytes([9; 32]),
                vocabulary: Arc::new(Vocabulary::new("Safeconduct").unwrap()),
                intents: None,
                texts: RuleTexts { policies: Some(text.as_bytes().into()), ..RuleTexts::default() },
                asked_by: None,
            };
            service.change_rules(rules, "start").await.unwrap();
        }
    };
    enter(Arc::clone(&service), a.to_owned(), 0).await;
    enter(Arc::clone(&service), both.clone(), 10).await;
    let ages = |service: &Service| {
        let world = service.world();
        let all = world.policies().statements();
        let age = |statement: ScopedStatement| {
            service.age_of(&statement.info().reference.id, statement.digest()).map(|age| age.since)
        };
        all.map(age).collect::<Vec<_>>()
    };
    assert_eq!(ages(&service), [None, None], "nobody has gone over the sets yet");
    service.tell_ages(&Texts);
    assert_eq!(ages(&service), [Some(at(0)), Some(at(10))]);
    enter(Arc::clone(&service), format!("// The same.\n{b}\n{a}"), 20).await;
    assert_eq!(ages(&service), [Some(at(10)), Some(at(0))], "what moves is no younger");
    let agent = name(IdentityId::new("agent"));
    let why = service.why(&agent, &name(ActionName::new("files.read")), None).unwrap();
    let told: Vec<_> = why.permits.iter().map(|one| one.age.map(|age| age.since)).collect();
    assert_eq!(told, [Some(at(10)), Some(at(0))]);

    // A new process tells the same by the records alone.
    let (again, copy, _) = safeconduct_service::memory::ports();
    let entries = ledger.entries();
    let (reads, writes) = (Vec::new(), Vec::new());
    copy.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
    let text = format!("// The same.\n{b}\n{a}");
    let again = Arc::new(Service::new(again, Settings::default(), world(&text)));
    let mut restore = again.restore();
    for (sequence, entry) in entries.iter().enumerate() {
        let sealed = match entry.attachment {
            Some(_) => Attachment::Present,
            None => Attachment::Absent,
        };
        restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
    }
    restore.finish();
    again.tell_ages(&Texts);
    assert_eq!(ages(&again), [Some(at(10)), Some(at(0))]);
    assert_eq!(Ages::default().set(), None);
}
