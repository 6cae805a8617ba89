//! The kinds of request that a schema allows, and the statements that can apply to each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::RequestEnv;
use cedar_policy_core::ast::{EntityType, EntityUID, PrincipalOrResource};
use cedar_policy_core::validator::ValidationMode;
use cedar_policy_core::validator::types::RequestEnv as Environment;
use safeconduct_model::ActionName;

use crate::annotations::PolicyMode;
use crate::policies::{Policies, Statement};
use crate::reduce::matches;
use crate::schema::{Action, Schema};
use crate::validate;

/// What can be asked of one action.
pub(super) struct Asked<'s> {
    pub(super) name: ActionName,
    pub(super) action: &'s Action,
    /// Actions with the same number have the same members in their contexts, their own aside.
    pub(super) context: usize,
    pub(super) kinds: Vec<Kind<'s>>,
}

/// A type of principal and a type of resource that an action applies to.
pub(super) struct Kind<'s> {
    pub(super) principal: &'s EntityType,
    pub(super) resource: &'s EntityType,
    pub(super) request: RequestEnv,
}

impl Kind<'_> {
    /// Whether the scope of a statement, its actions aside, can match.
    pub(super) fn fits(&self, schema: &Schema, statement: &Statement) -> bool {
        validate::fits(&schema.validator, &statement.principal, self.principal)
            && validate::fits(&schema.validator, &statement.resource, self.resource)
    }
}

/// All that can be asked, in the order of the actions' names. An action that goes by two names is
/// there by the one that it is asked about.
pub(super) fn all(schema: &Schema) -> Vec<Asked<'_>> {
    let mut kinds: HashMap<&EntityUID, Vec<Kind<'_>>> = HashMap::new();
    for environment in schema.validator.unlinked_request_envs(ValidationMode::Strict) {
        if let Environment::DeclaredAction { principal, action, resource, .. } = &environment {
            let (principal, resource) = (*principal, *resource);
            let kind = Kind { principal, resource, request: environment.clone().into() };
            kinds.entry(*action).or_default().push(kind);
        }
    }
    let mut names: BTreeMap<&Arc<str>, &Action> = BTreeMap::new();
    names.extend(schema.actions.iter().map(|(name, action)| (name, &**action)));
    let (own, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|(name, action)| {
        let id: &str = action.uid.eid().as_ref();
        id != &***name
    });
    let (mut contexts, mut found) = (HashMap::new(), BTreeMap::new());
    for (name, action) in own.into_iter().chain(others) {
        // What is no name of an action, nobody can ask about.
        let Ok(name) = ActionName::new(&**name) else { continue };
        let Some(mut kinds) = kinds.remove(&action.uid) else { continue };
        kinds.sort_by(|a, b| (a.principal, a.resource).cmp(&(b.principal, b.resource)));
        let declared = schema.validator.get_action_id(&action.uid);
        let members = declared.map(|declared| validate::shipped_members(declared.context()));
        let next = contexts.len();
        let context = *contexts.entry(members).or_insert(next);
        found.insert(name.clone(), Asked { name, action, context, kinds });
    }
    found.into_values().collect()
}

/// The statements with effect that name an action in their scopes, each with its place in its set.
pub(super) fn applying<'p>(policies: &'p Policies, action: &Action) -> Vec<(u32, &'p Statement)> {
    let all = (0..).zip(with_effect(policies));
    all.filter(|(_, of)| matches(&of.actions, &action.uid, &action.ancestors)).collect()
}

pub(super) fn with_effect(policies: &Policies) -> impl Iterator<Item = &Statement> {
    let all = policies.entries().map(|entry| &*entry.statement);
    all.filter(|statement| statement.info.mode == PolicyMode::Enforce)
}

/// The statements that only one of two sets has, by what they permit or forbid.
pub(super) struct Changed<'a>(Vec<&'a Statement>);

impl<'a> Changed<'a> {
    pub(super) fn between(old: &'a Policies, new: &'a Policies) -> Self {
        let said = |policies| with_effect(policies).map(says).collect::<BTreeSet<String>>();
        let (in_old, in_new) = (said(old), said(new));
        let gone = with_effect(old).filter(|of| !in_new.contains(&says(of)));
        let added = with_effect(new).filter(|of| !in_old.contains(&says(of)));
        Self(gone.chain(added).collect())
    }

    /// Those that name an action.
    pub(super) fn of(&self, action: &Action) -> Vec<&'a Statement> {
        let all = self.0.iter().copied();
        all.filter(|of| matches(&of.actions, &action.uid, &action.ancestors)).collect()
    }
}

/// What a statement permits or forbids, whatever it is called and asks for beside.
pub(super) fn says(of: &Statement) -> String {
    let Statement { info, principal, actions, resource, condition, .. } = of;
    let when = condition.expression().map(ToString::to_string).unwrap_or_default();
    let effect = info.reference.effect.as_str();
    let principal = principal.display(PrincipalOrResource::Principal);
    let resource = resource.display(PrincipalOrResource::Resource);
    format!("{effect} ({principal}, {actions}, {resource}) when {when}")
}
