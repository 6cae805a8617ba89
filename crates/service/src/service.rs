//! The decision point: its state, and what it is made of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwap;
use safeconduct_model::{SessionKey, TargetName, Tiers};
use safeconduct_review::finding::Thresholds;

use crate::access::{ANSWER_WITHIN_MS, Pace, Requests};
use crate::access_tokens::AccessTokens;
use crate::ages::Aging;
use crate::leases::Leases;
use crate::past::Pasts;
use crate::pending::PendingPermits;
use crate::prove::Proofs;
use crate::reviews::Reviews;
use crate::risk::Risks;
use crate::seen::Seen;
use crate::sessions::{SessionView, Sessions, Slot, lock};
use crate::tasks::Tasks;
use crate::{
    Clock, EnforcementPoints, Ids, Ledger, LedgerHealth, PolicyGate, ReadSet, Target, Vault, Watch,
    World,
};

/// Numbers that a deployment may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many permitted calls a session may have.
    pub calls_max: u64,
    /// How long a permit holds before it must be performed, in milliseconds.
    pub permit_ttl_ms: i64,
    /// How long an outcome may take before it is recorded as `unknown`, in milliseconds.
    pub outcome_deadline_ms: i64,
    /// Most bytes of what sessions have read, and remember for rules of order and count, that are
    /// in memory; a quarter as much may be of what identities remember for such rules. Of the
    /// others it is read back, from the ledger, with the next decision.
    pub flow_bytes_held: usize,
    /// What actions need by their tiers.
    pub tiers: Tiers,
    /// How often people are asked, and for how long a no answers its repetitions.
    pub pace: Pace,
    /// How long an access request waits for answers at most, in milliseconds; up to
    /// [`safeconduct_approval::WAIT_MS_MAX`], and no longer than its task may last.
    pub answer_within_ms: i64,
    /// From when on something is wrong with the estate.
    pub thresholds: Thresholds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls_max: 10_000,
            permit_ttl_ms: 30_000,
            outcome_deadline_ms: 900_000,
            flow_bytes_held: 512 * 1024 * 1024,
            tiers: Tiers::default(),
            pace: Pace::default(),
            answer_within_ms: ANSWER_WITHIN_MS,
            thresholds: Thresholds::default(),
        }
    }
}

/// What the decision point stands on.
pub struct Ports {
    /// The log.
    pub ledger: Arc<dyn Ledger>,
    /// The keys.
    pub vault: Arc<dyn Vault>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The ids.
    pub ids: Arc<dyn Ids>,
}

/// The decision point of one process.
pub struct Service {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) settings: Settings,
    pub(crate) world: ArcSwap<World>,
    /// Held from a world change's record to its swap.
    pub(crate) changing: Mutex<()>,
    pub(crate) sessions: Sessions,
    pub(crate) tasks: Tasks,
    pub(crate) leases: Leases,
    pub(crate) access: AccessTokens,
    pub(crate) targets: ArcSwap<BTreeMap<TargetName, Target>>,
    pub(crate) watches: Mutex<Vec<Weak<dyn Watch>>>,
    pub(crate) pending: Mutex<PendingPermits>,
    pub(crate) pasts: Pasts,
    pub(crate) proofs: Proofs,
    pub(crate) seen: Seen,
    pub(crate) requests: Requests,
    /// What is known of access reviews.
    pub(crate) reviews: Reviews,
    /// Where the policies lie.
    pub(crate) gate: OnceLock<Weak<dyn PolicyGate>>,
    /// What reads the policy sets that were in force before.
    pub(crate) kept_sets: OnceLock<Arc<dyn ReadSet>>,
    /// Where calls are let through or stopped.
    pub(crate) points: OnceLock<Weak<dyn EnforcementPoints>>,
    pub(crate) risks: Risks,
    /// Since when statements are in force.
    pub(crate) aging: Aging,
}

impl Service {
    /// A decision point over that world. [`Service::restore`] comes next, before any request.
    pub fn new(ports: Ports, settings: Settings, world: World) -> Self {
        let sessions = Sessions::new(settings.flow_bytes_held);
        let pasts = Pasts::new(settings.flow_bytes_held / 4);
        let requests = Requests::new(settings.pace);
        let Ports { ledger, vault, clock, ids } = ports;
        Self {
            ledger,
            vault,
            clock,
            ids,
            settings,
            world: ArcSwap::from_pointee(world),
            changing: Mutex::new(()),
            sessions,
            tasks: Tasks::default(),
            leases: Leases::default(),
            access: AccessTokens::default(),
            targets: ArcSwap::default(),
            watches: Mutex::default(),
            pending: Mutex::default(),
            pasts,
            proofs: Proofs::default(),
            seen: Seen::default(),
            requests,
            reviews: Reviews::default(),
            gate: OnceLock::new(),
            kept_sets: OnceLock::new(),
            points: OnceLock::new(),
            risks: Risks::default(),
            aging: Aging::default(),
        }
    }

    /// The world as it now is.
    pub fn world(&self) -> Arc<World> {
        self.world.load_full()
    }

    /// Whether decisions can be recorded.
    pub fn health(&self) -> LedgerHealth {
        self.ledger.health()
    }

    /// The clock that decisions go by.
    pub fn now(&self) -> safeconduct_model::Timestamp {
        self.clock.now()
    }

    /// The numbers that are set.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The state of a session, where there is one.
    pub fn session(&self, key: &SessionKey) -> Option<SessionView> {
        let session = match self.sessions.known(key) {
            Some(slot) => lock(&slot).session.clone(),
            // Nothing has been decided in the task yet.
            None => Slot::of_task(&*self.tasks.of_session(key)?).session,
        };
        Some(SessionView { key: key.clone(), session })
    }

    /// How many sessions are in memory.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Waits until a world change that is under way is through, and lets no other begin.
    pub(crate) fn keep_changes_out(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
