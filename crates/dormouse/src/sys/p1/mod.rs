//! WASI 0.1, `wasi_snapshot_preview1`: `poll_oneoff` over a list of subscriptions.
//!
//! A program has the descriptors that the host opened for it, and what it accepts from them; there is no call to bind, to
//! connect or to ask for an address. [`Source`] is a descriptor. Sockets are non-blocking; the others may block, so they
//! are asked for readiness, by themselves, before each call.

mod abi;
pub(crate) mod clock;
mod descriptor;
mod file;
mod list;
mod net;
mod options;
mod poller;
mod stdio;
mod stop;
mod udp;

use std::rc::Rc;

use super::drained::Drained;
pub(crate) use super::wasi::{Notifier, THREADS, file_error, spawn_local};
use descriptor::Descriptor;
pub(crate) use poller::Poller;

/// A socket, a standard stream or a file.
pub(crate) struct Source {
    /// `None` before a socket is bound or connected, which it can never be here.
    descriptor: Option<Rc<Descriptor>>,
    kind: Kind,
    drained: Drained,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Non-blocking.
    Socket,
    /// May block: a standard stream, a pipe, a device.
    Blocking,
    /// None that has a descriptor: it is readable when the host asks the program to stop.
    Stop,
}

impl Source {
    fn new(descriptor: Rc<Descriptor>, kind: Kind) -> Self {
        Source { descriptor: Some(descriptor), kind, drained: Drained::default() }
    }
}
