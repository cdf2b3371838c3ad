//! TCP sockets of `wasi:sockets` 0.3.
//!
//! ```text
//!   new ── bind ──▶ new, bound ── listen ──▶ listening
//!    │                  │
//!    └──── connect ─────┴──▶ connecting ──▶ connected      each direction is taken once
//!                                  │
//!                                  └──▶ closed, with the error
//! ```

use std::future::poll_fn;
use std::io;
use std::iter;
use std::mem::replace;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net as sys;
use rustix::net::{SocketType, sockopt};
use tokio::io::Interest;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime_wasi::p3::bindings::sockets::types::{
    Duration, ErrorCode, HostTcpSocket, HostTcpSocketWithStore, IpAddressFamily, IpSocketAddress, TcpSocket,
};
use wasmtime_wasi::p3::sockets::{SocketError, SocketResult};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::error::{code, of_bind, refused};
use super::socket::{Counted, Made, Socket, local_addr, peer_addr};
use super::streams::{Incoming, Receive, Send};
use super::{Sockets, options};
use crate::net::Net;
use crate::p2::State;

/// What a listener has that does not say; Rust's std has the same.
const BACKLOG: i32 = 128;

pub(super) struct Tcp {
    state: Stage,
    v6: bool,
    bound: bool,
    backlog: i32,
}

enum Stage {
    New(Made),
    Listening(Arc<Socket>),
    Connecting,
    Connected { socket: Arc<Socket>, received: bool, sent: bool },
    Closed(ErrorCode),
}

impl Tcp {
    pub(super) fn connected(socket: Arc<Socket>, v6: bool) -> Tcp {
        Tcp::after(Stage::Connected { socket, received: false, sent: false }, v6)
    }

    /// A connection that failed when it was accepted.
    pub(super) fn failed(error: ErrorCode, v6: bool) -> Tcp {
        Tcp::after(Stage::Closed(error), v6)
    }

    fn after(state: Stage, v6: bool) -> Tcp {
        Tcp { state, v6, bound: true, backlog: BACKLOG }
    }

    fn fd(&self) -> Result<BorrowedFd<'_>, ErrorCode> {
        match &self.state {
            Stage::New(made) => Ok(made.as_fd()),
            Stage::Listening(socket) | Stage::Connected { socket, .. } => Ok(socket.as_fd()),
            Stage::Connecting => Err(ErrorCode::InvalidState),
            Stage::Closed(error) => Err(error.clone()),
        }
    }

    fn bind(&mut self, net: &Net, addr: SocketAddr) -> Result<(), ErrorCode> {
        let Stage::New(made) = &self.state else { return Err(ErrorCode::InvalidState) };
        if self.bound {
            return Err(ErrorCode::InvalidState);
        }
        if !is_unicast(addr.ip()) || !is_of_family(addr.ip(), self.v6) {
            return Err(ErrorCode::InvalidArgument);
        }
        if !net.may_bind(addr) {
            return Err(ErrorCode::AccessDenied);
        }
        // A listener that follows another must not wait until the last one's connections are forgotten.
        let _ = sockopt::set_socket_reuseaddr(made, true);
        sys::bind(made, &addr).map_err(of_bind)?;
        self.bound = true;
        Ok(())
    }

    /// Returns what waits for the connection, and its outcome is for [`Tcp::finish_connect`].
    fn start_connect(&mut self, net: &Net, addr: SocketAddr) -> Result<Arc<Socket>, ErrorCode> {
        if !matches!(self.state, Stage::New(_)) {
            return Err(ErrorCode::InvalidState);
        }
        let ip = addr.ip();
        if !is_unicast(ip) || !is_of_family(ip, self.v6) || ip.is_unspecified() || addr.port() == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let Stage::New(made) = replace(&mut self.state, Stage::Connecting) else {
            return Err(ErrorCode::InvalidState);
        };
        let implicit = SocketAddrUse::TcpBind;
        let allowed =
            (self.bound || net.check(unspecified(self.v6), implicit)) && net.check(addr, SocketAddrUse::TcpConnect);
        let started = match allowed {
            true => connect(made, addr).map_err(|error| code(&error)),
            false => Err(ErrorCode::AccessDenied),
        };
        started.map(Arc::new).inspect_err(|error| self.state = Stage::Closed(error.clone()))
    }

    fn finish_connect(&mut self, socket: Arc<Socket>, how: io::Result<()>) -> Result<(), ErrorCode> {
        match how {
            Ok(()) => {
                self.bound = true;
                self.state = Stage::Connected { socket, received: false, sent: false };
                Ok(())
            }
            Err(error) => {
                let error = code(&error);
                self.state = Stage::Closed(error.clone());
                Err(error)
            }
        }
    }

    fn listen(&mut self, net: &Net) -> Result<Arc<Socket>, ErrorCode> {
        let Stage::New(made) = &self.state else { return Err(ErrorCode::InvalidState) };
        let addr = match self.bound {
            true => local_addr(made.as_fd()).map_err(|error| code(&error))?,
            false => unspecified(self.v6),
        };
        let allowed =
            (self.bound || net.check(addr, SocketAddrUse::TcpBind)) && net.check(addr, SocketAddrUse::TcpListen);
        if !allowed {
            return Err(ErrorCode::AccessDenied);
        }
        // Not every system binds a socket that listens.
        if !self.bound {
            sys::bind(made, &addr).map_err(of_bind)?;
            self.bound = true;
        }
        sys::listen(made, self.backlog).map_err(|errno| code(&errno.into()))?;
        let Stage::New(made) = replace(&mut self.state, Stage::Closed(ErrorCode::InvalidState)) else {
            return Err(ErrorCode::InvalidState);
        };
        match made.register(Interest::READABLE, false) {
            Ok(socket) => {
                let socket = Arc::new(socket);
                self.state = Stage::Listening(Arc::clone(&socket));
                Ok(socket)
            }
            Err(error) => {
                let error = code(&error);
                self.state = Stage::Closed(error.clone());
                Err(error)
            }
        }
    }

    fn take_receive(&mut self) -> Result<Arc<Socket>, ErrorCode> {
        match &mut self.state {
            Stage::Connected { socket, received, .. } if !*received => {
                *received = true;
                Ok(Arc::clone(socket))
            }
            Stage::Closed(error) => Err(error.clone()),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    fn take_send(&mut self) -> Result<Arc<Socket>, ErrorCode> {
        match &mut self.state {
            Stage::Connected { socket, sent, .. } if !*sent => {
                *sent = true;
                Ok(Arc::clone(socket))
            }
            Stage::Closed(error) => Err(error.clone()),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    fn set_backlog(&mut self, connections: u64) -> Result<(), ErrorCode> {
        if connections == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let backlog = i32::try_from(connections).unwrap_or(i32::MAX);
        match &self.state {
            Stage::New(_) => {}
            Stage::Listening(socket) => {
                sys::listen(socket, backlog).map_err(|_| ErrorCode::NotSupported)?;
            }
            Stage::Closed(error) => return Err(error.clone()),
            _ => return Err(ErrorCode::InvalidState),
        }
        self.backlog = backlog;
        Ok(())
    }

    fn local_addr(&self) -> Result<SocketAddr, ErrorCode> {
        let fd = self.fd()?;
        if !self.bound {
            return Err(ErrorCode::InvalidState);
        }
        local_addr(fd).map_err(|error| code(&error))
    }

    fn peer_addr(&self) -> Result<SocketAddr, ErrorCode> {
        match &self.state {
            Stage::Connected { socket, .. } => peer_addr(socket.as_fd()).map_err(|error| code(&error)),
            Stage::Closed(error) => Err(error.clone()),
            _ => Err(ErrorCode::InvalidState),
        }
    }
}

fn connect(made: Made, addr: SocketAddr) -> io::Result<Socket> {
    match sys::connect(&made, &addr) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    made.register(Interest::READABLE | Interest::WRITABLE, false)
}

/// Whether an error of accept is of the connection that would have come: Linux reports those of the network there (accept(2)).
pub(super) fn skips(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    #[cfg(target_os = "linux")]
    if errno == Some(Errno::NONET) {
        return true;
    }
    matches!(
        errno,
        Some(
            Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::NETRESET
                | Errno::NETDOWN
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
        )
    )
}

pub(super) fn unspecified(v6: bool) -> SocketAddr {
    match v6 {
        true => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        false => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
    }
}

/// IPv4 in IPv6 form is of neither: sockets of IPv6 take IPv6 only. Nor is what was "compatible" with IPv4 until 2006.
pub(super) fn is_of_family(ip: IpAddr, v6: bool) -> bool {
    match ip {
        IpAddr::V4(_) => !v6,
        IpAddr::V6(ip) => {
            let compatible =
                matches!(ip.segments(), [0, 0, 0, 0, 0, 0, _, _]) && !ip.is_unspecified() && !ip.is_loopback();
            v6 && !compatible && ip.to_ipv4_mapped().is_none()
        }
    }
}

fn is_unicast(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast(),
    }
}

fn ours(socket: &Resource<TcpSocket>) -> Resource<Tcp> {
    Resource::new_borrow(socket.rep())
}

fn get<'a>(state: &'a State, socket: &Resource<TcpSocket>) -> SocketResult<&'a Tcp> {
    state.table.get(&ours(socket)).map_err(SocketError::trap)
}

fn get_mut<'a>(state: &'a mut State, socket: &Resource<TcpSocket>) -> SocketResult<&'a mut Tcp> {
    state.table.get_mut(&ours(socket)).map_err(SocketError::trap)
}

/// The socket as the program gets it.
pub(super) fn push(state: &mut State, socket: Tcp) -> wasmtime::Result<Resource<TcpSocket>> {
    Ok(Resource::new_own(state.table.push(socket)?.rep()))
}

impl HostTcpSocketWithStore<State> for Sockets {
    async fn connect(
        store: &Accessor<State, Self>,
        socket: Resource<TcpSocket>,
        addr: IpSocketAddress,
    ) -> SocketResult<()> {
        let connecting = store.with(|mut store| -> SocketResult<_> {
            let state: &mut State = store.get();
            let net = Arc::clone(&state.net);
            Ok(get_mut(state, &socket)?.start_connect(&net, addr.into())?)
        })?;
        let how = poll_fn(|cx| connecting.poll_connected(cx)).await;
        store.with(|mut store| Ok(get_mut(store.get(), &socket)?.finish_connect(connecting, how)?))
    }

    async fn listen(
        mut store: Access<'_, State, Self>,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<StreamReader<Resource<TcpSocket>>> {
        let state: &mut State = store.get();
        let net = Arc::clone(&state.net);
        let socket = get_mut(state, &socket)?;
        let incoming = Incoming::new(socket.listen(&net)?, socket.v6, net);
        StreamReader::new(&mut store, incoming).map_err(SocketError::trap)
    }

    fn send(
        mut store: Access<'_, State, Self>,
        socket: Resource<TcpSocket>,
        mut data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
        match store.get().table.get_mut(&ours(&socket))?.take_send() {
            Ok(socket) => {
                let (send, ended) = Send::new(socket);
                data.pipe(&mut store, send)?;
                FutureReader::new(&mut store, ended)
            }
            Err(error) => {
                data.close(&mut store)?;
                FutureReader::new(&mut store, async move { wasmtime::error::Ok(Err(error)) })
            }
        }
    }

    fn receive(
        mut store: Access<'_, State, Self>,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>)> {
        match store.get().table.get_mut(&ours(&socket))?.take_receive() {
            Ok(socket) => {
                let (receive, ended) = Receive::new(socket);
                Ok((StreamReader::new(&mut store, receive)?, FutureReader::new(&mut store, ended)?))
            }
            Err(error) => Ok((
                StreamReader::new(&mut store, iter::empty())?,
                FutureReader::new(&mut store, async move { wasmtime::error::Ok(Err(error)) })?,
            )),
        }
    }
}

impl HostTcpSocket for State {
    fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.open_socket(Net::open_tcp).map_err(refused)?;
        let counted = Counted::new(&self.net.sockets);
        let v6 = matches!(family, IpAddressFamily::Ipv6);
        let made = Made::new(v6, SocketType::STREAM, counted).map_err(|error| code(&error))?;
        if self.nodelay {
            sockopt::set_tcp_nodelay(&made, true).map_err(|errno| code(&errno.into()))?;
        }
        let socket = Tcp { state: Stage::New(made), v6, bound: false, backlog: BACKLOG };
        push(self, socket).map_err(SocketError::trap)
    }

    async fn bind(&mut self, socket: Resource<TcpSocket>, addr: IpSocketAddress) -> SocketResult<()> {
        let net = Arc::clone(&self.net);
        Ok(get_mut(self, &socket)?.bind(&net, addr.into())?)
    }

    fn get_local_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(get(self, &socket)?.local_addr()?.into())
    }

    fn get_remote_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(get(self, &socket)?.peer_addr()?.into())
    }

    fn get_is_listening(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(matches!(self.table.get(&ours(&socket))?.state, Stage::Listening(_)))
    }

    fn get_address_family(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(match self.table.get(&ours(&socket))?.v6 {
            true => IpAddressFamily::Ipv6,
            false => IpAddressFamily::Ipv4,
        })
    }

    fn set_listen_backlog_size(&mut self, socket: Resource<TcpSocket>, connections: u64) -> SocketResult<()> {
        Ok(get_mut(self, &socket)?.set_backlog(connections)?)
    }

    fn get_keep_alive_enabled(&mut self, socket: Resource<TcpSocket>) -> SocketResult<bool> {
        Ok(options::keep_alive_enabled(get(self, &socket)?.fd()?)?)
    }

    fn set_keep_alive_enabled(&mut self, socket: Resource<TcpSocket>, on: bool) -> SocketResult<()> {
        Ok(options::set_keep_alive_enabled(get(self, &socket)?.fd()?, on)?)
    }

    fn get_keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>) -> SocketResult<Duration> {
        Ok(options::keep_alive_idle_time(get(self, &socket)?.fd()?)?)
    }

    fn set_keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>, time: Duration) -> SocketResult<()> {
        Ok(options::set_keep_alive_idle_time(get(self, &socket)?.fd()?, time)?)
    }

    fn get_keep_alive_interval(&mut self, socket: Resource<TcpSocket>) -> SocketResult<Duration> {
        Ok(options::keep_alive_interval(get(self, &socket)?.fd()?)?)
    }

    fn set_keep_alive_interval(&mut self, socket: Resource<TcpSocket>, time: Duration) -> SocketResult<()> {
        Ok(options::set_keep_alive_interval(get(self, &socket)?.fd()?, time)?)
    }

    fn get_keep_alive_count(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u32> {
        Ok(options::keep_alive_count(get(self, &socket)?.fd()?)?)
    }

    fn set_keep_alive_count(&mut self, socket: Resource<TcpSocket>, probes: u32) -> SocketResult<()> {
        Ok(options::set_keep_alive_count(get(self, &socket)?.fd()?, probes)?)
    }

    fn get_hop_limit(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u8> {
        let socket = get(self, &socket)?;
        Ok(options::hop_limit(socket.fd()?, socket.v6)?)
    }

    fn set_hop_limit(&mut self, socket: Resource<TcpSocket>, hops: u8) -> SocketResult<()> {
        let socket = get(self, &socket)?;
        Ok(options::set_hop_limit(socket.fd()?, socket.v6, hops)?)
    }

    fn get_receive_buffer_size(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(options::receive_buffer_size(get(self, &socket)?.fd()?)?)
    }

    fn set_receive_buffer_size(&mut self, socket: Resource<TcpSocket>, bytes: u64) -> SocketResult<()> {
        Ok(options::set_receive_buffer_size(get(self, &socket)?.fd()?, bytes)?)
    }

    fn get_send_buffer_size(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(options::send_buffer_size(get(self, &socket)?.fd()?)?)
    }

    fn set_send_buffer_size(&mut self, socket: Resource<TcpSocket>, bytes: u64) -> SocketResult<()> {
        Ok(options::set_send_buffer_size(get(self, &socket)?.fd()?, bytes)?)
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        // Its streams, if there are some, have the descriptor open.
        self.table.delete(Resource::<Tcp>::new_own(socket.rep()))?;
        self.count("wasi:sockets/types.[resource-drop]tcp-socket");
        Ok(())
    }
}
