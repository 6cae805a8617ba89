//! Which policies apply to a question.
//!
//! Only the policies are looked at whose scope can match ([`index`]), each of those scopes is
//! checked exactly ([`scope`]), and what is left of a policy, its condition, is Cedar's own
//! evaluator's. This is the only module that calls it. A property test holds all of it equal to
//! Cedar's `Authorizer`.

mod condition;
mod index;
mod scope;

#[cfg(test)]
mod equality;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{
    self, Eid, EntityUID, EntityUIDEntry, Literal, PartialValue, SlotEnv, ValueKind,
};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use safeconduct_model::{
    ActionName, Decision, Entity, EntityRef, Obligation, PolicyEffect, PolicyRef, Requestable,
    Value,
};
use smol_str::SmolStr;

pub(crate) use condition::Condition;
pub(crate) use index::Index;
pub(crate) use scope::{Interner, Scope};

use crate::annotations::PolicyMode;
use crate::policies::{Entry, Policies};
use crate::schema::{Action, ContextFields, EntityKind};
use crate::shape::{AdditionalArguments, Converter, Misfit, Record};
use crate::situation::{self, Situation};
use scope::Asked;

/// One question to the policies: may this principal do this to this resource now?
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Who wants to act.
    pub principal: &'a Entity,
    /// What they want to do.
    pub action: &'a ActionName,
    /// What they want to do it to.
    pub resource: &'a Entity,
    /// The arguments.
    pub input: &'a Value,
    /// What is done with arguments that the action does not declare.
    pub additional: AdditionalArguments,
    /// What is known of the moment.
    pub situation: &'a Situation<'a>,
    /// Entities that attributes of principal or resource point to.
    pub extra: &'a [Entity],
}

/// Why a question cannot be put to the policies: each is a Deny. The caller is at fault, or the
/// upstream whose tool's definition says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// No schema declares the action.
    #[error("no schema declares the action")]
    UnknownAction,
    /// No schema declares the type of the principal, the resource, or what one belongs to.
    #[error("no schema declares the entity type `{ty}`")]
    UnknownType {
        /// The type.
        ty: Arc<str>,
    },
    /// The action does not apply to entities of that type.
    #[error("the action is not declared for a {role} of type `{ty}`")]
    NotApplicable {
        /// `principal` or `resource`.
        role: &'static str,
        /// The type.
        ty: Arc<str>,
    },
    /// The action does not declare an argument.
    #[error("argument `{pointer}` is not declared")]
    UndeclaredArgument {
        /// JSON Pointer to it.
        pointer: Arc<str>,
    },
    /// An argument cannot be what the action declares, or Cedar cannot hold it exactly.
    #[error("argument `{pointer}` {problem}")]
    NotRepresentable {
        /// JSON Pointer to it.
        pointer: Arc<str>,
        /// What is wrong with it.
        problem: Arc<str>,
    },
    /// What is said of an entity, or of the moment, cannot be what the schema declares.
    #[error("property `{pointer}` of {of} {problem}")]
    PropertyNotRepresentable {
        /// Of what: an entity, or `the request`.
        of: Arc<str>,
        /// JSON Pointer to it.
        pointer: Arc<str>,
        /// What is wrong with it.
        problem: Arc<str>,
    },
}

/// The policies that apply, in the order of files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Permits that apply.
    pub permits: Vec<Arc<PolicyRef>>,
    /// Forbids that apply.
    pub forbids: Vec<Arc<PolicyRef>>,
    /// Policies in scope that could not be evaluated, with the evaluator's words.
    pub errors: Vec<(Arc<PolicyRef>, Arc<str>)>,
}

impl Applied {
    /// Permit where something permits, nothing forbids and nothing failed.
    pub const fn decision(&self) -> Decision {
        let permitted = !self.permits.is_empty();
        if permitted && self.forbids.is_empty() && self.errors.is_empty() {
            Decision::Permit
        } else {
            Decision::Deny
        }
    }
}

/// What the policies say to one question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evaluation {
    /// The policies that have effect.
    pub enforced: Applied,
    /// Policies of `@mode("shadow")`: without effect.
    pub shadow: Applied,
    /// What the permits ask of the enforcement point, each once, in the order of files. They
    /// matter only where the decision is Permit.
    pub obligations: Vec<Obligation>,
    /// How it may be asked for: there where a forbid applies, all that apply are requestable and
    /// nothing failed. Several forbids' terms are combined to the strictest.
    pub requestable: Option<Requestable>,
    /// How many policies had a scope that matched.
    pub considered: usize,
}

impl Policies {
    /// Puts one question to the policies.
    ///
    /// # Errors
    /// [`QuestionError`] says why it cannot be put; the answer is then Deny.
    pub fn evaluate(&self, question: &Question<'_>) -> Result<Evaluation, QuestionError> {
        let mut asked = Prepared::of(self, question)?;
        let mut candidates = Vec::with_capacity(16);
        self.index.candidates(&asked.scope, &mut candidates);
        candidates.retain(|at| {
            self.entry(*at)
                .is_some_and(|e| e.scope.matches(&asked.scope))
        });
        let entries = candidates.iter().filter_map(|at| self.entry(*at));
        let needs = Needs::of(entries.clone());
        let world = asked.world(question, needs)?;
        let evaluator = world.evaluator();
        let mut evaluation = Evaluation {
            considered: candidates.len(),
            ..Evaluation::default()
        };
        let mut terms = Terms::None;
        for entry in entries {
            let satisfied = entry.statement.condition.satisfied(&evaluator);
            evaluation.take(entry, satisfied, &mut terms);
        }
        if let Terms::Requestable(requestable) = terms
            && evaluation.enforced.errors.is_empty()
        {
            evaluation.requestable = Some(requestable);
        }
        Ok(evaluation)
    }
}

/// What the forbids so far say about asking.
enum Terms {
    None,
    Requestable(Requestable),
    Final,
}

impl Evaluation {
    fn take(&mut self, entry: &Entry, satisfied: Result<bool, Arc<str>>, terms: &mut Terms) {
        let info = &entry.statement.info;
        let enforced = info.mode == PolicyMode::Enforce;
        let applied = if enforced {
            &mut self.enforced
        } else {
            &mut self.shadow
        };
        match (satisfied, info.reference.effect) {
            (Ok(false), _) => {}
            (Ok(true), PolicyEffect::Permit) => {
                applied.permits.push(Arc::clone(&info.reference));
                if enforced {
                    for obligation in &info.obligations {
                        if !self.obligations.contains(obligation) {
                            self.obligations.push(obligation.clone());
                        }
                    }
                }
            }
            (Ok(true), PolicyEffect::Forbid) => {
                applied.forbids.push(Arc::clone(&info.reference));
                if enforced {
                    terms.add(info.requestable.as_ref());
                }
            }
            (Err(error), _) => applied.errors.push((Arc::clone(&info.reference), error)),
        }
    }
}

impl Terms {
    fn add(&mut self, next: Option<&Requestable>) {
        let so_far = std::mem::replace(self, Self::Final);
        *self = match (so_far, next) {
            (Self::None, Some(next)) => Self::Requestable(next.clone()),
            (Self::Requestable(so_far), Some(next)) => {
                Requestable::strictest(so_far, next.clone()).map_or(Self::Final, Self::Requestable)
            }
            (Self::Final, _) | (_, None) => Self::Final,
        };
    }
}

/// What the conditions of some policies look at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Needs {
    pub(crate) context: ContextFields,
    pub(crate) entities: bool,
    /// Whether they tell actions apart.
    pub(crate) action: bool,
}

impl Needs {
    fn of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Self {
        entries.fold(Self::default(), |needs, entry| {
            let condition = entry.statement.condition.needs();
            Self {
                context: needs.context.union(condition.context),
                entities: needs.entities || condition.entities,
                action: needs.action || condition.action,
            }
        })
    }
}

/// A question whose names are resolved and whose arguments are converted.
pub(crate) struct Prepared<'p> {
    action: &'p Action,
    principal: &'p EntityKind,
    resource: &'p EntityKind,
    pub(crate) scope: Asked,
    input: Option<ast::Value>,
    entities: Vec<ast::Entity>,
    policies: &'p Policies,
}

impl<'p> Prepared<'p> {
    pub(crate) fn of(
        policies: &'p Policies,
        question: &Question<'_>,
    ) -> Result<Self, QuestionError> {
        let schema = &policies.schema;
        let action = schema
            .actions
            .get(question.action.as_str())
            .ok_or(QuestionError::UnknownAction)?;
        let principal = kind(policies, &question.principal.uid)?;
        let resource = kind(policies, &question.resource.uid)?;
        for (role, kind, applicable) in [
            ("principal", principal, &action.principals),
            ("resource", resource, &action.resources),
        ] {
            if !applicable.contains(&kind.id) {
                let ty = kind.ty.to_string().into();
                return Err(QuestionError::NotApplicable { role, ty });
            }
        }
        let mut converter = Converter::new(question.additional);
        let input = arguments(action, question.input, &mut converter)?;
        let scope = Asked {
            principal: policies
                .interner
                .asked(question.principal, principal, &schema.types)?,
            action: policies.interner.action(action),
            resource: policies
                .interner
                .asked(question.resource, resource, &schema.types)?,
        };
        let entities = converter.entities;
        Ok(Self {
            action,
            principal,
            resource,
            scope,
            input,
            entities,
            policies,
        })
    }

    /// What Cedar evaluates conditions in: the parts of it that the conditions look at.
    pub(crate) fn world(
        &mut self,
        question: &Question<'_>,
        needs: Needs,
    ) -> Result<World, QuestionError> {
        let context = situation::context(
            question.situation,
            question.action,
            self.action,
            self.input.take(),
            needs.context,
        )
        .map_err(|misfit| property("the request".into(), misfit))?;
        let by_context = self.action.holds_entities && !needs.context.is_empty();
        let entities = if needs.entities || by_context {
            self.store(question)?
        } else {
            Entities::new()
        };
        let request = ast::Request::new_unchecked(
            known(self.principal, &question.principal.uid),
            EntityUIDEntry::known(self.action.uid.clone(), None),
            known(self.resource, &question.resource.uid),
            Some(context),
        );
        Ok(World { request, entities })
    }

    fn store(&mut self, question: &Question<'_>) -> Result<Entities, QuestionError> {
        let mut all = std::mem::take(&mut self.entities);
        all.push(self.action.entity.clone());
        all.push(self.entity(question.principal, self.principal)?);
        let mut seen = vec![&question.principal.uid];
        for entity in std::iter::once(question.resource).chain(question.extra) {
            // What is said of an entity first, counts.
            if !seen.contains(&&entity.uid) {
                seen.push(&entity.uid);
                all.push(self.entity(entity, kind(self.policies, &entity.uid)?)?);
            }
        }
        Entities::from_entities(
            all,
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            Extensions::all_available(),
        )
        .map_err(|error| QuestionError::PropertyNotRepresentable {
            of: "the entities".into(),
            pointer: "".into(),
            problem: error.to_string().into(),
        })
    }

    /// An entity as Cedar has it: the attributes that its type declares, and the others as tags
    /// where it has tags.
    fn entity(&self, entity: &Entity, kind: &EntityKind) -> Result<ast::Entity, QuestionError> {
        let failed = |misfit| property(entity.uid.to_string().into(), misfit);
        let mut converter = Converter::new(AdditionalArguments::LeftOut);
        let attributes = converter
            .stated(&entity.attributes, &kind.attributes)
            .map_err(failed)?;
        let mut tags = Vec::new();
        if let Some(shape) = &kind.tags {
            for (name, value) in &entity.attributes {
                if !kind.attributes.members.contains_key(&**name) && *value != Value::Null {
                    let value = converter.convert(value, shape).map_err(failed)?;
                    tags.push((SmolStr::from(&**name), PartialValue::Value(value)));
                }
            }
        }
        let mut ancestors = HashSet::with_capacity(entity.ancestors.len());
        for ancestor in &entity.ancestors {
            ancestors.insert(uid(self::kind(self.policies, ancestor)?, ancestor));
        }
        Ok(ast::Entity::new_with_attr_partial_value(
            uid(kind, &entity.uid),
            attributes
                .into_iter()
                .map(|(name, value)| (name, PartialValue::Value(value))),
            HashSet::new(),
            ancestors,
            tags,
        ))
    }
}

/// What conditions are evaluated in.
pub(crate) struct World {
    request: ast::Request,
    entities: Entities,
}

impl World {
    pub(crate) fn evaluator(&self) -> Evaluator<'_> {
        Evaluator::new(
            self.request.clone(),
            &self.entities,
            Extensions::all_available(),
        )
    }
}

impl Condition {
    /// Whether the condition holds; the error is Cedar's.
    pub(crate) fn satisfied(&self, evaluator: &Evaluator<'_>) -> Result<bool, Arc<str>> {
        /// Deeper conditions are evaluated on a stack that is surely large enough, so that the
        /// answer does not depend on the thread that asks.
        const SHALLOW: usize = 32;
        /// What one level of a condition takes: measured, and doubled.
        const LEVEL_BYTES: usize = if cfg!(debug_assertions) {
            96 << 10
        } else {
            8 << 10
        };
        let Some(expression) = self.expression() else {
            return Ok(true);
        };
        let interpret = || {
            let value = evaluator.interpret(expression, &SlotEnv::new());
            value.map_err(|error| Arc::<str>::from(error.to_string()))
        };
        let value = if self.depth() <= SHALLOW {
            interpret()
        } else {
            let needed = self.depth() * LEVEL_BYTES + (256 << 10);
            stacker::maybe_grow(needed, needed + (256 << 10), interpret)
        };
        match value?.value_kind() {
            ValueKind::Lit(Literal::Bool(satisfied)) => Ok(*satisfied),
            _ => Err(Arc::from("type error: the condition is no boolean")),
        }
    }
}

fn kind<'p>(policies: &'p Policies, uid: &EntityRef) -> Result<&'p EntityKind, QuestionError> {
    let ty = uid.ty.as_str();
    let kind = policies.schema.types.resolve(ty);
    kind.map(|kind| &**kind)
        .ok_or_else(|| QuestionError::UnknownType {
            ty: uid.ty.shared(),
        })
}

fn uid(kind: &EntityKind, uid: &EntityRef) -> EntityUID {
    EntityUID::from_components(kind.ty.clone(), Eid::new(uid.id.as_str()), None)
}

fn known(kind: &EntityKind, of: &EntityRef) -> EntityUIDEntry {
    EntityUIDEntry::known(uid(kind, of), None)
}

fn arguments(
    action: &Action,
    input: &Value,
    converter: &mut Converter,
) -> Result<Option<ast::Value>, QuestionError> {
    let empty = BTreeMap::new();
    let members = match input {
        Value::Object(members) => members,
        Value::Null => &empty,
        other => {
            return Err(QuestionError::NotRepresentable {
                pointer: "".into(),
                problem: format!("is {}, not an object", other.kind()).into(),
            });
        }
    };
    let nothing = Record::default();
    let (record, declared) = match &action.input {
        Some(shape) if shape.opaque => return Ok(Some(ast::Value::empty_record(None))),
        Some(shape) => (&shape.record, shape.required || !members.is_empty()),
        None => (&nothing, false),
    };
    let converted = converter
        .members(members, record)
        .map_err(|misfit| match misfit {
            Misfit::Undeclared { pointer } => QuestionError::UndeclaredArgument {
                pointer: pointer.into(),
            },
            Misfit::Unfit { pointer, problem } => QuestionError::NotRepresentable {
                pointer: pointer.into(),
                problem: problem.into(),
            },
        })?;
    Ok(declared.then(|| ast::Value::record_arc(Arc::new(converted), None)))
}

fn property(of: Arc<str>, misfit: Misfit) -> QuestionError {
    let (pointer, problem) = match misfit {
        Misfit::Undeclared { pointer } => (pointer, "is not declared".to_owned()),
        Misfit::Unfit { pointer, problem } => (pointer, problem),
    };
    QuestionError::PropertyNotRepresentable {
        of,
        pointer: pointer.into(),
        problem: problem.into(),
    }
}
