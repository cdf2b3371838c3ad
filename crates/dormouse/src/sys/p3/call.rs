//! Calls of the host that return once: futures of the `wasip3` crate, polled by hand.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::abi::{self, Waitable};

/// A call that has been made.
pub(super) struct Call<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    /// What it waits for.
    waitable: Waitable,
}

impl<T> Call<T> {
    /// Makes the call.
    pub(super) fn new(future: impl Future<Output = T> + 'static) -> Result<T, Call<T>> {
        let mut call = Call { future: Box::pin(future), waitable: 0 };
        call.poll().ok_or(call)
    }

    /// What it returned, if it has. To be dropped then.
    pub(super) fn try_finish(&mut self) -> Option<T> {
        if abi::has_event(self.waitable) { self.poll() } else { None }
    }

    pub(super) fn under_way(&self) -> Option<Waitable> {
        Some(self.waitable)
    }

    fn poll(&mut self) -> Option<T> {
        // It is not woken: what it registers for is watched here.
        let mut cx = Context::from_waker(Waker::noop());
        let (polled, waitable) = abi::watched(|| self.future.as_mut().poll(&mut cx));
        self.waitable = waitable;
        match polled {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}
