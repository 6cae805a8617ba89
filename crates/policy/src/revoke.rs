//! Taking a right from one holder, as a change of the text that gives it: what is theirs alone
//! goes, and from what others share they are excepted. Everything else stays byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::{EntityReference, PrincipalOrResourceConstraint};
use safeconduct_model::{EntityRef, PolicyEffect, PolicyId};
use thiserror::Error;

use crate::policies::Policies;

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedFile {
    /// Its text as it is.
    pub before: Arc<str>,
    /// Its text as it would be.
    pub after: Arc<str>,
}

/// Why a right cannot be taken from its holder by a change of text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RevokeError {
    /// The set has no such statement of Cedar.
    #[error("no statement `{0}` of Cedar is in force")]
    Unknown(PolicyId),
    /// It permits nothing.
    #[error("`{0}` permits nothing: it is a forbid")]
    Forbid(PolicyId),
}

/// The files that change where each of these holders loses what that statement gives them. The
/// ids of statements that others share stay.
///
/// # Errors
/// [`RevokeError`] says of which statement nothing can be taken.
pub fn revoke(
    policies: &Policies,
    rights: &[(PolicyId, EntityRef)],
) -> Result<BTreeMap<Arc<str>, RevokedFile>, RevokeError> {
    // By file and by where the statement begins: the whole of it, or who is excepted.
    let mut changes: BTreeMap<Arc<str>, BTreeMap<usize, Change>> = BTreeMap::new();
    for (id, holder) in rights {
        let unknown = || RevokeError::Unknown(id.clone());
        let entry = policies.entries().find(|entry| entry.statement.info.reference.id == *id);
        let statement = &entry.ok_or_else(unknown)?.statement;
        let reference = &statement.info.reference;
        if reference.effect == PolicyEffect::Forbid {
            return Err(RevokeError::Forbid(id.clone()));
        }
        let uid = holder.to_string();
        let alone = match &statement.principal {
            PrincipalOrResourceConstraint::Eq(EntityReference::EUID(only)) => {
                only.to_string() == uid
            }
            _ => false,
        };
        let file = changes.entry(Arc::clone(&reference.span.file)).or_default();
        let change = file.entry(statement.range.start).or_insert_with(|| Change {
            end: statement.range.end,
            whole: false,
            except: Vec::new(),
        });
        change.whole |= alone;
        if !change.except.contains(&uid) {
            change.except.push(uid);
        }
    }
    let mut files = BTreeMap::new();
    for (name, changes) in changes {
        let Some(unit) = policies.units.get(&name) else { continue };
        let before = Arc::clone(&unit.text);
        let mut after = before.to_string();
        // From the end, so that what comes before stays where it is.
        for (start, change) in changes.into_iter().rev() {
            change.make(start, &mut after);
        }
        files.insert(name, RevokedFile { before, after: after.into() });
    }
    Ok(files)
}

struct Change {
    end: usize,
    whole: bool,
    except: Vec<String>,
}

impl Change {
    fn make(self, start: usize, text: &mut String) {
        if self.whole {
            let rest = text.get(self.end..).unwrap_or_default();
            let line = rest.chars().take_while(|c| *c == ' ' || *c == '\t').count();
            let newline = rest.get(line..).is_some_and(|rest| rest.starts_with('\n'));
            let end = if newline { self.end + line + 1 } else { self.end };
            text.replace_range(start..end, "");
            return;
        }
        let body = text.get(start..self.end).unwrap_or_default();
        let Some(at) = body.rfind(';').map(|at| start + at) else { return };
        let who: Vec<String> =
            self.except.iter().map(|uid| format!("principal == {uid}")).collect();
        // On a line of its own: whatever stands before may be a comment.
        text.insert_str(at, &format!("\nunless {{ {} }}", who.join(" || ")));
    }
}

#[cfg(test)]
mod tests {
    use safeconduct_model::ActionName;

    use super::*;
    use crate::{SourceFile, Sources, load};

    const TEXT: &str = "// Whose rights these are.\n\
        @id(\"alone\")\npermit (principal == Safeconduct::Agent::\"a\", action, resource);\n\n\
        @id(\"shared\") // everyone\npermit (principal, action, resource)\n\
        when { context.session.steps < 3 } // soon;\n;\n\
        @id(\"never\") forbid (principal, action, resource) when { context.session.steps > 9 };\n";

    fn policies(text: &str) -> Policies {
        let sources = Sources {
            policies: vec![SourceFile::new("a.cedar", text)],
            actions: vec![(ActionName::new("files.read").unwrap(), None)],
            ..Sources::default()
        };
        load(&sources).unwrap().policies
    }

    fn agent(id: &str) -> EntityRef {
        EntityRef::new("Safeconduct::Agent", id).unwrap()
    }

    #[test]
    fn what_is_theirs_alone_goes_and_from_what_others_share_they_are_excepted() {
        let set = policies(TEXT);
        let id = |text: &str| PolicyId::new(text).unwrap();
        let rights = [
            (id("alone"), agent("a")),
            (id("shared"), agent("a")),
            (id("shared"), agent("b\"; permit")),
        ];
        let changed = revoke(&set, &rights).unwrap();
        let after = &changed.get("a.cedar").unwrap().after;
        assert!(!after.contains("@id(\"alone\")") && after.starts_with("// Whose rights"));
        assert!(after.contains("unless { principal == Safeconduct::Agent::\"a\" || principal =="));
        let set = policies(after);
        let ids: Vec<_> = set.iter().map(|info| info.reference.id.to_string()).collect();
        assert_eq!(ids, ["shared", "never"]);
        let other = revoke(&set, &[(id("shared"), agent("c"))]).unwrap();
        policies(&other.get("a.cedar").unwrap().after);
        assert_eq!(
            revoke(&set, &[(id("never"), agent("a"))]),
            Err(RevokeError::Forbid(id("never")))
        );
        assert_eq!(
            revoke(&set, &[(id("gone"), agent("a"))]),
            Err(RevokeError::Unknown(id("gone")))
        );
    }
}
