//! The ledger as it grows: server-sent events, resumable by `Last-Event-ID`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use safeconduct_model::Authentication;
use safeconduct_service::{Operation, ReadRecord};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use utoipa::IntoParams;

use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::records::read;
use crate::refusals::{Misasked, Refused};
use crate::router::Shared;

/// Most streams that are open at once. One more is refused with 503.
pub const TAILS_MAX: usize = 64;

/// How many records are read at once.
const BATCH: usize = 256;

/// How often a quiet stream shows that it lives, and looks whether its token still stands.
const QUIET: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Begin {
    /// After the record of that sequence number; left out, with the next record.
    after: Option<u64>,
}

/// Follows the ledger: one event for each record, its `id` the sequence number, its `event` the
/// kind `record`, its `data` the record's canonical JSON.
#[utoipa::path(
    get,
    path = "/v1/log/tail",
    tag = "Ledger",
    operation_id = "log.tail",
    params(
        Begin,
        ("Last-Event-ID" = Option<String>, Header, description = "Goes on after the record of that sequence number; wins over `after`"),
    ),
    responses(
        (status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream"),
        Misasked,
        Refused,
        (status = 503, description = "There are 64 streams already", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn tail(State(api): State<Shared>, parts: Parts) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::LogTail).await?;
    let Begin { after } = page::query(&parts.uri)?;
    let after = last_event(&parts.headers)?.or(after);
    let next = after.map_or_else(|| api.read.read_up_to(), |after| after.saturating_add(1));
    let place = std::sync::Arc::clone(&api.tails)
        .try_acquire_owned()
        .map_err(|_| Problem::unavailable(format!("there are {TAILS_MAX} streams already")))?;
    let tail = Tail { api, proof: caller.proof, next, ready: VecDeque::new(), _place: place };
    let keep_alive = KeepAlive::new().interval(QUIET);
    let mut response = Sse::new(events(tail)).keep_alive(keep_alive).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(id) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let id = id.to_str().ok().and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(|| Problem::invalid("`Last-Event-ID` is no sequence number"))
}

struct Tail {
    api: Shared,
    proof: Authentication,
    /// The sequence number that comes next.
    next: u64,
    ready: VecDeque<ReadRecord>,
    _place: OwnedSemaphorePermit,
}

fn events(tail: Tail) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(tail, |mut tail| async move {
        let record = tail.record().await?;
        let id = record.sequence.to_string();
        let event = Event::default().id(id).event("record").data(&*record.leaf);
        Some((Ok(event), tail))
    })
}

impl Tail {
    /// The next record; `None` ends the stream: the server stops, the token or the right is gone,
    /// or nothing can be read.
    async fn record(&mut self) -> Option<ReadRecord> {
        let mut stopping = self.api.stopping.subscribe();
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.next = record.sequence + 1;
                return Some(record);
            }
            if *stopping.borrow_and_update() || !self.may_go_on() {
                return None;
            }
            let from = self.next;
            if self.api.read.read_up_to() > from {
                let page = read(&self.api, move |read| read.from(from, BATCH)).await.ok()?;
                self.ready.extend(page.records);
                if !self.ready.is_empty() {
                    continue;
                }
            }
            let read = std::sync::Arc::clone(&self.api.read);
            tokio::select! {
                _ = timeout(QUIET, read.grown_beyond(from)) => {}
                _ = stopping.changed() => return None,
            }
        }
    }

    fn may_go_on(&self) -> bool {
        let service = &self.api.service;
        let world = service.world();
        let identity = world.identity(&self.proof.identity);
        service.stands(&self.proof, service.now())
            && identity.is_some_and(|who| self.api.administration.permits(who, Operation::LogTail))
    }
}
