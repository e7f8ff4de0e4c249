//! `ln |Γ|` and its derivatives, `ψ⁽ⁿ⁾`.
//!
//! With the Hurwitz zeta function, `ψ⁽ⁿ⁾(x) = (−1)ⁿ⁺¹ n! ζ(n + 1, x)` for n ≥ 1 (DLMF 25.11.12), and `ζ(s, x)` is a sum of
//! powers whose tail follows by the formula of Euler and Maclaurin (DLMF 2.10.1, 5.11.2, 5.15.8). A negative argument is
//! reflected (DLMF 5.5.4): the sum of `(x + k)⁻ˢ` over *all* integers k does not change when x moves by an integer, and its two
//! halves are zeta functions of positive arguments.
//!
//! Largest errors, in units in the last place, as `tests/gamma` checks: 2.5 for positive numbers and orders up to 170, and for
//! `ψ`, which vanishes near 1.46, 2·10⁻¹⁷ if that is more. For negative numbers the unit is that of the larger term of the
//! reflection, and the bound 4.

use super::functions::{product, sum, sum_of_any};
use std::f64::consts::PI;

/// `B₂ⱼ`, the Bernoulli numbers (DLMF 24.2.1).
const BERNOULLI: [f64; 12] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
    43867.0 / 798.0,
    -174611.0 / 330.0,
    854513.0 / 138.0,
    -236364091.0 / 2730.0,
];

/// From here on, the asymptotic series of `ψ` is exact to rounding.
const FAR: f64 = 10.0;
/// `ln 10`, for the numbers next to it.
const LN_FAR: Pair = (std::f64::consts::LN_10, -2.1707562233822494e-16);

/// The largest order whose factorial is a number. For larger ones powers are known by their logarithms.
const SMALL_ORDER: u32 = 170;

/// The sum of two numbers, the second of which is lost when it is added to the first (Dekker, *Numer. Math.* 18, 1971). A power
/// multiplies the error of its base by the exponent, and sums cancel near zeros of `ψ`.
type Pair = (f64, f64);

fn add((a, a_low): Pair, (b, b_low): Pair) -> Pair {
    let (high, low) = sum_of_any(a, b);
    // What is infinite leaves nothing over.
    if high.is_finite() { sum(high, low + (a_low + b_low)) } else { (high, 0.0) }
}

fn quotient((a, a_low): Pair, (b, b_low): Pair) -> Pair {
    let high = a / b;
    let low = (((-high).mul_add(b, a) + a_low) - high * b_low) / b;
    if high.is_finite() { sum(high, low) } else { (high, 0.0) }
}

/// `xˢ`
fn integer_power(x: Pair, s: u32) -> Pair {
    let (mut power, mut square, mut s) = ((1.0, 0.0), x, s);
    while s > 0 {
        if s % 2 == 1 {
            power = product(power, square);
        }
        (square, s) = (product(square, square), s / 2);
    }
    power
}

/// `ln |Γ(x)|`; ∞ at the poles.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// `ψ⁽ⁿ⁾(x)`. At the poles 0, −1, … it is ∞ for odd n, and NaN for even n, where the sides differ in sign.
pub(crate) fn polygamma(n: u32, x: f64) -> f64 {
    let pole = x <= 0.0 && x == x.floor();
    match n {
        _ if x.is_nan() || x == f64::NEG_INFINITY => f64::NAN,
        _ if pole && n.is_multiple_of(2) => f64::NAN,
        _ if pole => f64::INFINITY,
        0 if x > 0.0 => digamma((x, 0.0)),
        // ψ(x) = ψ(1 − x) − π cot πx (DLMF 5.5.4), with the part of x that matters, which is exact.
        0 => digamma(sum_of_any(1.0, -x)) - pi_cot_pi(x - x.round()),
        _ if x > 0.0 => sign(n) * zeta(n, (x, 0.0)),
        _ => {
            // Σ over all integers k of n! (x + k)⁻ˢ, less the half that does not belong to ζ(s, x).
            let r = x - x.round();
            let alternating = -sign(n);
            let nearest = times_power(n, (r, 0.0), 1.0);
            let all = if r.abs() == 0.5 && n.is_multiple_of(2) {
                // The terms on both sides are each other's negatives.
                0.0
            } else if nearest.is_infinite() {
                // The others are smaller.
                return sign(n) * nearest;
            } else {
                nearest + zeta(n, sum_of_any(1.0, r)) - alternating * zeta(n, sum_of_any(1.0, -r))
            };
            sign(n) * (all + alternating * zeta(n, sum_of_any(1.0, -x)))
        }
    }
}

/// `(−1)ⁿ⁺¹`
fn sign(n: u32) -> f64 {
    if n.is_multiple_of(2) { -1.0 } else { 1.0 }
}

/// `π cot πr` for `|r| ≤ ½`, with all digits where it is small.
fn pi_cot_pi(r: f64) -> f64 {
    if r.abs() <= 0.25 { PI / (PI * r).tan() } else { (PI * (PI * (0.5 - r.abs())).tan()).copysign(r) }
}

/// `ψ(x)` of a positive number.
fn digamma(x: Pair) -> f64 {
    // ψ(x) = ψ(x + 1) − 1/x (DLMF 5.5.2). The smallest terms are added first.
    let steps = (FAR - x.0).ceil().max(0.0) as u32;
    let from = |k: u32| add(x, (f64::from(k), 0.0));
    let before = (0..steps).rev().fold((0.0, 0.0), |sum, k| add(sum, quotient((1.0, 0.0), from(k))));
    let (far, low) = from(steps);
    // ψ(x) ∼ ln x − 1/2x − Σ B₂ⱼ/(2j x²ʲ) (DLMF 5.11.2)
    let inverse = 1.0 / (far * far);
    let tail = (1..=12u32)
        .rev()
        .zip(BERNOULLI.iter().rev())
        .fold(0.0, |sum, (j, b)| (sum + b / f64::from(2 * j)) * inverse);
    let rest = 0.5 / far + tail;
    if steps == 0 {
        return far.ln() - (rest - low / far);
    }
    // Between FAR and FAR + 1 the logarithm is a constant and something small, so that little is lost when they cancel.
    let ln = add(LN_FAR, ((((far - FAR) + low) / FAR).ln_1p() - rest, 0.0));
    let value = add(ln, (-before.0, -before.1));
    value.0 + value.1
}

/// `c n! x⁻ⁿ⁻¹`
fn times_power(n: u32, x: Pair, c: f64) -> f64 {
    if n > SMALL_ORDER {
        let s = f64::from(n) + 1.0;
        let sign = if n.is_multiple_of(2) { x.0.signum() } else { 1.0 };
        return sign * (libm::lgamma(s) - s * x.0.abs().ln()).exp() * c;
    }
    // With mantissas alone nothing overflows before the end: m¹⁷¹ with ½ ≤ m < 1 is no less than 2⁻¹⁷¹.
    let (m, exponent) = libm::frexp(x.0);
    let power = integer_power((m, libm::ldexp(x.1, -exponent)), n + 1);
    let factorial =
        (2..=n).fold((1.0, 0.0), |product_so_far, k| product(product_so_far, (f64::from(k), 0.0)));
    let (f, more) = libm::frexp(factorial.0);
    let (high, low) = quotient((f, libm::ldexp(factorial.1, -more)), power);
    let (c, of_c) = libm::frexp(c);
    libm::ldexp(c.mul_add(high, c * low), more + of_c - exponent * (n as i32 + 1))
}

/// `n! ζ(n + 1, x)` of a positive number, n ≥ 1.
fn zeta(n: u32, x: Pair) -> f64 {
    if x.0 == f64::INFINITY {
        return 0.0;
    }
    // The first term of the series is all of it, and the square of x may be too large.
    if x.0 > 1e30 {
        return times_power(n - 1, x, 1.0);
    }
    let s = f64::from(n) + 1.0;
    // Relative to the first term, so that nothing overflows before the end. A later term is ((x + k)/x)⁻ˢ; when one is lost
    // in the sum, so are all that follow.
    let relative = |far: Pair| {
        let base = quotient(x, far);
        if n <= SMALL_ORDER { integer_power(base, n + 1) } else { (base.0.powf(s), 0.0) }
    };
    let enough = FAR + s;
    let (mut sum, mut k, mut far) = ((0.0, 0.0), 0.0, x);
    while far.0 < enough {
        let term = relative(far);
        if term.0 < 1e-20 {
            return times_power(n, x, sum.0);
        }
        (sum, k) = (add(sum, term), k + 1.0);
        far = add(x, (k, 0.0));
    }
    // What is left of the sum: X/(s − 1) + ½ + Σ B₂ⱼ/(2j)! s (s + 1) ⋯ (s + 2j − 2) X¹⁻²ʲ, times X⁻ˢ.
    let (first, far) = (relative(far).0, far.0);
    let mut tail = 0.0;
    let mut factor = s / (2.0 * far);
    for (j, b) in (1..=12u32).zip(BERNOULLI) {
        let next = s + f64::from(2 * j);
        tail += b * factor;
        factor *= (next - 1.0) * next / (far * far * f64::from((2 * j + 1) * (2 * j + 2)));
    }
    times_power(n, x, add(sum, (first * (far / (s - 1.0) + (0.5 + tail)), 0.0)).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(got: f64, wanted: f64, what: &str) {
        assert!((got - wanted).abs() <= 4e-15 * wanted.abs().max(1.0), "{what}: {got} instead of {wanted}");
    }

    /// The Euler–Mascheroni constant (DLMF 5.2.3).
    const EULER: f64 = 0.577_215_664_901_532_9;
    /// `ζ(3)`, Apéry's constant (DLMF 25.6.9).
    const APERY: f64 = 1.202_056_903_159_594_2;

    /// DLMF 5.4.11 to 5.4.13, 5.15.2 and 5.15.3.
    #[test]
    fn known_values() {
        let ln_2 = std::f64::consts::LN_2;
        for (n, x, wanted) in [
            (0, 1.0, -EULER),
            (0, 2.0, 1.0 - EULER),
            (0, 0.5, -EULER - 2.0 * ln_2),
            (0, 0.25, -EULER - PI / 2.0 - 3.0 * ln_2),
            (0, -0.5, 2.0 - EULER - 2.0 * ln_2),
            (1, 1.0, PI * PI / 6.0),
            (1, 2.0, PI * PI / 6.0 - 1.0),
            (1, 0.5, PI * PI / 2.0),
            (1, -0.5, PI * PI / 2.0 + 4.0),
            (2, 1.0, -2.0 * APERY),
            (2, 0.5, -14.0 * APERY),
            (2, -0.5, 16.0 - 14.0 * APERY),
            (3, 1.0, PI.powi(4) / 15.0),
            (3, 0.5, PI.powi(4)),
            (3, -0.5, PI.powi(4) + 96.0),
        ] {
            assert_close(polygamma(n, x), wanted, &format!("order {n} at {x}"));
        }
    }

    /// `ψ⁽ⁿ⁾(x + 1) = ψ⁽ⁿ⁾(x) + (−1)ⁿ n! x⁻ⁿ⁻¹` (DLMF 5.15.5), on both sides of 0 and for large orders.
    #[test]
    fn recurrence() {
        for n in [0, 1, 2, 3, 4, 5, 8, 19, 20, 21, 40, 100] {
            for x in [-20.3, -3.75, -1.5, -0.999, -0.3, 1e-3, 0.7, 1.46, 3.2, 9.9, 10.1, 25.5, 300.25] {
                let (left, right) = (polygamma(n, x + 1.0), polygamma(n, x));
                let term = times_power(n, (x, 0.0), -sign(n));
                let size = left.abs().max(right.abs()).max(term.abs());
                if size.is_infinite() {
                    continue;
                }
                let error = (left - right - term).abs() / size;
                assert!(error < 1e-14 * f64::from(n + 1), "order {n} at {x}: {error:e}");
            }
        }
    }

    #[test]
    fn limits() {
        for x in [0.0, -0.0, -1.0, -7.0, -1e300] {
            assert!(polygamma(0, x).is_nan() && polygamma(2, x).is_nan());
            assert_eq!((polygamma(1, x), polygamma(3, x)), (f64::INFINITY, f64::INFINITY));
            assert_eq!(ln_gamma(x), f64::INFINITY);
        }
        for n in [0, 1, 2, 50, 1000, u32::MAX] {
            assert!(polygamma(n, f64::NAN).is_nan() && polygamma(n, f64::NEG_INFINITY).is_nan());
            assert_eq!(polygamma(n, f64::INFINITY), if n == 0 { f64::INFINITY } else { 0.0 * sign(n) });
        }
        // A huge order ends in time.
        assert_eq!(polygamma(u32::MAX, 2.5), f64::INFINITY);
        assert_eq!(polygamma(u32::MAX - 1, 1e6), f64::NEG_INFINITY);
        assert_eq!(polygamma(1, 1e300), 1e-300);
        // Beyond the range of the numbers it has a sign, though terms of both are added up.
        assert_eq!(polygamma(170, -5.575_758_615_728_718), f64::NEG_INFINITY);
        assert_eq!(polygamma(170, -0.328), f64::INFINITY);
        // Half way between poles, those on both sides cancel.
        assert_eq!(polygamma(170, -0.5), polygamma(170, 1.5));
    }
}
