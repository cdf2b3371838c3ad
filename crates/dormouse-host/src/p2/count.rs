//! Count. For a counted run, the host functions that spans do not show are replaced by ones that count and then do the same: `poll` and
//! `block` (the spans do not have the length of the list, and this is the moment to measure the resource table) and the drop of
//! every resource.

use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::{cli, filesystem, sockets};
use wasmtime_wasi_io::bindings::wasi::io;

use super::State;

/// Counts what wasmtime-wasi's spans do not show.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    count_waits(linker)?;
    count_drops(linker)
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
            Ok((io::poll::Host::poll(&mut state.view(), list).await?,))
        })
    })?;
    poll.func_wrap_async("[method]pollable.block", |mut store, (pollable,): (Resource<DynPollable>,)| {
        Box::new(async move {
            let state = store.data_mut();
            state.count("wasi:io/poll.[method]pollable.block");
            state.measure_resources();
            io::poll::HostPollable::block(&mut state.view(), pollable).await
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
        "wasi:io/poll" "pollable": poll::Pollable, poll::HostPollable::drop, |s| &mut s.view();
        "wasi:io/streams" "input-stream":
            streams::InputStream, streams::HostInputStream::drop, |s| &mut s.view(), await;
        "wasi:io/streams" "output-stream":
            streams::OutputStream, streams::HostOutputStream::drop, |s| &mut s.view(), await;
        "wasi:sockets/network" "network":
            network::Network, network::HostNetwork::drop, |s| &mut s.sockets();
        "wasi:sockets/tcp" "tcp-socket": tcp::TcpSocket, tcp::HostTcpSocket::drop, |s| &mut s.view();
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
