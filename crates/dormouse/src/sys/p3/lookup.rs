//! Names, over `wasi:sockets/ip-name-lookup`.

use std::any::Any;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::vec;

use wasip3::sockets::ip_name_lookup::{ErrorCode, IpAddress, resolve_addresses};

use super::abi::Waitable;
use super::call::Call;
use super::{Other, Source, State};
use crate::sys::Side;
use crate::sys::wasi::check_zone;

type Answer = io::Result<vec::IntoIter<IpAddress>>;

enum Lookup {
    UnderWay(Call<Answer>),
    Answered(vec::IntoIter<IpAddress>),
}

impl Other for Lookup {
    fn under_way(&mut self, _: Side) -> Option<Waitable> {
        match self {
            Lookup::UnderWay(call) => call.under_way(),
            Lookup::Answered(_) => None,
        }
    }

    fn is_pending(&mut self) -> bool {
        false
    }
}

impl Source {
    /// Begins to look a name up.
    pub(crate) fn lookup(host: &str) -> io::Result<Self> {
        check_zone(host)?;
        let host = host.to_owned();
        let call = Call::new(async move { resolve_addresses(host).await.map(Vec::into_iter).map_err(error) });
        let lookup = match call {
            Ok(answer) => Lookup::Answered(answer?),
            Err(call) => Lookup::UnderWay(call),
        };
        Ok(Source::new(State::Other(Box::new(lookup))))
    }

    /// The next address of the name, with port 0; `None` after the last.
    pub(crate) fn try_next_address(&self) -> io::Result<Option<SocketAddr>> {
        let State::Other(other) = &mut *self.state.borrow_mut() else { return Ok(None) };
        let other: &mut dyn Any = &mut **other;
        let Some(lookup) = other.downcast_mut::<Lookup>() else { return Ok(None) };
        if let Lookup::UnderWay(call) = lookup {
            let Some(answer) = call.try_finish() else { return Err(io::ErrorKind::WouldBlock.into()) };
            *lookup = Lookup::Answered(answer?);
        }
        let Lookup::Answered(addresses) = lookup else { return Ok(None) };
        let ip = addresses.next().map(|addr| match addr {
            IpAddress::Ipv4((a, b, c, d)) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
        });
        Ok(ip.map(|ip| SocketAddr::new(ip, 0)))
    }
}

fn error(code: ErrorCode) -> io::Error {
    let (kind, sentence) = match code {
        ErrorCode::NameUnresolvable => (io::ErrorKind::NotFound, "there is no such name"),
        ErrorCode::InvalidArgument => (io::ErrorKind::InvalidInput, "that is no name"),
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
        ErrorCode::Other(why) => return crate::base::error(io::ErrorKind::Other, why.unwrap_or_default()),
    };
    crate::base::error(kind, sentence)
}
