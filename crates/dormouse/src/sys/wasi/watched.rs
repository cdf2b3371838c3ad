//! The list that the host is given, kept between waits and edited: arming pushes an entry, disarming closes the gap.
//!
//! ```text
//!   list    │ review │ clock │ p7 │ p3 │ p9 │ p1 │ p4 │ …    the first two are no sockets: see below
//!   owners  │        │       │ k2 │ k5 │ k2 │ k9 │ k6 │ …    whose it is, place by place
//!                            ├── busy ──┤├── quiet ──────
//! ```
//!
//! Who has been armed lately is busy; who has been waiting for two reviews is quiet (`review.rs`). The host is given a part of the
//! list from the review's place or the clock's, or from the first socket's, to the end of the busy ones or of the list.

#[cfg(not(target_env = "p1"))]
use std::ops::RangeInclusive;

use crate::reactor::Key;
use crate::sys::{Ready, Side};

/// Where the clock of the next review is.
pub(in crate::sys) const REVIEW: usize = 0;
/// Where the clock of the earliest timer is.
pub(in crate::sys) const CLOCK: usize = 1;
/// Where the sockets begin.
pub(in crate::sys) const SOCKETS: usize = 2;

const NOWHERE: u32 = 0;

/// A host that reports so many may have been out of budget for the rest (`p2/budget.rs`).
#[cfg(not(target_env = "p1"))]
const MANY: RangeInclusive<usize> = 64..=128;

/// So often the rest is asked about by itself, one time after the other.
#[cfg(not(target_env = "p1"))]
const IN_A_ROW: u32 = 4;

pub(in crate::sys) struct Watched<T> {
    /// What the host takes.
    pub(in crate::sys) list: Vec<T>,
    owners: Vec<Owner>,
    /// By index of the key: where its sides are in `list`.
    places: Vec<[u32; 2]>,
    /// Where the quiet ones begin.
    quiet: usize,
    /// How many reviews there have been.
    reviews: u32,
    /// Up to where the list was given to the host the last time.
    pub(in crate::sys) polled: usize,
    /// See [`stayed`](Watched::stayed).
    stayed: usize,
    /// How many polls have reported many, one after the other.
    #[cfg_attr(target_env = "p1", allow(dead_code))]
    in_a_row: u32,
}

#[derive(Clone, Copy)]
struct Owner {
    ready: Ready,
    /// How many reviews there had been when it was armed.
    since: u32,
}

impl<T: Copy> Watched<T> {
    /// Nobody's entry; `nothing` is whatever stands in the first places until there is something.
    pub(in crate::sys) fn new(nothing: T) -> Self {
        let nobody = Ready { key: Key { index: u32::MAX, generation: 0 }, side: Side::Read };
        let owners = vec![Owner { ready: nobody, since: 0 }; SOCKETS];
        Watched {
            list: vec![nothing; SOCKETS],
            owners,
            places: Vec::new(),
            quiet: SOCKETS,
            reviews: 0,
            polled: SOCKETS,
            stayed: SOCKETS,
            in_a_row: 0,
        }
    }

    pub(in crate::sys) fn is_armed(&self, side: Side, key: Key) -> bool {
        self.places.get(key.index as usize).is_some_and(|sides| sides[side as usize] != NOWHERE)
    }

    /// Adds the entry of a side that is not armed, behind the busy ones.
    pub(in crate::sys) fn push(&mut self, side: Side, key: Key, entry: T) {
        let index = key.index as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, [NOWHERE; 2]);
        }
        let place = self.list.len();
        self.list.push(entry);
        self.owners.push(Owner { ready: Ready { key, side }, since: self.reviews });
        self.places[index][side as usize] = place as u32;
        self.swap(self.quiet, place);
        self.quiet += 1;
    }

    /// Takes a side's entry out, if it has one.
    #[inline(never)]
    pub(in crate::sys) fn take_out(&mut self, side: Side, key: Key) {
        let Some(sides) = self.places.get_mut(key.index as usize) else { return };
        let mut place = std::mem::replace(&mut sides[side as usize], NOWHERE) as usize;
        if place == NOWHERE as usize {
            return;
        }
        if place < self.quiet {
            self.quiet -= 1;
            self.swap(place, self.quiet);
            place = self.quiet;
        }
        let last = self.list.len() - 1;
        self.swap(place, last);
        self.list.pop();
        self.owners.pop();
        // The swaps have noted where it went.
        self.places[key.index as usize][side as usize] = NOWHERE;
    }

    /// Takes out the sides that a poll of the list up to [`polled`](Watched::polled) has reported. If those are [`MANY`] the others
    /// stay in their order, and before all who are armed from now on: see [`stayed`](Watched::stayed).
    #[cfg(not(target_env = "p1"))]
    pub(in crate::sys) fn take_out_all(&mut self, sides: &[Ready]) {
        self.stayed = SOCKETS;
        self.in_a_row = if MANY.contains(&sides.len()) && self.in_a_row < IN_A_ROW { self.in_a_row + 1 } else { 0 };
        if self.in_a_row == 0 {
            return sides.iter().for_each(|&Ready { side, key }| self.take_out(side, key));
        }
        for &Ready { side, key } in sides {
            self.places[key.index as usize][side as usize] = NOWHERE;
        }
        let (mut to, mut quiet) = (SOCKETS, self.quiet);
        for place in SOCKETS..self.list.len() {
            let Ready { key, side } = self.owners[place].ready;
            let known = &mut self.places[key.index as usize][side as usize];
            if *known == NOWHERE {
                quiet -= usize::from(place < self.quiet);
                continue;
            }
            *known = to as u32;
            (self.list[to], self.owners[to]) = (self.list[place], self.owners[place]);
            to += 1;
            if place < self.polled {
                self.stayed = to;
            }
        }
        self.list.truncate(to);
        self.owners.truncate(to);
        self.quiet = quiet;
    }

    /// Up to where those are who were not reported though many were: the host may have been out of budget for them.
    pub(in crate::sys) fn stayed(&self) -> usize {
        // Hosts of wasip1 tell of all.
        if cfg!(target_env = "p1") { SOCKETS } else { self.stayed.min(self.quiet) }
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a != b {
            self.list.swap(a, b);
            self.owners.swap(a, b);
            for place in [a, b] {
                let Ready { key, side } = self.owners[place].ready;
                self.places[key.index as usize][side as usize] = place as u32;
            }
        }
    }

    /// Where the entry of a side is, by the index of its key, if it has one.
    #[cfg(target_env = "p1")]
    pub(in crate::sys) fn place(&self, index: u32, side: Side) -> Option<usize> {
        let place = self.places.get(index as usize)?[side as usize];
        (place != NOWHERE).then_some(place as usize)
    }

    /// Whose entry is in this place of the list.
    pub(in crate::sys) fn owner(&self, place: usize) -> Option<Ready> {
        self.owners.get(place).filter(|_| place >= SOCKETS).map(|owner| owner.ready)
    }

    /// How many sides are armed.
    pub(in crate::sys) fn armed(&self) -> usize {
        self.list.len() - SOCKETS
    }

    /// Where the quiet ones begin.
    pub(in crate::sys) fn quiet(&self) -> usize {
        self.quiet
    }
    /// Calls quiet who has been waiting since before the last review.
    pub(in crate::sys) fn review(&mut self) {
        let mut place = SOCKETS;
        while place < self.quiet {
            if self.owners[place].since < self.reviews {
                self.quiet -= 1;
                self.swap(place, self.quiet);
            } else {
                place += 1;
            }
        }
        self.reviews = self.reviews.wrapping_add(1);
        if self.reviews == 0 {
            // All are as young as can be.
            self.owners.iter_mut().for_each(|owner| owner.since = 0);
        }
    }
}
