//! The monotonic clock.

use std::cell::Cell;
use std::mem::MaybeUninit;

use wasip2::clocks::monotonic_clock;

use super::abi;
use crate::sys::quirks::budget;

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

/// Gives the host its turn: wasmtime yields to its own tasks at the first poll of a clock that is past (wasmtime-wasi 48.0.8,
/// p2/host/clocks.rs).
pub(super) fn give_turn() {
    abi::poll_into(&[monotonic_clock::subscribe_instant(0).handle()], &mut [MaybeUninit::uninit()]);
}

/// Called when the host says "not ready". True if that may be for want of budget: the host has had its turn, and is to be asked again.
pub(super) fn has_budget_again() -> bool {
    budget::is_renewed(give_turn)
}
