//! Use-case: record that a caller of the administration API was refused. Who tries doors is worth
//! knowing, also where they stay shut.

use std::sync::Arc;

use safeconduct_engine::{Facts, Outcome, Understood, refuse};
use safeconduct_model::{
    ActionName, Authentication, Body, EntityRef, IdentityId, KeyedDigest, Mode, NameError, Now,
    Reason, Request, SessionKey, SessionRef, Subject, TraceId, Value,
};

use super::{Administration, NAMESPACE, Operation};
use crate::check::not_recorded;
use crate::sessions::{SESSIONS_MAX, Slot, lock};
use crate::{Entry, Proposal, Recorded, Service, Ticket, Unrecorded, Versioned};

/// Longest path that a refusal names, in bytes; a longer one is left out.
pub const REFUSED_PATH_BYTES_MAX: usize = 1024;

/// A call of the administration API that our own policies do not permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who called.
    pub proof: Authentication,
    /// What they wanted to do.
    pub operation: Operation,
    /// The path that they called: it names what they wanted to do it to.
    pub path: String,
    /// What they correlate by.
    pub trace: Option<TraceId>,
}

impl Service {
    /// Records a refusal as a decision: action `administration/OPERATION`, resources
    /// `Administration::Server::"safeconduct"` and `Administration::Path::"PATH"`. It counts as a
    /// denial of the caller's session. The answer comes once the record is durable.
    ///
    /// # Errors
    /// [`Unrecorded`] where no record could be made durable: the caller is refused all the same.
    pub async fn record_refusal(
        &self,
        administration: &Administration,
        refusal: Refusal,
    ) -> Result<Recorded<Outcome>, Unrecorded> {
        let (outcome, ticket) = self.queue_refusal(administration, refusal)?;
        let durable = self.ledger.durable(ticket).await;
        durable.map_err(|error| Unrecorded { reason: Reason::NotRecorded(error.0) })?;
        Ok(Recorded::durable(outcome, ticket.last))
    }

    fn queue_refusal(
        &self,
        administration: &Administration,
        refusal: Refusal,
    ) -> Result<(Outcome, Ticket), Unrecorded> {
        let proof = &refusal.proof;
        let key = SessionKey::of(proof);
        let limit = SESSIONS_MAX as u64;
        let place = self.session_slot(&key).ok_or(Unrecorded {
            reason: Reason::OverLimit { what: "the number of sessions", limit },
        })?;
        let mut slot = lock(&place);
        let (keys, began) = self.keys_of(&key, &slot)?;
        let digest = keys.digest(&safeconduct_ledger::canonical(&Value::object::<&str>([])));
        let outcome = self
            .refused(administration, &refusal, &slot, (key.clone(), digest))
            .map_err(|error| unmade(&error))?;
        let leaf = safeconduct_ledger::encode(&outcome.record).map_err(|error| unmade(&error))?;
        let entries = began.iter().cloned().chain([Entry { leaf, attachment: None }]).collect();
        let session = Versioned::Session(key);
        let reads = vec![(session.clone(), slot.version)];
        let proposal = Proposal { entries, reads, writes: vec![session] };
        let ticket = self.ledger.submit(proposal).map_err(|error| not_recorded(&error))?;
        if slot.advance(&outcome, &keys, ticket, began.is_some(), false) {
            self.sessions.holds_keys(&place);
        }
        Ok((outcome, ticket))
    }

    fn refused(
        &self,
        administration: &Administration,
        refusal: &Refusal,
        slot: &Slot,
        (key, input_digest): (SessionKey, KeyedDigest),
    ) -> Result<Outcome, NameError> {
        let world = self.world();
        let known = world.identity(&refusal.proof.identity);
        let named = |ty: &str, id: &str| EntityRef::new(format!("{NAMESPACE}::{ty}"), id);
        let server = named("Server", "safeconduct")?;
        let request = Request {
            subject: Subject::Caller(refusal.proof.clone()),
            action: ActionName::new(format!("administration/{}", refusal.operation.as_str()))?,
            resource: None,
            input: Value::object::<&str>([]),
            input_digest,
            asserted: None,
            session: SessionRef { key, name: None },
            pep: IdentityId::new("administration")?,
            mode: Mode::Enforce,
            trace: refusal.trace.clone(),
            parent: None,
        };
        let facts = Facts {
            caller: None,
            subject: None,
            entry: None,
            quarantined: None,
            session: &slot.session,
            sequence: slot.session.sequence(),
            used: slot.session.used(),
            task: None,
            killed: None,
            input_bytes: 0,
            calls_max: self.settings.calls_max,
            understood: &Understood::LeftToCaller,
            tiers: &self.settings.tiers,
            risk: None,
            last_word: None,
            approval: None,
            set_aside: None,
            vocabulary: &world.vocabulary,
            catalogue: world.catalogue_digest,
            monitors: None,
        };
        let now = Now { at: self.clock.now(), decision: self.ids.record("dec") };
        let reasons = vec![Reason::NoPermit { resource: Some(server.clone()) }];
        let mut outcome = refuse(&request, &facts, &administration.policies, &now, reasons);
        if let Body::Decided(decided) = &mut outcome.record.body {
            // Who and what, as our own policies name them.
            if let Some(known) = known {
                decided.principal = named(known.kind.entity_type(), known.id.as_str())?;
            }
            decided.resources.push(server);
            if refusal.path.len() <= REFUSED_PATH_BYTES_MAX {
                decided.resources.extend(named("Path", &refusal.path).ok());
            }
        }
        Ok(outcome)
    }
}

fn unmade(error: &dyn std::fmt::Display) -> Unrecorded {
    Unrecorded { reason: Reason::NotRecorded(Arc::from(error.to_string())) }
}
