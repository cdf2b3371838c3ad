//! tokio, for programs on WASI: the same names, on Dormouse's one wait.
//!
//! `cargo dormouse tokio` lays this crate beside a program, under the name `tokio`, with the tokio of the program's own Cargo.lock
//! below it. Natively it is that tokio, whole. On WASI it is that tokio's `sync`, `io`, `task`, `time`, `fs`, `runtime` and macros,
//! whose scheduler parks in Dormouse's one wait, and Dormouse's sockets, names, standard streams and signals.
//!
//! ```text
//!                 your program, axum, reqwest, …
//!                              │ tokio::*
//!                ┌─────────────▼─────────────┐
//!                │ this crate                │
//!                │ net  io::std*  signal     │
//!                └──────┬─────────────┬──────┘
//!      sync, time, rt … │             │ sockets, streams
//!                ┌──────▼─────┐ park ┌▼─────────┐
//!                │ tokio      ├──────▶ dormouse │
//!                └────────────┘      └──────────┘
//! ```
#![cfg(target_os = "wasi")]
// What is documented is tokio's, and its documentation is tokio's.
#![allow(missing_docs)]

#[cfg(target_feature = "atomics")]
compile_error!(
    "Dormouse's sockets belong to one thread, and a program for tokio may send them to another: \
     build it for a target without threads (wasm32-wasip1, wasm32-wasip2)."
);

pub use upstream::*;

#[cfg(any(feature = "io-std", feature = "net"))]
mod home;
pub mod io;
mod local;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "signal")]
pub mod signal;
#[cfg(any(feature = "io-std", feature = "net"))]
mod spare;

// The export by which WASI 0.3 runs a program. Here, and not by the macros, since a `fn main` that makes its runtime itself has none.
mod export {
    #![allow(unsafe_code)]
    dormouse::export_main!();
}
