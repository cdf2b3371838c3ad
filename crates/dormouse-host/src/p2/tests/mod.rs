//! What a component's calls do: the calls themselves, on a store's state, with real peers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

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

mod datagrams;
mod files;
mod handles;
mod random;
mod states;
mod streams;

use super::{Own, State};
use crate::interrupt::Interrupt;
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
    let net = Net::new(Policy::allow_all(), sockets, Meter::new(), stderr, None);
    State {
        wasi: WasiCtx::builder().build(),
        table: ResourceTable::new(),
        limits: Limits::new(Bounds::default(), 0, &Meter::new()),
        own: Own::new(Arc::clone(&net), 1000, &Interrupt::new()),
        net,
        trace: None,
        counter: None,
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

/// How long anything may take before the test fails.
const LONG: Duration = Duration::from_secs(30);

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

/// The same, with a peer that has room for a few KiB, and a system that keeps as little for us.
async fn narrow(state: &mut State) -> ((Socket, Input, Out), TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let connection = state.connected(listener.local_addr().unwrap()).await;
    state.view().set_send_buffer_size(borrowed(&connection.0), 4096).unwrap();
    (connection, listener.accept().unwrap().0)
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
