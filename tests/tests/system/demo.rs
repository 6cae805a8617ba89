//! The main job, as `make demo` runs it.

use safeconduct_tests::tools::{self, root};

#[test]
fn the_demo_goes_as_expected() {
    if let Err(why) = tools::python().and(tools::node()) {
        return tools::skip("the demo", &why);
    }
    let mut path = vec![root().join("node_modules/.bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let output = tools::command()
        .arg("demo")
        .current_dir(root())
        .env("PATH", std::env::join_paths(path).unwrap())
        .env_remove("KEEP")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for expected in ["stay-in-own-case", "ask-for-high-tier", "verified"] {
        assert!(text.contains(expected), "no `{expected}` in:\n{text}");
    }
}
