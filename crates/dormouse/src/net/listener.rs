//! A TCP socket that accepts connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::socket::{BIND, LISTEN};
use super::{TcpSocket, TcpStream, ToSocketAddrs};
use crate::reactor::{Handle, Who};
use crate::sys::{self, Side};

/// Accepts TCP connections.
///
/// ```
/// use dormouse::net::{TcpListener, TcpStream};
/// # dormouse::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = dormouse::spawn(TcpStream::connect(listener.local_addr()?));
/// let (stream, peer) = listener.accept().await?;
/// assert_eq!(client.await??.local_addr()?, peer);
/// # drop(stream);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct TcpListener {
    handle: Handle<sys::net::TcpListener>,
}

impl TcpListener {
    /// Listens on an address; port 0 lets the host choose one, which [`local_addr`](TcpListener::local_addr) tells.
    /// Of several addresses the first that can be bound is taken.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` if the host's policy refuses the address, `InvalidInput` for
    /// what is no address, `Unsupported` for a host name.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        Ok(TcpSocket::open(addr.addresses()?, &[BIND, LISTEN]).await?.into_listener())
    }

    pub(super) fn on(handle: Handle<sys::net::TcpListener>) -> TcpListener {
        TcpListener { handle }
    }

    /// Waits for a connection and tells who it is from. Safe to cancel: no connection is lost.
    ///
    /// # Errors
    /// What the host says. `ConnectionAborted` belongs to that connection: go on accepting. Others, such as having no
    /// more descriptors, come again at once: sleep a little first.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.handle.retry(Side::Read, |listener| listener.try_accept()).await?;
        Ok((TcpStream::on(self.handle.sibling(stream)), peer))
    }

    /// The connections as a stream without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// What the host says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.get().local_addr()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("local_addr", &self.local_addr().ok()).finish()
    }
}

/// The connections of a listener; made by [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let handle = &self.listener.handle;
        let accepted = handle.poll(Side::Read, Who::Shared, cx, |listener| listener.try_accept());
        accepted.map_ok(|(stream, _)| TcpStream::on(handle.sibling(stream))).map(Some)
    }
}
