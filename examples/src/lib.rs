//! What the examples share: reading data and drawing plots.
