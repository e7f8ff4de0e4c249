//! The gradients of a deep linear network: Pullback against the same faer calls by hand.
//!
//! ```text
//! cargo bench                         # all cells of all benchmarks, about a quarter of an hour
//! cargo bench -- --quick              # fewer rounds of each
//! cargo bench -- d512/N1              # the cells whose name matches
//! cargo bench -- --test               # every contender once
//! ```
//!
//! With `--features pullback-benches/rayon`, a second thread against one.

use pullback::Scalar;
use pullback_benches::deep_linear::{ClosedForm, Floor, Problem, Setup};
use pullback_benches::harness::{Contenders, Group, Harness};
use pullback_benches::summary::Summary;
use std::cell::LazyCell;
use std::time::Duration;

/// The multiplications up to which the naive closed form takes part: beyond, it would only take the others' time.
const NAIVE_LIMIT: f64 = 5e9;

const HEADER: &[&str] = &["L", "type", "N", "d", "floor", "Pullback", "closed form", "naive"];

const NOTE: &str = "\
Floor: the 3L − 1 products by hand, on memory allocated before. The others: their time over the floor's, the \
median over many rounds in each of which every contender runs for at least 200 µs, in random order. Closed form: \
prefix and suffix products computed once. Naive: computed for every layer; — where that would take too long.";

const SAMPLES_HEADER: &[&str] = &["L", "N", "d", "floor", "Pullback", "constant data", "multiplied out"];

const SAMPLES_NOTE: &str = "\
Floor: as above. Constant data: X and Y are declared constant. Multiplied out: and inner products of sums may be \
multiplied out (`Rewrites::distribute`).";

/// The widths of the network from input to output, and the number of samples.
struct Cell {
    label: String,
    widths: Vec<usize>,
    samples: usize,
}

impl Cell {
    fn depth(&self) -> usize {
        self.widths.len() - 1
    }

    /// L layers d×d.
    fn square(depth: usize, d: usize, samples: usize) -> Cell {
        Cell { label: d.to_string(), widths: vec![d; depth + 1], samples }
    }

    fn new<const N: usize>(widths: [usize; N], samples: usize) -> Cell {
        let label = widths.map(|d| d.to_string()).join("-");
        Cell { label, widths: widths.to_vec(), samples }
    }
}

fn contenders<T: Scalar>(problem: &Problem<T>) -> Result<Contenders<'_, T>, pullback::Error> {
    let mut all: Contenders<'_, T> = vec![
        Box::new(Floor::new(problem)),
        Box::new(problem.compiled(Setup::default())?),
        Box::new(ClosedForm::new(problem)),
    ];
    let naive = ClosedForm::naive(problem);
    if naive.multiplications() <= NAIVE_LIMIT {
        all.push(Box::new(naive));
    }
    Ok(all)
}

fn bench<T: Scalar>(group: &mut Group<'_>, cell: &Cell) {
    let Cell { label, widths, samples } = cell;
    let (depth, scalar) = (cell.depth(), std::any::type_name::<T>());
    // Nothing is prepared for a cell that the filter leaves out.
    let problem = LazyCell::new(|| Problem::<T>::new(widths, *samples));
    group.race(
        format!("L{depth}/{scalar}/d{label}/N{samples}"),
        vec![depth.to_string(), scalar.to_owned(), samples.to_string(), label.clone()],
        || contenders(&problem),
    );
}

/// As many samples as layers have rows, or one, in both precisions.
fn layers(harness: &mut Harness) {
    let summary = Summary::new("Deep linear gradient", HEADER, NOTE);
    let mut group = harness.group("deep_linear", Duration::from_secs(4), summary);
    let mut cells = Vec::new();
    for depth in [4, 32] {
        for d in [2, 4, 8, 16, 32, 64, 128, 256, 512] {
            cells.extend([Cell::square(depth, d, 1), Cell::square(depth, d, d)]);
        }
    }
    cells.push(Cell::new([512, 64, 512, 32, 10], 512));
    cells.push(Cell::new([1024, 16, 1024, 16, 1024], 512));
    for cell in &cells {
        bench::<f64>(&mut group, cell);
        bench::<f32>(&mut group, cell);
    }
    group.finish();
}

/// Many more samples than layers have rows.
fn samples(harness: &mut Harness) {
    let summary = Summary::new("Deep linear gradient of many samples", SAMPLES_HEADER, SAMPLES_NOTE);
    let mut group = harness.group("deep_linear_samples", Duration::from_secs(2), summary);
    let mut cells = Vec::new();
    for depth in [4, 32] {
        cells.extend([32, 64, 128, 256].map(|d| Cell::square(depth, d, 10 * d)));
    }
    cells.push(Cell::new([784, 256, 64, 10], 6000));
    cells.push(Cell::square(6, 64, 4096));
    for cell in &cells {
        let Cell { label, widths, samples } = cell;
        let depth = cell.depth();
        let problem = LazyCell::new(|| Problem::<f64>::new(widths, *samples));
        group.race(
            format!("L{depth}/d{label}/N{samples}"),
            vec![depth.to_string(), samples.to_string(), label.clone()],
            || {
                let constant = Setup { constant_data: true, ..Setup::default() };
                Ok(vec![
                    Box::new(Floor::new(&problem)),
                    Box::new(problem.compiled(Setup::default())?),
                    Box::new(problem.compiled(constant)?),
                    Box::new(problem.compiled(Setup { distribute: true, ..constant })?),
                ])
            },
        );
    }
    group.finish();
}

/// Two threads over one.
#[cfg(feature = "rayon")]
fn threads(harness: &mut Harness) {
    use pullback::{Options, Parallelism};
    use pullback_benches::compiled::Twice;
    use pullback_benches::race::Clock;

    let header = &["L", "N", "d", "one", "two threads", "two programs"];
    let note = "Two threads: their time over that of one. Two programs, each on a thread of its own, at once: what they \
                take over what one takes, which is 1.00 if the machine has two whole processors to give, and 2.00 if it \
                has one.";
    let summary = Summary::new("Deep linear gradient on two threads", header, note);
    let mut group = harness.group("deep_linear_threads", Duration::from_secs(2), summary);
    group.clock(Clock::Wall);
    let two = Parallelism::Threads(std::num::NonZeroUsize::MIN.saturating_add(1));
    for d in [32, 64, 128, 256, 512] {
        let problem = LazyCell::new(move || Problem::<f64>::new(&[d; 5], d));
        group.race(format!("d{d}"), ["4".to_owned(), d.to_string(), d.to_string()].to_vec(), || {
            let threaded = Setup { options: Options::new().parallelism(two), ..Setup::default() };
            let one = || problem.compiled(Setup::default());
            let twice = Twice::new([one()?, one()?]);
            Ok(vec![Box::new(one()?), Box::new(problem.compiled(threaded)?), Box::new(twice)])
        });
    }
    group.finish();
}

fn main() {
    let mut harness = Harness::from_args();
    layers(&mut harness);
    samples(&mut harness);
    #[cfg(feature = "rayon")]
    threads(&mut harness);
    harness.finish();
}
