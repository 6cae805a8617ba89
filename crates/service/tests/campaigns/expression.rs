//! Rights chosen by an expression, and reviewers named by one.

use super::*;
use proptest::prelude::*;
use safeconduct_review::FreezeError;
use safeconduct_wire::campaign::{CampaignFile, parse, parse_with};

async fn begin(bench: &Bench, text: &str) -> Result<StartedCampaign, StartCampaignError> {
    let file = parse("c.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    bench.service.start_campaign(&bench.read, starts(file)).await
}

fn starts(file: CampaignFile) -> StartCampaign {
    let (file, by) = (Arc::new(file), Some(id("grace")));
    StartCampaign { file, by, due: None, holder: None, because: BTreeSet::new() }
}

/// A campaign of one stage by owners over the rights of that scope.
fn of_scope(scope: &str) -> String {
    format!(
        "campaign: chosen\nowner: grace\nscope: {{ {scope} }}\n\
         stages: [{{ name: s, lasts: 14d, reviewers: [owner] }}]\n"
    )
}

/// A campaign over the rights of agents, with those lines of its one stage.
fn of_stage(stage: &str) -> String {
    format!(
        "campaign: chosen\nowner: grace\nscope: {{ kinds: [agent] }}\nstages:\n  - name: s\n    \
         lasts: 14d\n{stage}"
    )
}

/// Every right of a campaign, as its holder and its name.
fn rights(bench: &Bench, campaign: &RecordId) -> Vec<String> {
    let read = bench.service.with_campaign(campaign, |running| {
        let cases = running.campaign.population().cases().iter();
        cases.map(|case| format!("{} {}", case.holder, case.what.name)).collect::<BTreeSet<_>>()
    });
    read.unwrap().into_iter().collect()
}

#[tokio::test]
async fn only_what_an_expression_is_true_of_is_in_the_campaign() {
    let bench = bench().await;
    let all = ["other agents-read", "reader agents-read", "writer agents-read", "writer writer"];
    let wanted: [(&str, &[usize]); 6] = [
        ("kinds: [agent]", &[0, 1, 2, 3]),
        ("kinds: [agent], where: 'true'", &[0, 1, 2, 3]),
        ("where: 'context.tier_rank >= 2'", &[3]),
        ("where: 'resource has owner && resource.owner == \"ada\"'", &[1, 2, 3]),
        ("tiers: [low], where: 'resource has owner && resource.owner == \"ada\"'", &[1, 2]),
        ("where: 'context.actions == 2 || resource.id == \"other\"'", &[0, 3]),
    ];
    for (scope, places) in wanted {
        let begun = begin(&bench, &of_scope(scope)).await.unwrap();
        let wanted: Vec<_> = places.iter().map(|place| all[*place]).collect();
        assert_eq!(rights(&bench, &begun.id), wanted, "{scope}");
        assert_eq!(begun.cases, wanted.len(), "{scope}");
    }
    let nothing = begin(&bench, &of_scope("where: 'resource.kind == \"workload\"'")).await;
    assert_eq!(nothing, Err(FreezeError::Nothing.into()));
}

#[tokio::test]
async fn the_record_of_the_beginning_says_the_expressions() {
    let bench = bench().await;
    let condition = "context.tier == \"low\"";
    let text = format!(
        "campaign: chosen\nowner: grace\nscope: {{ where: '{condition}' }}\nstages:\n  - name: s\n    \
         lasts: 14d\n    reviewers: [{{ expression: 'principal.id == \"sam\"' }}]\n"
    );
    let begun = begin(&bench, &text).await.unwrap();
    let other = begin(&bench, &text.replace("\"low\"", "\"low\" && true")).await.unwrap();
    assert_eq!(rights(&bench, &begun.id), rights(&bench, &other.id));
    assert_ne!(begun.population, other.population, "the digest covers what chose the rights");
    let view = bench.view(&begun.id);
    let source = view.sources.iter().find(|source| source.name == "where").unwrap();
    assert!(source.cursor.starts_with("sha256:"));
    let records = bench.ledger.entries().into_iter().map(|entry| decode(&entry.leaf).unwrap());
    let said = records.filter_map(|record| match record.body {
        Body::ReviewChanged(change) if *change.id == *begun.id.as_str() => Some(change),
        _ => None,
    });
    let created = said.into_iter().find(|change| &*change.event == "created").unwrap();
    for expression in [r#"context.tier == \"low\""#, r#"principal.id == \"sam\""#] {
        assert!(created.detail.as_str().contains(expression), "{}", created.detail.as_str());
    }
    let whole = |service: &Service| {
        service.with_campaign(&begun.id, |running| running.campaign.clone()).unwrap()
    };
    assert_eq!(whole(&bench.again()), whole(&bench.service));
}

fn in_environment(identity: Identity, environment: &str) -> Identity {
    Identity { environment: Some(environment.to_owned()), ..identity }
}

const SAME_ENVIRONMENT: &str = "principal has environment && resource has environment && \
                                principal.environment == resource.environment";

#[tokio::test]
async fn everyone_of_whom_an_expression_is_true_is_asked() {
    let bench = bench().await;
    bench.change(in_environment(person("sam", None, None, &["security"]), "test")).await;
    bench.change(in_environment(person("sue", None, None, &["security"]), "production")).await;
    bench.change(in_environment(person("max", None, None, &[]), "production")).await;
    bench.change(in_environment(agent("reader", "ada"), "test")).await;
    bench.change(in_environment(agent("writer", "ada"), "production")).await;
    let reviewers = "    reviewers:\n      - expression: |\n          \
                     principal.groups.contains(\"security\") &&\n          ";
    let text =
        of_stage(&format!("{reviewers}{SAME_ENVIRONMENT}\n    fallback: [fallback_owner]\n"));
    let begun = begin(&bench, &text).await.unwrap().id;
    let asked =
        |holder: &str, right: &str| bench.reviewers(&begun, bench.case(&begun, holder, right));
    assert_eq!(asked("reader", "agents-read"), ["sam"]);
    assert_eq!(asked("writer", "agents-read"), ["sue"]);
    assert_eq!(asked("other", "agents-read"), ["fay"], "it has no environment");
    // Beside others that are named, each once.
    let text = text
        .replace("      - expression", "      - owner\n      - identity:sue\n      - expression");
    let begun = begin(&bench, &text).await.unwrap().id;
    assert_eq!(bench.reviewers(&begun, bench.case(&begun, "writer", "writer")), ["ada", "sue"]);
}

#[tokio::test]
async fn nobody_whom_an_expression_names_reviews_what_they_hold_or_may_not_act() {
    let bench = bench().await;
    bench
        .change_policies(
            "@id(\"mine\") permit (principal == Safeconduct::User::\"sam\", action == \
             Safeconduct::Action::\"crm.read\", resource);",
        )
        .await;
    let gone =
        Identity { status: IdentityStatus::Suspended, ..person("sid", None, None, &["security"]) };
    bench.change(gone).await;
    bench
        .change(Identity {
            kind: IdentityKind::Workload,
            ..person("bot", Some("ada"), Some("fay"), &["security"])
        })
        .await;
    let text = "campaign: c\nowner: grace\nscope: { kinds: [user] }\nstages:\n  - name: s\n    lasts: 1d\n    \
                reviewers: [{ expression: 'principal.groups.contains(\"security\")' }]\n";
    let begun = begin(&bench, text).await.unwrap().id;
    let case = bench.case(&begun, "sam", "mine");
    assert_eq!(bench.reviewers(&begun, case), ["sue"]);
    let own = bench.answer(&begun, "sam", case, Response::Accept).await;
    assert!(own.is_err(), "{own:?}");
    bench.answer(&begun, "sue", case, Response::Accept).await.unwrap();
}

#[tokio::test]
async fn a_wrong_expression_begins_and_keeps_nothing() {
    let bench = bench().await;
    let wrong = [
        (
            of_scope("where: 'principal.id == \"ada\"'"),
            "`/scope/where`: the expression is wrong at 1:1: `principal` is nobody",
        ),
        (of_scope("where: 'resource.grups.contains(\"a\")'"), "did you mean `groups`?"),
        (of_stage("    reviewers: [{ expression: principal.id }]\n"), "`/stages/0/reviewers/0`: "),
        (
            of_stage("    reviewers: [owner]\n    fallback: ['expression:1 +']\n"),
            "`/stages/0/fallback/0`: ",
        ),
        (
            of_stage(
                "    reviewers: [owner]\n    escalations: [{ after: 1d, to: [owner, 'expression:1'] }]\n",
            ),
            "`/stages/0/escalations/0/to/1`: ",
        ),
    ];
    for (text, wanted) in wrong {
        let Err(StartCampaignError::Definition(said)) = begin(&bench, &text).await else {
            panic!("{text}");
        };
        assert!(said.contains(wanted), "{said}");
        let kept = parse("c.yaml", &format!("{text}schedule: {{ from: 2027-01-31, months: 3 }}\n"));
        let kept = bench.service.keep_campaign(&kept.unwrap(), &id("grace")).await;
        assert_eq!(kept, Err(StartCampaignError::Definition(said)));
    }
    assert!(bench.service.campaign_ids().is_empty());
}

#[tokio::test]
async fn what_cannot_be_computed_refuses_the_beginning() {
    let bench = bench().await;
    let overflow = "context.actions * 9223372036854775807 > 0";
    let stage =
        format!("    reviewers: [{{ expression: '{overflow} && principal.id == \"max\"' }}]\n");
    for text in [of_scope(&format!("kinds: [agent], where: '{overflow}'")), of_stage(&stage)] {
        let Err(StartCampaignError::Definition(said)) = begin(&bench, &text).await else {
            panic!("{text}");
        };
        let wanted = [
            overflow,
            "has no answer for the right `writer` of `writer`: it cannot be computed",
            "overflow",
        ];
        assert!(wanted.iter().all(|wanted| said.contains(wanted)), "{said}");
    }
    assert!(bench.service.campaign_ids().is_empty());
}

#[tokio::test]
async fn later_an_expression_without_an_answer_names_nobody_and_the_fallback_stands_in() {
    let bench = bench().await;
    let text = "campaign: c\nowner: grace\nscope: { kinds: [agent] }\nstages:\n  - name: first\n    \
                lasts: 14d\n    reviewers: [identity:sue]\n    advance_on: [no_response]\n  - name: second\n    lasts: 14d\n    \
                fallback: [fallback_owner]\n    reviewers:\n      - expression: \
                principal.id == \"max\" && context.actions * 9223372036854775807 > 0\n";
    let begun = begin(&bench, text).await.unwrap().id;
    assert!(bench.view(&begun).unanswered.is_empty());
    assert_eq!(bench.tend(14).await, 2, "one stage ends, and the next opens");
    let asked =
        |holder: &str, right: &str| bench.reviewers(&begun, bench.case(&begun, holder, right));
    assert_eq!(asked("reader", "agents-read"), ["max"]);
    assert_eq!(asked("writer", "writer"), ["fay"], "two actions are one too many");
    let said = bench.view(&begun).unanswered;
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("has no answer for the right `writer` of `writer`: "), "{said:?}");
    let again = bench.again().campaign_view(&begun, &id("ada")).unwrap();
    assert_eq!(again.unanswered, said, "the ledger says so");
}

#[tokio::test]
async fn an_expression_stands_in_for_who_leaves_and_is_asked_later() {
    let bench = bench().await;
    let security = "{ expression: 'principal.groups.contains(\"security\")' }";
    let stage = format!(
        "    reviewers: [owner]\n    fallback: [{security}]\n    \
         escalations: [{{ after: 2d, to: ['expression:principal.id == \"max\"'] }}]\n"
    );
    let begun = begin(&bench, &of_stage(&stage)).await.unwrap().id;
    let reader = bench.case(&begun, "reader", "agents-read");
    assert_eq!(bench.reviewers(&begun, reader), ["ada"]);
    bench
        .change(Identity { status: IdentityStatus::Retired, ..person("ada", None, None, &[]) })
        .await;
    assert_eq!(bench.tend(1).await, 1);
    assert_eq!(bench.reviewers(&begun, reader), ["sam", "sue"]);
    assert_eq!(bench.tend(2).await, 1);
    assert_eq!(bench.reviewers(&begun, reader), ["sam", "sue", "max"]);
}

#[tokio::test]
async fn the_example_of_the_documentation_begins() {
    let text = include_str!("../../../../docs/reviews.md");
    let example =
        text.split("```yaml\n").find(|block| block.starts_with("# reviews/by_query.yaml"));
    let example = example.unwrap().split("```").next().unwrap();
    let file = parse_with("c.yaml", example, expression_problems).unwrap();
    let bench = bench().await;
    bench.change(person("grace@example.org", None, None, &[])).await;
    bench.change(in_environment(person("sue", None, None, &["leads"]), "production")).await;
    bench.change(in_environment(agent("writer", "ada"), "production")).await;
    let begun = bench.service.start_campaign(&bench.read, starts(file)).await.unwrap();
    assert_eq!(rights(&bench, &begun.id), ["writer writer"]);
    assert_eq!(bench.reviewers(&begun.id, 0), ["sue"]);
}

/// Statements and expressions of which any may be chosen.
const STATEMENTS: [&str; 3] = [
    r#"@id("reads") permit (principal is Safeconduct::Agent, action == Safeconduct::Action::"crm.read", resource);"#,
    r#"@id("wipes") permit (principal in Safeconduct::Group::"g", action in [Safeconduct::Action::"crm.wipe", Safeconduct::Action::"crm.read"], resource);"#,
    r#"@id("any") permit (principal, action, resource) when { context.action.name like "crm.r*" };"#,
];

const CONDITIONS: [&str; 5] = [
    "context.tier_rank > 0",
    "resource.groups.contains(\"g\")",
    "resource has environment && resource.environment == \"test\"",
    "context.name like \"*s\" && resource.kind == \"agent\"",
    "[\"low\", \"critical\"].contains(context.tier) || resource.id == \"a1\"",
];

async fn parts(
    chosen: [bool; 3],
    agents: Vec<(bool, u8)>,
    condition: &str,
) -> Result<(), TestCaseError> {
    let bench = bench().await;
    for (number, (member, environment)) in agents.into_iter().enumerate() {
        let mut one = agent(&format!("a{number}"), "ada");
        one.groups = member.then(|| "g".to_owned()).into_iter().collect();
        one.environment =
            ["test", "production"].get(usize::from(environment)).map(ToString::to_string);
        bench.change(one).await;
    }
    let statements = STATEMENTS.iter().zip(chosen).filter(|(_, is)| *is);
    bench
        .change_policies(&statements.map(|(text, _)| format!("{text}\n")).collect::<String>())
        .await;
    let mut cases = Vec::new();
    for said in
        ["", "where: 'true'", &format!("where: '{condition}'"), &format!("where: '!({condition})'")]
    {
        let begun = begin(&bench, &of_scope(said)).await;
        cases.push(match begun {
            Ok(begun) => bench
                .service
                .with_campaign(&begun.id, |running| running.campaign.population().cases().to_vec())
                .unwrap(),
            Err(StartCampaignError::Population(FreezeError::Nothing)) => Vec::new(),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        });
    }
    let [all, same, some, others] = &cases[..] else { panic!("four") };
    prop_assert_eq!(all, same, "what is true of everything says nothing");
    let mut both: Vec<_> = some.iter().chain(others).cloned().collect();
    both.sort_by(|a, b| (&a.holder, a.grant.as_bytes()).cmp(&(&b.holder, b.grant.as_bytes())));
    prop_assert_eq!(all, &both, "each right is in one of the two, once");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn an_expression_and_its_contrary_divide_the_rights(
        chosen in any::<[bool; 3]>(),
        agents in prop::collection::vec((any::<bool>(), 0..3_u8), 0..5),
        condition in prop::sample::select(CONDITIONS.to_vec()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(parts(chosen, agents, condition))?;
    }
}
