//! WASI 0.3: the linker.
//!
//! The host functions are wasmtime-wasi's, beside those of 0.2: what a program is built with today (Rust's std on
//! wasm32-wasip2, wasi-libc) imports 0.2, whatever the program itself does.

use std::sync::Arc;

use wasmparser::{CanonicalFunction, Parser, Payload};
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker, Resource, ResourceType};
use wasmtime_wasi::p3::bindings::{CommandPre, sockets};

use crate::net::{Net, NoSocket, no_descriptors};
use crate::nodelay;
use crate::p2::State;

/// The version that wasmtime-wasi 48 defines its interfaces at; a replacement must use the same.
macro_rules! versioned {
    ($interface:literal) => {
        concat!($interface, "@0.3.0")
    };
}

/// Whether the component in `bytes` has anything of WASI 0.3. It is asked before it is compiled, because the engine depends
/// on it.
pub(crate) fn is_used_by(bytes: &[u8]) -> bool {
    // What cannot be read the compiler complains about.
    Parser::new(0).parse_all(bytes).map_while(Result::ok).any(|payload| match payload {
        Payload::ComponentImportSection(imports) => {
            imports.into_iter().flatten().any(|import| is_wasi03(import.name.name))
        }
        Payload::ComponentExportSection(exports) => {
            exports.into_iter().flatten().any(|export| is_wasi03(export.name.name))
        }
        Payload::ComponentCanonicalSection(functions) => functions.into_iter().flatten().any(is_asynchronous),
        _ => false,
    })
}

fn is_wasi03(name: &str) -> bool {
    name.starts_with("wasi:") && name.contains("@0.3.")
}

/// The built-ins that 0.2 does not have.
fn is_asynchronous(function: CanonicalFunction) -> bool {
    use CanonicalFunction::{Lift, Lower, ResourceDrop, ResourceNew, ResourceRep};
    !matches!(function, Lift { .. } | Lower { .. } | ResourceNew { .. } | ResourceDrop { .. } | ResourceRep { .. })
}

/// Adds what WASI 0.3 offers to what 0.2 does.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::add_to_linker(linker)?;
    // Shadowing is allowed already.
    open_without_delay(linker)?;
    guard_sockets(linker)
}

fn open_without_delay(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use sockets::types::{ErrorCode, Host as _, HostTcpSocket, IpAddressFamily, TcpSocket};
    use wasmtime_wasi::sockets::WasiSocketsView as _;

    let mut types = linker.instance(versioned!("wasi:sockets/types"))?;
    types.func_wrap("[static]tcp-socket.create", |mut store, (family,): (IpAddressFamily,)| {
        let state = store.data_mut();
        if let Err(no) = state.open_socket(Net::open_tcp) {
            return Ok((Err(refused(no)),));
        }
        let (nodelay, net) = (state.nodelay, Arc::clone(&state.net));
        let mut sockets = state.sockets();
        let created = match nodelay {
            true => nodelay::create(
                &mut sockets,
                |sockets| sockets.create(family),
                |sockets, socket: &Resource<TcpSocket>, interval| {
                    let (socket, interval) = (Resource::new_borrow(socket.rep()), interval.as_nanos() as u64);
                    sockets.set_keep_alive_interval(socket, interval).is_ok()
                },
            ),
            false => HostTcpSocket::create(&mut sockets, family).map(|socket| (socket, true)),
        };
        Ok((match created {
            Ok((socket, true)) => Ok(socket),
            // The program has been told that none delays.
            Ok((socket, false)) => {
                HostTcpSocket::drop(&mut sockets, socket)?;
                net.sockets.give_back();
                Err(limit_or(ErrorCode::Other(Some("TCP_NODELAY cannot be set on the new socket".into()))))
            }
            Err(error) => {
                net.sockets.give_back();
                Err(limit_or(sockets.convert_error_code(error)?))
            }
        },))
    })
}

/// WASI 0.3 has no error for it: this is the text of `other`, the name that 0.2 has.
const LIMIT: &str = "new-socket-limit";

fn refused(no: NoSocket) -> sockets::types::ErrorCode {
    match no {
        NoSocket::Denied => sockets::types::ErrorCode::AccessDenied,
        NoSocket::Full => sockets::types::ErrorCode::Other(Some(LIMIT.to_owned())),
    }
}

/// Says it where wasmtime-wasi has no word for that there is no descriptor left.
fn limit_or(error: sockets::types::ErrorCode) -> sockets::types::ErrorCode {
    match error {
        sockets::types::ErrorCode::Other(_) if no_descriptors() => {
            sockets::types::ErrorCode::Other(Some(LIMIT.to_owned()))
        }
        error => error,
    }
}

/// The other calls by which a program gets a socket or a port, and the drops that give them back. What a listener accepts comes
/// by a stream of wasmtime-wasi's, which asks by the check of addresses.
fn guard_sockets(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use sockets::types::{
        ErrorCode, Host as _, HostTcpSocket, HostUdpSocket, IpAddressFamily, IpSocketAddress, TcpSocket, UdpSocket,
    };
    use wasmtime_wasi::sockets::WasiSocketsView as _;

    let mut types = linker.instance(versioned!("wasi:sockets/types"))?;
    types.func_wrap_async("[static]udp-socket.create", |mut store, (family,): (IpAddressFamily,)| {
        Box::new(async move {
            let state = store.data_mut();
            if let Err(no) = state.open_socket(Net::open_udp) {
                return Ok((Err(refused(no)),));
            }
            let net = Arc::clone(&state.net);
            let mut sockets = state.sockets();
            Ok((match HostUdpSocket::create(&mut sockets, family).await {
                Ok(socket) => Ok(socket),
                Err(error) => {
                    net.sockets.give_back();
                    Err(limit_or(sockets.convert_error_code(error)?))
                }
            },))
        })
    })?;
    type Bind = (Resource<TcpSocket>, IpSocketAddress);
    types.func_wrap_async("[method]tcp-socket.bind", |mut store, (socket, addr): Bind| {
        Box::new(async move {
            let state = store.data_mut();
            let allowed = state.net.may_bind(addr.into());
            let mut sockets = state.sockets();
            if !allowed {
                return Ok((Err(ErrorCode::AccessDenied),));
            }
            Ok((match HostTcpSocket::bind(&mut sockets, socket, addr).await {
                Ok(()) => Ok(()),
                Err(error) => Err(sockets.convert_error_code(error)?),
            },))
        })
    })?;
    types.resource("tcp-socket", ResourceType::host::<TcpSocket>(), |mut store, rep| {
        let state = store.data_mut();
        let mut sockets = state.sockets();
        let listened = HostTcpSocket::get_is_listening(&mut sockets, Resource::new_borrow(rep))?;
        // An error of accept is a socket without a descriptor, which was never counted (wasmtime-wasi 48.0.8, sockets/tcp.rs,
        // `poll_accept`); so is one whose connect has failed, which was. Each call about the descriptor fails then.
        let has_descriptor = sockets.get_keep_alive_enabled(Resource::new_borrow(rep)).is_ok();
        HostTcpSocket::drop(&mut sockets, Resource::new_own(rep))?;
        state.closed_socket(listened || !has_descriptor);
        Ok(())
    })?;
    types.resource("udp-socket", ResourceType::host::<UdpSocket>(), |mut store, rep| {
        let state = store.data_mut();
        HostUdpSocket::drop(&mut state.sockets(), Resource::new_own(rep))?;
        state.closed_socket(false);
        Ok(())
    })
}

/// Finds the `run` of a command, and looks whether it is one.
pub(crate) fn run(command: &InstancePre<State>) -> wasmtime::Result<ComponentExportIndex> {
    CommandPre::new(command.clone())?;
    let component = command.component();
    let interface = component.get_export_index(None, versioned!("wasi:cli/run"));
    let run = interface.and_then(|interface| component.get_export_index(Some(&interface), "run"));
    run.ok_or_else(|| wasmtime::format_err!("it exports no function `run`"))
}
