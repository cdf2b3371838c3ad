//! A host that refuses the whole call for one bad descriptor.
//!
//! * **Host**: wasi-common and hosts that are built on it (wasmi 2.0.0, `sync/sched/unix.rs`).
//! * **What it does**: `poll_oneoff` fails, and says neither which subscription is to blame nor what else is ready. The specification has an
//!   error in the event of the descriptor.
//! * **What is done**: the host is asked about each by itself. Those that it refuses are reported, and the operation gets the error;
//!   should it refuse none, all are to try after a nap (`no_sockets.rs`).
//! * **Cost**: nothing where no call is refused. There, a call for each that is armed.
//! * **Can go** when no such host is in use.

use crate::sys::Ready;
use crate::sys::wasi::long::Watched;
use crate::sys::wasi::long::numbers::SOCKETS;

/// Those that the host refuses, of all that are armed; `refusal` asks it about one entry by itself.
pub(in crate::sys) fn find<T: Copy, E>(
    watched: &Watched<T>,
    mut refusal: impl FnMut(T) -> Option<E>,
) -> Vec<(Ready, E)> {
    let mut refused = Vec::new();
    for place in SOCKETS..watched.list.len() {
        if let Some(why) = refusal(watched.list[place]) {
            refused.extend(watched.owner(place).map(|owner| (owner, why)));
        }
    }
    refused
}
