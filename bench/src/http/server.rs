//! The servers that are compared, each in a process of its own: an empty handler, and Safeconduct
//! with a ledger that forgets, or with the ledger on the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use safeconduct_api::{
    Api, ApiConfig, BODY_BYTES_MAX, Controls, Hosts, PolicyStatus, Reloading, UpstreamView,
};
use safeconduct_ledger::Origin;
use safeconduct_model::{
    Digest, EntityId, EntityType, IdentityId, RecordId, Timestamp, Token, TokenId,
};
use safeconduct_policy::load;
use safeconduct_service::memory::{MemoryLedger, MemoryVault};
use safeconduct_service::{
    Clock, Grown, Ids, Ledger, Page, Ports, ReadError, ReadModel, RecordQuery, SeenAs, Service,
    Settings, UseQuery, UsesPage, World,
};
use safeconduct_store::{Store, StoreOptions};
use tokio::net::TcpListener;

use super::requests::{CONNECTIONS, bearer};
use crate::report::say;
use crate::section::Failure;
use crate::world::{self, Naming};

/// Policies that the server decides by.
pub(crate) const POLICIES: usize = 1_000;

/// Serves until it is ended; says its address first.
pub(crate) fn child(kind: &str, folder: &str) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let router = match kind {
            "empty" => empty(),
            "memory" => forgetful(&address).await?,
            "durable" => durable(&address, Path::new(folder)).await?,
            _ => return Err(format!("there is no server `{kind}`").into()),
        };
        say(&address);
        safeconduct_api::serve(listener, router, std::future::pending()).await;
        Ok(())
    })
}

/// The same stack, the same body read, an answer of the same size, and nothing in between.
fn empty() -> Router {
    Router::new().route("/access/v1/evaluation", post(nothing))
}

async fn nothing(request: Request) -> Response {
    const ANSWER: &str = r#"{"decision":true,"context":{"decision_id":"dec_0123456789abcdef0123456789abcdef","reasons":[{"code":"policy","policy":"own-case-0","message":"permitted by `own-case-0`"}],"obligations":[]}}"#;
    match to_bytes(request.into_body(), BODY_BYTES_MAX).await {
        Ok(body) => {
            std::hint::black_box(body);
            let json = [(http::header::CONTENT_TYPE, "application/json")];
            (json, Body::from(ANSWER)).into_response()
        }
        Err(_) => http::StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

async fn forgetful(address: &str) -> Result<Router, Failure> {
    let ports = Ports {
        ledger: Arc::new(MemoryLedger::forgetful()),
        vault: Arc::new(MemoryVault),
        clock: Arc::new(SystemClock),
        ids: Arc::new(UuidIds),
    };
    router(address, ports, Arc::new(NothingRead)).await
}

async fn durable(address: &str, folder: &Path) -> Result<Router, Failure> {
    let origin = Origin::new("safeconduct/bench")?;
    let options = StoreOptions::new(folder.join("data"), folder.join("keys"), origin);
    let vault = super::store_vault(&options)?;
    let store = Arc::new(Store::open(options)?);
    let read = Arc::new(store.read_model());
    let ports = Ports {
        ledger: Arc::clone(&store) as Arc<dyn Ledger>,
        vault,
        clock: Arc::new(SystemClock),
        ids: Arc::new(UuidIds),
    };
    router(address, ports, read).await
}

async fn router(address: &str, ports: Ports, read: Arc<dyn ReadModel>) -> Result<Router, Failure> {
    let policies = load(&world::sources(world::policy_files(POLICIES, Naming::Itself))?)?.policies;
    let catalogue = Arc::new(world::catalogue(Naming::Itself)?);
    let digest = Digest::from_bytes([2; 32]);
    let world = World::new(Arc::new(policies), catalogue, digest, world::vocabulary()?);
    let settings = Settings { calls_max: u64::MAX, ..Settings::default() };
    let service = Arc::new(Service::new(ports, settings, world));
    register(&service).await?;
    let config = ApiConfig {
        base_url: format!("http://{address}"),
        hosts: Hosts::Only([].into()),
        origins: [].into(),
    };
    Ok(Api::new(service, read, Arc::new(NoControls), &config)?.router())
}

/// The agents that are asked about, and one enforcement point with a token for each connection.
async fn register(service: &Service) -> Result<(), Failure> {
    let by = IdentityId::new("bench")?;
    for number in 0..CONNECTIONS {
        service.change_identity(world::agent(number)?, &by).await?;
    }
    let pep = world::enforcement_point()?;
    let identity = pep.id.clone();
    service.change_identity(pep, &by).await?;
    let now = service.now();
    for number in 0..CONNECTIONS {
        let token = Token {
            id: TokenId::new(format!("tok_{number:032}"))?,
            identity: identity.clone(),
            digest: bearer(number).digest(),
            issued_at: now,
            expires_at: now.plus_ms(86_400_000),
            revoked: false,
        };
        service.register_token(token, &by).await?;
    }
    Ok(())
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// As the binary makes them.
struct UuidIds;

impl Ids for UuidIds {
    #[expect(clippy::expect_used, reason = "a prefix and 32 hexadecimal digits are a name")]
    fn record(&self, prefix: &'static str) -> RecordId {
        let mut digits = uuid::Uuid::encode_buffer();
        let digits = uuid::Uuid::now_v7().simple().encode_lower(&mut digits);
        RecordId::new([prefix, "_", &*digits].concat())
            .expect("a prefix and 32 hexadecimal digits are a name")
    }
}

struct NoControls;

impl Controls for NoControls {
    fn policies(&self) -> PolicyStatus {
        PolicyStatus::default()
    }

    fn reload<'a>(&'a self, _: &'a IdentityId) -> Reloading<'a> {
        Reloading(Box::pin(std::future::ready(Ok(PolicyStatus::default()))))
    }

    fn upstreams(&self) -> Vec<UpstreamView> {
        Vec::new()
    }
}

/// The read model of a ledger that forgets.
struct NothingRead;

impl NothingRead {
    const PAGE: Page = Page { records: Vec::new(), read_up_to: 0 };
}

impl ReadModel for NothingRead {
    fn query(&self, _: &RecordQuery) -> Result<Page, ReadError> {
        Ok(Self::PAGE)
    }

    fn record(&self, _: &RecordId) -> Result<Page, ReadError> {
        Ok(Self::PAGE)
    }

    fn from(&self, _: u64, _: usize) -> Result<Page, ReadError> {
        Ok(Self::PAGE)
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
        Grown(Box::pin(std::future::pending()))
    }

    fn checkpoint(&self) -> Result<Option<String>, ReadError> {
        Ok(None)
    }
}
