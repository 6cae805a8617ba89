//! Whether one authority is within another: decided, never guessed. What cannot be shown to be
//! narrower is wider.

use std::sync::Arc;

use safeconduct_model::{
    Absent, ActionName, Allowance, ArgumentRule, Authority, Constraint, OtherArguments,
    ResourceRule, TargetName, Value, is_in_domain, is_under,
};
use safeconduct_session::Used;
use thiserror::Error;

/// Why a child's authority is not within its parent's: the fault of the one who delegates.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Wider {
    /// The parent may not use the action at all.
    #[error("the parent task may not use `{0}`")]
    Action(ActionName),
    /// The parent may, but not so widely; the nearest obstacle.
    #[error("`{action}` is allowed more widely than the parent's: {what}")]
    Allowance {
        /// The action.
        action: ActionName,
        /// What is wider.
        what: Arc<str>,
    },
    /// More than the parent has left.
    #[error("the child's {what} of {asked} exceed the {left} that the parent has left")]
    Budget {
        /// Which part.
        what: Arc<str>,
        /// What was asked.
        asked: u64,
        /// What is left.
        left: u64,
    },
    /// The parent is bounded where the child is not.
    #[error("the child needs a limit of {0}, because its parent has one")]
    Unbounded(Arc<str>),
    /// A higher tier.
    #[error("the child's highest tier is above its parent's")]
    Tier,
    /// A later end.
    #[error("the child ends after its parent")]
    Deadline,
    /// Leases that the parent may not get.
    #[error("the parent may not get these leases of target `{0}`")]
    Credentials(TargetName),
    /// No level of delegation is left.
    #[error("the parent may not delegate further")]
    Depth,
}

/// Checks that `child` is within `parent`, of which `used` is spent already.
///
/// # Errors
/// [`Wider`] names the first thing that is not narrower.
pub fn narrows(child: &Authority, parent: &Authority, used: &Used) -> Result<(), Wider> {
    if child.depth_left >= parent.depth_left {
        return Err(Wider::Depth);
    }
    if child.deadline > parent.deadline {
        return Err(Wider::Deadline);
    }
    if child.tier_max > parent.tier_max {
        return Err(Wider::Tier);
    }
    for allowance in &child.allowances {
        covered(allowance, &parent.allowances)?;
    }
    for (target, grants) in &child.credentials {
        if !parent.credentials.get(target).is_some_and(|given| grants.is_subset(given)) {
            return Err(Wider::Credentials(target.clone()));
        }
    }
    affordable(child, parent, used)
}

/// Checks that one of `parents` is as wide as `child`.
pub(crate) fn covered(child: &Allowance<Value>, parents: &[Allowance<Value>]) -> Result<(), Wider> {
    let mut obstacle = Wider::Action(child.action.clone());
    for allowance in parents.iter().filter(|parent| parent.action == child.action) {
        match within(child, allowance) {
            None => return Ok(()),
            Some(what) => {
                obstacle = Wider::Allowance { action: child.action.clone(), what: what.into() };
            }
        }
    }
    Err(obstacle)
}

/// What of the child is not within the parent.
fn within(child: &Allowance<Value>, parent: &Allowance<Value>) -> Option<String> {
    for rule in &parent.arguments {
        if !child.arguments.iter().any(|child| argument_implies(child, rule)) {
            return Some(format!("argument `{}`", rule.pointer));
        }
    }
    if parent.others == OtherArguments::Refused {
        if child.others == OtherArguments::Allowed {
            return Some("other arguments".into());
        }
        let named = |child: &&ArgumentRule<Value>| {
            parent.arguments.iter().any(|parent| parent.pointer == child.pointer)
        };
        if let Some(other) = child.arguments.iter().find(|child| !named(child)) {
            return Some(format!("argument `{}`", other.pointer));
        }
    }
    if !parent.resources.is_empty() {
        if child.resources.is_empty() {
            return Some("its resources".into());
        }
        let fits = |child: &&ResourceRule<Value>| {
            parent.resources.iter().any(|parent| resource_implies(child, parent))
        };
        if let Some(wide) = child.resources.iter().find(|child| !fits(child)) {
            return Some(format!("resources of type `{}`", wide.ty));
        }
    }
    None
}

fn argument_implies(child: &ArgumentRule<Value>, parent: &ArgumentRule<Value>) -> bool {
    child.pointer == parent.pointer
        && (parent.absent == Absent::Allowed || child.absent == Absent::Refused)
        && implies(&child.constraint, &parent.constraint)
}

fn resource_implies(child: &ResourceRule<Value>, parent: &ResourceRule<Value>) -> bool {
    child.ty == parent.ty
        && match (&child.id, &parent.id) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(child), Some(parent)) => implies(child, parent),
        }
}

/// Whether every value that keeps `narrow` keeps `wide`.
fn implies(narrow: &Constraint<Value>, wide: &Constraint<Value>) -> bool {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match (narrow, wide) {
        (Constraint::Equals(value), wide) => wide.admits(value),
        (Constraint::OneOf(values), wide) => values.iter().all(|value| wide.admits(value)),
        (Constraint::AtMost(a), Constraint::AtMost(b)) => {
            a.compare(b).is_some_and(std::cmp::Ordering::is_le)
        }
        (Constraint::AtLeast(a), Constraint::AtLeast(b)) => {
            a.compare(b).is_some_and(std::cmp::Ordering::is_ge)
        }
        (Constraint::Under(a), Constraint::Under(b)) => match (text(a), text(b)) {
            (Some(a), Some(b)) => is_under(a.strip_suffix('/').unwrap_or(&a), &b),
            _ => false,
        },
        (Constraint::Domain(a), Constraint::Domain(b)) => match (text(a), text(b)) {
            (Some(a), Some(b)) => is_in_domain(&a, &b),
            _ => false,
        },
        (Constraint::LongestBytes(a), Constraint::LongestBytes(b)) => a <= b,
        _ => false,
    }
}

fn affordable(child: &Authority, parent: &Authority, used: &Used) -> Result<(), Wider> {
    let (budget, most) = (&child.budget, &parent.budget);
    within_left("calls", budget.calls, most.calls, used.calls())?;
    // Bounded action by action, so that what was given can be counted.
    let may = |action: &ActionName| child.allowances.iter().any(|a| a.action == *action);
    for (action, most) in most.calls_of.iter().filter(|(action, _)| may(action)) {
        let what: Arc<str> = format!("calls of `{action}`").into();
        let asked = budget.calls_of.get(action).ok_or_else(|| Wider::Unbounded(what.clone()))?;
        within_left(&what, *asked, *most, used.calls_of(action))?;
    }
    if let Some(most) = most.bytes_out {
        let asked = budget.bytes_out.ok_or_else(|| Wider::Unbounded("bytes out".into()))?;
        within_left("bytes out", asked, most, used.bytes_out())?;
    }
    if let Some(most) = most.distinct_resources {
        let unbounded = || Wider::Unbounded("distinct resources".into());
        let asked = budget.distinct_resources.ok_or_else(unbounded)?;
        within_left("distinct resources", asked, most, used.resources())?;
    }
    if let Some(most) = &most.spend {
        let spend = budget.spend.as_ref().ok_or_else(|| Wider::Unbounded("spend".into()))?;
        for (action, pointer) in most.amounts.iter().filter(|(action, _)| may(action)) {
            if spend.amounts.get(action) != Some(pointer) {
                return Err(Wider::Unbounded(format!("the spend of `{action}`").into()));
            }
        }
        within_left("spend (in ten-thousandths)", spend.limit.0, most.limit.0, used.spend().0)?;
    }
    Ok(())
}

fn within_left(what: &str, asked: u64, most: u64, used: u64) -> Result<(), Wider> {
    let left = most.saturating_sub(used);
    if asked > left {
        return Err(Wider::Budget { what: what.into(), asked, left });
    }
    Ok(())
}
