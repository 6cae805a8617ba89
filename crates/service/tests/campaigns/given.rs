//! Nobody reviews what they gave: the author and the approver of a change of the policies are known
//! by its proposal, whoever asked for a load of intents by the record of that.

use std::sync::Mutex;

use safeconduct_review::{FreezeError, ProposedTexts};

use super::*;

/// A folder of one file.
struct Folder {
    text: Mutex<String>,
    service: std::sync::Weak<Service>,
}

fn files(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("p.cedar".to_owned(), text.to_owned())])
}

impl PolicyGate for Folder {
    fn read(&self) -> Gated<'_, BTreeMap<String, String>> {
        Gated(Box::pin(async { Ok(files(&self.text.lock().unwrap())) }))
    }

    fn check(&self, _: BTreeMap<String, String>) -> Gated<'_, Checked> {
        Gated(Box::pin(async { Ok(Checked::default()) }))
    }

    fn draft(
        &self,
        files: BTreeMap<String, String>,
        _: Arc<safeconduct_policy::Policies>,
    ) -> Gated<'_, Arc<safeconduct_policy::Policies>> {
        Gated(Box::pin(async move { Ok(policies(files.get("p.cedar").unwrap())) }))
    }

    fn write(&self, texts: ProposedTexts) -> Gated<'_, ()> {
        Gated(Box::pin(async move {
            *self.text.lock().unwrap() = texts.files.get("p.cedar").unwrap().after.clone().unwrap();
            Ok(())
        }))
    }

    fn load<'a>(&'a self, cause: &'a str) -> Gated<'a, ()> {
        Gated(Box::pin(async move {
            let policies = policies(&self.text.lock().unwrap());
            let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
            let (catalogue, digest) = (Arc::new(catalogue()), Digest::from_bytes([9; 32]));
            let service = self.service.upgrade().unwrap();
            let put = service.change_policies(policies, catalogue, digest, vocabulary, cause);
            put.await.map_err(|error| GateError::Failed(error.to_string()))
        }))
    }
}

/// No set but those of this process is known.
struct NoTexts;

impl ReadSet for NoTexts {
    fn read(
        &self,
        _: Digest,
        _: &[u8],
        _: &safeconduct_policy::Policies,
    ) -> Option<safeconduct_policy::Policies> {
        None
    }
}

async fn changed(bench: &Bench, text: &str, author: &str, approver: &str) {
    let wanted =
        NewProposal { files: files(text), reason: "for the work".into(), ..Default::default() };
    let proposed = bench.service.propose_policies(wanted, &id(author)).await.unwrap();
    bench.service.approve_proposal(&proposed.id, &id(approver)).await.unwrap();
}

/// Who put the right of the reader in force, and who reviews it.
fn of_reader(service: &Service, campaign: &RecordId, right: &str) -> (Vec<String>, Vec<String>) {
    let names = |all: &[IdentityId]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = service.with_campaign(campaign, |running| {
        let mut cases = running.campaign.cases();
        let of = cases
            .find(|(_, case, _)| case.holder.as_str() == "reader" && &*case.what.name == right);
        of.map(|(_, case, item)| (names(&case.what.put_by), names(&item.reviewers)))
    });
    found.unwrap().unwrap()
}

#[tokio::test]
async fn neither_the_author_nor_the_approver_of_a_statement_reviews_it() {
    let bench = bench().await;
    let (text, service) = (Mutex::new(POLICIES.to_owned()), Arc::downgrade(&bench.service));
    let folder = Arc::new(Folder { text, service });
    let gate = Arc::clone(&folder) as Arc<dyn PolicyGate>;
    bench.service.set_policy_gate(&gate);
    gate.load("the start").await.unwrap();
    bench.clock.set(at(1));
    let write = |when: &str| {
        format!(
            "@id(\"more\") permit (principal == Safeconduct::Agent::\"reader\", \
             action == Safeconduct::Action::\"crm.write\", resource){when};\n"
        )
    };
    changed(&bench, &format!("{POLICIES}{}", write("")), "ada", "sam").await;
    let early = bench.try_start("").await.unwrap_err();
    let partial = matches!(&early, StartCampaignError::Population(FreezeError::Partial(_)));
    assert!(partial, "since when statements are in force is not known yet: {early}");
    bench.service.tell_ages(&NoTexts);

    bench.clock.set(at(2));
    let campaign = bench.start("").await;
    let of = |right: &str| of_reader(&bench.service, &campaign, right);
    let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of("more"), (names(&["ada", "sam"]), names(&["fay"])), "its owner wrote it");
    assert_eq!(of("agents-read"), (Vec::new(), names(&["ada"])), "it came by the folder");
    let restarted = of_reader(&bench.again(), &campaign, "more");
    assert_eq!(restarted, of("more"));

    // Whoever makes it say something else gave it too; the folder by itself names nobody.
    let less = write(" when { context.action.name == \"crm.write\" }");
    changed(&bench, &format!("{POLICIES}{less}"), "bob", "max").await;
    bench.clock.set(at(3));
    let by_hand = less.replace("\"more\"", "\"hand\"");
    *folder.text.lock().unwrap() = format!("{POLICIES}{less}{by_hand}");
    gate.load("a hand").await.unwrap();
    let campaign = bench.start("").await;
    let of = |right: &str| of_reader(&bench.service, &campaign, right);
    assert_eq!(of("more"), (names(&["ada", "bob", "max", "sam"]), names(&["fay"])));
    assert_eq!(of("hand"), (Vec::new(), names(&["ada"])));
}

/// Intents that the reader may undertake, of some version.
fn intents(digest: u8, all: &[(&str, u32)]) -> Arc<Intents> {
    let one = events::wiping().iter().next().unwrap().clone();
    let versions = all.iter().map(|(named, version)| {
        let name = IntentName::new(*named).unwrap();
        let identities = BTreeSet::from([id("reader")]);
        let undertakers = Undertakers { identities, ..Undertakers::default() };
        let intent = Intent { name: name.clone(), version: *version, undertakers, ..one.clone() };
        (name, BTreeMap::from([(*version, intent)]))
    });
    Arc::new(Intents { versions: versions.collect(), digest: Digest::from_bytes([digest; 32]) })
}

async fn put(service: &Service, intents: Arc<Intents>, cause: &str, asked_by: Option<&str>) {
    let rules = RuleSet {
        policies: policies(POLICIES),
        catalogue: Arc::new(catalogue()),
        catalogue_digest: Digest::from_bytes([9; 32]),
        vocabulary: Arc::new(Vocabulary::new("Safeconduct").unwrap()),
        intents: Some(intents),
        texts: RuleTexts::default(),
        asked_by: asked_by.map(id),
    };
    service.change_rules(rules, cause).await.unwrap();
}

#[tokio::test]
async fn who_asked_for_the_load_by_which_an_intent_came_does_not_review_it() {
    let bench = bench().await;
    put(&bench.service, intents(1, &[("fold", 1)]), "change", None).await;
    put(&bench.service, intents(2, &[("fold", 1), ("pay", 1)]), "ada", Some("ada")).await;
    let last = bench.ledger.entries().pop().unwrap();
    let recorded = decode(&last.leaf).unwrap().body;
    let named = matches!(&recorded, Body::IntentsLoaded { by: Some(by), changed, .. }
        if by.as_str() == "ada" && changed == &[IntentName::new("pay").unwrap()]);
    assert!(named, "{recorded:?}");

    let campaign = bench.start("").await;
    let of = |right: &str| of_reader(&bench.service, &campaign, right);
    let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of("pay 1"), (names(&["ada"]), names(&["fay"])), "their owner put it in force");
    assert_eq!(of("fold 1"), (Vec::new(), names(&["ada"])), "it was there before");
    let case = bench.case(&campaign, "reader", "pay 1");
    let shown = bench.service.open_case(&bench.read, &campaign, case, &id("fay")).unwrap();
    assert_eq!(shown.item.given_by, ["ada"]);

    // A later version is theirs too, and theirs who puts it in force; what only goes, nobody's.
    // Another process knows the same.
    let (entries, reads, writes) = (bench.ledger.entries(), Vec::new(), Vec::new());
    let ledger = Arc::new(MemoryLedger::default());
    ledger.submit(Proposal { entries, reads, writes }).unwrap();
    let read = Reader { ledger: Arc::clone(&ledger), ..bench.read };
    let bench = Bench { ledger, read, ..bench };
    let bench = Bench { service: Arc::new(bench.again()), ..bench };
    put(&bench.service, intents(2, &[("fold", 1), ("pay", 1)]), "start", None).await;
    put(&bench.service, intents(3, &[("fold", 1), ("pay", 2)]), "bob", Some("bob")).await;
    put(&bench.service, intents(4, &[("pay", 2)]), "max", Some("max")).await;
    let campaign = bench.start("").await;
    let of = |right: &str| of_reader(&bench.service, &campaign, right);
    assert_eq!(of("pay 2"), (names(&["ada", "bob"]), names(&["fay"])));
}
