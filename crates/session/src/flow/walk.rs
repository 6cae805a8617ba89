//! Walks a value as its JSON would be read, without recursion.

use std::collections::btree_map;
use std::sync::Arc;

use safeconduct_model::Value;
use smallvec::SmallVec;

use super::canonical;
use super::scan::{Content, End, Visitor};

/// A container that is being walked.
enum Around<'a> {
    Array(std::slice::Iter<'a, Value>),
    Object(btree_map::Iter<'a, Arc<str>, Value>),
}

/// Room for the containers around most values.
pub(crate) const DEPTH_USUAL: usize = 4;

/// Tells what a value holds.
pub(crate) fn value(root: &Value, visitor: &mut impl Visitor) -> End {
    let mut stack: SmallVec<[Around<'_>; DEPTH_USUAL]> = SmallVec::new();
    let mut next = Some(root);
    loop {
        match next.take() {
            Some(Value::Array(items)) => {
                visitor.open();
                match items.is_empty() {
                    true => visitor.close(Content::Empty),
                    false => stack.push(Around::Array(items.iter())),
                }
            }
            Some(Value::Object(members)) => {
                visitor.open();
                match members.is_empty() {
                    true => visitor.close(Content::Empty),
                    false => stack.push(Around::Object(members.iter())),
                }
            }
            Some(Value::String(text)) => visitor.text(text),
            Some(Value::Integer(n)) => {
                let form = canonical::integer(*n);
                visitor.number(std::str::from_utf8(form.as_bytes()).unwrap_or_default());
            }
            Some(Value::Number(number)) => visitor.number(number.as_str()),
            Some(Value::Bool(true)) => visitor.word("true"),
            Some(Value::Bool(false)) => visitor.word("false"),
            Some(Value::Null) => visitor.word("null"),
            None => {}
        }
        if visitor.is_full() {
            return End::Full;
        }
        match stack.last_mut() {
            None => return End::Whole,
            Some(Around::Array(items)) => match items.next() {
                Some(item) => {
                    visitor.element();
                    next = Some(item);
                }
                None => {
                    stack.pop();
                    visitor.close(Content::Some);
                }
            },
            Some(Around::Object(members)) => match members.next() {
                Some((name, member)) => {
                    visitor.name(name);
                    next = Some(member);
                }
                None => {
                    stack.pop();
                    visitor.close(Content::Some);
                }
            },
        }
    }
}
