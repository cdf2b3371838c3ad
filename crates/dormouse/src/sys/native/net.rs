//! TCP over the system's sockets, non-blocking. Every call returns at once.

use std::io::{self, Read, Write};
use std::net::{self, Shutdown, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Source, stdio};
use crate::sys::empty;

/// How many buffers any system takes in a call; Linux takes 1024.
const IOV_MAX: usize = 16;

// ---- a socket that is not yet a listener or a stream ----

impl Source {
    pub(crate) fn tcp(v6: bool) -> io::Result<Self> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(crate::base::told)?;
        socket.set_nonblocking(true)?;
        Ok(Source::Socket(socket))
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

    pub(crate) fn into_listener(self) -> Source {
        Source::Listener(self.into_socket().into())
    }

    pub(crate) fn into_stream(self) -> Source {
        stream(self.into_socket().into())
    }

    pub(super) fn into_socket(self) -> Socket {
        let Source::Socket(socket) = self else { unreachable!("it is a socket") };
        socket
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Source::Listener(listener) => listener.local_addr(),
            Source::Stream(stream, _) => stream.local_addr(),
            _ => to_std(&self.socket().local_addr()?),
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        let Source::Socket(socket) = self else { unreachable!("it is a socket") };
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
    addr.as_socket().ok_or_else(|| crate::base::error(io::ErrorKind::InvalidData, "not an IP address"))
}

// ---- a listener ----

impl Source {
    pub(crate) fn try_accept(&self) -> io::Result<(Source, SocketAddr)> {
        let (stream, peer) = self.listener().accept()?;
        stream.set_nonblocking(true)?;
        Ok((self::stream(stream), peer))
    }

    fn listener(&self) -> &net::TcpListener {
        let Source::Listener(listener) = self else { unreachable!("it is a listener") };
        listener
    }
}

// ---- a stream ----

/// writev(2), which is std's, raises SIGPIPE when the peer has gone, and that ends a process with a `main` in another language. std's
/// `write` sends with this flag, too. Where it does not, on Apple's systems, std and socket2 set an option of the socket.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
fn write_vectored(stream: &net::TcpStream, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    /// UIO_MAXIOV. Beyond it the call fails.
    const MOST: usize = 1024;
    let bufs = &bufs[..bufs.len().min(MOST)];
    Ok(sendmsg(stream, bufs, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)))]
fn write_vectored(mut stream: &net::TcpStream, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
    stream.write_vectored(bufs)
}

fn stream(stream: net::TcpStream) -> Source {
    Source::Stream(stream, Default::default())
}

impl Source {
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        // The system would ask for something to read first.
        if buf.is_empty() {
            return Ok(0);
        }
        match self {
            Source::Stdin(stdin) => stdio::try_read_stdin(stdin, buf),
            _ => self.receive(buf.len(), true, |mut stream| stream.read(buf)),
        }
    }

    pub(crate) fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        if room == 0 {
            return Ok(0);
        }
        let first = empty(bufs);
        let bufs = &mut bufs[first..];
        // Of more than it takes in a call the system leaves the last empty, whatever there is.
        self.receive(room, bufs.len() <= IOV_MAX, |mut stream| stream.read_vectored(bufs))
    }

    pub(crate) fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.stream().peek(buf)
    }

    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Source::Stdout(stdout) => stdio::try_write_stdout(stdout, buf),
            Source::Stderr(stderr) => stdio::try_write_stderr(stderr, buf),
            _ => self.stream().write(buf),
        }
    }

    pub(crate) fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        // The system looks at a list that is empty in all, and not at the socket.
        if bufs.iter().all(|buf| buf.is_empty()) {
            return self.stream().write(&[]);
        }
        write_vectored(self.stream(), &bufs[empty(bufs)..])
    }

    /// Whether all that was written has left our hands: always, the system has it.
    pub(crate) fn try_drain(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream().shutdown(how)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream().peer_addr()
    }

    /// Whether something that was written is still on its way, so that dropping would have to wait: never, the system
    /// sends it.
    pub(crate) fn is_pending(&self) -> bool {
        false
    }

    fn receive(
        &self,
        room: usize,
        is_believed: bool,
        read: impl FnOnce(&net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Source::Stream(stream, drained) = self else { unreachable!("it is a stream") };
        drained.read(room, is_believed, || read(stream))
    }

    fn stream(&self) -> &net::TcpStream {
        let Source::Stream(stream, _) = self else { unreachable!("it is a stream") };
        stream
    }
}
