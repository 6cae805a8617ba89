//! Proofs that a set permits nothing that another one does not, by a solver.
//!
//! [`prove`] turns the statements of both sets into formulas, for each kind of request that the
//! schema allows: an action, a type of principal, a type of resource. Then it asks an SMT solver
//! for a request that the new set permits and the old one does not. Where there is none, and no
//! statement of either set can fail, that kind is proved; where there is one, it is evaluated
//! under both sets before it is believed. Kinds of which no statement has changed are not asked.
//!
//! What is proved holds for requests as the schema declares them: what it requires is there, what
//! is looked up is known, what an entity belongs to is told in full, and temporal clauses are
//! answered. Where something of that is missing, the statement that looks at it fails and denies;
//! one that looks no more does not. Temporal clauses are truth values that go by their names,
//! since equal names mean equal conditions. Statements without effect are left out.
//!
//! The solver is whoever asks brings; nothing here starts a process or looks at a clock.

mod beside;
mod clauses;
mod kinds;
mod names;
mod question;
mod verdict;
mod witness;

use std::collections::BTreeMap;
use std::pin::pin;

use cedar_policy::{PolicySet, Schema};
use cedar_policy_symcc::solver::Solver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet};
use safeconduct_model::{ActionName, EntityRef, PolicyEffect};

pub use verdict::{
    ActionProof, Beside, Counterexample, CounterexampleEntity, KindsProved, Proof, ProofOutcome,
    ProofVerdict, Unproven,
};

use crate::nesting;
use crate::policies::{Policies, Statement};
use kinds::{Asked, Changed, Kind};
use question::{Alike, Question};

/// Most questions that one proof puts to the solver; kinds of request that are alike are one.
pub const PROOF_QUESTIONS_MAX: usize = 2_000;
/// Most statements of both sets that may apply to one kind of request.
pub const PROOF_STATEMENTS_MAX: usize = 400;
/// Most entities that these statements may name.
pub const PROOF_ENTITIES_MAX: usize = 64;
/// Most temporal clauses that both sets may have.
pub const PROOF_CLAUSES_MAX: usize = 500;

/// Whether the new set permits something that the old one does not.
///
/// `belongs` says whether, in requests of that action, an entity belongs to another one for as
/// long as both have their names, as a file does to the folders above it: the solver knows no
/// more of names. `solver` answers with an [`std::io::Error`] where it has no answer: of the kind
/// `NotFound` where there is no solver, `TimedOut` where one question took too long, and
/// `QuotaExceeded` where the time for all of them is up.
///
/// The future may hold the thread for as long as the formulas take to make: some milliseconds for
/// each kind of request.
pub async fn prove<S: Solver>(
    old: &Policies,
    new: &Policies,
    belongs: &dyn Fn(&ActionName, &EntityRef, &EntityRef) -> bool,
    solver: S,
) -> Proof {
    let mut proof = Proof { beside: beside::compare(old, new), ..Proof::default() };
    match Prover::new(old, new, solver) {
        // Formulas nest as deep as there are statements.
        Ok(prover) => {
            let mut proving = pin!(prover.all(belongs));
            let polled = std::future::poll_fn(|context| {
                nesting::with_stack(|| proving.as_mut().poll(context))
            });
            proof.actions = polled.await;
        }
        Err(why) => proof.not_begun = Some(why),
    }
    proof
}

/// What is said of one kind of request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Proved,
    Wider(Box<Counterexample>),
    NotProved(Unproven),
}

struct Prover<'a, S: Solver> {
    old: &'a Policies,
    new: &'a Policies,
    /// The schema of both, with the answers of temporal clauses.
    schema: Schema,
    changed: Changed<'a>,
    compiler: CedarSymCompiler<S>,
    answers: BTreeMap<Alike, Answer>,
    /// Whether a statement can fail in a kind of request.
    failing: BTreeMap<Alike, Option<Unproven>>,
    questions: usize,
    /// Why nothing more is asked.
    over: Option<Unproven>,
}

impl<'a, S: Solver> Prover<'a, S> {
    fn new(old: &'a Policies, new: &'a Policies, solver: S) -> Result<Self, Unproven> {
        if old.schema.digest != new.schema.digest {
            return Err(Unproven::Schemas);
        }
        Ok(Self {
            old,
            new,
            schema: clauses::schema(old, new)?,
            changed: Changed::between(old, new),
            compiler: CedarSymCompiler::new(solver).map_err(Unproven::from)?,
            answers: BTreeMap::new(),
            failing: BTreeMap::new(),
            questions: 0,
            over: None,
        })
    }

    async fn all(
        mut self,
        belongs: &dyn Fn(&ActionName, &EntityRef, &EntityRef) -> bool,
    ) -> Vec<ActionProof> {
        let mut found = Vec::new();
        for asked in kinds::all(&self.old.schema) {
            let mut proof = ActionProof::of(asked.name.clone());
            let changed = self.changed.of(asked.action);
            let applies = |policies: &'a Policies| match changed.is_empty() {
                true => Vec::new(),
                false => kinds::applying(policies, asked.action),
            };
            let (olds, news) = (applies(self.old), applies(self.new));
            for kind in &asked.kinds {
                if !changed.iter().any(|statement| kind.fits(&self.old.schema, statement)) {
                    proof.take_same();
                    continue;
                }
                let near = |all: &[(u32, &'a Statement)]| -> Vec<(u32, &'a Statement)> {
                    let near = all.iter().filter(|(_, of)| kind.fits(&self.old.schema, of));
                    near.copied().collect()
                };
                let (olds, news) = (near(&olds), near(&news));
                let answer = match Question::of(&asked, kind, olds, news, &self.old.schema, belongs)
                {
                    Ok(question) => self.answer(&asked, kind, &question).await,
                    Err(why) => Answer::NotProved(why),
                };
                proof.take(answer);
            }
            found.push(proof);
        }
        found
    }

    /// What is known of kinds that are alike, or what the solver says.
    async fn answer(
        &mut self,
        asked: &Asked<'_>,
        kind: &Kind<'_>,
        question: &Question<'a>,
    ) -> Answer {
        if !question.may_permit() {
            return Answer::Proved;
        }
        if let Some(known) = self.answers.get(&question.alike) {
            return known.clone().of(asked);
        }
        let answer = match self.ask(asked, kind, question).await {
            Ok(answer) => answer,
            Err(why) => {
                if matches!(why, Unproven::NoSolver | Unproven::TotalTime) {
                    self.over = Some(why.clone());
                }
                Answer::NotProved(why)
            }
        };
        self.answers.insert(question.alike.clone(), answer.clone());
        answer
    }

    async fn ask(
        &mut self,
        asked: &Asked<'_>,
        kind: &Kind<'_>,
        question: &Question<'a>,
    ) -> Result<Answer, Unproven> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        self.questions += 1;
        if self.questions > PROOF_QUESTIONS_MAX {
            return Err(Unproven::TooManyQuestions);
        }
        let compiled = |set: PolicySet| -> Result<_, Unproven> {
            Ok(CompiledPolicySet::compile(&set, &kind.request, &self.schema)?)
        };
        let (old, new) = (compiled(question.old_set()?)?, compiled(question.new_set()?)?);
        let found = self.compiler.check_implies_with_counterexample_opt(&new, &old).await?;
        if let Some(found) = found {
            let found = witness::of(&found, &asked.name, question)?;
            return Ok(Answer::Wider(Box::new(found)));
        }
        for statement in question.statements() {
            let alike = question.alike_for(statement);
            let known = self.failing.get(&alike).cloned();
            let failing = match known {
                Some(known) => known,
                None => {
                    let policy = question::policy(statement).into();
                    let compiled = CompiledPolicy::compile(&policy, &kind.request, &self.schema)?;
                    let never = self.compiler.check_never_errors_opt(&compiled).await?;
                    let id = &statement.info.reference.id;
                    let failing = (!never).then(|| Unproven::MayFail(id.clone()));
                    self.failing.insert(alike, failing.clone());
                    failing
                }
            };
            if let Some(why) = failing {
                return Err(why);
            }
        }
        Ok(Answer::Proved)
    }
}

impl Answer {
    /// The same for another action that no statement tells apart.
    fn of(self, asked: &Asked<'_>) -> Self {
        match self {
            Self::Wider(found) => {
                Self::Wider(Box::new(Counterexample { action: asked.name.clone(), ..*found }))
            }
            other => other,
        }
    }
}

/// Whether a statement permits.
fn permits(statement: &Statement) -> bool {
    statement.info.reference.effect == PolicyEffect::Permit
}
