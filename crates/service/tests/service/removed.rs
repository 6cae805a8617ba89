//! What was taken away is denied, from the moment that it says so and for as long as it does,
//! whatever else happens: other rights come and go, files are loaded again, the process is
//! started again.
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use safeconduct_review::{Effect, RemediationState};

use super::remediation::{Estate, ask, estate, probing, who};
use super::*;

const AGENTS: [&str; 2] = ["agent", "other"];

/// What is done, about the right of that agent.
#[derive(Debug, Clone, Copy)]
enum Does {
    SetsAside(usize),
    Applies(usize),
    Verifies(usize),
    Restores(usize),
    RollsBack(usize),
    Reloads,
    Restarts,
    Passes,
}

fn does() -> impl proptest::strategy::Strategy<Value = Does> {
    let of = 0..AGENTS.len();
    prop_oneof![
        3 => of.clone().prop_map(Does::SetsAside),
        4 => of.clone().prop_map(Does::Applies),
        4 => of.clone().prop_map(Does::Verifies),
        1 => of.clone().prop_map(Does::Restores),
        2 => of.prop_map(Does::RollsBack),
        1 => Just(Does::Reloads),
        1 => Just(Does::Restarts),
        1 => Just(Does::Passes),
    ]
}

/// The right of somebody to read, where it is being taken away: in which remediation.
type Taken = [Option<RecordId>; 2];

async fn does_one(estate: &Estate, taken: &mut Taken, one: Does) {
    let service = estate.service();
    match one {
        // One at a time: what is taken from one holder is another statement for the others, and a
        // plan about the one that was is a conflict.
        Does::SetsAside(n) if taken.iter().all(Option::is_none) => {
            let grant = Some(estate.grant(AGENTS[n], "reads"));
            let id = estate.schedule_of(AGENTS[n], grant, Effect::Revoke).await;
            service.quarantine(&id, Some(&me())).await.unwrap();
            taken[n] = Some(id);
        }
        Does::Applies(n) => {
            let Some(id) = &taken[n] else { return };
            if estate.one(id).state != RemediationState::Quarantined {
                return;
            }
            let applied = service.apply_remediations(std::slice::from_ref(id), &me(), None).await;
            let proposal = applied.unwrap().proposal.unwrap();
            service.approve_proposal(&proposal, &who("grace")).await.unwrap();
        }
        Does::Verifies(n) => {
            let Some(id) = &taken[n] else { return };
            let gone = [RemediationState::Applied, RemediationState::Verified];
            if !gone.contains(&estate.one(id).state) {
                return;
            }
            let probes = vec![probing("read", Decision::Deny), probing("show", Decision::Permit)];
            let verified = service.verify_remediation(id, &me(), probes).await.unwrap();
            assert_eq!(verified.state, RemediationState::Verified);
        }
        Does::Restores(n) => {
            let Some(id) = taken[n].clone() else { return };
            if estate.one(&id).state == RemediationState::Quarantined {
                service.restore_right(&id, &me(), "it is needed".into()).await.unwrap();
                taken[n] = None;
            }
        }
        Does::RollsBack(n) => {
            let Some(id) = taken[n].clone() else { return };
            let gone = [RemediationState::Applied, RemediationState::Verified];
            if !gone.contains(&estate.one(&id).state) {
                return;
            }
            let back = service.roll_back(&id, &me(), "it is needed".into()).await.unwrap();
            service.approve_proposal(&back.proposal.unwrap(), &who("grace")).await.unwrap();
            taken[n] = None;
        }
        Does::Reloads => estate.load("a hand").await,
        Does::Passes => {
            estate.clock().set(service.now().plus_ms(86_400_000));
            service.sweep_remediations().await;
        }
        Does::SetsAside(_) | Does::Restarts => {}
    }
}

/// As it is decided by that process.
async fn holds(service: &Service, taken: &Taken) -> Result<(), TestCaseError> {
    for (agent, taken) in AGENTS.iter().zip(taken) {
        let read = ask(service, agent, "read").await;
        match taken {
            None => prop_assert_eq!(read, Ok(()), "{} has it", agent),
            Some(id) => {
                let state = service.remediation(id).unwrap().state;
                prop_assert!(read.is_err(), "{} is {:?} and permitted", agent, state);
                prop_assert!(state.as_str() != "verified" || read == Err(vec!["no_permit"]));
            }
        }
        prop_assert_eq!(ask(service, agent, "show").await, Ok(()), "the rest stays");
    }
    Ok(())
}

async fn course(script: Vec<Does>) -> Result<(), TestCaseError> {
    let estate = estate().await;
    let mut taken: Taken = [None, None];
    for one in script {
        does_one(&estate, &mut taken, one).await;
        holds(estate.service(), &taken).await?;
        if matches!(one, Does::Restarts) {
            holds(&estate.again(), &taken).await?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_gone_is_denied_and_nothing_else(script in prop::collection::vec(does(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(course(script))?;
    }
}
