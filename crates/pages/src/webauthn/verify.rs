//! The two ceremonies: a passkey is made, a passkey is used.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use safeconduct_model::{
    Digest, IdentityId, NameError, PASSKEY_NAME_BYTES_MAX, Passkey, PasskeyId, PasskeyUse,
    Timestamp,
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::authenticator::{
    AUTHENTICATOR_DATA_BYTES_MAX, AuthenticatorData, DataError, cbor, written,
};
use super::client_data::{self, ClientDataError};
use super::key::{KeyError, PublicKey};

/// Longest attestation object that is read, in bytes.
const ATTESTATION_BYTES_MAX: usize = 16 * 1024;

/// The site that passkeys are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id, a domain: `safeconduct.example`.
    pub rp: Arc<str>,
    /// The origin of its pages: `https://safeconduct.example`.
    pub origin: Arc<str>,
}

/// What an authenticator is asked to sign: new each time, and about one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// 256 random bits.
    pub nonce: Digest,
    /// The digest of what is meant.
    pub about: Digest,
}

impl Challenge {
    /// The bytes: SHA-256 of both, so that whoever has the record of a use can see what was meant.
    pub fn bytes(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.nonce.as_bytes());
        hasher.update(self.about.as_bytes());
        hasher.finalize().into()
    }

    /// Its text for a page.
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.bytes())
    }
}

/// What a page sends of a passkey that was made: both in base64url.
#[derive(Debug, Clone, Copy)]
pub struct Creation<'a> {
    /// `response.clientDataJSON`.
    pub client_data: &'a str,
    /// `response.attestationObject`.
    pub attestation_object: &'a str,
}

/// What a page sends of a passkey that was used: all in base64url.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// `rawId`.
    pub id: &'a str,
    /// `response.clientDataJSON`.
    pub client_data: &'a str,
    /// `response.authenticatorData`.
    pub authenticator_data: &'a str,
    /// `response.signature`.
    pub signature: &'a str,
}

/// Why a ceremony proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CeremonyError {
    /// The caller's fault: it is no base64url, or too long.
    #[error("what the page sent of the passkey cannot be read")]
    Unreadable,
    /// The browser's words do not count.
    #[error(transparent)]
    Client(#[from] ClientDataError),
    /// The authenticator's words do not count.
    #[error(transparent)]
    Authenticator(#[from] DataError),
    /// Its key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its id is none.
    #[error("the passkey's id cannot be kept: {0}")]
    Id(#[from] NameError),
    /// The person's fault.
    #[error("a passkey's name has 1 to {PASSKEY_NAME_BYTES_MAX} bytes, without control characters")]
    Name,
    /// Another passkey answered than the one that is looked at.
    #[error("another passkey answered")]
    Other,
    /// The signature is not that of the key.
    #[error("the passkey's signature does not hold")]
    Signature,
}

/// Checks that a passkey was made for this site and this challenge, by an authenticator that
/// verified who was there.
///
/// # Errors
/// [`CeremonyError`] says what is not as it must be.
pub fn made(
    site: &Site,
    challenge: &Challenge,
    identity: IdentityId,
    name: &str,
    sent: Creation<'_>,
    now: Timestamp,
) -> Result<Passkey, CeremonyError> {
    let name = name.trim();
    let fits = (1..=PASSKEY_NAME_BYTES_MAX).contains(&name.len());
    if !fits || name.chars().any(char::is_control) {
        return Err(CeremonyError::Name);
    }
    let client_data = decoded(sent.client_data, safeconduct_model::CLIENT_DATA_BYTES_MAX)?;
    client_data::check(&client_data, "webauthn.create", &challenge.bytes(), &site.origin)?;
    let object = decoded(sent.attestation_object, ATTESTATION_BYTES_MAX)?;
    let data = AuthenticatorData::read(&attested(&object)?, &site.rp_digest())?;
    let made = data.made.ok_or(DataError::Unreadable)?;
    PublicKey::of(&made.key)?;
    let key = written(&made.key)?;
    // What is read back must be a key too, its length included.
    PublicKey::parse(&key)?;
    Ok(Passkey {
        id: PasskeyId::new(BASE64_URL_SAFE_NO_PAD.encode(made.credential_id))?,
        identity,
        name: name.into(),
        rp: Arc::clone(&site.rp),
        key: BASE64_URL_SAFE_NO_PAD.encode(key).into(),
        aaguid: uuid(&made.aaguid).into(),
        registered_at: now,
        counter: data.counter,
        synced: data.may_be_copied,
    })
}

/// Checks that a passkey was used for this site and this challenge, by an authenticator that
/// verified who was there. Its counter is for whoever knows what it was to look at.
///
/// # Errors
/// [`CeremonyError`] says what is not as it must be.
pub fn used(
    site: &Site,
    challenge: &Challenge,
    passkey: &Passkey,
    sent: Assertion<'_>,
) -> Result<PasskeyUse, CeremonyError> {
    if sent.id != passkey.id.as_str() {
        return Err(CeremonyError::Other);
    }
    if passkey.rp != site.rp {
        return Err(DataError::Rp.into());
    }
    let client_data = decoded(sent.client_data, safeconduct_model::CLIENT_DATA_BYTES_MAX)?;
    client_data::check(&client_data, "webauthn.get", &challenge.bytes(), &site.origin)?;
    let authenticator_data = decoded(sent.authenticator_data, AUTHENTICATOR_DATA_BYTES_MAX)?;
    let data = AuthenticatorData::read(&authenticator_data, &site.rp_digest())?;
    if data.made.is_some() {
        return Err(DataError::Unreadable.into());
    }
    // Section 7.2: whether it may be copied is a property of the key, and never changes.
    if data.may_be_copied != passkey.synced {
        return Err(DataError::Backup.into());
    }
    let key = BASE64_URL_SAFE_NO_PAD.decode(passkey.key.as_bytes());
    let key = PublicKey::parse(&key.map_err(|_| KeyError::Unreadable)?)?;
    let signature = decoded(sent.signature, 1024)?;
    let message = [authenticator_data.as_slice(), &Sha256::digest(&client_data)].concat();
    if !key.signed(&message, &signature) {
        return Err(CeremonyError::Signature);
    }
    Ok(PasskeyUse {
        passkey: passkey.id.clone(),
        identity: passkey.identity.clone(),
        about: challenge.about,
        nonce: challenge.nonce,
        client_data: String::from_utf8(client_data).map_err(|_| CeremonyError::Unreadable)?.into(),
        authenticator_data: sent.authenticator_data.into(),
        signature: sent.signature.into(),
        counter: data.counter,
    })
}

impl Site {
    fn rp_digest(&self) -> [u8; 32] {
        Sha256::digest(self.rp.as_bytes()).into()
    }
}

/// The authenticator data of an attestation object (section 6.5). Its statement is not looked at,
/// unless it says to be none and is something.
fn attested(object: &[u8]) -> Result<Vec<u8>, CeremonyError> {
    let mut rest = object;
    let object = cbor(&mut rest)?;
    let members = object.as_map().filter(|members| members.len() == 3 && rest.is_empty());
    let members = members.ok_or(DataError::Unreadable)?;
    let member = |name: &str| {
        let found = members.iter().find(|(known, _)| known.as_text() == Some(name));
        found.map(|(_, value)| value).ok_or(DataError::Unreadable)
    };
    let (format, statement) = (member("fmt")?.as_text(), member("attStmt")?.as_map());
    let (Some(format), Some(statement)) = (format, statement) else {
        return Err(DataError::Unreadable.into());
    };
    if format == "none" && !statement.is_empty() {
        return Err(DataError::Unreadable.into());
    }
    Ok(member("authData")?.as_bytes().ok_or(DataError::Unreadable)?.clone())
}

fn decoded(text: &str, most: usize) -> Result<Vec<u8>, CeremonyError> {
    if text.len() > (most * 4).div_ceil(3) {
        return Err(CeremonyError::Unreadable);
    }
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| CeremonyError::Unreadable)
}

/// The usual text of an AAGUID.
fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
