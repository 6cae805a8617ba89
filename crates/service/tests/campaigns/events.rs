//! What begins a campaign by itself, each from what really happens; and scopes that ask what was
//! found and what is used.

use super::*;
use safeconduct_model::signal::{About, Kind, Severity, Source};
use safeconduct_review::FreezeError;
use safeconduct_review::finding::{ExemptionKind, ExemptionWish, Fact, FindingKind, FindingState};

const RIGHTS: &str = r#"
@id("right") permit (principal == Safeconduct::User::"sam", action == Safeconduct::Action::"break_glass", resource);
@id("wipers") permit (principal in Safeconduct::Group::"wipers", action == Safeconduct::Action::"crm.wipe", resource);
"#;

impl Bench {
    async fn keep(&self, more: &str) {
        self.service.keep_campaign(&definition(more), &id("grace")).await.unwrap();
    }

    /// Looks for findings, as the server does once a day.
    async fn look(&self) -> LookReport {
        let look = self.service.look(&self.read).unwrap();
        self.service.take_look(look).await.unwrap()
    }

    fn findings(&self, kind: FindingKind) -> Vec<safeconduct_review::finding::Finding> {
        self.service.findings(|finding| finding.kind == kind)
    }

    /// The only campaign that is not over.
    fn only_open(&self) -> RecordId {
        let (open, _) = self.service.campaign_ids_after(CampaignsOf::Open, None, 10).unwrap();
        let [one] = &open[..] else { panic!("{open:?}") };
        one.clone()
    }

    async fn cancel(&self, campaign: &RecordId) {
        self.service.cancel_campaign(campaign, &id("grace")).await.unwrap();
    }

    async fn break_glass(&self, agent: &str) -> RecordId {
        let by = Authentication {
            identity: id("sam"),
            token: TokenId::new("passkey").unwrap(),
            method: Method::Passkey,
            assurance: Assurance::High,
            at: self.service.now(),
            expires_at: None,
            task: None,
        };
        let breaking = BreakGlass {
            by,
            agent: id(agent),
            task: None,
            reason: "the pager is on fire".into(),
            for_ms: 60_000,
            pep: id("gateway:crm"),
            trace: None,
        };
        self.service.break_glass(breaking).await.unwrap().id
    }

    /// What began a campaign, and about whom it is.
    fn began(&self, campaign: &RecordId) -> (Vec<String>, BTreeSet<String>) {
        let holders = self.service.with_campaign(campaign, |running| {
            let cases = running.campaign.population().cases().iter();
            cases.map(|case| case.holder.to_string()).collect()
        });
        (self.view(campaign).because, holders.unwrap())
    }
}

fn only(holder: &str) -> BTreeSet<String> {
    BTreeSet::from([holder.to_owned()])
}

#[tokio::test]
async fn rules_that_are_set_aside_begin_one_about_their_agent() {
    let bench = bench().await;
    bench.change_policies(&[POLICIES, RIGHTS].concat()).await;
    bench.break_glass("other").await;
    bench.clock.set(at(1));
    bench.keep("on: [break_glass]\n").await;
    assert_eq!(bench.tend(1).await, 0, "what was before is not asked about");
    let broken = bench.break_glass("writer").await;
    assert_eq!(bench.tend(1).await, 1);
    let first = bench.only_open();
    assert_eq!(bench.began(&first), (vec![broken.to_string()], only("writer")));

    // What happens while it is under way waits for its end.
    let again = bench.break_glass("writer").await;
    assert_eq!(bench.tend(1).await, 0);
    bench.cancel(&first).await;
    assert_eq!(bench.tend(1).await, 1);
    assert_eq!(bench.began(&bench.only_open()).0, [again.to_string()]);

    // And nothing begins twice, in another process neither.
    let other = bench.again();
    assert_eq!(other.tend_campaigns(&bench.read).await, 0);
    assert_eq!(other.campaign_ids().len(), 2);
}

#[tokio::test]
async fn drift_begins_one_once_a_look_has_found_it() {
    let bench = bench().await;
    bench.keep("on: [drift]\n").await;
    assert_eq!(bench.tend(1).await, 0);
    let about = About::Identity(id("writer"));
    let (kind, severity, now) = (Kind::Drift, Severity::Moderate, bench.service.now());
    let drift = Signal::new(about, kind, severity, Source::Detector, "seen-elsewhere", now);
    bench.service.take_signals(vec![drift], None).await.unwrap();
    assert_eq!(bench.tend(1).await, 0);
    bench.look().await;
    assert_eq!(bench.findings(FindingKind::IntentDrift).len(), 1);
    assert_eq!(bench.tend(1).await, 1);
    let campaign = bench.only_open();
    assert_eq!(bench.began(&campaign).1, only("writer"));
    assert_eq!(bench.tend(1).await, 0);
    // It is over, and so is what drifted: the next time is another event.
    bench.cancel(&campaign).await;
    bench.clock.set(at(40));
    bench.look().await;
    assert_eq!(bench.findings(FindingKind::IntentDrift)[0].closed_at, Some(at(40)));
    assert_eq!(bench.tend(40).await, 0);
    let again = Signal::new(
        About::Identity(id("writer")),
        Kind::Drift,
        Severity::Moderate,
        Source::Detector,
        "seen-again",
        bench.service.now(),
    );
    bench.service.take_signals(vec![again], None).await.unwrap();
    bench.look().await;
    assert_eq!(bench.findings(FindingKind::IntentDrift)[0].reopened, 1);
    assert_eq!(bench.tend(40).await, 1);
}

#[tokio::test]
async fn a_finding_begins_one_about_each_whom_it_is_about() {
    let bench = bench().await;
    bench.keep("on: [finding]\n").await;
    assert_eq!(bench.tend(1).await, 0);
    let left = |status| Identity { status, ..person("bob", None, None, &[]) };
    bench.change(left(IdentityStatus::Suspended)).await;
    assert_eq!(bench.tend(1).await, 0, "nobody has looked");
    bench.look().await;
    let found = bench.findings(FindingKind::OrphanedIdentity);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(bench.tend(1).await, 1);
    let campaign = bench.only_open();
    assert_eq!(bench.began(&campaign).1, only("other"));
    // Whoever reviews it is shown what was found.
    let case = bench.case(&campaign, "other", "agents-read");
    assert_eq!(bench.reviewers(&campaign, case), ["fay"], "Bob is gone");
    let shown = bench.service.open_case(&bench.read, &campaign, case, &id("fay")).unwrap();
    assert_eq!(shown.evidence.findings[0].kind, "orphaned_identity");
    assert_eq!(bench.look().await.opened, 0);
    assert_eq!(bench.tend(1).await, 0, "the same finding is no new one");
}

pub(super) fn wiping() -> Arc<Intents> {
    let name = IntentName::new("clean_up").unwrap();
    let intent = safeconduct_model::Intent {
        name: name.clone(),
        version: 1,
        description: "Clean up.".into(),
        parameters: BTreeMap::new(),
        envelope: vec![Allowance {
            action: ActionName::new("crm.wipe").unwrap(),
            resources: Vec::new(),
            arguments: Vec::new(),
            others: OtherArguments::Allowed,
        }],
        budget: Budget {
            calls: 10,
            calls_of: BTreeMap::new(),
            spend: None,
            distinct_resources: None,
            bytes_out: None,
        },
        on_behalf_of: OnBehalfOf::Required,
        longest_s: 600,
        idle_s: 600,
        tier_max: Tier::Critical,
        delegation_depth: 0,
        credentials: BTreeMap::new(),
        undertakers: Undertakers::default(),
        schedules: BTreeMap::new(),
    };
    let versions = BTreeMap::from([(name, BTreeMap::from([(1, intent)]))]);
    Arc::new(Intents { versions, digest: Digest::from_bytes([5; 32]) })
}

#[tokio::test]
async fn a_new_right_of_tier_high_begins_one_whoever_gave_it() {
    let bench = bench().await;
    bench.change_policies(&[POLICIES, RIGHTS].concat()).await;
    bench.service.change_intents(wiping()).await.unwrap();
    bench.keep("on: [grant]\n").await;
    assert_eq!(bench.tend(1).await, 0, "what they have is what others are held against");

    // By joining a group.
    let joined = |groups: &[&str]| Identity {
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..agent("reader", "ada")
    };
    bench.change(joined(&["clerks"])).await;
    assert_eq!(bench.tend(1).await, 0, "that gives nothing");
    bench.change(joined(&["wipers"])).await;
    assert_eq!(bench.tend(1).await, 1);
    let campaign = bench.only_open();
    assert_eq!(bench.began(&campaign).1, only("reader"));
    bench.case(&campaign, "reader", "wipers");
    bench.cancel(&campaign).await;
    assert_eq!(bench.tend(1).await, 0);

    // It was lost and comes back.
    bench.change(joined(&[])).await;
    assert_eq!(bench.tend(1).await, 0);
    bench.change(joined(&["wipers"])).await;
    assert_eq!(bench.tend(1).await, 1);
    bench.cancel(&bench.only_open()).await;

    // By being registered.
    bench.change(Identity { id: id("newcomer"), ..joined(&["wipers"]) }).await;
    assert_eq!(bench.tend(1).await, 1);
    let campaign = bench.only_open();
    assert_eq!(bench.began(&campaign).1, only("newcomer"));
    bench.cancel(&campaign).await;

    // By a user's word.
    let until = bench.service.now().plus_ms(DAY);
    let intent = IntentName::new("clean_up").unwrap();
    let given = bench.service.delegate(id("sue"), id("other"), intent, until).await.unwrap();
    assert_eq!(bench.tend(1).await, 1);
    let campaign = bench.only_open();
    assert_eq!(bench.began(&campaign).1, only("other"));
    let case = bench.case(&campaign, "other", given.id.as_str());
    let own = bench.answer(&campaign, "sue", case, Response::Accept).await;
    assert!(own.is_err(), "who gave it does not review it");
    bench.cancel(&campaign).await;

    // By the policies.
    let more = format!(
        "{POLICIES}{RIGHTS}\n@id(\"new\") permit (principal == Safeconduct::Agent::\"reader\", action \
         == Safeconduct::Action::\"crm.write\", resource);"
    );
    bench.change_policies(&more).await;
    assert_eq!(bench.tend(1).await, 1);
    let campaign = bench.only_open();
    assert_eq!(bench.began(&campaign).1, only("reader"));
    bench.case(&campaign, "reader", "new");
}

async fn of_scope(bench: &Bench, scope: &str) -> Result<StartedCampaign, StartCampaignError> {
    let text = format!(
        "campaign: scoped\nowner: grace\nscope: {scope}\nstages:\n  - name: owners\n    lasts: 1d\n    \
         reviewers: [owner]\n    fallback: [fallback_owner]\n"
    );
    let start = StartCampaign {
        file: Arc::new(safeconduct_wire::campaign::parse("c.yaml", &text).unwrap()),
        by: Some(id("grace")),
        due: None,
        holder: None,
        because: BTreeSet::new(),
    };
    bench.service.start_campaign(&bench.read, start).await
}

#[tokio::test]
async fn a_scope_of_those_with_findings_knows_what_is_open_and_what_is_excused() {
    let bench = bench().await;
    let with_findings = "{ kinds: [agent], only: with_findings }";
    let nothing = Err(StartCampaignError::from(FreezeError::Nothing));
    assert_eq!(of_scope(&bench, with_findings).await, nothing);
    let left = |status| Identity { status, ..person("bob", None, None, &[]) };
    bench.change(left(IdentityStatus::Suspended)).await;
    bench.look().await;
    let campaign = of_scope(&bench, with_findings).await.unwrap();
    assert_eq!(bench.began(&campaign.id), (Vec::new(), only("other")));

    // Somebody says that it is as it should be, for a day.
    let found = bench.findings(FindingKind::OrphanedIdentity).remove(0);
    let wish = ExemptionWish {
        kind: ExemptionKind::Seasonal,
        reason: "he is on leave".into(),
        by: id("grace"),
        until: Some(bench.service.now().plus_ms(DAY)),
    };
    bench.service.exempt_finding(&found.id, wish).await.unwrap();
    assert_eq!(of_scope(&bench, with_findings).await, nothing);
    // What is found of it meanwhile does not end that: the fallback is gone as well.
    let fay = Identity { status: IdentityStatus::Suspended, ..person("fay", None, None, &[]) };
    bench.change(fay).await;
    bench.change(Identity { fallback_owner: Some(id("max")), ..agent("reader", "ada") }).await;
    assert_eq!(bench.look().await.changed, 1);
    assert_eq!(of_scope(&bench, with_findings).await, nothing);
    // Its end does, whether or not somebody has looked since.
    bench.clock.set(at(1));
    let now = bench.service.now();
    assert_eq!(bench.findings(FindingKind::OrphanedIdentity)[0].state(now), FindingState::Open);
    let campaign = of_scope(&bench, with_findings).await.unwrap();
    assert_eq!(bench.began(&campaign.id).1, only("other"));

    bench.change(left(IdentityStatus::Active)).await;
    bench.look().await;
    assert_eq!(of_scope(&bench, with_findings).await, nothing, "it is closed");
}

#[tokio::test]
async fn a_scope_of_what_is_unused_is_complete_or_refused() {
    let mut bench = bench().await;
    bench.clock.set(at(100));
    let unused = of_scope(&bench, "{ kinds: [agent], only: unused }").await.unwrap();
    assert_eq!(unused.cases, 4);
    bench.cancel(&unused.id).await;
    // More is said of use than can be read: nothing is said to be unused.
    bench.read.more = true;
    let refused = of_scope(&bench, "{ kinds: [agent], only: unused }").await;
    let Err(StartCampaignError::Population(FreezeError::Partial(why))) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("rows of use"), "{why}");
    let all = bench.service.campaign_ids();
    assert_eq!(all, [unused.id], "nothing of it is there");
}

#[tokio::test]
async fn answers_that_nobody_could_have_read_count_wherever_they_were_given() {
    let bench = bench().await;
    for n in 0..10 {
        bench.change(agent(&format!("of-ada-{n}"), "ada")).await;
        bench.change(agent(&format!("of-sue-{n}"), "sue")).await;
    }
    let stamp = async |fast: &str, slow: &str, day: i64| {
        let campaign = bench.start("").await;
        for n in 0..10 {
            for (who, took_ms) in [(fast, 2_000), (slow, 45_000)] {
                let holder = format!("of-{who}-{n}");
                let case = bench.case(&campaign, &holder, "agents-read");
                bench.service.open_case(&bench.read, &campaign, case, &id(who)).unwrap();
                bench.clock.set(bench.service.now().plus_ms(took_ms));
                bench.answer_unseen(&campaign, who, case, Response::Accept).await.unwrap();
            }
        }
        bench.cancel(&campaign).await;
        assert!(bench.service.now() < at(day));
        bench.look().await;
    };
    let open = || {
        let now = bench.service.now();
        let of = |finding: &safeconduct_review::finding::Finding| {
            finding.kind == FindingKind::RubberStamping && finding.state(now) == FindingState::Open
        };
        bench.service.findings(of)
    };
    stamp("ada", "sue", 1).await;
    let found = open();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].subject.whom, Some(id("ada")));
    let fact = |name: &str| found[0].facts.fact(name).cloned();
    assert_eq!(
        fact("signs"),
        Some(Fact::Texts(vec!["cases of reviews faster than anybody reads".into(),]))
    );
    assert_eq!(
        (fact("cases"), fact("case_median_s")),
        (Some(Fact::Number(10)), Some(Fact::Number(2)))
    );
    assert_eq!(fact("answers"), None, "nobody asked for an approval");
    let records = bench.ledger.entries().into_iter().map(|entry| decode(&entry.leaf).unwrap());
    let ids: BTreeSet<_> = records.map(|record| record.id).collect();
    assert!(!found[0].evidence.is_empty() && found[0].evidence.iter().all(|id| ids.contains(id)));

    // It closes once it is long ago, and comes back.
    bench.clock.set(at(40));
    bench.look().await;
    assert!(open().is_empty());
    stamp("ada", "sue", 41).await;
    assert_eq!(open()[0].reopened, 1);

    // Many in one go are stamped too, however long somebody waited before.
    bench.clock.set(at(90));
    bench.look().await;
    let campaign = bench.start("").await;
    let cases: Vec<u32> =
        (0..10).map(|n| bench.case(&campaign, &format!("of-sue-{n}"), "agents-read")).collect();
    for case in &cases {
        bench.service.open_case(&bench.read, &campaign, *case, &id("sue")).unwrap();
    }
    bench.clock.set(bench.service.now().plus_ms(600_000));
    let answers: Vec<_> = cases
        .iter()
        .map(|case| CaseAnswer {
            case: *case,
            response: Response::Accept,
            reason: "all good".into(),
            acting_for: None,
        })
        .collect();
    let results = bench.service.decide_cases(&campaign, &id("sue"), &answers).await.unwrap();
    assert!(results.iter().all(|(_, result)| result.is_ok()));
    bench.look().await;
    let found = open();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].subject.whom, Some(id("sue")));
    assert_eq!(found[0].facts.fact("largest_case_batch"), Some(&Fact::Number(10)));
}
