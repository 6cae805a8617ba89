//! How a JSON value becomes a Cedar value of a declared type, exactly or not at all.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{self, Eid, EntityUID, Literal, PartialValue};
use safeconduct_model::Value;
use smol_str::SmolStr;

use crate::exact;

/// What a value must look like, made once from the schema.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Bool,
    Long,
    /// A decimal of a schema that people wrote. JSON has no such type, so that a number and a
    /// text both say one, as in Cedar's own JSON.
    Decimal,
    /// What a tool says is a number. A text would reach the upstream as a text, which is not what
    /// policies saw.
    Number,
    /// What a tool says is a text with a decimal in it.
    DecimalText,
    String,
    Datetime,
    Duration,
    Ip,
    Set(Arc<Shape>),
    Record(Arc<Record>),
    /// A list of fixed length: `proj0`, `proj1`, … in Cedar.
    Tuple(Arc<[Shape]>),
    /// One of several shapes: `typeChoice0`, `typeChoice1`, … in Cedar. All that fit are there.
    Union(Arc<[Shape]>),
    /// A text out of a list, as an entity of an enumerated type.
    Choice(ast::EntityType, Arc<HashSet<SmolStr>>),
    /// A reference to an entity: a text that is its id, or `{"type", "id"}`.
    Reference(ast::EntityType),
    /// An object with open members, as an entity with attributes and tags.
    Tagged(Arc<Tagged>),
    /// `null`, as an entity.
    Null(ast::EntityType),
    /// Anything, as an entity that can only be compared.
    Opaque(ast::EntityType),
}

/// Members by name, in Cedar's order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) members: BTreeMap<SmolStr, Member>,
}

impl Record {
    /// Whether an object has exactly these members, and Cedar has their values as they are:
    /// converting it could neither fail nor change anything.
    pub(crate) fn is_as_it_is(&self, members: &BTreeMap<Arc<str>, Value>) -> bool {
        let declared = |(name, value): (&Arc<str>, &Value)| {
            self.members.get(&**name).is_some_and(|member| member.shape.has_as_it_is(value))
        };
        let there = |(name, member): (&SmolStr, &Member)| {
            !member.required || members.contains_key(name.as_str())
        };
        members.iter().all(declared) && self.members.iter().all(there)
    }

    /// Whether Cedar has the values of those members that are declared as they are, where they are
    /// there: to state them could neither fail nor change anything.
    pub(crate) fn has_as_it_is(&self, members: &BTreeMap<Arc<str>, Value>) -> bool {
        let there = |(name, value): (&Arc<str>, &Value)| {
            self.members.get(&**name).is_none_or(|member| member.shape.has_as_it_is(value))
        };
        members.iter().all(there)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Tagged {
    pub(crate) ty: ast::EntityType,
    pub(crate) attributes: Record,
    pub(crate) tags: Option<Shape>,
}

/// What is done with members that no shape declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AdditionalArguments {
    /// They are an error.
    #[default]
    Refused,
    /// They are left out: policies do not see them.
    LeftOut,
}

/// Why a value does not fit its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It has a member that the shape does not declare.
    Undeclared { pointer: String },
    /// It cannot be what the shape says.
    Unfit { pointer: String, problem: String },
}

/// Converts values, and keeps the entities that open objects become.
#[derive(Debug)]
pub(crate) struct Converter {
    additional: AdditionalArguments,
    /// The way to the value at hand.
    path: Vec<Step>,
    pub(crate) entities: Vec<ast::Entity>,
}

#[derive(Debug)]
enum Step {
    Member(SmolStr),
    Element(usize),
}

impl Converter {
    pub(crate) fn new(additional: AdditionalArguments) -> Self {
        Self { additional, path: Vec::new(), entities: Vec::new() }
    }

    /// JSON Pointer (RFC 6901) to the value at hand.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Member(name) => {
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                }
                Step::Element(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }

    fn unfit(&self, problem: impl Into<String>) -> Misfit {
        Misfit::Unfit { pointer: self.pointer(), problem: problem.into() }
    }

    fn below<T>(
        &mut self,
        step: Step,
        convert: impl FnOnce(&mut Self) -> Result<T, Misfit>,
    ) -> Result<T, Misfit> {
        self.path.push(step);
        let converted = convert(self);
        if converted.is_ok() {
            self.path.pop();
        }
        converted
    }

    /// The Cedar value of that shape.
    pub(crate) fn convert(&mut self, value: &Value, shape: &Shape) -> Result<ast::Value, Misfit> {
        match (shape, value) {
            (Shape::Bool, Value::Bool(b)) => Ok(ast::Value::from(*b)),
            (Shape::Long, Value::Integer(n)) => Ok(ast::Value::from(*n)),
            (Shape::Long, Value::Number(n)) => exact::long(n.as_str())
                .map(ast::Value::from)
                .ok_or_else(|| self.unfit("is not an integer that fits 64 bits")),
            (Shape::Decimal | Shape::Number, Value::Integer(n)) => {
                self.extension(exact::decimal(&n.to_string()))
            }
            (Shape::Decimal | Shape::Number, Value::Number(n)) => {
                self.extension(exact::decimal(n.as_str()))
            }
            (Shape::Decimal | Shape::DecimalText, Value::String(text)) => {
                self.extension(exact::decimal(text))
            }
            // A long text is shared, not copied.
            (Shape::String, Value::String(text)) => {
                Ok(ast::Value::from(SmolStr::from(Arc::clone(text))))
            }
            (Shape::Datetime, Value::String(text)) => self.extension(exact::datetime(text)),
            (Shape::Duration, Value::String(text)) => self.extension(exact::duration(text)),
            (Shape::Ip, Value::String(text)) => self.extension(exact::ip(text)),
            (Shape::Set(element), Value::Array(items)) => self.set(items, element),
            (Shape::Record(record), Value::Object(members)) => {
                Ok(ast::Value::record_arc(Arc::new(self.members(members, record)?), None))
            }
            (Shape::Tuple(shapes), Value::Array(items)) => self.tuple(items, shapes),
            (Shape::Union(shapes), _) => self.union(value, shapes),
            (Shape::Choice(ty, choices), Value::String(text)) if choices.contains(&**text) => {
                Ok(entity(ty, text))
            }
            (Shape::Choice(..), Value::String(_)) => Err(self.unfit("is not one of the choices")),
            (Shape::Reference(ty), _) => self.reference(value, ty),
            (Shape::Tagged(tagged), Value::Object(members)) => self.tagged(members, tagged),
            (Shape::Null(ty), Value::Null) => Ok(entity(ty, "null")),
            (Shape::Opaque(ty), _) => Ok(entity(ty, &format!("{value:?}"))),
            (shape, value) => {
                Err(self.unfit(format!("is {}, not {}", value.kind(), shape.expected())))
            }
        }
    }

    fn extension(&self, made: Result<ast::Value, String>) -> Result<ast::Value, Misfit> {
        made.map_err(|problem| self.unfit(problem))
    }

    fn set(&mut self, items: &[Value], element: &Shape) -> Result<ast::Value, Misfit> {
        let mut converted = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            converted.push(self.below(Step::Element(index), |this| this.convert(item, element))?);
        }
        Ok(ast::Value::set(converted, None))
    }

    fn tuple(&mut self, items: &[Value], shapes: &[Shape]) -> Result<ast::Value, Misfit> {
        if items.len() != shapes.len() {
            return Err(self.unfit(format!("does not have {} elements", shapes.len())));
        }
        let mut members = BTreeMap::new();
        for (index, (item, shape)) in items.iter().zip(shapes).enumerate() {
            let value = self.below(Step::Element(index), |this| this.convert(item, shape))?;
            members.insert(SmolStr::from(format!("proj{index}")), value);
        }
        Ok(ast::Value::record_arc(Arc::new(members), None))
    }

    fn union(&mut self, value: &Value, shapes: &[Shape]) -> Result<ast::Value, Misfit> {
        let mut members = BTreeMap::new();
        let (depth, kept) = (self.path.len(), self.entities.len());
        for (index, shape) in shapes.iter().enumerate() {
            let before = self.entities.len();
            match self.convert(value, shape) {
                Ok(fits) => {
                    members.insert(SmolStr::from(format!("typeChoice{index}")), fits);
                }
                Err(_) => {
                    self.path.truncate(depth);
                    self.entities.truncate(before);
                }
            }
        }
        if members.is_empty() {
            self.entities.truncate(kept);
            return Err(self.unfit("fits none of the types that it may have"));
        }
        Ok(ast::Value::record_arc(Arc::new(members), None))
    }

    /// The members of an object that has exactly those of `record`.
    pub(crate) fn members(
        &mut self,
        members: &BTreeMap<Arc<str>, Value>,
        record: &Record,
    ) -> Result<BTreeMap<SmolStr, ast::Value>, Misfit> {
        if self.additional == AdditionalArguments::Refused
            && let Some(name) = members.keys().find(|name| !record.members.contains_key(&***name))
        {
            self.path.push(Step::Member(SmolStr::from(&**name)));
            return Err(Misfit::Undeclared { pointer: self.pointer() });
        }
        self.declared(members, record)
    }

    /// The members of an object that `record` declares; others are left out.
    fn declared(
        &mut self,
        members: &BTreeMap<Arc<str>, Value>,
        record: &Record,
    ) -> Result<BTreeMap<SmolStr, ast::Value>, Misfit> {
        let mut converted = BTreeMap::new();
        for (name, member) in &record.members {
            match members.get(name.as_str()) {
                Some(value) => {
                    let step = Step::Member(name.clone());
                    let value = self.below(step, |this| this.convert(value, &member.shape))?;
                    converted.insert(name.clone(), value);
                }
                None if member.required => {
                    self.path.push(Step::Member(name.clone()));
                    return Err(self.unfit("is required and not there"));
                }
                None => {}
            }
        }
        Ok(converted)
    }

    /// The members that `record` declares of what is stated beside the arguments: what is not
    /// stated is not there, and `null` states nothing.
    pub(crate) fn stated(
        &mut self,
        members: &BTreeMap<Arc<str>, Value>,
        record: &Record,
    ) -> Result<BTreeMap<SmolStr, ast::Value>, Misfit> {
        let mut converted = BTreeMap::new();
        for (name, member) in &record.members {
            if let Some(value) = members.get(name.as_str()).filter(|v| **v != Value::Null) {
                let step = Step::Member(name.clone());
                let value = self.below(step, |this| this.convert(value, &member.shape))?;
                converted.insert(name.clone(), value);
            }
        }
        Ok(converted)
    }

    fn tagged(
        &mut self,
        members: &BTreeMap<Arc<str>, Value>,
        tagged: &Tagged,
    ) -> Result<ast::Value, Misfit> {
        let attributes = self.declared(members, &tagged.attributes)?;
        let mut tags = Vec::new();
        for (name, value) in members {
            if attributes.contains_key(&**name) {
                continue;
            }
            let step = Step::Member(SmolStr::from(&**name));
            let Some(shape) = &tagged.tags else {
                if self.additional == AdditionalArguments::LeftOut {
                    continue;
                }
                self.path.push(step);
                return Err(Misfit::Undeclared { pointer: self.pointer() });
            };
            let value = self.below(step, |this| this.convert(value, shape))?;
            tags.push((SmolStr::from(&**name), PartialValue::Value(value)));
        }
        // Named by its place, so that two of one request never are the same entity.
        let uid = EntityUID::from_components(tagged.ty.clone(), Eid::new(self.pointer()), None);
        let attributes = attributes.into_iter().map(|(k, v)| (k, PartialValue::Value(v)));
        self.entities.push(ast::Entity::new_with_attr_partial_value(
            uid.clone(),
            attributes,
            HashSet::new(),
            HashSet::new(),
            tags,
        ));
        Ok(ast::Value::new(Literal::from(uid), None))
    }

    fn reference(&self, value: &Value, ty: &ast::EntityType) -> Result<ast::Value, Misfit> {
        if let Some(id) = value.as_str() {
            return Ok(entity(ty, id));
        }
        let part = |name| value.member(name).and_then(Value::as_str);
        match (part("type"), part("id")) {
            (Some(found), Some(id)) if found == ty.to_string() => Ok(entity(ty, id)),
            _ => Err(self.unfit(format!("does not name an entity of type `{ty}`"))),
        }
    }
}

fn entity(ty: &ast::EntityType, id: &str) -> ast::Value {
    let uid = EntityUID::from_components(ty.clone(), Eid::new(id), None);
    ast::Value::new(Literal::from(uid), None)
}

impl Shape {
    /// What it wants, for messages.
    const fn expected(&self) -> &'static str {
        match self {
            Self::Bool => "a boolean",
            Self::Long => "an integer",
            Self::Decimal | Self::Number => "a number",
            Self::DecimalText => "a string with a decimal number",
            Self::String | Self::Choice(..) => "a string",
            Self::Datetime => "a string with a date and time",
            Self::Duration => "a string with a duration",
            Self::Ip => "a string with an IP address",
            Self::Set(_) | Self::Tuple(_) => "an array",
            Self::Record(_) | Self::Tagged(_) => "an object",
            Self::Union(_) => "one of the types that it may have",
            Self::Reference(_) => "the name of an entity",
            Self::Null(_) => "null",
            Self::Opaque(_) => "a value",
        }
    }

    /// Whether a value is of this shape, and needs no conversion.
    const fn has_as_it_is(&self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::Bool, Value::Bool(_))
                | (Self::Long, Value::Integer(_))
                | (Self::String, Value::String(_))
        )
    }

    /// Whether values of this shape can hold entities that have attributes or tags.
    pub(crate) fn holds_entities(&self) -> bool {
        match self {
            Self::Set(element) => element.holds_entities(),
            Self::Record(record) => record.members.values().any(|m| m.shape.holds_entities()),
            Self::Tuple(shapes) | Self::Union(shapes) => shapes.iter().any(Self::holds_entities),
            Self::Reference(_) | Self::Tagged(_) => true,
            _ => false,
        }
    }
}
