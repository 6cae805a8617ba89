//! Nodes against a schema: every problem at once, each with its place and a suggestion.
//!
//! It knows the part of JSON Schema that our own forms use, and a test holds that they use no
//! other: `$ref`, `type`, `enum`, `const`, `anyOf`/`oneOf`, `properties`, `required`,
//! `additionalProperties`, `propertyNames`, `items`, `format`, and the limits on sizes.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::format::check_format;
use super::{Content, Diagnostic, Node, Place};
use crate::field::{listed, shown};

/// Most problems that one check reports: nobody reads more.
const PROBLEMS_MAX: usize = 100;

/// All problems of a node, in the order of the text.
pub(super) fn check(schema: &Json, node: &Node, file: &str) -> Vec<Diagnostic> {
    let mut checker = Checker { root: schema, file, path: Vec::new(), problems: Vec::new() };
    checker.check(schema, node);
    checker.problems.sort_by_key(|problem| (problem.line, problem.column));
    checker.problems
}

struct Checker<'a> {
    root: &'a Json,
    file: &'a str,
    path: Vec<String>,
    problems: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn report(&mut self, place: Place, message: String, help: Option<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            let pointer = self.path.iter().fold(String::new(), |all, token| all + "/" + token);
            let problem = Diagnostic::new(self.file, place, pointer, message);
            self.problems.push(Diagnostic { help, ..problem });
        }
    }

    fn inside(&mut self, token: &str, schema: &'a Json, node: &Node) {
        self.path.push(token.replace('~', "~0").replace('/', "~1"));
        self.check(schema, node);
        self.path.pop();
    }

    fn check(&mut self, schema: &'a Json, node: &Node) {
        let Some(schema) = self.resolve(schema) else {
            return;
        };
        if let Some(words) = vocabulary(schema) {
            return self.word(&words, node);
        }
        if let Some(options) = options(schema) {
            return self.one_of(options, node);
        }
        let types = types(schema);
        if !types.is_empty() && !types.iter().any(|ty| admits(ty, &node.content)) {
            return self.wrong_type(&types, node);
        }
        match &node.content {
            Content::Map(_) => self.map(schema, node),
            Content::List(items) => self.list(schema, node, items),
            Content::Text(text) => self.text(schema, node, text),
            Content::Integer(n) => self.number(schema, node, *n),
            _ => {}
        }
    }

    /// Follows `$ref`; a schema that is `true` or empty has nothing to check.
    fn resolve(&self, mut schema: &'a Json) -> Option<&'a Map<String, Json>> {
        // A reference to a reference does not occur more often than there are definitions.
        for _ in 0..16 {
            let object = schema.as_object()?;
            let Some(target) = object.get("$ref").and_then(Json::as_str) else {
                return Some(object);
            };
            schema = self.root.pointer(target.strip_prefix('#')?)?;
        }
        None
    }

    fn word(&mut self, words: &[&str], node: &Node) {
        let found = match &node.content {
            Content::Text(text) if words.contains(&&**text) => return,
            Content::Text(text) => format!("`{}`", shown(text)),
            other => kind(other).to_owned(),
        };
        let meant = node.text().and_then(|text| closest(text, words.iter().copied()));
        let message = format!("{found} is not one of {}", listed(words));
        self.report(node.place, message, meant.map(did_you_mean));
    }

    fn one_of(&mut self, options: &'a [Json], node: &Node) {
        let mut first = None;
        let mut all = Vec::new();
        for option in options {
            let Some(resolved) = self.resolve(option) else {
                return;
            };
            let types = types(resolved);
            all.extend(types.iter().copied());
            if types.is_empty() || types.iter().any(|ty| admits(ty, &node.content)) {
                let before = self.problems.len();
                self.check(option, node);
                let new = self.problems.split_off(before);
                if new.is_empty() {
                    return;
                }
                first.get_or_insert(new);
            }
        }
        match first {
            Some(problems) => self.problems.extend(problems),
            None => self.wrong_type(&all, node),
        }
    }

    fn wrong_type(&mut self, types: &[&str], node: &Node) {
        let wanted = types.iter().map(|ty| described(ty)).collect::<Vec<_>>().join(" or ");
        let help = match &node.content {
            Content::Null => Some("write a value, or leave the key out".to_owned()),
            Content::Text(text) if types.contains(&"boolean") => boolean_meant(text),
            Content::Bool(_) | Content::Integer(_) | Content::Number(_)
                if types.contains(&"string") =>
            {
                Some("write it in quotes".to_owned())
            }
            _ => None,
        };
        let found = kind(&node.content);
        self.report(node.place, format!("this is {found}, but must be {wanted}"), help);
    }

    fn map(&mut self, schema: &'a Map<String, Json>, node: &Node) {
        let known = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        // A misspelt key is one problem, not an unknown key and a missing one.
        let mut misspelt = Vec::new();
        for entry in node.entries() {
            match (known.and_then(|known| known.get(&*entry.key)), others) {
                (Some(schema), _) => self.inside(&entry.key, schema, &entry.value),
                (None, Some(Json::Bool(false))) => {
                    let names: Vec<_> =
                        known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                    let meant = closest(&entry.key, names.iter().copied());
                    misspelt.extend(meant);
                    let help =
                        meant.map_or_else(|| format!("known are {}", listed(&names)), did_you_mean);
                    let message = format!("unknown key `{}`", shown(&entry.key));
                    self.report(entry.key_place, message, Some(help));
                }
                (None, Some(schema @ Json::Object(_))) => {
                    self.inside(&entry.key, schema, &entry.value);
                }
                (None, _) => {}
            }
            if let Some(names) = schema.get("propertyNames") {
                self.key(names, &entry.key, entry.key_place);
            }
        }
        for name in schema.get("required").and_then(Json::as_array).into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            if node.get(name).is_none() && !misspelt.contains(&name) {
                self.report(node.place, format!("missing key `{name}`"), None);
            }
        }
        self.size(schema, node, node.entries().len(), ["minProperties", "maxProperties"], "keys");
    }

    /// A key of an open map, against the schema of its names.
    fn key(&mut self, names: &'a Json, key: &Arc<str>, place: Place) {
        let node = Node { place, content: Content::Text(Arc::clone(key)) };
        self.inside(key, names, &node);
    }

    fn list(&mut self, schema: &'a Map<String, Json>, node: &Node, items: &[Node]) {
        if let Some(each) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.inside(&index.to_string(), each, item);
            }
        }
        if schema.get("uniqueItems") == Some(&Json::Bool(true)) {
            for (index, item) in items.iter().enumerate() {
                if items.iter().take(index).any(|other| other.content == item.content) {
                    self.report(item.place, "this is in the list already".to_owned(), None);
                }
            }
        }
        self.size(schema, node, items.len(), ["minItems", "maxItems"], "elements");
    }

    fn text(&mut self, schema: &'a Map<String, Json>, node: &Node, text: &str) {
        let count = text.len();
        self.size(schema, node, count, ["minLength", "maxLength"], "bytes");
        if let Some(format) = schema.get("format").and_then(Json::as_str)
            && let Err(problem) = check_format(format, text)
        {
            self.report(node.place, format!("`{}` {problem}", shown(text)), None);
        }
    }

    fn number(&mut self, schema: &'a Map<String, Json>, node: &Node, n: i64) {
        if let Some(least) = schema.get("minimum").and_then(Json::as_i64)
            && n < least
        {
            self.report(node.place, format!("{n} is less than {least}"), None);
        }
        if let Some(most) = schema.get("maximum").and_then(Json::as_i64)
            && n > most
        {
            self.report(node.place, format!("{n} is more than {most}"), None);
        }
    }

    fn size(
        &mut self,
        schema: &'a Map<String, Json>,
        node: &Node,
        count: usize,
        [min, max]: [&str; 2],
        what: &str,
    ) {
        let limit = |name: &str| schema.get(name).and_then(Json::as_u64);
        if let Some(least) = limit(min)
            && (count as u64) < least
        {
            let message = match count {
                0 => "this is empty".to_owned(),
                _ => format!("this has fewer than {least} {what}"),
            };
            self.report(node.place, message, None);
        }
        if let Some(most) = limit(max)
            && (count as u64) > most
        {
            self.report(node.place, format!("this has more than {most} {what}"), None);
        }
    }
}

/// The words of a schema that allows nothing but words.
fn vocabulary(schema: &Map<String, Json>) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        return words.iter().map(Json::as_str).collect();
    }
    if let Some(word) = schema.get("const").and_then(Json::as_str) {
        return Some(vec![word]);
    }
    // Words with a comment each.
    let words = options(schema)?.iter().map(|option| vocabulary(option.as_object()?));
    Some(words.collect::<Option<Vec<_>>>()?.concat())
}

fn options(schema: &Map<String, Json>) -> Option<&[Json]> {
    schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array().map(Vec::as_slice)
}

fn types(schema: &Map<String, Json>) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(ty)) => vec![ty],
        Some(Json::Array(types)) => types.iter().filter_map(Json::as_str).collect(),
        // A vocabulary without `type` is one of texts.
        _ if vocabulary(schema).is_some() => vec!["string"],
        _ => Vec::new(),
    }
}

fn admits(ty: &str, content: &Content) -> bool {
    match content {
        Content::Null => ty == "null",
        Content::Bool(_) => ty == "boolean",
        Content::Integer(_) => ty == "integer" || ty == "number",
        Content::Number(_) => ty == "number",
        Content::Text(_) => ty == "string",
        Content::List(_) => ty == "array",
        Content::Map(_) => ty == "object",
    }
}

fn described(ty: &str) -> &'static str {
    match ty {
        "string" => "a text",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a map",
        _ => "something else",
    }
}

const fn kind(content: &Content) -> &'static str {
    match content {
        Content::Null => "empty",
        Content::Bool(true) => "`true`",
        Content::Bool(false) => "`false`",
        Content::Integer(_) => "a whole number",
        Content::Number(_) => "a number",
        Content::Text(_) => "a text",
        Content::List(_) => "a list",
        Content::Map(_) => "a map",
    }
}

fn boolean_meant(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => Some("write `true`".to_owned()),
        "no" | "off" | "n" | "false" => Some("write `false`".to_owned()),
        _ => None,
    }
}

fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

/// The candidate that looks most like the text, if one is near.
pub(crate) fn closest<'c>(
    text: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let text = text.to_lowercase();
    let near = 1.max(text.chars().count() / 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&text, candidate), candidate))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, candidate)| candidate)
}
