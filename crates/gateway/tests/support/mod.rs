//! A decision point over ports in memory, for tests and examples of the gateway.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use safeconduct_gateway::{Gateway, GatewayConfig, Limits, Transport, UpstreamConfig};
use safeconduct_ledger::decode;
use safeconduct_model::*;
use safeconduct_pep::InProcess;
use safeconduct_policy::{SourceFile, Sources, ToolDefinition, load};
use safeconduct_service::memory::{MemoryClock, MemoryLedger, ports};
use safeconduct_service::{Service, Settings, Vocabulary, World, definition_digest, token_digest};
use safeconduct_wire::catalogue::definition_digest_input;

pub const PERMIT_ALL: &str = "@id(\"all\") permit (principal, action, resource);";
pub const TOKEN: &str = "token-of-the-agent";
pub const OTHER_TOKEN: &str = "token-of-the-other-agent";

const METHODS: &[&str] = &[
    "completion/complete",
    "elicitation/create",
    "logging/setLevel",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "sampling/createMessage",
];

pub struct Point {
    pub service: Arc<Service>,
    pub ledger: Arc<MemoryLedger>,
    pub clock: Arc<MemoryClock>,
}

fn entry(server: &ServerName, action: String, definition: Option<Digest>) -> ActionEntry {
    ActionEntry {
        name: ActionName::new(action).unwrap(),
        server: Some(server.clone()),
        tier: Tier::Low,
        effect: Effect::Read,
        guessed: false,
        integrity: Integrity::Untrusted,
        confidentiality: Confidentiality::Internal,
        resources: Vec::new(),
        definition,
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    }
}

/// A decision point that knows one server with those tools, pinned as they are, and two agents.
pub async fn point(server: &ServerName, tools: &[Value], policies: &str) -> Point {
    let mut catalogue = Catalogue::default();
    let mut sources = Sources {
        policies: vec![SourceFile::new("p.cedar", policies)],
        servers: vec![server.clone()],
        ..Sources::default()
    };
    for tool in tools {
        let name = tool.member("name").and_then(Value::as_str).unwrap();
        let pin = definition_digest(&definition_digest_input(tool));
        let entry = entry(server, format!("{server}.{name}"), Some(pin));
        catalogue.actions.insert(entry.name.clone(), entry);
        sources.definitions.push(ToolDefinition {
            server: server.clone(),
            tool: name.to_owned(),
            definition: tool.clone(),
        });
    }
    for method in METHODS {
        let entry = entry(server, format!("{server}/{method}"), None);
        sources.actions.push((entry.name.clone(), entry.server.clone()));
        catalogue.actions.insert(entry.name.clone(), entry);
    }
    let loaded = load(&sources).unwrap_or_else(|error| panic!("{error:?}"));
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let world = World::new(
        Arc::new(loaded.policies),
        Arc::new(catalogue),
        Digest::from_bytes([9; 32]),
        vocabulary,
    );
    let (ports, ledger, clock) = ports();
    let service = Arc::new(Service::new(ports, Settings::default(), world));
    let me = IdentityId::new("admin").unwrap();
    for (id, token) in [("agent", TOKEN), ("other", OTHER_TOKEN)] {
        let identity = Identity {
            id: IdentityId::new(id).unwrap(),
            kind: IdentityKind::Agent,
            status: IdentityStatus::Active,
            owner: Some(IdentityId::new("alice").unwrap()),
            fallback_owner: Some(IdentityId::new("bob").unwrap()),
            environment: None,
            groups: BTreeSet::new(),
            pep: None,
            roles: BTreeSet::new(),
        };
        service.change_identity(identity.clone(), &me).await.unwrap();
        let token = Token {
            id: TokenId::new(format!("tok_{id}")).unwrap(),
            identity: identity.id,
            digest: token_digest(token),
            issued_at: Timestamp::default(),
            expires_at: Timestamp::from_millis(4_102_444_800_000),
            revoked: false,
        };
        service.register_token(token, &me).await.unwrap();
    }
    Point { service, ledger, clock }
}

impl Point {
    pub fn gateway(&self, upstream: UpstreamConfig, limits: Limits) -> Gateway<InProcess> {
        let config = GatewayConfig { upstreams: vec![upstream], limits, ..Default::default() };
        Gateway::new(config, Arc::new(InProcess::new(Arc::clone(&self.service)))).unwrap()
    }

    fn bodies(&self) -> Vec<Body> {
        let entries = self.ledger.entries();
        entries.iter().map(|entry| decode(&entry.leaf).unwrap().body).collect()
    }

    /// Every decision so far: action and answer.
    pub fn decisions(&self) -> Vec<(String, Decision)> {
        let decided = self.bodies().into_iter().filter_map(|body| match body {
            Body::Decided(decided) => Some((decided.action.to_string(), decided.decision)),
            _ => None,
        });
        decided.collect()
    }

    /// Every outcome so far.
    pub fn outcomes(&self) -> Vec<(Execution, Option<String>)> {
        let executed = self.bodies().into_iter().filter_map(|body| match body {
            Body::Executed(executed) => {
                Some((executed.execution, executed.detail.map(|detail| detail.to_string())))
            }
            _ => None,
        });
        executed.collect()
    }

    pub fn kinds(&self) -> Vec<&'static str> {
        self.bodies().iter().map(Body::kind).collect()
    }
}

/// A child process as upstream, with `PATH` and `HOME` of this one.
pub fn stdio(name: &str, command: &str, args: &[&str]) -> UpstreamConfig {
    let env = ["PATH", "HOME"]
        .into_iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    UpstreamConfig {
        name: ServerName::new(name).unwrap(),
        mode: Mode::Enforce,
        revision: None,
        call: None,
        answer_bytes: None,
        transport: Transport::Stdio {
            command: command.into(),
            args: args.iter().map(OsString::from).collect(),
            env: env.collect(),
            cwd: None::<PathBuf>,
        },
    }
}

pub fn http(name: &str, url: &str) -> UpstreamConfig {
    UpstreamConfig {
        name: ServerName::new(name).unwrap(),
        mode: Mode::Enforce,
        revision: None,
        call: None,
        answer_bytes: None,
        transport: Transport::Http { url: url.into(), headers: http::HeaderMap::new() },
    }
}
