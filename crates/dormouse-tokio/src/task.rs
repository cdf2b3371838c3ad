//! tokio's `task`.

pub use upstream::task::*;

/// Runs `f` here and now, and the other tasks wait: there is no other thread.
#[cfg(feature = "rt-multi-thread")]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    f()
}
