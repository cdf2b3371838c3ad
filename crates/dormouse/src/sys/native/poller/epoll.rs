//! epoll(7), edge-triggered. A wait is one call.
//!
//! Not through the `polling` crate: version 3.11 makes five calls a wait, two of which are epoll_ctl, and asks for no EPOLLRDHUP.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

use super::super::abi::{self, Descriptor};
use super::super::{Interrupt, Source, clock};
use super::{System, Told};
use crate::base::Instant;
use crate::base::Key;
use crate::sys::Until;

pub(crate) struct Epoll {
    epoll: OwnedFd,
    events: Vec<Event>,
    /// Written to by other threads.
    interrupt: Arc<OwnedFd>,
    /// epoll knows milliseconds only. It cannot be had everywhere.
    timer: Option<OwnedFd>,
    /// What the timer is set to. It stays when less is wanted, so that moving a deadline to later costs no call: it ends one wait early.
    timer_at: Option<Instant>,
}

/// How many events a wait takes. What is left is in front of the next.
const EVENTS: usize = if cfg!(test) { 3 } else { 1024 };

/// No key has that index.
const INTERRUPT: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

impl System for Epoll {
    const EDGES: bool = true;

    fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Neither is ever read: each write, and each time the timer fires, is another edge.
        let flags = EventFlags::IN | EventFlags::ET;
        let interrupt = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &interrupt, EventData::new_u64(INTERRUPT), flags)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK).ok();
        if let Some(timer) = &timer {
            epoll::add(&epoll, timer, EventData::new_u64(TIMER), flags)?;
        }
        let events = Vec::with_capacity(EVENTS);
        Ok(Epoll { epoll, events, interrupt: Arc::new(interrupt), timer, timer_at: None })
    }

    fn add(&self, source: &Source, key: Key, sides: [bool; 2]) -> io::Result<Descriptor> {
        epoll::add(&self.epoll, source, data(key), flags(sides))?;
        Ok(abi::descriptor(source))
    }

    fn modify(&self, descriptor: Descriptor, key: Key, sides: [bool; 2]) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, abi::borrow(&descriptor), data(key), flags(sides))?)
    }

    fn delete(&self, descriptor: Descriptor) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, abi::borrow(&descriptor))?)
    }

    /// It is reported once, and stays where it is.
    fn discard_urgent(_: Descriptor) {}

    fn wait(&mut self, until: Until, mut told: impl FnMut(Told)) -> io::Result<()> {
        let timeout = self.timeout(until)?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            // By a signal. What is waited for is not there yet, and the caller waits again.
            Err(Errno::INTR) => return Ok(()),
            result => result?,
        };
        for &Event { flags, data } in &self.events {
            match data.u64() {
                INTERRUPT => {}
                TIMER => self.timer_at = None,
                data => told(told_of(data, flags)),
            }
        }
        Ok(())
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.interrupt) as Arc<dyn Interrupt>
    }
}

impl Epoll {
    /// Sets the timer, if it has to fire earlier than it would. How long epoll is to wait beside it.
    fn timeout(&mut self, until: Until) -> io::Result<Option<Timespec>> {
        let when = match until {
            Until::Now => return Ok(Some(Timespec::default())),
            Until::Forever => return Ok(None),
            Until::At(when) => when,
        };
        let remaining = when.as_nanos().saturating_sub(clock::now());
        if remaining == 0 {
            return Ok(Some(Timespec::default()));
        }
        // 584 years fit.
        let remaining = Timespec::try_from(Duration::from_nanos(remaining)).unwrap_or_default();
        let Some(timer) = &self.timer else { return Ok(Some(remaining)) };
        if self.timer_at.is_none_or(|at| at > when) {
            let once = Itimerspec { it_interval: Timespec::default(), it_value: remaining };
            timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
            self.timer_at = Some(when);
        }
        Ok(None)
    }
}

impl Interrupt for OwnedFd {
    fn interrupt(&self) {
        // It fails after 2⁶⁴ of them, or if the poller has gone: then nothing waits.
        let _ = rustix::io::write(self, &1_u64.to_ne_bytes());
    }
}

fn data(key: Key) -> EventData {
    EventData::new_u64(u64::from(key.generation) << 32 | u64::from(key.index))
}

/// What is asked for. EPOLLERR and EPOLLHUP are reported in any case.
fn flags([read, write]: [bool; 2]) -> EventFlags {
    let mut flags = EventFlags::ET;
    flags.set(EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI, read);
    flags.set(EventFlags::OUT, write);
    flags
}

fn told_of(data: u64, flags: EventFlags) -> Told {
    let both = EventFlags::HUP | EventFlags::ERR;
    Told {
        index: data as u32,
        generation: Some((data >> 32) as u32),
        sides: [flags.intersects(both | EventFlags::IN | EventFlags::RDHUP), flags.intersects(both | EventFlags::OUT)],
        is_urgent: flags.contains(EventFlags::PRI),
        // Of a pipe EPOLLHUP passes when the next writer opens it, and only sockets have EPOLLRDHUP.
        is_ended: flags.contains(EventFlags::RDHUP),
    }
}
