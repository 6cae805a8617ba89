//! Polling a transmitter (RFC 8936): what is taken is acknowledged with the next poll, what is
//! refused is told, and what could not be kept comes again.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_service::SetError;
use safeconduct_wire::signals::{Delivery, POLL_ACKS_MAX, POLL_BYTES_MAX, PollAnswer, PollRequest};
use tokio::time::Instant;

use super::{Remote, StreamClient};
use crate::lane::backoff_ms;
use crate::outbound::{Request, Verb};

/// How long a poll may take: transmitters let it wait.
const WITHIN: Duration = Duration::from_secs(60);

/// An answer without tokens that came this fast did not wait.
const WAITED: Duration = Duration::from_secs(1);

pub(super) async fn run(client: &StreamClient, remote: &Remote) {
    let mut next = PollRequest::default();
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        // A poll that acknowledges is answered at once: the next one waits at the transmitter.
        let waits = next.acknowledged.is_empty() && next.refused.is_empty();
        match once(client, remote, &next).await {
            Ok((after, more)) => {
                failures = 0;
                let nothing = after.acknowledged.is_empty() && after.refused.is_empty();
                next = after;
                if waits && nothing && !more && begun.elapsed() < WAITED {
                    let every = Duration::from_secs(remote.config.poll.every_s.into());
                    tokio::time::sleep(every).await;
                }
            }
            Err(why) => {
                failures += 1;
                tracing::warn!(stream = %remote.name, failures, why, "a poll failed");
                let wait = backoff_ms(failures, &remote.name);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
        }
    }
}

/// Polls once, and says what the next poll says of it, and whether there is more.
async fn once(
    client: &StreamClient,
    remote: &Remote,
    said: &PollRequest,
) -> Result<(PollRequest, bool), String> {
    let url = url(remote).ok_or("it is not known where to poll")?;
    let most = usize::try_from(remote.config.poll.events).unwrap_or(1);
    // What was taken is acknowledged at once, not when the next one comes.
    let answers = !said.acknowledged.is_empty() || !said.refused.is_empty();
    let request = PollRequest {
        max_events: Some(most.min(POLL_ACKS_MAX)),
        return_immediately: answers,
        ..said.clone()
    };
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    headers.extend(remote.authorization());
    let request = Request {
        verb: Verb::Post,
        url,
        headers,
        body: request.to_bytes(),
        answer_bytes_max: POLL_BYTES_MAX,
        within: WITHIN,
    };
    let answer = client.outbound.send(request, &remote.reach).await?;
    if !answer.is_success() {
        return Err(format!("it answers with status {}", answer.status));
    }
    let answer = PollAnswer::parse(&answer.body).map_err(|error| error.to_string())?;
    let mut next = PollRequest::default();
    let mut kept_back = 0_usize;
    for (jti, set) in &answer.sets {
        match client.streams.polled(&remote.name, set).await {
            Ok(_) => next.acknowledged.push(Arc::clone(jti)),
            Err(SetError::Refused { fault, description }) => {
                let error = (fault.as_str().into(), description.into());
                next.refused.insert(Arc::clone(jti), error);
            }
            Err(_) => kept_back += 1,
        }
    }
    if kept_back > 0 && next.acknowledged.is_empty() && next.refused.is_empty() {
        return Err(format!("{kept_back} events could not be kept"));
    }
    Ok((next, answer.more_available))
}

fn url(remote: &Remote) -> Option<String> {
    if let Some(url) = &remote.config.poll.url {
        return Some(url.clone());
    }
    match remote.known().stream.as_ref()?.delivery.as_ref()? {
        Delivery::Poll { endpoint_url } => endpoint_url.as_ref().map(ToString::to_string),
        Delivery::Push { .. } => None,
    }
}
