//! `safeconduct policy eval`: one decision, without a server and without a record.

use safeconduct_engine::Outcome;
use safeconduct_model::{Body, Decision};
use safeconduct_session::flow::Origins;
use serde_json::{Value as Json, json};

use super::scene::{self, Scene};
use super::{evidence, question};
use crate::args::{Question, Shared};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format};

/// Decides, prints the answer, and gives it as the exit code.
///
/// # Errors
/// The project is invalid, or a flag cannot be read.
pub(super) fn run(shared: &Shared, question: &Question) -> Result<Exit, CommandError> {
    let ground = scene::ground(shared, question)?;
    let scene = Scene::of(&ground, question)?;
    let (outcome, origins) = (scene.decide(), scene.origins());
    let text = match shared.output {
        Format::Json | Format::Yaml => {
            output::document(shared.output, &document(&outcome, origins.as_ref()))?
        }
        _ => table(&outcome, origins.as_ref()),
    };
    output::print(&text)?;
    Ok(exit(&outcome))
}

/// The exit code of a decision.
const fn exit(outcome: &Outcome) -> Exit {
    match (outcome.decision, &outcome.requestable) {
        (Decision::Permit, _) => Exit::Ok,
        (Decision::Deny, None) => Exit::Denied,
        (Decision::Deny, Some(_)) => Exit::DeniedRequestable,
    }
}

/// A decision for people.
pub(super) fn table(outcome: &Outcome, origins: Option<&Origins>) -> String {
    let mut lines = vec![format!("decision     {}", outcome.decision)];
    if let Body::Decided(decided) = &outcome.record.body {
        lines.push(format!("principal    {}", decided.principal));
        lines.push(format!("action       {}", decided.action));
        lines.extend(decided.resources.iter().map(|one| format!("resource     {one}")));
    }
    lines.extend(question::lines(&outcome.reasons).iter().map(|l| format!("reason       {l}")));
    lines.extend(outcome.obligations.iter().map(|one| format!("obligation   {one}")));
    if let Some(terms) = &outcome.requestable {
        lines.push(format!(
            "requestable  approvers {}, quorum {}, for {} s",
            terms.approvers, terms.quorum, terms.ttl_s
        ));
    }
    lines.extend(origins.into_iter().flat_map(evidence::lines));
    lines.extend(question::lines(&outcome.shadow).iter().map(|l| format!("shadow       {l}")));
    lines.join("\n") + "\n"
}

/// A decision for programs.
pub(super) fn document(outcome: &Outcome, origins: Option<&Origins>) -> Json {
    let reasons = |reasons: &[safeconduct_model::Reason]| -> Vec<Json> {
        reasons
            .iter()
            .map(|reason| {
                let policy = reason.policy();
                json!({
                    "code": reason.code(),
                    "message": reason.message(),
                    "policy": policy.map(|policy| policy.id.as_str()),
                    "at": policy.map(|policy| policy.span.to_string()),
                })
            })
            .collect()
    };
    let (principal, action, resources) = match &outcome.record.body {
        Body::Decided(decided) => (
            Some(decided.principal.to_string()),
            Some(decided.action.to_string()),
            decided.resources.iter().map(ToString::to_string).collect(),
        ),
        _ => (None, None, Vec::new()),
    };
    json!({
        "decision": outcome.decision.as_str(),
        "principal": principal,
        "action": action,
        "resources": resources,
        "reasons": reasons(&outcome.reasons),
        "obligations": outcome.obligations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "requestable": outcome.requestable.as_ref().map(|terms| json!({
            "approvers": &*terms.approvers,
            "quorum": terms.quorum,
            "ttl_s": terms.ttl_s,
        })),
        "shadow": reasons(&outcome.shadow),
        "flow": origins.map(evidence::document),
    })
}
