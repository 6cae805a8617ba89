//! What was decided by a right is decided again once it is gone.

use safeconduct_review::{CameTo, Effect, ProvedBy, Remediation, RemediationState, RightReplay};

use super::memory_read::MemoryRead;
use super::remediation::{Estate, FILES, ask, estate, probing, who};
use super::*;

impl Estate {
    async fn uses(&self, agent: &str, tool: &str, times: usize) {
        for _ in 0..times {
            ask(self.service(), agent, tool).await.unwrap();
        }
        self.clock().set(self.service().now().plus_ms(1));
    }

    async fn set_aside_of(&self, grant: &str, effect: Effect) -> RecordId {
        let id = self.schedule_of("agent", Some(self.grant("agent", grant)), effect).await;
        self.service().quarantine(&id, Some(&me())).await.unwrap();
        id
    }

    async fn applies(&self, id: &RecordId, draft: Option<BTreeMap<String, String>>) {
        let all = std::slice::from_ref(id);
        let done = self.service().apply_remediations(all, &me(), draft).await.unwrap();
        self.service().approve_proposal(&done.proposal.unwrap(), &who("grace")).await.unwrap();
    }

    async fn adds(&self, statement: &str) {
        self.edit(|files| files.get_mut(FILES).unwrap().push_str(statement));
        self.load("a hand").await;
    }

    async fn verifies(
        &self,
        id: &RecordId,
        probes: Vec<Probing>,
    ) -> Result<Remediation, RemediateError> {
        let read = MemoryRead(Arc::clone(self.ledger()));
        self.service().verify_remediation_by(id, &me(), probes, Some(&read)).await
    }
}

fn counts(replay: &RightReplay) -> Vec<(CameTo, u64)> {
    replay.counts.iter().map(|(sort, count)| (*sort, *count)).collect()
}

fn replay_of(one: &Remediation) -> &RightReplay {
    one.replay.as_deref().unwrap()
}

fn gone() -> Vec<Probing> {
    vec![probing("read", Decision::Deny), probing("show", Decision::Permit)]
}

#[tokio::test]
async fn a_revocation_is_proved_by_the_probe_and_by_what_was_decided() {
    let estate = estate().await;
    estate.uses("agent", "read", 3).await;
    estate.uses("agent", "show", 2).await;
    estate.uses("other", "read", 4).await;
    let id = estate.set_aside_of("reads", Effect::Revoke).await;
    estate.applies(&id, None).await;
    let one = estate.verifies(&id, gone()).await.unwrap();
    assert_eq!((one.state, one.note.as_deref()), (RemediationState::Verified, None));
    assert_eq!(one.proved_by, Some(ProvedBy::ProbeAndReplay));
    let replay = replay_of(&one);
    assert_eq!(counts(replay), [(CameTo::Denied, 3)], "theirs, by that right, and no others");
    assert_eq!(replay.policies, estate.service().world().policies().digest());
    assert_eq!((replay.samples.len(), replay.more), (3, false));
    // Both are in the record, and come back from it.
    let again = estate.again();
    assert_eq!(again.remediation(&id).unwrap(), one);
    // Without a read model it is the probe alone, and that is said.
    let alone = estate.service().verify_remediation(&id, &me(), gone()).await.unwrap();
    assert_eq!((alone.proved_by, alone.replay), (Some(ProvedBy::Probe), None));
}

#[tokio::test]
async fn nothing_is_proved_where_nothing_was_decided_and_nothing_is_asked() {
    let estate = estate().await;
    let id = estate.set_aside_of("reads", Effect::Revoke).await;
    estate.applies(&id, None).await;
    let refused = estate.verifies(&id, Vec::new()).await.unwrap_err();
    assert!(refused.to_string().contains("none of 0 recorded decisions"), "{refused}");
    assert_eq!(estate.one(&id).state, RemediationState::Applied);
    let one = estate.verifies(&id, gone()).await.unwrap();
    assert_eq!(one.proved_by, Some(ProvedBy::Probe), "none was decided by it");
    assert_eq!(replay_of(&one).decisions(), 0);
}

#[tokio::test]
async fn a_suspension_is_replayed_without_what_is_set_aside() {
    let estate = estate().await;
    estate.uses("agent", "read", 2).await;
    let id = estate.set_aside_of("reads", Effect::Suspend).await;
    let one = estate.verifies(&id, Vec::new()).await.unwrap();
    assert_eq!((one.state, one.proved_by), (RemediationState::Verified, Some(ProvedBy::Replay)));
    assert_eq!(counts(replay_of(&one)), [(CameTo::Denied, 2)]);
    estate.service().restore_right(&id, &me(), "back".into()).await.unwrap();
}

#[tokio::test]
async fn a_whole_identity_is_replayed_by_its_status() {
    let estate = estate().await;
    estate.uses("agent", "read", 1).await;
    estate.uses("agent", "show", 1).await;
    let id = estate.schedule_of("agent", None, Effect::Suspend).await;
    estate.service().quarantine(&id, Some(&me())).await.unwrap();
    let one = estate.verifies(&id, Vec::new()).await.unwrap();
    assert_eq!(one.state, RemediationState::Verified);
    assert_eq!(counts(replay_of(&one)), [(CameTo::Denied, 2)]);
}

#[tokio::test]
async fn what_another_statement_permits_still_is_said() {
    let estate = estate().await;
    estate
        .adds(
            "@id(\"own\") permit (principal == Safeconduct::Agent::\"agent\", action == \
         Safeconduct::Action::\"files.read\", resource);",
        )
        .await;
    estate.uses("agent", "read", 3).await;
    let id = estate.set_aside_of("own", Effect::Revoke).await;
    estate.applies(&id, None).await;
    let one = estate.verifies(&id, vec![probing("read", Decision::Deny)]).await.unwrap();
    assert_eq!(one.state, RemediationState::StillPermitted);
    assert_eq!(one.note.as_deref(), Some("still permitted by `reads`"));
    let replay = replay_of(&one);
    assert_eq!(counts(replay), [(CameTo::StillPermitted, 3)]);
    assert_eq!(
        replay.by.iter().map(|(id, n)| (id.as_str(), *n)).collect::<Vec<_>>(),
        [("reads", 3)]
    );
    assert_eq!(one.proved_by, None);
    assert!(!one.state.is_open(), "the other one is a right of its own");
    // Without a question the same is said.
    let one = estate.verifies(&id, Vec::new()).await.unwrap();
    assert_eq!(one.state, RemediationState::StillPermitted);
    // Once the other goes too, it is denied.
    let other = estate.set_aside_of("reads", Effect::Revoke).await;
    estate.applies(&other, None).await;
    let both = estate.verifies(&id, vec![probing("read", Decision::Deny)]).await.unwrap();
    assert_eq!(both.state, RemediationState::Verified);
    assert_eq!(counts(replay_of(&both)), [(CameTo::Denied, 3)]);
}

#[tokio::test]
async fn what_comes_back_by_hand_is_not_gone() {
    let estate = estate().await;
    estate.uses("agent", "read", 2).await;
    let before = estate.text();
    let id = estate.set_aside_of("reads", Effect::Revoke).await;
    estate.applies(&id, None).await;
    estate.edit(|files| *files.get_mut(FILES).unwrap() = before);
    estate.load("a hand").await;
    let one = estate.verifies(&id, Vec::new()).await.unwrap();
    assert_eq!(one.state, RemediationState::Failed);
    assert_eq!(counts(replay_of(&one)), [(CameTo::Kept, 2)]);
    assert!(one.note.unwrap().contains("itself still permits"));
}

#[tokio::test]
async fn what_shrinks_keeps_what_is_used() {
    let estate = estate().await;
    let wide =
        "@id(\"wide\") permit (principal == Safeconduct::Agent::\"agent\", action, resource);";
    estate.edit(|files| {
        let others = POLICIES.split("@id(\"ask\")").nth(1).unwrap();
        *files.get_mut(FILES).unwrap() = format!("{wide}\n@id(\"ask\"){others}");
    });
    estate.load("a hand").await;
    estate.uses("agent", "read", 3).await;
    estate.uses("agent", "show", 1).await;
    let id = estate.schedule_of("agent", Some(estate.grant("agent", "wide")), Effect::Reduce).await;
    let small = wide.replace("action,", "action == Safeconduct::Action::\"files.read\",");
    let draft = estate.text().replace(wide, &small);
    estate.applies(&id, Some(BTreeMap::from([(FILES.to_owned(), draft)]))).await;
    let probes = vec![probing("show", Decision::Deny), probing("read", Decision::Permit)];
    let one = estate.verifies(&id, probes).await.unwrap();
    assert_eq!((one.state, one.note.as_deref()), (RemediationState::Verified, None));
    assert_eq!(one.proved_by, Some(ProvedBy::ProbeAndReplay));
    assert_eq!(counts(replay_of(&one)), [(CameTo::Denied, 1), (CameTo::Kept, 3)]);
    // Somebody forbids what was to stay.
    estate
        .adds("@id(\"late\") forbid (principal, action == Safeconduct::Action::\"files.read\", resource);")
        .await;
    let one = estate.verifies(&id, vec![probing("show", Decision::Deny)]).await.unwrap();
    assert_eq!(one.state, RemediationState::Failed);
    assert_eq!(counts(replay_of(&one)), [(CameTo::Denied, 1), (CameTo::KeptDenied, 3)]);
}

#[tokio::test]
async fn a_deny_that_comes_of_something_else_proves_nothing() {
    let estate = estate().await;
    estate
        .adds(
            "@id(\"own\") permit (principal == Safeconduct::Agent::\"agent\", action == \
         Safeconduct::Action::\"files.read\", resource);",
        )
        .await;
    estate.uses("agent", "read", 2).await;
    let id = estate.set_aside_of("own", Effect::Revoke).await;
    estate.applies(&id, None).await;
    estate
        .adds("@id(\"late\") forbid (principal, action == Safeconduct::Action::\"files.read\", resource);")
        .await;
    let refused = estate.verifies(&id, Vec::new()).await.unwrap_err();
    assert!(refused.to_string().contains("none of 2 recorded decisions"), "{refused}");
}

#[tokio::test]
async fn decisions_of_a_set_that_nobody_has_any_more_are_not_replayable() {
    let estate = estate().await;
    estate.uses("agent", "read", 2).await;
    // Another set, under which the same statement stands.
    estate
        .adds("@id(\"more\") permit (principal == Safeconduct::User::\"eve\", action, resource);")
        .await;
    estate.uses("agent", "read", 1).await;
    let id = estate.set_aside_of("reads", Effect::Revoke).await;
    estate.applies(&id, None).await;
    let one = estate.verifies(&id, Vec::new()).await.unwrap();
    assert_eq!(one.proved_by, Some(ProvedBy::Replay));
    let replay = replay_of(&one);
    assert_eq!(counts(replay), [(CameTo::Denied, 1), (CameTo::NotReplayable, 2)]);
    assert_eq!(replay.why.get("other_policy_set"), Some(&2));
}
