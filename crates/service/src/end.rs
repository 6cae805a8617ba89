//! Use-case: end a task, and with it everything under it.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Poll;

use safeconduct_model::{
    Body, Decision, IdentityId, KillScope, Reason, Record, Task, TaskId, TaskState, Timestamp,
};
use thiserror::Error;

use crate::tasks::TaskSlot;
use crate::{
    AppendError, ChangeError, Entry, Proposal, Recorded, Ruling, Service, SubmitError, Ticket,
    Unrecorded, Versioned,
};

/// How many overdue tasks one sweep ends at most.
const SWEEP_MAX: usize = 4096;

/// How long a task that waits for people is left alone at most, in milliseconds.
const WAITING_LOOK_MS: i64 = 60_000;

/// Why a task was not ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndError {
    /// The caller's fault: no such task.
    #[error("no task `{0}` is known")]
    UnknownTask(TaskId),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: the record could not be made.
    #[error("the end's record could not be made: {0}")]
    Record(Arc<str>),
}

/// Who ends a task, how, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How: anything but `active`.
    pub state: TaskState,
    /// Who; nobody where its time was over.
    pub by: Option<IdentityId>,
    /// Why.
    pub reason: Arc<str>,
}

/// A task that has just ended.
struct Ended {
    task: Arc<Task>,
    children: Vec<TaskId>,
    ticket: Ticket,
}

/// What a look at a task's time found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It goes on; its time can be over then.
    Again(Timestamp),
    /// It was over, and has ended now.
    Ended,
    /// It had ended before.
    Over,
}

/// Something that goes on for a caller and must stop when what it rests on has ended: streams,
/// calls on their way, leases. It is told after the record is queued and asks for itself whether
/// it still stands.
pub trait Watch: Send + Sync {
    /// Tasks ended, or the kill switch was used. Must not block.
    fn ended(&self);

    /// A lease was issued, whose time will be over then. Must not block.
    fn leased(&self, _until: Timestamp) {}

    /// Something happened to an access request. Must not block.
    fn access(&self, _news: &crate::AccessNews) {}

    /// It was decided whether a task begins, or gets a lease. Must not block.
    fn decided(&self, _decision: Decision, _reasons: &[Reason]) {}
}

impl Service {
    /// Tells `watch` from now on whenever something has ended, for as long as it lives.
    pub fn watch(&self, watch: &Arc<dyn Watch>) {
        let mut watches = self.watches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(watch));
    }

    pub(crate) fn tell(&self) {
        self.watching().iter().for_each(|watch| watch.ended());
    }

    /// Tells of a lease that was issued.
    pub(crate) fn tell_of_lease(&self, until: Timestamp) {
        self.watching().iter().for_each(|watch| watch.leased(until));
    }

    /// Tells of a decision on a task itself, which no edge has asked for by name.
    pub(crate) fn tell_of_decision(&self, decided: &Result<Recorded<Ruling>, Unrecorded>) {
        let watching = self.watching();
        let tell = |decision, reasons: &[Reason]| {
            watching.iter().for_each(|watch| watch.decided(decision, reasons));
        };
        match decided {
            Ok(ruling) => {
                let outcome = &ruling.value().outcome;
                tell(outcome.decision, &outcome.reasons);
            }
            Err(unrecorded) => tell(Decision::Deny, std::slice::from_ref(&unrecorded.reason)),
        }
    }

    /// Tells of an access request.
    pub(crate) fn tell_of_news(&self, news: &crate::AccessNews) {
        self.watching().iter().for_each(|watch| watch.access(news));
    }

    fn watching(&self) -> Vec<Arc<dyn Watch>> {
        let watches = self.watches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        watches.iter().filter_map(std::sync::Weak::upgrade).collect()
    }

    /// Ends a task with everything under it. From the moment that this returns, and in truth from
    /// the moment that the record is queued, nothing is permitted in any of them. A task that has
    /// ended already stays as it is. Returns the tasks that it ended, the named one first.
    ///
    /// # Errors
    /// [`EndError`] says whose fault it is.
    pub async fn end_task(&self, id: &TaskId, ending: Ending) -> Result<Vec<Arc<Task>>, EndError> {
        let (ended, ticket) = self.queue_end(id, &ending)?;
        if let Some(ticket) = ticket {
            self.ledger.durable(ticket).await?;
        }
        Ok(ended)
    }

    /// Queues the end of a task and of its descendants, parents first: a parent's end alone
    /// already stops all under it, and each descendant gets a record of its own.
    pub(crate) fn queue_end(
        &self,
        id: &TaskId,
        ending: &Ending,
    ) -> Result<(Vec<Arc<Task>>, Option<Ticket>), EndError> {
        let mut ended = Vec::new();
        let queued = self.queue_ends(id, ending, &mut ended);
        if queued.is_err() {
            // What is under one that has ended holds nothing any more, recorded or not.
            self.leases.look_at_all();
        }
        if !ended.is_empty() {
            self.tell();
        }
        Ok((ended, queued?))
    }

    fn queue_ends(
        &self,
        id: &TaskId,
        ending: &Ending,
        ended: &mut Vec<Arc<Task>>,
    ) -> Result<Option<Ticket>, EndError> {
        let mut last = None;
        let mut open = vec![(id.clone(), ending.clone())];
        while let Some((id, ending)) = open.pop() {
            let Some(Ended { task, children, ticket }) = self.queue_one_end(&id, &ending)? else {
                continue;
            };
            let below = Ending { reason: "parent_ended".into(), ..ending };
            open.extend(children.into_iter().map(|child| (child, below.clone())));
            ended.push(task);
            last = Some(ticket);
        }
        Ok(last)
    }

    fn queue_one_end(&self, id: &TaskId, ending: &Ending) -> Result<Option<Ended>, EndError> {
        let slot = self.tasks.known(id).ok_or_else(|| EndError::UnknownTask(id.clone()))?;
        let mut now = slot.lock();
        if now.state != TaskState::Active {
            return Ok(None);
        }
        let record = Record {
            id: self.ids.record("rec"),
            at: self.clock.now(),
            trace: None,
            parent: Some(slot.sealed.record.clone()),
            body: Body::TaskEnded {
                task: id.clone(),
                state: ending.state,
                by: ending.by.clone(),
                reason: Arc::clone(&ending.reason),
            },
        };
        let leaf = safeconduct_ledger::encode(&record)
            .map_err(|error| EndError::Record(error.to_string().into()))?;
        // It rests on nothing that could have changed: the task's own lock is held.
        let ticket = self.ledger.submit(Proposal {
            entries: vec![Entry { leaf, attachment: None }],
            reads: Vec::new(),
            writes: vec![Versioned::Task(id.clone())],
        })?;
        let children = now.end(ending.state);
        now.version += 1;
        drop(now);
        self.risks.watching.show(&record);
        self.leases.task_ended(id);
        self.end_access_of_task(&slot.task.agent, id);
        self.forget_after(&slot);
        Ok(Some(Ended { task: Arc::clone(&slot.task), children, ticket }))
    }

    /// Takes note that a task has ended, and puts away the session of the one that is no longer
    /// remembered for it. No task's lock may be held: sessions come before tasks.
    pub(crate) fn forget_after(&self, ended: &Arc<TaskSlot>) {
        if let Some(forgotten) = self.tasks.ended(ended) {
            self.sessions.archive(&forgotten);
        }
    }

    /// Ends a task whose time is over, where it is. Whoever asks next finds it ended.
    pub(crate) fn end_if_overdue(&self, id: &TaskId) -> Look {
        self.tasks.known(id).map_or(Look::Over, |slot| self.end_slot_if_overdue(&slot))
    }

    fn end_slot_if_overdue(&self, slot: &TaskSlot) -> Look {
        if slot.lock().state != TaskState::Active {
            return Look::Over;
        }
        let now = self.clock.now();
        let next = match slot.is_waiting() {
            // People may answer at any time, and then it may be idle before.
            true => slot.next_look().min(now.plus_ms(WAITING_LOOK_MS)),
            false => slot.next_look(),
        };
        let Some(reason) = slot.overdue(now) else {
            return Look::Again(next);
        };
        let id = &slot.task.id;
        let ending = Ending { state: TaskState::Expired, by: None, reason: reason.into() };
        match self.queue_end(id, &ending) {
            Ok(_) => Look::Ended,
            Err(error) => {
                tracing::error!(%error, task = %id, "a task's expiry could not be recorded");
                Look::Again(next)
            }
        }
    }

    /// Ends the tasks whose time is over. Returns how many. To be called every second or so: it
    /// looks at those alone whose time could be over.
    pub fn sweep_tasks(&self) -> usize {
        let mut ended = 0;
        for slot in self.tasks.due(self.clock.now(), SWEEP_MAX) {
            match self.end_slot_if_overdue(&slot) {
                Look::Again(next) => self.tasks.look_again(next, slot),
                Look::Ended => ended += 1,
                Look::Over => {}
            }
        }
        ended
    }

    /// Uses the kill switch. Takes effect before this returns, on every path.
    ///
    /// # Errors
    /// [`ChangeError`] says whose fault it is.
    pub async fn kill(
        &self,
        scope: KillScope,
        by: &IdentityId,
        reason: Arc<str>,
    ) -> Result<Vec<Arc<Task>>, ChangeError> {
        self.record_kill(&scope, by, &reason).await?;
        self.end_access_of(&scope, "killed");
        let ending =
            Ending { state: TaskState::Revoked, by: Some(by.clone()), reason: "killed".into() };
        self.end_all(&scope, &ending).await
    }

    /// Ends every live task that the kill switch stops there, with all under each, a few at a time:
    /// whoever runs this answers others in between. What denies everything else was set before. One
    /// that cannot be ended keeps none of the others from ending; the first such error is given at
    /// the end.
    pub(crate) async fn end_all(
        &self,
        scope: &KillScope,
        ending: &Ending,
    ) -> Result<Vec<Arc<Task>>, ChangeError> {
        let mut open: Vec<_> =
            self.tasks.hit_by(scope).iter().map(|slot| slot.task.id.clone()).collect();
        // The oldest first: parents before their children.
        open.reverse();
        let under = open.iter().cloned().collect::<HashSet<_>>();
        let mut ended = Vec::new();
        let mut failed = None;
        while !open.is_empty() {
            let mut last = None;
            let before = ended.len();
            while ended.len() - before < END_AT_ONCE
                && let Some(id) = open.pop()
            {
                let of_parent = (!under.contains(&id))
                    .then(|| Ending { reason: "parent_ended".into(), ..ending.clone() });
                match self.queue_one_end(&id, of_parent.as_ref().unwrap_or(ending)) {
                    Ok(Some(one)) => {
                        open.extend(one.children.into_iter().filter(|id| !under.contains(id)));
                        ended.push(one.task);
                        last = Some(one.ticket);
                    }
                    // It ended with its parent, and may be no longer remembered.
                    Ok(None) | Err(EndError::UnknownTask(_)) => {}
                    // There is room again once what is queued is on the disk.
                    Err(EndError::Submit(SubmitError::QueueFull { .. })) if last.is_some() => {
                        open.push(id);
                        break;
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            self.tell();
            if let Some(ticket) = last {
                self.ledger.durable(ticket).await?;
            }
            let_others().await;
        }
        if failed.is_some() {
            // What is under one that has ended holds nothing any more, recorded or not.
            self.leases.look_at_all();
        }
        self.tell();
        match failed {
            None => Ok(ended),
            Some(EndError::Submit(error)) => Err(error.into()),
            Some(error) => Err(ChangeError::Record(error.to_string().into())),
        }
    }
}

/// How many tasks are ended before others have their turn.
const END_AT_ONCE: usize = 256;

/// Lets whatever else the runtime has to do come first, once.
pub(crate) async fn let_others() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
