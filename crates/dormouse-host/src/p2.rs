//! WASI 0.2: the linker, and what a store holds.
//!
//! The host functions are wasmtime-wasi's, but for those by which a program gets sockets and ports: they ask [`Net`] first, and
//! a TCP socket is opened by [`nodelay`]; and but for `poll`, which counts what it is given.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::p2::bindings::{LinkOptions, sockets};
use wasmtime_wasi::p2::{DynPollable, add_to_linker_with_options_async};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::count::{Counter, Trace};
use crate::limits::Limits;
use crate::net::{Net, NoSocket, no_descriptors};
use crate::nodelay;

/// The version that wasmtime-wasi 48 defines its interfaces at; a replacement must use the same.
macro_rules! versioned {
    ($interface:literal) => {
        concat!($interface, "@0.2.12")
    };
}

/// What the store of one run holds.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limits: Limits,
    pub(crate) net: Arc<Net>,
    /// Whether its TCP sockets get TCP_NODELAY.
    pub(crate) nodelay: bool,
    /// There if and only if the run is counted.
    pub(crate) trace: Option<Trace>,
    /// Counts the calls that the program tells of.
    pub(crate) counter: Option<Counter>,
}

impl State {
    pub(crate) fn count(&self, _: &str) {}

    /// Counts a socket that is about to be opened, with `open` of [`Net`].
    pub(crate) fn open_socket(&mut self, open: impl Fn(&Net) -> Result<(), NoSocket>) -> Result<(), NoSocket> {
        let opened = open(&self.net);
        if opened != Err(NoSocket::Full) {
            return opened;
        }
        // A connection that was accepted, and whose listener was dropped before it was handed over, still counts.
        self.recount_sockets();
        let opened = open(&self.net);
        if opened.is_err() {
            self.net.say_full();
        }
        opened
    }

    /// Counts the sockets in the table.
    pub(crate) fn recount_sockets(&mut self) {
        use wasmtime_wasi::p2::bindings::sockets as p2;
        use wasmtime_wasi::p3::bindings::sockets::types as p3;
        let sockets = self.table.iter_mut().filter(|entry| {
            entry.is::<p2::tcp::TcpSocket>()
                || entry.is::<p2::udp::UdpSocket>()
                || entry.is::<p3::TcpSocket>()
                || entry.is::<p3::UdpSocket>()
        });
        self.net.sockets.recount(sockets.count());
    }

    /// A socket has been dropped.
    pub(crate) fn closed_socket(&mut self, listened: bool) {
        match listened {
            true => self.recount_sockets(),
            false => self.net.sockets.give_back(),
        }
    }

    /// Walks the table: it does not know its own size.
    pub(crate) fn measure_resources(&mut self) {
        if let Some(trace) = &self.trace {
            trace.set_resources(self.table.iter_mut().count());
        }
    }
}

/// [`Limits`], and the way by which a counted program tells of its calls.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let State { counter, table, .. } = self;
        match counter {
            // The table does not know its own size.
            Some(counter) if counter.counts(current, desired, maximum, || table.iter_mut().count()) => Ok(false),
            _ => self.limits.memory_growing(current, desired, maximum),
        }
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What WASI 0.2 offers.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let mut options = LinkOptions::default();
    options.network_error_code(true);
    add_to_linker_with_options_async(&mut linker, &options)?;
    linker.allow_shadowing(true);
    open_without_delay(&mut linker)?;
    guard_sockets(&mut linker)?;
    count_poll_entries(&mut linker)?;
    Ok(linker)
}

fn open_without_delay(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use sockets::network::{ErrorCode, Host as _, IpAddressFamily};
    use sockets::tcp::{HostTcpSocket, TcpSocket};
    use sockets::tcp_create_socket::Host as _;
    use wasmtime_wasi::sockets::WasiSocketsView as _;

    let mut create = linker.instance(versioned!("wasi:sockets/tcp-create-socket"))?;
    create.func_wrap("create-tcp-socket", |mut store, (family,): (IpAddressFamily,)| {
        let state = store.data_mut();
        // The span that counts is in the function which this one replaces.
        state.count("wasi:sockets/tcp-create-socket.create-tcp-socket");
        match state.open_socket(Net::open_tcp) {
            Ok(()) => {}
            Err(no) => return Ok((Err(refused(no)),)),
        }
        let (nodelay, net) = (state.nodelay, Arc::clone(&state.net));
        let mut sockets = state.sockets();
        let created = match nodelay {
            true => nodelay::create(
                &mut sockets,
                |sockets| sockets.create_tcp_socket(family),
                |sockets, socket: &Resource<TcpSocket>, interval| {
                    let (socket, interval) = (Resource::new_borrow(socket.rep()), interval.as_nanos() as u64);
                    sockets.set_keep_alive_interval(socket, interval).is_ok()
                },
            ),
            false => sockets.create_tcp_socket(family).map(|socket| (socket, true)),
        };
        Ok((match created {
            Ok((socket, true)) => Ok(socket),
            // The program has been told that none delays.
            Ok((socket, false)) => {
                HostTcpSocket::drop(&mut sockets, socket)?;
                net.sockets.give_back();
                Err(limit_or(ErrorCode::Unknown))
            }
            Err(error) => {
                net.sockets.give_back();
                Err(limit_or(sockets.convert_error_code(error)?))
            }
        },))
    })
}

fn refused(no: NoSocket) -> sockets::network::ErrorCode {
    match no {
        NoSocket::Denied => sockets::network::ErrorCode::AccessDenied,
        NoSocket::Full => sockets::network::ErrorCode::NewSocketLimit,
    }
}

/// `new-socket-limit` for what wasmtime-wasi calls `unknown` when there is no descriptor left.
fn limit_or(error: sockets::network::ErrorCode) -> sockets::network::ErrorCode {
    match error {
        sockets::network::ErrorCode::Unknown if no_descriptors() => sockets::network::ErrorCode::NewSocketLimit,
        error => error,
    }
}

/// The other calls by which a program gets a socket or a port, and the drops that give them back.
fn guard_sockets(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use sockets::network::{ErrorCode, Host as _, IpAddressFamily, IpSocketAddress, Network};
    use sockets::tcp::{HostTcpSocket, TcpSocket};
    use sockets::udp::{HostUdpSocket, UdpSocket};
    use sockets::udp_create_socket::Host as _;
    use wasmtime_wasi::sockets::WasiSocketsView as _;

    let mut create = linker.instance(versioned!("wasi:sockets/udp-create-socket"))?;
    create.func_wrap_async("create-udp-socket", |mut store, (family,): (IpAddressFamily,)| {
        Box::new(async move {
            let state = store.data_mut();
            state.count("wasi:sockets/udp-create-socket.create-udp-socket");
            if let Err(no) = state.open_socket(Net::open_udp) {
                return Ok((Err(refused(no)),));
            }
            let net = Arc::clone(&state.net);
            let mut sockets = state.sockets();
            Ok((match sockets.create_udp_socket(family).await {
                Ok(socket) => Ok(socket),
                Err(error) => {
                    net.sockets.give_back();
                    Err(limit_or(sockets.convert_error_code(error)?))
                }
            },))
        })
    })?;

    let mut tcp = linker.instance(versioned!("wasi:sockets/tcp"))?;
    type Bind = (Resource<TcpSocket>, Resource<Network>, IpSocketAddress);
    tcp.func_wrap_async("[method]tcp-socket.start-bind", |mut store, (socket, network, addr): Bind| {
        Box::new(async move {
            let state = store.data_mut();
            state.count("wasi:sockets/tcp.[method]tcp-socket.start-bind");
            let allowed = state.net.may_bind(addr.into());
            let mut sockets = state.sockets();
            if !allowed {
                return Ok((Err(ErrorCode::AccessDenied),));
            }
            Ok((match HostTcpSocket::start_bind(&mut sockets, socket, network, addr).await {
                Ok(()) => Ok(()),
                Err(error) => Err(sockets.convert_error_code(error)?),
            },))
        })
    })?;
    tcp.func_wrap("[method]tcp-socket.accept", |mut store, (socket,): (Resource<TcpSocket>,)| {
        let state = store.data_mut();
        state.count("wasi:sockets/tcp.[method]tcp-socket.accept");
        let net = Arc::clone(&state.net);
        let mut sockets = state.sockets();
        Ok((match HostTcpSocket::accept(&mut sockets, socket) {
            Ok(accepted) => Ok(accepted),
            Err(error) => match sockets.convert_error_code(error)? {
                // One that has come waits until there is room for it.
                ErrorCode::WouldBlock if net.sockets.is_full() => {
                    net.say_full();
                    Err(ErrorCode::NewSocketLimit)
                }
                error => Err(limit_or(error)),
            },
        },))
    })?;
    tcp.resource_async("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store, rep| {
        Box::new(async move {
            let state = store.data_mut();
            state.count("wasi:sockets/tcp.[resource-drop]tcp-socket");
            let mut sockets = state.sockets();
            let listened = HostTcpSocket::is_listening(&mut sockets, Resource::new_borrow(rep))?;
            HostTcpSocket::drop(&mut sockets, Resource::new_own(rep))?;
            state.closed_socket(listened);
            Ok(())
        })
    })?;
    let mut udp = linker.instance(versioned!("wasi:sockets/udp"))?;
    udp.resource_async("udp-socket", ResourceType::host::<UdpSocket>(), |mut store, rep| {
        Box::new(async move {
            let state = store.data_mut();
            state.count("wasi:sockets/udp.[resource-drop]udp-socket");
            HostUdpSocket::drop(&mut state.sockets(), Resource::new_own(rep))?;
            state.closed_socket(false);
            Ok(())
        })
    })
}

/// A rewritten program tells that it polls, and not how long the list is.
fn count_poll_entries(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut poll = linker.instance(versioned!("wasi:io/poll"))?;
    poll.func_wrap_async("poll", |mut store, (list,): (Vec<Resource<DynPollable>>,)| {
        Box::new(async move {
            let state = store.data_mut();
            if let Some(trace) = &state.trace {
                trace.count_poll_entries(list.len());
            }
            Ok((io::poll::Host::poll(&mut state.table, list).await?,))
        })
    })
}
