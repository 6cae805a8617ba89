//! Whatever happens to the estate: a population is what everyone held, each right once; it stays;
//! and what is counted of it adds up.
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use super::*;
use proptest::prelude::*;
use safeconduct_review::FreezeError;

const STATEMENTS: [&str; 5] = [
    r#"@id("reads") permit (principal is Safeconduct::Agent, action == Safeconduct::Action::"crm.read", resource);"#,
    r#"@id("writes") permit (principal == Safeconduct::Agent::"a0", action == Safeconduct::Action::"crm.write", resource);"#,
    r#"@id("wipes") permit (principal in Safeconduct::Group::"g", action in [Safeconduct::Action::"crm.wipe", Safeconduct::Action::"crm.read"], resource);"#,
    r#"@id("never") forbid (principal == Safeconduct::Agent::"a1", action == Safeconduct::Action::"crm.read", resource);"#,
    r#"@id("any") permit (principal, action, resource) when { context.action.name like "crm.r*" };"#,
];

fn written(chosen: &[bool]) -> String {
    let statements = STATEMENTS.iter().zip(chosen).filter(|(_, is)| **is);
    statements.map(|(text, _)| format!("{text}\n")).collect()
}

/// What happens while a campaign is under way.
#[derive(Debug, Clone)]
enum Happens {
    Policies(Vec<bool>),
    Status(u8, IdentityStatus),
    Joins(u8),
    Comes(u8),
    Answers(u32, usize, Response),
    Passes(i64),
    Restart,
}

fn happens() -> impl proptest::strategy::Strategy<Value = Happens> {
    let status = prop::sample::select(IdentityStatus::ALL.to_vec());
    let response = prop::sample::select(Response::ALL.to_vec());
    prop_oneof![
        2 => prop::collection::vec(any::<bool>(), 5).prop_map(Happens::Policies),
        2 => (0..5_u8, status).prop_map(|(who, status)| Happens::Status(who, status)),
        1 => (0..5_u8).prop_map(Happens::Joins),
        1 => (5..9_u8).prop_map(Happens::Comes),
        6 => (0..12_u32, 0..4_usize, response).prop_map(|(c, who, said)| Happens::Answers(c, who, said)),
        2 => (1..9_i64).prop_map(Happens::Passes),
        1 => Just(Happens::Restart),
    ]
}

const PEOPLE: [&str; 4] = ["ada", "bob", "dee", "fay"];

fn of_number(number: u8) -> Identity {
    let owner = if number.is_multiple_of(2) { "ada" } else { "bob" };
    agent(&format!("a{number}"), owner)
}

/// Every right that somebody holds now, as `estate can` tells it.
fn held(service: &Service) -> BTreeSet<(IdentityId, Digest)> {
    let world = service.world();
    let agents = world.identities().filter(|identity| {
        identity.kind == IdentityKind::Agent && identity.status != IdentityStatus::Retired
    });
    let of_one = |agent: &Identity| {
        let held = service.can(&agent.id).unwrap();
        assert_eq!(held.more, 0);
        let grants = held.grants.into_iter();
        grants.map(|grant| (grant.holder, grant.id)).collect::<Vec<_>>()
    };
    agents.flat_map(of_one).collect()
}

async fn course(chosen: Vec<bool>, agents: u8, later: Vec<Happens>) -> Result<(), TestCaseError> {
    let bench = bench().await;
    for number in 0..agents {
        bench.change(of_number(number)).await;
    }
    bench.change_policies(&written(&chosen)).await;
    let wanted = held(&bench.service);
    let campaign = match bench.try_start("iterations: 1\n").await {
        Ok(started) => started.id,
        Err(StartCampaignError::Population(FreezeError::Nothing)) => {
            prop_assert!(wanted.is_empty());
            return Ok(());
        }
        Err(error) => panic!("{error}"),
    };
    let population = |service: &Service| {
        let read =
            service.with_campaign(&campaign, |running| running.campaign.population().clone());
        read.unwrap()
    };
    let frozen = population(&bench.service);
    let cases = frozen.cases().iter();
    let all: BTreeSet<_> = cases.map(|case| (case.holder.clone(), case.grant)).collect();
    prop_assert_eq!(&all, &wanted, "complete, and nothing else");
    prop_assert_eq!(all.len(), frozen.cases().len(), "each right once");

    let mut day = 0;
    for one in later {
        match one {
            Happens::Policies(chosen) => bench.change_policies(&written(&chosen)).await,
            Happens::Status(who, status) => {
                bench.change(Identity { status, ..of_number(who) }).await;
            }
            Happens::Joins(who) => {
                let groups = BTreeSet::from(["g".to_owned()]);
                bench.change(Identity { groups, ..of_number(who) }).await;
            }
            Happens::Comes(who) => bench.change(of_number(who)).await,
            Happens::Answers(case, who, said) => {
                // Much of it is refused: nobody asked them, or it is too late.
                let _ = bench.answer(&campaign, PEOPLE[who], case, said).await;
            }
            Happens::Passes(days) => {
                day += days;
                bench.tend(day).await;
            }
            Happens::Restart => {
                let whole = |service: &Service| {
                    let whole =
                        service.with_campaign(&campaign, |running| running.campaign.clone());
                    whole.unwrap()
                };
                prop_assert_eq!(whole(&bench.again()), whole(&bench.service));
            }
        }
        prop_assert_eq!(&population(&bench.service), &frozen);
        let view = bench.view(&campaign);
        let cases = frozen.cases().len() as u64;
        prop_assert_eq!(view.cases, cases);
        prop_assert_eq!(view.population.0, frozen.digest());
        prop_assert_eq!(view.outcomes.values().sum::<u64>(), cases);
        let over = view.effects.values().sum::<u64>();
        prop_assert!(view.open + over <= cases, "{:?}", view);
        prop_assert!(view.answered <= view.open);
        if view.digest.is_some() {
            prop_assert_eq!((view.open, over), (0, cases));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_population_is_what_everyone_held_and_stays_so(
        chosen in prop::collection::vec(any::<bool>(), 5),
        agents in 1..6_u8,
        later in prop::collection::vec(happens(), 0..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(course(chosen, agents, later))?;
    }
}
