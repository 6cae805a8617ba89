//! What the read model keeps of a record. Nearly all records are decisions: of those it reads
//! only what it keeps. Whether a leaf is a record to the byte is for `log verify` to say.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_ledger::{DecodeError, RECORD_VERSION, decode};
use safeconduct_model::{
    ActionName, Amount, AskedOf, Body, Decision, EntityRef, IntentName, Mode, Record, RecordId,
    SessionKey, Timestamp,
};
use safeconduct_review::{TaskKind, UsedDecision, UsersPart, fingerprint_of};
use serde::Deserialize;

use super::uses::Told;

/// One row of the table of records, and the policies that were reasons of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) id: Cow<'a, str>,
    /// Milliseconds since the epoch.
    pub(super) at: i64,
    pub(super) kind: Cow<'a, str>,
    pub(super) parent: Option<Cow<'a, str>>,
    pub(super) identity: Option<Cow<'a, str>>,
    pub(super) token: Option<Cow<'a, str>>,
    pub(super) action: Option<Cow<'a, str>>,
    pub(super) decision: Option<&'static str>,
    pub(super) policies: Vec<Cow<'a, str>>,
    /// What it says of the use of rights.
    pub(super) told: Option<Told>,
}

impl<'a> Row<'a> {
    /// The row of a leaf.
    ///
    /// # Errors
    /// [`DecodeError`] where it is no record.
    pub(super) fn of(leaf: &'a [u8]) -> Result<Self, DecodeError> {
        match Self::of_decision(leaf) {
            Some(row) => Ok(row),
            None => Ok(Self::of_record(&decode(leaf)?)),
        }
    }

    /// The row of a decision; `None` where it is another kind of record, or none.
    fn of_decision(leaf: &'a [u8]) -> Option<Self> {
        let leaf: Leaf<'a> = serde_json::from_str(std::str::from_utf8(leaf).ok()?).ok()?;
        if leaf.kind.0 != KIND || leaf.v != RECORD_VERSION {
            return None;
        }
        let Leaf { at, body, id, kind, parent, .. } = leaf;
        let at = Timestamp::parse(&at.0)?;
        let of = |entity: &Entity<'_>| EntityRef::new(&*entity.ty.0, &*entity.id.0).ok();
        let resources = body.resources.iter().map(of).collect::<Option<_>>()?;
        let told = Some(Told::Decided(Box::new(used(&id.0, at, &body)?), resources));
        let Session { identity, task, token } = body.session;
        let decisions = [Decision::Permit, Decision::Deny].map(Decision::as_str);
        let policies = body.reasons.into_iter().filter_map(|reason| reason.policy);
        Some(Self {
            id: id.0,
            at: at.as_millis(),
            kind: kind.0,
            parent: parent.map(|parent| parent.0),
            identity: Some(identity.0),
            token: Some(task.or(token)?.0),
            action: Some(body.action.0),
            decision: Some(decisions.into_iter().find(|word| *word == body.decision.0)?),
            policies: policies.map(|policy| policy.id.0).collect(),
            told,
        })
    }

    fn of_record(record: &Record) -> Self {
        let owned = |text: &str| Cow::Owned(text.to_owned());
        let session = session(&record.body);
        let (mut action, mut decision, mut parent) = (None, None, record.parent.as_ref());
        let mut policies = Vec::new();
        let mut told = None;
        match &record.body {
            Body::Decided(decided) => {
                action = Some(&decided.action);
                decision = Some(decided.decision.as_str());
                let reasons = decided.reasons.iter().filter_map(|reason| reason.policy.as_ref());
                policies.extend(reasons.map(|policy| owned(policy.id.as_str())));
                let used = UsedDecision::of(record.id.clone(), record.at, decided);
                told = Some(Told::Decided(Box::new(used), decided.resources.clone()));
            }
            Body::Executed(executed) => {
                parent = Some(&executed.decision);
                told = Some(Told::Executed(executed.decision.clone(), executed.execution));
            }
            Body::DefinitionSeen { action: seen, .. } => action = Some(seen),
            _ => {}
        }
        Self {
            id: owned(record.id.as_str()),
            at: record.at.as_millis(),
            kind: owned(record.body.kind()),
            parent: parent.map(|parent| owned(parent.as_str())),
            identity: session.map(|session| owned(session.identity.as_str())),
            token: session.map(|session| owned(session.scope.as_str())),
            action: action.map(|action| owned(action.as_str())),
            decision,
            policies,
            told,
        }
    }
}

/// What use is made of a decision; `None` where it says something that this does not know.
fn used(id: &str, at: Timestamp, body: &Decided<'_>) -> Option<UsedDecision> {
    let decisions = [Decision::Permit, Decision::Deny];
    let modes = [Mode::Enforce, Mode::Observe];
    let task = body.task.as_ref();
    let principal = EntityRef::new(&*body.principal.ty.0, &*body.principal.id.0).ok()?;
    let user = task.and_then(|task| task.on_behalf_of.as_ref());
    let print = |entity: &Entity<'_>| fingerprint_of(&entity.ty.0, &entity.id.0);
    let mut used = UsedDecision {
        id: RecordId::new(id).ok()?,
        at,
        user: user.and_then(|user| UsersPart::of(&principal, &user.0)),
        principal,
        action: ActionName::new(&*body.action.0).ok()?,
        policies: BTreeSet::new(),
        intent: task.map(|task| IntentName::new(&*task.intent.0)).transpose().ok()?,
        task: TaskKind::of(task.map(|task| (task.actors.len(), task.on_behalf_of.is_some()))),
        decision: decisions.into_iter().find(|word| word.as_str() == body.decision.0)?,
        mode: modes.into_iter().find(|word| word.as_str() == body.mode.0)?,
        approved: body.approval.is_some(),
        resources: body.resources.iter().map(print).collect(),
        spend: task.map(|task| Amount(task.spend)),
        bytes_out: task.map_or(0, |task| task.bytes_out),
    };
    for reason in &body.reasons {
        let of = match &reason.of {
            Some(word) => Some(AskedOf::parse(&word.0)?),
            None => None,
        };
        let Some(policy) = &reason.policy else { continue };
        used.rests_on(Arc::from(&*policy.id.0), of);
    }
    Some(used)
}

/// The kind of record of which most are.
pub(super) const KIND: &str = "decision";

/// The session that a record belongs to.
fn session(body: &Body) -> Option<&SessionKey> {
    match body {
        Body::SessionBegan { session } | Body::ValuesErased { session, .. } => Some(session),
        Body::Decided(decided) => Some(&decided.session),
        Body::Executed(executed) => Some(&executed.session),
        Body::SessionRead(read) => Some(&read.session),
        _ => None,
    }
}

/// A text, borrowed where it holds no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Leaf<'a> {
    #[serde(borrow)]
    at: Text<'a>,
    body: Decided<'a>,
    id: Text<'a>,
    kind: Text<'a>,
    parent: Option<Text<'a>>,
    v: u64,
}

#[derive(Deserialize)]
struct Decided<'a> {
    #[serde(borrow)]
    action: Text<'a>,
    approval: Option<Text<'a>>,
    decision: Text<'a>,
    mode: Text<'a>,
    principal: Entity<'a>,
    #[serde(default)]
    reasons: Vec<Reason<'a>>,
    #[serde(default)]
    resources: Vec<Entity<'a>>,
    session: Session<'a>,
    task: Option<Task<'a>>,
}

#[derive(Deserialize)]
struct Entity<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(rename = "type")]
    ty: Text<'a>,
}

#[derive(Deserialize)]
struct Task<'a> {
    #[serde(borrow, default)]
    actors: Vec<Text<'a>>,
    bytes_out: u64,
    intent: Text<'a>,
    on_behalf_of: Option<Text<'a>>,
    spend: u64,
}

#[derive(Deserialize)]
struct Reason<'a> {
    #[serde(borrow)]
    of: Option<Text<'a>>,
    policy: Option<Policy<'a>>,
}

#[derive(Deserialize)]
struct Policy<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

#[derive(Deserialize)]
struct Session<'a> {
    #[serde(borrow)]
    identity: Text<'a>,
    task: Option<Text<'a>>,
    token: Option<Text<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_model::{RecordId, TaskId};

    #[test]
    fn a_decision_is_read_as_its_record_is() {
        for n in 0..20 {
            let mut record = crate::tests::decision(n);
            record.parent = (n % 3 == 0).then(|| RecordId::new("dec \"0\"").unwrap());
            if let Body::Decided(decided) = &mut record.body
                && n % 4 == 0
            {
                let agent = decided.session.identity.clone();
                decided.session = SessionKey::task(agent, TaskId::new("task_é").unwrap());
                decided.reasons.clear();
            }
            for record in [record, crate::tests::decision_for_a_user(n)] {
                let leaf = safeconduct_ledger::encode(&record).unwrap();
                assert_eq!(Row::of_decision(&leaf), Some(Row::of_record(&record)));
            }
        }
    }

    #[test]
    fn another_record_is_no_decision() {
        let leaf = safeconduct_ledger::encode(&crate::tests::record(1)).unwrap();
        assert_eq!(Row::of_decision(&leaf), None);
        assert_eq!(Row::of(&leaf).unwrap().kind, "server_started");
        assert!(Row::of(b"{}").is_err());
        assert!(Row::of(b"\xff").is_err());
    }
}
