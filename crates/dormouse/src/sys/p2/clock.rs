//! The monotonic clock.

/// Nanoseconds.
pub(crate) fn now() -> u64 {
    wasip2::clocks::monotonic_clock::now()
}
