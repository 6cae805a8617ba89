use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use safeconduct_model::{ServerName, Tier};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Form {
    name: Written<ServerName>,
    tier: Option<Word<Tier>>,
    #[serde(default)]
    count: u32,
    #[serde(default)]
    #[expect(dead_code, reason = "only its type is tested")]
    quiet: bool,
    #[serde(default)]
    more: Vec<Inner>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Inner {
    at: String,
}

fn problems(text: &str) -> Vec<String> {
    match read::<Form>("f.yaml", text, YamlLimits::default()) {
        Ok(document) => panic!("{document:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_document_that_fits_is_read() {
    let text = "# a comment\nname: files\ntier: low\ncount: 3\nmore:\n  - at: \"1\"\n";
    let document = read::<Form>("f.yaml", text, YamlLimits::default()).unwrap();
    assert_eq!(document.content.name.0.as_str(), "files");
    assert_eq!(document.content.tier, Some(Word(Tier::Low)));
    assert_eq!((document.content.count, document.content.more[0].at.as_str()), (3, "1"));
    let problem = document.problem("/more/0/at/x", "no");
    assert_eq!(problem.to_string(), "f.yaml:6:9: no");
}

#[test]
fn all_problems_are_found_at_once() {
    let text = "nmae: x\ntier: lwo\ncount: -1\nquiet: yes\nmore:\n  - at: 1\n  - {}\n  - at:\n";
    assert_eq!(
        problems(text),
        [
            "f.yaml:1:1: unknown key `nmae` (did you mean `name`?)",
            "f.yaml:2:7: `lwo` is not one of `low`, `moderate`, `high`, `critical` \
             (did you mean `low`?)",
            "f.yaml:3:8: -1 is less than 0",
            "f.yaml:4:8: this is a text, but must be `true` or `false` (write `true`)",
            "f.yaml:6:9: this is a whole number, but must be a text (write it in quotes)",
            "f.yaml:7:5: missing key `at`",
            "f.yaml:8:7: this is empty, but must be a text (write a value, or leave the key out)",
        ]
    );
}

#[test]
fn what_has_no_single_meaning_is_refused() {
    for (text, problem) in [
        ("", "f.yaml:1:1: the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("name: a\nname: b\n", "f.yaml:2:1: the key `name` is here twice (the first is in line 1)"),
        ("name: &a files\n", "anchors and aliases"),
        ("name: !!str files\n", "tags"),
        ("%YAML 1.2\n---\nname: a\n", "this is not YAML"),
        ("name: a\n---\nname: b\n", "more than one document"),
        ("? [a]\n: b\n", "a key must be a text"),
        ("name: [a\n", "this is not YAML"),
        ("name: \"a\n", "this is not YAML"),
        ("<<: {name: a}\n", "unknown key `<<`"),
        ("- a\n", "this is a list, but must be a map"),
    ] {
        let found = problems(text).remove(0);
        assert!(found.contains(problem), "{text:?}: {found}");
    }
    let deep = "[".repeat(10_000);
    assert!(problems(&deep).remove(0).contains("f.yaml:1:"));
    let blocks: String = (0..2000).map(|i| " ".repeat(i) + "a:\n").collect();
    assert!(!problems(&blocks).is_empty());
}

#[test]
fn size_is_bounded() {
    let limits = YamlLimits { bytes: 100, nodes: 10 };
    let long = format!("name: {}", "a".repeat(100));
    let many = format!("[{}]", "a,".repeat(20));
    for text in [&long, &many] {
        let problem = parse_yaml("f", text, limits).unwrap_err().remove(0);
        assert!(problem.message.contains("more than"), "{problem}");
    }
}

#[test]
fn a_value_from_json_is_named_by_its_pointer() {
    let value = crate::json::parse(br#"{"name":"files","more":[{"at":"x","b":1}]}"#).unwrap();
    let problems = read_value::<Form>(&value).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].to_string(), "`/more/0`: unknown key `b` (known are `at`)");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-c:\\-\\[\\]{},&*!#|>'\"%\n \u{e9}]{0,40}") {
        if let Err(problems) = read::<Form>("f", &text, YamlLimits::default()) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|p| p.line >= 1 && p.column >= 1));
        }
    }

    #[test]
    fn what_json_says_yaml_says_too(names in prop::collection::vec("[a-z\"\\\\\u{e9} :#]{0,6}", 0..5)) {
        let value = safeconduct_model::Value::object(
            names.iter().map(|name| (name.as_str(), safeconduct_model::Value::from(name.as_str()))),
        );
        let text = crate::json::to_text(&value);
        let node = parse_yaml("f", &text, YamlLimits::default()).unwrap();
        prop_assert_eq!(node.to_value(), value);
    }
}
