//! Telling people that a request waits for them who were not told when it was made: those of a
//! later stage or of the escalation, and those whom a group of requests had asked that is
//! answered. They are told as often as anybody is, and no oftener.

use std::collections::BTreeSet;

use safeconduct_approval::{AccessRequest, Change, Event, State, Telling};
use safeconduct_model::{IdentityId, Method, RecordId, Timestamp};

use super::{AccessHappened, AccessNews, Ledgered, Place, agent_of, people};
use crate::Service;

/// After how long it is tried again what could not be recorded, in milliseconds.
const AGAIN_AFTER_MS: i64 = 10_000;

impl Place {
    /// Of a request that was made by that entry.
    pub(super) const fn new(at: u64) -> Self {
        Self { at, denied_by: None, due: None, ask_at: None, methods: Vec::new() }
    }
}

impl Ledgered {
    /// When people are to be looked for after that change, who were not told yet; nothing where
    /// the change says nothing of it.
    pub(super) fn asks_after(&self, change: &Change) -> Option<Option<Timestamp>> {
        match change.event {
            Event::Requested(_) | Event::Asked { .. } => Some(None),
            Event::Escalated => Some(Some(change.at)),
            Event::Answered(_) => {
                let request = self.docket.request(&change.request)?;
                let opens = request.state() == State::Pending && request.told().is_empty();
                opens.then_some(Some(change.at))
            }
            _ => None,
        }
    }

    /// Puts down when people are looked for.
    pub(super) fn ask_at(&mut self, id: &RecordId, at: Option<Timestamp>) {
        if let Some(place) = self.places.get_mut(id) {
            place.ask_at = at;
        }
        self.plan(id);
    }

    /// Puts down when something is due of a request.
    pub(super) fn plan(&mut self, id: &RecordId) {
        let request = self.docket.request(id);
        let due = request.and_then(AccessRequest::due_at);
        let waits = request.is_some_and(|request| request.state() == State::Pending);
        let Some(place) = self.places.get_mut(id) else { return };
        place.ask_at = place.ask_at.filter(|_| waits);
        if let Some(before) = place.due {
            self.agenda.remove(&(before, id.clone()));
        }
        place.due = [due, place.ask_at].into_iter().flatten().min();
        self.agenda.extend(place.due.map(|due| (due, id.clone())));
    }
}

impl Service {
    /// Tells those that a request waits for them who may answer it now and were not told. Whoever
    /// was asked enough within the hour is told later. Says whether anybody was told.
    pub(super) fn ask_others(&self, id: &RecordId) -> bool {
        let wanted = |state: &Ledgered| state.places.get(id).is_some_and(|it| it.ask_at.is_some());
        let request = {
            let state = self.requests.lock();
            match state.docket.request(id).filter(|_| wanted(&state)) {
                Some(request) => request.clone(),
                None => return false,
            }
        };
        // Who owns what is touched may have to be read from the disk: decisions do not wait.
        let people = self.who_may_answer(&request);
        let now = self.now();
        let told = {
            let mut state = self.requests.lock();
            if !wanted(&state) {
                return false;
            }
            let agent = agent_of(&request).cloned();
            match (state.docket.tell(id, people, now), agent) {
                (Telling::Now { change, again_at }, Some(agent)) => {
                    let told = told_of(&change);
                    let changes = [change];
                    let method = Method::ApiKey;
                    match self.queue_changes(&mut state, &agent, &changes, method, Vec::new()) {
                        Ok(_) => {
                            state.ask_at(id, again_at);
                            told
                        }
                        Err(error) => {
                            tracing::error!(%error, request = %id, "who is asked could not be recorded");
                            state.ask_at(id, Some(now.plus_ms(AGAIN_AFTER_MS)));
                            BTreeSet::new()
                        }
                    }
                }
                (Telling::Later(at), _) => {
                    state.ask_at(id, Some(at));
                    BTreeSet::new()
                }
                _ => {
                    state.ask_at(id, None);
                    BTreeSet::new()
                }
            }
        };
        if told.is_empty() {
            return false;
        }
        if let Some(news) = self.news(id, AccessHappened::Asked) {
            self.tell_of_news(&AccessNews { to: told, ..news });
        }
        true
    }

    /// Those who may answer a request now, by the policy's words.
    fn who_may_answer(&self, request: &AccessRequest) -> BTreeSet<IdentityId> {
        let opened = request.opened();
        let owners = self.asked_of(request).map(|asked| asked.owners).unwrap_or_default();
        let world = self.world();
        let holders = people::holders(&world, &opened.binding, &owners);
        let (terms, parts) = (request.open_terms(), &opened.interested);
        people::named(&world, terms, &opened.binding, &holders, parts)
    }
}

fn told_of(change: &Change) -> BTreeSet<IdentityId> {
    match &change.event {
        Event::Asked { people } => people.clone(),
        _ => BTreeSet::new(),
    }
}
