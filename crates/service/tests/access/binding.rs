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
    let by = passkey("lea", bench.service.now());
    let for_task = AccessExtent::Task { bounds, uses: 2 };
    assert_eq!(bench.answer(&asked.request, by, for_task).await, Ok(AccessState::Approved));

    let beyond = bench.ask(call(&task, "pay", pay(900))).await;
    assert_eq!(beyond, Err(vec!["outside_intent"]), "the intent ends at 500");
    assert_eq!(bench.ask(call(&task, "pay", pay(300))).await, Ok(()));
    let bench = bench.again();
    assert_eq!(bench.ask(call(&task, "pay", pay(301))).await, Ok(()));
    assert!(bench.ask(call(&task, "pay", pay(302))).await.is_err(), "two uses");
    assert_eq!(bench.spent(), 2);
}
