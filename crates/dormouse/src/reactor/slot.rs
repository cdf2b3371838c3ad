//! A slot: what the reactor knows of one handle. Which tasks are parked on it, on which side, until when, and whether the poller
//! watches. Each side by itself:
//!
//! ```text
//!            park (arms)                 ready (the poller disarms, all waiters are woken)
//!   quiet ───────────────▶ armed ─────────────────────────────────────────────────────▶ quiet
//!                            │  the last waiter goes away (disarms)                       ▲
//!                            └────────────────────────────────────────────────────────────┘
//!
//!           the deadline passes (all waiters are woken)
//!   open ◀──────────────────────────────────────────────▶ expired: operations are refused
//!           it is moved or cleared
//!
//!           an accept fails for want of descriptors (the poller disarms)
//!   open ◀──────────────────────────────────────────────────────────────▶ paused: operations park, unarmed
//!           the pause is over (all waiters are woken)
//! ```
//!
//! A closed handle has no slot any more.

use super::timers::{Due, Timers};
use crate::base::Key;
use crate::contain::SafeWaker;
use crate::sys::{Poller, Side, Wait};
use crate::time::Instant;

/// Both sides of one handle.
#[derive(Default)]
pub(crate) struct Slot {
    sides: [Waiters; 2],
    /// One for both sides: set for the earlier of the deadlines that have not passed.
    timer: Option<Key>,
}

/// Names a waiter: [`SHARED`], an owner ([`OWNERS`] and a number), or the number of an operation. No number is given out
/// twice.
pub(crate) type Id = u64;

/// Callers of a `poll_*` function through a shared reference, of which there may be many: known by their wakers only, and
/// nothing says when they lose interest. An owner's waker goes with it, and an operation's with the operation.
pub(crate) const SHARED: Id = 0;
/// The id of an operation that has not parked yet.
pub(crate) const UNPARKED: Id = 1;
/// Added to a number.
pub(crate) const OWNERS: Id = 1 << 63;

/// Whether it is that of an operation which has been parked.
pub(crate) fn is_operation(id: Id) -> bool {
    (UNPARKED + 1..OWNERS).contains(&id)
}

/// The tasks parked on one side. The vector stays for the life of the handle: parking allocates only the first time.
#[derive(Default)]
pub(crate) struct Waiters {
    list: Vec<Waiter>,
    /// The poller watches this side.
    pub(crate) armed: bool,
    /// The poller does not watch it for a while, whatever is parked: see [`Reactor::pause`](super::Reactor::pause).
    pub(crate) paused: bool,
    /// An operation that does not park has said `WouldBlock` since the last report. Kept where [`Wait::EDGES`] is.
    pub(crate) tried: bool,
    deadline: Option<Instant>,
    /// The deadline has passed.
    pub(crate) expired: bool,
    /// Stale shared wakers are purged when this number of waiters, and [`CROWD`] more, are parked.
    crowd: usize,
    /// The turn of the last purge.
    asked: u32,
}

/// The smallest number of waiters at which stale shared wakers are purged.
const CROWD: usize = 32;

struct Waiter {
    id: Id,
    waker: SafeWaker,
}

impl Slot {
    pub(crate) fn side(&mut self, side: Side) -> &mut Waiters {
        &mut self.sides[side as usize]
    }

    #[cfg(feature = "sim")]
    pub(crate) fn look(&self, side: Side) -> &Waiters {
        &self.sides[side as usize]
    }

    /// Sets or clears the deadline of these sides. Whether it has passed is seen to by [`Waiters::expire`].
    pub(crate) fn set_deadline(&mut self, sides: &[Side], deadline: Option<Instant>) {
        for &side in sides {
            let waiters = self.side(side);
            (waiters.deadline, waiters.expired) = (deadline, false);
        }
    }

    /// Keeps the one timer at the earliest deadline to come; one that has fired is set anew.
    pub(crate) fn set_timer(&mut self, key: Key, timers: &mut Timers) {
        let timer = self.timer.take();
        self.timer = match self.next_deadline() {
            Some(when) => Some(timers.set(timer, when, Due::Deadline(key))),
            None => {
                timers.cancel(timer);
                None
            }
        };
    }

    /// The earliest deadline that has not passed.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.sides.iter().filter(|side| !side.expired).filter_map(|side| side.deadline).min()
    }

    pub(crate) fn timer(&self) -> Option<Key> {
        self.timer
    }

    /// The wakers that are parked on either side.
    pub(crate) fn into_wakers(self) -> impl Iterator<Item = SafeWaker> {
        self.sides.into_iter().flat_map(|side| side.list).map(|waiter| waiter.waker)
    }
}

impl Waiters {
    /// Adds a waiter, or brings its waker up to date. What is to be dropped is left in `waker`, and what is to be woken in
    /// `crowd`.
    pub(crate) fn park(&mut self, id: Id, waker: &mut Option<SafeWaker>, turn: u32, crowd: &mut Vec<SafeWaker>) {
        let Some(new) = waker.take() else { return };
        let same = |waiter: &&mut Waiter| waiter.id == id && (id != SHARED || waiter.waker.is_same(&new));
        if let Some(waiter) = self.list.iter_mut().find(same) {
            *waker = Some(std::mem::replace(&mut waiter.waker, new));
            return;
        }
        if id == SHARED && self.is_crowd(turn) {
            self.take(crowd);
        }
        self.list.push(Waiter { id, waker: new });
    }

    /// True if the stale wakers are to be purged. Nothing says when a shared reference has lost interest, so its wakers would pile up
    /// on a quiet side. A purge wakes and forgets all; tasks that still wait park again. If they reach the threshold again within a turn,
    /// they are real, and the threshold grows.
    fn is_crowd(&mut self, turn: u32) -> bool {
        if self.list.len() < self.crowd + CROWD {
            return false;
        }
        let back_at_once = turn.wrapping_sub(self.asked) <= 1;
        if back_at_once {
            self.crowd = 2 * self.list.len();
        }
        self.asked = turn;
        !back_at_once
    }

    pub(crate) fn unpark(&mut self, id: Id) -> Option<SafeWaker> {
        let at = self.list.iter().position(|waiter| waiter.id == id)?;
        Some(self.list.remove(at).waker)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The poller has reported this side, and no longer watches it. Moves all wakers out, in the order in which they
    /// parked.
    pub(crate) fn ready(&mut self, into: &mut Vec<SafeWaker>) {
        self.armed = false;
        if Poller::EDGES {
            self.tried = false;
        }
        self.take(into);
    }

    /// Moves all wakers out if the deadline has passed, and tells whether it has.
    pub(crate) fn expire(&mut self, now: Instant, wakers: &mut Vec<SafeWaker>) -> bool {
        self.expired = self.deadline.is_some_and(|deadline| deadline <= now);
        if self.expired {
            self.take(wakers);
        }
        self.expired
    }

    /// Whether the deadline has passed, as far as that is known without a host call; it may not have been marked yet.
    pub(crate) fn is_past(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::latest())
    }

    fn take(&mut self, into: &mut Vec<SafeWaker>) {
        for waiter in self.list.drain(..) {
            into.push(waiter.waker);
        }
    }
}
