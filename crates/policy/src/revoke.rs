//! Taking a right from one holder, as a change of the text that gives it: what is theirs alone
//! goes, and from what others share they are excepted. Everything else stays byte for byte.
//!
//! A permit whose condition fails denies, whatever else permits. So they are excepted too from what
//! is theirs alone where its condition can fail and another permit may permit them the same: the
//! exception comes after the condition, which goes on failing as before.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::{EntityReference, PrincipalOrResourceConstraint};
use safeconduct_model::{Digest, EntityRef, PolicyEffect, PolicyId};
use thiserror::Error;

use crate::policies::{Policies, Statement};
use crate::reduce::{For, failing, is_named, lost_to};

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
    /// Another permit may permit them the same, without what this one obliges to.
    #[error(
        "`{policy}` has obligations that would be lost where `{other}` permits the same: take \
         `{other}` from them too, or give it the same `@obligation`"
    )]
    Obligation {
        /// The statement that was to be taken.
        policy: PolicyId,
        /// The permit that would stay.
        other: PolicyId,
    },
}

impl Policies {
    /// What a statement is called now that said that under that name: its name counts where it
    /// still says the same, else what it says. One without an `@id` is called by its place in its
    /// file, which another one has once one before it is gone.
    pub fn still_says(&self, id: &PolicyId, says: Digest) -> Option<PolicyId> {
        let mut other = None;
        for statement in self.statements().filter(|statement| statement.digest() == says) {
            let now = &statement.info().reference.id;
            if now == id {
                return Some(now.clone());
            }
            other = other.or_else(|| Some(now.clone()));
        }
        other
    }
}

/// The files that change where each of these holders loses what that statement gives them, none of
/// whom is permitted anything new by that. The ids of all other statements stay: where one without
/// an `@id` comes after it in its file, a statement is not taken out, and its holder is excepted
/// from it. So it is where what it denies by failing could be permitted without it.
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
        if let Some(other) = in_the_way(policies, statement, holder, rights) {
            let other = other.info.reference.id.clone();
            return Err(RevokeError::Obligation { policy: id.clone(), other });
        }
        let uid = holder.to_string();
        let alone = match &statement.principal {
            PrincipalOrResourceConstraint::Eq(EntityReference::EUID(only)) => {
                only.to_string() == uid
            }
            _ => false,
        };
        let denies = || may_deny(policies, statement, holder, rights);
        let file = changes.entry(Arc::clone(&reference.span.file)).or_default();
        let change = file.entry(statement.range.start).or_insert_with(|| Change {
            end: statement.range.end,
            whole: false,
            except: Vec::new(),
        });
        change.whole |= alone && !denies();
        if !change.except.contains(&uid) {
            change.except.push(uid);
        }
    }
    let mut files = BTreeMap::new();
    for (name, mut changes) in changes {
        let Some(unit) = policies.units.get(&name) else { continue };
        let before = Arc::clone(&unit.text);
        let mut after = before.to_string();
        // From the end, so that what comes before stays where it is, and it is known whether one
        // without a name stays after another.
        let mut unnamed_stays = false;
        for statement in unit.statements.iter().rev() {
            let start = statement.range.start;
            let mut goes = false;
            if let Some(mut change) = changes.remove(&start) {
                change.whole &= !unnamed_stays;
                goes = change.whole;
                change.make(start, &mut after);
            }
            unnamed_stays |= !goes && !is_named(&before, statement.range.clone());
        }
        files.insert(name, RevokedFile { before, after: after.into() });
    }
    Ok(files)
}

/// A permit that the holder keeps and that may permit them the same, without what this one
/// obliges to.
fn in_the_way<'p>(
    policies: &'p Policies,
    statement: &Statement,
    holder: &EntityRef,
    rights: &[(PolicyId, EntityRef)],
) -> Option<&'p Statement> {
    let ty = policies.resolve_type(holder.ty.as_str()).unwrap_or_else(|| holder.ty.clone());
    let full = EntityRef { ty, id: holder.id.clone() };
    let kept = kept(policies, statement, holder, rights);
    lost_to(&policies.schema, statement, For::Holder(&full), kept)
}

/// Whether a statement that is the holder's alone can fail, where a permit that they keep may then
/// permit them what that denies.
fn may_deny(
    policies: &Policies,
    statement: &Statement,
    holder: &EntityRef,
    rights: &[(PolicyId, EntityRef)],
) -> bool {
    failing(&policies.schema, statement, kept(policies, statement, holder, rights)).is_some()
}

/// The other statements that are not taken from that holder by the same change.
fn kept<'p>(
    policies: &'p Policies,
    statement: &Statement,
    holder: &EntityRef,
    rights: &[(PolicyId, EntityRef)],
) -> impl Iterator<Item = &'p Statement> {
    let is_taken = move |other: &Statement| {
        let mut rights = rights.iter();
        rights.any(|(id, of)| of == holder && *id == other.info.reference.id)
    };
    let others = policies.entries().map(|entry| &*entry.statement);
    others.filter(move |other| !std::ptr::eq(*other, statement) && !is_taken(other))
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
    use crate::{SourceFile, Sources, load, widened};

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

    #[test]
    fn what_has_no_name_keeps_its_place() {
        let only = |who: &str, when: &str| {
            format!(
                "permit (principal == Safeconduct::Agent::\"{who}\", action, resource) when {{ \
                 context.session.steps < {when} }};\n"
            )
        };
        let text = format!("{}{}{}", only("a", "1"), only("a", "2"), only("b", "3"));
        let set = policies(&text);
        let all: Vec<_> =
            set.statements().map(|s| (s.info().reference.id.clone(), s.digest())).collect();
        let (first, second, third) = (&all[0], &all[1], &all[2]);
        let changed = revoke(&set, &[(first.0.clone(), agent("a"))]).unwrap();
        let after = &changed.get("a.cedar").unwrap().after;
        assert!(after.contains("unless { principal == Safeconduct::Agent::\"a\" }"), "{after}");
        let then = policies(after);
        for (id, says) in [second, third] {
            assert_eq!(then.still_says(id, *says), Some(id.clone()));
        }
        assert_eq!(then.still_says(&first.0, first.1), None);
        // The last goes, and what goes with it is in nobody's way.
        let rights = [(third.0.clone(), agent("b")), (second.0.clone(), agent("a"))];
        let changed = revoke(&set, &rights).unwrap();
        assert_eq!(*changed.get("a.cedar").unwrap().after, *only("a", "1"));
        // By hand it may have moved: then what it says counts, and never the name alone.
        let moved = policies(&format!("{}{}", only("a", "2"), only("b", "3")));
        assert_eq!(moved.still_says(&second.0, second.1), Some(first.0.clone()));
        assert_eq!(moved.still_says(&first.0, first.1), None);
    }

    #[test]
    fn a_right_with_obligations_is_not_taken_while_another_permits_the_same() {
        let set = |who: &str| {
            policies(&format!(
                "@id(\"careful\") @obligation(\"redact:$.ssn\") permit (principal == \
                 Safeconduct::Agent::\"a\", action, resource);\n@id(\"plain\") permit ({who}, \
                 action, resource);\n"
            ))
        };
        let id = |text: &str| PolicyId::new(text).unwrap();
        let careful = (id("careful"), agent("a"));
        let refused = RevokeError::Obligation { policy: id("careful"), other: id("plain") };
        for who in ["principal", "principal == Safeconduct::Agent::\"a\"", "principal is Agent"] {
            let who = who.replace("is Agent", "is Safeconduct::Agent");
            let set = set(&who);
            assert_eq!(revoke(&set, std::slice::from_ref(&careful)), Err(refused.clone()));
            assert!(revoke(&set, &[careful.clone(), (id("plain"), agent("a"))]).is_ok());
            assert!(revoke(&set, &[(id("plain"), agent("a"))]).is_ok());
        }
        assert!(refused.to_string().contains("take `plain` from them too"));
        for who in ["principal == Safeconduct::Agent::\"b\"", "principal is Safeconduct::User"] {
            assert!(revoke(&set(who), std::slice::from_ref(&careful)).is_ok(), "{who}");
        }
    }

    /// What fails denies: taken out, another permit would permit what was denied.
    #[test]
    fn a_statement_that_can_fail_goes_on_failing_where_another_one_permits_the_same() {
        let a = "principal == Safeconduct::Agent::\"a\"";
        let set = |when: &str, who: &str| {
            policies(&format!(
                "@id(\"sum\") permit ({a}, action, resource) when {{ {when} }};\n\
                 @id(\"plain\") permit ({who}, action, resource);\n"
            ))
        };
        let id = |text: &str| PolicyId::new(text).unwrap();
        let sum = (id("sum"), agent("a"));
        let left = |set: &Policies, rights: &[(PolicyId, EntityRef)]| {
            revoke(set, rights).unwrap().remove("a.cedar").unwrap().after
        };
        let narrower = |set: &Policies| {
            let after = left(set, std::slice::from_ref(&sum));
            assert_eq!(widened(set, &policies(&after), &|_, _| false), None, "{after}");
            after
        };
        let overflows = "context.session.steps * context.session.steps < 9";
        for who in ["principal", a, "principal is Safeconduct::Agent"] {
            let set = set(overflows, who);
            let after = narrower(&set);
            assert!(after.contains(&format!("{overflows} }}\nunless {{ {a} }};")), "{after}");
            // Where they lose the other one too, nothing is left that could permit it.
            let after = left(&set, &[sum.clone(), (id("plain"), agent("a"))]);
            assert!(!after.contains("sum"), "{after}");
        }
        let others = "principal == Safeconduct::Agent::\"b\"";
        for (when, who) in [(overflows, others), ("context.session.steps < 9", "principal")] {
            let after = narrower(&set(when, who));
            assert!(!after.contains("sum"), "{after}");
        }
    }
}
