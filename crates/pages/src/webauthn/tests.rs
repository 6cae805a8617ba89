//! Ceremonies as an authenticator of the tests does them, and every way in which one can be
//! wrong. What a browser does is in the tests of the whole system.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ciborium::Value as Cbor;
use proptest::prelude::*;
use safeconduct_model::{Digest, IdentityId, Passkey, Timestamp};
use sha2::{Digest as _, Sha256};

use super::*;

enum Secret {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

/// An authenticator, and how it misbehaves.
struct Authenticator {
    secret: Secret,
    rp: &'static str,
    origin: &'static str,
    flags: u8,
    counter: u32,
    more: &'static str,
    extensions: Option<Cbor>,
}

const UP_UV: u8 = 0x05;

impl Authenticator {
    fn new(algorithm: i64) -> Self {
        let secret = match algorithm {
            -7 => Secret::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            -8 => Secret::EdDsa(Ed25519KeyPair::generate().unwrap()),
            _ => Secret::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
        };
        let (rp, origin) = ("us.example", "https://us.example");
        Self { secret, rp, origin, flags: UP_UV, counter: 0, more: "", extensions: None }
    }

    fn key(&self) -> Vec<(Cbor, Cbor)> {
        let int = |n: i64| Cbor::from(n);
        match &self.secret {
            Secret::Es256(pair) => {
                let point = pair.public_key().as_ref();
                vec![
                    (int(1), int(2)),
                    (int(3), int(-7)),
                    (int(-1), int(1)),
                    (int(-2), Cbor::from(&point[1..33])),
                    (int(-3), Cbor::from(&point[33..])),
                ]
            }
            Secret::EdDsa(pair) => vec![
                (int(1), int(1)),
                (int(3), int(-8)),
                (int(-1), int(6)),
                (int(-2), Cbor::from(pair.public_key().as_ref())),
            ],
            Secret::Rs256(pair) => {
                // RSAPublicKey (RFC 8017, A.1.1) of 2048 bits and 65537: the lengths are known.
                let der = pair.public_key().as_ref();
                let (n, e) = (der[9..265].to_vec(), der[267..].to_vec());
                vec![
                    (int(1), int(3)),
                    (int(3), int(-257)),
                    (int(-1), Cbor::Bytes(n)),
                    (int(-2), Cbor::Bytes(e)),
                ]
            }
        }
    }

    fn client_data(&self, kind: &str, challenge: &Challenge) -> Vec<u8> {
        let (origin, challenge, more) = (self.origin, challenge.text(), self.more);
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{more}}}"#)
            .into_bytes()
    }

    fn data(&self, made: Option<&Cbor>) -> Vec<u8> {
        let mut flags = self.flags;
        flags |= if made.is_some() { 0x40 } else { 0 };
        flags |= if self.extensions.is_some() { 0x80 } else { 0 };
        let mut data = Sha256::digest(self.rp).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        if let Some(key) = made {
            data.extend([0xaa; 16]);
            data.extend(4_u16.to_be_bytes());
            data.extend([1, 2, 3, 4]);
            ciborium::into_writer(key, &mut data).unwrap();
        }
        if let Some(extensions) = &self.extensions {
            ciborium::into_writer(extensions, &mut data).unwrap();
        }
        data
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.secret {
            Secret::Es256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Secret::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Secret::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn make_with(&self, challenge: &Challenge, key: Cbor) -> Result<Passkey, CeremonyError> {
        let object = attestation("none", vec![], self.data(Some(&key)));
        self.send(challenge, &self.client_data("webauthn.create", challenge), &object)
    }

    fn send(
        &self,
        challenge: &Challenge,
        client_data: &[u8],
        object: &[u8],
    ) -> Result<Passkey, CeremonyError> {
        let (client_data, object) = (BASE64.encode(client_data), BASE64.encode(object));
        let sent = Creation { client_data: &client_data, attestation_object: &object };
        made(&site(), challenge, ada(), " my key ", sent, Timestamp::from_millis(7))
    }

    fn make(&self, challenge: &Challenge) -> Result<Passkey, CeremonyError> {
        self.make_with(challenge, Cbor::Map(self.key()))
    }

    fn apply(
        &self,
        challenge: &Challenge,
        passkey: &Passkey,
    ) -> Result<safeconduct_model::PasskeyUse, CeremonyError> {
        let client_data = self.client_data("webauthn.get", challenge);
        let data = self.data(None);
        let signature = self.sign(&[&data[..], &Sha256::digest(&client_data)].concat());
        check(challenge, passkey, &client_data, &data, &signature)
    }
}

fn check(
    challenge: &Challenge,
    passkey: &Passkey,
    client_data: &[u8],
    data: &[u8],
    signature: &[u8],
) -> Result<safeconduct_model::PasskeyUse, CeremonyError> {
    let texts = [client_data, data, signature].map(|bytes| BASE64.encode(bytes));
    let sent = Assertion {
        id: passkey.id.as_str(),
        client_data: &texts[0],
        authenticator_data: &texts[1],
        signature: &texts[2],
    };
    used(&site(), challenge, passkey, sent)
}

fn attestation(format: &str, statement: Vec<(Cbor, Cbor)>, data: Vec<u8>) -> Vec<u8> {
    let object = Cbor::Map(vec![
        (Cbor::from("fmt"), Cbor::from(format)),
        (Cbor::from("attStmt"), Cbor::Map(statement)),
        (Cbor::from("authData"), Cbor::Bytes(data)),
    ]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&object, &mut bytes).unwrap();
    bytes
}

fn site() -> Site {
    Site { rp: "us.example".into(), origin: "https://us.example".into() }
}

fn ada() -> IdentityId {
    IdentityId::new("ada").unwrap()
}

fn challenge(nonce: u8) -> Challenge {
    Challenge { nonce: Digest::from_bytes([nonce; 32]), about: Digest::from_bytes([9; 32]) }
}

#[test]
fn a_passkey_of_each_algorithm_is_made_and_used() {
    for algorithm in ALGORITHMS {
        let mut authenticator = Authenticator::new(algorithm);
        let passkey = authenticator.make(&challenge(1)).unwrap();
        assert_eq!((&*passkey.name, passkey.id.as_str()), ("my key", "AQIDBA"));
        assert_eq!((passkey.counter, passkey.synced), (0, false));
        assert_eq!(&*passkey.aaguid, "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa");
        authenticator.counter = 5;
        let proof = authenticator.apply(&challenge(2), &passkey).unwrap();
        assert_eq!((proof.counter, proof.about), (5, challenge(2).about));
        // The record alone shows what was signed.
        let nonce_and_about = [*proof.nonce.as_bytes(), *proof.about.as_bytes()].concat();
        let answered = BASE64.encode(Sha256::digest(nonce_and_about));
        assert!(proof.client_data.contains(&answered));
        // Another key has not signed it.
        let other = Authenticator::new(algorithm).make(&challenge(1)).unwrap();
        let refused = authenticator.apply(&challenge(2), &other);
        assert_eq!(refused, Err(CeremonyError::Signature));
    }
}

#[test]
fn whoever_is_not_verified_proves_nothing() {
    for flags in [0x00, 0x01, 0x04] {
        let mut authenticator = Authenticator::new(-7);
        let passkey = authenticator.make(&challenge(1)).unwrap();
        authenticator.flags = flags;
        let refused = CeremonyError::Authenticator(DataError::NotVerified);
        assert_eq!(authenticator.make(&challenge(1)), Err(refused.clone()));
        assert_eq!(authenticator.apply(&challenge(1), &passkey), Err(refused));
    }
}

#[test]
fn a_ceremony_of_another_page_challenge_or_kind_proves_nothing() {
    let good = Authenticator::new(-7);
    let passkey = good.make(&challenge(1)).unwrap();
    let client = CeremonyError::Client;
    for (origin, more, why) in [
        ("https://us.example.evil", "", ClientDataError::Origin),
        ("https://us.example:443", "", ClientDataError::Origin),
        ("http://us.example", "", ClientDataError::Origin),
        ("https://us.example", r#","crossOrigin":true"#, ClientDataError::Framed),
        ("https://us.example", r#","crossOrigin":"false""#, ClientDataError::Framed),
        ("https://us.example", r#","topOrigin":"https://evil""#, ClientDataError::Framed),
        ("https://us.example", r#","type":"webauthn.get""#, ClientDataError::Unreadable),
    ] {
        let bad = Authenticator { origin, more, ..Authenticator::new(-7) };
        let theirs = Authenticator { origin: "https://us.example", more: "", ..bad };
        let passkey = theirs.make(&challenge(1)).unwrap();
        let bad = Authenticator { origin, more, ..theirs };
        assert_eq!(bad.make(&challenge(1)), Err(client(why.clone())), "{origin}{more}");
        assert_eq!(bad.apply(&challenge(1), &passkey), Err(client(why)), "{origin}{more}");
    }
    let fine = Authenticator { more: r#","crossOrigin":false,"new":{"a":[1]}"#, ..good };
    assert!(fine.apply(&challenge(1), &passkey).is_ok());

    // Signed for one challenge, shown for another: what it is about differs, or only the nonce.
    let client_data = fine.client_data("webauthn.get", &challenge(1));
    let data = fine.data(None);
    let signature = fine.sign(&[&data[..], &Sha256::digest(&client_data)].concat());
    let about = Challenge { about: Digest::from_bytes([8; 32]), ..challenge(1) };
    for other in [challenge(2), about] {
        let shown = check(&other, &passkey, &client_data, &data, &signature);
        assert_eq!(shown, Err(client(ClientDataError::Challenge)));
    }
    let created = fine.client_data("webauthn.create", &challenge(1));
    let signature = fine.sign(&[&data[..], &Sha256::digest(&created)].concat());
    let shown = check(&challenge(1), &passkey, &created, &data, &signature);
    assert_eq!(shown, Err(client(ClientDataError::Kind)));
}

#[test]
fn a_passkey_of_another_site_proves_nothing() {
    let authenticator = Authenticator { rp: "example", ..Authenticator::new(-7) };
    let refused = CeremonyError::Authenticator(DataError::Rp);
    assert_eq!(authenticator.make(&challenge(1)), Err(refused.clone()));
    let ours = Authenticator { rp: "us.example", ..authenticator };
    let passkey = ours.make(&challenge(1)).unwrap();
    let theirs = Authenticator { rp: "example", ..ours };
    assert_eq!(theirs.apply(&challenge(1), &passkey), Err(refused.clone()));
    // The host was renamed: what was made before counts no more.
    let ours = Authenticator { rp: "us.example", ..theirs };
    let passkey = Passkey { rp: "old.example".into(), ..passkey };
    assert_eq!(ours.apply(&challenge(1), &passkey), Err(refused));
}

#[test]
fn what_is_said_of_copies_must_agree() {
    const BE: u8 = 0x08;
    const BS: u8 = 0x10;
    let refused = || CeremonyError::Authenticator(DataError::Backup);
    let mut authenticator = Authenticator::new(-7);
    let stays = authenticator.make(&challenge(1)).unwrap();
    authenticator.flags = UP_UV | BE;
    let synced = authenticator.make(&challenge(1)).unwrap();
    assert!(!stays.synced && synced.synced);
    assert_eq!(authenticator.apply(&challenge(1), &stays), Err(refused()));
    assert!(authenticator.apply(&challenge(1), &synced).is_ok());
    authenticator.flags = UP_UV | BE | BS;
    assert!(authenticator.apply(&challenge(1), &synced).is_ok());
    authenticator.flags = UP_UV | BS;
    assert_eq!(authenticator.apply(&challenge(1), &synced), Err(refused()));
    assert_eq!(authenticator.make(&challenge(1)), Err(refused()));
    authenticator.flags = UP_UV;
    assert_eq!(authenticator.apply(&challenge(1), &synced), Err(refused()));
}

#[test]
fn only_whole_and_plain_authenticator_data_is_read() {
    let mut authenticator = Authenticator::new(-7);
    let passkey = authenticator.make(&challenge(1)).unwrap();
    authenticator.extensions = Some(Cbor::Map(vec![(Cbor::from("uvm"), Cbor::Bool(true))]));
    assert!(authenticator.make(&challenge(1)).is_ok());
    assert!(authenticator.apply(&challenge(1), &passkey).is_ok());
    authenticator.extensions = Some(Cbor::from("no map"));
    let refused = CeremonyError::Authenticator(DataError::Unreadable);
    assert_eq!(authenticator.make(&challenge(1)), Err(refused.clone()));
    assert_eq!(authenticator.apply(&challenge(1), &passkey), Err(refused.clone()));
    authenticator.extensions = None;

    let client_data = authenticator.client_data("webauthn.create", &challenge(1));
    let whole = authenticator.data(Some(&Cbor::Map(authenticator.key())));
    let send = |object: &[u8]| authenticator.send(&challenge(1), &client_data, object);
    assert!(send(&attestation("none", vec![], whole.clone())).is_ok());
    // An attestation is neither asked for nor believed, nor a reason to refuse.
    let statement = vec![(Cbor::from("alg"), Cbor::from(-7))];
    assert!(send(&attestation("packed", statement.clone(), whole.clone())).is_ok());
    assert_eq!(send(&attestation("none", statement, whole.clone())), Err(refused.clone()));
    for cut in 0..whole.len() {
        let object = attestation("none", vec![], whole[..cut].to_vec());
        assert!(send(&object).is_err(), "{cut}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_eq!(send(&attestation("none", vec![], longer)), Err(refused.clone()));
    let mut object = attestation("none", vec![], whole);
    object.push(0);
    assert_eq!(send(&object), Err(refused.clone()));
    // A key where a use is due.
    let data = authenticator.data(Some(&Cbor::Map(authenticator.key())));
    let client_data = authenticator.client_data("webauthn.get", &challenge(1));
    let signature = authenticator.sign(&[&data[..], &Sha256::digest(&client_data)].concat());
    assert_eq!(check(&challenge(1), &passkey, &client_data, &data, &signature), Err(refused));
}

#[test]
fn a_key_is_one_that_was_asked_for_and_nothing_beside() {
    let authenticator = Authenticator::new(-7);
    let key = authenticator.key();
    let make = |key: Vec<(Cbor, Cbor)>| {
        authenticator.make_with(&challenge(1), Cbor::Map(key)).map(|passkey| passkey.id)
    };
    let with = |name: i64, value: Cbor| {
        let mut key = key.clone();
        key.retain(|(known, _)| *known != Cbor::from(name));
        key.push((Cbor::from(name), value));
        make(key)
    };
    assert!(make(key.clone()).is_ok());
    let algorithm = Err(CeremonyError::Key(KeyError::Algorithm));
    let unreadable = Err(CeremonyError::Key(KeyError::Unreadable));
    for other in [-35, -36, -37, -47, -65535, -50, 7] {
        assert_eq!(with(3, Cbor::from(other)), algorithm, "{other}");
    }
    assert_eq!(with(-1, Cbor::from(2)), algorithm);
    assert_eq!(with(1, Cbor::from(1)), algorithm);
    assert_eq!(with(4, Cbor::Array(vec![Cbor::from(2)])), unreadable);
    assert_eq!(with(-2, Cbor::from(&[1; 31][..])), unreadable);
    // Off the curve, and the point at infinity.
    for byte in [0, 1] {
        let weak = Err(CeremonyError::Key(KeyError::Weak));
        assert_eq!(with(-2, Cbor::Bytes(vec![byte; 32])), weak);
    }
    let twice = [key.clone(), vec![(Cbor::from(3), Cbor::from(-7))]].concat();
    assert_eq!(make(twice), unreadable);
    assert_eq!(make(key[..4].to_vec()), unreadable);

    let rsa = Authenticator::new(-257);
    let make = |n: Vec<u8>, e: Vec<u8>| {
        let mut key = rsa.key();
        key[2].1 = Cbor::Bytes(n);
        key[3].1 = Cbor::Bytes(e);
        rsa.make_with(&challenge(1), Cbor::Map(key)).is_ok()
    };
    let n = rsa.key()[2].1.as_bytes().unwrap().clone();
    assert!(make(n.clone(), vec![1, 0, 1]));
    assert!(!make(n[..128].to_vec(), vec![1, 0, 1]), "1024 bits");
    assert!(!make([&[0], &n[..]].concat(), vec![1, 0, 1]));
    assert!(!make(n.clone(), vec![0, 1, 0, 1]));
    assert!(!make(vec![0xff; 1024], vec![1, 0, 1]), "longer than is kept");
    assert!(!make(n, vec![]));
}

#[test]
fn a_name_is_short_and_printable() {
    let authenticator = Authenticator::new(-7);
    let client_data = authenticator.client_data("webauthn.create", &challenge(1));
    let data = authenticator.data(Some(&Cbor::Map(authenticator.key())));
    let texts = [client_data, attestation("none", vec![], data)].map(|bytes| BASE64.encode(bytes));
    let sent = Creation { client_data: &texts[0], attestation_object: &texts[1] };
    let named = |name: &str| {
        made(&site(), &challenge(1), ada(), name, sent, Timestamp::from_millis(0)).is_ok()
    };
    assert!(named("Schlüssel am Ring"));
    for name in ["", "  ", "a\u{7}", &"x".repeat(65)] {
        assert!(!named(name), "{name:?}");
    }
}

proptest! {
    #[test]
    fn one_byte_changed_proves_nothing(
        place in any::<prop::sample::Index>(), part in 0_usize..3, change in 1_u8..,
    ) {
        let authenticator = Authenticator::new(-7);
        let passkey = authenticator.make(&challenge(1)).unwrap();
        let client_data = authenticator.client_data("webauthn.get", &challenge(1));
        let data = authenticator.data(None);
        let signature = authenticator.sign(&[&data[..], &Sha256::digest(&client_data)].concat());
        let mut parts = [client_data, data, signature];
        *place.get_mut(&mut parts[part]) ^= change;
        prop_assert!(check(&challenge(1), &passkey, &parts[0], &parts[1], &parts[2]).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let authenticator = Authenticator::new(-7);
        let client_data = authenticator.client_data("webauthn.create", &challenge(1));
        prop_assert!(authenticator.send(&challenge(1), &client_data, &bytes).is_err());
        prop_assert!(authenticator.send(&challenge(1), &bytes, &bytes).is_err());
        let object = attestation("none", vec![], bytes);
        prop_assert!(authenticator.send(&challenge(1), &client_data, &object).is_err());
    }
}
