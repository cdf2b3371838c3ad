//! `poll_oneoff` over the list of what is armed, and a clock.
//!
//! Hosts differ, and what they get wrong is only ever a wake too many, an event too few, or an error:
//! * some report all descriptors when one is ready (wasi-common, sync), some return early with nothing (WasmEdge): readiness is a hint;
//! * some say in its event that they refuse a descriptor (WasmEdge, ours), and some refuse the call: `quirks/refused_call.rs`;
//! * some know no absolute time: `quirks/relative_time.rs`;
//! * one cannot wait for sockets at all: `quirks/no_sockets.rs`.

use std::io;

use super::abi::{self, Due, Errno};
use super::list::{List, Wasi, fire};
use super::{Kind, Notifier, Source, clock};
use crate::base::{Key, error};
use crate::sys::drained::next_turn;
use crate::sys::quirks::{no_sockets, refused_call, relative_time};
use crate::sys::wasi::long::Host;
use crate::sys::{Ready, Side, Until, Wait};

pub(crate) struct Poller {
    list: List,
    host: Wasi,
    /// Whether the host can wait for sockets; `None` before there was one.
    waits_for_sockets: Option<bool>,
}

impl Wait for Poller {
    type Source = Source;
    type Notifier = Notifier;

    fn new() -> io::Result<Self> {
        Ok(Poller { list: List::new(abi::clock(Due::After(0))), host: Wasi::new(), waits_for_sockets: None })
    }

    fn arm(&mut self, source: &Source, side: Side, key: Key) -> io::Result<()> {
        if self.list.watched.is_armed(side, key) {
            return Ok(());
        }
        if source.kind == Kind::Stop {
            self.list.watched.push(side, key, abi::stop(abi::STOP | userdata(side, key)));
            return Ok(());
        }
        let fd = source.raw()?;
        if source.kind == Kind::Socket && self.waits_for_sockets.is_none() {
            self.waits_for_sockets = Some(!no_sockets::is_asked() || can_wait_for(fd));
        }
        self.list.watched.push(side, key, abi::readiness(fd, side, userdata(side, key)));
        Ok(())
    }

    fn disarm(&mut self, side: Side, key: Key) {
        self.list.watched.take_out(side, key);
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
        let clock = relative_time::of(until, clock::now);
        self.list.wait(&mut self.host, clock.map(Due::After).map(abi::clock), ready)
    }

    /// The host has refused to wait for all together.
    #[cold]
    fn find_refused(&mut self, why: Errno, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let (host, now) = (&mut self.host, abi::clock(Due::After(0)));
        let refused = refused_call::find(&self.list.watched, |entry| host.poll(&[now, entry]).err());
        if refused.len() == self.armed() && self.host.poll(&[now]).is_err() {
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

    /// Sleeps a little, and has all try.
    #[cold]
    fn nap(&mut self, until: Until, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let nap = no_sockets::nap(until, clock::now);
        match abi::poll(&[abi::clock(Due::After(nap))], &mut Vec::new()) {
            Ok(()) | Err(wasip1::ERRNO_INTR) => {}
            Err(errno) => return Err(cannot_wait(errno)),
        }
        no_sockets::report_all(&mut self.list.watched, ready);
        Ok(true)
    }
}

/// Comes back with the event: an index and a side. The list does not change while the host has it.
fn userdata(side: Side, key: Key) -> u64 {
    u64::from(key.index) << 1 | side as u64
}

/// Whether the host waits for sockets: see `quirks/no_sockets.rs`.
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
