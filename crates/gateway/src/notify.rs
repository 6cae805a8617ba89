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
    if let Some(said) = notification.params.as_ref().and_then(content) {
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

/// What a model may read of a notification: all but what the protocol itself counts and names.
pub(crate) fn content(params: &Value) -> Option<Value> {
    const WORDS: [&str; 5] = ["progressToken", "progress", "total", "level", "requestId"];
    let said = params.as_object()?.iter().filter(|(name, _)| !WORDS.contains(&&***name));
    let said: Vec<_> = said.map(|(name, value)| (name.clone(), value.clone())).collect();
    (!said.is_empty()).then(|| Value::object(said))
}

/// The same for the result that ends a subscription.
pub(crate) fn result_for_client(result: &mut Value, related: &Related) {
    if edit::meta(result, META_SUBSCRIPTION).is_some()
        && let Some(id) = &related.client_id
    {
        edit::set_meta(result, META_SUBSCRIPTION, id.to_value());
    }
}
