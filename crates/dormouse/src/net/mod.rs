//! TCP and UDP over IPv4 and IPv6.
//!
//! Handles are used through `&`, `Rc` or clones ([`TcpStream::try_clone`]): any number of tasks may read, write, accept, set
//! deadlines and close on the same one. Reads take their turns among themselves and so do writes; a single call is whole,
//! and what two tasks write at once is not mixed within it. When there is something, all that wait for it are woken, in the
//! order in which they came: the first takes it, and the others wait on.
//!
//! # Deadlines and closing
//! A deadline bounds all operations on its side of a handle, those that are parked already as well: from then on they fail
//! with `TimedOut`, even if there is something to read, and lose nothing. Moving it on, or clearing it, makes the handle
//! usable again. Closing a handle ends all operations, on this and on other tasks, with an error that [`is_closed`]
//! recognises. Closing wins over a timeout, and a timeout over readiness, as in Go's `internal/poll`.
//!
//! # Cancelling
//! Any future here may be dropped at any await. Where that may lose something, the function says so.

mod addr;
mod foreign;
mod listener;
mod lookup;
mod options;
mod race;
mod socket;
mod split;
mod stream;
mod transient;
mod udp;

pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};

pub use addr::ToSocketAddrs;
pub use listener::{Incoming, TcpListener, preopened_listeners};
pub use lookup::lookup_host;
pub use options::Keepalive;
pub use socket::TcpSocket;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stream::TcpStream;
pub use transient::is_transient;
pub use udp::{Datagram, UdpSocket};

use std::io;

/// Whether an operation failed because its handle was closed by this program: with [`TcpListener::close`] or
/// [`TcpStream::close`], in this task or another.
///
/// ```
/// use dormouse::net::{TcpListener, is_closed};
/// # dormouse::block_on(async {
/// let listener = std::rc::Rc::new(TcpListener::bind("127.0.0.1:0").await?);
/// let server = dormouse::spawn({
///     let listener = listener.clone();
///     async move { listener.accept().await.map(drop) }
/// });
/// dormouse::task::yield_now().await; // the server is parked now
/// listener.close()?;
/// assert!(is_closed(&server.await.unwrap().unwrap_err()));
/// assert!(is_closed(&listener.close().unwrap_err()));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn is_closed(error: &io::Error) -> bool {
    crate::io::is_closed(error)
}

/// Says what was tried, before what went wrong: `bind 127.0.0.1:80: address in use`.
#[cold]
fn context(error: io::Error, what: &str, of: SocketAddr) -> io::Error {
    crate::io::error(error.kind(), format!("{what} {of}: {error}"))
}
