//! The state of one request: a fold of its changes.

use std::collections::BTreeSet;

use safeconduct_model::{IdentityId, RecordId, Timestamp};
use thiserror::Error;

use crate::{ASKED_MAX, Answer, Answered, Approver, Change, Event, Opened, Scope, State};

/// One access request, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    opened: Opened,
    state: State,
    /// How many changes it is made of.
    sequence: u32,
    /// When the last of them happened.
    last_at: Timestamp,
    answers: Vec<Answered>,
    escalated: bool,
    /// Who was told that the stage which is due waits for them.
    told: BTreeSet<IdentityId>,
    /// What the first approver approved, and all others must; no longer than any of them said.
    scope: Option<Scope>,
    /// The stage that answers count in.
    stage: u8,
    grant: Option<Grant>,
}

/// What was approved, from when to when, and how much of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// When the last approver said yes.
    pub from: Timestamp,
    /// Until when it may be used: at that moment it may not.
    pub until: Timestamp,
    /// How many uses are left.
    pub left: u32,
}

/// Why a change is none of this request's: it lost a race, or the ledger was tampered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FoldError {
    /// No request begins like that.
    #[error("a request begins with its making, and with nothing else")]
    NotOpened,
    /// It is another request's.
    #[error("the change belongs to another request")]
    OtherRequest,
    /// Something else happened first: look again, and decide again.
    #[error("the change was made at step {made_at}, and the request stands at {stands_at}")]
    Stale {
        /// How many changes its maker had seen.
        made_at: u32,
        /// How many there are.
        stands_at: u32,
    },
    /// It lies before the last change.
    #[error("the change lies before the one before it")]
    Earlier,
    /// Nothing of the kind can happen to a request that stands so.
    #[error("a request that is {} cannot be {event}", state.as_str())]
    Illegal {
        /// Where it stands.
        state: State,
        /// What was to happen.
        event: &'static str,
    },
}

impl AccessRequest {
    /// The request that this change makes.
    ///
    /// # Errors
    /// [`FoldError::NotOpened`] where it makes none.
    pub fn begin(change: &Change) -> Result<Self, FoldError> {
        let Event::Requested(opened) = &change.event else { return Err(FoldError::NotOpened) };
        if change.sequence != 0 || change.request != opened.id || change.at != opened.at {
            return Err(FoldError::NotOpened);
        }
        Ok(Self {
            opened: (**opened).clone(),
            state: State::Pending,
            sequence: 1,
            last_at: opened.at,
            answers: Vec::new(),
            escalated: false,
            told: opened.asked.clone(),
            scope: None,
            stage: 0,
            grant: None,
        })
    }

    /// The request of all these changes.
    ///
    /// # Errors
    /// [`FoldError`] at the first that does not follow from those before it.
    pub fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Result<Self, FoldError> {
        let mut changes = changes.into_iter();
        let mut request = Self::begin(changes.next().ok_or(FoldError::NotOpened)?)?;
        changes.try_for_each(|change| request.apply(change))?;
        Ok(request)
    }

    /// Takes the next change in. What cannot happen changes nothing.
    ///
    /// # Errors
    /// [`FoldError`]: after [`FoldError::Stale`], look at the request again.
    pub fn apply(&mut self, change: &Change) -> Result<(), FoldError> {
        if change.request != self.opened.id {
            return Err(FoldError::OtherRequest);
        }
        if change.sequence != self.sequence {
            let (made_at, stands_at) = (change.sequence, self.sequence);
            return Err(FoldError::Stale { made_at, stands_at });
        }
        if change.at < self.last_at {
            return Err(FoldError::Earlier);
        }
        if !self.may_happen(&change.event, change.at) {
            return Err(FoldError::Illegal { state: self.state, event: change.event.kind() });
        }
        self.happen(&change.event, change.at);
        // INVARIANT: answers, uses and single events are bounded far below this range.
        self.sequence = self.sequence.saturating_add(1);
        self.last_at = change.at;
        Ok(())
    }

    fn may_happen(&self, event: &Event, at: Timestamp) -> bool {
        let standing = self.standing(at);
        match event {
            Event::Requested(_) => false,
            Event::Answered(answered) => standing == State::Pending && self.counts(answered),
            Event::Escalated => standing == State::Pending && self.escalation_due(at),
            Event::Asked { people } => {
                standing == State::Pending
                    && (1..=ASKED_MAX).contains(&people.len())
                    && people.is_disjoint(&self.told)
            }
            Event::Expired => !self.state.is_final() && standing == State::Expired,
            Event::Spent { .. } => standing == State::Approved,
            Event::Revoked { .. } => !standing.is_final(),
        }
    }

    /// Whether an answer is the first of these people, in the stage that is due, to what the
    /// others have approved.
    fn counts(&self, answered: &Answered) -> bool {
        let same = match (&answered.answer, &self.scope) {
            (Answer::Approve(scope), Some(first)) => first.agrees_with(scope),
            _ => true,
        };
        let people = [Some(&answered.by), answered.standing_in_for.as_ref()];
        same && answered.stage == self.stage
            && self.open_terms().contains(&answered.term)
            && !people.into_iter().flatten().any(|person| self.has_answered(person))
    }

    fn happen(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Requested(_) => {}
            Event::Answered(answered) => self.take_answer(answered, at),
            Event::Escalated => self.escalated = true,
            Event::Asked { people } => self.told.extend(people.iter().cloned()),
            Event::Expired => self.state = State::Expired,
            Event::Revoked { .. } => self.state = State::Revoked,
            Event::Spent { .. } => {
                let left = self.grant.as_mut().map_or(0, |grant| {
                    grant.left = grant.left.saturating_sub(1);
                    grant.left
                });
                if left == 0 {
                    self.state = State::Spent;
                }
            }
        }
    }

    fn take_answer(&mut self, answered: &Answered, at: Timestamp) {
        self.answers.push(answered.clone());
        let Answer::Approve(said) = &answered.answer else { return self.state = State::Refused };
        let scope = self.scope.get_or_insert_with(|| said.clone());
        scope.no_longer_than(said);
        let (until, left) = (scope.until(), scope.uses());
        let in_stage = self.answers.iter().filter(|answer| answer.stage == self.stage).count();
        if in_stage < self.opened.terms.quorum as usize {
            return;
        }
        self.stage = self.stage.saturating_add(1);
        self.told.clear();
        if usize::from(self.stage) < self.opened.terms.approvers.stages().len() {
            return;
        }
        let lasts = self.opened.terms.lasts_until(at);
        // What holds until a time holds in other tasks too, whenever the one that asked ends.
        let ends = until.or(self.opened.ends_at).map_or(lasts, |ends| ends.min(lasts));
        self.grant = Some(Grant { from: at, until: ends, left });
        self.state = State::Approved;
    }
}

/// What can be seen of it.
impl AccessRequest {
    /// As it was made.
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Where the recorded changes leave it. A request whose time is over says so only once that
    /// is recorded; [`AccessRequest::standing`] says it at once.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Where it stands at that time.
    pub fn standing(&self, at: Timestamp) -> State {
        let at = self.moment(at);
        let over = match self.state {
            State::Pending => at >= self.opened.answer_by,
            State::Approved => self.grant.is_none_or(|grant| at >= grant.until),
            _ => false,
        };
        if over { State::Expired } else { self.state }
    }

    /// The answers so far, in order.
    pub fn answers(&self) -> &[Answered] {
        &self.answers
    }

    /// What the first approver approved: all others must approve the same, so show it to them.
    /// Where it names a time, it is the soonest of those that were named.
    pub const fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// What was approved, once enough have.
    pub const fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// Who may answer now, as the policy names them: the stage that is due, and those of the
    /// escalation once it happened.
    pub fn open_terms(&self) -> BTreeSet<&Approver> {
        let approvers = &self.opened.terms.approvers;
        let stage = approvers.stages().get(usize::from(self.stage)).into_iter().flatten();
        let more = approvers.escalation().filter(|_| self.escalated);
        stage.chain(more.iter().flat_map(|escalation| &escalation.to)).collect()
    }

    /// Who was told that the stage which is due waits for them; nobody, where a group asked them.
    pub const fn told(&self) -> &BTreeSet<IdentityId> {
        &self.told
    }

    /// Whether this person answered, or somebody for them.
    pub fn has_answered(&self, person: &IdentityId) -> bool {
        let of = |answer: &Answered| {
            answer.by == *person || answer.standing_in_for.as_ref() == Some(person)
        };
        self.answers.iter().any(of)
    }

    /// Whether the escalation is due and has not happened.
    pub fn escalation_due(&self, at: Timestamp) -> bool {
        let escalation = self.opened.terms.approvers.escalation();
        !self.escalated
            && escalation.is_some_and(|to| self.moment(at) >= self.opened.at.plus_ms(to.after_ms))
    }

    /// Whether those of the escalation may answer.
    pub(crate) const fn escalation_happened(&self) -> bool {
        self.escalated
    }

    /// Which stage is due, from 0.
    pub(crate) const fn stage(&self) -> u8 {
        self.stage
    }

    /// That time, or that of the last change where the clock stepped back: what has expired stays
    /// so.
    pub(crate) fn moment(&self, at: Timestamp) -> Timestamp {
        at.max(self.last_at)
    }

    /// The next change.
    pub(crate) fn change(&self, at: Timestamp, event: Event) -> Change {
        Change {
            request: RecordId::clone(&self.opened.id),
            sequence: self.sequence,
            at: self.moment(at),
            event,
        }
    }
}
