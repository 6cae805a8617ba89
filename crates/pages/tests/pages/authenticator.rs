//! An authenticator of the tests: one key on P-256.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ciborium::Value as Cbor;
use sha2::{Digest as _, Sha256};

use crate::bench::ORIGIN;

pub(crate) struct Authenticator {
    pair: EcdsaKeyPair,
    pub(crate) counter: u32,
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { pair, counter: 0 }
    }

    fn data(&mut self, flags: u8) -> Vec<u8> {
        self.counter += 1;
        let rp = Sha256::digest("us.example");
        [&rp[..], &[flags], &self.counter.to_be_bytes()].concat()
    }

    fn client_data(kind: &str, challenge: &str) -> String {
        format!(r#"{{"type":"webauthn.{kind}","challenge":"{challenge}","origin":"{ORIGIN}"}}"#)
    }

    /// What the page sends of a new passkey.
    pub(crate) fn make(&mut self, challenge: &str) -> [(&'static str, String); 2] {
        let point = self.pair.public_key().as_ref();
        let int = |n: i64| Cbor::from(n);
        let key = Cbor::Map(vec![
            (int(1), int(2)),
            (int(3), int(-7)),
            (int(-1), int(1)),
            (int(-2), Cbor::from(&point[1..33])),
            (int(-3), Cbor::from(&point[33..])),
        ]);
        let id: Vec<u8> = Sha256::digest(point)[..16].to_vec();
        let mut data = self.data(0x45);
        data.extend([0; 16]);
        data.extend(16_u16.to_be_bytes());
        data.extend(id);
        ciborium::into_writer(&key, &mut data).unwrap();
        let object = Cbor::Map(vec![
            (Cbor::from("fmt"), Cbor::from("none")),
            (Cbor::from("attStmt"), Cbor::Map(vec![])),
            (Cbor::from("authData"), Cbor::Bytes(data)),
        ]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&object, &mut bytes).unwrap();
        [
            ("client_data", BASE64.encode(Self::client_data("create", challenge))),
            ("attestation_object", BASE64.encode(bytes)),
        ]
    }

    /// What the page sends of its use.
    pub(crate) fn sign(&mut self, challenge: &str) -> [(&'static str, String); 4] {
        let client_data = Self::client_data("get", challenge);
        let data = self.data(0x05);
        let message = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &message).unwrap();
        [
            ("id", BASE64.encode(&Sha256::digest(self.pair.public_key().as_ref())[..16])),
            ("client_data", BASE64.encode(client_data)),
            ("authenticator_data", BASE64.encode(data)),
            ("signature", BASE64.encode(signature.as_ref())),
        ]
    }
}
