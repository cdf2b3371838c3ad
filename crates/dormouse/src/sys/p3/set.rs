//! Waiting in the one waitable set of the program: which sides are armed, and which of them are due without an event.
//! What is known of each waitable is in `abi/known.rs`.

use std::cell::{Cell, RefCell};

use super::abi::{self, Listener, Waitable};
use crate::base::Key;
use crate::sys::quirks::lowest_first;
use crate::sys::{Ready, Side};

/// A wait that reports so many events has found a crowd.
const CROWD: usize = 3;

thread_local! {
    static SET: Set = const {
        Set {
            due: RefCell::new(Vec::new()),
            reports: Cell::new(1),
            armed: Cell::new(0),
            untold: Cell::new(None),
            is_crowded: Cell::new(false),
        }
    };
}

struct Set {
    /// Armed when their event had come already, or when nothing was under way: the next wait reports them.
    due: RefCell<Vec<Ready>>,
    /// How often that has been reported: see [`disarm`].
    reports: Cell<u32>,
    /// How many sides are armed.
    armed: Cell<usize>,
    /// A future of others that is to be told, and what.
    untold: Cell<Option<(Listener, u32)>>,
    /// The last wait found a crowd.
    is_crowded: Cell<bool>,
}

impl Set {
    fn count(&self, more: isize) {
        self.armed.set(self.armed.get().wrapping_add_signed(more));
    }

    /// Whether a wait takes more than one event.
    fn is_looked_at(&self) -> bool {
        let is_due = lowest_first::is_look_due();
        self.is_crowded.get() || is_due
    }
}

/// To be remembered with a side that is armed now, for [`disarm`].
pub(super) fn reports() -> u32 {
    SET.with(|set| set.reports.get())
}

/// Reports the side when its waitable has an event.
pub(super) fn arm(waitable: Waitable, key: Key, side: Side) {
    if !abi::arm(waitable, key, side) {
        return arm_ready(key, side);
    }
    SET.with(|set| set.count(1));
}

/// Reports the side at the next wait.
pub(super) fn arm_ready(key: Key, side: Side) {
    SET.with(|set| {
        set.count(1);
        set.due.borrow_mut().push(Ready { key, side });
    });
}

/// Reports the side no more. What was armed before the last report is not due any more: with thousands of connections that are due in each
/// turn, looking for each of them would cost more than serving them.
pub(super) fn disarm(waitable: Waitable, armed_at: u32, key: Key, side: Side) {
    SET.with(|set| {
        if abi::disarm(waitable, key, side) {
            return set.count(-1);
        }
        let take_out = |list: &mut Vec<Ready>| {
            let before = list.len();
            list.retain(|due| due.key != key || due.side != side);
            set.count(list.len() as isize - before as isize);
        };
        abi::with_orphans(take_out);
        if armed_at == set.reports.get() {
            take_out(&mut set.due.borrow_mut());
        }
    });
}

/// How many sides are armed, and how many futures of others wait.
pub(super) fn awaited() -> usize {
    SET.with(|set| set.armed.get()) + abi::listeners()
}

/// Waits for an event, if nothing is due; and takes those that have come with it, if there is a crowd.
pub(super) fn wait(ready: &mut Vec<Ready>) {
    if report_due(ready) {
        if SET.with(Set::is_looked_at) {
            look_further(ready);
        }
        return;
    }
    let Some(event) = abi::waitable_set().wait() else { return };
    deliver(event, ready);
    if SET.with(Set::is_looked_at) {
        take_events(ready);
        note_crowd(ready);
    }
}

/// True if the last wait found a crowd. Then a read is not begun after one that was short, but at the next turn: while the crowd is
/// served, the peers of the first of it answer, and the read is done at once: an echo is a read and a write, and no event.
pub(super) fn is_crowded() -> bool {
    SET.with(|set| set.is_crowded.get())
}

/// The next wait takes all events that have come, as if there were a crowd.
pub(super) fn look_next_time() {
    SET.with(|set| set.is_crowded.set(true));
}

/// Takes what is due, and what events there are, without waiting.
pub(super) fn look(ready: &mut Vec<Ready>) {
    report_due(ready);
    look_further(ready);
}

/// The host has its turn, as often as that brings an event; otherwise what waits for one would starve beside what is due, or always
/// runnable.
fn look_further(ready: &mut Vec<Ready>) {
    lowest_first::drain(|| {
        let before = ready.len();
        abi::thread_yield();
        take_events(ready);
        ready.len() > before
    });
    note_crowd(ready);
}

fn note_crowd(ready: &[Ready]) {
    SET.with(|set| set.is_crowded.set(ready.len() >= CROWD));
}

/// Takes all events that have come, up to the first that a future of others is to be told.
fn take_events(ready: &mut Vec<Ready>) {
    let set = abi::waitable_set();
    while SET.with(|set| set.untold.get().is_none())
        && let Some(event) = set.poll()
    {
        deliver(event, ready);
    }
}

/// Tells the foreign future whose event was taken. Its waker is foreign code and may do anything, so nothing is borrowed. No task has
/// run since the event was taken, so the future has not been dropped.
pub(super) fn tell() {
    if let Some((listener, code)) = SET.with(|set| set.untold.take()) {
        listener.hear(code);
    }
}

fn report_due(ready: &mut Vec<Ready>) -> bool {
    SET.with(|set| {
        set.reports.set(set.reports.get().wrapping_add(1));
        let before = ready.len();
        ready.append(&mut set.due.borrow_mut());
        abi::with_orphans(|orphans| ready.append(orphans));
        set.count(before as isize - ready.len() as isize);
    });
    !ready.is_empty()
}

fn deliver(event: abi::Event, ready: &mut Vec<Ready>) {
    let (owner, listener) = abi::note(event);
    SET.with(|set| {
        if let Some((key, side)) = owner {
            set.count(-1);
            ready.push(Ready { key, side });
        }
        if let Some(listener) = listener {
            set.untold.set(Some((listener, event.code)));
        }
    });
}
