//! What a compiled program may hold: only functions whose answer follows from their arguments,
//! no rule that comes back to itself, and calls no deeper than a stack is made for.
//!
//! This is where it is made sure of: the scan of the text tells the same earlier and with better
//! words, but only here are names resolved.

use std::collections::BTreeMap;

use regorus::rvm::Instruction;
use regorus::rvm::program::{Program, RuleType, SpanInfo};

use crate::rego::builtins::{self, Needs, Verdict};
use crate::rego::written;
use crate::source::REGO_CALLS_MAX;

/// What is wrong with a program, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// File (as its place among the sources), line, column and length.
    pub(super) span: Option<SpanInfo>,
}

/// What is known of a program that holds nothing it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    /// How many calls of rules stand in each other at most.
    pub(super) calls: usize,
}

/// Checks a program.
///
/// # Errors
/// The first thing that it may not hold.
pub(super) fn check(program: &Program, entry: &str) -> Result<Measured, Fault> {
    for (at, instruction) in program.instructions.iter().enumerate() {
        check_instruction(program, at, *instruction)?;
    }
    let index = program.rule_infos.iter().position(|rule| rule.name == entry);
    let rule = index.and_then(|index| program.rule_infos.get(index));
    let simple = rule
        .is_some_and(|rule| rule.rule_type == RuleType::Complete && rule.function_info.is_none());
    let (Some(index), true) = (index, simple) else {
        return Err(Fault {
            message: format!("`{entry}` is no rule with one value"),
            help: Some("write `allow if { … }`, or `decision := { … }`".into()),
            span: None,
        });
    };
    check_definitions(program)?;
    let calls = Calls::of(program).deepest(program, index)?;
    Ok(Measured { calls })
}

/// Where definitions of a rule could give it different values, the machine gives it none, and
/// whoever looks at it is not told.
fn check_definitions(program: &Program) -> Result<(), Fault> {
    for rule in &program.rule_infos {
        let one_value = rule.rule_type == RuleType::Complete;
        if !one_value || rule.definitions.len() < 2 || rule.early_exit_on_first_success {
            continue;
        }
        let second = rule.definitions.get(1).and_then(|bodies| bodies.first());
        let second = second.and_then(|pc| usize::try_from(*pc).ok());
        return Err(Fault {
            message: format!("definitions of `{}` could give it different values", rule.name),
            help: Some("write them as one, with `else := …`".into()),
            span: second.and_then(|pc| program.instruction_spans.get(pc).cloned().flatten()),
        });
    }
    Ok(())
}

fn check_instruction(program: &Program, at: usize, instruction: Instruction) -> Result<(), Fault> {
    let fault = |message: String, help: &str| {
        let span = program.instruction_spans.get(at).cloned().flatten();
        Err(Fault { message, help: Some(help.into()), span })
    };
    match instruction {
        Instruction::BuiltinCall { params_index } => {
            let call = program.instruction_data.get_builtin_call_params(params_index);
            let info = call.and_then(|call| program.get_builtin_info(call.builtin_index));
            let (Some(call), Some(info)) = (call, info) else {
                return fault("a call is not resolved".into(), "this is a fault of the engine");
            };
            match builtins::verdict(&info.name) {
                Verdict::Allowed => {}
                Verdict::Refused(why) => {
                    let message = format!("`{}` is not available: {}", info.name, why.words());
                    return fault(message, why.help());
                }
                Verdict::Unknown => {
                    return fault(format!("`{}` is not available", info.name), "call another");
                }
            }
            match unmeasured(program, at, &info.name, call.arg_registers()) {
                Some(message) => fault(
                    message,
                    "what comes from the input could make it cost as much as its square",
                ),
                None => Ok(()),
            }
        }
        Instruction::HostAwait { .. } => {
            fault("a decision waits for nothing".into(), "take out `__builtin_host_await`")
        }
        Instruction::VirtualDataDocumentLookup { .. } => fault(
            "a rule is looked up by a name that is only known when it is decided".into(),
            "write the name of the rule",
        ),
        Instruction::LoadData { .. } => fault(
            "there are no data documents here, and no rule of that name".into(),
            "write what it holds as a rule: `limits := {\"clerk\": 100}`",
        ),
        Instruction::LoadContext { .. } | Instruction::LoadMetadata { .. } => {
            fault("the engine's own data are not available".into(), "take it out")
        }
        _ => Ok(()),
    }
}

/// What is wrong with the arguments of a function that needs some of them in the policy.
fn unmeasured(program: &Program, at: usize, name: &str, arguments: &[u8]) -> Option<String> {
    match builtins::needs(name)? {
        Needs::Text(argument) => {
            let register = arguments.get(argument).copied();
            let text = register.and_then(|register| written::text(program, at, register));
            let fits = text.is_some_and(|text| builtins::fits(name, text));
            let place = argument + 1;
            (!fits).then(|| {
                format!(
                    "argument {place} of `{name}` must be a short text that stands in the policy"
                )
            })
        }
        Needs::One => {
            let one = arguments.iter().any(|one| written::is_written(program, at, *one));
            (!one).then(|| format!("one argument of `{name}` must stand in the policy"))
        }
        Needs::List => {
            let list = arguments.iter().all(|one| written::is_list(program, at, *one));
            (!list).then(|| {
                format!("the argument of `{name}` must be a list that stands in the policy")
            })
        }
    }
}

/// Which rule calls which, and where.
struct Calls(BTreeMap<usize, Vec<(usize, usize)>>);

impl Calls {
    fn of(program: &Program) -> Self {
        let mut starts: Vec<(usize, usize)> = Vec::new();
        for (index, rule) in program.rule_infos.iter().enumerate() {
            let bodies = rule.definitions.iter().flatten().copied();
            let destructured = rule.destructuring_blocks.iter().flatten().copied();
            let all = bodies.chain(destructured).filter_map(|pc| usize::try_from(pc).ok());
            starts.extend(all.map(|pc| (pc, index)));
        }
        starts.sort_unstable();
        let mut calls: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (at, instruction) in program.instructions.iter().enumerate() {
            let called = match instruction {
                Instruction::CallRule { rule_index, .. } => Some(*rule_index),
                Instruction::FunctionCall { params_index } => program
                    .instruction_data
                    .get_function_call_params(*params_index)
                    .map(|call| call.func_rule_index),
                _ => None,
            };
            let before = starts.partition_point(|(pc, _)| *pc <= at);
            let caller = before.checked_sub(1).and_then(|last| starts.get(last));
            if let (Some(called), Some((_, caller))) = (called, caller) {
                calls.entry(*caller).or_default().push((usize::from(called), at));
            }
        }
        Self(calls)
    }

    /// How deep calls stand in each other below a rule.
    ///
    /// # Errors
    /// A rule comes back to itself, or calls go too deep.
    fn deepest(&self, program: &Program, entry: usize) -> Result<usize, Fault> {
        let mut known: BTreeMap<usize, usize> = BTreeMap::new();
        // The way down: a rule, which of its calls is next, and the deepest so far.
        let mut way: Vec<(usize, usize, usize)> = vec![(entry, 0, 0)];
        loop {
            let Some((rule, next, deepest)) = way.last().copied() else {
                return Ok(known.get(&entry).copied().unwrap_or(1));
            };
            let Some((called, at)) = self.0.get(&rule).and_then(|calls| calls.get(next)) else {
                known.insert(rule, deepest + 1);
                way.pop();
                if let Some((.., above)) = way.last_mut() {
                    *above = (*above).max(deepest + 1);
                }
                continue;
            };
            if let Some((_, next, _)) = way.last_mut() {
                *next += 1;
            }
            let name = || program.rule_infos.get(*called).map_or("?", |rule| rule.name.as_str());
            let fault = |message: String, help: &str| Fault {
                message,
                help: Some(help.into()),
                span: program.instruction_spans.get(*at).cloned().flatten(),
            };
            if way.iter().any(|(rule, ..)| rule == called) {
                let message = format!("`{}` comes back to itself", name());
                return Err(fault(message, "a rule may not look at itself, nor call itself"));
            }
            if let Some(below) = known.get(called) {
                if let Some((.., deepest)) = way.last_mut() {
                    *deepest = (*deepest).max(*below);
                }
            } else {
                way.push((*called, 0, 0));
            }
            let below = known.get(called).copied().unwrap_or(0);
            if way.len() + below > REGO_CALLS_MAX {
                let message =
                    format!("rules look at each other more than {REGO_CALLS_MAX} levels deep");
                return Err(fault(message, "put some of them into one"));
            }
        }
    }
}
