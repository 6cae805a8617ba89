//! What is asked of a transmitter.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_service::ControlError;
use safeconduct_wire::config::DeliveryWord;
use safeconduct_wire::json;
use safeconduct_wire::signals::{
    Delivery, StatusWord, StreamConfiguration, StreamRequest, StreamStatus, SubjectId,
    TransmitterMetadata, metadata_url,
};
use tokio::time::Instant;

use super::{METADATA_KEPT, Remote, StreamClient};
use crate::outbound::Verb;

/// The types of events that mean something here: those that are asked for where nothing is said.
pub const KNOWN_EVENTS: [&str; 14] = [
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
    "https://schemas.openid.net/secevent/caep/event-type/credential-change",
    "https://schemas.openid.net/secevent/caep/event-type/assurance-level-change",
    "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change",
    "https://schemas.openid.net/secevent/caep/event-type/risk-level-change",
    "https://schemas.openid.net/secevent/risc/event-type/account-credential-change-required",
    "https://schemas.openid.net/secevent/risc/event-type/account-purged",
    "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
    "https://schemas.openid.net/secevent/risc/event-type/account-enabled",
    "https://schemas.openid.net/secevent/risc/event-type/identifier-changed",
    "https://schemas.openid.net/secevent/risc/event-type/identifier-recycled",
    "https://schemas.openid.net/secevent/risc/event-type/credential-compromise",
    "https://schemas.openid.net/secevent/risc/event-type/recovery-activated",
];

impl StreamClient {
    async fn metadata(&self, remote: &Remote) -> Result<Arc<TransmitterMetadata>, ControlError> {
        let kept = remote.known().metadata.clone();
        if let Some((_, metadata)) = kept.filter(|(at, _)| at.elapsed() < METADATA_KEPT) {
            return Ok(metadata);
        }
        let url = metadata_url(&remote.config.issuer);
        let url = url.ok_or_else(|| remote.at_fault("its issuer is no address"))?;
        let answer = self.ask(remote, Verb::Get, &url, Vec::new()).await?;
        let metadata = TransmitterMetadata::parse(&answer.body, &remote.config.issuer);
        let metadata = Arc::new(metadata.map_err(|error| remote.at_fault(error))?);
        remote.known().metadata = Some((Instant::now(), Arc::clone(&metadata)));
        Ok(metadata)
    }

    /// Makes the stream at its transmitter what it is to be: finds it, changes it, or makes it.
    pub(super) async fn ensure(&self, remote: &Remote) -> Result<(), ControlError> {
        let metadata = self.metadata(remote).await?;
        let url = endpoint(remote, &metadata.configuration_endpoint)?;
        let wanted = remote.wanted();
        let listed = self.ask(remote, Verb::Get, &url, Vec::new()).await?;
        let listed = StreamConfiguration::parse_list(&listed.body);
        let listed = listed.map_err(|error| remote.at_fault(error))?;
        let found = listed.into_iter().find(|one| is_ours(one, &wanted));
        let stream = match found {
            Some(found) if found.events_requested == wanted.events_requested => found,
            Some(found) => {
                let change = StreamConfiguration { id: found.id, ..wanted };
                self.changed(remote, Verb::Patch, &url, &change).await?
            }
            None => self.changed(remote, Verb::Post, &url, &wanted).await?,
        };
        if stream.id.is_none() {
            return Err(remote.at_fault("it gives the stream no id"));
        }
        tracing::info!(stream = %remote.name, "the stream is set up at its transmitter");
        remote.known().stream = Some(stream);
        Ok(())
    }

    async fn changed(
        &self,
        remote: &Remote,
        verb: Verb,
        url: &str,
        stream: &StreamConfiguration,
    ) -> Result<StreamConfiguration, ControlError> {
        let body = json::to_bytes(&stream.to_value());
        let answer = self.ask(remote, verb, url, body).await?;
        StreamConfiguration::parse(&answer.body).map_err(|error| remote.at_fault(error))
    }

    /// The id of a stream at its transmitter.
    async fn id(&self, remote: &Remote) -> Result<Arc<str>, ControlError> {
        let known = || remote.known().stream.as_ref().and_then(|stream| stream.id.clone());
        if known().is_none() {
            self.ensure(remote).await?;
        }
        known().ok_or_else(|| remote.at_fault("the stream is not set up yet"))
    }

    pub(super) async fn status_of(&self, remote: &Remote) -> Result<StatusWord, ControlError> {
        let id = self.id(remote).await?;
        let url = endpoint(remote, &self.metadata(remote).await?.status_endpoint)?;
        let answer = self.ask(remote, Verb::Get, &with_id(&url, &id), Vec::new()).await?;
        StatusWord::parse(&answer.body).map_err(|error| remote.at_fault(error))
    }

    pub(super) async fn verify_remote(&self, remote: &Remote) -> Result<(), ControlError> {
        let id = self.id(remote).await?;
        let url = endpoint(remote, &self.metadata(remote).await?.verification_endpoint)?;
        let mut state = [0_u8; 16];
        getrandom::fill(&mut state).map_err(|error| remote.at_fault(error))?;
        let state: Arc<str> = hex::encode(state).into();
        // First, so that the event cannot come before it is expected.
        self.streams.expect_verification(&remote.name, &state);
        let request = StreamRequest { stream: id, state: Some(state), subject: None };
        let body = json::to_bytes(&request.to_value());
        self.ask(remote, Verb::Post, &url, body).await.map(drop)
    }

    /// Asks the transmitter to hold a stream's events, to drop them, or to let them come.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn set_status(
        &self,
        stream: &str,
        status: StreamStatus,
        reason: Option<Arc<str>>,
    ) -> Result<StatusWord, ControlError> {
        let remote = self.remote(stream)?;
        let word = StatusWord { stream: self.id(remote).await?, status, reason };
        let url = endpoint(remote, &self.metadata(remote).await?.status_endpoint)?;
        let body = json::to_bytes(&word.to_value());
        let answer = self.ask(remote, Verb::Post, &url, body).await?;
        StatusWord::parse(&answer.body).map_err(|error| remote.at_fault(error))
    }

    /// Asks the transmitter to tell of a subject.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn add_subject(&self, stream: &str, subject: SubjectId) -> Result<(), ControlError> {
        let remote = self.remote(stream)?;
        let url = endpoint(remote, &self.metadata(remote).await?.add_subject_endpoint)?;
        self.subject(remote, &url, subject).await
    }

    /// Asks the transmitter to tell of a subject no more.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn remove_subject(
        &self,
        stream: &str,
        subject: SubjectId,
    ) -> Result<(), ControlError> {
        let remote = self.remote(stream)?;
        let url = endpoint(remote, &self.metadata(remote).await?.remove_subject_endpoint)?;
        self.subject(remote, &url, subject).await
    }

    async fn subject(
        &self,
        remote: &Remote,
        url: &str,
        subject: SubjectId,
    ) -> Result<(), ControlError> {
        let stream = self.id(remote).await?;
        let request = StreamRequest { stream, state: None, subject: Some(subject) };
        let body = json::to_bytes(&request.to_value());
        self.ask(remote, Verb::Post, url, body).await.map(drop)
    }

    /// Ends a stream at its transmitter. The next start makes it anew, unless the configuration
    /// names it no more.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn delete(&self, stream: &str) -> Result<(), ControlError> {
        let remote = self.remote(stream)?;
        let id = self.id(remote).await?;
        let url = endpoint(remote, &self.metadata(remote).await?.configuration_endpoint)?;
        self.ask(remote, Verb::Delete, &with_id(&url, &id), Vec::new()).await?;
        remote.known().stream = None;
        Ok(())
    }
}

impl Remote {
    /// The stream as it is to be.
    fn wanted(&self) -> StreamConfiguration {
        let manage = self.config.manage.as_ref();
        let named = manage.map(|manage| &manage.events).filter(|events| !events.is_empty());
        let events: BTreeSet<Arc<str>> = match named {
            Some(named) => named.iter().map(|uri| uri.as_str().into()).collect(),
            None => KNOWN_EVENTS.iter().map(|uri| Arc::from(*uri)).collect(),
        };
        let delivery = match self.config.delivery {
            DeliveryWord::Poll => Delivery::Poll { endpoint_url: None },
            DeliveryWord::Push => {
                let base = manage.and_then(|manage| manage.base_url.as_deref());
                let base = base.unwrap_or_default().trim_end_matches('/');
                let url = format!("{base}/v1/signals/streams/{}", self.name);
                let bearer = self.bearer.as_ref().map(|one| format!("Bearer {}", **one).into());
                Delivery::Push { endpoint_url: url.into(), authorization_header: bearer }
            }
        };
        StreamConfiguration {
            delivery: Some(delivery),
            events_requested: Some(events),
            description: Some("Safeconduct".into()),
            ..StreamConfiguration::default()
        }
    }
}

/// Whether a stream at the transmitter comes to us in that way.
fn is_ours(found: &StreamConfiguration, wanted: &StreamConfiguration) -> bool {
    match (&found.delivery, &wanted.delivery) {
        (
            Some(Delivery::Push { endpoint_url: found, .. }),
            Some(Delivery::Push { endpoint_url: wanted, .. }),
        ) => found == wanted,
        (Some(Delivery::Poll { .. }), Some(Delivery::Poll { .. })) => true,
        _ => false,
    }
}

fn endpoint(remote: &Remote, url: &Option<Arc<str>>) -> Result<String, ControlError> {
    let url = url.as_ref().map(ToString::to_string);
    url.ok_or_else(|| remote.at_fault("it does not offer that"))
}

fn with_id(url: &str, id: &str) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let id: String = id
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("{url}{mark}stream_id={id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_parameter() {
        assert_eq!(with_id("https://a/s", "f 6&x"), "https://a/s?stream_id=f%206%26x");
        assert_eq!(with_id("https://a/s?b=c", "f"), "https://a/s?b=c&stream_id=f");
    }
}
