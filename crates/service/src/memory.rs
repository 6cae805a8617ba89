//! A ledger, keys, a clock and ids in memory: for tests and for measuring what durability costs.
//! Behind the feature `memory`, which no binary that serves requests turns on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hmac::{Hmac, Mac};
use safeconduct_model::{KeyedDigest, RecordId, SessionKey, Timestamp};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    Algorithm, AppendError, Clock, Durable, Entry, Ids, Ledger, LedgerHealth, Ports, Proposal,
    SessionKeys, StoredKey, SubmitError, Ticket, TokenKeys, TokenKeysError, Vault, VaultError,
    Versioned,
};

/// Ports that keep everything in memory, and whose clock stands still unless it is moved.
pub fn ports() -> (Ports, Arc<MemoryLedger>, Arc<MemoryClock>) {
    let ledger = Arc::new(MemoryLedger::default());
    let clock = Arc::new(MemoryClock::default());
    let ports = Ports {
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        vault: Arc::new(MemoryVault),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ids: Arc::new(MemoryIds::default()),
    };
    (ports, ledger, clock)
}

/// Entries in a list. What is queued counts as durable at once.
#[derive(Default)]
pub struct MemoryLedger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    versions: HashMap<Versioned, u64, RandomState>,
    failed: Option<Arc<str>>,
    keep_nothing: bool,
    length: u64,
}

impl MemoryLedger {
    /// A ledger that forgets every entry: for measuring.
    pub fn forgetful() -> Self {
        Self { state: Mutex::new(State { keep_nothing: true, ..State::default() }) }
    }

    /// All entries, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// Makes every later append fail, as a full disk does.
    pub fn fail(&self, why: &str) {
        self.lock().failed = Some(why.into());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for MemoryLedger {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        let mut state = self.lock();
        if let Some(why) = &state.failed {
            return Err(SubmitError::Failed(Arc::clone(why)));
        }
        let version = |subject| state.versions.get(subject).copied().unwrap_or(0);
        if proposal.reads.iter().any(|(subject, read)| version(subject) != *read) {
            return Err(SubmitError::Stale);
        }
        for subject in proposal.writes {
            *state.versions.entry(subject).or_default() += 1;
        }
        let first = state.length;
        state.length += proposal.entries.len() as u64;
        if !state.keep_nothing {
            state.entries.extend(proposal.entries);
        }
        Ok(Ticket { first, last: state.length.saturating_sub(1) })
    }

    fn durable(&self, _: Ticket) -> Durable<'_> {
        Durable(Box::pin(std::future::ready(Ok(()))))
    }

    fn health(&self) -> LedgerHealth {
        match &self.lock().failed {
            Some(why) => LedgerHealth::Failed(Arc::clone(why)),
            None => LedgerHealth::Ready,
        }
    }

    fn attachment(&self, sequence: u64) -> Result<Option<Vec<u8>>, AppendError> {
        let index = usize::try_from(sequence).map_err(|e| AppendError(e.to_string().into()))?;
        Ok(self.lock().entries.get(index).and_then(|entry| entry.attachment.clone()))
    }

    fn leaf(&self, sequence: u64) -> Result<Vec<u8>, AppendError> {
        let index = usize::try_from(sequence).map_err(|e| AppendError(e.to_string().into()))?;
        let leaf = self.lock().entries.get(index).map(|entry| entry.leaf.clone());
        leaf.ok_or_else(|| AppendError(format!("record {sequence} is not kept").into()))
    }

    fn erase(&self, sequences: &[u64]) -> Result<u64, AppendError> {
        let mut state = self.lock();
        let mut erased = 0;
        for sequence in sequences {
            let index =
                usize::try_from(*sequence).map_err(|e| AppendError(e.to_string().into()))?;
            if let Some(entry) = state.entries.get_mut(index) {
                erased += u64::from(entry.attachment.take().is_some());
            }
        }
        Ok(erased)
    }
}

/// Keys made from the session's name: no secret at all.
pub struct MemoryVault;

impl Vault for MemoryVault {
    fn begin(&self, session: &SessionKey) -> Result<(Arc<dyn SessionKeys>, Vec<u8>), VaultError> {
        let key = session.to_string().into_bytes();
        Ok((Arc::new(MemoryKeys::of(&key)), key))
    }

    fn unwrap(&self, _: &SessionKey, wrapped: &[u8]) -> Result<Arc<dyn SessionKeys>, VaultError> {
        Ok(Arc::new(MemoryKeys::of(wrapped)))
    }

    fn likeness(&self, bytes: &[u8]) -> Result<KeyedDigest, VaultError> {
        Ok(MemoryKeys::of(b"likeness").digest(bytes))
    }
}

/// The state of the MAC after its key: cheaper to copy than to make again. HMAC takes keys of
/// every length, so there always is one.
struct MemoryKeys(Option<Hmac<Sha256>>);

impl MemoryKeys {
    fn of(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).ok())
    }
}

impl SessionKeys for MemoryKeys {
    fn digest(&self, canonical: &[u8]) -> KeyedDigest {
        let bytes = self.0.clone().map_or([0; 32], |mut mac| {
            mac.update(canonical);
            mac.finalize().into_bytes().into()
        });
        KeyedDigest::from_bytes(bytes)
    }

    fn seal(&self, _: &RecordId, _: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(plain.to_vec())
    }

    fn open(&self, _: &RecordId, _: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(sealed.to_vec())
    }
}

/// A clock that stands still until it is moved.
#[derive(Default)]
pub struct MemoryClock(AtomicI64);

impl MemoryClock {
    /// Sets it; it may go back.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for MemoryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Ids that count.
#[derive(Default)]
pub struct MemoryIds(AtomicU64);

impl Ids for MemoryIds {
    fn record(&self, prefix: &'static str) -> RecordId {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let id = format!("{prefix}_{number:08}");
        RecordId::new(id).unwrap_or_else(|_| unnamed())
    }
}

#[expect(clippy::unwrap_used, reason = "a literal that is a name")]
fn unnamed() -> RecordId {
    RecordId::new("rec").unwrap()
}

/// Keys that sign access tokens. Their secrets are no secrets: they are the times they were made.
#[derive(Default)]
pub struct MemoryTokenKeys(Mutex<Vec<(Algorithm, Timestamp)>>);

impl MemoryTokenKeys {
    fn keys(&self) -> MutexGuard<'_, Vec<(Algorithm, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenKeys for MemoryTokenKeys {
    fn all(&self) -> Result<Vec<StoredKey>, TokenKeysError> {
        let key = |(algorithm, made_at): &(Algorithm, Timestamp)| {
            let mut secret = Zeroizing::new([1; 32]);
            let time = made_at.as_millis().to_be_bytes();
            secret.iter_mut().zip(time).for_each(|(place, byte)| *place = byte);
            StoredKey { algorithm: *algorithm, made_at: *made_at, secret }
        };
        Ok(self.keys().iter().map(key).collect())
    }

    fn make(&self, algorithm: Algorithm, at: Timestamp) -> Result<(), TokenKeysError> {
        self.keys().push((algorithm, at));
        Ok(())
    }

    fn remove(&self, algorithm: Algorithm, made_at: Timestamp) -> Result<(), TokenKeysError> {
        self.keys().retain(|key| *key != (algorithm, made_at));
        Ok(())
    }

    fn random(&self) -> Result<Zeroizing<[u8; 32]>, TokenKeysError> {
        Ok(Zeroizing::new([3; 32]))
    }
}
