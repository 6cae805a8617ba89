//! Steps of access reviews as events.

use safeconduct_model::{IdentityId, Record, ReviewChange, ReviewedThing};
use safeconduct_review::RemediationStep;
use serde_json::{Value, json};

use super::{CREATE, Event, IAM_FINDING, OTHER, REMEDIATION, UPDATE, by_user, entity, user};

/// A step of a review.
pub(super) fn of_review(change: &ReviewChange, record: &Record) -> Event {
    let detail = serde_json::from_str(change.detail.as_str()).unwrap_or(Value::Null);
    let event = match change.what {
        ReviewedThing::Finding => finding(change, record, &change.id, &detail),
        ReviewedThing::Exemption => {
            let of = detail.get("finding").and_then(Value::as_str).unwrap_or(&change.id);
            let mut event = finding(change, record, of, &detail);
            event.unmapped("exemption", &*change.id);
            event
        }
        ReviewedThing::Remediation => remediation(change, &detail),
        ReviewedThing::Campaign | ReviewedThing::PolicyProposal | ReviewedThing::Import => {
            let activity = if change.sequence == 0 { CREATE } else { UPDATE };
            entity(activity, change.what.as_str(), &change.id)
                .with("status_detail", json!(&*change.event))
        }
    };
    let mut event = match &change.by {
        Some(by) => event.with("actor", by_user(by.as_str())),
        None => event,
    };
    if let Some(about) = &change.about {
        event.unmapped("about", about.as_str());
    }
    event.unmapped("event", &*change.event);
    event
}

/// What is wrong with somebody's rights, or may be so for a time.
fn finding(change: &ReviewChange, record: &Record, uid: &str, detail: &Value) -> Event {
    let (activity, status) = match (change.what, &*change.event) {
        (ReviewedThing::Exemption, "granted") => ((2, "Update"), (3, "Suppressed")),
        (_, "opened") => ((1, "Create"), (1, "New")),
        (_, "closed") => ((3, "Close"), (4, "Resolved")),
        _ => ((2, "Update"), (1, "New")),
    };
    let text = |name: &str| detail.get(name).and_then(Value::as_str);
    let severity = match text("severity") {
        Some("low") => 2,
        Some("moderate") => 3,
        Some("high") => 4,
        Some("critical") => 5,
        _ => 1,
    };
    let title = text("kind").unwrap_or(change.what.as_str());
    let mut event = Event::new(IAM_FINDING, activity.0, activity.1)
        .severity(severity)
        .with("status_id", json!(status.0))
        .with("status", json!(status.1))
        .with(
            "finding_info",
            json!({
                "uid": uid,
                "title": title,
                "types": [title],
                "created_time": record.at.as_millis(),
            }),
        )
        // What was analysed is the right that it is about, by the policy's or the thing's name.
        .with(
            "permission_analysis_results",
            json!([{ "policy": { "name": text("name").unwrap_or(title) } }]),
        );
    if let Some(about) = &change.about {
        event.set("user", user(IdentityId::as_str(about)));
    }
    event
}

/// A right that is taken away, or given back.
fn remediation(change: &ReviewChange, detail: &Value) -> Event {
    let activity = match &*change.event {
        "quarantined" => (1, "Isolate"),
        "applied" => (4, "Harden"),
        "restored" | "rolled_back" => (3, "Restore"),
        other => (OTHER, other),
    };
    let step = RemediationStep::read(&change.event, change.detail.as_str());
    let proves = step.is_ok_and(|step| step.is_proof());
    let status = match &*change.event {
        "failed" => (6, "Error"),
        "conflict" => (2, "Failure"),
        "verified" if !proves => (2, "Failure"),
        _ => (1, "Success"),
    };
    let mut event = Event::new(REMEDIATION, activity.0, activity.1)
        .with("command_uid", json!(&*change.id))
        .with("status_id", json!(status.0))
        .with("status", json!(status.1))
        .with("status_detail", json!(&*change.event));
    for name in ["cause", "effect", "grant", "proved_by"] {
        if let Some(text) = detail.get(name).and_then(Value::as_str) {
            event.unmapped(name, text);
        }
    }
    event
}
