//! The list that the host is given, kept between waits and edited: arming pushes an entry, disarming closes the gap.
//!
//! ```text
//!   list    │ review │ clock │ p7 │ p3 │ p9 │ p1 │ p4 │ …    the first two are no sockets: see below
//!   owners  │        │       │ k2 │ k5 │ k2 │ k9 │ k6 │ …    whose it is, place by place
//!                            ├── busy ──┤├── quiet ──────
//! ```
//!
//! Who has been armed lately is busy; who has been waiting for two reviews is quiet (`review.rs`). The host is given a part of the
//! list from the review's place or the clock's, or from the first socket's, to the end of some busy ones, of all of them or of the
//! list.

use super::numbers::{PART, SOCKETS};
use crate::base::Key;
use crate::sys::{Ready, Side};

const NOWHERE: u32 = 0;

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
    /// How often somebody has been armed.
    armed: u32,
    turns: Turns,
}

#[derive(Clone, Copy)]
struct Owner {
    ready: Ready,
    /// How many reviews there had been when it was armed.
    since: u32,
    /// Which arming it was.
    armed: u32,
    /// How often it has been asked about in turns, without being ready.
    asked: u8,
}

/// Who is asked about in turns, by laps: who has been asked about, and who is armed, comes in the next lap. Who has been taken out
/// meanwhile is known by the number of the arming.
#[derive(Default)]
struct Turns {
    /// Whether somebody goes by it.
    are_kept: bool,
    lap: Vec<Owner>,
    /// How many of this lap have had their turn.
    done: usize,
    /// How many are in a part. A lap is split evenly, so that no entry is polled less often than another.
    part: usize,
    next_lap: Vec<Owner>,
}

impl<T: Copy> Watched<T> {
    /// Nobody's entry; `nothing` is whatever stands in the first places until there is something.
    pub(in crate::sys) fn new(nothing: T) -> Self {
        let nobody = Ready { key: Key { index: u32::MAX, generation: 0 }, side: Side::Read };
        let owners = vec![Owner { ready: nobody, since: 0, armed: 0, asked: 0 }; SOCKETS];
        Watched {
            list: vec![nothing; SOCKETS],
            owners,
            places: Vec::new(),
            quiet: SOCKETS,
            reviews: 0,
            armed: 0,
            turns: Turns::default(),
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
        self.armed = self.armed.wrapping_add(1);
        let owner = Owner { ready: Ready { key, side }, since: self.reviews, armed: self.armed, asked: 0 };
        self.owners.push(owner);
        if self.turns.are_kept {
            self.turns.next_lap.push(owner);
        }
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

    /// Puts up to [`PART`] busy ones in front whose turn it is, and tells where they end. The first call makes a lap of all.
    pub(in crate::sys) fn next_part(&mut self) -> usize {
        if !self.turns.are_kept {
            self.turns.are_kept = true;
            self.turns.next_lap.extend_from_slice(&self.owners[SOCKETS..self.quiet]);
        }
        if self.turns.done == self.turns.lap.len() {
            self.turns.lap.clear();
            std::mem::swap(&mut self.turns.lap, &mut self.turns.next_lap);
            let busy = self.quiet - SOCKETS;
            (self.turns.done, self.turns.part) = (0, busy.div_ceil(busy.div_ceil(PART).max(1)));
        }
        let mut end = SOCKETS;
        while end < SOCKETS + self.turns.part
            && let Some(&owner) = self.turns.lap.get(self.turns.done)
        {
            self.turns.done += 1;
            let Ready { key, side } = owner.ready;
            let place = self.places[key.index as usize][side as usize] as usize;
            // Nobody, or somebody else: taken out since. The quiet ones are for reviews.
            let known = &mut self.owners[place];
            if !(SOCKETS..self.quiet).contains(&place) || known.armed != owner.armed {
                continue;
            }
            known.asked = known.asked.saturating_add(1);
            self.swap(place, end);
            end += 1;
            self.turns.next_lap.push(owner);
        }
        end
    }

    /// Nobody is asked about in turns any more.
    pub(in crate::sys) fn forget_turns(&mut self) {
        self.turns.are_kept = false;
        self.turns.done = 0;
        self.turns.lap.clear();
        self.turns.next_lap.clear();
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

    /// Marks as quiet each entry that has waited through a whole review period (in parts: that was polled twice without a result).
    pub(in crate::sys) fn review(&mut self) {
        let mut place = SOCKETS;
        while place < self.quiet {
            let Owner { since, asked, .. } = self.owners[place];
            if since < self.reviews && (asked >= 2 || !self.turns.are_kept) {
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
