//! A budget of operations that the host does not renew by itself.
//!
//! * **Host**: wasmtime up to 48, and what embeds it; not `dormouse run`, which lifts the budget, and not wasmtime from 49 on.
//! * **Issue**: wasmtime #14174, fixed by #14265.
//! * **What it does**: the guest is one task of tokio, and tokio gives a task 128 ready operations until it suspends; after that *every*
//!   socket looks not ready: the permit to write is 0, and there is nothing to accept. A poll of which 128 pollables are ready spends
//!   the whole budget itself and returns without suspending; a guest that then takes the permits of 0 for backpressure and polls again
//!   turns in circles for ever.
//! * **What is done**: each operation that the host may count is counted here as well. A "not ready" after [`ENOUGH`] of them is not
//!   believed: the host gets its turn, through a fresh clock pollable that is past, and is asked again.
//! * **Cost**: three calls for each 64 operations, and those only when something is not ready.
//! * **Can go** when wasmtime 48 has no users; it is a release with long support, until August 2028.

use std::cell::Cell;

/// tokio's, in operations.
pub(in crate::sys) const OF_HOST: u32 = 128;

/// Half of it, since not everything that the host counts can be seen from here.
const ENOUGH: u32 = OF_HOST / 2;

/// What operations cost, at the most.
pub(in crate::sys) const CHECK_WRITE: u32 = 1;
pub(in crate::sys) const WRITE: u32 = 2;
pub(in crate::sys) const ACCEPT: u32 = 2;
pub(in crate::sys) const READ: u32 = 1;
/// For each pollable that a poll reports.
pub(in crate::sys) const FIRED: u32 = 1;

thread_local! {
    /// Spent since the host last surely had its turn.
    static SPENT: Cell<u32> = const { Cell::new(0) };
}

/// Notes the cost of operations.
pub(in crate::sys) fn spend(cost: u32) {
    SPENT.set(SPENT.get().saturating_add(cost));
}

/// The host has had its turn.
pub(in crate::sys) fn refresh() {
    SPENT.set(0);
}

/// Called when the host says "not ready", and before a wait while a crowd is served (`short_read.rs`). If so much was done that the host's
/// budget may be spent, calls `give_turn`, which gives the host its turn, and returns true: ask the host again then.
pub(in crate::sys) fn is_renewed(give_turn: impl FnOnce()) -> bool {
    if SPENT.get() < ENOUGH || !super::are_needed() {
        return false;
    }
    give_turn();
    refresh();
    true
}
