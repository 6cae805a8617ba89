//! Use-case: ask people for what was denied.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use safeconduct_approval::{
    AccessRequest, AskError, Attempt, Binding, Change, Event, LIVE_PER_TASK_MAX, Opened, Opening,
    State, Terms, WAIT_MS_MAX, likeness,
};
use safeconduct_model::{
    Body, Entity, IdentityId, KeyedDigest, Method, Mode, RecordId, Request, TaskId, Tier,
    Timestamp, Value,
};
use thiserror::Error;

use super::sealed::{self, Asked, Properties, Said};
use super::spend::meets;
use super::{
    ASKING_AGENTS_MAX, AccessHappened, AccessNews, AccessState, Ledgered, Place, Recording,
    bounds_of, people,
};
use crate::line::Line;
use crate::{
    Check, Entry, Outcome, Recorded, Ruling, Service, SessionKeys, Ticket, Unrecorded, World,
};

/// Longest justification, in bytes.
pub const JUSTIFICATION_BYTES_MAX: usize = 1024;

/// How long a request waits for answers at most where nothing else is set, in milliseconds: a
/// day.
pub const ANSWER_WITHIN_MS: i64 = 24 * 3_600_000;

/// What somebody asks people for.
#[derive(Debug, Clone)]
pub struct AskAccess {
    /// The call that was denied, as it was asked about: it is decided once more.
    pub check: Check,
    /// Why, in the words of who asks; at most [`JUSTIFICATION_BYTES_MAX`] bytes. People are shown
    /// it as what it is.
    pub justification: Option<Arc<str>>,
}

/// A request that waits, or that was approved already.
#[derive(Debug)]
pub struct AccessAsked {
    /// Its id.
    pub request: RecordId,
    /// Where it stands.
    pub state: AccessState,
    /// Whether it was made just now, or stood already.
    pub made: AccessMade,
    /// Until when somebody may answer; no answer is a Deny.
    pub answer_by: Timestamp,
    /// The Deny that it asks about.
    pub denial: Recorded<Ruling>,
}

/// Whether a request was made just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMade {
    /// It was.
    Now,
    /// The same was asked before, and stands.
    Before,
}

/// Why nobody is asked.
#[derive(Debug, Error)]
pub enum AskAccessError {
    /// The caller's fault: it is permitted as it is. Nothing was recorded; ask for the call itself.
    #[error("this is permitted as it is: no access request is needed")]
    NotNeeded,
    /// Nobody's fault: no person can lift what stands in the way.
    #[error("this is denied for reasons that nobody can be asked to set aside")]
    NotRequestable {
        /// The Deny, with its reasons.
        denial: Recorded<Ruling>,
    },
    /// [`AskError`] says whose fault it is.
    #[error(transparent)]
    Refused(#[from] AskError),
    /// The caller's fault: too many words.
    #[error(
        "the justification has {bytes} bytes, more than the limit of {JUSTIFICATION_BYTES_MAX}"
    )]
    Justification {
        /// How many.
        bytes: usize,
    },
    /// Our fault: nothing could be recorded.
    #[error("nothing could be recorded: {}", .0.reason.message())]
    Unrecorded(Unrecorded),
}

/// The wish to ask, on its way through a decision.
pub(crate) struct Wish {
    pub(crate) justification: Option<Arc<str>>,
    pub(crate) of: WishOf,
    /// The task that begins where it is permitted.
    pub(crate) beginning: Option<Beginning>,
    /// What became of it.
    pub(crate) found: Option<Found>,
}

/// A task that is about to begin: whose it would be, which no record of the decision says.
#[derive(Debug, Clone)]
pub(crate) struct Beginning {
    /// For whom.
    pub(crate) on_behalf_of: Option<IdentityId>,
    /// Who delegates, the nearest first.
    pub(crate) delegated_by: Vec<IdentityId>,
    /// Who begins it, and who began what it is begun in.
    pub(crate) begun_by: BTreeSet<IdentityId>,
    /// What it would be, beside the parameters of its intent.
    pub(crate) terms: Value,
}

/// Where a wish to ask comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WishOf {
    /// Somebody only asks: nothing rests on a Permit, and nothing that was approved is used.
    Asker,
    /// Somebody acts, and people are asked where that is denied.
    Actor,
}

/// What becomes of the wish to ask.
pub(crate) enum Found {
    NotNeeded,
    NotRequestable,
    Refused(AskError),
    Asked { request: RecordId, state: AccessState, made: AccessMade, answer_by: Timestamp },
}

/// What is appended beside a decision: the making of a request, or its use. Nobody else changes
/// requests meanwhile.
pub(crate) struct Beside<'s> {
    state: MutexGuard<'s, Ledgered>,
    change: Change,
    agent: IdentityId,
    keys: Arc<dyn SessionKeys>,
    pub(crate) entries: Vec<Entry>,
    /// The Deny that is asked about.
    denied_by: Option<RecordId>,
}

impl Service {
    /// Asks people for a call that is denied. It is decided once more, and where it is denied for
    /// what people may set aside, the request is recorded together with that Deny. Who asks for
    /// the same again is given the same request.
    ///
    /// # Errors
    /// [`AskAccessError`] says why nobody is asked.
    pub async fn request_access(&self, ask: AskAccess) -> Result<AccessAsked, AskAccessError> {
        if let Some(bytes) = ask.justification.as_ref().map(|words| words.len())
            && bytes > JUSTIFICATION_BYTES_MAX
        {
            return Err(AskAccessError::Justification { bytes });
        }
        // What is only observed goes ahead without anybody's word.
        let check = Check { mode: Mode::Enforce, ..ask.check };
        let mut wish = Wish {
            justification: ask.justification,
            of: WishOf::Asker,
            beginning: None,
            found: None,
        };
        let queued = self.decide_and_queue(check, Some(&mut wish));
        if let (Err(_), Some(Found::NotNeeded)) = (&queued, &wish.found) {
            return Err(AskAccessError::NotNeeded);
        }
        let queued = queued.map_err(AskAccessError::Unrecorded)?;
        self.seen.saw(&queued.session().clone(), self.clock.now());
        let denial = self.recorded(queued).await.map_err(AskAccessError::Unrecorded)?;
        match wish.found {
            Some(Found::Asked { request, state, made, answer_by }) => {
                if made == AccessMade::Now {
                    self.tell_of_access(&request, AccessHappened::Asked);
                }
                Ok(AccessAsked { request, state, made, answer_by, denial })
            }
            Some(Found::Refused(error)) => Err(error.into()),
            Some(Found::NotNeeded | Found::NotRequestable) | None => {
                Err(AskAccessError::NotRequestable { denial })
            }
        }
    }

    /// What is appended beside a Deny that somebody asks people about; nothing where nobody can
    /// be asked, which the wish then says.
    pub(crate) fn asking(
        &self,
        wish: &mut Wish,
        asked: &Denied<'_>,
        line: Option<&Line>,
        world: &World,
    ) -> Result<Option<Beside<'_>>, Unrecorded> {
        let Denied { request, outcome, .. } = asked;
        let Some(requestable) = outcome.requestable.as_ref() else {
            wish.found = Some(Found::NotRequestable);
            return Ok(None);
        };
        let refuse = |wish: &mut Wish, error: AskError| {
            wish.found = Some(Found::Refused(error));
            Ok(None)
        };
        let Some(parties) = parties(outcome, wish.beginning.as_ref()) else {
            wish.found = Some(Found::NotRequestable);
            return Ok(None);
        };
        let terms = match Terms::read(requestable) {
            Ok(terms) => terms.of_tier(asked.tier),
            Err(error) => return refuse(wish, AskError::Open(error.into())),
        };
        let now = outcome.record.at;
        // Nobody is looked for where there is nothing new to ask them.
        let properties = Properties::of(request, world);
        let said = Said::of(request, properties, wish.beginning.as_ref());
        if let Some(found) = self.asked_before(asked, &parties, &terms, &said, world)? {
            wish.found = Some(found);
            return Ok(None);
        }
        let asked_by = request.subject.authentication().identity.clone();
        let owners = sealed::owners(asked.touched);
        let bare = parties.binding(KeyedDigest::from_bytes([0; 32]));
        let holders = people::holders(world, &bare, &owners);
        let mut interested = people::interested(world, &bare);
        interested.extend(line.into_iter().flat_map(Line::begun_by).cloned());
        interested.extend(wish.beginning.iter().flat_map(|it| &it.begun_by).cloned());
        let first = terms.approvers.stages().first().into_iter().flatten();
        let mut asked_people = people::named(world, first, &bare, &holders, &interested);
        asked_people.remove(&asked_by);

        let mut state = self.requests.lock();
        let known = state.agents.contains_key(&parties.agent);
        if !known && state.agents.len() >= ASKING_AGENTS_MAX {
            return refuse(wish, AskError::TooMany);
        }
        let keyed = self.request_keys(&mut state, &parties.agent)?;
        let keys = &*keyed.keys;
        let binding = parties.binding(said.digest(keys, asked.canonical));
        let sealed = Asked {
            input: request.input.clone(),
            said,
            justification: wish.justification.clone(),
            owners,
            tier: asked.tier,
        };
        let deadline = line.map(|line| line.task.deadline);
        let latest = now.plus_ms(self.settings.answer_within_ms.min(WAIT_MS_MAX));
        let alike = self.alike(&binding, &request.input)?;
        let opened = Opened {
            id: self.ids.record("req"),
            at: now,
            likeness: alike,
            binding,
            asked_by,
            interested,
            terms,
            answer_by: deadline.map_or(latest, |deadline| deadline.min(latest)),
            ends_at: deadline,
            asked: asked_people,
        };
        let answer_by = opened.answer_by;
        let change = match state.docket.open(opened) {
            Ok(Opening::New(change)) => *change,
            Ok(Opening::Standing(request)) => {
                let standing = state.docket.request(&request);
                wish.found = Some(Found::Asked {
                    state: standing.map_or(State::Pending, |standing| standing.standing(now)),
                    answer_by: standing.map_or(answer_by, |standing| standing.opened().answer_by),
                    request,
                    made: AccessMade::Before,
                });
                return Ok(None);
            }
            Err(error) => return refuse(wish, error),
        };
        let plain = safeconduct_ledger::canonical(&sealed.value());
        let recording = Recording {
            sealed: Some(&plain),
            method: request.subject.authentication().method,
            trace: request.trace.as_ref(),
            parent: Some(&outcome.record.id),
        };
        let entry = self.change_entry(&change, recording, keys)?;
        wish.found = Some(Found::Asked {
            request: change.request.clone(),
            state: State::Pending,
            made: AccessMade::Now,
            answer_by,
        });
        let entries = keyed.began.into_iter().chain([entry]).collect();
        let (agent, keys) = (parties.agent.clone(), keyed.keys);
        let denied_by = Some(outcome.record.id.clone());
        Ok(Some(Beside { state, change, agent, keys, entries, denied_by }))
    }

    /// What becomes of the wish where the same stands already, was refused before, or too much of
    /// the task waits; what was asked for on other terms is taken back.
    fn asked_before(
        &self,
        asked: &Denied<'_>,
        parties: &Parties,
        terms: &Terms,
        said: &Said,
        world: &World,
    ) -> Result<Option<Found>, Unrecorded> {
        let (request, now) = (asked.request, asked.outcome.record.at);
        let mut state = self.requests.lock();
        let alike = self.alike(&parties.bare, &request.input)?;
        let refused = |state: &Ledgered| {
            let refused = state.docket.refusal(&parties.bare, &alike, now).cloned();
            refused.map(|request| Found::Refused(AskError::Repeat { request }))
        };
        // Who never asked has no keys, and may ask for what another was refused.
        let Some(keys) = self.known_request_keys(&mut state, &parties.agent)? else {
            return Ok(refused(&state));
        };
        let binding = parties.binding(said.digest(&*keys, asked.canonical));
        let digest = |input: &Value| said.digest(&*keys, &safeconduct_ledger::canonical(input));
        let (input, asserted) = (&request.input, said.beside());
        let attempt = Attempt { binding: &binding, input, asserted, digest: &digest };
        let holds = |state: &Ledgered, request: &AccessRequest| {
            meets(request, terms, now)
                && self.stands_by_its_approvers(state, request, Some(&*keys), world)
        };
        self.end_outdated(&mut state, &binding, holds, now);
        let covering = state.docket.covering(&attempt, now, |request| holds(&state, request)).ok();
        let live = || state.docket.live(&parties.agent, parties.task());
        let same = |request: &&AccessRequest| {
            request.opened().binding == binding && !request.standing(now).is_final()
        };
        if let Some(known) = covering.or_else(|| live().find(same)) {
            return Ok(Some(Found::Asked {
                request: known.opened().id.clone(),
                state: known.standing(now),
                made: AccessMade::Before,
                answer_by: known.opened().answer_by,
            }));
        }
        if let Some(refused) = refused(&state) {
            return Ok(Some(refused));
        }
        let full = live().count() >= LIVE_PER_TASK_MAX;
        Ok(full.then_some(Found::Refused(AskError::TooManyOfTask)))
    }

    /// The digest by which a reworded repeat is found, whoever asks.
    fn alike(&self, binding: &Binding, input: &Value) -> Result<KeyedDigest, Unrecorded> {
        let alike = likeness(&binding.action, &binding.resources, input);
        self.vault.likeness(&alike).map_err(|error| super::broken(&error))
    }

    /// Takes back the same request where it holds no more: it was made on terms that are less
    /// strict than those of now, or name others, or who said yes may not act any more.
    fn end_outdated(
        &self,
        state: &mut Ledgered,
        binding: &Binding,
        holds: impl Fn(&Ledgered, &AccessRequest) -> bool,
        now: Timestamp,
    ) {
        let Some(agent) = binding.actors.first() else { return };
        let outdated = state
            .docket
            .live(agent, binding.task.as_ref())
            .filter(|request| request.opened().binding == *binding && !holds(state, request));
        let changes: Vec<Change> = outdated
            .filter_map(|request| request.revoke(None, "terms_changed".into(), now).ok())
            .collect();
        for change in changes {
            let queued = self.queue_changes(state, agent, &[change], Method::ApiKey, Vec::new());
            if let Err(error) = queued {
                tracing::error!(%error, "the end of an access request could not be recorded");
            }
        }
    }

    /// Tells whoever tells people.
    pub(crate) fn tell_of_access(&self, id: &RecordId, what: AccessHappened) {
        if let Some(news) = self.news(id, what) {
            self.tell_of_news(&news);
        }
    }

    pub(super) fn news(&self, id: &RecordId, what: AccessHappened) -> Option<AccessNews> {
        let request = self.requests.lock().docket.request(id)?.clone();
        let opened = request.opened();
        let asked = self.asked_of(&request);
        let to = match what {
            AccessHappened::Settled(_) => BTreeSet::from([opened.asked_by.clone()]),
            AccessHappened::Asked => opened.asked.clone(),
            _ => BTreeSet::new(),
        };
        Some(AccessNews {
            request: id.clone(),
            what,
            to,
            asked_by: opened.asked_by.clone(),
            action: opened.binding.action.clone(),
            tier: asked.map_or(Tier::Critical, |asked| asked.tier),
            answer_by: opened.answer_by,
        })
    }
}

/// A call that was denied, with what is known of it.
pub(crate) struct Denied<'a> {
    pub(crate) request: &'a Request,
    /// The canonical bytes of its arguments.
    pub(crate) canonical: &'a [u8],
    pub(crate) outcome: &'a Outcome,
    /// What it touches, with what the enforcement point says of each.
    pub(crate) touched: &'a [Entity],
    pub(crate) tier: Tier,
}

/// Who wants what, arguments aside.
pub(crate) struct Parties {
    /// Who acts.
    pub(crate) agent: IdentityId,
    bare: Binding,
}

impl Parties {
    pub(crate) fn binding(&self, arguments: KeyedDigest) -> Binding {
        Binding { arguments, ..self.bare.clone() }
    }

    pub(super) const fn task(&self) -> Option<&TaskId> {
        self.bare.task.as_ref()
    }
}

/// Who wants what; `None` where the one who acts has no name that an identity could have. A task
/// that is about to begin has the parties that it will have.
pub(crate) fn parties(outcome: &Outcome, beginning: Option<&Beginning>) -> Option<Parties> {
    let Body::Decided(decided) = &outcome.record.body else { return None };
    let mut actors = match &decided.task {
        Some(task) => task.actors.clone(),
        None => vec![IdentityId::new(decided.principal.id.shared()).ok()?],
    };
    actors.extend(beginning.iter().flat_map(|it| &it.delegated_by).cloned());
    let task = decided.task.as_ref();
    let user = task.and_then(|task| task.on_behalf_of.clone());
    let bare = Binding {
        principal: decided.principal.clone(),
        actors: actors.clone(),
        on_behalf_of: user.or_else(|| beginning?.on_behalf_of.clone()),
        task: task.map(|task| task.id.clone()),
        intent: task.map(|task| task.intent.clone()),
        action: decided.action.clone(),
        resources: decided.resources.iter().cloned().collect(),
        arguments: KeyedDigest::from_bytes([0; 32]),
    };
    Some(Parties { agent: actors.into_iter().next()?, bare })
}

impl<'s> Beside<'s> {
    /// The use of an approval.
    pub(super) const fn spending(
        state: MutexGuard<'s, Ledgered>,
        change: Change,
        agent: IdentityId,
        keys: Arc<dyn SessionKeys>,
        entries: Vec<Entry>,
    ) -> Self {
        Self { state, change, agent, keys, entries, denied_by: None }
    }

    /// What the proposal reads and writes.
    pub(crate) fn version(&self) -> (crate::Versioned, u64) {
        self.state.read(&self.agent)
    }

    /// Takes in what was queued. What follows for the task is the caller's to see to.
    pub(crate) fn queued(self, service: &Service, ticket: Ticket) -> Queuing {
        let Self { mut state, change, agent, keys, entries, denied_by } = self;
        state.hold(&agent, &keys);
        let of = state.agent(&agent);
        of.version += 1;
        if entries.len() > 1 {
            of.keys_at = Some(ticket.last.saturating_sub(1));
        }
        let opens = matches!(change.event, Event::Requested(_));
        if opens || bounds_of(&change).is_some() {
            of.sealed_at.push(ticket.last);
        }
        if let Event::Requested(_) = &change.event {
            let place = Place { denied_by, ..Place::new(ticket.last) };
            state.places.insert(change.request.clone(), place);
        }
        if let Err(error) = state.take_in(&change) {
            tracing::error!(%error, request = %change.request, "an access request is not as it was recorded");
        }
        let standing = state.docket.request(&change.request).map(|request| request.state());
        let task = state.docket.request(&change.request);
        let task = task.and_then(|request| request.opened().binding.task.clone());
        if let Some(task) = &task {
            service.wait_for_people(&state, &agent, task);
        }
        service.requests.settle(&state);
        Queuing { request: change.request, state: standing }
    }
}

/// What was queued beside a decision.
pub(crate) struct Queuing {
    pub(crate) request: RecordId,
    pub(crate) state: Option<State>,
}
