//! What risk adds to a decision: the score of everything that concerns it, and showing its record
//! to the detectors; and what their look at it costs them. The first two together are to stay
//! below 10 microseconds. `cargo run --release -p safeconduct-risk --example cost`
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a clock is the point")]
#![expect(clippy::print_stdout, reason = "the result is for people")]

use std::hint::black_box;
use std::time::Instant;

use safeconduct_model::{
    ActionName, Body, Decided, DecidedTask, Decision, Digest, EntityRef, IdentityId, IntentName,
    KeyedDigest, Method, Mode, NameError, Record, RecordId, SessionKey, TaskId, Timestamp,
};
use safeconduct_risk::detect::{Detectors, Glimpse};
use safeconduct_risk::{
    About, HalfLives, Kind, SIGNALS_PER_SUBJECT_MAX, Severity, Signal, Signals, Source,
};

const ROUNDS: u32 = 100_000;
const AGENTS: u32 = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for signals in [0, 2, SIGNALS_PER_SUBJECT_MAX] {
        scores(signals)?;
    }
    detectors()?;
    Ok(())
}

/// The score of a decision whose subjects each have so many signals.
fn scores(each: usize) -> Result<(), Box<dyn std::error::Error>> {
    let now = Timestamp::from_millis(1_000_000);
    let mut signals = Signals::default();
    let mut concerned = Vec::new();
    for agent in 0..AGENTS {
        let user = IdentityId::new(format!("https://idp.example.com|user-{agent}"))?;
        let about = About::concerned(&session(agent)?, Some(&user));
        for about in &about {
            for n in 0..each {
                let (id, at) = (format!("r{n}"), Timestamp::from_millis(n as i64 * 1000));
                let kind = if n % 2 == 0 { Kind::Reported } else { Kind::UnseenAction };
                let source = Source::Detector;
                signals
                    .put(Signal::new(about.clone(), kind, Severity::Low, source, id, at), now)?;
            }
        }
        concerned.push(about);
    }
    let half_lives = HalfLives::default();
    let measured = |run: &dyn Fn(&[About])| {
        let began = Instant::now();
        concerned.iter().cycle().take(ROUNDS as usize).for_each(|about| run(about));
        began.elapsed().as_nanos() / u128::from(ROUNDS)
    };
    let score_ns = measured(&|about| {
        black_box(signals.weigh(about, black_box(now), &half_lives));
    });
    let parts_ns = measured(&|about| {
        black_box(signals.assess(about, black_box(now), &half_lives));
    });
    let subjects = concerned.first().map_or(0, Vec::len);
    println!(
        "{subjects} subjects with {each} signals each: score {score_ns} ns, with its parts \
         {parts_ns} ns"
    );
    Ok(())
}

/// The detectors' look at a record, on average and at the slowest.
fn detectors() -> Result<(), Box<dyn std::error::Error>> {
    let mut detectors = Detectors::default();
    let mut found = 0;
    let records: Vec<Record> = (0..ROUNDS).map(record).collect::<Result<_, NameError>>()?;
    let mut took: Vec<u128> = Vec::with_capacity(records.len());
    for record in &records {
        let began = Instant::now();
        found += black_box(detectors.observe(black_box(record))).len();
        took.push(began.elapsed().as_nanos());
    }
    let began = Instant::now();
    for record in &records {
        black_box(Glimpse::of(black_box(record)));
    }
    let shown_ns = began.elapsed().as_nanos() / u128::from(ROUNDS);
    println!("to show a record: {shown_ns} ns");
    took.sort_unstable();
    let sum: u128 = took.iter().sum();
    let at = |share: usize| took.get(took.len() * share / 1000).copied().unwrap_or_default();
    println!(
        "detectors: mean {} ns, p50 {} ns, p99 {} ns, p99.9 {} ns; {found} signals, {} profiles",
        sum / u128::from(ROUNDS),
        at(500),
        at(990),
        at(999),
        detectors.profiles()
    );
    Ok(())
}

fn session(agent: u32) -> Result<SessionKey, NameError> {
    let agent_id = IdentityId::new(format!("spiffe://example.org/agent/{agent}"))?;
    Ok(SessionKey::task(agent_id, TaskId::new(format!("task_{agent}"))?))
}

fn record(n: u32) -> Result<Record, NameError> {
    let agent = n % AGENTS;
    let session = session(agent)?;
    // Twenty actions, some more often than others.
    let action = (n / AGENTS).wrapping_mul(2_654_435_761) >> 7 & 31;
    Ok(Record {
        id: RecordId::new(format!("dec_{n}"))?,
        at: Timestamp::from_millis(i64::from(n) * 50),
        trace: None,
        parent: None,
        body: Body::Decided(Box::new(Decided {
            session_name: None,
            label: None,
            sequence: 1,
            pep: IdentityId::new("gateway:crm")?,
            method: Method::ApiKey,
            principal: EntityRef::new("Safeconduct::Agent", session.identity.shared())?,
            session,
            action: ActionName::new(format!("crm.action_{}", action.min(19)))?,
            resources: vec![EntityRef::new("Safeconduct::Case", format!("{n}"))?],
            input_digest: KeyedDigest::from_bytes([0; 32]),
            decision: if n.is_multiple_of(31) { Decision::Deny } else { Decision::Permit },
            mode: Mode::Enforce,
            reasons: Vec::new(),
            shadow: Vec::new(),
            obligations: Vec::new(),
            requestable: None,
            policies: Digest::from_bytes([0; 32]),
            catalogue: Digest::from_bytes([0; 32]),
            task: Some(Box::new(DecidedTask {
                id: TaskId::new(format!("task_{agent}"))?,
                intent: IntentName::new("care")?,
                on_behalf_of: None,
                actors: Vec::new(),
                spend: Default::default(),
                bytes_out: 0,
            })),
            flow: Vec::new(),
            risk: 0,
            network: None,
            approval: None,
        })),
    })
}
