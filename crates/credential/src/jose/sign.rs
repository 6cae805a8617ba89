//! Signing the tokens that we issue: ES256 or Ed25519.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_model::Value;
use safeconduct_wire::json;
use zeroize::Zeroizing;

use super::TOKEN_BYTES_MAX;
use super::algorithm::Algorithm;
use super::error::SignError;
use super::key::PublicKey;

/// A private key of ours. Its id is its thumbprint. `Debug` shows the public half only.
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// The key of these 32 secret bytes, which the caller drew at random: the scalar of a P-256
    /// key, or the seed of an Ed25519 key.
    ///
    /// # Errors
    /// [`SignError::Algorithm`] for another algorithm; [`SignError::Unusable`] for a scalar out of
    /// range, which random bytes are once in four thousand million times: draw again.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8; 32]) -> Result<Self, SignError> {
        let (pair, bytes) = match algorithm {
            Algorithm::Es256 => {
                let der = sec1(secret);
                let signing = &lc::ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_private_key_der(signing, &der)
                    .map_err(|_| SignError::Unusable)?;
                let bytes = pair.public_key().as_ref().to_vec();
                (Pair::Ecdsa(pair), bytes)
            }
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                let pair =
                    Ed25519KeyPair::from_seed_unchecked(secret).map_err(|_| SignError::Unusable)?;
                let bytes = pair.public_key().as_ref().to_vec();
                (Pair::Ed25519(pair), bytes)
            }
            _ => return Err(SignError::Algorithm),
        };
        let public = PublicKey::of_ours(algorithm, &bytes).map_err(|_| SignError::Unusable)?;
        Ok(Self { algorithm, pair, public })
    }

    /// The public half, with its `kid`.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// A signed token of that type. The claims are taken as they are.
    ///
    /// # Errors
    /// [`SignError`] where the token would be too long.
    pub fn sign(&self, typ: &str, claims: &Value) -> Result<String, SignError> {
        let kid = self.public.kid().unwrap_or_default();
        self.sign_header(claims, [("typ", Value::from(typ)), ("kid", Value::from(kid))])
    }

    /// A DPoP proof (RFC 9449 section 4.2): its header carries the public key. For clients of
    /// ours, and for tests of servers.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign_dpop(&self, claims: &Value) -> Result<String, SignError> {
        self.sign_header(claims, [("typ", Value::from("dpop+jwt")), ("jwk", self.public.numbers())])
    }

    fn sign_header<const N: usize>(
        &self,
        claims: &Value,
        header: [(&str, Value); N],
    ) -> Result<String, SignError> {
        let alg = [("alg", Value::from(self.algorithm.as_str()))];
        let header = Value::object(header.into_iter().chain(alg));
        self.sign_parts(&json::to_bytes(&header), &json::to_bytes(claims))
    }

    /// The compact form of these bytes, whatever they say.
    pub(super) fn sign_parts(&self, header: &[u8], payload: &[u8]) -> Result<String, SignError> {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = match &self.pair {
            // The library draws its own nonce; the generator that it asks for is not used.
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), signed.as_bytes()),
            Pair::Ed25519(pair) => pair.try_sign(signed.as_bytes()),
        };
        let signature = signature.map_err(|_| SignError::Failed)?;
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        if token.len() > TOKEN_BYTES_MAX {
            return Err(SignError::TooLong { limit: TOKEN_BYTES_MAX });
        }
        Ok(token)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public)
    }
}

/// A P-256 scalar as SEC 1 has it (RFC 5915), without the public key, which follows from it.
fn sec1(secret: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    const HEAD: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    const P256: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    Zeroizing::new([HEAD.as_slice(), secret, &P256].concat())
}
