use safeconduct_model::{IdentityKind, Tier};
use safeconduct_review::{
    EXPRESSION_BYTES_MAX, Effect, Escalate, Every, ExpressionUse, GrantKind, Only, Recurrence,
    Response, Reviewer, Strategy, Trigger,
};

use super::*;

const WHOLE: &str = "
campaign: agents_quarterly
description: Agents in production.
owner: grace@example.org
scope:
  kinds: [agent]
  environments: [production]
  owners: [ada]
  tiers: [high, critical]
  sources: [statement, lease]
  only: unused
window: 30d
stages:
  - name: owners
    lasts: 14d
    reviewers: [owner]
    fallback: [fallback_owner, group:security]
    reminders: [3d, 1d]
    escalations:
      - { after: 10d, to: [manager] }
      - { after: 12d, to: ['identity:eve'], how: replace }
  - name: security
    lasts: 7d
    reviewers: [group:security]
    strategy: all_must_accept
    if_no_reviewers: revoke
    stop_on: [revoke]
strategy: all_must_accept
advance_on: [accept, no_response]
no_answer: { low: keep, critical: revoke }
remediation: report_only
iterations: 2
schedule: { from: 2027-01-31, months: 3 }
on: [break_glass, finding]
risk_analysis: TRA-12
";

#[test]
fn everything_that_can_be_said_is_read() {
    let plan = parse("c.yaml", WHOLE).unwrap().plan;
    let definition = &plan.definition;
    assert_eq!(&*definition.name, "agents_quarterly");
    assert_eq!(definition.strategy, Strategy::AllMustAccept);
    assert_eq!(definition.no_answer.of(Tier::Critical), Effect::Revoke);
    assert_eq!(definition.no_answer.of(Tier::High), Effect::Suspend);
    let [owners, security] = &definition.stages[..] else { panic!("two stages") };
    assert_eq!(owners.lasts_ms, 14 * 86_400_000);
    assert_eq!(owners.fallback[1], Reviewer::Group("security".into()));
    assert_eq!(owners.escalations[0].how, Escalate::Add);
    assert_eq!(owners.escalations[1].how, Escalate::Replace);
    assert_eq!(owners.reminders_ms, [3 * 86_400_000, 86_400_000]);
    assert_eq!(security.if_no_reviewers, Response::Revoke);
    assert!(security.stop.stops(Response::Revoke, Strategy::AllMustAccept));
    assert!(plan.scope.kinds.contains(&IdentityKind::Agent));
    assert!(plan.scope.admits_source(GrantKind::Lease));
    assert!(!plan.scope.admits_source(GrantKind::Intent));
    assert_eq!(plan.scope.only, Only::Unused);
    assert_eq!(plan.window_days, 30);
    let from = Recurrence::day("2027-01-31").unwrap();
    assert_eq!(plan.schedule, Some(Recurrence { from, every: Every::Months(3) }));
    assert!(plan.on.contains(&Trigger::BreakGlass) && plan.is_standing());
    assert_eq!(plan.risk_analysis.as_deref(), Some("TRA-12"));
}

#[test]
fn what_was_read_is_read_again_from_what_is_recorded() {
    let file = parse("c.yaml", WHOLE).unwrap();
    assert_eq!(of_value(&file.written).unwrap(), file);
}

#[test]
fn what_does_not_fit_is_named() {
    let faults = [
        ("lasts: 14d", "lasts: 400d", "stage `owners` must be open"),
        ("reminders: [3d, 1d]", "reminders: [14d]", "stage `owners` has a reminder"),
        ("months: 3", "weeks: 3", "c:32:31: unknown key `weeks`"),
        ("from: 2027-01-31", "from: 2027-02-30", "is no day, such as"),
        ("months: 3", "months: 3, days: 2", "c:32:11: a schedule says"),
        ("[owner]\n    fallback", "[boss]\n    fallback", "is no reviewer: `owner`"),
        ("window: 30d", "window: 30h", "c:11:9: a window is whole days"),
    ];
    for (said, fault, wanted) in faults {
        let problems = parse("c", &WHOLE.trim_start().replacen(said, fault, 1)).unwrap_err();
        let found: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|text| text.contains(wanted)), "{wanted}: {found:?}");
    }
}

const ASKS: &str = "
campaign: a
owner: grace
scope: { where: 'context.tier == \"high\"' }
stages:
  - name: owners
    lasts: 14d
    reviewers:
      - owner
      - expression: |
          principal.groups.contains(\"leads\")
    fallback: ['expression:principal.id == \"eve\"']
    escalations:
      - { after: 10d, to: [{ expression: 'principal.id == \"eve\"' }] }
";

#[test]
fn expressions_are_read_wherever_they_stand() {
    let file = parse("c.yaml", ASKS).unwrap();
    let said: Vec<_> = file
        .expressions()
        .into_iter()
        .map(|written| (written.pointer, written.of, written.expression.as_str().to_owned()))
        .collect();
    let eve = "principal.id == \"eve\"";
    let leads = "principal.groups.contains(\"leads\")";
    let wanted = [
        ("/scope/where", ExpressionUse::Scope, "context.tier == \"high\""),
        ("/stages/0/reviewers/1", ExpressionUse::Reviewers, leads),
        ("/stages/0/fallback/0", ExpressionUse::Reviewers, eve),
        ("/stages/0/escalations/0/to/0", ExpressionUse::Reviewers, eve),
    ];
    let wanted = wanted.map(|(at, of, text)| (at.to_owned(), of, text.to_owned()));
    assert_eq!(said, wanted);
    assert_eq!(of_value(&file.written).unwrap(), file);
}

#[test]
fn what_a_check_finds_wrong_is_named_with_its_place() {
    let check = |written: &WrittenExpression<'_>| {
        let wrong = written.expression.as_str().contains("eve");
        if wrong { vec!["no eve".to_owned()] } else { Vec::new() }
    };
    let problems = parse_with("c.yaml", ASKS, check).unwrap_err();
    let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["c.yaml:12:16: no eve", "c.yaml:14:28: no eve"]);
    let value = parse("c.yaml", ASKS).unwrap().written;
    let problems = of_value_with(&value, check).unwrap_err();
    assert_eq!(problems[0].to_string(), "`/stages/0/fallback/0`: no eve");
}

#[test]
fn an_expression_is_bounded_and_says_something() {
    let long = ASKS.replace("eve", &"e".repeat(EXPRESSION_BYTES_MAX));
    let empty = ASKS.replace("principal.id == \"eve\"", "");
    let others = ASKS.replace("expression: |", "expresion: |");
    for (text, wanted) in [
        (long, "does not fit: an expression has at most 4096 bytes"),
        (empty, "is no reviewer"),
        (others, "c.yaml:10:9: unknown key `expresion` (did you mean `expression`?)"),
    ] {
        let problems = parse("c.yaml", &text).unwrap_err();
        let found: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|text| text.contains(wanted)), "{wanted}: {found:?}");
    }
}
