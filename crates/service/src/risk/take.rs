//! Use-case: take signals in. They are recorded first, and what a revoking one stops is stopped
//! before anyone is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use safeconduct_model::{
    Body, IdentityId, IdentityStatus, KillScope, NameError, Record, RecordId, Task, TaskState,
    Timestamp,
};
use safeconduct_risk::intake::SKEW_MS_MAX;
use safeconduct_risk::{Put, Signal, SignalError, Source};
use thiserror::Error;

use crate::end::let_others;
use crate::{
    AppendError, ChangeError, Ending, Entry, Proposal, Service, SubmitError, Ticket, World,
};

/// Most signals that are taken together.
pub const SIGNALS_AT_ONCE_MAX: usize = 256;

/// Most signals that wait for the disk at one time. More are refused: whoever sends them tries
/// again.
pub const SIGNALS_WAITING_MAX: usize = 8_192;

/// Most signals that are recorded with one write, where none of them stops anybody and nothing is
/// made of what was recorded of them together: a decision that comes meanwhile waits behind no
/// more than that.
pub(crate) const PORTION: usize = 16;

/// Why what people approved, and the rules that they set aside, end with a revoking signal.
const SIGNAL: &str = "signal";

/// What became of signals that were taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// The records of those that count from now on, in the order in which they came.
    pub recorded: Vec<RecordId>,
    /// How many were known already: nothing was recorded of them.
    pub known: u64,
    /// How many were over already: nothing was recorded of them.
    pub expired: u64,
    /// How many found no room among worse ones: nothing was recorded of them, they are counted.
    pub dropped: u64,
    /// What revoking ones have stopped.
    pub stopped: Vec<KillScope>,
    /// The tasks that ended with it.
    pub ended: Vec<Arc<Task>>,
}

impl Taken {
    /// Puts what became of those before in front.
    fn come_after(&mut self, before: Self) {
        let Self { recorded, known, expired, dropped, stopped, ended } = before;
        self.recorded.splice(0..0, recorded);
        self.known += known;
        self.expired += expired;
        self.dropped += dropped;
        self.stopped.extend(stopped);
        self.ended.extend(ended);
    }
}

/// Why signals were not taken. Of none of them it is said that it was; whoever sent them may send
/// all of them again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TakeSignalError {
    /// The sender's fault: one is over a limit.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The sender's fault: one was seen in the future, which would keep it fresh until then.
    #[error("a signal was seen {ahead_ms} ms in the future")]
    Future {
        /// How far.
        ahead_ms: i64,
    },
    /// The sender's fault: too many at once.
    #[error("{count} signals at once are more than the limit of {SIGNALS_AT_ONCE_MAX}")]
    TooMany {
        /// How many there were.
        count: usize,
    },
    /// Nobody's fault: others wait already; try again later.
    #[error("{SIGNALS_WAITING_MAX} signals wait for the disk already; try again later")]
    Busy,
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the records did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: a record could not be made.
    #[error("a signal's record could not be made: {0}")]
    Record(Arc<str>),
    /// Our fault, or too much is stopped already: what a revoking signal stops goes on.
    #[error("what a signal revokes could not be stopped: {0}")]
    Stop(#[source] ChangeError),
}

/// A revoking signal, with its record and what it stops.
pub(crate) struct Stop {
    pub(crate) signal: Signal,
    pub(crate) record: RecordId,
    pub(crate) scope: KillScope,
}

/// What is queued and not yet durable.
struct QueuedSignals {
    taken: Taken,
    ticket: Option<Ticket>,
    stops: Vec<Stop>,
}

/// Room among those that wait for the disk.
struct Room<'a> {
    waiting: &'a AtomicUsize,
    count: usize,
}

impl<'a> Room<'a> {
    fn take(waiting: &'a AtomicUsize, count: usize) -> Result<Self, TakeSignalError> {
        let before = waiting.fetch_add(count, Ordering::Relaxed);
        let room = Self { waiting, count };
        match before.saturating_add(count) > SIGNALS_WAITING_MAX {
            true => Err(TakeSignalError::Busy),
            false => Ok(room),
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl Service {
    /// Takes signals in: at most [`SIGNALS_AT_ONCE_MAX`], all of them, or it is said of none that
    /// it was. When this returns, they are durable, decisions see them, and what the revoking ones
    /// among them stop ([`Signal::stops`]) has stopped, on every path, as by the kill switch.
    /// `parent` is the record that they follow from, where one does. Many that revoke nothing are
    /// recorded in portions, and others are answered in between.
    ///
    /// The same signal again is known and changes nothing: it may be sent again after any error.
    ///
    /// # Errors
    /// [`TakeSignalError`] says whose fault it is.
    pub async fn take_signals(
        &self,
        signals: Vec<Signal>,
        parent: Option<&RecordId>,
    ) -> Result<Taken, TakeSignalError> {
        let _room = Room::take(&self.risks.waiting, signals.len())?;
        self.check_signals(&signals)?;
        let mut taken = Taken::default();
        for (place, portion) in portions(signals).into_iter().enumerate() {
            if place > 0 {
                let_others().await;
            }
            taken.come_after(self.take_portion(portion, parent).await?);
        }
        Ok(taken)
    }

    async fn take_portion(
        &self,
        signals: Vec<Signal>,
        parent: Option<&RecordId>,
    ) -> Result<Taken, TakeSignalError> {
        let QueuedSignals { mut taken, ticket, stops } = self.queue_signals(signals, parent)?;
        let mut failed = None;
        for stop in stops {
            match self.stop_and_know(&stop).await {
                Ok(ended) => {
                    taken.ended.extend(ended);
                    taken.stopped.push(stop.scope);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(ticket) = ticket {
            self.ledger.durable(ticket).await?;
        }
        match failed {
            Some(error) => Err(TakeSignalError::Stop(error)),
            None => Ok(taken),
        }
    }

    /// The same for findings of our own, which revoke nothing; nobody waits for the disk.
    pub(super) fn take_findings(
        &self,
        findings: Vec<Signal>,
        parent: &RecordId,
    ) -> Result<Taken, TakeSignalError> {
        self.check_signals(&findings)?;
        self.queue_signals(findings, Some(parent)).map(|queued| queued.taken)
    }

    fn check_signals(&self, signals: &[Signal]) -> Result<(), TakeSignalError> {
        if signals.len() > SIGNALS_AT_ONCE_MAX {
            return Err(TakeSignalError::TooMany { count: signals.len() });
        }
        let now = self.clock.now();
        for signal in signals {
            signal.check()?;
            let ahead_ms = signal.observed_at.ms_since(now);
            if ahead_ms > SKEW_MS_MAX {
                return Err(TakeSignalError::Future { ahead_ms });
            }
        }
        Ok(())
    }

    fn queue_signals(
        &self,
        signals: Vec<Signal>,
        parent: Option<&RecordId>,
    ) -> Result<QueuedSignals, TakeSignalError> {
        let now = self.clock.now();
        let (taken, fresh) = self.sort_out(signals, now);
        let mut queued = QueuedSignals { taken, ticket: None, stops: Vec::new() };
        if fresh.is_empty() {
            // What is known, or was crowded out again, counts from when it was queued: its own
            // record may still wait for the disk, and whoever sends it again waits with it.
            let Taken { known, dropped, .. } = queued.taken;
            queued.ticket = self.risks.last_queued().filter(|_| known + dropped > 0);
            return Ok(queued);
        }
        let mut entries = Vec::with_capacity(fresh.len());
        for signal in &fresh {
            let record = Record {
                id: self.ids.record("sig"),
                at: now,
                trace: None,
                parent: parent.cloned(),
                body: Body::SignalSeen(Box::new(signal.clone())),
            };
            let leaf = safeconduct_ledger::encode(&record)
                .map_err(|error| TakeSignalError::Record(error.to_string().into()))?;
            entries.push(Entry { leaf, attachment: None });
            queued.taken.recorded.push(record.id);
        }
        // They rest on nothing that could have changed.
        let proposal = Proposal { entries, reads: Vec::new(), writes: Vec::new() };
        let ticket = self.ledger.submit(proposal)?;
        queued.ticket = Some(ticket);
        self.risks.queued_to(ticket);
        self.risks.taken.fetch_add(fresh.len() as u64, Ordering::Relaxed);
        for (signal, record) in fresh.into_iter().zip(&queued.taken.recorded) {
            match signal.stops() {
                Some(scope) => queued.stops.push(Stop { signal, record: record.clone(), scope }),
                // One at a time: decisions look at them in between.
                None => self.risks.put(signal, now),
            }
        }
        Ok(queued)
    }

    /// Those that are to be recorded, and how many are not and why.
    fn sort_out(&self, signals: Vec<Signal>, now: Timestamp) -> (Taken, Vec<Signal>) {
        let mut taken = Taken::default();
        let mut fresh: Vec<Signal> = Vec::with_capacity(signals.len());
        for mut signal in signals {
            // The clocks of two machines differ; one from the future would stay fresh until then.
            signal.observed_at = signal.observed_at.min(now);
            let put = match fresh.contains(&signal) {
                true => Put::Known,
                false => self.risks.would(&signal, now),
            };
            match put {
                Put::Known => taken.known += 1,
                Put::Expired => taken.expired += 1,
                Put::Dropped if signal.stops().is_none() => taken.dropped += 1,
                Put::Kept | Put::Dropped => fresh.push(signal),
            }
        }
        self.risks.known.fetch_add(taken.known, Ordering::Relaxed);
        self.risks.expired.fetch_add(taken.expired, Ordering::Relaxed);
        self.risks.turned_away.fetch_add(taken.dropped, Ordering::Relaxed);
        (taken, fresh)
    }

    /// Stops what a revoking signal speaks of, and lets the signal count.
    async fn stop_and_know(&self, stop: &Stop) -> Result<Vec<Arc<Task>>, ChangeError> {
        let is_nobody = match &stop.scope {
            KillScope::Identity(id) => self.world().identity(id).is_none(),
            _ => false,
        };
        let ended = self.stop(stop).await?;
        // Only now, so that it is not known where it is sent again because this failed.
        self.risks.put(stop.signal.clone(), self.clock.now());
        match is_nobody {
            // Whoever registers them from here on finds the signal; who did before, did not.
            true => self.stop(stop).await,
            false => Ok(ended),
        }
    }

    /// What is to be recorded of somebody who is registered just now, and whom a signal stopped
    /// before: they begin suspended, on its word.
    pub(crate) fn stopped_beforehand(
        &self,
        world: &mut World,
        id: &IdentityId,
    ) -> Result<Vec<Body>, ChangeError> {
        let scope = KillScope::Identity(id.clone());
        match self.risks.stopping(id, self.clock.now()).filter(|_| goes_on(world, &scope)) {
            Some(signal) => {
                crate::change::stop(world, &scope, &on_whose_word(&signal)?, &reason(&signal))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Stops what a revoking signal speaks of, as the kill switch does.
    async fn stop(&self, stop: &Stop) -> Result<Vec<Arc<Task>>, ChangeError> {
        self.queue_stop(stop)?;
        self.end_access_of(&stop.scope, SIGNAL);
        self.end_all(&stop.scope, &ending(stop)).await
    }

    /// Stops all but the tasks, where that is not stopped already: from here on everything else
    /// is denied.
    fn queue_stop(&self, stop: &Stop) -> Result<(), ChangeError> {
        let (by, reason) = (on_whose_word(&stop.signal)?, reason(&stop.signal));
        if self.queue_kill(&stop.scope, &by, &reason, &stop.record)? {
            self.tell();
        }
        Ok(())
    }

    /// Stops what a revoking signal speaks of that was recorded just before a crash.
    pub(crate) fn stop_after_restart(&self, stop: &Stop) {
        let ending = ending(stop);
        let hit = self.tasks.hit_by(&stop.scope);
        let stopped = self.queue_stop(stop).map_err(|error| error.to_string());
        self.end_access_of(&stop.scope, SIGNAL);
        let ended = hit.iter().try_for_each(|slot| {
            self.queue_end(&slot.task.id, &ending).map(drop).map_err(|error| error.to_string())
        });
        if let Err(error) = stopped.and(ended) {
            tracing::error!(error, record = %stop.record, "what a signal revokes goes on");
        }
    }
}

/// Signals as they are recorded together, in that order. Those of one event stay together: once
/// any of them is recorded, the event was taken. Of a message the first ones are recorded last, so
/// that it was taken once any of those is.
fn portions(mut signals: Vec<Signal>) -> Vec<Vec<Signal>> {
    let together = |one: &Signal| one.stops().is_some() || matches!(one.source, Source::Stream(_));
    let mut portions = Vec::new();
    if !signals.iter().any(together) {
        while signals.len() > PORTION {
            let rest = (signals.len() - 1) / PORTION * PORTION;
            portions.push(signals.split_off(rest));
        }
    }
    portions.push(signals);
    portions
}

/// Whether what the kill switch would stop goes on, or would without anybody here saying so: then
/// it is to be stopped. Whom a directory suspended or a review set aside, they may let go on, and
/// know nothing of the signal. Tasks are looked for in any case.
pub(crate) fn goes_on(world: &World, scope: &KillScope) -> bool {
    match scope {
        KillScope::Identity(id) => world.identity(id).is_some_and(|known| match known.status {
            IdentityStatus::Active | IdentityStatus::Quarantined => true,
            IdentityStatus::Suspended => known.imported.as_ref().is_some_and(|one| one.suspended),
            IdentityStatus::Retired => false,
        }),
        KillScope::Session(_) | KillScope::All => !world.killed.contains(scope),
        KillScope::Task(_) => true,
    }
}

fn ending(stop: &Stop) -> Ending {
    let by = on_whose_word(&stop.signal).ok();
    Ending { state: TaskState::Revoked, by, reason: reason(&stop.signal) }
}

/// Names the signal, for those who read the record.
fn reason(signal: &Signal) -> Arc<str> {
    let end = signal.id.floor_char_boundary(128);
    let id = signal.id.get(..end).unwrap_or_default();
    format!("signal {} of {}: {id}", signal.kind.as_str(), signal.source).into()
}

/// Whoever said so, as records name who did something.
fn on_whose_word(signal: &Signal) -> Result<IdentityId, NameError> {
    if let Source::Person(id) = &signal.source {
        return Ok(id.clone());
    }
    let said = match signal.source.name() {
        None => format!("signals:{}", signal.source.word()),
        Some(name) => format!("signals:{}:{name}", signal.source.word()),
    };
    IdentityId::new(said).or_else(|_| IdentityId::new("signals"))
}
