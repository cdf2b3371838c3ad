//! UDP over `wasi:sockets`. The host moves datagrams in batches, so one call may bring several: the others wait here for
//! the calls that follow.

use std::any::Any;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::Pollable;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily};
use wasip2::sockets::udp::{
    IncomingDatagram, IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasip2::sockets::udp_create_socket::create_udp_socket;

use super::clock::has_budget_again;
use super::net::{self, from_wasi, opening, to_wasi, with_network};
use super::{Other, Source, abi};
use crate::sys::Side;
use crate::sys::datagrams::{self, Datagrams};
use crate::sys::quirks::{budget, slow_close};

/// How many datagrams are asked for at once; wasmtime gives no more (wasmtime-wasi 48.0.8, p2/host/udp.rs).
const BATCH: u64 = 16;

/// No datagram is longer. The host would say so, but traps at a list of 2^28 bytes.
const MOST: usize = u16::MAX as usize;

/// EMSGSIZE of WASI, which std has no kind for.
const TOO_LARGE: i32 = 35;

/// How often the host gets its turn before a connect looks at what has come: the driver reports a socket in one, the
/// host's receive runs in the next.
const TURNS: u32 = 3;

/// A millisecond, the least that wasmtime's clock waits for.
const LATER: u64 = 1_000_000;

/// How long, in those, an address may stay in use that was the socket's own. Then another program has taken it.
const PATIENCE: u32 = 5000;

/// How often it is tried again at once before that.
const AT_ONCE: u32 = 64;

/// A UDP socket. The streams are children of the socket and go first.
struct Udp {
    streams: RefCell<Option<(IncomingDatagramStream, OutgoingDatagramStream)>>,
    socket: UdpSocket,
    /// Received, and not asked for yet.
    received: RefCell<VecDeque<IncomingDatagram>>,
    sent: Cell<bool>,
    /// The host has been asked for a datagram since the streams were opened, or for a pollable of one.
    asked: Cell<bool>,
    datagrams: Datagrams,
}

impl Other for Udp {
    fn subscribe(&self, side: Side) -> Pollable {
        match (&*self.streams.borrow(), side) {
            (None, _) => self.socket.subscribe(),
            (Some((incoming, _)), Side::Read) => {
                self.asked.set(true);
                incoming.subscribe()
            }
            (Some((_, outgoing)), Side::Write) => outgoing.subscribe(),
        }
    }

    /// Dropping the outgoing stream waits for what is on its way (wasmtime-wasi 48.0.8, p2/host/udp.rs, `drop`).
    fn is_pending(&self) -> bool {
        slow_close::may_wait()
            && self.sent.get()
            && self.permit().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Udp {
    /// How many datagrams may be sent now; `WouldBlock` if none.
    fn permit(&self) -> io::Result<usize> {
        let streams = self.streams.borrow();
        let Some((_, outgoing)) = &*streams else { return Err(io::ErrorKind::NotConnected.into()) };
        loop {
            budget::spend(budget::CHECK_WRITE);
            match outgoing.check_send().map_err(error)? {
                0 if has_budget_again() => {}
                0 => return Err(io::ErrorKind::WouldBlock.into()),
                permit => return Ok(usize::try_from(permit).unwrap_or(usize::MAX)),
            }
        }
    }

    /// Sends some of them, and tells how many.
    fn send(&self, datagrams: &[OutgoingDatagram]) -> io::Result<usize> {
        let permit = self.permit()?;
        let streams = self.streams.borrow();
        let Some((_, outgoing)) = &*streams else { return Err(io::ErrorKind::NotConnected.into()) };
        self.sent.set(true);
        budget::spend(budget::WRITE);
        match outgoing.send(&datagrams[..datagrams.len().min(permit)]).map_err(error)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            sent => Ok(sent as usize),
        }
    }

    fn send_one(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        if to.is_none() {
            self.datagrams.peer()?;
        }
        if buf.len() > MOST {
            return Err(io::Error::from_raw_os_error(TOO_LARGE));
        }
        self.send(&[outgoing(buf, to)]).map(|_| buf.len())
    }

    /// Asks the host for datagrams. Returns true if it gave as many as it was asked for.
    ///
    /// wasmtime drops an error that comes after the first datagram of a batch, also one that the network has sent back.
    /// Those are of connected sockets alone, so such a socket moves one datagram at a time.
    fn fill(&self) -> io::Result<bool> {
        let limit = if self.datagrams.peer().is_ok() { 1 } else { BATCH };
        let streams = self.streams.borrow();
        let Some((incoming, _)) = &*streams else { return Err(io::ErrorKind::NotConnected.into()) };
        self.asked.set(true);
        let received = incoming.receive(limit).map_err(error)?;
        let full = received.len() as u64 == limit;
        self.received.borrow_mut().extend(received);
        Ok(full)
    }

    /// The queue, in front of which the next datagram for the program is. Those from others, which came before the connect, are
    /// dropped here.
    fn front(&self) -> io::Result<RefMut<'_, VecDeque<IncomingDatagram>>> {
        self.datagrams.failed()?;
        let strange = |it: &mut IncomingDatagram| !self.datagrams.hears(from_wasi(it.remote_address));
        for ask in [false, true] {
            if ask {
                self.fill()?;
            }
            let mut received = self.received.borrow_mut();
            while received.pop_front_if(strange).is_some() {}
            if !received.is_empty() {
                return Ok(received);
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Takes what has come into our queue. Returns true if the host may have a receive under way then.
    fn drain(&self) -> bool {
        for _ in 0..TURNS {
            give_turn(0);
        }
        // As many as a socket's buffer has room for, if somebody keeps sending.
        for _ in 0..1024 {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) => self.datagrams.keep(error),
            }
        }
        false
    }

    /// Talks to this peer alone from now on. If that fails nothing has changed.
    ///
    /// A socket has new streams for a new peer, and wasmtime traps if the old ones are there, or if a receive of the old
    /// incoming one is under way in a task of its own: "needs exclusive access" (wasmtime-wasi 48.0.8, p2/host/udp.rs
    /// `stream`, p2/udp.rs `poll_recv_ready`). Dropping the stream only aborts that task; it lets go of the socket when it
    /// runs next, on the stock command on another thread, and there is no call that tells. A receive is under way whenever
    /// the host was last asked in vain. So such a socket is not asked for streams again: it is replaced by a new one with
    /// the same address, which can be bound as soon as the task has let go of the old one.
    fn connect(&mut self, peer: SocketAddr) -> io::Result<()> {
        let before = self.datagrams.peer().ok();
        if before == Some(peer) {
            return Ok(());
        }
        let local = self.socket.local_address().map(from_wasi).map_err(error)?;
        // What the host refuses in any case costs the socket nothing.
        if peer.port() == 0 || peer.is_ipv6() != local.is_ipv6() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rehearse(local, peer)?;
        if self.asked.get() && self.drain() {
            self.replace(local)?;
        }
        if let Err(error) = self.open(Some(peer)) {
            self.open(before)?;
            return Err(error);
        }
        self.datagrams.set_peer(peer);
        Ok(())
    }

    /// New streams, of a socket whose old ones are dropped here: for one peer, or for all.
    fn open(&mut self, peer: Option<SocketAddr>) -> io::Result<()> {
        self.streams.take();
        self.streams = Some(self.socket.stream(peer.map(to_wasi)).map_err(error)?).into();
        self.asked.set(false);
        Ok(())
    }

    /// A new socket with the same address and options. What arrives while no socket has the address is lost.
    fn replace(&mut self, local: SocketAddr) -> io::Result<()> {
        let socket = create(local.is_ipv6())?;
        let old = &self.socket;
        let _ = old.unicast_hop_limit().and_then(|hops| socket.set_unicast_hop_limit(hops));
        let _ = old.receive_buffer_size().and_then(|bytes| socket.set_receive_buffer_size(bytes));
        let _ = old.send_buffer_size().and_then(|bytes| socket.set_send_buffer_size(bytes));
        self.streams.take();
        self.socket = socket;
        let mut tries = 0;
        loop {
            match bind(&self.socket, local) {
                Err(ErrorCode::AddressInUse) if tries < AT_ONCE + PATIENCE => {
                    give_turn(if tries < AT_ONCE { 0 } else { LATER });
                    tries += 1;
                }
                bound => return bound.map_err(error),
            }
        }
    }
}

fn create(v6: bool) -> io::Result<UdpSocket> {
    create_udp_socket(if v6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 }).map_err(opening)
}

/// wasmtime has nothing to wait for here.
fn bind(socket: &UdpSocket, addr: SocketAddr) -> Result<(), ErrorCode> {
    with_network(|network| socket.start_bind(network, to_wasi(addr)))?;
    socket.finish_bind()
}

fn outgoing(data: &[u8], to: Option<SocketAddr>) -> OutgoingDatagram {
    OutgoingDatagram { data: data.to_vec(), remote_address: to.map(to_wasi) }
}

/// Lets the host run its tasks, and waits for so many nanoseconds.
fn give_turn(nanos: u64) {
    abi::poll_into(&[subscribe_duration(nanos).handle()], &mut [MaybeUninit::uninit()]);
}

/// Connects another socket first. After a connect that fails with EINVAL wasmtime dissolves the association and tries
/// again, and Linux then takes the port away from a socket that did not ask for a certain one (wasmtime-wasi 48.0.8,
/// sockets/udp.rs `connect`): the socket would not be what it was before.
fn rehearse(local: SocketAddr, peer: SocketAddr) -> io::Result<()> {
    if datagrams::cannot_fail(local.ip(), peer.ip()) {
        return Ok(());
    }
    let socket = create(local.is_ipv6())?;
    // Of a host that allows that address with one port only nothing is learnt.
    match bind(&socket, SocketAddr::new(local.ip(), 0)) {
        Ok(()) => socket.stream(Some(to_wasi(peer))).map(|_| ()).map_err(error),
        Err(_) => Ok(()),
    }
}

impl Source {
    pub(crate) fn udp(v6: bool) -> io::Result<Self> {
        let udp = Udp {
            streams: RefCell::default(),
            socket: create(v6)?,
            received: RefCell::default(),
            sent: Cell::default(),
            asked: Cell::default(),
            datagrams: Datagrams::default(),
        };
        Ok(Source { other: Some(Box::new(udp)), ..Source::default() })
    }

    pub(crate) fn start_bind_udp(&self, addr: SocketAddr) -> io::Result<()> {
        with_network(|network| self.as_udp()?.socket.start_bind(network, to_wasi(addr)).map_err(error))
    }

    pub(crate) fn try_finish_bind_udp(&self) -> io::Result<()> {
        self.as_udp()?.socket.finish_bind().map_err(error)
    }

    /// Without the pollable it has, which is for "bound".
    pub(crate) fn into_udp(mut self) -> Source {
        self.pollables = Default::default();
        self
    }

    /// Talks to this peer alone from now on, or, once bound, to all. The poller does not know the source now.
    pub(crate) fn connect_udp(&mut self, peer: Option<SocketAddr>) -> io::Result<()> {
        // They are children of the streams.
        self.pollables = Default::default();
        let other: Option<&mut dyn Any> = self.other.as_deref_mut().map(|other| other as &mut dyn Any);
        let udp: &mut Udp = other.and_then(|other| other.downcast_mut()).ok_or(io::ErrorKind::NotConnected)?;
        match peer {
            Some(peer) => udp.connect(peer),
            None => udp.open(None),
        }
    }

    pub(crate) fn try_send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        let udp = self.as_udp()?;
        udp.datagrams.failed()?;
        udp.send_one(buf, to)
    }

    /// How many of them have been sent.
    pub(crate) fn try_send_many<'a>(
        &self,
        datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>,
    ) -> io::Result<usize> {
        let udp = self.as_udp()?;
        udp.datagrams.failed()?;
        // See `fill`.
        if udp.datagrams.peer().is_ok() {
            return udp.datagrams.send_many(datagrams.take(BATCH as usize), |(data, to)| udp.send_one(data, to));
        }
        let mut batch = Vec::new();
        for (data, to) in datagrams.take(BATCH as usize) {
            match (to, batch.is_empty()) {
                (Some(_), false) if data.len() > MOST => break,
                (Some(_), true) if data.len() > MOST => return Err(io::Error::from_raw_os_error(TOO_LARGE)),
                (Some(_), _) => batch.push(outgoing(data, to)),
                (None, true) => return Err(io::ErrorKind::NotConnected.into()),
                // That is an error of the next call.
                (None, false) => break,
            }
        }
        udp.send(&batch)
    }

    pub(crate) fn try_receive(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        let mut received = self.as_udp()?.front()?;
        let datagram = &received[0];
        let n = datagram.data.len().min(buf.len());
        buf[..n].copy_from_slice(&datagram.data[..n]);
        let from = from_wasi(datagram.remote_address);
        if !peek {
            received.pop_front();
        }
        Ok((n, from))
    }

    /// How many have been received and handed to `take`.
    pub(crate) fn try_receive_many(
        &self,
        limit: usize,
        mut take: impl FnMut(Vec<u8>, SocketAddr),
    ) -> io::Result<usize> {
        let udp = self.as_udp()?;
        udp.datagrams.receive_many(limit, || {
            if let Some(datagram) = udp.front()?.pop_front() {
                take(datagram.data, from_wasi(datagram.remote_address));
            }
            Ok(())
        })
    }

    pub(crate) fn udp_local_addr(&self) -> io::Result<SocketAddr> {
        self.as_udp()?.socket.local_address().map(from_wasi).map_err(error)
    }

    pub(crate) fn udp_peer_addr(&self) -> io::Result<SocketAddr> {
        self.as_udp()?.datagrams.peer()
    }

    pub(super) fn udp_socket(&self) -> io::Result<&UdpSocket> {
        Ok(&self.as_udp()?.socket)
    }

    fn as_udp(&self) -> io::Result<&Udp> {
        let other: Option<&dyn Any> = self.other.as_deref().map(|other| other as &dyn Any);
        other.and_then(|other| other.downcast_ref()).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

fn error(code: ErrorCode) -> io::Error {
    match code {
        ErrorCode::DatagramTooLarge => io::Error::from_raw_os_error(TOO_LARGE),
        code => net::error(code),
    }
}
