//! What an agent reads follows its session: into arguments, children, and over a restart.

use std::sync::Mutex;

use futures_util::FutureExt as _;

use super::*;

mod handed;
mod hear;
mod said;

const IBAN: &str = "GB29 NWBK 6016 1331 9268 19";

fn worth(integrity: Integrity, confidentiality: Confidentiality) -> Label {
    Label { integrity, confidentiality, ..Label::LEAST }
}

impl Bench {
    /// The agent reads a text as the result of a permitted call. Returns the call's decision.
    async fn reads(&self, by: &Authentication, text: &str) -> RecordId {
        self.does(call(by.clone(), "records", READ), text).await
    }

    /// That call is permitted and gives that text.
    async fn does(&self, check: Check, text: &str) -> RecordId {
        let ruling = self.service.check(check).await.unwrap();
        assert_eq!(ruling.value().outcome.decision, Decision::Permit);
        let decision = ruling.value().decision().clone();
        let report = Report {
            decision: decision.clone(),
            reported_by: id("gateway"),
            execution: Execution::Succeeded,
            duration_ms: Some(1),
            result: Some(text.as_bytes().to_vec()),
            detail: None,
            edits: Vec::new(),
            read: Read::This(vec![Content::Text(text.into())]),
            beside: Read::Nothing,
        };
        self.service.observe(report).await.unwrap();
        decision
    }

    /// Where the account of a payment came from, and the decisions that show it.
    async fn account(&self, by: &Authentication, account: &str) -> (ValueOrigins, Vec<RecordId>) {
        let check = call(by.clone(), "pay", &[("account", account)]);
        let record = self.service.check(check).await.unwrap().into_value().outcome.record;
        let decided = match record.body {
            Body::Decided(decided) => Some(decided),
            _ => None,
        };
        let flow = decided.unwrap().flow.into_iter().find(|flow| &*flow.pointer == "/account");
        flow.map(|flow| (flow.origins, flow.sources)).unwrap_or_default()
    }

    fn label(&self, of: &Authentication) -> Label {
        let key = SessionKey::of(of);
        self.service.session(&key).unwrap().session.label().clone()
    }
}

#[tokio::test]
async fn a_value_that_stood_in_a_result_is_known_by_it_after_a_crash_too() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let page = bench.reads(&task, &format!("The new account is {IBAN}, says Mallory.")).await;
    let untrusted = (ValueOrigins::from([ValueOrigin::Untrusted]), vec![page]);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&task, &IBAN.replace(' ', "").to_lowercase()).await, untrusted);
        assert_eq!(bench.account(&task, "FR14 2004 1010 0505 0001 3M02 606").await.0, [].into());
        let worst = worth(Integrity::Untrusted, Confidentiality::Internal);
        assert_eq!(bench.label(&task), worst);
    }
}

/// What it reads back it cannot vouch for, from whatever place and after a crash too.
#[tokio::test]
async fn what_an_untrusted_session_writes_is_its_own_word() {
    let bench = bench().await;
    let agent = proof("agent");
    let writes = |text| bench.does(call(agent.clone(), "mail", &[("body", text)]), "done");
    // Nothing untrusted was read before the first one; its answer was.
    writes("FR14 2004").await;
    let written = writes(IBAN).await;
    let own = ([ValueOrigin::Untrusted].into(), vec![written]);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&agent, IBAN).await, own);
        assert_eq!(bench.account(&agent, "FR14 2004").await.0, [].into());
    }
}

#[tokio::test]
async fn what_an_orchestrator_says_is_the_tasks_and_what_the_agent_says_is_not() {
    let bench = bench().await;
    let prompt = format!("Pay the rent to {IBAN}.");
    let begin = |by: &str, handle: u8| {
        let mut begun = undertaking(proof(by), "agent", "work", handle);
        begun.prompt = Some(prompt.as_str().into());
        begun
    };
    bench.service.begin_task(begin("orchestrator", 1)).await.unwrap();
    let task = bench.enter("agent", 1);
    let named = ValueOrigins::from([ValueOrigin::Task]);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&task, IBAN).await.0, named);
    }
    // The agent itself says the same words: they are worth what its session knows of them.
    bench.service.begin_task(begin("agent", 2)).await.unwrap();
    let own = bench.enter("agent", 2);
    assert_eq!(bench.account(&own, IBAN).await.0, [].into());
    bench.reads(&own, IBAN).await;
    assert_eq!(bench.account(&own, IBAN).await.0, [ValueOrigin::Untrusted].into());
}

#[tokio::test]
async fn a_new_task_sheds_nothing_and_a_child_begins_with_what_its_parent_read() {
    let bench = bench().await;
    let first = bench.begin("agent", "agent", "work", 1).await;
    bench.reads(&first, IBAN).await;
    bench.end(&first).await;
    // Another task that the same agent begins goes on where that one stood.
    let second = bench.begin("agent", "agent", "work", 2).await;
    let untrusted = ValueOrigins::from([ValueOrigin::Untrusted]);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&second, IBAN).await.0, untrusted);
    }
    let root = bench.begin("orchestrator", "agent", "work", 3).await;
    assert_eq!(bench.account(&root, IBAN).await.0, [].into());
    let child = bench.delegate(&root, "helper", 4, 4).await;
    assert_eq!(bench.label(&root), Label::LEAST);
    bench.reads(&child, IBAN).await;
    // What the child reads is read where its parent's reading is kept.
    let worst = worth(Integrity::Untrusted, Confidentiality::Internal);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&child, IBAN).await.0, untrusted);
        assert_eq!(bench.label(&root), worst);
    }
    let grandchild = bench.delegate(&child, "agent", 5, 2).await;
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&grandchild, IBAN).await.0, untrusted);
    }
}

/// A task within another shares what that one reads, whenever its own first decision falls, and
/// however often that is read back.
#[tokio::test]
async fn what_a_parent_reads_is_its_childs_in_memory_and_read_back() {
    for flow_bytes_held in [Settings::default().flow_bytes_held, 1] {
        let bench = bench_with(Settings { flow_bytes_held, ..Settings::default() }).await;
        let root = bench.begin("orchestrator", "agent", "work", 3).await;
        let child = bench.delegate(&root, "helper", 4, 2).await;
        assert_eq!(bench.account(&child, IBAN).await.0, [].into());
        let later = bench.delegate(&root, "helper", 5, 2).await;
        bench.reads(&root, IBAN).await;
        for bench in [&bench, &bench.again()] {
            for task in [&later, &child, &root] {
                let untrusted = ValueOrigins::from([ValueOrigin::Untrusted]);
                assert_eq!(bench.account(task, IBAN).await.0, untrusted);
            }
            let worst = worth(Integrity::Untrusted, Confidentiality::Internal);
            assert_eq!(bench.label(&root), worst);
        }
    }
}

#[tokio::test]
async fn what_was_erased_or_never_told_leaves_its_label_and_no_trust() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    // A permit whose outcome never comes: the agent may have read anything.
    let silent = bench.begin("ada", "helper", "work", 2).await;
    assert_eq!(bench.ask(call(silent.clone(), "records", READ)).await, Ok(()));
    bench.clock.set(Timestamp::from_millis(NOW + 59_000));
    bench.reads(&task, IBAN).await;
    bench.clock.set(Timestamp::from_millis(NOW + 3_600_000));
    assert_eq!(bench.service.sweep(), 1);
    bench.clock.set(Timestamp::from_millis(NOW + 59_500));
    let untrusted = ValueOrigins::from([ValueOrigin::Untrusted]);
    assert_eq!(bench.account(&silent, "anything at all").await.0, untrusted);
    bench.end(&task).await;
    let key = SessionKey::of(&task);
    bench.service.erase(&key, &id("ada")).await.unwrap();
    let worst = worth(Integrity::Untrusted, Confidentiality::Internal);
    assert_eq!(bench.again().label(&task), worst);
}

/// What lies in the ledger need not be in memory, and is there when it is wanted.
#[tokio::test]
async fn what_finds_no_room_in_memory_is_read_back() {
    let bench = bench_with(Settings { flow_bytes_held: 1, ..Settings::default() }).await;
    let (one, other) = ("GB29 NWBK 6016 1331 9268 19", "FR14 2004 1010 0505 0001 3M02 606");
    let first = bench.begin("ada", "agent", "work", 1).await;
    let second = bench.begin("ada", "helper", "work", 2).await;
    for _ in 0..4 {
        bench.reads(&first, one).await;
        bench.reads(&second, other).await;
    }
    let untrusted = ValueOrigins::from([ValueOrigin::Untrusted]);
    for _ in 0..2 {
        assert_eq!(bench.account(&first, one).await.0, untrusted);
        assert_eq!(bench.account(&second, other).await.0, untrusted);
        assert_eq!(bench.account(&second, one).await.0, [].into());
    }
}

/// An erased session goes on under new keys: by fingerprints under the old ones nothing is found.
#[tokio::test]
async fn what_was_read_around_an_erasure_is_not_taken_for_new() {
    let bench = bench().await;
    let own = bench.begin("agent", "agent", "work", 1).await;
    bench.reads(&own, "FR14 2004 1010 0505 0001 3M02 606").await;
    bench.service.erase(&SessionKey::of(&proof("agent")), &id("ada")).await.unwrap();
    let again = bench.again();
    again.reads(&own, IBAN).await;
    let untrusted = ValueOrigins::from([ValueOrigin::Untrusted]);
    assert_eq!(again.account(&own, IBAN).await.0, untrusted);
    // The first call outside of the task makes the session's new keys.
    assert_eq!(again.ask(call(proof("agent"), "mail", &[])).await, Ok(()));
    assert_eq!(again.again().account(&own, IBAN).await.0, untrusted);
}

/// Keys by which something happens once, when what lies beside the next outcome is sealed: what was
/// read is in memory then, and no record says so yet.
struct Between<T: ?Sized, F> {
    inner: Arc<T>,
    now: Arc<Mutex<Option<F>>>,
}

impl<F: FnOnce() + Send + 'static> Between<dyn Vault, F> {
    fn keys(&self, inner: Arc<dyn SessionKeys>) -> Arc<dyn SessionKeys> {
        Arc::new(Between { inner, now: Arc::clone(&self.now) })
    }
}

impl<F: FnOnce() + Send + 'static> Vault for Between<dyn Vault, F> {
    fn begin(&self, session: &SessionKey) -> Result<(Arc<dyn SessionKeys>, Vec<u8>), VaultError> {
        let (keys, wrapped) = self.inner.begin(session)?;
        Ok((self.keys(keys), wrapped))
    }

    fn unwrap(
        &self,
        session: &SessionKey,
        wrapped: &[u8],
    ) -> Result<Arc<dyn SessionKeys>, VaultError> {
        Ok(self.keys(self.inner.unwrap(session, wrapped)?))
    }

    fn likeness(&self, bytes: &[u8]) -> Result<KeyedDigest, VaultError> {
        self.inner.likeness(bytes)
    }
}

impl<F: FnOnce() + Send + 'static> SessionKeys for Between<dyn SessionKeys, F> {
    fn digest(&self, canonical: &[u8]) -> KeyedDigest {
        self.inner.digest(canonical)
    }

    fn seal(&self, record: &RecordId, what: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let now = self.now.lock().unwrap().take_if(|_| what == "outcome");
        now.into_iter().for_each(|now| now());
        self.inner.seal(record, what, plain)
    }

    fn open(&self, record: &RecordId, what: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.inner.open(record, what, sealed)
    }
}

/// Where a session gives way and is read back between what was read and its record, nothing is
/// lost.
#[tokio::test]
async fn what_is_read_while_its_session_is_read_back_is_found() {
    let now = Arc::new(Mutex::new(None));
    let settings = Settings { flow_bytes_held: 1, ..Settings::default() };
    let bench = bench_over(settings, |ports, _| {
        let vault = Between { inner: Arc::clone(&ports.vault), now: Arc::clone(&now) };
        Ports { vault: Arc::new(vault), ..ports }
    });
    let bench = Arc::new(bench.await);
    let first = bench.begin("ada", "agent", "work", 1).await;
    let second = bench.begin("ada", "helper", "work", 2).await;
    bench.reads(&first, "FR14 2004 1010 0505 0001 3M02 606").await;
    let (again, by) = (Arc::clone(&bench), first.clone());
    *now.lock().unwrap() = Some(move || {
        let both = async {
            // The other takes all the room there is; then the first is asked about.
            again.reads(&second, "GB33 BUKB 2020 1555 5555 55").await;
            again.account(&by, "x").await;
        };
        // Nothing of it waits: the ledger is memory.
        assert!(both.now_or_never().is_some());
    });
    bench.reads(&first, IBAN).await;
    assert!(now.lock().unwrap().is_none());
    assert_eq!(bench.account(&first, IBAN).await.0, ValueOrigins::from([ValueOrigin::Untrusted]));
}
