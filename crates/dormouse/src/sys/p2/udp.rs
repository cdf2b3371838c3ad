//! UDP over `wasi:sockets`. The host moves datagrams in batches, so one call may bring several: the others wait here for
//! the calls that follow.

use std::any::Any;
use std::cell::{Cell, RefCell};
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

use super::net::{self, from_wasi, to_wasi, with_network};
use super::{Other, Source, abi, budget};
use crate::sys::Side;

/// How many datagrams are asked for at once; wasmtime gives no more (wasmtime-wasi 48.0.8, p2/host/udp.rs).
const BATCH: u64 = 16;

/// How long wasmtime gets to let go of a socket that is to name another peer, in nanoseconds.
const LET_GO: u64 = 1_000_000;

/// No datagram is longer. The host would say so, but traps at a list of 2^28 bytes.
const MOST: usize = u16::MAX as usize;

/// EMSGSIZE of WASI, which std has no kind for.
const TOO_LARGE: i32 = 35;

/// A UDP socket. The streams are children of the socket and go first.
struct Udp {
    streams: RefCell<Option<(IncomingDatagramStream, OutgoingDatagramStream)>>,
    socket: UdpSocket,
    /// Received, and not asked for yet.
    received: RefCell<VecDeque<IncomingDatagram>>,
    sent: Cell<bool>,
    /// The host has been told to wait for the next one.
    waited: Cell<bool>,
}

impl Other for Udp {
    fn subscribe(&self, side: Side) -> Pollable {
        match (&*self.streams.borrow(), side) {
            (None, _) => self.socket.subscribe(),
            (Some((incoming, _)), Side::Read) => {
                // Somebody may wait who has not tried.
                self.waited.set(true);
                incoming.subscribe()
            }
            (Some((_, outgoing)), Side::Write) => outgoing.subscribe(),
        }
    }

    /// Dropping the outgoing stream waits for what is on its way (wasmtime-wasi 48.0.8, p2/host/udp.rs, `drop`).
    fn is_pending(&self) -> bool {
        self.sent.get() && self.permit().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
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
                0 if budget::renewed() => {}
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

    /// Hands the next datagram to `take`, which says whether it is done with.
    fn receive<T>(&self, take: impl FnOnce(&IncomingDatagram) -> (T, bool)) -> io::Result<T> {
        let mut received = self.received.borrow_mut();
        if received.is_empty() {
            let streams = self.streams.borrow();
            let Some((incoming, _)) = &*streams else { return Err(io::ErrorKind::NotConnected.into()) };
            received.extend(incoming.receive(BATCH).map_err(error)?);
        }
        let Some(datagram) = received.front() else {
            self.waited.set(true);
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let (taken, done) = take(datagram);
        if done {
            received.pop_front();
        }
        Ok(taken)
    }

    /// New streams: for one peer, or for all.
    fn open(&self, peer: Option<SocketAddr>) -> io::Result<()> {
        // The old ones go first: there may be one pair at a time, or the host traps.
        self.streams.take();
        if self.waited.take() {
            // wasmtime has a task of its own wait for a datagram. Dropping the stream aborts it, but it lets go of the socket
            // when it runs next, and until then `stream` traps ("needs exclusive access": wasmtime-wasi 48.0.8, p2/udp.rs
            // `poll_recv_ready`, p2/host/udp.rs `stream`). On the stock command that is another thread.
            abi::poll_into(&[subscribe_duration(LET_GO).handle()], &mut [MaybeUninit::uninit()]);
        }
        let streams = self.socket.stream(peer.map(to_wasi)).map_err(error)?;
        self.streams.replace(Some(streams));
        Ok(())
    }
}

impl Source {
    pub(crate) fn udp(v6: bool) -> io::Result<Self> {
        let family = if v6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 };
        let socket = create_udp_socket(family).map_err(error)?;
        let udp = Udp { streams: RefCell::default(), socket, received: RefCell::default(), sent: Cell::default(), waited: Cell::default() };
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
        self.pollables = Default::default();
        self.as_udp()?.open(peer)
    }

    pub(crate) fn try_send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        self.try_send_many(&[(buf, to)]).map(|_| buf.len())
    }

    /// How many of them have been sent.
    pub(crate) fn try_send_many(&self, datagrams: &[(&[u8], Option<SocketAddr>)]) -> io::Result<usize> {
        // One that is too large is refused when it is the first: the host traps at a list of 2^28 bytes.
        if datagrams.first().is_some_and(|(data, _)| data.len() > MOST) {
            return Err(io::Error::from_raw_os_error(TOO_LARGE));
        }
        let batch = datagrams.iter().take(BATCH as usize).take_while(|(data, _)| data.len() <= MOST);
        let batch: Vec<_> = batch
            .map(|(data, to)| OutgoingDatagram { data: data.to_vec(), remote_address: to.map(to_wasi) })
            .collect();
        self.as_udp()?.send(&batch)
    }

    pub(crate) fn try_receive(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        self.as_udp()?.receive(|datagram| {
            let n = datagram.data.len().min(buf.len());
            buf[..n].copy_from_slice(&datagram.data[..n]);
            ((n, from_wasi(datagram.remote_address)), !peek)
        })
    }

    pub(crate) fn udp_local_addr(&self) -> io::Result<SocketAddr> {
        self.as_udp()?.socket.local_address().map(from_wasi).map_err(error)
    }

    pub(crate) fn udp_peer_addr(&self) -> io::Result<SocketAddr> {
        self.as_udp()?.socket.remote_address().map(from_wasi).map_err(|code| match code {
            ErrorCode::InvalidState => io::ErrorKind::NotConnected.into(),
            code => error(code),
        })
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
