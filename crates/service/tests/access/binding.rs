//! What an approval is bound to.

use super::*;

/// The mail that `approved` asks for is approved; then `tried` is done.
async fn approved_then(approved: Value, tried: Value) -> Result<(), Vec<&'static str>> {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", approved)).await;
    bench.approve(&asked.request).await;
    let done = bench.ask(call(&proof("agent"), "mail", tried)).await;
    assert_eq!(bench.spent(), usize::from(done.is_ok()));
    done
}

fn parse(text: &str) -> Value {
    safeconduct_wire::json::parse(text.as_bytes()).unwrap()
}

#[tokio::test]
async fn one_byte_and_one_unicode_form_are_other_arguments() {
    for (approved, tried) in [
        ("the summary", "the summarY"),
        ("caf\u{e9}", "cafe\u{301}"),
        ("the summary", "the summary "),
        ("the summary", "the\u{200b} summary"),
    ] {
        let tried = approved_then(mail(approved), mail(tried)).await;
        assert_eq!(tried, Err(vec!["policy"]));
    }
    let mut more = mail("x");
    if let Value::Object(members) = &mut more {
        members.insert("cc".into(), Value::Null);
    }
    assert!(approved_then(mail("x"), more).await.is_err());
}

#[tokio::test]
async fn key_order_and_number_form_are_not() {
    let approved = parse(r#"{"to":"a","n":1}"#);
    for tried in [r#"{"n":1,"to":"a"}"#, r#"{"to":"a","n":1.0}"#, r#"{"to":"a","n":1e0}"#] {
        assert_eq!(approved_then(approved.clone(), parse(tried)).await, Ok(()), "{tried}");
    }
    for tried in [r#"{"to":"a","n":"1"}"#, r#"{"to":"a","n":1.1}"#] {
        assert!(approved_then(approved.clone(), parse(tried)).await.is_err(), "{tried}");
    }
}

#[tokio::test]
async fn another_caller_task_or_word_beside_is_another_call() {
    let bench = bench().await;
    let (one, other) = (bench.begin(1).await, bench.begin(2).await);
    let asked = bench.request(call(&one, "mail", mail("x"))).await;
    bench.approve(&asked.request).await;
    for who in [&other, &proof("agent"), &proof("helper")] {
        assert!(bench.ask(call(who, "mail", mail("x"))).await.is_err());
    }
    let beside = Check {
        asserted: Some(Value::object([("requestState", Value::from("s"))])),
        ..call(&one, "mail", mail("x"))
    };
    assert!(bench.ask(beside).await.is_err());
    assert_eq!(bench.ask(call(&one, "mail", mail("x"))).await, Ok(()));
}

#[tokio::test]
async fn another_credential_of_the_same_agent_may_come_back_for_it() {
    let bench = bench().await;
    let asked = bench.request(call(&proof("agent"), "mail", mail("x"))).await;
    bench.approve(&asked.request).await;
    let other = Authentication { token: name(TokenId::new("tok_other")), ..proof("agent") };
    assert_eq!(bench.ask(call(&other, "mail", mail("x"))).await, Ok(()));
}

#[tokio::test]
async fn at_most_100_is_that_and_nothing_else() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let asked = bench.request(call(&task, "pay", pay(400))).await;
    let at_most = AskedView::at_most("/amount", Value::Integer(100));
    let by = passkey("lea", bench.service.now());
    let lowered = AccessExtent::Lowered(vec![at_most]);
    assert_eq!(bench.answer(&asked.request, by, lowered).await, Ok(AccessState::Approved));
    let bench = bench.again();
    for tried in [pay(400), pay(101), pay(-1)] {
        assert!(bench.ask(call(&task, "pay", tried)).await.is_err());
    }
    let mut elsewhere = pay(90);
    if let Value::Object(members) = &mut elsewhere {
        members.insert("to".into(), Value::from("mallory"));
    }
    assert!(bench.ask(call(&task, "pay", elsewhere)).await.is_err());
    assert_eq!(bench.ask(call(&task, "pay", pay(90))).await, Ok(()));
    assert!(bench.ask(call(&task, "pay", pay(90))).await.is_err(), "once");
}

#[tokio::test]
async fn an_approval_for_a_task_is_counted_and_never_wider_than_its_intent() {
    let bench = bench().await;
    let task = bench.begin(1).await;
    let asked = bench.request(call(&task, "pay", pay(400))).await;
    let view = bench.service.access_request(&asked.request).unwrap();
    let mut bounds = view.asked.as_ref().unwrap().bounds(&view.summary);
    let amount = bounds.arguments.iter_mut().find(|rule| &*rule.pointer == "/amount").unwrap();
    amount.constraint = Constraint::AtMost(Value::Integer(1000));
    let least = Constraint::AtLeast(Value::Integer(0));
    let least = ArgumentRule { constraint: least, ..amount.clone() };
    bounds.arguments.push(least);
    let by = passkey("lea", bench.service.now());
    let for_task = AccessExtent::Task { bounds, uses: 2 };
    assert_eq!(bench.answer(&asked.request, by, for_task).await, Ok(AccessState::Approved));

    assert!(bench.ask(call(&task, "pay", pay(-300))).await.is_err(), "nothing below 0");
    let beyond = bench.ask(call(&task, "pay", pay(900))).await;
    assert_eq!(beyond, Err(vec!["outside_intent"]), "the intent ends at 500");
    assert_eq!(bench.ask(call(&task, "pay", pay(300))).await, Ok(()));
    let bench = bench.again();
    assert_eq!(bench.ask(call(&task, "pay", pay(301))).await, Ok(()));
    assert!(bench.ask(call(&task, "pay", pay(302))).await.is_err(), "two uses");
    assert_eq!(bench.spent(), 2);
}

#[tokio::test]
async fn a_task_that_policy_wants_approved_begins_once() {
    let rule = r#"@id("ask-task") @requestable("approvers=group:leads")
        forbid (principal, action == Safeconduct::Action::"undertake", resource)
        unless { context has approval };"#;
    let bench = bench_under(&[POLICIES, rule].concat()).await;
    let first = bench.undertaking(1);
    let denied = bench.service.begin_task(first.clone()).await;
    let Err(BeginError::Denied { asked: Some(AskedAtOnce::Asked(request)), .. }) = &denied else {
        panic!("{denied:?}")
    };
    assert!(denied.as_ref().unwrap_err().to_string().contains(request.id.as_str()));
    // Whoever tries again is given the same request.
    let again = bench.asked_to_begin(&first).await;
    assert_eq!(again.id, request.id);
    let waiting = AccessQuery { limit: 9, ..Default::default() };
    assert_eq!(bench.service.access_requests(&waiting).requests.len(), 1);
    let by = bench.answer(&again.id, proof("orchestrator"), AccessExtent::Once).await;
    assert!(by.is_err(), "whoever begins it answers nothing");
    bench.approve(&again.id).await;
    bench.service.begin_task(first).await.unwrap();
    assert!(bench.service.begin_task(bench.undertaking(2)).await.is_err(), "it was used");
}

#[tokio::test]
async fn an_approval_until_a_time_holds_in_every_task_of_its_intent() {
    let bench = bench().await;
    let (one, other) = (bench.begin(1).await, bench.begin(2).await);
    let asked = bench.request(call(&one, "mail", mail("x"))).await;
    let view = bench.service.access_request(&asked.request).unwrap();
    let bounds = view.asked.as_ref().unwrap().bounds(&view.summary);
    let until = bench.service.now().plus_ms(10 * MINUTE);
    let extent = AccessExtent::Until { bounds, uses: 3, until };
    assert_eq!(bench.answer(&asked.request, proof("lea"), extent).await, Ok(AccessState::Approved));
    assert_eq!(bench.ask(call(&other, "mail", mail("x"))).await, Ok(()));
    let ending = Ending { state: TaskState::Completed, by: None, reason: "done".into() };
    bench.service.end_task(&one.task.as_ref().unwrap().id, ending).await.unwrap();
    let bench = bench.again();
    assert_eq!(bench.ask(call(&other, "mail", mail("x"))).await, Ok(()));
    assert!(bench.ask(call(&proof("agent"), "mail", mail("x"))).await.is_err(), "in no task");
    bench.at(10 * MINUTE);
    assert!(bench.ask(call(&other, "mail", mail("x"))).await.is_err());
    assert_eq!(bench.spent(), 2);
}

impl Bench {
    /// With an enforcement point, of whose word on properties policies hear, or not.
    async fn with_desk(&self, properties: bool) {
        let mut speaks = identity("desk", IdentityKind::Workload, &[]);
        let types = ["Safeconduct::Agent"].map(|ty| EntityType::new(ty).unwrap());
        speaks.pep = Some(PepRegistration {
            subjects: types.into(),
            resources: BTreeSet::new(),
            properties,
            ..PepRegistration::default()
        });
        self.service.change_identity(speaks, &id("ada")).await.unwrap();
    }
}

#[tokio::test]
async fn what_an_enforcement_point_states_is_shown_and_approved_where_it_counts() {
    let of = |team: &str, amount: i64| {
        let entity = |ty: &str, of: &str, name: &str, value| Entity {
            attributes: BTreeMap::from([(name.into(), value)]),
            ..Entity::bare(EntityRef::new(ty, of).unwrap())
        };
        let amount = Value::Integer(amount);
        Check {
            subject: Subject::Asserted {
                by: proof("desk"),
                entity: entity("Safeconduct::Agent", "agent", "team", Value::from(team)),
            },
            resource: Some(entity("Safeconduct::Resource", "bill-1", "amount", amount)),
            ..call(&proof("desk"), "mail", mail("x"))
        }
    };
    for counts in [true, false] {
        let bench = bench().await;
        bench.with_desk(counts).await;
        let asked = bench.request(of("sales", 150)).await;
        let view = bench.service.access_request(&asked.request).unwrap().asked.unwrap();
        let shown = Value::object([
            ("resource", Value::object([("amount", Value::Integer(150))])),
            ("subject", Value::object([("team", Value::from("sales"))])),
        ]);
        assert_eq!(view.asserted, counts.then_some(shown));
        assert_eq!(view.shown_beside.is_some(), counts);
        bench.approve(&asked.request).await;
        let bench = bench.again();
        for other in [of("sales", 1_500_000), of("boards", 150)] {
            if counts {
                assert_eq!(bench.ask(other).await, Err(vec!["policy"]));
            }
        }
        // Of what policies do not hear, nothing depends.
        let same = if counts { 150 } else { 2 };
        assert_eq!(bench.ask(of("sales", same)).await, Ok(()));
        assert_eq!(bench.spent(), 1);
    }
}

/// A request about something that bob owns, by the word of an enforcement point.
#[tokio::test]
async fn who_owns_what_is_touched_may_answer() {
    let policies = POLICIES.replace("group:leads", "resource.owner");
    let bench = bench_under(&policies).await;
    bench.with_desk(true).await;
    let owned = |owner: &str| Entity {
        uid: EntityRef::new("Safeconduct::Resource", "doc-1").unwrap(),
        attributes: BTreeMap::from([("owner".into(), Value::from(owner))]),
        ancestors: Vec::new(),
    };
    let check = |owner: &str, body: &str| Check {
        subject: Subject::Asserted {
            by: proof("desk"),
            entity: Entity::bare(EntityRef::new("Safeconduct::Agent", "agent").unwrap()),
        },
        resource: Some(owned(owner)),
        ..call(&proof("desk"), "mail", mail(body))
    };
    let nobody = bench.try_request(check("nobody", "1")).await;
    let lacking =
        AskError::Open(safeconduct_approval::OpenError::NobodyToAsk { quorum: 1, found: 0 });
    assert!(matches!(nobody, Err(AskAccessError::Refused(error)) if error == lacking));
    let asked = bench.request(check("lou", "2")).await;
    assert!(bench.answer(&asked.request, proof("lea"), AccessExtent::Once).await.is_err());
    let bench = bench.again();
    assert!(bench.answer(&asked.request, proof("lou"), AccessExtent::Once).await.is_ok());
}
