//! Use-case: read the records again and stand where the process before stood.

use std::sync::{Arc, PoisonError};

use safeconduct_model::{
    Body, Decided, Decision, KillScope, Mode, NameError, Origin, Record, RecordId, SessionKey,
    Task, TaskId, TaskState, Timestamp,
};
use safeconduct_session::{Charge, Session, Step, fingerprint};

use crate::pending::Pending;
use crate::sessions::lock;
use crate::tasks::{TaskSlot, lock_task};
use crate::{Service, World};

/// The fold of a ledger's records, in order, into the state of a service.
pub struct Restore<'a> {
    service: &'a Service,
    world: World,
}

impl Service {
    /// Begins a fold. Nothing else may use the service meanwhile.
    pub fn restore(&self) -> Restore<'_> {
        Restore { service: self, world: World::clone(&self.world()) }
    }
}

impl Restore<'_> {
    /// Takes the next record in. `sealed` says whether an attachment stands beside it.
    ///
    /// # Errors
    /// [`NameError`] where an identity cannot be an entity; the ledger's own checks exclude it.
    pub fn apply(
        &mut self,
        sequence: u64,
        record: &Record,
        sealed: Attachment,
    ) -> Result<(), NameError> {
        match &record.body {
            Body::IdentityChanged { identity, .. } => self.world.with_identity(identity.clone())?,
            Body::TokenIssued { token, .. } => self.world.with_token(token.clone()),
            Body::TokenRevoked { token, .. } => {
                if let Some(token) = self.world.token(token) {
                    let revoked = safeconduct_model::Token { revoked: true, ..token.clone() };
                    self.world.with_token(revoked);
                }
            }
            Body::SessionBegan { session } => self.slot(session, |slot| {
                slot.keys_at = Some(sequence);
            }),
            Body::ValuesErased { session, .. } => self.slot(session, |slot| {
                slot.keys_at = None;
                slot.sealed_at.clear();
            }),
            Body::Decided(decided) => self.decided(sequence, record, decided, sealed),
            Body::Executed(executed) => {
                self.pending().remove(&executed.decision);
                if sealed == Attachment::Present {
                    self.slot(&executed.session, |slot| slot.sealed_at.push(sequence));
                }
            }
            Body::TaskBegan(task) => self.began(sequence, record, task),
            Body::TaskEnded { task, state, .. } => self.ended(task, *state),
            Body::TokenMinted(minted) => self.service.access.restore_born(minted, record.at),
            Body::TokenWithdrawn { token, .. } => self.service.access.restore_withdrawn(token),
            Body::LeaseChanged { lease, state, .. } => self.service.leases.restore(lease, *state),
            Body::DelegationMade(delegation) => {
                let delegations = Arc::make_mut(&mut self.world.delegations);
                delegations.insert(delegation.id.clone(), delegation.clone());
            }
            Body::DelegationEnded { delegation, .. } => {
                Arc::make_mut(&mut self.world.delegations).remove(delegation);
            }
            Body::Killed { scope, .. } => {
                if matches!(scope, KillScope::Session(_) | KillScope::All) {
                    Arc::make_mut(&mut self.world.killed).insert(scope.clone());
                }
                // The tasks' own ends may not have come to the disk.
                let hit = self
                    .service
                    .tasks
                    .select(|slot| slot.state == TaskState::Active && scope.hits(&slot.task));
                hit.iter().for_each(|view| self.ended(&view.task.id, TaskState::Revoked));
            }
            Body::KillLifted { scope, .. } => {
                Arc::make_mut(&mut self.world.killed).remove(scope);
            }
            Body::DefinitionSeen { action, server, seen, .. } => {
                Arc::make_mut(&mut self.world.seen).restore(server, action, *seen);
            }
            Body::ServerStarted { .. }
            | Body::PoliciesLoaded { .. }
            | Body::PoliciesRefused { .. }
            | Body::CatalogueLoaded { .. }
            | Body::IntentsLoaded { .. }
            | Body::UsedAfterEnd { .. } => {}
        }
        Ok(())
    }

    /// Ends the fold: the service stands where the records end, and every permit without an
    /// outcome is recorded as `unknown`, because the process that could have told is gone.
    /// Returns how many those were.
    pub fn finish(mut self) -> usize {
        self.world.quarantined = Arc::new(self.world.seen.quarantined(&self.world.catalogue));
        self.service.world.store(Arc::new(self.world.clone()));
        self.service.access.restored(self.service.clock.now());
        let left = self.pending().overdue(Timestamp::from_millis(i64::MAX), usize::MAX);
        let count = left.len();
        for (decision, pending) in left {
            self.service.record_unknown(decision, &pending, "restart");
        }
        count
    }

    fn began(&self, sequence: u64, record: &Record, task: &Task) {
        let service = self.service;
        if let Origin::Agent(session) = &task.origin {
            self.slot(session, |slot| slot.session.give(&task.budget));
        }
        self.slot(&SessionKey::task(task.agent.clone(), task.id.clone()), |slot| {
            slot.session = Session::of_task();
            slot.sealed_at.push(sequence);
        });
        // The decision that let it begin has its outcome: the task.
        if let Some(decision) = &record.parent {
            self.pending().remove(decision);
        }
        service.tasks.insert(TaskSlot {
            task: Arc::new(task.clone()),
            mandate: None,
            state: TaskState::Active,
            version: 0,
            sealed_at: sequence,
            record: record.id.clone(),
            children: Vec::new(),
            unreadable: false,
            touched: task.begun_at,
        });
        if let Some(parent) = task.parent.as_ref().and_then(|id| service.tasks.known(id)) {
            lock_task(&parent).children.push(task.id.clone());
        }
    }

    fn ended(&self, id: &TaskId, state: TaskState) {
        let Some(slot) = self.service.tasks.known(id) else {
            return;
        };
        let task = {
            let mut slot = lock_task(&slot);
            if slot.state != TaskState::Active {
                return;
            }
            slot.state = state;
            slot.children.clear();
            Arc::clone(&slot.task)
        };
        let forgotten = self.service.tasks.ended(&task);
        forgotten.iter().for_each(|session| self.service.sessions.archive(session));
    }

    fn decided(&self, sequence: u64, record: &Record, decided: &Decided, sealed: Attachment) {
        self.service.seen.saw(&decided.session, record.at);
        let step = Step {
            decision: decided.decision,
            action: decided.action.clone(),
            resources: decided.resources.iter().map(fingerprint).collect(),
            charge: decided
                .task
                .as_ref()
                .map(|task| Charge { spend: task.spend, bytes_out: task.bytes_out }),
            at: record.at,
        };
        if let Some(task) = &decided.task {
            self.service.touch(&task.id, record.at);
            if let Some(history) = self.service.history(&task.id) {
                self.slot(&history, |slot| slot.session.witness(&step));
            }
        }
        self.slot(&decided.session, |slot| {
            slot.session.apply(&step);
            if sealed == Attachment::Present {
                slot.sealed_at.push(sequence);
            }
        });
        if decided.decision == Decision::Permit || decided.mode == Mode::Observe {
            self.expect(record.id.clone(), record.at, decided);
        }
    }

    fn expect(&self, id: RecordId, at: Timestamp, decided: &Decided) {
        let pending = Pending {
            session: decided.session.clone(),
            action: decided.action.clone(),
            asked_by: decided.pep.clone(),
            keys: None,
            since: at,
            deadline: at,
        };
        let crowded_out = self.pending().insert(id, pending);
        if let Some((id, pending)) = crowded_out {
            self.service.record_unknown(id, &pending, "restart");
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, crate::pending::PendingPermits> {
        self.service.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: &SessionKey, change: impl FnOnce(&mut crate::sessions::Slot)) {
        // At the limit of sessions the session stays unknown, and its next decision is a Deny.
        if let Some(slot) = self.service.sessions.slot(key) {
            change(&mut lock(&slot));
        }
    }
}

/// Whether an attachment stands beside a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// It does.
    Present,
    /// There is none, or it was erased.
    Absent,
}
