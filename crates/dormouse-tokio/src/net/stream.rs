//! A connection.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dormouse::foreign::Side;
use upstream::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::addr::resolve;
use super::ready::Readiness;
use super::stand_in::{self, Place};
use super::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf, split, split_owned};
use super::{ToSocketAddrs, budget};
use crate::home::Home;
use crate::io::{Interest, Ready};
use crate::local::Local;
use crate::spare;

/// A TCP connection.
pub struct TcpStream {
    pub(super) io: Local<dormouse::net::TcpStream>,
    more: Local<More>,
}

/// What tokio's connection has besides.
#[derive(Default)]
struct More {
    known: Readiness,
    /// What `peek` has read ahead, since components have no call for it; it is read next.
    ahead: RefCell<Vec<u8>>,
    /// What was set, where the host has no option for it.
    nodelay: Cell<bool>,
    place: Place,
}

impl TcpStream {
    /// Connects to an address; of those of a name, to the one that answers first.
    ///
    /// # Errors
    /// What the host says; `Unsupported` on wasip1.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let addrs = resolve(addr).await?;
        Home::here().check()?;
        let stream = Local(async move { dormouse::net::TcpStream::connect(&addrs[..]).await }).await?;
        Ok(TcpStream::from(stream))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.peer_addr()
    }

    /// Always none: hosts of WASI tell no error apart from an operation.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// Ours, on which options that were set on the stand-in are set as well.
    fn io(&self) -> &dormouse::net::TcpStream {
        self.more.place.carry(self);
        &self.io
    }

    /// The end of reading is reported as being readable.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        if interest.is_readable() && !self.more.ahead.borrow().is_empty() {
            return Ok(Ready::READABLE);
        }
        Local(self.more.known.ready(self.io(), interest)).await
    }

    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await?;
        Ok(())
    }

    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await?;
        Ok(())
    }

    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.more.ahead.borrow().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.more.known.poll(self.io(), Side::Read, cx)
    }

    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.more.known.poll(self.io(), Side::Write, cx)
    }

    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(n) = self.take_ahead(buf) {
            return Ok(n);
        }
        self.has_read(buf.len(), self.io().try_read(buf))
    }

    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        if let Some(first) = bufs.iter_mut().find(|buf| !buf.is_empty())
            && let Some(n) = self.take_ahead(first)
        {
            return Ok(n);
        }
        self.has_read(room, self.io().try_read_vectored(bufs))
    }

    #[cfg(feature = "io-util")]
    pub fn try_read_buf<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        spare::fill_mut(buf, |room| self.try_read(room), |n| *n)
    }

    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.more.known.tried(Side::Write, self.io().try_write(buf))
    }

    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.more.known.tried(Side::Write, self.io().try_write_vectored(bufs))
    }

    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.more.known.try_io(interest, f)
    }

    pub async fn async_io<R>(&self, interest: Interest, f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        Local(self.more.known.async_io(self.io(), interest, f)).await
    }

    /// Components have no call for it, so what is peeked at is read, and kept for the next read.
    ///
    /// # Errors
    /// As those of reading.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        // A handle of its own, as for `ready`.
        let mine = Local(self.io().try_clone()?);
        Local(std::future::poll_fn(|cx| self.poll_peek_on(&mine, cx, buf))).await
    }

    /// As [`peek`](Self::peek).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        spare::fill(buf, |room| self.poll_peek_on(self.io(), cx, room))
    }

    fn poll_peek_on(
        &self,
        mine: &dormouse::net::TcpStream,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut ahead = self.more.ahead.borrow_mut();
        if buf.len() > ahead.len() {
            let has = ahead.len();
            ahead.resize(buf.len(), 0);
            let read = match has {
                0 => futures_io::AsyncRead::poll_read(Pin::new(&mut &*mine), cx, &mut ahead[has..]),
                _ => Poll::Ready(mine.try_read(&mut ahead[has..])),
            };
            ahead.truncate(has + if let Poll::Ready(Ok(n)) = read { n } else { 0 });
            if has == 0 {
                ready!(self.more.known.home().polled(read))?;
            }
        }
        let n = buf.len().min(ahead.len());
        buf[..n].copy_from_slice(&ahead[..n]);
        Poll::Ready(Ok(n))
    }

    /// What `peek` has read ahead, if there is something.
    fn take_ahead(&self, buf: &mut [u8]) -> Option<usize> {
        let mut ahead = self.more.ahead.borrow_mut();
        if ahead.is_empty() {
            return None;
        }
        let n = buf.len().min(ahead.len());
        buf[..n].copy_from_slice(&ahead[..n]);
        ahead.drain(..n);
        Some(n)
    }

    /// After a read that has not filled its room nothing is known of what comes.
    fn has_read(&self, room: usize, result: io::Result<usize>) -> io::Result<usize> {
        match &result {
            Ok(n) if *n == room || *n == 0 => {}
            _ => self.more.known.clear(Side::Read),
        }
        result
    }

    /// Where the host has no such option it decides itself, and what is set is remembered.
    ///
    /// # Errors
    /// None.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.more.nodelay.set(nodelay);
        Ok(())
    }

    pub fn nodelay(&self) -> io::Result<bool> {
        self.more.place.carry(self);
        Ok(self.more.nodelay.get() || self.io.nodelay().unwrap_or(false))
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

    /// WASI closes without waiting.
    pub fn linger(&self) -> io::Result<Option<std::time::Duration>> {
        Ok(None)
    }

    /// # Errors
    /// `Unsupported`, unless it is asked for what WASI does: to close without waiting.
    pub fn set_linger(&self, linger: Option<std::time::Duration>) -> io::Result<()> {
        match linger {
            None => Ok(()),
            Some(_) => super::unsupported("lingering"),
        }
    }

    /// # Errors
    /// As [`set_linger`](Self::set_linger).
    pub fn set_zero_linger(&self) -> io::Result<()> {
        super::unsupported("lingering")
    }

    pub fn split<'a>(&'a mut self) -> (ReadHalf<'a>, WriteHalf<'a>) {
        split(self)
    }

    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split_owned(self)
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.io.shutdown(std::net::Shutdown::Write)
    }

    /// A connection that [`into_std`](Self::into_std) has handed over. On wasip1 also one that the host has opened, or that std has
    /// accepted.
    ///
    /// # Errors
    /// `Unsupported` for a connection that std has made.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stand_in::take_stream(stream)
    }

    /// A socket for std and socket2 on which options can be set, and which [`from_std`](Self::from_std) makes this connection again.
    /// It is closed if that is dropped, when a task waits for a socket next. It reads and writes nothing itself.
    ///
    /// # Errors
    /// `Unsupported` on wasip1; what the host says if it has no more sockets.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        stand_in::give_stream(self)
    }

    #[cfg(not(target_env = "p1"))]
    pub(super) fn take_place(&mut self) -> Place {
        std::mem::take(&mut self.more.place)
    }

    #[cfg(not(target_env = "p1"))]
    pub(super) fn move_here(&mut self) {
        self.more.known.move_here();
    }

    #[cfg(not(target_env = "p1"))]
    pub(super) fn remembered_nodelay(&self) -> bool {
        self.more.nodelay.get()
    }

    #[cfg(not(target_env = "p1"))]
    pub(super) fn remember_nodelay(&self, nodelay: bool) {
        self.more.nodelay.set(nodelay);
    }

    pub(super) fn poll_read_shared(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.more.ahead.borrow().is_empty() {
            let _ = spare::fill(buf, |room| Poll::Ready(Ok(self.take_ahead(room).unwrap_or(0))));
            return Poll::Ready(Ok(()));
        }
        let room = buf.remaining();
        let read = budget::poll(cx, |cx| {
            spare::fill(buf, |room| futures_io::AsyncRead::poll_read(Pin::new(&mut self.io()), cx, room))
        });
        match read {
            Poll::Ready(read) => Poll::Ready(self.has_read(room, read).map(drop)),
            Poll::Pending => {
                self.more.known.clear(Side::Read);
                stand_in::sweep();
                self.more.known.home().polled(Poll::Pending)
            }
        }
    }

    pub(super) fn poll_write_shared(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.has_written(budget::poll(cx, |cx| futures_io::AsyncWrite::poll_write(Pin::new(&mut self.io()), cx, buf)))
    }

    pub(super) fn poll_write_vectored_shared(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.has_written(budget::poll(cx, |cx| {
            futures_io::AsyncWrite::poll_write_vectored(Pin::new(&mut self.io()), cx, bufs)
        }))
    }

    fn has_written(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if polled.is_pending() {
            self.more.known.clear(Side::Write);
            stand_in::sweep();
        }
        self.more.known.home().polled(polled)
    }

    pub(super) fn poll_close_shared(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_close(Pin::new(&mut self.io()), cx)
    }
}

impl TcpStream {
    /// As tokio's, one that was accepted passes for readable until a read finds nothing.
    pub(super) fn accepted(stream: dormouse::net::TcpStream) -> TcpStream {
        let stream = TcpStream::from(stream);
        stream.more.known.assume(Side::Read);
        stream
    }
}

impl From<dormouse::net::TcpStream> for TcpStream {
    fn from(stream: dormouse::net::TcpStream) -> Self {
        stand_in::sweep();
        TcpStream { io: Local(stream), more: Local(More::default()) }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_read_shared(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_shared(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_shared(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_close_shared(cx)
    }
}

impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    /// [`from_std`](Self::from_std).
    fn try_from(stream: std::net::TcpStream) -> io::Result<Self> {
        Self::from_std(stream)
    }
}

/// The stand-in, for options. What is set on it is this connection's from the next operation on.
impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.more.place.as_fd(self)
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.io, f)
    }
}
