use proptest::prelude::*;
use safeconduct_model::IdentityId;

use super::*;

pub(crate) fn signal() -> impl Strategy<Value = Signal> {
    (0..Kind::ALL.len(), 0..5_usize, 0..=100_u8, 0..10_i64.pow(9), 0..1000_u32).prop_map(
        |(kind, severity, confidence, at, id)| {
            let about = About::Identity(IdentityId::new("agent:a").unwrap());
            let (kind, severity) = (Kind::ALL[kind], Severity::ALL[severity]);
            let at = Timestamp::from_millis(at);
            let id = format!("r{id}");
            Signal {
                confidence: Confidence::percent(confidence),
                ..Signal::new(about, kind, severity, Source::Detector, id, at)
            }
        },
    )
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn of(severity: Severity, confidence: u8) -> Signal {
    let about = About::Identity(IdentityId::new("agent:a").unwrap());
    Signal {
        confidence: Confidence::percent(confidence),
        ..Signal::new(about, Kind::Burst, severity, Source::Detector, "r", at(0))
    }
}

#[test]
fn one_signal_alone_scores_its_weight() {
    let lives = HalfLives::default();
    let scores = Severity::ALL.map(|severity| assess([&of(severity, 100)], at(0), &lives).score);
    assert_eq!(scores, [0, 15, 35, 65, 90]);
    let levels = Severity::ALL.map(|severity| assess([&of(severity, 100)], at(0), &lives).level);
    let expected = [Level::Low, Level::Low, Level::Moderate, Level::High, Level::Critical];
    assert_eq!(levels, expected);
}

/// These numbers are promises: recorded decisions are replayed with them.
#[test]
fn scores_are_the_same_everywhere() {
    let lives = HalfLives::default();
    let signals = [of(Severity::High, 100), of(Severity::Low, 80), of(Severity::Moderate, 50)];
    let scores = [0, 1, 5, 10, 20, 40, 80, 160]
        .map(|minutes| assess(&signals, at(minutes * 60_000), &lives).score);
    assert_eq!(scores, [75, 72, 62, 50, 29, 8, 0, 0]);
}

#[test]
fn a_half_life_halves_the_evidence() {
    let lives = HalfLives::default().with(Kind::Burst, 60).unwrap();
    let now = evidence(&of(Severity::Critical, 100), at(0), &lives);
    for n in 1..10 {
        assert_eq!(evidence(&of(Severity::Critical, 100), at(n * 60_000), &lives), now >> n);
    }
    assert!(HalfLives::default().with(Kind::Burst, 0).is_err());
    assert!(HalfLives::default().with(Kind::Burst, HALF_LIFE_S_MAX + 1).is_err());
}

#[test]
fn the_rest_is_one_number() {
    let signals: Vec<_> = (0..40)
        .map(|n| Signal { id: format!("r{n:02}").into(), ..of(Severity::Low, 20) })
        .collect();
    let risk = assess(&signals, at(0), &HalfLives::default());
    assert_eq!((risk.parts.len(), risk.others), (PARTS_MAX, 24));
    let points: u8 = risk.parts.iter().map(|part| part.points).sum();
    assert_eq!(points + risk.others_points, risk.score);
    assert!(risk.others_points > 0);
}

#[test]
fn no_kind_is_hidden_behind_many_of_others() {
    let mut signals: Vec<_> = (0..40)
        .map(|n| Signal { id: format!("r{n:02}").into(), ..of(Severity::High, 100) })
        .collect();
    signals.push(Signal { kind: Kind::StreamSilent, ..of(Severity::Low, 20) });
    let risk = assess(&signals, at(0), &HalfLives::default());
    assert!(risk.parts.iter().all(|part| part.kind != Kind::StreamSilent));
    assert!(risk.kinds.contains(Kind::StreamSilent));
    assert_eq!(risk.kinds.iter().collect::<Vec<_>>(), [Kind::StreamSilent, Kind::Burst]);
}

proptest! {
    #[test]
    fn it_is_bounded_and_its_parts_add_up(
        signals in prop::collection::vec(signal(), 0..60),
        now in 0..2 * 10_i64.pow(9),
    ) {
        let risk = assess(&signals, at(now), &HalfLives::default());
        prop_assert!(risk.score <= 100);
        let points: u64 = risk.parts.iter().map(|part| u64::from(part.points)).sum();
        prop_assert_eq!(points + u64::from(risk.others_points), u64::from(risk.score));
        prop_assert_eq!(risk.level, Level::of(risk.score));
        let Risk { score, level, kinds, .. } = risk;
        let weighed = weigh(&signals, at(now), &HalfLives::default());
        prop_assert_eq!(weighed, RiskScore { score, level, kinds });
    }

    #[test]
    fn one_more_never_lowers_it(
        signals in prop::collection::vec(signal(), 0..30),
        more in signal(),
        place in any::<prop::sample::Index>(),
        now in 0..2 * 10_i64.pow(9),
    ) {
        let before = assess(&signals, at(now), &HalfLives::default()).score;
        let mut after = signals;
        after.insert(place.index(after.len() + 1), more);
        prop_assert!(assess(&after, at(now), &HalfLives::default()).score >= before);
    }

    #[test]
    fn worse_and_surer_never_lowers_it(
        signals in prop::collection::vec(signal(), 1..20),
        now in 0..2 * 10_i64.pow(9),
    ) {
        let before = assess(&signals, at(now), &HalfLives::default()).score;
        for severity in Severity::ALL {
            let mut worse = signals.clone();
            worse[0].severity = worse[0].severity.max(severity);
            worse[0].confidence = Confidence::CERTAIN;
            prop_assert!(assess(&worse, at(now), &HalfLives::default()).score >= before);
        }
    }

    #[test]
    fn it_only_falls_with_time_and_ends_at_nothing(
        signals in prop::collection::vec(signal(), 0..20),
        steps in prop::collection::vec(0..10_i64.pow(8), 1..20),
    ) {
        let lives = HalfLives::default();
        let mut now = at(10_i64.pow(9));
        let mut last = assess(&signals, now, &lives).score;
        for step in steps {
            now = now.plus_ms(step);
            let score = assess(&signals, now, &lives).score;
            prop_assert!(score <= last);
            last = score;
        }
        let end = at(10_i64.pow(9) + crate::LIFETIME_MS_MAX);
        prop_assert_eq!(assess(&signals, end, &lives), Risk::default());
    }

    #[test]
    fn the_order_of_signals_does_not_matter(
        (signals, shuffled) in prop::collection::vec(signal(), 0..30)
            .prop_flat_map(|signals| (Just(signals.clone()), Just(signals).prop_shuffle())),
        now in 0..2 * 10_i64.pow(9),
    ) {
        let lives = HalfLives::default();
        prop_assert_eq!(assess(&signals, at(now), &lives), assess(&shuffled, at(now), &lives));
    }
}
