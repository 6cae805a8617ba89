//! From a question to what Cedar's evaluator wants: names resolved, values converted.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{self, Context, Eid, EntityUID, EntityUIDEntry, PartialValue};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use safeconduct_model::{Entity, EntityRef, Value};
use smol_str::SmolStr;

use super::plain::Moment;
use super::scope::Asked;
use super::{EntityNeeds, Needs, Question, QuestionError};
use crate::policies::Policies;
use crate::schema::{Action, ContextField, ContextFields, EntityKind, Types};
use crate::shape::{AdditionalArguments, Converter, Misfit, Record};
use crate::situation;
use crate::temporal::{self, Answers, Leaf, MEMBER, Past};

/// A question whose names are resolved, and whose arguments are what the action declares.
pub(crate) struct Prepared<'p> {
    action: &'p Action,
    principal: &'p EntityKind,
    resource: &'p EntityKind,
    pub(crate) scope: Asked<'p>,
    input: Option<Arguments<'p>>,
    entities: Vec<ast::Entity>,
    policies: &'p Policies,
}

impl<'p> Prepared<'p> {
    pub(crate) fn of(
        policies: &'p Policies,
        question: &Question<'p>,
    ) -> Result<Self, QuestionError> {
        let mut prepared = Self::without_arguments(policies, question)?;
        let mut converter = Converter::new(question.additional);
        prepared.input = arguments(prepared.action, question.input, &mut converter)?;
        prepared.entities = converter.entities;
        Ok(prepared)
    }

    /// The same without the arguments, for conditions that look at none.
    pub(crate) fn without_arguments(
        policies: &'p Policies,
        question: &Question<'_>,
    ) -> Result<Self, QuestionError> {
        let schema = &policies.schema;
        let action =
            schema.actions.get(question.action.as_str()).ok_or(QuestionError::UnknownAction)?;
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
        let scope = Asked {
            principal: policies.interner.asked(question.principal, principal, &schema.types)?,
            action: policies.action(question.action).ok_or(QuestionError::UnknownAction)?,
            resource: policies.interner.asked(question.resource, resource, &schema.types)?,
        };
        let (input, entities) = (None, Vec::new());
        Ok(Self { action, principal, resource, scope, input, entities, policies })
    }

    /// Whether nothing that such conditions look at can fail to be what the schema declares, the
    /// principal aside: they may then be read without a [`World`].
    pub(super) fn is_plain(&self, question: &Question<'_>, needs: Needs) -> bool {
        let fails = [ContextField::Time, ContextField::TaskParameters, ContextField::Request];
        let own = needs.context.has(ContextField::Own) && !self.action.own.members.is_empty();
        let entities = self.entity_needs(question, needs);
        !own && !fails.into_iter().any(|field| needs.context.has(field))
            && EntityNeeds::PRINCIPAL.union(EntityNeeds::RESOURCE).covers(entities)
            && (!entities.has(EntityNeeds::RESOURCE) || self.plain_resource(question).is_some())
    }

    /// The resource's attributes, where Cedar would have them as they are.
    fn plain_resource<'q>(&'q self, question: &'q Question<'q>) -> Option<Attributes<'q>> {
        let (kind, entity) = (self.resource, question.resource);
        // What is said of an entity as the principal, counts.
        let itself = entity.uid != question.principal.uid;
        let plain =
            itself && kind.tags.is_none() && kind.attributes.has_as_it_is(&entity.attributes);
        plain.then_some(Attributes { of: &entity.attributes, declared: &kind.attributes })
    }

    /// The principal, where it alone is looked at.
    pub(super) fn plain_principal(
        &self,
        question: &Question<'_>,
        needs: Needs,
    ) -> Result<Option<Arc<Entities>>, QuestionError> {
        if !self.is_plain(question, needs) || needs.entities.is_empty() {
            return Ok(None);
        }
        self.principal_store(question).map(Some)
    }

    /// What plain conditions are read in.
    pub(super) fn moment<'q>(
        &'q self,
        question: &'q Question<'q>,
        principal: Option<&'q Entities>,
    ) -> Moment<'q> {
        Moment {
            answers: &[],
            situation: question.situation,
            action: question.action,
            fields: self.action.fields,
            input: self.input.as_ref(),
            principal: principal.and_then(|alone| alone.iter().next()),
            resource: self.plain_resource(question),
        }
    }

    /// Of which entities something is asked, be it by what the context holds.
    fn entity_needs(&self, question: &Question<'_>, needs: Needs) -> EntityNeeds {
        let of_task =
            question.situation.task.is_some() && needs.context.has(ContextField::TaskParameters);
        let by_context = (self.action.holds_entities && !needs.context.is_empty()) || of_task;
        if by_context { EntityNeeds::ALL } else { needs.entities }
    }

    fn principal_store(&self, question: &Question<'_>) -> Result<Arc<Entities>, QuestionError> {
        let make = || self.store(question, EntityNeeds::PRINCIPAL);
        self.policies.principals.store(question.principal, make)
    }

    /// The answers of the temporal clauses of some policies.
    pub(crate) fn answers<'l>(
        &self,
        question: &Question<'_>,
        leaves: impl Iterator<Item = &'l Arc<Leaf>>,
        past: Option<&Past<'_>>,
    ) -> Answers<'l> {
        let mut leaves = leaves.peekable();
        if leaves.peek().is_none() {
            return Answers::default();
        }
        let context = || {
            let input = self.input.as_ref().map(Arguments::converted).transpose().ok()?;
            let (situation, types) = (question.situation, &self.policies.schema.types);
            let all = ContextFields::ALL;
            let made =
                situation::context(situation, question.action, self.action, input, all, types);
            match made.ok()? {
                Context::Value(members) => Some(Arc::unwrap_or_clone(members)),
                Context::RestrictedResidual(_) => None,
            }
        };
        let (principal, resource) = (self.principal.full_name(), self.resource.full_name());
        let asked = temporal::Asked {
            principal: (&principal, question.principal),
            resource: (&resource, question.resource),
            input: question.input,
            context: &context,
        };
        Answers::of(leaves, &self.policies.monitoring, past, &asked)
    }

    /// What Cedar evaluates conditions in: the parts of it that the conditions look at.
    pub(crate) fn world(
        &self,
        question: &Question<'_>,
        needs: Needs,
        answers: &Answers<'_>,
    ) -> Result<World, QuestionError> {
        let input = self.input.as_ref().map(Arguments::converted).transpose()?;
        let mut context = situation::context(
            question.situation,
            question.action,
            self.action,
            input,
            needs.context,
            &self.policies.schema.types,
        )
        .map_err(|misfit| property("the request".into(), misfit))?;
        if let (true, Context::Value(members)) =
            (needs.context.has(ContextField::Temporal), &mut context)
        {
            Arc::make_mut(members).insert(SmolStr::new_static(MEMBER), answers.record());
        }
        let entities = self.entity_needs(question, needs);
        let entities = if entities.is_empty() {
            Arc::new(Entities::new())
        } else if entities == EntityNeeds::PRINCIPAL {
            self.principal_store(question)?
        } else {
            Arc::new(self.store(question, entities)?)
        };
        let request = ast::Request::new_unchecked(
            known(self.principal, &question.principal.uid),
            EntityUIDEntry::known(self.action.uid.clone(), None),
            known(self.resource, &question.resource.uid),
            Some(context),
        );
        Ok(World { request, entities })
    }

    /// The action.
    pub(crate) const fn action(&self) -> &Action {
        self.action
    }

    /// The types of the schema.
    pub(crate) fn types(&self) -> &Types {
        &self.policies.schema.types
    }

    /// The context with everything that Cedar's policies could look at, save the arguments.
    ///
    /// # Errors
    /// What cannot be held, in words.
    pub(crate) fn whole_context(&self, question: &Question<'_>) -> Result<ast::Context, String> {
        let (needed, types) = (ContextFields::ALL, self.types());
        let (situation, action) = (question.situation, question.action);
        situation::context(situation, action, self.action, None, needed, types)
            .map_err(|misfit| property("the request".into(), misfit).to_string())
    }

    fn store(
        &self,
        question: &Question<'_>,
        needs: EntityNeeds,
    ) -> Result<Entities, QuestionError> {
        let mut all = Vec::new();
        let same = question.principal.uid == question.resource.uid;
        // What is said of an entity first, counts.
        if needs.has(EntityNeeds::PRINCIPAL) || (same && needs.has(EntityNeeds::RESOURCE)) {
            all.push(self.entity(question.principal, self.principal)?);
        }
        if needs.has(EntityNeeds::RESOURCE) && !same {
            all.push(self.entity(question.resource, self.resource)?);
        }
        if needs.has(EntityNeeds::OTHERS) {
            all.extend_from_slice(&self.entities);
            all.push(self.action.entity.clone());
            let mut seen = vec![&question.principal.uid, &question.resource.uid];
            for entity in question.extra {
                if !seen.contains(&&entity.uid) {
                    seen.push(&entity.uid);
                    all.push(self.entity(entity, kind(self.policies, &entity.uid)?)?);
                }
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
        let attributes = converter.stated(&entity.attributes, &kind.attributes).map_err(failed)?;
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
            attributes.into_iter().map(|(name, value)| (name, PartialValue::Value(value))),
            HashSet::new(),
            ancestors,
            tags,
        ))
    }
}

/// What conditions are evaluated in.
pub(crate) struct World {
    request: ast::Request,
    entities: Arc<Entities>,
}

impl World {
    pub(crate) fn evaluator(&self) -> Evaluator<'_> {
        Evaluator::new(self.request.clone(), &self.entities, Extensions::all_available())
    }
}

fn kind<'p>(policies: &'p Policies, uid: &EntityRef) -> Result<&'p EntityKind, QuestionError> {
    let ty = uid.ty.as_str();
    let kind = policies.schema.types.resolve(ty);
    kind.map(|kind| &**kind).ok_or_else(|| QuestionError::UnknownType { ty: uid.ty.shared() })
}

fn uid(kind: &EntityKind, uid: &EntityRef) -> EntityUID {
    EntityUID::from_components(kind.ty.clone(), Eid::new(SmolStr::from(uid.id.shared())), None)
}

fn known(kind: &EntityKind, of: &EntityRef) -> EntityUIDEntry {
    EntityUIDEntry::known(uid(kind, of), None)
}

/// Attributes of an entity that Cedar would have as they are, where they are declared.
pub(super) struct Attributes<'q> {
    of: &'q BTreeMap<Arc<str>, Value>,
    declared: &'q Record,
}

impl<'q> Attributes<'q> {
    pub(super) fn get(&self, name: &SmolStr) -> Option<&'q Value> {
        self.of.get(name.as_str()).filter(|_| self.declared.members.contains_key(name))
    }
}

/// The arguments of a question, as its action declares them.
pub(super) enum Arguments<'p> {
    /// What they would be converted to, they are already.
    AsTheyAre(&'p BTreeMap<Arc<str>, Value>, &'p Record),
    Converted(ast::Value),
}

impl Arguments<'_> {
    fn converted(&self) -> Result<ast::Value, QuestionError> {
        match self {
            Self::Converted(value) => Ok(value.clone()),
            Self::AsTheyAre(members, declared) => {
                let mut converter = Converter::new(AdditionalArguments::Refused);
                converted(members, declared, &mut converter)
            }
        }
    }
}

fn converted(
    members: &BTreeMap<Arc<str>, Value>,
    declared: &Record,
    converter: &mut Converter,
) -> Result<ast::Value, QuestionError> {
    let converted = converter.members(members, declared).map_err(|misfit| match misfit {
        Misfit::Undeclared { pointer } => {
            QuestionError::UndeclaredArgument { pointer: pointer.into() }
        }
        Misfit::Unfit { pointer, problem } => {
            QuestionError::NotRepresentable { pointer: pointer.into(), problem: problem.into() }
        }
    })?;
    Ok(ast::Value::record_arc(Arc::new(converted), None))
}

fn arguments<'p>(
    action: &'p Action,
    input: &'p Value,
    converter: &mut Converter,
) -> Result<Option<Arguments<'p>>, QuestionError> {
    static NOTHING: (BTreeMap<Arc<str>, Value>, Record) =
        (BTreeMap::new(), Record { members: BTreeMap::new() });
    let members = match input {
        Value::Object(members) => members,
        Value::Null => &NOTHING.0,
        other => {
            return Err(QuestionError::NotRepresentable {
                pointer: "".into(),
                problem: format!("is {}, not an object", other.kind()).into(),
            });
        }
    };
    let (record, declared) = match &action.input {
        Some(shape) if shape.opaque => {
            return Ok(Some(Arguments::Converted(ast::Value::empty_record(None))));
        }
        Some(shape) => (&shape.record, shape.required || !members.is_empty()),
        None => (&NOTHING.1, false),
    };
    let arguments = if record.is_as_it_is(members) {
        Arguments::AsTheyAre(members, record)
    } else {
        Arguments::Converted(converted(members, record, converter)?)
    };
    Ok(declared.then_some(arguments))
}

fn property(of: Arc<str>, misfit: Misfit) -> QuestionError {
    let (pointer, problem) = match misfit {
        Misfit::Undeclared { pointer } => (pointer, "is not declared".to_owned()),
        Misfit::Unfit { pointer, problem } => (pointer, problem),
    };
    QuestionError::PropertyNotRepresentable { of, pointer: pointer.into(), problem: problem.into() }
}
