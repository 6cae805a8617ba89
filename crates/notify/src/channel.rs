//! The channels that people are told by.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_credential::webhook::WebhookKey;
use safeconduct_model::Record;
use safeconduct_service::{Awaited, Clock};
use safeconduct_wire::config::{Channel, NotifyConfig, ReachForm, Way};
use serde_json::json;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::counts::Counts;
use crate::follow::Hears;
use crate::groups::Groups;
use crate::lane::{Lane, Tells, Tried};
use crate::mail::Mailer;
use crate::notice::Notice;
use crate::outbound::{Outbound, Request, Verb};

/// Longest answer of a target that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why channels cannot be used: the configuration is at fault, or a file that it names.
#[derive(Debug, Error)]
#[error("channel `{channel}`: {problem}")]
pub struct ChannelError {
    /// Which one.
    pub channel: String,
    /// What is wrong; never a secret.
    pub problem: String,
}

/// What channels stand on.
pub struct Grounds<'a> {
    /// HTTP to the outside.
    pub outbound: &'a Arc<dyn Outbound>,
    /// The clock.
    pub clock: &'a Arc<dyn Clock>,
    /// Reads the one line of a file that holds a secret.
    pub secret: &'a dyn Fn(&Path) -> Result<Zeroizing<String>, String>,
}

/// Everyone who is told.
pub struct Channels {
    lanes: Vec<(Arc<Lane<Notice>>, Everything)>,
    counts: Arc<Counts>,
    groups: Groups,
}

/// Whether a channel is told of everything, or of what wants someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Everything {
    Yes,
    No,
}

impl Channels {
    /// The channels of a configuration.
    ///
    /// # Errors
    /// [`ChannelError`] names the first that cannot be used.
    pub fn new(config: &NotifyConfig, grounds: &Grounds<'_>) -> Result<Self, ChannelError> {
        let counts = Arc::<Counts>::default();
        let base = config.base_url.clone().unwrap_or_default();
        let lanes = config.channels.iter().map(|(name, channel)| {
            let wrong = |problem| ChannelError { channel: name.clone(), problem };
            let Made { tells, everything } = way(channel, &base, grounds).map_err(wrong)?;
            let lane = Lane::new(name.clone(), channel.tries, tells, Arc::clone(&counts));
            Ok((Arc::new(lane), everything))
        });
        let lanes = lanes.collect::<Result<_, _>>()?;
        Ok(Self { lanes, counts, groups: Groups::default() })
    }

    /// Whether nobody is told.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The numbers.
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Tells everyone, until told to stop.
    pub fn run(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        for (lane, _) in &self.lanes {
            tasks.spawn(Arc::clone(lane).run(stop.clone()));
        }
    }
}

impl Hears for Channels {
    fn record(&self, sequence: u64, record: &Record) {
        let Some(notice) = Notice::of(record).map(Arc::new) else { return };
        let wants_someone = self.groups.grew(record) || notice.kind.wants_someone();
        for (lane, everything) in &self.lanes {
            if *everything == Everything::Yes || wants_someone {
                lane.put(sequence, Arc::clone(&notice));
            }
        }
    }

    fn needs(&self, next: u64) -> u64 {
        self.lanes.iter().filter_map(|(lane, _)| lane.needs()).min().unwrap_or(next)
    }
}

/// A way to tell, and of what it is told.
struct Made {
    tells: Box<dyn Tells<Notice>>,
    everything: Everything,
}

fn way(channel: &Channel, base: &str, grounds: &Grounds<'_>) -> Result<Made, String> {
    let post = |url: String, key| Post {
        outbound: Arc::clone(grounds.outbound),
        clock: Arc::clone(grounds.clock),
        url: Zeroizing::new(url),
        key,
        base: base.to_owned(),
        include_values: channel.include_arguments,
        reach: channel.reach.clone(),
        within: Duration::from_secs(channel.timeout_s.into()),
    };
    match &channel.way {
        Way::Webhook { url, secret_file } => {
            let key = WebhookKey::parse(&(grounds.secret)(secret_file)?);
            let key = key.map_err(|error| error.to_string())?;
            let tells = Box::new(post(url.clone(), Some(key)));
            Ok(Made { tells, everything: Everything::Yes })
        }
        Way::Slack { url_file } => {
            let url = (grounds.secret)(url_file)?;
            let tells = Box::new(post(url.to_string(), None));
            Ok(Made { tells, everything: Everything::No })
        }
        Way::Mail(mail) => {
            let password =
                mail.login.as_ref().map(|(_, file)| (grounds.secret)(file)).transpose()?;
            let within = Duration::from_secs(channel.timeout_s.into());
            let mailer = Mailer::new(mail, password, within, base, channel.include_arguments)?;
            Ok(Made { tells: Box::new(mailer), everything: Everything::No })
        }
    }
}

/// A webhook, signed, or one of Slack, whose address is its secret.
struct Post {
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    url: Zeroizing<String>,
    key: Option<WebhookKey>,
    base: String,
    include_values: bool,
    reach: ReachForm,
    within: Duration,
}

impl Tells<Notice> for Post {
    fn tell<'a>(&'a self, notice: &'a Notice) -> Awaited<'a, Tried> {
        Awaited::of(async move {
            let request = self.request(notice);
            match self.outbound.send(request, &self.reach).await {
                Ok(answer) if answer.is_success() => Tried::Delivered,
                Ok(answer) if answer.is_final() => {
                    Tried::Never(format!("it answers with status {}", answer.status))
                }
                Ok(answer) => Tried::Later {
                    why: format!("it answers with status {}", answer.status),
                    after_s: answer.retry_after_s,
                },
                Err(why) => Tried::Later { why, after_s: None },
            }
        })
    }
}

impl Post {
    fn request(&self, notice: &Notice) -> Request {
        let link = format!("{}{}", self.base, notice.path);
        let mut headers = vec![("content-type", "application/json".to_owned())];
        let body = match &self.key {
            Some(key) => {
                let body = notice.to_json(&link, self.include_values).to_string().into_bytes();
                // The time is that of this try; the id is that of the message.
                let signed = key.sign(&notice.id, self.clock.now(), &body);
                headers.push(("webhook-id", signed.id));
                headers.push(("webhook-timestamp", signed.timestamp));
                headers.push(("webhook-signature", signed.signature));
                body
            }
            None => {
                let text = slack_text(&notice.to_text(&link, self.include_values));
                json!({ "text": text, "unfurl_links": false }).to_string().into_bytes()
            }
        };
        Request {
            verb: Verb::Post,
            url: self.url.to_string(),
            headers,
            body,
            answer_bytes_max: ANSWER_BYTES_MAX,
            within: self.within,
        }
    }
}

/// A text in which Slack finds no mention, link or formatting of somebody else's.
fn slack_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '*' | '`' | '~' | '|' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_mentioned_in_slack_by_a_name_that_a_stranger_chose() {
        assert_eq!(slack_text("<!channel> & *x*"), "&lt;!channel&gt; &amp; \u{fffd}x\u{fffd}");
    }
}
