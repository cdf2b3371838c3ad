//! What a component's calls do: the calls themselves, on a store's state, with real peers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Host as _, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, ShutdownType, TcpSocket};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketResult, StreamError};
use wasmtime_wasi::sockets::WasiSocketsView as _;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable};
use wasmtime_wasi_io::bindings::wasi::io::streams::{HostInputStream, HostOutputStream};

use super::{Own, State};
use crate::limits::{Bounds, Limits};
use crate::net::Net;
use crate::net::meter::Meter;
use crate::net::policy::Policy;
use crate::stdio::{Output, Sink};

type Socket = Resource<TcpSocket>;
type Input = Resource<DynInputStream>;
type Out = Resource<DynOutputStream>;

/// A program that may have so many sockets at a time.
fn program(sockets: usize) -> State {
    let stderr = Sink::new(Output::Null, std::io::stderr()).unwrap();
    let net = Net::new(Policy::allow_all(), sockets, Meter::new(), stderr);
    State {
        wasi: WasiCtx::builder().build(),
        table: ResourceTable::new(),
        limits: Limits::new(Bounds::default(), 0),
        own: Own::new(Arc::clone(&net), true, 1000),
        net,
        nodelay: true,
        trace: None,
        built_ins: Arc::default(),
    }
}

/// Runs it as a run does.
fn run<T>(body: impl AsyncFnOnce(State) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio::task::unconstrained(body(program(100))))
}

fn borrowed<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

fn owned<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_own(resource.rep())
}

#[track_caller]
fn code<T>(result: SocketResult<T>) -> ErrorCode {
    match result {
        Ok(_) => panic!("it succeeds"),
        Err(error) => error.downcast().unwrap(),
    }
}

fn any_port(ip: impl Into<std::net::IpAddr>) -> SocketAddr {
    SocketAddr::new(ip.into(), 0)
}

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What programs do in several calls.
impl State {
    fn create(&mut self) -> Socket {
        self.view().create_tcp_socket(IpAddressFamily::Ipv4).unwrap()
    }

    fn network(&mut self) -> Resource<Network> {
        self.sockets().instance_network().unwrap()
    }

    async fn bind(&mut self, socket: &Socket, addr: SocketAddr) -> SocketResult<()> {
        let network = self.network();
        self.view().start_bind(borrowed(socket), network, addr.into()).await
    }

    fn connect(&mut self, socket: &Socket, addr: SocketAddr) -> SocketResult<()> {
        let network = self.network();
        self.view().start_connect(borrowed(socket), network, addr.into())
    }

    async fn block_on_socket(&mut self, socket: &Socket) {
        let pollable = HostTcpSocket::subscribe(&mut self.view(), borrowed(socket)).unwrap();
        self.view().block(borrowed(&pollable)).await.unwrap();
        HostPollable::drop(&mut self.view(), pollable).unwrap();
    }

    async fn connected(&mut self, addr: SocketAddr) -> (Socket, Input, Out) {
        let socket = self.create();
        self.connect(&socket, addr).unwrap();
        self.block_on_socket(&socket).await;
        let (input, output) = self.view().finish_connect(borrowed(&socket)).unwrap();
        (socket, input, output)
    }

    async fn listening(&mut self) -> (Socket, SocketAddr) {
        let socket = self.create();
        self.bind(&socket, any_port(LOCAL)).await.unwrap();
        self.view().finish_bind(borrowed(&socket)).unwrap();
        self.view().start_listen(borrowed(&socket)).await.unwrap();
        self.view().finish_listen(borrowed(&socket)).unwrap();
        let addr = self.view().local_address(borrowed(&socket)).unwrap().into();
        (socket, addr)
    }

    async fn wait_for_input(&mut self, input: &Input) {
        let pollable = HostInputStream::subscribe(&mut self.view(), borrowed(input)).unwrap();
        self.view().block(borrowed(&pollable)).await.unwrap();
        HostPollable::drop(&mut self.view(), pollable).unwrap();
    }

    async fn drop_all(&mut self, (socket, input, output): (Socket, Input, Out)) {
        HostInputStream::drop(&mut self.view(), input).await.unwrap();
        HostOutputStream::drop(&mut self.view(), output).await.unwrap();
        HostTcpSocket::drop(&mut self.view(), socket).unwrap();
    }
}

/// A connection of the program's, and its peer.
async fn pair(state: &mut State) -> ((Socket, Input, Out), TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = state.connected(listener.local_addr().unwrap()).await;
    (connection, listener.accept().unwrap().0)
}

#[test]
fn each_state_allows_what_the_specification_says() {
    run(async |mut state| {
        let s = &state.create();
        let v = &mut state.view();
        // Unbound.
        assert_eq!(code(v.finish_bind(borrowed(s))), ErrorCode::NotInProgress);
        assert_eq!(code(v.finish_connect(borrowed(s))), ErrorCode::NotInProgress);
        assert_eq!(code(v.finish_listen(borrowed(s))), ErrorCode::NotInProgress);
        assert_eq!(code(v.start_listen(borrowed(s)).await), ErrorCode::InvalidState);
        assert_eq!(code(v.accept(borrowed(s))), ErrorCode::InvalidState);
        assert_eq!(code(v.shutdown(borrowed(s), ShutdownType::Both)), ErrorCode::InvalidState);
        assert_eq!(code(v.local_address(borrowed(s))), ErrorCode::InvalidState);
        assert_eq!(code(v.remote_address(borrowed(s))), ErrorCode::InvalidState);
        // Binding.
        state.bind(s, any_port(LOCAL)).await.unwrap();
        assert_eq!(code(state.bind(s, any_port(LOCAL)).await), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(state.connect(s, "127.0.0.1:1".parse().unwrap())), ErrorCode::ConcurrencyConflict);
        let v = &mut state.view();
        assert_eq!(code(v.start_listen(borrowed(s)).await), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(v.local_address(borrowed(s))), ErrorCode::InvalidState);
        assert_eq!(code(v.finish_listen(borrowed(s))), ErrorCode::NotInProgress);
        v.finish_bind(borrowed(s)).unwrap();
        // Bound.
        assert_eq!(code(v.finish_bind(borrowed(s))), ErrorCode::NotInProgress);
        assert!(v.local_address(borrowed(s)).is_ok());
        assert_eq!(code(v.accept(borrowed(s))), ErrorCode::InvalidState);
        assert_eq!(code(state.bind(s, any_port(LOCAL)).await), ErrorCode::InvalidState);
        // On the way to listening.
        let v = &mut state.view();
        v.start_listen(borrowed(s)).await.unwrap();
        assert_eq!(code(v.start_listen(borrowed(s)).await), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(v.accept(borrowed(s))), ErrorCode::InvalidState);
        assert!(!v.is_listening(borrowed(s)).unwrap());
        v.finish_listen(borrowed(s)).unwrap();
        // Listening.
        assert!(v.is_listening(borrowed(s)).unwrap());
        assert_eq!(code(v.start_listen(borrowed(s)).await), ErrorCode::InvalidState);
        assert_eq!(code(v.accept(borrowed(s))), ErrorCode::WouldBlock);
        assert_eq!(code(v.shutdown(borrowed(s), ShutdownType::Both)), ErrorCode::InvalidState);
        assert_eq!(code(v.remote_address(borrowed(s))), ErrorCode::InvalidState);
        v.set_listen_backlog_size(borrowed(s), 32).unwrap();
        let addr = v.local_address(borrowed(s)).unwrap().into();
        assert_eq!(code(state.connect(s, addr)), ErrorCode::InvalidState);
        // Connecting, and connected.
        let c = &state.create();
        state.connect(c, addr).unwrap();
        assert_eq!(code(state.connect(c, addr)), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(state.bind(c, any_port(LOCAL)).await), ErrorCode::ConcurrencyConflict);
        assert_eq!(code(state.view().set_listen_backlog_size(borrowed(c), 1)), ErrorCode::InvalidState);
        state.block_on_socket(c).await;
        state.view().finish_connect(borrowed(c)).unwrap();
        assert_eq!(code(state.connect(c, addr)), ErrorCode::InvalidState);
        let v = &mut state.view();
        assert_eq!(code(v.finish_connect(borrowed(c))), ErrorCode::NotInProgress);
        assert_eq!(code(v.start_listen(borrowed(c)).await), ErrorCode::InvalidState);
        assert_eq!(code(v.accept(borrowed(c))), ErrorCode::InvalidState);
        assert_eq!(SocketAddr::from(v.remote_address(borrowed(c)).unwrap()), addr);
    });
}

#[test]
fn addresses_that_no_socket_of_the_family_has_are_invalid_arguments() {
    run(async |mut state| {
        let [v4, v6] = [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6]
            .map(|family| state.view().create_tcp_socket(family).unwrap());
        for (socket, addr) in [
            (&v4, "[::1]:1"),
            (&v4, "224.0.0.1:1"),
            (&v4, "255.255.255.255:1"),
            (&v6, "127.0.0.1:1"),
            (&v6, "[::ffff:127.0.0.1]:1"),
            (&v6, "[::127.0.0.1]:1"),
            (&v6, "[ff02::1]:1"),
        ] {
            let addr = addr.parse().unwrap();
            assert_eq!(code(state.bind(socket, addr).await), ErrorCode::InvalidArgument, "{addr}");
            assert_eq!(code(state.connect(socket, addr)), ErrorCode::InvalidArgument, "{addr}");
        }
        for (socket, addr) in [(&v4, "0.0.0.0:1"), (&v4, "127.0.0.1:0"), (&v6, "[::]:1"), (&v6, "[::1]:0")] {
            let addr = addr.parse().unwrap();
            assert_eq!(code(state.connect(socket, addr)), ErrorCode::InvalidArgument, "{addr}");
        }
        assert_eq!(code(state.view().set_listen_backlog_size(borrowed(&v4), 0)), ErrorCode::InvalidArgument);
        assert_eq!(code(state.view().set_hop_limit(borrowed(&v6), 0)), ErrorCode::InvalidArgument);
        assert_eq!(code(state.view().set_send_buffer_size(borrowed(&v4), 0)), ErrorCode::InvalidArgument);
    });
}

#[test]
fn a_failure_is_told_by_its_code_and_closes_a_socket_that_connected() {
    run(async |mut state| {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let s = &state.create();
        state.connect(s, taken).unwrap();
        state.block_on_socket(s).await;
        assert_eq!(code(state.view().finish_connect(borrowed(s))), ErrorCode::ConnectionRefused);
        assert_eq!(code(state.view().finish_connect(borrowed(s))), ErrorCode::NotInProgress);
        assert_eq!(code(state.connect(s, taken)), ErrorCode::InvalidState);
        assert_eq!(code(state.view().hop_limit(borrowed(s))), ErrorCode::InvalidState);

        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let s = &state.create();
        assert_eq!(code(state.bind(s, other.local_addr().unwrap()).await), ErrorCode::AddressInUse);
        assert_eq!(code(state.bind(s, any_port([192, 0, 2, 1])).await), ErrorCode::AddressNotBindable);
        // After one that failed.
        state.bind(s, any_port(LOCAL)).await.unwrap();
    });
}

#[test]
fn a_socket_of_ipv6_is_of_ipv6_alone_and_has_nodelay() {
    run(async |mut state| {
        let six = &state.view().create_tcp_socket(IpAddressFamily::Ipv6).unwrap();
        let fd = state.own.get(six.rep()).unwrap().socket().unwrap();
        assert!(rustix::net::sockopt::ipv6_v6only(fd).unwrap());
        assert!(rustix::net::sockopt::tcp_nodelay(fd).unwrap());
        let (listener, addr) = state.listening().await;
        let _client = TcpStream::connect(addr).unwrap();
        state.block_on_socket(&listener).await;
        let (accepted, ..) = state.view().accept(borrowed(&listener)).unwrap();
        let fd = state.own.get(accepted.rep()).unwrap().socket().unwrap();
        assert!(rustix::net::sockopt::tcp_nodelay(fd).unwrap());
    });
}

#[test]
fn beyond_the_limit_a_connection_waits_and_no_poll_turns_in_circles() {
    run(async |mut state| {
        state.own.net =
            Net::new(Policy::allow_all(), 2, Meter::new(), Sink::new(Output::Null, std::io::stderr()).unwrap());
        let (listener, addr) = state.listening().await;
        let other = state.create();
        assert_eq!(code(state.view().create_tcp_socket(IpAddressFamily::Ipv4)), ErrorCode::NewSocketLimit);
        assert_eq!(code(state.view().accept(borrowed(&listener))), ErrorCode::WouldBlock);
        let _client = TcpStream::connect(addr).unwrap();
        assert_eq!(code(state.view().accept(borrowed(&listener))), ErrorCode::NewSocketLimit);
        let pollable = HostTcpSocket::subscribe(&mut state.view(), borrowed(&listener)).unwrap();
        assert!(!state.view().ready(borrowed(&pollable)).await.unwrap());
        HostTcpSocket::drop(&mut state.view(), other).unwrap();
        state.view().block(borrowed(&pollable)).await.unwrap();
        assert!(state.view().accept(borrowed(&listener)).is_ok());
        assert!(state.own.net.meter.traffic().refused > 0);
    });
}

#[test]
fn parts_are_dropped_in_any_order_and_the_last_one_closes() {
    run(async |mut state| {
        for order in 0..3 {
            let ((socket, input, output), mut peer) = pair(&mut state).await;
            let wait = HostOutputStream::subscribe(&mut state.view(), borrowed(&output)).unwrap();
            assert_eq!((state.own.sockets(), state.own.handles()), (1, 4));
            let error = HostOutputStream::drop(&mut state.view(), owned(&output)).await.unwrap_err();
            assert!(error.to_string().contains("resource has children"), "{error}");
            state.view().block(borrowed(&wait)).await.unwrap();
            HostPollable::drop(&mut state.view(), wait).unwrap();
            let rep = socket.rep();
            if order == 0 {
                HostTcpSocket::drop(&mut state.view(), owned(&socket)).unwrap();
                // The stream keeps the connection.
                state.view().blocking_write_and_flush(borrowed(&output), b"still there".to_vec()).await.unwrap();
                let mut got = [0; 11];
                peer.read_exact(&mut got).unwrap();
                assert_eq!(&got, b"still there");
            }
            if order != 2 {
                HostInputStream::drop(&mut state.view(), owned(&input)).await.unwrap();
            }
            HostOutputStream::drop(&mut state.view(), output).await.unwrap();
            if order == 2 {
                HostInputStream::drop(&mut state.view(), input).await.unwrap();
            }
            if order != 0 {
                HostTcpSocket::drop(&mut state.view(), socket).unwrap();
            }
            assert_eq!(peer.read(&mut [0]).unwrap(), 0);
            assert_eq!((state.own.sockets(), state.own.handles()), (0, 0));
            // An old number finds nothing, whatever has its place by then.
            let _new = pair(&mut state).await;
            assert!(state.view().is_listening(Resource::new_borrow(rep)).is_err());
            state.own = Own::new(state.net.clone(), true, 1000);
        }
    });
}

#[test]
fn a_number_is_not_given_again_when_its_place_is() {
    run(async |mut state| {
        let mut given = std::collections::HashSet::new();
        for _ in 0..2000 {
            let socket = state.create();
            assert!(given.insert(socket.rep()));
            HostTcpSocket::drop(&mut state.view(), socket).unwrap();
        }
    });
}

#[test]
fn handles_are_bounded() {
    run(async |mut state| {
        state.own = Own::new(state.net.clone(), true, 2);
        let socket = state.create();
        let _pollable = HostTcpSocket::subscribe(&mut state.view(), borrowed(&socket)).unwrap();
        let error = HostTcpSocket::subscribe(&mut state.view(), borrowed(&socket)).unwrap_err();
        assert!(error.to_string().contains("no free keys"), "{error}");
    });
}

#[test]
fn reads_tell_nothing_bytes_the_end_and_a_reset() {
    run(async |mut state| {
        let ((_socket, input, _output), mut peer) = pair(&mut state).await;
        let read = |state: &mut State, len| HostInputStream::read(&mut state.view(), borrowed(&input), len);
        assert_eq!(read(&mut state, 10).unwrap(), b"");
        assert_eq!(read(&mut state, 0).unwrap(), b"");
        peer.write_all(b"abcdef").unwrap();
        state.wait_for_input(&input).await;
        assert_eq!(read(&mut state, 0).unwrap(), b"");
        assert_eq!(read(&mut state, 2).unwrap(), b"ab");
        assert_eq!(HostInputStream::skip(&mut state.view(), borrowed(&input), 1).unwrap(), 1);
        assert_eq!(state.view().blocking_read(borrowed(&input), u64::MAX).await.unwrap(), b"def");
        drop(peer);
        state.wait_for_input(&input).await;
        for len in [10, 0] {
            assert!(matches!(read(&mut state, len), Err(StreamError::Closed)));
        }

        let ((_socket, input, _output), peer) = pair(&mut state).await;
        socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(peer);
        state.wait_for_input(&input).await;
        let Err(StreamError::LastOperationFailed(error)) =
            HostInputStream::read(&mut state.view(), borrowed(&input), 10)
        else {
            panic!("a reset is an error")
        };
        let error = state.table.push(error).unwrap();
        assert_eq!(state.sockets().network_error_code(error).unwrap(), Some(ErrorCode::ConnectionReset));
        let closed = HostInputStream::read(&mut state.view(), borrowed(&input), 10);
        assert!(matches!(closed, Err(StreamError::Closed)));
    });
}

#[test]
fn a_write_needs_a_permit_and_beyond_it_traps() {
    run(async |mut state| {
        let ((_socket, _input, output), mut peer) = pair(&mut state).await;
        let write = |state: &mut State, len| state.view().write(borrowed(&output), vec![1; len]);
        assert!(matches!(write(&mut state, 1), Err(StreamError::Trap(_))));
        let permit = state.view().check_write(borrowed(&output)).unwrap() as usize;
        assert!(matches!(write(&mut state, permit + 1), Err(StreamError::Trap(_))));
        write(&mut state, 0).unwrap();
        write(&mut state, permit).unwrap();
        assert!(matches!(write(&mut state, 1), Err(StreamError::Trap(_))));
        peer.read_exact(&mut vec![0; permit]).unwrap();
        state.view().blocking_write_zeroes_and_flush(borrowed(&output), 5).await.unwrap();
        let mut zeroes = [1; 5];
        peer.read_exact(&mut zeroes).unwrap();
        assert_eq!(zeroes, [0; 5]);
        let too_much = state.view().blocking_write_and_flush(borrowed(&output), vec![0; 4097]).await;
        assert!(matches!(too_much, Err(StreamError::Trap(_))));
        let traffic = state.net.meter.traffic();
        assert_eq!((traffic.opened, traffic.sent, traffic.received), (1, permit as u64 + 5, 0));
    });
}

/// Writes until the system takes no more; gives how much that was.
async fn fill(state: &mut State, output: &Out) -> usize {
    let mut written = 0;
    loop {
        match state.view().check_write(borrowed(output)).unwrap() as usize {
            0 => return written,
            permit => {
                state.view().write(borrowed(output), vec![7; permit]).unwrap();
                written += permit;
            }
        }
    }
}

#[test]
fn a_drop_waits_for_no_peer_and_loses_nothing() {
    run(async |mut state| {
        let (connection, mut peer) = pair(&mut state).await;
        state.view().set_send_buffer_size(borrowed(&connection.0), 4096).unwrap();
        let written = fill(&mut state, &connection.2).await;
        state.drop_all(connection).await;
        assert_eq!(state.own.handles(), 0);
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).map(|_| got.len())
        });
        state.own.flusher().idle().await;
        assert_eq!(reader.join().unwrap().unwrap(), written);
    });
}

#[test]
fn a_half_ends_behind_what_was_written_and_the_other_goes_on() {
    run(async |mut state| {
        let ((socket, input, output), mut peer) = pair(&mut state).await;
        state.view().set_send_buffer_size(borrowed(&socket), 4096).unwrap();
        let written = fill(&mut state, &output).await;
        state.view().shutdown(borrowed(&socket), ShutdownType::Send).unwrap();
        assert_eq!(state.view().check_write(borrowed(&output)).unwrap(), 0);
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).unwrap();
            peer.write_all(b"answer").unwrap();
            got.len()
        });
        assert_eq!(state.view().blocking_read(borrowed(&input), 100).await.unwrap(), b"answer");
        assert_eq!(reader.join().unwrap(), written);
        let pollable = HostOutputStream::subscribe(&mut state.view(), borrowed(&output)).unwrap();
        state.view().block(pollable).await.unwrap();
        assert!(matches!(state.view().check_write(borrowed(&output)), Err(StreamError::Closed)));
        assert!(matches!(state.view().write(borrowed(&output), vec![1]), Err(StreamError::Closed)));
        assert!(matches!(state.view().flush(borrowed(&output)), Err(StreamError::Closed)));
    });
}

#[test]
fn what_has_come_and_was_not_read_resets_at_the_close() {
    run(async |mut state| {
        let (connection, mut peer) = pair(&mut state).await;
        peer.write_all(b"unread").unwrap();
        state.wait_for_input(&connection.1).await;
        state.drop_all(connection).await;
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_poll_tells_of_ours_and_of_others_and_of_one_that_is_there_twice() {
    run(async |mut state| {
        let ((_socket, input, output), mut peer) = pair(&mut state).await;
        let readable = HostInputStream::subscribe(&mut state.view(), borrowed(&input)).unwrap();
        let writable = HostOutputStream::subscribe(&mut state.view(), borrowed(&output)).unwrap();
        let [due, never] = [0, u64::MAX].map(|nanoseconds| state.clocks().subscribe_duration(nanoseconds).unwrap());
        let poll = async |state: &mut State, list: &[&Resource<DynPollable>]| {
            let list = list.iter().map(|pollable| borrowed(pollable)).collect();
            state.view().poll(list).await.unwrap()
        };
        state.view().block(borrowed(&due)).await.unwrap();
        assert_eq!(poll(&mut state, &[&never, &writable, &readable, &writable, &due]).await, [1, 3, 4]);
        assert_eq!(poll(&mut state, &[&due, &readable]).await, [0]);
        peer.write_all(b"x").unwrap();
        assert_eq!(poll(&mut state, &[&never, &readable, &readable]).await, [1, 2]);
        assert!(state.view().poll(Vec::new()).await.is_err());
        assert!(state.view().ready(borrowed(&readable)).await.unwrap());
        assert!(!state.view().ready(borrowed(&never)).await.unwrap());
    });
}

#[test]
fn what_is_always_ready_hides_no_other_socket() {
    run(async |mut state| {
        let ((_s, input, _o), mut peer) = pair(&mut state).await;
        let ((_s2, _i2, always), _peer) = pair(&mut state).await;
        let readable = HostInputStream::subscribe(&mut state.view(), borrowed(&input)).unwrap();
        let writable = HostOutputStream::subscribe(&mut state.view(), borrowed(&always)).unwrap();
        let both = || vec![borrowed(&writable), borrowed(&readable)];
        state.view().block(borrowed(&writable)).await.unwrap();
        assert_eq!(state.view().poll(both()).await.unwrap(), [0]);
        peer.write_all(b"x").unwrap();
        assert_eq!(state.view().poll(both()).await.unwrap(), [0, 1]);
    });
}

#[test]
fn a_program_that_asks_and_never_waits_gets_on() {
    run(async |mut state| {
        let ((_socket, input, output), mut peer) = pair(&mut state).await;
        fill(&mut state, &output).await;
        let reader = peer.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut { reader }, &mut std::io::sink()));
        peer.write_all(b"x").unwrap();
        while HostInputStream::read(&mut state.view(), borrowed(&input), 1).unwrap().is_empty() {}
        let (listener, addr) = state.listening().await;
        let _client = TcpStream::connect(addr).unwrap();
        while state.view().accept(borrowed(&listener)).is_err() {}
        let again = state.create();
        state.connect(&again, addr).unwrap();
        while state.view().finish_connect(borrowed(&again)).is_err() {}
    });
}

#[test]
fn a_splice_moves_bytes_between_connections() {
    run(async |mut state| {
        let ((_s1, from, _o1), mut source) = pair(&mut state).await;
        let ((_s2, _i2, to), mut sink) = pair(&mut state).await;
        assert_eq!(state.view().splice(borrowed(&to), borrowed(&from), 100).unwrap(), 0);
        source.write_all(b"one way").unwrap();
        state.wait_for_input(&from).await;
        assert_eq!(state.view().splice(borrowed(&to), borrowed(&from), 3).unwrap(), 3);
        assert_eq!(state.view().blocking_splice(borrowed(&to), borrowed(&from), 100).await.unwrap(), 4);
        let mut got = [0; 7];
        sink.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"one way");
        drop(source);
        assert!(matches!(
            state.view().blocking_splice(borrowed(&to), borrowed(&from), 100).await,
            Err(StreamError::Closed)
        ));
    });
}

#[test]
fn options_are_read_back() {
    run(async |mut state| {
        let s = &state.create();
        let v = &mut state.view();
        v.set_keep_alive_enabled(borrowed(s), true).unwrap();
        v.set_keep_alive_idle_time(borrowed(s), 7_000_000_000).unwrap();
        v.set_keep_alive_interval(borrowed(s), 1).unwrap();
        v.set_keep_alive_count(borrowed(s), u32::MAX).unwrap();
        v.set_hop_limit(borrowed(s), 42).unwrap();
        v.set_receive_buffer_size(borrowed(s), 16_000).unwrap();
        assert!(v.keep_alive_enabled(borrowed(s)).unwrap());
        assert_eq!(v.keep_alive_idle_time(borrowed(s)).unwrap(), 7_000_000_000);
        assert_eq!(v.keep_alive_interval(borrowed(s)).unwrap(), 1_000_000_000, "the least that there is");
        assert_eq!(v.keep_alive_count(borrowed(s)).unwrap(), 127, "the most that there is");
        assert_eq!(v.hop_limit(borrowed(s)).unwrap(), 42);
        assert_eq!(v.receive_buffer_size(borrowed(s)).unwrap(), 16_000);
    });
}
