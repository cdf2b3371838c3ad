//! The tasks of one `block_on`: the list of all of them, for aborting, for the diagnosis and for the end.
//!
//! ```text
//!   spawn ──▶ queued ──run_batch──▶ running ──Ready, aborted or panicked──▶ gone
//!                ▲                     │ Pending
//!                └──── its waker ── parked
//! ```

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_task::{Builder, Runnable, Task};
use pin_project_lite::pin_project;

use super::JoinError;
use super::queue::Queue;
use crate::base::{Arena, Key};
use crate::contain::{Held, SafeWaker, contain};
use crate::reactor::Reactor;
use crate::runtime::{self, Tasks, Waits};
use crate::sys;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

pub(super) struct Scheduler {
    queue: Arc<Queue>,
    reactor: Rc<Reactor>,
    entries: RefCell<Arena<Entry>>,
    /// What is left of the batch, the next one at the end. Kept between batches, so that a batch allocates nothing.
    batch: RefCell<Vec<Runnable<Key>>>,
    /// What awaits the task that has ended, to be woken when async-task is through with it.
    joiner: Cell<Option<SafeWaker>>,
    /// The `block_on` ends: no task is polled any more.
    ending: Cell<bool>,
    /// The task that runs; `None` is the main future.
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
    /// What awaits its end.
    joiner: Option<SafeWaker>,
    /// What [`Reactor::end_poll`] gave.
    skip: u32,
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
            joiner: Cell::new(None),
            ending: Cell::new(false),
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
    ) -> (Key, Task<Output<F::Output>, Key>)
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let aborted = self.ending.get();
        let entry = Entry { spawned, waits: Waits::ForWake, aborted, waker: None, joiner: None, skip: 0 };
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

    /// Wakes this when the task has ended. (Not by async-task, which ends the process if a waker panics.)
    pub(super) fn join(&self, key: Key, waker: &Waker) {
        let joiner = SafeWaker::new(waker);
        let replaced = match self.entries.borrow_mut().get_mut(key) {
            Some(entry) => entry.joiner.replace(joiner),
            None => {
                self.ended(joiner);
                None
            }
        };
        drop(replaced);
    }

    /// Runs a task, and wakes what awaits it if it has ended.
    fn run(&self, runnable: Runnable<Key>) {
        let key = *runnable.metadata();
        self.running.set(Some(key));
        let skip = self.begin(key);
        self.reactor.begin_poll(skip);
        runnable.run();
        let skip = self.reactor.end_poll();
        if skip != 0
            && let Some(entry) = self.entries.borrow_mut().get_mut(key)
        {
            entry.skip = skip;
        }
        while let Some(joiner) = self.joiner.take() {
            joiner.wake();
        }
    }

    /// Has it woken when the task that runs is through.
    fn ended(&self, joiner: SafeWaker) {
        if let Some(other) = self.joiner.replace(Some(joiner)) {
            other.wake();
        }
    }

    /// It is about to run, and waits for nothing known.
    fn begin(&self, key: Key) -> u32 {
        match self.entries.borrow_mut().get_mut(key) {
            Some(entry) => {
                entry.waits = Waits::ForWake;
                std::mem::take(&mut entry.skip)
            }
            None => 0,
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
        if batch.is_empty() {
            self.queue.take_batch(&mut batch);
            #[cfg(feature = "sim")]
            if !self.ending.get() {
                sys::sim::shuffle(&mut batch);
            }
            batch.reverse();
        }
        while let Some(runnable) = batch.pop() {
            self.run(runnable);
            if self.reactor.is_turn_due_in_batch() && !self.ending.get() {
                break;
            }
        }
        self.running.set(None);
        // What is left here belongs to a loop that ran inside of one of the tasks.
        let mut inner = self.batch.replace(batch);
        while let Some(runnable) = inner.pop() {
            self.queue.push(runnable);
        }
    }

    fn is_runnable(&self) -> bool {
        !self.batch.borrow().is_empty() || !self.queue.is_empty()
    }

    fn shut_down(&self) {
        // Abort every task and wake it, so that each has a runnable, and run those: that drops the futures, and tells what awaits
        // them. Their destructors may wake or spawn others; so until none is left.
        self.ending.set(true);
        loop {
            let mut wakers = Vec::new();
            wakers.extend(self.entries.borrow_mut().iter_mut().filter_map(|entry| {
                entry.aborted = true;
                entry.waker.take()
            }));
            wakers.into_iter().for_each(Waker::wake);
            if !self.is_runnable() {
                // A waker on another thread may be about to push one of them.
                if !sys::THREADS || self.entries.borrow().iter().next().is_none() {
                    break;
                }
                std::thread::yield_now();
            }
            self.run_batch();
        }
        // The thread may be ending, and its thread-locals with it.
        let _ = CURRENT.try_with(|current| current.take());
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
        if let Some(joiner) = entry.and_then(|entry| entry.joiner) {
            self.scheduler.ended(joiner);
        }
    }
}

/// What a task gives.
pub(super) type Output<T> = Result<Held<T>, JoinError>;

pin_project! {
    /// The future that a task runs: the user's, until it ends, is aborted or panics. Neither it nor what it gives panics into
    /// async-task, which ends the process then.
    struct Guarded<F> {
        #[pin]
        future: Option<F>,
        listed: Listed,
    }

    impl<F> PinnedDrop for Guarded<F> {
        fn drop(this: Pin<&mut Self>) {
            if cfg!(panic = "unwind") {
                let mut future = this.project().future;
                let _ = contain(|| future.set(None));
            }
        }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Output<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.listed.scheduler.is_aborted(this.listed.key) {
            let dropped = contain(|| this.future.set(None));
            return Poll::Ready(Err(dropped.map_or_else(JoinError::panicked, |()| JoinError::cancelled())));
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(JoinError::cancelled()));
        };
        match contain(|| future.poll(cx)) {
            Ok(poll) => poll.map(|output| Ok(Held::new(output))),
            Err(panic) => Poll::Ready(Err(JoinError::panicked(panic))),
        }
    }
}
