//! What tells us of risk, wired: streams, webhooks, and what keeps them going.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_api::SignalEdges;
use safeconduct_broker::read_secret_line;
use safeconduct_credential::webhook::WebhookKey;
use safeconduct_directory::Transmitters;
use safeconduct_service::{Awaited, Heard, KeySet, Service, StreamKeys, StreamSecrets, Streams};
use safeconduct_wire::config::{Config, DeliveryWord};
use tokio_util::sync::CancellationToken;

use crate::exit::{CommandError, failed, not_valid};
use crate::wiring::notices::Notices;

/// How often it is looked whether a stream has fallen silent, and whether keys are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Everything that has to do with signals.
pub(crate) struct Signals {
    streams: Arc<Streams>,
    keys: Arc<Keys>,
    names: Vec<String>,
}

/// The directory, as the streams ask it.
struct Keys(Transmitters);

impl StreamKeys for Keys {
    fn keys<'a>(
        &'a self,
        stream: &'a str,
        kid: Option<&'a str>,
    ) -> Awaited<'a, Option<Arc<KeySet>>> {
        Awaited::of(self.0.keys(stream, kid))
    }
}

impl Signals {
    /// The streams and webhooks of a configuration. `heard` is what the ledger says was taken
    /// before.
    ///
    /// # Errors
    /// A secret cannot be read, or the configuration does not fit.
    pub(crate) fn open(
        service: &Arc<Service>,
        config: &Config,
        heard: Heard,
    ) -> Result<Self, CommandError> {
        let invalid = |error: safeconduct_directory::TransmitterError| not_valid(error.to_string());
        let keys = Transmitters::new(&config.signals.streams).map_err(invalid)?;
        let keys = Arc::new(Keys(keys));
        let streams = Streams::new(
            Arc::clone(service),
            Arc::clone(&keys) as _,
            &config.signals,
            secrets(config)?,
            heard,
        );
        let streams = Arc::new(streams.map_err(|error| failed("signals", error))?);
        let names = config.signals.streams.keys().cloned().collect();
        Ok(Self { streams, keys, names })
    }

    /// The streams.
    pub(crate) const fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    /// What the API needs of it, and of whom we tell.
    pub(crate) fn edges(&self, notices: &Arc<Notices>) -> SignalEdges {
        SignalEdges {
            streams: Some(Arc::clone(&self.streams)),
            control: notices.client().map(|client| Arc::clone(client) as _),
            transmitter: notices.transmitter().map(|transmitter| Arc::clone(transmitter) as _),
            deliveries: Some(Arc::clone(notices) as _),
        }
    }

    /// Looks for silence, and keeps keys fresh, so that no event waits for them, until told to
    /// stop.
    pub(crate) async fn tend(self: Arc<Self>, stop: CancellationToken) {
        if self.names.is_empty() {
            return;
        }
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => {}
            }
            let fresh = async {
                for name in &self.names {
                    let _ = self.keys.0.keys(name, None).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                ((), ()) = async { tokio::join!(fresh, self.streams.look_for_silence()) } => {}
            }
        }
    }
}

fn secrets(config: &Config) -> Result<StreamSecrets, CommandError> {
    let mut secrets = StreamSecrets::default();
    for (name, stream) in &config.signals.streams {
        let file = stream.bearer_file.as_ref();
        if let Some(file) = file.filter(|_| stream.delivery == DeliveryWord::Push) {
            let line = read_secret_line(file).map_err(|error| failed("signals", error))?;
            secrets.bearers.insert(name.clone(), line);
        }
    }
    secrets.webhooks = webhook_keys(config)?;
    Ok(secrets)
}

fn webhook_keys(config: &Config) -> Result<BTreeMap<String, WebhookKey>, CommandError> {
    let keys = config.signals.webhooks.iter().map(|(name, webhook)| {
        let line = read_secret_line(&webhook.secret_file);
        let line = line.map_err(|error| failed("signals", error))?;
        let key = WebhookKey::parse(&line);
        let key = key.map_err(|error| failed(&webhook.secret_file.display().to_string(), error))?;
        Ok((name.clone(), key))
    });
    keys.collect()
}
