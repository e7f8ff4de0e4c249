//! Where buffers live: the linear scan that gives buffers whose lifetimes do not meet the same memory.

use crate::plan::{Elementwise, Instruction, Kernel, Repeat, Slot};
use pullback_tape::Shape;
use std::collections::BTreeSet;

/// Assigns a home to every buffer; returns the capacities of the homes.
///
/// A buffer that is an output keeps its home to itself. Any other takes the smallest free home that is large
/// enough, else enlarges the largest free one. The result of an elementwise pass may take the home of an operand
/// that is read for the last time.
pub(crate) fn assign(code: &[Instruction], slots: &mut [Slot], outputs: &[bool]) -> Vec<usize> {
    const NEVER: usize = usize::MAX;
    let mut last_use = vec![NEVER; slots.len()];
    for (i, instruction) in code.iter().enumerate() {
        instruction.reads(|buffer| last_use[buffer] = i);
        last_use[instruction.dst] = i;
    }
    let mut homes: Vec<usize> = Vec::new();
    let mut free: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut assigned = vec![false; slots.len()];
    for (i, instruction) in code.iter().enumerate() {
        let dst = instruction.dst;
        let len = size(slots[dst].shape);
        let mut taken_over = None;
        if !assigned[dst] {
            assigned[dst] = true;
            if !outputs[dst]
                && let Kernel::Elementwise(pass) = &instruction.kernel
            {
                taken_over = in_place(pass, slots, dst, |b| last_use[b] == i && assigned[b] && !outputs[b]);
            }
            slots[dst].home = if outputs[dst] {
                homes.push(len);
                homes.len() - 1
            } else if let Some(operand) = taken_over {
                slots[operand].home
            } else if let Some(&(capacity, home)) =
                free.range((len, 0)..).next().or_else(|| free.iter().next_back())
            {
                free.remove(&(capacity, home));
                homes[home] = capacity.max(len);
                home
            } else {
                homes.push(len);
                homes.len() - 1
            };
        }
        let mut release = |buffer: usize| {
            let dead = last_use[buffer] == i && !outputs[buffer] && Some(buffer) != taken_over;
            if dead && buffer != dst {
                let home = slots[buffer].home;
                free.insert((homes[home], home));
            }
        };
        instruction.reads(&mut release);
    }
    homes
}

/// An operand whose home the result may take.
fn in_place(pass: &Elementwise, slots: &[Slot], dst: usize, dies: impl Fn(usize) -> bool) -> Option<usize> {
    let fits = |buffer: &usize| slots[*buffer].shape == slots[dst].shape && dies(*buffer);
    // Another view of the same buffer would read what has been overwritten.
    let plain = |buffer: &usize| {
        pass.operands
            .iter()
            .all(|view| view.buffer() != Some(*buffer) || (!view.transposed && view.repeat == Repeat::No))
    };
    pass.operands.iter().filter_map(|view| view.buffer()).filter(fits).find(plain)
}

fn size(shape: Shape) -> usize {
    shape.rows * shape.cols
}
