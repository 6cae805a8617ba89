use proptest::prelude::*;
use safeconduct_model::{
    ActionName, ArgumentRole, Confidentiality, Digest, Effect, Integrity, Label, Obligation,
    ResourceForm as ModelForm, Tier, Value,
};

use super::*;
use crate::json;

const PIN: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn name(text: &str) -> ActionName {
    ActionName::new(text).unwrap()
}

fn problems(text: &str) -> Vec<String> {
    match parse("c.yaml", text) {
        Ok(file) => panic!("{file:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_full_file_is_read() {
    let text = format!(
        "# yaml-language-server: $schema=x\n\
         server: files\n\
         defaults: {{ integrity: trusted, confidentiality: confidential }}\n\
         actions:\n\
         \x20 read_text_file:\n\
         \x20   tier: low\n\
         \x20   effect: read\n\
         \x20   guessed: true\n\
         \x20   integrity: untrusted\n\
         \x20   resources:\n\
         \x20     - {{ argument: /path, type: Path, form: path, root: /srv/cases }}\n\
         \x20     - {{ argument: /also/*, type: Url, form: url, optional: true }}\n\
         \x20   definition: {PIN}\n\
         \x20   additional_arguments: allow\n\
         \x20   keep: {{ arguments: true, result: false }}\n\
         \x20 move_file: {{ tier: high, effect: write }}\n\
         methods:\n\
         \x20 resources/read: {{ tier: moderate, effect: read }}\n"
    );
    let catalogue = merge(vec![parse("files.yaml", &text).unwrap()]).unwrap();
    let read = catalogue.entry(&name("files.read_text_file")).unwrap();
    assert_eq!((read.tier, read.effect, read.guessed), (Tier::Low, Effect::Read, true));
    assert_eq!(read.returns.default.integrity, Integrity::Untrusted);
    assert_eq!(read.returns.default.confidentiality, Confidentiality::Confidential);
    assert_eq!(read.resources[0].form, ModelForm::Path { root: Some("/srv/cases".into()) });
    assert_eq!((&read.resources[1].form, read.resources[1].optional), (&ModelForm::Url, true));
    assert_eq!(read.definition, Digest::parse(PIN));
    assert!(read.additional_arguments && read.keep_arguments && !read.keep_result);
    let moved = catalogue.entry(&name("files.move_file")).unwrap();
    assert_eq!(moved.returns.default.integrity, Integrity::Trusted);
    assert!(!moved.additional_arguments && moved.definition.is_none());
    // What is listed holds; what is not has its default.
    let method = |text: &str| catalogue.entry(&name(text)).map(|e| (e.tier, e.effect));
    assert_eq!(method("files/resources/read"), Some((Tier::Moderate, Effect::Read)));
    assert_eq!(method("files/sampling/createMessage"), Some((Tier::High, Effect::Execute)));
    assert_eq!(method("files/elicitation/create"), Some((Tier::Moderate, Effect::Send)));
    assert_eq!(method("files/tools/unheard_of"), None);
}

#[test]
fn without_a_server_names_stand_verbatim() {
    let file = parse("a.yaml", "actions: { read: { tier: low, effect: read } }").unwrap();
    let catalogue = merge(vec![file]).unwrap();
    assert_eq!(catalogue.actions.keys().map(ActionName::as_str).collect::<Vec<_>>(), ["read"]);
    assert_eq!(
        problems("methods: { resources/read: { tier: low, effect: read } }"),
        ["c.yaml:1:10: methods belong to a server (name it: `server: NAME`)"]
    );
}

#[test]
fn slips_are_named_with_their_line() {
    let text = "server: Files\n\
                actions:\n\
                \x20 a:\n\
                \x20   tier: lwo\n\
                \x20   efect: read\n\
                \x20   definition: sha256:AB\n\
                \x20   resources:\n\
                \x20     - { argument: path, type: Path, form: file }\n";
    assert_eq!(
        problems(text),
        [
            "c.yaml:1:9: `Files` does not fit: a server name holds `F`; allowed are lowercase \
             letters, digits, `-` and `_`",
            "c.yaml:4:11: `lwo` is not one of `low`, `moderate`, `high`, `critical` \
             (did you mean `low`?)",
            "c.yaml:5:5: unknown key `efect` (did you mean `effect`?)",
            "c.yaml:6:17: `sha256:AB` is no digest: `sha256:` and 64 lowercase hexadecimal digits",
            "c.yaml:8:21: `path` is no JSON Pointer: it begins with `/`, `*` stands for each \
             element of a list",
            "c.yaml:8:45: `file` is not one of `text`, `path`, `url`, `uri`",
        ]
    );
    assert_eq!(
        problems(
            "actions: { a: { tier: low, effect: read, resources: \
             [{ argument: /u, type: U, form: url, root: /srv }] } }"
        ),
        ["c.yaml:1:96: only the form `path` has a root (write `form: path`, or leave `root` out)"]
    );
    assert!(
        problems(&format!("actions: {{ {}: {{ tier: low, effect: read }} }}", "x".repeat(600)))[0]
            .contains("512")
    );
    assert!(problems(&"#".repeat(CATALOGUE_BYTES_MAX + 1))[0].contains("1048576 bytes"));
}

#[test]
fn an_action_in_two_files_is_named_in_both() {
    let one = parse("a.yaml", "server: s\nactions: { x: { tier: low, effect: read } }").unwrap();
    let two = parse("b.yaml", "actions:\n  s.x: { tier: low, effect: read }").unwrap();
    let problems = merge(vec![one, two]).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "b.yaml:2:3: action `s.x` is in the catalogue twice (the other is in a.yaml:2:12)"
    );
}

fn tools() -> Vec<Value> {
    let text = br#"[
      {"name":"write_file","title":"Write","description":"Creates a file. Or not.",
       "inputSchema":{"type":"object","properties":{"path":{"type":"string"},
         "content":{"type":"string"}},"required":["path"]},
       "annotations":{"destructiveHint":false},"icons":[],"_meta":{"x":1}},
      {"name":"read_many","inputSchema":{"type":"object","properties":{"paths":{"type":"array",
         "items":{"type":"string"}},"pageUrl":{"type":"string"}},"required":["paths"]},
       "annotations":{"readOnlyHint":true}},
      {"name":"on","inputSchema":{"type":"object"}},
      {"name":"weird: #\n","description":"a\n  b","inputSchema":{"type":"object"}},
      {"name":"run_query","inputSchema":{},"annotations":{"readOnlyHint":true}}
    ]"#;
    parse_tools("t.json", text).unwrap()
}

#[test]
fn a_draft_is_a_catalogue_that_says_it_is_guessed() {
    let tools = tools();
    let pin = Digest::parse(PIN);
    let draft_tools: Vec<_> =
        tools.iter().map(|definition| DraftTool { definition, digest: pin }).collect();
    let text = draft("files", &draft_tools, None, Some("/srv/a b"));
    let file = parse("files.yaml", &text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    assert_eq!(file.entries.len(), 5);
    assert!(file.entries.iter().all(|(e, _)| e.guessed && e.definition == pin));
    let catalogue = merge(vec![file]).unwrap();
    let tier = |n: &str| catalogue.entry(&name(n)).map(|e| (e.tier, e.effect)).unwrap();
    assert_eq!(tier("files.write_file"), (Tier::Moderate, Effect::Write));
    assert_eq!(tier("files.read_many"), (Tier::Low, Effect::Read));
    assert_eq!(tier("files.on"), (Tier::High, Effect::Write));
    // A name only ever raises.
    assert_eq!(tier("files.run_query"), (Tier::High, Effect::Execute));
    let read = catalogue.entry(&name("files.read_many")).unwrap();
    let mapped: Vec<_> =
        read.resources.iter().map(|r| (r.argument.as_str(), r.ty.as_str(), r.optional)).collect();
    assert_eq!(mapped, [("/pageUrl", "Url", true), ("/paths/*", "Path", false)]);
    assert_eq!(read.resources[0].form, ModelForm::Url);
    assert_eq!(read.resources[1].form, ModelForm::Path { root: Some("/srv/a b".into()) });
    assert!(text.contains("  # Creates a file\n  write_file:"), "{text}");
    assert!(text.starts_with("# yaml-language-server: $schema=https://"));
}

fn drafted(tools: &str) -> safeconduct_model::Catalogue {
    let tools = parse_tools("t.json", tools.as_bytes()).unwrap();
    let tools: Vec<_> =
        tools.iter().map(|definition| DraftTool { definition, digest: None }).collect();
    merge(vec![parse("s.yaml", &draft("s", &tools, None, None)).unwrap()]).unwrap()
}

#[test]
fn names_in_any_spelling_suggest_what_they_mean() {
    use ArgumentRole::{Address, Amount, Command};
    for (argument, role) in [
        ("callbackURL", Some(Address)),
        ("URL", Some(Address)),
        ("userID", Some(Address)),
        ("userIDs", Some(Address)),
        ("ID", Some(Address)),
        ("toHTTPHost", Some(Address)),
        ("TO", Some(Address)),
        ("s3Key", Some(Address)),
        ("ccEmail", Some(Address)),
        ("reply.to", Some(Address)),
        ("rawSQL", Some(Command)),
        ("SQLStatement", Some(Command)),
        ("totalAmount", Some(Amount)),
        ("paid", None),
        ("HTTPS", None),
        ("emailBody", None),
    ] {
        let catalogue = drafted(&format!(
            r#"[{{"name":"a","inputSchema":{{"properties":{{"{argument}":{{"type":"string"}}}}}}}}]"#
        ));
        let uses = &catalogue.entry(&name("s.a")).unwrap().arguments;
        let found: Vec<_> = uses.iter().map(|one| (&*one.argument, one.role)).collect();
        let pointer = format!("/{argument}");
        let wanted: Vec<_> = role.map(|role| (pointer.as_str(), role)).into_iter().collect();
        assert_eq!(found, wanted, "{argument}");
    }
    for (tool, effect) in [
        ("sendEmail", Effect::Send),
        ("deleteFile", Effect::Write),
        ("runCommand", Effect::Execute),
        ("SendMail", Effect::Send),
        ("HTTPPost", Effect::Send),
        ("grantRole", Effect::Administer),
        ("send_email", Effect::Send),
        ("SEND-EMAIL", Effect::Send),
        ("listPosts", Effect::Read),
    ] {
        let catalogue = drafted(&format!(
            r#"[{{"name":"{tool}","inputSchema":{{}},"annotations":{{"readOnlyHint":true}}}}]"#
        ));
        let entry = catalogue.entry(&name(&format!("s.{tool}"))).unwrap();
        assert_eq!(entry.effect, effect, "{tool}");
        assert_eq!(entry.tier == Tier::High, effect != Effect::Read, "{tool}");
    }
}

#[test]
fn an_address_of_several_types_is_one() {
    let catalogue = drafted(
        r#"[{"name":"a","inputSchema":{"properties":{
            "url":{"anyOf":[{"type":"string"},{"type":"null"}]},"file":{"type":"boolean"}}}}]"#,
    );
    let uses = &catalogue.entry(&name("s.a")).unwrap().arguments;
    let found: Vec<_> = uses.iter().map(|one| (&*one.argument, one.role)).collect();
    assert_eq!(found, [("/url", ArgumentRole::Address)]);
}

#[test]
fn what_is_asked_of_an_open_world_is_public() {
    let catalogue = drafted(
        r#"[{"name":"search","inputSchema":{},
             "annotations":{"readOnlyHint":true,"openWorldHint":true}},
            {"name":"look","inputSchema":{},"annotations":{"readOnlyHint":true}}]"#,
    );
    let entry = |tool: &str| catalogue.entry(&name(tool)).unwrap();
    let search = entry("s.search");
    assert_eq!((search.effect, search.accepts), (Effect::Read, Confidentiality::Public));
    assert_eq!(search.returns.default.integrity, Integrity::Untrusted);
    assert_eq!(entry("s.look").accepts, Confidentiality::Internal);
}

#[test]
fn what_a_server_is_asked_for_by_its_uri_is_known() {
    let text = "server: s\nmethods:\n  resources/read: { tier: moderate, effect: read }\n  \
                resources/subscribe: { tier: low, effect: read, resources: [{ argument: /uri, \
                type: Resource }] }\n  prompts/get: { tier: low, effect: read }\n";
    let listed = merge(vec![parse("s.yaml", text).unwrap()]).unwrap();
    let unlisted = merge(vec![parse("s.yaml", "server: s").unwrap()]).unwrap();
    let of = |catalogue: &safeconduct_model::Catalogue, method: &str| {
        let entry = catalogue.entry(&name(method)).unwrap().clone();
        let uses: Vec<_> =
            entry.arguments.iter().map(|one| (one.argument.to_string(), one.role)).collect();
        (entry.resources.first().map(|one| one.form.clone()), uses)
    };
    let by_uri = (Some(ModelForm::Uri), vec![("/uri".to_owned(), ArgumentRole::Address)]);
    for method in ["s/resources/read", "s/resources/subscribe"] {
        assert_eq!(of(&unlisted, method), by_uri, "{method}");
    }
    assert_eq!(of(&listed, "s/resources/read"), by_uri);
    assert_eq!(of(&listed, "s/resources/subscribe").0, Some(ModelForm::Text));
    for method in ["s/prompts/get", "s/completion/complete", "s/logging/setLevel"] {
        assert_eq!(of(&unlisted, method), (None, Vec::new()), "{method}");
        assert_eq!(of(&listed, method), (None, Vec::new()), "{method}");
    }
    // A tool of that name is no method.
    let tool = "server: s\nactions: { resources/read: { tier: low, effect: read } }";
    let tool = merge(vec![parse("s.yaml", tool).unwrap()]).unwrap();
    assert_eq!(of(&tool, "s.resources/read"), (None, Vec::new()));
}

#[test]
fn an_empty_draft_is_a_catalogue() {
    assert!(parse("x.yaml", &draft("x", &[], None, None)).unwrap().entries.is_empty());
}

#[test]
fn a_pin_covers_what_an_agent_is_told() {
    let tools = tools();
    let pinned = definition_digest_input(&tools[0]);
    let members: Vec<_> = pinned.as_object().unwrap().keys().map(|k| &**k).collect();
    assert_eq!(members, ["annotations", "description", "inputSchema", "name", "title"]);
}

#[test]
fn approved_tools_are_written_as_they_are_read() {
    let tools = tools();
    let text = write_tools(&tools);
    let mut again = parse_tools("t.json", text.as_bytes()).unwrap();
    assert_eq!(write_tools(&again), text);
    assert_eq!(again.len(), tools.len());
    again.push(again[0].clone());
    let duplicate = json::to_bytes(&Value::Array(again));
    let problems = parse_tools("t.json", &duplicate).unwrap_err();
    assert_eq!(problems[0].message, "`/5/name` is the name of two tools");
    assert!(parse_tools("t.json", b"{}").is_err());
    assert!(parse_tools("t.json", b"[{\"inputSchema\":1}]").unwrap_err().len() == 2);
    assert_eq!(parse_tools("t.json", b"[\n1,,]").unwrap_err()[0].line, 2);
}

#[test]
fn a_pin_changes_nothing_but_itself() {
    let new = Digest::from_bytes([0xcd; 32]);
    let text = format!(
        "server: files # the files\n\
         actions:\n\
         \x20 a: # first\n\
         \x20   tier: low   # low\n\
         \x20   definition: \"{PIN}\" # old\n\
         \x20   effect: read\n\
         \x20 b:\n\
         \x20   # no pin yet\n\
         \x20   tier: low\n\
         \x20   effect: read\n\
         \x20 c: {{ tier: low, effect: read }} # flow\n\
         methods:\n\
         \x20 resources/read: {{ tier: low, effect: read }}\n"
    );
    let pinned = repin("f", &text, "files.a", &new).unwrap();
    assert_eq!(pinned, text.replace(&format!("\"{PIN}\""), &new.to_string()));
    let pinned = repin("f", &text, "files.b", &new).unwrap();
    assert_eq!(
        pinned,
        text.replace(
            "    # no pin yet\n    tier: low\n",
            &format!("    # no pin yet\n    definition: {new}\n    tier: low\n")
        )
    );
    let pinned = repin("f", &text, "files.c", &new).unwrap();
    assert_eq!(pinned, text.replace("c: { tier", &format!("c: {{ definition: {new}, tier")));
    assert!(
        repin("f", &text, "files/resources/read", &new).unwrap().contains("read: { definition")
    );
    for missing in ["files.x", "a", "other.a", "files/a"] {
        assert!(repin("f", &text, missing, &new).is_err(), "{missing}");
    }
}

proptest! {
    #[test]
    fn every_draft_can_be_read(
        names in prop::collection::btree_set("[ -~\u{e9}\n]{1,12}", 0..6),
        arguments in prop::collection::vec("[ -~]{1,8}(path|Url|_file)?", 0..4),
        description in "[ -~\u{85}\u{2028}\n]{0,200}",
    ) {
        let tools: Vec<Value> = names.iter().map(|name| Value::object([
            ("name", Value::from(name.as_str())),
            ("description", Value::from(description.as_str())),
            ("inputSchema", Value::object([("properties", Value::object(
                arguments.iter().map(|argument| (
                    argument.as_str(),
                    Value::object([("type", Value::from("string"))]),
                )),
            ))])),
        ])).collect();
        let draft_tools: Vec<_> =
            tools.iter().map(|definition| DraftTool { definition, digest: None }).collect();
        let text = draft("s", &draft_tools, None, None);
        let file = parse("s.yaml", &text);
        prop_assert!(file.is_ok(), "{:?}\n{text}", file);
    }
}

const LABELLED: &str = "
server: bank
defaults: { integrity: untrusted, confidentiality: confidential, categories: [finance] }
declassifiers:
  redacted: { requires: ['redact:$.iban'], confidentiality: internal, drops: [pii] }
actions:
  history:
    tier: low
    effect: read
    fields:
      - { field: /transactions/*/id, integrity: trusted, confidentiality: internal }
      - { field: /transactions/*/sender, categories: [pii] }
  pay:
    tier: moderate
    effect: send
    arguments:
      - { argument: /recipient, role: address }
      - { argument: /amount, role: amount }
";

#[test]
fn labels_are_said_once_and_field_by_field() {
    let file = parse("bank.yaml", LABELLED).unwrap();
    let catalogue = merge(vec![file]).unwrap();
    let entry = |name: &str| catalogue.entry(&ActionName::new(name).unwrap()).unwrap();
    let names = |label: &Label| {
        let categories: Vec<_> = label.categories.iter().map(|one| one.as_str()).collect();
        (label.integrity.as_str(), label.confidentiality.as_str(), categories.join(","))
    };
    let history = &entry("bank.history").returns;
    assert_eq!(names(&history.default), ("untrusted", "confidential", "finance".into()));
    assert_eq!(names(&history.fields[0].label), ("trusted", "internal", "finance".into()));
    assert_eq!(names(&history.fields[1].label), ("untrusted", "confidential", "pii".into()));
    // What sends may be given what is public, unless it is said; what reads, what it hands out.
    assert_eq!(entry("bank.pay").accepts, Confidentiality::Public);
    assert_eq!(entry("bank.history").accepts, Confidentiality::Confidential);
    assert_eq!(entry("bank.pay").arguments[1].role, ArgumentRole::Amount);
    let redacted = &catalogue.declassifiers["redacted"];
    assert_eq!(redacted.requires, [Obligation::parse("redact:$.iban")]);
    assert_eq!(
        names(&redacted.lower(&history.fields[1].label)),
        ("untrusted", "internal", String::new())
    );
}

#[test]
fn a_slip_in_a_label_is_named() {
    let text = LABELLED
        .replace("role: amount", "role: amuont")
        .replace("drops: [pii]", "drops: [Pii]")
        .replace("/transactions/*/id,", "transactions,");
    let problems: Vec<String> =
        parse("bank.yaml", &text).unwrap_err().iter().map(ToString::to_string).collect();
    let problems = problems.join("; ");
    for part in
        ["`Pii` is no category", "`transactions` is no JSON Pointer", "did you mean `amount`?"]
    {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    let twice = |name: &str| parse(name, LABELLED).unwrap();
    let mut other = twice("b.yaml");
    other.entries.clear();
    let problems = merge(vec![twice("a.yaml"), other]).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "b.yaml:5:3: declassifier `redacted` is in the catalogue twice (the other is in a.yaml:5:3)"
    );
}

#[test]
fn arguments_raise_a_tier_and_nothing_lowers_it() {
    let text = "actions:\n  pay:\n    tier: moderate\n    effect: write\n    raise:\n    \
                - { to: high, unless: { /sum: { at_most: 10 } } }\n    \
                - { to: critical, unless: { /sum: { at_most: 1000 }, /to: { one_of: [a, b], optional: true } } }\n";
    let file = parse("a.yaml", text).unwrap();
    let (entry, _) = &file.entries[0];
    let tier = |json: &str| entry.tier_of(&crate::json::parse(json.as_bytes()).unwrap());
    assert_eq!(tier(r#"{"sum": 10, "to": "a"}"#), Tier::Moderate);
    assert_eq!(tier(r#"{"sum": 10.5, "to": "b"}"#), Tier::High);
    assert_eq!(tier(r#"{"sum": 1e3}"#), Tier::High);
    assert_eq!(tier(r#"{"sum": 1000.01}"#), Tier::Critical);
    assert_eq!(tier(r#"{"sum": 1, "to": "c"}"#), Tier::Critical);
    for odd in [r#"{"sum": "1"}"#, "{}", r#"{"sum": null}"#, r#"{"sum": [1]}"#] {
        assert_eq!(tier(odd), Tier::Critical, "{odd}");
    }
    let raise =
        |of: &str| format!("actions: {{ pay: {{ tier: high, effect: write, raise: [{of}] }} }}");
    for wrong in [
        "{ to: high, unless: { /sum: { at_most: 1 } } }",
        "{ to: low, unless: { /sum: { at_most: 1 } } }",
        "{ to: critical, unless: {} }",
        "{ to: critical, unless: { /sum: {} } }",
        "{ to: critical, unless: { /sum: { at_most: many } } }",
        "{ to: critical, unless: { sum: { at_most: 1 } } }",
        "{ to: critical, unless: { /sum: { equals: '${most}' } } }",
    ] {
        assert!(parse("a.yaml", &raise(wrong)).is_err(), "{wrong}");
    }
}
