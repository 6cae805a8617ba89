//! What is left of a policy once its scope matches: its condition, without source locations.
//!
//! Locations of one file share one reference count, which two threads that evaluate would fight
//! over; what is said of places comes from the policy's span instead.

use std::sync::Arc;

use cedar_policy_core::ast::{BinaryOp, EntityUID, Expr, ExprKind, Literal, Var};
use smol_str::SmolStr;

use super::plain::{Moment, Plain};
use super::{EntityNeeds, Needs};
use crate::schema::{ContextField, ContextFields};

/// A condition, with what it looks at.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    expression: Option<Arc<Expr>>,
    /// What can be read of it without Cedar, where it is not too deep to recurse into.
    plain: Option<Box<Plain>>,
    needs: Needs,
    depth: usize,
}

/// Deeper conditions are evaluated by Cedar only, and on a stack that is surely large enough, so
/// that the answer does not depend on the thread that asks.
pub(super) const SHALLOW: usize = 32;

impl Condition {
    /// From the `when` and `unless` clauses of a policy.
    pub(crate) fn of(expression: Option<&Expr>) -> Self {
        let mut needs = Needs::default();
        if let Some(expression) = expression {
            look(expression, &mut needs);
        }
        let depth = expression.map_or(0, depth);
        let shallow = expression.filter(|_| depth <= SHALLOW);
        Self {
            expression: expression.map(|e| Arc::new(without_locations(e))),
            plain: shallow.map(|e| Box::new(Plain::of(e))),
            needs,
            depth,
        }
    }

    /// Whether it holds, as far as that shows without Cedar; `None` says nothing.
    pub(super) fn holds_plainly(&self, moment: &Moment<'_>) -> Option<bool> {
        match &self.plain {
            Some(plain) => plain.holds(moment),
            None => self.is_always().then_some(true),
        }
    }

    /// How deep its expression nests: 0 where it has none.
    pub(crate) const fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn expression(&self) -> Option<&Expr> {
        self.expression.as_deref()
    }

    pub(crate) const fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether it holds whatever is asked.
    pub(crate) fn is_always(&self) -> bool {
        self.expression.is_none()
    }
}

/// How deep an expression nests.
fn depth(expression: &Expr) -> usize {
    let deepest = match expression.expr_kind() {
        ExprKind::If { test_expr, then_expr, else_expr } => {
            [test_expr, then_expr, else_expr].into_iter().map(|e| depth(e)).max()
        }
        ExprKind::And { left, right } | ExprKind::Or { left, right } => {
            Some(depth(left).max(depth(right)))
        }
        ExprKind::UnaryApp { arg, .. } => Some(depth(arg)),
        ExprKind::BinaryApp { arg1, arg2, .. } => Some(depth(arg1).max(depth(arg2))),
        ExprKind::ExtensionFunctionApp { args, .. } => args.iter().map(depth).max(),
        ExprKind::GetAttr { expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::Like { expr, .. }
        | ExprKind::Is { expr, .. } => Some(depth(expr)),
        ExprKind::Set(items) => items.iter().map(depth).max(),
        ExprKind::Record(members) => members.values().map(depth).max(),
        ExprKind::Lit(_) | ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => None,
    };
    1 + deepest.unwrap_or(0)
}

/// Marks what an expression looks at.
fn look(expression: &Expr, needs: &mut Needs) {
    match expression.expr_kind() {
        ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
            if is_context(expr) {
                let field = ContextField::of(attr);
                // What is taken is handed on whole; whether it is there shows without members.
                let taken = matches!(expression.expr_kind(), ExprKind::GetAttr { .. });
                let context = needs.context;
                needs.context = if taken { context.with_whole(field) } else { context.with(field) };
                return;
            }
            if let ExprKind::GetAttr { expr: inner, attr: member } = expr.expr_kind()
                && is_context(inner)
            {
                let of = ContextField::of(member);
                needs.context = match of.inner(attr) {
                    Some(alone) => needs.context.with(of).with(alone),
                    None => needs.context.with_whole(of),
                };
                return;
            }
            look_up(expr, needs);
        }
        ExprKind::Var(Var::Context) => needs.context = ContextFields::ALL,
        ExprKind::Var(Var::Action) => needs.action = true,
        // The request itself says who they are; what is known of them is looked up.
        ExprKind::Var(Var::Principal | Var::Resource) => {}
        ExprKind::Slot(_) | ExprKind::Unknown(_) => needs.entities = EntityNeeds::ALL,
        ExprKind::Lit(Literal::EntityUID(uid)) => needs.action |= uid.is_action(),
        ExprKind::Lit(_) => {}
        ExprKind::If { test_expr, then_expr, else_expr } => {
            [test_expr, then_expr, else_expr].into_iter().for_each(|e| look(e, needs));
        }
        ExprKind::And { left, right } | ExprKind::Or { left, right } => {
            look(left, needs);
            look(right, needs);
        }
        ExprKind::UnaryApp { arg, .. } => look(arg, needs),
        ExprKind::BinaryApp { op, arg1, arg2 } => {
            match op {
                BinaryOp::In | BinaryOp::GetTag | BinaryOp::HasTag => look_up(arg1, needs),
                _ => look(arg1, needs),
            }
            look(arg2, needs);
        }
        ExprKind::ExtensionFunctionApp { args, .. } => args.iter().for_each(|e| look(e, needs)),
        ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => look(expr, needs),
        ExprKind::Set(items) => items.iter().for_each(|e| look(e, needs)),
        ExprKind::Record(members) => members.values().for_each(|e| look(e, needs)),
    }
}

/// Marks what is looked at where an expression's value is taken for an entity of which something
/// is asked: an attribute, a tag, what it belongs to. Only these read the store.
fn look_up(expression: &Expr, needs: &mut Needs) {
    match expression.expr_kind() {
        ExprKind::Var(Var::Principal) => {
            needs.entities = needs.entities.union(EntityNeeds::PRINCIPAL);
        }
        ExprKind::Var(Var::Resource) => {
            needs.entities = needs.entities.union(EntityNeeds::RESOURCE);
        }
        // A context that can hold entities brings the whole store with it.
        _ if is_of_context(expression) => look(expression, needs),
        // Any entity may come out of it.
        _ => {
            needs.entities = EntityNeeds::ALL;
            look(expression, needs);
        }
    }
}

/// Whether it is the context, or a member of a member of it.
fn is_of_context(expression: &Expr) -> bool {
    match expression.expr_kind() {
        ExprKind::GetAttr { expr, .. } => is_of_context(expr),
        _ => is_context(expression),
    }
}

fn is_context(expression: &Expr) -> bool {
    matches!(expression.expr_kind(), ExprKind::Var(Var::Context))
}

/// The same expression without source locations.
pub(crate) fn without_locations(expression: &Expr) -> Expr {
    with_variables(expression, &Expr::var)
}

/// The same expression without source locations, and with something in place of each variable.
pub(crate) fn with_variables(expression: &Expr, variable: &dyn Fn(Var) -> Expr) -> Expr {
    let bare = |e: &Expr| with_variables(e, variable);
    let shared = |e: &Arc<Expr>| bare(e);
    match expression.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => Expr::val(without_location(uid)),
        ExprKind::Lit(literal) => Expr::val(literal.clone()),
        ExprKind::Var(var) => variable(*var),
        ExprKind::Slot(slot) => Expr::slot(*slot),
        ExprKind::Unknown(unknown) => Expr::unknown(unknown.clone()),
        ExprKind::If { test_expr, then_expr, else_expr } => {
            Expr::ite(shared(test_expr), shared(then_expr), shared(else_expr))
        }
        ExprKind::And { left, right } => Expr::and(shared(left), shared(right)),
        ExprKind::Or { left, right } => Expr::or(shared(left), shared(right)),
        ExprKind::UnaryApp { op, arg } => Expr::unary_app(*op, shared(arg)),
        ExprKind::BinaryApp { op, arg1, arg2 } => Expr::binary_app(*op, shared(arg1), shared(arg2)),
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            Expr::call_extension_fn(fn_name.clone(), args.iter().map(bare).collect())
        }
        ExprKind::GetAttr { expr, attr } => Expr::get_attr(shared(expr), attr.clone()),
        ExprKind::HasAttr { expr, attr } => Expr::has_attr(shared(expr), attr.clone()),
        ExprKind::Like { expr, pattern } => Expr::like(shared(expr), pattern.clone()),
        ExprKind::Is { expr, entity_type } => {
            Expr::is_entity_type(shared(expr), entity_type.with_loc(None))
        }
        ExprKind::Set(items) => Expr::set(items.iter().map(bare)),
        ExprKind::Record(members) => {
            let members: std::collections::BTreeMap<SmolStr, Expr> =
                members.iter().map(|(name, e)| (name.clone(), bare(e))).collect();
            Expr::record_arc(Arc::new(members))
        }
    }
}

fn without_location(uid: &EntityUID) -> EntityUID {
    EntityUID::from_components(uid.entity_type().with_loc(None), uid.eid().clone(), None)
}
