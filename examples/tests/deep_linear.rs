//! What `deep_linear` promises on the command line.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{temporary, text};
use std::process::Output;

fn run(args: &[&str]) -> Output {
    common::run("deep_linear", args)
}

#[test]
fn help_is_printed() {
    for flag in ["--help", "-h"] {
        let output = run(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        for option in
            ["--depth", "--width", "--loss", "--steps", "--seed", "--f32", "--svg", "--data", "--help"]
        {
            assert!(text(&output.stdout).contains(option), "{option} is not in the help");
        }
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn what_the_user_can_mend_is_one_line_and_exit_code_2() {
    let malformed = temporary("malformed.csv");
    std::fs::write(&malformed, "1,2,3\n").unwrap();
    let malformed = malformed.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--dept", "4"], "there is no option `--dept`; --help lists them"),
        (&["4"], "there is no option `4`; --help lists them"),
        (&["--depth", "0"], "--depth is a whole number from 1 to 32, not `0`"),
        (&["--depth=0"], "--depth is a whole number from 1 to 32, not `0`"),
        (&["--depth", "-3"], "--depth is a whole number from 1 to 32, not `-3`"),
        (&["--width", "wide"], "--width is a whole number from 1 to 4096, not `wide`"),
        (&["--width="], "--width is a whole number from 1 to 4096, not ``"),
        (&["--steps", "1e3"], "--steps is a whole number from 0 to 1000000, not `1e3`"),
        (&["--seed"], "--seed needs a value"),
        (&["--f32=yes"], "--f32 takes no value"),
        (&["--loss", "hinge"], "--loss is one of squared, cross-entropy, log-cosh, not `hinge`"),
        (&["--data", "no/such/file.csv"], "cannot read no/such/file.csv: "),
        (&["--data", malformed], "malformed.csv: line 1 has 3 entries, not 65"),
        (
            &["--depth=1", "--width=1", "--steps=0", "--svg=no/such/folder/a.svg"],
            "cannot write no/such/folder/a.svg: ",
        ),
    ];
    for (args, message) in cases {
        let output = run(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.starts_with("deep_linear: ") && stderr.contains(message), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    }
}

#[test]
fn a_small_run_prints_formulas_and_draws() {
    let svg = temporary("small.svg");
    let _ = std::fs::remove_file(&svg);
    let output = run(&["--steps", "5", "--width=8", "--depth", "3", "--svg", svg.to_str().unwrap()]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for line in [
        "1437 digits to learn from, 360 held out",
        "  ∇W1 = 1/1437 W2ᵀ W3ᵀ (softmax(W3 W2 W1 X) − Y) Xᵀ",
        "  ∇W2 = 1/1437 W3ᵀ (softmax(W3 W2 W1 X) − Y) Xᵀ W1ᵀ",
        "  ∇W3 = 1/1437 (softmax(W3 W2 W1 X) − Y) Xᵀ W1ᵀ W2ᵀ",
        "  L(W3 W2 W1)",
        "  ∇W1 = W2ᵀ W3ᵀ ∇L(W3 W2 W1)",
        "  ∇W2 = W3ᵀ ∇L(W3 W2 W1) W1ᵀ",
        "  ∇W3 = ∇L(W3 W2 W1) W1ᵀ W2ᵀ",
        "    = L(W3 W2 W1) + ⟨∇L(W3 W2 W1), W3 ε W1⟩ + o(‖ε‖)",
    ] {
        assert!(stdout.lines().any(|printed| printed == line), "`{line}` is not in\n{stdout}");
    }
    assert_eq!(stdout.lines().last(), Some(format!("Drawn in {}", svg.display()).as_str()));
    let picture = std::fs::read_to_string(svg).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
}

#[test]
fn every_loss_holds_the_table_in_both_precisions() {
    let svg = temporary("losses.svg");
    for loss in ["squared", "cross-entropy", "log-cosh"] {
        for precision in [&[][..], &["--f32"]] {
            let args =
                ["--loss", loss, "--depth=2", "--width=1", "--steps=0", "--svg", svg.to_str().unwrap()];
            let output = run(&[&args, precision].concat());
            let stderr = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{loss} {precision:?}: {stderr}");
        }
    }
}
