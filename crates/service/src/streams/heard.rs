//! What the ledger says was taken before this process began: a fold of its signals.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use safeconduct_model::signal::{Kind, Severity, Signal, Source};
use safeconduct_model::{Body, Record, Timestamp};

use super::memory::{IDS_REMEMBERED_MAX, Memory};
use crate::risk::PORTION;

/// What was taken, by its source.
#[derive(Debug, Default)]
pub struct Heard {
    streams: BTreeMap<Arc<str>, Said>,
    webhooks: BTreeMap<Arc<str>, Said>,
}

/// What one source said.
#[derive(Debug, Default)]
pub(super) struct Said {
    ids: VecDeque<(Timestamp, Arc<str>)>,
    /// Something that was taken until then is not among them.
    forgotten: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// Until when it surely had told what it knows: nothing was issued before it was seen.
    pub(super) until: Option<Timestamp>,
    pub(super) silence: Option<Severity>,
}

impl Heard {
    /// Takes a record of the ledger in; most are none of a signal.
    pub fn apply(&mut self, record: &Record) {
        let Body::SignalSeen(signal) = &record.body else { return };
        let said = match &signal.source {
            Source::Stream(issuer) => self.streams.entry(Arc::clone(issuer)).or_default(),
            Source::Webhook(name) => self.webhooks.entry(Arc::clone(name)).or_default(),
            Source::Detector | Source::Person(_) => return,
        };
        if signal.kind == Kind::StreamSilent {
            said.silence = Some(signal.severity).filter(|severity| *severity > Severity::Info);
            if said.silence.is_some() {
                // We said that ourselves.
                return;
            }
        }
        said.last = Some(record.at);
        // That it speaks again is our own word, and dated by our own clock.
        if signal.kind != Kind::StreamSilent {
            said.until = said.until.max(Some(signal.observed_at.min(record.at)));
        }
        let id = match &signal.source {
            // The signals of one message, of whose id no dot is a part.
            Source::Webhook(_) => match message_of(signal) {
                Some(id) => id,
                None => return,
            },
            _ => &*signal.id,
        };
        if said.ids.back().is_none_or(|(_, last)| **last != *id) {
            said.ids.push_back((record.at, id.into()));
        }
        if said.ids.len() > IDS_REMEMBERED_MAX
            && let Some((at, _)) = said.ids.pop_front()
        {
            said.forgotten = said.forgotten.max(Some(at));
        }
    }

    /// What a stream of that issuer said.
    pub(super) fn stream(&mut self, issuer: &str, kept_ms: i64) -> (Memory, Said) {
        let said = self.streams.remove(issuer).unwrap_or_default();
        (memory(&said, kept_ms), said)
    }

    /// What a webhook of that name said.
    pub(super) fn webhook(&mut self, name: &str, kept_ms: i64) -> Memory {
        memory(&self.webhooks.remove(name).unwrap_or_default(), kept_ms)
    }
}

/// The message of a signal, where it was taken whole: of many signals that stop nobody the first
/// ones are recorded last, and what was taken in part comes again.
fn message_of(signal: &Signal) -> Option<&str> {
    let (id, place) = signal.id.split_once('.').unwrap_or((&signal.id, "0"));
    let first = place.parse().is_ok_and(|place: usize| place < PORTION);
    (first || signal.stops().is_some()).then_some(id)
}

fn memory(said: &Said, kept_ms: i64) -> Memory {
    let mut memory = Memory::new(kept_ms);
    for (at, id) in &said.ids {
        memory.put(id, *at);
    }
    memory.forgot(said.forgotten);
    memory
}
