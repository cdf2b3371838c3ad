//! Standard streams, pipes and devices. They are not made non-blocking: most hosts cannot, and where they can that would
//! change the descriptor for whoever else has it. Before each call the host is asked, about this descriptor alone, whether
//! it would return at once: some hosts call all ready when one is (wasi-common's `sync/sched/unix.rs`).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use super::abi::{self, Due};
use super::descriptor::Descriptor;
use super::{Kind, Source};
use crate::sys::Side;

/// PIPE_BUF on Linux: a pipe that is called writable takes as much without blocking.
const ATOMIC: usize = 4096;

impl Source {
    pub(crate) fn stdin() -> io::Result<Self> {
        Ok(standard(wasip1::FD_STDIN))
    }

    pub(crate) fn stdout() -> Self {
        standard(wasip1::FD_STDOUT)
    }

    pub(crate) fn stderr() -> Self {
        standard(wasip1::FD_STDERR)
    }

    /// What to wait on before each call on this file; `None` if it is always ready, as regular files and directories are.
    pub(crate) fn file(file: &File) -> io::Result<Option<Self>> {
        let fd = file.as_raw_fd() as abi::RawFd;
        let always = [wasip1::FILETYPE_REGULAR_FILE, wasip1::FILETYPE_DIRECTORY, wasip1::FILETYPE_SYMBOLIC_LINK];
        let (kind, _) = abi::stat(fd)?;
        Ok((!always.iter().any(|it| it.raw() == kind)).then(|| Source::new(Descriptor::borrowed(fd), Kind::Blocking)))
    }

    /// `WouldBlock` unless a blocking call would return at once. A host that cannot tell is taken to say yes: then the
    /// call blocks, which is the best there is.
    pub(crate) fn try_ready(&self, side: Side) -> io::Result<()> {
        let asked = [abi::clock(Due::After(0)), abi::readiness(self.raw()?, side, 1)];
        let mut events = Vec::new();
        match abi::poll(&asked, &mut events) {
            Ok(()) if !events.iter().any(|event| event.userdata == 1) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn try_write_blocking(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_ready(Side::Write)?;
        abi::write(self.raw()?, &buf[..buf.len().min(ATOMIC)])
    }
}

fn standard(fd: abi::RawFd) -> Source {
    Source::new(Descriptor::borrowed(fd), Kind::Blocking)
}
