//! Sockets from their making to being connected: bind, listen, connect, accept.
//!
//! ```text
//!   Idle ──listen──▶ Listening
//!    │ connect
//!    ▼
//!   Connecting ──accepted──▶ Connected          a listener's queue makes sockets that are Connected
//!    └──────────refused────▶ Failed
//! ```

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use super::World;
use super::stream::End;
use super::wire::{Line, Packet};
use super::world::State;
use crate::base::Key;
use crate::sim::{Fault, What};
use crate::sys::Side;

/// The number of a socket. No two of one world have the same.
pub(crate) type Id = u32;

/// The ports that are given out, as on Linux and by IANA.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 49152..=65535;

pub(super) struct Socket {
    v6: bool,
    pub(super) local: Option<SocketAddr>,
    pub(super) stage: Stage,
    /// What is on its way here.
    pub(super) line: Line,
    /// The key under which the poller watches it.
    pub(super) watched_by: Option<Key>,
    /// By side: the last try was refused as a fault, so the next is not.
    refused: [bool; 2],
}

pub(super) enum Stage {
    Idle,
    Listening { backlog: usize, queue: VecDeque<Id> },
    Connecting { to: SocketAddr },
    Failed(ErrorKind),
    Connected(End),
}

impl Socket {
    fn new(v6: bool, local: Option<SocketAddr>, stage: Stage) -> Self {
        Socket { v6, local, stage, line: Line::default(), watched_by: None, refused: [false; 2] }
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.stage, Stage::Connecting { .. })
    }

    fn unspecified(&self) -> SocketAddr {
        let ip = if self.v6 { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv4Addr::UNSPECIFIED) };
        SocketAddr::new(ip, 0)
    }
}

/// Owns a socket of a world; the socket closes with it.
pub(crate) struct Descriptor {
    world: Rc<World>,
    id: Id,
}

impl Descriptor {
    pub(super) fn new(world: Rc<World>, v6: bool) -> Self {
        let id = world.with(|state| state.add(Socket::new(v6, None, Stage::Idle)));
        Descriptor { world, id }
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    pub(super) fn is_of(&self, world: &Rc<World>) -> bool {
        Rc::ptr_eq(&self.world, world)
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State, Id) -> io::Result<T>) -> io::Result<T> {
        self.world.with(|state| act(state, self.id))
    }

    pub(super) fn start_bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.with(|state, id| state.bind(id, addr))
    }

    pub(super) fn try_finish_bind(&self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn start_listen(&self, backlog: u32) -> io::Result<()> {
        self.with(|state, id| state.listen(id, backlog as usize))
    }

    pub(super) fn try_finish_listen(&self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn start_connect(&self, addr: SocketAddr) -> io::Result<()> {
        self.with(|state, id| state.connect(id, addr))
    }

    pub(super) fn try_finish_connect(&self) -> io::Result<()> {
        self.with(|state, id| {
            state.refuse(id, Side::Write)?;
            match &state.socket(id).stage {
                Stage::Connected(_) => Ok(()),
                Stage::Failed(kind) => Err((*kind).into()),
                Stage::Connecting { .. } => Err(ErrorKind::WouldBlock.into()),
                Stage::Idle | Stage::Listening { .. } => Err(ErrorKind::NotConnected.into()),
            }
        })
    }

    pub(super) fn try_accept(&self) -> io::Result<(Descriptor, SocketAddr)> {
        let (id, peer) = self.with(State::accept)?;
        Ok((Descriptor { world: Rc::clone(&self.world), id }, peer))
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with(|state, id| {
            let socket = state.socket(id);
            Ok(socket.local.unwrap_or_else(|| socket.unspecified()))
        })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let watched_by = self.world.with(|state| state.close(self.id));
        self.assert_unwatched(watched_by);
    }
}

impl State {
    fn add(&mut self, socket: Socket) -> Id {
        self.last_id += 1;
        self.sockets.insert(self.last_id, socket);
        self.last_id
    }

    /// One that a descriptor or a queue holds.
    pub(super) fn socket(&mut self, id: Id) -> &mut Socket {
        self.sockets.get_mut(&id).expect("a socket is there for as long as its descriptor")
    }

    pub(super) fn is_ready(&self, id: Id, side: Side) -> bool {
        let Some(socket) = self.sockets.get(&id) else { unreachable!("what is watched is open") };
        match (&socket.stage, side) {
            (Stage::Idle, _) => side == Side::Write,
            (Stage::Listening { queue, .. }, _) => side == Side::Read && !queue.is_empty(),
            (Stage::Connecting { .. }, _) => false,
            (Stage::Failed(_), _) => true,
            (Stage::Connected(end), Side::Read) => end.is_readable(),
            (Stage::Connected(end), Side::Write) => end.is_closed_for_writing() || self.room(end) > 0,
        }
    }

    /// A fault on a socket that is ready: an interrupt, or `WouldBlock` once.
    pub(super) fn refuse(&mut self, id: Id, side: Side) -> io::Result<()> {
        let faults = &self.setup.faults;
        if (faults.would_block == 0 && faults.interrupts == 0) || !self.is_ready(id, side) {
            return Ok(());
        }
        if std::mem::take(&mut self.socket(id).refused[side as usize]) {
            return Ok(());
        }
        let kind = if self.goes_wrong(Fault::WouldBlock, |faults| faults.would_block) {
            ErrorKind::WouldBlock
        } else if self.goes_wrong(Fault::Interrupt, |faults| faults.interrupts) {
            ErrorKind::Interrupted
        } else {
            return Ok(());
        };
        self.socket(id).refused[side as usize] = true;
        Err(kind.into())
    }

    // ---- addresses ----

    /// Whether a socket has this address. An address for all interfaces takes the port on each.
    fn is_taken(&self, addr: SocketAddr) -> bool {
        let mut waiting = self.sockets.values().filter(|it| matches!(it.stage, Stage::Idle | Stage::Listening { .. }));
        waiting.any(|it| it.local.is_some_and(|local| overlap(local, addr)))
    }

    fn is_port_in_use(&self, port: u16) -> bool {
        self.sockets.values().any(|socket| socket.local.is_some_and(|local| local.port() == port))
    }

    fn free_port(&mut self) -> io::Result<u16> {
        let first = *EPHEMERAL.start();
        let count = EPHEMERAL.len() as u16;
        for _ in 0..count {
            let port = first + self.next_port;
            self.next_port = (self.next_port + 1) % count;
            if !self.is_port_in_use(port) {
                return Ok(port);
            }
        }
        Err(ErrorKind::AddrInUse.into())
    }

    fn bind(&mut self, id: Id, mut addr: SocketAddr) -> io::Result<()> {
        let socket = self.socket(id);
        if socket.v6 != addr.is_ipv6() || socket.local.is_some() || !matches!(socket.stage, Stage::Idle) {
            return Err(ErrorKind::InvalidInput.into());
        }
        if addr.ip().is_multicast() {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        if addr.port() == 0 {
            addr.set_port(self.free_port()?);
        } else if self.is_taken(addr) {
            return Err(ErrorKind::AddrInUse.into());
        }
        self.socket(id).local = Some(addr);
        self.log(What::Bound { socket: id, addr });
        Ok(())
    }

    // ---- listening ----

    fn listen(&mut self, id: Id, backlog: usize) -> io::Result<()> {
        let socket = self.socket(id);
        if !matches!(socket.stage, Stage::Idle) {
            return Err(ErrorKind::InvalidInput.into());
        }
        if socket.local.is_none() {
            let addr = socket.unspecified();
            self.bind(id, addr)?;
        }
        self.socket(id).stage = Stage::Listening { backlog, queue: VecDeque::new() };
        self.log(What::Listening { socket: id });
        Ok(())
    }

    /// The listener there, on that very address or on all; there are never both.
    pub(super) fn listener_at(&self, addr: SocketAddr) -> Option<Id> {
        let mut listening = self.sockets.iter().filter(|(_, it)| matches!(it.stage, Stage::Listening { .. }));
        listening.find(|(_, it)| it.local.is_some_and(|local| overlap(local, addr))).map(|(&id, _)| id)
    }

    /// Queues a connection at a listener, if there is room, and gives its end of it. Room is for one more than the
    /// backlog, as on Linux.
    pub(super) fn enqueue(&mut self, listener: Id, peer: SocketAddr, local: SocketAddr, other: Id) -> Option<Id> {
        let Stage::Listening { backlog, queue } = &self.socket(listener).stage else { unreachable!("it listens") };
        if queue.len() > *backlog {
            return None;
        }
        let id = self.add(Socket::new(local.is_ipv6(), Some(local), Stage::Connected(End::new(peer, other))));
        let Stage::Listening { queue, .. } = &mut self.socket(listener).stage else { unreachable!("it listens") };
        queue.push_back(id);
        Some(id)
    }

    fn accept(&mut self, listener: Id) -> io::Result<(Id, SocketAddr)> {
        self.refuse(listener, Side::Read)?;
        let Stage::Listening { queue, .. } = &self.socket(listener).stage else {
            return Err(ErrorKind::InvalidInput.into());
        };
        if !queue.is_empty() && self.goes_wrong(Fault::Exhausted, |faults| faults.exhausted) {
            return Err(crate::base::exhausted());
        }
        let Stage::Listening { queue, .. } = &mut self.socket(listener).stage else { unreachable!("it listens") };
        let Some(id) = queue.pop_front() else { return Err(ErrorKind::WouldBlock.into()) };
        if self.goes_wrong(Fault::Reset, |faults| faults.resets) {
            self.abort(id);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let Some(End { peer, .. }) = self.end(id) else { unreachable!("a queue holds connections") };
        let peer = *peer;
        self.log(What::Accepted { socket: id, peer });
        Ok((id, peer))
    }

    // ---- connecting ----

    fn connect(&mut self, id: Id, to: SocketAddr) -> io::Result<()> {
        let socket = self.socket(id);
        if socket.v6 != to.is_ipv6() || !matches!(socket.stage, Stage::Idle) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let to = SocketAddr::new(reachable(to.ip()), to.port());
        // All addresses are this host's, and a socket that connects to one connects from it.
        let local = match socket.local {
            Some(local) if !local.ip().is_unspecified() => local,
            Some(local) => SocketAddr::new(to.ip(), local.port()),
            None => SocketAddr::new(to.ip(), self.free_port()?),
        };
        let calls = |stage: &Stage| matches!(stage, Stage::Connecting { to: other } if *other == to);
        let is_calling = self.sockets.values().any(|it| it.local == Some(local) && calls(&it.stage));
        if is_calling || self.connection(local, to).is_some() {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let socket = self.socket(id);
        socket.local = Some(local);
        socket.stage = Stage::Connecting { to };
        self.log(What::Connecting { socket: id, to });
        if self.goes_wrong(Fault::LateError, |faults| faults.late_errors) {
            let kinds = [ErrorKind::TimedOut, ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable];
            let kind = kinds[self.setup.choices.choose(kinds.len())];
            let when = self.now() + 1_000_000;
            self.send_at(when, id, Packet::Refused(kind));
        } else {
            self.send_syn(id, to, 0);
        }
        Ok(())
    }

    /// `id` hears that its other end is `other`.
    pub(super) fn connected(&mut self, id: Id, other: Id, peer: SocketAddr) {
        match self.sockets.get_mut(&id).filter(|socket| socket.is_connecting()) {
            Some(socket) => {
                socket.stage = Stage::Connected(End::new(peer, other));
                self.log(What::Connected { socket: id });
            }
            // The attempt has been given up.
            None => self.send(other, Packet::Rst),
        }
    }
}

/// Whether two addresses are the same, or one stands for all interfaces of its family.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// The address to connect to: an address that stands for all is this host's own.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
