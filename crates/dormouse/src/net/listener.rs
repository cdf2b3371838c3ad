//! A TCP socket that accepts connections.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::socket::{BIND, LISTEN};
use super::{TcpSocket, TcpStream, ToSocketAddrs};
use crate::reactor::{Handle, Share};
use crate::sys::Side;
use crate::time::Instant;

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
    handle: Share,
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

    pub(super) fn on(handle: Handle) -> TcpListener {
        TcpListener { handle: Share::new(handle) }
    }

    /// Waits for a connection and tells who it is from. Safe to cancel: no connection is lost.
    ///
    /// # Errors
    /// `TimedOut` after the deadline, one that [`is_closed`](super::is_closed) recognises after [`close`](Self::close), and
    /// what the host says. `ConnectionAborted` belongs to that connection: go on accepting. Others, such as having no
    /// more descriptors, come again at once: sleep a little first.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.handle.retry(Side::Read, |listener| listener.try_accept()).await?;
        Ok((TcpStream::on(self.handle.sibling(stream)), peer))
    }

    /// The connections as a stream. What [`accept`](Self::accept) fails with is an item as well; that the listener was closed
    /// is the last one. Safe to drop.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { handle: self.handle.another(), ended: false, _listener: PhantomData }
    }

    /// Until when an [`accept`](Self::accept) may wait, one that is parked now as well: from then on it fails with `TimedOut`,
    /// even if there is a connection, which stays for later. One in the past has passed; `None` is for ever, as at first.
    ///
    /// Makes no call of the host.
    ///
    /// # Errors
    /// If the listener is closed.
    pub fn set_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.handle.set_deadline(&[Side::Read], deadline)
    }

    /// Another handle to the same listener, as [`std::net::TcpListener::try_clone`]. It is closed when the last of them is
    /// dropped, or when any of them is closed.
    ///
    /// # Errors
    /// If the listener is closed.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(TcpListener { handle: self.handle.try_clone()? })
    }

    /// Stops listening, at once, for all clones: every [`accept`](Self::accept) in progress fails with an error that
    /// [`is_closed`](super::is_closed) recognises, and so does all that is called later. Dropping the listener does the
    /// same when nobody else has it.
    ///
    /// # Errors
    /// The same, if it is closed already.
    pub fn close(&self) -> io::Result<()> {
        self.handle.close()
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// What the host says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.with(|listener| listener.local_addr())
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("local_addr", &self.local_addr().ok()).finish()
    }
}

/// The connections of a listener; made by [`TcpListener::incoming`].
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    handle: Share,
    ended: bool,
    _listener: PhantomData<&'a TcpListener>,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let accepted = self.handle.poll_owned(Side::Read, cx, |listener| listener.try_accept());
        self.ended = matches!(&accepted, Poll::Ready(Err(error)) if super::is_closed(error));
        accepted.map_ok(|(stream, _)| TcpStream::on(self.handle.sibling(stream))).map(Some)
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Incoming")
    }
}
