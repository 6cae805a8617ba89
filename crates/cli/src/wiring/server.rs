//! A running server: store, decision point, gateway, API, and what keeps them going.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use safeconduct_api::{Api, ApiConfig, Hosts, Tls};
use safeconduct_directory::fetch::Network;
use safeconduct_gateway::Gateway;
use safeconduct_ledger::Origin;
use safeconduct_model::{Identity, IdentityStatus};
use safeconduct_pages::Pages;
use safeconduct_pep::InProcess;
use safeconduct_service::{
    Attachment, Clock, EnforcementPoints, Heard, Ledger, Pace, PolicyGate, Ports, Service,
    Settings, World,
};
use safeconduct_store::{AttachmentState, Store, StoreOptions, Vault};
use safeconduct_wire::config::{ApprovalsForm, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exit::{CommandError, failed, not_valid};
use crate::socket::{self, Door};
use crate::system::{SystemClock, UuidIds};
use crate::wiring::counted::Counted;
use crate::wiring::notices::Notices;
use crate::wiring::project::{Project, Rules};
use crate::wiring::prover::{Trust, Trusted};
use crate::wiring::reload::{Outward, Reloader};
use crate::wiring::signals::Signals;
use crate::wiring::tls::Certificate;
use crate::wiring::{
    ages, bootstrap, findings, gate, leases, pages, reviews, risk, telemetry, token_service,
    upstream,
};

/// How often overdue outcomes and tasks are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How long a server that was told to stop waits for what is under way.
const DRAIN: Duration = Duration::from_secs(10);

/// A server that runs.
pub(crate) struct Running {
    /// The decision point.
    pub(crate) service: Arc<Service>,
    /// The ledger's files.
    pub(crate) store: Arc<Store>,
    /// The gateway.
    pub(crate) gateway: Gateway<Counted>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Policies and catalogue, and loading them again.
    pub(crate) reloader: Arc<Reloader>,
    /// Where the administrator's token was written, if one was made now.
    pub(crate) administrator: Option<PathBuf>,
    api: Api,
    pages: Option<Pages>,
    stop: CancellationToken,
    tasks: TaskTracker,
    detectors: Option<JoinHandle<()>>,
}

/// When a server is to end.
pub(crate) struct Ending {
    terminate: Signal,
    interrupt: Signal,
    stop: CancellationToken,
}

impl Ending {
    /// Waits for SIGINT, SIGTERM, or until the server stops by itself.
    pub(crate) async fn come(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Starts a server for a project.
///
/// # Errors
/// The data folder is owned by another process, the ledger is damaged, the address is taken, or
/// an upstream's configuration does not fit.
pub(crate) async fn start(project: Project, listen: SocketAddr) -> Result<Running, CommandError> {
    let Project { file, config, rules } = project;
    outlive_file_limits()?;
    let config = Arc::new(config);
    let store = Arc::new(open_store(&config)?);
    let next = store.records();
    let (service, heard) = restore(&config, &rules, &store, Arc::new(SystemClock))?;
    let service = Arc::new(service);
    let first = gate::at_start(&service, &config, &rules)?;
    enter(&service, &config, &rules).await?;
    gate::begun(&service, first).await?;
    let administrator = bootstrap::administrator(&service, &config.keys).await?;

    let trusted = Trusted::of(&config, &folder_of(&file)?, None)?;
    let trust = Arc::new(Trust::enter(&service, trusted).await?);
    service.set_targets(leases::targets(&config)?);
    token_service::open(&service, &config)?;
    let mut gateway_config = upstream::gateway_config(&config)?;
    gateway_config.injections = leases::Leasing::of(&config, &service)?.map(|i| i as _);
    let decide = Counted::new(InProcess::new(Arc::clone(&service)));
    let gateway = Gateway::new(gateway_config, Arc::new(decide.clone()))
        .map_err(|error| failed("upstreams", error))?;
    if let Some(resource) = token_service::gateway_resource(&config)? {
        gateway.describe(resource);
    }
    let reloader = Arc::new(Reloader::new(
        Arc::clone(&service),
        Arc::clone(&config),
        file,
        Outward { gateway: gateway.clone(), trust: Arc::clone(&trust) },
    ));

    let folder = Arc::clone(&reloader) as Arc<dyn PolicyGate>;
    service.set_policy_gate(&folder);
    let points = Arc::clone(&reloader) as Arc<dyn EnforcementPoints>;
    service.set_enforcement_points(&points);
    service.resume_remediations().await;
    if let Err(error) = service.resume_imports().await {
        tracing::error!(%error, "an import that died is not done to its end");
    }
    if let Err(error) = service.resume_proposals().await {
        tracing::error!(%error, "a change of the policies that was approved is not in force");
    }

    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| failed(&format!("cannot listen on {listen}"), error))?;
    let address = listener.local_addr().map_err(|error| failed("listener", error))?;
    let api_config = ApiConfig {
        base_url: format!("{}://{address}", scheme(&config)),
        hosts: Hosts::Only(token_service::hosts(&config)),
        origins: config.origins.clone(),
    };
    let read = Arc::new(store.read_model());
    let api = Api::new(Arc::clone(&service), read, Arc::clone(&reloader) as _, &api_config)
        .map_err(|error| failed("api", error))?;
    if let Some(sign_in) = &config.sign_in {
        api.lead_to_pages(sign_in.base_url.clone());
    }
    decide.count_in(api.metrics());
    let signals = Arc::new(Signals::open(&service, &config, heard)?);
    let notices = Arc::new(Notices::open(&service, signals.streams(), &config)?);
    api.open_signals(signals.edges(&notices));
    reloader.count_in(api.metrics());

    let pages = pages::pages(&config, &service, &trust)?;
    let mut running = Running {
        service,
        store,
        gateway,
        address,
        reloader,
        administrator,
        api,
        pages,
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        detectors: None,
    };
    let certificate = config.tls.as_ref().map(Certificate::read).transpose()?;
    if certificate.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "PLAIN HTTP BEYOND THIS MACHINE: tokens and data can be read and changed on the way; \
             set `tls`, or listen on loopback behind a proxy that ends TLS"
        );
    }
    running.serve(listener, certificate.as_ref().map(|certificate| certificate.tls.clone()));
    if let Some(certificate) = certificate {
        running.tasks.spawn(certificate.watch(running.stop.clone()));
    }
    running.sweep();
    let (service, stop) = (Arc::clone(&running.service), running.stop.clone());
    running.tasks.spawn(leases::settle(service, stop));
    let (service, stop) = (Arc::clone(&running.service), running.stop.clone());
    running.tasks.spawn(token_service::tend(service, stop));
    let (service, stop) = (Arc::clone(&running.service), running.stop.clone());
    let ledger = Arc::new(running.store.read_model());
    running.tasks.spawn(reviews::tend(service, ledger, stop));
    running.watch();
    running.detectors = risk::detect(&running.service)?;
    running.tasks.spawn(signals.tend(running.stop.clone()));
    let read = Arc::new(running.store.read_model());
    let (service, stop) = (Arc::clone(&running.service), running.stop.clone());
    let every = Duration::from_secs(config.findings.look_every.0.seconds.into());
    running.tasks.spawn(findings::tend(service, read, every, stop));
    running.tasks.spawn(ages::tell(Arc::clone(&running.service)));
    let told = Arc::new(running.store.read_model());
    notices.run(told, next, &config, &running.tasks, &running.stop)?;
    running.tasks.spawn(trust.watch(running.stop.clone()));
    Ok(running)
}

/// The decision point of a project at another time, with nothing around it: for histories.
///
/// # Errors
/// As [`start`].
pub(crate) async fn at(
    project: &Project,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<Store>, Service), CommandError> {
    let store = Arc::new(open_store(&project.config)?);
    let (service, _) = restore(&project.config, &project.rules, &store, clock)?;
    enter(&service, &project.config, &project.rules).await?;
    Ok((store, service))
}

/// The scheme of the server's URL.
pub(crate) const fn scheme(config: &Config) -> &'static str {
    if config.tls.is_some() { "https" } else { "http" }
}

/// The folder of the configuration, where its paths start.
pub(crate) fn folder_of(file: &Path) -> Result<PathBuf, CommandError> {
    let absolute = std::path::absolute(file);
    let absolute = absolute.map_err(|error| failed(&file.display().to_string(), error))?;
    Ok(absolute.parent().unwrap_or(Path::new("/")).to_owned())
}

/// A write beyond the process's file-size limit fails like one on a full disk, instead of ending
/// the process: the ledger then says why it takes no records.
fn outlive_file_limits() -> Result<(), CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    // SIGXFSZ on Linux and macOS alike. Having a handler is all that is wanted; it stays.
    let kind = SignalKind::from_raw(25);
    signal(kind).map(drop).map_err(|error| failed("signals", error))
}

fn open_store(config: &Config) -> Result<Store, CommandError> {
    let mut options = StoreOptions::new(config.data.clone(), config.keys.clone(), origin()?);
    options.queue_entries = config.queue;
    Store::open(options).map_err(|error| failed("the ledger cannot be opened", error))
}

/// The name of a ledger whose key is made now.
pub(crate) fn origin() -> Result<Origin, CommandError> {
    let name = format!("safeconduct/{}", uuid::Uuid::new_v4().simple());
    Origin::new(&name).map_err(|error| failed("the ledger's name", error))
}

/// Reads all records into the state that they make.
fn restore(
    config: &Config,
    rules: &Rules,
    store: &Arc<Store>,
    clock: Arc<dyn Clock>,
) -> Result<(Service, Heard), CommandError> {
    let vault =
        Vault::open(&config.keys).map_err(|error| failed("the keys cannot be used", error))?;
    let ports = Ports {
        ledger: Arc::clone(store) as Arc<dyn Ledger>,
        vault: Arc::new(vault),
        clock,
        ids: Arc::new(UuidIds),
    };
    let settings = Settings {
        calls_max: config.session_calls,
        tiers: config.tiers.clone(),
        thresholds: config.findings.to_thresholds(),
        ..asking(&config.approvals)
    };
    let world = World::new(
        Arc::clone(&rules.policies),
        Arc::clone(&rules.catalogue),
        rules.catalogue_digest,
        Arc::clone(&rules.vocabulary),
    );
    let service = Service::new(ports, settings, world);
    risk::prepare(&service, config)?;
    let mut fold = service.restore();
    let mut heard = Heard::default();
    for placed in store.replay(0) {
        let placed = placed.map_err(|error| failed("the ledger cannot be read", error))?;
        let attachment = match placed.attachment {
            AttachmentState::Present => Attachment::Present,
            _ => Attachment::Absent,
        };
        fold.apply(placed.sequence, &placed.record, attachment)
            .map_err(|error| failed("the ledger cannot be folded", error))?;
        heard.apply(&placed.record);
    }
    let unknown = fold.finish();
    if unknown > 0 {
        tracing::warn!(unknown, "permits of the process before have no outcome");
    }
    Ok((service, heard))
}

/// Records that this process is in charge, of which rules and which identities.
async fn enter(service: &Service, config: &Config, rules: &Rules) -> Result<(), CommandError> {
    let started = service.record_start(env!("CARGO_PKG_VERSION")).await;
    started.map_err(|error| failed("the ledger", error))?;
    let entered = service.change_rules(rules.in_force(), "start").await;
    entered.map_err(|error| failed("the ledger", error))?;
    for identity in &config.identities {
        bootstrap::register(service, named(service, identity, rules)?).await?;
    }
    Ok(())
}

/// An identity of the configuration, the types of its registration as the schema names them. A
/// person's or a finding's word that it is stopped outlives a restart.
fn named(service: &Service, identity: &Identity, rules: &Rules) -> Result<Identity, CommandError> {
    let mut identity = identity.clone();
    if let Some(known) = service.world().identity(&identity.id)
        && known.status != IdentityStatus::Active
    {
        identity.status = known.status;
    }
    if let Some(pep) = &mut identity.pep {
        for types in [&mut pep.subjects, &mut pep.resources] {
            let resolved = types.iter().map(|ty| {
                rules.policies.resolve_type(ty.as_str()).ok_or_else(|| {
                    not_valid(format!(
                        "identity `{}`: no schema declares the type `{ty}` of its `pep`",
                        identity.id
                    ))
                })
            });
            *types = resolved.collect::<Result<_, _>>()?;
        }
    }
    Ok(identity)
}

/// How people are asked.
fn asking(form: &ApprovalsForm) -> Settings {
    let shipped = Settings::default();
    let ms = |said: Option<u32>, shipped| said.map_or(shipped, |s| i64::from(s) * 1000);
    Settings {
        pace: Pace {
            asked_per_hour: form.asked_per_hour.unwrap_or(shipped.pace.asked_per_hour),
            refusal_holds_ms: ms(form.refusal_holds_s, shipped.pace.refusal_holds_ms),
        },
        answer_within_ms: ms(form.answer_within_s, shipped.answer_within_ms),
        ..shipped
    }
}

impl Running {
    fn serve(&self, listener: TcpListener, tls: Option<Tls>) {
        let router = self.api.router().merge(self.gateway.router());
        let router = match &self.pages {
            Some(pages) => router.merge(pages.router()),
            None => router,
        };
        let router = match self.reloader.config().otlp_endpoint {
            Some(_) => telemetry::traced(router),
            None => router,
        };
        let proxies = &self.reloader.config().proxies;
        // The configuration's form has let nothing else through.
        let proxies: Vec<_> = proxies.iter().filter_map(|text| Network::parse(text)).collect();
        let router = match proxies.is_empty() {
            true => router,
            false => safeconduct_api::behind_proxies(router, move |address| {
                proxies.iter().any(|network| network.contains(address))
            }),
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let stopped = async move { stop.cancelled().await };
            match tls {
                None => safeconduct_api::serve(listener, router, stopped).await,
                Some(tls) => safeconduct_api::serve_tls(listener, tls, router, stopped).await,
            }
        });
    }

    /// Records overdue outcomes and ends overdue tasks, once a second.
    fn sweep(&self) {
        let (service, stop) = (Arc::clone(&self.service), self.stop.clone());
        self.tasks.spawn(async move {
            let mut every = tokio::time::interval(SWEEP_EVERY);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = every.tick() => {
                        service.sweep();
                        // Whoever asks in an overdue task finds it ended all the same: this is
                        // for those in which nobody asks any more.
                        service.sweep_tasks();
                        service.sweep_delegations();
                        service.sweep_access();
                        service.sweep_remediations().await;
                    }
                }
            }
        });
    }

    /// Loads policies and catalogue again when a file changes or SIGHUP comes.
    fn watch(&self) {
        let (reloader, stop) = (Arc::clone(&self.reloader), self.stop.clone());
        self.tasks.spawn(async move { reloader.watch(stop).await });
    }

    /// The URL of the server.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", scheme(self.reloader.config()), self.address)
    }

    /// Lets wrapped servers of the same user join through a Unix socket. Where a time is given,
    /// the server stops once nobody has been connected for so long.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) fn open_socket(&self, idle_exit_s: Option<u64>) -> Result<PathBuf, CommandError> {
        let (file, config) = (self.reloader.file(), self.reloader.config());
        let door = Door {
            socket: socket::path(file, config)?,
            file: socket::absolute(file)?,
            config: Arc::clone(config),
            gateway: self.gateway.clone(),
            service: Arc::clone(&self.service),
        };
        let path = door.socket.clone();
        let clients = socket::listen(door, self.stop.clone(), &self.tasks)?;
        if let Some(after) = idle_exit_s.map(Duration::from_secs) {
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = socket::idle(clients, after) => stop.cancel(),
                    () = stop.cancelled() => {}
                }
            });
        }
        Ok(path)
    }

    /// Listens for SIGINT and SIGTERM: to be called before anybody is told that it runs, so that
    /// none of them ends the process as it stands.
    ///
    /// # Errors
    /// Signals cannot be listened for.
    pub(crate) fn ending(&self) -> Result<Ending, CommandError> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| failed("signals", error));
        let (terminate, interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Ending { terminate, interrupt, stop: self.stop.clone() })
    }

    /// Stops: no new requests, what is under way has ten seconds, the ledger is written out.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.api.stop();
        self.gateway.shutdown().await;
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some requests did not end in time and are cut off");
        }
        let Self { service, store, detectors, .. } = self;
        let finished = tokio::task::spawn_blocking(move || {
            // They append what they find: the ledger outlives them. Their thread, and whatever is
            // cut off, hold it too, so that letting go of it here would not be its end.
            service.stop_detectors();
            if detectors.is_some_and(|detectors| detectors.join().is_err()) {
                tracing::error!("the detectors ended before their time");
            }
            store.finish();
        });
        if let Err(error) = finished.await {
            tracing::error!(%error, "the ledger was not written out");
        }
    }
}
