//! All requests together: which are alike, who was asked how often, what was refused. A fold of
//! the changes of all of them, in the order in which they were recorded.

mod asking;
mod fold;
mod group;
mod resting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use safeconduct_model::{IdentityId, KeyedDigest, RecordId, TaskId, Timestamp};
use thiserror::Error;

use crate::binding::{resource_types, same_parties};
use crate::{AccessRequest, Attempt, Binding, Change, Event, OpenError, Opened, SpendError, State};

pub use asking::Telling;
pub use group::{GroupError, Word};

/// Most requests that wait or may be used, in all.
pub const LIVE_MAX: usize = 100_000;

/// Most requests that wait or may be used, of one agent in one task.
pub const LIVE_PER_TASK_MAX: usize = 32;

/// Most ended requests that are still known by id: the newest.
pub const ENDED_MAX: usize = 10_000;

/// Most refusals that are remembered: the newest.
pub const REFUSALS_MAX: usize = 100_000;

/// Most times in an hour that people are asked, all together. Beyond, nobody is.
pub const ASKED_IN_ALL_MAX: usize = 1_000_000;

/// Most times in an hour that anybody can be asked.
pub const ASKED_PER_HOUR_MAX: u32 = 100;

const HOUR_MS: i64 = 3_600_000;

/// What wears nobody down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often one approver is asked in any hour; 0 to [`ASKED_PER_HOUR_MAX`], which is what
    /// more counts as. A group of like requests asks once; later stages and escalations count.
    /// One agent has at most half of it, rounded up, together with those whom it acts for and
    /// those below it, so that none uses anybody up for the others.
    pub asked_per_hour: u32,
    /// How long a refusal answers its repetitions, in milliseconds.
    pub refusal_holds_ms: i64,
}

/// Twelve times an hour; a day.
impl Default for Pace {
    fn default() -> Self {
        Self { asked_per_hour: 12, refusal_holds_ms: 24 * HOUR_MS }
    }
}

/// All requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docket {
    pace: Pace,
    requests: BTreeMap<RecordId, AccessRequest>,
    /// Those that wait or may be used, by who acts and in which task.
    live: BTreeMap<(IdentityId, Option<TaskId>), BTreeSet<RecordId>>,
    live_count: usize,
    /// Those approved until a time, by who acts: they hold in every task.
    across_tasks: BTreeMap<IdentityId, BTreeSet<RecordId>>,
    /// Those that wait or may be used, by everyone on whom they rest.
    resting: BTreeMap<IdentityId, BTreeSet<RecordId>>,
    /// The ended ones, in the order of their ends.
    ended: VecDeque<RecordId>,
    /// In whose request of which likeness something was refused, when last, and by which request:
    /// of everyone who acted in it, and of the user for whom they did.
    refusals: BTreeMap<(IdentityId, KeyedDigest), (Timestamp, RecordId)>,
    /// The same, in order.
    refused: VecDeque<(Timestamp, IdentityId, KeyedDigest)>,
    /// When people were asked, within the last hour.
    asked: BTreeMap<IdentityId, VecDeque<Asking>>,
    /// The same, in order.
    askings: VecDeque<(Timestamp, IdentityId)>,
}

/// One time that somebody was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asking {
    at: Timestamp,
    /// Who acts in the request that it was about.
    actors: Arc<[IdentityId]>,
}

/// What becomes of somebody's wish to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// A new request.
    New(Box<Change>),
    /// The same thing is asked for already, or was approved: that request's id.
    Standing(RecordId),
}

/// Why nothing can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// [`OpenError`] says whose fault it is.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The asker's fault: somebody said no to this.
    #[error("this was refused (request `{request}`), and asking again in other words is too")]
    Repeat {
        /// The request that was refused.
        request: RecordId,
    },
    /// Our fault: the id is taken.
    #[error("there is a request `{0}` already")]
    Taken(RecordId),
    /// The asker's fault: too much is open.
    #[error("more than {LIVE_PER_TASK_MAX} requests of this task are open: wait for answers")]
    TooManyOfTask,
    /// Nobody's fault: there are too many requests in all.
    #[error("more than {LIVE_MAX} requests are open: try again later")]
    TooMany,
    /// Nobody's fault: approvers are asked no oftener.
    #[error("too few approvers can be asked before {retry_at}: try again then")]
    ApproversBusy {
        /// When somebody can be asked again.
        retry_at: Timestamp,
    },
}

impl Docket {
    /// None yet.
    pub const fn new(pace: Pace) -> Self {
        Self {
            pace,
            requests: BTreeMap::new(),
            live: BTreeMap::new(),
            live_count: 0,
            across_tasks: BTreeMap::new(),
            resting: BTreeMap::new(),
            ended: VecDeque::new(),
            refusals: BTreeMap::new(),
            refused: VecDeque::new(),
            asked: BTreeMap::new(),
            askings: VecDeque::new(),
        }
    }

    /// The request of that id; ended ones for a while.
    pub fn request(&self, id: &RecordId) -> Option<&AccessRequest> {
        self.requests.get(id)
    }

    /// The requests that wait or may be used, of that agent in that task.
    pub fn live(
        &self,
        agent: &IdentityId,
        task: Option<&TaskId>,
    ) -> impl Iterator<Item = &AccessRequest> {
        let ids = self.live.get(&(agent.clone(), task.cloned()));
        ids.into_iter().flatten().filter_map(|id| self.requests.get(id))
    }

    /// Whether anything waits or may be used, of anybody.
    pub const fn is_idle(&self) -> bool {
        self.live_count == 0
    }

    /// Whether that agent may have an approval to use in that task: where not, nothing of an
    /// attempt needs to be looked at.
    pub fn may_cover(&self, agent: &IdentityId, task: Option<&TaskId>) -> bool {
        let approved = |request: &AccessRequest| request.state() == State::Approved;
        self.across_tasks.contains_key(agent) || self.live(agent, task).any(approved)
    }

    /// How many requests are known, those that have ended for a while included.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether no request is known.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The requests that have ended and are still known, the newest first.
    pub fn ended(&self) -> impl Iterator<Item = &AccessRequest> {
        self.ended.iter().rev().filter_map(|id| self.requests.get(id))
    }

    /// Who has requests that wait or may be used.
    pub fn agents(&self) -> BTreeSet<IdentityId> {
        self.live.keys().map(|(agent, _)| agent.clone()).collect()
    }

    /// Every request that waits or may be used, of that agent in whatever task.
    pub fn live_of(&self, agent: &IdentityId) -> impl Iterator<Item = &AccessRequest> {
        let from = (agent.clone(), None);
        let of = self.live.range(from..).take_while(move |((of, _), _)| of == agent);
        of.flat_map(|(_, ids)| ids).filter_map(|id| self.requests.get(id))
    }

    /// The requests that are known, by id: those that wait or may be used, and the newest of the
    /// others.
    pub fn requests(&self, after: Option<&RecordId>) -> impl Iterator<Item = &AccessRequest> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.requests.range::<RecordId, _>((from, Bound::Unbounded)).map(|(_, request)| request)
    }

    /// Makes a request, unless the same stands, something alike was refused, or too much is open.
    /// Approvers who were asked as often as they may be are not told of it; where it joins a
    /// group that waits, nobody is, since the group asked.
    ///
    /// # Errors
    /// [`AskError`] says why nothing can be asked.
    pub fn open(&self, mut opened: Opened) -> Result<Opening, AskError> {
        let at = opened.at;
        if self.requests.contains_key(&opened.id) {
            return Err(AskError::Taken(opened.id));
        }
        let Some(agent) = opened.binding.actors.first().cloned() else {
            return Err(OpenError::NoActor.into());
        };
        let siblings: Vec<_> = self.live(&agent, opened.binding.task.as_ref()).collect();
        let same = |request: &&&AccessRequest| {
            request.opened().binding == opened.binding && !request.standing(at).is_final()
        };
        if let Some(standing) = siblings.iter().find(same) {
            return Ok(Opening::Standing(standing.opened().id.clone()));
        }
        if let Some(request) = self.refusal(&opened.binding, &opened.likeness, at) {
            return Err(AskError::Repeat { request: request.clone() });
        }
        if siblings.len() >= LIVE_PER_TASK_MAX {
            return Err(AskError::TooManyOfTask);
        }
        if self.live_count >= LIVE_MAX {
            return Err(AskError::TooMany);
        }
        let joins = self.joins(&opened);
        if !joins {
            let quorum = opened.terms.quorum as usize;
            let spared = self.spare(&opened.binding.actors, &mut opened.asked, at);
            if let Some(retry_at) = spared.filter(|_| opened.asked.len() < quorum) {
                return Err(AskError::ApproversBusy { retry_at });
            }
        }
        let mut change = AccessRequest::open(opened).map_err(AskError::Open)?;
        if joins && let Event::Requested(opened) = &mut change.event {
            opened.asked.clear();
        }
        Ok(Opening::New(Box::new(change)))
    }

    /// The approval that what is tried may use: of those that hold, as the caller sees it, the one
    /// with the nearest end. One that holds no more hides none that does.
    ///
    /// # Errors
    /// [`SpendError`] of the request that came nearest, where there is one.
    pub fn covering(
        &self,
        attempt: &Attempt<'_>,
        at: Timestamp,
        holds: impl Fn(&AccessRequest) -> bool,
    ) -> Result<&AccessRequest, Option<SpendError>> {
        let Some(agent) = attempt.binding.actors.first() else { return Err(None) };
        let task = attempt.binding.task.as_ref();
        let elsewhere = self.across_tasks.get(agent).into_iter().flatten();
        let elsewhere = elsewhere.filter_map(|id| self.requests.get(id));
        let requests = self.live(agent, task).chain(elsewhere);
        let mut covering: Vec<&AccessRequest> = Vec::new();
        let mut nearest = None;
        for request in requests {
            match request.covers(attempt, at) {
                Ok(()) => covering.push(request),
                Err(error) if request.opened().binding == *attempt.binding => {
                    nearest = Some(error);
                }
                _ => {}
            }
        }
        // Whether one holds may have to be read from the disk: the first that does is enough.
        covering.sort_by_key(|request| request.grant().map(|grant| grant.until));
        covering.into_iter().find(|request| holds(request)).ok_or(nearest)
    }

    /// The request that was refused and was like this one, where it was refused not long ago and
    /// somebody acts in both, or both are for the same user: nobody has another ask in their
    /// place.
    pub fn refusal(
        &self,
        of: &Binding,
        likeness: &KeyedDigest,
        at: Timestamp,
    ) -> Option<&RecordId> {
        parties(of).find_map(|who| {
            let (refused_at, request) = self.refusals.get(&(who.clone(), *likeness))?;
            (at.ms_since(*refused_at) < self.pace.refusal_holds_ms).then_some(request)
        })
    }

    /// Whether it is one more of a group that waits.
    fn joins(&self, opened: &Opened) -> bool {
        let Some(agent) = opened.binding.actors.first() else { return false };
        self.live(agent, opened.binding.task.as_ref()).any(|request| {
            request.opened().id != opened.id
                && request.standing(opened.at) == State::Pending
                && alike(request.opened(), opened)
        })
    }
}

/// Everyone who acts, and the user for whom they do.
fn parties(of: &Binding) -> impl Iterator<Item = &IdentityId> {
    of.actors.iter().chain(&of.on_behalf_of)
}

/// Whether one answer can settle both.
fn alike(a: &Opened, b: &Opened) -> bool {
    a.binding.task.is_some()
        && a.binding.task == b.binding.task
        && same_parties(&a.binding, &b.binding).is_ok()
        && resource_types(&a.binding) == resource_types(&b.binding)
        && a.asked_by == b.asked_by
        && a.terms == b.terms
}
