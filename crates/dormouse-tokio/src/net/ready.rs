//! Readiness: what tokio's users wait for before they try. Dormouse has none to keep: the host is asked when somebody waits, and what it
//! says holds until an operation says `WouldBlock`.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll};

use dormouse::foreign::Side;
use dormouse::net::{TcpListener, TcpStream, UdpSocket};

use crate::io::{Interest, Ready};

/// A socket of Dormouse's, as far as waiting goes.
pub(crate) trait Waits: Sized {
    fn poll_ready(&self, side: Side, asked: &Cell<bool>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn another(&self) -> io::Result<Self>;
}

macro_rules! waits {
    ($($socket:ty),*) => {$(
        impl Waits for $socket {
            fn poll_ready(&self, side: Side, asked: &Cell<bool>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$socket>::poll_ready(self, side, asked, cx)
            }

            fn another(&self) -> io::Result<Self> {
                self.try_clone()
            }
        }
    )*};
}

waits!(TcpListener, TcpStream, UdpSocket);

/// What is known of the two sides.
#[derive(Default)]
pub(crate) struct Readiness {
    read: Known,
    write: Known,
}

#[derive(Default)]
struct Known {
    /// The host has been asked since the last `WouldBlock`.
    asked: Cell<bool>,
    /// It has answered.
    ready: Cell<bool>,
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
        let known = self.of(side);
        if known.ready.get() {
            return Poll::Ready(Ok(()));
        }
        let polled = socket.poll_ready(side, &known.asked, cx);
        known.ready.set(polled.is_ready());
        polled
    }

    /// An operation has been tried: if it would block, the side is not ready any more.
    pub(crate) fn tried<T>(&self, side: Side, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::WouldBlock
        {
            let known = self.of(side);
            known.ready.set(false);
            known.asked.set(false);
        }
        result
    }

    /// Runs an operation of the user's if all the sides that it needs may be ready.
    pub(crate) fn try_io<T>(&self, interest: Interest, op: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut sides = sides(interest);
        if !sides.any(|side| self.of(side).ready.get()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = op();
        match &result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                for side in self::sides(interest) {
                    self.of(side).ready.set(false);
                    self.of(side).asked.set(false);
                }
                result
            }
            _ => result,
        }
    }

    /// Waits for one of the sides. Any number of tasks may.
    pub(crate) async fn ready(&self, socket: &impl Waits, interest: Interest) -> io::Result<Ready> {
        // A handle of its own, since each keeps one waker a side.
        let mine = crate::local::Local(socket.another()?);
        let wait = std::future::poll_fn(|cx| {
            let mut ready = Ready::EMPTY;
            for side in sides(interest) {
                if self.poll(&*mine, side, cx)?.is_ready() {
                    ready = ready | Ready::of(side);
                }
            }
            match ready.is_empty() {
                true => Poll::Pending,
                false => Poll::Ready(Ok(ready)),
            }
        });
        crate::local::Local(wait).await
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
            match self.try_io(interest, &mut op) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

fn sides(interest: Interest) -> impl Iterator<Item = Side> {
    let read = interest.is_readable().then_some(Side::Read);
    let write = interest.is_writable().then_some(Side::Write);
    read.into_iter().chain(write)
}
