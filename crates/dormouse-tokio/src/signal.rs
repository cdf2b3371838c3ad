//! tokio's `signal`. WASI has no signals, but a host may ask a program to stop: that is SIGINT and SIGTERM here. All others stay pending,
//! and on a host that cannot ask these do, too.

use std::future::Future;
use std::io;

use crate::local::Local;

/// Waits for Ctrl-C: until the host asks the program to stop.
///
/// # Errors
/// None.
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> + Send {
    Local(dormouse::signal::ctrl_c())
}

/// The signals of Unix, since programs name them.
pub mod unix {
    use std::fmt;
    use std::future::{Future, poll_fn};
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use crate::local::Local;

    /// A signal by its number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SignalKind(i32);

    impl SignalKind {
        pub const fn from_raw(signum: i32) -> Self {
            Self(signum)
        }

        pub const fn as_raw_value(&self) -> i32 {
            self.0
        }

        pub const fn alarm() -> Self {
            Self(14)
        }

        pub const fn child() -> Self {
            Self(17)
        }

        pub const fn hangup() -> Self {
            Self(1)
        }

        pub const fn interrupt() -> Self {
            Self(2)
        }

        pub const fn io() -> Self {
            Self(29)
        }

        pub const fn pipe() -> Self {
            Self(13)
        }

        pub const fn quit() -> Self {
            Self(3)
        }

        pub const fn terminate() -> Self {
            Self(15)
        }

        pub const fn user_defined1() -> Self {
            Self(10)
        }

        pub const fn user_defined2() -> Self {
            Self(12)
        }

        pub const fn window_change() -> Self {
            Self(28)
        }
    }

    impl From<i32> for SignalKind {
        fn from(signum: i32) -> Self {
            Self(signum)
        }
    }

    impl From<SignalKind> for i32 {
        fn from(kind: SignalKind) -> i32 {
            kind.0
        }
    }

    /// A stream of signals. One comes if the host asks the program to stop, for SIGINT and SIGTERM; no other ever does.
    #[must_use = "streams do nothing unless polled"]
    pub struct Signal {
        /// Until it has come.
        stop: Option<Local<Stop>>,
    }

    type Stop = Pin<Box<dyn Future<Output = io::Result<()>>>>;

    impl fmt::Debug for Signal {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Signal").finish_non_exhaustive()
        }
    }

    /// # Errors
    /// None.
    pub fn signal(kind: SignalKind) -> io::Result<Signal> {
        let stops = kind == SignalKind::interrupt() || kind == SignalKind::terminate();
        Ok(Signal { stop: stops.then(|| Local(Box::pin(dormouse::signal::stop_requested()) as Stop)) })
    }

    impl Signal {
        pub async fn recv(&mut self) -> Option<()> {
            poll_fn(|cx| self.poll_recv(cx)).await
        }

        pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
            let Some(stop) = &mut self.stop else { return Poll::Pending };
            match stop.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => {
                    self.stop = None;
                    Poll::Ready(Some(()))
                }
                // There is no other such thing to wait for.
                Poll::Ready(Err(_)) => {
                    self.stop = None;
                    Poll::Pending
                }
                Poll::Pending => Poll::Pending,
            }
        }
    }
}
