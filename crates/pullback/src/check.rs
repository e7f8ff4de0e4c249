//! Tests of derivatives against their definition, to be turned on your own losses.
//!
//! - [`taylor`]: the remainder `f(X + hε) − f(X) − h⟨∇f(X), ε⟩` falls as h².
//! - [`adjoint`]: `⟨G, D f(X)[ε]⟩ = ⟨D f(X)*[G], ε⟩`, so that forward and reverse mode are one linear map.
//! - [`second_order`]: the Taylor test of the gradient, and the symmetry `⟨U, H V⟩ = ⟨V, H U⟩` of the Hessian.
//!
//! - [`operation`]: all of this for an [operation of one's own](crate::custom), and whether its kernel keeps its promises.
//!
//! Each reports numbers; `passes` compares them with what rounding allows. Directions are random but fixed by
//! a seed. An expression that is no 1×1 is tested through its inner product with a random matrix.
//!
//! ```
//! use pullback::prelude::*;
//! let tape = Tape::new();
//! let (w, x) = (tape.input("W", (3, 4)), tape.input("x", (4, 1)));
//! let loss = (w * x).tanh().norm_squared();
//! let at = [("W", check::random::<f64>(3, 4, 1)), ("x", check::random(4, 1, 2))];
//! let at: Vec<_> = at.iter().map(|(name, m)| (*name, m.as_ref())).collect();
//! for report in check::derivatives(loss, &[w, x], &at)? {
//!     assert!(report.passes(), "{report}");
//! }
//! # Ok::<(), pullback::Error>(())
//! ```

mod operation;

pub use operation::{Finding, OperationReport, operation};

use crate::evaluate::run_once;
use crate::{Error, Program, Scalar, Shape, Structure, Var, gradient, hvp, jvp, substitute, vjp};
use faer::{Mat, MatRef};
use std::fmt;

/// The result of a Taylor test.
#[derive(Clone, Debug)]
pub struct Taylor {
    /// The rate at which the remainder falls with h: 2 for a correct gradient, 1 for a wrong one, and more
    /// where the second derivative along the direction vanishes. Infinite if the remainder is never more than
    /// rounding: the function is affine along the direction.
    pub order: f64,
    /// The derivative `⟨∇f(X), ε⟩` that was tested.
    pub derivative: f64,
    /// Pairs of h and the remainder, from large to small.
    pub remainders: Vec<(f64, f64)>,
    /// The rounding errors in a remainder, as measured.
    pub noise: f64,
}

impl Taylor {
    /// Whether the order is at least 1.9.
    pub fn passes(&self) -> bool {
        self.order >= 1.9
    }
}

impl fmt::Display for Taylor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Taylor order {:.3} (derivative {:.3e})", self.order, self.derivative)
    }
}

/// Two numbers that should be the same.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Agreement {
    /// The one.
    pub left: f64,
    /// The other.
    pub right: f64,
    /// Their distance, relative to what they could be by the Cauchy–Schwarz inequality.
    pub error: f64,
    /// What rounding allows.
    pub tolerance: f64,
}

impl Agreement {
    pub(crate) fn new<T: Scalar>(left: f64, right: f64, bound: f64) -> Self {
        let distance = (left - right).abs();
        let error = if distance == 0.0 { 0.0 } else { distance / bound };
        Agreement { left, right, error, tolerance: 4096.0 * T::EPSILON.to_f64() }
    }

    /// Whether the error is at most the tolerance.
    pub fn passes(&self) -> bool {
        self.error <= self.tolerance
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6e} = {:.6e} to {:.1e}", self.left, self.right, self.error)
    }
}

/// All tests of the derivative in one variable.
#[derive(Clone, Debug)]
pub struct Report {
    /// The variable.
    pub variable: String,
    /// The Taylor test of the gradient.
    pub taylor: Taylor,
    /// The adjoint test.
    pub adjoint: Agreement,
    /// The Taylor test of the gradient's own derivative.
    pub second_taylor: Taylor,
    /// The symmetry of the Hessian.
    pub symmetry: Agreement,
}

impl Report {
    /// Whether all tests pass.
    pub fn passes(&self) -> bool {
        self.taylor.passes() && self.adjoint.passes() && self.second_taylor.passes() && self.symmetry.passes()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.variable)?;
        writeln!(f, "  {}", self.taylor)?;
        writeln!(f, "  adjoint      {}", self.adjoint)?;
        writeln!(f, "  second order {}", self.second_taylor)?;
        write!(f, "  symmetry     {}", self.symmetry)
    }
}

/// What the inputs are bound to.
pub(crate) type Inputs<'a, T> = [(&'a str, MatRef<'a, T>)];

/// A matrix of numbers between −1 and 1, none of them near 0, fixed by the seed.
pub fn random<T: Scalar>(rows: usize, cols: usize, seed: u64) -> Mat<T> {
    // SplitMix64 (Steele, Lea, Flood, 2014).
    let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    Mat::from_fn(rows, cols, |_, _| {
        let bits = next();
        let size = 0.05 + 0.95 * (bits >> 11) as f64 / (1u64 << 53) as f64;
        T::from_f64(if bits & 1 == 0 { size } else { -size })
    })
}

/// All tests of the first and second derivatives of `y`, in each of `wrt`.
///
/// # Errors
/// Those of differentiating, compiling and running.
pub fn derivatives<T: Scalar>(
    y: Var<'_>,
    wrt: &[Var<'_>],
    inputs: &Inputs<'_, T>,
) -> Result<Vec<Report>, Error> {
    wrt.iter().map(|&x| report(y, x, inputs)).collect()
}

fn report<T: Scalar>(y: Var<'_>, x: Var<'_>, inputs: &Inputs<'_, T>) -> Result<Report, Error> {
    let (second_taylor, symmetry) = second_order(y, x, inputs)?;
    Ok(Report {
        variable: x.summary(),
        taylor: taylor(y, x, inputs)?,
        adjoint: adjoint(y, x, inputs)?,
        second_taylor,
        symmetry,
    })
}

/// The Taylor test of the derivative of `y` in `x`, which need not be an input.
///
/// # Errors
/// Those of differentiating, compiling and running.
pub fn taylor<T: Scalar>(y: Var<'_>, x: Var<'_>, inputs: &Inputs<'_, T>) -> Result<Taylor, Error> {
    let mut bench = Bench::new(inputs);
    let f = bench.scalar(y)?;
    let gradient = bench.first(gradient(f, &[x])?, x);
    taylor_of(f, x, gradient, &mut bench)
}

/// The Taylor test with a gradient of your own: does `gradient` satisfy the definition?
///
/// # Errors
/// Those of compiling and running; `gradient` has to have the shape of `x`, and `f` to be 1×1.
pub fn taylor_with<'t, T: Scalar>(
    f: Var<'t>,
    x: Var<'t>,
    gradient: Var<'t>,
    inputs: &Inputs<'_, T>,
) -> Result<Taylor, Error> {
    crate::gradient(f, &[])?;
    taylor_of(f, x, gradient, &mut Bench::new(inputs))
}

/// The adjoint test of the derivative of `y` in `x`.
///
/// # Errors
/// Those of differentiating, compiling and running.
pub fn adjoint<T: Scalar>(y: Var<'_>, x: Var<'_>, inputs: &Inputs<'_, T>) -> Result<Agreement, Error> {
    let mut bench = Bench::new(inputs);
    let (e, g) = (bench.direction("ε", x)?, bench.direction("G", y)?);
    let y_dot = jvp(y, &[(x, e)])?;
    let x_bar = bench.first(vjp(y, &[x], g)?, x);
    let bound = g.norm() * y_dot.norm() + x_bar.norm() * e.norm();
    // Where the derivative is rounding only, what it would be if y were proportional to x.
    let natural = g.norm() * y.norm() * e.norm() * x.norm().pseudo_recip();
    bench.agreement(g.inner(y_dot), x_bar.inner(e), bound + natural)
}

/// The Taylor test of the gradient of `y` in `x`, and the symmetry of the Hessian.
///
/// # Errors
/// Those of differentiating, compiling and running.
pub fn second_order<T: Scalar>(
    y: Var<'_>,
    x: Var<'_>,
    inputs: &Inputs<'_, T>,
) -> Result<(Taylor, Agreement), Error> {
    let mut bench = Bench::new(inputs);
    let f = bench.scalar(y)?;
    let (u, v) = (bench.direction("U", x)?, bench.direction("V", x)?);
    let along = bench.first(gradient(f, &[x])?, x).inner(u);
    let slope = bench.first(gradient(along, &[x])?, x);
    let taylor = taylor_of(along, x, slope, &mut bench)?;
    // Forward over reverse on one side, reverse over reverse on the other.
    let h_v = bench.first(hvp(f, &[(x, v)])?, x);
    let bound = u.norm() * h_v.norm() + v.norm() * slope.norm();
    let natural = f.abs() * u.norm() * v.norm() * x.norm().pseudo_recip().square();
    Ok((taylor, bench.agreement(u.inner(h_v), v.inner(slope), bound + natural)?))
}

/// A remainder says something if it is so many times larger than rounding.
const ABOVE_NOISE: f64 = 16.0;

/// No power law falls so far from one step to the next: there was a kink, and it has been passed.
const DROP: f64 = 64.0;

/// An order is known if its doubt is at most this.
const CERTAIN: f64 = 0.03;

/// The order at which remainders fall, from pairs of a remainder and its rounding error at steps that are
/// halved.
///
/// From `r(h) ∝ hᵖ (1 + bh)` three steps give the order extrapolated to h → 0. Rounding makes it doubtful at
/// small steps, the extrapolation at large ones. Taken is the one at the smallest steps that is certain, for
/// there an error in the gradient shows; if none is, the least doubtful. Returns the order and its doubt.
fn order(remainders: &[(f64, f64)]) -> (f64, f64) {
    let r = |k: usize| remainders[k].0;
    let readable = |k: &usize| r(*k).is_finite() && r(*k) > ABOVE_NOISE * remainders[*k].1;
    let Some(last) = (0..remainders.len()).rev().find(readable) else { return (f64::INFINITY, 0.0) };
    let drops = |k: &usize| *k + 1 < remainders.len() && r(*k) > DROP * r(*k + 1);
    let start = match (0..=last).rev().find(drops) {
        Some(k) if k == last => return (f64::INFINITY, 0.0),
        Some(k) => k + 1,
        None => 0,
    };
    let slope = |k: usize| (r(k) / r(k + 1)).log2();
    let windows = (start..=last).filter(|k| *k + 2 <= last && (*k..*k + 3).all(|k| readable(&k)));
    let estimates: Vec<(f64, f64)> = windows
        .map(|k| {
            let (coarse, fine) = (slope(k), slope(k + 1));
            let doubt = 4.0 * remainders[k + 2].1 / r(k + 2) + 0.5 * (coarse - fine).abs();
            (2.0 * fine - coarse, doubt)
        })
        .collect();
    let certain = estimates.iter().rev().find(|(_, doubt)| *doubt <= CERTAIN);
    match certain.or_else(|| estimates.iter().min_by(|a, b| a.1.total_cmp(&b.1))) {
        Some(estimate) => *estimate,
        None if last > start && readable(&(last - 1)) => (slope(last - 1), 1.0),
        None => (f64::NAN, f64::INFINITY),
    }
}

/// Along a direction in which the second derivative happens to be small, the order is hard to see in `f32`:
/// of several, the first that shows it with certainty is taken, or the least doubtful.
fn taylor_of<'t, T: Scalar>(
    f: Var<'t>,
    x: Var<'t>,
    gradient: Var<'t>,
    bench: &mut Bench<'_, T>,
) -> Result<Taylor, Error> {
    let mut best: Option<(Taylor, f64)> = None;
    for name in ["ε", "ε′", "ε″", "ε‴"] {
        let e = bench.direction(name, x)?;
        let (taylor, doubt) = taylor_along(f, x, gradient, e, bench)?;
        if best.as_ref().is_none_or(|(_, least)| doubt < *least) {
            best = Some((taylor, doubt));
        }
        if doubt <= CERTAIN {
            break;
        }
    }
    let nothing = Taylor { order: f64::NAN, derivative: f64::NAN, remainders: vec![], noise: f64::NAN };
    Ok(best.map_or(nothing, |(taylor, _)| taylor))
}

fn taylor_along<'t, T: Scalar>(
    f: Var<'t>,
    x: Var<'t>,
    gradient: Var<'t>,
    e: Var<'t>,
    bench: &Bench<'_, T>,
) -> Result<(Taylor, f64), Error> {
    let h = x.tape().input("check h", Shape::SCALAR);
    let perturbed = substitute(f, x, x + h * e)?;
    let mut program = Program::compile(&[perturbed, gradient.inner(e), x.norm(), e.norm()])?;
    let mut at = |step: f64| -> Result<[f64; 4], Error> {
        let step = Mat::full(1, 1, T::from_f64(step));
        let bound = bench.bound(&[("check h", step.as_ref())], &program);
        let run = run_once(&mut program, &bound)?;
        Ok(run.matrices()?.map(|m: MatRef<'_, T>| m[(0, 0)].to_f64()))
    };
    let [value, slope, x_norm, e_norm] = at(0.0)?;
    // Steps are relative to the size of x, so that they are neither lost in it nor far larger.
    let unit = if x_norm > 0.0 && e_norm > 0.0 { x_norm / e_norm } else { 1.0 };
    let epsilon = T::EPSILON.to_f64();
    // The remainder at a relative step, and the error of the subtractions in it. A step out of the domain, where there is
    // no value, says nothing.
    let mut remainder = |k: f64| -> (f64, f64) {
        // What is added to x is a number of the type T.
        let step = T::from_f64(k * unit).to_f64();
        let perturbed = at(step).map_or(f64::NAN, |[perturbed, ..]| perturbed);
        let rounding = epsilon * (value.abs() + perturbed.abs() + (step * slope).abs());
        ((perturbed - value - step * slope).abs(), rounding)
    };
    // At steps of a few units in the last place of x, the remainder is the rounding error in f.
    let mut noise = 0.0f64;
    for k in 1..=8 {
        noise = noise.max(remainder(8.0 * epsilon * f64::from(k)).0);
    }
    let mut steps = Vec::new();
    let mut remainders = Vec::new();
    for k in 1..=52 {
        let step = 0.5f64.powi(k);
        if step < 64.0 * epsilon {
            break;
        }
        let (size, rounding) = remainder(step);
        steps.push(step * unit);
        remainders.push((size, noise.max(rounding)));
    }
    // Near x there is a value, or x is on the edge of the domain.
    let near = remainders.last().is_some_and(|(size, _)| size.is_finite());
    let finite = value.is_finite() && slope.is_finite() && near;
    let (order, doubt) = if finite { order(&remainders) } else { (f64::NAN, f64::INFINITY) };
    let remainders = steps.into_iter().zip(remainders).map(|(step, (size, _))| (step, size)).collect();
    Ok((Taylor { order, derivative: slope * unit, remainders, noise }, doubt))
}

/// The user's matrices, and the random ones of a test.
struct Bench<'a, T: Scalar> {
    inputs: &'a Inputs<'a, T>,
    random: Vec<(String, Mat<T>)>,
}

impl<'a, T: Scalar> Bench<'a, T> {
    fn new(inputs: &'a Inputs<'a, T>) -> Self {
        Bench { inputs, random: Vec::new() }
    }

    /// A direction in which `like` can vary: an input of its shape, bound to random numbers.
    fn direction<'t>(&mut self, name: &str, like: Var<'t>) -> Result<Var<'t>, Error> {
        let shape = like.check()?.shape();
        let name = format!("check {name} {shape}");
        if self.random.iter().all(|(known, _)| *known != name) {
            let seed = name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
            self.random.push((name.clone(), random(shape.rows, shape.cols, seed)));
        }
        let direction = like.tape().input(&name, shape);
        // Symmetric matrices vary among themselves.
        let free = like.structure() == Structure::General || shape.is_scalar();
        Ok(if free { direction } else { 0.5 * (direction + direction.t()) })
    }

    /// `y` itself if it is 1×1, else `⟨G, y⟩`.
    fn scalar<'t>(&mut self, y: Var<'t>) -> Result<Var<'t>, Error> {
        if y.shape().is_scalar() { Ok(y) } else { Ok(self.direction("G", y)?.inner(y)) }
    }

    fn first<'t>(&self, vars: Vec<Var<'t>>, x: Var<'t>) -> Var<'t> {
        vars.into_iter().next().unwrap_or_else(|| x.tape().zeros(x.shape()))
    }

    /// All bindings that a program can use.
    fn bound<'b>(
        &'b self,
        more: &[(&'b str, MatRef<'b, T>)],
        program: &Program<T>,
    ) -> Vec<(&'b str, MatRef<'b, T>)>
    where
        'a: 'b,
    {
        let random = self.random.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref()));
        let all = self.inputs.iter().copied().chain(random).chain(more.iter().copied());
        let known = |name: &str| program.inputs().chain(program.constants()).any(|(known, _)| known == name);
        all.filter(|(name, _)| known(name)).collect()
    }

    fn agreement(&mut self, left: Var<'_>, right: Var<'_>, bound: Var<'_>) -> Result<Agreement, Error> {
        let mut program = Program::compile(&[left, right, bound])?;
        let bound = self.bound(&[], &program);
        let run = run_once(&mut program, &bound)?;
        let [left, right, bound] = run.matrices()?.map(|m: MatRef<'_, T>| m[(0, 0)].to_f64());
        Ok(Agreement::new::<T>(left, right, bound))
    }
}
