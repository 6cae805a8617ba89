//! Rego, as a second engine beside Cedar, for those who have policies of OPA.
//!
//! The files are compiled when they are loaded ([`load`]), into a program for the virtual machine
//! of crate `regorus`. A decision gives the program its input ([`input`]) and a limit of
//! instructions, and reads what it says ([`answer`]). This is the only module that calls the
//! crate, which is built without clocks, dice, environment and network; what else could make a
//! decision depend on more than its input is refused when it is loaded ([`program`]).

mod answer;
mod builtins;
mod guard;
mod input;
mod insert;
mod join;
mod load;
mod mend;
mod program;
mod scan;
mod written;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use regorus::Value;
use regorus::rvm::program::Program;
use regorus::rvm::vm::{RegoVM, VmError};
use safeconduct_model::{Obligation, PolicyEffect, PolicyRef, Requestable};

pub(crate) use join::Cedar;
pub(crate) use load::{is_rego, load};

use crate::annotations::PolicyMode;
use crate::diagnostic::Diagnostic;
use crate::evaluate::{Prepared, Question};
use crate::policies::PolicyInfo;
use crate::source::{REGO_INSTRUCTIONS_MAX, SourceFile};
use answer::{Said, Stated};

/// The Rego files of a set, compiled.
#[derive(Debug)]
pub(crate) struct Rego {
    /// What it was compiled from, in the order of names.
    files: Vec<SourceFile>,
    program: Arc<Program>,
    /// Where it fails since something would have two values.
    conflicts: BTreeSet<usize>,
    /// The rule that decides: `data.safeconduct.decision`.
    entry: Arc<str>,
    /// How many calls of rules stand in each other at most.
    calls: usize,
    /// What it is named by where it permits, and where it forbids.
    permit: Arc<PolicyInfo>,
    forbid: Arc<PolicyInfo>,
    /// The text of the rule that decides.
    text: Arc<str>,
    warnings: Vec<Diagnostic>,
}

/// What the engine says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It permits, and asks this of the enforcement point.
    Permit(Vec<Obligation>),
    /// It forbids, for at least one reason.
    Forbid(Vec<Arc<PolicyRef>>, Option<Requestable>),
    /// It could not say: a Deny.
    Failed(Arc<str>),
}

impl Rego {
    /// Puts a question to it. The same question always has the same answer.
    pub(crate) fn answer(&self, asked: &Prepared<'_>, question: &Question<'_>) -> Answer {
        let said = input::input(asked, question).and_then(|input| self.run(input));
        match said {
            Ok(Said::Permit(obligations)) => Answer::Permit(obligations),
            Ok(Said::Forbid { reasons, requestable }) => {
                let mut stated: Vec<_> = reasons.into_iter().map(|one| self.stated(one)).collect();
                if stated.is_empty() {
                    stated.push(Arc::clone(&self.forbid.reference));
                }
                Answer::Forbid(stated, requestable)
            }
            Err(problem) => Answer::Failed(problem.into()),
        }
    }

    /// Runs the program on an input.
    fn run(&self, input: Value) -> Result<Said, String> {
        /// What one call takes of the stack: measured, and doubled.
        const LEVEL_BYTES: usize = if cfg!(debug_assertions) { 64 << 10 } else { 16 << 10 };
        const BASE_BYTES: usize = 256 << 10;
        let needed = self.calls * LEVEL_BYTES + BASE_BYTES;
        // A machine of its own for each question: nothing is left from one to the next. What the
        // engine takes for impossible must not end more than this question.
        let decide = || {
            catch_unwind(AssertUnwindSafe(|| {
                let mut machine = RegoVM::new();
                machine.set_max_instructions(REGO_INSTRUCTIONS_MAX);
                machine.set_strict_builtin_errors(true);
                machine.load_program(Arc::clone(&self.program));
                machine.set_data(Value::new_object()).map_err(|error| (error, 0))?;
                machine.set_input(input);
                let value = machine.execute_entry_point_by_index(0);
                value
                    .map(|value| answer::read(&self.entry, &value))
                    .map_err(|error| (error, machine.get_pc()))
            }))
        };
        match stacker::maybe_grow(needed, needed + BASE_BYTES, decide) {
            Ok(Ok(said)) => said,
            Ok(Err((error, at))) => Err(self.words(&error, at)),
            Err(_) => Err("the engine failed: this is a fault of it".into()),
        }
    }

    /// What went wrong and where, in words that repeat no value. Every error of an instruction
    /// comes as one of a calculation ([`guard`]).
    fn words(&self, error: &VmError, at: usize) -> String {
        let what = match error {
            VmError::InstructionLimitExceeded { limit, .. } => {
                format!("the decision takes more than the limit of {limit} instructions")
            }
            _ if self.conflicts.contains(&at) => {
                "a rule, a function or a key of an object would have two different values".into()
            }
            VmError::InvalidAddition { .. }
            | VmError::InvalidSubtraction { .. }
            | VmError::InvalidMultiplication { .. }
            | VmError::InvalidDivision { .. }
            | VmError::InvalidModulo { .. }
            | VmError::ModuloOnFloat { .. }
            | VmError::ArithmeticError { .. }
            | VmError::NumericOverflow { .. } => {
                "a calculation, a comparison or a function is not possible with these values".into()
            }
            VmError::RegexSizeLimitExceeded { .. } => "a pattern is too large".into(),
            _ => "the rule cannot be evaluated".into(),
        };
        let span = self.program.instruction_spans.get(at).and_then(Option::as_ref);
        let place = span.filter(|span| span.line > 0).and_then(|span| {
            let file = self.program.sources.get(span.source_index)?;
            Some(format!(", at {}:{}:{}", file.name, span.line, span.column))
        });
        format!("{what}{}", place.unwrap_or_default())
    }

    /// A reason of the author's, in the place of the rule that decides.
    fn stated(&self, stated: Stated) -> Arc<PolicyRef> {
        let own = &self.forbid.reference;
        Arc::new(PolicyRef {
            id: stated.id.unwrap_or_else(|| own.id.clone()),
            effect: PolicyEffect::Forbid,
            span: own.span.clone(),
            message: stated.message.or_else(|| own.message.clone()),
        })
    }

    /// Whether it was compiled from these files.
    pub(crate) fn is_of(&self, files: &[&SourceFile]) -> bool {
        self.files.iter().eq(files.iter().copied())
    }

    /// What is known of it, as of a policy.
    pub(crate) const fn info(&self) -> &Arc<PolicyInfo> {
        &self.permit
    }

    /// What is known of it where it forbids.
    pub(crate) const fn forbidding(&self) -> &Arc<PolicyInfo> {
        &self.forbid
    }

    /// The text of the rule that decides.
    pub(crate) const fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// What its author should look at.
    pub(crate) fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Whether what it says has effect.
    pub(crate) fn is_enforced(&self) -> bool {
        self.permit.mode == PolicyMode::Enforce
    }
}
