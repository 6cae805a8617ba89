//! Scope only narrows: what a child may do its parent may do, over random authorities and calls.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use safeconduct_credential::{Wider, mandate_of, mandate_value, narrows};
use safeconduct_engine::allows;
use safeconduct_model::*;
use safeconduct_session::{Charge, Session, Step, Used};

fn action(n: u8) -> ActionName {
    ActionName::new(format!("a.{n}")).unwrap()
}

/// Few values, so that constraints and calls often meet.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..6_i64).prop_map(Value::Integer),
        prop::sample::select(vec!["1.5", "2e0", "-1"])
            .prop_map(|n| Value::Number(Number::parse(n).unwrap())),
        prop::sample::select(vec![
            "a",
            "a/b",
            "a/b/c",
            "a/bc",
            "a/../b",
            "x@b.example",
            "x@c.b.example",
            "x@evil",
            "https://b.example/x",
            "",
        ])
        .prop_map(Value::from),
    ]
}

fn constraint() -> impl Strategy<Value = Constraint<Value>> {
    prop_oneof![
        scalar().prop_map(Constraint::Equals),
        prop::collection::vec(scalar(), 0..3).prop_map(Constraint::OneOf),
        scalar().prop_map(Constraint::AtMost),
        scalar().prop_map(Constraint::AtLeast),
        prop::sample::select(vec!["a", "a/b", "a/", "b"])
            .prop_map(|folder| Constraint::Under(Value::from(folder))),
        prop::sample::select(vec!["b.example", "c.b.example", "evil"])
            .prop_map(|domain| Constraint::Domain(Value::from(domain))),
        (0..8_u64).prop_map(Constraint::LongestBytes),
    ]
}

fn rule() -> impl Strategy<Value = ArgumentRule<Value>> {
    let pointers = vec!["/p", "/q", "/l/*", "/l/*/to", "/l/*/to/*", "/o/to", "/l/0"];
    (prop::sample::select(pointers), constraint(), any::<bool>()).prop_map(
        |(pointer, constraint, optional)| ArgumentRule {
            pointer: pointer.into(),
            constraint,
            absent: if optional { Absent::Allowed } else { Absent::Refused },
        },
    )
}

fn resource() -> impl Strategy<Value = ResourceRule<Value>> {
    (prop::sample::select(vec!["T", "U"]), prop::option::of(constraint()))
        .prop_map(|(ty, id)| ResourceRule { ty: EntityType::new(ty).unwrap(), id })
}

fn allowance() -> impl Strategy<Value = Allowance<Value>> {
    (
        0..2_u8,
        prop::collection::vec(resource(), 0..3),
        prop::collection::vec(rule(), 0..3),
        any::<bool>(),
    )
        .prop_map(|(n, resources, arguments, others)| Allowance {
            action: action(n),
            resources,
            arguments,
            others: if others { OtherArguments::Allowed } else { OtherArguments::Refused },
        })
}

fn budget() -> impl Strategy<Value = Budget> {
    (0..4_u64, prop::option::of(0..4_u64), prop::option::of(0..4_u64), prop::option::of(0..4_u64))
        .prop_map(|(calls, of, resources, bytes_out)| Budget {
            calls,
            calls_of: of.map(|n| (action(0), n)).into_iter().collect(),
            spend: None,
            distinct_resources: resources,
            bytes_out,
        })
}

fn authority() -> impl Strategy<Value = Authority> {
    let allowances = prop::collection::vec(allowance(), 1..4);
    (allowances, budget(), 0..3_i64, 0..4_u8, prop::sample::select(Tier::ALL.to_vec())).prop_map(
        |(allowances, budget, deadline, depth_left, tier_max)| Authority {
            allowances,
            budget,
            tier_max,
            deadline: Timestamp::from_millis(deadline),
            depth_left,
            credentials: BTreeMap::new(),
        },
    )
}

/// A child made of the parent by dropping and adding, so that narrower ones are not too rare.
fn pair() -> impl Strategy<Value = (Authority, Authority)> {
    (authority(), authority(), any::<[bool; 4]>(), rule()).prop_map(
        |(parent, other, keep, more)| {
            let mut child = Authority {
                deadline: parent.deadline,
                depth_left: parent.depth_left.saturating_sub(1),
                tier_max: parent.tier_max,
                budget: parent.budget.clone(),
                ..other
            };
            if keep[0] {
                child.allowances = parent.allowances.clone();
            }
            if keep[1] {
                child.allowances.iter_mut().for_each(|a| a.arguments.push(more.clone()));
            }
            if keep[2] {
                child.allowances.truncate(1);
            }
            if keep[3] {
                child.allowances.iter_mut().for_each(|a| a.others = OtherArguments::Refused);
            }
            (parent, child)
        },
    )
}

/// What stands where a rule reaches: scalars, lists, objects with and without the member, one
/// form where another is due, in each other.
fn shape() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => scalar(), 1 => Just(Value::Null)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            inner.prop_map(|to| Value::object([("to", to)])),
            Just(Value::object::<&str>([])),
        ]
    })
}

fn call() -> impl Strategy<Value = (ActionName, Vec<Entity>, Value)> {
    let list = prop_oneof![
        3 => prop::collection::vec(prop_oneof![scalar().boxed(), shape().boxed()], 0..3)
            .prop_map(Value::Array),
        1 => shape(),
    ];
    let value = || prop::option::of(prop_oneof![3 => scalar(), 1 => Just(Value::Null)]);
    let (list, inner) = (prop::option::of(list), prop::option::of(shape()));
    let members = (value(), value(), list, inner, prop::option::of(scalar()));
    let input = members.prop_map(|(p, q, l, o, z)| {
        let members = [("p", p), ("q", q), ("l", l), ("o", o), ("z", z)];
        Value::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    });
    let entity = (prop::sample::select(vec!["T", "U"]), prop::sample::select(vec!["a", "a/b"]));
    let entity = entity.prop_map(|(ty, id)| Entity::bare(EntityRef::new(ty, id).unwrap()));
    (0..3_u8, prop::collection::vec(entity, 0..3), input)
        .prop_map(|(n, resources, input)| (action(n), resources, input))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_a_child_allows_its_parent_allows(
        (parent, child) in pair(),
        calls in prop::collection::vec(call(), 40),
    ) {
        if narrows(&child, &parent, &Used::default()).is_err() {
            return Ok(());
        }
        prop_assert!(child.deadline <= parent.deadline && child.depth_left < parent.depth_left);
        prop_assert!(child.tier_max <= parent.tier_max);
        for (action, resources, input) in calls {
            prop_assert!(
                !allows(&child, &action, &resources, &input)
                    || allows(&parent, &action, &resources, &input),
                "{action} {resources:?} {input:?}\n{child:?}\n{parent:?}"
            );
        }
    }

    /// What a rule lets pass holds of every place that it is about, whatever the shape: it is
    /// read here by walking the value, not by following the pointer.
    #[test]
    fn no_shape_gets_around_a_rule(value in shape(), constraint in constraint()) {
        fn under(value: &Value, tokens: &[&str], constraint: &Constraint<Value>) -> bool {
            match (tokens, value) {
                ([], value) => constraint.admits(value),
                (["*", rest @ ..], Value::Array(items)) => {
                    items.iter().all(|item| under(item, rest, constraint)) && !items.is_empty()
                }
                ([name, rest @ ..], Value::Object(members)) if *name != "*" => {
                    members.get(*name).is_some_and(|member| under(member, rest, constraint))
                }
                _ => false,
            }
        }
        for tokens in [&["l", "*", "to"][..], &["l", "*", "to", "*"], &["l", "to"], &["l", "*"]] {
            let rule = ArgumentRule {
                pointer: format!("/{}", tokens.join("/")).into(),
                constraint: constraint.clone(),
                absent: Absent::Refused,
            };
            let input = Value::object([("l", value.clone())]);
            prop_assert_eq!(rule.admits(&input), under(&input, tokens, &constraint), "{:?}", rule);
        }
    }

    /// However a budget is handed down, what all have together is what the first one had.
    #[test]
    fn budgets_add_up_along_a_chain(first in authority(), asked in prop::collection::vec(budget(), 1..6)) {
        let mut parent = Authority { depth_left: 3, ..first };
        parent.budget.calls += 3;
        // One call of one byte has been made already.
        parent.budget.bytes_out = parent.budget.bytes_out.map(|most| most + 1);
        let mut session = Session::of_task();
        let step = Step {
            decision: Decision::Permit,
            action: action(0),
            resources: vec![1],
            charge: Some(Charge { spend: Amount(0), bytes_out: 1 }),
            at: Timestamp::from_millis(0),
        };
        session.apply(&step);
        let (mut calls, mut bytes) = (1_u64, 1_u64);
        for budget in asked {
            let child = Authority { budget: budget.clone(), depth_left: 2, ..parent.clone() };
            if narrows(&child, &parent, session.used().unwrap()).is_ok() {
                calls += budget.calls;
                bytes += budget.bytes_out.unwrap_or(0);
                session.give(&budget);
                prop_assert!(calls <= parent.budget.calls);
                prop_assert!(parent.budget.bytes_out.is_none_or(|most| bytes <= most));
            }
        }
        prop_assert_eq!(session.used().unwrap().calls(), calls);
    }

    #[test]
    fn a_mandate_is_read_as_it_was_written(authority in authority(), case in scalar()) {
        let parameters = BTreeMap::from([("case".into(), case)]);
        let mandate = Mandate { parameters, authority };
        let bytes = safeconduct_ledger::canonical(&mandate_value(&mandate));
        let value = safeconduct_wire::json::parse(&bytes).unwrap();
        let again = mandate_of(&value).unwrap();
        // Canonical JSON has one form of a number, so the bytes are compared, not the texts.
        prop_assert_eq!(safeconduct_ledger::canonical(&mandate_value(&again)), bytes);
    }
}

#[test]
fn a_constraint_that_cannot_be_compared_is_wider() {
    let with = |constraint| Authority {
        allowances: vec![Allowance {
            action: action(0),
            resources: Vec::new(),
            arguments: vec![ArgumentRule {
                pointer: "/p".into(),
                constraint,
                absent: Absent::Refused,
            }],
            others: OtherArguments::Allowed,
        }],
        budget: Budget {
            calls: 1,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        },
        tier_max: Tier::Low,
        deadline: Timestamp::from_millis(0),
        depth_left: 1,
        credentials: BTreeMap::new(),
    };
    let child = Authority { depth_left: 0, ..with(Constraint::LongestBytes(3)) };
    let parent = with(Constraint::Under(Value::from("a")));
    let wider = narrows(&child, &parent, &Used::default());
    assert!(matches!(wider, Err(Wider::Allowance { .. })), "{wider:?}");
}
