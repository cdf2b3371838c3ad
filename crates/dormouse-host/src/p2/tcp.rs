//! TCP. One socket of a program: the states that the specification has, and its two streams.
//!
//! ```text
//!             start-bind         finish-bind
//!   unbound ─────────────▶ binding ────────▶ bound
//!      │                                    │    │ start-listen        finish-listen
//!      │ start-connect        start-connect │    └────────────▶ listening… ────────▶ listening
//!      └─────────────▶ connecting ◀─────────┘
//!                       │      │ finish-connect
//!          it has failed│      ▼
//!              closed ◀─┘   connected
//! ```
//!
//! Nothing waits between a start and its finish but connecting. What an accept gives is connected.

use std::io;
use std::mem::take;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::{StreamError, StreamResult};

use super::flush::{Flusher, Rest, errno};
use super::table::Part;
use crate::net::Net;
use crate::net::limits::Counted;
use crate::net::socket::{Hub, Side, Socket};
use crate::net::tcp::{self, Family};
use wasmtime_wasi::sockets::SocketAddrUse;

/// What one read or write moves at the most, in bytes, as in wasmtime.
pub(super) const MOST: usize = 64 << 10;
/// What a read copies rather than give away the buffer that it was received in, in bytes.
const COPIED: usize = 4096;
/// The backlog of a listener that the program says nothing about, as in wasmtime and std.
const BACKLOG: u32 = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unbound,
    Binding,
    Bound,
    ListenStarted,
    Listening,
    /// With what is known of the result already.
    Connecting(Option<ErrorCode>),
    Connected,
    Closed,
}

/// The output half.
enum Writer {
    Open,
    /// The system has not taken all of the last write. `ends`: and the half ends then.
    Flushing {
        rest: Arc<Rest>,
        ends: bool,
    },
    /// With the error of the write that failed, which every later call tells as wasmtime does.
    Closed(Option<Errno>),
}

/// A socket that is counted until it is closed, which may be after the program has dropped it.
pub(super) struct Held {
    socket: Socket,
    _counted: Counted,
}

impl Deref for Held {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

pub(super) struct Tcp {
    socket: Arc<Held>,
    family: Family,
    state: State,
    backlog: u32,
    read_closed: bool,
    writer: Writer,
    /// How many bytes the next write may have: what the last `check-write` said.
    permit: usize,
}

/// What has come of a write.
pub(super) enum Sent {
    All,
    /// What the system has not taken.
    Rest(Vec<u8>),
    Failed(Errno),
}

impl Tcp {
    /// A new one; `counted` is given back when it is closed, or at once if there is none.
    pub(super) fn create(family: Family, counted: Counted, hub: &Arc<Hub>, net: &Net) -> io::Result<Tcp> {
        let fd = tcp::create(family)?;
        Ok(Tcp::new(fd, family, State::Unbound, counted, hub, net))
    }

    fn new(fd: OwnedFd, family: Family, state: State, counted: Counted, hub: &Arc<Hub>, net: &Net) -> Tcp {
        let socket = Arc::new(Held { socket: Socket::new(fd, hub, &net.meter), _counted: counted });
        Tcp { socket, family, state, backlog: BACKLOG, read_closed: false, writer: Writer::Open, permit: 0 }
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// The socket, for what can be asked of it in every state.
    pub(super) fn socket(&self) -> Result<&Socket, ErrorCode> {
        match self.state {
            State::Closed => Err(ErrorCode::InvalidState),
            _ => Ok(&self.socket),
        }
    }

    /// An operation may start unless one is in progress.
    fn may_start(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Binding | State::ListenStarted | State::Connecting(_) => Err(ErrorCode::ConcurrencyConflict),
            _ => Ok(()),
        }
    }

    // ---- states ----

    pub(super) fn start_bind(&mut self, addr: SocketAddr, net: &Net) -> Result<(), ErrorCode> {
        self.may_start()?;
        if self.state != State::Unbound {
            return Err(ErrorCode::InvalidState);
        }
        self.check_addr(addr)?;
        if !net.may_bind(addr) {
            return Err(ErrorCode::AccessDenied);
        }
        net.bind_tcp(&self.socket, addr).map_err(|error| match errno(&error) {
            Errno::AFNOSUPPORT => ErrorCode::InvalidArgument,
            errno => ErrorCode::from(errno),
        })?;
        self.state = State::Binding;
        Ok(())
    }

    pub(super) fn finish_bind(&mut self) -> Result<(), ErrorCode> {
        self.finish(State::Binding, State::Bound)
    }

    fn finish(&mut self, started: State, then: State) -> Result<(), ErrorCode> {
        if self.state != started {
            return Err(ErrorCode::NotInProgress);
        }
        self.state = then;
        Ok(())
    }

    pub(super) fn start_listen(&mut self, net: &Net) -> Result<(), ErrorCode> {
        self.may_start()?;
        if self.state != State::Bound {
            return Err(ErrorCode::InvalidState);
        }
        if !net.check(tcp::local_addr(&self.socket)?, SocketAddrUse::TcpListen) {
            return Err(ErrorCode::AccessDenied);
        }
        net.listen(&self.socket, self.backlog)?;
        self.state = State::ListenStarted;
        Ok(())
    }

    pub(super) fn finish_listen(&mut self) -> Result<(), ErrorCode> {
        self.finish(State::ListenStarted, State::Listening)
    }

    /// What comes of it [`finish_connect`](Self::finish_connect) tells, a refusal too.
    pub(super) fn start_connect(&mut self, addr: SocketAddr, net: &Net) -> Result<(), ErrorCode> {
        self.may_start()?;
        if !matches!(self.state, State::Unbound | State::Bound) {
            return Err(ErrorCode::InvalidState);
        }
        self.check_addr(addr)?;
        if addr.ip().is_unspecified() || addr.port() == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let failed = match net.check(addr, SocketAddrUse::TcpConnect) {
            false => Some(ErrorCode::AccessDenied),
            true => tcp::start_connect(&self.socket, addr).err().map(|error| match errno(&error) {
                // No port is left that the system could bind it to (connect(2)).
                Errno::ADDRNOTAVAIL => ErrorCode::AddressInUse,
                errno => ErrorCode::from(errno),
            }),
        };
        self.state = State::Connecting(failed);
        Ok(())
    }

    pub(super) fn finish_connect(&mut self) -> Result<(), ErrorCode> {
        let State::Connecting(failed) = self.state else { return Err(ErrorCode::NotInProgress) };
        let connected = match failed {
            Some(code) => Err(code),
            None if !self.is_ready_now(Side::Write) => return Err(ErrorCode::WouldBlock),
            None => tcp::finish_connect(&self.socket).map_err(ErrorCode::from),
        };
        self.state = match connected {
            Ok(()) => State::Connected,
            Err(_) => State::Closed,
        };
        connected
    }

    /// A connection; `counted` as with [`create`](Self::create).
    pub(super) fn accept(&self, counted: Counted, hub: &Arc<Hub>, net: &Net) -> Result<Tcp, ErrorCode> {
        if self.socket.gives_way() {
            return Err(ErrorCode::WouldBlock);
        }
        let fd = tcp::accept(&self.socket)?;
        let tcp = Tcp::new(fd, self.family, State::Connected, counted, hub, net);
        tcp.socket.set_connected();
        Ok(tcp)
    }

    pub(super) fn is_listening(&self) -> bool {
        self.state == State::Listening
    }

    pub(super) fn local_addr(&self) -> Result<SocketAddr, ErrorCode> {
        if matches!(self.state, State::Unbound | State::Closed) {
            return Err(ErrorCode::InvalidState);
        }
        let addr = tcp::local_addr(&self.socket)?;
        // A connect that has been refused binds to nothing.
        if addr.port() == 0 { Err(ErrorCode::InvalidState) } else { Ok(addr) }
    }

    pub(super) fn peer_addr(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Connected => Ok(tcp::peer_addr(&self.socket)?),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn set_backlog(&mut self, backlog: u64) -> Result<(), ErrorCode> {
        if backlog == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let backlog = u32::try_from(backlog).unwrap_or(u32::MAX);
        match self.state {
            State::Unbound | State::Binding | State::Bound => {}
            State::ListenStarted | State::Listening => {
                tcp::listen_alone(&self.socket, backlog).map_err(|_| ErrorCode::NotSupported)?;
            }
            State::Connecting(_) | State::Connected | State::Closed => return Err(ErrorCode::InvalidState),
        }
        self.backlog = backlog;
        Ok(())
    }

    /// Whether an address is one that a socket of this family may be bound or connected to at all. One of IPv4 in IPv6's clothes is
    /// not, nor is the older form of that.
    fn check_addr(&self, addr: SocketAddr) -> Result<(), ErrorCode> {
        let fits = match (self.family, addr.ip()) {
            (Family::V4, IpAddr::V4(ip)) => !ip.is_multicast() && !ip.is_broadcast(),
            (Family::V6, IpAddr::V6(ip)) => !ip.is_multicast() && ip.to_ipv4_mapped().is_none() && !is_compatible(ip),
            _ => false,
        };
        if fits { Ok(()) } else { Err(ErrorCode::InvalidArgument) }
    }

    // ---- readiness ----

    /// The same as [`is_ready`](Self::is_ready), of a poll that has this part in its list.
    pub(super) fn poll(&self, part: Part, net: &Net) -> bool {
        let side = match (part, self.state) {
            (Part::Socket, State::Connecting(_)) | (Part::Output, _) => Side::Write,
            (Part::Socket | Part::Input, _) => Side::Read,
        };
        // Only what it is given can fail.
        self.socket.poll(side, || Ok(self.is_ready(part, net))).unwrap_or(true)
    }

    /// Whether a wait for this part is over: of a stream a hint, as readiness is. If not, a mark will wake the hub.
    pub(super) fn is_ready(&self, part: Part, net: &Net) -> bool {
        // A call tells what is wrong with a socket whose readiness cannot be known.
        let side = |side| self.socket.is_ready(side).unwrap_or(true);
        match (part, self.state) {
            (Part::Socket, State::Connecting(None)) => side(Side::Write),
            // A connection that may not be accepted waits until another has been closed. And no hint, as wasmtime gives none here: wstd
            // 0.6 ends if an accept after it would block.
            (Part::Socket, State::Listening) => {
                let ready = self.socket.is_surely_ready(Side::Read).unwrap_or(true);
                let waits = ready && net.sockets.is_full();
                if waits {
                    net.tell_full();
                }
                ready && !waits && !self.socket.gives_way()
            }
            (Part::Socket, _) => true,
            (Part::Input, _) => self.read_closed || side(Side::Read),
            (Part::Output, _) => match &self.writer {
                Writer::Open => side(Side::Write),
                Writer::Closed(_) => true,
                Writer::Flushing { rest, ends } => match rest.done() {
                    None => false,
                    Some(done) => *ends || done.is_err() || side(Side::Write),
                },
            },
        }
    }

    /// Whether a side is ready, by the system's word if tokio has not said so: a program that asks again and again, and never waits,
    /// gives tokio no turn.
    fn is_ready_now(&self, side: Side) -> bool {
        self.socket.is_ready(side).unwrap_or(true) || self.socket.confirm(side).unwrap_or(true)
    }

    /// Whether there is a connection to accept, by the system's word.
    pub(super) fn has_connection(&self) -> bool {
        self.socket.confirm(Side::Read).unwrap_or(true)
    }

    // ---- streams ----

    /// At most `len` bytes, and none if there are none now. They are received in `spare`, which is empty and stays so. A program asks for as much
    /// as its buffer has room for, and most often gets little, so only what comes is allocated.
    pub(super) fn read(&mut self, len: usize, spare: &mut Vec<u8>) -> StreamResult<Vec<u8>> {
        if self.read_closed {
            return Err(StreamError::Closed);
        }
        let room = len.min(MOST);
        if room == 0 {
            return Ok(Vec::new());
        }
        if spare.capacity() != room {
            *spare = Vec::with_capacity(room);
        }
        loop {
            match tcp::receive_into(&self.socket, spare, room) {
                Ok(0) => {
                    self.read_closed = true;
                    return Err(StreamError::Closed);
                }
                Ok(n) if n <= COPIED => {
                    let bytes = spare.as_slice().to_vec();
                    spare.clear();
                    return Ok(bytes);
                }
                Ok(_) => return Ok(take(spare)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Vec::new()),
                Err(error) => {
                    self.read_closed = true;
                    return Err(StreamError::LastOperationFailed(error.into()));
                }
            }
        }
    }

    /// Takes note of what the flusher has done.
    fn settle(&mut self) {
        if let Writer::Flushing { rest, ends } = &self.writer
            && let Some(done) = rest.done()
        {
            self.writer = match (done, ends) {
                (Ok(()), false) => Writer::Open,
                (Ok(()), true) | (Err(Errno::PIPE), _) => Writer::Closed(None),
                (Err(errno), _) => Writer::Closed(Some(errno)),
            };
        }
    }

    /// How much may be written, `most` at the most; 0 if it is not known that the system has room.
    pub(super) fn check_write(&mut self, most: usize) -> StreamResult<usize> {
        if let Writer::Flushing { rest, .. } = &self.writer {
            rest.push();
        }
        self.settle();
        match self.writer {
            Writer::Open if self.is_ready_now(Side::Write) => {
                self.permit = most;
                Ok(most)
            }
            Writer::Open | Writer::Flushing { .. } => Ok(0),
            Writer::Closed(errno) => Err(closed(errno)),
        }
    }

    /// What the last [`check_write`](Self::check_write) allows still.
    pub(super) fn permit(&self) -> usize {
        self.permit
    }

    /// A write of so many bytes begins: whether it may. Then [`send`](Self::send) and [`sent`](Self::sent).
    pub(super) fn begin_write(&mut self, len: usize) -> StreamResult<()> {
        match self.writer {
            Writer::Closed(errno) => Err(closed(errno)),
            Writer::Open if len <= self.permit => {
                if len > 0 {
                    self.permit = 0;
                }
                Ok(())
            }
            _ => Err(StreamError::Trap(wasmtime::format_err!("not permitted to write {len} bytes"))),
        }
    }

    pub(super) fn send(&self, bytes: &[u8], flusher: &Flusher) -> Sent {
        if bytes.is_empty() {
            return Sent::All;
        }
        loop {
            match tcp::send(&self.socket, bytes) {
                Ok(n) if n == bytes.len() => return Sent::All,
                Ok(n) => return Sent::Rest(flusher.keep(&bytes[n..])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Rest(flusher.keep(bytes)),
                Err(error) => return Sent::Failed(errno(&error)),
            }
        }
    }

    pub(super) fn sent(&mut self, sent: Sent, flusher: &Arc<Flusher>) -> StreamResult<()> {
        match sent {
            Sent::All => return Ok(()),
            Sent::Rest(rest) => {
                let rest = flusher.send(&self.socket, rest);
                self.writer = Writer::Flushing { rest, ends: false };
                return Ok(());
            }
            Sent::Failed(Errno::PIPE) => self.writer = Writer::Closed(None),
            Sent::Failed(errno) => self.writer = Writer::Closed(Some(errno)),
        }
        self.flush()
    }

    /// Whether the system has taken all that was written, or never will.
    pub(super) fn is_flushed(&self) -> bool {
        match &self.writer {
            Writer::Flushing { rest, .. } => rest.done().is_some(),
            Writer::Open | Writer::Closed(_) => true,
        }
    }

    /// What is written goes out by itself: this says whether that has failed.
    pub(super) fn flush(&mut self) -> StreamResult<()> {
        self.settle();
        match self.writer {
            Writer::Open | Writer::Flushing { .. } => Ok(()),
            Writer::Closed(errno) => Err(closed(errno)),
        }
    }

    /// Ends one half, or both. The bytes that were written before are sent first.
    pub(super) fn shutdown(&mut self, how: Shutdown) -> Result<(), ErrorCode> {
        if self.state != State::Connected {
            return Err(ErrorCode::InvalidState);
        }
        self.settle();
        let now = match (&mut self.writer, how) {
            (_, Shutdown::Read) => Some(Shutdown::Read),
            (Writer::Flushing { rest, ends }, _) if rest.end() => {
                *ends = true;
                (how == Shutdown::Both).then_some(Shutdown::Read)
            }
            _ => Some(how),
        };
        if how != Shutdown::Write {
            self.read_closed = true;
        }
        if how != Shutdown::Read && !matches!(self.writer, Writer::Flushing { .. } | Writer::Closed(Some(_))) {
            self.writer = Writer::Closed(None);
        }
        [Side::Read, Side::Write].into_iter().for_each(|side| self.socket.ring(side));
        match now {
            Some(how) => Ok(tcp::shutdown(&self.socket, how)?),
            None => Ok(()),
        }
    }
}

fn closed(errno: Option<Errno>) -> StreamError {
    match errno {
        None => StreamError::Closed,
        // `network-error-code` finds the number in it.
        Some(errno) => StreamError::LastOperationFailed(io::Error::from(errno).into()),
    }
}

/// `::a.b.c.d`, which is deprecated since 2006.
pub(super) fn is_compatible(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0, 0, 0, 0, 0, 0, _, _]) && !ip.is_unspecified() && !ip.is_loopback()
}
