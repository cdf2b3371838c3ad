//! The clock of the simulation that runs on this thread, or the host's.

use super::{World, host};

/// Nanoseconds.
pub(crate) fn now() -> u64 {
    World::current().map_or_else(host::clock::now, |world| world.now())
}

/// The time as it is known without a call of the host.
pub(crate) fn latest() -> u64 {
    World::current().map_or_else(host::clock::latest, |world| world.now())
}
