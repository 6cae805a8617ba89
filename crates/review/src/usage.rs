//! Use of rights: how often, for what, by whom, day by day. A fold of the ledger's records.
//!
//! A decision counts for every policy that it rests on: each of those is a right that was used, or
//! a rule that stood in the way. Values of arguments are in no record; what is largest is told of
//! the spend that the task's budget was charged with and of the bytes that were sent out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Amount, Body, Decided, Decision, EntityRef, Execution, IntentName, Mode, Record,
    RecordId, Timestamp,
};
use sha2::{Digest as _, Sha256};

/// Most different resources that are counted of one use a day; what is more is "at least".
pub const RESOURCES_COUNTED_MAX: usize = 256;

/// Most decisions that wait for their outcome. Beyond, the oldest counts as without one.
pub const AWAITED_MAX: usize = 100_000;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Which use: one row of what reviewers see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UseKey {
    /// Who acted.
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
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Taskless, Self::Own, Self::OnBehalf, Self::Delegated];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taskless => "taskless",
            Self::Own => "own",
            Self::OnBehalf => "on_behalf",
            Self::Delegated => "delegated",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    fn of(decided: &Decided) -> Self {
        match &decided.task {
            None => Self::Taskless,
            Some(task) if task.actors.len() > 1 => Self::Delegated,
            Some(task) if task.on_behalf_of.is_some() => Self::OnBehalf,
            Some(_) => Self::Own,
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

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What a record adds to the use of rights.
pub type Added = Vec<(UseKey, Use)>;

/// The decisions whose outcome is still to come, so that it can be counted where they were.
#[derive(Debug, Clone, Default)]
pub struct Awaited {
    keys: BTreeMap<RecordId, Vec<UseKey>>,
    order: VecDeque<RecordId>,
}

impl Awaited {
    /// Takes the next record in, and says what it adds. Adding all of it up in any order gives
    /// the same.
    pub fn take(&mut self, record: &Record) -> Added {
        match &record.body {
            Body::Decided(decided) => self.decided(decided, record),
            Body::Executed(executed) => {
                let keys = self.keys.remove(&executed.decision).unwrap_or_default();
                let mut came = Use::default();
                *match executed.execution {
                    Execution::Succeeded => &mut came.succeeded,
                    Execution::Failed => &mut came.failed,
                    Execution::NotExecuted => &mut came.not_executed,
                    Execution::Unknown => &mut came.unknown,
                } = 1;
                keys.into_iter().map(|key| (key, came.clone())).collect()
            }
            _ => Vec::new(),
        }
    }

    fn decided(&mut self, decided: &Decided, record: &Record) -> Added {
        let keys = keys(decided, record.at);
        let mut used = Use { first: Some(record.at), last: Some(record.at), ..Use::default() };
        match (decided.decision, decided.mode) {
            (Decision::Permit, _) => {
                used.permitted = 1;
                used.approved = u64::from(decided.approval.is_some());
                used.touched(decided.resources.iter().map(fingerprint));
                if let Some(task) = &decided.task {
                    used.largest_spend = Some(task.spend);
                    used.largest_bytes_out = task.bytes_out;
                }
            }
            (Decision::Deny, Mode::Observe) => used.observed = 1,
            (Decision::Deny, _) => used.denied = 1,
        }
        if decided.decision == Decision::Permit || decided.mode == Mode::Observe {
            self.wait(record.id.clone(), keys.clone());
        }
        keys.into_iter().map(|key| (key, used.clone())).collect()
    }

    fn wait(&mut self, decision: RecordId, keys: Vec<UseKey>) {
        self.keys.insert(decision.clone(), keys);
        self.order.push_back(decision);
        // Those whose outcome came are only skipped here, so that nothing is searched for.
        while self.order.len() > AWAITED_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.keys.remove(&oldest);
        }
    }
}

/// The use of rights, all in memory.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    rows: BTreeMap<UseKey, Use>,
    awaited: Awaited,
}

impl Usage {
    /// Takes the next record in.
    pub fn take(&mut self, record: &Record) {
        for (key, used) in self.awaited.take(record) {
            self.rows.entry(key).or_default().add(&used);
        }
    }

    /// Every row, in order.
    pub const fn rows(&self) -> &BTreeMap<UseKey, Use> {
        &self.rows
    }
}

/// Under which rows a decision counts: one for each policy that it rests on, or one without.
fn keys(decided: &Decided, at: Timestamp) -> Vec<UseKey> {
    let policies: BTreeSet<Arc<str>> = decided
        .reasons
        .iter()
        .filter_map(|reason| reason.policy.as_ref())
        .map(|policy| policy.id.shared())
        .collect();
    let key = |policy| UseKey {
        principal: decided.principal.clone(),
        policy,
        action: decided.action.clone(),
        intent: decided.task.as_ref().map(|task| task.intent.clone()),
        task: TaskKind::of(decided),
        day: at.as_millis().div_euclid(DAY_MS),
    };
    match policies.is_empty() {
        true => vec![key(None)],
        false => policies.into_iter().map(|policy| key(Some(policy))).collect(),
    }
}

/// The first eight bytes of SHA-256 over type and id: the same on every machine.
fn fingerprint(resource: &EntityRef) -> u64 {
    let mut hash = Sha256::new();
    hash.update(resource.ty.as_str());
    hash.update([0]);
    hash.update(resource.id.as_str());
    let bytes: [u8; 32] = hash.finalize().into();
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
