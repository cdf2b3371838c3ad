//! Names, over `wasi:sockets/ip-name-lookup`.

use std::any::Any;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wasip2::io::poll::Pollable;
use wasip2::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
use wasip2::sockets::network::{ErrorCode, IpAddress};

use super::net::with_network;
use super::{Other, Source, net};
use crate::sys::Side;
use crate::sys::wasi::check_zone;

struct Lookup(ResolveAddressStream);

impl Other for Lookup {
    fn subscribe(&self, _: Side) -> Pollable {
        self.0.subscribe()
    }

    fn is_pending(&self) -> bool {
        false
    }
}

impl Source {
    /// Begins to look a name up.
    pub(crate) fn lookup(host: &str) -> io::Result<Self> {
        check_zone(host)?;
        let lookup = with_network(|network| resolve_addresses(network, host)).map_err(error)?;
        Ok(Source { other: Some(Box::new(Lookup(lookup))), ..Source::default() })
    }

    /// The next address of the name, with port 0; `None` after the last.
    pub(crate) fn try_next_address(&self) -> io::Result<Option<SocketAddr>> {
        let other: Option<&dyn Any> = self.other.as_deref().map(|other| other as &dyn Any);
        let Some(Lookup(lookup)) = other.and_then(|other| other.downcast_ref()) else { return Ok(None) };
        let next = lookup.resolve_next_address().map_err(error)?;
        let ip = next.map(|addr| match addr {
            IpAddress::Ipv4((a, b, c, d)) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
        });
        Ok(ip.map(|ip| SocketAddr::new(ip, 0)))
    }
}

fn error(code: ErrorCode) -> io::Error {
    let (kind, sentence) = match code {
        ErrorCode::NameUnresolvable => (io::ErrorKind::NotFound, "there is no such name"),
        ErrorCode::TemporaryResolverFailure => {
            (io::ErrorKind::ResourceBusy, "the host's resolver fails now; try again")
        }
        ErrorCode::PermanentResolverFailure => (
            io::ErrorKind::PermissionDenied,
            "the host's resolver refuses; allow lookups with `dormouse run --allow-dns`, or \
             `wasmtime run -Sallow-ip-name-lookup`",
        ),
        ErrorCode::AccessDenied => {
            (io::ErrorKind::PermissionDenied, "the host refuses lookups; allow them with `dormouse run --allow-dns`")
        }
        code => return net::error(code),
    };
    crate::base::error(kind, sentence)
}
