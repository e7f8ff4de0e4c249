//! Losses whose gradients somebody would write by hand, and so somebody did: Pullback against that.
//!
//! ```text
//! cargo bench --bench problems                # all of them
//! cargo bench --bench problems -- gaussian    # the cells whose name matches
//! ```

use pullback_benches::deep_linear::{self, Floor, Setup, Written};
use pullback_benches::harness::Harness;
use pullback_benches::summary::Summary;
use pullback_benches::{chain, gaussian, symmetric, tanh_network, trace};
use std::cell::LazyCell;
use std::time::Duration;

const DURATION: Duration = Duration::from_secs(2);

fn trace(harness: &mut Harness) {
    let header = &["A", "by hand", "Pullback", "into matrices"];
    let note = "By hand: one pass over A and B in tiles. Into matrices: `Program::run_into`.";
    let mut group = harness.group("trace", DURATION, Summary::new("tr(A B)", header, note));
    for (m, n) in [(64, 64), (256, 256), (1024, 1024), (128, 2048)] {
        let problem = LazyCell::new(move || trace::Problem::new(m, n));
        group.race(format!("{m}x{n}"), vec![format!("{m}×{n}")], || problem.contenders());
    }
    group.finish();
}

fn chain(harness: &mut Harness) {
    let header = &["A1", "by hand", "Pullback", "as written"];
    let note = "By hand: four small products, and what the gradients share computed once. As written: from the left.";
    let mut group = harness.group("chain", DURATION, Summary::new("tr(A1 A2 ⋯ A8)", header, note));
    for (small, large) in [(8, 512), (32, 256)] {
        let problem = LazyCell::new(move || chain::Problem::new(small, large));
        group.race(format!("{large}x{small}"), vec![format!("{large}×{small}")], || problem.contenders());
    }
    group.finish();
}

fn long_product(harness: &mut Harness) {
    let header = &["n", "by hand", "Pullback", "as written"];
    let note = "All W are n×n, X is n×32. By hand: activations first. As written: from the left.";
    let summary = Summary::new("½‖W6 W5 W4 W3 W2 W1 X − Y‖²/N", header, note);
    let mut group = harness.group("long_product", DURATION, summary);
    for n in [256, 512] {
        let problem = LazyCell::new(move || deep_linear::Problem::<f64>::new(&[n; 7], 32));
        group.race(format!("n{n}"), vec![n.to_string()], || {
            let setup = Setup { written: Written::FromTheLeft, ..Setup::default() };
            Ok(vec![
                Box::new(Floor::new(&problem)),
                Box::new(problem.compiled(setup)?),
                Box::new(problem.compiled(Setup { as_written: true, ..setup })?),
            ])
        });
    }
    group.finish();
}

fn symmetric(harness: &mut Harness) {
    let header = &["S", "n", "by hand", "Pullback"];
    let note = "By hand: products that compute all entries of S.";
    let mut group = harness.group("symmetric", DURATION, Summary::new("¼‖S − T‖²", header, note));
    for (form, name, formula) in
        [(symmetric::Form::Gram, "gram", "AᵀA"), (symmetric::Form::Sandwich, "sandwich", "X S Xᵀ")]
    {
        for n in [256, 512] {
            let problem = LazyCell::new(move || symmetric::Problem::new(form, n));
            let cell = vec![formula.to_owned(), n.to_string()];
            group.race(format!("{name}/n{n}"), cell, || problem.contenders());
        }
    }
    group.finish();
}

fn gaussian(harness: &mut Harness) {
    let note = "By hand: one Cholesky factorization for everything.";
    let summary = Summary::new("½ (yᵀ K⁻¹ y + log det K)", &["n", "by hand", "Pullback"], note);
    let mut group = harness.group("gaussian", DURATION, summary);
    for n in [64, 128, 256, 512, 1024] {
        let problem = LazyCell::new(move || gaussian::Problem::new(n));
        group.race(format!("n{n}"), vec![n.to_string()], || problem.contenders());
    }
    group.finish();
}

fn tanh_network(harness: &mut Harness) {
    let note = "By hand: `matmul`, loops over columns, `f64::tanh` and `f64::exp`.";
    let summary =
        Summary::new("Two layers, tanh, cross-entropy", &["widths", "N", "by hand", "Pullback"], note);
    let mut group = harness.group("tanh_network", DURATION, summary);
    let problem = LazyCell::new(|| tanh_network::Problem::new([64, 128, 10], 256));
    let cell = vec!["64-128-10".to_owned(), "256".to_owned()];
    group.race("64-128-10/N256".to_owned(), cell, || problem.contenders());
    group.finish();
}

fn main() {
    let mut harness = Harness::from_args();
    trace(&mut harness);
    chain(&mut harness);
    long_product(&mut harness);
    symmetric(&mut harness);
    gaussian(&mut harness);
    tanh_network(&mut harness);
    harness.finish();
}
