//! Order and count rules: `when temporal { … }` of Dogwood in policy files.
//!
//! A file that has such a clause is read twice. Dogwood parses it, expands its macros, checks it
//! against the schema and gives the conditions of its clauses ([`lower`]), which become programs
//! of the session's monitors ([`formula`]). For Cedar each clause is replaced by a member of the
//! context at the same place ([`mask`]), so that the policy around it is loaded as any other. A
//! file without one is not looked at.

mod batch;
pub(crate) mod formula;
mod leaves;
mod lower;
mod mask;
mod roles;
mod slice;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod least;
#[cfg(test)]
mod whole;

use std::sync::Arc;

use cedar_policy_core::ast::{Annotations, Expr, ExprBuilder, ExprKind, Template, Var};
use cedar_policy_core::expr_builder::ExprBuilder as _;
use cedar_policy_core::parser::Loc;

pub(crate) use leaves::{Answer, Answers, Asked, Leaf, LeafName};
pub use leaves::{History, Monitoring, Past};
pub(crate) use slice::LoweringSchema;

use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::load;
use crate::schema::Schema;

/// The member of the context that holds the answers of temporal clauses.
pub(crate) const MEMBER: &str = "__temporal";

/// A file with temporal clauses, read.
#[derive(Debug)]
pub(crate) struct Written {
    /// Its policies as Cedar has them; clauses are members of the context that are named by
    /// their place.
    pub(crate) templates: Vec<Template>,
    /// What the names of these members begin with.
    prefix: String,
    /// The clauses, in the order of their places.
    clauses: Vec<lower::Lowered>,
}

/// Whether a text may have temporal clauses.
pub(crate) fn may_concern(text: &str) -> bool {
    mask::may_concern(text)
}

/// Whether a text has something of Dogwood's.
pub(crate) fn is_concerned(text: &str) -> bool {
    may_concern(text) && mask::mask(text).is_some()
}

/// Reads a file that has something of Dogwood's: `None` where it has not. Where it cannot be read,
/// the problems are told, and there are no policies.
pub(crate) fn read(
    located: &Located<'_>,
    schema: Option<&Schema>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Written> {
    let masked = mask::mask(located.text)?;
    let prefix = masked.prefix.clone();
    let nothing = Written { templates: Vec::new(), prefix: prefix.clone(), clauses: Vec::new() };
    let before = problems.len();
    for guardrail in &masked.guardrails {
        let at = (guardrail.start, guardrail.len());
        problems.push(
            located
                .problem(Severity::Error, at, "information providers (`guardrails`) are not served")
                .with_help("use `context.flow`, `context.risk` or an obligation"),
        );
    }
    for deep in &masked.too_deep {
        let message =
            format!("brackets nest deeper than {} in the temporal clause", mask::NESTING_MAX);
        let at = (deep.start, deep.len());
        problems.push(located.problem(Severity::Error, at, message));
    }
    for short in &masked.too_short {
        let at = (short.start, short.len());
        problems.push(located.problem(Severity::Error, at, "the temporal clause says nothing"));
    }
    if problems.len() > before {
        return Some(nothing);
    }
    Some(if masked.cedar_macros {
        expanded(located, &masked, schema, problems).unwrap_or(nothing)
    } else {
        let templates = load::parse_text(located, &masked.text, problems);
        let clauses = templates.as_deref().zip(schema).and_then(|(templates, schema)| {
            lower::lower(located, &masked, templates, schema, problems)
        });
        match (templates, clauses) {
            (Some(templates), Some(clauses)) => Written { templates, prefix, clauses },
            _ => nothing,
        }
    })
}

/// Where macros stand for Cedar, a policy is read as they expand, and all that is said of it is
/// said of the whole.
fn expanded(
    located: &Located<'_>,
    masked: &mask::Masked,
    schema: Option<&Schema>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Written> {
    let sources = lower::expanded(located, problems)?;
    let text = sources.join("\n");
    let after = mask::mask(&text)
        .unwrap_or_else(|| mask::Masked { text: text.clone(), ..mask::Masked::default() });
    let inner = Located::new(located.file, &text);
    let mut found = Vec::new();
    let templates = load::parse_text(&inner, &after.text, &mut found);
    let clauses = templates.as_deref().zip(schema).and_then(|(templates, schema)| {
        lower::lower(&inner, &after, templates, schema, &mut found)
    });
    // What is said of the expansion is said of the file.
    problems.extend(found.into_iter().map(|problem| Diagnostic {
        help: problem.help.clone(),
        ..located.problem(problem.severity, (0, 0), problem.message)
    }));
    let (templates, clauses) = (templates?, clauses?);
    let whole: Arc<str> = located.text.into();
    let templates = templates.iter().zip(&masked.statements).map(|(template, range)| {
        let loc = Loc::new(range.clone(), Arc::clone(&whole));
        let annotations: Annotations = template
            .annotations()
            .map(|(key, annotation)| {
                let mut annotation = annotation.clone();
                annotation.loc = Some(loc.clone());
                (key.clone(), annotation)
            })
            .collect();
        let condition = template.non_scope_constraints().map(crate::evaluate::without_locations);
        remade(template, Some(loc), annotations, condition)
    });
    let templates = templates.collect();
    Some(Written { templates, prefix: after.prefix, clauses })
}

fn remade(
    template: &Template,
    loc: Option<Loc>,
    annotations: Annotations,
    condition: Option<Expr>,
) -> Template {
    Template::new(
        template.id().clone(),
        loc,
        annotations,
        template.effect(),
        template.principal_constraint().clone(),
        template.action_constraint().clone(),
        template.resource_constraint().clone(),
        condition,
    )
}

impl Written {
    /// A policy with its clauses put in: what the checker sees, what is evaluated, and the
    /// programs that the latter reads.
    pub(crate) fn policy(
        &self,
        template: &Template,
        history: History,
        located: &Located<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> (Template, Option<Expr>, Vec<Arc<Leaf>>) {
        let mut leaves: Vec<Arc<Leaf>> = Vec::new();
        let Some(condition) = template.non_scope_constraints() else {
            return (template.clone(), None, leaves);
        };
        let mut compiled = |number: usize| {
            let clause = self.clauses.get(number)?;
            let leaf = clause.leaf(history, located, problems)?;
            if !leaves.iter().any(|known| known.program.name() == leaf.program.name()) {
                leaves.push(Arc::clone(&leaf));
            }
            Some(leaf)
        };
        let evaluated = with_clauses(condition, &self.prefix, &mut |number| {
            let name = compiled(number).map(|leaf| leaf.member.clone()).unwrap_or_default();
            Expr::get_attr(Expr::get_attr(Expr::var(Var::Context), MEMBER.into()), name)
        });
        // For Cedar's type checker it is some truth value or other.
        let checked = with_clauses(condition, &self.prefix, &mut |_| {
            Expr::is_eq(Expr::var(Var::Principal), Expr::var(Var::Principal))
        });
        let annotations = template.annotations().map(|(k, a)| (k.clone(), a.clone())).collect();
        let loc = template.loc().cloned();
        (remade(template, loc, annotations, Some(checked)), Some(evaluated), leaves)
    }
}

/// An expression with something in the place of each clause.
fn with_clauses(expression: &Expr, prefix: &str, stands: &mut dyn FnMut(usize) -> Expr) -> Expr {
    if let Some(number) = clause(expression, prefix) {
        return stands(number);
    }
    let mut of = |e: &Arc<Expr>| Arc::new(with_clauses(e, prefix, stands));
    let kind = match expression.expr_kind() {
        ExprKind::If { test_expr, then_expr, else_expr } => ExprKind::If {
            test_expr: of(test_expr),
            then_expr: of(then_expr),
            else_expr: of(else_expr),
        },
        ExprKind::And { left, right } => ExprKind::And { left: of(left), right: of(right) },
        ExprKind::Or { left, right } => ExprKind::Or { left: of(left), right: of(right) },
        ExprKind::UnaryApp { op, arg } => ExprKind::UnaryApp { op: *op, arg: of(arg) },
        ExprKind::BinaryApp { op, arg1, arg2 } => {
            ExprKind::BinaryApp { op: *op, arg1: of(arg1), arg2: of(arg2) }
        }
        ExprKind::GetAttr { expr, attr } => {
            ExprKind::GetAttr { expr: of(expr), attr: attr.clone() }
        }
        ExprKind::HasAttr { expr, attr } => {
            ExprKind::HasAttr { expr: of(expr), attr: attr.clone() }
        }
        ExprKind::Like { expr, pattern } => {
            ExprKind::Like { expr: of(expr), pattern: pattern.clone() }
        }
        ExprKind::Is { expr, entity_type } => {
            ExprKind::Is { expr: of(expr), entity_type: entity_type.clone() }
        }
        ExprKind::ExtensionFunctionApp { fn_name, args } => ExprKind::ExtensionFunctionApp {
            fn_name: fn_name.clone(),
            args: Arc::new(args.iter().map(|e| with_clauses(e, prefix, stands)).collect()),
        },
        ExprKind::Set(items) => {
            ExprKind::Set(Arc::new(items.iter().map(|e| with_clauses(e, prefix, stands)).collect()))
        }
        ExprKind::Record(members) => ExprKind::Record(Arc::new(
            members.iter().map(|(k, e)| (k.clone(), with_clauses(e, prefix, stands))).collect(),
        )),
        _ => return expression.clone(),
    };
    let loc = expression.source_loc().cloned();
    ExprBuilder::<()>::new().with_expr_kind(kind).with_maybe_source_loc(loc)
}

/// The number of the clause that an expression stands for.
fn clause(expression: &Expr, prefix: &str) -> Option<usize> {
    let ExprKind::GetAttr { expr, attr } = expression.expr_kind() else { return None };
    let context = matches!(expr.expr_kind(), ExprKind::Var(Var::Context));
    context.then(|| attr.strip_prefix(prefix)?.parse().ok()).flatten()
}
