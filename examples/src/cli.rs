//! The command line of an example without much to choose, and how it ends.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What an example is called, and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// Its name, after which its picture is named.
    pub name: &'static str,
    /// What it does, in a line or two.
    pub about: &'static str,
}

/// Why an example ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A command line that cannot be understood.
    #[error("{0}")]
    Usage(String),
    /// No place for a picture.
    #[error("cannot write {0}: {1}")]
    Picture(PathBuf, io::Error),
    /// A prediction that was not met.
    #[error("not as predicted: {0}")]
    Prediction(String),
    /// A gradient, a program or a run of it.
    #[error(transparent)]
    Pullback(#[from] pullback::Error),
    /// A problem that was given to a solver.
    #[error(transparent)]
    Problem(#[from] pullback::argmin::Error),
    /// A solver.
    #[error(transparent)]
    Solver(#[from] argmin::core::Error),
    /// No one to print for.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl From<pullback::errors::EngineError> for Failure {
    fn from(error: pullback::errors::EngineError) -> Self {
        Failure::Pullback(error.into())
    }
}

impl From<pullback::errors::RulesError> for Failure {
    fn from(error: pullback::errors::RulesError) -> Self {
        Failure::Pullback(error.into())
    }
}

impl Failure {
    /// 2 is the user's to mend, 1 is not.
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Picture(..) => 2,
            _ => 1,
        }
    }
}

/// What the command line asks for.
enum Request {
    Help,
    Run { svg: PathBuf },
}

impl Example {
    /// Reads the command line, and runs the example with the path of its picture and the standard output.
    pub fn main(self, run: impl FnOnce(&Path, &mut dyn Write) -> Result<(), Failure>) -> ExitCode {
        let mut out = io::stdout().lock();
        let outcome = match self.parse(std::env::args_os().skip(1)) {
            Ok(Request::Help) => out.write_all(self.help().as_bytes()).map_err(Failure::from),
            Ok(Request::Run { svg }) => run(&svg, &mut out),
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            // The reader has seen enough, as in `… | head`.
            Err(Failure::Print(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(failure) => {
                // Not `eprintln!`, which panics where there is no stderr.
                let _ = writeln!(io::stderr(), "{}: {failure}", self.name);
                failure.exit_code().into()
            }
        }
    }

    /// Takes both `--svg PATH` and `--svg=PATH`.
    fn parse(self, args: impl IntoIterator<Item = OsString>) -> Result<Request, Failure> {
        let usage = |message: String| Err(Failure::Usage(message));
        let mut svg = PathBuf::from(format!("{}.svg", self.name));
        let mut args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            let (flag, attached) = match arg.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            match (flag, attached) {
                ("--help" | "-h", None) => return Ok(Request::Help),
                ("--help" | "-h", Some(_)) => return usage(format!("{flag} takes no value")),
                ("--svg", attached) => match attached.or_else(|| args.next()) {
                    Some(value) => svg = value.into(),
                    None => return usage(format!("{flag} needs a value")),
                },
                _ => return usage(format!("there is no option `{arg}`; --help lists them")),
            }
        }
        Ok(Request::Run { svg })
    }

    fn help(self) -> String {
        let Example { name, about } = self;
        format!(
            "{about}\n\nUsage: cargo run --release --example {name} -- [OPTIONS]\n\n  \
             --svg PATH   where to draw ({name}.svg)\n  --help       print this\n"
        )
    }
}

/// Writes a picture, and says where.
///
/// # Errors
/// If it cannot be written.
pub fn save(svg: &str, path: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    std::fs::write(path, svg).map_err(|error| Failure::Picture(path.to_owned(), error))?;
    Ok(writeln!(out, "Drawn in {}", path.display())?)
}
