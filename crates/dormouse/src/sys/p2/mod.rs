//! WASI 0.2: `wasi:io/poll.poll` over a list of pollables.
//!
//! What a socket is here: a tcp-socket with two streams that are its children, each with a pollable that is the
//! stream's child. A child must go before its parent, or the host traps; [`Source`] keeps them in that order.

mod abi;
pub(crate) mod clock;
mod file;
mod list;
mod lookup;
mod net;
mod options;
mod poller;
mod stdio;
mod stop;
mod udp;

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::io;

use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::tcp::TcpSocket;

use super::drained::Drained;
pub(crate) use super::wasi::{Notifier, THREADS, file_error, spawn_local};
pub(crate) use poller::Poller;

use crate::sys::Side;

/// A socket or a standard stream. The fields are dropped in the order in which they stand: children first.
#[derive(Default)]
pub(crate) struct Source {
    /// By side. Made when a side is first waited for and kept for the life of the source.
    pollables: [OnceCell<Pollable>; 2],
    input: OnceCell<InputStream>,
    output: OnceCell<OutputStream>,
    socket: Option<TcpSocket>,
    /// What is none of those. Behind a pointer, so that who has none links nothing of it.
    other: Option<Box<dyn Other>>,
    /// Something was written, and may still be on its way when the source is closed.
    wrote: Cell<bool>,
    /// Writing was shut down by this program.
    shut_writing: Cell<bool>,
    /// Reading was: what a read that finds nothing does then. Who shuts nothing down does not link it.
    when_empty: Cell<Option<WhenEmpty>>,
    drained: Drained,
}

/// What a read that finds nothing gives.
type WhenEmpty = fn(&Source) -> io::Result<usize>;

/// Something to wait for that is no stream of bytes.
trait Other: Any {
    fn subscribe(&self, side: Side) -> Pollable;
    /// See [`Source::is_pending`].
    fn is_pending(&self) -> bool;
}

impl Source {
    /// wasip2 has no descriptors.
    pub(crate) fn from_fd(fd: u32) -> io::Result<Self> {
        let sentence = format!("FD {fd}: wasm32-wasip2 has no descriptors; use TcpListener::bind, TcpStream::connect");
        Err(crate::base::error(io::ErrorKind::Unsupported, sentence))
    }

    pub(crate) fn preopened(_name: Option<&str>) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn fd(&self) -> Option<u32> {
        None
    }

    /// What is waited for: the stream of that side if there is one, else the socket itself (a connection to accept, a
    /// connection attempt that ends).
    fn pollable(&self, side: Side) -> Option<&Pollable> {
        let cell = &self.pollables[side as usize];
        if cell.get().is_none() {
            let pollable = match (side, &self.other) {
                (side, Some(other)) => Some(other.subscribe(side)),
                (Side::Read, None) => self.input.get().map(InputStream::subscribe),
                (Side::Write, None) => self.output.get().map(OutputStream::subscribe),
            };
            let pollable = pollable.or_else(|| self.socket.as_ref().map(TcpSocket::subscribe))?;
            let _ = cell.set(pollable);
        }
        cell.get()
    }
}
