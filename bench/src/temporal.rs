//! Order and count rules: what ten of them add to a decision, and 10,000 policies that have one
//! each beside Dogwood's own durable engine, wall time, every event on disk before its answer.

use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use dogwood_language::{Event as Logged, EventBuilder, Value as Said};
use dogwood_local_engine::{DurableError, DurableTemporalEngine, Outcome};
use safeconduct_model::{
    ActionName, Assurance, Confidentiality, Decision, Effect, Entity, EntityRef, IdentityKind,
    Integrity, Label, Method, ServerName, Tier, Timestamp, Value,
};
use safeconduct_policy::{
    ActionSituation, AdditionalArguments, FlowSituation, History, IdentitySituation, Past,
    Policies, Question, SessionSituation, Situation, SourceFile, Sources, ToolDefinition, load,
};
use safeconduct_session::monitor::{Event, Monitors, REQUEST, RESPONSE};

use crate::decide;
use crate::rounds::median;
use crate::section::{Failure, Section, Target, short};

/// How many policies, and how many actions they are about.
const POLICIES: usize = 10_000;
const ACTIONS: usize = 1_000;
/// Events of each contestant.
const ROUNDS: usize = 400;
const AT: i64 = 1_795_500_000_000;

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let [without, with, and_read] = decide::with_temporal_clauses()?;
    let folder = tempfile::tempdir()?;
    let began = Instant::now();
    let ours = Ours::new(folder.path())?;
    let our_load = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let failed = |error: DurableError| Failure::from(format!("the peer: {error:?}"));
    let store = folder.path().join("peer.redb");
    let mut peer = DurableTemporalEngine::open(store, 1000).map_err(failed)?;
    let peer_policies = policies("Drupe::Action");
    peer.install(&peer_policies, &peer_schema(), None, None).map_err(failed)?;
    let peer_load = began.elapsed().as_secs_f64();
    let (mut ours_ns, mut peer_ns) = (Vec::new(), Vec::new());
    let mut ours = ours;
    for round in 0..ROUNDS {
        // A session uses some of them.
        let action = (round * 7) % (ACTIONS / 10);
        // What the policies of an action ask for has happened every other time.
        if round % 2 == 0 {
            ours.happened(action)?;
            peer.submit(logged(action, RESPONSE)).map_err(failed)?;
        }
        let began = Instant::now();
        let answer = ours.ask(action)?;
        ours_ns.push(began.elapsed().as_nanos() as f64);
        let began = Instant::now();
        let submitted = peer.submit(logged(action, REQUEST)).map_err(failed)?;
        peer_ns.push(began.elapsed().as_nanos() as f64);
        let Outcome::Decision(verdict) = submitted.outcome else {
            return Err("the peer gave no verdict".into());
        };
        if verdict.allowed() != (answer == Decision::Permit) {
            return Err(format!("the answers differ at round {round}").into());
        }
    }
    let (ours_ns, peer_ns) = (median(&ours_ns), median(&peer_ns));
    let mut section = Section::new("Order and count rules");
    section.targets();
    section.target("temporal_10_over_none", with / without, Target::AtMost(2.0));
    section.target("temporal_10_and_flow_over_none", and_read / without, Target::AtMost(2.0));
    section.target("dogwood_engine_over_ours_10k", peer_ns / ours_ns, Target::AtLeast(50.0));
    section.number("temporal_decide_us", with / 1e3);
    section.number("temporal_and_flow_decide_us", and_read / 1e3);
    section.number("temporal_10k_us", ours_ns / 1e3);
    section.number("dogwood_engine_10k_us", peer_ns / 1e3);
    section.number("temporal_10k_load_s", our_load);
    section.number("dogwood_engine_10k_load_s", peer_load);
    section.number("temporal_10k_session_bytes", ours.session.bytes() as f64);
    section.line("");
    section.line(format!(
        "A decision takes {} µs with ten temporal policies in scope, {} µs where its session has \
         read 1 MB of results too (its arguments are looked up for the record; no policy looks), \
         {} µs without either. Of {POLICIES} \
         policies with a temporal clause each, about {ACTIONS} actions, a request is decided on, \
         remembered and written to disk in {} µs (loaded in {} s); by `dogwood-local-engine` in \
         {} µs (installed in {} s).",
        short(with / 1e3),
        short(and_read / 1e3),
        short(without / 1e3),
        short(ours_ns / 1e3),
        short(our_load),
        short(peer_ns / 1e3),
        short(peer_load),
    ));
    Ok(section)
}

/// Ten policies for each action: each asks for another action's result.
fn policies(action: &str) -> String {
    let mut text = String::new();
    for number in 0..POLICIES {
        let (of, after) = (number % ACTIONS, (number % ACTIONS + number / ACTIONS) % ACTIONS);
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            "@id(\"p{number}\")\npermit (principal, action == {action}::\"s.a{of}\", resource)\n\
             when temporal {{ formerly within 1h {action}::\"s.a{after}\"::response{{ \
             input.user: context.input.user }} }};\n"
        );
    }
    text
}

fn peer_schema() -> String {
    let mut text = String::from(
        "namespace Drupe {\n type In = { user: String };\n entity Gateway;\n entity OAuthUser;\n",
    );
    for number in 0..ACTIONS {
        let _ = writeln!(
            text,
            "action \"s.a{number}\" appliesTo {{ principal: [OAuthUser], resource: [Gateway], \
             context: {{ input: In }} }};"
        );
    }
    text + "}\n"
}

fn logged(action: usize, kind: &str) -> EventBuilder {
    let user = || Said::String("alice".to_owned());
    Logged::builder(&format!("Drupe::Action::s.a{action}"), kind)
        .principal("Drupe::OAuthUser::\"alice\"")
        .resource("Drupe::Gateway::\"gw1\"")
        .logged_field(
            "callerPrincipal",
            Said::Entity { ty: "Drupe::OAuthUser".to_owned(), id: "alice".to_owned() },
        )
        .field("input", "user", user())
        .request_context("input", "user", user())
}

struct Ours {
    policies: Policies,
    session: Monitors,
    identity: Monitors,
    log: File,
    principal: Entity,
    resource: Entity,
    input: Value,
    at: i64,
}

impl Ours {
    fn new(folder: &std::path::Path) -> Result<Self, Failure> {
        let text = policies("Safeconduct::Action");
        // Each file is read on its own, and has a limit.
        let statements: Vec<&str> = text.split_inclusive("};\n").collect();
        let files = statements.chunks(1000).enumerate();
        let files = files.map(|(number, some)| {
            SourceFile::new(format!("temporal-{number}.cedar"), some.concat())
        });
        let schema = Value::object([
            ("type", Value::from("object")),
            (
                "properties",
                Value::object([("user", Value::object([("type", Value::from("string"))]))]),
            ),
        ]);
        let server = ServerName::new("s")?;
        let definitions = (0..ACTIONS).map(|number| {
            let name = format!("a{number}");
            let definition = Value::object([
                ("name", Value::from(name.as_str())),
                ("inputSchema", schema.clone()),
            ]);
            ToolDefinition { server: server.clone(), tool: name, definition }
        });
        let sources = Sources {
            policies: files.collect(),
            servers: vec![server.clone()],
            definitions: definitions.collect(),
            ..Sources::default()
        };
        let policies = load(&sources)?.policies;
        if policies.len() != POLICIES {
            return Err(format!("{} policies", policies.len()).into());
        }
        Ok(Self {
            policies,
            session: Monitors::default(),
            identity: Monitors::default(),
            log: File::create(folder.join("ours.log"))?,
            principal: Entity::bare(EntityRef::new("Safeconduct::Agent", "alice")?),
            resource: Entity::bare(EntityRef::new("Safeconduct::Server", "s")?),
            input: Value::object([("user", Value::from("alice"))]),
            at: AT,
        })
    }

    fn remember(
        &mut self,
        kind: &str,
        action: &ActionName,
        decision: Option<Decision>,
    ) -> Result<(), Failure> {
        let resources = [&self.resource.uid];
        let event = event(kind, action, &self.principal.uid, &resources, &self.input, self.at);
        let line = format!("{kind} {action} {decision:?} {:0>200}\n", self.at);
        self.log.write_all(line.as_bytes())?;
        self.log.sync_data()?;
        let programs = self.policies.monitors();
        let event = Event { decision, ..event };
        self.session.observe(programs.programs(History::Session), &event);
        self.identity.observe(programs.programs(History::Identity), &event);
        Ok(())
    }

    fn happened(&mut self, action: usize) -> Result<(), Failure> {
        self.at += 10;
        self.remember(RESPONSE, &ActionName::new(format!("s.a{action}"))?, None)
    }

    fn ask(&mut self, action: usize) -> Result<Decision, Failure> {
        self.at += 10;
        let action = ActionName::new(format!("s.a{action}"))?;
        let resources = [&self.resource.uid];
        let event = event(REQUEST, &action, &self.principal.uid, &resources, &self.input, self.at);
        let situation = situation(self.at);
        let question = Question {
            principal: &self.principal,
            action: &action,
            resource: &self.resource,
            input: &self.input,
            additional: AdditionalArguments::Refused,
            situation: &situation,
            extra: &[],
        };
        let past = Past { session: &self.session, identity: &self.identity, event: &event };
        let answer = black_box(self.policies.evaluate_after(&question, Some(&past))?);
        let decision = answer.enforced.decision();
        self.remember(REQUEST, &action, Some(decision))?;
        Ok(decision)
    }
}

const fn event<'a>(
    kind: &'a str,
    action: &'a ActionName,
    principal: &'a EntityRef,
    resources: &'a [&'a EntityRef],
    input: &'a Value,
    at: i64,
) -> Event<'a> {
    Event {
        kind,
        action,
        principal: Some(principal),
        resources,
        input,
        output: None,
        beside: None,
        at: Timestamp::from_millis(at),
        decision: None,
    }
}

fn situation(at: i64) -> Situation<'static> {
    Situation {
        session: SessionSituation {
            steps: 3,
            denials: 1,
            distinct_resources: 2,
            calls_left: 97,
            actions: Vec::new(),
            label: Label::least(),
        },
        identity: IdentitySituation {
            kind: Some(IdentityKind::Agent),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            age_s: 60,
        },
        action: ActionSituation {
            tier: Tier::Low,
            effect: Effect::Read,
            trust: Integrity::Untrusted,
            guessed: false,
            accepts: Confidentiality::Internal,
        },
        now: Timestamp::from_millis(at),
        task: None,
        flow: FlowSituation::default(),
        risk: safeconduct_policy::RiskSituation::default(),
        approval: None,
        request: None,
    }
}
