//! Use-case: take in what a server says by itself: lists, greetings, faults, notifications outside
//! of any call. No decision lets it through, so a record of its own says that it was read.
//!
//! What a session has heard already is not taken in again, and between two decisions a server is
//! listened to [`HEARD_BETWEEN_MAX`] times; of what it says beyond that nobody knows what it was.

use std::collections::VecDeque;
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Authentication, Body, Catalogue, IdentityId, KeyedDigest, Label, Reason, Record,
    Returns, ServerName, SessionKey, SessionRead, Value,
};
use safeconduct_wire::json;
use thiserror::Error;

use crate::bundle::{Bundle, Kind};
use crate::reading;
use crate::recall::OUTCOME;
use crate::sessions::{SESSIONS_MAX, lock};
use crate::{
    Content, Entry, Proposal, Read, Service, SessionKeys, SubmitError, Unrecorded, Versioned,
};

/// Most different things that a session remembers to have heard. Beyond them the oldest may be
/// taken in again.
pub const HEARD_MAX: usize = 64;

/// Most that is taken in of what servers say by themselves between two decisions of a session.
pub const HEARD_BETWEEN_MAX: u32 = 64;

/// Something that a server says by itself, and who is about to read it.
#[derive(Debug, Clone)]
pub struct Said {
    /// Whose session reads it.
    pub by: Authentication,
    /// The enforcement point through which it comes.
    pub pep: IdentityId,
    /// Who says it.
    pub server: ServerName,
    /// The method of the message that holds it: `resources/list`, `initialize`.
    pub source: Arc<str>,
    /// What it answers, `Null` where it answers nothing: it vouches for nothing of that.
    pub asked: Value,
    /// What is said.
    pub content: Vec<Content>,
}

/// Why something may not be handed to the agent: it could not be taken in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HearError {
    /// Our fault: the session or its keys could not be made.
    #[error("the session cannot take in what the server says: {0}")]
    Session(Arc<str>),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the record could not be made.
    #[error("the record of what the server says could not be made: {0}")]
    Record(Arc<str>),
}

/// What a session has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Digests of it, the newest last.
    all: VecDeque<KeyedDigest>,
    /// How much was taken in since the last decision.
    since: u32,
}

/// What becomes of something that is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    /// It was heard before.
    Known,
    /// It is taken apart.
    New,
    /// There was too much since the last decision: it may be anything.
    TooMuch,
}

impl Heard {
    fn hear(&self, digest: KeyedDigest) -> Hearing {
        match self.since {
            _ if self.all.contains(&digest) => Hearing::Known,
            0..HEARD_BETWEEN_MAX => Hearing::New,
            HEARD_BETWEEN_MAX => Hearing::TooMuch,
            // That there was too much has been taken in.
            _ => Hearing::Known,
        }
    }

    fn take_in(&mut self, digest: KeyedDigest) {
        self.since = self.since.saturating_add(1);
        if self.since > HEARD_BETWEEN_MAX {
            return;
        }
        if self.all.len() >= HEARD_MAX {
            self.all.pop_front();
        }
        self.all.push_back(digest);
    }

    /// A decision was made.
    pub(crate) const fn decided(&mut self) {
        self.since = 0;
    }
}

impl Service {
    /// Takes in what a server says by itself. It is in memory and its record is queued once this
    /// returns; nobody waits for the disk. What was heard before costs a digest.
    ///
    /// # Errors
    /// [`HearError`]: the agent must not read it.
    pub fn hears(&self, said: Said) -> Result<(), HearError> {
        let session = SessionKey::of(&said.by);
        let keys = self.begun(&session)?;
        let said_bytes = bytes_of(&said);
        let digest = keys.digest(&said_bytes);
        let place = self.session_slot(&session).ok_or_else(no_room)?;
        let hearing = {
            let mut slot = lock(&place);
            slot.heard.get_or_insert_default().hear(digest)
        };
        if hearing == Hearing::Known {
            return Ok(());
        }
        self.take_in_said(&said, &session, &*keys, (hearing, digest, said_bytes.len()))?;
        // Only now: whoever hears the same meanwhile takes it in too.
        lock(&place).heard.get_or_insert_default().take_in(digest);
        Ok(())
    }

    fn take_in_said(
        &self,
        said: &Said,
        session: &SessionKey,
        keys: &dyn SessionKeys,
        (hearing, digest, bytes): (Hearing, KeyedDigest, usize),
    ) -> Result<(), HearError> {
        let returns = worth_of(&said.server, &said.source, &self.world().catalogue);
        let home = self.home(session);
        let (id, now) = (self.ids.record("rec"), self.clock.now());
        let read = match hearing {
            Hearing::New => Read::This(said.content.clone()),
            Hearing::TooMuch | Hearing::Known => Read::Unseen,
        };
        let read = self.read((&id, &read, Some(&said.asked)), &returns, &home, now);
        let Some(label) = read.label().cloned() else {
            return Ok(());
        };
        let refuse = |error: &dyn std::fmt::Display| HearError::Record(error.to_string().into());
        let fingerprints = Bundle::default().with(Kind::Flow, read.fingerprints()).encode();
        let attachment = fingerprints.map(|plain| keys.seal(&id, OUTCOME, &plain)).transpose();
        let attachment = attachment.map_err(|error| refuse(&error))?;
        let sealed = attachment.is_some();
        let record = Record {
            id,
            at: now,
            trace: None,
            parent: None,
            body: Body::SessionRead(Box::new(SessionRead {
                session: session.clone(),
                pep: said.pep.clone(),
                server: said.server.clone(),
                source: Arc::clone(&said.source),
                digest: (hearing == Hearing::New).then_some(digest),
                bytes: bytes as u64,
                label,
            })),
        };
        let leaf = safeconduct_ledger::encode(&record).map_err(|error| refuse(&error))?;
        let taken_in = self.take_in(session, &home, &read);
        let entries = vec![Entry { leaf, attachment }];
        let ticket =
            self.ledger.submit(Proposal { entries, reads: Vec::new(), writes: Vec::new() })?;
        if sealed && let Some(slot) = self.sessions.known(session) {
            lock(&slot).sealed_at.push(ticket.last);
        }
        if let Some(slot) = self.sessions.known(&home) {
            let mut slot = lock(&slot);
            taken_in.again(&mut slot, &read);
            slot.told.push(ticket.last);
        }
        Ok(())
    }

    /// The keys of a session, which begins with them where it has none yet. No session's lock may
    /// be held.
    pub(crate) fn begun(&self, session: &SessionKey) -> Result<Arc<dyn SessionKeys>, HearError> {
        let place = self.session_slot(session).ok_or_else(no_room)?;
        let (keys, more) = {
            let mut slot = lock(&place);
            let found = self.keys_of(session, &slot);
            let (keys, began) = found.map_err(|Unrecorded { reason }| {
                HearError::Session(reason.message().to_string().into())
            })?;
            if let Some(entry) = began {
                let subject = Versioned::Session(session.clone());
                let reads = vec![(subject.clone(), slot.version)];
                let proposal = Proposal { entries: vec![entry], reads, writes: vec![subject] };
                let ticket = self.ledger.submit(proposal)?;
                slot.version += 1;
                slot.keys_at = Some(ticket.first);
            }
            let more = slot.hold(&keys);
            (keys, more)
        };
        if more {
            self.sessions.holds_keys(&place);
        }
        Ok(keys)
    }
}

fn no_room() -> HearError {
    let reason = Reason::OverLimit { what: "the number of sessions", limit: SESSIONS_MAX as u64 };
    HearError::Session(reason.message().to_string().into())
}

/// What is said, as bytes that are the same where it is: by whom, in what, and each piece.
fn bytes_of(said: &Said) -> Vec<u8> {
    let pieces = said.content.iter().map(|content| match content {
        Content::Value(value) => Value::from(vec![Value::from(0), value.clone()]),
        Content::Text(text) => Value::from(vec![Value::from(1), Value::String(Arc::clone(text))]),
        Content::Opaque(text) => Value::from(vec![Value::from(2), Value::String(Arc::clone(text))]),
    });
    let from = [said.server.as_str(), &said.source].map(Value::from);
    json::to_bytes(&Value::from(from.into_iter().chain(pieces).collect::<Vec<_>>()))
}

/// What is worth that a server says by itself: as the catalogue says of that method; where it
/// says nothing, the worst that any of its actions returns; of a server that it does not know,
/// the worst of all.
fn worth_of(server: &ServerName, source: &str, catalogue: &Catalogue) -> Returns {
    let own = ActionName::new(format!("{server}/{source}")).ok();
    if let Some(entry) = own.and_then(|own| catalogue.entry(&own)) {
        return entry.returns.clone();
    }
    let mut all = catalogue.actions.values().filter(|entry| entry.server.as_ref() == Some(server));
    let Some(first) = all.next() else {
        return Returns::uniform(reading::unknown());
    };
    let mut worst: Label = first.returns.highest();
    for entry in all {
        worst.raise(&entry.returns.highest());
    }
    Returns::uniform(worst)
}
