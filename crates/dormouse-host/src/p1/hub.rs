//! Where the marks of sockets and the one waiting call meet.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// The waker of the call that waits, if one does.
#[derive(Default)]
pub(super) struct Hub {
    waiting: Mutex<Option<Waker>>,
}

impl Hub {
    /// From now on a mark wakes `cx`.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting();
        match &mut *waiting {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Something has been marked.
    pub(super) fn wake(&self) {
        // Outside of the lock.
        let waker = self.waiting().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
