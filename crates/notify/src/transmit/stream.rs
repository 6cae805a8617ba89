//! One stream of a receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{IdentityId, Timestamp};
use safeconduct_service::TransmitError;
use safeconduct_wire::config::ReachForm;
use safeconduct_wire::signals::{
    Delivery, StatusWord, StreamConfiguration, StreamStatus, SubjectId,
};

use super::events::{EVENTS, Telling};
use crate::counts::Counts;

/// Most events that wait for one receiver. Where more come, the oldest are dropped, and that is
/// loud.
pub const WAITING_MAX: usize = 10_000;

/// Most subjects that a stream leaves out.
pub const SUBJECTS_MAX: usize = 10_000;

/// What a receiver set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) delivery: Delivery,
    pub(super) requested: Option<BTreeSet<Arc<str>>>,
    pub(super) description: Option<Arc<str>>,
    pub(super) status: StreamStatus,
    pub(super) reason: Option<Arc<str>>,
    /// Every subject is told of but these.
    pub(super) removed: BTreeSet<SubjectId>,
}

impl Settings {
    /// Of what a receiver wants.
    pub(super) fn of(
        wanted: StreamConfiguration,
        reach: &ReachForm,
    ) -> Result<Self, TransmitError> {
        // Nothing said means that the receiver polls (section 8.1.1).
        let delivery = wanted.delivery.unwrap_or(Delivery::Poll { endpoint_url: None });
        if let Delivery::Push { endpoint_url, authorization_header } = &delivery {
            let scheme = endpoint_url.split_once("://").map(|(scheme, _)| scheme);
            let fits =
                scheme == Some("https") || (scheme == Some("http") && reach.http_on_loopback);
            if !fits {
                let problem = "`endpoint_url` must be `https`".to_owned();
                return Err(TransmitError::Invalid(problem));
            }
            let header = authorization_header.as_deref().unwrap_or_default();
            if header.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
                let problem = "`authorization_header` does not fit into a header".to_owned();
                return Err(TransmitError::Invalid(problem));
            }
        }
        Ok(Self {
            delivery,
            requested: wanted.events_requested,
            description: wanted.description,
            status: StreamStatus::Enabled,
            reason: None,
            removed: BTreeSet::new(),
        })
    }

    /// The types of events that are told.
    pub(super) fn delivered(&self) -> BTreeSet<Arc<str>> {
        let wanted = |uri: &&&str| self.requested.as_ref().is_none_or(|all| all.contains(**uri));
        EVENTS.iter().filter(wanted).map(|uri| Arc::from(*uri)).collect()
    }
}

/// A stream, and what waits for its receiver.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: Arc<str>,
    pub(super) receiver: IdentityId,
    pub(super) audience: Arc<str>,
    pub(super) settings: Settings,
    /// What waits, in order, by a number of its own.
    pub(super) waiting: BTreeMap<u64, Telling>,
    next: u64,
    pub(super) verified_at: Option<Timestamp>,
    /// Pushing: how often the first one was tried, and when it may be tried again.
    pub(super) tries: u32,
    pub(super) again_at: Option<tokio::time::Instant>,
    /// Whether a push is on its way.
    pub(super) under_way: bool,
}

impl Stream {
    pub(super) const fn new(
        id: Arc<str>,
        receiver: IdentityId,
        audience: Arc<str>,
        settings: Settings,
    ) -> Self {
        Self {
            id,
            receiver,
            audience,
            settings,
            waiting: BTreeMap::new(),
            next: 0,
            verified_at: None,
            tries: 0,
            again_at: None,
            under_way: false,
        }
    }

    /// How it stands.
    pub(super) fn status(&self) -> StatusWord {
        StatusWord {
            stream: Arc::clone(&self.id),
            status: self.settings.status,
            reason: self.settings.reason.clone(),
        }
    }

    /// Whether its receiver wants to be told of it.
    pub(super) fn wants(&self, telling: &Telling) -> bool {
        let settings = &self.settings;
        let asked = settings.requested.as_ref().is_none_or(|all| all.contains(telling.uri));
        let left_out = settings.removed.iter().any(|removed| matches(removed, &telling.subject));
        settings.status != StreamStatus::Disabled && asked && !left_out
    }

    /// Puts one in.
    pub(super) fn put(&mut self, telling: Telling, counts: &Counts) {
        counts.put();
        self.waiting.insert(self.next, telling);
        self.next += 1;
        if self.waiting.len() > WAITING_MAX && self.waiting.pop_first().is_some() {
            let why = format!("more than {WAITING_MAX} events wait; the oldest are dropped");
            tracing::error!(stream = %self.id, receiver = %self.receiver, "EVENTS ARE DROPPED: {why}");
            counts.dropped(&self.name(), &why);
        }
    }

    /// Takes one out that its receiver has.
    pub(super) fn acknowledged(&mut self, jti: &str, counts: &Counts) {
        let place = self.waiting.iter().find(|(_, one)| *one.jti == *jti).map(|(n, _)| *n);
        if let Some(place) = place {
            self.waiting.remove(&place);
            counts.delivered(&self.name());
        }
    }

    /// Takes one out that its receiver never takes.
    pub(super) fn refused(&mut self, jti: &str, why: &str, counts: &Counts) {
        let place = self.waiting.iter().find(|(_, one)| *one.jti == *jti).map(|(n, _)| *n);
        if let Some(place) = place {
            self.waiting.remove(&place);
            tracing::error!(stream = %self.id, receiver = %self.receiver, why, "A RECEIVER REFUSES AN EVENT");
            counts.given_up(&self.name(), why);
        }
    }

    /// What operators know it by.
    pub(super) fn name(&self) -> String {
        format!("receiver {}", self.receiver)
    }

    /// The first record of which something waits.
    pub(super) fn needs(&self) -> Option<u64> {
        self.waiting.values().filter_map(|telling| telling.sequence).min()
    }
}

/// Whether a subject is one that was named: each member that both have is the same (section 8.1.3.1).
fn matches(named: &SubjectId, subject: &SubjectId) -> bool {
    match (named, subject) {
        (SubjectId::Complex(named), SubjectId::Complex(members)) => {
            let mut both = named.iter().filter_map(|(name, one)| Some((one, members.get(name)?)));
            let first = both.next();
            first.is_some_and(|(a, b)| a == b) && both.all(|(a, b)| a == b)
        }
        (one, SubjectId::Complex(members)) => members.values().any(|member| member == one),
        (one, other) => one == other,
    }
}
