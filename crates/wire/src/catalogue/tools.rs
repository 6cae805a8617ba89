//! The definitions of tools: as a server lists them, as they are approved and pinned.

use std::collections::BTreeSet;

use safeconduct_model::Value;

use crate::document::{Diagnostic, Place};
use crate::json::{self, Limits};

/// Largest file of approved definitions, in bytes.
pub const TOOLS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Deepest definition: schemas nest further than calls do.
pub const TOOLS_DEPTH_MAX: usize = 128;

/// Most tools of one server.
pub const TOOLS_MAX: usize = 10_000;

/// The members of a tool's definition that a pin covers: everything that tells an agent what the
/// tool is. Icons and `_meta` may change without making it another tool.
const PINNED: &[&str] =
    &["annotations", "description", "inputSchema", "name", "outputSchema", "title"];

/// What of a tool's definition is pinned: an object of those members that are there. Its digest
/// is SHA-256 over its canonical bytes (RFC 8785).
pub fn definition_digest_input(tool: &Value) -> Value {
    Value::object(PINNED.iter().filter_map(|name| Some((*name, tool.member(name)?.clone()))))
}

/// The method with which a server greets an agent, in the catalogue's words: `SERVER/initialize`.
pub const GREETING: &str = "initialize";

/// What of a server's greeting is pinned, in the form of a tool's definition: what it instructs
/// agents to do is its description. `said` is what agents read of the greeting, without the
/// protocol's own words; whatever else stands in it is pinned too.
pub fn greeting_definition(said: &Value) -> Value {
    let mut members = vec![("name", Value::from(GREETING))];
    members.extend(instructions(said).map(|text| ("description", Value::from(text))));
    let others =
        said.as_object().is_none_or(|all| all.keys().any(|name| &**name != "instructions"));
    if others || instructions(said).is_none() {
        members.push(("annotations", said.clone()));
    }
    Value::object(members)
}

/// What a server instructs agents to do, as its greeting says.
pub fn instructions(said: &Value) -> Option<&str> {
    said.member("instructions")?.as_str()
}

/// The name of a tool, where it has one.
pub fn tool_name(tool: &Value) -> Option<&str> {
    tool.member("name")?.as_str()
}

/// Reads `catalogue/SERVER.tools.json`: the array of the approved tools, each with a `name` of
/// its own and an `inputSchema`.
///
/// # Errors
/// Every problem that was found: a file that was edited by hand, or is damaged.
pub fn parse_tools(file: &str, bytes: &[u8]) -> Result<Vec<Value>, Vec<Diagnostic>> {
    let limits = Limits { bytes: TOOLS_BYTES_MAX, depth: TOOLS_DEPTH_MAX };
    let value = json::parse_within(bytes, limits).map_err(|error| {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = Place {
            line: small(error.line),
            column: small(error.column),
            start: error.offset,
            end: error.offset,
        };
        vec![Diagnostic::new(file, place, error.pointer, error.problem.to_string())]
    })?;
    let top = Place { line: 1, column: 1, start: 0, end: 0 };
    let problem = |pointer: String, message: &str| {
        Diagnostic::new(file, top, pointer.clone(), format!("`{pointer}` {message}"))
    };
    let Value::Array(tools) = value else {
        return Err(vec![problem(String::new(), "must be the array of a server's tools")]);
    };
    let mut names = BTreeSet::new();
    let mut problems = Vec::new();
    if tools.len() > TOOLS_MAX {
        problems.push(problem(String::new(), "has more than 10000 tools"));
    }
    for (index, tool) in tools.iter().enumerate() {
        match tool_name(tool) {
            None => problems.push(problem(format!("/{index}/name"), "must be a text")),
            Some(name) if !names.insert(name) => {
                problems.push(problem(format!("/{index}/name"), "is the name of two tools"));
            }
            Some(_) => {}
        }
        if tool.member("inputSchema").and_then(Value::as_object).is_none() {
            problems.push(problem(format!("/{index}/inputSchema"), "must be an object"));
        }
    }
    if problems.is_empty() { Ok(tools) } else { Err(problems) }
}

/// Writes `catalogue/SERVER.tools.json`: the tools as the server gave them, in the order of
/// their names, one line each, so that a change shows as a change.
pub fn write_tools(tools: &[Value]) -> String {
    let mut sorted: Vec<&Value> = tools.iter().collect();
    sorted.sort_by_key(|tool| tool_name(tool));
    let lines: Vec<String> = sorted.into_iter().map(json::to_text).collect();
    match lines.is_empty() {
        true => "[]\n".to_owned(),
        false => format!("[\n{}\n]\n", lines.join(",\n")),
    }
}
