//! Named matrices that can be written to files and read again, by the feature `serde`.
//!
//! ```
//! use pullback::faer::mat;
//! use pullback::parameters::Parameters;
//! use pullback::prelude::*;
//!
//! let (w, b) = (mat![[1.0, 2.0], [3.0, 4.0]], mat![[5.0], [6.0]]);
//! let parameters = Parameters::new(&[("W", w.as_ref()), ("b", b.as_ref())]);
//! let text = serde_json::to_string(&parameters)?;
//! let row = r#"{"W":{"rows":2,"cols":2,"entries":[1.0,3.0,2.0,4.0]},"b":{"rows":2,"cols":1,"entries":[5.0,6.0]}}"#;
//! assert_eq!(text, row);
//!
//! let read: Parameters<f64> = serde_json::from_str(&text)?;
//! let tape = Tape::new();
//! let value = evaluate(&[tape.input("W", (2, 2)) * tape.input("b", (2, 1))], &read.bindings())?;
//! assert_eq!(value[0], w * b);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{Scalar, Shape};
use faer::{Mat, MatRef};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Matrices by their names, in the order in which they were added.
///
/// It is written as a map from names to `rows`, `cols` and `entries`, column by column. A format that has no place for
/// infinite or NaN entries (JSON writes `null`) does not read them again.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<T> {
    matrices: Vec<(String, Mat<T>)>,
}

impl<T> Default for Parameters<T> {
    fn default() -> Self {
        Parameters { matrices: Vec::new() }
    }
}

impl<T: Scalar> Parameters<T> {
    /// Copies of what inputs are bound to. Of two matrices with one name the last is kept.
    pub fn new(bindings: &[(&str, MatRef<'_, T>)]) -> Self {
        bindings.iter().map(|(name, matrix)| ((*name).to_owned(), matrix.to_owned())).collect()
    }

    /// What to bind inputs to: the argument of [`Program::run`](crate::Program::run).
    pub fn bindings(&self) -> Vec<(&str, MatRef<'_, T>)> {
        self.iter().map(|(name, matrix)| (name, matrix.as_ref())).collect()
    }
}

impl<T> Parameters<T> {
    /// Adds a matrix at the end, or puts it in the place of the one with this name, which is returned.
    pub fn insert(&mut self, name: impl Into<String>, matrix: Mat<T>) -> Option<Mat<T>> {
        let name = name.into();
        match self.get_mut(&name) {
            Some(place) => Some(std::mem::replace(place, matrix)),
            None => {
                self.matrices.push((name, matrix));
                None
            }
        }
    }

    /// The matrix with this name.
    pub fn get(&self, name: &str) -> Option<&Mat<T>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, matrix)| matrix)
    }

    /// The matrix with this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Mat<T>> {
        self.matrices.iter_mut().find(|(known, _)| known == name).map(|(_, matrix)| matrix)
    }

    /// All names and matrices, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Mat<T>)> {
        self.matrices.iter().map(|(name, matrix)| (name.as_str(), matrix))
    }

    /// The number of matrices.
    pub fn len(&self) -> usize {
        self.matrices.len()
    }

    /// Whether there is no matrix.
    pub fn is_empty(&self) -> bool {
        self.matrices.is_empty()
    }
}

impl<T> FromIterator<(String, Mat<T>)> for Parameters<T> {
    fn from_iter<I: IntoIterator<Item = (String, Mat<T>)>>(matrices: I) -> Self {
        let mut parameters = Parameters::default();
        for (name, matrix) in matrices {
            parameters.insert(name, matrix);
        }
        parameters
    }
}

/// A matrix as it is written.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "Matrix", deny_unknown_fields)]
struct Written<T> {
    rows: usize,
    cols: usize,
    entries: Vec<T>,
}

impl<T: Scalar + Serialize> Serialize for Parameters<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, matrix) in self.iter() {
            let entries = matrix.col_iter().flat_map(|col| col.iter().copied()).collect();
            map.serialize_entry(name, &Written { rows: matrix.nrows(), cols: matrix.ncols(), entries })?;
        }
        map.end()
    }
}

impl<'de, T: Scalar + Deserialize<'de>> Deserialize<'de> for Parameters<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Scalar + Deserialize<'de>> Visitor<'de> for Reader<T> {
    type Value = Parameters<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from names to matrices")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters<T>, A::Error> {
        let mut parameters = Parameters::default();
        while let Some((name, Written { rows, cols, entries })) = map.next_entry::<String, Written<T>>()? {
            let shape = Shape::new(rows, cols);
            // What has no entries may not be larger than can be addressed either.
            let extent = Shape::new(rows.max(1), cols.max(1));
            if extent.len().is_none() || shape.len() != Some(entries.len()) {
                let found = entries.len();
                return Err(de::Error::custom(format_args!("`{name}` is {shape}, but has {found} entries")));
            }
            let matrix = MatRef::from_column_major_slice(&entries, rows, cols).to_owned();
            if parameters.insert(name.clone(), matrix).is_some() {
                return Err(de::Error::custom(format_args!("there are two matrices `{name}`")));
            }
        }
        Ok(parameters)
    }
}
