use std::sync::Mutex;

use safeconduct_review::{Effect, GrantSource, ProposalState, Remediation, RemediationState};

use super::*;

pub(super) const FILES: &str = "p.cedar";

/// A folder in memory, with the policies in it.
struct Folder {
    files: Mutex<BTreeMap<String, String>>,
    service: std::sync::Weak<Service>,
    /// A file that cannot be written.
    locked: Mutex<Option<String>>,
}

fn loaded(
    files: &BTreeMap<String, String>,
) -> Result<Arc<safeconduct_policy::Policies>, GateError> {
    let sources = Sources {
        policies: files.iter().map(|(name, text)| SourceFile::new(&**name, &**text)).collect(),
        servers: vec![name(ServerName::new("files"))],
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
        Gated(Box::pin(async move {
            loaded(&files).map(|_| Checked { warnings: Vec::new(), tests: 1 })
        }))
    }

    fn draft(
        &self,
        files: BTreeMap<String, String>,
        _: Arc<safeconduct_policy::Policies>,
    ) -> Gated<'_, Arc<safeconduct_policy::Policies>> {
        Gated(Box::pin(async move { loaded(&files) }))
    }

    fn write(&self, texts: safeconduct_review::ProposedTexts) -> Gated<'_, ()> {
        Gated(Box::pin(async move {
            let mut files = self.files.lock().unwrap();
            for (name, file) in texts.files {
                if self.locked.lock().unwrap().as_ref() == Some(&name) {
                    return Err(GateError::Failed("locked".into()));
                }
                match file.after {
                    Some(text) => files.insert(name, text),
                    None => files.remove(&name),
                };
            }
            Ok(())
        }))
    }

    fn load<'a>(&'a self, cause: &'a str) -> Gated<'a, ()> {
        Gated(Box::pin(async move {
            let files = self.files.lock().unwrap().clone();
            let policies = loaded(&files)?;
            let service = self.service.upgrade().unwrap();
            let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
            let digest = Digest::from_bytes([9; 32]);
            let catalogue = Arc::new(catalogue());
            let put = service.change_policies(policies, catalogue, digest, vocabulary, cause);
            put.await.map_err(|error| GateError::Failed(error.to_string()))
        }))
    }
}

pub(super) struct Estate {
    bench: Bench,
    folder: Arc<dyn PolicyGate>,
    files: Arc<Folder>,
}

pub(super) async fn estate() -> Estate {
    let bench = bench(Settings::default()).await;
    bench.service.change_identity(agent("other"), &me()).await.unwrap();
    let files = Arc::new(Folder {
        files: Mutex::new(BTreeMap::from([(FILES.to_owned(), POLICIES.to_owned())])),
        service: Arc::downgrade(&bench.service),
        locked: Mutex::new(None),
    });
    let folder = Arc::clone(&files) as Arc<dyn PolicyGate>;
    bench.service.set_policy_gate(&folder);
    Estate { bench, folder, files }
}

pub(super) fn who(of: &str) -> IdentityId {
    name(IdentityId::new(of))
}

impl Estate {
    pub(super) fn service(&self) -> &Service {
        &self.bench.service
    }

    pub(super) fn ledger(&self) -> &Arc<MemoryLedger> {
        &self.bench.ledger
    }

    /// The policies as they lie in the folder.
    pub(super) fn text(&self) -> String {
        self.files.files.lock().unwrap()[FILES].clone()
    }

    async fn ask(&self, agent: &str, tool: &str) -> Result<(), Vec<&'static str>> {
        ask(self.service(), agent, tool).await
    }

    pub(super) fn grant(&self, holder: &str, policy: &str) -> Digest {
        let held = self.service().can(&who(holder)).unwrap();
        let of = |grant: &&safeconduct_review::Grant| match &grant.source {
            GrantSource::Statement(statement) => statement.policy.as_str() == policy,
            _ => false,
        };
        held.grants.iter().find(of).unwrap().id
    }

    async fn schedule(&self, grant: Option<Digest>, effect: Effect, not_before: i64) -> RecordId {
        self.schedule_from("agent", grant, effect, not_before).await
    }

    /// Due at once.
    pub(super) async fn schedule_of(
        &self,
        holder: &str,
        grant: Option<Digest>,
        effect: Effect,
    ) -> RecordId {
        self.schedule_from(holder, grant, effect, 0).await
    }

    /// The folder is loaded as it is.
    pub(super) async fn load(&self, cause: &str) {
        self.folder.load(cause).await.unwrap();
    }

    pub(super) fn clock(&self) -> &MemoryClock {
        &self.bench.clock
    }

    /// Another process over the same records and the same folder.
    pub(super) fn again(&self) -> Service {
        let (ports, ledger, clock) = ports();
        clock.set(self.service().now());
        let (entries, reads, writes) = (self.bench.ledger.entries(), Vec::new(), Vec::new());
        ledger.submit(Proposal { entries: entries.clone(), reads, writes }).unwrap();
        let text = self.files.files.lock().unwrap().get(FILES).cloned().unwrap();
        let service = Service::new(ports, Settings::default(), world(&text));
        let mut restore = service.restore();
        for (sequence, entry) in (0..).zip(&entries) {
            let beside = match entry.attachment {
                Some(_) => Attachment::Present,
                None => Attachment::Absent,
            };
            restore.apply(sequence, &decode(&entry.leaf).unwrap(), beside).unwrap();
        }
        restore.finish();
        service
    }

    async fn schedule_from(
        &self,
        holder: &str,
        grant: Option<Digest>,
        effect: Effect,
        not_before: i64,
    ) -> RecordId {
        let wanted = NewRemediation {
            holder: who(holder),
            grant,
            effect,
            not_before: Timestamp::from_millis(not_before),
            cause: Some("camp_1/0".into()),
            reason: "not used".into(),
        };
        let ids = self.service().schedule_remediations(vec![wanted], Some(&me())).await;
        ids.unwrap().remove(0)
    }

    /// `files.read` of `agent`, set aside.
    async fn set_aside(&self, effect: Effect) -> RecordId {
        let id = self.schedule(Some(self.grant("agent", "reads")), effect, 0).await;
        self.service().quarantine(&id, Some(&me())).await.unwrap();
        id
    }

    pub(super) fn one(&self, id: &RecordId) -> Remediation {
        self.service().remediation(id).unwrap()
    }

    pub(super) fn edit(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        change(&mut self.files.files.lock().unwrap());
    }
}

pub(super) async fn ask(
    service: &Service,
    agent: &str,
    tool: &str,
) -> Result<(), Vec<&'static str>> {
    let mut check = check(tool);
    check.subject = Subject::Caller(proof(agent, "t1"));
    let outcome = service.check(check).await.unwrap().into_value().outcome;
    match outcome.decision {
        Decision::Permit => Ok(()),
        Decision::Deny => Err(codes(&outcome)),
    }
}

pub(super) fn probing(tool: &str, wanted: Decision) -> Probing {
    Probing {
        action: name(ActionName::new(format!("files.{tool}"))),
        resource: EntityRef::new("Server", "files").unwrap(),
        input: Value::object([("path", Value::from("/a"))]),
        wanted,
    }
}

#[tokio::test]
async fn a_quarantine_denies_one_holder_one_right_and_one_step_restores_it() {
    let estate = estate().await;
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    let id = estate.set_aside(Effect::Revoke).await;
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["set_aside"]));
    assert_eq!(estate.ask("agent", "show").await, Ok(()), "another right of theirs");
    assert_eq!(estate.ask("other", "read").await, Ok(()), "the same statement, another holder");
    let denied = decided(&estate.bench.ledger);
    let denied = denied.iter().find(|one| one.decision == Decision::Deny).unwrap();
    let message = &denied.reasons[0].message;
    assert!(message.contains(&format!("safeconduct review remediate restore {id}")), "{message}");
    let restored = estate.service().restore_right(&id, &me(), "it is needed".into()).await.unwrap();
    assert_eq!(restored.state, RemediationState::Restored);
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    assert!(estate.service().quarantine(&id, Some(&me())).await.is_err(), "it is over");
}

#[tokio::test]
async fn a_restart_keeps_a_quarantine_and_what_can_restore_it() {
    let estate = estate().await;
    let id = estate.set_aside(Effect::Revoke).await;
    let (ports, ledger, _) = ports();
    let entries = estate.bench.ledger.entries();
    let proposal = Proposal { entries: entries.clone(), reads: Vec::new(), writes: Vec::new() };
    ledger.submit(proposal).unwrap();
    let service = Service::new(ports, Settings::default(), world(POLICIES));
    let mut restore = service.restore();
    for (sequence, record) in records(&estate.bench.ledger).iter().enumerate() {
        restore.apply(sequence as u64, record, Attachment::Absent).unwrap();
    }
    restore.finish();
    assert_eq!(ask(&service, "agent", "read").await, Err(vec!["set_aside"]));
    assert_eq!(ask(&service, "other", "read").await, Ok(()));
    service.restore_right(&id, &me(), "again".into()).await.unwrap();
    assert_eq!(ask(&service, "agent", "read").await, Ok(()));
}

#[tokio::test]
async fn a_statement_that_is_renamed_stays_set_aside() {
    let estate = estate().await;
    estate.set_aside(Effect::Revoke).await;
    estate.edit(|files| {
        let text = files.get_mut(FILES).unwrap();
        *text = text.replace("@id(\"reads\")", "@id(\"others\")");
    });
    estate.folder.load("a hand").await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["set_aside"]));
    assert_eq!(estate.ask("other", "read").await, Ok(()));
}

#[tokio::test]
async fn a_whole_identity_is_quarantined_and_comes_back() {
    let estate = estate().await;
    let id = estate.schedule(None, Effect::Suspend, 0).await;
    estate.service().quarantine(&id, Some(&me())).await.unwrap();
    let codes = estate.ask("agent", "read").await.unwrap_err();
    assert_eq!(codes, ["identity_not_active", "set_aside"]);
    assert_eq!(estate.ask("other", "read").await, Ok(()));
    let applied = estate.service().apply_remediations(std::slice::from_ref(&id), &me(), None).await;
    assert!(applied.unwrap_err().to_string().contains("suspended"));
    estate.service().restore_right(&id, &me(), "back".into()).await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    // What a person stopped meanwhile stays stopped.
    let id = estate.schedule(None, Effect::Suspend, 0).await;
    estate.service().quarantine(&id, Some(&me())).await.unwrap();
    let suspended = Identity { status: IdentityStatus::Suspended, ..agent("agent") };
    estate.service().change_identity(suspended, &me()).await.unwrap();
    estate.service().restore_right(&id, &me(), "back".into()).await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["identity_not_active"]));
}

#[tokio::test]
async fn who_was_stopped_before_a_quarantine_is_so_after_it() {
    let estate = estate().await;
    let service = estate.service();
    let status = || service.world().identity(&who("agent")).unwrap().status;
    let set_aside = async || {
        let id = estate.schedule(None, Effect::Suspend, 0).await;
        service.quarantine(&id, Some(&me())).await.unwrap();
        id
    };
    for before in [IdentityStatus::Suspended, IdentityStatus::Quarantined, IdentityStatus::Retired]
    {
        let stopped = Identity { status: before, ..agent("agent") };
        service.change_identity(stopped, &me()).await.unwrap();
        let id = set_aside().await;
        assert_eq!(status(), IdentityStatus::Quarantined);
        service.restore_right(&id, &me(), "back".into()).await.unwrap();
        assert_eq!(status(), before);
    }
    // Two hold it, and somebody stopped it in between.
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let first = set_aside().await;
    service.kill(KillScope::Identity(who("agent")), &me(), "seen".into()).await.unwrap();
    let second = set_aside().await;
    for id in [second, first] {
        service.restore_right(&id, &me(), "back".into()).await.unwrap();
    }
    assert_eq!(status(), IdentityStatus::Suspended);
    // Two hold it, and nobody did.
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let (first, second) = (set_aside().await, set_aside().await);
    service.restore_right(&first, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Quarantined);
    service.restore_right(&second, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Active);
}

#[tokio::test]
async fn time_sets_aside_what_its_people_had_notice_of() {
    let estate = estate().await;
    let grant = estate.grant("agent", "reads");
    let id = estate.schedule(Some(grant), Effect::Revoke, 60_000).await;
    assert_eq!(estate.service().sweep_remediations().await, 0);
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    estate.bench.clock.set(Timestamp::from_millis(60_000));
    assert_eq!(estate.service().sweep_remediations().await, 1);
    assert_eq!(estate.one(&id).state, RemediationState::Quarantined);
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["set_aside"]));
}

#[tokio::test]
async fn what_is_taken_away_goes_through_the_gate_and_comes_back_through_it() {
    let estate = estate().await;
    let service = estate.service();
    let id = estate.set_aside(Effect::Revoke).await;
    let by = me();
    let early = service.verify_remediation(&id, &by, vec![probing("read", Decision::Deny)]);
    assert!(early.await.is_err(), "it is not gone yet");
    let done = service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
    let proposal = done.proposal.unwrap();
    assert_eq!(estate.one(&id).state, RemediationState::Quarantined, "nobody has approved");
    let own = service.approve_proposal(&proposal, &me()).await.unwrap_err();
    assert!(own.to_string().contains("somebody else"), "{own}");
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["set_aside"]));
    let applied = service.approve_proposal(&proposal, &who("grace")).await.unwrap();
    assert_eq!(applied.state, ProposalState::Applied);
    assert_eq!(estate.one(&id).state, RemediationState::Applied);
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["no_permit"]));
    assert_eq!(estate.ask("other", "read").await, Ok(()), "they are excepted, nobody else");
    let text = estate.files.files.lock().unwrap()[FILES].clone();
    assert!(text.contains("@id(\"reads\")") && text.contains("unless { principal =="), "{text}");
    let wrong = service.verify_remediation(&id, &by, vec![probing("none", Decision::Deny)]);
    assert!(matches!(wrong.await, Err(RemediateError::Inconclusive { .. })));
    let probes = vec![probing("read", Decision::Deny), probing("show", Decision::Permit)];
    let before = decided(&estate.bench.ledger).len();
    let verified = service.verify_remediation(&id, &me(), probes).await.unwrap();
    assert_eq!(verified.state, RemediationState::Verified);
    assert_eq!(decided(&estate.bench.ledger).len(), before, "a probe is no use of the right");
    let back = service.roll_back(&id, &me(), "it is needed".into()).await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["no_permit"]), "not by one alone");
    service.approve_proposal(&back.proposal.unwrap(), &who("grace")).await.unwrap();
    assert_eq!(estate.one(&id).state, RemediationState::RolledBack);
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    assert_eq!(estate.files.files.lock().unwrap()[FILES], POLICIES, "byte for byte");
}

#[tokio::test]
async fn a_probe_that_is_still_permitted_is_a_failure() {
    let estate = estate().await;
    let id = estate.set_aside(Effect::Suspend).await;
    let probes = vec![probing("show", Decision::Deny)];
    let failed = estate.service().verify_remediation(&id, &me(), probes).await.unwrap();
    assert_eq!(failed.state, RemediationState::Failed);
    assert!(failed.set_aside);
}

#[tokio::test]
async fn a_folder_that_was_edited_meanwhile_is_a_conflict_and_nothing_is_overwritten() {
    let estate = estate().await;
    let service = estate.service();
    let id = estate.set_aside(Effect::Revoke).await;
    let done = service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
    estate.edit(|files| files.get_mut(FILES).unwrap().push_str("\n// by hand\n"));
    let edited = estate.files.files.lock().unwrap().clone();
    let conflict = service.approve_proposal(&done.proposal.unwrap(), &who("grace")).await;
    assert!(matches!(conflict, Err(RemediateError::Conflict(_))), "{conflict:?}");
    assert_eq!(*estate.files.files.lock().unwrap(), edited);
    let one = estate.one(&id);
    assert_eq!(one.state, RemediationState::Conflict);
    assert!(one.note.unwrap().contains(FILES));
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["set_aside"]), "still denied");
    // What lies there came in force meanwhile, so it can be applied anew.
    estate.folder.load("a hand").await.unwrap();
    let done = service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
    service.approve_proposal(&done.proposal.unwrap(), &who("grace")).await.unwrap();
    assert_eq!(estate.one(&id).state, RemediationState::Applied);
    assert!(estate.files.files.lock().unwrap()[FILES].contains("// by hand"));
}

#[tokio::test]
async fn a_change_that_does_not_load_is_no_proposal_and_a_rejected_one_changes_nothing() {
    let estate = estate().await;
    let service = estate.service();
    let propose = |text: &str| NewProposal {
        files: BTreeMap::from([(FILES.to_owned(), text.to_owned())]),
        reason: "better".into(),
        ..NewProposal::default()
    };
    let refused = service.propose_policies(propose("permit (principal"), &me()).await;
    assert!(matches!(refused, Err(RemediateError::Refused(_))), "{refused:?}");
    assert!(service.policy_proposals().is_empty());
    let same = service.propose_policies(propose(POLICIES), &me()).await;
    assert!(matches!(same, Err(RemediateError::Proposal(_))), "{same:?}");
    let other = POLICIES.replace("reads", "lectures");
    let one = service.propose_policies(propose(&other), &me()).await.unwrap();
    assert_eq!((one.state, one.change.tests), (ProposalState::Open, 1));
    let texts = service.proposed_texts(&one.id).unwrap();
    assert_eq!(texts.files[FILES].after.as_deref(), Some(&*other));
    service.reject_proposal(&one.id, &who("grace"), "no".into()).await.unwrap();
    assert!(service.approve_proposal(&one.id, &who("grace")).await.is_err());
    assert_eq!(estate.files.files.lock().unwrap()[FILES], POLICIES);
}

#[tokio::test]
async fn what_cannot_be_written_whole_is_written_back() {
    let estate = estate().await;
    let service = estate.service();
    let files = [(FILES, POLICIES.replace("reads", "lectures")), ("q.cedar", "// more".into())];
    let wanted = NewProposal {
        files: files.map(|(name, text)| (name.to_owned(), text)).into(),
        reason: "better".into(),
        ..NewProposal::default()
    };
    let one = service.propose_policies(wanted, &me()).await.unwrap();
    *estate.files.locked.lock().unwrap() = Some("q.cedar".into());
    let failed = service.approve_proposal(&one.id, &who("grace")).await;
    assert!(matches!(failed, Err(RemediateError::Folder(_))), "{failed:?}");
    let left = BTreeMap::from([(FILES.to_owned(), POLICIES.to_owned())]);
    assert_eq!(*estate.files.files.lock().unwrap(), left);
}

#[tokio::test]
async fn a_deny_that_others_have_too_proves_nothing() {
    let estate = estate().await;
    let id = estate.set_aside(Effect::Suspend).await;
    let forbid = "forbid (principal, action == Safeconduct::Action::\"files.show\", resource);";
    estate.edit(|files| files.get_mut(FILES).unwrap().push_str(forbid));
    estate.folder.load("a hand").await.unwrap();
    let probe = |tool| vec![probing(tool, Decision::Deny)];
    let other = estate.service().verify_remediation(&id, &me(), probe("show")).await;
    assert!(matches!(other, Err(RemediateError::Inconclusive { .. })), "{other:?}");
}

#[tokio::test]
async fn denials_of_what_was_taken_away_say_that_it_was_needed() {
    let estate = estate().await;
    let service = estate.service();
    let id = estate.set_aside(Effect::Revoke).await;
    for _ in 0..2 {
        estate.ask("agent", "read").await.unwrap_err();
    }
    estate.ask("agent", "move").await.unwrap_err();
    assert_eq!(service.sweep_remediations().await, 0);
    estate.ask("agent", "read").await.unwrap_err();
    assert_eq!(service.sweep_remediations().await, 1);
    assert!(estate.one(&id).needed_at.is_some());
    assert_eq!(service.sweep_remediations().await, 0, "it is said once");
}

#[tokio::test]
async fn what_shrinks_needs_the_smaller_text() {
    let estate = estate().await;
    let service = estate.service();
    let grant = estate.grant("agent", "reads");
    let id = estate.schedule(Some(grant), Effect::Reduce, 0).await;
    assert_eq!(service.sweep_remediations().await, 0, "it is not set aside");
    assert!(service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.is_err());
    let smaller = POLICIES.replace(
        "permit (principal, action == Safeconduct::Action::\"files.read\", resource);",
        "permit (principal == Safeconduct::Agent::\"other\", action == Safeconduct::Action::\"files.read\", resource);",
    );
    let more = "permit (principal, action == Safeconduct::Action::\"files.move\", resource);";
    let wider = [(FILES, format!("{smaller}{more}")), ("x.cedarschema", String::new())];
    for (file, text) in wider {
        let draft = BTreeMap::from([(file.to_owned(), text)]);
        let wide = service.apply_remediations(std::slice::from_ref(&id), &me(), Some(draft)).await;
        assert!(matches!(wide, Err(RemediateError::Draft(_))), "{file}");
    }
    assert!(service.policy_proposals().is_empty());
    let draft = BTreeMap::from([(FILES.to_owned(), smaller)]);
    let done =
        service.apply_remediations(std::slice::from_ref(&id), &me(), Some(draft)).await.unwrap();
    service.approve_proposal(&done.proposal.unwrap(), &who("grace")).await.unwrap();
    assert_eq!(estate.one(&id).state, RemediationState::Applied);
    assert_eq!(estate.ask("agent", "read").await, Err(vec!["no_permit"]));
}

#[tokio::test]
async fn only_what_was_approved_is_an_approved_folder() {
    let estate = estate().await;
    let service = estate.service();
    let first = Digest::from_bytes([1; 32]);
    assert!(!service.is_approved_folder(first) && service.approved_folder().is_none());
    service.import_folder(first).await.unwrap();
    service.import_folder(Digest::from_bytes([2; 32])).await.unwrap();
    assert_eq!(service.approved_folder(), Some(first), "once");
    let other = POLICIES.replace("reads", "lectures");
    let wanted = NewProposal {
        files: BTreeMap::from([(FILES.to_owned(), other)]),
        reason: "better".into(),
        ..NewProposal::default()
    };
    let one = service.propose_policies(wanted, &me()).await.unwrap();
    let to = Digest::parse(&one.change.to).unwrap();
    assert!(!service.is_approved_folder(to), "nobody has approved it");
    service.approve_proposal(&one.id, &who("grace")).await.unwrap();
    assert!(service.is_approved_folder(to) && !service.is_approved_folder(first));
}

fn proposal(text: String) -> NewProposal {
    NewProposal {
        files: BTreeMap::from([(FILES.to_owned(), text)]),
        reason: "better".into(),
        ..NewProposal::default()
    }
}

#[tokio::test]
async fn who_gains_by_a_change_does_not_approve_it() {
    let estate = estate().await;
    let service = estate.service();
    let person = |of: &str| Identity { kind: IdentityKind::User, ..agent(of) };
    for of in ["alice", "carol"] {
        service.change_identity(person(of), &me()).await.unwrap();
    }
    let more = |who: &str| {
        format!(
            "{POLICIES}\npermit (principal == Safeconduct::{who}, \
             action == Safeconduct::Action::\"files.move\", resource);"
        )
    };
    for (text, gains) in [(more("User::\"carol\""), "carol"), (more("Agent::\"agent\""), "alice")] {
        let made = service.propose_policies(proposal(text), &me()).await.unwrap();
        let refused = service.approve_proposal(&made.id, &who(gains)).await;
        assert!(matches!(refused, Err(RemediateError::OwnGain { .. })), "{gains}: {refused:?}");
        assert_eq!(service.policy_proposal(&made.id).unwrap().state, ProposalState::Open);
        service.approve_proposal(&made.id, &who("grace")).await.unwrap();
        let back = proposal(POLICIES.to_owned());
        let back = service.propose_policies(back, &me()).await.unwrap();
        // Who loses by it gains nothing.
        service.approve_proposal(&back.id, &who(gains)).await.unwrap();
    }
    // Nor does the owner of an agent approve that its right comes back.
    let id = estate.set_aside(Effect::Revoke).await;
    let done = service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
    service.approve_proposal(&done.proposal.unwrap(), &who("alice")).await.unwrap();
    let back = service.roll_back(&id, &me(), "it is needed".into()).await.unwrap();
    let back = back.proposal.unwrap();
    for gains in ["agent", "alice", "bob"] {
        let refused = service.approve_proposal(&back, &who(gains)).await;
        assert!(matches!(refused, Err(RemediateError::OwnGain { .. })), "{gains}: {refused:?}");
    }
    service.approve_proposal(&back, &who("grace")).await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
}

#[tokio::test]
async fn what_was_edited_from_another_folder_is_shown_beside_what_came_since() {
    let estate = estate().await;
    let service = estate.service();
    let (base, _) = service.policy_folder().await.unwrap();
    let renamed = POLICIES.replace("reads", "lectures");
    let first = NewProposal { from: Some(base), ..proposal(renamed.clone()) };
    let first = service.propose_policies(first, &me()).await.unwrap();
    service.approve_proposal(&first.id, &who("grace")).await.unwrap();
    let later = POLICIES.replace("ask a person", "ask two people")
        + "@id(\"new\") forbid (principal, action, resource) when { context.action.effect == \"write\" };";
    let stale = NewProposal { from: Some(base), ..proposal(later.clone()) };
    let refused = service.propose_policies(stale, &me()).await;
    let Err(RemediateError::Diverged(found)) = refused else { panic!("{refused:?}") };
    assert_eq!(found.from, base.to_string());
    assert_eq!(found.now, first.change.to);
    assert_eq!(found.meanwhile.as_deref(), Some(&["- reads".to_owned(), "+ lectures".into()][..]));
    assert_eq!(found.wanted, ["+ new"], "a message is no other statement");
    assert_eq!(service.policy_proposals().len(), 1, "nothing is proposed");
    // Edited from what there is now it is one.
    let (now, _) = service.policy_folder().await.unwrap();
    let again = later.replace("reads", "lectures");
    let fresh = NewProposal { from: Some(now), ..proposal(again) };
    let fresh = service.propose_policies(fresh, &me()).await.unwrap();
    // And where another comes in between, that is a conflict which says all of it.
    estate.edit(|files| files.get_mut(FILES).unwrap().push_str("\n// by hand\n"));
    let conflict = service.approve_proposal(&fresh.id, &who("grace")).await;
    let Err(RemediateError::Conflict(told)) = conflict else { panic!("{conflict:?}") };
    assert!(told.contains(&fresh.change.from) && told.contains("+ new"), "{told}");
    // Nobody knows how a folder was that no proposal has made.
    let odd = NewProposal { from: Some(Digest::from_bytes([7; 32])), ..proposal(renamed) };
    let refused = service.propose_policies(odd, &me()).await.unwrap_err();
    assert!(refused.to_string().contains("is not known"), "{refused}");
}

const REGO: &str = "package safeconduct\nimport rego.v1\ndefault allow := true\n";

#[tokio::test]
async fn the_last_statement_of_cedar_does_not_leave_rego_to_decide_alone() {
    let estate = estate().await;
    let service = estate.service();
    let own =
        "@id(\"own\") permit (principal == Safeconduct::Agent::\"agent\", action, resource);\n";
    estate.edit(|files| {
        *files = [(FILES, own), ("r.rego", REGO)].map(|(n, t)| (n.to_owned(), t.to_owned())).into();
    });
    estate.folder.load("a hand").await.unwrap();
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    let emptied = BTreeMap::from([("r.rego".to_owned(), REGO.to_owned())]);
    let alone = NewProposal { files: emptied, ..proposal(String::new()) };
    let refused = service.propose_policies(alone, &me()).await.unwrap_err();
    assert!(refused.to_string().contains("say so by `permit"), "{refused}");
    let id = estate.schedule(Some(estate.grant("agent", "own")), Effect::Revoke, 0).await;
    service.quarantine(&id, Some(&me())).await.unwrap();
    let done = service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
    service.approve_proposal(&done.proposal.unwrap(), &who("grace")).await.unwrap();
    assert!(estate.ask("agent", "read").await.is_err(), "what was taken is denied");
    assert!(estate.ask("other", "read").await.is_err(), "and nobody gets what nobody gave");
    let files = estate.files.files.lock().unwrap().clone();
    assert!(files["reviews.cedar"].contains(&format!("review.{id}")), "{files:?}");
    assert!(!files[FILES].contains("own"), "{files:?}");
}

#[tokio::test]
async fn a_later_suspension_outlives_a_roll_back() {
    let estate = estate().await;
    let service = estate.service();
    let status = || service.world().identity(&who("agent")).unwrap().status;
    let gone = async |later: Option<IdentityStatus>| {
        service.change_identity(agent("agent"), &me()).await.unwrap();
        let id = estate.schedule(None, Effect::Revoke, 0).await;
        service.quarantine(&id, Some(&me())).await.unwrap();
        if let Some(status) = later {
            let stopped = Identity { status, ..agent("agent") };
            service.change_identity(stopped, &me()).await.unwrap();
        }
        service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
        assert_eq!(status(), IdentityStatus::Retired);
        id
    };
    let id = gone(None).await;
    service.roll_back(&id, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Active);
    let id = gone(Some(IdentityStatus::Suspended)).await;
    service.roll_back(&id, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Suspended, "who stopped it later has the last word");
    // Another review that suspended it holds it still, and gives it back.
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let first = estate.schedule(None, Effect::Revoke, 0).await;
    service.quarantine(&first, Some(&me())).await.unwrap();
    let second = estate.schedule(None, Effect::Suspend, 0).await;
    service.quarantine(&second, Some(&me())).await.unwrap();
    service.apply_remediations(std::slice::from_ref(&first), &me(), None).await.unwrap();
    service.roll_back(&first, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Quarantined);
    assert!(estate.ask("agent", "read").await.is_err());
    service.restore_right(&second, &me(), "back".into()).await.unwrap();
    assert_eq!(status(), IdentityStatus::Active);
}

/// An enforcement point that gives one answer.
struct Point(fn(&PointProbe, &Service) -> Probed, std::sync::Weak<Service>);

impl EnforcementPoints for Point {
    fn probe(&self, probe: PointProbe) -> Probes<'_> {
        Probes(Box::pin(async move { (self.0)(&probe, &self.1.upgrade().unwrap()) }))
    }
}

fn as_a_gateway(probe: &PointProbe, service: &Service, mode: Mode) -> Probed {
    let mut asked = check(probe.action.as_str().strip_prefix("files.").unwrap());
    asked.subject = Subject::Caller(probe.proof.clone());
    asked.input = probe.input.clone();
    asked.mode = mode;
    let outcome = Box::new(service.weigh_check(asked));
    Probed::Weighed { point: who("gateway:files"), outcome }
}

#[tokio::test]
async fn a_probe_goes_through_the_point_that_serves_the_action() {
    let estate = estate().await;
    let service = estate.service();
    let weak = Arc::downgrade(&estate.bench.service);
    let point: Arc<dyn EnforcementPoints> =
        Arc::new(Point(|probe, service| as_a_gateway(probe, service, Mode::Enforce), weak));
    service.set_enforcement_points(&point);
    let id = estate.set_aside(Effect::Suspend).await;
    let probes = vec![probing("read", Decision::Deny), probing("show", Decision::Permit)];
    let before = decided(&estate.bench.ledger).len();
    let verified = service.verify_remediation(&id, &me(), probes).await.unwrap();
    assert_eq!(verified.state, RemediationState::Verified);
    assert_eq!(verified.probes[0].point, Some(who("gateway:files")));
    assert_eq!(decided(&estate.bench.ledger).len(), before);
}

#[tokio::test]
async fn a_point_that_only_observes_has_not_taken_the_right_away() {
    let estate = estate().await;
    let service = estate.service();
    let weak = Arc::downgrade(&estate.bench.service);
    let point: Arc<dyn EnforcementPoints> =
        Arc::new(Point(|probe, service| as_a_gateway(probe, service, Mode::Observe), weak));
    service.set_enforcement_points(&point);
    let id = estate.set_aside(Effect::Suspend).await;
    let probes = vec![probing("read", Decision::Deny)];
    let failed = service.verify_remediation(&id, &me(), probes).await.unwrap();
    assert_eq!(failed.state, RemediationState::Failed);
    assert_eq!(failed.probes[0].answer, Decision::Permit);
    assert!(failed.probes[0].reasons.iter().any(|code| &**code == "observed_only"));
}

#[tokio::test]
async fn a_point_that_does_not_come_to_a_decision_proves_nothing() {
    let estate = estate().await;
    let service = estate.service();
    let weak = Arc::downgrade(&estate.bench.service);
    let point: Arc<dyn EnforcementPoints> =
        Arc::new(Point(|_, _| Probed::Silent("it was refused".into()), weak));
    service.set_enforcement_points(&point);
    let id = estate.set_aside(Effect::Suspend).await;
    let silent =
        service.verify_remediation(&id, &me(), vec![probing("read", Decision::Deny)]).await;
    assert!(matches!(silent, Err(RemediateError::Inconclusive { .. })), "{silent:?}");
}

#[tokio::test]
async fn what_is_restored_is_not_taken_by_a_change_that_was_proposed_before() {
    let estate = estate().await;
    let service = estate.service();
    let id = estate.set_aside(Effect::Revoke).await;
    let other = estate.schedule_of("other", Some(estate.grant("other", "reads")), Effect::Revoke);
    let other = other.await;
    service.quarantine(&other, Some(&me())).await.unwrap();
    let both = [id.clone(), other.clone()];
    let done = service.apply_remediations(&both, &me(), None).await.unwrap();
    let proposal = done.proposal.unwrap();
    service.restore_right(&id, &who("grace"), "it is needed".into()).await.unwrap();
    let rejected = service.policy_proposal(&proposal).unwrap();
    assert_eq!(rejected.state, ProposalState::Rejected);
    assert!(rejected.note.unwrap().contains(id.as_str()));
    assert_eq!(
        (estate.one(&other).state, estate.one(&other).proposal),
        (RemediationState::Quarantined, None)
    );
    assert!(service.approve_proposal(&proposal, &who("grace")).await.is_err());
    assert_eq!(estate.ask("agent", "read").await, Ok(()));
    assert_eq!(estate.files.files.lock().unwrap()[FILES], POLICIES);
    // A restart knows the same.
    assert_eq!(estate.again().policy_proposal(&proposal).unwrap().state, ProposalState::Rejected);
}

#[tokio::test]
async fn what_another_change_has_taken_is_not_taken_twice() {
    let estate = estate().await;
    let service = estate.service();
    let id = estate.set_aside(Effect::Revoke).await;
    let mut proposals = Vec::new();
    for _ in 0..2 {
        let done = service.apply_remediations(std::slice::from_ref(&id), &me(), None).await;
        proposals.push(done.unwrap().proposal.unwrap());
    }
    service.approve_proposal(&proposals[1], &who("grace")).await.unwrap();
    let second = service.approve_proposal(&proposals[0], &who("grace")).await;
    assert!(matches!(second, Err(RemediateError::Outlived { .. })), "{second:?}");
    assert_eq!(service.policy_proposal(&proposals[0]).unwrap().state, ProposalState::Open);
}

#[tokio::test]
async fn a_draft_that_leaves_the_right_as_it_is_reduces_nothing() {
    let estate = estate().await;
    let service = estate.service();
    let id = estate.schedule(Some(estate.grant("agent", "reads")), Effect::Reduce, 0).await;
    let apply = async |text: String| {
        let draft = BTreeMap::from([(FILES.to_owned(), text)]);
        service.apply_remediations(std::slice::from_ref(&id), &me(), Some(draft)).await
    };
    let show = "permit (principal, action == Safeconduct::Action::\"files.show\", resource);";
    let of_another = POLICIES
        .replace(show, &show.replace("principal,", "principal == Safeconduct::Agent::\"other\","));
    assert_ne!(of_another, POLICIES);
    // The same text by another name is the same right.
    let renamed = of_another.replace("@id(\"reads\")", "@id(\"others\")");
    let for_another = format!(
        "{POLICIES}forbid (principal == Safeconduct::Agent::\"other\", action == \
         Safeconduct::Action::\"files.read\", resource);"
    );
    for text in [of_another, renamed, for_another, POLICIES.to_owned()] {
        let refused = apply(text.clone()).await;
        assert!(matches!(refused, Err(RemediateError::Draft(_))), "{text}: {refused:?}");
    }
    // So it is in other words: it says more of others, or the same once more.
    let read = "permit (principal, action == Safeconduct::Action::\"files.read\", resource)";
    let own = read.replace("principal,", "principal == Safeconduct::Agent::\"agent\",");
    let of_agents = read.replace("principal,", "principal is Safeconduct::Agent,");
    let not_another = format!("{read} unless {{ principal == Safeconduct::Agent::\"other\" }}");
    for words in [own, of_agents, not_another, format!("{read} when {{ 1 == 1 }}")] {
        let refused = apply(POLICIES.replace(read, &words)).await.unwrap_err();
        assert!(refused.to_string().contains("in other words"), "{words}: {refused}");
    }
    assert!(service.policy_proposals().is_empty());
    // A forbid beside it makes it smaller.
    let less = format!(
        "{POLICIES}forbid (principal == Safeconduct::Agent::\"agent\", action == \
         Safeconduct::Action::\"files.read\", resource);"
    );
    apply(less).await.unwrap();
}

#[tokio::test]
async fn what_is_denied_without_the_right_proves_nothing_of_it() {
    let estate = estate().await;
    let service = estate.service();
    let elsewhere =
        POLICIES.replacen("resource);", "resource == Safeconduct::Server::\"other\");", 1);
    estate.edit(|files| *files.get_mut(FILES).unwrap() = elsewhere);
    estate.folder.load("a hand").await.unwrap();
    let id = estate.set_aside(Effect::Revoke).await;
    let probe = || vec![probing("read", Decision::Deny)];
    let done = service.apply_remediations(std::slice::from_ref(&id), &me(), None).await.unwrap();
    service.approve_proposal(&done.proposal.unwrap(), &who("grace")).await.unwrap();
    let silent = service.verify_remediation(&id, &me(), probe()).await;
    assert!(matches!(silent, Err(RemediateError::Inconclusive { .. })), "{silent:?}");
    let used = vec![probing("show", Decision::Permit)];
    let used = service.verify_remediation(&id, &me(), used).await;
    assert!(matches!(used, Err(RemediateError::Step(_))), "{used:?}");
    let there = Probing {
        resource: EntityRef::new("Server", "other").unwrap(),
        ..probing("read", Decision::Deny)
    };
    let verified = service.verify_remediation(&id, &me(), vec![there]).await.unwrap();
    assert_eq!(verified.state, RemediationState::Verified);
}
