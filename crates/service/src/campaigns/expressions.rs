//! Expressions of campaigns: what is wrong with one, which rights it lets in, whom it names, and
//! what could not be answered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{Identity, IdentityId};
use safeconduct_policy::{
    AskedOf, Candidates, CaseFacts, CaseFilter, Evaluations, ExpressionError, ReviewExpression,
};
use safeconduct_review::{Case, Expression, ExpressionUse};
use safeconduct_wire::campaign::{CampaignFile, WrittenExpression};

/// Longest part of an expression that a message repeats, in characters.
const SHOWN_CHARS: usize = 200;

/// What is wrong with an expression of a definition, in sentences for its author; nothing where it
/// is right. To be given to [`safeconduct_wire::campaign::parse_with`].
pub fn expression_problems(written: &WrittenExpression<'_>) -> Vec<String> {
    match compiled(written.expression, written.of) {
        Ok(_) => Vec::new(),
        Err(error) => error.said(),
    }
}

/// The first expression of a definition that is wrong, with its place.
pub(super) fn first_problem(file: &CampaignFile) -> Option<String> {
    file.expressions().iter().find_map(|written| {
        let said = expression_problems(written);
        said.first().map(|said| format!("`{}`: {said}", written.pointer))
    })
}

fn compiled(
    expression: &Expression,
    of: ExpressionUse,
) -> Result<ReviewExpression, ExpressionError> {
    let of = match of {
        ExpressionUse::Scope => AskedOf::Rights,
        ExpressionUse::Reviewers => AskedOf::Reviewers,
    };
    ReviewExpression::new(expression.as_str(), of)
}

/// An expression that could not be answered of a case, and so let nothing in and named nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unanswered {
    expression: Expression,
    /// Of which case first.
    holder: IdentityId,
    right: Arc<str>,
    /// Of how many.
    cases: u64,
    why: Arc<str>,
}

impl Unanswered {
    fn new(expression: &Expression, case: &Case, why: &dyn fmt::Display) -> Self {
        Self {
            expression: expression.clone(),
            holder: case.holder.clone(),
            right: Arc::clone(&case.what.name),
            cases: 1,
            why: why.to_string().into(),
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expression, holder, right, cases, why } = self;
        let shown: String = expression.as_str().chars().take(SHOWN_CHARS).collect();
        let cut = if shown.len() < expression.as_str().len() { "…" } else { "" };
        write!(
            f,
            "the expression `{shown}{cut}` has no answer for the right `{right}` of `{holder}`"
        )?;
        match cases {
            0 | 1 => write!(f, ": {why}"),
            more => write!(f, " and {} more: {why}", more - 1),
        }
    }
}

/// An expression by which rights are in a campaign.
pub(super) struct Condition {
    expression: Expression,
    filter: Result<CaseFilter, String>,
    evaluations: Evaluations,
}

impl Condition {
    pub(super) fn of(expression: &Expression) -> Self {
        let filter = compiled(expression, ExpressionUse::Scope).map(CaseFilter::new);
        Self {
            expression: expression.clone(),
            filter: filter.map_err(|error| error.to_string()),
            evaluations: Evaluations::default(),
        }
    }

    /// Whether a right is in.
    pub(super) fn admits(&mut self, holder: &Identity, case: &Case) -> Result<bool, Unanswered> {
        let answer = match &mut self.filter {
            Ok(filter) => filter
                .admits(holder, &facts(case), &mut self.evaluations)
                .map_err(|error| error.to_string()),
            Err(wrong) => Err(wrong.clone()),
        };
        answer.map_err(|why| Unanswered::new(&self.expression, case, &why))
    }
}

/// Expressions that name people.
#[derive(Default)]
pub(super) struct Named {
    of: BTreeMap<Expression, Result<Candidates, String>>,
    evaluations: Evaluations,
    unanswered: BTreeMap<Expression, Unanswered>,
}

impl Named {
    /// Those expressions, among those people.
    pub(super) fn among<'e>(
        expressions: impl IntoIterator<Item = &'e Expression>,
        people: &[&Identity],
    ) -> Self {
        let mut named = Self::default();
        for expression in expressions {
            if named.of.contains_key(expression) {
                continue;
            }
            let compiled = compiled(expression, ExpressionUse::Reviewers);
            let candidates = compiled.map_err(|error| error.to_string()).and_then(|compiled| {
                let people = people.iter().copied();
                Candidates::among(compiled, people, &mut named.evaluations)
                    .map_err(|error| error.to_string())
            });
            named.of.insert(expression.clone(), candidates);
        }
        named
    }

    /// Those for whom an expression is true of a case; nobody where it has no answer.
    pub(super) fn of(
        &mut self,
        expression: &Expression,
        holder: &Identity,
        case: &Case,
    ) -> Arc<[IdentityId]> {
        let named = match self.of.get_mut(expression) {
            Some(Ok(candidates)) => candidates
                .of(holder, &facts(case), &mut self.evaluations)
                .map_err(|error| error.to_string()),
            Some(Err(wrong)) => Err(wrong.clone()),
            None => Err("nobody has looked at it".to_owned()),
        };
        named.unwrap_or_else(|why| {
            match self.unanswered.get_mut(expression) {
                Some(before) => before.cases += 1,
                None => {
                    let unanswered = Unanswered::new(expression, case, &why);
                    self.unanswered.insert(expression.clone(), unanswered);
                }
            }
            Arc::default()
        })
    }

    /// What had no answer so far, each in a sentence.
    pub(super) fn unanswered(&self) -> Vec<Arc<str>> {
        self.unanswered.values().map(|one| one.to_string().into()).collect()
    }
}

fn facts(case: &Case) -> CaseFacts<'_> {
    let what = &*case.what;
    CaseFacts {
        source: what.kind.as_str(),
        name: &what.name,
        at: what.at.as_ref(),
        words: &what.words,
        tier: case.tier,
        actions: what.actions,
        given_by: case.given_by.as_ref(),
        put_by: &what.put_by,
    }
}
