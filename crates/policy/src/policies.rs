//! A policy set that is loaded: what is known of each policy, and how to find it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy_core::ast::{ActionConstraint, PrincipalOrResourceConstraint};
use foldhash::quality::FixedState;
use safeconduct_model::{
    ActionName, Digest, Entity, EntityId, EntityRef, EntityType, Obligation, PolicyEffect,
    PolicyId, PolicyRef, Requestable,
};
use sha2::{Digest as _, Sha256};

use crate::annotations::PolicyMode;
use crate::diagnostic::Diagnostic;
use crate::evaluate::{Condition, Index, Interner, Remembered, Scope, Side};
use crate::rego::Rego;
use crate::schema::ContextField;
use crate::schema::Schema;
use crate::temporal::{Leaf, Monitoring};

/// What is known of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Its id, effect, place and message.
    pub reference: Arc<PolicyRef>,
    /// How a denial that it causes may be asked for.
    pub requestable: Option<Requestable>,
    /// What it asks of the enforcement point.
    pub obligations: Vec<Obligation>,
    /// What it is evidence for: `ASI02`.
    pub controls: Vec<Arc<str>>,
    /// Whether it has effect.
    pub mode: PolicyMode,
}

/// One policy as it was read, whatever set it is in.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) info: Arc<PolicyInfo>,
    pub(crate) principal: PrincipalOrResourceConstraint,
    pub(crate) actions: ActionConstraint,
    pub(crate) resource: PrincipalOrResourceConstraint,
    pub(crate) condition: Condition,
    /// The temporal clauses that it reads.
    pub(crate) leaves: Vec<Arc<Leaf>>,
    /// Where it stands in its file's text, in bytes.
    pub(crate) range: std::ops::Range<usize>,
}

/// One policy in its set.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) statement: Arc<Statement>,
    pub(crate) scope: Scope,
}

/// One file that validated, kept so that a reload need not read it again.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) text: Arc<str>,
    pub(crate) statements: Vec<Arc<Statement>>,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// A policy set in force: immutable, and made only by loading. What it keeps between questions
/// changes no answer.
#[derive(Debug)]
pub struct Policies {
    pub(crate) schema: Arc<Schema>,
    pub(crate) units: BTreeMap<Arc<str>, Arc<Unit>>,
    pub(crate) interner: Interner,
    pub(crate) index: Index,
    pub(crate) principals: Remembered,
    by_principal: Index,
    /// The actions as scopes can tell them apart, by their ids.
    actions: hashbrown::HashMap<Arc<str>, Side, FixedState>,
    entries: Vec<Entry>,
    pub(crate) by_id: HashMap<PolicyId, u32>,
    /// The second engine, where the set has files for it.
    pub(crate) rego: Option<Arc<Rego>>,
    pub(crate) monitoring: Monitoring,
    looks_at_flow: bool,
    looks_at_task: bool,
    looks_at_risk: bool,
    digest: Digest,
}

impl Policies {
    /// Puts a set together of files that validated, in the order of their names.
    pub(crate) fn of(
        schema: Arc<Schema>,
        units: BTreeMap<Arc<str>, Arc<Unit>>,
        rego: Option<Arc<Rego>>,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(schema.digest);
        for (name, unit) in &units {
            for part in [&**name, &*unit.text] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        let statements = units.values().flat_map(|unit| &unit.statements).cloned().collect();
        let digest = Digest::from_bytes(hash.finalize().into());
        Self { rego, ..Self::assemble(schema, units, statements, digest) }
    }

    pub(crate) fn assemble(
        schema: Arc<Schema>,
        units: BTreeMap<Arc<str>, Arc<Unit>>,
        statements: Vec<Arc<Statement>>,
        digest: Digest,
    ) -> Self {
        let mut interner = Interner::default();
        let entries: Vec<Entry> = statements
            .into_iter()
            .filter_map(|statement| {
                let scope = interner.scope(
                    &statement.principal,
                    &statement.actions,
                    &statement.resource,
                    &schema.types,
                )?;
                Some(Entry { statement, scope })
            })
            .collect();
        let action = |(id, action): (&Arc<str>, &Arc<_>)| (Arc::clone(id), interner.action(action));
        let actions = schema.actions.iter().map(action).collect();
        let ids = entries.iter().map(|entry| entry.statement.info.reference.id.clone());
        let leaves = entries.iter().flat_map(|entry| &entry.statement.leaves);
        let monitoring = Monitoring::of(leaves, &schema.other_names());
        let looks_at = |field| {
            entries.iter().any(|entry| {
                entry.statement.condition.needs().context.has(field)
                    || entry.statement.leaves.iter().any(|leaf| leaf.looks_at(field))
            })
        };
        let looks_at_flow = looks_at(ContextField::Flow);
        let looks_at_task = looks_at(ContextField::TaskParameters);
        let looks_at_risk = looks_at(ContextField::Risk);
        Self {
            index: Index::of(entries.iter().map(|entry| &entry.scope)),
            by_principal: Index::by_principal(entries.iter().map(|entry| &entry.scope)),
            by_id: ids.zip(0..).collect(),
            principals: Remembered::default(),
            actions,
            rego: None,
            monitoring,
            looks_at_flow,
            looks_at_task,
            looks_at_risk,
            schema,
            units,
            interner,
            entries,
            digest,
        }
    }

    pub(crate) fn entry(&self, position: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(position).ok()?)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The index that finds what could match for some resource.
    pub(crate) const fn by_principal(&self) -> &Index {
        &self.by_principal
    }

    pub(crate) fn action(&self, action: &ActionName) -> Option<&Side> {
        self.actions.get(action.as_str())
    }

    /// What the set's temporal clauses want to be remembered of sessions and identities.
    pub const fn monitors(&self) -> &Monitoring {
        &self.monitoring
    }

    /// Whether any policy looks at where arguments came from (`context.flow`): where none does, a
    /// question need not say it.
    pub const fn looks_at_flow(&self) -> bool {
        self.looks_at_flow || self.rego.is_some()
    }

    /// Whether any policy looks at what the task points to (`context.task.parameters`, its user):
    /// where none does, that need not be there.
    pub const fn looks_at_task(&self) -> bool {
        self.looks_at_task || self.rego.is_some()
    }

    /// Whether any policy looks at how risky it is (`context.risk`): where none does, a question
    /// need not say it.
    pub const fn looks_at_risk(&self) -> bool {
        self.looks_at_risk || self.rego.is_some()
    }

    /// SHA-256 over all that the set is made of: files by name, schema, naming.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How many policies there are; the Rego files together are one.
    pub fn len(&self) -> usize {
        self.entries.len() + usize::from(self.rego.is_some())
    }

    /// Whether there are none: then everything is denied.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.rego.is_none()
    }

    /// Whether another set in the place of this one would leave the decision to Rego alone, by
    /// what it leaves out: this one has policies of Cedar, and that one Rego files that have effect
    /// and nothing beside them. To want that is said by a permit for everything.
    pub fn would_be_left_to_rego(&self, other: &Self) -> bool {
        let alone =
            !other.has_cedar() && other.rego.as_ref().is_some_and(|rego| rego.is_enforced());
        self.has_cedar() && alone
    }

    /// Whether there are policies of Cedar.
    pub(crate) fn has_cedar(&self) -> bool {
        !self.entries.is_empty()
    }

    /// All policies, in the order of files; what is known of the Rego files comes last.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PolicyInfo>> {
        let rego = self.rego.iter().map(|rego| rego.info());
        self.entries.iter().map(|entry| &entry.statement.info).chain(rego)
    }

    /// The policy of that id. A reason that Rego files give an id of its own is none.
    pub fn policy(&self, id: &PolicyId) -> Option<&Arc<PolicyInfo>> {
        match self.by_id.get(id) {
            Some(position) => Some(&self.entry(*position)?.statement.info),
            None => self.rego.as_ref().map(|rego| rego.info()).filter(|i| i.reference.id == *id),
        }
    }

    /// The text of the policy of that id, as its author wrote it; of Rego files, the rule that
    /// decides.
    pub fn source_text(&self, id: &PolicyId) -> Option<Arc<str>> {
        match self.by_id.get(id) {
            Some(position) => self.text_of(&self.entry(*position)?.statement),
            None => {
                let rego = self.rego.as_ref().filter(|rego| rego.info().reference.id == *id)?;
                Some(Arc::clone(rego.text()))
            }
        }
    }

    pub(crate) fn text_of(&self, statement: &Statement) -> Option<Arc<str>> {
        let unit = self.units.get(&statement.info.reference.span.file)?;
        unit.text.get(statement.range.clone()).map(Arc::from)
    }

    /// The files that the set was loaded from.
    pub fn files(&self) -> impl Iterator<Item = &Arc<str>> {
        self.units.keys()
    }

    /// What was said when the set was loaded, without effect.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        let rego = self.rego.iter().flat_map(|rego| rego.warnings());
        let units = self.units.values().flat_map(|unit| &unit.warnings);
        self.schema.warnings.iter().chain(units).chain(rego)
    }

    /// Whether a question can be put about that action.
    pub fn knows_action(&self, action: &ActionName) -> bool {
        self.schema.actions.contains_key(action.as_str())
    }

    /// The action of that name, as policies name it: `Safeconduct::Action::"files.read"`.
    pub fn resolve_action(&self, action: &ActionName) -> Option<EntityRef> {
        let uid = &self.schema.actions.get(action.as_str())?.uid;
        Some(EntityRef {
            ty: EntityType::new(uid.entity_type().to_string()).ok()?,
            id: EntityId::new(action.shared()).ok()?,
        })
    }

    /// The full name of an entity type: exactly that type, or one in the shipped namespace.
    pub fn resolve_type(&self, name: &str) -> Option<EntityType> {
        self.schema.types.resolve(name)?.name.clone()
    }

    /// Whether the principal could be permitted the action on some resource, in some session and
    /// with some arguments: a permit names both in its scope, and no forbid names both, every
    /// resource and no condition. It depends on nothing else, so that a list that is filtered by
    /// it stays the same for the life of the set and the identity.
    pub fn may_permit(&self, principal: &Entity, name: &ActionName) -> bool {
        let Some(action) = self.schema.actions.get(name.as_str()) else {
            return false;
        };
        let Some(kind) = self.schema.types.resolve(principal.uid.ty.as_str()) else {
            return false;
        };
        if !action.principals.contains(&kind.id) {
            return false;
        }
        let Ok(principal) = self.interner.asked(principal, kind, &self.schema.types) else {
            return false;
        };
        // Rego has no scopes that could be told without asking.
        if !self.has_cedar() {
            return self.rego.as_ref().is_some_and(|rego| rego.is_enforced());
        }
        let Some(action) = self.actions.get(name.as_str()) else {
            return false;
        };
        let mut found = Vec::new();
        self.by_principal.candidates_for_principal(&principal, action, &mut found);
        let mut permitted = false;
        for entry in found.into_iter().filter_map(|position| self.entry(position)) {
            let statement = &entry.statement;
            let counts = statement.info.mode == PolicyMode::Enforce
                && entry.scope.matches_for_some_resource(&principal, action);
            if !counts {
                continue;
            }
            match statement.info.reference.effect {
                PolicyEffect::Permit => permitted = true,
                PolicyEffect::Forbid
                    if statement.condition.is_always() && entry.scope.is_for_any_resource() =>
                {
                    return false;
                }
                PolicyEffect::Forbid => {}
            }
        }
        permitted
    }
}
