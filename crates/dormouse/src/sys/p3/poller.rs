//! Which side an event is of: the sides that are armed, by their waitable; and the timers.

use std::io;

use super::abi::{Timer, Waitable};
use super::{Notifier, Source, set};
use crate::base::Instant;
use crate::base::Key;
use crate::sys::drained::next_turn;
use crate::sys::{Ready, Side, Until, Wait};

/// How many timers are kept. Each is earlier than those before it.
const TIMERS: usize = 4;

pub(crate) struct Poller {
    /// By index of the key: what its sides wait for, or did last, and at which of the set's reports they were armed.
    places: Vec<[(Waitable, u32); 2]>,
    /// The last is the earliest. One that is no longer the earliest deadline stays, since it may be so again when the earlier
    /// ones are through; it fires early then, and costs a turn.
    timers: Vec<(Instant, Timer)>,
}

impl Poller {
    fn place(&mut self, key: Key, side: Side) -> &mut (Waitable, u32) {
        let index = key.index as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, [(0, 0); 2]);
        }
        &mut self.places[index][side as usize]
    }

    /// Sees to it that there is an event at `when` or earlier. False if that has passed.
    fn set_timer(&mut self, when: Instant) -> bool {
        if self.timers.last().is_some_and(|(earliest, _)| *earliest <= when) {
            return true;
        }
        let Some(timer) = Timer::new(when.as_nanos()) else { return false };
        if self.timers.len() == TIMERS {
            self.timers.remove(0);
        }
        self.timers.push((when, timer));
        true
    }

    fn timers_fired(&mut self) -> bool {
        let before = self.timers.len();
        self.timers.retain_mut(|(_, timer)| !timer.has_fired());
        self.timers.len() < before
    }
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    fn new() -> io::Result<Self> {
        Ok(Poller { places: Vec::new(), timers: Vec::new() })
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        self.disarm(side, key);
        let waitable = source.under_way(side);
        *self.place(key, side) = (waitable.unwrap_or(0), set::reports());
        match waitable {
            Some(waitable) => set::arm(waitable, key, side),
            None => set::arm_ready(key, side),
        }
        Ok(())
    }

    fn disarm(&mut self, side: Side, key: Key) {
        let (waitable, armed_at) = std::mem::take(self.place(key, side));
        set::disarm(waitable, armed_at, key, side);
    }

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        next_turn();
        let passed = matches!(until, Until::At(when) if !self.set_timer(when));
        if passed || until == Until::Now {
            // What has come meanwhile becomes an event only when the host has its turn, and deadlines that have passed may follow
            // one another without end.
            set::look(ready);
        } else {
            set::wait(ready);
        }
        // Those of later deadlines may have fired, too, and one that has is not to be relied on.
        Ok(self.timers_fired() || passed)
    }

    fn armed(&self) -> usize {
        set::awaited()
    }

    fn notifier(&self) -> Notifier {
        Notifier
    }
}
