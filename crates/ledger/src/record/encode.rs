//! A record's leaf, written by hand: members in canonical order, no tree in between. Appending
//! is on the way of every decision.

use safeconduct_model::{
    AskedOf, Body, Category, Decided, EntityRef, Executed, Identity, Imported, Label, LabelAt,
    Obligation, PepRegistration, Record, RecordedFlow, RecordedReason, SessionKey, SessionRead,
    SessionScope, Timestamp, Token,
};

use super::{
    EncodeError, LEAF_BYTES_MAX, RECORD_VERSION, access, authority, passkey, review, signal,
};
use crate::canonical::{hex_digits, write_canonical_string, write_unsigned};

/// The leaf of a record.
///
/// # Errors
/// [`EncodeError`]: the leaf would be too long, or a point in time is out of range.
pub fn encode(record: &Record) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(1024);
    object(&mut out, |o| {
        o.time("at", record.at)?;
        o.key("body");
        write_body(&record.body, o.out)?;
        o.text("id", record.id.as_str());
        o.text("kind", record.body.kind());
        o.optional("parent", record.parent.as_ref().map(AsRef::as_ref));
        o.optional("trace", record.trace.as_ref().map(AsRef::as_ref));
        o.number("v", RECORD_VERSION);
        Ok(())
    })?;
    if out.len() > LEAF_BYTES_MAX {
        return Err(EncodeError::TooLong { bytes: out.len() });
    }
    Ok(out)
}

fn write_body(body: &Body, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    object(out, |o| {
        match body {
            Body::ServerStarted { version } => o.text("version", version),
            Body::PoliciesLoaded { digest, policies, cause } => {
                o.text("cause", cause);
                o.digest("digest", "sha256:", digest.as_bytes());
                o.number("policies", *policies);
            }
            Body::PoliciesRefused { digest, problem } => {
                if let Some(digest) = digest {
                    o.digest("digest", "sha256:", digest.as_bytes());
                }
                o.text("problem", problem);
            }
            Body::CatalogueLoaded { digest, actions } => {
                o.number("actions", *actions);
                o.digest("digest", "sha256:", digest.as_bytes());
            }
            Body::IdentityChanged { identity, by } => {
                o.text("by", by.as_str());
                o.nested("identity", |o| write_identity(identity, o))?;
            }
            Body::TokenIssued { token, by } => {
                o.text("by", by.as_str());
                o.nested("token", |o| write_token(token, o))?;
            }
            Body::TokenRevoked { token, by } => {
                o.text("by", by.as_str());
                o.text("token", token.as_str());
            }
            Body::SessionBegan { session } => o.session(session)?,
            Body::Decided(decided) => write_decided(decided, o)?,
            Body::Executed(executed) => write_executed(executed, o)?,
            Body::SessionRead(read) => write_session_read(read, o)?,
            Body::ValuesErased { session, by, attachments } => {
                o.number("attachments", *attachments);
                o.text("by", by.as_str());
                o.session(session)?;
            }
            Body::DefinitionSeen { action, server, pinned, seen } => {
                o.text("action", action.as_str());
                o.digest("pinned", "sha256:", pinned.as_bytes());
                o.digest("seen", "sha256:", seen.as_bytes());
                o.text("server", server.as_str());
            }
            Body::IntentsLoaded { digest, intents, by, changed } => {
                o.optional("by", by.as_ref().map(AsRef::as_ref));
                o.texts("changed", changed.iter().map(AsRef::as_ref))?;
                o.digest("digest", "sha256:", digest.as_bytes());
                o.number("intents", *intents);
            }
            Body::TaskBegan(task) => authority::write_task(task, o)?,
            Body::TaskEnded { task, state, by, reason } => {
                o.optional("by", by.as_ref().map(AsRef::as_ref));
                o.text("reason", reason);
                o.text("state", state.as_str());
                o.text("task", task.as_str());
            }
            Body::DelegationMade(delegation) => authority::write_delegation(delegation, o)?,
            Body::DelegationEnded { delegation, by } => {
                o.text("by", by.as_str());
                o.text("delegation", delegation.as_str());
            }
            Body::TokenMinted(minted) => authority::write_minted(minted, o)?,
            Body::TokenWithdrawn { token, by } => {
                o.text("by", by.as_str());
                o.text("token", token.as_str());
            }
            Body::TokenKeysRotated { keys, by } => {
                o.text("by", by.as_str());
                o.texts("keys", keys.iter().map(AsRef::as_ref))?;
            }
            Body::TokenKeyDropped { key, reason, by } => {
                o.text("by", by.as_str());
                o.text("key", key);
                o.text("reason", reason);
            }
            Body::TrustLoaded { digest, records, cause } => {
                o.text("cause", cause);
                o.digest("digest", "sha256:", digest.as_bytes());
                o.number("records", *records);
            }
            Body::LeaseChanged { lease, state, detail } => {
                o.optional("detail", detail.as_deref());
                o.nested("lease", |o| authority::write_lease(lease, o))?;
                o.text("state", state.as_str());
            }
            Body::Killed { scope, by, reason } | Body::KillLifted { scope, by, reason } => {
                o.text("by", by.as_str());
                o.text("reason", reason);
                o.nested("scope", |o| authority::write_scope(scope, o))?;
            }
            Body::SignalSeen(seen) => signal::write(seen, o)?,
            Body::UsedAfterEnd { task, identity, token, action } => {
                o.optional("action", action.as_ref().map(AsRef::as_ref));
                o.text("identity", identity.as_str());
                o.text("task", task.as_str());
                o.text("token", token.as_str());
            }
            Body::PasskeyRegistered { passkey, by } => {
                o.text("by", by.as_str());
                o.nested("passkey", |o| passkey::write_passkey(passkey, o))?;
            }
            Body::PasskeyRemoved { passkey, identity, by } => {
                o.text("by", by.as_str());
                o.text("identity", identity.as_str());
                o.text("passkey", passkey.as_str());
            }
            Body::PasskeyUsed(used) => passkey::write_use(used, o),
            Body::AccessRequestChanged(change) => access::write_change(change, o)?,
            Body::GlassBroken(glass) => access::write_glass(glass, o)?,
            Body::GlassMended { glass, by } => {
                o.optional("by", by.as_ref().map(AsRef::as_ref));
                o.text("glass", glass.as_str());
            }
            Body::ReviewDue { of, about, cause } => {
                o.text("about", about.as_str());
                o.text("cause", cause);
                o.text("of", of.as_str());
            }
            Body::ReviewDone { of, by, verdict, note } => {
                o.text("by", by.as_str());
                o.text("note", note);
                o.text("of", of.as_str());
                o.text("verdict", verdict.as_str());
            }
            Body::ReviewChanged(change) => review::write(change, o)?,
        }
        Ok(())
    })
}

fn write_decided(decided: &Decided, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.text("action", decided.action.as_str());
    o.optional("approval", decided.approval.as_ref().map(AsRef::as_ref));
    o.digest("catalogue", "sha256:", decided.catalogue.as_bytes());
    o.text("decision", decided.decision.as_str());
    o.list("flow", &decided.flow, write_flow)?;
    o.digest("input_digest", "hmac-sha256:", decided.input_digest.as_bytes());
    if let Some(label) = &decided.label {
        o.nested("label", |o| write_label(label, o))?;
    }
    o.text("method", decided.method.as_str());
    o.text("mode", decided.mode.as_str());
    if let Some(network) = decided.network {
        o.text("network", &network.to_string());
    }
    o.list("obligations", &decided.obligations, |obligation, out| {
        object(out, |o| write_obligation(obligation, o))
    })?;
    o.text("pep", decided.pep.as_str());
    o.digest("policies", "sha256:", decided.policies.as_bytes());
    o.nested("principal", |o| write_entity(&decided.principal, o))?;
    o.list("reasons", &decided.reasons, write_reason)?;
    if let Some(requestable) = &decided.requestable {
        o.nested("requestable", |o| {
            o.text("approvers", &requestable.approvers);
            o.number("quorum", u64::from(requestable.quorum));
            o.number("ttl_s", u64::from(requestable.ttl_s));
            Ok(())
        })?;
    }
    o.list("resources", &decided.resources, |resource, out| {
        object(out, |o| write_entity(resource, o))
    })?;
    if decided.risk > 0 {
        o.number("risk", u64::from(decided.risk));
    }
    o.number("sequence", decided.sequence);
    o.session(&decided.session)?;
    o.optional("session_name", decided.session_name.as_ref().map(AsRef::as_ref));
    o.list("shadow", &decided.shadow, write_reason)?;
    match &decided.task {
        Some(task) => o.nested("task", |o| authority::write_decided_task(task, o)),
        None => Ok(()),
    }
}

fn write_reason(reason: &RecordedReason, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    object(out, |o| {
        o.text("code", &reason.code);
        o.optional("detail", reason.detail.as_deref());
        o.text("message", &reason.message);
        o.optional("of", reason.of.map(AskedOf::as_str));
        let Some(policy) = &reason.policy else {
            return Ok(());
        };
        o.nested("policy", |o| {
            o.text("effect", policy.effect.as_str());
            o.text("id", policy.id.as_str());
            o.nested("span", |o| {
                o.number("column", u64::from(policy.span.column));
                o.number("end_line", u64::from(policy.span.end_line));
                o.text("file", &policy.span.file);
                o.number("line", u64::from(policy.span.line));
                Ok(())
            })
        })
    })
}

fn write_flow(flow: &RecordedFlow, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    object(out, |o| {
        o.nested("label", |o| write_label(&flow.label, o))?;
        o.texts("origins", flow.origins.iter().map(|origin| origin.as_str()))?;
        o.text("pointer", &flow.pointer);
        o.text("role", flow.role.as_str());
        o.texts("sources", flow.sources.iter().map(AsRef::as_ref))
    })
}

fn write_label(label: &Label, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.texts("categories", label.categories.iter().map(Category::as_str))?;
    o.text("confidentiality", label.confidentiality.as_str());
    o.text("integrity", label.integrity.as_str());
    Ok(())
}

fn write_executed(executed: &Executed, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.text("decision", executed.decision.as_str());
    o.optional("declassified", executed.declassified.as_deref());
    o.optional("detail", executed.detail.as_deref());
    o.number("duration_ms", executed.duration_ms);
    o.list("edits", &executed.edits, |edit, out| {
        object(out, |o| {
            o.nested("obligation", |o| write_obligation(&edit.obligation, o))?;
            o.number("values", edit.values);
            Ok(())
        })
    })?;
    o.text("execution", executed.execution.as_str());
    if let Some(label) = &executed.label {
        o.nested("label", |o| write_label(label, o))?;
    }
    o.number("result_bytes", executed.result_bytes);
    if let Some(digest) = &executed.result_digest {
        o.digest("result_digest", "hmac-sha256:", digest.as_bytes());
    }
    o.session(&executed.session)
}

fn write_session_read(read: &SessionRead, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.number("bytes", read.bytes);
    if let Some(digest) = &read.digest {
        o.digest("digest", "hmac-sha256:", digest.as_bytes());
    }
    o.nested("label", |o| write_label(&read.label, o))?;
    o.text("pep", read.pep.as_str());
    o.text("server", read.server.as_str());
    o.session(&read.session)?;
    o.text("source", &read.source);
    Ok(())
}

fn write_identity(identity: &Identity, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.optional("environment", identity.environment.as_deref());
    o.optional("fallback_owner", identity.fallback_owner.as_ref().map(AsRef::as_ref));
    o.texts("groups", identity.groups.iter().map(String::as_str))?;
    o.text("id", identity.id.as_str());
    if let Some(imported) = &identity.imported {
        let Imported { from, external_id, user_name, display_name, suspended } = &**imported;
        o.nested("imported", |o| {
            o.optional("display_name", display_name.as_deref());
            o.optional("external_id", external_id.as_deref());
            o.text("from", from.as_str());
            if *suspended {
                o.truth("suspended", true);
            }
            o.optional("user_name", user_name.as_deref());
            Ok(())
        })?;
    }
    o.text("kind", identity.kind.as_str());
    o.optional("owner", identity.owner.as_ref().map(AsRef::as_ref));
    if let Some(PepRegistration { subjects, resources, properties, label_at }) = &identity.pep {
        o.nested("pep", |o| {
            // The default is absent, as it is in records from before there was a choice.
            if *label_at != LabelAt::default() {
                o.text("label_at", label_at.as_str());
            }
            o.truth("properties", *properties);
            o.texts("resources", resources.iter().map(AsRef::as_ref))?;
            o.texts("subjects", subjects.iter().map(AsRef::as_ref))
        })?;
    }
    o.texts("roles", identity.roles.iter().map(|role| role.as_str()))?;
    o.optional("sponsor", identity.sponsor.as_ref().map(AsRef::as_ref));
    o.text("status", identity.status.as_str());
    Ok(())
}

fn write_token(token: &Token, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.digest("digest", "sha256:", token.digest.as_bytes());
    o.time("expires_at", token.expires_at)?;
    o.text("id", token.id.as_str());
    o.text("identity", token.identity.as_str());
    o.time("issued_at", token.issued_at)?;
    o.truth("revoked", token.revoked);
    Ok(())
}

pub(super) fn write_entity(entity: &EntityRef, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.text("id", entity.id.as_str());
    o.text("type", entity.ty.as_str());
    Ok(())
}

fn write_obligation(obligation: &Obligation, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.text("kind", &obligation.kind);
    o.text("parameter", &obligation.parameter);
    Ok(())
}

/// Writes one object. Its members are given in canonical order; a test holds every kind to it.
pub(super) fn object(
    out: &mut Vec<u8>,
    members: impl FnOnce(&mut Object<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    out.push(b'{');
    members(&mut Object { out, first: true })?;
    out.push(b'}');
    Ok(())
}

pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    /// Names are our own and need no escape.
    fn key(&mut self, name: &'static str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.key(name);
        write_canonical_string(text, self.out);
    }

    /// A value whose text is canonical already.
    pub(super) fn canonical(&mut self, name: &'static str, json: &str) {
        self.key(name);
        self.out.extend_from_slice(json.as_bytes());
    }

    pub(super) fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.key(name);
        write_unsigned(number, self.out);
    }

    pub(super) fn truth(&mut self, name: &'static str, truth: bool) {
        self.key(name);
        self.out.extend_from_slice(if truth { b"true" } else { b"false" });
    }

    pub(super) fn digest(&mut self, name: &'static str, prefix: &'static str, bytes: &[u8; 32]) {
        self.key(name);
        self.out.push(b'"');
        self.out.extend_from_slice(prefix.as_bytes());
        self.out.extend_from_slice(bytes.map(hex_digits).as_flattened());
        self.out.push(b'"');
    }

    pub(super) fn time(&mut self, name: &'static str, at: Timestamp) -> Result<(), EncodeError> {
        let text = at.to_ascii().ok_or(EncodeError::TimeOutOfRange { field: name })?;
        self.key(name);
        // Digits, colons and letters: nothing to escape.
        self.out.push(b'"');
        self.out.extend_from_slice(&text);
        self.out.push(b'"');
        Ok(())
    }

    pub(super) fn session(&mut self, session: &SessionKey) -> Result<(), EncodeError> {
        self.nested("session", |o| {
            o.text("identity", session.identity.as_str());
            match &session.scope {
                SessionScope::Task(task) => o.text("task", task.as_str()),
                SessionScope::Credential(token) => o.text("token", token.as_str()),
            }
            Ok(())
        })
    }

    pub(super) fn nested(
        &mut self,
        name: &'static str,
        members: impl FnOnce(&mut Object<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.key(name);
        object(self.out, members)
    }

    /// An empty list is absent.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return Ok(());
        }
        self.key(name);
        self.out.push(b'[');
        let mut first = true;
        for item in items {
            if !first {
                self.out.push(b',');
            }
            first = false;
            write(item, self.out)?;
        }
        self.out.push(b']');
        Ok(())
    }

    pub(super) fn texts<'a>(
        &mut self,
        name: &'static str,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), EncodeError> {
        self.list(name, texts, |text, out| {
            write_canonical_string(text, out);
            Ok(())
        })
    }
}
