//! A host that cannot wait for sockets.
//!
//! * **Host**: wazero up to 1.12 (imports/wasi_snapshot_preview1/poll.go).
//! * **Issue**: wazero #1500, open.
//! * **What it does**: it reports what was asked about reading, at once or when the clock is due, and refuses to wait for writing with
//!   ENOTSUP in the event. Other hosts may say of such a descriptor what they like, but not that.
//! * **What is done**: at the first socket the host is asked once. Where it cannot wait, all try after a nap of [`NAP`] each.
//! * **Cost**: one call a program. On such a host, five milliseconds an echo and some CPU.
//! * **Can go** when no wazero that cannot wait for sockets is in use.

use crate::sys::wasi::long::Watched;
use crate::sys::{Ready, Until};

/// How long to sleep, in nanoseconds.
const NAP: u64 = 5_000_000;

/// Whether the host is to be asked.
pub(in crate::sys) fn is_asked() -> bool {
    super::are_needed()
}

/// How long to sleep now.
pub(in crate::sys) fn nap(until: Until, now: impl FnOnce() -> u64) -> u64 {
    super::relative_time::of(until, now).unwrap_or(NAP).min(NAP)
}

/// Takes all out of the list, and reports them.
pub(in crate::sys) fn report_all<T: Copy>(watched: &mut Watched<T>, ready: &mut Vec<Ready>) {
    while watched.armed() > 0 {
        let Some(owner) = watched.owner(watched.list.len() - 1) else { break };
        watched.take_out(owner.side, owner.key);
        ready.push(owner);
    }
}
