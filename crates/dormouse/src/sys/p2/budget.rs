//! The host's budget, and how to get a fresh one.
//!
//! wasmtime up to 48 runs a guest as one task of tokio, and tokio gives a task 128 ready operations until it suspends;
//! after that *every* socket looks not ready: the permit to write is 0, nobody is there to accept (wasmtime #14174, fixed
//! by #14265 in 49). A poll of which 128 pollables are ready spends the whole budget itself and returns without
//! suspending; a guest that then believes the permits of 0 and polls again turns in circles for ever.
//!
//! So each operation that the host may count is counted here as well, and a "not ready" that comes when much has been
//! spent is not believed: the host gets its turn, through a fresh clock pollable that is past, and is asked again. On a
//! host without that trouble this costs three calls for each 64 operations, and those only when something is not ready.

use std::cell::Cell;
use std::mem::MaybeUninit;

use wasip2::clocks::monotonic_clock::subscribe_instant;

use super::abi;

/// Half of tokio's, since not everything that it counts can be seen from here.
const ENOUGH: u32 = 64;

/// What operations cost, at the most.
pub(super) const CHECK_WRITE: u32 = 1;
pub(super) const WRITE: u32 = 2;
pub(super) const ACCEPT: u32 = 2;
pub(super) const READ: u32 = 1;
/// For each pollable that a poll reports.
pub(super) const FIRED: u32 = 1;

thread_local! {
    /// Spent since the host last surely had its turn.
    static SPENT: Cell<u32> = const { Cell::new(0) };
}

/// Notes the cost of operations.
pub(super) fn spend(cost: u32) {
    SPENT.set(SPENT.get().saturating_add(cost));
}

/// The host has had its turn.
pub(super) fn refresh() {
    SPENT.set(0);
}

/// Called when the host says "not ready": whether that may be for want of budget; and before a wait of a crowd (`poller.rs`). Then the host has had its turn when
/// this returns, and is to be asked again.
pub(super) fn renewed() -> bool {
    if SPENT.get() < ENOUGH {
        return false;
    }
    // wasmtime yields at the first poll of a clock that is past (wasmtime-wasi 48.0.8, p2/host/clocks.rs).
    abi::poll_into(&[subscribe_instant(0).handle()], &mut [MaybeUninit::uninit()]);
    refresh();
    true
}
