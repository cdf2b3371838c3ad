//! Time: sleeps, timeouts and intervals. Nanoseconds where the host has them; never early.
//!
//! All timers of a thread share one heap and one clock of the host: ten thousand sleeping tasks cost the host one
//! subscription.

mod interval;
mod now;
mod sleep;
mod timeout;

pub use std::time::Duration;

pub use crate::base::Instant;
pub use interval::{Interval, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
