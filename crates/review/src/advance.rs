//! What moves a campaign on: each step is computed from the state, and given back.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, Timestamp};
use thiserror::Error;

use crate::{
    Assigned, Campaign, CampaignError, CampaignState, Escalate, GrantKind, REVIEWERS_MAX, Response,
    ReviewDecision, Step,
};

/// Longest reason of an answer, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// Most cases that are answered at once.
pub const BATCH_MAX: u32 = 100;

/// How far a clock may have stepped back between a step and its record, in milliseconds.
pub const STEP_CLOCK_SLACK_MS: i64 = 60_000;

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecideError {
    /// It is about nothing that is asked.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// The stage is over: nobody's fault.
    #[error("the stage ended at {0}")]
    Late(Timestamp),
    /// The caller's fault: others are asked.
    #[error("`{0}` is not asked about this case")]
    NotAsked(IdentityId),
    /// The caller's fault: a denial stands.
    #[error("`{0}` has revoked this right, and takes that back only in another campaign")]
    Revoked(IdentityId),
    /// The caller's fault: one person is one reviewer of a case.
    #[error("`{by}` has answered this case already, for `{of}`: nobody answers it for two")]
    Twice {
        /// Who.
        by: IdentityId,
        /// For whom they have answered; themselves, where nobody else.
        of: IdentityId,
    },
    /// The caller's fault: whom they stand in for was there.
    #[error("`{0}` has answered this case themselves, and nobody does in their place")]
    Answered(IdentityId),
    /// The caller's fault: silence is no answer.
    #[error("`no_response` is what comes of no answer")]
    NoResponse,
    /// The caller's fault: no text of it can shrink.
    #[error("only a statement of the policies can be reduced, and not a {}", .0.as_str())]
    NotReducible(GrantKind),
    /// The caller's fault: why is missing or too long.
    #[error("an answer needs a reason of at most {REASON_BYTES_MAX} bytes")]
    Reason,
    /// The caller's fault: more than one can look at.
    #[error("at most {BATCH_MAX} cases are answered at once")]
    Batch,
    /// The caller's fault: it was answered before it was shown.
    #[error("the answer is older than the look at the case")]
    Clock,
}

impl Campaign {
    /// Opens the next stage. Of those who are named for a case, the one who holds the right and
    /// the one who gave it are left out; `named` gives those whom the stage's definition names
    /// at that time, `fallback` those of its fallback.
    ///
    /// # Errors
    /// [`CampaignError`]: not now, or too many reviewers.
    pub fn open_stage(
        &self,
        at: Timestamp,
        mut named: impl FnMut(u32) -> Vec<IdentityId>,
        mut fallback: impl FnMut(u32) -> Vec<IdentityId>,
    ) -> Result<Step, CampaignError> {
        match self.state {
            CampaignState::Created | CampaignState::StageDone(_) => {}
            _ => return Err(self.not_now("opening a stage")),
        }
        let mut assigned = Assigned::new();
        for (number, _, item) in self.cases() {
            if item.over {
                continue;
            }
            let mut reviewers = self.fit(number, named(number))?;
            if reviewers.is_empty() {
                reviewers = self.fit(number, fallback(number))?;
            }
            if !reviewers.is_empty() {
                assigned.insert(number, reviewers);
            }
        }
        Ok(Step::StageOpened { at, assigned: Arc::new(assigned) })
    }

    /// The next escalation of the stage under way, once its time has come: for each case where
    /// somebody is silent, whom its definition names.
    ///
    /// # Errors
    /// [`CampaignError`]: not now, or too many reviewers.
    pub fn escalate(
        &self,
        at: Timestamp,
        mut named: impl FnMut(u32) -> Vec<IdentityId>,
    ) -> Result<Step, CampaignError> {
        let due = self.stage().and_then(|stage| stage.escalations.get(self.escalated));
        let due = due.filter(|next| at.ms_since(self.stage_from) >= next.after_ms);
        let Some(next) = due.filter(|_| at < self.stage_until) else {
            return Err(self.not_now("an escalation"));
        };
        let mut assigned = Assigned::new();
        for (number, _, item) in self.cases() {
            if !item.open || (item.silent().next().is_none() && !item.answers.is_empty()) {
                continue;
            }
            let more = self.fit(number, named(number))?;
            let staying = if next.how == Escalate::Add { item.reviewers.len() } else { 0 };
            if more.len() + staying > REVIEWERS_MAX {
                return Err(CampaignError::TooManyReviewers(number));
            }
            if !more.is_empty() {
                assigned.insert(number, more);
            }
        }
        Ok(Step::Escalated { assigned: Arc::new(assigned), how: next.how })
    }

    /// Puts others in the place of a reviewer who is gone, in every case about which they have not
    /// answered. Where nobody can take it, the case has one reviewer less.
    ///
    /// # Errors
    /// [`CampaignError`]: no stage is open, or nothing waits for them.
    pub fn replace(
        &self,
        gone: &IdentityId,
        mut named: impl FnMut(u32) -> Vec<IdentityId>,
    ) -> Result<Step, CampaignError> {
        let mut assigned = Assigned::new();
        let mut any = false;
        for (number, _, item) in self.cases() {
            if !item.open || !item.silent().any(|who| who == gone) {
                continue;
            }
            any = true;
            let mut people = named(number);
            people.retain(|who| who != gone && !item.reviewers.contains(who));
            // There is room for at least one: the place of the one who is gone.
            let room = (REVIEWERS_MAX + 1).saturating_sub(item.reviewers.len());
            people.retain(|who| self.disinterested(number, who).is_ok());
            people.sort_unstable();
            people.dedup();
            people.truncate(room);
            if !people.is_empty() {
                assigned.insert(number, people.into());
            }
        }
        match any {
            true => Ok(Step::Replaced { gone: gone.clone(), assigned: Arc::new(assigned) }),
            false => Err(self.not_now("a replacement")),
        }
    }

    /// Everyone whose answer the stage under way waits for.
    pub fn waited_for(&self) -> BTreeSet<IdentityId> {
        let open = self.items.iter().filter(|item| item.open);
        let mut people = BTreeSet::new();
        for who in open.flat_map(crate::Item::silent) {
            if !people.contains(who) {
                people.insert(who.clone());
            }
        }
        people
    }

    /// The next reminder of the stage under way, once its time has come and somebody is silent.
    pub fn remind(&self, at: Timestamp) -> Option<Step> {
        let stage = self.stage().filter(|_| at < self.stage_until)?;
        let passed = |before: &&i64| self.stage_until.ms_since(at) <= **before;
        let due = stage.reminders_ms.iter().filter(passed).count();
        let people = if due > self.reminded { self.waited_for().len() } else { 0 };
        (people > 0).then(|| Step::Reminded { people: u32::try_from(people).unwrap_or(u32::MAX) })
    }

    /// The escalation of the stage under way that comes next, and has not yet been made.
    pub fn next_escalation(&self) -> Option<&crate::Escalation> {
        self.stage()?.escalations.get(self.escalated)
    }

    /// The stage that opens next, where one does.
    pub fn coming_stage(&self) -> Option<&crate::StageDefinition> {
        match self.state {
            CampaignState::Created | CampaignState::StageDone(_) => {
                self.definition.stages.get(self.next_stage())
            }
            _ => None,
        }
    }

    /// Hands a case on to somebody else.
    ///
    /// # Errors
    /// [`CampaignError`] where it is not theirs, or the other may not review it.
    pub fn reassign(
        &self,
        case: u32,
        from: &IdentityId,
        to: IdentityId,
    ) -> Result<Step, CampaignError> {
        let (_, item) = self.open_case(case)?;
        if !item.silent().any(|who| who == from) {
            return Err(CampaignError::NoCase(case));
        }
        self.disinterested(case, &to)?;
        Ok(Step::Reassigned { case, from: from.clone(), to })
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// [`DecideError`] says who must do what else.
    pub fn decide(&self, case: u32, decided: ReviewDecision) -> Result<Step, DecideError> {
        let kind = self.case(case).map(|(case, _)| case.what.kind);
        match kind.filter(|kind| *kind != GrantKind::Statement) {
            Some(kind) if decided.response == Response::Reduce => {
                Err(DecideError::NotReducible(kind))
            }
            _ => self.take(case, decided),
        }
    }

    /// The same of an answer that was recorded: versions before this one let anything shrink.
    fn take(&self, case: u32, decided: ReviewDecision) -> Result<Step, DecideError> {
        let (_, item) = self.open_case(case)?;
        if decided.at >= self.stage_until {
            return Err(DecideError::Late(self.stage_until));
        }
        let reviewer = decided.reviewer();
        for who in [Some(&decided.by), decided.acting_for.as_ref()].into_iter().flatten() {
            self.disinterested(case, who)?;
        }
        if !item.reviewers.contains(reviewer) {
            return Err(DecideError::NotAsked(reviewer.clone()));
        }
        if decided.response == Response::NoResponse {
            return Err(DecideError::NoResponse);
        }
        let mut before = item.answers.iter().chain(&item.earlier);
        let revoked = before.any(|answer| {
            answer.response == Response::Revoke
                && (answer.reviewer() == reviewer || answer.by == decided.by)
        });
        if revoked && decided.response != Response::Revoke {
            return Err(DecideError::Revoked(reviewer.clone()));
        }
        // INVARIANT: as many people have answered a stage of a case as there are answers.
        let mut theirs = item.answers.iter().filter(|answer| answer.by == decided.by);
        if let Some(other) = theirs.find(|answer| answer.reviewer() != reviewer) {
            let (by, of) = (decided.by.clone(), other.reviewer().clone());
            return Err(DecideError::Twice { by, of });
        }
        let themselves = |answer: &ReviewDecision| answer.by == *reviewer;
        if decided.by != *reviewer && item.answers.iter().any(themselves) {
            return Err(DecideError::Answered(reviewer.clone()));
        }
        let silent = decided.reason.trim().is_empty() && decided.response != Response::NotDecided;
        if silent || decided.reason.len() > REASON_BYTES_MAX {
            return Err(DecideError::Reason);
        }
        if !(1..=BATCH_MAX).contains(&decided.batch) {
            return Err(DecideError::Batch);
        }
        if decided.at < decided.opened_at {
            return Err(DecideError::Clock);
        }
        Ok(Step::Decided { case, decided: Box::new(decided) })
    }

    /// Ends the stage under way: at its time, or once everyone has answered.
    ///
    /// # Errors
    /// [`CampaignError`]: there is none, or somebody has time yet.
    pub fn close_stage(&self, at: Timestamp) -> Result<Step, CampaignError> {
        if self.stage().is_none() {
            return Err(self.not_now("closing a stage"));
        }
        let waits = |item: &&crate::Item| item.open && item.silent().next().is_some();
        let waiting = self.items.iter().filter(waits).count();
        if at < self.stage_until && waiting > 0 {
            return Err(CampaignError::StillOpen { until: self.stage_until, waiting });
        }
        Ok(Step::StageClosed)
    }

    /// Puts the cases about which nobody said anything to reviewers again, from the first stage.
    ///
    /// # Errors
    /// [`CampaignError`]: there are none, or it was done often enough.
    pub fn reiterate(&self) -> Result<Step, CampaignError> {
        if self.state != CampaignState::Reviewed {
            return Err(self.not_now("asking again"));
        }
        let any = self.items.iter().any(|item| self.is_silent(item));
        match any && self.iteration < self.definition.iterations {
            true => Ok(Step::Reiterated),
            false => Err(CampaignError::NoIteration),
        }
    }

    /// Signs what came out.
    ///
    /// # Errors
    /// [`CampaignError`]: not the owner, not over, or another digest.
    pub fn sign_off(&self, by: &IdentityId, over: Digest) -> Result<Step, CampaignError> {
        if self.state != CampaignState::Reviewed {
            return Err(self.not_now("signing it off"));
        }
        if *by != self.definition.owner {
            return Err(CampaignError::NotOwner(self.definition.owner.clone()));
        }
        match over == self.digest() {
            true => Ok(Step::SignedOff { over }),
            false => Err(CampaignError::OtherDigest),
        }
    }

    /// Gives it up.
    ///
    /// # Errors
    /// [`CampaignError`] where it is signed, or was given up.
    pub fn cancel(&self) -> Result<Step, CampaignError> {
        match self.state {
            CampaignState::SignedOff { .. } | CampaignState::Cancelled => {
                Err(self.not_now("giving it up"))
            }
            _ => Ok(Step::Cancelled),
        }
    }

    /// Whether this state allows a step that somebody else recorded, at that time and by that
    /// person: to be asked before it is applied. Whom the definition named then is known to nobody
    /// any more; that those who were named may review is looked at.
    ///
    /// # Errors
    /// [`DecideError`]: by which rule the step would not have been taken.
    pub fn check(
        &self,
        step: &Step,
        by: Option<&IdentityId>,
        at: Timestamp,
    ) -> Result<(), DecideError> {
        let at = at.plus_ms(STEP_CLOCK_SLACK_MS);
        match step {
            Step::StageOpened { assigned, .. } => self.check_opened(assigned)?,
            Step::Escalated { assigned, how } => self.check_escalated(assigned, *how, at)?,
            Step::Reassigned { case, from, to } => {
                self.reassign(*case, from, to.clone())?;
            }
            Step::Replaced { gone, assigned } => self.check_replaced(gone, assigned)?,
            Step::Reminded { people } => {
                // What was computed before the end of the stage can be recorded right after it.
                let within = at.min(self.stage_until.plus_ms(-1));
                if self.remind(within) != Some(Step::Reminded { people: *people }) {
                    return Err(self.not_now("a reminder").into());
                }
            }
            Step::Decided { case, decided } => {
                self.take(*case, ReviewDecision::clone(decided))?;
            }
            Step::StageClosed => {
                self.close_stage(at)?;
            }
            Step::Reiterated => {
                self.reiterate()?;
            }
            Step::SignedOff { over } => {
                let owner = || CampaignError::NotOwner(self.definition.owner.clone());
                self.sign_off(by.ok_or_else(owner)?, *over)?;
            }
            Step::Cancelled => {
                self.cancel()?;
            }
        }
        Ok(())
    }

    fn check_opened(&self, assigned: &Assigned) -> Result<(), CampaignError> {
        if self.coming_stage().is_none() {
            return Err(self.not_now("opening a stage"));
        }
        for (number, people) in assigned {
            let case = self.case(*number).filter(|(_, item)| !item.over);
            case.ok_or(CampaignError::NoCase(*number))?;
            self.check_named(*number, people, REVIEWERS_MAX)?;
        }
        Ok(())
    }

    fn check_escalated(
        &self,
        assigned: &Assigned,
        how: Escalate,
        at: Timestamp,
    ) -> Result<(), CampaignError> {
        let due = self.next_escalation().filter(|next| next.how == how);
        if due.is_none_or(|next| at.ms_since(self.stage_from) < next.after_ms) {
            return Err(self.not_now("an escalation"));
        }
        for (number, more) in assigned {
            let (_, item) = self.open_case(*number)?;
            if item.silent().next().is_none() && !item.answers.is_empty() {
                return Err(CampaignError::NoCase(*number));
            }
            let staying = if how == Escalate::Add { item.reviewers.len() } else { 0 };
            self.check_named(*number, more, REVIEWERS_MAX.saturating_sub(staying))?;
        }
        Ok(())
    }

    fn check_replaced(&self, gone: &IdentityId, assigned: &Assigned) -> Result<(), CampaignError> {
        let waits = |item: &crate::Item| item.open && item.silent().any(|who| who == gone);
        if !self.items.iter().any(waits) {
            return Err(self.not_now("a replacement"));
        }
        for (number, people) in assigned {
            let found = self.case(*number).filter(|(_, item)| waits(item));
            let (_, item) = found.ok_or(CampaignError::NoCase(*number))?;
            let room = (REVIEWERS_MAX + 1).saturating_sub(item.reviewers.len());
            self.check_named(*number, people, room)?;
        }
        Ok(())
    }

    /// Whether those people may review a case, and are not more than that.
    fn check_named(
        &self,
        number: u32,
        people: &[IdentityId],
        room: usize,
    ) -> Result<(), CampaignError> {
        if people.len() > room {
            return Err(CampaignError::TooManyReviewers(number));
        }
        people.iter().try_for_each(|who| self.disinterested(number, who))
    }

    /// Those of them who may review the case, each once.
    fn fit(
        &self,
        case: u32,
        mut people: Vec<IdentityId>,
    ) -> Result<Box<[IdentityId]>, CampaignError> {
        people.retain(|who| self.disinterested(case, who).is_ok());
        people.sort_unstable();
        people.dedup();
        match people.len() > REVIEWERS_MAX {
            true => Err(CampaignError::TooManyReviewers(case)),
            false => Ok(people.into()),
        }
    }

    fn disinterested(&self, number: u32, reviewer: &IdentityId) -> Result<(), CampaignError> {
        let (case, _) = self.case(number).ok_or(CampaignError::NoCase(number))?;
        let why = match () {
            () if case.holder == *reviewer => "holds",
            () if case.is_given_by(reviewer) => "gave",
            () => return Ok(()),
        };
        Err(CampaignError::Interested { reviewer: reviewer.clone(), why, case: number })
    }

    fn open_case(&self, number: u32) -> Result<(&crate::Case, &crate::Item), CampaignError> {
        if self.stage().is_none() {
            return Err(self.not_now("an answer"));
        }
        let found = self.case(number).filter(|(_, item)| item.open);
        found.ok_or(CampaignError::NoCase(number))
    }

    fn not_now(&self, what: &'static str) -> CampaignError {
        CampaignError::NotNow { what, state: self.state.clone() }
    }
}
