//! Using what was approved: once for each permit, in the same append.

use std::sync::{Arc, MutexGuard};

use safeconduct_approval::{
    AccessRequest, Answer, Approver, Attempt, Binding, Deputies, Standing, Terms,
};
use safeconduct_engine::ApprovalFacts;
use safeconduct_model::{Decision, RecordId, Request, Tier, Timestamp, Value};

use super::request::{Beginning, Beside, parties};
use super::sealed::{Properties, Said};
use super::{Ledgered, Recording, people};
use crate::{Outcome, Service, SessionKeys, Unrecorded, Versioned, World};

/// What people approved of a call that was denied. Nobody else uses it meanwhile.
pub(crate) struct Approved<'s> {
    pub(crate) facts: ApprovalFacts,
    /// The approval that a permit uses; nothing is used of rules that were set aside.
    uses: Option<Using<'s>>,
    /// What a permit read of rules that were set aside: that they hold again makes it stale.
    pub(crate) read: Option<(Versioned, u64)>,
}

struct Using<'s> {
    state: MutexGuard<'s, Ledgered>,
    binding: Binding,
    said: Said,
    keys: Arc<dyn SessionKeys>,
}

/// Whether a request was made on terms that are as strict as those of now: otherwise others
/// answered, or fewer, or they proved too little of who they are.
pub(super) fn meets(request: &AccessRequest, wanted: &Terms, at: Timestamp) -> bool {
    let made = &request.opened().terms;
    let lasts = i64::from(wanted.ttl_s) * 1000;
    made.approvers == wanted.approvers
        && made.quorum >= wanted.quorum
        && made.assurance >= wanted.assurance
        && (made.deputies == wanted.deputies || made.deputies == Deputies::Refused)
        && (made.standing == wanted.standing || made.standing == Standing::Refused)
        && request.grant().is_none_or(|grant| at < grant.from.plus_ms(lasts))
}

impl Service {
    /// Whether all who said yes to a request could say so today, by the same term: the word of
    /// whoever may not act, is in the group no more, or owns no more what is touched, is worth
    /// nothing from then on, also where they gave it before. Without keys nobody knows who owns
    /// what only an enforcement point has spoken of.
    pub(super) fn stands_by_its_approvers(
        &self,
        state: &Ledgered,
        request: &AccessRequest,
        keys: Option<&dyn SessionKeys>,
        world: &World,
    ) -> bool {
        let opened = request.opened();
        let yes = || request.answers().iter().filter(|it| matches!(it.answer, Answer::Approve(_)));
        let by_owner = yes().any(|answer| answer.term == Approver::ResourceOwner);
        let owners = keys.zip(state.places.get(&opened.id)).filter(|_| by_owner);
        let owners = owners.and_then(|(keys, place)| {
            self.open_asked(keys, &opened.id, place.at, opened.binding.arguments)
        });
        let owners = owners.map(|asked| asked.owners).unwrap_or_default();
        let holders = people::holders(world, &opened.binding, &owners);
        yes().all(|answer| {
            people::answered_by(world, answer)
                .is_some_and(|answerer| request.still_counts(answer, &answerer, &holders))
        })
    }

    /// What people approved of a call that is denied otherwise. Where nothing waits and nothing
    /// was approved of anybody, this looks at nothing.
    pub(crate) fn approved(
        &self,
        request: &Request,
        canonical: &[u8],
        outcome: &Outcome,
        tier: Tier,
        world: &World,
        beginning: Option<&Beginning>,
    ) -> Option<Approved<'_>> {
        if outcome.decision == Decision::Permit || !self.requests.is_busy() {
            return None;
        }
        let wanted = Terms::read(outcome.requestable.as_ref()?).ok()?.of_tier(tier);
        let parties = parties(outcome, beginning)?;
        let at = outcome.record.at;
        let mut state = self.requests.lock();
        if state.docket.may_cover(&parties.agent, parties.task())
            && let Ok(Some(keys)) = self.known_request_keys(&mut state, &parties.agent)
        {
            let said = Said::of(request, Properties::of(request, world), beginning);
            let binding = parties.binding(said.digest(&*keys, canonical));
            let digest = |input: &Value| said.digest(&*keys, &safeconduct_ledger::canonical(input));
            let (input, asserted) = (&request.input, said.beside());
            let attempt = Attempt { binding: &binding, input, asserted, digest: &digest };
            let holds = |request: &AccessRequest| {
                meets(request, &wanted, at)
                    && self.stands_by_its_approvers(&state, request, Some(&*keys), world)
            };
            if let Ok(covering) = state.docket.covering(&attempt, at, holds) {
                let approved = |answer: &Answer| matches!(answer, Answer::Approve(_));
                let answers = covering.answers().iter().filter(|one| approved(&one.answer));
                let facts = ApprovalFacts {
                    id: covering.opened().id.clone(),
                    approvers: answers.map(|answer| answer.by.clone()).collect(),
                    at: covering.grant().map_or(at, |grant| grant.from),
                    scope: covering.scope().map_or("once", |scope| scope.as_str()),
                };
                let uses = Some(Using { state, binding, said, keys });
                return Some(Approved { facts, uses, read: None });
            }
        }
        let facts = state.glass_over(&parties.agent, parties.task(), world, at)?;
        let read = Some(state.read(&parties.agent));
        Some(Approved { facts, uses: None, read })
    }

    /// What is appended beside a permit that rests on an approval: its use.
    pub(crate) fn using<'s>(
        &self,
        approved: Approved<'s>,
        request: &Request,
        decision: &RecordId,
        at: Timestamp,
    ) -> Result<Option<Beside<'s>>, Unrecorded> {
        let Approved { facts, uses: Some(Using { state, binding, said, keys }), .. } = approved
        else {
            return Ok(None);
        };
        let digest = |input: &Value| said.digest(&*keys, &safeconduct_ledger::canonical(input));
        let (input, asserted) = (&request.input, said.beside());
        let attempt = Attempt { binding: &binding, input, asserted, digest: &digest };
        let change = state
            .docket
            .request(&facts.id)
            .ok_or_else(|| super::broken(&"the approval is gone"))?
            .spend(&attempt, decision.clone(), at)
            .map_err(|error| super::broken(&error))?;
        let recording = Recording {
            sealed: None,
            method: request.subject.authentication().method,
            trace: request.trace.as_ref(),
            parent: Some(decision),
        };
        let entry = self.change_entry(&change, recording, &*keys)?;
        let agent = binding.actors.first().cloned();
        let agent = agent.ok_or_else(|| super::broken(&"nobody acts"))?;
        Ok(Some(Beside::spending(state, change, agent, Arc::clone(&keys), vec![entry])))
    }
}
