//! What the WASI backends have in common: one thread, and a list that they hand to the host at each wait.

mod abi;
mod watched;

pub(crate) use abi::spawn_local;
pub(super) use watched::{CLOCK, Watched};

pub(crate) const THREADS: bool = false;

/// Ends a wait of another thread; there is none.
#[derive(Clone)]
pub(crate) struct Notifier;

impl Notifier {
    pub(crate) fn notify(&self) {}
    pub(crate) fn sleeping(&self, _sleeping: bool) {}
}
