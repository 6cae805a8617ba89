//! To and from `serde_json::Value`, for paths where nobody waits: administration, schemas,
//! tools that other crates build from JSON.

use safeconduct_model::{Number, Value};
use serde_json::Value as Json;

/// The same value as `serde_json` has it. A number that is neither an integer of 64 bits nor
/// exact as a double becomes the nearest double; where there is none, its text.
pub fn to_serde(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Integer(n) => Json::from(*n),
        Value::Number(n) => serde_json::from_str::<serde_json::Number>(n.as_str())
            .map_or_else(|_| Json::from(n.as_str()), Json::Number),
        Value::String(text) => Json::from(&**text),
        Value::Array(items) => Json::Array(items.iter().map(to_serde).collect()),
        Value::Object(members) => Json::Object(
            members.iter().map(|(name, value)| (name.to_string(), to_serde(value))).collect(),
        ),
    }
}

/// The same value as the model has it. A double keeps the text that `serde_json` gives it.
pub fn from_serde(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(n) => Value::Integer(n),
            None => Number::parse(&n.to_string()).map_or(Value::Null, Value::Number),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().map(from_serde).collect()),
        Json::Object(members) => {
            Value::object(members.iter().map(|(name, value)| (name.as_str(), from_serde(value))))
        }
    }
}
