//! A campaign over 1,000,000 rights: how long it takes to freeze them, and how much memory.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use safeconduct_model::{
    Body, EntityId, EntityType, Identity, IdentityId, IdentityKind, Record, RecordId, Timestamp,
};
use safeconduct_policy::{SourceFile, load};
use safeconduct_service::memory::ports;
use safeconduct_service::{
    Attachment, Grown, Page, ReadError, ReadModel, RecordQuery, SeenAs, Service, Settings,
    StartCampaign, UseQuery, UsesPage, World,
};

use crate::report::say;
use crate::section::{Failure, Section, Target};
use crate::world::{self, Naming};

/// Rights that are frozen.
const RIGHTS: usize = 1_000_000;

/// Rights of each agent.
const EACH: usize = 10;

/// When all of it happens.
const NOW: Timestamp = Timestamp::from_millis(1_795_500_000_000);

const CAMPAIGN: &str = "
campaign: everything
owner: alice
stages:
  - { name: owners, lasts: 14d, reviewers: [owner], fallback: [fallback_owner] }
";

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args(["child-reviews", &RIGHTS.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [frozen, recorded, read, peak] = numbers[..] else {
        return Err(format!("the child said `{text}`").into());
    };
    let mut section = Section::new("Reviews of 1,000,000 rights");
    section.targets();
    section.target("campaign_1m_frozen_s", frozen + recorded, Target::AtMost(30.0));
    section.target("campaign_1m_peak_gib", peak / f64::from(1 << 30), Target::AtMost(2.0));
    section.number("campaign_1m_read_back_s", read);
    section.line("");
    section.line(format!(
        "{} agents with {EACH} rights each, by as many statements: every right is worked out from \
         the policies, sorted and hashed and its reviewer named ({frozen:.1} s), written and \
         recorded with who reviews it ({recorded:.1} s), and read back from its records \
         ({read:.1} s). Seconds on the clock, on one thread, over a ledger in memory that keeps \
         everything; the memory is the most that the process ever had, the estate itself and the \
         ledger included.",
        RIGHTS / EACH,
    ));
    Ok(section)
}

/// Prints the seconds that it took to freeze that many rights, to record them, and to read them
/// back, and the most memory that the process had.
pub(crate) fn child(rights: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (ports, _ledger, clock) = ports();
    clock.set(NOW);
    let loaded = load(&world::sources(vec![SourceFile::new("agents.cedar", policies())])?)?;
    let catalogue = Arc::new(world::catalogue(Naming::Folder)?);
    let digest = safeconduct_model::Digest::from_bytes([1; 32]);
    let vocabulary = world::vocabulary()?;
    let estate = World::new(Arc::new(loaded.policies), catalogue, digest, vocabulary);
    let service = Service::new(ports, Settings::default(), estate);
    register(&service, rights / EACH)?;

    let file = safeconduct_wire::campaign::parse("c.yaml", CAMPAIGN);
    let file = Arc::new(file.map_err(|problems| format!("{problems:?}"))?);
    let because = BTreeSet::new();
    let start = StartCampaign { file, by: None, due: None, holder: None, because };
    let began = Instant::now();
    let prepared = service.prepare_campaign(&Nothing, start)?;
    let frozen = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let started = runtime.block_on(service.begin_campaign(prepared))?;
    let recorded = began.elapsed().as_secs_f64();
    if started.cases != rights {
        return Err(format!("{} rights were frozen, and not {rights}", started.cases).into());
    }
    let began = Instant::now();
    let asked = service.with_campaign(&started.id, |running| {
        running.campaign.cases().filter(|(_, _, item)| item.reviewers.len() == 1).count()
    })?;
    let read = began.elapsed().as_secs_f64();
    if asked != rights {
        return Err(format!("{asked} rights have a reviewer, and not {rights}").into());
    }
    say(&format!("{frozen} {recorded} {read} {}", peak_bytes()?));
    Ok(())
}

fn policies() -> String {
    let mut text = String::new();
    for number in 0..EACH {
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            "@id(\"right-{number}\")\npermit (principal is Safeconduct::Agent, action == \
             Safeconduct::Action::\"{}\", resource in Safeconduct::Path::\"/cases/{number}\")\n\
             when {{ context.session.steps < {} }};\n",
            world::ACTION,
            1000 + number,
        );
    }
    text
}

fn register(service: &Service, agents: usize) -> Result<(), Failure> {
    let by = IdentityId::new("bench")?;
    let mut fold = service.restore();
    let person = |name: &str| -> Result<Identity, Failure> {
        let (id, kind) = (IdentityId::new(name)?, IdentityKind::User);
        let (owner, fallback_owner) = (None, None);
        Ok(Identity { id, kind, owner, fallback_owner, ..world::agent(0)? })
    };
    let people = [person("alice"), person("bob")];
    let everyone = people.into_iter().chain((0..agents).map(world::agent));
    for (identity, sequence) in everyone.zip(0..) {
        let body = Body::IdentityChanged { identity: identity?, by: by.clone() };
        let id = RecordId::new(format!("rec_{sequence}"))?;
        let record = Record { id, at: NOW, trace: None, parent: None, body };
        fold.apply(sequence, &record, Attachment::Absent)?;
    }
    fold.finish();
    Ok(())
}

/// The most that this process ever had in memory.
fn peak_bytes() -> Result<usize, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no peak")?;
    Ok(kib.trim().parse::<usize>()? * 1024)
}

/// A read model that has read nothing: nothing was ever used.
struct Nothing;

impl ReadModel for Nothing {
    fn query(&self, _: &RecordQuery) -> Result<Page, ReadError> {
        Ok(nothing())
    }
    fn record(&self, _: &RecordId) -> Result<Page, ReadError> {
        Ok(nothing())
    }
    fn from(&self, _: u64, _: usize) -> Result<Page, ReadError> {
        Ok(nothing())
    }
    fn uses(&self, _: &UseQuery) -> Result<UsesPage, ReadError> {
        Ok(UsesPage::default())
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
        0
    }
    fn grown_beyond(&self, _: u64) -> Grown<'_> {
        Grown(Box::pin(std::future::ready(())))
    }
    fn checkpoint(&self) -> Result<Option<String>, ReadError> {
        Ok(None)
    }
}

const fn nothing() -> Page {
    Page { records: Vec::new(), read_up_to: 0 }
}
