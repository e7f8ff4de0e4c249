//! The reference page of the rule book, RULES.md: its tables are what the library prints.
//!
//! `UPDATE_RULES=1 cargo test --package pullback --test rulebook` writes them anew.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod derivations;
mod entries;
#[path = "../printed/mod.rs"]
mod printed;

use entries::{Entry, SUBJECTS};
use pullback::prelude::*;
use pullback::{Function, Structure, jvp, vjp};
use pullback_tape::{Binary, Name, Op};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const BEGIN: &str = "<!-- tables: begin -->\n";
const END: &str = "<!-- tables: end -->\n";

fn path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("RULES.md")
}

/// A formula in a cell of a table.
fn code(formula: &str) -> String {
    // A `where` clause goes over several lines elsewhere.
    let line = formula.replace("\n  where ", " where ").replace("\n        ", ", ");
    format!("`{}`", line.replace('|', "\\|"))
}

/// A perturbation of x: symmetric if x is.
fn direction<'t>(tape: &'t Tape, x: Var<'t>) -> Var<'t> {
    if is_symmetric(x) { tape.symmetric("ε", x.rows()) } else { tape.symbol("ε", x.shape()) }
}

fn is_symmetric(x: Var<'_>) -> bool {
    x.structure() >= Structure::Symmetric && !x.shape().is_scalar()
}

/// One row for each argument that varies.
fn rows(entry: &Entry) -> String {
    let tape = Tape::new();
    let (y, xs) = (entry.build)(&tape);
    let y = y.check().unwrap();
    let mut text = String::new();
    for (i, &x) in xs.iter().enumerate() {
        let epsilon = direction(&tape, x);
        let bar = tape.symbol(if y.shape().is_scalar() { "ȳ" } else { "Ȳ" }, y.shape());
        let derivative = jvp(y, &[(x, epsilon)]).unwrap();
        let adjoint = vjp(y, &[x], bar).unwrap()[0];
        let symmetric = if is_symmetric(x) { "symmetric " } else { "" };
        let first = i == 0;
        let (call, value) = if first { (code(entry.call), code(&y.to_string())) } else { Default::default() };
        let (fails, source) = if first { (entry.notes, entry.source) } else { ("", "") };
        writeln!(
            text,
            "| {call} | {value} | {symmetric}`{x}`: {} | {} | {fails} | {source} |",
            code(&derivative.to_string()),
            code(&adjoint.to_string()),
        )
        .unwrap();
    }
    text
}

fn tables() -> String {
    let mut text = String::new();
    for (subject, entries) in SUBJECTS {
        writeln!(text, "\n## {subject}\n").unwrap();
        text.push_str(
            "| call | value | derivative `D[ε]` in | adjoint `X̄` | conventions and failures | source |\n",
        );
        text.push_str("|---|---|---|---|---|---|\n");
        entries.iter().for_each(|entry| text.push_str(&rows(entry)));
    }
    text
}

/// What stands in RULES.md is what the library prints.
#[test]
fn the_page_is_what_the_library_prints() {
    let page = std::fs::read_to_string(path()).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let right = tables() + "\n";
    if std::env::var_os("UPDATE_RULES").is_some() {
        return std::fs::write(path(), format!("{before}{BEGIN}{right}{END}{after}")).unwrap();
    }
    for (found, right) in found.lines().zip(right.lines()) {
        assert_eq!(found, right, "RULES.md is not up to date");
    }
    assert_eq!(found, right, "RULES.md is not up to date");
}

/// Some name, for the list of ops.
fn name() -> Name {
    match Tape::new().input("X", (1, 1)).node().map(|node| node.op) {
        Some(Op::Input(name)) => name,
        op => panic!("{op:?}"),
    }
}

fn key(op: Op) -> String {
    match op {
        Op::Opaque { order, .. } => format!("function of order {}", order.min(1)),
        op => op.name().to_owned(),
    }
}

/// No op is missing from the page: each is part of an entry's value, of its derivative or of its adjoint.
#[test]
fn every_op_is_on_the_page() {
    let ops = Op::all(name()).into_iter();
    let functions = Function::all().into_iter().map(Op::Map).chain(Binary::all().map(Op::Zip));
    let mut wanted: BTreeSet<String> = ops.chain(functions).filter(|op| op.arity() > 0).map(key).collect();
    for entry in SUBJECTS.iter().flat_map(|(_, entries)| *entries) {
        let tape = Tape::new();
        let (y, xs) = (entry.build)(&tape);
        let mut outputs = vec![y];
        for x in xs {
            outputs.push(jvp(y, &[(x, tape.symbol("ε", x.shape()))]).unwrap());
            outputs.extend(vjp(y, &[x], tape.symbol("Ȳ", y.shape())).unwrap());
        }
        for (_, node) in tape.graph(&outputs).unwrap().iter() {
            wanted.remove(&key(node.op));
        }
    }
    // The rules of one's own operations stand with them.
    wanted.remove("operation");
    assert!(wanted.is_empty(), "{wanted:?} are on no page");
}
