//! An import that dies: all of its rows are there in the end, or none is.
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use safeconduct_wire::import::{ImportForm, Unsaid, read};

use super::*;

/// More than are recorded together.
const ROWS: usize = 5_000;

/// Every hundredth of them is wrong.
const WRONG_EVERY: usize = 100;

fn file() -> String {
    let mut text = "id,kind,owner,fallback_owner\n".to_owned();
    for row in 0..ROWS {
        let kind = if row % WRONG_EVERY == 7 { "robot" } else { "agent" };
        text.push_str(&format!("bot-{row},{kind},alice,bob\n"));
    }
    text
}

fn import() -> Import {
    let text = file();
    Import {
        source: ImportSource::Csv,
        name: "bots.csv".into(),
        digest: Digest::from_bytes([3; 32]),
        bytes: text.len() as u64,
        rows: read(ImportForm::Csv, text.as_bytes(), &Unsaid::default()).unwrap(),
        reach: Reach::Plain,
    }
}

/// How many of the file there are.
fn bots(service: &Service) -> usize {
    let world = service.world();
    world.identities().filter(|identity| identity.id.as_str().starts_with("bot-")).count()
}

/// A process over the first so many records.
fn restarted(entries: &[Entry]) -> (Service, Arc<MemoryLedger>) {
    let (ports, ledger, clock) = ports();
    clock.set(Timestamp::from_millis(1_790_000_000_000));
    let (reads, writes) = (Vec::new(), Vec::new());
    ledger.submit(Proposal { entries: entries.to_vec(), reads, writes }).unwrap();
    let service = Service::new(ports, Settings::default(), world(POLICIES));
    let mut restore = service.restore();
    for (sequence, entry) in (0..).zip(entries) {
        let beside = match entry.attachment {
            Some(_) => Attachment::Present,
            None => Attachment::Absent,
        };
        restore.apply(sequence, &decode(&entry.leaf).unwrap(), beside).unwrap();
    }
    restore.finish();
    (service, ledger)
}

/// What a whole import records, as it stood before its rows were let go of.
async fn recorded() -> Vec<Entry> {
    let bench = bench(Settings::default()).await;
    let plan = bench.service.plan_import(import());
    assert_eq!(plan.wrong.len(), ROWS / WRONG_EVERY);
    let refused = bench.service.import(plan.clone(), WrongRows::RefuseAll, &me()).await;
    assert_eq!(refused, Err(ImportError::Wrong((ROWS / WRONG_EVERY) as u64)));
    let rows = safeconduct_wire::import::kept_rows(&import().rows.rows);
    let done = bench.service.import(plan, WrongRows::LeaveOut, &me()).await.unwrap();
    assert_eq!(done.state, ImportState::Completed);
    let mut entries = bench.ledger.entries();
    let at = |event: &str| {
        let is = |entry: &&Entry| match decode(&entry.leaf).unwrap().body {
            Body::ReviewChanged(change) => &*change.event == event,
            _ => false,
        };
        entries.iter().position(|entry| is(&entry)).unwrap()
    };
    let place = at("rows");
    assert_eq!(entries[place].attachment, None, "nobody needs them any more");
    entries[place].attachment = Some(rows);
    entries
}

/// The same once, for whoever cuts it.
static RECORDED: std::sync::LazyLock<Vec<Entry>> = std::sync::LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(recorded())
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn whenever_it_dies_all_of_it_is_there_or_nothing(cut in any::<prop::sample::Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let entries = &*RECORDED;
        let all = ROWS - ROWS / WRONG_EVERY;
        let cut = cut.index(entries.len() + 1);
        let began = entries.iter().position(|entry| {
            matches!(decode(&entry.leaf).unwrap().body, Body::ReviewChanged(change) if &*change.event == "began")
        });
        let (service, ledger) = restarted(&entries[..cut]);
        let resumed = runtime.block_on(service.resume_imports()).unwrap();
        let wanted = if cut > began.unwrap() { all } else { 0 };
        prop_assert_eq!(bots(&service), wanted, "cut {} of {}", cut, entries.len());
        prop_assert_eq!(resumed, usize::from(cut > began.unwrap() && cut < entries.len()));
        // It is done once, and what lay there is gone.
        prop_assert_eq!(runtime.block_on(service.resume_imports()), Ok(0));
        prop_assert!(ledger.entries().iter().all(|entry| entry.attachment.is_none()));
        if wanted > 0 {
            prop_assert_eq!(service.imports()[0].state, ImportState::Completed);
        }
        let (again, _) = restarted(&ledger.entries());
        prop_assert_eq!(bots(&again), wanted);
    }
}

#[tokio::test]
async fn rows_that_were_changed_are_not_gone_on_with() {
    let mut entries = recorded().await;
    let rows = entries.iter().position(|entry| entry.attachment.is_some()).unwrap();
    entries.truncate(rows + 3);
    let forged = file().replace("alice", "mallory");
    let forged = read(ImportForm::Csv, forged.as_bytes(), &Unsaid::default()).unwrap();
    entries[rows].attachment = Some(safeconduct_wire::import::kept_rows(&forged.rows));
    let (service, _) = restarted(&entries);
    let refused = service.resume_imports().await.unwrap_err();
    assert!(refused.to_string().contains("not what was recorded"), "{refused}");
    assert_eq!(service.imports()[0].state, ImportState::Interrupted);
}

/// An import that failed while its process went on is left to whoever imports again: what came
/// since is newer.
#[tokio::test]
async fn what_failed_is_not_gone_on_with_after_others_had_their_say() {
    let bench = bench(Settings::default()).await;
    let plan = bench.service.plan_import(import());
    // Somebody stops one of them for good between the plan and its records.
    let mut stopped = agent("bot-4990");
    stopped.kind = IdentityKind::Workload;
    bench.service.change_identity(stopped, &me()).await.unwrap();
    let failed = bench.service.import(plan, WrongRows::LeaveOut, &me()).await;
    assert!(matches!(failed, Err(ImportError::Meanwhile { .. })), "{failed:?}");
    let (service, _) = restarted(&bench.ledger.entries());
    let before = bots(&service);
    assert_eq!(service.resume_imports().await, Ok(0));
    assert_eq!(bots(&service), before);
    assert_eq!(service.imports()[0].state, ImportState::Interrupted);
}

/// A file of two that no other has.
fn others() -> Import {
    let text = "id,kind,owner,fallback_owner\ndrone-1,agent,alice,bob\ndrone-2,agent,alice,bob\n";
    Import {
        digest: Digest::from_bytes([4; 32]),
        name: "drones.csv".into(),
        bytes: text.len() as u64,
        rows: read(ImportForm::Csv, text.as_bytes(), &Unsaid::default()).unwrap(),
        ..import()
    }
}

/// Where the first record of that step of an import lies.
fn place(entries: &[Entry], event: &str) -> Option<usize> {
    entries.iter().position(|entry| match decode(&entry.leaf).unwrap().body {
        Body::ReviewChanged(change) => &*change.event == event,
        _ => false,
    })
}

/// An import that died and cannot be gone on with is given up: what came since stays, at every
/// later start. Another one that died is ended all the same.
#[tokio::test]
async fn what_fails_when_it_is_gone_on_with_is_given_up_and_the_others_are_ended() {
    let bench = bench(Settings::default()).await;
    let import_all = async |import: Import| {
        let plan = bench.service.plan_import(import);
        bench.service.import(plan, WrongRows::LeaveOut, &me()).await.unwrap();
    };
    import_all(import()).await;
    let after = bench.ledger.entries().len();
    // Somebody makes another kind of thing of one of the second portion.
    let other = Identity { kind: IdentityKind::Workload, ..agent("bot-4990") };
    bench.service.change_identity(other, &me()).await.unwrap();
    import_all(others()).await;
    let mut entries = bench.ledger.entries();
    let mut later = entries.split_off(after);
    // The process died over the second portion of the one, and before the first of the other.
    entries.truncate(place(&entries, "began").unwrap() + 1 + 4096);
    later.truncate(place(&later, "began").unwrap() + 1);
    for (entries, import) in [(&mut entries, import()), (&mut later, others())] {
        let rows = place(entries, "rows").unwrap();
        entries[rows].attachment = Some(safeconduct_wire::import::kept_rows(&import.rows.rows));
    }
    entries.append(&mut later);

    let drones = |service: &Service| {
        let drone = |name: &str| service.world().identity(&id(name)).is_some();
        (drone("drone-1"), drone("drone-2"))
    };
    let (service, ledger) = restarted(&entries);
    assert_eq!(drones(&service), (false, false));
    let failed = service.resume_imports().await;
    assert!(matches!(failed, Err(ImportError::Meanwhile { .. })), "{failed:?}");
    assert_eq!(drones(&service), (true, true), "the other one is ended");
    let states: Vec<_> = service.imports().iter().map(|one| one.state).collect();
    assert_eq!(states, [ImportState::Completed, ImportState::Interrupted]);

    // Served, somebody gives one of the first portion another owner.
    let mut moved = service.world().identity(&id("bot-0")).unwrap().clone();
    moved.owner = Some(id("carol"));
    service.change_identity(moved, &me()).await.unwrap();
    let mut entries = ledger.entries();
    assert!(entries.iter().all(|entry| entry.attachment.is_none()), "its rows are gone");
    for put_back in [false, true] {
        if put_back {
            // They could not be overwritten.
            let rows = place(&entries, "rows").unwrap();
            entries[rows].attachment =
                Some(safeconduct_wire::import::kept_rows(&import().rows.rows));
        }
        let (service, _) = restarted(&entries);
        assert_eq!(service.resume_imports().await, Ok(0));
        let world = service.world();
        let owner = world.identity(&id("bot-0")).unwrap().owner.clone();
        assert_eq!(owner, Some(id("carol")), "what came since is newer than the file");
    }
}

/// A ledger that has stopped takes nothing newer: the next start does the rest.
#[tokio::test]
async fn what_fails_because_the_ledger_stopped_is_tried_again() {
    let mut entries = recorded().await;
    entries.truncate(place(&entries, "began").unwrap() + 1);
    let (service, ledger) = restarted(&entries);
    ledger.fail("the disk is full");
    assert!(service.resume_imports().await.is_err());
    let (service, _) = restarted(&ledger.entries());
    assert_eq!(service.resume_imports().await, Ok(1));
    assert_eq!(bots(&service), ROWS - ROWS / WRONG_EVERY);
}
