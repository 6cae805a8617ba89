//! The streams that we receive, at their transmitters: making and changing them, asking how they
//! stand, having them verified (Shared Signals Framework 1.0 section 8.1), and polling (RFC 8936).

mod manage;
mod poll;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeconduct_service::{Awaited, ControlError, StreamControl, Streams};
use safeconduct_wire::config::{DeliveryWord, FetchForm, ReachForm, Stream};
use safeconduct_wire::signals::{StatusWord, StreamConfiguration, TransmitterMetadata};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::lane::backoff_ms;
use crate::outbound::{Answer, Outbound, Request, Verb};

pub use manage::KNOWN_EVENTS;

/// How long one request to a transmitter may take, polls aside.
const WITHIN: Duration = Duration::from_secs(10);

/// How long what a transmitter says of itself is believed.
const METADATA_KEPT: Duration = Duration::from_secs(300);

/// What is known of a stream at its transmitter.
#[derive(Default)]
struct Known {
    metadata: Option<(Instant, Arc<TransmitterMetadata>)>,
    stream: Option<StreamConfiguration>,
}

/// One stream that is managed or polled.
struct Remote {
    name: String,
    config: Stream,
    reach: ReachForm,
    /// What we present to the transmitter.
    token: Option<Zeroizing<String>>,
    /// What it is to present to us, where it pushes.
    bearer: Option<Zeroizing<String>>,
    known: Mutex<Known>,
}

/// Speaks to the transmitters of the streams that we receive.
pub struct StreamClient {
    outbound: Arc<dyn Outbound>,
    streams: Arc<Streams>,
    remotes: BTreeMap<String, Arc<Remote>>,
}

impl StreamClient {
    /// Speaks for those streams. `tokens` and `bearers` hold, by the name of the stream, what we
    /// present and what is presented to us.
    pub fn new(
        outbound: Arc<dyn Outbound>,
        streams: Arc<Streams>,
        configs: &BTreeMap<String, Stream>,
        mut tokens: BTreeMap<String, Zeroizing<String>>,
        mut bearers: BTreeMap<String, Zeroizing<String>>,
    ) -> Self {
        let spoken_to =
            |config: &&Stream| config.manage.is_some() || config.delivery == DeliveryWord::Poll;
        let remotes = configs.iter().filter(|(_, config)| spoken_to(config));
        let remotes = remotes.map(|(name, config)| {
            let FetchForm { private_networks, http_on_loopback, .. } = &config.fetch;
            let reach = ReachForm {
                private_networks: private_networks.clone(),
                http_on_loopback: *http_on_loopback,
            };
            let remote = Remote {
                name: name.clone(),
                config: config.clone(),
                reach,
                token: tokens.remove(name),
                bearer: bearers.remove(name),
                known: Mutex::default(),
            };
            (name.clone(), Arc::new(remote))
        });
        Self { outbound, streams, remotes: remotes.collect() }
    }

    /// Makes the streams at their transmitters what they are to be, has them verified now and
    /// then, and polls, until told to stop.
    pub fn run(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken) {
        for remote in self.remotes.values() {
            let (client, remote, stop) = (Arc::clone(self), Arc::clone(remote), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = client.tend(&remote) => {}
                }
            });
        }
    }

    async fn tend(&self, remote: &Remote) {
        if remote.config.manage.is_some() {
            self.settle(remote).await;
        }
        let every = remote.config.manage.as_ref().and_then(|manage| manage.verify_every_s);
        let verifying = async {
            let Some(every) = every else { return std::future::pending().await };
            loop {
                if let Err(error) = self.verify_remote(remote).await {
                    tracing::warn!(%error, "a stream was not verified");
                }
                tokio::time::sleep(Duration::from_secs(every.into())).await;
            }
        };
        let polling = async {
            match remote.config.delivery {
                DeliveryWord::Poll => poll::run(self, remote).await,
                DeliveryWord::Push => std::future::pending().await,
            }
        };
        let ((), ()) = tokio::join!(verifying, polling);
    }

    /// Tries until the stream is there.
    async fn settle(&self, remote: &Remote) {
        let mut tries = 0;
        while let Err(error) = self.ensure(remote).await {
            tries += 1;
            tracing::warn!(%error, tries, "a stream is not set up at its transmitter yet");
            let wait = backoff_ms(tries, &remote.name);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    fn remote(&self, name: &str) -> Result<&Remote, ControlError> {
        if self.streams.view(name).is_none() {
            return Err(ControlError::Unknown(name.to_owned()));
        }
        let managed = self.remotes.get(name).filter(|remote| remote.config.manage.is_some());
        managed.map(|one| &**one).ok_or_else(|| ControlError::Unmanaged(name.to_owned()))
    }

    /// Sends a request of management and gives the body of an answer that says that it was done.
    async fn ask(
        &self,
        remote: &Remote,
        verb: Verb,
        url: &str,
        body: Vec<u8>,
    ) -> Result<Answer, ControlError> {
        let mut headers = vec![("accept", "application/json".to_owned())];
        if !body.is_empty() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        headers.extend(remote.authorization());
        let request = Request {
            verb,
            url: url.to_owned(),
            headers,
            body,
            answer_bytes_max: safeconduct_wire::signals::STREAM_BYTES_MAX,
            within: WITHIN,
        };
        let answer = self.outbound.send(request, &remote.reach).await;
        let answer = answer.map_err(|problem| remote.at_fault(problem))?;
        match answer.is_success() {
            true => Ok(answer),
            false => Err(remote.at_fault(format!("it answers with status {}", answer.status))),
        }
    }
}

impl Remote {
    fn authorization(&self) -> Option<(&'static str, String)> {
        self.token.as_ref().map(|token| ("authorization", format!("Bearer {}", **token)))
    }

    fn at_fault(&self, problem: impl ToString) -> ControlError {
        ControlError::Transmitter { stream: self.name.clone(), problem: problem.to_string() }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamControl for StreamClient {
    fn status<'a>(&'a self, stream: &'a str) -> Awaited<'a, Result<StatusWord, ControlError>> {
        Awaited::of(async move { self.status_of(self.remote(stream)?).await })
    }

    fn verify<'a>(&'a self, stream: &'a str) -> Awaited<'a, Result<(), ControlError>> {
        Awaited::of(async move { self.verify_remote(self.remote(stream)?).await })
    }
}
