//! Expressions of access reviews: which rights a campaign is about, and who reviews them.
//!
//! An expression is Cedar over a schema of its own: `principal` is the person who would review,
//! `resource` who holds the right, `context` the right. It reads their members and nothing else,
//! so that what it says of a case follows from the few members that it names; it is evaluated
//! once for all cases and people that are alike in these.

mod ask;
mod check;
mod view;

use std::collections::BTreeSet;
use std::fmt;

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Var};

pub use ask::{AskError, Candidates, CaseFilter, Evaluations, REVIEW_EVALUATIONS_MAX};
pub use view::CaseFacts;
use view::{CaseMember, IdentityMember, Member};

use crate::Diagnostic;
use crate::evaluate::{Condition, with_variables};

/// Deepest expression of a review; a chain of `a || b || c` counts as deep as it has parts.
pub const REVIEW_EXPRESSION_DEPTH_MAX: usize = 32;

/// The schema that expressions of reviews are held against.
pub const REVIEW_SCHEMA: &str = include_str!("review.cedarschema");

/// What an expression is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedOf {
    /// A right: `principal` is nobody.
    Rights,
    /// A person and a right.
    Reviewers,
}

/// An expression that was found to be right.
#[derive(Debug, Clone)]
pub struct ReviewExpression {
    /// What is asked, of a context that holds all three.
    whole: Condition,
    /// What must be true of the person, whatever the right is.
    of_person: Option<Condition>,
    /// What must be true of the right, whoever the person is.
    of_case: Option<Condition>,
    /// A member of the person that must be equal to another.
    joined: Option<(IdentityMember, Member)>,
    /// What it looks at.
    person: Vec<IdentityMember>,
    holder: Vec<IdentityMember>,
    case: Vec<CaseMember>,
}

/// Why an expression is refused: its author's fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// What is wrong with it, with lines and columns of its text; at least one.
    pub problems: Vec<Diagnostic>,
}

impl std::error::Error for ExpressionError {}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said().join("; "))
    }
}

impl ExpressionError {
    /// Each problem, in a sentence.
    pub fn said(&self) -> Vec<String> {
        let one = |problem: &Diagnostic| {
            let Diagnostic { line, column, message, .. } = problem;
            let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            match line {
                0 => format!("the expression is wrong: {message}{help}"),
                _ => format!("the expression is wrong at {line}:{column}: {message}{help}"),
            }
        };
        self.problems.iter().map(one).collect()
    }
}

impl ReviewExpression {
    /// The expression of a text, held against [`REVIEW_SCHEMA`] by Cedar's strict validation.
    ///
    /// # Errors
    /// [`ExpressionError`]: everything that is wrong with it.
    pub fn new(text: &str, of: AskedOf) -> Result<Self, ExpressionError> {
        let checked = check::checked(text, of).map_err(|problems| ExpressionError { problems })?;
        Ok(Self::of(&checked))
    }

    fn of(checked: &Expr) -> Self {
        let mut seen = BTreeSet::new();
        look(checked, &mut seen);
        let mut parts = Vec::new();
        conjuncts(checked, &mut parts);
        let (mut of_person, mut of_case) = (Vec::new(), Vec::new());
        for part in &parts {
            let mut seen = BTreeSet::new();
            look(part, &mut seen);
            let people = seen.iter().filter(|member| matches!(member, Member::Person(_))).count();
            match people {
                0 => of_case.push(*part),
                _ if people == seen.len() => of_person.push(*part),
                // What comes after may count on it.
                _ => break,
            }
        }
        let all = |parts: Vec<&Expr>| {
            let parts = parts.into_iter().map(lowered);
            parts.reduce(Expr::and).map(|all| Condition::of(Some(&all)))
        };
        Self {
            whole: Condition::of(Some(&lowered(checked))),
            of_person: all(of_person),
            of_case: all(of_case),
            joined: parts.iter().find_map(|part| joined(part)),
            person: seen.iter().filter_map(|member| member.of_person()).collect(),
            holder: seen.iter().filter_map(|member| member.of_holder()).collect(),
            case: seen.iter().filter_map(|member| member.of_case()).collect(),
        }
    }
}

/// The members that an expression takes or looks for.
fn look(expression: &Expr, seen: &mut BTreeSet<Member>) {
    for part in expression.subexpressions() {
        seen.extend(member(part));
    }
}

/// The member that is taken or looked for by this very expression.
fn member(expression: &Expr) -> Option<Member> {
    match expression.expr_kind() {
        ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
            match expr.expr_kind() {
                ExprKind::Var(var) => Member::parse(*var, attr),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The parts of a chain of `&&`, in order.
fn conjuncts<'e>(expression: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match expression.expr_kind() {
        ExprKind::And { left, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        _ => parts.push(expression),
    }
}

/// A member of the person and another that are said to be equal.
fn joined(part: &Expr) -> Option<(IdentityMember, Member)> {
    let ExprKind::BinaryApp { op: BinaryOp::Eq, arg1, arg2 } = part.expr_kind() else {
        return None;
    };
    let taken = |arg: &Expr| match arg.expr_kind() {
        ExprKind::GetAttr { .. } => member(arg),
        _ => None,
    };
    match (taken(arg1)?, taken(arg2)?) {
        (Member::Person(_), Member::Person(_)) => None,
        (Member::Person(person), other) | (other, Member::Person(person)) => Some((person, other)),
        _ => None,
    }
}

/// The same over a context that holds all three: what is evaluated needs no entities.
fn lowered(expression: &Expr) -> Expr {
    let held = |var: Var| Expr::get_attr(Expr::var(Var::Context), view::key(var));
    with_variables(expression, &held)
}

#[cfg(test)]
mod tests;
