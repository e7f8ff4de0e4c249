//! Handwritten digits: a table of 8×8 images, one a line, and the samples that a network learns from.
//!
//! A line holds 64 intensities from 0 to 16, row by row, and then the digit that they show.

use pullback::faer::{Mat, MatRef};
use pullback::{Scalar, check};
use std::path::{Path, PathBuf};

/// Number of pixels in an image.
pub const PIXELS: usize = 64;

/// Number of digits.
pub const CLASSES: usize = 10;

/// Rows of a sample: the pixels, and a 1 that makes the first layer affine.
pub const FEATURES: usize = PIXELS + 1;

/// The brightest pixel.
const WHITE: u8 = 16;

/// Why there are no digits to learn from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is no table of digits.
    #[error("{path}: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with a table of digits. Lines and columns are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A line has too few entries, or too many.
    #[error("line {line} has {found} entries, not {}", PIXELS + 1)]
    Entries {
        /// The line.
        line: usize,
        /// The number of entries in it.
        found: usize,
    },
    /// An entry is not a whole number of its range.
    #[error("line {line}, column {column}: `{entry}` is no whole number from 0 to {most}")]
    Entry {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// What stands there.
        entry: String,
        /// The largest number that could.
        most: u8,
    },
    /// There is nothing to learn from and be tested on.
    #[error("at least 2 images are needed, but there are {found}")]
    TooFew {
        /// The number of images.
        found: usize,
    },
}

/// Images and what they show.
#[derive(Clone, Debug, PartialEq)]
pub struct Digits {
    /// Intensities from 0 to 1; an image is a column of [`PIXELS`].
    pub images: Mat<f64>,
    /// The digit in each image.
    pub labels: Vec<usize>,
}

/// Images in the form in which a network takes them: a sample is a column.
#[derive(Clone, Debug)]
pub struct Samples<T> {
    /// The features, [`FEATURES`]×N.
    pub x: Mat<T>,
    /// The targets, [`CLASSES`]×N: a 1 in the row of the digit.
    pub y: Mat<T>,
    /// The digits.
    pub labels: Vec<usize>,
}

impl Digits {
    /// Reads a table from a file.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Malformed`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Digits::parse(&text).map_err(|problem| Error::Malformed { path: path.to_owned(), problem })
    }

    /// Reads a table from its text. Empty lines are passed over.
    ///
    /// # Errors
    /// The first [`Problem`] in it.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut rows = Vec::new();
        let mut labels = Vec::new();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let entries: Vec<&str> = text.split(',').map(str::trim).collect();
            let [pixels @ .., label] = entries.as_slice() else { continue };
            if pixels.len() != PIXELS {
                return Err(Problem::Entries { line, found: entries.len() });
            }
            for (column, pixel) in (1..).zip(pixels) {
                rows.push(f64::from(number(pixel, WHITE, line, column)?) / f64::from(WHITE));
            }
            labels.push(number(label, CLASSES as u8 - 1, line, PIXELS + 1)?.into());
        }
        if labels.len() < 2 {
            return Err(Problem::TooFew { found: labels.len() });
        }
        Ok(Digits { images: Mat::from_fn(PIXELS, labels.len(), |i, j| rows[j * PIXELS + i]), labels })
    }

    /// Shuffles the images and holds out a fifth of them: what to learn from, and what to be tested on.
    ///
    /// Both are centred by the mean image of the former, for the latter has to stay unseen.
    pub fn split<T: Scalar>(&self, seed: u64) -> (Samples<T>, Samples<T>) {
        let count = self.labels.len();
        // To sort by random keys is to shuffle.
        let keys = check::random::<f64>(count, 1, seed);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&i, &j| keys[(i, 0)].total_cmp(&keys[(j, 0)]));
        let (held_out, train) = order.split_at(count.div_ceil(5));

        let total = |pixel| train.iter().map(|&j| self.images[(pixel, j)]).sum::<f64>();
        let mean: Vec<f64> = (0..PIXELS).map(|pixel| total(pixel) / train.len() as f64).collect();
        (self.samples(train, &mean), self.samples(held_out, &mean))
    }

    fn samples<T: Scalar>(&self, chosen: &[usize], mean: &[f64]) -> Samples<T> {
        let labels: Vec<usize> = chosen.iter().map(|&j| self.labels[j]).collect();
        let feature = |i: usize, j: usize| match mean.get(i) {
            Some(mean) => self.images[(i, chosen[j])] - mean,
            None => 1.0,
        };
        Samples {
            x: Mat::from_fn(FEATURES, chosen.len(), |i, j| T::from_f64(feature(i, j))),
            y: Mat::from_fn(CLASSES, chosen.len(), |i, j| T::from_f64(f64::from(u8::from(labels[j] == i)))),
            labels,
        }
    }
}

impl<T: Scalar> Samples<T> {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The share of samples whose own digit has the highest score; `scores` is [`CLASSES`]×N.
    pub fn accuracy(&self, scores: MatRef<'_, T>) -> f64 {
        let wins = |(j, &label): (usize, &usize)| {
            (0..CLASSES).all(|i| i == label || scores[(i, j)] < scores[(label, j)])
        };
        let right = self.labels.iter().enumerate().filter(|sample| wins(*sample)).count();
        right as f64 / self.len() as f64
    }
}

fn number(entry: &str, most: u8, line: usize, column: usize) -> Result<u8, Problem> {
    match entry.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(Problem::Entry { line, column, entry: entry.to_owned(), most }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line whose pixels are all alike.
    fn line(pixel: &str, label: &str) -> String {
        format!("{}{label}\n", format!("{pixel},").repeat(PIXELS))
    }

    #[test]
    fn reads_pixels_and_labels() {
        let text = line("16", "3") + "\n" + &line(" 4", "0\r");
        let digits = Digits::parse(&text).unwrap();
        assert_eq!(digits.labels, [3, 0]);
        assert_eq!((digits.images[(0, 0)], digits.images[(63, 1)]), (1.0, 0.25));
    }

    #[test]
    fn says_where_a_table_is_malformed() {
        let good = line("1", "2");
        let entry =
            |line, column, entry: &str, most| Problem::Entry { line, column, entry: entry.into(), most };
        let cases = [
            (String::new(), Problem::TooFew { found: 0 }),
            (good.clone(), Problem::TooFew { found: 1 }),
            (good.clone() + "1,2,3\n", Problem::Entries { line: 2, found: 3 }),
            (good.clone() + &line("1", "2,3"), Problem::Entries { line: 2, found: 66 }),
            (good.clone() + "\n" + &line("17", "2"), entry(3, 1, "17", 16)),
            (line("-1", "2"), entry(1, 1, "-1", 16)),
            (line("NaN", "2"), entry(1, 1, "NaN", 16)),
            (line("", "2"), entry(1, 1, "", 16)),
            (line("0", "10"), entry(1, 65, "10", 9)),
            (good + &line("0", "seven"), entry(2, 65, "seven", 9)),
        ];
        for (text, problem) in cases {
            assert_eq!(Digits::parse(&text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn names_the_file() {
        let error = Digits::read(Path::new("no/such/file.csv")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read no/such/file.csv: "), "{error}");
    }

    #[test]
    fn holds_out_a_fifth_and_centres_the_rest() {
        let text: String = (0..=10).map(|k| line(&k.to_string(), &(k % 10).to_string())).collect();
        let (train, held_out) = Digits::parse(&text).unwrap().split::<f64>(7);
        assert_eq!((train.len(), held_out.len()), (8, 3));
        for pixel in 0..PIXELS {
            let sum: f64 = (0..train.len()).map(|j| train.x[(pixel, j)]).sum();
            assert!(sum.abs() < 1e-12);
        }
        let mut labels = [&train.labels[..], &held_out.labels].concat();
        labels.sort_unstable();
        assert_eq!(labels, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for samples in [train, held_out] {
            assert_eq!(samples.accuracy(samples.y.as_ref()), 1.0);
            assert!((0..samples.len()).all(|j| samples.x[(PIXELS, j)] == 1.0));
        }
    }
}
