//! A UDP socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use dormouse::foreign::Side;
use upstream::io::ReadBuf;

use super::addr::resolve;
use super::ready::Readiness;
use super::{ToSocketAddrs, budget};
use crate::io::{Interest, Ready};
use crate::local::Local;

/// A UDP socket.
pub struct UdpSocket {
    io: Local<dormouse::net::UdpSocket>,
    known: Local<Readiness>,
}

impl UdpSocket {
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let addrs = resolve(addr).await?;
        let socket = Local(async move { dormouse::net::UdpSocket::bind(&addrs[..]).await }).await?;
        Ok(UdpSocket { io: Local(socket), known: Local(Readiness::default()) })
    }

    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let addrs = resolve(addr).await?;
        Local(async move { self.io.connect(&addrs[..]).await }).await
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.peer_addr()
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

    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.known.poll(&*self.io, Side::Read, cx)
    }

    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.known.poll(&*self.io, Side::Write, cx)
    }

    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        budget::run(Local(self.io.send(buf))).await
    }

    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let Some(to) = resolve(target).await?.first().copied() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to"));
        };
        budget::run(Local(self.io.send_to(buf, to))).await
    }

    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        budget::run(Local(self.io.recv(buf))).await
    }

    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        budget::run(Local(self.io.recv_from(buf))).await
    }

    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        budget::run(Local(self.io.peek_from(buf))).await
    }

    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.peek_from(buf).await?.0)
    }

    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.peek_from(&mut []).await?.1)
    }

    #[cfg(feature = "io-util")]
    pub async fn recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.recv_buf_from(buf).await?.0)
    }

    #[cfg(feature = "io-util")]
    pub async fn recv_buf_from<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        let mut datagram = vec![0; buf.remaining_mut().min(LARGEST)];
        let (n, from) = self.recv_from(&mut datagram).await?;
        buf.put_slice(&datagram[..n]);
        Ok((n, from))
    }

    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.known.tried(Side::Write, self.io.try_send(buf))
    }

    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.known.tried(Side::Write, self.io.try_send_to(buf, target))
    }

    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_recv_from(buf)?.0)
    }

    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.known.tried(Side::Read, self.io.try_recv_from(buf))
    }

    #[cfg(feature = "io-util")]
    pub fn try_recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.try_recv_buf_from(buf)?.0)
    }

    #[cfg(feature = "io-util")]
    pub fn try_recv_buf_from<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        let mut datagram = vec![0; buf.remaining_mut().min(LARGEST)];
        let (n, from) = self.try_recv_from(&mut datagram)?;
        buf.put_slice(&datagram[..n]);
        Ok((n, from))
    }

    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_peek_from(buf)?.0)
    }

    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.known.tried(Side::Read, self.io.try_peek_from(buf))
    }

    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.try_peek_from(&mut [])?.1)
    }

    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.known.try_io(interest, f)
    }

    pub async fn async_io<R>(&self, interest: Interest, f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        Local(self.known.async_io(&*self.io, interest, f)).await
    }

    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(Side::Write, cx, |socket| socket.try_send(buf))
    }

    pub fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        self.poll(Side::Write, cx, |socket| socket.try_send_to(buf, target))
    }

    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_recv_from(cx, buf).map_ok(|_| ())
    }

    pub fn poll_recv_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll(Side::Read, cx, |socket| {
            let (n, from) = socket.try_recv_from(buf.initialize_unfilled())?;
            buf.advance(n);
            Ok(from)
        })
    }

    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.poll_peek_from(cx, buf).map_ok(|_| buf.filled().len())
    }

    pub fn poll_peek_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll(Side::Read, cx, |socket| {
            let (n, from) = socket.try_peek_from(buf.initialize_unfilled())?;
            buf.advance(n);
            Ok(from)
        })
    }

    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll(Side::Read, cx, |socket| Ok(socket.try_peek_from(&mut [])?.1))
    }

    fn poll<T>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        op: impl FnOnce(&dormouse::net::UdpSocket) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        budget::poll(cx, |cx| match self.known.tried(side, op(&self.io)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.io.park(side, cx.waker())?;
                Poll::Pending
            }
            result => Poll::Ready(result),
        })
    }

    pub fn ttl(&self) -> io::Result<u32> {
        self.io.ttl()
    }

    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.set_ttl(ttl)
    }

    pub fn broadcast(&self) -> io::Result<bool> {
        Ok(false)
    }

    /// # Errors
    /// `Unsupported`: WASI has no such option.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        match on {
            false => Ok(()),
            true => super::unsupported("broadcast"),
        }
    }

    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

/// No datagram is larger.
const LARGEST: usize = 64 * 1024;

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.io, f)
    }
}
