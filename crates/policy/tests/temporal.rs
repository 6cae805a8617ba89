//! Order and count rules in policy files: loaded with their places, and answered in order.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safeconduct_model::{ActionName, Decision, Entity, Timestamp, Value};
    use safeconduct_policy::{
        AdditionalArguments, Evaluation, History, Loaded, Past, Policies, Question, SourceFile,
        load,
    };
    use safeconduct_session::monitor::{ERROR, Event, Monitors, REQUEST, RESPONSE};

    use crate::world::{entity, json, loaded, refused, situation, sources};

    /// A session that asks, and remembers.
    struct Asking<'p> {
        policies: &'p Policies,
        session: Monitors,
        identity: Monitors,
        now: i64,
    }

    impl<'p> Asking<'p> {
        fn of(policies: &'p Policies) -> Self {
            let (session, identity) = (Monitors::default(), Monitors::default());
            Self { policies, session, identity, now: 1_700_000_000_000 }
        }

        fn wait(&mut self, seconds: i64) {
            self.now += seconds * 1000;
        }

        fn with<T>(
            &mut self,
            kind: &str,
            action: &str,
            input: &str,
            then: impl FnOnce(&mut Self, &Event<'_>, &Entity, &Entity) -> T,
        ) -> T {
            let principal = entity("Safeconduct::Agent", "a");
            let resource = entity("Safeconduct::Path", "/cases/1");
            let action = ActionName::new(action).unwrap();
            let event = Event {
                kind,
                action: &action,
                principal: Some(&principal.uid),
                resources: &[&resource.uid],
                input: &json(input),
                output: None,
                beside: None,
                at: Timestamp::from_millis(self.now),
                decision: None,
            };
            then(self, &event, &principal, &resource)
        }

        fn remember(&mut self, event: &Event<'_>) {
            let monitors = self.policies.monitors();
            self.session.observe(monitors.programs(History::Session), event);
            self.identity.observe(monitors.programs(History::Identity), event);
        }

        fn ask(&mut self, action: &str, input: &str) -> Evaluation {
            self.with(REQUEST, action, input, |this, event, principal, resource| {
                let situation = situation(safeconduct_model::Tier::Low);
                let question = Question {
                    principal,
                    action: event.action,
                    resource,
                    input: event.input,
                    additional: AdditionalArguments::Refused,
                    situation: &situation,
                    extra: &[],
                };
                let past = Past { session: &this.session, identity: &this.identity, event };
                let answer = this.policies.evaluate_after(&question, Some(&past)).unwrap();
                let decision = Some(answer.enforced.decision());
                this.remember(&Event { decision, ..*event });
                answer
            })
        }

        fn decide(&mut self, action: &str, input: &str) -> Decision {
            self.ask(action, input).enforced.decision()
        }

        fn outcome(&mut self, kind: &str, action: &str, input: &str) {
            self.with(kind, action, input, |this, event, _, _| this.remember(event));
        }
    }

    const READ: &str = "files.read_text_file";
    const PATH: &str = r#"{"path": "/cases/1"}"#;
    const PAY: &str = r#"{"amount": 5}"#;

    const AFTER_READ: &str = r#"
        permit (principal, action, resource);
        @id("no-pay-after-read")
        forbid (principal, action == Safeconduct::Action::"files.pay", resource)
        when temporal {
            formerly within 1h Safeconduct::Action::"files.read_text_file"::response{}
        };
    "#;

    #[test]
    fn what_was_done_before_counts_as_long_as_the_window() {
        let policies = loaded(&sources(AFTER_READ));
        let mut asking = Asking::of(&policies);
        assert_eq!(asking.decide("files.pay", PAY), Decision::Permit);
        assert_eq!(asking.decide(READ, PATH), Decision::Permit);
        assert_eq!(asking.decide("files.pay", PAY), Decision::Permit, "asked for is not done");
        asking.outcome(ERROR, READ, PATH);
        assert_eq!(asking.decide("files.pay", PAY), Decision::Permit, "what failed is not done");
        asking.outcome(RESPONSE, READ, PATH);
        let refused = asking.ask("files.pay", PAY);
        assert_eq!(refused.enforced.forbids[0].id.as_str(), "no-pay-after-read");
        let span = &refused.enforced.forbids[0].span;
        assert_eq!((span.line, span.end_line), (3, 7));
        asking.wait(3600);
        assert_eq!(asking.decide("files.pay", PAY), Decision::Deny, "both ends count");
        asking.wait(1);
        assert_eq!(asking.decide("files.pay", PAY), Decision::Permit);
    }

    #[test]
    fn counts_and_sums_take_the_request_itself_in() {
        let policies = loaded(&sources(
            r#"
            permit (principal, action, resource);
            forbid (principal, action == Safeconduct::Action::"files.read_text_file", resource)
            when temporal {
                exists (n: Long). (
                    count_within(1h, Safeconduct::Action::"files.read_text_file"::request{
                        input.path: context.input.path
                    }) == n && n > 3
                )
            };
            "#,
        ));
        let mut asking = Asking::of(&policies);
        for _ in 0..3 {
            assert_eq!(asking.decide(READ, PATH), Decision::Permit);
            asking.wait(1000);
        }
        assert_eq!(asking.decide(READ, PATH), Decision::Deny);
        assert_eq!(asking.decide(READ, r#"{"path": "/other"}"#), Decision::Permit);
        asking.wait(1700);
        assert_eq!(asking.decide(READ, PATH), Decision::Permit, "what is old is not counted");
    }

    #[test]
    fn what_is_not_known_denies() {
        let policies = loaded(&sources(AFTER_READ));
        let mut asking = Asking::of(&policies);
        let answer = asking.with(REQUEST, "files.pay", PAY, |_, event, principal, resource| {
            let situation = situation(safeconduct_model::Tier::Low);
            let question = Question {
                principal,
                action: event.action,
                resource,
                input: event.input,
                additional: AdditionalArguments::Refused,
                situation: &situation,
                extra: &[],
            };
            policies.evaluate(&question).unwrap()
        });
        assert_eq!(answer.enforced.decision(), Decision::Deny);
        assert_eq!(answer.enforced.errors[0].0.id.as_str(), "no-pay-after-read");
    }

    #[test]
    fn an_identity_remembers_over_its_sessions() {
        let policies = loaded(&sources(&AFTER_READ.replace(
            "@id(\"no-pay-after-read\")",
            "@id(\"no-pay-after-read\") @history(\"identity\")",
        )));
        let monitors = policies.monitors();
        assert_eq!(monitors.programs(History::Session).len(), 0);
        assert_eq!(monitors.programs(History::Identity).len(), 1);
        let mut asking = Asking::of(&policies);
        asking.outcome(RESPONSE, READ, PATH);
        asking.session = Monitors::default();
        assert_eq!(asking.decide("files.pay", PAY), Decision::Deny);
    }

    #[test]
    fn shadow_policies_are_answered_without_effect() {
        let policies = loaded(&sources(&AFTER_READ.replace("@id(", "@mode(\"shadow\") @id(")));
        let mut asking = Asking::of(&policies);
        asking.outcome(RESPONSE, READ, PATH);
        let answer = asking.ask("files.pay", PAY);
        assert_eq!(answer.enforced.decision(), Decision::Permit);
        assert_eq!(answer.shadow.forbids.len(), 1);
    }

    #[test]
    fn equal_conditions_have_one_name_in_every_set() {
        let one = loaded(&sources(AFTER_READ));
        let text = AFTER_READ
            .replace("no-pay-after-read", "other")
            .replace("formerly within 1h", "  seen(60m,")
            .replace("::response{}", "::response{})");
        let text = format!("def temporal seen(?w, ?e) {{ formerly within ?w ?e }};\n{text}");
        let other = loaded(&sources(&text));
        let name = |policies: &Policies| {
            let programs = policies.monitors().programs(History::Session);
            programs.iter().map(|program| program.name()).collect::<Vec<_>>()
        };
        assert_eq!(name(&one).len(), 1);
        // `60m` and `1h` are the same time.
        assert_eq!(name(&one), name(&other));
    }

    #[test]
    fn clauses_stand_inside_conditions_and_behind_macros() {
        let policies = loaded(&sources(
            r#"
            def cedar large(?n) { ?n.greaterThan(decimal("100.0")) };
            @id("all") permit (principal, action, resource);
            @id("large") @message("not after reading")
            forbid (principal, action == Safeconduct::Action::"files.pay", resource)
            when {
                large(context.input.amount) && temporal {
                    formerly within 1h Safeconduct::Action::"files.read_text_file"::response{}
                }
            };
            "#,
        ));
        let mut asking = Asking::of(&policies);
        asking.outcome(RESPONSE, READ, PATH);
        assert_eq!(asking.decide("files.pay", PAY), Decision::Permit);
        let refused = asking.ask("files.pay", r#"{"amount": 500}"#);
        let policy = &refused.enforced.forbids[0];
        assert_eq!((policy.id.as_str(), policy.span.line), ("large", 4));
        assert_eq!(policy.message.as_deref(), Some("not after reading"));
    }

    #[test]
    fn decimals_match_as_numbers() {
        let policies = loaded(&sources(
            r#"
            permit (principal, action, resource);
            forbid (principal, action == Safeconduct::Action::"files.pay", resource)
            when temporal {
                formerly within 1d Safeconduct::Action::"files.pay"::response{
                    input.amount: context.input.amount
                }
            };
            "#,
        ));
        let mut asking = Asking::of(&policies);
        asking.outcome(RESPONSE, "files.pay", r#"{"amount": 5}"#);
        assert_eq!(asking.decide("files.pay", r#"{"amount": 5.00}"#), Decision::Deny);
        assert_eq!(asking.decide("files.pay", r#"{"amount": 5.01}"#), Decision::Permit);
    }

    #[test]
    fn results_are_spoken_of_as_their_tool_declares_them() {
        let mut sources = sources(
            r#"
            permit (principal, action, resource);
            forbid (principal, action == Safeconduct::Action::"files.pay", resource)
            when temporal {
                formerly within 1h Safeconduct::Action::"bank.balance"::response{
                    output.account.status: "frozen"
                }
            };
            "#,
        );
        sources.servers.push(safeconduct_model::ServerName::new("bank").unwrap());
        let mut balance = crate::world::tool("bank", "balance", r#"{"type":"object"}"#);
        let Value::Object(members) = &mut balance.definition else { panic!() };
        let output = r#"{"type":"object","properties":{"account":{"type":"object",
            "properties":{"status":{"type":"string"}}}}}"#;
        members.insert("outputSchema".into(), json(output));
        sources.definitions.push(balance);
        let policies = loaded(&sources);
        let mut asking = Asking::of(&policies);
        let mut result = |status: &str| {
            let output = json(&format!(r#"{{"account":{{"status":"{status}"}}}}"#));
            asking.with(RESPONSE, "bank.balance", "{}", |this, event, _, _| {
                this.remember(&Event { output: Some(&output), ..*event });
            });
            asking.decide("files.pay", PAY)
        };
        assert_eq!(result("open"), Decision::Permit);
        assert_eq!(result("frozen"), Decision::Deny);
    }

    #[test]
    fn what_is_refused_is_refused_at_its_place() {
        let cases = [
            (
                r#"formerly within 1h (Safeconduct::Action::"files.read_text_file"::request{}
                   && !previous within 1h
                   Safeconduct::Action::"files.pay"::request{input.to.name: context.input.path})"#,
                "has no bound",
            ),
            (r#"formerly Safeconduct::Action::"files.pay"::request{}"#, ""),
            (r#"formerly within 400d Safeconduct::Action::"files.pay"::request{}"#, "exceeds"),
            (r#"formerly within 1h Safeconduct::Action::"files.nope"::request{}"#, ""),
            (
                r#"formerly within 1h Safeconduct::Action::"files.pay"::request{input.nope: "x"}"#,
                "",
            ),
        ];
        for (clause, says) in cases {
            let error = refused(&sources(&format!(
                "permit (principal, action == Safeconduct::Action::\"files.read_text_file\", \
                 resource)\nwhen temporal {{\n{clause}\n}};"
            )));
            let first = &error.diagnostics[0];
            assert!(first.line >= 2 && &*first.file == "test.cedar", "{clause}: {first}");
            assert!(first.message.contains(says), "{clause}: {first}");
        }
        let error = refused(&sources(
            "permit (principal, action, resource)\nwhen guardrails { Risk::Score(1).high == false };",
        ));
        assert_eq!((error.diagnostics[0].line, error.diagnostics[0].column), (2, 6));
        assert!(error.diagnostics[0].message.contains("not served"));
    }

    #[test]
    fn what_always_or_never_holds_is_told() {
        let told = |clause: &str| {
            let text = format!(
                "forbid (principal, action == Safeconduct::Action::\"files.pay\", resource)\n\
                 when temporal {{ {clause} }};"
            );
            let Loaded { warnings, .. } = load(&sources(&text)).unwrap();
            let temporal = warnings.iter().find(|warning| warning.message.contains("temporal"));
            temporal.map(|warning| (warning.line, warning.message.to_string()))
        };
        for (clause, says) in [
            (
                r#"formerly within 1h Safeconduct::Action::"files.pay"::request{
                    input.amount: context.input.amount }"#,
                "the temporal clause always holds",
            ),
            (
                r#"Safeconduct::Action::"files.read_text_file"::request{} since within 1h
                   Safeconduct::Action::"files.read_text_file"::request{}"#,
                "the temporal clause never holds",
            ),
            (r#"Safeconduct::Action::"files.pay"::response{}"#, "the temporal clause never holds"),
        ] {
            assert_eq!(told(clause), Some((2, says.to_owned())), "{clause}");
        }
        for (kind, said, says) in [
            ("request", "== n && n > 0", Some("always holds")),
            ("request", "== n && n != 0 && 1 <= n", Some("always holds")),
            ("request", "== n && !(n > 0)", Some("never holds")),
            ("request", "== n && n < 1", Some("never holds")),
            ("request", "== n && n == 0", Some("never holds")),
            ("request", "== n && n > 1", None),
            ("request", "== n && n <= 5", None),
            ("response", "== n && n >= 0", Some("always holds")),
            ("response", "== n && n > 0", None),
            ("response", "== n && n < 1", None),
        ] {
            let clause = format!(
                "exists (n: Long). (count_within(1h, \
                 Safeconduct::Action::\"files.pay\"::{kind}{{}}) {said})"
            );
            let says = says.map(|says| (2, format!("the temporal clause {says}")));
            assert_eq!(told(&clause), says, "{clause}");
        }
        let Loaded { warnings, .. } = load(&sources(AFTER_READ)).unwrap();
        assert!(warnings.iter().all(|w| !w.message.contains("temporal")), "{warnings:?}");
    }

    #[test]
    fn what_is_wrong_around_a_clause_is_told_at_its_place() {
        let error = refused(&sources(
            "permit (principal, action == Safeconduct::Action::\"files.pay\", resource)\n\
             when temporal {\n  formerly within 1h\n  \
             Safeconduct::Action::\"files.pay\"::response{}\n}\n\
             when { context.input.nope == 1 };",
        ));
        assert_eq!(error.diagnostics[0].line, 6, "{error}");
        assert!(error.diagnostics[0].message.contains("nope"));
    }

    /// Pieces of the language in any order.
    fn soup() -> impl Strategy<Value = String> {
        let pieces = [
            "formerly within 1h ",
            "previous within 365d ",
            " since within 9223372036854775807d ",
            "exists (x: String). ",
            "count for (t: Timepoint). where ",
            "Safeconduct::Action::\"files.pay\"::request{",
            "input.amount: context.input.amount",
            "tp(t)",
            "count_within(1h, ",
            "recent(",
            "}",
            "{",
            "(",
            ")",
            "!",
            " && ",
            " == ",
            "x",
            "7",
            "\"",
            "temporal ",
            "def temporal recent(?a) { ?a };",
            "def cedar c(?a) { ?a };",
            "when ",
            ";",
            "é\u{0}\n",
        ];
        let piece = prop::sample::select(pieces.to_vec());
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
        #[test]
        fn no_text_stops_a_load(clause in soup(), after in soup()) {
            let text = format!(
                "permit (principal, action == Safeconduct::Action::\"files.pay\", resource)\n\
                 when temporal {{ {clause} }};\n{after}"
            );
            if let Err(error) = load(&sources(&text)) {
                prop_assert!(!error.diagnostics.is_empty());
            }
        }
    }

    #[test]
    fn deep_and_long_clauses_are_refused_or_answered() {
        let event = r#"Safeconduct::Action::"files.pay"::response{}"#;
        let nested = |depth: usize| {
            format!("{}{event}{}", "formerly within 1h (".repeat(depth), ")".repeat(depth))
        };
        let chained = |length: usize| vec![event; length].join(" && ");
        let negated = |length: usize| format!("{}{event}", "!".repeat(length));
        for clause in
            [nested(8), nested(40), nested(500), chained(60), chained(3000), negated(3000)]
        {
            let _ = load(&sources(&format!(
                "permit (principal, action == Safeconduct::Action::\"files.pay\", resource)\n\
                 when temporal {{ {clause} }};"
            )));
        }
        let year = AFTER_READ.replace("within 1h", "within 365d");
        let policies = loaded(&sources(&year));
        let mut asking = Asking::of(&policies);
        asking.outcome(RESPONSE, READ, PATH);
        asking.wait(364 * 86_400);
        assert_eq!(asking.decide("files.pay", PAY), Decision::Deny);
    }

    #[test]
    fn a_layout_leaves_temporal_files_alone() {
        let name = "a.cedar".into();
        assert_eq!(safeconduct_policy::format(&name, AFTER_READ).unwrap(), AFTER_READ);
    }

    #[test]
    fn actions_are_listened_to_and_fields_named() {
        let policies = loaded(&sources(
            &AFTER_READ.replace("response{}", "response{ input.path: \"/cases/1\" }"),
        ));
        let programs = policies.monitors().programs(History::Session);
        let read = ActionName::new(READ).unwrap();
        assert!(programs.listens(RESPONSE, &read) && !programs.listens(REQUEST, &read));
        assert!(!programs.listens(RESPONSE, &ActionName::new("files.pay").unwrap()));
        let fields: Vec<_> = programs.reads(RESPONSE, &read).collect();
        assert_eq!(fields.len(), 1);
        assert_eq!(&*fields[0].path[0], "path");
        let _ = (Value::Null, SourceFile::new("", ""));
    }
}
