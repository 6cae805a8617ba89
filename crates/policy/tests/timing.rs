//! What a question costs in small and large sets. Run it alone, optimised:
//! `cargo test --release -p safeconduct-policy --test timing -- --ignored --nocapture`.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time")]

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::Instant;

    use safeconduct_model::{ActionName, Tier, Value};
    use safeconduct_policy::{AdditionalArguments, Policies, Question, SourceFile, Sources};

    use crate::world::{entity, having, json, loaded, situation, sources, within};

    /// Six policies that the question looks at, and others for other agents, files and groups.
    fn set(policies: usize) -> Sources {
        let mut sources = sources(
            r#"
            permit (principal == Safeconduct::Agent::"a",
                action == Safeconduct::Action::"files.read_text_file",
                resource in Safeconduct::Path::"/cases/4711")
            when { context.action.tier == "low" && context.session.steps < 50 };
            permit (principal in Safeconduct::Group::"clerks",
                action in [Safeconduct::Action::"files.read_text_file"], resource)
            when { context.input.path like "/cases/*" };
            permit (principal is Safeconduct::Agent, action in Safeconduct::Action::"files",
                resource in Safeconduct::Path::"/cases")
            when { resource.path like "/cases/*" && principal has environment };
            forbid (principal, action, resource)
            when { context.action.tier == "critical" } unless { context has approval };
            forbid (principal, action, resource)
            when { context.identity.assurance == "high" && context.session.denials > 10 };
            forbid (principal in Safeconduct::Group::"clerks", action,
                resource in Safeconduct::Path::"/cases")
            when { context.session.steps > 1000 };
            "#,
        );
        let mut text = String::new();
        let mut file = 0;
        for n in 6..policies {
            writeln!(
                text,
                "permit (principal == Safeconduct::Agent::\"agent-{n}\", action == \
                 Safeconduct::Action::\"files.read_text_file\", resource in \
                 Safeconduct::Path::\"/cases/{n}\") when {{ context.action.tier == \"low\" }};"
            )
            .unwrap();
            if text.len() > 900_000 || n + 1 == policies {
                let name = format!("others-{file}.cedar");
                sources.policies.push(SourceFile::new(name, std::mem::take(&mut text)));
                file += 1;
            }
        }
        sources
    }

    /// Nanoseconds of one question: the tenth part of a hundred rounds that was least disturbed.
    fn cost(policies: &Policies) -> u128 {
        cost_of(policies, (6, 3))
    }

    fn cost_of(policies: &Policies, expected: (usize, usize)) -> u128 {
        let principal = having(
            within(entity("Safeconduct::Agent", "a"), &[("Safeconduct::Group", "clerks")]),
            &[("environment", Value::from("production"))],
        );
        let ancestors = ["/cases/4711", "/cases", "/"].map(|path| ("Safeconduct::Path", path));
        let path = "/cases/4711/notes.md";
        let resource = having(
            within(entity("Safeconduct::Path", path), &ancestors),
            &[("path", Value::from(path))],
        );
        let action = ActionName::new("files.read_text_file").unwrap();
        let input = json(r#"{"path":"/cases/4711/notes.md","head":10}"#);
        let situation = situation(Tier::Low);
        let question = Question {
            principal: &principal,
            action: &action,
            resource: &resource,
            input: &input,
            additional: AdditionalArguments::Refused,
            situation: &situation,
            extra: &[],
        };
        let mut rounds: Vec<u128> = (0..100)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..200 {
                    let answer = policies.evaluate(&question).unwrap();
                    assert_eq!((answer.considered, answer.enforced.permits.len()), expected);
                }
                start.elapsed().as_nanos() / 200
            })
            .collect();
        rounds.sort_unstable();
        rounds[10]
    }

    /// Nanoseconds of one question, with files of Rego beside ten policies of Cedar or without.
    #[test]
    #[ignore = "it measures time"]
    fn what_rego_adds() {
        const RULES: &str = r#"
            package safeconduct
            default allow := false
            allow if {
                count(deny) == 0
                startswith(input.context.input.path, "/cases/")
                {"type": "Safeconduct::Group", "id": "clerks"} in input.principal.ancestors
            }
            deny contains "a critical action" if input.context.action.tier == "critical"
            deny contains "too many steps" if input.context.session.steps > 1000
            deny contains "not here" if input.principal.attributes.environment != "production"
        "#;
        let without = loaded(&set(10));
        let mut sources = set(10);
        sources.policies.push(SourceFile::new("desk.rego", RULES));
        let with = loaded(&sources);
        println!("without Rego {} ns", cost_of(&without, (6, 3)));
        println!("with Rego {} ns", cost_of(&with, (7, 4)));
    }

    /// Below 100 ms, whether few or all of the set are about somebody.
    #[test]
    #[ignore = "it measures time"]
    fn what_somebody_may_do_is_told_of_a_large_set() {
        let mut everyone = set(6);
        let groups = (0..100_000).fold(vec![String::new()], |mut files, n| {
            if files.last().unwrap().len() > 900_000 {
                files.push(String::new());
            }
            let line = format!(
                "permit (principal in Safeconduct::Group::\"clerks\", action, resource in \
                 Safeconduct::Path::\"/cases/{n}\");\n"
            );
            files.last_mut().unwrap().push_str(&line);
            files
        });
        let files = groups.into_iter().enumerate();
        everyone
            .policies
            .extend(files.map(|(n, text)| SourceFile::new(format!("clerks-{n}.cedar"), text)));
        let principal =
            within(entity("Safeconduct::Agent", "a"), &[("Safeconduct::Group", "clerks")]);
        let action = ActionName::new("files.read_text_file").unwrap();
        for (sources, rights) in [(set(100_000), 3), (everyone, 100_003)] {
            let policies = loaded(&sources);
            let mut rounds: Vec<_> = (0..20)
                .map(|_| {
                    let start = Instant::now();
                    let standing = policies.standing_rights(&principal).unwrap();
                    assert_eq!(standing.permits.len(), rights);
                    let can = start.elapsed();
                    let over = policies.standing_over(&principal, &action, None).unwrap();
                    assert_eq!(over.permits.len(), rights);
                    (can, start.elapsed() - can)
                })
                .collect();
            rounds.sort_unstable();
            println!("{rights} rights of 100000: can {:?}, why {:?}", rounds[10].0, rounds[10].1);
            assert!(rounds[10].0.as_millis() < 100 && rounds[10].1.as_millis() < 100);
        }
    }

    #[test]
    #[ignore = "it measures time"]
    fn a_question_costs_the_same_in_small_and_large_sets() {
        let mut costs = Vec::new();
        for size in [10, 1_000, 100_000] {
            let sources = set(size);
            let start = Instant::now();
            let policies = loaded(&sources);
            let load = start.elapsed().as_millis();
            costs.push(cost(&policies));
            println!("{size} policies: loaded in {load} ms, question {} ns", costs.last().unwrap());
        }
        assert!(costs[2] * 10 <= costs[0] * 15, "{costs:?}");
    }
}
