//! tokio's `net`, on Dormouse's sockets.

mod addr;
mod budget;
mod listener;
mod ready;
#[cfg(not(target_env = "p1"))]
mod settings;
mod socket;
#[cfg_attr(target_env = "p1", path = "stand_in_p1.rs")]
mod stand_in;
mod stream;
pub mod tcp;
mod udp;
mod unix;

pub use addr::{ToSocketAddrs, lookup_host};
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use stream::TcpStream;
pub use udp::UdpSocket;
pub use unix::UnixStream;

/// What WASI has no call for.
pub(crate) fn unsupported<T>(what: &str) -> std::io::Result<T> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, format!("{what}: WASI has no call for it")))
}

/// Closes connections of which std has dropped the stand-in.
fn sweep() {
    stand_in::sweep();
}

/// What a future gives that does not wait.
fn now<T>(future: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => Err(std::io::ErrorKind::WouldBlock.into()),
    }
}

/// The options by which tokio's sockets ask for a kind of service; WASI has none of them.
macro_rules! no_type_of_service {
    ($socket:ty) => {
        impl $socket {
            /// # Errors
            /// `Unsupported`: WASI has no such option.
            pub fn tos_v4(&self) -> io::Result<u32> {
                $crate::net::unsupported("IP_TOS")
            }

            /// # Errors
            /// As [`tos_v4`](Self::tos_v4).
            pub fn set_tos_v4(&self, _tos: u32) -> io::Result<()> {
                $crate::net::unsupported("IP_TOS")
            }

            /// # Errors
            /// As [`tos_v4`](Self::tos_v4).
            pub fn tos(&self) -> io::Result<u32> {
                self.tos_v4()
            }

            /// # Errors
            /// As [`tos_v4`](Self::tos_v4).
            pub fn set_tos(&self, tos: u32) -> io::Result<()> {
                self.set_tos_v4(tos)
            }

            /// # Errors
            /// `Unsupported`: WASI has no such option.
            pub fn tclass_v6(&self) -> io::Result<u32> {
                $crate::net::unsupported("IPV6_TCLASS")
            }

            /// # Errors
            /// As [`tclass_v6`](Self::tclass_v6).
            pub fn set_tclass_v6(&self, _tclass: u32) -> io::Result<()> {
                $crate::net::unsupported("IPV6_TCLASS")
            }
        }
    };
}
use no_type_of_service;
