//! What people approve of a task that is about to begin: whose it would be, and what it would be.

use super::*;

/// A rule that wants people to approve each beginning of one agent's tasks.
fn asks(of: &str, approvers: &str) -> String {
    let rule = r#"
@id("ask-task") @requestable("approvers=APPROVERS")
forbid (principal == Safeconduct::Agent::"OF", action == Safeconduct::Action::"undertake", resource)
unless { context has approval };"#;
    [POLICIES, &rule.replace("OF", of).replace("APPROVERS", approvers)].concat()
}

impl Bench {
    /// The user gives an agent their standing word.
    async fn delegated(&self, user: &str, agent: &str) {
        let intent = name(IntentName::new("work"));
        let until = self.service.now().plus_ms(60 * MINUTE);
        self.service.delegate(id(user), id(agent), intent, until).await.unwrap();
    }

    /// A beginning that is denied and that people are asked about.
    pub(super) async fn asked_to_begin(&self, undertaking: &Undertaking) -> AccessSummary {
        let asked = match self.service.begin_task(undertaking.clone()).await {
            Err(BeginError::Denied { asked: Some(AskedAtOnce::Asked(request)), .. }) => Ok(request),
            other => Err(other),
        };
        *asked.unwrap()
    }

    fn may_answer(&self, request: &RecordId, who: &str) -> Result<(), AnswerError> {
        self.service.may_answer_access(request, &id(who)).unwrap()
    }
}

#[tokio::test]
async fn for_whom_a_task_would_act_approves_it_only_where_the_policy_says_so() {
    for (approvers, user_may) in [("group:leads", false), ("on_behalf_of", true)] {
        let bench = bench_under(&asks("agent", approvers)).await;
        bench.delegated("lou", "agent").await;
        let user = Some(OnBehalf::Delegated(id("lou")));
        let undertaking = Undertaking { on_behalf_of: user, ..bench.undertaking(1) };
        let asked = bench.asked_to_begin(&undertaking).await;
        assert_eq!(asked.on_behalf_of, Some(id("lou")));
        let may = bench.may_answer(&asked.id, "lou");
        assert_eq!(may.is_ok(), user_may, "{approvers}: {may:?}");
        let who = if user_may { "lou" } else { "lea" };
        let approved = bench.answer(&asked.id, proof(who), AccessExtent::Once).await;
        assert_eq!(approved, Ok(AccessState::Approved));
        // It is no yes to the same for somebody else.
        assert!(bench.service.begin_task(bench.undertaking(2)).await.is_err());
        assert!(bench.service.begin_task(undertaking).await.is_ok());
    }
}

#[tokio::test]
async fn nobody_of_the_line_above_approves_a_child() {
    let bench = bench_under(&asks("helper", "group:leads")).await;
    let helper = identity("helper", IdentityKind::Agent, &[]);
    let of_dora = Identity { owner: Some(id("dora")), ..helper };
    bench.service.change_identity(of_dora, &id("ada")).await.unwrap();
    bench.delegated("dora", "agent").await;
    // ada owns the agent, lou begins its task; both are leads, and neither has a part in another's.
    let user = Some(OnBehalf::Delegated(id("dora")));
    let first = Undertaking { by: proof("lou"), on_behalf_of: user, ..bench.undertaking(1) };
    bench.service.begin_task(first).await.unwrap();
    let handle = Digest::from_bytes([1; 32]);
    let agent = bench.service.enter_task(proof("agent"), &handle).unwrap();
    let child = Undertaking { by: agent, agent: id("helper"), ..bench.undertaking(2) };
    let asked = bench.asked_to_begin(&child).await;
    assert_eq!(asked.actors, [id("helper"), id("agent")]);
    for who in ["ada", "lou"] {
        let may = bench.may_answer(&asked.id, who);
        assert!(matches!(may, Err(AnswerError::Interested(_))), "{who}: {may:?}");
    }
    bench.refuse(&asked.id).await;
    let again = bench.service.begin_task(child).await;
    let Err(BeginError::Denied { asked: Some(AskedAtOnce::Not(why)), .. }) = again else {
        panic!("{again:?}")
    };
    assert!(matches!(*why, AskError::Repeat { .. }));
}
