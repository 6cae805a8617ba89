//! Whether somebody could be permitted something at all, where conditions that speak of nothing but
//! the principal are looked at too: who is excepted by name from what others share has no right
//! left, though the scope still fits.

use cedar_policy_core::ast::{BinaryOp, EntityUID, Expr, ExprKind, Literal, UnaryOp, Var};
use safeconduct_model::{ActionName, Entity, EntityRef, PolicyEffect};

use crate::policies::Policies;

/// Whose conditions are looked at: the names of what they are, and of what they belong to.
pub(crate) struct Who {
    uid: String,
    of: Vec<String>,
}

impl Policies {
    /// Whether the principal could be permitted the action on some resource, with some arguments and
    /// in some session: as [`Policies::may_permit`], save that a permit whose condition is false for
    /// this principal, whatever else is asked, counts for nothing. Where Rego files are all that
    /// there is, nobody knows: then it could.
    pub fn could_permit(&self, principal: &Entity, action: &ActionName) -> bool {
        if !self.has_cedar() {
            return self.may_permit(principal, action);
        }
        let Ok(standing) = self.standing_over(principal, action, None) else { return false };
        let who = self.who(principal);
        let open = standing.permits.iter().any(|right| {
            let condition = right.statement.statement().condition.expression();
            condition.and_then(|condition| known(condition, &who)) != Some(false)
        });
        open && !standing.is_blocked(action)
            && !standing.forbids.iter().any(|right| {
                let statement = right.statement.statement();
                let info = right.statement.info();
                // One that somebody may be asked about, or that is about some resources, may not
                // stand in the way.
                info.reference.effect == PolicyEffect::Forbid
                    && info.requestable.is_none()
                    && right.statement.is_over_everything()
                    && statement.condition.expression().and_then(|c| known(c, &who)) == Some(true)
            })
    }

    pub(crate) fn who(&self, principal: &Entity) -> Who {
        let full = |uid: &EntityRef| {
            let ty = self.resolve_type(uid.ty.as_str()).unwrap_or_else(|| uid.ty.clone());
            EntityRef { ty, id: uid.id.clone() }.to_string()
        };
        Who { uid: full(&principal.uid), of: principal.ancestors.iter().map(full).collect() }
    }
}

/// What a condition comes to by what is known of the principal alone; `None` where that is not
/// enough.
pub(crate) fn known(expression: &Expr, who: &Who) -> Option<bool> {
    let of = |part: &Expr| known(part, who);
    match expression.expr_kind() {
        ExprKind::Lit(Literal::Bool(is)) => Some(*is),
        ExprKind::UnaryApp { op: UnaryOp::Not, arg } => of(arg).map(|is| !is),
        ExprKind::And { left, right } => match (of(left), of(right)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        ExprKind::Or { left, right } => match (of(left), of(right)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        ExprKind::BinaryApp { op: BinaryOp::Eq, arg1, arg2 } => {
            let uid = compared(arg1, arg2).or_else(|| compared(arg2, arg1));
            match uid {
                Some(uid) => Some(uid.to_string() == who.uid),
                None => same(arg1, arg2),
            }
        }
        ExprKind::BinaryApp { op: BinaryOp::In, arg1, arg2 } => {
            let uid = compared(arg1, arg2)?.to_string();
            Some(uid == who.uid || who.of.contains(&uid))
        }
        _ => None,
    }
}

/// Whether two parts have the same value, where that follows from how they are written.
fn same(one: &Expr, other: &Expr) -> Option<bool> {
    match (one.expr_kind(), other.expr_kind()) {
        (ExprKind::Lit(one), ExprKind::Lit(other)) => Some(one == other),
        (ExprKind::Var(one), ExprKind::Var(other)) if one == other => Some(true),
        _ => None,
    }
}

/// The entity that a principal is compared to.
fn compared<'e>(principal: &Expr, entity: &'e Expr) -> Option<&'e EntityUID> {
    match (principal.expr_kind(), entity.expr_kind()) {
        (ExprKind::Var(Var::Principal), ExprKind::Lit(Literal::EntityUID(uid))) => Some(uid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, Sources, load};

    fn could(text: &str) -> bool {
        let action = ActionName::new("act").unwrap();
        let sources = Sources {
            policies: vec![SourceFile::new("p.cedar", text)],
            actions: vec![(action.clone(), None)],
            ..Sources::default()
        };
        let policies = load(&sources).unwrap().policies;
        let uid = |ty, id| EntityRef::new(ty, id).unwrap();
        let ancestors = vec![uid("Safeconduct::Group", "desk")];
        let ada = Entity { ancestors, ..Entity::bare(uid("Safeconduct::User", "ada")) };
        policies.could_permit(&ada, &action)
    }

    #[test]
    fn who_is_excepted_by_name_has_nothing_left() {
        let all = "permit (principal, action == Safeconduct::Action::\"act\", resource)";
        let ada = "principal == Safeconduct::User::\"ada\"";
        let bob = "principal == Safeconduct::User::\"bob\"";
        let desk = "principal in Safeconduct::Group::\"desk\"";
        let risky = "context.action.effect == \"write\"";
        for (condition, wanted) in [
            (String::new(), true),
            (format!("unless {{ {ada} }}"), false),
            (format!("unless {{ {bob} }}"), true),
            (format!("unless {{ {bob} || {ada} }}"), false),
            (format!("unless {{ {desk} }}"), false),
            (format!("when {{ {bob} }}"), false),
            (format!("when {{ {ada} && {risky} }}"), true),
            (format!("when {{ {risky} }} unless {{ {ada} }}"), false),
            (format!("unless {{ {ada} && {risky} }}"), true),
            ("when { 1 == 2 }".to_owned(), false),
            ("unless { principal == principal }".to_owned(), false),
        ] {
            let one = format!("{all} {condition};");
            assert_eq!(could(&one), wanted, "{condition}");
            let two = format!("{one} {all} when {{ {bob} }};");
            assert_eq!(could(&two), wanted, "{condition}, beside another's");
        }
        assert!(!could(""));
        let forbid = all.replace("permit", "forbid");
        assert!(!could(&format!("{all}; {forbid} when {{ {ada} }};")));
        assert!(could(&format!("{all}; {forbid} when {{ {ada} && {risky} }};")));
    }
}
