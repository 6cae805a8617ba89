//! Makes a program come to what OPA comes to, where the engine's machine would come to something
//! else and tell nobody:
//!
//! - Where a rule would have two values, or an object two for one key, the machine keeps the last.
//!   Whatever gives such a value more than once is made to look at what is there first, in a
//!   function whose last `else` is an error ([`guard`]).
//! - A value that is missing takes the place of one that is there, and counts as an item of a list
//!   or an object. It is left out.
//! - Where the values of a rule come of a loop that finds none, the machine does not go on to the
//!   `else`. It is made to notice.
//! - A condition that fails in a comprehension that stands in a loop ends what the loop does. So
//!   the comprehension is made a loop of its own, of one turn.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::rvm::Instruction;
use regorus::rvm::instructions::{
    ComprehensionBeginParams, ComprehensionMode, FunctionCallParams, GuardMode, LoopMode,
    LoopStartParams,
};
use regorus::rvm::program::{Program, RuleType};

use super::guard;
use super::insert::Inserted;
use super::written::is_written;

/// Mends a program. The places where it fails since there would be two values are the answer;
/// `None` where it is too large.
pub(super) fn mend(program: &mut Program) -> Option<BTreeSet<usize>> {
    let found = found(program);
    let mut mended = Mended {
        beyond: guard::endless(program)?,
        turn: u16::try_from(program.add_literal(Value::from(vec![Value::Null]))).ok()?,
        program,
        spare: BTreeMap::new(),
        inserted: Inserted::default(),
        conflicts: BTreeSet::new(),
        turns: Vec::new(),
    };
    for (at, flaw) in found {
        mended.take(at, flaw)?;
    }
    let Mended { program, inserted, conflicts, turns, .. } = mended;
    let registers = program.rule_infos.iter().map(|rule| rule.num_registers).max();
    program.max_rule_window_size = program.max_rule_window_size.max(registers.unwrap_or(0));
    let moved = inserted.into(program)?;
    for (index, body, end) in turns {
        let near = |at: usize| u16::try_from(at).ok();
        let (body_start, loop_end) = (near(moved.first(body)? + 2)?, near(moved.first(end)? + 1)?);
        program.update_loop_params(index, |params| {
            (params.body_start, params.loop_end) = (body_start, loop_end);
        });
        let next = program.instructions.get_mut(usize::from(loop_end).checked_sub(1)?)?;
        *next = Instruction::LoopNext { body_start, loop_end };
    }
    conflicts.into_iter().map(|at| moved.first(at)).collect()
}

/// What the machine would do otherwise.
#[derive(Clone, Copy)]
enum Flaw {
    /// A rule, or a function, is given a value for a second time.
    Again { result: u8, value: u8 },
    /// These may be missing, in this rule, and if an object is given, so may its key be there.
    Member { rule: usize, object: Option<u8>, key: Option<u8>, value: u8 },
    /// The rule has an `else`, and perhaps no value here.
    Without { result: u8 },
    /// A comprehension stands in a loop of this rule, and ends there.
    Nested { rule: usize, end: usize },
}

struct Mended<'p> {
    program: &'p mut Program,
    /// The literal of a number that is beyond all, and that of a list of one item.
    beyond: u16,
    turn: u16,
    /// Registers of rules that nothing else uses: the first of two.
    spare: BTreeMap<usize, u8>,
    inserted: Inserted,
    conflicts: BTreeSet<usize>,
    /// Loops of one turn: which, where their bodies begin and where they end.
    turns: Vec<(u16, usize, usize)>,
}

impl Mended<'_> {
    fn take(&mut self, at: usize, flaw: Flaw) -> Option<()> {
        let there = |register| Instruction::Guard { register, mode: GuardMode::NotUndefined };
        match flaw {
            Flaw::Again { result, value } => {
                let bodies = value_bodies(self.beyond);
                let call = self.call(at, &[result, value], &bodies, result)?;
                *self.program.instructions.get_mut(at)? = call;
            }
            Flaw::Member { rule, object, key, value } => {
                self.inserted.before(at, there(value));
                if let Some(key) = key {
                    self.inserted.before(at, there(key));
                }
                if let (Some(object), Some(key)) = (object, key) {
                    let dest = self.spare(rule)?;
                    let bodies = member_bodies(self.beyond);
                    let call = self.call(at, &[object, key, value], &bodies, dest)?;
                    self.inserted.before(at, call);
                }
            }
            Flaw::Without { result } => self.inserted.before(at, there(result)),
            Flaw::Nested { rule, end } => {
                let item = self.spare(rule)?;
                let params = LoopStartParams {
                    mode: LoopMode::ForEach,
                    collection: item,
                    key_reg: item,
                    value_reg: item,
                    result_reg: item.checked_add(1)?,
                    body_start: 0,
                    loop_end: 0,
                };
                let params_index = self.program.add_loop_params(params);
                let body = at.checked_add(1)?;
                self.inserted
                    .before(body, Instruction::Load { dest: item, literal_idx: self.turn });
                self.inserted.before(body, Instruction::LoopStart { params_index });
                self.inserted.before(end, Instruction::LoopNext { body_start: 0, loop_end: 0 });
                self.turns.push((params_index, body, end));
            }
        }
        Some(())
    }

    /// A call of a function with these bodies, for what stands at a place.
    fn call(
        &mut self,
        at: usize,
        arguments: &[u8],
        bodies: &[Vec<Instruction>],
        dest: u8,
    ) -> Option<Instruction> {
        let span = self.program.instruction_spans.get(at).cloned().flatten();
        let func_rule_index = guard::add(self.program, arguments.len(), bodies, span.as_ref())?;
        // The last of it: the number that is too large, and the end.
        self.conflicts.insert(self.program.instructions.len().checked_sub(2)?);
        let mut args = [0; 8];
        for (place, register) in args.iter_mut().zip(arguments) {
            *place = *register;
        }
        let num_args = u8::try_from(arguments.len()).ok()?;
        let params = FunctionCallParams { func_rule_index, dest, num_args, args };
        let params_index = self.program.instruction_data.add_function_call_params(params);
        Some(Instruction::FunctionCall { params_index })
    }

    /// Two registers of a rule that nothing else uses.
    fn spare(&mut self, rule: usize) -> Option<u8> {
        if let Some(spare) = self.spare.get(&rule) {
            return Some(*spare);
        }
        let info = self.program.rule_infos.get_mut(rule)?;
        let spare = info.num_registers;
        info.num_registers = spare.checked_add(2)?;
        self.spare.insert(rule, spare);
        Some(spare)
    }
}

/// Of the value that is there, in register 1, and one that comes, in 2, the one that stays.
fn value_bodies(beyond: u16) -> [Vec<Instruction>; 3] {
    use Instruction::{Eq, Guard, Move, Ne, Not};
    // There, and the one that comes is the same or missing.
    let same = vec![
        Guard { register: 1, mode: GuardMode::NotUndefined },
        Ne { dest: 3, left: 1, right: 2 },
        Not { dest: 4, operand: 3 },
        Guard { register: 4, mode: GuardMode::Condition },
        Move { dest: 0, src: 1 },
    ];
    let first = vec![
        Eq { dest: 3, left: 1, right: 1 },
        Not { dest: 4, operand: 3 },
        Guard { register: 4, mode: GuardMode::Condition },
        Move { dest: 0, src: 2 },
    ];
    [same, first, guard::failing(3, beyond)]
}

/// Whether the object in register 1 has nothing else under the key in 2 than what is in 3.
fn member_bodies(beyond: u16) -> [Vec<Instruction>; 2] {
    use Instruction::{Guard, Index, LoadTrue, Ne, Not};
    let agrees = vec![
        Index { dest: 4, container: 1, key: 2 },
        Ne { dest: 5, left: 4, right: 3 },
        Not { dest: 6, operand: 5 },
        Guard { register: 6, mode: GuardMode::Condition },
        LoadTrue { dest: 0 },
    ];
    [agrees, guard::failing(4, beyond)]
}

/// Where the walk over the instructions of a program is.
#[derive(Default)]
struct Walk {
    /// The rule, and the register of its value.
    rule: Option<(usize, u8)>,
    has_else: bool,
    loops: usize,
    /// The comprehensions around: the innermost last.
    around: Vec<ComprehensionBeginParams>,
}

/// What there is to mend, in the order of places.
fn found(program: &Program) -> Vec<(usize, Flaw)> {
    let alternatives = alternatives(program);
    let mut walk = Walk::default();
    let mut found = Vec::new();
    for (at, instruction) in program.instructions.iter().enumerate() {
        match *instruction {
            Instruction::RuleInit { result_reg, rule_index } => {
                let rule = Some((usize::from(rule_index), result_reg));
                let has_else = alternatives.contains(&at);
                walk = Walk { rule, has_else, ..Walk::default() };
            }
            Instruction::RuleReturn {} => {
                let without = walk.rule.take().filter(|_| walk.has_else);
                found.extend(without.map(|(_, result)| (at, Flaw::Without { result })));
            }
            Instruction::LoopStart { .. } => walk.loops += 1,
            Instruction::LoopNext { .. } => walk.loops = walk.loops.saturating_sub(1),
            Instruction::ComprehensionBegin { params_index } => {
                let params = program.instruction_data.get_comprehension_begin_params(params_index);
                let Some(params) = params else { continue };
                walk.around.push(params.clone());
                let end = usize::from(params.comprehension_end).checked_sub(1);
                let inside = walk.rule.filter(|_| walk.loops > 0).zip(end);
                found.extend(inside.map(|((rule, _), end)| (at, Flaw::Nested { rule, end })));
            }
            Instruction::ComprehensionEnd {} => drop(walk.around.pop()),
            other => found.extend(walk.flaw(program, at, other).map(|flaw| (at, flaw))),
        }
    }
    found
}

impl Walk {
    fn flaw(&self, program: &Program, at: usize, instruction: Instruction) -> Option<Flaw> {
        let (rule, result) = self.rule?;
        let is_written = |register| is_written(program, at, register);
        match instruction {
            Instruction::Move { dest, src } if dest == result && self.loops > 0 => {
                (!is_written(src)).then_some(Flaw::Again { result, value: src })
            }
            Instruction::ObjectSet { obj, key, value } if obj == result => {
                let bodies = program.rule_infos.get(rule)?.definitions.iter().flatten().count();
                let once = bodies < 2 && (self.loops == 0 || is_written(value));
                let object = (!once).then_some(obj);
                Some(Flaw::Member { rule, object, key: Some(key), value })
            }
            Instruction::ComprehensionYield { value_reg: value, key_reg: key } => {
                let around = self.around.last()?;
                let object = matches!(around.mode, ComprehensionMode::Object)
                    .then_some(around.result_reg)
                    .filter(|_| !is_written(value));
                let certain = key.is_none() && is_written(value);
                (!certain).then_some(Flaw::Member { rule, object, key, value })
            }
            _ => None,
        }
    }
}

/// Where bodies of rules with one value begin that have an `else`.
fn alternatives(program: &Program) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let rules = program.rule_infos.iter();
    // What has no name was added, and is right as it is.
    for rule in rules.filter(|rule| rule.rule_type == RuleType::Complete && !rule.name.is_empty()) {
        for (bodies, is_else) in rule.definitions.iter().zip(&rule.else_bodies) {
            let next = is_else.iter().skip(1);
            let before = bodies.iter().zip(next).filter(|(_, is_else)| **is_else);
            found.extend(before.filter_map(|(body, _)| usize::try_from(*body).ok()));
        }
    }
    found
}
