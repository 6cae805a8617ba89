//! A decision point over ports in memory, for tests and examples of the gateway.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use safeconduct_gateway::{Gateway, GatewayConfig, Limits, Transport, UpstreamConfig};
use safeconduct_ledger::decode;
use safeconduct_model::*;
use safeconduct_pep::InProcess;
use safeconduct_policy::{SourceFile, Sources, ToolDefinition, load};
use safeconduct_service::memory::{MemoryClock, MemoryLedger, ports};
use safeconduct_service::{
    Narrowed, Service, Settings, Undertaking, Vocabulary, World, definition_digest, token_digest,
};
use safeconduct_wire::catalogue::definition_digest_input;

pub mod client;

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
        effect: if definition.is_some() { Effect::Send } else { Effect::Read },
        guessed: false,
        returns: safeconduct_model::Returns::uniform(safeconduct_model::Label {
            integrity: Integrity::Untrusted,
            confidentiality: Confidentiality::Internal,
            ..safeconduct_model::Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition,
        raises: Vec::new(),
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
            sponsor: None,
            imported: None,
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

    /// Says that the server's greeting was approved as it has that digest, and is trusted.
    pub async fn pin_greeting(&self, server: &str, definition: Digest) {
        let server = ServerName::new(server).unwrap();
        let mut entry = entry(&server, format!("{server}/initialize"), Some(definition));
        entry.returns.default.integrity = Integrity::Trusted;
        let world = self.service.world();
        let mut catalogue = Catalogue::clone(world.catalogue());
        catalogue.actions.insert(entry.name.clone(), entry);
        let (policies, vocabulary) =
            (world.policies().clone(), Arc::new(Vocabulary::new("Safeconduct").unwrap()));
        let digest = Digest::from_bytes([10; 32]);
        let changed =
            self.service.change_policies(policies, Arc::new(catalogue), digest, vocabulary, "test");
        changed.await.unwrap();
    }

    /// Puts intents in force, each of which allows those tools of the server; `strict` with no
    /// argument, `few_bytes` for 100 bytes in all.
    pub async fn intents(&self, server: &str, intents: &[(&str, &[&str])]) {
        let all = intents.iter().map(|(name, tools)| intent(server, name, tools));
        let versions = all.map(|intent| (intent.name.clone(), BTreeMap::from([(1, intent)])));
        let intents = Intents { versions: versions.collect(), digest: Digest::from_bytes([5; 32]) };
        self.service.change_intents(Arc::new(intents)).await.unwrap();
    }

    /// Begins a task of the agent with a handle, as an orchestrator does.
    pub async fn begin(&self, intent: &str, handle: &str) -> TaskId {
        let orchestrator = Identity {
            id: IdentityId::new("orchestrator").unwrap(),
            kind: IdentityKind::Workload,
            status: IdentityStatus::Active,
            owner: Some(IdentityId::new("alice").unwrap()),
            sponsor: None,
            imported: None,
            fallback_owner: Some(IdentityId::new("bob").unwrap()),
            environment: None,
            groups: BTreeSet::new(),
            pep: None,
            roles: BTreeSet::from([Role::Orchestrator]),
        };
        let by = Authentication {
            identity: orchestrator.id.clone(),
            token: TokenId::new("tok_orchestrator").unwrap(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: Timestamp::default(),
            expires_at: None,
            task: None,
        };
        let me = IdentityId::new("admin").unwrap();
        self.service.change_identity(orchestrator, &me).await.unwrap();
        let undertaking = Undertaking {
            by,
            agent: IdentityId::new("agent").unwrap(),
            intent: IntentName::new(intent).unwrap(),
            version: None,
            parameters: BTreeMap::from([("case".into(), Value::from("C-1"))]),
            prompt: None,
            on_behalf_of: None,
            narrowed: Narrowed::default(),
            handle: Some(token_digest(handle)),
            conversation: None,
            run_of: None,
            pep: me,
            trace: None,
        };
        self.service.begin_task(undertaking).await.unwrap().id.clone()
    }

    pub fn bodies(&self) -> Vec<Body> {
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

fn intent(server: &str, name: &str, tools: &[&str]) -> Intent {
    let allowance = |tool: &&str| Allowance {
        // A method's name has a `/` already.
        action: ActionName::new(match tool.contains('/') {
            true => format!("{server}/{tool}"),
            false => format!("{server}.{tool}"),
        })
        .unwrap(),
        resources: Vec::new(),
        arguments: Vec::new(),
        others: match (name, tool.contains('/')) {
            ("strict", false) => OtherArguments::Refused,
            _ => OtherArguments::Allowed,
        },
    };
    let case = Parameter {
        ty: ParameterType::Identifier,
        default: None,
        description: Some("Which case.".into()),
    };
    Intent {
        name: IntentName::new(name).unwrap(),
        version: 1,
        description: "A test's.".into(),
        parameters: BTreeMap::from([("case".into(), case)]),
        envelope: tools.iter().map(allowance).collect(),
        budget: Budget {
            calls: 100,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: (name == "few_bytes").then_some(100),
        },
        on_behalf_of: OnBehalfOf::Optional,
        longest_s: 600,
        idle_s: 600,
        tier_max: Tier::Moderate,
        delegation_depth: 3,
        credentials: BTreeMap::new(),
        schedules: BTreeMap::new(),
        undertakers: Undertakers {
            identities: BTreeSet::from([IdentityId::new("agent").unwrap()]),
            ..Undertakers::default()
        },
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
        approvals: Default::default(),
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
        approvals: Default::default(),
        transport: Transport::Http { url: url.into(), headers: http::HeaderMap::new() },
    }
}
