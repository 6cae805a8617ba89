//! Lists: what a caller sees of them, and the tool definitions that they hold.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use safeconduct_model::{ActionName, ServerName, Value};

use crate::action::{method_action, tool_action};
use crate::methods::List;
use crate::{edit, headers};

/// Most pages of a listing that the gateway makes for itself.
pub(crate) const PAGES_MAX: usize = 100;
/// Most tools of one upstream. A longer list is refused.
pub(crate) const TOOLS_MAX: usize = 10_000;

/// The name of the member that holds the list.
pub(crate) const fn member(list: List) -> &'static str {
    match list {
        List::Tools => "tools",
        List::Resources => "resources",
        List::Templates => "resourceTemplates",
        List::Prompts => "prompts",
    }
}

/// Leaves only what the caller could be permitted. Never varies with a session's state, so that
/// the list stays cacheable for one credential.
pub(crate) fn filter(
    server: &ServerName,
    list: List,
    result: &mut Value,
    may_see: impl Fn(&ActionName) -> bool,
) {
    let whole = match list {
        List::Tools => None,
        List::Resources | List::Templates => Some("resources/read"),
        List::Prompts => Some("prompts/get"),
    };
    let Some(Value::Array(items)) = edit::member_mut(result, member(list)) else {
        return;
    };
    match whole {
        Some(method) => {
            if !method_action(server, method).is_some_and(|action| may_see(&action)) {
                items.clear();
            }
        }
        None => items.retain(|tool| {
            let name = tool.member("name").and_then(Value::as_str);
            name.and_then(|name| tool_action(server, name)).is_some_and(|action| may_see(&action))
        }),
    }
}

/// Leaves out tools whose `x-mcp-header` annotations break the rules of 2026-07-28: a client
/// could be led to send headers that mean something else.
pub(crate) fn drop_badly_annotated(server: &ServerName, result: &mut Value) {
    let Some(Value::Array(tools)) = edit::member_mut(result, "tools") else {
        return;
    };
    tools.retain(|tool| {
        let schema = tool.member("inputSchema").unwrap_or(&Value::Null);
        match headers::annotations(schema) {
            Ok(_) => true,
            Err(problem) => {
                let name = tool.member("name").and_then(Value::as_str).unwrap_or_default();
                tracing::warn!(%server, tool = name, %problem, "a tool is left out");
                false
            }
        }
    });
}

/// The tools of some pages, by action. One that is described twice in different words matches
/// no pin: whoever reads the list could have read either.
pub(crate) fn definitions(server: &ServerName, pages: &[Value]) -> Vec<(ActionName, Value)> {
    let mut definitions: BTreeMap<ActionName, Value> = BTreeMap::new();
    let tools = pages.iter().filter_map(|page| page.member("tools")?.as_array()).flatten();
    for tool in tools {
        let name = tool.member("name").and_then(Value::as_str);
        let Some(action) = name.and_then(|name| tool_action(server, name)) else {
            continue;
        };
        match definitions.entry(action) {
            Entry::Vacant(entry) => {
                entry.insert(tool.clone());
            }
            Entry::Occupied(mut entry) if entry.get() != tool => {
                entry.insert(Value::object([("description", "described in two ways".into())]));
            }
            Entry::Occupied(_) => {}
        }
    }
    definitions.into_iter().collect()
}

/// The cursor of the next page.
pub(crate) fn next_cursor(result: &Value) -> Option<Value> {
    result.member("nextCursor").filter(|cursor| **cursor != Value::Null).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_wire::json;

    #[test]
    fn a_tool_that_is_described_twice_is_neither() {
        let server = ServerName::new("s").unwrap();
        let page = |text: &str| json::parse(text.as_bytes()).unwrap();
        let one = page(r#"{"tools":[{"name":"a","description":"good"},{"name":"b"}]}"#);
        let two = page(r#"{"tools":[{"name":"a","description":"evil"},{"name":"b"}]}"#);
        let found = definitions(&server, &[one, two]);
        let description = |n: usize| found.get(n).and_then(|(_, tool)| tool.member("description"));
        assert_eq!(found.len(), 2);
        assert_eq!(description(0), Some(&Value::from("described in two ways")));
        assert_eq!(description(1), None);
    }

    #[test]
    fn only_what_could_be_permitted_is_left() {
        let server = ServerName::new("s").unwrap();
        let mut tools =
            json::parse(br#"{"tools":[{"name":"a"},{"name":"b"},{"name":7},{}],"nextCursor":"n"}"#)
                .unwrap();
        filter(&server, List::Tools, &mut tools, |action| action.as_str() == "s.b");
        assert_eq!(json::to_text(&tools), r#"{"nextCursor":"n","tools":[{"name":"b"}]}"#);
        let mut prompts = json::parse(br#"{"prompts":[{"name":"a"}]}"#).unwrap();
        filter(&server, List::Prompts, &mut prompts, |action| action.as_str() == "s/prompts/get");
        assert_eq!(json::to_text(&prompts), r#"{"prompts":[{"name":"a"}]}"#);
        filter(&server, List::Prompts, &mut prompts, |_| false);
        assert_eq!(json::to_text(&prompts), r#"{"prompts":[]}"#);
    }
}
