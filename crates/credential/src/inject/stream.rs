//! A stream without its secrets, however it is cut into pieces.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::scrub::{REDACTED, Scrubber, merged};

/// Takes secrets out of a stream of bytes. What could be the beginning of a secret is held back
/// until more has come, so a stream whose messages must go out whole and at once (server-sent
/// events) is better scrubbed message by message.
pub struct ScrubStream {
    scrubber: Arc<Scrubber>,
    held: Zeroizing<Vec<u8>>,
    /// How many of the held bytes belong to a secret for which [`REDACTED`] has gone out.
    covered: usize,
}

impl ScrubStream {
    /// A stream's beginning.
    pub fn new(scrubber: Arc<Scrubber>) -> Self {
        Self { scrubber, held: Zeroizing::new(Vec::new()), covered: 0 }
    }

    /// What can go out once these bytes have come.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let views = self.scrubber.views(&self.held);
        let settled = self.scrubber.settled(&self.held, &views);
        self.release(self.scrubber.found(&views), settled)
    }

    /// What is left to go out when nothing more comes.
    pub fn finish(mut self) -> Vec<u8> {
        let found = self.scrubber.found(&self.scrubber.views(&self.held));
        let all = self.held.len();
        self.release(found, all)
    }

    fn release(&mut self, mut found: Vec<(usize, usize)>, settled: usize) -> Vec<u8> {
        if self.covered > 0 {
            found.push((0, self.covered));
        }
        let (mut out, mut position, mut covered) = (Vec::with_capacity(settled), 0, 0);
        let held = |from: usize, to: usize| self.held.get(from..to).unwrap_or_default();
        for (from, to) in merged(found) {
            if from >= settled {
                break;
            }
            out.extend_from_slice(held(position, from));
            if from > 0 || self.covered == 0 {
                out.extend_from_slice(REDACTED.as_bytes());
            }
            position = to.min(settled);
            covered = to - position;
        }
        // Nothing went out, so what was covered still is.
        if settled == 0 {
            covered = self.covered;
        }
        out.extend_from_slice(held(position, settled));
        self.covered = covered;
        let rest = held(settled, self.held.len()).to_vec();
        self.held = Zeroizing::new(rest);
        out
    }
}
