//! A result's label is lowered only by name, by a permit, and where its terms were kept.

use super::*;

const RULES: &str = r#"
@id("shown") @obligation("redact:$.ssn; declassify:redacted")
permit (principal, action == Safeconduct::Action::"files.show", resource);
@id("read") @obligation("declassify:forgotten-name")
permit (principal, action == Safeconduct::Action::"files.read", resource);
"#;

async fn shown(tool: &str, edits: Vec<Edit>) -> (Label, Option<Arc<str>>, Label) {
    let (ports, ledger, _) = ports();
    let mut catalogue = catalogue();
    for entry in catalogue.actions.values_mut() {
        entry.returns.default.confidentiality = Confidentiality::Secret;
        entry.returns.default.categories = ["pii", "health"].map(category).into();
    }
    catalogue.declassifiers.insert(
        "redacted".into(),
        Declassifier {
            name: "redacted".into(),
            requires: vec![Obligation::parse("redact:$.ssn")],
            to: Label {
                integrity: Integrity::Untrusted,
                confidentiality: Confidentiality::Internal,
                categories: [category("pii")].into(),
            },
        },
    );
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let digest = Digest::from_bytes([9; 32]);
    let world = World::new(policies(RULES), Arc::new(catalogue), digest, vocabulary);
    let service = Service::new(ports, Settings::default(), world);
    service.change_identity(agent("agent"), &me()).await.unwrap();
    let ruling = service.check(check(tool)).await.unwrap();
    let outcome = &ruling.value().outcome;
    assert_eq!(outcome.decision, Decision::Permit);
    // The enforcement point is not told: it could not see to it.
    assert!(outcome.for_enforcement().all(|one| one.declassifier().is_none()));
    let told = Report {
        edits,
        read: Read::This(vec![Content::Text("a text".into())]),
        ..report(ruling.value().decision(), "gateway:files")
    };
    service.observe(told).await.unwrap();
    let executed = match records(&ledger).pop().unwrap().body {
        Body::Executed(executed) => Some(executed),
        _ => None,
    };
    let executed = executed.unwrap();
    let key = SessionKey::credential(name(IdentityId::new("agent")), name(TokenId::new("t1")));
    let session = service.session(&key).unwrap().session;
    (executed.label.unwrap(), executed.declassified, session.label().clone())
}

fn category(name: &str) -> Category {
    Category::new(name).unwrap()
}

#[tokio::test]
async fn a_label_falls_by_name_where_the_terms_were_kept() {
    let redacted = Edit { obligation: Obligation::parse("redact:$.ssn"), values: 1 };
    let (label, by, session) = shown("show", vec![redacted]).await;
    assert_eq!(label.confidentiality, Confidentiality::Internal);
    assert_eq!(label.categories, [category("health")].into());
    assert_eq!((by.as_deref(), &session), (Some("redacted"), &label));
}

#[tokio::test]
async fn a_label_stays_where_they_were_not_or_nobody_knows_the_name() {
    for (tool, edits) in [
        ("show", Vec::new()),
        ("show", vec![Edit { obligation: Obligation::parse("redact:$.other"), values: 1 }]),
        ("read", Vec::new()),
    ] {
        let (label, by, session) = shown(tool, edits).await;
        assert_eq!(label.confidentiality, Confidentiality::Secret, "{tool}");
        assert_eq!(label.categories.len(), 2);
        assert_eq!((by, &session), (None, &label));
    }
}
