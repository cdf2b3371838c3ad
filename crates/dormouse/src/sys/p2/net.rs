//! TCP over `wasi:sockets`. Every call returns at once.

use std::cell::OnceCell;
use std::io;
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};

use wasip2::io::streams::StreamError;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};
use wasip2::sockets::tcp::{self, ShutdownType};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use super::clock::has_budget_again;
use super::{Source, abi};
use crate::sys::quirks::{budget, short_read, slow_close};
use crate::sys::wasi::{GATHER, gathered};

/// What wasmtime reads at once, at the most (wasmtime-wasi 48.0.8, `MAX_READ_SIZE_ALLOC`).
const MOST_READ: usize = 64 * 1024;

/// Connections that one accept passes over, because their peers have gone, before others have a turn.
const MOST_GONE: usize = 16;

thread_local! {
    /// The host's default network, asked for once and never given back.
    static NETWORK: OnceCell<ManuallyDrop<Network>> = const { OnceCell::new() };
}

pub(super) fn with_network<T>(call: impl FnOnce(&Network) -> T) -> T {
    NETWORK.with(|network| call(network.get_or_init(|| ManuallyDrop::new(instance_network()))))
}

// ---- a socket that is not yet a listener or a stream ----

impl Source {
    pub(crate) fn tcp(v6: bool) -> io::Result<Self> {
        let family = if v6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 };
        let socket = create_tcp_socket(family).map_err(opening)?;
        Ok(Source { socket: Some(socket), ..Source::default() })
    }

    pub(crate) fn start_bind(&self, addr: SocketAddr) -> io::Result<()> {
        with_network(|network| self.socket()?.start_bind(network, to_wasi(addr)).map_err(error))
    }

    pub(crate) fn try_finish_bind(&self) -> io::Result<()> {
        self.socket()?.finish_bind().map_err(error)
    }

    pub(crate) fn start_listen(&self, backlog: u32) -> io::Result<()> {
        let socket = self.socket()?;
        socket.set_listen_backlog_size(backlog.max(1).into()).map_err(error)?;
        socket.start_listen().map_err(error)
    }

    pub(crate) fn try_finish_listen(&self) -> io::Result<()> {
        self.socket()?.finish_listen().map_err(error)
    }

    pub(crate) fn start_connect(&self, addr: SocketAddr) -> io::Result<()> {
        with_network(|network| self.socket()?.start_connect(network, to_wasi(addr)).map_err(error))
    }

    pub(crate) fn try_finish_connect(&self) -> io::Result<()> {
        let (input, output) = loop {
            match self.socket()?.finish_connect() {
                Ok(streams) => break streams,
                Err(ErrorCode::WouldBlock) if has_budget_again() => {}
                Err(code) => return Err(error(code)),
            }
        };
        let _ = (self.input.set(input), self.output.set(output));
        Ok(())
    }

    pub(crate) fn into_listener(self) -> Source {
        self.into_stream()
    }

    /// Without the pollables it has: those are for "bound", "listening" or "connected", and a stream's are others.
    pub(crate) fn into_stream(mut self) -> Source {
        self.pollables = Default::default();
        self
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.local_address().map(from_wasi).map_err(error)
    }
}

// ---- a listener ----

impl Source {
    pub(crate) fn try_accept(&self) -> io::Result<(Source, SocketAddr)> {
        for _ in 0..MOST_GONE {
            budget::spend(budget::ACCEPT);
            let (socket, input, output) = match self.socket()?.accept() {
                Ok(accepted) => accepted,
                Err(ErrorCode::WouldBlock) if has_budget_again() => continue,
                Err(code) => return Err(opening(code)),
            };
            let peer = socket.remote_address();
            let source =
                Source { input: input.into(), output: output.into(), socket: Some(socket), ..Source::default() };
            match peer {
                Ok(peer) => {
                    return Ok((source, from_wasi(peer)));
                }
                // The peer has reset it since: nobody to talk to and no address to tell. The next one, please.
                Err(ErrorCode::InvalidState | ErrorCode::ConnectionReset | ErrorCode::ConnectionAborted) => {}
                Err(code) => return Err(opening(code)),
            }
        }
        // The poller reports the rest of them at once, when the others have had their turn.
        Err(io::ErrorKind::WouldBlock.into())
    }
}

// ---- a stream ----

impl Source {
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let (Some(input), false) = (self.input.get(), buf.is_empty()) else { return Ok(0) };
        budget::spend(budget::READ);
        let when_empty = self.when_empty.get();
        let is_believed = short_read::is_believed() && when_empty.is_none();
        self.drained.read(buf.len().min(MOST_READ), is_believed, || match abi::read(input, buf) {
            Ok(0) => when_empty.map_or_else(|| Err(io::ErrorKind::WouldBlock.into()), |end| end(self)),
            Ok(n) => Ok(n),
            Err(StreamError::Closed) => Ok(0),
            Err(StreamError::LastOperationFailed(cause)) => Err(stream_error(&cause)),
        })
    }

    pub(crate) fn try_read_vectored(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        match bufs.iter_mut().find(|buf| !buf.is_empty()) {
            Some(buf) => self.try_read(buf),
            None => Ok(0),
        }
    }

    pub(crate) fn try_peek(&self, _buf: &mut [u8]) -> io::Result<usize> {
        Err(crate::base::error(
            io::ErrorKind::Unsupported,
            "peek: wasm32-wasip2 has no such call (wasi:io/streams reads take what they return); \
             read into a buffer and look at that",
        ))
    }

    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        if self.shut_writing.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (Some(output), false) = (self.output.get(), buf.is_empty()) else { return self.try_write_nothing() };
        // More than the permit is a trap.
        let n = buf.len().min(self.permit()?);
        budget::spend(budget::WRITE);
        output.write(&buf[..n]).map_err(write_error)?;
        self.wrote.set(true);
        Ok(n)
    }

    /// A socket to which nothing can be written says so, as it does natively.
    #[cold]
    fn try_write_nothing(&self) -> io::Result<usize> {
        match self.permit() {
            Err(error) if self.socket.is_some() && error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(0),
        }
    }

    pub(crate) fn try_write_vectored(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        let (Some(first), rest) = (filled.next(), filled) else { return self.try_write(&[]) };
        let mut rest = rest.peekable();
        if rest.peek().is_none() || first.len() >= GATHER {
            return self.try_write(first);
        }
        gathered(std::iter::once(first).chain(rest), |all| self.try_write(all))
    }

    /// Whether all that was written has left the host's hands; `WouldBlock` if not. A standard stream is only asked to hold nothing
    /// back: WASI 0.2 has no other sign that it does not than room for more, and to wait for that may be to wait for a reader of what is out
    /// already, in a full pipe.
    pub(crate) fn try_drain(&self) -> io::Result<()> {
        match (&self.socket, self.output.get()) {
            (None, Some(output)) => output.flush().map_err(write_error),
            _ => match self.permit() {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                permit => permit.map(|_| ()),
            },
        }
    }

    /// The host is told of writing only: its way of shutting reading down is to throw away what has come (wasmtime-wasi 48.0.8,
    /// p2/tcp.rs, `ReadState`). When both are shut down and all has been read, it is told of that too.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // The host would not say that the peer has gone.
        self.peer_addr()?;
        if how != Shutdown::Read {
            self.socket()?.shutdown(ShutdownType::Send).map_err(stream_state)?;
            self.shut_writing.set(true);
        }
        if how != Shutdown::Write {
            self.when_empty.set(Some(Source::end_reading));
            self.drained.set(false);
        }
        Ok(())
    }

    /// Reading is shut down, and nothing more has come.
    fn end_reading(&self) -> io::Result<usize> {
        if has_budget_again() {
            // Asked again: this may have been for want of budget.
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.shut_writing.get() {
            // What comes now resets the connection, as it does natively.
            let _ = self.socket()?.shutdown(ShutdownType::Receive);
        }
        Ok(0)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket()?.remote_address().map(from_wasi).map_err(stream_state)
    }

    /// Whether something that was written is still on its way. Dropping an output stream then waits for it, with the whole
    /// guest (wasmtime-wasi 48.0.8, p2/tcp.rs `cancel`); a peer that does not read would freeze everybody.
    pub(crate) fn is_pending(&self) -> bool {
        if let Some(other) = &self.other {
            return other.is_pending();
        }
        (self.socket.is_none() || slow_close::may_wait())
            && self.wrote.get()
            && self.permit().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(super) fn socket(&self) -> io::Result<&tcp::TcpSocket> {
        self.socket.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// How much may be written now; `WouldBlock` if nothing.
    #[inline(never)]
    fn permit(&self) -> io::Result<usize> {
        let Some(output) = self.output.get() else { return Err(io::ErrorKind::NotConnected.into()) };
        loop {
            budget::spend(budget::CHECK_WRITE);
            match output.check_write().map_err(write_error)? {
                0 if has_budget_again() => {}
                0 => return Err(io::ErrorKind::WouldBlock.into()),
                permit => return Ok(usize::try_from(permit).unwrap_or(usize::MAX)),
            }
        }
    }
}

fn write_error(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(cause) => stream_error(&cause),
    }
}

/// What a failed stream says. WASI 0.2 has a function that gives the code behind it, but behind a feature gate that
/// hosts keep shut (`network-error-code`, wasi:sockets 0.2 network.wit); so the kind is found in the host's words.
fn stream_error(cause: &wasip2::io::error::Error) -> io::Error {
    let text = cause.to_debug_string();
    let says = |word: &str| text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    let kinds = [
        ("reset", io::ErrorKind::ConnectionReset),
        ("abort", io::ErrorKind::ConnectionAborted),
        ("broken", io::ErrorKind::BrokenPipe),
        ("timeout", io::ErrorKind::TimedOut),
        ("timed", io::ErrorKind::TimedOut),
        ("no space", io::ErrorKind::StorageFull),
    ];
    let kind = kinds.iter().find(|(word, _)| says(word)).map_or(io::ErrorKind::Other, |&(_, kind)| kind);
    crate::base::error(kind, text)
}

/// The error of a stream, which is in the wrong state when its peer has gone.
fn stream_state(code: ErrorCode) -> io::Error {
    match code {
        ErrorCode::InvalidState => io::ErrorKind::NotConnected.into(),
        code => error(code),
    }
}

/// The kind says it all, in std's words.
pub(super) fn error(code: ErrorCode) -> io::Error {
    let kind = match code {
        ErrorCode::WouldBlock => io::ErrorKind::WouldBlock,
        ErrorCode::AccessDenied => io::ErrorKind::PermissionDenied,
        ErrorCode::NotSupported => io::ErrorKind::Unsupported,
        ErrorCode::InvalidArgument | ErrorCode::InvalidState => io::ErrorKind::InvalidInput,
        ErrorCode::OutOfMemory => io::ErrorKind::OutOfMemory,
        ErrorCode::Timeout => io::ErrorKind::TimedOut,
        ErrorCode::ConcurrencyConflict | ErrorCode::NotInProgress => io::ErrorKind::ResourceBusy,
        ErrorCode::AddressNotBindable => io::ErrorKind::AddrNotAvailable,
        ErrorCode::AddressInUse => io::ErrorKind::AddrInUse,
        ErrorCode::RemoteUnreachable => io::ErrorKind::HostUnreachable,
        ErrorCode::ConnectionRefused => io::ErrorKind::ConnectionRefused,
        ErrorCode::ConnectionReset => io::ErrorKind::ConnectionReset,
        ErrorCode::ConnectionAborted => io::ErrorKind::ConnectionAborted,
        ErrorCode::NewSocketLimit => return crate::base::exhausted(),
        _ => return crate::base::error(io::ErrorKind::Other, "the host does not say why"),
    };
    kind.into()
}

/// Why a socket could not be made, by opening one or by accepting. wasmtime takes EMFILE and ENFILE for `other` and so says
/// `unknown` (wasmtime-wasi 48.0.8, sockets/mod.rs, `From<&Errno>`); of all that a system may say here it is the only one without a code.
pub(super) fn opening(code: ErrorCode) -> io::Error {
    match code {
        ErrorCode::Unknown => crate::base::exhausted(),
        code => error(code),
    }
}

pub(super) fn to_wasi(addr: SocketAddr) -> IpSocketAddress {
    match addr {
        SocketAddr::V4(addr) => {
            let [a, b, c, d] = addr.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: addr.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(addr) => {
            let [a, b, c, d, e, f, g, h] = addr.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: addr.port(),
                flow_info: addr.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: addr.scope_id(),
            })
        }
    }
}

pub(super) fn from_wasi(addr: IpSocketAddress) -> SocketAddr {
    match addr {
        IpSocketAddress::Ipv4(addr) => {
            let (a, b, c, d) = addr.address;
            SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), addr.port))
        }
        IpSocketAddress::Ipv6(addr) => {
            let (a, b, c, d, e, f, g, h) = addr.address;
            let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
            SocketAddr::V6(SocketAddrV6::new(ip, addr.port, addr.flow_info, addr.scope_id))
        }
    }
}
