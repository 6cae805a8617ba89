//! Holds the index and our use of Cedar's evaluator equal to Cedar's public `Authorizer`: the
//! same decision, the same determining policies, the same errors.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    Authorizer, Context, Entities, Entity as PublicEntity, EntityUid, Policy, PolicyId, PolicySet,
    Request, RestrictedExpression, SlotId, Template,
};
use cedar_policy_core::{ast, parser};
use proptest::prelude::*;
use safeconduct_model::{
    ActionName, ArgumentRole, Assurance, Confidentiality, Decision, Digest, Effect, Entity,
    EntityRef, IdentityKind, Integrity, Label, Method, PolicyRef, Span, Tier, Timestamp, Value,
};

use super::{Applied, Condition, Question};
use crate::annotations::PolicyMode;
use crate::policies::{Policies, PolicyInfo, Statement};
use crate::schema::Schema;
use crate::{
    ActionSituation, AdditionalArguments, FlowSituation, IdentitySituation, SessionSituation,
    Situation, SourceFile, Sources, TracedArgument,
};

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let schema = r#"
        entity Team in [Team] { level: Long };
        entity Person in [Team] { age?: Long, name?: String, boss?: Person };
        entity Folder in [Folder];
        entity Doc in [Folder] { owner?: Person, size?: Long };
        action all;
        action some in [all];
        type Asked = { input: { n?: Long, s?: String } };
        action read in [some] appliesTo {
            principal: [Person, Team], resource: [Doc, Folder], context: Asked
        };
        action write in [all] appliesTo {
            principal: [Person, Team], resource: [Doc, Folder], context: Asked
        };
        action admin appliesTo {
            principal: [Person, Team], resource: [Doc, Folder], context: Asked
        };
    "#;
    let sources = Sources {
        schemas: vec![SourceFile::new("test.cedarschema", schema)],
        ..Sources::default()
    };
    let mut problems = Vec::new();
    Arc::new(Schema::build(&sources, &mut problems).unwrap_or_else(|| panic!("{problems:?}")))
});

/// A policy, and what fills its slots.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    principal: Option<String>,
    resource: Option<String>,
}

fn entity(ty: &'static str, count: usize) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |n| format!("{ty}::\"{ty}{n}\""))
}

fn who() -> impl Strategy<Value = String> {
    prop_oneof![entity("Person", 4), entity("Team", 4)]
}

fn what() -> impl Strategy<Value = String> {
    prop_oneof![entity("Doc", 4), entity("Folder", 4)]
}

fn action() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["read", "write", "admin", "all", "some"])
}

/// A constraint with its text and what fills its slot.
fn side(
    name: &'static str,
    types: [&'static str; 2],
    named: impl Strategy<Value = String> + Clone + 'static,
) -> impl Strategy<Value = (String, Option<String>)> {
    let ty = prop::sample::select(types.to_vec());
    prop_oneof![
        2 => Just((name.to_owned(), None)),
        2 => named.clone().prop_map(move |e| (format!("{name} == {e}"), None)),
        3 => named.clone().prop_map(move |e| (format!("{name} in {e}"), None)),
        1 => ty.clone().prop_map(move |t| (format!("{name} is {t}"), None)),
        2 => (ty.clone(), named.clone())
            .prop_map(move |(t, e)| (format!("{name} is {t} in {e}"), None)),
        1 => named.clone().prop_map(move |e| (format!("{name} == ?{name}"), Some(e))),
        1 => named.clone().prop_map(move |e| (format!("{name} in ?{name}"), Some(e))),
        1 => (ty, named).prop_map(move |(t, e)| (format!("{name} is {t} in ?{name}"), Some(e))),
    ]
}

fn actions() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("action".to_owned()),
        action().prop_map(|a| format!("action == Action::\"{a}\"")),
        action().prop_map(|a| format!("action in Action::\"{a}\"")),
        prop::collection::vec(action(), 1..4).prop_map(|list| {
            let list: Vec<_> = list.iter().map(|a| format!("Action::\"{a}\"")).collect();
            format!("action in [{}]", list.join(", "))
        }),
    ]
}

const ORIGINS: [&str; 4] = ["from_task", "from_trusted", "from_untrusted", "unseen"];

/// A set of places of the arguments.
fn traced() -> impl Strategy<Value = String> {
    let of = prop::sample::select(vec!["", "addresses.", "commands.", "amounts."]);
    (of, prop::sample::select(ORIGINS.to_vec()), any::<bool>()).prop_map(|(of, origin, bounded)| {
        let origin = if bounded && !of.is_empty() { "bounded" } else { origin };
        format!("context.flow.{of}{origin}")
    })
}

/// Conditions that are true, false and wrong in many ways.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("principal has age && principal.age > 3".to_owned()),
        Just("principal.age > 3".to_owned()),
        Just("principal.boss.age < 5".to_owned()),
        Just("resource.owner == principal".to_owned()),
        Just("resource has owner && resource.owner.name like \"P*\"".to_owned()),
        Just("context.input.n + 9223372036854775807 > 0".to_owned()),
        Just("context.input has n && context.input.n == 2".to_owned()),
        Just("context.input.s == \"x\"".to_owned()),
        Just("context.session.steps == 3 && context.session.denials < 2".to_owned()),
        Just("context.session.actions.contains(\"read\")".to_owned()),
        Just("context has session && context.session has actions".to_owned()),
        Just("[context.session].contains(context.session)".to_owned()),
        Just("context.action.tier == \"low\"".to_owned()),
        Just("context.action.name == \"read\"".to_owned()),
        Just("context.identity.age_s > 30 && context.identity.kind == \"agent\"".to_owned()),
        Just("context.time.now > datetime(\"2024-01-01\")".to_owned()),
        Just("context.session.calls_left > context.session.distinct_resources".to_owned()),
        Just("context.session has steps && !(context.session has nonsense)".to_owned()),
        Just("context.action.effect == \"read\" && !context.action.guessed".to_owned()),
        Just("context.action.trust == context.action.nonsense".to_owned()),
        Just("context.identity.method == \"api_key\"".to_owned()),
        Just("context.identity.assurance == \"low\"".to_owned()),
        Just("context.identity has kind && context.identity has age_s".to_owned()),
        Just("context.identity == context.identity".to_owned()),
        Just("context has approval".to_owned()),
        Just("!(context has approval) || context.approval.age_s < 9".to_owned()),
        Just("context.approval.approvers.contains(\"ada\")".to_owned()),
        Just("context.task.depth > 1".to_owned()),
        Just("context has task && context.task.intent == \"close\"".to_owned()),
        Just("context.task has id || context.task.age_s < context.task.budget_left".to_owned()),
        Just("context has task && context.task has on_behalf_of".to_owned()),
        Just("context.task.parameters == principal".to_owned()),
        Just("resource has size && resource.size > 2".to_owned()),
        Just("resource.size == 1".to_owned()),
        Just("context has flow && context.flow.from_untrusted.isEmpty()".to_owned()),
        Just("context.flow.unseen.isEmpty() || context.flow.carries.coverage > 9".to_owned()),
        Just("context.flow.carries.above_sink && !context.flow.carries.secret".to_owned()),
        Just("context.flow.carries.untrusted || context.flow.carries.internal".to_owned()),
        Just("context.flow.from_task.contains(\"/p1\")".to_owned()),
        (traced(), traced()).prop_map(|(a, b)| format!("{a}.containsAll({b})")),
        traced().prop_map(|a| format!("{a}.isEmpty()")),
        Just("action in Action::\"all\"".to_owned()),
        Just("action == Action::\"admin\"".to_owned()),
        Just("1 + \"a\" == 2".to_owned()),
        Just("1".to_owned()),
        Just("[1, 2].containsAny([context.input.n])".to_owned()),
        (who(), who()).prop_map(|(a, b)| format!("{a} in {b}")),
        (who(), what()).prop_map(|(a, b)| format!("principal in [{a}, {b}]")),
        who().prop_map(|a| format!("principal.boss in {a}")),
        who().prop_map(|a| format!("(if principal in {a} then principal else resource) has age")),
        what().prop_map(|a| format!("resource in {a} || resource has size")),
        who().prop_map(|a| format!("{a}.level > 1")),
        what().prop_map(|b| format!("resource in {b}")),
        Just("resource is Doc in Folder::\"Folder1\"".to_owned()),
        Just("principal is Person && resource is Doc".to_owned()),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("if ({a}) then ({b}) else ({c})")),
        ]
    })
}

fn policy() -> impl Strategy<Value = Written> {
    (
        prop::bool::weighted(0.7),
        side("principal", ["Person", "Team"], who().boxed()),
        actions(),
        side("resource", ["Doc", "Folder"], what().boxed()),
        prop::option::weighted(0.6, condition()),
        prop::option::weighted(0.2, condition()),
    )
        .prop_map(|(permit, (principal, p), action, (resource, r), when, unless)| {
            let effect = if permit { "permit" } else { "forbid" };
            let when = when.map(|c| format!(" when {{ {c} }}")).unwrap_or_default();
            let unless = unless.map(|c| format!(" unless {{ {c} }}")).unwrap_or_default();
            let text = format!("{effect} ({principal}, {action}, {resource}){when}{unless};");
            Written { text, principal: p, resource: r }
        })
}

/// What belongs to what, directly; only to later ones, so that there is no circle.
#[derive(Debug, Clone)]
struct Hierarchy {
    teams: Vec<Vec<usize>>,
    folders: Vec<Vec<usize>>,
}

fn hierarchy() -> impl Strategy<Value = Hierarchy> {
    let above = |_| {
        (0_usize..4).map(|n| prop::collection::vec(n + 1..5, 0..3)).collect::<Vec<_>>().prop_map(
            |all| {
                all.into_iter()
                    .map(|mut v| {
                        v.retain(|n| *n < 4);
                        v
                    })
                    .collect::<Vec<_>>()
            },
        )
    };
    (above(()), above(())).prop_map(|(teams, folders)| Hierarchy { teams, folders })
}

fn closure(direct: &[Vec<usize>], from: &[usize]) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut open = from.to_vec();
    while let Some(n) = open.pop() {
        if all.insert(n) {
            open.extend(&direct[n]);
        }
    }
    all
}

/// One question, as numbers.
#[derive(Debug, Clone)]
struct Asked {
    person: bool,
    principal: usize,
    teams: Vec<usize>,
    doc: bool,
    resource: usize,
    folders: Vec<usize>,
    action: &'static str,
    age: Option<i64>,
    boss: Option<usize>,
    owner: Option<usize>,
    n: Option<i64>,
    s: Option<bool>,
    known: bool,
    size: Option<i64>,
    tasked: bool,
    flow: Vec<TracedArgument>,
    carried: Confidentiality,
}

/// Arguments, of which two may stand at one place.
fn flow() -> impl Strategy<Value = Vec<TracedArgument>> {
    let one = (0..3, prop::sample::select(ArgumentRole::ALL.to_vec()), any::<[bool; 4]>());
    let one = one.prop_map(|(place, role, [task, trusted, untrusted, bounded])| TracedArgument {
        pointer: format!("/p{place}").into(),
        role,
        from_task: task,
        from_trusted: trusted,
        from_untrusted: untrusted,
        bounded: bounded && role != ArgumentRole::Content,
    });
    // More than are compared each with each.
    prop_oneof![9 => prop::collection::vec(one.clone(), 0..5), 1 => prop::collection::vec(one, 70)]
}

/// The same as Cedar is given it.
fn flow_as_json(asked: &Asked) -> serde_json::Value {
    let places = |which: &dyn Fn(&TracedArgument) -> bool| -> BTreeSet<&str> {
        asked.flow.iter().filter(|leaf| which(leaf)).map(|leaf| &*leaf.pointer).collect()
    };
    let is = |leaf: &TracedArgument, origin: &str| match origin {
        "from_task" => leaf.from_task,
        "from_trusted" => leaf.from_trusted,
        "from_untrusted" => leaf.from_untrusted,
        _ => !(leaf.from_task || leaf.from_trusted || leaf.from_untrusted),
    };
    let all = ORIGINS
        .map(|origin| (origin.to_owned(), serde_json::json!(places(&|leaf| is(leaf, origin)))));
    let mut flow: serde_json::Map<_, _> = all.into_iter().collect();
    for (name, role) in [
        ("addresses", ArgumentRole::Address),
        ("commands", ArgumentRole::Command),
        ("amounts", ArgumentRole::Amount),
    ] {
        let of = ORIGINS.map(|origin| {
            let of = |leaf: &TracedArgument| leaf.role == role && is(leaf, origin);
            (origin.to_owned(), serde_json::json!(places(&of)))
        });
        let mut of: serde_json::Map<_, _> = of.into_iter().collect();
        let bounded = |leaf: &TracedArgument| leaf.role == role && leaf.bounded;
        of.insert("bounded".to_owned(), serde_json::json!(places(&bounded)));
        flow.insert(name.to_owned(), of.into());
    }
    let at_least = |level| asked.carried >= level;
    flow.insert(
        "carries".to_owned(),
        serde_json::json!({
            "untrusted": true,
            "internal": at_least(Confidentiality::Internal),
            "confidential": at_least(Confidentiality::Confidential),
            "secret": at_least(Confidentiality::Secret),
            "categories": [],
            "above_sink": asked.carried > Confidentiality::Internal,
            "coverage": 10,
        }),
    );
    flow.into()
}

fn asked() -> impl Strategy<Value = Asked> {
    let few = || prop::collection::vec(0_usize..4, 0..3);
    (
        (any::<bool>(), 0_usize..5, few(), any::<bool>(), 0_usize..5, few()),
        prop::sample::select(vec!["read", "write", "admin"]),
        (prop::option::of(0_i64..6), prop::option::of(0_usize..4), prop::option::of(0_usize..4)),
        (prop::option::of(0_i64..3), prop::option::of(any::<bool>()), any::<bool>()),
        (
            (prop::option::of(0_i64..4), any::<bool>()),
            flow(),
            prop::sample::select(Confidentiality::ALL.to_vec()),
        ),
    )
        .prop_map(
            |(
                (person, principal, teams, doc, resource, folders),
                action,
                (age, boss, owner),
                (n, s, known),
                ((size, tasked), flow, carried),
            )| {
                Asked {
                    person,
                    principal,
                    teams,
                    doc,
                    resource,
                    folders,
                    action,
                    age,
                    boss,
                    owner,
                    n,
                    s,
                    known,
                    size,
                    tasked,
                    flow,
                    carried,
                }
            },
        )
}

/// The entities of a question: principal, resource, and the others where they are known.
fn entities(asked: &Asked, hierarchy: &Hierarchy) -> (Entity, Entity, Vec<Entity>) {
    let uid = |ty: &str, n: usize| EntityRef::new(ty, format!("{ty}{n}")).unwrap();
    let refs = |ty, set: BTreeSet<usize>| set.into_iter().map(|n| uid(ty, n)).collect::<Vec<_>>();
    let group = |ty: &'static str, direct: &[Vec<usize>], n: usize| Entity {
        uid: uid(ty, n),
        attributes: if ty == "Team" {
            [(Arc::from("level"), Value::from(i64::try_from(n).unwrap()))].into()
        } else {
            BTreeMap::new()
        },
        ancestors: if n < 4 { refs(ty, closure(direct, &direct[n])) } else { Vec::new() },
    };
    let principal = if asked.person {
        let mut attributes: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        attributes.extend(asked.age.map(|age| (Arc::from("age"), Value::from(age))));
        attributes.extend(
            asked.boss.map(|boss| (Arc::from("boss"), Value::from(format!("Person{boss}")))),
        );
        Entity {
            uid: uid("Person", asked.principal),
            attributes,
            ancestors: refs("Team", closure(&hierarchy.teams, &asked.teams)),
        }
    } else {
        group("Team", &hierarchy.teams, asked.principal)
    };
    let resource = if asked.doc {
        let owner = asked.owner.map(|o| (Arc::from("owner"), Value::from(format!("Person{o}"))));
        let size = asked.size.map(|size| (Arc::from("size"), Value::from(size)));
        Entity {
            uid: uid("Doc", asked.resource),
            attributes: owner.into_iter().chain(size).collect(),
            ancestors: refs("Folder", closure(&hierarchy.folders, &asked.folders)),
        }
    } else {
        group("Folder", &hierarchy.folders, asked.resource)
    };
    let extra = if asked.known {
        (0..4)
            .flat_map(|n| {
                [group("Team", &hierarchy.teams, n), group("Folder", &hierarchy.folders, n)]
            })
            .filter(|e| e.uid != principal.uid && e.uid != resource.uid)
            .collect()
    } else {
        Vec::new()
    };
    (principal, resource, extra)
}

fn public_uid(uid: &EntityRef) -> EntityUid {
    format!("{}::\"{}\"", uid.ty, uid.id).parse().unwrap()
}

fn public(entity: &Entity) -> PublicEntity {
    let attributes: HashMap<String, RestrictedExpression> = entity
        .attributes
        .iter()
        .map(|(name, value)| {
            let value = match (&**name, value) {
                (_, Value::Integer(n)) => RestrictedExpression::new_long(*n),
                (_, Value::String(id)) => RestrictedExpression::new_entity_uid(
                    format!("Person::\"{id}\"").parse().unwrap(),
                ),
                other => panic!("{other:?}"),
            };
            (name.to_string(), value)
        })
        .collect();
    let parents: HashSet<EntityUid> = entity.ancestors.iter().map(public_uid).collect();
    PublicEntity::new(public_uid(&entity.uid), attributes, parents).unwrap()
}

fn statement(policy: &ast::Policy, id: &str) -> Arc<Statement> {
    let effect = match policy.effect() {
        ast::Effect::Permit => safeconduct_model::PolicyEffect::Permit,
        ast::Effect::Forbid => safeconduct_model::PolicyEffect::Forbid,
    };
    let span = Span { file: Arc::from("test"), line: 1, column: 1, end_line: 1 };
    let id = safeconduct_model::PolicyId::new(id).unwrap();
    Arc::new(Statement {
        info: Arc::new(PolicyInfo {
            reference: Arc::new(PolicyRef { id, effect, span, message: None }),
            requestable: None,
            obligations: Vec::new(),
            controls: Vec::new(),
            mode: PolicyMode::Enforce,
        }),
        principal: policy.principal_constraint().as_inner().clone(),
        actions: policy.action_constraint().clone(),
        resource: policy.resource_constraint().as_inner().clone(),
        condition: Condition::of(policy.non_scope_constraints()),
        leaves: Vec::new(),
        range: 0..0,
    })
}

/// The same policies, for us and for Cedar.
fn both(written: &[Written]) -> (Policies, PolicySet) {
    let mut statements = Vec::new();
    let mut theirs = PolicySet::new();
    for (number, written) in written.iter().enumerate() {
        let id = format!("p{number}");
        let core_id = ast::PolicyID::from_string(&id);
        if written.principal.is_none() && written.resource.is_none() {
            let policy = parser::parse_policy(Some(core_id), &written.text).unwrap();
            statements.push(statement(&policy.into(), &id));
            theirs.add(Policy::parse(Some(PolicyId::new(&id)), &written.text).unwrap()).unwrap();
            continue;
        }
        let template_id = format!("t{number}");
        let template =
            parser::parse_template(Some(ast::PolicyID::from_string(&template_id)), &written.text)
                .unwrap();
        let mut slots = HashMap::new();
        let mut public_slots = HashMap::new();
        if let Some(uid) = &written.principal {
            slots.insert(ast::SlotId::principal(), uid.parse().unwrap());
            public_slots.insert(SlotId::principal(), uid.parse().unwrap());
        }
        if let Some(uid) = &written.resource {
            slots.insert(ast::SlotId::resource(), uid.parse().unwrap());
            public_slots.insert(SlotId::resource(), uid.parse().unwrap());
        }
        let linked = ast::Template::link(Arc::new(template), core_id, slots).unwrap();
        statements.push(statement(&linked, &id));
        let template = Template::parse(Some(PolicyId::new(&template_id)), &written.text).unwrap();
        theirs.add_template(template).unwrap();
        theirs.link(PolicyId::new(&template_id), PolicyId::new(&id), public_slots).unwrap();
    }
    let digest = Digest::from_bytes([0; 32]);
    (Policies::assemble(Arc::clone(&SCHEMA), BTreeMap::new(), statements, digest), theirs)
}

fn ids(policies: &[Arc<PolicyRef>]) -> BTreeSet<String> {
    policies.iter().map(|policy| policy.id.to_string()).collect()
}

fn ours(
    policies: &Policies,
    asked: &Asked,
    (principal, resource, extra): &(Entity, Entity, Vec<Entity>),
) -> Applied {
    let read = ActionName::new("read").unwrap();
    let action = ActionName::new(asked.action).unwrap();
    let mut input: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    input.extend(asked.n.map(|n| (Arc::from("n"), Value::from(n))));
    input.extend(asked.s.map(|s| (Arc::from("s"), Value::from(if s { "x" } else { "y" }))));
    let label =
        Label { integrity: Integrity::Untrusted, confidentiality: asked.carried, ..Label::LEAST };
    let carried = crate::Carried { label, coverage: 10 };
    let situation = Situation {
        session: SessionSituation {
            steps: 3,
            denials: 1,
            distinct_resources: 2,
            calls_left: 9,
            actions: vec![&read],
            label: safeconduct_model::Label::least(),
        },
        identity: IdentitySituation {
            kind: Some(IdentityKind::Agent),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            age_s: 60,
        },
        action: ActionSituation {
            tier: Tier::Low,
            effect: Effect::Read,
            trust: Integrity::Untrusted,
            guessed: false,
            accepts: safeconduct_model::Confidentiality::Internal,
        },
        now: Timestamp::from_millis(1_709_210_096_789),
        task: asked.tasked.then_some(crate::TaskSituation {
            id: "t",
            intent: "close",
            version: 1,
            on_behalf_of: None,
            depth: 2,
            budget_left: 7,
            age_s: 5,
        }),
        flow: FlowSituation::new(asked.flow.clone(), carried),
        risk: crate::RiskSituation::default(),
        approval: asked.owner.is_some().then(|| crate::ApprovalSituation {
            id: "req_1",
            approvers: vec!["ada"],
            age_s: 5,
            scope: "once",
        }),
        request: None,
    };
    let question = Question {
        principal,
        action: &action,
        resource,
        input: &Value::Object(input),
        additional: AdditionalArguments::Refused,
        situation: &situation,
        extra,
    };
    let evaluation = policies.evaluate(&question).unwrap();
    check_explanation(policies, &question, &evaluation.enforced);
    check_standing(policies, &question, &evaluation.enforced);
    evaluation.enforced
}

/// What is explained must be what was decided.
fn check_explanation(policies: &Policies, question: &Question<'_>, applied: &Applied) {
    use crate::Verdict;
    let explained = policies.explain(question).unwrap();
    let with = |wanted: fn(&Verdict) -> bool| {
        explained
            .iter()
            .filter(|e| wanted(&e.verdict))
            .map(|e| e.policy.reference.id.to_string())
            .collect::<BTreeSet<_>>()
    };
    let mut determining = ids(&applied.permits);
    determining.extend(ids(&applied.forbids));
    assert_eq!(with(|v| *v == Verdict::Applies), determining);
    let failed = applied.errors.iter().map(|(policy, _)| policy.id.to_string()).collect();
    assert_eq!(with(|v| matches!(v, Verdict::Failed(_))), failed);
}

/// Whatever applies must be among the rights that stand before anything is asked.
fn check_standing(policies: &Policies, question: &Question<'_>, applied: &Applied) {
    let (principal, action) = (question.principal, question.action);
    let standing = policies.standing_rights(principal).unwrap();
    let over = policies.standing_over(principal, action, None).unwrap();
    let here = policies.standing_over(principal, action, Some(question.resource)).unwrap();
    let covering = |rights: &[crate::StandingRight]| -> BTreeSet<String> {
        let covering = rights.iter().filter(|right| right.covers(action));
        covering.map(|right| right.statement.info().reference.id.to_string()).collect()
    };
    for (of, wanted) in [
        (permits_of as fn(&crate::StandingRights) -> &[crate::StandingRight], &applied.permits),
        (forbids_of, &applied.forbids),
    ] {
        let all = covering(of(&standing));
        assert_eq!(covering(of(&over)), all);
        assert!(covering(of(&here)).is_subset(&all));
        assert!(ids(wanted).is_subset(&covering(of(&here))), "{wanted:?}");
    }
    if applied.decision() == Decision::Permit {
        assert!(standing.may(action) && over.may(action) && here.may(action));
    }
    for right in standing.permits.iter().filter(|right| right.covers(action)) {
        let narrowing: BTreeSet<String> = standing
            .narrowing(right)
            .map(|forbid| forbid.statement.info().reference.id.to_string())
            .collect();
        let permits = ids(&applied.permits);
        if permits.contains(right.statement.info().reference.id.as_str()) {
            assert!(ids(&applied.forbids).is_subset(&narrowing));
        }
    }
}

fn permits_of(rights: &crate::StandingRights) -> &[crate::StandingRight] {
    &rights.permits
}

fn forbids_of(rights: &crate::StandingRights) -> &[crate::StandingRight] {
    &rights.forbids
}

fn theirs(
    policies: &PolicySet,
    asked: &Asked,
    (principal, resource, extra): &(Entity, Entity, Vec<Entity>),
) -> cedar_policy::Response {
    let mut all = vec![public(principal), public(resource)];
    all.extend(extra.iter().map(public));
    let parents: &[&str] = match asked.action {
        "read" => &["some", "all"],
        "write" => &["all"],
        _ => &[],
    };
    let action_uid: EntityUid = format!("Action::\"{}\"", asked.action).parse().unwrap();
    let parents = parents.iter().map(|p| format!("Action::\"{p}\"").parse().unwrap()).collect();
    all.push(PublicEntity::new(action_uid.clone(), HashMap::new(), parents).unwrap());
    let mut input = serde_json::Map::new();
    input.extend(asked.n.map(|n| ("n".to_owned(), n.into())));
    input.extend(asked.s.map(|s| ("s".to_owned(), if s { "x" } else { "y" }.into())));
    let mut context = serde_json::json!({
        "input": input,
        "session": {
            "steps": 3, "denials": 1, "distinct_resources": 2, "calls_left": 9, "actions": ["read"],
        },
        "identity": {"kind": "agent", "method": "api_key", "assurance": "low", "age_s": 60},
        "action": {
            "name": asked.action, "tier": "low", "effect": "read", "trust": "untrusted",
            "guessed": false,
        },
        "time": {"now": {"__extn": {"fn": "datetime", "arg": "2024-02-29T12:34:56.789Z"}}},
    });
    context["flow"] = flow_as_json(asked);
    if asked.tasked {
        let parameters =
            serde_json::json!({"__entity": {"type": "Safeconduct::TaskParameters", "id": "t"}});
        context["task"] = serde_json::json!({
            "id": "t", "intent": "close", "version": 1, "parameters": parameters, "depth": 2,
            "budget_left": 7, "age_s": 5,
        });
    }
    if asked.owner.is_some() {
        context["approval"] = serde_json::json!({
            "id": "req_1", "approvers": ["ada"], "age_s": 5, "scope": "once",
        });
    }
    let request = Request::new(
        public_uid(&principal.uid),
        action_uid,
        public_uid(&resource.uid),
        Context::from_json_value(context, None).unwrap(),
        None,
    )
    .unwrap();
    Authorizer::new().is_authorized(
        &request,
        policies,
        &Entities::from_entities(all, None).unwrap(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_index_says_what_the_authorizer_says(
        written in prop::collection::vec(policy(), 0..24),
        hierarchy in hierarchy(),
        questions in prop::collection::vec(asked(), 1..6),
    ) {
        let (our_policies, their_policies) = both(&written);
        for asked in &questions {
            let world = entities(asked, &hierarchy);
            let ours = ours(&our_policies, asked, &world);
            let theirs = theirs(&their_policies, asked, &world);
            let errors: BTreeSet<String> = theirs
                .diagnostics()
                .errors()
                .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(e)| {
                    e.policy_id().to_string()
                })
                .collect();
            let failed = ours.errors.iter().map(|(policy, _)| policy.id.to_string()).collect();
            prop_assert_eq!(&errors, &failed);
            let determining = if ours.forbids.is_empty() { &ours.permits } else { &ours.forbids };
            let reasons: BTreeSet<String> =
                theirs.diagnostics().reason().map(ToString::to_string).collect();
            prop_assert_eq!(&reasons, &ids(determining));
            // Cedar passes over an error; with us it is a Deny.
            let expected = match theirs.decision() {
                cedar_policy::Decision::Allow if errors.is_empty() => Decision::Permit,
                _ => Decision::Deny,
            };
            prop_assert_eq!(ours.decision(), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_checker_says_what_the_validator_says(written in policy()) {
        use cedar_policy_core::validator::{ValidationMode, Validator};
        use crate::{diagnostic::Located, validate::Checker};

        let file = Arc::from("test");
        let located = Located::new(&file, &written.text);
        let template = parser::parse_policy_or_template(None, &written.text).unwrap();
        let mut problems = Vec::new();
        let needs = Condition::of(template.non_scope_constraints()).needs();
        Checker::new(&SCHEMA.validator).check(&template, needs, &located, &mut problems);
        if template.slots().next().is_some() {
            // Templates are refused before: the checker leaves their slots open.
            return Ok(());
        }
        let mut all = ast::PolicySet::new();
        let policy = parser::parse_policy(None, &written.text).unwrap();
        all.add_static(policy).unwrap();
        let theirs = Validator::new(SCHEMA.validator.clone()).validate(&all, ValidationMode::Strict);
        let ours = problems.iter().all(|problem| problem.severity != crate::Severity::Error);
        prop_assert_eq!(ours, theirs.validation_passed(), "{:#?}", problems);
        if ours {
            let warned = theirs.validation_warnings().next().is_some();
            prop_assert_eq!(!problems.is_empty(), warned, "{:#?}", problems);
        }
    }
}
