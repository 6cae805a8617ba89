//! Whom to tell that a request waits for them, so that nobody is worn down: each is told as often
//! in an hour as [`super::Pace`] says, at whatever stage, and once of requests that are alike.

use std::collections::BTreeSet;

use safeconduct_model::{IdentityId, RecordId, Timestamp};

use super::{ASKED_IN_ALL_MAX, ASKED_PER_HOUR_MAX, Docket, HOUR_MS, alike};
use crate::{ASKED_MAX, AccessRequest, Change, Event, State};

/// Whom to tell that a request waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Telling {
    /// Nobody: all were told, or it waits for nobody.
    Nobody,
    /// Those of the change, once it is recorded.
    Now {
        /// It.
        change: Change,
        /// When to look again, where fewer were told than must answer.
        again_at: Option<Timestamp>,
    },
    /// They were asked as often as they may be: look again then.
    Later(Timestamp),
}

impl Docket {
    /// Which of these people are to be told that it waits for them. Those who were told of it or
    /// of one like it are not, and neither are those who were asked enough within the hour.
    pub fn tell(&self, id: &RecordId, mut people: BTreeSet<IdentityId>, at: Timestamp) -> Telling {
        let Some(request) = self.requests.get(id) else { return Telling::Nobody };
        if request.standing(at) != State::Pending {
            return Telling::Nobody;
        }
        let opened = request.opened();
        let known: BTreeSet<&IdentityId> =
            self.told_of_like(request, at).chain(request.told()).collect();
        let actors = &opened.binding.actors;
        people.retain(|person| {
            !known.contains(person)
                && !request.has_answered(person)
                && *person != opened.asked_by
                && !actors.contains(person)
        });
        let free_at = self.spare(actors, &mut people, at);
        let people: BTreeSet<_> = people.into_iter().take(ASKED_MAX).collect();
        if people.is_empty() {
            return free_at.map_or(Telling::Nobody, Telling::Later);
        }
        let enough = known.len() + people.len() >= opened.terms.quorum as usize;
        let change = request.change(at, Event::Asked { people });
        Telling::Now { change, again_at: free_at.filter(|_| !enough) }
    }

    /// The requests like this one that wait, and of which nobody was told any more: the one that
    /// had asked for all of them waits no longer, or for others.
    pub fn left_behind(&self, id: &RecordId, at: Timestamp) -> Vec<RecordId> {
        let group = self.group(id, at).into_iter();
        let left = group.filter(|other| {
            other.opened().id != *id
                && other.told().is_empty()
                && self.told_of_like(other, at).next().is_none()
        });
        left.map(|other| other.opened().id.clone()).collect()
    }

    /// Who was told of one that is alike, and waits for the same people.
    fn told_of_like<'a>(
        &'a self,
        request: &'a AccessRequest,
        at: Timestamp,
    ) -> impl Iterator<Item = &'a IdentityId> {
        let (opened, stage) = (request.opened(), request.stage());
        let agent = opened.binding.actors.first();
        let near = agent.map(|agent| self.live(agent, opened.binding.task.as_ref()));
        let like = near.into_iter().flatten().filter(move |other| {
            other.opened().id != opened.id
                && other.standing(at) == State::Pending
                && other.stage() == stage
                && alike(other.opened(), opened)
        });
        like.flat_map(AccessRequest::told)
    }

    /// Takes away those who were asked enough: in all, or by those who act. Says when the first of
    /// them is free again.
    pub(super) fn spare(
        &self,
        actors: &[IdentityId],
        people: &mut BTreeSet<IdentityId>,
        at: Timestamp,
    ) -> Option<Timestamp> {
        let most = self.pace.asked_per_hour.min(ASKED_PER_HOUR_MAX) as usize;
        let full = self.askings.len() >= ASKED_IN_ALL_MAX;
        let mut free_at = None;
        people.retain(|person| {
            let times = self.asked.get(person).into_iter().flatten();
            let recent = || times.clone().filter(|asking| at.ms_since(asking.at) < HOUR_MS);
            // Whoever delegates has one share with all below them.
            let own = || {
                recent().filter(|asking| asking.actors.iter().any(|actor| actors.contains(actor)))
            };
            let used_up = own().count() >= most.div_ceil(2);
            let spared = full || recent().count() >= most || used_up;
            if spared {
                let first = if used_up { own().next() } else { recent().next() };
                let free = first.map_or(at, |asking| asking.at).plus_ms(HOUR_MS);
                free_at = Some(free_at.map_or(free, |so_far: Timestamp| so_far.min(free)));
            }
            !spared
        });
        free_at
    }
}
