//! UDP over the system's sockets, non-blocking. Every call returns at once.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::Source;

impl Source {
    pub(crate) fn udp(v6: bool) -> io::Result<Self> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
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
        Source::Udp(self.into_socket().into())
    }

    /// Talks to this peer alone from now on; as it is bound it talks to all.
    pub(crate) fn connect_udp(&mut self, peer: Option<SocketAddr>) -> io::Result<()> {
        match peer {
            Some(peer) => self.as_udp().connect(peer),
            None => Ok(()),
        }
    }

    pub(crate) fn try_send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        match to {
            Some(to) => self.as_udp().send_to(buf, to),
            None => self.as_udp().send(buf),
        }
    }

    /// How many of them have been sent.
    pub(crate) fn try_send_many(&self, datagrams: &[(&[u8], Option<SocketAddr>)]) -> io::Result<usize> {
        for (sent, (data, to)) in datagrams.iter().enumerate() {
            match self.try_send(data, *to) {
                Ok(_) => {}
                Err(error) if sent == 0 => return Err(error),
                // It comes again with the next call.
                Err(_) => return Ok(sent),
            }
        }
        Ok(datagrams.len())
    }

    pub(crate) fn try_receive(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        match peek {
            true => self.as_udp().peek_from(buf),
            false => self.as_udp().recv_from(buf),
        }
    }

    pub(crate) fn udp_local_addr(&self) -> io::Result<SocketAddr> {
        self.as_udp().local_addr()
    }

    pub(crate) fn udp_peer_addr(&self) -> io::Result<SocketAddr> {
        self.as_udp().peer_addr()
    }

    fn as_udp(&self) -> &UdpSocket {
        let Source::Udp(socket) = self else { unreachable!("it is a UDP socket") };
        socket
    }
}
