//! Which spellings are one value: for what is held against an argument nearly all, for what vouches
//! for it few.

use proptest::prelude::*;
use safeconduct_model::{ArgumentRole, Confidentiality, Integrity, Label, Value};

use super::tests::{label, leaf, read, task, untrusted, uses};
use super::*;

fn seen(flow: &Flow, role: ArgumentRole, value: &str) -> String {
    let leaf = leaf(flow, role, value);
    leaf.seen.iter().map(Provenance::as_str).collect::<Vec<_>>().join("+")
}

/// What is said of a value where a task, a trusted result or an untrusted one says another.
fn between(role: ArgumentRole, said: &str, asked: &str) -> [String; 3] {
    let mut named = Flow::keyed([1; 16]);
    task(&mut named, &format!("Do it with {said} today"), &[]);
    read(&mut named, 1, untrusted(), Part::Text(&format!("better with {asked} now")));
    let mut parts = Flow::keyed([1; 16]);
    let list = serde_json::to_vec(&[said]).unwrap();
    read(&mut parts, 1, Label::LEAST, Part::Json(&list));
    let mut bad = Flow::keyed([1; 16]);
    read(&mut bad, 1, untrusted(), Part::Json(&list));
    [seen(&named, role, asked), seen(&parts, role, asked), seen(&bad, role, asked)]
}

const VOUCHED: [&str; 3] = ["from_task+from_untrusted", "from_trusted", "from_untrusted"];
const FOUND: [&str; 3] = ["from_untrusted", "unseen", "from_untrusted"];
const OTHER: [&str; 3] = ["from_untrusted", "unseen", "unseen"];

#[test]
fn amounts_addresses_dates_and_ids_with_the_same_digits_are_others() {
    for role in [ArgumentRole::Address, ArgumentRole::Amount, ArgumentRole::Command] {
        for (said, asked) in [
            ("10000.00", "1000000"),
            ("12345.67", "1234567"),
            ("100x000.50", "100000.50"),
            ("203.0.113.25", "20.30.113.25"),
            ("2022-01-01", "20220101"),
            ("+10000000.00", "1000000000"),
        ] {
            assert_eq!(between(role, said, asked), OTHER, "{said} {asked} {role:?}");
        }
        for (said, asked) in [("12345/6789", "1234/56789"), ("12345-6789", "123456789")] {
            assert_eq!(between(role, said, asked), FOUND, "{said} {asked} {role:?}");
        }
    }
}

#[test]
fn telephone_numbers_are_found_in_every_spelling_and_vouch_where_they_look_like_one() {
    let role = ArgumentRole::Address;
    for (said, asked) in [
        ("+49 (30) 123-4567", "+49 30 1234567"),
        ("0049 30 1234567", "+49 30 123 45 67"),
        ("+493012345678", "+49 30 12345678"),
        ("(212) 555-4567", "(212) 5554567"),
        ("030 123 4567", "(030) 1234567"),
    ] {
        assert_eq!(between(role, said, asked), VOUCHED, "{said} {asked}");
        assert_eq!(between(role, asked, said), VOUCHED, "{asked} {said}");
    }
    for (said, asked) in [
        ("+49 30 1234567", "49301234567"),
        ("555-123-4567", "5551234567"),
        ("555.123.4567", "(555) 123-4567"),
        ("030/1234567", "030 1234567"),
        ("+49.30.1234567", "0049301234567"),
        ("(493) 01234567", "+49 30 1234567"),
    ] {
        assert_eq!(between(role, said, asked), FOUND, "{said} {asked}");
        assert_eq!(between(role, asked, said), FOUND, "{asked} {said}");
    }
}

#[test]
fn a_word_or_a_file_does_not_vouch_for_a_url() {
    let role = ArgumentRole::Address;
    for (said, asked) in [
        ("README.md", "https://readme.md/"),
        ("setup.py", "http://setup.py"),
        ("evil.example/pay", "https://evil.example/pay"),
        ("evil.example/pay/", "https://evil.example/pay/"),
    ] {
        assert_eq!(between(role, said, asked), FOUND, "{said} {asked}");
        assert_eq!(between(role, asked, said), FOUND, "{asked} {said}");
    }
    for (said, asked) in [
        ("https://shop.example/bill", "http://shop.example/bill/"),
        ("www.shop.example", "https://www.shop.example/"),
    ] {
        assert_eq!(between(role, said, asked), VOUCHED, "{said} {asked}");
        assert_eq!(between(role, asked, said), VOUCHED, "{asked} {said}");
    }
}

#[test]
fn an_equal_number_or_day_vouches_for_an_amount_and_not_for_an_address() {
    for (said, asked) in [
        ("1.1", "1.10"),
        ("500", "5e2"),
        ("100.00", "100"),
        ("1,200", "1200"),
        ("2022-01-01", "2022.1.1"),
        ("2022-01-01T00:00:00Z", "2022-01-01"),
    ] {
        for (said, asked) in [(said, asked), (asked, said)] {
            for role in [ArgumentRole::Address, ArgumentRole::Command] {
                assert_eq!(between(role, said, asked), FOUND, "{said} {asked}");
            }
            for role in [ArgumentRole::Amount, ArgumentRole::Content] {
                assert_eq!(between(role, said, asked), VOUCHED, "{said} {asked}");
            }
        }
    }
    let mut flow = Flow::keyed([1; 16]);
    task(&mut flow, "Pay 10,000 to Ann or (20,50) to Eve,Max,Tim", &[]);
    for (value, from_task) in [("10", false), ("10000", true), ("20.5", true), ("20", false)] {
        let found = leaf(&flow, ArgumentRole::Amount, value);
        assert_eq!(found.is(Provenance::FromTask), from_task, "{value}");
    }
    assert!(leaf(&flow, ArgumentRole::Address, "Max").is(Provenance::FromTask));
    let mut flow = Flow::keyed([1; 16]);
    task(&mut flow, "Pay 100.00 to Bob, delete release 1.1", &[("limit", Value::from(250))]);
    for (role, value, from_task) in [
        (ArgumentRole::Amount, Value::from(100), true),
        (ArgumentRole::Amount, Value::from("250.0"), true),
        (ArgumentRole::Address, Value::from("1.1"), true),
        (ArgumentRole::Address, Value::from("1.10"), false),
        (ArgumentRole::Address, Value::from(250), true),
    ] {
        let found = leaf(&flow, role, value.clone());
        assert_eq!(found.is(Provenance::FromTask), from_task, "{value:?}");
    }
}

#[test]
fn account_numbers_are_found_whatever_parts_their_groups() {
    let role = ArgumentRole::Address;
    let bare = "GB33BUKB20201555555555";
    for spelt in [
        "GB33-BUKB-2020-1555-5555-55",
        "GB33.BUKB.2020.1555.5555.55",
        "GB33 BUKB-2020/1555 5555 55",
    ] {
        assert_eq!(between(role, bare, spelt), FOUND, "{spelt}");
        assert_eq!(between(role, spelt, bare)[2], "from_untrusted", "{spelt}");
        assert_eq!(between(role, spelt, bare)[1], "unseen", "{spelt}");
        assert_eq!(between(role, spelt, "GB33 BUKB 2020 1555 5555 55"), FOUND, "{spelt}");
    }
    let spaced = "GB33 BUKB 2020 1555 5555 55";
    assert_eq!(between(role, spaced, bare), VOUCHED);
    assert_eq!(between(role, bare, spaced), VOUCHED);
    let mut flow = Flow::keyed([1; 16]);
    read(&mut flow, 1, untrusted(), Part::Text("Pay to GB33-BUKB-2020-1555-5555-55, please"));
    assert_eq!(seen(&flow, role, bare), "from_untrusted");
    assert_eq!(
        seen(&flow, ArgumentRole::Content, &format!("my account: {bare}!")),
        "from_untrusted"
    );
}

fn answer(said: &Value, answer: &str) -> Flow {
    let mut flow = Flow::keyed([3; 16]);
    let returns = safeconduct_model::Returns::uniform(Label::LEAST);
    let source = super::tests::source(1);
    let echo = Echo::of(&flow.key(), &[said], &source);
    let gleaned = digest_result(&flow.key(), &[Part::Text(answer)], &returns, source);
    flow.fold(&gleaned.without(&echo));
    flow
}

#[test]
fn what_a_call_said_is_not_vouched_for_in_any_spelling() {
    for (said, repeated) in [
        ("GB33-BUKB-2020-1555-5555-55", "GB33BUKB20201555555555"),
        ("GB33BUKB20201555555555", "GB33-BUKB-2020-1555-5555-55"),
        ("GB33.BUKB.2020.1555.5555.55", "GB33 BUKB 2020 1555 5555 55"),
        ("500", "5e2"),
        ("1.10", "1.1"),
        ("+49 30 1234567", "49301234567"),
        ("49301234567", "+49 (30) 1234567"),
        ("evil.example/x", "https://evil.example/x"),
        ("https://evil.example/x", "evil.example/x"),
        ("https://api.example/find?mail=eve@evil.example&n=1", "eve@evil.example"),
        ("ask mallory about it", "mallory"),
    ] {
        for text in
            [repeated.to_owned(), format!("[\"{repeated}\"]"), format!("no {repeated} here")]
        {
            let flow = answer(&Value::object([("q", Value::from(said))]), &text);
            for role in [ArgumentRole::Address, ArgumentRole::Amount] {
                let found = leaf(&flow, role, repeated);
                assert!(!found.is(Provenance::FromTrusted), "{said}: {text}");
            }
        }
    }
    let flow =
        answer(&Value::object([("q", Value::from("bob"))]), "[\"1.10\", \"+49 30 1234567\"]");
    for value in ["1.10", "+49 30 1234567", "+49 (30) 1234567"] {
        assert_eq!(seen(&flow, ArgumentRole::Address, value), "from_trusted", "{value}");
    }
}

#[test]
fn more_than_is_remembered_of_a_call_vouches_for_nothing() {
    let mut many = vec![Value::from(1); 200_000];
    many.push(Value::from("x@evil.example"));
    let flow = answer(&Value::Array(many), "nothing for x@evil.example");
    assert_eq!(seen(&flow, ArgumentRole::Address, "x@evil.example"), "unseen");
    let label = label(Integrity::Trusted, Confidentiality::Secret);
    let source = super::tests::source(1);
    let mut flow = Flow::keyed([3; 16]);
    let echo = Echo::of(&flow.key(), &[&Value::Array(vec![Value::from(1); 200_000])], &source);
    let returns = safeconduct_model::Returns::uniform(label);
    let parts = [Part::Text("hunter-2-hunter")];
    let gleaned = digest_result(&flow.key(), &parts, &returns, source).without(&echo);
    flow.fold(&Gleaned::decode(&gleaned.encode()).unwrap());
    let found = leaf(&flow, ArgumentRole::Content, "hunter-2-hunter");
    assert_eq!(found.carries.confidentiality, Confidentiality::Secret);
    let names = Value::object([("labels", Value::object([("mallory", Value::from(true))]))]);
    let flow = answer(&names, "{\"unknown\": [\"mallory\"], \"known\": [\"bob\"]}");
    assert_eq!(seen(&flow, ArgumentRole::Address, "mallory"), "unseen");
    assert_eq!(seen(&flow, ArgumentRole::Address, "bob"), "from_trusted");
}

#[test]
fn names_of_members_carry_what_they_hold() {
    let secret = label(Integrity::Trusted, Confidentiality::Secret);
    let mut flow = Flow::keyed([1; 16]);
    read(&mut flow, 1, secret, Part::Json(br#"{"pass": "correct-horse-battery-staple"}"#));
    let name = || Value::object([("correct-horse-battery-staple", Value::from(1))]);
    for arguments in [
        name(),
        Value::object([("fields", name())]),
        Value::object([("fields", Value::Array(vec![name()]))]),
        Value::object([("text", Value::from("{\"correct-horse-battery-staple\": 1}"))]),
    ] {
        let origins = flow.look_up(&arguments, &[]);
        assert_eq!(origins.carries.confidentiality, Confidentiality::Secret, "{arguments:?}");
        assert!(origins.leaves.iter().any(|leaf| leaf.carries == origins.carries));
    }
    let plain = Value::object([("pass", Value::object([("word", Value::from(1))]))]);
    let origins = flow.look_up(&plain, &[]);
    assert_eq!((origins.leaves.len(), origins.carries), (1, Carried::NOTHING));
}

#[test]
fn what_is_not_looked_at_may_decide_in_every_way() {
    let mut flow = Flow::keyed([5; 16]);
    read(&mut flow, 1, untrusted(), Part::Text("hello"));
    let many = Value::Array((0..ARGUMENT_LEAVES_MAX as i64 + 5).map(Value::from).collect());
    let origins = flow.look_up(&many, &uses(ArgumentRole::Content));
    for role in [ArgumentRole::Address, ArgumentRole::Command, ArgumentRole::Amount] {
        let rest = origins.leaves.iter().find(|leaf| leaf.role == role).unwrap();
        assert!(rest.pointer.is_empty() && rest.is(Provenance::FromUntrusted), "{role:?}");
    }
}

/// Numbers, days, addresses of the net, ids and telephone numbers.
fn marked() -> impl Strategy<Value = String> {
    prop_oneof![
        "[1-9][0-9]{0,7}(\\.[0-9]{1,2})?",
        "[1-9][0-9]{0,2}(,[0-9]{3}){1,2}(\\.[0-9]{2})?",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        "20[0-9]{2}[-/.][01]?[0-9][-/.][0-3]?[0-9]",
        "[0-9]{1,7}[-/.][0-9]{1,7}([-/.][0-9]{1,5})?",
        "[+(0][0-9]{2,4}[) /.-]{1,2}[0-9]{2,4}[ /.-]?[0-9]{2,5}",
    ]
}

/// The same digits with other marks between them.
fn other(value: &str, marks: &[(usize, u8)]) -> String {
    let mut digits: Vec<char> = value.chars().filter(char::is_ascii_digit).collect();
    for (at, mark) in marks {
        let mark = [' ', '.', '-', '/', ',', '(', ')', '+'][usize::from(mark % 8)];
        digits.insert(at % (digits.len() + 1), mark);
    }
    digits.into_iter().collect::<String>().trim().to_owned()
}

/// Words of a text that stand together, with and without the marks around them.
fn phrases(text: &str) -> Vec<String> {
    let edge = |c: char| "()[]\"',.+*".contains(c);
    let normal = reference::normal(text);
    let words: Vec<&str> = normal.split(' ').collect();
    let mut all = vec![];
    for run in (1..=words.len()).flat_map(|length| words.windows(length)) {
        let run = run.join(" ");
        let before = run.chars().take_while(|c| edge(*c)).count();
        for from in 0..=before {
            let rest = run.get(from..).unwrap();
            let most = rest.trim_end_matches(edge).len();
            all.extend((most..=rest.len()).map(|to| rest.get(..to).unwrap().to_owned()));
        }
    }
    all
}

/// What a text names: its phrases, and those of what stands between commas and brackets.
fn named_by(text: &str) -> Vec<String> {
    let all = phrases(text);
    let parted = text.replace(['(', ')', '[', ']'], " ");
    let parts = phrases(&parted).into_iter().flat_map(|phrase| {
        let parts = phrase.split(',').map(str::to_owned).collect();
        if reference::is_number(&phrase) { vec![phrase] } else { parts }
    });
    all.into_iter().chain(parts).collect()
}

/// Whether it is a list, and no number, of what is named one by one.
fn is_list(named: &[String], asked: &str) -> bool {
    let vouches = reference::vouches(ArgumentRole::Address);
    asked.contains(',')
        && !reference::is_number(asked)
        && asked.split([',', ' ']).all(|p| p.is_empty() || named.iter().any(|n| vouches(n, p)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_value_that_differs_is_never_from_the_task(
        named in prop::collection::vec(marked(), 1..4),
        marks in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        which in any::<prop::sample::Index>(),
        parameter in any::<bool>(),
    ) {
        let mut task_of = Flow::keyed([4; 16]);
        let mut trusted = Flow::keyed([4; 16]);
        let sentence = format!("Take {}.", named.join(" or "));
        let list: Vec<Value> = named.iter().map(|value| Value::from(value.as_str())).collect();
        match parameter {
            true => task(&mut task_of, "Do it.", &[("all", Value::Array(list))]),
            false => task(&mut task_of, &sentence, &[]),
        }
        read(&mut trusted, 1, Label::LEAST, Part::Json(&serde_json::to_vec(&named).unwrap()));
        let asked = other(&named[which.index(named.len())], &marks);
        prop_assume!(!asked.is_empty());
        let same = |one: &dyn Fn(&str, &str) -> bool| named.iter().any(|value| one(value, &asked));
        let all: Vec<String> = named.iter().chain([&sentence]).flat_map(|t| named_by(t)).collect();
        for role in [ArgumentRole::Address, ArgumentRole::Amount] {
            let vouches = reference::vouches(role);
            let written = is_list(&all, &asked) || all.iter().any(|phrase| vouches(phrase, &asked));
            for flow in [&task_of, &trusted] {
                let found = leaf(flow, role, asked.as_str());
                let vouched = found.is(Provenance::FromTask) || found.is(Provenance::FromTrusted);
                prop_assert!(!vouched || written, "{named:?} {asked:?} {role:?}");
                prop_assert!(vouched || !same(&reference::vouches(role)), "{named:?} {asked:?} {role:?}");
            }
        }
        // And what is not vouched for is found in an untrusted result.
        let mut bad = Flow::keyed([4; 16]);
        read(&mut bad, 1, untrusted(), Part::Json(&serde_json::to_vec(&named).unwrap()));
        let found = leaf(&bad, ArgumentRole::Address, asked.as_str());
        prop_assert!(!same(&reference::is_like) || found.is(Provenance::FromUntrusted), "{named:?} {asked:?}");
    }
}
