//! Whether a call lies within what its task may do at most.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{
    ActionEntry, ActionName, Allowance, Amount, ArgumentRole, ArgumentRule, Authority, Constraint,
    Effect, Entity, OtherArguments, Request, Value,
};
use safeconduct_session::{Charge, RESOURCES_COUNTED_MAX, Used};

/// Where a call leaves the envelope; names places and limits, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outside {
    /// The action is not in it.
    Action,
    /// A resource fits no rule.
    Resource(Arc<str>),
    /// Arguments break their rules: where each stands, and which rule (`equals`, `at_most`).
    Arguments(Vec<(Arc<str>, &'static str)>),
    /// An argument that no rule names, where those may not be.
    OtherArgument(Arc<str>),
    /// Something is given back to the server that it has not asked for, where other arguments may
    /// not be: where it stands in what the enforcement point asserts.
    Unasked(Arc<str>),
}

/// Finds an allowance that the call keeps whole. Where none does, what the nearest one refuses:
/// the last of the same action.
pub(crate) fn within(
    authority: &Authority,
    action: &ActionName,
    resources: &[Entity],
    input: &Value,
    asserted: Option<&Value>,
) -> Result<(), Outside> {
    let mut outside = Outside::Action;
    for allowance in authority.allowances.iter().filter(|allowance| allowance.action == *action) {
        match keeps(allowance, resources, input, asserted) {
            Ok(()) => return Ok(()),
            Err(found) => outside = found,
        }
    }
    Err(outside)
}

fn keeps(
    allowance: &Allowance<Value>,
    resources: &[Entity],
    input: &Value,
    asserted: Option<&Value>,
) -> Result<(), Outside> {
    let broken = allowance.arguments.iter().filter(|rule| !rule.admits(input));
    let broken: Vec<_> =
        broken.map(|rule| (Arc::clone(&rule.pointer), rule.constraint.as_str())).collect();
    if !broken.is_empty() {
        return Err(Outside::Arguments(broken));
    }
    if allowance.others == OtherArguments::Refused
        && let Some(pointer) = unnamed(&allowance.arguments, input)
    {
        return Err(Outside::OtherArgument(pointer.into()));
    }
    if allowance.others == OtherArguments::Refused
        && let Some(pointer) = asserted.and_then(unasked)
    {
        return Err(Outside::Unasked(pointer.into()));
    }
    let fits = |resource: &&Entity| allowance.resources.iter().any(|rule| rule.admits(resource));
    match resources.iter().find(|resource| !fits(resource)) {
        Some(resource) if !allowance.resources.is_empty() => {
            Err(Outside::Resource(resource.uid.ty.as_str().into()))
        }
        _ => Ok(()),
    }
}

/// Whatever of an authority lets a call through: what it holds arguments to.
pub(crate) struct Bounds<'a> {
    letting: Vec<&'a Allowance<Value>>,
    /// Where the amount stands that the budget counts.
    spends: Option<&'a str>,
    entry: &'a ActionEntry,
}

impl<'a> Bounds<'a> {
    /// Of this call.
    pub(crate) fn of(
        authority: &'a Authority,
        request: &Request,
        entry: &'a ActionEntry,
        resources: &[Entity],
    ) -> Self {
        let (input, asserted) = (&request.input, request.asserted.as_ref());
        let of_action = authority.allowances.iter().filter(|of| of.action == request.action);
        let letting = of_action.filter(|of| keeps(of, resources, input, asserted).is_ok());
        Self { letting: letting.collect(), spends: spends(authority, &request.action), entry }
    }

    /// Whether all of it holds that argument to something: by a rule for the argument, or by the
    /// rules for the resource that it names. What is spent of the task's budget is held to that.
    pub(crate) fn hold(&self, argument: &str, role: ArgumentRole) -> bool {
        let by_argument = |rule: &ArgumentRule<Value>| {
            names(&rule.pointer, argument) && holds(&rule.constraint, role)
        };
        let named = self.entry.resources.iter().filter(|of| names(&of.argument, argument));
        let types: Vec<_> = named.map(|mapping| &mapping.ty).collect();
        let by_resource = |of: &Allowance<Value>| {
            let mut rules = of.resources.iter().filter(|rule| types.contains(&&rule.ty)).peekable();
            let held = |id: &Constraint<Value>| holds(id, ArgumentRole::Address);
            rules.peek().is_some() && rules.all(|rule| rule.id.as_ref().is_some_and(held))
        };
        let mut letting = self.letting.iter();
        let spent = role == ArgumentRole::Amount && self.spends == Some(argument);
        !self.letting.is_empty()
            && (spent || letting.all(|of| of.arguments.iter().any(by_argument) || by_resource(of)))
    }
}

/// Whether a constraint leaves little to choose of what an argument decides.
const fn holds(constraint: &Constraint<Value>, role: ArgumentRole) -> bool {
    match constraint {
        Constraint::Equals(_)
        | Constraint::OneOf(_)
        | Constraint::Under(_)
        | Constraint::Domain(_) => true,
        Constraint::AtMost(_) => matches!(role, ArgumentRole::Amount),
        Constraint::AtLeast(_) | Constraint::LongestBytes(_) => false,
    }
}

/// The first of what goes to the server beside the arguments (`inputResponses`, `requestState`:
/// MCP 2026-07-28) that the server has not asked for. The enforcement point, which sees what is
/// asked, lists in `asked` where each stands that was; without its word nothing was.
fn unasked(asserted: &Value) -> Option<String> {
    let asked = asserted.member("asked").and_then(Value::as_array).unwrap_or_default();
    let asked: BTreeSet<&str> = asked.iter().filter_map(Value::as_str).collect();
    let one = |pointer: &str| (!asked.contains(pointer)).then(|| pointer.to_owned());
    let response = match asserted.member("inputResponses") {
        None => None,
        Some(Value::Object(responses)) => responses.keys().find_map(|name| {
            one(&format!("/inputResponses/{}", name.replace('~', "~0").replace('/', "~1")))
        }),
        Some(_) => Some("/inputResponses".to_owned()),
    };
    let state = || asserted.member("requestState").and_then(|_| one("/requestState"));
    response.or_else(state)
}

/// The first leaf of the arguments, in their order, that no rule reaches.
fn unnamed(rules: &[ArgumentRule<Value>], input: &Value) -> Option<String> {
    fn walk(value: &Value, at: &mut String, named: &impl Fn(&str) -> bool) -> Option<String> {
        if named(at) {
            return None;
        }
        let length = at.len();
        let inner = |at: &mut String, token: &str, value: &Value| {
            at.push('/');
            at.push_str(&token.replace('~', "~0").replace('/', "~1"));
            let found = walk(value, at, named);
            at.truncate(length);
            found
        };
        match value {
            Value::Object(members) if !members.is_empty() || at.is_empty() => {
                members.iter().find_map(|(name, value)| inner(at, name, value))
            }
            Value::Array(items) if !items.is_empty() => items
                .iter()
                .enumerate()
                .find_map(|(index, value)| inner(at, &index.to_string(), value)),
            _ => Some(at.clone()),
        }
    }
    let named = |at: &str| rules.iter().any(|rule| names(&rule.pointer, at));
    if let Value::Object(members) = input
        && members.keys().all(|name| is_named(rules, name))
        && !members.is_empty()
    {
        return None;
    }
    walk(input, &mut String::new(), &named)
}

/// Whether a rule surely names the member of that name, as most members are named: written as it
/// stands.
fn is_named(rules: &[ArgumentRule<Value>], member: &str) -> bool {
    !member.bytes().any(|b| matches!(b, b'~' | b'/'))
        && rules.iter().any(|rule| rule.pointer.strip_prefix('/') == Some(member))
}

/// Whether a rule's pointer is this one, `*` standing for any index.
pub(crate) fn names(pattern: &str, at: &str) -> bool {
    let (mut pattern, mut at) = (pattern.split('/'), at.split('/'));
    loop {
        match (pattern.next(), at.next()) {
            (None, None) => return true,
            (Some("*"), Some(token)) if token.bytes().all(|b| b.is_ascii_digit()) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// Which part of the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    /// Calls in all.
    Calls(u64),
    /// Calls of this action.
    CallsOf(u64),
    /// The amounts.
    Amount(Amount),
    /// The amount of this call cannot be counted.
    NoAmount,
    /// Different resources.
    Resources(u64),
    /// Bytes that go out.
    BytesOut(u64),
}

/// Where the amount stands that a call of an action takes from the budget, if it takes any.
fn spends<'a>(authority: &'a Authority, action: &ActionName) -> Option<&'a str> {
    authority.budget.spend.as_ref().and_then(|spend| spend.amounts.get(action)).map(|at| &**at)
}

/// What this call would take from the budget.
///
/// # Errors
/// Its amount cannot be counted.
pub(crate) fn cost(
    authority: &Authority,
    action: &ActionName,
    effect: Effect,
    input: &Value,
    canonical_bytes: u64,
) -> Result<Charge, Spent> {
    let spend = match spends(authority, action) {
        None => Amount::default(),
        Some(pointer) => input.pointer(pointer).and_then(Amount::of).ok_or(Spent::NoAmount)?,
    };
    let bytes_out = match effect {
        Effect::Write | Effect::Execute | Effect::Send => canonical_bytes,
        Effect::Read | Effect::Delegate | Effect::Administer => 0,
    };
    Ok(Charge { spend, bytes_out })
}

/// Whether the budget still holds it, after what the session has done and what its task's
/// children were given. What is touched is given by its fingerprints.
///
/// # Errors
/// The part that is spent.
pub(crate) fn afford(
    authority: &Authority,
    used: &Used,
    action: &ActionName,
    touched: &[u64],
    cost: Charge,
) -> Result<(), Spent> {
    let budget = &authority.budget;
    if used.calls() >= budget.calls {
        return Err(Spent::Calls(budget.calls));
    }
    if let Some(most) = budget.calls_of.get(action)
        && used.calls_of(action) >= *most
    {
        return Err(Spent::CallsOf(*most));
    }
    if let Some(spend) = &budget.spend
        && used.spend().0.saturating_add(cost.spend.0) > spend.limit.0
    {
        return Err(Spent::Amount(spend.limit));
    }
    if let Some(most) = budget.bytes_out
        && used.bytes_out().saturating_add(cost.bytes_out) > most
    {
        return Err(Spent::BytesOut(most));
    }
    if let Some(most) = budget.distinct_resources {
        // No more are remembered, so beyond that a new one could not be told from an old one.
        let most = most.min(RESOURCES_COUNTED_MAX as u64);
        if used.resources().saturating_add(used.new_resources(touched)) > most {
            return Err(Spent::Resources(most));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ArgumentRole::{Address, Amount as Much};
    use safeconduct_model::{
        Absent, Confidentiality, EntityType, Label, ResourceForm, ResourceMapping, ResourceRule,
        Returns, Tier,
    };

    fn path() -> EntityType {
        EntityType::new("Safeconduct::Path").unwrap()
    }

    fn entry() -> ActionEntry {
        ActionEntry {
            name: ActionName::new("files.write").unwrap(),
            server: None,
            tier: Tier::Low,
            effect: Effect::Write,
            guessed: false,
            returns: Returns::uniform(Label::LEAST),
            accepts: Confidentiality::Internal,
            arguments: Vec::new(),
            resources: vec![ResourceMapping {
                argument: "/paths/*".into(),
                ty: path(),
                form: ResourceForm::Path { root: None },
                optional: false,
            }],
            definition: None,
            raises: Vec::new(),
            additional_arguments: false,
            keep_arguments: false,
            keep_result: false,
        }
    }

    fn allowance(
        arguments: &[(&str, Constraint<Value>)],
        resources: &[Option<Constraint<Value>>],
    ) -> Allowance<Value> {
        let rule = |(pointer, constraint): &(&str, Constraint<Value>)| ArgumentRule {
            pointer: (*pointer).into(),
            constraint: constraint.clone(),
            absent: Absent::Allowed,
        };
        let resources = resources.iter().map(|id| ResourceRule { ty: path(), id: id.clone() });
        Allowance {
            action: ActionName::new("files.write").unwrap(),
            resources: resources.collect(),
            arguments: arguments.iter().map(rule).collect(),
            others: OtherArguments::Allowed,
        }
    }

    fn hold(letting: &[Allowance<Value>], argument: &str, role: ArgumentRole) -> bool {
        let entry = entry();
        let bounds = Bounds { letting: letting.iter().collect(), spends: None, entry: &entry };
        bounds.hold(argument, role)
    }

    #[test]
    fn what_the_budget_counts_is_bounded_by_it() {
        let (entry, any) = (entry(), allowance(&[], &[]));
        let bounds = Bounds { letting: vec![&any], spends: Some("/sum"), entry: &entry };
        assert!(bounds.hold("/sum", Much));
        assert!(!bounds.hold("/sum", Address), "it says nothing of where it goes");
        assert!(!bounds.hold("/other", Much));
        let outside = Bounds { letting: Vec::new(), ..bounds };
        assert!(!outside.hold("/sum", Much), "nothing lets it through");
    }

    #[test]
    fn a_member_is_named_as_pointers_are_written() {
        let input = Value::object([("a", Value::from(1)), ("b~c", Value::from(2))]);
        let first_unnamed = |pointers: &[&str], input: &Value| {
            let rules: Vec<_> =
                pointers.iter().map(|at| (*at, Constraint::LongestBytes(9))).collect();
            let of = allowance(&rules, &[]);
            unnamed(&of.arguments, input)
        };
        assert_eq!(first_unnamed(&["/b~0c", "/a"], &input), None);
        assert_eq!(first_unnamed(&["/a", "/b~c"], &input).as_deref(), Some("/b~0c"));
        assert_eq!(first_unnamed(&["/b~0c", "a"], &input).as_deref(), Some("/a"));
        assert_eq!(first_unnamed(&[""], &input), None);
        let nested = Value::object([("a", input.clone())]);
        assert_eq!(first_unnamed(&["/a"], &nested), None);
        assert_eq!(first_unnamed(&["/a/a"], &nested).as_deref(), Some("/a/b~0c"));
        assert_eq!(first_unnamed(&[], &Value::object::<&str>([])), None);
    }

    #[test]
    fn what_leaves_little_to_choose_is_a_bound() {
        let n = || Value::from(5);
        let text = || Value::from("/work");
        for (constraint, address, amount) in [
            (Constraint::Equals(n()), true, true),
            (Constraint::OneOf(vec![n()]), true, true),
            (Constraint::Under(text()), true, true),
            (Constraint::Domain(text()), true, true),
            (Constraint::AtMost(n()), false, true),
            (Constraint::AtLeast(n()), false, false),
            (Constraint::LongestBytes(9), false, false),
        ] {
            let one = allowance(&[("/to/*", constraint.clone())], &[]);
            let one = std::slice::from_ref(&one);
            assert_eq!(hold(one, "/to/3", Address), address, "{constraint:?}");
            assert_eq!(hold(one, "/to/3", Much), amount, "{constraint:?}");
            assert!(!hold(one, "/from", Address));
        }
    }

    #[test]
    fn an_argument_is_held_by_the_rules_for_what_it_names() {
        let under = || Some(Constraint::Under(Value::from("/work")));
        let held = allowance(&[], &[under(), under()]);
        assert!(hold(std::slice::from_ref(&held), "/paths/0", Address));
        assert!(!hold(std::slice::from_ref(&held), "/note", Address));
        let any = allowance(&[], &[under(), None]);
        assert!(!hold(std::slice::from_ref(&any), "/paths/0", Address));
        assert!(!hold(&[allowance(&[], &[])], "/paths/0", Address));
    }

    #[test]
    fn every_allowance_that_lets_a_call_through_must_hold_it() {
        let five = || allowance(&[("/n", Constraint::AtMost(Value::from(5)))], &[]);
        assert!(hold(&[five(), five()], "/n", Much));
        assert!(!hold(&[five(), allowance(&[], &[])], "/n", Much));
        assert!(!hold(&[], "/n", Much), "nothing lets it through");
    }
}
