//! A point in time that never goes back. The clock that it is read from is above: `time/now.rs`.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A measurement of a clock that never goes back, in nanoseconds; like [`std::time::Instant`], and read with a single
/// host call (`wasi:clocks/monotonic-clock.now` on wasip2).
///
/// ```
/// use dormouse::time::{Duration, Instant};
/// let start = Instant::now();
/// assert!(start + Duration::from_secs(1) > start);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant at which the host's clock has this many nanoseconds. Where it begins is the host's affair, so this is for what
    /// [`as_nanos`](Self::as_nanos) gave.
    pub const fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// What the host's clock had, in nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The latest instant there is, some hundreds of years from now: what a sum that overflows becomes in the
    /// functions that take a [`Duration`].
    pub(crate) const FAR_FUTURE: Instant = Instant(u64::MAX);

    /// The time from `earlier` until this instant; zero if `earlier` is later.
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// The time from `earlier` until this instant; `None` if `earlier` is later.
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// The time from `earlier` until this instant; zero if `earlier` is later.
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant and `duration` more; `None` if that cannot be represented.
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(nanos).map(Instant)
    }

    /// This instant less `duration`; `None` if that cannot be represented.
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_sub(nanos).map(Instant)
    }
}

/// # Panics
/// If the sum cannot be represented, as [`std::time::Instant`] does.
impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, duration: Duration) -> Instant {
        self.checked_add(duration).expect("overflow when adding a duration to an instant")
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// Not earlier than the clock can tell, which on some hosts is not before the program began: a deadline that long ago has
/// passed in any case. [`std::time::Instant`] panics there.
impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, duration: Duration) -> Instant {
        self.checked_sub(duration).unwrap_or(Instant(0))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

/// The time between two instants; zero if the second is later.
impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({:?})", Duration::from_nanos(self.0))
    }
}
