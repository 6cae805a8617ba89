//! Actions: whom and what they apply to, and what their context holds.

use std::collections::HashSet;

use cedar_policy_core::ast::{self, EntityUID};
use cedar_policy_core::validator::types::Type;
use cedar_policy_core::validator::{ValidatorActionId, ValidatorSchema};
use foldhash::quality::FixedState;
use smol_str::SmolStr;

use super::input::Input;
use super::types::{self, TypeId, Types};
use crate::shape::{Member, Record};
use crate::temporal::MEMBER;

/// One action that can be asked about.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) uid: EntityUID,
    /// Its groups, the indirect ones too.
    pub(crate) ancestors: Vec<EntityUID>,
    pub(crate) entity: ast::Entity,
    pub(crate) principals: hashbrown::HashSet<TypeId, FixedState>,
    pub(crate) resources: hashbrown::HashSet<TypeId, FixedState>,
    /// What `context.input` looks like; `None` where the action declares none.
    pub(crate) input: Option<InputShape>,
    /// Which members of the shipped context its context has.
    pub(crate) fields: ContextFields,
    /// Members of its context that are its own: they come from what the enforcement point says.
    pub(crate) own: Record,
    /// What `context.request` looks like.
    pub(crate) request: Option<Record>,
    /// Whether its context can hold entities.
    pub(crate) holds_entities: bool,
}

/// What the arguments of an action look like.
#[derive(Debug)]
pub(crate) struct InputShape {
    pub(crate) record: Record,
    /// Whether its definition could not be read: policies see no argument of it.
    pub(crate) opaque: bool,
    pub(crate) required: bool,
}

/// One member of the shipped context that is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContextField {
    Input,
    Session,
    Identity,
    Action,
    Time,
    Task,
    TaskId,
    TaskIntent,
    TaskVersion,
    /// `context.task.parameters`, which points to an entity; whoever looks at the whole task, or
    /// at what not every task has, looks at this too.
    TaskParameters,
    TaskDepth,
    TaskBudgetLeft,
    TaskAge,
    Request,
    /// A member of the action's own.
    Own,
    /// The answers of temporal clauses, which no text names.
    Temporal,
    SessionSteps,
    SessionDenials,
    SessionDistinctResources,
    SessionCallsLeft,
    /// `context.session.actions`, which is long.
    SessionActions,
    IdentityMethod,
    IdentityAssurance,
    IdentityAge,
    ActionName,
    ActionTier,
    ActionEffect,
    ActionTrust,
    ActionGuessed,
    ActionAccepts,
    SessionUntrusted,
    SessionSensitivity,
    SessionCategories,
    SessionAboveSink,
    Flow,
    FlowFromTask,
    FlowFromTrusted,
    FlowFromUntrusted,
    FlowUnseen,
    FlowAddresses,
    FlowCommands,
    FlowAmounts,
    FlowCarries,
    Risk,
    RiskScore,
    RiskLevel,
    RiskSignals,
    Approval,
}

impl ContextField {
    const SHIPPED: [(Self, &'static str, &'static str); 8] = [
        (Self::Session, "session", "Session"),
        (Self::Identity, "identity", "Proof"),
        (Self::Action, "action", "ActionFacts"),
        (Self::Time, "time", "Time"),
        (Self::Task, "task", "Task"),
        (Self::Flow, "flow", "Flow"),
        (Self::Risk, "risk", "Risk"),
        (Self::Approval, "approval", "Approval"),
    ];

    /// Members of members that are there in every context that has what holds them: a condition
    /// that looks at one of them cannot tell whether the others are there.
    const INNER: [(Self, &'static str, Self); 36] = [
        (Self::Session, "steps", Self::SessionSteps),
        (Self::Session, "denials", Self::SessionDenials),
        (Self::Session, "distinct_resources", Self::SessionDistinctResources),
        (Self::Session, "calls_left", Self::SessionCallsLeft),
        (Self::Session, "actions", Self::SessionActions),
        (Self::Identity, "method", Self::IdentityMethod),
        (Self::Identity, "assurance", Self::IdentityAssurance),
        (Self::Identity, "age_s", Self::IdentityAge),
        (Self::Action, "name", Self::ActionName),
        (Self::Action, "tier", Self::ActionTier),
        (Self::Action, "effect", Self::ActionEffect),
        (Self::Action, "trust", Self::ActionTrust),
        (Self::Action, "guessed", Self::ActionGuessed),
        (Self::Action, "accepts", Self::ActionAccepts),
        (Self::Session, "untrusted", Self::SessionUntrusted),
        (Self::Session, "sensitivity", Self::SessionSensitivity),
        (Self::Session, "categories", Self::SessionCategories),
        (Self::Session, "above_sink", Self::SessionAboveSink),
        (Self::Flow, "from_task", Self::FlowFromTask),
        (Self::Flow, "from_trusted", Self::FlowFromTrusted),
        (Self::Flow, "from_untrusted", Self::FlowFromUntrusted),
        (Self::Flow, "unseen", Self::FlowUnseen),
        (Self::Flow, "addresses", Self::FlowAddresses),
        (Self::Flow, "commands", Self::FlowCommands),
        (Self::Flow, "amounts", Self::FlowAmounts),
        (Self::Flow, "carries", Self::FlowCarries),
        (Self::Task, "id", Self::TaskId),
        (Self::Task, "intent", Self::TaskIntent),
        (Self::Task, "version", Self::TaskVersion),
        (Self::Task, "parameters", Self::TaskParameters),
        (Self::Task, "depth", Self::TaskDepth),
        (Self::Task, "budget_left", Self::TaskBudgetLeft),
        (Self::Task, "age_s", Self::TaskAge),
        (Self::Risk, "score", Self::RiskScore),
        (Self::Risk, "level", Self::RiskLevel),
        (Self::Risk, "signals", Self::RiskSignals),
    ];

    /// The member of that name of this one, where it can stand alone.
    pub(crate) fn inner(self, name: &str) -> Option<Self> {
        let found = Self::INNER.into_iter().find(|(of, inner, _)| *of == self && *inner == name);
        found.map(|(.., inner)| inner)
    }

    /// How policies name it.
    pub(crate) fn named(self) -> String {
        let shipped = |field: Self| {
            let found = Self::SHIPPED.into_iter().find(|(of, ..)| *of == field);
            found.map(|(_, name, _)| name)
        };
        let inner = Self::INNER.into_iter().find(|(.., field)| *field == self);
        match (self, inner, shipped(self)) {
            (Self::Input, ..) => "context.input".to_owned(),
            (Self::Request, ..) => "context.request".to_owned(),
            (Self::Temporal, ..) => "when temporal".to_owned(),
            (_, Some((of, name, _)), _) => {
                format!("context.{}.{name}", shipped(of).unwrap_or_default())
            }
            (_, None, Some(name)) => format!("context.{name}"),
            (_, None, None) => "context".to_owned(),
        }
    }

    /// The field of that name.
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "input" => Self::Input,
            "request" => Self::Request,
            MEMBER => Self::Temporal,
            _ => Self::SHIPPED
                .into_iter()
                .find(|(_, shipped, _)| *shipped == name)
                .map_or(Self::Own, |(field, ..)| field),
        }
    }
}

/// A set of context members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ContextFields(u64);

impl ContextFields {
    pub(crate) const ALL: Self = Self(u64::MAX);

    #[must_use]
    pub(crate) const fn with(self, field: ContextField) -> Self {
        Self(self.0 | 1 << field as u32)
    }

    /// With a member, and all that it holds.
    #[must_use]
    pub(crate) fn with_whole(self, field: ContextField) -> Self {
        let inner = ContextField::INNER.into_iter().filter(|(of, ..)| *of == field);
        inner.fold(self.with(field), |fields, (.., inner)| fields.with(inner))
    }

    #[must_use]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, field: ContextField) -> bool {
        self.0 & 1 << field as u32 != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the other has all of these.
    pub(crate) const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The first that the other has not, those first that are parts of others.
    pub(crate) fn first_beyond(self, other: Self) -> Option<ContextField> {
        use ContextField::{Input, Own, Request, Temporal};
        let inner = ContextField::INNER.into_iter().map(|(.., inner)| inner);
        let shipped = ContextField::SHIPPED.into_iter().map(|(field, ..)| field);
        let mut all =
            [Input, Temporal].into_iter().chain(inner).chain(shipped).chain([Request, Own]);
        all.find(|field| self.has(*field) && !other.has(*field))
    }
}

impl Action {
    pub(super) fn of(
        declared: &ValidatorActionId,
        ancestors: Vec<EntityUID>,
        tool: Option<&Input>,
        schema: &ValidatorSchema,
        types: &Types,
    ) -> Self {
        let uid = declared.name().clone();
        let entity = ast::Entity::new_with_attr_partial_value(
            uid.clone(),
            [],
            HashSet::new(),
            ancestors.iter().cloned().collect(),
            [],
        );
        let ids = |names: &mut dyn Iterator<Item = &ast::EntityType>| {
            names.filter_map(|ty| types.id(ty)).collect()
        };
        let mut action = Self {
            uid,
            ancestors,
            entity,
            principals: ids(&mut declared.principals()),
            resources: ids(&mut declared.resources()),
            input: None,
            fields: ContextFields::default(),
            own: Record::default(),
            request: None,
            holds_entities: false,
        };
        if let Type::Record { attrs, .. } = declared.context() {
            for (name, attribute) in attrs.iter() {
                let member = (&*attribute.attr_type, attribute.is_required());
                action.add(name, member, tool, schema);
            }
        }
        let input = action.input.iter().map(|input| &input.record);
        action.holds_entities = input
            .chain(action.request.iter())
            .chain([&action.own])
            .any(|record| record.members.values().any(|m| m.shape.holds_entities()));
        action
    }

    fn add(
        &mut self,
        name: &SmolStr,
        (ty, required): (&Type, bool),
        tool: Option<&Input>,
        schema: &ValidatorSchema,
    ) {
        match ContextField::of(name) {
            ContextField::Input => {
                let (record, opaque) = match (tool, ty) {
                    (Some(tool), _) => tool.shape(ty, schema),
                    (None, Type::Record { attrs, .. }) => (types::record(attrs, schema), false),
                    (None, _) => return,
                };
                self.input = Some(InputShape { record, opaque, required });
            }
            ContextField::Request => {
                if let Type::Record { attrs, .. } = ty {
                    self.request = Some(types::record(attrs, schema));
                }
            }
            ContextField::Temporal => {}
            ContextField::Own => {
                if let Some(shape) = types::shape(ty, schema) {
                    self.own.members.insert(name.clone(), Member { shape, required });
                }
            }
            // INVARIANT: `merge::widen_contexts` gave these members their shipped types, and
            // refused a declaration that gives them another.
            field => self.fields = self.fields.with(field),
        }
    }
}
