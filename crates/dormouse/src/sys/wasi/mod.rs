//! What WASI backends have in common: one thread, and, up to 0.2, a list that they hand to the host at each wait.

mod abi;
#[cfg(not(target_env = "p1"))]
pub(super) mod nodelay;
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
pub(super) mod review;
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
pub(super) mod watched;

pub(crate) use abi::spawn_local;

pub(crate) const THREADS: bool = false;

/// Ends a wait of another thread; there is none.
#[derive(Clone)]
pub(crate) struct Notifier;

impl Notifier {
    pub(crate) fn notify(&self) {}
    pub(crate) fn sleeping(&self, _sleeping: bool) {}
}
