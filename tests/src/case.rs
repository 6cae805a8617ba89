//! Decision cases: `cases/AREA/NAME.yaml`, in the form of policy tests with a world of their own.
//!
//! `NAME.upstream.yaml` beside a case says where its MCP servers are not as the world's tools
//! describe them, which only a gateway can find out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safeconduct_wire::suite::{self, Suite, World};
use serde::Deserialize;
use serde_json::Value as Json;

/// One case file.
#[derive(Debug, Clone)]
pub struct Case {
    /// `AREA/NAME`.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// What it asks and expects.
    pub suite: Suite,
    /// Its `world`, as it was written.
    pub world: Json,
    /// What is different about its servers.
    pub upstream: Upstream,
}

/// How the servers differ from what the world's tools say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// `observe` lets denied calls go ahead.
    pub mode: Option<String>,
    /// Pins every tool of these servers to the definition in the world, and lets the live server
    /// describe these tools instead.
    pub live: BTreeMap<String, Vec<Json>>,
}

impl Case {
    /// Reads a case.
    pub fn read(file: &Path) -> Self {
        let shown = file.display().to_string();
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let suite = suite::parse(&shown, &text).unwrap_or_else(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", problems.join("\n"))
        });
        let raw: Json = serde_saphyr::from_str(&text).unwrap();
        let beside = file.with_extension("upstream.yaml");
        let upstream = match fs::read_to_string(&beside) {
            Ok(text) => serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", beside.display())),
            Err(_) => Upstream::default(),
        };
        let area = file.parent().and_then(Path::file_name).unwrap().to_string_lossy();
        let name = file.file_stem().unwrap().to_string_lossy();
        Self {
            name: format!("{area}/{name}"),
            file: file.to_owned(),
            world: raw["world"].clone(),
            suite,
            upstream,
        }
    }

    /// Its world.
    pub fn own_world(&self) -> &World {
        self.suite.world.as_ref().unwrap_or_else(|| panic!("{}: has no `world`", self.name))
    }
}

/// Every case, by name.
pub fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files = Vec::new();
    for area in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(area.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with(".yaml") && !name.ends_with(".upstream.yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|file| Case::read(file)).collect()
}
