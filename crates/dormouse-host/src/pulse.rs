//! Pulse. Whether an instance turns: whether its program comes back to the host, to wait or to call something that waits.
//!
//! A task of the instance's own reactor answers. It runs when the program lets it, so one that computes for long, or is in a call that blocks the
//! thread, does not answer. Where the engine interrupts the program, for its pace, that does not count.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

/// After which time one that was interrupted is looked at again.
const AGAIN: Duration = Duration::from_millis(1);

/// Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Pulse {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    asked: Notify,
    /// The program has not come back by itself this time.
    interrupted: AtomicBool,
    question: AtomicU64,
    /// The last question that was answered.
    answer: Mutex<u64>,
    answered: Condvar,
}

/// A question that was asked.
pub(crate) struct Question {
    pulse: Pulse,
    number: u64,
}

impl Pulse {
    /// Answers for as long as it is polled.
    pub(crate) async fn answers(self) {
        loop {
            self.state.asked.notified().await;
            while self.state.interrupted.load(Ordering::SeqCst) {
                sleep(AGAIN).await;
            }
            *self.state.answer.lock().unwrap_or_else(PoisonError::into_inner) =
                self.state.question.load(Ordering::SeqCst);
            self.state.answered.notify_all();
        }
    }

    /// The program is polled, or has been interrupted since.
    pub(crate) fn set_interrupted(&self, interrupted: bool) {
        self.state.interrupted.store(interrupted, Ordering::SeqCst);
    }

    pub(crate) fn ask(&self) -> Question {
        let number = self.state.question.fetch_add(1, Ordering::SeqCst) + 1;
        self.state.asked.notify_one();
        Question { pulse: self.clone(), number }
    }
}

impl Question {
    /// Waits for the answer; false if there is none by then.
    pub(crate) fn is_answered_by(&self, deadline: Instant) -> bool {
        let state = &self.pulse.state;
        let mut answer = state.answer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if *answer >= self.number || left == Duration::ZERO {
                return *answer >= self.number;
            }
            answer = state.answered.wait_timeout(answer, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
