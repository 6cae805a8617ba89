//! Signals, and the risk that decisions see of them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use safeconduct_engine::LastWord;
use safeconduct_model::{
    Depth, IdentityId, Record, RecordId, Request, Subject, TierRule, Tiers, Timestamp,
};
use safeconduct_risk::{About, HalfLives, Put, Risk, RiskScore, Signal, Signals};

use crate::line::Line;
use crate::{Service, Ticket, Versioned, World};

mod detect;
mod take;
mod voices;

pub use detect::{Detecting, RECORDS_SHOWN_MAX};
pub(crate) use take::{PORTION, Stop, goes_on};
pub use take::{SIGNALS_AT_ONCE_MAX, SIGNALS_WAITING_MAX, TakeSignalError, Taken};
pub(crate) use voices::Voice;

/// What is known of everyone's risk.
#[derive(Default)]
pub(crate) struct Risks {
    signals: RwLock<Signals>,
    /// How many subjects there are: nearly always none, and then nobody waits for the lock.
    subjects: AtomicUsize,
    half_lives: ArcSwap<HalfLives>,
    /// The streams that are received.
    voices: ArcSwap<Vec<Arc<Voice>>>,
    /// Signals that wait for the disk.
    waiting: AtomicUsize,
    /// The place behind the last record of a signal that was queued; 0 before there is one.
    queued_to: AtomicU64,
    taken: AtomicU64,
    known: AtomicU64,
    expired: AtomicU64,
    /// Those that found no room and were therefore not even recorded.
    turned_away: AtomicU64,
    pub(crate) watching: detect::Watching,
}

/// How many signals there were, since this process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalCounts {
    /// Subjects of whom something is known now.
    pub subjects: u64,
    /// Signals that were recorded.
    pub taken: u64,
    /// Those that were known already.
    pub known: u64,
    /// Those whose time was over.
    pub expired: u64,
    /// Those that found no room, or had to make room for worse ones.
    pub dropped: u64,
    /// Records that the detectors did not see, because they came too fast.
    pub missed: u64,
}

impl Risks {
    fn put(&self, signal: Signal, now: Timestamp) {
        let mut signals = self.signals.write().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = signals.put(signal, now) {
            // Whoever made it has checked it.
            tracing::error!(%error, "a signal that was recorded does not count");
        }
        self.subjects.store(signals.subjects(), Ordering::Relaxed);
    }

    fn would(&self, signal: &Signal, now: Timestamp) -> Put {
        self.signals.read().unwrap_or_else(PoisonError::into_inner).would(signal, now)
    }

    /// The newest word that takes back everything of whoever has that name, while it counts.
    pub(crate) fn stopping(&self, id: &IdentityId, at: Timestamp) -> Option<Signal> {
        let signals = self.signals.read().unwrap_or_else(PoisonError::into_inner);
        let both = [About::Identity(id.clone()), About::User(id.clone())];
        let of_both = both.iter().flat_map(|about| signals.about(about));
        let stops = of_both.filter(|one| at < one.expires_at && one.stops().is_some());
        stops.max_by_key(|one| (one.observed_at, *one)).cloned()
    }

    /// Notes that signals are queued. Comes before they can be known.
    fn queued_to(&self, ticket: Ticket) {
        self.queued_to.fetch_max(ticket.last.saturating_add(1), Ordering::AcqRel);
    }

    /// What was queued last: once that is durable, every signal that is known is.
    fn last_queued(&self) -> Option<Ticket> {
        let last = self.queued_to.load(Ordering::Acquire).checked_sub(1)?;
        Some(Ticket { first: last, last })
    }

    fn assess(&self, about: &[About], at: Timestamp) -> Risk {
        let half_lives = self.half_lives.load();
        let signals = self.signals.read().unwrap_or_else(PoisonError::into_inner);
        signals.assess(about, at, &half_lives)
    }

    fn weigh(&self, about: &[About], at: Timestamp) -> RiskScore {
        let half_lives = self.half_lives.load();
        let signals = self.signals.read().unwrap_or_else(PoisonError::into_inner);
        signals.weigh(about, at, &half_lives)
    }

    /// Takes a recorded signal in again.
    pub(crate) fn restore(&self, signal: &Signal, record: &Record) {
        self.put(signal.clone(), record.at);
    }
}

impl Service {
    /// How risky it is what concerns those subjects together, and why.
    pub fn risk_of(&self, about: &[About]) -> Risk {
        self.risks.assess(about, self.clock.now())
    }

    /// Everything whose signals concern that subject: what decisions look at.
    pub fn concerned_by(&self, about: &About) -> Vec<About> {
        match about {
            About::Session(session) => {
                let task = self.tasks.of_session(session);
                let user = task.and_then(|slot| slot.task.on_behalf_of.clone());
                let all = About::concerned(session, user.as_ref());
                self.with_people(all, std::iter::once(&session.identity).chain(&user))
            }
            About::Task(id) => match self.line(id) {
                None => vec![about.clone()],
                Some(line) => {
                    let mut all =
                        About::concerned(&line.session(), line.task.on_behalf_of.as_ref());
                    all.extend(tasks_of(&line).filter(|above| above != about));
                    self.with_people(all, line.everyone())
                }
            },
            About::Identity(id) | About::User(id) => self.with_people(Vec::new(), [id]),
            About::Issuer(_) => vec![about.clone()],
        }
    }

    /// An id for a report that somebody makes.
    pub fn new_report(&self) -> RecordId {
        self.ids.record("rep")
    }

    /// What is said of one subject, some of which may be over.
    pub fn signals_about(&self, about: &About) -> Vec<Signal> {
        let signals = self.risks.signals.read().unwrap_or_else(PoisonError::into_inner);
        signals.about(about).to_vec()
    }

    /// The signals that count for something now, the newest first: at most so many.
    pub fn signals(&self, most: usize) -> Vec<Signal> {
        let now = self.clock.now();
        let signals = self.risks.signals.read().unwrap_or_else(PoisonError::into_inner);
        let mut newest: Vec<&Signal> =
            signals.all().filter(|signal| now < signal.expires_at).collect();
        let order = |signal: &&Signal| std::cmp::Reverse(signal.observed_at);
        if newest.len() > most {
            newest.select_nth_unstable_by_key(most, order);
            newest.truncate(most);
        }
        newest.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.cmp(b)));
        newest.into_iter().cloned().collect()
    }

    /// How many signals there were.
    pub fn signal_counts(&self) -> SignalCounts {
        let Risks { taken, known, expired, turned_away, signals, .. } = &self.risks;
        let signals = signals.read().unwrap_or_else(PoisonError::into_inner);
        SignalCounts {
            subjects: signals.subjects() as u64,
            taken: taken.load(Ordering::Relaxed),
            known: known.load(Ordering::Relaxed),
            expired: expired.load(Ordering::Relaxed),
            dropped: turned_away.load(Ordering::Relaxed) + signals.dropped(),
            missed: self.risks.watching.missed(),
        }
    }

    /// Sets after how long half of a signal is left.
    pub fn set_half_lives(&self, half_lives: HalfLives) {
        self.risks.half_lives.store(Arc::new(half_lives));
    }

    /// How risky a request is, where a policy looks at it and there is anything to look at.
    pub(crate) fn risk(
        &self,
        request: &Request,
        line: Option<&Line>,
        world: &World,
        at: Timestamp,
    ) -> Option<RiskScore> {
        if self.risks.subjects.load(Ordering::Relaxed) == 0 {
            return None;
        }
        // Fresh facts are missing where a stream has fallen silent.
        if !world.policies.looks_at_risk() && self.fresh_facts(request, world).is_none() {
            return None;
        }
        Some(self.risks.weigh(&self.concerned(request, line), at))
    }

    /// When those who vouch for everyone concerned spoke last, where the tier of the action asks.
    pub(crate) fn last_word_for(
        &self,
        request: &Request,
        line: Option<&Line>,
        world: &World,
    ) -> Option<LastWord> {
        let Tiers { high, critical, .. } = &self.settings.tiers;
        // Where no tier asks, no decision looks which one it is.
        high.signals_s.or(critical.signals_s)?;
        self.fresh_facts(request, world)?.signals_s?;
        let people: Vec<IdentityId> = people(request, line).collect();
        self.last_word(&people)
    }

    /// What the tier of a request asks for, where that is fresh facts.
    fn fresh_facts(&self, request: &Request, world: &World) -> Option<&TierRule> {
        let tier = world.catalogue.entry(&request.action)?.tier_of(&request.input);
        let rule = self.settings.tiers.rule(tier);
        rule.filter(|rule| rule.needs == Depth::FreshFacts)
    }

    /// Everything whose signals concern a request: its session, the tasks that it acts in, and
    /// everyone in it with those who vouch for them.
    fn concerned(&self, request: &Request, line: Option<&Line>) -> Vec<About> {
        let user = line.and_then(|line| line.task.on_behalf_of.as_ref());
        let mut all = About::concerned(&request.session.key, user);
        all.extend(line.into_iter().flat_map(tasks_of));
        let people: Vec<IdentityId> = people(request, line).collect();
        self.with_people(all, &people)
    }

    /// With those people, and those who vouch for them: the same name counts for one who acts and
    /// for one on whose behalf others act.
    fn with_people<'a>(
        &self,
        mut all: Vec<About>,
        people: impl IntoIterator<Item = &'a IdentityId>,
    ) -> Vec<About> {
        for id in people {
            let both = [About::Identity(id.clone()), About::User(id.clone())];
            for about in both.into_iter().chain(self.vouching_for(id)) {
                if !all.contains(&about) {
                    all.push(about);
                }
            }
        }
        all
    }
}

/// A task, and those above it.
fn tasks_of(line: &Line) -> impl Iterator<Item = About> {
    line.versions.iter().filter_map(|(what, _)| match what {
        Versioned::Task(id) => Some(About::Task(id.clone())),
        _ => None,
    })
}

/// Everyone whom a request concerns: whoever asks and of whom they speak, for whom it is, and who
/// delegated.
pub(crate) fn people(request: &Request, line: Option<&Line>) -> impl Iterator<Item = IdentityId> {
    let spoken_of = match &request.subject {
        Subject::Caller(_) | Subject::Lessee(_) => None,
        Subject::Asserted { entity, .. } => IdentityId::new(entity.uid.id.shared()).ok(),
        Subject::Undertaker { agent, .. } => Some(agent.clone()),
    };
    let own = std::iter::once(request.session.key.identity.clone()).chain(spoken_of);
    own.chain(line.into_iter().flat_map(Line::everyone).cloned())
}
