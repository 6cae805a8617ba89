//! Use of rights: how often, for what, by whom, day by day. A fold of the ledger's records.
//!
//! A decision counts for every policy that it rests on: each of those is a right that was used, or
//! a rule that stood in the way. Values of arguments are in no record; what is largest is told of
//! the spend that the task's budget was charged with and of the bytes that were sent out.
//!
//! Where an agent acts for a user, both need a right. What a policy answered of the agent is the
//! agent's use of it, and what it answered of the user the user's. Records that do not tell which
//! count for both: nobody's right is to look unused that may have been used.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Amount, AskedOf, Body, Decided, Decision, EntityRef, Execution, IdentityKind,
    IntentName, Mode, Record, RecordId, Timestamp,
};
use sha2::{Digest as _, Sha256};

/// Most different resources that are counted of one use a day; what is more is "at least".
pub const RESOURCES_COUNTED_MAX: usize = 256;

/// Most decisions that wait for their outcome. Beyond, the oldest counts as without one.
pub const AWAITED_MAX: usize = 100_000;

/// How many of the latest decisions of one use a day are named: evidence.
pub const LATEST_KEPT: usize = 3;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Which use: one row of what reviewers see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UseKey {
    /// Whose right it was: who acted, or for whom.
    pub principal: EntityRef,
    /// The policy that permitted it or stood in the way; nothing where none did.
    pub policy: Option<Arc<str>>,
    /// What was done.
    pub action: ActionName,
    /// Under which intent, where it was in a task.
    pub intent: Option<IntentName>,
    /// In what kind of task.
    pub task: TaskKind,
    /// The day in UTC: days since 1970-01-01.
    pub day: i64,
}

/// In what kind of task something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskKind {
    /// In none.
    Taskless,
    /// In one of the agent's own.
    Own,
    /// In one for a user.
    OnBehalf,
    /// In one that another agent delegated.
    Delegated,
    /// In an agent's, of whichever kind, for this user: it is the user's right.
    ThroughAgent,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Taskless, Self::Own, Self::OnBehalf, Self::Delegated, Self::ThroughAgent];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taskless => "taskless",
            Self::Own => "own",
            Self::OnBehalf => "on_behalf",
            Self::Delegated => "delegated",
            Self::ThroughAgent => "through_agent",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Who acts: of how many act in the task, who delegated to each other, and whether it is for a
    /// user; of nothing where there is no task.
    pub const fn of(task: Option<(usize, bool)>) -> Self {
        match task {
            None => Self::Taskless,
            Some((2.., _)) => Self::Delegated,
            Some((_, true)) => Self::OnBehalf,
            Some((_, false)) => Self::Own,
        }
    }
}

/// How often, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Use {
    /// Permits.
    pub permitted: u64,
    /// Permits that a person's approval made possible.
    pub approved: u64,
    /// Denials.
    pub denied: u64,
    /// Denials that were not carried out: the enforcement point only observed.
    pub observed: u64,
    /// Actions that were done.
    pub succeeded: u64,
    /// Actions that were tried and failed.
    pub failed: u64,
    /// Actions that were permitted and not tried.
    pub not_executed: u64,
    /// Actions of which nobody knows what came.
    pub unknown: u64,
    /// The first decision.
    pub first: Option<Timestamp>,
    /// The last one.
    pub last: Option<Timestamp>,
    /// The most that one permit took from a task's budget.
    pub largest_spend: Option<Amount>,
    /// The most bytes that one permit sent out.
    pub largest_bytes_out: u64,
    /// Fingerprints of the resources of permits: at most [`RESOURCES_COUNTED_MAX`].
    pub resources: BTreeSet<u64>,
    /// The latest permits: at most [`LATEST_KEPT`].
    pub latest: BTreeSet<(Timestamp, RecordId)>,
    /// The latest denials: at most [`LATEST_KEPT`].
    pub latest_denied: BTreeSet<(Timestamp, RecordId)>,
}

impl Use {
    /// Takes in what was counted elsewhere, of another day or by another count.
    pub fn add(&mut self, other: &Self) {
        self.permitted += other.permitted;
        self.approved += other.approved;
        self.denied += other.denied;
        self.observed += other.observed;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.not_executed += other.not_executed;
        self.unknown += other.unknown;
        self.first = earliest(self.first, other.first);
        self.last = self.last.max(other.last);
        self.largest_spend = self.largest_spend.max(other.largest_spend);
        self.largest_bytes_out = self.largest_bytes_out.max(other.largest_bytes_out);
        self.touched(other.resources.iter().copied());
        keep_latest(&mut self.latest, &other.latest);
        keep_latest(&mut self.latest_denied, &other.latest_denied);
    }

    /// Counts a decision.
    fn count(&mut self, decision: &UsedDecision) {
        self.first = earliest(self.first, Some(decision.at));
        self.last = self.last.max(Some(decision.at));
        match (decision.decision, decision.mode) {
            (Decision::Permit, _) => {
                self.permitted += 1;
                self.approved += u64::from(decision.approved);
                self.touched(decision.resources.iter().copied());
                self.largest_spend = self.largest_spend.max(decision.spend);
                self.largest_bytes_out = self.largest_bytes_out.max(decision.bytes_out);
                keep(&mut self.latest, (decision.at, &decision.id));
            }
            (Decision::Deny, Mode::Observe) => {
                self.observed += 1;
                keep(&mut self.latest_denied, (decision.at, &decision.id));
            }
            (Decision::Deny, _) => {
                self.denied += 1;
                keep(&mut self.latest_denied, (decision.at, &decision.id));
            }
        }
    }

    /// Counts what came of one.
    const fn came(&mut self, execution: Execution) {
        *match execution {
            Execution::Succeeded => &mut self.succeeded,
            Execution::Failed => &mut self.failed,
            Execution::NotExecuted => &mut self.not_executed,
            Execution::Unknown => &mut self.unknown,
        } += 1;
    }

    /// Whether as many resources were touched as are counted, so that there may be more.
    pub fn touched_more(&self) -> bool {
        self.resources.len() >= RESOURCES_COUNTED_MAX
    }

    /// The smallest fingerprints are kept, so that it does not matter in which order they come.
    fn touched(&mut self, fingerprints: impl IntoIterator<Item = u64>) {
        self.resources.extend(fingerprints);
        while self.resources.len() > RESOURCES_COUNTED_MAX {
            self.resources.pop_last();
        }
    }
}

fn keep_latest(kept: &mut BTreeSet<(Timestamp, RecordId)>, more: &BTreeSet<(Timestamp, RecordId)>) {
    kept.extend(more.iter().cloned());
    while kept.len() > LATEST_KEPT {
        kept.pop_first();
    }
}

/// Keeps one more where it is among the latest.
fn keep(kept: &mut BTreeSet<(Timestamp, RecordId)>, (at, id): (Timestamp, &RecordId)) {
    let is_late = |(oldest_at, oldest): &(Timestamp, RecordId)| (at, id) > (*oldest_at, oldest);
    if kept.len() < LATEST_KEPT || kept.first().is_some_and(is_late) {
        kept.insert((at, id.clone()));
        while kept.len() > LATEST_KEPT {
            kept.pop_first();
        }
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Counts records as they come: the sums since they were last taken, and the decisions whose
/// outcome is still to come, so that it can be counted where they were.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    rows: Rows,
    awaited: HashMap<RecordId, Vec<Arc<UseKey>>, Hashed>,
    order: VecDeque<RecordId>,
}

/// Rows that are only looked up; whoever reads them gets them in order.
type Rows = HashMap<Arc<UseKey>, Use, Hashed>;

/// The ids of records are the server's own: nobody chooses what they hash to.
type Hashed = BuildHasherDefault<DefaultHasher>;

impl Tally {
    /// Takes the next record in. The order of records of different decisions does not matter.
    pub fn take(&mut self, record: &Record) {
        match &record.body {
            Body::Decided(decided) => {
                self.decided(UsedDecision::of(record.id.clone(), record.at, decided));
            }
            Body::Executed(executed) => {
                self.executed(&executed.decision, executed.execution);
            }
            _ => {}
        }
    }

    /// Counts the next decision: in a row for each policy that it rests on, or in one without.
    pub fn decided(&mut self, decision: UsedDecision) {
        let mut keys = Vec::with_capacity(decision.rows());
        decision.each_key(|key| keys.push(self.count(key, &decision)));
        if decision.awaits_outcome() {
            self.wait(decision.id, keys);
        }
    }

    fn count(&mut self, key: UseKey, decision: &UsedDecision) -> Arc<UseKey> {
        // Most rows are there already.
        let (key, fresh) = match self.rows.get_key_value(&key) {
            Some((known, _)) => (Arc::clone(known), false),
            None => (Arc::new(key), true),
        };
        if fresh {
            self.rows.insert(Arc::clone(&key), Use::default());
        }
        if let Some(row) = self.rows.get_mut(&key) {
            row.count(decision);
        }
        key
    }

    /// Counts what came of a decision; `false` where the decision is not waited for: its outcome
    /// came already, or it was too long ago.
    pub fn executed(&mut self, decision: &RecordId, execution: Execution) -> bool {
        let Some(keys) = self.awaited.remove(decision) else { return false };
        for key in keys {
            self.rows.entry(key).or_default().came(execution);
        }
        true
    }

    /// Counts what came of a decision that is not waited for any more.
    pub fn executed_long_ago(&mut self, decision: &UsedDecision, execution: Execution) {
        decision.each_key(|key| self.rows.entry(Arc::new(key)).or_default().came(execution));
    }

    /// The sums since they were last taken, in order.
    pub fn take_sums(&mut self) -> BTreeMap<UseKey, Use> {
        let rows = std::mem::take(&mut self.rows).into_iter();
        rows.map(|(key, used)| (Arc::unwrap_or_clone(key), used)).collect()
    }

    fn wait(&mut self, decision: RecordId, keys: Vec<Arc<UseKey>>) {
        self.awaited.insert(decision.clone(), keys);
        self.order.push_back(decision);
        // Those whose outcome came are only skipped here, so that nothing is searched for.
        while self.order.len() > AWAITED_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.awaited.remove(&oldest);
        }
    }
}

/// The use of rights, all in memory.
#[derive(Debug, Clone, Default)]
pub struct Usage(Tally);

impl Usage {
    /// Takes the next record in.
    pub fn take(&mut self, record: &Record) {
        self.0.take(record);
    }

    /// Every row, in order.
    pub fn rows(&self) -> BTreeMap<UseKey, Use> {
        self.0.rows.iter().map(|(key, used)| (UseKey::clone(key), used.clone())).collect()
    }
}

/// What use is made of a decision: what is counted of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedDecision {
    /// Its record.
    pub id: RecordId,
    /// When.
    pub at: Timestamp,
    /// Who acted.
    pub principal: EntityRef,
    /// What was done.
    pub action: ActionName,
    /// The policies that it rests on, as far as they answered of who acted.
    pub policies: BTreeSet<Arc<str>>,
    /// For whom, and the policies that answered of them.
    pub user: Option<UsersPart>,
    /// Under which intent, where it was in a task.
    pub intent: Option<IntentName>,
    /// In what kind of task.
    pub task: TaskKind,
    /// The answer.
    pub decision: Decision,
    /// Whether a denial was carried out.
    pub mode: Mode,
    /// Whether an approval made it possible.
    pub approved: bool,
    /// Fingerprints of what it was about ([`fingerprint`]).
    pub resources: Vec<u64>,
    /// What it took from the task's budget, where it was in a task.
    pub spend: Option<Amount>,
    /// The bytes that it sent out.
    pub bytes_out: u64,
}

/// The part that a user's rights have in what was done for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersPart {
    /// The user, as policies and records call them.
    pub user: EntityRef,
    /// The policies that answered of them.
    pub policies: BTreeSet<Arc<str>>,
}

impl UsersPart {
    /// Of none yet, of the user of that id for whom that principal acted; nothing where they can
    /// have no such name. Both are registered, and their types have one namespace.
    pub fn of(principal: &EntityRef, user: &str) -> Option<Self> {
        let (namespace, _) = principal.ty.as_str().rsplit_once("::")?;
        let ty = format!("{namespace}::{}", IdentityKind::User.entity_type());
        Some(Self { user: EntityRef::new(ty, user).ok()?, policies: BTreeSet::new() })
    }
}

impl UsedDecision {
    /// What is counted of that decision.
    pub fn of(id: RecordId, at: Timestamp, decided: &Decided) -> Self {
        let task = decided.task.as_ref();
        let user = task.and_then(|task| task.on_behalf_of.as_ref());
        let user = user.and_then(|user| UsersPart::of(&decided.principal, user.as_str()));
        let mut used = Self {
            id,
            at,
            principal: decided.principal.clone(),
            action: decided.action.clone(),
            policies: BTreeSet::new(),
            user,
            intent: task.map(|task| task.intent.clone()),
            task: TaskKind::of(task.map(|task| (task.actors.len(), task.on_behalf_of.is_some()))),
            decision: decided.decision,
            mode: decided.mode,
            approved: decided.approval.is_some(),
            resources: decided.resources.iter().map(fingerprint).collect(),
            spend: task.map(|task| task.spend),
            bytes_out: task.map_or(0, |task| task.bytes_out),
        };
        for reason in &decided.reasons {
            let Some(policy) = &reason.policy else { continue };
            used.rests_on(policy.id.shared(), reason.of);
        }
        used
    }

    /// Adds a policy that it rests on; `of` whom it answered, where that is told.
    pub fn rests_on(&mut self, policy: Arc<str>, of: Option<AskedOf>) {
        match &mut self.user {
            Some(part) if of == Some(AskedOf::User) => {
                part.policies.insert(policy);
            }
            Some(part) if of.is_none() => {
                part.policies.insert(Arc::clone(&policy));
                self.policies.insert(policy);
            }
            _ => {
                self.policies.insert(policy);
            }
        }
    }

    /// How many rows it counts under.
    fn rows(&self) -> usize {
        self.policies.len().max(1) + self.user.as_ref().map_or(0, |part| part.policies.len())
    }

    /// The rows that it counts under: of who acted one for each policy that it rests on, or one
    /// without; of the user one for each that answered of them.
    fn each_key(&self, mut each: impl FnMut(UseKey)) {
        let key = |principal: &EntityRef, policy: Option<&Arc<str>>, task| UseKey {
            principal: principal.clone(),
            policy: policy.cloned(),
            action: self.action.clone(),
            intent: self.intent.clone(),
            task,
            day: day_of(self.at),
        };
        if self.policies.is_empty() {
            each(key(&self.principal, None, self.task));
        }
        for policy in &self.policies {
            each(key(&self.principal, Some(policy), self.task));
        }
        if let Some(part) = &self.user {
            for policy in &part.policies {
                each(key(&part.user, Some(policy), TaskKind::ThroughAgent));
            }
        }
    }

    /// Whether something was done on the strength of it, of which an outcome will be told.
    pub fn awaits_outcome(&self) -> bool {
        self.decision == Decision::Permit || self.mode == Mode::Observe
    }
}

/// The day of a moment, in UTC: days since 1970-01-01.
pub const fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

/// The first eight bytes of SHA-256 over type and id: the same on every machine.
pub fn fingerprint(resource: &EntityRef) -> u64 {
    fingerprint_of(resource.ty.as_str(), resource.id.as_str())
}

/// The same, of type and id as texts.
pub fn fingerprint_of(ty: &str, id: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(ty);
    hash.update([0]);
    hash.update(id);
    let bytes: [u8; 32] = hash.finalize().into();
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
