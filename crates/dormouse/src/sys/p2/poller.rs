//! The list of pollables is what the host is given, kept between waits and edited: arming pushes a handle, disarming
//! moves the last one into its place.
//!
//! ```text
//!   list    │ clock │ p7 │ p3 │ p9 │      place 0 is the clock's, left out when nobody waits for it
//!   owners  │       │ k2 │ k5 │ k2 │      whose it is, place by place
//! ```
//!
//! The clock pollable stays while the earliest deadline does. When the earliest deadline moves later it stays too: it
//! fires early once, and the next wait gets a new one.

use std::io;

use wasip2::clocks::monotonic_clock::subscribe_instant;
use wasip2::io::poll::Pollable;

use super::abi::{self, RawPollable};
use super::{Notifier, Source, budget};
use crate::reactor::Key;
use crate::sys::{Ready, Side, Until, Wait};
use crate::time::Instant;

const CLOCK: usize = 0;
const NOWHERE: u32 = 0;

pub(crate) struct Poller {
    list: Vec<RawPollable>,
    owners: Vec<(Key, Side)>,
    /// By index of the key: where its sides are in `list`.
    places: Vec<[u32; 2]>,
    clock: Option<(Instant, Pollable)>,
    /// Where the host writes what is ready.
    fired: Vec<u32>,
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    fn new() -> io::Result<Self> {
        let nobody = (Key { index: u32::MAX, generation: 0 }, Side::Read);
        Ok(Poller { list: vec![0], owners: vec![nobody], places: Vec::new(), clock: None, fired: Vec::new() })
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        let index = key.index as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, [NOWHERE; 2]);
        }
        let place = &mut self.places[index][side as usize];
        if *place != NOWHERE {
            return Ok(());
        }
        let Some(pollable) = source.pollable(side) else { return Err(io::ErrorKind::NotConnected.into()) };
        *place = self.list.len() as u32;
        self.list.push(pollable.handle());
        self.owners.push((key, side));
        Ok(())
    }

    fn disarm(&mut self, side: Side, key: Key) {
        self.take_out(key, side);
    }

    fn remove(&mut self, key: Key) {
        self.take_out(key, Side::Read);
        self.take_out(key, Side::Write);
    }

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let mut fired = std::mem::take(&mut self.fired);
        let from = match until {
            Until::Now => {
                // Fresh each time: wasmtime yields to its own tasks only at the first poll of a clock pollable that is
                // past (wasmtime-wasi 48.0.8, p2/host/clocks.rs, `Deadline::Past`; wasmtime #13085, #13507).
                let past = subscribe_instant(0);
                self.list[CLOCK] = past.handle();
                abi::poll(&self.list, &mut fired);
                CLOCK
            }
            Until::At(when) => {
                if self.clock.as_ref().is_none_or(|(standing, _)| *standing > when) {
                    self.clock = Some((when, subscribe_instant(when.as_nanos())));
                }
                let Some((_, pollable)) = &self.clock else { unreachable!("set above") };
                self.list[CLOCK] = pollable.handle();
                abi::poll(&self.list, &mut fired);
                CLOCK
            }
            Until::Forever => {
                // A host traps on an empty list (wasi-io #67). The runtime does not ask for it.
                assert!(self.armed() > 0, "an endless wait on nothing");
                abi::poll(&self.list[CLOCK + 1..], &mut fired);
                CLOCK + 1
            }
        };
        if until == Until::Now {
            budget::refresh();
        }
        budget::spend(budget::FIRED * fired.len() as u32);
        let mut clock_fired = false;
        let first = ready.len();
        for &index in &fired {
            match from + index as usize {
                CLOCK => clock_fired = true,
                place => {
                    // A host that reports what was not asked is not believed.
                    if let Some(&(key, side)) = self.owners.get(place) {
                        ready.push(Ready { key, side });
                    }
                }
            }
        }
        self.fired = fired;
        for &Ready { key, side } in &ready[first..] {
            self.take_out(key, side);
        }
        if clock_fired && until != Until::Now {
            self.clock = None;
        }
        Ok(clock_fired)
    }

    fn armed(&self) -> usize {
        self.list.len() - 1
    }

    fn notifier(&self) -> Notifier {
        Notifier
    }
}

impl Poller {
    #[inline(never)]
    fn take_out(&mut self, key: Key, side: Side) {
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
}
