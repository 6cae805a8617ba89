//! Conditions that are read where the values lie.
//!
//! Most conditions compare single members of the context with literals. For these no context is
//! laid out and no value is copied. Whatever else there is in the language, and every error, is
//! left to Cedar's evaluator: to say nothing here is always right.

use std::collections::BTreeMap;

use cedar_policy_core::ast::{
    self, BinaryOp, Expr, ExprKind, Literal, PartialValue, Pattern, PatternElem, UnaryOp,
    ValueKind, Var,
};
use safeconduct_model::{ActionName, Integrity, Value};
use smol_str::SmolStr;

use super::prepare::{Arguments, Attributes};
use super::traced::{Carrying, Traced};
use crate::schema::{ContextField, ContextFields};
use crate::situation::{FlowSituation, Situation};
use crate::temporal::{Answer, LeafName};

/// What conditions are read in: a part of what Cedar would be given.
pub(crate) struct Moment<'q> {
    pub(crate) situation: &'q Situation<'q>,
    pub(crate) action: &'q ActionName,
    /// Which members of the shipped context the action's context has.
    pub(crate) fields: ContextFields,
    /// `context.input`, where there is one.
    pub(crate) input: Option<&'q Arguments<'q>>,
    /// What the temporal clauses of the policy say.
    pub(crate) answers: &'q [Answer<'q>],
    /// The principal, where some condition asks for an attribute of it.
    pub(crate) principal: Option<&'q ast::Entity>,
    /// What is known of the resource, where it can be read as it is.
    pub(crate) resource: Option<Attributes<'q>>,
}

/// A condition, or a part of one.
#[derive(Debug, Clone)]
pub(crate) enum Plain {
    /// What this module does not know.
    Unknown,
    Bool(bool),
    Long(i64),
    Text(SmolStr),
    /// `context.session.steps`: a member that is there wherever the first one is.
    Member(ContextField, ContextField),
    /// `context has session`
    Has(ContextField),
    /// `context.session has steps`
    HasMember(ContextField),
    /// `context has approval`: it seldom has one.
    Approved,
    /// `context has task`: it often has none.
    InTask,
    HasInput,
    /// `context.input.path`
    Argument(SmolStr),
    HasArgument(SmolStr),
    /// The answer of a temporal clause.
    Clause(LeafName),
    /// `principal.environment`
    Attribute(SmolStr),
    HasAttribute(SmolStr),
    /// `resource.scheme`
    OfResource(SmolStr),
    ResourceHas(SmolStr),
    /// `context.flow.carries.secret`
    Carries(Carrying),
    /// `context.flow.addresses.unseen.isEmpty()`
    NoneTraced(Traced),
    /// `context.flow.addresses.from_task.containsAll(context.flow.addresses.unseen)`
    AllTraced([Traced; 2]),
    /// `context.session.actions.contains(…)`
    WasDone(Box<Plain>),
    Not(Box<Plain>),
    Negated(Box<Plain>),
    And(Box<[Plain; 2]>),
    Or(Box<[Plain; 2]>),
    If(Box<[Plain; 3]>),
    Equal(Box<[Plain; 2]>),
    Less(Box<[Plain; 2]>),
    LessOrEqual(Box<[Plain; 2]>),
    Computed(Operation, Box<[Plain; 2]>),
    Like(Box<Plain>, Segments),
}

/// Arithmetic of two integers; `None` where the result does not fit.
type Operation = fn(i64, i64) -> Option<i64>;

/// What a part comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'v> {
    Bool(bool),
    Long(i64),
    Text(&'v str),
}

impl Plain {
    /// What can be read of an expression that is not nested too deeply to recurse into.
    pub(crate) fn of(expression: &Expr) -> Self {
        let one = |e: &Expr| Box::new(Self::of(e));
        let two = |a: &Expr, b: &Expr| Box::new([Self::of(a), Self::of(b)]);
        match expression.expr_kind() {
            ExprKind::Lit(Literal::Bool(truth)) => Self::Bool(*truth),
            ExprKind::Lit(Literal::Long(n)) => Self::Long(*n),
            ExprKind::Lit(Literal::String(text)) => Self::Text(text.clone()),
            ExprKind::GetAttr { expr, attr } => Self::taken(expr, attr),
            ExprKind::HasAttr { expr, attr } => Self::looked_for(expr, attr),
            ExprKind::If { test_expr, then_expr, else_expr } => {
                let parts = [test_expr, then_expr, else_expr];
                Self::If(Box::new(parts.map(|e| Self::of(e))))
            }
            ExprKind::And { left, right } => Self::And(two(left, right)),
            ExprKind::Or { left, right } => Self::Or(two(left, right)),
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => Self::Not(one(arg)),
            ExprKind::UnaryApp { op: UnaryOp::Neg, arg } => Self::Negated(one(arg)),
            ExprKind::UnaryApp { op: UnaryOp::IsEmpty, arg } => {
                Traced::of(arg).map_or(Self::Unknown, Self::NoneTraced)
            }
            ExprKind::BinaryApp { op, arg1, arg2 } => match op {
                BinaryOp::Eq => Self::Equal(two(arg1, arg2)),
                BinaryOp::Less => Self::Less(two(arg1, arg2)),
                BinaryOp::LessEq => Self::LessOrEqual(two(arg1, arg2)),
                BinaryOp::Add => Self::Computed(i64::checked_add, two(arg1, arg2)),
                BinaryOp::Sub => Self::Computed(i64::checked_sub, two(arg1, arg2)),
                BinaryOp::Mul => Self::Computed(i64::checked_mul, two(arg1, arg2)),
                BinaryOp::Contains if is_done_actions(arg1) => Self::WasDone(one(arg2)),
                BinaryOp::ContainsAll => match (Traced::of(arg1), Traced::of(arg2)) {
                    (Some(all), Some(of)) => Self::AllTraced([all, of]),
                    _ => Self::Unknown,
                },
                _ => Self::Unknown,
            },
            ExprKind::Like { expr, pattern } => Self::Like(one(expr), Segments::of(pattern)),
            _ => Self::Unknown,
        }
    }

    /// A member of something.
    fn taken(of: &Expr, member: &SmolStr) -> Self {
        match of.expr_kind() {
            ExprKind::Var(Var::Principal) => Self::Attribute(member.clone()),
            ExprKind::Var(Var::Resource) => Self::OfResource(member.clone()),
            ExprKind::GetAttr { expr, attr } if is_context(expr) => {
                let field = ContextField::of(attr);
                match field.inner(member) {
                    _ if field == ContextField::Input => Self::Argument(member.clone()),
                    _ if field == ContextField::Temporal => {
                        LeafName::of_member(member).map_or(Self::Unknown, Self::Clause)
                    }
                    Some(inner) => Self::Member(field, inner),
                    None => Self::Unknown,
                }
            }
            _ => Carrying::of(of, member).map_or(Self::Unknown, Self::Carries),
        }
    }

    /// Whether something has a member.
    fn looked_for(of: &Expr, member: &SmolStr) -> Self {
        use ContextField::{Action, Approval, Flow, Identity, Input, Risk, Session, Task};
        match of.expr_kind() {
            ExprKind::Var(Var::Principal) => Self::HasAttribute(member.clone()),
            ExprKind::Var(Var::Resource) => Self::ResourceHas(member.clone()),
            ExprKind::Var(Var::Context) => match ContextField::of(member) {
                Input => Self::HasInput,
                field @ (Session | Identity | Action | Flow | Risk) => Self::Has(field),
                Approval => Self::Approved,
                Task => Self::InTask,
                _ => Self::Unknown,
            },
            ExprKind::GetAttr { expr, attr } if is_context(expr) => {
                let field = ContextField::of(attr);
                match field.inner(member) {
                    _ if field == Input => Self::HasArgument(member.clone()),
                    // Of a task that is not there nothing can be asked.
                    Some(_) if field != Task => Self::HasMember(field),
                    _ => Self::Unknown,
                }
            }
            _ => Self::Unknown,
        }
    }

    /// Whether a condition holds; `None` where Cedar must say it, or what is wrong with it.
    #[inline]
    pub(crate) fn holds(&self, moment: &Moment<'_>) -> Option<bool> {
        match self {
            // What most conditions are, or are made of.
            Self::Clause(name) => Answer::find(moment.answers, *name),
            Self::Bool(truth) => Some(*truth),
            Self::And(parts) => {
                let [left, right] = &**parts;
                Some(left.held(moment)? && right.held(moment)?)
            }
            _ => self.held(moment),
        }
    }

    fn held(&self, moment: &Moment<'_>) -> Option<bool> {
        match self.seen(moment)? {
            Seen::Bool(holds) => Some(holds),
            Seen::Long(_) | Seen::Text(_) => None,
        }
    }

    fn seen<'v>(&'v self, moment: &Moment<'v>) -> Option<Seen<'v>> {
        Some(match self {
            Self::Unknown => return None,
            Self::Bool(truth) => Seen::Bool(*truth),
            Self::Long(n) => Seen::Long(*n),
            Self::Text(text) => Seen::Text(text),
            Self::Member(of, inner) => {
                if !moment.fields.has(*of) {
                    return None;
                }
                moment.member(*inner)?
            }
            Self::Has(field) => Seen::Bool(moment.fields.has(*field)),
            Self::HasMember(of) => Seen::Bool(moment.fields.has(*of).then_some(true)?),
            Self::Approved => {
                let declared = moment.fields.has(ContextField::Approval);
                Seen::Bool(declared && moment.situation.approval.is_some())
            }
            Self::InTask => {
                let declared = moment.fields.has(ContextField::Task);
                Seen::Bool(declared && moment.situation.task.is_some())
            }
            Self::HasInput => Seen::Bool(moment.input.is_some()),
            Self::Argument(name) => moment.input?.get(name)?,
            Self::HasArgument(name) => Seen::Bool(moment.input?.has(name)?),
            Self::Clause(name) => Seen::Bool(Answer::find(moment.answers, *name)?),
            Self::Attribute(name) => match moment.principal?.get(name)? {
                PartialValue::Value(found) => value(found)?,
                PartialValue::Residual(_) => return None,
            },
            Self::HasAttribute(name) => Seen::Bool(moment.principal?.get(name).is_some()),
            Self::OfResource(name) => plain(moment.resource.as_ref()?.get(name)?)?,
            Self::ResourceHas(name) => Seen::Bool(moment.resource.as_ref()?.get(name).is_some()),
            Self::Carries(what) => what.seen(moment.flow()?, moment.situation.action.accepts),
            Self::NoneTraced(traced) => Seen::Bool(traced.is_none_of(moment.flow()?)),
            Self::AllTraced([all, of]) => Seen::Bool(all.covers(*of, moment.flow()?)?),
            Self::WasDone(action) => {
                let Seen::Text(action) = action.seen(moment)? else { return None };
                let session = moment.fields.has(ContextField::Session);
                let session = session.then_some(&moment.situation.session)?;
                Seen::Bool(session.actions.iter().any(|done| done.as_str() == action))
            }
            Self::Not(part) => Seen::Bool(!part.holds(moment)?),
            Self::Negated(part) => Seen::Long(part.long(moment)?.checked_neg()?),
            Self::And(parts) => {
                let [left, right] = &**parts;
                Seen::Bool(left.holds(moment)? && right.holds(moment)?)
            }
            Self::Or(parts) => {
                let [left, right] = &**parts;
                Seen::Bool(left.holds(moment)? || right.holds(moment)?)
            }
            Self::If(parts) => {
                let [test, then, other] = &**parts;
                return if test.holds(moment)? { then } else { other }.seen(moment);
            }
            Self::Equal(parts) => {
                let [left, right] = &**parts;
                Seen::Bool(left.seen(moment)? == right.seen(moment)?)
            }
            Self::Less(parts) => {
                let [left, right] = longs(parts, moment)?;
                Seen::Bool(left < right)
            }
            Self::LessOrEqual(parts) => {
                let [left, right] = longs(parts, moment)?;
                Seen::Bool(left <= right)
            }
            Self::Computed(operation, parts) => {
                let [left, right] = longs(parts, moment)?;
                Seen::Long(operation(left, right)?)
            }
            Self::Like(part, segments) => match part.seen(moment)? {
                Seen::Text(text) => Seen::Bool(segments.match_whole(text)),
                Seen::Bool(_) | Seen::Long(_) => return None,
            },
        })
    }

    fn long(&self, moment: &Moment<'_>) -> Option<i64> {
        match self.seen(moment)? {
            Seen::Long(n) => Some(n),
            Seen::Bool(_) | Seen::Text(_) => None,
        }
    }
}

fn longs(parts: &[Plain; 2], moment: &Moment<'_>) -> Option<[i64; 2]> {
    let [left, right] = parts;
    Some([left.long(moment)?, right.long(moment)?])
}

fn is_context(expression: &Expr) -> bool {
    matches!(expression.expr_kind(), ExprKind::Var(Var::Context))
}

/// Whether it is `context.session.actions`.
fn is_done_actions(expression: &Expr) -> bool {
    let ExprKind::GetAttr { expr, attr } = expression.expr_kind() else { return false };
    let ExprKind::GetAttr { expr, attr: of } = expr.expr_kind() else { return false };
    is_context(expr) && of == "session" && attr == "actions"
}

fn value(value: &ast::Value) -> Option<Seen<'_>> {
    match value.value_kind() {
        ValueKind::Lit(Literal::Bool(truth)) => Some(Seen::Bool(*truth)),
        ValueKind::Lit(Literal::Long(n)) => Some(Seen::Long(*n)),
        ValueKind::Lit(Literal::String(text)) => Some(Seen::Text(text)),
        _ => None,
    }
}

/// A value that Cedar has as it is.
fn plain(value: &Value) -> Option<Seen<'_>> {
    match value {
        Value::Bool(truth) => Some(Seen::Bool(*truth)),
        Value::Integer(n) => Some(Seen::Long(*n)),
        Value::String(text) => Some(Seen::Text(text)),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Arguments<'_> {
    fn get(&self, name: &SmolStr) -> Option<Seen<'_>> {
        match self {
            Self::AsTheyAre(members, _) => plain(members.get(name.as_str())?),
            Self::Converted(all) => value(record(all)?.get(name)?),
        }
    }

    fn has(&self, name: &SmolStr) -> Option<bool> {
        match self {
            Self::AsTheyAre(members, _) => Some(members.contains_key(name.as_str())),
            Self::Converted(all) => Some(record(all)?.contains_key(name)),
        }
    }
}

fn record(value: &ast::Value) -> Option<&BTreeMap<SmolStr, ast::Value>> {
    match value.value_kind() {
        ValueKind::Record(members) => Some(members),
        _ => None,
    }
}

impl<'q> Moment<'q> {
    /// Where the arguments came from, where policies may look at it.
    fn flow(&self) -> Option<&'q FlowSituation> {
        self.fields.has(ContextField::Flow).then_some(&self.situation.flow)
    }

    /// A member of a member, as `situation` lays it out.
    fn member(&self, field: ContextField) -> Option<Seen<'q>> {
        let Situation { session, identity, action, risk, .. } = self.situation;
        let task = || self.situation.task.as_ref();
        let count = |n: u64| Seen::Long(i64::try_from(n).unwrap_or(i64::MAX));
        Some(match field {
            ContextField::TaskId => Seen::Text(task()?.id),
            ContextField::TaskIntent => Seen::Text(task()?.intent),
            ContextField::TaskVersion => Seen::Long(i64::from(task()?.version)),
            ContextField::TaskDepth => Seen::Long(i64::from(task()?.depth)),
            ContextField::TaskBudgetLeft => count(task()?.budget_left),
            ContextField::TaskAge => Seen::Long(task()?.age_s),
            ContextField::RiskScore => Seen::Long(i64::from(risk.score)),
            ContextField::RiskLevel => Seen::Text(risk.level),
            ContextField::SessionSteps => count(session.steps),
            ContextField::SessionDenials => count(session.denials),
            ContextField::SessionDistinctResources => count(session.distinct_resources),
            ContextField::SessionCallsLeft => count(session.calls_left),
            ContextField::IdentityMethod => Seen::Text(identity.method.as_str()),
            ContextField::IdentityAssurance => Seen::Text(identity.assurance.as_str()),
            ContextField::IdentityAge => Seen::Long(identity.age_s),
            ContextField::ActionName => Seen::Text(self.action.as_str()),
            ContextField::ActionTier => Seen::Text(action.tier.as_str()),
            ContextField::ActionEffect => Seen::Text(action.effect.as_str()),
            ContextField::ActionTrust => Seen::Text(action.trust.as_str()),
            ContextField::ActionGuessed => Seen::Bool(action.guessed),
            ContextField::ActionAccepts => Seen::Text(action.accepts.as_str()),
            ContextField::SessionUntrusted => {
                Seen::Bool(session.label.integrity == Integrity::Untrusted)
            }
            ContextField::SessionSensitivity => Seen::Text(session.label.confidentiality.as_str()),
            ContextField::SessionAboveSink => {
                Seen::Bool(session.label.confidentiality > action.accepts)
            }
            _ => return None,
        })
    }
}

/// A pattern of `like`: what stands between its wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segments {
    first: Box<str>,
    middle: Box<[Box<str>]>,
    /// `None` where there is no wildcard at all.
    last: Option<Box<str>>,
}

impl Segments {
    fn of(pattern: &Pattern) -> Self {
        let mut all = vec![String::new()];
        for element in pattern.get_elems() {
            match (element, all.last_mut()) {
                (PatternElem::Char(c), Some(segment)) => segment.push(*c),
                _ => all.push(String::new()),
            }
        }
        let mut all = all.into_iter().map(String::into_boxed_str);
        let first = all.next().unwrap_or_default();
        let last = all.next_back();
        Self { first, middle: all.filter(|segment| !segment.is_empty()).collect(), last }
    }

    /// Each segment is looked for as early as can be: where any way to match exists, so does this.
    fn match_whole(&self, text: &str) -> bool {
        let Some(last) = &self.last else { return *text == *self.first };
        let within = text.strip_prefix(&*self.first).and_then(|rest| rest.strip_suffix(&**last));
        let found = within.and_then(|rest| {
            let mut segments = self.middle.iter();
            segments.try_fold(rest, |rest, segment| Some(rest.split_once(&**segment)?.1))
        });
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = PatternElem> {
        prop_oneof![
            Just(PatternElem::Wildcard),
            prop::sample::select(vec!['a', 'b', '*', '\u{e9}']).prop_map(PatternElem::Char),
        ]
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_it_does_with_cedar(
            elements in prop::collection::vec(element(), 0..8),
            text in "[ab*\u{e9}]{0,10}",
        ) {
            let pattern = Pattern::from_iter(elements);
            let ours = Segments::of(&pattern).match_whole(&text);
            prop_assert_eq!(ours, pattern.wildcard_match(&text));
        }
    }

    #[test]
    fn what_is_usual_is_plain() {
        for text in [
            r#"context.input.path like "/cases/*" && context.session.steps < 5"#,
            r#"context.action.tier == "critical" && !(context has approval)"#,
            r#"context.session.actions.contains("mail.send")"#,
            r#"principal has environment && principal.environment == "production""#,
            "context.input has head && context.input.head + 1 > -1000",
            "if context has session then context.identity has age_s else false",
            r#"context has task && context.task.intent == "close_case" || resource has scheme"#,
            "context.flow.addresses.bounded.containsAll(context.flow.addresses.unseen)",
            "context has flow && context.flow.from_untrusted.isEmpty()",
            "context.flow.carries.secret || context.flow.carries.coverage > 500",
        ] {
            let expression = text.parse::<Expr>().unwrap();
            let plain = format!("{:?}", Plain::of(&expression));
            assert!(!plain.contains("Unknown"), "{text}: {plain}");
        }
        for text in [
            "principal in resource",
            "context.time.now == context.time.now",
            r#"context.flow.from_task.contains("/to")"#,
            "context.flow.bounded.isEmpty()",
            "context.task has intent",
        ] {
            let plain = format!("{:?}", Plain::of(&text.parse::<Expr>().unwrap()));
            assert!(plain.contains("Unknown"), "{text}: {plain}");
        }
    }
}
