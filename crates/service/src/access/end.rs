//! What time, the ends of tasks and people with that right do to requests.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_approval::{AccessRequest, Change, RevokeError, Scope, State};
use safeconduct_model::{
    Body, IdentityId, KillScope, Method, Record, RecordId, SessionKey, SessionScope, TaskId,
    Timestamp,
};
use thiserror::Error;

use super::{AccessHappened, AccessState, Ledgered, Recording, agent_of};
use crate::{
    AppendError, Entry, EraseError, Proposal, Service, SubmitError, Ticket, Unrecorded, Versioned,
};

/// How many requests one sweep looks at, at most.
const SWEEP_MAX: usize = 4096;

/// How many requests are taken back before decisions have their turn, where somebody's end does it.
const WITHDRAWN_AT_ONCE: usize = 256;

/// Why a request was not taken back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RevokeAccessError {
    /// The caller's fault: no such request, or it ended long ago.
    #[error("no access request `{0}` is known")]
    Unknown(RecordId),
    /// [`RevokeError`] says why not.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: the record could not be made.
    #[error("the record could not be made: {0}")]
    Record(Arc<str>),
}

impl Ledgered {
    /// Until when a task waits for people, or for its agent to use what they approved.
    pub(super) fn waits_until(&self, agent: &IdentityId, task: &TaskId) -> Option<Timestamp> {
        let until = |request: &AccessRequest| match request.state() {
            State::Pending => Some(request.opened().answer_by),
            State::Approved => request.grant().map(|grant| grant.until),
            _ => None,
        };
        self.docket.live(agent, Some(task)).filter_map(until).max()
    }
}

impl Service {
    /// Takes a request back, or what it gave, and nothing more comes of it. Whether they may is
    /// the caller's to see: who may answer it, who asked, and operators.
    ///
    /// # Errors
    /// [`RevokeAccessError`] says whose fault it is.
    pub async fn revoke_access(
        &self,
        id: &RecordId,
        by: &IdentityId,
        reason: Arc<str>,
    ) -> Result<(), RevokeAccessError> {
        let ticket = {
            let mut state = self.requests.lock();
            let unknown = || RevokeAccessError::Unknown(id.clone());
            let request = state.docket.request(id).ok_or_else(unknown)?;
            let agent = agent_of(request).cloned().ok_or_else(unknown)?;
            let change = request.revoke(Some(by.clone()), reason, self.now())?;
            self.queue_changes(&mut state, &agent, &[change], Method::ApiKey, Vec::new())?
        };
        self.tell_of_access(id, AccessHappened::Settled(AccessState::Revoked));
        Ok(self.ledger.durable(ticket).await?)
    }

    /// Records what is due of requests: their expiry, that others may answer too, and who is told
    /// of that. Returns how many changed. To be called every second or so; what is over counts for nothing before that
    /// too.
    pub fn sweep_access(&self) -> usize {
        let now = self.now();
        let (mut happened, mut asking) = (Vec::new(), Vec::new());
        {
            let mut state = self.requests.lock();
            let due: Vec<RecordId> = state
                .agenda
                .iter()
                .take_while(|(at, _)| *at <= now)
                .take(SWEEP_MAX)
                .map(|(_, id)| id.clone())
                .collect();
            for id in due {
                let Some(request) = state.docket.request(&id) else { continue };
                let Some((change, agent)) = request.due(now).zip(agent_of(request).cloned()) else {
                    asking.push(id);
                    continue;
                };
                if matches!(change.event, safeconduct_approval::Event::Escalated) {
                    asking.push(id.clone());
                }
                let what = match change.event {
                    safeconduct_approval::Event::Escalated => AccessHappened::Escalated,
                    _ => AccessHappened::Settled(AccessState::Expired),
                };
                match self.queue_changes(&mut state, &agent, &[change], Method::ApiKey, Vec::new())
                {
                    Ok(_) => happened.push((id, what)),
                    Err(error) => {
                        tracing::error!(%error, request = %id, "what is due of an access request could not be recorded");
                    }
                }
            }
            let over: Vec<RecordId> = state.glasses_over(now);
            for id in over {
                state.glasses.remove(&id);
            }
            self.requests.settle(&state);
        }
        happened.iter().for_each(|(id, what)| self.tell_of_access(id, *what));
        happened.len() + asking.iter().filter(|id| self.ask_others(id)).count()
    }

    /// Takes back what is asked for and was approved in a task that has ended. What was approved
    /// until a time, in whatever task, stands.
    pub(crate) fn end_access_of_task(&self, agent: &IdentityId, task: &TaskId) {
        if !self.requests.is_busy() {
            return;
        }
        let of_task = |request: &AccessRequest| {
            let across = matches!(request.scope(), Some(Scope::Until { .. }));
            request.opened().binding.task.as_ref() == Some(task)
                && !(request.state() == State::Approved && across)
        };
        self.end_access(agent, of_task, "task_ended");
        self.mend_of_task(agent, task);
    }

    /// Takes back all that the kill switch, or the end of an identity, stops.
    pub(crate) fn end_access_of(&self, scope: &KillScope, reason: &'static str) {
        if !self.requests.is_busy() {
            return;
        }
        match scope {
            // Its end did it.
            KillScope::Task(_) => {}
            // What was approved until a time outlives tasks, and so would outlive them.
            KillScope::Identity(who) => self.end_access_resting_on(who, reason),
            KillScope::Session(session) => {
                let task = match &session.scope {
                    SessionScope::Task(task) => Some(task),
                    SessionScope::Credential(_) => None,
                };
                let of = |request: &AccessRequest| request.opened().binding.task.as_ref() == task;
                self.end_access(&session.identity, of, reason);
            }
            KillScope::All => {
                let agents = self.requests.lock().docket.agents();
                agents.iter().for_each(|agent| self.end_access(agent, |_| true, reason));
            }
        }
        if !matches!(scope, KillScope::Session(_)) {
            self.mend_of(scope);
        }
    }

    /// Erases what an agent asked for and what was approved of it, with the key that its digests
    /// are under. What is live of it ends first.
    pub(crate) async fn erase_requests(
        &self,
        key: &SessionKey,
        by: &IdentityId,
    ) -> Result<u64, EraseError> {
        let agent = &key.identity;
        self.end_access(agent, |_| true, "erased");
        let attached = |state: &Ledgered| {
            let of = state.agents.get(agent);
            let all =
                of.into_iter().flat_map(|of| of.keys_at.into_iter().chain(of.sealed_at.clone()));
            all.collect::<BTreeSet<u64>>()
        };
        // The bulk of it without the lock, for which decisions may wait.
        let before = attached(&self.requests.lock());
        let mut erased = self.erase_all(&before)?;
        let ticket = {
            let mut state = self.requests.lock();
            let mut since = attached(&state);
            since.retain(|sequence| !before.contains(sequence));
            erased += self.erase_all(&since)?;
            let record = Record {
                id: self.ids.record("rec"),
                at: self.clock.now(),
                trace: None,
                parent: None,
                body: Body::ValuesErased {
                    session: key.clone(),
                    by: by.clone(),
                    attachments: erased,
                },
            };
            let of = state.agent(agent);
            of.keys = None;
            of.keys_at = None;
            of.sealed_at.clear();
            let leaf = safeconduct_ledger::encode(&record)
                .map_err(|error| EraseError::Record(error.to_string().into()))?;
            let entries = vec![Entry { leaf, attachment: None }];
            self.ledger.submit(Proposal { entries, reads: Vec::new(), writes: Vec::new() })?
        };
        self.ledger.durable(ticket).await?;
        Ok(erased)
    }

    /// Takes back the live requests of an agent that fit. One that cannot be recorded stands, and
    /// is of no use where its task has ended or its agent may not act.
    pub(super) fn end_access(
        &self,
        agent: &IdentityId,
        of: impl Fn(&AccessRequest) -> bool,
        reason: &'static str,
    ) {
        let ended = {
            let mut state = self.requests.lock();
            let fit = state.docket.live_of(agent).filter(|request| of(request));
            let ids: Vec<RecordId> = fit.map(|request| request.opened().id.clone()).collect();
            self.revoke_live(&mut state, &ids, reason)
        };
        self.tell_withdrawn(&ended);
    }

    /// Takes back the live requests that rest on somebody who may not act any more: what others
    /// have asked for is not looked at, however many ends there are. Decisions have their turn in
    /// between.
    fn end_access_resting_on(&self, who: &IdentityId, reason: &'static str) {
        let ids: Vec<RecordId> = {
            let state = self.requests.lock();
            state.docket.resting_on(who).map(|request| request.opened().id.clone()).collect()
        };
        for ids in ids.chunks(WITHDRAWN_AT_ONCE) {
            let ended = self.revoke_live(&mut self.requests.lock(), ids, reason);
            self.tell_withdrawn(&ended);
        }
    }

    /// Takes requests back, each in an append of its own; gives those that are.
    fn revoke_live(
        &self,
        state: &mut Ledgered,
        ids: &[RecordId],
        reason: &'static str,
    ) -> Vec<RecordId> {
        let now = self.now();
        let mut ended = Vec::new();
        for id in ids {
            let Some(request) = state.docket.request(id) else { continue };
            let Some(agent) = agent_of(request).cloned() else { continue };
            let Ok(change) = request.revoke(None, reason.into(), now) else { continue };
            match self.queue_changes(state, &agent, &[change], Method::ApiKey, Vec::new()) {
                Ok(_) => ended.push(id.clone()),
                Err(error) => {
                    tracing::error!(%error, "the end of an access request could not be recorded");
                }
            }
        }
        ended
    }

    fn tell_withdrawn(&self, ended: &[RecordId]) {
        let settled = AccessHappened::Settled(AccessState::Revoked);
        ended.iter().for_each(|id| self.tell_of_access(id, settled));
    }

    /// Queues changes of one agent's requests, and takes them in.
    pub(super) fn queue_changes(
        &self,
        state: &mut Ledgered,
        agent: &IdentityId,
        changes: &[Change],
        method: Method,
        mut reads: Vec<(Versioned, u64)>,
    ) -> Result<Ticket, RevokeAccessError> {
        let broken = |error: &Unrecorded| RevokeAccessError::Record(error.reason.message().into());
        let keys = self.known_request_keys(state, agent).map_err(|error| broken(&error))?;
        let mut entries = Vec::with_capacity(changes.len());
        for change in changes {
            let parent = Some(&change.request);
            let recording = Recording { sealed: None, method, trace: None, parent };
            let entry = match &keys {
                Some(keys) => self.change_entry(change, recording, &**keys),
                // Whatever has bounds was shown with the keys; they are gone.
                None => self.change_entry(change, recording, &NoKeys),
            };
            entries.push(entry.map_err(|error| broken(&error))?);
        }
        let sealed: Vec<bool> = entries.iter().map(|entry| entry.attachment.is_some()).collect();
        reads.push(state.read(agent));
        let writes = vec![Versioned::Access(agent.clone())];
        let ticket = self.ledger.submit(Proposal { entries, reads, writes })?;
        let of = state.agent(agent);
        of.version += 1;
        let places = (ticket.first..).zip(sealed).filter(|(_, sealed)| *sealed);
        of.sealed_at.extend(places.map(|(place, _)| place));
        for change in changes {
            if let Err(error) = state.take_in(change) {
                tracing::error!(%error, request = %change.request, "an access request is not as it was recorded");
            }
            if let safeconduct_approval::Event::Answered(_) = change.event
                && let Some(place) = state.places.get_mut(&change.request)
            {
                place.methods.push(method);
            }
            let request = state.docket.request(&change.request);
            let task = request.and_then(|request| request.opened().binding.task.clone());
            if let Some(task) = task {
                self.wait_for_people(state, agent, &task);
            }
        }
        self.requests.settle(state);
        Ok(ticket)
    }

    /// A task that waits for people is not idle, however long they take; its deadline stands.
    pub(super) fn wait_for_people(&self, state: &Ledgered, agent: &IdentityId, task: &TaskId) {
        if let Some(slot) = self.tasks.known(task) {
            slot.waits(state.waits_until(agent, task), self.now());
        }
    }
}

/// Keys that open and seal nothing.
struct NoKeys;

impl crate::SessionKeys for NoKeys {
    fn digest(&self, _: &[u8]) -> safeconduct_model::KeyedDigest {
        safeconduct_model::KeyedDigest::from_bytes([0; 32])
    }

    fn seal(&self, _: &RecordId, _: &str, _: &[u8]) -> Result<Vec<u8>, crate::VaultError> {
        Err(crate::VaultError::NotAuthentic)
    }

    fn open(&self, _: &RecordId, _: &str, _: &[u8]) -> Result<Vec<u8>, crate::VaultError> {
        Err(crate::VaultError::NotAuthentic)
    }
}
