//! What hyper asks of a runtime.
//!
//! Connections are served as they are: [`TcpStream`](crate::net::TcpStream) and its halves have hyper's traits.
//!
//! What is more is passed to hyper's builders: `http1::Builder::new().timer(Timer)`, `http2::Builder::new(Executor).timer(Timer)`.
//! `cookbook/apps/http` is a server of both, and a client.
//!
//! ```
//! use std::time::Duration;
//!
//! use dormouse::{hyper::{Executor, Timer}, net::TcpStream};
//! use hyper::rt::{Executor as _, Read, Timer as _, Write};
//!
//! fn serves(_: impl Read + Write) {}
//! fn as_it_is(conn: TcpStream) {
//!     serves(conn)
//! }
//!
//! dormouse::block_on(async {
//!     Executor.execute(async { println!("in a task of its own") });
//!     Timer.sleep(Duration::from_millis(5)).await;
//! });
//! ```

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::hyper::rt::{self, Read, ReadBufCursor, Write};
use pin_project_lite::pin_project;
use send_wrapper::SendWrapper;

use super::spare;
use crate::time;

/// Spawns what hyper wants to have run, with [`spawn`](crate::spawn). It need not be `Send`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> rt::Executor<F> for Executor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        crate::spawn(future);
    }
}

/// The runtime's timers, for hyper's timeouts. They are for the thread on which they were made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep { sleep: SendWrapper::new(time::sleep(duration)) })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    /// The runtime's time, which in a simulation is not that of the system.
    fn now(&self) -> Instant {
        thread_local! {
            static BOTH: (Instant, time::Instant) = (Instant::now(), time::Instant::now());
        }
        let (system, ours) = BOTH.with(|both| *both);
        system + time::Instant::now().saturating_duration_since(ours)
    }
}

pin_project! {
    struct Sleep {
        #[pin]
        sleep: SendWrapper<time::Sleep>,
    }
}

impl rt::Sleep for Sleep {}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }
}

macro_rules! read {
    ($([$($param:tt)*] $handle:ty),*) => {$(
        impl<$($param)*> Read for $handle {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
                let read = |room: &mut [u8]| futures_io::AsyncRead::poll_read(self, cx, room);
                spare::read(buf.remaining(), read, |bytes| buf.put_slice(bytes))
            }
        }
    )*};
}

macro_rules! write {
    ($([$($param:tt)*] $handle:ty),*) => {$(
        impl<$($param)*> Write for $handle {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_close(self, cx)
            }
        }
    )*};
}

super::streams!(read, write);
