//! A result's label is lowered only by name, by a permit, and where its terms were kept.

use super::*;

const RULES: &str = r#"
@id("shown") @obligation("redact:$.ssn; declassify:redacted")
permit (principal, action == Safeconduct::Action::"files.show", resource);
@id("read") @obligation("declassify:forgotten-name")
permit (principal, action == Safeconduct::Action::"files.read", resource);
"#;

async fn shown(tool: &str, edits: Vec<Edit>) -> (Label, Option<Arc<str>>, Label) {
    let (service, ledger) = serving().await;
    let ruling = service.check(check(tool)).await.unwrap();
    let outcome = &ruling.value().outcome;
    assert_eq!(outcome.decision, Decision::Permit);
    // The enforcement point is not told: it could not see to it.
    assert!(outcome.for_enforcement().all(|one| one.declassifier().is_none()));
    let told = Report { edits, read: text(), ..report(ruling.value().decision(), "gateway:files") };
    service.observe(told).await.unwrap();
    let executed = match records(&ledger).pop().unwrap().body {
        Body::Executed(executed) => Some(executed),
        _ => None,
    };
    let executed = executed.unwrap();
    (executed.label.unwrap(), executed.declassified, label(&service))
}

fn text() -> Read {
    Read::This(vec![Content::Text("a text".into())])
}

fn label(service: &Service) -> Label {
    let key = SessionKey::credential(name(IdentityId::new("agent")), name(TokenId::new("t1")));
    service.session(&key).unwrap().session.label().clone()
}

fn declassifying() -> World {
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
    World::new(policies(RULES), Arc::new(catalogue), digest, vocabulary)
}

async fn serving() -> (Service, Arc<MemoryLedger>) {
    let (ports, ledger, _) = ports();
    let service = Service::new(ports, Settings::default(), declassifying());
    service.change_identity(agent("agent"), &me()).await.unwrap();
    (service, ledger)
}

/// The same ledger in a new process.
fn again(ledger: &MemoryLedger) -> Service {
    let (ports, _, _) = ports();
    let entries = ledger.entries();
    ports
        .ledger
        .submit(Proposal { entries: entries.clone(), reads: vec![], writes: vec![] })
        .unwrap();
    let service = Service::new(ports, Settings::default(), declassifying());
    let mut restore = service.restore();
    for (sequence, entry) in entries.iter().enumerate() {
        let sealed = match entry.attachment {
            Some(_) => Attachment::Present,
            None => Attachment::Absent,
        };
        restore.apply(sequence as u64, &decode(&entry.leaf).unwrap(), sealed).unwrap();
    }
    restore.finish();
    service
}

/// A redaction of the answer lowers nothing of what the server said meanwhile, or beside it, also
/// after a crash.
#[tokio::test]
async fn what_was_read_beside_a_redacted_answer_keeps_its_label() {
    for read in [text(), Read::Nothing] {
        let (service, ledger) = serving().await;
        let ruling = service.check(check("show")).await.unwrap();
        let (decision, gateway) = (ruling.value().decision(), "gateway:files");
        service.reads(decision, &name(IdentityId::new(gateway)), &text());
        assert_eq!(label(&service).confidentiality, Confidentiality::Secret);
        let edits = vec![redacted(1)];
        let told = Report { edits, read, beside: text(), ..report(decision, gateway) };
        service.observe(told).await.unwrap();
        for service in [&service, &again(&ledger)] {
            assert_eq!(label(service).confidentiality, Confidentiality::Secret);
        }
        let after = again(&ledger);
        assert!(after.check(check("show")).await.is_ok());
        service.check(check("show")).await.unwrap();
        let key = SessionKey::credential(name(IdentityId::new("agent")), name(TokenId::new("t1")));
        let flow = |service: &Service| service.session(&key).unwrap().session.flow().cloned();
        assert!(flow(&after).is_some() && flow(&after) == flow(&service));
    }
}

fn category(name: &str) -> Category {
    Category::new(name).unwrap()
}

fn redacted(values: u64) -> Edit {
    Edit { obligation: Obligation::parse("redact:$.ssn"), values }
}

#[tokio::test]
async fn a_label_falls_by_name_where_the_terms_were_kept() {
    let (label, by, session) = shown("show", vec![redacted(1)]).await;
    assert_eq!(label.confidentiality, Confidentiality::Internal);
    assert_eq!(label.categories, [category("health")].into());
    assert_eq!((by.as_deref(), &session), (Some("redacted"), &label));
}

#[tokio::test]
async fn a_label_stays_where_they_were_not_or_nobody_knows_the_name() {
    for (tool, edits) in [
        ("show", Vec::new()),
        ("show", vec![Edit { obligation: Obligation::parse("redact:$.other"), values: 1 }]),
        // It led nowhere: what was to be redacted stands elsewhere, perhaps.
        ("show", vec![redacted(0)]),
        ("show", [2, 0].map(redacted).into()),
        ("read", Vec::new()),
    ] {
        let (label, by, session) = shown(tool, edits).await;
        assert_eq!(label.confidentiality, Confidentiality::Secret, "{tool}");
        assert_eq!(label.categories.len(), 2);
        assert_eq!((by, &session), (None, &label));
    }
}
