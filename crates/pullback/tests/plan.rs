//! A program's plan: what it says, whether its predictions are true, and how it saves memory.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback::faer::{Mat, MatMut, MatRef};
use pullback::prelude::*;
use pullback::{Declaration, Kind, Listing, Options, Shape, Stored, Structure};

// ---- programs --------------------------------------------------------------------------------------------

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn matrices(tape: &Tape) -> Vec<(String, Mat<f64>)> {
    let matrix =
        |(seed, (name, shape)): (u64, (String, Shape))| (name, check::random(shape.rows, shape.cols, seed));
    (1..).zip(tape.inputs()).map(matrix).collect()
}

fn bound(matrices: &[(String, Mat<f64>)]) -> Vec<(&str, MatRef<'_, f64>)> {
    matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect()
}

fn bits(matrix: MatRef<'_, f64>) -> Vec<u64> {
    let entries = (0..matrix.ncols()).flat_map(|j| (0..matrix.nrows()).map(move |i| (i, j)));
    entries.map(|at| matrix[at].to_bits()).collect()
}

fn results(program: &mut Program<f64>, tape: &Tape) -> Vec<Vec<u64>> {
    program.run(&bound(&matrices(tape))).unwrap().iter().map(bits).collect()
}

/// The program as usual, and with recomputation.
fn programs(outputs: &[Var<'_>]) -> [Program<f64>; 2] {
    [false, true].map(|again| {
        let mut program = Program::compile_with(outputs, Options::new().recompute(again)).unwrap();
        let definition = Definition::new(|w: MatRef<'_, f64>| w.norm_l2())
            .gradient(|w: MatRef<'_, f64>, mut out: MatMut<'_, f64>| out.copy_from(w));
        // Few programs have it.
        let _ = program.define("L", definition);
        program
    })
}

fn with_gradient<'t>(loss: Var<'t>, wrt: &[Var<'t>]) -> Vec<Var<'t>> {
    [loss].into_iter().chain(gradient(loss, wrt).unwrap()).collect()
}

/// A loss of whatever comes to mind, with its gradients.
fn random_program(tape: &Tape, seed: u64) -> Vec<Var<'_>> {
    let n = 5;
    let mut numbers = Numbers(seed);
    let inputs = [tape.input("A", (n, n)), tape.input("B", (n, n)), tape.input("C", (n, n))];
    let column = tape.input("c", (n, 1));
    let mut values = inputs.to_vec();
    for _ in 0..20 + numbers.below(60) {
        // Mostly what was computed last, so that there is depth.
        let back = 1 + numbers.below(3).min(values.len() - 1);
        let (x, y) = (values[values.len() - back], values[numbers.below(values.len())]);
        let shifted = || x.tanh() + 10.0 * tape.identity(n);
        values.push(match numbers.below(13) {
            0..=2 => (0.3 * (x * y)).tanh(),
            3 => (x.t() * y - 0.5 * (y * x.t())).sin(),
            4 => x + y.hadamard(x.cos()),
            5 => shifted().solve(y),
            6 => shifted().t().solve(y) + x,
            7 => shifted().inv() * y,
            8 => (x * column).repeat_cols(n) + y.softmax(),
            9 => x + x.trace() * tape.identity(n),
            10 => (shifted().log_det() * y).tanh(),
            11 => tape.function("L", x.tanh()) * y.sigmoid(),
            _ => x.log_sum_exp().add_row(y.row_means().t()).t() * tape.ones((1, n)) - y,
        });
    }
    let loss = values.iter().rev().take(3).fold(tape.scalar(0.0), |sum, x| sum + x.norm_squared());
    with_gradient(loss, &inputs)
}

type Build = for<'t> fn(&'t Tape) -> Vec<Var<'t>>;
type Layer = for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>;

const LAYERS: [(&str, Layer); 4] = [
    ("linear", |w, h| w * h),
    ("tanh", |w, h| (w * h).tanh()),
    ("residual", |w, h| h + 0.1 * (w * h).sin()),
    ("gated", |w, h| (w * h).sigmoid().hadamard((w.t() * h).tanh())),
];

/// The squared loss of a deep network of 8×8 matrices on 24 samples, with its gradients.
fn network(tape: &Tape, depth: usize, layer: Layer) -> Vec<Var<'_>> {
    let ws: Vec<_> = (0..depth).map(|k| tape.input(&format!("W{k}"), (8, 8))).collect();
    let (x, y) = (tape.input("X", (8, 24)), tape.input("Y", (8, 24)));
    with_gradient(losses::squared(ws.iter().fold(x, |h, &w| layer(w, h)), y), &ws)
}

/// Bytes in one value of such a network.
const VALUE: usize = 8 * 24 * size_of::<f64>();

fn gaussian_process(tape: &Tape) -> Vec<Var<'_>> {
    let (x, y, s) = (tape.input("X", (20, 3)), tape.input("y", (20, 1)), tape.input("s", (1, 1)));
    let k = x * x.t() + s.square() * tape.identity(20);
    with_gradient(0.5 * (y.inner(k.solve(y)) + k.log_det()), &[x, s])
}

// ---- what a plan says ------------------------------------------------------------------------------------

fn column<T: PartialEq + std::fmt::Debug>(plan: &Listing, of: impl Fn(pullback::Line<'_>) -> T) -> Vec<T> {
    plan.iter().map(of).collect()
}

fn gradient_of<'t>(tape: &'t Tape, y: Var<'t>, wrt: &[Var<'t>]) -> Vec<String> {
    let symmetric =
        if y.structure() >= Structure::Symmetric { Structure::Symmetric } else { Structure::General };
    let c = tape.declare("C", y.shape(), Declaration::new().structure(symmetric));
    let plan = compile::<f64>(c.inner(y), wrt).unwrap().plan();
    column(&plan, |line| line.kernel().to_owned())
}

/// Gradients of factors do what one would write by hand: triangles of products, solves in place, one decomposition.
#[test]
fn gradients_of_factors_do_nothing_else() {
    let tape = Tape::new();
    let k = tape.positive_definite("K", 40);
    let [triangle, solve] = ["triangle of product", "triangular solve"];
    assert_eq!(
        gradient_of(&tape, k.cholesky(), &[k]),
        ["factorization", "inner product", triangle, solve, solve, "copy"]
    );
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (40, 40)), tape.input("B", (40, 40)));
    assert_eq!(
        gradient_of(&tape, a.solve_lower(b), &[a, b]),
        ["copy", solve, "inner product", "copy", solve, triangle]
    );
    let tape = Tape::new();
    let a = tape.input("A", (80, 40));
    assert_eq!(
        gradient_of(&tape, a.qr().0, &[a]),
        ["QR", "Q from QR", "R from QR", "inner product", triangle, "copy", "product, added", solve]
    );
    for (m, n) in [(80, 40), (40, 80)] {
        let tape = Tape::new();
        let (a, b) = (tape.input("A", (m, n)), tape.input("B", (m, 8)));
        let kernels = gradient_of(&tape, a.least_squares(b), &[a, b]);
        let count = |name| kernels.iter().filter(|kernel| *kernel == name).count();
        assert_eq!((count("QR"), count("least squares")), (1, 3), "{kernels:?}");
    }
    let tape = Tape::new();
    let a = tape.input("A", (40, 40));
    assert_eq!(gradient_of(&tape, a.t() * a, &[a]), ["product", "inner product"]);
}

#[test]
fn a_plan_reads_like_a_worksheet() {
    let tape = Tape::new();
    let (a, b, c) = (tape.input("A", (6, 4)), tape.input("B", (6, 5)), tape.input("C", (4, 5)));
    let sum = (c - 2.0 * (a.t() * b)).named("S");
    let (trace, line) = (tape.by("tr(A B) = ⟨Aᵀ, B⟩", || sum.inner(c)), line!());
    let outputs = [trace, (sum.tanh() + 1.0).hadamard(c).t(), (sum * sum.t() + 2.0 * tape.identity(4)).inv()];
    let plan = Program::<f32>::compile(&outputs).unwrap().plan();
    assert_eq!(
        column(&plan, |line| line.step().to_owned()),
        [
            "C",
            "%1 − 2 Aᵀ B",
            "⟨%2, C⟩",
            "(tanh(%2) + 𝟏) ∘ C",
            "%2 %2ᵀ",
            "%5 + 2 I",
            "Cholesky(%6)",
            "%7⁻¹",
            "%8, both triangles",
        ]
    );
    assert_eq!(
        column(&plan, |line| line.kernel()),
        [
            "copy",
            "product, added",
            "inner product",
            "pass",
            "product",
            "identity, added",
            "factorization",
            "inverse",
            "mirror",
        ]
    );
    let flops = [0, 2 * 4 * 6 * 5, 2 * 20, 3 * 20, 2 * 4 * 5 * 4, 4, 64 / 3, 2 * 64 / 3, 0];
    assert_eq!(column(&plan, |line| line.flops()), flops);
    let read = [20, 24 + 30 + 20, 40, 40, 40, 4, 16, 10, 10].map(|numbers| 4 * numbers);
    assert_eq!(column(&plan, |line| line.bytes_read()), read);
    let written = [20, 20, 1, 20, 16, 4, 16, 10, 6].map(|numbers| 4 * numbers);
    assert_eq!(column(&plan, |line| line.bytes_written()), written);
    assert_eq!(
        column(&plan, |line| line.output()),
        [None, None, Some(0), Some(1), None, None, None, None, Some(2)]
    );
    let over = [(2, Stored::Over(1)), (6, Stored::Over(5)), (7, Stored::After(2))];
    for (number, stored) in over {
        assert_eq!(plan.get(number).unwrap().stored(), stored, "%{number}");
    }
    let product = plan.get(2).unwrap();
    assert_eq!((product.formula().as_str(), product.shape()), ("C − 2 Aᵀ B", Shape::new(4, 5)));
    assert_eq!(product.rewrites(), ["Aᵀ is a view", "alpha = −2"]);
    let inner = plan.get(3).unwrap();
    assert_eq!((inner.location().line(), inner.identity()), (line, Some("tr(A B) = ⟨Aᵀ, B⟩")));
    assert_eq!((plan.get(0).is_none(), plan.get(10).is_none(), plan.len()), (true, true, 9));
    assert_eq!(plan.flops(), flops.iter().sum::<u64>());
    let kinds = Kind::ALL.map(|kind| plan.flops_of(kind));
    assert_eq!(kinds, [2 * 120 + 160, 60, 40, 21, 42, 4, 0]);
}

#[test]
fn parts_are_read_where_they_are() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (80, 60)), tape.input("B", (20, 30)));
    let part = a.slice(20..40, 10..40);
    let rows: Vec<usize> = (20..40).collect();
    let outputs = [
        part.t() * b,
        part.inner(b),
        tape.stack_rows(&[b, 2.0 * part, a.slice(.., ..30)]),
        tape.selection(&rows, 80).t() * part,
    ];
    let plan = Program::<f64>::compile(&outputs).unwrap().plan();
    assert_eq!(
        column(&plan, |line| line.step().to_owned()),
        [
            "A[20..40, 10..40]ᵀ B",
            "⟨A[20..40, 10..40], B⟩",
            "[B; 2 A[20..40, 10..40]; A[.., 0..30]]",
            "0 with A[20..40, 10..40] in [20..40, ..]",
        ]
    );
}

#[test]
fn one_factorization_is_seen_to_serve_many() {
    let tape = Tape::new();
    let plan = Program::<f64>::compile(&gaussian_process(&tape)).unwrap().plan();
    let factorizations: Vec<_> = plan.iter().filter(|line| line.kind() == Kind::Factorization).collect();
    assert_eq!(factorizations.len(), 1);
    assert_eq!(factorizations[0].rewrites(), ["one factorization for 3"]);
    assert!(plan.bytes() < plan.bytes_of_all_values() / 2);
}

/// Every line of what is printed is about one instruction or the one above it, and nothing is lost.
#[test]
fn every_program_prints() {
    for seed in 0..20 {
        let tape = Tape::new();
        let outputs = random_program(&tape, seed);
        for program in programs(&outputs) {
            let text = program.plan().to_string();
            for number in 1..=program.instructions() {
                assert!(text.contains(&format!("%{number} = ")), "{text}");
            }
            assert!(text.lines().all(|line| line.chars().count() < 200), "{text}");
        }
    }
    let nothing = Program::<f64>::compile(&[]).unwrap().plan();
    assert!(nothing.is_empty() && nothing.to_string().contains("0 instructions"));
}

// ---- whether it is true ----------------------------------------------------------------------------------

#[test]
fn predicted_flops_are_those_counted() {
    let named: [(&str, Build); 6] = [
        ("linear", |t| network(t, 5, LAYERS[0].1)),
        ("tanh", |t| network(t, 5, LAYERS[1].1)),
        ("residual", |t| network(t, 5, LAYERS[2].1)),
        ("gated", |t| network(t, 5, LAYERS[3].1)),
        ("Gaussian process", gaussian_process),
        ("empty matrices", |t| {
            let (a, b) = (t.input("A", (3, 0)), t.input("B", (0, 4)));
            vec![a * b, (b * b.t()).trace(), a.sum()]
        }),
    ];
    let counted = |name: &str, tape: &Tape, outputs: &[Var<'_>]| {
        for mut program in programs(outputs) {
            let matrices = matrices(tape);
            let profile = program.profile(&bound(&matrices), 2).unwrap();
            assert_eq!(profile.flops(), program.flops(), "{name}");
            let predicted = column(&program.plan(), |line| line.flops());
            assert_eq!(profile.flops_by_line(), predicted, "{name}");
            let profiled: Vec<_> = profile.results().iter().map(|matrix| bits(matrix.as_ref())).collect();
            assert_eq!(profiled, results(&mut program, tape), "{name}");
            assert_eq!(profile.time(), profile.iter().map(|(_, time)| time).sum());
            assert!(profile.to_string().contains("the medians of 2 runs"), "{name}");
        }
    };
    for (name, build) in named {
        let tape = Tape::new();
        counted(name, &tape, &build(&tape));
    }
    for seed in 0..30 {
        let tape = Tape::new();
        counted(&format!("seed {seed}"), &tape, &random_program(&tape, seed));
    }
}

#[test]
fn the_flops_of_a_deep_linear_network_are_known() {
    let tape = Tape::new();
    let program = Program::<f64>::compile(&network(&tape, 10, LAYERS[0].1)).unwrap();
    // Ten products forward, ten gradients, nine cotangents.
    assert_eq!(program.product_flops(), 29 * 2 * 8 * 8 * 24);
    // The residual, and its norm.
    assert_eq!(program.flops(), program.product_flops() + 8 * 24 + 2 * 8 * 24);
    // Nodes: ten products, one residual in two nodes, the loss in two; the rest is for the gradients.
    assert!(program.bytes_of_all_values() > 13 * VALUE);
}

#[test]
fn profiling_fails_as_running_does() {
    let tape = Tape::new();
    let a = tape.input("A", (2, 2));
    let mut program = Program::<f64>::compile(&[a.inv()]).unwrap();
    let zero = Mat::zeros(2, 2);
    for inputs in [&[][..], &[("A", zero.as_ref())]] {
        let wanted = program.run(inputs).err().unwrap();
        assert_eq!(program.profile(inputs, 1).err().unwrap(), wanted);
    }
    let profile = program.profile(&[("A", Mat::identity(2, 2).as_ref())], 0).unwrap();
    assert_eq!((profile.runs(), &profile.results()[0]), (1, &Mat::identity(2, 2)));
}

// ---- recomputation ---------------------------------------------------------------------------------------

/// Bytes, but for the outputs.
fn working_bytes(program: &Program<f64>) -> usize {
    let len = |shape: Shape| (shape.rows * shape.cols).next_multiple_of(16);
    program.bytes() - size_of::<f64>() * program.outputs().map(len).sum::<usize>()
}

#[test]
fn deep_networks_need_the_root_of_their_depth() {
    for (name, layer) in LAYERS {
        let measured = [250, 1000, 4000].map(|depth| {
            let tape = Tape::new();
            let outputs = network(&tape, depth, layer);
            let [plain, small] = programs(&outputs);
            // Computed again is at most what the loss alone takes.
            let forward = Program::<f64>::compile(&outputs[..1]).unwrap().flops();
            assert!(small.flops() > plain.flops() && small.flops() - plain.flops() <= forward, "{name}");
            assert!(working_bytes(&plain) >= depth * VALUE, "{name}");
            (working_bytes(&plain), working_bytes(&small))
        });
        for pair in measured.windows(2) {
            let growth = pair[1].1 as f64 / pair[0].1 as f64;
            assert!((1.8..2.3).contains(&growth), "{name}: {measured:?}");
        }
        let [_, (plain, small), _] = measured;
        if name == "linear" {
            // All values of the forward sweep, against about 2 √1000 of them and what the sweep back is at; and a copy of
            // the target in both.
            assert_eq!((plain, small), (1001 * VALUE, 68 * VALUE));
        }
        assert!(plain > 14 * small, "{name}: {plain} and {small}");
    }
}

#[test]
fn results_have_the_same_bits() {
    for (name, layer) in LAYERS {
        let tape = Tape::new();
        let [mut plain, mut small] = programs(&network(&tape, 100, layer));
        assert!(working_bytes(&small) * 2 < working_bytes(&plain), "{name}");
        assert_eq!(results(&mut small, &tape), results(&mut plain, &tape), "{name}");
    }
    // Into the caller's matrices, too.
    let tape = Tape::new();
    let outputs = network(&tape, 100, LAYERS[3].1);
    let matrices = matrices(&tape);
    let [plain, small] = programs(&outputs).map(|mut program| {
        let mut results: Vec<Mat<f64>> = outputs.iter().map(|y| Mat::zeros(y.rows(), y.cols())).collect();
        let mut into: Vec<_> = results.iter_mut().map(|result| result.as_mut()).collect();
        program.run_into(&bound(&matrices), &mut into).unwrap();
        results
    });
    assert_eq!(plain, small);
    let mut smaller = 0;
    for seed in 0..200 {
        let tape = Tape::new();
        let [mut plain, mut small] = programs(&random_program(&tape, seed));
        assert_eq!(results(&mut small, &tape), results(&mut plain, &tape), "seed {seed}");
        assert!(small.bytes() <= plain.bytes() && small.flops() <= 2 * plain.flops(), "seed {seed}");
        smaller += usize::from(small.bytes() < plain.bytes());
        let again = small.plan().iter().filter(|line| line.again()).count();
        assert_eq!(small.instructions(), plain.instructions() + again, "seed {seed}");
    }
    assert!(smaller > 50, "{smaller} of 200 programs got smaller");
}

/// Cuts go where little crosses them, however large the values are in between.
#[test]
fn layers_may_be_of_different_widths() {
    let tape = Tape::new();
    let widths = [4, 64, 24, 8, 40];
    let width = |k: usize| widths[k % widths.len()];
    let ws: Vec<_> = (0..500).map(|k| tape.input(&format!("W{k}"), (width(k + 1), width(k)))).collect();
    let x = tape.input("X", (width(0), 24));
    let loss = ws.iter().fold(x, |h, &w| (w * h).tanh()).norm_squared();
    let [mut plain, mut small] = programs(&with_gradient(loss, &ws));
    let (bytes, fewer) = (working_bytes(&plain), working_bytes(&small));
    // With equal layers it would be about 2 / √500 = 0.09.
    assert!((fewer as f64) < 0.04 * bytes as f64, "{bytes} and {fewer}");
    assert_eq!(results(&mut small, &tape), results(&mut plain, &tape));
}

/// Factorizations, solves in place, sums of products and opaque functions are forgotten and computed again.
#[test]
fn values_computed_in_several_steps_are_computed_again() {
    let tape = Tape::new();
    let w = tape.input("W", (8, 8));
    let x = tape.input("X", (8, 8));
    let loss = (0..60).fold(x, |h, _| {
        let a = h.tanh() + 20.0 * tape.identity(8);
        let solved = a.solve((w * h + h * w).sin());
        solved + tape.function("L", solved) * h
    });
    let loss = loss.norm_squared();
    let [mut plain, mut small] = programs(&with_gradient(loss, &[w]));
    assert!(small.bytes() * 3 < plain.bytes(), "{} and {}", small.bytes(), plain.bytes());
    let plan = small.plan();
    for kernel in ["factorization", "solve", "product, added", "identity, added", "function", "pass"] {
        assert!(plan.iter().any(|line| line.again() && line.kernel() == kernel), "{kernel}");
    }
    assert_eq!(results(&mut small, &tape), results(&mut plain, &tape));
}

#[test]
fn what_would_not_get_smaller_stays_as_it_is() {
    let builds: [Build; 3] = [gaussian_process, |t| network(t, 2, LAYERS[0].1), |_| vec![]];
    for build in builds {
        let tape = Tape::new();
        let [plain, small] = programs(&build(&tape));
        assert_eq!((small.flops(), small.bytes()), (plain.flops(), plain.bytes()));
    }
}

/// What the user marks is kept, and what lies between is computed again; results have the same bits.
#[test]
fn checkpoints_are_kept_and_the_rest_is_computed_again() {
    let network = |tape: &Tape, every: usize| -> (usize, Vec<Vec<u64>>, usize) {
        let depth = 36;
        let ws: Vec<_> = (0..depth).map(|k| tape.input(&format!("W{k}"), (8, 8))).collect();
        let (x, y) = (tape.input("X", (8, 24)), tape.input("Y", (8, 24)));
        let h = (1..).zip(&ws).fold(x, |h, (k, &w)| {
            let h = (w * h).tanh();
            if k % every == 0 && k < depth { h.checkpoint() } else { h }
        });
        let loss = losses::squared(h, y);
        let mut program = compile::<f64>(loss, &ws).unwrap();
        let again = program.plan().to_string().matches("computed again").count();
        let results = results(&mut program, tape);
        // Gradients are outputs, and take the same memory in each.
        (program.bytes() - depth * 8 * 8 * size_of::<f64>(), results, again)
    };
    let (all, plain, none) = network(&Tape::new(), 100);
    let (sixth, marked, again) = network(&Tape::new(), 6);
    assert_eq!((none, &marked), (0, &plain));
    // Of 36 layers, 6 are kept, and 6 are computed again at a time; the last segment is not forgotten.
    assert!((30..=60).contains(&again), "{again}");
    assert!(sixth < 16 * VALUE && all > 36 * VALUE, "{sixth} of {all}");
    let (few, marked, _) = network(&Tape::new(), 18);
    assert!(marked == plain && few > sixth && few < all, "{sixth} {few} {all}");
}
