//! `safeconduct policy diff`: how a draft differs, what it would have said to what was recorded,
//! and whether it permits anything new.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use safeconduct_policy::{Policies, PolicyInfo};
use serde_json::{Value as Json, json};

use super::{past, proof, report};
use crate::args::{PolicyDiff, Shared};
use crate::command::policy::ground::Ground;
use crate::command::records::moment;
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};
use crate::wiring::project::{Project, Rules, read_config};

/// Compares two folders of policies, under the rest of the project.
///
/// # Errors
/// One of them does not load, or the records cannot be read.
pub(crate) fn run(shared: &Shared, args: &PolicyDiff) -> Result<Exit, CommandError> {
    let (text, exit) = text(shared, args)?;
    output::print(&text)?;
    Ok(exit)
}

pub(super) fn text(shared: &Shared, args: &PolicyDiff) -> Result<(String, Exit), CommandError> {
    let (old, new) = (project(shared, &args.old)?, project(shared, &args.new)?);
    let since = args.replay.as_deref().map(moment).transpose()?;
    let statements = statements(&old.rules.policies, &new.rules.policies);
    let ground = Ground::of(&old)?;
    let sets = (&*old.rules.policies, &*new.rules.policies);
    let replay = match since {
        Some(since) => Some(past::replay((shared, &args.source, &ground), sets, Some(since))?),
        None => None,
    };
    let proved = proof::proved(&args.proving, sets, &proof::belongs(&ground))?;
    let exit = proved.as_ref().map_or(Exit::Ok, proof::Proved::exit);
    let diff = files(&old.rules, &new.rules);
    let text = match shared.output {
        Format::Json | Format::Yaml => {
            let mut document = json!({
                "files": diff.iter().map(|(name, diff)| json!({"file": name, "diff": diff})).collect::<Vec<_>>(),
                "policies": statements.iter().map(Statement::document).collect::<Vec<_>>(),
            });
            if let (Some(replay), Some(members)) = (&replay, document.as_object_mut()) {
                members.insert("replay".into(), report::document(replay));
            }
            if let (Some(proved), Some(members)) = (&proved, document.as_object_mut()) {
                members.insert("proof".into(), proved.document());
            }
            output::document(shared.output, &document)
        }
        _ => {
            let mut text: String = diff.values().cloned().collect();
            for one in &statements {
                let _ = writeln!(text, "{}", one.line());
            }
            if let Some(replay) = &replay {
                text.push_str(&report::table(replay));
            }
            if let Some(proved) = &proved {
                text.push_str(&proved.table());
            }
            Ok(text)
        }
    };
    Ok((text?, exit))
}

/// The project with another folder of policies.
fn project(shared: &Shared, folder: &Path) -> Result<Project, CommandError> {
    let mut config = read_config(&shared.config)?;
    config.policies.folder = folder.to_owned();
    let rules = Rules::load(&config, None)?;
    Ok(Project { file: shared.config.clone(), config, rules })
}

/// The files that differ, each with its difference.
fn files(old: &Rules, new: &Rules) -> BTreeMap<String, String> {
    let texts = |rules: &Rules| -> BTreeMap<String, String> {
        let files = rules.sources.policies.iter();
        files.map(|file| (file.name.to_string(), file.text.to_string())).collect()
    };
    let (old, new) = (texts(old), texts(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let text =
        |texts: &BTreeMap<String, String>, name| texts.get(name).cloned().unwrap_or_default();
    let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differ
        .map(|name| (name.clone(), report::unified(name, &text(&old, name), &text(&new, name))))
        .collect()
}

/// What has become of one policy, by its id.
struct Statement {
    id: String,
    what: &'static str,
    /// What differs beside its scope and condition.
    beside: Vec<&'static str>,
}

impl Statement {
    fn line(&self) -> String {
        let beside = match self.beside.is_empty() {
            true => String::new(),
            false => format!(" ({})", self.beside.join(", ")),
        };
        format!("policy {} {}{beside}", self.id, self.what)
    }

    fn document(&self) -> Json {
        json!({"id": self.id, "change": self.what, "beside": self.beside})
    }
}

/// What has become of the policies that are not the same in both. What annotations say is told
/// apart: no comparison of what is permitted sees it.
fn statements(old: &Policies, new: &Policies) -> Vec<Statement> {
    let said = |policies: &Policies| -> BTreeMap<String, (safeconduct_model::Digest, PolicyInfo)> {
        let statements = policies.statements().map(|one| {
            let info = PolicyInfo::clone(one.info());
            (info.reference.id.to_string(), (one.digest(), info))
        });
        statements.collect()
    };
    let (old, new) = (said(old), said(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut found = Vec::new();
    for id in names {
        let (what, beside) = match (old.get(id), new.get(id)) {
            (None, Some(_)) => ("is new", Vec::new()),
            (Some(_), None) => ("is gone", Vec::new()),
            (Some((one, before)), Some((other, after))) if one != other => {
                ("says something else", beside(before, after))
            }
            _ => continue,
        };
        found.push(Statement { id: id.clone(), what, beside });
    }
    found
}

fn beside(before: &PolicyInfo, after: &PolicyInfo) -> Vec<&'static str> {
    let differs = [
        ("effect", before.reference.effect != after.reference.effect),
        ("mode", before.mode != after.mode),
        ("obligations", before.obligations != after.obligations),
        ("requestable", before.requestable != after.requestable),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(word, _)| word).collect()
}
