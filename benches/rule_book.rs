//! The ops of the rule book, one at a time: value and gradient through Pullback against the same by hand.
//!
//! ```text
//! cargo bench --bench rule_book                  # all of them
//! cargo bench --bench rule_book -- solves        # one subject
//! cargo bench --bench rule_book -- expm          # the cells whose name matches
//! ```

use pullback_benches::harness::{Column, Harness};
use pullback_benches::rule_book::{Op, Problem, SUBJECTS};
use pullback_benches::summary::Summary;
use std::cell::LazyCell;
use std::time::Duration;

const DURATION: Duration = Duration::from_millis(1500);

const BY_HAND: [Column; 5] =
    [Column::Time(0), Column::Ratio(1, 0), Column::Time(2), Column::Ratio(3, 2), Column::Ratio(3, 1)];

fn by_hand() -> Summary {
    let header =
        &["op", "n", "by hand", "Pullback", "gradient by hand", "gradient, Pullback", "gradient / value"];
    let note = "Pullback is a multiple of the time by hand. The gradient is that of ⟨C, op(A, …)⟩ in all inputs, together with \
                its value, and `gradient / value` is Pullback's to Pullback's.";
    Summary::new("Ops against faer by hand", header, note)
}

const IN_PRODUCTS: [Column; 4] =
    [Column::Time(0), Column::Ratio(1, 0), Column::Ratio(2, 0), Column::Ratio(2, 1)];

fn in_products() -> Summary {
    let header = &["op", "n", "A A", "value", "gradient", "gradient / value"];
    let note = "For what faer has no kernels: in products of two n×n matrices, 2n³ flops each.";
    Summary::new("Ops in products of matrices", header, note)
}

/// Some ops of a subject, in a group of their own.
fn race(
    harness: &mut Harness,
    group: &str,
    ops: impl Iterator<Item = &'static Op>,
    columns: &[Column],
    summary: Summary,
) {
    let mut group = harness.group(group, DURATION, summary);
    for op in ops {
        for &n in op.sizes {
            let problem = LazyCell::new(move || Problem::new(op, n));
            group.race_heats(
                format!("{}/n{n}", op.name),
                vec![op.formula.to_owned(), n.to_string()],
                columns,
                || match &*problem {
                    Ok(problem) => problem.heats(),
                    Err(error) => Err(error.clone()),
                },
            );
        }
    }
    group.finish();
}

fn main() {
    let mut harness = Harness::from_args();
    for (subject, ops) in SUBJECTS {
        race(&mut harness, subject, ops.iter().filter(|op| op.is_by_hand()), &BY_HAND, by_hand());
    }
    for (subject, ops) in SUBJECTS {
        let group = format!("{subject}_in_products");
        race(&mut harness, &group, ops.iter().filter(|op| !op.is_by_hand()), &IN_PRODUCTS, in_products());
    }
    harness.finish();
}
