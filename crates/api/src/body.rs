//! Reading bodies: once, within their limit, after the caller has been let in.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tokio::time::timeout;

/// Longest body of a request, in bytes. A longer one is refused with 413.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long a client may take to send a body. A slower one is refused with 408.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a body cannot be used: the caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the content type must be `application/json`")]
    NotJson,
    #[error("the body has more bytes than are read")]
    TooLong,
    #[error("the body ended before it was complete")]
    Broken,
    #[error("the body did not come within {} s", BODY_READ_TIMEOUT.as_secs())]
    TooSlow,
}

/// The bytes of a body that says that it is JSON.
pub(crate) async fn json_bytes(headers: &HeaderMap, body: Body) -> Result<Bytes, BodyError> {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if !is_json(content_type) {
        return Err(BodyError::NotJson);
    }
    read(body).await
}

async fn read(body: Body) -> Result<Bytes, BodyError> {
    read_within(body, BODY_BYTES_MAX).await
}

/// The bytes of a body, at most so many.
pub(crate) async fn read_within(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let mut read = pin!(to_bytes(body, limit));
    // Nearly every body is there with its head: only one that is not needs a timer.
    let read = match poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await {
        Poll::Ready(read) => read,
        Poll::Pending => timeout(BODY_READ_TIMEOUT, read).await.map_err(|_| BodyError::TooSlow)?,
    };
    read.map_err(|error| {
        let too_long = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if too_long { BodyError::TooLong } else { BodyError::Broken }
    })
}

/// `application/json`, with or without parameters.
fn is_json(content_type: &[u8]) -> bool {
    const JSON: &[u8] = b"application/json";
    let Some((essence, rest)) = content_type.split_at_checked(JSON.len()) else {
        return false;
    };
    let ends = rest.iter().find(|b| !matches!(b, b' ' | b'\t')).is_none_or(|b| *b == b';');
    essence.eq_ignore_ascii_case(JSON) && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_json() {
        for text in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x"] {
            assert!(is_json(text.as_bytes()), "{text}");
        }
        for text in ["", "text/plain", "application/jsonp", "application/json-seq", "text/json"] {
            assert!(!is_json(text.as_bytes()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let at_limit = read(Body::from(vec![b' '; BODY_BYTES_MAX])).await.unwrap();
        assert_eq!(at_limit.len(), BODY_BYTES_MAX);
        let over = read(Body::from(vec![b' '; BODY_BYTES_MAX + 1])).await;
        assert_eq!(over, Err(BodyError::TooLong));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, BodyError>>());
        assert_eq!(read(never).await, Err(BodyError::TooSlow));
    }
}
