//! How far an approval reaches.

use std::sync::Arc;

use safeconduct_model::{
    Allowance, ArgumentRule, CHOICES_MAX, Constraint, Entity, KeyedDigest, OtherArguments,
    RULES_MAX, Timestamp, Value,
};
use thiserror::Error;

use crate::binding::{resource_types, same_parties};
use crate::edit::rest;
use crate::{Attempt, Binding, Mismatch, Opened, Standing};

/// Most uses of one approval.
pub const USES_MAX: u32 = 1000;

/// How far an approval reaches. None reaches further than the task's mandate: that is checked
/// where the request is decided again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Exactly what was asked, once.
    Once,
    /// What was asked with some of its numbers lowered, once: [`crate::edited`] makes it.
    Edited {
        /// What the edited arguments must be; all of these hold.
        rules: Vec<ArgumentRule<Value>>,
        /// The digest of what was asked, with `null` for each edited argument: the others stay
        /// as they were.
        rest: KeyedDigest,
    },
    /// The same action in the same task.
    Task {
        /// What it may touch, and what its arguments must be.
        bounds: Allowance<Value>,
        /// How often; 1 to [`USES_MAX`].
        uses: u32,
    },
    /// The same action of the same actors for the same user under the same intent, in whatever
    /// task of it.
    Until {
        /// What it may touch, and what its arguments must be.
        bounds: Allowance<Value>,
        /// How often; 1 to [`USES_MAX`].
        uses: u32,
        /// Until when: no later than the policy lets an approval last. It outlives the task that
        /// asked, where that ends before.
        until: Timestamp,
    },
}

/// Why a scope cannot be approved: the approver's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// The terms want each use approved by itself.
    #[error("each use of this action is approved by itself")]
    NotStanding,
    /// Not an edit of what was asked.
    #[error("the edit is not one of what was asked")]
    NotEdited,
    /// Other arguments could then be anything.
    #[error("the bounds must refuse arguments that they do not name")]
    OtherArguments,
    /// Not the class of resource that was asked for.
    #[error("the bounds reach resources of type `{0}`, which were not asked for")]
    Resources(Arc<str>),
    /// Any resource would do.
    #[error("the bounds must say which resources they are for")]
    AnyResource,
    /// They are for something else.
    #[error("the bounds do not cover what was asked: the {} differ", .0.as_str())]
    NotCovered(Mismatch),
    /// How often, or until when.
    #[error("an approval is for 1 to {USES_MAX} uses, and until a time to come")]
    Unbounded,
    /// Longer than the policy lets an approval of it last.
    #[error("the policy lets an approval of this last until {0}: name a time up to then")]
    TooLong(Timestamp),
    /// What others approved ends before anybody could use it: it can only be refused.
    #[error("another approver said yes until {0}, which is over: this can only be refused")]
    Over(Timestamp),
    /// A number with an upper end alone: what is negative would be let through too.
    #[error("what may stand at `{0}` has no lower end: name `AtLeast` 0 or more beside `AtMost`")]
    NoLowerEnd(Arc<str>),
    /// More rules or choices than an allowance may have.
    #[error("the bounds have more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl Scope {
    /// The word for it on every wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Edited { .. } => "edited",
            Self::Task { .. } => "task",
            Self::Until { .. } => "until",
        }
    }

    /// How often it may be used.
    pub const fn uses(&self) -> u32 {
        match self {
            Self::Once | Self::Edited { .. } => 1,
            Self::Task { uses, .. } | Self::Until { uses, .. } => *uses,
        }
    }

    /// Until when, where it says so itself.
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Until { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Whether another yes is to the same. Of the times that they name the soonest counts, so that
    /// no two people need name one moment.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Until { bounds, uses, .. },
                Self::Until { bounds: others, uses: as_often, .. },
            ) => bounds == others && uses == as_often,
            _ => self == other,
        }
    }

    /// Ends it no later than another yes to the same.
    pub(crate) fn no_longer_than(&mut self, other: &Self) {
        if let (Self::Until { until, .. }, Some(sooner)) = (self, other.until()) {
            *until = sooner.min(*until);
        }
    }

    /// Whether it lets what is tried through, where `bound` was asked for.
    ///
    /// # Errors
    /// [`Mismatch`] is the first thing that differs.
    pub fn admits(&self, bound: &Binding, attempt: &Attempt<'_>) -> Result<(), Mismatch> {
        let tried = attempt.binding;
        same_parties(bound, tried)?;
        if bound.task != tried.task && !matches!(self, Self::Until { .. }) {
            return Err(Mismatch::Task);
        }
        if let Self::Task { bounds, .. } | Self::Until { bounds, .. } = self {
            return within(bounds, bound, attempt);
        }
        if bound.resources != tried.resources {
            return Err(Mismatch::Resources);
        }
        let fits = match self {
            Self::Edited { rules, rest: others } => {
                rules.iter().all(|rule| rule.admits(attempt.input))
                    && rest(attempt.input, rules.iter().map(|rule| &*rule.pointer))
                        .is_some_and(|rest| (attempt.digest)(&rest) == *others)
            }
            _ => bound.arguments == tried.arguments,
        };
        if fits { Ok(()) } else { Err(Mismatch::Arguments) }
    }

    /// Whether an approver may approve this much of what was asked and shown.
    pub(crate) fn check(
        &self,
        opened: &Opened,
        shown: &Attempt<'_>,
        at: Timestamp,
    ) -> Result<(), ScopeError> {
        let bounds = match self {
            Self::Once => return Ok(()),
            Self::Edited { rules, rest } => {
                let same = crate::edit::is_edit(rules, *rest, shown);
                return if same { Ok(()) } else { Err(ScopeError::NotEdited) };
            }
            Self::Task { bounds, .. } | Self::Until { bounds, .. } => bounds,
        };
        if opened.terms.standing == Standing::Refused {
            return Err(ScopeError::NotStanding);
        }
        let timely = self.until().is_none_or(|until| until > at);
        if !(1..=USES_MAX).contains(&self.uses()) || !timely {
            return Err(ScopeError::Unbounded);
        }
        // Cut short in silence, it would not be what the approver said.
        let longest = opened.terms.lasts_until(at);
        if self.until().is_some_and(|until| until > longest) {
            return Err(ScopeError::TooLong(longest));
        }
        bounded(bounds, &opened.binding)?;
        self.admits(&opened.binding, shown).map_err(ScopeError::NotCovered)
    }
}

/// Whether bounds leave nothing open that was not asked for.
fn bounded(bounds: &Allowance<Value>, bound: &Binding) -> Result<(), ScopeError> {
    if bounds.others == OtherArguments::Allowed {
        return Err(ScopeError::OtherArguments);
    }
    if bounds.resources.is_empty() && !bound.resources.is_empty() {
        return Err(ScopeError::AnyResource);
    }
    let asked = resource_types(bound);
    if let Some(rule) = bounds.resources.iter().find(|rule| !asked.contains(&rule.ty)) {
        return Err(ScopeError::Resources(rule.ty.shared()));
    }
    if bounds.resources.len() + bounds.arguments.len() > RULES_MAX {
        return Err(ScopeError::TooMany { what: "rules", limit: RULES_MAX });
    }
    // Only numbers that are not negative have something narrower than themselves.
    let upper =
        bounds.arguments.iter().filter(|rule| matches!(rule.constraint, Constraint::AtMost(_)));
    let zero = Constraint::AtLeast(Value::Integer(0));
    let has_lower = |pointer: &str| {
        bounds.arguments.iter().any(|rule| {
            *rule.pointer == *pointer
                && matches!(&rule.constraint, Constraint::AtLeast(least) if zero.admits(least))
        })
    };
    if let Some(rule) = upper.into_iter().find(|rule| !has_lower(&rule.pointer)) {
        return Err(ScopeError::NoLowerEnd(Arc::clone(&rule.pointer)));
    }
    let arguments = bounds.arguments.iter().map(|rule| &rule.constraint);
    let ids = bounds.resources.iter().filter_map(|rule| rule.id.as_ref());
    let many = |constraint: &Constraint<Value>| matches!(constraint, Constraint::OneOf(choices) if choices.len() > CHOICES_MAX);
    if arguments.chain(ids).any(many) {
        return Err(ScopeError::TooMany { what: "choices", limit: CHOICES_MAX });
    }
    Ok(())
}

/// Whether what is tried lies within bounds. What the enforcement point says beside the
/// arguments lies within none, save what it says of itself.
fn within(
    bounds: &Allowance<Value>,
    bound: &Binding,
    attempt: &Attempt<'_>,
) -> Result<(), Mismatch> {
    let tried = attempt.binding;
    if bounds.action != tried.action {
        return Err(Mismatch::Action);
    }
    let fits = |entity: &Entity| bounds.resources.iter().any(|rule| rule.admits(entity));
    let touched = tried.resources.iter().map(|uid| Entity::bare(uid.clone()));
    // Nothing is no resource of a class.
    let some = tried.resources.is_empty() == bound.resources.is_empty();
    if !some || !touched.into_iter().all(|entity| fits(&entity)) {
        return Err(Mismatch::Resources);
    }
    let kept = bounds.arguments.iter().all(|rule| rule.admits(attempt.input));
    let named = bounds.others == OtherArguments::Allowed
        || all_named(&bounds.arguments, attempt.input, &mut Vec::new());
    let nothing_beside = attempt.asserted.is_none_or(is_of_enforcement_point);
    if kept && named && nothing_beside { Ok(()) } else { Err(Mismatch::Arguments) }
}

/// Whether that says only what the enforcement point itself can do, and nothing of the action
/// (AuthZEN, obligations profile).
fn is_of_enforcement_point(asserted: &Value) -> bool {
    let Value::Object(members) = asserted else { return false };
    members.keys().all(|name| &**name == "supported_obligations")
}

/// Whether a rule reaches each leaf of the arguments, or something that it stands in.
fn all_named(rules: &[ArgumentRule<Value>], value: &Value, at: &mut Vec<String>) -> bool {
    if rules.iter().any(|rule| names(&rule.pointer, at)) {
        return true;
    }
    let mut inner = |token: String, value: &Value| {
        at.push(token);
        let named = all_named(rules, value, at);
        at.pop();
        named
    };
    match value {
        // No argument at all.
        Value::Object(members) if members.is_empty() => at.is_empty(),
        Value::Object(members) => members
            .iter()
            .all(|(name, value)| inner(name.replace('~', "~0").replace('/', "~1"), value)),
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().all(|(index, value)| inner(index.to_string(), value))
        }
        _ => false,
    }
}

/// Whether a rule's pointer leads there, `*` standing for any index.
fn names(pattern: &str, at: &[String]) -> bool {
    if pattern.is_empty() {
        return at.is_empty();
    }
    let Some(pattern) = pattern.strip_prefix('/') else { return false };
    let index = |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit());
    let mut tokens = pattern.split('/');
    at.iter().all(|at| tokens.next().is_some_and(|token| token == at || token == "*" && index(at)))
        && tokens.next().is_none()
}
