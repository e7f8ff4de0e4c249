//! Where buffers live: the linear scan that gives buffers whose lifetimes do not meet the same memory.

use crate::Error;
use crate::plan::{Elementwise, Group, Instruction, Kernel, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// Every home begins at a multiple of so many numbers, which is a multiple of a cache line.
pub(crate) const ALIGNMENT: usize = 16;

/// Assigns a place in one arena to every buffer; returns the size of the arena. Takes time n log n.
///
/// A buffer gets the smallest free block that is large enough, or a part of it, and gives it back after its last
/// use. The result of an elementwise pass may take the home of an operand that is read for the last time. Outputs
/// stay until the next run; they live behind all others. What a group of instructions reads is kept until the last of them
/// has run, as they may run at the same time.
pub(crate) fn assign(
    code: &mut [Instruction],
    slots: &mut [Slot],
    outputs: &[bool],
    groups: &[Group],
) -> Result<usize, Error> {
    const NEVER: usize = usize::MAX;
    let mut last_use = vec![NEVER; slots.len()];
    for (i, instruction) in code.iter_mut().enumerate() {
        instruction.reads(|buffer| last_use[buffer] = i);
        last_use[instruction.dst] = i;
    }
    let sizes = slots.iter().map(|slot| slot.len().checked_next_multiple_of(ALIGNMENT).ok_or(TOO_MUCH));
    let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
    let mut free = Free::default();
    let mut homes = vec![NEVER; slots.len()];
    let mut last_of_group = vec![true; code.len()];
    for Group { members, .. } in groups {
        last_of_group[members.start..members.end - 1].fill(false);
    }
    let mut given_back = Vec::new();
    for (i, instruction) in code.iter_mut().enumerate() {
        let dst = instruction.dst;
        if homes[dst] == NEVER && !outputs[dst] {
            let taken_over = match &instruction.kernel {
                Kernel::Elementwise(pass) => {
                    in_place(pass, slots, dst, |buffer| last_use[buffer] == i && !outputs[buffer])
                }
                _ => None,
            };
            homes[dst] = match taken_over {
                Some(operand) => {
                    last_use[operand] = NEVER;
                    homes[operand]
                }
                None => free.take(sizes[dst])?,
            };
        }
        // An instruction may read a buffer twice, but it is given back once.
        instruction.reads(|buffer| {
            if last_use[buffer] == i && !outputs[buffer] && buffer != dst {
                last_use[buffer] = NEVER;
                given_back.push(buffer);
            }
        });
        if last_of_group[i] {
            given_back.drain(..).for_each(|buffer| free.give(homes[buffer], sizes[buffer]));
        }
    }
    let mut arena = free.end;
    for (buffer, slot) in slots.iter_mut().enumerate() {
        slot.offset = if outputs[buffer] {
            arena
        } else {
            Some(homes[buffer]).filter(|&home| home != NEVER).unwrap_or(0)
        };
        if outputs[buffer] {
            arena = arena.checked_add(sizes[buffer]).ok_or(TOO_MUCH)?;
        }
    }
    for instruction in code {
        instruction.views(|view| view.offset = view.buffer().map_or(0, |buffer| slots[buffer].offset));
    }
    Ok(arena)
}

const TOO_MUCH: Error = Error::OutOfMemory { bytes: usize::MAX };

/// The free part of the arena: blocks of which no two touch.
#[derive(Default)]
struct Free {
    /// From where a block begins to its size.
    blocks: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
    /// Where the arena ends.
    end: usize,
}

impl Free {
    fn take(&mut self, size: usize) -> Result<usize, Error> {
        if size == 0 {
            return Ok(0);
        }
        if let Some(&(found, start)) = self.by_size.range((size, 0)..).next() {
            self.remove(start, found);
            if found > size {
                self.insert(start + size, found - size);
            }
            return Ok(start);
        }
        // What is free at the end is enlarged.
        let start = match self.blocks.last_key_value() {
            Some((&start, &found)) if start + found == self.end => {
                self.remove(start, found);
                start
            }
            _ => self.end,
        };
        self.end = start.checked_add(size).ok_or(TOO_MUCH)?;
        Ok(start)
    }

    fn give(&mut self, mut start: usize, mut size: usize) {
        if size == 0 {
            return;
        }
        if let Some((&before, &found)) = self.blocks.range(..start).next_back()
            && before + found == start
        {
            self.remove(before, found);
            (start, size) = (before, size + found);
        }
        if let Some(&found) = self.blocks.get(&(start + size)) {
            self.remove(start + size, found);
            size += found;
        }
        self.insert(start, size);
    }

    fn insert(&mut self, start: usize, size: usize) {
        self.blocks.insert(start, size);
        self.by_size.insert((size, start));
    }

    fn remove(&mut self, start: usize, size: usize) {
        self.blocks.remove(&start);
        self.by_size.remove(&(size, start));
    }
}

/// An operand whose home the result may take.
fn in_place(pass: &Elementwise, slots: &[Slot], dst: usize, dies: impl Fn(usize) -> bool) -> Option<usize> {
    let fits = |buffer: &usize| slots[*buffer].shape == slots[dst].shape && dies(*buffer);
    // Another view of the same buffer would read what has been overwritten.
    let plain = |buffer: &usize| {
        let mut views = pass.operands.iter().zip(&pass.picks);
        views.all(|(view, pick)| view.buffer() != Some(*buffer) || view.is_whole() && pick.is_none())
    };
    pass.operands.iter().filter_map(|view| view.buffer()).filter(fits).find(plain)
}
