//! Pushing to receivers (RFC 8935): each stream in order, one at a time, for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_wire::json;
use safeconduct_wire::signals::{Delivery, SET_MEDIA_TYPE, StreamStatus};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Transmitter;
use crate::lane::backoff_ms;
use crate::outbound::{Request, Verb};

/// How long one push may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// How long nothing may happen before it is looked again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// One push: to which stream, of which event.
struct Push {
    stream: Arc<str>,
    jti: Arc<str>,
    request: Request,
}

pub(super) async fn run(transmitter: Arc<Transmitter>, stop: CancellationToken) {
    let pushing = TaskTracker::new();
    loop {
        let (pushes, next) = due(&transmitter);
        for push in pushes {
            let (transmitter, stop) = (Arc::clone(&transmitter), stop.clone());
            pushing.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = one(&transmitter, push) => transmitter.more.notify_one(),
                }
            });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = transmitter.more.notified() => {}
            () = sleep_until(next) => {}
        }
    }
    pushing.close();
    pushing.wait().await;
}

/// What is to be pushed now, and when to look again.
fn due(transmitter: &Transmitter) -> (Vec<Push>, Instant) {
    let (now, at) = (Instant::now(), transmitter.service.now());
    let (mut pushes, mut next) = (Vec::new(), now + LOOK_EVERY);
    for stream in transmitter.streams().values_mut() {
        let Delivery::Push { endpoint_url, authorization_header } = &stream.settings.delivery
        else {
            continue;
        };
        if stream.settings.status != StreamStatus::Enabled || stream.under_way {
            continue;
        }
        let Some(first) = stream.waiting.values().next() else { continue };
        if let Some(again) = stream.again_at.filter(|again| *again > now) {
            next = next.min(again);
            continue;
        }
        let claims = first.claims(&transmitter.config.issuer, &stream.audience, at);
        let signed = match transmitter.service.sign_security_event(&claims) {
            Ok(signed) => signed,
            Err(error) => {
                tracing::error!(%error, "an event cannot be told");
                stream.again_at = Some(now + LOOK_EVERY);
                continue;
            }
        };
        let mut headers = vec![
            ("content-type", SET_MEDIA_TYPE.to_owned()),
            ("accept", "application/json".to_owned()),
        ];
        headers.extend(
            authorization_header.as_ref().map(|header| ("authorization", header.to_string())),
        );
        stream.under_way = true;
        pushes.push(Push {
            stream: Arc::clone(&stream.id),
            jti: Arc::clone(&first.jti),
            request: Request {
                verb: Verb::Post,
                url: endpoint_url.to_string(),
                headers,
                body: signed.into_bytes(),
                answer_bytes_max: ANSWER_BYTES_MAX,
                within: WITHIN,
            },
        });
    }
    (pushes, next)
}

async fn one(transmitter: &Transmitter, push: Push) {
    let Push { stream, jti, request } = push;
    let answer = transmitter.outbound.send(request, &transmitter.config.reach).await;
    let mut streams = transmitter.streams();
    let Some(stream) = streams.get_mut(&stream) else { return };
    stream.under_way = false;
    let (why, refused) = match answer {
        Ok(answer) if answer.is_success() => {
            (stream.tries, stream.again_at) = (0, None);
            return stream.acknowledged(&jti, &transmitter.counts);
        }
        // Only what the protocol says of the token itself is final: whoever is not let in now may
        // be later.
        Ok(answer) if answer.status == 400 => {
            let err = err_of(&answer.body);
            let final_word = !matches!(err.as_str(), "authentication_failed" | "access_denied");
            (format!("it refuses the event: {err}"), final_word)
        }
        Ok(answer) => (format!("it answers with status {}", answer.status), false),
        Err(why) => (why, false),
    };
    if refused {
        (stream.tries, stream.again_at) = (0, None);
        return stream.refused(&jti, &why, &transmitter.counts);
    }
    stream.tries = stream.tries.saturating_add(1);
    let wait = backoff_ms(stream.tries, &stream.id);
    stream.again_at = Some(Instant::now() + Duration::from_millis(wait));
    transmitter.counts.failed();
    transmitter.counts.in_trouble(&stream.name(), &why);
    tracing::warn!(receiver = %stream.receiver, tries = stream.tries, why, "an event did not arrive yet");
}

fn err_of(body: &[u8]) -> String {
    let said = json::parse(body).ok();
    let err = said.as_ref().and_then(|said| said.member("err")?.as_str());
    crate::notice::shown(err.unwrap_or("without a reason"))
}
