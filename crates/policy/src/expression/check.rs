//! What is wrong with an expression: for Cedar, and for us.

use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{
    ActionConstraint, Annotations, BinaryOp, Effect, Expr, ExprKind, Literal, PolicyID, PolicySet,
    PrincipalConstraint, ResourceConstraint, StaticPolicy, Var,
};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::{ValidationMode, ValidationWarning, Validator, ValidatorSchema};

use super::view::Member;
use super::{AskedOf, REVIEW_EXPRESSION_DEPTH_MAX, REVIEW_SCHEMA, member};
use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::evaluate::Condition;
use crate::nesting::{self, Language};
use crate::source::DIAGNOSTICS_MAX;

/// Explicit directional formatting (Unicode Standard Annex 9).
const DIRECTIONS: [char; 9] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}',
];

/// The schema is a constant, and a test holds that it is one.
static SCHEMA: LazyLock<Result<Validator, String>> = LazyLock::new(|| {
    let read = ValidatorSchema::from_cedarschema_str(REVIEW_SCHEMA, Extensions::all_available());
    read.map(|(schema, _)| Validator::new(schema)).map_err(|error| error.to_string())
});

/// The expression of a text, where nothing is wrong with it.
pub(super) fn checked(text: &str, of: AskedOf) -> Result<Expr, Vec<Diagnostic>> {
    let file: Arc<str> = "".into();
    let located = Located::new(&file, text);
    nesting::check(text, Language::Policies)
        .map_err(|deep| vec![located.problem(Severity::Error, (deep.offset, 1), deep.message)])?;
    // With these, what is read is not what is written; a pattern and a comment can hold them too.
    if let Some((offset, _)) = text.char_indices().find(|(_, c)| DIRECTIONS.contains(c)) {
        let message = "a character that changes the direction of the text";
        return Err(vec![located.problem(Severity::Error, (offset, 1), message)]);
    }
    let mut problems = Vec::new();
    let expression = nesting::with_stack(|| found(text, of, &located, &mut problems));
    problems.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    problems.dedup_by(|a, b| (a.line, a.column, &a.text) == (b.line, b.column, &b.text));
    problems.truncate(DIAGNOSTICS_MAX);
    match expression {
        Some(expression) if problems.is_empty() => Ok(expression),
        _ => Err(problems),
    }
}

fn found(
    text: &str,
    of: AskedOf,
    located: &Located<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Expr> {
    let expression: Expr = match text.parse() {
        Ok(expression) => expression,
        Err(errors) => {
            let errors: cedar_policy_core::parser::err::ParseErrors = errors;
            let told = errors.iter().take(DIAGNOSTICS_MAX);
            problems.extend(told.map(|error| located.cedar(Severity::Error, error, (0, 0))));
            return None;
        }
    };
    let depth = Condition::of(Some(&expression)).depth();
    if depth > REVIEW_EXPRESSION_DEPTH_MAX {
        let message =
            format!("it nests {depth} deep, more than the limit of {REVIEW_EXPRESSION_DEPTH_MAX}");
        let help = "use `[…].contains(…)` for a long chain of `||`";
        problems.push(located.problem(Severity::Error, (0, 0), message).with_help(help));
        return None;
    }
    Walk { of, located, problems }.walk(&expression);
    if problems.is_empty() {
        validated(&expression, located, problems);
    }
    Some(expression)
}

/// What an expression may not name, whatever its types are.
struct Walk<'a, 'l> {
    of: AskedOf,
    located: &'a Located<'l>,
    problems: &'a mut Vec<Diagnostic>,
}

impl Walk<'_, '_> {
    fn report(&mut self, at: &Expr, message: impl Into<String>, help: impl Into<String>) {
        let span = at.source_loc().map_or((0, 0), |loc| (loc.start(), loc.end() - loc.start()));
        let problem = self.located.problem(Severity::Error, span, message);
        self.problems.push(problem.with_help(help));
    }

    fn walk(&mut self, expression: &Expr) {
        // What is looked into is no problem by itself.
        let looked_into: Vec<*const Expr> = expression
            .subexpressions()
            .filter_map(|part| match part.expr_kind() {
                ExprKind::GetAttr { expr, .. } | ExprKind::HasAttr { expr, .. } => {
                    Some(Arc::as_ptr(expr))
                }
                _ => None,
            })
            .collect();
        for part in expression.subexpressions() {
            match part.expr_kind() {
                ExprKind::Var(Var::Principal) if self.of == AskedOf::Rights => self.report(
                    part,
                    "`principal` is nobody where rights are chosen",
                    "`resource` is who holds the right, and `context` the right",
                ),
                ExprKind::Var(Var::Action) => self.report(
                    part,
                    "`action` says nothing here",
                    "`context` is the right, with `context.name` and `context.words`",
                ),
                ExprKind::Var(var) if !looked_into.contains(&std::ptr::from_ref(part)) => self
                    .report(
                        part,
                        format!("of `{var}` only members can be read"),
                        format!("such as `{var}.{}`", example(*var)),
                    ),
                ExprKind::Lit(Literal::EntityUID(_)) => self.report(
                    part,
                    "no entity is known here",
                    "compare texts: `resource.owner == \"ada\"`, `resource.groups.contains(\"leads\")`",
                ),
                ExprKind::Slot(_) => self.report(part, "nothing fills a slot", "write a text"),
                ExprKind::Unknown(_) => self.report(part, "nothing is unknown here", "write a text"),
                ExprKind::BinaryApp { op: BinaryOp::Eq, arg1, arg2 } => {
                    self.word(arg1, arg2);
                    self.word(arg2, arg1);
                }
                ExprKind::BinaryApp { op: BinaryOp::Contains, arg1, arg2 } => {
                    self.word(arg1, arg2);
                    if let ExprKind::Set(words) = arg1.expr_kind() {
                        words.iter().for_each(|word| self.word(arg2, word));
                    }
                }
                _ => {}
            }
        }
    }

    /// A misspelt word would name nobody, and nobody would see why.
    fn word(&mut self, of: &Expr, said: &Expr) {
        let ExprKind::Lit(Literal::String(text)) = said.expr_kind() else { return };
        let Some(words) = member(of).and_then(Member::vocabulary) else { return };
        if words.contains(&text.as_str()) || matches!(of.expr_kind(), ExprKind::HasAttr { .. }) {
            return;
        }
        let listed: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        let help = format!("it is one of {}", listed.join(", "));
        self.report(said, format!("`{of}` is never {said}"), help);
    }
}

const fn example(var: Var) -> &'static str {
    match var {
        Var::Context => "tier",
        _ => "id",
    }
}

/// What Cedar's strict validation says, as of a policy with that condition.
fn validated(expression: &Expr, located: &Located<'_>, problems: &mut Vec<Diagnostic>) {
    let whole = (0, located.text.len());
    let mut wrong = |message: String| {
        problems.push(located.problem(Severity::Error, whole, message));
    };
    let validator = match &*SCHEMA {
        Ok(validator) => validator,
        Err(error) => return wrong(error.clone()),
    };
    let policy = StaticPolicy::new(
        PolicyID::from_string("expression"),
        None,
        Annotations::default(),
        Effect::Permit,
        PrincipalConstraint::any(),
        ActionConstraint::any(),
        ResourceConstraint::any(),
        Some(expression.clone()),
    );
    let mut set = PolicySet::new();
    match policy {
        Ok(policy) => {
            if let Err(error) = set.add_static(policy) {
                return wrong(error.to_string());
            }
        }
        Err(error) => return wrong(error.to_string()),
    }
    let result = validator.validate(&set, ValidationMode::Strict);
    problems.extend(
        result.validation_errors().map(|error| located.cedar(Severity::Error, error, whole)),
    );
    let impossible =
        |warning: &ValidationWarning| matches!(warning, ValidationWarning::ImpossiblePolicy(_));
    if problems.is_empty() && result.validation_warnings().any(impossible) {
        problems.push(located.problem(Severity::Error, whole, "it is never true"));
    }
}
