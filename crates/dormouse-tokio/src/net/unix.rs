//! `UnixStream`, as a type: WASI has no Unix sockets. tonic's channel names it on everything but Windows.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Cannot be made: [`connect`](Self::connect) says so.
#[derive(Debug)]
pub struct UnixStream(Infallible);

impl UnixStream {
    /// # Errors
    /// Always, of kind `Unsupported`.
    pub async fn connect<P: AsRef<Path>>(_path: P) -> io::Result<Self> {
        super::unsupported("a Unix socket")
    }
}

impl AsyncRead for UnixStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}

impl AsyncWrite for UnixStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}
