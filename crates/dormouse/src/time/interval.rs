//! Intervals: ticks that come again and again.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use super::{Instant, Sleep, sleep_until};

/// Ticks every `period`, the first time at once.
///
/// A tick that is late does not move the ones after it; ticks that were missed altogether are left out, so that a task
/// which was busy for ten periods sees one tick and then the next one on the beat.
///
/// ```
/// use dormouse::time::{Duration, interval};
/// dormouse::block_on(async {
///     let mut beat = interval(Duration::from_millis(100));
///     let first = beat.tick().await;
///     let second = beat.tick().await;
///     assert_eq!(second - first, Duration::from_millis(100));
/// });
/// ```
///
/// # Panics
/// If `period` is zero.
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`, the first time at `start`; see [`interval`].
///
/// # Panics
/// If `period` is zero.
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    Interval { period, sleep: sleep_until(start) }
}

/// A beat; also a [`Stream`] without end. Made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    sleep: Sleep,
}

impl Interval {
    /// Waits for the next tick and returns when it was due. Safe to cancel: the tick is not lost.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let mut next = due.checked_add(self.period).unwrap_or(Instant::FAR_FUTURE);
        let now = Instant::now();
        if next <= now {
            let period = self.period.as_nanos().try_into().unwrap_or(u64::MAX);
            let late = now.as_nanos() - due.as_nanos();
            next = Instant::from_nanos(now.as_nanos().saturating_add(period - late % period));
        }
        self.sleep.reset(next);
        Poll::Ready(due)
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}
