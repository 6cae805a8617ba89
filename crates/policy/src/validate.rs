//! Strict validation of single policies.
//!
//! Cedar's `Validator` type-checks each policy for every pair of principal and resource type of
//! every action, and most of these are out of the policy's scope from the start. Here only those
//! in scope are looked at, by Cedar's own type checker; what is out of scope has the type
//! `False`, so that nothing in it can be wrong. And where a condition does not tell actions apart
//! and looks at nothing that is an action's own, one action stands for all with the same context.
//! A property test holds the verdict equal to that of Cedar's `Validator`.

use std::collections::{HashMap, HashSet};

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityType, EntityUID, PrincipalOrResourceConstraint,
    Template,
};
use cedar_policy_core::validator::typecheck::{PolicyCheck, Typechecker};
use cedar_policy_core::validator::types::{AttributeType, RequestEnv, Type};
use cedar_policy_core::validator::{
    ValidationError, ValidationMode, Validator, ValidatorSchema, confusable_string_checks,
};

use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::evaluate::Needs;
use crate::schema::ContextField;
use crate::source::DIAGNOSTICS_MAX;

/// Checks policies against one schema.
pub(crate) struct Checker<'s> {
    schema: &'s ValidatorSchema,
    types: Typechecker<'s>,
    /// What can be asked, by action.
    asked: HashMap<&'s EntityUID, Vec<RequestEnv<'s>>>,
    /// Actions whose contexts have the same shipped members have the same number.
    alike: HashMap<&'s EntityUID, usize>,
}

impl<'s> Checker<'s> {
    pub(crate) fn new(schema: &'s ValidatorSchema) -> Self {
        let mut asked: HashMap<_, Vec<_>> = HashMap::new();
        for environment in schema.unlinked_request_envs(ValidationMode::Strict) {
            if let RequestEnv::DeclaredAction { action, .. } = &environment {
                asked.entry(*action).or_default().push(environment);
            }
        }
        let mut contexts: HashMap<Vec<(&str, &AttributeType)>, usize> = HashMap::new();
        let alike = schema.action_ids().map(|action| {
            let next = contexts.len();
            (action.name(), *contexts.entry(shipped_members(action.context())).or_insert(next))
        });
        let alike = alike.collect();
        Self { schema, types: Typechecker::new(schema, ValidationMode::Strict), asked, alike }
    }

    /// Checks one policy; every problem goes to `problems`.
    pub(crate) fn check(
        &self,
        policy: &Template,
        needs: Needs,
        located: &Located<'_>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let whole =
            policy.loc().map_or((0, 0), |loc| (loc.start(), loc.end().saturating_sub(loc.start())));
        let mut errors: HashSet<ValidationError> =
            Validator::validate_entity_types_and_literals(self.schema, policy).collect();
        let (mut in_scope, mut possible) = (false, false);
        let own = [ContextField::Input, ContextField::Request, ContextField::Own];
        let one_for_all = !needs.action && !own.into_iter().any(|field| needs.context.has(field));
        let mut seen = HashSet::new();
        for environment in self.in_scope(policy) {
            in_scope = true;
            if let RequestEnv::DeclaredAction { principal, action, resource, .. } = environment
                && one_for_all
                && !seen.insert((principal, resource, self.alike.get(action)))
            {
                continue;
            }
            match self.types.typecheck_by_single_request_env(policy, environment) {
                PolicyCheck::Success(_) => possible = true,
                PolicyCheck::Irrelevant(found, _) => errors.extend(found),
                PolicyCheck::Fail(found) => {
                    possible = true;
                    errors.extend(found);
                }
            }
        }
        let told = |error: &ValidationError| {
            let said = located.cedar(Severity::Error, error, whole);
            match error {
                ValidationError::UnrecognizedActionId(_) if problems.len() < DIAGNOSTICS_MAX => {
                    Diagnostic { help: self.nearest_action(&said.message).or(said.help), ..said }
                }
                _ => said,
            }
        };
        let mut found: Vec<Diagnostic> = errors.iter().map(told).collect();
        if found.is_empty() && !in_scope {
            found.push(
                located
                    .problem(Severity::Error, whole, "no action applies to what the scope names")
                    .with_help("check which types of principal and resource the action has"),
            );
        } else if found.is_empty() && !possible {
            found.push(located.problem(
                Severity::Warning,
                whole,
                "the policy can never apply: its conditions are false for everything in scope",
            ));
        }
        // The same mistake is found for each type of principal and resource: it is told once.
        found.sort_by(|a, b| {
            (a.line, a.column, &a.text, &a.message).cmp(&(b.line, b.column, &b.text, &b.message))
        });
        found.dedup_by(|a, b| (a.line, a.column, &a.text) == (b.line, b.column, &b.text));
        problems.extend(found);
        let confusing = confusable_string_checks(std::iter::once(policy));
        problems.extend(confusing.map(|w| located.cedar(Severity::Warning, &w, whole)));
    }

    /// The action whose name is nearest to the one that a message speaks of.
    fn nearest_action(&self, message: &str) -> Option<String> {
        let written = message.split('`').nth(1)?;
        let names = self.schema.action_ids().map(|action| action.name().to_string());
        let near = names.map(|name| (strsim::osa_distance(&name, written), name)).min()?;
        (near.0 <= written.len() / 4).then(|| format!("did you mean `{}`?", near.1))
    }

    /// What can be asked that is in the policy's scope.
    fn in_scope<'c>(
        &'c self,
        policy: &'c Template,
    ) -> impl Iterator<Item = &'c RequestEnv<'s>> + 'c {
        let actions: Vec<&EntityUID> = match policy.action_constraint() {
            ActionConstraint::Any => self.asked.keys().copied().collect(),
            ActionConstraint::Eq(uid) => vec![uid],
            ActionConstraint::In(list) => {
                let below = |uid| self.schema.get_action_id(uid).map(|a| a.descendants());
                let named = list.iter().map(|uid| &**uid);
                named.clone().chain(named.filter_map(below).flatten()).collect()
            }
        };
        let distinct: HashSet<&EntityUID> = actions.into_iter().collect();
        distinct.into_iter().filter_map(|action| self.asked.get(action)).flatten().filter(
            move |environment| match environment {
                RequestEnv::DeclaredAction { principal, resource, .. } => {
                    fits(self.schema, policy.principal_constraint().as_inner(), principal)
                        && fits(self.schema, policy.resource_constraint().as_inner(), resource)
                }
                RequestEnv::UndeclaredAction => false,
            },
        )
    }
}

/// Whether what a scope says of a principal or a resource can hold for one of that type.
pub(crate) fn fits(
    schema: &ValidatorSchema,
    constraint: &PrincipalOrResourceConstraint,
    ty: &EntityType,
) -> bool {
    let within = |reference: &EntityReference| match reference {
        EntityReference::EUID(uid) => {
            let above = uid.entity_type();
            let above_of = |ty| {
                let above = schema.get_entity_type(above);
                above.is_some_and(|above| above.has_descendant_entity_type(ty))
            };
            above == ty || above_of(ty)
        }
        EntityReference::Slot(_) => true,
    };
    match constraint {
        PrincipalOrResourceConstraint::Any => true,
        PrincipalOrResourceConstraint::Eq(EntityReference::EUID(uid)) => uid.entity_type() == ty,
        PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_)) => true,
        PrincipalOrResourceConstraint::In(reference) => within(reference),
        PrincipalOrResourceConstraint::Is(wanted) => **wanted == *ty,
        PrincipalOrResourceConstraint::IsIn(wanted, reference) => {
            **wanted == *ty && within(reference)
        }
    }
}

/// The members of a context that every action shares.
pub(crate) fn shipped_members(context: &Type) -> Vec<(&str, &AttributeType)> {
    let Type::Record { attrs, .. } = context else {
        return Vec::new();
    };
    let own = [ContextField::Input, ContextField::Request, ContextField::Own];
    attrs
        .iter()
        .map(|(name, attribute)| (name.as_str(), attribute))
        .filter(|(name, _)| !own.contains(&ContextField::of(name)))
        .collect()
}
