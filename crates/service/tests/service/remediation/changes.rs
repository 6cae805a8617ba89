//! Rights that a change of the policies takes: proposed, approved by another, in force.

use super::*;

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
