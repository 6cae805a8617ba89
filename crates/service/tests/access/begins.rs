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
async fn what_is_told_and_wanted_of_a_task_is_approved_with_it() {
    let bench = bench_under(&asks("agent", "group:leads")).await;
    let few = Budget { calls: 3, ..intent("work").budget };
    let narrowed = Narrowed { budget: Some(few), seconds: Some(60), ..Narrowed::default() };
    let prompt = |words: &str| Some(words.into());
    let small = Undertaking { prompt: prompt("summarise"), narrowed, ..bench.undertaking(1) };
    let asked = bench.asked_to_begin(&small).await;
    let view = bench.service.access_request(&asked.id).unwrap().asked.unwrap();
    let beside = view.asserted.unwrap();
    let text = |at: &str| beside.pointer(at).and_then(Value::as_str).map(ToOwned::to_owned);
    assert_eq!(text("/task/prompt"), Some("summarise".to_owned()));
    assert_eq!(beside.pointer("/task/version"), Some(&Value::Integer(1)));
    assert_eq!(beside.pointer("/task/narrowed/budget/calls"), Some(&Value::Integer(3)));
    assert_eq!(beside.pointer("/task/narrowed/seconds"), Some(&Value::Integer(60)));
    assert_eq!(text("/begun_by"), Some("orchestrator".to_owned()));
    bench.approve(&asked.id).await;

    let longer = Narrowed { seconds: Some(61), ..small.narrowed.clone() };
    for other in [
        Undertaking { prompt: prompt("send all of it"), ..small.clone() },
        Undertaking { prompt: None, ..small.clone() },
        Undertaking { narrowed: Narrowed::default(), ..small.clone() },
        Undertaking { narrowed: longer, ..small.clone() },
    ] {
        assert_ne!(bench.asked_to_begin(&other).await.id, asked.id);
    }
    assert_eq!(bench.spent(), 0);
    // A minute later it would end a minute later: that is no other task.
    bench.at(MINUTE);
    bench.service.begin_task(small).await.unwrap();
    assert_eq!(bench.spent(), 1);
}

#[tokio::test]
async fn a_child_of_another_task_is_another_and_what_has_no_room_uses_nothing() {
    let bench = bench_under(&asks("helper", "group:leads")).await;
    let (one, other) = (bench.begin(1).await, bench.begin(2).await);
    let of = |by: &Authentication| {
        let budget = Budget { calls: 60, ..intent("work").budget };
        let narrowed = Narrowed { budget: Some(budget), ..Narrowed::default() };
        let by = by.clone();
        Undertaking { by, agent: id("helper"), narrowed, ..bench.undertaking(3) }
    };
    let (first, second) =
        (bench.asked_to_begin(&of(&one)).await, bench.asked_to_begin(&of(&other)).await);
    assert_ne!(first.id, second.id);
    bench.approve(&first.id).await;
    bench.service.begin_task(of(&one)).await.unwrap();
    // As much again is not left of a hundred calls, so nobody is asked and nothing is used.
    let more = bench.service.begin_task(of(&one)).await;
    assert!(matches!(more, Err(BeginError::Wider(_))), "{more:?}");
    assert_eq!(bench.spent(), 1);
}

/// What was refused to one agent for a user is refused to any other for them.
#[tokio::test]
async fn a_refusal_is_held_against_whoever_would_begin_it_for_the_same_user() {
    let (one, any) =
        (r#"principal == Safeconduct::Agent::"agent""#, "principal is Safeconduct::Agent");
    let bench = bench_under(&asks("agent", "group:leads").replace(one, any)).await;
    let for_dora = |agent: &str| {
        let on_behalf_of = Some(OnBehalf::Delegated(id("dora")));
        Undertaking { agent: id(agent), on_behalf_of, ..bench.undertaking(1) }
    };
    bench.delegated("dora", "agent").await;
    bench.delegated("dora", "helper").await;
    let asked = bench.asked_to_begin(&for_dora("agent")).await;
    bench.refuse(&asked.id).await;
    let again = bench.service.begin_task(for_dora("helper")).await;
    let Err(BeginError::Denied { asked: Some(AskedAtOnce::Not(why)), .. }) = again else {
        panic!("{again:?}")
    };
    assert!(matches!(*why, AskError::Repeat { .. }));
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
    bench.approve(&asked.id).await;
    bench.service.begin_task(child).await.unwrap();
}
