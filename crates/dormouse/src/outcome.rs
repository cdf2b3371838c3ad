//! How `#[dormouse::main]` begins and ends the program. Not for use by hand.
//!
//! An `io::Error` is shown as its sentence: `Error: bind 10.0.0.1:80: address in use`. std would show it by `Debug`, which
//! is harder to read, and 13 KB of a small guest. Everything else is left to std, so that each type that `main` may return
//! may be returned here too. Which of the two it is, the compiler decides: of the methods called `report` it takes the
//! one that needs the fewest references removed.

use std::cell::Cell;
use std::io;
use std::process::{ExitCode, Termination};

use crate::runtime::{block_on_and_stay, complain, take_output_lost};

/// [`block_on`](crate::block_on) that leaves the exit code to [`code`].
pub fn block_on<F: Future>(future: F) -> F::Output {
    block_on_and_stay(future)
}

/// What the program ends with, if its output has not been lost.
pub fn code(code: ExitCode) -> ExitCode {
    match take_output_lost() && code == ExitCode::SUCCESS {
        true => ExitCode::FAILURE,
        false => code,
    }
}

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

/// Has a panic of this test shown before it ends the program: the test harness keeps what is printed, and it is lost with the program.
/// Where a panic unwinds the harness shows it.
pub fn begin_test(name: &'static str) {
    if cfg!(target_family = "wasm") {
        std::panic::set_hook(Box::new(move |panic| complain(&format!("test {name}: {panic}\n"))));
    }
}

#[cfg(all(target_os = "wasi", target_env = "p2", feature = "p3"))]
pub use crate::sys::{WORLD, run_main};

/// Lets a host of WASI 0.3 call `fn main`, in a program built with the feature `p3`; elsewhere it does nothing.
///
/// [`main`](macro@crate::main) and [`test`](macro@crate::test) do it by themselves. It is for a program that has neither, and calls
/// [`block_on`](crate::block_on) in an `fn main` of its own, and stands there once, outside of functions:
///
/// ```
/// dormouse::export_main!();
///
/// fn main() {
///     dormouse::block_on(async { /* … */ });
/// }
/// ```
#[macro_export]
macro_rules! export_main {
    () => {
        $crate::__export_main!();
    };
}

#[cfg(all(target_os = "wasi", target_env = "p2", feature = "p3"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_main {
    () => {
        const _: () = {
            #[unsafe(export_name = "wasi:cli/run@0.3.2#run")]
            extern "C" fn run() -> i32 {
                $crate::outcome::run_main()
            }

            #[unsafe(link_section = "component-type:dormouse")]
            #[used]
            static WORLD: [u8; $crate::outcome::WORLD.len()] = *$crate::outcome::WORLD;
        };
    };
}

#[cfg(not(all(target_os = "wasi", target_env = "p2", feature = "p3")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_main {
    () => {};
}
