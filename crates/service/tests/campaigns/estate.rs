//! What happens around a campaign: the estate changes, reviewers leave, the process ends, time and
//! events begin others.

use super::*;
use safeconduct_review::FreezeError;

#[tokio::test]
async fn the_population_stays_whatever_happens_to_the_estate() {
    let bench = bench().await;
    let campaign = bench.start("").await;
    let before = bench.view(&campaign).population;
    bench.change(agent("newcomer", "ada")).await;
    bench.change_policies("").await;
    let writer = bench.case(&campaign, "writer", "writer");
    assert_eq!((bench.view(&campaign).cases, bench.view(&campaign).population), (4, before));
    let shown = bench.service.open_case(&bench.read, &campaign, writer, &id("ada")).unwrap();
    assert!(!shown.evidence.held, "it is gone, and that is said");
    assert_eq!(shown.item.words, "crm.wipe, crm.write on anything");
    assert_eq!(shown.item.tier, "critical");
    assert!(shown.item.at.unwrap().starts_with("p.cedar:"));
    bench.answer(&campaign, "ada", writer, Response::Accept).await.unwrap();
}

#[tokio::test]
async fn a_population_that_changed_while_it_was_read_is_refused() {
    let bench = bench().await;
    let prepare = || {
        let start = StartCampaign {
            file: definition(""),
            by: None,
            due: None,
            holder: None,
            because: BTreeSet::new(),
        };
        bench.service.prepare_campaign(&bench.read, start)
    };
    let prepared = prepare().unwrap();
    bench.change(agent("newcomer", "ada")).await;
    let refused = bench.service.begin_campaign(prepared).await;
    assert_eq!(refused, Err(StartCampaignError::Changed));
    assert!(bench.service.campaign_ids().is_empty());
    let begun = bench.service.begin_campaign(prepare().unwrap()).await.unwrap();
    assert_eq!(begun.cases, 5);

    let empty = safeconduct_wire::campaign::parse(
        "c",
        "campaign: a\nowner: grace\nscope: { environments: [moon] }\nstages: [{ name: s, lasts: 1d, reviewers: [owner] }]",
    );
    let start = StartCampaign {
        file: Arc::new(empty.unwrap()),
        by: None,
        due: None,
        holder: None,
        because: BTreeSet::new(),
    };
    let nothing = bench.service.start_campaign(&bench.read, start).await;
    assert_eq!(nothing, Err(FreezeError::Nothing.into()));
}

#[tokio::test]
async fn a_reviewer_who_leaves_is_replaced_by_the_fallback_or_their_deputy() {
    let bench = bench().await;
    let campaign = bench.start("").await;
    let reader = bench.case(&campaign, "reader", "agents-read");
    let writer = bench.case(&campaign, "writer", "writer");
    let reads = bench.case(&campaign, "writer", "agents-read");
    bench.answer(&campaign, "ada", writer, Response::Accept).await.unwrap();
    let gone = Identity {
        status: IdentityStatus::Retired,
        ..person("ada", Some("max"), Some("dee"), &[])
    };
    bench.change(gone).await;
    assert_eq!(bench.tend(1).await, 1);
    assert_eq!(bench.reviewers(&campaign, reader), ["fay"]);
    assert_eq!(bench.reviewers(&campaign, writer), ["ada"], "what was said stands");
    // Now the fallback is gone too, and has no deputy: nobody is left to ask.
    let fay = Identity { status: IdentityStatus::Suspended, ..person("fay", None, None, &[]) };
    bench.change(fay).await;
    assert_eq!(bench.tend(2).await, 1);
    assert!(bench.reviewers(&campaign, reads).is_empty());
    assert_eq!(bench.tend(3).await, 0);
    let bob = Identity { status: IdentityStatus::Retired, ..person("bob", None, Some("dee"), &[]) };
    bench.change(bob).await;
    assert_eq!(bench.tend(4).await, 1);
    let other = bench.case(&campaign, "other", "agents-read");
    assert_eq!(bench.reviewers(&campaign, other), ["dee"], "the deputy of Bob");
}

#[tokio::test]
async fn a_process_that_is_started_again_stands_where_the_other_stood() {
    let bench = bench().await;
    let campaign = bench.start("iterations: 1\n").await;
    let reader = bench.case(&campaign, "reader", "agents-read");
    bench.answer(&campaign, "ada", reader, Response::Reduce).await.unwrap();
    let whole = |service: &Service| {
        service.with_campaign(&campaign, |running| running.campaign.clone()).unwrap()
    };
    assert_eq!(whole(&bench.again()), whole(&bench.service));
    bench.tend(14).await;
    let again = bench.again();
    assert_eq!(whole(&again), whole(&bench.service));
    assert_eq!(whole(&again).iteration(), 1);
    // And goes on.
    let shown = again.open_case(&bench.read, &campaign, reader, &id("ada"));
    assert_eq!(shown.unwrap().answers.len(), 1);
}

#[tokio::test]
async fn what_lies_beside_is_held_against_its_digest() {
    let bench = bench().await;
    let campaign = bench.start("").await;
    let created = bench.ledger.entries().iter().position(|entry| entry.attachment.is_some());
    bench.ledger.erase(&[created.unwrap() as u64]).unwrap();
    let read = bench.again().with_campaign(&campaign, |_| ());
    assert!(matches!(read, Err(CampaignStepError::Damaged(_))), "{read:?}");
}

fn used(policy: &str, action: &str, day: i64, permitted: u64) -> Use {
    let key = safeconduct_review::UseKey {
        principal: EntityRef::new("Safeconduct::Agent", "writer").unwrap(),
        policy: Some(policy.into()),
        action: ActionName::new(action).unwrap(),
        intent: None,
        task: safeconduct_review::TaskKind::Taskless,
        day,
    };
    let counted = safeconduct_review::Use {
        permitted,
        latest: [(at(0), RecordId::new("dec_1").unwrap())].into(),
        ..Default::default()
    };
    (key, counted)
}

type Use = (safeconduct_review::UseKey, safeconduct_review::Use);

#[tokio::test]
async fn a_case_shows_its_use_and_what_that_speaks_for() {
    let mut bench = bench().await;
    let day = safeconduct_review::day_of(at(100));
    bench.read.used = vec![used("writer", "crm.write", day - 5, 7)];
    bench.clock.set(at(100));
    let campaign = bench.start("window: 90d\n").await;
    let show = |holder: &str, right: &str| {
        let case = bench.case(&campaign, holder, right);
        bench.service.open_case(&bench.read, &campaign, case, &id("ada")).unwrap().evidence
    };
    let writer = show("writer", "writer");
    assert_eq!(writer.actions, ["crm.wipe", "crm.write"]);
    assert_eq!((writer.uses.len(), writer.uses[0].permitted), (1, 7));
    assert_eq!(writer.latest[0].decision, "dec_1");
    assert_eq!(writer.recommendation.response, Some("reduce"));
    assert_eq!(writer.recommendation.reasons, ["1 of its 2 actions were used"]);
    let reads = show("writer", "agents-read");
    assert_eq!(reads.recommendation.response, Some("revoke"));
    assert_eq!((reads.peers.holders, reads.peers.using), (2, 0));
    assert_eq!(reads.owner.as_deref(), Some("ada"));

    // The riskiest and smallest come first, and nothing is ticked.
    let mine = bench.service.campaign_cases(&campaign, &id("ada"), CasesOf::Mine, None, 2).unwrap();
    let (first, next) = mine;
    let order: Vec<_> = first.iter().map(|item| (item.tier, &*item.holder)).collect();
    assert_eq!(order, [("critical", "writer"), ("low", "reader")]);
    let rest = bench.service.campaign_cases(&campaign, &id("ada"), CasesOf::Mine, next, 2).unwrap();
    assert_eq!((rest.0.len(), rest.1), (1, None));

    // Only what is not used.
    let text = "campaign: unused\nowner: grace\nscope: { holders: [writer], only: unused }\nstages: [{ name: s, lasts: 1d, reviewers: [owner] }]";
    let start = StartCampaign {
        file: Arc::new(safeconduct_wire::campaign::parse("c", text).unwrap()),
        by: None,
        due: None,
        holder: None,
        because: BTreeSet::new(),
    };
    let unused = bench.service.start_campaign(&bench.read, start).await.unwrap();
    assert_eq!(unused.cases, 1);
    assert_eq!(bench.case(&unused.id, "writer", "agents-read"), 0);
}

#[tokio::test]
async fn too_short_a_record_speaks_for_nothing() {
    let bench = bench().await;
    let campaign = bench.start("").await;
    let reader = bench.case(&campaign, "reader", "agents-read");
    let shown = bench.service.open_case(&bench.read, &campaign, reader, &id("ada")).unwrap();
    assert_eq!(shown.evidence.recommendation.response, None);
    let reasons = &shown.evidence.recommendation.reasons;
    assert!(reasons[0].starts_with("the record goes back 0 days only"), "{reasons:?}");
}

#[tokio::test]
async fn a_schedule_begins_at_month_ends_once_each_time() {
    let bench = bench().await;
    let file = definition("schedule: { from: 2026-11-30, months: 1 }\n");
    bench.service.keep_campaign(&file, &id("grace")).await.unwrap();
    assert_eq!(bench.tend(7).await, 0, "2026-11-29");
    assert_eq!(bench.tend(8).await, 1, "2026-11-30");
    assert_eq!(bench.tend(8).await, 0);
    let began = bench.service.campaign_ids();
    assert_eq!(bench.view(&began[0]).by, None);
    let again = bench.again();
    assert_eq!(again.tend_campaigns(&bench.read).await, 0, "it has begun already");
    // 2026-12-30 and 2027-01-30 were missed: only the last of them begins.
    bench.service.cancel_campaign(&began[0], &id("grace")).await.unwrap();
    assert_eq!(bench.tend(75).await, 1);
    // 2027-02-28, since there is no 30th.
    assert_eq!(bench.tend(97).await, 1, "the stage that ends");
    assert_eq!(bench.tend(98).await, 1);
    bench.service.withdraw_campaign("agents", &id("grace")).await.unwrap();
    assert_eq!(bench.service.campaign_ids().len(), 3);
    let unknown = bench.service.withdraw_campaign("agents", &id("grace")).await;
    assert_eq!(unknown, Err(StartCampaignError::Unknown("agents".into())));
}

#[tokio::test]
async fn a_finding_begins_a_campaign_about_one_holder_once() {
    let bench = bench().await;
    let file = definition("on: [finding, grant]\n");
    bench.service.keep_campaign(&file, &id("grace")).await.unwrap();
    assert_eq!(bench.tend(1).await, 0);
    let found = |event: &str, sequence| {
        let change = ReviewChange {
            what: ReviewedThing::Finding,
            id: "0123456789abcdef0123456789abcdef".into(),
            sequence,
            event: event.into(),
            about: Some(id("writer")),
            by: None,
            detail: ReviewDetail::new(
                r#"{"evidence":[],"facts":{},"kind":"unused_grant","name":"","severity":"low","thing":"identity","whom":"writer"}"#,
            )
            .unwrap(),
        };
        ReviewEntry::new(change)
    };
    let seen = bench.service.reviews_seen();
    bench.service.record_reviews(seen, vec![found("opened", 0)], Vec::new()).await.unwrap();
    assert_eq!(bench.tend(1).await, 1);
    assert_eq!(bench.tend(1).await, 0);
    let [campaign] = &bench.service.campaign_ids()[..] else { panic!("one") };
    let view = bench.view(campaign);
    assert_eq!((view.cases, view.because.len()), (2, 1));
    let writer = bench.case(campaign, "writer", "writer");
    let shown = bench.service.open_case(&bench.read, campaign, writer, &id("ada")).unwrap();
    assert_eq!(shown.evidence.findings[0].kind, "unused_grant");

    // A right of tier high that somebody did not have before.
    let more = format!(
        "{POLICIES}\n@id(\"new\") permit (principal == Safeconduct::Agent::\"reader\", action == \
         Safeconduct::Action::\"crm.wipe\", resource);"
    );
    bench.change_policies(&more).await;
    assert_eq!(bench.tend(1).await, 1);
    assert_eq!(bench.tend(1).await, 0);
    let all = bench.service.campaign_ids();
    assert_eq!(all.len(), 2);
    let new = all.iter().find(|id| *id != campaign).unwrap();
    assert_eq!(bench.view(new).cases, 2);
    bench.case(new, "reader", "new");
}
