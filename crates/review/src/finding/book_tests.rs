//! The book: what a look changes, what time and people change, and that it is a fold of what is
//! recorded.

use std::sync::Arc;

use proptest::prelude::*;
use safeconduct_model::signal::Severity;
use safeconduct_model::*;

use super::{Subject, *};

fn id(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn seen(name: &str, severity: Severity, age: Age) -> Observed {
    let subject = Subject::of(&id("agent"), Thing::Grant, format!("statement {name}"));
    let facts = FactSheet::default().text("given_by", name).number("n", 1);
    let evidence = vec![RecordId::new("dec_1").unwrap()];
    Observed { kind: FindingKind::UnusedGrant, subject, severity, facts, evidence, age }
}

fn looked(observed: Vec<Observed>) -> Looked {
    Looked { observed, ..Looked::default() }
}

/// Records what a look changes, as the service does, and says what happened.
fn look(book: &mut FindingBook, looked: &Looked, now: i64) -> Vec<String> {
    let compared = book.compare(looked, at(now));
    compared.steps.into_iter().map(|(id, step)| recorded(book, &id, step, now)).collect()
}

/// Takes a step in through its recorded form.
fn recorded(book: &mut FindingBook, id: &FindingId, step: FindingStep, now: i64) -> String {
    let change = step.change(id, book).unwrap();
    change.check().unwrap();
    let (same, read) = FindingStep::of(&change, at(now)).unwrap().unwrap();
    assert_eq!(&same, id);
    book.take(id, read, at(now));
    change.event.to_string()
}

fn wish(by: &str, until: Option<i64>) -> ExemptionWish {
    ExemptionWish {
        kind: ExemptionKind::Seasonal,
        reason: "used at the end of the year".into(),
        by: id(by),
        until: until.map(at),
    }
}

#[test]
fn a_finding_opens_closes_by_itself_and_comes_back() {
    let mut book = FindingBook::default();
    let one = || looked(vec![seen("p", Severity::Low, Age::Ripe)]);
    assert_eq!(look(&mut book, &one(), 1), ["opened"]);
    assert_eq!(look(&mut book, &one(), 2), [""; 0], "nothing changed, nothing is recorded");
    let worse = looked(vec![seen("p", Severity::High, Age::Ripe)]);
    assert_eq!(look(&mut book, &worse, 3), ["changed"]);
    assert_eq!(look(&mut book, &Looked::default(), 4), ["closed"]);
    assert_eq!(look(&mut book, &Looked::default(), 5), [""; 0]);
    let back = looked(vec![seen("p", Severity::Low, Age::Young)]);
    assert_eq!(look(&mut book, &back, 6), ["reopened"], "what comes back need not grow old again");
    let finding = book.iter().next().unwrap();
    assert_eq!((finding.reopened, finding.opened_at, finding.closed_at), (1, at(1), None));
    assert_eq!(finding.state(at(6)), FindingState::Open);
}

#[test]
fn what_is_young_opens_nothing_and_what_cannot_be_judged_stays() {
    let mut book = FindingBook::default();
    let young = looked(vec![seen("p", Severity::Low, Age::Young)]);
    assert_eq!(look(&mut book, &young, 1), [""; 0]);
    let ripe = seen("p", Severity::Low, Age::Ripe);
    look(&mut book, &looked(vec![ripe.clone()]), 2);
    let unsure = NotJudged { kind: ripe.kind, subject: ripe.subject, tracked_ms: 1, needed_ms: 2 };
    let unsure = Looked { not_judged: vec![unsure], ..Looked::default() };
    assert_eq!(look(&mut book, &unsure, 3), [""; 0]);
    assert_eq!(book.iter().next().unwrap().closed_at, None);
}

#[test]
fn what_was_not_looked_at_in_full_stays() {
    let mut book = FindingBook::default();
    let one = || seen("p", Severity::Low, Age::Ripe);
    let (kind, whom) = (one().kind, one().subject.whom.unwrap());
    look(&mut book, &looked(vec![one()]), 1);
    let of_kind = Looked { in_part: [kind].into(), ..Looked::default() };
    let of_whom = Looked { of_in_part: [(kind, whom)].into(), ..Looked::default() };
    for part in [of_kind, of_whom] {
        assert_eq!(look(&mut book, &part, 2), [""; 0], "{part:?}");
        assert_eq!(book.iter().next().unwrap().closed_at, None);
        assert_eq!(look(&mut book.clone(), &Looked { observed: vec![one()], ..part }, 3), [""; 0]);
    }
    let other_kind = Looked { in_part: [FindingKind::SharedIdentity].into(), ..Looked::default() };
    assert_eq!(look(&mut book.clone(), &other_kind, 4), ["closed"]);
    let other = Looked { of_in_part: [(kind, id("another"))].into(), ..Looked::default() };
    assert_eq!(look(&mut book, &other, 4), ["closed"]);
}

#[test]
fn what_could_not_be_taken_back_never_ends_by_itself() {
    let mut book = FindingBook::default();
    let subject = Subject { whom: None, thing: Thing::Lease, name: "lease_1".into() };
    let lease = Observed::new(FindingKind::IrrevocableLease, subject, FactSheet::default());
    look(&mut book, &looked(vec![lease]), 1);
    assert_eq!(look(&mut book, &Looked::default(), 2), [""; 0]);
}

#[test]
fn an_exemption_needs_an_end_a_reason_and_another_person() {
    let mut book = FindingBook::default();
    look(&mut book, &looked(vec![seen("p", Severity::Low, Age::Ripe)]), 1);
    let id = book.iter().next().unwrap().id.clone();
    let exempt = |wish| book.exempt(&id, wish, "exm_1".into(), at(10)).unwrap_err();
    assert_eq!(exempt(wish("ada", None)), ExemptError::NoEnd);
    assert_eq!(exempt(wish("ada", Some(10))), ExemptError::End);
    assert_eq!(exempt(wish("ada", Some(11 + EXEMPTION_MS_MAX))), ExemptError::End);
    let silent = ExemptionWish { reason: "  ".into(), ..wish("ada", Some(20)) };
    assert_eq!(exempt(silent), ExemptError::Reason);
    assert!(matches!(exempt(wish("agent", Some(20))), ExemptError::OwnCase(_)));
    let other = FindingId::of(FindingKind::RubberStamping, &Subject::identity(&super_id()));
    let unknown = book.exempt(&other, wish("ada", Some(20)), "exm_1".into(), at(10));
    assert!(matches!(unknown, Err(ExemptError::Unknown(_))));
}

fn super_id() -> IdentityId {
    id("nobody")
}

#[test]
fn an_exemption_holds_until_its_end_whatever_happens() {
    let mut book = FindingBook::default();
    let one = || looked(vec![seen("p", Severity::Low, Age::Ripe)]);
    look(&mut book, &one(), 1);
    let id = book.iter().next().unwrap().id.clone();
    let step = book.exempt(&id, wish("ada", Some(20)), "exm_1".into(), at(10)).unwrap();
    assert_eq!(recorded(&mut book, &id, step, 10), "granted");
    let state = |book: &FindingBook, now| book.finding(&id).unwrap().state(at(now));
    assert_eq!((state(&book, 19), state(&book, 20)), (FindingState::Exempt, FindingState::Open));
    assert_eq!(look(&mut book, &Looked::default(), 12), ["closed"]);
    assert_eq!(look(&mut book, &one(), 13), ["reopened"]);
    assert_eq!(state(&book, 13), FindingState::Exempt, "it came back within the exemption");
    let again = book.exempt(&id, wish("ada", Some(20)), "exm_2".into(), at(14));
    assert_eq!(again, Err(ExemptError::Exempt));
    assert_eq!(look(&mut book, &one(), 20), ["expired"]);
    assert_eq!(book.finding(&id).unwrap().exemption, None);
    let late = book.unexempt(&id, super_id(), at(21));
    assert_eq!(late, Err(ExemptError::NotExempt));
    let step = book.exempt(&id, wish("ada", Some(40)), "exm_3".into(), at(30)).unwrap();
    recorded(&mut book, &id, step, 30);
    let step = book.unexempt(&id, super_id(), at(31)).unwrap();
    assert_eq!(recorded(&mut book, &id, step, 31), "withdrawn");
    assert_eq!(state(&book, 31), FindingState::Open);
}

#[test]
fn a_step_of_another_form_is_refused() {
    let change = |event: &str, detail: &str| ReviewChange {
        what: ReviewedThing::Finding,
        id: "0".repeat(32).into(),
        sequence: 0,
        event: event.into(),
        about: None,
        by: None,
        detail: ReviewDetail::new(detail).unwrap(),
    };
    assert!(FindingStep::of(&change("closed", "{}"), at(1)).unwrap().is_some());
    assert!(FindingStep::of(&change("opened", "{}"), at(1)).is_err());
    assert!(FindingStep::of(&change("vanished", "{}"), at(1)).is_err());
    let short = ReviewChange { id: "0".into(), ..change("closed", "{}") };
    assert!(FindingStep::of(&short, at(1)).is_err());
    let other = ReviewChange { what: ReviewedThing::Campaign, ..change("closed", "{}") };
    assert_eq!(FindingStep::of(&other, at(1)), Ok(None));
}

#[test]
fn the_recorded_form_is_canonical_and_does_not_change() {
    let book = FindingBook::default();
    let observed = seen("p", Severity::Low, Age::Ripe);
    let change = FindingStep::Opened(observed.clone()).change(&observed.id(), &book).unwrap();
    assert_eq!(
        change.detail.as_str(),
        r#"{"evidence":["dec_1"],"facts":{"given_by":"p","n":1},"kind":"unused_grant","name":"statement p","severity":"low","thing":"grant","whom":"agent"}"#
    );
    assert_eq!(change.about, Some(id("agent")));
}

proptest! {
    /// Whatever is looked at and in whatever order: the book that is made again from what was
    /// recorded is the book that was, an open finding is what was last observed, each step of a
    /// finding has the next number, and a look that changes nothing records nothing.
    #[test]
    fn the_book_is_a_fold_of_what_is_recorded(
        looks in proptest::collection::vec(proptest::collection::vec((0u8..4, 0usize..3, any::<bool>()), 0..6), 1..12),
    ) {
        let (mut book, mut again) = (FindingBook::default(), FindingBook::default());
        let mut numbers = std::collections::BTreeMap::<Arc<str>, u64>::new();
        for (now, observed) in looks.into_iter().enumerate() {
            let now = at(now as i64);
            let severities = [Severity::Low, Severity::Moderate, Severity::High];
            let observed = observed.into_iter().map(|(name, severity, ripe)| {
                seen(&name.to_string(), severities[severity], if ripe { Age::Ripe } else { Age::Young })
            });
            let looked = looked(observed.collect());
            for (id, step) in book.compare(&looked, now).steps {
                let change = step.change(&id, &book).unwrap();
                let next = numbers.entry(Arc::clone(&change.id)).or_default();
                prop_assert_eq!(change.sequence, *next);
                *next += 1;
                book.take(&id, step, now);
                let (id, step) = FindingStep::of(&change, now).unwrap().unwrap();
                again.take(&id, step, now);
            }
            prop_assert!(book.compare(&looked, now).steps.is_empty());
            for finding in book.iter() {
                let seen = looked.observed.iter().any(|one| one.id() == finding.id);
                prop_assert_eq!(finding.closed_at.is_none(), seen);
            }
        }
        let all: Vec<_> = book.iter().collect();
        prop_assert_eq!(all, again.iter().collect::<Vec<_>>());
    }
}
