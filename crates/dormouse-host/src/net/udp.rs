//! UDP. What is done with a UDP socket, whichever WASI asks for it: nothing here blocks, and each error is the system's.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SocketType};

use super::socket::{Side, Socket};
use super::tcp::{self, Family, NO_SIGNAL};

/// The longest datagram, in bytes: what its length field can say.
pub(crate) const LONGEST: usize = u16::MAX as usize;

/// A socket that is not bound and does not block. One of IPv6 is of IPv6 alone.
pub(crate) fn create(family: Family) -> io::Result<OwnedFd> {
    tcp::open(family, SocketType::DGRAM)
}

/// Binds a socket, and gives the address that it is bound to.
pub(super) fn bind(socket: &Socket, addr: SocketAddr) -> io::Result<SocketAddr> {
    net::bind(socket, &addr)?;
    tcp::local_addr(socket)
}

/// Makes `addr` the peer: what is sent goes there, and what comes from elsewhere is not received. `bound` is what [`bind`] gave. If it fails
/// there is no peer.
pub(crate) fn connect(socket: &Socket, addr: SocketAddr, bound: SocketAddr) -> io::Result<()> {
    let connected = match net::connect(socket, &addr) {
        // Linux keeps the interface that led to the peer before (wasmtime-wasi 48.0.8, sockets/udp.rs, `connect`).
        Err(Errno::INVAL) => {
            disconnect(socket, bound)?;
            net::connect(socket, &addr)
        }
        connected => connected,
    };
    if connected.is_err() {
        // Linux has written the address into the socket by then, and some of what is sent later would go there (6.18,
        // net/ipv4/datagram.c).
        disconnect(socket, bound)?;
    }
    Ok(connected?)
}

/// Has no peer from now on. `bound` is what [`bind`] gave.
pub(crate) fn disconnect(socket: &Socket, bound: SocketAddr) -> io::Result<()> {
    match net::connect_unspec(socket) {
        // BSD says so of what it has done (connect(2) of macOS).
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Err(Errno::INVAL | Errno::AFNOSUPPORT) => {}
        result => result?,
    }
    // Linux also takes back a port that it has chosen itself (net/ipv4/udp.c, `__udp_disconnect`).
    if tcp::local_addr(socket)?.port() == 0 {
        net::bind(socket, &bound)?;
    }
    Ok(())
}

/// Whether a datagram from `from` may be received beside this peer: Linux filters what arrives after the connect, and not what has
/// arrived.
pub(crate) fn hears(peer: Option<SocketAddr>, from: SocketAddr) -> bool {
    let Some(peer) = peer else { return true };
    let scope = |addr| if let SocketAddr::V6(addr) = addr { addr.scope_id() } else { 0 };
    (from.ip(), from.port(), scope(from)) == (peer.ip(), peer.port(), scope(peer))
}

/// Sends a datagram, to the socket's peer or to an address.
pub(crate) fn send(socket: &Socket, bytes: &[u8], to: Option<SocketAddr>) -> io::Result<()> {
    if bytes.len() > LONGEST {
        return Err(Errno::MSGSIZE.into());
    }
    let send = |fd: BorrowedFd<'_>| match to {
        Some(to) => net::sendto(fd, bytes, NO_SIGNAL, &to),
        None => net::send(fd, bytes, NO_SIGNAL),
    };
    let sent = socket.on(Side::Write, |fd| Ok(send(fd)?), |_| false)?;
    socket.meter().sent(sent);
    Ok(())
}

/// Receives a datagram into `room`, and says from where. Of one that is longer than `room` the rest is lost.
pub(crate) fn receive(socket: &Socket, room: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    let receive = |fd: BorrowedFd<'_>| {
        let (n, _, from) = net::recvfrom(fd, room, RecvFlags::empty())?;
        let from = from.ok_or(Errno::NOTCONN)?;
        Ok((n, SocketAddr::try_from(from)?))
    };
    let (n, from) = socket.on(Side::Read, receive, |_| false)?;
    socket.meter().received(n);
    Ok((n, from))
}
