//! One file, read into the plan of a campaign.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::Value;
use safeconduct_review::{
    Definition, DefinitionError, Escalate, Escalation, Every, Expression, ExpressionUse, NoAnswer,
    Plan, Recurrence, RemediationStyle, Response, Reviewer, Scope, StageDefinition, StopRule,
    Strategy, WINDOW_DAYS, WINDOW_DAYS_MAX,
};

use super::form::{CampaignForm, RecurrenceForm, ReviewerForm, ScopeForm, StageForm};
use crate::document::{self, Diagnostic, Place, Span, Word, Written, YamlLimits};

/// Largest definition of a campaign, in bytes: it stands in the record of its beginning.
pub const CAMPAIGN_BYTES_MAX: usize = 32 * 1024;

/// A definition of a campaign that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignFile {
    /// What it says.
    pub plan: Plan,
    /// The same as it was written, to be recorded.
    pub written: Value,
}

/// An expression of a definition, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenExpression<'a> {
    /// JSON Pointer to it, or to the reviewer that it is.
    pub pointer: String,
    /// What it is asked of.
    pub of: ExpressionUse,
    /// What it says.
    pub expression: &'a Expression,
}

impl CampaignFile {
    /// Every expression of it, in the order in which they are asked.
    pub fn expressions(&self) -> Vec<WrittenExpression<'_>> {
        let mut all = Vec::new();
        if let Some(expression) = &self.plan.scope.condition {
            let (pointer, of) = ("/scope/where".to_owned(), ExpressionUse::Scope);
            all.push(WrittenExpression { pointer, of, expression });
        }
        for (number, stage) in self.plan.definition.stages.iter().enumerate() {
            let at = format!("/stages/{number}");
            among(&stage.reviewers, &format!("{at}/reviewers"), &mut all);
            among(&stage.fallback, &format!("{at}/fallback"), &mut all);
            for (number, escalation) in stage.escalations.iter().enumerate() {
                among(&escalation.to, &format!("{at}/escalations/{number}/to"), &mut all);
            }
        }
        all
    }

    /// The same, where a check finds nothing wrong with any expression of it.
    fn checked(
        self,
        check: impl Fn(&WrittenExpression<'_>) -> Vec<String>,
        problem: impl Fn(&str, String) -> Diagnostic,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        for written in self.expressions() {
            problems
                .extend(check(&written).into_iter().map(|said| problem(&written.pointer, said)));
        }
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }
}

fn among<'a>(terms: &'a [Reviewer], at: &str, all: &mut Vec<WrittenExpression<'a>>) {
    for (number, term) in terms.iter().enumerate() {
        if let Reviewer::Expression(expression) = term {
            let (pointer, of) = (format!("{at}/{number}"), ExpressionUse::Reviewers);
            all.push(WrittenExpression { pointer, of, expression });
        }
    }
}

/// Reads one file; `file` is how messages name it. Expressions are taken as they are.
///
/// # Errors
/// Every problem that was found: the author of the file is at fault.
pub fn parse(file: &str, text: &str) -> Result<CampaignFile, Vec<Diagnostic>> {
    parse_with(file, text, |_| Vec::new())
}

/// The same, with a check of its expressions that says what is wrong with one.
///
/// # Errors
/// Every problem that was found: the author of the file is at fault.
pub fn parse_with(
    file: &str,
    text: &str,
    check: impl Fn(&WrittenExpression<'_>) -> Vec<String>,
) -> Result<CampaignFile, Vec<Diagnostic>> {
    let limits = YamlLimits { bytes: CAMPAIGN_BYTES_MAX, ..YamlLimits::default() };
    let document = document::read::<CampaignForm>(file, text, limits)?;
    let problem = |(pointer, message): (String, String)| document.problem(&pointer, message);
    let plan = plan(&document.content).map_err(|found| vec![problem(found)])?;
    let read = CampaignFile { plan, written: document.root.to_value() };
    read.checked(check, |pointer, said| document.problem(pointer, said))
}

/// Reads a definition that came as JSON; problems name JSON Pointers. Expressions are taken as they
/// are: what was recorded was checked when it was.
///
/// # Errors
/// Every problem that was found.
pub fn of_value(value: &Value) -> Result<CampaignFile, Vec<Diagnostic>> {
    of_value_with(value, |_| Vec::new())
}

/// The same, with a check of its expressions that says what is wrong with one.
///
/// # Errors
/// Every problem that was found.
pub fn of_value_with(
    value: &Value,
    check: impl Fn(&WrittenExpression<'_>) -> Vec<String>,
) -> Result<CampaignFile, Vec<Diagnostic>> {
    let bytes = crate::json::to_bytes(value).len();
    let problem = |(pointer, message): (String, String)| {
        Diagnostic::new("", Place::default(), pointer, message)
    };
    if bytes > CAMPAIGN_BYTES_MAX {
        let message = format!("a definition has at most {CAMPAIGN_BYTES_MAX} bytes");
        return Err(vec![problem((String::new(), message))]);
    }
    let form = document::read_value::<CampaignForm>(value)?;
    let plan = plan(&form).map_err(|found| vec![problem(found)])?;
    let read = CampaignFile { plan, written: value.clone() };
    read.checked(check, |pointer, said| problem((pointer.to_owned(), said)))
}

/// The plan of a form, or what is wrong where.
fn plan(form: &CampaignForm) -> Result<Plan, (String, String)> {
    let window_days = form.window.as_ref().map_or(Some(WINDOW_DAYS), |window| {
        let days = window.0.seconds / 86_400;
        (window.0.seconds % 86_400 == 0 && days <= WINDOW_DAYS_MAX).then_some(days)
    });
    let whole = || format!("a window is whole days, at most {WINDOW_DAYS_MAX}, such as `90d`");
    let definition = Definition {
        name: form.campaign.0.shared(),
        owner: form.owner.0.clone(),
        stages: form.stages.iter().map(stage).collect(),
        strategy: form.strategy.map_or(Strategy::OneDenyDenies, |word| word.0),
        stop: rule(form.stop_on.as_ref(), form.advance_on.as_ref()),
        no_answer: NoAnswer(form.no_answer.iter().map(|(tier, to)| (tier.0, to.0)).collect()),
        remediation: form.remediation.map_or(RemediationStyle::Automatic, |word| word.0),
        notice_ms: form.notice.as_ref().map(ms),
        iterations: form.iterations,
    };
    definition.check().map_err(|error| (pointer_of(&definition, &error), error.to_string()))?;
    Ok(Plan {
        definition: Arc::new(definition),
        scope: scope(&form.scope),
        window_days: window_days.ok_or_else(|| ("/window".to_owned(), whole()))?,
        schedule: form.schedule.as_ref().map(recurrence).transpose()?,
        on: form.on.iter().map(|word| word.0).collect(),
        risk_analysis: form.risk_analysis.as_deref().map(Into::into),
    })
}

/// The stage that an error is about, as a pointer.
fn pointer_of(definition: &Definition, error: &DefinitionError) -> String {
    let named = match error {
        DefinitionError::Stages(_) => return "/stages".to_owned(),
        DefinitionError::Iterations(_) => return "/iterations".to_owned(),
        DefinitionError::Notice => return "/notice".to_owned(),
        DefinitionError::Lasts(stage)
        | DefinitionError::Nobody(stage)
        | DefinitionError::Outside(stage)
        | DefinitionError::TooMany { stage, .. } => stage,
    };
    let place = definition.stages.iter().position(|stage| stage.name == *named);
    format!("/stages/{}", place.unwrap_or_default())
}

fn scope(form: &ScopeForm) -> Scope {
    Scope {
        holders: form.holders.iter().map(|id| id.0.clone()).collect(),
        kinds: form.kinds.iter().map(|word| word.0).collect(),
        owners: form.owners.iter().map(|id| id.0.clone()).collect(),
        environments: form.environments.iter().map(|name| name.as_str().into()).collect(),
        tiers: form.tiers.iter().map(|word| word.0).collect(),
        sources: form.sources.iter().map(|word| word.0).collect(),
        condition: form.condition.as_ref().map(|written| written.0.clone()),
        only: form.only.map(|word| word.0).unwrap_or_default(),
    }
}

fn stage(form: &StageForm) -> StageDefinition {
    let people = |all: &[ReviewerForm]| all.iter().map(ReviewerForm::reviewer).collect();
    StageDefinition {
        name: form.name.as_str().into(),
        lasts_ms: ms(&form.lasts),
        reviewers: people(&form.reviewers),
        fallback: people(&form.fallback),
        strategy: form.strategy.map_or(Strategy::OneAcceptAccepts, |word| word.0),
        if_no_reviewers: form.if_no_reviewers.map_or(Response::NoResponse, |word| word.0),
        stop: rule(form.stop_on.as_ref(), form.advance_on.as_ref()),
        reminders_ms: form.reminders.iter().map(ms).collect(),
        escalations: form
            .escalations
            .iter()
            .map(|form| Escalation {
                after_ms: ms(&form.after),
                to: people(&form.to),
                how: form.how.map_or(Escalate::Add, |word| word.0),
            })
            .collect(),
    }
}

fn rule(
    stop_on: Option<&BTreeSet<Word<Response>>>,
    advance_on: Option<&BTreeSet<Word<Response>>>,
) -> StopRule {
    let set = |words: &BTreeSet<Word<Response>>| words.iter().map(|word| word.0).collect();
    StopRule { stop_on: stop_on.map(set), advance_on: advance_on.map(set) }
}

fn recurrence(form: &RecurrenceForm) -> Result<Recurrence, (String, String)> {
    let every = match (form.days, form.months) {
        (Some(days), None) => Every::Days(days),
        (None, Some(months)) => Every::Months(months),
        _ => {
            let message = "a schedule says `days` or `months`, and not both".to_owned();
            return Err(("/schedule".to_owned(), message));
        }
    };
    Ok(Recurrence { from: form.from.0.0, every })
}

fn ms(span: &Written<Span>) -> i64 {
    i64::from(span.0.seconds) * 1000
}
