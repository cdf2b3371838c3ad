//! The list of subscriptions is what the host is given, all of it or the busy part: see [`Reviewed`].
//!
//! Hosts differ, and what they get wrong is only ever a wake too many, an event too few, or an error:
//! * some report all descriptors when one is ready (wasi-common, sync), some return early with nothing (WasmEdge);
//! * some refuse the whole call for one bad descriptor (wasi-common), some say so in its event (WasmEdge, ours);
//! * some know no absolute time (wazero): then time is told relative to now, which has to be read first;
//! * one cannot wait for sockets at all (wazero): then everybody is woken after a short sleep, to try.

use std::io;

use super::abi::{self, Due, Errno, Event, Subscription};
use super::{Kind, Notifier, Source, clock, descriptor};
use crate::base::error;
use crate::base::Key;
use crate::sys::drained::next_turn;
use crate::sys::wasi::facts;
use crate::sys::wasi::review::{Host, Reviewed};
use crate::sys::wasi::watched::{SOCKETS, Watched};
use crate::sys::{Ready, Side, Until, Wait};

/// How long to sleep where a host cannot wait for sockets, in nanoseconds.
const NAP: u64 = 5_000_000;

pub(crate) struct Poller {
    list: Reviewed<Wasi>,
    host: Wasi,
    /// Whether the host can wait for sockets; `None` before there was one.
    waits_for_sockets: Option<bool>,
}

struct Wasi {
    events: Vec<Event>,
    /// A clock's subscription may name a point in time.
    knows_absolute_time: bool,
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
            if event.type_ == wasip1::EVENTTYPE_CLOCK {
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
fn fire(watched: &mut Watched<Subscription>, index: u32, side: Side, errno: Errno, ready: &mut Vec<Ready>) {
    let Some(place) = watched.place(index, side) else { return };
    let Some(owner) = watched.owner(place) else { return };
    if let Some(fd) = abi::descriptor_of(&watched.list[place]).filter(|_| errno != wasip1::ERRNO_SUCCESS) {
        descriptor::refused(fd, side, errno);
    }
    watched.take_out(side, owner.key);
    ready.push(owner);
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    fn new() -> io::Result<Self> {
        let host = Wasi { events: Vec::new(), knows_absolute_time: true };
        Ok(Poller { list: Reviewed::new(abi::clock(Due::After(0))), host, waits_for_sockets: None })
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        if self.list.watched.is_armed(side, key) {
            return Ok(());
        }
        let fd = source.raw()?;
        if source.kind == Kind::Socket && self.waits_for_sockets.is_none() {
            self.waits_for_sockets = Some(facts::is_told(facts::EXACT) || can_wait_for(fd));
        }
        self.list.watched.push(side, key, abi::readiness(fd, side, userdata(side, key)));
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
        next_turn();
        if self.waits_for_sockets == Some(false) && self.armed() > 0 {
            return self.nap(until, ready);
        }
        match self.call(until, ready) {
            Ok(clock_fired) => Ok(clock_fired),
            Err(wasip1::ERRNO_INTR) => Ok(false),
            Err(errno) if self.armed() > 0 => self.find_refused(errno, until, ready),
            Err(errno) => Err(cannot_wait(errno)),
        }
    }

    fn armed(&self) -> usize {
        self.list.watched.armed()
    }

    fn notifier(&self) -> Notifier {
        Notifier
    }
}

impl Poller {
    /// The one call that waits.
    fn call(&mut self, until: Until, ready: &mut Vec<Ready>) -> Result<bool, Errno> {
        // A host fails, or returns at once, if it is to wait for nothing. The runtime does not ask for it.
        assert!(until != Until::Forever || self.armed() > 0, "an endless wait on nothing");
        if self.host.knows_absolute_time {
            let clock = match until {
                Until::Now => Some(Due::After(0)),
                Until::At(when) => Some(Due::At(when.as_nanos())),
                Until::Forever => None,
            };
            match self.list.wait(&mut self.host, clock.map(abi::clock), ready) {
                Err(wasip1::ERRNO_NOTSUP | wasip1::ERRNO_INVAL | wasip1::ERRNO_NOSYS) => {
                    self.host.knows_absolute_time = false;
                }
                result => return result,
            }
        }
        let clock = match until {
            Until::Now => Some(0),
            Until::At(when) => Some(when.as_nanos().saturating_sub(clock::now())),
            Until::Forever => None,
        };
        self.list.wait(&mut self.host, clock.map(Due::After).map(abi::clock), ready)
    }

    /// The host has refused to wait for all together. Asks about each by itself, and reports those that it refuses; should
    /// it refuse none, all are to try after a nap.
    #[cold]
    fn find_refused(
        &mut self,
        why: Errno,
        until: Until,
        ready: &mut Vec<Ready>,
    ) -> io::Result<bool> {
        let watched = &self.list.watched;
        let mut refused = Vec::new();
        for place in SOCKETS..watched.list.len() {
            let alone = [abi::clock(Due::After(0)), watched.list[place]];
            if let Err(errno) = self.host.poll(&alone) {
                refused.extend(watched.owner(place).map(|owner| (owner, errno)));
            }
        }
        if refused.len() == self.armed() && self.host.poll(&[abi::clock(Due::After(0))]).is_err() {
            return Err(cannot_wait(why));
        }
        if refused.is_empty() {
            return self.nap(until, ready);
        }
        for (Ready { key, side }, errno) in refused {
            fire(&mut self.list.watched, key.index, side, errno, ready);
        }
        Ok(false)
    }

    /// Sleeps a little, and has everybody try.
    #[cold]
    fn nap(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let nap = match until {
            Until::Now => 0,
            Until::At(when) => when.as_nanos().saturating_sub(clock::now()).min(NAP),
            Until::Forever => NAP,
        };
        let mut events = Vec::new();
        match abi::poll(&[abi::clock(Due::After(nap))], &mut events) {
            Ok(()) | Err(wasip1::ERRNO_INTR) => {}
            Err(errno) => return Err(cannot_wait(errno)),
        }
        while self.armed() > 0 {
            let Some(owner) = self.list.watched.owner(self.list.watched.list.len() - 1) else { break };
            self.list.watched.take_out(owner.side, owner.key);
            ready.push(owner);
        }
        Ok(true)
    }
}

/// Comes back with the event: an index and a side. The list does not change while the host has it.
fn userdata(side: Side, key: Key) -> u64 {
    u64::from(key.index) << 1 | side as u64
}

/// wazero up to 1.12 does not wait for sockets: it reports what was asked about reading, at once or when the clock is due,
/// and refuses to wait for writing with ENOTSUP in the event (imports/wasi_snapshot_preview1/poll.go; wazero #1500). Other
/// hosts may say of such a descriptor what they like, but not that.
fn can_wait_for(fd: abi::RawFd) -> bool {
    let asked = [abi::clock(Due::After(0)), abi::readiness(fd, Side::Write, 1)];
    let mut events = Vec::new();
    let polled = abi::poll(&asked, &mut events);
    polled.is_err() || !events.iter().any(|event| event.userdata == 1 && event.error == wasip1::ERRNO_NOTSUP)
}

#[cold]
fn cannot_wait(errno: Errno) -> io::Error {
    let kind = match errno {
        wasip1::ERRNO_NOSYS | wasip1::ERRNO_NOTSUP => io::ErrorKind::Unsupported,
        errno => abi::error(errno).kind(),
    };
    let why = abi::error(errno);
    error(kind, format!("this host cannot wait: poll_oneoff says {why}; run the program with `dormouse run`"))
}
