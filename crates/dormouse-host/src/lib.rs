//! Host. Embeds wasmtime and serves WASI programs, sockets included; the `dormouse` command is a thin face over it.
//!
//! A [`Program`] is a compiled component, or a module of WASI 0.1; a [`Run`] runs it once on the calling thread. Nothing is granted that was
//! not asked for: the [`Policy`] denies every address, no directory is passed, and of the
//! environment only what the runner has to say itself. A
//! [`Trace`] counts the host calls by name, and can be read while the program runs.
//!
//! ```no_run
//! use dormouse_host::{Policy, Program, Run, Trace};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let program = Program::load("echo.wasm".as_ref())?;
//! let trace = Trace::new();
//! let exit = Run::new(&program)
//!     .arg("--once")
//!     .policy(Policy::default().allow_listen("127.0.0.1:0".parse()?))
//!     .trace(trace.clone())
//!     .start()?;
//! println!("exit code {}\n{}", exit.code, trace.counts());
//! # Ok(())
//! # }
//! ```
//!
//! One folder or file per generation of WASI: `p3` links `wasi:*@0.3`, `p2` `wasi:*@0.2`, and [`p1`] `wasi_snapshot_preview1`
//! for other embedders of wasmtime as well. The sockets are the runner's own (`net`), and the rest (policy, trace, standard streams,
//! errors) does not know which generation it serves either.

#[cfg(not(unix))]
compile_error!("dormouse-host waits on standard streams with poll(2) and on Unix signals: it runs on Unix only");

mod cache;
mod count;
mod error;
mod facts;
mod interrupt;
mod limits;
mod metrics;
mod net;
pub mod p1;
mod p2;
mod p3;
mod program;
mod pulse;
mod run;
mod service;
mod source;
mod stdio;
mod symbols;
mod trap;

pub use cache::Cache;
pub use count::{Counts, Trace};
pub use error::Error;
pub use interrupt::Interrupt;
pub use metrics::Metrics;
pub use net::meter::{Meter, Traffic};
pub use net::policy::{AddrError, ConnectAddr, ListenAddr, Policy};
pub use program::Program;
pub use run::{Exit, Run, Stop};
pub use service::{Control, Ended, Event, Instance, Restart, Service, Status};
pub use source::Source;
pub use stdio::{Input, OnChunk, Output};
