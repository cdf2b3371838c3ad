//! UDP sockets of `wasi:sockets` 0.3.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net as sys;
use rustix::net::SocketType;
use tokio::io::Interest;
use wasmtime::component::{Accessor, Resource};
use wasmtime_wasi::p3::bindings::sockets::types::{
    ErrorCode, HostUdpSocket, HostUdpSocketWithStore, IpAddressFamily, IpSocketAddress, UdpSocket,
};
use wasmtime_wasi::p3::sockets::{SocketError, SocketResult};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::error::{code, of_bind, refused};
use super::socket::{Counted, Made, Socket, local_addr, peer_addr};
use super::tcp::{is_of_family, unspecified};
use super::{Sockets, options};
use crate::net::Net;
use crate::p2::State;

/// No datagram is longer, in bytes.
const LONGEST: usize = u16::MAX as usize;

thread_local! {
    /// Where a datagram is received to before its length is known.
    static RECEIVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Udp {
    socket: Arc<Socket>,
    v6: bool,
    bound: bool,
    peer: Option<SocketAddr>,
}

impl Udp {
    fn bind(&mut self, net: &Net, addr: SocketAddr) -> Result<(), ErrorCode> {
        if self.bound {
            return Err(ErrorCode::InvalidState);
        }
        if !is_of_family(addr.ip(), self.v6) {
            return Err(ErrorCode::InvalidArgument);
        }
        if !net.check(addr, SocketAddrUse::UdpBind) {
            return Err(ErrorCode::AccessDenied);
        }
        sys::bind(&*self.socket, &addr).map_err(of_bind)?;
        self.bound = true;
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
        let connected = match sys::connect(&*self.socket, &addr) {
            // Linux does not take a way to the new address by another interface before the last one is forgotten.
            Err(Errno::INVAL) => {
                let _ = sys::connect_unspec(&*self.socket);
                sys::connect(&*self.socket, &addr)
            }
            connected => connected,
        };
        self.ask_for_peer();
        connected.map_err(of_bind)
    }

    fn disconnect(&mut self) -> Result<(), ErrorCode> {
        if self.peer.is_none() {
            return Err(ErrorCode::InvalidState);
        }
        let disconnected = match sys::connect_unspec(&*self.socket) {
            // BSD has done it when it says so (connect(2) of macOS).
            #[cfg(not(target_os = "linux"))]
            Err(Errno::INVAL | Errno::AFNOSUPPORT) => Ok(()),
            disconnected => disconnected,
        };
        self.ask_for_peer();
        disconnected.map_err(|errno| code(&errno.into()))
    }

    fn ask_for_peer(&mut self) {
        self.peer = peer_addr(self.socket.as_fd()).ok();
        // And stays so: after a disconnect Linux shows a socket as unbound if the system had chosen its address.
        self.bound |= self.peer.is_some();
    }

    fn is_remote(&self, addr: SocketAddr) -> bool {
        is_of_family(addr.ip(), self.v6) && !addr.ip().is_unspecified() && addr.port() != 0
    }

    /// Whether the system may choose the address, if it has none.
    fn may_bind(&self, net: &Net) -> bool {
        self.bound || net.check(unspecified(self.v6), SocketAddrUse::UdpBind)
    }

    /// Where a datagram may be sent to: `None` is where the socket is connected to.
    fn destination(&self, net: &Net, len: usize, addr: Option<SocketAddr>) -> Result<Option<SocketAddr>, ErrorCode> {
        if len > LONGEST {
            return Err(ErrorCode::DatagramTooLarge);
        }
        let to = match (addr, self.peer) {
            (Some(addr), None) if self.is_remote(addr) => addr,
            (Some(addr), Some(peer)) if addr == peer => addr,
            (None, Some(peer)) => peer,
            _ => return Err(ErrorCode::InvalidArgument),
        };
        if !self.may_bind(net) || !net.check(to, SocketAddrUse::UdpSend) {
            return Err(ErrorCode::AccessDenied);
        }
        Ok(Some(to).filter(|_| self.peer.is_none()))
    }

    fn local_addr(&self) -> Result<SocketAddr, ErrorCode> {
        match self.bound {
            true => local_addr(self.socket.as_fd()).map_err(|error| code(&error)),
            false => Err(ErrorCode::InvalidState),
        }
    }
}

fn poll_receive(socket: &Socket, net: &Net, cx: &mut Context<'_>) -> Poll<Result<(Vec<u8>, SocketAddr), ErrorCode>> {
    RECEIVED.with_borrow_mut(|buf| {
        buf.resize(LONGEST, 0);
        loop {
            let (len, from) = match ready!(socket.poll_receive_from(cx, buf)) {
                Ok(received) => received,
                Err(error) => return Poll::Ready(Err(code(&error))),
            };
            if net.check(from, SocketAddrUse::UdpReceive) {
                return Poll::Ready(Ok((buf[..len].to_vec(), from)));
            }
        }
    })
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
        poll_fn(|cx| sends.poll_send_to(cx, &data, to.as_ref())).await.map_err(|error| code(&error))?;
        store.with(|mut store| {
            get_mut(store.get(), &socket)?.bound = true;
            Ok(())
        })
    }

    async fn receive(
        store: &Accessor<State, Self>,
        socket: Resource<UdpSocket>,
    ) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
        let (receives, net) = store.with(|mut store| -> SocketResult<_> {
            let state: &mut State = store.get();
            let socket = get(state, &socket)?;
            if !socket.bound {
                return Err(ErrorCode::InvalidState.into());
            }
            Ok((Arc::clone(&socket.socket), Arc::clone(&state.net)))
        })?;
        let (data, from) = poll_fn(|cx| poll_receive(&receives, &net, cx)).await?;
        Ok((data, from.into()))
    }
}

impl HostUdpSocket for State {
    async fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.open_socket(Net::open_udp).map_err(refused)?;
        let counted = Counted::new(&self.net.sockets);
        let v6 = matches!(family, IpAddressFamily::Ipv6);
        let made = Made::new(v6, SocketType::DGRAM, counted);
        let socket = made.and_then(|made| made.register(Interest::READABLE | Interest::WRITABLE, true));
        let socket = Arc::new(socket.map_err(|error| code(&error))?);
        let pushed = self.table.push(Udp { socket, v6, bound: false, peer: None }).map_err(SocketError::trap)?;
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
        Ok(get(self, &socket)?.peer.ok_or(ErrorCode::InvalidState)?.into())
    }

    fn get_address_family(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(match self.table.get(&ours(&socket))?.v6 {
            true => IpAddressFamily::Ipv6,
            false => IpAddressFamily::Ipv4,
        })
    }

    fn get_unicast_hop_limit(&mut self, socket: Resource<UdpSocket>) -> SocketResult<u8> {
        let socket = get(self, &socket)?;
        Ok(options::hop_limit(&*socket.socket, socket.v6)?)
    }

    fn set_unicast_hop_limit(&mut self, socket: Resource<UdpSocket>, hops: u8) -> SocketResult<()> {
        let socket = get(self, &socket)?;
        Ok(options::set_hop_limit(&*socket.socket, socket.v6, hops)?)
    }

    fn get_receive_buffer_size(&mut self, socket: Resource<UdpSocket>) -> SocketResult<u64> {
        Ok(options::receive_buffer_size(&*get(self, &socket)?.socket)?)
    }

    fn set_receive_buffer_size(&mut self, socket: Resource<UdpSocket>, bytes: u64) -> SocketResult<()> {
        Ok(options::set_receive_buffer_size(&*get(self, &socket)?.socket, bytes)?)
    }

    fn get_send_buffer_size(&mut self, socket: Resource<UdpSocket>) -> SocketResult<u64> {
        Ok(options::send_buffer_size(&*get(self, &socket)?.socket)?)
    }

    fn set_send_buffer_size(&mut self, socket: Resource<UdpSocket>, bytes: u64) -> SocketResult<()> {
        Ok(options::set_send_buffer_size(&*get(self, &socket)?.socket, bytes)?)
    }

    fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Udp>::new_own(socket.rep()))?;
        self.count("wasi:sockets/types.[resource-drop]udp-socket");
        Ok(())
    }
}
