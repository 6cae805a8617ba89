//! Credentials that others vouch for, at the decision point: who is proved, for how long, and how
//! often that is checked.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use safeconduct_model::{Label, Returns, Subject, *};
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::memory::{MemoryClock, ports};
use safeconduct_service::*;

const NOW: i64 = 1_790_000_000_000;
const HOUR: i64 = 3_600_000;
const JWT: &str = "head.claims.signature";

/// Proves what it was told to, and counts.
struct Scripted {
    vouch: Mutex<Option<Vouch>>,
    asked: AtomicUsize,
    /// 0: nothing vouches any more.
    generation: AtomicU64,
}

impl Prover for Scripted {
    fn prove<'a>(&'a self, _: Vouched<'a>, _: Timestamp) -> Awaited<'a, Result<Vouch, Unproved>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Awaited::of(async {
            let generation = self.generation.load(Ordering::SeqCst);
            let vouch = self.vouch.lock().unwrap().clone();
            let vouch = vouch.map(|vouch| Vouch { generation, ..vouch });
            vouch.ok_or_else(|| Unproved("no".into()))
        })
    }

    fn vouching(&self, token: &TokenId) -> Option<u64> {
        assert_eq!(token.as_str(), "trust:prod");
        Some(self.generation.load(Ordering::SeqCst)).filter(|generation| *generation > 0)
    }
}

struct Bench {
    service: Service,
    clock: Arc<MemoryClock>,
    prover: Arc<Scripted>,
}

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn identity(text: &str, kind: IdentityKind, status: IdentityStatus) -> Identity {
    Identity {
        id: id(text),
        kind,
        status,
        owner: Some(id("alice")),
        sponsor: None,
        imported: None,
        fallback_owner: Some(id("bob")),
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::new(),
    }
}

fn vouch(identity: &str) -> Vouch {
    Vouch {
        identity: id(identity),
        token: TokenId::new("trust:prod").unwrap(),
        method: Method::JwtSvid,
        assurance: Assurance::High,
        at: Timestamp::from_millis(NOW - 1000),
        expires_at: Timestamp::from_millis(NOW + HOUR),
        may_speak_for_users: false,
        generation: 1,
    }
}

async fn bench(vouched: Option<Vouch>) -> Bench {
    let text = r#"@id("attested") permit (principal, action, resource)
        when { context.identity has attested && context.identity.attested };"#;
    let entry = ActionEntry {
        name: ActionName::new("files.read").unwrap(),
        server: Some(ServerName::new("files").unwrap()),
        tier: Tier::Low,
        effect: Effect::Read,
        guessed: false,
        returns: Returns::uniform(Label {
            integrity: Integrity::Trusted,
            confidentiality: Confidentiality::Internal,
            ..Label::LEAST
        }),
        accepts: Confidentiality::Internal,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: Some(Digest::from_bytes([1; 32])),
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    };
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", text)],
        servers: vec![ServerName::new("files").unwrap()],
        actions: vec![(entry.name.clone(), entry.server.clone())],
        ..Sources::default()
    };
    let policies = Arc::new(load(&sources).unwrap().policies);
    let catalogue = Arc::new(Catalogue {
        actions: [(entry.name.clone(), entry)].into(),
        ..Catalogue::default()
    });
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let world = World::new(policies, catalogue, Digest::from_bytes([9; 32]), vocabulary);
    let (ports, _, clock) = ports();
    clock.set(Timestamp::from_millis(NOW));
    let service = Service::new(ports, Settings::default(), world);
    let active = IdentityStatus::Active;
    for known in [
        identity("agent", IdentityKind::Agent, active),
        identity("ada", IdentityKind::User, active),
        identity("gone", IdentityKind::Agent, IdentityStatus::Suspended),
    ] {
        service.change_identity(known, &id("admin")).await.unwrap();
    }
    let prover = Arc::new(Scripted {
        vouch: Mutex::new(vouched),
        asked: AtomicUsize::new(0),
        generation: AtomicU64::new(1),
    });
    service.set_prover(Some(Arc::clone(&prover) as _));
    Bench { service, clock, prover }
}

impl Bench {
    async fn present(&self) -> Result<Authentication, AuthenticateError> {
        self.service.authenticate_bearer(JWT, Holds::default()).await
    }

    fn asked(&self) -> usize {
        self.prover.asked.load(Ordering::SeqCst)
    }

    async fn read(&self, proof: Authentication) -> Result<(), Vec<&'static str>> {
        let check = Check {
            pep: proof.identity.clone(),
            subject: Subject::Caller(proof),
            action: ActionName::new("files.read").unwrap(),
            resource: None,
            input: Value::Object(std::collections::BTreeMap::new()),
            asserted: None,
            session_name: None,
            mode: Mode::Enforce,
            trace: None,
            parent: None,
            understood: Understood::LeftToCaller,
            network: None,
        };
        let outcome = self.service.check(check).await.unwrap().into_value().outcome;
        match outcome.decision {
            Decision::Permit => Ok(()),
            Decision::Deny => Err(outcome.reasons.iter().map(Reason::code).collect()),
        }
    }
}

#[tokio::test]
async fn a_vouched_credential_makes_its_identity_with_what_it_is_worth() {
    let bench = bench(Some(vouch("agent"))).await;
    let proof = bench.present().await.unwrap();
    assert_eq!(proof.identity, id("agent"));
    assert_eq!((proof.method, proof.assurance), (Method::JwtSvid, Assurance::High));
    assert_eq!(proof.expires_at, Some(Timestamp::from_millis(NOW + HOUR)));
    assert_eq!(bench.read(proof).await, Ok(()));
    let certificates = ClientCertificates::new([vec![1, 2, 3]]).unwrap();
    let proof = bench.service.authenticate_certificates(&certificates).await.unwrap();
    assert_eq!(proof.identity, id("agent"));
}

#[tokio::test]
async fn who_is_not_registered_or_not_active_is_not_let_in_and_not_made() {
    let stranger = bench(Some(vouch("stranger"))).await;
    let refused = stranger.present().await.unwrap_err();
    assert_eq!(refused, AuthenticateError::NotRegistered(id("stranger")));
    assert_eq!(refused.to_string(), "`stranger` is proved, but no such identity is registered");
    assert_eq!(stranger.service.world().identity(&id("stranger")), None);
    let gone = bench(Some(vouch("gone"))).await;
    assert_eq!(gone.present().await, Err(AuthenticateError::NotActive));
    assert_eq!(bench(None).await.present().await, Err(AuthenticateError::Unknown));
}

#[tokio::test]
async fn what_is_no_jwt_is_not_even_shown_to_the_prover() {
    let bench = bench(Some(vouch("agent"))).await;
    let long = format!("a.b.{}", "c".repeat(1 << 20));
    for text in ["", "sc_abc", "a.b", "a.b.c.d", long.as_str()] {
        let proved = bench.service.authenticate_bearer(text, Holds::default()).await;
        assert_eq!(proved, Err(AuthenticateError::Unknown));
    }
    assert_eq!(bench.asked(), 0);
}

#[tokio::test]
async fn it_is_checked_once_until_its_keys_change_or_it_ends() {
    let bench = bench(Some(vouch("agent"))).await;
    for _ in 0..100 {
        bench.present().await.unwrap();
    }
    assert_eq!(bench.asked(), 1);
    bench.prover.generation.store(2, Ordering::SeqCst);
    bench.present().await.unwrap();
    bench.present().await.unwrap();
    assert_eq!(bench.asked(), 2);
    // Another key or certificate in hand is another question.
    let holds = Holds { jkt: Some(Digest::from_bytes([7; 32])), certificates: None };
    bench.service.authenticate_bearer(JWT, holds).await.unwrap();
    assert_eq!(bench.asked(), 3);
    *bench.prover.vouch.lock().unwrap() = None;
    bench.present().await.unwrap();
    bench.clock.set(Timestamp::from_millis(NOW + HOUR));
    assert_eq!(bench.present().await, Err(AuthenticateError::Unknown));
    assert_eq!(bench.asked(), 4);
}

#[tokio::test]
async fn a_proof_stands_no_longer_than_its_credential_and_what_vouches_for_it() {
    let bench = bench(Some(vouch("agent"))).await;
    let proof = bench.present().await.unwrap();
    let stands = |at: i64| bench.service.stands(&proof, Timestamp::from_millis(at));
    assert!(stands(NOW) && stands(NOW + HOUR - 1) && !stands(NOW + HOUR));

    bench.prover.generation.store(0, Ordering::SeqCst);
    assert!(!stands(NOW), "nothing vouches for it any more");
    assert_eq!(bench.read(proof.clone()).await, Err(vec!["credential_ended"]));
    bench.prover.generation.store(3, Ordering::SeqCst);
    assert_eq!(bench.read(proof.clone()).await, Ok(()));

    bench.clock.set(Timestamp::from_millis(NOW + HOUR));
    assert_eq!(bench.read(proof).await, Err(vec!["credential_ended"]));
}

#[tokio::test]
async fn a_renewed_credential_goes_on_with_the_same_session() {
    let bench = bench(Some(vouch("agent"))).await;
    let first = bench.present().await.unwrap();
    let second = bench.service.authenticate_bearer("another.token.altogether", Holds::default());
    assert_eq!(SessionKey::of(&first), SessionKey::of(&second.await.unwrap()));
}

#[tokio::test]
async fn only_an_issuer_that_may_speak_for_users_names_one() {
    let refused = Err(AuthenticateError::Unknown);
    let agent = Vouch { may_speak_for_users: true, ..vouch("agent") };
    assert_eq!(bench(Some(agent)).await.service.authenticate_user(JWT).await, refused);
    assert_eq!(bench(Some(vouch("ada"))).await.service.authenticate_user(JWT).await, refused);
    let ada = Vouch { may_speak_for_users: true, ..vouch("ada") };
    let proof = bench(Some(ada)).await.service.authenticate_user(JWT).await.unwrap();
    assert_eq!(proof.identity, id("ada"));
}

#[tokio::test]
async fn another_prover_counts_at_once_and_nothing_of_the_one_before() {
    let bench = bench(Some(vouch("agent"))).await;
    let proof = bench.present().await.unwrap();
    assert!(bench.service.stands(&proof, bench.service.now()));
    // The same generation, and yet another's word.
    let other = Arc::new(Scripted {
        vouch: Mutex::new(None),
        asked: AtomicUsize::new(0),
        generation: AtomicU64::new(1),
    });
    let digest = Digest::from_bytes([3; 32]);
    let prover = Some(Arc::clone(&other) as Arc<dyn Prover>);
    bench.service.change_trust(prover, digest, 1, "signal").await.unwrap();
    assert_eq!(bench.present().await, Err(AuthenticateError::Unknown));
    assert_eq!((bench.asked(), other.asked.load(Ordering::SeqCst)), (1, 1));
    bench.service.change_trust(None, digest, 0, "signal").await.unwrap();
    assert_eq!(bench.present().await, Err(AuthenticateError::Unknown));
    assert!(!bench.service.stands(&proof, bench.service.now()), "nobody vouches for it");
    assert_eq!(other.asked.load(Ordering::SeqCst), 1, "nobody is asked");
}
