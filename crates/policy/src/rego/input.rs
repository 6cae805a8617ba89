//! What a policy sees: the question as JSON, made once.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::{self, ExprKind, Literal, ValueKind};
use regorus::Value as Rego;
use safeconduct_model::{Entity, Timestamp, Value};

use crate::evaluate::{Prepared, Question};
use crate::schema::Types;
use crate::source::{REGO_INPUT_BYTES_MAX, REGO_INPUT_DEPTH_MAX};

/// The input of a decision.
///
/// # Errors
/// What cannot be shown to a policy, and why; it names places, never values.
pub(super) fn input(asked: &Prepared<'_>, question: &Question<'_>) -> Result<Rego, String> {
    let types = asked.types();
    let mut shown = Shown { left: REGO_INPUT_BYTES_MAX, types };
    let principal = shown.entity(question.principal, "principal")?;
    let resource = shown.entity(question.resource, "resource")?;
    let action = shown.action(asked)?;
    let context = shown.context(asked, question)?;
    object([
        ("principal", principal),
        ("action", action),
        ("resource", resource),
        ("context", context),
    ])
}

fn object<const N: usize>(members: [(&str, Rego); N]) -> Result<Rego, String> {
    let members = members.into_iter().map(|(name, value)| (Rego::from(name), value));
    Ok(Rego::from(members.collect::<BTreeMap<_, _>>()))
}

/// Makes values, as long as there is room for them.
struct Shown<'t> {
    left: usize,
    types: &'t Types,
}

impl Shown<'_> {
    fn take(&mut self, bytes: usize) -> Result<(), String> {
        // A value costs something even where its text is empty.
        self.left = self.left.checked_sub(bytes.saturating_add(8)).ok_or_else(|| {
            format!("the input has more than the limit of {REGO_INPUT_BYTES_MAX} bytes")
        })?;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<Rego, String> {
        self.take(text.len())?;
        Ok(Rego::from(text))
    }

    fn type_name(&mut self, name: &str) -> Result<Rego, String> {
        let kind = self.types.resolve(name).and_then(|kind| kind.name.clone());
        self.text(kind.as_ref().map_or(name, |known| known.as_str()))
    }

    fn reference(&mut self, ty: &str, id: &str) -> Result<Rego, String> {
        object([("type", self.type_name(ty)?), ("id", self.text(id)?)])
    }

    fn entity(&mut self, entity: &Entity, place: &str) -> Result<Rego, String> {
        let mut attributes = BTreeMap::new();
        for (name, value) in &entity.attributes {
            let place = || format!("property `/{name}` of {place}");
            attributes.insert(self.text(name)?, self.value(value, 1, &place)?);
        }
        let mut ancestors = Vec::with_capacity(entity.ancestors.len());
        for ancestor in &entity.ancestors {
            ancestors.push(self.reference(ancestor.ty.as_str(), ancestor.id.as_str())?);
        }
        object([
            ("type", self.type_name(entity.uid.ty.as_str())?),
            ("id", self.text(entity.uid.id.as_str())?),
            ("attributes", Rego::from(attributes)),
            ("ancestors", Rego::from(ancestors)),
        ])
    }

    fn action(&mut self, asked: &Prepared<'_>) -> Result<Rego, String> {
        let action = asked.action();
        let mut ancestors = Vec::with_capacity(action.ancestors.len());
        for uid in &action.ancestors {
            let ty = self.text(&uid.entity_type().to_string())?;
            ancestors.push(object([("type", ty), ("id", self.text(uid.eid().as_ref())?)])?);
        }
        object([
            ("type", self.text(&action.uid.entity_type().to_string())?),
            ("id", self.text(action.uid.eid().as_ref())?),
            ("ancestors", Rego::from(ancestors)),
        ])
    }

    /// The context that Cedar's policies see, and the arguments as they were sent.
    fn context(&mut self, asked: &Prepared<'_>, question: &Question<'_>) -> Result<Rego, String> {
        let ast::Context::Value(members) = asked.whole_context(question)? else {
            return Err("the context is not known".into());
        };
        let mut context = BTreeMap::new();
        for (name, value) in members.iter().filter(|(name, _)| *name != "input") {
            let shown = self.cedar(value, question, &|| format!("`context.{name}`"))?;
            context.insert(self.text(name)?, shown);
        }
        if let Some(nanoseconds) = question.situation.now.as_millis().checked_mul(1_000_000) {
            let time = object([
                ("now", self.text(&question.situation.now.to_string())?),
                ("now_ns", Rego::from(nanoseconds)),
            ])?;
            context.insert(Rego::from("time"), time);
        }
        let input = match question.input {
            Value::Null => Rego::new_object(),
            input => self.value(input, 1, &|| "the arguments".into())?,
        };
        context.insert(Rego::from("input"), input);
        Ok(Rego::from(context))
    }

    fn value(
        &mut self,
        value: &Value,
        depth: usize,
        place: &dyn Fn() -> String,
    ) -> Result<Rego, String> {
        if depth > REGO_INPUT_DEPTH_MAX {
            return Err(format!(
                "{} nest deeper than the limit of {REGO_INPUT_DEPTH_MAX}",
                place()
            ));
        }
        self.take(0)?;
        Ok(match value {
            Value::Null => Rego::Null,
            Value::Bool(truth) => Rego::Bool(*truth),
            Value::Integer(n) => Rego::from(*n),
            Value::Number(n) => {
                self.take(n.as_str().len())?;
                number(n.as_str())
                    .ok_or_else(|| format!("a number in {} cannot be held exactly", place()))?
            }
            Value::String(text) => {
                self.take(text.len())?;
                Rego::String(Arc::clone(text))
            }
            Value::Array(items) => {
                let mut made = Vec::with_capacity(items.len().min(1024));
                for item in items {
                    made.push(self.value(item, depth + 1, place)?);
                }
                Rego::from(made)
            }
            Value::Object(members) => {
                let mut made = BTreeMap::new();
                for (name, member) in members {
                    self.take(name.len())?;
                    let name = Rego::String(Arc::clone(name));
                    made.insert(name, self.value(member, depth + 1, place)?);
                }
                Rego::from(made)
            }
        })
    }

    /// A value of Cedar's as JSON: sets are lists in Cedar's order, entities objects, decimals
    /// numbers, and what else Cedar has is the text that makes it.
    fn cedar(
        &mut self,
        value: &ast::Value,
        question: &Question<'_>,
        place: &dyn Fn() -> String,
    ) -> Result<Rego, String> {
        match value.value_kind() {
            ValueKind::Lit(Literal::Bool(truth)) => Ok(Rego::Bool(*truth)),
            ValueKind::Lit(Literal::Long(n)) => Ok(Rego::from(*n)),
            ValueKind::Lit(Literal::String(text)) => self.text(text),
            ValueKind::Lit(Literal::EntityUID(uid)) => {
                let (ty, id) = (uid.entity_type().to_string(), uid.eid().as_ref());
                let known = |entity: &&Entity| {
                    let full = self.types.resolve(entity.uid.ty.as_str());
                    let full = full.map(|kind| kind.ty.to_string());
                    entity.uid.id.as_str() == id && full.is_some_and(|full| full == ty)
                };
                let beside = [question.principal, question.resource];
                let found = beside.into_iter().chain(question.extra).find(known);
                match found {
                    Some(entity) => self.entity(entity, &place()),
                    None => self.reference(&ty, id),
                }
            }
            ValueKind::Set(set) => {
                let mut items = Vec::with_capacity(set.authoritative.len());
                for item in set.authoritative.iter() {
                    self.take(0)?;
                    items.push(self.cedar(item, question, place)?);
                }
                Ok(Rego::from(items))
            }
            ValueKind::Record(members) => {
                let mut made = BTreeMap::new();
                for (name, member) in members.iter() {
                    made.insert(self.text(name)?, self.cedar(member, question, place)?);
                }
                Ok(Rego::from(made))
            }
            ValueKind::ExtensionValue(extension) => {
                let made = ast::RestrictedExpr::from((**extension).clone());
                self.extension(&made).ok_or_else(|| format!("{} cannot be shown", place()))?
            }
        }
    }

    fn extension(&mut self, made: &ast::Expr) -> Option<Result<Rego, String>> {
        let ExprKind::ExtensionFunctionApp { fn_name, args } = made.expr_kind() else {
            return None;
        };
        let text = |at: usize| match args.get(at).map(ast::Expr::expr_kind) {
            Some(ExprKind::Lit(Literal::String(text))) => Some(text.clone()),
            _ => None,
        };
        match (fn_name.to_string().as_str(), text(0)) {
            ("decimal", Some(decimal)) => Some(Ok(number(&decimal)?)),
            ("offset", None) => {
                let ExprKind::ExtensionFunctionApp { args, .. } = args.get(1)?.expr_kind() else {
                    return None;
                };
                let ExprKind::Lit(Literal::String(since)) = args.first()?.expr_kind() else {
                    return None;
                };
                let millis = since.strip_suffix("ms")?.parse().ok()?;
                Some(self.text(&Timestamp::from_millis(millis).to_string()))
            }
            (_, Some(whole)) if args.len() == 1 => Some(self.text(&whole)),
            _ => None,
        }
    }
}

/// A number that is no integer of 64 bits, where the engine holds it so that no two of them are
/// the same: integers exactly, others up to 15 digits.
fn number(text: &str) -> Option<Rego> {
    const DIGITS_MAX: usize = 15;
    const EXPONENT_MAX: i64 = 290;
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return Rego::from_numeric_string(text).ok();
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_start_matches('0').trim_end_matches('0');
    if digits.len() > DIGITS_MAX || exponent.abs() > EXPONENT_MAX {
        return None;
    }
    let held: f64 = text.parse().ok()?;
    // As an integer where it is one, so that `5.0` is `5`.
    held.is_finite().then(|| Rego::from_numeric_string(text).unwrap_or_else(|_| Rego::from(held)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_apart_or_refused() {
        for fits in ["1.5", "0.1", "-2.50", "1e3", "1e-7", "18446744073709551615", "5.0"] {
            assert!(number(fits).is_some(), "{fits}");
        }
        assert_eq!(number("5.0"), Some(Rego::from(5_i64)));
        assert_eq!(number("1e3"), Some(Rego::from(1000_i64)));
        for wrong in ["1000.0000000000001", "1e300", "1e-300", "0.1234567890123456"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
