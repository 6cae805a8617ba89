//! `POST /access/v1/evaluation`: an empty handler, Safeconduct with a ledger in memory,
//! Safeconduct with the ledger on the disk, and Cerbos, in turns; the server on one processor,
//! the load on another.

mod cerbos;
pub(crate) mod load;
mod requests;
pub(crate) mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_service::Vault;
use safeconduct_store::StoreOptions;

use crate::child::{self, Process};
use crate::disk::{self, Disk};
use crate::rounds::median;
use crate::section::{Failure, Section, Target};
use load::Seen;
use requests::{CONNECTIONS, Dialect};

pub(crate) use cerbos::free_port;

/// The processor that servers run on.
pub(crate) const SERVER_PROCESSOR: u32 = 0;
/// The processor that the load runs on.
pub(crate) const LOAD_PROCESSOR: u32 = 1;

const ROUNDS: usize = 5;
const LASTS: Duration = Duration::from_secs(2);
/// Turns that a single connection and the bare disk take in each round.
const TURNS: u32 = 4;
/// Bare writes before and after the single connection in each turn.
const SYNCS: u32 = 100;
const SINGLE_LASTS: Duration = Duration::from_millis(700);
/// How long a server may take to finish what it put off: the read model, its checkpoint.
const SETTLE: Duration = Duration::from_secs(15);

/// One server that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Empty,
    Memory,
    Durable,
    Cerbos,
}

impl Server {
    const ALL: [Self; 4] = [Self::Empty, Self::Memory, Self::Durable, Self::Cerbos];

    const fn key(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Memory => "memory",
            Self::Durable => "durable",
            Self::Cerbos => "cerbos",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Empty => "empty handler",
            Self::Memory => "Safeconduct, ledger in memory that forgets",
            Self::Durable => "Safeconduct, ledger on the disk",
            Self::Cerbos => "Cerbos 0.51, nothing recorded",
        }
    }

    const fn dialect(self) -> Dialect {
        match self {
            Self::Cerbos => Dialect::Cerbos,
            _ => Dialect::Safeconduct,
        }
    }

    fn start(self, folder: &Path) -> Result<(Process, String), Failure> {
        if let (Self::Cerbos, Some(program)) = (self, cerbos::program()) {
            return cerbos::start(&program, folder);
        }
        let folder = folder.to_str().ok_or("the folder's name is no text")?;
        let arguments = ["child-server", self.key(), folder];
        let mut process = Process::start(child::own(Some(SERVER_PROCESSOR), &arguments)?)?;
        let address = process.line()?;
        Ok((process, address))
    }
}

/// What one server did in all rounds.
#[derive(Default)]
struct Ran {
    many: Vec<Seen>,
    single: Vec<Seen>,
    /// Microseconds of the server's CPU per answer, until the last answer.
    cpu_us: Vec<f64>,
    /// The same, with what the server does afterwards.
    all_cpu_us: Vec<f64>,
}

impl Ran {
    fn of(&self, number: impl Fn(&Seen) -> f64) -> f64 {
        median(&self.many.iter().map(number).collect::<Vec<_>>())
    }

    fn single_p50_us(&self) -> f64 {
        median(&self.single.iter().map(|seen| seen.p50_us).collect::<Vec<_>>())
    }
}

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    if std::thread::available_parallelism()?.get() < 2 {
        return Err("server and load need a processor each".into());
    }
    let folder = disk::folder()?;
    let mut disk = Disk::new(folder.path())?;
    let mut servers: Vec<(Server, Ran)> = Server::ALL
        .into_iter()
        .filter(|server| *server != Server::Cerbos || cerbos::program().is_some())
        .map(|server| (server, Ran::default()))
        .collect();
    // Each turn's ratio, and its microseconds of one bare write.
    let mut over_sync = Vec::new();
    for _ in 0..ROUNDS {
        for (server, ran) in &mut servers {
            round(*server, ran, &mut disk, &mut over_sync)?;
        }
    }
    let of =
        |number: fn(&(f64, f64)) -> f64| median(&over_sync.iter().map(number).collect::<Vec<_>>());
    Ok(report(&servers, of(|turn| turn.0), of(|turn| turn.1)))
}

/// One round of one server: a new process and, where it has one, a new data folder.
fn round(
    server: Server,
    ran: &mut Ran,
    disk: &mut Disk,
    over_sync: &mut Vec<(f64, f64)>,
) -> Result<(), Failure> {
    let folder = disk::folder()?;
    let (process, address) = server.start(folder.path())?;
    process.settle(SETTLE)?;
    let before = process.cpu_us()?;
    let seen = load::run(&address, server.dialect(), CONNECTIONS, LASTS)?;
    ran.cpu_us.push((process.cpu_us()? - before) / seen.answers);
    process.settle(SETTLE)?;
    ran.all_cpu_us.push((process.cpu_us()? - before) / seen.answers);
    ran.many.push(seen);
    if server != Server::Durable {
        ran.single.push(load::run(&address, server.dialect(), 1, SINGLE_LASTS)?);
        return Ok(());
    }
    // Short turns with the bare disk, whose mood changes by the second.
    for _ in 0..TURNS {
        let bare = disk.writes(SYNCS)?;
        let seen = load::run(&address, server.dialect(), 1, SINGLE_LASTS / TURNS)?;
        let sync_us = median(&[bare, disk.writes(SYNCS)?].concat());
        over_sync.push((seen.p50_us / sync_us, sync_us));
        ran.single.push(seen);
    }
    Ok(())
}

fn report(servers: &[(Server, Ran)], over_sync: f64, sync_us: f64) -> Section {
    let find = |wanted: Server| servers.iter().find(|(server, _)| *server == wanted);
    let rate = |wanted| find(wanted).map_or(f64::NAN, |(_, ran)| ran.of(|seen| seen.rate));
    let mut section = Section::new("Over HTTP");
    section.targets();
    let (memory, durable) = (Server::Memory, Server::Durable);
    let empty = rate(Server::Empty);
    section.target("http_over_empty", rate(memory) / empty, Target::Floor(0.45, 0.6));
    section.target("http_durable_over_empty", rate(durable) / empty, Target::Floor(0.3, 0.5));
    section.target("durable_single_over_fdatasync", over_sync, Target::AtMost(3.0));
    section.number("http_durable_over_memory", rate(durable) / rate(memory));
    section.number("fdatasync_300_bytes_us", sync_us);
    if find(Server::Cerbos).is_some() {
        section.number("cerbos_http_over_empty", rate(Server::Cerbos) / empty);
        section.number("http_durable_over_cerbos", rate(durable) / rate(Server::Cerbos));
    }
    section.line("");
    section.line(
        "| | requests/s | of the empty handler | p50 µs | p99 µs | server CPU µs per decision | \
         with what follows | load's CPU | one connection, p50 µs |",
    );
    section.line("|---|---|---|---|---|---|---|---|---|");
    for (server, ran) in servers {
        let (cpu, all_cpu) = (median(&ran.cpu_us), median(&ran.all_cpu_us));
        let (p50, p99) = (ran.of(|seen| seen.p50_us), ran.of(|seen| seen.p99_us));
        let rate = ran.of(|seen| seen.rate);
        section.line(format!(
            "| {} | {rate:.0} | {:.2} | {p50:.0} | {p99:.0} | {cpu:.1} | {all_cpu:.1} | {:.0} % | {:.0} |",
            server.words(),
            rate / empty,
            ran.of(|seen| seen.busy) * 100.0,
            ran.single_p50_us(),
        ));
        let key = server.key();
        section.number(&format!("http_{key}_requests_per_s"), rate);
        section.number(&format!("http_{key}_p99_us"), p99);
        section.number(&format!("http_{key}_single_p50_us"), ran.single_p50_us());
        section.number(&cpu_key(*server), cpu);
    }
    section.line("");
    section.line(notes(sync_us, find(Server::Cerbos).is_some()));
    section
}

fn cpu_key(server: Server) -> String {
    match server {
        Server::Durable => "server_cpu_us_per_decision".to_owned(),
        other => format!("{}_cpu_us_per_decision", other.key()),
    }
}

fn notes(sync_us: f64, with_cerbos: bool) -> String {
    let cerbos = if with_cerbos {
        "Cerbos answers a role and one condition over one policy, and keeps no record."
    } else {
        "Cerbos was left out: its Node package is not installed (`make tools`)."
    };
    format!(
        "{CONNECTIONS} keep-alive connections over as many sessions, each under a token of its \
         own; {} policies, six candidates; the server on processor {SERVER_PROCESSOR} with all \
         its threads, the load on processor {LOAD_PROCESSOR}; medians of {ROUNDS} rounds of {} s \
         in turns, a new process and a new data folder each. One fdatasync of 300 bytes into a \
         preallocated file on the same disk takes {sync_us:.0} µs. `with what follows` adds what \
         the server does once the answers are out: the read model and the published log. Left \
         out: TLS, traces, and the outcomes of permits. {cerbos}",
        server::POLICIES,
        LASTS.as_secs(),
    )
}

/// The keys of sessions, as the binary has them.
fn store_vault(options: &StoreOptions) -> Result<Arc<dyn Vault>, Failure> {
    Ok(Arc::new(safeconduct_store::Vault::open(&options.keys)?))
}
