//! TCP over IPv4 and IPv6.
//!
//! Handles are used through `&`: any number of tasks may read, write or accept on the same one.

mod addr;
mod listener;
mod socket;
mod split;
mod stream;

pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};

pub use addr::ToSocketAddrs;
pub use listener::{Incoming, TcpListener};
pub use socket::TcpSocket;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stream::TcpStream;

use std::io;

/// Says what was tried, before what went wrong: `bind 127.0.0.1:80: address in use`.
#[cold]
fn context(error: io::Error, what: &str, of: SocketAddr) -> io::Error {
    crate::io::error(error.kind(), format!("{what} {of}: {error}"))
}
