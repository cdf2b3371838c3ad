//! Standard streams that let other tasks run while they wait.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use upstream::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::home::Home;
use crate::local::Local;
use crate::spare;

/// Standard input; made by [`stdin`].
pub struct Stdin(Local<dormouse::io::Stdin>);

/// Standard output; made by [`stdout`].
pub struct Stdout(Local<dormouse::io::Stdout>);

/// Standard error; made by [`stderr`].
pub struct Stderr(Local<dormouse::io::Stderr>);

pub fn stdin() -> Stdin {
    Stdin(Local(dormouse::io::stdin()))
}

pub fn stdout() -> Stdout {
    Stdout(Local(dormouse::io::stdout()))
}

pub fn stderr() -> Stderr {
    Stderr(Local(dormouse::io::stderr()))
}

impl AsyncRead for Stdin {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        spare::fill(buf, |room| futures_io::AsyncRead::poll_read(Pin::new(&mut *self.0), cx, room)).map_ok(drop)
    }
}

// As tokio, which writes in a thread of its runtime, they write no more for one that has been shut down.
macro_rules! write {
    ($($stream:ty),*) => {$(
        impl AsyncWrite for $stream {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                Home::here().check()?;
                futures_io::AsyncWrite::poll_write(Pin::new(&mut *self.0), cx, buf)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Home::here().check()?;
                futures_io::AsyncWrite::poll_write_vectored(Pin::new(&mut *self.0), cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_flush(Pin::new(&mut *self.0), cx)
            }

            // As tokio's: what was written is flushed, and the descriptor stays open.
            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_flush(cx)
            }
        }
    )*};
}

write!(Stdout, Stderr);

macro_rules! descriptor {
    ($($stream:ident $fd:literal),*) => {$(
        impl AsRawFd for $stream {
            fn as_raw_fd(&self) -> RawFd {
                $fd
            }
        }

        impl AsFd for $stream {
            fn as_fd(&self) -> BorrowedFd<'_> {
                // SAFETY: std never closes its standard streams.
                #[allow(unsafe_code)]
                unsafe {
                    BorrowedFd::borrow_raw($fd)
                }
            }
        }
    )*};
}

descriptor!(Stdin 0, Stdout 1, Stderr 2);

macro_rules! debug {
    ($($stream:ident),*) => {$(
        impl std::fmt::Debug for $stream {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($stream)).finish_non_exhaustive()
            }
        }
    )*};
}

debug!(Stdin, Stdout, Stderr);
