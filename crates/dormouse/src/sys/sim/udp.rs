//! UDP and names: a simulated network has none yet.

use std::io;
use std::net::SocketAddr;

use super::{Source, World, host};

impl Source {
    pub(crate) fn udp(v6: bool) -> io::Result<Self> {
        match World::current() {
            Some(_) => unsupported(),
            None => host::Source::udp(v6).map(Source::Host),
        }
    }

    pub(crate) fn start_bind_udp(&self, addr: SocketAddr) -> io::Result<()> {
        self.host()?.start_bind_udp(addr)
    }

    pub(crate) fn try_finish_bind_udp(&self) -> io::Result<()> {
        self.host()?.try_finish_bind_udp()
    }

    pub(crate) fn into_udp(self) -> Source {
        match self {
            Source::Host(source) => Source::Host(source.into_udp()),
            sim => sim,
        }
    }

    pub(crate) fn connect_udp(&mut self, peer: Option<SocketAddr>) -> io::Result<()> {
        match self {
            Source::Host(source) => source.connect_udp(peer),
            Source::Sim(_) => unsupported(),
        }
    }

    pub(crate) fn try_send(&self, buf: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        self.host()?.try_send(buf, to)
    }

    pub(crate) fn try_send_many<'a>(
        &self,
        datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>,
    ) -> io::Result<usize> {
        self.host()?.try_send_many(datagrams)
    }

    pub(crate) fn try_receive(&self, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
        self.host()?.try_receive(buf, peek)
    }

    pub(crate) fn try_receive_many(&self, limit: usize, take: impl FnMut(Vec<u8>, SocketAddr)) -> io::Result<usize> {
        self.host()?.try_receive_many(limit, take)
    }

    pub(crate) fn udp_local_addr(&self) -> io::Result<SocketAddr> {
        self.host()?.udp_local_addr()
    }

    pub(crate) fn udp_peer_addr(&self) -> io::Result<SocketAddr> {
        self.host()?.udp_peer_addr()
    }

    pub(crate) fn lookup(host: &str) -> io::Result<Self> {
        match World::current() {
            Some(_) => Err(crate::base::error(io::ErrorKind::Unsupported, "a simulated network has no names yet")),
            None => host::Source::lookup(host).map(Source::Host),
        }
    }

    pub(crate) fn try_next_address(&self) -> io::Result<Option<SocketAddr>> {
        self.host()?.try_next_address()
    }

    fn host(&self) -> io::Result<&host::Source> {
        match self {
            Source::Host(source) => Ok(source),
            Source::Sim(_) => unsupported(),
        }
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(crate::base::error(io::ErrorKind::Unsupported, "a simulated network has no UDP yet"))
}
