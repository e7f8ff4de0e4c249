//! Operations of the user's own.

use crate::graph::{Graph, NodeId};
use crate::{Error, Op, Shape, Slot, Structure, Tape, Var};
use std::any::Any;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How an operation of one's own depends on an argument.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Argument {
    /// Linear, the other arguments being held.
    Linear,
    /// In any other way.
    Nonlinear,
}

/// An operation of one's own may have so many arguments.
pub(crate) const MOST_ARGUMENTS: usize = 16;

/// Which operation of one's own, and in which of its arguments it is linear.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CustomOp {
    index: u32,
    arity: u8,
    /// One bit for each argument.
    linear: u16,
}

impl CustomOp {
    /// Some operation that is on no tape, linear in the second of two arguments: for tests that walk the list.
    pub(crate) const ANY: CustomOp = CustomOp { index: u32::MAX, arity: 2, linear: 0b10 };

    pub(crate) const fn arity(self) -> usize {
        self.arity as usize
    }

    pub(crate) const fn slot(self, slot: usize) -> Slot {
        if slot < MOST_ARGUMENTS && self.linear >> slot & 1 == 1 {
            Slot::Multilinear
        } else {
            Slot::Nonlinear
        }
    }
}

type ShapeRule = dyn Fn(&[Shape]) -> Result<Shape, String> + Send + Sync;
type StructureRule = dyn Fn(&[Structure]) -> Structure + Send + Sync;
type Luggage = Arc<dyn Any + Send + Sync>;

/// What a tape knows of an operation of one's own: a name, a shape rule, and in which arguments it is linear.
///
/// How it varies and how it runs are luggage, which the rule book and the engine open. Most users want `pullback::CustomOp`,
/// which packs it.
#[derive(Clone)]
pub struct Custom {
    id: u64,
    name: String,
    arguments: Vec<Argument>,
    shape: Arc<ShapeRule>,
    structure: Arc<StructureRule>,
    rules: Luggage,
    kernel: Luggage,
}

impl Custom {
    /// An operation with so many arguments. The shape of its value follows from theirs, or there is in words why not.
    pub fn new(
        name: impl Into<String>,
        arguments: &[Argument],
        shape: impl Fn(&[Shape]) -> Result<Shape, String> + Send + Sync + 'static,
    ) -> Self {
        Custom {
            id: Custom::fresh(),
            name: name.into(),
            arguments: arguments.to_vec(),
            shape: Arc::new(shape),
            structure: Arc::new(|_| Structure::General),
            rules: Arc::new(()),
            kernel: Arc::new(()),
        }
    }

    /// A number for two operations that belong to each other: this one and its successor are not used again.
    pub fn fresh() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(2, Ordering::Relaxed)
    }

    /// Sets the number by which a tape tells whether two operations are the same one.
    pub fn id(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// Adds what is known of a square value from what is known of the arguments.
    pub fn structure(mut self, rule: impl Fn(&[Structure]) -> Structure + Send + Sync + 'static) -> Self {
        self.structure = Arc::new(rule);
        self
    }

    /// Adds what the rule book opens.
    pub fn with_rules(mut self, rules: impl Any + Send + Sync) -> Self {
        self.rules = Arc::new(rules);
        self
    }

    /// Adds what the engine opens.
    pub fn with_kernel(mut self, kernel: impl Any + Send + Sync) -> Self {
        self.kernel = Arc::new(kernel);
        self
    }

    /// The name in formulas.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it depends on its arguments.
    pub fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    /// The shape of the value, or in words why there is none.
    ///
    /// # Errors
    /// What the shape rule says.
    pub fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        (self.shape)(args)
    }

    /// What the rule book opens.
    pub fn rules(&self) -> &(dyn Any + Send + Sync) {
        &*self.rules
    }

    /// What the engine opens.
    pub fn kernel(&self) -> &(dyn Any + Send + Sync) {
        &*self.kernel
    }

    pub(crate) fn structure_of(&self, args: &[Structure]) -> Structure {
        (self.structure)(args)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom")
            .field("name", &self.name)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

impl Graph {
    /// An operation of one's own on this graph.
    pub fn custom(&self, op: CustomOp) -> Option<&Arc<Custom>> {
        self.customs.get(op.index as usize)
    }

    /// The operation, which is listed if it is new here.
    fn listed(&mut self, custom: &Arc<Custom>) -> CustomOp {
        let known = self.customs.iter().position(|known| known.id == custom.id);
        let index = known.unwrap_or_else(|| {
            self.customs.push(custom.clone());
            self.customs.len() - 1
        });
        let linear = (0..).zip(&custom.arguments).filter(|(_, argument)| **argument == Argument::Linear);
        CustomOp {
            index: index as u32,
            arity: custom.arguments.len() as u8,
            linear: linear.fold(0, |mask, (slot, _): (u32, _)| mask | 1 << slot),
        }
    }

    pub(crate) fn custom_structure(&self, op: CustomOp, args: &[NodeId]) -> Structure {
        let known: Vec<_> = args.iter().map(|&arg| self.node(arg).structure).collect();
        self.custom(op).map_or(Structure::General, |custom| custom.structure_of(&known))
    }
}

impl Tape {
    /// Records an operation of one's own.
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if the shape rule refuses the arguments, or there are too many or too few;
    /// [`Error::Argument`] if the operation has none, or more than 16; those of [`apply`](Tape::apply).
    #[track_caller]
    pub fn custom<'t>(&'t self, custom: &Arc<Custom>, args: &[Var<'t>]) -> Var<'t> {
        let location = Location::caller();
        if !(1..=MOST_ARGUMENTS).contains(&custom.arguments.len()) {
            let problem =
                format!("has {} arguments; 1 to {MOST_ARGUMENTS} are possible", custom.arguments.len());
            return self.mistake(Error::Argument { call: custom.name.clone(), problem, location });
        }
        let op = self.with_graph(|graph| graph.listed(custom));
        self.record(Op::Custom(op), args, location)
    }

    /// What was recorded as this operation.
    pub fn custom_of(&self, op: CustomOp) -> Option<Arc<Custom>> {
        self.graph_ref().custom(op).cloned()
    }

    /// An expression that is a mistake: what is made of it, and the first call that can return an error, tells of it.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let never = tape.refuse("kernel", "there is no third derivative");
    /// assert!((2.0 * never).check().unwrap_err().to_string().starts_with("kernel: there is no third derivative ("));
    /// ```
    #[track_caller]
    pub fn refuse(&self, call: &str, problem: &str) -> Var<'_> {
        let (call, problem) = (call.to_owned(), problem.to_owned());
        self.mistake(Error::Argument { call, problem, location: self.location(Location::caller()) })
    }
}
