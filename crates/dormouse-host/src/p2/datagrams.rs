//! Datagrams. `wasi:sockets/udp` and `udp-create-socket`, over [`Udp`].

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::udp::{
    self as wasi, HostIncomingDatagramStream, HostOutgoingDatagramStream, HostUdpSocket, IncomingDatagram,
    IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket;
use wasmtime_wasi::p2::{DynPollable, SocketError, SocketResult};

use super::table::Part;
use super::udp::Udp;
use super::{View, refused};
use crate::net::limits::Counted;
use crate::net::socket::Socket;
use crate::net::tcp::{self, Family};
use crate::net::udp::LONGEST;

impl View<'_> {
    fn udp(&mut self, rep: u32) -> SocketResult<&mut Udp> {
        Ok(self.own.udp_mut(rep)?)
    }

    fn datagrams(&self, this: &Resource<UdpSocket>) -> SocketResult<&Socket> {
        Ok(self.own.udp(this.rep())?.socket())
    }
}

impl udp_create_socket::Host for View<'_> {
    async fn create_udp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.own.net.open_udp().map_err(|no| refused(&self.own.net, no))?;
        let family = match family {
            IpAddressFamily::Ipv4 => Family::V4,
            IpAddressFamily::Ipv6 => Family::V6,
        };
        let own = &mut *self.own;
        let counted = Counted::new(&own.net.sockets);
        let udp = Udp::create(family, counted, &own.hub, &own.net)?;
        Ok(Resource::new_own(own.insert(udp)?))
    }
}

impl wasi::Host for View<'_> {}

impl HostUdpSocket for View<'_> {
    async fn start_bind(
        &mut self,
        this: Resource<UdpSocket>,
        network: Resource<Network>,
        addr: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let net = self.own.net.clone();
        Ok(self.udp(this.rep())?.start_bind(addr.into(), &net)?)
    }

    fn finish_bind(&mut self, this: Resource<UdpSocket>) -> SocketResult<()> {
        Ok(self.udp(this.rep())?.finish_bind()?)
    }

    /// The program drops the streams that it has before, as the specification lets a host want it.
    async fn stream(
        &mut self,
        this: Resource<UdpSocket>,
        peer: Option<IpSocketAddress>,
    ) -> SocketResult<(Resource<IncomingDatagramStream>, Resource<OutgoingDatagramStream>)> {
        let rep = this.rep();
        if self.own.has(rep, Part::Input)? || self.own.has(rep, Part::Output)? {
            return Err(SocketError::trap(wasmtime::format_err!("UDP streams not dropped yet")));
        }
        let net = self.own.net.clone();
        self.udp(rep)?.set_peer(peer.map(Into::into), &net)?;
        let input = self.own.give(rep, Part::Input)?;
        let output = self.own.give(rep, Part::Output)?;
        Ok((Resource::new_own(input), Resource::new_own(output)))
    }

    fn local_address(&mut self, this: Resource<UdpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.udp(this.rep())?.local_addr()?.into())
    }

    fn remote_address(&mut self, this: Resource<UdpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.udp(this.rep())?.peer_addr()?.into())
    }

    fn address_family(&mut self, this: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(match self.own.udp(this.rep())?.family() {
            Family::V4 => IpAddressFamily::Ipv4,
            Family::V6 => IpAddressFamily::Ipv6,
        })
    }

    fn unicast_hop_limit(&mut self, this: Resource<UdpSocket>) -> SocketResult<u8> {
        let family = self.own.udp(this.rep())?.family();
        Ok(tcp::hop_limit(self.datagrams(&this)?, family)?)
    }

    fn set_unicast_hop_limit(&mut self, this: Resource<UdpSocket>, hops: u8) -> SocketResult<()> {
        let family = self.own.udp(this.rep())?.family();
        Ok(tcp::set_hop_limit(self.datagrams(&this)?, family, hops)?)
    }

    fn receive_buffer_size(&mut self, this: Resource<UdpSocket>) -> SocketResult<u64> {
        Ok(tcp::receive_buffer(self.datagrams(&this)?)?)
    }

    fn set_receive_buffer_size(&mut self, this: Resource<UdpSocket>, size: u64) -> SocketResult<()> {
        Ok(tcp::set_receive_buffer(self.datagrams(&this)?, size)?)
    }

    fn send_buffer_size(&mut self, this: Resource<UdpSocket>) -> SocketResult<u64> {
        Ok(tcp::send_buffer(self.datagrams(&this)?)?)
    }

    fn set_send_buffer_size(&mut self, this: Resource<UdpSocket>, size: u64) -> SocketResult<()> {
        Ok(tcp::set_send_buffer(self.datagrams(&this)?, size)?)
    }

    fn subscribe(&mut self, this: Resource<UdpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(Resource::new_own(self.own.subscribe(this.rep())?))
    }

    fn drop(&mut self, this: Resource<UdpSocket>) -> wasmtime::Result<()> {
        Ok(self.own.drop_part(this.rep())?)
    }
}

impl HostIncomingDatagramStream for View<'_> {
    fn receive(&mut self, this: Resource<IncomingDatagramStream>, most: u64) -> SocketResult<Vec<IncomingDatagram>> {
        let net = self.own.net.clone();
        // One for all sockets: how long a datagram is shows when it has been received.
        let mut room = std::mem::take(&mut self.own.room);
        room.resize(LONGEST, 0);
        let mut datagrams = Vec::new();
        let received = self.udp(this.rep()).and_then(|udp| {
            let take = |data: &[u8], from: std::net::SocketAddr| {
                datagrams.push(IncomingDatagram { data: data.to_vec(), remote_address: from.into() });
            };
            Ok(udp.receive(most, &mut room, &net, take)?)
        });
        self.own.room = room;
        received.map(|()| datagrams)
    }

    fn subscribe(&mut self, this: Resource<IncomingDatagramStream>) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(Resource::new_own(self.own.subscribe(this.rep())?))
    }

    fn drop(&mut self, this: Resource<IncomingDatagramStream>) -> wasmtime::Result<()> {
        Ok(self.own.drop_part(this.rep())?)
    }
}

impl HostOutgoingDatagramStream for View<'_> {
    fn check_send(&mut self, this: Resource<OutgoingDatagramStream>) -> SocketResult<u64> {
        Ok(self.udp(this.rep())?.check_send() as u64)
    }

    fn send(&mut self, this: Resource<OutgoingDatagramStream>, datagrams: Vec<OutgoingDatagram>) -> SocketResult<u64> {
        let net = self.own.net.clone();
        let udp = self.udp(this.rep())?;
        if datagrams.is_empty() {
            return Ok(0);
        }
        if !udp.begin_send(datagrams.len()) {
            return Err(SocketError::trap(wasmtime::format_err!("unpermitted: argument exceeds permitted size")));
        }
        let datagrams = datagrams.iter().map(|one| (&one.data[..], one.remote_address.map(Into::into)));
        Ok(udp.send(datagrams, &net)?)
    }

    fn subscribe(&mut self, this: Resource<OutgoingDatagramStream>) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(Resource::new_own(self.own.subscribe(this.rep())?))
    }

    /// What was sent is with the system.
    async fn drop(&mut self, this: Resource<OutgoingDatagramStream>) -> wasmtime::Result<()> {
        Ok(self.own.drop_part(this.rep())?)
    }
}
