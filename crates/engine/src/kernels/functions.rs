//! Elementary functions, written so that a loop over them becomes vector code.
//!
//! Every function is straight-line arithmetic on one `f64`, with choices between values instead of branches: compiled
//! for a processor that multiplies and adds in one instruction ([`Loop`](super::vector::Loop)), a loop over it handles
//! as many entries at a time as fit into a register. Such arithmetic is exactly rounded and gives the same bits in
//! every lane, so that a value does not depend on where in a block it stands. In `f32` the same code runs with shorter
//! polynomials, and the result is rounded once at the end.
//!
//! Largest errors in units in the last place, for all arguments, as `tests/functions.rs` checks:
//!
//! | | `f64` | `f32` |
//! |---|---|---|
//! | `exp`, `ln`, `ln_1p` | 1 | 0.51 |
//! | `sin`, `cos` | 1.5 | 0.6 |
//! | `powf` | 1.5 | 0.51 |
//! | `tanh`, `sigmoid`, `softplus` | 2.5 | 0.51 |
//! | `log_cosh` | 4.5 | 0.51 |
//!
//! The other functions are exactly rounded. For the techniques see Muller et al., *Handbook of Floating-Point
//! Arithmetic*, 2nd ed., ch. 10; for argument reduction by a constant in several parts Cody and Waite, *Software Manual
//! for the Elementary Functions*, 1980; for vector code without branches Shibata and Petrogalli, *SLEEF*, 2020. The
//! polynomials interpolate at Chebyshev nodes, and were computed with 220 bits.

use std::f64::consts::{FRAC_2_PI, LOG2_E};

/// Coefficients, lowest first, for results of a type.
pub(crate) trait Digits {
    /// `(eʳ − 1 − r) / r²` for `|r| ≤ ½ ln 2`.
    const EXP: &'static [f64];
    /// `(2 artanh s − 2s) / s³` in `s²`, for `1 + s` and `1 − s` with a quotient between √½ and √2.
    const LN: &'static [f64];
    /// `(2 artanh(s/2) − s) / s³` in `s²`, for `0 ≤ s ≤ ⅔`.
    const ARTANH: &'static [f64];
    /// `(sin r − r) / r³` in `r²`, for `|r| ≤ π/4`.
    const SIN: &'static [f64];
    /// `(cos r − 1 + r²/2) / r⁴` in `r²`, for `|r| ≤ π/4`.
    const COS: &'static [f64];

    /// `xᵖ` of an `x` that [has a logarithm](has_logarithm).
    fn powf(x: f64, p: f64) -> f64;
}

impl Digits for f64 {
    const EXP: &'static [f64] = &[
        0.5,
        0.1666666666666667,
        0.04166666666666667,
        0.008333333333326136,
        0.0013888888888883748,
        0.00019841269874820627,
        2.4801587325547743e-05,
        2.7557255400206422e-06,
        2.75572736431103e-07,
        2.5105217004720745e-08,
        2.0914686968086876e-09,
    ];
    const LN: &'static [f64] = &[
        0.6666666666666666,
        0.4000000000000088,
        0.2857142857080323,
        0.2222222239180047,
        0.18181795630884753,
        0.15386240205813478,
        0.13268759668560612,
        0.13086767009948175,
    ];
    const ARTANH: &'static [f64] = &[
        0.08333333333333333,
        0.01249999999999985,
        0.0022321428571562708,
        0.00043402777730890845,
        8.877841747689433e-05,
        1.8779960837101032e-05,
        4.069573871312168e-06,
        8.952533858777308e-07,
        2.068575102382624e-07,
        3.572292070709832e-08,
        1.8634241470612555e-08,
    ];
    const SIN: &'static [f64] = &[
        -0.16666666666666666,
        0.008333333333333331,
        -0.00019841269841265055,
        2.755731921933174e-06,
        -2.5052106229867592e-08,
        1.6058531210130865e-10,
        -7.586673021289394e-13,
    ];
    const COS: &'static [f64] = &[
        0.041666666666666664,
        -0.0013888888888887393,
        2.4801587298761176e-05,
        -2.755731726939027e-07,
        2.0876145780903544e-09,
        -1.1382597309861877e-11,
    ];

    #[inline(always)]
    fn powf(x: f64, p: f64) -> f64 {
        powf(x, p)
    }
}

impl Digits for f32 {
    const EXP: &'static [f64] = &[
        0.5,
        0.16666666719028936,
        0.04166666671901226,
        0.00833329846980059,
        0.001388885403566671,
        0.00019899285575896282,
        2.4859589834589056e-05,
    ];
    const LN: &'static [f64] = &[
        0.6666666666737545,
        0.39999998796848674,
        0.2857175463573276,
        0.22191394493175057,
        0.19362776836747533,
    ];
    const ARTANH: &'static [f64] = &[
        0.08333333331251637,
        0.012500003367399546,
        0.0022320550966985087,
        0.00043485791437377497,
        8.527607328698985e-05,
        2.5376305334564458e-05,
    ];
    const SIN: &'static [f64] =
        &[-0.16666666663850796, 0.008333331872963532, -0.00019840085791985552, 2.7249803501237962e-06];
    const COS: &'static [f64] =
        &[0.04166666666431745, -0.0013888887670559064, 2.4800599589789317e-05, -2.730085712708345e-07];

    #[inline(always)]
    fn powf(x: f64, p: f64) -> f64 {
        // The digits that f64 has to spare are enough.
        exp::<f64>(p * ln::<f64>(x))
    }
}

/// `ln 2` and what that leaves over.
const LN_2: [f64; 2] = [std::f64::consts::LN_2, 2.3190468138462996e-17];
/// `ln 2` with so few digits that products with integers up to 2²⁰ are exact, and what that leaves over.
const SHORT_LN_2: [f64; 2] = [0.6931471803691238, 1.9082149292705877e-10];
/// `π/2` in parts.
const HALF_PI: [f64; 3] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];
/// `1.5 · 2⁵²`. Adding it to a number rounds that to an integer, which appears in the lowest bits.
const SHIFT: f64 = 6755399441055744.0;

/// By pairs (Estrin, 1960): half as long a chain of operations that wait for each other as Horner's rule.
#[inline(always)]
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    let (pairs, last) = coefficients.as_chunks::<2>();
    let highest = last.first().copied().unwrap_or(0.0);
    pairs.iter().rev().fold(highest, |sum, &[even, odd]| sum.mul_add(x * x, odd.mul_add(x, even)))
}

/// `2ⁿ`, with `n` from −1022 to 1023 in the lowest bits of `shifted = n + SHIFT`.
#[inline(always)]
fn power_of_two(shifted: f64) -> f64 {
    f64::from_bits((shifted.to_bits() << 52).wrapping_add(1f64.to_bits()))
}

/// `n + SHIFT`, and `eʳ − 1` in two parts, of `x + low = n ln 2 + r` for a `low` that is lost when added to `x`. The first
/// part, which is the larger, is exact.
#[inline(always)]
fn reduced_exp<D: Digits>(x: f64, low: f64) -> (f64, f64, f64) {
    let shifted = x.mul_add(LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let high = n.mul_add(-SHORT_LN_2[0], x);
    let low = n.mul_add(-SHORT_LN_2[1], low);
    let r = high + low;
    (shifted, high, (r * r).mul_add(polynomial(D::EXP, r), low))
}

/// `e` to the `x + low`, see [`reduced_exp`].
#[inline(always)]
fn exp_of_sum<D: Digits>(x: f64, low: f64) -> f64 {
    // Beyond, the result is infinite or zero. NaN passes.
    let x = if x > 710.0 { 710.0 } else { x };
    let x = if x < -746.0 { -746.0 } else { x };
    let (shifted, high, rest) = reduced_exp::<D>(x, low);
    // In two steps, because the power alone may be out of range; only the second can round.
    let half = (shifted - SHIFT).mul_add(0.5, SHIFT);
    let other = (shifted - SHIFT) - (half - SHIFT) + SHIFT;
    (1.0 + (high + rest)) * power_of_two(half) * power_of_two(other)
}

#[inline(always)]
pub(crate) fn exp<D: Digits>(x: f64) -> f64 {
    exp_of_sum::<D>(x, 0.0)
}

/// `eʸ − 1 = 2ⁿ(eʳ − 1) + (2ⁿ − 1)` for `0 ≤ y < 700`, where nothing cancels.
#[inline(always)]
fn exp_m1<D: Digits>(y: f64) -> f64 {
    let (shifted, high, rest) = reduced_exp::<D>(y, 0.0);
    let power = power_of_two(shifted);
    power.mul_add(high, power - 1.0) + power * rest
}

/// `tanh x = t / (t + 2)` with `t = e²ˣ − 1`, for positive `x`.
#[inline(always)]
pub(crate) fn tanh<D: Digits>(x: f64) -> f64 {
    // From 20 on it is 1 to working precision.
    let size = if x.abs() > 20.0 { 20.0 } else { x.abs() };
    let t = exp_m1::<D>(2.0 * size);
    (t / (t + 2.0)).copysign(x)
}

/// `1 / (1 + e⁻ˣ)`, as `eˣ / (1 + eˣ)` for negative `x`.
#[inline(always)]
pub(crate) fn sigmoid<D: Digits>(x: f64) -> f64 {
    let e = exp::<D>(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// `ln(1 + z) = 2 artanh(z / (2 + z))` for `0 ≤ z ≤ 1`.
#[inline(always)]
fn ln_1p_of_fraction<D: Digits>(z: f64) -> f64 {
    let s = z / z.mul_add(0.5, 1.0);
    (s * (s * s)).mul_add(polynomial(D::ARTANH, s * s), s)
}

/// `ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|)`
#[inline(always)]
pub(crate) fn softplus<D: Digits>(x: f64) -> f64 {
    let positive = if x <= 0.0 { 0.0 } else { x };
    positive + ln_1p_of_fraction::<D>(exp::<D>(-x.abs()))
}

/// `ln cosh x = |x| − ln 2 + ln(1 + e^−2|x|)`, and near 0, where that cancels, `ln(1 + (cosh x − 1))` with
/// `cosh x − 1 = q² / (2 (1 + q))`, `q = e^|x| − 1`.
#[inline(always)]
pub(crate) fn log_cosh<D: Digits>(x: f64) -> f64 {
    let size = x.abs();
    // Beyond, e^−2|x| is lost beside |x|.
    let q = exp_m1::<D>(if size > 40.0 { 40.0 } else { size });
    let inverse = 1.0 / (1.0 + q);
    let near = size < 1.0;
    let z = if near { (0.5 * q) * (q * inverse) } else { inverse * inverse };
    let ln = ln_1p_of_fraction::<D>(z);
    if near { ln } else { (size - LN_2[0]) + ln }
}

/// `(k, m)` of a normal positive `x = 2ᵏ m` with `√½ ≤ m < √2`.
#[inline(always)]
fn split(x: f64) -> (f64, f64) {
    const SQRT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    const EXPONENT: u64 = 1 << 52;
    let bits = x.to_bits().wrapping_add(1f64.to_bits() - SQRT_HALF);
    // An integer below 2⁵² appended to the exponent of 2⁵² is that integer and 2⁵².
    let k = f64::from_bits((bits >> 52) | (EXPONENT as f64).to_bits()) - (EXPONENT as f64 + 1023.0);
    (k, f64::from_bits((bits & (EXPONENT - 1)).wrapping_add(SQRT_HALF)))
}

/// `ln(2ᵏ (1 + f)) + c`, for a small `c`.
///
/// With `s = f / (2 + f)`, `ln(1 + f) = 2 artanh s = f − (f²/2 − s (f²/2 + s² P(s²)))` rounds `f` alone to full size
/// (Ng, *fdlibm*, `e_log.c`, 1993).
#[inline(always)]
fn ln_of_parts<D: Digits>(k: f64, f: f64, c: f64) -> f64 {
    let s = f / (2.0 + f);
    let half = 0.5 * f * f;
    let rest = (s * s).mul_add(polynomial(D::LN, s * s), half);
    k.mul_add(LN_2[0], f - (half - s.mul_add(rest, k.mul_add(LN_2[1], c))))
}

/// Whether [`ln`] and [`Digits::powf`] can be used: of a normal positive number.
#[inline(always)]
pub(crate) fn has_logarithm(x: f64) -> bool {
    (f64::MIN_POSITIVE..f64::INFINITY).contains(&x)
}

#[inline(always)]
pub(crate) fn ln<D: Digits>(x: f64) -> f64 {
    let (k, m) = split(x);
    ln_of_parts::<D>(k, m - 1.0, 0.0)
}

/// Whether [`ln_1p`] can be used.
#[inline(always)]
pub(crate) fn has_logarithm_1p(x: f64) -> bool {
    x > -1.0 && x < f64::INFINITY
}

/// `ln(1 + x) = ln u + c/u`, where `c` is what rounding takes off `u = 1 + x` (Ng, *fdlibm*, `s_log1p.c`, 1993).
#[inline(always)]
pub(crate) fn ln_1p<D: Digits>(x: f64) -> f64 {
    let u = 1.0 + x;
    // The sum's error, without asking which term is larger (Knuth, TAOCP 2, §4.2.2).
    let c = (1.0 - (u - (u - 1.0))) + (x - (u - 1.0));
    let (k, m) = split(u);
    let near = k == 0.0;
    let ln = ln_of_parts::<D>(k, if near { x } else { m - 1.0 }, if near { 0.0 } else { c / u });
    // A zero keeps its sign.
    if x == 0.0 { x } else { ln }
}

/// Whether [`sin`] and [`cos`] are accurate: up to here, π/2 in three parts is enough.
#[inline(always)]
pub(crate) fn few_turns(x: f64) -> bool {
    x.abs() <= (1u64 << 30) as f64
}

/// `sin` or, a quarter turn ahead, `cos`.
#[inline(always)]
fn turned<D: Digits>(x: f64, quarter: u64) -> f64 {
    let shifted = x.mul_add(FRAC_2_PI, SHIFT);
    let n = shifted - SHIFT;
    // The first product is subtracted exactly.
    let r = n.mul_add(-HALF_PI[0], x);
    let r = n.mul_add(-HALF_PI[1], r);
    let r = n.mul_add(-HALF_PI[2], r);
    let z = r * r;
    let sin = (r * z).mul_add(polynomial(D::SIN, z), r);
    // 1 − z/2 and what rounding takes off it.
    let (half, w) = (0.5 * z, 1.0 - 0.5 * z);
    let cos = w + (z * z).mul_add(polynomial(D::COS, z), (1.0 - w) - half);
    let turns = shifted.to_bits().wrapping_add(quarter);
    let value = if turns & 1 == 0 { sin } else { cos };
    f64::from_bits(value.to_bits() ^ ((turns & 2) << 62))
}

#[inline(always)]
pub(crate) fn sin<D: Digits>(x: f64) -> f64 {
    // A zero keeps its sign.
    if x == 0.0 { x } else { turned::<D>(x, 0) }
}

#[inline(always)]
pub(crate) fn cos<D: Digits>(x: f64) -> f64 {
    turned::<D>(x, 1)
}

/// `xᵖ = exp(p ln x)`, of a normal positive `x`.
///
/// As errors in `p ln x` are multiplied by up to 745, it is computed with twice the digits: a pair stands for the sum of
/// its parts (Dekker, *Numer. Math.* 18, 1971).
#[inline(always)]
fn powf(x: f64, p: f64) -> f64 {
    /// `(2 artanh s − 2s − ⅔s³) / s⁵` in `s²`.
    const TAIL: &[f64] = &[
        0.4,
        0.28571428571429364,
        0.22222222221655885,
        0.18181818335392802,
        0.1538459496251843,
        0.1333480469384731,
        0.11706236339491206,
        0.11723178623876518,
    ];
    /// `⅔`
    const TWO_THIRDS: [f64; 2] = [0.6666666666666666, 3.700743415417188e-17];
    let (k, m) = split(x);
    let f = m - 1.0;
    // s = f / (2 + f)
    let d = 2.0 + f;
    let d_low = (2.0 - d) + f;
    let s = f / d;
    let s_low = (s.mul_add(-d, f) - s * d_low) / d;
    let w = s * s;
    let w_low = s.mul_add(s, -w) + 2.0 * s * s_low;
    // 2 artanh s = 2s + s³ (⅔ + s² P(s²))
    let (t, t_low) = sum(TWO_THIRDS[0], w.mul_add(polynomial(TAIL, w), TWO_THIRDS[1]));
    let (c, c_low) = product((w, w_low), (s, s_low));
    let (c, c_low) = product((c, c_low), (t, t_low));
    let (ln, ln_low) = sum(2.0 * s, c);
    let ln_low = ln_low + (c_low + 2.0 * s_low);
    let whole = k * LN_2[0];
    let whole_low = k.mul_add(LN_2[0], -whole) + k * LN_2[1];
    let (ln, low) = sum_of_any(whole, ln);
    let ln_low = low + (ln_low + whole_low);
    let y = p * ln;
    let y_low = p.mul_add(ln, -y) + p * ln_low;
    // Out of range, what is left over is not needed, and may be NaN.
    exp_of_sum::<f64>(y, if y.abs() < 800.0 { y_low } else { 0.0 })
}

/// `a + b` of which `a` is larger.
#[inline(always)]
pub(super) fn sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, (a - sum) + b)
}

/// The same of any two.
#[inline(always)]
pub(super) fn sum_of_any(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_seen = sum - a;
    (sum, (a - (sum - b_seen)) + (b - b_seen))
}

#[inline(always)]
pub(super) fn product(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let product = a.0 * b.0;
    let low = a.0.mul_add(b.0, -product) + (a.0 * b.1 + a.1 * b.0);
    sum(product, low)
}
