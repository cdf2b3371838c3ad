//! A listener.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use dormouse::foreign::Side;

use super::addr::resolve;
use super::stand_in::{self, Place};
use super::{TcpStream, ToSocketAddrs, budget};
use crate::home::Home;
use crate::local::Local;

/// Accepts TCP connections.
pub struct TcpListener {
    pub(super) io: Local<dormouse::net::TcpListener>,
    home: Local<Home>,
    place: Local<Place>,
}

impl TcpListener {
    /// Listens on the first of the addresses that can be bound. On wasip1, which cannot bind, it is the listener that the host has
    /// opened, the next of them that is free.
    ///
    /// # Errors
    /// What the host says.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let addrs = resolve(addr).await?;
        Home::here().check()?;
        let bound = Local(async move { dormouse::net::TcpListener::bind_or_preopened(&addrs[..]).await }).await;
        Ok(TcpListener::from(bound?))
    }

    /// Waits for a connection. Safe to cancel.
    ///
    /// # Errors
    /// What the host says. After `QuotaExceeded` and `OutOfMemory` the listener pauses, and the next accept waits: a server that
    /// goes on after each error does not spin.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = budget::run(&self.home, Local(self.io().accept())).await?;
        Ok((TcpStream::accepted(stream), from))
    }

    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        budget::poll(cx, |cx| match self.io().try_accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.home.check()?;
                stand_in::sweep();
                self.io.park(Side::Read, cx.waker())?;
                Poll::Pending
            }
            accepted => Poll::Ready(accepted.map(|(stream, from)| (TcpStream::accepted(stream), from))),
        })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// A listener of std's, which is made anew on its address; connections that it has not accepted yet are lost. On wasip1 the
    /// listener that the host has opened as its descriptor.
    ///
    /// # Errors
    /// What the host says.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        stand_in::take_listener(listener)
    }

    /// A socket for std and socket2 on which options can be set, and which [`from_std`](Self::from_std) makes this listener again.
    /// It accepts nothing itself.
    ///
    /// # Errors
    /// As those of [`TcpStream::into_std`].
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        stand_in::give_listener(self)
    }

    #[cfg(not(target_env = "p1"))]
    pub(super) fn take_place(&mut self) -> Place {
        std::mem::take(&mut self.place)
    }

    #[cfg(not(target_env = "p1"))]
    pub(super) fn move_here(&mut self) {
        *self.home = Home::here();
    }

    /// Ours, on which options that were set on the stand-in are set as well.
    fn io(&self) -> &dormouse::net::TcpListener {
        self.place.carry(self);
        &self.io
    }

    /// # Errors
    /// `Unsupported` on wasip1.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io().ttl()
    }

    /// # Errors
    /// As [`ttl`](Self::ttl).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io().set_ttl(ttl)
    }
}

impl From<dormouse::net::TcpListener> for TcpListener {
    fn from(listener: dormouse::net::TcpListener) -> Self {
        TcpListener { io: Local(listener), home: Local(Home::here()), place: Local(Place::default()) }
    }
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    /// [`from_std`](Self::from_std).
    fn try_from(listener: std::net::TcpListener) -> io::Result<Self> {
        Self::from_std(listener)
    }
}

/// The stand-in, for options.
impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.place.as_fd(self)
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.io, f)
    }
}
