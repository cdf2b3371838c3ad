//! Turn. Which of the runs that have a listener together accepts the next connection.
//!
//! All of them are woken by a connection, and the fastest takes it; of many that come at once it would take most. So one that has more
//! connections than another lets a moment pass before it accepts: that one has been woken, too. If it has not accepted by then it does
//! something else, and those that wait are not to wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

/// By how many connections it may be ahead of the run that has the fewest.
const AHEAD: usize = 2;
/// How long it lets others go first. tokio's clock has no shorter time.
pub(super) const MOMENT: Duration = Duration::from_millis(1);
/// How many it accepts when it has let others go first, and connections are still there.
const AFTER_WAIT: usize = 8;

/// How many connections a run has.
pub(super) type Load = Arc<AtomicUsize>;

/// The turns of one listener in one run.
pub(super) struct Turn {
    own: Load,
    /// The fewest that a run of this listener has.
    least: Box<dyn Fn() -> usize + Send + Sync>,
    /// How many it may accept, whatever others have.
    permits: AtomicUsize,
    waits: AtomicBool,
}

impl Turn {
    pub(super) fn new(own: Load, least: impl Fn() -> usize + Send + Sync + 'static) -> Turn {
        Turn { own, least: Box::new(least), permits: AtomicUsize::new(0), waits: AtomicBool::new(false) }
    }

    /// Whether it may accept. It stays so until it has accepted, or until there is nothing to accept.
    pub(super) fn is_ours(&self) -> bool {
        if self.permits.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let is_ours = self.own.load(Ordering::Relaxed) < (self.least)() + AHEAD;
        if is_ours {
            self.permits.store(1, Ordering::Relaxed);
        }
        is_ours
    }

    /// It has accepted one.
    pub(super) fn accepted(&self) {
        let less = |permits: usize| permits.checked_sub(1);
        let _ = self.permits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// There is nothing to accept.
    pub(super) fn forget(&self) {
        self.permits.store(0, Ordering::Relaxed);
    }

    /// It has let others go first.
    pub(super) fn waited(&self) {
        self.permits.store(AFTER_WAIT, Ordering::Relaxed);
    }

    /// Lets others go first, and wakes `waker` then. Outside of tokio there is nothing that could wake it, and it does not wait.
    pub(super) fn give_way(self: &Arc<Self>, waker: &Waker) {
        if self.waits.swap(true, Ordering::Relaxed) {
            return;
        }
        let (turn, waker) = (Arc::clone(self), waker.clone());
        let moment = async move {
            sleep(MOMENT).await;
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
    fn turn(own: usize, other: usize) -> (Turn, Load) {
        let (own, other) = (Load::new(own.into()), Load::new(other.into()));
        let loads = [Arc::clone(&own), Arc::clone(&other)];
        let least = move || loads.iter().map(|load| load.load(Ordering::Relaxed)).min().unwrap_or(0);
        (Turn::new(own, least), other)
    }

    #[test]
    fn who_is_ahead_lets_others_go_first() {
        assert!(turn(0, 0).0.is_ours() && turn(1, 0).0.is_ours() && turn(3, 9).0.is_ours());
        let (turn, other) = turn(2, 0);
        assert!(!turn.is_ours());
        other.store(1, Ordering::Relaxed);
        assert!(turn.is_ours());
        // What it has been told stays true until it has accepted.
        other.store(0, Ordering::Relaxed);
        assert!(turn.is_ours());
        turn.accepted();
        assert!(!turn.is_ours());
    }

    #[test]
    fn who_has_waited_accepts_some_while_there_are_some() {
        let (turn, _other) = turn(100, 0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (turn, mut asked) = (Arc::new(turn), 0);
        runtime.block_on(poll_fn(|cx| {
            asked += 1;
            if turn.is_ours() {
                return Poll::Ready(());
            }
            turn.give_way(cx.waker());
            Poll::Pending
        }));
        assert_eq!(asked, 2);
        for _ in 0..AFTER_WAIT {
            assert!(turn.is_ours());
            turn.accepted();
        }
        assert!(!turn.is_ours());
        turn.waited();
        turn.forget();
        assert!(!turn.is_ours());
    }
}
