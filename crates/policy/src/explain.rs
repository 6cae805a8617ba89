//! Why a question gets its answer: policy by policy.

use std::sync::Arc;

use crate::evaluate::{EntityNeeds, Needs, Prepared, Question, QuestionError};
use crate::policies::{Policies, PolicyInfo, Statement};
use crate::rego::{Answer, Rego};
use crate::schema::ContextFields;
use crate::temporal::{Answers, History, Leaf, Past};

/// What became of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The policy; its span says where it stands.
    pub policy: Arc<PolicyInfo>,
    /// Its text.
    pub text: Arc<str>,
    /// What its scope and condition say.
    pub verdict: Verdict,
    /// What its temporal clauses say, in their order; equal ones once.
    pub clauses: Vec<ExplainedClause>,
}

/// What one temporal clause says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedClause {
    /// Its name: equal names are equal conditions, in whatever policy set.
    pub name: Arc<str>,
    /// Its text, where it stands in the policy as it is.
    pub text: Option<Arc<str>>,
    /// Whose history it is about.
    pub history: History,
    /// Whether it holds; `None` where nothing is known: a policy that reads it fails.
    pub holds: Option<bool>,
    /// Whether it looks at values: arguments, results, attributes, the context.
    pub looks_at_values: bool,
}

/// A policy, and what its temporal clauses say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedClauses {
    /// The policy.
    pub policy: Arc<PolicyInfo>,
    /// Its clauses, in their order; equal ones once.
    pub clauses: Vec<ExplainedClause>,
}

/// What scope and condition of a policy say to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The scope names others.
    OutOfScope,
    /// The scope matches, and the condition is false.
    NotSatisfied,
    /// It applies.
    Applies,
    /// The scope matches, and the condition could not be evaluated.
    Failed(Arc<str>),
}

impl Policies {
    /// What each policy that comes near says to a question: those whose principal, resource or
    /// action is named in the question, in the order of files. Policies that name none of them
    /// are left out. What the Rego files say comes last.
    ///
    /// # Errors
    /// As [`Policies::evaluate`].
    pub fn explain(&self, question: &Question<'_>) -> Result<Vec<Explanation>, QuestionError> {
        self.explain_after(question, None)
    }

    /// The same, with what is remembered for temporal clauses.
    ///
    /// # Errors
    /// As [`Policies::evaluate`].
    pub fn explain_after(
        &self,
        question: &Question<'_>,
        past: Option<&Past<'_>>,
    ) -> Result<Vec<Explanation>, QuestionError> {
        let prepared = Prepared::of(self, question)?;
        let mut candidates = Vec::new();
        self.index.candidates(&prepared.scope, &mut candidates);
        let all = Needs { context: ContextFields::ALL, entities: EntityNeeds::ALL, action: true };
        let found = candidates.iter().filter_map(|at| self.entry(*at));
        let leaves = found.flat_map(|entry| &entry.statement.leaves);
        let answers = prepared.answers(question, leaves, past);
        let world = prepared.world(question, all, &answers)?;
        let evaluator = world.evaluator();
        let explanations = candidates.into_iter().filter_map(|at| self.entry(at)).map(|entry| {
            let statement = &entry.statement;
            let verdict = if entry.scope.matches(&prepared.scope) {
                match statement.condition.satisfied(&evaluator) {
                    Ok(true) => Verdict::Applies,
                    Ok(false) => Verdict::NotSatisfied,
                    Err(error) => Verdict::Failed(error),
                }
            } else {
                Verdict::OutOfScope
            };
            let text = self.text_of(statement).unwrap_or_else(|| Arc::from(""));
            let clauses = clauses(statement, &text, &answers);
            Explanation { policy: Arc::clone(&statement.info), text, verdict, clauses }
        });
        let mut explanations: Vec<Explanation> = explanations.collect();
        explanations.extend(self.rego.as_ref().map(|rego| by_rego(rego, &prepared, question)));
        Ok(explanations)
    }

    /// What the temporal clauses of the policies say whose scope matches a question, where neither of
    /// it nor of the past any values are known: a clause that looks at some has no answer here.
    ///
    /// # Errors
    /// As [`Policies::evaluate`].
    pub fn clauses_without_values(
        &self,
        question: &Question<'_>,
        past: &Past<'_>,
    ) -> Result<Vec<ExplainedClauses>, QuestionError> {
        let prepared = Prepared::of(self, question)?;
        let mut candidates = Vec::new();
        self.index.candidates(&prepared.scope, &mut candidates);
        let found = candidates.into_iter().filter_map(|at| self.entry(at));
        let found = found.filter(|entry| entry.scope.matches(&prepared.scope));
        let found: Vec<_> = found.filter(|entry| !entry.statement.leaves.is_empty()).collect();
        let leaves = found.iter().flat_map(|entry| &entry.statement.leaves);
        let leaves = leaves.filter(|leaf| !leaf.looks_at_values());
        let answers = prepared.answers(question, leaves, Some(past));
        let explained = found.iter().map(|entry| {
            let text = self.text_of(&entry.statement).unwrap_or_else(|| Arc::from(""));
            let clauses = clauses(&entry.statement, &text, &answers);
            ExplainedClauses { policy: Arc::clone(&entry.statement.info), clauses }
        });
        Ok(explained.collect())
    }
}

fn clauses(statement: &Statement, text: &str, answers: &Answers<'_>) -> Vec<ExplainedClause> {
    if statement.leaves.is_empty() {
        return Vec::new();
    }
    let texts = Leaf::texts(text);
    // Where clauses are equal, or macros make several of one, there is no text for each.
    let one_each = texts.len() == statement.leaves.len();
    let texts = texts.into_iter().map(|text| Some(text).filter(|_| one_each));
    let leaves = statement.leaves.iter().zip(texts.chain(std::iter::repeat(None)));
    let clauses = leaves.map(|(leaf, text)| ExplainedClause {
        name: leaf.member.as_str().into(),
        text,
        history: leaf.history,
        holds: answers.find(leaf),
        looks_at_values: leaf.looks_at_values(),
    });
    clauses.collect()
}

/// What the Rego files say: they permit or forbid, and have no scope.
fn by_rego(rego: &Rego, asked: &Prepared<'_>, question: &Question<'_>) -> Explanation {
    let (policy, verdict) = match rego.answer(asked, question) {
        Answer::Permit(_) => (rego.info(), Verdict::Applies),
        Answer::Forbid(..) => (rego.forbidding(), Verdict::Applies),
        Answer::Failed(error) => (rego.forbidding(), Verdict::Failed(error)),
    };
    let text = Arc::clone(rego.text());
    Explanation { policy: Arc::clone(policy), text, verdict, clauses: Vec::new() }
}
