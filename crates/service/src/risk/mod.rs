//! Signals, and the risk that decisions see of them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use arc_swap::ArcSwap;
use safeconduct_model::{Depth, IdentityId, Record, RecordId, Request, Subject, Timestamp};
use safeconduct_risk::{About, HalfLives, Put, Risk, RiskScore, Signal, Signals};

use crate::line::Line;
use crate::{Service, Ticket, Versioned, World};

mod detect;
mod take;

pub use detect::{Detecting, RECORDS_SHOWN_MAX};
pub use take::{SIGNALS_AT_ONCE_MAX, SIGNALS_WAITING_MAX, TakeSignalError, Taken};
pub(crate) use take::{Stop, goes_on};

/// What is known of everyone's risk.
#[derive(Default)]
pub(crate) struct Risks {
    signals: RwLock<Signals>,
    /// How many subjects there are: nearly always none, and then nobody waits for the lock.
    subjects: AtomicUsize,
    half_lives: ArcSwap<HalfLives>,
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
                About::concerned(
                    session,
                    task.and_then(|slot| slot.task.on_behalf_of.clone()).as_ref(),
                )
            }
            About::Task(id) => match self.line(id) {
                None => vec![about.clone()],
                Some(line) => {
                    let mut all =
                        About::concerned(&line.session(), line.task.on_behalf_of.as_ref());
                    all.extend(tasks_of(&line).filter(|above| above != about));
                    all
                }
            },
            About::Identity(id) | About::User(id) => {
                let both = [About::Identity(id.clone()), About::User(id.clone())];
                let issuer = id.as_str().split_once('|');
                let issuer = issuer.map(|(issuer, _)| About::Issuer(issuer.into()));
                both.into_iter().chain(issuer).collect()
            }
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
        self.risks.half_lives.store(std::sync::Arc::new(half_lives));
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
        let by_tier = || {
            let entry = world.catalogue.entry(&request.action);
            let tier = entry.map(|entry| entry.tier_of(&request.input));
            let rule = tier.and_then(|tier| self.settings.tiers.rule(tier));
            rule.is_some_and(|rule| rule.needs == Depth::FreshFacts)
        };
        if !world.policies.looks_at_risk() && !by_tier() {
            return None;
        }
        Some(self.risks.weigh(&concerned(request, line), at))
    }
}

/// A task, and those above it.
fn tasks_of(line: &Line) -> impl Iterator<Item = About> {
    line.versions.iter().filter_map(|(what, _)| match what {
        Versioned::Task(id) => Some(About::Task(id.clone())),
        _ => None,
    })
}

/// Everything whose signals concern a request: its session, the tasks that it acts in and their
/// users and agents, and, where somebody speaks for another, that other too.
fn concerned(request: &Request, line: Option<&Line>) -> Vec<About> {
    let user = line.and_then(|line| line.task.on_behalf_of.as_ref());
    let mut all = About::concerned(&request.session.key, user);
    all.extend(line.into_iter().flat_map(tasks_of));
    let spoken_of = match &request.subject {
        Subject::Caller(_) | Subject::Lessee(_) => None,
        Subject::Asserted { entity, .. } => IdentityId::new(entity.uid.id.shared()).ok(),
        Subject::Undertaker { agent, .. } => Some(agent.clone()),
    };
    for id in spoken_of.into_iter().chain(line.into_iter().flat_map(|l| l.delegated_by.clone())) {
        all.extend([About::Identity(id.clone()), About::User(id)]);
    }
    all
}
