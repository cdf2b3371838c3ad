//! Standard output and standard error are the host's, also in a simulation. Standard input is not: what comes from
//! outside, and when, would be another run each time.

use std::io;

use super::{Source, World, host};
use crate::sys::Asked;

impl Source {
    pub(crate) fn stdin() -> io::Result<Self> {
        if World::current().is_some() {
            return Err(crate::base::error(io::ErrorKind::Unsupported, "a simulation has no standard input"));
        }
        host::Source::stdin().map(Source::Host)
    }

    /// Nothing asks a program of a simulation to stop.
    pub(crate) fn stop(asked: Asked) -> io::Result<Option<Self>> {
        match World::current() {
            Some(_) => Ok(None),
            None => host::Source::stop(asked).map(|stop| stop.map(Source::Host)),
        }
    }

    pub(crate) fn try_stop(&self) -> io::Result<()> {
        match self {
            Source::Host(source) => source.try_stop(),
            Source::Sim(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    pub(crate) fn stdout() -> Self {
        Source::Host(host::Source::stdout())
    }

    pub(crate) fn stderr() -> Self {
        Source::Host(host::Source::stderr())
    }

    /// A simulation never waits for a reader of its output: no virtual time would pass.
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Source::Sim(socket) => socket.try_write(buf),
            Source::Host(source) => loop {
                match source.try_write(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && World::current().is_some() => {
                        std::thread::yield_now();
                    }
                    result => return result,
                }
            },
        }
    }
}
