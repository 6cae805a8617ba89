//! Lowering with the least of a schema held equal to lowering with the whole of it: the same is
//! refused, and the same is found.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::batch::{self, Batch};
use super::lower::{Lowered, lower, lower_batch, lower_least};
use super::mask;
use crate::diagnostic::{Diagnostic, Located};
use crate::load::parse_text;
use crate::schema::Schema;
use crate::{SourceFile, Sources};

const SCHEMA: &str = r#"
    namespace N {
        entity Group in [Group];
        entity User in [Group] { name: String, age: Long };
        entity Bot in [Group] { name: String };
        entity Kind enum ["a", "b"];
        entity Thing { name: String };
        entity Box in [Thing] { name: Long };
        entity Apart;
        type In = { u: String, n?: Long, kind?: Kind };
        type Out = { r: String };
        type Extra = { x: Long, by: User };
        action "all";
        action A in [Action::"all"] appliesTo {
            principal: [User, Bot], resource: [Thing, Box],
            context: { input: In, output?: Out, extra: Extra }
        };
        action B appliesTo {
            principal: [User], resource: [Thing], context: { input: In, extra: { x: String } }
        };
        action C in [Action::"all"] appliesTo {
            principal: [Bot], resource: [Box, Thing], context: { input: { u: Long } }
        };
    }
"#;

/// Right ones and wrong ones, some of which are right in some scopes alone.
fn clause() -> impl Strategy<Value = String> {
    let beside = prop::sample::select(vec![
        "&& principal == N::User::\"x\"",
        "&& resource == N::Box::\"x\"",
        "&& principal == N::Thing::\"x\"",
        "&& principal.name == \"x\"",
        "&& principal.age > 3",
        "&& resource.name == \"x\"",
        "&& context.extra.x > 3",
        "&& context.extra.x == \"3\"",
        "&& context.extra.by == principal",
        "&& context.input.u == \"x\"",
        "&& context.input.n > 1",
        "&& context.risk.score > 50",
        "&& context.task.on_behalf_of == principal",
        "&& context.time.now == \"x\"",
        "&& context . // extra\n extra.x > 3",
    ]);
    let field = prop::sample::select(vec![
        "callerPrincipal: principal",
        "callerResource: resource",
        "callerPrincipal: resource",
        "callerPrincipal: N::Group::\"g\"",
        "callerPrincipal: N::Bot::\"g\"",
        "callerPrincipal: N::Apart::\"g\"",
        "callerPrincipal: N::Nobody::\"g\"",
        "input.u: context.input.u",
        "input.u: context.extra.x",
        "input.kind: N::Kind::\"a\"",
        "input.kind: N::Kind::\"c\"",
        "input.nothing: 1",
        "output.r: \"x\"",
        "decision: \"permit\"",
    ]);
    let action = prop::sample::select(vec!["A", "A", "A", "A", "B", "C", "all", "D"]);
    let kind = prop::sample::select(vec!["request", "request", "response", "error", "other"]);
    let event = (action, kind, prop::option::weighted(0.6, field));
    (event, prop::option::weighted(0.6, beside)).prop_map(|((action, kind, field), beside)| {
        let (field, beside) = (field.unwrap_or_default(), beside.unwrap_or_default());
        format!("formerly within 1h (N::Action::\"{action}\"::{kind}{{ {field} }} {beside})")
    })
}

fn policy() -> impl Strategy<Value = String> {
    let principal = prop::sample::select(vec![
        "principal",
        "principal",
        "principal is N::User",
        "principal is N::Bot",
        "principal == N::Bot::\"b\"",
        "principal in N::Group::\"g\"",
        "principal is N::User in N::Group::\"g\"",
        "principal in N::User::\"u\"",
        "principal is N::Apart",
    ]);
    let action = prop::sample::select(vec![
        "action",
        "action == N::Action::\"A\"",
        "action == N::Action::\"A\"",
        "action == N::Action::\"B\"",
        "action in [N::Action::\"A\", N::Action::\"C\"]",
        "action in [N::Action::\"all\"]",
    ]);
    let resource = prop::sample::select(vec![
        "resource",
        "resource",
        "resource is N::Box",
        "resource in N::Thing::\"t\"",
        "resource == N::Thing::\"t\"",
    ]);
    let beside = prop::sample::select(vec!["", "when { context.extra.x == 3 }"]);
    (principal, action, resource, beside, prop::collection::vec(clause(), 1..3)).prop_map(
        |(principal, action, resource, beside, clauses)| {
            let mut text = format!("permit ({principal}, {action}, {resource}) {beside}");
            text.extend(clauses.iter().map(|clause| format!("\nwhen temporal {{ {clause} }}")));
            text + ";"
        },
    )
}

fn schema() -> &'static Schema {
    static BUILT: LazyLock<Schema> = LazyLock::new(|| {
        let schemas = vec![SourceFile::new("n.cedarschema", SCHEMA)];
        let sources = Sources { schemas, ..Sources::default() };
        Schema::build(&sources, &mut Vec::new()).unwrap()
    });
    &BUILT
}

/// What is found with the whole schema, or what is wrong.
fn by_the_whole(
    located: &Located<'_>,
    masked: &mask::Masked,
    schema: &Schema,
    batches: &[Batch<'_>],
) -> Result<Vec<Option<Lowered>>, Vec<Diagnostic>> {
    let mut found: Vec<Option<Lowered>> = masked.clauses.iter().map(|_| None).collect();
    let mut problems: Vec<Diagnostic> = Vec::new();
    for batch in batches {
        let part = schema.lowering().part(batch.actions.as_ref());
        lower_batch(located, masked, batch, schema, part, &mut found, &mut problems);
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// Whether a set is served, which it is or not by both.
fn compared(texts: &[String], schema: &Schema) -> bool {
    let text = texts.join("\n");
    let file: Arc<str> = "p.cedar".into();
    let located = Located::new(&file, &text);
    let masked = mask::mask(&text).unwrap();
    let templates = parse_text(&located, &masked.text, &mut Vec::new()).unwrap();
    let policies = batch::spoken(&located, &masked, &templates, schema);
    let mut problems = Vec::new();
    let ours = lower(&located, &masked, &templates, schema, &mut problems);
    let batches = batch::batches(&located, &masked, &policies, batch::WHOLE);
    let whole = by_the_whole(&located, &masked, schema, &batches);
    assert_eq!(ours.is_some(), whole.is_ok(), "{text}\n{problems:?}\n{whole:?}");
    let mut found: Vec<Option<Lowered>> = masked.clauses.iter().map(|_| None).collect();
    let least = batch::batches(&located, &masked, &policies, batch::LEAST)
        .iter()
        .all(|batch| lower_least(&located, &masked, batch, schema, &mut found).is_some());
    // Nothing is refused at first that is not at last.
    assert_eq!(least, whole.is_ok(), "{text}");
    if let Some((ours, whole)) = ours.zip(whole.ok()) {
        let whole: Vec<Lowered> = whole.into_iter().map(Option::unwrap).collect();
        assert_eq!(format!("{ours:?}"), format!("{whole:?}"), "{text}");
        return true;
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_least_of_a_schema_says_what_the_whole_does(
        texts in prop::collection::vec(policy(), 1..4),
    ) {
        compared(&texts, schema());
    }
}

#[test]
fn many_are_served_and_many_are_refused() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut served = 0;
    for _ in 0..50 {
        let text = policy().new_tree(&mut runner).unwrap().current();
        served += usize::from(compared(&[text], schema()));
    }
    assert!((5..45).contains(&served), "{served} of 50");
}
