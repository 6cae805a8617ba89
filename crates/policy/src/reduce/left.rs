//! Whether a draft leaves to somebody what a statement gives them, though in other words.

use std::collections::BTreeSet;

use cedar_policy_core::ast::Expr;
use safeconduct_model::{Digest, Entity, EntityRef};

use super::subset::{Form, conjuncts};
use crate::evaluate::QuestionError;
use crate::excepted::{Who, known};
use crate::policies::{Policies, Statement};
use crate::standing::{StandingRight, StandingRights};

/// Whether statements that a draft brings give somebody, together, all that a statement of before
/// gives them that says that: each of its actions that nothing forbids, over no fewer resources, under
/// no more conditions than can be false for them, without more obligations, and with nothing new that
/// narrows it. So it is where what changed is its words, who else has it, or how it is cut up.
///
/// It looks at the form of statements alone: a draft whose every request has the same answer, and that
/// says so otherwise, is not seen. `belongs` says whether an entity belongs to another one for as long
/// as both have their names.
///
/// # Errors
/// [`QuestionError::UnknownType`] where no schema has their type or one that they belong to.
pub fn still_given(
    old: &Policies,
    new: &Policies,
    holder: &Entity,
    says: Digest,
    belongs: &dyn Fn(&EntityRef, &EntityRef) -> bool,
) -> Result<bool, QuestionError> {
    let (before, after) = (old.standing_rights(holder)?, new.standing_rights(holder)?);
    let digest = |right: &StandingRight| right.statement.digest();
    let stood: BTreeSet<Digest> = before.permits.iter().map(digest).collect();
    let brought = after.permits.iter().filter(|right| !stood.contains(&digest(right)));
    let left = Left {
        before: &before,
        after: &after,
        brought: brought.collect(),
        form: Form { old, belongs },
        who: new.who(holder),
    };
    Ok(before.permits.iter().any(|right| digest(right) == says && left.gives(right)))
}

struct Left<'a> {
    before: &'a StandingRights,
    after: &'a StandingRights,
    /// What can permit them something by the draft alone.
    brought: Vec<&'a StandingRight>,
    form: Form<'a>,
    who: Who,
}

impl Left<'_> {
    fn gives(&self, was: &StandingRight) -> bool {
        let narrowing = |rights: &StandingRights| -> BTreeSet<Digest> {
            rights.narrowing(was).map(|by| by.statement.digest()).collect()
        };
        if !narrowing(self.after).is_subset(&narrowing(self.before)) {
            return false;
        }
        let given: Vec<&&StandingRight> =
            self.brought.iter().filter(|now| self.is_as_much(now, was)).collect();
        let mut open = self.before.open(was).peekable();
        open.peek().is_some()
            && open.all(|action| {
                !self.after.is_blocked(action) && given.iter().any(|now| now.covers(action))
            })
    }

    /// Whether one gives them as much as another, of the actions that both name.
    fn is_as_much(&self, now: &StandingRight, was: &StandingRight) -> bool {
        let (now, was) = (now.statement.statement(), was.statement.statement());
        let (Some(now_asks), Some(was_asks)) = (self.asks(now), self.asks(was)) else {
            return false;
        };
        now.info.obligations.iter().all(|one| was.info.obligations.contains(one))
            && self.form.within(&was.resource, &now.resource)
            && now_asks.iter().all(|part| was_asks.contains(part))
    }

    /// What of a condition can be false for them; `None` where some of it surely is.
    fn asks<'s>(&self, statement: &'s Statement) -> Option<Vec<&'s Expr>> {
        let mut parts = Vec::new();
        if let Some(condition) = statement.condition.expression() {
            conjuncts(condition, &mut parts);
        }
        if parts.iter().any(|part| known(part, &self.who) == Some(false)) {
            return None;
        }
        parts.retain(|part| known(part, &self.who).is_none());
        Some(parts)
    }
}
