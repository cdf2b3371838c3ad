//! The one call of `polling` that is unsafe: it must know when a descriptor goes.
#![allow(unsafe_code)]

use std::io;

use polling::{Event, Poller};

use super::Source;

/// Registers a source, which [`Wait::remove`](crate::sys::Wait::remove) deletes again.
pub(super) fn add(poller: &Poller, source: &Source, interest: Event) -> io::Result<()> {
    // SAFETY: the reactor calls `Wait::remove` before it drops a source that was armed (reactor/handle.rs `drop` and
    // `map`, reactor/mod.rs `run_chore`), and that deletes it. Standard streams are never closed.
    unsafe { poller.add(source, interest) }
}
