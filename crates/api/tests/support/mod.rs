//! A decision point over a real store in a temporary folder, its API, and callers of every kind.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use safeconduct_api::{
    Api, ApiConfig, Bearer, Controls, Hosts, PolicyStatus, ReloadError, Reloading, TransportWord,
    UpstreamState, UpstreamView, new_token_id,
};
use safeconduct_ledger::Origin;
use safeconduct_model::*;
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::memory::{MemoryClock, MemoryIds, MemoryLedger};
use safeconduct_service::{Ledger, Ports, ReadModel, Service, Settings, Vocabulary, World};
use safeconduct_store::{Store, StoreOptions, Vault};
use safeconduct_wire::document::{Word, Written};
use serde_json::Value as Json;
use tower::ServiceExt as _;

pub(crate) const SCHEMA: &str = r#"
namespace Safeconduct {
  entity user in [Group] { role?: String, department?: String };
  entity record { status?: String, owner?: String };
  action "read", "write" appliesTo { principal: [user, Workload], resource: [record], context: {} };
  action "delete" appliesTo {
    principal: [user, Workload], resource: [record], context: { input: { soft: Bool } }
  };
}
"#;

pub(crate) const POLICIES: &str = r#"
@id("alice")
permit (
  principal == Safeconduct::user::"alice",
  action in [Safeconduct::Action::"read", Safeconduct::Action::"write"],
  resource
);
@id("bob_reads")
permit (principal == Safeconduct::user::"bob", action == Safeconduct::Action::"read", resource);
@id("admins_write") @obligation("redact:$.ssn")
permit (principal is Safeconduct::user, action == Safeconduct::Action::"write", resource)
when { principal has role && principal.role == "admin" };
@id("archived") @message("archived records are not written")
@requestable("approvers=resource.owner; quorum=1; ttl=15m")
forbid (principal is Safeconduct::user, action == Safeconduct::Action::"write", resource)
when { resource has status && resource.status == "archived" }
unless { principal has role && principal.role == "admin" || context has approval };
@id("soft")
permit (principal is Safeconduct::user, action == Safeconduct::Action::"delete", resource)
when { context.input.soft };
@id("workloads_read")
permit (principal is Safeconduct::Workload, action == Safeconduct::Action::"read", resource);
"#;

/// Callers, each with a token.
pub(crate) const PEP: &str = "pep";
pub(crate) const STRANGER_PEP: &str = "other-pep";
pub(crate) const NOBODY: &str = "nobody";
pub(crate) const AUDITOR: &str = "auditor";
pub(crate) const OPERATOR: &str = "operator";
pub(crate) const ADMINISTRATOR: &str = "administrator";
pub(crate) const AGENT: &str = "agent";

pub(crate) struct Fixture {
    pub(crate) service: Arc<Service>,
    pub(crate) router: Router,
    pub(crate) api: Api,
    pub(crate) clock: Arc<MemoryClock>,
    pub(crate) read: Arc<dyn ReadModel>,
    pub(crate) controls: Arc<TestControls>,
    /// The tokens in the clear, by identity.
    pub(crate) tokens: BTreeMap<&'static str, String>,
    pub(crate) memory: Option<Arc<MemoryLedger>>,
    _folder: Option<tempfile::TempDir>,
}

pub(crate) fn world() -> World {
    let name = |text: &str| ActionName::new(text).unwrap();
    let actions: BTreeMap<_, _> =
        ["read", "write", "delete"].map(|text| (name(text), entry(text))).into();
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", POLICIES)],
        schemas: vec![SourceFile::new("s.cedarschema", SCHEMA)],
        ..Sources::default()
    };
    let policies = Arc::new(load(&sources).unwrap().policies);
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    World::new(
        policies,
        Arc::new(Catalogue { actions, ..Catalogue::default() }),
        Digest::from_bytes([9; 32]),
        vocabulary,
    )
}

fn entry(text: &str) -> ActionEntry {
    ActionEntry {
        name: ActionName::new(text).unwrap(),
        server: None,
        tier: Tier::Low,
        effect: Effect::Read,
        guessed: false,
        returns: safeconduct_model::Returns::uniform(safeconduct_model::Label {
            integrity: Integrity::Trusted,
            confidentiality: Confidentiality::Internal,
            ..safeconduct_model::Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: None,
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: true,
        keep_result: true,
    }
}

pub(crate) fn identity(id: &str, kind: IdentityKind, roles: &[Role]) -> Identity {
    let owner = (kind != IdentityKind::User).then(|| IdentityId::new("administrator").unwrap());
    Identity {
        id: IdentityId::new(id).unwrap(),
        kind,
        status: IdentityStatus::Active,
        owner: owner.clone(),
        sponsor: None,
        imported: None,
        fallback_owner: owner,
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: roles.iter().copied().collect(),
    }
}

pub(crate) fn pep(id: &str) -> Identity {
    let ty = |text: &str| EntityType::new(text).unwrap();
    Identity {
        pep: Some(PepRegistration {
            subjects: [ty("Safeconduct::user")].into(),
            resources: [ty("Safeconduct::record")].into(),
            properties: true,
            label_at: Default::default(),
        }),
        ..identity(id, IdentityKind::Workload, &[])
    }
}

/// Everyone who calls.
pub(crate) fn everyone() -> Vec<(&'static str, Identity)> {
    vec![
        (ADMINISTRATOR, identity(ADMINISTRATOR, IdentityKind::User, &[Role::Administrator])),
        (OPERATOR, identity(OPERATOR, IdentityKind::User, &[Role::Operator])),
        (AUDITOR, identity(AUDITOR, IdentityKind::User, &[Role::Auditor])),
        (NOBODY, identity(NOBODY, IdentityKind::User, &[])),
        (PEP, pep(PEP)),
        (STRANGER_PEP, pep(STRANGER_PEP)),
        (AGENT, identity(AGENT, IdentityKind::Agent, &[Role::Administrator])),
    ]
}

pub(crate) struct TestControls {
    pub(crate) status: Mutex<PolicyStatus>,
    pub(crate) refuse: Mutex<Option<ReloadError>>,
}

impl Controls for TestControls {
    fn policies(&self) -> PolicyStatus {
        self.status.lock().unwrap().clone()
    }

    fn reload<'a>(&'a self, _: &'a IdentityId) -> Reloading<'a> {
        let answer = match self.refuse.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(self.policies()),
        };
        Reloading(Box::pin(std::future::ready(answer)))
    }

    fn upstreams(&self) -> Vec<UpstreamView> {
        vec![UpstreamView {
            name: Written(ServerName::new("files").unwrap()),
            transport: TransportWord::Stdio,
            mode: Word(Mode::Enforce),
            state: UpstreamState::Failed,
            problem: Some("it ended with code 1".into()),
        }]
    }
}

impl Fixture {
    /// Over a real store.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, keys) = (folder.path().join("data"), folder.path().join("keys"));
        let origin = Origin::new("example.com/ledger").unwrap();
        let mut options = StoreOptions::new(data, keys.clone(), origin);
        options.segment_bytes = 1024 * 1024;
        options.publish_every = Duration::from_millis(5);
        let store = Arc::new(Store::open(options).unwrap());
        let read = Arc::new(store.read_model());
        let ledger: Arc<dyn Ledger> = store;
        let clock = Arc::new(MemoryClock::default());
        let ports = Ports {
            ledger,
            vault: Arc::new(Vault::open(&keys).unwrap()),
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(MemoryIds::default()),
        };
        Self::over(ports, world(), read, clock, None, Some(folder)).await
    }

    /// Over a ledger in memory, of a world that has tasks, with those who begin them.
    pub(crate) async fn with_tasks(world: World, intents: Intents, more: Vec<Identity>) -> Self {
        let (ports, ledger, clock) = safeconduct_service::memory::ports();
        let read = Arc::new(NothingRead);
        let mut fixture = Self::over(ports, world, read, clock, Some(ledger), None).await;
        let by = IdentityId::new("test").unwrap();
        for identity in more {
            let id: &'static str = identity.id.to_string().leak();
            fixture.service.change_identity(identity, &by).await.unwrap();
            fixture.tokens.insert(id, issue(&fixture.service, id).await);
        }
        fixture.service.change_intents(Arc::new(intents)).await.unwrap();
        fixture
    }

    /// Over a ledger in memory, that a test can make fail.
    pub(crate) async fn in_memory() -> Self {
        let (ports, ledger, clock) = safeconduct_service::memory::ports();
        let read = Arc::new(NothingRead);
        Self::over(ports, world(), read, clock, Some(ledger), None).await
    }

    async fn over(
        ports: Ports,
        world: World,
        read: Arc<dyn ReadModel>,
        clock: Arc<MemoryClock>,
        memory: Option<Arc<MemoryLedger>>,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        clock.set(Timestamp::from_millis(1_700_000_000_000));
        let service = Arc::new(Service::new(ports, Settings::default(), world));
        let by = IdentityId::new("test").unwrap();
        let mut tokens = BTreeMap::new();
        for (id, identity) in everyone() {
            service.change_identity(identity, &by).await.unwrap();
            tokens.insert(id, issue(&service, id).await);
        }
        let status = PolicyStatus { loaded_at: Some(service.now()), refused: None };
        let controls =
            Arc::new(TestControls { status: Mutex::new(status), refuse: Mutex::new(None) });
        let config = ApiConfig {
            base_url: "http://localhost:8080".into(),
            hosts: Hosts::Only(BTreeSet::new()),
            origins: BTreeSet::new(),
        };
        let shared = Arc::clone(&controls) as Arc<dyn Controls>;
        let api = Api::new(Arc::clone(&service), Arc::clone(&read), shared, &config).unwrap();
        api.lead_to_pages("http://localhost:8080".into());
        let router = api.router();
        Self { service, router, api, clock, read, controls, tokens, memory, _folder: folder }
    }

    /// Opens a token service whose tokens are for itself.
    pub(crate) fn open_token_service(&self) {
        use safeconduct_service::*;
        let settings = TokenServiceSettings {
            issuer: "https://sts.example".into(),
            ttl_s: 300,
            algorithm: Algorithm::Es256,
            dpop_nonce: DpopNonce::NotNeeded,
            client_certificates: ClientCertificatesTaken::No,
            rotate_every_s: 86_400,
            clients: BTreeMap::new(),
            resources: BTreeMap::from([("https://sts.example".into(), ProtectedBy::default())]),
        };
        let keys = Arc::new(memory::MemoryTokenKeys::default());
        self.service.open_token_service(settings, keys).unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A request of that caller.
    pub(crate) fn request(
        &self,
        who: &str,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(token) = self.tokens.get(who) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        request.body(body).unwrap()
    }

    pub(crate) async fn get(&self, who: &str, path: &str) -> Answer {
        self.send(self.request(who, Method::GET, path, None)).await
    }

    pub(crate) async fn post(&self, who: &str, path: &str, body: &Json) -> Answer {
        self.send(self.request(who, Method::POST, path, Some(body))).await
    }

    /// A request of that caller in the task of that handle.
    pub(crate) async fn post_in(&self, who: &str, handle: &str, path: &str, body: &Json) -> Answer {
        let mut request = self.request(who, Method::POST, path, Some(body));
        request.headers_mut().insert("safeconduct-task", handle.parse().unwrap());
        self.send(request).await
    }

    /// Waits until the read model has read all that was appended before.
    pub(crate) async fn caught_up(&self, beyond: u64) {
        while self.read.read_up_to() <= beyond {
            self.read.grown_beyond(beyond).await;
        }
    }
}

/// Registers a token of that identity.
pub(crate) async fn issue(service: &Service, id: &str) -> String {
    let bearer = Bearer::generate().unwrap();
    let token = Token {
        id: new_token_id(),
        identity: IdentityId::new(id).unwrap(),
        digest: bearer.digest(),
        issued_at: service.now(),
        expires_at: service.now().plus_ms(3_600_000),
        revoked: false,
    };
    service.register_token(token, &IdentityId::new("test").unwrap()).await.unwrap();
    bearer.reveal().to_owned()
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A read model that has read nothing.
struct NothingRead;

impl ReadModel for NothingRead {
    fn query(
        &self,
        _: &safeconduct_service::RecordQuery,
    ) -> Result<safeconduct_service::Page, safeconduct_service::ReadError> {
        Err(safeconduct_service::ReadError("it is gone".into()))
    }

    fn record(
        &self,
        _: &RecordId,
    ) -> Result<safeconduct_service::Page, safeconduct_service::ReadError> {
        Err(safeconduct_service::ReadError("it is gone".into()))
    }

    fn from(
        &self,
        _: u64,
        _: usize,
    ) -> Result<safeconduct_service::Page, safeconduct_service::ReadError> {
        Err(safeconduct_service::ReadError("it is gone".into()))
    }

    fn uses(
        &self,
        _: &safeconduct_service::UseQuery,
    ) -> Result<safeconduct_service::UsesPage, safeconduct_service::ReadError> {
        Ok(safeconduct_service::UsesPage::default())
    }

    fn entities(
        &self,
        _: safeconduct_service::SeenAs,
        _: &EntityType,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<EntityId>, safeconduct_service::ReadError> {
        Ok(Vec::new())
    }

    fn read_up_to(&self) -> u64 {
        0
    }

    fn grown_beyond(&self, _: u64) -> safeconduct_service::Grown<'_> {
        safeconduct_service::Grown(Box::pin(std::future::pending()))
    }

    fn checkpoint(&self) -> Result<Option<String>, safeconduct_service::ReadError> {
        Ok(None)
    }
}
