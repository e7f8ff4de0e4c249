//! `ln |Γ|` and its derivatives, `ψ⁽ⁿ⁾`.
//!
//! With the Hurwitz zeta function, `ψ⁽ⁿ⁾(x) = (−1)ⁿ⁺¹ n! ζ(n + 1, x)` for n ≥ 1 (DLMF 25.11.12), and `ζ(s, x)` is a sum of
//! powers whose tail follows by the formula of Euler and Maclaurin (DLMF 2.10.1, 5.11.2, 5.15.8). A negative argument is
//! reflected (DLMF 5.5.4): the sum of `(x + k)⁻ˢ` over *all* integers k does not change when x moves by an integer, and its two
//! halves are zeta functions of positive arguments.

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

/// Factorials up to here are products; those beyond are known by their logarithms, as their powers may overflow.
const SMALL_ORDER: u32 = 20;

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
        0 if x > 0.0 => digamma(x),
        // ψ(x) = ψ(1 − x) − π cot πx (DLMF 5.5.4), with the part of x that matters, which is exact.
        0 => digamma(1.0 - x) - PI / (PI * (x - x.round())).tan(),
        _ if x > 0.0 => sign(n) * zeta(n, x),
        _ => {
            // Σ over all integers k of n! (x + k)⁻ˢ, less the half that does not belong to ζ(s, x).
            let r = x - x.round();
            let alternating = -sign(n);
            let all = power(n, r) + zeta(n, 1.0 + r) - alternating * zeta(n, 1.0 - r);
            sign(n) * (all + alternating * zeta(n, 1.0 - x))
        }
    }
}

/// `(−1)ⁿ⁺¹`
fn sign(n: u32) -> f64 {
    if n.is_multiple_of(2) { -1.0 } else { 1.0 }
}

/// `ψ(x)` of a positive number.
fn digamma(x: f64) -> f64 {
    // ψ(x) = ψ(x + 1) − 1/x (DLMF 5.5.2). The smallest terms are added first.
    let steps = (FAR - x).ceil().max(0.0) as u32;
    let far = x + f64::from(steps);
    let before: f64 = (0..steps).rev().map(|k| 1.0 / (x + f64::from(k))).sum();
    // ψ(x) ∼ ln x − 1/2x − Σ B₂ⱼ/(2j x²ʲ) (DLMF 5.11.2)
    let inverse = 1.0 / (far * far);
    let tail = (1..=12u32)
        .rev()
        .zip(BERNOULLI.iter().rev())
        .fold(0.0, |sum, (j, b)| (sum + b / f64::from(2 * j)) * inverse);
    far.ln() - (0.5 / far + tail) - before
}

/// `n! x⁻ⁿ⁻¹`
fn power(n: u32, x: f64) -> f64 {
    if n <= SMALL_ORDER {
        let factorial: f64 = (1..=n).map(f64::from).product();
        return factorial / x.powi(n as i32 + 1);
    }
    let s = f64::from(n) + 1.0;
    let sign = if n.is_multiple_of(2) { x.signum() } else { 1.0 };
    sign * (libm::lgamma(s) - s * x.abs().ln()).exp()
}

/// `n! ζ(n + 1, x)` of a positive number, n ≥ 1.
fn zeta(n: u32, x: f64) -> f64 {
    if x == f64::INFINITY {
        return 0.0;
    }
    // The first term of the series is all of it, and the square of x may be too large.
    if x > 1e30 {
        return power(n - 1, x);
    }
    let s = f64::from(n) + 1.0;
    // Relative to the first term, so that nothing overflows before the end. A later term is ((x + k)/x)⁻ˢ; when one is lost
    // in the sum, so are all that follow.
    let relative = |far: f64| if n <= SMALL_ORDER { (x / far).powi(n as i32 + 1) } else { (x / far).powf(s) };
    let enough = FAR + s;
    let (mut sum, mut far) = (0.0, x);
    while far < enough {
        let term = relative(far);
        if term < 1e-20 {
            return power(n, x) * sum;
        }
        sum += term;
        far += 1.0;
    }
    // What is left of the sum: X/(s − 1) + ½ + Σ B₂ⱼ/(2j)! s (s + 1) ⋯ (s + 2j − 2) X¹⁻²ʲ, times X⁻ˢ.
    let mut tail = far / (s - 1.0) + 0.5;
    let mut factor = s / (2.0 * far);
    for (j, b) in (1..=12u32).zip(BERNOULLI) {
        let next = s + f64::from(2 * j);
        tail += b * factor;
        factor *= (next - 1.0) * next / (far * far * f64::from((2 * j + 1) * (2 * j + 2)));
    }
    power(n, x) * (sum + relative(far) * tail)
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
                let term = -sign(n) * power(n, x);
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
    }
}
