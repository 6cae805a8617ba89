//! The first draft of a server's catalogue, from what the server says of its tools.
//!
//! A server's annotations are its own word, so everything is marked `guessed: true` until a
//! person has looked. Guesses lean to caution: a name that sounds like sending, running or
//! deleting only ever raises a tier.

use std::fmt::Write as _;

use safeconduct_model::{ArgumentRole, Digest, Effect, Tier, Value};

use super::tools::{GREETING, instructions, tool_name};
use crate::json;

/// A tool as its server lists it.
#[derive(Debug, Clone, Copy)]
pub struct DraftTool<'a> {
    /// Its definition.
    pub definition: &'a Value,
    /// The digest to pin it to; `None` leaves it unpinned.
    pub digest: Option<Digest>,
}

/// Tier and effect of a tool, guessed from the MCP annotations `readOnlyHint`,
/// `destructiveHint` and `openWorldHint` (whose absence means the worse) and from its name.
pub fn guess(tool: &Value) -> (Tier, Effect) {
    let hint = |name: &str| tool.pointer(&format!("/annotations/{name}")).and_then(Value::as_bool);
    let (reads, destroys) = (hint("readOnlyHint"), hint("destructiveHint"));
    let open = hint("openWorldHint") == Some(true);
    let (tier, effect) = match (reads, destroys) {
        (Some(true), _) if open => (Tier::Moderate, Effect::Read),
        (Some(true), _) => (Tier::Low, Effect::Read),
        (_, Some(false)) if open => (Tier::High, Effect::Send),
        (_, Some(false)) => (Tier::Moderate, Effect::Write),
        _ if open => (Tier::High, Effect::Send),
        _ => (Tier::High, Effect::Write),
    };
    let name = snake_case(tool_name(tool).unwrap_or_default());
    let sounds = |words: &[&str]| words.iter().any(|word| name_has(&name, word));
    if sounds(&["exec", "execute", "run", "shell", "command", "eval", "script"]) {
        (tier.max(Tier::High), Effect::Execute)
    } else if sounds(&["send", "post", "publish", "email", "mail", "share", "upload"]) {
        (tier.max(Tier::High), Effect::Send)
    } else if sounds(&["grant", "permission", "role", "admin", "token", "password"]) {
        (tier.max(Tier::High), Effect::Administer)
    } else if sounds(&["delete", "remove", "drop", "move", "rename", "overwrite"]) {
        (tier.max(Tier::High), Effect::Write)
    } else {
        (tier, effect)
    }
}

/// Whether a name has that word between `_`, `-`, `.` or its ends.
fn name_has(name: &str, word: &str) -> bool {
    name.split(|c: char| !c.is_alphanumeric()).any(|part| part == word)
}

/// The YAML text of a first draft, for a person to look through. `starts_in` is the folder that
/// the server starts in, where it is known: relative paths are guessed to start there too.
///
/// `greeting` is what agents read of the server's greeting, and its digest: the person who looks
/// through the draft looks through that too, so it is trusted as long as it stays as it is.
pub fn draft(
    server: &str,
    tools: &[DraftTool<'_>],
    greeting: Option<(&Value, Digest)>,
    starts_in: Option<&str>,
) -> String {
    let mut out = format!(
        "# yaml-language-server: $schema={}\n\
         #\n\
         # A first draft. Tiers and effects are guesses, from what the server says of its own\n\
         # tools: look at each, correct it, and take its `guessed: true` away.\n\
         server: {server}\n",
        crate::schemas::CATALOGUE_SCHEMA,
    );
    let root = starts_in.map(|folder| format!(", root: {}", quoted(folder))).unwrap_or_default();
    let mut tools: Vec<_> =
        tools.iter().filter_map(|tool| Some((tool_name(tool.definition)?, tool))).collect();
    tools.sort_by_key(|(name, _)| *name);
    tools.dedup_by_key(|(name, _)| *name);
    out.push_str(if tools.is_empty() { "actions: {}\n" } else { "actions:\n" });
    for (name, tool) in tools {
        // Writing to a text does not fail.
        let _ = entry(name, tool, &root, &mut out);
    }
    if let Some((said, digest)) = greeting {
        out.push_str("methods:\n");
        out.push_str(&greeting_entry(said, digest));
    }
    out
}

/// The entry of a server's greeting, below `methods:`.
pub fn greeting_entry(said: &Value, digest: Digest) -> String {
    let mut out = String::from("  # What the server says to agents when a session begins:\n");
    let text = instructions(said).map_or_else(|| json::to_text(said), str::to_owned);
    let mut lines = text.lines();
    for line in lines.by_ref().take(GREETING_LINES_MAX) {
        // What YAML or a terminal would take for more than a character is not written.
        let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
        let line: String = line.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect();
        out.push_str(&format!("  #   {line}\n"));
    }
    let more = lines.count();
    if more > 0 {
        out.push_str(&format!("  #   … and {more} more lines\n"));
    }
    out.push_str(&format!(
        "  {GREETING}:\n    tier: low\n    effect: read\n    integrity: trusted\n    definition: {digest}\n"
    ));
    out
}

/// Most lines of a greeting that a draft shows.
const GREETING_LINES_MAX: usize = 200;

fn entry(name: &str, tool: &DraftTool<'_>, root: &str, out: &mut String) -> std::fmt::Result {
    let (tier, effect) = guess(tool.definition);
    let description = tool.definition.member("description").and_then(Value::as_str);
    if let Some(first) = description.map(first_sentence).filter(|text| !text.is_empty()) {
        writeln!(out, "  # {first}")?;
    }
    writeln!(out, "  {}:", quoted(name))?;
    writeln!(out, "    tier: {}", tier.as_str())?;
    writeln!(out, "    effect: {}", effect.as_str())?;
    writeln!(out, "    guessed: true")?;
    // Text from anywhere is untrusted, and what is asked out there anyone may read.
    if tool.definition.pointer("/annotations/openWorldHint").and_then(Value::as_bool) == Some(true)
    {
        writeln!(out, "    integrity: untrusted\n    accepts: public")?;
    }
    let resources = resources(tool.definition);
    let roles = roles(tool.definition, &resources);
    if !roles.is_empty() {
        writeln!(out, "    arguments:")?;
    }
    for (pointer, role) in roles {
        let pointer = quoted(&pointer);
        writeln!(out, "      - {{ argument: {pointer}, role: {} }}", role.as_str())?;
    }
    if !resources.is_empty() {
        writeln!(out, "    resources:")?;
    }
    for (pointer, ty, form, optional) in resources {
        let optional = if optional { ", optional: true" } else { "" };
        let pointer = quoted(&pointer);
        let root = if form == "path" { root } else { "" };
        writeln!(
            out,
            "      - {{ argument: {pointer}, type: {ty}, form: {form}{root}{optional} }}"
        )?;
    }
    if let Some(digest) = tool.digest {
        writeln!(out, "    definition: {digest}")?;
    }
    Ok(())
}

/// The arguments that look as if they named something: pointer, type, form, optional.
fn resources(tool: &Value) -> Vec<(String, &'static str, &'static str, bool)> {
    let Some(properties) = tool.pointer("/inputSchema/properties").and_then(Value::as_object)
    else {
        return Vec::new();
    };
    let required = tool.pointer("/inputSchema/required").and_then(Value::as_array);
    let required =
        |name: &str| required.unwrap_or_default().iter().any(|text| text.as_str() == Some(name));
    let mut found = Vec::new();
    for (name, schema) in properties {
        let ty = |schema: &Value| schema.member("type").and_then(Value::as_str).map(str::to_owned);
        let (each, item) = match ty(schema).as_deref() {
            Some("string") => ("", Some(schema)),
            Some("array") => ("/*", schema.member("items")),
            _ => continue,
        };
        let Some(item) = item.filter(|item| ty(item).as_deref() == Some("string")) else {
            continue;
        };
        let named = match item.member("format").and_then(Value::as_str) {
            Some("uri" | "url") => Some(("Url", "url")),
            _ => named_by(name),
        };
        if let Some((ty, form)) = named {
            let token = name.replace('~', "~0").replace('/', "~1");
            found.push((format!("/{token}{each}"), ty, form, !required(name)));
        }
    }
    found
}

/// The arguments that look as if they decided where something goes, what is run or how much,
/// besides those that name a resource.
fn roles(
    tool: &Value,
    resources: &[(String, &'static str, &'static str, bool)],
) -> Vec<(String, ArgumentRole)> {
    let properties = tool.pointer("/inputSchema/properties").and_then(Value::as_object);
    let mut found = Vec::new();
    for (name, schema) in properties.into_iter().flatten() {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let is_resource = resources.iter().any(|(resource, ..)| {
            resource.strip_prefix(&pointer).is_some_and(|rest| rest.is_empty() || rest == "/*")
        });
        // One that may be of several types (`anyOf`) is no resource, and still leads somewhere.
        let named = || named_by(name).filter(|_| schema.member("type").is_none());
        let role = role_of(name).or_else(|| named().map(|_| ArgumentRole::Address));
        if let Some(role) = role.filter(|_| !is_resource) {
            found.push((pointer, role));
        }
    }
    found
}

/// What an argument's name suggests that it decides.
fn role_of(name: &str) -> Option<ArgumentRole> {
    match last_word(&snake_case(name)) {
        "recipient" | "recipients" | "to" | "cc" | "bcc" | "email" | "emails" | "address"
        | "account" | "iban" | "phone" | "channel" | "host" | "hostname" | "domain" | "repo"
        | "repository" | "target" | "user" | "users" | "username" | "participant"
        | "participants" | "id" | "ids" | "uuid" | "key" => Some(ArgumentRole::Address),
        "command" | "cmd" | "code" | "script" | "sql" | "statement" | "expression" | "program"
        | "args" | "argv" => Some(ArgumentRole::Command),
        "amount" | "price" | "quantity" | "total" | "sum" => Some(ArgumentRole::Amount),
        _ => None,
    }
}

/// A name in lower case, with `_` where a word begins: `callbackURL` is `callback_url`, `HTTPProxy`
/// is `http_proxy`, `userIDs` is `user_ids`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut rest = name.chars();
    let mut before: Option<char> = None;
    while let Some(c) = rest.next() {
        let begins = c.is_uppercase()
            && before.is_some_and(|before| {
                let run_ends = before.is_uppercase() && begins_small(rest.as_str());
                before.is_lowercase() || before.is_numeric() || run_ends
            });
        if begins {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
        before = Some(c);
    }
    snake
}

/// Whether a text goes on in small letters, by more than the `s` of several.
fn begins_small(text: &str) -> bool {
    let mut small = text.chars().map(char::is_lowercase);
    match (text.starts_with('s'), small.next(), small.next()) {
        (true, _, next) => next == Some(true),
        (false, first, _) => first == Some(true),
    }
}

/// The last word of a name.
fn last_word(name: &str) -> &str {
    name.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

/// The type and form that an argument's name suggests.
fn named_by(name: &str) -> Option<(&'static str, &'static str)> {
    match last_word(&snake_case(name)) {
        "url" | "urls" | "uri" | "uris" | "href" | "link" | "endpoint" => Some(("Url", "url")),
        "path" | "paths" | "file" | "files" | "filename" | "filepath" | "dir" | "directory"
        | "folder" | "source" | "destination" | "cwd" => Some(("Path", "path")),
        _ => None,
    }
}

/// A text as a YAML scalar: plain where that is plainly safe, else as JSON writes it.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_/.*-".contains(&b);
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let reserved = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if word && !reserved && text.bytes().all(plain) {
        return text.to_owned();
    }
    // Not every control character may stand in YAML as it may in JSON.
    let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    json::to_text(&Value::from(text))
}

/// The first sentence of a description, on one line, at most 90 characters.
fn first_sentence(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printable: String = line.chars().filter(|c| !c.is_control()).collect();
    let sentence = printable.split_once(". ").map_or(printable.as_str(), |(first, _)| first);
    match sentence.char_indices().nth(90) {
        Some((end, _)) => sentence.get(..end).unwrap_or_default().to_owned() + "…",
        None => sentence.trim_end_matches('.').to_owned(),
    }
}
