//! Break-glass: rules that ask for an approval, set aside for a time by a person with that right.
//! What no approval lifts stands all the same: other forbids, envelopes, budgets, the kill switch.
//!
//! It is loud: a record, a warning in the log, a notice, and a review that is due.

use std::sync::{Arc, LazyLock};

use safeconduct_engine::{ApprovalFacts, Understood};
use safeconduct_model::{
    ActionEntry, ActionName, Assurance, Authentication, Body, BrokenGlass, Confidentiality, Effect,
    Entity, IdentityId, Integrity, KillScope, Label, Mode, Record, RecordId, Returns, Subject,
    TaskId, Tier, Timestamp, TraceId, Value,
};
use thiserror::Error;

use super::answer::assurance;
use super::{ATTEMPTS, AccessHappened, AccessNews, Glass, Ledgered, REVIEWS_DUE_MAX, people};
use crate::{
    Check, Entry, Proposal, Recorded, Ruling, Service, SubmitError, Unrecorded, Versioned, World,
};

/// The action that policy decides when somebody sets rules aside. Its principal is that person,
/// its resource whoever the rules are set aside for.
pub const BREAK_GLASS: &str = "break_glass";

/// Longest time for which rules are set aside, in milliseconds: an hour.
pub const GLASS_MS_MAX: i64 = 3_600_000;

/// Most rules that are set aside at one time.
pub const GLASSES_MAX: usize = 1000;

/// Longest reason, in bytes; the shortest is one.
pub const GLASS_REASON_BYTES_MAX: usize = 1024;

/// Why a review of it is due.
const CAUSE: &str = "break_glass";

/// What is known of the action, whatever a catalogue says.
pub(crate) static BREAKING: LazyLock<Option<ActionEntry>> = LazyLock::new(|| {
    Some(ActionEntry {
        name: ActionName::new(BREAK_GLASS).ok()?,
        server: None,
        // Whoever may do it needs nobody's approval: that is what it is for.
        tier: Tier::Moderate,
        raises: Vec::new(),
        effect: Effect::Administer,
        guessed: false,
        returns: Returns::uniform(Label {
            integrity: Integrity::Trusted,
            confidentiality: Confidentiality::Public,
            ..Label::LEAST
        }),
        accepts: Confidentiality::Secret,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: None,
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    })
});

/// The wish to set rules aside.
#[derive(Debug, Clone)]
pub struct BreakGlass {
    /// Who does it, by a passkey that they used just now ([`super::PASSKEY_FRESH_MS`]).
    pub by: Authentication,
    /// For whom.
    pub agent: IdentityId,
    /// In which task of theirs alone, where it is for one.
    pub task: Option<TaskId>,
    /// Why, in their words; 1 to [`GLASS_REASON_BYTES_MAX`] bytes.
    pub reason: Arc<str>,
    /// For how long, in milliseconds; 1 to [`GLASS_MS_MAX`].
    pub for_ms: i64,
    /// The enforcement point that asks.
    pub pep: IdentityId,
    /// What the caller correlates by.
    pub trace: Option<TraceId>,
}

/// Rules that are set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlassView {
    /// The record of it.
    pub id: RecordId,
    /// For whom, by whom, why, until when.
    pub broken: BrokenGlass,
    /// Since when.
    pub at: Timestamp,
}

/// Why rules were not set aside.
#[derive(Debug, Error)]
pub enum BreakGlassError {
    /// The caller's fault: they are no person who may act, or it is they who would profit.
    #[error("`{0}` is no user who may set rules aside here")]
    NotAPerson(IdentityId),
    /// The caller's fault: they must use a passkey, now.
    #[error("setting rules aside takes a passkey that was used just now")]
    Passkey,
    /// The caller's fault: nobody of that name is registered and may act.
    #[error("no identity `{0}` is registered and active")]
    UnknownAgent(IdentityId),
    /// The caller's fault: that agent has no such task, or it has ended.
    #[error("`{agent}` acts in no live task `{task}`")]
    UnknownTask {
        /// Who.
        agent: IdentityId,
        /// In which.
        task: TaskId,
    },
    /// The caller's fault: no reason, or too many words.
    #[error("the reason has {bytes} bytes, and must have 1 to {GLASS_REASON_BYTES_MAX}")]
    Reason {
        /// How many.
        bytes: usize,
    },
    /// The caller's fault: no time, or too much.
    #[error("rules are set aside for 1 to {GLASS_MS_MAX} ms")]
    Time,
    /// The policies do not give them that right.
    #[error("no policy lets `{by}` set rules aside for `{agent}`")]
    Denied {
        /// Who.
        by: IdentityId,
        /// For whom.
        agent: IdentityId,
        /// The decision.
        ruling: Recorded<Ruling>,
    },
    /// Nobody's fault: too many at one time.
    #[error("rules are set aside {GLASSES_MAX} times already")]
    TooMany,
    /// The fault of those who should have: nobody looks at what was done before.
    #[error("{REVIEWS_DUE_MAX} reviews are due: do some of them first")]
    Unreviewed,
    /// Our fault: it could not be recorded.
    #[error("nothing could be recorded: {0}")]
    NotRecorded(Arc<str>),
}

/// Why rules do not hold again by that.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MendGlassError {
    /// The caller's fault: nothing of that name is set aside.
    #[error("no rules are set aside by `{0}`")]
    Unknown(RecordId),
    /// Our fault: it could not be recorded.
    #[error("nothing could be recorded: {0}")]
    NotRecorded(Arc<str>),
}

impl Service {
    /// Sets the rules that ask for an approval aside for somebody, for a time, where policy gives
    /// that person the right (action [`BREAK_GLASS`]). A review of it is due from then on.
    ///
    /// # Errors
    /// [`BreakGlassError`] says whose fault it is.
    pub async fn break_glass(&self, breaking: BreakGlass) -> Result<GlassView, BreakGlassError> {
        let bytes = breaking.reason.len();
        if !(1..=GLASS_REASON_BYTES_MAX).contains(&bytes) {
            return Err(BreakGlassError::Reason { bytes });
        }
        if !(1..=GLASS_MS_MAX).contains(&breaking.for_ms) {
            return Err(BreakGlassError::Time);
        }
        self.end_task_of_glass(&breaking);
        self.may_break(&breaking)?;
        let unrecorded =
            |error: Unrecorded| BreakGlassError::NotRecorded(error.reason.message().into());
        let ruling = self.check(self.question(&breaking)?).await;
        self.tell_of_decision(&ruling);
        let ruling = ruling.map_err(unrecorded)?;
        if !ruling.value().goes_ahead() {
            let (by, agent) = (breaking.by.identity, breaking.agent);
            return Err(BreakGlassError::Denied { by, agent, ruling });
        }
        let decision = ruling.value().decision().clone();
        // The decision was the question; its outcome is the record of it.
        self.expect_nothing(&decision);
        let (view, ticket) = self.queue_glass(&breaking, &decision)?;
        let BrokenGlass { agent, task, by, .. } = &view.broken;
        tracing::warn!(%agent, ?task, %by, glass = %view.id, until = ?view.broken.until, "rules that ask for approvals are set aside");
        self.tell_of_glass(&view);
        let durable = self.ledger.durable(ticket).await;
        durable.map_err(|error| BreakGlassError::NotRecorded(error.0))?;
        Ok(view)
    }

    fn end_task_of_glass(&self, breaking: &BreakGlass) {
        if let Some(task) = &breaking.task {
            self.end_if_overdue(task);
        }
    }

    /// Whether they may ask for it at all, and what the record of it reads.
    fn may_break(&self, breaking: &BreakGlass) -> Result<Vec<(Versioned, u64)>, BreakGlassError> {
        let BreakGlass { by, agent, task, .. } = breaking;
        let (world, now) = (self.world(), self.now());
        let person = people::person(&world, &by.identity).is_some() && by.identity != *agent;
        if !person || !self.proof_stands(by, &world, now) {
            return Err(BreakGlassError::NotAPerson(by.identity.clone()));
        }
        if assurance(by, now) != Assurance::High {
            return Err(BreakGlassError::Passkey);
        }
        if !world.is_active(agent) {
            return Err(BreakGlassError::UnknownAgent(agent.clone()));
        }
        let mut reads = vec![(Versioned::World, world.version)];
        if let Some(task) = task {
            let line = self.line(task).map(|line| line.among(&world));
            let line = line.filter(|line| line.ended.is_none() && line.task.agent == *agent);
            let unknown =
                || BreakGlassError::UnknownTask { agent: agent.clone(), task: task.clone() };
            reads.extend(line.ok_or_else(unknown)?.versions);
        }
        Ok(reads)
    }

    /// The question to policy: may this person set rules aside for this agent?
    fn question(&self, breaking: &BreakGlass) -> Result<Check, BreakGlassError> {
        let world = self.world();
        let unknown = || BreakGlassError::UnknownAgent(breaking.agent.clone());
        let agent = world.identities.get(&breaking.agent).ok_or_else(unknown)?;
        let mut asserted = vec![
            ("reason", Value::String(Arc::clone(&breaking.reason))),
            ("for_s", Value::Integer(breaking.for_ms / 1000)),
        ];
        asserted.extend(breaking.task.iter().map(|task| ("in_task", Value::String(task.shared()))));
        Ok(Check {
            // Outside of any task: it is not the agent's doing.
            subject: Subject::Caller(Authentication { task: None, ..breaking.by.clone() }),
            action: ActionName::new(BREAK_GLASS)
                .map_err(|error| BreakGlassError::NotRecorded(error.to_string().into()))?,
            resource: Some(Entity::bare(agent.entity.uid.clone())),
            input: Value::object::<&str>([]),
            asserted: Some(Value::object(asserted)),
            session_name: None,
            pep: breaking.pep.clone(),
            mode: Mode::Enforce,
            trace: breaking.trace.clone(),
            parent: None,
            understood: Understood::Only(Default::default()),
            network: None,
        })
    }

    fn queue_glass(
        &self,
        breaking: &BreakGlass,
        decision: &RecordId,
    ) -> Result<(GlassView, crate::Ticket), BreakGlassError> {
        let broken =
            |error: &dyn std::fmt::Display| BreakGlassError::NotRecorded(error.to_string().into());
        for attempt in 1..=ATTEMPTS {
            // Before changes are kept out: it takes sessions, whose holders may wait for those.
            self.end_task_of_glass(breaking);
            let _alone = (attempt == ATTEMPTS).then(|| self.keep_changes_out());
            let mut reads = self.may_break(breaking)?;
            let now = self.now();
            let view = GlassView {
                id: self.ids.record("glass"),
                broken: BrokenGlass {
                    agent: breaking.agent.clone(),
                    task: breaking.task.clone(),
                    by: breaking.by.identity.clone(),
                    method: breaking.by.method,
                    reason: Arc::clone(&breaking.reason),
                    until: now.plus_ms(breaking.for_ms),
                },
                at: now,
            };
            let record = |id: RecordId, parent: &RecordId, body| Record {
                id,
                at: now,
                trace: breaking.trace.clone(),
                parent: Some(parent.clone()),
                body,
            };
            let glass =
                record(view.id.clone(), decision, Body::GlassBroken(Box::new(view.broken.clone())));
            let review = Body::ReviewDue {
                of: view.id.clone(),
                about: breaking.by.identity.clone(),
                cause: CAUSE.into(),
            };
            let review = record(self.ids.record("rec"), &view.id, review);
            let entries = [glass, review].into_iter().map(|record| {
                let leaf = safeconduct_ledger::encode(&record).map_err(|error| broken(&error))?;
                Ok(Entry { leaf, attachment: None })
            });
            let entries = entries.collect::<Result<Vec<_>, BreakGlassError>>()?;
            let mut state = self.requests.lock();
            for over in state.glasses_over(now) {
                state.glasses.remove(&over);
            }
            if state.glasses.len() >= GLASSES_MAX {
                return Err(BreakGlassError::TooMany);
            }
            if state.due.len() >= REVIEWS_DUE_MAX {
                return Err(BreakGlassError::Unreviewed);
            }
            reads.push(state.read(&breaking.agent));
            let writes = vec![Versioned::Access(breaking.agent.clone())];
            match self.ledger.submit(Proposal { entries, reads, writes }) {
                Ok(ticket) => {
                    state.agent(&breaking.agent).version += 1;
                    let glass = Glass { broken: view.broken.clone(), at: now };
                    state.is_due(&view.id, &breaking.by.identity, &CAUSE.into(), now);
                    state.glasses.insert(view.id.clone(), glass);
                    self.requests.settle(&state);
                    return Ok((view, ticket));
                }
                Err(SubmitError::Stale) => {}
                Err(error) => return Err(broken(&error)),
            }
        }
        Err(BreakGlassError::NotRecorded("others changed what it rests on".into()))
    }

    fn tell_of_glass(&self, view: &GlassView) {
        let world = self.world();
        let agent = world.identity(&view.broken.agent);
        let owners = agent.map(|agent| agent.owner.iter().chain(&agent.fallback_owner));
        self.tell_of_news(&AccessNews {
            request: view.id.clone(),
            what: AccessHappened::GlassBroken,
            to: owners.into_iter().flatten().cloned().collect(),
            asked_by: view.broken.by.clone(),
            action: match &*BREAKING {
                Some(entry) => entry.name.clone(),
                None => return,
            },
            tier: Tier::Critical,
            answer_by: view.broken.until,
        });
    }

    /// Lets rules hold again before their time. Whether they may is the caller's to see.
    ///
    /// # Errors
    /// [`MendGlassError`] says whose fault it is.
    pub async fn mend_glass(
        &self,
        glass: &RecordId,
        by: &IdentityId,
    ) -> Result<(), MendGlassError> {
        let broken =
            |error: &dyn std::fmt::Display| MendGlassError::NotRecorded(error.to_string().into());
        let ticket = {
            let mut state = self.requests.lock();
            let known = state.glasses.get(glass);
            let known = known.ok_or_else(|| MendGlassError::Unknown(glass.clone()))?;
            let agent = known.broken.agent.clone();
            let record = Record {
                id: self.ids.record("rec"),
                at: self.now(),
                trace: None,
                parent: Some(glass.clone()),
                body: Body::GlassMended { glass: glass.clone(), by: Some(by.clone()) },
            };
            let leaf = safeconduct_ledger::encode(&record).map_err(|error| broken(&error))?;
            let entries = vec![Entry { leaf, attachment: None }];
            let writes = vec![Versioned::Access(agent.clone())];
            let proposal = Proposal { entries, reads: Vec::new(), writes };
            let ticket = self.ledger.submit(proposal).map_err(|error| broken(&error))?;
            state.agent(&agent).version += 1;
            state.glasses.remove(glass);
            self.requests.settle(&state);
            ticket
        };
        self.ledger.durable(ticket).await.map_err(|error| broken(&error))
    }

    /// The rules that are set aside now, by the ids of their records.
    pub fn glasses(&self) -> Vec<GlassView> {
        let now = self.now();
        let state = self.requests.lock();
        let live = state.glasses.iter().filter(|(_, glass)| now < glass.broken.until);
        let view = |(id, glass): (&RecordId, &Glass)| GlassView {
            id: id.clone(),
            broken: glass.broken.clone(),
            at: glass.at,
        };
        live.map(view).collect()
    }

    /// Rules hold again for a task that has ended. Its end, which is recorded, says so.
    pub(super) fn mend_of_task(&self, agent: &IdentityId, task: &TaskId) {
        let mut state = self.requests.lock();
        state.glasses.retain(|_, glass| {
            glass.broken.agent != *agent || glass.broken.task.as_ref() != Some(task)
        });
        self.requests.settle(&state);
    }

    /// Rules hold again for what the kill switch, or the end of an identity, stops: recorded, so
    /// that they hold after a restart too.
    pub(super) fn mend_of(&self, scope: &KillScope) {
        let hit: Vec<RecordId> = {
            let state = self.requests.lock();
            let hit = state.glasses.iter().filter(|(_, glass)| match scope {
                // What was set aside by the word of somebody ends with them.
                KillScope::Identity(who) => glass.broken.agent == *who || glass.broken.by == *who,
                KillScope::Task(task) => glass.broken.task.as_ref() == Some(task),
                KillScope::All => true,
                KillScope::Session(_) => false,
            });
            hit.map(|(id, _)| id.clone()).collect()
        };
        for glass in hit {
            let record = Record {
                id: self.ids.record("rec"),
                at: self.now(),
                trace: None,
                parent: Some(glass.clone()),
                body: Body::GlassMended { glass: glass.clone(), by: None },
            };
            let mut state = self.requests.lock();
            let Some(agent) = state.glasses.remove(&glass).map(|glass| glass.broken.agent) else {
                continue;
            };
            let queued = safeconduct_ledger::encode(&record).map(|leaf| {
                let entries = vec![Entry { leaf, attachment: None }];
                let writes = vec![Versioned::Access(agent.clone())];
                self.ledger.submit(Proposal { entries, reads: Vec::new(), writes })
            });
            match queued {
                Ok(Ok(_)) => state.agent(&agent).version += 1,
                Ok(Err(error)) => {
                    tracing::error!(%error, %glass, "that rules hold again could not be recorded")
                }
                Err(error) => {
                    tracing::error!(%error, %glass, "that rules hold again could not be recorded")
                }
            }
            self.requests.settle(&state);
        }
    }
}

impl Ledgered {
    /// The rules that are set aside for that agent in that task, as policies see it: by the word
    /// of somebody who still may act.
    pub(super) fn glass_over(
        &self,
        agent: &IdentityId,
        task: Option<&TaskId>,
        world: &World,
        at: Timestamp,
    ) -> Option<ApprovalFacts> {
        let over = |glass: &&Glass| {
            let broken = &glass.broken;
            broken.agent == *agent
                && broken.task.as_ref().is_none_or(|only| Some(only) == task)
                && at < broken.until
                && at >= glass.at
                && people::person(world, &broken.by).is_some()
        };
        let (id, glass) = self.glasses.iter().find(|(_, glass)| over(glass))?;
        Some(ApprovalFacts {
            id: id.clone(),
            approvers: [glass.broken.by.clone()].into(),
            at: glass.at,
            scope: CAUSE,
        })
    }

    /// Those whose time is over.
    pub(super) fn glasses_over(&self, now: Timestamp) -> Vec<RecordId> {
        let over = self.glasses.iter().filter(|(_, glass)| now >= glass.broken.until);
        over.map(|(id, _)| id.clone()).collect()
    }
}
