//! tokio's `net`, on Dormouse's sockets.

mod addr;
mod budget;
mod listener;
mod ready;
mod socket;
mod stream;
pub mod tcp;
mod udp;

pub use addr::{ToSocketAddrs, lookup_host};
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use stream::TcpStream;
pub use udp::UdpSocket;

/// tokio's `TcpStream` has the type for this pair of names, too.
pub(crate) fn unsupported<T>(what: &str) -> std::io::Result<T> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, format!("{what}: WASI has no call for it")))
}
