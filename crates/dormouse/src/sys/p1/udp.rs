//! UDP and the lookup of names: there are none.

use std::io;
use std::net::SocketAddr;

use super::{Kind, Source};
use crate::base::error;

const NO_UDP: &str = "wasm32-wasip1 has no call for UDP; build for wasm32-wasip2";

impl Source {
    pub(crate) fn udp(_v6: bool) -> io::Result<Self> {
        Ok(Source { descriptor: None, kind: Kind::Socket, drained: Default::default() })
    }

    pub(crate) fn start_bind_udp(&self, _addr: SocketAddr) -> io::Result<()> {
        unsupported()
    }

    pub(crate) fn try_finish_bind_udp(&self) -> io::Result<()> {
        unsupported()
    }

    pub(crate) fn into_udp(self) -> Source {
        self
    }

    pub(crate) fn connect_udp(&mut self, _peer: Option<SocketAddr>) -> io::Result<()> {
        unsupported()
    }

    pub(crate) fn try_send(&self, _buf: &[u8], _to: Option<SocketAddr>) -> io::Result<usize> {
        unsupported()
    }

    pub(crate) fn try_send_many<'a>(
        &self,
        _datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>,
    ) -> io::Result<usize> {
        unsupported()
    }

    pub(crate) fn try_receive(&self, _buf: &mut [u8], _peek: bool) -> io::Result<(usize, SocketAddr)> {
        unsupported()
    }

    pub(crate) fn try_receive_many(&self, _limit: usize, _take: impl FnMut(Vec<u8>, SocketAddr)) -> io::Result<usize> {
        unsupported()
    }

    pub(crate) fn udp_local_addr(&self) -> io::Result<SocketAddr> {
        unsupported()
    }

    pub(crate) fn udp_peer_addr(&self) -> io::Result<SocketAddr> {
        unsupported()
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(error(io::ErrorKind::Unsupported, NO_UDP))
}

// ---- names ----

const NO_LOOKUP: &str =
    "wasm32-wasip1 has no call that looks up a name; give an IP address, or build for wasm32-wasip2";

impl Source {
    pub(crate) fn lookup(_host: &str) -> io::Result<Self> {
        Err(error(io::ErrorKind::Unsupported, NO_LOOKUP))
    }

    pub(crate) fn try_next_address(&self) -> io::Result<Option<SocketAddr>> {
        Err(error(io::ErrorKind::Unsupported, NO_LOOKUP))
    }
}
