//! What is known of a history: by each rule's own window, by questions as by decisions, within the
//! bounds of memory.

use super::*;

const WINDOWS: &str = r#"
@id("all") permit (principal, action, resource);
@id("minute")
forbid (principal, action == Safeconduct::Action::"files.move", resource)
when temporal {
    formerly within 1m Safeconduct::Action::"files.read"::response{}
};
@id("day")
forbid (principal, action == Safeconduct::Action::"files.show", resource)
when temporal {
    formerly within 1d Safeconduct::Action::"files.read"::response{}
};
@id("identity-day") @history("identity")
forbid (principal, action == Safeconduct::Action::"files.show", resource)
when temporal {
    formerly within 1d Safeconduct::Action::"files.move"::error{}
};
"#;

/// Of a session with more records than are folded again each rule is without an answer for its own
/// window, also when a rule comes beside it.
#[tokio::test]
async fn what_is_not_told_any_more_is_missed_by_each_rule_for_its_own_window() {
    let told = Told::of(world(WINDOWS), Settings::default()).await;
    assert_eq!(told.call("none", "t1").await, [""; 0]);
    let denied = told.bench.ledger.entries().pop().unwrap();
    let (reads, writes) = (Vec::new(), Vec::new());
    let entries = vec![denied; RECALLED_MAX];
    told.bench.ledger.submit(Proposal { entries, reads, writes }).unwrap();
    let again = told.again_under(world(WINDOWS));
    assert_eq!(again.call("move", "t1").await, ["?minute"]);
    again.bench.clock.set(again.bench.service.now().plus_ms(60_001));
    assert_eq!(again.call("show", "t1").await, ["?day", "?identity-day"]);
    assert_eq!(again.call("show", "t2").await, ["?identity-day"]);
    let more = r#"@id("more")
forbid (principal, action == Safeconduct::Action::"files.show", resource)
when temporal { formerly within 2d Safeconduct::Action::"files.show"::error{} };"#;
    for more in ["", more] {
        again.rule(world(&format!("{WINDOWS}{more}")), catalogue()).await;
        assert_eq!(again.call("move", "t1").await, [""; 0]);
        assert_eq!(again.call("read", "t1").await, [""; 0]);
        assert_eq!(again.call("move", "t1").await, ["minute"]);
        again.bench.clock.set(again.bench.service.now().plus_ms(60_001));
    }
}

/// A question has the answer that a decision would have, also when nothing was decided since the
/// process began.
#[tokio::test]
async fn a_question_knows_what_happened_before_the_process_began() {
    let told = Told::new().await;
    for tool in ["read", "show", "show", "show"] {
        assert_eq!(told.call(tool, "t1").await, [""; 0]);
    }
    let asked = |told: &Told, tool: &str, token: &str| {
        let check = Check { subject: Subject::Caller(proof("agent", token)), ..check(tool) };
        told.bench.service.weigh_check(check).decision
    };
    for told in [&told, &told.again()] {
        let before = told.bench.service.sessions();
        assert_eq!(asked(told, "move", "t1"), Decision::Deny);
        assert_eq!(asked(told, "show", "t9"), Decision::Deny);
        assert_eq!(asked(told, "move", "t9"), Decision::Permit);
        assert_eq!(told.bench.service.sessions(), before);
    }
    // Also where the rules are new.
    let told = Told::of(world(POLICIES), Settings::default()).await;
    assert_eq!(told.call("read", "t1").await, [""; 0]);
    told.rule(world(RULES), catalogue()).await;
    assert_eq!(asked(&told, "move", "t1"), Decision::Deny);
}

/// What rules remember gives way in memory as what sessions have read does, and is folded again.
#[tokio::test]
async fn what_rules_remember_gives_way_in_memory_and_no_answer_changes() {
    let settings = Settings { flow_bytes_held: 1, ..Settings::default() };
    let told = Told::of(world(RULES), settings).await;
    for token in ["t1", "t2"] {
        assert_eq!(told.call("read", token).await, [""; 0]);
    }
    for _ in 0..3 {
        assert_eq!(told.call("show", "t3").await, [""; 0]);
    }
    for _ in 0..2 {
        for token in ["t1", "t2"] {
            assert_eq!(told.call("move", token).await, ["after-read"]);
            assert_eq!(told.call("show", token).await, ["often"]);
        }
        assert_eq!(told.call("move", "t4").await, [""; 0]);
    }
}

/// A call that was only observed went ahead: rules that ask for what was permitted see it.
#[tokio::test]
async fn what_was_denied_and_went_ahead_counts_as_permitted() {
    const PERMITTED: &str = r#"
@id("all") permit (principal, action, resource);
@id("no-read") forbid (principal, action == Safeconduct::Action::"files.read", resource);
@id("after-read")
forbid (principal, action == Safeconduct::Action::"files.move", resource)
when temporal {
    formerly within 1h Safeconduct::Action::"files.read"::request{ decision: "permit" }
};
@id("after-refusal")
forbid (principal, action == Safeconduct::Action::"files.show", resource)
when temporal {
    formerly within 1h Safeconduct::Action::"files.read"::request{ decision: "deny" }
};
"#;
    let told = Told::of(world(PERMITTED), Settings::default()).await;
    for (token, mode) in [("t1", Mode::Observe), ("t2", Mode::Enforce)] {
        let subject = Subject::Caller(proof("agent", token));
        let check = Check { subject, mode, ..check("read") };
        let ruling = told.bench.service.check(check).await.unwrap();
        assert_eq!(ruling.value().outcome.decision, Decision::Deny);
    }
    for told in [&told, &told.again_under(world(PERMITTED))] {
        assert_eq!(told.call("move", "t1").await, ["after-read"]);
        assert_eq!(told.call("show", "t1").await, [""; 0]);
        assert_eq!(told.call("move", "t2").await, [""; 0]);
        assert_eq!(told.call("show", "t2").await, ["after-refusal"]);
    }
}
