//! The tasks of one `block_on`: the list of all of them, for aborting, for the diagnosis and for the end.
//!
//! ```text
//!   spawn ──▶ queued ──run_batch──▶ running ──Ready, aborted or panicked──▶ gone
//!                ▲                     │ Pending
//!                └──── its waker ── parked
//! ```

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_task::{Builder, Runnable, Task};
use pin_project_lite::pin_project;

use super::JoinError;
use super::queue::Queue;
use crate::reactor::{Arena, Key, Reactor};
use crate::runtime::{self, Tasks, Waits};
use crate::sys;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

pub(super) struct Scheduler {
    queue: Arc<Queue>,
    reactor: Rc<Reactor>,
    entries: RefCell<Arena<Entry>>,
    /// Kept between batches, so that a batch allocates nothing.
    batch: RefCell<Vec<Runnable<Key>>>,
    /// Whose turn it is; `None` is the main future's.
    running: Cell<Option<Key>>,
    main_waits: Cell<Waits>,
}

/// What is known of a task that has not ended.
struct Entry {
    spawned: &'static Location<'static>,
    waits: Waits,
    aborted: bool,
    /// There once the task has been built.
    waker: Option<Waker>,
}

impl Scheduler {
    /// The scheduler of the running `block_on`, made at its first `spawn`.
    #[track_caller]
    pub(super) fn current() -> Rc<Scheduler> {
        if let Some(scheduler) = CURRENT.with(|current| current.borrow().clone()) {
            return scheduler;
        }
        let reactor = Reactor::running().expect("spawned outside of a runtime: call spawn inside dormouse::block_on");
        let scheduler = Rc::new(Scheduler {
            queue: Arc::new(Queue::new(reactor.notifier())),
            reactor,
            entries: RefCell::new(Arena::new()),
            batch: RefCell::default(),
            running: Cell::new(None),
            main_waits: Cell::new(Waits::ForWake),
        });
        CURRENT.with(|current| current.replace(Some(Rc::clone(&scheduler))));
        runtime::install(Rc::clone(&scheduler) as Rc<dyn Tasks>);
        #[cfg(feature = "p3-spawn")]
        sys::set_spawn(|future| super::spawn(future).detach());
        scheduler
    }

    #[allow(clippy::type_complexity)]
    pub(super) fn spawn<F>(
        self: &Rc<Self>,
        future: F,
        spawned: &'static Location<'static>,
    ) -> (Key, Task<Result<F::Output, JoinError>, Key>)
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let entry = Entry { spawned, waits: Waits::ForWake, aborted: false, waker: None };
        let key = self.entries.borrow_mut().insert(entry);
        let listed = Listed { key, scheduler: Rc::clone(self) };
        let queue = Arc::clone(&self.queue);
        let guarded = Guarded { future: Some(future), listed };
        let (runnable, task) =
            sys::spawn_local(Builder::new().metadata(key), guarded, move |runnable| queue.push(runnable));
        if let Some(entry) = self.entries.borrow_mut().get_mut(key) {
            entry.waker = Some(runnable.waker());
        }
        runnable.schedule();
        (key, task)
    }

    pub(super) fn abort(&self, key: Key) {
        let waker = match self.entries.borrow_mut().get_mut(key) {
            Some(entry) => {
                entry.aborted = true;
                entry.waker.clone()
            }
            None => None,
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes what the running task waits for.
    pub(super) fn note(&self, waits: Waits) {
        match self.running.get() {
            None => self.main_waits.set(waits),
            Some(key) => {
                if let Some(entry) = self.entries.borrow_mut().get_mut(key) {
                    entry.waits = waits;
                }
            }
        }
    }

    fn is_aborted(&self, key: Key) -> bool {
        self.entries.borrow().get(key).is_none_or(|entry| entry.aborted)
    }
}

impl Tasks for Scheduler {
    fn run_batch(&self) {
        let mut batch = self.batch.take();
        self.queue.take_batch(&mut batch);
        #[cfg(feature = "sim")]
        sys::sim::shuffle(&mut batch);
        for runnable in batch.drain(..) {
            self.running.set(Some(*runnable.metadata()));
            self.note(Waits::ForWake);
            self.reactor.refill_budget();
            runnable.run();
        }
        self.running.set(None);
        self.batch.replace(batch);
    }

    fn is_runnable(&self) -> bool {
        !self.queue.is_empty()
    }

    fn shut_down(&self) {
        // Wake every task, so that each has a runnable, and drop the runnables: that drops the futures. Their
        // destructors may wake or spawn others; so until none is left.
        loop {
            let mut wakers = Vec::new();
            wakers.extend(self.entries.borrow_mut().iter_mut().filter_map(|entry| entry.waker.take()));
            wakers.into_iter().for_each(Waker::wake);
            let mut batch = Vec::new();
            self.queue.take_batch(&mut batch);
            if batch.is_empty() {
                // A waker on another thread may be about to push one of them.
                if !sys::THREADS || self.entries.borrow().iter().next().is_none() {
                    break;
                }
                std::thread::yield_now();
            }
            drop(batch);
        }
        CURRENT.with(|current| current.take());
    }

    fn describe(&self, report: &mut String) {
        for entry in self.entries.borrow().iter() {
            report.push_str(&format!("\n  the task spawned at {} waits for {}", entry.spawned, entry.waits));
        }
    }

    fn main_runs(&self) {
        self.main_waits.set(Waits::ForWake);
    }

    fn main_waits(&self) -> Waits {
        self.main_waits.get()
    }

    #[cfg(feature = "sim")]
    fn suspend(&self) {
        CURRENT.with(|current| current.take());
    }

    #[cfg(feature = "sim")]
    fn resume(self: Rc<Self>) {
        CURRENT.with(|current| current.replace(Some(self)));
    }
}

/// Takes a task off the list when its future goes.
struct Listed {
    key: Key,
    scheduler: Rc<Scheduler>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let entry = self.scheduler.entries.borrow_mut().remove(self.key);
        drop(entry);
    }
}

pin_project! {
    /// The future that a task runs: the user's, until it ends, is aborted or panics.
    struct Guarded<F> {
        #[pin]
        future: Option<F>,
        listed: Listed,
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.listed.scheduler.is_aborted(this.listed.key) {
            let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
            return Poll::Ready(Err(dropped.map_or_else(JoinError::panicked, |()| JoinError::cancelled())));
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(JoinError::cancelled()));
        };
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => Poll::Ready(Err(JoinError::panicked(payload))),
        }
    }
}
