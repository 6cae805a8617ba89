//! Which attributes of a resource are wanted (RFC 7644, section 3.9).

use safeconduct_model::Value;

use super::{GROUP, USER, without_schema};

/// Those that are always there.
const ALWAYS: [&str; 2] = ["schemas", "id"];

/// A resource with only what is wanted of it: the attributes that are named, or all but those
/// that are. A part of an attribute means all of it.
#[must_use]
pub fn selected(resource: Value, wanted: Option<&str>, unwanted: Option<&str>) -> Value {
    let names = |list: &str| -> Vec<String> {
        let name = |name: &str| {
            let name = without_schema(name.trim(), &[USER, GROUP]);
            name.split('.').next().unwrap_or_default().to_ascii_lowercase()
        };
        list.split(',').map(name).filter(|name| !name.is_empty()).collect()
    };
    let Value::Object(members) = resource else { return resource };
    let stays = |name: &str| {
        let name = name.to_ascii_lowercase();
        let always = ALWAYS.contains(&&*name);
        match (wanted, unwanted) {
            (Some(wanted), _) => always || names(wanted).contains(&name),
            (None, Some(unwanted)) => always || !names(unwanted).contains(&name),
            (None, None) => true,
        }
    };
    Value::Object(members.into_iter().filter(|(name, _)| stays(name)).collect())
}
