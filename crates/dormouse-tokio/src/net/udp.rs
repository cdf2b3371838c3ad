//! A UDP socket.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use dormouse::foreign::Side;
use upstream::io::ReadBuf;

use super::addr::resolve;
use super::ready::Readiness;
use super::stand_in::{self, Place};
use super::{ToSocketAddrs, budget, unsupported};
use crate::home::Home;
use crate::io::{Interest, Ready};
use crate::local::Local;
use crate::spare;

/// A UDP socket.
pub struct UdpSocket {
    pub(super) io: Local<dormouse::net::UdpSocket>,
    known: Local<Readiness>,
    place: Local<Place>,
}

impl UdpSocket {
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        let addrs = resolve(addr).await?;
        Home::here().check()?;
        let socket = Local(async move { dormouse::net::UdpSocket::bind(&addrs[..]).await }).await?;
        Ok(UdpSocket::from(socket))
    }

    /// A socket of std's, which is made anew on its address and with its peer; datagrams that it has not received yet are lost.
    ///
    /// # Errors
    /// What the host says.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        stand_in::take_udp(socket)
    }

    /// A socket for std and socket2 on which options can be set, and which [`from_std`](Self::from_std) makes this socket again.
    /// It sends and receives nothing itself.
    ///
    /// # Errors
    /// As those of [`TcpStream::into_std`](super::TcpStream::into_std).
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        stand_in::give_udp(self)
    }

    #[cfg(not(target_env = "p1"))]
    pub(super) fn take_place(&mut self) -> Place {
        std::mem::take(&mut self.place)
    }

    #[cfg(not(target_env = "p1"))]
    pub(super) fn move_here(&mut self) {
        self.known.move_here();
    }

    /// Ours, on which options that were set on the stand-in are set as well.
    fn io(&self) -> &dormouse::net::UdpSocket {
        self.place.carry(self);
        &self.io
    }

    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let addrs = resolve(addr).await?;
        Local(async move { self.io().connect(&addrs[..]).await }).await
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.peer_addr()
    }

    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        Local(self.known.ready(self.io(), interest)).await
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
        self.known.poll(self.io(), Side::Read, cx)
    }

    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.known.poll(self.io(), Side::Write, cx)
    }

    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        budget::run(self.known.home(), Local(self.io().send(buf))).await
    }

    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let Some(to) = resolve(target).await?.first().copied() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to"));
        };
        budget::run(self.known.home(), Local(self.io().send_to(buf, to))).await
    }

    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        budget::run(self.known.home(), Local(self.io().recv(buf))).await
    }

    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        budget::run(self.known.home(), Local(self.io().recv_from(buf))).await
    }

    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        budget::run(self.known.home(), Local(self.io().peek_from(buf))).await
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
        self.async_io(Interest::READABLE, || self.try_recv_buf_from(buf)).await
    }

    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.known.tried(Side::Write, self.io().try_send(buf))
    }

    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.known.tried(Side::Write, self.io().try_send_to(buf, target))
    }

    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_recv_from(buf)?.0)
    }

    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.known.tried(Side::Read, self.io().try_recv_from(buf))
    }

    #[cfg(feature = "io-util")]
    pub fn try_recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        Ok(self.try_recv_buf_from(buf)?.0)
    }

    #[cfg(feature = "io-util")]
    pub fn try_recv_buf_from<B: bytes::BufMut>(&self, buf: &mut B) -> io::Result<(usize, SocketAddr)> {
        spare::fill_mut(buf, |room| self.try_recv_from(room), |(n, _)| *n)
    }

    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.try_peek_from(buf)?.0)
    }

    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.known.tried(Side::Read, self.io().try_peek_from(buf))
    }

    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        Ok(self.try_peek_from(&mut [])?.1)
    }

    pub fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.known.try_io(interest, f)
    }

    pub async fn async_io<R>(&self, interest: Interest, f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        Local(self.known.async_io(self.io(), interest, f)).await
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
        self.poll_into(cx, buf, dormouse::net::UdpSocket::try_recv_from)
    }

    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_peek_from(cx, buf).map_ok(|_| ())
    }

    pub fn poll_peek_from(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll_into(cx, buf, dormouse::net::UdpSocket::try_peek_from)
    }

    fn poll_into(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, op: Receive) -> Poll<io::Result<SocketAddr>> {
        let mut sender = None;
        let received = spare::fill(buf, |room| {
            self.poll(Side::Read, cx, |socket| op(socket, room)).map_ok(|(n, from)| {
                sender = Some(from);
                n
            })
        });
        received.map(|received| received.and_then(|_| sender.ok_or_else(|| io::ErrorKind::InvalidData.into())))
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
        budget::poll(cx, |cx| match self.known.tried(side, op(self.io())) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.known.home().check()?;
                stand_in::sweep();
                self.io.park(side, cx.waker())?;
                Poll::Pending
            }
            result => Poll::Ready(result),
        })
    }

    pub fn ttl(&self) -> io::Result<u32> {
        self.io().ttl()
    }

    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io().set_ttl(ttl)
    }

    pub fn broadcast(&self) -> io::Result<bool> {
        Ok(false)
    }

    /// # Errors
    /// `Unsupported`: WASI has no such option.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        match on {
            false => Ok(()),
            true => unsupported("broadcast"),
        }
    }

    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

/// Receiving, or peeking.
type Receive = fn(&dormouse::net::UdpSocket, &mut [u8]) -> io::Result<(usize, SocketAddr)>;

/// WASI has no multicast.
macro_rules! multicast {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        impl UdpSocket {$(
            /// # Errors
            /// `Unsupported`: WASI has no multicast.
            pub fn $name(&self, $($arg: $type),*) -> io::Result<$result> {
                $(let _ = $arg;)*
                unsupported(stringify!($name))
            }
        )*}
    };
}

multicast! {
    multicast_loop_v4() -> bool;
    set_multicast_loop_v4(on: bool) -> ();
    multicast_ttl_v4() -> u32;
    set_multicast_ttl_v4(ttl: u32) -> ();
    multicast_loop_v6() -> bool;
    set_multicast_loop_v6(on: bool) -> ();
    join_multicast_v4(multiaddr: Ipv4Addr, interface: Ipv4Addr) -> ();
    join_multicast_v6(multiaddr: &Ipv6Addr, interface: u32) -> ();
    leave_multicast_v4(multiaddr: Ipv4Addr, interface: Ipv4Addr) -> ();
    leave_multicast_v6(multiaddr: &Ipv6Addr, interface: u32) -> ();
}

impl From<dormouse::net::UdpSocket> for UdpSocket {
    fn from(socket: dormouse::net::UdpSocket) -> Self {
        stand_in::sweep();
        UdpSocket { io: Local(socket), known: Local(Readiness::default()), place: Local(Place::default()) }
    }
}

impl TryFrom<std::net::UdpSocket> for UdpSocket {
    type Error = io::Error;

    /// [`from_std`](Self::from_std).
    fn try_from(socket: std::net::UdpSocket) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

/// The stand-in, for options. What is set on it is this socket's from the next operation on.
impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.place.as_fd(self)
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.io(), f)
    }
}

super::no_type_of_service!(UdpSocket);
