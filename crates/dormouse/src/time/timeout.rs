//! A future with a time limit.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::{Instant, Sleep, sleep, sleep_until};

/// Runs `future` for at most `duration`. A future that is ready when the time is over wins.
///
/// The future is dropped with the [`Timeout`], not when the time is over: what it holds is freed when the `.await` ends.
///
/// ```
/// use dormouse::time::{Duration, timeout};
/// dormouse::block_on(async {
///     let quick = timeout(Duration::from_secs(60), async { 7 }).await;
///     assert_eq!(quick, Ok(7));
///     let never = timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
///     assert!(never.is_err());
/// });
/// ```
///
/// # Errors
/// [`Elapsed`] when the time is over first. It becomes an [`io::Error`] of kind `TimedOut` through `?`.
///
/// # Panics
/// When it is polled outside of [`dormouse::block_on`](crate::block_on).
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep(duration) }
}

/// Runs `future` until `deadline` at the latest; see [`timeout`].
///
/// # Errors
/// [`Elapsed`] when the deadline comes first.
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep_until(deadline) }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// The time limit of a [`timeout`] passed before its future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
