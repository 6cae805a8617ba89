//! The state of all requests: a fold of their changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{IdentityId, KeyedDigest, Timestamp};

use super::{Asking, Docket, ENDED_MAX, HOUR_MS, REFUSALS_MAX, parties};
use crate::{AccessRequest, Change, Event, FoldError, Opened, Scope, State};

impl Docket {
    /// Takes the next change in. What cannot happen changes nothing.
    ///
    /// # Errors
    /// [`FoldError`]: after [`FoldError::Stale`], look at the request again.
    pub fn apply(&mut self, change: &Change) -> Result<(), FoldError> {
        match &change.event {
            Event::Requested(opened) => self.take_in(opened, change),
            _ => self.advance(change),
        }
    }

    fn take_in(&mut self, opened: &Opened, change: &Change) -> Result<(), FoldError> {
        let request = AccessRequest::begin(change)?;
        let agent = opened.binding.actors.first().ok_or(FoldError::NotOpened)?;
        if self.requests.contains_key(&opened.id) {
            return Err(FoldError::Stale { made_at: 0, stands_at: 1 });
        }
        if !self.joins(opened) {
            self.count_asked(&opened.binding.actors, &opened.asked, opened.at);
        }
        let key = (agent.clone(), opened.binding.task.clone());
        self.live.entry(key).or_default().insert(opened.id.clone());
        self.live_count += 1;
        self.requests.insert(opened.id.clone(), request);
        self.rest(&opened.id);
        Ok(())
    }

    fn count_asked(&mut self, actors: &[IdentityId], people: &BTreeSet<IdentityId>, at: Timestamp) {
        let over = |(time, _): &(Timestamp, IdentityId)| at.ms_since(*time) >= HOUR_MS;
        while self.askings.front().is_some_and(over) {
            let Some((_, person)) = self.askings.pop_front() else { break };
            if let Some(times) = self.asked.get_mut(&person) {
                times.pop_front();
                if times.is_empty() {
                    self.asked.remove(&person);
                }
            }
        }
        let actors: Arc<[IdentityId]> = actors.into();
        for person in people {
            let asking = Asking { at, actors: Arc::clone(&actors) };
            self.asked.entry(person.clone()).or_default().push_back(asking);
            self.askings.push_back((at, person.clone()));
        }
    }

    fn advance(&mut self, change: &Change) -> Result<(), FoldError> {
        let request = self.requests.get_mut(&change.request).ok_or(FoldError::NotOpened)?;
        request.apply(change)?;
        let (opened, state) = (request.opened(), request.state());
        if let Event::Asked { people } = &change.event {
            let actors = opened.binding.actors.clone();
            self.count_asked(&actors, people, change.at);
            return Ok(());
        }
        let parties: Vec<IdentityId> = parties(&opened.binding).cloned().collect();
        // INVARIANT: `take_in` refuses a request without an actor.
        let Some(agent) = opened.binding.actors.first().cloned() else { return Ok(()) };
        let (likeness, refused) = (opened.likeness, state == State::Refused);
        let task = opened.binding.task.clone();
        let across = matches!(request.scope(), Some(Scope::Until { .. }));
        match state.is_final() {
            true => self.rest_no_more(&change.request),
            false if matches!(change.event, Event::Answered(_)) => self.rest(&change.request),
            false => {}
        }
        if state == State::Approved && across {
            self.across_tasks.entry(agent).or_default().insert(change.request.clone());
            return Ok(());
        }
        if !state.is_final() {
            return Ok(());
        }
        if across && let Some(ids) = self.across_tasks.get_mut(&agent) {
            ids.remove(&change.request);
            if ids.is_empty() {
                self.across_tasks.remove(&agent);
            }
        }
        let key = (agent, task);
        if let Some(ids) = self.live.get_mut(&key) {
            self.live_count -= usize::from(ids.remove(&change.request));
            if ids.is_empty() {
                self.live.remove(&key);
            }
        }
        if refused {
            parties.into_iter().for_each(|who| self.remember(who, likeness, change));
        }
        self.ended.push_back(change.request.clone());
        if self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.requests.remove(&oldest);
        }
        Ok(())
    }

    fn remember(&mut self, who: IdentityId, likeness: KeyedDigest, change: &Change) {
        self.refused.push_back((change.at, who.clone(), likeness));
        self.refusals.insert((who, likeness), (change.at, change.request.clone()));
        let over = |(at, ..): &(Timestamp, IdentityId, KeyedDigest)| {
            change.at.ms_since(*at) >= self.pace.refusal_holds_ms
        };
        while self.refused.len() > REFUSALS_MAX || self.refused.front().is_some_and(over) {
            let Some((at, who, likeness)) = self.refused.pop_front() else { break };
            let key = (who, likeness);
            // It may have been refused again since.
            if self.refusals.get(&key).is_some_and(|(last, _)| *last == at) {
                self.refusals.remove(&key);
            }
        }
    }
}
