//! How `#[dormouse::main]` ends the program. Not for use by hand.
//!
//! An `io::Error` is shown as its sentence: `Error: bind 10.0.0.1:80: address in use`. std would show it by `Debug`, which
//! is harder to read, and 13 KB of a small guest. Everything else is left to std, so that each type that `main` may return
//! may be returned here too. Which of the two it is, the compiler decides: of the methods called `report` it takes the
//! one that needs the fewest references removed.

use std::cell::Cell;
use std::io;
use std::process::{ExitCode, Termination};

use crate::runtime::complain;

/// What the main future gave.
pub struct Outcome<T>(Cell<Option<T>>);

impl<T> Outcome<T> {
    pub fn new(output: T) -> Self {
        Outcome(Cell::new(Some(output)))
    }
}

pub trait ReportSentence {
    fn report(&self) -> ExitCode;
}

impl<T: Termination> ReportSentence for &Outcome<io::Result<T>> {
    fn report(&self) -> ExitCode {
        match self.0.take() {
            Some(Ok(output)) => output.report(),
            Some(Err(error)) => {
                complain(&format!("Error: {error}\n"));
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        }
    }
}

pub trait ReportAsStd {
    fn report(&self) -> ExitCode;
}

impl<T: Termination> ReportAsStd for Outcome<T> {
    fn report(&self) -> ExitCode {
        self.0.take().map_or(ExitCode::SUCCESS, Termination::report)
    }
}
