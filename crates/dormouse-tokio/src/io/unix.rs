//! `AsyncFd`, as a type: WASI has no descriptors to wait for that are not Dormouse's own.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsRawFd;

use super::Interest;

/// Cannot be made: [`new`](Self::new) says so.
#[derive(Debug)]
pub struct AsyncFd<T: AsRawFd>(Infallible, std::marker::PhantomData<T>);

impl<T: AsRawFd> AsyncFd<T> {
    /// # Errors
    /// Always, of kind `Unsupported`.
    pub fn new(_inner: T) -> io::Result<Self> {
        Err(unsupported())
    }

    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_interest(_inner: T, _interest: Interest) -> io::Result<Self> {
        Err(unsupported())
    }

    pub fn get_ref(&self) -> &T {
        match self.0 {}
    }

    pub fn get_mut(&mut self) -> &mut T {
        match self.0 {}
    }

    pub fn into_inner(self) -> T {
        match self.0 {}
    }
}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "AsyncFd: WASI cannot wait for a descriptor; use tokio's sockets and streams, which Dormouse waits for",
    )
}
