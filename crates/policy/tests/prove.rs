//! Proofs by the solver cvc5, where it is installed; counterexamples are put to the engine.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use cedar_policy_symcc::solver::{
        Decision as Answer, DecisionWithModel, LocalSolver, Solver, SolverError,
    };
    use safeconduct_model::{ActionName, Decision, EntityRef, PolicyId, Tier, Value};
    use safeconduct_policy::{
        ActionProof, AdditionalArguments, Beside, Counterexample, Policies, Proof, ProofOutcome,
        ProofVerdict, Question, SourceFile, Unproven, baseline, load, prove,
    };

    use crate::world::{entity, having, json, loaded, situation, sources};

    const READ: &str = "files.read_text_file";

    /// A solver that fails in one way.
    struct Failing(ErrorKind, Vec<u8>);

    impl Solver for Failing {
        fn smtlib_input(&mut self) -> &mut (dyn tokio::io::AsyncWrite + Unpin + Send) {
            &mut self.1
        }
        async fn enable_models(&mut self) -> Result<(), SolverError> {
            Ok(())
        }
        async fn check_sat(&mut self) -> Result<Answer, SolverError> {
            Err(Error::from(self.0).into())
        }
        async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
            Err(Error::from(self.0).into())
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// Paths belong to the folders above them.
    fn above(_: &ActionName, of: &EntityRef, to: &EntityRef) -> bool {
        let below = of.id.as_str().strip_prefix(to.id.as_str());
        of.ty == to.ty
            && of.ty.as_str() == "Safeconduct::Path"
            && below.is_some_and(|rest| rest.starts_with('/'))
    }

    /// What is proved of two sets; nothing, said, where there is no solver.
    fn proved_of(old: &Policies, new: &Policies) -> Option<Proof> {
        run(async {
            match LocalSolver::cvc5_with_args(["--tlimit=120000"]) {
                Ok(solver) => Some(prove(old, new, &above, solver).await),
                Err(why) => {
                    eprintln!("skipped: a proof: cvc5 cannot be started: {why:?}");
                    None
                }
            }
        })
    }

    fn proved(old: &str, new: &str) -> Option<Proof> {
        proved_of(&loaded(&sources(old)), &loaded(&sources(new)))
    }

    fn of<'p>(proof: &'p Proof, action: &str) -> &'p ActionProof {
        proof.actions.iter().find(|proof| proof.action.as_str() == action).unwrap()
    }

    fn verdict(old: &str, new: &str) -> Option<ProofVerdict> {
        proved(old, new).map(|proof| proof.verdict())
    }

    fn id(id: &str) -> PolicyId {
        PolicyId::new(id).unwrap()
    }

    fn ids(of: &[PolicyId]) -> Vec<&str> {
        of.iter().map(|id| id.as_str()).collect()
    }

    #[test]
    fn narrower_is_proved() {
        let old = r#"@id("desk") permit (principal, action, resource);
            @id("never") forbid (principal, action, resource) when { context.session.untrusted };"#;
        let new = r#"@id("desk") permit (principal is Safeconduct::Agent, action, resource)
                when { context.session.steps < 5 && context.action.effect == "read" };
            @id("never") forbid (principal, action, resource) when { context.session.untrusted };"#;
        let Some(proof) = proved(old, new) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::NeverWider, "{proof:#?}");
        assert_eq!(of(&proof, READ).outcome(), ProofOutcome::Proved);
        assert!(proof.beside.is_empty());
        assert_eq!(verdict(new, old), Some(ProofVerdict::Wider));
    }

    #[test]
    fn order_and_logic_do_not_count() {
        let old = r#"@id("a") permit (principal, action, resource)
                when { context.session.steps < 5 && context.risk.score < 50 };
            @id("b") forbid (principal in Safeconduct::Group::"new", action, resource)
                when { context.session.untrusted };"#;
        let moved = r#"@id("b") forbid (principal in Safeconduct::Group::"new", action, resource)
                when { context.session.untrusted };
            @id("a") permit (principal, action, resource)
                when { context.session.steps < 5 && context.risk.score < 50 };"#;
        let same = r#"@id("a") permit (principal, action, resource)
                when { !(context.risk.score >= 50 || context.session.steps > 4) };
            @id("b") forbid (principal in Safeconduct::Group::"new", action, resource)
                when { context.session.untrusted };"#;
        let Some(proof) = proved(old, moved) else { return };
        assert_eq!(of(&proof, READ).outcome(), ProofOutcome::SameStatements);
        assert_eq!(proof.verdict(), ProofVerdict::NeverWider);
        for (old, new) in [(old, same), (same, old)] {
            assert_eq!(verdict(old, new), Some(ProofVerdict::NeverWider));
        }
    }

    /// Puts a counterexample about agents and files to the engine.
    fn ask(policies: &Policies, found: &Counterexample) -> Decision {
        let name = |shown: &str| shown.split('"').nth(1).unwrap().to_owned();
        let principal = entity("Safeconduct::Agent", &name(&found.principal));
        let resource = name(&found.resource);
        let resource =
            having(entity("Safeconduct::Path", &resource), &[("path", Value::from("/x"))]);
        let mut situation = situation(Tier::Low);
        let steps = found.context.iter().find(|(path, _)| path == "context.session.steps");
        situation.session.steps = steps.unwrap().1.as_ref().unwrap().parse().unwrap();
        let asked = policies.evaluate(&Question {
            principal: &principal,
            action: &found.action,
            resource: &resource,
            input: &json(r#"{"path":"/x"}"#),
            additional: AdditionalArguments::Refused,
            situation: &situation,
            extra: &[],
        });
        asked.unwrap().enforced.decision()
    }

    #[test]
    fn wider_comes_with_a_request_that_the_engine_answers_so() {
        let rule = |most: u8| {
            format!(
                r#"@id("few") permit (principal is Safeconduct::Agent,
                    action == Safeconduct::Action::"files.read_text_file",
                    resource is Safeconduct::Path)
                when {{ context.session.steps >= 0 && context.session.steps < {most} }};"#
            )
        };
        let (old, new) = (loaded(&sources(&rule(5))), loaded(&sources(&rule(9))));
        let Some(proof) = proved_of(&old, &new) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::Wider);
        assert_eq!((of(&proof, READ).kinds.wider, proof.kinds().wider), (1, 1));
        let found = of(&proof, READ).counterexample.as_ref().unwrap();
        assert_eq!(ids(&found.permitted_by), ["few"]);
        assert!(found.forbidden_by.is_empty());
        assert_eq!((ask(&old, found), ask(&new, found)), (Decision::Deny, Decision::Permit));
        assert_eq!(of(&proof, "files.pay").outcome(), ProofOutcome::SameStatements);
    }

    #[test]
    fn a_forbid_that_goes_or_loses_its_effect_is_missed() {
        let desk = r#"@id("desk") permit (principal, action, resource);"#;
        let stop = r#"@id("stop") forbid (principal, action, resource) when { context.session.untrusted };"#;
        let (old, shadow) = (format!("{desk}{stop}"), format!("{desk}@mode(\"shadow\"){stop}"));
        for new in [desk, &shadow] {
            let Some(proof) = proved(&old, new) else { return };
            assert_eq!(proof.verdict(), ProofVerdict::Wider);
            let found = of(&proof, READ).counterexample.as_ref().unwrap();
            assert_eq!(
                (ids(&found.permitted_by), ids(&found.forbidden_by)),
                (vec!["desk"], vec!["stop"])
            );
            assert!(
                found.context.contains(&("context.session.untrusted".into(), Some("true".into())))
            );
        }
        let Some(proof) = proved(&old, &shadow) else { return };
        let mode = Beside::Differs { policy: id("stop"), what: "mode" };
        assert_eq!(proof.beside, [mode]);
    }

    #[test]
    fn what_can_fail_is_not_proved() {
        let sum = r#"@id("sum") permit (principal, action, resource)
            when { context.session.steps + context.session.denials < 5 };"#;
        let less = r#"@id("sum") permit (principal is Safeconduct::Agent, action, resource)
            when { context.session.steps + context.session.denials < 5 };"#;
        let Some(proof) = proved(sum, less) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::NotProved);
        let why: Vec<_> = of(&proof, READ).why.keys().collect();
        assert_eq!(why, [&Unproven::MayFail(id("sum"))]);
        // What failed and denied, and is gone, is a way in; the solver alone does not see it.
        let fails = r#"@id("desk") permit (principal, action, resource);
            @id("odd") permit (principal, action, resource)
                when { context.session.steps + 9223372036854775807 < 5 };"#;
        let gone = r#"@id("desk") permit (principal, action, resource);"#;
        assert_eq!(verdict(fails, gone), Some(ProofVerdict::NotProved));
    }

    #[test]
    fn temporal_clauses_count_by_name() {
        let rule = |condition: &str| {
            format!(
                r#"@id("after") permit (principal, action, resource)
                   when temporal {{ formerly within 1h Safeconduct::Action::"files.pay"::response{{}} }}
                   when {{ {condition} }};"#
            )
        };
        let (all, few) = (rule("true"), rule("context.session.steps < 5"));
        let dropped = r#"@id("after") permit (principal, action, resource)
            when { context.session.steps < 5 };"#;
        let longer = all.replace("1h", "2h");
        assert!(verdict(&all, &few).is_none_or(|verdict| verdict == ProofVerdict::NeverWider));
        assert!(verdict(&all, &longer).is_none_or(|verdict| verdict == ProofVerdict::Wider));
        let Some(proof) = proved(&few, dropped) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::Wider);
        let found = of(&proof, READ).counterexample.as_ref().unwrap();
        let clause = found.context.iter().find(|(path, _)| path.starts_with("temporal clause"));
        let (path, value) = clause.unwrap();
        assert!(path.ends_with("of `after`") && value.as_deref() == Some("false"), "{clause:?}");
    }

    #[test]
    fn folders_are_known_by_their_names() {
        let within = |folder: &str| {
            format!(
                r#"@id("read") permit (principal, action, resource in Safeconduct::Path::"{folder}");"#
            )
        };
        let (old, new) = (within("/cases"), within("/cases/1"));
        assert!(verdict(&old, &new).is_none_or(|verdict| verdict == ProofVerdict::NeverWider));
        let one = r#"@id("read") permit (principal, action, resource == Safeconduct::Path::"/cases/1/x");"#;
        assert!(verdict(&old, one).is_none_or(|verdict| verdict == ProofVerdict::NeverWider));
        let Some(proof) = proved(&old, &within("/case")) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::Wider, "{proof:#?}");
        let found = of(&proof, READ).counterexample.as_ref().unwrap();
        assert!(found.resource.contains("Path"), "{found:#?}");
    }

    #[test]
    fn arguments_are_looked_at() {
        let rule = |most: &str| {
            format!(
                r#"@id("pay") permit (principal, action == Safeconduct::Action::"files.pay", resource)
                when {{ context.input.amount.lessThan(decimal("{most}"))
                    && context.input has to && context.input.to.name like "ok*" }};"#
            )
        };
        let Some(proof) = proved(&rule("9.5"), &rule("2.0")) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::NeverWider, "{proof:#?}");
        let Some(proof) = proved(&rule("2.0"), &rule("9.5")) else { return };
        let found = of(&proof, "files.pay").counterexample.as_ref().unwrap();
        assert!(found.context.iter().any(|(path, _)| path == "context.input.amount"), "{found:#?}");
    }

    #[test]
    fn what_is_not_compared_is_said() {
        let rule = |annotations: &str, when: &str| {
            format!(
                r#"@id("read") {annotations} permit (principal, action, resource) when {{ {when} }};"#
            )
        };
        let old = rule(r#"@obligation("redact:$.ssn")"#, "true");
        let Some(proof) = proved(&old, &rule("", "context.session.steps < 5")) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::NeverWider);
        let policy = id("read");
        let differs = Beside::Differs { policy: policy.clone(), what: "obligations" };
        let lost = Beside::ObligationsMayBeLost { policy: policy.clone(), to: policy };
        assert_eq!(proof.beside, [differs, lost]);
        let mut other = sources(&old);
        let rego = "package safeconduct\nimport rego.v1\ndefault allow := true\n";
        other.policies.push(SourceFile::new("p.rego", rego));
        let other = loaded(&other);
        let Some(proof) = proved_of(&loaded(&sources(&old)), &other) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::NotProved);
        assert_eq!(proof.why().collect::<Vec<_>>(), [&Unproven::Rego]);
        let Some(proof) = proved_of(&other, &other) else { return };
        assert_eq!(
            (proof.verdict(), &*proof.beside),
            (ProofVerdict::NeverWider, &[Beside::SameRego][..])
        );
    }

    #[test]
    fn the_baseline_with_a_narrower_permit_is_proved() {
        let with = |permit: &str| {
            let mut sources = sources(permit);
            sources.policies.extend(baseline());
            load(&sources).unwrap().policies
        };
        let old = with(r#"@id("desk") permit (principal, action, resource);"#);
        let new = with(
            r#"@id("desk") permit (principal is Safeconduct::Agent, action, resource)
            when { context.session.steps < 100 };"#,
        );
        let Some(proof) = proved_of(&old, &new) else { return };
        assert_eq!(proof.verdict(), ProofVerdict::NeverWider, "{:#?}", proof.actions);
    }

    #[test]
    fn without_an_answer_nothing_is_proved() {
        let old = loaded(&sources(r#"@id("desk") permit (principal, action, resource);"#));
        let few = r#"@id("desk") permit (principal, action, resource) when { context.session.steps < 5 };"#;
        let (new, mut other) = (loaded(&sources(few)), sources(few));
        for (kind, why) in [
            (ErrorKind::NotFound, Unproven::NoSolver),
            (ErrorKind::TimedOut, Unproven::Timeout),
            (ErrorKind::QuotaExceeded, Unproven::TotalTime),
        ] {
            let proof = run(prove(&new, &old, &above, Failing(kind, Vec::new())));
            assert_eq!(proof.verdict(), ProofVerdict::NotProved);
            assert_eq!(of(&proof, READ).why.keys().collect::<Vec<_>>(), [&why]);
        }
        // What did not change needs no solver.
        let nobody = || Failing(ErrorKind::NotFound, Vec::new());
        let proof = run(prove(&new, &loaded(&sources(few)), &above, nobody()));
        assert_eq!(proof.verdict(), ProofVerdict::NeverWider);
        other.actions.push((ActionName::new("more").unwrap(), None));
        let proof = run(prove(&new, &loaded(&other), &above, nobody()));
        assert_eq!(proof.verdict(), ProofVerdict::NotProved);
        assert_eq!(proof.why().collect::<Vec<_>>(), [&Unproven::Schemas]);
    }
}
