//! A host that knows no absolute time.
//!
//! * **Host**: wazero up to 1.12 (imports/wasi_snapshot_preview1/poll.go).
//! * **What it does**: it refuses a clock's subscription with `subscription_clock_abstime`.
//! * **What is done**: after the first refusal, time is told relative to now. There are no reviews of long lists.
//! * **Cost**: nothing elsewhere. There, a reading of the clock for each wait with a deadline.
//! * **Can go** with wazero 1.12.

use crate::sys::Until;

/// How long a wait may take, in nanoseconds; `None` is for ever.
pub(in crate::sys) fn of(until: Until, now: impl FnOnce() -> u64) -> Option<u64> {
    match until {
        Until::Now => Some(0),
        Until::At(when) => Some(when.as_nanos().saturating_sub(now())),
        Until::Forever => None,
    }
}
