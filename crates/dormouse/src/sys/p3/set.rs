//! The one waitable set of the program, and what is known of what is in it.
//!
//! A waitable joins when something is first under way that has to be waited for, and stays. The host numbers them from 1,
//! and uses a number again when it is free; so what is known is a vector.

use std::cell::{Cell, RefCell};

use super::abi::{self, Listener, Waitable, WaitableSet};
use crate::base::Key;
use crate::sys::{Ready, Side};

/// So many that a wait has told of are a crowd.
const CROWD: usize = 3;

/// Without a crowd one event is taken at a time, and at every so many waits it is looked whether there are more. wasmtime tells of the
/// waitable with the lowest number first (wasmtime 48.0.8, concurrent.rs: `ready` is ordered, and the first is taken), whoever has been
/// ready for longer: with one event a turn, those with low numbers would have all turns while they are busy.
const UNTIL_LOOK: u32 = 64;

thread_local! {
    static SET: Set = const {
        Set {
            set: Cell::new(None),
            known: RefCell::new(Vec::new()),
            due: RefCell::new(Vec::new()),
            reports: Cell::new(1),
            forgot_at: Cell::new(0),
            awaited: Cell::new(0),
            untold: Cell::new(None),
            waits: Cell::new(0),
            is_crowded: Cell::new(false),
        }
    };
}

struct Set {
    /// Made when it is first needed, and kept.
    set: Cell<Option<WaitableSet>>,
    /// By number of the waitable.
    known: RefCell<Vec<Known>>,
    /// Armed when their event had come already, or when nothing was under way: the next wait reports them.
    due: RefCell<Vec<Ready>>,
    /// How often that has been reported: see [`disarm`].
    reports: Cell<u32>,
    /// At which of them a side was last due because its waitable has gone.
    forgot_at: Cell<u32>,
    /// How many sides are armed, and how many futures of others wait.
    awaited: Cell<usize>,
    /// A future of others that is to be told, and what.
    untold: Cell<Option<(Listener, u32)>>,
    waits: Cell<u32>,
    /// The last wait has told of many.
    is_crowded: Cell<bool>,
}

/// What is known of a waitable.
#[derive(Clone, Copy, Default)]
struct Known {
    is_in_set: bool,
    event: Event,
    /// The side that is armed.
    owner: Option<(Key, Side)>,
    /// The future of wit-bindgen's that is told.
    listener: Option<Listener>,
}

#[derive(Clone, Copy, Default)]
enum Event {
    #[default]
    None,
    /// Its code, which nobody has asked for yet.
    Come(u32),
    /// A future of wit-bindgen's has it.
    Told,
}

impl Set {
    fn waitable_set(&self) -> WaitableSet {
        self.set.get().unwrap_or_else(|| {
            let set = WaitableSet::new();
            self.set.set(Some(set));
            set
        })
    }

    fn count(&self, more: isize) {
        self.awaited.set(self.awaited.get().wrapping_add_signed(more));
    }

    /// Whether it is looked for more than one event.
    fn is_looked_at(&self) -> bool {
        self.waits.set(self.waits.get().wrapping_add(1));
        self.is_crowded.get() || self.waits.get().is_multiple_of(UNTIL_LOOK)
    }

    /// Says that a side is ready.
    fn report(&self, (key, side): (Key, Side), ready: &mut Vec<Ready>) {
        self.count(-1);
        ready.push(Ready { key, side });
    }
}

fn with<T>(waitable: Waitable, look: impl FnOnce(&Set, &mut Known) -> T) -> T {
    SET.with(|set| {
        let mut known = set.known.borrow_mut();
        let index = waitable as usize;
        if index >= known.len() {
            known.resize(index + 1, Known::default());
        }
        look(set, &mut known[index])
    })
}

/// Something is under way on this waitable: its end will be an event.
pub(super) fn join(waitable: Waitable) {
    with(waitable, |set, known| {
        known.event = Event::None;
        if !std::mem::replace(&mut known.is_in_set, true) {
            set.waitable_set().add(waitable);
        }
    });
}

/// Takes it out of the set, so that what is under way on it can be stopped.
pub(super) fn leave(waitable: Waitable) {
    with(waitable, |_, known| {
        if std::mem::replace(&mut known.is_in_set, false) {
            abi::leave(waitable);
        }
    });
}

/// The waitable is about to go. Who waits for it is told that something has happened.
pub(super) fn forget(waitable: Waitable) {
    with(waitable, |set, known| {
        if let Some((key, side)) = std::mem::take(known).owner {
            set.forgot_at.set(set.reports.get());
            set.due.borrow_mut().push(Ready { key, side });
        }
    });
}

/// The code of its event, if that has come.
pub(super) fn take_event(waitable: Waitable) -> Option<u32> {
    with(waitable, |_, known| match known.event {
        Event::Come(code) => {
            known.event = Event::None;
            Some(code)
        }
        Event::None | Event::Told => None,
    })
}

/// Whether something has happened that nobody has asked for yet.
pub(super) fn has_event(waitable: Waitable) -> bool {
    with(waitable, |_, known| !matches!(known.event, Event::None))
}

/// To be remembered with a side that is armed now, for [`disarm`].
pub(super) fn reports() -> u32 {
    SET.with(|set| set.reports.get())
}

/// Reports the side when its waitable has an event.
pub(super) fn arm(waitable: Waitable, key: Key, side: Side) {
    with(waitable, |set, known| {
        set.count(1);
        match known.event {
            Event::None => known.owner = Some((key, side)),
            Event::Come(_) | Event::Told => set.due.borrow_mut().push(Ready { key, side }),
        }
    });
}

/// Reports the side at the next wait.
pub(super) fn arm_ready(key: Key, side: Side) {
    SET.with(|set| {
        set.count(1);
        set.due.borrow_mut().push(Ready { key, side });
    });
}

/// Reports it no more. What was armed before the last report is not due any more: with thousands of connections that are due in each
/// turn, looking for each of them would cost more than serving them.
pub(super) fn disarm(waitable: Waitable, armed_at: u32, key: Key, side: Side) {
    with(waitable, |set, known| {
        if known.owner.take_if(|owner| *owner == (key, side)).is_some() {
            set.count(-1);
        } else if [armed_at, set.forgot_at.get()].contains(&set.reports.get()) {
            let before = set.due.borrow().len();
            set.due.borrow_mut().retain(|due| due.key != key || due.side != side);
            set.count(set.due.borrow().len() as isize - before as isize);
        }
    });
}

/// Has a future of wit-bindgen's told of the next event, or no more. Gives who was to be told.
pub(super) fn listen(waitable: Waitable, listener: Option<Listener>) -> Option<Listener> {
    match listener {
        Some(_) => join(waitable),
        None => leave(waitable),
    }
    with(waitable, |set, known| {
        let old = std::mem::replace(&mut known.listener, listener);
        set.count(listener.map_or(0, Listener::count) - old.map_or(0, Listener::count));
        old
    })
}

pub(super) fn awaited() -> usize {
    SET.with(|set| set.awaited.get())
}

/// Waits for an event, if nothing is due; and takes those that have come with it, if there is a crowd.
pub(super) fn wait(ready: &mut Vec<Ready>) {
    if report_due(ready) {
        if SET.with(Set::is_looked_at) {
            look_further(ready);
        }
        return;
    }
    let Some(event) = SET.with(Set::waitable_set).wait() else { return };
    deliver(event, ready);
    if SET.with(Set::is_looked_at) {
        take_events(ready);
        note_crowd(ready);
    }
}

/// Whether the last wait has told of many. Then a read is not begun after one that was short, but at the next turn: while the crowd is
/// served, the peers of the first of it answer, and the read is done at once: an echo is a read and a write, and no event.
pub(super) fn is_crowded() -> bool {
    SET.with(|set| set.is_crowded.get())
}

/// Takes what is due, and what events there are, without waiting.
pub(super) fn look(ready: &mut Vec<Ready>) {
    report_due(ready);
    look_further(ready);
}

/// The host has its turn. In one wasmtime sees one thing to its end (wasmtime 48.0.8, concurrent.rs, `poll_until`), so it has as many as
/// end something; with one, those who wait for an event would starve beside those who are due, or always runnable.
fn look_further(ready: &mut Vec<Ready>) {
    loop {
        let before = ready.len();
        abi::thread_yield();
        take_events(ready);
        if ready.len() == before {
            break;
        }
    }
    note_crowd(ready);
}

fn note_crowd(ready: &[Ready]) {
    SET.with(|set| set.is_crowded.set(ready.len() >= CROWD));
}

/// Takes all events that have come, up to the first that a future of others is to be told.
fn take_events(ready: &mut Vec<Ready>) {
    let set = SET.with(Set::waitable_set);
    while SET.with(|set| set.untold.get().is_none())
        && let Some(event) = set.poll()
    {
        deliver(event, ready);
    }
}

/// Tells the future that is to be told. Its waker is somebody else's code and may do anything, so nothing is borrowed; and
/// nobody has run since the event was taken, who could have dropped the future.
pub(super) fn tell() {
    if let Some((listener, code)) = SET.with(|set| set.untold.take()) {
        listener.hear(code);
    }
}

fn report_due(ready: &mut Vec<Ready>) -> bool {
    SET.with(|set| {
        let mut due = set.due.borrow_mut();
        set.reports.set(set.reports.get().wrapping_add(1));
        set.count(-(due.len() as isize));
        ready.append(&mut due);
    });
    !ready.is_empty()
}

fn deliver(event: abi::Event, ready: &mut Vec<Ready>) {
    let listener = with(event.waitable, |set, known| {
        let listener = known.listener.take();
        set.count(-listener.map_or(0, Listener::count));
        known.event = if listener.is_some() { Event::Told } else { Event::Come(event.code) };
        if let Some(owner) = known.owner.take() {
            set.report(owner, ready);
        }
        listener
    });
    if let Some(listener) = listener {
        // Its number may be another's when the future has heard.
        leave(event.waitable);
        if listener.is_ours() {
            listener.hear(event.code);
        } else {
            SET.with(|set| set.untold.set(Some((listener, event.code))));
        }
    }
}
