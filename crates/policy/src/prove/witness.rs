//! A solver's counterexample: held against both sets, and made readable.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{
    Context, Entity, EntityUID, Expr, ExprKind, PartialValue, PrincipalOrResource, Value,
    ValueKind, Var,
};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use cedar_policy_symcc::Env;
use safeconduct_model::{ActionName, Decision, PolicyEffect, PolicyId};
use smol_str::SmolStr;

use super::question::{self, Question};
use super::verdict::{SHOWN_BYTES_MAX, shown};
use super::{Counterexample, CounterexampleEntity, Unproven, names};
use crate::evaluate::{Applied, Condition};
use crate::policies::Statement;
use crate::temporal::MEMBER;

/// Reads a counterexample, where the new set is seen to permit it and the old one to deny it.
pub(super) fn of(
    found: &Env,
    action: &ActionName,
    question: &Question<'_>,
) -> Result<Counterexample, Unproven> {
    let policies = question.statements().flat_map(question::named).collect();
    let unreadable = || Unproven::Failed("its counterexample cannot be read".into());
    let (request, entities) = names::named(found, &policies).ok_or_else(unreadable)?;
    let evaluator = Evaluator::new(request.clone(), &entities, Extensions::all_available());
    let old = applied(&evaluator, question.olds.iter().map(|(_, statement)| *statement));
    let new = applied(&evaluator, question.news.iter().map(|(_, statement)| *statement));
    if (old.decision(), new.decision()) != (Decision::Deny, Decision::Permit) {
        let failed = old.errors.iter().chain(&new.errors).next();
        let failed = failed.map(|(policy, _)| Unproven::MayFail(policy.id.clone()));
        return Err(failed.unwrap_or(Unproven::NotConfirmed));
    }
    let ids = |of: &[std::sync::Arc<safeconduct_model::PolicyRef>]| -> Vec<PolicyId> {
        of.iter().map(|policy| policy.id.clone()).collect()
    };
    let uid = |of: Option<&EntityUID>| of.map(|uid| shown(&uid.to_string())).unwrap_or_default();
    Ok(Counterexample {
        principal: uid(request.principal().uid()),
        action: action.clone(),
        resource: uid(request.resource().uid()),
        context: looked_at(request.context(), question),
        entities: entities.iter().filter_map(entity).collect(),
        permitted_by: ids(&new.permits),
        forbidden_by: ids(&old.forbids),
        failed: old.errors.iter().map(|(policy, _)| policy.id.clone()).collect(),
    })
}

/// What statements say to the request, as the engine counts it.
fn applied<'s>(
    evaluator: &Evaluator<'_>,
    statements: impl Iterator<Item = &'s Statement>,
) -> Applied {
    let mut applied = Applied::default();
    for statement in statements {
        let reference = &statement.info.reference;
        let scope = Expr::and(
            statement.principal.as_expr(PrincipalOrResource::Principal),
            statement.resource.as_expr(PrincipalOrResource::Resource),
        );
        let matches = Condition::of(Some(&scope)).satisfied(evaluator);
        let holds = matches.and_then(|matches| match matches {
            true => statement.condition.satisfied(evaluator),
            false => Ok(false),
        });
        match (holds, reference.effect) {
            (Ok(false), _) => {}
            (Ok(true), PolicyEffect::Permit) => applied.permits.push(reference.clone()),
            (Ok(true), PolicyEffect::Forbid) => applied.forbids.push(reference.clone()),
            (Err(error), _) => applied.errors.push((reference.clone(), error)),
        }
    }
    applied
}

/// What the statements look at of the context, and what is there.
fn looked_at(context: Option<&Context>, question: &Question<'_>) -> Vec<(String, Option<String>)> {
    let mut paths: BTreeSet<Vec<SmolStr>> = BTreeSet::new();
    for statement in question.statements() {
        let all = statement.condition.expression().into_iter().flat_map(Expr::subexpressions);
        paths.extend(all.filter_map(path));
    }
    let Some(Context::Value(members)) = context else { return Vec::new() };
    let mut found = Vec::new();
    for path in &paths {
        // What is looked at further in is told there.
        let further = paths.iter().any(|other| other.len() > path.len() && other.starts_with(path));
        let value = path.split_first().and_then(|(first, rest)| below(members.get(first)?, rest));
        if further && value.is_some() {
            continue;
        }
        found.push((name(path, question), value.map(shown_value)));
    }
    found
}

/// The way into the context that an expression takes.
fn path(of: &Expr) -> Option<Vec<SmolStr>> {
    let (ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr }) = of.expr_kind()
    else {
        return None;
    };
    let mut path = match expr.expr_kind() {
        ExprKind::Var(Var::Context) => Vec::new(),
        _ => self::path(expr)?,
    };
    path.push(attr.clone());
    Some(path)
}

fn below<'v>(value: &'v Value, path: &[SmolStr]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, member| match value.value_kind() {
        ValueKind::Record(members) => members.get(member),
        _ => None,
    })
}

fn name(path: &[SmolStr], question: &Question<'_>) -> String {
    match path {
        [first, clause] if first == MEMBER => {
            let reads = |of: &&Statement| of.leaves.iter().any(|leaf| leaf.member == *clause);
            let of: Vec<String> = question
                .statements()
                .filter(reads)
                .map(|of| format!("`{}`", of.info.reference.id))
                .collect();
            format!("temporal clause {} of {}", clause.get(..8).unwrap_or(clause), of.join(", "))
        }
        _ => format!("context.{}", path.join(".")),
    }
}

fn entity(of: &Entity) -> Option<CounterexampleEntity> {
    let pair = |(name, value): (&SmolStr, &PartialValue)| match value {
        PartialValue::Value(value) => (name.to_string(), shown_value(value)),
        PartialValue::Residual(_) => (name.to_string(), String::new()),
    };
    let tag = |of| {
        let (name, value) = pair(of);
        (format!("tag {name}"), value)
    };
    let mut ancestors: Vec<String> = of.ancestors().map(|uid| shown(&uid.to_string())).collect();
    ancestors.sort_unstable();
    let mut attributes: Vec<(String, String)> =
        of.attrs().map(pair).chain(of.tags().map(tag)).collect();
    attributes.sort_unstable();
    let nothing = ancestors.is_empty() && attributes.is_empty();
    let uid = shown(&of.uid().to_string());
    (!nothing && !of.uid().is_action()).then_some(CounterexampleEntity {
        uid,
        ancestors,
        attributes,
    })
}

fn shown_value(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= SHOWN_BYTES_MAX { text } else { shown(&text) }
}
