//! One request, its people, and a digest that tells arguments apart.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;

use safeconduct_approval::*;
use safeconduct_model::*;

pub(crate) const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

pub(crate) fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

pub(crate) fn record(text: &str) -> RecordId {
    RecordId::new(text).unwrap()
}

pub(crate) fn after(ms: i64) -> Timestamp {
    START.plus_ms(ms)
}

/// FNV-1a over what is printed: no digest to trust, but one that tells values apart.
pub(crate) fn digest(value: &Value) -> KeyedDigest {
    let mut bytes = [0; 32];
    for (lane, slot) in bytes.chunks_exact_mut(8).enumerate() {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = format!("{lane}{value:?}").bytes().fold(0xcbf2_9ce4_8422_2325, fold);
        slot.copy_from_slice(&hash.to_be_bytes());
    }
    KeyedDigest::from_bytes(bytes)
}

pub(crate) fn payment(amount: i64) -> Value {
    Value::object([("to", Value::from("acme")), ("amount", Value::Integer(amount))])
}

pub(crate) fn binding(input: &Value) -> Binding {
    Binding {
        principal: EntityRef::new("Safeconduct::Agent", "agent").unwrap(),
        actors: vec![id("agent"), id("parent-agent")],
        on_behalf_of: Some(id("uma")),
        task: Some(TaskId::new("task_1").unwrap()),
        intent: Some(IntentName::new("pay_invoice").unwrap()),
        action: ActionName::new("bank.pay").unwrap(),
        resources: BTreeSet::from([EntityRef::new("Account", "4711").unwrap()]),
        arguments: digest(input),
    }
}

pub(crate) fn terms(approvers: &str, quorum: u32) -> Terms {
    Terms::read(&Requestable { approvers: approvers.into(), quorum, ttl_s: 900 }).unwrap()
}

/// Waits for an hour.
pub(crate) fn opened(terms: Terms, input: &Value) -> Opened {
    Opened {
        id: record("req_1"),
        at: START,
        binding: binding(input),
        asked_by: id("agent"),
        interested: BTreeSet::from([id("starter")]),
        terms,
        likeness: digest(input),
        answer_by: after(3_600_000),
        ends_at: None,
        asked: ["ada", "bob", "cy"].map(id).into(),
    }
}

pub(crate) fn request(approvers: &str, quorum: u32, input: &Value) -> AccessRequest {
    let opening = AccessRequest::open(opened(terms(approvers, quorum), input)).unwrap();
    AccessRequest::begin(&opening).unwrap()
}

/// A lead, fully proved.
pub(crate) fn lead(name: &str) -> Answerer {
    Answerer::in_person(member(name, "leads"), Assurance::High)
}

pub(crate) fn member(name: &str, group: &str) -> Person {
    Person { identity: id(name), groups: BTreeSet::from([group.to_owned()]) }
}

pub(crate) fn attempt<'a>(binding: &'a Binding, input: &'a Value) -> Attempt<'a> {
    Attempt { binding, input, asserted: None, digest: &digest }
}

/// An allowance of payments from that account to that payee, from 0 up to an amount.
pub(crate) fn bounds(most: i64) -> Allowance<Value> {
    let rule = |pointer: &str, constraint| ArgumentRule {
        pointer: pointer.into(),
        constraint,
        absent: Absent::Refused,
    };
    Allowance {
        action: ActionName::new("bank.pay").unwrap(),
        resources: vec![ResourceRule {
            ty: EntityType::new("Account").unwrap(),
            id: Some(Constraint::Equals(Value::from("4711"))),
        }],
        arguments: vec![
            rule("/to", Constraint::Equals(Value::from("acme"))),
            rule("/amount", Constraint::AtMost(Value::Integer(most))),
            rule("/amount", Constraint::AtLeast(Value::Integer(0))),
        ],
        others: OtherArguments::Refused,
    }
}
