//! UDP sockets of `wasi:sockets` 0.3.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::component::{Accessor, Resource};
use wasmtime_wasi::p3::bindings::sockets::types::{
    ErrorCode, HostUdpSocket, HostUdpSocketWithStore, IpAddressFamily, IpSocketAddress, UdpSocket,
};
use wasmtime_wasi::p3::sockets::{SocketError, SocketResult};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::Sockets;
use super::error::{of, of_bind, refused};
use super::socket::Socket;
use super::tcp::{from_wasi, is_of_family, to_wasi, unspecified};
use crate::net::Net;
use crate::net::limits::Counted;
use crate::net::socket::Side;
use crate::net::tcp::{self, Family};
use crate::net::udp::{self, LONGEST};
use crate::p2::State;

thread_local! {
    /// Where a datagram is received to before its length is known.
    static RECEIVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Udp {
    socket: Arc<Socket>,
    family: Family,
    /// Where it is bound to, by itself or by the system with a connect or a send.
    bound: Option<SocketAddr>,
    /// Receives that wait see it change.
    peer: Arc<Mutex<Option<SocketAddr>>>,
}

impl Udp {
    fn bind(&mut self, net: &Net, addr: SocketAddr) -> Result<(), ErrorCode> {
        if self.bound.is_some() {
            return Err(ErrorCode::InvalidState);
        }
        if !is_of_family(addr.ip(), self.family) {
            return Err(ErrorCode::InvalidArgument);
        }
        if !net.check(addr, SocketAddrUse::UdpBind) {
            return Err(ErrorCode::AccessDenied);
        }
        self.bound = Some(udp::bind(&self.socket, addr).map_err(of_bind)?);
        Ok(())
    }

    fn connect(&mut self, net: &Net, addr: SocketAddr) -> Result<(), ErrorCode> {
        if !self.is_remote(addr) {
            return Err(ErrorCode::InvalidArgument);
        }
        let uses = [SocketAddrUse::UdpSend, SocketAddrUse::UdpReceive];
        if !self.may_bind(net) || !uses.into_iter().all(|what| net.check(addr, what)) {
            return Err(ErrorCode::AccessDenied);
        }
        let bound = self.bound.unwrap_or(unspecified(self.family));
        let connected = udp::connect(&self.socket, addr, bound);
        self.ask_for_addresses();
        connected.map_err(of_bind)
    }

    fn disconnect(&mut self) -> Result<(), ErrorCode> {
        let (Some(bound), Some(_)) = (self.bound, *locked(&self.peer)) else { return Err(ErrorCode::InvalidState) };
        let disconnected = udp::disconnect(&self.socket, bound);
        self.ask_for_addresses();
        disconnected.map_err(of)
    }

    /// The first address that the system has chosen stays: it is what the socket is bound to again without a peer.
    fn ask_for_addresses(&mut self) {
        *locked(&self.peer) = tcp::peer_addr(&self.socket).ok();
        if self.bound.is_none() {
            self.bound = tcp::local_addr(&self.socket).ok().filter(|addr| addr.port() != 0);
        }
    }

    fn is_remote(&self, addr: SocketAddr) -> bool {
        is_of_family(addr.ip(), self.family) && !addr.ip().is_unspecified() && addr.port() != 0
    }

    /// Whether the system may choose the address, if it has none.
    fn may_bind(&self, net: &Net) -> bool {
        self.bound.is_some() || net.check(unspecified(self.family), SocketAddrUse::UdpBind)
    }

    /// Where a datagram may be sent to: `None` is where the socket is connected to.
    fn destination(&self, net: &Net, len: usize, addr: Option<SocketAddr>) -> Result<Option<SocketAddr>, ErrorCode> {
        if len > LONGEST {
            return Err(ErrorCode::DatagramTooLarge);
        }
        let peer = *locked(&self.peer);
        let to = match (addr, peer) {
            (Some(addr), None) if self.is_remote(addr) => addr,
            (Some(addr), Some(peer)) if udp::is_same(peer, addr) => peer,
            (None, Some(peer)) => peer,
            _ => return Err(ErrorCode::InvalidArgument),
        };
        if !self.may_bind(net) || !net.check(to, SocketAddrUse::UdpSend) {
            return Err(ErrorCode::AccessDenied);
        }
        Ok(Some(to).filter(|_| peer.is_none()))
    }

    fn local_addr(&self) -> Result<SocketAddr, ErrorCode> {
        match self.bound {
            // With a peer it may be another than the one it is bound to.
            Some(_) => tcp::local_addr(&self.socket).map_err(of),
            None => Err(ErrorCode::InvalidState),
        }
    }
}

/// Receives a datagram that the program may have, and that its peer has sent if it has one. Linux filters what arrives after a connect,
/// and not what has arrived.
async fn receive(socket: &Socket, peer: &Mutex<Option<SocketAddr>>, net: &Net) -> io::Result<(Vec<u8>, SocketAddr)> {
    let receive = |socket: &_| {
        RECEIVED.with_borrow_mut(|room| {
            room.resize(LONGEST, 0);
            let (n, from) = udp::receive(socket, room)?;
            let heard =
                locked(peer).is_none_or(|peer| udp::is_same(peer, from)) && net.check(from, SocketAddrUse::UdpReceive);
            // `None`: it is dropped, and the next one may not be.
            Ok(heard.then(|| (room[..n].to_vec(), from)))
        })
    };
    loop {
        if let Some(received) = socket.try_beside_others(Side::Read, receive).await? {
            return Ok(received);
        }
    }
}

fn locked(peer: &Mutex<Option<SocketAddr>>) -> MutexGuard<'_, Option<SocketAddr>> {
    peer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ours(socket: &Resource<UdpSocket>) -> Resource<Udp> {
    Resource::new_borrow(socket.rep())
}

fn get<'a>(state: &'a State, socket: &Resource<UdpSocket>) -> SocketResult<&'a Udp> {
    state.table.get(&ours(socket)).map_err(SocketError::trap)
}

fn get_mut<'a>(state: &'a mut State, socket: &Resource<UdpSocket>) -> SocketResult<&'a mut Udp> {
    state.table.get_mut(&ours(socket)).map_err(SocketError::trap)
}

impl HostUdpSocketWithStore<State> for Sockets {
    async fn send(
        store: &Accessor<State, Self>,
        socket: Resource<UdpSocket>,
        data: Vec<u8>,
        addr: Option<IpSocketAddress>,
    ) -> SocketResult<()> {
        let (sends, to) = store.with(|mut store| -> SocketResult<_> {
            let state: &mut State = store.get();
            let socket = get(state, &socket)?;
            let to = socket.destination(&state.net, data.len(), addr.map(SocketAddr::from))?;
            Ok((Arc::clone(&socket.socket), to))
        })?;
        sends.try_beside_others(Side::Write, |socket| udp::send(socket, &data, to)).await.map_err(of)?;
        store.with(|mut store| {
            get_mut(store.get(), &socket)?.ask_for_addresses();
            Ok(())
        })
    }

    async fn receive(
        store: &Accessor<State, Self>,
        socket: Resource<UdpSocket>,
    ) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
        let (receives, peer, net) = store.with(|mut store| -> SocketResult<_> {
            let state: &mut State = store.get();
            let socket = get(state, &socket)?;
            if socket.bound.is_none() {
                return Err(ErrorCode::InvalidState.into());
            }
            Ok((Arc::clone(&socket.socket), Arc::clone(&socket.peer), Arc::clone(&state.net)))
        })?;
        let (data, from) = receive(&receives, &peer, &net).await.map_err(of)?;
        Ok((data, from.into()))
    }
}

impl HostUdpSocket for State {
    async fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.open_socket(Net::open_udp).map_err(refused)?;
        let counted = Counted::new(&self.net.sockets);
        let family = from_wasi(family);
        let fd = udp::create(family).map_err(of)?;
        let socket = Arc::new(Socket::new(fd, &self.net, counted));
        let pushed =
            self.table.push(Udp { socket, family, bound: None, peer: Arc::default() }).map_err(SocketError::trap)?;
        Ok(Resource::new_own(pushed.rep()))
    }

    async fn bind(&mut self, socket: Resource<UdpSocket>, addr: IpSocketAddress) -> SocketResult<()> {
        let net = Arc::clone(&self.net);
        Ok(get_mut(self, &socket)?.bind(&net, addr.into())?)
    }

    async fn connect(&mut self, socket: Resource<UdpSocket>, addr: IpSocketAddress) -> SocketResult<()> {
        let net = Arc::clone(&self.net);
        Ok(get_mut(self, &socket)?.connect(&net, addr.into())?)
    }

    fn disconnect(&mut self, socket: Resource<UdpSocket>) -> SocketResult<()> {
        Ok(get_mut(self, &socket)?.disconnect()?)
    }

    fn get_local_address(&mut self, socket: Resource<UdpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(get(self, &socket)?.local_addr()?.into())
    }

    fn get_remote_address(&mut self, socket: Resource<UdpSocket>) -> SocketResult<IpSocketAddress> {
        let peer = *locked(&get(self, &socket)?.peer);
        Ok(peer.ok_or(ErrorCode::InvalidState)?.into())
    }

    fn get_address_family(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(to_wasi(self.table.get(&ours(&socket))?.family))
    }

    fn get_unicast_hop_limit(&mut self, socket: Resource<UdpSocket>) -> SocketResult<u8> {
        let socket = get(self, &socket)?;
        Ok(tcp::hop_limit(&socket.socket, socket.family).map_err(of)?)
    }

    fn set_unicast_hop_limit(&mut self, socket: Resource<UdpSocket>, hops: u8) -> SocketResult<()> {
        let socket = get(self, &socket)?;
        Ok(tcp::set_hop_limit(&socket.socket, socket.family, hops).map_err(of)?)
    }

    fn get_receive_buffer_size(&mut self, socket: Resource<UdpSocket>) -> SocketResult<u64> {
        Ok(tcp::receive_buffer(&get(self, &socket)?.socket).map_err(of)?)
    }

    fn set_receive_buffer_size(&mut self, socket: Resource<UdpSocket>, bytes: u64) -> SocketResult<()> {
        Ok(tcp::set_receive_buffer(&get(self, &socket)?.socket, bytes).map_err(of)?)
    }

    fn get_send_buffer_size(&mut self, socket: Resource<UdpSocket>) -> SocketResult<u64> {
        Ok(tcp::send_buffer(&get(self, &socket)?.socket).map_err(of)?)
    }

    fn set_send_buffer_size(&mut self, socket: Resource<UdpSocket>, bytes: u64) -> SocketResult<()> {
        Ok(tcp::set_send_buffer(&get(self, &socket)?.socket, bytes).map_err(of)?)
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Udp>::new_own(socket.rep()))?;
        Ok(())
    }
}
