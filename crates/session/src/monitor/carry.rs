//! What is folded again for other programs, beside what is known already of those that stay.

use std::sync::LazyLock;

use safeconduct_model::Timestamp;

use super::fold::{Inner, Monitors};
use super::program::{Program, ProgramNames, ProgramSet};
use super::run::State;
use super::table::Stamp;
use super::{PROGRAMS_MAX, ROWS_MAX};

static UNKNOWN: LazyLock<Monitors> = LazyLock::new(|| {
    let mut inner = Inner::new(ProgramSet::default().digest(), Stamp { at: i64::MIN, index: 0 });
    inner.gaps.widen(None, i64::MAX);
    Monitors(Some(Box::new(inner)))
});

impl Monitors {
    /// What is remembered of a history of which nothing is known: no program has an answer.
    pub fn unknown() -> &'static Self {
        &UNKNOWN
    }

    /// Takes note that events up to that time may be missing, of that kind or of any: what depends
    /// on them has no answer as long as they could matter, each program by its own window.
    pub fn miss(&mut self, programs: &ProgramSet, kind: Option<&str>, at: Timestamp) {
        if programs.is_empty() {
            return;
        }
        let now = self.at(at);
        let inner = self.inner(programs, now);
        inner.gaps.widen(kind, at.as_millis());
        // What was known of them beside another gap is not known beside this one.
        inner.programs.values_mut().for_each(|state| state.spared = false);
    }

    /// Goes on with what `known` remembers of the programs that are `whole` in it and have an
    /// answer at that time: these were folded again of the same events up to the last one, and
    /// perhaps not from the first.
    pub fn carry(
        &mut self,
        programs: &ProgramSet,
        (known, whole): (Self, &ProgramNames),
        at: Timestamp,
    ) {
        if programs.is_empty() {
            return;
        }
        let mut known = known.0.map_or_else(
            || Inner::new(programs.digest(), Stamp { at: i64::MIN, index: 0 }),
            |inner| *inner,
        );
        let at = Timestamp::from_millis(at.as_millis().max(known.at));
        let now = self.at(at);
        let inner = self.inner(programs, now);
        inner.at = now.at;
        inner.retain(programs);
        for program in whole.iter().filter_map(|name| programs.program(*name)) {
            inner.go_on(program, &mut known, now.at);
        }
        if inner.remembers_nothing(now.at) {
            self.0 = None;
        }
    }
}

impl Inner {
    fn go_on(&mut self, program: &Program, known: &mut Self, now: i64) {
        let name = program.name();
        if now <= known.blind_until(program) {
            return;
        }
        // Whoever has no state here is not known where something is missing.
        let missing = now <= self.gaps.blind_until(program).max(self.crowded_until);
        let numbers = known.events.wrapping_sub(self.events);
        let state = match known.programs.remove(&name) {
            Some(state) => Some(State { ahead: state.ahead.wrapping_add(numbers), ..state }),
            None => missing.then(|| State::of(program)),
        };
        let before = self.programs.get(&name).map(State::rows);
        let Some(state) = state else {
            self.rows = self.rows.saturating_sub(before.unwrap_or(0));
            self.programs.remove(&name);
            return;
        };
        let rows = self.rows.saturating_sub(before.unwrap_or(0)).saturating_add(state.rows());
        let room = before.is_some() || self.programs.len() < PROGRAMS_MAX;
        // What was folded again is as true, where it has an answer.
        if room && rows <= ROWS_MAX {
            self.rows = rows;
            self.programs.insert(name, State { spared: missing, ..state });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer, compiled, counted, formerly, observe, set};
    use super::super::{ProgramSet, RESPONSE};
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn names(set: &ProgramSet) -> ProgramNames {
        set.names().clone()
    }

    /// What is missing blinds each program as long as its own window reaches back to it.
    #[test]
    fn what_is_missing_blinds_each_program_for_its_own_window() {
        let (short, long) = (compiled(1, formerly(60_000)), compiled(2, formerly(HOUR_MS)));
        let programs = set(&[short.clone(), long.clone()]);
        let mut monitors = Monitors::default();
        observe(&mut monitors, &programs, "a", "v", 5_000);
        monitors.miss(&programs, None, at(1_000));
        let said =
            |now| [&short, &long].map(|program| answer(&monitors, &programs, program, "u", now));
        assert_eq!(said(61_000), [None, None]);
        assert_eq!(said(61_001), [Some(false), None]);
        assert_eq!(said(1_000 + HOUR_MS), [Some(false), None]);
        assert_eq!(said(1_001 + HOUR_MS), [Some(false), Some(false)]);
        // These ask for requests alone.
        let mut monitors = Monitors::default();
        monitors.miss(&programs, Some(RESPONSE), at(1_000));
        assert_eq!(answer(&monitors, &programs, &long, "u", 1_001), Some(false));
        observe(&mut monitors, &programs, "c", "u", 1_001 + HOUR_MS);
        assert_eq!(monitors, Monitors::default());
        assert_eq!(answer(Monitors::unknown(), &programs, &short, "u", HOUR_MS), None);
    }

    /// A program that stays goes on from where it was, whatever number the newest event has, and
    /// where what was folded again begins later too.
    #[test]
    fn programs_that_stay_go_on_beside_those_that_come() {
        let (stays, comes) = (compiled(1, formerly(HOUR_MS)), compiled(2, counted(HOUR_MS)));
        let (before, after) =
            (set(std::slice::from_ref(&stays)), set(&[stays.clone(), comes.clone()]));
        let mut known = Monitors::default();
        for (user, time) in [("early", 1_000), ("late", 2_000), ("last", 3_000)] {
            observe(&mut known, &before, "a", user, time);
        }
        // The first is not told any more.
        let mut folded = Monitors::default();
        observe(&mut folded, &after, "a", "late", 2_000);
        observe(&mut folded, &after, "a", "last", 3_000);
        folded.miss(&after, None, at(2_000));
        folded.carry(&after, (known.clone(), &names(&before)), at(4_000));
        for user in ["early", "late"] {
            assert_eq!(answer(&folded, &after, &stays, user, 5_000), Some(true), "{user}");
            assert_eq!(answer(&folded, &after, &comes, user, 5_000), None, "{user}");
        }
        assert_eq!(answer(&folded, &after, &stays, "nobody", 5_000), Some(false));
        observe(&mut folded, &after, "c", "u", 3_002 + HOUR_MS);
        assert_eq!(answer(&folded, &after, &comes, "early", 3_002 + HOUR_MS), Some(false));
        // What is not whole in it is not taken from it, nor what has no answer in it.
        let mut other = Monitors::default();
        other.miss(&after, None, at(2_000));
        other.carry(&after, (known.clone(), &names(&set(&[]))), at(4_000));
        assert_eq!(answer(&other, &after, &stays, "early", 5_000), None);
        known.miss(&before, None, at(2_000));
        other.carry(&after, (known, &names(&before)), at(4_000));
        assert_eq!(answer(&other, &after, &stays, "early", 5_000), None);
    }

    /// The same where the program has found nothing yet.
    #[test]
    fn a_program_that_found_nothing_goes_on_too() {
        let stays = compiled(1, formerly(HOUR_MS));
        let programs = set(std::slice::from_ref(&stays));
        let mut folded = Monitors::default();
        folded.miss(&programs, None, at(2_000));
        folded.carry(&programs, (Monitors::default(), &names(&programs)), at(3_000));
        assert_eq!(answer(&folded, &programs, &stays, "u", 4_000), Some(false));
        observe(&mut folded, &programs, "a", "u", 5_000);
        assert_eq!(answer(&folded, &programs, &stays, "u", 6_000), Some(true));
        assert_eq!(answer(&folded, &programs, &stays, "v", 6_000), Some(false));
        observe(&mut folded, &programs, "c", "u", 5_001 + HOUR_MS);
        observe(&mut folded, &programs, "a", "u", 9_000 + 2 * HOUR_MS);
        assert_eq!(answer(&folded, &programs, &stays, "u", 9_001 + 2 * HOUR_MS), Some(true));
    }
}
