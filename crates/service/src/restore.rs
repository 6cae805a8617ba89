//! Use-case: read the records again and stand where the process before stood.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use safeconduct_model::{
    Body, Decided, Decision, Identity, IdentityId, IdentityKind, IdentityStatus, KillScope, Label,
    Mode, NameError, Origin, Passkey, Record, RecordId, SessionKey, Signal, Task, TaskId,
    TaskState, Timestamp,
};
use safeconduct_session::flow::Flow;
use safeconduct_session::{Charge, Step, fingerprint};

use crate::access::is_of_requests;
use crate::echoed::Kept;
use crate::pending::{Held, Pending};
use crate::recall::Recall;
use crate::refold::Call;
use crate::risk::{Stop, goes_on};
use crate::saying::Word;
use crate::sessions::lock;
use crate::tasks::{Sealed, TaskSlot};
use crate::{KEPT_SETS_MAX, LEASE, Service, World};

/// The fold of a ledger's records, in order, into the state of a service.
pub struct Restore<'a> {
    service: &'a Service,
    world: World,
    /// The session whose beginning was the record before: where it is a task's, the task's own
    /// record comes next, and nothing else is kept of it.
    began: Option<(SessionKey, u64)>,
    /// What revoking signals were to stop, until a record says that it was stopped.
    stops: BTreeMap<RecordId, Stop>,
}

impl Service {
    /// Begins a fold. Nothing else may use the service meanwhile.
    pub fn restore(&self) -> Restore<'_> {
        Restore {
            service: self,
            world: World::clone(&self.world()),
            began: None,
            stops: BTreeMap::new(),
        }
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
        let keys_at = self.follow_up(&record.body);
        self.service.risks.watching.fold(record);
        match &record.body {
            Body::IdentityChanged { identity, by } => self.identity(record, identity, by)?,
            Body::TokenIssued { token, .. } => self.world.with_token(token.clone()),
            Body::TokenRevoked { token, .. } => {
                if let Some(token) = self.world.token(token) {
                    let revoked = safeconduct_model::Token { revoked: true, ..token.clone() };
                    self.world.with_token(revoked);
                }
            }
            Body::SessionBegan { session } if is_of_requests(session) => {
                self.service.restore_requests_key(session, sequence);
            }
            Body::SessionBegan { session } => self.began = Some((session.clone(), sequence)),
            Body::ValuesErased { session, .. } if is_of_requests(session) => {
                self.service.restore_requests_erased(session);
            }
            Body::ValuesErased { session, .. } => self.slot(session, |slot| {
                slot.keys_at = None;
                slot.sealed_at.clear();
            }),
            Body::Decided(decided) => {
                self.service.watch_denial(record);
                self.decided(sequence, record, decided, sealed);
            }
            Body::Executed(executed) => {
                let call = self.pending().remove(&executed.decision).and_then(|known| known.call);
                if sealed == Attachment::Present {
                    self.slot(&executed.session, |slot| slot.sealed_at.push(sequence));
                }
                if let Some(label) = &executed.label {
                    self.was_read(sequence, &executed.session, label);
                }
                let principal = call.as_ref().map(|call| call.principal.id.as_str());
                self.happened(sequence, &executed.session, principal);
            }
            Body::SessionRead(read) => {
                if sealed == Attachment::Present {
                    self.slot(&read.session, |slot| slot.sealed_at.push(sequence));
                }
                self.was_read(sequence, &read.session, &read.label);
            }
            Body::TaskBegan(task) => self.began(sequence, record, task, keys_at),
            Body::TaskEnded { task, state, .. } => self.ended(task, *state),
            Body::TokenMinted(minted) => self.service.access.restore_born(minted, record.at),
            Body::TokenWithdrawn { token, .. } => self.service.access.restore_withdrawn(token),
            Body::TokenKeyDropped { key, .. } => self.service.access.restore_dropped(key),
            Body::LeaseChanged { lease, state, .. } => {
                // The decision that let it be planned has its outcome: the lease.
                if let Some(decision) = &record.parent {
                    self.pending().remove(decision);
                }
                self.service.leases.restore(lease, *state);
            }
            Body::DelegationMade(delegation) => {
                let delegations = Arc::make_mut(&mut self.world.delegations);
                delegations.insert(delegation.id.clone(), delegation.clone());
            }
            Body::DelegationEnded { delegation, .. } => {
                Arc::make_mut(&mut self.world.delegations).remove(delegation);
            }
            Body::SignalSeen(signal) => self.signal_seen(record, signal),
            Body::Killed { scope, .. } => {
                // It is stopped for every signal that wanted that, and may be let go since.
                let by = record.parent.as_ref();
                self.stops.retain(|signal, stop| Some(signal) != by && stop.scope != *scope);
                if matches!(scope, KillScope::Session(_) | KillScope::All) {
                    Arc::make_mut(&mut self.world.killed).insert(scope.clone());
                }
                // The tasks' own ends may not have come to the disk.
                let hit = self.service.tasks.hit_by(scope);
                hit.iter().for_each(|slot| self.ended(&slot.task.id, TaskState::Revoked));
            }
            Body::KillLifted { scope, .. } => {
                Arc::make_mut(&mut self.world.killed).remove(scope);
            }
            Body::DefinitionSeen { action, server, seen, .. } => {
                Arc::make_mut(&mut self.world.seen).restore(server, action, *seen);
            }
            Body::PasskeyRegistered { passkey, .. } => {
                self.world.with_passkey(Passkey::clone(passkey));
            }
            Body::PasskeyRemoved { passkey, .. } => {
                Arc::make_mut(&mut self.world.passkeys).remove(passkey);
            }
            Body::PasskeyUsed(used) => self.world.passkey_used(used),
            Body::AccessRequestChanged(change) => {
                self.service.restore_access(sequence, record, change, sealed);
            }
            Body::GlassBroken(broken) => {
                // The decision that let it be done has its outcome: this.
                if let Some(decision) = &record.parent {
                    self.pending().remove(decision);
                }
                self.service.restore_glass(record, broken);
            }
            Body::GlassMended { glass, .. } => self.service.restore_mended(glass),
            Body::ReviewDue { of, about, cause } => {
                self.service.restore_review_due(of, about, cause, record.at);
            }
            Body::ReviewDone { of, .. } => self.service.restore_review_done(of),
            Body::ReviewChanged(change) => {
                self.service.restore_review(sequence, record, change, sealed);
            }
            Body::PoliciesLoaded { digest, .. }
            | Body::CatalogueLoaded { digest, .. }
            | Body::IntentsLoaded { digest, .. } => {
                if let Body::IntentsLoaded { by: Some(by), changed, .. } = &record.body {
                    Arc::make_mut(&mut self.world.intents_put).take_in(by, changed);
                }
                if matches!(record.body, Body::PoliciesLoaded { .. }) {
                    let beside = (sealed == Attachment::Present).then_some(sequence);
                    self.service.aging.restore(record.at, *digest, beside);
                }
                if sealed == Attachment::Present && self.world.kept.len() < KEPT_SETS_MAX {
                    Arc::make_mut(&mut self.world.kept).insert(*digest);
                }
            }
            Body::ServerStarted { .. }
            | Body::PoliciesRefused { .. }
            | Body::TokenKeysRotated { .. }
            | Body::TrustLoaded { .. }
            | Body::UsedAfterEnd { .. } => {}
        }
        Ok(())
    }

    /// Ends the fold: the service stands where the records end, and every permit without an
    /// outcome is recorded as `unknown`, because the process that could have told is gone.
    /// Returns how many those were.
    pub fn finish(mut self) -> usize {
        self.flush();
        crate::change::forget_expired(&mut self.world, self.service.clock.now());
        self.world.quarantined = Arc::new(self.world.seen.quarantined(&self.world.catalogue));
        {
            let state = self.service.reviews.lock();
            self.world.asides = Arc::new(state.remediations.asides());
        }
        self.world.look_up_asides();
        self.service.world.store(Arc::new(self.world.clone()));
        self.service.access.restored(self.service.clock.now());
        self.service.access_restored();
        let left = self.pending().overdue(Timestamp::from_millis(i64::MAX), usize::MAX);
        for stop in std::mem::take(&mut self.stops).into_values() {
            self.service.stop_after_restart(&stop);
        }
        let count = left.len();
        for (decision, pending) in left {
            self.service.record_unknown(decision, &pending, "restart");
        }
        count
    }

    fn identity(
        &mut self,
        record: &Record,
        identity: &Identity,
        by: &IdentityId,
    ) -> Result<(), NameError> {
        let scope = KillScope::Identity(identity.id.clone());
        let before = self.world.identity(&identity.id).map(|known| known.status);
        let by_a_person = record.parent.is_none()
            && self.world.identity(by).is_some_and(|by| by.kind == IdentityKind::User);
        self.world.with_identity(identity.clone())?;
        let active = identity.status == IdentityStatus::Active;
        match before {
            // The process may have ended before it was recorded that they begin stopped.
            None => {
                let signal = self.service.risks.stopping(&identity.id, record.at);
                if let Some(signal) = signal.filter(|_| goes_on(&self.world, &scope)) {
                    let id = record.id.clone();
                    self.stops.insert(id.clone(), Stop { signal, record: id, scope });
                }
            }
            Some(before) if active && before != IdentityStatus::Active && by_a_person => {
                self.stops.retain(|_, stop| stop.scope != scope);
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn signal_seen(&mut self, record: &Record, signal: &Signal) {
        self.service.risks.restore(signal, record);
        if let Some(scope) = signal.stops().filter(|scope| goes_on(&self.world, scope)) {
            let (signal, id) = (signal.clone(), record.id.clone());
            self.stops.insert(id.clone(), Stop { signal, record: id, scope });
        }
    }

    /// What the record before has left open: where it began a task's session, the entry of that
    /// session's keys is given to the task.
    fn follow_up(&mut self, body: &Body) -> Option<u64> {
        if let (Some((session, keys_at)), Body::TaskBegan(task)) = (&self.began, body)
            && SessionKey::task(task.agent.clone(), task.id.clone()) == *session
        {
            let keys_at = *keys_at;
            self.began = None;
            return Some(keys_at);
        }
        self.flush();
        None
    }

    fn flush(&mut self) {
        if let Some((session, keys_at)) = self.began.take() {
            self.slot(&session, |slot| slot.keys_at = Some(keys_at));
        }
    }

    /// What rules of order and count may look at is folded again with the next decision.
    fn happened(&self, sequence: u64, session: &SessionKey, principal: Option<&str>) {
        self.slot(&self.service.home(session), |slot| slot.order.tell(sequence));
        if let Some(principal) = principal {
            self.service.note_past(principal, sequence);
        }
    }

    /// What was read is folded again with the next decision; its label holds from now on.
    fn was_read(&self, sequence: u64, session: &SessionKey, label: &Label) {
        self.slot(&self.service.home(session), |slot| {
            slot.session.flow_mut(Flow::default).raise(label);
            slot.recall = Recall::Due;
            slot.told.push(sequence);
        });
        self.service.raise_above(session, label);
    }

    /// The label of a session rises, and of all above its task.
    fn carries(&self, session: &SessionKey, label: &Label) {
        self.slot(&self.service.home(session), |slot| {
            slot.session.flow_mut(Flow::default).raise(label);
            slot.recall = Recall::Due;
        });
        self.service.raise_above(session, label);
    }

    fn began(&self, sequence: u64, record: &Record, task: &Task, keys_at: Option<u64>) {
        let service = self.service;
        if let Origin::Agent(session) = &task.origin {
            self.slot(session, |slot| slot.session.give(&task.budget));
        }
        // The decision that let it begin has its outcome: the task.
        if let Some(decision) = &record.parent {
            self.pending().remove(decision);
        }
        let mut task = task.clone();
        service.tasks.share_budget(&mut task);
        // The names as they are registered: every task shares their texts.
        let registered = |id: &mut IdentityId| {
            if let Some(known) = self.world.identity(id) {
                *id = known.id.clone();
            }
        };
        registered(&mut task.agent);
        registered(&mut task.begun_by);
        task.on_behalf_of.as_mut().map(registered);
        let touched = task.begun_at;
        let sealed = Sealed { keys_at, mandate_at: sequence, record: record.id.clone() };
        let slot = Arc::new(TaskSlot::new(task, sealed, touched));
        service.tasks.insert(&slot);
        let parent = slot.task.parent.as_ref();
        if let Some(parent) = parent.and_then(|id| service.tasks.known(id)) {
            parent.lock().children.push(slot.task.id.clone());
        }
    }

    fn ended(&self, id: &TaskId, state: TaskState) {
        let Some(slot) = self.service.tasks.known(id) else {
            return;
        };
        {
            let mut now = slot.lock();
            if now.state != TaskState::Active {
                return;
            }
            now.end(state);
        }
        self.service.forget_after(&slot);
    }

    fn decided(&self, sequence: u64, record: &Record, decided: &Decided, sealed: Attachment) {
        self.service.saw(&decided.session, Some(&decided.principal), record.at);
        let step = Step {
            decision: decided.decision,
            action: decided.action.clone(),
            resources: decided.resources.iter().map(fingerprint).collect(),
            charge: decided
                .task
                .as_ref()
                // A lease is no call.
                .filter(|_| decided.action.as_str() != LEASE)
                .map(|task| Charge { spend: task.spend, bytes_out: task.bytes_out }),
            at: record.at,
        };
        self.happened(sequence, &decided.session, Some(decided.principal.id.as_str()));
        if let Some(label) = &decided.label {
            self.carries(&decided.session, label);
        }
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
            declassifiers: Vec::new(),
            call: Some(Self::followed(decided)),
            held: Held::Bare,
            beside: Arc::default(),
            echoed: Kept::default(),
            word: Word::Lost,
            // It is recorded as unknown before anything is decided.
            hands_on: None,
            begun: crate::answered::Begun::Earlier,
            since: at,
            deadline: at,
        };
        let crowded_out = self.pending().insert(id, pending);
        if let Some((id, pending)) = crowded_out {
            self.service.record_unknown(id, &pending, "restart");
        }
    }

    /// Whose call it was: an outcome of it belongs to what its identity remembers.
    fn followed(decided: &Decided) -> Arc<Call> {
        Arc::new(Call {
            principal: decided.principal.clone(),
            resources: Vec::new(),
            action: decided.action.clone(),
            input: None,
        })
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, crate::pending::PendingPermits> {
        self.service.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: &SessionKey, change: impl FnOnce(&mut crate::sessions::Slot)) {
        // At the limit of sessions the session stays unknown, and its next decision is a Deny.
        match self.service.session_slot(key) {
            Some(slot) => {
                let mut slot = lock(&slot);
                slot.origin = crate::sessions::Origin::Ledger;
                change(&mut slot);
            }
            None => tracing::error!(
                session = %key,
                "there are too many sessions: this one is not known any more, and is denied"
            ),
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
