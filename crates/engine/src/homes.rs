//! Where buffers live: the linear scan that gives buffers whose lifetimes do not meet the same memory.

use crate::Error;
use crate::plan::{Elementwise, Instruction, Kernel, Repeat, Slot};
use std::collections::BTreeSet;
use std::ops::Range;

/// Every home begins at a multiple of so many numbers, which is a multiple of a cache line.
pub(crate) const ALIGNMENT: usize = 16;

/// Assigns a place in one arena to every buffer; returns the size of the arena.
///
/// A buffer that is an output keeps its home to itself. Any other takes the smallest free home that is large
/// enough, else enlarges the largest free one. The result of an elementwise pass may take the home of an operand
/// that is read for the last time. What a group of instructions reads is kept until the last of them has run, as
/// they may run at the same time.
pub(crate) fn assign(
    code: &mut [Instruction],
    slots: &mut [Slot],
    outputs: &[bool],
    groups: &[Range<usize>],
) -> Result<usize, Error> {
    const NEVER: usize = usize::MAX;
    let mut last_use = vec![NEVER; slots.len()];
    for (i, instruction) in code.iter_mut().enumerate() {
        instruction.reads(|buffer| last_use[buffer] = i);
        last_use[instruction.dst] = i;
    }
    let mut capacities: Vec<usize> = Vec::new();
    let mut free: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut homes = vec![NEVER; slots.len()];
    let mut last_of_group = vec![true; code.len()];
    for group in groups {
        last_of_group[group.start..group.end - 1].fill(false);
    }
    let mut freed = Vec::new();
    for (i, instruction) in code.iter_mut().enumerate() {
        let dst = instruction.dst;
        let len = slots[dst].len();
        let mut taken_over = None;
        if homes[dst] == NEVER {
            if !outputs[dst]
                && let Kernel::Elementwise(pass) = &instruction.kernel
            {
                taken_over = in_place(pass, slots, dst, |b| last_use[b] == i && !outputs[b]);
            }
            let reused =
                if outputs[dst] { None } else { free.range((len, 0)..).next().or(free.last()).copied() };
            homes[dst] = match (taken_over, reused) {
                (Some(operand), _) => homes[operand],
                (None, Some((capacity, home))) => {
                    free.remove(&(capacity, home));
                    capacities[home] = capacity.max(len);
                    home
                }
                (None, None) => {
                    capacities.push(len);
                    capacities.len() - 1
                }
            };
        }
        instruction.reads(|buffer| {
            let dead = last_use[buffer] == i && !outputs[buffer] && Some(buffer) != taken_over;
            if dead && buffer != dst {
                freed.push((capacities[homes[buffer]], homes[buffer]));
            }
        });
        if last_of_group[i] {
            free.extend(freed.drain(..));
        }
    }
    let mut arena = 0usize;
    let mut offsets = Vec::with_capacity(capacities.len());
    for capacity in capacities {
        offsets.push(arena);
        let end = capacity.checked_next_multiple_of(ALIGNMENT).and_then(|size| arena.checked_add(size));
        arena = end.ok_or(Error::OutOfMemory { bytes: usize::MAX })?;
    }
    for (slot, home) in slots.iter_mut().zip(homes) {
        slot.offset = offsets.get(home).copied().unwrap_or(0);
    }
    for instruction in code {
        instruction.views(|view| view.offset = view.buffer().map_or(0, |buffer| slots[buffer].offset));
    }
    Ok(arena)
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
