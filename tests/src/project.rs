//! A folder with everything that a server reads: the world of a case, written to disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use safeconduct_wire::identity::IdentityForm;
use safeconduct_wire::json::from_serde;
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

use crate::case::Case;
use crate::pure::{Ground, pin_of};
use crate::tools;

/// A project in a temporary folder, gone with this value.
#[derive(Debug)]
pub struct Project {
    folder: TempDir,
}

impl Project {
    /// An empty folder with the folders that a configuration names.
    pub fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("safeconduct-test-").tempdir().unwrap();
        for name in ["policies", "catalogue"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// A copy of a folder, its data and keys left out.
    pub fn copy_of(from: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("safeconduct-test-").tempdir().unwrap();
        copy(from, folder.path());
        Self { folder }
    }

    /// The world of a case, with a live server for each that it describes.
    pub fn of(case: &Case) -> Self {
        let project = Self::empty();
        let world = &case.world;
        let ground = Ground::of(case);
        for (name, text) in world["policies"].as_object().into_iter().flatten() {
            project.write(&format!("policies/{name}"), text.as_str().unwrap());
        }
        if let Some(schema) = world["schema"].as_str() {
            project.write("policies/schema.cedarschema", schema);
        }
        for (number, file) in world["catalogue"].as_array().into_iter().flatten().enumerate() {
            let text = pinned(file, case).to_string();
            project.write(&format!("catalogue/{number}.yaml"), &text);
        }
        let intents = world["intents"].as_array();
        for (number, intent) in intents.into_iter().flatten().enumerate() {
            project.write(&format!("intents/{number}.yaml"), &intent.to_string());
        }
        let mut upstreams = Map::new();
        for (server, tools) in world["tools"].as_object().into_iter().flatten() {
            project.write(&format!("catalogue/{server}.tools.json"), &tools.to_string());
            let live = case.upstream.live.get(server);
            let live = live.map_or_else(|| tools.clone(), |live| live_tools(tools, live));
            upstreams.insert(server.clone(), project.upstream(server, &live));
        }
        for upstream in upstreams.values_mut() {
            // Nobody is asked but for what a case says is approved.
            upstream["approvals"] = json!("on_request");
            if let Some(mode) = &case.upstream.mode {
                upstream["mode"] = json!(mode);
            }
        }
        let identities = ground.identities.values().map(|known| {
            let mut form = serde_json::to_value(IdentityForm::from(&known.identity)).unwrap();
            // Whoever asks over HTTP must be registered to ask, if only about itself.
            if form.get("pep").is_none() {
                form["pep"] = json!({ "subjects": [] });
            }
            // Each step reports its result before the next one asks.
            form["pep"]["label_at"] = json!("report");
            form
        });
        let mut policies = json!({});
        for (key, name) in [("namespace", "namespace"), ("action_id", "action_id")] {
            if let Some(text) = world[key].as_str() {
                policies[name] = json!(text);
            }
        }
        let mut config = json!({
            "version": 1,
            "policies": policies,
            "upstreams": upstreams,
            "identities": identities.collect::<Vec<_>>(),
        });
        if intents.is_some() {
            config["intents"] = json!({});
        }
        if !world["tiers"].is_null() {
            config["tiers"] = world["tiers"].clone();
        }
        if !world["sessions"].is_null() {
            config["sessions"] = world["sessions"].clone();
        }
        project.configure(&config);
        project
    }

    /// Writes the configuration.
    pub fn configure(&self, config: &Json) {
        self.write("safeconduct.yaml", &serde_json::to_string_pretty(config).unwrap());
    }

    /// The configuration of a live server with those tools, which logs its calls to
    /// `SERVER.calls` in the folder.
    pub fn upstream(&self, server: &str, tools: &Json) -> Json {
        self.write(&format!("{server}.live.json"), &tools.to_string());
        json!({
            "stdio": {
                "command": tools::test_upstream(),
                "args": [
                    "--tools", self.path(&format!("{server}.live.json")),
                    "--calls", self.calls_of(server),
                    "--next", self.next_of(server),
                ],
            },
        })
    }

    /// Where the result of a live server's next call is put, where that is not its own.
    pub fn next_of(&self, server: &str) -> PathBuf {
        self.path(&format!("{server}.next.json"))
    }

    /// Where a live server logs its calls.
    pub fn calls_of(&self, server: &str) -> PathBuf {
        self.path(&format!("{server}.calls"))
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("safeconduct.yaml")
    }
}

/// Copies a folder, without what a server keeps beside its configuration.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.path().is_dir() {
            if !["data", "keys"].contains(&&*name.to_string_lossy()) {
                copy(&entry.path(), &to.join(name));
            }
        } else {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// A catalogue file with pins for the tools of servers that differ.
fn pinned(file: &Json, case: &Case) -> Json {
    let mut file = file.clone();
    let Some(server) = file["server"].as_str().map(str::to_owned) else {
        return file;
    };
    if case.upstream.live.contains_key(&server) {
        for tool in case.world["tools"][&server].as_array().into_iter().flatten() {
            let name = tool["name"].as_str().unwrap();
            let pin = pin_of(&from_serde(tool)).to_string();
            if file["actions"].get(name).is_some() {
                file["actions"][name]["definition"] = json!(pin);
            }
        }
    }
    file
}

/// The tools as a live server lists them: those of the world, replaced by name.
fn live_tools(tools: &Json, live: &[Json]) -> Json {
    let replaced: BTreeSet<&str> = live.iter().filter_map(|tool| tool["name"].as_str()).collect();
    let kept = tools.as_array().into_iter().flatten();
    let kept = kept.filter(|tool| !replaced.contains(tool["name"].as_str().unwrap_or_default()));
    kept.chain(live).cloned().collect()
}
