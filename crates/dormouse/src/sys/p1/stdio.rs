//! Standard streams. They are not made non-blocking: most hosts cannot, and where they can that would
//! change the descriptor for whoever else has it. Before each call the host is asked, about this descriptor alone, whether
//! it would return at once: some hosts call all ready when one is (wasi-common's `sync/sched/unix.rs`).

use std::io;

use super::abi;
use super::descriptor::Descriptor;
use super::{Kind, Source};
use crate::sys::{PIPE_BUF, Side};

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

    pub(super) fn try_write_blocking(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_ready(Side::Write)?;
        abi::write(self.raw()?, &buf[..buf.len().min(PIPE_BUF)])
    }
}

fn standard(fd: abi::RawFd) -> Source {
    Source::new(Descriptor::borrowed(fd), Kind::Blocking)
}
