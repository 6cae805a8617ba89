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
        let (ports, ledger, clock) = ports();
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
