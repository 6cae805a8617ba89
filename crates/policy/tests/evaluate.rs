//! What policies say to questions.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use safeconduct_model::{ActionName, Decision, Tier, Value};
    use safeconduct_policy::{
        AdditionalArguments, Question, QuestionError, SourceFile, Sources, Verdict, baseline,
    };

    use crate::world::{
        ask, ask_of, entity, having, json, loaded, situation, sources, tool, within,
    };

    const READ: &str = "files.read_text_file";
    const PATH: &str = r#"{"path":"/cases/4711/notes.md"}"#;

    #[test]
    fn a_permit_in_scope_applies_and_nothing_else_does() {
        let policies = loaded(&sources(
            r#"
            @id("mine") permit (
                principal in Safeconduct::Group::"clerks",
                action == Safeconduct::Action::"files.read_text_file",
                resource in Safeconduct::Path::"/cases/4711"
            );
            @id("others") permit (principal, action, resource in Safeconduct::Path::"/cases/1");
            "#,
        ));
        let answer = ask(&policies, READ, PATH).unwrap();
        assert_eq!(answer.enforced.decision(), Decision::Permit);
        assert_eq!(answer.enforced.permits[0].id.as_str(), "mine");
        assert_eq!(answer.considered, 1);
        let answer = ask(&policies, "files.pay", r#"{"amount":1}"#).unwrap();
        assert_eq!(answer.enforced.decision(), Decision::Deny);
    }

    #[test]
    fn arguments_of_every_kind_are_typed() {
        let policies = loaded(&sources(
            r#"
            @id("typed") permit (principal, action == Safeconduct::Action::"files.pay", resource)
            when {
                context.input.amount.lessThan(decimal("10.5"))
                && context.input has mode
                && context.input.mode == Safeconduct::files_pay::Input::mode::"fast"
                && context.input has at && context.input.at < datetime("2024-10-16")
                && context.input has tags && context.input.tags.contains("x")
                && context.input has to && context.input.to.name == "Ann"
                && context.input has note && context.input.note has typeChoice0
                && context.input.note.typeChoice0 == "hi"
                && context.input has "user-id" && context.input["user-id"] == "u"
                && context.input has labels && context.input.labels.hasTag("k")
                && context.input.labels.getTag("k") == "v"
                && context.time.now > datetime("2024-01-01")
                && context.session.steps == 3 && context.identity.method == "api_key"
                && context.action.name like "files.*"
            };
            "#,
        ));
        let input = r#"{"amount":10.25,"mode":"fast","at":"2024-10-15T11:35:00+05:30",
            "tags":["x","y"],"to":{"name":"Ann"},"note":"hi","user-id":"u","labels":{"k":"v"},
            "any":[1,{"a":null}]}"#;
        let answer = ask(&policies, "files.pay", input).unwrap();
        assert_eq!(answer.enforced.decision(), Decision::Permit, "{answer:#?}");
    }

    #[test]
    fn an_argument_that_cannot_be_held_exactly_is_refused() {
        let policies = loaded(&sources("permit (principal, action, resource);"));
        let pointer = |input: &str| match ask(&policies, "files.pay", input) {
            Err(QuestionError::NotRepresentable { pointer, .. }) => pointer.to_string(),
            other => panic!("{input}: {other:?}"),
        };
        assert_eq!(pointer(r#"{"amount":0.00001}"#), "/amount");
        assert_eq!(pointer(r#"{"amount":1e300}"#), "/amount");
        assert_eq!(pointer(r#"{"amount":"many"}"#), "/amount");
        assert_eq!(pointer(r#"{"amount":1,"mode":"middling"}"#), "/mode");
        assert_eq!(pointer(r#"{"amount":1,"at":"soon"}"#), "/at");
        assert_eq!(pointer(r#"{"amount":1,"tags":["x",1]}"#), "/tags/1");
        assert_eq!(pointer(r#"{"amount":1,"to":{}}"#), "/to/name");
        assert_eq!(pointer(r#"{"amount":1,"note":7}"#), "/note");
        assert_eq!(pointer(r#"{"amount":1,"labels":{"a/b":1}}"#), "/labels/a~1b");
        assert_eq!(pointer("{}"), "/amount");
        assert_eq!(pointer("[]"), "");
        let head = |n: &str| ask(&policies, READ, &format!(r#"{{"path":"/x","head":{n}}}"#));
        assert!(head("5.0").is_ok());
        assert!(head("5.5").is_err());
        assert!(head("9223372036854775808").is_err());
    }

    #[test]
    fn an_argument_that_is_not_declared_is_refused_or_left_out() {
        let policies = loaded(&sources("permit (principal, action, resource);"));
        let input = json(r#"{"path":"/x","more":{"than":1}}"#);
        let ask = |additional| {
            policies
                .evaluate(&Question {
                    principal: &entity("Agent", "a"),
                    action: &ActionName::new(READ).unwrap(),
                    resource: &entity("Path", "/x"),
                    input: &input,
                    additional,
                    situation: &situation(Tier::Low),
                    extra: &[],
                })
                .map(|answer| answer.enforced.decision())
        };
        assert_eq!(ask(AdditionalArguments::LeftOut), Ok(Decision::Permit));
        let refused = QuestionError::UndeclaredArgument { pointer: "/more".into() };
        assert_eq!(ask(AdditionalArguments::Refused), Err(refused));
    }

    #[test]
    fn what_no_schema_declares_cannot_be_asked_about() {
        let mut sources = sources("permit (principal, action, resource);");
        sources.schemas = vec![SourceFile::new(
            "own.cedarschema",
            "entity user; action look appliesTo { principal: user, resource: user };",
        )];
        let policies = loaded(&sources);
        assert_eq!(ask(&policies, "nothing", "{}"), Err(QuestionError::UnknownAction));
        let user = entity("user", "u");
        let agent = entity("Agent", "a");
        let error = ask_of(&policies, &entity("Robot", "r"), "look", &user, "{}");
        assert_eq!(error, Err(QuestionError::UnknownType { ty: "Robot".into() }));
        let error = ask_of(&policies, &agent, "look", &user, "{}").unwrap_err();
        assert!(matches!(error, QuestionError::NotApplicable { role: "principal", .. }));
        assert!(ask_of(&policies, &user, "look", &user, "{}").is_ok());
        let error = ask_of(&policies, &user, "look", &user, r#"{"x":1}"#).unwrap_err();
        assert_eq!(error, QuestionError::UndeclaredArgument { pointer: "/x".into() });
        let within = within(user.clone(), &[("Nowhere", "n")]);
        let error = ask_of(&policies, &within, "look", &user, "{}");
        assert_eq!(error, Err(QuestionError::UnknownType { ty: "Nowhere".into() }));
    }

    #[test]
    fn an_error_denies_and_names_its_policy() {
        let policies = loaded(&sources(
            r#"
            @id("open") permit (principal, action, resource);
            @id("overflow") forbid (principal, action, resource)
            when { context.session.steps + 9223372036854775807 > 0 };
            "#,
        ));
        let answer = ask(&policies, READ, PATH).unwrap();
        assert_eq!(answer.enforced.decision(), Decision::Deny);
        assert_eq!(answer.enforced.errors[0].0.id.as_str(), "overflow");
        assert_eq!((answer.enforced.permits.len(), answer.enforced.forbids.len()), (1, 0));
    }

    #[test]
    fn a_shadow_policy_is_evaluated_without_effect() {
        let policies = loaded(&sources(
            r#"
            @id("open") permit (principal, action, resource);
            @id("new") @mode("shadow") forbid (principal, action, resource);
            @id("wrong") @mode("shadow") forbid (principal, action, resource)
            when { context.session.steps + 9223372036854775807 > 0 };
            @id("extra") @mode("shadow") @obligation("log") permit (principal, action, resource);
            "#,
        ));
        let answer = ask(&policies, READ, PATH).unwrap();
        assert_eq!(answer.enforced.decision(), Decision::Permit);
        assert_eq!(answer.shadow.forbids[0].id.as_str(), "new");
        assert_eq!(answer.shadow.errors[0].0.id.as_str(), "wrong");
        assert_eq!(answer.shadow.permits[0].id.as_str(), "extra");
        assert_eq!((answer.obligations.len(), answer.requestable), (0, None));
    }

    #[test]
    fn obligations_of_all_permits_come_once_in_the_order_of_files() {
        let mut sources = sources(
            r#"@obligation("redact:$.a; log") permit (principal, action, resource);
               @obligation("log; redact:$.b") permit (principal, action, resource);"#,
        );
        let first = r#"@obligation("z") permit (principal, action, resource);"#;
        sources.policies.push(SourceFile::new("a-first.cedar", first));
        let answer = ask(&loaded(&sources), READ, PATH).unwrap();
        let obligations: Vec<_> = answer.obligations.iter().map(ToString::to_string).collect();
        assert_eq!(obligations, ["z", "redact:$.a", "log", "redact:$.b"]);
    }

    #[test]
    fn a_denial_can_be_asked_for_where_only_requestable_forbids_cause_it() {
        let forbid = |terms: &str| {
            format!(
                "@requestable(\"approvers=group:x; {terms}\") forbid (principal, action, resource);"
            )
        };
        let asked = |policies: &[String]| {
            let text = format!("permit (principal, action, resource);{}", policies.concat());
            ask(&loaded(&sources(&text)), READ, PATH).unwrap().requestable
        };
        let terms = asked(&[forbid("quorum=1; ttl=15m"), forbid("quorum=2; ttl=1h")]).unwrap();
        assert_eq!((&*terms.approvers, terms.quorum, terms.ttl_s), ("group:x", 2, 900));
        let last = "forbid (principal, action, resource);".to_owned();
        assert_eq!(asked(&[forbid(""), last.clone()]), None);
        assert_eq!(asked(&[last, forbid("")]), None);
        let failing = "permit (principal, action, resource)
            when { context.session.steps + 9223372036854775807 > 0 };";
        assert_eq!(asked(&[forbid(""), failing.to_owned()]), None);
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn the_baseline_makes_much_harm_wait_for_a_person() {
        let mut with_baseline = sources("@id(\"open\") permit (principal, action, resource);");
        with_baseline.policies.extend(baseline());
        let policies = loaded(&with_baseline);
        let ask = |tier| {
            policies
                .evaluate(&Question {
                    principal: &entity("Agent", "a"),
                    action: &ActionName::new(READ).unwrap(),
                    resource: &entity("Path", "/x"),
                    input: &json(r#"{"path":"/x"}"#),
                    additional: AdditionalArguments::Refused,
                    situation: &situation(tier),
                    extra: &[],
                })
                .unwrap()
        };
        assert_eq!(ask(Tier::Moderate).enforced.decision(), Decision::Permit);
        assert_eq!(ask(Tier::High).requestable.unwrap().quorum, 1);
        let answer = ask(Tier::Critical);
        assert_eq!(answer.enforced.forbids[0].id.as_str(), "baseline.step-up.critical");
        assert_eq!(answer.requestable.unwrap().quorum, 2);
    }

    #[test]
    fn what_may_be_permitted_does_not_depend_on_resource_or_moment() {
        let policies = loaded(&sources(
            r#"
            permit (principal == Safeconduct::Agent::"a",
                action == Safeconduct::Action::"files.read_text_file",
                resource == Safeconduct::Path::"/only/this")
            when { context.session.steps > 1000 };
            permit (principal in Safeconduct::Group::"clerks", action, resource);
            forbid (principal == Safeconduct::Agent::"b", action, resource);
            forbid (principal == Safeconduct::Agent::"a", action, resource)
            when { context.action.tier == "low" };
            @mode("shadow") permit (principal == Safeconduct::Agent::"c", action, resource);
            "#,
        ));
        let may = |principal: safeconduct_model::Entity, action: &str| {
            policies.may_permit(&principal, &ActionName::new(action).unwrap())
        };
        let clerk = |id| within(entity("Agent", id), &[("Safeconduct::Group", "clerks")]);
        assert!(may(entity("Agent", "a"), READ));
        assert!(!may(entity("Agent", "a"), "files.pay"));
        assert!(may(clerk("a"), "files.pay"));
        assert!(!may(clerk("b"), "files.pay"), "forbidden whatever is asked");
        assert!(!may(entity("Agent", "c"), READ), "shadow policies permit nothing");
        assert!(!may(clerk("a"), "files.nothing"));
        assert!(!may(entity("Robot", "a"), READ));
    }

    #[test]
    fn tags_and_attributes_of_asserted_entities_follow_the_schema() {
        let mut sources = sources(
            r#"permit (principal is user, action == Action::"look", resource)
               when { principal.role == "admin" && principal.hasTag("team")
                   && principal.getTag("team") == "red" && resource.owner == principal
                   && resource.owner.role == "admin" && context.ip.isLoopback()
                   && context.request.channel == "web" };"#,
        );
        sources.schemas = vec![SourceFile::new(
            "own.cedarschema",
            "entity user { role: String } tags String;
             entity record { owner: user };
             action look appliesTo { principal: user, resource: record,
                context: { ip: ipaddr, request: { channel: String } } };",
        )];
        let policies = loaded(&sources);
        let user = having(
            entity("user", "u"),
            &[("role", "admin".into()), ("team", "red".into()), ("gone", Value::Null)],
        );
        let record =
            having(entity("record", "r"), &[("owner", "u".into()), ("undeclared", Value::from(1))]);
        let said = json(r#"{"ip":"127.0.0.1","channel":"web","else":{}}"#);
        let mut situation = situation(Tier::Low);
        situation.request = Some(&said);
        let look = ActionName::new("look").unwrap();
        let mut question = Question {
            principal: &user,
            action: &look,
            resource: &record,
            input: &Value::Null,
            additional: AdditionalArguments::Refused,
            situation: &situation,
            extra: &[],
        };
        let answer = policies.evaluate(&question).unwrap();
        assert_eq!(answer.enforced.decision(), Decision::Permit, "{answer:#?}");
        // What is not stated is not there: an error in a policy, and so a Deny.
        let bare = entity("user", "u");
        question.principal = &bare;
        let answer = policies.evaluate(&question).unwrap();
        assert_eq!((answer.enforced.decision(), answer.enforced.errors.len()), (Decision::Deny, 1));
        let odd = having(entity("user", "u"), &[("role", Value::from(1))]);
        question.principal = &odd;
        let error = policies.evaluate(&question).unwrap_err();
        let wanted = "property `/role` of user::\"u\" is an integer, not a string";
        assert_eq!(error.to_string(), wanted);
    }

    #[test]
    fn what_a_tool_does_not_type_is_not_seen() {
        let mut sources = sources("permit (principal, action, resource);");
        sources.definitions.push(tool("files", "broken", "[]"));
        sources.actions.push((ActionName::new("deploy").unwrap(), None));
        let policies = loaded(&sources);
        for action in ["files.broken", "deploy", "files/sampling/createMessage"] {
            let answer = ask(&policies, action, r#"{"any":[1,"x"]}"#).unwrap();
            assert_eq!(answer.enforced.decision(), Decision::Permit, "{action}");
        }
        let answer = ask(&policies, "files/resources/read", r#"{"uri":"file:///x"}"#);
        assert_eq!(answer.unwrap().enforced.decision(), Decision::Permit);
        assert!(ask(&policies, "files/resources/read", r#"{"url":"x"}"#).is_err());
    }

    #[test]
    fn an_explanation_says_what_became_of_each_policy() {
        let policies = loaded(&sources(
            r#"
            @id("applies") permit (principal, action, resource);
            @id("not") permit (principal, action, resource) when { context.session.steps > 9 };
            @id("fails") forbid (principal, action, resource)
            when { context.session.steps + 9223372036854775807 > 0 };
            @id("elsewhere") permit (principal, action, resource in Safeconduct::Path::"/cases/4711")
            unless { resource.path like "/cases/*" };
            "#,
        ));
        let situation = situation(Tier::Low);
        let explained = policies
            .explain(&Question {
                principal: &entity("Agent", "a"),
                action: &ActionName::new(READ).unwrap(),
                resource: &entity("Path", "/x"),
                input: &json(r#"{"path":"/x"}"#),
                additional: AdditionalArguments::Refused,
                situation: &situation,
                extra: &[],
            })
            .unwrap();
        let said: Vec<_> =
            explained.iter().map(|e| (e.policy.reference.id.as_str(), &e.verdict)).collect();
        assert_eq!(said.len(), 3);
        assert_eq!(said[0], ("applies", &Verdict::Applies));
        assert_eq!(said[1], ("not", &Verdict::NotSatisfied));
        assert!(matches!(said[2], ("fails", Verdict::Failed(_))));
        assert!(explained[1].text.starts_with("@id(\"not\") permit"));
    }

    #[test]
    fn an_empty_set_denies() {
        let policies = loaded(&Sources { policies: Vec::new(), ..sources("") });
        assert!(policies.is_empty());
        assert_eq!(ask(&policies, READ, PATH).unwrap().enforced.decision(), Decision::Deny);
    }
}
