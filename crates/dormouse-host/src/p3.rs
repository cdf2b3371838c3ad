//! WASI 0.3: the linker.
//!
//! The host functions are wasmtime-wasi's, beside those of 0.2: what a program is built with today (Rust's std on
//! wasm32-wasip2, wasi-libc) imports 0.2, whatever the program itself does.

use wasmparser::{CanonicalFunction, Parser, Payload};
use wasmtime::component::{ComponentExportIndex, InstancePre, Linker, Resource, ResourceType};
use wasmtime_wasi::p3::bindings::{CommandPre, cli, filesystem, sockets};

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
pub(crate) fn add_to_linker(linker: &mut Linker<State>, counting: bool) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::add_to_linker(linker)?;
    // Shadowing is allowed already.
    open_without_delay(linker)?;
    if counting {
        count_drops(linker)?;
    }
    Ok(())
}

fn open_without_delay(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use sockets::types::{ErrorCode, Host as _, HostTcpSocket, IpAddressFamily, TcpSocket};
    use wasmtime_wasi::sockets::WasiSocketsView as _;

    let mut types = linker.instance(versioned!("wasi:sockets/types"))?;
    types.func_wrap("[static]tcp-socket.create", |mut store, (family,): (IpAddressFamily,)| {
        let state = store.data_mut();
        // The span that counts is in the function which this one replaces.
        state.count("wasi:sockets/types.[static]tcp-socket.create");
        let nodelay = state.nodelay;
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
                Err(ErrorCode::Other(Some("TCP_NODELAY cannot be set on the new socket".into())))
            }
            Err(error) => Err(sockets.convert_error_code(error)?),
        },))
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

fn count_drops(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use cli::{terminal_input, terminal_output};
    use filesystem::types as files;
    use sockets::types as sockets;
    use wasmtime_wasi::cli::WasiCliView as _;
    use wasmtime_wasi::filesystem::WasiFilesystemView as _;
    use wasmtime_wasi::sockets::WasiSocketsView as _;

    /// interface, resource: Rust type, the host's own drop(view of the state).
    macro_rules! count_drops {
        ($($interface:literal $name:literal: $ty:ty, $drop:path, |$state:ident| $view:expr;)*) => {
            $(linker.instance(versioned!($interface))?.resource(
                $name,
                ResourceType::host::<$ty>(),
                |mut store, rep| {
                    let $state = store.data_mut();
                    $state.count(concat!($interface, ".[resource-drop]", $name));
                    $drop(&mut $view, Resource::new_own(rep))
                },
            )?;)*
        };
    }
    count_drops! {
        "wasi:sockets/types" "tcp-socket": sockets::TcpSocket, sockets::HostTcpSocket::drop, |s| s.sockets();
        "wasi:sockets/types" "udp-socket": sockets::UdpSocket, sockets::HostUdpSocket::drop, |s| s.sockets();
        "wasi:filesystem/types" "descriptor": files::Descriptor, files::HostDescriptor::drop, |s| s.filesystem();
        "wasi:cli/terminal-input" "terminal-input":
            terminal_input::TerminalInput, terminal_input::HostTerminalInput::drop, |s| s.cli();
        "wasi:cli/terminal-output" "terminal-output":
            terminal_output::TerminalOutput, terminal_output::HostTerminalOutput::drop, |s| s.cli();
    }
    Ok(())
}
