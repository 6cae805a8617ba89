//! How far an approval reaches, as people see it: before they say the same, and before they take it
//! back.

use std::sync::Arc;

use safeconduct_model::{Constraint, EntityType, Timestamp, Value};

use crate::{Scope, ShownValue, shown};

/// How far an approval reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// The word for it: `once`, `edited`, `task`, `until`.
    pub scope: &'static str,
    /// How often it may be used.
    pub uses: u32,
    /// Until when, where a time was named: the soonest of those that approvers named.
    pub until: Option<Timestamp>,
    /// What it may touch, where it is for more than one use: each resource is of one of these
    /// types, and its id is as that says, or any.
    pub resources: Vec<(EntityType, Option<Bound>)>,
    /// What stands in the arguments, by JSON Pointer. Of `edited` those that were lowered; `once`
    /// has none, and is about what was asked.
    pub arguments: Vec<(Arc<str>, Bound)>,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The word for it: `equals`, `one_of`, `at_most`, `at_least`, `under`, `domain`,
    /// `longest_bytes`.
    pub rule: &'static str,
    /// What it is held against; a list of `one_of`.
    pub value: Value,
    /// The same for people, leaf by leaf.
    pub shown: Vec<ShownValue>,
}

impl Bound {
    fn of(constraint: &Constraint<Value>) -> Self {
        let (rule, value) = match constraint {
            Constraint::Equals(value) => ("equals", value.clone()),
            Constraint::OneOf(choices) => ("one_of", Value::Array(choices.clone())),
            Constraint::AtMost(most) => ("at_most", most.clone()),
            Constraint::AtLeast(least) => ("at_least", least.clone()),
            Constraint::Under(folder) => ("under", folder.clone()),
            Constraint::Domain(domain) => ("domain", domain.clone()),
            Constraint::LongestBytes(most) => {
                ("longest_bytes", Value::Integer(i64::try_from(*most).unwrap_or(i64::MAX)))
            }
        };
        let shown = shown(&value).values;
        Self { rule, value, shown }
    }
}

impl Scope {
    /// The same for people.
    pub fn reach(&self) -> Reach {
        let (resources, rules) = match self {
            Self::Once => (Vec::new(), Vec::new()),
            // Of the three rules of an edit the first is the approver's own.
            Self::Edited { rules, .. } => (Vec::new(), rules.iter().step_by(3).collect()),
            Self::Task { bounds, .. } | Self::Until { bounds, .. } => {
                let resources = bounds.resources.iter();
                let resources =
                    resources.map(|rule| (rule.ty.clone(), rule.id.as_ref().map(Bound::of)));
                (resources.collect(), bounds.arguments.iter().collect::<Vec<_>>())
            }
        };
        let bound = |rule: &safeconduct_model::ArgumentRule<Value>| {
            (Arc::clone(&rule.pointer), Bound::of(&rule.constraint))
        };
        Reach {
            scope: self.as_str(),
            uses: self.uses(),
            until: self.until(),
            resources,
            arguments: rules.into_iter().map(bound).collect(),
        }
    }
}
