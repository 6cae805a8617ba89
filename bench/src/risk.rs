//! Risk: what it adds to a decision, and what a flood of signals does to decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use safeconduct_engine::Understood;
use safeconduct_model::signal::{About, Kind, Severity, Source};
use safeconduct_model::{
    Decision, Digest, IdentityId, Mode, Signal, Subject, Timestamp, TokenId, Value,
};
use safeconduct_policy::{SourceFile, load};
use safeconduct_risk::detect::Tuning;
use safeconduct_service::memory::{MemoryLedger, ports};
use safeconduct_service::{Check, Service, Settings, World};

use crate::rounds::{Contestant, compete, quantile};
use crate::section::{Failure, Section, Target};
use crate::tasks;
use crate::world::{self, Naming};

/// Decisions of one batch.
const BATCH: u32 = 2_000;

/// Rounds that count.
const ROUNDS: u32 = 15;

/// Signals in a minute while decisions are timed.
const SIGNALS_PER_MINUTE: u32 = 100_000;

/// How long decisions are timed with signals and without, each.
const TIMED: Duration = Duration::from_secs(10);

/// When all of it happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_500_000_000);

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let (without, with) = runtime
        .block_on(async { Ok::<_, Failure>((service(false).await?, service(true).await?)) })?;
    let mut contestants = [
        contestant("without risk", &runtime, &without),
        contestant("with risk and detectors", &runtime, &with),
    ];
    compete(&mut contestants, ROUNDS, BATCH)?;
    let [before, after] = contestants.map(|one| one.median());
    let mut section = Section::new("Risk");
    section.targets();
    section.target("risk_adds_us", (after - before) / 1e3, Target::AtMost(10.0));
    section.number("decision_without_risk_us", before / 1e3);
    section.number("decision_with_risk_us", after / 1e3);
    let quiet = p99(&runtime, &with, None)?;
    let flood = p99(&runtime, &with, Some(SIGNALS_PER_MINUTE))?;
    section.target("p99_under_signals_ratio", flood / quiet.max(1.0), Target::AtMost(1.5));
    section.number("p99_quiet_us", quiet / 1e3);
    section.number("p99_under_signals_us", flood / 1e3);
    with.stop_detectors();
    section.line("");
    section.line(
        "The same permitted call over a ledger in memory that forgets: once with a policy that \
         looks at nothing of risk, once with one that does, 16 signals about each of session, \
         agent and issuer's user, and the detectors at work. Then its 99th percentile, quiet and \
         while 100,000 signals a minute come about 1,000 others and this agent.",
    );
    Ok(section)
}

fn contestant<'a>(
    name: &str,
    runtime: &'a tokio::runtime::Runtime,
    service: &'a Arc<Service>,
) -> Contestant<'a> {
    Contestant::new(name, move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                decide(service).await?;
            }
            Ok(())
        })
    })
}

/// The call that is decided.
pub(crate) fn call() -> Result<Check, Failure> {
    let agent = world::agent(0)?.id;
    Ok(Check {
        subject: Subject::Caller(safeconduct_model::Authentication {
            token: TokenId::new("tok_agent")?,
            ..tasks::proof(&agent)?
        }),
        action: world::entry(Naming::Folder)?.name,
        resource: None,
        input: Value::object([
            ("path", Value::from("/cases/7")),
            ("head", Value::from(40)),
            ("why", Value::from("the customer asked for it")),
        ]),
        asserted: None,
        session_name: None,
        pep: IdentityId::new("gateway:files")?,
        mode: Mode::Enforce,
        trace: None,
        parent: None,
        understood: Understood::LeftToCaller,
        network: None,
    })
}

async fn decide(service: &Service) -> Result<(), Failure> {
    let ruling = service.check(call()?).await.map_err(|refused| refused.reason.message())?;
    match ruling.value().outcome.decision {
        Decision::Permit => Ok(()),
        Decision::Deny => Err(format!("denied: {:?}", ruling.value().outcome.reasons).into()),
    }
}

/// The 99th percentile of a decision's time, in nanoseconds.
fn p99(
    runtime: &tokio::runtime::Runtime,
    service: &Arc<Service>,
    signals_per_minute: Option<u32>,
) -> Result<f64, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flood = signals_per_minute.map(|rate| {
        let (service, stop) = (Arc::clone(service), Arc::clone(&stop));
        runtime.spawn(async move {
            // As they come: some together, 100 times a second.
            let together = rate / 6_000;
            let mut every = tokio::time::interval(Duration::from_millis(10));
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                every.tick().await;
                let signals = (0..together).map(|_| {
                    number += 1;
                    signal(number % 1_000, number, Severity::Low)
                });
                let signals: Vec<Signal> = signals.filter_map(Result::ok).collect();
                let _ = service.take_signals(signals, None).await;
            }
        })
    });
    let mut samples = Vec::new();
    runtime.block_on(async {
        let began = Instant::now();
        while began.elapsed() < TIMED {
            let one = Instant::now();
            decide(service).await?;
            samples.push(one.elapsed().as_nanos() as f64);
        }
        stop.store(true, Ordering::Relaxed);
        if let Some(flood) = flood {
            flood.await?;
        }
        Ok::<_, Failure>(())
    })?;
    Ok(quantile(&samples, 0.99))
}

/// One about the agent that decides, where the subject is 0.
fn signal(subject: u64, number: u64, severity: Severity) -> Result<Signal, Failure> {
    let about = match subject {
        0 => world::agent(0)?.id,
        other => IdentityId::new(format!("somebody-{other}"))?,
    };
    let source = Source::Webhook("bench".into());
    let about = About::Identity(about);
    Ok(Signal::new(about, Kind::Reported, severity, source, format!("s{number}"), NOW))
}

async fn service(risk: bool) -> Result<Arc<Service>, Failure> {
    let (mut ports, _, clock) = ports();
    ports.ledger = Arc::new(MemoryLedger::forgetful());
    clock.set(NOW);
    let text = match risk {
        false => "permit (principal, action, resource);",
        true => {
            "permit (principal, action, resource);
             forbid (principal, action, resource)
             when { context.risk.score > 100 || context.risk.signals.contains(\"session_revoked\") };"
        }
    };
    let policies =
        Arc::new(load(&world::sources(vec![SourceFile::new("p.cedar", text)])?)?.policies);
    let entry = world::entry(Naming::Folder)?;
    let actions = BTreeMap::from([(entry.name.clone(), entry)]);
    let catalogue = Arc::new(safeconduct_model::Catalogue { actions, ..Default::default() });
    let world = World::new(policies, catalogue, Digest::from_bytes([9; 32]), world::vocabulary()?);
    let settings = Settings { calls_max: u64::MAX, ..Settings::default() };
    let service = Arc::new(Service::new(ports, settings, world));
    service.change_identity(world::agent(0)?, &IdentityId::new("bench")?).await?;
    if risk {
        let signals = (0..16).map(|number| signal(0, 1_000_000 + number, Severity::Low));
        service.take_signals(signals.collect::<Result<_, _>>()?, None).await?;
        service.prepare_detectors(Tuning::default(), Vec::new());
        if let Some(detecting) = service.start_detectors() {
            let service = Arc::clone(&service);
            std::thread::spawn(move || detecting.run(&service));
        }
    }
    Ok(service)
}
