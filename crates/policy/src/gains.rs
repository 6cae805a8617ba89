//! Who a change of the policies gives something to by name: they are not the ones to approve it.
//!
//! A statement that names nobody gives to everyone alike, and then nobody would be left to approve
//! it; so only what a statement names counts, in its scope or in its condition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy_core::ast::{
    EntityReference, EntityUID, ExprKind, Literal, PrincipalOrResourceConstraint,
};
use safeconduct_model::{Digest, Entity, PolicyEffect, PolicyId};

use crate::annotations::PolicyMode;
use crate::policies::{Policies, Statement};
use crate::standing::ScopedStatement;

/// Those whom a change of the policies names where it can give something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gains(BTreeMap<String, PolicyId>);

/// Whom a change names by giving: a permit that is new or was another, a forbid that goes or becomes
/// another. A permit of before counts where it becomes another: whom it excepted gains by that.
pub fn gains(old: &Policies, new: &Policies) -> Gains {
    let (before, after) = (said(old), said(new));
    let changed = |all: &'_ Policies, known: &BTreeSet<Digest>| -> Vec<Arc<Statement>> {
        let all = all.entries().map(|entry| &entry.statement);
        all.filter(|one| is_enforced(one) && !known.contains(&digest(one))).cloned().collect()
    };
    let (gone, come) = (changed(old, &after), changed(new, &before));
    let ids = |all: &[Arc<Statement>]| -> BTreeSet<PolicyId> {
        all.iter().map(|one| one.info.reference.id.clone()).collect()
    };
    let (ids_gone, ids_come) = (ids(&gone), ids(&come));
    let gives = |one: &Statement, by: PolicyEffect, others: &BTreeSet<PolicyId>| {
        one.info.reference.effect == by || others.contains(&one.info.reference.id)
    };
    let gone = gone.iter().filter(|one| gives(one, PolicyEffect::Forbid, &ids_come));
    let come = come.iter().filter(|one| gives(one, PolicyEffect::Permit, &ids_gone));
    let mut gains = Gains::default();
    for one in gone.chain(come) {
        for name in names(one) {
            gains.0.entry(name.to_string()).or_insert_with(|| one.info.reference.id.clone());
        }
    }
    gains
}

impl Gains {
    /// The statement by whose change that principal can gain something by name, or by the name of
    /// a group that they are in. `None` says nothing of what everyone gains.
    pub fn of(&self, who: &Entity) -> Option<&PolicyId> {
        std::iter::once(&who.uid).chain(&who.ancestors).find_map(|uid| self.0.get(&uid.to_string()))
    }

    /// Whether nobody is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn said(policies: &Policies) -> BTreeSet<Digest> {
    let enforced = policies.entries().map(|entry| &entry.statement).filter(|one| is_enforced(one));
    enforced.map(digest).collect()
}

fn digest(statement: &Arc<Statement>) -> Digest {
    ScopedStatement::of(statement).digest()
}

fn is_enforced(statement: &Statement) -> bool {
    statement.info.mode == PolicyMode::Enforce
}

/// Every entity that a statement names in what it asks of the principal, or in its condition.
fn names(statement: &Statement) -> Vec<&EntityUID> {
    use PrincipalOrResourceConstraint::{Any, Eq, In, Is, IsIn};
    let mut named: Vec<&EntityUID> = match &statement.principal {
        Eq(EntityReference::EUID(uid))
        | In(EntityReference::EUID(uid))
        | IsIn(_, EntityReference::EUID(uid)) => vec![uid],
        // Loading refuses templates.
        Eq(EntityReference::Slot(_))
        | In(EntityReference::Slot(_))
        | IsIn(_, EntityReference::Slot(_))
        | Any
        | Is(_) => Vec::new(),
    };
    let expression = statement.condition.expression().into_iter();
    named.extend(expression.flat_map(|all| all.subexpressions()).filter_map(|part| {
        match part.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) => Some(&**uid),
            _ => None,
        }
    }));
    named
}

#[cfg(test)]
mod tests {
    use safeconduct_model::{ActionName, EntityRef};

    use super::*;
    use crate::{SourceFile, Sources, load};

    fn set(text: &str) -> Policies {
        let sources = Sources {
            policies: vec![SourceFile::new("p.cedar", text)],
            actions: vec![(ActionName::new("act").unwrap(), None)],
            ..Sources::default()
        };
        load(&sources).unwrap().policies
    }

    fn ada() -> Entity {
        let uid = |ty, id| EntityRef::new(ty, id).unwrap();
        let ancestors = vec![uid("Safeconduct::Group", "desk")];
        Entity { ancestors, ..Entity::bare(uid("Safeconduct::User", "ada")) }
    }

    const ACT: &str = "action == Safeconduct::Action::\"act\", resource";

    fn by(old: &str, new: &str) -> Option<String> {
        gains(&set(old), &set(new)).of(&ada()).map(ToString::to_string)
    }

    #[test]
    fn whoever_a_new_permit_names_gains_by_it() {
        let own = |id: &str| {
            format!("@id(\"{id}\") permit (principal == Safeconduct::User::\"ada\", {ACT});")
        };
        let others = own("b").replace("\"ada\"", "\"bob\"");
        assert_eq!(by("", &own("a")).as_deref(), Some("a"));
        assert_eq!(by("", &others), None);
        assert_eq!(by(&own("a"), &own("c")), None, "the same under another name");
        assert_eq!(by(&own("a"), ""), None, "who loses gains nothing");
        let group =
            format!("@id(\"g\") permit (principal in Safeconduct::Group::\"desk\", {ACT});");
        assert_eq!(by("", &group).as_deref(), Some("g"), "a group that they are in");
        let shadow = own("s").replace("@id", "@mode(\"shadow\") @id");
        assert_eq!(by("", &shadow), None);
    }

    #[test]
    fn an_exception_that_goes_gives_to_whom_it_named() {
        let all = format!("@id(\"a\") permit (principal, {ACT});");
        let without = all.replace(");", ") unless { principal == Safeconduct::User::\"ada\" };");
        assert_eq!(by(&without, &all).as_deref(), Some("a"));
        assert_eq!(by("", &all), None, "a rule for everyone names nobody");
        let when = all.replace(");", ") when { principal == Safeconduct::User::\"ada\" };");
        assert_eq!(by("", &when).as_deref(), Some("a"), "a condition names them as well");
    }

    #[test]
    fn a_forbid_that_goes_gives_to_whom_it_named() {
        let forbid = format!("@id(\"f\") forbid (principal == Safeconduct::User::\"ada\", {ACT});");
        assert_eq!(by(&forbid, "").as_deref(), Some("f"));
        assert_eq!(by("", &forbid), None);
        let all = format!("@id(\"f\") forbid (principal, {ACT});");
        let spared = all.replace(");", ") unless { principal == Safeconduct::User::\"ada\" };");
        assert_eq!(by(&all, &spared).as_deref(), Some("f"));
    }
}
