//! Makes an error end the decision.
//!
//! The engine's machine takes an error in the body of a rule for a body that does not hold: a rule
//! that forbids would not apply where its condition cannot be calculated. So each instruction that
//! can fail is put into a function of its own, whose `else` is a calculation that the machine
//! never passes over: one beyond the largest number. That `else` is only come to by an error,
//! since a function whose condition is merely undefined has succeeded, with nothing.

use std::sync::Arc;

use regorus::Value;
use regorus::rvm::Instruction;
use regorus::rvm::instructions::{BuiltinCallParams, FunctionCallParams};
use regorus::rvm::program::{Program, RuleInfo, RuleType, SpanInfo};

/// Most tables of a program can be pointed into by 16 bits.
const PLACES_MAX: usize = 60_000;

/// Puts every instruction that can fail where its failure is seen. `None` where the program is
/// too large for it.
pub(super) fn guard(program: &mut Program) -> Option<()> {
    let literal = endless(program)?;
    for at in 0..program.instructions.len() {
        let instruction = program.instructions.get(at).copied()?;
        let span = program.instruction_spans.get(at).cloned().flatten();
        if let Some(guarded) = Guarded::of(program, instruction)? {
            let called = guarded.call(program, literal, span)?;
            *program.instructions.get_mut(at)? = called;
        }
    }
    let largest = program.rule_infos.iter().map(|rule| rule.num_registers).max();
    program.max_rule_window_size = program.max_rule_window_size.max(largest.unwrap_or(0));
    Some(())
}

/// An instruction that can fail, on the registers of a function of its own.
struct Guarded {
    instruction: Instruction,
    /// Where its operands come from.
    arguments: Vec<u8>,
    /// Where its result goes.
    dest: u8,
}

impl Guarded {
    /// `Some(None)` where the instruction cannot fail.
    fn of(program: &mut Program, instruction: Instruction) -> Option<Option<Self>> {
        use Instruction::{Add, And, BuiltinCall, Div, Ge, Gt, Le, Lt, Mod, Mul, Or, Sub};
        let two = |make: fn(u8, u8, u8) -> Instruction, dest, left, right| {
            Some(Some(Self { instruction: make(0, 1, 2), arguments: vec![left, right], dest }))
        };
        macro_rules! of_two {
            ($($kind:ident)*) => {
                match instruction {
                    $($kind { dest, left, right } => {
                        two(|dest, left, right| $kind { dest, left, right }, dest, left, right)
                    })*
                    BuiltinCall { params_index } => Self::of_call(program, params_index),
                    _ => Some(None),
                }
            };
        }
        of_two!(Add Sub Mul Div Mod Lt Le Gt Ge And Or)
    }

    fn of_call(program: &mut Program, params_index: u16) -> Option<Option<Self>> {
        if program.instruction_data.builtin_call_params.len() > PLACES_MAX {
            return None;
        }
        let call = program.instruction_data.get_builtin_call_params(params_index)?.clone();
        let arguments = call.arg_registers().to_vec();
        let mut args = [0; 8];
        for (place, register) in args.iter_mut().zip(1_u8..) {
            *place = register;
        }
        let params = BuiltinCallParams { dest: 0, args, ..call };
        let params_index = program.instruction_data.add_builtin_call_params(params);
        let instruction = Instruction::BuiltinCall { params_index };
        Some(Some(Self { instruction, arguments, dest: call.dest }))
    }

    /// Adds the function, and gives the call of it.
    fn call(
        self,
        program: &mut Program,
        literal: u16,
        span: Option<SpanInfo>,
    ) -> Option<Instruction> {
        let count = u8::try_from(self.arguments.len()).ok()?;
        let bodies = [vec![self.instruction], failing(count.checked_add(1)?, literal)];
        let rule_index = add(program, self.arguments.len(), &bodies, span.as_ref())?;
        let mut args = [0; 8];
        for (place, register) in args.iter_mut().zip(self.arguments) {
            *place = register;
        }
        let params = FunctionCallParams {
            func_rule_index: rule_index,
            dest: self.dest,
            num_args: count,
            args,
        };
        let params_index = program.instruction_data.add_function_call_params(params);
        Some(Instruction::FunctionCall { params_index })
    }
}

/// The literal that, doubled, is beyond the largest number that there is.
pub(super) fn endless(program: &mut Program) -> Option<u16> {
    u16::try_from(program.add_literal(Value::from(f64::MAX))).ok()
}

/// A body that fails, and is never passed over.
pub(super) fn failing(spare: u8, literal: u16) -> Vec<Instruction> {
    vec![
        Instruction::Load { dest: spare, literal_idx: literal },
        Instruction::Add { dest: 0, left: spare, right: spare },
    ]
}

/// Adds a function behind all others: each body is the `else` of the one before it. Arguments are
/// in the registers from 1, its value in 0.
pub(super) fn add(
    program: &mut Program,
    arguments: usize,
    bodies: &[Vec<Instruction>],
    span: Option<&SpanInfo>,
) -> Option<u16> {
    /// Beside the value and the arguments.
    const SPARE: u8 = 4;
    let calls = program.instruction_data.function_call_params.len();
    if calls.max(program.rule_infos.len()) > PLACES_MAX {
        return None;
    }
    let rule_index = u16::try_from(program.rule_infos.len()).ok()?;
    let mut places = Vec::with_capacity(bodies.len());
    for body in bodies {
        places.push(u32::try_from(program.instructions.len()).ok()?);
        let begin = Instruction::RuleInit { result_reg: 0, rule_index };
        let end = Instruction::RuleReturn {};
        for instruction in [begin].iter().chain(body).chain([&end]) {
            program.instructions.push(*instruction);
            program.instruction_spans.push(span.cloned());
        }
    }
    let mut rule = RuleInfo::new_function(
        String::new(),
        RuleType::Complete,
        Arc::new(vec![places]),
        (0..arguments).map(|_| String::new()).collect(),
        0,
        u8::try_from(arguments).ok()?.checked_add(SPARE)?,
    );
    rule.else_bodies = vec![(0..bodies.len()).map(|body| body > 0).collect()];
    program.rule_infos.push(rule);
    Some(rule_index)
}
