//! What holds for all edits and all histories.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use proptest::prelude::*;
use safeconduct_approval::*;
use safeconduct_model::*;
use support::*;

fn amount() -> impl Strategy<Value = Value> {
    let number = |text: String| Value::Number(Number::parse(&text).unwrap());
    prop_oneof![
        (-20_i64..300).prop_map(Value::Integer),
        (-20_i64..300, 0..100_u8).prop_map(move |(a, b)| number(format!("{a}.{b}"))),
        (0..30_i64, -2..2_i8).prop_map(move |(a, e)| number(format!("{a}e{e}"))),
        Just(Value::Null),
        Just(Value::from("100")),
    ]
}

fn constraint() -> impl Strategy<Value = Constraint<Value>> {
    prop_oneof![
        amount().prop_map(Constraint::AtMost),
        amount().prop_map(Constraint::AtLeast),
        amount().prop_map(Constraint::Equals),
        prop::collection::vec(amount(), 0..3).prop_map(Constraint::OneOf),
        Just(Constraint::LongestBytes(9)),
    ]
}

fn paying(to: &str, amount: Value) -> Value {
    Value::object([("to", Value::from(to)), ("amount", amount)])
}

/// From 0 up to what was asked.
fn reach(asked: &Value, tried: &Value) -> bool {
    Constraint::AtLeast(Value::Integer(0)).admits(tried)
        && Constraint::AtMost(asked.clone()).admits(tried)
}

/// Any history: steps by number, each at some time.
fn histories() -> impl Strategy<Value = Vec<(u8, i64)>> {
    prop::collection::vec((0..8_u8, 0..5_000_000_i64), 0..24)
}

fn step(request: &AccessRequest, step: u8, at: Timestamp) -> Option<Change> {
    let asked = payment(250);
    let (bound, facts) = (binding(&asked), Holders::default());
    let shown = attempt(&bound, &asked);
    let scope = || Scope::Task { bounds: bounds(250), uses: 3 };
    match step {
        0 => request.approve(&lead("ada"), &facts, scope(), &shown, at).ok(),
        1 => request.approve(&lead("bob"), &facts, scope(), &shown, at).ok(),
        2 => request.approve(&lead("cy"), &facts, Scope::Once, &shown, at).ok(),
        3 => request.refuse(&lead("bob"), &facts, "no".into(), at).ok(),
        4 => request.due(at),
        5 | 6 => request.spend(&shown, record("dec"), at).ok(),
        _ => request.revoke(Some(id("ada")), "mistake".into(), at).ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_edit_only_narrows(
        asked in amount(),
        constraint in constraint(),
        tried in amount(),
        other_payee in any::<bool>(),
    ) {
        let input = paying("acme", asked.clone());
        let request = request("group:leads", 1, &input);
        let bound = binding(&input);
        let shown = attempt(&bound, &input);
        let edit = Lowering { pointer: "/amount".into(), constraint: constraint.clone() };
        let Ok(scope) = edited(&request, &shown, &[edit]) else {
            // What cannot be narrower is refused; never the other way round.
            let plain = Constraint::AtMost(asked.clone()) == constraint;
            prop_assert!(!plain || !reach(&asked, &asked));
            return Ok(());
        };
        let again = paying(if other_payee { "evil" } else { "acme" }, tried.clone());
        let bound_again = binding(&again);
        let admitted = scope.admits(&bound, &attempt(&bound_again, &again)).is_ok();
        let wanted = !other_payee && constraint.admits(&tried) && reach(&asked, &tried);
        prop_assert_eq!(admitted, wanted);
    }

    #[test]
    fn equal_folds_are_equal_states_and_time_never_runs_back(history in histories()) {
        let opened = opened(terms("group:leads", 2), &payment(250));
        let mut changes = vec![AccessRequest::open(opened).unwrap()];
        let mut request = AccessRequest::begin(&changes[0]).unwrap();
        for (number, ms) in history {
            if let Some(change) = step(&request, number, after(ms)) {
                request.apply(&change).unwrap();
                changes.push(change);
            }
        }
        prop_assert_eq!(AccessRequest::fold(&changes), Ok(request.clone()));
        prop_assert!(changes.is_sorted_by_key(|change| change.at));
        // Nothing fits in twice, and nothing can be left out in the middle.
        for change in &changes {
            prop_assert!(request.clone().apply(change).is_err());
        }
        for gap in 0..changes.len().saturating_sub(1) {
            let mut fewer = changes.clone();
            fewer.remove(gap);
            prop_assert!(AccessRequest::fold(&fewer).is_err());
        }
    }
}
