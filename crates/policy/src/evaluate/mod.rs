//! Which policies apply to a question.
//!
//! Only the policies are looked at whose scope can match ([`index`]), each of those scopes is
//! checked exactly ([`scope`]), and what is left of a policy, its condition, is read where the
//! values lie ([`plain`]) or is Cedar's own evaluator's ([`prepare`] lays out what it wants). This
//! is the only module that calls it. A property test holds all of it equal to Cedar's
//! `Authorizer`.

mod condition;
mod index;
mod plain;
mod prepare;
mod remembered;
mod scope;
mod traced;

#[cfg(test)]
mod equality;

use std::sync::Arc;

use cedar_policy_core::ast::{Literal, SlotEnv, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use safeconduct_model::{
    ActionName, Decision, Entity, Obligation, PolicyEffect, PolicyId, PolicyRef, Requestable, Value,
};

pub(crate) use condition::{Condition, with_variables, without_locations};
pub(crate) use index::Index;
pub(crate) use prepare::Prepared;
pub(crate) use remembered::Remembered;
pub(crate) use scope::{Actions, Asked, Constraint, Interner, Scope, Side};

use crate::annotations::PolicyMode;
use crate::policies::{Entry, Policies};
use crate::rego::Cedar;
use crate::schema::ContextFields;
use crate::shape::AdditionalArguments;
use crate::situation::Situation;
use crate::temporal::Past;

/// One question to the policies: may this principal do this to this resource now?
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Who wants to act.
    pub principal: &'a Entity,
    /// What they want to do.
    pub action: &'a ActionName,
    /// What they want to do it to.
    pub resource: &'a Entity,
    /// The arguments.
    pub input: &'a Value,
    /// What is done with arguments that the action does not declare.
    pub additional: AdditionalArguments,
    /// What is known of the moment.
    pub situation: &'a Situation<'a>,
    /// Entities that attributes of principal or resource point to.
    pub extra: &'a [Entity],
}

/// Why a question cannot be put to the policies: each is a Deny. The caller is at fault, or the
/// upstream whose tool's definition says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// No schema declares the action.
    #[error("no schema declares the action")]
    UnknownAction,
    /// No schema declares the type of the principal, the resource, or what one belongs to.
    #[error("no schema declares the entity type `{ty}`")]
    UnknownType {
        /// The type.
        ty: Arc<str>,
    },
    /// The action does not apply to entities of that type.
    #[error("the action is not declared for a {role} of type `{ty}`")]
    NotApplicable {
        /// `principal` or `resource`.
        role: &'static str,
        /// The type.
        ty: Arc<str>,
    },
    /// The action does not declare an argument.
    #[error("argument `{pointer}` is not declared")]
    UndeclaredArgument {
        /// JSON Pointer to it.
        pointer: Arc<str>,
    },
    /// An argument cannot be what the action declares, or Cedar cannot hold it exactly.
    #[error("argument `{pointer}` {problem}")]
    NotRepresentable {
        /// JSON Pointer to it.
        pointer: Arc<str>,
        /// What is wrong with it.
        problem: Arc<str>,
    },
    /// What is said of an entity, or of the moment, cannot be what the schema declares.
    #[error("property `{pointer}` of {of} {problem}")]
    PropertyNotRepresentable {
        /// Of what: an entity, or `the request`.
        of: Arc<str>,
        /// JSON Pointer to it.
        pointer: Arc<str>,
        /// What is wrong with it.
        problem: Arc<str>,
    },
}

/// The policies that apply, in the order of files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Permits that apply.
    pub permits: Vec<Arc<PolicyRef>>,
    /// Forbids that apply.
    pub forbids: Vec<Arc<PolicyRef>>,
    /// Policies in scope that could not be evaluated, with the evaluator's words.
    pub errors: Vec<(Arc<PolicyRef>, Arc<str>)>,
}

impl Applied {
    /// Permit where something permits, nothing forbids and nothing failed.
    pub const fn decision(&self) -> Decision {
        let permitted = !self.permits.is_empty();
        if permitted && self.forbids.is_empty() && self.errors.is_empty() {
            Decision::Permit
        } else {
            Decision::Deny
        }
    }
}

/// What the policies say to one question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evaluation {
    /// The policies that have effect.
    pub enforced: Applied,
    /// Policies of `@mode("shadow")`: without effect.
    pub shadow: Applied,
    /// What the permits ask of the enforcement point, each once, in the order of files. They
    /// matter only where the decision is Permit.
    pub obligations: Vec<Obligation>,
    /// How it may be asked for: there where a forbid applies, all that apply are requestable and
    /// nothing failed. Several forbids' terms are combined to the strictest.
    pub requestable: Option<Requestable>,
    /// How many policies had a scope that matched.
    pub considered: usize,
}

impl Policies {
    /// Puts one question to the policies.
    ///
    /// # Errors
    /// [`QuestionError`] says why it cannot be put; the answer is then Deny.
    pub fn evaluate(&self, question: &Question<'_>) -> Result<Evaluation, QuestionError> {
        self.evaluate_after(question, None)
    }

    /// Puts one question to the policies, whose temporal clauses are answered from what is
    /// remembered. Where that is not known, a policy that has such a clause fails.
    ///
    /// # Errors
    /// As [`Policies::evaluate`].
    pub fn evaluate_after(
        &self,
        question: &Question<'_>,
        past: Option<&Past<'_>>,
    ) -> Result<Evaluation, QuestionError> {
        self.evaluate_without(question, past, |_| false)
    }

    /// The same as if permits of Cedar's did not apply that `is_aside` names. It is asked about
    /// those alone that do, before Rego has its say: what Rego permits needs one of Cedar's that
    /// is left.
    ///
    /// # Errors
    /// As [`Policies::evaluate`].
    pub fn evaluate_without(
        &self,
        question: &Question<'_>,
        past: Option<&Past<'_>>,
        is_aside: impl FnMut(&PolicyId) -> bool,
    ) -> Result<Evaluation, QuestionError> {
        let asked = Prepared::of(self, question)?;
        let mut evaluation = self.by_cedar(&asked, question, past)?;
        take_out(&mut evaluation, is_aside);
        if let Some(rego) = &self.rego {
            let cedar = if self.has_cedar() { Cedar::Present } else { Cedar::Absent };
            rego.join(rego.answer(&asked, question), cedar, &mut evaluation);
        }
        Ok(evaluation)
    }

    /// What the policies of Cedar say.
    fn by_cedar(
        &self,
        asked: &Prepared<'_>,
        question: &Question<'_>,
        past: Option<&Past<'_>>,
    ) -> Result<Evaluation, QuestionError> {
        let mut candidates = Vec::with_capacity(16);
        self.index.candidates(&asked.scope, &mut candidates);
        let mut within: Vec<&Entry> = Vec::with_capacity(candidates.len());
        within.extend(candidates.iter().filter_map(|at| self.entry(*at)));
        within.retain(|entry| entry.scope.matches(&asked.scope));
        let entries = within.iter().copied();
        let needs = Needs::of(entries.clone());
        let considered = within.len();
        let principal = asked.plain_principal(question, needs)?;
        let leaves = entries.clone().flat_map(|entry| &entry.statement.leaves);
        let answers = asked.answers(question, leaves, past);
        let mut moment = asked.moment(question, principal.as_deref());
        let mut later = answers.as_slice();
        let plainly = entries.clone().map(|entry| {
            let own = entry.statement.leaves.len();
            (moment.answers, later) = later.split_at_checked(own).unwrap_or_default();
            entry.statement.condition.holds_plainly(&moment)
        });
        let plainly: Vec<Option<bool>> = plainly.collect();
        if !plainly.contains(&None) && asked.is_plain(question, needs) {
            let satisfied = plainly.into_iter().flatten().map(Ok);
            return Ok(Evaluation::of(entries.zip(satisfied), considered));
        }
        let world = asked.world(question, needs, &answers)?;
        let evaluator = world.evaluator();
        let satisfied = entries.zip(plainly).map(|(entry, plainly)| {
            let by_cedar = || entry.statement.condition.satisfied(&evaluator);
            (entry, plainly.map_or_else(by_cedar, Ok))
        });
        Ok(Evaluation::of(satisfied, considered))
    }
}

/// Takes permits out of what Cedar's policies say. What they asked for stays as long as another
/// permits: a call must not go with less asked of it because a permit of it counts no more.
fn take_out(of: &mut Evaluation, mut is_aside: impl FnMut(&PolicyId) -> bool) {
    of.enforced.permits.retain(|permit| !is_aside(&permit.id));
    if of.enforced.permits.is_empty() {
        of.obligations.clear();
    }
}

/// What the forbids so far say about asking.
enum Terms {
    None,
    Requestable(Requestable),
    Final,
}

impl Evaluation {
    /// What policies say together, each of which is satisfied, is not, or has failed.
    fn of<'e>(
        answers: impl Iterator<Item = (&'e Entry, Result<bool, Arc<str>>)>,
        considered: usize,
    ) -> Self {
        let mut evaluation = Self { considered, ..Self::default() };
        let mut terms = Terms::None;
        // Most policies in scope say nothing.
        let applied = answers.filter(|(_, satisfied)| !matches!(satisfied, Ok(false)));
        for (entry, satisfied) in applied {
            evaluation.take(entry, satisfied, &mut terms);
        }
        if let Terms::Requestable(requestable) = terms
            && evaluation.enforced.errors.is_empty()
        {
            evaluation.requestable = Some(requestable);
        }
        evaluation
    }

    fn take(&mut self, entry: &Entry, satisfied: Result<bool, Arc<str>>, terms: &mut Terms) {
        let info = &entry.statement.info;
        let enforced = info.mode == PolicyMode::Enforce;
        let applied = if enforced { &mut self.enforced } else { &mut self.shadow };
        match (satisfied, info.reference.effect) {
            (Ok(false), _) => {}
            (Ok(true), PolicyEffect::Permit) => {
                applied.permits.push(Arc::clone(&info.reference));
                if enforced {
                    for obligation in &info.obligations {
                        if !self.obligations.contains(obligation) {
                            self.obligations.push(obligation.clone());
                        }
                    }
                }
            }
            (Ok(true), PolicyEffect::Forbid) => {
                applied.forbids.push(Arc::clone(&info.reference));
                if enforced {
                    terms.add(info.requestable.as_ref());
                }
            }
            (Err(error), _) => applied.errors.push((Arc::clone(&info.reference), error)),
        }
    }
}

impl Terms {
    fn add(&mut self, next: Option<&Requestable>) {
        let so_far = std::mem::replace(self, Self::Final);
        *self = match (so_far, next) {
            (Self::None, Some(next)) => Self::Requestable(next.clone()),
            (Self::Requestable(so_far), Some(next)) => {
                Requestable::strictest(so_far, next.clone()).map_or(Self::Final, Self::Requestable)
            }
            (Self::Final, _) | (_, None) => Self::Final,
        };
    }
}

/// Of which entities something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct EntityNeeds(u8);

impl EntityNeeds {
    pub(crate) const PRINCIPAL: Self = Self(1);
    pub(crate) const RESOURCE: Self = Self(2);
    /// The action, what arguments hold, and what the question brings beside.
    pub(crate) const OTHERS: Self = Self(4);
    pub(crate) const ALL: Self = Self(7);

    #[must_use]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it has all that the other has.
    pub(crate) const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What the conditions of some policies look at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Needs {
    pub(crate) context: ContextFields,
    pub(crate) entities: EntityNeeds,
    /// Whether they tell actions apart.
    pub(crate) action: bool,
}

impl Needs {
    fn of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Self {
        entries.fold(Self::default(), |needs, entry| {
            let condition = entry.statement.condition.needs();
            Self {
                context: needs.context.union(condition.context),
                entities: needs.entities.union(condition.entities),
                action: needs.action || condition.action,
            }
        })
    }
}

impl Condition {
    /// Whether the condition holds; the error is Cedar's.
    pub(crate) fn satisfied(&self, evaluator: &Evaluator<'_>) -> Result<bool, Arc<str>> {
        /// What one level of a condition takes: measured, and doubled.
        const LEVEL_BYTES: usize = if cfg!(debug_assertions) { 96 << 10 } else { 8 << 10 };
        let Some(expression) = self.expression() else {
            return Ok(true);
        };
        let interpret = || {
            let value = evaluator.interpret(expression, &SlotEnv::new());
            value.map_err(|error| Arc::<str>::from(error.to_string()))
        };
        let value = if self.depth() <= condition::SHALLOW {
            interpret()
        } else {
            let needed = self.depth() * LEVEL_BYTES + (256 << 10);
            stacker::maybe_grow(needed, needed + (256 << 10), interpret)
        };
        match value?.value_kind() {
            ValueKind::Lit(Literal::Bool(satisfied)) => Ok(*satisfied),
            _ => Err(Arc::from("type error: the condition is no boolean")),
        }
    }
}
