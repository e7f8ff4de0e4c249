//! Decompositions: that their factors are what they are defined by, on all shapes, and what is told where there are none.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use faer::{Mat, MatRef};
use pullback_engine::{Program, Scalar};
use pullback_tape::{Tape, Var};

/// Tall, wide, square, 1×1, empty, and larger than one block of anything.
const SHAPES: &[(usize, usize)] =
    &[(5, 3), (3, 5), (4, 4), (1, 1), (1, 4), (4, 1), (0, 3), (3, 0), (0, 0), (70, 20), (20, 70), (60, 60)];

/// Numbers from −1 to 1, fixed by the seed.
fn random(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0123_4567_89AB_CDEF;
    Mat::from_fn(rows, cols, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

fn to<T: Scalar>(a: &Mat<f64>) -> Mat<T> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| T::from_f64(a[(i, j)]))
}

fn from<T: Scalar>(a: MatRef<'_, T>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)].to_f64())
}

/// The values of what is written of a matrix `A`. Runs allocate nothing.
fn values<T: Scalar>(
    a: &Mat<f64>,
    symmetric: bool,
    build: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>>,
) -> Result<Vec<Mat<f64>>, String> {
    let tape = Tape::new();
    let input =
        if symmetric { tape.symmetric("A", a.nrows()) } else { tape.input("A", (a.nrows(), a.ncols())) };
    let mut program = Program::<T>::compile(&build(input)).unwrap();
    let a = to::<T>(a);
    let bound = [("A", a.as_ref())];
    program.run(&bound).map_err(|error| error.to_string())?;
    let allocated = measure(|| assert!(program.run(&bound).is_ok()));
    assert_eq!(allocated.count_total, 0, "a run allocates");
    Ok(program.run(&bound).unwrap().iter().map(from).collect())
}

/// The largest size of a difference.
fn distance(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let entries = (0..a.ncols()).flat_map(|j| (0..a.nrows()).map(move |i| (i, j)));
    entries.map(|(i, j)| (a[(i, j)] - b[(i, j)]).abs()).fold(0.0, |max, x| if x <= max { max } else { x })
}

fn assert_close<T: Scalar>(a: &Mat<f64>, b: &Mat<f64>, scale: f64, what: &str) {
    let size = (a.nrows() + a.ncols() + 4) as f64;
    let (distance, allowed) = (distance(a, b), 8.0 * size * scale * T::EPSILON.to_f64());
    assert!(distance <= allowed, "{what}: {distance:e} > {allowed:e} ({:?})", a.shape());
}

fn eye(n: usize) -> Mat<f64> {
    Mat::identity(n, n)
}

fn diag(v: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(v.nrows(), v.nrows(), |i, j| if i == j { v[(i, 0)] } else { 0.0 })
}

fn size(a: &Mat<f64>) -> f64 {
    distance(a, &Mat::zeros(a.nrows(), a.ncols()))
}

/// Of each column, the entry of the largest size is positive.
fn assert_turned<T: Scalar>(u: &Mat<f64>) {
    for j in 0..u.ncols() {
        let (low, high) =
            (0..u.nrows()).fold((0.0f64, 0.0f64), |(l, h), i| (l.min(u[(i, j)]), h.max(u[(i, j)])));
        assert!(high >= -low * (1.0 - 1e3 * T::EPSILON.to_f64()), "column {j} from {low} to {high}");
    }
}

fn in_both(check: impl Fn(bool)) {
    check(true);
    check(false);
}

fn either(
    double: bool,
    a: &Mat<f64>,
    symmetric: bool,
    build: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>>,
) -> Result<Vec<Mat<f64>>, String> {
    if double { values::<f64>(a, symmetric, build) } else { values::<f32>(a, symmetric, build) }
}

fn close(double: bool, a: &Mat<f64>, b: &Mat<f64>, scale: f64, what: &str) {
    if double { assert_close::<f64>(a, b, scale, what) } else { assert_close::<f32>(a, b, scale, what) }
}

fn two<'t>((a, b): (Var<'t>, Var<'t>)) -> Vec<Var<'t>> {
    vec![a, b]
}

fn three<'t>((a, b, c): (Var<'t>, Var<'t>, Var<'t>)) -> Vec<Var<'t>> {
    vec![a, b, c]
}

/// Matrices of all shapes: of full rank, of rank one, zero.
fn matrices() -> Vec<Mat<f64>> {
    let mut all = Vec::new();
    for (seed, &(m, n)) in (1..).zip(SHAPES) {
        all.push(random(m, n, seed));
        all.push(random(m, 1, seed) * random(1, n, seed + 100));
        all.push(Mat::zeros(m, n));
    }
    all
}

#[test]
fn singular_values_and_vectors() {
    in_both(|double| {
        for a in matrices() {
            let k = a.nrows().min(a.ncols());
            let all = either(double, &a, false, &|a| three(a.svd())).unwrap();
            let [u, s, v] = &all[..] else { panic!() };
            assert_eq!((u.shape(), s.shape(), v.shape()), ((a.nrows(), k), (k, 1), (a.ncols(), k)));
            close(double, &(u * diag(s) * v.transpose()), &a, 1.0 + size(s), "U Diag(σ) Vᵀ");
            close(double, &(u.transpose() * u), &eye(k), 1.0, "Uᵀ U");
            close(double, &(v.transpose() * v), &eye(k), 1.0, "Vᵀ V");
            assert!((0..k).all(|i| s[(i, 0)] >= 0.0 && (i == 0 || s[(i, 0)] <= s[(i - 1, 0)])));
            if double { assert_turned::<f64>(u) } else { assert_turned::<f32>(u) }
        }
    });
}

/// Penrose's four conditions, of matrices of all ranks.
#[test]
fn pseudo_inverses() {
    in_both(|double| {
        for a in matrices() {
            let all = either(double, &a, false, &|a| vec![a.pseudo_inverse(), a.singular_values()]).unwrap();
            let [x, s] = &all[..] else { panic!() };
            assert_eq!(x.shape(), (a.ncols(), a.nrows()));
            // Rounding errors of the matrix grow by its condition.
            let condition = 1.0 + size(x) * size(s) * (a.nrows() + a.ncols()) as f64;
            close(double, &(&a * x * &a), &a, condition * (1.0 + size(&a)), "A X A");
            close(double, &(x * &a * x), x, condition * (1.0 + size(x)), "X A X");
            for y in [&a * x, x * &a] {
                close(double, &y, &y.transpose().to_owned(), condition, "symmetric");
            }
        }
    });
}

#[test]
fn polar_factors() {
    in_both(|double| {
        for a in matrices() {
            let tall = a.nrows() >= a.ncols();
            let all = either(double, &a, false, &|a| two(a.polar())).unwrap();
            let [q, h] = &all[..] else { panic!() };
            let product = if tall { q * h } else { h * q };
            close(double, &product, &a, 1.0 + a.nrows() as f64 * size(&a), "Q H");
            let gram = if tall { q.transpose() * q } else { q * q.transpose() };
            close(double, &gram, &eye(h.nrows()), 1.0, "Qᵀ Q");
            assert_eq!(h, &h.transpose().to_owned());
        }
    });
}

/// Entries near the ends of the range of numbers do no harm.
#[test]
fn singular_values_of_what_is_large_or_small() {
    for scale in [1e-30, 1e30] {
        let a = scale * random(5, 4, 1);
        let all = values::<f32>(&a, false, &|a| three(a.svd())).unwrap();
        let product = &all[0] * diag(&all[1]) * all[2].transpose();
        assert!(distance(&product, &a) <= 1e-5 * scale, "{}", distance(&product, &a));
        let a = scale.powi(5) * random(5, 4, 1);
        let all = values::<f64>(&a, false, &|a| three(a.svd())).unwrap();
        let product = &all[0] * diag(&all[1]) * all[2].transpose();
        assert!(distance(&product, &a) <= 1e-14 * scale.powi(5), "{}", distance(&product, &a));
    }
}

/// What is not finite has factors that are not, and a run ends.
#[test]
fn what_is_not_finite_passes_through() {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut a = random(4, 4, 1);
        (a[(1, 2)], a[(2, 1)]) = (bad, bad);
        for all in [
            values::<f64>(&a, false, &|a| three(a.svd())).unwrap(),
            values::<f64>(&a, false, &|a| vec![(a + a.t()).eigenvalues(), (a + a.t()).eigenvectors()])
                .unwrap(),
        ] {
            assert!(all.iter().all(|factor| factor[(0, 0)].is_nan()));
        }
    }
}

/// All factors of a matrix come from one decomposition.
#[test]
fn factors_share_a_decomposition() {
    let tape = Tape::new();
    let a = tape.input("A", (5, 3));
    let program = Program::<f64>::compile(&three(a.svd())).unwrap();
    let listing = program.plan().to_string();
    assert_eq!(listing.matches("decompose(").count(), 1, "{listing}");
}

fn is_lower(a: &Mat<f64>, unit: bool) -> bool {
    let n = a.nrows();
    (0..n).all(|j| (0..j).all(|i| a[(i, j)] == 0.0) && (!unit || a[(j, j)] == 1.0))
}

#[test]
fn orthonormal_columns_and_a_triangle() {
    in_both(|double| {
        for a in matrices() {
            let k = a.nrows().min(a.ncols());
            let all = either(double, &a, false, &|a| two(a.qr())).unwrap();
            let [q, r] = &all[..] else { panic!() };
            assert_eq!((q.shape(), r.shape()), ((a.nrows(), k), (k, a.ncols())));
            close(double, &(q * r), &a, 1.0 + a.nrows() as f64 * size(&a), "Q R");
            close(double, &(q.transpose() * q), &eye(k), 1.0, "Qᵀ Q");
            let square = r.get(.., ..k).to_owned();
            assert!(is_lower(&square.transpose().to_owned(), false));
            assert!((0..k).all(|i| r[(i, i)] >= 0.0));
        }
    });
}

/// A column that depends on those before it has a zero on the diagonal, whatever the sizes of columns are.
#[test]
fn dependent_columns_are_told() {
    for (m, n, rank) in [(8, 6, 3), (40, 30, 29), (90, 70, 50), (5, 5, 4), (6, 4, 1)] {
        for scale in [1.0, 1e-20, 1e20] {
            let a = scale * random(m, rank, 1) * random(rank, n, 2);
            let r = values::<f64>(&a, false, &|a| vec![a.qr().1]).unwrap().remove(0);
            let first = (0..n).find(|&k| r[(k, k)] == 0.0);
            assert_eq!(first, Some(rank), "{m}×{n} of rank {rank} times {scale:e}");
            let error = values::<f64>(&a, false, &|a| vec![a.least_squares(a)]).unwrap_err();
            assert!(error.contains(&format!("pivot {rank} vanishes")), "{error}");
        }
    }
}

#[test]
fn least_squares_has_an_orthogonal_residual() {
    in_both(|double| {
        for (m, n) in [(7, 4), (4, 7), (5, 5), (1, 1), (1, 3), (3, 1), (4, 0), (0, 4), (0, 0)] {
            let (a, b) = (random(m, n, 1), random(m, 2, 2));
            let rhs = Mat::from_fn(m, n + 2, |i, j| if j < n { a[(i, j)] } else { b[(i, j - n)] });
            let build: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>> = &|x| {
                let n = x.cols() - 2;
                vec![x.slice(.., ..n).least_squares(x.slice(.., n..))]
            };
            let x = either(double, &rhs, false, build).unwrap().remove(0);
            let residual = a.transpose() * (&a * &x - &b);
            close(double, &residual, &Mat::zeros(n, 2), 8.0 * (1.0 + size(&x)), "Aᵀ (A X − B)");
            if m <= n {
                close(double, &(&a * &x), &b, 8.0 * (1.0 + size(&x)), "A X");
            }
        }
    });
}

#[test]
fn permuted_triangles() {
    in_both(|double| {
        for a in matrices().into_iter().filter(|a| a.nrows() == a.ncols()) {
            let n = a.nrows();
            let all = either(double, &a, false, &|a| three(a.lu())).unwrap();
            let [p, l, u] = &all[..] else { panic!() };
            close(double, &(p.transpose() * l * u), &a, 1.0 + n as f64 * size(&a), "Pᵀ L U");
            assert_eq!(p.transpose() * p, eye(n));
            assert!(is_lower(l, true) && is_lower(&u.transpose().to_owned(), false));
            assert!(size(l) <= 1.0);
        }
    });
    let singular = Mat::from_fn(3, 3, |i, j| [[0.0, 1.0, 2.0], [0.0, 3.0, 4.0], [0.0, 5.0, 7.0]][i][j]);
    let error = values::<f64>(&singular, false, &|a| vec![a.lu().2.solve_upper(a)]).unwrap_err();
    assert!(error.contains("solve_upper: `lu.U(A)` is singular to working precision: pivot 0"), "{error}");
}

#[test]
fn triangles_of_symmetric_matrices() {
    in_both(|double| {
        for a in matrices().into_iter().filter(|a| a.nrows() == a.ncols()) {
            let n = a.nrows();
            let heavy = |i: usize| if i.is_multiple_of(2) { n as f64 + 1.0 } else { -(n as f64 + 1.0) };
            let heavy = |i: usize, j: usize| if i == j { heavy(i) } else { 0.0 };
            let a = Mat::from_fn(n, n, |i, j| 0.5 * (a[(i, j)] + a[(j, i)]) + heavy(i, j));
            let all = either(double, &a, true, &|a| two(a.ldl())).unwrap();
            let [l, d] = &all[..] else { panic!() };
            close(double, &(l * diag(d) * l.transpose()), &a, 1.0 + size(&a), "L Diag(d) Lᵀ");
            assert!(is_lower(l, true));
        }
    });
    // Regular, and without such factors.
    let exchange = Mat::from_fn(2, 2, |i, j| f64::from(u8::from(i != j)));
    let third =
        Mat::from_fn(2, 2, |i, j| if (i, j) == (1, 1) { 1.0 / 3.0 } else { [[3.0, 1.0], [1.0, 0.0]][i][j] });
    for (a, pivot) in [(exchange, 0), (third, 1)] {
        let error = values::<f64>(&a, true, &|a| two(a.ldl())).unwrap_err();
        let wanted = format!(
            "L of LDL: pivot {pivot} of `A` vanishes to working precision, and rows are not exchanged"
        );
        assert!(error.contains(&wanted), "{error}");
    }
}

fn kernels(program: &Program<f64>) -> Vec<String> {
    program.plan().iter().map(|line| line.kernel().to_owned()).collect()
}

/// Values that nobody needs the vectors of are computed without them: the same to rounding, in every layout.
#[test]
fn values_alone() {
    in_both(|double| {
        for a in matrices() {
            let with: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>> =
                &|a| vec![a.singular_values(), a.left_vectors()];
            let alone: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>> = &|a| vec![a.singular_values()];
            let [s, t] = [with, alone].map(|build| either(double, &a, false, build).unwrap().swap_remove(0));
            close(double, &s, &t, size(&s), "σ");
            assert!((0..t.nrows()).all(|i| t[(i, 0)] >= 0.0 && (i == 0 || t[(i, 0)] <= t[(i - 1, 0)])));
            if a.nrows() != a.ncols() {
                continue;
            }
            let symmetric = &a + a.transpose();
            let with: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>> = &|a| two(a.eigen());
            let alone: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>> = &|a| vec![a.eigenvalues()];
            let [s, t] =
                [with, alone].map(|build| either(double, &symmetric, true, build).unwrap().swap_remove(0));
            close(double, &s, &t, size(&symmetric), "λ");
            assert!((1..t.nrows()).all(|i| t[(i - 1, 0)] <= t[(i, 0)]));
            let with: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>> = &|a| two(a.real_eigen());
            let alone: &dyn for<'t> Fn(Var<'t>) -> Vec<Var<'t>> = &|a| vec![a.real_eigenvalues()];
            // A triangle has real eigenvalues.
            let triangle = Mat::from_fn(a.nrows(), a.nrows(), |i, j| if i <= j { a[(i, j)] } else { 0.0 });
            let [s, t] =
                [with, alone].map(|build| either(double, &triangle, false, build).unwrap().swap_remove(0));
            assert_eq!(s, t, "real λ");
        }
    });
}

#[test]
fn values_alone_of_what_is_large_or_small() {
    for scale in [1e-150, 1e-300, 1e150, 1e300] {
        let a = random(6, 4, 1);
        let of = |a: &Mat<f64>| values::<f64>(a, false, &|a| vec![a.singular_values()]).unwrap().remove(0);
        let (s, t) = (of(&a), of(&(scale * &a)));
        assert!((0..4).all(|i| (t[(i, 0)] / scale - s[(i, 0)]).abs() < 1e-14), "{t:?}");
        let a = random(5, 5, 2);
        let a = &a + a.transpose();
        let of = |a: &Mat<f64>| values::<f64>(a, true, &|a| vec![a.eigenvalues()]).unwrap().remove(0);
        let (s, t) = (of(&a), of(&(scale * &a)));
        assert!((0..5).all(|i| (t[(i, 0)] / scale - s[(i, 0)]).abs() < 1e-14), "{t:?}");
    }
}

#[test]
fn values_alone_fail_as_beside_vectors() {
    let a = random(4, 4, 1);
    let mut a = &a + a.transpose();
    (a[(1, 2)], a[(2, 1)]) = (f64::NAN, f64::NAN);
    for (symmetric, build) in [
        (false, (|a| vec![a.singular_values()]) as for<'t> fn(Var<'t>) -> Vec<Var<'t>>),
        (true, |a| vec![a.eigenvalues()]),
        (false, |a| vec![a.real_eigenvalues()]),
    ] {
        let found = values::<f64>(&a, symmetric, &build).unwrap().remove(0);
        assert!((0..4).all(|i| found[(i, 0)].is_nan()));
    }
    let rotation = Mat::from_fn(2, 2, |i, j| [[0.0, -1.0], [1.0, 0.0]][i][j]);
    let alone = values::<f64>(&rotation, false, &|a| vec![a.real_eigenvalues()]).unwrap_err();
    let beside =
        values::<f64>(&rotation, false, &|a| vec![a.real_eigenvalues(), a.real_eigenvectors()]).unwrap_err();
    // But for the lines where they were written.
    let words = |error: &str| error.split(" (").next().map(str::to_owned);
    assert_eq!(words(&alone), words(&beside), "{alone}, {beside}");
}

/// A plan says whether vectors are computed: if anything needs them, once for all.
#[test]
fn plans_tell_values_from_vectors() {
    let tape = Tape::new();
    let (a, s, b) = (tape.input("A", (5, 3)), tape.symmetric("S", 4), tape.input("B", (4, 4)));
    let plan = |ys: &[Var<'_>]| kernels(&Program::compile(ys).unwrap());
    assert_eq!(plan(&[a.singular_values()]), ["singular values", "part"]);
    assert_eq!(plan(&[s.eigenvalues()]), ["eigenvalues", "part"]);
    assert_eq!(plan(&[b.real_eigenvalues()]), ["real eigenvalues", "part"]);
    for others in
        [vec![a.left_vectors()], vec![a.right_vectors()], vec![a.polar().0], vec![a.pseudo_inverse()]]
    {
        let plan = plan(&[vec![a.singular_values()], others].concat());
        assert_eq!(plan.iter().filter(|kernel| kernel.contains("singular value")).count(), 1, "{plan:?}");
        assert_eq!(plan[0], "singular value decomposition");
    }
    for others in [s.eigenvectors(), s.symmetric_function(|x| x.exp())] {
        let plan = plan(&[s.eigenvalues(), others]);
        assert_eq!(plan[0], "eigendecomposition");
        assert_eq!(plan.iter().filter(|kernel| kernel.contains("eigen")).count(), 1, "{plan:?}");
    }
    // Of one matrix the values, of another the vectors.
    let plan = plan(&[a.singular_values(), (2.0 * a + 1.0).left_vectors()]);
    assert!(plan.contains(&"singular values".to_owned()), "{plan:?}");
    assert!(plan.contains(&"singular value decomposition".to_owned()), "{plan:?}");
}

/// Problems with A and with Aᵀ share one decomposition, with Q and R too if those are asked for.
#[test]
fn least_squares_share_a_decomposition() {
    for (m, n) in [(6, 4), (4, 6), (5, 5), (40, 33)] {
        let tape = Tape::new();
        let (a, b, c) = (tape.input("A", (m, n)), tape.input("B", (m, 2)), tape.input("C", (n, 3)));
        let tall = if m >= n { a } else { a.t() };
        let (x, y, (q, r)) = (a.least_squares(b), a.t().least_squares(c), tall.qr());
        let mut program = Program::<f64>::compile(&[x, y, q, r]).unwrap();
        let found = kernels(&program);
        assert_eq!(found.iter().filter(|kernel| *kernel == "QR").count(), 1, "{found:?}");
        let [a, b, c] = [random(m, n, 1), random(m, 2, 2), random(n, 3, 3)];
        let bound = [("A", a.as_ref()), ("B", b.as_ref()), ("C", c.as_ref())];
        let run: Vec<_> = program.run(&bound).unwrap().iter().map(|matrix| matrix.to_owned()).collect();
        let [x, y, q, r] = &run[..] else { panic!() };
        let inverse = values::<f64>(&a, false, &|a| vec![a.pseudo_inverse()]).unwrap().remove(0);
        let scale = 100.0 * (1.0 + size(&inverse)) * size(&inverse);
        close(true, x, &(&inverse * &b), scale, "A⁺ B");
        close(true, y, &(inverse.transpose() * &c), scale, "A⁺ᵀ C");
        let tall = if m >= n { a.clone() } else { a.transpose().to_owned() };
        close(true, &(q * r), &tall, 1.0 + m.max(n) as f64, "Q R");
        let allocated = measure(|| assert!(program.run(&bound).is_ok()));
        assert_eq!(allocated.count_total, 0, "a run allocates");
    }
}

/// Of a wide matrix it is a row that depends on those before it.
#[test]
fn least_squares_without_full_rank() {
    for (m, n, rank) in [(6, 8, 5), (8, 6, 3), (30, 40, 29)] {
        let a = random(m, rank, 1) * random(rank, n, 2);
        for build in [(|a| vec![a.least_squares(a)]) as for<'t> fn(Var<'t>) -> Vec<Var<'t>>, |a| {
            vec![a.t().least_squares(a.t())]
        }] {
            let error = values::<f64>(&a, false, &build).unwrap_err();
            assert!(error.contains("least_squares: `A"), "{error}");
            assert!(error.contains(&format!("pivot {rank} vanishes")), "{error}");
        }
    }
    let mut a = random(5, 3, 1);
    a[(1, 1)] = f64::NAN;
    let x = values::<f64>(&a, false, &|a| vec![a.least_squares(a)]).unwrap().remove(0);
    assert!(x[(0, 0)].is_nan());
}
