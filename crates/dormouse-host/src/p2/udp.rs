//! UDP. The sockets are wasmtime-wasi's; how many there may be, and whether any, is asked of [`Net`] first.

use std::sync::Arc;

use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets;
use wasmtime_wasi::sockets::WasiSocketsView as _;

use super::{State, refused};
use crate::net::{Net, no_descriptors};

/// `new-socket-limit` for what wasmtime-wasi calls `unknown` when there is no descriptor left.
fn limit_or(error: sockets::network::ErrorCode) -> sockets::network::ErrorCode {
    match error {
        sockets::network::ErrorCode::Unknown if no_descriptors() => sockets::network::ErrorCode::NewSocketLimit,
        error => error,
    }
}

/// The call by which a program gets a socket, and the drop that gives it back.
pub(super) fn guard(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use sockets::network::{Host as _, IpAddressFamily};
    use sockets::udp::{HostUdpSocket, UdpSocket};
    use sockets::udp_create_socket::Host as _;

    let mut create = linker.instance(versioned!("wasi:sockets/udp-create-socket"))?;
    create.func_wrap_async("create-udp-socket", |mut store, (family,): (IpAddressFamily,)| {
        Box::new(async move {
            let state = store.data_mut();
            state.count("wasi:sockets/udp-create-socket.create-udp-socket");
            if let Err(no) = state.open_socket(Net::open_udp) {
                return Ok((Err(refused(&state.net, no)),));
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
