//! `safeconduct catalogue pin`: look at what a server's tools have become, and approve it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use safeconduct_model::{ActionName, Digest, ServerName, Value};
use safeconduct_service::definition_digest;
use safeconduct_wire::catalogue::{self, DraftTool};
use safeconduct_wire::json;
use similar::TextDiff;

use super::{import, live};
use crate::args::Shared;
use crate::exit::{CommandError, Exit, failed, invalid};
use crate::output;
use crate::wiring::project;

/// Shows what has changed and pins it.
///
/// # Errors
/// The server does not answer, the catalogue is invalid, or nobody can be asked.
pub(super) fn run(
    shared: &Shared,
    server: &str,
    only: &[String],
    yes: bool,
) -> Result<Exit, CommandError> {
    let name = ServerName::new(server).map_err(|error| failed("--server", error))?;
    let config = project::read_config(&shared.config)?;
    let mut files = Files::read(&config.catalogue, &name)?;
    files.starts_in =
        config.upstreams.get(&name).and_then(|known| import::starts_in(&known.transport));
    let described = live::configured(shared, &name)?;
    let mut found = compare(&files, &name, &described.tools, only)?;
    if only.is_empty() {
        compare_greeting(&files, &name, described.greeting.as_ref(), &mut found);
    }
    if found.text.is_empty() {
        found.text = format!("every tool of `{name}` is as it was approved\n");
    }
    output::print(&found.text)?;
    let count = found.to_pin.len() + usize::from(found.greeting.is_some());
    if count == 0 {
        return Ok(Exit::Ok);
    }
    if !yes && !agreed(count)? {
        output::say("nothing was pinned");
        return Ok(Exit::Failure);
    }
    for tool in &found.to_pin {
        files.pin(&name, tool)?;
    }
    if let Some(digest) = &found.greeting {
        files.repin(&greeting_action(&name)?, digest)?;
    }
    for file in files.write()? {
        output::print_line(&file.display().to_string())?;
    }
    Ok(Exit::Ok)
}

/// The catalogue's files that speak of one server.
struct Files {
    /// Text by file.
    catalogue: BTreeMap<PathBuf, String>,
    /// The file of each action, and its pin.
    actions: BTreeMap<ActionName, (PathBuf, Option<Digest>)>,
    tools_file: PathBuf,
    /// The folder that the server starts in, where that is known.
    starts_in: Option<String>,
    /// The approved definitions by name.
    approved: BTreeMap<String, Value>,
}

impl Files {
    fn read(folder: &Path, server: &ServerName) -> Result<Self, CommandError> {
        let mut catalogue = BTreeMap::new();
        let mut actions = BTreeMap::new();
        let shown = folder.display().to_string();
        for entry in fs::read_dir(folder).map_err(|error| failed(&shown, error))? {
            let file = entry.map_err(|error| failed(&shown, error))?.path();
            if file.extension().is_none_or(|end| end != "yaml") {
                continue;
            }
            let (name, text) = text_of(&file)?;
            let parsed = catalogue::parse(&name, &text).map_err(invalid)?;
            for (entry, _) in parsed.entries {
                if entry.server.as_ref() == Some(server) {
                    actions.insert(entry.name, (file.clone(), entry.definition));
                }
            }
            catalogue.insert(file, text);
        }
        let tools_file = folder.join(format!("{server}.tools.json"));
        let mut approved = BTreeMap::new();
        if tools_file.exists() {
            let (name, text) = text_of(&tools_file)?;
            for tool in catalogue::parse_tools(&name, text.as_bytes()).map_err(invalid)? {
                if let Some(name) = catalogue::tool_name(&tool) {
                    approved.insert(name.to_owned(), tool);
                }
            }
        }
        Ok(Self { catalogue, actions, tools_file, starts_in: None, approved })
    }

    fn pin(&mut self, server: &ServerName, tool: &Value) -> Result<(), CommandError> {
        let name = catalogue::tool_name(tool).unwrap_or_default();
        let action = action(server, name)?;
        if self.repin(&action, &digest(tool))? {
            self.approved.insert(name.to_owned(), tool.clone());
        }
        Ok(())
    }

    /// Pins an action anew, and says whether it is in the catalogue.
    fn repin(&mut self, action: &ActionName, digest: &Digest) -> Result<bool, CommandError> {
        let Some((file, _)) = self.actions.get(action) else { return Ok(false) };
        if let Some(text) = self.catalogue.get_mut(file) {
            let shown = file.display().to_string();
            *text = catalogue::repin(&shown, text, action.as_str(), digest).map_err(invalid)?;
        }
        Ok(true)
    }

    /// Writes what differs from the disk: the definitions first, so that a pin never stands
    /// without what it pins.
    fn write(&self) -> Result<Vec<PathBuf>, CommandError> {
        let approved: Vec<Value> = self.approved.values().cloned().collect();
        let tools = (self.tools_file.clone(), catalogue::write_tools(&approved));
        let catalogue = self.catalogue.iter().map(|(file, text)| (file.clone(), text.clone()));
        let mut written = Vec::new();
        for (file, text) in std::iter::once(tools).chain(catalogue) {
            if fs::read_to_string(&file).is_ok_and(|old| old == text) {
                continue;
            }
            import::write(&file, &text)?;
            written.push(file);
        }
        Ok(written)
    }
}

fn text_of(file: &Path) -> Result<(String, String), CommandError> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| failed(&name, error))?;
    Ok((name, text))
}

fn action(server: &ServerName, tool: &str) -> Result<ActionName, CommandError> {
    ActionName::new(format!("{server}.{tool}")).map_err(|error| failed(tool, error))
}

fn digest(tool: &Value) -> Digest {
    definition_digest(&catalogue::definition_digest_input(tool))
}

/// What was found, and what can be pinned.
struct Found<'a> {
    text: String,
    to_pin: Vec<&'a Value>,
    /// The digest to which the greeting is to be pinned.
    greeting: Option<Digest>,
}

/// How a server greets, beside how it was approved.
fn compare_greeting(
    files: &Files,
    server: &ServerName,
    said: Option<&Value>,
    found: &mut Found<'_>,
) {
    let Some(said) = said else { return };
    let digest = import::greeting_digest(said);
    let Ok(action) = greeting_action(server) else { return };
    let entry = catalogue::greeting_entry(said, digest);
    match files.actions.get(&action) {
        Some((_, Some(pin))) if *pin == digest => {}
        Some((_, pin)) => {
            let what = if pin.is_some() { "has changed" } else { "is not pinned yet" };
            let shown: String = entry
                .lines()
                .filter_map(|line| line.strip_prefix("  # "))
                .fold(String::new(), |shown, line| shown + line + "\n");
            found.text.push_str(&format!("{action} {what}\n{shown}"));
            found.greeting = Some(digest);
        }
        None => found.text.push_str(&format!(
            "what `{server}` says when a session begins is not in the catalogue and untrusted; to \
             trust it, add to its `methods:`:\n{entry}"
        )),
    }
}

fn greeting_action(server: &ServerName) -> Result<ActionName, CommandError> {
    let name = format!("{server}/{}", catalogue::GREETING);
    ActionName::new(name).map_err(|error| failed(catalogue::GREETING, error))
}

fn compare<'a>(
    files: &Files,
    server: &ServerName,
    live: &'a [Value],
    only: &[String],
) -> Result<Found<'a>, CommandError> {
    let names: Vec<&str> = live.iter().filter_map(catalogue::tool_name).collect();
    if let Some(missing) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(CommandError::Failed(format!("`{server}` has no tool `{missing}`")));
    }
    let mut found = Found { text: String::new(), to_pin: Vec::new(), greeting: None };
    let mut unlisted = Vec::new();
    for tool in live {
        let Some(name) = catalogue::tool_name(tool) else { continue };
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        let action = action(server, name)?;
        match files.actions.get(&action) {
            None => unlisted.push(tool),
            Some((_, Some(pin))) if *pin == digest(tool) && files.approved.contains_key(name) => {}
            Some((_, pin)) => {
                let what = if pin.is_some() { "has changed" } else { "is not pinned yet" };
                found.text.push_str(&format!("{action} {what}\n"));
                found.text.push_str(&difference(files.approved.get(name), tool));
                found.to_pin.push(tool);
            }
        }
    }
    for action in files.actions.keys() {
        let tool = action.as_str().strip_prefix(&format!("{server}."));
        if only.is_empty() && tool.is_some_and(|tool| !names.contains(&tool)) {
            found.text.push_str(&format!(
                "{action} is in the catalogue, and the server has it no more\n"
            ));
        }
    }
    if !unlisted.is_empty() {
        found.text.push_str(&new_tools(server, &unlisted, files.starts_in.as_deref()));
    }
    Ok(found)
}

/// What has changed in a definition: of what was approved, to what is there now.
fn difference(approved: Option<&Value>, live: &Value) -> String {
    let pretty = |tool: &Value| {
        let pinned = json::to_serde(&catalogue::definition_digest_input(tool));
        serde_json::to_string_pretty(&pinned).unwrap_or_default() + "\n"
    };
    let before = approved.map(pretty).unwrap_or_default();
    let after = pretty(live);
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(2)
        .header("approved", "live")
        .to_string()
}

/// Tools that nobody has put into the catalogue: they stay denied, and this is what to write.
fn new_tools(server: &ServerName, tools: &[&Value], starts_in: Option<&str>) -> String {
    let drafts: Vec<DraftTool<'_>> =
        tools.iter().map(|tool| DraftTool { definition: tool, digest: None }).collect();
    let draft = catalogue::draft(server.as_str(), &drafts, None, starts_in);
    let entries = draft.split_once("actions:\n").map_or("", |(_, entries)| entries);
    format!(
        "{} not in the catalogue and denied; to let policies speak of them, add to its \
         `actions:` and pin again:\n{entries}",
        match tools.len() {
            1 => "1 tool is".to_owned(),
            count => format!("{count} tools are"),
        }
    )
}

/// Asks the person at the terminal.
fn agreed(count: usize) -> Result<bool, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::Failed(
            "nobody can be asked here: look at what has changed, then use --yes".into(),
        ));
    }
    output::say(&format!(
        "approve {} as they are now? [y/N]",
        output::counted(count, "definition", "definitions")
    ));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| failed("the answer", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
