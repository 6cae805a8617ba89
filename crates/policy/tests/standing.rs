//! What somebody may do before anything is asked.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use safeconduct_model::ActionName;
    use safeconduct_policy::{ScopeActions, ScopeSide, SourceFile, StandingRight};

    use crate::world::{entity, loaded, sources, within};

    const POLICIES: &str = r#"
        @id("clerks-read")
        permit (principal in Safeconduct::Group::"clerks",
            action == Safeconduct::Action::"files.read_text_file",
            resource is Safeconduct::Path in Safeconduct::Path::"/cases");
        @id("anything")
        permit (principal is Safeconduct::Agent, action, resource)
        when { context.session.steps < 3 };
        @id("others")
        permit (principal == Safeconduct::Agent::"b", action, resource);
        @id("tried")
        @mode("shadow")
        permit (principal, action in Safeconduct::Action::"files", resource);
        @id("nobody-pays")
        forbid (principal, action == Safeconduct::Action::"files.pay", resource);
        @id("not-secret")
        forbid (principal, action in [Safeconduct::Action::"files"],
            resource in Safeconduct::Path::"/cases/secret");
    "#;

    fn ids(rights: &[StandingRight]) -> Vec<&str> {
        rights.iter().map(|right| right.statement.info().reference.id.as_str()).collect()
    }

    fn name(text: &str) -> ActionName {
        ActionName::new(text).unwrap()
    }

    #[test]
    fn rights_are_those_that_can_apply() {
        let policies = loaded(&sources(POLICIES));
        let clerk = within(entity("Safeconduct::Agent", "a"), &[("Safeconduct::Group", "clerks")]);
        let standing = policies.standing_rights(&clerk).unwrap();
        assert_eq!(ids(&standing.permits), ["clerks-read", "anything"]);
        assert_eq!(ids(&standing.forbids), ["nobody-pays", "not-secret"]);
        assert_eq!(ids(&standing.shadow), ["tried"]);
        assert!(standing.not_derivable.is_none());

        let [read, anything] = &standing.permits[..] else { panic!("{standing:?}") };
        assert_eq!(*read.actions, [name("files.read_text_file")]);
        assert!(!read.statement.is_conditional() && anything.statement.is_conditional());
        assert!(anything.covers(&name("files.pay")));
        let path = "Safeconduct::Path::\"/cases\"";
        let inside = ScopeSide::IsIn("Safeconduct::Path".into(), path.into());
        assert_eq!(read.statement.resource(), inside);
        assert_eq!(inside.to_string(), format!("Safeconduct::Path in {path}"));
        assert_eq!(anything.statement.actions(), ScopeActions::Any);
        // What nothing can permit is open to nobody, though a statement names it.
        assert!(standing.may(&name("files.read_text_file")));
        assert!(!standing.may(&name("files.pay")) && standing.is_blocked(&name("files.pay")));
        assert!(standing.open(anything).all(|action| *action != name("files.pay")));
        let narrowing: Vec<_> = standing.narrowing(read).cloned().collect();
        assert_eq!(ids(&narrowing), ["not-secret"]);
        let line = read.statement.info().reference.span.line;
        assert_eq!(line, 2, "where it stands");
    }

    #[test]
    fn a_resource_narrows_what_is_looked_at() {
        let policies = loaded(&sources(POLICIES));
        let clerk = within(entity("Safeconduct::Agent", "a"), &[("Safeconduct::Group", "clerks")]);
        let read = name("files.read_text_file");
        let over = |resource| policies.standing_over(&clerk, &read, resource).unwrap();
        assert_eq!(ids(&over(None).permits), ["clerks-read", "anything"]);
        assert_eq!(ids(&over(None).forbids), ["not-secret"]);
        let elsewhere = entity("Safeconduct::Path", "/tmp");
        assert_eq!(ids(&over(Some(&elsewhere)).permits), ["anything"]);
        assert!(over(Some(&elsewhere)).forbids.is_empty());
        let secret = within(
            entity("Safeconduct::Path", "/cases/secret/1"),
            &[("Safeconduct::Path", "/cases/secret"), ("Safeconduct::Path", "/cases")],
        );
        assert_eq!(ids(&over(Some(&secret)).forbids), ["not-secret"]);
        assert!(policies.standing_over(&clerk, &name("files.none"), None).is_err());
        assert!(policies.standing_rights(&entity("No::Such", "x")).is_err());
    }

    #[test]
    fn what_a_statement_says_has_a_digest() {
        let of = |text: &str| {
            let policies = loaded(&sources(text));
            policies.statements().map(|statement| statement.digest()).collect::<Vec<_>>()
        };
        let one = of("permit (principal, action, resource) when { context.session.steps < 3 };");
        let same = "// a comment\n@id(\"named\") @message(\"no\")\npermit (principal, action,\n\n \
                    resource) when { context.session.steps <  3 };";
        assert_eq!(of(same), one);
        for other in [
            "permit (principal, action, resource) when { context.session.steps < 4 };",
            "forbid (principal, action, resource) when { context.session.steps < 3 };",
            "permit (principal is Safeconduct::Agent, action, resource) when { context.session.steps < 3 };",
            "@mode(\"shadow\") permit (principal, action, resource) when { context.session.steps < 3 };",
            "@obligation(\"redact:$.x\") permit (principal, action, resource) when { context.session.steps < 3 };",
        ] {
            assert_ne!(of(other), one, "{other}");
        }
    }

    #[test]
    fn rego_is_said_to_be_not_derivable() {
        let mut sources = sources("");
        sources.policies.clear();
        let module =
            "package safeconduct\ndefault allow := false\nallow if input.action == \"x\"\n";
        sources.policies.push(SourceFile::new("desk.rego", module));
        let policies = loaded(&sources);
        let standing = policies.standing_rights(&entity("Safeconduct::Agent", "a")).unwrap();
        assert!(standing.permits.is_empty() && standing.not_derivable.is_some());
        assert!(standing.may(&name("files.pay")), "nobody knows");
    }
}
