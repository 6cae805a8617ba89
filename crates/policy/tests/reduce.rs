//! Right-sizing narrows, leaves what was used, and touches nothing else.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use safeconduct_model::{
        ActionName, Amount, AskedOf, Decided, DecidedTask, Decision, Digest, Entity, EntityRef,
        IdentityId, IntentName, KeyedDigest, Method, Mode, PolicyId, RecordId, RecordedPolicy,
        RecordedReason, SessionKey, TaskId, Tier, Timestamp,
    };
    use safeconduct_policy::{
        ActionSituation, AdditionalArguments, Chosen, Evaluation, Evidence, Kept, Learned,
        Policies, Proposal, Question, RecordedDecision, Reduction, SourceFile, Surroundings, Used,
        Widened, learn, load, reduce, still_given, widened,
    };

    use crate::world::{entity, having, json, loaded, situation, sources, within};

    /// Paths belong to the folders above them, agents to a group of their own name's first letter.
    struct Estate;

    impl Surroundings for Estate {
        fn principal(&self, uid: &EntityRef) -> Option<Entity> {
            Some(agent(uid.id.as_str()))
        }
        fn user(&self, _: &IdentityId) -> Option<Entity> {
            None
        }
        fn resource(&self, _: &ActionName, uid: &EntityRef) -> Option<Entity> {
            (uid.ty.as_str() == "Safeconduct::Path").then(|| path(uid.id.as_str()))
        }
        fn action(&self, _: &ActionName, _: Digest) -> Option<ActionSituation> {
            None
        }
    }

    fn agent(name: &str) -> Entity {
        let group = if name.starts_with('a') { "clerks" } else { "others" };
        within(entity("Safeconduct::Agent", name), &[("Safeconduct::Group", group)])
    }

    fn path(path: &str) -> Entity {
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at.max(1)));
        let above: Vec<_> = above.collect();
        let above: Vec<_> = above
            .iter()
            .filter(|above| **above != path)
            .map(|path| ("Safeconduct::Path", *path))
            .collect();
        having(within(entity("Safeconduct::Path", path), &above), &[("path", path.into())])
    }

    /// One use: who, what, to which file.
    type Use = (&'static str, &'static str, &'static str);

    fn answer(policies: &Policies, (who, action, file): Use) -> Evaluation {
        let situation = situation(Tier::Low);
        let input = if action == "files.pay" { r#"{"amount":1}"# } else { r#"{"path":"/x"}"# };
        policies
            .evaluate(&Question {
                principal: &agent(who),
                action: &ActionName::new(action).unwrap(),
                resource: &path(file),
                input: &json(input),
                additional: AdditionalArguments::Refused,
                situation: &situation,
                extra: &[],
            })
            .unwrap()
    }

    fn evaluate(
        policies: &Policies,
        one: Use,
    ) -> (Decision, Vec<Arc<safeconduct_model::PolicyRef>>) {
        let answer = answer(policies, one);
        (answer.enforced.decision(), answer.enforced.permits)
    }

    fn decided(policies: &Policies, used: Use) -> Decided {
        let (decision, permits) = evaluate(policies, used);
        let (who, action, file) = used;
        let reason = |policy: &Arc<safeconduct_model::PolicyRef>| RecordedReason {
            code: "policy".into(),
            policy: Some(RecordedPolicy {
                id: policy.id.clone(),
                effect: policy.effect,
                span: policy.span.clone(),
            }),
            message: "".into(),
            detail: None,
            of: None,
        };
        Decided {
            session: SessionKey::task(
                IdentityId::new("a").unwrap(),
                TaskId::new("task_1").unwrap(),
            ),
            session_name: None,
            sequence: 1,
            pep: IdentityId::new("gateway").unwrap(),
            method: Method::ApiKey,
            principal: agent(who).uid,
            action: ActionName::new(action).unwrap(),
            resources: vec![path(file).uid],
            input_digest: KeyedDigest::from_bytes([0; 32]),
            decision,
            mode: Mode::Observe,
            reasons: permits.iter().map(reason).collect(),
            shadow: Vec::new(),
            obligations: Vec::new(),
            requestable: None,
            policies: policies.digest(),
            catalogue: Digest::from_bytes([0; 32]),
            task: None,
            flow: Vec::new(),
            label: None,
            risk: 0,
            network: None,
            approval: None,
        }
    }

    fn used(policies: &Policies, uses: &[Use]) -> Used {
        let mut used = Used::default();
        let id = RecordId::new("dec_1").unwrap();
        for one in uses {
            let decided = decided(policies, *one);
            let at = Timestamp::from_millis(1);
            used.take(&RecordedDecision { id: &id, at, decided: &decided }, &Estate);
        }
        used
    }

    fn reduced(policies: &Policies, uses: &[Use], chosen: &Chosen<'_>) -> Reduction {
        let used = used(policies, uses);
        let since = policies.iter().map(|info| info.reference.id.clone());
        let since: BTreeMap<PolicyId, Timestamp> =
            since.map(|id| (id, Timestamp::from_millis(10))).collect();
        let from = Timestamp::from_millis(0);
        reduce(policies, chosen, &Evidence { used: &used, from, since: &since, around: &Estate })
    }

    fn after(text: &str, uses: &[Use]) -> String {
        let sources = sources(text);
        let policies = loaded(&sources);
        let reduction = reduced(&policies, uses, &Chosen::All);
        let mut narrowed = sources.clone();
        narrowed.policies = reduction.applied(&sources.policies);
        let new = loaded(&narrowed);
        assert_eq!(widened(&policies, &new, &belongs), None);
        for one in uses {
            assert_eq!(evaluate(&new, *one).0, evaluate(&policies, *one).0, "{one:?}");
        }
        narrowed.policies[0].text.to_string()
    }

    fn belongs(of: &EntityRef, to: &EntityRef) -> bool {
        of.ty.as_str() == "Safeconduct::Path" && path(of.id.as_str()).ancestors.contains(to)
    }

    const READ: &str = "files.read_text_file";

    #[test]
    fn scopes_are_narrowed_to_what_was_used_and_all_else_stays() {
        let text = "// Of the desk.\n@id(\"wide\") // its name\n@message(\"permit (\")\npermit (\n  \
                    principal is Safeconduct::Agent,\n  action in [Safeconduct::Action::\"files.pay\", // \
                    money\n    Safeconduct::Action::\"files.read_text_file\"],\n  resource // all of it\n) \
                    when { context.session.steps < 5 }; // so be it\n";
        let expected = "// Of the desk.\n@id(\"wide\") // its name\n@message(\"permit (\")\npermit (\n  \
                        principal == Safeconduct::Agent::\"a\",\n  action in \
                        [Safeconduct::Action::\"files.read_text_file\"],\n  resource in \
                        Safeconduct::Path::\"/cases\" // all of it\n) when { context.session.steps < 5 }; \
                        // so be it\n";
        let uses = [("a", READ, "/cases/1/x"), ("a", READ, "/cases/2/y")];
        assert_eq!(after(text, &uses), expected);
        // What is as narrow as that says nothing more.
        assert_eq!(after(expected, &uses), expected);
    }

    #[test]
    fn a_statement_that_nobody_used_goes_with_its_comment() {
        let text = "// Header.\n\n@id(\"one\")\npermit (principal, action, resource);\n\n// About the \
                    other,\n// in two lines.\n@id(\"other\")\npermit (principal == Safeconduct::Agent::\"z\", action, \
                    resource);\n\n@id(\"no\")\nforbid (principal, action == Safeconduct::Action::\"files.pay\", \
                    resource);\n";
        let uses = [("a", READ, "/cases/1"), ("b", READ, "/cases/1")];
        let left = after(text, &uses);
        assert!(
            left.starts_with(
                "// Header.\n\n@id(\"one\")\npermit (principal is Safeconduct::Agent, \
             action == Safeconduct::Action::\"files.read_text_file\", resource == \
             Safeconduct::Path::\"/cases/1\");\n\n@id(\"no\")\n"
            ),
            "{left}"
        );
    }

    #[test]
    fn a_group_is_replaced_by_what_was_used_of_it() {
        let text = "@id(\"p\") permit (principal in Safeconduct::Group::\"clerks\", action in \
                    Safeconduct::Action::\"files\", resource in Safeconduct::Path::\"/\");";
        let left = after(text, &[("a", READ, "/cases/1"), ("ab", READ, "/cases/2")]);
        assert_eq!(
            left,
            "@id(\"p\") permit (principal in Safeconduct::Group::\"clerks\", action == \
                   Safeconduct::Action::\"files.read_text_file\", resource in Safeconduct::Path::\"/cases\");"
        );
    }

    #[test]
    fn who_did_not_use_what_others_did_is_taken_out() {
        let sources = sources("@id(\"p\")\npermit (principal, action, resource);\n");
        let policies = loaded(&sources);
        let b = agent("b");
        let reduction = reduced(&policies, &[("a", READ, "/x")], &Chosen::Holder(&b));
        assert_eq!(reduction.statements[0].2, Proposal::Excluded);
        let text = &*reduction.files[0].after;
        assert_eq!(
            text,
            "@id(\"p\")\npermit (principal, action, resource)\nunless { principal == \
                   Safeconduct::Agent::\"b\" };\n"
        );
        let mut narrowed = sources.clone();
        narrowed.policies = reduction.applied(&sources.policies);
        let new = loaded(&narrowed);
        assert_eq!(widened(&policies, &new, &belongs), None);
        assert!(matches!(widened(&new, &policies, &belongs), Some(Widened::Permit(_))));
        assert_eq!(evaluate(&new, ("b", READ, "/x")).0, Decision::Deny);
        assert_eq!(evaluate(&new, ("a", READ, "/x")).0, Decision::Permit);
    }

    /// The same, with a user who is registered.
    struct WithAda;

    impl Surroundings for WithAda {
        fn principal(&self, uid: &EntityRef) -> Option<Entity> {
            Estate.principal(uid)
        }
        fn user(&self, _: &IdentityId) -> Option<Entity> {
            Some(ada())
        }
        fn resource(&self, action: &ActionName, uid: &EntityRef) -> Option<Entity> {
            Estate.resource(action, uid)
        }
        fn action(&self, _: &ActionName, _: Digest) -> Option<ActionSituation> {
            None
        }
    }

    fn ada() -> Entity {
        entity("Safeconduct::User", "ada")
    }

    /// An agent that acts for a user needs the right of both, and each by their own statement.
    #[test]
    fn a_statement_that_answered_of_one_of_two_was_used_by_that_one() {
        let one = |id: &str| format!("@id(\"{id}\") permit (principal, action, resource);\n");
        let text = ["agents", "users", "both"].map(one).concat();
        let policies = loaded(&sources(&text));
        let mut done = decided(&policies, ("a", READ, "/x"));
        done.task = Some(Box::new(DecidedTask {
            id: TaskId::new("task_1").unwrap(),
            intent: IntentName::new("work").unwrap(),
            on_behalf_of: Some(IdentityId::new("ada").unwrap()),
            actors: Vec::new(),
            spend: Amount::default(),
            bytes_out: 0,
        }));
        for reason in &mut done.reasons {
            reason.of = match reason.policy.as_ref().unwrap().id.as_str() {
                "agents" => Some(AskedOf::Actor),
                "users" => Some(AskedOf::User),
                _ => None,
            };
        }
        assert_eq!(done.reasons.len(), 3);
        let sized = |around: &dyn Surroundings, chosen: &Chosen<'_>| {
            let mut used = Used::default();
            let id = RecordId::new("dec_1").unwrap();
            let (at, from) = (Timestamp::from_millis(1), Timestamp::from_millis(0));
            used.take(&RecordedDecision { id: &id, at, decided: &done }, around);
            let since = policies.iter().map(|info| (info.reference.id.clone(), at)).collect();
            let evidence = Evidence { used: &used, from, since: &since, around };
            reduce(&policies, chosen, &evidence)
        };
        let after = sized(&WithAda, &Chosen::All).files[0].after.to_string();
        let lines: Vec<&str> = after.lines().collect();
        assert!(lines[0].contains("(principal == Safeconduct::Agent::\"a\","), "{after}");
        assert!(lines[1].contains("(principal == Safeconduct::User::\"ada\","), "{after}");
        assert!(lines[2].contains("(principal, action =="), "{after}");

        let excluded = |around: &dyn Surroundings, holder: &Entity| {
            let all = sized(around, &Chosen::Holder(holder)).statements;
            all.iter().map(|(_, _, to)| *to == Proposal::Excluded).collect::<Vec<_>>()
        };
        assert_eq!(excluded(&WithAda, &agent("a")), [false, true, false]);
        assert_eq!(excluded(&WithAda, &ada()), [true, false, false]);
        // Of whom nothing is known may be anybody, also the one who is looked at.
        assert_eq!(excluded(&Estate, &ada()), [true, false, false]);
        assert_eq!(excluded(&Estate, &agent("a")), [false, false, false]);
    }

    #[test]
    fn what_is_older_than_the_record_is_left_alone() {
        let policies = loaded(&sources("@id(\"p\") permit (principal, action, resource);"));
        let id = PolicyId::new("p").unwrap();
        let used = used(&policies, &[]);
        let from = Timestamp::from_millis(5);
        for (since, kept) in [(Some(4), Kept::OlderThanTheRecord), (None, Kept::AgeUnknown)] {
            let since = since.map(|at| (id.clone(), Timestamp::from_millis(at)));
            let since = since.into_iter().collect();
            let evidence = Evidence { used: &used, from, since: &since, around: &Estate };
            let reduction = reduce(&policies, &Chosen::All, &evidence);
            assert_eq!(reduction.statements[0].2, Proposal::Kept(kept));
            assert!(reduction.files.is_empty());
        }
    }

    #[test]
    fn what_is_learned_permits_what_was_done_and_little_more() {
        let none = sources("");
        let policies = loaded(&none);
        let uses = [("a", READ, "/cases/1/x"), ("a", READ, "/cases/1/y"), ("b", "files.pay", "/z")];
        let mut learned = Learned::default();
        let id = RecordId::new("dec_1").unwrap();
        for one in uses {
            let decided = decided(&policies, one);
            let at = Timestamp::from_millis(1);
            learned.take(&RecordedDecision { id: &id, at, decided: &decided }, &Estate);
        }
        let text = learn(&policies, &learned, &Estate);
        let new = loaded(&sources(&text));
        for one in uses {
            assert_eq!(evaluate(&new, one).0, Decision::Permit, "{text}");
        }
        for one in [("a", READ, "/cases/2"), ("a", "files.pay", "/z"), ("c", READ, "/cases/1/x")] {
            assert_eq!(evaluate(&new, one).0, Decision::Deny, "{text}");
        }
    }

    /// What becomes of each statement, and what `widened` says of the same change by hand.
    fn without(text: &str, uses: &[Use], taken: &str) -> (Vec<Proposal>, Option<Widened>) {
        let old = loaded(&sources(text));
        let reduction = reduced(&old, uses, &Chosen::All);
        let proposals = reduction.statements.into_iter().map(|(_, _, proposal)| proposal);
        let new = loaded(&sources(&text.replace(taken, "")));
        (proposals.collect(), widened(&old, &new, &belongs))
    }

    #[test]
    fn an_obligation_is_not_lost_to_a_permit_without_it() {
        let careful = "@id(\"careful\") @obligation(\"redact:$.ssn\") permit (principal, action == \
                       Safeconduct::Action::\"files.read_text_file\", resource) when { context.session.steps > 90 };";
        let plain = |scope: &str| format!("{careful}\n@id(\"plain\") permit ({scope});");
        let uses = [("a", READ, "/cases/1")];
        let lost = Some(Widened::Obligation(PolicyId::new("careful").unwrap()));
        let (proposals, wider) = without(&plain("principal, action, resource"), &uses, careful);
        assert_eq!(proposals[0], Proposal::Kept(Kept::Obligation));
        assert!(matches!(proposals[1], Proposal::Narrowed(_)));
        assert_eq!(wider, lost);
        // What another permit cannot permit is not lost to it.
        let (proposals, wider) = without(
            &plain("principal, action == Safeconduct::Action::\"files.pay\", resource"),
            &uses,
            careful,
        );
        assert_eq!((&proposals[0], wider), (&Proposal::Removed, None));
        // Nor is what that one asks for too.
        let both = plain("principal, action, resource")
            .replace("@id(\"plain\")", "@id(\"plain\") @obligation(\"log; redact:$.ssn\")");
        let (proposals, wider) = without(&both, &uses, careful);
        assert_eq!((&proposals[0], wider), (&Proposal::Removed, None));
        // One that is restated is not gone, wherever it stands.
        let text = plain("principal, action, resource");
        let (old, new) = (loaded(&sources(&text)), loaded(&sources(&format!("// So.\n{text}"))));
        assert_eq!(widened(&old, &new, &belongs), None);
        let less = text.replace("@obligation(\"redact:$.ssn\")", "");
        assert!(widened(&old, &loaded(&sources(&less)), &belongs).is_some());
    }

    /// What fails denies: without it, another permit would permit what was denied.
    #[test]
    fn a_permit_that_can_fail_does_not_go_where_another_one_permits_the_same() {
        let read = "action == Safeconduct::Action::\"files.read_text_file\"";
        let sum = |condition: &str| {
            format!("@id(\"sum\") permit (principal, {read}, resource) when {{ {condition} }};")
        };
        let plain = format!("@id(\"plain\") permit (principal, {read}, resource);");
        let may_fail = |of: Option<Widened>| {
            let Some(Widened::MayFail { policy, to, .. }) = of else { return false };
            (policy.as_str(), to.as_str()) == ("sum", "plain")
        };
        let overflows = sum("context.input has head && context.input.head + 1 < 100");
        let uses = [("b", READ, "/x")];

        // It is so: the sum of the largest number and one is none.
        let asked = |text: &str| {
            let input = format!(r#"{{"path":"/x","head":{}}}"#, i64::MAX);
            let question = Question {
                principal: &agent("b"),
                action: &ActionName::new(READ).unwrap(),
                resource: &path("/x"),
                input: &json(&input),
                additional: AdditionalArguments::Refused,
                situation: &situation(Tier::Low),
                extra: &[],
            };
            loaded(&sources(text)).evaluate(&question).unwrap().enforced.decision()
        };
        assert_eq!(asked(&format!("{overflows}\n{plain}")), Decision::Deny);
        assert_eq!(asked(&plain), Decision::Permit);

        let (proposals, wider) = without(&format!("{overflows}\n{plain}"), &uses, &overflows);
        assert_eq!(proposals[0], Proposal::Kept(Kept::MayFail));
        assert!(may_fail(wider.clone()), "{wider:?}");
        for condition in [
            "-context.session.steps < 5",
            "context.session.steps * 2 < 5",
            "datetime(\"2026-01-01\").offset(duration(\"1d\")) > datetime(\"2026-01-01\")",
            "context.input.path == \"/x\" || (context has task && context.session.steps - 1 > 0)",
        ] {
            let one = sum(condition);
            let (proposals, wider) = without(&format!("{one}\n{plain}"), &uses, &one);
            assert_eq!(proposals[0], Proposal::Kept(Kept::MayFail), "{condition}");
            assert!(may_fail(wider), "{condition}");
        }
        let history = sum("true").replace(
            "when { true }",
            "when temporal { formerly within 1h Safeconduct::Action::\"files.pay\"::response{} }",
        );
        let (proposals, wider) = without(&format!("{history}\n{plain}"), &uses, &history);
        assert_eq!(proposals[0], Proposal::Kept(Kept::MayFail));
        assert!(may_fail(wider));

        // A smaller scope is no better; more in the condition is, and so is nobody else.
        let wider = |old: &str, new: &str| {
            widened(&loaded(&sources(old)), &loaded(&sources(new)), &belongs)
        };
        let old = format!("{overflows}\n{plain}");
        let only = "principal == Safeconduct::Agent::\"a\"";
        let less = overflows.replace("(principal,", &format!("({only},"));
        assert!(may_fail(wider(&old, &format!("{less}\n{plain}"))));
        let except = overflows.replace("};", &format!("}} unless {{ {only} }};"));
        assert_eq!(wider(&old, &format!("{except}\n{plain}")), None);
        assert_eq!(wider(&overflows, &less), None);
        assert_eq!(wider(&overflows, ""), None);
        let pays = plain.replace("files.read_text_file", "files.pay");
        let (proposals, wider) = without(&format!("{overflows}\n{pays}"), &uses, &overflows);
        assert_eq!((&proposals[0], wider), (&Proposal::Removed, None));
        // What begins with the same condition fails with it.
        let with = overflows
            .replace("\"sum\"", "\"plain\"")
            .replace("};", &format!("}} unless {{ {only} }};"));
        let (_, wider) = without(&format!("{overflows}\n{with}"), &uses, &overflows);
        assert_eq!(wider, None);
    }

    #[test]
    fn ordinary_conditions_cannot_fail() {
        let plain = "@id(\"plain\") permit (principal, action, resource);";
        let uses = [("b", READ, "/x")];
        for condition in [
            "context.input.path == \"/y\"",
            "context.input has head && context.input.head < 0",
            "context.action.tier == \"critical\" && !(context.action.name like \"files.r*\")",
            "context has task && context.task.intent == \"work\"",
            "context has task && context.task has on_behalf_of && context.task.on_behalf_of == principal",
            "principal is Safeconduct::Agent && principal has owner && principal.owner == \"ada\"",
            "principal in Safeconduct::Group::\"nobody\" && context.session.steps > 90",
            "resource is Safeconduct::Path && resource.path == \"/y\"",
            "context.flow.from_untrusted.contains(\"/path\") || context.risk.score > 90",
            "decimal(\"1.5\").greaterThan(decimal(\"2.5\"))",
            "if context has task then context.task.depth > 1 else false",
        ] {
            let one = format!(
                "@id(\"one\") permit (principal, action == \
                 Safeconduct::Action::\"files.read_text_file\", resource) when {{ {condition} }};"
            );
            let (proposals, wider) = without(&format!("{one}\n{plain}"), &uses, &one);
            assert_eq!((&proposals[0], wider), (&Proposal::Removed, None), "{condition}");
        }
        // Of what a resource names, nothing may be known.
        let wider = |condition: &str| {
            let schema = "entity user { role: String, team?: String };
                          entity record { owner: user };
                          action look appliesTo { principal: user, resource: record };";
            let set = |text: &str| {
                let mut declared = sources(text);
                declared.schemas.push(SourceFile::new("own.cedarschema", schema));
                loaded(&declared)
            };
            let one = format!(
                "@id(\"one\") permit (principal, action == Action::\"look\", resource) when {{ \
                 {condition} }};"
            );
            widened(&set(&format!("{one}\n{plain}")), &set(plain), &belongs)
        };
        let named = wider("resource.owner.role == \"clerk\"");
        assert!(matches!(named, Some(Widened::MayFail { .. })), "{named:?}");
        assert_eq!(wider("resource.owner has team && resource.owner.team == \"red\""), None);
        assert_eq!(wider("principal.role == \"clerk\" && resource.owner == principal"), None);
    }

    #[test]
    fn what_a_draft_says_in_other_words_is_still_given() {
        let read = "Safeconduct::Action::\"files.read_text_file\"";
        let both = format!("[{read}, Safeconduct::Action::\"files.pay\"]");
        let few = "context.session.steps < 5";
        let permit = |who: &str, what: &str, on: &str, when: &str| {
            format!("permit (principal{who}, action in {what}, resource{on}) {when};\n")
        };
        let text = permit(" is Safeconduct::Agent", &both, "", &format!("when {{ {few} }}"));
        let old = loaded(&sources(&text));
        let says = old.statements().next().unwrap().digest();
        let still = |text: &str| {
            let new = loaded(&sources(text));
            still_given(&old, &new, &agent("b"), says, &belongs).unwrap()
        };
        let [a, b] = ["a", "b"].map(|id| format!(" == Safeconduct::Agent::\"{id}\""));
        let when = format!("when {{ {few} }}");
        for same in [
            permit(&b, &both, "", &when),
            permit("", &both, "", &when),
            permit("", &both, "", ""),
            permit("", &format!("[{read}]"), "", &when)
                + &*permit("", "[Safeconduct::Action::\"files.pay\"]", "", &when),
            permit("", &both, "", &format!("{when} unless {{ principal{a} }}")),
            permit("", &both, "", &format!("{when} when {{ 1 == 1 }}")),
            permit("", &both, "", &format!("{when} when {{ principal{b} }}")),
            format!("{text}@id(\"too\") {}", permit(&b, &both, "", &when)),
        ] {
            assert!(still(&same), "{same}");
        }
        let forbid = format!("forbid (principal{b}, action, resource) {when};");
        for less in [
            String::new(),
            permit(&a, &both, "", &when),
            permit("", &format!("[{read}]"), "", &when),
            permit("", &both, " == Safeconduct::Path::\"/x\"", &when),
            permit("", &both, "", &format!("{when} when {{ context.session.denials < 1 }}")),
            permit("", &both, "", &format!("{when} unless {{ principal{b} }}")),
            format!("@obligation(\"log\") {}", permit("", &both, "", &when)),
            permit("", &both, "", &when) + &*forbid,
        ] {
            assert!(!still(&less), "{less}");
        }
    }

    /// Beside statements of Cedar Rego only forbids; alone it permits.
    #[test]
    fn what_leaves_the_decision_to_rego_is_wider() {
        let with = |text: &str| {
            let mut sources = sources(text);
            let rego = "package safeconduct\nallow := true";
            sources.policies.push(SourceFile::new("a.rego", rego));
            loaded(&sources)
        };
        let old =
            with("@id(\"p\") permit (principal, action, resource) when { context has task };");
        assert_eq!(widened(&old, &with(""), &belongs), Some(Widened::RegoAlone));
        assert_eq!(widened(&old, &with("// So.\n"), &belongs), Some(Widened::RegoAlone));
        assert_eq!(widened(&with(""), &with(""), &belongs), None);
    }

    #[test]
    fn another_history_is_another_condition() {
        let text = |history: &str, effect: &str| {
            loaded(&sources(&format!(
                "@id(\"all\") permit (principal, action == \
                 Safeconduct::Action::\"files.pay\", resource);\n@id(\"p\") \
                 @history(\"{history}\") {effect} (principal, action == \
                 Safeconduct::Action::\"files.read_text_file\", resource) when temporal {{ formerly \
                 within 1h Safeconduct::Action::\"files.pay\"::response{{}} }};"
            )))
        };
        let (id, set) = (PolicyId::new("p").unwrap(), text);
        let wider = |effect| widened(&set("session", effect), &set("identity", effect), &belongs);
        assert_eq!(wider("permit"), Some(Widened::Permit(id.clone())));
        assert_eq!(wider("forbid"), Some(Widened::Forbid(id)));
        let (one, same) = (set("session", "permit"), set("session", "permit"));
        assert_eq!(widened(&one, &same, &belongs), None);
    }

    const SCOPES: [&str; 7] = [
        "principal, action, resource",
        "principal == Safeconduct::Agent::\"a\", action, resource is Safeconduct::Path",
        "principal in Safeconduct::Group::\"clerks\", action, resource",
        "principal is Safeconduct::Agent, action in Safeconduct::Action::\"files\", resource in \
         Safeconduct::Path::\"/cases\"",
        "principal is Safeconduct::Agent in Safeconduct::Group::\"clerks\", action in \
         [Safeconduct::Action::\"files.pay\", Safeconduct::Action::\"files.read_text_file\"], resource",
        "principal, action == Safeconduct::Action::\"files.pay\", resource is Safeconduct::Path in \
         Safeconduct::Path::\"/\"",
        "principal, action, resource == Safeconduct::Path::\"/cases/1/x\"",
    ];
    const CONDITIONS: [&str; 4] = [
        "",
        "when { context.session.steps < 5 }",
        "unless { resource has path && resource.path like \"/other/*\" }",
        "when { context.session.steps > 5 }",
    ];
    const WHO: [&str; 3] = ["a", "ab", "b"];
    const FILES: [&str; 5] = ["/cases/1/x", "/cases/1/y", "/cases/2", "/other/z", "/"];

    fn every_use() -> Vec<Use> {
        let pairs = WHO.into_iter().flat_map(|who| [READ, "files.pay"].map(|action| (who, action)));
        pairs.flat_map(|(who, action)| FILES.map(|file| (who, action, file))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
        #[test]
        fn it_never_widens_and_what_was_used_stays(
            statements in prop::collection::vec(
                (0..SCOPES.len(), 0..CONDITIONS.len(), prop::bool::weighted(0.2),
                    prop::bool::weighted(0.2)), 1..6),
            uses in prop::collection::vec(prop::sample::select(every_use()), 0..6),
            holder in prop::option::of(prop::sample::select(WHO.to_vec())),
        ) {
            let obliges = statements.iter().any(|(_, _, forbid, obliges)| *obliges && !*forbid);
            let statement = |(at, one): (usize, &(usize, usize, bool, bool))| {
                let (scope, condition, forbid, obliges) = one;
                let asks = match *obliges && !*forbid {
                    true => format!("@obligation(\"log:{}\") ", at % 2),
                    false => String::new(),
                };
                let effect = if *forbid { "forbid" } else { "permit" };
                // Some have no name.
                let name = if at % 3 == 1 { String::new() } else { format!("@id(\"p{at}\")\n") };
                format!("{name}{asks}{effect} ({}) {};\n", SCOPES[*scope], CONDITIONS[*condition])
            };
            let text: String = statements.iter().enumerate().map(statement).collect();
            let sources = sources(&text);
            let old = loaded(&sources);
            let holder = holder.map(agent);
            let chosen = holder.as_ref().map_or(Chosen::All, Chosen::Holder);
            let reduction = reduced(&old, &uses, &chosen);
            let mut narrowed = sources.clone();
            narrowed.policies = reduction.applied(&sources.policies);
            let new = load(&narrowed);
            prop_assert!(new.is_ok(), "{:#?} in {}", new.err(), narrowed.policies[0].text);
            let new = new.unwrap().policies;
            prop_assert_eq!(widened(&old, &new, &belongs), None);
            for one in every_use() {
                let (then, now) = (evaluate(&old, one).0, evaluate(&new, one).0);
                prop_assert!(then == Decision::Permit || now == Decision::Deny, "{:?} is new", one);
                if now == Decision::Permit {
                    let (then, now) = (answer(&old, one).obligations, answer(&new, one).obligations);
                    prop_assert!(then.iter().all(|it| now.contains(it)), "{:?} of {:?}", now, then);
                }
                if uses.contains(&one) {
                    prop_assert_eq!(then, now, "{:?} was used; {}", one, &narrowed.policies[0].text);
                }
            }
            // Right-sizing what is right-sized changes nothing, save where what was in the way of
            // an obligation's permit is gone now.
            let again = reduced(&new, &uses, &chosen);
            if matches!(chosen, Chosen::All) && !obliges {
                prop_assert!(again.files.is_empty(), "{:?}", again);
            }
        }
    }
}
