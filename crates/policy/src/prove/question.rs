//! One question to the solver: the statements of both sets that can apply to a kind of request.

use std::collections::BTreeSet;

use cedar_policy::{Policy, PolicySet};
use cedar_policy_core::ast::{
    self, Effect, EntityReference, EntityType, EntityUID, Expr, ExprKind, Literal, PolicyID,
    PrincipalOrResource, PrincipalOrResourceConstraint,
};
use safeconduct_model::{ActionName, EntityRef, PolicyEffect};

use super::kinds::{Asked, Kind, says};
use super::{PROOF_ENTITIES_MAX, PROOF_STATEMENTS_MAX, Unproven, permits};
use crate::policies::Statement;
use crate::schema::{ContextField, Schema};

/// What makes two questions the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alike {
    principal: EntityType,
    resource: EntityType,
    context: usize,
    /// The action, where a statement can tell it from others.
    action: Option<EntityUID>,
    olds: Vec<u32>,
    news: Vec<u32>,
    facts: Vec<(EntityUID, EntityUID)>,
    /// What one statement says, where it is asked about that alone.
    says: Option<String>,
}

/// The statements of both sets, each with its place in its set.
pub(super) struct Question<'a> {
    pub(super) alike: Alike,
    action: EntityUID,
    pub(super) olds: Vec<(u32, &'a Statement)>,
    pub(super) news: Vec<(u32, &'a Statement)>,
}

impl<'a> Question<'a> {
    pub(super) fn of(
        asked: &Asked<'_>,
        kind: &Kind<'_>,
        olds: Vec<(u32, &'a Statement)>,
        news: Vec<(u32, &'a Statement)>,
        schema: &Schema,
        belongs: &dyn Fn(&ActionName, &EntityRef, &EntityRef) -> bool,
    ) -> Result<Self, Unproven> {
        if olds.len() + news.len() > PROOF_STATEMENTS_MAX {
            return Err(Unproven::TooManyStatements);
        }
        let all = || olds.iter().chain(&news).map(|(_, statement)| *statement);
        let named: BTreeSet<EntityUID> = all().flat_map(named).collect();
        if named.len() > PROOF_ENTITIES_MAX {
            return Err(Unproven::TooManyEntities);
        }
        let apart = all().any(tells_actions_apart);
        let alike = Alike {
            principal: kind.principal.clone(),
            resource: kind.resource.clone(),
            context: asked.context,
            action: apart.then(|| asked.action.uid.clone()),
            olds: olds.iter().map(|(place, _)| *place).collect(),
            news: news.iter().map(|(place, _)| *place).collect(),
            facts: facts(&named, schema, &|of, to| belongs(&asked.name, of, to)),
            says: None,
        };
        Ok(Self { alike, action: asked.action.uid.clone(), olds, news })
    }

    /// Whether the new set has something that permits.
    pub(super) fn may_permit(&self) -> bool {
        self.news.iter().any(|(_, statement)| permits(statement))
    }

    /// The statements of both sets.
    pub(super) fn statements(&self) -> impl Iterator<Item = &'a Statement> {
        self.olds.iter().chain(&self.news).map(|(_, statement)| *statement)
    }

    /// What makes it the same question whether a statement can fail.
    pub(super) fn alike_for(&self, statement: &Statement) -> Alike {
        Alike {
            action: tells_actions_apart(statement).then(|| self.action.clone()),
            olds: Vec::new(),
            news: Vec::new(),
            facts: Vec::new(),
            says: Some(says(statement)),
            ..self.alike.clone()
        }
    }

    pub(super) fn old_set(&self) -> Result<PolicySet, Unproven> {
        set(self.olds.iter().map(|(_, statement)| policy(statement)))
    }

    /// The new set, and what is known of which entity belongs to which: requests of which it is
    /// not so are none that it permits.
    pub(super) fn new_set(&self) -> Result<PolicySet, Unproven> {
        let news = self.news.iter().map(|(_, statement)| policy(statement));
        let holds = |(of, to): &(EntityUID, EntityUID)| {
            Expr::is_in(Expr::val(of.clone()), Expr::val(to.clone()))
        };
        let facts = self.alike.facts.iter().map(holds).reduce(Expr::and);
        let id = PolicyID::from_string("(what belongs to what)");
        let unless =
            |facts| ast::Policy::from_when_clause(Effect::Forbid, Expr::not(facts), id, None);
        set(news.chain(facts.map(unless)))
    }
}

fn set(policies: impl Iterator<Item = ast::Policy>) -> Result<PolicySet, Unproven> {
    let mut set = PolicySet::new();
    for policy in policies {
        let added = set.add(Policy::from(policy));
        added.map_err(|error| Unproven::Failed(error.to_string().into()))?;
    }
    Ok(set)
}

/// A statement as Cedar's compiler to formulas wants it. What it says of actions is known already.
pub(super) fn policy(statement: &Statement) -> ast::Policy {
    let Statement { info, principal, resource, condition, .. } = statement;
    let scope = Expr::and(
        principal.as_expr(PrincipalOrResource::Principal),
        resource.as_expr(PrincipalOrResource::Resource),
    );
    let when = match condition.expression() {
        Some(condition) => Expr::and(scope, condition.clone()),
        None => scope,
    };
    let effect = match info.reference.effect {
        PolicyEffect::Permit => Effect::Permit,
        PolicyEffect::Forbid => Effect::Forbid,
    };
    let id = PolicyID::from_string(info.reference.id.as_str());
    ast::Policy::from_when_clause(effect, when, id, None)
}

/// Whether a condition tells actions apart, or looks at what is an action's own.
fn tells_actions_apart(statement: &Statement) -> bool {
    let needs = statement.condition.needs();
    let own = [ContextField::Input, ContextField::Request, ContextField::Own];
    needs.action || own.into_iter().any(|field| needs.context.has(field))
}

/// The entities that a statement names, actions aside.
pub(super) fn named(statement: &Statement) -> Vec<EntityUID> {
    let literal = |of: &Expr| match of.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => Some((**uid).clone()),
        _ => None,
    };
    let all = statement.condition.expression().into_iter().flat_map(Expr::subexpressions);
    let sides = [&statement.principal, &statement.resource].into_iter().filter_map(in_scope);
    let mut found: Vec<EntityUID> = all.filter_map(literal).chain(sides).collect();
    found.retain(|uid| !uid.is_action());
    found
}

fn in_scope(constraint: &PrincipalOrResourceConstraint) -> Option<EntityUID> {
    use PrincipalOrResourceConstraint::{Any, Eq, In, Is, IsIn};
    match constraint {
        Eq(EntityReference::EUID(uid))
        | In(EntityReference::EUID(uid))
        | IsIn(_, EntityReference::EUID(uid)) => Some((**uid).clone()),
        Any | Is(_) | Eq(_) | In(_) | IsIn(..) => None,
    }
}

/// Which of these entities belong to which, as far as their names tell.
fn facts(
    named: &BTreeSet<EntityUID>,
    schema: &Schema,
    belongs: &dyn Fn(&EntityRef, &EntityRef) -> bool,
) -> Vec<(EntityUID, EntityUID)> {
    let reference = |uid: &EntityUID| {
        let id: &str = uid.eid().as_ref();
        EntityRef::new(uid.entity_type().to_string(), id).ok()
    };
    let known = named.iter().filter_map(|uid| Some((uid, reference(uid)?)));
    let known: Vec<(&EntityUID, EntityRef)> = known.collect();
    let mut found = Vec::new();
    for (to, above) in &known {
        let Some(ty) = schema.validator.get_entity_type(to.entity_type()) else { continue };
        for (of, below) in &known {
            if of != to && ty.has_descendant_entity_type(of.entity_type()) && belongs(below, above)
            {
                found.push(((*of).clone(), (*to).clone()));
            }
        }
    }
    found
}
