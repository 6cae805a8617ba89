//! A quarter of work before the demo begins: the decision point itself, on the same files, with a
//! clock that is moved from day to day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use safeconduct_engine::Understood;
use safeconduct_model::{ActionName, Execution, IdentityId, Mode, Subject, Timestamp, Value};
use safeconduct_service::{Check, Clock, Read, Report, Service};
use safeconduct_store::Store;

use crate::exit::{CommandError, failed};
use crate::system::SystemClock;
use crate::wiring::project::Project;
use crate::wiring::{bootstrap, server};

/// How many days it lasts.
pub(super) const DAYS: i64 = 92;

/// How many calls the agent makes on each of them.
const CALLS_A_DAY: usize = 3;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A clock that stands where it was put.
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Works through it. Returns how many calls were made.
pub(super) async fn work(project: &Project, agent: &IdentityId) -> Result<usize, CommandError> {
    let today = SystemClock.now();
    let clock = Arc::new(Moved(AtomicI64::new(today.plus_ms(-DAYS * DAY_MS).as_millis())));
    let (store, service) = server::at(project, Arc::clone(&clock) as Arc<dyn Clock>).await?;
    let mut calls = 0;
    for day in 0..DAYS {
        // Nothing happens today: what was done lies in the past, and the detectors have no news.
        clock.0.store(today.plus_ms((day - DAYS) * DAY_MS).as_millis(), Ordering::Relaxed);
        let token = bootstrap::mint(&service, agent, DAY_MS).await?;
        for call in 0..CALLS_A_DAY {
            one(&service, &token, call).await?;
            calls += 1;
        }
    }
    finish(store, service).await?;
    Ok(calls)
}

/// One call, as the gateway would have made it: it looks around, and reads.
async fn one(service: &Service, token: &str, call: usize) -> Result<(), CommandError> {
    let (action, path) = match call {
        0 => ("files.list_directory", "/cases/4711"),
        1 => ("files.read_text_file", "/cases/4711/notes.md"),
        _ => ("files.read_text_file", "/cases/4711/customer.md"),
    };
    let proof = service.authenticate(token).map_err(|error| failed("a token", error))?;
    let pep = proof.identity.clone();
    let check = Check {
        subject: Subject::Caller(proof),
        action: ActionName::new(action).map_err(|error| failed("an action", error))?,
        resource: None,
        input: Value::Object([("path".into(), Value::String(path.into()))].into_iter().collect()),
        asserted: None,
        session_name: None,
        pep: pep.clone(),
        mode: Mode::Enforce,
        trace: None,
        parent: None,
        understood: Understood::LeftToCaller,
        network: None,
    };
    let ruled =
        service.check(check).await.map_err(|error| failed("a decision", error.reason.message()))?;
    let report = Report {
        decision: ruled.value().decision().clone(),
        reported_by: pep,
        execution: Execution::Succeeded,
        duration_ms: Some(12),
        result: None,
        detail: None,
        edits: Vec::new(),
        read: Read::Nothing,
        beside: Read::Nothing,
    };
    service.observe(report).await.map_err(|error| failed("an outcome", error))
}

/// Writes the ledger out, and lets go of it.
async fn finish(store: Arc<Store>, service: Service) -> Result<(), CommandError> {
    let written = tokio::task::spawn_blocking(move || {
        drop(service);
        store.finish();
    });
    written.await.map_err(|error| failed("the ledger", error))
}
