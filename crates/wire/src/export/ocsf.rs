//! Events of the Open Cybersecurity Schema Framework 1.8: <https://schema.ocsf.io/1.8.0>.
//!
//! Decisions and outcomes are API Activity (6003). What is noticed is a Detection Finding (2004), and
//! what is wrong with somebody's rights an IAM Analysis Finding (2008); a right that is taken away is
//! Remediation Activity (7001).
//! Changes of who may do what are of the category of identity and access: Account Change (3001),
//! Authentication (3002), Authorize Session (3003), Entity Management (3004) and User Access
//! Management (3005). What OCSF has no attribute for is in `unmapped`.

mod review;

use safeconduct_model::signal::{About, Severity};
use safeconduct_model::{
    AccessEvent, Body, Decided, Decision, EntityRef, Executed, Execution, IdentityStatus,
    KillScope, LeaseState, Mode, Record, SessionKey, Signal,
};
use serde_json::{Map, Value, json};

/// The version of OCSF that events are of.
pub const OCSF_VERSION: &str = "1.8.0";

/// A record as an event. `version` is the product's.
pub fn ocsf(record: &Record, sequence: u64, version: &str) -> Value {
    let mut event = of_body(&record.body, record);
    let mut metadata = json!({
        "event_code": record.body.kind(),
        "log_name": "ledger",
        "product": { "name": "Safeconduct", "vendor_name": "Safeconduct", "version": version },
        "sequence": sequence,
        "uid": record.id.as_str(),
        "version": OCSF_VERSION,
    });
    if let Some(fields) = metadata.as_object_mut() {
        let cause = match &record.body {
            Body::Decided(_) => Some(record.id.as_str()),
            Body::Executed(executed) => Some(executed.decision.as_str()),
            _ => record.parent.as_ref().map(AsRef::as_ref),
        };
        fields.extend(cause.map(|cause| ("correlation_uid".to_owned(), json!(cause))));
        if event.fields.contains_key("action_id") {
            fields.insert("profiles".to_owned(), json!(["security_control"]));
        }
    }
    event.set("metadata", metadata);
    event.set("time", json!(record.at.as_millis()));
    if let Some(trace) = &record.trace {
        event.unmapped("trace", trace.as_str());
    }
    event.finish()
}

/// A class of events.
#[derive(Clone, Copy)]
struct Class {
    uid: u32,
    name: &'static str,
    category: &'static str,
}

const fn class(uid: u32, name: &'static str, category: &'static str) -> Class {
    Class { uid, name, category }
}

const IAM: &str = "Identity & Access Management";
const APPLICATION: &str = "Application Activity";
const DETECTION_FINDING: Class = class(2004, "Detection Finding", "Findings");
const IAM_FINDING: Class = class(2008, "IAM Analysis Finding", "Findings");
const ACCOUNT_CHANGE: Class = class(3001, "Account Change", IAM);
const AUTHENTICATION: Class = class(3002, "Authentication", IAM);
const AUTHORIZE_SESSION: Class = class(3003, "Authorize Session", IAM);
const ENTITY_MANAGEMENT: Class = class(3004, "Entity Management", IAM);
const USER_ACCESS: Class = class(3005, "User Access Management", IAM);
const LIFECYCLE: Class = class(6002, "Application Lifecycle", APPLICATION);
const API_ACTIVITY: Class = class(6003, "API Activity", APPLICATION);
const REMEDIATION: Class = class(7001, "Remediation Activity", "Remediation");

/// What OCSF has no number for.
const OTHER: u32 = 99;

/// An event under construction.
struct Event {
    fields: Map<String, Value>,
    unmapped: Map<String, Value>,
}

impl Event {
    /// An event of that class and activity, informational.
    fn new(class: Class, activity: u32, name: &str) -> Self {
        let Class { uid, name: class_name, category } = class;
        let mut event = Self { fields: Map::new(), unmapped: Map::new() };
        event.set("category_uid", json!(uid / 1000));
        event.set("category_name", json!(category));
        event.set("class_uid", json!(uid));
        event.set("class_name", json!(class_name));
        event.set("activity_id", json!(activity));
        event.set("activity_name", json!(name));
        event.set("type_uid", json!(uid * 100 + activity));
        event.severity(1)
    }

    fn set(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.set(name, value);
        self
    }

    /// 1 informational, 2 low, 3 medium, 4 high, 5 critical.
    fn severity(mut self, id: u32) -> Self {
        let names = ["Unknown", "Informational", "Low", "Medium", "High", "Critical"];
        let place = usize::try_from(id).unwrap_or_default();
        self.set("severity_id", json!(id));
        self.set("severity", json!(names.get(place).copied().unwrap_or("Unknown")));
        self
    }

    fn unmapped(&mut self, name: &str, value: impl Into<Value>) {
        self.unmapped.insert(name.to_owned(), value.into());
    }

    fn finish(self) -> Value {
        let Self { mut fields, unmapped } = self;
        if !unmapped.is_empty() {
            fields.insert("unmapped".to_owned(), Value::Object(unmapped));
        }
        Value::Object(fields)
    }
}

fn of_body(body: &Body, record: &Record) -> Event {
    match body {
        Body::Decided(decided) => decision(decided, record),
        Body::Executed(executed) => outcome(executed),
        Body::SignalSeen(signal) => finding(signal),
        Body::DefinitionSeen { action, server, pinned, seen } => {
            let same = pinned == seen;
            let (activity, name) = if same { (3, "Close") } else { (1, "Create") };
            let severity = if same { 1 } else { 3 };
            noticed(record, (activity, name), severity, "definition_changed")
                .with("resources", json!([{ "type": "tool", "uid": action.as_str() }]))
                .with("message", json!(format!("the definition of {action} at {server}")))
        }
        Body::UsedAfterEnd { task, identity, token, action } => {
            let mut event = noticed(record, (1, "Create"), 4, "used_after_end").with(
                "resources",
                json!([
                    { "type": "identity", "uid": identity.as_str() },
                    { "type": "task", "uid": task.as_str() },
                    { "type": "token", "uid": token.as_str() },
                ]),
            );
            if let Some(action) = action {
                event.unmapped("action", action.as_str());
            }
            event
        }
        Body::SessionRead(read) => Event::new(API_ACTIVITY, 2, "Read")
            .with("status_id", json!(1))
            .with("actor", actor(&read.session))
            .with(
                "api",
                json!({ "operation": &*read.source, "service": { "name": read.server.as_str() } }),
            )
            .with("src_endpoint", json!({ "svc_name": read.pep.as_str() })),
        Body::ServerStarted { version } => Event::new(LIFECYCLE, 3, "Start").with(
            "app",
            json!({ "name": "Safeconduct", "vendor_name": "Safeconduct", "version": version }),
        ),
        Body::ReviewChanged(change) => review::of_review(change, record),
        other => of_access(other, record),
    }
}

fn decision(decided: &Decided, record: &Record) -> Event {
    let permitted = decided.decision == Decision::Permit;
    let observed = decided.mode == Mode::Observe && !permitted;
    let (action, disposition) = match (permitted, observed) {
        (true, _) => ((1, "Allowed"), (1, "Allowed")),
        (false, true) => ((1, "Allowed"), (17, "Logged")),
        (false, false) => ((2, "Denied"), (2, "Blocked")),
    };
    let word = decided.decision.as_str();
    let authorizations: Vec<Value> = decided
        .reasons
        .iter()
        .map(|reason| match &reason.policy {
            Some(policy) => json!({
                "decision": word,
                "policy": { "uid": policy.id.as_str(), "name": policy.id.as_str(), "desc": &*reason.message },
            }),
            None => json!({ "decision": word, "policy": { "name": &*reason.code, "desc": &*reason.message } }),
        })
        .collect();
    let mut actor = actor(&decided.session);
    if let Some(actor) = actor.as_object_mut() {
        actor.insert("user".to_owned(), user_of(&decided.principal));
        actor.insert("authorizations".to_owned(), json!(authorizations));
    }
    let resources: Vec<Value> = decided
        .resources
        .iter()
        .map(|resource| json!({ "type": resource.ty.as_str(), "uid": resource.id.as_str() }))
        .collect();
    let mut event = Event::new(API_ACTIVITY, OTHER, decided.action.as_str())
        .severity(if permitted { 1 } else { 2 })
        .with("status_id", json!(if permitted { 1 } else { 2 }))
        .with("status", json!(if permitted { "Success" } else { "Failure" }))
        .with("action_id", json!(action.0))
        .with("action", json!(action.1))
        .with("disposition_id", json!(disposition.0))
        .with("disposition", json!(disposition.1))
        .with("actor", actor)
        .with("api", json!({ "operation": decided.action.as_str(), "request": { "uid": record.id.as_str() } }))
        .with("resources", json!(resources))
        .with("src_endpoint", json!({ "svc_name": decided.pep.as_str() }));
    let codes: Vec<&str> = decided.reasons.iter().map(|reason| &*reason.code).collect();
    event.set("status_detail", json!(codes.join(", ")));
    if decided.risk > 0 {
        event.set("risk_score", json!(decided.risk));
    }
    event.unmapped("policies", decided.policies.to_string());
    event.unmapped("catalogue", decided.catalogue.to_string());
    event.unmapped("method", decided.method.as_str());
    if let Some(task) = &decided.task {
        event.unmapped("task", task.id.as_str());
        event.unmapped("intent", task.intent.as_str());
        let actors: Vec<&str> = task.actors.iter().map(AsRef::as_ref).collect();
        event.unmapped("actors", json!(actors));
        if let Some(user) = &task.on_behalf_of {
            event.unmapped("on_behalf_of", user.as_str());
        }
    }
    if let Some(approval) = &decided.approval {
        event.unmapped("approval", approval.as_str());
    }
    event
}

fn outcome(executed: &Executed) -> Event {
    let (id, word) = match executed.execution {
        Execution::Succeeded => (1, "Success"),
        Execution::Failed => (2, "Failure"),
        Execution::NotExecuted => (OTHER, "not_executed"),
        Execution::Unknown => (0, "Unknown"),
    };
    let mut event = Event::new(API_ACTIVITY, OTHER, "outcome")
        .with("status_id", json!(id))
        .with("status", json!(word))
        .with("duration", json!(executed.duration_ms))
        .with("actor", actor(&executed.session))
        // The record of the decision says which operation it was, and who asked.
        .with(
            "api",
            json!({ "operation": "outcome", "request": { "uid": executed.decision.as_str() } }),
        )
        .with("src_endpoint", json!({ "svc_name": "safeconduct" }));
    if let Some(detail) = &executed.detail {
        event.set("status_detail", json!(&**detail));
    }
    if executed.execution == Execution::Failed {
        event = event.severity(2);
    }
    event.unmapped("result_bytes", executed.result_bytes);
    event
}

fn finding(signal: &Signal) -> Event {
    let severity = match signal.severity {
        Severity::Info => 1,
        Severity::Low => 2,
        Severity::Moderate => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    };
    let about = match &signal.about {
        About::Identity(id) | About::User(id) => id.as_str().to_owned(),
        About::Session(session) => session_name(session),
        About::Task(task) => task.as_str().to_owned(),
        About::Issuer(issuer) => issuer.to_string(),
    };
    let mut info = json!({
        "uid": &*signal.id,
        "title": signal.kind.as_str(),
        "types": [signal.kind.as_str()],
        "created_time": signal.observed_at.as_millis(),
    });
    if let Some(info) = info.as_object_mut()
        && !signal.detail.is_empty()
    {
        info.insert("desc".to_owned(), json!(&*signal.detail));
    }
    let mut event = Event::new(DETECTION_FINDING, 1, "Create")
        .severity(severity)
        .with("status_id", json!(1))
        .with("is_alert", json!(severity >= 4))
        .with("confidence_score", json!(signal.confidence.as_percent()))
        .with("finding_info", info)
        .with("resources", json!([{ "type": signal.about.word(), "uid": about }]));
    event.unmapped("source", signal.source.word());
    if let Some(name) = signal.source.name() {
        event.unmapped("source_name", name);
    }
    event.unmapped("expires_at", signal.expires_at.to_string());
    event
}

/// Something that was noticed, of which the record itself is the finding.
fn noticed(record: &Record, activity: (u32, &str), severity: u32, title: &str) -> Event {
    let info = json!({
        "uid": record.id.as_str(),
        "title": title,
        "types": [title],
        "created_time": record.at.as_millis(),
    });
    Event::new(DETECTION_FINDING, activity.0, activity.1)
        .severity(severity)
        .with("status_id", json!(if activity.0 == 3 { 4 } else { 1 }))
        .with("is_alert", json!(severity >= 3))
        .with("finding_info", info)
}

/// Who may do what, and what changed in that.
fn of_access(body: &Body, record: &Record) -> Event {
    match body {
        Body::IdentityChanged { identity, by } => {
            let (activity, name) = match identity.status {
                IdentityStatus::Active => (OTHER, "Change"),
                IdentityStatus::Suspended | IdentityStatus::Retired => (5, "Disable"),
                IdentityStatus::Quarantined => (9, "Lock"),
            };
            Event::new(ACCOUNT_CHANGE, activity, name)
                .with("user", user(identity.id.as_str()))
                .with("actor", by_user(by.as_str()))
        }
        Body::Killed { scope, by, reason } => stopped(scope, (9, "Lock"), "Stop")
            .with("actor", by_user(by.as_str()))
            .severity(4)
            .with("message", json!(&**reason)),
        Body::KillLifted { scope, by, reason } => stopped(scope, (2, "Enable"), "Let go on")
            .with("actor", by_user(by.as_str()))
            .with("message", json!(&**reason)),
        Body::PasskeyRegistered { passkey, by } => {
            Event::new(ACCOUNT_CHANGE, 10, "MFA Factor Enable")
                .with("user", user(passkey.identity.as_str()))
                .with("actor", by_user(by.as_str()))
        }
        Body::PasskeyRemoved { identity, by, .. } => {
            Event::new(ACCOUNT_CHANGE, 11, "MFA Factor Disable")
                .with("user", user(identity.as_str()))
                .with("actor", by_user(by.as_str()))
        }
        Body::PasskeyUsed(used) => Event::new(AUTHENTICATION, OTHER, "Passkey proof")
            .with("user", user(used.identity.as_str()))
            .with("is_mfa", json!(true))
            .with("service", json!({ "name": "Safeconduct" })),
        Body::TaskBegan(task) => {
            let session = format!("{}/{}", task.agent, task.id);
            let mut event = Event::new(AUTHORIZE_SESSION, 1, "Assign Privileges")
                .with("user", user(task.agent.as_str()))
                .with("actor", by_user(task.begun_by.as_str()))
                .with("privileges", json!([task.intent.as_str()]))
                .with(
                    "session",
                    json!({
                        "uid": session,
                        "created_time": task.begun_at.as_millis(),
                        "expiration_time": task.deadline.as_millis(),
                    }),
                );
            if let Some(user) = &task.on_behalf_of {
                event.unmapped("on_behalf_of", user.as_str());
            }
            event
        }
        Body::DelegationMade(delegation) => {
            privileges(delegation.agent.as_str(), delegation.intent.as_str())
                .with("actor", by_user(delegation.user.as_str()))
        }
        Body::GlassBroken(glass) => privileges(glass.agent.as_str(), "break_glass")
            .severity(4)
            .with("actor", by_user(glass.by.as_str()))
            .with("message", json!(&*glass.reason)),
        other => of_entity(other, record),
    }
}

/// A right that somebody was given.
fn privileges(who: &str, what: &str) -> Event {
    Event::new(USER_ACCESS, 1, "Assign Privileges")
        .with("user", user(who))
        .with("privileges", json!([what]))
}

fn stopped(scope: &KillScope, of_account: (u32, &str), other: &str) -> Event {
    match scope {
        KillScope::Identity(identity) => Event::new(ACCOUNT_CHANGE, of_account.0, of_account.1)
            .with("user", user(identity.as_str())),
        KillScope::Task(task) => entity((OTHER, other), "task", task.as_str()),
        KillScope::Session(session) => entity((OTHER, other), "session", &session_name(session)),
        KillScope::All => entity((OTHER, other), "everything", "all"),
    }
}

const CREATE: (u32, &str) = (1, "Create");
const UPDATE: (u32, &str) = (3, "Update");
const DELETE: (u32, &str) = (4, "Delete");

/// What is kept: rules, tokens, leases, requests.
fn of_entity(body: &Body, record: &Record) -> Event {
    let done = |event: Event, by: &str| event.with("actor", by_user(by));
    match body {
        Body::PoliciesLoaded { digest, .. } => entity(UPDATE, "policies", &digest.to_string()),
        Body::PoliciesRefused { problem, .. } => entity(UPDATE, "policies", "refused")
            .severity(3)
            .with("status_id", json!(2))
            .with("status_detail", json!(problem)),
        Body::CatalogueLoaded { digest, .. } => entity(UPDATE, "catalogue", &digest.to_string()),
        Body::IntentsLoaded { digest, .. } => entity(UPDATE, "intents", &digest.to_string()),
        Body::TrustLoaded { digest, .. } => entity(UPDATE, "trust", &digest.to_string()),
        Body::TokenIssued { token, by } => {
            done(entity(CREATE, "token", token.id.as_str()), by.as_str())
        }
        Body::TokenRevoked { token, by } | Body::TokenWithdrawn { token, by } => {
            done(entity(DELETE, "token", token.as_str()), by.as_str())
        }
        Body::TokenMinted(minted) => {
            let mut event =
                done(entity(CREATE, "token", minted.id.as_str()), minted.client.as_str());
            event.unmapped("task", minted.task.as_str());
            event
        }
        Body::TokenKeysRotated { keys, by } => {
            let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
            done(entity(CREATE, "token_key", &keys.join(", ")), by.as_str())
        }
        Body::TokenKeyDropped { key, reason, by } => {
            done(entity(DELETE, "token_key", key), by.as_str()).with("comment", json!(&**reason))
        }
        Body::SessionBegan { session } => entity(CREATE, "session", &session_name(session)),
        Body::ValuesErased { session, by, .. } => {
            done(entity(DELETE, "values", &session_name(session)), by.as_str())
        }
        Body::TaskEnded { task, state, by, reason } => {
            let event = entity((OTHER, "End"), "task", task.as_str())
                .with("status_detail", json!(state.as_str()))
                .with("comment", json!(&**reason));
            match by {
                Some(by) => done(event, by.as_str()),
                None => event,
            }
        }
        Body::DelegationEnded { delegation, by } => {
            done(entity(DELETE, "delegation", delegation.as_str()), by.as_str())
        }
        Body::LeaseChanged { lease, state, .. } => {
            let activity = match state {
                LeaseState::Issued => CREATE,
                LeaseState::Revoked => DELETE,
                LeaseState::Planned | LeaseState::Revoking | LeaseState::Irrevocable => {
                    (OTHER, state.as_str())
                }
            };
            let severity = if *state == LeaseState::Irrevocable { 4 } else { 1 };
            let mut event = entity(activity, "lease", lease.id.as_str()).severity(severity);
            event.unmapped("task", lease.task.as_str());
            event.unmapped("target", lease.target.as_str());
            event
        }
        Body::AccessRequestChanged(change) => {
            let activity = match &change.event {
                AccessEvent::Requested(_) => CREATE,
                AccessEvent::Expired | AccessEvent::Revoked { .. } => DELETE,
                AccessEvent::Answered(_)
                | AccessEvent::Escalated
                | AccessEvent::Asked { .. }
                | AccessEvent::Spent { .. } => UPDATE,
            };
            let event = entity(activity, "access_request", change.request.as_str())
                .with("status_detail", json!(change.event.as_str()));
            match &change.event {
                AccessEvent::Requested(requested) => done(event, requested.asked_by.as_str()),
                AccessEvent::Answered(answered) => done(event, answered.by.as_str()),
                _ => event,
            }
        }
        Body::GlassMended { glass, .. } => entity(DELETE, "break_glass", glass.as_str()),
        Body::ReviewDue { of, about, .. } => {
            let mut event = entity(CREATE, "review_due", of.as_str());
            event.unmapped("about", about.as_str());
            event
        }
        Body::ReviewDone { of, by, verdict, .. } => {
            let event = entity(DELETE, "review_due", of.as_str());
            done(event.with("status_detail", json!(verdict.as_str())), by.as_str())
        }
        // A kind that is told above, or one to come.
        other => entity((OTHER, other.kind()), other.kind(), record.id.as_str()),
    }
}

fn entity(activity: (u32, &str), kind: &str, uid: &str) -> Event {
    Event::new(ENTITY_MANAGEMENT, activity.0, activity.1)
        .with("entity", json!({ "type": kind, "uid": uid }))
}

fn session_name(session: &SessionKey) -> String {
    format!("{}/{}", session.identity, session.scope.as_str())
}

fn actor(session: &SessionKey) -> Value {
    json!({
        "user": user(session.identity.as_str()),
        "session": { "uid": session_name(session) },
    })
}

fn by_user(id: &str) -> Value {
    json!({ "user": user(id) })
}

fn user(id: &str) -> Value {
    json!({ "uid": id })
}

fn user_of(principal: &EntityRef) -> Value {
    json!({ "uid": principal.id.as_str(), "type": principal.ty.as_str(), "type_id": OTHER })
}
