//! The monotonic clock.

use std::cell::Cell;

use wasip3::clocks::monotonic_clock;

thread_local! {
    static LATEST: Cell<u64> = const { Cell::new(0) };
}

/// Nanoseconds.
pub(crate) fn now() -> u64 {
    let now = monotonic_clock::now();
    LATEST.set(now);
    now
}

/// What `now` said last: the program cannot know that it is later.
pub(crate) fn latest() -> u64 {
    LATEST.get()
}
