//! Order and count rules: what ten of them add to a decision, and 10,000 policies that have one
//! each beside Dogwood's own durable engine, wall time, every event on disk before its answer.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dogwood_language::{Event as Logged, EventBuilder, Value as Said};
use dogwood_local_engine::{DurableError, DurableTemporalEngine, Outcome};
use safeconduct_ledger::Origin;
use safeconduct_model::{
    ActionEntry, ActionName, Catalogue, Decision, Digest, Execution, IdentityId, ServerName,
    Timestamp, Value,
};
use safeconduct_policy::{SourceFile, Sources, ToolDefinition, load};
use safeconduct_service::memory::{MemoryClock, ports};
use safeconduct_service::{Check, Ledger, Recorded, Report, Ruling, Service, Settings, World};
use safeconduct_session::monitor::{REQUEST, RESPONSE};
use safeconduct_store::{Store, StoreOptions};
use tokio::runtime::Runtime;

use crate::rounds::median;
use crate::section::{Failure, Section, Target, short};
use crate::world::{self, Naming};
use crate::{decide, risk};

/// How many policies, and how many actions they are about.
const POLICIES: usize = 10_000;
const ACTIONS: usize = 1_000;
/// Events of each contestant.
const ROUNDS: usize = 400;
/// How many rounds of one contestant come before as many of the other.
const TURN: usize = 20;
const AT: i64 = 1_795_500_000_000;

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let decided = decide::with_temporal_clauses()?;
    let without = decided.plain;
    let folder = tempfile::tempdir()?;
    let began = Instant::now();
    let mut ours = Ours::new(folder.path())?;
    let our_load = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let failed = |error: DurableError| Failure::from(format!("the peer: {error:?}"));
    let store = folder.path().join("peer.redb");
    let mut peer = DurableTemporalEngine::open(store, 1000).map_err(failed)?;
    let peer_policies = policies("Drupe::Action");
    peer.install(&peer_policies, &peer_schema(), None, None).map_err(failed)?;
    let peer_load = began.elapsed().as_secs_f64();
    let (ours_ns, peer_ns) = race(&mut ours, &mut peer, TURN)?;
    let (ours_alone_ns, peer_alone_ns) = race(&mut ours, &mut peer, 1)?;
    let mut section = Section::new("Order and count rules");
    section.targets();
    section.target("temporal_10_over_none", decided.temporal / without, Target::AtMost(2.0));
    let and_flow = decided.looked / without;
    section.target("temporal_10_and_flow_over_none", and_flow, Target::AtMost(2.0));
    section.target("dogwood_engine_over_ours_10k", peer_ns / ours_ns, Target::AtLeast(50.0));
    let one_by_one = peer_alone_ns / ours_alone_ns;
    section.number("dogwood_engine_over_ours_10k_one_by_one", one_by_one);
    section.number("temporal_10k_one_by_one_us", ours_alone_ns / 1e3);
    section.number("temporal_decide_us", decided.temporal / 1e3);
    section.number("temporal_and_flow_decide_us", decided.looked / 1e3);
    section.number("temporal_and_flow_unlooked_over_none", decided.read / without);
    section.number("temporal_flow_and_baseline_over_none", decided.baseline / without);
    section.number("temporal_10k_us", ours_ns / 1e3);
    section.number("dogwood_engine_10k_us", peer_ns / 1e3);
    section.number("temporal_10k_load_s", our_load);
    section.number("dogwood_engine_10k_load_s", peer_load);
    section.line("");
    section.line(format!(
        "A decision takes {} µs without temporal policies in scope, {} µs with ten, {} µs where its \
         session has read 1 MB of results too and one of the ten looks at where its arguments came \
         from ({} µs where none looks, and it is for the record alone), {} µs where the whole \
         baseline pack is in force besides. Of {POLICIES} \
         policies with a temporal clause each, about {ACTIONS} actions, a request is decided on, \
         recorded in the ledger and on disk in {} µs (loaded in {} s), by the whole decision \
         point without HTTP; by `dogwood-local-engine` in \
         {} µs (installed in {} s). They take turns of {TURN} requests; in turns of one, where each \
         request of ours wakes a disk and threads that have slept for as long as the peer takes, it \
         is {} µs, a ratio of {}.",
        short(without / 1e3),
        short(decided.temporal / 1e3),
        short(decided.looked / 1e3),
        short(decided.read / 1e3),
        short(decided.baseline / 1e3),
        short(ours_ns / 1e3),
        short(our_load),
        short(peer_ns / 1e3),
        short(peer_load),
        short(ours_alone_ns / 1e3),
        short(one_by_one),
    ));
    Ok(section)
}

/// Medians of a request's time in nanoseconds, ours and the peer's, who take turns of so many.
fn race(
    ours: &mut Ours,
    peer: &mut DurableTemporalEngine,
    turn: usize,
) -> Result<(f64, f64), Failure> {
    let failed = |error: DurableError| Failure::from(format!("the peer: {error:?}"));
    let (mut ours_ns, mut peer_ns) = (Vec::new(), Vec::new());
    let rounds: Vec<usize> = (0..ROUNDS).collect();
    for turn in rounds.chunks(turn) {
        let mut answers = Vec::with_capacity(turn.len());
        for round in turn {
            let action = action_of(*round);
            // What the policies of an action ask for has happened every other time.
            if round % 2 == 0 {
                ours.happened(action)?;
            }
            let began = Instant::now();
            answers.push(ours.ask(action)?);
            ours_ns.push(began.elapsed().as_nanos() as f64);
        }
        for (round, answer) in turn.iter().zip(answers) {
            let action = action_of(*round);
            if round % 2 == 0 {
                peer.submit(logged(action, RESPONSE)).map_err(failed)?;
            }
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
    }
    Ok((median(&ours_ns), median(&peer_ns)))
}

/// A session uses some of the actions.
const fn action_of(round: usize) -> usize {
    (round * 7) % (ACTIONS / 10)
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

/// A decision point with its ledger on disk.
struct Ours {
    runtime: Runtime,
    service: Arc<Service>,
    clock: Arc<MemoryClock>,
    at: i64,
}

impl Ours {
    fn new(folder: &Path) -> Result<Self, Failure> {
        let sources = sources()?;
        let policies = load(&sources)?.policies;
        if policies.len() != POLICIES + 1 {
            return Err(format!("{} policies", policies.len()).into());
        }
        let (data, keys) = (folder.join("data"), folder.join("keys"));
        let origin = Origin::new("bench/temporal")?;
        let store = Arc::new(Store::open(StoreOptions::new(data, keys, origin))?);
        let (mut ports, _, clock) = ports();
        ports.ledger = store as Arc<dyn Ledger>;
        clock.set(Timestamp::from_millis(AT));
        let entries = (0..ACTIONS).map(entry).collect::<Result<Vec<_>, _>>()?;
        let actions = entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        let catalogue = Arc::new(Catalogue { actions, ..Catalogue::default() });
        let (policies, digest) = (Arc::new(policies), Digest::from_bytes([9; 32]));
        let world = World::new(policies, catalogue, digest, world::vocabulary()?);
        let settings = Settings { calls_max: u64::MAX, ..Settings::default() };
        let service = Arc::new(Service::new(ports, settings, world));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let agent = world::agent(0)?;
        runtime.block_on(service.change_identity(agent, &IdentityId::new("bench")?))?;
        Ok(Self { runtime, service, clock, at: AT })
    }

    fn check(&mut self, action: usize, seed: bool) -> Result<Recorded<Ruling>, Failure> {
        self.at += 10;
        self.clock.set(Timestamp::from_millis(self.at));
        let user = [("user", Value::from("alice"))].into_iter();
        let input = Value::object(user.chain(seed.then_some((SEED, Value::Bool(true)))));
        let check = Check { action: name(action)?, input, ..risk::call()? };
        let ruling = self.runtime.block_on(self.service.check(check));
        Ok(ruling.map_err(|refused| refused.reason.message())?)
    }

    /// A call that is permitted, and its result.
    fn happened(&mut self, action: usize) -> Result<(), Failure> {
        let ruling = self.check(action, true)?;
        let report = Report {
            decision: ruling.value().decision().clone(),
            reported_by: IdentityId::new("gateway:files")?,
            execution: Execution::Succeeded,
            duration_ms: Some(3),
            result: None,
            detail: None,
            edits: Vec::new(),
            read: Default::default(),
            beside: Default::default(),
        };
        Ok(self.runtime.block_on(self.service.observe(report))?)
    }

    fn ask(&mut self, action: usize) -> Result<Decision, Failure> {
        Ok(self.check(action, false)?.value().outcome.decision)
    }
}

/// The argument of calls that happen before anything that lets them.
const SEED: &str = "seed";

fn name(action: usize) -> Result<ActionName, Failure> {
    Ok(ActionName::new(format!("s.a{action}"))?)
}

fn entry(action: usize) -> Result<ActionEntry, Failure> {
    Ok(ActionEntry {
        name: name(action)?,
        server: Some(ServerName::new("s")?),
        arguments: Vec::new(),
        ..world::entry(Naming::Itself)?
    })
}

fn sources() -> Result<Sources, Failure> {
    let text = policies("Safeconduct::Action");
    // Each file is read on its own, and has a limit.
    let statements: Vec<&str> = text.split_inclusive("};\n").collect();
    let files = statements.chunks(1000).enumerate();
    let files = files
        .map(|(number, some)| SourceFile::new(format!("temporal-{number}.cedar"), some.concat()));
    let seed = format!(
        "permit (principal, action, resource) \
         when {{ context has input && context.input has {SEED} }};"
    );
    let typed = |ty: &str| Value::object([("type", Value::from(ty))]);
    let schema = Value::object([
        ("type", Value::from("object")),
        ("properties", Value::object([("user", typed("string")), (SEED, typed("boolean"))])),
    ]);
    let server = ServerName::new("s")?;
    let definitions = (0..ACTIONS).map(|number| {
        let name = format!("a{number}");
        let definition =
            Value::object([("name", Value::from(name.as_str())), ("inputSchema", schema.clone())]);
        ToolDefinition { server: server.clone(), tool: name, definition }
    });
    Ok(Sources {
        policies: files.chain([SourceFile::new("seed.cedar", seed)]).collect(),
        servers: vec![server.clone()],
        definitions: definitions.collect(),
        ..Sources::default()
    })
}
