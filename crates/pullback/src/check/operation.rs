use super::{Agreement, Report, derivatives};
use crate::custom::{Argument, CustomOp, Operation};
use crate::{Error, Scalar, Shape, Tape, Var};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::{Mat, MatMut, MatRef};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What was found out about an operation of one's own. `Display` prints it, finding by finding.
#[derive(Clone, Debug)]
pub struct OperationReport {
    /// The operation's name.
    pub name: String,
    /// The shapes of the arguments.
    pub arguments: Vec<Shape>,
    /// The shape of the value, by the shape rule.
    pub value: Shape,
    /// The kernel: what it leaves unwritten, whether it repeats itself, its scratch, the strides that it reads.
    pub kernel: Vec<Finding>,
    /// The derivative in each argument.
    pub derivatives: Vec<(Argument, Report)>,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is about.
    pub subject: &'static str,
    /// What was seen, in words.
    pub seen: String,
    /// Whether it is as it should be.
    pub passes: bool,
}

impl OperationReport {
    /// Whether everything is as it should be.
    pub fn passes(&self) -> bool {
        self.kernel.iter().all(|finding| finding.passes)
            && self.derivatives.iter().all(|(_, report)| report.passes())
    }
}

impl fmt::Display for OperationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |passes: bool| if passes { "✓" } else { "✗" };
        let shapes: Vec<_> = self.arguments.iter().map(Shape::to_string).collect();
        writeln!(f, "{} of {}: {}", self.name, shapes.join(", "), self.value)?;
        for Finding { subject, seen, passes } in &self.kernel {
            writeln!(f, "  {} {subject:<13} {seen}", mark(*passes))?;
        }
        for (slot, (kind, report)) in self.derivatives.iter().enumerate() {
            let kind = match kind {
                Argument::Linear => "linear, by its adjoint",
                Argument::Nonlinear => "nonlinear, by its derivative",
            };
            writeln!(f, "  argument {slot}, {kind}")?;
            writeln!(f, "    {} {}", mark(report.taylor.passes()), report.taylor)?;
            writeln!(f, "    {} adjoint      {}", mark(report.adjoint.passes()), report.adjoint)?;
            writeln!(f, "    {} second order {}", mark(report.second_taylor.passes()), report.second_taylor)?;
            writeln!(f, "    {} symmetry     {}", mark(report.symmetry.passes()), report.symmetry)?;
        }
        Ok(())
    }
}

/// Tests an operation of one's own at some arguments.
///
/// - Its kernel writes every entry, gives the same bits again, reads arguments of any strides, and needs no more scratch than
///   it asked for; in single precision it agrees, if it has such a kernel.
/// - It is linear where it says so.
/// - Its derivative in every argument passes the Taylor test and the adjoint test, and so does the derivative of the gradient.
///
/// ```
/// use pullback::custom::{Argument, At, CustomOp, Operation};
/// use pullback::faer::dyn_stack::MemStack;
/// use pullback::faer::{MatMut, MatRef};
/// use pullback::prelude::*;
///
/// struct Cube;
///
/// impl CustomOp for Cube {
///     fn name(&self) -> &str { "cube" }
///     fn arguments(&self) -> &[Argument] { &[Argument::Nonlinear] }
///     fn shape(&self, args: &[Shape]) -> Result<Shape, String> { Ok(args[0]) }
///     fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
///         3.0 * at.arg(0).square().hadamard(e)
///     }
///     fn run_f64(&self, args: &[MatRef<'_, f64>], mut out: MatMut<'_, f64>, _: &mut MemStack) -> Result<(), String> {
///         out.copy_from(args[0]);
///         for column in out.col_iter_mut() {
///             column.iter_mut().for_each(|x| *x = x.powi(3));
///         }
///         Ok(())
///     }
/// }
///
/// let report = check::operation(&Operation::new(Cube), &[check::random(3, 2, 1).as_ref()])?;
/// assert!(report.passes(), "{report}");
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// What the shape rule or the kernel refuses at these arguments; those of differentiating, compiling and running.
pub fn operation(op: &Operation, args: &[MatRef<'_, f64>]) -> Result<OperationReport, Error> {
    let tape = Tape::new();
    let names: Vec<String> = (0..args.len()).map(|slot| format!("argument {slot}")).collect();
    let xs: Vec<Var<'_>> =
        names.iter().zip(args).map(|(name, x)| tape.input(name, (x.nrows(), x.ncols()))).collect();
    let y = op.apply_all(&tape, &xs).check()?;
    let bound: Vec<_> = names.iter().map(String::as_str).zip(args.iter().copied()).collect();
    let value = crate::evaluate(&[y], &bound)?;
    let mut kernel = Vec::new();
    if let Some(value) = value.first() {
        let kernel_of = Trial { op: op.get(), value: value.as_ref() };
        kernel.extend(kernel_of.findings(args));
        kernel.extend(kernel_of.linearity(args));
    }
    let reports = derivatives(y, &xs, &bound)?;
    Ok(OperationReport {
        name: op.get().name().to_owned(),
        arguments: xs.iter().map(|x| x.shape()).collect(),
        value: y.shape(),
        kernel,
        derivatives: op.get().arguments().iter().copied().zip(reports).collect(),
    })
}

/// A kernel, and what it should compute.
struct Trial<'a> {
    op: &'a dyn CustomOp,
    value: MatRef<'a, f64>,
}

impl Trial<'_> {
    /// Runs the kernel on a matrix that is filled with a number, with just the scratch that it asked for.
    fn run<T: Scalar>(&self, args: &[MatRef<'_, T>], fill: f64, run: Run<T>) -> Result<Mat<T>, String> {
        let shapes: Vec<Shape> = args.iter().map(|x| Shape::new(x.nrows(), x.ncols())).collect();
        let mut out = Mat::full(self.value.nrows(), self.value.ncols(), T::from_f64(fill));
        let mut buffer = MemBuffer::new(self.op.scratch(&shapes));
        let stack = MemStack::new(&mut buffer);
        match catch_unwind(AssertUnwindSafe(|| run(self.op, args, out.as_mut(), stack))) {
            Ok(result) => result.map(|()| out),
            Err(_) => Err("panicked".to_owned()),
        }
    }

    fn double(&self, args: &[MatRef<'_, f64>], fill: f64) -> Result<Mat<f64>, String> {
        self.run(args, fill, |op, args, out, stack| op.run_f64(args, out, stack))
    }

    fn findings(&self, args: &[MatRef<'_, f64>]) -> Vec<Finding> {
        let (first, second) = (self.double(args, f64::NAN), self.double(args, 7.0));
        let scratch = match &first {
            Ok(_) => finding("scratch", "as much as it asked for suffices", true),
            Err(problem) => finding("scratch", &format!("with just what it asked for it {problem}"), false),
        };
        let (Ok(first), Ok(second)) = (first, second) else { return vec![scratch] };
        let total = first.nrows() * first.ncols();
        let entries = || (0..first.ncols()).flat_map(|j| (0..first.nrows()).map(move |i| (i, j)));
        // What differs was not written, or not the same twice.
        let differing = entries().filter(|&at| first[at].to_bits() != second[at].to_bits()).count();
        let unwritten = entries().filter(|&at| first[at].is_nan() && second[at] == 7.0).count();
        let written =
            finding("every entry", &format!("{} of {total} are written", total - unwritten), unwritten == 0);
        let again = differing - unwritten;
        let repeats =
            finding("again", &format!("{} of {total} have the same bits", total - again), again == 0);
        let transposed: Vec<Mat<f64>> = args.iter().map(|x| x.transpose().to_owned()).collect();
        let by_rows: Vec<MatRef<'_, f64>> = transposed.iter().map(Mat::transpose).collect();
        let strides = match self.double(&by_rows, f64::NAN) {
            Ok(found) => near("strides", "stored by rows", found.as_ref(), self.value, f64::EPSILON),
            Err(problem) => finding("strides", &format!("stored by rows: {problem}"), false),
        };
        let halves: Vec<Mat<f32>> =
            args.iter().map(|x| Mat::from_fn(x.nrows(), x.ncols(), |i, j| x[(i, j)] as f32)).collect();
        let refs: Vec<MatRef<'_, f32>> = halves.iter().map(Mat::as_ref).collect();
        let single = self.run(&refs, f64::NAN, |op, args, out, stack| op.run_f32(args, out, stack));
        let single = match single {
            Ok(found) => {
                let found = Mat::from_fn(found.nrows(), found.ncols(), |i, j| f64::from(found[(i, j)]));
                near("f32", "agrees with f64", found.as_ref(), self.value, f32::EPSILON.into())
            }
            Err(problem) => finding("f32", &problem, problem != "panicked"),
        };
        vec![scratch, written, repeats, strides, single]
    }

    /// `f(…, 2x − z, …) = 2 f(…, x, …) − f(…, z, …)` where the operation says that it is linear.
    fn linearity(&self, args: &[MatRef<'_, f64>]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (slot, kind) in self.op.arguments().iter().enumerate() {
            let Some(x) = args.get(slot).filter(|_| *kind == Argument::Linear) else { continue };
            let z: Mat<f64> = super::random(x.nrows(), x.ncols(), slot as u64 + 90);
            let sum = Mat::from_fn(x.nrows(), x.ncols(), |i, j| 2.0 * x[(i, j)] - z[(i, j)]);
            let with = |x: MatRef<'_, f64>| {
                let mut args = args.to_vec();
                args[slot] = x;
                self.double(&args, f64::NAN)
            };
            findings.push(match (with(z.as_ref()), with(sum.as_ref())) {
                (Ok(of_z), Ok(of_sum)) => {
                    let wanted = Mat::from_fn(of_z.nrows(), of_z.ncols(), |i, j| {
                        2.0 * self.value[(i, j)] - of_z[(i, j)]
                    });
                    near(
                        "linear",
                        &format!("in argument {slot}"),
                        of_sum.as_ref(),
                        wanted.as_ref(),
                        f64::EPSILON,
                    )
                }
                (Err(problem), _) | (_, Err(problem)) => finding("linear", &problem, false),
            });
        }
        findings
    }
}

type Run<T> = fn(&dyn CustomOp, &[MatRef<'_, T>], MatMut<'_, T>, &mut MemStack) -> Result<(), String>;

fn finding(subject: &'static str, seen: &str, passes: bool) -> Finding {
    Finding { subject, seen: seen.to_owned(), passes }
}

/// That two matrices agree as well as rounding allows.
fn near(
    subject: &'static str,
    what: &str,
    found: MatRef<'_, f64>,
    wanted: MatRef<'_, f64>,
    epsilon: f64,
) -> Finding {
    let (distance, size) = ((found - wanted).norm_l2(), wanted.norm_l2());
    let error = if distance == 0.0 { 0.0 } else { distance / size };
    let agreement = Agreement { left: found.norm_l2(), right: size, error, tolerance: 4096.0 * epsilon };
    finding(subject, &format!("{what}, to {error:.1e}"), agreement.passes())
}
