//! Use-case: who presents a credential that others vouch for. A [`Prover`] says whom it makes;
//! whether that identity is registered and may act is said here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use foldhash::fast::RandomState;
use safeconduct_model::{
    Assurance, Authentication, Body, Digest, IdentityId, IdentityKind, IdentityStatus, Method,
    Timestamp, TokenId,
};
use sha2::{Digest as _, Sha256};

use crate::{AuthenticateError, Awaited, ChangeError, Service};

/// Longest token that is shown to a prover, in bytes. A longer one proves nothing.
pub const JWT_BYTES_MAX: usize = 16 * 1024;

/// Most proofs that are remembered. Where more come, those that have ended are forgotten, and
/// where none has, all are: each is then checked once more.
pub const PROOFS_MAX: usize = 65_536;

/// The certificates of a TLS client: whoever ended TLS saw that the client holds the key of the
/// first, and checked nothing else.
#[derive(Clone)]
pub struct ClientCertificates {
    chain: Arc<[Vec<u8>]>,
    thumbprint: Digest,
}

impl ClientCertificates {
    /// Of a chain in DER, leaf first; `None` where it is empty.
    pub fn new(chain: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        let chain: Arc<[Vec<u8>]> = chain.into_iter().collect();
        let thumbprint = Digest::from_bytes(Sha256::digest(chain.first()?).into());
        Some(Self { chain, thumbprint })
    }

    /// The chain in DER, leaf first. It is not empty.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The leaf in DER.
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// SHA-256 of the leaf: what tokens are bound to (`x5t#S256`, RFC 8705 section 3.1).
    pub const fn thumbprint(&self) -> Digest {
        self.thumbprint
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificates({})", self.thumbprint)
    }
}

/// What a client proved to hold, besides a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holds<'a> {
    /// The thumbprint of the key that signed a DPoP proof which was checked against the token.
    pub jkt: Option<Digest>,
    /// What it showed in the TLS handshake.
    pub certificates: Option<&'a ClientCertificates>,
}

/// A credential that others vouch for.
#[derive(Debug, Clone, Copy)]
pub enum Vouched<'a> {
    /// A JWT, with what else the client holds.
    Jwt {
        /// The token.
        token: &'a str,
        /// What else.
        holds: Holds<'a>,
    },
    /// The certificates of a TLS client.
    Certificates(&'a ClientCertificates),
}

impl Vouched<'_> {
    /// What recognises it, together with all that the proof may rest on.
    fn digest(self) -> Digest {
        let mut hasher = Sha256::new();
        match self {
            Self::Jwt { token, holds } => {
                hasher.update(b"jwt\0");
                let certificate = holds.certificates.map(ClientCertificates::thumbprint);
                for held in [holds.jkt, certificate] {
                    hasher.update([u8::from(held.is_some())]);
                    hasher.update(held.unwrap_or(Digest::from_bytes([0; 32])).as_bytes());
                }
                hasher.update(token);
            }
            Self::Certificates(certificates) => {
                hasher.update(b"x509\0");
                for one in certificates.chain() {
                    hasher.update((one.len() as u64).to_be_bytes());
                    hasher.update(one);
                }
            }
        }
        Digest::from_bytes(hasher.finalize().into())
    }
}

/// Whom a credential makes, by whose word, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouch {
    /// The identity; it may not be registered.
    pub identity: IdentityId,
    /// What stands for every credential of that identity by the same trust record: one that is
    /// renewed goes on with the session of the one before, and sheds nothing of it.
    pub token: TokenId,
    /// How.
    pub method: Method,
    /// How sure.
    pub assurance: Assurance,
    /// When the subject authenticated.
    pub at: Timestamp,
    /// When the credential ends.
    pub expires_at: Timestamp,
    /// Whether it may name the user that an agent acts for.
    pub may_speak_for_users: bool,
    /// What [`Prover::vouching`] counted before it was checked.
    pub generation: u64,
}

/// Why a credential proves nobody: for the log, never for whoever presents it. It shows nothing
/// of the credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unproved(pub String);

/// What tells whom a credential makes.
pub trait Prover: Send + Sync + 'static {
    /// Checks a credential. It may wait some seconds for keys, and only where there are none.
    fn prove<'a>(
        &'a self,
        presented: Vouched<'a>,
        now: Timestamp,
    ) -> Awaited<'a, Result<Vouch, Unproved>>;

    /// Counts the changes of what vouches for credentials of that [`Vouch::token`]; `None` where
    /// nothing does any more: its keys were taken back, or are too old.
    fn vouching(&self, token: &TokenId) -> Option<u64>;

    /// The issuers whose credentials make that identity though its name does not say so: what is
    /// said of them, and that they fall silent, concerns it.
    fn issuers_of(&self, _: &IdentityId) -> Vec<Arc<str>> {
        Vec::new()
    }
}

/// What was proved already, and who proves.
#[derive(Default)]
pub(crate) struct Proofs {
    prover: RwLock<Option<Arc<dyn Prover>>>,
    known: Mutex<HashMap<Digest, Arc<Vouch>, RandomState>>,
}

/// How often a credential is shown to a new prover where the one that checked it was replaced
/// meanwhile.
const PROVERS_MAX: usize = 3;

impl Proofs {
    fn prover(&self) -> Option<Arc<dyn Prover>> {
        self.prover.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on nothing counts that another prover has proved.
    fn replace(&self, prover: Option<Arc<dyn Prover>>) {
        let mut current = self.prover.write().unwrap_or_else(PoisonError::into_inner);
        *current = prover;
        // INVARIANT: what is remembered was proved by the current prover: both change under its
        // lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn known(&self, prover: &dyn Prover, digest: &Digest, now: Timestamp) -> Option<Arc<Vouch>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        // INVARIANT: what is remembered counts for no longer than what it rests on.
        known.filter(|vouch| {
            now < vouch.expires_at && prover.vouching(&vouch.token) == Some(vouch.generation)
        })
    }

    /// Remembers what `prover` has proved; false where it was replaced meanwhile.
    fn remember(
        &self,
        prover: &Arc<dyn Prover>,
        digest: Digest,
        vouch: &Arc<Vouch>,
        now: Timestamp,
    ) -> bool {
        let current = self.prover.read().unwrap_or_else(PoisonError::into_inner);
        if !current.as_ref().is_some_and(|current| Arc::ptr_eq(current, prover)) {
            return false;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PROOFS_MAX {
            known.retain(|_, vouch| now < vouch.expires_at);
            if known.len() >= PROOFS_MAX {
                known.clear();
            }
        }
        known.insert(digest, Arc::clone(vouch));
        true
    }

    async fn prove(&self, presented: Vouched<'_>, now: Timestamp) -> Option<Arc<Vouch>> {
        let digest = presented.digest();
        for _ in 0..PROVERS_MAX {
            let prover = self.prover()?;
            if let Some(vouch) = self.known(&*prover, &digest, now) {
                return Some(vouch);
            }
            match prover.prove(presented, now).await {
                Ok(vouch) => {
                    let vouch = Arc::new(vouch);
                    if self.remember(&prover, digest, &vouch, now) {
                        return Some(vouch);
                    }
                }
                Err(reason) => {
                    tracing::info!(%reason, "a credential proves nobody");
                    return None;
                }
            }
        }
        None
    }

    /// Who vouches for an identity beside those whom its name tells.
    pub(crate) fn issuers_of(&self, id: &IdentityId) -> Vec<Arc<str>> {
        self.prover().map(|prover| prover.issuers_of(id)).unwrap_or_default()
    }

    /// Whether what vouched for a proof still does. What nobody vouched for rests on itself.
    pub(crate) fn vouch_for(&self, authentication: &Authentication) -> bool {
        match authentication.method {
            Method::JwtSvid | Method::X509Svid | Method::Oidc => {
                self.prover().is_some_and(|p| p.vouching(&authentication.token).is_some())
            }
            _ => true,
        }
    }
}

impl Service {
    /// Says who tells whom foreign credentials make; without anyone they prove nobody. From then on
    /// nothing counts that was proved before: it is proved again, or not at all.
    pub fn set_prover(&self, prover: Option<Arc<dyn Prover>>) {
        self.proofs.replace(prover);
        // Streams and calls that go on ask whether what vouched for them still does.
        self.tell();
    }

    /// Puts a set of trust records in force whose digest is that: recorded first, and then all of
    /// it at once.
    ///
    /// # Errors
    /// [`ChangeError`] where it could not be recorded; the set before it stays in force.
    pub async fn change_trust(
        &self,
        prover: Option<Arc<dyn Prover>>,
        digest: Digest,
        records: u64,
        cause: &str,
    ) -> Result<(), ChangeError> {
        let cause = cause.to_owned();
        self.change(|_| Ok(vec![Body::TrustLoaded { digest, records, cause }])).await?;
        self.set_prover(prover);
        Ok(())
    }

    /// Checks a bearer token: one that was registered here, or one that a trust record vouches
    /// for.
    ///
    /// # Errors
    /// [`AuthenticateError`] where it proves nothing.
    pub async fn authenticate_bearer(
        &self,
        bearer: &str,
        holds: Holds<'_>,
    ) -> Result<Authentication, AuthenticateError> {
        match self.authenticate(bearer) {
            Err(AuthenticateError::Unknown) if is_jwt(bearer) => {
                self.vouched(Vouched::Jwt { token: bearer, holds }).await.map(|(proof, _)| proof)
            }
            known => known,
        }
    }

    /// Checks the certificates of a TLS client that presents no token.
    ///
    /// # Errors
    /// [`AuthenticateError`] where they prove nothing.
    pub async fn authenticate_certificates(
        &self,
        certificates: &ClientCertificates,
    ) -> Result<Authentication, AuthenticateError> {
        self.vouched(Vouched::Certificates(certificates)).await.map(|(proof, _)| proof)
    }

    /// Checks a token that shall prove that a user is there, whoever hands it in: one of the
    /// user's registered tokens, or one of an issuer that may speak for users.
    ///
    /// # Errors
    /// [`AuthenticateError`] where it proves no user.
    pub async fn authenticate_user(
        &self,
        token: &str,
    ) -> Result<Authentication, AuthenticateError> {
        let proof = match self.authenticate(token) {
            Err(AuthenticateError::Unknown) if is_jwt(token) => {
                // Whoever hands it in is not its holder, so a bound token meets nothing here.
                let vouched = Vouched::Jwt { token, holds: Holds::default() };
                let (proof, vouch) = self.vouched(vouched).await?;
                if !vouch.may_speak_for_users {
                    return Err(AuthenticateError::Unknown);
                }
                proof
            }
            known => known?,
        };
        let kind = self.world().identity(&proof.identity).map(|identity| identity.kind);
        if kind == Some(IdentityKind::User) { Ok(proof) } else { Err(AuthenticateError::Unknown) }
    }

    async fn vouched(
        &self,
        presented: Vouched<'_>,
    ) -> Result<(Authentication, Arc<Vouch>), AuthenticateError> {
        let vouch = self.proofs.prove(presented, self.clock.now()).await;
        let vouch = vouch.ok_or(AuthenticateError::Unknown)?;
        // After the wait: keys may have taken seconds to come.
        if self.clock.now() >= vouch.expires_at {
            return Err(AuthenticateError::Expired);
        }
        let world = self.world();
        let Some(identity) = world.identity(&vouch.identity) else {
            tracing::warn!(
                identity = %vouch.identity,
                by = %vouch.token,
                "somebody proved to be an identity that nobody has registered"
            );
            self.seen.turned_away(&vouch.identity, self.clock.now());
            return Err(AuthenticateError::NotRegistered(vouch.identity.clone()));
        };
        if identity.status != IdentityStatus::Active {
            return Err(AuthenticateError::NotActive);
        }
        let proof = Authentication {
            identity: vouch.identity.clone(),
            token: vouch.token.clone(),
            method: vouch.method,
            assurance: vouch.assurance,
            at: vouch.at,
            expires_at: Some(vouch.expires_at),
            task: None,
        };
        Ok((proof, vouch))
    }
}

/// Whether a text could be a JWT at all: three parts, and not too long.
fn is_jwt(text: &str) -> bool {
    text.len() <= JWT_BYTES_MAX && text.bytes().filter(|byte| *byte == b'.').count() == 2
}
