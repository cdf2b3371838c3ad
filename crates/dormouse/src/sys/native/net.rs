//! TCP over the system's sockets, non-blocking. Every call returns at once.

use std::io::{self, Read, Write};
use std::mem;
use std::net::{self, Shutdown, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use super::Source;
use crate::sys::Resource;

// ---- a socket that is not yet a listener or a stream ----

pub(crate) struct TcpSocket(Source);

impl TcpSocket {
    pub(crate) fn new(v6: bool) -> io::Result<Self> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(TcpSocket(Source::Socket(socket)))
    }

    pub(crate) fn start_bind(&self, addr: SocketAddr) -> io::Result<()> {
        // As std does, and WASI hosts too. On Windows it would let a second socket take the port.
        #[cfg(unix)]
        self.socket().set_reuse_address(true)?;
        self.socket().bind(&addr.into())
    }

    pub(crate) fn try_finish_bind(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn start_listen(&self, backlog: u32) -> io::Result<()> {
        self.socket().listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    pub(crate) fn try_finish_listen(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn start_connect(&self, addr: SocketAddr) -> io::Result<()> {
        match self.socket().connect(&addr.into()) {
            Err(error) if is_in_progress(&error) => Ok(()),
            result => result,
        }
    }

    pub(crate) fn try_finish_connect(&self) -> io::Result<()> {
        if let Some(error) = self.socket().take_error()? {
            return Err(error);
        }
        match self.socket().peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(io::ErrorKind::WouldBlock.into()),
            result => result.map(|_| ()),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        to_std(&self.socket().local_addr()?)
    }

    pub(crate) fn take_listener(&mut self) -> TcpListener {
        TcpListener(Source::Listener(self.take().into()))
    }

    pub(crate) fn take_stream(&mut self) -> TcpStream {
        TcpStream(Source::Stream(self.take().into()))
    }

    fn take(&mut self) -> Socket {
        let Source::Socket(socket) = mem::replace(&mut self.0, Source::Empty) else { unreachable!("made of a socket") };
        socket
    }

    fn socket(&self) -> &Socket {
        let Source::Socket(socket) = &self.0 else { unreachable!("made of a socket") };
        socket
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

fn to_std(addr: &socket2::SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket().ok_or_else(|| crate::io::error(io::ErrorKind::InvalidData, "not an IP address"))
}

impl Resource for TcpSocket {
    fn source(&self) -> &Source {
        &self.0
    }
}

// ---- a listener ----

pub(crate) struct TcpListener(Source);

impl TcpListener {
    pub(crate) fn try_accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.listener().accept()?;
        stream.set_nonblocking(true)?;
        Ok((TcpStream(Source::Stream(stream)), peer))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener().local_addr()
    }

    fn listener(&self) -> &net::TcpListener {
        let Source::Listener(listener) = &self.0 else { unreachable!("made of a listener") };
        listener
    }
}

impl Resource for TcpListener {
    fn source(&self) -> &Source {
        &self.0
    }
}

// ---- a stream ----

pub(crate) struct TcpStream(Source);

impl TcpStream {
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream().read(buf)
    }

    pub(crate) fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        self.stream().read_vectored(bufs)
    }

    pub(crate) fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream().peek(buf)
    }

    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.stream().write(buf)
    }

    pub(crate) fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.stream().write_vectored(bufs)
    }

    /// Whether all that was written has left our hands: always, the system has it.
    pub(crate) fn try_drain(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream().shutdown(how)
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream().local_addr()
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream().peer_addr()
    }

    fn stream(&self) -> &net::TcpStream {
        let Source::Stream(stream) = &self.0 else { unreachable!("made of a stream") };
        stream
    }
}

impl Resource for TcpStream {
    fn source(&self) -> &Source {
        &self.0
    }
}
