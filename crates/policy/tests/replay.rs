//! A replay says what the draft would have said, or that it does not know.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use safeconduct_model::{
        ActionName, Decided, Decision, Digest, Entity, EntityRef, IdentityId, KeyedDigest, Method,
        Mode, Reason, RecordId, RecordedPolicy, RecordedReason, SessionKey, TaskId, Tier,
        Timestamp,
    };
    use safeconduct_policy::{
        ActionSituation, AdditionalArguments, Applied, ERAS_MAX, Evaluation, Fact, Missing,
        Policies, Question, Recalled, RecalledSession, RecordedDecision, Replay, Replayer,
        Situation, Surroundings, replay,
    };

    use crate::world::{entity, having, json, loaded, situation, sources, within};

    /// What surrounds decisions: entities by name, or nothing.
    #[derive(Default)]
    struct Around {
        entities: BTreeMap<EntityRef, Entity>,
        action: Option<ActionSituation>,
        /// What is recalled of every decision.
        recalled: Option<Recalled>,
    }

    impl Surroundings for Around {
        fn principal(&self, uid: &EntityRef) -> Option<Entity> {
            self.entities.get(uid).cloned()
        }
        fn user(&self, _: &IdentityId) -> Option<Entity> {
            None
        }
        fn resource(&self, _: &ActionName, uid: &EntityRef) -> Option<Entity> {
            self.entities.get(uid).cloned()
        }
        fn action(&self, _: &ActionName, _: Digest) -> Option<ActionSituation> {
            self.action
        }
        fn recalls(&self) -> bool {
            self.recalled.is_some()
        }
        fn recall(&self, _: &RecordedDecision<'_>, _: &Policies) -> Recalled {
            self.recalled.clone().unwrap()
        }
    }

    /// One request.
    #[derive(Debug, Clone)]
    struct Asked {
        principal: Entity,
        action: &'static str,
        resources: Vec<Entity>,
        input: &'static str,
        tier: Tier,
        steps: u64,
    }

    fn agent(name: &str, groups: &[&str]) -> Entity {
        let groups: Vec<_> = groups.iter().map(|group| ("Safeconduct::Group", *group)).collect();
        let agent = within(entity("Safeconduct::Agent", name), &groups);
        having(agent, &[("environment", name.into())])
    }

    fn path(path: &str) -> Entity {
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at.max(1)));
        let above: Vec<_> = above.collect();
        let above: Vec<_> = above.iter().map(|path| ("Safeconduct::Path", *path)).collect();
        having(within(entity("Safeconduct::Path", path), &above), &[("path", path.into())])
    }

    impl Asked {
        fn situation(&self) -> Situation<'static> {
            let mut situation = situation(self.tier);
            situation.session.steps = self.steps;
            situation
        }

        fn evaluations(&self, policies: &Policies) -> Vec<(EntityRef, Evaluation)> {
            let (situation, input) = (self.situation(), json(self.input));
            let action = ActionName::new(self.action).unwrap();
            let one = |resource: &Entity| {
                let question = Question {
                    principal: &self.principal,
                    action: &action,
                    resource,
                    input: &input,
                    additional: AdditionalArguments::Refused,
                    situation: &situation,
                    extra: &[],
                };
                (resource.uid.clone(), policies.evaluate(&question).unwrap())
            };
            self.resources.iter().map(one).collect()
        }

        fn decision(&self, policies: &Policies) -> Decision {
            let all = self.evaluations(policies);
            let permitted = |(_, one): &(_, Evaluation)| one.enforced.decision();
            match all.iter().all(|one| permitted(one) == Decision::Permit) {
                true => Decision::Permit,
                false => Decision::Deny,
            }
        }

        /// What a service records of it.
        fn decided(&self, policies: &Policies) -> Decided {
            let decision = self.decision(policies);
            let (mut reasons, mut shadow) = (Vec::new(), Vec::new());
            let several = self.resources.len() > 1;
            for (resource, answer) in self.evaluations(policies) {
                shadow.extend(of(&answer.shadow));
                if decision == Decision::Deny && answer.enforced.decision() == Decision::Permit {
                    continue;
                }
                let mut found = of(&answer.enforced);
                if found.is_empty() {
                    found.push(Reason::NoPermit { resource: several.then_some(resource) });
                }
                for reason in found {
                    if !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
            }
            let mut obligations = Vec::new();
            if decision == Decision::Permit {
                for (_, answer) in self.evaluations(policies) {
                    obligations.extend(answer.obligations);
                }
            }
            Decided {
                session: SessionKey::task(
                    IdentityId::new(self.principal.uid.id.as_str()).unwrap(),
                    TaskId::new("task_1").unwrap(),
                ),
                session_name: None,
                sequence: 1,
                pep: IdentityId::new("gateway").unwrap(),
                method: Method::ApiKey,
                principal: self.principal.uid.clone(),
                action: ActionName::new(self.action).unwrap(),
                resources: self.resources.iter().map(|one| one.uid.clone()).collect(),
                input_digest: KeyedDigest::from_bytes([0; 32]),
                decision,
                mode: Mode::Enforce,
                reasons: reasons.iter().map(recorded).collect(),
                shadow: shadow.iter().map(recorded).collect(),
                obligations,
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

        fn around(&self, known: (bool, bool, bool)) -> Around {
            let (principal, resources, action) = known;
            let mut entities = BTreeMap::new();
            if principal {
                entities.insert(self.principal.uid.clone(), self.principal.clone());
            }
            for resource in self.resources.iter().filter(|_| resources) {
                entities.insert(resource.uid.clone(), resource.clone());
            }
            let action = action.then(|| self.situation().action);
            Around { entities, action, recalled: None }
        }

        /// All that can be recalled of it.
        fn recalled(&self) -> Recalled {
            Recalled {
                input: Fact::Known(json(self.input)),
                additional: Fact::Known(AdditionalArguments::Refused),
                action: Some(self.situation().action),
                session: Fact::Known(RecalledSession {
                    steps: self.steps,
                    denials: 0,
                    distinct_resources: 0,
                    actions: Vec::new(),
                }),
                ..Recalled::default()
            }
        }

        /// What a draft says to it, with that recalled.
        fn replayed(&self, old: &Policies, new: &Policies, recalled: Recalled) -> Replay {
            let (id, decided) = (RecordId::new("dec_1").unwrap(), self.decided(old));
            let at = situation(Tier::Low).now;
            let recorded = RecordedDecision { id: &id, at, decided: &decided };
            let around = Around { recalled: Some(recalled), ..self.around(ALL) };
            replay([recorded], old, new, &around)
        }
    }

    fn counts(replay: &Replay) -> [u64; 4] {
        let changed = (replay.newly_denied.count, replay.newly_permitted.count);
        [replay.same, changed.0, changed.1, replay.not_replayable.count]
    }

    const READS: &str = "action == Safeconduct::Action::\"files.read_text_file\"";

    #[test]
    fn arguments_that_are_opened_are_looked_at_for_real() {
        let set = |condition: &str| {
            loaded(&sources(&format!(
                "@id(\"p\") permit (principal, {READS}, resource) {condition};"
            )))
        };
        let old = set("");
        let new = set("when { context.input.path like \"/cases/*\" }");
        let within = Asked { input: r#"{"path":"/cases/1"}"#, ..reads("a", "/cases/1") };
        let beyond = reads("a", "/x");
        assert_eq!(counts(&within.replayed(&old, &new, within.recalled())), [1, 0, 0, 0]);
        assert_eq!(counts(&beyond.replayed(&old, &new, beyond.recalled())), [0, 1, 0, 0]);
        // The other way around: what was denied then is looked at too.
        assert_eq!(counts(&beyond.replayed(&new, &old, beyond.recalled())), [0, 0, 1, 0]);
        assert_eq!(counts(&within.replayed(&new, &old, within.recalled())), [1, 0, 0, 0]);
        for (why, word) in [(Missing::Erased, "erased"), (Missing::NotKept, "not_recorded")] {
            let recalled = Recalled { input: Fact::Missing(why), ..beyond.recalled() };
            let replay = beyond.replayed(&old, &new, recalled);
            let (_, found) = &replay.not_replayable.listed[0];
            assert_eq!((replay.total(), found.as_str()), (1, word));
            let lacking = found.lacking().unwrap();
            assert_eq!((&*lacking.fact, lacking.why), ("context.input", why));
        }
    }

    #[test]
    fn what_contradicts_the_record_is_not_believed() {
        let set = |steps: u64, more: &str| {
            loaded(&sources(&format!(
                "@id(\"p\") permit (principal, {READS}, resource) when {{ \
                 context.session.steps < {steps} {more} }};"
            )))
        };
        let (old, new) = (set(5, ""), set(2, "&& context.input.path like \"*\""));
        let asked = reads("a", "/x");
        let session = |steps| {
            Fact::Known(RecalledSession {
                steps,
                denials: 0,
                distinct_resources: 0,
                actions: Vec::new(),
            })
        };
        let with = |steps| Recalled { session: session(steps), ..asked.recalled() };
        assert_eq!(counts(&asked.replayed(&old, &new, with(3))), [0, 1, 0, 0]);
        // It was permitted, which it could not have been with nine steps before it.
        let replay = asked.replayed(&old, &new, with(9));
        assert_eq!(counts(&replay), [0, 0, 0, 1]);
        let (_, why) = &replay.not_replayable.listed[0];
        assert_eq!((why.as_str(), why.policy().unwrap().as_str()), ("context_incomplete", "p"));
        // One decision of each kind through one replayer: what is kept of one is said of no other.
        let (id, at) = (RecordId::new("dec_1").unwrap(), situation(Tier::Low).now);
        let decided = asked.decided(&old);
        let recorded = RecordedDecision { id: &id, at, decided: &decided };
        let mut replayer = Replayer::new(&old, &new);
        for steps in [3, 9, 1, 3] {
            let around = Around { recalled: Some(with(steps)), ..asked.around(ALL) };
            replayer.take(&recorded, &around);
        }
        assert_eq!(counts(&replayer.finish()), [1, 2, 0, 1]);
    }

    #[test]
    fn each_decision_is_held_against_the_set_that_made_it() {
        let permit = |id: &str, steps: usize| {
            loaded(&sources(&format!(
                "@id(\"{id}\") permit (principal, action, resource) when {{ \
                 context.session.steps < {steps} }};"
            )))
        };
        let (first, now) = (permit("p", 5), permit("q", 7));
        // The draft has the condition of the first set, under another name.
        let draft = permit("r", 5);
        let few = reads("a", "/x");
        let decided = [few.decided(&first), few.decided(&now)];
        let (id, at) = (RecordId::new("dec_1").unwrap(), situation(Tier::Low).now);
        let replayed = |sets: &[&Policies]| {
            let mut replayer = Replayer::new(&now, &draft);
            for set in sets {
                replayer.enter(std::sync::Arc::new(loaded_again(set)));
            }
            for decided in &decided {
                let recorded = RecordedDecision { id: &id, at, decided };
                replayer.take(&recorded, &few.around(ALL));
            }
            replayer.finish()
        };
        let replay = replayed(&[]);
        assert_eq!(counts(&replay), [0, 0, 0, 2]);
        assert_eq!(replay.not_replayable.why["other_policy_set"], 1);
        let replay = replayed(&[&first]);
        assert_eq!(counts(&replay), [1, 0, 0, 1], "it permitted by that condition");
        assert_eq!(replay.not_replayable.why["not_recorded"], 1);
        let mut replayer = Replayer::new(&now, &draft);
        let more = 10..10 + 2 * ERAS_MAX;
        let more: Vec<_> = more.map(|steps| permit("p", steps)).collect();
        for set in more.iter().chain([&first]) {
            replayer.enter(std::sync::Arc::new(loaded_again(set)));
        }
        assert!(replayer.knows(first.digest()) && replayer.knows(now.digest()));
        let known = more.iter().filter(|set| replayer.knows(set.digest())).count();
        assert_eq!(known, ERAS_MAX - 1, "no more are held");
    }

    fn loaded_again(policies: &Policies) -> Policies {
        let statements = policies.iter();
        let texts = statements.map(|info| policies.source_text(&info.reference.id).unwrap());
        let again = loaded(&sources(&texts.map(|text| text.to_string()).collect::<String>()));
        assert_eq!(again.digest(), policies.digest());
        again
    }

    /// Where the enforcement point speaks of somebody, policies saw no proof of theirs.
    /// Beside statements of Cedar Rego only forbids; alone it permits.
    #[test]
    fn the_same_rego_files_say_something_else_where_they_decide_alone() {
        let set = |cedar: &str| {
            let mut sources = sources(cedar);
            let rego = "package safeconduct\nallow := true";
            sources.policies.push(safeconduct_policy::SourceFile::new("a.rego", rego));
            loaded(&sources)
        };
        let beside = set("@id(\"pays\") permit (principal, action == \
                          Safeconduct::Action::\"files.pay\", resource);");
        let alone = set("");
        let asked = [reads("a", "/x")];
        assert_eq!(asked[0].decided(&beside).decision, Decision::Deny);
        assert_eq!(asked[0].decided(&alone).decision, Decision::Permit);
        assert_eq!(counts(&replayed(&beside, &alone, &asked, ALL)), [0, 0, 0, 1]);
        assert_eq!(counts(&replayed(&alone, &beside, &asked, ALL)), [0, 0, 0, 1]);
        assert_eq!(
            counts(&replayed(
                &beside,
                &set("// So.\n@id(\"pays\") permit (principal, action == \
            Safeconduct::Action::\"files.pay\", resource);"),
                &asked,
                ALL
            )),
            [1, 0, 0, 0]
        );
    }

    #[test]
    fn how_somebody_was_proved_is_said_of_who_asked_alone() {
        let set = |method: &str| {
            loaded(&sources(&format!(
                "@id(\"p\") permit (principal, action, resource); @id(\"f\") forbid (principal, \
                 action, resource) when {{ context.identity.method == \"{method}\" }};"
            )))
        };
        let (old, key, spoken) = (set("mtls"), set("api_key"), set("pep_assertion"));
        let (id, at) = (RecordId::new("dec_1").unwrap(), situation(Tier::Low).now);
        let asked = reads("a", "/x");
        let own = asked.decided(&old);
        let mut of_another = own.clone();
        of_another.session = SessionKey::task(own.pep.clone(), TaskId::new("task_1").unwrap());
        let mut of_itself = own.clone();
        of_itself.pep = own.session.identity.clone();
        for (new, expected) in [
            (&key, [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]),
            (&spoken, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
        ] {
            let mut replayer = Replayer::new(&old, new);
            for (decided, expected) in [&own, &of_another, &of_itself].into_iter().zip(expected) {
                let recorded = RecordedDecision { id: &id, at, decided };
                let around = asked.around(ALL);
                assert_eq!(counts(&replay([recorded], &old, new, &around)), expected);
                replayer.take(&recorded, &around);
            }
            assert_eq!(replayer.finish().total(), 3);
        }
    }

    fn of(applied: &Applied) -> Vec<Reason> {
        let errors = applied.errors.iter().map(|(policy, error)| Reason::PolicyError {
            policy: policy.clone(),
            error: error.clone(),
        });
        let mut found: Vec<_> =
            errors.chain(applied.forbids.iter().cloned().map(Reason::Policy)).collect();
        if found.is_empty() {
            found.extend(applied.permits.iter().cloned().map(Reason::Policy));
        }
        found
    }

    fn recorded(reason: &Reason) -> RecordedReason {
        let policy = reason.policy().map(|policy| RecordedPolicy {
            id: policy.id.clone(),
            effect: policy.effect,
            span: policy.span.clone(),
        });
        let message = reason.message().into();
        RecordedReason { code: reason.code().into(), policy, message, detail: None, of: None }
    }

    fn replayed(
        old: &Policies,
        new: &Policies,
        asked: &[Asked],
        known: (bool, bool, bool),
    ) -> Replay {
        let at = situation(Tier::Low).now;
        let mut total = Replay::default();
        for one in asked {
            let (id, decided) = (RecordId::new("dec_1").unwrap(), one.decided(old));
            let recorded = RecordedDecision { id: &id, at, decided: &decided };
            let one = replay([recorded], old, new, &one.around(known));
            total.same += one.same;
            total.newly_denied.count += one.newly_denied.count;
            total.newly_denied.listed.extend(one.newly_denied.listed);
            total.newly_permitted.count += one.newly_permitted.count;
            total.newly_permitted.listed.extend(one.newly_permitted.listed);
            total.not_replayable.count += one.not_replayable.count;
            total.not_replayable.listed.extend(one.not_replayable.listed);
        }
        total
    }

    fn reads(name: &str, file: &str) -> Asked {
        Asked {
            principal: agent(name, &["clerks"]),
            action: "files.read_text_file",
            resources: vec![path(file)],
            input: r#"{"path":"/x","head":10}"#,
            tier: Tier::Low,
            steps: 3,
        }
    }

    const ALL: (bool, bool, bool) = (true, true, true);

    #[test]
    fn a_narrower_scope_is_replayed_whatever_its_condition_looks_at() {
        let permit = |scope: &str| {
            loaded(&sources(&format!(
                "@id(\"p\") permit (principal, action, resource {scope}) when {{ \
                 context.session.steps < 5 }};"
            )))
        };
        let (old, new) = (permit(""), permit("in Safeconduct::Path::\"/cases\""));
        let asked = [reads("a", "/cases/1/x"), reads("a", "/other/x"), reads("b", "/cases/2")];
        let replay = replayed(&old, &new, &asked, ALL);
        assert_eq!((replay.same, replay.newly_denied.count, replay.total()), (2, 1, 3));
        let change = &replay.newly_denied.listed[0];
        assert_eq!(change.resources[0].id.as_str(), "/other/x");
        assert_eq!(change.because[0].as_str(), "p", "the policy that no longer permits it");
        // Where nobody knows what a path belongs to, it is not guessed.
        let replay = replayed(&old, &new, &asked, (true, false, true));
        assert_eq!(replay.not_replayable.count, 3);
    }

    #[test]
    fn what_looks_at_arguments_is_told_to_be_unknown() {
        let old = loaded(&sources("@id(\"p\") permit (principal, action, resource);"));
        let new = loaded(&sources(
            "@id(\"p\") permit (principal, action == Safeconduct::Action::\"files.read_text_file\", \
             resource) when { context.input.path like \"/cases/*\" };",
        ));
        let replay = replayed(&old, &new, &[reads("a", "/cases/1/x")], ALL);
        assert_eq!(replay.not_replayable.count, 1);
        let (_, why) = &replay.not_replayable.listed[0];
        assert_eq!((why.as_str(), why.policy().unwrap().as_str()), ("not_recorded", "p"));
    }

    #[test]
    fn a_forbid_that_goes_shows_what_it_held_back() {
        let permit = "@id(\"p\") permit (principal, action, resource);";
        let forbid = "@id(\"f\") forbid (principal, action, resource in \
                      Safeconduct::Path::\"/secret\");";
        let old = loaded(&sources(&format!("{permit}{forbid}")));
        let new = loaded(&sources(permit));
        let asked = [reads("a", "/secret/x"), reads("a", "/open/x")];
        let replay = replayed(&old, &new, &asked, ALL);
        // What else the permit looked at is nothing, so that it is known to hold.
        assert_eq!((replay.newly_permitted.count, replay.same), (1, 1));
        let conditional = "@id(\"p\") permit (principal, action, resource) when { \
                           context.session.steps < 5 };";
        let old = loaded(&sources(&format!("{conditional}{forbid}")));
        let replay = replayed(&old, &loaded(&sources(conditional)), &asked, ALL);
        assert_eq!((replay.not_replayable.count, replay.same), (1, 1));
    }

    #[test]
    fn a_shadow_policy_that_gets_effect_is_replayed_from_what_it_said() {
        let text = |mode: &str| {
            loaded(&sources(&format!(
                "@id(\"p\") permit (principal, action, resource); @id(\"s\") {mode} forbid \
                 (principal, action, resource) when {{ context.session.steps > 4 }};"
            )))
        };
        let (old, new) = (text("@mode(\"shadow\")"), text(""));
        let many = Asked { steps: 9, ..reads("a", "/x") };
        let replay = replayed(&old, &new, &[reads("a", "/x"), many], ALL);
        assert_eq!((replay.same, replay.newly_denied.count), (1, 1));
        assert_eq!(replay.newly_denied.listed[0].because[0].as_str(), "s");
    }

    #[test]
    fn what_no_policy_decided_stays() {
        let old = loaded(&sources("@id(\"p\") permit (principal, action, resource);"));
        let new = loaded(&sources(""));
        let asked = reads("a", "/x");
        let mut decided = asked.decided(&old);
        decided.decision = Decision::Deny;
        decided.reasons = vec![recorded(&Reason::CredentialEnded)];
        let id = RecordId::new("dec_1").unwrap();
        let at = Timestamp::from_millis(0);
        let one = RecordedDecision { id: &id, at, decided: &decided };
        let replay = replay([one], &old, &new, &asked.around(ALL));
        assert_eq!((replay.same, replay.total()), (1, 1));
    }

    #[test]
    fn other_obligations_are_not_the_same() {
        let set = |asks: &str, condition: &str| {
            loaded(&sources(&format!(
                "@id(\"p\") {asks} permit (principal, action, resource) {condition};\n\
                 @id(\"q\") permit (principal, action, resource in Safeconduct::Path::\"/cases\");"
            )))
        };
        let steps = "when { context.session.steps < 5 }";
        let (with, plain) = ("@obligation(\"redact:$.ssn\")", "");
        let asked = [reads("a", "/cases/1"), reads("a", "/open")];
        for condition in ["", steps] {
            for (old, new) in [(with, plain), (plain, with), (with, "@obligation(\"log\")")] {
                let (old, new) = (set(old, condition), set(new, condition));
                let replay = replayed(&old, &new, &asked, ALL);
                assert_eq!((replay.same, replay.not_replayable.count, replay.total()), (0, 2, 2));
                let (_, why) = &replay.not_replayable.listed[0];
                assert_eq!((why.as_str(), why.policy()), ("other_obligations", None));
            }
        }
        // Where one more permit asks for it too, nothing is lost.
        let more = "@id(\"r\") @obligation(\"redact:$.ssn\") permit (principal, action, resource);";
        let text = |asks: &str| {
            loaded(&sources(&format!(
                "@id(\"p\") {asks} permit (principal, action, resource);{more}"
            )))
        };
        let replay = replayed(&text(with), &text(plain), &asked, ALL);
        assert_eq!((replay.same, replay.total()), (2, 2));
        // A permit of which nobody knows whether it holds may ask for more.
        let unknown = loaded(&sources(
            "@id(\"p\") permit (principal, action, resource); @id(\"n\") \
             @obligation(\"log\") permit (principal, action, resource) when { \
             context.session.denials < 1 };",
        ));
        let old = loaded(&sources("@id(\"p\") permit (principal, action, resource);"));
        let replay = replayed(&old, &unknown, &asked, ALL);
        assert_eq!((replay.same, replay.not_replayable.count), (0, 2));
    }

    #[test]
    fn another_history_is_not_the_same() {
        let set = |history: &str| {
            loaded(&sources(&format!(
                "@id(\"all\") permit (principal, action, resource); @id(\"f\") \
                 @history(\"{history}\") forbid (principal, action == \
                 Safeconduct::Action::\"files.read_text_file\", resource) when temporal {{ formerly \
                 within 1h Safeconduct::Action::\"files.pay\"::response{{}} }};"
            )))
        };
        let asked = [reads("a", "/cases/1")];
        let replay = replayed(&set("session"), &set("identity"), &asked, ALL);
        assert_eq!((replay.same, replay.not_replayable.count), (0, 1));
        let replay = replayed(&set("session"), &set("session"), &asked, ALL);
        assert_eq!(replay.same, 1);
    }

    #[test]
    fn what_is_kept_of_who_asked_for_itself_is_not_said_of_who_did_not() {
        let permit = "@id(\"p\") permit (principal, action, resource)";
        let old = loaded(&sources(&format!("{permit};")));
        let new = loaded(&sources(&format!(
            "{permit} when {{ principal has environment && principal.environment == \"a\" }};"
        )));
        let asked = reads("a", "/x");
        let by_itself = asked.decided(&old);
        let mut for_it = by_itself.clone();
        for_it.session =
            SessionKey::task(IdentityId::new("gateway").unwrap(), TaskId::new("task_1").unwrap());
        let id = RecordId::new("dec_1").unwrap();
        let at = situation(Tier::Low).now;
        let one = |decided| RecordedDecision { id: &id, at, decided };
        for both in [[&by_itself, &for_it], [&for_it, &by_itself]] {
            let replay = replay(both.map(one), &old, &new, &asked.around(ALL));
            assert_eq!((replay.same, replay.not_replayable.count), (1, 1));
        }
    }

    #[test]
    fn what_held_of_one_resource_is_not_said_of_another() {
        let old = loaded(&sources(
            "@id(\"all\") permit (principal, action, resource); @id(\"cases\") permit \
             (principal, action, resource in Safeconduct::Path::\"/cases\");",
        ));
        let new = loaded(&sources(
            "@id(\"cases\") permit (principal, action, resource in Safeconduct::Path::\"/cases\");",
        ));
        let both =
            Asked { resources: vec![path("/cases/1"), path("/other")], ..reads("a", "/cases/1") };
        let both = std::slice::from_ref(&both);
        let replay = replayed(&old, &new, both, ALL);
        assert_eq!((replay.newly_denied.count, replay.total()), (1, 1));
        // Where nobody knows what lies within what, `cases` may have permitted either.
        let replay = replayed(&old, &new, both, (true, false, true));
        assert_eq!((replay.not_replayable.count, replay.total()), (1, 1));
    }

    const SCOPES: [&str; 6] = [
        "principal, action, resource",
        "principal == Safeconduct::Agent::\"a\", action, resource",
        "principal in Safeconduct::Group::\"clerks\", action, resource",
        "principal, action == Safeconduct::Action::\"files.read_text_file\", resource in \
         Safeconduct::Path::\"/cases\"",
        "principal is Safeconduct::Agent, action in [Safeconduct::Action::\"files.pay\"], resource",
        "principal, action, resource == Safeconduct::Path::\"/cases/1/x\"",
    ];
    const CONDITIONS: [&str; 7] = [
        "",
        "when { context.action.tier == \"low\" }",
        "when { context.session.steps < 5 }",
        "when { principal has environment && principal.environment == \"a\" }",
        "when { context.session.steps + 9223372036854775800 > 0 }",
        "when { resource is Safeconduct::Path && resource.path like \"/cases/*\" }",
        "when { context.identity.method == \"api_key\" }",
    ];

    fn statements() -> impl Strategy<Value = Vec<(usize, usize, bool, bool)>> {
        let one = (
            0..SCOPES.len(),
            0..CONDITIONS.len(),
            prop::bool::weighted(0.3),
            prop::bool::weighted(0.15),
        );
        prop::collection::vec(one, 1..6)
    }

    fn text(statements: &[(usize, usize, bool, bool)]) -> String {
        let one =
            |(at, (scope, condition, forbid, shadow)): (usize, &(usize, usize, bool, bool))| {
                let effect = if *forbid { "forbid" } else { "permit" };
                let mode = if *shadow { "@mode(\"shadow\")" } else { "" };
                let (scope, condition) = (SCOPES[*scope], CONDITIONS[*condition]);
                format!("@id(\"p{at}\") {mode} {effect} ({scope}) {condition};\n")
            };
        statements.iter().enumerate().map(one).collect()
    }

    fn requests() -> impl Strategy<Value = Asked> {
        let files = ["/cases/1/x", "/cases/2", "/other/y", "/"];
        let resources = prop::collection::vec(prop::sample::select(files.to_vec()), 1..3);
        (any::<bool>(), any::<bool>(), any::<bool>(), resources, any::<bool>(), any::<bool>())
            .prop_map(|(a, clerk, reads, files, low, few)| Asked {
                principal: agent(if a { "a" } else { "b" }, if clerk { &["clerks"] } else { &[] }),
                action: if reads { "files.read_text_file" } else { "files.pay" },
                resources: files.into_iter().map(path).collect(),
                input: if reads { r#"{"path":"/x"}"# } else { r#"{"amount":1}"# },
                tier: if low { Tier::Low } else { Tier::High },
                steps: if few { 3 } else { 9 },
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
        #[test]
        fn what_is_replayed_is_what_the_draft_says(
            old in statements(),
            new in statements(),
            keep in any::<bool>(),
            asked in prop::collection::vec(requests(), 1..8),
            known in (any::<bool>(), any::<bool>(), any::<bool>()),
        ) {
            // Drafts have most of what was there.
            let new = if keep { old.iter().skip(1).chain(new.first()).copied().collect() } else { new };
            let (old, new) = (loaded(&sources(&text(&old))), loaded(&sources(&text(&new))));
            for one in &asked {
                let replay = replayed(&old, &new, std::slice::from_ref(one), known);
                prop_assert_eq!(replay.total(), 1);
                let (then, now) = (one.decision(&old), one.decision(&new));
                let said = (replay.same, replay.newly_denied.count, replay.newly_permitted.count);
                let expected = match (then, now) {
                    _ if replay.not_replayable.count == 1 => (0, 0, 0),
                    (Decision::Permit, Decision::Deny) => (0, 1, 0),
                    (Decision::Deny, Decision::Permit) => (0, 0, 1),
                    _ => (1, 0, 0),
                };
                prop_assert_eq!(said, expected);
                // With all that there was recalled, all of it is known.
                let recalled = one.replayed(&old, &new, one.recalled());
                let all = match (then, now) {
                    (Decision::Permit, Decision::Deny) => [0, 1, 0, 0],
                    (Decision::Deny, Decision::Permit) => [0, 0, 1, 0],
                    _ => [1, 0, 0, 0],
                };
                prop_assert_eq!(counts(&recalled), all);
            }
            // One after the other through one replayer, what is kept of those before counts.
            let id = RecordId::new("dec_1").unwrap();
            let at = situation(Tier::Low).now;
            let all = asked.iter().filter(|one| one.tier == Tier::Low).chain(&asked);
            let mut everyone = Around { action: None, ..Around::default() };
            for one in &asked {
                everyone.entities.extend(one.around((true, true, false)).entities);
            }
            // Groups are those of who was asked about last.
            let all: Vec<&Asked> = all
                .filter(|one| everyone.entities[&one.principal.uid] == one.principal)
                .collect();
            let decided: Vec<Decided> = all.iter().map(|one| one.decided(&old)).collect();
            let records = decided.iter().map(|decided| RecordedDecision { id: &id, at, decided });
            let once = replay(records.clone(), &old, &new, &everyone);
            let alone = records.map(|one| replay([one], &old, &new, &everyone));
            let alone = alone.fold((0, 0, 0, 0), |sum, one| (
                sum.0 + one.same,
                sum.1 + one.newly_denied.count,
                sum.2 + one.newly_permitted.count,
                sum.3 + one.not_replayable.count,
            ));
            let counts = (once.same, once.newly_denied.count, once.newly_permitted.count,
                once.not_replayable.count);
            prop_assert_eq!(counts, alone);
            let together = replayed(&old, &old, &asked, known);
            prop_assert_eq!(together.same, asked.len() as u64, "the same set says the same");
        }
    }
}
