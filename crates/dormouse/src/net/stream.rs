//! A TCP connection.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ToSocketAddrs, WriteHalf};
use crate::reactor::{Handle, Share};
use crate::sys::{self, Side, Source};
use crate::time::Instant;

/// A TCP connection.
///
/// Reads and writes take `&self`, and [`AsyncRead`] and [`AsyncWrite`] are there for `&TcpStream` as well: one task may
/// read while another writes. Dropping it closes the connection.
///
/// ```
/// use dormouse::{io, net::{TcpListener, TcpStream}};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// # dormouse::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let addr = listener.local_addr()?;
/// dormouse::spawn(async move {
///     let (conn, _) = listener.accept_with_backoff().await?;
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
///
/// # How the peer sees the end
/// What it reads at last, after all that it was sent:
///
/// | this side | natively, and under `dormouse run` on wasip1 and wasip2 | WASI 0.3 | the `wasmtime` command on wasip2 |
/// |---|---|---|---|
/// | is dropped or [closed](Self::close), and has read all that came | the end | the end | the end |
/// | is dropped or closed with something unread | a reset: that is lost, and it should know (RFC 9293, 3.10.4; RFC 1122, 4.2.2.13) | the end, and a reset right behind it, which a reader may not see; no reset, but a failure when it writes, if all that is unread are 512 bytes or less | the end, and a failure when it writes |
/// | is [shut down](Self::shutdown) for writing | the end, and it may still send | the same | the same |
/// | is open when the program ends, in whatever way | as if dropped | as if dropped; a reset from a host whose process ends with it | the same |
///
/// A reset overtakes what is still on its way to the peer, as TCP has it: read to the end what a peer sends that must have the answer.
/// On WASI 0.3 Dormouse reads 512 bytes ahead, which the system takes for read. wasmtime's sockets of wasip2 shut writing down before they are
/// closed, and so the end comes before the reset. On wasip2 a write that waits for the peer is in the host's hands: `dormouse run` gives
/// it five seconds at the end of the program; elsewhere a program that returns does so, and one that exits or panics loses it.
pub struct TcpStream {
    pub(super) handle: Share,
}

impl TcpStream {
    /// Connects to an address; of several, the first that answers. If those are of one name, an attempt that takes long gets
    /// company: after 250 ms the next one begins beside it (Happy Eyeballs, RFC 8305). `0.0.0.0` and `[::]` are this machine, as
    /// on Linux. Dropping the future gives all of them up, so [`timeout`](crate::time::timeout) around it bounds it.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `PermissionDenied` if the host's policy refuses the address,
    /// `InvalidInput` for what is no address, those of [`lookup_host`](super::lookup_host) for a name; `Unsupported` on wasip1.
    pub async fn connect(addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
        Ok(addr.connect().await?.into_stream())
    }

    /// Gives the connection that the host opened as this descriptor. wasip1 only. A second call for the same descriptor shares it:
    /// see [`TcpListener::from_fd`](super::TcpListener::from_fd).
    ///
    /// # Errors
    /// `NotFound` if the host has opened no such descriptor, `InvalidInput` if it is no stream socket, or a connection that this program has
    /// accepted, which has a number but is its stream's alone; `Unsupported` on all other targets.
    pub fn from_fd(fd: u32) -> io::Result<TcpStream> {
        Ok(TcpStream::on(Handle::new(Source::from_fd(fd)?)?))
    }

    pub(super) fn on(handle: Handle) -> TcpStream {
        TcpStream { handle: Share::new(handle) }
    }

    /// Reads what has come, waiting for at least one byte. `Ok(0)` is the end of the stream, or an empty `buf`.
    /// Safe to cancel: nothing that was read is lost.
    ///
    /// # Errors
    /// `TimedOut` after the read deadline, one that [`is_closed`](super::is_closed) recognises after [`close`](Self::close),
    /// `ConnectionReset` and what else the host says.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.handle.retry(Side::Read, |stream| stream.try_read(buf)).await
    }

    /// [`read`](TcpStream::read) into several buffers, in order; it may fill only the first. Safe to cancel.
    ///
    /// # Errors
    /// As [`read`](TcpStream::read).
    pub async fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.handle.retry(Side::Read, |stream| stream.try_read_vectored(bufs)).await
    }

    /// Looks at what has come without taking it, waiting for at least one byte. `Ok(0)` is the end of the stream, or an empty `buf`.
    /// Safe to cancel.
    ///
    /// # Errors
    /// `Unsupported` on wasip2, which has no such call; else as [`read`](TcpStream::read).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.handle.retry(Side::Read, |stream| stream.try_peek(buf)).await
    }

    /// Writes some of `buf`, waiting for room for at least one byte, and tells how much. An empty `buf` waits for nothing.
    /// Safe to cancel: what is dropped has written nothing.
    ///
    /// # Errors
    /// `TimedOut` after the write deadline, one that [`is_closed`](super::is_closed) recognises after [`close`](Self::close),
    /// `BrokenPipe` or `ConnectionReset` when the peer has gone, and what else the host says.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.handle.retry(Side::Write, |stream| stream.try_write(buf)).await
    }

    /// [`write`](TcpStream::write) from several buffers, in order, as if they were one. Safe to cancel.
    ///
    /// # Errors
    /// As [`write`](TcpStream::write).
    pub async fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.handle.retry(Side::Write, |stream| stream.try_write_vectored(bufs)).await
    }

    /// Ends reading, writing (a half close: the peer reads to the end and may still send) or both, at once, and for operations that are
    /// parked as well. It may be done again.
    ///
    /// When reading has ended, reads still give what has come, and then the end; the peer is told nothing. When writing has
    /// ended, what was written before is still sent, and writes fail with `BrokenPipe`, empty ones too. On a wasip2 host other than wasmtime, await
    /// [`close`](futures_io::AsyncWrite::poll_close) instead to be sure of what was written: it lets the host send first.
    ///
    /// # Errors
    /// `NotConnected` if the connection is no more: the peer has reset it, or both sides have ended it; or if the stream is closed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.handle.with(|stream| stream.shutdown(how))?;
        // Not every host reports it to operations that are parked.
        if how != Shutdown::Write {
            self.handle.wake(Side::Read);
        }
        if how != Shutdown::Read {
            self.handle.wake(Side::Write);
        }
        Ok(())
    }

    /// Sets both deadlines: [`set_read_deadline`](Self::set_read_deadline) and
    /// [`set_write_deadline`](Self::set_write_deadline) at once.
    ///
    /// ```
    /// use dormouse::{io, net::{TcpListener, TcpStream}, time::{Duration, Instant}};
    /// # dormouse::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_deadline(Some(Instant::now() + Duration::from_millis(5)))?;
    /// let error = stream.read(&mut [0; 16]).await.unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    /// stream.set_deadline(None)?; // as before
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// If the stream is closed.
    pub fn set_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.handle.set_deadline(&[Side::Read, Side::Write], deadline)
    }

    /// Sets the deadline of reads, also of those that are parked now: after it they fail with `TimedOut`, even if there
    /// is something to read, which stays for later. A deadline in the past, such as `Some(Instant::now())`, has passed; `None`
    /// is none, as at first.
    ///
    /// Makes no call of the host, so it may be set anew for each message; reading the clock for it is one call on wasip2.
    ///
    /// # Errors
    /// If the stream is closed.
    pub fn set_read_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.handle.set_deadline(&[Side::Read], deadline)
    }

    /// Sets the deadline of writes, and of closing through [`AsyncWrite`]; as
    /// [`set_read_deadline`](Self::set_read_deadline). A write that fails with `TimedOut` has written nothing.
    ///
    /// # Errors
    /// If the stream is closed.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.handle.set_deadline(&[Side::Write], deadline)
    }

    /// Passes on all that comes to another connection, up to the end, and then shuts that connection down for writing: a half close.
    /// Both may be the same.
    ///
    /// ```no_run
    /// # async fn proxy(client: dormouse::net::TcpStream) -> std::io::Result<()> {
    /// let server = dormouse::net::TcpStream::connect("127.0.0.1:6379").await?;
    /// let there = client.forward(&server);
    /// let back = server.forward(&client);
    /// futures_lite::future::try_zip(there, back).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// On WASI 0.3 the host moves the bytes by itself, if nothing has been read from the one and nothing written to the other yet.
    /// The program is not asked again: many small messages cost less, and large transfers about the same. It is not told how many
    /// there were, as WASI has no call for that. Everywhere else this is [`io::copy`](crate::io::copy) and
    /// [`shutdown`](TcpStream::shutdown).
    ///
    /// When this future is dropped, or a deadline passes, no more bytes are moved; another call goes on from there. On WASI 0.3 that is
    /// so under `dormouse run`. The `wasmtime` command, seen on 48 and 49, goes on by itself until one of the peers ends it, also when a
    /// stream is closed.
    ///
    /// # Errors
    /// As [`read`](TcpStream::read) of the one, and [`write`](TcpStream::write) to the other.
    pub async fn forward(&self, to: &TcpStream) -> io::Result<()> {
        if self.handle.with(|from| to.handle.with(|to| Ok(sys::hand_over(from, to))))? {
            let _moving = Moving { from: self, to };
            self.handle.retry(Side::Read, |from| sys::try_handed_over(from, Side::Read)).await?;
            return to.handle.retry(Side::Write, |to| sys::try_handed_over(to, Side::Write)).await;
        }
        crate::io::copy(self, to).await?;
        to.shutdown(Shutdown::Write)
    }

    /// Makes another handle to the same connection, as [`std::net::TcpStream::try_clone`]. The connection is closed when the last
    /// of them is dropped, or when any of them is closed.
    ///
    /// # Errors
    /// If the stream is closed.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        Ok(TcpStream { handle: self.handle.try_clone()? })
    }

    /// Closes the connection, at once, for all clones and halves: every operation in progress fails with an error that
    /// [`is_closed`](super::is_closed) recognises, and so does all that is called later but flushing. What was written is
    /// still sent, unless something that has come is unread: see [how the peer sees the end](Self#how-the-peer-sees-the-end). Dropping the
    /// last clone or half does the same.
    ///
    /// This is not [`AsyncWrite::poll_close`], which is a half close: call that on a half, or as
    /// `AsyncWriteExt::close(&mut stream).await`; or use [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    /// The same, if it is closed already.
    pub fn close(&self) -> io::Result<()> {
        self.handle.close()
    }

    /// This end's address.
    ///
    /// # Errors
    /// `Unsupported` on wasip1, which has no call for it; else what the host says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.with(|stream| stream.local_addr())
    }

    /// The other end's address.
    ///
    /// # Errors
    /// `NotConnected` if the peer has gone; `Unsupported` on wasip1, which has no call for it.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.handle.with(|stream| stream.peer_addr())
    }

    /// Splits the stream into a half that reads and a half that writes, for as long as it is borrowed.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream into a half that reads and a half that writes, to be given to different tasks. Dropping the half that
    /// writes shuts writing down.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let writer = self.another();
        (OwnedReadHalf(self), OwnedWriteHalf::new(writer))
    }
}

/// What the host moves by itself. When this is dropped nothing waits for its end any more.
struct Moving<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        // A stream that is closed has nothing to be taken back.
        let _ = self.from.handle.with(|from| {
            sys::take_back(from, Side::Read);
            Ok(())
        });
        let _ = self.to.handle.with(|to| {
            sys::take_back(to, Side::Write);
            Ok(())
        });
    }
}

impl TcpStream {
    fn another(&self) -> TcpStream {
        TcpStream { handle: self.handle.another() }
    }

    pub(super) fn is_of(&self, other: &TcpStream) -> bool {
        self.handle.is_of(&other.handle)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, peer) = (self.local_addr().ok(), self.peer_addr().ok());
        f.debug_struct("TcpStream").field("local_addr", &local).field("peer_addr", &peer).finish()
    }
}

/// Waits until the host has sent what was written, then shuts writing down: a half close.
fn half_close(stream: &Source) -> io::Result<()> {
    stream.try_drain()?;
    match stream.shutdown(Shutdown::Write) {
        // The peer has gone, so it is closed.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

macro_rules! read {
    ($handle:ty, $poll:ident, $stream:expr) => {
        impl AsyncRead for $handle {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                $stream(&*self).handle.$poll(Side::Read, cx, |stream| stream.try_read(buf))
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                $stream(&*self).handle.$poll(Side::Read, cx, |stream| stream.try_read_vectored(bufs))
            }
        }
    };
}

macro_rules! write {
    ($handle:ty, $poll:ident, $stream:expr) => {
        impl AsyncWrite for $handle {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                $stream(&*self).handle.$poll(Side::Write, cx, |stream| stream.try_write(buf))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                $stream(&*self).handle.$poll(Side::Write, cx, |stream| stream.try_write_vectored(bufs))
            }

            /// Nothing is kept back here, so there is nothing to flush, not even when it is closed; the host sends on its
            /// own.
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Waits until the host has sent what was written, then shuts writing down: a half close.
            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $stream(&*self).handle.$poll(Side::Write, cx, half_close)
            }
        }
    };
}

fn itself(stream: &TcpStream) -> &TcpStream {
    stream
}

read!(&TcpStream, poll_shared, itself);
write!(&TcpStream, poll_shared, itself);
read!(TcpStream, poll_owned, itself);
write!(TcpStream, poll_owned, itself);
read!(ReadHalf<'_>, poll_owned, ReadHalf::as_ref);
write!(WriteHalf<'_>, poll_owned, WriteHalf::as_ref);
read!(OwnedReadHalf, poll_owned, OwnedReadHalf::as_ref);
write!(OwnedWriteHalf, poll_owned, OwnedWriteHalf::as_ref);
