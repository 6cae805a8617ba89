//! What a proof says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cedar_policy_symcc::err::{Error, SolverError};
use safeconduct_model::{ActionName, PolicyId};

use super::{
    Answer, PROOF_CLAUSES_MAX, PROOF_ENTITIES_MAX, PROOF_QUESTIONS_MAX, PROOF_STATEMENTS_MAX,
};

/// Most bytes of what a solver says, and of one value in a counterexample.
pub(super) const SHOWN_BYTES_MAX: usize = 400;

/// Whether a set permits something that the one before does not.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// Why nothing could be proved at all.
    pub not_begun: Option<Unproven>,
    /// What is said of each action that can be asked about, in the order of their names.
    pub actions: Vec<ActionProof>,
    /// What no proof covers and differs.
    pub beside: Vec<Beside>,
}

/// What is said of one action: how many kinds of request (a type of principal, a type of
/// resource) came out how.
#[derive(Debug, Clone)]
pub struct ActionProof {
    /// The action.
    pub action: ActionName,
    /// How many kinds came out how.
    pub kinds: KindsProved,
    /// A request of the first kind that the new set permits and the old one does not.
    pub counterexample: Option<Counterexample>,
    /// Why kinds are not proved, and how many for each reason.
    pub why: BTreeMap<Unproven, usize>,
}

/// How many kinds of request came out how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindsProved {
    /// The same statements apply in both sets.
    pub same_statements: usize,
    /// The new set permits nothing that the old one does not.
    pub proved: usize,
    /// It does.
    pub wider: usize,
    /// Not known.
    pub not_proved: usize,
}

/// What came out of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProofOutcome {
    /// The same statements apply in both sets.
    SameStatements,
    /// The new set permits nothing that the old one does not.
    Proved,
    /// Not known for some kind of request.
    NotProved,
    /// The new set permits something that the old one does not.
    Wider,
}

/// What came out of it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofVerdict {
    /// Every kind of request is proved, or has the same statements in both sets.
    NeverWider,
    /// Some kind of request is not proved.
    NotProved,
    /// The new set permits something that the old one does not.
    Wider,
}

/// Why something is not proved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unproven {
    /// Actions, types or contexts are not the same.
    #[error("the two sets are not under the same schema")]
    Schemas,
    /// What the second engine says is not compared.
    #[error("the Rego files, or what stands beside them, are not the same, which is not compared")]
    Rego,
    /// Nobody to ask.
    #[error("there is no solver to ask")]
    NoSolver,
    /// One question took too long.
    #[error("the solver found no answer in the time that one question may take")]
    Timeout,
    /// The solver says so.
    #[error("the solver does not know")]
    Unknown,
    /// All questions together took too long.
    #[error("the time for all questions was up")]
    TotalTime,
    /// A statement can fail, and a failure denies here; the solver takes it for not applying.
    #[error("`{0}` can fail, which denies here; guard what can fail in it")]
    MayFail(PolicyId),
    /// Over [`PROOF_STATEMENTS_MAX`].
    #[error("more than {PROOF_STATEMENTS_MAX} statements of both sets can apply")]
    TooManyStatements,
    /// Over [`PROOF_ENTITIES_MAX`].
    #[error("the statements that can apply name more than {PROOF_ENTITIES_MAX} entities")]
    TooManyEntities,
    /// Over [`PROOF_CLAUSES_MAX`].
    #[error("the sets have more than {PROOF_CLAUSES_MAX} temporal clauses")]
    TooManyClauses,
    /// Over [`PROOF_QUESTIONS_MAX`].
    #[error("more than {PROOF_QUESTIONS_MAX} questions would have to be asked")]
    TooManyQuestions,
    /// The solver's language has no words for it.
    #[error("it cannot be put to the solver: {0}")]
    Unsupported(Arc<str>),
    /// The solver says something else than an answer.
    #[error("the solver failed: {0}")]
    Failed(Arc<str>),
    /// The solver's counterexample is none when the policies are evaluated.
    #[error("the solver's counterexample is none when both sets are evaluated")]
    NotConfirmed,
}

/// What differs between two sets that no proof covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// An annotation says something else: `mode`, `obligations` or `requestable`.
    Differs {
        /// In which statement.
        policy: PolicyId,
        /// Which.
        what: &'static str,
    },
    /// A permit is gone or changed, and what it obliges to may be lost where another permits the
    /// same.
    ObligationsMayBeLost {
        /// The permit of before.
        policy: PolicyId,
        /// The one that permits without.
        to: PolicyId,
    },
    /// There are Rego files, which say the same in both.
    SameRego,
    /// The Rego files are not the same, or stand alone in one set and beside policies of Cedar in
    /// the other: what they say is not compared.
    OtherRego,
}

/// A request that the new set permits and the old one does not, as both were seen to answer.
/// Entities and values are written as Cedar writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// Who acts.
    pub principal: String,
    /// What they do.
    pub action: ActionName,
    /// What they do it to.
    pub resource: String,
    /// What the statements look at, by its path (`context.session.steps`); `None` where it is not
    /// there. Temporal clauses go by the statement that has them.
    pub context: Vec<(String, Option<String>)>,
    /// The entities of which there is something to say.
    pub entities: Vec<CounterexampleEntity>,
    /// The statements of the new set that permit it.
    pub permitted_by: Vec<PolicyId>,
    /// The statements of the old set that forbid it; none where nothing permits it.
    pub forbidden_by: Vec<PolicyId>,
    /// The statements of the old set that fail.
    pub failed: Vec<PolicyId>,
}

/// An entity of a counterexample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterexampleEntity {
    /// Its type and id.
    pub uid: String,
    /// What it belongs to.
    pub ancestors: Vec<String>,
    /// Its attributes and tags.
    pub attributes: Vec<(String, String)>,
}

impl Proof {
    /// What came out of it all.
    pub fn verdict(&self) -> ProofVerdict {
        let outcome = self.actions.iter().map(ActionProof::outcome).max();
        match outcome {
            Some(ProofOutcome::Wider) => ProofVerdict::Wider,
            Some(ProofOutcome::NotProved) => ProofVerdict::NotProved,
            _ if self.why().next().is_some() => ProofVerdict::NotProved,
            _ => ProofVerdict::NeverWider,
        }
    }

    /// Why nothing, or not all, can be proved, whatever came out of single actions.
    pub fn why(&self) -> impl Iterator<Item = &Unproven> {
        let rego = self.beside.contains(&Beside::OtherRego).then_some(&Unproven::Rego);
        self.not_begun.iter().chain(rego)
    }

    /// How many kinds of request came out how, over all actions.
    pub fn kinds(&self) -> KindsProved {
        self.actions.iter().fold(KindsProved::default(), |sum, action| KindsProved {
            same_statements: sum.same_statements + action.kinds.same_statements,
            proved: sum.proved + action.kinds.proved,
            wider: sum.wider + action.kinds.wider,
            not_proved: sum.not_proved + action.kinds.not_proved,
        })
    }
}

impl ActionProof {
    pub(super) fn of(action: ActionName) -> Self {
        let (kinds, why) = (KindsProved::default(), BTreeMap::new());
        Self { action, kinds, counterexample: None, why }
    }

    pub(super) const fn take_same(&mut self) {
        self.kinds.same_statements += 1;
    }

    pub(super) fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Proved => self.kinds.proved += 1,
            Answer::Wider(found) => {
                self.kinds.wider += 1;
                self.counterexample.get_or_insert(*found);
            }
            Answer::NotProved(why) => {
                self.kinds.not_proved += 1;
                *self.why.entry(why).or_default() += 1;
            }
        }
    }

    /// The worst that came out of its kinds.
    pub const fn outcome(&self) -> ProofOutcome {
        match self.kinds {
            KindsProved { wider: 1.., .. } => ProofOutcome::Wider,
            KindsProved { not_proved: 1.., .. } => ProofOutcome::NotProved,
            KindsProved { proved: 1.., .. } => ProofOutcome::Proved,
            _ => ProofOutcome::SameStatements,
        }
    }
}

impl ProofOutcome {
    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SameStatements => "same_statements",
            Self::Proved => "proved",
            Self::NotProved => "not_proved",
            Self::Wider => "wider",
        }
    }
}

impl ProofVerdict {
    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverWider => "never_wider",
            Self::NotProved => "not_proved",
            Self::Wider => "wider",
        }
    }
}

/// A few words for people.
impl fmt::Display for ProofVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverWider => "proved never wider",
            Self::NotProved => "not proved",
            Self::Wider => "wider",
        })
    }
}

impl Unproven {
    /// The word for it on every wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Schemas => "schemas_differ",
            Self::Rego => "rego",
            Self::NoSolver => "no_solver",
            Self::Timeout => "timeout",
            Self::Unknown => "solver_does_not_know",
            Self::TotalTime => "total_time",
            Self::MayFail(_) => "may_fail",
            Self::TooManyStatements => "too_many_statements",
            Self::TooManyEntities => "too_many_entities",
            Self::TooManyClauses => "too_many_clauses",
            Self::TooManyQuestions => "too_many_questions",
            Self::Unsupported(_) => "unsupported",
            Self::Failed(_) => "solver_failed",
            Self::NotConfirmed => "not_confirmed",
        }
    }

    /// The statement that it is because of.
    pub const fn policy(&self) -> Option<&PolicyId> {
        match self {
            Self::MayFail(policy) => Some(policy),
            _ => None,
        }
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { policy, what } => write!(f, "{what} of `{policy}` differ"),
            Self::ObligationsMayBeLost { policy, to } => {
                write!(f, "what `{policy}` obliges to may be lost where `{to}` permits the same")
            }
            Self::SameRego => f.write_str("the Rego files are the same"),
            Self::OtherRego => {
                f.write_str("the Rego files, or what stands beside them, are not the same")
            }
        }
    }
}

impl From<Error> for Unproven {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind::{NotFound, QuotaExceeded, TimedOut};
        match error {
            Error::SolverUnknown => Self::Unknown,
            Error::SolverError(SolverError::Io(error)) => match error.kind() {
                NotFound => Self::NoSolver,
                TimedOut => Self::Timeout,
                QuotaExceeded => Self::TotalTime,
                _ => Self::Failed(shown(&error.to_string()).into()),
            },
            Error::SolverError(error) => Self::Failed(shown(&error.to_string()).into()),
            Error::DecodeModel(_) | Error::ConcretizeError(_) | Error::ModelInvalid { .. } => {
                Self::Failed("its counterexample cannot be read".into())
            }
            Error::PolicyNotWellTyped { .. } => Self::Unsupported("a statement has no type".into()),
            other => Self::Unsupported(shown(&other.to_string()).into()),
        }
    }
}

/// As much of a text as is shown.
pub(super) fn shown(text: &str) -> String {
    if text.len() <= SHOWN_BYTES_MAX {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(SHOWN_BYTES_MAX / 4).collect();
    shown.push('…');
    shown
}
