//! The list that the host is given, kept between waits and edited: arming pushes an entry, disarming moves the last one
//! into its place.
//!
//! ```text
//!   list    │ clock │ p7 │ p3 │ p9 │      place 0 is the clock's, left out when nobody waits for it
//!   owners  │       │ k2 │ k5 │ k2 │      whose it is, place by place
//! ```

use crate::reactor::Key;
use crate::sys::{Ready, Side};

pub(in crate::sys) const CLOCK: usize = 0;
const NOWHERE: u32 = 0;

pub(in crate::sys) struct Watched<T> {
    /// What the host takes: the clock's entry, and then those of the sides that are armed.
    pub(in crate::sys) list: Vec<T>,
    owners: Vec<(Key, Side)>,
    /// By index of the key: where its sides are in `list`.
    places: Vec<[u32; 2]>,
}

impl<T> Watched<T> {
    /// Nobody's entry; `clock` is whatever stands there until there is a clock.
    pub(in crate::sys) fn new(clock: T) -> Self {
        let nobody = (Key { index: u32::MAX, generation: 0 }, Side::Read);
        Watched { list: vec![clock], owners: vec![nobody], places: Vec::new() }
    }

    pub(in crate::sys) fn is_armed(&self, side: Side, key: Key) -> bool {
        self.places.get(key.index as usize).is_some_and(|sides| sides[side as usize] != NOWHERE)
    }

    /// Adds the entry of a side that is not armed.
    pub(in crate::sys) fn push(&mut self, side: Side, key: Key, entry: T) {
        let index = key.index as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, [NOWHERE; 2]);
        }
        self.places[index][side as usize] = self.list.len() as u32;
        self.list.push(entry);
        self.owners.push((key, side));
    }

    /// Takes a side's entry out, if it has one.
    #[inline(never)]
    pub(in crate::sys) fn take_out(&mut self, side: Side, key: Key) {
        let Some(sides) = self.places.get_mut(key.index as usize) else { return };
        let place = std::mem::replace(&mut sides[side as usize], NOWHERE) as usize;
        if place == NOWHERE as usize {
            return;
        }
        self.list.swap_remove(place);
        self.owners.swap_remove(place);
        if let Some(&(moved, side)) = self.owners.get(place) {
            self.places[moved.index as usize][side as usize] = place as u32;
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
        let &(key, side) = self.owners.get(place)?;
        Some(Ready { key, side })
    }

    /// How many sides are armed.
    pub(in crate::sys) fn armed(&self) -> usize {
        self.list.len() - 1
    }
}
