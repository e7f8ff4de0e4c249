//! `ln |Γ|` and its derivatives against values with twice the digits.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod table;

use faer::MatRef;
use pullback_engine::{Program, Scalar};
use pullback_tape::{Function, Tape};
use table::{Row, TABLE};

/// For positive numbers, in units in the last place.
const POSITIVE: f64 = 2.5;
/// For negative numbers, in units in the last place of the larger of the terms whose difference the value is.
const NEGATIVE: f64 = 4.0;
/// What is enough where `ψ` vanishes, near 1.46.
const NEAR_ZERO: f64 = 2e-17;

fn function(order: Option<u32>) -> Function {
    order.map_or(Function::LnGamma, Function::Polygamma)
}

fn values<T: Scalar>(f: Function, x: &[T]) -> Vec<T> {
    let tape = Tape::new();
    let mut program = Program::<T>::compile(&[tape.input("X", (x.len(), 1)).map(f)]).unwrap();
    let run = program.run(&[("X", MatRef::from_column_major_slice(x, x.len(), 1))]).unwrap();
    run.get(0).unwrap().col(0).iter().copied().collect()
}

/// The distance of a number from the next larger one.
fn unit(x: f64) -> f64 {
    x.abs().next_up() - x.abs()
}

fn rows(order: Option<u32>) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.0 == order)
}

#[test]
fn doubles() {
    for order in [None].into_iter().chain([0, 1, 2, 3, 5, 10, 20, 21, 50, 100, 170].map(Some)) {
        let x: Vec<f64> = rows(order).map(|row| row.1).collect();
        let (mut positive, mut negative, mut near_zero) = (0.0f64, 0.0f64, 0.0f64);
        for (&(_, x, high, low, term), got) in rows(order).zip(values(function(order), &x)) {
            let error = ((got - high) - low).abs();
            if x < 0.0 {
                negative = negative.max(error / unit(term));
                assert!(error <= NEGATIVE * unit(term), "{order:?} at {x}: {got} instead of {high}");
            } else if order == Some(0) && high.abs() < 0.1 {
                near_zero = near_zero.max(error);
                assert!(error <= NEAR_ZERO, "{order:?} at {x}: {got} instead of {high}");
            } else {
                positive = positive.max(error / unit(high));
                assert!(error <= POSITIVE * unit(high), "{order:?} at {x}: {got} instead of {high}");
            }
        }
        println!("{order:?}: {positive:.2} for positive, {negative:.2} for negative numbers; {near_zero:e}");
        assert!(x.len() >= 15, "{order:?}: {} arguments", x.len());
    }
}

/// In single precision, the result in double precision is rounded.
#[test]
fn singles() {
    for order in [None, Some(0), Some(1), Some(2), Some(5)] {
        let x: Vec<f32> = rows(order).map(|row| row.1 as f32).collect();
        let wide: Vec<f64> = x.iter().copied().map(f64::from).collect();
        let exact = values(function(order), &wide);
        let got = values(function(order), &x);
        for ((x, got), exact) in x.iter().zip(got).zip(exact) {
            assert!(
                got == exact as f32 || got.is_nan() && exact.is_nan(),
                "{order:?} at {x}: {got}, {exact}"
            );
        }
    }
}
