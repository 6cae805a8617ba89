//! What monitors promise beside their answers: equal folds, limits, and work that does not grow.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use safeconduct_model::{ActionName, Timestamp, Value};
use sha2::{Digest as _, Sha256};

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn matches(action: &str, term: Term) -> Formula {
    let field = Field { of: Part::Input, path: vec!["user".into()], sort: Sort::Any };
    let fields = vec![(field, term)];
    Formula::Matches(Matches { kind: REQUEST.into(), action: action.into(), fields })
}

pub(super) fn compiled(name: u8, formula: Formula) -> Arc<Program> {
    let user = Parameter {
        root: Root::Context,
        path: vec!["input".into(), "user".into()],
        sort: Sort::Any,
    };
    let source = Source { parameters: vec![user], symbols: 8, formula };
    Arc::new(Program::compile(ProgramName([name; 16]), &source).unwrap())
}

/// Whether the same user did `a` within a window.
pub(super) fn formerly(window_ms: i64) -> Formula {
    Formula::Formerly { window_ms, body: Box::new(matches("a", Term::Of(Symbol(0)))) }
}

/// Whether the same user did `a` more than once within a window.
pub(super) fn counted(window_ms: i64) -> Formula {
    let body = Formula::All(vec![matches("a", Term::Of(Symbol(0))), Formula::Instant(Symbol(1))]);
    let body = Formula::Formerly { window_ms, body: Box::new(body) };
    let count = Term::Aggregate(Box::new(Aggregate { sum: None, over: vec![Symbol(1)], body }));
    Formula::Compare(Comparison::Greater, count, Term::Is(Datum::Long(1)))
}

/// `formerly`, a count of events, `since`, and `previous`.
fn all() -> Vec<Arc<Program>> {
    let own = || Term::Of(Symbol(0));
    let within = |body| Formula::Formerly { window_ms: HOUR_MS, body: Box::new(body) };
    let counted = within(Formula::All(vec![matches("b", own()), Formula::Instant(Symbol(1))]));
    let count = Aggregate { sum: None, over: vec![Symbol(1)], body: counted };
    vec![
        compiled(1, within(matches("a", own()))),
        compiled(
            2,
            Formula::Compare(
                Comparison::Greater,
                Term::Aggregate(Box::new(count)),
                Term::Is(Datum::Long(3)),
            ),
        ),
        compiled(
            3,
            Formula::Since {
                left: Box::new(Formula::Not(Box::new(matches("a", own())))),
                window_ms: HOUR_MS,
                anchor: Box::new(matches("b", own())),
            },
        ),
        compiled(
            4,
            Formula::Since {
                left: Box::new(matches("a", own())),
                window_ms: HOUR_MS,
                anchor: Box::new(matches("b", own())),
            },
        ),
        compiled(5, Formula::Previous { window_ms: HOUR_MS, body: Box::new(matches("a", own())) }),
    ]
}

pub(super) fn set(programs: &[Arc<Program>]) -> ProgramSet {
    ProgramSet::new(programs.iter().cloned(), BTreeMap::new())
}

fn with<T>(action: &str, user: &str, at: i64, then: impl FnOnce(&Event<'_>) -> T) -> T {
    let action = ActionName::new(action).unwrap();
    then(&Event {
        kind: REQUEST,
        action: &action,
        principal: None,
        resources: &[],
        input: &Value::object([("user", Value::from(user))]),
        output: None,
        beside: None,
        at: Timestamp::from_millis(at),
        decision: None,
    })
}

pub(super) fn observe(
    monitors: &mut Monitors,
    programs: &ProgramSet,
    action: &str,
    user: &str,
    at: i64,
) {
    with(action, user, at, |event| monitors.observe(programs, event));
}

pub(super) fn answer(
    monitors: &Monitors,
    programs: &ProgramSet,
    program: &Program,
    user: &str,
    at: i64,
) -> Option<bool> {
    let parameters = [Datum::text(&user.into())];
    with("c", user, at, |event| monitors.answer(programs, program, event, &parameters))
}

fn history() -> impl Strategy<Value = Vec<(usize, usize, i64)>> {
    prop::collection::vec((0..3_usize, 0..4_usize, 0..HOUR_MS), 0..60)
}

fn folded(programs: &ProgramSet, history: &[(usize, usize, i64)]) -> Monitors {
    let mut monitors = Monitors::default();
    let mut at = 0;
    for (action, user, wait) in history {
        at += wait;
        observe(&mut monitors, programs, ["a", "b", "c"][*action], &format!("u{user}"), at);
    }
    monitors
}

proptest! {
    #[test]
    fn equal_histories_give_equal_monitors(history in history(), cut in 0..60_usize) {
        let (one, other) = (set(&all()), set(&all()));
        let whole = folded(&one, &history);
        prop_assert_eq!(&whole, &folded(&other, &history));
        // Whoever stops and goes on has the same as well.
        let mut resumed = folded(&one, &history[..cut.min(history.len())]).clone();
        let mut at: i64 = history.iter().take(cut).map(|(.., wait)| wait).sum();
        for (action, user, wait) in history.iter().skip(cut) {
            at += wait;
            observe(&mut resumed, &one, ["a", "b", "c"][*action], &format!("u{user}"), at);
        }
        prop_assert_eq!(whole, resumed);
    }

    #[test]
    fn nothing_of_what_was_asked_changes_an_answer(history in history()) {
        let programs = all();
        let set = set(&programs);
        let monitors = folded(&set, &history);
        let before = monitors.clone();
        for program in &programs {
            answer(&monitors, &set, program, "u1", i64::MAX / 2);
        }
        prop_assert_eq!(monitors, before);
    }
}

/// A session is folded again in another process, after a crash or on another node.
#[test]
fn a_fold_is_the_same_in_every_process() {
    let history: Vec<_> =
        (0..200).map(|n| (n % 3, n * 7 % 5, 60_000 * i64::try_from(n % 11).unwrap())).collect();
    let monitors = folded(&set(&all()), &history);
    let digest = Sha256::digest(format!("{monitors:?}"));
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "b33e7fe41c3b01b6");
}

#[test]
fn at_the_limit_there_is_no_answer_until_it_cannot_matter() {
    let programs = all();
    let set = set(&programs);
    let mut monitors = Monitors::default();
    for number in 0..=PROGRAM_ROWS_MAX {
        observe(&mut monitors, &set, "a", &format!("user-{number}"), 1000);
    }
    assert!(monitors.rows() <= ROWS_MAX);
    assert_eq!(answer(&monitors, &set, &programs[0], "user-0", 2000), None);
    assert_eq!(answer(&monitors, &set, &programs[0], "new", 2000), None);
    // What was left out could only have mattered as long as the window.
    assert_eq!(answer(&monitors, &set, &programs[0], "new", 1001 + HOUR_MS), Some(false));
    observe(&mut monitors, &set, "a", "new", 2 * HOUR_MS);
    assert_eq!(answer(&monitors, &set, &programs[0], "new", 2 * HOUR_MS + 1), Some(true));
    assert!(monitors.rows() < 10 && monitors.bytes() < 4096, "{}", monitors.bytes());
}

#[test]
fn a_busy_session_is_small_and_an_idle_one_nothing() {
    let set = set(&all());
    let mut monitors = Monitors::default();
    assert_eq!(size_of::<Monitors>(), 8);
    observe(&mut monitors, &set, "c", "nobody", 0);
    assert_eq!(monitors, Monitors::default(), "what nobody speaks of is not remembered");
    for number in 0..20_000_i64 {
        observe(&mut monitors, &set, ["a", "b"][number.unsigned_abs() as usize % 2], "u", number);
    }
    assert!(monitors.bytes() < 300 << 10, "{}", monitors.bytes());
}

#[test]
fn a_program_that_is_gone_is_forgotten() {
    let programs = all();
    let mut monitors = folded(&set(&programs), &[(0, 1, 5), (1, 1, 5), (0, 2, 5)]);
    let left = set(&programs[..1]);
    observe(&mut monitors, &left, "a", "u1", 100);
    assert_eq!(monitors.rows(), 2);
    assert_eq!(answer(&monitors, &left, &programs[0], "u2", 100), Some(true));
}

#[test]
fn time_that_steps_back_stands_still() {
    let programs = all();
    let set = set(&programs);
    let mut monitors = Monitors::default();
    observe(&mut monitors, &set, "a", "u", 10 * HOUR_MS);
    observe(&mut monitors, &set, "b", "u", 0);
    assert_eq!(answer(&monitors, &set, &programs[0], "u", 0), Some(true));
    assert_eq!(answer(&monitors, &set, &programs[2], "u", 11 * HOUR_MS), Some(true));
    assert_eq!(answer(&monitors, &set, &programs[2], "u", 11 * HOUR_MS + 1), Some(false));
}

/// A year of events under a window of a year: what is remembered stays within its limit, and what
/// found no room leaves the program without an answer for that window and no longer.
#[test]
fn a_year_of_events_is_bounded_and_blinds_for_a_year() {
    const YEAR_MS: i64 = 366 * 24 * HOUR_MS;
    let body = Formula::All(vec![matches("b", Term::Of(Symbol(0))), Formula::Instant(Symbol(1))]);
    let body = Formula::Formerly { window_ms: YEAR_MS, body: Box::new(body) };
    let count = Term::Aggregate(Box::new(Aggregate { sum: None, over: vec![Symbol(1)], body }));
    let many = Formula::Compare(Comparison::Greater, count, Term::Is(Datum::Long(3)));
    let program = compiled(9, many);
    let programs = set(&[Arc::clone(&program)]);
    let (mut monitors, step) = (Monitors::default(), 2 * HOUR_MS);
    let mut at = 0;
    for n in 0..4392 {
        at = n * step;
        observe(&mut monitors, &programs, "b", "u", at);
        assert!(monitors.rows() <= PROGRAM_ROWS_MAX);
        if n == 2000 {
            assert_eq!(answer(&monitors, &programs, &program, "u", at), Some(true));
        }
    }
    for later in [1, YEAR_MS / 2, YEAR_MS] {
        assert_eq!(answer(&monitors, &programs, &program, "u", at + later), None);
    }
    assert_eq!(answer(&monitors, &programs, &program, "u", at + YEAR_MS + 1), Some(false));
}

/// What depends on an event of which something is not known has no answer as long as it could
/// matter; the others go on.
#[test]
fn doubt_blinds_what_depends_on_it() {
    let programs = all();
    let set = set(&programs);
    let mut monitors = Monitors::default();
    with("a", "u", 0, |event| monitors.doubt(&set, event, Some(&[Part::Output])));
    assert_eq!(monitors, Monitors::default());
    with("a", "u", 0, |event| monitors.doubt(&set, event, Some(&[Part::Input])));
    let at = |at| {
        let answers = programs.iter().take(2).map(|one| answer(&monitors, &set, one, "u", at));
        answers.collect::<Vec<_>>()
    };
    assert_eq!(at(HOUR_MS), [None, Some(false)]);
    assert_eq!(at(HOUR_MS + 1), [Some(false), Some(false)]);
    with("b", "u", 0, |event| monitors.doubt(&set, event, None));
    assert_eq!(answer(&monitors, &set, &programs[1], "u", HOUR_MS), None);
}

/// At the last millisecond at which something missing could matter there is no answer, whatever
/// happens then.
#[test]
fn what_is_missing_is_missed_to_the_last_millisecond() {
    let body = Box::new(matches("a", Term::Is(Datum::text(&"u".into()))));
    let program = compiled(1, Formula::Formerly { window_ms: HOUR_MS, body });
    let programs = set(&[Arc::clone(&program)]);
    let mut monitors = Monitors::default();
    with("a", "u", 0, |event| monitors.doubt(&programs, event, None));
    observe(&mut monitors, &programs, "a", "another", HOUR_MS);
    assert_eq!(answer(&monitors, &programs, &program, "u", HOUR_MS), None);
    observe(&mut monitors, &programs, "a", "another", HOUR_MS + 1);
    assert_eq!(monitors, Monitors::default(), "nothing of it could matter any more");
    assert_eq!(answer(&monitors, &programs, &program, "u", HOUR_MS + 1), Some(false));
}

/// The same, where there are more programs than can remember anything.
#[test]
fn what_found_no_place_is_missed_to_the_last_millisecond() {
    let named = |number: usize| {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let body = Box::new(matches("a", Term::Is(Datum::text(&"u".into()))));
        let formula = Formula::Formerly { window_ms: HOUR_MS, body };
        let source = Source { parameters: Vec::new(), symbols: 8, formula };
        Arc::new(Program::compile(ProgramName(name), &source).unwrap())
    };
    let all: Vec<_> = (0..=PROGRAMS_MAX).map(named).collect();
    let (programs, last) = (set(&all), &all[PROGRAMS_MAX]);
    let asked = |monitors: &Monitors, at| {
        with("c", "u", at, |event| monitors.answer(&programs, last, event, &[]))
    };
    let mut monitors = Monitors::default();
    with("a", "u", 0, |event| monitors.doubt(&programs, event, None));
    observe(&mut monitors, &programs, "a", "another", HOUR_MS);
    assert_eq!(asked(&monitors, HOUR_MS), None);
    observe(&mut monitors, &programs, "a", "another", HOUR_MS + 1);
    assert_eq!(asked(&monitors, HOUR_MS + 1), Some(false));
    // Also once those are gone that had found one.
    let mut monitors = Monitors::default();
    with("a", "u", 0, |event| monitors.doubt(&programs, event, None));
    observe(&mut monitors, &set(&all[PROGRAMS_MAX..]), "a", "another", HOUR_MS);
    assert_eq!(asked(&monitors, HOUR_MS), None);
    // None of them is driven out while it is not known.
    with("a", "u", 2 * HOUR_MS, |event| monitors.doubt(&set(&all[1..]), event, None));
    observe(&mut monitors, &programs, "a", "u", 3 * HOUR_MS);
    assert!(all.iter().all(|program| {
        with("c", "u", 3 * HOUR_MS, |event| monitors.answer(&programs, program, event, &[]))
            .is_none()
    }));
}
