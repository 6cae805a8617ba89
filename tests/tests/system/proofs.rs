//! Drafts of policies, proved by the real solver.

use std::process::{Command, Output};

use safeconduct_tests::project::Project;
use safeconduct_tests::tools::{self, root};
use serde_json::Value as Json;

fn diff(project: &Project, old: &str, new: &str, more: &[&str]) -> Command {
    let folder = project.config().parent().unwrap().to_owned();
    let mut command = tools::command();
    command.arg("--config").arg(project.config()).args(["policy", "diff"]);
    command.args([folder.join(old), folder.join(new)]).arg("--prove").args(more);
    command
}

fn document(output: &Output) -> Json {
    let document: Json = serde_json::from_slice(&output.stdout).unwrap();
    document["proof"].clone()
}

fn outcome<'d>(proof: &'d Json, action: &str) -> &'d Json {
    let actions = proof["actions"].as_array().unwrap();
    actions.iter().find(|proof| proof["action"] == action).unwrap()
}

#[test]
fn a_draft_is_proved_or_refuted() {
    if Command::new("cvc5").arg("--version").output().is_err() {
        return tools::skip("proofs of drafts", "no cvc5: install the package `cvc5`");
    }
    let project = Project::copy_of(&root().join("docs/cli/policy.in"));
    let narrower = diff(&project, "policies", "draft", &["-o", "json"]).output().unwrap();
    let proof = document(&narrower);
    assert_eq!(proof["verdict"], "never_wider", "{proof:#}");
    assert_eq!(narrower.status.code(), Some(0));
    assert_eq!(outcome(&proof, "desk.refund")["outcome"], "proved");
    assert_eq!(outcome(&proof, "desk.read_ticket")["outcome"], "same_statements");
    assert!(proof["solver"].as_str().unwrap().starts_with("cvc5 "), "{proof:#}");
    assert!(proof["beside"].to_string().contains("requestable of `desk.large-refunds` differ"));

    let wider = diff(&project, "draft", "policies", &["-o", "json"]).output().unwrap();
    let proof = document(&wider);
    assert_eq!((proof["verdict"].as_str(), wider.status.code()), (Some("wider"), Some(1)));
    let found = &outcome(&proof, "desk.refund")["counterexample"];
    assert_eq!(found["forbidden_by"][0], "desk.large-refunds", "{found:#}");
    let context = found["context"].as_array().unwrap();
    let amount = context.iter().find(|at| at["path"] == "context.input.amount").unwrap();
    let amount: i64 = amount["value"].as_str().unwrap().parse().unwrap();
    assert!((21..=50).contains(&amount), "{found:#}");
    let table = diff(&project, "draft", "policies", &[]).output().unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for line in
        ["proof            wider, by cvc5 ", "wider: desk.refund\n", "  context.input.amount = "]
    {
        assert!(table.contains(line), "{line}: {table}");
    }
}

#[test]
fn without_a_solver_that_is_said() {
    let project = Project::copy_of(&root().join("docs/cli/policy.in"));
    let output =
        diff(&project, "policies", "draft", &[]).env("CVC5", "/nowhere/cvc5").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (said, talk) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(talk.contains("install the Debian package `cvc5`"), "{talk}");
    assert!(said.contains("not proved: desk.refund: there is no solver to ask"), "{said}");
    let output = diff(&project, "policies", "policies", &[]).env("CVC5", "/nowhere/cvc5").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("proof            proved never wider\n"), "{said}");
    assert_eq!(output.status.code(), Some(0));
}
