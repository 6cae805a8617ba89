//! Whether a condition can fail. A permit that fails denies, whatever else permits, so that one that
//! goes, or whose scope shrinks, can let through what it denied by failing.
//!
//! Sets are validated strictly, and values are converted to what the schema declares before a
//! condition sees them. So what a condition compares has the types that it wants, an attribute that
//! may be absent is looked at after `has` alone, and a tag after `hasTag`. What is left: numbers
//! and dates that overflow, a history that is not known, and entities of which nothing is known.
//! As with proofs, requests are taken to be as the schema declares them: where an enforcement point
//! leaves out what is required of principal or resource, whatever looks at it fails.

use std::cell::LazyCell;
use std::collections::{BTreeSet, HashSet};

use cedar_policy_core::ast::{BinaryOp, EntityType, Expr, ExprKind, UnaryOp};
use cedar_policy_core::validator::ValidatorSchema;
use cedar_policy_core::validator::types::Type;
use smol_str::SmolStr;

use super::obliged::{is_enforced_permit, may_meet};
use super::subset::fails_with;
use crate::policies::Statement;
use crate::schema::{Schema, entity_type};
use crate::shape::Shape;

/// Functions of Cedar's extensions that come to a value whatever they are given. The others are
/// dates and durations that are added up, and those that read a text.
const SAFE: [&str; 15] = [
    "lessThan",
    "lessThanOrEqual",
    "greaterThan",
    "greaterThanOrEqual",
    "isIpv4",
    "isIpv6",
    "isLoopback",
    "isMulticast",
    "isInRange",
    "toMilliseconds",
    "toSeconds",
    "toMinutes",
    "toHours",
    "toDays",
    "toTime",
];

/// What reads a text. Validation has read the texts that stand in policies.
const READS: [&str; 4] = ["ip", "decimal", "datetime", "duration"];

/// The first of other permits that may permit what this one denies where its condition fails, and
/// what of the condition can. `None` is a proof that there is none: it cannot fail, or nothing else
/// permits in its scope, or what does begins with the same condition and fails with it.
pub(crate) fn failing<'s>(
    schema: &Schema,
    going: &Statement,
    others: impl IntoIterator<Item = &'s Statement>,
) -> Option<(&'s Statement, &'static str)> {
    if !is_enforced_permit(going) {
        return None;
    }
    let what = can_fail(schema, going)?;
    let mut others = others.into_iter();
    let other = others.find(|other| {
        is_enforced_permit(other) && may_meet(schema, going, other) && !fails_with(other, going)
    })?;
    Some((other, what))
}

/// What of a statement's condition can fail, in words.
fn can_fail(schema: &Schema, statement: &Statement) -> Option<&'static str> {
    if !statement.leaves.is_empty() {
        return Some("what happened before may not be known");
    }
    let expression = statement.condition.expression()?;
    let references = LazyCell::new(|| References::of(schema));
    expression.subexpressions().find_map(|part| {
        part_can_fail(part, &|of, attribute| is_asked_for(of) || references.is_there(of, attribute))
    })
}

/// `is_there` says whether something surely has an attribute that it is asked for.
fn part_can_fail(part: &Expr, is_there: &dyn Fn(&Expr, &SmolStr) -> bool) -> Option<&'static str> {
    let is_literal = |expression: &Expr| matches!(expression.expr_kind(), ExprKind::Lit(_));
    match part.expr_kind() {
        ExprKind::UnaryApp { op: UnaryOp::Neg, .. }
        | ExprKind::BinaryApp { op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, .. } => {
            Some("a number may become too large")
        }
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            let name = fn_name.to_string();
            let read = READS.contains(&&*name) && args.iter().all(is_literal);
            (!read && !SAFE.contains(&&*name)).then_some("a date, number or text may not be one")
        }
        ExprKind::GetAttr { expr, attr } if !is_there(expr, attr) => {
            Some("an entity that it looks at may not be known")
        }
        ExprKind::Unknown(_) | ExprKind::Slot(_) => Some("it holds what is not known"),
        // Of Cedar's other expressions none fails that validation let pass.
        _ => None,
    }
}

/// Where a schema lets a condition look at an entity that may not be there.
struct References {
    /// The attributes, whosever they are, whose values name entities that may not be known.
    names: HashSet<SmolStr>,
    /// The attributes that some entities must have. What may be absent is looked at after `has`,
    /// which is false of an entity that is not known.
    required: HashSet<SmolStr>,
}

/// Whether it is principal, action, resource or context, which are part of the question.
fn is_asked_for(of: &Expr) -> bool {
    matches!(of.expr_kind(), ExprKind::Var(_))
}

impl References {
    fn of(schema: &Schema) -> Self {
        // Open objects among the arguments become entities that are always there.
        let mut made = BTreeSet::new();
        for input in schema.actions.values().filter_map(|action| action.input.as_ref()) {
            input.record.members.values().for_each(|member| tagged(&member.shape, &mut made));
        }
        let (mut names, mut required) = (HashSet::new(), HashSet::new());
        let validator: &ValidatorSchema = &schema.validator;
        for kind in validator.entity_types() {
            for (name, attribute) in kind.attributes().iter() {
                take(name, &attribute.attr_type, &made, &mut names);
                if attribute.is_required() {
                    required.insert(name.clone());
                }
            }
        }
        for action in schema.actions.values() {
            if let Some(Type::Record { attrs, .. }) = validator.context_type(&action.uid) {
                for (name, attribute) in attrs.iter() {
                    take(name, &attribute.attr_type, &made, &mut names);
                }
            }
        }
        Self { names, required }
    }

    /// Whether what an attribute is asked of is a record, or an entity of which it is known.
    fn is_there(&self, of: &Expr, attribute: &SmolStr) -> bool {
        let is_record = match of.expr_kind() {
            ExprKind::GetAttr { attr, .. } => !self.names.contains(attr),
            _ => false,
        };
        is_record || !self.required.contains(attribute)
    }
}

fn take(name: &SmolStr, ty: &Type, made: &BTreeSet<EntityType>, names: &mut HashSet<SmolStr>) {
    match ty {
        Type::Entity(_) if !entity_type(ty).is_some_and(|ty| made.contains(ty)) => {
            names.insert(name.clone());
        }
        Type::Record { attrs, .. } => {
            for (name, attribute) in attrs.iter() {
                take(name, &attribute.attr_type, made, names);
            }
        }
        _ => {}
    }
}

/// The types of entities that open objects become.
fn tagged(shape: &Shape, made: &mut BTreeSet<EntityType>) {
    match shape {
        Shape::Set(element) => tagged(element, made),
        Shape::Record(record) => {
            record.members.values().for_each(|member| tagged(&member.shape, made));
        }
        Shape::Tuple(shapes) | Shape::Union(shapes) => {
            shapes.iter().for_each(|shape| tagged(shape, made));
        }
        Shape::Tagged(open) if made.insert(open.ty.clone()) => {
            let members = open.attributes.members.values();
            members.for_each(|member| tagged(&member.shape, made));
            open.tags.iter().for_each(|tag| tagged(tag, made));
        }
        _ => {}
    }
}
