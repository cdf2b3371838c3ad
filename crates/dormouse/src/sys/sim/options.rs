//! Options of sockets: a simulated one has none, as nothing that it does depends on them.

use std::io;

use super::Source;
use crate::sys::Setting;

impl Source {
    pub(crate) fn set(&self, setting: Setting, value: u64) -> io::Result<()> {
        match self {
            Source::Host(source) => source.set(setting, value),
            Source::Sim(_) => unsupported(),
        }
    }

    pub(crate) fn get(&self, setting: Setting) -> io::Result<u64> {
        match self {
            Source::Host(source) => source.get(setting),
            Source::Sim(_) => unsupported(),
        }
    }

    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Source::Host(source) => source.set_nodelay(nodelay),
            Source::Sim(_) => unsupported(),
        }
    }

    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        match self {
            Source::Host(source) => source.nodelay(),
            Source::Sim(_) => unsupported(),
        }
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(crate::base::error(io::ErrorKind::Unsupported, "a simulated socket has no options"))
}
