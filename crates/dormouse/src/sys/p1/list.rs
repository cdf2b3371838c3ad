//! The list of subscriptions, as the host is given it: what [`Reviewed`] asks of `poll_oneoff`.

use super::abi::{self, Errno, Event, Subscription};
use super::{clock, descriptor};
use crate::sys::wasi::facts;
use crate::sys::wasi::long::{Host, Reviewed, Watched};
use crate::sys::{Ready, Side};

/// A list of subscriptions, of which the busy part is polled.
pub(super) type List = Reviewed<Wasi>;

pub(super) struct Wasi {
    events: Vec<Event>,
    /// A clock's subscription may name a point in time: see `quirks/relative_time.rs`.
    pub(super) knows_absolute_time: bool,
}

impl Wasi {
    pub(super) fn new() -> Self {
        Wasi { events: Vec::new(), knows_absolute_time: true }
    }
}

impl Host for Wasi {
    type Entry = Subscription;
    /// When it rings.
    type Alarm = u64;
    type Error = Errno;
    /// An entry is 15 nanoseconds under our runner.
    const IN_TURNS: bool = false;

    fn has_alarms(&self) -> bool {
        self.knows_absolute_time
    }

    fn now(&mut self) -> u64 {
        clock::now()
    }

    fn alarm(&mut self, nanos: u64) -> u64 {
        self.now() + nanos
    }

    fn has_bell(&self) -> bool {
        facts::is_told(facts::BELL)
    }

    fn bell(&mut self) -> u64 {
        facts::BELL_AT
    }

    fn past(&mut self) -> u64 {
        0
    }

    fn entry(alarm: &u64) -> Subscription {
        abi::alarm(*alarm)
    }

    fn poll(&mut self, list: &[Subscription]) -> Result<(), Errno> {
        abi::poll(list, &mut self.events)
    }

    fn rang(&self) -> bool {
        self.events.iter().any(|event| event.type_ == wasip1::EVENTTYPE_CLOCK && event.userdata == abi::ALARM)
    }

    fn report(
        &mut self,
        _from: usize,
        _alarm: bool,
        watched: &mut Watched<Subscription>,
        ready: &mut Vec<Ready>,
    ) -> bool {
        let mut clock_fired = false;
        for event in &self.events {
            if event.type_ == wasip1::EVENTTYPE_CLOCK && event.userdata & abi::STOP == 0 {
                clock_fired |= event.userdata != abi::ALARM;
                continue;
            }
            let side = if event.userdata & 1 == 0 { Side::Read } else { Side::Write };
            let index = (event.userdata >> 1) as u32;
            let hung_up = event.fd_readwrite.flags & wasip1::EVENTRWFLAGS_FD_READWRITE_HANGUP != 0;
            fire(watched, index, side, event.error, ready);
            if hung_up {
                // Both sides have something to hear.
                let other = if side == Side::Read { Side::Write } else { Side::Read };
                fire(watched, index, other, wasip1::ERRNO_SUCCESS, ready);
            }
        }
        clock_fired
    }
}

/// Reports a side, if it is armed: a host that reports what was not asked, or twice, is not believed.
pub(super) fn fire(watched: &mut Watched<Subscription>, index: u32, side: Side, errno: Errno, ready: &mut Vec<Ready>) {
    let Some(place) = watched.place(index, side) else { return };
    let Some(owner) = watched.owner(place) else { return };
    if let Some(fd) = abi::descriptor_of(&watched.list[place]).filter(|_| errno != wasip1::ERRNO_SUCCESS) {
        descriptor::refused(fd, side, errno);
    }
    watched.take_out(side, owner.key);
    ready.push(owner);
}
