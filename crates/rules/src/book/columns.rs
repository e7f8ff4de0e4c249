//! Linear ops on many matrices at once: what a Jacobian is made of.

use super::At;
use pullback_tape::{Binary, Op, Var};

/// The op of many matrices in the place of the argument that varies, in which it is linear. They and the results stand in
/// columns, each entry by entry: column j of `x` is `vec(Xⱼ)`, and column j of the result is `vec(Yⱼ)`.
///
/// What multiplies from the left sees `[X₁ X₂ …]`, which is `x` in another shape; what multiplies from the right sees their
/// transposes beside each other. An op for which nothing is written here is applied to one after the other.
pub(crate) fn of_columns<'t>(at: &At<'_, 't>, x: Var<'t>) -> Var<'t> {
    let (tape, shape) = (x.tape(), at.args.get(at.slot).map_or(x.shape(), |arg| arg.shape()));
    let (rows, cols, many) = (shape.rows, shape.cols, x.cols());
    let (a, b) = (at.a, at.b);
    let beside =
        |x: Var<'t>, rows: usize| x.reshape((rows, (x.rows() * many).checked_div(rows).unwrap_or(0)));
    let stacked = |y: Var<'t>, entries: usize| y.reshape((entries, many));
    // Where the diagonal of a square matrix of so many rows is in a column.
    let diagonal: Vec<usize> = (0..rows).map(|i| i * (rows + 1)).collect();
    match (at.op, at.slot) {
        (Op::Reshape(_), _) => x,
        (Op::Transpose, _) => transposed(x, rows, cols),
        (Op::Scale(c), _) => c.value() * x,
        (Op::ScaleBy, 0) => b.vec() * x,
        (Op::ScaleBy, _) => a * x,
        (Op::MatMul, 0) if rows == 1 => b.t() * x,
        (Op::MatMul, 0) => {
            let right = b.t() * beside(transposed(x, rows, cols), cols);
            transposed(stacked(right, b.cols() * rows), b.cols(), rows)
        }
        (Op::MatMul, _) if cols == 1 => a * x,
        (Op::MatMul, _) => stacked(a * beside(x, rows), a.rows() * cols),
        (Op::Solve | Op::TriangularSolve { .. } | Op::ExpAction, 1) => {
            stacked(tape.apply(at.op, &[a, beside(x, rows)]), rows * cols)
        }
        (Op::Hadamard, slot) => if slot == 0 { b } else { a }.vec().diag() * x,
        (Op::Quotient | Op::Zip(Binary::Keep), 0) => tape.apply(at.op, &[x, b.vec().repeat_cols(many)]),
        (Op::Inner, slot) => if slot == 0 { b } else { a }.vec().t() * x,
        (Op::Trace, _) => x.select_rows(&diagonal).col_sums(),
        (Op::Diagonal, _) => x.select_rows(&diagonal),
        (Op::Diag, _) => tape.selection(&diagonal, rows * rows).t() * x,
        _ => {
            let one = |j: usize| at.with(x.col(j).reshape(shape)).vec();
            let results: Vec<_> = (0..many).map(one).collect();
            if results.is_empty() {
                tape.zeros((at.y.rows() * at.y.cols(), 0))
            } else {
                tape.stack_cols(&results)
            }
        }
    }
}

/// The transposes of the `rows`×`cols` matrices that stand in columns.
pub(crate) fn transposed<'t>(x: Var<'t>, rows: usize, cols: usize) -> Var<'t> {
    if rows == 1 || cols == 1 {
        return x;
    }
    let order: Vec<usize> = (0..rows).flat_map(|i| (0..cols).map(move |j| i + j * rows)).collect();
    x.select_rows(&order)
}
