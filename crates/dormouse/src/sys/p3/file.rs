//! Files. std keeps the descriptor to itself, and a descriptor of WASI 0.3 on a p2 std has no pollable: a call on it returns when it
//! is done.

use std::fs::File;
use std::io;

use super::Source;
use crate::sys::Side;

impl Source {
    pub(crate) fn file(_file: &File) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn try_ready(&self, _side: Side) -> io::Result<()> {
        Ok(())
    }
}
