//! What annotations of a policy say, read strictly: a slip in one of ours would silently change
//! what a policy does, so it is a load error.

use std::sync::Arc;

use cedar_policy_core::ast::Template;
use safeconduct_approval::Approvers;
use safeconduct_model::{Obligation, PolicyEffect, PolicyId, Requestable};

use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::temporal::History;

/// Longest `@message`, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1000;
/// Most obligations, and most controls, of one policy.
pub const LIST_MAX: usize = 16;
/// Longest life of an approval, in seconds: seven days.
pub const TTL_S_MAX: u32 = safeconduct_approval::TTL_S_MAX;
/// Most approvers that a policy may ask for.
pub const QUORUM_MAX: u32 = safeconduct_approval::QUORUM_MAX;
/// Longest text that names approvers, in bytes.
const APPROVERS_BYTES_MAX: usize = 256;

const OURS: [&str; 7] =
    ["id", "message", "requestable", "obligation", "mode", "control", "history"];

/// Whether a policy has effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyMode {
    /// It has.
    Enforce,
    /// It is evaluated and recorded only.
    Shadow,
}

impl PolicyMode {
    /// The word for it in annotations and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// What the annotations of one policy say.
#[derive(Debug, Clone)]
pub(crate) struct Annotations {
    pub(crate) id: Option<PolicyId>,
    pub(crate) message: Option<Arc<str>>,
    pub(crate) requestable: Option<Requestable>,
    pub(crate) obligations: Vec<Obligation>,
    pub(crate) controls: Vec<Arc<str>>,
    pub(crate) mode: PolicyMode,
    pub(crate) history: History,
}

/// Reads the annotations of a policy; every problem goes to `problems`.
pub(crate) fn read(
    policy: &Template,
    effect: PolicyEffect,
    located: &Located<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Annotations {
    let mut read = Annotations {
        id: None,
        message: None,
        requestable: None,
        obligations: Vec::new(),
        controls: Vec::new(),
        mode: PolicyMode::Enforce,
        history: History::Session,
    };
    for (key, annotation) in policy.annotations() {
        let name = key.as_ref();
        let at = annotation
            .loc
            .as_ref()
            .or_else(|| policy.loc())
            .map_or((0, 0), |loc| (loc.start(), loc.end().saturating_sub(loc.start())));
        let value = annotation.val.trim();
        let outcome = if OURS.contains(&name) {
            read.take(name, value, effect)
        } else if let Some(meant) = slip(name) {
            Err(Wrong::new(
                format!("annotation `@{name}` looks like a slip of `@{meant}`"),
                format!("write `@{meant}`, or choose a name that is not so close to it"),
            ))
        } else {
            Ok(())
        };
        if let Err(Wrong { message, help }) = outcome {
            problems.push(located.problem(Severity::Error, at, message).with_help(help));
        }
    }
    read
}

/// What is wrong, and what to write instead.
#[derive(Debug)]
pub(crate) struct Wrong {
    message: String,
    help: String,
}

impl Wrong {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl Annotations {
    fn take(&mut self, name: &str, value: &str, effect: PolicyEffect) -> Result<(), Wrong> {
        match name {
            "id" => {
                self.id = Some(PolicyId::new(value).map_err(|error| {
                    Wrong::new(
                        format!("`@id` is not a name: {error}"),
                        "write `@id(\"a-name\")`".to_owned(),
                    )
                })?);
            }
            "message" => {
                if value.is_empty() || value.len() > MESSAGE_BYTES_MAX {
                    return Err(Wrong::new(
                        format!("`@message` must have 1 to {MESSAGE_BYTES_MAX} bytes"),
                        "write one sentence that an agent may see",
                    ));
                }
                self.message = Some(value.into());
            }
            "requestable" => {
                only_on("requestable", PolicyEffect::Forbid, effect)?;
                self.requestable = Some(requestable(value)?);
            }
            "obligation" => {
                only_on("obligation", PolicyEffect::Permit, effect)?;
                self.obligations = list("obligation", value, ';')?
                    .into_iter()
                    .map(obligation)
                    .collect::<Result<_, _>>()?;
            }
            "mode" => {
                self.mode = match value {
                    "enforce" => PolicyMode::Enforce,
                    "shadow" => PolicyMode::Shadow,
                    other => {
                        return Err(Wrong::new(
                            format!("`@mode` is `{other}`, which is no mode"),
                            "write `shadow` or `enforce`",
                        ));
                    }
                };
            }
            "history" => {
                self.history = match value {
                    "session" => History::Session,
                    "identity" => History::Identity,
                    other => {
                        return Err(Wrong::new(
                            format!("`@history` is `{other}`, which has none"),
                            "write `session` or `identity`",
                        ));
                    }
                };
            }
            _ => {
                self.controls = list("control", value, ',')?.into_iter().map(Arc::from).collect();
            }
        }
        Ok(())
    }
}

fn only_on(name: &str, wanted: PolicyEffect, found: PolicyEffect) -> Result<(), Wrong> {
    if wanted == found {
        return Ok(());
    }
    Err(Wrong::new(
        format!("`@{name}` stands on a {}", found.as_str()),
        format!("`@{name}` has a meaning on a {} only", wanted.as_str()),
    ))
}

fn list<'a>(name: &str, value: &'a str, separator: char) -> Result<Vec<&'a str>, Wrong> {
    let parts: Vec<&str> = value.split(separator).map(str::trim).collect();
    if parts.iter().any(|part| part.is_empty()) || parts.len() > LIST_MAX {
        return Err(Wrong::new(
            format!("`@{name}` must list 1 to {LIST_MAX} entries, none of them empty"),
            format!("separate entries with `{separator}`"),
        ));
    }
    Ok(parts)
}

/// Reads `kind` or `kind:parameter`.
pub(crate) fn obligation(text: &str) -> Result<Obligation, Wrong> {
    let parsed = Obligation::parse(text);
    let kind_fits = parsed.kind.starts_with(|c: char| c.is_ascii_lowercase())
        && parsed.kind.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if kind_fits && !parsed.parameter.chars().any(char::is_control) {
        return Ok(parsed);
    }
    Err(Wrong::new(
        format!("`{text}` is no obligation"),
        "write `kind` or `kind:parameter`, such as `redact:$.ssn`",
    ))
}

/// Reads `approvers=resource.owner; quorum=1; ttl=15m`.
pub(crate) fn requestable(value: &str) -> Result<Requestable, Wrong> {
    const HELP: &str = "write `approvers=resource.owner; quorum=1; ttl=15m`";
    let wrong = |message: String| Wrong::new(message, HELP);
    let (mut approvers, mut quorum, mut ttl_s) = (None, None, None);
    for part in value.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let Some((key, text)) = part.split_once('=') else {
            return Err(wrong(format!("`{part}` in `@requestable` is not `key=value`")));
        };
        let (key, text) = (key.trim(), text.trim());
        let fresh = match key {
            "approvers" => approvers
                .replace(approvers_of(text).map_err(|problem| {
                    wrong(format!("`{text}` in `@requestable` names no approvers: {problem}"))
                })?)
                .is_none(),
            "quorum" => quorum
                .replace(text.parse().ok().filter(|n| (1..=QUORUM_MAX).contains(n)).ok_or_else(
                    || wrong(format!("quorum `{text}` is not between 1 and {QUORUM_MAX}")),
                )?)
                .is_none(),
            "ttl" => ttl_s
                .replace(
                    seconds(text)
                        .ok_or_else(|| wrong(format!("ttl `{text}` is not between 1s and 7d")))?,
                )
                .is_none(),
            other => return Err(wrong(format!("`@requestable` knows no `{other}`"))),
        };
        if !fresh {
            return Err(wrong(format!("`{key}` comes twice in `@requestable`")));
        }
    }
    let Some(approvers) = approvers else {
        return Err(wrong("`@requestable` does not say who may approve".into()));
    };
    Ok(Requestable { approvers, quorum: quorum.unwrap_or(1), ttl_s: ttl_s.unwrap_or(15 * 60) })
}

/// The names of controls in a list.
pub(crate) fn controls(text: &str) -> Vec<Arc<str>> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .take(LIST_MAX)
        .map(Arc::from)
        .collect()
}

/// What nobody could carry out is refused where it is written, not when somebody asks.
fn approvers_of(text: &str) -> Result<Arc<str>, String> {
    if text.len() > APPROVERS_BYTES_MAX {
        return Err(format!("it is longer than {APPROVERS_BYTES_MAX} bytes"));
    }
    Approvers::parse(text).map(|_| text.into()).map_err(|error| error.to_string())
}

/// `15m`, `1h`, `30s`, `2d`.
fn seconds(text: &str) -> Option<u32> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let count: u32 = text.get(..text.len() - 1)?.parse().ok()?;
    count.checked_mul(unit).filter(|s| (1..=TTL_S_MAX).contains(s))
}

/// Which annotation of ours a name looks like. Short names are only taken for a slip where case,
/// a plural or two swapped letters make the difference: `@node` and `@code` are others' words.
fn slip(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let bare: String = lower.chars().filter(|c| *c != '_').collect();
    OURS.into_iter().find(|ours| {
        let near = if ours.len() >= 7 {
            strsim::osa_distance(&bare, ours) <= 2
        } else {
            bare == *ours
                || bare == format!("{ours}s")
                || (bare.len() == ours.len()
                    && ours.len() > 2
                    && strsim::osa_distance(&bare, ours) == 1
                    && strsim::levenshtein(&bare, ours) == 2)
        };
        near && name != *ours
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_others_annotations_are_not() {
        for (written, meant) in [
            ("requestabel", "requestable"),
            ("Requestable", "requestable"),
            ("Id", "id"),
            ("ids", "id"),
            ("obligations", "obligation"),
            ("controls", "control"),
            ("mesage", "message"),
            ("mdoe", "mode"),
            ("Mode", "mode"),
        ] {
            assert_eq!(slip(written), Some(meant), "{written}");
        }
        for others in ["node", "code", "model", "uid", "owner", "comment", "package", "advice", "i"]
        {
            assert_eq!(slip(others), None, "{others}");
        }
    }

    #[test]
    fn requestable_is_read_strictly() {
        let read = requestable("approvers=resource.owner; quorum=2; ttl=1h").unwrap();
        assert_eq!((&*read.approvers, read.quorum, read.ttl_s), ("resource.owner", 2, 3600));
        let read = requestable("approvers = group:leads").unwrap();
        assert_eq!((read.quorum, read.ttl_s), (1, 900));
        for wrong in [
            "",
            "quorum=1",
            "approvers=",
            "approvers=group:a; quorum=0",
            "approvers=group:a; quorum=11",
            "approvers=group:a; ttl=8d",
            "approvers=group:a; ttl=15",
            "approvers=group:a; aprovers=b",
            "approvers=group:a; approvers=group:b",
            "resource.owner",
            "approvers=owner",
            "approvers=group.treasury",
            "approvers=group:a then",
            "approvers=group:a else group:b",
        ] {
            assert!(requestable(wrong).is_err(), "{wrong}");
        }
    }
}
