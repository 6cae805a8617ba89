//! Access tokens: what an exchange costs beside the two signatures that it cannot do without.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use safeconduct_credential::jose::SigningKey;
use safeconduct_model::{Digest, Value};
use safeconduct_service::memory::MemoryTokenKeys;
use safeconduct_service::{
    Algorithm, ClientRequest, DpopNonce, Form, JWT_ASSERTION, KeySet, ProtectedBy,
    RegisteredClient, Service, TOKEN_PATH, TokenServiceSettings, token_digest,
};

use crate::rounds::{Contestant, compete};
use crate::section::{Failure, Section, Target};
use crate::{tasks, world};

const ISSUER: &str = "https://sts.example";
const RESOURCE: &str = "https://files.example";

const ROUNDS: u32 = 21;

/// Exchanges of a round. Each uses an assertion up, and a client may use some ten thousands at
/// one time.
const BATCH: u32 = 1000;

/// About as much as an access token's header and claims.
const MESSAGE_BYTES: usize = 1000;

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let service = runtime.block_on(service())?;
    let handle = format!("sct_{:043}", 1);
    runtime.block_on(tasks::begin(&service, 1, token_digest(&handle)))?;
    // Made before: the client's own work is none of ours.
    let mut requests = requests(&service, &handle)?.into_iter();
    let bare = Bare::new()?;
    let mut contestants = [
        Contestant::new("exchange", |batch| {
            for _ in 0..batch {
                let request = requests.next().ok_or("too few requests were made")?;
                runtime.block_on(exchange(&service, &request))?;
            }
            Ok(())
        }),
        Contestant::new("signature", |batch| (0..batch).try_for_each(|_| bare.sign_and_verify())),
    ];
    compete(&mut contestants, ROUNDS, BATCH)?;
    let [exchange, signature] = contestants.map(|contestant| contestant.median());
    let mut section = Section::new("Access tokens");
    section.targets();
    let ratio = signature / exchange;
    section.target("token_exchange_over_es256", ratio, Target::AtLeast(0.5));
    section.number("token_exchange_us", exchange / 1000.0);
    section.number("es256_sign_and_verify_us", signature / 1000.0);
    section.number("token_exchanges_per_s", 1e9 / exchange);
    section.line("");
    section.line(format!(
        "A client with a key of its own (`private_key_jwt`) exchanges the handle of a task for an \
         access token: form read, its assertion checked and used up, the task and all above it \
         looked at, the record queued, the token signed with ES256; {:.0} in a second on one \
         thread. Beside it, bare ES256 with the same library: one signature and one check of \
         {MESSAGE_BYTES} bytes, which no exchange can do without; {:.0} pairs in a second. The \
         ledger is one in memory that forgets; what counts is CPU time.",
        1e9 / exchange,
        1e9 / signature,
    ));
    Ok(section)
}

async fn service() -> Result<Service, Failure> {
    let service = tasks::service().await?;
    let client = RegisteredClient {
        keys: KeySet::of([client_key()?.public().clone()])?,
        ..RegisteredClient::default()
    };
    let settings = TokenServiceSettings {
        issuer: ISSUER.into(),
        ttl_s: 300,
        algorithm: Algorithm::Es256,
        dpop_nonce: DpopNonce::NotNeeded,
        client_certificates: Default::default(),
        rotate_every_s: 86_400,
        clients: BTreeMap::from([(world::agent(0)?.id, client)]),
        resources: BTreeMap::from([(RESOURCE.into(), ProtectedBy::default())]),
    };
    service.open_token_service(settings, Arc::new(MemoryTokenKeys::default()))?;
    Ok(service)
}

fn client_key() -> Result<SigningKey, Failure> {
    Ok(SigningKey::from_secret(Algorithm::Es256, &[7; 32])?)
}

/// The bodies of as many requests as are made.
fn requests(service: &Service, handle: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let (key, client) = (client_key()?, world::agent(0)?.id);
    let now = service.now().as_millis() / 1000;
    let request = |number: u32| -> Result<Vec<u8>, Failure> {
        let assertion = Value::object([
            ("iss", Value::from(client.as_str())),
            ("sub", Value::from(client.as_str())),
            ("aud", Value::from(ISSUER)),
            ("iat", Value::Integer(now)),
            ("exp", Value::Integer(now + 60)),
            ("jti", Value::from(format!("assertion-{number}"))),
        ]);
        let assertion = key.sign("JWT", &assertion)?;
        let body = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={handle}\
             &subject_token_type=urn:safeconduct:token-type:task-handle&resource={RESOURCE}\
             &client_assertion={assertion}&client_assertion_type={JWT_ASSERTION}"
        );
        Ok(body.into_bytes())
    };
    (0..(ROUNDS + 1) * BATCH).map(request).collect()
}

async fn exchange(service: &Service, body: &[u8]) -> Result<(), Failure> {
    let refused = |fault: safeconduct_service::Fault| Failure::from(fault.to_string());
    let form = Form::parse(body).map_err(refused)?;
    let request = ClientRequest {
        authorization: &[],
        dpop: &[],
        method: "POST",
        path: TOKEN_PATH,
        peer: None,
    };
    let fresh = Digest::from_bytes([8; 32]);
    let issued = service.issue_access_token(&request, &form, fresh, None).await.map_err(refused)?;
    match issued.text.is_empty() || issued.token.allowances.is_empty() {
        true => Err("an empty token was issued".into()),
        false => Ok(()),
    }
}

/// The library that signs for us, and nothing around it.
struct Bare {
    pair: EcdsaKeyPair,
    public: Vec<u8>,
    message: Vec<u8>,
    random: SystemRandom,
}

impl Bare {
    fn new() -> Result<Self, Failure> {
        let pair = EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { pair, public, message: vec![7; MESSAGE_BYTES], random: SystemRandom::new() })
    }

    fn sign_and_verify(&self) -> Result<(), Failure> {
        let signature = self.pair.sign(&self.random, &self.message)?;
        let public = UnparsedPublicKey::new(&lc::ECDSA_P256_SHA256_FIXED, &self.public);
        Ok(public.verify(&self.message, signature.as_ref())?)
    }
}
