//! A condition evaluated again, over what is known of the moment of a recorded decision.

use super::RecordedDecision;
use super::recalled::{Lacking, Missing, Recalled};
use super::told::Truth;
use super::view::View;
use crate::evaluate::{EntityNeeds, Prepared, Question};
use crate::policies::{Entry, Policies};
use crate::schema::{Action, ContextField, ContextFields};
use crate::temporal::Answers;

/// One question of a decision, with what is known of its moment.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) recorded: &'a RecordedDecision<'a>,
    pub(super) view: &'a View<'static>,
    pub(super) recalled: &'a Recalled,
}

/// What a condition says.
pub(super) struct Said {
    pub(super) truth: Truth,
    /// Whether it would say so at any other time, as far as it rests on the record alone.
    pub(super) timeless: bool,
}

impl Asked<'_> {
    /// What the condition of a statement says.
    pub(super) fn of(&self, policies: &Policies, entry: &Entry) -> Result<Said, Lacking> {
        let condition = &entry.statement.condition;
        if condition.is_always() {
            return Ok(Said { truth: Truth::Holds, timeless: true });
        }
        let needs = condition.needs();
        let known = self.recalled.fields(self.recorded.decided);
        if let Some(lacking) = self.recalled.lacking(needs.context, known) {
            return Err(lacking);
        }
        self.knows(needs.entities)?;
        let does_not_fit = |_| lacking("the question as this set would be asked it");
        let situation = self.recalled.situation(self.recorded);
        let (input, additional) = self.recalled.arguments();
        let question = Question {
            principal: &self.view.principal,
            action: &self.recorded.decided.action,
            resource: &self.view.resource,
            input,
            additional,
            situation: &situation,
            extra: self.recalled.beside(),
        };
        let with_input = needs.context.has(ContextField::Input);
        let prepared = match with_input || needs.entities.has(EntityNeeds::OTHERS) {
            true => Prepared::of(policies, &question),
            false => Prepared::without_arguments(policies, &question),
        };
        let prepared = prepared.map_err(does_not_fit)?;
        if let Some(lacking) = undeclared(prepared.action(), needs.context) {
            return Err(lacking);
        }
        let of_task = needs.context.has(ContextField::TaskParameters) && situation.task.is_some();
        if of_task || (prepared.action().holds_entities && !needs.context.is_empty()) {
            self.knows(EntityNeeds::ALL)?;
        }
        let world = prepared.world(&question, needs, &Answers::default()).map_err(does_not_fit)?;
        let truth = match condition.satisfied(&world.evaluator()) {
            Ok(true) => Truth::Holds,
            Ok(false) => Truth::Not,
            Err(_) => Truth::Failed,
        };
        Ok(Said { truth, timeless: !needs.context.has(ContextField::Time) })
    }

    /// Whether those entities are known of which something is asked.
    fn knows(&self, asked: EntityNeeds) -> Result<(), Lacking> {
        let (view, decided) = (self.view, self.recorded.decided);
        let known = |known: bool| known && view.known.attributes;
        let of = [
            (EntityNeeds::PRINCIPAL, known(view.known.principal), "principal"),
            (EntityNeeds::RESOURCE, known(view.known.resource), "resource"),
            (EntityNeeds::OTHERS, self.recalled.knows_others(decided), "other entities"),
        ];
        match of.into_iter().find(|(of, known, _)| asked.has(*of) && !known) {
            Some((.., what)) => Err(lacking(what)),
            None => Ok(()),
        }
    }
}

/// Whether a condition looks at what no record says by itself.
pub(super) fn looks_beyond_records(entry: &Entry) -> bool {
    use ContextField as F;
    let plain = [F::Time, F::Identity, F::IdentityMethod].into_iter();
    let plain = plain.fold(ContextFields::default().with_whole(F::Action), ContextFields::with);
    let needs = entry.statement.condition.needs();
    !needs.context.is_within(plain) || needs.entities.has(EntityNeeds::OTHERS)
}

/// What a condition looks at that the action does not declare: then nothing is said of it.
fn undeclared(action: &Action, needed: ContextFields) -> Option<Lacking> {
    use ContextField as F;
    let shipped = [F::Action, F::Identity, F::Time, F::Session, F::Task, F::Flow, F::Risk];
    let missing = shipped.into_iter().chain([F::Approval]);
    let mut missing = missing.filter(|field| needed.has(*field) && !action.fields.has(*field));
    missing.next().map(|field| lacking(&field.named()))
}

fn lacking(fact: &str) -> Lacking {
    Lacking { fact: fact.into(), why: Missing::NotRecorded }
}
