//! Memory for time: values are forgotten and computed again, so that fewer are alive at once.
//!
//! Reverse sweeps read what forward sweeps have computed in the opposite order. Just before the instruction where
//! most memory is alive, the *turn*, nearly all of that is *carried*: computed before, needed after. The code before the
//! turn is cut into segments that each compute about the same amount of carried values. What crosses a cut is
//! kept, and so is what the user marked as a checkpoint, if anything: then the code is cut there. Any other carried value dies in its segment, and the segment is run again, on what was kept, just before
//! the first instruction after the turn that needs one of its values.
//!
//! Chen, Xu, Zhang and Guestrin, *Training Deep Nets with Sublinear Memory Cost*, arXiv:1604.06174; Griewank and
//! Walther, *Evaluating Derivatives*, chapter 12. Nothing here knows what is computed: this is about lifetimes.

use crate::Error;
use crate::homes;
use crate::plan::{Buffer, Factorization, Instruction, Kernel, Place, Slot};
use pullback_tape::NodeId;

/// A plan's code, its buffers, its factorizations, and the size of its arena.
pub(crate) type Code = (Vec<Instruction>, Vec<Slot>, Vec<Factorization>, usize);

/// A plan for the same results in less memory, if there is one. Linear in the length of the code, but for the
/// logarithm of [`homes::assign`].
pub(crate) fn recompute(
    code: &[Instruction],
    slots: &[Slot],
    outputs: &[bool],
    factorizations: &[Factorization],
    arena: usize,
    cuts: Cuts<'_>,
) -> Result<Option<Code>, Error> {
    let Some(lives) = Lives::new(code, slots, outputs) else { return Ok(None) };
    let mut best: Option<Code> = None;
    let starts = match cuts {
        // Segments that are as large as what is kept are best if all values are of one size. They need not be.
        Cuts::Even => [0.5, 1.0, 2.0].map(|share| Cut::evenly(&lives, slots, outputs, share)).to_vec(),
        Cuts::After(checkpoint) => vec![lives.after(code, checkpoint)],
    };
    for starts in starts {
        let cut = Cut::new(&lives, outputs, starts);
        let (mut code, mut slots, factorizations) =
            Rewriting::new(&lives, &cut, code, slots, factorizations).run();
        let mut outputs = outputs.to_vec();
        outputs.resize(slots.len(), false);
        let size = homes::assign(&mut code, &mut slots, &outputs, &[])?;
        if size < best.as_ref().map_or(arena, |best| best.3) {
            best = Some((code, slots, factorizations, size));
        }
    }
    Ok(best)
}

/// Where the code before the turn is cut.
#[derive(Clone, Copy)]
pub(crate) enum Cuts<'a> {
    /// Into segments that compute about the same.
    Even,
    /// After each of these values.
    After(&'a dyn Fn(NodeId) -> bool),
}

/// When buffers are used, by the index of the instruction. Instructions that write to one buffer, such as products
/// that are added into a sum, compute one value together.
#[derive(Clone, Copy)]
struct Life {
    /// The first and the last instruction that writes it.
    born: usize,
    done: usize,
    /// The last that uses it, and the last that does before the turn.
    last: usize,
    last_before: usize,
}

struct Lives {
    of: Vec<Life>,
    /// The instruction where most memory is alive.
    turn: usize,
}

impl Lives {
    /// Nothing if a value is read before it is complete, which no lowering does.
    fn new(code: &[Instruction], slots: &[Slot], outputs: &[bool]) -> Option<Lives> {
        const NEVER: usize = usize::MAX;
        let mut of = vec![Life { born: NEVER, done: 0, last: 0, last_before: 0 }; slots.len()];
        for (i, instruction) in code.iter().enumerate() {
            let life = &mut of[instruction.dst];
            life.born = life.born.min(i);
            (life.done, life.last) = (i, i);
        }
        let mut complete = true;
        for (i, instruction) in code.iter().enumerate() {
            instruction.clone().reads(|buffer| {
                complete &= of[buffer].done < i;
                of[buffer].last = i;
            });
        }
        // What an output takes is taken all the time.
        let mut change = vec![0i128; code.len() + 1];
        for ((life, slot), _) in of.iter().zip(slots).zip(outputs).filter(|(_, output)| !**output) {
            if life.born != NEVER {
                change[life.born] += slot.len() as i128;
                change[life.last + 1] -= slot.len() as i128;
            }
        }
        let (mut turn, mut most, mut alive) = (0, 0, 0);
        for (i, change) in change.into_iter().enumerate() {
            alive += change;
            if alive > most {
                (turn, most) = (i, alive);
            }
        }
        for (i, instruction) in code.iter().enumerate().take(turn) {
            of[instruction.dst].last_before = i;
            instruction.clone().reads(|buffer| of[buffer].last_before = i);
        }
        complete.then_some(Lives { of, turn })
    }

    /// Where segments begin if each ends with a value that is to be kept.
    fn after(&self, code: &[Instruction], kept: &dyn Fn(NodeId) -> bool) -> Vec<usize> {
        let ends = code.iter().take(self.turn).filter(|instruction| kept(instruction.node));
        let mut starts: Vec<usize> = ends.map(|instruction| self.of[instruction.dst].done + 1).collect();
        starts.push(0);
        starts.sort_unstable();
        starts.dedup();
        starts.retain(|&start| start < self.turn.max(1));
        starts
    }

    /// Whether a value is computed before the turn and needed after it.
    fn carried(&self, buffer: Buffer) -> bool {
        let life = &self.of[buffer];
        life.done < self.turn && life.last >= self.turn
    }
}

/// Where the code before the turn is cut, and what that means for each value.
struct Cut {
    /// For every instruction before the turn, its segment.
    segment_of: Vec<usize>,
    /// Where segments begin; the last one ends at the turn.
    starts: Vec<usize>,
    forgotten: Vec<bool>,
    /// What a segment can be computed from.
    kept: Vec<bool>,
}

impl Cut {
    /// Where segments begin that compute `share / √n` of all numbers in the n carried values.
    fn evenly(lives: &Lives, slots: &[Slot], outputs: &[bool], share: f64) -> Vec<usize> {
        let turn = lives.turn;
        // By instruction: the carried numbers that it completes. By place of a cut: the numbers that cross it, twice
        // if they would be kept only for that.
        let mut completed = vec![0u128; turn];
        let mut crossing = vec![0i128; turn + 1];
        let (mut total, mut count) = (0u128, 0u32);
        for (buffer, life) in lives.of.iter().enumerate() {
            let len = slots[buffer].len();
            if outputs[buffer] || life.born >= turn {
                continue;
            }
            let carried = lives.carried(buffer);
            if carried {
                completed[life.done] += len as u128;
                total += len as u128;
                count += 1;
            }
            let weight = len as i128 * if carried { 1 } else { 2 };
            crossing[life.born] += weight;
            crossing[life.last_before] -= weight;
        }
        let wanted = share * total as f64 / f64::from(count.max(1)).sqrt();

        let mut starts = vec![0];
        let (mut since, mut after_best, mut across) = (0u128, 0u128, 0);
        let mut best: Option<(i128, usize)> = None;
        for i in 0..turn {
            since += completed[i];
            after_best += completed[i];
            across += crossing[i];
            // Cut where little crosses, a quarter more or less than wanted.
            if since as f64 >= 0.75 * wanted && best.is_none_or(|(least, _)| across < least) {
                best = Some((across, i + 1));
                after_best = 0;
            }
            if since as f64 >= 1.25 * wanted
                && let Some((_, start)) = best.take()
            {
                starts.push(start);
                since = after_best;
            }
        }
        starts.retain(|&start| start < turn);
        starts
    }

    /// Segments that begin at these instructions.
    fn new(lives: &Lives, outputs: &[bool], starts: Vec<usize>) -> Cut {
        let turn = lives.turn;
        let mut segment_of = vec![0; turn];
        for (segment, &start) in starts.iter().enumerate() {
            let end = starts.get(segment + 1).copied().unwrap_or(turn);
            segment_of[start..end].fill(segment);
        }
        let mut cut = Cut { segment_of, starts, forgotten: vec![], kept: vec![] };
        for (buffer, life) in lives.of.iter().enumerate() {
            let inside = life.born < turn && cut.segment_of[life.born] == cut.segment_of[life.last_before];
            let keep = outputs[buffer] || !inside;
            // What the last segment computes is needed at once.
            let early = life.born < turn && cut.segment_of[life.born] + 1 < cut.starts.len();
            cut.kept.push(keep);
            cut.forgotten.push(!keep && early && lives.carried(buffer));
        }
        cut
    }
}

struct Rewriting<'a> {
    lives: &'a Lives,
    cut: &'a Cut,
    old: &'a [Instruction],
    code: Vec<Instruction>,
    slots: Vec<Slot>,
    factorizations: Vec<Factorization>,
    /// For every buffer and every factorization, where it is computed again.
    copies: Vec<Option<Buffer>>,
    factorization_copies: Vec<Option<usize>>,
}

impl<'a> Rewriting<'a> {
    fn new(
        lives: &'a Lives,
        cut: &'a Cut,
        old: &'a [Instruction],
        slots: &[Slot],
        factorizations: &[Factorization],
    ) -> Self {
        Rewriting {
            lives,
            cut,
            old,
            code: old[..lives.turn].to_vec(),
            slots: slots.to_vec(),
            factorizations: factorizations.to_vec(),
            copies: vec![None; slots.len()],
            factorization_copies: vec![None; factorizations.len()],
        }
    }

    fn run(mut self) -> (Vec<Instruction>, Vec<Slot>, Vec<Factorization>) {
        let mut missing = vec![true; self.cut.starts.len()];
        for instruction in &self.old[self.lives.turn..] {
            let mut instruction = instruction.clone();
            let mut segments = Vec::new();
            instruction.reads(|buffer| {
                if self.cut.forgotten[buffer] {
                    segments.push(self.cut.segment_of[self.lives.of[buffer].born]);
                }
            });
            for segment in segments {
                if std::mem::take(&mut missing[segment]) {
                    self.run_again(segment);
                }
            }
            self.redirect(&mut instruction);
            self.code.push(instruction);
        }
        (self.code, self.slots, self.factorizations)
    }

    /// Repeats what the forgotten values of a segment are computed with.
    fn run_again(&mut self, segment: usize) {
        let start = self.cut.starts[segment];
        let end = self.cut.starts.get(segment + 1).copied().unwrap_or(self.lives.turn);
        let mut wanted = Vec::new();
        // A value's users come after it, so going back all of them are known when its turn comes.
        for instruction in self.old[start..end].iter().rev() {
            let dst = instruction.dst;
            if self.copies[dst].is_none() {
                if !self.cut.forgotten[dst] {
                    continue;
                }
                self.copy(dst);
            }
            wanted.push(instruction);
            let mut again = instruction.clone();
            again.reads(|buffer| {
                if !self.cut.kept[buffer] && self.copies[buffer].is_none() {
                    self.copy(buffer);
                }
            });
        }
        for instruction in wanted.into_iter().rev() {
            let mut again = Instruction { again: true, ..instruction.clone() };
            self.redirect(&mut again);
            again.dst = self.copies[again.dst].unwrap_or(again.dst);
            if let Kernel::Factorize { which, .. } = &mut again.kernel {
                self.factorizations.push(self.factorizations[*which]);
                self.factorization_copies[*which] = Some(self.factorizations.len() - 1);
                *which = self.factorizations.len() - 1;
            }
            self.code.push(again);
        }
    }

    fn copy(&mut self, buffer: Buffer) {
        self.copies[buffer] = Some(self.slots.len());
        self.slots.push(self.slots[buffer]);
    }

    /// Lets an instruction read copies in place of what was forgotten.
    fn redirect(&self, instruction: &mut Instruction) {
        if let Some((factors, which)) = instruction.factors()
            && let (Some(copy), Some(which_copy)) = (self.copies[*factors], self.factorization_copies[*which])
        {
            (*factors, *which) = (copy, which_copy);
        }
        instruction.views(|view| {
            if let Place::Buffer(buffer) = &mut view.place {
                *buffer = self.copies[*buffer].unwrap_or(*buffer);
            }
        });
    }
}
