//! Reading the records of requests again.

use std::collections::BTreeSet;

use safeconduct_approval::Change;
use safeconduct_model::{
    AccessAnswer, AccessChange, AccessEvent, BrokenGlass, IdentityId, KillScope, Record, RecordId,
    SessionKey, TaskId,
};

use super::{Glass, Place, agent_of};
use crate::Service;
use crate::restore::Attachment;

impl Service {
    /// Takes in where the key of an agent's requests lies.
    pub(crate) fn restore_requests_key(&self, key: &SessionKey, at: u64) {
        let mut state = self.requests.lock();
        let of = state.agent(&key.identity);
        of.keys_at = Some(at);
        of.keys = None;
    }

    /// Takes in that the key of an agent's requests was erased.
    pub(crate) fn restore_requests_erased(&self, key: &SessionKey) {
        let mut state = self.requests.lock();
        let of = state.agent(&key.identity);
        of.keys_at = None;
        of.keys = None;
        of.sealed_at.clear();
    }

    /// Takes a change in. What cannot be read, or does not follow from what came before, is of no
    /// use to anybody.
    pub(crate) fn restore_access(
        &self,
        sequence: u64,
        record: &Record,
        recorded: &AccessChange,
        sealed: Attachment,
    ) {
        let id = &recorded.request;
        let mut state = self.requests.lock();
        let agent = match &recorded.event {
            AccessEvent::Requested(requested) => requested.binding.actors.first().cloned(),
            _ => state.docket.request(id).and_then(agent_of).cloned(),
        };
        let Some(agent) = agent else {
            tracing::error!(request = %id, "a change of an unknown access request is left out");
            return;
        };
        let scope = match &recorded.event {
            AccessEvent::Answered(answered) if has_bounds(&answered.answer) => {
                let keys = match sealed {
                    Attachment::Present => self.known_request_keys(&mut state, &agent),
                    Attachment::Absent => Ok(None),
                };
                let keys = keys.ok().flatten();
                keys.and_then(|keys| self.open_scope(&*keys, &record.id, sequence))
            }
            _ => None,
        };
        let change = match Change::restored(recorded, record.at, scope) {
            Ok(change) => change,
            Err(error) => {
                tracing::error!(%error, request = %id, "a change of an access request cannot be read");
                return;
            }
        };
        if sealed == Attachment::Present {
            state.agent(&agent).sealed_at.push(sequence);
        }
        match &recorded.event {
            AccessEvent::Requested(_) => {
                let denied_by = record.parent.clone();
                let place = Place { denied_by, ..Place::new(sequence) };
                state.places.insert(id.clone(), place);
            }
            AccessEvent::Answered(answered) => {
                if let Some(place) = state.places.get_mut(id) {
                    place.methods.push(answered.method);
                }
            }
            _ => {}
        }
        if let Err(error) = state.take_in(&change) {
            tracing::error!(%error, request = %id, "a change of an access request does not follow");
        }
    }

    /// Takes in that rules were set aside.
    pub(crate) fn restore_glass(&self, record: &Record, broken: &BrokenGlass) {
        let glass = Glass { broken: broken.clone(), at: record.at };
        self.requests.lock().glasses.insert(record.id.clone(), glass);
    }

    /// Takes in that they hold again.
    pub(crate) fn restore_mended(&self, glass: &RecordId) {
        self.requests.lock().glasses.remove(glass);
    }

    /// Ends the fold.
    pub(crate) fn access_restored(&self) {
        let now = self.clock.now();
        let mut state = self.requests.lock();
        for over in state.glasses_over(now) {
            state.glasses.remove(&over);
        }
        let agents = state.docket.agents();
        let live = agents.iter().flat_map(|agent| state.docket.live_of(agent));
        let waiting: Vec<(IdentityId, TaskId)> = live
            .filter_map(|request| {
                let task = request.opened().binding.task.clone()?;
                Some((agent_of(request)?.clone(), task))
            })
            .collect();
        for (agent, task) in waiting {
            self.wait_for_people(&state, &agent, &task);
        }
        let mut everyone = BTreeSet::new();
        for request in agents.iter().flat_map(|agent| state.docket.live_of(agent)) {
            // Whoever is away is stood in for all the same, so that those whom others stand in for
            // are not among them.
            let binding = &request.opened().binding;
            everyone.extend(binding.actors.iter().chain(&binding.on_behalf_of).cloned());
            everyone.extend(request.answers().iter().map(|answer| answer.by.clone()));
        }
        let glasses = state.glasses.values();
        everyone.extend(glasses.flat_map(|it| [it.broken.agent.clone(), it.broken.by.clone()]));
        self.requests.settle(&state);
        drop(state);
        // A crash may have come between the end of an identity and that of what it was given.
        let world = self.world();
        for who in everyone.into_iter().filter(|who| !world.is_active(who)) {
            self.end_access_of(&KillScope::Identity(who), "identity_not_active");
        }
    }
}

fn has_bounds(answer: &AccessAnswer) -> bool {
    matches!(answer, AccessAnswer::Approve { scope, .. } if &**scope != "once")
}
