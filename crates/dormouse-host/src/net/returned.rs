//! Returned. Connections that one of the runs of a listener has accepted and its program has never looked at.
//!
//! WASI 0.3 tells that something is done, so the host accepts into a read that the program began before. Between that and the program's next
//! look the program may close its listener, drop it or end, and drops the connection unseen. The backlog does not take a connection
//! back, so it waits here for the next run:
//!
//! ```text
//!   accepted ──▶ read ──▶ the program calls something of it ──▶ its own
//!      ▲          │
//!      │          └─────▶ the program drops it ──▶ waits here ─┐
//!      └───────────────────────────────────────────────────────┘  a run that accepts takes it first
//! ```
//!
//! It waits while a run accepts, or while the listener is kept for one that is to come; else it is closed, as a backlog is.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// How often a connection is given back. A program may drop each on purpose, and they are not to go round for ever.
const MOST_TIMES: u8 = 8;

/// Those of one listener.
#[derive(Default)]
pub(super) struct Returned(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Each with how often it has come back.
    waiting: VecDeque<(OwnedFd, u8)>,
    /// By their numbers, and what wakes each.
    takers: Vec<(u64, Option<Waker>)>,
    next: u64,
}

impl Returned {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more run accepts. `kept` tells whether the listener waits for the next run when this one has gone.
    pub(super) fn taker(self: &Arc<Self>, kept: impl Fn() -> bool + Send + Sync + 'static) -> Taker {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.takers.push((number, None));
        drop(inner);
        Taker { of: Arc::clone(self), number, kept: Arc::new(kept) }
    }
}

/// A run that accepts.
pub(crate) struct Taker {
    of: Arc<Returned>,
    number: u64,
    kept: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Taker {
    /// Whether a connection waits; if none does, the next that comes back wakes `cx`.
    pub(crate) fn has_some(&self, cx: &Context<'_>) -> bool {
        let mut inner = self.of.lock();
        if !inner.waiting.is_empty() {
            return true;
        }
        if let Some((_, waker)) = inner.takers.iter_mut().find(|(number, _)| *number == self.number) {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        false
    }

    /// The next connection, if one waits.
    pub(crate) fn take(&self) -> Option<(OwnedFd, Unseen)> {
        let (fd, times) = self.of.lock().waiting.pop_front()?;
        Some((fd, self.unseen_after(times)))
    }

    /// For a connection that was just accepted.
    pub(crate) fn unseen(&self) -> Unseen {
        self.unseen_after(0)
    }

    fn unseen_after(&self, times: u8) -> Unseen {
        Unseen { of: Arc::clone(&self.of), kept: Arc::clone(&self.kept), times, seen: AtomicBool::new(false) }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let mut inner = self.of.lock();
        inner.takers.retain(|(number, _)| *number != self.number);
        if inner.takers.is_empty() && !(self.kept)() {
            let closed = std::mem::take(&mut inner.waiting);
            drop(inner);
            drop(closed);
        }
    }
}

/// What a connection has until its program has looked at it.
pub(crate) struct Unseen {
    of: Arc<Returned>,
    kept: Arc<dyn Fn() -> bool + Send + Sync>,
    times: u8,
    seen: AtomicBool,
}

impl Unseen {
    /// The program has called something of the connection.
    pub(crate) fn see(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// The program drops the connection: one that it has not seen waits for the next run.
    pub(crate) fn dropped(self, connection: impl AsFd) -> io::Result<()> {
        if self.seen.into_inner() || self.times >= MOST_TIMES {
            return Ok(());
        }
        let mut inner = self.of.lock();
        if inner.takers.is_empty() && !(self.kept)() {
            return Ok(());
        }
        inner.waiting.push_back((connection.as_fd().try_clone_to_owned()?, self.times + 1));
        // All of them: one may be of a run that is about to stop, or does not read just now.
        let wakers: Vec<_> = inner.takers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }
}
