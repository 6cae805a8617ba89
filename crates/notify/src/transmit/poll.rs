//! Answering polls (RFC 8936).

use std::time::Duration;

use safeconduct_model::{IdentityId, Value};
use safeconduct_service::TransmitError;
use safeconduct_wire::signals::{POLL_SETS_MAX, PollAnswer, PollRequest, StreamStatus};
use tokio::time::timeout;

use super::{Transmitter, said};

/// How long a poll waits where nothing is there.
const WAIT: Duration = Duration::from_secs(25);

pub(super) async fn poll(
    transmitter: &Transmitter,
    receiver: &IdentityId,
    stream: &str,
    body: &[u8],
) -> Result<Value, TransmitError> {
    let request = said(PollRequest::parse(body))?;
    transmitter.with(receiver, stream, |stream| {
        for jti in &request.acknowledged {
            stream.acknowledged(jti, &transmitter.counts);
        }
        for (jti, (err, description)) in &request.refused {
            let why = crate::notice::shown(&format!("{err}: {description}"));
            stream.refused(jti, &why, &transmitter.counts);
        }
        Ok(())
    })?;
    let most = request.max_events.unwrap_or(POLL_SETS_MAX).min(POLL_SETS_MAX);
    let mut more = transmitter.polls.subscribe();
    let waiting = async {
        loop {
            more.mark_unchanged();
            let answer = answer(transmitter, receiver, stream, most)?;
            if most == 0 || request.return_immediately || !answer.sets.is_empty() {
                return Ok(answer);
            }
            if more.changed().await.is_err() {
                return Ok(answer);
            }
        }
    };
    match timeout(WAIT, waiting).await {
        Ok(answer) => answer.map(|answer| answer.to_value()),
        Err(_) => Ok(PollAnswer::default().to_value()),
    }
}

fn answer(
    transmitter: &Transmitter,
    receiver: &IdentityId,
    stream: &str,
    most: usize,
) -> Result<PollAnswer, TransmitError> {
    let now = transmitter.service.now();
    let (wanted, more_available) = transmitter.with(receiver, stream, |stream| {
        if stream.settings.status != StreamStatus::Enabled {
            return Ok((Vec::new(), false));
        }
        let issuer = &transmitter.config.issuer;
        let first = stream.waiting.values().take(most);
        let claims = first.map(|one| (one.jti.clone(), one.claims(issuer, &stream.audience, now)));
        Ok((claims.collect(), stream.waiting.len() > most))
    })?;
    let sets = wanted.into_iter().map(|(jti, claims)| {
        let signed = transmitter.service.sign_security_event(&claims);
        let signed = signed.map_err(|error| TransmitError::NotKept(error.to_string().into()))?;
        Ok((jti, signed.into()))
    });
    Ok(PollAnswer { sets: sets.collect::<Result<_, TransmitError>>()?, more_available })
}
