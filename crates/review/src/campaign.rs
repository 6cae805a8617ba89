//! A campaign under way: a fold of its steps.
//!
//! ```text
//! Created ──▶ InStage(0) ──▶ StageDone(0) ──▶ InStage(1) … ──▶ Reviewed ──▶ SignedOff
//!                                                   ▲              │
//!                                                   └── unanswered ┘
//! ```
//!
//! Whatever is not signed off can be cancelled.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, RecordId, Timestamp};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    Case, Definition, DefinitionError, Effect, Escalate, Population, REVIEWERS_MAX, Response,
    StageDefinition,
};

/// A review of rights, from its frozen population to its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    pub(crate) id: RecordId,
    pub(crate) definition: Arc<Definition>,
    pub(crate) population: Population,
    pub(crate) state: CampaignState,
    /// How often cases were put to reviewers again.
    pub(crate) iteration: u32,
    /// When the stage under way began, and when it ends.
    pub(crate) stage_from: Timestamp,
    pub(crate) stage_until: Timestamp,
    /// By a case's number.
    pub(crate) items: Vec<Item>,
    pub(crate) escalated: usize,
    /// How many reminders of the stage under way were sent.
    pub(crate) reminded: usize,
    pub(crate) steps: u64,
}

/// Where a campaign stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CampaignState {
    /// Nobody was asked yet.
    Created,
    /// Reviewers of that stage, from 0, can answer.
    InStage(usize),
    /// That stage is over, and another is to come.
    StageDone(usize),
    /// Every case has its outcome.
    Reviewed,
    /// Its owner has signed it.
    SignedOff {
        /// Over which digest.
        over: Digest,
    },
    /// It was given up.
    Cancelled,
}

impl CampaignState {
    /// The word for it on every wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::InStage(_) => "in_stage",
            Self::StageDone(_) => "stage_done",
            Self::Reviewed => "reviewed",
            Self::SignedOff { .. } => "signed_off",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is known of one case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// Who is asked in the stage under way; nobody where the case is not in it.
    pub reviewers: Box<[IdentityId]>,
    /// What they said, in this stage.
    pub answers: Vec<ReviewDecision>,
    /// What came of each stage so far.
    pub outcomes: Vec<Response>,
    /// What was said in earlier stages and iterations.
    pub earlier: Vec<ReviewDecision>,
    /// Whether it goes no further.
    pub over: bool,
    /// Whether the stage under way looks at it.
    pub open: bool,
}

/// One answer of one reviewer about one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewDecision {
    /// Who answered.
    pub by: IdentityId,
    /// For whom they stood in: the answer is theirs.
    pub acting_for: Option<IdentityId>,
    /// What.
    pub response: Response,
    /// Why, in their words.
    pub reason: Arc<str>,
    /// When they were shown the case.
    pub opened_at: Timestamp,
    /// When they answered.
    pub at: Timestamp,
    /// Digest of what they were shown.
    pub evidence: Digest,
    /// How many cases they answered at once; 1 where they answered this one alone.
    pub batch: u32,
}

impl ReviewDecision {
    /// Whose answer it is.
    pub fn reviewer(&self) -> &IdentityId {
        self.acting_for.as_ref().unwrap_or(&self.by)
    }

    /// How long they looked, in milliseconds.
    pub const fn took_ms(&self) -> i64 {
        self.at.ms_since(self.opened_at)
    }
}

/// What happened to a campaign: plain data, of which it is a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A stage began.
    StageOpened {
        /// When.
        at: Timestamp,
        /// Who reviews which case.
        assigned: Arc<Assigned>,
    },
    /// Others are asked too, or instead.
    Escalated {
        /// Who.
        assigned: Arc<Assigned>,
        /// Beside those before, or in their place.
        how: Escalate,
    },
    /// A reviewer handed a case on.
    Reassigned {
        /// Which case.
        case: u32,
        /// Who had it.
        from: IdentityId,
        /// Who has it now.
        to: IdentityId,
    },
    /// A reviewer is gone, and others are asked in their place.
    Replaced {
        /// Who is gone.
        gone: IdentityId,
        /// Who is asked, of the cases about which they had not answered.
        assigned: Arc<Assigned>,
    },
    /// Those who have not answered were told that the stage ends.
    Reminded {
        /// How many people.
        people: u32,
    },
    /// A reviewer answered.
    Decided {
        /// Which case.
        case: u32,
        /// What they said.
        decided: Box<ReviewDecision>,
    },
    /// A stage ended.
    StageClosed,
    /// Cases without an answer are put to reviewers again.
    Reiterated,
    /// The owner signed.
    SignedOff {
        /// Over which digest.
        over: Digest,
    },
    /// It was given up.
    Cancelled,
}

/// Who reviews which cases: the case's number, and at most [`REVIEWERS_MAX`] people. A case that
/// is not there is reviewed by nobody.
pub type Assigned = BTreeMap<u32, Box<[IdentityId]>>;

/// Why a step cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CampaignError {
    /// The author's fault.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The caller's fault: not now.
    #[error("the campaign is {}, and {what} is not possible then", state.as_str())]
    NotNow {
        /// What was wanted.
        what: &'static str,
        /// Where the campaign stands.
        state: CampaignState,
    },
    /// The caller's fault: there is no such case, or it is not in this stage.
    #[error("case {0} is not under review in this stage")]
    NoCase(u32),
    /// The caller's fault: too many people, or somebody who may not.
    #[error("case {0} would have more than {REVIEWERS_MAX} reviewers")]
    TooManyReviewers(u32),
    /// The caller's fault: they hold the right, or gave it.
    #[error("`{reviewer}` {why} the right in case {case}, and cannot review it")]
    Interested {
        /// Who.
        reviewer: IdentityId,
        /// `holds` or `gave`.
        why: &'static str,
        /// Which case.
        case: u32,
    },
    /// Nobody's fault: reviewers have time yet.
    #[error("the stage is open until {until}, and {waiting} cases wait for answers")]
    StillOpen {
        /// Until when.
        until: Timestamp,
        /// How many.
        waiting: usize,
    },
    /// The caller's fault: only the owner signs.
    #[error("the campaign is signed off by its owner `{0}` alone")]
    NotOwner(IdentityId),
    /// The caller's fault: what they signed is not what came out.
    #[error("the signature is over another digest than that of the campaign")]
    OtherDigest,
    /// There is nothing to ask again, or it was asked often enough.
    #[error("no case is to be put to reviewers again")]
    NoIteration,
}

impl Campaign {
    /// A campaign over a frozen population.
    ///
    /// # Errors
    /// [`CampaignError::Definition`].
    pub fn begin(
        id: RecordId,
        definition: Arc<Definition>,
        population: Population,
    ) -> Result<Self, CampaignError> {
        definition.check()?;
        let items = vec![Item::default(); population.cases().len()];
        let (state, never) = (CampaignState::Created, Timestamp::from_millis(0));
        Ok(Self {
            id,
            definition,
            population,
            state,
            iteration: 0,
            stage_from: never,
            stage_until: never,
            items,
            escalated: 0,
            reminded: 0,
            steps: 0,
        })
    }

    /// Its id.
    pub const fn id(&self) -> &RecordId {
        &self.id
    }

    /// How it was planned.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// What it is about.
    pub const fn population(&self) -> &Population {
        &self.population
    }

    /// Where it stands.
    pub const fn state(&self) -> &CampaignState {
        &self.state
    }

    /// How often cases were put to reviewers again.
    pub const fn iteration(&self) -> u32 {
        self.iteration
    }

    /// When the stage under way, or the last one, began.
    pub const fn stage_from(&self) -> Timestamp {
        self.stage_from
    }

    /// When the stage under way ends.
    pub const fn stage_until(&self) -> Timestamp {
        self.stage_until
    }

    /// How many steps were taken: whoever takes the next has seen all of them.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// A case and what is known of it.
    pub fn case(&self, number: u32) -> Option<(&Case, &Item)> {
        let number = number as usize;
        self.population.cases().get(number).zip(self.items.get(number))
    }

    /// Every case with what is known of it, by number.
    pub fn cases(&self) -> impl Iterator<Item = (u32, &Case, &Item)> {
        let items = self.population.cases().iter().zip(&self.items);
        (0_u32..).zip(items).map(|(number, (case, item))| (number, case, item))
    }

    /// The stage under way.
    pub fn stage(&self) -> Option<&StageDefinition> {
        match self.state {
            CampaignState::InStage(stage) => self.definition.stages.get(stage),
            _ => None,
        }
    }

    /// What came of a case that is over.
    pub fn outcome(&self, item: &Item) -> Response {
        self.definition.strategy.outcome(item.outcomes.iter().copied(), Response::NoResponse)
    }

    /// What becomes of the right of a case that is over.
    pub fn effect(&self, case: &Case, item: &Item) -> Effect {
        match self.outcome(item) {
            Response::Accept => Effect::Keep,
            Response::Revoke => Effect::Revoke,
            Response::Reduce => Effect::Reduce,
            Response::NotDecided | Response::NoResponse => self.definition.no_answer.of(case.tier),
        }
    }

    /// SHA-256 over the population and every answer, outcome and effect, in order: what the owner
    /// signs.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(self.population.digest().as_bytes());
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        for (_, case, item) in self.cases() {
            for decided in item.earlier.iter().chain(&item.answers) {
                text(decided.by.as_str());
                text(decided.acting_for.as_ref().map_or("", IdentityId::as_str));
                text(decided.response.as_str());
                text(&decided.reason);
                text(&decided.opened_at.as_millis().to_string());
                text(&decided.at.as_millis().to_string());
                text(&decided.evidence.to_string());
                text(&decided.batch.to_string());
            }
            text(self.outcome(item).as_str());
            text(self.effect(case, item).as_str());
        }
        Digest::from_bytes(hash.finalize().into())
    }

    /// Takes a step. It was made by this state, or is a record of one that was.
    pub fn apply(&mut self, step: Step) {
        self.steps += 1;
        match step {
            Step::StageOpened { at, assigned } => self.opened(at, &assigned),
            Step::Escalated { assigned, how } => self.escalated(&assigned, how),
            Step::Reassigned { case, from, to } => {
                if let Some(item) = self.items.get_mut(case as usize) {
                    let others = item.reviewers.iter().filter(|who| **who != from && **who != to);
                    item.reviewers = others.cloned().chain([to.clone()]).collect();
                }
            }
            Step::Replaced { gone, assigned } => self.replaced(&gone, &assigned),
            Step::Reminded { .. } => self.reminded += 1,
            Step::Decided { case, decided } => {
                if let Some(item) = self.items.get_mut(case as usize) {
                    item.answers.retain(|before| before.reviewer() != decided.reviewer());
                    item.answers.push(*decided);
                }
            }
            Step::StageClosed => self.closed(),
            Step::Reiterated => {
                self.iteration += 1;
                self.state = CampaignState::Created;
                let silent: Vec<bool> =
                    self.items.iter().map(|item| self.is_silent(item)).collect();
                for (item, silent) in self.items.iter_mut().zip(silent) {
                    if silent {
                        item.over = false;
                        item.outcomes.clear();
                    }
                }
            }
            Step::SignedOff { over } => self.state = CampaignState::SignedOff { over },
            Step::Cancelled => self.state = CampaignState::Cancelled,
        }
    }

    /// Whether nobody has ever said anything of it.
    pub(crate) fn is_silent(&self, item: &Item) -> bool {
        item.over && self.outcome(item) == Response::NoResponse
    }

    fn opened(&mut self, at: Timestamp, assigned: &Assigned) {
        let stage = self.next_stage();
        let lasts = self.definition.stages.get(stage).map_or(0, |stage| stage.lasts_ms);
        (self.stage_from, self.stage_until) = (at, at.plus_ms(lasts));
        (self.state, self.escalated) = (CampaignState::InStage(stage), 0);
        self.reminded = 0;
        for (number, item) in (0_u32..).zip(&mut self.items) {
            item.open = !item.over;
            item.reviewers = Box::default();
            if let Some(reviewers) = assigned.get(&number).filter(|_| item.open) {
                item.reviewers = reviewers.clone();
            }
        }
    }

    fn escalated(&mut self, assigned: &Assigned, how: Escalate) {
        self.escalated += 1;
        for (number, more) in assigned {
            let Some(item) = self.items.get_mut(*number as usize) else { continue };
            let answered = |who: &IdentityId| item.answers.iter().any(|a| a.reviewer() == who);
            let stay = |who: &&IdentityId| how == Escalate::Add || answered(who);
            let mut reviewers: Vec<_> = item.reviewers.iter().filter(stay).cloned().collect();
            reviewers.extend(more.iter().filter(|who| !item.reviewers.contains(who)).cloned());
            item.reviewers = reviewers.into();
        }
    }

    fn replaced(&mut self, gone: &IdentityId, assigned: &Assigned) {
        for (number, item) in (0_u32..).zip(&mut self.items) {
            if !item.open || !item.silent().any(|who| who == gone) {
                continue;
            }
            let mut reviewers: Vec<_> =
                item.reviewers.iter().filter(|who| *who != gone).cloned().collect();
            let more = assigned.get(&number).into_iter().flatten();
            reviewers.extend(more.filter(|who| !item.reviewers.contains(who)).cloned());
            item.reviewers = reviewers.into();
        }
    }

    fn closed(&mut self) {
        let CampaignState::InStage(number) = self.state else { return };
        let definition = Arc::clone(&self.definition);
        let Some(stage) = definition.stages.get(number) else { return };
        let last = number + 1 == definition.stages.len();
        let rule = if stage.stop.is_set() { &stage.stop } else { &definition.stop };
        for item in self.items.iter_mut().filter(|item| item.open) {
            let outcome = item.outcome_of(stage);
            item.outcomes.push(outcome);
            item.over = last || rule.stops(outcome, definition.strategy);
            item.earlier.append(&mut item.answers);
            (item.open, item.reviewers) = (false, Box::default());
        }
        let done = last || self.items.iter().all(|item| item.over);
        self.state = if done { CampaignState::Reviewed } else { CampaignState::StageDone(number) };
    }

    pub(crate) const fn next_stage(&self) -> usize {
        match self.state {
            CampaignState::StageDone(stage) => stage + 1,
            _ => 0,
        }
    }
}

impl Item {
    /// What comes of a stage: everyone who was asked counts, and silence is an answer.
    fn outcome_of(&self, stage: &StageDefinition) -> Response {
        let said = self.answers.iter().map(|answer| answer.response);
        let silent = self.silent().map(|_| Response::NoResponse);
        stage.strategy.outcome(said.chain(silent), stage.if_no_reviewers)
    }

    /// What would come of the stage under way, as it stands.
    pub fn so_far(&self, campaign: &Campaign) -> Response {
        let said = self.answers.iter().map(|answer| answer.response);
        let strategy = campaign.stage().map(|stage| stage.strategy);
        strategy.map_or(Response::NoResponse, |of| of.outcome(said, Response::NoResponse))
    }

    /// Who was asked and has not answered.
    pub fn silent(&self) -> impl Iterator<Item = &IdentityId> {
        let answered = |who: &IdentityId| self.answers.iter().any(|a| a.reviewer() == who);
        self.reviewers.iter().filter(move |who| !answered(who))
    }
}
