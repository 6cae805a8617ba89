//! What of a task's authority goes into a token: never more than the task has, than the token it
//! is exchanged for had, or than is asked.

use std::collections::BTreeSet;

use safeconduct_model::{ActionName, Allowance, Timestamp, Value};

use super::TTL_S_MAX;
use super::fault::{Fault, FaultCode};
use crate::narrow::covered;

/// The scope that is all of what a task may do at a resource: what clients ask for that take their
/// scope from a challenge. It adds nothing to asking for none.
pub const TASK_SCOPE: &str = "task";

/// What is asked of an authority; what is not said is all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Names of actions, as scopes.
    pub scope: Option<BTreeSet<String>>,
    /// Allowances.
    pub allowances: Option<Vec<Allowance<Value>>>,
}

/// What is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// What may be done; never empty.
    pub allowances: Vec<Allowance<Value>>,
    /// The scope, where one was asked: exactly that.
    pub scope: Option<BTreeSet<ActionName>>,
}

/// What a token gets of what a task may do at its resource. `source` is what the token had that
/// it is exchanged for.
///
/// # Errors
/// `invalid_target` where nothing is left, `invalid_scope` and `invalid_authorization_details`
/// where more is asked than there is.
pub fn grant(
    task: &[Allowance<Value>],
    source: Option<&[Allowance<Value>]>,
    wanted: &Wanted,
) -> Result<Granted, Fault> {
    let available = match source {
        None => task.to_vec(),
        Some(source) => common(task, source),
    };
    if available.is_empty() {
        let says = "nothing of the task's authority is for this resource";
        return Err(Fault::new(FaultCode::InvalidTarget, says));
    }
    let mut allowances = match &wanted.allowances {
        None => available,
        Some(asked) => {
            for allowance in asked {
                covered(allowance, &available).map_err(|wider| {
                    Fault::new(FaultCode::InvalidAuthorizationDetails, wider.to_string())
                })?;
            }
            asked.clone()
        }
    };
    let scope = wanted.scope.as_ref().map(|scope| scoped(scope, &mut allowances)).transpose()?;
    if allowances.is_empty() {
        let says = "nothing is asked for";
        return Err(Fault::new(FaultCode::InvalidAuthorizationDetails, says));
    }
    Ok(Granted { allowances, scope })
}

/// A scope picks among what is allowed; it never adds to it.
fn scoped(
    scope: &BTreeSet<String>,
    allowances: &mut Vec<Allowance<Value>>,
) -> Result<BTreeSet<ActionName>, Fault> {
    let mut picked = BTreeSet::new();
    let mut whole = false;
    for word in scope {
        if word == TASK_SCOPE {
            whole = true;
            picked.extend(ActionName::new(TASK_SCOPE));
            continue;
        }
        let found = allowances.iter().find(|allowance| allowance.action.as_str() == word);
        let unknown =
            || Fault::new(FaultCode::InvalidScope, "a scope names no action that is allowed here");
        picked.insert(found.ok_or_else(unknown)?.action.clone());
    }
    if picked.is_empty() {
        return Err(Fault::new(FaultCode::InvalidScope, "the scope is empty"));
    }
    allowances.retain(|allowance| whole || picked.contains(&allowance.action));
    Ok(picked)
}

/// Allowances that both sides give, as far as one of two can be shown to lie within the other.
fn common(a: &[Allowance<Value>], b: &[Allowance<Value>]) -> Vec<Allowance<Value>> {
    let mut common: Vec<Allowance<Value>> = Vec::new();
    let of_a = a.iter().filter(|allowance| covered(allowance, b).is_ok());
    let of_b = b.iter().filter(|allowance| covered(allowance, a).is_ok());
    for allowance in of_a.chain(of_b) {
        if !common.contains(allowance) {
            common.push(allowance.clone());
        }
    }
    common
}

/// When a token that is issued now ends: after `ttl_s`, and never past any of `limits`. Whole
/// seconds, as tokens have them; `None` where not one is left.
pub fn expiry(
    now: Timestamp,
    ttl_s: u32,
    limits: impl IntoIterator<Item = Timestamp>,
) -> Option<Timestamp> {
    let longest = now.plus_ms(i64::from(ttl_s.min(TTL_S_MAX)) * 1000);
    let end = limits.into_iter().fold(longest, Ord::min);
    let end = whole_seconds(end);
    (end > now).then_some(end)
}

/// That time without its fraction of a second.
pub const fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().div_euclid(1000) * 1000)
}
