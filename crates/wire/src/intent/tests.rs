use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use safeconduct_model::{
    Absent, ActionName, Amount, Catalogue, Constraint, DISTINCT_RESOURCES_MAX, EntityType, Intent,
    IntentName, OnBehalfOf, OtherArguments, ParameterType, Piece, TargetName, Term, Tier,
    Timestamp, Value,
};

use super::*;
use crate::{catalogue, json};

const FULL: &str = r#"# yaml-language-server: $schema=x
intent: summarise_customer_case
version: 2
description: Read one customer case and write a summary to it.
parameters:
  case: { type: identifier, description: "The case's id." }
  tenant: { type: integer, min: 1, max: 99 }
  most: { type: number, default: 12.50 }
  note: { type: text, bytes_max: 64, default: "" }
  kind: { type: one_of, choices: [a, b], default: a }
  sure: { type: boolean, default: false }
undertaken_by: { groups: [support-agents], identities: [nightly], kinds: [workload] }
on_behalf_of: optional
longest: 2h
idle: 90s
budget:
  calls: 20
  calls_of: { crm.records: 10 }
  distinct_resources: 5
  bytes_out: 65536
  spend: { limit: "100.00", amounts: { pay.transfer: /amount } }
tier_max: moderate
delegation_depth: 1
credentials: { crm-db: [read_case, write_summary] }
envelope:
  - action: crm.records
    resources:
      - { type: Case, id: { equals: "${case}" } }
      - { type: Customer }
      - { type: Path, id: { under: "/t/${tenant}/${case}" } }
      - { type: Case, id: { equals: "${tenant}" } }
    arguments:
      /operation: { one_of: [read_case, "$${x}"] }
      /case: { equals: "${case}" }
      /note: { equals: "${note}" }
      /kind: { one_of: ["${kind}", c] }
      /sure: { equals: "${sure}" }
      /summary: { longest_bytes: 8192, optional: true }
      /to/*: { domain: "${case}.example.org" }
    other_arguments: allowed
  - action: pay.transfer
    arguments:
      /amount: { at_least: 0.01, at_most: "${most}" }
      /folder: { under: / }
"#;

const CATALOGUE: &str = "server: crm
actions:
  records:
    tier: moderate
    effect: write
    resources: [ { argument: /case, type: Case } ]
";

fn problems(text: &str) -> Vec<String> {
    match parse("i.yaml", text) {
        Ok(file) => panic!("{file:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// A small intent with other text in places.
fn with(changes: &[(&str, &str)]) -> String {
    let mut text = "\
intent: a
version: 1
description: A.
parameters: { case: { type: identifier }, name: { type: text } }
undertaken_by: { groups: [g] }
on_behalf_of: never
longest: 10m
budget: { calls: 5 }
tier_max: low
envelope:
  - action: crm.records
    arguments:
      /case: { equals: \"${case}\" }
      /name: { equals: \"${name}\" }
"
    .to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

fn known() -> Catalogue {
    catalogue::merge(vec![catalogue::parse("crm.yaml", CATALOGUE).unwrap()]).unwrap()
}

fn resolve(name: &str) -> Option<EntityType> {
    ["Case", "Customer"].contains(&name).then(|| EntityType::new(name).unwrap())
}

fn nowhere<'a>(_: &ActionName) -> Option<&'a Value> {
    None
}

fn grants<'a>(target: &TargetName) -> Option<Vec<&'a str>> {
    (target.as_str() == "crm-db").then(|| vec!["read_case", "write_summary"])
}

fn ground(catalogue: &Catalogue) -> Ground<'_> {
    Ground { catalogue, resolve: &resolve, definition: &nowhere, grants: &grants }
}

#[test]
fn a_full_file_is_read() {
    let file = parse("i.yaml", FULL).unwrap();
    let intent = &file.intent;
    assert_eq!((intent.name.as_str(), intent.version), ("summarise_customer_case", 2));
    assert_eq!((intent.longest_s, intent.idle_s, intent.delegation_depth), (7200, 90, 1));
    assert_eq!((intent.on_behalf_of, intent.tier_max), (OnBehalfOf::Optional, Tier::Moderate));
    assert_eq!(intent.parameters["tenant"].ty, ParameterType::Integer { min: 1, max: 99 });
    assert_eq!(intent.parameters["note"].ty, ParameterType::Text { bytes_max: 64 });
    let most = intent.parameters["most"].default.as_ref().unwrap();
    assert_eq!(json::to_text(most), "12.50");
    assert_eq!(intent.budget.calls_of[&ActionName::new("crm.records").unwrap()], 10);
    assert_eq!(intent.budget.spend.as_ref().unwrap().limit, Amount(1_000_000));
    let [records, transfer] = intent.envelope.as_slice() else { panic!() };
    let case = || Term::Parameter(Arc::from("case"));
    assert_eq!(records.resources[0].id, Some(Constraint::Equals(case())));
    assert_eq!(records.resources[1].id, None);
    let piece = |name: &str| Piece::Parameter(name.into());
    let under = vec![
        Piece::Literal("/t/".into()),
        piece("tenant"),
        Piece::Literal("/".into()),
        piece("case"),
    ];
    assert_eq!(records.resources[2].id, Some(Constraint::Under(Term::Text(under))));
    // An id is a text, so a lone integer stands for its text.
    let text = Term::Text(vec![piece("tenant")]);
    assert_eq!(records.resources[3].id, Some(Constraint::Equals(text)));
    let rule = |pointer: &str| {
        records.arguments.iter().find(|rule| &*rule.pointer == pointer).unwrap().clone()
    };
    let literal = |text: &str| Term::Literal(Value::from(text));
    let operations = vec![literal("read_case"), literal("${x}")];
    assert_eq!(rule("/operation").constraint, Constraint::OneOf(operations));
    assert_eq!(rule("/case").absent, Absent::Refused);
    assert_eq!(rule("/summary").absent, Absent::Allowed);
    assert_eq!(records.others, OtherArguments::Allowed);
    assert_eq!(transfer.others, OtherArguments::Refused);
    let words: Vec<_> = transfer.arguments.iter().map(|rule| rule.constraint.as_str()).collect();
    assert_eq!(words, ["at_most", "at_least", "under"]);
    assert!(file.warnings.is_empty(), "{:?}", file.warnings);
}

#[test]
fn an_authority_is_made_of_what_is_read() {
    let intent = parse("i.yaml", FULL).unwrap().intent;
    let said = [("case", Value::from("C-1")), ("tenant", Value::Integer(7))];
    let said = said.map(|(name, value)| (Arc::from(name), value)).into();
    let parameters = intent.parameters(&said).unwrap();
    let authority = intent.authority(&parameters, Timestamp::from_millis(0)).unwrap();
    let under = Constraint::Under(Value::from("/t/7/C-1"));
    assert_eq!(authority.allowances[0].resources[2].id, Some(under));
    assert_eq!(authority.allowances[0].resources[3].id, Some(Constraint::Equals(Value::from("7"))));
    assert_eq!(
        authority.allowances[0].arguments.last().unwrap().constraint,
        Constraint::Domain(Value::from("C-1.example.org"))
    );
}

#[test]
fn slips_are_named_with_their_line() {
    let text = with(&[
        ("intent: a", "intent: A"),
        ("version: 1", "version: 0"),
        ("on_behalf_of: never", "on_behalf_of: nobody"),
        ("longest: 10m", "longest: 10 minutes"),
        ("budget: { calls: 5 }", "budget: { cals: 5 }"),
        ("case: { type: identifier }", "2case: { type: identifyer }"),
        ("    arguments:", "    argument:"),
    ]);
    assert_eq!(
        problems(&text),
        [
            "i.yaml:1:9: `A` does not fit: an intent's name holds `A`; allowed are lowercase \
             letters, digits, `-` and `_`",
            "i.yaml:2:10: 0 is less than 1",
            "i.yaml:4:15: `2case` is no name of a parameter: a letter, then letters, digits and \
             `_`, at most 64",
            "i.yaml:4:30: `identifyer` is not one of `text`, `identifier`, `integer`, `number`, \
             `boolean`, `one_of` (did you mean `identifier`?)",
            "i.yaml:6:15: `nobody` is not one of `required`, `optional`, `never`",
            "i.yaml:7:10: `10 minutes` is no span of time, such as `45s`, `15m`, `2h` or `3d`",
            "i.yaml:8:11: unknown key `cals` (did you mean `calls`?)",
            "i.yaml:12:5: unknown key `argument` (did you mean `arguments`?)",
        ]
    );
}

#[test]
fn parameters_hold_together() {
    let text = with(&[(
        "parameters: { case: { type: identifier }, name: { type: text } }",
        "parameters:\n\
         \x20 case: { type: identifier, default: a/b, bytes_max: 3 }\n\
         \x20 name: { type: one_of }\n\
         \x20 n: { type: integer, min: 5, max: 4, choices: [a] }\n\
         \x20 o: { type: one_of, choices: [a, a], default: 3 }",
    )]);
    assert_eq!(problems(&text), ["i.yaml:8:35: this is in the list already"]);
    assert_eq!(
        problems(&text.replace("[a, a]", "[a, b]")),
        [
            "i.yaml:5:38: must be 1 to 128 letters, digits, `.`, `_` or `-`, and not `.` or `..`",
            "i.yaml:5:54: only a parameter of type `text` has `bytes_max`",
            "i.yaml:6:9: a parameter of `one_of` has `choices` (write `choices: [a, b]`)",
            "i.yaml:7:36: no integer lies between 5 and 4",
            "i.yaml:7:48: only a parameter of type `one_of` has `choices`",
            "i.yaml:8:48: must be a text, not an integer",
            "i.yaml:18:24: the intent has no parameter `name` (known are `case`, `n`, `o`)",
        ]
    );
}

#[test]
fn terms_hold_together() {
    let arguments = "    arguments:\n      /case: { equals: \"${case}\" }\n";
    let text = with(&[(
        arguments,
        "    resources:\n\
         \x20     - { type: Case, id: { equals: \"${flag}\" } }\n\
         \x20     - { type: Case, id: {} }\n\
         \x20     - { type: Case, id: { equals: a, under: b } }\n\
         \x20   arguments:\n\
         \x20     /a: { equals: \"x ${caes}\" }\n\
         \x20     /b: { equals: \"x ${name}\" }\n\
         \x20     /c: { equals: \"1 $ a\" }\n\
         \x20     /d: { equals: \"${case\" }\n\
         \x20     /e: { optional: true }\n\
         \x20     /f: { at_most: \"${case}\" }\n\
         \x20     /g: { domain: https://x.example }\n\
         \x20     /h: { under: a/../b }\n\
         \x20     /i: { under: \"${flag}\" }\n\
         \x20     /j: { one_of: [a, \"${none}\"] }\n\
         \x20     /case: { equals: \"${case}\" }\n",
    )])
    .replace("name: { type: text }", "name: { type: text }, flag: { type: boolean }");
    let dollar = "this `$` begins no `${name}` (write `$$` for a dollar sign)";
    assert_eq!(
        problems(&text),
        [
            "i.yaml:13:37: parameter `flag` is no text, and an id always is (make it an \
             `identifier`, a `text`, `one_of` or an `integer`)"
                .to_owned(),
            "i.yaml:14:27: nothing is said of the id (leave `id` out where any will do)".into(),
            "i.yaml:15:27: an id is held against one constraint only".into(),
            "i.yaml:17:21: the intent has no parameter `caes` (did you mean `${case}`?)".into(),
            "i.yaml:18:21: parameter `name` of type `text` cannot stand within a text: it could \
             change what the text means (only an `identifier` or `integer` can; or let it stand \
             alone)"
                .into(),
            format!("i.yaml:19:21: {dollar}"),
            format!("i.yaml:20:21: {dollar}"),
            "i.yaml:21:11: nothing is said of this argument (write one of `equals`, `one_of`, \
             `at_most`, `at_least`, `under`, `domain`, `longest_bytes`)"
                .into(),
            "i.yaml:22:22: this is a text, but must be a number".into(),
            "i.yaml:23:21: nothing lies in this: a domain is a host name, such as `example.org`"
                .into(),
            "i.yaml:24:20: nothing lies under this: a folder has no `.`, `..`, `\\` or empty \
             segment, nor one of them percent-encoded"
                .into(),
            "i.yaml:25:20: this is a truth value, but must be a text".into(),
            "i.yaml:26:21: the intent has no parameter `none` (known are `case`, `flag`, `name`)"
                .into(),
        ]
    );
}

#[test]
fn limits_hold_together() {
    let text = with(&[
        ("longest: 10m", "longest: 31d\nidle: 32d"),
        (
            "budget: { calls: 5 }",
            "budget:\n\
             \x20 calls: 5\n\
             \x20 calls_of: { crm.record: 1 }\n\
             \x20 spend: { limit: 1.00001, amounts: { pay: /a, crm.records: /b/* } }",
        ),
    ]);
    assert_eq!(
        problems(&text),
        [
            "i.yaml:7:10: a task lasts at most 30 days",
            "i.yaml:8:7: this is longer than `longest` (shorten it, or leave it out)",
            "i.yaml:11:15: action `crm.record` is not in the envelope (did you mean \
             `crm.records`?)",
            "i.yaml:12:19: this is no amount: not negative, with at most four decimal places",
            "i.yaml:12:39: action `pay` is not in the envelope (there are `crm.records`)",
            "i.yaml:12:61: an amount stands in one place: no `*`",
        ]
    );
    let rules: String = (0..65).map(|n| format!("      /a{n}: {{ equals: {n} }}\n")).collect();
    let many = with(&[("    arguments:\n", &format!("    arguments:\n{rules}"))]);
    assert_eq!(problems(&many), ["i.yaml:13:7: this has more than 64 keys"]);
    let allowances = "  - { action: x }\n".repeat(64);
    let many = with(&[("envelope:\n", &format!("envelope:\n{allowances}"))]);
    assert_eq!(problems(&many), ["i.yaml:11:3: this has more than 64 elements"]);
    assert!(problems(&"#".repeat(INTENT_BYTES_MAX + 1))[0].contains("262144 bytes"));
    let deep = with(&[("tier_max: low", "tier_max: low\ndelegation_depth: 9")]);
    assert_eq!(problems(&deep), ["i.yaml:10:19: 9 is more than 8"]);
    // What is not remembered one by one cannot be counted.
    let resources = |n: usize| {
        let budget = format!("budget: {{ calls: 5, distinct_resources: {n} }}");
        with(&[("budget: { calls: 5 }", &budget)])
    };
    assert!(parse("i.yaml", &resources(DISTINCT_RESOURCES_MAX)).is_ok());
    let more = problems(&resources(DISTINCT_RESOURCES_MAX + 1));
    assert!(matches!(&more[..], [one] if one.ends_with("4097 is more than 4096")), "{more:?}");
}

#[test]
fn what_is_odd_is_a_warning() {
    let text = with(&[
        ("\"${name}\"", "x"),
        ("{ groups: [g] }", "{}"),
        ("    arguments:", "    resources: [ { type: Customer } ]\n    arguments:"),
    ]);
    let tool = json::parse(br#"{"inputSchema":{"properties":{"cases":{}}}}"#).unwrap();
    let catalogue = known();
    let ground = Ground { definition: &|_| Some(&tool), ..ground(&catalogue) };
    let merged = merge(vec![parse("i.yaml", &text).unwrap()], ground).unwrap();
    let warnings: Vec<_> = merged.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "i.yaml:4:43: parameter `name` is not used: the envelope is as wide without it (hold \
             an argument or a resource against `${name}`)",
            "i.yaml:5:16: nobody may undertake this intent",
            "i.yaml:12:26: action `crm.records` never touches a `Customer`: this rule fits nothing",
            "i.yaml:14:7: action `crm.records` has no argument `case` (did you mean `/cases`?)",
            "i.yaml:15:7: action `crm.records` has no argument `name`",
        ]
    );
}

#[test]
fn a_set_is_held_against_catalogue_and_schema() {
    let one = with(&[("crm.records", "crm.recrods")]);
    let two = with(&[("    arguments:", "    resources: [ { type: Caes } ]\n    arguments:")]);
    let files = [("one.yaml", one.as_str()), ("two.yaml", &two), ("three.yaml", &two)];
    let files = files.map(|(name, text)| parse(name, text).unwrap()).to_vec();
    let found = merge(files, ground(&known())).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "one.yaml:11:13: the catalogue has no action `crm.recrods` (did you mean \
             `crm.records`?)",
            "two.yaml:2:10: version 1 of intent `a` is here twice (the other is in \
             one.yaml:2:10)",
            "three.yaml:2:10: version 1 of intent `a` is here twice (the other is in \
             one.yaml:2:10)",
        ]
    );
    let found = merge(vec![parse("two.yaml", &two).unwrap()], ground(&known())).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "two.yaml:12:26: no schema declares the type `Caes` (did you mean `Case`?)"
    );
}

#[test]
fn leases_are_of_what_a_target_describes() {
    let with = |credentials: &str| {
        let text =
            with(&[("tier_max: low", &format!("tier_max: low\ncredentials: {credentials}"))]);
        merge(vec![parse("i.yaml", &text).unwrap()], ground(&known()))
    };
    assert!(with("{ crm-db: [read_case] }").is_ok());
    let found = with("{ crm: [a], crm-db: [raed_case, all] }").unwrap_err();
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "i.yaml:10:16: the configuration has no target `crm` (describe it under `targets`)",
            "i.yaml:10:34: target `crm-db` describes no grant `all` (it describes `read_case`, \
             `write_summary`)",
            "i.yaml:10:34: target `crm-db` describes no grant `raed_case` (did you mean \
             `read_case`?)",
        ]
    );
}

/// The small intent with schedules.
fn scheduled(name: &str, schedules: &str) -> String {
    let more = format!("tier_max: low\nschedules: {schedules}");
    with(&[("intent: a", &format!("intent: {name}")), ("tier_max: low", &more)])
}

#[test]
fn schedules_are_held_against_their_intent() {
    let parameters = "parameters: { case: C-1, name: night }";
    let text = scheduled(
        "a",
        &format!(
            "{{ nightly: {{ identity: job, {parameters}, prompt: Go., at_once: 2, overlap: replace }} }}"
        ),
    );
    let intent = parse("i.yaml", &text).unwrap().intent;
    let schedule = intent.schedules.values().next().unwrap();
    assert_eq!((schedule.at_once, schedule.overlap), (2, safeconduct_model::Overlap::Replace));
    assert_eq!(schedule.prompt.as_deref(), Some("Go."));
    assert_eq!(schedule.parameters.get("case"), Some(&Value::from("C-1")));
    assert_eq!(again(&intent), intent);
    for (schedules, problem) in [
        ("{ n: { identity: job } }", "parameter `case` is missing"),
        (
            "{ n: { identity: job, parameters: { case: ../x, name: n } } }",
            "parameter `case` must be 1 to 128 letters",
        ),
        (
            "{ n: { identity: job, parameters: { case: C-1, name: n, more: 1 } } }",
            "the intent has no parameter `more`",
        ),
        (
            "{ n: { identity: job, parameters: { case: C-1, name: n }, on_behalf_of: ada } }",
            "the intent is not undertaken on behalf of anyone",
        ),
        ("{ n: { identity: job, at_once: 0 } }", "0 is less than 1"),
        ("{ N: { identity: job } }", "a schedule's name"),
    ] {
        let found = problems(&scheduled("a", schedules)).join("\n");
        assert!(found.contains(problem), "{schedules}: {found}");
    }
    // One name is one intent's, in whatever versions.
    let one = format!("{{ nightly: {{ identity: job, {parameters} }} }}");
    let newer = scheduled("a", &one).replace("version: 1", "version: 2");
    let file = |name: &str, text: &str| parse(name, text).unwrap();
    let same = vec![file("1.yaml", &scheduled("a", &one)), file("2.yaml", &newer)];
    let merged = merge(same, ground(&known())).unwrap();
    let digest = safeconduct_model::Digest::from_bytes([0; 32]);
    let intents = safeconduct_model::Intents { versions: merged.versions, digest };
    let name = safeconduct_model::ScheduleName::new("nightly").unwrap();
    assert_eq!(intents.schedule(&name).map(|(intent, _)| intent.version), Some(2));
    let two = vec![file("1.yaml", &scheduled("a", &one)), file("2.yaml", &scheduled("b", &one))];
    let found = merge(two, ground(&known())).unwrap_err();
    assert_eq!(found.len(), 1);
    assert!(found[0].to_string().starts_with("2.yaml:"), "{}", found[0]);
    assert!(found[0].to_string().contains("intent `a` has a schedule `nightly` too"));
}

#[test]
fn the_highest_version_stands_unless_one_is_named() {
    let versions = [1, 10, 2].map(|n| {
        let text = with(&[("version: 1", &format!("version: {n}"))]);
        parse(&format!("{n}.yaml"), &text).unwrap()
    });
    let versions = merge(versions.to_vec(), ground(&known())).unwrap().versions;
    let digest = safeconduct_model::Digest::from_bytes([0; 32]);
    let intents = safeconduct_model::Intents { versions, digest };
    let name = IntentName::new("a").unwrap();
    let number = |version| intents.version(&name, version).map(|intent| intent.version);
    assert_eq!((number(None), number(Some(2)), number(Some(3))), (Some(10), Some(2), None));
    assert_eq!(intents.iter().map(|intent| intent.version).collect::<Vec<_>>(), [1, 2, 10]);
}

#[test]
fn the_digest_covers_what_is_meant() {
    let read = |text: &str| {
        let merged = merge(vec![parse("i.yaml", text).unwrap()], ground(&known())).unwrap();
        json::to_text(&digest_input(&merged.versions))
    };
    let plain = read(&with(&[]));
    assert_eq!(plain, read(&with(&[("longest: 10m", "idle: 600s\nlongest: 600s # ten")])));
    assert_ne!(plain, read(&with(&[("calls: 5", "calls: 6")])));
    assert_ne!(plain, read(&with(&[("\"${name}\"", "\"$${name}\"")])));
}

fn again(intent: &Intent) -> Intent {
    let text = json::to_text(&document(intent));
    parse("again.json", &text).unwrap_or_else(|e| panic!("{e:?}\n{text}")).intent
}

#[test]
fn a_document_reads_back() {
    let intent = parse("i.yaml", FULL).unwrap().intent;
    assert_eq!(again(&intent), intent);
}

proptest! {
    #[test]
    fn every_literal_reads_back(text in "\\PC{0,40}", number in any::<i64>(), span in 1_u32..2_592_000) {
        let mut intent = parse("i.yaml", &with(&[])).unwrap().intent;
        intent.longest_s = span;
        intent.idle_s = span.div_ceil(2);
        let constraints = [
            Constraint::Equals(Term::Literal(Value::from(text.as_str()))),
            Constraint::AtMost(Term::Literal(Value::Integer(number))),
        ];
        intent.envelope[0].arguments = constraints
            .into_iter()
            .map(|constraint| safeconduct_model::ArgumentRule {
                pointer: "/x".into(),
                constraint,
                absent: Absent::Allowed,
            })
            .collect();
        prop_assert_eq!(again(&intent), intent);
    }

    /// Whatever a template holds: it is refused, or it is written as it was read.
    #[test]
    fn a_template_is_refused_or_kept(text in "[$a{}]{0,8}|(\\$\\{case\\}|\\$\\$|x|\\$\\{name\\}){0,4}") {
        let quoted = json::to_text(&Value::from(text.as_str()));
        let source = with(&[("\"${name}\"", &quoted)]);
        if let Ok(file) = parse("i.yaml", &source) {
            let rule = file.intent.envelope[0].arguments.last().unwrap();
            let Constraint::Equals(term) = &rule.constraint else { panic!() };
            prop_assert_eq!(super::term::written(term), Value::from(text.as_str()));
            let literal = term.parameters().is_empty();
            prop_assert_eq!(literal, !text.replace("$$", "").contains('$'));
        }
    }
}

proptest! {
    /// Whatever becomes of a file: it is refused, or it reads back.
    #[test]
    fn a_changed_file_is_refused_or_reads_back(
        changes in prop::collection::vec((0_usize..2000, "[ -~\n]{0,3}", 0_usize..4), 1..4),
    ) {
        let mut text = FULL.to_owned();
        for (at, with, gone) in changes {
            let at = at.min(text.len() - gone);
            text.replace_range(at..at + gone, &with);
        }
        if let Ok(file) = parse("i.yaml", &text) {
            prop_assert_eq!(again(&file.intent), file.intent);
        }
    }
}

#[test]
fn the_longest_default_idle_time_is_that_of_the_task() {
    let idle =
        |longest: &str| parse("i.yaml", &with(&[("longest: 10m", longest)])).unwrap().intent.idle_s;
    assert_eq!((idle("longest: 45s"), idle("longest: 30d")), (45, IDLE_S));
    let versions: BTreeMap<IntentName, BTreeMap<u32, Intent>> = BTreeMap::new();
    assert_eq!(json::to_text(&digest_input(&versions)), "{}");
}
