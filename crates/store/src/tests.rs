//! What the store promises, on real files.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use safeconduct_ledger::{Origin, encode};
use safeconduct_model::{
    ActionName, Amount, AskedOf, Body, Decided, DecidedTask, Decision, Digest, EntityRef,
    IdentityId, IntentName, KeyedDigest, Method, Mode, PolicyEffect, PolicyId, Record, RecordId,
    RecordedPolicy, RecordedReason, SessionKey, Span, TaskId, Timestamp, TokenId,
};
use safeconduct_service::{Entry, Ledger, Proposal};
use tempfile::TempDir;

use crate::segment::{Disk, RealDisk};
use crate::{Store, StoreOptions};

mod append;
mod crash;
mod derived;
mod erasure;
mod faults;
mod verify;

/// A data folder and a key folder, gone when this is dropped.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.dir.path().join("keys")
    }

    /// Small segments, so that tests cross their borders.
    pub(crate) fn options(&self) -> StoreOptions {
        let origin = Origin::new("example.com/test").unwrap();
        StoreOptions {
            segment_bytes: 16 * 1024,
            ..StoreOptions::new(self.data(), self.keys(), origin)
        }
    }

    pub(crate) fn open(&self) -> Store {
        self.open_on(Arc::new(RealDisk))
    }

    pub(crate) fn open_on(&self, disk: Arc<dyn Disk>) -> Store {
        Store::open_on(self.options(), disk).unwrap()
    }
}

pub(crate) fn record(n: u64) -> Record {
    Record {
        id: RecordId::new(format!("rec_{n}")).unwrap(),
        at: Timestamp::from_millis(1_795_319_000_000 + n as i64),
        trace: None,
        parent: None,
        body: Body::ServerStarted { version: format!("0.1.{n}") },
    }
}

/// A decision with all that the read model reads of it.
pub(crate) fn decision(n: u64) -> Record {
    let agent = format!("agent-{}", n % 3);
    let policy = RecordedPolicy {
        id: PolicyId::new(format!("rule-{}", n % 4)).unwrap(),
        effect: PolicyEffect::Forbid,
        span: Span { file: "p.cedar".into(), line: 1, column: 1, end_line: 2 },
    };
    let reason = RecordedReason {
        code: "policy".into(),
        policy: Some(policy),
        message: "no".into(),
        detail: None,
        of: None,
    };
    let decided = Decided {
        flow: Vec::new(),
        label: None,
        risk: 0,
        network: None,
        approval: None,
        session: SessionKey::credential(
            IdentityId::new(agent.as_str()).unwrap(),
            TokenId::new(format!("tok-{}", n % 2)).unwrap(),
        ),
        session_name: None,
        sequence: n + 1,
        pep: IdentityId::new("gateway:files").unwrap(),
        method: Method::ApiKey,
        principal: EntityRef::new("Safeconduct::Agent", agent).unwrap(),
        action: ActionName::new(format!("files.tool_{}", n % 5)).unwrap(),
        resources: vec![EntityRef::new("Safeconduct::Path", "/cases/4711/notes.md").unwrap()],
        input_digest: KeyedDigest::from_bytes([n as u8; 32]),
        decision: if n.is_multiple_of(2) { Decision::Permit } else { Decision::Deny },
        mode: Mode::Enforce,
        reasons: vec![reason.clone(), reason],
        shadow: Vec::new(),
        obligations: Vec::new(),
        requestable: None,
        policies: Digest::from_bytes([1; 32]),
        catalogue: Digest::from_bytes([2; 32]),
        task: None,
    };
    Record {
        id: RecordId::new(format!("dec_{n}")).unwrap(),
        body: Body::Decided(Box::new(decided)),
        ..record(n)
    }
}

/// The same in a task for a user; its reasons tell in one way or the other of whom they are.
pub(crate) fn decision_for_a_user(n: u64) -> Record {
    let mut record = decision(n);
    if let Body::Decided(decided) = &mut record.body {
        decided.principal = EntityRef::new("Safeconduct::Agent", "agent-9").unwrap();
        decided.task = Some(Box::new(DecidedTask {
            id: TaskId::new("task_1").unwrap(),
            intent: IntentName::new("work").unwrap(),
            on_behalf_of: Some(IdentityId::new(format!("ada-{}", n % 2)).unwrap()),
            actors: vec![decided.session.identity.clone()],
            spend: Amount(n),
            bytes_out: n,
        }));
        if let [first, second] = &mut *decided.reasons {
            let other = second.policy.as_mut().unwrap();
            other.id = PolicyId::new(format!("other-{}", n % 2)).unwrap();
            let of = [None, Some(AskedOf::User), Some(AskedOf::Actor)];
            (first.of, second.of) = (of[n as usize % 3], of[n as usize / 3 % 3]);
        }
    }
    record
}

pub(crate) fn decision_entry(n: u64) -> Entry {
    Entry { leaf: encode(&decision(n)).unwrap(), attachment: None }
}

pub(crate) fn entry(n: u64) -> Entry {
    Entry { leaf: encode(&record(n)).unwrap(), attachment: None }
}

pub(crate) fn attached(n: u64, attachment: &[u8]) -> Entry {
    Entry { attachment: Some(attachment.to_vec()), ..entry(n) }
}

pub(crate) fn proposal(entries: Vec<Entry>) -> Proposal {
    Proposal { entries, reads: Vec::new(), writes: Vec::new() }
}

/// Appends entries as one batch and waits for the disk.
pub(crate) fn append(store: &Store, entries: Vec<Entry>) {
    let ticket = store.submit(proposal(entries)).unwrap();
    block_on(store.durable(ticket)).unwrap();
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// All records of a store, which must be numbers 0, 1, 2, … in order.
pub(crate) fn assert_holds(store: &Store, records: u64) {
    assert_eq!(store.records(), records);
    let mut count = 0;
    for placed in store.replay(0) {
        let placed = placed.unwrap();
        assert_eq!((placed.sequence, placed.record), (count, record(count)));
        count += 1;
    }
    assert_eq!(count, records);
}
