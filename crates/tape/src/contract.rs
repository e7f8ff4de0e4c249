//! Products of several matrices, and sums of products by their indices.
//!
//! All of them are compositions. In which order a chain of products is cheapest is left to whoever optimizes it: as written
//! here, none forms more than its operands and its result need.

use crate::{Error, Shape, Tape, Var};
use std::panic::Location;

impl Tape {
    /// The product `X₁ X₂ ⋯ Xₖ` of one or more matrices; a 1×1 among them scales. A compiled program multiplies them in the
    /// order that costs least.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, b, c) = (tape.input("A", (2, 3)), tape.input("B", (3, 4)), tape.input("c", (4, 1)));
    /// assert_eq!(tape.multi_dot(&[a, b, c]).to_string(), "A B c");
    /// ```
    ///
    /// # Derivative
    /// `Σₖ X₁ ⋯ εₖ ⋯ Xₙ`
    ///
    /// # Errors
    /// (deferred) [`Error::Argument`] if there is no matrix, [`Error::Shape`] if two neighbours do not conform.
    #[track_caller]
    pub fn multi_dot<'t>(&'t self, factors: &[Var<'t>]) -> Var<'t> {
        let Some((&first, rest)) = factors.split_first() else {
            let problem = "a product needs a factor".to_owned();
            return self.misused("multi_dot([])".to_owned(), problem, Location::caller());
        };
        let mut product = match self.own(first, "multi_dot", Location::caller()) {
            Ok(first) => first,
            Err(error) => return self.mistake(error),
        };
        for &factor in rest {
            product = product * factor;
        }
        product
    }

    /// A sum of products, written by its indices: `einsum("ij,jk->ik", &[A, B])` is `Σⱼ Aᵢⱼ Bⱼₖ`, the product `A B`.
    ///
    /// Before the arrow stand the indices of one or two operands, behind it those of the result: none for a 1×1, one for a column
    /// (an operand may be a row too), two for a matrix. An index is a letter. What does not stand behind the arrow is
    /// summed over, and what stands twice at one operand is its diagonal.
    ///
    /// | subscripts | is |
    /// |---|---|
    /// | `ij->ji` | `Aᵀ` |
    /// | `ii->`, `ii->i` | `tr A`, `diag(A)` |
    /// | `ij->`, `ij->i`, `ij->j` | `𝟏ᵀ A 𝟏`, `A 𝟏`, `Aᵀ 𝟏` |
    /// | `ij,jk->ik`, `ij,j->i` | `A B`, `A b` |
    /// | `ij,ij->`, `ij,ij->ij` | `⟨A, B⟩`, `A ∘ B` |
    /// | `ij,ij->j`, `ij,kj->ik` | [`col_inner`](Var::col_inner) as a column, `A Bᵀ` |
    /// | `ij,j->ij`, `i,j->ij` | `A Diag(b)`, `a bᵀ` |
    /// | `ij,jk->` | `(Aᵀ 𝟏)ᵀ (B 𝟏)`, without the product |
    ///
    /// What one operand alone is summed over is summed first, and no product is larger than the result. So it costs as much as
    /// the operands have entries, or else one product of matrices.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, b) = (tape.input("A", (2, 3)), tape.input("B", (4, 3)));
    /// assert_eq!(tape.einsum("ij,kj->ik", &[a, b]).to_string(), "A Bᵀ");
    /// assert_eq!(tape.einsum("ij,ij->", &[a, a]).to_string(), "‖A‖²");
    /// assert!(tape.einsum("ij,kl->ijkl", &[a, b]).check().is_err());
    /// ```
    ///
    /// # Derivative
    /// The same sum with ε in the place of each operand.
    ///
    /// # Errors
    /// (deferred) [`Error::Argument`] if the subscripts cannot be read, need another number of operands, do not fit their shapes,
    /// or ask for a result of more than two indices or of one index twice.
    #[track_caller]
    pub fn einsum<'t>(&'t self, subscripts: &str, operands: &[Var<'t>]) -> Var<'t> {
        let location = Location::caller();
        for &operand in operands {
            match self.own(operand, "einsum", location) {
                Ok(operand) if operand.id.is_err() => return operand,
                Ok(_) => {}
                Err(error) => return self.mistake(error),
            }
        }
        let (terms, result) = match read(subscripts, operands) {
            Ok(read) => read,
            Err(problem) => return self.misused(format!("einsum({subscripts:?})"), problem, location),
        };
        let value = match terms[..] {
            [a] => a.alone(&[], &result),
            [a, b] => {
                let (a, b) = (a.alone(b.indices(), &result), b.alone(a.indices(), &result));
                a.times(b, &result)
            }
            _ => return self.misused(format!("einsum({subscripts:?})"), ONE_OR_TWO.to_owned(), location),
        };
        if value.indices() == result { value.var } else { value.var.t() }
    }
}

const ONE_OR_TWO: &str = "there are one or two operands";

/// A matrix whose rows and columns have names, a column whose rows have one, or a 1×1.
#[derive(Clone, Copy)]
struct Term<'t> {
    var: Var<'t>,
    names: [char; 2],
    order: usize,
}

/// The operands with their indices, and the indices of the result, or what is wrong with them.
fn read<'t>(subscripts: &str, operands: &[Var<'t>]) -> Result<(Vec<Term<'t>>, Vec<char>), String> {
    let text: String = subscripts.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) =
        text.split_once("->").ok_or("an arrow `->` stands before the indices of the result")?;
    let lists: Vec<&str> = left.split(',').collect();
    if lists.len() != operands.len() {
        let (wanted, given) = (lists.len(), operands.len());
        return Err(format!("there are indices for {wanted} operands, and {given} were given"));
    }
    if !(1..=2).contains(&operands.len()) {
        return Err(format!("{ONE_OR_TWO}, not {}", operands.len()));
    }
    let mut terms = Vec::new();
    let mut extents: Vec<(char, usize, Var<'t>)> = Vec::new();
    for (list, &var) in lists.into_iter().zip(operands) {
        let (names, shape) = (letters(list)?, var.shape());
        let misfit = |what: &str| Err(format!("`{list}` is for {what}, and `{}` is {shape}", var.summary()));
        let term = match (names[..].try_into(), shape) {
            (Ok(Names::None), Shape { rows: 1, cols: 1 }) => Term { var, names: [' '; 2], order: 0 },
            (Ok(Names::None), _) => return misfit("a 1×1"),
            (Ok(Names::One(i)), Shape { cols: 1, .. }) => Term { var, names: [i; 2], order: 1 },
            (Ok(Names::One(i)), Shape { rows: 1, .. }) => Term { var: var.t(), names: [i; 2], order: 1 },
            (Ok(Names::One(_)), _) => return misfit("a column"),
            (Ok(Names::Two(i, j)), _) => Term { var, names: [i, j], order: 2 },
            (Err(()), _) => return Err(format!("`{list}` has {} indices, and a matrix two", names.len())),
        };
        for (&name, extent) in term.indices().iter().zip([term.var.rows(), term.var.cols()]) {
            match extents.iter().find(|known| known.0 == name) {
                Some(&(_, known, first)) if known != extent => {
                    let (first, var) = (first.summary(), var.summary());
                    return Err(format!("`{name}` counts {known} in `{first}` and {extent} in `{var}`"));
                }
                _ => extents.push((name, extent, var)),
            }
        }
        terms.push(term);
    }
    let result = letters(right)?;
    if result.len() > 2 {
        return Err(format!("the result would have {} indices, and a matrix has two", result.len()));
    }
    for (k, name) in result.iter().enumerate() {
        if result[..k].contains(name) {
            return Err(format!("`{name}` stands twice behind the arrow"));
        }
        if !extents.iter().any(|known| known.0 == *name) {
            return Err(format!("`{name}` stands at no operand"));
        }
    }
    Ok((terms, result))
}

fn letters(list: &str) -> Result<Vec<char>, String> {
    match list.chars().find(|c| !c.is_alphabetic()) {
        Some(c) => Err(format!("`{c}` is no index: those are letters")),
        None => Ok(list.chars().collect()),
    }
}

/// Up to two indices.
enum Names {
    None,
    One(char),
    Two(char, char),
}

impl TryFrom<&[char]> for Names {
    type Error = ();
    fn try_from(names: &[char]) -> Result<Self, ()> {
        match *names {
            [] => Ok(Names::None),
            [i] => Ok(Names::One(i)),
            [i, j] => Ok(Names::Two(i, j)),
            _ => Err(()),
        }
    }
}

impl<'t> Term<'t> {
    fn indices(&self) -> &[char] {
        self.names.get(..self.order).unwrap_or_default()
    }

    fn number(var: Var<'t>) -> Self {
        Term { var, names: [' '; 2], order: 0 }
    }

    fn column(var: Var<'t>, i: char) -> Self {
        Term { var, names: [i; 2], order: 1 }
    }

    fn matrix(var: Var<'t>, i: char, j: char) -> Self {
        Term { var, names: [i, j], order: 2 }
    }

    #[track_caller]
    fn transposed(self) -> Self {
        let [i, j] = self.names;
        Term { var: self.var.t(), names: [j, i], ..self }
    }

    /// All that can be done without the other operand: the diagonal, and the sums over what neither it nor the result knows.
    #[track_caller]
    fn alone(self, other: &[char], result: &[char]) -> Self {
        let [i, j] = self.names;
        let stays = |index: char| other.contains(&index) || result.contains(&index);
        match (self.order, stays(i), stays(j)) {
            (2, true, _) if i == j => Term::column(self.var.diagonal(), i),
            (2, false, _) if i == j => Term::number(self.var.trace()),
            (2, false, false) | (1, false, _) => Term::number(self.var.sum()),
            (2, true, false) => Term::column(self.var.row_sums(), i),
            (2, false, true) => Term::column(self.var.col_sums().t(), j),
            _ => self,
        }
    }

    /// The product of two operands, each of whose indices the other or the result knows.
    #[track_caller]
    fn times(self, other: Self, result: &[char]) -> Self {
        let (a, b) = (self.var, other.var);
        let ([i, j], [k, l]) = (self.names, other.names);
        match (self.order, other.order) {
            (0, _) => Term { var: a * b, ..other },
            (_, 0) => Term { var: b * a, ..self },
            (1, 1) if i != k => Term::matrix(a * b.t(), i, k),
            (1, 1) if result.contains(&i) => Term::column(a.hadamard(b), i),
            (1, 1) => Term::number(a.inner(b)),
            (1, _) => other.times(self, result),
            // Now the first one is a matrix.
            (_, 1) if i == k => self.transposed().times(other, result),
            (_, 1) if result.contains(&j) => Term::matrix(a.mul_row(b.t()), i, j),
            (_, 1) => Term::column(a * b, i),
            // Both are.
            _ if [i, j] == [l, k] => self.times(other.transposed(), result),
            _ if [i, j] == [k, l] => match (result.contains(&i), result.contains(&j)) {
                (true, true) => Term::matrix(a.hadamard(b), i, j),
                (true, false) => Term::column(a.row_inner(b), i),
                (false, true) => Term::column(a.col_inner(b).t(), j),
                (false, false) => Term::number(a.inner(b)),
            },
            // One index of each is the same, and summed over.
            _ if i == k || i == l => self.transposed().times(other, result),
            _ if j == l => self.times(other.transposed(), result),
            _ => Term::matrix(a * b, i, l),
        }
    }
}

impl<'t> Var<'t> {
    /// The power `Xᵏ` of a square matrix by repeated squaring, O(m³ log |k|): I with k = 0, and the power of the inverse with a
    /// negative k.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let x = tape.input("X", (3, 3));
    /// assert_eq!(x.matrix_power(3).to_string(), "X X X");
    /// assert!(x.matrix_power(-1).same(x.inv()));
    /// assert!(x.matrix_power(0).same(tape.identity(3)));
    /// ```
    ///
    /// # Derivative
    /// `Σ_{j<k} Xʲ ε Xᵏ⁻¹⁻ʲ`
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if it is not square; (when run, for a negative k) singular to working precision.
    #[track_caller]
    pub fn matrix_power(self, k: i32) -> Var<'t> {
        let shape = self.shape();
        if !shape.is_square() {
            return self.tape.mistake(Error::Shape {
                op: "matrix_power",
                formula: self.summary(),
                shapes: vec![shape],
                problem: format!("{shape} is not square"),
                location: Location::caller(),
            });
        }
        if self.id.is_err() {
            return self;
        }
        let mut square = if k < 0 { self.inv() } else { self };
        let (mut rest, mut power) = (k.unsigned_abs(), None);
        while rest > 0 {
            if rest % 2 == 1 {
                power = Some(match power {
                    Some(power) => square * power,
                    None => square,
                });
            }
            rest /= 2;
            if rest > 0 {
                square = square * square;
            }
        }
        match power {
            Some(power) => power,
            None => self.tape.identity(shape.rows),
        }
    }

    /// `Yᵀ X Y` of a square matrix X, m×m, with an m×p matrix Y: p×p, and for a column a number, the quadratic form of X.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (s, y) = (tape.symmetric("S", 3), tape.input("y", (3, 1)));
    /// assert_eq!(s.quadratic_form(y).to_string(), "yᵀ S y");
    /// ```
    ///
    /// # Derivative
    /// `Yᵀ ε Y`, `εᵀ X Y + Yᵀ X ε`
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if the matrices do not conform.
    #[track_caller]
    pub fn quadratic_form(self, y: Var<'t>) -> Var<'t> {
        y.t() * self * y
    }

    /// `Y X Yᵀ` of a square matrix X, m×m, with a p×m matrix Y: p×p. It is known to be symmetric if X is.
    ///
    /// # Derivative
    /// `Y ε Yᵀ`, `ε X Yᵀ + Y X εᵀ`
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if the matrices do not conform.
    #[track_caller]
    pub fn congruence(self, y: Var<'t>) -> Var<'t> {
        y * self * y.t()
    }

    /// The inner product of every column with that of a matrix of the same shape, `𝟏ᵀ (X ∘ Y)`, 1×n: the diagonal of `Xᵀ Y`
    /// without the product. O(mn).
    ///
    /// # Derivative
    /// `𝟏ᵀ (ε ∘ Y)`, `𝟏ᵀ (X ∘ ε)`
    #[track_caller]
    pub fn col_inner(self, rhs: Var<'t>) -> Var<'t> {
        self.hadamard(rhs).col_sums()
    }

    /// The inner product of every row with that of a matrix of the same shape, `(X ∘ Y) 𝟏`, m×1: the diagonal of `X Yᵀ` without
    /// the product. O(mn).
    ///
    /// # Derivative
    /// `(ε ∘ Y) 𝟏`, `(X ∘ ε) 𝟏`
    #[track_caller]
    pub fn row_inner(self, rhs: Var<'t>) -> Var<'t> {
        self.hadamard(rhs).row_sums()
    }
}
