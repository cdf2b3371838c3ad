//! A TCP socket before it is a listener or a stream, for what has to be said in between.

use std::io;
use std::net::SocketAddr;

use super::{TcpListener, TcpStream, context};
use crate::reactor::Handle;
use crate::sys::{self, Side};

/// A TCP socket that neither listens nor is connected.
///
/// ```
/// use dormouse::net::TcpSocket;
/// # dormouse::block_on(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.bind("127.0.0.1:0".parse().unwrap()).await?;
/// let listener = socket.listen(16).await?;
/// assert_ne!(listener.local_addr()?.port(), 0);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct TcpSocket {
    handle: Handle<sys::net::TcpSocket>,
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    /// `PermissionDenied` if the host allows no TCP; what the host says when it has no more sockets.
    pub fn new_v4() -> io::Result<TcpSocket> {
        Self::new(SocketAddr::from(([0; 4], 0)))
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    /// As [`new_v4`](TcpSocket::new_v4).
    pub fn new_v6() -> io::Result<TcpSocket> {
        Self::new(SocketAddr::from(([0; 16], 0)))
    }

    /// A socket for the family of `addr`.
    pub(super) fn new(addr: SocketAddr) -> io::Result<TcpSocket> {
        let socket = sys::net::TcpSocket::new(addr.is_ipv6());
        Ok(TcpSocket { handle: Handle::new(socket.map_err(|error| context(error, "create a TCP socket for", addr))?)? })
    }

    /// Gives the socket its local address; port 0 lets the host choose one. An address in `TIME_WAIT` can be used
    /// again, as with std.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied`.
    pub async fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        let bound = self.finish(self.handle.get().start_bind(addr), sys::net::TcpSocket::try_finish_bind).await;
        bound.map_err(|error| context(error, "bind", addr))
    }

    /// The local address, once it is bound.
    ///
    /// # Errors
    /// On wasip2 if the socket is not bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.get().local_addr()
    }

    /// Makes it a listener for which the host keeps about `backlog` connections that are not accepted yet; the host may
    /// keep fewer, and 0 means its least.
    ///
    /// # Errors
    /// What the host says; on wasip2 the socket must be bound.
    pub async fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.finish(self.handle.get().start_listen(backlog), sys::net::TcpSocket::try_finish_listen).await?;
        Ok(TcpListener::on(self.handle.map(sys::net::TcpSocket::into_listener)))
    }

    /// Connects it. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `PermissionDenied` and what else the host says.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        let connected =
            self.finish(self.handle.get().start_connect(addr), sys::net::TcpSocket::try_finish_connect).await;
        connected.map_err(|error| context(error, "connect", addr))?;
        Ok(TcpStream::on(self.handle.map(sys::net::TcpSocket::into_stream)))
    }

    /// Waits for what has been started; one future for all that a socket can start.
    async fn finish(
        &self,
        started: io::Result<()>,
        try_finish: fn(&sys::net::TcpSocket) -> io::Result<()>,
    ) -> io::Result<()> {
        started?;
        self.handle.retry(Side::Write, try_finish).await
    }
}

impl std::fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TcpSocket")
    }
}
