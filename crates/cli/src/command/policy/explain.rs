//! `safeconduct policy explain`: what each policy that comes near says to one question, and why.

use std::fmt::Write as _;

use safeconduct_engine::Explained;
use safeconduct_policy::{Explanation, PolicyMode, Verdict};
use safeconduct_session::Session;
use serde_json::{Value as Json, json};

use super::ground::Ground;
use super::{eval, question};
use crate::args::{Question, Shared};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};
use crate::wiring::project::Project;

/// Prints the decision, then each policy with what its scope and condition say.
///
/// # Errors
/// The project is invalid, or a flag cannot be read.
pub(super) fn run(shared: &Shared, question: &Question) -> Result<Exit, CommandError> {
    let ground = Ground::of(&Project::load(&shared.config)?)?;
    let posed = question::pose(&ground, question)?;
    let session = Session::default();
    let outcome = ground.decide(&posed, &session, None);
    // What stands in the way before any policy is asked, the decision says already.
    let explained = ground.explain(&posed, &session, None).unwrap_or_default();
    let text = match shared.output {
        Format::Json | Format::Yaml => {
            let resources: Vec<Json> = explained.iter().map(document).collect();
            let whole = json!({"decision": eval::document(&outcome), "resources": resources});
            output::document(shared.output, &whole)?
        }
        _ => {
            let explained: String = explained.iter().map(table).collect();
            eval::table(&outcome) + explained.as_str()
        }
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}

fn table(explained: &Explained) -> String {
    let mut text = format!("\n{}\n", explained.resource.uid);
    if explained.policies.is_empty() {
        text.push_str("  no policy comes near\n");
    }
    for one in &explained.policies {
        let policy = &one.policy.reference;
        let shadow = if one.policy.mode == PolicyMode::Shadow { " (shadow)" } else { "" };
        let (scope, condition) = words(&one.verdict);
        let effect = policy.effect.as_str();
        let _ = writeln!(text, "  {effect} `{}`{shadow} at {}", policy.id, policy.span);
        let _ = writeln!(text, "    scope {scope}, condition {condition}");
        for line in one.text.lines() {
            let _ = writeln!(text, "    | {line}");
        }
    }
    text
}

/// What scope and condition say.
fn words(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::OutOfScope => ("names others", "not asked".into()),
        Verdict::NotSatisfied => ("matches", "false".into()),
        Verdict::Applies => ("matches", "true: it applies".into()),
        Verdict::Failed(error) => ("matches", format!("failed: {error}")),
    }
}

fn document(explained: &Explained) -> Json {
    let policies: Vec<Json> = explained.policies.iter().map(policy).collect();
    json!({"resource": explained.resource.uid.to_string(), "policies": policies})
}

fn policy(one: &Explanation) -> Json {
    let policy = &one.policy.reference;
    let (verdict, error) = match &one.verdict {
        Verdict::OutOfScope => ("out_of_scope", None),
        Verdict::NotSatisfied => ("not_satisfied", None),
        Verdict::Applies => ("applies", None),
        Verdict::Failed(error) => ("failed", Some(&**error)),
    };
    json!({
        "id": policy.id.as_str(),
        "effect": policy.effect.as_str(),
        "shadow": one.policy.mode == PolicyMode::Shadow,
        "at": policy.span.to_string(),
        "verdict": verdict,
        "error": error,
        "text": &*one.text,
    })
}
