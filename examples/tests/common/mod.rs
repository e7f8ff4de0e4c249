//! Examples as a user runs them.

#![allow(dead_code)] // Not every test needs all of it.

pub(crate) mod predictions;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs an example, which cargo has built next to this test: `target/debug/deps/<test>`,
/// `target/debug/examples/<example>`.
pub(crate) fn run(example: &str, args: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let example = profile.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(example.exists(), "{} is missing: `cargo build --examples` makes it", example.display());
    Command::new(example).args(args).output().unwrap()
}

/// A file that tests may write.
pub(crate) fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// What was printed.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
