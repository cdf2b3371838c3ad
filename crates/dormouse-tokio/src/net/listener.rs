//! A listener.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use dormouse::foreign::Side;

use super::addr::resolve;
use super::{TcpStream, ToSocketAddrs, budget};
use crate::local::Local;

/// Accepts TCP connections.
pub struct TcpListener {
    io: Local<dormouse::net::TcpListener>,
}

impl TcpListener {
    /// Listens on the first of the addresses that can be bound. On wasip1, which cannot bind, it is the listener that the host has
    /// opened, the next of them that is free.
    ///
    /// # Errors
    /// What the host says.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        let addrs = resolve(addr).await?;
        let bound = Local(async move { dormouse::net::TcpListener::bind_or_preopened(&addrs[..]).await }).await;
        Ok(TcpListener::from(bound?))
    }

    /// Waits for a connection. Safe to cancel.
    ///
    /// # Errors
    /// What the host says. After `QuotaExceeded` and `OutOfMemory` the listener pauses, and the next accept waits: a server that
    /// goes on after each error does not spin.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = budget::run(Local(self.io.accept())).await?;
        Ok((TcpStream::from(stream), from))
    }

    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        budget::poll(cx, |cx| match self.io.try_accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.io.park(Side::Read, cx.waker())?;
                Poll::Pending
            }
            accepted => Poll::Ready(accepted.map(|(stream, from)| (TcpStream::from(stream), from))),
        })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// # Errors
    /// `Unsupported`: WASI has no option of a listener for it.
    pub fn ttl(&self) -> io::Result<u32> {
        super::unsupported("the time to live of a listener")
    }

    /// # Errors
    /// As [`ttl`](Self::ttl).
    pub fn set_ttl(&self, _ttl: u32) -> io::Result<()> {
        super::unsupported("the time to live of a listener")
    }
}

impl From<dormouse::net::TcpListener> for TcpListener {
    fn from(listener: dormouse::net::TcpListener) -> Self {
        TcpListener { io: Local(listener) }
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.io, f)
    }
}
