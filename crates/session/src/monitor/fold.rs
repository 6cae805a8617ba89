//! What a session or an identity remembers for all programs.

use std::collections::BTreeMap;

use safeconduct_model::Timestamp;

use super::datum::Datum;
use super::gaps::Gaps;
use super::program::{Program, ProgramName, ProgramSet};
use super::run::{State, View, asks_in_vain};
use super::table::Stamp;
use super::{Event, PROGRAM_ROWS_MAX, PROGRAMS_MAX, Part, ROWS_MAX};

/// What is remembered of a history, for programs to be answered. Empty takes one null pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Monitors(pub(super) Option<Box<Inner>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inner {
    /// Events so far.
    pub(super) events: u64,
    /// The time of the last one, in milliseconds.
    pub(super) at: i64,
    pub(super) programs: BTreeMap<ProgramName, State>,
    /// The set that they are of.
    set: [u8; 16],
    pub(super) rows: usize,
    /// Until when there may be programs that should remember something and do not.
    pub(super) crowded_until: i64,
    /// What may be missing of the events.
    pub(super) gaps: Gaps,
}

impl Monitors {
    /// Takes an event in. Programs that are not in the set are forgotten.
    pub fn observe(&mut self, programs: &ProgramSet, event: &Event<'_>) {
        if programs.is_empty() {
            self.0 = None;
            return;
        }
        let now = self.now(event);
        let inner = self.inner(programs, now);
        inner.retain(programs);
        if inner.rows >= ROWS_MAX {
            inner.forget(programs, now);
        }
        let action = programs.name_of(event.action);
        for program in programs.concerned(event.kind, action) {
            inner.take(program, event, action, now);
        }
        inner.events = now.index + 1;
        inner.at = now.at;
        inner.close_gaps(programs, now);
        if inner.remembers_nothing(now.at) {
            self.0 = None;
        }
    }

    /// Takes note of an event of which it is not known whether it happened or, where parts of it
    /// are named, what stands in these. What depends on that has no answer until it could not
    /// matter any more. The event itself is not taken in: that is for [`Monitors::observe`].
    pub fn doubt(&mut self, programs: &ProgramSet, event: &Event<'_>, parts: Option<&[Part]>) {
        let action = programs.name_of(event.action);
        let mut doubted = programs.in_doubt(event.kind, action, parts).peekable();
        if doubted.peek().is_none() {
            return;
        }
        let now = self.now(event);
        let inner = self.inner(programs, now);
        inner.retain(programs);
        for program in doubted {
            inner.blind(program, now);
        }
    }

    pub(super) fn inner(&mut self, programs: &ProgramSet, now: Stamp) -> &mut Inner {
        self.0.get_or_insert_with(|| Box::new(Inner::new(programs.digest(), now)))
    }

    /// Whether a condition holds at an event that is not taken in yet, with those values of the
    /// request ([`Program::parameters`]). `None` where a limit was met and nothing is known.
    pub fn answer(
        &self,
        programs: &ProgramSet,
        program: &Program,
        event: &Event<'_>,
        parameters: &[Datum],
    ) -> Option<bool> {
        self.answering(programs, event).answer(program, parameters.iter().cloned())
    }

    /// Answers several conditions at one event that is not taken in yet.
    pub fn answering<'a>(
        &'a self,
        programs: &'a ProgramSet,
        event: &'a Event<'a>,
    ) -> Answering<'a> {
        Answering {
            inner: self.0.as_deref(),
            event,
            action: programs.name_of(event.action),
            now: self.now(event),
            env: Vec::with_capacity(16),
        }
    }

    /// Rows that are remembered, at most [`ROWS_MAX`].
    pub fn rows(&self) -> usize {
        self.0.as_deref().map_or(0, |inner| inner.rows)
    }

    /// Bytes of memory that it takes, about.
    pub fn bytes(&self) -> usize {
        let of = |inner: &Inner| {
            size_of::<Inner>() + inner.programs.values().map(|s| 48 + s.bytes()).sum::<usize>()
        };
        size_of::<Self>() + self.0.as_deref().map_or(0, of)
    }

    /// When an event is: time that steps back stands still.
    fn now(&self, event: &Event<'_>) -> Stamp {
        self.at(event.at)
    }

    pub(super) fn at(&self, at: Timestamp) -> Stamp {
        let at = at.as_millis();
        match self.0.as_deref() {
            Some(inner) => Stamp { at: at.max(inner.at), index: inner.events },
            None => Stamp { at, index: 0 },
        }
    }
}

/// Conditions at one event that is not taken in yet ([`Monitors::answering`]).
#[derive(Debug)]
pub struct Answering<'a> {
    inner: Option<&'a Inner>,
    event: &'a Event<'a>,
    action: &'a str,
    now: Stamp,
    /// Room for the values of one condition after the other.
    env: Vec<Datum>,
}

impl Answering<'_> {
    /// As [`Monitors::answer`].
    pub fn answer(
        &mut self,
        program: &Program,
        parameters: impl IntoIterator<Item = Datum>,
    ) -> Option<bool> {
        let state = self.inner.and_then(|inner| inner.programs.get(&program.name));
        if self.inner.is_some_and(|inner| self.now.at <= inner.blind_in(state, program)) {
            return None;
        }
        let Self { event, action, now, env, .. } = self;
        if asks_in_vain(program, state, event, action) {
            return Some(false);
        }
        let view = View::of(program, state, event, action, *now, env).ok()?;
        view.holds(parameters, env).ok()
    }
}

impl Inner {
    pub(super) const fn new(set: [u8; 16], now: Stamp) -> Self {
        Self {
            events: now.index,
            at: now.at,
            programs: BTreeMap::new(),
            set,
            rows: 0,
            crowded_until: i64::MIN,
            gaps: Gaps::NONE,
        }
    }

    /// Until when a program has no answer.
    pub(super) fn blind_until(&self, program: &Program) -> i64 {
        self.blind_in(self.programs.get(&program.name), program)
    }

    fn blind_in(&self, state: Option<&State>, program: &Program) -> i64 {
        let missing = || self.gaps.blind_until(program);
        match state {
            Some(state) if state.spared => state.blind_until,
            Some(state) => state.blind_until.max(missing()),
            None => self.crowded_until.max(missing()),
        }
    }

    /// Whether nothing refers to the events so far.
    pub(super) fn remembers_nothing(&self, now: i64) -> bool {
        self.programs.is_empty() && self.crowded_until < now && self.gaps == Gaps::NONE
    }

    /// What is missing is forgotten once it is older than all windows.
    fn close_gaps(&mut self, programs: &ProgramSet, now: Stamp) {
        if self.gaps == Gaps::NONE
            || !self.gaps.are_before(now.at.saturating_sub(programs.lookback_ms))
        {
            return;
        }
        self.gaps = Gaps::NONE;
        self.programs.values_mut().for_each(|state| state.spared = false);
        self.programs.retain(|_, state| state.rows() > 0 || state.blind_until >= now.at);
    }

    pub(super) fn retain(&mut self, programs: &ProgramSet) {
        if self.set != programs.digest() {
            self.set = programs.digest();
            self.programs.retain(|name, _| programs.program(*name).is_some());
            self.rows = self.programs.values().map(State::rows).sum();
        }
    }

    /// Forgets what no answer can depend on any more, in all programs.
    fn forget(&mut self, programs: &ProgramSet, now: Stamp) {
        for (name, state) in &mut self.programs {
            programs.program(*name).into_iter().for_each(|program| state.forget(program, now));
        }
        self.rows = self.programs.values().map(State::rows).sum();
    }

    /// A program has no answer as long as what happened now could matter.
    fn blind(&mut self, program: &Program, now: Stamp) {
        let until = now.at.saturating_add(program.lookback_ms);
        if self.programs.len() >= PROGRAMS_MAX && !self.programs.contains_key(&program.name) {
            self.crowded_until = self.crowded_until.max(until);
            return;
        }
        let crowded_until = self.crowded_until;
        let state = self
            .programs
            .entry(program.name)
            .or_insert_with(|| State { blind_until: crowded_until, ..State::of(program) });
        state.blind_until = state.blind_until.max(until);
    }

    fn take(&mut self, program: &Program, event: &Event<'_>, action: &str, now: Stamp) {
        let state = self.programs.get(&program.name);
        let until = now.at.saturating_add(program.lookback_ms);
        let Ok(view) = View::of(program, state, event, action, now, &mut Vec::new()) else {
            match self.programs.get_mut(&program.name) {
                Some(state) => state.blind_until = state.blind_until.max(until),
                None => self.crowded_until = self.crowded_until.max(until),
            }
            return;
        };
        let deltas = view.into_deltas();
        let nothing = deltas.iter().all(|delta| delta.is_empty());
        if state.is_none() && nothing {
            return;
        }
        if state.is_none() && self.programs.len() >= PROGRAMS_MAX {
            self.programs.retain(|_, state| state.rows() > 0 || state.blind_until >= now.at);
            if self.programs.len() >= PROGRAMS_MAX {
                self.crowded_until = self.crowded_until.max(until);
                return;
            }
        }
        let crowded_until = self.crowded_until;
        let state = self
            .programs
            .entry(program.name)
            .or_insert_with(|| State { blind_until: crowded_until, ..State::of(program) });
        self.rows = self.rows.saturating_sub(state.rows());
        state.forget(program, now);
        let room = PROGRAM_ROWS_MAX.min(ROWS_MAX.saturating_sub(self.rows));
        let room = room.saturating_sub(state.rows());
        if !state.commit(program, deltas, state.own(now), room) {
            state.blind_until = state.blind_until.max(until);
        }
        let after = state.rows();
        self.rows += after;
        if after == 0 && state.blind_until < now.at && !state.spared {
            self.programs.remove(&program.name);
        }
    }
}
