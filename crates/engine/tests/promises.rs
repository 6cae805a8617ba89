//! What holds of every decision, whatever the policies: promises, as properties.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use safeconduct_engine::{
    AsideRight, Facts, Known, Outcome, SetAside, Understood, Vocabulary, decide,
};
use safeconduct_model::*;
use safeconduct_policy::{Policies, SourceFile, Sources, load};
use safeconduct_session::{Session, Step};

const CONDITIONS: [&str; 6] = [
    "true",
    "context.session.steps > 2",
    "context.action.tier == \"low\"",
    "resource in Safeconduct::Path::\"/cases/4711\"",
    "context.session.actions.contains(\"files.read\")",
    // Overflows once the session has had a step: an evaluation error.
    "9223372036854775807 + context.session.steps > 0",
];

fn policies(statements: &[(bool, usize)]) -> Policies {
    let text: String = statements
        .iter()
        .enumerate()
        .map(|(n, (permit, condition))| {
            let effect = if *permit { "permit" } else { "forbid" };
            let condition = CONDITIONS.get(condition % CONDITIONS.len()).unwrap();
            format!(
                "@id(\"p{n}\") {effect} (principal, action, resource is Safeconduct::Path) \
                 when {{ {condition} }};\n"
            )
        })
        .collect();
    loaded(vec![SourceFile::new("p.cedar", text)])
}

fn loaded(files: Vec<SourceFile>) -> Policies {
    let server = ServerName::new("files").unwrap();
    let sources = Sources {
        policies: files,
        servers: vec![server.clone()],
        actions: vec![(ActionName::new("files.read").unwrap(), Some(server))],
        ..Sources::default()
    };
    load(&sources).unwrap().policies
}

fn entry() -> ActionEntry {
    ActionEntry {
        name: ActionName::new("files.read").unwrap(),
        server: Some(ServerName::new("files").unwrap()),
        tier: Tier::Low,
        effect: Effect::Read,
        guessed: false,
        returns: safeconduct_model::Returns::uniform(safeconduct_model::Label {
            integrity: Integrity::Untrusted,
            confidentiality: Confidentiality::Internal,
            ..safeconduct_model::Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: vec![ResourceMapping {
            argument: "/path".into(),
            ty: EntityType::new("Safeconduct::Path").unwrap(),
            form: ResourceForm::Path { root: None },
            optional: false,
        }],
        definition: None,
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    }
}

fn agent(status: IdentityStatus) -> Known {
    let id = IdentityId::new("agent").unwrap();
    let uid = EntityRef::new("Safeconduct::Agent", "agent").unwrap();
    let attributes = BTreeMap::from([
        ("kind".into(), Value::from("agent")),
        ("status".into(), Value::from(status.as_str())),
    ]);
    Known {
        identity: Identity {
            id,
            kind: IdentityKind::Agent,
            status,
            owner: None,
            sponsor: None,
            imported: None,
            fallback_owner: None,
            environment: None,
            groups: BTreeSet::new(),
            pep: None,
            roles: BTreeSet::new(),
        },
        entity: Entity { uid, attributes, ancestors: Vec::new() },
    }
}

/// One decision of an agent with so many permitted steps behind it.
fn outcome(
    statements: &[(bool, usize)],
    path: &str,
    steps: u64,
    status: IdentityStatus,
) -> Outcome {
    outcome_aside(statements, path, steps, status, None)
}

/// The same with rights that are set aside.
fn outcome_aside(
    statements: &[(bool, usize)],
    path: &str,
    steps: u64,
    status: IdentityStatus,
    set_aside: Option<&SetAside>,
) -> Outcome {
    outcome_of(&policies(statements), path, steps, status, set_aside)
}

fn outcome_of(
    policies: &Policies,
    path: &str,
    steps: u64,
    status: IdentityStatus,
    set_aside: Option<&SetAside>,
) -> Outcome {
    let identity = IdentityId::new("agent").unwrap();
    let token = TokenId::new("t").unwrap();
    let request = Request {
        subject: Subject::Caller(Authentication {
            identity: identity.clone(),
            token: token.clone(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: Timestamp::default(),
            expires_at: None,
            task: None,
        }),
        action: ActionName::new("files.read").unwrap(),
        resource: None,
        input: Value::object([("path", Value::from(path))]),
        input_digest: KeyedDigest::from_bytes([0; 32]),
        asserted: None,
        session: SessionRef { key: SessionKey::credential(identity, token), name: None },
        pep: IdentityId::new("gateway:files").unwrap(),
        mode: Mode::Enforce,
        trace: None,
        parent: None,
    };
    let mut session = Session::default();
    for _ in 0..steps {
        session.apply(&Step {
            decision: Decision::Permit,
            action: request.action.clone(),
            resources: Vec::new(),
            charge: None,
            at: Timestamp::default(),
        });
    }
    let (entry, known) = (entry(), agent(status));
    let vocabulary = Vocabulary::new("Safeconduct").unwrap();
    let facts = Facts {
        caller: Some(&known),
        subject: None,
        entry: Some(&entry),
        quarantined: None,
        session: &session,
        sequence: session.sequence(),
        used: session.used(),
        task: None,
        killed: None,
        input_bytes: 0,
        calls_max: 100,
        understood: &Understood::LeftToCaller,
        tiers: &Tiers::default(),
        risk: None,
        last_word: None,
        approval: None,
        set_aside,
        vocabulary: &vocabulary,
        catalogue: Digest::from_bytes([0; 32]),
        monitors: None,
    };
    let now = Now { at: Timestamp::default(), decision: RecordId::new("dec_1").unwrap() };
    decide(&request, &facts, policies, &now)
}

fn statements() -> impl Strategy<Value = Vec<(bool, usize)>> {
    prop::collection::vec((any::<bool>(), 0..CONDITIONS.len()), 0..6)
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/cases/4711/notes.md",
        "/cases/4711",
        "/cases/47110/x",
        "/cases/4711/../4712/x",
        "relative",
        "/",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Promise 3: the same input gives the same outcome, record included.
    #[test]
    fn a_decision_is_a_function(statements in statements(), path in path(), steps in 0..4_u64) {
        let decided = || outcome(&statements, path, steps, IdentityStatus::Active);
        prop_assert_eq!(decided(), decided());
    }

    /// Promise 1: nothing permits by default, and what forbids or fails denies.
    #[test]
    fn a_permit_has_a_permit_and_nothing_against_it(
        statements in statements(), path in path(), steps in 0..4_u64,
    ) {
        let outcome = outcome(&statements, path, steps, IdentityStatus::Active);
        let permits = |reason: &Reason| {
            matches!(reason, Reason::Policy(policy) if policy.effect == PolicyEffect::Permit)
        };
        match outcome.decision {
            Decision::Permit => {
                prop_assert!(!outcome.reasons.is_empty());
                prop_assert!(outcome.reasons.iter().all(permits));
            }
            Decision::Deny => {
                prop_assert!(!outcome.reasons.is_empty(), "a Deny says why");
                prop_assert!(!outcome.reasons.iter().any(permits));
                prop_assert!(outcome.obligations.is_empty());
            }
        }
    }

    /// One more forbid never opens anything.
    #[test]
    fn a_forbid_never_widens(
        statements in statements(), condition in 0..CONDITIONS.len(), path in path(),
    ) {
        let before = outcome(&statements, path, 1, IdentityStatus::Active).decision;
        let mut more = statements;
        more.push((false, condition));
        let after = outcome(&more, path, 1, IdentityStatus::Active).decision;
        prop_assert!(before == Decision::Permit || after == Decision::Deny);
    }

    /// A permit that is set aside counts for nothing, and nothing else changes: the decision is the
    /// one without that statement, save that one which fails still denies. Of others nothing is
    /// set aside.
    #[test]
    fn what_is_set_aside_counts_for_nothing(
        statements in statements(), path in path(), which in any::<u8>(), steps in 0..4_u64,
    ) {
        let (fails, active) = (CONDITIONS.len() - 1, IdentityStatus::Active);
        let aside = |n: usize| {
            let (permit, condition) = statements[n];
            which >> n & 1 == 1 && permit && condition != fails
        };
        let review = RecordId::new("rem_1").unwrap();
        let (mut set, mut of_another) = (SetAside::default(), SetAside::default());
        for n in (0..statements.len()).filter(|n| aside(*n)) {
            let right = AsideRight::Statement(PolicyId::new(format!("p{n}")).unwrap());
            set.insert(IdentityId::new("agent").unwrap(), right.clone(), review.clone());
            of_another.insert(IdentityId::new("other").unwrap(), right, review.clone());
        }
        let left: Vec<_> =
            (0..statements.len()).filter(|n| !aside(*n)).map(|n| statements[n]).collect();
        let found = outcome_aside(&statements, path, steps, active, Some(&set));
        let without = outcome(&left, path, steps, active);
        prop_assert_eq!(found.decision, without.decision);
        let all = outcome(&statements, path, steps, active);
        if all.decision == Decision::Permit && found.decision == Decision::Deny {
            let codes: Vec<_> = found.reasons.iter().map(Reason::code).collect();
            prop_assert_eq!(codes, ["set_aside"]);
        }
        let other = outcome_aside(&statements, path, steps, active, Some(&of_another));
        prop_assert_eq!(other, all);
    }

    /// Whoever may not act is denied whatever the policies say.
    #[test]
    fn a_stopped_identity_is_denied(statements in statements(), path in path()) {
        for status in [IdentityStatus::Suspended, IdentityStatus::Quarantined, IdentityStatus::Retired] {
            prop_assert_eq!(outcome(&statements, path, 1, status).decision, Decision::Deny);
        }
    }
}

#[test]
fn an_error_in_scope_denies_although_others_permit() {
    let outcome = outcome(&[(true, 0), (true, 5)], "/x", 1, IdentityStatus::Active);
    assert_eq!(outcome.decision, Decision::Deny);
    assert_eq!(outcome.reasons.first().unwrap().code(), "policy_error");
}

#[test]
fn a_folder_s_border_is_a_border() {
    let inside = |path| outcome(&[(true, 3)], path, 0, IdentityStatus::Active).decision;
    assert_eq!(inside("/cases/4711/notes.md"), Decision::Permit);
    assert_eq!(inside("/cases/47110/x"), Decision::Deny);
    assert_eq!(inside("/cases/4711/../4712/x"), Decision::Deny);
}

/// One decision where Rego permits everything and asks for something, with those permits of
/// Cedar's set aside.
fn beside_rego(aside: &[&str]) -> Outcome {
    let cedar = r#"
@id("one") @obligation("redact:$.one; redact:$.both") permit (principal, action, resource);
@id("two") @obligation("redact:$.both") permit (principal, action, resource);
"#;
    let rego = r#"
package safeconduct
decision := {"allow": true, "obligations": ["redact:$.ssn"]}
"#;
    let files = vec![SourceFile::new("p.cedar", cedar), SourceFile::new("p.rego", rego)];
    let mut set = SetAside::default();
    for id in aside {
        let right = AsideRight::Statement(PolicyId::new(*id).unwrap());
        set.insert(IdentityId::new("agent").unwrap(), right, RecordId::new("rem_1").unwrap());
    }
    outcome_of(&loaded(files), "/x", 0, IdentityStatus::Active, Some(&set))
}

#[test]
fn what_rego_permits_needs_a_permit_that_is_not_set_aside() {
    assert_eq!(beside_rego(&[]).decision, Decision::Permit);
    let outcome = beside_rego(&["one", "two"]);
    assert_eq!(outcome.decision, Decision::Deny);
    let codes: Vec<_> = outcome.reasons.iter().map(Reason::code).collect();
    assert_eq!(codes, ["set_aside"]);
}

#[test]
fn what_a_permit_that_is_set_aside_asked_for_is_still_asked() {
    let asked = |aside: &[&str]| -> Vec<String> {
        let outcome = beside_rego(aside);
        assert_eq!(outcome.decision, Decision::Permit);
        outcome.obligations.iter().map(ToString::to_string).collect()
    };
    let all = ["redact:$.one", "redact:$.both", "redact:$.ssn"];
    for aside in [&[][..], &["one"], &["two"]] {
        assert_eq!(asked(aside), all, "{aside:?}");
    }
}
