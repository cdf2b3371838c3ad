//! WASI 0.2: the linker, and what a store holds.
//!
//! The host functions are wasmtime-wasi's, but for the one that opens a TCP socket ([`nodelay`]). For a counted run, those that its spans do not show are replaced by ones
//! that count and then do the same: `poll` and `block` (the spans do not have the length of the list, and this is
//! the moment to measure the resource table) and the drop of every resource.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::p2::bindings::{LinkOptions, cli, filesystem, sockets};
use wasmtime_wasi::p2::{DynPollable, add_to_linker_with_options_async};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::built_ins::BuiltIns;
use crate::limits::Limits;
use crate::nodelay;
use crate::trace::{Trace, WAIT};

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
    /// Whether its TCP sockets get TCP_NODELAY.
    pub(crate) nodelay: bool,
    /// There if and only if the linker is a counting one.
    pub(crate) trace: Option<Trace>,
    /// What the program tells about by itself.
    pub(crate) built_ins: Arc<BuiltIns>,
}

impl State {
    pub(crate) fn count(&self, name: &str) {
        if let Some(trace) = &self.trace {
            trace.count(name);
        }
    }

    /// Walks the table: it does not know its own size.
    pub(crate) fn measure_resources(&mut self) {
        if let Some(trace) = &self.trace {
            trace.set_resources(self.table.iter_mut().count());
        }
    }
}

/// [`Limits`], and the way by which a program tells about the built-ins that it calls.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let Some(name) = self.built_ins.told(current, desired, maximum) else {
            return self.limits.memory_growing(current, desired, maximum);
        };
        if name == WAIT {
            // Before it is counted: who sees the count sees this number, too.
            self.measure_resources();
        }
        self.count(name);
        Ok(false)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What WASI 0.2 offers.
pub(crate) fn linker(engine: &Engine, counting: bool) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let mut options = LinkOptions::default();
    options.network_error_code(true);
    add_to_linker_with_options_async(&mut linker, &options)?;
    linker.allow_shadowing(true);
    open_without_delay(&mut linker)?;
    if counting {
        count_waits(&mut linker)?;
        count_drops(&mut linker)?;
    }
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
        let nodelay = state.nodelay;
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
                Err(ErrorCode::Unknown)
            }
            Err(error) => Err(sockets.convert_error_code(error)?),
        },))
    })
}

fn count_waits(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut poll = linker.instance(versioned!("wasi:io/poll"))?;
    poll.func_wrap_async("poll", |mut store, (list,): (Vec<Resource<DynPollable>>,)| {
        Box::new(async move {
            let state = store.data_mut();
            // Before it is counted: who sees the count sees this number, too.
            state.measure_resources();
            if let Some(trace) = &state.trace {
                trace.count_poll(list.len());
            }
            Ok((io::poll::Host::poll(&mut state.table, list).await?,))
        })
    })?;
    poll.func_wrap_async("[method]pollable.block", |mut store, (pollable,): (Resource<DynPollable>,)| {
        Box::new(async move {
            let state = store.data_mut();
            state.count("wasi:io/poll.[method]pollable.block");
            state.measure_resources();
            io::poll::HostPollable::block(&mut state.table, pollable).await
        })
    })
}

fn count_drops(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use cli::{terminal_input, terminal_output};
    use filesystem::types as files;
    use io::{error, poll, streams};
    use sockets::{ip_name_lookup, network, tcp, udp};
    use wasmtime_wasi::cli::WasiCliView as _;
    use wasmtime_wasi::filesystem::WasiFilesystemView as _;
    use wasmtime_wasi::sockets::WasiSocketsView as _;

    /// interface, resource: Rust type, the host's own drop(view of the state) and whether it is awaited.
    macro_rules! count_drops {
        ($($interface:literal $name:literal: $ty:ty, $drop:path, |$state:ident| $view:expr $(, $await:tt)?;)*) => {
            $(linker.instance(versioned!($interface))?.resource_async(
                $name,
                ResourceType::host::<$ty>(),
                |mut store, rep| {
                    Box::new(async move {
                        let $state = store.data_mut();
                        $state.count(concat!($interface, ".[resource-drop]", $name));
                        $drop($view, Resource::new_own(rep))$(.$await)?
                    })
                },
            )?;)*
        };
    }
    count_drops! {
        "wasi:io/error" "error": error::Error, error::HostError::drop, |s| &mut s.table;
        "wasi:io/poll" "pollable": poll::Pollable, poll::HostPollable::drop, |s| &mut s.table;
        "wasi:io/streams" "input-stream":
            streams::InputStream, streams::HostInputStream::drop, |s| &mut s.table, await;
        "wasi:io/streams" "output-stream":
            streams::OutputStream, streams::HostOutputStream::drop, |s| &mut s.table, await;
        "wasi:sockets/network" "network":
            network::Network, network::HostNetwork::drop, |s| &mut s.sockets();
        "wasi:sockets/tcp" "tcp-socket":
            tcp::TcpSocket, tcp::HostTcpSocket::drop, |s| &mut s.sockets();
        "wasi:sockets/udp" "udp-socket":
            udp::UdpSocket, udp::HostUdpSocket::drop, |s| &mut s.sockets();
        "wasi:sockets/udp" "incoming-datagram-stream":
            udp::IncomingDatagramStream, udp::HostIncomingDatagramStream::drop, |s| &mut s.sockets();
        "wasi:sockets/udp" "outgoing-datagram-stream":
            udp::OutgoingDatagramStream, udp::HostOutgoingDatagramStream::drop, |s| &mut s.sockets(), await;
        "wasi:sockets/ip-name-lookup" "resolve-address-stream":
            ip_name_lookup::ResolveAddressStream, ip_name_lookup::HostResolveAddressStream::drop,
            |s| &mut s.sockets();
        "wasi:filesystem/types" "descriptor":
            files::Descriptor, files::HostDescriptor::drop, |s| &mut s.filesystem();
        "wasi:filesystem/types" "directory-entry-stream":
            files::DirectoryEntryStream, files::HostDirectoryEntryStream::drop, |s| &mut s.filesystem();
        "wasi:cli/terminal-input" "terminal-input":
            terminal_input::TerminalInput, terminal_input::HostTerminalInput::drop, |s| &mut s.cli();
        "wasi:cli/terminal-output" "terminal-output":
            terminal_output::TerminalOutput, terminal_output::HostTerminalOutput::drop, |s| &mut s.cli();
    }
    Ok(())
}
