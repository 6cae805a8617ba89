//! The narrower yes: "at most 100".
//!
//! Only numbers that are not negative have something narrower than themselves: all from 0 up to
//! what was asked. Everything else of what was asked stays exactly as it was.

use std::sync::Arc;

use safeconduct_model::{
    Absent, ArgumentRule, CHOICES_MAX, Constraint, INPUT_DEPTH_MAX, KeyedDigest, RULES_MAX, Value,
};
use thiserror::Error;

use crate::{AccessRequest, AnswerError, Attempt, Scope};

/// Most edits of one answer.
pub const EDITS_MAX: usize = 16;

// Each edit makes three rules.
const _: () = assert!(EDITS_MAX * 3 <= RULES_MAX);

/// One edit: what an argument must be instead of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowering {
    /// JSON Pointer (RFC 6901) to it; no token is `*`.
    pub pointer: Arc<str>,
    /// What it must be: `AtMost`, `AtLeast`, `Equals` or `OneOf` of numbers up to what was asked.
    pub constraint: Constraint<Value>,
}

/// Why an edit cannot be made: the approver's fault, save for [`EditError::Shown`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// Our fault, or an attack.
    #[error(transparent)]
    Shown(AnswerError),
    /// Nothing was edited, or too much.
    #[error("an answer has 1 to {EDITS_MAX} edits, each with at most {CHOICES_MAX} choices")]
    HowMany,
    /// There is nothing to edit there.
    #[error("no argument stands at `{0}`")]
    Nowhere(Arc<str>),
    /// It is no number, or a negative one: nothing is narrower.
    #[error("the argument at `{0}` is no number from 0 on, and cannot be lowered")]
    NotANumber(Arc<str>),
    /// It would allow what was not asked for.
    #[error("what may stand at `{0}` must lie between 0 and what was asked")]
    NotNarrower(Arc<str>),
}

/// The scope that allows what was asked, with these arguments lowered.
///
/// # Errors
/// [`EditError`] says what the approver must change.
pub fn edited(
    request: &AccessRequest,
    shown: &Attempt<'_>,
    edits: &[Lowering],
) -> Result<Scope, EditError> {
    request.shown(shown).map_err(EditError::Shown)?;
    if !(1..=EDITS_MAX).contains(&edits.len()) {
        return Err(EditError::HowMany);
    }
    let mut rules = Vec::with_capacity(edits.len() * 3);
    for edit in edits {
        rules.extend(rules_of(edit, shown.input)?);
    }
    let pointers = edits.iter().map(|edit| &*edit.pointer);
    // INVARIANT: each pointer leads to a number.
    let rest = rest(shown.input, pointers).ok_or(EditError::HowMany)?;
    Ok(Scope::Edited { rules, rest: (shown.digest)(&rest) })
}

/// The rules of one edit: its own, and the two ends of what was asked.
fn rules_of(edit: &Lowering, input: &Value) -> Result<[ArgumentRule<Value>; 3], EditError> {
    let pointer = &edit.pointer;
    let plain = !pointer.split('/').any(|token| token == "*");
    let asked = input
        .pointer(pointer)
        .filter(|_| plain)
        .ok_or_else(|| EditError::Nowhere(Arc::clone(pointer)))?;
    let zero = Constraint::AtLeast(Value::Integer(0));
    if !zero.admits(asked) {
        return Err(EditError::NotANumber(Arc::clone(pointer)));
    }
    let most = Constraint::AtMost(asked.clone());
    let between = |value: &Value| zero.admits(value) && most.admits(value);
    let narrower = match &edit.constraint {
        Constraint::AtMost(value) | Constraint::AtLeast(value) | Constraint::Equals(value) => {
            between(value)
        }
        Constraint::OneOf(values) if values.len() > CHOICES_MAX => return Err(EditError::HowMany),
        Constraint::OneOf(values) => !values.is_empty() && values.iter().all(between),
        _ => false,
    };
    if !narrower {
        return Err(EditError::NotNarrower(Arc::clone(pointer)));
    }
    let rule = |constraint| ArgumentRule {
        pointer: Arc::clone(pointer),
        constraint,
        absent: Absent::Refused,
    };
    Ok([rule(edit.constraint.clone()), rule(zero), rule(most)])
}

/// Whether rules and digest are what [`edited`] makes of what was shown.
pub(crate) fn is_edit(
    rules: &[ArgumentRule<Value>],
    others: KeyedDigest,
    shown: &Attempt<'_>,
) -> bool {
    let (triples, left) = rules.as_chunks::<3>();
    let made = |triple: &[ArgumentRule<Value>; 3]| {
        let [first, ..] = triple;
        let edit =
            Lowering { pointer: Arc::clone(&first.pointer), constraint: first.constraint.clone() };
        rules_of(&edit, shown.input).is_ok_and(|rules| rules == *triple)
    };
    left.is_empty()
        && (1..=EDITS_MAX).contains(&triples.len())
        && triples.iter().all(made)
        && rest(shown.input, rules.iter().map(|rule| &*rule.pointer))
            .is_some_and(|rest| (shown.digest)(&rest) == others)
}

/// The arguments with `null` at each of these places; `None` where one is not there, or lies
/// deeper than arguments may.
pub(crate) fn rest<'a>(input: &Value, pointers: impl Iterator<Item = &'a str>) -> Option<Value> {
    let mut rest = input.clone();
    for pointer in pointers {
        if pointer.is_empty() {
            rest = Value::Null;
        } else {
            let tokens: Vec<&str> = pointer.strip_prefix('/')?.split('/').collect();
            if tokens.len() > INPUT_DEPTH_MAX {
                return None;
            }
            clear(&mut rest, &tokens)?;
        }
    }
    Some(rest)
}

fn clear(value: &mut Value, tokens: &[&str]) -> Option<()> {
    let Some((token, tokens)) = tokens.split_first() else {
        *value = Value::Null;
        return Some(());
    };
    let name = token.replace("~1", "/").replace("~0", "~");
    match value {
        Value::Object(members) => clear(members.get_mut(name.as_str())?, tokens),
        Value::Array(items) => clear(items.get_mut(token.parse::<usize>().ok()?)?, tokens),
        _ => None,
    }
}
