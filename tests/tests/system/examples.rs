//! Every example loads, every test of an example passes, and what README tells people to type
//! works.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use safeconduct_tests::project::Project;
use safeconduct_tests::tools::{self, root};

/// The folders with an example.
fn examples() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = folders
        .filter(|folder| folder.join("safeconduct.yaml").exists())
        .collect();
    found.sort();
    found
}

#[test]
fn every_example_loads() {
    let found = examples();
    assert!(found.len() >= 3, "{found:?}");
    for folder in found {
        let config = folder.join("safeconduct.yaml");
        for check in [&["config", "check"][..], &["policy", "check"]] {
            let (code, out, err) = tools::run(&config, check);
            assert_eq!(code, 0, "{} {check:?}: {out}{err}", folder.display());
        }
        if folder.join("policies/tests").exists() {
            let (code, out, err) = tools::run(&config, &["policy", "test"]);
            assert_eq!(code, 0, "{} policy test: {out}{err}", folder.display());
        }
    }
}

/// The fenced blocks of README that say `sh test`, each a script.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "```sh test" {
            let block: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != "```")
                .collect();
            found.push(block.join("\n"));
        }
    }
    found
}

#[test]
fn what_the_readme_tells_people_to_type_works() {
    let Ok(text) = fs::read_to_string(root().join("README.md")) else {
        return tools::skip("README", "there is none");
    };
    let blocks = blocks(&text);
    assert!(
        !blocks.is_empty(),
        "README.md marks no block with ```sh test"
    );
    // One after the other in one folder, as a reader does.
    let place = Project::copy_of(&root().join("examples"));
    let binary = tools::safeconduct();
    let mut path = vec![
        binary.parent().unwrap().to_owned(),
        root().join("node_modules/.bin"),
    ];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    for block in blocks {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(place.folder())
            .env("PATH", std::env::join_paths(&path).unwrap())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{block}\n---\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
