//! The system's monotonic clock.

use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds since the first call in this process.
pub(crate) fn now() -> u64 {
    since_base(Instant::now())
}

/// The time as it is known without a system call: reading this clock is none.
pub(crate) fn latest() -> u64 {
    now()
}

fn since_base(instant: Instant) -> u64 {
    u64::try_from(instant.duration_since(base()).as_nanos()).unwrap_or(u64::MAX)
}

fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}
