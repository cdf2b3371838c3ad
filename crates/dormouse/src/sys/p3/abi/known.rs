//! What is known of each waitable: whether it is in the program's one set, whether its event has come, and what hears of it. That the
//! event has come is what gives lent memory back, so this is one of the files that lend it.
//!
//! A waitable joins when something is first under way that has to be waited for, and stays. The host numbers them from 1,
//! and uses a number again when it is free; so what is known is a vector. `set.rs` waits, and says which side is armed for a waitable.

use std::cell::{Cell, RefCell};

use super::{Event, Listener, Waitable, WaitableSet};
use crate::base::Key;
use crate::sys::{Ready, Side};

thread_local! {
    static ALL: All = const {
        All {
            set: Cell::new(None),
            known: RefCell::new(Vec::new()),
            orphans: RefCell::new(Vec::new()),
            listeners: Cell::new(0),
        }
    };
}

struct All {
    /// Made when it is first needed, and kept.
    set: Cell<Option<WaitableSet>>,
    /// By number of the waitable.
    known: RefCell<Vec<Known>>,
    /// Sides that were armed for a waitable that has gone.
    orphans: RefCell<Vec<Ready>>,
    /// How many futures of others wait.
    listeners: Cell<usize>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    is_in_set: bool,
    event: State,
    /// The side that is armed.
    owner: Option<(Key, Side)>,
    /// The future of wit-bindgen's that is told.
    listener: Option<Listener>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    None,
    /// Its code, which nothing has asked for yet.
    Come(u32),
    /// A future of wit-bindgen's has it.
    Told,
}

impl All {
    fn set(&self) -> WaitableSet {
        self.set.get().unwrap_or_else(|| {
            let set = WaitableSet::new();
            self.set.set(Some(set));
            set
        })
    }

    fn count(&self, more: isize) {
        self.listeners.set(self.listeners.get().wrapping_add_signed(more));
    }
}

fn with<T>(waitable: Waitable, look: impl FnOnce(&All, &mut Known) -> T) -> T {
    ALL.with(|all| {
        let mut known = all.known.borrow_mut();
        let index = waitable as usize;
        if index >= known.len() {
            known.resize(index + 1, Known::default());
        }
        look(all, &mut known[index])
    })
}

/// The one waitable set of the program.
pub(in crate::sys::p3) fn waitable_set() -> WaitableSet {
    ALL.with(All::set)
}

/// Something is under way on this waitable: its end will be an event.
pub(super) fn join(waitable: Waitable) {
    with(waitable, |all, known| {
        known.event = State::None;
        if !std::mem::replace(&mut known.is_in_set, true) {
            all.set().add(waitable);
        }
    });
}

/// Takes it out of the set, so that what is under way on it can be stopped.
pub(super) fn leave(waitable: Waitable) {
    with(waitable, |_, known| {
        if std::mem::replace(&mut known.is_in_set, false) {
            super::leave(waitable);
        }
    });
}

/// The waitable is about to go. A side that is armed for it becomes an orphan.
pub(super) fn forget(waitable: Waitable) {
    with(waitable, |all, known| {
        if let Some((key, side)) = std::mem::take(known).owner {
            all.orphans.borrow_mut().push(Ready { key, side });
        }
    });
}

/// The code of its event, if that has come.
pub(super) fn take_event(waitable: Waitable) -> Option<u32> {
    with(waitable, |_, known| match known.event {
        State::Come(code) => {
            known.event = State::None;
            Some(code)
        }
        State::None | State::Told => None,
    })
}

/// Whether something has happened that nothing has asked for yet.
pub(in crate::sys::p3) fn has_event(waitable: Waitable) -> bool {
    with(waitable, |_, known| !matches!(known.event, State::None))
}

/// Notes which side hears of the next event. False if that has come already.
pub(in crate::sys::p3) fn arm(waitable: Waitable, key: Key, side: Side) -> bool {
    with(waitable, |_, known| {
        let is_to_come = matches!(known.event, State::None);
        if is_to_come {
            known.owner = Some((key, side));
        }
        is_to_come
    })
}

/// The side hears of it no more. False if it was not this one that is armed.
pub(in crate::sys::p3) fn disarm(waitable: Waitable, key: Key, side: Side) -> bool {
    with(waitable, |_, known| known.owner.take_if(|owner| *owner == (key, side)).is_some())
}

/// The sides whose waitable has gone while they were armed.
pub(in crate::sys::p3) fn with_orphans<T>(look: impl FnOnce(&mut Vec<Ready>) -> T) -> T {
    ALL.with(|all| look(&mut all.orphans.borrow_mut()))
}

/// Has a future of wit-bindgen's told of the next event, or no more. Gives what was to be told.
pub(super) fn listen(waitable: Waitable, listener: Option<Listener>) -> Option<Listener> {
    match listener {
        Some(_) => join(waitable),
        None => leave(waitable),
    }
    with(waitable, |all, known| {
        let old = std::mem::replace(&mut known.listener, listener);
        all.count(listener.map_or(0, Listener::count) - old.map_or(0, Listener::count));
        old
    })
}

/// How many futures of others wait.
pub(in crate::sys::p3) fn listeners() -> usize {
    ALL.with(|all| all.listeners.get())
}

/// Notes an event: the side that is armed for it, and the future of others that is to hear of it.
pub(in crate::sys::p3) fn note(event: Event) -> (Option<(Key, Side)>, Option<Listener>) {
    let (owner, listener) = with(event.waitable, |all, known| {
        let listener = known.listener.take();
        all.count(-listener.map_or(0, Listener::count));
        known.event = if listener.is_some() { State::Told } else { State::Come(event.code) };
        (known.owner.take(), listener)
    });
    if listener.is_some() {
        // Its number may be another's when the future has heard.
        leave(event.waitable);
    }
    match listener {
        Some(listener) if listener.is_ours() => {
            listener.hear(event.code);
            (owner, None)
        }
        listener => (owner, listener),
    }
}
