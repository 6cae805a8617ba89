//! Use-case: a person answers a request.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use safeconduct_approval::{
    AccessRequest, AnswerError, Answerer, Attempt, Change, EditError, GroupError, Holders,
    Lowering, Mismatch, Scope, State, edited,
};
use safeconduct_model::{
    Allowance, Assurance, Authentication, IdentityId, KeyedDigest, Method, RecordId, Timestamp,
    Value,
};
use thiserror::Error;

use super::sealed::Asked;
use super::{ATTEMPTS, AccessHappened, AccessState, Ledgered, RevokeAccessError, agent_of, people};
use crate::{Service, SessionKeys, SubmitError, Versioned, World};

/// For how long a passkey that was just used proves who answers, in milliseconds.
pub const PASSKEY_FRESH_MS: i64 = 5 * 60_000;

/// Most requests that one answer settles.
pub const ANSWERED_AT_ONCE_MAX: usize = safeconduct_approval::LIVE_PER_TASK_MAX;

/// An answer to a request.
#[derive(Debug, Clone)]
pub struct Answering {
    /// Which request.
    pub request: RecordId,
    /// Who answers, as they proved it.
    pub by: Authentication,
    /// For whom they stand in: somebody whose fallback owner they are.
    pub standing_in_for: Option<IdentityId>,
    /// What they say.
    pub word: AccessWord,
    /// The digest of what they were shown, as [`super::AccessView::digest`] has it: whoever
    /// asks for a passkey binds it to this.
    pub shown: KeyedDigest,
}

/// What somebody says to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessWord {
    /// Yes, so far.
    Approve(AccessExtent),
    /// No: one is enough.
    Refuse {
        /// Why, in their words; at most [`safeconduct_approval::REASON_BYTES_MAX`] bytes.
        reason: Arc<str>,
    },
}

/// How far a yes reaches.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessExtent {
    /// What was asked, once.
    Once,
    /// What was asked with some of its numbers lowered ("at most 100"), once.
    Lowered(Vec<Lowering>),
    /// The same action in the same task, within bounds.
    Task {
        /// What it may touch and what its arguments must be.
        bounds: Allowance<Value>,
        /// How often.
        uses: u32,
    },
    /// The same action of the same actors for the same user under the same intent.
    Until {
        /// What it may touch and what its arguments must be.
        bounds: Allowance<Value>,
        /// How often.
        uses: u32,
        /// Until when.
        until: Timestamp,
    },
}

/// One answer for several requests, each approved once and exactly as it was shown, or refused.
#[derive(Debug, Clone)]
pub struct AnsweringAll {
    /// The requests, of one [`super::AccessView::group`], each with the digest of what was shown.
    /// At most [`ANSWERED_AT_ONCE_MAX`].
    pub requests: Vec<(RecordId, KeyedDigest)>,
    /// Who answers.
    pub by: Authentication,
    /// For whom they stand in.
    pub standing_in_for: Option<IdentityId>,
    /// Why not, in their words; a yes where there is nothing.
    pub refuse: Option<Arc<str>>,
}

/// Where an answered request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSettled {
    /// Which request.
    pub request: RecordId,
    /// Where it stands: still pending, where others must approve too.
    pub state: AccessState,
}

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerAccessError {
    /// The caller's fault: no such request, or it ended long ago.
    #[error("no access request `{0}` is known")]
    Unknown(RecordId),
    /// Nobody's fault: what was asked for was erased, and nobody can be shown it.
    #[error("the arguments of access request `{0}` were erased: it can only be refused or end")]
    Erased(RecordId),
    /// The caller's fault: only people answer, and only those who may act.
    #[error("`{0}` is no user who may act, and cannot answer access requests")]
    NotAPerson(IdentityId),
    /// The caller's fault: they stand in for somebody whose deputy they are not.
    #[error("`{by}` is not the fallback owner of `{of}`, and cannot stand in for them")]
    NotADeputy {
        /// Who.
        by: IdentityId,
        /// For whom.
        of: IdentityId,
    },
    /// The caller's fault: sign in again.
    #[error("the credential was revoked or has expired: sign in again")]
    CredentialEnded,
    /// The caller's fault: too many at once.
    #[error("more than {ANSWERED_AT_ONCE_MAX} requests are answered at once")]
    TooMany,
    /// [`AnswerError`] says whose fault it is.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// [`EditError`] says whose fault it is.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// [`GroupError`] says whose fault it is.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Nobody's fault: others changed what it rests on three times.
    #[error("others changed what this answer rests on: look again")]
    Contended,
    /// Our fault: it could not be recorded.
    #[error("the answer could not be recorded: {0}")]
    NotRecorded(Arc<str>),
}

/// A request as somebody answers it.
struct Before {
    request: AccessRequest,
    agent: IdentityId,
    /// What was asked for, where it is still there.
    asked: Option<(Asked, Arc<dyn SessionKeys>)>,
    /// Who owns what it touches, and who has a part in it.
    holders: Holders,
    /// Whether the task that it belongs to has ended, or one above it.
    task_ended: bool,
    /// What the answer reads besides the request.
    reads: Vec<(Versioned, u64)>,
}

impl Service {
    /// Takes an answer in. Who owns what, who is in which group and who may act at all counts as
    /// it is now, not as it was when the request was made.
    ///
    /// # Errors
    /// [`AnswerAccessError`] says whose fault it is.
    pub async fn answer_access(
        &self,
        answering: Answering,
    ) -> Result<AccessSettled, AnswerAccessError> {
        let (settled, ticket) = self.queue_answer(&answering)?;
        self.tell_of_access(&settled.request, happened(settled.state));
        self.ask_others(&settled.request);
        let durable = self.ledger.durable(ticket).await;
        durable.map_err(|error| AnswerAccessError::NotRecorded(error.0))?;
        Ok(settled)
    }

    fn queue_answer(
        &self,
        answering: &Answering,
    ) -> Result<(AccessSettled, crate::Ticket), AnswerAccessError> {
        let id = &answering.request;
        for attempt in 1..=ATTEMPTS {
            // Before changes are kept out: it takes sessions, whose holders may wait for those.
            self.end_task_of(id);
            let _alone = (attempt == ATTEMPTS).then(|| self.keep_changes_out());
            let world = self.world();
            let now = self.now();
            // Who answers comes before what is answered: what is said of that is said of every id.
            let by =
                self.answerer(&answering.by, answering.standing_in_for.as_ref(), &world, now)?;
            let mut state = self.requests.lock();
            let before = self.before(&mut state, id, &world)?;
            theirs(&before.request, &by, &before.holders, now)?;
            if before.task_ended {
                return Err(AnswerError::Closed(State::Revoked).into());
            }
            if let AccessWord::Approve(_) = answering.word
                && !self.stands_by(&state, &before, &world)
            {
                self.end_lost(state, &before, now);
                return Err(AnswerError::Closed(State::Revoked).into());
            }
            let change = self.change_of(&before, &by, answering, now)?;
            let method = answering.by.method;
            let (agent, reads) = (&before.agent, before.reads);
            match self.queue_changes(&mut state, agent, &[change], method, reads) {
                Ok(ticket) => {
                    let standing = state.docket.request(id).map(|request| request.standing(now));
                    let state = standing.unwrap_or(State::Revoked);
                    return Ok((AccessSettled { request: id.clone(), state }, ticket));
                }
                Err(RevokeAccessError::Submit(SubmitError::Stale)) => {}
                Err(error) => return Err(AnswerAccessError::NotRecorded(error.to_string().into())),
            }
        }
        Err(AnswerAccessError::Contended)
    }

    /// Takes one answer to several requests in. Each has its own result.
    ///
    /// # Errors
    /// [`AnswerAccessError`] where none of them can be answered.
    pub async fn answer_all_access(
        &self,
        answering: AnsweringAll,
    ) -> Result<Vec<(RecordId, Result<AccessSettled, AnswerAccessError>)>, AnswerAccessError> {
        let AnsweringAll { requests, by, standing_in_for, refuse } = answering;
        if requests.len() > ANSWERED_AT_ONCE_MAX {
            return Err(AnswerAccessError::TooMany);
        }
        let (world, now) = (self.world(), self.now());
        let answerer = self.answerer(&by, standing_in_for.as_ref(), &world, now)?;
        let is_theirs = |id: &RecordId| self.is_theirs(id, &answerer, &world, now).is_ok();
        // Of the group of what is not theirs they learn nothing either.
        let first = requests.first().map(|(id, _)| id).filter(|first| is_theirs(first));
        let group: BTreeSet<RecordId> = {
            let state = self.requests.lock();
            let group = first.map(|first| state.docket.group(first, now)).unwrap_or_default();
            group.into_iter().map(|request| request.opened().id.clone()).collect()
        };
        let word = match refuse {
            Some(reason) => AccessWord::Refuse { reason },
            None => AccessWord::Approve(AccessExtent::Once),
        };
        let mut settled = Vec::with_capacity(requests.len());
        for (request, shown) in requests {
            if !group.contains(&request) {
                let error = match is_theirs(&request) {
                    true => GroupError::NotOfGroup.into(),
                    false => AnswerAccessError::Unknown(request.clone()),
                };
                settled.push((request, Err(error)));
                continue;
            }
            let answering = Answering {
                request: request.clone(),
                by: by.clone(),
                standing_in_for: standing_in_for.clone(),
                word: word.clone(),
                shown,
            };
            settled.push((request, self.answer_access(answering).await));
        }
        Ok(settled)
    }

    /// Whether an answer of somebody would be looked at now: to be asked before anything is said of
    /// what a request is about. Reads from the disk.
    ///
    /// # Errors
    /// [`AnswerAccessError`]; of what is not theirs it says the same, whether there is such a
    /// request or not.
    pub fn takes_answer_of(
        &self,
        id: &RecordId,
        by: &Authentication,
        standing_in_for: Option<&IdentityId>,
    ) -> Result<(), AnswerAccessError> {
        let (world, now) = (self.world(), self.now());
        let by = self.answerer(by, standing_in_for, &world, now)?;
        match self.is_theirs(id, &by, &world, now)? {
            State::Pending => Ok(()),
            state => Err(AnswerError::Closed(state).into()),
        }
    }

    /// Where a request stands, for somebody whom it concerns.
    fn is_theirs(
        &self,
        id: &RecordId,
        by: &Answerer,
        world: &World,
        now: Timestamp,
    ) -> Result<State, AnswerAccessError> {
        let request = self.requests.lock().docket.request(id).cloned();
        let request = request.ok_or_else(|| AnswerAccessError::Unknown(id.clone()))?;
        let owners = self.asked_of(&request).map(|asked| asked.owners).unwrap_or_default();
        let holders = people::holders(world, &request.opened().binding, &owners);
        theirs(&request, by, &holders, now)?;
        Ok(request.standing(now))
    }

    /// Ends the task of a request where its time is over. Takes its lock, and so comes first.
    fn end_task_of(&self, id: &RecordId) {
        let task = {
            let state = self.requests.lock();
            let request = state.docket.request(id);
            request.and_then(|request| request.opened().binding.task.clone())
        };
        if let Some(task) = task {
            self.end_if_overdue(&task);
        }
    }

    fn before(
        &self,
        state: &mut Ledgered,
        id: &RecordId,
        world: &World,
    ) -> Result<Before, AnswerAccessError> {
        let unknown = || AnswerAccessError::Unknown(id.clone());
        let request = state.docket.request(id).cloned().ok_or_else(unknown)?;
        let agent = agent_of(&request).cloned().ok_or_else(unknown)?;
        let mut reads = vec![(Versioned::World, world.version)];
        let mut task_ended = false;
        if let Some(task) = &request.opened().binding.task {
            let line = self.line(task).map(|line| line.among(world));
            match line {
                Some(line) if line.ended.is_none() => reads.extend(line.versions),
                _ => task_ended = true,
            }
        }
        let keys = self.known_request_keys(state, &agent);
        let keys =
            keys.map_err(|error| AnswerAccessError::NotRecorded(error.reason.message().into()))?;
        let at = state.places.get(id).map(|place| place.at);
        let asked = keys.zip(at).and_then(|(keys, at)| {
            let asked = self.open_asked(&*keys, id, at, request.opened().binding.arguments)?;
            Some((asked, keys))
        });
        let owners = asked.as_ref().map(|(asked, _)| asked.owners.clone()).unwrap_or_default();
        let holders = people::holders(world, &request.opened().binding, &owners);
        Ok(Before { request, agent, asked, holders, task_ended, reads })
    }

    /// Whether those who said yes before could say so today.
    fn stands_by(&self, state: &Ledgered, before: &Before, world: &World) -> bool {
        let keys = before.asked.as_ref().map(|(_, keys)| &**keys);
        self.stands_by_its_approvers(state, &before.request, keys, world)
    }

    /// Takes back what somebody approved who has lost the right to: it would never be enough, and
    /// who asks again asks others.
    fn end_lost(&self, mut state: MutexGuard<'_, Ledgered>, before: &Before, now: Timestamp) {
        let Before { request, agent, .. } = before;
        let id = &request.opened().id;
        let Ok(change) = request.revoke(None, "approver_lost_right".into(), now) else { return };
        let queued = self.queue_changes(&mut state, agent, &[change], Method::ApiKey, Vec::new());
        drop(state);
        match queued {
            Ok(_) => self.tell_of_access(id, AccessHappened::Settled(AccessState::Revoked)),
            Err(error) => {
                tracing::error!(%error, request = %id, "the end of an access request could not be recorded");
            }
        }
    }

    fn answerer(
        &self,
        by: &Authentication,
        standing_in_for: Option<&IdentityId>,
        world: &World,
        now: Timestamp,
    ) -> Result<Answerer, AnswerAccessError> {
        if !self.proof_stands(by, world, now) {
            return Err(AnswerAccessError::CredentialEnded);
        }
        let person = |id: &IdentityId| {
            people::person(world, id).ok_or_else(|| AnswerAccessError::NotAPerson(id.clone()))
        };
        let stands_in = standing_in_for.map(|of| {
            let fallback = world.identity(of).and_then(|of| of.fallback_owner.as_ref());
            if fallback != Some(&by.identity) {
                let (by, of) = (by.identity.clone(), of.clone());
                return Err(AnswerAccessError::NotADeputy { by, of });
            }
            // Whoever is gone for now is stood in for all the same.
            let known = world.identity(of);
            known
                .map(|known| safeconduct_approval::Person {
                    identity: known.id.clone(),
                    groups: known.groups.clone(),
                })
                .ok_or_else(|| AnswerAccessError::NotAPerson(of.clone()))
        });
        Ok(Answerer {
            person: person(&by.identity)?,
            standing_in_for: stands_in.transpose()?,
            assurance: assurance(by, now),
        })
    }

    fn change_of(
        &self,
        before: &Before,
        by: &Answerer,
        answering: &Answering,
        now: Timestamp,
    ) -> Result<Change, AnswerAccessError> {
        let Before { request, asked, holders, .. } = before;
        let opened = request.opened();
        let extent = match &answering.word {
            AccessWord::Refuse { reason } => {
                return Ok(request.refuse(by, holders, Arc::clone(reason), now)?);
            }
            AccessWord::Approve(extent) => extent,
        };
        // What is asked for is compared for those alone who may answer.
        request.admit(by, holders, now)?;
        if answering.shown != opened.binding.arguments {
            return Err(AnswerError::Shown(Mismatch::Arguments).into());
        }
        let Some((asked, keys)) = asked else {
            return Err(AnswerAccessError::Erased(opened.id.clone()));
        };
        let digest = |input: &Value| asked.digest(&**keys, input);
        let shown = Attempt {
            binding: &opened.binding,
            input: &asked.input,
            asserted: asked.said.beside(),
            digest: &digest,
        };
        let scope = match extent {
            AccessExtent::Once => Scope::Once,
            AccessExtent::Lowered(edits) => edited(request, &shown, edits)?,
            AccessExtent::Task { bounds, uses } => {
                Scope::Task { bounds: bounds.clone(), uses: *uses }
            }
            AccessExtent::Until { bounds, uses, until } => {
                Scope::Until { bounds: bounds.clone(), uses: *uses, until: *until }
            }
        };
        Ok(request.approve(by, holders, scope, &shown, now)?)
    }

    /// Whether a proof still is one.
    pub(super) fn proof_stands(&self, by: &Authentication, world: &World, now: Timestamp) -> bool {
        world.stands(&by.identity, &by.token, now)
            && !by.has_expired(now)
            && self.proofs.vouch_for(by)
            && self.access_token_stands(by, now)
            && world.killed(&safeconduct_model::SessionKey::of(by)).is_none()
    }
}

/// Whether somebody may answer a request or, once that is over, learn so.
fn theirs(
    request: &AccessRequest,
    by: &Answerer,
    holders: &Holders,
    now: Timestamp,
) -> Result<(), AnswerError> {
    if request.standing(now) == State::Pending {
        return request.eligible(by, holders).map(|_| ());
    }
    let person = by.person.identity.clone();
    let concerns = request.concerns(by, holders);
    if concerns { Ok(()) } else { Err(AnswerError::NotNamed { person, stage: 0 }) }
}

/// How much a proof is worth here: only a passkey that was used just now is worth most, because
/// it was a person who did, and for this.
pub(crate) fn assurance(by: &Authentication, now: Timestamp) -> Assurance {
    let age = now.ms_since(by.at);
    match by.method {
        Method::Passkey if by.at <= now && age <= PASSKEY_FRESH_MS => by.assurance,
        _ => by.assurance.min(Assurance::Substantial),
    }
}

const fn happened(state: AccessState) -> AccessHappened {
    match state {
        State::Pending => AccessHappened::Answered,
        state => AccessHappened::Settled(state),
    }
}
