//! The clock that instants are read from, which is the host's.

use std::time::Duration;

use super::Instant;
use crate::sys::clock;

impl Instant {
    /// Returns the time now.
    pub fn now() -> Instant {
        Instant::from_nanos(clock::now())
    }

    /// The time as it is known without a host call: at the latest reading, or now where reading costs nothing.
    pub(crate) fn latest() -> Instant {
        Instant::from_nanos(clock::latest())
    }

    /// The time since this instant.
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(*self)
    }

    /// Now and `duration` more, or the far future.
    pub(crate) fn after(duration: Duration) -> Instant {
        Instant::now().checked_add(duration).unwrap_or(Instant::FAR_FUTURE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_earlier_than_the_beginning_of_the_clock() {
        assert_eq!(Instant::from_nanos(5) - Duration::from_secs(1), Instant::from_nanos(0));
        let mut long_ago = Instant::now();
        long_ago -= Duration::MAX;
        assert!(long_ago < Instant::now());
        assert_eq!(Instant::now().checked_sub(Duration::MAX), None);
    }
}
