//! What counting the use of rights takes of the decision that is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use safeconduct_ledger::Origin;
use safeconduct_model::{Digest, IdentityId, Record};
use safeconduct_policy::{SourceFile, load};
use safeconduct_review::Usage;
use safeconduct_service::memory::ports;
use safeconduct_service::{Ledger, Service, Settings, World};
use safeconduct_store::{Store, StoreOptions};

use crate::section::{Failure, Section, Target};
use crate::world::{self, Naming};
use crate::{risk, rounds};

/// Decisions that are made and counted.
const DECISIONS: usize = 20_000;

/// How many are asked for at once.
const TOGETHER: usize = 64;

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let folder = tempfile::tempdir()?;
    let (data, keys) = (folder.path().join("data"), folder.path().join("keys"));
    let store = Arc::new(Store::open(StoreOptions::new(data, keys, Origin::new("bench/uses")?))?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let service = runtime.block_on(service(&store))?;
    let before = process_ns();
    runtime.block_on(async {
        for _ in 0..DECISIONS / TOGETHER {
            let mut queued = Vec::with_capacity(TOGETHER);
            for _ in 0..TOGETHER {
                let check = service.begin_check(risk::call()?);
                queued.push(check.map_err(|refused| refused.reason.message())?);
            }
            for queued in queued {
                service.recorded(queued).await.map_err(|refused| refused.reason.message())?;
            }
        }
        store.publish().await;
        Ok::<_, Failure>(())
    })?;
    let all = process_ns() - before;
    let placed: Vec<Record> = store
        .replay(0)
        .map(|placed| placed.map(|placed| placed.record))
        .collect::<Result<_, _>>()?;
    let (began, mut usage) = (rounds::thread_cpu_ns(), Usage::default());
    placed.iter().for_each(|record| usage.take(record));
    let counting = rounds::thread_cpu_ns() - began;
    let counted: u64 = usage.rows().values().map(|used| used.permitted).sum();
    if counted < (DECISIONS / TOGETHER * TOGETHER) as u64 {
        return Err(format!("{counted} permits were counted of {DECISIONS}").into());
    }
    let mut section = Section::new("Use of rights");
    section.targets();
    section.target("uses_of_decision", counting / all, Target::AtMost(0.05));
    section.number("decision_durable_cpu_us", all / DECISIONS as f64 / 1e3);
    section.number("uses_cpu_us", counting / DECISIONS as f64 / 1e3);
    section.line("");
    section.line(
        "CPU time of counting one decision, of that of making it durable in this process, with \
         everything that follows a record (tree, checkpoint, read model). It leaves out HTTP, \
         which would make the part smaller, and the write of each changed row of a batch, which \
         one transaction has with the records themselves.",
    );
    Ok(section)
}

async fn service(store: &Arc<Store>) -> Result<Arc<Service>, Failure> {
    let (mut ports, _, clock) = ports();
    ports.ledger = Arc::clone(store) as Arc<dyn Ledger>;
    clock.set(risk::NOW);
    let text = "@id(\"all\") permit (principal, action, resource);";
    let policies =
        Arc::new(load(&world::sources(vec![SourceFile::new("p.cedar", text)])?)?.policies);
    let entry = world::entry(Naming::Folder)?;
    let actions = BTreeMap::from([(entry.name.clone(), entry)]);
    let catalogue = Arc::new(safeconduct_model::Catalogue { actions, ..Default::default() });
    let world = World::new(policies, catalogue, Digest::from_bytes([9; 32]), world::vocabulary()?);
    let settings = Settings { calls_max: u64::MAX, ..Settings::default() };
    let service = Arc::new(Service::new(ports, settings, world));
    service.change_identity(world::agent(0)?, &IdentityId::new("bench")?).await?;
    Ok(service)
}

/// CPU time of this process so far, in nanoseconds.
fn process_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
