//! Where leases are issued, what is injected into calls, and taking both back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use safeconduct_broker::{PostgresIssuer, SecretsIssuer};
use safeconduct_credential::inject::{Injection, Place};
use safeconduct_credential::lease::{Backoff, LeaseTerms};
use safeconduct_gateway::{Injected, Injections, NoSecrets, Secrets};
use safeconduct_model::{Authentication, ServerName, TargetName, TaskId, Timestamp};
use safeconduct_service::{Awaited, Issuer, Secret, Service, Target, Watch};
use safeconduct_wire::config::{Config, SecretPlace, SecretUse, TargetKind};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::exit::{CommandError, failed};

/// The targets that a configuration describes.
///
/// # Errors
/// One cannot be used as it is described.
pub(crate) fn targets(config: &Config) -> Result<BTreeMap<TargetName, Target>, CommandError> {
    let target = |(name, target): (&TargetName, &safeconduct_wire::config::Target)| {
        let what = format!("targets.{name}");
        let issuer: Arc<dyn Issuer> = match &target.kind {
            TargetKind::Postgres(postgres) => Arc::new(
                PostgresIssuer::new(name.clone(), postgres.clone(), target.timeout_s)
                    .map_err(|error| failed(&what, error))?,
            ),
            TargetKind::Secrets(secrets) => Arc::new(
                SecretsIssuer::new(name.clone(), secrets, target.timeout_s)
                    .map_err(|error| failed(&what, error))?,
            ),
        };
        let terms = LeaseTerms {
            ttl_ms: i64::from(target.ttl_s) * 1000,
            ttl_max_ms: i64::from(target.ttl_max_s) * 1000,
        };
        Ok((name.clone(), Target { issuer, terms, backoff: Backoff::default() }))
    };
    config.targets.iter().map(target).collect()
}

/// What the gateway puts into calls: leased for the task of each call, and only for it.
pub(crate) struct Leasing {
    service: Arc<Service>,
    uses: Vec<Use>,
    /// What calls without a task get.
    nothing: Arc<Secrets>,
    /// What was given for a task and an upstream, for as long as the secrets are the same.
    given: Mutex<BTreeMap<(ServerName, TaskId), Given>>,
}

/// Most tasks and upstreams whose secrets are kept in mind; beyond it all are forgotten, and
/// leased or looked up again.
const GIVEN_MAX: usize = 10_000;

struct Given {
    of: Vec<Arc<Secret>>,
    secrets: Arc<Secrets>,
}

impl Given {
    fn is_of(&self, all: &[Injected]) -> bool {
        self.of.len() == all.len()
            && self.of.iter().zip(all).all(|(a, b)| Arc::ptr_eq(a, &b.secret))
    }
}

struct Use {
    target: TargetName,
    name: Arc<str>,
    upstream: ServerName,
    injection: Injection,
}

impl Leasing {
    /// Those of a configuration; `None` where it injects nothing.
    ///
    /// # Errors
    /// A secret cannot go where it is to go.
    pub(crate) fn of(
        config: &Config,
        service: &Arc<Service>,
    ) -> Result<Option<Arc<Self>>, CommandError> {
        let mut uses = Vec::new();
        for (target, described) in &config.targets {
            let TargetKind::Secrets(secrets) = &described.kind else { continue };
            for (name, of) in &secrets.uses {
                let injection = injection(of)
                    .map_err(|problem| failed(&format!("targets.{target}.{name}"), problem))?;
                let upstream = of.upstream.clone();
                let name = Arc::from(name.as_str());
                uses.push(Use { target: target.clone(), name, upstream, injection });
            }
        }
        if uses.is_empty() {
            return Ok(None);
        }
        let nothing = Secrets::new(Vec::new()).map_err(|error| failed("targets", error))?;
        let (service, given) = (Arc::clone(service), Mutex::default());
        Ok(Some(Arc::new(Self { service, uses, nothing: Arc::new(nothing), given })))
    }

    async fn leased(
        &self,
        upstream: &ServerName,
        of: Option<&Authentication>,
    ) -> Result<Arc<Secrets>, NoSecrets> {
        // What does not act in a task gets nothing; the upstream refuses what needs a secret.
        let Some((by, task)) = of.and_then(|by| Some((by, by.task.as_ref()?))) else {
            return Ok(Arc::clone(&self.nothing));
        };
        let mandate = self.service.mandate(&task.id);
        let mandate = mandate.ok_or_else(|| NoSecrets("the task has ended".into()))?;
        let mut all = Vec::new();
        for of in self.uses.iter().filter(|of| of.upstream == *upstream) {
            let granted = mandate.authority.credentials.get(&of.target);
            if !granted.is_some_and(|grants| grants.contains(&of.name)) {
                continue;
            }
            let secret = self.service.secret_for(by, &of.target, &of.name).await;
            let secret = secret.map_err(|error| NoSecrets(error.to_string()))?;
            let (name, injection) = (Arc::clone(&of.name), of.injection.clone());
            all.push(Injected { name, injection, secret });
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (upstream.clone(), task.id.clone());
        if let Some(known) = given.get(&key).filter(|known| known.is_of(&all)) {
            return Ok(Arc::clone(&known.secrets));
        }
        let of = all.iter().map(|one| Arc::clone(&one.secret)).collect();
        let made = Secrets::new(all).map_err(|error| NoSecrets(error.to_string()))?;
        let secrets = Arc::new(made);
        if given.len() >= GIVEN_MAX {
            given.clear();
        }
        given.insert(key, Given { of, secrets: Arc::clone(&secrets) });
        Ok(secrets)
    }
}

impl Injections for Leasing {
    fn concerns(&self, upstream: &ServerName) -> bool {
        self.uses.iter().any(|of| of.upstream == *upstream)
    }

    fn secrets<'a>(
        &'a self,
        upstream: &'a ServerName,
        of: Option<&'a Authentication>,
    ) -> Awaited<'a, Result<Arc<Secrets>, NoSecrets>> {
        Awaited::of(self.leased(upstream, of))
    }
}

fn injection(of: &SecretUse) -> Result<Injection, String> {
    let place = match &of.place {
        SecretPlace::Header(name) => Place::Header(name.as_str().into()),
        SecretPlace::Query(name) => Place::Query(name.as_str().into()),
        SecretPlace::Env(name) => Place::Env(name.as_str().into()),
        SecretPlace::Json(pointer) => Place::Json(pointer.as_str().into()),
    };
    Injection::new(of.upstream.clone(), place, &of.template).map_err(|error| error.to_string())
}

/// What those who take leases back wait for.
#[derive(Default)]
struct Bell {
    ended: Notify,
    leased: Notify,
    /// When the first of the leases is over that were issued since somebody looked.
    first: Mutex<Option<Timestamp>>,
}

impl Bell {
    fn first(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Bell {
    fn ended(&self) {
        self.ended.notify_one();
    }

    fn leased(&self, until: Timestamp) {
        let mut first = self.first();
        *first = sooner(*first, Some(until));
        self.leased.notify_one();
    }
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// Most rounds of taking leases back at once: one that waits for a slow target holds up nobody
/// else's.
const ROUNDS_MAX: usize = 8;

/// Takes leases back as soon as their task has ended or their time is over, and tries again what
/// did not work, until told to stop; then what has ended by that moment.
pub(crate) async fn settle(service: Arc<Service>, stop: CancellationToken) {
    let bell = Arc::new(Bell::default());
    let watch: Arc<dyn Watch> = Arc::clone(&bell) as _;
    service.watch(&watch);
    let mut rounds = JoinSet::new();
    let mut due = true;
    let mut next: Option<Timestamp> = None;
    loop {
        if due && rounds.len() < ROUNDS_MAX {
            let service = Arc::clone(&service);
            rounds.spawn(async move { service.settle_leases().await });
            (due, next) = (false, None);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = bell.ended.notified() => due = true,
            () = bell.leased.notified() => next = sooner(next, bell.first().take()),
            Some(round) = rounds.join_next() => {
                next = sooner(next, round.ok().flatten());
            }
            () = until(&service, next), if !due => due = true,
        }
    }
    rounds.spawn(async move { service.settle_leases().await });
    while rounds.join_next().await.is_some() {}
}

async fn until(service: &Service, at: Option<Timestamp>) {
    let Some(at) = at else { return std::future::pending().await };
    let ms = at.ms_since(service.now()).max(1);
    tokio::time::sleep(std::time::Duration::from_millis(ms.unsigned_abs())).await;
}
