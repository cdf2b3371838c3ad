//! A slot: what the reactor knows of one handle. Who is parked on it, on which side, and whether the poller watches.
//!
//! ```text
//!            park (arms)                 ready (the poller disarms, all waiters are woken)
//!   quiet ───────────────▶ armed ─────────────────────────────────────────────────────▶ quiet
//!                            │  the last waiter goes away (disarms)                       ▲
//!                            └────────────────────────────────────────────────────────────┘
//! ```

use std::task::Waker;

use crate::sys::Side;

/// Both sides of one handle.
#[derive(Default)]
pub(crate) struct Slot {
    sides: [Waiters; 2],
    last_id: u32,
}

/// The id of a caller of a `poll_*` function, which leaves nothing behind that could be dropped. Every other id is that
/// of one operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// One of many, known by its waker only.
    Shared = 0,
    /// The only one on its side.
    Owner = 1,
}

/// The id of an operation that has not parked yet.
pub(crate) const UNPARKED: u32 = 2;

/// The tasks parked on one side. The vector stays for the life of the handle: parking allocates only the first time.
#[derive(Default)]
pub(crate) struct Waiters {
    list: Vec<Waiter>,
    pub(crate) armed: bool,
}

struct Waiter {
    id: u32,
    waker: Waker,
}

impl Slot {
    pub(crate) fn side(&mut self, side: Side) -> &mut Waiters {
        &mut self.sides[side as usize]
    }

    /// A number for a parked operation of its own.
    pub(crate) fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.max(UNPARKED).checked_add(1).unwrap_or(UNPARKED + 1);
        self.last_id
    }
}

impl Waiters {
    /// Adds a waiter, or brings its waker up to date. Gives back a waker to be dropped outside of any borrow.
    pub(crate) fn park(&mut self, id: u32, waker: Waker) -> Option<Waker> {
        let same =
            |waiter: &&mut Waiter| waiter.id == id && (id != Who::Shared as u32 || waiter.waker.will_wake(&waker));
        match self.list.iter_mut().find(same) {
            Some(waiter) => Some(std::mem::replace(&mut waiter.waker, waker)),
            None => {
                self.list.push(Waiter { id, waker });
                None
            }
        }
    }

    pub(crate) fn unpark(&mut self, id: u32) -> Option<Waker> {
        let at = self.list.iter().position(|waiter| waiter.id == id)?;
        Some(self.list.swap_remove(at).waker)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Moves all wakers out, in the order in which they parked.
    pub(crate) fn take(&mut self, into: &mut Vec<Waker>) {
        self.armed = false;
        into.extend(self.list.drain(..).map(|waiter| waiter.waker));
    }
}
