//! Our monitors held equal to Dogwood's interpreter, over random conditions and histories.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dogwood_language::{
    Authorizer, Event as Logged, LoweredPolicySet, PolicySchema, ServiceSchema,
    UNPINNED_EVENT_SCHEMA, Value as Said,
};
use proptest::prelude::*;

use super::corpus::Ours;

pub(super) const SCHEMA: &str = r#"
    namespace N {
        entity User; entity Thing;
        type In = { u: String, n?: Long, l?: Set<String> };
        type Out = { r: String };
        action A, B, C appliesTo {
            principal: [User], resource: [Thing], context: { input: In, output?: Out }
        };
    }
"#;

/// A condition, in which the variables that are listed may be used.
pub(super) fn condition(depth: u32) -> BoxedStrategy<String> {
    let compared = prop_oneof![
        Just("context.input.n > 1".to_owned()),
        Just("context.input.u == \"x\"".to_owned()),
        Just("context.input.n != 2".to_owned()),
        Just("principal == N::User::\"x\"".to_owned()),
    ];
    let leaf = prop_oneof![5 => event(None), 1 => compared.clone()];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = condition(depth - 1);
    let window = window();
    prop_oneof![
        2 => leaf,
        2 => (window, inner.clone()).prop_map(|(w, c)| format!("formerly within {w} ({c})")),
        1 => (self::window(), inner.clone()).prop_map(|(w, c)| format!("previous within {w} ({c})")),
        1 => inner.clone().prop_map(|c| format!("!({c})")),
        2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
        2 => (inner.clone(), self::window(), inner.clone())
            .prop_map(|(a, w, b)| format!("({a}) since within {w} ({b})")),
        1 => (inner.clone(), self::window(), inner.clone())
            .prop_map(|(a, w, b)| format!("!({a}) since within {w} ({b})")),
        2 => (self::window(), event(None), op(), 0..4_i64).prop_map(|(w, e, op, n)| format!(
            "exists (k: Long). ((count for (t: Timepoint). where (formerly within {w} ({e} && tp(t)))) == k && k {op} {n})"
        )),
        1 => (self::window(), event(Some("v")), op(), 0..3_i64).prop_map(|(w, e, op, n)| format!(
            "exists (k: Long). ((count for (v: String). where (formerly within {w} {e})) == k && k {op} {n})"
        )),
        1 => (self::window(), op(), 0..9_i64).prop_map(|(w, op, n)| format!(
            "exists (k: Long). ((sum a for (a: Long), (t: Timepoint). where (formerly within {w} (N::Action::\"A\"::request{{ input.u: context.input.u, input.n: a }} && tp(t)))) == k && k {op} {n})"
        )),
        2 => (event(Some("v")), self::window(), event(Some("v")), self::window()).prop_map(
            |(a, w, b, x)| format!("exists (v: String). (formerly within {w} {a} && formerly within {x} {b})")
        ),
        1 => (event(Some("v")), self::window(), event(Some("v")), self::window()).prop_map(
            |(a, w, b, x)| format!("exists (v: String). (formerly within {w} ({a} && !previous within {x} {b}))")
        ),
        2 => (event(Some("v")), self::window(), event(Some("v")), inner).prop_map(
            |(a, w, b, c)| format!("exists (v: String). (({c} && !{a}) since within {w} {b})")
        ),
    ]
    .boxed()
}

fn window() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["1s", "3s", "10s", "1m"])
}

fn op() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["==", ">", ">=", "<", "<=", "!="])
}

/// An event; one that binds a variable binds it in `input.u`.
fn event(binds: Option<&'static str>) -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec!["A", "B", "C"]);
    let user = match binds {
        Some(variable) => Just(format!("input.u: {variable}")).boxed(),
        None => prop_oneof![
            Just(String::new()),
            Just("input.u: context.input.u".to_owned()),
            Just("input.u: \"x\"".to_owned()),
            Just("callerPrincipal: principal".to_owned()),
            Just("input.n: *".to_owned()),
            Just("input.u: context.input.u, input.n: context.input.n".to_owned()),
            Just("input.l: context.input.l".to_owned()),
        ]
        .boxed(),
    };
    (action, any::<bool>(), user).prop_map(|(action, response, user)| {
        let kind = if response { "response" } else { "request" };
        format!("N::Action::\"{action}\"::{kind}{{ {user} }}")
    })
}

#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) wait: i64,
    pub(super) action: &'static str,
    pub(super) response: bool,
    pub(super) user: &'static str,
    pub(super) amount: Option<i64>,
    pub(super) list: Option<List>,
    pub(super) caller: &'static str,
}

/// Lists that differ by one item, or by their order: short ones, and such as are kept by what
/// stands for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    before: usize,
    last: [&'static str; 2],
}

impl List {
    pub(super) fn items(self) -> impl Iterator<Item = &'static str> {
        std::iter::repeat_n("x", self.before).chain(self.last)
    }
}

fn list() -> impl Strategy<Value = List> {
    let last = prop::sample::select(vec![["x", "y"], ["y", "x"], ["y", "y"]]);
    (prop::sample::select(vec![0, 20]), last).prop_map(|(before, last)| List { before, last })
}

pub(super) fn happened() -> impl Strategy<Value = Happened> {
    let user = || prop::sample::select(vec!["x", "y"]);
    (
        prop::sample::select(vec![1_i64, 1, 2, 4, 30]),
        prop::sample::select(vec!["A", "B", "C"]),
        prop::bool::weighted(0.3),
        user(),
        prop::option::weighted(0.8, 0..4_i64),
        prop::option::weighted(0.8, list()),
        user(),
    )
        .prop_map(|(wait, action, response, user, amount, list, caller)| Happened {
            wait,
            action,
            response,
            user,
            amount,
            list,
            caller,
        })
}

pub(super) fn logged(happened: &Happened, at: i64) -> Logged {
    let kind = if happened.response { "response" } else { "request" };
    let caller = format!("N::User::\"{}\"", happened.caller);
    let mut input = BTreeMap::new();
    input.insert("u".to_owned(), Said::String(happened.user.into()));
    input.extend(happened.amount.map(|n| ("n".to_owned(), Said::Int(n))));
    let text = |item: &str| Said::String(item.to_owned());
    let list = happened.list.map(|list| list.items().map(text).collect());
    input.extend(list.map(|items| ("l".to_owned(), Said::Array(items))));
    let entity = |ty: &str, id: &str| Said::Entity { ty: format!("N::{ty}"), id: id.to_owned() };
    let mut built = Logged::builder_for(&["N", "Action"], happened.action, kind)
        .timestamp(at)
        .logged_field("callerPrincipal", entity("User", happened.caller))
        .logged_field("callerResource", entity("Thing", "t"));
    for (name, value) in input {
        // As history, and as what is asked now.
        built = built.field("input", &name, value.clone());
        if !happened.response {
            built = built.request_context("input", &name, value);
        }
    }
    if !happened.response {
        built = built.principal(&caller).resource("N::Thing::\"t\"");
    }
    built.build()
}

/// What a comparison of the two says; `None` where the condition is not served or not valid.
fn differences(condition: &str, history: &[Happened]) -> Option<Vec<String>> {
    said(condition, history)?
}

/// What a comparison of the two says, where the condition is served, and valid.
fn said(condition: &str, history: &[Happened]) -> Option<Option<Vec<String>>> {
    let service = ServiceSchema::builder().event_schema_str(UNPINNED_EVENT_SCHEMA).build().unwrap();
    let schema = PolicySchema::from_cedarschema_str(SCHEMA).unwrap();
    let policy = format!("permit (principal, action, resource) when temporal {{ {condition} }};");
    let policies = LoweredPolicySet::from_str(&policy, &service, &schema).ok()?;
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let ours = Ours::new(Arc::clone(&log));
    let mut authorizer = Authorizer::builder(policies).temporal_engine(ours).build().unwrap();
    let mut at = 1000;
    let mut answered = false;
    for happened in history {
        at += happened.wait;
        if let Some(response) = authorizer.is_authorized(&logged(happened, at)) {
            // Anything else that is not answered stands in the log, and is a difference.
            let refused = response.diagnostics().errors().any(|e| e.contains("has no bound"));
            if refused {
                return Some(None);
            }
            answered = true;
        }
    }
    let log = log.lock().unwrap().clone();
    answered.then_some(Some(log))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        max_global_rejects: 100_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_answer_is_the_interpreters(
        condition in condition(3),
        history in prop::collection::vec(happened(), 1..24),
    ) {
        let different = differences(&condition, &history);
        prop_assume!(different.is_some());
        prop_assert_eq!(different.unwrap(), Vec::<String>::new());
    }
}

/// Lists of any length, one item apart or in another order.
#[test]
fn lists_are_told_apart_as_the_interpreter_does() {
    const CONDITION: &str =
        r#"formerly within 1m N::Action::"A"::response{ input.l: context.input.l }"#;
    let lasts = [["x", "y"], ["y", "x"], ["y", "y"]];
    let lists = [0, 20].into_iter().flat_map(|before| lasts.map(|last| List { before, last }));
    for (one, other) in lists.clone().flat_map(|one| lists.clone().map(move |other| (one, other))) {
        let happened = |response, list| Happened {
            wait: 1,
            action: "A",
            response,
            user: "x",
            amount: None,
            list: Some(list),
            caller: "x",
        };
        let history = [happened(true, one), happened(false, other)];
        assert_eq!(differences(CONDITION, &history), Some(Vec::new()), "{one:?} {other:?}");
    }
}

/// The property says something: most conditions are served, and answers differ.
#[test]
fn most_conditions_are_served() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut valid, mut served) = (0, 0);
    for _ in 0..300 {
        let condition = condition(3).new_tree(&mut runner).unwrap().current();
        let history =
            prop::collection::vec(happened(), 12).new_tree(&mut runner).unwrap().current();
        let Some(said) = said(&condition, &history) else { continue };
        valid += 1;
        served += usize::from(said.is_some());
    }
    assert!(valid > 150 && served * 10 > valid * 8, "{served} of {valid}");
}
