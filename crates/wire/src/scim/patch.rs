//! Patches (RFC 7644, section 3.5.2) of resources whose attributes are texts, truth values, and
//! lists of objects with a `value`: `members`. What directories are known to write otherwise is
//! read as they mean it: operations in capitals, truth values as texts, a path within a value.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use safeconduct_model::Value;

use super::filter::is_attribute;
use super::{GROUP, PATCH, PATCH_OPERATIONS_MAX, ScimError, USER, filter, member, without_schema};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchOp {
    /// A value is added, or put in place of one.
    Add,
    /// A value is put in place of another.
    Replace,
    /// A value is taken away.
    Remove,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchOperation {
    /// What is done.
    pub op: PatchOp,
    /// To which attribute; to those that the value names where there is none.
    pub path: Option<PatchPath>,
    /// With which value.
    pub value: Option<Value>,
}

/// To what something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchPath {
    /// The attribute, in lower case.
    pub attribute: String,
    /// Of its values, the one whose `value` is this.
    pub only: Option<String>,
    /// The part of it, in lower case.
    pub part: Option<String>,
}

/// Reads the operations of a patch.
///
/// # Errors
/// [`ScimError`].
pub fn patch(body: &Value) -> Result<Vec<PatchOperation>, ScimError> {
    let syntax = |why: &str| ScimError::Syntax(why.to_owned());
    let schemas = member(body, "schemas").and_then(Value::as_array).unwrap_or_default();
    if !schemas.iter().any(|schema| schema.as_str().is_some_and(|s| s.eq_ignore_ascii_case(PATCH)))
    {
        return Err(syntax("`schemas` does not say that it is a patch"));
    }
    let operations = member(body, "Operations").and_then(Value::as_array);
    let operations = operations.ok_or_else(|| syntax("there are no `Operations`"))?;
    if operations.is_empty() || operations.len() > PATCH_OPERATIONS_MAX {
        return Err(syntax("there are no `Operations`, or too many"));
    }
    operations.iter().map(operation).collect()
}

fn operation(operation: &Value) -> Result<PatchOperation, ScimError> {
    let syntax = |why: &str| ScimError::Syntax(why.to_owned());
    let op = member(operation, "op").and_then(Value::as_str).unwrap_or_default();
    let op = match op.to_ascii_lowercase().as_str() {
        "add" => PatchOp::Add,
        "replace" => PatchOp::Replace,
        "remove" => PatchOp::Remove,
        _ => return Err(syntax("`op` must be `add`, `replace` or `remove`")),
    };
    let path = match member(operation, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(path(text)?),
        Some(_) => return Err(ScimError::Path("it is no text".to_owned())),
    };
    let value = member(operation, "value").cloned();
    match (op, &path, &value) {
        (PatchOp::Remove, None, _) => Err(ScimError::NoTarget("a removal without a path".into())),
        (PatchOp::Add | PatchOp::Replace, _, None) => Err(syntax("`value` is missing")),
        (PatchOp::Add | PatchOp::Replace, None, Some(value)) if value.as_object().is_none() => {
            Err(syntax("`value` must be an object where there is no `path`"))
        }
        _ => Ok(PatchOperation { op, path, value }),
    }
}

/// `attribute`, `attribute.part`, `attribute[value eq "x"]`, `attribute[value eq "x"].part`; each
/// may have its schema before it.
fn path(text: &str) -> Result<PatchPath, ScimError> {
    let no = |why: &str| ScimError::Path(why.to_owned());
    let text = without_schema(text.trim(), &[USER, GROUP]);
    let (name, only, rest) = match text.split_once('[') {
        None => (text, None, ""),
        Some((name, rest)) => {
            let (inner, rest) = rest.rsplit_once(']').ok_or_else(|| no("`]` is missing"))?;
            let terms = filter(inner).map_err(|error| no(&error.to_string()))?;
            match <[_; 1]>::try_from(terms) {
                Ok([term]) if term.attribute == "value" => (name, Some(term.value), rest),
                _ => return Err(no("values are found by `value` alone")),
            }
        }
    };
    let (name, part) = match (name.split_once('.'), rest.strip_prefix('.')) {
        (Some((name, part)), None) if only.is_none() => (name, Some(part)),
        (None, part) if part.is_some() || rest.is_empty() => (name, part),
        _ => return Err(no("it is none")),
    };
    if !is_attribute(name) || !part.is_none_or(is_attribute) {
        return Err(no("an attribute is expected"));
    }
    let lower = str::to_ascii_lowercase;
    Ok(PatchPath { attribute: lower(name), only, part: part.map(lower) })
}

/// What a kind of resource has.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    /// Those that are texts or truth values, as they are written.
    pub single: &'static [&'static str],
    /// Those that are lists of objects with a `value`.
    pub lists: &'static [&'static str],
    /// Those that cannot be changed.
    pub fixed: &'static [&'static str],
}

impl Attributes {
    fn find(list: &'static [&'static str], name: &str) -> Option<&'static str> {
        list.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
    }
}

/// A resource after a patch. Attributes that it does not have are let be: a directory may keep
/// more than is kept here.
///
/// # Errors
/// [`ScimError`]: nothing of it counts.
pub fn patched(
    resource: Value,
    operations: &[PatchOperation],
    has: Attributes,
) -> Result<Value, ScimError> {
    let Value::Object(mut members) = resource else {
        return Err(ScimError::Syntax("the resource is no object".to_owned()));
    };
    for operation in operations {
        match (&operation.path, &operation.value) {
            (Some(path), value) => {
                apply(&mut members, operation.op, path, value.as_ref(), has)?;
            }
            (None, Some(Value::Object(values))) => {
                for (name, value) in values {
                    // Some write the path as the name.
                    let path = path(name)?;
                    apply(&mut members, operation.op, &path, Some(value), has)?;
                }
            }
            (None, _) => return Err(ScimError::Syntax("`value` is missing".to_owned())),
        }
    }
    Ok(Value::Object(members))
}

fn apply(
    members: &mut BTreeMap<Arc<str>, Value>,
    op: PatchOp,
    path: &PatchPath,
    value: Option<&Value>,
    has: Attributes,
) -> Result<(), ScimError> {
    let name = path.attribute.as_str();
    if let Some(name) = Attributes::find(has.single, name) {
        if path.only.is_some() || path.part.is_some() {
            return Err(ScimError::Path(format!("`{name}` has no parts")));
        }
        match (op, value) {
            (PatchOp::Remove, _) | (_, Some(Value::Null)) => members.remove(name),
            (_, Some(value)) => members.insert(name.into(), value.clone()),
            (_, None) => return Err(ScimError::Syntax("`value` is missing".to_owned())),
        };
        return Ok(());
    }
    if let Some(fixed) = Attributes::find(has.fixed, name) {
        let same = op != PatchOp::Remove && members.get(fixed) == value;
        return if same { Ok(()) } else { Err(ScimError::Mutability(fixed.to_owned())) };
    }
    let Some(name) = Attributes::find(has.lists, name) else { return Ok(()) };
    if path.part.is_some() {
        return Err(ScimError::Mutability(format!("{name}.value")));
    }
    let mut held = match members.remove(name) {
        Some(Value::Array(held)) => held,
        _ => Vec::new(),
    };
    let named = value.map(listed).unwrap_or_default();
    match (op, &path.only) {
        (PatchOp::Add, None) => {
            let mut new: HashSet<_> = named.iter().map(value_of).collect();
            for other in &held {
                new.remove(&value_of(other));
            }
            let new = named.iter().filter(|one| new.remove(&value_of(one))).cloned();
            let new: Vec<Value> = new.collect();
            held.extend(new);
        }
        (PatchOp::Replace, None) => held = named,
        // Some say whom to take away in the value.
        (PatchOp::Remove, None) if !named.is_empty() => {
            let gone: HashSet<_> = named.iter().map(value_of).collect();
            held.retain(|one| !gone.contains(&value_of(one)));
        }
        (PatchOp::Remove, None) => held.clear(),
        (PatchOp::Remove, Some(only)) => held.retain(|one| value_of(one) != Some(only)),
        (PatchOp::Add | PatchOp::Replace, Some(only)) => {
            return Err(ScimError::NoTarget(format!("{name}[value eq \"{only}\"]")));
        }
    }
    members.insert(name.into(), Value::Array(held));
    Ok(())
}

/// The elements of a value, which may be one alone.
fn listed(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn value_of(one: &Value) -> Option<&str> {
    member(one, "value").and_then(Value::as_str)
}
