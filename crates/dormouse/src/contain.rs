//! Code of others that must not panic into ours: destructors and wakers. A panic of theirs stays here, where the target unwinds; the
//! panic hook has shown it by then. Elsewhere a panic ends the program, and nothing of this is compiled.

use std::any::Any;
#[cfg(panic = "unwind")]
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(panic = "unwind")]
use std::pin::Pin;
use std::task::Waker;
#[cfg(panic = "unwind")]
use std::task::{Context, Poll};

/// Runs code of others.
#[cfg(panic = "unwind")]
pub(crate) fn contain<T>(body: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| Panic(Some(payload)))
}

#[cfg(not(panic = "unwind"))]
pub(crate) fn contain<T>(body: impl FnOnce() -> T) -> Result<T, Panic> {
    Ok(body())
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
            // A destructor that panics with a value, whose destructor may panic too: the value is leaked.
            std::mem::forget(again);
        }
    }
}

/// A foreign value that we drop, unless it is taken out before.
#[cfg(panic = "unwind")]
struct Slot<T>(Option<T>);

#[cfg(panic = "unwind")]
impl<T> Slot<T> {
    fn new(value: T) -> Self {
        Slot(Some(value))
    }

    fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    fn take(mut self) -> Option<T> {
        self.0.take()
    }
}

#[cfg(panic = "unwind")]
impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let _ = contain(|| drop(value));
        }
    }
}

#[cfg(not(panic = "unwind"))]
struct Slot<T>(T);

#[cfg(not(panic = "unwind"))]
impl<T> Slot<T> {
    fn new(value: T) -> Self {
        Slot(value)
    }

    fn get(&self) -> Option<&T> {
        Some(&self.0)
    }

    fn take(self) -> Option<T> {
        Some(self.0)
    }
}

/// What a task has given.
pub(crate) struct Held<T>(Slot<T>);

impl<T> Held<T> {
    pub(crate) fn new(value: T) -> Self {
        Held(Slot::new(value))
    }

    pub(crate) fn into_inner(self) -> Option<T> {
        self.0.take()
    }
}

/// A foreign waker. Cloning it may panic, where its owner waits; waking and dropping it are our calls, and do not panic.
pub(crate) struct SafeWaker(Slot<Waker>);

impl SafeWaker {
    pub(crate) fn new(waker: &Waker) -> Self {
        SafeWaker(Slot::new(waker.clone()))
    }

    pub(crate) fn wake(self) {
        if let Some(waker) = self.0.take() {
            let _ = contain(|| waker.wake());
        }
    }

    /// Whether both wake the same task.
    pub(crate) fn is_same(&self, other: &SafeWaker) -> bool {
        self.0.get().zip(other.0.get()).is_some_and(|(waker, other)| waker.will_wake(other))
    }
}

/// A future that may be dropped because it has panicked: what its destructor panics with is then the second panic, which would
/// end the process.
#[cfg(panic = "unwind")]
pub(crate) fn unwound<F: Future>(future: F) -> impl Future<Output = F::Output> {
    Unwound { future: Some(future) }
}

#[cfg(not(panic = "unwind"))]
pub(crate) fn unwound<F: Future>(future: F) -> F {
    future
}

#[cfg(panic = "unwind")]
pin_project_lite::pin_project! {
    struct Unwound<F> {
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Unwound<F> {
        fn drop(this: Pin<&mut Self>) {
            if std::thread::panicking() {
                let mut future = this.project().future;
                let _ = contain(|| future.set(None));
            }
        }
    }
}

#[cfg(panic = "unwind")]
impl<F: Future> Future for Unwound<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}
