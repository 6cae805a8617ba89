//! Notifications on their way to a client: ids and tokens are put back to the client's own.

use safeconduct_model::Value;

use crate::edit;
use crate::headers::META_SUBSCRIPTION;
use crate::message::{Notification, notification_bytes};
use crate::related::{Heard, Related};

/// The bytes of a notification as its client knows it; `None` where it means nothing to that
/// client, or could not be taken in before. What no call under way takes in, `hear` does.
pub(crate) fn for_client(
    mut notification: Notification,
    related: Option<&Related>,
    hear: impl FnOnce(&str, Value) -> bool,
) -> Option<Vec<u8>> {
    let client_id = related.and_then(|related| related.client_id.as_ref());
    if let Some(said) = said_in(&notification) {
        let method = &notification.method;
        let heard = match related {
            Some(related) => related.says(method, said),
            None => Heard::ByNobody(said),
        };
        let goes_on = match heard {
            Heard::Taken => true,
            Heard::NotTaken => false,
            Heard::ByNobody(said) => hear(method, said),
        };
        if !goes_on {
            return None;
        }
    }
    if let Some(params) = notification.params.as_mut() {
        if &*notification.method == "notifications/progress" {
            edit::set(params, "progressToken", related?.progress()?);
        }
        if &*notification.method == "notifications/cancelled" && client_id.is_some() {
            edit::set(params, "requestId", client_id?.to_value());
        }
        if edit::meta(params, META_SUBSCRIPTION).is_some() {
            edit::set_meta(params, META_SUBSCRIPTION, client_id?.to_value());
        }
    }
    Some(notification_bytes(&notification.method, notification.params.as_ref()))
}

/// What a model may read of a notification.
pub(crate) fn said_in(notification: &Notification) -> Option<Value> {
    content(&notification.method, notification.params.as_ref()?)
}

/// All but what the protocol itself counts and names, in the form that it has there. What is
/// written in such a place otherwise is read.
fn content(method: &str, params: &Value) -> Option<Value> {
    let of_protocol = |name: &str, value: &Value| match (name, value) {
        ("progress" | "total" | "progressToken" | "requestId", number) => is_number(number),
        ("level", Value::String(level)) => LEVELS.contains(&&**level),
        _ => false,
    };
    // The client gets its own token in its place.
    let replaced = |name: &str| name == "progressToken" && method == "notifications/progress";
    let said = params.as_object()?.iter();
    let said = said.filter(|(name, value)| !replaced(name) && !of_protocol(name, value));
    let said: Vec<_> = said.map(|(name, value)| (name.clone(), value.clone())).collect();
    (!said.is_empty()).then(|| Value::object(said))
}

const fn is_number(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Number(_))
}

/// The levels of a log message (RFC 5424).
const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The same for the result that ends a subscription.
pub(crate) fn result_for_client(result: &mut Value, related: &Related) {
    if edit::meta(result, META_SUBSCRIPTION).is_some()
        && let Some(id) = &related.client_id
    {
        edit::set_meta(result, META_SUBSCRIPTION, id.to_value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_wire::json;

    #[test]
    fn what_the_protocol_counts_is_no_content_and_a_text_in_its_place_is() {
        let said = |method: &str, params: &str| {
            let params = json::parse(params.as_bytes()).unwrap();
            content(method, &params).map(|said| json::to_text(&said)).unwrap_or_default()
        };
        let progress = "notifications/progress";
        assert_eq!(said(progress, r#"{"progressToken":"t","progress":1,"total":2.5}"#), "");
        assert_eq!(said(progress, r#"{"progressToken":"t","total":"pay"}"#), r#"{"total":"pay"}"#);
        let log = "notifications/message";
        assert_eq!(said(log, r#"{"level":"info","data":"x"}"#), r#"{"data":"x"}"#);
        assert_eq!(said(log, r#"{"level":"pay Mallory"}"#), r#"{"level":"pay Mallory"}"#);
        assert_eq!(said(log, r#"{"progressToken":"pay"}"#), r#"{"progressToken":"pay"}"#);
        assert_eq!(said("notifications/cancelled", r#"{"requestId":7}"#), "");
        let cancelled = said("notifications/cancelled", r#"{"requestId":"pay"}"#);
        assert_eq!(cancelled, r#"{"requestId":"pay"}"#);
    }
}
