//! A plan that a person can read.

use crate::cost::{self, Kind};
use crate::kernels::arrange::Triangle;
use crate::plan::{Around, Buffer, Instruction, Kernel, Method, Place, Plan, Repeat, Slot, View};
use crate::routine::Routine;
use pullback_tape::{Literal, NodeId, Op, Shape};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::panic::Location;
use std::sync::Arc;

/// Longer steps are cut.
const STEP: usize = 44;
/// Longer formulas are shortened.
const FORMULA: usize = 64;

/// The instructions of a program, to be read or printed: see [`Program::plan`](crate::Program::plan).
///
/// Every line is one instruction, and `%n` is the value that the n-th one computes from inputs and from earlier
/// values. Under it stands the formula of the same value in terms of the inputs, and what was done to make it cheap.
/// A value that is written over another, such as a product that is added into a sum, has a number of its own.
#[derive(Clone)]
pub struct Listing {
    plan: Arc<Plan>,
    /// Bytes per number.
    size: usize,
    readings: Vec<Reading>,
}

/// What cannot be told from an instruction alone.
#[derive(Clone)]
struct Reading {
    step: String,
    stored: Stored,
    notes: Vec<String>,
    /// Whether the buffer now holds the value of the instruction's node, and not a part of it.
    complete: bool,
    /// The output that this is, and whether transposed.
    output: Option<(usize, bool)>,
}

/// Where a value is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Stored {
    /// In memory that was not used before.
    Fresh,
    /// Where a value was that nobody needs any more.
    After(usize),
    /// Over an operand, whose memory the value takes while it is computed.
    Over(usize),
}

impl Listing {
    pub(crate) fn new(plan: Arc<Plan>, size: usize) -> Self {
        let readings = Reader::new(&plan).read();
        Listing { plan, size, readings }
    }

    /// Number of instructions.
    pub fn len(&self) -> usize {
        self.readings.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// Instruction `%number`, counted from 1.
    pub fn get(&self, number: usize) -> Option<Line<'_>> {
        let index = number.checked_sub(1)?;
        let (instruction, reading) = (self.plan.code.get(index)?, self.readings.get(index)?);
        Some(Line { listing: self, number, instruction, reading })
    }

    /// All instructions, in the order in which they run.
    pub fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        (1..=self.len()).filter_map(|number| self.get(number))
    }

    /// Floating-point operations of a run, by the model of [`Kind`].
    pub fn flops(&self) -> u64 {
        self.plan.flops(|_| true)
    }

    /// Those of the instructions of one kind.
    pub fn flops_of(&self, kind: Kind) -> u64 {
        self.plan.flops(|other| other == kind)
    }

    /// Number of nodes that are not inputs or constants.
    pub fn nodes(&self) -> usize {
        self.plan.graph.nodes().iter().filter(|node| node.op.arity() > 0).count()
    }

    /// Bytes of memory for intermediate values, outputs and copies of small inputs.
    pub fn bytes(&self) -> usize {
        self.plan.numbers().saturating_mul(self.size)
    }

    /// Bytes that it would take to store the value of every node in a place of its own, inputs apart.
    pub fn bytes_of_all_values(&self) -> usize {
        self.plan.all_values().saturating_mul(self.size)
    }
}

/// One instruction of a [`Listing`].
#[derive(Clone, Copy)]
pub struct Line<'l> {
    listing: &'l Listing,
    number: usize,
    instruction: &'l Instruction,
    reading: &'l Reading,
}

impl<'l> Line<'l> {
    /// Its number, from 1: the value that it computes is `%number`.
    pub fn number(&self) -> usize {
        self.number
    }

    /// What it computes in terms of inputs and of earlier values: `½ W2ᵀ %3`.
    pub fn step(&self) -> &'l str {
        &self.reading.step
    }

    /// The same in terms of inputs and of what was given a name, shortened if it is long. Of a value that is
    /// computed in several steps, such as a sum of products, all steps have the formula of the whole.
    pub fn formula(&self) -> String {
        let (graph, id) = (&self.listing.plan.graph, self.instruction.node);
        let given = |id| {
            let node = graph.node(id);
            node.name.filter(|_| node.op.arity() > 0).map(|name| graph.name(name).to_owned())
        };
        let whole = graph.in_terms_of(id, given);
        if whole.chars().count() <= FORMULA { whole } else { graph.summary(id) }
    }

    /// Which output of the program this is, if it is one.
    pub fn output(&self) -> Option<usize> {
        self.reading.output.map(|(output, _)| output)
    }

    /// The kernel by which it is computed: `product`, `pass`, `solve`, ….
    pub fn kernel(&self) -> &'static str {
        cost::name(&self.instruction.kernel)
    }

    /// What kind of instruction it is.
    pub fn kind(&self) -> Kind {
        cost::kind(&self.instruction.kernel)
    }

    /// The operations of an elementwise pass; 1 for any other kernel.
    pub fn operations(&self) -> usize {
        match &self.instruction.kernel {
            Kernel::Elementwise(pass) | Kernel::SumOf { pass, .. } | Kernel::PutBackOf { pass, .. } => {
                pass.steps.len()
            }
            _ => 1,
        }
    }

    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        self.slot().shape
    }

    /// Floating-point operations, by the model of [`Kind`].
    pub fn flops(&self) -> u64 {
        cost::flops(
            &self.instruction.kernel,
            self.instruction.dst,
            &self.listing.plan.slots[..],
            &self.listing.plan.factorizations,
        )
    }

    /// Bytes that are read, every operand once.
    pub fn bytes_read(&self) -> u64 {
        cost::traffic(self.instruction, &self.listing.plan.slots).0.saturating_mul(self.listing.size as u64)
    }

    /// Bytes that are written.
    pub fn bytes_written(&self) -> u64 {
        cost::traffic(self.instruction, &self.listing.plan.slots).1.saturating_mul(self.listing.size as u64)
    }

    /// Where the result begins, in bytes from the beginning of the program's memory.
    pub fn offset(&self) -> usize {
        self.slot().offset.saturating_mul(self.listing.size)
    }

    /// Whose memory the result takes.
    pub fn stored(&self) -> Stored {
        self.reading.stored
    }

    /// The user's source line that it comes from.
    pub fn location(&self) -> &'static Location<'static> {
        self.listing.plan.graph.node(self.instruction.node).location
    }

    /// The identity by which the expression took the place of one that costs more.
    pub fn identity(&self) -> Option<&'static str> {
        self.listing.plan.graph.node(self.instruction.node).identity
    }

    /// Whether the same was computed before, and forgotten: see [`Options::recompute`](crate::Options::recompute).
    pub fn again(&self) -> bool {
        self.instruction.again
    }

    /// What was done to make it cheap, in words, the identity among them.
    pub fn rewrites(&self) -> &'l [String] {
        &self.reading.notes
    }

    fn slot(&self) -> &'l Slot {
        &self.listing.plan.slots[self.instruction.dst]
    }

    /// `%3 = W2 %2`, cut to a width.
    pub(crate) fn equation(&self) -> String {
        let lead = if self.listing.len() >= 10 && self.number < 10 { " " } else { "" };
        format!("{lead}%{} = {}", self.number, cut(self.step(), STEP))
    }

    /// The file, without its folders, and the line.
    pub(crate) fn place(&self) -> String {
        let location = self.location();
        let file = location.file().rsplit(['/', '\\']).next().unwrap_or_default();
        format!("{file}:{}", location.line())
    }

    /// What the value is: the output, its name, its formula in terms of inputs where that says more than the step.
    pub(crate) fn meaning(&self) -> Option<String> {
        let graph = &self.listing.plan.graph;
        let output = self.reading.output.map(|(output, transposed)| {
            let mark = if transposed { "ᵀ" } else { "" };
            format!("output {output}{mark}")
        });
        let name = graph.node(self.instruction.node).name.map(|name| graph.name(name).to_owned());
        let formula = Some(self.formula()).filter(|formula| self.reading.complete && formula != self.step());
        let mut words: Vec<String> =
            output.into_iter().chain(name.filter(|_| self.reading.complete)).collect();
        match formula {
            Some(formula) if words.is_empty() => words.push(format!("= {}", cut(&formula, FORMULA))),
            Some(formula) => words.push(cut(&formula, FORMULA)),
            None => {}
        }
        (!words.is_empty()).then(|| words.join(" = "))
    }

    fn memory(&self) -> String {
        let offset = bytes(self.offset() as u64);
        match self.stored() {
            Stored::Fresh => offset,
            Stored::After(number) => format!("{offset}, after %{number}"),
            Stored::Over(number) => format!("{offset}, over %{number}"),
        }
    }

    pub(crate) fn kernel_and_steps(&self) -> String {
        match &self.instruction.kernel {
            Kernel::Elementwise(pass) if pass.steps.len() != 1 => format!("pass of {}", pass.steps.len()),
            Kernel::SumOf { pass, .. } if pass.steps.len() != 1 => {
                format!("sum of a pass of {}", pass.steps.len())
            }
            Kernel::PutBackOf { pass, .. } if pass.steps.len() != 1 => {
                format!("columns of a pass of {}", pass.steps.len())
            }
            _ => self.kernel().to_owned(),
        }
    }
}

impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{} = {}: {}", self.number, self.step(), self.shape())
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            ("value", Align::Left),
            ("kernel", Align::Left),
            ("shape", Align::Right),
            ("flops", Align::Right),
            ("read", Align::Right),
            ("written", Align::Right),
            ("stored at", Align::Left),
            ("line", Align::Left),
        ]);
        for line in self.iter() {
            let cells = vec![
                line.equation(),
                line.kernel_and_steps(),
                line.shape().to_string(),
                count(line.flops()),
                bytes(line.bytes_read()),
                bytes(line.bytes_written()),
                line.memory(),
                line.place(),
            ];
            let remarks: Vec<String> =
                line.meaning().into_iter().chain(line.rewrites().iter().cloned()).collect();
            table.row(cells, remarks.join(" · "));
        }
        write!(f, "{table}")?;
        self.summary(f)
    }
}

impl Listing {
    /// Two lines: where the flops go, and how much memory that takes.
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.flops();
        let plural = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
        write!(f, "{} for {}: ", plural(self.len(), "instruction"), plural(self.nodes(), "node"))?;
        let (digits, prefix) = prefixed(total as f64);
        write!(f, "{digits} {prefix}flop")?;
        let mut kinds: Vec<(u64, Kind)> =
            Kind::ALL.into_iter().map(|kind| (self.flops_of(kind), kind)).collect();
        kinds.sort_by_key(|(flops, _)| std::cmp::Reverse(*flops));
        let parts = kinds.into_iter().filter(|(flops, _)| *flops > 0);
        let parts: Vec<_> = parts
            .map(|(flops, kind)| format!("{} {}", kind.name(), percent(flops as f64, total as f64)))
            .collect();
        if !parts.is_empty() {
            write!(f, " ({})", parts.join(", "))?;
        }
        let (arena, all) = (bytes(self.bytes() as u64), bytes(self.bytes_of_all_values() as u64));
        write!(f, "\n{arena} of memory, where a place for every value would take {all}")
    }
}

// ---- reading a plan --------------------------------------------------------------------------------------

/// Walks over the code and knows at every instruction which value each buffer holds.
struct Reader<'p> {
    plan: &'p Plan,
    /// By buffer, the number of the value that it holds.
    holds: Vec<usize>,
    /// By node, the number of its value.
    value_of: HashMap<NodeId, usize>,
    /// What was written last: from where a value begins in the arena, to where it ends and its number.
    at: BTreeMap<usize, (usize, usize)>,
    /// By factorization, how many read it.
    readers: Vec<usize>,
}

impl<'p> Reader<'p> {
    fn new(plan: &'p Plan) -> Self {
        let mut readers = vec![0; plan.factorizations.len()];
        for instruction in &plan.code {
            if let Some((_, &mut which)) = instruction.clone().factors() {
                readers[which] += 1;
            }
        }
        let (value_of, at) = (HashMap::new(), BTreeMap::new());
        Reader { plan, holds: vec![0; plan.slots.len()], value_of, at, readers }
    }

    fn read(mut self) -> Vec<Reading> {
        let mut readings: Vec<Reading> = Vec::with_capacity(self.plan.code.len());
        let last: HashMap<(Buffer, NodeId), usize> =
            (1..).zip(&self.plan.code).map(|(number, made)| ((made.dst, made.node), number)).collect();
        for (number, instruction) in (1..).zip(&self.plan.code) {
            let Instruction { dst, node, .. } = *instruction;
            let slot = &self.plan.slots[dst];
            let (step, mut notes) = (self.step(instruction), self.notes(instruction));
            if number <= self.plan.constants {
                notes.push("computed once".to_owned());
            }
            let stored = match (self.holds[dst], self.replace(slot, number)) {
                (0, None) => Stored::Fresh,
                (0, Some(other)) => {
                    let read = instruction
                        .operands()
                        .iter()
                        .filter_map(View::buffer)
                        .any(|b| self.holds[b] == other);
                    if read { Stored::Over(other) } else { Stored::After(other) }
                }
                (before, _) => Stored::Over(before),
            };
            let complete = last.get(&(dst, node)) == Some(&number) && !is_on_the_way(instruction);
            readings.push(Reading { step, stored, notes, complete, output: None });
            self.holds[dst] = number;
            if complete && slot.shape == self.plan.graph.node(node).shape {
                self.value_of.insert(node, number);
            }
        }
        for (i, output) in self.plan.outputs.iter().enumerate() {
            let number = output.buffer().map_or(0, |buffer| self.holds[buffer]);
            if let Some(reading) = number.checked_sub(1).and_then(|index| readings.get_mut(index)) {
                reading.output.get_or_insert((i, output.transposed));
            }
        }
        readings
    }

    /// Notes that a value is written, and returns the latest of those that it overwrites.
    fn replace(&mut self, slot: &Slot, number: usize) -> Option<usize> {
        let (start, end) = (slot.offset, slot.offset + slot.len());
        let mut latest = None;
        while let Some((&begins, &(ends, other))) = self.at.range(..end).next_back()
            && ends > start
        {
            self.at.remove(&begins);
            latest = latest.max(Some(other));
        }
        if start < end {
            self.at.insert(start, (end, number));
        }
        latest
    }

    fn buffer(&self, buffer: Buffer) -> String {
        format!("%{}", self.holds[buffer])
    }

    /// What a view shows, once: `A[2..4, ..]ᵀ`.
    fn once(&self, view: &View) -> String {
        let (name, whole) = match view.place {
            Place::Input(input) => (self.plan.inputs[input].name.clone(), self.plan.inputs[input].shape),
            Place::Buffer(buffer) => (self.buffer(buffer), self.plan.slots[buffer].shape),
            Place::One if view.shape.rows == 1 && view.shape.cols > 1 => return "𝟏ᵀ".to_owned(),
            Place::One => return "𝟏".to_owned(),
        };
        let name = match view.window {
            Some(start) => format!("{name}{}", part(start, view.stored(), whole)),
            None => name,
        };
        if view.transposed { name + "ᵀ" } else { name }
    }

    fn view(&self, view: &View) -> String {
        let name = self.once(view);
        match view.repeat {
            _ if view.is_ones() => name,
            Repeat::Cols => format!("{name} 𝟏ᵀ"),
            Repeat::Rows => format!("𝟏 {name}"),
            Repeat::No | Repeat::All => name,
        }
    }

    /// What an instruction computes, in terms of what was computed before.
    fn step(&self, instruction: &Instruction) -> String {
        let view = |view: &View| self.view(view);
        let before = self.buffer(instruction.dst);
        match &instruction.kernel {
            Kernel::MatMul { lhs, rhs, alpha, accumulate }
            | Kernel::SymmetricProduct { lhs, rhs, alpha, accumulate } => {
                let product = format!("{} {}", view(lhs), view(rhs));
                if *accumulate { added(before, *alpha, &product) } else { scaled(*alpha, &product) }
            }
            Kernel::Copy { a, alpha } if *alpha == 0.0 && a.is_ones() => "0".to_owned(),
            Kernel::Copy { a, alpha } => scaled(*alpha, &view(a)),
            Kernel::PutBackOf { accumulate: true, .. } => {
                let number = |id| self.value_of.get(&id).map(|number| format!("%{number}"));
                format!("{before}, and more for {}", self.plan.graph.in_terms_of(instruction.node, number))
            }
            Kernel::Elementwise(_) | Kernel::SumOf { .. } | Kernel::PutBackOf { .. } => {
                let number = |id| self.value_of.get(&id).map(|number| format!("%{number}"));
                self.plan.graph.in_terms_of(instruction.node, number)
            }
            Kernel::AddIdentity { alpha, factor } => {
                let identity = match factor {
                    Some(factor) if factor.shape.is_scalar() => view(factor) + " I",
                    Some(factor) => format!("Diag({})", view(factor)),
                    None => "I".to_owned(),
                };
                added(before, *alpha, &identity)
            }
            Kernel::Inner { a, b, alpha } if a == b => scaled(*alpha, &format!("‖{}‖²", view(a))),
            Kernel::Inner { a, b, alpha } => scaled(*alpha, &format!("⟨{}, {}⟩", view(a), view(b))),
            Kernel::Sum { a, alpha } => scaled(*alpha, &format!("sum({})", view(a))),
            Kernel::Trace { a, alpha } => scaled(*alpha, &format!("tr({})", view(a))),
            Kernel::Norm { a, alpha } => scaled(*alpha, &format!("‖{}‖", view(a))),
            Kernel::Diagonal { a, alpha } => scaled(*alpha, &format!("diag({})", view(a))),
            Kernel::Select { a, rows, back, columns, alpha, accumulate } => {
                let part = format!("I[{}]", self.plan.graph.indices_text(*rows));
                let part = if back != columns { part + "ᵀ" } else { part };
                let product =
                    if *columns { format!("{} {part}", view(a)) } else { format!("{part} {}", view(a)) };
                if *accumulate { added(before, *alpha, &product) } else { scaled(*alpha, &product) }
            }
            Kernel::PutBack { a, at, alpha, around } => {
                let part = part(*at, a.shape, self.plan.slots[instruction.dst].shape);
                match around {
                    Around::Zeros => format!("0 with {} in {part}", scaled(*alpha, &view(a))),
                    Around::Added => added(before, *alpha, &view(a)) + " in " + &part,
                }
            }
            Kernel::Stack { parts, under } => {
                let parts: Vec<_> = parts.iter().map(|(part, alpha)| scaled(*alpha, &view(part))).collect();
                format!("[{}]", parts.join(if *under { "; " } else { ", " }))
            }
            Kernel::Triangle { a, part, alpha } => scaled(*alpha, &triangle_of(*part, &view(a))),
            Kernel::CumulativeSums { a, part, columns, alpha } => {
                let ones = match (part.upper != *columns, part.strict) {
                    (false, false) => "𝟏[i ≥ j]",
                    (false, true) => "𝟏[i > j]",
                    (true, false) => "𝟏[i ≤ j]",
                    (true, true) => "𝟏[i < j]",
                };
                let product =
                    if *columns { format!("{} {ones}", view(a)) } else { format!("{ones} {}", view(a)) };
                scaled(*alpha, &product)
            }
            Kernel::Reshape { a, alpha } => {
                let shape = self.plan.slots[instruction.dst].shape;
                scaled(*alpha, &format!("reshape({}, {shape})", view(a)))
            }
            Kernel::Mirror { update: None } => format!("{before}, both triangles"),
            Kernel::Mirror { update: Some((alpha, u)) } => {
                let outer = format!("{} {}", view(u), view(&u.transpose()));
                added(before, *alpha, &outer) + ", both triangles"
            }
            Kernel::LogSumExp { a } => format!("logsumexp({})", view(a)),
            Kernel::Softmax { a } => format!("softmax({})", view(a)),
            Kernel::TriangularProduct { lhs, rhs, parts, mirrored, alpha } => {
                let product = format!("{} {}", view(lhs), view(rhs));
                let part = scaled(*alpha, &triangle_of(parts.dst, &product));
                if *mirrored { format!("{part}, both triangles") } else { part }
            }
            Kernel::Factorize { a, alpha, which, .. } => {
                let method = match self.plan.factorizations[*which].method {
                    Method::Lu => "LU",
                    Method::Cholesky => "Cholesky",
                };
                format!("{method}({})", scaled(*alpha, &view(a)))
            }
            Kernel::Solve { factors, transposed, turned, .. } => {
                let inverse = if transposed != turned { "⁻ᵀ" } else { "⁻¹" };
                let inverse = format!("{}{inverse}", self.buffer(*factors));
                if *turned { format!("{before} {inverse}") } else { format!("{inverse} {before}") }
            }
            Kernel::TriangularSolve { a, upper, unit, turned } => {
                let triangle = match (upper, unit) {
                    (false, false) => format!("tril({})", view(a)),
                    (true, false) => format!("triu({})", view(a)),
                    (false, true) => format!("(I + tril({}, −1))", view(a)),
                    (true, true) => format!("(I + triu({}, 1))", view(a)),
                };
                if *turned {
                    format!("{before} {triangle}⁻ᵀ")
                } else {
                    format!("{triangle}⁻¹ {before}")
                }
            }
            Kernel::Inverse { factors, .. } => format!("{}⁻¹", self.buffer(*factors)),
            Kernel::DefiniteInverse { factors, alpha, accumulate, .. } => {
                let inverse = format!("{}⁻¹", self.buffer(*factors));
                if *accumulate { added(before, *alpha, &inverse) } else { scaled(*alpha, &inverse) }
            }
            Kernel::Det { factors, .. } => format!("det({})", self.buffer(*factors)),
            Kernel::Adjugate { factors, .. } => format!("adj({})", self.buffer(*factors)),
            Kernel::LogDet { factors, .. } => format!("log |det {}|", self.buffer(*factors)),
            Kernel::Part { a, .. } => {
                format!("{} of {}", self.plan.graph.node(instruction.node).op.name(), view(a))
            }
            Kernel::Routine { routine: Routine::Decompose(_), args } => {
                let args: Vec<_> = args.iter().map(view).collect();
                format!("decompose({})", args.join(", "))
            }
            Kernel::Routine { routine: Routine::Positions, args } => {
                let args: Vec<_> = args.iter().map(view).collect();
                format!("positions({})", args.join(", "))
            }
            Kernel::Routine { .. } | Kernel::Custom { .. } => {
                let number = |id| self.value_of.get(&id).map(|number| format!("%{number}"));
                self.plan.graph.in_terms_of(instruction.node, number)
            }
            Kernel::Opaque { args, .. } => {
                let mut args = args.iter().map(view);
                let at = args.next().unwrap_or_default();
                let directions: Vec<_> = args.collect();
                let directions = if directions.is_empty() {
                    String::new()
                } else {
                    format!("[{}]", directions.join(", "))
                };
                format!("{}({at}){directions}", self.plan.graph.head(instruction.node))
            }
        }
    }

    /// What was done to make an instruction cheap.
    fn notes(&self, instruction: &Instruction) -> Vec<String> {
        let mut notes = Vec::new();
        let node = self.plan.graph.node(instruction.node);
        if instruction.again {
            notes.push("computed again".to_owned());
        }
        notes.extend(node.identity.map(|identity| format!("by {identity}")));
        let mut transposed: Vec<String> = Vec::new();
        for view in instruction.operands() {
            let vector = view.shape.rows == 1 || view.shape.cols == 1;
            let text = self.once(&view);
            if view.transposed && !vector && !view.is_ones() && !transposed.contains(&text) {
                transposed.push(text);
            }
        }
        if !transposed.is_empty() {
            let verb = if transposed.len() == 1 { "is a view" } else { "are views" };
            notes.push(format!("{} {verb}", transposed.join(" and ")));
        }
        match &instruction.kernel {
            Kernel::MatMul { alpha, .. }
            | Kernel::SymmetricProduct { alpha, .. }
            | Kernel::TriangularProduct { alpha, .. }
            | Kernel::DefiniteInverse { alpha, .. }
            | Kernel::Mirror { update: Some((alpha, _)) }
            | Kernel::Diagonal { alpha, .. }
            | Kernel::Select { alpha, .. }
            | Kernel::PutBack { alpha, .. }
            | Kernel::Triangle { alpha, .. }
            | Kernel::CumulativeSums { alpha, .. }
            | Kernel::Reshape { alpha, .. }
            | Kernel::Inner { alpha, .. }
            | Kernel::Sum { alpha, .. }
            | Kernel::Trace { alpha, .. }
            | Kernel::Norm { alpha, .. }
                if alpha.abs() != 1.0 =>
            {
                notes.push(format!("alpha = {}", Literal::new(*alpha)));
            }
            Kernel::Factorize { which, .. } if self.readers[*which] > 1 => {
                notes.push(format!("one factorization for {}", self.readers[*which]));
            }
            _ => {}
        }
        if matches!(instruction.kernel, Kernel::SymmetricProduct { .. }) {
            notes.push("one triangle".to_owned());
        }
        if node.op == Op::MatMul && instruction.operands().iter().any(View::is_ones) {
            notes.push("𝟏 is not stored".to_owned());
        }
        notes
    }
}

/// Whether an instruction computes something else than the value of its node.
fn is_on_the_way(instruction: &Instruction) -> bool {
    let routine = |kernel: &Kernel| matches!(kernel, Kernel::Routine { routine: Routine::Positions, .. });
    matches!(instruction.kernel, Kernel::Factorize { lower: false, .. }) || routine(&instruction.kernel)
}

/// The part of a matrix that begins in this row and this column: `[2..4, ..]`.
fn part(start: [usize; 2], part: Shape, whole: Shape) -> String {
    let range = |start: usize, len: usize, whole: usize| match start + len {
        end if start == 0 && end == whole => "..".to_owned(),
        _ if len == 1 => start.to_string(),
        end => format!("{start}..{end}"),
    };
    let [i, j] = start;
    format!("[{}, {}]", range(i, part.rows, whole.rows), range(j, part.cols, whole.cols))
}

/// `tril(x)` and its like.
fn triangle_of(part: Triangle, x: &str) -> String {
    let name = if part.upper { "triu" } else { "tril" };
    let offset = match (part.strict, part.upper) {
        (false, _) => "",
        (true, true) => ", 1",
        (true, false) => ", −1",
    };
    format!("{name}({x}{offset})")
}

/// `c x`
fn scaled(c: f64, x: &str) -> String {
    match c {
        1.0 => x.to_owned(),
        -1.0 => format!("−{x}"),
        c if x == "𝟏" => Literal::new(c).to_string(),
        c => format!("{} {x}", Literal::new(c)),
    }
}

/// `before + c x`
fn added(before: String, c: f64, x: &str) -> String {
    let sign = if c < 0.0 { '−' } else { '+' };
    format!("{before} {sign} {}", scaled(c.abs(), x))
}

// ---- numbers and tables ----------------------------------------------------------------------------------

pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Three digits and a prefix.
fn prefixed(n: f64) -> (String, &'static str) {
    let prefixes = ["", "k", "M", "G", "T", "P", "E"];
    let (mut n, mut k) = (n, 0);
    while n >= 999.5 && k + 1 < prefixes.len() {
        n /= 1000.0;
        k += 1;
    }
    let digits = match n {
        _ if k == 0 => 0,
        n if n < 9.995 => 2,
        n if n < 99.95 => 1,
        _ => 0,
    };
    (format!("{n:.digits$}"), prefixes[k])
}

/// `5.98 M`
pub(crate) fn count(n: u64) -> String {
    let (digits, prefix) = prefixed(n as f64);
    if prefix.is_empty() { digits } else { format!("{digits} {prefix}") }
}

/// `5.98 MB`
pub(crate) fn bytes(n: u64) -> String {
    let (digits, prefix) = prefixed(n as f64);
    format!("{digits} {prefix}B")
}

pub(crate) fn percent(part: f64, whole: f64) -> String {
    let percent = if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
    if percent > 0.0 && percent < 0.05 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells in columns, each row with a remark under it if there is something to say.
pub(crate) struct Table {
    columns: Vec<Align>,
    rows: Vec<(Vec<String>, String)>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let header = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        Table {
            columns: columns.iter().map(|(_, align)| *align).collect(),
            rows: vec![(header, String::new())],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>, remark: String) {
        self.rows.push((cells, remark));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = vec![0; self.columns.len()];
        for (cells, _) in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (cells, remark) in &self.rows {
            let mut text = String::new();
            for ((cell, &width), align) in cells.iter().zip(&widths).zip(&self.columns) {
                match align {
                    Align::Left => write!(text, "{cell:<width$}  ")?,
                    Align::Right => write!(text, "{cell:>width$}  ")?,
                }
            }
            writeln!(f, "{}", text.trim_end())?;
            if !remark.is_empty() {
                writeln!(f, "        {remark}")?;
            }
        }
        Ok(())
    }
}
