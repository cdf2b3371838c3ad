//! Names. `wasi:sockets/ip-name-lookup` is wasmtime-wasi's; here the policy is asked before it, and the network learns what it gives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{self, HostResolveAddressStream, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, IoError, SocketError, SocketResult};
use wasmtime_wasi::sockets::{WasiSocketsCtxView, WasiSocketsView as _};

use super::State;

/// A program's lookups, by which its policy has rules for names.
pub(super) struct Names;

impl HasData for Names {
    type Data<'a> = &'a mut State;
}

impl State {
    fn lookups(&mut self) -> WasiSocketsCtxView<'_> {
        self.sockets()
    }
}

fn address(ip: IpAddress) -> IpAddr {
    match ip {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).into(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Ipv6Addr::new(a, b, c, d, e, f, g, h).into(),
    }
}

impl ip_name_lookup::Host for State {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        self.table.get(&network)?;
        // What wasmtime-wasi says where no lookup is allowed.
        let lookup = self.net.may_look_up(&name).ok_or(ErrorCode::PermanentResolverFailure)?;
        let stream = self.lookups().resolve_addresses(network, name)?;
        if lookup.is_ruled() {
            self.own.lookups.insert(stream.rep(), lookup);
        }
        Ok(stream)
    }
}

impl HostResolveAddressStream for State {
    fn resolve_next_address(&mut self, stream: Resource<ResolveAddressStream>) -> SocketResult<Option<IpAddress>> {
        let rep = stream.rep();
        let next = self.lookups().resolve_next_address(stream)?;
        if let (Some(ip), Some(lookup)) = (next, self.own.lookups.get(&rep)) {
            self.net.learn(lookup, address(ip));
        }
        Ok(next)
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.lookups().subscribe(stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.own.lookups.remove(&stream.rep());
        HostResolveAddressStream::drop(&mut self.lookups(), stream)
    }
}

/// wasmtime's bindings want it of who has lookups.
impl network::Host for State {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.view().convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        self.view().network_error_code(error)
    }
}

impl network::HostNetwork for State {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.view(), network)
    }
}
