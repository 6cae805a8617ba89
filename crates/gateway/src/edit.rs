//! Small changes to values that are objects.

use std::sync::Arc;

use safeconduct_model::Value;

/// Sets a member; what is no object becomes one.
pub(crate) fn set(value: &mut Value, name: &str, member: impl Into<Value>) {
    if !matches!(value, Value::Object(_)) {
        *value = Value::object::<Arc<str>>([]);
    }
    if let Value::Object(members) = value {
        members.insert(name.into(), member.into());
    }
}

/// Takes a member out.
pub(crate) fn take(value: &mut Value, name: &str) -> Option<Value> {
    match value {
        Value::Object(members) => members.remove(name),
        _ => None,
    }
}

/// The member of that name, to change it.
pub(crate) fn member_mut<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(members) => members.get_mut(name),
        _ => None,
    }
}

/// Sets a member of the `_meta` object.
pub(crate) fn set_meta(value: &mut Value, name: &str, member: impl Into<Value>) {
    let mut meta = take(value, "_meta").unwrap_or_default();
    set(&mut meta, name, member);
    set(value, "_meta", meta);
}

/// Takes a member out of the `_meta` object; an empty `_meta` goes too.
pub(crate) fn take_meta(value: &mut Value, name: &str) -> Option<Value> {
    let meta = member_mut(value, "_meta")?;
    let taken = take(meta, name);
    if meta.as_object().is_some_and(|members| members.is_empty()) {
        take(value, "_meta");
    }
    taken
}

/// A member of the `_meta` object.
pub(crate) fn meta<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.member("_meta")?.member(name)
}

/// An object without members.
pub(crate) fn empty() -> Value {
    Value::object::<Arc<str>>([])
}
