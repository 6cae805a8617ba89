//! Use-case: take in what a server says by itself: lists, greetings, faults, notifications outside
//! of any call. No decision lets it through, so a record of its own says that it was read.
//!
//! What a session has heard already is not taken in again, and between two decisions of a session
//! servers are listened to [`HEARD_BETWEEN_MAX`] times; of what they say beyond that nobody knows
//! what it was, and no more is taken in of it than what it carries, where that is worse than
//! before.

use std::collections::VecDeque;
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Authentication, Body, Catalogue, Digest, IdentityId, Integrity, KeyedDigest, Label,
    Reason, Record, Returns, ServerName, SessionKey, SessionRead, Value,
};
use safeconduct_wire::catalogue::GREETING;
use safeconduct_wire::json;
use thiserror::Error;

use crate::bundle::{Bundle, Kind};
use crate::echoed::Spoken;
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
    /// The digest of all of it as a definition, where it is a greeting: what a catalogue pins.
    pub definition: Option<Digest>,
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
    /// What it carries that was heard since beyond that, as far as it was taken in.
    beyond: Option<Label>,
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
    /// What becomes of something of that digest, which carries at most `worth`.
    fn hear(&self, digest: KeyedDigest, worth: impl FnOnce() -> Label) -> Hearing {
        if self.all.contains(&digest) {
            return Hearing::Known;
        }
        match &self.beyond {
            _ if self.since < HEARD_BETWEEN_MAX => Hearing::New,
            // That there was too much of it has been taken in.
            Some(beyond) if beyond.covers(&worth()) => Hearing::Known,
            _ => Hearing::TooMuch,
        }
    }

    /// It was taken in, and carries that.
    fn take_in(&mut self, digest: KeyedDigest, hearing: Hearing, label: &Label) {
        if hearing == Hearing::TooMuch {
            self.beyond.get_or_insert_default().raise(label);
            return;
        }
        self.since = self.since.saturating_add(1);
        if self.all.len() >= HEARD_MAX {
            self.all.pop_front();
        }
        self.all.push_back(digest);
    }

    /// A decision was made.
    pub(crate) fn decided(&mut self) {
        (self.since, self.beyond) = (0, None);
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
            let worth = || self.worth_of_said(&said).highest();
            slot.heard.get_or_insert_default().hear(digest, worth)
        };
        if hearing == Hearing::Known {
            return Ok(());
        }
        let bytes = said_bytes.len();
        let label = self.take_in_said(&said, &session, &*keys, (hearing, digest, bytes))?;
        // Only now: whoever hears the same meanwhile takes it in too.
        if let Some(label) = label {
            lock(&place).heard.get_or_insert_default().take_in(digest, hearing, &label);
        }
        Ok(())
    }

    fn worth_of_said(&self, said: &Said) -> Returns {
        let source = if said.definition.is_some() { GREETING } else { &said.source };
        worth_of((&said.server, source), said.definition, &self.world().catalogue)
    }

    /// Takes it in, and gives what it carries; `None` where that is nothing.
    fn take_in_said(
        &self,
        said: &Said,
        session: &SessionKey,
        keys: &dyn SessionKeys,
        (hearing, digest, bytes): (Hearing, KeyedDigest, usize),
    ) -> Result<Option<Label>, HearError> {
        let returns = self.worth_of_said(said);
        let home = self.home(session);
        let (id, now) = (self.ids.record("rec"), self.clock.now());
        let read = match hearing {
            Hearing::New => Read::This(said.content.clone()),
            Hearing::TooMuch | Hearing::Known => Read::Unseen,
        };
        let read =
            self.read((&id, &read, Some(&Spoken::by(vec![&said.asked]))), &returns, &home, now);
        let Some(label) = read.label().cloned() else {
            return Ok(None);
        };
        let refuse = |error: &dyn std::fmt::Display| HearError::Record(error.to_string().into());
        let fingerprints =
            Bundle::default().with(Kind::Flow, read.fingerprints(Kind::Flow)).encode();
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
                label: label.clone(),
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
        Ok(Some(label))
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
        Content::Around(value) => Value::from(vec![Value::from(3), value.clone()]),
    });
    let from = [said.server.as_str(), &said.source].map(Value::from);
    json::to_bytes(&Value::from(from.into_iter().chain(pieces).collect::<Vec<_>>()))
}

/// What is worth that a server says by itself: as the catalogue says of that method; where it
/// says nothing, the worst that any of its actions returns; of a server that it does not know,
/// the worst of all. What the catalogue says of a method that it pins holds for what was pinned
/// alone: anything else is untrusted.
fn worth_of(
    (server, source): (&ServerName, &str),
    definition: Option<Digest>,
    catalogue: &Catalogue,
) -> Returns {
    let own = ActionName::new(format!("{server}/{source}")).ok();
    let worst = || worst_of(server, catalogue);
    match own.and_then(|own| catalogue.entry(&own)) {
        Some(entry) if entry.definition.is_none() || entry.definition == definition => {
            entry.returns.clone()
        }
        Some(_) => Returns::uniform(Label { integrity: Integrity::Untrusted, ..worst() }),
        None => Returns::uniform(worst()),
    }
}

/// The worst that any action of a server returns.
fn worst_of(server: &ServerName, catalogue: &Catalogue) -> Label {
    let mut all = catalogue.actions.values().filter(|entry| entry.server.as_ref() == Some(server));
    let Some(first) = all.next() else {
        return reading::unknown();
    };
    let mut worst: Label = first.returns.highest();
    for entry in all {
        worst.raise(&entry.returns.highest());
    }
    worst
}

#[cfg(test)]
mod tests {
    use safeconduct_model::{ActionEntry, Confidentiality, Effect, Tier};

    use super::*;

    fn entry(name: &str, integrity: Integrity, definition: Option<Digest>) -> ActionEntry {
        ActionEntry {
            name: ActionName::new(name).unwrap(),
            server: Some(ServerName::new("crm").unwrap()),
            tier: Tier::Low,
            effect: Effect::Read,
            guessed: false,
            returns: Returns::uniform(Label {
                integrity,
                confidentiality: Confidentiality::Internal,
                ..Label::LEAST
            }),
            accepts: Confidentiality::Internal,
            arguments: Vec::new(),
            resources: Vec::new(),
            definition,
            raises: Vec::new(),
            additional_arguments: true,
            keep_arguments: false,
            keep_result: false,
        }
    }

    /// What a greeting, or a fault in its place, is worth.
    fn worth(pinned: Option<Option<Digest>>, definition: Option<Digest>) -> Integrity {
        let greeting = pinned.map(|pin| entry("crm/initialize", Integrity::Trusted, pin));
        let tools = [entry("crm.records", Integrity::Trusted, None)];
        let actions = tools.into_iter().chain(greeting).map(|entry| (entry.name.clone(), entry));
        let catalogue = Catalogue { actions: actions.collect(), ..Catalogue::default() };
        let server = ServerName::new("crm").unwrap();
        worth_of((&server, "initialize"), definition, &catalogue).default.integrity
    }

    #[test]
    fn a_greeting_is_trusted_as_it_was_pinned_and_not_otherwise() {
        let [pin, other] = [7, 8].map(|byte| Digest::from_bytes([byte; 32]));
        assert_eq!(worth(Some(Some(pin)), Some(pin)), Integrity::Trusted);
        assert_eq!(worth(Some(Some(pin)), Some(other)), Integrity::Untrusted);
        // A fault in the place of a greeting is none.
        assert_eq!(worth(Some(Some(pin)), None), Integrity::Untrusted);
        // Labelled without a pin, it is worth that whatever it says.
        assert_eq!(worth(Some(None), Some(other)), Integrity::Trusted);
        // Nothing is known of it: as bad as the server's worst action.
        assert_eq!(worth(None, Some(other)), Integrity::Trusted);
    }
}
