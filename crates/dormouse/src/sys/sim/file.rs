//! Files are the host's, also in a simulation; but only those that are always ready. For a pipe to be ready it would have
//! to wait in real time.

use std::fs::File;
use std::io;

use super::{Source, World, host};
use crate::sys::Side;

impl Source {
    pub(crate) fn file(file: &File) -> io::Result<Option<Self>> {
        match host::Source::file(file)? {
            Some(_) if World::current().is_some() => {
                Err(crate::base::error(io::ErrorKind::Unsupported, "a simulation cannot wait for a pipe or a device"))
            }
            source => Ok(source.map(Source::Host)),
        }
    }

    pub(crate) fn try_ready(&self, side: Side) -> io::Result<()> {
        match self {
            Source::Host(source) => source.try_ready(side),
            Source::Sim(_) => Ok(()), // A socket, which says `WouldBlock` itself.
        }
    }
}
