//! Elementwise functions against a reference with twice the digits, over the whole range of numbers.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use faer::{Mat, MatRef};
use pullback_engine::{Program, Scalar};
use pullback_tape::{Function, Literal, Tape};
use std::f64::consts::LN_2;

/// The sum of two `f64`, the second at most half a unit in the last place of the first (Dekker, 1971).
#[derive(Clone, Copy, Debug)]
struct Double(f64, f64);

impl Double {
    const LN_2: Double = Double(LN_2, 2.3190468138462996e-17);

    const HALF_PI: Double = Double(std::f64::consts::FRAC_PI_2, 6.123233995736766e-17);
    const LN_10: Double = Double(std::f64::consts::LN_10, -2.1707562233822494e-16);
    const TWO_OVER_ROOT_PI: Double = Double(std::f64::consts::FRAC_2_SQRT_PI, 1.533545961316588e-17);

    fn sum(a: f64, b: f64) -> Self {
        let sum = a + b;
        let b_seen = sum - a;
        Double(sum, (a - (sum - b_seen)) + (b - b_seen))
    }

    fn product(a: f64, b: f64) -> Self {
        let product = a * b;
        Double(product, a.mul_add(b, -product))
    }

    fn plus(self, other: Self) -> Self {
        let (high, low) = (Double::sum(self.0, other.0), Double::sum(self.1, other.1));
        let high = Double::sum(high.0, high.1 + low.0);
        Double::sum(high.0, high.1 + low.1)
    }

    fn times(self, other: Self) -> Self {
        let product = Double::product(self.0, other.0);
        Double::sum(product.0, product.1 + (self.0 * other.1 + self.1 * other.0))
    }

    fn over(self, other: Self) -> Self {
        let first = self.0 / other.0;
        let rest = self.plus(other.times(Double(-first, 0.0)));
        let second = rest.0 / other.0;
        let rest = rest.plus(other.times(Double(-second, 0.0)));
        Double::sum(first, second).plus(Double(rest.0 / other.0, 0.0))
    }

    fn scaled(self, power_of_two: f64) -> Self {
        Double(self.0 * power_of_two, self.1 * power_of_two)
    }

    /// `(k, eʳ − 1)` of `x = k ln 2 + r`.
    fn reduced_exp(self) -> (i32, Self) {
        let k = (self.0 / LN_2).round();
        let r = self.plus(Double::LN_2.times(Double(-k, 0.0))).plus(Double(-k * 5.707708438416212e-34, 0.0));
        // The series of a 512th, from the smallest term up, then e²ᵗ − 1 = (eᵗ − 1)² + 2 (eᵗ − 1).
        let t = r.scaled(1.0 / 512.0);
        let mut q = Double(0.0, 0.0);
        for n in (1..=11).rev() {
            q = q.plus(Double(1.0, 0.0)).times(t).over(Double(f64::from(n), 0.0));
        }
        for _ in 0..9 {
            q = q.times(q).plus(q.scaled(2.0));
        }
        (k as i32, q)
    }

    fn exp_m1(self) -> Self {
        let (k, q) = self.reduced_exp();
        let power = 2f64.powi(k);
        if k == 0 { q } else { q.scaled(power).plus(Double(power, 0.0)).plus(Double(-1.0, 0.0)) }
    }

    /// `eˣ 2ˢ`
    fn exp(self, s: i32) -> Self {
        let (k, q) = self.reduced_exp();
        q.plus(Double(1.0, 0.0)).scaled(2f64.powi(k + s))
    }

    /// By a step of Newton's method.
    fn ln_1p(self) -> Self {
        let y = Double(self.0.ln_1p(), 0.0);
        let e = y.exp_m1();
        y.plus(self.plus(e.scaled(-1.0)).over(e.plus(Double(1.0, 0.0))))
    }

    fn sqrt(self) -> Self {
        let root = Double(self.0.sqrt(), 0.0);
        root.plus(self.plus(root.times(root).scaled(-1.0)).over(root.scaled(2.0)))
    }

    /// `e^{x²} erf x`, by a series without cancellation (DLMF 7.6.2).
    fn scaled_erf(self) -> Self {
        let square = self.times(self);
        let (mut term, mut sum) = (self, self);
        // Up to an argument of 6.
        for n in 1..400 {
            term = term.times(square).scaled(2.0).over(Double(f64::from(2 * n + 1), 0.0));
            sum = sum.plus(term);
            if term.0.abs() < 1e-40 * sum.0.abs() {
                break;
            }
        }
        sum.times(Double::TWO_OVER_ROOT_PI)
    }

    /// `e^{x²} erfc x` of a number of at least 2, by a continued fraction (DLMF 7.9.1).
    fn scaled_erfc(self) -> Self {
        let mut rest = self;
        for n in (1..300).rev() {
            rest = self.plus(Double(0.5 * f64::from(n), 0.0).over(rest));
        }
        Double::TWO_OVER_ROOT_PI.scaled(0.5).over(rest)
    }

    /// sin and cos of a number between −2 and 2, by their series.
    fn sin_cos(self) -> [Self; 2] {
        let square = self.times(self).scaled(-1.0);
        [(self, 1), (Double(1.0, 0.0), 0)].map(|(first, degree)| {
            let (mut term, mut sum) = (first, first);
            for k in (degree..40).step_by(2) {
                term = term.times(square).over(Double(f64::from((k + 1) * (k + 2)), 0.0));
                sum = sum.plus(term);
            }
            sum
        })
    }

    fn tan(x: f64) -> Self {
        let k = (x * std::f64::consts::FRAC_2_PI).round();
        let more = Double(k * 1.4973849048591698e-33, 0.0);
        let r = Double(x, 0.0).plus(Double::product(-k, Double::HALF_PI.0));
        let [sin, cos] = r.plus(Double::product(-k, Double::HALF_PI.1)).plus(more).sin_cos();
        if k.abs() % 2.0 == 0.0 { sin.over(cos) } else { cos.over(sin).scaled(-1.0) }
    }

    /// By a step of Newton's method, up to a size of 0.8.
    fn asin(self) -> Self {
        let y = Double(self.0.asin(), 0.0);
        let [sin, cos] = y.sin_cos();
        y.plus(self.plus(sin.scaled(-1.0)).over(cos))
    }

    /// `2 arcsin √((1 − x)/2)`, from ½ to 1.
    fn acos_near_one(x: f64) -> Self {
        if x == 1.0 {
            return Double(0.0, 0.0);
        }
        Double::sum(1.0, -x).scaled(0.5).sqrt().asin().scaled(2.0)
    }

    fn ln(x: f64) -> Self {
        let (x, below) = if x < 1e-300 { (x * 2f64.powi(60), 60.0) } else { (x, 0.0) };
        let k = x.log2().round();
        let m = x / 2f64.powi(k as i32 / 2) / 2f64.powi(k as i32 - k as i32 / 2);
        let shift = Double::LN_2.times(Double(k - below, 0.0));
        Double(m - 1.0, 0.0).ln_1p().plus(shift).plus(Double((k - below) * 5.707708438416212e-34, 0.0))
    }
}

/// Tiny results are compared after multiplication by this power of two.
const UP: i32 = 200;

/// `f(x) 2ˢ` and s, where that is finite.
fn reference(f: Function, x: f64) -> (Double, i32) {
    let one = Double(1.0, 0.0);
    let (size, at) = (x.abs(), Double(x, 0.0));
    let tiny = size < 1e-100;
    let value = match f {
        Function::Exp | Function::Sigmoid | Function::Softplus if x < -600.0 => {
            return (Double(x, 0.0).exp(UP), UP);
        }
        Function::Exp => at.exp(0),
        Function::Ln => Double::ln(x),
        Function::Ln1p | Function::Tanh if tiny => at,
        Function::Ln1p if x > 1e17 => Double::ln(x),
        Function::Ln1p if x < 0.5 => at.ln_1p(),
        Function::Ln1p => {
            // 1 + x may have more digits than one number holds.
            let sum = Double::sum(1.0, x);
            Double::ln(sum.0).plus(Double(sum.1 / sum.0, 0.0))
        }
        Function::Tanh => {
            let t = Double(2.0 * size.min(40.0), 0.0).exp_m1();
            t.over(t.plus(Double(2.0, 0.0))).scaled(x.signum())
        }
        Function::Sigmoid => {
            let e = Double(-x, 0.0).exp_m1().plus(Double(2.0, 0.0));
            if x < -40.0 { at.exp(0).over(at.exp(0).plus(one)) } else { one.over(e) }
        }
        Function::Softplus => {
            Double(if x > 0.0 { x } else { 0.0 }, 0.0).plus(Double(-size.min(600.0), 0.0).exp(0).ln_1p())
        }
        Function::LogCosh if tiny => Double(0.5 * x * x, 0.0),
        Function::LogCosh if size < 1.0 => {
            let q = Double(size, 0.0).exp_m1();
            q.times(q).over(q.plus(one).scaled(2.0)).ln_1p()
        }
        Function::LogCosh => {
            let rest = Double(-2.0 * size.min(100.0), 0.0).exp(0).ln_1p();
            Double(size, 0.0).plus(Double::LN_2.scaled(-1.0)).plus(rest)
        }
        Function::ExpM1 | Function::Asinh | Function::Atanh | Function::Sinh if tiny => at,
        Function::ExpM1 if x > 600.0 => return (at.exp(-UP), -UP),
        Function::ExpM1 => Double(x.max(-600.0), 0.0).exp_m1(),
        Function::Log2 => Double::ln(x).over(Double::LN_2),
        Function::Log10 => Double::ln(x).over(Double::LN_10),
        // A step of Newton's method.
        Function::Cbrt if !tiny && size < 1e100 => {
            let y = Double(x.cbrt(), 0.0);
            let square = y.times(y);
            y.plus(at.plus(square.times(y).scaled(-1.0)).over(square.times(Double(3.0, 0.0))))
        }
        Function::Cbrt => Double(x.cbrt(), 0.0),
        Function::Sinh | Function::Cosh if size > 600.0 => {
            let sign = if f == Function::Sinh { x.signum() } else { 1.0 };
            return (Double(size, 0.0).exp(-UP).scaled(0.5 * sign), -UP);
        }
        Function::Sinh => {
            let q = Double(size, 0.0).exp_m1();
            q.plus(q.over(q.plus(one))).scaled(0.5 * x.signum())
        }
        Function::Cosh => {
            let e = Double(size, 0.0).exp(0);
            e.plus(one.over(e)).scaled(0.5)
        }
        Function::Asinh | Function::Acosh if size > 1e17 => {
            Double::ln(size).plus(Double::LN_2).scaled(x.signum())
        }
        Function::Asinh => {
            let s = Double(size, 0.0);
            let square = s.times(s);
            let more = square.over(one.plus(one.plus(square).sqrt()));
            s.plus(more).ln_1p().scaled(x.signum())
        }
        Function::Acosh => {
            let t = Double::sum(x, -1.0);
            t.plus(t.times(t.plus(Double(2.0, 0.0))).sqrt()).ln_1p()
        }
        Function::Atanh => {
            let s = Double(size, 0.0);
            s.scaled(2.0).over(one.plus(s.scaled(-1.0))).ln_1p().scaled(0.5 * x.signum())
        }
        Function::Tan | Function::Asin | Function::Atan if tiny => at,
        Function::Tan if size < 1e6 => Double::tan(x),
        Function::Tan => Double(x.tan(), 0.0),
        Function::Asin if size <= 0.5 => at.asin(),
        Function::Asin => Double::HALF_PI.plus(Double::acos_near_one(size).scaled(-1.0)).scaled(x.signum()),
        Function::Acos if x > 0.5 => Double::acos_near_one(x),
        Function::Acos if x < -0.5 => {
            Double::HALF_PI.scaled(2.0).plus(Double::acos_near_one(size).scaled(-1.0))
        }
        Function::Acos => Double::HALF_PI.plus(at.asin().scaled(-1.0)),
        // A step of Newton's method for the smaller of the number and its reciprocal.
        Function::Atan => {
            let t = if size > 1.0 { one.over(Double(size, 0.0)) } else { Double(size, 0.0) };
            let y = Double(t.0.atan(), 0.0);
            let [sin, cos] = y.sin_cos();
            // tan(t − y) = (t cos y − sin y)/(cos y + t sin y)
            let change = t.times(cos).plus(sin.scaled(-1.0)).over(cos.plus(t.times(sin)));
            let y = y.plus(change);
            let y = if size > 1.0 { Double::HALF_PI.plus(y.scaled(-1.0)) } else { y };
            y.scaled(x.signum())
        }
        Function::Erf if tiny => at.times(Double::TWO_OVER_ROOT_PI),
        Function::Erf if size > 6.0 => Double(x.signum(), 0.0),
        Function::Erf => at.scaled_erf().over(at.times(at).exp(0)),
        Function::Erfc if tiny => one,
        Function::Erfc if x > 2.0 => {
            let square = at.times(at);
            return (at.scaled_erfc().times(square.scaled(-1.0).exp(UP)), UP);
        }
        Function::Erfc if x < -6.0 => Double(2.0, 0.0),
        Function::Erfc => one.plus(at.scaled_erf().over(at.times(at).exp(0)).scaled(-1.0)),
        Function::Sin => Double(x.sin(), 0.0),
        Function::Cos => Double(x.cos(), 0.0),
        Function::Powf(p) => Double(x.powf(p.value()), 0.0),
        _ => panic!("{f:?} is exactly rounded"),
    };
    (value, 0)
}

/// Bounds in units in the last place, with what std may be off where it is the reference.
const FUNCTIONS: [(Function, f64); 24] = [
    (Function::Exp, 1.0),
    (Function::Ln, 1.0),
    (Function::Ln1p, 1.0),
    (Function::Sin, 1.5),
    (Function::Cos, 1.5),
    (Function::Tanh, 2.5),
    (Function::Sigmoid, 2.5),
    (Function::Softplus, 2.5),
    (Function::LogCosh, 4.5),
    (Function::ExpM1, 2.0),
    (Function::Log2, 2.0),
    (Function::Log10, 2.0),
    (Function::Cbrt, 2.0),
    (Function::Sinh, 2.0),
    (Function::Cosh, 2.0),
    (Function::Tan, 1.0),
    (Function::Asin, 1.0),
    (Function::Acos, 1.0),
    (Function::Atan, 1.0),
    (Function::Asinh, 3.0),
    (Function::Acosh, 3.0),
    (Function::Atanh, 3.0),
    (Function::Erf, 2.0),
    (Function::Erfc, 3.0),
];

fn powers() -> impl Iterator<Item = Function> {
    [2.5, -0.5, 0.3333333333333333, 3.0, -2.0, 17.25, 1e-3, -1.0]
        .map(|p| Function::Powf(Literal::new(p)))
        .into_iter()
}

/// Whether this processor runs our own functions; elsewhere they are std's.
fn ours() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return pulp::x86::V3::try_new().is_some();
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    false
}

/// Numbers of all sizes, and many where functions change.
fn samples() -> Vec<f64> {
    let mut state = 1u64;
    let mut bits = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545f4914f6cdd1d)
    };
    let mut samples: Vec<f64> = (0..20_000).map(|_| f64::from_bits(bits())).collect();
    for scale in [1e-12, 1e-6, 1e-3, 0.1, 1.0, 3.0, 25.0, 800.0, 1e6] {
        samples.extend((0..4_000).map(|_| scale * (bits() as i64 as f64 / 2f64.powi(63))));
    }
    // Where a logarithm is small.
    samples.extend((0..4_000).map(|_| 1.0 + 1e-3 * (bits() as i64 as f64 / 2f64.powi(63))));
    let edges = [
        0.0,
        0.5 * LN_2,
        LN_2,
        0.5,
        0.5f64.sqrt(),
        1.0,
        2f64.sqrt(),
        20.0,
        40.0,
        709.78,
        710.0,
        745.13,
        746.0,
        800.0,
    ];
    let more = [
        2f64.powi(30),
        2f64.powi(52),
        1e22,
        1e300,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        f64::EPSILON,
        f64::INFINITY,
    ];
    for edge in edges.into_iter().chain(more) {
        for x in [edge.next_down(), edge, edge.next_up()] {
            samples.extend([x, -x]);
        }
    }
    let quarter_turns = (0..2_000).map(|k| f64::from(k) * std::f64::consts::FRAC_PI_2);
    samples.extend(quarter_turns);
    samples.push(f64::NAN);
    samples
}

fn values<T: Scalar>(f: Function, x: &[T]) -> Vec<T> {
    let tape = Tape::new();
    let mut program = Program::<T>::compile(&[tape.input("X", (x.len(), 1)).map(f)]).unwrap();
    let run = program.run(&[("X", MatRef::from_column_major_slice(x, x.len(), 1))]).unwrap();
    run.get(0).unwrap().col(0).iter().copied().collect()
}

/// The largest error in units in the last place, and where; `digits` and `lowest` describe the type.
fn worst(
    f: Function,
    pairs: impl Iterator<Item = (f64, f64)>,
    digits: i32,
    lowest: i32,
    largest: f64,
) -> (f64, f64) {
    let mut worst = (0.0, f64::NAN);
    for (x, got) in pairs {
        let (wanted, s) = reference_with_limits(f, x);
        let size = wanted.0.abs();
        // Half a unit above the largest number is where rounding goes to infinity.
        let overflows = s == 0 && (size > largest || size.is_nan());
        let error = if overflows || size == 0.0 || got.is_infinite() {
            let wanted = if size > largest { f64::INFINITY.copysign(wanted.0) } else { wanted.0 };
            let close = got.is_infinite() && size >= largest * (1.0 - 2f64.powi(1 - digits));
            let same = got == wanted || got.is_nan() && wanted.is_nan() || close;
            if same { 0.0 } else { f64::INFINITY }
        } else {
            let exponent = (size.log2().floor() as i32 - s).max(lowest);
            // In units of the last place; in two steps, because either may be out of range.
            let n = digits - 1 - exponent - s;
            let units = |x: f64| x * 2f64.powi(n / 2) * 2f64.powi(n - n / 2);
            ((units(got * 2f64.powi(s)) - units(wanted.0)) - units(wanted.1)).abs()
        };
        if error > worst.0 || error.is_nan() {
            worst = (error, x);
        }
    }
    worst
}

/// Limits, and what is not a number.
fn reference_with_limits(f: Function, x: f64) -> (Double, i32) {
    let known = |x: f64| (Double(x, 0.0), 0);
    match f {
        _ if x.is_nan() => known(f64::NAN),
        Function::Exp if x > 709.9 => known(f64::INFINITY),
        Function::Exp | Function::Sigmoid | Function::Softplus if x < -750.0 => known(0.0),
        Function::Exp if x > 700.0 => (Double(x, 0.0).exp(-UP), -UP),
        Function::Ln if x == 0.0 => known(f64::NEG_INFINITY),
        Function::Ln | Function::Ln1p if x == f64::INFINITY => known(x),
        Function::Ln if x < 0.0 => known(f64::NAN),
        Function::Ln1p if x == -1.0 => known(f64::NEG_INFINITY),
        Function::Ln1p if x < -1.0 => known(f64::NAN),
        Function::Softplus | Function::LogCosh if x.is_infinite() || x.abs() > 1e30 => {
            known(if x > 0.0 || f == Function::LogCosh { x.abs() } else { 0.0 })
        }
        Function::Sigmoid if x > 700.0 => known(1.0),
        Function::ExpM1 if x > 709.9 => known(f64::INFINITY),
        Function::Cosh if x > 710.6 => known(f64::INFINITY),
        Function::ExpM1 if x < -700.0 => known(-1.0),
        Function::Cosh if x < -710.6 => known(f64::INFINITY),
        Function::Sinh if x.abs() > 710.6 => known(f64::INFINITY.copysign(x)),
        Function::Log2 | Function::Log10 if x <= 0.0 || x.is_infinite() => known(x.ln()),
        Function::Cbrt if x.is_infinite() => known(x),
        Function::Asinh if x.is_infinite() => known(x),
        Function::Acosh if x < 1.0 => known(f64::NAN),
        Function::Acosh if x == 1.0 || x.is_infinite() => known(x.ln()),
        Function::Atanh if x.abs() > 1.0 => known(f64::NAN),
        Function::Atanh if x.abs() == 1.0 => known(f64::INFINITY.copysign(x)),
        Function::Tan if x.is_infinite() => known(f64::NAN),
        Function::Asin | Function::Acos if x.abs() > 1.0 => known(f64::NAN),
        Function::Atan if x.abs() > 1e100 => (Double::HALF_PI.scaled(x.signum()), 0),
        Function::Erfc if x > 27.3 => known(0.0),
        _ => reference(f, x),
    }
}

#[test]
fn doubles() {
    let x: Vec<f64> = samples();
    for (f, bound) in FUNCTIONS.into_iter().chain(powers().map(|f| (f, 1.5))) {
        let bound = if ours() { bound } else { 4.0 };
        let got = values(f, &x);
        let (error, at) = worst(f, x.iter().copied().zip(got), 53, -1022, f64::MAX);
        println!("{f:?}: {error:.3} at {at:e}");
        assert!(error <= bound, "{f:?} of {at:e}: {error} units in the last place");
    }
}

#[test]
fn singles() {
    let x: Vec<f32> =
        samples().into_iter().flat_map(|x| [x as f32, f32::from_bits(x.to_bits() as u32)]).collect();
    for f in FUNCTIONS.map(|(f, _)| f).into_iter().chain(powers()) {
        let f = if let Function::Powf(p) = f {
            Function::Powf(Literal::new(f64::from(p.value() as f32)))
        } else {
            f
        };
        // Arguments of more than 2³⁰ are left to std.
        let bound = if matches!(f, Function::Sin | Function::Cos) { 0.6 } else { 0.51 };
        let bound = if ours() { bound } else { 4.0 };
        let got = values(f, &x);
        let pairs = x.iter().zip(got).map(|(&x, got)| (f64::from(x), f64::from(got)));
        let (error, at) = worst(f, pairs, 24, -126, f64::from(f32::MAX));
        println!("{f:?}: {error:.3} at {at:e}");
        assert!(error <= bound, "{f:?} of {at:e}: {error} units in the last place");
    }
}

#[test]
fn signs_of_zero() {
    let more =
        [Function::ExpM1, Function::Cbrt, Function::Tan, Function::Asin, Function::Atan, Function::Sinh];
    let more = more.into_iter().chain([Function::Asinh, Function::Atanh, Function::Erf]);
    let usual = [Function::Sin, Function::Tanh, Function::Ln1p, Function::Sqrt, Function::Abs];
    for f in usual.into_iter().chain(more) {
        for zero in [0.0, -0.0f64] {
            let wanted = if f == Function::Abs { 0.0 } else { zero };
            assert_eq!(values(f, &[zero])[0].to_bits(), f64::to_bits(wanted), "{f:?}");
            assert_eq!(values(f, &[zero as f32])[0].to_bits(), f32::to_bits(wanted as f32), "{f:?}");
        }
    }
}

/// A value has the same bits at every place in a matrix of any size, and behind any strides.
#[test]
fn places() {
    let x: Vec<f64> = samples().into_iter().step_by(23).collect();
    for f in Function::all() {
        let long = values(f, &x);
        for (len, start) in (1..40).zip((0..).step_by(37)) {
            let short = values(f, &x[start..start + len]);
            let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            assert!(short.iter().zip(&long[start..]).all(same), "{f:?}: {len} from {start}");
        }
        let rows = 37;
        let at = Mat::from_fn(rows, x.len() / rows, |i, j| x[i + j * rows]);
        let tape = Tape::new();
        let v = tape.input("X", (at.ncols(), rows));
        let mut program = Program::<f64>::compile(&[v.map(f), (v.t() - 0.0).map(f)]).unwrap();
        let run = program.run(&[("X", at.transpose())]).unwrap();
        for (k, wanted) in long.iter().enumerate().take(rows * at.ncols()) {
            let (i, j) = (k % rows, k / rows);
            for got in [run.get(0).unwrap()[(j, i)], run.get(1).unwrap()[(i, j)]] {
                assert!(
                    got.to_bits() == wanted.to_bits() || got.is_nan() && wanted.is_nan(),
                    "{f:?} at {i}, {j}"
                );
            }
        }
    }
}
