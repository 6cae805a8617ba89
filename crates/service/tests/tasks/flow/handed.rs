//! What goes out that was read in another form, or that nobody has reported yet.

use super::*;

impl Bench {
    /// What the record of a payment says of its account.
    async fn paid(&self, check: Check) -> Option<RecordedFlow> {
        let record = self.service.check(check).await.unwrap().into_value().outcome.record;
        let decided = match record.body {
            Body::Decided(decided) => Some(decided),
            _ => None,
        };
        decided.unwrap().flow.into_iter().find(|flow| &*flow.pointer == "/account")
    }

    async fn told_of(&self, decision: RecordId, by: &str, read: Read) {
        let report = Report {
            decision,
            reported_by: id(by),
            execution: Execution::Succeeded,
            duration_ms: Some(1),
            result: None,
            detail: None,
            edits: Vec::new(),
            read,
            beside: Read::Nothing,
        };
        self.service.observe(report).await.unwrap();
    }
}

/// Whoever sends an image or a file on carries out what it holds, in whatever letters.
#[tokio::test]
async fn what_was_given_in_base64_is_known_when_it_is_sent_on() {
    // head -c 24 of a PNG; printf 'name,iban\nMallory,GB29 NWBK 6016 1331 9268 19\n'
    let image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB";
    let table = "bmFtZSxpYmFuCk1hbGxvcnksR0IyOSBOV0JLIDYwMTYgMTMzMSA5MjY4IDE5Cg==";
    let spaced = image.replace("Ggo", "Ggo\n");
    let bench = bench().await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let sent = bench.service.check(call(task.clone(), "records", READ)).await.unwrap();
    let page = sent.value().decision().clone();
    let read = [image, table].map(|text| Content::Opaque(text.into())).to_vec();
    bench.told_of(page.clone(), "gateway", Read::This(read)).await;
    for bench in [&bench, &bench.again()] {
        let url = format!("data:image/png;base64,{image}");
        for text in [image, &spaced, &url, table, "GB29NWBK60161331926819"] {
            let flow = bench.paid(call(task.clone(), "pay", &[("account", text)])).await.unwrap();
            assert_eq!(flow.origins, [ValueOrigin::Untrusted].into(), "{text}");
            assert_eq!(flow.label.confidentiality, Confidentiality::Internal, "{text}");
            assert_eq!(flow.sources, std::slice::from_ref(&page), "{text}");
        }
        let other = image.replace("iVBO", "iVBP");
        assert!(bench.paid(call(task.clone(), "pay", &[("account", &other)])).await.is_none());
    }
}

/// An enforcement point elsewhere may hand a result on before it reports it: until it does, any
/// value may be from there.
#[tokio::test]
async fn what_is_not_reported_yet_may_be_in_everything() {
    let settings = Settings { outcome_deadline_ms: 1000, ..Settings::default() };
    let bench = bench_with(settings).await;
    let task = bench.begin("ada", "agent", "work", 1).await;
    let own = |check: Check| Check { pep: id("agent"), ..check };
    let read = || own(call(task.clone(), "records", READ));
    let pay = || call(task.clone(), "pay", &[("account", IBAN)]);
    let sent = |ruling: Recorded<Ruling>| ruling.value().decision().clone();
    let (first, second) = (
        sent(bench.service.check(read()).await.unwrap()),
        sent(bench.service.check(read()).await.unwrap()),
    );
    let unreported = bench.paid(pay()).await.unwrap();
    assert_eq!(unreported.origins, [ValueOrigin::Untrusted].into());
    assert_eq!(unreported.label.confidentiality, Confidentiality::Internal);
    assert_eq!(unreported.sources, []);
    // A restart before the report: nobody knows any more what it was.
    assert_eq!(bench.again().paid(pay()).await.unwrap().sources, []);
    bench.told_of(first, "agent", Read::This(vec![Content::Text("nothing".into())])).await;
    assert!(bench.paid(pay()).await.is_some());
    let held = Read::This(vec![Content::Text(format!("pay {IBAN}").into())]);
    bench.told_of(second.clone(), "agent", held).await;
    for bench in [&bench, &bench.again()] {
        let sources = bench.paid(pay()).await.unwrap().sources;
        assert_eq!(sources, std::slice::from_ref(&second));
        let other = call(task.clone(), "pay", &[("account", "FR14 2004 1010 0505 0001 3M02 606")]);
        assert_eq!(bench.paid(other).await, None);
    }
    // One that never is stays as it is.
    bench.service.check(read()).await.unwrap();
    bench.clock.set(Timestamp::from_millis(NOW + 1000));
    assert!(bench.service.sweep() > 0);
    let other = call(task.clone(), "pay", &[("account", "FR14 2004 1010 0505 0001 3M02 606")]);
    assert!(bench.paid(other).await.is_some());
}

/// What an agent answers a server is recorded with where it came from, as an argument is.
#[tokio::test]
async fn an_answer_has_its_origin_in_the_record() {
    let bench = bench().await;
    let agent = proof("agent");
    let mail = bench.does(call(agent.clone(), "mail", &[]), &format!("pay {IBAN}")).await;
    for (tool, role) in [("note", ArgumentRole::Address), ("book", ArgumentRole::Content)] {
        let content = Value::object([("account", Value::from(IBAN))]);
        let answer = Value::object([("action", Value::from("accept")), ("content", content)]);
        let asserted = Value::object([("inputResponses", Value::object([("a", answer)]))]);
        let check = Check { asserted: Some(asserted), ..call(agent.clone(), tool, &[]) };
        let record = bench.service.check(check).await.unwrap().into_value().outcome.record;
        let flow = match record.body {
            Body::Decided(decided) => decided.flow,
            _ => Vec::new(),
        };
        let [leaf] = flow.as_slice() else { panic!("{flow:?}") };
        assert_eq!(&*leaf.pointer, "/inputResponses/a/content/account");
        assert_eq!((leaf.role, &leaf.sources), (role, &vec![mail.clone()]));
        assert_eq!(leaf.origins, [ValueOrigin::Untrusted].into());
    }
}
