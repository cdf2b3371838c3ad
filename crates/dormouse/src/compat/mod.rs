//! The traits of others, each behind a feature of its own; those of `futures-io` are with the types. A feature that is off brings no
//! dependency.

#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "send")]
pub mod on_thread;
#[cfg(any(feature = "tokio-io", feature = "hyper"))]
mod spare;
#[cfg(feature = "tokio-io")]
mod tokio_io;
#[cfg(feature = "tokio-rt")]
pub mod tokio_rt;

/// The types that have `futures-io`'s traits, passed to a macro: those that are read, then those that are written.
#[cfg(any(feature = "tokio-io", feature = "hyper"))]
macro_rules! streams {
    ($read:ident, $write:ident) => {
        $read!([] crate::net::TcpStream, [] &crate::net::TcpStream, ['a] crate::net::ReadHalf<'a>, [] crate::net::OwnedReadHalf);
        $read!([] crate::io::Stdin, [] crate::fs::File, [] &crate::fs::File);
        $write!([] crate::net::TcpStream, [] &crate::net::TcpStream, ['a] crate::net::WriteHalf<'a>, [] crate::net::OwnedWriteHalf);
        $write!([] crate::io::Stdout, [] crate::io::Stderr, [] crate::fs::File, [] &crate::fs::File);
        #[cfg(feature = "send")]
        $read!([T: futures_io::AsyncRead + Unpin] crate::io::OnThread<T>);
        #[cfg(feature = "send")]
        $write!([T: futures_io::AsyncWrite + Unpin] crate::io::OnThread<T>);
    };
}
#[cfg(any(feature = "tokio-io", feature = "hyper"))]
use streams;
