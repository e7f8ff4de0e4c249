use crate::graph::{Graph, NodeId};
use crate::normal::Recorder;
use crate::op::{Literal, Name};
use crate::{Declaration, Error, Op, Shape, Structure, Var};
use std::cell::{Cell, Ref, RefCell};
use std::panic::Location;

/// A record of matrix expressions: shapes, names and operations, never numbers.
///
/// Equal expressions are one node (hash-consing), and every expression is kept in a normal form: `(Xᵀ)ᵀ` is
/// `X`, units and zeros vanish, scalars move to the front and transposes outwards. A zero that is known from
/// its structure annihilates: `0 X` is `0` even where `X` will hold a NaN.
///
/// ```
/// use pullback_tape::Tape;
/// let tape = Tape::new();
/// let w = tape.input("W", (10, 64));
/// let x = tape.input("X", (64, 500));
/// let y = tape.input("Y", (10, 500));
/// let loss = (w * x - y).norm_squared() / 500.0;
/// assert_eq!(loss.to_string(), "1/500 ‖W X − Y‖²");
/// ```
#[derive(Default)]
pub struct Tape {
    recorder: RefCell<Recorder>,
    origin: Cell<Option<&'static Location<'static>>>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Tape::default()
    }

    /// A matrix that is bound by its name when a program runs.
    ///
    /// Asking again for the same name and shape gives the same `Var`.
    ///
    /// # Errors
    /// (deferred) [`Error::InputRedeclared`] if the name was declared with another shape, [`Error::TooLarge`].
    #[track_caller]
    pub fn input(&self, name: &str, shape: impl Into<Shape>) -> Var<'_> {
        let id = self.recorder.borrow_mut().input(name, shape.into(), None, Location::caller());
        self.wrap(id)
    }

    /// An input of which more is known.
    ///
    /// # Errors
    /// (deferred) Those of [`input`](Tape::input), also if something else was declared before; [`Error::Shape`] if a
    /// symmetric matrix is not square.
    #[track_caller]
    pub fn declare(&self, name: &str, shape: impl Into<Shape>, declaration: Declaration) -> Var<'_> {
        let (shape, declaration) = (shape.into(), Some(declaration));
        let id = self.recorder.borrow_mut().input(name, shape, declaration, Location::caller());
        self.wrap(id)
    }

    /// Data: an input that stays the same from run to run.
    ///
    /// A program computes what depends on constants alone once, when they are bound. See [`declare`](Tape::declare).
    #[track_caller]
    pub fn constant(&self, name: &str, shape: impl Into<Shape>) -> Var<'_> {
        self.declare(name, shape, Declaration::new().constant())
    }

    /// A symmetric n×n input.
    ///
    /// A gradient in it is the symmetric one: `f(A + ε) = f(A) + ⟨∇f(A), ε⟩ + o(‖ε‖)` for every *symmetric* ε.
    /// See [`declare`](Tape::declare).
    #[track_caller]
    pub fn symmetric(&self, name: &str, n: usize) -> Var<'_> {
        self.declare(name, (n, n), Declaration::new().structure(Structure::Symmetric))
    }

    /// A symmetric positive definite n×n input: it is factorized by Cholesky.
    ///
    /// A gradient in it is that of a [symmetric](Tape::symmetric) input.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (k, y) = (tape.positive_definite("K", 3), tape.input("y", (3, 1)));
    /// assert_eq!((y.t() * k.inv().t() * y + k.log_det()).to_string(), "yᵀ K⁻¹ y + log |det K|");
    /// ```
    #[track_caller]
    pub fn positive_definite(&self, name: &str, n: usize) -> Var<'_> {
        self.declare(name, (n, n), Declaration::new().structure(Structure::Definite))
    }

    /// A fresh perturbation, to differentiate with on paper: it prints, and no program can evaluate it.
    #[track_caller]
    pub fn symbol(&self, name: &str, shape: impl Into<Shape>) -> Var<'_> {
        let at = self.location(Location::caller());
        let id = self.recorder.borrow_mut().symbol(name, shape.into(), at);
        self.wrap(id)
    }

    /// A fresh perturbation that is symmetric: one of a symmetric matrix.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let e = tape.symmetric_symbol("ε", 3);
    /// assert!(e.t().same(e));
    /// ```
    #[track_caller]
    pub fn symmetric_symbol(&self, name: &str, n: usize) -> Var<'_> {
        let at = self.location(Location::caller());
        let id = self.recorder.borrow_mut().symmetric_symbol(name, n, at);
        self.wrap(id)
    }

    /// A 1×1 literal.
    #[track_caller]
    pub fn scalar(&self, value: f64) -> Var<'_> {
        self.leaf(Op::Scalar(Literal::new(value)), Shape::SCALAR, Location::caller())
    }

    /// The n×n identity matrix.
    #[track_caller]
    pub fn identity(&self, n: usize) -> Var<'_> {
        self.leaf(Op::Identity, Shape::new(n, n), Location::caller())
    }

    /// The zero matrix.
    #[track_caller]
    pub fn zeros(&self, shape: impl Into<Shape>) -> Var<'_> {
        self.leaf(Op::Zeros, shape.into(), Location::caller())
    }

    /// The matrix of ones. A column of them sums rows, `X 𝟏`, and repeats a row, `𝟏 r`.
    #[track_caller]
    pub fn ones(&self, shape: impl Into<Shape>) -> Var<'_> {
        self.leaf(Op::Ones, shape.into(), Location::caller())
    }

    /// 1 on and below the diagonal, 0 above; `strict`: 0 on it too. It is never stored: an entrywise product with it is a
    /// lower triangle, a matrix product a cumulative sum. See [`Var::tril`] and [`Var::cumulative_sums`].
    #[track_caller]
    pub fn triangle(&self, shape: impl Into<Shape>, strict: bool) -> Var<'_> {
        self.leaf(Op::Triangle { strict }, shape.into(), Location::caller())
    }

    /// The rows with these indices of the n×n identity matrix, in this order: `len`×n. It is never stored: a product with it
    /// picks rows, and a product with its transpose puts them back. See [`Var::select_rows`].
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if there is no such row, [`Error::TooLarge`].
    #[track_caller]
    pub fn selection(&self, indices: &[usize], n: usize) -> Var<'_> {
        let location = self.location(Location::caller());
        let mut recorder = self.recorder.borrow_mut();
        let shape = Shape::new(indices.len(), n);
        let id = match indices.iter().find(|&&row| row >= n) {
            None if shape.len().is_none() => {
                Err(recorder.mistake(Error::TooLarge { formula: "I".to_owned(), shape, location }))
            }
            None => Ok(recorder.selection(indices, n, location)),
            Some(row) => Err(recorder.mistake(Error::Shape {
                op: "selection",
                formula: format!("rows of I, {n}×{n}"),
                shapes: vec![Shape::new(n, n)],
                problem: format!("there is no row {row}"),
                location,
            })),
        };
        drop(recorder);
        self.wrap(id)
    }

    /// An opaque scalar function of a matrix, `L(w)`, with derivatives `∇L`, `∇²L`, …
    ///
    /// It stands for an arbitrary loss in a formula. A program that evaluates it needs a definition.
    ///
    /// # Derivative
    /// `D L(W)[ε] = ⟨∇L(W), ε⟩`, and `D ∇ᵏL(W)[V…][ε] = ∇ᵏ⁺¹L(W)[V…, ε]`.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let w = tape.input("W", (3, 4));
    /// assert_eq!(tape.function("L", w).to_string(), "L(W)");
    /// ```
    #[track_caller]
    pub fn function<'t>(&'t self, name: &str, w: Var<'t>) -> Var<'t> {
        let location = Location::caller();
        let name = self.recorder.borrow_mut().intern_name(name);
        self.record(Op::Opaque { name, order: 0 }, &[w], location)
    }

    /// Records `op` of `args`: the one door through which every expression comes.
    ///
    /// The rules use it to apply an op to other arguments than those it was recorded with. Leaves are declared
    /// by their own methods.
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`], [`Error::ForeignVar`], [`Error::TooLarge`].
    #[track_caller]
    pub fn apply<'t>(&'t self, op: Op, args: &[Var<'t>]) -> Var<'t> {
        self.record(op, args, Location::caller())
    }

    /// Attributes what `record` records to `location`: a derivative's nodes to the line of what they
    /// differentiate.
    pub fn attributed<R>(&self, location: &'static Location<'static>, record: impl FnOnce() -> R) -> R {
        let before = self.origin.replace(Some(location));
        let result = record();
        self.origin.set(before);
        result
    }

    /// Notes on what `record` records the identity by which it replaces what was written, such as
    /// `tr(A B) = ⟨Aᵀ, B⟩`, for whoever reads the plan of a program.
    pub fn by<R>(&self, identity: &'static str, record: impl FnOnce() -> R) -> R {
        let before = self.recorder.borrow_mut().identity.replace(identity);
        let result = record();
        self.recorder.borrow_mut().identity = before;
        result
    }

    /// A snapshot of the nodes that `outputs` need.
    ///
    /// # Errors
    /// The first mistake that was recorded in one of the outputs, or [`Error::ForeignVar`].
    #[track_caller]
    pub fn graph(&self, outputs: &[Var<'_>]) -> Result<Graph, Error> {
        let mut ids = Vec::with_capacity(outputs.len());
        for &output in outputs {
            self.index(output)?;
            ids.push(output.valid()?);
        }
        Ok(self.recorder.borrow().graph.extract(&ids))
    }

    /// Every input declared so far: name and shape, in the order of declaration.
    pub fn inputs(&self) -> Vec<(String, Shape)> {
        self.recorder.borrow().inputs()
    }

    /// The index of an expression of this tape.
    ///
    /// # Errors
    /// The first mistake that was recorded in it, or [`Error::ForeignVar`].
    #[track_caller]
    pub fn index(&self, var: Var<'_>) -> Result<usize, Error> {
        Ok(self.own(var, "expression", Location::caller())?.valid()?.index())
    }

    /// The expression with this index, if so many were recorded.
    pub fn var(&self, index: usize) -> Option<Var<'_>> {
        (index < self.len()).then(|| self.wrap(Ok(NodeId(index as u32))))
    }

    /// Number of nodes recorded.
    pub fn len(&self) -> usize {
        self.recorder.borrow().graph.nodes.len()
    }

    /// Whether nothing has been recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn record<'t>(&'t self, op: Op, args: &[Var<'t>], at: &'static Location<'static>) -> Var<'t> {
        let at = self.location(at);
        let mut ids = crate::graph::Args::new();
        for arg in args {
            match self.own(*arg, op.name(), at) {
                // A mistake made earlier stays the one that is reported.
                Ok(arg) if arg.id.is_err() => return arg,
                Ok(Var { id: Ok(id), .. }) => ids.push(id),
                Ok(arg) => return arg,
                Err(error) => return self.wrap(Err(self.recorder.borrow_mut().mistake(error))),
            }
        }
        let id = self.recorder.borrow_mut().apply(op, &ids, at);
        self.wrap(id)
    }

    fn leaf(&self, op: Op, shape: Shape, at: &'static Location<'static>) -> Var<'_> {
        let id = self.recorder.borrow_mut().leaf(op, shape, self.location(at));
        self.wrap(id)
    }

    /// Records a mistake.
    pub(crate) fn mistake(&self, error: Error) -> Var<'_> {
        self.wrap(Err(self.recorder.borrow_mut().mistake(error)))
    }

    pub(crate) fn location(&self, caller: &'static Location<'static>) -> &'static Location<'static> {
        self.origin.get().unwrap_or(caller)
    }

    /// `var` itself if it belongs here.
    pub(crate) fn own<'v>(
        &self,
        var: Var<'v>,
        op: &'static str,
        location: &'static Location<'static>,
    ) -> Result<Var<'v>, Error> {
        if std::ptr::eq(self, var.tape) {
            return Ok(var);
        }
        Err(Error::ForeignVar { op, operand: var.summary(), location })
    }

    fn wrap(&self, id: Result<NodeId, usize>) -> Var<'_> {
        Var { tape: self, id }
    }

    pub(crate) fn graph_ref(&self) -> Ref<'_, Graph> {
        Ref::map(self.recorder.borrow(), |recorder| &recorder.graph)
    }

    pub(crate) fn with_graph<R>(&self, change: impl FnOnce(&mut Graph) -> R) -> R {
        change(&mut self.recorder.borrow_mut().graph)
    }

    pub(crate) fn error(&self, index: usize) -> Option<Error> {
        self.recorder.borrow().errors.get(index).cloned()
    }

    pub(crate) fn set_name(&self, id: NodeId, name: &str) {
        let mut recorder = self.recorder.borrow_mut();
        let name: Name = recorder.intern_name(name);
        recorder.graph.nodes[id.index()].name = Some(name);
    }
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tape({} nodes)", self.len())
    }
}
