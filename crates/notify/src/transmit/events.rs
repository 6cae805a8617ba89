//! From records to events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_model::signal::About;
use safeconduct_model::{
    Body, IdentityId, IdentityStatus, KillScope, Record, TaskId, TaskState, Timestamp, TokenId,
    Value,
};
use safeconduct_service::Service;
use safeconduct_wire::signals::SubjectId;
use sha2::{Digest as _, Sha256};

const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CREDENTIAL_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/credential-change";
const RISK_LEVEL_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/risk-level-change";
const ACCOUNT_DISABLED: &str =
    "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

/// The types of events that we tell.
pub const EVENTS: [&str; 4] =
    [SESSION_REVOKED, CREDENTIAL_CHANGE, RISK_LEVEL_CHANGE, ACCOUNT_DISABLED];

/// Most subjects whose level is remembered.
const LEVELS_MAX: usize = 100_000;

/// One event that is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Telling {
    /// The place of its record; a verification has none.
    pub(super) sequence: Option<u64>,
    /// Its id; the same whenever it is made of the same record.
    pub(super) jti: Arc<str>,
    pub(super) uri: &'static str,
    pub(super) subject: SubjectId,
    pub(super) payload: Value,
    at: Timestamp,
}

impl Telling {
    /// The event that shows that a stream lives.
    pub(super) fn verification(stream: &Arc<str>, state: Option<Arc<str>>, now: Timestamp) -> Self {
        let said = state.clone().unwrap_or_default();
        let jti = jti(&[stream, "verification", &now.to_string(), &said]);
        let payload = Value::object(state.map(|state| ("state", Value::String(state))));
        let subject = SubjectId::Opaque(Arc::clone(stream));
        Self { sequence: None, jti, uri: VERIFICATION, subject, payload, at: now }
    }

    /// The same for that stream: each has ids of its own.
    pub(super) fn for_stream(&self, stream: &str) -> Self {
        Self { jti: jti(&[stream, &self.jti]), ..self.clone() }
    }

    /// The claims of its token, issued now.
    pub(super) fn claims(&self, issuer: &str, audience: &str, now: Timestamp) -> Value {
        let seconds = |at: Timestamp| Value::Integer(at.as_millis().div_euclid(1000));
        Value::object([
            ("iss", Value::from(issuer)),
            ("aud", Value::from(audience)),
            ("jti", Value::String(Arc::clone(&self.jti))),
            ("iat", seconds(now)),
            ("toe", seconds(self.at)),
            ("sub_id", self.subject.to_value()),
            ("events", Value::object([(self.uri, self.payload.clone())])),
        ])
    }
}

fn jti(parts: &[&str]) -> Arc<str> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    hex::encode(digest.get(..16).unwrap_or_default()).into()
}

/// The level that was told last of each subject.
#[derive(Debug, Default)]
pub(super) struct Levels(Mutex<HashMap<About, &'static str>>);

impl Levels {
    /// The level before, where it was another one.
    fn change(&self, about: &About, now: &'static str) -> Option<&'static str> {
        let mut levels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if levels.len() >= LEVELS_MAX && !levels.contains_key(about) {
            // Whoever is forgotten counts as low again: at worst it is told twice.
            levels.clear();
        }
        let before = levels.insert(about.clone(), now).unwrap_or("LOW");
        (before != now).then_some(before)
    }
}

/// What is to be told of a record.
pub(super) fn events_of(
    record: &Record,
    sequence: u64,
    service: &Service,
    issuer: &str,
    levels: &Levels,
) -> Vec<Telling> {
    let at = ("event_timestamp", Value::Integer(record.at.as_millis().div_euclid(1000)));
    let told = match &record.body {
        Body::Killed { scope, reason, .. } => killed(scope, reason, issuer),
        Body::TaskEnded { task, state: TaskState::Revoked, reason, .. } => {
            Some(Told::new(SESSION_REVOKED, of_task(service, task, issuer), revoked(reason)))
        }
        Body::TokenRevoked { token, .. } => {
            let subject = of_token(service, token, issuer);
            Some(Told::new(CREDENTIAL_CHANGE, subject, credential("api-key")))
        }
        Body::TokenWithdrawn { token, .. } => {
            let subject = SubjectId::TokenId { issuer: issuer.into(), id: token.as_str().into() };
            Some(Told::new(CREDENTIAL_CHANGE, subject, credential("access-token")))
        }
        Body::IdentityChanged { identity, .. } if identity.status != IdentityStatus::Active => {
            Some(Told::new(ACCOUNT_DISABLED, of_identity(&identity.id, issuer), Vec::new()))
        }
        Body::SignalSeen(signal) => {
            let level = service.risk_of(std::slice::from_ref(&signal.about)).level.as_str();
            risk(&signal.about, word(level), levels, issuer)
        }
        _ => None,
    };
    let made = told.map(|Told { uri, subject, mut payload }| {
        payload.push(at);
        let jti = jti(&[record.id.as_str(), uri]);
        let payload = Value::object(payload);
        Telling { sequence: Some(sequence), jti, uri, subject, payload, at: record.at }
    });
    made.into_iter().collect()
}

/// What a record says, before it is an event.
struct Told {
    uri: &'static str,
    subject: SubjectId,
    payload: Vec<(&'static str, Value)>,
}

impl Told {
    const fn new(
        uri: &'static str,
        subject: SubjectId,
        payload: Vec<(&'static str, Value)>,
    ) -> Self {
        Self { uri, subject, payload }
    }
}

fn killed(scope: &KillScope, reason: &str, issuer: &str) -> Option<Told> {
    let subject = match scope {
        KillScope::Identity(id) => of_identity(id, issuer),
        KillScope::Session(session) => complex(&session.identity, session.scope.as_str(), issuer),
        // Of tasks, and of all that everything was, each end is told.
        KillScope::Task(_) | KillScope::All => return None,
    };
    Some(Told::new(SESSION_REVOKED, subject, revoked(reason)))
}

fn revoked(reason: &str) -> Vec<(&'static str, Value)> {
    let reason = crate::notice::shown(reason);
    let reason = Value::object([("en", Value::from(reason.as_str()))]);
    vec![("initiating_entity", Value::from("policy")), ("reason_admin", reason)]
}

fn credential(kind: &str) -> Vec<(&'static str, Value)> {
    vec![("credential_type", Value::from(kind)), ("change_type", Value::from("revoke"))]
}

const fn word(level: &str) -> &'static str {
    match level.as_bytes() {
        b"low" => "LOW",
        b"moderate" => "MEDIUM",
        _ => "HIGH",
    }
}

fn risk(about: &About, now: &'static str, levels: &Levels, issuer: &str) -> Option<Told> {
    let (principal, subject) = match about {
        About::Identity(id) | About::User(id) => ("USER", of_identity(id, issuer)),
        About::Session(session) => {
            ("SESSION", complex(&session.identity, session.scope.as_str(), issuer))
        }
        About::Task(task) => ("SESSION", SubjectId::Opaque(task.as_str().into())),
        // Everyone of an issuer is no principal.
        About::Issuer(_) => return None,
    };
    let before = levels.change(about, now)?;
    let payload = vec![
        ("principal", Value::from(principal)),
        ("current_level", Value::from(now)),
        ("previous_level", Value::from(before)),
    ];
    Some(Told::new(RISK_LEVEL_CHANGE, subject, payload))
}

/// An identity, as others know it: a URI of its own, who its issuer calls so, or else whom we do.
fn of_identity(id: &IdentityId, issuer: &str) -> SubjectId {
    match id.as_str().split_once('|') {
        Some((issuer, subject)) => {
            SubjectId::IssuerSubject { issuer: issuer.into(), subject: subject.into() }
        }
        None if id.as_str().contains("://") => SubjectId::Uri(id.as_str().into()),
        None => SubjectId::IssuerSubject { issuer: issuer.into(), subject: id.as_str().into() },
    }
}

fn complex(agent: &IdentityId, session: &str, issuer: &str) -> SubjectId {
    let members = [
        (Arc::from("application"), of_identity(agent, issuer)),
        (Arc::from("session"), SubjectId::Opaque(session.into())),
    ];
    SubjectId::Complex(members.into())
}

fn of_task(service: &Service, task: &TaskId, issuer: &str) -> SubjectId {
    match service.task(task) {
        Some(view) => complex(&view.task.agent, task.as_str(), issuer),
        None => SubjectId::Opaque(task.as_str().into()),
    }
}

fn of_token(service: &Service, token: &TokenId, issuer: &str) -> SubjectId {
    match service.world().token(token) {
        Some(known) => complex(&known.identity, token.as_str(), issuer),
        None => SubjectId::Opaque(token.as_str().into()),
    }
}
