//! The list of pollables is what the host is given: see [`Watched`].
//!
//! The clock pollable stays while the earliest deadline does. When the earliest deadline moves later it stays too: it
//! fires early once, and the next wait gets a new one.

use std::io;

use wasip2::clocks::monotonic_clock::subscribe_instant;
use wasip2::io::poll::Pollable;

use super::abi::{self, RawPollable};
use super::{Notifier, Source, budget};
use crate::reactor::Key;
use crate::sys::wasi::{CLOCK, Watched};
use crate::sys::{Ready, Side, Until, Wait};
use crate::time::Instant;

pub(crate) struct Poller {
    watched: Watched<RawPollable>,
    clock: Option<(Instant, Pollable)>,
    /// Where the host writes what is ready.
    fired: Vec<u32>,
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    fn new() -> io::Result<Self> {
        Ok(Poller { watched: Watched::new(0), clock: None, fired: Vec::new() })
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        if self.watched.is_armed(side, key) {
            return Ok(());
        }
        let Some(pollable) = source.pollable(side) else { return Err(io::ErrorKind::NotConnected.into()) };
        self.watched.push(side, key, pollable.handle());
        Ok(())
    }

    fn disarm(&mut self, side: Side, key: Key) {
        self.watched.take_out(side, key);
    }

    fn remove(&mut self, key: Key) {
        self.watched.take_out(Side::Read, key);
        self.watched.take_out(Side::Write, key);
    }

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let mut fired = std::mem::take(&mut self.fired);
        let from = match until {
            Until::Now => {
                // Fresh each time: wasmtime yields to its own tasks only at the first poll of a clock pollable that is
                // past (wasmtime-wasi 48.0.8, p2/host/clocks.rs, `Deadline::Past`; wasmtime #13085, #13507).
                let past = subscribe_instant(0);
                self.watched.list[CLOCK] = past.handle();
                abi::poll(&self.watched.list, &mut fired);
                CLOCK
            }
            Until::At(when) => {
                if self.clock.as_ref().is_none_or(|(standing, _)| *standing > when) {
                    self.clock = Some((when, subscribe_instant(when.as_nanos())));
                }
                let Some((_, pollable)) = &self.clock else { unreachable!("set above") };
                self.watched.list[CLOCK] = pollable.handle();
                abi::poll(&self.watched.list, &mut fired);
                CLOCK
            }
            Until::Forever => {
                // A host traps on an empty list (wasi-io #67). The runtime does not ask for it.
                assert!(self.armed() > 0, "an endless wait on nothing");
                abi::poll(&self.watched.list[CLOCK + 1..], &mut fired);
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
                // A host that reports what was not asked is not believed.
                place => {
                    if let Some(owner) = self.watched.owner(place) {
                        ready.push(owner);
                    }
                }
            }
        }
        self.fired = fired;
        for &Ready { key, side } in &ready[first..] {
            self.watched.take_out(side, key);
        }
        if clock_fired && until != Until::Now {
            self.clock = None;
        }
        Ok(clock_fired)
    }

    fn armed(&self) -> usize {
        self.watched.armed()
    }

    fn notifier(&self) -> Notifier {
        Notifier
    }
}
