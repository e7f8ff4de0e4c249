//! The losses of the rule book: what stands in their derivations is true.

use crate::entries::{Entry, SUBJECTS};
use crate::printed;
use allocation_counter::measure;
use pullback::Structure;
use pullback::faer::Mat;
use pullback::prelude::*;

/// Entries whose derivations have no numbers, and why.
const OUT_OF_REACH: &[(&str, &str)] = &[
    ("tape.function(\"L\", a)", "L is left open: it has no value"),
    ("jvp(tape.function(\"L\", a), …)", "L is left open: it has no value"),
];

/// Matrices that the function of an entry may be asked for: of general position, positive, in (−1, 1), above 1, and with
/// eigenvalues that are positive and well apart.
const DOMAINS: [fn(usize, usize, f64) -> f64; 5] = [
    |_, _, x| 1.5 * x,
    |_, _, x| 0.5 + x.abs(),
    |_, _, x| 0.8 * x,
    |_, _, x| 1.2 + x.abs(),
    |i, j, x| if i == j { 1.0 + i as f64 } else { 0.2 * x },
];

fn numbers(tape: &Tape, domain: fn(usize, usize, f64) -> f64) -> Vec<(String, Mat<f64>)> {
    let mut seed = 0;
    let mut bound = Vec::new();
    for (name, shape) in tape.inputs() {
        seed += 1;
        let x = check::random::<f64>(shape.rows, shape.cols, seed);
        let x = Mat::from_fn(shape.rows, shape.cols, |i, j| domain(i, j, x[(i, j)]));
        let structure = tape.input(&name, shape).structure();
        bound.push((
            name,
            match structure {
                _ if shape.rows != shape.cols || shape.is_scalar() => x,
                Structure::General => x,
                Structure::Symmetric => 0.5 * (&x + x.transpose()),
                _ => &x * x.transpose() + Mat::<f64>::identity(shape.rows, shape.rows),
            },
        ));
    }
    bound
}

/// The loss of an entry: its value, or the inner product of its value with some matrix.
fn judge(entry: &Entry) -> Result<(), String> {
    let tape = Tape::new();
    let (y, xs) = (entry.build)(&tape);
    let loss = if y.shape().is_scalar() { y } else { y.inner(tape.input("G", y.shape())) };
    let mut last = "no domain".to_owned();
    for domain in DOMAINS {
        let bound = numbers(&tape, domain);
        let bound: Vec<_> = bound.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect();
        match value_and_gradients(loss, &xs, &bound) {
            Ok((value, gradients))
                if value.is_finite() && gradients.iter().all(|g| g.norm_l2().is_finite()) =>
            {
                return printed::judge(loss, &xs, &bound);
            }
            Ok((value, _)) => last = format!("the loss is {value}"),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

#[test]
fn derivations_of_the_rule_book_are_true() {
    let mut wrong = Vec::new();
    let mut unreached: Vec<_> = OUT_OF_REACH.iter().map(|(call, _)| *call).collect();
    for entry in SUBJECTS.iter().flat_map(|(_, entries)| *entries) {
        let known = unreached.iter().position(|call| *call == entry.call);
        match (judge(entry), known) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => wrong.push(format!("{} is within reach", entry.call)),
            (Err(_), Some(i)) => drop(unreached.remove(i)),
            (Err(error), None) => wrong.push(format!("{}: {error}", entry.call)),
        }
    }
    wrong.extend(unreached.iter().map(|call| format!("{call} is no entry")));
    assert!(wrong.is_empty(), "{}\n{} entries", wrong.join("\n\n"), wrong.len());
}

/// The reader of formulas, on formulas that were worked out by hand.
#[test]
fn formulas_are_read_as_a_person_reads_them() {
    let m = |rows: &[&[f64]]| Mat::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j]);
    let given = [
        ("A", m(&[&[1.0, 2.0], &[3.0, 4.0]])),
        ("B", m(&[&[0.0, 1.0], &[2.0, 5.0]])),
        ("x", m(&[&[1.0], &[-1.0]])),
        ("s", m(&[&[3.0]])),
    ];
    let given = given.map(|(name, matrix)| (name.to_owned(), matrix)).into();
    let none: [&str; 0] = [];
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a [f64]]);
    let cases: &[Case<'_>] = &[
        ("A B", &none, &[&[4.0, 11.0], &[8.0, 23.0]]),
        ("2 A ∘ B", &none, &[&[0.0, 4.0], &[12.0, 40.0]]),
        ("A + B ∘ B", &none, &[&[1.0, 3.0], &[7.0, 29.0]]),
        ("−A − 1/4 Bᵀ", &none, &[&[-1.0, -2.5], &[-3.25, -5.25]]),
        ("A∘² + A∘⁻¹", &none, &[&[2.0, 4.5], &[9.0 + 1.0 / 3.0, 16.25]]),
        ("s x xᵀ", &none, &[&[3.0, -3.0], &[-3.0, 3.0]]),
        ("xᵀ A x s B", &none, &[&[0.0, 0.0], &[0.0, 0.0]]),
        ("xᵀ x A", &none, &[&[2.0, 4.0], &[6.0, 8.0]]),
        ("(xᵀ x / s²) A⁻ᵀ", &none, &[&[-4.0 / 9.0, 3.0 / 9.0], &[2.0 / 9.0, -1.0 / 9.0]]),
        ("A 𝟏 𝟏ᵀ B + s I", &none, &[&[9.0, 18.0], &[14.0, 45.0]]),
        ("⟨A, B⟩ Diag(x) + tril(A, −1)", &none, &[&[28.0, 0.0], &[3.0, -28.0]]),
        ("Diag(diag(A)) + ‖x‖² 𝟏[i < j]", &none, &[&[1.0, 2.0], &[0.0, 4.0]]),
        ("I[1, 0] A + |s| I[0..2]", &none, &[&[6.0, 4.0], &[1.0, 5.0]]),
        ("C D where", &["C = A x", "D = xᵀ + E", "E = (C + C)ᵀ"], &[&[1.0, 3.0], &[1.0, 3.0]]),
    ];
    for (text, definitions, wanted) in cases {
        let text = text.trim_end_matches(" where");
        let definitions: Vec<_> = definitions.iter().map(|text| (*text).to_owned()).collect();
        let found = printed::read(text, &definitions, &given, (2, 2)).unwrap();
        assert!((&found - m(wanted)).norm_max() < 1e-14, "{text}: {found:?}");
    }
    for text in ["A +", "A B)", "A x x", "f(A)", "Z", "A  B", "log |det A", "I[0, …]"] {
        assert!(printed::read(text, &[], &given, (2, 2)).is_err(), "{text}");
    }
}

/// A line that is changed a little is noticed, wherever it stands.
#[test]
fn what_is_false_is_noticed() {
    let tape = Tape::new();
    let (k, y) = (tape.input("K", (3, 3)), tape.input("y", (3, 1)));
    let loss = 0.5 * (y.t() * k.solve(y) + k.log_det());
    let k_at = check::random::<f64>(3, 3, 1) + 2.0 * Mat::<f64>::identity(3, 3);
    let y_at = check::random::<f64>(3, 1, 2);
    let bound = [("K", k_at.as_ref()), ("y", y_at.as_ref())];
    let text = derivation(loss, k).unwrap().to_string();
    assert_eq!(printed::lines(&text, loss, k, &bound), Ok(()));
    for (i, line) in text.lines().enumerate() {
        for (from, to) in [("⁻ᵀ", "⁻¹"), ("½", "1/3"), (" − ", " + "), ("yᵀ", "(2 y)ᵀ"), ("K⁻¹", "K")]
        {
            if !line.contains(from) {
                continue;
            }
            let changed =
                |(j, line): (usize, &str)| if i == j { line.replacen(from, to, 1) } else { line.to_owned() };
            let lines: Vec<_> = text.lines().enumerate().map(changed).collect();
            let wrong = printed::lines(&lines.join("\n"), loss, k, &bound);
            assert!(wrong.is_err(), "{}", lines[i]);
        }
    }
}

/// Whatever is asked for, the second of two runs allocates nothing: the value, its gradients, and products with the Hessian.
#[test]
fn nothing_of_the_rule_book_allocates_when_it_runs() {
    let (mut runs, mut allocating) = (0, Vec::new());
    for entry in SUBJECTS.iter().flat_map(|(_, entries)| *entries) {
        let tape = Tape::new();
        let (y, xs) = (entry.build)(&tape);
        let loss = if y.shape().is_scalar() { y } else { y.inner(tape.input("G", y.shape())) };
        let gradients = gradient(loss, &xs).unwrap();
        let directions: Vec<_> = xs.iter().map(|&x| (x, x)).collect();
        let mut outputs = vec![loss];
        outputs.extend(&gradients);
        let programs = [outputs, hvp(loss, &directions).unwrap()];
        for outputs in programs {
            let Ok(mut program) = Program::<f64>::compile(&optimize(&outputs, &[]).unwrap()) else {
                continue;
            };
            for domain in DOMAINS {
                let bound = numbers(&tape, domain);
                let known: Vec<String> = program.inputs().map(|(name, _)| name.to_owned()).collect();
                let bound: Vec<_> = bound
                    .iter()
                    .filter(|(name, _)| known.contains(name))
                    .map(|(name, matrix)| (name.as_str(), matrix.as_ref()))
                    .collect();
                if program.run(&bound).is_ok() {
                    runs += 1;
                    let allocations = measure(|| assert!(program.run(&bound).is_ok())).count_total;
                    if allocations > 0 {
                        allocating.push(format!("{}: {allocations}", entry.call));
                    }
                    break;
                }
            }
        }
    }
    assert!(allocating.is_empty(), "{allocating:#?}");
    assert!(runs > 200, "only {runs} programs were run");
}
