//! One question: `POST /access/v1/evaluation` (section 6.1).

use safeconduct_model::{ActionName, Entity, EntityId, EntityRef, EntityType, Value};

use super::direct;
use crate::field::{FieldError, Fields, wrong_kind};
use crate::json::{self, JsonError};

/// Why a body is no question: the caller is at fault, and the answer is 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthzenError {
    /// The body is not the JSON that it must be.
    #[error("the body is not acceptable JSON: {0}")]
    Json(#[from] JsonError),
    /// A field is missing or does not fit.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// One question, in the model's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// Who wants to act, and what the enforcement point says of them.
    pub subject: Entity,
    /// What they want to do.
    pub action: ActionName,
    /// The action's properties: its arguments. An empty object where there are none.
    pub input: Value,
    /// What they want to do it to, and what the enforcement point says of it.
    pub resource: Entity,
    /// What else the enforcement point says: an object.
    pub context: Option<Value>,
}

impl Evaluation {
    /// Reads the body of an evaluation request.
    ///
    /// # Errors
    /// [`AuthzenError`] where it is not strict JSON, or names the first field that is missing or
    /// ill-typed.
    pub fn parse(body: &[u8]) -> Result<Self, AuthzenError> {
        match direct::evaluation(body) {
            Some(question) => Ok(question),
            // Something is not as it mostly is: this way finds out what, and whether it matters.
            None => Ok(Self::from_value(json::parse(body)?)?),
        }
    }

    /// Reads an evaluation request from a value.
    ///
    /// # Errors
    /// [`FieldError`] names the first field that is missing or ill-typed.
    pub fn from_value(value: Value) -> Result<Self, FieldError> {
        let mut fields = Fields::of(value, "")?;
        Parts::read(&mut fields)?.complete(&fields)
    }

    /// The types of obligation that the enforcement point says it can carry out
    /// (`context.supported_obligations`, obligations profile); `None` where it says nothing.
    pub fn supported_obligations(&self) -> Option<Vec<&str>> {
        let listed = self.context.as_ref()?.member("supported_obligations")?.as_array()?;
        Some(listed.iter().filter_map(Value::as_str).collect())
    }
}

/// An action's name with its arguments.
pub(super) type Call = (ActionName, Value);

/// The four parts of a question, each of which a batch may give once for all.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) subject: Option<Entity>,
    pub(super) action: Option<Call>,
    pub(super) resource: Option<Entity>,
    pub(super) context: Option<Value>,
}

impl Parts {
    /// Takes the parts that are there out of an object.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, FieldError> {
        Ok(Self {
            subject: part(fields, "subject", entity)?,
            action: part(fields, "action", call)?,
            resource: part(fields, "resource", entity)?,
            context: part(fields, "context", object)?,
        })
    }

    /// These parts, and the defaults where these lack one: replaced whole, never merged
    /// (section 7.1.1).
    pub(super) fn or(self, defaults: &Self) -> Self {
        Self {
            subject: self.subject.or_else(|| defaults.subject.clone()),
            action: self.action.or_else(|| defaults.action.clone()),
            resource: self.resource.or_else(|| defaults.resource.clone()),
            context: self.context.or_else(|| defaults.context.clone()),
        }
    }

    /// The question, if no required part is missing.
    pub(super) fn complete(self, fields: &Fields) -> Result<Evaluation, FieldError> {
        let (action, input) = self.action.ok_or_else(|| fields.missing("action"))?;
        Ok(Evaluation {
            subject: self.subject.ok_or_else(|| fields.missing("subject"))?,
            action,
            input,
            resource: self.resource.ok_or_else(|| fields.missing("resource"))?,
            context: self.context,
        })
    }

    /// How many values these parts hold, for the limit on what a batch repeats.
    pub(super) fn values(&self) -> usize {
        let of = |entity: &Entity| 2 + entity.attributes.values().map(values).sum::<usize>();
        self.subject.as_ref().map_or(0, of)
            + self.resource.as_ref().map_or(0, of)
            + self.action.as_ref().map_or(0, |(_, input)| 1 + values(input))
            + self.context.as_ref().map_or(0, values)
    }
}

fn values(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(values).sum(),
        Value::Object(members) => members.values().map(values).sum(),
        _ => 0,
    }
}

/// Reads one part, where it is there. The way to a field is put together only for an error.
pub(super) fn part<T>(
    fields: &mut Fields,
    name: &str,
    read: fn(Value) -> Result<T, FieldError>,
) -> Result<Option<T>, FieldError> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    read(value).map(Some).map_err(|error| fields.error_in(name, error))
}

pub(super) fn entity(value: Value) -> Result<Entity, FieldError> {
    let mut fields = Fields::of(value, "")?;
    let ty = fields.name("type", EntityType::new)?;
    let id = fields.name("id", EntityId::new)?;
    let attributes = fields.object("properties")?.unwrap_or_default();
    Ok(Entity { uid: EntityRef { ty, id }, attributes, ancestors: Vec::new() })
}

pub(super) fn call(value: Value) -> Result<Call, FieldError> {
    let mut fields = Fields::of(value, "")?;
    let name = fields.name("name", ActionName::new)?;
    let input = fields.object("properties")?.unwrap_or_default();
    Ok((name, Value::Object(input)))
}

pub(super) fn object(value: Value) -> Result<Value, FieldError> {
    match value {
        Value::Object(_) => Ok(value),
        other => Err(wrong_kind("", &other, "an object")),
    }
}
