//! The list of pollables is what the host is given, all of it or the busy part: see [`Reviewed`].
//!
//! The clock pollable stays while the earliest deadline does. When the earliest deadline moves later it stays too: it
//! fires early once, and the next wait gets a new one.

use std::convert::Infallible;
use std::io;

use wasip2::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use wasip2::io::poll::Pollable;

use super::abi::{self, RawPollable};
use super::clock::{self, has_budget_again};
use super::{Notifier, Source};
use crate::base::Instant;
use crate::base::Key;
use crate::sys::drained::next_turn;
use crate::sys::quirks::{budget, short_read};
use crate::sys::wasi::review::{Host, Reviewed};
use crate::sys::wasi::watched::{CLOCK, REVIEW, Watched};
use crate::sys::{Ready, Side, Until, Wait};

pub(crate) struct Poller {
    list: Reviewed<Wasi>,
    host: Wasi,
    clock: Option<(Instant, Pollable)>,
}

#[derive(Default)]
struct Wasi {
    /// Where the host writes what is ready.
    fired: Vec<u32>,
    /// The last wait was for all of a long list that was quiet.
    asked_all: bool,
}

impl Host for Wasi {
    type Entry = RawPollable;
    type Alarm = Pollable;
    type Error = Infallible;
    const IN_TURNS: bool = true;

    /// Without budget nobody would look ready.
    fn refresh(&mut self) {
        has_budget_again();
    }

    fn before_all(&mut self) {
        self.asked_all = true;
    }

    fn now(&mut self) -> u64 {
        clock::now()
    }

    fn alarm(&mut self, nanos: u64) -> Pollable {
        subscribe_duration(nanos)
    }

    fn past(&mut self) -> Pollable {
        subscribe_instant(0)
    }

    fn entry(alarm: &Pollable) -> RawPollable {
        alarm.handle()
    }

    fn poll(&mut self, list: &[RawPollable]) -> Result<(), Infallible> {
        abi::poll(list, &mut self.fired);
        budget::spend(budget::FIRED * self.fired.len() as u32);
        Ok(())
    }

    fn rang(&self) -> bool {
        self.fired.contains(&(REVIEW as u32))
    }

    fn report(&mut self, from: usize, alarm: bool, watched: &mut Watched<RawPollable>, ready: &mut Vec<Ready>) -> bool {
        let mut clock_fired = false;
        let first = ready.len();
        for &index in &self.fired {
            match from + index as usize {
                place if alarm && place == from => {}
                CLOCK => clock_fired = true,
                // A host that reports what was not asked is not believed.
                place => ready.extend(watched.owner(place)),
            }
        }
        ready[first..].iter().for_each(|&Ready { side, key }| watched.take_out(side, key));
        clock_fired
    }
}

impl Poller {
    fn wait_with(&mut self, clock: Option<RawPollable>, ready: &mut Vec<Ready>) -> bool {
        next_turn();
        if short_read::is_crowded() {
            // Somebody is always ready then, and a host that is never waited for learns of nobody else.
            has_budget_again();
        }
        let first = ready.len();
        self.host.asked_all = false;
        let Ok(fired) = self.list.wait(&mut self.host, clock, ready);
        short_read::note(ready.len() - first, self.host.asked_all);
        fired
    }
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    fn new() -> io::Result<Self> {
        Ok(Poller { list: Reviewed::new(0), host: Wasi::default(), clock: None })
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        if self.list.watched.is_armed(side, key) {
            return Ok(());
        }
        let Some(pollable) = source.pollable(side) else { return Err(io::ErrorKind::NotConnected.into()) };
        self.list.watched.push(side, key, pollable.handle());
        Ok(())
    }

    fn disarm(&mut self, side: Side, key: Key) {
        self.list.watched.take_out(side, key);
    }

    fn remove(&mut self, key: Key) {
        self.list.watched.take_out(Side::Read, key);
        self.list.watched.take_out(Side::Write, key);
    }

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        match until {
            Until::Now => {
                // Fresh each time: wasmtime yields to its own tasks only at the first poll of a clock pollable that is
                // past (wasmtime-wasi 48.0.8, p2/host/clocks.rs, `Deadline::Past`; wasmtime #13085, #13507).
                let past = subscribe_instant(0);
                let fired = self.wait_with(Some(past.handle()), ready);
                // Else somebody was ready at once, and the host has not suspended us.
                if fired {
                    budget::refresh();
                }
                Ok(fired)
            }
            Until::At(when) => {
                if self.clock.as_ref().is_none_or(|(standing, _)| *standing > when) {
                    self.clock = Some((when, subscribe_instant(when.as_nanos())));
                }
                let clock = self.clock.as_ref().map(|(_, pollable)| pollable.handle());
                let fired = self.wait_with(clock, ready);
                if fired {
                    self.clock = None;
                }
                Ok(fired)
            }
            Until::Forever => {
                // A host traps on an empty list (wasi-io #67). The runtime does not ask for it.
                assert!(self.armed() > 0, "an endless wait on nothing");
                Ok(self.wait_with(None, ready))
            }
        }
    }

    fn armed(&self) -> usize {
        self.list.watched.armed()
    }

    fn notifier(&self) -> Notifier {
        Notifier
    }
}
