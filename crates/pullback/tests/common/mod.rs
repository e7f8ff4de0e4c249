//! What the tests of random programs share.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pullback::faer::{Mat, MatRef};
use pullback::prelude::*;
use std::ops::RangeInclusive;

/// One step of a program: an op, and the operands as indices among the expressions that fit.
pub(crate) type Step = (u8, u8, u8);

/// A program that nobody wrote: the extents of its inputs, and how expressions grow from them.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    pub(crate) extents: (usize, usize, usize),
    pub(crate) steps: Vec<Step>,
}

/// Programs of at most so many steps, each one of so many ops. The first two extents come from the range.
pub(crate) fn programs(
    extents: RangeInclusive<usize>,
    ops: u8,
    most: usize,
) -> impl Strategy<Value = Random> {
    let extents = (extents.clone(), extents, 1..=4usize);
    let steps = proptest::collection::vec((0..ops, any::<u8>(), any::<u8>()), 1..=most);
    (extents, steps).prop_map(|(extents, steps)| Random { extents, steps })
}

/// Runs a test on random programs, the same each time; a failure is shrunk to a short program.
pub(crate) fn for_random_programs(
    cases: u32,
    programs: &impl Strategy<Value = Random>,
    test: impl Fn(&Random) -> Result<(), String>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    if let Err(error) = runner.run(programs, |program| test(&program).map_err(TestCaseError::fail)) {
        panic!("{error}");
    }
}

/// One of the expressions that fit, if there are any.
pub(crate) fn pick<'t>(pool: &[Var<'t>], choice: u8, fits: impl Fn(Shape) -> bool) -> Option<Var<'t>> {
    let fitting: Vec<_> = pool.iter().copied().filter(|b| fits(b.shape())).collect();
    (!fitting.is_empty()).then(|| fitting[usize::from(choice) % fitting.len()])
}

/// Two of the expressions, the last among them, made one number.
pub(crate) fn loss<'t>(pool: &[Var<'t>]) -> Var<'t> {
    let (last, other) = (pool[pool.len() - 1], pool[pool.len() / 2]);
    last.sin().sum() + 0.5 * (other.tanh() + other.cos()).norm_squared()
}

/// The matrices by name, as programs take them.
pub(crate) fn bound(matrices: &[(String, Mat<f64>)]) -> Vec<(&str, MatRef<'_, f64>)> {
    matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect()
}

/// For messages.
pub(crate) fn text(error: impl ToString) -> String {
    error.to_string()
}
