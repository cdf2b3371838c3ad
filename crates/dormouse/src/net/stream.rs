//! A TCP connection.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::socket::CONNECT;
use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpSocket, ToSocketAddrs, WriteHalf};
use crate::reactor::{Handle, Who};
use crate::sys::{self, Side};

/// A TCP connection.
///
/// Reads and writes take `&self`, and [`AsyncRead`] and [`AsyncWrite`] are there for `&TcpStream` as well: one task may
/// read while another writes. Dropping it closes the connection; what was written is still sent.
///
/// ```
/// use dormouse::{io, net::{TcpListener, TcpStream}};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// # dormouse::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let addr = listener.local_addr()?;
/// dormouse::spawn(async move {
///     let (conn, _) = listener.accept().await?;
///     io::copy(&conn, &conn).await // an echo server
/// });
/// let mut stream = TcpStream::connect(addr).await?;
/// stream.write_all(b"hello").await?;
/// let mut echo = [0; 5];
/// stream.read_exact(&mut echo).await?;
/// assert_eq!(&echo, b"hello");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct TcpStream {
    handle: Handle<sys::net::TcpStream>,
}

impl TcpStream {
    /// Connects to an address; of several, the first that answers. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `PermissionDenied` if the host's policy refuses the address,
    /// `InvalidInput` for what is no address, `Unsupported` for a host name.
    pub async fn connect(addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
        Ok(TcpSocket::open(addr.addresses()?, &[CONNECT]).await?.into_stream())
    }

    pub(super) fn on(handle: Handle<sys::net::TcpStream>) -> TcpStream {
        TcpStream { handle }
    }

    /// Reads what has come, waiting for at least one byte. `Ok(0)` is the end of the stream, or an empty `buf`.
    /// Safe to cancel: nothing that was read is lost.
    ///
    /// # Errors
    /// `ConnectionReset` and what else the host says.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.handle.retry(Side::Read, |stream| stream.try_read(buf)).await
    }

    /// [`read`](TcpStream::read) into several buffers, in order; it may fill only the first.
    ///
    /// # Errors
    /// As [`read`](TcpStream::read).
    pub async fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.handle.retry(Side::Read, |stream| stream.try_read_vectored(bufs)).await
    }

    /// Looks at what has come without taking it.
    ///
    /// # Errors
    /// `Unsupported` on wasip2, which has no such call.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.handle.retry(Side::Read, |stream| stream.try_peek(buf)).await
    }

    /// Writes some of `buf`, waiting for room for at least one byte, and tells how much.
    /// Safe to cancel: what is dropped has written nothing.
    ///
    /// # Errors
    /// `BrokenPipe` or `ConnectionReset` when the peer has gone, and what else the host says.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.handle.retry(Side::Write, |stream| stream.try_write(buf)).await
    }

    /// [`write`](TcpStream::write) from several buffers, in order, as if they were one.
    ///
    /// # Errors
    /// As [`write`](TcpStream::write).
    pub async fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.handle.retry(Side::Write, |stream| stream.try_write_vectored(bufs)).await
    }

    /// Ends reading, writing (a half close: the peer reads to the end and may still send) or both, at once. What was
    /// written before is still sent.
    ///
    /// On a host other than wasmtime, await [`close`](futures_io::AsyncWrite::poll_close) instead to be sure of that:
    /// it lets the host send first.
    ///
    /// # Errors
    /// `NotConnected` if the peer has gone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.handle.get().shutdown(how)
    }

    /// This end's address.
    ///
    /// # Errors
    /// What the host says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.get().local_addr()
    }

    /// The other end's address.
    ///
    /// # Errors
    /// `NotConnected` if the peer has gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.handle.get().peer_addr()
    }

    /// A half that reads and a half that writes, for as long as the stream is borrowed.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// A half that reads and a half that writes, to be given to different tasks. Dropping the half that writes shuts
    /// writing down.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Rc::new(self);
        (OwnedReadHalf(Rc::clone(&stream)), OwnedWriteHalf::new(stream))
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, peer) = (self.local_addr().ok(), self.peer_addr().ok());
        f.debug_struct("TcpStream").field("local_addr", &local).field("peer_addr", &peer).finish()
    }
}

/// What the traits need, for shared references and for owners. Shared ones may be used by many tasks at once.
impl TcpStream {
    fn poll_read_by(&self, who: Who, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.handle.poll(Side::Read, who, cx, |stream| stream.try_read(buf))
    }

    fn poll_read_vectored_by(
        &self,
        who: Who,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.handle.poll(Side::Read, who, cx, |stream| stream.try_read_vectored(bufs))
    }

    fn poll_write_by(&self, who: Who, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.handle.poll(Side::Write, who, cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored_by(&self, who: Who, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.handle.poll(Side::Write, who, cx, |stream| stream.try_write_vectored(bufs))
    }

    /// Waits until the host has sent what was written, then shuts writing down: a half close.
    fn poll_close_by(&self, who: Who, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.handle.poll(Side::Write, who, cx, |stream| stream.try_drain()))?;
        match self.shutdown(Shutdown::Write) {
            // The peer has gone, so it is closed.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

macro_rules! read {
    ($handle:ty, $who:ident, $stream:expr) => {
        impl AsyncRead for $handle {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                $stream(&*self).poll_read_by(Who::$who, cx, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                $stream(&*self).poll_read_vectored_by(Who::$who, cx, bufs)
            }
        }
    };
}

macro_rules! write {
    ($handle:ty, $who:ident, $stream:expr) => {
        impl AsyncWrite for $handle {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                $stream(&*self).poll_write_by(Who::$who, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                $stream(&*self).poll_write_vectored_by(Who::$who, cx, bufs)
            }

            /// Nothing is kept back here, so there is nothing to flush; the host sends on its own.
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Waits until the host has sent what was written, then shuts writing down: a half close.
            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $stream(&*self).poll_close_by(Who::$who, cx)
            }
        }
    };
}

fn itself(stream: &TcpStream) -> &TcpStream {
    stream
}

read!(&TcpStream, Shared, itself);
write!(&TcpStream, Shared, itself);
read!(TcpStream, Owner, itself);
write!(TcpStream, Owner, itself);
read!(ReadHalf<'_>, Owner, ReadHalf::stream);
write!(WriteHalf<'_>, Owner, WriteHalf::stream);
read!(OwnedReadHalf, Owner, OwnedReadHalf::stream);
write!(OwnedWriteHalf, Owner, OwnedWriteHalf::stream);
