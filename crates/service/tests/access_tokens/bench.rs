//! A token service over ports in memory, its clients, and an issuer of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use safeconduct_credential::jose::{KeySet, SigningKey, Thumbprint};
use safeconduct_ledger::decode;
use safeconduct_model::*;
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::Binding;
use safeconduct_service::memory::{MemoryClock, MemoryLedger};
use safeconduct_service::*;
use zeroize::Zeroizing;

pub(crate) const ISSUER: &str = "https://sts.example";
pub(crate) const CRM: &str = "https://crm.example";
pub(crate) const GATEWAY: &str = "https://sts.example/mcp/crm";
pub(crate) const NOW: i64 = 1_790_000_000_000;
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const HANDLE: &str = "urn:safeconduct:token-type:task-handle";
pub(crate) const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(crate) const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("agents") permit (principal is Safeconduct::Agent, action, resource);
@id("users") permit (principal is Safeconduct::User, action, resource);
"#;

pub(crate) fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.unwrap()
}

pub(crate) fn id(id: &str) -> IdentityId {
    name(IdentityId::new(id))
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + ms)
}

pub(crate) fn catalogue() -> Catalogue {
    let entry = |(server, tool): (&str, &str)| ActionEntry {
        name: name(ActionName::new(format!("{server}.{tool}"))),
        server: Some(name(ServerName::new(server))),
        tier: Tier::Low,
        effect: Effect::Write,
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
        keep_arguments: false,
        keep_result: false,
    };
    let entries = [("crm", "read"), ("crm", "write"), ("mail", "send")].map(entry);
    Catalogue {
        actions: entries.into_iter().map(|e| (e.name.clone(), e)).collect(),
        ..Catalogue::default()
    }
}

/// Its policies are read once: many tests make many worlds.
pub(crate) fn world() -> World {
    static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
    WORLD.get_or_init(new_world).clone()
}

fn new_world() -> World {
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", POLICIES)],
        servers: vec![name(ServerName::new("crm")), name(ServerName::new("mail"))],
        actions: catalogue().actions.into_values().map(|e| (e.name, e.server)).collect(),
        ..Sources::default()
    };
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let policies = Arc::new(load(&sources).unwrap().policies);
    World::new(policies, Arc::new(catalogue()), Digest::from_bytes([9; 32]), vocabulary)
}

pub(crate) fn intents() -> Intents {
    let allowance = |action: &str| Allowance {
        action: name(ActionName::new(action)),
        resources: Vec::new(),
        arguments: Vec::new(),
        others: OtherArguments::Allowed,
    };
    let intent = Intent {
        name: name(IntentName::new("work")),
        version: 1,
        description: "A test's.".into(),
        parameters: BTreeMap::new(),
        envelope: ["crm.read", "crm.write", "mail.send"].map(allowance).into(),
        budget: Budget {
            calls: 1000,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        },
        on_behalf_of: OnBehalfOf::Optional,
        longest_s: 900,
        idle_s: 900,
        tier_max: Tier::High,
        delegation_depth: 3,
        credentials: BTreeMap::new(),
        schedules: BTreeMap::new(),
        undertakers: Undertakers {
            kinds: BTreeSet::from([IdentityKind::Agent]),
            ..Undertakers::default()
        },
    };
    let versions = BTreeMap::from([(intent.name.clone(), BTreeMap::from([(1, intent)]))]);
    Intents { versions, digest: Digest::from_bytes([5; 32]) }
}

/// Keys in memory.
#[derive(Default)]
pub(crate) struct Keys(Mutex<Vec<(Algorithm, Timestamp)>>);

impl TokenKeys for Keys {
    fn all(&self) -> Result<Vec<StoredKey>, TokenKeysError> {
        let secret = |made_at: Timestamp| {
            let mut secret = [1; 32];
            secret[..8].copy_from_slice(&made_at.as_millis().to_be_bytes());
            Zeroizing::new(secret)
        };
        let all = self.0.lock().unwrap();
        let key = |(algorithm, made_at): &(Algorithm, Timestamp)| StoredKey {
            algorithm: *algorithm,
            made_at: *made_at,
            secret: secret(*made_at),
        };
        Ok(all.iter().map(key).collect())
    }

    fn make(&self, algorithm: Algorithm, at: Timestamp) -> Result<(), TokenKeysError> {
        self.0.lock().unwrap().push((algorithm, at));
        Ok(())
    }

    fn remove(&self, algorithm: Algorithm, made_at: Timestamp) -> Result<(), TokenKeysError> {
        self.0.lock().unwrap().retain(|key| *key != (algorithm, made_at));
        Ok(())
    }

    fn random(&self) -> Result<Zeroizing<[u8; 32]>, TokenKeysError> {
        Ok(Zeroizing::new([3; 32]))
    }
}

/// Believes every token of `https://idp.example`, of whoever it names.
pub(crate) struct Idp;

impl Prover for Idp {
    fn prove<'a>(
        &'a self,
        presented: Vouched<'a>,
        now: Timestamp,
    ) -> Awaited<'a, Result<Vouch, Unproved>> {
        Awaited::of(async move {
            let Vouched::Jwt { token, .. } = presented else { return Err(Unproved("x".into())) };
            let said = safeconduct_credential::jose::peek(token).unwrap();
            if said.issuer.as_deref() != Some("https://idp.example") {
                return Err(Unproved("another issuer".into()));
            }
            Ok(Vouch {
                identity: id(&said.subject.unwrap()),
                token: name(TokenId::new("jwt:idp")),
                method: Method::Oidc,
                assurance: Assurance::Substantial,
                at: now,
                expires_at: at(120_000),
                may_speak_for_users: true,
                generation: 1,
            })
        })
    }

    fn vouching(&self, _: &TokenId) -> Option<u64> {
        Some(1)
    }
}

pub(crate) struct Bench {
    pub(crate) service: Arc<Service>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) clock: Arc<MemoryClock>,
    pub(crate) keys: Arc<Keys>,
}

pub(crate) fn key(n: u8) -> SigningKey {
    SigningKey::from_secret(Algorithm::Es256, &[n; 32]).unwrap()
}

pub(crate) fn settings() -> TokenServiceSettings {
    let registered = |key: &SigningKey| RegisteredClient {
        keys: KeySet::of([key.public().clone()]).unwrap(),
        certificates: BTreeSet::from([Thumbprint::of(b"leaf")]),
        intent: None,
    };
    let servers = |server| Some(BTreeSet::from([name(ServerName::new(server))]));
    let crm = ProtectedBy {
        servers: servers("crm"),
        readers: BTreeSet::from([id("crm-api")]),
        ..ProtectedBy::default()
    };
    let ed = ProtectedBy { algorithm: Some(Algorithm::EdDsa), ..ProtectedBy::default() };
    let bound = ProtectedBy { binding: Binding::Needed, ..ProtectedBy::default() };
    TokenServiceSettings {
        issuer: ISSUER.into(),
        ttl_s: 300,
        algorithm: Algorithm::Es256,
        dpop_nonce: DpopNonce::NotNeeded,
        client_certificates: ClientCertificatesTaken::Yes,
        rotate_every_s: 86_400,
        clients: BTreeMap::from([
            (id("agent"), registered(&key(7))),
            (id("helper"), registered(&key(8))),
            (id("crm-api"), registered(&key(9))),
        ]),
        resources: BTreeMap::from([
            (CRM.into(), crm.clone()),
            (GATEWAY.into(), crm),
            ("https://all.example".into(), ed),
            ("https://bound.example".into(), bound),
            (ISSUER.into(), ProtectedBy::default()),
        ]),
    }
}

pub(crate) async fn bench() -> Bench {
    let (ports, ledger, clock) = memory::ports();
    bench_over(ports, ledger, clock).await
}

pub(crate) async fn bench_over(
    ports: Ports,
    ledger: Arc<MemoryLedger>,
    clock: Arc<MemoryClock>,
) -> Bench {
    clock.set(at(0));
    let service = Arc::new(Service::new(ports, Settings::default(), world()));
    for (of, kind) in [
        ("agent", IdentityKind::Agent),
        ("helper", IdentityKind::Agent),
        ("ada", IdentityKind::User),
        ("crm-api", IdentityKind::Workload),
    ] {
        service.change_identity(identity(of, kind), &id("ada")).await.unwrap();
    }
    service.change_intents(Arc::new(intents())).await.unwrap();
    service.set_prover(Some(Arc::new(Idp)));
    let keys = Arc::new(Keys::default());
    service.open_token_service(settings(), Arc::clone(&keys) as _).unwrap();
    Bench { service, ledger, clock, keys }
}

pub(crate) fn identity(of: &str, kind: IdentityKind) -> Identity {
    Identity {
        id: id(of),
        kind,
        status: IdentityStatus::Active,
        owner: Some(id("ada")),
        sponsor: None,
        imported: None,
        fallback_owner: Some(id("bob")),
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::new(),
    }
}

pub(crate) fn proof(of: &str) -> Authentication {
    Authentication {
        identity: id(of),
        token: name(TokenId::new(format!("tok_{of}"))),
        method: Method::ApiKey,
        assurance: Assurance::Low,
        at: at(0),
        expires_at: None,
        task: None,
    }
}

/// The handle of the task of that number, and what recognises it.
pub(crate) fn handle(n: usize) -> (String, Digest) {
    let text = format!("sct_{n:043}");
    let digest = token_digest(&text);
    (text, digest)
}

pub(crate) fn seconds(at: Timestamp) -> Value {
    Value::Integer(at.as_millis() / 1000)
}

pub(crate) static JTI: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn jti() -> Value {
    Value::from(format!("jti-{}", JTI.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn assertion(
    client: &str,
    by: &SigningKey,
    now: Timestamp,
    more: &[(&str, Value)],
) -> String {
    let mut claims = vec![
        ("iss", Value::from(client)),
        ("sub", Value::from(client)),
        ("aud", Value::from(ISSUER)),
        ("iat", seconds(now)),
        ("exp", seconds(now.plus_ms(60_000))),
        ("jti", jti()),
    ];
    claims.extend(more.iter().cloned());
    by.sign("JWT", &Value::object(claims)).unwrap()
}

pub(crate) fn encoded(pairs: &[(&str, &str)]) -> Vec<u8> {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|b| match b.is_ascii_alphanumeric() {
                true => char::from(b).to_string(),
                false => format!("%{b:02X}"),
            })
            .collect()
    };
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| format!("{}={}", escape(n), escape(v))).collect();
    pairs.join("&").into_bytes()
}

/// What a client holds.
#[derive(Clone, Default)]
pub(crate) struct Holding {
    pub(crate) dpop: Option<u8>,
    pub(crate) certificate: Option<&'static [u8]>,
}

impl Bench {
    pub(crate) fn now(&self) -> Timestamp {
        self.service.now()
    }

    pub(crate) async fn begin(&self, n: usize) -> Arc<Task> {
        self.begin_by(proof("ada"), "agent", n).await
    }

    pub(crate) async fn begin_by(&self, by: Authentication, agent: &str, n: usize) -> Arc<Task> {
        let undertaking = Undertaking {
            by,
            agent: id(agent),
            intent: name(IntentName::new("work")),
            version: None,
            parameters: BTreeMap::new(),
            prompt: None,
            on_behalf_of: None,
            narrowed: Narrowed {
                budget: Some(Budget {
                    calls: 10,
                    ..intents().iter().next().unwrap().budget.clone()
                }),
                ..Narrowed::default()
            },
            handle: Some(handle(n).1),
            conversation: None,
            run_of: None,
            pep: id("gateway"),
            trace: None,
        };
        self.service.begin_task(undertaking).await.unwrap()
    }

    pub(crate) fn dpop(&self, key_of: u8, path: &str, token: Option<&str>) -> String {
        let mut claims = vec![
            ("htm", Value::from("POST")),
            ("htu", Value::from(format!("{ISSUER}{path}"))),
            ("iat", seconds(self.now())),
            ("jti", jti()),
        ];
        let hash = |token: &str| Value::from(Thumbprint::of(token.as_bytes()).to_string());
        claims.extend(token.map(|token| ("ath", hash(token))));
        key(key_of).sign_dpop(&Value::object(claims)).unwrap()
    }

    pub(crate) async fn ask(
        &self,
        client: Option<(&str, u8)>,
        holding: &Holding,
        parameters: &[(&str, &str)],
    ) -> Result<Issued, FaultCode> {
        let signed = client.map(|(client, by)| assertion(client, &key(by), self.now(), &[]));
        let mut pairs = parameters.to_vec();
        if let Some(signed) = &signed {
            pairs.push(("client_assertion", signed));
            pairs.push(("client_assertion_type", JWT_ASSERTION));
        }
        let form = Form::parse(&encoded(&pairs)).map_err(|fault| fault.code)?;
        let dpop = holding.dpop.map(|key| self.dpop(key, "/oauth/token", None));
        let certificates =
            holding.certificate.and_then(|leaf| ClientCertificates::new([leaf.to_vec()]));
        let request = ClientRequest {
            authorization: &[],
            dpop: &dpop.iter().map(String::as_str).collect::<Vec<_>>(),
            method: "POST",
            path: "/oauth/token",
            peer: certificates.as_ref(),
        };
        let fresh = handle(1000 + JTI.fetch_add(1, Ordering::Relaxed)).1;
        let issued = self.service.issue_access_token(&request, &form, fresh, None).await;
        issued.map_err(|fault| fault.code)
    }

    pub(crate) async fn of_handle(&self, n: usize, resource: &str) -> Result<Issued, FaultCode> {
        self.of_handle_with(n, resource, &[], &Holding::default()).await
    }

    pub(crate) async fn of_handle_with(
        &self,
        n: usize,
        resource: &str,
        more: &[(&str, &str)],
        holding: &Holding,
    ) -> Result<Issued, FaultCode> {
        let handle = handle(n).0;
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", handle.as_str()),
            ("subject_token_type", HANDLE),
            ("resource", resource),
        ];
        pairs.extend(more);
        self.ask(Some(("agent", 7)), holding, &pairs).await
    }

    pub(crate) async fn of_token(
        &self,
        token: &str,
        resource: &str,
        more: &[(&str, &str)],
    ) -> Result<Issued, FaultCode> {
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", ACCESS),
            ("resource", resource),
        ];
        pairs.extend(more);
        self.ask(Some(("agent", 7)), &Holding::default(), &pairs).await
    }

    pub(crate) async fn present(
        &self,
        header: &str,
        path: &str,
        dpop: &[&str],
        certificate: Option<&[u8]>,
    ) -> Result<Authentication, NotAuthenticated> {
        let peer = certificate.and_then(|leaf| ClientCertificates::new([leaf.to_vec()]));
        let request = ClientRequest {
            authorization: &[header],
            dpop,
            method: "POST",
            path,
            peer: peer.as_ref(),
        };
        self.service.authenticate_request(&request).await
    }

    pub(crate) async fn bearer(&self, token: &Issued) -> Result<Authentication, NotAuthenticated> {
        self.present(&format!("Bearer {}", token.text), "/mcp/crm", &[], None).await
    }

    pub(crate) async fn introspect(&self, by: (&str, u8), token: &str) -> Value {
        let signed = assertion(by.0, &key(by.1), self.now(), &[]);
        let form = encoded(&[
            ("token", token),
            ("client_assertion", &signed),
            ("client_assertion_type", JWT_ASSERTION),
        ]);
        let request = ClientRequest {
            authorization: &[],
            dpop: &[],
            method: "POST",
            path: "/oauth/introspect",
            peer: None,
        };
        let form = Form::parse(&form).unwrap();
        self.service.introspect(&request, &form).await.unwrap()
    }

    pub(crate) async fn withdraw(&self, by: (&str, u8), token: &str) -> Result<(), FaultCode> {
        let signed = assertion(by.0, &key(by.1), self.now(), &[]);
        let form = encoded(&[
            ("token", token),
            ("client_assertion", &signed),
            ("client_assertion_type", JWT_ASSERTION),
        ]);
        let request = ClientRequest {
            authorization: &[],
            dpop: &[],
            method: "POST",
            path: "/oauth/revoke",
            peer: None,
        };
        let form = Form::parse(&form).unwrap();
        self.service.withdraw(&request, &form).await.map_err(|fault| fault.code)
    }

    pub(crate) async fn end(&self, task: &TaskId) {
        let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
        self.service.end_task(task, ending).await.unwrap();
    }

    pub(crate) fn bodies(&self) -> Vec<Body> {
        self.ledger.entries().iter().map(|entry| decode(&entry.leaf).unwrap().body).collect()
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.bodies().iter().filter(|body| body.kind() == kind).count()
    }

    pub(crate) async fn call(&self, by: Authentication, action: &str) -> Vec<&'static str> {
        let check = Check {
            subject: Subject::Caller(by),
            action: name(ActionName::new(action)),
            resource: None,
            input: Value::object([("a", Value::from("b"))]),
            asserted: None,
            session_name: None,
            pep: id("gateway"),
            mode: Mode::Enforce,
            trace: None,
            parent: None,
            understood: Understood::Only(BTreeSet::new()),
            network: None,
        };
        let outcome = self.service.check(check).await.unwrap().into_value().outcome;
        match outcome.decision {
            Decision::Permit => Vec::new(),
            Decision::Deny => outcome.reasons.iter().map(Reason::code).collect(),
        }
    }
}

pub(crate) fn refusal(refused: Result<Authentication, NotAuthenticated>) -> TokenRefused {
    match refused {
        Err(NotAuthenticated::Token(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn inactive() -> Value {
    Value::object([("active", Value::Bool(false))])
}
