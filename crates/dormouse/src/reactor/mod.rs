//! The reactor: parks wakers on handles and timers, and wakes them when the poller says so.
//!
//! There is one reactor a thread. Handles hold it, so they may be made before a runtime runs, outlive it, and be
//! dropped anywhere. No waker is called or dropped while the reactor is borrowed: both can run a task's destructor,
//! and that may close a handle.

mod budget;
#[cfg(feature = "sim")]
mod check;
mod chore;
mod handle;
mod share;
mod slot;
mod timers;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub(crate) use budget::BYTES_PER_UNIT;
use budget::Budget;
pub(crate) use chore::Chore;
use chore::Closing;
pub(crate) use handle::{Handle, Moved};
pub(crate) use share::Share;
use slot::{Id, Slot, UNPARKED, is_operation};
use timers::{Due, Timers};

use crate::base::{Arena, Key};
use crate::contain::{SafeWaker, contain};
use crate::io::closed;
use crate::sys::{self, Notifier, Poller, Ready, Side, Source, Until, Wait};
use crate::time::Instant;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Reactor>>> = const { RefCell::new(None) };
}

/// The reactor of a thread.
pub(crate) struct Reactor {
    inner: RefCell<Inner>,
    notifier: Notifier,
    /// A `block_on` is running on this thread.
    running: Cell<bool>,
    last_id: Cell<Id>,
    /// How many turns there have been.
    turns: Cell<u32>,
    budget: Budget,
    /// Wakes are promised from outside (see [`crate::task::foreign_wakes`]).
    foreign_wakes: Cell<usize>,
    /// Kept between turns, so that a turn allocates nothing.
    events: RefCell<Vec<Ready>>,
    wakers: RefCell<Vec<SafeWaker>>,
}

struct Inner {
    poller: Poller,
    slots: Arena<Place>,
    timers: Timers,
    /// [`fire`], once there was a timer: a program that sets none does not link it.
    on_due: Option<fn(&mut Inner, Instant, &mut Vec<SafeWaker>)>,
    chores: usize,
    /// Until when handles are paused, if any are, and [`resume`]: a program that pauses none does not link it.
    pause: Option<(Instant, Resume)>,
}

/// [`resume`].
type Resume = fn(&mut Inner, &mut Vec<SafeWaker>);

enum Place {
    Handle(Slot),
    /// Worked on when its source is writable.
    Chore(Rc<dyn Chore>),
}

/// What an operation does next.
enum Next {
    Try,
    /// It has tried before, and the poller watches since: what comes is reported, and there is nothing before that. So a task that
    /// is polled again for another reason, or is woken with many and comes too late, costs no host call. Or the side is paused.
    Park,
    Expired,
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
                inner: RefCell::new(Inner::new(poller)),
                running: Cell::new(false),
                last_id: Cell::new(UNPARKED),
                turns: Cell::new(2),
                budget: Budget::new(),
                foreign_wakes: Cell::new(0),
                events: RefCell::default(),
                wakers: RefCell::default(),
            });
            *current = Some(Rc::clone(&reactor));
            Ok(reactor)
        })
    }

    /// Puts another in the place of this thread's reactor.
    #[cfg(feature = "sim")]
    pub(crate) fn replace(reactor: Option<Rc<Reactor>>) -> Option<Rc<Reactor>> {
        CURRENT.with(|current| current.replace(reactor))
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

    /// A task, or the main future, is about to be polled; `skip` is what [`end_poll`](Self::end_poll) gave the last time.
    pub(crate) fn begin_poll(&self, skip: u32) {
        self.budget.begin(skip);
    }

    /// It has been polled, and what it did is counted.
    pub(crate) fn end_poll(&self) -> u32 {
        self.budget.end()
    }

    /// Whether so much has been done that it is time for a turn, even if a task is runnable.
    pub(crate) fn is_turn_due(&self) -> bool {
        self.budget.is_look_due()
    }

    /// The same within a batch of tasks.
    pub(crate) fn is_turn_due_in_batch(&self) -> bool {
        self.budget.is_look_due_in_batch()
    }

    /// Ready if the running task may do one more operation; otherwise it is woken again at once and waits its turn.
    pub(crate) fn poll_budget(&self, cx: &Context<'_>) -> Poll<()> {
        if self.budget.take() { Poll::Ready(()) } else { self.refuse(cx) }
    }

    #[cold]
    fn refuse(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.running.get() {
            self.budget.refill();
            return Poll::Ready(());
        }
        self.budget.refuse();
        let _ = contain(|| cx.waker().wake_by_ref());
        Poll::Pending
    }

    /// The operation for which [`poll_budget`](Self::poll_budget) was ready parks: it has done nothing.
    pub(crate) fn give_back(&self) {
        self.budget.give_back();
    }

    /// An operation of the running task has moved so many bytes.
    pub(crate) fn spend(&self, bytes: usize) {
        self.budget.spend(bytes);
    }

    /// When the next timer is due, or the pause is over.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let inner = self.inner.borrow();
        match (inner.timers.next(), inner.pause) {
            (timer, None) => timer,
            (timer, Some((until, _))) => Some(timer.map_or(until, |timer| timer.min(until))),
        }
    }

    /// Whether anything could wake a task: a timer of a sleeper, or a handle on which a task is parked. The deadline of a handle
    /// on which none is parked does not count.
    pub(crate) fn can_wake(&self) -> bool {
        let inner = self.inner.borrow();
        inner.timers.wake_somebody()
            || inner.pause.is_some()
            || inner.poller.armed() > 0
            || (sys::THREADS && self.foreign_wakes.get() > 0)
    }

    /// Whether the poller watches something.
    pub(crate) fn is_watching(&self) -> bool {
        self.inner.borrow().poller.armed() > 0
    }

    /// One turn: sleeps until something is ready, and wakes the tasks that wait for it. Only the runtime calls it.
    pub(crate) fn turn(&self, until: Until) -> io::Result<()> {
        self.budget.looked();
        self.turns.set(self.turns.get().wrapping_add(1));
        let mut events = self.events.take();
        let mut wakers = self.wakers.take();
        let mut chores = false;
        let waited = {
            let inner = &mut *self.inner.borrow_mut();
            #[cfg(feature = "sim")]
            if sys::sim::World::current().is_some() {
                inner.check();
            }
            let waited = inner.poller.wait(until, &mut events);
            for &Ready { key, side } in &events {
                match inner.slots.get_mut(key) {
                    Some(Place::Handle(slot)) => slot.side(side).ready(&mut wakers),
                    Some(Place::Chore(_)) => chores = true,
                    None => {}
                }
            }
            let clock_passed = *waited.as_ref().unwrap_or(&false) || until == Until::Now;
            if let (true, Some(fire), Some(_)) = (clock_passed, inner.on_due, inner.timers.next()) {
                fire(inner, Instant::now(), &mut wakers);
            }
            if let (true, Some((_, resume))) = (clock_passed, inner.pause) {
                resume(inner, &mut wakers);
            }
            waited
        };
        sys::tell();
        self.wake(wakers);
        if chores {
            events.iter().for_each(|event| self.run_chore(event.key));
        }
        events.clear();
        self.events.replace(events);
        waited.map(|_| ())
    }

    /// Wakes them, and keeps the vector for the next time.
    fn wake(&self, mut wakers: Vec<SafeWaker>) {
        wakers.drain(..).for_each(SafeWaker::wake);
        self.wakers.replace(wakers);
    }

    // ---- handles ----

    fn add_slot(&self) -> Key {
        self.inner.borrow_mut().slots.insert(Place::Handle(Slot::default()))
    }

    /// The poller forgets it, and its timer goes. The caller wakes or drops the wakers that are parked there, outside of the borrow.
    fn remove_slot(&self, key: Key) -> Option<Slot> {
        let inner = &mut *self.inner.borrow_mut();
        inner.poller.remove(key);
        inner.end_pause();
        match inner.slots.remove(key) {
            Some(Place::Handle(slot)) => {
                inner.timers.cancel(slot.timer());
                Some(slot)
            }
            _ => None,
        }
    }

    /// The poller forgets the source of a slot.
    fn disarm(&self, key: Key) {
        self.inner.borrow_mut().poller.remove(key);
    }

    /// Has the poller forget the source of a slot. Returns the wakers that are parked there: the caller wakes them.
    fn reset(&self, key: Key) -> Vec<SafeWaker> {
        let inner = &mut *self.inner.borrow_mut();
        let mut woken = Vec::new();
        inner.poller.remove(key);
        if let Some(slot) = slot(&mut inner.slots, key) {
            slot.side(Side::Read).ready(&mut woken);
            slot.side(Side::Write).ready(&mut woken);
        }
        woken
    }

    /// Takes the wakers that are parked on a side, which the poller does not watch any more: the caller wakes them.
    fn take_parked(&self, key: Key, side: Side) -> Vec<SafeWaker> {
        let inner = &mut *self.inner.borrow_mut();
        let mut parked = Vec::new();
        if let Some(slot) = slot(&mut inner.slots, key) {
            let waiters = slot.side(side);
            if waiters.armed {
                inner.poller.disarm(side, key);
            }
            waiters.ready(&mut parked);
        }
        parked
    }

    /// Wakes all that is parked on handles, to try again.
    pub(crate) fn wake_all(&self) {
        let keys: Vec<Key> = self.inner.borrow().slots.iter_keys().map(|(key, _)| key).collect();
        for key in keys {
            for side in [Side::Read, Side::Write] {
                self.take_parked(key, side).into_iter().for_each(SafeWaker::wake);
            }
        }
    }

    /// Sets or clears the deadline of these sides; `None` is for ever. Makes no host call.
    fn set_deadline(&self, key: Key, sides: &[Side], deadline: Option<Instant>) -> io::Result<()> {
        let mut wakers = self.wakers.take();
        {
            let inner = &mut *self.inner.borrow_mut();
            inner.on_due = Some(fire);
            let Some(slot) = slot(&mut inner.slots, key) else { return Err(closed()) };
            slot.set_deadline(sides, deadline);
            inner.expire(key, Instant::latest(), &mut wakers);
        }
        self.wake(wakers);
        Ok(())
    }

    /// Whether to try or to park. A first poll always tries. So does every `poll_*` function, since it may be a first poll: a waker
    /// that an earlier poll left behind must not decide that there is nothing.
    fn next(&self, key: Key, side: Side, id: Id) -> Next {
        let inner = &mut *self.inner.borrow_mut();
        // No slot: it is closed, and trying says so.
        let Some(slot) = slot(&mut inner.slots, key) else { return Next::Try };
        match slot.side(side) {
            side if side.is_past() => Next::Expired,
            side if side.paused || (side.armed && is_operation(id)) => Next::Park,
            _ => Next::Try,
        }
    }

    /// Whether the poller watches a side.
    fn is_armed(&self, key: Key, side: Side) -> bool {
        slot(&mut self.inner.borrow_mut().slots, key).is_some_and(|slot| slot.side(side).armed)
    }

    /// A number for an owner of a handle, or for a parked operation.
    fn next_id(&self) -> Id {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    /// Parks the waker until `source` is ready on `side`; `is_tried` if an operation there has just said `WouldBlock`. What is to be
    /// dropped afterwards, outside of any borrow, is left in `waker`, and what is to be woken in `crowd`.
    fn park(
        &self,
        source: &Source,
        (key, side, id): (Key, Side, Id),
        is_tried: bool,
        waker: &mut Option<SafeWaker>,
        crowd: &mut Vec<SafeWaker>,
    ) -> io::Result<()> {
        if !self.running.get() {
            return Err(no_runtime());
        }
        let inner = &mut *self.inner.borrow_mut();
        let Some(slot) = slot(&mut inner.slots, key) else { return Err(closed()) };
        let waiters = slot.side(side);
        if !waiters.armed && !waiters.paused {
            match is_tried || (Poller::EDGES && waiters.tried) {
                true => inner.poller.arm(source, side, key)?,
                false => inner.poller.arm_untried(source, side, key)?,
            }
            waiters.armed = true;
        }
        waiters.park(id, waker, self.turns.get(), crowd);
        Ok(())
    }

    /// An operation that does not park has said `WouldBlock`.
    fn tried(&self, key: Key, side: Side) {
        let inner = &mut *self.inner.borrow_mut();
        if let Some(slot) = slot(&mut inner.slots, key) {
            slot.side(side).tried = true;
        }
    }

    /// Takes a parked operation back. The poller stops watching when it was the last one.
    fn unpark(&self, key: Key, side: Side, id: Id) {
        let waker = {
            let inner = &mut *self.inner.borrow_mut();
            let Some(slot) = slot(&mut inner.slots, key) else { return };
            let waiters = slot.side(side);
            let waker = waiters.unpark(id);
            if waiters.armed && waiters.is_empty() {
                waiters.armed = false;
                inner.poller.disarm(side, key);
            }
            waker
        };
        drop(waker);
    }

    /// Leaves the reading side of a handle unwatched for so long at the most, whatever is parked there, and then wakes all. What would be
    /// reported leads to nothing meanwhile: a listener has connections, and there are no descriptors for them. All pauses are over with the
    /// first of them, and as soon as any handle goes.
    fn pause(&self, key: Key, duration: Duration) {
        let until = Instant::after(duration);
        let inner = &mut *self.inner.borrow_mut();
        let Some(slot) = slot(&mut inner.slots, key) else { return };
        let waiters = slot.side(Side::Read);
        if std::mem::take(&mut waiters.armed) {
            inner.poller.disarm(Side::Read, key);
        }
        waiters.paused = true;
        let until = inner.pause.map_or(until, |(earlier, _)| earlier.min(until));
        inner.pause = Some((until, resume));
    }

    // ---- timers ----

    /// Parks a waker until `when`; brings the waker up to date if `key` is given. `None`: that timer has fired.
    pub(crate) fn park_until(&self, when: Instant, key: Option<Key>, waker: &Waker) -> Option<Key> {
        let waker = SafeWaker::new(waker);
        let (key, replaced) = {
            let inner = &mut *self.inner.borrow_mut();
            inner.on_due = Some(fire);
            match key {
                None => (Some(inner.timers.insert(when, Due::Wake(waker))), None),
                Some(key) => match inner.timers.replace(key, Due::Wake(waker)) {
                    Ok(old) => (Some(key), Some(old)),
                    Err(new) => (None, Some(new)),
                },
            }
        };
        drop(replaced);
        key
    }

    pub(crate) fn cancel_timer(&self, key: Key) {
        let due = self.inner.borrow_mut().timers.remove(key);
        drop(due);
    }

    // ---- chores ----

    /// Drops a source that the poller has forgotten, now or when that no longer waits for anything.
    fn let_go(&self, source: Source) {
        if source.is_pending() {
            self.adopt(Rc::new(Closing(source)));
        }
    }

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
            self.forget(key);
        } else {
            self.watch(key, &*chore);
        }
    }

    fn watch(&self, key: Key, chore: &dyn Chore) {
        let armed = self.inner.borrow_mut().poller.arm_untried(chore.source(), Side::Write, key);
        if let Err(error) = armed {
            self.forget(key);
            chore.failed(error);
        }
    }

    /// The caller holds the chore: nothing is dropped under the borrow.
    fn forget(&self, key: Key) {
        let inner = &mut *self.inner.borrow_mut();
        inner.chores -= 1;
        inner.poller.remove(key);
        inner.slots.remove(key);
        // It may have been a socket that could not be closed at once.
        inner.end_pause();
    }

    /// Whether bytes that were written are still on their way.
    pub(crate) fn has_chores(&self) -> bool {
        self.inner.borrow().chores > 0
    }
}

impl Inner {
    fn new(poller: Poller) -> Self {
        Inner { poller, slots: Arena::new(), timers: Timers::new(), on_due: None, chores: 0, pause: None }
    }

    /// What was missing may be there again.
    fn end_pause(&mut self) {
        if let Some((until, _)) = &mut self.pause {
            *until = Instant::from_nanos(0);
        }
    }

    /// Looks at the deadlines of a slot, and keeps its one timer at the next of them.
    fn expire(&mut self, key: Key, now: Instant, wakers: &mut Vec<SafeWaker>) {
        let Some(slot) = slot(&mut self.slots, key) else { return };
        for side in [Side::Read, Side::Write] {
            let waiters = slot.side(side);
            if waiters.expire(now, wakers) && std::mem::take(&mut waiters.armed) {
                self.poller.disarm(side, key);
            }
        }
        slot.set_timer(key, &mut self.timers);
    }
}

/// The slot of a handle. Not inlined: it is looked up in many places.
#[inline(never)]
fn slot(slots: &mut Arena<Place>, key: Key) -> Option<&mut Slot> {
    match slots.get_mut(key) {
        Some(Place::Handle(slot)) => Some(slot),
        _ => None,
    }
}

/// Takes out all timers that are due.
fn fire(inner: &mut Inner, now: Instant, wakers: &mut Vec<SafeWaker>) {
    while let Some(due) = inner.timers.pop(now) {
        match due {
            Due::Wake(waker) => wakers.push(waker),
            Due::Deadline(key) => inner.expire(key, now, wakers),
        }
    }
}

/// Ends the pause, if it is over.
fn resume(inner: &mut Inner, wakers: &mut Vec<SafeWaker>) {
    if inner.pause.is_some_and(|(until, _)| until > Instant::now()) {
        return;
    }
    inner.pause = None;
    for place in inner.slots.values_mut() {
        if let Place::Handle(slot) = place {
            let waiters = slot.side(Side::Read);
            if std::mem::take(&mut waiters.paused) {
                waiters.ready(wakers);
            }
        }
    }
}

/// The error of an operation that would wait while nothing can wake it.
#[cold]
pub(crate) fn no_runtime() -> io::Error {
    crate::io::error(io::ErrorKind::Other, "no Dormouse runtime is running: call it inside dormouse::block_on")
}
