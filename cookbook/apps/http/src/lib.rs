//! An HTTP server: HTTP/1.1 and HTTP/2 on one port, by hyper on Dormouse's sockets, timers and tasks.
//!
//! One loop accepts and spawns a task for each connection. An error of a connection is logged and ends that connection. A
//! [`CancellationToken`] tells all of them to finish what they have begun, and a [`TaskTracker`] knows when they have.

pub mod client;
mod log;
mod patience;
mod server;

pub use log::log;
pub use patience::{Limits, Patient};
pub use server::{serve, with_causes};
