//! The first administrator, and tokens as texts.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use safeconduct_model::{Identity, IdentityId, IdentityKind, IdentityStatus, Role, Token, TokenId};
use safeconduct_service::{Service, token_digest};

use crate::exit::{CommandError, failed};

/// The file in the keys folder that holds the first administrator's token.
pub(crate) const ADMIN_TOKEN_FILE: &str = "admin.token";

const ADMIN: &str = "admin";
const YEAR_MS: i64 = 365 * 86_400_000;

/// Registers an administrator where there is none that can still sign in, and writes its token
/// into the keys folder, readable by the owner alone. Returns the file where one was written.
///
/// # Errors
/// The file cannot be written, or the ledger takes no record.
pub(crate) async fn administrator(
    service: &Service,
    keys: &Path,
) -> Result<Option<PathBuf>, CommandError> {
    let file = keys.join(ADMIN_TOKEN_FILE);
    if let Ok(text) = fs::read_to_string(&file)
        && service.authenticate(text.trim()).is_ok()
    {
        return Ok(None);
    }
    let world = service.world();
    let can_sign_in = world.tokens().any(|token| {
        let administers = world
            .identity(&token.identity)
            .is_some_and(|identity| identity.roles.contains(&Role::Administrator));
        administers && !token.revoked && service.now() < token.expires_at
    });
    if can_sign_in {
        return Ok(None);
    }
    let id = name(ADMIN)?;
    register(service, person(&id, Role::Administrator)).await?;
    let token = mint(service, &id, YEAR_MS).await?;
    write_secret(&file, &token)?;
    Ok(Some(file))
}

/// A person without groups.
fn person(id: &IdentityId, role: Role) -> Identity {
    Identity {
        id: id.clone(),
        kind: IdentityKind::User,
        status: IdentityStatus::Active,
        owner: None,
        sponsor: None,
        imported: None,
        fallback_owner: None,
        environment: None,
        groups: Default::default(),
        pep: None,
        roles: [role].into(),
    }
}

fn name(text: &str) -> Result<IdentityId, CommandError> {
    IdentityId::new(text).map_err(|error| failed("identity", error))
}

/// Registers an identity on the configuration's word.
///
/// # Errors
/// What does not fit, or the ledger takes no record.
pub(crate) async fn register(service: &Service, identity: Identity) -> Result<(), CommandError> {
    let by = name("configuration")?;
    let id = identity.id.clone();
    let changed = service.change_identity(identity, &by).await;
    changed.map_err(|error| failed(&format!("identity `{id}`"), error))
}

/// Issues a token and returns its text: the only time that it is seen.
///
/// # Errors
/// The system gives no randomness, or the ledger takes no record.
pub(crate) async fn mint(
    service: &Service,
    identity: &IdentityId,
    ttl_ms: i64,
) -> Result<String, CommandError> {
    let text = safeconduct_api::new_token_text().map_err(|error| failed("token", error))?;
    let now = service.now();
    let id = format!("tok_{}", uuid::Uuid::now_v7().simple());
    let token = Token {
        id: TokenId::new(id).map_err(|error| failed("token", error))?,
        identity: identity.clone(),
        digest: token_digest(&text),
        issued_at: now,
        expires_at: now.plus_ms(ttl_ms),
        revoked: false,
    };
    let by = name("configuration")?;
    let registered = service.register_token(token, &by).await;
    registered.map_err(|error| failed("token", error))?;
    Ok(text)
}

/// Writes a text that only the owner may read.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_secret(file: &Path, text: &str) -> Result<(), CommandError> {
    let shown = file.display().to_string();
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(&shown, error))?;
    }
    let mut made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| failed(&shown, error))?;
    made.write_all(format!("{text}\n").as_bytes()).map_err(|error| failed(&shown, error))
}
