//! UDP sockets of `wasi:sockets` 0.3.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net as sys;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
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
use crate::p2::State;

/// No datagram is longer, in bytes.
const LONGEST: usize = u16::MAX as usize;

thread_local! {
    /// Where a datagram is received to before its length is known.
    static RECEIVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Udp {
    socket: Arc<Socket>,
    family: Family,
    bound: bool,
    peer: Option<SocketAddr>,
}

impl Udp {
    fn bind(&mut self, net: &Net, addr: SocketAddr) -> Result<(), ErrorCode> {
        if self.bound {
            return Err(ErrorCode::InvalidState);
        }
        if !is_of_family(addr.ip(), self.family) {
            return Err(ErrorCode::InvalidArgument);
        }
        if !net.check(addr, SocketAddrUse::UdpBind) {
            return Err(ErrorCode::AccessDenied);
        }
        sys::bind(&*self.socket, &addr).map_err(|errno| of_bind(errno.into()))?;
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
        connected.map_err(|errno| of_bind(errno.into()))
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
        disconnected.map_err(|errno| of(errno.into()))
    }

    fn ask_for_peer(&mut self) {
        self.peer = tcp::peer_addr(&self.socket).ok();
        // And stays so: after a disconnect Linux shows a socket as unbound if the system had chosen its address.
        self.bound |= self.peer.is_some();
    }

    fn is_remote(&self, addr: SocketAddr) -> bool {
        is_of_family(addr.ip(), self.family) && !addr.ip().is_unspecified() && addr.port() != 0
    }

    /// Whether the system may choose the address, if it has none.
    fn may_bind(&self, net: &Net) -> bool {
        self.bound || net.check(unspecified(self.family), SocketAddrUse::UdpBind)
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
            true => tcp::local_addr(&self.socket).map_err(of),
            false => Err(ErrorCode::InvalidState),
        }
    }
}

/// A socket that is not bound and does not block. One of IPv6 is of IPv6 alone.
fn create(family: Family) -> rustix::io::Result<OwnedFd> {
    let domain = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let fd = sys::socket_with(domain, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if family == Family::V6 {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    Ok(fd)
}

/// Sends a datagram, to where the socket is connected if to nowhere else.
async fn send(socket: &Socket, data: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
    let send = |fd: BorrowedFd<'_>| match &to {
        Some(to) => Ok(sys::sendto(fd, data, SendFlags::NOSIGNAL, to)?),
        None => Ok(sys::send(fd, data, SendFlags::NOSIGNAL)?),
    };
    socket.try_beside_others(Side::Write, send).await
}

/// Receives a datagram that the program may have.
async fn receive(socket: &Socket, net: &Net) -> io::Result<(Vec<u8>, SocketAddr)> {
    let receive = |fd: BorrowedFd<'_>| {
        RECEIVED.with_borrow_mut(|buf| {
            buf.resize(LONGEST, 0);
            let (n, _, from) = sys::recvfrom(fd, &mut **buf, RecvFlags::empty())?;
            let from = SocketAddr::try_from(from.ok_or(Errno::DESTADDRREQ)?)?;
            // `None`: it is dropped, and the next one may not be.
            Ok(net.check(from, SocketAddrUse::UdpReceive).then(|| (buf[..n].to_vec(), from)))
        })
    };
    loop {
        if let Some(received) = socket.try_beside_others(Side::Read, receive).await? {
            return Ok(received);
        }
    }
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
        send(&sends, &data, to).await.map_err(of)?;
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
        let (data, from) = receive(&receives, &net).await.map_err(of)?;
        Ok((data, from.into()))
    }
}

impl HostUdpSocket for State {
    async fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.open_socket(Net::open_udp).map_err(refused)?;
        let counted = Counted::new(&self.net.sockets);
        let family = from_wasi(family);
        let fd = create(family).map_err(|errno| of(errno.into()))?;
        let socket = Arc::new(Socket::new(fd, &self.net, counted));
        let pushed = self.table.push(Udp { socket, family, bound: false, peer: None }).map_err(SocketError::trap)?;
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
