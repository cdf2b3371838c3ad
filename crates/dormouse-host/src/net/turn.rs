//! Turn. Which of the runs that have a listener together accepts the next connection.
//!
//! All of them are woken by a connection, and the fastest takes it; of many that come at once it would take most. So one that has more
//! connections than another lets a moment pass before it accepts: that one has been woken, too. If it has not accepted by then it does
//! something else, and those that wait are not to wait for it.
//!
//! A run that has accepted as many as it may in a second waits, too.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::meter::{Load, Meter};
use crate::pace::Bucket;

/// By how many connections it may be ahead of the run that has the fewest.
const AHEAD: usize = 2;
/// How long it lets others go first. tokio's clock has no shorter time.
const MOMENT: Duration = Duration::from_millis(1);
/// How many it accepts when it has let others go first, and connections are still there.
const AFTER_WAIT: usize = 8;

/// How many connections a run may accept, whichever of its listeners they come to.
#[derive(Default)]
pub(super) struct Accepts {
    bucket: Option<Mutex<Bucket>>,
}

impl Accepts {
    /// So many a second.
    pub(super) fn at_rate(rate: u32) -> Accepts {
        Accepts { bucket: Some(Mutex::new(Bucket::new(rate.into(), Instant::now()))) }
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Bucket) -> T) -> Option<T> {
        self.bucket.as_ref().map(|bucket| ask(&mut bucket.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The turns of one listener in one run.
pub(super) struct Turn {
    own: Arc<Load>,
    accepts: Arc<Accepts>,
    /// The fewest that a run of this listener has.
    least: Box<dyn Fn() -> usize + Send + Sync>,
    /// How many it may accept, whatever others have.
    permits: AtomicUsize,
    waits: AtomicBool,
}

impl Turn {
    pub(super) fn new(
        own: Arc<Load>,
        accepts: Arc<Accepts>,
        least: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Turn {
        let (permits, waits) = (AtomicUsize::new(0), AtomicBool::new(false));
        Turn { own, accepts, least: Box::new(least), permits, waits }
    }

    /// How long it has to wait before it may accept, or `None`: then it may until it has accepted, or until there is nothing to accept.
    pub(super) fn pause(&self) -> Option<Duration> {
        let now = Instant::now();
        if let Some(pause) = self.accepts.with(|bucket| bucket.lacks(1.0, now)).flatten() {
            return Some(pause);
        }
        if self.permits.load(Ordering::Relaxed) > 0 {
            return None;
        }
        if self.own.connections() >= (self.least)() + AHEAD {
            return Some(MOMENT);
        }
        self.permits.store(1, Ordering::Relaxed);
        None
    }

    /// It has accepted one.
    pub(super) fn accepted(&self) {
        let less = |permits: usize| permits.checked_sub(1);
        let _ = self.permits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.accepts.with(|bucket| bucket.take(1.0));
    }

    /// There is nothing to accept.
    pub(super) fn forget(&self) {
        self.permits.store(0, Ordering::Relaxed);
    }

    /// It has let others go first.
    pub(super) fn waited(&self) {
        self.permits.store(AFTER_WAIT, Ordering::Relaxed);
    }

    /// A pause begins: it is counted if it is for the rate.
    pub(super) fn count(&self, pause: Duration, meter: &Meter) {
        if pause != MOMENT {
            meter.delayed();
        }
    }

    /// Wakes `waker` after the pause. Outside of tokio there is nothing that could wake it, and it does not wait.
    pub(super) fn wait(self: &Arc<Self>, pause: Duration, meter: &Meter, waker: &Waker) {
        if self.waits.swap(true, Ordering::Relaxed) {
            return;
        }
        self.count(pause, meter);
        let (turn, waker) = (Arc::clone(self), waker.clone());
        let moment = async move {
            sleep(pause).await;
            turn.waits.store(false, Ordering::Relaxed);
            turn.waited();
            waker.wake();
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(moment)),
            Err(_) => self.waited(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    /// A run with so many connections, and another one with so many.
    fn turn(own: usize, other: usize, accepts: Accepts) -> (Arc<Turn>, Arc<Load>) {
        let (own, other) = (Arc::new(Load::with(own)), Arc::new(Load::with(other)));
        let loads = [Arc::clone(&own), Arc::clone(&other)];
        let least = move || loads.iter().map(|load| load.connections()).min().unwrap_or(0);
        (Arc::new(Turn::new(own, accepts.into(), least)), other)
    }

    fn is_ours(turn: &Turn) -> bool {
        turn.pause().is_none()
    }

    #[test]
    fn who_is_ahead_lets_others_go_first() {
        for (own, other) in [(0, 0), (1, 0), (3, 9)] {
            assert!(is_ours(&turn(own, other, Accepts::default()).0));
        }
        let (turn, other) = turn(2, 0, Accepts::default());
        assert!(!is_ours(&turn));
        other.set_connections(1);
        assert!(is_ours(&turn));
        // What it has been told stays true until it has accepted.
        other.set_connections(0);
        assert!(is_ours(&turn));
        turn.accepted();
        assert!(!is_ours(&turn));
    }

    /// Until it may accept; tells how often it had to wait.
    fn waits(turn: &Arc<Turn>, meter: &Meter) -> usize {
        let mut waited = 0;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(poll_fn(|cx| {
            let Some(pause) = turn.pause() else { return Poll::Ready(()) };
            waited += 1;
            turn.wait(pause, meter, cx.waker());
            Poll::Pending
        }));
        waited
    }

    #[test]
    fn who_has_waited_accepts_some_while_there_are_some() {
        let ((turn, _other), meter) = (turn(100, 0, Accepts::default()), Meter::new());
        assert_eq!(waits(&turn, &meter), 1);
        for _ in 0..AFTER_WAIT {
            assert!(is_ours(&turn));
            turn.accepted();
        }
        assert!(!is_ours(&turn));
        turn.waited();
        turn.forget();
        assert!(!is_ours(&turn));
        assert_eq!(meter.traffic().delayed, 0);
    }

    #[test]
    fn a_run_accepts_no_faster_than_it_may() {
        let ((turn, _other), meter) = (turn(0, 0, Accepts::at_rate(1000)), Meter::new());
        let begun = Instant::now();
        // A tenth of a second is saved up.
        for _ in 0..150 {
            waits(&turn, &meter);
            turn.accepted();
        }
        assert!(begun.elapsed() >= Duration::from_millis(49), "{:?}", begun.elapsed());
    }
}
