//! A UDP socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::addr::{none, reachable};
use super::{ToSocketAddrs, context};
use crate::reactor::{Handle, Share};
use crate::sys::{Side, Source};
use crate::time::Instant;

/// A UDP socket: sends and receives datagrams, each whole or not at all.
///
/// As with [`TcpStream`](super::TcpStream), everything takes `&self`, and any number of tasks may use it at once.
///
/// ```
/// use dormouse::net::UdpSocket;
/// # dormouse::block_on(async {
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let addr = server.local_addr()?;
/// dormouse::spawn(async move {
///     let mut buf = [0; 1500];
///     let (n, from) = server.recv_from(&mut buf).await?;
///     server.send_to(&buf[..n], from).await // an echo server for one
/// });
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
/// client.connect(addr).await?;
/// client.send(b"hello").await?;
/// let mut echo = [0; 1500];
/// assert_eq!(client.recv(&mut echo).await?, 5);
/// assert_eq!(&echo[..5], b"hello");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct UdpSocket {
    pub(super) handle: Share,
}

/// A datagram with the address it came from, or is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// What is in it.
    pub data: Vec<u8>,
    /// Where it came from; of one to be sent, where it goes: `None` to the peer that the socket is connected to.
    pub addr: Option<SocketAddr>,
}

impl UdpSocket {
    /// A socket with this address of its own; port 0 lets the host choose one, which [`local_addr`](Self::local_addr) tells.
    /// Of several addresses the first that can be bound is taken. `[::]` is IPv6 alone on WASI; natively the system decides
    /// whether it is IPv4 as well.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `PermissionDenied` if the host's policy refuses the address, `InvalidInput` for
    /// what is no address, those of [`lookup_host`](super::lookup_host) for a name; `Unsupported` on wasip1, which has no UDP.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        let mut failed = None;
        for addr in addr.resolve().await? {
            match Self::bind_one(addr).await {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = Some(context(error, "bind", addr)),
            }
        }
        Err(failed.unwrap_or_else(none))
    }

    async fn bind_one(addr: SocketAddr) -> io::Result<UdpSocket> {
        let mut handle = Handle::new(Source::udp(addr.is_ipv6())?)?;
        handle.with(|socket| socket.start_bind_udp(addr))?;
        handle.retry(Side::Write, Source::try_finish_bind_udp).await?;
        handle.change(Source::into_udp);
        handle.replace(|socket| socket.connect_udp(None))?;
        Ok(UdpSocket { handle: Share::new(handle) })
    }

    /// Names the one peer: [`send`](Self::send) sends to it, and only what comes from it is received. Another call names
    /// another peer. Of several addresses the first that works is taken. `0.0.0.0` and `[::]` are this machine, as on Linux.
    ///
    /// What has come before from the peer stays and is received; what has come from others is passed over, whether it is in a
    /// queue of the host or in one of Dormouse. A receive that is parked stays so, and hears the new peer. An error that an
    /// earlier datagram has caused is still that of the next call.
    ///
    /// On wasip2 a socket on which a receive has been parked is replaced by a new one with the same address, because the host
    /// refuses to change the old one (wasmtime traps). What arrives in that moment, in which no socket has the address, is
    /// lost, and on a host with several threads, as the stock command is, also what has come so shortly before that the host
    /// has not noticed it. The call then waits for the host, with the whole program: less than a millisecond as a rule.
    ///
    /// # Errors
    /// If it fails the socket has the peer that it had before. `PermissionDenied`, `InvalidInput` for what is no address, for port
    /// 0, an address of the other family (on WASI also IPv4 within IPv6, `[::ffff:127.0.0.1]`) and one that cannot be reached from
    /// the socket's own; those of [`lookup_host`](super::lookup_host) for a name; `AddrInUse` on wasip2 if another program has
    /// taken the address meanwhile, and then the socket is of no use any more; and what else the host says.
    pub async fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        let mut failed = None;
        for addr in addr.resolve().await? {
            match self.handle.replace(|socket| socket.connect_udp(Some(reachable(addr)))) {
                Ok(()) => return Ok(()),
                Err(error) => failed = Some(context(error, "connect", addr)),
            }
        }
        Err(failed.unwrap_or_else(none))
    }

    /// Sends a datagram to the peer that the socket is connected to, and tells its length. Safe to cancel.
    ///
    /// # Errors
    /// One without a kind if it is too large (`EMSGSIZE`), `ConnectionRefused` if an earlier one was refused,
    /// `NotConnected` if no peer has been named, `TimedOut` after the write deadline, and one that
    /// [`is_closed`](super::is_closed) recognises after [`close`](Self::close).
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.handle.retry(Side::Write, |socket| socket.try_send(buf, None)).await
    }

    /// Sends a datagram to this address, and tells its length. `0.0.0.0` and `[::]` are this machine. Safe to cancel.
    ///
    /// # Errors
    /// As [`send`](Self::send); `PermissionDenied` if the host's policy refuses the address; `InvalidInput` for port 0, for an
    /// address of the other family, and on WASI for another one than the peer's if the socket is connected: natively Linux
    /// sends to it.
    pub async fn send_to(&self, buf: &[u8], to: impl ToSocketAddrs) -> io::Result<usize> {
        let to = to.resolve().await?.first().copied().map(reachable);
        self.handle.retry(Side::Write, |socket| socket.try_send(buf, to)).await
    }

    /// Receives a datagram, and tells its length. What there is no room for in `buf` is lost. Safe to cancel: a datagram is
    /// not.
    ///
    /// # Errors
    /// `ConnectionRefused` if what was sent was refused, `TimedOut` after the read deadline, and one that
    /// [`is_closed`](super::is_closed) recognises after [`close`](Self::close).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buf).await?.0)
    }

    /// [`recv`](Self::recv) that tells where it came from. Safe to cancel.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.handle.retry(Side::Read, |socket| socket.try_receive(buf, false)).await
    }

    /// [`recv_from`](Self::recv_from) that leaves the datagram to be received again. Safe to cancel.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.handle.retry(Side::Read, |socket| socket.try_receive(buf, true)).await
    }

    /// Receives datagrams that have come, `limit` at the most, waiting for at least one; adds them to `into` and tells how
    /// many they are. On wasip2 one host call brings up to 16. Safe to cancel.
    ///
    /// # Errors
    /// As [`recv`](Self::recv). An error that comes after some have been received is returned by the next call.
    pub async fn recv_many(&self, into: &mut Vec<Datagram>, limit: usize) -> io::Result<usize> {
        if limit == 0 {
            return Ok(0);
        }
        let received = self.handle.retry(Side::Read, |socket| {
            socket.try_receive_many(limit, |data, from| into.push(Datagram { data, addr: Some(from) }))
        });
        let count = received.await?;
        self.handle.spend(moved(&into[into.len() - count..]));
        Ok(count)
    }

    /// Sends some of the datagrams, in order, waiting for room for at least one, and tells how many. On wasip2 one host call
    /// takes up to 16, of a socket without a peer. Safe to cancel.
    ///
    /// # Errors
    /// As [`send`](Self::send), of the first one. The error of a later one is returned by the next call that sends it. An error of an
    /// earlier datagram, such as `ConnectionRefused`, is returned by the next call of any kind.
    pub async fn send_many(&self, datagrams: &[Datagram]) -> io::Result<usize> {
        if datagrams.is_empty() {
            return Ok(0);
        }
        let batch = || datagrams.iter().map(|datagram| (&datagram.data[..], datagram.addr.map(reachable)));
        let count = self.handle.retry(Side::Write, |socket| socket.try_send_many(batch())).await?;
        self.handle.spend(moved(&datagrams[..count]));
        Ok(count)
    }

    /// Sets both deadlines: as [`TcpStream::set_deadline`](super::TcpStream::set_deadline).
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn set_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.handle.set_deadline(&[Side::Read, Side::Write], deadline)
    }

    /// Sets the deadline of receiving.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn set_read_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.handle.set_deadline(&[Side::Read], deadline)
    }

    /// Sets the deadline of sending.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn set_write_deadline(&self, deadline: Option<Instant>) -> io::Result<()> {
        self.handle.set_deadline(&[Side::Write], deadline)
    }

    /// Makes another handle to the same socket.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn try_clone(&self) -> io::Result<UdpSocket> {
        Ok(UdpSocket { handle: self.handle.try_clone()? })
    }

    /// Closes the socket, at once, for all clones: every operation in progress fails with an error that
    /// [`is_closed`](super::is_closed) recognises, and so does all that is called later.
    ///
    /// # Errors
    /// The same, if it is closed already.
    pub fn close(&self) -> io::Result<()> {
        self.handle.close()
    }

    /// This end's address.
    ///
    /// # Errors
    /// What the host says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.handle.with(|socket| socket.udp_local_addr())
    }

    /// The address of the peer that the socket is connected to.
    ///
    /// # Errors
    /// `NotConnected` if no peer has been named.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.handle.with(|socket| socket.udp_peer_addr())
    }
}

/// How much work these were: each is an operation of the host's.
fn moved(datagrams: &[Datagram]) -> usize {
    datagrams.iter().map(|datagram| datagram.data.len().max(crate::reactor::BYTES_PER_UNIT)).sum()
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").field("local_addr", &self.local_addr().ok()).finish()
    }
}
