//! What records say of how people and programs act, as far as rules want it. A fold of a sample of
//! the ledger, which comes newest first, kind by kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::signal::{About, Kind, Severity};
use safeconduct_model::{
    AccessAnswer, AccessEvent, ActionName, Body, Decided, IdentityId, IntentName, Lease, LeaseId,
    LeaseState, Method, Record, RecordId, ReviewChange, ReviewedThing, SessionScope, Signal,
    TaskId, Timestamp, TokenId,
};

use serde::Deserialize;

use super::{AnswerCounts, AnswerFacts, LateUseFacts, PaceFacts, SharingFacts};
use crate::Response;

/// Kinds of records that are looked at for as far back as something is held against anybody.
pub const RECENT_KINDS: [&str; 4] = ["signal", "used_after_end", "access_request", "campaign"];

/// Kinds of records that are looked at as far back as they are read: they say since when
/// something has been so.
pub const STANDING_KINDS: [&str; 6] = [
    "identity_changed",
    "token_issued",
    "delegation_made",
    "lease_changed",
    "task_began",
    "task_ended",
];

/// Most records that are kept of one thing.
const KEPT: usize = 4;

/// Answers that are so close belong to one go, in milliseconds.
const ONE_GO_MS: i64 = 2_000;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// The records of one thing: the newest few, when it was first and last so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// The records, the newest first.
    pub records: Vec<RecordId>,
}

/// What a lease's records say.
#[derive(Debug, Clone)]
pub struct ToldLease {
    /// The lease.
    pub lease: Lease,
    /// Where it stood last.
    pub state: LeaseState,
    /// What was said of that.
    pub detail: Option<Arc<str>>,
    /// Its records.
    pub told: Told,
}

/// What one enforcement point said of one action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldPoint {
    /// How many decisions.
    pub decisions: u64,
    /// In how many of them it was in a task.
    pub in_task: u64,
    /// The types of the resources that were named, and in how many decisions.
    pub resources: BTreeMap<Arc<str>, u64>,
    /// Some of them.
    pub records: Vec<RecordId>,
}

/// How one identity acted.
#[derive(Debug, Clone, Default)]
struct Acts {
    by_passkey: u64,
    passkey: Option<Told>,
    minute: (i64, u64),
    busiest: (u64, Vec<RecordId>),
    day: (i64, u32),
    longest: (u32, Vec<RecordId>),
    last: Option<Timestamp>,
    token: Option<TokenId>,
    tokens: BTreeSet<TokenId>,
    returns: u64,
    turns: Option<Told>,
}

/// An answer: to an access request, or about a case of a campaign.
#[derive(Debug, Clone)]
struct Answer {
    to: Asked,
    at: Timestamp,
    yes: bool,
    record: RecordId,
}

/// What was asked.
#[derive(Debug, Clone)]
enum Asked {
    /// An access request. When it was made is told by another record.
    Request(RecordId),
    /// A case: how long it was looked at, and how many were answered at once.
    Case { took_ms: i64, batch: u64 },
}

/// What the record of an answer about a case says, as far as it matters here.
#[derive(Deserialize)]
struct AnsweredCase {
    at: i64,
    batch: u64,
    by: String,
    opened_at: i64,
    response: String,
}

/// What records say. Each kind is to be taken in newest first.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    acts: BTreeMap<Arc<str>, Acts>,
    points: BTreeMap<(IdentityId, ActionName), ToldPoint>,
    requested: BTreeMap<RecordId, Timestamp>,
    answers: BTreeMap<IdentityId, Vec<Answer>>,
    identities: BTreeMap<IdentityId, Told>,
    tokens: BTreeMap<TokenId, Told>,
    delegations: BTreeMap<RecordId, Told>,
    leases: BTreeMap<LeaseId, ToldLease>,
    undertaken: BTreeMap<(IdentityId, IntentName, Option<IdentityId>), Told>,
    agents: BTreeMap<TaskId, IdentityId>,
    ended: BTreeMap<TaskId, Timestamp>,
    late: BTreeMap<(IdentityId, TaskId), (LateUseFacts, Told)>,
    places: BTreeMap<IdentityId, (Severity, Told)>,
    drifts: Vec<(IdentityId, Signal, RecordId)>,
}

impl Told {
    fn add(told: &mut Option<Self>, record: &Record) {
        match told {
            Some(told) => told.also(record),
            None => *told = Some(Self::once(record)),
        }
    }

    fn once(record: &Record) -> Self {
        Self { first: record.at, last: record.at, records: vec![record.id.clone()] }
    }

    fn also(&mut self, record: &Record) {
        self.first = self.first.min(record.at);
        self.last = self.last.max(record.at);
        keep(&mut self.records, record);
    }
}

fn keep(records: &mut Vec<RecordId>, record: &Record) {
    if records.len() < KEPT {
        records.push(record.id.clone());
    }
}

/// Adds a record to what is told of something.
fn tell<K: Ord>(map: &mut BTreeMap<K, Told>, key: K, record: &Record) {
    map.entry(key).and_modify(|told| told.also(record)).or_insert_with(|| Told::once(record));
}

impl Witness {
    /// Takes a record in.
    pub fn take(&mut self, record: &Record) {
        match &record.body {
            Body::Decided(decided) => self.decided(record, decided),
            Body::AccessRequestChanged(change) => match &change.event {
                AccessEvent::Requested(_) => {
                    self.requested.insert(change.request.clone(), record.at);
                }
                AccessEvent::Answered(answered) => {
                    let answer = Answer {
                        to: Asked::Request(change.request.clone()),
                        at: record.at,
                        yes: matches!(answered.answer, AccessAnswer::Approve { .. }),
                        record: record.id.clone(),
                    };
                    self.answers.entry(answered.by.clone()).or_default().push(answer);
                }
                _ => {}
            },
            Body::IdentityChanged { identity, .. } => {
                tell(&mut self.identities, identity.id.clone(), record);
            }
            Body::TokenIssued { token, .. } => tell(&mut self.tokens, token.id.clone(), record),
            Body::DelegationMade(made) => tell(&mut self.delegations, made.id.clone(), record),
            Body::LeaseChanged { lease, state, detail } => {
                self.lease(record, lease, *state, detail)
            }
            Body::TaskBegan(task) => {
                self.agents.insert(task.id.clone(), task.agent.clone());
                let key = (task.agent.clone(), task.intent.clone(), task.on_behalf_of.clone());
                tell(&mut self.undertaken, key, record);
            }
            Body::TaskEnded { task, .. } => {
                self.ended.entry(task.clone()).or_insert(record.at);
            }
            Body::UsedAfterEnd { task, identity, token, action } => {
                let key = (identity.clone(), task.clone());
                let (facts, told) = self.late.entry(key).or_insert_with(|| {
                    let facts = LateUseFacts {
                        identity: identity.clone(),
                        task: task.clone(),
                        tokens: BTreeSet::new(),
                        actions: BTreeSet::new(),
                        last: record.at,
                        evidence: Vec::new(),
                    };
                    (facts, Told { records: Vec::new(), ..Told::once(record) })
                });
                facts.tokens.insert(token.clone());
                facts.actions.extend(action.clone());
                told.also(record);
            }
            Body::SignalSeen(signal) => self.signal(record, signal),
            Body::ReviewChanged(change) if change.what == ReviewedThing::Campaign => {
                self.reviewed(record, change);
            }
            _ => {}
        }
    }

    /// A step of a campaign: what matters is an answer. One of another form says nothing here.
    fn reviewed(&mut self, record: &Record, change: &ReviewChange) {
        if &*change.event != "decided" {
            return;
        }
        let said = serde_json::from_str::<AnsweredCase>(change.detail.as_str()).ok();
        let Some(said) = said else { return };
        let Ok(by) = IdentityId::new(said.by) else { return };
        let took_ms = said.at.saturating_sub(said.opened_at);
        let answer = Answer {
            to: Asked::Case { took_ms, batch: said.batch },
            at: record.at,
            yes: Response::parse(&said.response) == Some(Response::Accept),
            record: record.id.clone(),
        };
        self.answers.entry(by).or_default().push(answer);
    }

    fn decided(&mut self, record: &Record, decided: &Decided) {
        let point = self.points.entry((decided.pep.clone(), decided.action.clone())).or_default();
        point.decisions += 1;
        point.in_task += u64::from(decided.task.is_some());
        let types: BTreeSet<Arc<str>> =
            decided.resources.iter().map(|resource| resource.ty.shared()).collect();
        for ty in types {
            *point.resources.entry(ty).or_default() += 1;
        }
        keep(&mut point.records, record);
        let own = decided.principal.id.as_str() == decided.session.identity.as_str();
        let acts = self.acts.entry(decided.principal.id.shared()).or_default();
        acts.last = acts.last.max(Some(record.at));
        acts.paced(record);
        if decided.method == Method::Passkey {
            acts.by_passkey += 1;
            Told::add(&mut acts.passkey, record);
        }
        if let (true, SessionScope::Credential(token)) = (own, &decided.session.scope) {
            acts.used(token, record);
        }
    }

    fn lease(
        &mut self,
        record: &Record,
        lease: &Lease,
        state: LeaseState,
        detail: &Option<Arc<str>>,
    ) {
        let known = self.leases.entry(lease.id.clone());
        known.and_modify(|known| known.told.also(record)).or_insert_with(|| ToldLease {
            lease: lease.clone(),
            state,
            detail: detail.clone(),
            told: Told::once(record),
        });
    }

    fn signal(&mut self, record: &Record, signal: &Signal) {
        let about = match &signal.about {
            About::Identity(id) | About::User(id) => id.clone(),
            About::Session(session) => session.identity.clone(),
            About::Task(task) => match self.agents.get(task) {
                Some(agent) => agent.clone(),
                None => return,
            },
            About::Issuer(_) => return,
        };
        match signal.kind {
            Kind::TwoPlaces => {
                let known = self.places.entry(about);
                let (severity, _) = known
                    .and_modify(|(_, told)| told.also(record))
                    .or_insert_with(|| (signal.severity, Told::once(record)));
                *severity = signal.severity.max(*severity);
            }
            Kind::Drift => self.drifts.push((about, signal.clone(), record.id.clone())),
            _ => {}
        }
    }

    #[cfg(test)]
    pub(super) fn requested_at(&mut self, request: RecordId, at: Timestamp) {
        self.requested.insert(request, at);
    }

    /// What is told of an identity's registration.
    pub fn identity(&self, id: &IdentityId) -> Option<&Told> {
        self.identities.get(id)
    }

    /// What is told of a token's issue.
    pub fn token(&self, id: &TokenId) -> Option<&Told> {
        self.tokens.get(id)
    }

    /// What is told of a user's standing word.
    pub fn delegation(&self, id: &RecordId) -> Option<&Told> {
        self.delegations.get(id)
    }

    /// What is told of a lease.
    pub fn lease_told(&self, id: &LeaseId) -> Option<&ToldLease> {
        self.leases.get(id)
    }

    /// All leases that records speak of.
    pub fn leases(&self) -> impl Iterator<Item = &ToldLease> {
        self.leases.values()
    }

    /// Who acts in a task.
    pub fn agent(&self, task: &TaskId) -> Option<&IdentityId> {
        self.agents.get(task)
    }

    /// When a task ended.
    pub fn ended(&self, task: &TaskId) -> Option<Timestamp> {
        self.ended.get(task).copied()
    }

    /// When somebody undertook an intent, for that user or for whomever.
    pub fn undertaken(
        &self,
        agent: &IdentityId,
        intent: &IntentName,
        user: Option<&IdentityId>,
    ) -> Option<Told> {
        let from = (agent.clone(), intent.clone(), None);
        let of_both = self.undertaken.range(from..);
        let of_both = of_both.take_while(|((a, i, _), _)| a == agent && i == intent);
        let fits =
            of_both.filter(|((_, _, whom), _)| user.is_none_or(|u| whom.as_ref() == Some(u)));
        fits.map(|(_, told)| told).fold(None, |all: Option<Told>, told| match all {
            None => Some(told.clone()),
            Some(all) => {
                let (newest, other) =
                    if told.last > all.last { (told, &all) } else { (&all, told) };
                let records = newest.records.iter().chain(&other.records).take(KEPT);
                Some(Told {
                    first: all.first.min(told.first),
                    last: newest.last,
                    records: records.cloned().collect(),
                })
            }
        })
    }

    /// What was used after its task.
    pub fn late_uses(&self) -> impl Iterator<Item = LateUseFacts> {
        self.late.values().map(|(facts, told)| LateUseFacts {
            last: told.last,
            evidence: told.records.clone(),
            ..facts.clone()
        })
    }

    /// Signals that an agent's conduct has drifted, each with its record.
    pub fn drifts(&self) -> &[(IdentityId, Signal, RecordId)] {
        &self.drifts
    }

    /// Signs that more than one use an identity.
    pub fn sharing(&self) -> Vec<SharingFacts> {
        let mut all: BTreeMap<IdentityId, SharingFacts> = BTreeMap::new();
        for (id, (severity, told)) in &self.places {
            let facts = SharingFacts {
                identity: id.clone(),
                two_places: Some(*severity),
                in_turns: BTreeSet::new(),
                returns: 0,
                last: told.last,
                evidence: told.records.clone(),
            };
            all.insert(id.clone(), facts);
        }
        for (name, acts) in self.acts.iter().filter(|(_, acts)| acts.returns > 0) {
            let (Ok(id), Some(turns)) = (IdentityId::new(Arc::clone(name)), &acts.turns) else {
                continue;
            };
            let facts = all.entry(id.clone()).or_insert_with(|| SharingFacts {
                identity: id,
                two_places: None,
                in_turns: BTreeSet::new(),
                returns: 0,
                last: turns.last,
                evidence: Vec::new(),
            });
            facts.in_turns = acts.tokens.iter().map(TokenId::shared).collect();
            facts.returns = acts.returns;
            facts.last = facts.last.max(turns.last);
            facts.evidence.extend(turns.records.iter().cloned());
        }
        all.into_values().collect()
    }

    /// How that identity acted, where it did.
    pub fn pace(&self, id: &IdentityId) -> Option<PaceFacts> {
        let acts = self.acts.get(id.as_str())?;
        let evidence = acts.busiest.1.iter().chain(&acts.longest.1).cloned().collect();
        Some(PaceFacts {
            identity: id.clone(),
            calls_a_minute: acts.busiest.0,
            hours_a_day: acts.longest.0,
            last: acts.last?,
            evidence,
        })
    }

    /// How often that identity proved itself by a passkey, and the records of it.
    pub fn by_passkey(&self, id: &IdentityId) -> Option<(u64, &Told)> {
        let acts = self.acts.get(id.as_str())?;
        Some((acts.by_passkey, acts.passkey.as_ref()?))
    }

    /// What each enforcement point said of each action.
    pub fn points(&self) -> impl Iterator<Item = (&IdentityId, &ActionName, &ToldPoint)> {
        self.points.iter().map(|((pep, action), point)| (pep, action, point))
    }

    /// How people answered. What was asked before the sample began counts for batches alone.
    pub fn answers(&self) -> Vec<(AnswerFacts, Timestamp)> {
        self.answers.iter().filter_map(|(by, answers)| self.answered(by, answers)).collect()
    }

    fn answered(&self, by: &IdentityId, all: &[Answer]) -> Option<(AnswerFacts, Timestamp)> {
        let is_case = |answer: &&Answer| matches!(answer.to, Asked::Case { .. });
        let (cases, requests): (Vec<&Answer>, Vec<&Answer>) = all.iter().partition(is_case);
        let facts = AnswerFacts {
            by: by.clone(),
            requests: self.counted(&requests),
            cases: self.counted(&cases),
            evidence: all.iter().take(KEPT).map(|answer| answer.record.clone()).collect(),
        };
        Some((facts, all.iter().map(|answer| answer.at).max()?))
    }

    fn counted(&self, answers: &[&Answer]) -> AnswerCounts {
        if answers.is_empty() {
            return AnswerCounts::default();
        }
        let took = |answer: &&Answer| match &answer.to {
            Asked::Request(request) => Some(answer.at.ms_since(*self.requested.get(request)?)),
            Asked::Case { took_ms, .. } => Some(*took_ms),
        };
        let mut waits: Vec<i64> = answers.iter().filter_map(took).collect();
        waits.sort_unstable();
        AnswerCounts {
            answers: answers.len() as u64,
            yes: answers.iter().filter(|answer| answer.yes).count() as u64,
            // Where nothing is known of it, nothing is held against anybody.
            median_ms: waits.get(waits.len() / 2).copied().unwrap_or(i64::MAX),
            batch: largest_batch(answers),
        }
    }
}

/// The most answers in one go: as was said of them, or so close that nobody looked in between.
fn largest_batch(answers: &[&Answer]) -> u64 {
    let said = answers.iter().map(|answer| match answer.to {
        Asked::Case { batch, .. } => batch,
        Asked::Request(_) => 0,
    });
    let mut batch = said.max().unwrap_or(0);
    let mut times: Vec<Timestamp> = answers.iter().map(|answer| answer.at).collect();
    times.sort_unstable();
    let (mut run, mut before) = (0, None::<Timestamp>);
    for at in times {
        run = match before {
            Some(before) if at.ms_since(before) <= ONE_GO_MS => run + 1,
            _ => 1,
        };
        batch = batch.max(run);
        before = Some(at);
    }
    batch
}

impl Acts {
    fn paced(&mut self, record: &Record) {
        let at = record.at.as_millis();
        let minute = at.div_euclid(MINUTE_MS);
        match self.minute.0 == minute {
            true => self.minute.1 += 1,
            false => self.minute = (minute, 1),
        }
        if self.minute.1 > self.busiest.0 {
            self.busiest = (self.minute.1, vec![record.id.clone()]);
        }
        let (day, hour) = (at.div_euclid(super::DAY_MS), at.rem_euclid(super::DAY_MS) / HOUR_MS);
        if self.day.0 != day {
            self.day = (day, 0);
        }
        self.day.1 |= 1 << hour;
        let hours = self.day.1.count_ones();
        if hours > self.longest.0 {
            self.longest = (hours, vec![record.id.clone()]);
        }
    }

    /// Who uses one credential, then another, then the first one again has both at the same time.
    fn used(&mut self, token: &TokenId, record: &Record) {
        let before = self.token.replace(token.clone());
        let is_new = self.tokens.insert(token.clone());
        if before.is_some_and(|before| before != *token) && !is_new {
            self.returns += 1;
            Told::add(&mut self.turns, record);
        }
    }
}
