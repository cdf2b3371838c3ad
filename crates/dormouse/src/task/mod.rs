//! Tasks: spawn them, await them, abort them, let others run.
//!
//! A task is a future of its own that runs beside the others on the same thread. It need not be `Send`.

mod queue;
mod scheduler;

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use async_task::FallibleTask;

use crate::base::Key;
use crate::contain::Panic;
use crate::reactor::Reactor;
use crate::runtime::Waits;
use scheduler::{Output, Scheduler};

/// Starts a task. It runs when the caller next awaits something that is not ready.
///
/// ```
/// dormouse::block_on(async {
///     let task = dormouse::spawn(async { "done" });
///     assert_eq!(task.await.unwrap(), "done");
/// });
/// ```
///
/// # Panics
/// Outside of [`dormouse::block_on`](crate::block_on).
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let scheduler = Scheduler::current();
    let spawned = Location::caller();
    let (key, task) = scheduler.spawn(future, spawned);
    JoinHandle { task: Some(task.fallible()), key, spawned, scheduler, _not_send: PhantomData }
}

/// Owns a task: await it for its result, or [`abort`](JoinHandle::abort) it. Dropping the handle detaches the task: it
/// goes on.
pub struct JoinHandle<T> {
    /// Always there until the handle is dropped.
    task: Option<FallibleTask<Output<T>, Key>>,
    key: Key,
    spawned: &'static Location<'static>,
    scheduler: Rc<Scheduler>,
    _not_send: PhantomData<*const ()>,
}

impl<T> JoinHandle<T> {
    /// Ends the task at its next turn: its future is dropped where it is parked. Awaiting the handle then gives an error
    /// for which [`JoinError::is_cancelled`] is true. A task that has ended is not changed.
    pub fn abort(&self) {
        self.scheduler.abort(self.key);
    }

    /// Lets the task go on by itself; the same as dropping the handle.
    pub fn detach(self) {}

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.is_finished())
    }
}

impl<T> Future for JoinHandle<T> {
    /// # Errors
    /// If the task was aborted, was dropped because [`block_on`](crate::block_on) ended, or panicked, also in the destructor of its
    /// future when it was aborted or dropped.
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = &mut self.task else {
            return Poll::Ready(Err(JoinError::cancelled()));
        };
        match Pin::new(task).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(result)) => {
                Poll::Ready(result.and_then(|output| output.into_inner().ok_or_else(JoinError::cancelled)))
            }
            Poll::Ready(None) => Poll::Ready(Err(JoinError::cancelled())),
            Poll::Pending => {
                self.scheduler.join(self.key, cx.waker());
                self.scheduler.note(Waits::ForTask(self.spawned));
                Poll::Pending
            }
        }
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.detach();
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle(task spawned at {})", self.spawned)
    }
}

/// Why a task has no result.
pub struct JoinError(Option<Panic>);

impl JoinError {
    fn cancelled() -> Self {
        JoinError(None)
    }

    fn panicked(panic: Panic) -> Self {
        JoinError(Some(panic))
    }

    /// The task was aborted, or dropped because [`block_on`](crate::block_on) ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_none()
    }

    /// The task panicked. Never on targets where a panic ends the program, such as WASI.
    pub fn is_panic(&self) -> bool {
        self.0.is_some()
    }

    /// What the task panicked with, for [`std::panic::resume_unwind`]; or the error itself if it did not.
    ///
    /// # Errors
    /// The error itself, if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        self.0.and_then(Panic::into_payload).ok_or(JoinError(None))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_panic() { "the task panicked" } else { "the task was cancelled" })
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_panic() { "JoinError::Panic" } else { "JoinError::Cancelled" })
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        crate::io::error(io::ErrorKind::Other, error.to_string())
    }
}

/// Lets every other runnable task run once before it goes on.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Promises that wakes may come from outside of the program's tasks, from another thread, for as long as the guard is
/// held: until then a program in which all tasks are parked waits instead of ending with a diagnosis.
///
/// Only needed where a waker is given to another thread. Under WASI there is none, so there the promise changes nothing.
///
/// # Errors
/// When the reactor of this thread cannot be made.
pub fn foreign_wakes() -> io::Result<ForeignWakes> {
    let reactor = Reactor::current()?;
    reactor.change_foreign_wakes(1);
    Ok(ForeignWakes { reactor })
}

/// The guard of [`foreign_wakes`].
#[must_use = "the promise ends when the guard is dropped"]
pub struct ForeignWakes {
    reactor: Rc<Reactor>,
}

impl Drop for ForeignWakes {
    fn drop(&mut self) {
        self.reactor.change_foreign_wakes(-1);
    }
}
