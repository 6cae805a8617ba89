//! Our own transmitter of security events (Shared Signals Framework 1.0): streams that registered
//! receivers make, pushed (RFC 8935) or polled for (RFC 8936).
//!
//! What is told follows from records, so a stream's backlog is made again from the ledger after a
//! restart: each event has the same `jti` then, by which its receiver knows it.

mod events;
mod poll;
mod push;
mod store;
mod stream;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use safeconduct_model::{IdentityId, Record, Value};
use safeconduct_service::{Awaited, Change, Service, Transmit, TransmitError};
use safeconduct_wire::config::TransmitterConfig;
use safeconduct_wire::signals::{
    Delivery, POLL_METHOD, PUSH_METHOD, StatusWord, StreamConfiguration, StreamRequest,
    StreamStatus,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::counts::Counts;
use crate::cursor::CursorError;
use crate::follow::Hears;
use crate::outbound::Outbound;

pub use events::EVENTS;
pub use stream::{SUBJECTS_MAX, WAITING_MAX};

use events::{Levels, Telling, events_of};
use stream::Stream;

/// A stream is verified at most once in so many seconds.
pub const VERIFY_EVERY_S: u32 = 10;

/// Tells receivers what is recorded.
pub struct Transmitter {
    service: Arc<Service>,
    outbound: Arc<dyn Outbound>,
    config: TransmitterConfig,
    counts: Arc<Counts>,
    levels: Levels,
    file: PathBuf,
    streams: Mutex<BTreeMap<Arc<str>, Stream>>,
    /// Something is there to be told, or a stream has changed.
    pub(crate) more: Notify,
    /// Polls that wait look again.
    pub(crate) polls: watch::Sender<u64>,
}

impl Transmitter {
    /// The transmitter of a configuration, with the streams that are kept in that file.
    ///
    /// # Errors
    /// [`CursorError`] where the file cannot be used.
    pub fn new(
        service: Arc<Service>,
        outbound: Arc<dyn Outbound>,
        config: TransmitterConfig,
        file: PathBuf,
    ) -> Result<Self, CursorError> {
        let streams = store::read(&file)?;
        let known = |stream: &Stream| config.receivers.contains_key(&stream.receiver);
        let streams = streams.into_iter().filter(known).map(|one| (Arc::clone(&one.id), one));
        let streams = Mutex::new(streams.collect());
        Ok(Self {
            levels: Levels::default(),
            counts: Arc::default(),
            more: Notify::new(),
            polls: watch::Sender::new(0),
            service,
            outbound,
            config,
            file,
            streams,
        })
    }

    /// The numbers.
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Pushes to receivers until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        push::run(self, stop).await;
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn audience(&self, receiver: &IdentityId) -> Result<Arc<str>, TransmitError> {
        let known = self.config.receivers.get(receiver);
        known.map(|known| known.audience.as_str().into()).ok_or(TransmitError::NoReceiver)
    }

    /// Does something with a stream of that receiver.
    fn with<T>(
        &self,
        receiver: &IdentityId,
        id: &str,
        act: impl FnOnce(&mut Stream) -> Result<T, TransmitError>,
    ) -> Result<T, TransmitError> {
        self.audience(receiver)?;
        let mut streams = self.streams();
        let stream = streams.get_mut(id).filter(|stream| stream.receiver == *receiver);
        act(stream.ok_or(TransmitError::UnknownStream)?)
    }

    /// The same, and the change is on the disk before it counts.
    fn change_of<T>(
        &self,
        receiver: &IdentityId,
        id: &str,
        act: impl FnOnce(&mut Stream) -> Result<T, TransmitError>,
    ) -> Result<T, TransmitError> {
        self.audience(receiver)?;
        let mut streams = self.streams();
        let stream = streams.get_mut(id).filter(|stream| stream.receiver == *receiver);
        let stream = stream.ok_or(TransmitError::UnknownStream)?;
        let before = stream.settings.clone();
        let done = act(stream)?;
        if let Err(error) = store::write(&self.file, streams.values()) {
            if let Some(stream) = streams.get_mut(id) {
                stream.settings = before;
            }
            return Err(TransmitError::NotKept(error.to_string().into()));
        }
        drop(streams);
        self.wake();
        Ok(done)
    }

    fn wake(&self) {
        self.more.notify_one();
        self.polls.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.config.issuer)
    }

    fn view(&self, stream: &Stream) -> Value {
        let settings = &stream.settings;
        let delivery = match &settings.delivery {
            // What was given to us as a secret is not shown again.
            Delivery::Push { endpoint_url, .. } => Delivery::Push {
                endpoint_url: Arc::clone(endpoint_url),
                authorization_header: None,
            },
            Delivery::Poll { .. } => Delivery::Poll {
                endpoint_url: Some(self.endpoint(&format!("/ssf/poll/{}", stream.id)).into()),
            },
        };
        let all = EVENTS.iter().map(|uri| Arc::from(*uri)).collect();
        StreamConfiguration {
            id: Some(Arc::clone(&stream.id)),
            issuer: Some(self.config.issuer.as_str().into()),
            audience: vec![Arc::clone(&stream.audience)],
            delivery: Some(delivery),
            events_delivered: Some(settings.delivered()),
            events_requested: settings.requested.clone(),
            events_supported: Some(all),
            description: settings.description.clone(),
            min_verification_interval: usize::try_from(VERIFY_EVERY_S).ok(),
        }
        .to_value()
    }
}

/// What a receiver says, read.
fn said<T>(read: Result<T, safeconduct_wire::signals::PollError>) -> Result<T, TransmitError> {
    read.map_err(|error| TransmitError::Invalid(error.to_string()))
}

impl Transmit for Transmitter {
    fn metadata(&self) -> Value {
        let texts =
            |all: &[&str]| Value::Array(all.iter().map(|text| Value::from(*text)).collect());
        let oauth = Value::object([("spec_urn", Value::from("urn:ietf:rfc:6749"))]);
        let bearer = Value::object([("spec_urn", Value::from("urn:ietf:rfc:6750"))]);
        let url = |path: &str| Value::from(self.endpoint(path).as_str());
        Value::object([
            ("spec_version", Value::from("1_0")),
            ("issuer", Value::from(self.config.issuer.as_str())),
            ("jwks_uri", url("/oauth/jwks")),
            ("delivery_methods_supported", texts(&[PUSH_METHOD, POLL_METHOD])),
            ("configuration_endpoint", url("/ssf/stream")),
            ("status_endpoint", url("/ssf/status")),
            ("add_subject_endpoint", url("/ssf/subjects:add")),
            ("remove_subject_endpoint", url("/ssf/subjects:remove")),
            ("verification_endpoint", url("/ssf/verify")),
            ("authorization_schemes", Value::Array(vec![oauth, bearer])),
            ("default_subjects", Value::from("ALL")),
        ])
    }

    fn create(&self, receiver: &IdentityId, body: &[u8]) -> Result<Value, TransmitError> {
        let audience = self.audience(receiver)?;
        let wanted = said(StreamConfiguration::parse(body))?;
        let settings = stream::Settings::of(wanted, &self.config.reach)?;
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id)
            .map_err(|error| TransmitError::NotKept(error.to_string().into()))?;
        let stream = Stream::new(hex::encode(id).into(), receiver.clone(), audience, settings);
        let shown = self.view(&stream);
        let mut streams = self.streams();
        if streams.values().any(|other| other.receiver == *receiver) {
            return Err(TransmitError::Exists);
        }
        let id = Arc::clone(&stream.id);
        streams.insert(Arc::clone(&id), stream);
        if let Err(error) = store::write(&self.file, streams.values()) {
            streams.remove(&id);
            return Err(TransmitError::NotKept(error.to_string().into()));
        }
        drop(streams);
        self.wake();
        Ok(shown)
    }

    fn read(&self, receiver: &IdentityId, stream: Option<&str>) -> Result<Value, TransmitError> {
        match stream {
            Some(id) => self.with(receiver, id, |stream| Ok(self.view(stream))),
            None => {
                self.audience(receiver)?;
                let streams = self.streams();
                let own = streams.values().filter(|stream| stream.receiver == *receiver);
                Ok(Value::Array(own.map(|stream| self.view(stream)).collect()))
            }
        }
    }

    fn change(
        &self,
        receiver: &IdentityId,
        body: &[u8],
        change: Change,
    ) -> Result<Value, TransmitError> {
        let wanted = said(StreamConfiguration::parse(body))?;
        let id = wanted.id.clone();
        let id = id.ok_or_else(|| TransmitError::Invalid("`stream_id` is missing".to_owned()))?;
        self.change_of(receiver, &id, |stream| {
            let before = &stream.settings;
            let wanted = match change {
                Change::Whole => wanted,
                Change::Part => StreamConfiguration {
                    delivery: wanted.delivery.or_else(|| Some(before.delivery.clone())),
                    events_requested: wanted.events_requested.or_else(|| before.requested.clone()),
                    description: wanted.description.or_else(|| before.description.clone()),
                    ..wanted
                },
            };
            let settings = stream::Settings::of(wanted, &self.config.reach)?;
            stream.settings = stream::Settings {
                status: before.status,
                reason: before.reason.clone(),
                removed: before.removed.clone(),
                ..settings
            };
            Ok(self.view(stream))
        })
    }

    fn delete(&self, receiver: &IdentityId, id: &str) -> Result<(), TransmitError> {
        self.with(receiver, id, |_| Ok(()))?;
        let mut streams = self.streams();
        let removed = streams.remove(id);
        if let Err(error) = store::write(&self.file, streams.values()) {
            streams.extend(removed.map(|stream| (Arc::clone(&stream.id), stream)));
            return Err(TransmitError::NotKept(error.to_string().into()));
        }
        self.counts.withdrawn(removed.map_or(0, |stream| stream.waiting.len()));
        drop(streams);
        self.wake();
        Ok(())
    }

    fn status(&self, receiver: &IdentityId, id: &str) -> Result<Value, TransmitError> {
        self.with(receiver, id, |stream| Ok(stream.status().to_value()))
    }

    fn set_status(&self, receiver: &IdentityId, body: &[u8]) -> Result<Value, TransmitError> {
        let StatusWord { stream: id, status, reason } = said(StatusWord::parse(body))?;
        self.change_of(receiver, &id, |stream| {
            stream.settings.status = status;
            stream.settings.reason = reason;
            if status == StreamStatus::Disabled {
                self.counts.withdrawn(stream.waiting.len());
                stream.waiting.clear();
            }
            Ok(stream.status().to_value())
        })
    }

    fn add_subject(&self, receiver: &IdentityId, body: &[u8]) -> Result<(), TransmitError> {
        let (id, subject) = subject(body)?;
        self.change_of(receiver, &id, |stream| {
            stream.settings.removed.remove(&subject);
            Ok(())
        })
    }

    fn remove_subject(&self, receiver: &IdentityId, body: &[u8]) -> Result<(), TransmitError> {
        let (id, subject) = subject(body)?;
        self.change_of(receiver, &id, |stream| {
            if stream.settings.removed.len() >= SUBJECTS_MAX {
                let problem = format!("a stream leaves out at most {SUBJECTS_MAX} subjects");
                return Err(TransmitError::Invalid(problem));
            }
            stream.settings.removed.insert(subject);
            Ok(())
        })
    }

    fn verify(&self, receiver: &IdentityId, body: &[u8]) -> Result<(), TransmitError> {
        let StreamRequest { stream: id, state, .. } = said(StreamRequest::parse(body))?;
        let now = self.service.now();
        self.with(receiver, &id, |stream| {
            let every_ms = i64::from(VERIFY_EVERY_S) * 1000;
            if stream.verified_at.is_some_and(|at| now.ms_since(at) < every_ms) {
                return Err(TransmitError::TooSoon(VERIFY_EVERY_S));
            }
            stream.verified_at = Some(now);
            stream.put(Telling::verification(&stream.id, state, now), &self.counts);
            Ok(())
        })?;
        self.wake();
        Ok(())
    }

    fn poll<'a>(
        &'a self,
        receiver: &'a IdentityId,
        stream: &'a str,
        body: &'a [u8],
    ) -> Awaited<'a, Result<Value, TransmitError>> {
        Awaited::of(poll::poll(self, receiver, stream, body))
    }
}

fn subject(body: &[u8]) -> Result<(Arc<str>, safeconduct_wire::signals::SubjectId), TransmitError> {
    let StreamRequest { stream, subject, .. } = said(StreamRequest::parse(body))?;
    let missing = || TransmitError::Invalid("`subject` is missing".to_owned());
    Ok((stream, subject.ok_or_else(missing)?))
}

impl Hears for Transmitter {
    fn record(&self, sequence: u64, record: &Record) {
        if self.streams().is_empty() {
            return;
        }
        let told = events_of(record, sequence, &self.service, &self.config.issuer, &self.levels);
        if told.is_empty() {
            return;
        }
        let mut streams = self.streams();
        for stream in streams.values_mut() {
            for telling in &told {
                if stream.wants(telling) {
                    stream.put(telling.for_stream(&stream.id), &self.counts);
                }
            }
        }
        drop(streams);
        self.wake();
    }

    fn needs(&self, next: u64) -> u64 {
        let streams = self.streams();
        streams.values().filter_map(Stream::needs).min().unwrap_or(next)
    }
}
