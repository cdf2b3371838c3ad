//! Options of sockets: there are none.

use std::io;

use super::Source;
use crate::sys::Setting;

impl Source {
    pub(crate) fn set(&self, _setting: Setting, _value: u64) -> io::Result<()> {
        unsupported()
    }

    pub(crate) fn get(&self, _setting: Setting) -> io::Result<u64> {
        unsupported()
    }

    pub(crate) fn set_nodelay(&self, _nodelay: bool) -> io::Result<()> {
        unsupported()
    }

    pub(crate) fn nodelay(&self) -> io::Result<bool> {
        unsupported()
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(crate::base::error(io::ErrorKind::Unsupported, "wasm32-wasip1 has no call for options of sockets"))
}
