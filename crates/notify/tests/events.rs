//! What receivers are told of what is recorded: by poll and push, once acknowledged no more, and
//! the same again after a restart.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use safeconduct_credential::jose::{ClockSkew, EventExpect, verify_event};
use safeconduct_model::signal::{About, Kind, Severity, Signal, Source};
use safeconduct_model::{
    Body, Catalogue, Digest, IdentityId, KillScope, Record, RecordId, Timestamp, TokenId, Value,
};
use safeconduct_notify::{Answer, Hears, Outbound, Request, Transmitter};
use safeconduct_policy::{SourceFile, Sources, load};
use safeconduct_service::memory::{MemoryTokenKeys, ports};
use safeconduct_service::{
    Algorithm, Awaited, Change, ClientCertificatesTaken, DpopNonce, KeySet, KeyUse, ProtectedBy,
    Service, Settings, TokenServiceSettings, Transmit, TransmitError, Vocabulary, World,
};
use safeconduct_wire::config::{ReachForm, ReceiverForm, TransmitterConfig};
use safeconduct_wire::json;
use safeconduct_wire::signals::{Happening, PollAnswer, SecurityEvent, SubjectId};
use tokio_util::sync::CancellationToken;

const US: &str = "https://sts.example";
const THEM: &str = "https://soar.example";
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Answers each push with the next status, and keeps what was pushed.
#[derive(Default)]
struct Target {
    answers: Mutex<Vec<(u16, &'static str)>>,
    pushed: Mutex<Vec<(String, String)>>,
}

impl Outbound for Target {
    fn send<'a>(
        &'a self,
        request: Request,
        _: &'a ReachForm,
    ) -> Awaited<'a, Result<Answer, String>> {
        Awaited::of(async move {
            let header = request.headers.iter().find(|(name, _)| *name == "authorization");
            let header = header.map(|(_, value)| value.clone()).unwrap_or_default();
            let set = String::from_utf8(request.body).unwrap();
            self.pushed.lock().unwrap().push((header, set));
            let mut answers = self.answers.lock().unwrap();
            let (status, body) = if answers.is_empty() { (202, "") } else { answers.remove(0) };
            Ok(Answer { status, retry_after_s: None, body: body.as_bytes().to_vec() })
        })
    }
}

fn service() -> Arc<Service> {
    let (ports, _, clock) = ports();
    clock.set(NOW);
    let policies = SourceFile::new("p.cedar", "permit (principal, action, resource);");
    let sources = Sources { policies: vec![policies], ..Sources::default() };
    let policies = Arc::new(load(&sources).unwrap().policies);
    let vocabulary = Arc::new(Vocabulary::new("Safeconduct").unwrap());
    let digest = Digest::from_bytes([9; 32]);
    let world = World::new(policies, Arc::new(Catalogue::default()), digest, vocabulary);
    let service = Service::new(ports, Settings::default(), world);
    let settings = TokenServiceSettings {
        issuer: US.into(),
        ttl_s: 300,
        algorithm: Algorithm::Es256,
        dpop_nonce: DpopNonce::NotNeeded,
        client_certificates: ClientCertificatesTaken::No,
        rotate_every_s: 86_400,
        clients: BTreeMap::new(),
        resources: BTreeMap::from([(US.into(), ProtectedBy::default())]),
    };
    service.open_token_service(settings, Arc::new(MemoryTokenKeys::default())).unwrap();
    Arc::new(service)
}

struct Stage {
    service: Arc<Service>,
    target: Arc<Target>,
    transmitter: Arc<Transmitter>,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

fn receiver() -> IdentityId {
    IdentityId::new("soar").unwrap()
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (service, file) = (service(), folder.path().join("receivers.json"));
        let target = Arc::<Target>::default();
        let transmitter = transmitter(&service, &target, &file);
        Self { service, target, transmitter, file, _folder: folder }
    }

    /// The process after this one.
    fn again(self) -> Self {
        let transmitter = transmitter(&self.service, &self.target, &self.file);
        Self { transmitter, ..self }
    }

    fn stream(&self, wanted: &str) -> String {
        let made = self.transmitter.create(&receiver(), wanted.as_bytes()).unwrap();
        made.member("stream_id").and_then(Value::as_str).unwrap().to_owned()
    }

    async fn poll(&self, stream: &str, said: &str) -> PollAnswer {
        let answer = self.transmitter.poll(&receiver(), stream, said.as_bytes()).await.unwrap();
        PollAnswer::parse(&json::to_bytes(&answer)).unwrap()
    }

    fn read(&self, set: &str) -> SecurityEvent {
        let keys = json::to_bytes(&self.service.token_jwks().unwrap());
        let keys = KeySet::parse(&keys, KeyUse::Signature).unwrap();
        let expect = EventExpect {
            algorithms: vec![Algorithm::Es256],
            issuer: US.to_owned(),
            audience: THEM.to_owned(),
            skew: ClockSkew::default(),
            age_max_s: 60,
        };
        let claims = verify_event(set, &expect, &keys, NOW).unwrap();
        SecurityEvent::from_value(claims).unwrap()
    }
}

fn transmitter(service: &Arc<Service>, target: &Arc<Target>, file: &Path) -> Arc<Transmitter> {
    let config = TransmitterConfig {
        issuer: US.to_owned(),
        receivers: [(receiver(), ReceiverForm { audience: THEM.to_owned() })].into(),
        reach: ReachForm::default(),
    };
    let outbound = Arc::clone(target) as Arc<dyn Outbound>;
    Arc::new(Transmitter::new(Arc::clone(service), outbound, config, file.to_owned()).unwrap())
}

fn record(id: &str, body: Body) -> Record {
    Record { id: RecordId::new(id).unwrap(), at: NOW, trace: None, parent: None, body }
}

fn killed(id: &str, whom: &str) -> Record {
    let scope = KillScope::Identity(IdentityId::new(whom).unwrap());
    let by = IdentityId::new("ada").unwrap();
    record(id, Body::Killed { scope, by, reason: "it ran away".into() })
}

const NOW_ONLY: &str = r#"{"returnImmediately": true}"#;

#[tokio::test]
async fn what_is_killed_is_told_until_it_is_acknowledged() {
    let stage = Stage::new();
    let id = stage.stream("{}");
    stage.transmitter.record(7, &killed("rec_1", "https://idp.example|ada"));
    stage.transmitter.record(8, &killed("rec_2", "spiffe://prod.example/agent"));
    assert_eq!(stage.transmitter.needs(9), 7);
    let answer = stage.poll(&id, r#"{"returnImmediately": true, "maxEvents": 1}"#).await;
    assert!(answer.more_available);
    let (jti, set) = answer.sets.first_key_value().unwrap();
    let event = stage.read(set);
    assert_eq!((&event.id, &event.events[0].what), (jti, &Happening::SessionRevoked));
    let ada =
        SubjectId::IssuerSubject { issuer: "https://idp.example".into(), subject: "ada".into() };
    assert_eq!(event.subject, ada);
    // What was not acknowledged comes again, under the same id.
    assert_eq!(stage.poll(&id, NOW_ONLY).await.sets.len(), 2);
    let ack = format!(r#"{{"returnImmediately": true, "ack": ["{jti}"]}}"#);
    let rest = stage.poll(&id, &ack).await;
    assert_eq!((rest.sets.len(), stage.transmitter.needs(9)), (1, 8));
    let jti = rest.sets.keys().next().unwrap();
    let refused = format!(
        r#"{{"returnImmediately": true, "setErrs": {{"{jti}": {{"err": "invalid_key"}}}}}}"#
    );
    assert_eq!(stage.poll(&id, &refused).await.sets.len(), 0);
    let counts = stage.transmitter.counts().now();
    assert_eq!((counts.delivered, counts.given_up, counts.waiting), (1, 1, 0));
    assert_eq!(stage.transmitter.needs(9), 9);
}

#[tokio::test]
async fn the_same_record_is_the_same_event_after_a_restart() {
    let stage = Stage::new();
    let id = stage.stream("{}");
    stage.transmitter.record(7, &killed("rec_1", "agent"));
    let before: Vec<_> = stage.poll(&id, NOW_ONLY).await.sets.into_keys().collect();
    let stage = stage.again();
    assert_eq!(stage.poll(&id, NOW_ONLY).await.sets.len(), 0);
    stage.transmitter.record(7, &killed("rec_1", "agent"));
    let after: Vec<_> = stage.poll(&id, NOW_ONLY).await.sets.into_keys().collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_poll_waits_for_what_comes() {
    let stage = Stage::new();
    let id = stage.stream("{}");
    let telling = async {
        tokio::task::yield_now().await;
        stage.transmitter.record(1, &killed("rec_1", "agent"));
    };
    let (answer, ()) = tokio::join!(stage.poll(&id, "{}"), telling);
    assert_eq!(answer.sets.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_push_is_tried_until_it_arrives() {
    let stage = Stage::new();
    let target = Arc::clone(&stage.target);
    *target.answers.lock().unwrap() =
        vec![(503, ""), (400, r#"{"err": "authentication_failed"}"#), (202, "")];
    let _ = stage.stream(
        r#"{"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://soar.example/e",
            "authorization_header": "Bearer x"}}"#,
    );
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&stage.transmitter).run(stop.clone()));
    stage.transmitter.record(1, &killed("rec_1", "agent"));
    while stage.transmitter.counts().now().delivered == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let pushed = target.pushed.lock().unwrap().clone();
    let ids: Vec<_> = pushed.iter().map(|(_, set)| stage.read(set).id).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]) && pushed[0].0 == "Bearer x");
    // What the receiver says of the event itself is its last word.
    target.answers.lock().unwrap().push((400, r#"{"err": "invalid_audience"}"#));
    stage.transmitter.record(2, &killed("rec_2", "agent"));
    while stage.transmitter.counts().now().given_up == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(target.pushed.lock().unwrap().len(), 4);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn tokens_and_levels_are_told_as_far_as_they_are_wanted() {
    let stage = Stage::new();
    let wanted = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
    let id = stage.stream(&format!(r#"{{"events_requested": ["{wanted}", "https://x"]}}"#));
    let by = IdentityId::new("ada").unwrap();
    let withdrawn = Body::TokenWithdrawn { token: TokenId::new("tok_1").unwrap(), by };
    stage.transmitter.record(1, &record("rec_1", withdrawn));
    stage.transmitter.record(2, &killed("rec_2", "agent"));
    let answer = stage.poll(&id, NOW_ONLY).await;
    let [set] = answer.sets.values().collect::<Vec<_>>()[..] else { panic!("{answer:?}") };
    assert_eq!(&*stage.read(set).events[0].uri, wanted);

    let all = format!(r#"{{"stream_id": "{id}"}}"#);
    stage.transmitter.change(&receiver(), all.as_bytes(), Change::Whole).unwrap();
    let about = About::Identity(IdentityId::new("agent").unwrap());
    let source = Source::Webhook("siem".into());
    let signal = Signal::new(about, Kind::Reported, Severity::Critical, source, "1", NOW);
    stage.service.take_signals(vec![signal.clone()], None).await.unwrap();
    for n in 3..5 {
        let seen = Body::SignalSeen(Box::new(signal.clone()));
        stage.transmitter.record(n, &record(&format!("sig_{n}"), seen));
    }
    // The level moved once.
    assert_eq!(stage.poll(&id, NOW_ONLY).await.sets.len(), 2);
}

#[tokio::test]
async fn streams_are_their_receivers_own() {
    let stage = Stage::new();
    let id = stage.stream("{}");
    let stranger = IdentityId::new("stranger").unwrap();
    let transmitter = &stage.transmitter;
    assert_eq!(transmitter.create(&stranger, b"{}"), Err(TransmitError::NoReceiver));
    assert_eq!(transmitter.read(&stranger, Some(&id)), Err(TransmitError::NoReceiver));
    assert_eq!(transmitter.create(&receiver(), b"{}"), Err(TransmitError::Exists));
    let plain = r#"{"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": "http://x/e"}}"#;
    let change = |body: &str| transmitter.change(&receiver(), body.as_bytes(), Change::Part);
    assert!(matches!(change(plain), Err(TransmitError::Invalid(_))));
    // What is left out, paused or ended is not told.
    let of = |more: &str| format!(r#"{{"stream_id": "{id}"{more}}}"#).into_bytes();
    let agent = format!(r#", "subject": {{"format": "iss_sub", "iss": "{US}", "sub": "agent"}}"#);
    transmitter.remove_subject(&receiver(), &of(&agent)).unwrap();
    transmitter.record(1, &killed("rec_1", "agent"));
    assert_eq!(stage.poll(&id, NOW_ONLY).await.sets.len(), 0);
    transmitter.add_subject(&receiver(), &of(&agent)).unwrap();
    transmitter.set_status(&receiver(), &of(r#", "status": "paused""#)).unwrap();
    transmitter.record(2, &killed("rec_2", "agent"));
    assert_eq!(stage.poll(&id, NOW_ONLY).await.sets.len(), 0);
    transmitter.set_status(&receiver(), &of(r#", "status": "enabled""#)).unwrap();
    assert_eq!(stage.poll(&id, NOW_ONLY).await.sets.len(), 1);
    transmitter.verify(&receiver(), &of(r#", "state": "x""#)).unwrap();
    assert!(matches!(transmitter.verify(&receiver(), &of("")), Err(TransmitError::TooSoon(_))));
    assert_eq!(stage.poll(&id, NOW_ONLY).await.sets.len(), 2);
    let stage = stage.again();
    stage.transmitter.delete(&receiver(), &id).unwrap();
    let gone = stage.transmitter.status(&receiver(), &id);
    assert_eq!(gone, Err(TransmitError::UnknownStream));
}
