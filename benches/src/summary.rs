//! The results of a benchmark as a Markdown table.

use std::fmt;
use std::process::Command;

/// A table of times and of ratios to them; `Display` writes it in Markdown.
pub struct Summary {
    title: &'static str,
    header: &'static [&'static str],
    note: &'static str,
    rows: Vec<Vec<String>>,
}

impl Summary {
    /// An empty table with these columns, and a note that explains them.
    pub fn new(title: &'static str, header: &'static [&'static str], note: &'static str) -> Self {
        Summary { title, header, note, rows: Vec::new() }
    }

    /// Adds a row: what was measured, the time of the first contender in seconds, and the others' ratios to it.
    /// A ratio that is missing at the end shows as a dash.
    pub fn push(&mut self, cell: Vec<String>, seconds: f64, ratios: impl Iterator<Item = f64>) {
        let mut row = cell;
        row.push(time(seconds));
        row.extend(ratios.map(ratio));
        self.push_row(row);
    }

    /// Adds a row as it is. What is missing at the end shows as a dash.
    pub fn push_row(&mut self, mut row: Vec<String>) {
        row.resize(self.header.len(), "—".to_owned());
        self.rows.push(row);
    }

    /// Whether another table is this one with other rows.
    pub fn continues_as(&self, other: &Summary) -> bool {
        self.title == other.title && self.header == other.header
    }

    /// Adds the rows of another table.
    pub fn append(&mut self, other: Summary) {
        self.rows.extend(other.rows);
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, machine())?;
        writeln!(f, "| {} |", self.header.join(" | "))?;
        writeln!(f, "|{}", "---:|".repeat(self.header.len()))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))?;
        writeln!(f, "\n{}", self.note)
    }
}

/// As ratios are written.
pub(crate) fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// Three digits and a unit.
pub(crate) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-6 => (1e9 * s, "ns"),
        s if s < 1e-3 => (1e6 * s, "µs"),
        s if s < 1.0 => (1e3 * s, "ms"),
        s => (s, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// The processor and the compiler, as far as they are known.
fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let rustc = Command::new("rustc").arg("--version").output().ok();
    let version = rustc.and_then(|output| String::from_utf8(output.stdout).ok());
    let processor = model.map_or("unknown processor", |(_, name)| name.trim());
    format!("{processor}; {}.", version.as_deref().map_or("rustc unknown", str::trim))
}
