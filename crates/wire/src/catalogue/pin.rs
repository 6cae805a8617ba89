//! Pins, changed in the text of a file: comments, order and spaces stay.

use safeconduct_model::Digest;

use crate::document::{Content, Diagnostic, Node, Place, YamlLimits, parse_yaml};

/// The text of a catalogue file in which that action is pinned to that definition. The action is
/// named in full (`files.read_text_file`, `files/resources/read`).
///
/// # Errors
/// What makes the text no YAML; or that the action is not in it.
pub fn repin(
    file: &str,
    text: &str,
    action: &str,
    definition: &Digest,
) -> Result<String, Vec<Diagnostic>> {
    let root = parse_yaml(file, text, YamlLimits::default())?;
    let Some(node) = find(&root, action) else {
        let place = Place { line: 1, column: 1, start: 0, end: 0 };
        let message = format!("no action `{action}` is in this file");
        return Err(vec![Diagnostic::new(file, place, "", message)]);
    };
    let edit = edit(node, definition);
    let pinned = edit
        .and_then(|(start, end, new)| Some([text.get(..start)?, &new, text.get(end..)?].concat()));
    // An edit that does not come out as meant is worse than none.
    let right = |text: &String| {
        let root = parse_yaml(file, text, YamlLimits::default()).ok()?;
        let found = find(&root, action)?.get("definition")?.text()?.to_owned();
        (found == definition.to_string()).then_some(())
    };
    pinned.filter(|text| right(text).is_some()).ok_or_else(|| {
        let message = format!("action `{action}` cannot be pinned in place");
        vec![
            Diagnostic::new(file, node.place, "", message)
                .with_help(format!("write `definition: {definition}` by hand")),
        ]
    })
}

/// The node of an action by its full name.
fn find<'a>(root: &'a Node, action: &str) -> Option<&'a Node> {
    let within = |separator: char| match root.get("server").and_then(Node::text) {
        Some(server) => action.strip_prefix(server)?.strip_prefix(separator),
        None => (separator == '.').then_some(action),
    };
    let tool = within('.').and_then(|name| root.get("actions")?.get(name));
    tool.or_else(|| within('/').and_then(|name| root.get("methods")?.get(name)))
}

/// Which bytes to replace by what.
fn edit(action: &Node, definition: &Digest) -> Option<(usize, usize, String)> {
    if let Some(old) = action.get("definition") {
        return match old.content {
            Content::Text(_) => Some((old.place.start, old.place.end, definition.to_string())),
            _ => None,
        };
    }
    let first = action.entries().first()?.key_place;
    let flow = action.place.start < first.start;
    let behind = match flow {
        true => ", ".to_owned(),
        false => format!("\n{}", " ".repeat((first.column as usize).saturating_sub(1))),
    };
    Some((first.start, first.start, format!("definition: {definition}{behind}")))
}
