//! WASI 0.3: the linker, and `wasi:sockets/types`.
//!
//! ```text
//!   tcp.rs       TCP: its states and its calls           udp.rs    the same for UDP
//!   streams.rs   what is received, sent, accepted        end.rs    how a direction ends, and who wants to know
//!   transfer.rs  from one connection to another          error.rs  the system's errors by their names
//!   socket.rs    a socket of `net/`, waited for
//! ```
//!
//! Sockets are ours: their options are set where they are made, the policy, the limit and the meter are those of the other WASIs, and
//! errors are the system's. A stream of a socket is a producer or a consumer that wasmtime calls for each read and write; it tries
//! the system's call first and waits for tokio afterwards. The lookup of names stays wasmtime-wasi's, as it holds no descriptor: here the policy is
//! asked before it, and the network learns what it gives. So does all that is no socket, beside the interfaces of 0.2: what a program is built with today (Rust's std on
//! wasm32-wasip2, wasi-libc) imports those, whatever the program itself does.

mod end;
mod error;
mod socket;
mod streams;
mod tcp;
mod transfer;
mod udp;

use std::sync::Arc;

use wasmparser::{CanonicalFunction, Parser, Payload};
use wasmtime::component::{Accessor, ComponentExportIndex, HasData, InstancePre, Linker};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p3::bindings::clocks::monotonic_clock::HostWithStore;
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup;
use wasmtime_wasi::p3::bindings::{CommandPre, sockets};
use wasmtime_wasi::p3::sockets::SocketError;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};

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
    sockets::types::add_to_linker::<State, Sockets>(linker, |state| state)?;
    sockets::ip_name_lookup::add_to_linker::<State, Sockets>(linker, |state| state)?;
    let mut clock = linker.instance(versioned!("wasi:clocks/monotonic-clock"))?;
    clock.func_wrap_concurrent("wait-until", |store, (when,): (u64,)| {
        Box::pin(async move {
            let comes = store.with(|mut state| {
                let last = &state.get().own.last_instant;
                last.is_waited_for(when).then(|| last.comes())
            });
            match comes {
                Some(comes) => comes.await,
                None => {
                    let store = store.with_getter::<WasiClocks>(State::clocks);
                    <WasiClocks as HostWithStore<State>>::wait_until(&store, when).await?;
                }
            }
            Ok(())
        })
    })
}

/// Sockets are ours: `wasi:sockets/types` is implemented here, and no socket of wasmtime-wasi's is ever made.
pub(super) struct Sockets;

impl HasData for Sockets {
    type Data<'a> = &'a mut State;
}

impl sockets::types::Host for State {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<sockets::types::ErrorCode> {
        error.downcast()
    }
}

impl ip_name_lookup::HostWithStore<State> for Sockets {
    async fn resolve_addresses(
        store: &Accessor<State, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<sockets::types::IpAddress>, ip_name_lookup::ErrorCode>> {
        let net = store.with(|mut state| Arc::clone(&state.get().net));
        let Some(lookup) = net.may_look_up(&name) else {
            // What wasmtime-wasi says where no lookup is allowed.
            return Ok(Err(ip_name_lookup::ErrorCode::PermanentResolverFailure));
        };
        let theirs = store.with_getter::<WasiSockets>(State::sockets);
        let found = <WasiSockets as ip_name_lookup::HostWithStore<State>>::resolve_addresses(&theirs, name).await?;
        found.iter().flatten().for_each(|ip| net.learn(&lookup, (*ip).into()));
        Ok(found)
    }
}

impl ip_name_lookup::Host for State {}

/// Finds the `run` of a command, and looks whether it is one.
pub(crate) fn run(command: &InstancePre<State>) -> wasmtime::Result<ComponentExportIndex> {
    CommandPre::new(command.clone())?;
    let component = command.component();
    let interface = component.get_export_index(None, versioned!("wasi:cli/run"));
    let run = interface.and_then(|interface| component.get_export_index(Some(&interface), "run"));
    run.ok_or_else(|| wasmtime::format_err!("it exports no function `run`"))
}
