//! tokio's `signal`. WASI has no signals: what waits for one stays pending.

use std::future::pending;
use std::io;

/// Waits for Ctrl-C. WASI has none: this stays pending, as natively while nobody presses it.
///
/// # Errors
/// None.
pub async fn ctrl_c() -> io::Result<()> {
    pending().await
}

/// The signals of Unix, since programs name them.
pub mod unix {
    use std::io;
    use std::task::{Context, Poll};

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

    /// A stream of signals that never come.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Signal(());

    /// # Errors
    /// None.
    pub fn signal(_kind: SignalKind) -> io::Result<Signal> {
        Ok(Signal(()))
    }

    impl Signal {
        pub async fn recv(&mut self) -> Option<()> {
            std::future::pending().await
        }

        pub fn poll_recv(&mut self, _cx: &mut Context<'_>) -> Poll<Option<()>> {
            Poll::Pending
        }
    }
}
