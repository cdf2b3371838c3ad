//! UDP over the system's sockets, non-blocking. Every call returns at once.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::Source;
use crate::sys::datagrams::Datagrams;

/// The longest datagram there is: 65 535 bytes less the headers of IP and UDP, and as IPv6 has it a little more.
const LONGEST: usize = 65_535;

thread_local! {
    /// Where datagrams of a batch are received: their length is not known before. One for all sockets of the thread, made
    /// when the first one has something.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(crate) struct Udp {
    pub(super) socket: UdpSocket,
    datagrams: Datagrams,
}

impl Udp {
    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        // Linux connects to port 0, and then refuses to send.
        if peer.port() == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if let Err(error) = self.socket.connect(peer) {
            // Linux has written the new address into the socket's flow by then, and sends the second datagram from now on to
            // it and not to the peer that the socket still has (seen on 6.18, net/ipv4/datagram.c).
            if let Ok(before) = self.datagrams.peer() {
                let _ = self.socket.connect(before);
            }
            return Err(self.of_address(error, peer));
        }
        self.datagrams.set_peer(self.socket.peer_addr()?);
        Ok(())
    }

    fn send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        match to {
            Some(to) => self.socket.send_to(buf, to).map_err(|error| self.of_address(error, to)),
            None => {
                self.datagrams.peer()?;
                self.socket.send(buf)
            }
        }
    }

    /// An error at the use of an address. std has no kind for an address of the other family.
    fn of_address(&self, error: io::Error, addr: SocketAddr) -> io::Error {
        match self.socket.local_addr() {
            Ok(local) if local.is_ipv6() != addr.is_ipv6() => io::ErrorKind::InvalidInput.into(),
            _ => error,
        }
    }

    fn receive(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        self.datagrams.failed()?;
        loop {
            let (n, from) = if peek { self.socket.peek_from(buf) } else { self.socket.recv_from(buf) }?;
            if self.datagrams.hears(from) {
                return Ok((n, from));
            }
            // It came before the connect. Linux filters what arrives, and not what has arrived.
            if peek {
                let _ = self.socket.recv_from(&mut []);
            }
        }
    }
}

impl Source {
    pub(crate) fn udp(v6: bool) -> io::Result<Self> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(crate::base::told)?;
        socket.set_nonblocking(true)?;
        Ok(Source::Socket(socket))
    }

    pub(crate) fn start_bind_udp(&self, addr: SocketAddr) -> io::Result<()> {
        self.socket().bind(&addr.into())
    }

    pub(crate) fn try_finish_bind_udp(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn into_udp(self) -> Source {
        Source::Udp(Udp { socket: self.into_socket().into(), datagrams: Datagrams::default() })
    }

    /// Talks to this peer alone from now on; as it is bound it talks to all.
    pub(crate) fn connect_udp(&mut self, peer: Option<SocketAddr>) -> io::Result<()> {
        match peer {
            Some(peer) => self.as_udp().connect(peer),
            None => Ok(()),
        }
    }

    pub(crate) fn try_send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        self.as_udp().datagrams.failed()?;
        self.as_udp().send(buf, to)
    }

    /// How many of them have been sent.
    pub(crate) fn try_send_many<'a>(
        &self,
        datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>,
    ) -> io::Result<usize> {
        let udp = self.as_udp();
        udp.datagrams.failed()?;
        udp.datagrams.send_many(datagrams, |(data, to)| udp.send(data, to))
    }

    pub(crate) fn try_receive(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        self.as_udp().receive(buf, peek)
    }

    /// How many have been received and handed to `take`.
    pub(crate) fn try_receive_many(
        &self,
        limit: usize,
        mut take: impl FnMut(Vec<u8>, SocketAddr),
    ) -> io::Result<usize> {
        let udp = self.as_udp();
        let mut room = ROOM.take();
        if room.is_empty() {
            // Nothing is allocated to find nothing. (Windows calls it an error if the datagram is longer than the buffer.)
            match udp.receive(&mut [0], true) {
                Err(error) if cfg!(unix) || error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                _ => room.resize(LONGEST, 0),
            }
        }
        let received = udp.datagrams.receive_many(limit, || {
            let (n, from) = udp.receive(&mut room, false)?;
            take(room[..n].to_vec(), from);
            Ok(())
        });
        ROOM.set(room);
        received
    }

    pub(crate) fn udp_local_addr(&self) -> io::Result<SocketAddr> {
        self.as_udp().socket.local_addr()
    }

    pub(crate) fn udp_peer_addr(&self) -> io::Result<SocketAddr> {
        self.as_udp().datagrams.peer()
    }

    fn as_udp(&self) -> &Udp {
        let Source::Udp(udp) = self else { unreachable!("it is a UDP socket") };
        udp
    }
}
