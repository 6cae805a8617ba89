//! The detectors at work: behind the decisions, never on their way.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use safeconduct_model::{Body, IdentityId, Network, NetworkDigest, Record, RecordId};
use safeconduct_risk::detect::{Detectors, Glimpse, Tuning};
use safeconduct_risk::{Kind, Signal, Source};

use crate::Service;

/// Most records that wait for the detectors. Of more, the newest are not seen, and are counted.
pub const RECORDS_SHOWN_MAX: usize = 8_192;

/// How long the detectors let records gather before they look again, where they come one after
/// another. Whoever decides would otherwise wake them up for each, which costs more than all else
/// that they cost a decision.
const GATHERED: Duration = Duration::from_millis(5);

/// Most findings of a ledger that is read again that may have been lost with a crash.
const LOST_MAX: usize = 4_096;

/// What the detectors are shown.
#[derive(Default)]
pub(crate) struct Watching {
    shown: ArcSwapOption<SyncSender<Glimpse>>,
    missed: AtomicU64,
    /// What makes networks of one identity comparable while this process lives: random, and
    /// nothing that it makes is recorded.
    places: RandomState,
    /// While the ledger is read again: the detectors, until they are at work.
    folding: Mutex<Option<Folding>>,
}

struct Folding {
    detectors: Detectors,
    kinds: Vec<Kind>,
    /// Findings that no record tells of yet.
    lost: VecDeque<(RecordId, Signal)>,
}

/// Detectors that are ready to work.
pub struct Detecting {
    shown: Receiver<Glimpse>,
    detectors: Detectors,
    kinds: Vec<Kind>,
}

impl Watching {
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Shows the detectors a record that is queued, where they are at work and have room. Those of
    /// one session are shown under its lock, so in their order.
    pub(crate) fn show(&self, record: &Record) {
        self.show_from(record, None);
    }

    /// The same of what somebody does in person, from a network.
    pub(crate) fn show_from(&self, record: &Record, from: Option<(&IdentityId, Network)>) {
        let shown = self.shown.load();
        let Some(shown) = &*shown else { return };
        let Some(glimpse) = Glimpse::of(record) else { return };
        let place = from.map(|(who, network)| {
            NetworkDigest::new(self.places.hash_one((who.as_str(), network.as_bytes())))
        });
        let glimpse = glimpse.from_place(place);
        if let Err(TrySendError::Full(_)) = shown.try_send(glimpse) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Shows them a record of the past.
    pub(crate) fn fold(&self, record: &Record) {
        let mut folding = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(folding) = &mut *folding else { return };
        if let Body::SignalSeen(signal) = &record.body
            && signal.source == Source::Detector
        {
            // Findings are recorded in the order of what they follow from: nothing before this one
            // is missing.
            folding.lost.retain(|(_, lost)| lost.observed_at > signal.observed_at);
            return;
        }
        let found = wanted(folding.detectors.observe(record), &folding.kinds);
        for signal in found {
            if folding.lost.len() >= LOST_MAX {
                folding.lost.pop_front();
            }
            folding.lost.push_back((record.id.clone(), signal));
        }
    }
}

/// Those of the kinds that are wanted; all, where none is named.
fn wanted(found: Vec<Signal>, kinds: &[Kind]) -> Vec<Signal> {
    found.into_iter().filter(|s| kinds.is_empty() || kinds.contains(&s.kind)).collect()
}

impl Service {
    /// Lets detectors look at what is restored from now on, so that they know what is usual.
    /// Comes before [`Service::restore`]. Findings of other kinds than these are left out; where
    /// none is named, all are taken.
    pub fn prepare_detectors(&self, tuning: Tuning, kinds: Vec<Kind>) {
        let detectors = Detectors::new(tuning);
        let folding = Folding { detectors, kinds, lost: VecDeque::new() };
        let mut place = self.risks.watching.folding.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(folding);
    }

    /// Puts the detectors to work: from now on they are shown what is decided and what happens
    /// to tasks. What they had found before a crash, and what no record tells of, is taken in now.
    /// `None` where none were prepared. Whoever gets them runs them.
    pub fn start_detectors(&self) -> Option<Detecting> {
        let folding = {
            let folding = &self.risks.watching.folding;
            folding.lock().unwrap_or_else(PoisonError::into_inner).take()?
        };
        let (sender, shown) = sync_channel(RECORDS_SHOWN_MAX);
        self.risks.watching.shown.store(Some(sender.into()));
        for (record, signal) in folding.lost {
            self.found(&record, vec![signal]);
        }
        Some(Detecting { shown, detectors: folding.detectors, kinds: folding.kinds })
    }

    /// Lets the detectors end, once they have seen what was shown to them.
    pub fn stop_detectors(&self) {
        self.risks.watching.shown.store(None);
    }

    fn found(&self, record: &RecordId, findings: Vec<Signal>) {
        if let Err(error) = self.take_findings(findings, record) {
            tracing::error!(%error, "what a detector found could not be recorded");
        }
    }
}

impl Detecting {
    /// Works until [`Service::stop_detectors`]. It blocks: a thread of its own runs it.
    pub fn run(mut self, service: &Service) {
        // It waits to be woken up only where nothing came for a while.
        while let Ok(first) = self.shown.recv() {
            self.look(&first, service);
            let mut more = true;
            while more {
                std::thread::sleep(GATHERED);
                more = false;
                while let Ok(next) = self.shown.try_recv() {
                    self.look(&next, service);
                    more = true;
                }
            }
        }
    }

    fn look(&mut self, shown: &Glimpse, service: &Service) {
        let found = wanted(self.detectors.look(shown), &self.kinds);
        if !found.is_empty() {
            service.found(shown.record(), found);
        }
    }
}
