//! The monotonic clock.

use std::cell::Cell;

use super::abi;

thread_local! {
    static LATEST: Cell<u64> = const { Cell::new(0) };
}

/// Nanoseconds.
pub(crate) fn now() -> u64 {
    let now = abi::monotonic_now();
    LATEST.set(now);
    now
}

/// What `now` said last: the program cannot know that it is later.
pub(crate) fn latest() -> u64 {
    LATEST.get()
}
