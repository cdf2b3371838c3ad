//! UDP. One socket of a program, and its two streams.
//!
//! ```text
//!             start-bind         finish-bind              stream, again and again:
//!   unbound ─────────────▶ binding ────────▶ bound ◀───▶ with a peer, or another, or none
//! ```
//!
//! A stream is no state of its own: it is what the program has between a call of `stream` and its drop.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use rustix::io::Errno;
use tokio::time::Sleep;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::sockets::SocketAddrUse;

use super::flush::errno;
use super::table::Part;
use super::tcp::is_compatible;
use crate::net::Net;
use crate::net::limits::Counted;
use crate::net::socket::{Hub, Side, Socket};
use crate::net::tcp::{self, Family};
use crate::net::udp;

/// How many datagrams a call moves at the most, and after how many bytes a receive is over, as in wasmtime.
const MOST: usize = 16;
const MOST_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unbound,
    /// Between start and finish; the system has bound it.
    Binding(SocketAddr),
    Bound(SocketAddr),
}

/// [`Socket::error`], of a socket with a peer that has been waited for.
type Erring = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

pub(super) struct Udp {
    socket: Arc<Socket>,
    family: Family,
    state: State,
    /// By the system's word: that has the scope of an address which has none.
    peer: Option<SocketAddr>,
    /// How many datagrams the next send may have: what the last `check-send` said.
    permit: usize,
    /// An error that the system tells once, after a call had moved something: for the next call. By side.
    failed: [Option<ErrorCode>; 2],
    erring: Mutex<Option<Erring>>,
    /// Of [`Socket::has_room`].
    again: Mutex<Option<Pin<Box<Sleep>>>>,
    /// Dropped last: the socket is closed by then.
    _counted: Counted,
}

impl Udp {
    /// A new one; `counted` is given back when it is closed, or at once if there is none.
    pub(super) fn create(family: Family, counted: Counted, hub: &Arc<Hub>, net: &Net) -> io::Result<Udp> {
        let socket = Arc::new(Socket::new(udp::create(family)?, hub, &net.meter));
        let (state, erring, again) = (State::Unbound, Mutex::default(), Mutex::default());
        Ok(Udp { socket, family, state, peer: None, permit: 0, failed: [None; 2], erring, again, _counted: counted })
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// The socket, for what can be asked of it in every state.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    // ---- states ----

    pub(super) fn start_bind(&mut self, addr: SocketAddr, net: &Net) -> Result<(), ErrorCode> {
        match self.state {
            State::Unbound => {}
            State::Binding(_) => return Err(ErrorCode::ConcurrencyConflict),
            State::Bound(_) => return Err(ErrorCode::InvalidState),
        }
        self.check_family(addr)?;
        if !net.check(addr, SocketAddrUse::UdpBind) {
            return Err(ErrorCode::AccessDenied);
        }
        let bound = net.bind_udp(&self.socket, addr).map_err(|error| match errno(&error) {
            Errno::AFNOSUPPORT => ErrorCode::InvalidArgument,
            errno => ErrorCode::from(errno),
        })?;
        self.state = State::Binding(bound);
        Ok(())
    }

    pub(super) fn finish_bind(&mut self) -> Result<(), ErrorCode> {
        let State::Binding(bound) = self.state else { return Err(ErrorCode::NotInProgress) };
        self.state = State::Bound(bound);
        Ok(())
    }

    /// The streams that the program gets next talk to this peer alone, or to all.
    pub(super) fn set_peer(&mut self, peer: Option<SocketAddr>, net: &Net) -> Result<(), ErrorCode> {
        let (State::Binding(bound) | State::Bound(bound)) = self.state else { return Err(ErrorCode::InvalidState) };
        if let Some(peer) = peer {
            self.check_remote(peer)?;
            if !net.check(peer, SocketAddrUse::UdpSend) || !net.check(peer, SocketAddrUse::UdpReceive) {
                return Err(ErrorCode::AccessDenied);
            }
        }
        // What was sent to the peer before is of no interest to the next streams.
        (self.permit, self.failed) = (0, [None; 2]);
        let had = self.peer.take();
        match peer {
            Some(peer) => {
                udp::connect(&self.socket, peer, bound).map_err(|error| match errno(&error) {
                    Errno::AFNOSUPPORT => ErrorCode::InvalidArgument,
                    errno => ErrorCode::from(errno),
                })?;
                self.peer = Some(tcp::peer_addr(&self.socket)?);
            }
            None if had.is_some() => udp::disconnect(&self.socket, bound)?,
            None => {}
        }
        Ok(())
    }

    pub(super) fn local_addr(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Unbound => Err(ErrorCode::InvalidState),
            // With a peer it may be another than the one it is bound to.
            _ => Ok(tcp::local_addr(&self.socket)?),
        }
    }

    pub(super) fn peer_addr(&self) -> Result<SocketAddr, ErrorCode> {
        self.peer.ok_or(ErrorCode::InvalidState)
    }

    /// One of IPv4 in IPv6's clothes is of no family here, nor is the older form of that.
    fn check_family(&self, addr: SocketAddr) -> Result<(), ErrorCode> {
        let fits = match (self.family, addr.ip()) {
            (Family::V4, IpAddr::V4(_)) => true,
            (Family::V6, IpAddr::V6(ip)) => ip.to_ipv4_mapped().is_none() && !is_compatible(ip),
            _ => false,
        };
        if fits { Ok(()) } else { Err(ErrorCode::InvalidArgument) }
    }

    /// Whether it is an address that something can be sent to.
    fn check_remote(&self, addr: SocketAddr) -> Result<(), ErrorCode> {
        if addr.ip().is_unspecified() || addr.port() == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        self.check_family(addr)
    }

    // ---- streams ----

    /// The same as [`is_ready`](Self::is_ready), of a poll that has this part in its list.
    pub(super) fn poll(&self, part: Part) -> bool {
        let side = if part == Part::Output { Side::Write } else { Side::Read };
        // Only what it is given can fail.
        self.socket.poll(side, || Ok(self.is_ready(part))).unwrap_or(true)
    }

    /// Whether a wait for this part is over: a hint, as readiness is. If not, a mark will wake the hub.
    pub(super) fn is_ready(&self, part: Part) -> bool {
        // A call tells what is wrong with a socket whose readiness cannot be known.
        match part {
            Part::Socket => true,
            Part::Input => {
                self.failed[Side::Read as usize].is_some()
                    || self.socket.is_ready(Side::Read).unwrap_or(true)
                    || (self.peer.is_some() && self.errs())
            }
            Part::Output => self.failed[Side::Write as usize].is_some() || self.has_room(),
        }
    }

    fn has_room(&self) -> bool {
        let mut again = self.again.lock().unwrap_or_else(PoisonError::into_inner);
        self.socket.has_room(&mut again).unwrap_or(true)
    }

    /// Whether the network has sent an error back. It does that to a socket with a peer.
    fn errs(&self) -> bool {
        let mut erring = self.erring.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = erring.get_or_insert_with(|| Box::pin(Arc::clone(&self.socket).error()));
        let errs = waiting.as_mut().poll(&mut Context::from_waker(self.socket.waker(Side::Read))).is_ready();
        if errs {
            *erring = None;
            self.socket.set_ready(Side::Read);
        }
        errs
    }

    /// Receives up to `most` datagrams, and none if there are none now. `room` has place for the longest.
    pub(super) fn receive(
        &mut self,
        most: u64,
        room: &mut [u8],
        net: &Net,
        mut take: impl FnMut(&[u8], SocketAddr),
    ) -> Result<(), ErrorCode> {
        let most = usize::try_from(most).unwrap_or(MOST).min(MOST);
        if most == 0 {
            return Ok(());
        }
        if let Some(failed) = self.failed[Side::Read as usize].take() {
            return Err(failed);
        }
        let (mut received, mut bytes) = (0, 0);
        while received < most && bytes < MOST_BYTES {
            match udp::receive(&self.socket, room) {
                Ok((n, from)) if self.hears(from) && net.check(from, SocketAddrUse::UdpReceive) => {
                    take(&room[..n], from);
                    received += 1;
                    bytes += 1 + n;
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if received == 0 => return Err(error.into()),
                Err(error) => {
                    self.failed[Side::Read as usize] = Some(error.into());
                    self.socket.ring(Side::Read);
                    break;
                }
            }
        }
        Ok(())
    }

    fn hears(&self, from: SocketAddr) -> bool {
        udp::hears(self.peer, from)
    }

    /// How many datagrams may be sent; 0 if it is not known that the system has room.
    pub(super) fn check_send(&mut self) -> usize {
        let ready = self.has_room() || self.socket.confirm(Side::Write).unwrap_or(true);
        self.permit = if ready { MOST } else { 0 };
        self.permit
    }

    /// A send of so many datagrams begins: false if it may not.
    pub(super) fn begin_send(&mut self, datagrams: usize) -> bool {
        let may = datagrams <= self.permit;
        if may && datagrams > 0 {
            self.permit = 0;
        }
        may
    }

    /// Sends datagrams until there is no room or one fails; gives how many have been sent.
    pub(super) fn send<'a>(
        &mut self,
        datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>,
        net: &Net,
    ) -> Result<u64, ErrorCode> {
        if let Some(failed) = self.failed[Side::Write as usize].take() {
            return Err(failed);
        }
        let mut sent = 0;
        for (bytes, to) in datagrams {
            match self.send_one(bytes, to, net) {
                Ok(true) => sent += 1,
                Ok(false) => break,
                Err(code) if sent == 0 => return Err(code),
                // What is wrong with this datagram is told when the program sends it again; that one before it has come to nothing
                // the system tells once.
                Err(code @ (ErrorCode::ConnectionRefused | ErrorCode::RemoteUnreachable)) => {
                    self.failed[Side::Write as usize] = Some(code);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    /// False if there is no room.
    fn send_one(&self, bytes: &[u8], to: Option<SocketAddr>, net: &Net) -> Result<bool, ErrorCode> {
        let to = match (to, self.peer) {
            (None, None) => return Err(ErrorCode::InvalidArgument),
            (None, Some(_)) => None,
            (Some(to), Some(_)) if self.hears(to) => None,
            (Some(_), Some(_)) => return Err(ErrorCode::InvalidArgument),
            (Some(to), None) => {
                self.check_remote(to)?;
                Some(to)
            }
        };
        if let Some(addr) = to.or(self.peer)
            && !net.check(addr, SocketAddrUse::UdpSend)
        {
            return Err(ErrorCode::AccessDenied);
        }
        loop {
            match udp::send(&self.socket, bytes, to) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
