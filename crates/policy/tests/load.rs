//! What loads, and what is said of what does not.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use safeconduct_model::{ActionName, PolicyId, ServerName};
    use safeconduct_policy::{
        EXPRESSION_DEPTH_MAX, FILE_BYTES_MAX, LoadError, NESTING_MAX, Naming, Severity, SourceFile,
        Sources, baseline, load, load_reusing,
    };

    use crate::world::{loaded, refused, sources, tool};

    fn only(error: &LoadError) -> &safeconduct_policy::Diagnostic {
        assert_eq!(error.diagnostics.len(), 1, "{:#?}", error.diagnostics);
        &error.diagnostics[0]
    }

    fn permit(head: &str) -> String {
        format!("{head} permit (principal, action, resource);")
    }

    #[test]
    fn the_baseline_loads_with_nothing_else() {
        let mut sources = Sources { policies: baseline(), ..Sources::default() };
        let loaded = load(&sources).unwrap();
        assert_eq!((loaded.policies.len(), loaded.warnings), (14, Vec::new()));
        // It is checked strictly all the same.
        let text = "permit (principal, action, resource) when { context.no };";
        sources.policies.push(SourceFile::new("p.cedar", text));
        assert!(only(&refused(&sources)).message.contains("`no`"));
    }

    #[test]
    fn a_problem_is_told_with_its_place_and_a_suggestion() {
        let error = refused(&sources(
            "// ä\npermit (principal, action, resource)\nwhen { context.sesion.steps > 1 };",
        ));
        let said = only(&error);
        assert_eq!((said.line, said.column, said.end_line), (3, 8, 3), "{said:?}");
        assert_eq!((&*said.file, said.text.as_str()), ("test.cedar", "context.sesion.steps"));
        assert!(said.message.contains("`sesion`"), "{said}");
        assert!(said.help.as_deref().unwrap().contains("session"), "{said}");
        assert!(error.to_string().starts_with("test.cedar:3:8: error: "), "{error}");
    }

    #[test]
    fn all_problems_are_told_and_not_only_the_first() {
        let mut sources = sources(
            r#"
            permit (principal, action == Safeconduct::Action::"files.read_text_fil", resource);
            permit (principal is Safeconduct::Agnt, action, resource);
            @requestabel("approvers=group:x") forbid (principal, action, resource);
            permit (principal, action, resource) when { context.session.steps == "1" };
            "#,
        );
        sources.policies.push(SourceFile::new("second.cedar", "permit (principal, action);"));
        let error = refused(&sources);
        let places: Vec<_> = error.diagnostics.iter().map(|d| (&*d.file, d.line)).collect();
        assert_eq!(
            places,
            [
                ("second.cedar", 1),
                ("test.cedar", 2),
                ("test.cedar", 3),
                ("test.cedar", 4),
                ("test.cedar", 5)
            ],
            "{:#?}",
            error.diagnostics
        );
        let help = |line: u32| {
            error
                .diagnostics
                .iter()
                .find(|d| d.line == line && &*d.file == "test.cedar")
                .unwrap()
                .help
                .clone()
                .unwrap()
        };
        assert!(help(2).contains("files.read_text_file"), "{}", help(2));
        assert!(help(3).contains("Agent"));
        assert!(help(4).contains("@requestable"));
    }

    #[test]
    fn optional_context_must_be_asked_for_first() {
        let text = "forbid (principal, action, resource) when { context.approval.age_s > 50 };";
        assert!(refused(&sources(text)).to_string().contains("approval"));
        let text = "forbid (principal, action, resource)
            when { context has risk && context.risk.score > 50 && context has flow
                && context.flow.from_untrusted.contains(\"/to\") && context has task
                && context.task.parameters.hasTag(\"customer\")
                && context.task.parameters.getTag(\"customer\") == \"c\" };";
        assert_eq!(loaded(&sources(text)).len(), 1);
    }

    #[test]
    fn ids_are_unique_and_have_a_fallback() {
        let policies = loaded(&sources(&[permit("@id(\"a\")"), permit("")].join("\n")));
        let ids: Vec<_> = policies.iter().map(|p| p.reference.id.to_string()).collect();
        assert_eq!(ids, ["a", "test.cedar#2"]);
        let id = PolicyId::new("test.cedar#2").unwrap();
        assert_eq!(&*policies.source_text(&id).unwrap(), "permit (principal, action, resource);");
        assert_eq!(policies.policy(&id).unwrap().reference.span.line, 2);
        let error = refused(&sources(&[permit("@id(\"a\")"), permit("@id(\"a\")")].join("\n")));
        let said = only(&error);
        assert!(said.message.contains("test.cedar:1:1"), "{said}");
        assert_eq!(said.line, 2);
    }

    #[test]
    fn annotations_of_ours_are_read_and_others_are_left_alone() {
        let policies = loaded(&sources(
            r#"
            @id("p") @message("no") @obligation("redact:$.ssn; log") @control("ASI02,ASI03")
            @mode("shadow") @advice("theirs") @node("x")
            permit (principal, action, resource);
            "#,
        ));
        let policy = policies.iter().next().unwrap();
        assert_eq!(policy.reference.message.as_deref(), Some("no"));
        let obligations: Vec<_> = policy.obligations.iter().map(ToString::to_string).collect();
        assert_eq!(obligations, ["redact:$.ssn", "log"]);
        assert_eq!(policy.controls.len(), 2);
        assert_eq!(policy.mode.as_str(), "shadow");
        for wrong in [
            "@mode(\"shdow\")",
            "@mode",
            "@obligation(\"\")",
            "@obligation(\"Redact me\")",
            "@requestable(\"approvers=group:a\")",
            "@message(\"\")",
            "@id(\"\")",
            "@control(\"a,,b\")",
            "@Mode(\"shadow\")",
            "@obligations(\"log\")",
        ] {
            only(&refused(&sources(&permit(wrong))));
        }
    }

    #[test]
    fn a_template_is_refused() {
        let error = refused(&sources("permit (principal == ?principal, action, resource);"));
        assert!(only(&error).message.contains("template"));
    }

    #[test]
    fn names_can_fit_those_of_agentcore() {
        let policy = r#"permit (principal is AgentCore::OAuthUser,
            action == AgentCore::Action::"RefundTarget___process_refund",
            resource == AgentCore::Gateway::"g")
            when { principal.hasTag("role") && principal.getTag("role") == "clerk"
                && context.input.amount < 500 };"#;
        let schema = "namespace AgentCore { entity OAuthUser tags String; entity Gateway; }";
        let amount = r#"{"type":"object","properties":{"amount":{"type":"integer"}},
            "required":["amount"]}"#;
        let mut refund = tool("refund-target", "process_refund", amount);
        refund.server = ServerName::new("refund-target").unwrap();
        let sources = Sources {
            policies: vec![SourceFile::new(
                "p.cedar",
                policy.replace("RefundTarget", "refund-target"),
            )],
            schemas: vec![SourceFile::new("s.cedarschema", schema)],
            servers: vec![refund.server.clone()],
            definitions: vec![refund],
            naming: Naming { namespace: "AgentCore".into(), action_id: "{server}___{tool}".into() },
            actions: Vec::new(),
        };
        let policies = loaded(&sources);
        assert!(policies.knows_action(&ActionName::new("refund-target___process_refund").unwrap()));
    }

    #[test]
    fn types_and_actions_of_ones_own_need_no_namespace() {
        let schema = "
            entity user { role?: String };
            entity record { status?: String };
            action read, write appliesTo { principal: user, resource: record };";
        let mut sources = sources(
            r#"permit (principal is user, action == Action::"read", resource is record)
                when { context.session.steps < 10 && principal has role };
               permit (principal, action == Safeconduct::Action::"files.pay", resource is record);"#,
        );
        sources.schemas = vec![SourceFile::new("own.cedarschema", schema)];
        let policies = loaded(&sources);
        let read = ActionName::new("read").unwrap();
        assert_eq!(policies.resolve_action(&read).unwrap().to_string(), "Action::\"read\"");
        assert_eq!(policies.resolve_type("record").unwrap().as_str(), "record");
        assert_eq!(policies.resolve_type("Path").unwrap().as_str(), "Safeconduct::Path");
        assert_eq!(
            policies.resolve_type("Safeconduct::Path").unwrap().as_str(),
            "Safeconduct::Path"
        );
        assert_eq!(policies.resolve_type("nothing"), None);
        sources.schemas.push(SourceFile::new(
            "more.cedarschema",
            "namespace More { entity A; action write appliesTo { principal: A, resource: A }; }",
        ));
        let error = refused(&sources);
        assert!(
            error.diagnostics.iter().any(|d| d.message.contains("write")),
            "{:#?}",
            error.diagnostics
        );
    }

    #[test]
    fn circles_of_types_are_refused_and_self_membership_is_not() {
        let mut sources = sources("");
        sources.schemas = vec![SourceFile::new(
            "own.cedarschema",
            "entity A in [B]; entity B in [C]; entity C in [A]; entity D in [D];",
        )];
        let error = refused(&sources);
        assert!(only(&error).message.contains("`A`, `B`, `C`"), "{error}");
        sources.schemas = vec![SourceFile::new(
            "own.cedarschema",
            "entity D in [D, E]; entity E in [E]; entity F in [D];
             action go appliesTo { principal: F, resource: [D, E] };",
        )];
        sources.policies = vec![SourceFile::new(
            "p.cedar",
            r#"permit (principal in E::"e", action == Action::"go", resource in D::"d")
                when { principal in D::"d" && resource in E::"x" };"#,
        )];
        let loaded = load(&sources).unwrap();
        assert_eq!(loaded.warnings, [], "`in` through `D in [D, E]` is possible");
    }

    #[test]
    fn a_schema_that_does_not_hold_is_told_with_its_place() {
        let mut sources = sources("");
        sources.schemas =
            vec![SourceFile::new("own.cedarschema", "entity A in [Nowhere];\nentity B\n entity")];
        let error = refused(&sources);
        assert_eq!((&*only(&error).file, only(&error).line), ("own.cedarschema", 3), "{error}");
        sources.schemas = vec![SourceFile::new("own.cedarschema", "\nentity A in [Nowhere];")];
        let error = refused(&sources);
        assert_eq!((&*only(&error).file, only(&error).line), ("own.cedarschema", 2), "{error}");
        sources.schemas = vec![
            SourceFile::new("a.cedarschema", "entity A;"),
            SourceFile::new("b.cedarschema", "entity A;"),
        ];
        assert!(only(&refused(&sources)).message.contains("declared twice"));
    }

    #[test]
    fn a_tool_that_cannot_be_typed_takes_no_other_with_it() {
        let mut sources = sources("permit (principal, action, resource);");
        let odd = r##"{"type":"object","properties":{
            "a":{"type":"string"},"b":{"$ref":"#/definitions/x"},"c":{"type":"strange"}}}"##;
        sources.definitions.push(tool("files", "odd.tool-name", odd));
        sources.definitions.push(tool("files", "broken", "[]"));
        let deep = format!("{}{{}}{}", r#"{"items":"#.repeat(40), "}".repeat(40));
        sources.definitions.push(tool("files", "deep", &deep));
        let loaded = load(&sources).unwrap();
        let said: Vec<_> = loaded.warnings.iter().map(|w| w.message.clone()).collect();
        assert_eq!(said.len(), 4, "{said:#?}");
        assert!(said.iter().any(|s| s.contains("argument `b`")), "{said:#?}");
        assert!(said.iter().any(|s| s.contains("`broken`")), "{said:#?}");
        assert!(said.iter().any(|s| s.contains("`deep`")), "{said:#?}");
        for name in ["files.odd.tool-name", "files.broken", "files.deep", "files/resources/read"] {
            assert!(loaded.policies.knows_action(&ActionName::new(name).unwrap()), "{name}");
        }
    }

    #[test]
    fn names_that_cedar_cannot_have_are_no_obstacle() {
        let schema = r##"{"type":"object","$defs":{"my type":{"type":"object",
            "properties":{"in":{"type":"string","enum":["x"]}},"required":["in"]}},
            "properties":{"if":{"type":"boolean"},"String":{"type":"string","enum":["a b"]},
            "über":{"$ref":"#/$defs/my type"},"record":{"type":"object","properties":{}}},
            "required":["if"]}"##;
        let mut sources = sources(
            r#"permit (principal, action == Safeconduct::Action::"files.odd", resource)
               when { context.input["if"] && context.input has "über"
                   && context.input["über"]["in"] == Safeconduct::files_odd::Input::arg_0::arg_1::"x" };"#,
        );
        sources.schemas = vec![SourceFile::new("own.cedarschema", "entity record;")];
        sources.definitions.push(tool("files", "odd", schema));
        let loaded = load(&sources);
        let loaded = loaded.unwrap_or_else(|e| panic!("{:#?}", e.diagnostics));
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn limits_are_told() {
        let deep = format!(
            "permit (principal, action, resource) when {{ {}true{} }};",
            "(".repeat(NESTING_MAX),
            ")".repeat(NESTING_MAX)
        );
        assert!(only(&refused(&sources(&deep))).message.contains("nest"));
        let chain = vec!["context.session.steps == 1"; EXPRESSION_DEPTH_MAX + 2].join(" || ");
        let chain = format!("permit (principal, action, resource) when {{ {chain} }};");
        assert!(only(&refused(&sources(&chain))).message.contains("limit of 256"));
        let long = format!("//{}", "x".repeat(FILE_BYTES_MAX));
        assert!(only(&refused(&sources(&long))).message.contains("bytes"));
    }

    #[test]
    fn a_condition_of_the_greatest_depth_can_be_evaluated() {
        let chain = vec!["context.session.steps == 3"; EXPRESSION_DEPTH_MAX - 4].join(" && ");
        let chain = format!("permit (principal, action, resource) when {{ {chain} }};");
        let policies = loaded(&sources(&chain));
        // Threads have less stack than the one that tests start on.
        let answer = std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(move || {
                let path = r#"{"path":"/x"}"#;
                crate::world::ask(&policies, "files.read_text_file", path).unwrap()
            })
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(answer.enforced.errors, []);
        assert_eq!(answer.enforced.permits.len(), 1);
    }

    #[test]
    fn the_digest_names_the_whole_set() {
        let first = sources(&permit(""));
        let digest = |sources: &Sources| loaded(sources).digest();
        assert_eq!(digest(&first), digest(&first));
        let mut other = first.clone();
        other.policies[0].name = "other.cedar".into();
        assert_ne!(digest(&first), digest(&other));
        let mut other = first.clone();
        other.definitions.pop();
        assert_ne!(digest(&first), digest(&other));
        let mut other = first.clone();
        other.naming.action_id = "{server}___{tool}".into();
        assert_ne!(digest(&first), digest(&other));
        let mut two = first.clone();
        two.policies.push(SourceFile::new("a.cedar", permit("")));
        let mut turned = two.clone();
        turned.policies.reverse();
        assert_eq!(digest(&two), digest(&turned), "the order of reading does not matter");
    }

    #[test]
    fn a_reload_takes_what_did_not_change() {
        let mut sources = sources(&permit("@id(\"a\")"));
        let before = loaded(&sources);
        sources.policies.push(SourceFile::new("b.cedar", permit("@id(\"b\")")));
        let after = load_reusing(&sources, &before).unwrap().policies;
        assert_eq!(after.digest(), loaded(&sources).digest());
        let shared = |policies: &safeconduct_policy::Policies| {
            std::sync::Arc::as_ptr(policies.policy(&PolicyId::new("a").unwrap()).unwrap())
        };
        assert_eq!(shared(&before), shared(&after), "not read again");
        // Another schema: everything is checked again.
        sources.policies[0].text =
            r#"permit (principal, action == Safeconduct::Action::"files.pay", resource);"#.into();
        let with_tool = load_reusing(&sources, &after).unwrap().policies;
        sources.definitions.retain(|tool| tool.tool != "pay");
        let error = load_reusing(&sources, &with_tool).map(|_| ()).unwrap_err();
        assert_eq!(error.diagnostics[0].severity, Severity::Error);
    }
}
