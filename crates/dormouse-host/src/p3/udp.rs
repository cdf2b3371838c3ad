//! UDP sockets of `wasi:sockets` 0.3.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net as sys;
use rustix::net::RecvFlags;
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
use crate::net::tcp::{self, Family, NO_SIGNAL};
use crate::net::udp::{self, LONGEST};
use crate::p2::State;

thread_local! {
    /// Where a datagram is received to before its length is known.
    static RECEIVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Udp {
    socket: Arc<Socket>,
    family: Family,
    /// Where it was bound to, by the program or for it.
    bound: Option<SocketAddr>,
    peer: Option<SocketAddr>,
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
        self.bound = Some(net.bind_udp(&self.socket, addr).map_err(of_bind)?);
        Ok(())
    }

    fn connect(&mut self, net: &Net, addr: SocketAddr) -> Result<(), ErrorCode> {
        if !self.is_remote(addr) {
            return Err(ErrorCode::InvalidArgument);
        }
        let uses = [SocketAddrUse::UdpSend, SocketAddrUse::UdpReceive];
        if !uses.into_iter().all(|what| net.check(addr, what)) {
            return Err(ErrorCode::AccessDenied);
        }
        let bound = self.bind_if_unbound(net)?;
        self.peer = None;
        udp::connect(&self.socket, addr, bound).map_err(of_bind)?;
        self.peer = Some(tcp::peer_addr(&self.socket).map_err(of)?);
        Ok(())
    }

    fn disconnect(&mut self) -> Result<(), ErrorCode> {
        let (Some(bound), Some(_)) = (self.bound, self.peer) else { return Err(ErrorCode::InvalidState) };
        self.peer = None;
        udp::disconnect(&self.socket, bound).map_err(of)
    }

    fn is_remote(&self, addr: SocketAddr) -> bool {
        is_of_family(addr.ip(), self.family) && !addr.ip().is_unspecified() && addr.port() != 0
    }

    /// The system chooses the address, if it has none: from then on it has that.
    fn bind_if_unbound(&mut self, net: &Net) -> Result<SocketAddr, ErrorCode> {
        if let Some(bound) = self.bound {
            return Ok(bound);
        }
        let any = unspecified(self.family);
        if !net.check(any, SocketAddrUse::UdpBind) {
            return Err(ErrorCode::AccessDenied);
        }
        let bound = net.bind_udp(&self.socket, any).map_err(of_bind)?;
        self.bound = Some(bound);
        Ok(bound)
    }

    /// Where a datagram may be sent to: `None` is where the socket is connected to.
    fn destination(
        &mut self,
        net: &Net,
        len: usize,
        addr: Option<SocketAddr>,
    ) -> Result<Option<SocketAddr>, ErrorCode> {
        if len > LONGEST {
            return Err(ErrorCode::DatagramTooLarge);
        }
        let to = match (addr, self.peer) {
            (Some(addr), None) if self.is_remote(addr) => addr,
            (Some(addr), Some(peer)) if addr == peer => addr,
            (None, Some(peer)) => peer,
            _ => return Err(ErrorCode::InvalidArgument),
        };
        if !net.check(to, SocketAddrUse::UdpSend) {
            return Err(ErrorCode::AccessDenied);
        }
        self.bind_if_unbound(net)?;
        Ok(Some(to).filter(|_| self.peer.is_none()))
    }

    fn local_addr(&self) -> Result<SocketAddr, ErrorCode> {
        match self.bound {
            Some(_) => tcp::local_addr(&self.socket).map_err(of),
            None => Err(ErrorCode::InvalidState),
        }
    }
}

/// Sends a datagram, to where the socket is connected if to nowhere else.
async fn send(socket: &Socket, data: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
    let send = |fd: BorrowedFd<'_>| match &to {
        Some(to) => Ok(sys::sendto(fd, data, NO_SIGNAL, to)?),
        None => Ok(sys::send(fd, data, NO_SIGNAL)?),
    };
    let sent = socket.try_beside_others(Side::Write, send).await?;
    socket.meter().sent(sent);
    Ok(sent)
}

/// Receives a datagram that the program may have.
async fn receive(socket: &Socket, net: &Net) -> io::Result<(Vec<u8>, SocketAddr)> {
    let receive = |fd: BorrowedFd<'_>| {
        RECEIVED.with_borrow_mut(|buf| {
            buf.resize(LONGEST, 0);
            let (n, _, from) = sys::recvfrom(fd, &mut **buf, RecvFlags::empty())?;
            let from = SocketAddr::try_from(from.ok_or(Errno::DESTADDRREQ)?)?;
            socket.meter().received(n);
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
            let net = Arc::clone(&state.net);
            let socket = get_mut(state, &socket)?;
            let to = socket.destination(&net, data.len(), addr.map(SocketAddr::from))?;
            Ok((Arc::clone(&socket.socket), to))
        })?;
        send(&sends, &data, to).await.map_err(of)?;
        Ok(())
    }

    async fn receive(
        store: &Accessor<State, Self>,
        socket: Resource<UdpSocket>,
    ) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
        let (receives, net) = store.with(|mut store| -> SocketResult<_> {
            let state: &mut State = store.get();
            let socket = get(state, &socket)?;
            if socket.bound.is_none() {
                return Err(ErrorCode::InvalidState.into());
            }
            Ok((Arc::clone(&socket.socket), Arc::clone(&state.net)))
        })?;
        loop {
            let (data, from) = receive(&receives, &net).await.map_err(of)?;
            // The peer that it has now: it may have got one meanwhile.
            let hears =
                store.with(|mut store| get(store.get(), &socket).map(|socket| udp::hears(socket.peer, from)))?;
            if hears {
                return Ok((data, from.into()));
            }
        }
    }
}

impl HostUdpSocket for State {
    async fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.open_socket(Net::open_udp).map_err(refused)?;
        let counted = Counted::new(&self.net.sockets);
        let family = from_wasi(family);
        let fd = udp::create(family).map_err(of)?;
        let socket = Arc::new(Socket::new(fd, &self.net, counted));
        let pushed = self.table.push(Udp { socket, family, bound: None, peer: None }).map_err(SocketError::trap)?;
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as Peer;

    use super::*;
    use crate::net::meter::Meter;
    use crate::net::policy::Policy;
    use crate::stdio::{Output, Sink};

    fn socket(net: &Net) -> Udp {
        assert!(net.sockets.take());
        let fd = udp::create(Family::V4).unwrap();
        let socket = Arc::new(Socket::new(fd, net, Counted::new(&net.sockets)));
        Udp { socket, family: Family::V4, bound: None, peer: None }
    }

    fn peer() -> (Peer, SocketAddr) {
        let peer = Peer::bind("127.0.0.1:0").unwrap();
        let addr = peer.local_addr().unwrap();
        (peer, addr)
    }

    #[test]
    fn a_socket_that_loses_its_peer_keeps_its_port_and_hears_all() {
        let stderr = Sink::new(Output::Null, std::io::stderr()).unwrap();
        let net = Net::new(Policy::allow_all(), 2, Meter::new(), stderr, None);
        let ((one, addr), (other, _)) = (peer(), peer());
        let (mut bound, mut unbound) = (socket(&net), socket(&net));
        bound.bind(&net, "127.0.0.1:0".parse().unwrap()).unwrap();
        for socket in [&mut bound, &mut unbound] {
            assert!(matches!(socket.disconnect(), Err(ErrorCode::InvalidState)));
            socket.connect(&net, addr).unwrap();
            let local = socket.local_addr().unwrap();
            assert_eq!((socket.peer, local.ip()), (Some(addr), addr.ip()));
            socket.disconnect().unwrap();
            assert_eq!((socket.peer, socket.local_addr().unwrap().port()), (None, local.port()));
            for peer in [&one, &other] {
                peer.send_to(b"here", local).unwrap();
                let (n, from) = udp::receive(&socket.socket, &mut [0; 8]).unwrap();
                assert_eq!((n, from), (4, peer.local_addr().unwrap()));
            }
        }
    }

    #[test]
    fn what_is_sent_and_received_is_counted() {
        let stderr = Sink::new(Output::Null, std::io::stderr()).unwrap();
        let net = Net::new(Policy::allow_all(), 1, Meter::new(), stderr, None);
        let mut bound = socket(&net);
        bound.bind(&net, "127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = bound.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            assert_eq!(send(&bound.socket, b"seven..", Some(addr)).await.unwrap(), 7);
            assert_eq!(receive(&bound.socket, &net).await.unwrap(), (b"seven..".to_vec(), addr));
        });
        let traffic = net.meter.traffic();
        assert_eq!((traffic.sent, traffic.received), (7, 7));
    }

    #[test]
    fn what_has_come_from_others_before_the_connect_is_not_heard() {
        let (one, other) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        assert!(udp::hears(None, other) && udp::hears(Some(one), one) && !udp::hears(Some(one), other));
    }
}
