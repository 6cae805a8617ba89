//! What a form says, and what a passkey signs to mean it.

use std::sync::Arc;

use http::StatusCode;
use safeconduct_model::{Digest, Number, RecordId, Timestamp, Value};
use safeconduct_wire::json;

use crate::browser::Browser;
use crate::failure::Failure;
use crate::form::Form;
use crate::requests::{Answer, Shown};
use crate::secret;

/// Most uses that the form offers.
pub(crate) const USES_MAX: u32 = 1000;

/// Longest reason, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 1024;

/// The answer that a form gives to one request.
pub(crate) fn answer(form: &Form, shown: &Shown, now: Timestamp) -> Result<Answer, Failure> {
    let exactly = shown.exactly.as_ref().filter(|exactly| exactly.is_all_shown());
    match (form.text("answer"), exactly) {
        ("once", Some(_)) => Ok(Answer::Once),
        ("task", Some(_)) if shown.may_be_for_task => Ok(Answer::ForTask { uses: uses(form)? }),
        ("until", Some(_)) => {
            let most = shown.may_be_until_m.ok_or_else(Failure::foreign)?;
            let minutes = form.text("minutes").trim().parse().ok();
            let minutes: u32 = minutes
                .filter(|minutes| (1..=most).contains(minutes))
                .ok_or_else(|| bad(&format!("Say for how many minutes: 1 to {most}.")))?;
            let until = now.plus_ms(i64::from(minutes) * 60_000);
            Ok(Answer::Until { uses: uses(form)?, until })
        }
        ("edited", Some(exactly)) => {
            let mut edits = Vec::new();
            for (pointer, text) in form.beginning("most:") {
                let pointer = exactly.lowerable.iter().find(|known| &***known == pointer);
                let pointer = pointer.ok_or_else(Failure::foreign)?;
                let most = number(text).ok_or_else(|| bad("Only numbers can be lowered."))?;
                edits.push((Arc::clone(pointer), most));
            }
            if edits.is_empty() {
                return Err(bad("Say how much at most."));
            }
            Ok(Answer::Edited(edits))
        }
        ("refuse", _) => refusal(form),
        _ => Err(Failure::foreign()),
    }
}

/// The answer that a form gives to several: once each, or none of them.
pub(crate) fn answer_to_all(form: &Form, shown: &[Shown]) -> Result<Answer, Failure> {
    match form.text("answer") {
        "once" if shown.iter().all(Shown::is_all_shown) => Ok(Answer::Once),
        "refuse" => refusal(form),
        _ => Err(Failure::foreign()),
    }
}

/// What a passkey signs: this answer of this person to these requests, as they were shown, and
/// nothing else.
pub(crate) fn statement(
    requests: &[(RecordId, Digest)],
    browser: &Browser,
    answer: &Answer,
) -> Digest {
    let (word, rest) = match answer {
        Answer::Once => ("once", Value::Null),
        Answer::Edited(edits) => {
            let edit = |(pointer, most): &(Arc<str>, Value)| {
                Value::object([
                    ("at_most", most.clone()),
                    ("pointer", Value::String(Arc::clone(pointer))),
                ])
            };
            ("edited", Value::from(edits.iter().map(edit).collect::<Vec<_>>()))
        }
        Answer::ForTask { uses } => ("task", Value::Integer(i64::from(*uses))),
        Answer::Until { uses, until } => {
            let scope = [
                ("until", Value::Integer(until.as_millis())),
                ("uses", Value::Integer(i64::from(*uses))),
            ];
            ("until", Value::object(scope))
        }
        Answer::Refuse { reason } => ("refuse", Value::String(Arc::clone(reason))),
    };
    let about = requests.iter().map(|(id, binding)| {
        Value::object([
            ("binding", Value::from(binding.to_string().as_str())),
            ("request", Value::String(id.shared())),
        ])
    });
    let statement = Value::object([
        ("answer", Value::from(word)),
        ("by", Value::String(browser.who.identity.shared())),
        ("requests", Value::from(about.collect::<Vec<_>>())),
        ("scope", rest),
        ("v", Value::Integer(1)),
    ]);
    Digest::from_bytes(secret::digest(&json::to_bytes(&statement)))
}

fn refusal(form: &Form) -> Result<Answer, Failure> {
    let reason = form.text("reason").trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(bad("Say why, in at most 1024 bytes."));
    }
    Ok(Answer::Refuse { reason: reason.into() })
}

fn uses(form: &Form) -> Result<u32, Failure> {
    let uses = form.text("uses").trim().parse().ok().filter(|n| (1..=USES_MAX).contains(n));
    uses.ok_or_else(|| bad("Say how often: 1 to 1000 times."))
}

/// A number from 0 on.
fn number(text: &str) -> Option<Value> {
    let value = match text.parse::<i64>() {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::Number(Number::parse(text)?),
    };
    (!text.starts_with('-')).then_some(value)
}

fn bad(text: &str) -> Failure {
    Failure::says(StatusCode::BAD_REQUEST, format!("{text} Go back."))
}
