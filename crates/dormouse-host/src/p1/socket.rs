//! A socket of a wasip1 program: beside what every socket has, whether its calls block, and an error that waits to be told.

use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;

use crate::net::meter::Meter;
use crate::net::share::Held;
use crate::net::socket::{self, Hub};
use crate::net::tcp;

pub(super) use crate::net::socket::Side;

pub(super) struct Socket {
    inner: socket::Socket,
    /// An error that came after bytes that were received in the same call. The system tells it once: after a reset the next
    /// read would look like a good end.
    failed: Option<io::Error>,
    /// The program asked for calls that return at once. The system's socket always does.
    pub(super) nonblocking: bool,
}

impl Socket {
    pub(super) fn listener(listener: TcpListener, hub: &Arc<Hub>, meter: &Meter) -> io::Result<Socket> {
        listener.set_nonblocking(true)?;
        let socket = Socket::new(listener.into(), hub, meter, true);
        socket.inner.set_listens();
        Ok(socket)
    }

    pub(super) fn stream(stream: TcpStream, hub: &Arc<Hub>, meter: &Meter) -> io::Result<Socket> {
        stream.set_nonblocking(true)?;
        Ok(Socket::accepted(stream.into(), hub, meter, true))
    }

    /// A connection that was accepted; its descriptor does not block.
    pub(super) fn accepted(fd: OwnedFd, hub: &Arc<Hub>, meter: &Meter, nonblocking: bool) -> Socket {
        let socket = Socket::new(fd, hub, meter, nonblocking);
        socket.inner.set_connected();
        socket
    }

    fn new(fd: OwnedFd, hub: &Arc<Hub>, meter: &Meter, nonblocking: bool) -> Socket {
        Socket { inner: socket::Socket::new(fd, hub, meter), failed: None, nonblocking }
    }

    /// It is a listener that other programs have, too.
    pub(super) fn set_held(&self, held: Held) {
        self.inner.set_held(held);
    }

    /// Whether a listener with something to accept lets other runs go first, and is not ready.
    pub(super) fn gives_way(&self) -> bool {
        self.inner.gives_way()
    }

    pub(super) fn listens(&self) -> bool {
        self.inner.listens()
    }

    /// Whether this side is ready, as far as is known: a hint, as readiness is. If it is not, its mark will wake the hub.
    pub(super) fn is_ready(&self, side: Side) -> io::Result<bool> {
        match self.nonblocking {
            true => self.inner.is_ready(side),
            // A program whose calls block does not make one on a hint: it would wait there, and for this side only.
            false => self.inner.is_surely_ready(side),
        }
    }

    /// Of a poll that has this side in its list: see [`socket::Socket::poll`].
    pub(super) fn poll(&self, side: Side, is_ready: impl FnOnce() -> io::Result<bool>) -> io::Result<bool> {
        self.inner.poll(side, is_ready)
    }

    /// Whether tokio knows it, so that it needs no look before tokio's turn.
    pub(super) fn is_registered(&self) -> bool {
        self.inner.is_registered()
    }

    /// Whether the peer has gone, of a side that is ready.
    pub(super) fn is_hung_up(&self, side: Side) -> bool {
        self.inner.is_hung_up(side)
    }

    /// Waits until this side is ready: what a call does that may block.
    pub(super) fn poll_wait(&self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_wait(side, cx)
    }

    // ---- operations; none of them blocks ----

    pub(super) fn accept(&self) -> io::Result<OwnedFd> {
        match self.nonblocking && self.inner.gives_way() {
            true => Err(Errno::WOULDBLOCK.into()),
            false => tcp::accept(&self.inner),
        }
    }

    pub(super) fn receive(&mut self, buf: &mut [u8], peek: bool) -> io::Result<usize> {
        match (self.failed.take(), peek) {
            (Some(error), _) => Err(error),
            (None, true) => tcp::peek(&self.inner, buf),
            (None, false) => tcp::receive(&self.inner, buf),
        }
    }

    /// Keeps an error for the next call.
    pub(super) fn fail_next(&mut self, error: io::Error) {
        self.failed = Some(error);
    }

    pub(super) fn send(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        tcp::send_vectored(&self.inner, bufs)
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        tcp::shutdown(&self.inner, how)
    }
}
