//! A decision point in memory with the pages on it, an OpenID provider and a browser of the
//! tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use safeconduct_ledger::decode;
use safeconduct_model::{Label, Returns, Subject, *};
use safeconduct_pages::{
    Endpoints, Grant, Lifetime, OfService, Pages, Provider, ProviderError, Settings as PageSettings,
};
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::memory::{MemoryClock, MemoryLedger, ports};
use safeconduct_service::*;
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use url::form_urlencoded;

const POLICIES: &str = r#"
@id("agents") permit (principal is Safeconduct::Agent, action, resource);
@id("ask") @message("a person must look at this")
@requestable("approvers=group:leads; quorum=1; ttl=15m")
forbid (principal, action, resource) unless { context has approval }
unless { action == Safeconduct::Action::"break_glass" };
@id("right") permit (principal == Safeconduct::User::"ada",
    action == Safeconduct::Action::"break_glass", resource);
"#;

pub(crate) const NOW: i64 = 1_790_000_000_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const ORIGIN: &str = "https://us.example";
pub(crate) const COOKIE: &str = "__Host-safeconduct";

fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    made.unwrap()
}

pub(crate) fn id(id: &str) -> IdentityId {
    name(IdentityId::new(id))
}

/// What the provider will say next.
#[derive(Clone)]
pub(crate) struct Says {
    pub(crate) subject: String,
    pub(crate) auth_time: Option<i64>,
    pub(crate) nonce: Option<String>,
    pub(crate) names_itself: bool,
}

/// A provider that signs in whom it is told to, once the code is redeemed rightly. It looks at
/// what the browser was sent with, as a real one does.
pub(crate) struct TestProvider {
    pub(crate) says: Mutex<Says>,
    asked: Mutex<BTreeMap<String, String>>,
    pub(crate) redeemed: Mutex<u32>,
}

impl Provider for TestProvider {
    fn endpoints(&self) -> Awaited<'_, Result<Endpoints, ProviderError>> {
        Awaited::of(async {
            Ok(Endpoints {
                issuer: "https://id.example".into(),
                authorization: "https://id.example/authorize".into(),
                names_itself: self.says.lock().unwrap().names_itself,
            })
        })
    }

    fn redeem<'a>(&'a self, grant: Grant<'a>) -> Awaited<'a, Result<String, ProviderError>> {
        Awaited::of(async move {
            *self.redeemed.lock().unwrap() += 1;
            let asked = self.asked.lock().unwrap().clone();
            let proof = BASE64.encode(Sha256::digest(grant.verifier));
            let fits = grant.code == "the-code"
                && asked.get("code_challenge") == Some(&proof)
                && asked.get("redirect_uri").map(String::as_str) == Some(grant.redirect_uri);
            if !fits {
                return Err(ProviderError("invalid_grant".to_owned()));
            }
            let says = self.says.lock().unwrap().clone();
            let nonce = says.nonce.or_else(|| asked.get("nonce").cloned()).unwrap();
            let mut claims = format!(r#"{{"sub":"{}","aud":"web","nonce":"{nonce}""#, says.subject);
            if let Some(at) = says.auth_time {
                claims += &format!(r#","auth_time":{at}"#);
            }
            claims += "}";
            Ok(format!("{}.{}.c2ln", BASE64.encode("{}"), BASE64.encode(claims)))
        })
    }
}

/// Believes every token of the provider: signatures are the directory's to check.
struct TestProver;

impl Prover for TestProver {
    fn prove<'a>(
        &'a self,
        presented: Vouched<'a>,
        now: Timestamp,
    ) -> Awaited<'a, Result<Vouch, Unproved>> {
        Awaited::of(async move {
            let Vouched::Jwt { token, .. } = presented else { return Err(Unproved("no".into())) };
            let claims = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
            let claims = safeconduct_wire::json::parse(&claims).unwrap();
            let subject = claims.member("sub").and_then(Value::as_str).unwrap().to_owned();
            // Another record vouches for programs of the same issuer.
            let trust = if subject == "robot" { "trust:programs" } else { "trust:staff" };
            Ok(Vouch {
                identity: id(&subject),
                token: name(TokenId::new(trust)),
                method: Method::Oidc,
                assurance: Assurance::Substantial,
                at: now,
                expires_at: now.plus_ms(5 * MINUTE),
                may_speak_for_users: false,
                generation: 0,
            })
        })
    }

    fn vouching(&self, token: &TokenId) -> Option<u64> {
        token.as_str().starts_with("trust:").then_some(0)
    }
}

pub(crate) struct Bench {
    pub(crate) service: Arc<Service>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) clock: Arc<MemoryClock>,
    pub(crate) provider: Arc<TestProvider>,
    pub(crate) router: Router,
    host: &'static str,
}

fn catalogue() -> Catalogue {
    let entry = |(tool, tier): (&str, Tier)| ActionEntry {
        name: name(ActionName::new(format!("crm.{tool}"))),
        server: Some(name(ServerName::new("crm"))),
        tier,
        raises: Vec::new(),
        effect: Effect::Send,
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
    let entries = [("mail", Tier::Moderate), ("pay", Tier::High)].map(entry);
    let actions = entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
    Catalogue { actions, ..Catalogue::default() }
}

fn identity(of: &str, kind: IdentityKind, groups: &[&str]) -> Identity {
    let owner = || (kind != IdentityKind::User).then(|| id("bob"));
    Identity {
        id: id(of),
        kind,
        status: IdentityStatus::Active,
        owner: owner(),
        sponsor: None,
        imported: None,
        fallback_owner: owner(),
        environment: None,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        pep: None,
        roles: BTreeSet::new(),
    }
}

pub(crate) async fn bench() -> Bench {
    bench_at(ORIGIN).await
}

/// The same, reached under another address.
pub(crate) async fn bench_at(origin: &'static str) -> Bench {
    let (ports, ledger, clock) = ports();
    clock.set(Timestamp::from_millis(NOW));
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", POLICIES)],
        servers: vec![name(ServerName::new("crm"))],
        actions: catalogue().actions.into_values().map(|e| (e.name, e.server)).collect(),
        ..Sources::default()
    };
    let policies = Arc::new(load(&sources).unwrap().policies);
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let digest = Digest::from_bytes([9; 32]);
    let world = World::new(policies, Arc::new(catalogue()), digest, vocabulary);
    let service = Arc::new(Service::new(ports, Settings::default(), world));
    service.set_prover(Some(Arc::new(TestProver)));
    for (of, kind, groups) in [
        ("agent", IdentityKind::Agent, &[][..]),
        ("robot", IdentityKind::User, &[]),
        ("ada", IdentityKind::User, &["leads"]),
        ("bob", IdentityKind::User, &[]),
        ("dora", IdentityKind::User, &[]),
        ("lea", IdentityKind::User, &["leads"]),
    ] {
        let mut known = identity(of, kind, groups);
        known.fallback_owner = known.fallback_owner.or((of == "lea").then(|| id("dora")));
        service.change_identity(known, &id("ada")).await.unwrap();
    }
    let provider = Arc::new(TestProvider {
        says: Mutex::new(Says {
            subject: "ada".to_owned(),
            auth_time: Some(NOW / 1000),
            nonce: None,
            names_itself: true,
        }),
        asked: Mutex::default(),
        redeemed: Mutex::default(),
    });
    let settings = PageSettings {
        base_url: origin.to_owned(),
        trust: "staff".to_owned(),
        client_id: "web".to_owned(),
        lifetime: Lifetime { idle_ms: 30 * MINUTE, longest_ms: 8 * 60 * MINUTE },
    };
    let requests = Arc::new(OfService(Arc::clone(&service)));
    let pages =
        Pages::new(Arc::clone(&service), Arc::clone(&provider) as _, requests, settings).unwrap();
    let host = origin.split_once("://").unwrap().1;
    Bench { service, ledger, clock, provider, router: pages.router(), host }
}

impl Bench {
    /// The agent asks for a call that was denied: the request's id.
    pub(crate) async fn ask(&self, tool: &str, input: Value) -> RecordId {
        let check = Check {
            subject: Subject::Caller(Authentication {
                identity: id("agent"),
                token: name(TokenId::new("tok_agent")),
                method: Method::ApiKey,
                assurance: Assurance::Low,
                at: Timestamp::from_millis(NOW),
                expires_at: None,
                task: None,
            }),
            action: name(ActionName::new(format!("crm.{tool}"))),
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
        };
        let ask =
            AskAccess { check, justification: Some("the customer asked <b>for it</b>".into()) };
        self.service.request_access(ask).await.unwrap().request
    }

    pub(crate) fn state(&self, request: &RecordId) -> AccessState {
        self.service.access_state(request).unwrap()
    }

    /// The kinds of all records.
    pub(crate) fn bodies(&self) -> Vec<safeconduct_model::Body> {
        let entries = self.ledger.entries();
        entries.iter().map(|entry| decode(&entry.leaf).unwrap().body).collect()
    }

    pub(crate) fn later(&self, ms: i64) {
        self.clock.set(Timestamp::from_millis(NOW + ms));
    }

    /// A browser that nobody has signed in with.
    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser { bench: self, cookies: BTreeMap::new() }
    }

    /// One with which somebody has.
    pub(crate) async fn signed_in(&self, subject: &str) -> Browser<'_> {
        self.provider.says.lock().unwrap().subject = subject.to_owned();
        let mut browser = self.browser();
        let seen = browser.sign_in("/approve").await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.text);
        browser
    }
}

/// A browser: it keeps cookies, and says where its forms come from.
pub(crate) struct Browser<'a> {
    bench: &'a Bench,
    pub(crate) cookies: BTreeMap<String, String>,
}

pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a hidden field, in the form of which this button is, or the first.
    pub(crate) fn field(&self, form: &str, name: &str) -> String {
        let start = self.text.find(form).unwrap_or_else(|| panic!("no `{form}`:\n{}", self.text));
        let rest = &self.text[start..];
        let at = rest.find(&format!("name=\"{name}\"")).unwrap();
        let value = rest[at..].split("value=\"").nth(1).unwrap();
        value.split('"').next().unwrap().to_owned()
    }

    /// An attribute.
    pub(crate) fn attribute(&self, name: &str) -> String {
        let found = self.text.split(&format!("{name}=\"")).nth(1);
        found.unwrap_or_else(|| panic!("no {name}")).split('"').next().unwrap().to_owned()
    }
}

impl Browser<'_> {
    pub(crate) async fn open(&mut self, path: &str) -> Seen {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        self.post_from(path, fields, &[("origin", ORIGIN), ("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn post_from(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Seen {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut request =
            Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(form.finish())).unwrap()).await
    }

    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> Seen {
        let headers = request.headers_mut();
        headers.entry("host").or_insert(self.bench.host.parse().unwrap());
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            headers.insert("cookie", pairs.join("; ").parse().unwrap());
        }
        let response = self.bench.router.clone().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            let (pair, rest) = text.split_once("; ").unwrap();
            assert!(rest.starts_with("Path=/; Secure; HttpOnly; SameSite=Lax"), "{text}");
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-"), "{text}");
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Seen { status: parts.status, headers: parts.headers, text }
    }

    /// Goes to the provider: what it was asked.
    pub(crate) async fn go_to_provider(&mut self, next: &str) -> BTreeMap<String, String> {
        let seen = self.open(&format!("/sign-in/start?next={next}")).await;
        assert_eq!(seen.status, StatusCode::SEE_OTHER, "{}", seen.text);
        let (to, query) = seen.header("location").split_once('?').unwrap();
        assert_eq!(to, "https://id.example/authorize");
        let asked: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        *self.bench.provider.asked.lock().unwrap() = asked.clone();
        asked
    }

    /// The whole way to the provider and back.
    pub(crate) async fn sign_in(&mut self, next: &str) -> Seen {
        let asked = self.go_to_provider(next).await;
        self.come_back(&asked["state"], "the-code").await
    }

    pub(crate) async fn come_back(&mut self, state: &str, code: &str) -> Seen {
        let iss = "https%3A%2F%2Fid.example";
        self.open(&format!("/sign-in/callback?code={code}&state={state}&iss={iss}")).await
    }
}
