//! What each crate may know of the others, read from the manifests and sources.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every crate, with all that it may depend on.
const MAY_USE: [(&str, &[&str]); 4] = [
    ("tape", &["smallvec", "thiserror"]),
    ("rules", &["pullback-tape", "thiserror"]),
    // rayon and rustix: only if asked for.
    ("engine", &["pullback-tape", "faer", "libm", "pulp", "rayon", "rustix", "smallvec", "thiserror"]),
    ("pullback", &["pullback-tape", "pullback-rules", "pullback-engine", "faer", "thiserror"]),
];

/// What a crate may depend on besides, behind a feature.
const MAY_OFFER: [(&str, &[&str]); 1] =
    [("pullback", &["argmin", "argmin-math", "nalgebra", "ndarray", "serde"])];

/// The table of what is needed on Linux only.
const LINUX: &str = "target.'cfg(target_os = \"linux\")'.dependencies";

/// Words that no source of a crate contains: what it does not know.
const MAY_NOT_SAY: [(&str, &[&str]); 3] = [
    ("tape", &["faer::", "pullback_rules", "pullback_engine"]),
    ("rules", &["faer::", "pullback_engine"]),
    ("engine", &["pullback_rules"]),
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in a manifest's table of dependencies.
fn dependencies(manifest: &str, table: &str) -> BTreeSet<String> {
    entries(manifest, table).map(name).collect()
}

/// Those of them that only a feature asks for.
fn optional(manifest: &str) -> BTreeSet<String> {
    entries(manifest, "dependencies").filter(|entry| entry.contains("optional = true")).map(name).collect()
}

fn name(entry: &str) -> String {
    entry.split(['=', '.', ' ']).next().unwrap().trim_matches('"').to_owned()
}

fn entries<'m>(manifest: &'m str, table: &str) -> impl Iterator<Item = &'m str> {
    let heading = format!("[{table}]");
    let lines = manifest.lines().map(str::trim);
    let lines = lines.skip_while(move |line| *line != heading).skip(1);
    let entries = lines.take_while(|line| !line.starts_with('['));
    entries.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn dependencies_point_downwards() {
    let listed: BTreeSet<_> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    let folders = std::fs::read_dir(crates()).unwrap().map(|entry| entry.unwrap());
    let found: BTreeSet<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(listed, found, "a crate is not listed here");
    for (name, allowed) in MAY_USE {
        let manifest = read(&crates().join(name).join("Cargo.toml"));
        let mut used = dependencies(&manifest, "dependencies");
        assert!(!used.is_empty(), "{name}: no dependency was read");
        used.extend(dependencies(&manifest, LINUX));
        for used in used {
            let offered = MAY_OFFER.iter().any(|(of, offers)| *of == name && offers.contains(&used.as_str()));
            let allowed = allowed.contains(&used.as_str()) || offered && optional(&manifest).contains(&used);
            assert!(allowed, "{name} may not depend on {used}");
        }
        // Nor does a test or a build script of a lower crate lean on a higher one.
        for table in ["dev-dependencies", "build-dependencies"] {
            for used in dependencies(&manifest, table) {
                let inner = used.starts_with("pullback");
                assert!(!inner || allowed.contains(&used.as_str()), "{name}'s {table} may not hold {used}");
            }
        }
        // There is no other table to hide in.
        let tables = manifest.lines().filter(|line| line.starts_with('[') && line.contains("dependencies"));
        for table in tables {
            let known = ["dependencies", "dev-dependencies", "build-dependencies", LINUX];
            assert!(known.contains(&table.trim_matches(['[', ']'])), "{name}: {table} is not checked");
        }
    }
}

#[test]
fn sources_do_not_know_better() {
    for (name, forbidden) in MAY_NOT_SAY {
        let mut files = Vec::new();
        sources(&crates().join(name).join("src"), &mut files);
        assert!(!files.is_empty());
        for file in files {
            let text = read(&file);
            // The documentation may point a reader to the other crates.
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for (i, line) in (1..).zip(code) {
                let said = forbidden.iter().find(|word| line.contains(**word));
                assert!(said.is_none(), "{}: `{}` in code line {i}", file.display(), said.unwrap());
            }
        }
    }
}

#[test]
fn nothing_is_unsafe() {
    let keyword = ["un", "safe"].concat();
    let mut files = Vec::new();
    sources(&crates(), &mut files);
    for file in &files {
        for (i, line) in (1..).zip(read(file).lines()) {
            let code = line.split("//").next().unwrap_or_default();
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(words.all(|word| word != keyword), "{}:{i}: {line}", file.display());
        }
    }
    let workspace = read(&crates().parent().unwrap().join("Cargo.toml"));
    assert!(workspace.contains(&format!("{keyword}_code = \"forbid\"")));
    for (name, _) in MAY_USE {
        assert!(
            read(&crates().join(name).join("Cargo.toml")).contains("[lints]\nworkspace = true"),
            "{name}"
        );
    }
}
