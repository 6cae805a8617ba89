//! What the authenticator says of a ceremony (section 6.1): for whom, how sure, and, where a key
//! was made, which.

use ciborium::Value as Cbor;
use safeconduct_model::CREDENTIAL_ID_BYTES_MAX;
use thiserror::Error;

/// Longest authenticator data that is read, in bytes.
pub(super) const AUTHENTICATOR_DATA_BYTES_MAX: usize = 8 * 1024;

/// How deep CBOR may be nested.
const CBOR_DEPTH_MAX: usize = 8;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const MAY_BE_COPIED: u8 = 0x08;
const IS_COPIED: u8 = 0x10;
const HAS_KEY: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// Why an authenticator's words do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DataError {
    /// The caller's fault.
    #[error("the authenticator's data cannot be read")]
    Unreadable,
    /// The key is for another site.
    #[error("the passkey is for another site")]
    Rp,
    /// Nobody touched it, or nobody was verified: neither PIN nor finger nor face.
    #[error("the authenticator did not verify who is there")]
    NotVerified,
    /// The authenticator's fault: what it says of copies contradicts itself or what it said
    /// before.
    #[error("the authenticator contradicts itself about copies of the passkey")]
    Backup,
}

/// What an authenticator said.
#[derive(Debug)]
pub(super) struct AuthenticatorData {
    pub(super) counter: u32,
    pub(super) may_be_copied: bool,
    pub(super) made: Option<Made>,
}

/// A key that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) aaguid: [u8; 16],
    pub(super) credential_id: Vec<u8>,
    pub(super) key: Cbor,
}

impl AuthenticatorData {
    /// Reads it all, and holds it against the site's id, whose SHA-256 is given.
    pub(super) fn read(bytes: &[u8], rp: &[u8; 32]) -> Result<Self, DataError> {
        if bytes.len() > AUTHENTICATOR_DATA_BYTES_MAX {
            return Err(DataError::Unreadable);
        }
        let mut rest = bytes;
        if take::<32>(&mut rest)? != *rp {
            return Err(DataError::Rp);
        }
        let [flags] = take::<1>(&mut rest)?;
        let counter = u32::from_be_bytes(take::<4>(&mut rest)?);
        let set = |flag: u8| flags & flag != 0;
        if !set(USER_PRESENT) || !set(USER_VERIFIED) {
            return Err(DataError::NotVerified);
        }
        if set(IS_COPIED) && !set(MAY_BE_COPIED) {
            return Err(DataError::Backup);
        }
        let made = set(HAS_KEY).then(|| Made::read(&mut rest)).transpose()?;
        if set(HAS_EXTENSIONS) && !cbor(&mut rest)?.is_map() {
            return Err(DataError::Unreadable);
        }
        if !rest.is_empty() {
            return Err(DataError::Unreadable);
        }
        Ok(Self { counter, may_be_copied: set(MAY_BE_COPIED), made })
    }
}

impl Made {
    fn read(rest: &mut &[u8]) -> Result<Self, DataError> {
        let aaguid = take::<16>(rest)?;
        let length = usize::from(u16::from_be_bytes(take::<2>(rest)?));
        if length == 0 || length > CREDENTIAL_ID_BYTES_MAX {
            return Err(DataError::Unreadable);
        }
        let (credential_id, after) = rest.split_at_checked(length).ok_or(DataError::Unreadable)?;
        *rest = after;
        Ok(Self { aaguid, credential_id: credential_id.to_vec(), key: cbor(rest)? })
    }
}

/// One CBOR value in the one form that CTAP2 calls canonical, as far as its own length and its
/// numbers go: what is written again is what was read.
pub(super) fn cbor(rest: &mut &[u8]) -> Result<Cbor, DataError> {
    let before = *rest;
    let value: Cbor = ciborium::de::from_reader_with_recursion_limit(&mut *rest, CBOR_DEPTH_MAX)
        .map_err(|_| DataError::Unreadable)?;
    let read = before.get(..before.len() - rest.len()).unwrap_or_default();
    if written(&value)? == read { Ok(value) } else { Err(DataError::Unreadable) }
}

/// The bytes of a CBOR value.
pub(super) fn written(value: &Cbor) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|_| DataError::Unreadable)?;
    Ok(bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DataError> {
    let (head, after) = rest.split_first_chunk::<N>().ok_or(DataError::Unreadable)?;
    *rest = after;
    Ok(*head)
}
