//! Campaigns of access reviews through the service: midPoint's scenarios, an estate that changes
//! underneath, and a process that is started again in the middle.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_ledger::decode;
use safeconduct_model::*;
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_review::{CampaignState, Effect as Becomes, Response};
use safeconduct_service::memory::{MemoryClock, MemoryIds, MemoryLedger, MemoryVault};
use safeconduct_service::*;

mod course;
mod estate;
mod events;
mod expression;
mod given;
mod notice;
mod population;

const DAY: i64 = 86_400_000;

/// 2026-11-22T00:00:00Z.
const NOW: i64 = 1_795_305_600_000;

const POLICIES: &str = r#"
@id("agents-read")
permit (principal is Safeconduct::Agent, action == Safeconduct::Action::"crm.read", resource);
@id("writer")
permit (
  principal == Safeconduct::Agent::"writer",
  action in [Safeconduct::Action::"crm.write", Safeconduct::Action::"crm.wipe"],
  resource
);
"#;

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn at(days: i64) -> Timestamp {
    Timestamp::from_millis(NOW + days * DAY)
}

fn catalogue() -> Catalogue {
    let entry = |(tool, tier): (&str, Tier)| ActionEntry {
        name: ActionName::new(format!("crm.{tool}")).unwrap(),
        server: Some(ServerName::new("crm").unwrap()),
        tier,
        raises: Vec::new(),
        effect: Effect::Write,
        guessed: false,
        returns: Returns::uniform(Label::LEAST),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: None,
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    };
    let tools = [("read", Tier::Low), ("write", Tier::High), ("wipe", Tier::Critical)];
    let entries = tools.map(entry);
    Catalogue {
        actions: entries.into_iter().map(|e| (e.name.clone(), e)).collect(),
        ..Catalogue::default()
    }
}

fn policies(text: &str) -> Arc<safeconduct_policy::Policies> {
    let actions = catalogue().actions.into_values().map(|entry| (entry.name, entry.server));
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", text)],
        servers: vec![ServerName::new("crm").unwrap()],
        actions: actions.collect(),
        ..Sources::default()
    };
    Arc::new(load(&sources).unwrap().policies)
}

fn world() -> World {
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    World::new(policies(POLICIES), Arc::new(catalogue()), Digest::from_bytes([9; 32]), vocabulary)
}

fn person(name: &str, owner: Option<&str>, fallback: Option<&str>, groups: &[&str]) -> Identity {
    Identity {
        id: id(name),
        kind: IdentityKind::User,
        status: IdentityStatus::Active,
        owner: owner.map(id),
        sponsor: None,
        imported: None,
        fallback_owner: fallback.map(id),
        environment: None,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        pep: None,
        roles: BTreeSet::new(),
    }
}

fn agent(name: &str, owner: &str) -> Identity {
    Identity { kind: IdentityKind::Agent, ..person(name, Some(owner), Some("fay"), &[]) }
}

/// The records of a ledger in memory. `used` is what it says of use.
#[derive(Clone)]
struct Reader {
    ledger: Arc<MemoryLedger>,
    used: Vec<(safeconduct_review::UseKey, safeconduct_review::Use)>,
    /// Whether there is more than can be read at once.
    more: bool,
}

impl Reader {
    fn all(&self) -> Vec<ReadRecord> {
        let entries = self.ledger.entries().into_iter().zip(0..);
        let read = |(entry, sequence): (Entry, u64)| ReadRecord {
            sequence,
            leaf: String::from_utf8(entry.leaf).unwrap().into(),
        };
        entries.map(read).collect()
    }

    fn page(&self, records: Vec<ReadRecord>) -> Page {
        Page { records, read_up_to: self.read_up_to() }
    }
}

impl ReadModel for Reader {
    fn query(&self, query: &RecordQuery) -> Result<Page, ReadError> {
        let mut records = self.all();
        records.retain(|read| {
            let record = decode(read.leaf.as_bytes()).unwrap();
            query.kind.as_ref().is_none_or(|kind| record.body.kind() == kind)
                && query.parent.as_ref().is_none_or(|parent| record.parent.as_ref() == Some(parent))
                && query.since.is_none_or(|since| record.at >= since)
                && query.before.is_none_or(|before| read.sequence < before)
        });
        records.reverse();
        records.truncate(query.limit);
        Ok(self.page(records))
    }
    fn record(&self, id: &RecordId) -> Result<Page, ReadError> {
        let mut records = self.all();
        records.retain(|read| decode(read.leaf.as_bytes()).unwrap().id == *id);
        Ok(self.page(records))
    }
    fn from(&self, sequence: u64, limit: usize) -> Result<Page, ReadError> {
        let mut records = self.all();
        records.retain(|read| read.sequence >= sequence);
        records.truncate(limit);
        Ok(self.page(records))
    }
    fn uses(&self, query: &UseQuery) -> Result<UsesPage, ReadError> {
        let fits = |key: &&safeconduct_review::UseKey| {
            query.principal.as_ref().is_none_or(|of| key.principal == *of)
                && query.since_day.is_none_or(|day| key.day >= day)
                && query.policy.as_ref().is_none_or(|of| key.policy.as_deref() == Some(of.as_str()))
        };
        let uses = self.used.iter().filter(|(key, _)| fits(&key)).cloned().collect();
        Ok(UsesPage { uses, more: self.more, read_up_to: self.read_up_to() })
    }
    fn entities(
        &self,
        _: SeenAs,
        _: &EntityType,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<EntityId>, ReadError> {
        Ok(Vec::new())
    }
    fn read_up_to(&self) -> u64 {
        self.ledger.entries().len() as u64
    }
    fn grown_beyond(&self, _: u64) -> Grown<'_> {
        Grown(Box::pin(std::future::ready(())))
    }
    fn checkpoint(&self) -> Result<Option<String>, ReadError> {
        Ok(None)
    }
}

struct Bench {
    service: Arc<Service>,
    ledger: Arc<MemoryLedger>,
    clock: Arc<MemoryClock>,
    ids: Arc<MemoryIds>,
    read: Reader,
}

fn service(ledger: &Arc<MemoryLedger>, clock: &Arc<MemoryClock>, ids: &Arc<MemoryIds>) -> Service {
    let ports = Ports {
        ledger: Arc::clone(ledger) as Arc<dyn Ledger>,
        vault: Arc::new(MemoryVault),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ids: Arc::clone(ids) as Arc<dyn Ids>,
    };
    Service::new(ports, Settings::default(), world())
}

/// Two agents of Ada, one of Bob; Max stands above Ada, and Dee is her deputy.
async fn bench() -> Bench {
    let (ledger, clock, ids) = (Arc::default(), Arc::<MemoryClock>::default(), Arc::default());
    clock.set(at(0));
    let service = Arc::new(service(&ledger, &clock, &ids));
    let people = [
        person("grace", None, None, &[]),
        person("ada", Some("max"), Some("dee"), &[]),
        person("bob", None, None, &[]),
        person("max", None, None, &[]),
        person("dee", None, None, &[]),
        person("fay", None, None, &[]),
        person("sam", None, None, &["security"]),
        person("sue", None, None, &["security"]),
        agent("reader", "ada"),
        agent("writer", "ada"),
        agent("other", "bob"),
    ];
    for identity in people {
        service.change_identity(identity, &id("root")).await.unwrap();
    }
    let read = Reader { ledger: Arc::clone(&ledger), used: Vec::new(), more: false };
    Bench { service, ledger, clock, ids, read }
}

/// One stage of two weeks by owners; more lines are added to it.
fn definition(more: &str) -> Arc<safeconduct_wire::campaign::CampaignFile> {
    let text = format!(
        "campaign: agents\nowner: grace\nscope: {{ kinds: [agent] }}\nstages:\n  - name: owners\n    \
         lasts: 14d\n    reviewers: [owner]\n    fallback: [fallback_owner]\n{more}"
    );
    let read = safeconduct_wire::campaign::parse("c.yaml", &text);
    Arc::new(read.unwrap_or_else(|problems| panic!("{problems:?}")))
}

impl Bench {
    async fn start(&self, more: &str) -> RecordId {
        self.try_start(more).await.unwrap().id
    }

    async fn try_start(&self, more: &str) -> Result<StartedCampaign, StartCampaignError> {
        let (file, by) = (definition(more), Some(id("grace")));
        let (holder, because) = (None, BTreeSet::new());
        let start = StartCampaign { file, by, due: None, holder, because };
        self.service.start_campaign(&self.read, start).await
    }

    /// The number of the case of that holder and right.
    fn case(&self, campaign: &RecordId, holder: &str, right: &str) -> u32 {
        let found = self.service.with_campaign(campaign, |running| {
            let mut cases = running.campaign.cases();
            let found = cases
                .find(|(_, case, _)| case.holder.as_str() == holder && &*case.what.name == right);
            found.map(|(number, ..)| number)
        });
        found.unwrap().unwrap()
    }

    async fn answer(
        &self,
        campaign: &RecordId,
        who: &str,
        case: u32,
        response: Response,
    ) -> Result<(), CampaignStepError> {
        self.service.open_case(&self.read, campaign, case, &id(who))?;
        self.answer_unseen(campaign, who, case, response).await
    }

    async fn answer_unseen(
        &self,
        campaign: &RecordId,
        who: &str,
        case: u32,
        response: Response,
    ) -> Result<(), CampaignStepError> {
        let answer =
            CaseAnswer { case, response, reason: "as it should be".into(), acting_for: None };
        let results = self.service.decide_cases(campaign, &id(who), &[answer]).await?;
        results.into_iter().next().unwrap().1
    }

    async fn tend(&self, days: i64) -> usize {
        self.clock.set(at(days));
        self.service.tend_campaigns(&self.read).await
    }

    fn state(&self, campaign: &RecordId) -> CampaignState {
        self.service.with_campaign(campaign, |running| running.campaign.state().clone()).unwrap()
    }

    fn reviewers(&self, campaign: &RecordId, case: u32) -> Vec<String> {
        let read = self.service.with_campaign(campaign, |running| {
            let (_, item) = running.campaign.case(case).unwrap();
            item.reviewers.iter().map(ToString::to_string).collect()
        });
        read.unwrap()
    }

    fn view(&self, campaign: &RecordId) -> safeconduct_wire::admin::CampaignView {
        self.service.campaign_view(campaign, &id("ada")).unwrap()
    }

    async fn change(&self, identity: Identity) {
        self.service.change_identity(identity, &id("root")).await.unwrap();
    }

    async fn change_policies(&self, text: &str) {
        let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
        let digest = Digest::from_bytes([9; 32]);
        let (policies, catalogue) = (policies(text), Arc::new(catalogue()));
        let changed =
            self.service.change_policies(policies, catalogue, digest, vocabulary, "test").await;
        changed.unwrap();
    }

    /// A process that reads the ledger again.
    fn again(&self) -> Service {
        let service = service(&self.ledger, &self.clock, &self.ids);
        let mut fold = service.restore();
        for (entry, sequence) in self.ledger.entries().into_iter().zip(0..) {
            let beside = match entry.attachment {
                Some(_) => Attachment::Present,
                None => Attachment::Absent,
            };
            fold.apply(sequence, &decode(&entry.leaf).unwrap(), beside).unwrap();
        }
        fold.finish();
        service
    }
}

fn effects(service: &Service, campaign: &RecordId) -> BTreeMap<String, Becomes> {
    let effects = service.campaign_effects(campaign).unwrap().into_iter();
    effects.map(|(case, effect)| (format!("{} {}", case.holder, case.what.name), effect)).collect()
}

fn events(bench: &Bench, campaign: &RecordId) -> Vec<String> {
    let records = bench.ledger.entries().into_iter().map(|entry| decode(&entry.leaf).unwrap());
    let events = records.filter_map(|record| match record.body {
        Body::ReviewChanged(change) if *change.id == *campaign.as_str() => {
            Some(change.event.to_string())
        }
        _ => None,
    });
    events.collect()
}
