//! Readiness: what tokio's users wait for before they try. Dormouse has none to keep: the host is asked when a task waits, and what it
//! says holds until an operation says `WouldBlock` or finds less than it had room for.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll};

use dormouse::foreign::Side;
use dormouse::net::{TcpStream, UdpSocket};

use super::budget;
use crate::home::Home;
use crate::io::{Interest, Ready};

/// A socket of Dormouse's, as far as waiting goes.
pub(crate) trait Waits: Sized {
    fn poll_ready(&self, side: Side, asked: &Cell<bool>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn another(&self) -> io::Result<Self>;
}

impl Waits for TcpStream {
    fn poll_ready(&self, side: Side, asked: &Cell<bool>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        TcpStream::poll_ready(self, side, asked, cx)
    }

    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

impl Waits for UdpSocket {
    fn poll_ready(&self, side: Side, asked: &Cell<bool>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // WASI 0.3 waits for a datagram, and not for there being one: a peek begins that.
        if cfg!(feature = "p3") && side == Side::Read && !asked.get() {
            let peeked = self.try_peek_from(&mut []);
            if !would_block(&peeked) {
                return Poll::Ready(Ok(()));
            }
        }
        UdpSocket::poll_ready(self, side, asked, cx)
    }

    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

/// What is known of the two sides, and whose the socket is.
#[derive(Default)]
pub(crate) struct Readiness {
    read: Known,
    write: Known,
    home: Home,
}

#[derive(Default)]
struct Known {
    /// The host has said that it is ready.
    ready: Cell<bool>,
    /// `poll_read_ready` and `poll_write_ready` have asked, and have no answer yet.
    asked: Cell<bool>,
}

impl Readiness {
    fn of(&self, side: Side) -> &Known {
        match side {
            Side::Read => &self.read,
            Side::Write => &self.write,
        }
    }

    /// Ready once the host has said so. The latest waker of a side is kept.
    pub(crate) fn poll(&self, socket: &impl Waits, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        budget::poll(cx, |cx| self.poll_asked(socket, side, &self.of(side).asked, cx))
    }

    /// The same, for a waiter that keeps itself whether it has asked.
    fn poll_asked(
        &self,
        socket: &impl Waits,
        side: Side,
        asked: &Cell<bool>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let ready = &self.of(side).ready;
        if ready.get() {
            asked.set(false);
            return Poll::Ready(Ok(()));
        }
        super::sweep();
        let polled = self.home.polled(socket.poll_ready(side, asked, cx));
        if polled.is_ready() {
            asked.set(false);
            ready.set(matches!(polled, Poll::Ready(Ok(()))));
        }
        polled
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    #[cfg(not(target_env = "p1"))]
    pub(crate) fn move_here(&mut self) {
        self.home = Home::here();
    }

    /// Ready, until an operation says otherwise.
    pub(crate) fn assume(&self, side: Side) {
        self.of(side).ready.set(true);
    }

    /// Not ready any more.
    pub(crate) fn clear(&self, side: Side) {
        self.of(side).ready.set(false);
    }

    /// An operation has been tried: if it would block, the side is not ready any more.
    pub(crate) fn tried<T>(&self, side: Side, result: io::Result<T>) -> io::Result<T> {
        if would_block(&result) {
            self.clear(side);
        }
        result
    }

    /// Runs an operation of the user's. tokio does not, if nothing has told that the socket is ready; here nothing tells without a
    /// waiter, so the operation finds out.
    pub(crate) fn try_io<T>(&self, interest: Interest, op: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let result = op();
        if would_block(&result) {
            sides(interest).for_each(|side| self.clear(side));
        }
        result
    }

    /// Waits for one of the sides. Any number of tasks may.
    pub(crate) async fn ready(&self, socket: &impl Waits, interest: Interest) -> io::Result<Ready> {
        let known = self.known(interest);
        if !known.is_empty() {
            return Ok(known);
        }
        // A handle of its own, since each keeps one waker a side.
        let mine = socket.another()?;
        let asked = [Cell::new(false), Cell::new(false)];
        std::future::poll_fn(|cx| {
            let mut ready = Ready::EMPTY;
            for (side, asked) in sides(interest).zip(&asked) {
                if self.poll_asked(&mine, side, asked, cx)?.is_ready() {
                    ready |= Ready::of(side);
                }
            }
            match ready.is_empty() {
                true => Poll::Pending,
                false => Poll::Ready(Ok(ready)),
            }
        })
        .await
    }

    fn known(&self, interest: Interest) -> Ready {
        let ready = sides(interest).filter(|side| self.of(*side).ready.get());
        ready.fold(Ready::EMPTY, |all, side| all | Ready::of(side))
    }

    /// Waits, and runs an operation of the user's until it does not say `WouldBlock`.
    pub(crate) async fn async_io<T>(
        &self,
        socket: &impl Waits,
        interest: Interest,
        mut op: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            self.ready(socket, interest).await?;
            #[cfg(feature = "rt")]
            upstream::task::coop::consume_budget().await;
            let result = self.try_io(interest, &mut op);
            if !would_block(&result) {
                return result;
            }
        }
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn sides(interest: Interest) -> impl Iterator<Item = Side> {
    let read = interest.is_readable().then_some(Side::Read);
    let write = interest.is_writable().then_some(Side::Write);
    read.into_iter().chain(write)
}
