//! Code of others that must not panic into ours: destructors and wakers. A panic of theirs stays here, where the target unwinds; the
//! panic hook has shown it by then. Elsewhere a panic ends the program, and nothing of this is compiled.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

/// Runs code of others.
pub(crate) fn contain<T>(body: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| Panic(Some(payload)))
}

/// What a panic carries. Dropping it does not panic, whatever it is.
pub(crate) struct Panic(Option<Box<dyn Any + Send>>);

impl Panic {
    pub(crate) fn into_payload(mut self) -> Option<Box<dyn Any + Send>> {
        self.0.take()
    }
}

#[cfg(panic = "unwind")]
impl Drop for Panic {
    fn drop(&mut self) {
        let payload = self.0.take();
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // A destructor that panics with a value whose destructor may panic: it is left alone.
            std::mem::forget(again);
        }
    }
}

/// A value of others that we drop.
pub(crate) struct Held<T>(Option<T>);

impl<T> Held<T> {
    pub(crate) fn new(value: T) -> Self {
        Held(Some(value))
    }

    /// The value; there until it is dropped.
    pub(crate) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

#[cfg(panic = "unwind")]
impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let _ = contain(|| drop(value));
        }
    }
}

/// A waker of others. A clone is made where its owner waits, and may panic there; waking and dropping are ours to do, and do not.
pub(crate) struct SafeWaker(Option<Waker>);

impl SafeWaker {
    pub(crate) fn new(waker: &Waker) -> Self {
        SafeWaker(Some(waker.clone()))
    }

    pub(crate) fn wake(mut self) {
        if let Some(waker) = self.0.take() {
            let _ = contain(|| waker.wake());
        }
    }

    pub(crate) fn will_wake(&self, other: &Waker) -> bool {
        self.0.as_ref().is_some_and(|waker| waker.will_wake(other))
    }

    /// Whether both wake the same task.
    pub(crate) fn is_same(&self, other: &SafeWaker) -> bool {
        other.0.as_ref().is_some_and(|other| self.will_wake(other))
    }
}

#[cfg(panic = "unwind")]
impl Drop for SafeWaker {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            let _ = contain(|| drop(waker));
        }
    }
}

pin_project! {
    /// A future that may be dropped because it has panicked: what its destructor panics with is then the second panic, which would
    /// end the process.
    pub(crate) struct Unwound<F> {
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Unwound<F> {
        fn drop(this: Pin<&mut Self>) {
            if cfg!(panic = "unwind") && std::thread::panicking() {
                let mut future = this.project().future;
                let _ = contain(|| future.set(None));
            }
        }
    }
}

impl<F> Unwound<F> {
    pub(crate) fn new(future: F) -> Self {
        Unwound { future: Some(future) }
    }
}

impl<F: Future> Future for Unwound<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}
