//! An estate over a ledger in memory, a clock that is moved, and a read model that is made again
//! from the ledger each time it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_ledger::{decode, encode};
use safeconduct_model::{Label, Returns, Subject, *};
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_review::Usage;
use safeconduct_review::finding::{Finding, FindingKind, FindingState};
use safeconduct_service::memory::{MemoryClock, MemoryLedger, ports};
use safeconduct_service::*;

pub(crate) const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("broad")
permit (
  principal is Safeconduct::Agent,
  action in [Safeconduct::Action::"crm.read", Safeconduct::Action::"crm.export"],
  resource
) when { context.action.name like "crm.*" };
@id("people") permit (principal is Safeconduct::User, action, resource)
when { context.action.name == "crm.read" };
"#;

/// With one right more, of `helper` alone.
pub(crate) const ONE_MORE: &str = r#"
@id("extra")
permit (principal == Safeconduct::Agent::"helper", action == Safeconduct::Action::"crm.pay", resource)
when { context.action.name like "crm.*" };
"#;

pub(crate) const DAY: i64 = 86_400_000;

pub(crate) fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

pub(crate) fn action(tool: &str) -> ActionName {
    ActionName::new(format!("crm.{tool}")).unwrap()
}

pub(crate) fn task(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn entry(tool: &str, tier: Tier, class: &str) -> ActionEntry {
    ActionEntry {
        name: action(tool),
        server: Some(ServerName::new("crm").unwrap()),
        tier,
        effect: Effect::Write,
        guessed: false,
        returns: Returns::uniform(Label::LEAST),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: vec![ResourceMapping {
            argument: format!("/{class}"),
            ty: EntityType::new("Safeconduct::Path").unwrap(),
            form: ResourceForm::Path { root: None },
            optional: tool != "read",
        }],
        definition: None,
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    }
}

fn catalogue() -> Catalogue {
    let entries = [
        entry("read", Tier::Low, "case"),
        entry("export", Tier::Moderate, "case"),
        entry("pay", Tier::Moderate, "account"),
    ];
    Catalogue {
        actions: entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect(),
        ..Catalogue::default()
    }
}

fn policies(text: &str, rego: &[&str]) -> Arc<safeconduct_policy::Policies> {
    let sources = Sources {
        policies: std::iter::once(("p.cedar", text))
            .chain(rego.iter().map(|text| ("r.rego", *text)))
            .map(|(name, text)| SourceFile::new(name, text))
            .collect(),
        servers: vec![ServerName::new("crm").unwrap()],
        actions: catalogue()
            .actions
            .into_values()
            .map(|entry| (entry.name, entry.server))
            .collect(),
        ..Sources::default()
    };
    Arc::new(load(&sources).unwrap().policies)
}

pub(crate) struct Bench {
    pub(crate) service: Arc<Service>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) clock: Arc<MemoryClock>,
}

pub(crate) fn identity(text: &str, kind: IdentityKind) -> Identity {
    let owner = (kind != IdentityKind::User).then(|| id("grace"));
    Identity {
        id: id(text),
        kind,
        status: IdentityStatus::Active,
        owner,
        fallback_owner: (kind != IdentityKind::User).then(|| id("ada")),
        sponsor: None,
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::new(),
        imported: None,
    }
}

fn service(ports: Ports) -> Service {
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let digest = Digest::from_bytes([9; 32]);
    let world = World::new(policies(POLICIES, &[]), Arc::new(catalogue()), digest, vocabulary);
    Service::new(ports, Settings::default(), world)
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let (ports, ledger, clock) = ports();
        clock.set(Timestamp::from_millis(1_700_000_000_000));
        let bench = Self { service: Arc::new(service(ports)), ledger, clock };
        for person in ["grace", "ada"] {
            bench.register(identity(person, IdentityKind::User)).await;
        }
        for agent in ["worker", "helper"] {
            bench.register(identity(agent, IdentityKind::Agent)).await;
        }
        bench.policies(POLICIES).await;
        bench
    }

    /// The same after a restart: everything is folded again from the records.
    pub(crate) fn restarted(&self) -> Self {
        let (ports, ledger, clock) = ports();
        clock.set(self.service.now());
        // What a process counted for itself, it takes with it.
        let entries = self.ledger.entries();
        ledger.submit(Proposal { entries, reads: Vec::new(), writes: Vec::new() }).unwrap();
        let service = service(ports);
        let mut fold = service.restore();
        for (sequence, entry) in (0u64..).zip(self.ledger.entries()) {
            let beside = match entry.attachment {
                Some(_) => Attachment::Present,
                None => Attachment::Absent,
            };
            fold.apply(sequence, &decode(&entry.leaf).unwrap(), beside).unwrap();
        }
        fold.finish();
        Self { service: Arc::new(service), ledger, clock }
    }

    pub(crate) async fn register(&self, identity: Identity) {
        self.service.change_identity(identity, &id("test")).await.unwrap();
    }

    pub(crate) async fn policies(&self, text: &str) {
        self.policies_with(text, &[]).await;
    }

    /// The same, with files of Rego beside.
    pub(crate) async fn policies_with(&self, text: &str, rego: &[&str]) {
        let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
        let digest = Digest::from_bytes([9; 32]);
        let (service, catalogue) = (&self.service, Arc::new(catalogue()));
        let policies = policies(text, rego);
        service.change_policies(policies, catalogue, digest, vocabulary, "change").await.unwrap();
    }

    pub(crate) fn pass(&self, ms: i64) {
        self.clock.set(self.service.now().plus_ms(ms));
    }

    pub(crate) async fn does(&self, who: &str, tool: &str) -> Decision {
        self.does_by(who, tool, "t1", Method::ApiKey).await
    }

    pub(crate) async fn does_by(
        &self,
        who: &str,
        tool: &str,
        token: &str,
        method: Method,
    ) -> Decision {
        let proof = Authentication {
            identity: id(who),
            token: TokenId::new(token).unwrap(),
            method,
            assurance: Assurance::Low,
            at: self.service.now(),
            expires_at: None,
            task: None,
        };
        self.checks(proof, tool).await
    }

    async fn checks(&self, proof: Authentication, tool: &str) -> Decision {
        let check = Check {
            subject: Subject::Caller(proof),
            action: action(tool),
            resource: None,
            input: Value::object([("case", Value::from("/a"))]),
            asserted: None,
            session_name: None,
            pep: id("gateway:crm"),
            mode: Mode::Enforce,
            trace: None,
            parent: None,
            understood: Understood::Only(BTreeSet::new()),
            network: None,
        };
        self.service.check(check).await.unwrap().value().outcome.decision
    }

    /// A task that a user begins with an agent, and a call in it.
    pub(crate) async fn reads_for(&self, user: &str, agent: &str) {
        let proof = |who: &str| Authentication {
            identity: id(who),
            token: TokenId::new(format!("tok_{who}")).unwrap(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: self.service.now(),
            expires_at: None,
            task: None,
        };
        let handle = Digest::from_bytes([7; 32]);
        let undertaking = Undertaking {
            by: proof(user),
            agent: id(agent),
            intent: IntentName::new("work").unwrap(),
            version: None,
            parameters: BTreeMap::new(),
            prompt: None,
            on_behalf_of: None,
            narrowed: Narrowed::default(),
            handle: Some(handle),
            conversation: None,
            run_of: None,
            pep: id("gateway:crm"),
            trace: None,
        };
        let task = self.service.begin_task(undertaking).await.unwrap();
        assert_eq!(task.on_behalf_of, Some(id(user)));
        let proof = self.service.enter_task(proof(agent), &handle).unwrap();
        assert_eq!(self.checks(proof, "read").await, Decision::Permit);
    }

    /// Appends a record as if somebody else of the service had, now.
    pub(crate) fn told(&self, name: &str, body: Body) {
        let record_id = RecordId::new(name).unwrap();
        let at = self.service.now();
        let record = Record { id: record_id, at, trace: None, parent: None, body };
        let entries = vec![Entry { leaf: encode(&record).unwrap(), attachment: None }];
        let proposal = Proposal { entries, reads: Vec::new(), writes: Vec::new() };
        self.ledger.submit(proposal).unwrap();
    }

    pub(crate) async fn scan(&self) -> LookReport {
        self.scan_of(&MemoryRead(Arc::clone(&self.ledger))).await
    }

    pub(crate) async fn scan_of(&self, read: &dyn ReadModel) -> LookReport {
        let look = self.service.look(read).unwrap();
        self.service.take_look(look).await.unwrap()
    }

    /// A read model that has more new records of a kind than one look goes over: the newest one
    /// again and again.
    pub(crate) fn flooded(&self, kind: &'static str) -> Flooded {
        Flooded { read: MemoryRead(Arc::clone(&self.ledger)), kind }
    }

    /// The findings of that kind that are not closed, by what they are about.
    pub(crate) fn open(&self, kind: FindingKind) -> Vec<String> {
        let now = self.service.now();
        let fits =
            |finding: &Finding| finding.kind == kind && finding.state(now) != FindingState::Closed;
        let found = self.service.findings(fits);
        let mut about: Vec<_> = found.iter().map(|one| one.subject.to_string()).collect();
        about.sort_unstable();
        about
    }

    pub(crate) fn only(&self, kind: FindingKind) -> Finding {
        let mut all = self.service.findings(|finding| finding.kind == kind);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// How many records of that kind there are.
    pub(crate) fn recorded(&self, kind: &str) -> usize {
        let records = self.ledger.entries().into_iter().map(|entry| decode(&entry.leaf).unwrap());
        records.filter(|record| record.body.kind() == kind).count()
    }
}

/// A read model that reads the ledger from its start each time.
pub(crate) struct MemoryRead(pub(crate) Arc<MemoryLedger>);

impl MemoryRead {
    fn all(&self) -> Vec<(u64, Record, Arc<str>)> {
        let entries = (0u64..).zip(self.0.entries());
        let read = entries.map(|(sequence, entry)| {
            let text = String::from_utf8(entry.leaf.clone()).unwrap();
            (sequence, decode(&entry.leaf).unwrap(), text.into())
        });
        read.collect()
    }

    fn page(&self, fits: impl Fn(u64, &Record) -> bool, limit: usize) -> Page {
        let all = self.all();
        let read_up_to = all.len() as u64;
        let found = all.into_iter().rev().filter(|(at, record, _)| fits(*at, record));
        let records = found.take(limit).map(|(sequence, _, leaf)| ReadRecord { sequence, leaf });
        Page { records: records.collect(), read_up_to }
    }
}

impl ReadModel for MemoryRead {
    fn query(&self, query: &RecordQuery) -> Result<Page, ReadError> {
        let fits = |sequence: u64, record: &Record| {
            query.kind.as_deref().is_none_or(|kind| record.body.kind() == kind)
                && query.since.is_none_or(|since| record.at >= since)
                && query.before.is_none_or(|before| sequence < before)
        };
        Ok(self.page(fits, query.limit.min(PAGE_RECORDS_MAX)))
    }

    fn record(&self, id: &RecordId) -> Result<Page, ReadError> {
        Ok(self.page(|_, record| record.id == *id, 1))
    }

    fn from(&self, sequence: u64, limit: usize) -> Result<Page, ReadError> {
        let all = self.all();
        let read_up_to = all.len() as u64;
        let found = all.into_iter().filter(|(at, ..)| *at >= sequence).take(limit);
        let records = found.map(|(sequence, _, leaf)| ReadRecord { sequence, leaf });
        Ok(Page { records: records.collect(), read_up_to })
    }

    fn uses(&self, query: &UseQuery) -> Result<UsesPage, ReadError> {
        let mut usage = Usage::default();
        self.all().iter().for_each(|(_, record, _)| usage.take(record));
        let fits = |key: &safeconduct_review::UseKey| {
            query.principal.as_ref().is_none_or(|principal| key.principal == *principal)
                && query
                    .policy
                    .as_ref()
                    .is_none_or(|policy| key.policy.as_deref() == Some(policy.as_str()))
        };
        let rows: BTreeMap<_, _> = usage
            .rows()
            .iter()
            .filter(|(key, _)| fits(key))
            .map(|(k, u)| (k.clone(), u.clone()))
            .collect();
        Ok(UsesPage { uses: rows.into_iter().collect(), ..UsesPage::default() })
    }

    fn entities(
        &self,
        _: SeenAs,
        _: &EntityType,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<EntityId>, ReadError> {
        Ok(Vec::new())
    }

    fn read_up_to(&self) -> u64 {
        self.0.entries().len() as u64
    }

    fn grown_beyond(&self, _: u64) -> Grown<'_> {
        Grown(Box::pin(std::future::pending()))
    }

    fn checkpoint(&self) -> Result<Option<String>, ReadError> {
        Ok(None)
    }
}

/// A read model with many more new records of one kind.
pub(crate) struct Flooded {
    read: MemoryRead,
    kind: &'static str,
}

impl ReadModel for Flooded {
    fn query(&self, query: &RecordQuery) -> Result<Page, ReadError> {
        if query.kind.as_deref() != Some(self.kind) || query.limit <= 1 {
            return self.read.query(query);
        }
        let newest = self.read.query(&RecordQuery { limit: 1, ..query.clone() })?;
        let Some(newest) = newest.records.into_iter().next() else {
            return self.read.query(query);
        };
        let most = (DECISIONS_LOOKED_AT_MAX + RECORDS_LOOKED_AT_MAX) as u64;
        let before = query.before.unwrap_or(newest.sequence + most);
        let limit = query.limit.min(PAGE_RECORDS_MAX);
        let again = (newest.sequence..before).rev().take(limit);
        let records = again.map(|sequence| ReadRecord { sequence, leaf: newest.leaf.clone() });
        Ok(Page { records: records.collect(), read_up_to: before })
    }

    fn record(&self, id: &RecordId) -> Result<Page, ReadError> {
        self.read.record(id)
    }

    fn from(&self, sequence: u64, limit: usize) -> Result<Page, ReadError> {
        self.read.from(sequence, limit)
    }

    fn uses(&self, query: &UseQuery) -> Result<UsesPage, ReadError> {
        self.read.uses(query)
    }

    fn entities(
        &self,
        seen: SeenAs,
        ty: &EntityType,
        prefix: Option<&str>,
        limit: usize,
    ) -> Result<Vec<EntityId>, ReadError> {
        self.read.entities(seen, ty, prefix, limit)
    }

    fn read_up_to(&self) -> u64 {
        self.read.read_up_to()
    }

    fn grown_beyond(&self, sequence: u64) -> Grown<'_> {
        self.read.grown_beyond(sequence)
    }

    fn checkpoint(&self) -> Result<Option<String>, ReadError> {
        self.read.checkpoint()
    }
}
