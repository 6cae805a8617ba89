//! Statements that have no name but their place stay set aside wherever they go.

use safeconduct_review::{Effect, GrantSource};

use super::*;

const READ: &str = r#"permit (principal, action == Safeconduct::Action::"files.read", resource);"#;
const SHOW: &str = r#"permit (principal, action == Safeconduct::Action::"files.show", resource);"#;
const MOVE: &str = r#"permit (principal, action == Safeconduct::Action::"files.move", resource);"#;

async fn put(bench: &Bench, text: &str) {
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let (catalogue, digest) = (Arc::new(catalogue()), Digest::from_bytes([9; 32]));
    let put =
        bench.service.change_policies(policies(text), catalogue, digest, vocabulary, "a hand");
    put.await.unwrap();
}

/// The policies as they are, with the statement of that id set aside for `agent`.
async fn aside(text: &str, policy: &str) -> Bench {
    let bench = bench(Settings::default()).await;
    put(&bench, text).await;
    let agent = name(IdentityId::new("agent"));
    let held = bench.service.can(&agent).unwrap();
    let of = |grant: &&safeconduct_review::Grant| match &grant.source {
        GrantSource::Statement(statement) => statement.policy.as_str() == policy,
        _ => false,
    };
    let wanted = NewRemediation {
        holder: agent,
        grant: Some(held.grants.iter().find(of).unwrap().id),
        effect: Effect::Revoke,
        not_before: Timestamp::from_millis(0),
        cause: None,
        reason: "not used".into(),
    };
    let ids = bench.service.schedule_remediations(vec![wanted], Some(&me())).await.unwrap();
    bench.service.quarantine(ids.first().unwrap(), Some(&me())).await.unwrap();
    bench
}

/// Which of `files.read`, `files.show` and `files.move` are permitted.
async fn may(bench: &Bench) -> Vec<&'static str> {
    let mut may = Vec::new();
    for tool in ["read", "show", "move"] {
        let outcome = bench.service.check(check(tool)).await.unwrap().into_value().outcome;
        match outcome.decision {
            Decision::Permit => may.push(tool),
            Decision::Deny => {}
        }
    }
    may
}

#[tokio::test]
async fn a_statement_put_above_frees_nothing_and_hits_nobody() {
    let bench = aside(&format!("{READ}\n{SHOW}"), "p.cedar#1").await;
    assert_eq!(may(&bench).await, ["show"]);
    put(&bench, &format!("{MOVE}\n{READ}\n{SHOW}")).await;
    assert_eq!(may(&bench).await, ["show", "move"]);
    put(&bench, &format!("{SHOW}\n{READ}\n{READ}")).await;
    assert_eq!(may(&bench).await, ["show"], "whichever of the same it was");
    put(&bench, &format!("{READ}\n{MOVE}\n{SHOW}")).await;
    assert_eq!(may(&bench).await, ["show", "move"], "back where it was");
}

#[tokio::test]
async fn what_stands_in_its_place_where_its_text_is_nowhere_is_taken_for_it() {
    let bench = aside(&format!("{READ}\n{SHOW}"), "p.cedar#1").await;
    put(&bench, &format!("{MOVE}\n{SHOW}")).await;
    assert_eq!(may(&bench).await, ["show"]);
}

#[tokio::test]
async fn a_name_that_its_author_gave_stays_the_right_s_whatever_it_says() {
    let named = |text: &str| format!("@id(\"it\") {text}");
    let bench = aside(&format!("{}\n{SHOW}", named(READ)), "it").await;
    assert_eq!(may(&bench).await, ["show"]);
    put(&bench, &format!("{READ}\n{}\n{SHOW}", named(MOVE))).await;
    assert_eq!(may(&bench).await, ["show"]);
}
