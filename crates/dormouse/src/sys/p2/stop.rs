//! Being asked to stop: a clock that shows its last instant. `FACTS.md`, `STOP`.

use std::io;

use wasip2::clocks::monotonic_clock::subscribe_instant;
use wasip2::io::poll::Pollable;

use super::{Other, Source};
use crate::sys::wasi::facts;
use crate::sys::{Asked, Side};

struct Stop;

impl Other for Stop {
    fn subscribe(&self, _side: Side) -> Pollable {
        subscribe_instant(u64::MAX)
    }

    fn is_pending(&self) -> bool {
        false
    }
}

impl Source {
    /// What becomes readable when the host asks the program to stop; `None` where it never does.
    pub(crate) fn stop(_asked: Asked) -> io::Result<Option<Self>> {
        Ok(facts::is_told(facts::STOP).then(|| Source { other: Some(Box::new(Stop)), ..Source::default() }))
    }

    pub(crate) fn try_stop(&self) -> io::Result<()> {
        match self.pollable(Side::Read).is_some_and(Pollable::ready) {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
