//! Rights are taken away, in stages: a folder of policies, and who holds what by it.

use std::sync::Mutex;

use safeconduct_review::{Effect, GrantSource, ProposalState, Remediation, RemediationState};

use super::*;

mod aside;
mod changes;

pub(super) const FILES: &str = "p.cedar";

/// A folder in memory, with the policies in it.
struct Folder {
    files: Mutex<BTreeMap<String, String>>,
    service: std::sync::Weak<Service>,
    /// A file that cannot be written.
    locked: Mutex<Option<String>>,
}

fn loaded(
    files: &BTreeMap<String, String>,
) -> Result<Arc<safeconduct_policy::Policies>, GateError> {
    let sources = Sources {
        policies: files.iter().map(|(name, text)| SourceFile::new(&**name, &**text)).collect(),
        servers: vec![name(ServerName::new("files"))],
        actions: catalogue().actions.into_values().map(|e| (e.name, e.server)).collect(),
        ..Sources::default()
    };
    let loaded = load(&sources).map_err(|error| GateError::Refused(vec![error.to_string()]))?;
    Ok(Arc::new(loaded.policies))
}

impl PolicyGate for Folder {
    fn read(&self) -> Gated<'_, BTreeMap<String, String>> {
        Gated(Box::pin(async { Ok(self.files.lock().unwrap().clone()) }))
    }

    fn check(&self, files: BTreeMap<String, String>) -> Gated<'_, Checked> {
        Gated(Box::pin(async move {
            loaded(&files).map(|_| Checked { warnings: Vec::new(), tests: 1 })
        }))
    }

    fn draft(
        &self,
        files: BTreeMap<String, String>,
        _: Arc<safeconduct_policy::Policies>,
    ) -> Gated<'_, Arc<safeconduct_policy::Policies>> {
        Gated(Box::pin(async move { loaded(&files) }))
    }

    fn write(&self, texts: safeconduct_review::ProposedTexts) -> Gated<'_, ()> {
        Gated(Box::pin(async move {
            let mut files = self.files.lock().unwrap();
            for (name, file) in texts.files {
                if self.locked.lock().unwrap().as_ref() == Some(&name) {
                    return Err(GateError::Failed("locked".into()));
                }
                match file.after {
                    Some(text) => files.insert(name, text),
                    None => files.remove(&name),
                };
            }
            Ok(())
        }))
    }

    fn load<'a>(&'a self, cause: &'a str) -> Gated<'a, ()> {
        Gated(Box::pin(async move {
            let files = self.files.lock().unwrap().clone();
            let policies = loaded(&files)?;
            let service = self.service.upgrade().unwrap();
            let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
            let digest = Digest::from_bytes([9; 32]);
            let catalogue = Arc::new(catalogue());
            let put = service.change_policies(policies, catalogue, digest, vocabulary, cause);
            put.await.map_err(|error| GateError::Failed(error.to_string()))
        }))
    }
}

pub(super) struct Estate {
    bench: Bench,
    folder: Arc<dyn PolicyGate>,
    files: Arc<Folder>,
}

pub(super) async fn estate() -> Estate {
    let bench = bench(Settings::default()).await;
    bench.service.change_identity(agent("other"), &me()).await.unwrap();
    let files = Arc::new(Folder {
        files: Mutex::new(BTreeMap::from([(FILES.to_owned(), POLICIES.to_owned())])),
        service: Arc::downgrade(&bench.service),
        locked: Mutex::new(None),
    });
    let folder = Arc::clone(&files) as Arc<dyn PolicyGate>;
    bench.service.set_policy_gate(&folder);
    Estate { bench, folder, files }
}

pub(super) fn who(of: &str) -> IdentityId {
    name(IdentityId::new(of))
}

impl Estate {
    pub(super) fn service(&self) -> &Service {
        &self.bench.service
    }

    pub(super) fn ledger(&self) -> &Arc<MemoryLedger> {
        &self.bench.ledger
    }

    /// The policies as they lie in the folder.
    pub(super) fn text(&self) -> String {
        self.files.files.lock().unwrap().get(FILES).cloned().unwrap()
    }

    async fn ask(&self, agent: &str, tool: &str) -> Result<(), Vec<&'static str>> {
        ask(self.service(), agent, tool).await
    }

    pub(super) fn grant(&self, holder: &str, policy: &str) -> Digest {
        let held = self.service().can(&who(holder)).unwrap();
        let of = |grant: &&safeconduct_review::Grant| match &grant.source {
            GrantSource::Statement(statement) => statement.policy.as_str() == policy,
            _ => false,
        };
        held.grants.iter().find(of).unwrap().id
    }

    async fn schedule(&self, grant: Option<Digest>, effect: Effect, not_before: i64) -> RecordId {
        self.schedule_from("agent", grant, effect, not_before).await
    }

    /// Due at once.
    pub(super) async fn schedule_of(
        &self,
        holder: &str,
        grant: Option<Digest>,
        effect: Effect,
    ) -> RecordId {
        self.schedule_from(holder, grant, effect, 0).await
    }

    /// The folder is loaded as it is.
    pub(super) async fn load(&self, cause: &str) {
        self.folder.load(cause).await.unwrap();
    }

    pub(super) fn clock(&self) -> &MemoryClock {
        &self.bench.clock
    }

    /// Another process over the same records and the same folder.
    pub(super) fn again(&self) -> Service {
        let (ports, ledger, clock) = ports();
        clock.set(self.service().now());
        let (entries, reads, writes) = (self.bench.ledger.entries(), Vec::new(), Vec::new());
        ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
        let text = self.files.files.lock().unwrap().get(FILES).cloned().unwrap();
        let service = Service::new(ports, Settings::default(), world(&text));
        let mut restore = service.restore();
        for (sequence, entry) in (0..).zip(&entries) {
            let beside = match entry.attachment {
                Some(_) => Attachment::Present,
                None => Attachment::Absent,
            };
            restore.apply(sequence, &decode(&entry.leaf).unwrap(), beside).unwrap();
        }
        restore.finish();
        service
    }

    async fn schedule_from(
        &self,
        holder: &str,
        grant: Option<Digest>,
        effect: Effect,
        not_before: i64,
    ) -> RecordId {
        let wanted = NewRemediation {
            holder: who(holder),
            grant,
            effect,
            not_before: Timestamp::from_millis(not_before),
            cause: Some("camp_1/0".into()),
            reason: "not used".into(),
        };
        let ids = self.service().schedule_remediations(vec![wanted], Some(&me())).await;
        ids.unwrap().remove(0)
    }

    /// `files.read` of `agent`, set aside.
    async fn set_aside(&self, effect: Effect) -> RecordId {
        let id = self.schedule(Some(self.grant("agent", "reads")), effect, 0).await;
        self.service().quarantine(&id, Some(&me())).await.unwrap();
        id
    }

    pub(super) fn one(&self, id: &RecordId) -> Remediation {
        self.service().remediation(id).unwrap()
    }

    pub(super) fn edit(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        change(&mut self.files.files.lock().unwrap());
    }
}

pub(super) async fn ask(
    service: &Service,
    agent: &str,
    tool: &str,
) -> Result<(), Vec<&'static str>> {
    let mut check = check(tool);
    check.subject = Subject::Caller(proof(agent, "t1"));
    let outcome = service.check(check).await.unwrap().into_value().outcome;
    match outcome.decision {
        Decision::Permit => Ok(()),
        Decision::Deny => Err(codes(&outcome)),
    }
}

pub(super) fn probing(tool: &str, wanted: Decision) -> Probing {
    Probing {
        action: name(ActionName::new(format!("files.{tool}"))),
        resource: EntityRef::new("Server", "files").unwrap(),
        input: Value::object([("path", Value::from("/a"))]),
        wanted,
    }
}
