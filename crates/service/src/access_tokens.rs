//! The token service: what it issues for which resources, the keys that sign, and which of its
//! tokens are alive. Only a token whose record is in the ledger is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use safeconduct_credential::jose::{self, Algorithm, Expect, KeySet, Thumbprint};
use safeconduct_credential::token::{
    AccessToken, KeyRing, NonceKey, Once, SIGNING, StoredKey, own_tokens,
};
use safeconduct_model::{
    Allowance, Digest, IdentityId, IntentName, Lease, LeaseId, LeaseKind, LeaseState, Mandate,
    Minted, ServerName, TargetName, TaskId, Timestamp, TokenId, Value,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{LeaseView, Service, token_digest};

/// Most access tokens that are alive at one time. One more is refused.
pub const ACCESS_TOKENS_MAX: usize = 1_000_000;

/// Most checked tokens that are remembered.
const VERIFIED_MAX: usize = 65_536;

/// How the token service works.
#[derive(Debug, Clone)]
pub struct TokenServiceSettings {
    /// Its identifier, and the address of this server: scheme, host and port.
    pub issuer: Arc<str>,
    /// How long a token lasts, in seconds; at most 300.
    pub ttl_s: u32,
    /// What signs where the resource says nothing; one of [`SIGNING`].
    pub algorithm: Algorithm,
    /// Where DPoP proofs need a nonce of ours.
    pub dpop_nonce: DpopNonce,
    /// Whether clients can show a certificate in TLS.
    pub client_certificates: ClientCertificatesTaken,
    /// How long a key signs before the next one is made, in seconds.
    pub rotate_every_s: u32,
    /// What is special about clients, by identity. One without keys here may prove itself in
    /// other ways.
    pub clients: BTreeMap<IdentityId, RegisteredClient>,
    /// What tokens are issued for, by resource indicator (RFC 8707).
    pub resources: BTreeMap<Arc<str>, ProtectedBy>,
}

/// Where DPoP proofs need a nonce of ours (RFC 9449 sections 8 and 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DpopNonce {
    /// At the token endpoint, where one round trip more costs little.
    #[default]
    Needed,
    /// There, and with every request that presents a bound token: nobody can make proofs for
    /// later.
    Everywhere,
    /// Nowhere.
    NotNeeded,
}

/// Whether clients can show a certificate in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificatesTaken {
    /// They cannot.
    #[default]
    No,
    /// They can, and tokens are bound to it (RFC 8705).
    Yes,
}

/// What is special about a client: its keys, and what it usually does.
#[derive(Debug, Clone, Default)]
pub struct RegisteredClient {
    /// Those that sign its assertions (`private_key_jwt`).
    pub keys: KeySet,
    /// The certificates that it uses in TLS, by SHA-256 (`self_signed_tls_client_auth`).
    pub certificates: BTreeSet<Thumbprint>,
    /// The intent that it undertakes where its request by `client_credentials` names none.
    pub intent: Option<IntentName>,
}

/// A resource that takes our tokens.
#[derive(Debug, Clone, Default)]
pub struct ProtectedBy {
    /// The servers whose actions it is; `None` is every action of a task.
    pub servers: Option<BTreeSet<ServerName>>,
    /// Who may introspect tokens for it.
    pub readers: BTreeSet<IdentityId>,
    /// What signs tokens for it.
    pub algorithm: Option<Algorithm>,
    /// Whether its tokens must be bound to their holder.
    pub binding: Binding,
}

/// Whether tokens are bound to their holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binding {
    /// Where the client proves possession of something.
    #[default]
    AsProved,
    /// Always: without a proof there is no token.
    Needed,
}

/// Why keys could not be used: the deployment's fault. Holds no key material.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the keys of the token service cannot be used: {0}")]
pub struct TokenKeysError(pub Arc<str>);

/// Port: the keys that sign access tokens, and randomness. Crate `store` keeps them in a folder.
/// Its methods may block on a disk.
pub trait TokenKeys: Send + Sync + 'static {
    /// All keys.
    ///
    /// # Errors
    /// [`TokenKeysError`].
    fn all(&self) -> Result<Vec<StoredKey>, TokenKeysError>;

    /// Makes a key and keeps it.
    ///
    /// # Errors
    /// [`TokenKeysError`]; there is no new key.
    fn make(&self, algorithm: Algorithm, at: Timestamp) -> Result<(), TokenKeysError>;

    /// Removes a key.
    ///
    /// # Errors
    /// [`TokenKeysError`].
    fn remove(&self, algorithm: Algorithm, made_at: Timestamp) -> Result<(), TokenKeysError>;

    /// 32 random bytes.
    ///
    /// # Errors
    /// [`TokenKeysError`].
    fn random(&self) -> Result<Zeroizing<[u8; 32]>, TokenKeysError>;
}

/// What the service holds for its access tokens; closed until it is opened.
#[derive(Default)]
pub(crate) struct AccessTokens {
    desk: ArcSwapOption<Desk>,
    live: Mutex<Live>,
    /// Keys that may be in other hands, by id: none of them is ever used again.
    dropped: Arc<Dropped>,
}

/// Keys that may be in other hands, by public id.
#[derive(Default)]
pub(crate) struct Dropped(Mutex<BTreeSet<Arc<str>>>);

impl Dropped {
    pub(crate) fn insert(&self, key: &Arc<str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(key));
    }

    fn has(&self, key: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}

/// An open token service.
pub(crate) struct Desk {
    pub(crate) settings: TokenServiceSettings,
    pub(crate) nonce: NonceKey,
    /// Ids of DPoP proofs that were used.
    pub(crate) dpop_ids: Mutex<Once>,
    /// Ids of assertions that were used.
    pub(crate) assertion_ids: Mutex<Once>,
    /// What our own tokens must be.
    pub(crate) expect: Expect,
    pub(crate) keys: Arc<dyn TokenKeys>,
    /// Held while keys are made, removed and published: one after the other.
    pub(crate) tending: Mutex<()>,
    /// Keys that may be in other hands; shared with whatever desk is opened after this one.
    pub(crate) dropped: Arc<Dropped>,
    signing: ArcSwap<Signing>,
    verified: Mutex<HashMap<Digest, Arc<AccessToken>>>,
}

/// The keys, as they are now.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    pub(crate) ring: KeyRing,
    pub(crate) published: KeySet,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Desk({})", self.settings.issuer)
    }
}

/// The target by which access tokens are listed among leases.
pub const TOKEN_SERVICE: &str = "token-service";

/// The tokens that are alive.
#[derive(Default)]
pub(crate) struct Live {
    tokens: HashMap<TokenId, LiveToken>,
    sweep_at: usize,
}

struct LiveToken {
    task: TaskId,
    expires_at: Timestamp,
    withdrawn: bool,
    /// The key that signed it, where this process did.
    key: Option<Arc<str>>,
    /// What it allows; `None` until it was presented to this process.
    allowances: Option<Arc<[Allowance<Value>]>>,
    /// The mandate of its task, narrowed to that.
    narrowed: Option<Arc<Mandate>>,
}

impl Service {
    /// Opens the token service, or opens it again with other settings. Makes the first keys where
    /// there are none. Blocks on a disk.
    ///
    /// # Errors
    /// [`TokenKeysError`]; what was open stays open.
    pub fn open_token_service(
        &self,
        settings: TokenServiceSettings,
        keys: Arc<dyn TokenKeys>,
    ) -> Result<(), TokenKeysError> {
        let now = self.clock.now();
        let resources = settings.resources.keys().map(|resource| resource.to_string());
        let desk = Desk {
            expect: own_tokens(&settings.issuer, resources),
            nonce: NonceKey::new(&*keys.random()?),
            dpop_ids: Mutex::new(Once::since(now)),
            assertion_ids: Mutex::new(Once::since(now)),
            settings,
            keys,
            tending: Mutex::default(),
            dropped: Arc::clone(&self.access.dropped),
            signing: ArcSwap::default(),
            verified: Mutex::default(),
        };
        desk.tend(now)?;
        self.access.desk.store(Some(Arc::new(desk)));
        Ok(())
    }

    /// Makes keys that are due, removes those that are over, and publishes what is left. To be
    /// called every minute or so. Blocks on a disk.
    ///
    /// # Errors
    /// [`TokenKeysError`]; the keys before stay in use.
    pub fn tend_token_keys(&self) -> Result<(), TokenKeysError> {
        let desk = self.desk();
        desk.map_or(Ok(()), |desk| desk.tend(self.clock.now()))
    }

    pub(crate) fn desk(&self) -> Option<Arc<Desk>> {
        self.access.desk.load_full()
    }

    /// The access tokens that are alive, as leases at the token service: each ends with its task,
    /// and cannot be renewed.
    pub fn token_leases(&self) -> Vec<LeaseView> {
        let (Ok(target), now) = (TargetName::new(TOKEN_SERVICE), self.clock.now()) else {
            return Vec::new();
        };
        let alive: Vec<(TokenId, TaskId, Timestamp)> = {
            let live = self.access.live();
            let alive = live.tokens.iter().filter(|(_, token)| !token.withdrawn);
            alive.map(|(id, token)| (id.clone(), token.task.clone(), token.expires_at)).collect()
        };
        let alive = alive
            .into_iter()
            .filter(|(_, task, expires_at)| now < *expires_at && self.task_goes_on(task, now));
        let leases = alive.filter_map(|(id, task, expires_at)| {
            let lease = Lease {
                id: LeaseId::new(id.as_str()).ok()?,
                task,
                target: target.clone(),
                kind: LeaseKind::MintedToken,
                name: id.as_str().into(),
                planned_at: expires_at,
                expires_at,
                last_at: expires_at,
            };
            Some(LeaseView { lease, state: LeaseState::Issued })
        });
        leases.collect()
    }

    /// Whether tokens of our own are issued and taken.
    pub fn has_token_service(&self) -> bool {
        self.access.desk.load().is_some()
    }
}

impl Desk {
    /// The algorithms that sign for some resource.
    pub(crate) fn algorithms(&self) -> BTreeSet<Algorithm> {
        let used = self.settings.resources.values().filter_map(|resource| resource.algorithm);
        used.chain([self.settings.algorithm]).filter(|used| SIGNING.contains(used)).collect()
    }

    pub(crate) fn tend(&self, now: Timestamp) -> Result<(), TokenKeysError> {
        let _alone = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ring = self.kept()?;
        for (algorithm, made_at) in ring.take_out(|key| self.dropped.has(key)) {
            self.keys.remove(algorithm, made_at)?;
        }
        let every_ms = i64::from(self.settings.rotate_every_s) * 1000;
        let due = self.algorithms();
        let due: Vec<_> = due.into_iter().filter(|a| ring.is_due(*a, every_ms, now)).collect();
        if !due.is_empty() {
            due.into_iter().try_for_each(|algorithm| self.keys.make(algorithm, now))?;
            ring = self.kept()?;
        }
        for (algorithm, made_at) in ring.over(now) {
            self.keys.remove(algorithm, made_at)?;
        }
        self.publish(ring, now)
    }

    /// All keys that lie on the disk, those included that are never to be used again.
    pub(crate) fn kept(&self) -> Result<KeyRing, TokenKeysError> {
        KeyRing::new(self.keys.all()?).map_err(|error| TokenKeysError(error.to_string().into()))
    }

    /// Stops using the keys that were dropped; the disk is left as it is.
    pub(crate) fn set_aside(&self, now: Timestamp) -> Result<(), TokenKeysError> {
        let _alone = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ring = self.kept()?;
        ring.take_out(|key| self.dropped.has(key));
        self.publish(ring, now)
    }

    fn publish(&self, ring: KeyRing, now: Timestamp) -> Result<(), TokenKeysError> {
        let published = ring.published(now);
        let published = published.map_err(|error| TokenKeysError(error.to_string().into()))?;
        let changed = self.signing.load().published != published;
        self.signing.store(Arc::new(Signing { ring, published }));
        if changed {
            self.remembered().clear();
        }
        Ok(())
    }

    pub(crate) fn signing(&self) -> Arc<Signing> {
        self.signing.load_full()
    }

    /// The one who knows what a token says whose signature was checked before.
    fn remembered(&self) -> MutexGuard<'_, HashMap<Digest, Arc<AccessToken>>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a token is ours, or says so.
    pub(crate) fn knows(&self, token: &str) -> bool {
        token.contains('.')
            && (self.recall(&token_digest(token)).is_some()
                || jose::peek(token)
                    .is_ok_and(|said| said.issuer.as_deref() == Some(&*self.settings.issuer)))
    }

    pub(crate) fn recall(&self, token: &Digest) -> Option<Arc<AccessToken>> {
        self.remembered().get(token).cloned()
    }

    /// Remembers what a token says whose signature was checked against those keys, where they are
    /// still in use.
    pub(crate) fn remember(
        &self,
        digest: Digest,
        token: &Arc<AccessToken>,
        checked: &Arc<Signing>,
        now: Timestamp,
    ) {
        let mut remembered = self.remembered();
        // INVARIANT: keys are replaced before what was remembered is forgotten, which waits for
        // this lock: nothing stays here that only a dropped key vouches for.
        if !Arc::ptr_eq(checked, &self.signing.load()) {
            return;
        }
        if remembered.len() >= VERIFIED_MAX {
            remembered.retain(|_, token| now < token.expires_at);
            // All alive: each will be checked once more.
            if remembered.len() >= VERIFIED_MAX {
                remembered.clear();
            }
        }
        remembered.insert(digest, Arc::clone(token));
    }
}

impl AccessTokens {
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another token has room.
    pub(crate) fn has_room(&self, now: Timestamp) -> bool {
        let mut live = self.live();
        live.sweep(now);
        live.tokens.len() < ACCESS_TOKENS_MAX
    }

    /// Takes a token in whose record is queued.
    pub(crate) fn born(&self, minted: &Minted, allowances: Option<Arc<[Allowance<Value>]>>) {
        let token = LiveToken {
            task: minted.task.clone(),
            expires_at: minted.expires_at,
            withdrawn: false,
            key: None,
            allowances,
            narrowed: None,
        };
        self.live().tokens.insert(minted.id.clone(), token);
    }

    /// As [`AccessTokens::born`], while a ledger is read again: what had expired by the time of the
    /// record is not kept, so that no more are than were alive at one time.
    pub(crate) fn restore_born(&self, minted: &Minted, at: Timestamp) {
        self.live().sweep(at);
        self.born(minted, None);
    }

    /// Forgets what had expired by that time.
    pub(crate) fn restored(&self, now: Timestamp) {
        let mut live = self.live();
        live.sweep_at = 0;
        live.sweep(now);
    }

    /// Takes note of the key that signed a token.
    pub(crate) fn signed(&self, token: &TokenId, key: &str) {
        if let Some(token) = self.live().tokens.get_mut(token) {
            token.key = Some(key.into());
        }
    }

    /// Marks everything that a key signed as taken back.
    pub(crate) fn withdraw_of_key(&self, key: &str) {
        let mut live = self.live();
        let of_key = live.tokens.values_mut().filter(|token| token.key.as_deref() == Some(key));
        of_key.for_each(|token| token.withdrawn = true);
    }

    /// Forgets a token whose record never became durable.
    pub(crate) fn never_born(&self, token: &TokenId) {
        self.live().tokens.remove(token);
    }

    /// Marks a token as taken back; false where it was not alive.
    pub(crate) fn withdrawn(&self, token: &TokenId, now: Timestamp) -> bool {
        let mut live = self.live();
        let found = live.tokens.get_mut(token).filter(|token| token.is_alive(now));
        found.map(|token| token.withdrawn = true).is_some()
    }

    /// Takes in that a key was dropped, while a ledger is read again: before the keys are opened.
    pub(crate) fn restore_dropped(&self, key: &Arc<str>) {
        self.dropped.insert(key);
    }

    /// As [`AccessTokens::withdrawn`], while a ledger is read again.
    pub(crate) fn restore_withdrawn(&self, token: &TokenId) {
        if let Some(token) = self.live().tokens.get_mut(token) {
            token.withdrawn = true;
        }
    }

    /// Whether a token's record is there, nobody has taken it back, and it has not expired.
    pub(crate) fn is_alive(&self, token: &TokenId, now: Timestamp) -> bool {
        self.live().tokens.get(token).is_some_and(|token| token.is_alive(now))
    }

    /// What each token that is alive allows, of those of which that is known.
    pub(crate) fn allowed_to(&self, now: Timestamp) -> Vec<Allowed> {
        let live = self.live();
        let alive = live.tokens.iter().filter(|(_, token)| token.is_alive(now));
        let known = alive.filter_map(|(id, token)| {
            let allowances = Arc::clone(token.allowances.as_ref()?);
            Some(Allowed { token: id.clone(), task: token.task.clone(), allowances })
        });
        known.collect()
    }

    /// Takes note of what a token that was just presented allows.
    pub(crate) fn presented(&self, token: &AccessToken) {
        if let Some(live) = self.live().tokens.get_mut(&token.id)
            && live.allowances.is_none()
        {
            live.allowances = Some(token.allowances.as_slice().into());
        }
    }

    /// The mandate of a task as far as a token of it allows. `None` where the token is not alive,
    /// is another task's or was never presented here: then nothing of it holds.
    pub(crate) fn narrowed(
        &self,
        token: &TokenId,
        task: &TaskId,
        mandate: &Arc<Mandate>,
        now: Timestamp,
    ) -> Option<Arc<Mandate>> {
        let mut live = self.live();
        let token = live.tokens.get_mut(token)?;
        if !token.is_alive(now) || token.task != *task {
            return None;
        }
        let allowances = token.allowances.as_ref()?;
        if **allowances == *mandate.authority.allowances {
            return Some(Arc::clone(mandate));
        }
        let narrowed = token.narrowed.get_or_insert_with(|| {
            let mut narrowed = Mandate::clone(mandate);
            narrowed.authority.allowances = allowances.to_vec();
            // A token for some of the task's actions is for none of its leases.
            narrowed.authority.credentials.clear();
            Arc::new(narrowed)
        });
        Some(Arc::clone(narrowed))
    }
}

/// What a token that is alive allows.
pub(crate) struct Allowed {
    pub(crate) token: TokenId,
    pub(crate) task: TaskId,
    pub(crate) allowances: Arc<[Allowance<Value>]>,
}

impl LiveToken {
    fn is_alive(&self, now: Timestamp) -> bool {
        !self.withdrawn && now < self.expires_at
    }
}

impl Live {
    fn sweep(&mut self, now: Timestamp) {
        if self.tokens.len() >= self.sweep_at {
            self.tokens.retain(|_, token| now < token.expires_at);
            self.sweep_at = (self.tokens.len() * 2).clamp(4096, ACCESS_TOKENS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted(n: i64, at: Timestamp) -> Minted {
        Minted {
            id: TokenId::new(format!("at_{n}")).unwrap(),
            task: TaskId::new("task_1").unwrap(),
            client: IdentityId::new("agent").unwrap(),
            audience: "https://crm.example".into(),
            confirmation: None,
            issued_at: at,
            expires_at: at.plus_ms(300_000),
        }
    }

    #[test]
    fn a_restore_keeps_what_may_be_alive_and_not_every_token_ever_minted() {
        let tokens = AccessTokens::default();
        // Ten a second for hours: 3000 are alive at one time.
        let time = |n: i64| Timestamp::from_millis(1_790_000_000_000 + n * 100);
        let mut most = 0;
        for n in 0..100_000 {
            tokens.restore_born(&minted(n, time(n)), time(n));
            most = most.max(tokens.live().tokens.len());
        }
        assert!(most <= 8192, "{most}");
        let now = time(100_000);
        tokens.restored(now);
        assert_eq!(tokens.live().tokens.len(), 2999);
        let alive = |n: i64| tokens.is_alive(&minted(n, now).id, now);
        assert!(alive(99_999) && alive(97_001) && !alive(97_000));
    }
}
