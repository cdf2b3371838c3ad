//! Dormouse is a cooperative runtime for programs inside a WebAssembly module under WASI.
//!
//! A WASI module has one thread. If that thread waits in a read, everything in the module waits. Under Dormouse a
//! *task* waits instead: it is parked, the others run, and when no task can run the module makes **one** host call that
//! waits for the nearest timer and every parked socket together. The same program runs natively, to develop and to test
//! on.
//!
//! ```no_run
#![doc = include_str!("../examples/echo.rs")]
//! ```
//!
//! | target | the one waiting call |
//! |---|---|
//! | `wasm32-wasip1` | `poll_oneoff` over a list of subscriptions |
//! | `wasm32-wasip2` | `wasi:io/poll.poll` over a list of pollables |
//! | `wasm32-wasip2` with the feature `p3`, `wasm32-wasip3` | `waitable-set.wait` of WASI 0.3 |
//! | Linux | epoll |
//! | macOS, Windows | the `polling` crate |
//!
//! # Where things are
//! * [`block_on`], [`spawn`], [`task`]: run futures. [`main`] and [`test`] wrap a function in `block_on`.
//! * [`net`]: TCP, UDP, names. [`io`]: copying, standard input and output. [`fs`]: files, pipes and devices. [`time`]: sleeping,
//!   timeouts, intervals.
//! * The module [`signal`]: being asked to stop. [`foreign`]: for loops and schedulers that are not ours.
//! * `sim`, behind the cargo feature of that name: simulated time and network, for tests.
//!
//! Sockets, files and standard streams speak [`futures_io::AsyncRead`] and [`futures_io::AsyncWrite`], so the extension
//! methods of `futures-lite` and `futures-util` work on them.
//!
//! # WASI 0.3
//! The feature `p3` builds a program for it; the source stays as it is. Where `fn main` has no [`main`] attribute and calls
//! [`block_on`] itself, it needs one more line, [`export_main!`]. Futures of the crate `wasip3`, and of any bindings that
//! wit-bindgen generates, can be awaited in tasks; with the feature `p3-spawn`, `wit_bindgen::spawn_local` spawns them, once a task
//! has been spawned by [`spawn`]. In a component that is called rather than run, an exported `async fn` may call [`block_on`]; Dormouse's own futures
//! need that, and say so outside of it.
//!
//! # One thread
//! Everything of Dormouse stays on the thread that made it: futures and handles need not be, and are not, `Send`.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod base;
mod compat;
mod contain;
pub mod fs;
pub mod io;
pub mod net;
#[doc(hidden)]
#[allow(missing_docs)]
pub mod outcome;
mod reactor;
mod runtime;
pub mod signal;
#[cfg(feature = "sim")]
pub mod sim;
mod sys;
pub mod task;
pub mod time;

#[cfg(feature = "hyper")]
pub use compat::hyper;
#[cfg(feature = "tokio-rt")]
pub use compat::tokio_rt as tokio;

/// Runs an `async fn main` inside [`block_on`].
///
/// It may return what any `main` may return. An [`io::Error`] goes to standard error as its sentence,
/// `Error: bind 10.0.0.1:80: address in use`, and the exit code is 1. A function that returns something returns a
/// [`std::process::ExitCode`] under this attribute.
///
/// ```
/// #[dormouse::main]
/// async fn main() -> std::io::Result<()> {
///     Ok(())
/// }
/// ```
#[doc(inline)]
pub use dormouse_macros::main;

/// Makes an `async fn` a test that runs inside [`try_block_on`]. A test that nothing can wake any more fails with the list
/// of its parked tasks.
///
/// On WASI a panic ends the program: standard error has the test's name and the message, and the tests after it do not run.
///
/// ```
/// #[dormouse::test]
/// async fn sleeps() {
///     dormouse::time::sleep(std::time::Duration::from_millis(1)).await;
/// }
/// ```
#[doc(inline)]
pub use dormouse_macros::test;
pub use runtime::{EXIT_STALLED, block_on, foreign, try_block_on};
pub use task::{JoinHandle, spawn};

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    crate::export_main!();
}
