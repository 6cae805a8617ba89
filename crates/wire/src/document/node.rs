//! Values that know where they stand.

use std::sync::Arc;

use safeconduct_model::{Number, Value};

use super::Place;

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits.
    Integer(i64),
    /// Any other number.
    Number(Number),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order of the text; keys are unique.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// Where the key stands.
    pub key_place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of that key, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Key and value of that key, where this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key == key)
    }

    /// Keys and values, where this is a map.
    pub fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements, where this is a list.
    pub fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The text, where this is one.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The node of that JSON Pointer, or the last one on the way to it.
    pub fn nearest(&self, pointer: &str) -> &Self {
        let mut node = self;
        for token in pointer.split('/').skip(1) {
            let next = match &node.content {
                Content::List(items) => token.parse().ok().and_then(|i: usize| items.get(i)),
                _ => node.get(&token.replace("~1", "/").replace("~0", "~")),
            };
            match next {
                Some(next) => node = next,
                None => return node,
            }
        }
        node
    }

    /// The value, without places.
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(b) => Value::Bool(*b),
            Content::Integer(n) => Value::Integer(*n),
            Content::Number(n) => Value::Number(n.clone()),
            Content::Text(text) => Value::String(Arc::clone(text)),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Map(entries) => {
                Value::object(entries.iter().map(|e| (Arc::clone(&e.key), e.value.to_value())))
            }
        }
    }

    /// The nodes of a value that came without places.
    pub fn from_value(value: &Value) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(b) => Content::Bool(*b),
            Value::Integer(n) => Content::Integer(*n),
            Value::Number(n) => Content::Number(n.clone()),
            Value::String(text) => Content::Text(Arc::clone(text)),
            Value::Array(items) => Content::List(items.iter().map(Self::from_value).collect()),
            Value::Object(members) => Content::Map(
                members
                    .iter()
                    .map(|(key, value)| Entry {
                        key: Arc::clone(key),
                        key_place: Place::default(),
                        value: Self::from_value(value),
                    })
                    .collect(),
            ),
        };
        Self { place: Place::default(), content }
    }
}
