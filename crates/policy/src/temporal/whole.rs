//! Whole policy sets with temporal clauses, loaded, indexed and answered by our monitors, held equal
//! to Cedar's `Authorizer` over the set that Dogwood lowers: the same decision, the same determining
//! policies, the same failures.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use cedar_policy::{Decision, PolicySet, Schema};
use dogwood_language::{
    AuthorizationDecision, AuthorizationRequest, Authorizer, Error, LoweredPolicySet, PolicyEngine,
    PolicySchema, ServiceSchema, UNPINNED_EVENT_SCHEMA,
};
use proptest::prelude::*;
use safeconduct_model::{
    ActionName, Assurance, Confidentiality, Effect, Entity, EntityRef, IdentityKind, Integrity,
    Label, Method, PolicyRef, Tier, Timestamp, Value,
};
use safeconduct_session::monitor::{Event, Monitors, REQUEST, RESPONSE};

use super::differential::{Happened, SCHEMA, condition, happened, logged};
use super::{History, Past};
use crate::{
    ActionSituation, AdditionalArguments, Applied, FlowSituation, IdentitySituation, Policies,
    Question, RiskSituation, SessionSituation, Situation, SourceFile, Sources, load,
};

fn scope() -> impl Strategy<Value = String> {
    let principal = prop::sample::select(vec![
        "principal",
        "principal",
        "principal == N::User::\"x\"",
        "principal is N::User",
        "principal in N::User::\"y\"",
    ]);
    let action = prop::sample::select(vec![
        "action",
        "action == N::Action::\"A\"",
        "action == N::Action::\"B\"",
        "action in [N::Action::\"A\", N::Action::\"C\"]",
    ]);
    let resource = prop::sample::select(vec![
        "resource",
        "resource == N::Thing::\"t\"",
        "resource == N::Thing::\"u\"",
    ]);
    (principal, action, resource).prop_map(|(p, a, r)| format!("({p}, {a}, {r})"))
}

/// What stands beside temporal clauses: true, false, and wrong at run time.
fn plain() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "context.input.u == \"x\"",
        "context.input has n && context.input.n > 1",
        "context.input has n && context.input.n + 9223372036854775805 > 0",
        "principal == N::User::\"x\" || context.input.u like \"y*\"",
    ])
}

fn policy() -> impl Strategy<Value = String> {
    let clause = || prop::option::weighted(0.5, condition(2));
    (
        prop::bool::weighted(0.6),
        scope(),
        prop::option::weighted(0.5, plain()),
        clause(),
        clause(),
        prop::option::weighted(0.2, plain()),
    )
        .prop_map(|(permit, scope, when, temporal, without, unless)| {
            let mut text = format!("{} {scope}", if permit { "permit" } else { "forbid" });
            text.extend(when.map(|when| format!(" when {{ {when} }}")));
            text.extend(temporal.map(|when| format!(" when temporal {{ {when} }}")));
            text.extend(without.map(|unless| format!(" unless temporal {{ {unless} }}")));
            text.extend(unless.map(|unless| format!(" unless {{ {unless} }}")));
            text + ";"
        })
}

/// What one of the two says to a request: the policies that determine the answer where nothing is
/// skipped, and how many fail.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    permits: bool,
    determining: BTreeSet<String>,
    failed: usize,
}

fn loaded(texts: &[String]) -> Option<Policies> {
    let numbered = texts.iter().enumerate();
    let text: String = numbered.map(|(n, text)| format!("@id(\"p{n}\")\n{text}\n")).collect();
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", text)],
        schemas: vec![SourceFile::new("n.cedarschema", SCHEMA)],
        ..Sources::default()
    };
    Some(load(&sources).ok()?.policies)
}

fn lowered(texts: &[String]) -> Option<LoweredPolicySet> {
    let service = ServiceSchema::builder().event_schema_str(UNPINNED_EVENT_SCHEMA).build().unwrap();
    let schema = PolicySchema::from_cedarschema_str(SCHEMA).unwrap();
    LoweredPolicySet::from_str(&texts.join("\n"), &service, &schema).ok()
}

fn situation() -> Situation<'static> {
    Situation {
        session: SessionSituation {
            steps: 0,
            denials: 0,
            distinct_resources: 0,
            calls_left: 9,
            actions: Vec::new(),
            label: Label::least(),
        },
        identity: IdentitySituation {
            kind: Some(IdentityKind::User),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            age_s: 0,
        },
        action: ActionSituation {
            tier: Tier::Low,
            effect: Effect::Read,
            trust: Integrity::Trusted,
            guessed: false,
            accepts: Confidentiality::Internal,
        },
        now: Timestamp::from_millis(0),
        task: None,
        flow: FlowSituation::default(),
        risk: RiskSituation::default(),
        approval: None,
        request: None,
    }
}

fn said(applied: &Applied) -> Said {
    let ids = |all: &[Arc<PolicyRef>]| all.iter().map(|policy| policy.id.to_string()).collect();
    // Cedar goes on without what fails; ours is then a Deny, which is another test's.
    let permits = applied.forbids.is_empty() && !applied.permits.is_empty();
    Said {
        permits,
        determining: ids(if permits { &applied.permits } else { &applied.forbids }),
        failed: applied.errors.len(),
    }
}

/// What ours says to each request of a history.
fn ours(policies: &Policies, history: &[Happened]) -> Vec<Said> {
    let (mut session, identity) = (Monitors::default(), Monitors::default());
    let programs = policies.monitors().programs(History::Session);
    let (mut at, mut answers) = (1000, Vec::new());
    let resource = Entity::bare(EntityRef::new("N::Thing", "t").unwrap());
    for happened in history {
        at += happened.wait;
        let principal = Entity::bare(EntityRef::new("N::User", happened.caller).unwrap());
        let action = ActionName::new(happened.action).unwrap();
        let amount = happened.amount.map(|n| ("n", Value::from(n)));
        let items = happened.list.map(|list| list.items().map(Value::from).collect::<Vec<_>>());
        let list = items.map(|items| ("l", Value::from(items)));
        let user = [("u", Value::from(happened.user))];
        let input = Value::object(amount.into_iter().chain(list).chain(user));
        let event = Event {
            kind: if happened.response { RESPONSE } else { REQUEST },
            action: &action,
            principal: Some(&principal.uid),
            resources: &[&resource.uid],
            input: &input,
            output: None,
            beside: None,
            at: Timestamp::from_millis(at * 1000),
            decision: None,
        };
        if !happened.response {
            let question = Question {
                principal: &principal,
                action: &action,
                resource: &resource,
                input: &input,
                additional: AdditionalArguments::Refused,
                situation: &situation(),
                extra: &[],
            };
            let past = Past { session: &session, identity: &identity, event: &event };
            let answer = policies.evaluate_after(&question, Some(&past)).unwrap();
            answers.push(said(&answer.enforced));
        }
        session.observe(programs, &event);
    }
    answers
}

/// Cedar's own `Authorizer` over the lowered set, its words kept.
#[derive(Default)]
struct Cedars {
    policies: PolicySet,
    said: Arc<Mutex<Vec<Said>>>,
}

impl PolicyEngine for Cedars {
    fn prepare(&mut self, policies: &PolicySet, _: &Schema) -> Result<(), Error> {
        self.policies = policies.clone();
        Ok(())
    }

    fn is_authorized(&self, request: AuthorizationRequest<'_>) -> AuthorizationDecision {
        let (asked, entities) = (request.request, request.entities);
        let response =
            cedar_policy::Authorizer::new().is_authorized(asked, &self.policies, entities);
        let diagnostics = response.diagnostics();
        self.said.lock().unwrap().push(Said {
            permits: response.decision() == Decision::Allow,
            determining: diagnostics
                .reason()
                .map(|id| id.to_string().replace("policy_", "p"))
                .collect(),
            failed: diagnostics.errors().count(),
        });
        AuthorizationDecision {
            decision: response.decision(),
            determining_policy_ids: Vec::new(),
            errors: Vec::new(),
        }
    }
}

fn theirs(policies: LoweredPolicySet, history: &[Happened]) -> Vec<Said> {
    let cedars = Cedars::default();
    let said = Arc::clone(&cedars.said);
    let mut authorizer = Authorizer::builder(policies).policy_engine(cedars).build().unwrap();
    let mut at = 1000;
    for happened in history {
        at += happened.wait;
        authorizer.is_authorized(&logged(happened, at));
    }
    drop(authorizer);
    Arc::try_unwrap(said).unwrap().into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        max_global_rejects: 100_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_set_answers_as_cedars_authorizer_over_the_lowered_one(
        texts in prop::collection::vec(policy(), 1..6),
        history in prop::collection::vec(happened(), 1..16),
    ) {
        let both = loaded(&texts).zip(lowered(&texts));
        prop_assume!(both.is_some());
        let (mine, other) = both.unwrap();
        prop_assert_eq!(ours(&mine, &history), theirs(other, &history));
    }
}

/// The property says something: most sets are served, and their answers differ, by their clauses.
#[test]
fn most_sets_are_served_and_their_clauses_matter() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut served, mut temporal, mut permitted, mut denied, mut failed) = (0, 0, 0, 0, 0);
    for _ in 0..150 {
        let texts = prop::collection::vec(policy(), 1..6).new_tree(&mut runner).unwrap().current();
        let history =
            prop::collection::vec(happened(), 12).new_tree(&mut runner).unwrap().current();
        let Some((mine, _)) = loaded(&texts).zip(lowered(&texts)) else { continue };
        served += 1;
        temporal += usize::from(!mine.monitors().is_empty());
        for said in ours(&mine, &history) {
            permitted += usize::from(said.permits);
            denied += usize::from(!said.permits && !said.determining.is_empty());
            failed += usize::from(said.failed > 0);
        }
    }
    let counts = (served, temporal, permitted, denied, failed);
    assert!(served > 40 && temporal > 30, "{counts:?}");
    assert!(permitted > 25 && denied > 25 && failed > 5, "{counts:?}");
}
