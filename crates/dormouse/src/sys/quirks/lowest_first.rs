//! Events of WASI 0.3 that come in the order of numbers, one a turn of the host.
//!
//! * **Host**: wasmtime 48 and 49 (48.0.8, concurrent.rs: `ready` is ordered, and the first is taken; `poll_until` completes
//!   one thing for each yield). It keeps to the specification, which leaves the order open.
//! * **What it does**: a wait reports the waitable with the lowest number, though others have been ready for longer. With one event a turn,
//!   those with low numbers would have all turns while they are busy. And what has come meanwhile becomes an event only when the host
//!   has its turn, one thing for each yield.
//! * **What is done**: every [`UNTIL_LOOK`]th wait takes all events there are, and the host is yielded to until a yield brings nothing.
//! * **Cost**: two calls for each 64 waits.
//! * **Can go** when a host takes them in the order in which they became ready.

use std::cell::Cell;

/// In waits.
const UNTIL_LOOK: u32 = 64;

thread_local! {
    static WAITS: Cell<u32> = const { Cell::new(0) };
}

/// Counts a wait. True if it is time to take all events that there are.
pub(in crate::sys) fn is_look_due() -> bool {
    WAITS.set(WAITS.get().wrapping_add(1));
    WAITS.get().is_multiple_of(UNTIL_LOOK)
}

/// Has `give_turn` give the host its turn until that brings nothing.
pub(in crate::sys) fn drain(mut give_turn: impl FnMut() -> bool) {
    while give_turn() {}
}
