//! Standard streams, without O_NONBLOCK: that would change the descriptor for every process that shares it. A descriptor
//! that poll(2) calls readable has something, or its end, unless another process takes it first. One that poll(2) calls
//! writable takes at least PIPE_BUF bytes without blocking if it is a pipe; a file never blocks for long, and a terminal
//! blocks only when it is stopped.
//!
//! Windows has no such question for a standard stream. There a read waits, with the whole program, for what is typed.

use std::io::{self, Write};

use super::Source;
use super::file::ready;
use crate::sys::{PIPE_BUF, Side};

impl Source {
    pub(crate) fn stdin() -> io::Result<Self> {
        Ok(Source::Stdin(io::stdin()))
    }

    pub(crate) fn stdout() -> Self {
        Source::Stdout(io::stdout())
    }

    pub(crate) fn stderr() -> Self {
        Source::Stderr(io::stderr())
    }
}

/// Not through std's buffer: what it has taken poll(2) does not see.
#[cfg(unix)]
pub(super) fn try_read_stdin(stdin: &io::Stdin, bytes: &mut [u8]) -> io::Result<usize> {
    ready(stdin, Side::Read)?;
    Ok(rustix::io::read(stdin, bytes)?)
}

#[cfg(windows)]
pub(super) fn try_read_stdin(stdin: &io::Stdin, bytes: &mut [u8]) -> io::Result<usize> {
    io::Read::read(&mut stdin.lock(), bytes)
}

pub(super) fn try_write_stdout(stdout: &io::Stdout, bytes: &[u8]) -> io::Result<usize> {
    ready(stdout, Side::Write)?;
    let mut stdout = stdout.lock();
    let bytes = &bytes[..bytes.len().min(PIPE_BUF)];
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(bytes.len())
}

pub(super) fn try_write_stderr(stderr: &io::Stderr, bytes: &[u8]) -> io::Result<usize> {
    ready(stderr, Side::Write)?;
    let bytes = &bytes[..bytes.len().min(PIPE_BUF)];
    stderr.lock().write_all(bytes)?;
    Ok(bytes.len())
}
