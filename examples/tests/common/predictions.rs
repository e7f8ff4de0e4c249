//! The tables of what was predicted and measured, and what all examples with such a table promise.

use super::{run, temporary, text};

/// A row: the experiment, the runs, and what was measured.
pub(crate) struct Row {
    experiment: String,
    runs: f64,
    measured: f64,
}

/// The rows of a table that follows its heads and ends with an empty line.
fn rows(stdout: &str) -> Vec<Row> {
    let mut lines = stdout.lines().skip_while(|line| !line.starts_with("experiment ")).skip(1);
    let row = |line: &str| {
        let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let number = |cell: &str| cell.parse().unwrap_or_else(|_| panic!("`{cell}` in `{line}`"));
        Row {
            experiment: cells[0].to_owned(),
            runs: number(cells[1]),
            measured: number(cells[cells.len() - 1]),
        }
    };
    lines.by_ref().take_while(|line| !line.is_empty()).map(row).collect()
}

/// What is expected of a measurement.
pub(crate) enum Expected {
    /// The number, give or take.
    Near(f64, f64),
    /// It lies between.
    Between(f64, f64),
    /// It happened in all runs.
    All,
}

/// Runs an example, which must meet its own predictions and these, and draw so many panels.
pub(crate) fn hold(example: &str, panels: usize, expected: &[(&str, Expected)]) {
    let svg = temporary(&format!("{example}.svg"));
    let _ = std::fs::remove_file(&svg);
    let output = run(example, &["--svg", svg.to_str().unwrap()]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}{}", text(&output.stderr));

    let rows = rows(stdout);
    for (experiment, expected) in expected {
        let row = rows.iter().find(|row| row.experiment == *experiment);
        let Row { runs, measured, .. } = row.unwrap_or_else(|| panic!("`{experiment}` is not in\n{stdout}"));
        let holds = match expected {
            Expected::Near(number, tolerance) => (measured - number).abs() <= *tolerance,
            Expected::Between(low, high) => (low..=high).contains(&measured),
            Expected::All => *runs > 0.0 && measured == runs,
        };
        assert!(holds, "{experiment}: {measured} in {runs} runs");
    }

    assert_eq!(stdout.lines().last(), Some(format!("Drawn in {}", svg.display()).as_str()));
    let picture = std::fs::read_to_string(svg).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert_eq!(picture.matches("<g ").count(), panels);
    assert!(!picture.contains("NaN") && !picture.contains("inf"));
}

/// Its command line.
pub(crate) fn understands(example: &str) {
    for flag in ["--help", "-h"] {
        let output = run(example, &[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("--svg PATH") && output.stderr.is_empty());
    }
    let cases: [(&[&str], &str); 4] = [
        (&["--sgv", "a.svg"], "there is no option `--sgv`; --help lists them"),
        (&["a.svg"], "there is no option `a.svg`; --help lists them"),
        (&["--svg"], "--svg needs a value"),
        (&["--help=yes"], "--help takes no value"),
    ];
    for (args, message) in cases {
        let output = run(example, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stderr), format!("{example}: {message}\n"), "{args:?}");
    }
}
