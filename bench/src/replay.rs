//! Recorded decisions under a draft, and what somebody can do in a large set: one core, wall time.

use std::hint::black_box;
use std::time::Instant;

use safeconduct_model::{
    ActionName, Decided, Decision, Digest, Entity, EntityRef, IdentityId, KeyedDigest, Method,
    Mode, PolicyEffect, PolicyId, RecordId, RecordedPolicy, RecordedReason, SessionKey, Span,
    TaskId, Timestamp,
};
use safeconduct_policy::{
    ActionSituation, Policies, RecordedDecision, Replayer, SourceFile, Surroundings, load,
};

use crate::rounds::median;
use crate::section::{Failure, Section, Target};
use crate::world::{ACTION, Naming, agents, policy_files, sources};

/// How many policies the set has whose decisions are replayed.
const POLICIES: usize = 10_000;
/// How many decisions are replayed, and how many are laid out at a time.
const DECISIONS: usize = 1_000_000;
const BATCH: usize = 10_000;
/// Files of each agent: with its agent, each decision's situation comes about twenty times.
const FILES: usize = 10;
/// How many policies the set has of which somebody's rights are told.
const LARGE: usize = 100_000;
const AT: i64 = 1_795_500_000_000;

/// Paths belong to the folders above them; agents to nothing.
struct Around;

impl Surroundings for Around {
    fn principal(&self, uid: &EntityRef) -> Option<Entity> {
        Some(Entity::bare(uid.clone()))
    }
    fn user(&self, _: &IdentityId) -> Option<Entity> {
        None
    }
    fn resource(&self, _: &ActionName, uid: &EntityRef) -> Option<Entity> {
        let path = uid.id.as_str();
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at.max(1)));
        let above = above.filter_map(|folder| EntityRef::new(uid.ty.as_str(), folder).ok());
        Some(Entity { ancestors: above.collect(), ..Entity::bare(uid.clone()) })
    }
    fn action(&self, _: &ActionName, _: Digest) -> Option<ActionSituation> {
        None
    }
}

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let mut section = Section::new("Replay and rights");
    section.targets();
    let (same, changed, seconds) = replayed()?;
    section.target("replay_per_s", DECISIONS as f64 / seconds, Target::AtLeast(100_000.0));
    let (can, why) = rights()?;
    section.target("can_100k_ms", can, Target::AtMost(100.0));
    section.target("why_100k_ms", why, Target::AtMost(100.0));
    section.number("replay_s", seconds);
    section.line(String::new());
    section.line(format!(
        "{DECISIONS} recorded decisions over {POLICIES} policies under a draft that narrows every \
         other permit: {same} the same, {changed} newly denied. `can` and `why` are told of one \
         agent in a set of {LARGE} policies."
    ));
    Ok(section)
}

/// Replays, and says how many decisions stay the same, how many are newly denied, and how long it
/// took in seconds.
fn replayed() -> Result<(u64, u64, f64), Failure> {
    let files = policy_files(POLICIES, Naming::Folder);
    let old = load(&sources(files.clone())?)?.policies;
    // Of every other agent, one folder is left.
    let narrower = |file: SourceFile| {
        let mut text = file.text.to_string();
        for agent in (0..agents(POLICIES)).step_by(2) {
            let whole = format!("resource in Safeconduct::Path::\"/cases/{agent}\"\n");
            if text.contains(&whole) {
                let part = format!("resource in Safeconduct::Path::\"/cases/{agent}/0\"\n");
                text = text.replace(&whole, &part);
            }
        }
        SourceFile::new(file.name, text)
    };
    let files = files.into_iter().map(narrower).collect();
    let new = load(&sources(files)?)?.policies;
    let mut replayer = Replayer::new(&old, &new);
    let mut seconds = 0.0;
    for batch in 0..DECISIONS / BATCH {
        let numbers = (batch * BATCH..).take(BATCH);
        let decisions: Vec<(RecordId, Decided)> =
            numbers.map(|number| decision(number, &old)).collect::<Result<_, Failure>>()?;
        let began = Instant::now();
        for (id, decided) in &decisions {
            let at = Timestamp::from_millis(AT);
            replayer.take(&RecordedDecision { id, at, decided }, &Around);
        }
        seconds += began.elapsed().as_secs_f64();
    }
    let replay = replayer.finish();
    if replay.total() != DECISIONS as u64 || replay.not_replayable.count > 0 {
        return Err(format!("the replay does not add up: {:?}", replay.not_replayable.why).into());
    }
    Ok((replay.same, replay.newly_denied.count, seconds))
}

/// What an agent read in one of the folders of its own case.
fn decision(number: usize, policies: &Policies) -> Result<(RecordId, Decided), Failure> {
    // Neighbours are of other agents.
    let agent = number.wrapping_mul(7_919) % agents(POLICIES);
    let folder = (number / 7) % FILES;
    let policy = RecordedPolicy {
        id: PolicyId::new(format!("own-case-{agent}"))?,
        effect: PolicyEffect::Permit,
        span: Span { file: "agents-000.cedar".into(), line: 1, column: 1, end_line: 2 },
    };
    let name = format!("agent-{agent}");
    let decided = Decided {
        session: SessionKey::task(IdentityId::new(name.as_str())?, TaskId::new("task_1")?),
        session_name: None,
        sequence: 1,
        pep: IdentityId::new("gateway")?,
        method: Method::ApiKey,
        principal: EntityRef::new("Safeconduct::Agent", name)?,
        action: ActionName::new(ACTION)?,
        resources: vec![EntityRef::new(
            "Safeconduct::Path",
            format!("/cases/{agent}/{folder}/notes.md"),
        )?],
        input_digest: KeyedDigest::from_bytes([0; 32]),
        decision: Decision::Permit,
        mode: Mode::Enforce,
        reasons: vec![RecordedReason {
            code: "policy".into(),
            policy: Some(policy),
            message: format!("rule `own-case-{agent}` applies").into(),
            detail: None,
            of: None,
        }],
        shadow: Vec::new(),
        obligations: Vec::new(),
        requestable: None,
        policies: policies.digest(),
        catalogue: Digest::from_bytes([0; 32]),
        task: None,
        flow: Vec::new(),
        label: None,
        risk: 0,
        network: None,
        approval: None,
    };
    Ok((RecordId::new(format!("dec_{number}"))?, decided))
}

/// Milliseconds to tell what one agent can do, and why it can do one thing.
fn rights() -> Result<(f64, f64), Failure> {
    let policies = load(&sources(policy_files(LARGE, Naming::Folder))?)?.policies;
    let (mut can, mut why) = (Vec::new(), Vec::new());
    let action = ActionName::new(ACTION)?;
    for agent in (0..agents(LARGE)).step_by(997) {
        let principal = EntityRef::new("Safeconduct::Agent", format!("agent-{agent}"))?;
        let principal = Entity::bare(principal);
        let began = Instant::now();
        let rights = black_box(policies.standing_rights(&principal)?);
        can.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        let over = black_box(policies.standing_over(&principal, &action, None)?);
        why.push(began.elapsed().as_secs_f64() * 1e3);
        if rights.permits.len() != 1 || over.permits.len() != 1 {
            return Err("an agent has not the one right that it has".into());
        }
    }
    Ok((median(&can), median(&why)))
}
