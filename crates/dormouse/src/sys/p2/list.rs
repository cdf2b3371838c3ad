//! The list of pollables, as the host is given it: what [`Reviewed`] asks of WASI 0.2.

use std::convert::Infallible;

use wasip2::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use wasip2::io::poll::Pollable;

use super::abi::{self, RawPollable};
use super::clock::{self, has_budget_again};
use crate::sys::Ready;
use crate::sys::quirks::{budget, short_read};
use crate::sys::wasi::facts;
use crate::sys::wasi::long::numbers::{CLOCK, PART, REVIEW, SOCKETS};
use crate::sys::wasi::long::{Host, Reviewed, Watched};

/// A list of pollables, of which the busy part is polled.
pub(super) type List = Reviewed<Wasi>;

#[derive(Default)]
pub(super) struct Wasi {
    /// Where the host writes what is ready.
    fired: Vec<u32>,
    /// The last wait was for all of a long list that was quiet.
    asked_all: bool,
}

// A part and its clocks are less than the budget of a host that has one, so that all of a part are told of.
const _: () = assert!(SOCKETS + PART < budget::OF_HOST as usize);

impl Wasi {
    /// Waits by the list, with what wasmtime needs before and after.
    pub(super) fn wait(&mut self, list: &mut List, clock: Option<RawPollable>, ready: &mut Vec<Ready>) -> bool {
        if short_read::is_crowded() {
            // Something is always ready then, and a host that is never waited for learns of nothing else.
            has_budget_again();
        }
        let first = ready.len();
        self.asked_all = false;
        let Ok(fired) = list.wait(self, clock, ready);
        short_read::note(ready.len() - first, self.asked_all);
        fired
    }
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

    fn has_bell(&self) -> bool {
        facts::is_told(facts::BELL)
    }

    fn bell(&mut self) -> Pollable {
        subscribe_instant(facts::BELL_AT)
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
