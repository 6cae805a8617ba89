//! Every example loads, every test of an example passes, and what README tells people to type
//! works.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use safeconduct_tests::project::Project;
use safeconduct_tests::server::Server;
use safeconduct_tests::tools::{self, root};

/// The folders with an example.
fn examples() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        folders.filter(|folder| folder.join("safeconduct.yaml").exists()).collect();
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

/// The fenced `sh` blocks of README, each a script.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "```sh" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            found.push(block.join("\n"));
        }
    }
    found
}

/// Somebody at a shell, with a home folder and a path of their own.
struct Reader {
    home: Project,
    /// Where they are.
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Reader {
    /// What README begins with, on this machine: the binary is built, and `npx` finds what is
    /// installed beside us instead of fetching it.
    fn new() -> Self {
        let home = Project::empty();
        let server = root().join("node_modules/.bin/mcp-server-filesystem");
        home.write("bin/make", "#!/bin/sh\ntest \"$1\" = build\n");
        home.write("bin/npx", &format!("#!/bin/sh\nshift 2\nexec {} \"$@\"\n", server.display()));
        home.write("notes/a.md", "a note\n");
        for name in ["bin/make", "bin/npx"] {
            fs::set_permissions(home.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let binary = tools::safeconduct();
        let folders =
            [home.path("bin"), binary.parent().unwrap().into(), root().join("node_modules/.bin")];
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&rest)));
        let environment = vec![
            ("HOME", home.folder().display().to_string()),
            ("PATH", path.unwrap().into_string().unwrap()),
            ("NO_COLOR", "1".to_owned()),
        ];
        Self { folder: home.folder().to_owned(), home, environment }
    }

    fn types(&self, script: &str) -> String {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(&self.folder)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n---\n{said}");
        said.into_owned()
    }
}

/// The block as it is; where cvc5 is not installed, without what asks for a proof.
fn without_solver(block: &str) -> String {
    if Command::new("cvc5").arg("--version").output().is_ok() {
        return block.to_owned();
    }
    tools::skip("README's proof", "no cvc5: install the package `cvc5`");
    block.lines().filter(|line| !line.contains("--prove")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_the_readme_tells_people_to_type_works() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    if let Err(why) = tools::node() {
        return tools::skip("README", &why);
    }
    let mut reader = Reader::new();
    for block in blocks(&text) {
        if block.contains("safeconduct init") {
            reader.types(&block);
            reader.folder = reader.home.path("my-guard");
            for file in ["safeconduct.yaml", "catalogue/files.yaml", "policies/starter.cedar"] {
                assert!(reader.folder.join(file).exists(), "init wrote no {file}");
            }
            reader.types("safeconduct config check && safeconduct policy check");
        } else if block.contains("safeconduct log verify") {
            let guard = Project::copy_of(&reader.folder);
            let server = Server::start(&guard);
            let url = format!("http://{}", server.address);
            reader.folder = guard.folder().to_owned();
            reader.environment.push(("SAFECONDUCT_URL", url));
            for line in block.lines() {
                let line = line.split('#').next().unwrap().trim();
                match line {
                    // It follows until somebody stops it.
                    "safeconduct log tail" => reader.types("safeconduct log tail --no-follow"),
                    line => reader.types(line),
                };
            }
            server.stop();
            reader.folder = reader.home.folder().to_owned();
        } else if block.contains("safeconduct task begin") {
            let world = Project::copy_of(&root().join("examples/crm"));
            let server = Server::start(&world);
            reader.folder = world.folder().to_owned();
            reader.environment.push(("SAFECONDUCT_URL", format!("http://{}", server.address)));
            let said = reader.types(&block);
            for word in ["summarise_customer_case", "sct_", "active", "1 tasks ended"] {
                assert!(said.contains(word), "{said}");
            }
            server.stop();
            reader.environment.pop();
            reader.folder = reader.home.folder().to_owned();
        } else if block.contains("safeconduct estate can") {
            let world = Project::copy_of(&root().join("examples/crm"));
            let server = Server::start(&world);
            reader.folder = world.folder().to_owned();
            reader.environment.push(("SAFECONDUCT_URL", format!("http://{}", server.address)));
            let said = reader.types(&without_solver(&block));
            for word in ["statement", "SEVERITY", "looked at"] {
                assert!(said.contains(word), "no `{word}` in {said}");
            }
            server.stop();
            reader.environment.pop();
            reader.folder = reader.home.folder().to_owned();
        } else if block.contains("/access/v1/evaluation") {
            let world = Project::copy_of(&root().join("examples/authzen-certification"));
            let server = Server::start(&world);
            let url = format!("http://{}", server.address);
            reader.environment.push(("SAFECONDUCT_URL", url));
            reader.environment.push(("SAFECONDUCT_TOKEN", server.mint("certification").1));
            let answer = reader.types(&block);
            assert!(answer.contains("\"decision\":true"), "{answer}");
            server.stop();
        } else {
            panic!("README has a block that no test runs:\n{block}");
        }
    }
}
