//! The keys of those who transmit security events to us.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_credential::jose::KeySet;
use safeconduct_wire::config::{FetchForm, Stream, StreamKeySource};

use crate::cache::{Cache, Schedule, Want};
use crate::fetch::FetchRules;
use crate::source::{KeySource, load_keys};

/// What is wrong with a stream of the configuration: its author is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream `{stream}`: `{field}` {problem}")]
pub struct TransmitterError {
    /// The stream's name.
    pub stream: String,
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// The keys of every transmitter, by the name of its stream.
#[derive(Debug, Default)]
pub struct Transmitters(BTreeMap<String, Transmitter>);

#[derive(Debug)]
struct Transmitter {
    issuer: String,
    source: KeySource,
    rules: FetchRules,
    cache: Cache<KeySet>,
}

impl Transmitters {
    /// Those of these streams.
    ///
    /// # Errors
    /// [`TransmitterError`] where one does not fit.
    pub fn new(streams: &BTreeMap<String, Stream>) -> Result<Self, TransmitterError> {
        let all =
            streams.iter().map(|(name, stream)| {
                let wrong = |field, problem: String| TransmitterError {
                    stream: name.clone(),
                    field,
                    problem,
                };
                let FetchForm {
                    private_networks,
                    http_on_loopback,
                    refresh_s,
                    stale_s,
                    unknown_key_s,
                } = &stream.fetch;
                if stale_s < refresh_s {
                    return Err(wrong("fetch.stale_s", "is shorter than `refresh_s`".to_owned()));
                }
                let rules = FetchRules::of(private_networks, *http_on_loopback);
                let seconds = |s: &u32| Duration::from_secs(u64::from(*s));
                let (refresh, stale) = (seconds(refresh_s), seconds(stale_s));
                let transmitter = Transmitter {
                    issuer: stream.issuer.clone(),
                    source: match &stream.keys {
                        StreamKeySource::Discovery => KeySource::SsfDiscovery,
                        StreamKeySource::Url(url) => KeySource::Url(url.clone()),
                        StreamKeySource::File(file) => KeySource::File(file.clone()),
                    },
                    rules: rules.map_err(|problem| wrong("fetch.private_networks", problem))?,
                    cache: Cache::new(Schedule { refresh, stale, unknown: seconds(unknown_key_s) }),
                };
                Ok((name.clone(), transmitter))
            });
        Ok(Self(all.collect::<Result<_, _>>()?))
    }

    /// The keys of a stream's transmitter; newer ones are looked for, now and then, where none has
    /// that id. `None` where there are none that still count.
    pub async fn keys(&self, stream: &str, kid: Option<&str>) -> Option<Arc<KeySet>> {
        let transmitter = self.0.get(stream)?;
        let keys = transmitter.get(stream, Want::Good).await?;
        match kid {
            Some(kid) if !keys.has(kid) => {
                Some(transmitter.get(stream, Want::Newer).await.unwrap_or(keys))
            }
            _ => Some(keys),
        }
    }
}

impl Transmitter {
    async fn get(&self, name: &str, want: Want) -> Option<Arc<KeySet>> {
        let load = async |_| {
            let keys = load_keys(&self.issuer, &self.source, &self.rules).await?;
            Ok::<_, crate::source::SourceError>((keys, None))
        };
        self.cache.get(name, want, load).await
    }
}
