//! What was predicted beside what was measured.

use crate::cli::Failure;
use std::io::Write;

/// How a measured number may differ from the predicted one.
#[derive(Clone, Copy, Debug)]
pub enum Within {
    /// By so much.
    Absolute(f64),
    /// By such a part of what is predicted.
    Relative(f64),
    /// It is at most what is predicted.
    AtMost,
    /// It is at least what is predicted.
    AtLeast,
    /// Not at all: a count.
    Exact,
    /// By anything: nothing is predicted.
    Open,
}

/// A prediction and its measurement.
#[derive(Clone, Debug)]
pub struct Row {
    experiment: String,
    runs: usize,
    predicted: f64,
    measured: f64,
    within: Within,
}

impl Row {
    /// Whether what was measured is what was predicted. A NaN never is.
    pub fn holds(&self) -> bool {
        let error = (self.measured - self.predicted).abs();
        match self.within {
            Within::Absolute(tolerance) => error <= tolerance,
            Within::Relative(tolerance) => error <= tolerance * self.predicted.abs(),
            Within::AtMost => self.measured <= self.predicted,
            Within::AtLeast => self.measured >= self.predicted,
            Within::Exact => error == 0.0,
            Within::Open => true,
        }
    }

    fn cells(&self) -> [String; 5] {
        let sign = match self.within {
            Within::AtMost => "≤ ",
            Within::AtLeast => "≥ ",
            _ => "",
        };
        let allowed = match self.within {
            Within::Absolute(tolerance) => format!("± {}", number(tolerance)),
            Within::Relative(tolerance) => format!("± {} %", 100.0 * tolerance),
            _ => String::new(),
        };
        let predicted = match self.within {
            Within::Open => "—".into(),
            _ => format!("{sign}{}", number(self.predicted)),
        };
        [self.experiment.clone(), self.runs.to_string(), predicted, allowed, number(self.measured)]
    }
}

/// A count as it is, others with four digits, without an exponent where that is as short.
fn number(x: f64) -> String {
    match x.abs() {
        size if x.fract() == 0.0 && size < 1e6 => format!("{x:.0}"),
        size if (1e-3..1e4).contains(&size) => format!("{x:.4}"),
        _ => format!("{x:.1e}"),
    }
}

/// Rows in the order in which they were measured.
#[derive(Clone, Debug, Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// Adds what was measured in so many runs.
    pub fn add(
        &mut self,
        experiment: impl Into<String>,
        runs: usize,
        predicted: f64,
        within: Within,
        measured: f64,
    ) {
        self.0.push(Row { experiment: experiment.into(), runs, predicted, measured, within });
    }

    /// Adds in how many of all runs something happened that should happen in all.
    pub fn all(&mut self, experiment: impl Into<String>, runs: usize, measured: usize) {
        self.add(experiment, runs, runs as f64, Within::Exact, measured as f64);
    }

    /// Adds in how many of all runs something happened that should happen in some.
    pub fn some(&mut self, experiment: impl Into<String>, runs: usize, measured: usize) {
        self.add(experiment, runs, 1.0, Within::AtLeast, measured as f64);
    }

    /// Adds something of which nothing is predicted.
    pub fn found(&mut self, experiment: impl Into<String>, runs: usize, measured: f64) {
        self.add(experiment, runs, f64::NAN, Within::Open, measured);
    }

    /// Prints the table.
    ///
    /// # Errors
    /// If it cannot be printed.
    pub fn print(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let heads = ["experiment", "runs", "predicted", "allowed", "measured"].map(String::from);
        let rows: Vec<_> = std::iter::once(heads).chain(self.0.iter().map(Row::cells)).collect();
        let width = |k: usize| rows.iter().map(|row| row[k].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3, 4].map(width);
        for row in &rows {
            let [a, b, c, d, e] = row;
            let [v, w, x, y, z] = widths;
            writeln!(out, "{a:<v$}  {b:>w$}  {c:>x$}  {d:>y$}  {e:>z$}")?;
        }
        Ok(writeln!(out)?)
    }

    /// Fails if a prediction was not met.
    ///
    /// # Errors
    /// Names the rows that do not hold.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong: Vec<_> =
            self.0.iter().filter(|row| !row.holds()).map(|row| row.experiment.as_str()).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Failure::Prediction(wrong.join("; "))) }
    }
}

/// The largest of some numbers, or NaN if there is one: an error that cannot be told is not small.
pub fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    values.into_iter().fold(f64::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_within_what_is_allowed() {
        let cases = [
            (1.0, Within::Absolute(0.1), 1.05, true),
            (1.0, Within::Absolute(0.1), 0.85, false),
            (-2.0, Within::Relative(0.1), -2.1, true),
            (-2.0, Within::Relative(0.1), 2.0, false),
            (1.0, Within::AtMost, 0.0, true),
            (1.0, Within::AtMost, 1.1, false),
            (1.0, Within::AtLeast, 1.1, true),
            (1.0, Within::AtLeast, 0.9, false),
            (3.0, Within::Exact, 3.0, true),
            (3.0, Within::Exact, 2.0, false),
            (0.0, Within::Absolute(1.0), f64::NAN, false),
            (0.0, Within::AtMost, f64::NAN, false),
            (0.0, Within::Exact, f64::NAN, false),
        ];
        for (predicted, within, measured, holds) in cases {
            let mut table = Table::default();
            table.add("it", 1, predicted, within, measured);
            assert_eq!(table.check().is_ok(), holds, "{predicted} {within:?} {measured}");
        }
    }

    #[test]
    fn the_largest_is_nan_if_there_is_one() {
        assert_eq!(largest([1.0, 3.0, 2.0]), 3.0);
        assert!(largest([1.0, f64::NAN, 2.0]).is_nan());
    }

    #[test]
    fn what_fails_is_named() {
        let mut table = Table::default();
        table.all("all of them", 3, 3);
        table.all("most of them", 3, 2);
        table.some("some of them", 3, 0);
        let message = table.check().unwrap_err().to_string();
        assert_eq!(message, "not as predicted: most of them; some of them");
    }

    #[test]
    fn columns_stand_in_line() {
        let mut table = Table::default();
        table.all("all", 12, 12);
        table.add("λ of it", 1, -0.5, Within::Relative(0.01), -0.501);
        let mut printed = Vec::new();
        table.print(&mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let expected = "experiment  runs  predicted  allowed  measured\n\
                        all           12         12                 12\n\
                        λ of it        1    -0.5000    ± 1 %   -0.5010\n\n";
        assert_eq!(printed, expected);
    }
}
