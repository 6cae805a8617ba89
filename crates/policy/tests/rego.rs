//! Rego beside Cedar: what loads, what it says, and that it is bounded.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safeconduct_model::{Decision, Value};
    use safeconduct_policy::{Diagnostic, Evaluation, Policies, SourceFile, Sources, Verdict};

    use crate::world::{ask, loaded, refused, sources};

    const READ: &str = "files.read_text_file";
    const PATH: &str = r#"{"path":"/cases/4711/notes.md"}"#;
    const PERMIT_ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

    fn with(cedar: &str, rego: &[(&str, &str)]) -> Sources {
        let mut sources = sources(cedar);
        if cedar.is_empty() {
            sources.policies.clear();
        }
        sources.policies.extend(rego.iter().map(|(name, text)| SourceFile::new(*name, *text)));
        sources
    }

    fn rego(text: &str) -> Sources {
        with("", &[("a.rego", text)])
    }

    fn decide(policies: &Policies) -> Evaluation {
        ask(policies, READ, PATH).unwrap()
    }

    fn answer(text: &str) -> Evaluation {
        decide(&loaded(&rego(text)))
    }

    fn problem(sources: &Sources) -> Diagnostic {
        refused(sources).diagnostics[0].clone()
    }

    fn error(evaluation: &Evaluation) -> &str {
        assert_eq!(evaluation.enforced.decision(), Decision::Deny);
        &evaluation.enforced.errors[0].1
    }

    #[test]
    fn a_boolean_decides() {
        let text = r#"
            package safeconduct
            default allow := false
            allow if input.context.input.path == "/cases/4711/notes.md"
        "#;
        let policies = loaded(&rego(text));
        assert_eq!(policies.len(), 1);
        let permitted = decide(&policies);
        assert_eq!(permitted.enforced.decision(), Decision::Permit);
        assert_eq!(permitted.enforced.permits[0].id.as_str(), "rego:safeconduct.allow");
        assert_eq!(permitted.enforced.permits[0].span.to_string(), "a.rego:3:13");
        let denied = ask(&policies, READ, r#"{"path":"/x"}"#).unwrap();
        assert_eq!(denied.enforced.decision(), Decision::Deny);
        assert_eq!(denied.enforced.forbids[0].id.as_str(), "rego:safeconduct.allow");
    }

    #[test]
    fn an_object_says_why_what_to_do_and_whom_to_ask() {
        let text = r#"
            package safeconduct
            deny contains {"id": "late", "message": "not so late"} if {
                input.context.session.steps > 2
            }
            decision := {
                "allow": count(deny) == 0,
                "reasons": deny,
                "obligations": ["redact:$.ssn"],
                "requestable": {"approvers": "resource.owner", "quorum": 2, "ttl": "30m"},
            }
        "#;
        let denied = answer(text);
        let reason = &denied.enforced.forbids[0];
        assert_eq!(
            (reason.id.as_str(), reason.message.as_deref()),
            ("rego:late", Some("not so late"))
        );
        let terms = denied.requestable.unwrap();
        assert_eq!((&*terms.approvers, terms.quorum, terms.ttl_s), ("resource.owner", 2, 1800));
        let permitted = answer(&text.replace("> 2", "> 3"));
        assert_eq!(permitted.enforced.decision(), Decision::Permit);
        assert_eq!(permitted.obligations[0].to_string(), "redact:$.ssn");
        assert_eq!(permitted.requestable, None);
    }

    #[test]
    fn the_input_is_the_context_of_cedar_as_json() {
        let permitted = answer(
            r#"
            package safeconduct
            default allow := false
            allow if {
                input.principal.type == "Safeconduct::Agent"
                input.principal.id == "a"
                {"type": "Safeconduct::Group", "id": "clerks"} in input.principal.ancestors
                input.action.type == "Safeconduct::Action"
                input.action.id == "files.read_text_file"
                input.resource.attributes.path == "/cases/4711/notes.md"
                some above in input.resource.ancestors
                above.id == "/cases/4711"
                input.context.session.steps == 3
                input.context.session.actions == []
                input.context.identity.kind == "agent"
                input.context.action.tier == "low"
                input.context.action.guessed == false
                input.context.time.now == "2024-02-29T12:34:56.789Z"
                input.context.time.now_ns == 1709210096789000000
                startswith(input.context.input.path, "/cases/")
                not input.context.task
            }
            "#,
        );
        assert_eq!(permitted.enforced.decision(), Decision::Permit, "{permitted:#?}");
    }

    #[test]
    fn numbers_and_lists_stay_as_they_were_sent() {
        let policies = loaded(&rego(
            r#"
            package safeconduct
            default allow := false
            allow if {
                input.context.input.amount <= 10.25
                input.context.input.tags == ["b", "a"]
            }
            "#,
        ));
        let ask = |amount: &str| {
            let input = format!(r#"{{"amount":{amount},"tags":["b","a"]}}"#);
            ask(&policies, "files.pay", &input).unwrap().enforced.decision()
        };
        assert_eq!(ask("10.25"), Decision::Permit);
        assert_eq!(ask("10"), Decision::Permit);
        assert_eq!(ask("10.2501"), Decision::Deny);
    }

    #[test]
    fn each_engine_that_has_policies_must_permit() {
        let allow = [("a.rego", "package safeconduct\nallow := true")];
        let deny = [("a.rego", "package safeconduct\nallow := false")];
        let none = r#"@id("none") forbid (principal, action, resource);"#;
        let other = r#"permit (principal == Safeconduct::Agent::"b", action, resource);"#;
        for (cedar, rego, expected) in [
            ("", &allow, Decision::Permit),
            ("", &deny, Decision::Deny),
            (PERMIT_ALL, &allow, Decision::Permit),
            (PERMIT_ALL, &deny, Decision::Deny),
            (none, &allow, Decision::Deny),
            (other, &allow, Decision::Deny),
        ] {
            let answer = decide(&loaded(&with(cedar, rego)));
            assert_eq!(answer.enforced.decision(), expected, "{cedar} {rego:?}");
        }
        let unpermitted = decide(&loaded(&with(other, &allow)));
        assert!(unpermitted.enforced.permits.is_empty() && unpermitted.enforced.forbids.is_empty());
    }

    #[test]
    fn what_is_no_decision_is_a_deny_that_says_so() {
        for (rule, says) in [
            ("allow if input.nothing", "`data.safeconduct.allow` has no value"),
            ("allow := \"yes\"", "is a string, not a boolean or an object"),
            ("allow := null", "is null"),
            ("decision := {\"reasons\": []}", "has no member `allow`"),
            ("decision := {\"allow\": 1}", "has an `allow` that is a number"),
            ("decision := {\"allow\": true, \"alow\": 1}", "has a member that is none of"),
            ("decision := {\"allow\": true, \"obligations\": [\"Redact it\"]}", "obligation"),
            ("decision := {\"allow\": false, \"reasons\": [{\"id\": \"a\\nb\"}]}", "`id`"),
            ("decision := {\"allow\": false, \"requestable\": {\"quorum\": 1}}", "approvers"),
            (
                "allow if 1 / input.context.session.denials == input.context.input.path / 2",
                "not possible",
            ),
            ("allow if to_number(input.context.input.path) == 1", "not possible"),
            ("allow if not to_number(input.context.input.path) == 1", "not possible"),
            ("allow if not input.context.input.path > 3", "not possible"),
            ("allow if not input.context.input.path + 3 == 4", "not possible"),
            (
                "allow if count(deny) == 0\ndeny contains 1 if input.context.input.path / 2 == 1",
                "not possible",
            ),
            ("allow if every x in [1, 0] { 1 / x > 0 }", "not possible"),
            ("allow if count([x | some x in [1, 0]; 1 / x > 0]) == 1", "not possible"),
            ("allow if not f(0)\nf(x) if 1 / x == 1", "not possible"),
            ("allow if not regex.match(\"(\", input.principal.id)", "not possible"),
        ] {
            let evaluation = answer(&format!("package safeconduct\n{rule}"));
            let said = error(&evaluation);
            assert!(said.contains(says), "{rule}: {said}");
            assert!(!said.contains("/cases/4711"), "values stay out of errors: {said}");
        }
    }

    #[test]
    fn decisions_are_bounded() {
        let over = answer(
            r#"
            package safeconduct
            xs := [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
            allow if {
                some a in xs; some b in xs; some c in xs; some d in xs; some e in xs
                a + b + c + d + e == 0
            }
            "#,
        );
        assert!(error(&over).contains("more than the limit of 50000 instructions"), "{over:?}");
        let policies = loaded(&rego("package safeconduct\nallow if input.context"));
        let long = format!(r#"{{"path":"{}"}}"#, "x".repeat(300 << 10));
        let over = ask(&policies, READ, &long).unwrap();
        assert!(error(&over).contains("more than the limit of 262144 bytes"));
        let deep = format!("{}1{}", r#"{"a":"#.repeat(70), "}".repeat(70));
        let over = ask(&policies, "files.pay", &format!(r#"{{"amount":1,"any":{deep}}}"#)).unwrap();
        assert!(error(&over).contains("nest deeper"));
        let odd = ask(&policies, "files.pay", r#"{"amount":1,"any":1e300}"#).unwrap();
        assert!(error(&odd).contains("cannot be held exactly"));
    }

    #[test]
    fn the_deepest_calls_fit_the_stack() {
        let mut text = String::from("package safeconduct\nallow if f1(1)\n");
        for n in 1..62 {
            text.push_str(&format!("f{n}(x) if {{ every y in [1, 2] {{ f{}(x + y) }} }}\n", n + 1));
        }
        text.push_str("f62(x) if x > 0\n");
        let policies = loaded(&rego(&text));
        std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || decide(&policies).enforced.decision())
            .unwrap()
            .join()
            .unwrap();
        text.push_str("f63(x) if x > 0\nf64(x) if f63(x)\nf65(x) if f64(x)\n");
        let deeper = text.replace("f62(x) if x > 0", "f62(x) if f65(x)");
        assert!(problem(&rego(&deeper)).message.contains("more than 64 levels deep"));
    }

    #[test]
    fn what_reads_the_world_is_refused_with_its_place() {
        for (call, at) in [
            ("time.now_ns() > 1", "a.rego:4:5"),
            ("rand.intn(\"x\", 2) == 1", "a.rego:4:5"),
            ("uuid.rfc4122(\"x\") == \"y\"", "a.rego:4:5"),
            ("http.send({\"url\": \"http://x\"}).status_code == 200", "a.rego:4:5"),
            ("opa.runtime().env.X == \"y\"", "a.rego:4:5"),
            ("print(\"x\")", "a.rego:4:5"),
            ("trace(\"x\")", "a.rego:4:5"),
            ("count(numbers.range(1, input.n)) > 1", "a.rego:4:11"),
            ("__builtin_host_await(1, 2)", "a.rego:4:5"),
        ] {
            let text = format!("package safeconduct\n\nallow if {{\n    {call}\n}}\n");
            let problem = problem(&rego(&text));
            let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
            assert_eq!(place, at, "{problem}");
            assert!(problem.message.contains("is not available"), "{problem}");
        }
        // Where nobody looks, too.
        let hidden = problem(&rego("package safeconduct\nallow := true\nx := time.now_ns()"));
        assert_eq!(hidden.line, 3);
    }

    #[test]
    fn what_could_grow_with_the_square_of_the_input_is_refused() {
        for (call, fits) in [
            ("replace(input.a, \"a\", \"b\") == \"\"", true),
            ("replace(input.a, \"a\", input.b) == \"\"", false),
            ("concat(\", \", input.a) == \"\"", true),
            ("concat(input.a, input.b) == \"\"", false),
            ("sprintf(\"%5d %s\", [1, \"x\"]) == \"\"", true),
            ("sprintf(\"%999999999d\", [1]) == \"\"", false),
            ("sprintf(input.a, [1]) == \"\"", false),
            ("trim(input.a, \"/\") == \"\"", true),
            ("trim(input.a, input.b) == \"\"", false),
            ("strings.any_prefix_match(input.a, [\"/a\", \"/b\"])", true),
            ("strings.any_suffix_match({\"/a\"}, input.b)", true),
            ("strings.any_prefix_match(input.a, prefixes)", true),
            ("{ some x in input.a; strings.any_prefix_match(x, prefixes) }", true),
            ("strings.any_prefix_match(input.a, input.b)", false),
            ("strings.any_suffix_match(input.a, theirs)", false),
            ("strings.any_suffix_match([input.a], [\"a\", input.b])", false),
            ("object.subset(input.a, {\"a\": 1})", true),
            ("object.subset(input.a, input.b)", false),
            ("object.union_n([input.a, input.b]) == {}", true),
            ("object.union_n(input.a) == {}", false),
            ("indexof_n(input.a, \"a\") == []", true),
            ("indexof_n(input.a, input.b) == []", false),
            ("strings.count(input.a, \"a\") == 1", true),
            ("strings.count(input.a, \"\") == 1", false),
            ("strings.count(input.a, input.b) == 1", false),
            ("product(input.a) == 1", false),
        ] {
            const RULES: &str = "prefixes := [\"/a\", \"/b\"]\ntheirs := input.prefixes";
            let text = format!("package safeconduct\nallow if {call}\n{RULES}");
            let sources = rego(&text);
            let loaded = safeconduct_policy::load(&sources);
            assert_eq!(loaded.is_ok(), fits, "{call}: {:?}", loaded.err());
        }
    }

    #[test]
    fn slips_are_refused_with_their_place_and_advice() {
        for (text, line, says, help) in [
            (
                "package safeconduct\nalow := true",
                2,
                "has no rule that decides",
                "did you mean `allow`?",
            ),
            ("package safeconduct\nrules := 1", 1, "has no rule that decides", "allow if"),
            (
                "package safecondut\nallow := true",
                1,
                "no file is of the package",
                "package safeconduct",
            ),
            ("package safeconduct\nallow if {", 2, "", ""),
            ("package safeconduct\nallow if f(1)", 2, "f", ""),
            ("package safeconduct\nallow if data.limits.x", 2, "no data documents", "limits :="),
            ("package safeconduct\nallow contains 1", 0, "no rule with one value", "decision"),
            ("package safeconduct\nallow(x) := true", 0, "no rule with one value", ""),
            ("package safeconduct\nallow if allow", 0, "", ""),
            ("package safeconduct\nallow if f(1)\nf(x) if f(x + 1)", 3, "comes back to itself", ""),
            ("package safeconduct\nallow if f(1)\nf(x) if g(x)\ng(x) if f(x)", 4, "comes back", ""),
            (
                "package safeconduct\nallow := true\ndeny contains 1",
                3,
                "never looks at `deny`",
                "count(deny)",
            ),
            ("package safeconduct\nallow := 1e999999999", 2, "exponent", ""),
            ("package safeconduct\nallow if data.safeconduct[input.x]", 0, "recursion", ""),
            ("package safeconduct\nallow if data.lib[input.x]", 2, "no data documents", ""),
            (
                "package safeconduct\nallow if x == 1\nx := 1 if input.a\nx := 2 if input.b",
                4,
                "different values",
                "else",
            ),
            ("package safeconduct\nallow if true with input as {}", 2, "with", ""),
            (
                "package safeconduct\nallow if time.parse_ns(1)",
                2,
                "does not have it",
                "docs/rego.md",
            ),
            (
                "package safeconduct\nallow if { walk(input, [p, v]); v == 1 }",
                2,
                "does not have it",
                "docs/rego.md",
            ),
            ("package safeconduct\nallow if [[[[[[[[[[[1]]]]]]]]]]]", 2, "nest deeper", ""),
        ] {
            let problem = problem(&rego(text));
            assert!(problem.message.contains(says), "{text}: {problem}");
            assert!(problem.help.as_deref().unwrap_or("").contains(help), "{text}: {problem:?}");
            if line > 0 {
                assert_eq!(problem.line, line, "{text}: {problem}");
            }
        }
        let two = [
            ("a.rego", "package safeconduct\nallow := true"),
            ("b.rego", "package elsewhere\nx := 1"),
        ];
        let unseen = problem(&with("", &two));
        assert_eq!((&*unseen.file, unseen.line), ("b.rego", 1));
        assert!(unseen.message.contains("looks at nothing in the package `data.elsewhere`"));
        let taken = with(
            r#"@id("rego:x") permit (principal, action, resource);"#,
            &[("a.rego", "package safeconduct\nallow := true")],
        );
        assert!(problem(&taken).message.contains("name what Rego files say"));
    }

    #[test]
    fn packages_look_at_each_other_and_unseen_rules_are_told() {
        let files = [
            (
                "a.rego",
                "package safeconduct\nimport data.lib.paths\nallow if paths.ours(input.context.input.path)\nspare := 1",
            ),
            ("lib/paths.rego", "package lib.paths\nours(path) if startswith(path, \"/cases/\")"),
        ];
        let policies = loaded(&with("", &files));
        assert_eq!(decide(&policies).enforced.decision(), Decision::Permit);
        let warnings: Vec<String> = policies.warnings().map(ToString::to_string).collect();
        assert_eq!(warnings, ["a.rego:4:1: warning: the decision never looks at `spare`"]);
    }

    #[test]
    fn in_shadow_it_is_recorded_and_has_no_say() {
        let text = "package safeconduct\n\n# METADATA\n# title: a try\n# custom:\n#   mode: shadow\n#   control: ASI02, ASI03\nallow := false\n";
        let policies = loaded(&with(PERMIT_ALL, &[("a.rego", text)]));
        let answer = decide(&policies);
        assert_eq!(answer.enforced.decision(), Decision::Permit);
        assert_eq!(answer.shadow.forbids[0].id.as_str(), "rego:safeconduct.allow");
        assert_eq!(policies.iter().last().unwrap().controls.len(), 2);
        let alone = decide(&loaded(&rego(&text.replace("allow := false", "allow := true"))));
        assert_eq!(alone.enforced.decision(), Decision::Deny);
        let slip = problem(&rego(&text.replace("shadow", "shaddow")));
        assert!(slip.message.contains("`shaddow`, which is no mode"), "{slip}");
        assert_eq!(slip.line, 6);
    }

    #[test]
    fn explaining_shows_the_rule() {
        let policies = loaded(&rego("package safeconduct\n# why\nallow if {\n  false\n}\n# end\n"));
        let id = &policies.iter().next().unwrap().reference.id;
        assert_eq!(policies.source_text(id).as_deref(), Some("allow if {\n  false\n}"));
        assert!(policies.policy(id).is_some());
        let action = safeconduct_model::ActionName::new(READ).unwrap();
        let principal = crate::world::entity("Agent", "a");
        let situation = crate::world::situation(safeconduct_model::Tier::Low);
        let explained = policies
            .explain(&safeconduct_policy::Question {
                principal: &principal,
                action: &action,
                resource: &crate::world::entity("Safeconduct::Path", "/x"),
                input: &crate::world::json(PATH),
                additional: safeconduct_policy::AdditionalArguments::Refused,
                situation: &situation,
                extra: &[],
            })
            .unwrap();
        assert!(matches!(&explained[0].verdict, Verdict::Failed(why) if why.contains("no value")));
        assert!(policies.may_permit(&principal, &action));
    }

    #[test]
    fn one_digest_names_all_files_and_equal_files_are_not_compiled_again() {
        let first = loaded(&with(PERMIT_ALL, &[("a.rego", "package safeconduct\nallow := true")]));
        let second =
            loaded(&with(PERMIT_ALL, &[("a.rego", "package safeconduct\nallow := false")]));
        assert_ne!(first.digest(), second.digest());
        let same = with(PERMIT_ALL, &[("a.rego", "package safeconduct\nallow := true")]);
        let again = safeconduct_policy::load_reusing(&same, &second).unwrap().policies;
        assert_eq!(again.digest(), first.digest());
        assert_eq!(decide(&again).enforced.decision(), Decision::Permit);
        let none = safeconduct_policy::load_reusing(&sources(PERMIT_ALL), &again).unwrap().policies;
        assert_eq!(none.len(), 1);
    }

    fn assert_shared<T: Send + Sync>(_: &T) {}

    #[test]
    fn nothing_is_left_from_one_question_to_the_next() {
        let policies = loaded(&rego(
            "package safeconduct\nallow if input.context.input.path == \"/a\"\nallow if 1 / input.context.input.head == 1",
        ));
        assert_shared(&policies);
        let one = |input: &str| ask(&policies, READ, input).unwrap();
        let inputs = [r#"{"path":"/a","head":1}"#, r#"{"path":"/b","head":0}"#, r#"{"path":"/b"}"#];
        let first: Vec<Evaluation> = inputs.iter().map(|input| one(input)).collect();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        for (input, expected) in inputs.iter().zip(&first) {
                            assert_eq!(&one(input), expected);
                        }
                    }
                });
            }
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Each engine's verdict is `None` where it has no policies.
        #[test]
        fn a_deny_of_either_engine_wins(
            permits in proptest::option::of(any::<bool>()),
            forbids in any::<bool>(),
            rego in proptest::option::of(0_u8..4),
        ) {
            let mut cedar = String::new();
            if let Some(permits) = permits {
                cedar.push_str(if permits { PERMIT_ALL } else {
                    r#"permit (principal == Safeconduct::Agent::"b", action, resource);"#
                });
                if forbids {
                    cedar.push_str("forbid (principal, action, resource);");
                }
            }
            let said = ["true", "false", "\"x\"", "1 if input.nothing"];
            let file = rego.map(|n| format!("package safeconduct\nallow := {}", said[n as usize]));
            let files: Vec<(&str, &str)> = file.iter().map(|text| ("a.rego", text.as_str())).collect();
            let evaluation = decide(&loaded(&with(&cedar, &files)));
            let cedar_says = permits.map(|permits| permits && !forbids);
            let rego_says = rego.map(|n| n == 0);
            let expected = match (cedar_says, rego_says) {
                (None, None) => false,
                (a, b) => a.unwrap_or(true) && b.unwrap_or(true),
            };
            prop_assert_eq!(evaluation.enforced.decision() == Decision::Permit, expected);
        }

        #[test]
        fn no_text_makes_loading_fall(text in "(package safeconduct\n)?(allow|decision)?[ a-z:=\\[\\]{}()|\"`.,;#\n0-9_-]{0,200}") {
            if let Ok(loaded) = safeconduct_policy::load(&rego(&text)) {
                let _ = decide(&loaded.policies);
            }
        }
    }

    #[test]
    fn two_values_where_one_may_be_are_an_error() {
        for rule in [
            "allow := v if { some v in [true, false] }",
            "allow := v if { some v in {true, false} }",
            "allow := v if { v := [false, true][_] }",
            "allow := r.allow if { some r in [{\"allow\": false}, {}, {\"allow\": true}] }",
            "allow if f([1, 2]) == 2\nf(xs) := x if { some x in xs }",
            "allow if not f([1, 2]) == 2\nf(xs) := x if { some x in xs }",
            "allow if limit.a == 1000\nlimit[k] := 100 if some k in [\"a\"]\nlimit[k] := 1000 if some k in [\"a\"]",
            "allow if limit.a == 2\nlimit[k] := v if { k := \"a\"; some v in [1, 2] }",
            "allow if { x := {k: v | some v in [1, 2]; k := \"a\"}; x.a == 2 }",
            "allow if { some y in [1]; x := {k: [v, y] | some v in [1, 2]; k := \"a\"}; x.a == [2, 1] }",
        ] {
            let evaluation = answer(&format!("package safeconduct\n{rule}"));
            let said = error(&evaluation);
            assert!(said.contains("two different values, at a.rego:"), "{rule}: {said}");
        }
        for rule in [
            "allow := v if { some v in [true, true] }",
            "allow := v if { some v in [1, 2]; v == 3 } else := true",
            "allow if f([2, 2]) == 2\nf(xs) := x if { some x in xs }",
            "allow if limit == {\"a\": 1, \"b\": 2}\nlimit[k] := v if { some k, v in {\"a\": 1, \"b\": 2} }",
            "allow if limit.a == 1\nlimit[k] := 1 if some k in [\"a\"]\nlimit[k] := v if { k := \"a\"; some v in [1, 1] }",
            "allow if { x := {k: v | some k, v in {\"a\": 1, \"b\": 2}}; x.b == 2; count(x) == 2 }",
            "allow if { x := {k: v | some v in [1, 1]; some k in [\"a\", \"b\"]}; count(x) == 2 }",
        ] {
            let permitted = answer(&format!("package safeconduct\n{rule}"));
            assert_eq!(permitted.enforced.decision(), Decision::Permit, "{rule}: {permitted:?}");
        }
    }

    #[test]
    fn what_is_missing_is_left_out() {
        const SOME: &str = "rs := [{\"v\": 1}, {}, {\"v\": 1}]\n";
        for rule in [
            "allow := r.v == 1 if { some r in rs }",
            "allow if count([r.v | some r in rs]) == 2",
            "allow if count({r.v | some r in rs}) == 1",
            "allow if count({k: r.v | some k, r in rs}) == 2",
            "allow if count({r.v: k | some k in [7]; some r in rs}) == 1",
            "allow if l == {0: 1, 2: 1}\nl[k] := r.v if { some k, r in rs }",
            "allow if count(l) == 0\nl[k] := v if { some k in [1]; v := input.nothing }",
            "allow if count([input.nothing | true]) == 0",
            "allow if [input.nothing | some x in rs] == []",
            // What an `else` is for.
            "allow if l == 3\nl := 1 if { some x in [1]; x == 2 } else := 3",
            "allow if l == 3\nl := 1 if { some x in []; x == 2 } else := 3",
            "allow if l == 3\nl := input.nothing if { true } else := 3",
            "allow if l == 3\nl := 1 if { [1][_] == 2 } else := 2 if { some x in [1]; x == 5 } else := 3",
            "allow if l == 1\nl := 1 if { some x in [1, 2]; x == 1 } else := 3",
            "allow if f(2) == 3\nf(y) := 1 if { some x in [1]; x == y } else := 3",
            // What fails in a comprehension ends that, and not what stands around it.
            "allow if { some x in [1]; count([y | y := 1; y == 2]) == 0 }",
            "allow if { some x in [1]; {y | y := input.nothing} == set() }",
            "allow if { some x in [1]; {y: 1 | y := 1; y == 2} == {} }",
            "allow if { some x in [1]; count([y | x == 2; some y in [1, 2]]) == 0 }",
            "allow if { some x in [2]; [y | x == 2; some y in [1, 2]] == [1, 2] }",
            "allow if { every x in [1, 2] { count([y | y := x; y > 2]) == 0 } }",
            "allow if { every x in [1, 2] { [y | y := x; some z in [1, 2]; z == x] == [x] } }",
            "allow if count([x | some x in [1, 2]; count([y | y := x; y == 2]) == 0]) == 1",
            "allow if [[z | z := y; z == 1] | some y in [1, 2]] == [[1], []]",
            "allow if [[[u | u := z; u == 1] | z := y; z == 1] | some y in [1, 2]] == [[[1]], []]",
            "allow if { some x in [1, 2]; xs := [y | y := x; y == 2]; count(xs) == 1; x == 2 }",
            "allow if count(l) == 1\nl[x] := [y | y := x; y == 2] if { some x in [1] }",
            "allow if count(l) == 1\nl contains [y | y := x; y == 2] if { some x in [1] }",
            "allow if { some x in [1]; not count([y | y := x; y == 2]) == 1 }",
        ] {
            let permitted = answer(&format!("package safeconduct\n{SOME}{rule}"));
            assert_eq!(permitted.enforced.decision(), Decision::Permit, "{rule}: {permitted:?}");
        }
    }

    #[test]
    fn what_the_docs_and_the_fuzzer_start_from_loads() {
        let docs = [
            ("desk.rego", include_str!("../../../docs/cli/rego.in/policies/desk.rego")),
            (
                "lib/amounts.rego",
                include_str!("../../../docs/cli/rego.in/policies/lib/amounts.rego"),
            ),
        ];
        let seeds = [
            include_str!("../../../fuzz/seeds/rego/allow.rego"),
            include_str!("../../../fuzz/seeds/rego/desk.rego"),
        ];
        for sources in seeds.map(rego).into_iter().chain([with("", &docs)]) {
            let said = decide(&loaded(&sources));
            assert!(said.enforced.errors.is_empty(), "{said:?}");
        }
    }

    #[test]
    fn null_arguments_are_none() {
        let policies = loaded(&rego("package safeconduct\nallow if input.context.input == {}"));
        assert!(Value::Null == crate::world::json("null"));
        let answer = ask(&policies, "files.list", "null");
        assert!(answer.is_err() || answer.unwrap().enforced.decision() == Decision::Permit);
    }
}
