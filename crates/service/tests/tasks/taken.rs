//! What exists only by a right ends with it, and nothing else does.

use std::sync::Mutex;

use safeconduct_review::{Effect, Ended, GrantSource, ProposedTexts, folder_digest};

use super::*;

/// A policy folder in memory.
struct Folder {
    files: Mutex<BTreeMap<String, String>>,
    service: std::sync::Weak<Service>,
}

fn loaded(
    files: &BTreeMap<String, String>,
) -> Result<Arc<safeconduct_policy::Policies>, GateError> {
    let sources = Sources {
        policies: files.iter().map(|(name, text)| SourceFile::new(&**name, &**text)).collect(),
        servers: vec![name(ServerName::new("crm"))],
        actions: catalogue().actions.into_values().map(|e| (e.name, e.server)).collect(),
        ..Sources::default()
    };
    let loaded = load(&sources).map_err(|error| GateError::Refused(vec![error.to_string()]))?;
    Ok(Arc::new(loaded.policies))
}

impl PolicyGate for Folder {
    fn read(&self) -> Gated<'_, BTreeMap<String, String>> {
        Gated(Box::pin(async { Ok(self.files.lock().unwrap().clone()) }))
    }

    fn check(&self, files: BTreeMap<String, String>) -> Gated<'_, Checked> {
        Gated(Box::pin(async move { loaded(&files).map(|_| Checked::default()) }))
    }

    fn draft(
        &self,
        files: BTreeMap<String, String>,
        _: Arc<safeconduct_policy::Policies>,
    ) -> Gated<'_, Arc<safeconduct_policy::Policies>> {
        Gated(Box::pin(async move { loaded(&files) }))
    }

    fn write(&self, texts: ProposedTexts) -> Gated<'_, ()> {
        Gated(Box::pin(async move {
            let mut files = self.files.lock().unwrap();
            *files = texts.onto(&files);
            Ok(())
        }))
    }

    fn load<'a>(&'a self, cause: &'a str) -> Gated<'a, ()> {
        Gated(Box::pin(async move {
            let policies = loaded(&self.files.lock().unwrap())?;
            let service = self.service.upgrade().unwrap();
            let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
            let (catalogue, digest) = (Arc::new(catalogue()), Digest::from_bytes([9; 32]));
            let put = service.change_policies(policies, catalogue, digest, vocabulary, cause);
            put.await.map_err(|error| GateError::Failed(error.to_string()))
        }))
    }
}

pub(super) struct Estate {
    bench: Bench,
    folder: Arc<Folder>,
    _gate: Arc<dyn PolicyGate>,
}

pub(super) async fn estate() -> Estate {
    let bench = bench().await;
    let files = BTreeMap::from([("p.cedar".to_owned(), POLICIES.to_owned())]);
    let service = Arc::downgrade(&bench.service);
    let folder = Arc::new(Folder { files: Mutex::new(files), service });
    let gate = Arc::clone(&folder) as Arc<dyn PolicyGate>;
    bench.service.set_policy_gate(&gate);
    Estate { bench, folder, _gate: gate }
}

impl Estate {
    pub(super) const fn bench(&self) -> &Bench {
        &self.bench
    }

    pub(super) fn edit(&self, change: impl Fn(&str) -> String) {
        self.folder.files.lock().unwrap().values_mut().for_each(|text| *text = change(text));
    }

    pub(super) async fn load(&self) {
        self.folder.load("a hand").await.unwrap();
    }

    pub(super) async fn planned(
        &self,
        holder: &str,
        of: impl Fn(&GrantSource) -> bool,
    ) -> RecordId {
        let held = self.bench.service.can(&id(holder)).unwrap();
        let grant = held.grants.iter().find(|grant| of(&grant.source)).unwrap().id;
        self.scheduled(holder, Some(grant)).await
    }

    async fn scheduled(&self, holder: &str, grant: Option<Digest>) -> RecordId {
        let wanted = NewRemediation {
            holder: id(holder),
            grant,
            effect: Effect::Revoke,
            not_before: Timestamp::from_millis(NOW),
            cause: None,
            reason: "not needed".into(),
        };
        let ids = self.bench.service.schedule_remediations(vec![wanted], None).await.unwrap();
        let review = ids.into_iter().next().unwrap();
        self.bench.service.quarantine(&review, Some(&id("ada"))).await.unwrap();
        review
    }

    async fn proposed(&self, review: &RecordId) -> RecordId {
        let all = std::slice::from_ref(review);
        let done = self.bench.service.apply_remediations(all, &id("ada"), None).await.unwrap();
        done.proposal.unwrap()
    }

    pub(super) async fn applied(&self, review: &RecordId) {
        let proposal = self.proposed(review).await;
        self.bench.service.approve_proposal(&proposal, &id("orchestrator")).await.unwrap();
    }

    fn state(&self, of: &Authentication) -> TaskState {
        self.bench.service.task(&of.task.as_ref().unwrap().id).unwrap().state
    }

    fn ended(&self, review: &RecordId) -> Ended {
        self.bench.service.remediation(review).unwrap().ended
    }
}

pub(super) fn statement(of: &'static str) -> impl Fn(&GrantSource) -> bool {
    move |source| matches!(source, GrantSource::Statement(one) if one.policy.as_str() == of)
}

pub(super) fn intent_of(of: &'static str) -> impl Fn(&GrantSource) -> bool {
    move |source| matches!(source, GrantSource::Intent { intent, schedule: None, .. } if intent.as_str() == of)
}

#[tokio::test]
async fn tasks_that_could_not_be_begun_any_more_end_with_the_right_to_begin_them() {
    let estate = estate().await;
    let (bench, service) = (&estate.bench, &estate.bench.service);
    let mine = bench.begin("ada", "agent", "work", 1).await;
    let child = bench.delegate(&mine, "helper", 2, 3).await;
    let theirs = bench.begin("ada", "helper", "work", 3).await;
    let review = estate.planned("agent", intent_of("work")).await;
    assert_eq!(estate.state(&mine), TaskState::Active, "what is set aside can come back");
    estate.applied(&review).await;
    assert_eq!(estate.state(&mine), TaskState::Revoked);
    assert_eq!(estate.state(&child), TaskState::Revoked, "and all under it");
    assert_eq!(estate.state(&theirs), TaskState::Active, "another's right stays theirs");
    assert_eq!(estate.ended(&review), Ended { tasks: 2, leases: 0, tokens: 0 });
    let reason = format!("the right was taken away by review {review}");
    let told = bench.bodies().into_iter().any(|body| {
        matches!(&body, Body::TaskEnded { reason: why, by, .. }
            if **why == *reason && *by == Some(id("orchestrator")))
    });
    assert!(told, "the record says by which review, and who approved that");
    // A restart knows as much.
    let again = bench.again();
    let known = again.service.remediation(&review).unwrap();
    assert_eq!(known, service.remediation(&review).unwrap());
}

#[tokio::test]
async fn tasks_in_which_nothing_is_left_to_do_end_and_others_go_on() {
    let estate = estate().await;
    let bench = &estate.bench;
    let mine = bench.begin("ada", "agent", "work", 1).await;
    let theirs = bench.begin("ada", "helper", "work", 2).await;
    let review = estate.planned("agent", statement("agents")).await;
    estate.applied(&review).await;
    assert_eq!(estate.state(&mine), TaskState::Revoked);
    assert_eq!(estate.state(&theirs), TaskState::Active);
    assert_eq!(bench.ask(call(theirs, "records", READ)).await, Ok(()));
    assert_eq!(estate.ended(&review), Ended { tasks: 1, leases: 0, tokens: 0 });
}

#[tokio::test]
async fn a_right_beside_others_ends_nothing() {
    let estate = estate().await;
    let bench = &estate.bench;
    let more = "@id(\"more\") permit (principal is Safeconduct::Agent, action, resource) \
                when { context.action.name == \"crm.records\" };";
    estate.folder.files.lock().unwrap().insert("q.cedar".into(), more.into());
    estate.folder.load("a hand").await.unwrap();
    let mine = bench.begin("ada", "agent", "work", 1).await;
    let review = estate.planned("agent", statement("agents")).await;
    estate.applied(&review).await;
    assert_eq!(estate.state(&mine), TaskState::Active, "the records are still theirs to read");
    assert_eq!(bench.ask(call(mine, "records", READ)).await, Ok(()));
    assert!(estate.ended(&review).is_nothing());
}

#[tokio::test]
async fn what_was_loaded_before_a_crash_ends_what_rested_on_it_afterwards() {
    let estate = estate().await;
    let (bench, service) = (&estate.bench, &estate.bench.service);
    let mine = bench.begin("ada", "agent", "work", 1).await;
    let review = estate.planned("agent", intent_of("work")).await;
    let proposal = estate.proposed(&review).await;
    // As after a crash between loading and the record of it.
    let texts = service.proposed_texts(&proposal).unwrap();
    estate.folder.write(texts).await.unwrap();
    estate.folder.load("before the crash").await.unwrap();
    assert_eq!(estate.state(&mine), TaskState::Active);
    service.approve_proposal(&proposal, &id("orchestrator")).await.unwrap();
    assert_eq!(estate.state(&mine), TaskState::Revoked);
}

#[tokio::test]
async fn tasks_on_a_word_that_was_ended_end_and_those_of_the_user_do_not() {
    let estate = estate().await;
    let (bench, service) = (&estate.bench, &estate.bench.service);
    let (user, work) = (id("ada"), name(IntentName::new("for_a_user")));
    let until = Timestamp::from_millis(NOW + 1_000_000);
    let given = service.delegate(user.clone(), id("agent"), work, until).await.unwrap();
    let mut begun = undertaking(proof("agent"), "agent", "for_a_user", 1);
    begun.on_behalf_of = Some(OnBehalf::Delegated(user.clone()));
    service.begin_task(begun).await.unwrap();
    let delegated = bench.enter("agent", 1);
    let asked = bench.begin("ada", "agent", "for_a_user", 2).await;
    let word = |source: &GrantSource| matches!(source, GrantSource::Delegation { id, .. } if *id == given.id);
    let review = estate.planned("agent", word).await;
    assert_eq!(estate.state(&delegated), TaskState::Revoked);
    assert_eq!(estate.state(&asked), TaskState::Active, "the user has asked for it themselves");
    assert_eq!(estate.ended(&review), Ended { tasks: 1, leases: 0, tokens: 0 });
}

fn is_end(body: &Body) -> bool {
    matches!(body, Body::TaskEnded { .. })
}

#[tokio::test]
async fn a_crash_between_the_end_of_a_word_and_what_rests_on_it_leaves_nothing_alive() {
    let estate = estate().await;
    let (bench, service) = (&estate.bench, &estate.bench.service);
    let (user, work) = (id("ada"), name(IntentName::new("for_a_user")));
    let until = Timestamp::from_millis(NOW + 1_000_000);
    let given = service.delegate(user.clone(), id("agent"), work, until).await.unwrap();
    let mut begun = undertaking(proof("agent"), "agent", "for_a_user", 1);
    begun.on_behalf_of = Some(OnBehalf::Delegated(user.clone()));
    service.begin_task(begun).await.unwrap();
    let delegated = bench.enter("agent", 1);
    let asked = bench.begin("ada", "agent", "for_a_user", 2).await;
    let word = |source: &GrantSource| matches!(source, GrantSource::Delegation { id, .. } if *id == given.id);
    let review = estate.planned("agent", word).await;
    let crashed = bench.bodies().iter().position(is_end).unwrap();
    let again = bench.again_upto(crashed);
    let state =
        |of: &Authentication| again.service.task(&of.task.as_ref().unwrap().id).unwrap().state;
    assert_eq!(
        (state(&delegated), again.service.world().delegations().count()),
        (TaskState::Active, 0)
    );
    again.service.resume_remediations().await;
    assert_eq!(state(&delegated), TaskState::Revoked);
    assert_eq!(state(&asked), TaskState::Active, "the user has asked for it themselves");
    let known = again.service.remediation(&review).unwrap();
    assert_eq!(known.ended, Ended { tasks: 1, leases: 0, tokens: 0 });
    let before = again.ledger.entries().len();
    again.service.resume_remediations().await;
    assert_eq!(again.ledger.entries().len(), before, "what has ended is not ended again");
}

fn undertaken(intent: &str, wanted: Decision) -> Probing {
    Probing {
        action: name(ActionName::new(UNDERTAKE)),
        resource: EntityRef::new("Intent", intent).unwrap(),
        input: Value::object([("case", Value::from("C-1"))]),
        wanted,
    }
}

#[tokio::test]
async fn an_intent_is_proved_gone_by_undertaking_it_and_a_word_by_the_server() {
    let estate = estate().await;
    let service = &estate.bench.service;
    let review = estate.planned("agent", intent_of("work")).await;
    estate.applied(&review).await;
    let used = vec![undertaken("for_a_user", Decision::Permit)];
    let used = service.verify_remediation(&review, &id("ada"), used).await;
    assert!(used.is_err(), "that says nothing of it: {used:?}");
    let gone = vec![undertaken("work", Decision::Deny)];
    let verified = service.verify_remediation(&review, &id("ada"), gone).await.unwrap();
    assert_eq!(verified.state, safeconduct_review::RemediationState::Verified);

    let (user, work) = (id("ada"), name(IntentName::new("for_a_user")));
    let until = Timestamp::from_millis(NOW + 1_000_000);
    let given = service.delegate(user.clone(), id("agent"), work.clone(), until).await.unwrap();
    let word = |source: &GrantSource| matches!(source, GrantSource::Delegation { id, .. } if *id == given.id);
    let review = estate.planned("agent", word).await;
    service.apply_remediations(std::slice::from_ref(&review), &id("ada"), None).await.unwrap();
    let verified = service.verify_remediation(&review, &id("ada"), Vec::new()).await.unwrap();
    assert_eq!(verified.state, safeconduct_review::RemediationState::Verified);
    service.delegate(user, id("agent"), work, until).await.unwrap();
    let stands = service.verify_remediation(&review, &id("ada"), Vec::new()).await.unwrap();
    assert_eq!(stands.state, safeconduct_review::RemediationState::Failed);
}

#[tokio::test]
async fn an_intent_that_is_set_aside_is_proved_so_by_undertaking_it() {
    let estate = estate().await;
    let service = &estate.bench.service;
    let held = service.can(&id("agent")).unwrap();
    let grant = held.grants.iter().find(|grant| intent_of("work")(&grant.source)).unwrap().id;
    let wanted = NewRemediation {
        holder: id("agent"),
        grant: Some(grant),
        effect: Effect::Suspend,
        not_before: Timestamp::from_millis(NOW),
        cause: None,
        reason: "not needed".into(),
    };
    let review = service.schedule_remediations(vec![wanted], None).await.unwrap().remove(0);
    service.quarantine(&review, Some(&id("ada"))).await.unwrap();
    let gone = vec![undertaken("work", Decision::Deny)];
    let verified = service.verify_remediation(&review, &id("ada"), gone).await.unwrap();
    assert_eq!(verified.state, safeconduct_review::RemediationState::Verified);
}

#[tokio::test]
async fn who_may_do_nothing_any_more_has_no_tokens_left() {
    let estate = estate().await;
    let (bench, service) = (&estate.bench, &estate.bench.service);
    let token = |of: &str, n: u8| Token {
        id: name(TokenId::new(format!("tok_{of}_{n}"))),
        identity: id(of),
        digest: Digest::from_bytes([n; 32]),
        issued_at: Timestamp::from_millis(NOW),
        expires_at: Timestamp::from_millis(NOW + 1_000_000),
        revoked: false,
    };
    for one in [token("agent", 1), token("agent", 2), token("helper", 3)] {
        service.register_token(one, &id("ada")).await.unwrap();
    }
    let mine = bench.begin("ada", "agent", "work", 1).await;
    let review = estate.scheduled("agent", None).await;
    assert_eq!(estate.state(&mine), TaskState::Revoked);
    let revoked = || service.world().tokens().filter(|token| token.revoked).count();
    assert_eq!(revoked(), 0, "a quarantine can be lifted");
    let all = std::slice::from_ref(&review);
    service.apply_remediations(all, &id("ada"), None).await.unwrap();
    assert_eq!(revoked(), 2);
    assert_eq!(estate.ended(&review), Ended { tasks: 1, leases: 0, tokens: 2 });
    let before = bench.ledger.entries().len();
    service.resume_remediations().await;
    assert_eq!(bench.ledger.entries().len(), before, "what has ended is not ended again");
}

#[tokio::test]
async fn a_change_that_no_review_asked_for_ends_nothing() {
    let estate = estate().await;
    let (bench, service) = (&estate.bench, &estate.bench.service);
    let mine = bench.begin("ada", "agent", "work", 1).await;
    let files = estate.folder.files.lock().unwrap().clone();
    let less = files["p.cedar"].replace("crm.*", "crm.records");
    let wanted = NewProposal {
        from: Some(folder_digest(&files)),
        files: BTreeMap::from([("p.cedar".to_owned(), less)]),
        reason: "less".into(),
        ..NewProposal::default()
    };
    let made = service.propose_policies(wanted, &id("ada")).await.unwrap();
    service.approve_proposal(&made.id, &id("orchestrator")).await.unwrap();
    assert_eq!(estate.state(&mine), TaskState::Active);
    assert_eq!(bench.ask(call(mine, "records", READ)).await, Ok(()));
}
