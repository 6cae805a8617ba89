//! One question from the command line: who, what, to what, with which arguments.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use safeconduct_engine::Understood;
use safeconduct_model::{ActionName, Entity, EntityRef, IdentityId, Reason, Timestamp, Value};
use safeconduct_service::Clock as _;
use safeconduct_wire::json;
use safeconduct_wire::suite::{Definition, Principal};

use super::ground::{Asked, Ground, Posed};
use crate::args::Question;
use crate::exit::{CommandError, failed};
use crate::system::SystemClock;

/// Most bytes that an argument of `@FILE` or `-` may have.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Puts the question of the command line.
///
/// # Errors
/// A flag cannot be read.
pub(super) fn pose(ground: &Ground, question: &Question) -> Result<Posed, CommandError> {
    let input = document("--input", &question.input)?;
    // INVARIANT: without `--test`, the parser asks for both.
    let said = |text: &Option<String>| text.clone().unwrap_or_default();
    let action =
        ActionName::new(said(&question.action)).map_err(|error| failed("--action", error))?;
    let attributes = |flag: &str, text: Option<&String>| match text {
        Some(text) => attributes(flag, text),
        None => Ok(BTreeMap::new()),
    };
    let resource = match &question.resource {
        Some(text) => Some(Entity {
            uid: entity("--resource", text)?,
            attributes: attributes("--resource-attributes", question.resource_attributes.as_ref())?,
            ancestors: Vec::new(),
        }),
        None => None,
    };
    let name = said(&question.principal);
    let properties = attributes("--principal-attributes", question.principal_attributes.as_ref())?;
    let principal = principal(ground, &name, properties)?;
    let now: Timestamp = SystemClock.now();
    let asked = Asked {
        principal: &principal,
        credential: "command-line".into(),
        session_name: None,
        task: None,
        action: &action,
        resource: resource.as_ref(),
        input: &input,
        context: None,
        definition: Definition::Approved,
        understood: Understood::LeftToCaller,
        at: now,
        named: "dec_dry_run".into(),
    };
    ground.pose(&asked).map_err(|error| failed("the question", error))
}

/// An identity of the configuration by its id or entity, or someone of whom an enforcement point
/// speaks.
fn principal(
    ground: &Ground,
    text: &str,
    attributes: BTreeMap<Arc<str>, Value>,
) -> Result<Principal, CommandError> {
    if !text.contains("::") {
        let id = IdentityId::new(text).map_err(|error| failed("--principal", error))?;
        if !ground.identities.contains_key(&id) {
            let known: Vec<&str> = ground.identities.keys().map(IdentityId::as_str).collect();
            let help = nearest(text, &known);
            return Err(CommandError::Failed(format!(
                "--principal: nobody is called `{text}`{help}"
            )));
        }
        return Ok(Principal::Registered(id));
    }
    let uid = entity("--principal", text)?;
    let registered = ground.identities.iter().find(|(_, known)| known.entity.uid == uid);
    match registered {
        Some((id, _)) if attributes.is_empty() => Ok(Principal::Registered(id.clone())),
        _ => {
            let entity = Entity { uid, attributes, ancestors: Vec::new() };
            Ok(Principal::Asserted { by: None, entity })
        }
    }
}

fn nearest(text: &str, known: &[&str]) -> String {
    let close = known.iter().min_by_key(|name| strsim::damerau_levenshtein(name, text));
    match close {
        Some(name) if strsim::damerau_levenshtein(name, text) <= 3 => {
            format!("; did you mean `{name}`?")
        }
        _ if known.is_empty() => "; the configuration lists no identities".into(),
        _ => format!("; the configuration has {}", known.join(", ")),
    }
}

/// `TYPE::"ID"`, as Cedar writes it.
pub(crate) fn entity(flag: &str, text: &str) -> Result<EntityRef, CommandError> {
    let wrong =
        || CommandError::Failed(format!("{flag}: `{text}` is no entity: write it as TYPE::\"ID\""));
    let (ty, id) = text.split_once("::\"").ok_or_else(wrong)?;
    let quoted = format!("\"{id}");
    let id = json::parse(quoted.as_bytes()).map_err(|_| wrong())?;
    let id = id.as_str().ok_or_else(wrong)?;
    EntityRef::new(ty, id).map_err(|error| failed(flag, error))
}

fn attributes(flag: &str, text: &str) -> Result<BTreeMap<Arc<str>, Value>, CommandError> {
    match document(flag, text)? {
        Value::Object(members) => Ok(members),
        other => Err(CommandError::Failed(format!("{flag}: {} is no object", other.kind()))),
    }
}

/// JSON; `@FILE` reads a file, `-` standard input.
pub(crate) fn document(flag: &str, text: &str) -> Result<Value, CommandError> {
    let mut bytes = Vec::new();
    let read = match (text, text.strip_prefix('@')) {
        ("-", _) => std::io::stdin().lock().take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes),
        (_, Some(file)) => std::fs::File::open(file)
            .and_then(|file| file.take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes)),
        _ => {
            bytes.extend_from_slice(text.as_bytes());
            Ok(0)
        }
    };
    read.map_err(|error| failed(flag, error))?;
    json::parse(&bytes).map_err(|error| failed(flag, error))
}

/// The reasons of a decision, one line each.
pub(super) fn lines(reasons: &[Reason]) -> Vec<String> {
    reasons
        .iter()
        .map(|reason| match reason.policy() {
            Some(policy) => {
                let rule = format!("{} `{}` at {}", policy.effect.as_str(), policy.id, policy.span);
                match reason {
                    Reason::PolicyError { error, .. } => format!("{rule} failed: {error}"),
                    _ => match &policy.message {
                        Some(message) => format!("{rule}: {message}"),
                        None => rule,
                    },
                }
            }
            None => format!("{}: {}", reason.code(), reason.message()),
        })
        .collect()
}
