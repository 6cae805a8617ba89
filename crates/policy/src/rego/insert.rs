//! Puts instructions between those of a program, whose jumps follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::rvm::Instruction;
use regorus::rvm::program::Program;

/// What is put before which instruction. Who jumps to that one comes to what was put before it.
#[derive(Default)]
pub(super) struct Inserted(BTreeMap<usize, Vec<Instruction>>);

/// Where instructions have come to stand.
pub(super) struct Moved {
    /// Before which one something was put, once for each that was.
    places: Vec<usize>,
}

impl Moved {
    /// The place of what was put before an instruction, or of that one.
    pub(super) fn first(&self, at: usize) -> Option<usize> {
        at.checked_add(self.places.partition_point(|place| *place < at))
    }

    fn near(&self, at: &mut u16) -> Option<()> {
        *at = u16::try_from(self.first(usize::from(*at))?).ok()?;
        Some(())
    }

    fn far(&self, at: &mut u32) -> Option<()> {
        *at = u32::try_from(self.first(usize::try_from(*at).ok()?)?).ok()?;
        Some(())
    }
}

impl Inserted {
    /// Puts one before that at a place, behind what was put there already.
    pub(super) fn before(&mut self, at: usize, instruction: Instruction) {
        self.0.entry(at).or_default().push(instruction);
    }

    /// Puts them in. `None` where a place is beyond what the engine can jump to.
    pub(super) fn into(mut self, program: &mut Program) -> Option<Moved> {
        let places =
            self.0.iter().flat_map(|(at, all)| std::iter::repeat_n(*at, all.len())).collect();
        let moved = Moved { places };
        jumps(program, &moved)?;
        let before = std::mem::take(&mut program.instructions);
        let mut spans = std::mem::take(&mut program.instruction_spans).into_iter();
        for (at, instruction) in before.into_iter().enumerate() {
            let span = spans.next().flatten();
            for one in self.0.remove(&at).into_iter().flatten().chain([instruction]) {
                program.instructions.push(one);
                program.instruction_spans.push(span.clone());
            }
        }
        Some(moved)
    }
}

fn jumps(program: &mut Program, moved: &Moved) -> Option<()> {
    for params in &mut program.instruction_data.loop_params {
        moved.near(&mut params.body_start)?;
        moved.near(&mut params.loop_end)?;
    }
    for params in &mut program.instruction_data.comprehension_begin_params {
        moved.near(&mut params.body_start)?;
        moved.near(&mut params.comprehension_end)?;
    }
    for instruction in &mut program.instructions {
        if let Instruction::LoopNext { body_start, loop_end } = instruction {
            moved.near(body_start)?;
            moved.near(loop_end)?;
        }
    }
    for rule in &mut program.rule_infos {
        let bodies = Arc::make_mut(&mut rule.definitions).iter_mut().flatten();
        for at in bodies.chain(rule.destructuring_blocks.iter_mut().flatten()) {
            moved.far(at)?;
        }
    }
    for at in program.entry_points.values_mut() {
        *at = moved.first(*at)?;
    }
    moved.far(&mut program.main_entry_point)
}
