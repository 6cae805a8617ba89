//! Use-case: lease a credential for a task, and take it back when the task ends, or at the latest
//! when its time is over. Each step is a record first: what a crash leaves behind is named in the
//! ledger, found at the next start, and removed.

mod ask;
mod book;

pub use ask::LEASE;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use safeconduct_credential::lease::{
    Backoff, Duty, LeaseEvent, LeaseTerms, NewLease, PlanError, RenewalError, Retry, advance, duty,
    duty_at_start, plan, renewal,
};
use safeconduct_model::{
    Authentication, Body, Lease, LeaseId, LeaseKind, LeaseState, NameError, Reason, Record,
    RecordId, TargetName, TaskId, TaskState, Timestamp,
};
use thiserror::Error;

use crate::late::Late;
use crate::line::Line;
use crate::{
    AppendError, Entry, GrantSpec, IssueError, Issuer, NamingError, Proposal, RenewError, Secret,
    Service, SubmitError, Ticket, Versioned,
};

use book::{Book, Looked};

/// Most leases of one task at a time.
pub const LEASES_OF_TASK_MAX: usize = 32;

/// Most leases that are not final. One more is refused.
pub const LEASES_MAX: usize = 100_000;

/// How often a lease's record is tried while the world changes; the last time nothing else does.
const ATTEMPTS: usize = 4;

/// How many leases are taken back at once.
const AT_ONCE: usize = 16;

/// Where leases are issued, and for how long.
#[derive(Clone)]
pub struct Target {
    /// What issues them.
    pub issuer: Arc<dyn Issuer>,
    /// How long they last.
    pub terms: LeaseTerms,
    /// How it is tried to take them back.
    pub backoff: Backoff,
}

/// A lease that was issued, for its holder.
pub struct Leased {
    /// The lease.
    pub lease: Lease,
    /// Its secret; `None` where the gateway adds it to calls and the holder never sees it.
    pub secret: Option<Arc<Secret>>,
    /// What the holder needs to know beside name and secret.
    pub address: BTreeMap<&'static str, String>,
}

/// Why no lease was given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// The caller's fault: the task has ended, or is another's.
    #[error("the task is over, or is another's")]
    TaskEnded,
    /// The fault of the intent's author, or of the caller.
    #[error("the task's intent gives nothing at target `{0}`")]
    NotInIntent(TargetName),
    /// Policy's answer: no.
    #[error("policy does not let the task have this lease")]
    Denied {
        /// The decision.
        decision: RecordId,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// The configuration's fault: no such target.
    #[error("no target `{0}` is configured")]
    UnknownTarget(TargetName),
    /// The caller's fault: no such lease, or it is another task's.
    #[error("no lease `{0}` of this task is known")]
    UnknownLease(LeaseId),
    /// Too many of them.
    #[error("there are already {limit} {what}, the most that are kept")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// It cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It has no name at the target.
    #[error(transparent)]
    Naming(#[from] NamingError),
    /// It was not issued; whatever was made is taken back.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// It lasts no longer.
    #[error(transparent)]
    Renewal(#[from] RenewalError),
    /// The target did not make it last longer.
    #[error(transparent)]
    Renew(#[from] RenewError),
    /// A name does not fit.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: the record could not be made.
    #[error("the lease's record could not be made: {0}")]
    Record(Arc<str>),
}

/// The leases in memory: the fold of their records.
#[derive(Default)]
pub(crate) struct Leases(Mutex<Book>);

#[derive(Clone)]
struct LeaseSlot {
    lease: Lease,
    state: LeaseState,
    /// Held for the gateway only.
    secret: Option<Arc<Secret>>,
    /// What it lets one do at the target, where this process made it.
    grants: Option<BTreeSet<Arc<str>>>,
    /// Failed attempts to take it back, and when the next one is due.
    failed: u32,
    next: Timestamp,
    /// When it is to be looked at; nothing while somebody works on it.
    look_at: Option<Timestamp>,
    /// Somebody works on it at the target right now.
    busy: bool,
    /// Whether this process made it; one that another made is treated as after a crash.
    ours: bool,
}

/// A lease, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// The lease.
    pub lease: Lease,
    /// Where it stands.
    pub state: LeaseState,
}

impl Leases {
    fn all(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a record in, while a ledger is read again.
    pub(crate) fn restore(&self, lease: &Lease, state: LeaseState) {
        let slot = LeaseSlot {
            lease: lease.clone(),
            state,
            secret: None,
            grants: None,
            failed: 0,
            next: book::AT_ONCE,
            look_at: None,
            busy: false,
            ours: false,
        };
        let mut all = self.all();
        match state.is_final() {
            true => all.remove(&lease.id),
            false => all.insert(slot),
        }
    }

    /// A task has ended: what it leased is looked at.
    pub(crate) fn task_ended(&self, task: &TaskId) {
        self.all().look_at_those_of(task);
    }

    /// More may have ended than is known here: everything is looked at.
    pub(crate) fn look_at_all(&self) {
        self.all().look_at_all();
    }
}

/// What is said of a lease whose holder went away before it was issued.
const NOT_WAITED_FOR: &str = "nobody waited for it any more";

/// A lease on its way: where it is dropped before it is handed out, it is taken back.
struct Issuing<'a> {
    service: &'a Service,
    id: &'a LeaseId,
    /// Why; nothing once it is handed out.
    why: Option<String>,
}

impl Drop for Issuing<'_> {
    fn drop(&mut self) {
        if let Some(why) = &self.why {
            self.service.give_back(self.id, why);
        }
    }
}

impl Service {
    /// Sets where leases are issued. Before any request.
    pub fn set_targets(&self, targets: BTreeMap<TargetName, Target>) {
        self.targets.store(Arc::new(targets));
    }

    /// Leases a credential at a target for the task in which `by` acts as its agent: exactly the
    /// grants that its mandate names, or those of them that are asked for, where no policy forbids
    /// it. The secret is given only once
    /// the lease's record is durable. Whoever stops waiting gets nothing, and what was made by then
    /// is taken back.
    ///
    /// # Errors
    /// [`LeaseError`] says whose fault it is; whatever was made at the target is taken back.
    pub async fn lease(
        &self,
        by: &Authentication,
        target: &TargetName,
        only: Option<&BTreeSet<Arc<str>>>,
    ) -> Result<Leased, LeaseError> {
        let task = by.task.as_ref().ok_or(LeaseError::TaskEnded)?;
        self.end_if_overdue(&task.id);
        if !self.task_may_ask(&task.id, self.clock.now()) {
            self.late_in_task(by, Late::Lease);
            return Err(LeaseError::TaskEnded);
        }
        let at = self.target(target)?;
        let grants = self.grants_of(&task.id, target, only)?;
        let decision = self.ask_for_lease(by, target, &grants, &at, None).await?;
        let grant = GrantSpec { grants };
        let (lease, ticket) = self.queue_plan(&task.id, target, &grant, &at, decision)?;
        // From here on the lease is taken back unless it is handed out.
        let mut issuing =
            Issuing { service: self, id: &lease.id, why: Some(NOT_WAITED_FOR.into()) };
        self.ledger.durable(ticket).await?;
        let issued = at.issuer.issue(&lease, &grant).await;
        let secret = Arc::new(issued.inspect_err(|error| issuing.why = Some(error.to_string()))?);
        // The task may have ended while the target was busy, or while the disk was: then nothing
        // is handed out.
        issuing.why = Some("its task ended while it was issued".into());
        let ticket = self.queue_issued(&task.id, &lease)?;
        self.ledger.durable(ticket).await?;
        if !self.task_goes_on(&task.id, self.clock.now()) {
            return Err(LeaseError::TaskEnded);
        }
        issuing.why = None;
        drop(issuing);
        let held = lease.kind == LeaseKind::StaticSecret;
        self.done_with(&lease.id, |slot| slot.secret = held.then(|| Arc::clone(&secret)));
        // Who ended the task before that found somebody at work, and left it alone.
        if !self.task_goes_on(&task.id, self.clock.now()) {
            self.tell();
            return Err(LeaseError::TaskEnded);
        }
        self.tell_of_lease(lease.expires_at);
        let secret = (!held).then_some(secret);
        Ok(Leased { lease, secret, address: at.issuer.address() })
    }

    /// The secret that the gateway adds to the calls of the task in which `by` acts; leased for it,
    /// by that proof, where that has not happened yet.
    ///
    /// # Errors
    /// [`LeaseError`] says whose fault it is.
    pub async fn secret_for(
        &self,
        by: &Authentication,
        target: &TargetName,
        name: &Arc<str>,
    ) -> Result<Arc<Secret>, LeaseError> {
        let task = by.task.as_ref().ok_or(LeaseError::TaskEnded)?;
        let held = || {
            let now = self.clock.now();
            self.leases.all().of_task(&task.id).find_map(|slot| {
                let fits = slot.lease.target == *target
                    && slot.lease.name == *name
                    && slot.state == LeaseState::Issued
                    && now < slot.lease.expires_at;
                fits.then(|| slot.secret.clone()).flatten()
            })
        };
        if let Some(secret) = held().filter(|_| self.task_goes_on(&task.id, self.clock.now())) {
            return Ok(secret);
        }
        self.lease(by, target, Some(&BTreeSet::from([Arc::clone(name)]))).await?;
        held().ok_or(LeaseError::TaskEnded)
    }

    /// Makes a lease last longer, while its task lives, never beyond its most, and where no policy
    /// forbids it: what forbids the lease by now ends it.
    ///
    /// # Errors
    /// [`LeaseError`] says whose fault it is; the lease ends when it was to end, or at once where
    /// policy denies it.
    pub async fn renew_lease(
        &self,
        by: &Authentication,
        id: &LeaseId,
    ) -> Result<Lease, LeaseError> {
        let unknown = || LeaseError::UnknownLease(id.clone());
        let task = by.task.as_ref().ok_or_else(unknown)?;
        self.end_if_overdue(&task.id);
        if !self.task_may_ask(&task.id, self.clock.now()) {
            self.late_in_task(by, Late::Lease);
            return Err(LeaseError::TaskEnded);
        }
        let slot = self.leases.all().find(id).cloned().ok_or_else(unknown)?;
        if slot.lease.task != task.id {
            return Err(unknown());
        }
        let at = self.target(&slot.lease.target)?;
        let state = self.state_of(&task.id);
        renewal(&slot.lease, slot.state, state, at.terms, self.clock.now())?;
        let decision = self.ask_to_renew(by, &slot, &at).await?;
        // Asking has taken its time.
        let state = self.state_of(&task.id);
        let until = renewal(&slot.lease, slot.state, state, at.terms, self.clock.now())?;
        // Recorded before the target is touched, so that it is never longer there than here.
        let renewed = Lease { expires_at: until, ..slot.lease };
        let line = self.line(&task.id).ok_or(LeaseError::TaskEnded)?;
        let (issued, why) = (LeaseState::Issued, Some("renewed"));
        let entry = self.lease_entry_of(&renewed, issued, why, Some(decision))?;
        let ticket = {
            let mut all = self.leases.all();
            let slot = all.find_mut(id).filter(|slot| slot.state == LeaseState::Issued);
            let slot = slot.ok_or_else(unknown)?;
            let reads = line.versions;
            let proposal = Proposal { entries: vec![entry], reads, writes: Vec::new() };
            let ticket = self.ledger.submit(proposal)?;
            slot.lease = renewed.clone();
            ticket
        };
        self.ledger.durable(ticket).await?;
        at.issuer.renew(&renewed, until).await?;
        Ok(renewed)
    }

    /// Takes back what is due, each lease on its own: of ended tasks, of those whose time is
    /// over, and what an earlier process left half made. Returns when to come again, where
    /// something is left; before that whenever something has ended.
    pub async fn settle_leases(&self) -> Option<Timestamp> {
        let mut open = FuturesUnordered::new();
        let mut due = self.due().into_iter();
        loop {
            while open.len() < AT_ONCE {
                let Some(slot) = due.next() else { break };
                open.push(self.take_back(slot));
            }
            if open.next().await.is_none() {
                break;
            }
        }
        let now = self.clock.now();
        let mut all = self.leases.all();
        all.look(now, |slot| match self.duty(slot, now) {
            Duty::Nothing => Looked::Busy,
            Duty::Watch(until) => Looked::Again(until),
            Duty::TakeBack => Looked::Again(slot.next.max(now)),
        });
        all.next_look()
    }

    /// The leases that are not over, by task or all.
    pub fn leases(&self, of: Option<&TaskId>) -> Vec<LeaseView> {
        self.leases.all().views(of)
    }

    fn target(&self, name: &TargetName) -> Result<Target, LeaseError> {
        let targets = self.targets.load();
        targets.get(name).cloned().ok_or_else(|| LeaseError::UnknownTarget(name.clone()))
    }

    /// Where a task stands for its leases: one whose right a review has set aside keeps none.
    fn state_of(&self, task: &TaskId) -> TaskState {
        match self.line(task) {
            None => TaskState::Completed,
            Some(line) if line.set_aside(&self.world()).is_some() => TaskState::Revoked,
            Some(line) => line.ended.map_or(TaskState::Active, |(_, state)| state),
        }
    }

    fn duty(&self, slot: &LeaseSlot, now: Timestamp) -> Duty {
        if slot.busy {
            return Duty::Nothing;
        }
        let task = self.state_of(&slot.lease.task);
        match slot.ours {
            true => duty(&slot.lease, slot.state, task, now),
            false => duty_at_start(&slot.lease, slot.state, task, now),
        }
    }

    fn due(&self) -> Vec<LeaseSlot> {
        let now = self.clock.now();
        let mut due = Vec::new();
        self.leases.all().look(now, |slot| match self.duty(slot, now) {
            Duty::Nothing => Looked::Busy,
            Duty::Watch(until) => Looked::Again(until),
            Duty::TakeBack if slot.next > now => Looked::Again(slot.next),
            Duty::TakeBack => {
                slot.busy = true;
                due.push(slot.clone());
                Looked::Busy
            }
        });
        due
    }

    /// Nobody works on a lease any more: whoever settles looks at it.
    fn done_with(&self, id: &LeaseId, change: impl FnOnce(&mut LeaseSlot)) {
        let mut all = self.leases.all();
        if let Some(slot) = all.find_mut(id) {
            slot.busy = false;
            change(slot);
            all.look_at(id, book::AT_ONCE);
        }
    }

    /// What a task may have at a target of what is asked for.
    fn grants_of(
        &self,
        task: &TaskId,
        target: &TargetName,
        only: Option<&BTreeSet<Arc<str>>>,
    ) -> Result<BTreeSet<Arc<str>>, LeaseError> {
        let line = self.unsealed_line(task).ok_or(LeaseError::TaskEnded)?;
        let mandate = line.mandate.as_ref().filter(|_| line.ended.is_none());
        let mandate = mandate.ok_or(LeaseError::TaskEnded)?;
        let grants = mandate.authority.credentials.get(target);
        let grants = grants.filter(|all| only.is_none_or(|only| only.is_subset(all)));
        let grants = grants.ok_or_else(|| LeaseError::NotInIntent(target.clone()))?;
        Ok(only.unwrap_or(grants).clone())
    }

    fn queue_plan(
        &self,
        task: &TaskId,
        target: &TargetName,
        grant: &GrantSpec,
        at: &Target,
        decision: RecordId,
    ) -> Result<(Lease, Ticket), LeaseError> {
        // A mandate never changes, so that what policy was asked about still is within it.
        self.while_it_goes_on(task, |line| self.try_plan(line, target, grant, at, &decision))
    }

    fn try_plan(
        &self,
        line: Line,
        target: &TargetName,
        grant: &GrantSpec,
        at: &Target,
        decision: &RecordId,
    ) -> Result<(Lease, Ticket), LeaseError> {
        let id = LeaseId::new(self.ids.record("lease").shared())?;
        let name = at.issuer.name(&id, grant)?;
        let new = NewLease { id: id.clone(), target: target.clone(), kind: at.issuer.kind(), name };
        let lease = plan(new, &line.task, TaskState::Active, at.terms, self.clock.now())?;
        let because = Some(decision.clone());
        let entry = self.lease_entry_of(&lease, LeaseState::Planned, None, because)?;
        let mut all = self.leases.all();
        if all.len_of(&line.task.id) >= LEASES_OF_TASK_MAX {
            let (what, limit) = ("leases of this task", LEASES_OF_TASK_MAX);
            return Err(LeaseError::OverLimit { what, limit });
        }
        if all.len() >= LEASES_MAX {
            return Err(LeaseError::OverLimit { what: "leases", limit: LEASES_MAX });
        }
        let ticket = self.gated(vec![entry], line.versions)?;
        all.insert(LeaseSlot {
            lease: lease.clone(),
            state: LeaseState::Planned,
            secret: None,
            grants: Some(grant.grants.clone()),
            failed: 0,
            next: book::AT_ONCE,
            look_at: None,
            busy: true,
            ours: true,
        });
        Ok((lease, ticket))
    }

    fn queue_issued(&self, task: &TaskId, lease: &Lease) -> Result<Ticket, LeaseError> {
        self.while_it_goes_on(task, |line| {
            let entry = self.lease_entry(lease, LeaseState::Issued, None)?;
            let mut all = self.leases.all();
            let slot = all.find_mut(&lease.id).ok_or(LeaseError::TaskEnded)?;
            let state = advance(slot.state, LeaseEvent::Issued);
            let state = state.map_err(|_| LeaseError::TaskEnded)?;
            let ticket = self.gated(vec![entry], line.versions)?;
            slot.state = state;
            Ok(ticket)
        })
    }

    /// Queues what may happen only while a task and all above it go on, and nothing that they rest
    /// on is set aside. That is a matter of the whole world, of which most changes are none of
    /// theirs: then it is tried again.
    fn while_it_goes_on<T>(
        &self,
        task: &TaskId,
        queue: impl Fn(Line) -> Result<T, LeaseError>,
    ) -> Result<T, LeaseError> {
        for attempt in 1..=ATTEMPTS {
            let _alone = (attempt == ATTEMPTS).then(|| self.keep_changes_out());
            let world = self.world();
            let line = self.line(task).filter(|line| line.ended.is_none());
            let line = line.filter(|line| line.set_aside(&world).is_none());
            let mut line = line.ok_or(LeaseError::TaskEnded)?;
            line.versions.push((Versioned::World, world.version));
            match queue(line) {
                Err(LeaseError::Submit(SubmitError::Stale)) if attempt < ATTEMPTS => {
                    drop(self.keep_changes_out());
                }
                // With the world as it was, only an end is left.
                Err(LeaseError::Submit(SubmitError::Stale)) => break,
                other => return other,
            }
        }
        Err(LeaseError::TaskEnded)
    }

    fn gated(
        &self,
        entries: Vec<Entry>,
        reads: Vec<(Versioned, u64)>,
    ) -> Result<Ticket, LeaseError> {
        Ok(self.ledger.submit(Proposal { entries, reads, writes: Vec::new() })?)
    }

    fn lease_entry(
        &self,
        lease: &Lease,
        state: LeaseState,
        detail: Option<&str>,
    ) -> Result<Entry, LeaseError> {
        self.lease_entry_of(lease, state, detail, None)
    }

    fn lease_entry_of(
        &self,
        lease: &Lease,
        state: LeaseState,
        detail: Option<&str>,
        because: Option<RecordId>,
    ) -> Result<Entry, LeaseError> {
        let record = Record {
            id: self.ids.record("rec"),
            at: self.clock.now(),
            trace: None,
            parent: because,
            body: Body::LeaseChanged {
                lease: Box::new(lease.clone()),
                state,
                detail: detail.map(Arc::from),
            },
        };
        let leaf = safeconduct_ledger::encode(&record)
            .map_err(|error| LeaseError::Record(error.to_string().into()))?;
        Ok(Entry { leaf, attachment: None })
    }

    /// Leaves a lease that came to nothing to whoever settles: it is taken back at once.
    fn give_back(&self, id: &LeaseId, why: &str) {
        let changed = self.queue_change_of(id, LeaseEvent::Revoke, Some(why));
        if let Err(error) = changed {
            tracing::error!(%error, lease = %id, "a lease that came to nothing could not be recorded as such");
        }
        // Not made by anyone who still waits for it.
        self.done_with(id, |slot| slot.ours = false);
        self.tell();
    }

    /// A lease that stood is to end now, before its time.
    pub(crate) fn end_lease(&self, id: &LeaseId, why: &str) {
        if let Err(error) = self.queue_change_of(id, LeaseEvent::Revoke, Some(why)) {
            tracing::error!(%error, lease = %id, "a lease that is to end could not be recorded as such");
        }
        self.leases.all().look_at(id, book::AT_ONCE);
        self.tell();
    }

    fn queue_change_of(
        &self,
        id: &LeaseId,
        event: LeaseEvent,
        detail: Option<&str>,
    ) -> Result<Option<Ticket>, LeaseError> {
        let mut all = self.leases.all();
        let Some(slot) = all.find_mut(id) else {
            return Ok(None);
        };
        let Ok(state) = advance(slot.state, event) else {
            return Ok(None);
        };
        let entry = self.lease_entry(&slot.lease, state, detail)?;
        let proposal = Proposal { entries: vec![entry], reads: Vec::new(), writes: Vec::new() };
        let ticket = self.ledger.submit(proposal)?;
        slot.state = state;
        slot.secret = None;
        if state.is_final() {
            all.remove(id);
        }
        Ok(Some(ticket))
    }

    async fn take_back(&self, slot: LeaseSlot) {
        let id = &slot.lease.id;
        if let Err(error) = self.try_take_back(&slot).await {
            tracing::error!(%error, lease = %id, "a lease could not be taken back");
        }
        self.done_with(id, |_| {});
    }

    async fn try_take_back(&self, slot: &LeaseSlot) -> Result<(), LeaseError> {
        let id = &slot.lease.id;
        if slot.state != LeaseState::Revoking {
            self.queue_change_of(id, LeaseEvent::Revoke, None)?;
        }
        let revoked = match self.target(&slot.lease.target) {
            Ok(at) => (at.issuer.revoke(&slot.lease).await.map_err(|e| e.to_string()), at.backoff),
            Err(error) => (Err(error.to_string()), Backoff::default()),
        };
        let (event, detail) = match revoked {
            (Ok(proof), _) => {
                let seen: Vec<_> = proof.seen.iter().map(|seen| seen.as_str()).collect();
                (LeaseEvent::Proved, seen.join(","))
            }
            (Err(problem), backoff) => {
                let failed = slot.failed.saturating_add(1);
                // The lease's own id spreads the attempts: it is as random as anything.
                let random = spread(id);
                match backoff.after(failed, self.clock.now(), random) {
                    Retry::At(next) => {
                        tracing::warn!(lease = %id, problem, failed, "a lease could not be taken back yet");
                        if let Some(slot) = self.leases.all().find_mut(id) {
                            (slot.failed, slot.next) = (failed, next);
                        }
                        return Ok(());
                    }
                    Retry::GiveUp => {
                        tracing::error!(lease = %id, problem, failed, "IRREVOCABLE: a lease could not be taken back; remove it by hand");
                        (LeaseEvent::GaveUp, problem)
                    }
                }
            }
        };
        if let Some(ticket) = self.queue_change_of(id, event, Some(&detail))? {
            self.ledger.durable(ticket).await?;
        }
        Ok(())
    }
}

fn spread(id: &LeaseId) -> u32 {
    id.as_str()
        .bytes()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
