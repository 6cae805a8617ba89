//! What a server says by itself, and what an enforcement point elsewhere has not reported yet.

use super::*;

impl Bench {
    /// The server says that by itself; gives whether it was recorded.
    fn says(&self, by: &Authentication, source: &str, text: &str) -> bool {
        let before = self.heard().len();
        let said = Said {
            by: by.clone(),
            pep: id("gateway"),
            server: name(ServerName::new("crm")),
            source: source.into(),
            asked: Value::Null,
            content: vec![Content::Text(text.into())],
            definition: None,
        };
        self.service.hears(said).unwrap();
        self.heard().len() > before
    }

    /// What sessions have read that a server said by itself.
    fn heard(&self) -> Vec<SessionRead> {
        let read = self.bodies().into_iter().filter_map(|body| match body {
            Body::SessionRead(read) => Some(*read),
            _ => None,
        });
        read.collect()
    }
}

fn untrusted() -> ValueOrigins {
    ValueOrigins::from([ValueOrigin::Untrusted])
}

#[tokio::test]
async fn what_a_server_says_by_itself_is_heard_once_and_survives_a_crash() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let list = format!("Accounts: {IBAN}");
    assert!(bench.says(&task, "resources/list", &list));
    assert!(!bench.says(&task, "resources/list", &list));
    let worst = worth(Integrity::Untrusted, Confidentiality::Internal);
    for bench in [&bench, &bench.again()] {
        let (origins, sources) = bench.account(&task, IBAN).await;
        assert_eq!((origins, sources.len()), (untrusted(), 1));
        assert_eq!(bench.account(&task, "FR14 2004 1010 0505 0001 3M02 606").await.0, [].into());
        assert_eq!(bench.label(&task), worst);
        assert_eq!(bench.heard().len(), 1);
    }
    // The label of what stands above a task rises too.
    let root = bench.begin("orchestrator", "agent", "work", 3).await;
    let child = bench.delegate(&root, "helper", 4, 4).await;
    bench.says(&child, "initialize", &list);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.label(&root), worst);
    }
}

/// Before the first decision a session has no keys: it begins with what it hears.
#[tokio::test]
async fn a_session_may_begin_by_hearing() {
    let bench = bench().await;
    let own = proof("agent");
    assert!(bench.says(&own, "initialize", IBAN));
    let again = bench.again();
    for bench in [&bench, &again] {
        let key = SessionKey::of(&own);
        let session = bench.service.session(&key).unwrap().session;
        assert_eq!(session.label().integrity, Integrity::Untrusted);
        assert_eq!(bench.ask(call(own.clone(), "mail", &[])).await, Ok(()));
        let check = call(own.clone(), "pay", &[("account", IBAN)]);
        let record = bench.service.check(check).await.unwrap().into_value().outcome.record;
        let Body::Decided(decided) = record.body else { panic!("it is a decision") };
        assert_eq!(decided.flow.iter().map(|flow| flow.sources.len()).sum::<usize>(), 1);
    }
    let begun = |bench: &Bench| {
        bench
            .bodies()
            .iter()
            .filter(
                |b| matches!(b, Body::SessionBegan { session } if *session == SessionKey::of(&own)),
            )
            .count()
    };
    assert_eq!((begun(&bench), begun(&again)), (1, 1));
}

#[tokio::test]
async fn of_too_much_nobody_knows_what_it_was() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    for n in 0..HEARD_BETWEEN_MAX {
        assert!(bench.says(&task, "notifications/message", &format!("nothing {n}")));
    }
    assert_eq!(bench.account(&task, "anything at all").await.0, [].into());
    for n in 0..HEARD_BETWEEN_MAX {
        assert!(bench.says(&task, "notifications/message", &format!("new {n}")));
    }
    // One more says that there was more; no record for each.
    let more = (0..10).filter(|n| bench.says(&task, "notifications/message", &format!("more {n}")));
    assert_eq!(more.count(), 1);
    assert_eq!(bench.heard().pop().unwrap().digest, None);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.account(&task, "anything at all").await.0, untrusted());
    }
}

/// However much one server says, what another says after it is known for what it carries.
#[tokio::test]
async fn no_server_hides_another_by_saying_too_much() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let says = |server: &str, text: &str| {
        let said = Said {
            by: task.clone(),
            pep: id("gateway"),
            server: name(ServerName::new(server)),
            source: "notifications/message".into(),
            asked: Value::Null,
            content: vec![Content::Text(text.into())],
            definition: None,
        };
        bench.service.hears(said).unwrap();
    };
    for n in 0..=HEARD_BETWEEN_MAX {
        says("crm", &format!("nothing {n}"));
    }
    assert_eq!(bench.label(&task), worth(Integrity::Untrusted, Confidentiality::Internal));
    for n in 0..3 {
        says("unknown", &format!("pay Mallory {n}"));
    }
    // One record for what is worse, and none for what is as bad as that.
    says("crm", "nothing more");
    assert_eq!(bench.heard().len(), 1 + 1 + usize::try_from(HEARD_BETWEEN_MAX).unwrap());
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.label(&task), worth(Integrity::Untrusted, Confidentiality::Secret));
        assert_eq!(bench.account(&task, "anything at all").await.0, untrusted());
    }
}

#[tokio::test]
async fn what_was_erased_is_heard_again_under_the_new_keys() {
    let bench = bench().await;
    let own = bench.begin("agent", "agent", "work", 1).await;
    let home = SessionKey::of(&proof("agent"));
    bench.says(&proof("agent"), "initialize", "nothing of note");
    bench.service.erase(&home, &id("ada")).await.unwrap();
    assert!(bench.says(&proof("agent"), "initialize", "nothing of note"));
    // What is read before the next decision there is found by its fingerprints, not by fear.
    let page = bench.reads(&own, IBAN).await;
    for bench in [&bench, &bench.again()] {
        let (origins, sources) = bench.account(&own, IBAN).await;
        assert_eq!((origins, sources), (untrusted(), vec![page.clone()]));
    }
}

#[tokio::test]
async fn a_server_that_nobody_knows_says_the_worst() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let said = Said {
        by: task.clone(),
        pep: id("gateway"),
        server: name(ServerName::new("unknown")),
        source: "resources/list".into(),
        asked: Value::Null,
        content: vec![Content::Text("hello".into())],
        definition: None,
    };
    bench.service.hears(said).unwrap();
    assert_eq!(bench.label(&task), worth(Integrity::Untrusted, Confidentiality::Secret));
}

/// An enforcement point elsewhere may hand a result on before it reports it.
#[tokio::test]
async fn a_permit_for_one_elsewhere_raises_the_label_at_once() {
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let own = Check { pep: id("agent"), ..call(task.clone(), "records", READ) };
    let denied = Check { pep: id("agent"), ..call(task.clone(), "records", &[]) };
    assert!(bench.ask(denied).await.is_err());
    assert_eq!(bench.label(&task), Label::LEAST);
    assert_eq!(bench.ask(own.clone()).await, Ok(()));
    let worst = worth(Integrity::Untrusted, Confidentiality::Internal);
    for bench in [&bench, &bench.again()] {
        assert_eq!(bench.label(&task), worst);
    }
    // One that reports first is taken at its word, and so is our own gateway.
    let mut registered = identity("helper", IdentityKind::Agent);
    registered.pep =
        Some(PepRegistration { label_at: LabelAt::Report, ..PepRegistration::default() });
    bench.service.change_identity(registered, &id("ada")).await.unwrap();
    for (pep, handle) in [("helper", 5), ("gateway", 6)] {
        let other = bench.begin("ada", "helper", "work", handle).await;
        let first = Check { pep: id(pep), ..call(other.clone(), "records", READ) };
        assert_eq!(bench.ask(first).await, Ok(()));
        assert_eq!(bench.label(&other), Label::LEAST, "{pep}");
    }
}
