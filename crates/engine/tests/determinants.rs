//! Adjugates, of singular matrices too, and signs of determinants.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use faer::Mat;
use pullback_engine::{Program, Scalar};
use pullback_tape::Tape;

/// Numbers from −1 to 1, fixed by the seed.
fn random(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0123_4567_89AB_CDEF;
    Mat::from_fn(rows, cols, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

/// Integers from −4 to 4.
fn integers(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let numbers = random(rows, cols, seed);
    Mat::from_fn(rows, cols, |i, j| (4.5 * numbers[(i, j)]).round())
}

/// By Laplace's expansion.
fn det(a: &Mat<f64>) -> f64 {
    if a.nrows() == 0 {
        return 1.0;
    }
    (0..a.ncols()).map(|j| a[(0, j)] * cofactor(a, 0, j)).sum()
}

fn cofactor(a: &Mat<f64>, row: usize, col: usize) -> f64 {
    let skip = |i: usize, without: usize| if i < without { i } else { i + 1 };
    let minor = Mat::from_fn(a.nrows() - 1, a.ncols() - 1, |i, j| a[(skip(i, row), skip(j, col))]);
    if (row + col).is_multiple_of(2) { det(&minor) } else { -det(&minor) }
}

fn by_cofactors(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| cofactor(a, j, i))
}

/// The adjugate, and beside it the determinant. Runs allocate nothing.
fn computed<T: Scalar>(a: &Mat<f64>) -> (Mat<f64>, f64) {
    let n = a.nrows();
    let tape = Tape::new();
    let x = tape.input("A", (n, n));
    let mut program = Program::<T>::compile(&[x.adjugate(), x.det()]).unwrap();
    let a = Mat::from_fn(n, n, |i, j| T::from_f64(a[(i, j)]));
    let bound = [("A", a.as_ref())];
    program.run(&bound).unwrap();
    let allocated = measure(|| assert!(program.run(&bound).is_ok()));
    assert_eq!(allocated.count_total, 0, "a run allocates");
    let run = program.run(&bound).unwrap();
    let adjugate = run.get(0).unwrap();
    (Mat::from_fn(n, n, |i, j| adjugate[(i, j)].to_f64()), run.scalar(1).unwrap().to_f64())
}

/// Against cofactors, up to rounding errors of the size of the entries that `scale` says.
fn assert_right<T: Scalar>(what: &str, a: &Mat<f64>, scale: f64) {
    let (n, wanted) = (a.nrows(), by_cofactors(a));
    let (adjugate, _) = computed::<T>(a);
    let distance = (&adjugate - &wanted).norm_max();
    let allowed = 40.0 * n as f64 * T::EPSILON.to_f64() * scale;
    assert!(distance <= allowed, "{what} ({}): {distance:e} > {allowed:e}", std::any::type_name::<T>());
}

fn assert_right_in_both(what: &str, a: &Mat<f64>) {
    let scale = by_cofactors(a).norm_max();
    assert_right::<f64>(what, a, scale);
    assert_right::<f32>(what, a, scale);
}

fn diagonal(entries: &[f64]) -> Mat<f64> {
    Mat::from_fn(entries.len(), entries.len(), |i, j| if i == j { entries[i] } else { 0.0 })
}

#[test]
fn invertible() {
    for n in 2..=6 {
        for seed in 0..10 {
            let a = integers(n, n, 31 * n as u64 + seed);
            if det(&a) != 0.0 {
                assert_right_in_both(&format!("integers, {n}, {seed}"), &a);
            }
        }
        assert_right_in_both("exchanged", &Mat::from_fn(n, n, |i, j| f64::from(i + j + 1 == n)));
    }
}

#[test]
fn one_rank_less() {
    assert_right_in_both("diagonal", &diagonal(&[0.0, 2.0, 3.0]));
    assert_right_in_both("a zero inside", &diagonal(&[-5.0, 2.0, 0.0, 3.0]));
    assert_right_in_both("nilpotent", &Mat::from_fn(5, 5, |i, j| f64::from(i + 1 == j)));
    for n in 2..=6 {
        for seed in 0..10 {
            let what = format!("{n}, {seed}");
            let mut a = integers(n, n, 57 * n as u64 + seed);
            let (from, to) = (seed as usize % n, (seed as usize + 1) % n);
            for j in 0..n {
                a[(to, j)] = a[(from, j)];
            }
            // The rank may be lower by chance.
            if by_cofactors(&a).norm_max() > 0.0 {
                assert_right_in_both(&format!("equal rows, {what}"), &a);
                assert_right_in_both(&format!("equal columns, {what}"), &a.transpose().to_owned());
            }
            let product = integers(n, n - 1, seed) * integers(n - 1, n, seed + 500);
            if by_cofactors(&product).norm_max() > 0.0 {
                let scale = product.norm_max().powi(n as i32 - 1).max(by_cofactors(&product).norm_max());
                assert_right::<f64>(&format!("product, {what}"), &product, scale);
                assert_right::<f32>(&format!("product, {what}"), &product, scale);
            }
        }
    }
}

/// `A adj(A) = 0`, and the rank is 1.
#[test]
fn one_rank_less_and_large() {
    for n in [16, 33, 60] {
        let a = random(n, n - 1, 1) * random(n - 1, n, 2);
        let (adjugate, det) = computed::<f64>(&a);
        let size = adjugate.norm_l2();
        assert!(size.is_finite() && size > 0.0 && det.abs() <= 1e-10 * size);
        assert!((&a * &adjugate).norm_l2() < 1e-11 * size * a.norm_l2());
        assert!((&adjugate * &a).norm_l2() < 1e-11 * size * a.norm_l2());
        let values = adjugate.singular_values().unwrap();
        assert!(values[1] < 1e-11 * values[0], "{} {}", values[0], values[1]);
    }
}

/// From one side to the other of what counts as singular there is no jump.
#[test]
fn next_to_a_singular_matrix() {
    let mut a = integers(4, 4, 8);
    for j in 0..4 {
        a[(2, j)] = a[(0, j)];
    }
    for exponent in 0..60 {
        a[(2, 1)] = a[(0, 1)] + 2f64.powi(-exponent);
        let scale = by_cofactors(&a).norm_max();
        assert_right::<f64>(&format!("2^−{exponent} away"), &a, scale);
    }
}

#[test]
fn two_ranks_less_is_zero() {
    for n in 2..=6 {
        let largest = |a: &Mat<f64>| computed::<f64>(a).0.norm_max();
        assert_eq!(largest(&Mat::zeros(n, n)), f64::from(n == 1));
        if n > 2 {
            assert!(largest(&Mat::full(n, n, 1.0)) < 1e-14);
            let entries: Vec<_> = (0..n).map(|i| if i < 2 { 0.0 } else { 3.0 }).collect();
            assert_eq!(largest(&diagonal(&entries)), 0.0);
            let a = integers(n, n - 2, 3) * integers(n - 2, n, 4);
            assert!(largest(&a) < 1e-13 * a.norm_l2().powi(n as i32 - 1), "{n}");
        }
    }
}

#[test]
fn empty_and_one_by_one() {
    assert_eq!(computed::<f64>(&Mat::zeros(0, 0)).0.shape(), (0, 0));
    for entry in [0.0, -3.0, f64::MAX] {
        assert_eq!(computed::<f64>(&Mat::full(1, 1, entry)).0[(0, 0)], 1.0);
    }
}

/// The determinant may overflow or underflow where the adjugate does not.
#[test]
fn sizes_that_only_products_on_the_way_exceed() {
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-13;
    for exponent in [1e-200, 1e200] {
        let (adjugate, _) = computed::<f64>(&diagonal(&[exponent, 2.0 * exponent]));
        assert!(close(adjugate[(0, 0)], 2.0 * exponent) && close(adjugate[(1, 1)], exponent));
    }
    // Singular: 10³²⁰ in descending order, and 1 in the end.
    let mut entries: Vec<_> = (0..81).map(|i| [1e8, 1e-8][i % 2]).collect();
    entries[80] = 0.0;
    let (adjugate, det) = computed::<f64>(&diagonal(&entries));
    assert_eq!(det, 0.0);
    assert!((adjugate[(80, 80)] - 1.0).abs() < 1e-6, "{}", adjugate[(80, 80)]);
    let balanced = diagonal(&[1e200, 1e200, 1e-200, -1e-200]);
    let (adjugate, _) = computed::<f64>(&balanced);
    assert!(close(adjugate[(0, 0)], -1e-200) && close(adjugate[(3, 3)], 1e200), "{adjugate:?}");
}

#[test]
fn nan_and_infinite_pass_through() {
    for bad in [f64::NAN, f64::INFINITY] {
        for place in [(0, 0), (1, 2), (2, 2)] {
            for mut a in [random(3, 3, 5), Mat::zeros(3, 3)] {
                a[place] = bad;
                let adjugate = computed::<f64>(&a).0;
                let finite = (0..3).all(|j| (0..3).all(|i| adjugate[(i, j)].is_finite()));
                assert!(!finite, "{bad} at {place:?}: {adjugate:?}");
            }
        }
    }
}

/// A determinant, an adjugate and a solve need one factorization, of a transpose too.
#[test]
fn one_factorization() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (5, 5)), tape.input("B", (5, 2)));
    let outputs = [a.det(), a.adjugate(), a.solve(b), a.t().solve(b), a.t().adjugate()];
    let program = Program::<f64>::compile(&outputs).unwrap();
    assert_eq!(program.plan().to_string().matches("LU(").count(), 1, "{}", program.plan());
}

#[test]
fn signs() {
    let sign = |a: &Mat<f64>| {
        let tape = Tape::new();
        let mut program = Program::<f64>::compile(&[tape.input("A", a.shape()).det_sign()]).unwrap();
        program.run(&[("A", a.as_ref())]).unwrap().scalar(0).unwrap()
    };
    for n in 0..=6 {
        assert_eq!(sign(&Mat::identity(n, n)), 1.0);
        for seed in 0..5 {
            let a = random(n, n, seed);
            assert_eq!(sign(&a), det(&a).signum());
        }
    }
    assert_eq!(sign(&diagonal(&[1.0, 0.0])), 0.0);
    assert_eq!(sign(&diagonal(&[1e200, -1e200])), -1.0);
}
