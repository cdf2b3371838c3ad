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
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::hyper::rt::{self, Read, ReadBufCursor, Write};
use pin_project_lite::pin_project;
use send_wrapper::SendWrapper;

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

/// The room that is left, as bytes. They are zeroed, since whoever reads into them may look at them.
#[allow(unsafe_code)]
fn room<'a>(buf: &'a mut ReadBufCursor<'_>) -> &'a mut [u8] {
    // SAFETY: nothing in it becomes uninitialised.
    let room = unsafe { buf.as_mut() };
    room.fill(MaybeUninit::new(0));
    // SAFETY: all of it is initialised.
    unsafe { room.assume_init_mut() }
}

macro_rules! read {
    ($([$($param:tt)*] $handle:ty),*) => {$(
        impl<$($param)*> Read for $handle {
            #[allow(unsafe_code)]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                mut buf: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                let room = room(&mut buf);
                let len = room.len();
                let n = ready!(futures_io::AsyncRead::poll_read(self, cx, room))?;
                assert!(n <= len, "more was read than there was room for");
                // SAFETY: all of the room is initialised.
                unsafe { buf.advance(n) };
                Poll::Ready(Ok(()))
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
