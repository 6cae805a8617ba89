//! What stands in the policy, and comes neither from the input nor from a calculation.

use regorus::Value;
use regorus::rvm::Instruction;
use regorus::rvm::program::Program;

/// How far lists in lists, and rules that name rules, are followed.
const DEPTH_MAX: usize = 8;

/// The text that a register holds, where it is written in the policy.
pub(super) fn text(program: &Program, at: usize, register: u8) -> Option<&str> {
    let loaded = before(program, at).find_map(|(_, one)| match one {
        Instruction::Load { dest, literal_idx } if *dest == register => Some(*literal_idx),
        _ => None,
    })?;
    match program.literals.get(usize::from(loaded))? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Whether what a register holds is written in the policy: there, or in a rule that says nothing
/// else.
pub(super) fn is_written(program: &Program, at: usize, register: u8) -> bool {
    is_written_within(program, at, register, DEPTH_MAX)
}

/// Whether a register holds a list that is written in the policy, whatever its items are.
pub(super) fn is_list(program: &Program, at: usize, register: u8) -> bool {
    let created =
        |index: &u16| program.instruction_data.array_create_params.get(usize::from(*index));
    is_written(program, at, register)
        || before(program, at).any(|(_, one)| match one {
            Instruction::ArrayCreate { params_index } => {
                created(params_index).is_some_and(|list| list.dest == register)
            }
            _ => false,
        })
}

fn is_written_within(program: &Program, at: usize, register: u8, depth: usize) -> bool {
    use Instruction::{
        ArrayCreate, CallRule, Load, LoadBool, LoadFalse, LoadNull, LoadTrue, SetCreate,
    };
    let Some(deeper) = depth.checked_sub(1) else { return false };
    let all = |at: usize, dest: u8, items: &[u8]| {
        dest == register && items.iter().all(|item| is_written_within(program, at, *item, deeper))
    };
    let data = &program.instruction_data;
    before(program, at).any(|(at, one)| match one {
        Load { dest, .. }
        | LoadBool { dest, .. }
        | LoadTrue { dest }
        | LoadFalse { dest }
        | LoadNull { dest } => *dest == register,
        ArrayCreate { params_index } => {
            let list = data.array_create_params.get(usize::from(*params_index));
            list.is_some_and(|list| all(at, list.dest, &list.elements))
        }
        SetCreate { params_index } => {
            let set = data.set_create_params.get(usize::from(*params_index));
            set.is_some_and(|set| all(at, set.dest, &set.elements))
        }
        CallRule { dest, rule_index } => {
            *dest == register && only_says(program, usize::from(*rule_index), deeper)
        }
        _ => false,
    })
}

/// Whether a rule says one thing, which is written there.
fn only_says(program: &Program, rule: usize, depth: usize) -> bool {
    let Some(rule) = program.rule_infos.get(rule).filter(|rule| rule.function_info.is_none())
    else {
        return false;
    };
    let mut bodies = rule.definitions.iter().flatten();
    let (Some(body), None) = (bodies.next(), bodies.next()) else { return false };
    let Ok(start) = usize::try_from(*body) else { return false };
    let end = program.instructions.iter().enumerate().skip(start);
    let mut end = end.skip_while(|(_, one)| !matches!(one, Instruction::RuleReturn {}));
    let Some((end, _)) = end.next() else { return false };
    let last = end.checked_sub(1);
    match last.and_then(|last| Some((last, program.instructions.get(last)?))) {
        Some((at, Instruction::Move { dest, src })) if *dest == rule.result_reg => {
            is_written_within(program, at, *src, depth)
        }
        _ => false,
    }
}

/// The instructions of the same body before a place, the nearest first.
fn before(program: &Program, at: usize) -> impl Iterator<Item = (usize, &Instruction)> {
    let all = program.instructions.get(..at).unwrap_or_default().iter().enumerate().rev();
    all.take_while(|(_, one)| !matches!(one, Instruction::RuleInit { .. }))
}
