//! The gradients of a deep linear network: Pullback against the same faer calls by hand.
//!
//! ```text
//! cargo bench                         # all cells, about ten minutes
//! cargo bench -- --quick              # fewer rounds of each
//! cargo bench -- d512/N1              # the cells whose name matches
//! cargo bench -- --test               # every contender once
//! ```
//!
//! Every cell is one benchmark of Criterion's, whose iteration is a round of the race between all contenders;
//! the time that Criterion reports is Pullback's, and the table at the end compares them all.

// Criterion's closures have no way to return an error.
#![allow(clippy::expect_used)]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use pullback::Scalar;
use pullback_benches::deep_linear::{ClosedForm, Floor, Problem, Pullback};
use pullback_benches::race::{Contender, Race};
use pullback_benches::summary::Summary;
use std::cell::LazyCell;
use std::time::Duration;

const HEADER: &[&str] = &["L", "type", "N", "d", "floor", "Pullback", "closed form", "naive"];

/// Pullback's position among the contenders.
const PULLBACK: usize = 1;

/// The multiplications up to which the naive closed form takes part: beyond, it would only take the others' time.
const NAIVE_LIMIT: f64 = 5e9;

const NOTE: &str = "\
Floor: the 3L − 1 products by hand, on memory allocated before. The others: their time over the floor's, the \
median over many rounds in each of which every contender runs for at least 200 µs, in random order. Closed form: \
prefix and suffix products computed once. Naive: computed for every layer; — where that would take too long.";

/// The widths of the network from input to output, and the number of samples.
struct Cell {
    label: String,
    widths: Vec<usize>,
    samples: usize,
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for depth in [4, 32] {
        for d in [2, 4, 8, 16, 32, 64, 128, 256, 512] {
            let cell = |samples| Cell { label: d.to_string(), widths: vec![d; depth + 1], samples };
            cells.extend([cell(1), cell(d)]);
        }
    }
    for widths in [[512, 64, 512, 32, 10], [1024, 16, 1024, 16, 1024]] {
        let label = widths.map(|d| d.to_string()).join("-");
        cells.push(Cell { label, widths: widths.to_vec(), samples: 512 });
    }
    cells
}

fn contenders<T: Scalar>(problem: &Problem<T>) -> Vec<Box<dyn Contender<T> + '_>> {
    let mut all: Vec<Box<dyn Contender<T> + '_>> = vec![
        Box::new(Floor::new(problem)),
        Box::new(Pullback::new(problem).expect("the layers conform")),
        Box::new(ClosedForm::new(problem)),
    ];
    let naive = ClosedForm::naive(problem);
    if naive.multiplications() <= NAIVE_LIMIT {
        all.push(Box::new(naive));
    }
    all
}

fn bench<T: Scalar>(group: &mut BenchmarkGroup<'_, WallTime>, cell: &Cell, summary: &mut Summary) {
    let Cell { label, widths, samples } = cell;
    let (depth, scalar) = (widths.len() - 1, std::any::type_name::<T>());
    // Nothing is prepared for a cell that the filter leaves out.
    let problem = LazyCell::new(|| Problem::new(widths, *samples));
    let mut race = None;
    group.bench_function(format!("L{depth}/{scalar}/d{label}/N{samples}"), |bencher| {
        let race = race.get_or_insert_with(|| Race::new(contenders::<T>(&problem)));
        bencher.iter_custom(|rounds| race.run(rounds, PULLBACK));
    });
    if let Some(race) = race {
        let cell = [depth.to_string(), scalar.to_owned(), samples.to_string(), label.clone()];
        summary.push(cell.to_vec(), race.seconds(), race.ratios());
    }
}

fn main() {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let mut summary = Summary::new("Deep linear gradient", HEADER);
    let mut group = criterion.benchmark_group("deep_linear");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .nresamples(10_000)
        .significance_level(0.01)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(4));
    for cell in &cells() {
        bench::<f64>(&mut group, cell, &mut summary);
        bench::<f32>(&mut group, cell, &mut summary);
    }
    group.finish();
    // As Criterion understands its arguments: what is run as a test measures nothing.
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    if given("--bench") && !given("--test") && !summary.is_empty() {
        println!("{summary}\n{NOTE}");
    }
}
