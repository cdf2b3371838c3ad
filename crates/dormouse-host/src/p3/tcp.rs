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
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime_wasi::p3::bindings::sockets::types::{
    Duration, ErrorCode, HostTcpSocket, HostTcpSocketWithStore, IpAddressFamily, IpSocketAddress, TcpSocket,
};
use wasmtime_wasi::p3::sockets::{SocketError, SocketResult};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::Sockets;
use super::error::{of, of_bind, refused};
use super::socket::Socket;
use super::streams::{Incoming, Receive, Send};
use super::transfer;
use crate::net::Net;
use crate::net::limits::Counted;
use crate::net::returned::Unseen;
use crate::net::tcp::{self, Family};
use crate::p2::State;

/// What a listener has that does not say; Rust's std has the same.
const BACKLOG: u32 = 128;

pub(super) struct Tcp {
    state: Stage,
    family: Family,
    bound: bool,
    backlog: u32,
    /// Of a connection that was accepted.
    unseen: Option<Unseen>,
}

enum Stage {
    New(Arc<Socket>),
    Listening(Arc<Socket>),
    Connecting,
    Connected { socket: Arc<Socket>, received: bool, sent: bool },
    Closed(ErrorCode),
}

impl Tcp {
    pub(super) fn connected(socket: Arc<Socket>, family: Family) -> Tcp {
        socket.set_connected();
        Tcp::after(Stage::Connected { socket, received: false, sent: false }, family)
    }

    /// The same, of a listener that other runs have as well.
    pub(super) fn accepted(socket: Arc<Socket>, family: Family, unseen: Option<Unseen>) -> Tcp {
        let mut tcp = Tcp::connected(socket, family);
        tcp.unseen = unseen;
        tcp
    }

    /// A connection that failed when it was accepted.
    pub(super) fn failed(error: ErrorCode, family: Family) -> Tcp {
        Tcp::after(Stage::Closed(error), family)
    }

    fn after(state: Stage, family: Family) -> Tcp {
        Tcp { state, family, bound: true, backlog: BACKLOG, unseen: None }
    }

    /// The program calls something of it.
    pub(super) fn seen(&self) {
        if let Some(unseen) = &self.unseen {
            unseen.see();
        }
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Socket {
        match &self.state {
            Stage::Connected { socket, .. } => socket,
            _ => panic!("it is no connection"),
        }
    }

    fn socket(&self) -> Result<&Socket, ErrorCode> {
        match &self.state {
            Stage::New(socket) | Stage::Listening(socket) | Stage::Connected { socket, .. } => Ok(socket),
            Stage::Connecting => Err(ErrorCode::InvalidState),
            Stage::Closed(error) => Err(error.clone()),
        }
    }

    fn bind(&mut self, net: &Net, addr: SocketAddr) -> Result<(), ErrorCode> {
        let Stage::New(socket) = &self.state else { return Err(ErrorCode::InvalidState) };
        if self.bound {
            return Err(ErrorCode::InvalidState);
        }
        if !is_unicast(addr.ip()) || !is_of_family(addr.ip(), self.family) {
            return Err(ErrorCode::InvalidArgument);
        }
        if !net.may_bind(addr) {
            return Err(ErrorCode::AccessDenied);
        }
        net.bind_tcp(socket, addr).map_err(of_bind)?;
        self.bound = true;
        Ok(())
    }

    /// Returns what waits for the connection, and its outcome is for [`Tcp::finish_connect`].
    fn start_connect(&mut self, net: &Net, addr: SocketAddr) -> Result<Arc<Socket>, ErrorCode> {
        let Stage::New(socket) = &self.state else { return Err(ErrorCode::InvalidState) };
        let ip = addr.ip();
        if !is_unicast(ip) || !is_of_family(ip, self.family) || ip.is_unspecified() || addr.port() == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let implicit = SocketAddrUse::TcpBind;
        let allowed =
            (self.bound || net.check(unspecified(self.family), implicit)) && net.check(addr, SocketAddrUse::TcpConnect);
        let started = match allowed {
            true => tcp::start_connect(socket, addr).map_err(of),
            false => Err(ErrorCode::AccessDenied),
        };
        let socket = Arc::clone(socket);
        self.state = match &started {
            Ok(()) => Stage::Connecting,
            Err(error) => Stage::Closed(error.clone()),
        };
        started.map(|()| socket)
    }

    fn finish_connect(&mut self, socket: Arc<Socket>, how: io::Result<()>) -> Result<(), ErrorCode> {
        match how {
            Ok(()) => {
                self.bound = true;
                self.state = Stage::Connected { socket, received: false, sent: false };
                Ok(())
            }
            Err(error) => {
                let error = of(error);
                self.state = Stage::Closed(error.clone());
                Err(error)
            }
        }
    }

    fn listen(&mut self, net: &Net) -> Result<Arc<Socket>, ErrorCode> {
        let Stage::New(socket) = &self.state else { return Err(ErrorCode::InvalidState) };
        let addr = match self.bound {
            true => tcp::local_addr(socket).map_err(of)?,
            false => unspecified(self.family),
        };
        let allowed =
            (self.bound || net.check(addr, SocketAddrUse::TcpBind)) && net.check(addr, SocketAddrUse::TcpListen);
        if !allowed {
            return Err(ErrorCode::AccessDenied);
        }
        // Not every system binds a socket that listens.
        if !self.bound {
            net.bind_tcp(socket, addr).map_err(of_bind)?;
            self.bound = true;
        }
        net.listen(socket, self.backlog).map_err(of)?;
        let socket = Arc::clone(socket);
        self.state = Stage::Listening(Arc::clone(&socket));
        Ok(socket)
    }

    fn take_receive(&mut self) -> Result<Arc<Socket>, ErrorCode> {
        self.seen();
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
        self.seen();
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
        let backlog = u32::try_from(connections).unwrap_or(u32::MAX);
        match &self.state {
            Stage::New(_) => {}
            Stage::Listening(socket) => {
                tcp::listen_alone(socket, backlog).map_err(|_| ErrorCode::NotSupported)?;
            }
            Stage::Closed(error) => return Err(error.clone()),
            _ => return Err(ErrorCode::InvalidState),
        }
        self.backlog = backlog;
        Ok(())
    }

    fn local_addr(&self) -> Result<SocketAddr, ErrorCode> {
        let socket = self.socket()?;
        if !self.bound {
            return Err(ErrorCode::InvalidState);
        }
        tcp::local_addr(socket).map_err(of)
    }

    fn peer_addr(&self) -> Result<SocketAddr, ErrorCode> {
        match &self.state {
            Stage::Connected { socket, .. } => tcp::peer_addr(socket).map_err(of),
            Stage::Closed(error) => Err(error.clone()),
            _ => Err(ErrorCode::InvalidState),
        }
    }
}

/// A connection that the program has not looked at is for another run.
impl Drop for Tcp {
    fn drop(&mut self) {
        if let (Some(unseen), Stage::Connected { socket, .. }) = (self.unseen.take(), &self.state) {
            // Where there is no descriptor for it any more it is closed.
            let _ = unseen.dropped(&**socket);
        }
    }
}

pub(super) fn unspecified(family: Family) -> SocketAddr {
    match family {
        Family::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        Family::V6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

/// IPv4 in IPv6 form is of neither: sockets of IPv6 take IPv6 only. Nor is what was "compatible" with IPv4 until 2006.
pub(super) fn is_of_family(ip: IpAddr, family: Family) -> bool {
    match (ip, family) {
        (IpAddr::V4(_), Family::V4) => true,
        (IpAddr::V6(ip), Family::V6) => {
            let compatible = matches!(ip.segments(), [0, 0, 0, 0, 0, 0, _, _]);
            let other = compatible && !ip.is_unspecified() && !ip.is_loopback();
            !other && ip.to_ipv4_mapped().is_none()
        }
        _ => false,
    }
}

pub(super) fn to_wasi(family: Family) -> IpAddressFamily {
    match family {
        Family::V4 => IpAddressFamily::Ipv4,
        Family::V6 => IpAddressFamily::Ipv6,
    }
}

pub(super) fn from_wasi(family: IpAddressFamily) -> Family {
    match family {
        IpAddressFamily::Ipv4 => Family::V4,
        IpAddressFamily::Ipv6 => Family::V6,
    }
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
    state.table.get(&ours(socket)).inspect(|tcp| tcp.seen()).map_err(SocketError::trap)
}

fn get_mut<'a>(state: &'a mut State, socket: &Resource<TcpSocket>) -> SocketResult<&'a mut Tcp> {
    state.table.get_mut(&ours(socket)).inspect(|tcp| tcp.seen()).map_err(SocketError::trap)
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
        let how = poll_fn(|cx| connecting.poll_connect(cx)).await;
        store.with(|mut store| Ok(get_mut(store.get(), &socket)?.finish_connect(connecting, how)?))
    }

    async fn listen(
        mut store: Access<'_, State, Self>,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<StreamReader<Resource<TcpSocket>>> {
        let state: &mut State = store.get();
        let net = Arc::clone(&state.net);
        let socket = get_mut(state, &socket)?;
        let incoming = Incoming::new(socket.listen(&net)?, socket.family, net);
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
                match data.try_into::<Receive>(&mut store) {
                    Ok(receive) => transfer::start(receive, send),
                    Err(data) => data.pipe(&mut store, send)?,
                }
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
        let family = from_wasi(family);
        let fd = tcp::create(family).map_err(of)?;
        let socket = Arc::new(Socket::new(fd, &self.net, counted));
        let socket = Tcp { state: Stage::New(socket), family, bound: false, backlog: BACKLOG, unseen: None };
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
        Ok(to_wasi(self.table.get(&ours(&socket))?.family))
    }

    fn set_listen_backlog_size(&mut self, socket: Resource<TcpSocket>, connections: u64) -> SocketResult<()> {
        Ok(get_mut(self, &socket)?.set_backlog(connections)?)
    }

    fn get_keep_alive_enabled(&mut self, socket: Resource<TcpSocket>) -> SocketResult<bool> {
        Ok(tcp::keep_alive(get(self, &socket)?.socket()?).map_err(of)?)
    }

    fn set_keep_alive_enabled(&mut self, socket: Resource<TcpSocket>, on: bool) -> SocketResult<()> {
        Ok(tcp::set_keep_alive(get(self, &socket)?.socket()?, on).map_err(of)?)
    }

    fn get_keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>) -> SocketResult<Duration> {
        Ok(tcp::keep_alive_idle(get(self, &socket)?.socket()?).map(nanoseconds).map_err(of)?)
    }

    fn set_keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>, time: Duration) -> SocketResult<()> {
        Ok(tcp::set_keep_alive_idle(get(self, &socket)?.socket()?, std::time::Duration::from_nanos(time))
            .map_err(of)?)
    }

    fn get_keep_alive_interval(&mut self, socket: Resource<TcpSocket>) -> SocketResult<Duration> {
        Ok(tcp::keep_alive_interval(get(self, &socket)?.socket()?).map(nanoseconds).map_err(of)?)
    }

    fn set_keep_alive_interval(&mut self, socket: Resource<TcpSocket>, time: Duration) -> SocketResult<()> {
        Ok(tcp::set_keep_alive_interval(get(self, &socket)?.socket()?, std::time::Duration::from_nanos(time))
            .map_err(of)?)
    }

    fn get_keep_alive_count(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u32> {
        Ok(tcp::keep_alive_count(get(self, &socket)?.socket()?).map_err(of)?)
    }

    fn set_keep_alive_count(&mut self, socket: Resource<TcpSocket>, probes: u32) -> SocketResult<()> {
        Ok(tcp::set_keep_alive_count(get(self, &socket)?.socket()?, probes).map_err(of)?)
    }

    fn get_hop_limit(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u8> {
        let socket = get(self, &socket)?;
        Ok(tcp::hop_limit(socket.socket()?, socket.family).map_err(of)?)
    }

    fn set_hop_limit(&mut self, socket: Resource<TcpSocket>, hops: u8) -> SocketResult<()> {
        let socket = get(self, &socket)?;
        Ok(tcp::set_hop_limit(socket.socket()?, socket.family, hops).map_err(of)?)
    }

    fn get_receive_buffer_size(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(tcp::receive_buffer(get(self, &socket)?.socket()?).map_err(of)?)
    }

    fn set_receive_buffer_size(&mut self, socket: Resource<TcpSocket>, bytes: u64) -> SocketResult<()> {
        Ok(tcp::set_receive_buffer(get(self, &socket)?.socket()?, bytes).map_err(of)?)
    }

    fn get_send_buffer_size(&mut self, socket: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(tcp::send_buffer(get(self, &socket)?.socket()?).map_err(of)?)
    }

    fn set_send_buffer_size(&mut self, socket: Resource<TcpSocket>, bytes: u64) -> SocketResult<()> {
        Ok(tcp::set_send_buffer(get(self, &socket)?.socket()?, bytes).map_err(of)?)
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        // Its streams, if there are some, have the descriptor open.
        self.table.delete(Resource::<Tcp>::new_own(socket.rep()))?;
        Ok(())
    }
}
