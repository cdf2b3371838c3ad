//! Limits. How many sockets a run has open, and how many it may.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::socket::Hub;

/// How many sockets there may be at a time, and the option that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) sockets: usize,
    pub(crate) option: &'static str,
}

impl From<usize> for Most {
    fn from(sockets: usize) -> Most {
        Most { sockets, option: "--max-sockets" }
    }
}

/// The sockets of one run: how many are open, and how many may be.
pub(crate) struct Sockets {
    open: AtomicUsize,
    most: usize,
    freed: Notify,
    /// Where a poll of WASI 0.2 waits, perhaps for a listener that may not accept now.
    hub: Arc<Hub>,
    full: AtomicBool,
}

impl Sockets {
    pub(crate) fn new(most: usize, hub: &Arc<Hub>) -> Sockets {
        let (open, full) = (AtomicUsize::new(0), AtomicBool::new(false));
        Sockets { open, most, freed: Notify::new(), hub: Arc::clone(hub), full }
    }

    /// How many may be open at a time.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Counts one more; false if there is no room for it.
    pub(crate) fn take(&self) -> bool {
        let more = |open| (open < self.most).then_some(open + 1);
        self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Whether there is no room for one more.
    pub(crate) fn is_full(&self) -> bool {
        self.open.load(Ordering::SeqCst) >= self.most
    }

    /// True the first time that it is full, so that it is said once.
    pub(crate) fn first_full(&self) -> bool {
        !self.full.swap(true, Ordering::SeqCst)
    }

    /// One has been closed.
    pub(crate) fn give_back(&self) {
        let less = |open: usize| open.checked_sub(1);
        let open = self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if open.is_ok_and(|open| open >= self.most) {
            self.hub.bell.ring();
        }
        self.freed.notify_waiters();
        self.hub.wake();
    }

    /// Counts one more as soon as there is room for it.
    pub(crate) async fn take_later(self: Arc<Self>) {
        loop {
            let mut freed = pin!(self.freed.notified());
            // What is freed from now on is not missed.
            freed.as_mut().enable();
            if self.take() {
                return;
            }
            freed.await;
        }
    }
}

/// A socket that [`Sockets`] has counted, which is given back when this is dropped.
pub(crate) struct Counted(Arc<Sockets>);

impl Counted {
    /// `sockets` has counted it already.
    pub(crate) fn new(sockets: &Arc<Sockets>) -> Counted {
        Counted(Arc::clone(sockets))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_and_given_back() {
        let sockets = Sockets::new(2, &Arc::default());
        assert!(sockets.take() && sockets.take() && !sockets.take() && sockets.is_full());
        sockets.give_back();
        assert!(!sockets.is_full() && sockets.take());
        assert!(!sockets.take());
    }

    #[test]
    fn a_socket_that_is_dropped_is_given_back() {
        let sockets = Arc::new(Sockets::new(2, &Arc::default()));
        assert!(sockets.take() && sockets.take());
        let counted = Counted::new(&sockets);
        assert!(!sockets.take());
        drop(counted);
        assert!(sockets.take() && !sockets.take());
    }
}
