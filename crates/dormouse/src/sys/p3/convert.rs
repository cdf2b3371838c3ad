//! Errors and addresses, between WASI and std.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wasip3::sockets::types::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};

/// EMSGSIZE of WASI, which std has no kind for.
pub(super) const TOO_LARGE: i32 = 35;

/// The kind says it all, in std's words.
pub(super) fn error(code: ErrorCode) -> io::Error {
    let kind = match code {
        ErrorCode::AccessDenied => io::ErrorKind::PermissionDenied,
        ErrorCode::NotSupported => io::ErrorKind::Unsupported,
        ErrorCode::InvalidArgument | ErrorCode::InvalidState => io::ErrorKind::InvalidInput,
        ErrorCode::OutOfMemory => io::ErrorKind::OutOfMemory,
        ErrorCode::Timeout => io::ErrorKind::TimedOut,
        ErrorCode::AddressNotBindable => io::ErrorKind::AddrNotAvailable,
        ErrorCode::AddressInUse => io::ErrorKind::AddrInUse,
        ErrorCode::RemoteUnreachable => io::ErrorKind::HostUnreachable,
        ErrorCode::ConnectionRefused => io::ErrorKind::ConnectionRefused,
        ErrorCode::ConnectionBroken => io::ErrorKind::BrokenPipe,
        ErrorCode::ConnectionReset => io::ErrorKind::ConnectionReset,
        ErrorCode::ConnectionAborted => io::ErrorKind::ConnectionAborted,
        ErrorCode::DatagramTooLarge => return io::Error::from_raw_os_error(TOO_LARGE),
        ErrorCode::Other(Some(why)) => return crate::base::error(io::ErrorKind::Other, why),
        ErrorCode::Other(None) => return crate::base::error(io::ErrorKind::Other, "the host does not say why"),
    };
    kind.into()
}

/// Why a socket could not be made, by opening one or by accepting. WASI 0.3 has no code for EMFILE and ENFILE: wasmtime says `other`, without
/// a word (wasmtime-wasi 48.0.8, sockets/mod.rs, `From<&Errno>`); of all that a system may say here they are the only ones without a code.
pub(super) fn opening(code: ErrorCode) -> io::Error {
    match code {
        ErrorCode::Other(_) => crate::base::exhausted(),
        code => error(code),
    }
}

pub(super) fn family(v6: bool) -> IpAddressFamily {
    if v6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 }
}

pub(super) fn to_wasi(addr: SocketAddr) -> IpSocketAddress {
    match addr {
        SocketAddr::V4(addr) => {
            let [a, b, c, d] = addr.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: addr.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(addr) => {
            let [a, b, c, d, e, f, g, h] = addr.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: addr.port(),
                flow_info: addr.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: addr.scope_id(),
            })
        }
    }
}

pub(super) fn from_wasi(addr: IpSocketAddress) -> SocketAddr {
    match addr {
        IpSocketAddress::Ipv4(addr) => {
            let (a, b, c, d) = addr.address;
            SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), addr.port))
        }
        IpSocketAddress::Ipv6(addr) => {
            let (a, b, c, d, e, f, g, h) = addr.address;
            let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
            SocketAddr::V6(SocketAddrV6::new(ip, addr.port, addr.flow_info, addr.scope_id))
        }
    }
}
