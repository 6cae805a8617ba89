//! How answers become an outcome: midPoint's strategies, for a stage and for a whole campaign.
//!
//! The tables are those of midPoint's documentation ("Determining Certification Case Outcome").
//! In one place they leave a gap: an acceptance beside a denial under `one_deny_denies`. The words
//! above that table settle it, and so does the name: it is denied.

use std::collections::BTreeSet;

/// What a reviewer says, and what becomes of a stage and of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Response {
    /// The right stays.
    Accept,
    /// It goes.
    Revoke,
    /// It shrinks to what is used.
    Reduce,
    /// The reviewer looked and could not say.
    NotDecided,
    /// Nobody looked.
    NoResponse,
}

impl Response {
    /// Every response.
    pub const ALL: [Self; 5] =
        [Self::Accept, Self::Revoke, Self::Reduce, Self::NotDecided, Self::NoResponse];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Revoke => "revoke",
            Self::Reduce => "reduce",
            Self::NotDecided => "not_decided",
            Self::NoResponse => "no_response",
        }
    }

    /// The response of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|response| response.as_str() == word)
    }

    /// Whether it takes something away.
    pub const fn denies(self) -> bool {
        matches!(self, Self::Revoke | Self::Reduce)
    }
}

/// How several answers become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// One acceptance is enough, whatever others say.
    OneAcceptAccepts,
    /// Everyone must accept.
    AllMustAccept,
    /// One denial is enough; without any, one acceptance is needed.
    OneDenyDenies,
    /// It is accepted unless somebody denies, by silence too.
    AcceptedIfNotDenied,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [
        Self::OneAcceptAccepts,
        Self::AllMustAccept,
        Self::OneDenyDenies,
        Self::AcceptedIfNotDenied,
    ];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneAcceptAccepts => "one_accept_accepts",
            Self::AllMustAccept => "all_must_accept",
            Self::OneDenyDenies => "one_deny_denies",
            Self::AcceptedIfNotDenied => "accepted_if_not_denied",
        }
    }

    /// The strategy of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == word)
    }

    /// What comes of those answers; `nobody` where there are none.
    pub fn outcome(
        self,
        answers: impl IntoIterator<Item = Response>,
        nobody: Response,
    ) -> Response {
        let given: BTreeSet<Response> = answers.into_iter().collect();
        let first = |order: [Response; 5]| order.into_iter().find(|one| given.contains(one));
        use Response::{Accept, NoResponse, NotDecided, Reduce, Revoke};
        let found = match self {
            Self::OneAcceptAccepts => first([Accept, Revoke, Reduce, NotDecided, NoResponse]),
            Self::AllMustAccept => first([Revoke, Reduce, NotDecided, NoResponse, Accept]),
            Self::OneDenyDenies => first([Revoke, Reduce, Accept, NotDecided, NoResponse]),
            Self::AcceptedIfNotDenied => {
                let denied = first([Revoke, Reduce, Accept, NotDecided, NoResponse]);
                denied.map(|found| if found.denies() { found } else { Accept })
            }
        };
        found.unwrap_or(nobody)
    }

    /// After which outcomes of a stage a case goes no further, where nothing else is said.
    pub fn stops_on(self) -> BTreeSet<Response> {
        match self {
            Self::OneAcceptAccepts => BTreeSet::from([Response::Accept]),
            _ => BTreeSet::from([Response::Revoke, Response::Reduce]),
        }
    }
}

/// After which outcomes of a stage a case goes no further. What a stage says takes the place of
/// what its campaign says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopRule {
    /// It stops after these.
    pub stop_on: Option<BTreeSet<Response>>,
    /// It goes on after these, and stops after the others. Where both are set, `stop_on` counts.
    pub advance_on: Option<BTreeSet<Response>>,
}

impl StopRule {
    /// Whether it says anything.
    pub const fn is_set(&self) -> bool {
        self.stop_on.is_some() || self.advance_on.is_some()
    }

    /// Whether a case stops after that outcome; by the strategy where the rule says nothing.
    pub fn stops(&self, outcome: Response, strategy: Strategy) -> bool {
        match (&self.stop_on, &self.advance_on) {
            (Some(stop), _) => stop.contains(&outcome),
            (None, Some(advance)) => !advance.contains(&outcome),
            (None, None) => strategy.stops_on().contains(&outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Response::{Accept, NoResponse, NotDecided, Reduce, Revoke};

    /// One row of a table: for revoke, reduce, not decided, no response and accept `+` (given),
    /// `-` (not given) or `*` (either), and what comes of it.
    type Row = (&'static str, Option<Response>);

    const ORDER: [Response; 5] = [Revoke, Reduce, NotDecided, NoResponse, Accept];

    const TABLES: [(Strategy, &[Row]); 4] = [
        (
            Strategy::OneAcceptAccepts,
            &[
                ("****+", Some(Accept)),
                ("+***-", Some(Revoke)),
                ("-+**-", Some(Reduce)),
                ("--+*-", Some(NotDecided)),
                ("---+-", Some(NoResponse)),
                ("-----", None),
            ],
        ),
        (
            Strategy::AllMustAccept,
            &[
                ("+****", Some(Revoke)),
                ("-+***", Some(Reduce)),
                ("--+**", Some(NotDecided)),
                ("---+*", Some(NoResponse)),
                ("----+", Some(Accept)),
                ("-----", None),
            ],
        ),
        (
            Strategy::OneDenyDenies,
            &[
                ("+****", Some(Revoke)),
                ("-+***", Some(Reduce)),
                ("--**+", Some(Accept)),
                ("--+*-", Some(NotDecided)),
                ("---+-", Some(NoResponse)),
                ("-----", None),
            ],
        ),
        (
            Strategy::AcceptedIfNotDenied,
            &[
                ("+****", Some(Revoke)),
                ("-+***", Some(Reduce)),
                ("--+**", Some(Accept)),
                ("---+*", Some(Accept)),
                ("----+", Some(Accept)),
                ("-----", None),
            ],
        ),
    ];

    /// Every set of answers, by which of [`ORDER`] are given.
    fn sets() -> impl Iterator<Item = Vec<Response>> {
        (0..32_u32).map(|bits| {
            { ORDER.into_iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, r)| r) }
                .collect()
        })
    }

    fn fits(row: &str, answers: &[Response]) -> bool {
        ORDER.into_iter().zip(row.chars()).all(|(response, mark)| match mark {
            '+' => answers.contains(&response),
            '-' => !answers.contains(&response),
            _ => true,
        })
    }

    #[test]
    fn every_row_of_every_table_holds() {
        for (strategy, rows) in TABLES {
            for answers in sets() {
                let fitting: Vec<_> = rows.iter().filter(|(row, _)| fits(row, &answers)).collect();
                let [(row, wanted)] = fitting[..] else {
                    panic!("{strategy:?} {answers:?} fits {fitting:?}");
                };
                for nobody in Response::ALL {
                    let found = strategy.outcome(answers.iter().copied(), nobody);
                    assert_eq!(found, wanted.unwrap_or(nobody), "{strategy:?} {row} {answers:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_said_of_stopping_takes_precedence_in_order() {
        let set = |of: &[Response]| Some(of.iter().copied().collect::<BTreeSet<_>>());
        let silent = StopRule::default();
        assert!(silent.stops(Accept, Strategy::OneAcceptAccepts));
        assert!(!silent.stops(Revoke, Strategy::OneAcceptAccepts));
        for strategy in &Strategy::ALL[1..] {
            assert!(silent.stops(Revoke, *strategy) && silent.stops(Reduce, *strategy));
            assert!(!silent.stops(Accept, *strategy) && !silent.stops(NoResponse, *strategy));
        }
        let advance = StopRule { stop_on: None, advance_on: set(&[Accept]) };
        assert!(!advance.stops(Accept, Strategy::OneAcceptAccepts));
        assert!(advance.stops(NoResponse, Strategy::OneAcceptAccepts));
        let both = StopRule { stop_on: set(&[Revoke]), advance_on: set(&[Revoke]) };
        assert!(both.stops(Revoke, Strategy::AllMustAccept));
        assert!(!both.stops(NoResponse, Strategy::AllMustAccept));
    }

    #[test]
    fn words_are_read_back() {
        for response in Response::ALL {
            assert_eq!(Response::parse(response.as_str()), Some(response));
        }
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::parse(strategy.as_str()), Some(strategy));
        }
    }
}
