//! Nobody reviews what they gave: the author and the approver of a change of the policies are known
//! by its proposal.

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
