//! A connection.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dormouse::foreign::Side;
use upstream::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::addr::resolve;
use super::ready::Readiness;
use super::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf, split, split_owned};
use super::{ToSocketAddrs, budget};
use crate::io::{Interest, Ready};
use crate::local::Local;

/// A TCP connection.
pub struct TcpStream {
    io: Local<dormouse::net::TcpStream>,
    known: Local<Readiness>,
}

impl TcpStream {
    /// Connects to an address; of those of a name, to the one that answers first.
    ///
    /// # Errors
    /// What the host says; `Unsupported` on wasip1.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        let addrs = resolve(addr).await?;
        let stream = Local(async move { dormouse::net::TcpStream::connect(&addrs[..]).await }).await?;
        Ok(TcpStream::from(stream))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.peer_addr()
    }

    /// What has been asked for and not been got; hosts of WASI tell none by itself.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        Local(self.known.ready(&*self.io, interest)).await
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
        self.known.poll(&*self.io, Side::Read, cx)
    }

    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.known.poll(&*self.io, Side::Write, cx)
    }

    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.known.tried(Side::Read, self.io.try_read(buf))
    }

    /// Into the first of the buffers that has room.
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match bufs.iter_mut().find(|buf| !buf.is_empty()) {
            Some(buf) => self.try_read(buf),
            None => Ok(0),
        }
    }

    #[cfg(feature = "io-util")]
    pub fn try_read_buf<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let mut chunk = vec![0; buf.remaining_mut().min(16 * 1024)];
        let n = self.try_read(&mut chunk)?;
        buf.put_slice(&chunk[..n]);
        Ok(n)
    }

    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.known.tried(Side::Write, self.io.try_write(buf))
    }

    /// From the first of the buffers that is not empty.
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(buf) => self.try_write(buf),
            None => Ok(0),
        }
    }

    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.known.try_io(interest, f)
    }

    pub async fn async_io<R>(&self, interest: Interest, f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        Local(self.known.async_io(&*self.io, interest, f)).await
    }

    /// # Errors
    /// `Unsupported` on components, which have no such call.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Local(self.io.peek(buf)).await
    }

    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        match self.known.tried(Side::Read, self.io.try_peek(buf.initialize_unfilled())) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.io.park(Side::Read, cx.waker())?;
                Poll::Pending
            }
            peeked => {
                let n = peeked?;
                buf.advance(n);
                Poll::Ready(Ok(n))
            }
        }
    }

    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.set_nodelay(nodelay)
    }

    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.nodelay()
    }

    /// # Errors
    /// `Unsupported` on wasip1.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.ttl()
    }

    /// # Errors
    /// As [`ttl`](Self::ttl).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.set_ttl(ttl)
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

    pub(super) fn poll_read_shared(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = budget::poll(cx, |cx| {
            futures_io::AsyncRead::poll_read(Pin::new(&mut &*self.io), cx, buf.initialize_unfilled())
        });
        let n = ready!(read)?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write_shared(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        budget::poll(cx, |cx| futures_io::AsyncWrite::poll_write(Pin::new(&mut &*self.io), cx, buf))
    }

    pub(super) fn poll_write_vectored_shared(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        budget::poll(cx, |cx| futures_io::AsyncWrite::poll_write_vectored(Pin::new(&mut &*self.io), cx, bufs))
    }

    pub(super) fn poll_close_shared(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_close(Pin::new(&mut &*self.io), cx)
    }
}

impl From<dormouse::net::TcpStream> for TcpStream {
    fn from(stream: dormouse::net::TcpStream) -> Self {
        TcpStream { io: Local(stream), known: Local(Readiness::default()) }
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

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.io, f)
    }
}
