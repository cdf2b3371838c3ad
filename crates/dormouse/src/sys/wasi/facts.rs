//! What the host has told of itself. WASI has no call that asks a host for more than its interfaces, so a host that has something to tell
//! calls an export of the program, before it runs it: `crates/dormouse/FACTS.md` is the interface, and `abi.rs` the export. A host
//! that knows nothing of it tells nothing, and then no fact is relied on.

use std::cell::Cell;

/// Every TCP socket of the program has TCP_NODELAY, those that a listener accepts too, for as long as it lives.
#[cfg(not(target_env = "p1"))]
pub(in crate::sys) const NODELAY: u32 = 1 << 0;

/// Readiness is exact: no quirk of `sys/quirks` is needed.
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
pub(in crate::sys) const EXACT: u32 = 1 << 1;

/// A wait for the last instant of the clock ends when the program is asked to stop.
pub(in crate::sys) const STOP: u32 = 1 << 2;

/// A wait for the instant before that ends when a socket outside of its list has become ready.
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
pub(in crate::sys) const BELL: u32 = 1 << 3;

/// When that is.
#[cfg(not(any(target_env = "p3", all(target_env = "p2", feature = "p3"))))]
pub(in crate::sys) const BELL_AT: u64 = u64::MAX - 1;

thread_local! {
    static TOLD: Cell<u32> = const { Cell::new(0) };
}

/// The host tells. Bits that are not known here are facts of later versions.
pub(super) fn tell(facts: u32) {
    TOLD.set(facts);
}

/// Whether the host has told this fact.
pub(in crate::sys) fn is_told(fact: u32) -> bool {
    TOLD.get() & fact != 0
}

/// Sets TCP_NODELAY, which WASI has no call for: it is on where the host tells so, and never off.
#[cfg(not(target_env = "p1"))]
pub(in crate::sys) fn set_nodelay(nodelay: bool) -> std::io::Result<()> {
    match (self::nodelay()?, nodelay) {
        (true, true) => Ok(()),
        _ => Err(crate::base::error(std::io::ErrorKind::Unsupported, "the runner's sockets always send at once")),
    }
}

/// Whether TCP_NODELAY is set.
#[cfg(not(target_env = "p1"))]
pub(in crate::sys) fn nodelay() -> std::io::Result<bool> {
    match is_told(NODELAY) {
        true => Ok(true),
        false => Err(crate::base::error(std::io::ErrorKind::Unsupported, "WASI has no such option for sockets")),
    }
}
