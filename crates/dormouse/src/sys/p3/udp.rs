//! UDP over `wasi:sockets`. A datagram is a call that goes on by itself: a receive stays under way until one comes, and a
//! send until the host has room; both are looked at by the operations that follow.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use wasip3::sockets::types::{IpSocketAddress, UdpSocket};

use super::abi::Waitable;
use super::call::Call;
use super::convert::{TOO_LARGE, error, family, from_wasi, opening, to_wasi};
use super::{Other, Source, State};
use crate::sys::Side;
use crate::sys::datagrams::{self, Datagrams};

/// No datagram is longer. The host would say so, but traps at a list of 2^28 bytes.
const MOST: usize = u16::MAX as usize;

type Datagram = (Vec<u8>, IpSocketAddress);

struct Udp {
    socket: Rc<UdpSocket>,
    sending: Option<Call<io::Result<()>>>,
    receiving: Option<Call<io::Result<Datagram>>>,
    /// Received, and not asked for yet.
    received: Option<Datagram>,
    datagrams: Rc<Datagrams>,
}

impl Other for Udp {
    fn under_way(&mut self, side: Side) -> Option<Waitable> {
        match side {
            Side::Read => self.receiving.as_ref()?.under_way(),
            Side::Write => self.sending.as_ref()?.under_way(),
        }
    }

    fn is_pending(&mut self) -> bool {
        self.settle().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Udp {
    /// Finishes the send that is under way; `WouldBlock` if it has not ended. Its error, if any, is that of the operation that follows.
    fn settle(&mut self) -> io::Result<()> {
        let Some(call) = &mut self.sending else { return Ok(()) };
        let Some(result) = call.try_finish() else { return Err(io::ErrorKind::WouldBlock.into()) };
        self.sending = None;
        result
    }

    fn send(&mut self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        self.settle()?;
        if to.is_none() {
            self.datagrams.peer()?;
        }
        if buf.len() > MOST {
            return Err(io::Error::from_raw_os_error(TOO_LARGE));
        }
        let (socket, data, to) = (Rc::clone(&self.socket), buf.to_vec(), to.map(to_wasi));
        match Call::new(async move { socket.send(data, to).await.map_err(error) }) {
            Ok(result) => result?,
            Err(call) => self.sending = Some(call),
        }
        Ok(buf.len())
    }

    /// The next datagram that is for the program. What came from others before the connect, the host has as well.
    fn receive(&mut self) -> io::Result<Datagram> {
        self.datagrams.failed()?;
        loop {
            let datagram = self.receive_any()?;
            if self.datagrams.hears(from_wasi(datagram.1)) {
                return Ok(datagram);
            }
        }
    }

    fn receive_any(&mut self) -> io::Result<Datagram> {
        if let Some(datagram) = self.received.take() {
            return Ok(datagram);
        }
        if let Some(call) = &mut self.receiving {
            let Some(result) = call.try_finish() else { return Err(io::ErrorKind::WouldBlock.into()) };
            self.receiving = None;
            return result;
        }
        let socket = Rc::clone(&self.socket);
        match Call::new(async move { socket.receive().await.map_err(error) }) {
            Ok(result) => result,
            Err(call) => {
                self.receiving = Some(call);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    /// A receive that is under way stays so: it takes what comes next, from whichever peer the socket has then.
    fn connect(&mut self, peer: SocketAddr) -> io::Result<()> {
        self.rehearse(peer)?;
        if let Err(code) = self.socket.connect(to_wasi(peer)) {
            if let Ok(before) = self.datagrams.peer() {
                let _ = self.socket.connect(to_wasi(before));
            }
            return Err(error(code));
        }
        self.datagrams.set_peer(peer);
        Ok(())
    }

    /// Connects another socket first. After a connect that fails with EINVAL wasmtime dissolves the association and tries
    /// again, and Linux then takes the port away from a socket that did not ask for a certain one (wasmtime-wasi 48.0.8,
    /// sockets/udp.rs `connect`): the socket would not be what it was before.
    fn rehearse(&self, peer: SocketAddr) -> io::Result<()> {
        let local = self.socket.get_local_address().map(from_wasi).map_err(error)?;
        if datagrams::cannot_fail(local.ip(), peer.ip()) {
            return Ok(());
        }
        let socket = UdpSocket::create(family(local.is_ipv6())).map_err(opening)?;
        // Of a host that allows that address with one port only nothing is learnt.
        match socket.bind(to_wasi(SocketAddr::new(local.ip(), 0))) {
            Ok(()) => socket.connect(to_wasi(peer)).map_err(error),
            Err(_) => Ok(()),
        }
    }
}

impl Source {
    pub(crate) fn udp(v6: bool) -> io::Result<Self> {
        let socket = Rc::new(UdpSocket::create(family(v6)).map_err(opening)?);
        let udp = Udp { socket, sending: None, receiving: None, received: None, datagrams: Rc::default() };
        Ok(Source::new(State::Other(Box::new(udp))))
    }

    pub(crate) fn start_bind_udp(&self, addr: SocketAddr) -> io::Result<()> {
        self.udp_socket()?.bind(to_wasi(addr)).map_err(error)
    }

    pub(crate) fn try_finish_bind_udp(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn into_udp(self) -> Source {
        self
    }

    /// Talks to this peer alone from now on, or, once bound, to all. The poller does not know the source now.
    pub(crate) fn connect_udp(&mut self, peer: Option<SocketAddr>) -> io::Result<()> {
        match peer {
            Some(peer) => self.with_udp(|udp| udp.connect(peer)),
            None => Ok(()),
        }
    }

    pub(crate) fn try_send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        self.with_udp(|udp| {
            udp.datagrams.failed()?;
            udp.send(buf, to)
        })
    }

    /// How many of them have been sent.
    pub(crate) fn try_send_many<'a>(
        &self,
        datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>,
    ) -> io::Result<usize> {
        self.with_udp(|udp| {
            let kept = Rc::clone(&udp.datagrams);
            kept.failed()?;
            kept.send_many(datagrams, |(data, to)| udp.send(data, to))
        })
    }

    pub(crate) fn try_receive(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        self.with_udp(|udp| {
            let (data, from) = udp.receive()?;
            let n = data.len().min(buf.len());
            buf[..n].copy_from_slice(&data[..n]);
            if peek {
                udp.received = Some((data, from));
            }
            Ok((n, from_wasi(from)))
        })
    }

    /// How many have been received and handed to `take`.
    pub(crate) fn try_receive_many(
        &self,
        limit: usize,
        mut take: impl FnMut(Vec<u8>, SocketAddr),
    ) -> io::Result<usize> {
        self.with_udp(|udp| {
            Rc::clone(&udp.datagrams).receive_many(limit, || {
                let (data, from) = udp.receive()?;
                take(data, from_wasi(from));
                Ok(())
            })
        })
    }

    pub(crate) fn udp_local_addr(&self) -> io::Result<SocketAddr> {
        self.udp_socket()?.get_local_address().map(from_wasi).map_err(error)
    }

    pub(crate) fn udp_peer_addr(&self) -> io::Result<SocketAddr> {
        self.with_udp(|udp| udp.datagrams.peer())
    }

    pub(super) fn udp_socket(&self) -> io::Result<Rc<UdpSocket>> {
        self.with_udp(|udp| Ok(Rc::clone(&udp.socket)))
    }

    fn with_udp<T>(&self, call: impl FnOnce(&mut Udp) -> io::Result<T>) -> io::Result<T> {
        let State::Other(other) = &mut *self.state.borrow_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
        let other: &mut dyn Any = &mut **other;
        call(other.downcast_mut().ok_or(io::ErrorKind::NotConnected)?)
    }
}
