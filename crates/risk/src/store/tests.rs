use proptest::prelude::*;
use safeconduct_model::IdentityId;

use super::*;
use crate::{Kind, Severity, Source};

fn about(name: &str) -> About {
    About::Identity(IdentityId::new(name).unwrap())
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn signal(name: &str, kind: Kind, severity: Severity, id: &str, ms: i64) -> Signal {
    Signal::new(about(name), kind, severity, Source::Stream("https://idp".into()), id, at(ms))
}

#[test]
fn the_same_signal_counts_once() {
    let mut signals = Signals::default();
    let one = signal("a", Kind::CredentialChanged, Severity::Low, "j1", 0);
    assert_eq!(signals.put(one.clone(), at(0)), Ok(Put::Kept));
    assert_eq!(signals.put(one.clone(), at(1)), Ok(Put::Known));
    assert_eq!(signals.about(&about("a")), std::slice::from_ref(&one));
    assert_eq!(signals.put(one.clone(), one.expires_at), Ok(Put::Expired));
    assert_eq!(signals.subjects(), 0);
}

#[test]
fn the_newest_word_on_a_level_counts_alone() {
    let high = signal("a", Kind::RiskLevel, Severity::High, "j1", 10);
    let low = signal("a", Kind::RiskLevel, Severity::Info, "j2", 20);
    for order in [[&high, &low], [&low, &high]] {
        let mut signals = Signals::default();
        for one in order {
            signals.put(one.clone(), at(30)).unwrap();
        }
        assert_eq!(signals.about(&about("a")), std::slice::from_ref(&low));
        let risk = signals.assess([&about("a")], at(30), &HalfLives::default());
        assert_eq!(risk.score, 0);
    }
}

#[test]
fn a_flood_drops_the_oldest_of_the_lowest_severity_and_counts() {
    let mut signals = Signals::default();
    let worst = signal("a", Kind::AccountDisabled, Severity::Critical, "worst", 0);
    signals.put(worst.clone(), at(0)).unwrap();
    for n in 0..1000 {
        let one = signal("a", Kind::Reported, Severity::Low, &format!("r{n}"), n);
        assert_eq!(signals.put(one, at(n)), Ok(Put::Kept));
    }
    let old = signal("a", Kind::Reported, Severity::Low, "old", 1);
    assert_eq!(signals.put(old, at(1000)), Ok(Put::Dropped));
    let kept = signals.about(&about("a"));
    assert_eq!(kept.len(), SIGNALS_PER_SUBJECT_MAX);
    assert!(kept.contains(&worst));
    assert!(kept.iter().all(|one| *one == worst || one.observed_at >= at(985)));
    let dropped = 1000 + 1 + 1 - SIGNALS_PER_SUBJECT_MAX as u64;
    assert_eq!((signals.dropped(), signals.dropped_about(&about("a"))), (dropped, dropped));
}

#[test]
fn a_flood_of_one_source_or_kind_drops_nothing_of_another() {
    let mut signals = Signals::default();
    let kept = [
        signal("a", Kind::RiskLevel, Severity::Moderate, "level", 0),
        signal("a", Kind::CredentialCompromised, Severity::High, "lost", 1),
        Signal {
            source: Source::Detector,
            ..signal("a", Kind::UsedAfterEnd, Severity::Low, "d", 2)
        },
    ];
    let burst = |n: i64| Signal {
        source: Source::Detector,
        ..signal("a", Kind::Burst, Severity::Critical, &format!("b{n}"), n)
    };
    for one in kept.clone().into_iter().chain((3..100).map(burst)) {
        assert_eq!(signals.would(&one, at(100)), Put::Kept);
        signals.put(one, at(100)).unwrap();
    }
    let held = signals.about(&about("a"));
    assert_eq!(held.len(), SIGNALS_PER_SUBJECT_MAX);
    assert!(kept.iter().all(|one| held.contains(one)), "{held:?}");
    // Of those that are alike, the newest stay.
    assert!(held.contains(&burst(99)) && !held.contains(&burst(86)));
}

#[test]
fn a_flood_of_subjects_drops_the_least() {
    let mut signals = Signals::holding(10);
    signals.put(signal("bad", Kind::Reported, Severity::High, "r", 0), at(0)).unwrap();
    for n in 0..100 {
        let one = signal(&format!("n{n}"), Kind::Reported, Severity::Low, "r", n);
        assert_eq!(signals.put(one, at(n)), Ok(Put::Kept));
    }
    assert_eq!((signals.subjects(), signals.dropped()), (10, 91));
    assert_eq!(signals.about(&about("bad")).len(), 1);
    assert_eq!(signals.about(&about("n99")).len(), 1);
    let late = signal("late", Kind::Reported, Severity::Low, "r", 0);
    assert_eq!(signals.put(late, at(100)), Ok(Put::Dropped));
    signals.let_go(at(crate::LIFETIME_MS_MAX));
    assert_eq!(signals, Signals { dropped: 92, ..Signals::holding(10) });
}

#[test]
fn a_doubtful_source_pushes_out_nobody_of_whom_more_is_sure() {
    let mut signals = Signals::holding(10);
    let sure = signal("sure", Kind::Reported, Severity::High, "r", 0);
    signals.put(sure.clone(), at(0)).unwrap();
    for n in 0..100 {
        let guess = signal(&format!("n{n}"), Kind::Reported, Severity::Critical, "r", n + 1);
        let guess = Signal { confidence: crate::Confidence::percent(10), ..guess };
        signals.put(guess, at(n + 1)).unwrap();
    }
    assert_eq!(signals.about(&about("sure")), [sure]);
    assert_eq!(signals.subjects(), 10);
}

#[test]
fn what_is_over_a_limit_is_not_taken() {
    let mut signals = Signals::default();
    let good = signal("a", Kind::Reported, Severity::Low, "r", 0);
    let long = |n: usize| "x".repeat(n).into();
    for bad in [
        Signal { id: "".into(), ..good.clone() },
        Signal { id: long(crate::SIGNAL_ID_BYTES_MAX + 1), ..good.clone() },
        Signal { topic: long(crate::TOPIC_BYTES_MAX + 1), ..good.clone() },
        Signal { detail: long(crate::DETAIL_BYTES_MAX + 1), ..good.clone() },
        Signal { expires_at: good.observed_at, ..good.clone() },
        Signal { expires_at: at(crate::LIFETIME_MS_MAX + 1), ..good.clone() },
    ] {
        assert!(signals.put(bad, at(0)).is_err());
    }
    assert_eq!(signals, Signals::default());
}

fn some() -> impl Strategy<Value = Signal> {
    (0..4_u8, 0..Kind::ALL.len(), 0..5_usize, 0..6_u8, 0..50_i64).prop_map(
        |(name, kind, severity, id, ms)| {
            let (kind, severity) = (Kind::ALL[kind], Severity::ALL[severity]);
            signal(&format!("a{name}"), kind, severity, &format!("r{id}"), ms)
        },
    )
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(
        (signals, shuffled) in prop::collection::vec(some(), 0..SIGNALS_PER_SUBJECT_MAX)
            .prop_flat_map(|signals| (Just(signals.clone()), Just(signals).prop_shuffle())),
    ) {
        let fill = |all: Vec<Signal>| {
            let mut signals = Signals::default();
            for one in all {
                signals.put(one, at(50)).unwrap();
            }
            signals
        };
        prop_assert_eq!(fill(signals), fill(shuffled));
    }

    #[test]
    fn nothing_grows_over_its_limit(
        signals in prop::collection::vec(some(), 0..300),
        room in 1..4_usize,
    ) {
        let mut store = Signals::holding(room);
        for one in signals {
            store.put(one, at(50)).unwrap();
            prop_assert!(store.subjects() <= room);
            prop_assert_eq!(store.by_strength.len(), store.subjects());
            prop_assert_eq!(store.by_end.len(), store.subjects());
            for held in store.subjects.values() {
                prop_assert!((1..=SIGNALS_PER_SUBJECT_MAX).contains(&held.signals.len()));
            }
        }
    }
}

proptest! {
    #[test]
    fn what_would_become_of_a_signal_does(
        room in 1..4_usize,
        given in prop::collection::vec(
            (0..5_usize, 0..3_usize, 0..5_usize, 0..12_u8, 0..40_i64, 1..60_i64), 1..80),
    ) {
        let mut signals = Signals::holding(room);
        for (who, kind, severity, id, ms, life) in given {
            let kind = [Kind::Reported, Kind::RiskLevel, Kind::Burst][kind];
            let who = ["a", "b", "c", "d", "e"][who];
            let one = signal(who, kind, Severity::ALL[severity], &format!("{id}"), ms);
            let one = Signal { expires_at: at(ms + life), ..one };
            let now = at(ms.max(20));
            let would = signals.would(&one, now);
            let before = signals.clone();
            prop_assert_eq!(signals.put(one, now), Ok(would));
            if matches!(would, Put::Known | Put::Dropped) {
                let alive = |signals: &Signals| {
                    let all = signals.about(&about(who)).iter();
                    all.filter(|one| now < one.expires_at).cloned().collect::<Vec<_>>()
                };
                prop_assert_eq!(alive(&signals), alive(&before));
            }
        }
    }
}

#[test]
fn of_a_flood_of_strangers_it_is_known_before_that_there_is_no_room() {
    let mut signals = Signals::holding(2);
    for name in ["a", "b"] {
        let worse = signal(name, Kind::AccountDisabled, Severity::Critical, "worse", 0);
        assert_eq!(signals.would(&worse, at(10)), Put::Kept);
        signals.put(worse, at(10)).unwrap();
    }
    for n in 0..100 {
        let low = signal(&format!("s{n}"), Kind::Reported, Severity::Low, "low", 10);
        assert_eq!(signals.would(&low, at(10)), Put::Dropped);
    }
    // A worse one finds room, and so does a weak one where the time of another is over.
    let worst = signal("c", Kind::AccountDisabled, Severity::Critical, "worst", 10);
    assert_eq!(signals.would(&worst, at(10)), Put::Kept);
    let over = at(0).plus_ms(Kind::AccountDisabled.lifetime_ms());
    let late = Signal { observed_at: over, expires_at: over.plus_ms(1000), ..worst };
    let low = Signal { severity: Severity::Low, ..late };
    assert_eq!(signals.would(&low, over), Put::Kept);
}
