//! A TCP socket before it is a listener or a stream, for what has to be said in between.

use std::io;
use std::net::SocketAddr;

use super::addr::{none, reachable};
use super::{TcpListener, TcpStream, context};
use crate::reactor::Handle;
use crate::sys::{Side, Source};

/// Connections that the host keeps until they are accepted, unless [`TcpSocket::listen`] says otherwise; what tokio
/// asks for too.
const BACKLOG: u32 = 1024;

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
    pub(super) handle: Handle,
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
    fn new(addr: SocketAddr) -> io::Result<TcpSocket> {
        match Source::tcp(addr.is_ipv6()) {
            Ok(socket) => Ok(TcpSocket { handle: Handle::new(socket)? }),
            Err(error) => Err(context(error, "create a socket for", addr)),
        }
    }

    /// Gives the socket its local address; port 0 lets the host choose one. An address in `TIME_WAIT` can be used
    /// again, as with std. If the future is dropped the address may be bound or not.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied`.
    pub async fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.take(&[BIND], addr, 0).await
    }

    /// The local address, once it is bound.
    ///
    /// # Errors
    /// On wasip2 if the socket is not bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.with(|socket| socket.local_addr())
    }

    /// Makes it a listener for which the host keeps about `backlog` connections that are not accepted yet; the host may
    /// keep fewer, and 0 means its least.
    ///
    /// # Errors
    /// What the host says; on wasip2 the socket must be bound.
    pub async fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.take(&[LISTEN], self.local_addr()?, backlog).await?;
        Ok(self.into_listener())
    }

    /// Connects it. Dropping the future gives the attempt up, so [`timeout`](crate::time::timeout) around it bounds it.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `PermissionDenied` and what else the host says.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        self.take(&[CONNECT], addr, 0).await?;
        Ok(self.into_stream())
    }

    /// Takes a socket these steps, on the first of the addresses with which that works.
    pub(super) async fn open(addrs: Vec<SocketAddr>, steps: &[Step]) -> io::Result<TcpSocket> {
        let mut failed = None;
        for addr in addrs {
            let opened = match TcpSocket::new(addr) {
                Ok(socket) => socket.take(steps, addr, BACKLOG).await.map(|()| socket),
                Err(error) => Err(error),
            };
            match opened {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(none))
    }

    async fn take(&self, steps: &[Step], addr: SocketAddr, backlog: u32) -> io::Result<()> {
        for step in steps {
            let mut taken = self.handle.with(|socket| (step.start)(socket, addr, backlog));
            if taken.is_ok() {
                taken = self.handle.retry(Side::Write, step.try_finish).await;
            }
            if let Err(error) = taken {
                return Err(context(error, step.what, addr));
            }
        }
        Ok(())
    }

    pub(super) fn into_listener(mut self) -> TcpListener {
        self.handle.change(Source::into_listener);
        TcpListener::on(self.handle)
    }

    pub(super) fn into_stream(mut self) -> TcpStream {
        self.handle.change(Source::into_stream);
        TcpStream::on(self.handle)
    }
}

/// A step of opening a socket. A host may say of each that it has to be waited for. Steps are data, so that one future serves all.
pub(super) struct Step {
    what: &'static str,
    start: fn(&Source, SocketAddr, u32) -> io::Result<()>,
    try_finish: fn(&Source) -> io::Result<()>,
}

pub(super) const BIND: Step =
    Step { what: "bind", start: |socket, addr, _| socket.start_bind(addr), try_finish: Source::try_finish_bind };

pub(super) const LISTEN: Step = Step {
    what: "listen on",
    start: |socket, _, backlog| socket.start_listen(backlog),
    try_finish: Source::try_finish_listen,
};

pub(super) const CONNECT: Step = Step {
    what: "connect",
    start: |socket, addr, _| socket.start_connect(reachable(addr)),
    try_finish: Source::try_finish_connect,
};

impl std::fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TcpSocket")
    }
}
