//! Whom we tell, wired: notices, our own transmitter, and the streams at their transmitters.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use safeconduct_broker::read_secret_line;
use safeconduct_directory::fetch::{self, Authority, FetchRules};
use safeconduct_notify::{
    Answer, Channels, CursorFiles, Follower, Grounds, Hears, Outbound, Request, StreamClient,
    Transmitter, Verb,
};
use safeconduct_service::{
    Awaited, Clock, Deliveries, DeliveryCounts, ReadModel, Service, Streams,
};
use safeconduct_wire::config::{Config, DeliveryWord, ReachForm};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::exit::{CommandError, failed};
use crate::system::SystemClock;

/// How far people were told, within the folder of the data.
const NOTICES: &str = "told-notices.cursor";

/// How far the receivers of our own transmitter were told, beside it.
const EVENTS: &str = "told-events.cursor";

/// How far both were, as it was kept once.
const OF_ALL: &str = "told.cursor";

/// The streams of receivers, within the folder of the keys: it holds what we present to them.
const RECEIVERS: &str = "receivers.json";

/// HTTP to the outside, under the rules of the directory.
struct Outside;

impl Outbound for Outside {
    fn send<'a>(
        &'a self,
        request: Request,
        reach: &'a ReachForm,
    ) -> Awaited<'a, Result<Answer, String>> {
        Awaited::of(async move {
            let rules = FetchRules::of(&reach.private_networks, reach.http_on_loopback)?;
            let outgoing = fetch::Outgoing {
                verb: match request.verb {
                    Verb::Get => fetch::Verb::Get,
                    Verb::Post => fetch::Verb::Post,
                    Verb::Patch => fetch::Verb::Patch,
                    Verb::Delete => fetch::Verb::Delete,
                },
                url: request.url,
                headers: request.headers,
                body: request.body,
                answer_bytes_max: request.answer_bytes_max,
                within: request.within,
            };
            let answered = fetch::send(outgoing, &rules, &Authority::Web).await;
            let answered = answered.map_err(|error| error.to_string())?;
            let fetch::Answered { status, retry_after_s, body } = answered;
            Ok(Answer { status, retry_after_s, body })
        })
    }
}

/// Whom we tell.
pub(crate) struct Notices {
    channels: Arc<Channels>,
    transmitter: Option<Arc<Transmitter>>,
    client: Option<Arc<StreamClient>>,
}

impl Notices {
    /// What the configuration names.
    ///
    /// # Errors
    /// A secret or a file cannot be read, or the configuration does not fit.
    pub(crate) fn open(
        service: &Arc<Service>,
        streams: &Arc<Streams>,
        config: &Config,
    ) -> Result<Self, CommandError> {
        let outbound: Arc<dyn Outbound> = Arc::new(Outside);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let secret = |path: &Path| read_secret_line(path);
        let grounds = Grounds { outbound: &outbound, clock: &clock, secret: &secret };
        let channels = Channels::new(&config.notify, &grounds);
        let channels = Arc::new(channels.map_err(|error| failed("notify", error))?);
        let transmitter = config.signals.transmitter.as_ref().map(|wanted| {
            let file = config.keys.join(RECEIVERS);
            Transmitter::new(Arc::clone(service), Arc::clone(&outbound), wanted.clone(), file)
        });
        let transmitter = transmitter.transpose().map_err(|error| failed("transmitter", error))?;
        let client = client(streams, config, outbound)?;
        Ok(Self { channels, transmitter: transmitter.map(Arc::new), client })
    }

    /// Our own transmitter.
    pub(crate) const fn transmitter(&self) -> Option<&Arc<Transmitter>> {
        self.transmitter.as_ref()
    }

    /// The streams at their transmitters.
    pub(crate) const fn client(&self) -> Option<&Arc<StreamClient>> {
        self.client.as_ref()
    }

    /// Tells everyone, until told to stop. `next` is the place of the next record, where nobody
    /// was ever told.
    ///
    /// # Errors
    /// How far the ledger was told on cannot be kept.
    pub(crate) fn run(
        &self,
        read: Arc<dyn ReadModel>,
        next: u64,
        config: &Config,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), CommandError> {
        let people = (!self.channels.is_empty()).then(|| Arc::clone(&self.channels));
        if people.is_some() {
            self.channels.run(tasks, stop);
        }
        if let Some(transmitter) = &self.transmitter {
            tasks.spawn(Arc::clone(transmitter).run(stop.clone()));
        }
        if let Some(client) = &self.client {
            client.run(tasks, stop);
        }
        let hears = vec![
            (NOTICES, people.map(|one| one as Arc<dyn Hears>)),
            (EVENTS, self.transmitter.clone().map(|one| one as Arc<dyn Hears>)),
        ];
        let files = CursorFiles { folder: config.data.clone(), of_all: OF_ALL };
        let follower = Follower::new(read, &files, next, hears);
        let follower = follower.map_err(|error| failed("notify", error))?;
        if !follower.is_empty() {
            tasks.spawn(follower.follow(stop.clone()));
        }
        Ok(())
    }
}

impl Deliveries for Notices {
    fn counts(&self) -> Vec<(&'static str, DeliveryCounts)> {
        let mut counts = vec![("notices", self.channels.counts().now())];
        counts.extend(self.transmitter.as_ref().map(|one| ("events", one.counts().now())));
        counts
    }

    fn trouble(&self) -> Option<String> {
        let of_events = || self.transmitter.as_ref().and_then(|one| one.counts().trouble());
        self.channels.counts().trouble().or_else(of_events)
    }
}

fn client(
    streams: &Arc<Streams>,
    config: &Config,
    outbound: Arc<dyn Outbound>,
) -> Result<Option<Arc<StreamClient>>, CommandError> {
    let (mut tokens, mut bearers) = (BTreeMap::new(), BTreeMap::new());
    let mut any = false;
    for (name, stream) in &config.signals.streams {
        any |= stream.manage.is_some() || stream.delivery == DeliveryWord::Poll;
        if let Some(file) = &stream.token_file {
            tokens.insert(name.clone(), line(file)?);
        }
        if let Some(file) = stream.bearer_file.as_ref().filter(|_| stream.manage.is_some()) {
            bearers.insert(name.clone(), line(file)?);
        }
    }
    let configs = &config.signals.streams;
    let client = || StreamClient::new(outbound, Arc::clone(streams), configs, tokens, bearers);
    Ok(any.then(|| Arc::new(client())))
}

fn line(file: &Path) -> Result<Zeroizing<String>, CommandError> {
    read_secret_line(file).map_err(|error| failed("signals", error))
}
