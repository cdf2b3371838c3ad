//! Waiting for a point in time.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Instant;
use crate::base::Key;
use crate::reactor::Reactor;

/// Waits for `duration`, counted from the call. A duration too long for the clock waits for ever.
///
/// ```
/// use dormouse::time::{Duration, Instant, sleep};
/// dormouse::block_on(async {
///     let start = Instant::now();
///     sleep(Duration::from_millis(5)).await;
///     assert!(start.elapsed() >= Duration::from_millis(5));
/// });
/// ```
///
/// # Panics
/// When it is first polled outside of [`dormouse::block_on`](crate::block_on).
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::after(duration))
}

/// Waits until `deadline`; for one that has passed, until the next turn of the runtime.
///
/// # Panics
/// When it is first polled outside of [`dormouse::block_on`](crate::block_on).
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, state: State::New }
}

/// The future of [`sleep`] and [`sleep_until`]. Dropping it cancels the timer.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    state: State,
}

/// `New ──poll──▶ Waiting ──the timer fires──▶ Done`, and `reset` leads back to `New` from everywhere.
enum State {
    New,
    Waiting(Rc<Reactor>, Key),
    Done,
}

impl Sleep {
    /// When it is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it is over, as far as the runtime has looked.
    pub fn is_elapsed(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Waits until `deadline` instead, from the next poll on.
    pub fn reset(&mut self, deadline: Instant) {
        self.cancel();
        self.deadline = deadline;
        self.state = State::New;
    }

    fn cancel(&mut self) {
        if let State::Waiting(reactor, key) = &self.state {
            reactor.cancel_timer(*key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.state {
            State::Done => Poll::Ready(()),
            // Further away than the clock can tell: no timer, so that a program in which nothing else is waited for ends
            // with a diagnosis.
            State::New if self.deadline == Instant::FAR_FUTURE => Poll::Pending,
            State::New => {
                let reactor = Reactor::running()
                    .expect("a sleep was polled outside of a Dormouse runtime: await it inside dormouse::block_on");
                if let Some(key) = reactor.park_until(self.deadline, None, cx.waker()) {
                    self.state = State::Waiting(reactor, key);
                }
                Poll::Pending
            }
            State::Waiting(reactor, key) => match reactor.park_until(self.deadline, Some(*key), cx.waker()) {
                Some(_) => Poll::Pending,
                None => {
                    self.state = State::Done;
                    Poll::Ready(())
                }
            },
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::New => "new",
            State::Waiting(..) => "waiting",
            State::Done => "done",
        })
    }
}
