use std::sync::Arc;

use proptest::prelude::*;
use safeconduct_model::{Identity, IdentityId, IdentityKind, IdentityStatus, Tier};

use super::*;

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn identity(
    name: &str,
    owner: Option<&str>,
    environment: Option<&str>,
    groups: &[&str],
) -> Identity {
    Identity {
        id: id(name),
        kind: IdentityKind::User,
        status: IdentityStatus::Active,
        owner: owner.map(id),
        fallback_owner: None,
        sponsor: None,
        environment: environment.map(str::to_owned),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        pep: None,
        roles: std::collections::BTreeSet::new(),
        imported: None,
    }
}

/// A right, with what its facts are borrowed from.
struct Right {
    name: Arc<str>,
    tier: Tier,
    put_by: Vec<IdentityId>,
}

impl Right {
    fn new(name: &str, tier: Tier) -> Self {
        Self { name: name.into(), tier, put_by: Vec::new() }
    }

    fn facts(&self) -> CaseFacts<'_> {
        CaseFacts {
            source: "statement",
            name: &self.name,
            at: None,
            words: &self.name,
            tier: self.tier,
            actions: 2,
            given_by: None,
            put_by: &self.put_by,
        }
    }
}

fn refused(text: &str, of: AskedOf) -> String {
    ReviewExpression::new(text, of).unwrap_err().to_string()
}

#[test]
fn what_fits_the_schema_is_taken() {
    let fits = [
        "true",
        "// of the leads\nprincipal.groups.contains(\"leads\")",
        "principal has environment && resource has environment && principal.environment == resource.environment",
        "context has at && context.at like \"crm.cedar:*\"",
        "context.tier_rank >= 2 || context.actions > 10",
        "[\"statement\", \"intent\"].contains(context.source)",
        "principal.roles.contains(\"auditor\") && !context.put_by.contains(principal.id)",
        "if resource.kind == \"agent\" then principal.status == \"active\" else false",
    ];
    for text in fits {
        assert!(ReviewExpression::new(text, AskedOf::Reviewers).is_ok(), "{text}");
    }
    assert!(ReviewExpression::new("resource.kind == \"agent\"", AskedOf::Rights).is_ok());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    use AskedOf::{Reviewers, Rights};
    let wrong = [
        ("principal.grups.contains(\"leads\")", Reviewers, "did you mean `groups`?"),
        ("principal.id", Reviewers, "expected Bool"),
        ("resource.owner == \"ada\"", Rights, "has owner"),
        ("context.tier > 2", Rights, "at 1:1"),
        (
            "principal.id == \"ada\"",
            Rights,
            "at 1:1: `principal` is nobody where rights are chosen",
        ),
        ("true &&\n principal has owner", Rights, "at 2:2: `principal` is nobody"),
        ("principal == resource", Reviewers, "of `principal` only members can be read"),
        ("principal in Group::\"leads\"", Reviewers, "`principal.id`"),
        ("Person::\"ada\".id == principal.id", Reviewers, "no entity is known here"),
        ("action == Action::\"review\"", Reviewers, "`action` says nothing here"),
        ("?principal == resource", Reviewers, ""),
        (
            "context.tier == \"hihg\"",
            Rights,
            "at 1:17: `context.tier` is never \"hihg\" (it is one of `low`",
        ),
        ("[\"agnet\"].contains(resource.kind)", Rights, "`resource.kind` is never \"agnet\""),
        ("resource.roles.contains(\"admin\")", Rights, "`administrator`"),
        ("resource.kind == \"agent\" && false", Rights, "it is never true"),
        ("true }; permit(principal, action, resource) when { true", Rights, "at 1:6"),
        ("true &&", Rights, "at 1:8"),
        (
            "resource.id like \"\u{202e}x\"",
            Rights,
            "at 1:19: a character that changes the direction",
        ),
        ("ip(resource.id).isIpv4()", Rights, "at 1:"),
    ];
    for (text, of, wanted) in wrong {
        let said = refused(text, of);
        assert!(said.starts_with("the expression is wrong at "), "{text}: {said}");
        assert!(said.contains(wanted), "{text}: {said}");
    }
}

#[test]
fn what_nests_too_deep_is_refused() {
    let chain = |parts: usize| vec!["resource.id == \"a\""; parts].join(" || ");
    let parts = REVIEW_EXPRESSION_DEPTH_MAX - 2;
    assert!(ReviewExpression::new(&chain(parts), AskedOf::Rights).is_ok());
    let deep = refused(&chain(parts + 1), AskedOf::Rights);
    assert!(deep.contains("33 deep, more than the limit of 32 (use `[…].contains(…)`"), "{deep}");
    assert!(refused(&"(".repeat(5000), AskedOf::Rights).contains("brackets nest deeper"));
    assert!(refused(&"!".repeat(4096), AskedOf::Rights).contains("operators"));
}

#[test]
fn a_filter_is_asked_once_of_what_is_alike() {
    let expression = "resource.environment == \"production\" && context.tier_rank >= 2";
    let expression = format!("resource has environment && {expression}");
    let mut filter = CaseFilter::new(ReviewExpression::new(&expression, AskedOf::Rights).unwrap());
    let mut evaluations = Evaluations::new(100);
    let mut admitted = 0;
    for number in 0..1000 {
        let environment = (number % 2 == 0).then_some("production");
        let holder = identity(&format!("a{number}"), None, environment, &[]);
        for tier in Tier::ALL.iter().copied() {
            let right = Right::new(&format!("p{number}"), tier);
            let admits = filter.admits(&holder, &right.facts(), &mut evaluations).unwrap();
            assert_eq!(admits, number % 2 == 0 && tier >= Tier::High);
            admitted += u32::from(admits);
        }
    }
    assert_eq!((admitted, evaluations.left()), (1000, 100 - 8), "names and ids do not matter");
}

#[test]
fn what_fails_or_takes_too_long_is_said() {
    let expression = "context.actions * 9223372036854775807 > 0";
    let mut filter = CaseFilter::new(ReviewExpression::new(expression, AskedOf::Rights).unwrap());
    let (holder, right) = (identity("a", None, None, &[]), Right::new("p", Tier::Low));
    let mut evaluations = Evaluations::new(1);
    let failed = filter.admits(&holder, &right.facts(), &mut evaluations);
    assert!(
        matches!(&failed, Err(AskError::Failed(why)) if why.contains("overflow")),
        "{failed:?}"
    );
    let failed = filter.admits(&holder, &right.facts(), &mut evaluations);
    assert_eq!(failed, Err(AskError::TooMany));
}

fn people(count: usize) -> Vec<Identity> {
    let person = |number: usize| {
        let environment = ["production", "test"][number % 2];
        let groups: &[&str] = if number.is_multiple_of(10) { &["leads"] } else { &[] };
        identity(&format!("p{number:04}"), None, Some(environment), groups)
    };
    (0..count).map(person).collect()
}

#[test]
fn people_are_asked_as_seldom_as_can_be() {
    let all = people(1000);
    let cost = |text: &str, environment: &str| {
        let expression = ReviewExpression::new(text, AskedOf::Reviewers).unwrap();
        let mut evaluations = Evaluations::new(10_000);
        let mut candidates = Candidates::among(expression, &all, &mut evaluations).unwrap();
        let right = Right::new("p", Tier::High);
        let holder = identity("agent", Some("p0001"), Some(environment), &[]);
        let named = candidates.of(&holder, &right.facts(), &mut evaluations).unwrap();
        (named.len(), 10_000 - evaluations.left())
    };
    // Of all who are alike one is asked.
    assert_eq!(cost("principal.groups.contains(\"leads\")", "x"), (100, 3));
    // Whom a person is equal to is looked up.
    assert_eq!(cost("resource has owner && principal.id == resource.owner", "x"), (1, 2));
    // What is about the person alone is asked once, and what is about the right alone too.
    let same = "principal has environment && resource has environment && \
                principal.environment == resource.environment";
    assert_eq!(cost(&format!("principal.groups.contains(\"leads\") && {same}"), "test").0, 0);
    assert_eq!(cost(&format!("principal.id like \"*5\" && {same}"), "test"), (100, 1000 + 1 + 100));
    assert_eq!(cost("context.tier == \"low\" && principal.id like \"*5\"", "x"), (0, 1000 + 1));
}

/// Conditions of which expressions are made.
const PARTS: [&str; 9] = [
    "principal.groups.contains(\"leads\")",
    "context.tier_rank >= 2",
    "resource.id == \"a1\"",
    "(principal has environment && resource has environment && principal.environment == resource.environment)",
    "(resource has owner && principal.id == resource.owner)",
    "resource has owner && resource.owner == principal.id",
    "context.name == principal.id",
    "principal.id like \"*1\"",
    "context.put_by.contains(principal.id)",
];

proptest! {
    /// What is remembered, looked up and asked of few comes to what asking everybody comes to.
    #[test]
    fn shortcuts_name_whom_asking_everybody_names(
        chosen in prop::collection::vec((0..PARTS.len(), any::<bool>(), any::<bool>()), 1..5),
        cases in prop::collection::vec((0..3_u8, 0..4_usize, 0..12_u8, 0..3_u8), 1..8),
    ) {
        let mut text = String::new();
        for (number, (part, negated, or)) in chosen.iter().enumerate() {
            if number > 0 {
                text += if *or { " || " } else { " && " };
            }
            text += &if *negated { format!("!({})", PARTS[*part]) } else { format!("({})", PARTS[*part]) };
        }
        let Ok(expression) = ReviewExpression::new(&text, AskedOf::Reviewers) else {
            return Ok(());
        };
        let all = people(12);
        let mut evaluations = Evaluations::default();
        let mut quick = Candidates::among(expression.clone(), &all, &mut evaluations).unwrap();
        for (holder, tier, name, environment) in cases {
            let owner = (holder > 0).then(|| format!("p000{holder}"));
            let environment = ["production", "test", ""][usize::from(environment)];
            let environment = Some(environment).filter(|name| !name.is_empty());
            // Another identity each time: what is known of one does not change meanwhile.
            let holder = identity(
                &format!("a{holder}{}", environment.unwrap_or("x")),
                owner.as_deref(),
                environment,
                &[],
            );
            let mut right = Right::new(&format!("p{name:04}"), Tier::ALL[tier]);
            right.put_by = vec![id(&format!("p{:04}", name / 2))];
            let mut wanted = Vec::new();
            for person in &all {
                let plain = ReviewExpression {
                    of_person: None,
                    of_case: None,
                    joined: None,
                    ..expression.clone()
                };
                let mut one = Candidates::among(plain, [person], &mut evaluations).unwrap();
                wanted.extend(one.of(&holder, &right.facts(), &mut evaluations).unwrap().to_vec());
            }
            let named = quick.of(&holder, &right.facts(), &mut evaluations).unwrap();
            prop_assert_eq!(&*named, &*wanted, "{}", text);
        }
    }
}
