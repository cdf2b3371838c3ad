//! `wasi:io/poll.poll` over the list of what is armed, and a clock.
//!
//! The clock pollable stays while the earliest deadline does. When the earliest deadline moves later it stays too: it
//! fires early once, and the next wait gets a new one.

use std::io;

use wasip2::clocks::monotonic_clock::subscribe_instant;
use wasip2::io::poll::Pollable;

use super::list::{List, Wasi};
use super::{Notifier, Source};
use crate::base::{Instant, Key};
use crate::sys::drained::next_turn;
use crate::sys::quirks::budget;
use crate::sys::{Ready, Side, Until, Wait};

pub(crate) struct Poller {
    list: List,
    host: Wasi,
    clock: Option<(Instant, Pollable)>,
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    fn new() -> io::Result<Self> {
        Ok(Poller { list: List::new(0), host: Wasi::default(), clock: None })
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

    fn wait(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        next_turn();
        match until {
            Until::Now => {
                // Fresh each time: wasmtime yields to its own tasks only at the first poll of a clock pollable that is
                // past (wasmtime-wasi 48.0.8, p2/host/clocks.rs, `Deadline::Past`; wasmtime #13085, #13507).
                let past = subscribe_instant(0);
                let fired = self.host.wait(&mut self.list, Some(past.handle()), ready);
                // Else something was ready at once, and the host has not suspended us.
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
                let fired = self.host.wait(&mut self.list, clock, ready);
                if fired {
                    self.clock = None;
                }
                Ok(fired)
            }
            Until::Forever => {
                // A host traps on an empty list (wasi-io #67). The runtime does not ask for it.
                assert!(self.armed() > 0, "an endless wait on nothing");
                Ok(self.host.wait(&mut self.list, None, ready))
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
