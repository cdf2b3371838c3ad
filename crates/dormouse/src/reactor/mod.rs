//! Who waits for what: parks wakers on handles and timers, and wakes them when the poller says so.
//!
//! There is one reactor a thread. Handles hold it, so they may be made before a runtime runs, outlive it, and be
//! dropped anywhere. No waker is called or dropped while the reactor is borrowed: both can run a task's destructor,
//! and that may close a handle.

mod handle;
mod key;
mod slot;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub(crate) use handle::Handle;
pub(crate) use key::{Arena, Key};
use slot::Slot;
pub(crate) use slot::Who;

use crate::sys::{self, Chore, Notifier, Poller, Ready, Side, Source, Until, Wait};
use crate::time::{Instant, Timers};

/// Operations that a task may do in one go before it has to let others run, even if all of them succeed.
const OPERATIONS_PER_POLL: u32 = 128;

/// Work after which sockets, timers and the host get a look, if somebody is always runnable. A look costs host calls, so
/// not after each batch: two tasks that talk through a channel make many small batches.
const WORK_PER_LOOK: u32 = 64;
/// A run is one piece of work, and one more for each so many operations: they take far longer than the run itself.
const OPERATIONS_PER_WORK: u32 = 8;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Reactor>>> = const { RefCell::new(None) };
}

/// The reactor of a thread.
pub(crate) struct Reactor {
    inner: RefCell<Inner>,
    notifier: Notifier,
    /// A `block_on` is running on this thread.
    running: Cell<bool>,
    /// What is left of the running task's operations.
    budget: Cell<u32>,
    /// What has been done since the last look.
    work: Cell<u32>,
    /// Wakes are promised from outside (see [`crate::task::foreign_wakes`]).
    foreign_wakes: Cell<usize>,
    /// Kept between turns, so that a turn allocates nothing.
    events: RefCell<Vec<Ready>>,
    wakers: RefCell<Vec<Waker>>,
}

struct Inner {
    poller: Poller,
    slots: Arena<Place>,
    timers: Timers,
    chores: usize,
}

enum Place {
    Handle(Slot),
    /// Worked on when its source is writable.
    Chore(Rc<dyn Chore>),
}

impl Reactor {
    /// This thread's reactor, made at the first call.
    pub(crate) fn current() -> io::Result<Rc<Reactor>> {
        CURRENT.with(|current| {
            let mut current = current.borrow_mut();
            if let Some(reactor) = &*current {
                return Ok(Rc::clone(reactor));
            }
            let poller = Poller::new()?;
            let reactor = Rc::new(Reactor {
                notifier: poller.notifier(),
                inner: RefCell::new(Inner { poller, slots: Arena::new(), timers: Timers::new(), chores: 0 }),
                running: Cell::new(false),
                budget: Cell::new(OPERATIONS_PER_POLL),
                work: Cell::new(0),
                foreign_wakes: Cell::new(0),
                events: RefCell::default(),
                wakers: RefCell::default(),
            });
            *current = Some(Rc::clone(&reactor));
            Ok(reactor)
        })
    }

    /// The reactor of the `block_on` that runs on this thread.
    pub(crate) fn running() -> Option<Rc<Reactor>> {
        CURRENT.with(|current| current.borrow().clone()).filter(|reactor| reactor.running.get())
    }

    /// Marks the thread as running or not. False if it was so already.
    pub(crate) fn set_running(&self, running: bool) -> bool {
        self.running.replace(running) != running
    }

    pub(crate) fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    pub(crate) fn change_foreign_wakes(&self, by: isize) {
        self.foreign_wakes.set(self.foreign_wakes.get().saturating_add_signed(by));
    }

    /// A task is about to run. What the one before it did is counted.
    pub(crate) fn refill_budget(&self) {
        let operations = OPERATIONS_PER_POLL - self.budget.replace(OPERATIONS_PER_POLL);
        self.work.set(self.work.get() + 1 + operations / OPERATIONS_PER_WORK);
    }

    /// Whether so much has been done that it is time for a turn, even if somebody is runnable.
    pub(crate) fn is_turn_due(&self) -> bool {
        self.work.get() >= WORK_PER_LOOK
    }

    /// Ready if the running task may do one more operation; otherwise it is woken again at once and waits its turn.
    pub(crate) fn poll_budget(&self, cx: &Context<'_>) -> Poll<()> {
        match self.budget.get() {
            0 => self.refuse(cx),
            left => {
                self.budget.set(left - 1);
                Poll::Ready(())
            }
        }
    }

    /// Once, and then there is more: a future that is polled by another executor, inside a task, would be refused for
    /// ever, since nobody tells us when that executor runs it.
    #[cold]
    fn refuse(&self, cx: &Context<'_>) -> Poll<()> {
        self.refill_budget();
        if !self.running.get() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.inner.borrow().timers.next()
    }

    /// Whether anything could end a wait without end.
    pub(crate) fn has_sources(&self) -> bool {
        self.inner.borrow().poller.armed() > 0 || (sys::THREADS && self.foreign_wakes.get() > 0)
    }

    /// One turn: sleep until something is ready, wake who waits for it. Called by `runtime.rs` alone.
    pub(crate) fn turn(&self, until: Until) -> io::Result<()> {
        self.work.set(0);
        let mut events = self.events.take();
        let mut wakers = self.wakers.take();
        let mut chores = false;
        let waited = {
            let inner = &mut *self.inner.borrow_mut();
            let waited = inner.poller.wait(until, &mut events);
            for &Ready { key, side } in &events {
                match inner.slots.get_mut(key) {
                    Some(Place::Handle(slot)) => slot.side(side).take(&mut wakers),
                    Some(Place::Chore(_)) => chores = true,
                    None => {}
                }
            }
            let clock_passed = *waited.as_ref().unwrap_or(&false) || until == Until::Now;
            if clock_passed && inner.timers.next().is_some() {
                inner.timers.fire(Instant::now(), &mut wakers);
            }
            waited
        };
        for waker in wakers.drain(..) {
            waker.wake();
        }
        if chores {
            events.iter().for_each(|event| self.run_chore(event.key));
        }
        events.clear();
        self.events.replace(events);
        self.wakers.replace(wakers);
        waited.map(|_| ())
    }

    // ---- handles ----

    fn add_slot(&self) -> Key {
        self.inner.borrow_mut().slots.insert(Place::Handle(Slot::default()))
    }

    fn remove_slot(&self, source: &Source, key: Key) {
        let place = {
            let inner = &mut *self.inner.borrow_mut();
            inner.poller.remove(source, key);
            inner.slots.remove(key)
        };
        // Wakers that are still parked go here, outside of the borrow.
        drop(place);
    }

    fn next_id(&self, key: Key) -> u32 {
        match self.inner.borrow_mut().slots.get_mut(key) {
            Some(Place::Handle(slot)) => slot.next_id(),
            _ => 0,
        }
    }

    /// Parks `waker` until `source` is ready on `side`.
    fn park(&self, source: &Source, key: Key, side: Side, id: u32, waker: &Waker) -> io::Result<()> {
        if !self.running.get() {
            return Err(no_runtime());
        }
        let waker = waker.clone();
        let replaced = {
            let inner = &mut *self.inner.borrow_mut();
            let Some(Place::Handle(slot)) = inner.slots.get_mut(key) else {
                return Err(crate::io::error(io::ErrorKind::Other, "no slot for the handle"));
            };
            let waiters = slot.side(side);
            if !waiters.armed {
                inner.poller.arm(source, side, key)?;
                waiters.armed = true;
            }
            waiters.park(id, waker)
        };
        drop(replaced);
        Ok(())
    }

    /// Takes a parked operation back. The poller stops watching when it was the last one.
    fn unpark(&self, source: &Source, key: Key, side: Side, id: u32) {
        let waker = {
            let inner = &mut *self.inner.borrow_mut();
            let Some(Place::Handle(slot)) = inner.slots.get_mut(key) else { return };
            let waiters = slot.side(side);
            let waker = waiters.unpark(id);
            if waiters.armed && waiters.is_empty() {
                waiters.armed = false;
                inner.poller.disarm(source, side, key);
            }
            waker
        };
        drop(waker);
    }

    // ---- timers ----

    /// Parks a waker until `when`; brings the waker up to date if `key` is given. `None`: that timer has fired.
    pub(crate) fn park_until(&self, when: Instant, key: Option<Key>, waker: &Waker) -> Option<Key> {
        let waker = waker.clone();
        let (key, replaced) = {
            let timers = &mut self.inner.borrow_mut().timers;
            match key {
                None => (Some(timers.insert(when, waker)), None),
                Some(key) => match timers.replace_waker(key, waker) {
                    Ok(old) => (Some(key), Some(old)),
                    Err(waker) => (None, Some(waker)),
                },
            }
        };
        drop(replaced);
        key
    }

    pub(crate) fn cancel_timer(&self, key: Key) {
        let waker = self.inner.borrow_mut().timers.remove(key);
        drop(waker);
    }

    // ---- chores ----

    /// Takes over a piece of work, to be gone on with whenever its source is writable.
    pub(crate) fn adopt(&self, chore: Rc<dyn Chore>) {
        let key = {
            let inner = &mut *self.inner.borrow_mut();
            inner.chores += 1;
            inner.slots.insert(Place::Chore(Rc::clone(&chore)))
        };
        self.watch(key, &*chore);
    }

    /// Goes on with a piece of work, if it is one.
    fn run_chore(&self, key: Key) {
        let chore = match self.inner.borrow().slots.get(key) {
            Some(Place::Chore(chore)) => Rc::clone(chore),
            _ => return,
        };
        if chore.run() {
            self.forget(key, &*chore);
        } else {
            self.watch(key, &*chore);
        }
    }

    fn watch(&self, key: Key, chore: &dyn Chore) {
        let armed = self.inner.borrow_mut().poller.arm(chore.source(), Side::Write, key);
        if let Err(error) = armed {
            self.forget(key, chore);
            chore.failed(error);
        }
    }

    /// The caller holds the chore: nothing is dropped under the borrow.
    fn forget(&self, key: Key, chore: &dyn Chore) {
        let inner = &mut *self.inner.borrow_mut();
        inner.chores -= 1;
        inner.poller.remove(chore.source(), key);
        inner.slots.remove(key);
    }

    /// Whether bytes that were written are still on their way.
    pub(crate) fn has_chores(&self) -> bool {
        self.inner.borrow().chores > 0
    }
}

/// Nobody would wake who waits now.
#[cold]
pub(crate) fn no_runtime() -> io::Error {
    crate::io::error(io::ErrorKind::Other, "no Dormouse runtime is running: call it inside dormouse::block_on")
}
