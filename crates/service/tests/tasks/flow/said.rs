//! What a session says that has read what nobody vouches for: its own word, whatever becomes of the
//! call, and from whatever place it is read back.

use super::*;

const OTHER: &str = "FR14 2004 1010 0505 0001 3M02 606";
const THIRD: &str = "GB33 BUKB 2020 1555 5555 55";

/// What both a trusted result and the session itself said.
fn both() -> ValueOrigins {
    ValueOrigins::from([ValueOrigin::Trusted, ValueOrigin::Untrusted])
}

impl Bench {
    /// That call is permitted, and nobody says yet what comes of it.
    async fn sends(&self, check: Check) -> RecordId {
        let ruling = self.service.check(check).await.unwrap();
        assert_eq!(ruling.value().outcome.decision, Decision::Permit);
        ruling.value().decision().clone()
    }

    /// What came of it; what the agent has read of it is not said.
    async fn told(&self, decision: RecordId, execution: Execution) {
        let report = Report {
            decision,
            reported_by: id("gateway"),
            execution,
            duration_ms: Some(1),
            result: None,
            detail: None,
            edits: Vec::new(),
            read: Read::Unseen,
            beside: Read::Nothing,
        };
        self.service.observe(report).await.unwrap();
    }

    /// Where an account came from, once it has stood in a trusted result.
    async fn read_back(&self, by: &Authentication, account: &str) -> ValueOrigins {
        self.does(call(by.clone(), "book", &[]), account).await;
        self.account(by, account).await.0
    }
}

fn note(by: &Authentication, text: &str) -> Check {
    call(by.clone(), "note", &[("text", text)])
}

#[tokio::test]
async fn it_is_its_own_word_where_nobody_says_what_came_back() {
    for execution in [Execution::Succeeded, Execution::Failed, Execution::Unknown] {
        let bench = bench().await;
        let agent = proof("agent");
        bench.does(call(agent.clone(), "mail", &[]), "Save my account!").await;
        let sent = bench.sends(note(&agent, IBAN)).await;
        bench.told(sent, execution).await;
        for bench in [&bench, &bench.again()] {
            assert_eq!(bench.read_back(&agent, IBAN).await, both(), "{execution:?}");
            // What came back is as trusted as the catalogue says: nothing else was forgotten.
            let trusted = ValueOrigins::from([ValueOrigin::Trusted]);
            assert_eq!(bench.read_back(&agent, OTHER).await, trusted, "{execution:?}");
        }
    }
}

#[tokio::test]
async fn what_never_came_to_an_outcome_was_perhaps_said() {
    let bench = bench().await;
    let agent = proof("agent");
    bench.does(call(agent.clone(), "mail", &[]), "Save my account!").await;
    bench.sends(note(&agent, IBAN)).await;
    // Of what it was nothing is known any more.
    let crashed = bench.again();
    for bench in [&crashed, &crashed.again()] {
        assert_eq!(bench.read_back(&agent, IBAN).await, both());
    }
    // What only reads says nothing.
    let other = super::bench().await;
    other.does(call(agent.clone(), "mail", &[]), "Save my account!").await;
    other.sends(call(agent.clone(), "book", &[("text", IBAN)])).await;
    let trusted = ValueOrigins::from([ValueOrigin::Trusted]);
    assert_eq!(other.again().read_back(&agent, IBAN).await, trusted);
}

/// Whoever is slow to answer makes nothing better of it.
#[tokio::test]
async fn it_is_its_own_word_before_the_outcome_comes_too() {
    for flow_bytes_held in [Settings::default().flow_bytes_held, 1] {
        let bench = bench_with(Settings { flow_bytes_held, ..Settings::default() }).await;
        let agent = proof("agent");
        bench.does(call(agent.clone(), "mail", &[]), "Save my account!").await;
        let sent = bench.sends(note(&agent, IBAN)).await;
        // Another session takes all the room that there is for what sessions have read.
        bench.does(call(proof("helper"), "mail", &[]), "Hello.").await;
        assert_eq!(bench.read_back(&agent, IBAN).await, both(), "{flow_bytes_held}");
        let crashed = bench.again();
        bench.told(sent, Execution::Succeeded).await;
        bench.does(call(proof("helper"), "mail", &[]), "Hello.").await;
        for bench in [&bench, &bench.again(), &crashed] {
            assert_eq!(bench.account(&agent, IBAN).await.0, both(), "{flow_bytes_held}");
        }
    }
}

/// What a session said before it had read anything untrusted is not held against it.
#[tokio::test]
async fn what_was_permitted_before_anything_untrusted_was_read_is_as_it_was() {
    let bench = bench().await;
    let agent = proof("agent");
    let sent = bench.sends(note(&agent, IBAN)).await;
    bench.does(call(agent.clone(), "mail", &[]), "Save my account!").await;
    bench.told(sent, Execution::Succeeded).await;
    let trusted = ValueOrigins::from([ValueOrigin::Trusted]);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.read_back(&agent, IBAN).await, trusted);
    }
}

/// Values are erased between a permit and its outcome: what it said is not known by anything then,
/// and may have been anything.
#[tokio::test]
async fn an_erasure_before_the_outcome_vouches_for_nothing_that_was_said() {
    let bench = bench().await;
    let agent = proof("agent");
    bench.does(call(agent.clone(), "mail", &[]), "Save my account!").await;
    let sent = bench.sends(note(&agent, IBAN)).await;
    bench.service.erase(&SessionKey::of(&agent), &id("ada")).await.unwrap();
    assert_eq!(bench.read_back(&agent, IBAN).await, both());
    bench.told(sent, Execution::Succeeded).await;
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.read_back(&agent, IBAN).await, both());
    }
}

/// That call, with the account as an answer to what the server has asked.
fn answering(check: Check, account: &str) -> Check {
    let content = Value::object([("account", Value::from(account))]);
    let answer = Value::object([("action", Value::from("accept")), ("content", content)]);
    let given = Value::object([("answer", answer)]);
    let asked = Value::from(vec![Value::from("/inputResponses/answer")]);
    let asserted = Value::object([("inputResponses", given), ("asked", asked)]);
    Check { asserted: Some(asserted), ..check }
}

#[tokio::test]
async fn what_it_answers_a_server_is_its_own_word() {
    let bench = bench().await;
    let agent = proof("agent");
    bench.does(call(agent.clone(), "mail", &[]), "Save my account!").await;
    let sent = bench.sends(answering(note(&agent, "as you asked"), IBAN)).await;
    bench.told(sent, Execution::Succeeded).await;
    bench.clock.set(Timestamp::from_millis(NOW + 1));
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.read_back(&agent, IBAN).await, both());
    }
}

/// What an agent made up is not vouched for by a result that repeats it, whether it went out as an
/// argument, as an answer with the call, or as one while the call was under way.
#[tokio::test]
async fn an_answer_that_a_result_repeats_is_not_vouched_for() {
    let bench = bench().await;
    let agent = proof("agent");
    let book = || call(agent.clone(), "book", &[]);
    bench.does(answering(book(), IBAN), &format!("Nothing is known of {IBAN}.")).await;
    assert_eq!(bench.account(&agent, IBAN).await.0, [].into());
    let sent = bench.sends(book()).await;
    bench.clock.set(Timestamp::from_millis(NOW + 1));
    bench.does(answering(call(agent.clone(), "note", &[]), OTHER), "thanks").await;
    let told = Report {
        decision: sent,
        reported_by: id("gateway"),
        execution: Execution::Succeeded,
        duration_ms: None,
        result: None,
        detail: None,
        edits: Vec::new(),
        read: Read::This(vec![Content::Text(format!("{OTHER} {THIRD}").into())]),
        beside: Read::Nothing,
    };
    bench.service.observe(told).await.unwrap();
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&agent, IBAN).await.0, [].into());
        assert_eq!(bench.account(&agent, OTHER).await.0, [].into());
        let trusted = ValueOrigins::from([ValueOrigin::Trusted]);
        assert_eq!(bench.account(&agent, THIRD).await.0, trusted);
    }
    // A call that began after it vouches for what it gives.
    bench.clock.set(Timestamp::from_millis(NOW + 2));
    let trusted = ValueOrigins::from([ValueOrigin::Trusted]);
    assert_eq!(bench.read_back(&agent, OTHER).await, trusted);
}

/// That call as a further round: it gives back what the server keeps of the rounds before.
fn going_on(check: Check, account: &str) -> Check {
    let given = answering(check.clone(), account).asserted.unwrap();
    let asked = ["/inputResponses/answer", "/requestState"].map(Value::from).to_vec();
    let asserted = Value::object([
        ("inputResponses", given.member("inputResponses").unwrap().clone()),
        ("requestState", Value::from("AES-GCM of what was answered")),
        ("asked", asked.into()),
    ]);
    Check { asserted: Some(asserted), ..check }
}

/// A server's own state may hold the answers of earlier rounds, which nobody can read in it.
#[tokio::test]
async fn an_answer_of_an_earlier_round_is_not_vouched_for() {
    let bench = bench().await;
    let agent = proof("agent");
    let book = || call(agent.clone(), "book", &[]);
    bench.does(answering(book(), IBAN), "Which branch?").await;
    bench.clock.set(Timestamp::from_millis(NOW + 1));
    bench.does(going_on(book(), "the main branch"), &format!("{IBAN} {THIRD}")).await;
    let trusted = ValueOrigins::from([ValueOrigin::Trusted]);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&agent, IBAN).await.0, [].into());
        assert_eq!(bench.account(&agent, THIRD).await.0, trusted);
    }
    // What was answered before a restart is not known any more.
    let again = bench.again();
    again.does(going_on(book(), "yes"), &format!("{OTHER} by {IBAN}")).await;
    assert_eq!(again.account(&agent, OTHER).await.0, [ValueOrigin::Untrusted].into());
    assert_eq!(again.account(&agent, THIRD).await.0, trusted);
}

#[tokio::test]
async fn an_answer_that_was_erased_is_gone_and_may_have_been_anything() {
    let bench = bench().await;
    let agent = proof("agent");
    let sent = bench.sends(call(agent.clone(), "book", &[])).await;
    bench.does(answering(call(agent.clone(), "note", &[]), IBAN), "thanks").await;
    bench.service.erase(&SessionKey::of(&agent), &id("ada")).await.unwrap();
    let told = Report {
        decision: sent,
        reported_by: id("gateway"),
        execution: Execution::Succeeded,
        duration_ms: None,
        result: None,
        detail: None,
        edits: Vec::new(),
        read: Read::This(vec![Content::Text(IBAN.into())]),
        beside: Read::Nothing,
    };
    bench.service.observe(told).await.unwrap();
    assert_eq!(bench.account(&agent, IBAN).await.0, [ValueOrigin::Untrusted].into());
}
