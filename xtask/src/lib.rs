//! Checks of the tree itself: layering, one Cedar, file sizes. They run as tests.
//!
//! What this crate deliberately does not do: it builds nothing and is part of no binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The table of DESIGN: each crate's ring, and the crates of ours that it may depend on.
/// A new edge means editing this table in the same commit.
pub const LAYERS: &[(&str, u8, &[&str])] = &[
    ("model", 0, &[]),
    // Temporal rules are compiled to the session's monitors.
    ("policy", 1, &["model", "session", "approval"]),
    ("session", 1, &["model"]),
    ("engine", 1, &["model", "policy", "risk", "session"]),
    ("ledger", 1, &["model"]),
    // Who may approve is read where the configuration is; campaigns are files too.
    ("wire", 1, &["approval", "model", "review"]),
    // Security events of others become signals.
    ("risk", 1, &["model", "wire"]),
    ("credential", 1, &["model", "session", "wire"]),
    ("approval", 1, &["model"]),
    ("review", 1, &["model"]),
    // A folder of evidence is made of records, and verified by the fold of campaigns.
    ("evidence", 1, &["model", "ledger", "review", "wire"]),
    (
        "service",
        2,
        &[
            "model",
            "policy",
            "risk",
            "session",
            "engine",
            "ledger",
            "wire",
            "credential",
            "approval",
            "review",
        ],
    ),
    ("store", 3, &["model", "ledger", "review", "service"]),
    ("directory", 3, &["model", "wire", "credential"]),
    ("notify", 3, &["model", "wire", "credential", "ledger", "service"]),
    ("broker", 3, &["model", "wire", "service"]),
    ("pep", 3, &["model", "service"]),
    ("gateway", 3, &["model", "wire", "credential", "service", "pep"]),
    ("api", 3, &["model", "wire", "credential", "review", "service", "pep"]),
    ("pages", 3, &["model", "wire", "approval", "service"]),
    (
        "cli",
        4,
        &[
            "model",
            "policy",
            "review",
            "evidence",
            "risk",
            "session",
            "engine",
            "ledger",
            "wire",
            "service",
            "store",
            "pep",
            "gateway",
            "api",
            "credential",
            "broker",
            "notify",
            "directory",
            "pages",
        ],
    ),
];

/// Crates that a pure crate (ring 0 or 1) never depends on, directly.
pub const IMPURE: &[&str] = &[
    "tokio",
    "tokio-util",
    "hyper",
    "hyper-util",
    "reqwest",
    "axum",
    "tower",
    "rusqlite",
    "rustix",
    "tracing-subscriber",
    "notify",
    "getrandom",
    "rand",
    "uuid",
    "opentelemetry",
];

/// The root of the work tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Direct dependencies of each crate of ours, without those for tests and builds.
///
/// # Errors
/// What `cargo metadata` says.
pub fn dependencies() -> Result<BTreeMap<String, Vec<String>>, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let packages = metadata.get("packages").and_then(Value::as_array).ok_or("no packages")?;
    Ok(packages.iter().filter_map(normal_dependencies).collect())
}

fn normal_dependencies(package: &Value) -> Option<(String, Vec<String>)> {
    let name = package.get("name")?.as_str()?.strip_prefix("safeconduct-")?.to_owned();
    let all = package.get("dependencies")?.as_array()?;
    let normal = all.iter().filter(|dependency| dependency.get("kind").is_some_and(Value::is_null));
    let names = normal.filter_map(|dependency| dependency.get("name")?.as_str());
    Some((name, names.map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(dependency: &str) -> Option<&str> {
        dependency.strip_prefix("safeconduct-")
    }

    #[test]
    fn arrows_point_inward() {
        let mut wrong = Vec::new();
        for (name, dependencies) in dependencies().unwrap() {
            let Some((_, ring, allowed)) = LAYERS.iter().find(|(layer, ..)| *layer == name) else {
                continue;
            };
            for dependency in &dependencies {
                match ours(dependency) {
                    Some(inner) if !allowed.contains(&inner) => {
                        wrong.push(format!("{name} must not depend on {inner}"));
                    }
                    None if *ring <= 1 && IMPURE.contains(&dependency.as_str()) => {
                        wrong.push(format!("{name} is pure and must not depend on {dependency}"));
                    }
                    _ => {}
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_crate_is_in_the_table() {
        for entry in std::fs::read_dir(root().join("crates")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(LAYERS.iter().any(|(layer, ..)| *layer == name), "`{name}` has no ring");
        }
    }

    #[test]
    fn the_table_itself_points_inward() {
        let ring = |name: &str| LAYERS.iter().find(|(layer, ..)| *layer == name).unwrap().1;
        for (name, outer, allowed) in LAYERS {
            for inner in *allowed {
                let lower = ring(inner) < *outer
                    || (*name == "engine" && ["policy", "risk", "session"].contains(inner))
                    || (*name == "policy" && ["session", "approval"].contains(inner))
                    || (*name == "credential" && ["session", "wire"].contains(inner))
                    || (*name == "risk" && *inner == "wire")
                    || (*name == "wire" && ["approval", "review"].contains(inner))
                    || (*name == "evidence" && ["ledger", "review", "wire"].contains(inner))
                    || (*name == "gateway" && *inner == "pep")
                    || (*name == "api" && *inner == "pep");
                assert!(lower, "{name} -> {inner} points outward");
            }
        }
    }

    #[test]
    fn pure_crates_ban_clocks_and_io() {
        for (name, ring, _) in LAYERS {
            if *ring <= 1 {
                let path = root().join("crates").join(name).join("clippy.toml");
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                for banned in ["SystemTime::now", "Instant::now", "std::fs::read", "env::var"] {
                    assert!(text.contains(banned), "{} does not ban {banned}", path.display());
                }
            }
        }
    }

    #[test]
    fn model_and_engine_derive_no_serde() {
        let dependencies = dependencies().unwrap();
        for name in ["model", "engine"] {
            assert!(!dependencies[name].iter().any(|dependency| dependency == "serde"), "{name}");
        }
    }

    #[test]
    fn there_is_one_cedar_in_the_tree() {
        let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
        for name in ["cedar-policy", "cedar-policy-core"] {
            assert_eq!(lock.matches(&format!("name = \"{name}\"\n")).count(), 1, "{name}");
        }
    }

    #[test]
    fn files_stay_readable() {
        let mut files = Vec::new();
        for folder in ["crates", "bench", "tests", "xtask", "fuzz"] {
            walk(&root().join(folder), &mut files);
        }
        files.sort();
        for (lines, path) in files.iter().rev().take(10) {
            println!("{lines:6} {path}");
        }
        let over: Vec<_> = files.iter().filter(|(lines, _)| *lines > 800).collect();
        assert!(over.is_empty(), "over 800 lines: {over:?}");
    }

    fn walk(folder: &Path, files: &mut Vec<(usize, String)>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if !["target", "node_modules", ".venv"].iter().any(|skip| name == *skip) {
                    walk(&path, files);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                files.push((lines, path.display().to_string()));
            }
        }
    }
}
