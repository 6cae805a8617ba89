//! What the baseline makes of a call, rule by rule: the catalogue, the session and the flow of its
//! arguments are said, as the engine would.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use safeconduct_model::{
        ActionName, ArgumentRole, Confidentiality, Decision, Effect, Entity, Integrity, Label,
        Requestable, Tier, Value,
    };
    use safeconduct_policy::{
        AdditionalArguments, ApprovalSituation, Carried, FlowSituation, Policies, Question,
        Situation, TaskSituation, TracedArgument, baseline,
    };

    use crate::world::{entity, having, json, loaded, situation, sources};
    use ArgumentRole::{Address, Amount, Command, Content};

    /// Where a value was seen.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Origin {
        Task,
        Trusted,
        Untrusted,
        /// The intent holds it to something.
        Bound,
    }
    use Origin::{Bound, Task, Trusted, Untrusted};

    /// A call, and what is known of it.
    #[derive(Debug, Clone)]
    struct Call {
        tier: Tier,
        effect: Effect,
        accepts: Confidentiality,
        in_task: bool,
        /// What the session has read.
        read: Label,
        arguments: Vec<(ArgumentRole, &'static [Origin])>,
        carries: Confidentiality,
        resource: Entity,
        /// Whether a person has approved this very call.
        approved: bool,
    }

    fn call(effect: Effect) -> Call {
        Call {
            tier: Tier::Moderate,
            effect,
            accepts: Confidentiality::Internal,
            in_task: true,
            read: Label::LEAST,
            arguments: Vec::new(),
            carries: Confidentiality::Public,
            resource: entity("Resource", "r"),
            approved: false,
        }
    }

    impl Call {
        fn tier(self, tier: Tier) -> Self {
            Self { tier, ..self }
        }

        fn without_task(self) -> Self {
            Self { in_task: false, ..self }
        }

        fn accepting(self, accepts: Confidentiality) -> Self {
            Self { accepts, ..self }
        }

        fn at_url(self) -> Self {
            let url = [("scheme", Value::from("https"))];
            Self { resource: having(entity("Safeconduct::Url", "https://x.test/"), &url), ..self }
        }

        fn after(mut self, integrity: Integrity, confidentiality: Confidentiality) -> Self {
            self.read.integrity = integrity;
            self.read.confidentiality = confidentiality;
            self
        }

        fn after_untrusted(self) -> Self {
            let confidentiality = self.read.confidentiality;
            self.after(Integrity::Untrusted, confidentiality)
        }

        fn with(mut self, role: ArgumentRole, from: &'static [Origin]) -> Self {
            self.arguments.push((role, from));
            self
        }

        fn carrying(self, carries: Confidentiality) -> Self {
            Self { carries, ..self }
        }

        fn asks(&self, policies: &Policies) -> (Vec<String>, Option<Requestable>) {
            let leaves =
                self.arguments.iter().enumerate().map(|(at, (role, from))| TracedArgument {
                    pointer: format!("/{at}").into(),
                    role: *role,
                    from_task: from.contains(&Task),
                    from_trusted: from.contains(&Trusted),
                    from_untrusted: from.contains(&Untrusted),
                    bounded: from.contains(&Bound),
                });
            let mut asked = situation(self.tier);
            asked.action.effect = self.effect;
            asked.action.accepts = self.accepts;
            asked.session.label = &self.read;
            let carries = Carried {
                label: Label { confidentiality: self.carries, ..Label::LEAST },
                coverage: 1000,
            };
            asked.flow = FlowSituation::new(leaves.collect(), carries);
            let task = TaskSituation {
                id: "task_1",
                intent: "work",
                version: 1,
                on_behalf_of: None,
                depth: 0,
                budget_left: 9,
                age_s: 1,
            };
            asked.task = self.in_task.then_some(task);
            asked.approval = self.approved.then(|| ApprovalSituation {
                id: "req_1",
                approvers: vec!["owner"],
                age_s: 1,
                scope: "once",
            });
            self.put(policies, &asked)
        }

        fn put(
            &self,
            policies: &Policies,
            asked: &Situation<'_>,
        ) -> (Vec<String>, Option<Requestable>) {
            let parameters = entity("Safeconduct::TaskParameters", "task_1");
            let evaluation = policies
                .evaluate(&Question {
                    principal: &entity("Agent", "a"),
                    action: &ActionName::new("act").unwrap(),
                    resource: &self.resource,
                    input: &json("{}"),
                    additional: AdditionalArguments::LeftOut,
                    situation: asked,
                    extra: &[parameters],
                })
                .unwrap();
            let forbids: BTreeSet<_> =
                evaluation.enforced.forbids.iter().map(|policy| policy.id.as_str()).collect();
            let permitted = evaluation.enforced.decision() == Decision::Permit;
            assert_eq!(permitted, forbids.is_empty(), "{:?}", evaluation.enforced);
            let short = |id: &str| id.strip_prefix("baseline.").unwrap().to_owned();
            (forbids.into_iter().map(short).collect(), evaluation.requestable)
        }
    }

    /// The pack and a policy that permits everything.
    fn pack() -> Policies {
        let mut sources = sources("@id(\"open\") permit (principal, action, resource);");
        sources.policies.extend(baseline());
        sources.actions = [(ActionName::new("act").unwrap(), None)].into_iter().collect();
        loaded(&sources)
    }

    /// These rules stop it, on the terms that the pack asks on; once a person has approved it, none
    /// does but the one that no approval lifts.
    fn stopped_by(pack: &Policies, call: &Call, rules: &[&str]) {
        let (found, requestable) = call.asks(pack);
        assert_eq!(found, rules, "{call:?}");
        let secret = rules.contains(&"confidential.secret");
        let quorum = if rules.contains(&"step-up.critical") { 2 } else { 1 };
        let terms = Requestable { approvers: "principal.owner".into(), quorum, ttl_s: 15 * 60 };
        assert_eq!(requestable, (!rules.is_empty() && !secret).then_some(terms), "{call:?}");
        let (found, _) = Call { approved: true, ..call.clone() }.asks(pack);
        assert_eq!(found, if secret { &["confidential.secret"][..] } else { &[] }, "{call:?}");
    }

    #[test]
    fn a_session_that_read_nothing_untrusted_is_left_alone() {
        let pack = pack();
        for effect in [Effect::Read, Effect::Write, Effect::Send] {
            for from in [&[][..], &[Task], &[Trusted], &[Bound]] {
                let one = call(effect).with(Address, from).with(Command, from).with(Amount, from);
                stopped_by(&pack, &one, &[]);
            }
        }
        stopped_by(&pack, &call(Effect::Execute).with(Command, &[]), &[]);
    }

    #[test]
    fn untrusted_data_chooses_no_address() {
        let pack = pack();
        for effect in [Effect::Write, Effect::Send, Effect::Execute] {
            let at = |from| call(effect).after_untrusted().with(Address, from);
            stopped_by(&pack, &at(&[Task]), &[]);
            stopped_by(&pack, &at(&[Task, Untrusted]), &[]);
            stopped_by(&pack, &at(&[Task, Trusted, Untrusted]), &[]);
            stopped_by(&pack, &at(&[Untrusted, Bound]), &["untrusted.address"]);
            // One that the task names does not vouch for another.
            let two = at(&[Task, Untrusted]).with(Address, &[Untrusted]);
            stopped_by(&pack, &two, &["untrusted.address"]);
        }
        for effect in [Effect::Write, Effect::Send] {
            let at = |from| call(effect).after_untrusted().with(Address, from);
            stopped_by(&pack, &at(&[Trusted]), &[]);
            stopped_by(&pack, &at(&[Untrusted]), &["untrusted.address"]);
            stopped_by(&pack, &at(&[Trusted, Untrusted]), &["untrusted.address"]);
            stopped_by(&pack, &at(&[]), &["untrusted.made-up-address"]);
            stopped_by(&pack, &at(&[Bound]), &[]);
            let both = at(&[Untrusted]).with(Address, &[]);
            stopped_by(&pack, &both, &["untrusted.address", "untrusted.made-up-address"]);
        }
        let content = call(Effect::Send).after_untrusted().with(Content, &[Untrusted]);
        stopped_by(&pack, &content, &[]);
    }

    #[test]
    fn reading_inside_is_left_alone_and_asking_outside_is_not() {
        let pack = pack();
        let read = |from| call(Effect::Read).after_untrusted().with(Address, from);
        for from in [&[][..], &[Untrusted], &[Task]] {
            stopped_by(&pack, &read(from), &[]);
        }
        for (from, rules) in [
            (&[][..], &["untrusted.made-up-address"][..]),
            (&[Untrusted], &["untrusted.address"]),
            (&[Task, Untrusted], &[]),
            (&[Trusted], &[]),
        ] {
            stopped_by(&pack, &read(from).at_url(), rules);
            stopped_by(&pack, &read(from).accepting(Confidentiality::Public), rules);
        }
    }

    #[test]
    fn untrusted_data_chooses_no_command() {
        let pack = pack();
        for effect in [Effect::Execute, Effect::Write, Effect::Send] {
            let run = |from| call(effect).after_untrusted().with(Command, from);
            stopped_by(&pack, &run(&[Task, Untrusted]), &[]);
            stopped_by(&pack, &run(&[Trusted]), &[]);
            stopped_by(&pack, &run(&[Untrusted]), &["untrusted.command"]);
            stopped_by(&pack, &run(&[Trusted, Untrusted]), &["untrusted.command"]);
            stopped_by(&pack, &run(&[]), &["untrusted.made-up-command"]);
            stopped_by(&pack, &run(&[Bound]), &[]);
        }
        // What only reads may be asked in any words, save in those of somebody else.
        let query = |from| call(Effect::Read).after_untrusted().with(Command, from);
        stopped_by(&pack, &query(&[]), &[]);
        stopped_by(&pack, &query(&[Untrusted]), &["untrusted.command"]);
    }

    #[test]
    fn untrusted_data_chooses_amounts_within_the_bound_only() {
        let pack = pack();
        let pay = |from| call(Effect::Send).after_untrusted().with(Amount, from);
        for from in [
            &[Task, Untrusted][..],
            &[Task, Trusted],
            &[Task, Trusted, Untrusted],
            &[Bound],
            &[Trusted, Bound],
            &[Untrusted, Bound],
        ] {
            stopped_by(&pack, &pay(from), &[]);
        }
        // "All that is on the account" stands in what the bank says, and the mail chose it.
        for from in [&[][..], &[Trusted], &[Untrusted], &[Trusted, Untrusted]] {
            stopped_by(&pack, &pay(from), &["untrusted.amount"]);
            stopped_by(&pack, &pay(&[Task]).with(Amount, from), &["untrusted.amount"]);
        }
        stopped_by(&pack, &call(Effect::Read).after_untrusted().with(Amount, &[]), &[]);
    }

    #[test]
    fn much_harm_waits_for_a_person() {
        let pack = pack();
        let send = call(Effect::Send);
        stopped_by(&pack, &send.clone().tier(Tier::High).without_task(), &["step-up.high"]);
        stopped_by(&pack, &send.clone().tier(Tier::High), &[]);
        let after = send.clone().tier(Tier::High).after_untrusted();
        stopped_by(&pack, &after, &["step-up.after-untrusted"]);
        stopped_by(&pack, &send.clone().tier(Tier::Critical), &["step-up.critical"]);
        let both = send.tier(Tier::Critical).after_untrusted().with(Address, &[Untrusted]);
        stopped_by(&pack, &both, &["step-up.critical", "untrusted.address"]);
        let read = call(Effect::Read).tier(Tier::High).after_untrusted();
        stopped_by(&pack, &read, &[]);
        for effect in [Effect::Administer, Effect::Delegate] {
            stopped_by(&pack, &call(effect).tier(Tier::Low), &["step-up.privilege"]);
        }
    }

    #[test]
    fn what_runs_elsewhere_runs_where_the_task_says() {
        let pack = pack();
        let run = |from| call(Effect::Execute).with(Address, from);
        for from in [&[Task][..], &[Task, Trusted], &[Bound], &[Trusted, Bound]] {
            stopped_by(&pack, &run(from), &[]);
        }
        for from in [&[][..], &[Trusted]] {
            stopped_by(&pack, &run(from), &["step-up.lateral"]);
        }
    }

    #[test]
    fn what_is_destroyed_is_named_by_the_task() {
        let pack = pack();
        let delete = || call(Effect::Write).tier(Tier::High);
        stopped_by(&pack, &delete().with(Address, &[Task]), &[]);
        stopped_by(&pack, &delete().with(Address, &[Task, Trusted]), &[]);
        stopped_by(&pack, &delete(), &["step-up.destructive"]);
        for from in [&[][..], &[Trusted], &[Bound]] {
            stopped_by(&pack, &delete().with(Address, from), &["step-up.destructive"]);
        }
        let both = delete().with(Address, &[Task]).with(Address, &[]);
        stopped_by(&pack, &both, &["step-up.destructive"]);
    }

    #[test]
    fn confidential_content_stays_above_its_sinks() {
        use Confidentiality::{Confidential, Internal, Public, Secret};
        let pack = pack();
        let out = |effect, accepts, carries| {
            call(effect).accepting(accepts).after(Integrity::Trusted, Secret).carrying(carries)
        };
        for effect in [Effect::Send, Effect::Write, Effect::Execute] {
            stopped_by(&pack, &out(effect, Public, Public), &[]);
            stopped_by(&pack, &out(effect, Confidential, Confidential), &[]);
            stopped_by(&pack, &out(effect, Secret, Secret), &[]);
            for (accepts, carries) in [(Public, Internal), (Internal, Confidential)] {
                stopped_by(&pack, &out(effect, accepts, carries), &["confidential.above-sink"]);
            }
            let secret = out(effect, Confidential, Secret);
            stopped_by(&pack, &secret, &["confidential.above-sink", "confidential.secret"]);
        }
        let question = out(Effect::Read, Internal, Confidential);
        stopped_by(&pack, &question, &[]);
        stopped_by(&pack, &question.at_url(), &["confidential.above-sink"]);
    }

    #[test]
    fn what_was_read_is_not_sent_to_nobody_in_particular() {
        use Confidentiality::{Confidential, Internal, Public};
        let pack = pack();
        let post =
            || call(Effect::Send).accepting(Public).after(Integrity::Untrusted, Confidential);
        stopped_by(&pack, &post(), &["confidential.to-nobody-named"]);
        stopped_by(&pack, &post().with(Address, &[Task]), &[]);
        stopped_by(&pack, &post().with(Address, &[Trusted]), &[]);
        stopped_by(&pack, &post().after(Integrity::Untrusted, Internal), &[]);
        stopped_by(&pack, &post().after(Integrity::Trusted, Confidential), &[]);
        stopped_by(&pack, &post().accepting(Confidential), &[]);
    }

    #[test]
    fn each_address_says_for_itself_who_reads() {
        use Confidentiality::{Confidential, Public};
        let pack = pack();
        let share = |to| {
            let share = call(Effect::Send).accepting(Public);
            share
                .after(Integrity::Untrusted, Confidential)
                .with(Address, &[Trusted])
                .with(Address, to)
        };
        for to in [&[Task][..], &[Trusted], &[Task, Untrusted], &[Task, Bound]] {
            stopped_by(&pack, &share(to), &[]);
        }
        stopped_by(&pack, &share(&[Bound]), &["confidential.to-nobody-named"]);
        let rules = ["confidential.to-nobody-named", "untrusted.made-up-address"];
        stopped_by(&pack, &share(&[]), &rules);
        let rules = ["confidential.to-nobody-named", "untrusted.address"];
        stopped_by(&pack, &share(&[Untrusted]), &rules);
        stopped_by(&pack, &share(&[Untrusted, Bound]), &rules);
    }

    #[test]
    fn every_rule_says_what_an_agent_can_do_and_asks_on_the_same_terms() {
        let policies = pack();
        let all: Vec<_> =
            policies.iter().filter(|policy| policy.reference.id.as_str() != "open").collect();
        assert_eq!(all.len(), 14);
        let approvers: BTreeSet<Arc<str>> = all
            .iter()
            .filter_map(|policy| policy.requestable.as_ref())
            .map(|terms| Arc::clone(&terms.approvers))
            .collect();
        assert_eq!(approvers.len(), 1, "one approval answers them all");
        let terms: BTreeSet<_> = all
            .iter()
            .filter_map(|policy| policy.requestable.as_ref().map(|terms| (policy, terms)))
            .map(|(policy, terms)| (policy.reference.id.as_str(), terms.quorum, terms.ttl_s))
            .filter(|(_, quorum, ttl_s)| (*quorum, *ttl_s) != (1, 900))
            .collect();
        assert_eq!(terms, BTreeSet::from([("baseline.step-up.critical", 2, 900)]));
        let unasked = all.iter().filter(|policy| policy.requestable.is_none());
        let unasked: Vec<_> = unasked.map(|policy| policy.reference.id.as_str()).collect();
        assert_eq!(unasked, ["baseline.confidential.secret"]);
        for policy in all {
            assert!(
                policy.reference.message.is_some() && !policy.controls.is_empty(),
                "{policy:?}"
            );
        }
    }
}
