//! Where arguments came from, as conditions ask for it, read without making any set of it.

use cedar_policy_core::ast::{Expr, ExprKind, Var};
use safeconduct_model::{ArgumentRole, Confidentiality, Integrity};

use super::plain::Seen;
use crate::situation::{FlowSituation, TracedArgument};

/// More arguments than this are laid out for Cedar, whose sets do not compare each with each.
const ARGUMENTS_MAX: usize = 64;

/// A set of places of the arguments: `context.flow.from_task`, or `context.flow.addresses.unseen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traced {
    /// What the arguments decide; any where it is not said.
    role: Option<ArgumentRole>,
    origin: Origin,
}

/// What the places of a set have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Task,
    Trusted,
    Untrusted,
    Unseen,
    Bounded,
}

impl Traced {
    /// The set that an expression stands for.
    pub(super) fn of(expression: &Expr) -> Option<Self> {
        let ExprKind::GetAttr { expr, attr } = expression.expr_kind() else { return None };
        if is_flow(expr) {
            let origin = Origin::named(attr).filter(|origin| *origin != Origin::Bounded)?;
            return Some(Self { role: None, origin });
        }
        let ExprKind::GetAttr { expr, attr: role } = expr.expr_kind() else { return None };
        let role = match role.as_str() {
            "addresses" => ArgumentRole::Address,
            "commands" => ArgumentRole::Command,
            "amounts" => ArgumentRole::Amount,
            _ => return None,
        };
        let origin = Origin::named(attr).filter(|_| is_flow(expr))?;
        Some(Self { role: Some(role), origin })
    }

    /// Whether no place is in it.
    pub(super) fn is_none_of(self, flow: &FlowSituation) -> bool {
        !flow.leaves.iter().any(|leaf| self.has(leaf))
    }

    /// Whether every place of another set is in it; `None` where there are too many to compare.
    pub(super) fn covers(self, other: Self, flow: &FlowSituation) -> Option<bool> {
        // One place may hold a name and a value: what is true of either is true of the place.
        let is_in = |place: &TracedArgument| {
            self.has(place)
                || flow.leaves.iter().any(|leaf| leaf.pointer == place.pointer && self.has(leaf))
        };
        let few = flow.leaves.len() <= ARGUMENTS_MAX;
        few.then(|| flow.leaves.iter().filter(|leaf| other.has(leaf)).all(is_in))
    }

    fn has(self, leaf: &TracedArgument) -> bool {
        let origin = match self.origin {
            Origin::Task => leaf.from_task,
            Origin::Trusted => leaf.from_trusted,
            Origin::Untrusted => leaf.from_untrusted,
            Origin::Unseen => leaf.is_unseen(),
            Origin::Bounded => leaf.bounded,
        };
        origin && self.role.is_none_or(|role| leaf.role == role)
    }
}

impl Origin {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "from_task" => Self::Task,
            "from_trusted" => Self::Trusted,
            "from_untrusted" => Self::Untrusted,
            "unseen" => Self::Unseen,
            "bounded" => Self::Bounded,
            _ => return None,
        })
    }
}

/// A member of `context.flow.carries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrying {
    Untrusted,
    AtLeast(Confidentiality),
    AboveSink,
    Coverage,
}

impl Carrying {
    /// The member of that name of an expression, where that is what is carried out.
    pub(super) fn of(expression: &Expr, member: &str) -> Option<Self> {
        let ExprKind::GetAttr { expr, attr } = expression.expr_kind() else { return None };
        if attr != "carries" || !is_flow(expr) {
            return None;
        }
        Some(match member {
            "untrusted" => Self::Untrusted,
            "internal" => Self::AtLeast(Confidentiality::Internal),
            "confidential" => Self::AtLeast(Confidentiality::Confidential),
            "secret" => Self::AtLeast(Confidentiality::Secret),
            "above_sink" => Self::AboveSink,
            "coverage" => Self::Coverage,
            _ => return None,
        })
    }

    /// What it comes to, where the action accepts no more than that.
    pub(super) fn seen(self, flow: &FlowSituation, accepts: Confidentiality) -> Seen<'static> {
        let label = &flow.carries.label;
        match self {
            Self::Untrusted => Seen::Bool(label.integrity == Integrity::Untrusted),
            Self::AtLeast(level) => Seen::Bool(label.confidentiality >= level),
            Self::AboveSink => Seen::Bool(label.confidentiality > accepts),
            Self::Coverage => Seen::Long(i64::from(flow.carries.coverage)),
        }
    }
}

/// Whether it is `context.flow`.
fn is_flow(expression: &Expr) -> bool {
    let ExprKind::GetAttr { expr, attr } = expression.expr_kind() else { return false };
    attr == "flow" && matches!(expr.expr_kind(), ExprKind::Var(Var::Context))
}
