//! Access tokens: born by record for a task, bound to who holds them, and gone with the task.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use safeconduct_credential::jose::{KeySet, SigningKey, Thumbprint};
use safeconduct_ledger::decode;
use safeconduct_model::*;
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::memory::{MemoryClock, MemoryIds, MemoryLedger, MemoryVault};
use safeconduct_service::*;
use zeroize::Zeroizing;

const ISSUER: &str = "https://sts.example";
const CRM: &str = "https://crm.example";
const GATEWAY: &str = "https://sts.example/mcp/crm";
const NOW: i64 = 1_790_000_000_000;
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const HANDLE: &str = "urn:safeconduct:token-type:task-handle";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("agents") permit (principal is Safeconduct::Agent, action, resource);
@id("users") permit (principal is Safeconduct::User, action, resource);
"#;

fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.unwrap()
}

fn id(id: &str) -> IdentityId {
    name(IdentityId::new(id))
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW + ms)
}

fn catalogue() -> Catalogue {
    let entry = |(server, tool): (&str, &str)| ActionEntry {
        name: name(ActionName::new(format!("{server}.{tool}"))),
        server: Some(name(ServerName::new(server))),
        tier: Tier::Low,
        effect: Effect::Write,
        guessed: false,
        integrity: Integrity::Trusted,
        confidentiality: Confidentiality::Internal,
        resources: Vec::new(),
        definition: None,
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    };
    let entries = [("crm", "read"), ("crm", "write"), ("mail", "send")].map(entry);
    Catalogue { actions: entries.into_iter().map(|e| (e.name.clone(), e)).collect() }
}

fn world() -> World {
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

fn intents() -> Intents {
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
struct Keys(Mutex<Vec<(Algorithm, Timestamp)>>);

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
struct Idp;

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

struct Bench {
    service: Arc<Service>,
    ledger: Arc<MemoryLedger>,
    clock: Arc<MemoryClock>,
    keys: Arc<Keys>,
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_secret(Algorithm::Es256, &[n; 32]).unwrap()
}

fn settings() -> TokenServiceSettings {
    let registered = |key: &SigningKey| RegisteredClient {
        keys: KeySet::of([key.public().clone()]).unwrap(),
        certificates: BTreeSet::from([Thumbprint::of(b"leaf")]),
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

async fn bench() -> Bench {
    let (ports, ledger, clock) = memory::ports();
    bench_over(ports, ledger, clock).await
}

async fn bench_over(ports: Ports, ledger: Arc<MemoryLedger>, clock: Arc<MemoryClock>) -> Bench {
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
    service.set_prover(Arc::new(Idp));
    let keys = Arc::new(Keys::default());
    service.open_token_service(settings(), Arc::clone(&keys) as _).unwrap();
    Bench { service, ledger, clock, keys }
}

fn identity(of: &str, kind: IdentityKind) -> Identity {
    Identity {
        id: id(of),
        kind,
        status: IdentityStatus::Active,
        owner: Some(id("ada")),
        fallback_owner: Some(id("bob")),
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::new(),
    }
}

fn proof(of: &str) -> Authentication {
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
fn handle(n: usize) -> (String, Digest) {
    let text = format!("sct_{n:043}");
    let digest = token_digest(&text);
    (text, digest)
}

fn seconds(at: Timestamp) -> Value {
    Value::Integer(at.as_millis() / 1000)
}

static JTI: AtomicUsize = AtomicUsize::new(0);

fn jti() -> Value {
    Value::from(format!("jti-{}", JTI.fetch_add(1, Ordering::Relaxed)))
}

fn assertion(client: &str, by: &SigningKey, now: Timestamp, more: &[(&str, Value)]) -> String {
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

fn encoded(pairs: &[(&str, &str)]) -> Vec<u8> {
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
struct Holding {
    dpop: Option<u8>,
    certificate: Option<&'static [u8]>,
}

impl Bench {
    fn now(&self) -> Timestamp {
        self.service.now()
    }

    async fn begin(&self, n: usize) -> Arc<Task> {
        self.begin_by(proof("ada"), "agent", n).await
    }

    async fn begin_by(&self, by: Authentication, agent: &str, n: usize) -> Arc<Task> {
        let undertaking = Undertaking {
            by,
            agent: id(agent),
            intent: name(IntentName::new("work")),
            version: None,
            parameters: BTreeMap::new(),
            on_behalf_of: None,
            narrowed: Narrowed {
                budget: Some(Budget {
                    calls: 10,
                    ..intents().iter().next().unwrap().budget.clone()
                }),
                ..Narrowed::default()
            },
            handle: Some(handle(n).1),
            pep: id("gateway"),
            trace: None,
        };
        self.service.begin_task(undertaking).await.unwrap()
    }

    fn dpop(&self, key_of: u8, path: &str, token: Option<&str>) -> String {
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

    async fn ask(
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
        issued.map_err(|fault| {
            eprintln!("{fault}");
            fault.code
        })
    }

    async fn of_handle(&self, n: usize, resource: &str) -> Result<Issued, FaultCode> {
        self.of_handle_with(n, resource, &[], &Holding::default()).await
    }

    async fn of_handle_with(
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

    async fn of_token(
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

    async fn present(
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

    async fn bearer(&self, token: &Issued) -> Result<Authentication, NotAuthenticated> {
        self.present(&format!("Bearer {}", token.text), "/mcp/crm", &[], None).await
    }

    async fn introspect(&self, by: (&str, u8), token: &str) -> Value {
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

    async fn withdraw(&self, by: (&str, u8), token: &str) -> Result<(), FaultCode> {
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

    async fn end(&self, task: &TaskId) {
        let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
        self.service.end_task(task, ending).await.unwrap();
    }

    fn bodies(&self) -> Vec<Body> {
        self.ledger.entries().iter().map(|entry| decode(&entry.leaf).unwrap().body).collect()
    }

    fn count(&self, kind: &str) -> usize {
        self.bodies().iter().filter(|body| body.kind() == kind).count()
    }

    async fn call(&self, by: Authentication, action: &str) -> Vec<&'static str> {
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
        };
        let outcome = self.service.check(check).await.unwrap().into_value().outcome;
        match outcome.decision {
            Decision::Permit => Vec::new(),
            Decision::Deny => outcome.reasons.iter().map(Reason::code).collect(),
        }
    }
}

fn refusal(refused: Result<Authentication, NotAuthenticated>) -> TokenRefused {
    match refused {
        Err(NotAuthenticated::Token(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

fn inactive() -> Value {
    Value::object([("active", Value::Bool(false))])
}

#[tokio::test]
async fn a_token_is_born_by_record_and_lets_its_agent_act_in_its_task() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let token = bench.of_handle(1, GATEWAY).await.unwrap();
    assert_eq!(token.expires_in_s(), 300);
    assert!(bench.bodies().iter().any(|body| matches!(
        body, Body::TokenMinted(minted) if minted.id == token.token.id && minted.task == task.id
    )));
    let by = bench.bearer(&token).await.unwrap();
    assert_eq!((by.method, by.identity.as_str()), (Method::AccessToken, "agent"));
    assert_eq!(by.task.as_ref().unwrap().id, task.id);
    assert_eq!(bench.call(by.clone(), "crm.read").await, Vec::<&str>::new());
    // The resource is the CRM; the task's mail is not.
    assert_eq!(bench.call(by, "mail.send").await, ["outside_intent"]);
    let actions: Vec<_> = token.token.allowances.iter().map(|a| a.action.as_str()).collect();
    assert_eq!(actions, ["crm.read", "crm.write"]);
}

#[tokio::test]
async fn pitfall_10_nobody_takes_anothers_place() {
    let bench = bench().await;
    bench.begin(1).await;
    let token = bench.of_handle(1, CRM).await.unwrap();
    // For a user: the user is the subject, the agent acts.
    assert_eq!(token.token.subject, id("ada"));
    assert_eq!(token.token.actors, [id("agent")]);
    // A task that the agent began for nobody: it is the subject, and nobody else acts.
    bench.begin_by(proof("agent"), "agent", 2).await;
    let own = bench.of_handle(2, CRM).await.unwrap();
    assert_eq!((own.token.subject, own.token.actors), (id("agent"), vec![]));
    // A delegated one: whoever delegated stands in the chain, outwards.
    let parent = bench.service.enter_task(proof("agent"), &handle(1).1).unwrap();
    bench.begin_by(parent, "helper", 3).await;
    let handle = handle(3).0;
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token", handle.as_str()),
        ("subject_token_type", HANDLE),
        ("resource", CRM),
    ];
    let childs = bench.ask(Some(("helper", 8)), &Holding::default(), &pairs).await.unwrap();
    assert_eq!(childs.token.subject, id("ada"));
    assert_eq!(childs.token.actors, [id("helper"), id("agent")]);
    // Another's handle, another's token, an agent's token as a subject, another's as an actor.
    let refused = bench.ask(Some(("agent", 7)), &Holding::default(), &pairs).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    let refused = bench.of_token(&childs.text, CRM, &[]).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    let details = r#"[{"type":"safeconduct_task","intent":"work"}]"#;
    for (who, wanted) in [("ada", true), ("helper", false), ("agent", false), ("nobody", false)] {
        let idp = [("iss", Value::from("https://idp.example"))];
        let subject = assertion(who, &key(1), bench.now(), &idp);
        let more = [("authorization_details", details)];
        let got = bench.of_token(&subject, CRM, &more).await;
        assert_eq!(got.is_ok(), wanted, "{who}");
        let Ok(got) = got else { continue };
        assert!(got.begun && got.token.subject == id("ada") && got.token.actors == [id("agent")]);
        assert_eq!(got.token.expires_at, at(120_000), "no longer than the user's token");
        let actor = assertion("helper", &key(1), bench.now(), &idp);
        let actor = [("actor_token", actor.as_str()), ("actor_token_type", ACCESS), more[0]];
        let refused = bench.of_token(&subject, CRM, &actor).await;
        assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
        let may_act = Value::object([("sub", Value::from("helper"))]);
        let others = assertion(who, &key(1), bench.now(), &[idp[0].clone(), ("may_act", may_act)]);
        let refused = bench.of_token(&others, CRM, &more).await;
        assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    }
}

#[tokio::test]
async fn pitfall_13_to_16_nothing_widens_on_the_way() {
    let bench = bench().await;
    bench.begin(1).await;
    let (scope, holding) = ([("scope", "crm.read")], Holding::default());
    let read = bench.of_handle_with(1, GATEWAY, &scope, &holding).await.unwrap();
    assert_eq!(read.token.scope_text().as_deref(), Some("crm.read"));
    for scope in ["crm.export", "openid", "mail.send", "crm.read openid"] {
        let more = [("scope", scope)];
        let refused = bench.of_handle_with(1, GATEWAY, &more, &Holding::default()).await;
        assert_eq!(refused.unwrap_err(), FaultCode::InvalidScope, "{scope}");
    }
    let refused = bench.of_handle(1, "https://unknown.example").await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidTarget);
    // A narrower token at our own edge is held to what it says, and its children too.
    let by = bench.bearer(&read).await.unwrap();
    assert_eq!(bench.call(by.clone(), "crm.read").await, Vec::<&str>::new());
    assert_eq!(bench.call(by.clone(), "crm.write").await, ["outside_intent"]);
    let wide = Undertaking {
        by: by.clone(),
        agent: id("helper"),
        intent: name(IntentName::new("work")),
        version: None,
        parameters: BTreeMap::new(),
        on_behalf_of: None,
        narrowed: Narrowed::default(),
        handle: Some(handle(9).1),
        pep: id("gateway"),
        trace: None,
    };
    assert!(bench.service.begin_task(wide).await.is_err(), "a child is no way out");
    // Exchanged, it stays what it is, whatever is asked and wherever it goes.
    let again = bench.of_token(&read.text, "https://all.example", &[]).await.unwrap();
    assert_eq!(again.token.allowances, read.token.allowances);
    let more = [("scope", "crm.write")];
    let refused = bench.of_token(&read.text, CRM, &more).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidScope);
    let details = r#"[{"type":"safeconduct_action","actions":["crm.write"]}]"#;
    let refused = bench.of_token(&read.text, CRM, &[("authorization_details", details)]).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidAuthorizationDetails);
    // And it never lasts longer.
    bench.clock.set(at(100_500));
    let later = bench.of_token(&read.text, CRM, &[]).await.unwrap();
    assert_eq!(later.token.expires_at, read.token.expires_at);
    bench.clock.set(at(300_000));
    let refused = bench.of_token(&read.text, CRM, &[]).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    // Nor than its task: 900 s after it began.
    bench.clock.set(at(880_400));
    let last = bench.of_handle(1, CRM).await.unwrap();
    assert_eq!((last.token.expires_at, last.expires_in_s()), (at(900_000), 19));
    bench.clock.set(at(900_000));
    assert_eq!(bench.of_handle(1, CRM).await.unwrap_err(), FaultCode::InvalidRequest);
}

#[tokio::test]
async fn pitfall_19_a_client_names_no_task_but_by_its_handle() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let other = bench.begin(2).await;
    for subject in [task.id.as_str(), &task.handle.unwrap().to_string(), "sct_unknown"] {
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", HANDLE),
            ("resource", CRM),
        ];
        let refused = bench.ask(Some(("agent", 7)), &Holding::default(), &pairs).await;
        assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest, "{subject}");
    }
    let more = [("task", other.id.as_str()), ("mission_id", other.id.as_str())];
    let token = bench.of_handle_with(1, CRM, &more, &Holding::default()).await.unwrap();
    assert_eq!(token.token.task, task.id);
}

#[tokio::test]
async fn pitfall_20_a_bound_token_needs_its_key_each_time() {
    let bench = bench().await;
    bench.begin(1).await;
    let holding = Holding { dpop: Some(42), certificate: None };
    let token = bench.of_handle_with(1, GATEWAY, &[], &holding).await.unwrap();
    assert_eq!(token.token.token_type(), "DPoP");
    let bound = format!("DPoP {}", token.text);
    let proof = bench.dpop(42, "/mcp/crm", Some(&token.text));
    assert!(bench.present(&bound, "/mcp/crm", &[&proof], None).await.is_ok());
    let fault = |got: Result<Authentication, NotAuthenticated>| match got.unwrap_err() {
        NotAuthenticated::Proof(fault) => fault.code,
        NotAuthenticated::Token(refused) => {
            assert_eq!(refused, TokenRefused::NotHeld);
            FaultCode::InvalidClient
        }
        other => panic!("{other}"),
    };
    let again = bench.present(&bound, "/mcp/crm", &[&proof], None).await;
    assert_eq!(fault(again), FaultCode::InvalidDpopProof, "a proof is used once");
    let other = bench.dpop(43, "/mcp/crm", Some(&token.text));
    let others = bench.present(&bound, "/mcp/crm", &[&other], None).await;
    assert_eq!(fault(others), FaultCode::InvalidClient, "another key");
    let bearer = bench.present(&format!("Bearer {}", token.text), "/mcp/crm", &[], None).await;
    assert_eq!(fault(bearer), FaultCode::InvalidClient, "as a bearer token");
    let none = bench.present(&bound, "/mcp/crm", &[], None).await;
    assert_eq!(fault(none), FaultCode::InvalidDpopProof);
    let elsewhere = bench.dpop(42, "/mcp/other", Some(&token.text));
    let elsewhere = bench.present(&bound, "/mcp/crm", &[&elsewhere], None).await;
    assert_eq!(fault(elsewhere), FaultCode::InvalidDpopProof, "for another address");
    let without = bench.dpop(42, "/mcp/crm", None);
    let without = bench.present(&bound, "/mcp/crm", &[&without], None).await;
    assert_eq!(fault(without), FaultCode::InvalidDpopProof, "for no token");
    let two = [bench.dpop(42, "/mcp/crm", Some(&token.text)), bench.dpop(42, "/mcp/crm", None)];
    let two = bench.present(&bound, "/mcp/crm", &[&two[0], &two[1]], None).await;
    assert_eq!(fault(two), FaultCode::InvalidDpopProof);
    // What needs to be bound is, and what is bound stays so.
    let refused = bench.of_handle(1, "https://bound.example").await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    let refused = bench.of_token(&token.text, CRM, &[]).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidRequest);
    let plain = bench.of_handle(1, GATEWAY).await.unwrap();
    let proof = bench.dpop(42, "/mcp/crm", Some(&plain.text));
    let as_bound = format!("DPoP {}", plain.text);
    let refused_as = bench.present(&as_bound, "/mcp/crm", &[&proof], None).await;
    assert_eq!(refusal(refused_as), TokenRefused::NotHeld);
}

#[tokio::test]
async fn a_nonce_is_asked_for_where_it_is_needed() {
    let bench = bench().await;
    bench.begin(1).await;
    let needed = TokenServiceSettings { dpop_nonce: DpopNonce::Needed, ..settings() };
    bench.service.open_token_service(needed, Arc::clone(&bench.keys) as _).unwrap();
    let holding = Holding { dpop: Some(42), certificate: None };
    let refused = bench.of_handle_with(1, CRM, &[], &holding).await;
    assert_eq!(refused.unwrap_err(), FaultCode::UseDpopNonce);
    assert!(bench.service.dpop_nonce().is_some());
}

#[tokio::test]
async fn pitfall_21_a_certificate_binds_until_it_rotates() {
    let bench = bench().await;
    bench.begin(1).await;
    let holding = Holding { dpop: None, certificate: Some(b"leaf") };
    let handle = handle(1).0;
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token", handle.as_str()),
        ("subject_token_type", HANDLE),
        ("resource", GATEWAY),
        ("client_id", "agent"),
    ];
    // The certificate proves the client, too.
    let token = bench.ask(None, &holding, &pairs).await.unwrap();
    let bearer = format!("Bearer {}", token.text);
    assert!(bench.present(&bearer, "/mcp/crm", &[], Some(b"leaf")).await.is_ok());
    for certificate in [None, Some(&b"next"[..])] {
        let got = bench.present(&bearer, "/mcp/crm", &[], certificate).await;
        assert_eq!(refusal(got), TokenRefused::NotHeld);
    }
    // With a key of its own, the token outlives the certificate.
    let both = Holding { dpop: Some(42), certificate: Some(b"leaf") };
    let token = bench.ask(None, &both, &pairs).await.unwrap();
    let proof = bench.dpop(42, "/mcp/crm", Some(&token.text));
    let bound = format!("DPoP {}", token.text);
    assert!(bench.present(&bound, "/mcp/crm", &[&proof], Some(b"next")).await.is_ok());
    let stranger = Holding { dpop: None, certificate: Some(b"stranger") };
    let refused = bench.ask(None, &stranger, &pairs).await;
    assert_eq!(refused.unwrap_err(), FaultCode::InvalidClient);
}

#[tokio::test]
async fn pitfall_22_introspection_is_no_oracle() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let token = bench.of_handle(1, CRM).await.unwrap();
    let active = bench.introspect(("crm-api", 9), &token.text).await;
    assert_eq!(active.member("active"), Some(&Value::Bool(true)));
    assert_eq!(active.member("client_id").and_then(Value::as_str), Some("agent"));
    // Others learn nothing, not even the agent that holds it.
    for by in [("agent", 7), ("helper", 8)] {
        assert_eq!(bench.introspect(by, &token.text).await, inactive());
    }
    let elsewhere = bench.of_handle(1, "https://all.example").await.unwrap();
    assert_eq!(bench.introspect(("crm-api", 9), &elsewhere.text).await, inactive());
    for text in ["", "x", "a.b.c", &token.text[1..]] {
        assert_eq!(bench.introspect(("crm-api", 9), &format!("{text}z")).await, inactive());
    }
    let form = Form::parse(&encoded(&[("token", &token.text)])).unwrap();
    let request = ClientRequest {
        authorization: &[],
        dpop: &[],
        method: "POST",
        path: "/oauth/introspect",
        peer: None,
    };
    let nobody = bench.service.introspect(&request, &form).await.unwrap_err();
    assert_eq!(nobody.code, FaultCode::InvalidClient);
    bench.end(&task.id).await;
    assert_eq!(bench.introspect(("crm-api", 9), &token.text).await, inactive());
}

#[tokio::test]
async fn pitfall_23_assertions_are_of_others_for_us_alone_and_used_once() {
    let bench = bench().await;
    bench.begin(1).await;
    let details = r#"[{"type":"safeconduct_task","intent":"work","seconds":60}]"#;
    let ask = async |assertion: &str, client| {
        let pairs = [
            ("grant_type", BEARER),
            ("assertion", assertion),
            ("resource", CRM),
            ("authorization_details", details),
        ];
        bench.ask(client, &Holding::default(), &pairs).await
    };
    let agent = Some(("agent", 7));
    let idp = ("iss", Value::from("https://idp.example"));
    let good = assertion("ada", &key(1), bench.now(), &[idp.clone()]);
    let token = ask(&good, agent).await.unwrap();
    assert_eq!((token.token.subject.as_str(), token.begun), ("ada", true));
    assert_eq!(token.token.expires_at, at(60_000), "no longer than the task");
    assert_eq!(ask(&good, agent).await.unwrap_err(), FaultCode::InvalidGrant, "used");
    let several = Value::from(vec![Value::from(ISSUER), Value::from("https://other")]);
    for (name, value) in [
        ("aud", several),
        ("aud", Value::from("https://other")),
        ("client_id", Value::from("helper")),
        ("iss", Value::from("https://stranger.example")),
    ] {
        let bad = assertion("ada", &key(1), bench.now(), &[idp.clone(), (name, value)]);
        assert_eq!(ask(&bad, agent).await.unwrap_err(), FaultCode::InvalidGrant, "{name}");
    }
    // One of our own is no assertion.
    let own = bench.of_handle(1, ISSUER).await.unwrap();
    assert_eq!(ask(&own.text, agent).await.unwrap_err(), FaultCode::InvalidGrant);
    // A user's proves no client; a workload's own does, and acts for itself.
    let users = assertion("ada", &key(1), bench.now(), &[idp.clone()]);
    assert_eq!(ask(&users, None).await.unwrap_err(), FaultCode::InvalidClient);
    let agents = assertion("agent", &key(1), bench.now(), &[idp.clone()]);
    let own = ask(&agents, None).await.unwrap();
    assert_eq!((own.token.subject, own.token.actors), (id("agent"), vec![]));
    let helpers = assertion("helper", &key(1), bench.now(), &[idp]);
    assert_eq!(ask(&helpers, agent).await.unwrap_err(), FaultCode::InvalidGrant);
}

#[tokio::test]
async fn pitfall_23_an_assertion_is_used_once_across_a_restart_too() {
    let bench = bench().await;
    let details = r#"[{"type":"safeconduct_task","intent":"work","seconds":60}]"#;
    let ask = async |assertion: &str| {
        let pairs = [
            ("grant_type", BEARER),
            ("assertion", assertion),
            ("resource", CRM),
            ("authorization_details", details),
        ];
        bench.ask(Some(("agent", 7)), &Holding::default(), &pairs).await
    };
    let claims = |iat: Option<Timestamp>| {
        let mut claims = vec![
            ("iss", Value::from("https://idp.example")),
            ("sub", Value::from("ada")),
            ("aud", Value::from(ISSUER)),
            ("exp", seconds(at(120_000))),
            ("jti", jti()),
        ];
        claims.extend(iat.map(|at| ("iat", seconds(at))));
        key(1).sign("JWT", &Value::object(claims)).unwrap()
    };
    let used = claims(Some(bench.now()));
    ask(&used).await.unwrap();
    bench.clock.set(at(10_000));
    let unused = claims(Some(at(3000)));
    bench.service.open_token_service(settings(), Arc::clone(&bench.keys) as _).unwrap();
    for (which, assertion) in [
        ("used before", used),
        ("older than the start", unused),
        ("undated", claims(None)),
        ("from the future", claims(Some(at(60_000)))),
    ] {
        assert_eq!(ask(&assertion).await.unwrap_err(), FaultCode::InvalidGrant, "{which}");
    }
    ask(&claims(Some(bench.now()))).await.unwrap();
}

#[tokio::test]
async fn proofs_of_strangers_are_not_remembered() {
    let bench = bench().await;
    bench.begin(1).await;
    let proof = bench.dpop(5, "/oauth/token", None);
    let ask = async |client: &str, by: u8| {
        let (handle, signed) = (handle(1).0, assertion(client, &key(by), bench.now(), &[]));
        let form = encoded(&[
            ("grant_type", EXCHANGE),
            ("subject_token", &handle),
            ("subject_token_type", HANDLE),
            ("resource", CRM),
            ("client_assertion", &signed),
            ("client_assertion_type", JWT_ASSERTION),
        ]);
        let request = ClientRequest {
            authorization: &[],
            dpop: &[&proof],
            method: "POST",
            path: "/oauth/token",
            peer: None,
        };
        let form = Form::parse(&form).unwrap();
        let issued = bench.service.issue_access_token(&request, &form, handle_digest(), None).await;
        issued.map_err(|fault| fault.code)
    };
    // Neither unknown names nor wrong keys use a proof up, or take room.
    assert_eq!(ask("stranger", 7).await.unwrap_err(), FaultCode::InvalidClient);
    assert_eq!(ask("agent", 99).await.unwrap_err(), FaultCode::InvalidClient);
    assert!(ask("agent", 7).await.unwrap().token.confirmation.jkt.is_some());
    // Whoever has proved to be a client does, once for all clients.
    assert_eq!(ask("agent", 7).await.unwrap_err(), FaultCode::InvalidDpopProof);
    assert_eq!(ask("helper", 8).await.unwrap_err(), FaultCode::InvalidDpopProof);
}

fn handle_digest() -> Digest {
    handle(1000 + JTI.fetch_add(1, Ordering::Relaxed)).1
}

#[tokio::test]
async fn a_client_proves_itself_in_one_way_and_whole() {
    let bench = bench().await;
    bench.begin(1).await;
    let handle = handle(1).0;
    let now = bench.now();
    let ask = async |signed: &str, more: &[(&str, &str)], authorization: &[&str]| {
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", handle.as_str()),
            ("subject_token_type", HANDLE),
            ("resource", CRM),
        ];
        if !signed.is_empty() {
            pairs.push(("client_assertion", signed));
            pairs.push(("client_assertion_type", JWT_ASSERTION));
        }
        pairs.extend(more);
        let form = Form::parse(&encoded(&pairs)).unwrap();
        let request = ClientRequest {
            authorization,
            dpop: &[],
            method: "POST",
            path: "/oauth/token",
            peer: None,
        };
        let digest = Digest::from_bytes([8; 32]);
        let issued = bench.service.issue_access_token(&request, &form, digest, None).await;
        issued.map(drop).map_err(|fault| fault.code)
    };
    use FaultCode::{InvalidClient, InvalidRequest};
    let good = assertion("agent", &key(7), now, &[]);
    assert_eq!(ask(&good, &[("client_id", "agent")], &[]).await, Ok(()));
    assert_eq!(ask(&good, &[], &[]).await, Err(InvalidClient), "used before");
    let signed = |more: &[(&str, Value)]| assertion("agent", &key(7), now, more);
    let other_key = assertion("agent", &key(8), now, &[]);
    let nobody = assertion("nobody", &key(7), now, &[]);
    let old = assertion("agent", &key(7), now.plus_ms(-5000), &[]);
    let token_endpoint = Value::from(format!("{ISSUER}/oauth/token"));
    let both = Value::from(vec![Value::from(ISSUER), token_endpoint.clone()]);
    for bad in [
        other_key,
        nobody,
        old,
        signed(&[("aud", token_endpoint)]),
        signed(&[("aud", both)]),
        signed(&[("sub", Value::from("helper"))]),
        signed(&[("iss", Value::from("helper"))]),
        signed(&[("jti", Value::Null)]),
        signed(&[("exp", seconds(now.plus_ms(-60_000)))]),
        signed(&[("exp", seconds(now.plus_ms(7_200_000)))]),
        key(7).sign("at+jwt", &Value::object([("sub", Value::from("agent"))])).unwrap(),
        "x".into(),
    ] {
        assert_eq!(ask(&bad, &[], &[]).await, Err(InvalidClient), "{bad}");
    }
    assert_eq!(ask("", &[], &[]).await, Err(InvalidClient));
    assert_eq!(ask(&signed(&[]), &[("client_id", "helper")], &[]).await, Err(InvalidClient));
    assert_eq!(ask(&signed(&[]), &[], &["Bearer sc_x"]).await, Err(InvalidRequest));
    assert_eq!(
        ask("", &[("client_id", "a"), ("client_secret", "b")], &[]).await,
        Err(InvalidRequest)
    );
    assert_eq!(ask("", &[], &["Bearer sc_x"]).await, Err(InvalidClient));
    assert_eq!(ask("", &[], &["Negotiate x"]).await, Err(InvalidClient));
    assert_eq!(ask("", &[("client_assertion", "x")], &[]).await, Err(InvalidRequest));
    // By a registered token, as it is and as the secret of `Basic`.
    let token = Token {
        id: name(TokenId::new("tok_1")),
        identity: id("agent"),
        digest: token_digest("sc_secret"),
        issued_at: now,
        expires_at: now.plus_ms(3_600_000),
        revoked: false,
    };
    bench.service.register_token(token, &id("ada")).await.unwrap();
    let basic = |text: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    };
    assert_eq!(ask("", &[], &["Bearer sc_secret"]).await, Ok(()));
    assert_eq!(ask("", &[], &[&basic("agent:sc_secret")]).await, Ok(()));
    assert_eq!(ask("", &[], &[&basic("helper:sc_secret")]).await, Err(InvalidClient));
    assert_eq!(ask("", &[], &[&basic("agent:sc_other")]).await, Err(InvalidClient));
    let mut suspended = identity("agent", IdentityKind::Agent);
    suspended.status = IdentityStatus::Suspended;
    bench.service.change_identity(suspended, &id("ada")).await.unwrap();
    assert_eq!(ask(&signed(&[]), &[], &[]).await, Err(InvalidClient));
}

#[tokio::test]
async fn a_token_is_taken_back_by_record() {
    let bench = bench().await;
    bench.begin(1).await;
    let token = bench.of_handle(1, GATEWAY).await.unwrap();
    let by = bench.bearer(&token).await.unwrap();
    assert_eq!(
        bench.withdraw(("helper", 8), &token.text).await,
        Err(FaultCode::UnauthorizedClient)
    );
    for unknown in ["x", "a.b.c"] {
        assert_eq!(bench.withdraw(("agent", 7), unknown).await, Ok(()));
    }
    for other in ["sc_x", "sct_x"] {
        let refused = bench.withdraw(("agent", 7), other).await;
        assert_eq!(refused, Err(FaultCode::UnsupportedTokenType));
    }
    assert_eq!(bench.count("token_withdrawn"), 0);
    assert!(bench.service.stands(&by, bench.now()));
    assert_eq!(bench.withdraw(("agent", 7), &token.text).await, Ok(()));
    assert_eq!(bench.withdraw(("agent", 7), &token.text).await, Ok(()));
    assert_eq!(bench.count("token_withdrawn"), 1);
    assert_eq!(refusal(bench.bearer(&token).await), TokenRefused::NotAlive);
    assert!(!bench.service.stands(&by, bench.now()), "what goes on for it stops");
    assert_eq!(bench.call(by, "crm.read").await, ["credential_ended"]);
    assert_eq!(bench.introspect(("crm-api", 9), &token.text).await, inactive());
}

#[tokio::test]
async fn a_use_after_the_end_is_refused_and_recorded_once() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let token = bench.of_handle(1, GATEWAY).await.unwrap();
    bench.end(&task.id).await;
    assert_eq!(bench.of_handle(1, GATEWAY).await.unwrap_err(), FaultCode::InvalidRequest);
    for uses in 1..3 {
        let got = bench.bearer(&token).await;
        let challenge = got.clone().unwrap_err().challenge();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert_eq!(refusal(got), TokenRefused::TaskEnded);
        assert_eq!(bench.count("used_after_end"), uses);
    }
}

#[tokio::test]
async fn tokens_of_others_and_for_others_are_refused() {
    let bench = bench().await;
    bench.begin(1).await;
    let token = bench.of_handle(1, CRM).await.unwrap();
    assert_eq!(refusal(bench.bearer(&token).await), TokenRefused::OtherResource);
    let token = bench.of_handle(1, GATEWAY).await.unwrap();
    let header = format!("Bearer {}", token.text);
    let elsewhere = bench.present(&header, "/mcp/mail", &[], None).await;
    assert_eq!(refusal(elsewhere), TokenRefused::OtherResource);
    // Signed by our key, and yet no record says that it was issued.
    let keys = bench.keys.all().unwrap();
    let ours = keys.iter().find(|key| key.algorithm == Algorithm::Es256).unwrap();
    let forged = SigningKey::from_secret(Algorithm::Es256, &ours.secret).unwrap();
    let mut said = token.token.clone();
    said.id = name(TokenId::new("at_forged"));
    let text = forged.sign("at+jwt", &said.claims()).unwrap();
    let got = bench.present(&format!("Bearer {text}"), "/mcp/crm", &[], None).await;
    assert_eq!(refusal(got), TokenRefused::NotAlive);
    // By a stranger's key, of another kind, or over its time.
    let text = key(1).sign("at+jwt", &token.token.claims()).unwrap();
    let got = bench.present(&format!("Bearer {text}"), "/mcp/crm", &[], None).await;
    assert!(matches!(refusal(got), TokenRefused::Jose(_)));
    let text = forged.sign("JWT", &token.token.claims()).unwrap();
    let got = bench.present(&format!("Bearer {text}"), "/mcp/crm", &[], None).await;
    assert!(matches!(refusal(got), TokenRefused::Jose(_)));
    assert!(bench.bearer(&token).await.is_ok());
    bench.clock.set(at(300_000));
    assert_eq!(refusal(bench.bearer(&token).await), TokenRefused::Expired);
}

#[tokio::test]
async fn keys_rotate_and_tokens_of_the_old_ones_hold_to_their_end() {
    let bench = bench().await;
    bench.begin(1).await;
    let kids = || {
        let jwks = bench.service.token_jwks().unwrap();
        jwks.member("keys").unwrap().as_array().unwrap().len()
    };
    assert_eq!(kids(), 2, "one of each algorithm in use");
    let first = bench.of_handle(1, GATEWAY).await.unwrap();
    bench.clock.set(at(1000));
    bench.service.rotate_token_keys().unwrap();
    assert_eq!(kids(), 4);
    let kid = |token: &Issued| safeconduct_credential::jose::peek(&token.text).unwrap().kid;
    let second = bench.of_handle(1, GATEWAY).await.unwrap();
    assert_eq!(kid(&first), kid(&second), "published, and does not sign yet");
    bench.clock.set(at(601_000));
    let third = bench.of_handle(1, GATEWAY).await.unwrap();
    assert_ne!(kid(&first), kid(&third));
    assert!(bench.bearer(&third).await.is_ok());
    bench.clock.set(at(961_000));
    bench.service.tend_token_keys().unwrap();
    assert_eq!((kids(), bench.keys.all().unwrap().len()), (2, 2));
}

#[tokio::test]
async fn after_a_crash_tokens_are_what_their_records_say() {
    let bench = bench().await;
    let ended = bench.begin(1).await;
    bench.begin(2).await;
    let of_ended = bench.of_handle(1, GATEWAY).await.unwrap();
    let (scope, holding) = ([("scope", "crm.read")], Holding::default());
    let narrow = bench.of_handle_with(2, GATEWAY, &scope, &holding).await.unwrap();
    let withdrawn = bench.of_handle(2, GATEWAY).await.unwrap();
    bench.withdraw(("agent", 7), &withdrawn.text).await.unwrap();
    bench.end(&ended.id).await;
    let ledger = Arc::new(MemoryLedger::default());
    let (reads, writes) = (Vec::new(), Vec::new());
    ledger.submit(Proposal { entries: bench.ledger.entries(), reads, writes }).unwrap();
    let clock = Arc::new(MemoryClock::default());
    clock.set(at(5000));
    let ports = Ports {
        ledger: Arc::clone(&ledger) as _,
        vault: Arc::new(MemoryVault),
        clock: Arc::clone(&clock) as _,
        ids: Arc::new(MemoryIds::default()),
    };
    let service = Arc::new(Service::new(ports, Settings::default(), world()));
    let mut restore = service.restore();
    for (sequence, entry) in bench.ledger.entries().iter().enumerate() {
        let sealed = match entry.attachment {
            Some(_) => Attachment::Present,
            None => Attachment::Absent,
        };
        restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
    }
    restore.finish();
    let keys = Arc::clone(&bench.keys);
    service.open_token_service(settings(), Arc::clone(&keys) as _).unwrap();
    let again = Bench { service, ledger, clock, keys };
    // The first thing that is asked of the task: its mandate is read back from the disk.
    again.of_handle(2, GATEWAY).await.unwrap();
    assert_eq!(refusal(again.bearer(&of_ended).await), TokenRefused::TaskEnded);
    assert_eq!(refusal(again.bearer(&withdrawn).await), TokenRefused::NotAlive);
    let by = again.bearer(&narrow).await.unwrap();
    assert_eq!(again.call(by.clone(), "crm.write").await, ["outside_intent"]);
    assert_eq!(again.call(by, "crm.read").await, Vec::<&str>::new());
}

#[tokio::test]
async fn what_is_not_recorded_is_not_issued() {
    let bench = bench().await;
    bench.begin(1).await;
    bench.ledger.fail("the disk is full");
    let refused = bench.of_handle(1, CRM).await;
    assert_eq!(refused.unwrap_err(), FaultCode::TemporarilyUnavailable);
}

/// Ports that do something else at the n-th call: every place at which another thread could come
/// between and be seen.
struct Intruded {
    ledger: Arc<MemoryLedger>,
    ids: MemoryIds,
    left: AtomicUsize,
    armed: AtomicBool,
    intrusion: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Intruded {
    fn step(&self) {
        if self.armed.load(Ordering::SeqCst) && self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.armed.store(false, Ordering::SeqCst);
            let intrusion = self.intrusion.lock().unwrap().take();
            if let Some(intrusion) = intrusion {
                intrusion();
            }
        }
    }
}

impl Ids for Intruded {
    fn record(&self, prefix: &'static str) -> RecordId {
        self.step();
        self.ids.record(prefix)
    }
}

impl Ledger for Intruded {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        self.step();
        let ticket = self.ledger.submit(proposal);
        self.step();
        ticket
    }

    fn durable(&self, ticket: Ticket) -> Durable<'_> {
        self.step();
        self.ledger.durable(ticket)
    }

    fn health(&self) -> LedgerHealth {
        self.ledger.health()
    }

    fn attachment(&self, sequence: u64) -> Result<Option<Vec<u8>>, AppendError> {
        self.ledger.attachment(sequence)
    }

    fn erase(&self, sequences: &[u64]) -> Result<u64, AppendError> {
        self.ledger.erase(sequences)
    }
}

/// Ends, kills and suspensions at every point of a mint: either there is no token, or its record
/// comes before the end and it is dead from then on.
#[tokio::test]
async fn pitfall_17_no_token_is_issued_past_an_end_wherever_the_end_comes_between() {
    for how in 0..4 {
        for step in 0.. {
            let (ports, ledger, clock) = memory::ports();
            let port = Arc::new(Intruded {
                ledger: Arc::clone(&ledger),
                ids: MemoryIds::default(),
                left: AtomicUsize::new(step),
                armed: AtomicBool::new(false),
                intrusion: Mutex::new(None),
            });
            let ports =
                Ports { ledger: Arc::clone(&port) as _, ids: Arc::clone(&port) as _, ..ports };
            let bench = bench_over(ports, ledger, clock).await;
            let task = bench.begin(1).await;
            let (service, id_of) = (Arc::clone(&bench.service), task.id.clone());
            let intrusion = move || {
                let ended = async {
                    match how {
                        0 => {
                            let state = TaskState::Completed;
                            let ending = Ending { state, by: None, reason: "done".into() };
                            service.end_task(&id_of, ending).await.map(drop).unwrap();
                        }
                        1 | 2 => {
                            let scope = match how {
                                1 => KillScope::All,
                                _ => KillScope::Identity(id("agent")),
                            };
                            service.kill(scope, &id("ada"), "test".into()).await.map(drop).unwrap();
                        }
                        _ => {
                            let mut stopped = identity("agent", IdentityKind::Agent);
                            stopped.status = IdentityStatus::Suspended;
                            service.change_identity(stopped, &id("ada")).await.unwrap();
                        }
                    }
                };
                // The ledger answers at once, so that nothing is waited for.
                futures_util::FutureExt::now_or_never(ended).unwrap();
            };
            *port.intrusion.lock().unwrap() = Some(Box::new(intrusion));
            port.armed.store(true, Ordering::SeqCst);
            let issued = bench.of_handle(1, GATEWAY).await;
            port.armed.store(false, Ordering::SeqCst);
            let bodies = bench.bodies();
            let minted = bodies.iter().position(|body| body.kind() == "token_minted");
            let over = bodies.iter().position(|body| match (how, body) {
                (0, Body::TaskEnded { .. }) | (1 | 2, Body::Killed { .. }) => true,
                (3, Body::IdentityChanged { identity, .. }) => {
                    identity.status == IdentityStatus::Suspended
                }
                _ => false,
            });
            let Some(over) = over else {
                // The mint was through before its n-th step came.
                assert!(issued.is_ok() && step >= 5, "{how}: only {step} steps");
                break;
            };
            assert!(minted.is_none_or(|minted| minted < over), "{how} {step}");
            assert_eq!(issued.is_ok(), minted.is_some(), "{how} {step}");
            if let Ok(token) = &issued {
                assert!(bench.bearer(token).await.is_err(), "{how} {step}: alive after the end");
                let said = bench.introspect(("crm-api", 9), &token.text).await;
                assert_eq!(said, inactive(), "{how} {step}");
            }
        }
    }
}

/// Many threads mint and use while one ends: from the moment that the end has returned, nothing
/// is alive and nothing is issued.
#[test]
fn pitfall_17_under_stress_no_token_is_alive_once_the_end_has_returned() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let bench = Arc::new(bench().await);
        for round in 0..20 {
            let task = bench.begin(100 + round).await;
            let ended = Arc::new(AtomicBool::new(false));
            let minters: Vec<_> = (0..4)
                .map(|_| {
                    let (bench, ended) = (Arc::clone(&bench), Arc::clone(&ended));
                    tokio::spawn(async move {
                        let mut tokens = Vec::new();
                        loop {
                            let late = ended.load(Ordering::SeqCst);
                            match bench.of_handle(100 + round, GATEWAY).await {
                                Ok(token) => {
                                    assert!(!late, "issued after the end had returned");
                                    let late = ended.load(Ordering::SeqCst);
                                    let used = bench.bearer(&token).await;
                                    assert!(!(late && used.is_ok()), "used after the end");
                                    tokens.push(token);
                                }
                                Err(code) => {
                                    assert_eq!(code, FaultCode::InvalidRequest);
                                    return tokens;
                                }
                            }
                        }
                    })
                })
                .collect();
            while bench.count("token_minted") < 8 * (round + 1) {
                tokio::task::yield_now().await;
            }
            bench.end(&task.id).await;
            ended.store(true, Ordering::SeqCst);
            for minter in minters {
                for token in minter.await.unwrap() {
                    assert!(bench.bearer(&token).await.is_err());
                }
            }
        }
    });
}
