//! TCP over descriptors that the host opened. Every call returns at once.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;

use super::abi::{self, RawFd};
use super::descriptor::{self, Descriptor};
use super::{Kind, Source};
use crate::base::error;
use crate::sys::{Side, empty};

// ---- a socket that is not yet a listener or a stream: it never will be ----

const NO_BIND: &str = "wasm32-wasip1 has no call for it; have the host open the listener (`dormouse run --listen ADDR`) \
    and use TcpListener::bind_or_preopened, or build for wasm32-wasip2";
const NO_CONNECT: &str = "wasm32-wasip1 has no call for it; build for wasm32-wasip2, or have the host open the \
    connection and use TcpStream::from_fd";
const NO_ADDRESS: &str = "wasm32-wasip1 has no call that tells the address of a socket";

/// What accepting says of the peer, whose address nobody tells; std says the same here.
const UNKNOWN: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

impl Source {
    pub(crate) fn tcp(_v6: bool) -> io::Result<Self> {
        Ok(Source { descriptor: None, kind: Kind::Socket, drained: Default::default() })
    }

    pub(crate) fn start_bind(&self, _addr: SocketAddr) -> io::Result<()> {
        unsupported(NO_BIND)
    }

    pub(crate) fn try_finish_bind(&self) -> io::Result<()> {
        unsupported(NO_BIND)
    }

    pub(crate) fn start_listen(&self, _backlog: u32) -> io::Result<()> {
        unsupported(NO_BIND)
    }

    pub(crate) fn try_finish_listen(&self) -> io::Result<()> {
        unsupported(NO_BIND)
    }

    pub(crate) fn start_connect(&self, _addr: SocketAddr) -> io::Result<()> {
        unsupported(NO_CONNECT)
    }

    pub(crate) fn try_finish_connect(&self) -> io::Result<()> {
        unsupported(NO_CONNECT)
    }

    pub(crate) fn into_listener(self) -> Source {
        self
    }

    pub(crate) fn into_stream(self) -> Source {
        self
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        unsupported(if self.descriptor.is_some() { NO_ADDRESS } else { NO_BIND })
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        unsupported(NO_ADDRESS)
    }

    pub(super) fn raw(&self) -> io::Result<RawFd> {
        self.fd().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

fn unsupported<T>(sentence: &str) -> io::Result<T> {
    Err(error(io::ErrorKind::Unsupported, sentence))
}

// ---- a listener ----

impl Source {
    pub(crate) fn try_accept(&self) -> io::Result<(Source, SocketAddr)> {
        let Some(listener) = &self.descriptor else { return unsupported(NO_BIND) };
        let accepted = self.told(Side::Read, abi::accept(listener.fd))?;
        let source = Source::new(Descriptor::accepted(accepted), Kind::Socket);
        // WasmEdge 0.14 ignores the flag that goes with the call. One connection tells for all.
        if !listener.accepts_nonblocking.get() {
            let (_, flags) = abi::stat(accepted)?;
            listener.accepts_nonblocking.set(flags & wasip1::FDFLAGS_NONBLOCK != 0);
            descriptor::set_nonblocking(accepted, flags)?;
        }
        Ok((source, UNKNOWN))
    }
}

// ---- a stream ----

impl Source {
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let (fd, room) = (self.raw()?, buf.len());
        match self.kind {
            Kind::Blocking => {
                self.try_ready(Side::Read)?;
                abi::read(fd, buf)
            }
            Kind::Socket | Kind::Stop => self.receive(room, || abi::receive(fd, buf, 0)),
        }
    }

    pub(crate) fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        // A read into more buffers than one call takes is not short if it fills those.
        let first = empty(bufs);
        let last = bufs.len().min(first + abi::BUFFERS);
        let bufs = &mut bufs[first..last];
        let room = bufs.iter().map(|buf| buf.len()).sum();
        if room == 0 {
            return Ok(0);
        }
        let fd = self.raw()?;
        self.receive(room, || abi::receive_vectored(fd, bufs))
    }

    pub(crate) fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let fd = self.raw()?;
        self.told(Side::Read, abi::receive(fd, buf, wasip1::RIFLAGS_RECV_PEEK))
    }

    fn receive(&self, room: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        self.drained.read(room, true, || self.told(Side::Read, call()))
    }

    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let fd = self.raw()?;
        match self.kind {
            Kind::Blocking => self.try_write_blocking(buf),
            Kind::Socket | Kind::Stop => self.told(Side::Write, abi::send(fd, buf)),
        }
    }

    pub(crate) fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        // A host may look at a list that is empty in all, and not at the socket.
        if bufs.iter().all(|buf| buf.is_empty()) {
            return self.try_write(&[]);
        }
        let fd = self.raw()?;
        self.told(Side::Write, abi::send_vectored(fd, &bufs[empty(bufs)..]))
    }

    /// Whether all that was written has left our hands: always, the host has it.
    pub(crate) fn try_drain(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => wasip1::SDFLAGS_RD,
            Shutdown::Write => wasip1::SDFLAGS_WR,
            Shutdown::Both => wasip1::SDFLAGS_RD | wasip1::SDFLAGS_WR,
        };
        abi::shutdown(self.raw()?, how)
    }

    /// Whether something that was written is still on its way, so that dropping would have to wait: never, the host
    /// sends it.
    pub(crate) fn is_pending(&self) -> bool {
        false
    }

    /// What the host said, or, if that is "not ready", why it would not wait for this side, if it has said so.
    fn told<T>(&self, side: Side, result: io::Result<T>) -> io::Result<T> {
        match (&self.descriptor, result) {
            (Some(descriptor), Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                let descriptor: &Rc<Descriptor> = descriptor;
                Err(descriptor::refusal(descriptor.fd, side).map_or(error, abi::error))
            }
            (_, result) => result,
        }
    }
}
