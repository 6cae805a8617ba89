//! `safeconduct policy explain`: what each policy that comes near says to one question, and why.

use std::fmt::Write as _;

use safeconduct_engine::Explained;
use safeconduct_policy::{ExplainedClause, Explanation, PolicyMode, Verdict};
use serde_json::{Value as Json, json};

use super::eval;
use super::scene::{self, Scene};
use super::since::{Clauses, Since};
use crate::args::{Question, Shared};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};

/// Prints the decision, then each policy with what its scope and condition say.
///
/// # Errors
/// The project is invalid, or a flag cannot be read.
pub(super) fn run(shared: &Shared, question: &Question) -> Result<Exit, CommandError> {
    let ground = scene::ground(shared, question)?;
    let scene = Scene::of(&ground, question)?;
    let (outcome, origins) = (scene.decide(), scene.origins());
    // What stands in the way before any policy is asked, the decision says already.
    let explained = scene.explain().unwrap_or_default();
    let since = Clauses::of(&scene, &explained);
    let text = match shared.output {
        Format::Json | Format::Yaml => {
            let resources = explained.iter().zip(0..);
            let resources: Vec<Json> =
                resources.map(|(one, at)| document(one, |c| since.find(at, c))).collect();
            let decision = eval::document(&outcome, origins.as_ref());
            let whole = json!({"decision": decision, "resources": resources});
            output::document(shared.output, &whole)?
        }
        _ => {
            let resources = explained.iter().zip(0..);
            let explained: String =
                resources.map(|(one, at)| table(one, |c| since.find(at, c))).collect();
            eval::table(&outcome, origins.as_ref()) + explained.as_str()
        }
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}

fn table<'s>(
    explained: &Explained,
    since: impl Fn(&ExplainedClause) -> Option<&'s Since>,
) -> String {
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
        for clause in in_scope(one) {
            let history = clause.history.as_str();
            let (holds, since) = (holds(clause), since(clause).map(Since::words));
            let since = since.unwrap_or_default();
            let _ = writeln!(text, "    {} of the {history}: {holds}{since}", shown(clause));
        }
        for line in one.text.lines() {
            let _ = writeln!(text, "    | {line}");
        }
    }
    text
}

/// The clauses of a policy whose scope matches.
fn in_scope(one: &Explanation) -> &[ExplainedClause] {
    if one.verdict == Verdict::OutOfScope { &[] } else { &one.clauses }
}

/// A clause in one line.
fn shown(clause: &ExplainedClause) -> String {
    match &clause.text {
        Some(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        None => format!("temporal clause {}", clause.name),
    }
}

const fn holds(clause: &ExplainedClause) -> &'static str {
    match clause.holds {
        Some(true) => "true",
        Some(false) => "false",
        None => "not known",
    }
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

fn document<'s>(
    explained: &Explained,
    since: impl Fn(&ExplainedClause) -> Option<&'s Since>,
) -> Json {
    let policies: Vec<Json> = explained.policies.iter().map(|one| policy(one, &since)).collect();
    json!({"resource": explained.resource.uid.to_string(), "policies": policies})
}

fn policy<'s>(one: &Explanation, since: impl Fn(&ExplainedClause) -> Option<&'s Since>) -> Json {
    let policy = &one.policy.reference;
    let (verdict, error) = match &one.verdict {
        Verdict::OutOfScope => ("out_of_scope", None),
        Verdict::NotSatisfied => ("not_satisfied", None),
        Verdict::Applies => ("applies", None),
        Verdict::Failed(error) => ("failed", Some(&**error)),
    };
    let clauses = in_scope(one).iter().map(|clause| {
        json!({
            "name": &*clause.name,
            "text": clause.text.as_deref(),
            "history": clause.history.as_str(),
            "holds": clause.holds,
            "since": since(clause).map(Since::document),
        })
    });
    json!({
        "id": policy.id.as_str(),
        "effect": policy.effect.as_str(),
        "shadow": one.policy.mode == PolicyMode::Shadow,
        "at": policy.span.to_string(),
        "verdict": verdict,
        "error": error,
        "clauses": clauses.collect::<Vec<_>>(),
        "text": &*one.text,
    })
}
