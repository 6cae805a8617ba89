//! One public key: a JSON Web Key (RFC 7517, 7518 section 6, 8037), read strictly.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self as lc, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_model::Value;
use safeconduct_wire::json;
use subtle::ConstantTimeEq as _;

use super::algorithm::{Algorithm, Family};
use super::error::KeyProblem;

/// Shortest RSA modulus, in bits.
pub const RSA_BITS_MIN: usize = 2048;
/// Longest RSA modulus, in bits: longer ones make each check costly.
pub const RSA_BITS_MAX: usize = 8192;
/// Longest key id, in bytes.
pub const KID_BYTES_MAX: usize = 512;

/// The members that only a private or symmetric key has (RFC 7518 sections 6.2.2, 6.3.2, 6.4).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What the keys of a set are for, which their `use` must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// Signatures: `use` is `sig` or absent (RFC 7517 section 4.2).
    Signature,
    /// JWT-SVIDs in a trust domain's bundle: `use` is `jwt-svid` and there is a `kid` (SPIFFE
    /// Trust Domain and Bundle section 4.2).
    JwtSvid,
    /// JWT-SVIDs as the Workload API hands them out, without `use`; a `kid` is needed.
    WorkloadJwtSvid,
}

/// The SHA-256 thumbprint of a key (RFC 7638): its name where it has no other.
#[derive(Clone, Copy, PartialOrd, Ord, Eq)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// From the 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The SHA-256 of these bytes, such as those of a DER certificate (`x5t#S256`, RFC 8705).
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }

    /// From base64url without padding, as `jkt` and `x5t#S256` have it.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// In constant time, so that nobody learns a thumbprint by trying.
impl PartialEq for Thumbprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for Thumbprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Base64url without padding.
impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let digest = digest::digest(&digest::SHA256, bytes);
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

/// A public key that checks signatures of one family of algorithms.
#[derive(Clone)]
pub struct PublicKey {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    family: Family,
    material: Material,
    /// The members that RFC 7638 hashes: the whole public key.
    members: BTreeMap<&'static str, String>,
}

#[derive(Clone)]
enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    Parsed(ParsedPublicKey),
}

impl PublicKey {
    /// Reads a JSON Web Key.
    ///
    /// # Errors
    /// [`KeyProblem`] says why it cannot be used.
    pub fn from_jwk(jwk: &Value, wanted: KeyUse) -> Result<Self, KeyProblem> {
        let members = jwk.as_object().ok_or(KeyProblem::Malformed)?;
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(&**text)),
            Some(_) => Err(KeyProblem::Malformed),
        };
        let kty = text("kty")?.ok_or(KeyProblem::Malformed)?;
        if kty == "oct" {
            return Err(KeyProblem::Symmetric);
        }
        if PRIVATE.iter().any(|name| members.contains_key(*name)) {
            return Err(KeyProblem::Private);
        }
        check_use(members, text("use")?, wanted)?;
        let kid = text("kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
            return Err(KeyProblem::Malformed);
        }
        if kid.is_none() && wanted != KeyUse::Signature {
            return Err(KeyProblem::NoKid);
        }
        let bytes = |name: &str| {
            let text = text(name)?.ok_or(KeyProblem::Malformed)?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyProblem::Malformed)
        };
        let mut key = match (kty, text("crv")?) {
            ("RSA", None) => Self::rsa(bytes("n")?, bytes("e")?)?,
            ("EC", Some(crv)) => Self::ec(crv, &bytes("x")?, &bytes("y")?)?,
            ("OKP", Some("Ed25519")) => Self::ed25519(&bytes("x")?)?,
            ("RSA", Some(_)) | ("EC" | "OKP", None) => return Err(KeyProblem::Malformed),
            _ => return Err(KeyProblem::Unknown),
        };
        if let Some(name) = text("alg")? {
            let algorithm = Algorithm::parse(name).ok_or(KeyProblem::Algorithm)?;
            if algorithm.family() != key.family {
                return Err(KeyProblem::Algorithm);
            }
            key.algorithm = Some(algorithm);
        }
        key.kid = kid;
        Ok(key)
    }

    fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, KeyProblem> {
        // RFC 7518 section 6.3.1: as few octets as the number needs.
        let (Some(&high), Some(&low)) = (n.first(), n.last()) else {
            return Err(KeyProblem::Malformed);
        };
        if high == 0 || e.first().is_none_or(|&high| high == 0) {
            return Err(KeyProblem::Malformed);
        }
        let bits = n.len() * 8 - high.leading_zeros() as usize;
        let exponent = e.iter().fold(0_u64, |n, &byte| n.wrapping_shl(8) | u64::from(byte));
        let fits = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits)
            && low % 2 == 1
            && e.len() <= 4
            && exponent >= 3
            && exponent % 2 == 1;
        if !fits {
            return Err(KeyProblem::Size);
        }
        if has_roca_mark(&n) {
            return Err(KeyProblem::Roca);
        }
        let members = [
            ("e", URL_SAFE_NO_PAD.encode(&e)),
            ("kty", "RSA".to_owned()),
            ("n", URL_SAFE_NO_PAD.encode(&n)),
        ];
        let components = RsaPublicKeyComponents { n, e };
        // The library has its own idea of a sound key; hear it now, not at the first token.
        let sound = components.to_parsed_public_key(&lc::RSA_PKCS1_2048_8192_SHA256);
        sound.map_err(|_| KeyProblem::Malformed)?;
        Ok(Self::new(Family::Rsa, Material::Rsa(components), members))
    }

    fn ec(crv: &str, x: &[u8], y: &[u8]) -> Result<Self, KeyProblem> {
        let (family, crv, octets, algorithm) = match crv {
            "P-256" => (Family::P256, "P-256", 32, &lc::ECDSA_P256_SHA256_FIXED),
            "P-384" => (Family::P384, "P-384", 48, &lc::ECDSA_P384_SHA384_FIXED),
            "P-521" => (Family::P521, "P-521", 66, &lc::ECDSA_P521_SHA512_FIXED),
            _ => return Err(KeyProblem::Unknown),
        };
        // RFC 7518 section 6.2.1.2: coordinates have their full length.
        if x.len() != octets || y.len() != octets {
            return Err(KeyProblem::Malformed);
        }
        let point = [&[4], x, y].concat();
        let parsed = ParsedPublicKey::new(algorithm, point).map_err(|_| KeyProblem::OffCurve)?;
        let members = [
            ("crv", crv.to_owned()),
            ("kty", "EC".to_owned()),
            ("x", URL_SAFE_NO_PAD.encode(x)),
            ("y", URL_SAFE_NO_PAD.encode(y)),
        ];
        Ok(Self::new(family, Material::Parsed(parsed), members))
    }

    fn ed25519(x: &[u8]) -> Result<Self, KeyProblem> {
        if x.len() != 32 {
            return Err(KeyProblem::Malformed);
        }
        let parsed = ParsedPublicKey::new(&lc::ED25519, x).map_err(|_| KeyProblem::OffCurve)?;
        let members = [
            ("crv", "Ed25519".to_owned()),
            ("kty", "OKP".to_owned()),
            ("x", URL_SAFE_NO_PAD.encode(x)),
        ];
        Ok(Self::new(Family::Ed25519, Material::Parsed(parsed), members))
    }

    fn new<const N: usize>(
        family: Family,
        material: Material,
        members: [(&'static str, String); N],
    ) -> Self {
        Self { kid: None, algorithm: None, family, material, members: members.into() }
    }

    /// The public half of a key of ours, by its raw bytes: a point `04 x y` or 32 bytes.
    pub(super) fn of_ours(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyProblem> {
        let mut key = match algorithm {
            Algorithm::Es256 => {
                let (x, y) =
                    bytes.get(1..).and_then(|xy| xy.split_at_checked(32)).unwrap_or_default();
                Self::ec("P-256", x, y)?
            }
            Algorithm::EdDsa | Algorithm::Ed25519 => Self::ed25519(bytes)?,
            _ => return Err(KeyProblem::Unknown),
        };
        key.algorithm = Some(algorithm);
        key.kid = Some(key.thumbprint().to_string());
        Ok(key)
    }

    /// Its id, where it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Its thumbprint (RFC 7638).
    pub fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of(&json::to_bytes(&self.numbers()))
    }

    /// The members that make the key, and no others.
    pub(super) fn numbers(&self) -> Value {
        let members = self.members.iter();
        Value::object(members.map(|(name, text)| (*name, Value::from(text.as_str()))))
    }

    /// It as a JSON Web Key: type, numbers, and `kid`, `alg`, `use` where they are known.
    pub fn jwk(&self) -> Value {
        let known = [
            ("alg", self.algorithm.map(Algorithm::as_str)),
            ("kid", self.kid.as_deref()),
            ("use", Some("sig")),
        ];
        let numbers = self.members.iter().map(|(name, text)| (*name, text.as_str()));
        let known = known.into_iter().filter_map(|(name, text)| Some((name, text?)));
        Value::object(numbers.chain(known).map(|(name, text)| (name, Value::from(text))))
    }

    /// Whether signatures of that algorithm are this key's to make.
    pub(super) fn takes(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family()
            && self.algorithm.is_none_or(|its| {
                // `EdDSA` and `Ed25519` are two names of one thing.
                its == algorithm || self.family == Family::Ed25519
            })
    }

    /// Whether `signature` is this key's, by that algorithm, over `message`.
    pub(super) fn signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.takes(algorithm) {
            return false;
        }
        match (&self.material, algorithm.rsa()) {
            (Material::Rsa(key), Some(rsa)) => key.verify(rsa, message, signature).is_ok(),
            (Material::Parsed(key), None) => key.verify_sig(message, signature).is_ok(),
            _ => false,
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, self.algorithm, &self.members) == (&other.kid, other.algorithm, &other.members)
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, {:?}, {})", self.kid, self.family, self.thumbprint())
    }
}

fn check_use(
    members: &BTreeMap<std::sync::Arc<str>, Value>,
    written: Option<&str>,
    wanted: KeyUse,
) -> Result<(), KeyProblem> {
    let fits = match (wanted, written) {
        (KeyUse::Signature, Some("sig") | None)
        | (KeyUse::JwtSvid | KeyUse::WorkloadJwtSvid, Some("jwt-svid"))
        | (KeyUse::WorkloadJwtSvid, None) => true,
        (KeyUse::Signature | KeyUse::JwtSvid | KeyUse::WorkloadJwtSvid, _) => false,
    };
    let verifies = match members.get("key_ops") {
        None => true,
        Some(Value::Array(words)) => words.iter().any(|word| word.as_str() == Some("verify")),
        Some(_) => return Err(KeyProblem::Malformed),
    };
    if fits && verifies { Ok(()) } else { Err(KeyProblem::OtherUse) }
}

/// Whether a modulus has the mark of the primes of CVE-2017-15361: modulo each small prime it is
/// a power of 65537. A sound modulus passes for one by chance once in some hundred million.
fn has_roca_mark(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
        97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % prime);
        let next = |power: &u32| Some(power * (65_537 % prime) % prime);
        std::iter::successors(Some(1), next).take(prime as usize).any(|power| power == rest)
    })
}
