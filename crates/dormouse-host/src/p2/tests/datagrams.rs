//! UDP: the states of a socket, its streams, and what datagrams do.

use std::net::UdpSocket as Peer;

use wasmtime_wasi::p2::bindings::sockets::udp::{
    HostIncomingDatagramStream as Incoming, HostOutgoingDatagramStream as Outgoing, HostUdpSocket as Udp,
    IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;

use super::*;

type Datagrams = Resource<UdpSocket>;
type Streams = (Resource<IncomingDatagramStream>, Resource<OutgoingDatagramStream>);

/// What programs do in several calls.
impl State {
    async fn unbound(&mut self, family: IpAddressFamily) -> Datagrams {
        self.view().create_udp_socket(family).await.unwrap()
    }

    async fn start_bind_udp(&mut self, socket: &Datagrams, addr: SocketAddr) -> SocketResult<()> {
        let network = self.network();
        Udp::start_bind(&mut self.view(), borrowed(socket), network, addr.into()).await
    }

    /// A socket that is bound, and where to.
    async fn bound(&mut self) -> (Datagrams, SocketAddr) {
        let socket = self.unbound(IpAddressFamily::Ipv4).await;
        self.start_bind_udp(&socket, any_port(LOCAL)).await.unwrap();
        Udp::finish_bind(&mut self.view(), borrowed(&socket)).unwrap();
        let addr = self.udp_addr(&socket);
        (socket, addr)
    }

    fn udp_addr(&mut self, socket: &Datagrams) -> SocketAddr {
        Udp::local_address(&mut self.view(), borrowed(socket)).unwrap().into()
    }

    async fn stream(&mut self, socket: &Datagrams, peer: Option<SocketAddr>) -> SocketResult<Streams> {
        Udp::stream(&mut self.view(), borrowed(socket), peer.map(Into::into)).await
    }

    async fn drop_streams(&mut self, (input, output): Streams) {
        Incoming::drop(&mut self.view(), input).unwrap();
        Outgoing::drop(&mut self.view(), output).await.unwrap();
    }

    fn receive(&mut self, streams: &Streams, most: u64) -> SocketResult<Vec<(Vec<u8>, SocketAddr)>> {
        let received = Incoming::receive(&mut self.view(), borrowed(&streams.0), most)?;
        Ok(received.into_iter().map(|one| (one.data, one.remote_address.into())).collect())
    }

    /// Receives one when it is there.
    async fn received(&mut self, streams: &Streams) -> SocketResult<(Vec<u8>, SocketAddr)> {
        loop {
            let pollable = Incoming::subscribe(&mut self.view(), borrowed(&streams.0)).unwrap();
            self.view().block(borrowed(&pollable)).await.unwrap();
            HostPollable::drop(&mut self.view(), pollable).unwrap();
            if let Some(one) = self.receive(streams, 1)?.pop() {
                return Ok(one);
            }
        }
    }

    fn send(&mut self, streams: &Streams, datagrams: &[(&[u8], Option<SocketAddr>)]) -> SocketResult<u64> {
        assert_eq!(Outgoing::check_send(&mut self.view(), borrowed(&streams.1))?, 16);
        self.send_unchecked(streams, datagrams)
    }

    fn send_unchecked(&mut self, streams: &Streams, datagrams: &[(&[u8], Option<SocketAddr>)]) -> SocketResult<u64> {
        let outgoing = |&(data, to): &(&[u8], Option<SocketAddr>)| OutgoingDatagram {
            data: data.to_vec(),
            remote_address: to.map(Into::into),
        };
        Outgoing::send(&mut self.view(), borrowed(&streams.1), datagrams.iter().map(outgoing).collect())
    }
}

fn peer() -> (Peer, SocketAddr) {
    let peer = Peer::bind("127.0.0.1:0").unwrap();
    let addr = peer.local_addr().unwrap();
    (peer, addr)
}

/// An address that no socket has.
fn nobody() -> SocketAddr {
    peer().1
}

#[track_caller]
fn trap<T>(result: SocketResult<T>) -> String {
    match result {
        Ok(_) => panic!("it succeeds"),
        Err(error) => error.downcast().unwrap_err().to_string(),
    }
}

#[test]
fn each_state_allows_what_the_specification_says() {
    run(async |mut state| {
        for (family, ip) in
            [(IpAddressFamily::Ipv4, LOCAL.into()), (IpAddressFamily::Ipv6, std::net::Ipv6Addr::LOCALHOST.into())]
        {
            let ip: std::net::IpAddr = ip;
            let s = &state.unbound(family).await;
            assert_eq!(code(Udp::finish_bind(&mut state.view(), borrowed(s))), ErrorCode::NotInProgress);
            assert_eq!(code(state.stream(s, None).await), ErrorCode::InvalidState);
            assert_eq!(code(Udp::local_address(&mut state.view(), borrowed(s))), ErrorCode::InvalidState);
            assert_eq!(code(Udp::remote_address(&mut state.view(), borrowed(s))), ErrorCode::InvalidState);
            assert_eq!(Udp::address_family(&mut state.view(), borrowed(s)).unwrap(), family);
            state.start_bind_udp(s, any_port(ip)).await.unwrap();
            assert_eq!(code(state.start_bind_udp(s, any_port(ip)).await), ErrorCode::ConcurrencyConflict);
            Udp::finish_bind(&mut state.view(), borrowed(s)).unwrap();
            assert_eq!(code(Udp::finish_bind(&mut state.view(), borrowed(s))), ErrorCode::NotInProgress);
            assert_eq!(code(state.start_bind_udp(s, any_port(ip)).await), ErrorCode::InvalidState);
            assert_ne!(state.udp_addr(s).port(), 0);
            assert_eq!(code(Udp::remote_address(&mut state.view(), borrowed(s))), ErrorCode::InvalidState);
            let to = SocketAddr::new(ip, 54321);
            let streams = state.stream(s, Some(to)).await.unwrap();
            assert_eq!(SocketAddr::from(Udp::remote_address(&mut state.view(), borrowed(s)).unwrap()), to);
            state.drop_streams(streams).await;
        }
    });
}

#[test]
fn addresses_that_nothing_can_be_sent_to_are_refused() {
    run(async |mut state| {
        let (s, _) = &state.bound().await;
        for addr in ["0.0.0.0:1", "127.0.0.1:0", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(code(state.stream(s, Some(addr)).await), ErrorCode::InvalidArgument, "{addr}");
            let streams = state.stream(s, None).await.unwrap();
            assert_eq!(code(state.send(&streams, &[(b"x", Some(addr))])), ErrorCode::InvalidArgument, "{addr}");
            state.drop_streams(streams).await;
        }
        let six = &state.unbound(IpAddressFamily::Ipv6).await;
        for addr in ["127.0.0.1:0", "[::ffff:127.0.0.1]:0", "[::127.0.0.1]:0"] {
            let bound = state.start_bind_udp(six, addr.parse().unwrap()).await;
            assert_eq!(code(bound), ErrorCode::InvalidArgument, "{addr}");
        }
        let other = &state.unbound(IpAddressFamily::Ipv4).await;
        let taken = peer();
        assert_eq!(code(state.start_bind_udp(other, taken.1).await), ErrorCode::AddressInUse);
        let unowned = "192.0.2.1:0".parse().unwrap();
        assert_eq!(code(state.start_bind_udp(other, unowned).await), ErrorCode::AddressNotBindable);
    });
}

#[test]
fn datagrams_come_in_batches_and_go_in_batches() {
    run(async |mut state| {
        let (s, addr) = &state.bound().await;
        let streams = state.stream(s, None).await.unwrap();
        let (peer, to) = peer();
        assert_eq!(state.receive(&streams, 16).unwrap(), []);
        for n in 0..20_u8 {
            peer.send_to(&vec![n; n.into()], addr).unwrap();
        }
        assert_eq!(state.received(&streams).await.unwrap(), (vec![], to));
        let (some, rest) = (state.receive(&streams, 3).unwrap(), state.receive(&streams, u64::MAX).unwrap());
        let lengths: Vec<usize> = some.iter().chain(&rest).map(|(data, _)| data.len()).collect();
        assert_eq!(lengths, Vec::from_iter(1..20));
        assert_eq!(state.receive(&streams, 0).unwrap(), []);
        assert_eq!(state.receive(&streams, 1).unwrap(), []);

        let datagrams = [(&b"1"[..], Some(to)), (b"", Some(to)), (b"three", Some(to))];
        assert_eq!(state.send(&streams, &datagrams).unwrap(), 3);
        let mut buf = [0; 9];
        for (data, _) in datagrams {
            assert_eq!(peer.recv_from(&mut buf).unwrap(), (data.len(), *addr));
        }
        let traffic = state.net.meter.traffic();
        assert_eq!((traffic.received, traffic.sent), (190, 6));
    });
}

#[test]
fn a_send_wants_a_permit_for_each_datagram() {
    run(async |mut state| {
        let (s, _) = &state.bound().await;
        let streams = state.stream(s, None).await.unwrap();
        let (_peer, to) = peer();
        let one = (&b"x"[..], Some(to));
        assert_eq!(state.send_unchecked(&streams, &[]).unwrap(), 0);
        assert!(trap(state.send_unchecked(&streams, &[one])).contains("unpermitted"));
        assert_eq!(state.send(&streams, &[one]).unwrap(), 1);
        assert!(trap(state.send_unchecked(&streams, &[one])).contains("unpermitted"));
        assert!(trap(state.send(&streams, &[one; 17])).contains("unpermitted"));
        assert_eq!(code(state.send(&streams, &[(&[0; 65_508], Some(to))])), ErrorCode::DatagramTooLarge);
        assert_eq!(code(state.send(&streams, &[(&[0; 70_000], Some(to))])), ErrorCode::DatagramTooLarge);
        // What goes before it has gone.
        assert_eq!(state.send(&streams, &[one, (&[0; 70_000], Some(to))]).unwrap(), 1);
        assert_eq!(code(state.send(&streams, &[(b"x", None)])), ErrorCode::InvalidArgument);
    });
}

#[test]
fn streams_are_made_again_when_the_old_ones_are_dropped() {
    run(async |mut state| {
        let (s, addr) = &state.bound().await;
        let ((one, one_addr), (other, other_addr)) = (peer(), peer());
        let streams = state.stream(s, None).await.unwrap();
        let wait = Incoming::subscribe(&mut state.view(), borrowed(&streams.0)).unwrap();
        assert!(trap(state.stream(s, None).await).contains("not dropped"));
        assert!(Incoming::drop(&mut state.view(), owned(&streams.0)).is_err(), "its pollable is there");
        HostPollable::drop(&mut state.view(), wait).unwrap();
        state.drop_streams(streams).await;

        // What has come from others before there is a peer is passed over.
        other.send_to(b"early", addr).unwrap();
        one.send_to(b"mine", addr).unwrap();
        let streams = state.stream(s, Some(one_addr)).await.unwrap();
        assert_eq!(state.received(&streams).await.unwrap(), (b"mine".to_vec(), one_addr));
        other.send_to(b"late", addr).unwrap();
        assert_eq!(state.receive(&streams, 16).unwrap(), []);
        assert_eq!(state.send(&streams, &[(b"a", None), (b"b", Some(one_addr))]).unwrap(), 2);
        assert_eq!(code(state.send(&streams, &[(b"c", Some(other_addr))])), ErrorCode::InvalidArgument);
        state.drop_streams(streams).await;

        // Another peer, and none: the port stays, though the system chose it.
        let streams = state.stream(s, Some(other_addr)).await.unwrap();
        assert_eq!(state.send(&streams, &[(b"hello", None)]).unwrap(), 1);
        assert_eq!(other.recv_from(&mut [0; 9]).unwrap(), (5, *addr));
        state.drop_streams(streams).await;
        let streams = state.stream(s, None).await.unwrap();
        assert_eq!(code(Udp::remote_address(&mut state.view(), borrowed(s))), ErrorCode::InvalidState);
        assert_eq!(state.udp_addr(s), *addr);
        one.send_to(b"again", addr).unwrap();
        assert_eq!(state.received(&streams).await.unwrap(), (b"again".to_vec(), one_addr));
    });
}

#[test]
fn a_peer_that_cannot_be_had_costs_the_socket_nothing() {
    run(async |mut state| {
        let (s, addr) = &state.bound().await;
        let (peer, peer_addr) = peer();
        // Linux wants SO_BROADCAST for that.
        let broadcast = Some("255.255.255.255:9".parse().unwrap());
        assert_eq!(code(state.stream(s, broadcast).await), ErrorCode::AccessDenied);
        assert_eq!(state.udp_addr(s), *addr);
        let streams = state.stream(s, None).await.unwrap();
        for _ in 0..3 {
            assert_eq!(state.send(&streams, &[(b"x", Some(peer_addr))]).unwrap(), 1);
            assert_eq!(peer.recv_from(&mut [0; 9]).unwrap(), (1, *addr));
        }
    });
}

#[test]
fn an_error_of_the_network_wakes_a_receive_each_time() {
    run(async |mut state| {
        let (s, addr) = &state.bound().await;
        let to = nobody();
        let streams = state.stream(s, Some(to)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(state.receive(&streams, 1).unwrap(), []);
            let wait = Incoming::subscribe(&mut state.view(), borrowed(&streams.0)).unwrap();
            assert!(!state.view().ready(borrowed(&wait)).await.unwrap());
            HostPollable::drop(&mut state.view(), wait).unwrap();
            assert_eq!(state.send(&streams, &[(b"x", None)]).unwrap(), 1);
            assert_eq!(code(state.received(&streams).await), ErrorCode::ConnectionRefused);
        }
        // Of a batch what has gone before the error counts, and the next call tells of it.
        assert_eq!(state.send(&streams, &[(&b"x"[..], None); 3]).unwrap(), 1);
        assert_eq!(code(state.send(&streams, &[(b"x", None)])), ErrorCode::ConnectionRefused);
        let late = Peer::bind(to).unwrap();
        assert_eq!(state.send(&streams, &[(b"x", None)]).unwrap(), 1);
        assert_eq!(late.recv_from(&mut [0; 9]).unwrap(), (1, *addr));
        late.send_to(b"y", addr).unwrap();
        assert_eq!(state.received(&streams).await.unwrap(), (b"y".to_vec(), to));
    });
}

#[test]
fn options_are_those_of_the_system() {
    run(async |mut state| {
        for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
            let s = &state.unbound(family).await;
            let v = &mut state.view();
            Udp::set_unicast_hop_limit(v, borrowed(s), 42).unwrap();
            assert_eq!(Udp::unicast_hop_limit(v, borrowed(s)).unwrap(), 42);
            assert_eq!(code(Udp::set_unicast_hop_limit(v, borrowed(s), 0)), ErrorCode::InvalidArgument);
            Udp::set_receive_buffer_size(v, borrowed(s), 16_384).unwrap();
            Udp::set_send_buffer_size(v, borrowed(s), 20_480).unwrap();
            assert_eq!(Udp::receive_buffer_size(v, borrowed(s)).unwrap(), 16_384);
            assert_eq!(Udp::send_buffer_size(v, borrowed(s)).unwrap(), 20_480);
            assert_eq!(code(Udp::set_send_buffer_size(v, borrowed(s), 0)), ErrorCode::InvalidArgument);
            assert_eq!(code(Udp::set_receive_buffer_size(v, borrowed(s), 0)), ErrorCode::InvalidArgument);
        }
    });
}

#[test]
fn sockets_of_datagrams_count_and_may_be_denied() {
    run(async |mut state| {
        let sink = || Sink::new(Output::Null, std::io::stderr()).unwrap();
        state.own.net = Net::new(Policy::allow_all(), 2, Meter::new(), sink(), None);
        let (s, _) = state.bound().await;
        let streams = state.stream(&s, None).await.unwrap();
        let _tcp = state.create();
        let third = state.view().create_udp_socket(IpAddressFamily::Ipv4).await;
        assert_eq!(code(third), ErrorCode::NewSocketLimit);
        // Whatever of it is left keeps it open.
        Udp::drop(&mut state.view(), s).unwrap();
        assert!(state.view().create_udp_socket(IpAddressFamily::Ipv4).await.is_err());
        state.drop_streams(streams).await;
        state.unbound(IpAddressFamily::Ipv4).await;
        state.own.net = Net::new(Policy::default(), 2, Meter::new(), sink(), None);
        let denied = state.view().create_udp_socket(IpAddressFamily::Ipv4).await;
        assert_eq!(code(denied), ErrorCode::AccessDenied);
    });
}
