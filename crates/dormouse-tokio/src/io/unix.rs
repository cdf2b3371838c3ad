//! `AsyncFd`, as a type: WASI has no descriptors to wait for that are not Dormouse's own.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use super::{Interest, Ready};

/// Cannot be made: [`new`](Self::new) says so.
#[derive(Debug)]
pub struct AsyncFd<T: AsRawFd>(Infallible, PhantomData<T>);

/// Of an [`AsyncFd`], of which there is none.
#[derive(Debug)]
#[must_use = "You must explicitly choose whether to clear the readiness state by calling a method on ReadyGuard"]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd>(Infallible, PhantomData<&'a AsyncFd<T>>);

/// Of an [`AsyncFd`], of which there is none.
#[derive(Debug)]
#[must_use = "You must explicitly choose whether to clear the readiness state by calling a method on ReadyGuard"]
pub struct AsyncFdReadyMutGuard<'a, T: AsRawFd>(Infallible, PhantomData<&'a mut AsyncFd<T>>);

/// An operation was not ready after all.
#[derive(Debug)]
pub struct TryIoError(());

/// What an [`AsyncFd`] was not made of, and why.
pub struct AsyncFdRegisterError<T>(T);

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

    /// # Errors
    /// As [`new`](Self::new).
    pub fn try_new(inner: T) -> Result<Self, AsyncFdRegisterError<T>> {
        Err(AsyncFdRegisterError(inner))
    }

    /// # Errors
    /// As [`new`](Self::new).
    pub fn try_with_interest(inner: T, _interest: Interest) -> Result<Self, AsyncFdRegisterError<T>> {
        Err(AsyncFdRegisterError(inner))
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

    pub fn try_io<R>(&self, _interest: Interest, _f: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        match self.0 {}
    }

    pub fn try_io_mut<R>(&mut self, _interest: Interest, _f: impl FnOnce(&mut T) -> io::Result<R>) -> io::Result<R> {
        match self.0 {}
    }

    pub async fn async_io<R>(&self, _interest: Interest, _f: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        match self.0 {}
    }

    pub async fn async_io_mut<R>(
        &mut self,
        _interest: Interest,
        _f: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        match self.0 {}
    }

    pub async fn ready(&self, _interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        match self.0 {}
    }

    pub async fn ready_mut(&mut self, _interest: Interest) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        match self.0 {}
    }
}

macro_rules! sides {
    ($($wait:ident $wait_mut:ident $poll:ident $poll_mut:ident;)*) => {
        impl<T: AsRawFd> AsyncFd<T> {$(
            pub async fn $wait(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
                match self.0 {}
            }

            pub async fn $wait_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
                match self.0 {}
            }

            pub fn $poll<'a>(&'a self, _cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
                match self.0 {}
            }

            pub fn $poll_mut<'a>(
                &'a mut self,
                _cx: &mut Context<'_>,
            ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
                match self.0 {}
            }
        )*}
    };
}

sides! {
    readable readable_mut poll_read_ready poll_read_ready_mut;
    writable writable_mut poll_write_ready poll_write_ready_mut;
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        match self.0 {}
    }
}

impl<T: AsRawFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}

impl<'a, T: AsRawFd> AsyncFdReadyGuard<'a, T> {
    pub fn clear_ready(&mut self) {
        match self.0 {}
    }

    pub fn clear_ready_matching(&mut self, _ready: Ready) {
        match self.0 {}
    }

    pub fn retain_ready(&mut self) {
        match self.0 {}
    }

    pub fn ready(&self) -> Ready {
        match self.0 {}
    }

    pub fn try_io<R>(&mut self, _f: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>) -> Result<io::Result<R>, TryIoError> {
        match self.0 {}
    }

    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        match self.0 {}
    }

    pub fn get_inner(&self) -> &'a T {
        match self.0 {}
    }
}

impl<T: AsRawFd> AsyncFdReadyMutGuard<'_, T> {
    pub fn clear_ready(&mut self) {
        match self.0 {}
    }

    pub fn clear_ready_matching(&mut self, _ready: Ready) {
        match self.0 {}
    }

    pub fn retain_ready(&mut self) {
        match self.0 {}
    }

    pub fn ready(&self) -> Ready {
        match self.0 {}
    }

    pub fn try_io<R>(
        &mut self,
        _f: impl FnOnce(&mut AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match self.0 {}
    }

    pub fn get_ref(&self) -> &AsyncFd<T> {
        match self.0 {}
    }

    pub fn get_mut(&mut self) -> &mut AsyncFd<T> {
        match self.0 {}
    }

    pub fn get_inner(&self) -> &T {
        match self.0 {}
    }

    pub fn get_inner_mut(&mut self) -> &mut T {
        match self.0 {}
    }
}

impl<T> AsyncFdRegisterError<T> {
    pub fn into_parts(self) -> (T, io::Error) {
        (self.0, unsupported())
    }
}

impl<T> fmt::Display for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&unsupported(), f)
    }
}

impl<T> fmt::Debug for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&unsupported(), f)
    }
}

impl<T> Error for AsyncFdRegisterError<T> {}

impl<T> From<AsyncFdRegisterError<T>> for io::Error {
    fn from(_error: AsyncFdRegisterError<T>) -> Self {
        unsupported()
    }
}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "AsyncFd: WASI cannot wait for a descriptor; use tokio's sockets and streams, which Dormouse waits for",
    )
}
