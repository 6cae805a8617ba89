//! From Dogwood's conditions to those of the monitors: names resolved, variables told apart.

use std::collections::HashMap;
use std::sync::Arc;

use dogwood_language::temporal_ast::{
    AggExpr, AggExprKind, BinderSlot, CmpOp, Condition, ConditionKind, Interval, Predicate, Term,
    TypedBinder, WithinSpec,
};
use dogwood_language::{EventFieldType, EventSignature};
use safeconduct_session::monitor::{
    Aggregate, Comparison, Datum, Field, Formula, Matches, Parameter, Part, Root, Sort, Source,
    Symbol, Term as Operand,
};

/// What the schema says of events: the sorts of their fields.
#[derive(Debug, Default)]
pub(crate) struct Events {
    sorts: HashMap<(String, String), HashMap<String, Sort>>,
}

/// How an action is named in programs.
pub(crate) type ActionNamed = fn(&[String], &str) -> String;

impl Events {
    /// Of what Dogwood derived from the schema, or from a part of it: then `several` says of which
    /// fields the whole has several types of entities.
    pub(crate) fn of(
        signatures: impl Iterator<Item = EventSignature>,
        named: ActionNamed,
        several: &dyn Fn(&str, &[String]) -> bool,
    ) -> Self {
        let sorts = signatures.map(|signature| {
            let fields = signature.fields().map(|field| {
                let sort = match field.field_type() {
                    EventFieldType::Cedar(ty) => sort(ty),
                    // Entities are given as such.
                    EventFieldType::EntityTypes(types) => match types.as_slice() {
                        [one] if !several(signature.action(), field.path()) => {
                            Sort::Entity(one.as_str().into())
                        }
                        _ => Sort::Entity("".into()),
                    },
                };
                (field.path().join("."), sort)
            });
            let action = named(signature.namespace(), signature.action());
            ((action, signature.kind().to_owned()), fields.collect())
        });
        Self { sorts: sorts.collect() }
    }

    fn sort(&self, action: &str, kind: &str, path: &str) -> Option<&Sort> {
        self.sorts.get(&(action.to_owned(), kind.to_owned()))?.get(path)
    }
}

/// What a Cedar type says of how a value is read.
fn sort(ty: &str) -> Sort {
    match ty.trim() {
        "Long" | "__cedar::Long" => Sort::Long,
        "decimal" | "__cedar::decimal" => Sort::Decimal,
        "String" | "Bool" | "Boolean" | "datetime" | "duration" | "ipaddr" => Sort::Any,
        other if other.contains(['<', '{', ' ']) || other.starts_with("__cedar::") => Sort::Any,
        entity => Sort::Entity(entity.into()),
    }
}

/// Where the members of an event come from.
pub(crate) trait Layout {
    /// The part that a field's path starts in, and how many segments name it.
    fn part(&self, path: &[&str]) -> (Part, usize);
}

/// The events of the shipped event schema.
pub(crate) struct Shipped;

impl Layout for Shipped {
    fn part(&self, path: &[&str]) -> (Part, usize) {
        match path.first() {
            Some(&"input") => (Part::Input, 1),
            Some(&"output") => (Part::Output, 1),
            Some(&"callerPrincipal") => (Part::Principal, 1),
            Some(&"callerResource") => (Part::Resource, 1),
            Some(&"decision") => (Part::Decision, 1),
            _ => (Part::Beside, 0),
        }
    }
}

/// Why a condition cannot be said in the monitors' words.
#[derive(Debug)]
pub(crate) struct NotServed(pub(crate) &'static str);

/// Converts a condition. `own` are the actions whose requests it is decided for.
pub(crate) fn source(
    condition: &Condition,
    own: &[String],
    events: &Events,
    named: ActionNamed,
    layout: &dyn Layout,
) -> Result<Source, NotServed> {
    let mut parameters = Parameters { found: Vec::new(), own, events };
    parameters.look(condition);
    let count = u16::try_from(parameters.found.len()).map_err(|_| TOO_MANY)?;
    let mut reader = Reader {
        parameters: parameters.found,
        next: count,
        scope: Vec::new(),
        events,
        named,
        layout,
    };
    let formula = reader.formula(condition)?;
    Ok(Source { parameters: reader.parameters, symbols: reader.next, formula })
}

const TOO_MANY: NotServed = NotServed("the condition has too many variables");

struct Parameters<'a> {
    found: Vec<Parameter>,
    own: &'a [String],
    events: &'a Events,
}

impl Parameters<'_> {
    fn look(&mut self, condition: &Condition) {
        match &condition.kind {
            ConditionKind::And { left, right }
            | ConditionKind::Or { left, right }
            | ConditionKind::Since { left, right, .. } => {
                self.look(left);
                self.look(right);
            }
            ConditionKind::Not { inner: body }
            | ConditionKind::Formerly { body, .. }
            | ConditionKind::Previous { body, .. }
            | ConditionKind::Exists { body, .. } => self.look(body),
            ConditionKind::Predicate(predicate) => {
                predicate.args.iter().for_each(|arg| self.term(&arg.value));
            }
            ConditionKind::Comparison { left, right, .. } => {
                self.term(left);
                self.term(right);
            }
            _ => {}
        }
    }

    fn term(&mut self, term: &Term) {
        match term {
            Term::Agg(aggregate) => match &aggregate.kind {
                AggExprKind::Sum { body, .. } | AggExprKind::Count { body, .. } => self.look(body),
                AggExprKind::Call(_) => {}
            },
            Term::ContextField(path) => {
                let dotted = path.join(".");
                let sorts =
                    self.own.iter().map(|action| self.events.sort(action, "request", &dotted));
                let mut sorts: Vec<_> =
                    sorts.map(|sort| sort.cloned().unwrap_or_default()).collect();
                sorts.dedup();
                let sort = match sorts.as_slice() {
                    [one] => one.clone(),
                    _ => Sort::Any,
                };
                self.add(Root::Context, path, sort);
            }
            Term::ScopeField(path) => {
                if let Some((root, rest)) = path.split_first() {
                    let root = if root == "resource" { Root::Resource } else { Root::Principal };
                    self.add(root, rest, Sort::Any);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, root: Root, path: &[String], sort: Sort) {
        let path = path.iter().map(|part| Arc::from(part.as_str())).collect();
        let parameter = Parameter { root, path, sort };
        if !self.found.contains(&parameter) {
            self.found.push(parameter);
        }
    }
}

struct Reader<'a> {
    parameters: Vec<Parameter>,
    next: u16,
    /// Variables by name, the innermost last.
    scope: Vec<(String, Symbol)>,
    events: &'a Events,
    named: ActionNamed,
    layout: &'a dyn Layout,
}

impl Reader<'_> {
    fn formula(&mut self, condition: &Condition) -> Result<Formula, NotServed> {
        Ok(match &condition.kind {
            ConditionKind::And { left, right } => {
                let mut parts = Vec::new();
                for side in [left, right] {
                    match self.formula(side)? {
                        Formula::All(all) => parts.extend(all),
                        one => parts.push(one),
                    }
                }
                Formula::All(parts)
            }
            ConditionKind::Not { inner } => Formula::Not(Box::new(self.formula(inner)?)),
            ConditionKind::Formerly { within, body } => Formula::Formerly {
                window_ms: window(within)?,
                body: Box::new(self.formula(body)?),
            },
            ConditionKind::Previous { within, body } => Formula::Previous {
                window_ms: window(within)?,
                body: Box::new(self.formula(body)?),
            },
            ConditionKind::Since { left, within, right } => Formula::Since {
                left: Box::new(self.formula(left)?),
                window_ms: window(within)?,
                anchor: Box::new(self.formula(right)?),
            },
            ConditionKind::Predicate(predicate) => Formula::Matches(self.matches(predicate)?),
            ConditionKind::Comparison { op, left, right } => {
                Formula::Compare(comparison(*op), self.operand(left)?, self.operand(right)?)
            }
            ConditionKind::Exists { var, body } => {
                let symbol = self.bind(var)?;
                let body = self.formula(body);
                self.scope.pop();
                Formula::Exists(symbol, Box::new(body?))
            }
            ConditionKind::Tp { var } => Formula::Instant(self.variable(slot(var)?)?),
            ConditionKind::Or { .. } => return Err(NotServed("alternatives are not served")),
            _ => return Err(NotServed("a macro is left unexpanded")),
        })
    }

    fn bind(&mut self, binder: &TypedBinder) -> Result<Symbol, NotServed> {
        let symbol = Symbol(self.next);
        self.next = self.next.checked_add(1).ok_or(TOO_MANY)?;
        self.scope.push((slot(&binder.slot)?.to_owned(), symbol));
        Ok(symbol)
    }

    fn variable(&self, name: &str) -> Result<Symbol, NotServed> {
        let found = self.scope.iter().rev().find(|(bound, _)| bound == name);
        found.map(|(_, symbol)| *symbol).ok_or(NotServed("a variable is bound by nothing"))
    }

    fn parameter(&self, root: Root, path: &[String]) -> Result<Symbol, NotServed> {
        let found = self.parameters.iter().position(|parameter| {
            parameter.root == root
                && parameter.path.len() == path.len()
                && parameter.path.iter().zip(path).all(|(a, b)| **a == **b)
        });
        found.and_then(|at| u16::try_from(at).ok()).map(Symbol).ok_or(TOO_MANY)
    }

    fn matches(&mut self, predicate: &Predicate) -> Result<Matches, NotServed> {
        let action = (self.named)(&predicate.namespace, &predicate.action);
        let mut fields = Vec::with_capacity(predicate.args.len());
        for arg in &predicate.args {
            let path: Vec<&str> = arg.name.split('.').collect();
            let (of, skipped) = self.layout.part(&path);
            let sort = self.events.sort(&action, &predicate.kind, &arg.name);
            let field = Field {
                of,
                path: path.iter().skip(skipped).map(|part| Arc::from(*part)).collect(),
                sort: sort.cloned().unwrap_or_default(),
            };
            fields.push((field, self.operand(&arg.value)?));
        }
        let kind = predicate.kind.as_str().into();
        Ok(Matches { kind, action: action.into(), fields })
    }

    fn operand(&mut self, term: &Term) -> Result<Operand, NotServed> {
        Ok(match term {
            Term::Wildcard => Operand::Any,
            Term::Var(name) => Operand::Of(self.variable(name)?),
            Term::ContextField(path) => Operand::Of(self.parameter(Root::Context, path)?),
            Term::ScopeField(path) => match path.split_first() {
                Some((root, rest)) if root == "resource" => {
                    Operand::Of(self.parameter(Root::Resource, rest)?)
                }
                Some((_, rest)) => Operand::Of(self.parameter(Root::Principal, rest)?),
                None => return Err(NotServed("a scope field names nothing")),
            },
            Term::Agg(aggregate) => Operand::Aggregate(Box::new(self.aggregate(aggregate)?)),
            Term::Arith { .. } => return Err(NotServed("arithmetic is not served")),
            constant => {
                Operand::Is(datum(constant).ok_or(NotServed("a list may hold constants only"))?)
            }
        })
    }

    fn aggregate(&mut self, aggregate: &AggExpr) -> Result<Aggregate, NotServed> {
        let (summed, binders, body) = match &aggregate.kind {
            AggExprKind::Sum { bound_var, for_vars, body } => (Some(bound_var), for_vars, body),
            AggExprKind::Count { for_vars, body } => (None, for_vars, body),
            AggExprKind::Call(_) => return Err(NotServed("a macro is left unexpanded")),
        };
        let before = self.scope.len();
        let over = binders.iter().map(|binder| self.bind(binder)).collect::<Result<_, _>>()?;
        let sum = summed.map(|name| self.variable(slot(name)?)).transpose();
        let body = self.formula(body);
        self.scope.truncate(before);
        Ok(Aggregate { sum: sum?, over, body: body? })
    }
}

fn slot(slot: &BinderSlot) -> Result<&str, NotServed> {
    match slot {
        BinderSlot::Name(name) => Ok(name),
        _ => Err(NotServed("a macro is left unexpanded")),
    }
}

fn window(within: &WithinSpec) -> Result<i64, NotServed> {
    let seconds = match within {
        WithinSpec::Concrete(interval) => Interval::checked_seconds(interval),
        WithinSpec::ParamRef(_) => return Err(NotServed("a macro is left unexpanded")),
    };
    let milliseconds = seconds.and_then(|seconds| seconds.checked_mul(1000));
    milliseconds.ok_or(NotServed("the window is too long"))
}

const fn comparison(op: CmpOp) -> Comparison {
    match op {
        CmpOp::Le => Comparison::AtMost,
        CmpOp::Lt => Comparison::Less,
        CmpOp::Ge => Comparison::AtLeast,
        CmpOp::Gt => Comparison::Greater,
        CmpOp::Eq => Comparison::Equal,
        CmpOp::NotEq => Comparison::Unequal,
    }
}

/// A constant.
fn datum(term: &Term) -> Option<Datum> {
    Some(match term {
        Term::Entity { ty, id } => Datum::entity(ty, id),
        Term::Integer(n) => Datum::Long(*n),
        Term::Decimal(text) => Datum::decimal(text),
        Term::String(text) => Datum::text(&text.as_str().into()),
        Term::Bool(truth) => Datum::Bool(*truth),
        Term::Array(items) => Datum::list(items.iter().map(datum).collect::<Option<Vec<_>>>()?),
        _ => return None,
    })
}
