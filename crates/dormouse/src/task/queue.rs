//! Run queue. Woken tasks are taken a batch at a time, so a task that wakes itself waits its turn.
//!
//! Wakers may be called on any thread, so the queue is behind a lock; on wasm that lock is a flag.

use std::sync::{Mutex, MutexGuard};

use async_task::Runnable;

use crate::base::Key;
use crate::sys::Notifier;

/// The tasks that can run. Each knows its entry in the scheduler's list.
pub(super) struct Queue {
    runnables: Mutex<Vec<Runnable<Key>>>,
    notifier: Notifier,
}

impl Queue {
    pub(super) fn new(notifier: Notifier) -> Self {
        Queue { runnables: Mutex::new(Vec::new()), notifier }
    }

    pub(super) fn push(&self, runnable: Runnable<Key>) {
        self.lock().push(runnable);
        self.notifier.notify();
    }

    /// Takes all that can run now; `batch` must be empty and lends its memory to the queue.
    pub(super) fn take_batch(&self, batch: &mut Vec<Runnable<Key>>) {
        std::mem::swap(&mut *self.lock(), batch);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Runnable<Key>>> {
        // Nothing that can panic runs under the lock.
        self.runnables.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
