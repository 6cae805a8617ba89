//! Conditions that hold at every request of a policy, or at none.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::formula::{
    Aggregate, Comparison, Formula, Matches, Parameter, Part, Root, Symbol, Term,
};
use super::{Field, REQUEST};

/// What a condition always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Always {
    /// It holds, whatever has happened.
    Holds,
    /// It does not.
    Fails,
}

impl std::ops::Not for Always {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
        }
    }
}

/// Whether a condition holds, or fails, at each request of those actions. `None` where that
/// depends on what has happened or on what is asked; also where it is not seen that it does not.
pub fn always(
    formula: &Formula,
    actions: &BTreeSet<Arc<str>>,
    parameters: &[Parameter],
) -> Option<Always> {
    At { actions: Some(actions), parameters }.seen(formula)
}

/// An event of which this is known: that it is a request of such an action, or nothing.
struct At<'a> {
    actions: Option<&'a BTreeSet<Arc<str>>>,
    parameters: &'a [Parameter],
}

impl At<'_> {
    fn seen(&self, formula: &Formula) -> Option<Always> {
        let sometime = At { actions: None, parameters: self.parameters };
        match formula {
            Formula::All(parts) => {
                let named: BTreeSet<_> = parts.iter().filter_map(event).collect();
                let seen: Vec<_> = parts.iter().map(|part| self.seen(part)).collect();
                if named.len() > 1 || seen.contains(&Some(Always::Fails)) {
                    return Some(Always::Fails);
                }
                seen.iter().all(|seen| *seen == Some(Always::Holds)).then_some(Always::Holds)
            }
            Formula::Not(body) => self.seen(body).map(|seen| !seen),
            Formula::Formerly { body, .. } => match self.seen(body) {
                Some(Always::Holds) => Some(Always::Holds),
                _ => sometime.seen(body).filter(|seen| *seen == Always::Fails),
            },
            Formula::Previous { body, .. } => {
                sometime.seen(body).filter(|seen| *seen == Always::Fails)
            }
            Formula::Since { left, anchor, .. } => {
                let now = self.seen(anchor);
                if now == Some(Always::Holds) || sometime.seen(anchor) == Some(Always::Fails) {
                    return sometime.seen(anchor).or(now);
                }
                let neither = now == Some(Always::Fails) && self.seen(left) == Some(Always::Fails);
                neither.then_some(Always::Fails)
            }
            Formula::Matches(matches) => self.matched(matches),
            Formula::Compare(comparison, left, right) => self.compared(*comparison, left, right),
            Formula::Exists(symbol, body) => match counted_as(*symbol, body) {
                Some(said) => self.seen(&said),
                // Whatever fails, fails with every value.
                None => self.seen(body).filter(|seen| *seen == Always::Fails),
            },
            Formula::Instant(_) => None,
        }
    }

    /// A request is what it is itself.
    fn matched(&self, matches: &Matches) -> Option<Always> {
        let actions = self.actions?;
        if *matches.kind != *REQUEST || !actions.contains(&matches.action) {
            return Some(Always::Fails);
        }
        let own = |(field, term): &(Field, Term)| match term {
            Term::Of(symbol) => {
                let parameter = self.parameters.get(usize::from(symbol.0));
                parameter.is_some_and(|parameter| is_own(field, parameter))
            }
            _ => false,
        };
        (actions.len() == 1 && matches.fields.iter().all(own)).then_some(Always::Holds)
    }

    fn compared(&self, comparison: Comparison, left: &Term, right: &Term) -> Option<Always> {
        match (left, right) {
            (Term::Is(left), Term::Is(right)) => {
                Some(if comparison.holds(left, right) { Always::Holds } else { Always::Fails })
            }
            (Term::Aggregate(counted), Term::Is(limit)) => {
                self.counted(counted, comparison, limit.as_long()?)
            }
            (Term::Is(limit), Term::Aggregate(counted)) => {
                let turned = match comparison {
                    Comparison::Less => Comparison::Greater,
                    Comparison::AtMost => Comparison::AtLeast,
                    Comparison::Greater => Comparison::Less,
                    Comparison::AtLeast => Comparison::AtMost,
                    same => same,
                };
                self.counted(counted, turned, limit.as_long()?)
            }
            _ => None,
        }
    }

    /// A count is never negative, and 1 at least where the request itself is counted.
    fn counted(&self, of: &Aggregate, comparison: Comparison, limit: i64) -> Option<Always> {
        if of.sum.is_some() {
            return None;
        }
        let nothing = At { actions: None, parameters: self.parameters }.seen(&of.body);
        if nothing == Some(Always::Fails) {
            let holds = comparison.holds(&super::Datum::Long(0), &super::Datum::Long(limit));
            return Some(if holds { Always::Holds } else { Always::Fails });
        }
        let least = i64::from(self.counts_itself(&of.body));
        match comparison {
            Comparison::AtLeast if limit <= least => Some(Always::Holds),
            Comparison::Greater if limit < least => Some(Always::Holds),
            Comparison::Less if limit <= least => Some(Always::Fails),
            Comparison::AtMost if limit < least => Some(Always::Fails),
            Comparison::Equal if limit < least => Some(Always::Fails),
            Comparison::Unequal if limit < least => Some(Always::Holds),
            _ => None,
        }
    }

    /// Whether the request itself is one of what is counted: it binds only the number of the
    /// event.
    fn counts_itself(&self, body: &Formula) -> bool {
        match body {
            Formula::All(parts) => parts.iter().all(|part| self.counts_itself(part)),
            Formula::Formerly { body, .. } => self.counts_itself(body),
            Formula::Instant(_) => true,
            Formula::Matches(matches) => self.matched(matches) == Some(Always::Holds),
            _ => false,
        }
    }
}

/// What is said of a count by its name, said of the count itself: of `count(…) == n && n > 5`
/// that `count(…) > 5`. There always is one count, so that nothing is lost with the name.
fn counted_as(name: Symbol, body: &Formula) -> Option<Formula> {
    let Formula::All(parts) = body else {
        return counted(name, body).map(|_| Formula::All(Vec::new()));
    };
    let (at, count) =
        parts.iter().enumerate().find_map(|(at, part)| Some((at, counted(name, part)?)))?;
    let others = parts.iter().enumerate().filter(|(other, _)| *other != at);
    Some(Formula::All(others.map(|(_, part)| with_count(part, name, count)).collect()))
}

/// The count that a part names: `count(…) == n`.
fn counted(name: Symbol, part: &Formula) -> Option<&Term> {
    let Formula::Compare(Comparison::Equal, left, right) = part else { return None };
    let (count, other) = match (left, right) {
        (Term::Of(_), count) => (count, left),
        (count, other) => (count, other),
    };
    let Term::Aggregate(aggregate) = count else { return None };
    let own = aggregate.sum.is_none() && !aggregate.body.free().contains(&name);
    (own && *other == Term::Of(name)).then_some(count)
}

/// A part with the count in the place of its name. Under an operator of time the count would be
/// another: what is there stays as it is.
fn with_count(part: &Formula, name: Symbol, count: &Term) -> Formula {
    let put = |term: &Term| if *term == Term::Of(name) { count.clone() } else { term.clone() };
    match part {
        Formula::All(parts) => {
            Formula::All(parts.iter().map(|part| with_count(part, name, count)).collect())
        }
        Formula::Not(body) => Formula::Not(Box::new(with_count(body, name, count))),
        Formula::Exists(bound, body) => {
            Formula::Exists(*bound, Box::new(with_count(body, name, count)))
        }
        Formula::Compare(comparison, left, right) => {
            Formula::Compare(*comparison, put(left), put(right))
        }
        other => other.clone(),
    }
}

fn event(formula: &Formula) -> Option<(&str, &str)> {
    match formula {
        Formula::Matches(matches) => Some((&matches.kind, &matches.action)),
        _ => None,
    }
}

fn is_own(field: &Field, parameter: &Parameter) -> bool {
    match field.of {
        Part::Principal => parameter.root == Root::Principal && parameter.path.is_empty(),
        Part::Resource => parameter.root == Root::Resource && parameter.path.is_empty(),
        Part::Input => {
            let input = parameter.path.split_first().filter(|(first, _)| &***first == "input");
            parameter.root == Root::Context && input.is_some_and(|(_, path)| *path == *field.path)
        }
        Part::Output | Part::Decision | Part::Beside => false,
    }
}
